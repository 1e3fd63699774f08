"""The certified radius encloses the truth, and says how sharply.

The truth comes from closed forms, from mpmath's root finder with 40 digits, and from winding
numbers summed over a dense sample of a circle in binary64 - none of which `certify` uses.
"""

import math
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
from softproof.derivations.check_certificate import CertificateError, check
from softproof.derivations.step_radius import certify as module
from softproof.derivations.step_radius.certify import certify

MP = mpmath.MPContext()
MP.dps = 40
SLOPES = ("gaussian", "clustered", "tied", "one-hot", "heavy")


def sample(rng, classes, scale, kind="gaussian"):
    """Logits and slopes of one sample."""
    a = rng.normal(size=classes)
    if kind == "clustered":
        a = rng.choice([-1.0, 0.0, 2.0], classes) + 1e-3 * a
    elif kind == "tied":
        a = np.round(a)
    elif kind == "one-hot":
        a = np.eye(classes)[rng.integers(classes)]
    elif kind == "heavy":
        a = a * np.exp(2 * rng.normal(size=classes))
    return scale * rng.normal(size=classes), a


@pytest.fixture(params=["either", "winding"])
def method(request, monkeypatch):
    """Both methods, on problems that the first one would decide alone."""
    if request.param == "winding":
        monkeypatch.setattr(module, "certify_by_taylor", lambda classes, max_order: None)
    return request.param


def encloses(certified, truth):
    """Whether the bounds, exact as floats are, enclose a number of 40 digits."""
    return MP.mpf(certified.lower) <= truth <= MP.mpf(certified.upper)


def is_sharp(certified):
    """Whether the bounds agree to 50 bits, found apart from the property of that name."""
    return certified.upper <= certified.lower * (1 + 2.0**-50)


def binary_radius(z, a, b=(0, 0)):
    """|t| least with delta + (a_1 - a_2) t + (b_1 - b_2) t^2 = i pi (2n + 1)."""
    exact = [MP.mpf(x.numerator) / x.denominator for x in map(Fraction, (*z, *a, *b))]
    z1, z2, a1, a2, b1, b2 = exact
    moduli = []
    for n in range(-40, 40):
        c, d, q = z1 - z2 - MP.mpc(0, (2 * n + 1) * MP.pi), a1 - a2, b1 - b2
        if q == 0:
            moduli.append(abs(c / d))
        else:
            root = MP.sqrt(d * d - 4 * q * c)
            moduli += [abs((root - d) / (2 * q)), abs((root + d) / (2 * q))]
    return min(moduli)


def winding_number(z, a, b, radius, points=8_000):
    """The turns of F around 0 along the upper half of a circle, by adding up small angles."""
    t = radius * np.exp(1j * np.linspace(0, math.pi, points))[:, None]
    exponents = z + a * t + b * t * t
    shift = exponents.real.max(axis=1, keepdims=True)
    values = np.exp(exponents - shift).sum(axis=1)
    steps = np.angle(values[1:] / values[:-1])
    assert abs(steps).max() < 1, "the sample is too coarse"
    return round(steps.sum() / (2 * math.pi))


def nearest_by_newton(z, a, b, radius, rng):
    """The least modulus of the zeros that mpmath finds from random points around the circle."""
    z, a, b = ([MP.mpf(float(x)) for x in row] for row in (z, a, b))

    def total(t):
        return MP.fsum(MP.exp(x + y * t + w * t * t) for x, y, w in zip(z, a, b, strict=True))

    moduli = []
    for angle in rng.uniform(0, math.pi, 24):
        try:
            zero = MP.findroot(total, radius * MP.expjpi(angle / math.pi), tol=1e-60, maxsteps=20)
        except (ValueError, ZeroDivisionError):
            continue
        moduli.append(abs(zero))
    return min(moduli)


# ------------------------------------------------------------------------------------ the truth


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0])
def test_two_classes_have_the_closed_form(method, scale):
    rng = np.random.default_rng(1)
    for _ in range(10):
        z, a = sample(rng, 2, scale)
        certified = certify(z, a)
        assert encloses(certified, binary_radius(z, a))
        assert is_sharp(certified)
        assert certified.multiplicity == 1


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("bend", [1e-6, 0.1, 10.0])
def test_two_classes_with_curvatures_have_the_closed_form(method, scale, bend):
    rng = np.random.default_rng(2)
    for _ in range(4):
        z, a = sample(rng, 2, scale)
        b = bend * rng.normal(size=2)
        certified = certify(z, a, b)
        assert encloses(certified, binary_radius(z, a, b))
        assert is_sharp(certified)


