"""2^f by polynomials: approximation errors certified in balls, the proof of w 2^n, the recipe."""

import importlib.util
import math
import random
from fractions import Fraction
from pathlib import Path

import flint
import mpmath
import numpy as np
import pytest
from softproof.kernels.arithmetic import exp2_coefficients as tables

RECIPE = Path(__file__).parents[3] / "notebooks" / "exp2_coefficients.py"
FORMATS = {"EXP2_FLOAT32": np.float32, "EXP2_FLOAT64": np.float64}
BOUND = {"EXP2_FLOAT32": 0.042, "EXP2_FLOAT64": 0.034}
INTERVAL = {"EXP2_FLOAT32": 0.5 + 2.0**-8, "EXP2_FLOAT64": 0.5 + 2.0**-20}
LARGEST = {"EXP2_FLOAT32": 2.0**14 + 2.0**8, "EXP2_FLOAT64": 2.0**20}
NAMES = pytest.mark.parametrize("name", FORMATS)

PIECES = 2000
ORDER = 16  # of Taylor series on the pieces: above the degree of the polynomials


def digits(name):
    return int(np.finfo(FORMATS[name]).nmant) + 1


# --- the approximation error ---


def approximation_error(name, coefficients):
    """Bounds, from below and above, of the largest |(1 + f q(f)) 2^-f - 1| 8^-f, in u.

    On a piece m + t, |t| <= r, the difference from 2^f is a polynomial in t, whose coefficients
    are small, and the rest of the Taylor series of 2^f.
    """
    u, ln2 = flint.arb(2) ** -digits(name), flint.arb(2).log()
    polynomial = flint.arb_poly([1, *coefficients])
    series = flint.arb_poly([ln2**k / math.factorial(k) for k in range(ORDER)])
    r = flint.arb(INTERVAL[name]) / PIECES
    low = high = flint.arb(0)
    for piece in range(PIECES):
        m = (2 * piece + 1 - PIECES) * r
        difference = polynomial(flint.arb_poly([m, 1])) - flint.arb(2) ** m * series
        rest = flint.arb(2) ** (m + r) * (ln2 * r) ** ORDER / math.factorial(ORDER)
        everywhere = abs(difference(flint.arb(0, r.upper()))) + rest
        low = low.max(abs(difference(0)) / flint.arb(16) ** m / u)
        high = high.max(everywhere / flint.arb(16) ** (m - r) / u)
    return low.lower(), high.upper()


@NAMES
def test_the_approximation_error_is_certified(name):
    with flint.ctx.workprec(200):
        low, high = approximation_error(name, getattr(tables, name))
        assert high <= BOUND[name]
        assert low > BOUND[name] - 0.001
        assert high - low < 0.0001


@NAMES
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("to", [0.0, 1.0])
def test_a_neighbour_of_a_coefficient_has_a_larger_error(name, which, to):
    coefficients = list(getattr(tables, name))
    scalar = FORMATS[name]
    coefficients[which] = float(np.nextafter(scalar(coefficients[which]), scalar(to)))
    with flint.ctx.workprec(200):
        low, _ = approximation_error(name, coefficients)
        assert low > BOUND[name]


@NAMES
def test_coefficients_are_numbers_of_the_format(name):
    for c in getattr(tables, name):
        assert type(c) is float
        assert float(FORMATS[name](c)) == c


# --- the proof: w 2^n in exact arithmetic with rounding after each step ---


def rounded(x, precision):
    """To nearest even; the exponent range has no end."""
    if not x:
        return x
    size = x.numerator.bit_length() - x.denominator.bit_length()
    size -= abs(x) < Fraction(2) ** size
    ulp = Fraction(2) ** (size - precision + 1)
    return round(x / ulp) * ulp


def test_rounding_is_that_of_the_format():
    random_ = random.Random(0)
    for _ in range(1000):
        x = Fraction(random_.randrange(1, 2**80), random_.randrange(1, 2**80))
        assert rounded(x, 53) == Fraction(float(x))
    for x in (1 + 2.0**-24, 1 + 3 * 2.0**-24, -2.0 + 2.0**-25, 0.1):
        assert rounded(Fraction(x), 24) == Fraction(float(np.float32(x)))


def scheme(name, d, a_high, a_low):
    """n, f and w of the docstring."""
    p = digits(name)

    def fma(x, y, z):
        return rounded(x * y + z, p)

    magic = Fraction(3) * 2 ** (p - 2) + 127
    n = fma(d, a_high, magic) - magic
    f = fma(d, a_low, fma(d, a_high, -n))
    *rest, q = map(Fraction, getattr(tables, name))
    for c in reversed(rest):
        q = fma(f, q, c)
    return n, f, fma(f, q, Fraction(1))


def arguments(name, a):
    """Some of all sizes, more where f is near -1/2, and large ones where |f| exceeds 1/2."""
    random_ = random.Random(1)
    most = LARGEST[name] / a
    for _ in range(1000):
        yield random_.uniform(-4, 4)
        yield random_.uniform(-most, most)
        yield (random_.randrange(-3, 3) + 0.5 + random_.gauss(0, 0.01)) / a
        yield (random_.randrange(-int(a * most), int(a * most)) + 0.5) / a
    yield from (most, -most, 0.0, 2.0**-60)


# |f| < 1/2 and w < 1: u
PROVED = {(True, True): 1.474, (True, False): 1.399, (False, True): 1.649, (False, False): 1.572}


@NAMES
def test_the_scheme_keeps_within_the_proof(name):
    p, scalar = digits(name), FORMATS[name]
    context = mpmath.MPContext()
    context.prec = 250
    mantissa, exponent = (1 / context.log(2)).man_exp
    a = Fraction(int(mantissa)) * Fraction(2) ** exponent
    a_high = rounded(a, p)
    a_low = rounded(a - a_high, p)
    worst = dict.fromkeys(PROVED, 0.0)
    for argument in arguments(name, float(a)):
        d = Fraction(float(scalar(argument)))
        n, f, w = scheme(name, d, a_high, a_low)
        assert n.denominator == 1
        assert abs(f) <= INTERVAL[name]
        with flint.ctx.workprec(200):
            exact = flint.arb(2) ** flint.arb(flint.fmpq(*(d * a - n).as_integer_ratio()))
            error = abs(flint.arb(flint.fmpq(*w.as_integer_ratio())) / exact - 1) * 2**p
        case = abs(f) < 0.5, w < 1
        worst[case] = max(worst[case], float(error.upper()))
    assert all(1 < worst[case] < PROVED[case] for case in PROVED), worst


# --- the recipe ---


def test_the_tuples_are_what_the_recipe_prints(capsys):
    spec = importlib.util.spec_from_file_location("exp2_coefficients_recipe", RECIPE)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    recipe.main()
    assert Path(tables.__file__).read_text().endswith("\n\n" + capsys.readouterr().out)