@pytest.mark.parametrize("classes", [3, 10, 100])
@pytest.mark.parametrize("bend", [0.0, 0.3])
@pytest.mark.parametrize("kind", SLOPES)
def test_the_nearest_zero_is_at_the_certified_radius(method, classes, bend, kind):
    rng = np.random.default_rng([classes, int(10 * bend), SLOPES.index(kind)])
    scale = rng.choice([0.5, 4.0]) if classes < 100 else 4.0
    z, a = sample(rng, classes, scale, kind)
    b = bend * rng.normal(size=classes)
    certified = certify(z, a, b if bend else None)
    assert is_sharp(certified)
    assert certified.multiplicity == 1
    assert winding_number(z, a, b, certified.lower * (1 - 1e-3)) == 0
    # (other zeros may be in between)
    assert winding_number(z, a, b, certified.upper * (1 + 1e-3)) >= 1


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("bend", [0.0, 0.3])
def test_mpmath_finds_a_zero_between_the_bounds_and_none_below(classes, bend):
    rng = np.random.default_rng([3, classes])
    z, a = sample(rng, classes, 2.0)
    b = bend * rng.normal(size=classes)
    certified = certify(z, a, b)
    assert encloses(certified, nearest_by_newton(z, a, b, certified.lower, rng))


def test_the_two_methods_agree(monkeypatch):
    rng = np.random.default_rng(4)
    problems = []
    for kind in SLOPES:
        for scale in (0.3, 3.0, 30.0):
            z, a = sample(rng, 12, scale, kind)
            problems += [(z, a, None), (z, a, 0.2 * rng.normal(size=12))]
    first = [certify(*problem) for problem in problems]
    assert {"taylor", "winding"} <= {certified.method for certified in first}
    monkeypatch.setattr(module, "certify_by_taylor", lambda classes, max_order: None)
    for one, other in zip(first, [certify(*problem) for problem in problems], strict=True):
        assert max(one.lower, other.lower) <= min(one.upper, other.upper)
        assert one.multiplicity == other.multiplicity


def gaussian_weights(classes, noise=0.0, width=0.1):
    """Equally spaced slopes: F is a polynomial in e^t, here with the weights of a theta function.

    On the circle of its zeros it is many orders of magnitude smaller than its largest term.
    """
    j = np.arange(classes) - (classes - 1) / 2
    return -width * j**2 + noise * np.random.default_rng(classes).normal(size=classes), j


def moduli_by_polynomial_roots(logits):
    """The moduli of the zeros, slopes being ..., -1, 0, 1, ..., from the roots in x = e^t."""
    with mpmath.workdps(60):
        weights = [mpmath.exp(mpmath.mpf(float(z))) for z in logits[::-1]]
        roots = mpmath.polyroots(weights, maxsteps=300, extraprec=500)
        # |t| is that of the principal logarithm.
        return sorted(abs(mpmath.log(x)) for x in roots if x.imag >= 0)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("classes", [8, 20, 24, 40])
def test_gaussian_weights_have_the_roots_of_their_polynomial(classes, noise):
    z, a = gaussian_weights(classes, noise)
    certified = certify(z, a)
    moduli = moduli_by_polynomial_roots(z)
    assert encloses(certified, moduli[0])
    assert is_sharp(certified)
    assert certified.multiplicity == sum(encloses(certified, modulus) for modulus in moduli)
    check(z, a, certified)


def test_the_zeros_that_cancel_the_terms_most():
    # |F| is below e^-24 there, with terms up to e^13 on the same circle.
    z, a = gaussian_weights(40, width=0.1)
    certified = certify(z, a)
    assert certified.bits > 160
    assert sorted(round(abs(t), 12) for t, _, _ in certified.zeros)[:3] == [
        round(3.0244331325065303, 12)
    ] * 2 + [round(3.0340266005915413, 12)]


# ------------------------------------------------------------------------- multiple and hard zeros


@pytest.mark.parametrize("power", [2, 3, 4])
def test_a_multiple_zero_counts_as_often_as_it_is_one(power):
    # (1 + e^t)^m, its coefficients as repeated classes: all zeros have multiplicity m.
    slopes = [float(k) for k in range(power + 1) for _ in range(math.comb(power, k))]
    certified = certify([0.0] * len(slopes), slopes)
    assert encloses(certified, MP.pi)
    assert is_sharp(certified)
    assert certified.multiplicity == power


def test_zeros_closer_than_floats_tell_apart_are_one_cluster():
    # (1 + e^t)(1 + e^t e^-d), d = 10^-30: zeros at i pi and i pi + d.
    d = Fraction(1, 10**30)
    certified = certify([0, 0, -d, -d], [0, 1, 1, 2])
    assert encloses(certified, MP.pi)
    assert is_sharp(certified)
    assert certified.multiplicity == 2


def test_close_zeros_that_floats_do_tell_apart_are_two():
    # (1 + e^t)(1 + e^(t s)), s = 1 - 2^-20: zeros at i pi and i pi / s.
    s = 1 - 2.0**-20
    certified = certify([0.0] * 4, [0.0, 1.0, s, 1 + s])
    assert encloses(certified, MP.pi)
    assert is_sharp(certified)
    assert certified.multiplicity == 1


@pytest.mark.parametrize("bits", [48, 53, 55, 70])
def test_zeros_that_the_returned_floats_both_enclose_both_count(method, bits):
    # 2 (cosh 2t + cosh 2dt) = 4 cosh((1 + d) t) cosh((1 - d) t): zeros at i pi / (2 (1 +- d)).
    d = MP.mpf(2) ** -bits
    certified = certify([0.0] * 4, [-2.0, -(2.0 ** (1 - bits)), 2.0 ** (1 - bits), 2.0])
    moduli = [MP.pi / (2 * (1 + d)), MP.pi / (2 * (1 - d))]
    assert encloses(certified, moduli[0])
    assert certified.multiplicity == sum(encloses(certified, modulus) for modulus in moduli)
    check([0.0] * 4, [-2.0, -(2.0 ** (1 - bits)), 2.0 ** (1 - bits), 2.0], certified)


def test_zeros_of_equal_modulus_all_count():
    # 1 + 2 w cosh t with a small weight w: a zero on the right, and its mirror image.
    certified = certify([0.0, -20.0, -20.0], [0.0, 1.0, -1.0])
    assert encloses(certified, abs(MP.acosh(-MP.exp(20) / 2)))
    assert certified.multiplicity == 2


def test_curvatures_alone_have_a_zero_on_each_diagonal():
    # (1 + e^(t^2))^2 vanishes twice where t^2 = i pi, and where t^2 = -i pi.
    certified = certify([0.0] * 4, [1.0] * 4, [0.0, 1.0, 1.0, 2.0])
    assert encloses(certified, MP.sqrt(MP.pi))
    assert is_sharp(certified)
    assert certified.multiplicity == 4


@pytest.mark.parametrize("gap", [69.0, 700.0, 1e6, 1e12])
def test_a_tiny_weight_moves_the_zero_far_out(gap):
    certified = certify([0.0, -gap, -2 * gap], [0.0, 1.0, 1.5])
    # The third class is smaller than 10^-30 there: the first two decide.
    assert certified.lower <= math.hypot(gap, math.pi) * (1 + 1e-15)
    assert certified.upper >= math.hypot(gap, math.pi) * (1 - 1e-15)
    assert is_sharp(certified)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-40, 2.0**900])
def test_the_unit_of_the_step_does_not_matter(unit):
    z, a = np.array([0.3, 0.0, -0.5]), np.array([0.5, -0.25, 0.125])
    one, other = certify(z, a), certify(z, a * unit)
    assert (other.lower, other.upper) == (one.lower / unit, one.upper / unit)


def test_a_radius_beyond_the_floats_is_bounded_by_the_largest():
    certified = certify([0.0, 0.0], [0.0, 5e-324])
    assert (certified.lower, certified.upper) == (np.finfo(float).max, math.inf)


def test_slopes_of_the_largest_size_overflow_nothing():
    largest = float(np.finfo(float).max)
    certified = certify([0.0, 0.0], [-largest, largest])
    assert encloses(certified, MP.pi / (2 * MP.mpf(largest)))


def test_what_cannot_be_sharp_is_wide_and_true(monkeypatch):
    # The moduli of the first two zeros agree to 38 digits.
    monkeypatch.setattr(module, "ATTEMPTS", module.ATTEMPTS[:2])
    certified = certify([0.0, -1e20], [0.0, 1.0])
    assert certified.lower <= 1e20 <= certified.upper
    assert certified.multiplicity == 0
    check([0.0, -1e20], [0.0, 1.0], certified)


# -------------------------------------------------------------------------------- what is exact


def test_single_precision_converts_exactly():
    rng = np.random.default_rng(5)
    z, a = (x.astype(np.float32) for x in sample(rng, 6, 2.0))
    assert certify(z, a) == certify(z.astype(np.float64), a.astype(np.float64))


def test_fractions_are_exact():
    third = Fraction(1, 3)
    certified = certify([third, 0], [third, -third])
    assert encloses(certified, binary_radius([third, 0], [third, -third]))
    shifted = certify([third + 10**15, 10**15], [third, -third])
    assert (shifted.lower, shifted.upper) == (certified.lower, certified.upper)


def test_masked_classes_do_not_count():
    masked = certify([0.5, -math.inf, 0.0, 1.0], [1.0, 50.0, -1.0, 0.5], [0.0, 9.0, 0.1, 0.0])
    assert masked == certify([0.5, 0.0, 1.0], [1.0, -1.0, 0.5], [0.0, 0.1, 0.0])


def test_classes_with_equal_slopes_add_their_weights():
    split = certify([0.0, 0.0, 1.0], [1.0, 1.0, -1.0])
    assert encloses(split, MP.hypot(MP.pi, MP.log(2) - 1) / 2)


def test_common_slopes_and_curvatures_move_no_zero():
    z, a, b = [0.25, 0.0, -0.5], [1.0, -1.0, 0.5], [0.25, 0.5, 0.0]
    moved = certify(z, [x + 8 for x in a], [x - 4 for x in b])
    assert (moved.lower, moved.upper) == certify(z, a, b)[:2]


@pytest.mark.parametrize(
    "problem",
    [
        ([1.0], [2.0]),
        ([1.0, -math.inf], [2.0, 3.0]),
        ([1.0, 2.0, 0.0], [0.1, 0.1, 0.1]),
        ([1.0, 2.0], [0.1, 0.1], [3.0, 3.0]),
    ],
)
def test_one_exponent_alone_has_no_zero(problem):
    certified = certify(*problem)
    assert certified[:4] == (math.inf, math.inf, 0, "none")
    check(*problem[:2], certified, *problem[2:])


def test_equal_slopes_with_unequal_curvatures_do_have_zeros():
    assert certify([0.0, 0.0], [1.0, 1.0], [0.0, 1e-300]).upper < math.inf


def test_no_global_setting_is_left_changed():
    before = flint.ctx.prec, flint.ctx.cap
    certified = certify([0.0, 1.0, 2.0], [0.5, -1.0, 0.0])
    check([0.0, 1.0, 2.0], [0.5, -1.0, 0.0], certified)
    with pytest.raises(CertificateError):
        check([0.0, 1.0, 2.5], [0.5, -1.0, 0.0], certified)
    assert (flint.ctx.prec, flint.ctx.cap) == before


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("problem", "error", "message"),
    [
        (([], []), ValueError, "at least one class"),
        (([0.0, 1.0], [0.0]), ValueError, "slopes must have the shape"),
        (([0.0, 1.0], [0.0, 1.0], [0.0]), ValueError, "curvatures must have the shape"),
        (([0.0, math.nan], [0.0, 1.0]), ValueError, "logits hold NaN"),
        (([0.0, math.inf], [0.0, 1.0]), ValueError, r"logits hold \+inf"),
        (([-math.inf] * 2, [0.0, 1.0]), ValueError, "mask every class"),
        (([0.0, 1.0], [0.0, math.nan]), ValueError, "slopes hold NaN or inf"),
        (([0.0, 1.0], [0.0, -math.inf]), ValueError, "slopes hold NaN or inf"),
        (([0.0, 1.0], [0.0, 1.0], [0.0, math.inf]), ValueError, "curvatures hold NaN or inf"),
        ((np.zeros(2, np.float16), np.zeros(2)), TypeError, "logits must be float32 or float64"),
        ((np.zeros((1, 2)), np.zeros((1, 2))), ValueError, r"shape \(classes,\)"),
        (([0.0, 1j], [0.0, 1.0]), TypeError, "got complex"),
        (([0.0, Fraction(10**400)], [0.0, 1.0]), ValueError, "beyond the largest float"),
    ],
)
def test_bad_input_is_named(problem, error, message):
    with pytest.raises(error, match=message):
        certify(*problem)
