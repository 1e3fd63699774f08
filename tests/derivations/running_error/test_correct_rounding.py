"""A rounding is certified only where every number of an enclosure rounds to it."""

from fractions import Fraction

import flint
import numpy as np
import pytest
from softproof.derivations.arithmetic.balls import balls
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32
from softproof.derivations.running_error import Model, threshold
from softproof.derivations.running_error.correct_rounding import correctly_rounded

FORMATS = {f.name: f for f in (BINARY16, BFLOAT16, BINARY32)}


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_around_midpoints_no_rounding_is_certified_that_is_wrong(fmt):
    rng = np.random.default_rng(4)
    certified = 0
    for _ in range(1500):
        exponent = int(rng.choice([0, fmt.emin, fmt.emin - 2, 3]))
        q = Fraction(2) ** (max(exponent, fmt.emin) - fmt.precision + 1)
        least = 1 if exponent < fmt.emin else 2 ** (fmt.precision - 1)
        k = int(rng.integers(least, 2**fmt.precision))
        midpoint = q * k + q / 2
        ulp = Fraction(float(np.spacing(float(midpoint))))
        v = midpoint + ulp * int(rng.integers(-3, 4))
        d = float(ulp) * rng.uniform(0.5, 3)
        exact = v + Fraction(d) * Fraction(float(rng.uniform(-1, 1)))
        rounded, certain = correctly_rounded([float(v)], [d], fmt)
        if certain[0]:
            certified += 1
            assert rounded[0] == float(fmt.round(exact))
    assert certified > 100


def test_a_tie_that_the_rounding_of_an_end_would_hide_is_not_certified():
    tie = 1 + 3 * 2.0**-24
    _, certain = correctly_rounded([tie + 2.0**-52], [1.4 * 2.0**-52], BINARY32)
    assert not certain[0]


@pytest.mark.parametrize("radius", [np.nan, np.inf])
def test_what_is_not_enclosed_is_not_certified(radius):
    assert not correctly_rounded([1.0], [radius], BINARY32)[1][0]


def test_sums_of_three_numbers_are_never_rounded_wrongly():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3, 200_000)) * 2.0 ** rng.integers(-12, 12, (3, 200_000))
    x = x.astype(np.float32).astype(np.float64)

    def two_sum(a, b):
        total = a + b
        rest = total - a
        return total, (a - (total - rest)) + (b - rest)

    first, low = two_sum(x[0], x[1])
    total, more = two_sum(first, x[2])  # exact: total + low + more
    rounded, certain = correctly_rounded(total, 2.0**-51 * np.abs(x).sum(axis=0), BINARY32)
    off = (total - rounded) + (low + more)
    gap = np.spacing(np.abs(rounded).astype(np.float32)).astype(np.float64)
    assert np.all((np.abs(off) <= gap / 2 * (1 + 1e-12))[certain])
    assert 0.8 < certain.mean() < 1  # ties are not


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_the_certified_values_of_a_softmax_are_those_of_balls(fmt):
    rng = np.random.default_rng(9)
    z = (3 * rng.standard_normal(300)).astype(fmt.dtype).astype(np.float64)
    found = threshold(lambda z, xp: xp.softmax(z), [z], Model.of(fmt))
    rounded, certain = correctly_rounded(found.value, found.radius, fmt)
    xp = balls()
    with flint.ctx.workprec(200):
        exact = xp.softmax(xp.array(z))
        for value, ball in zip(rounded[certain], exact[certain], strict=True):
            middle = ball.mid().man_exp()
            fraction = Fraction(int(middle[0])) * Fraction(2) ** int(middle[1])
            assert value == float(fmt.round(fraction))
    assert certain.mean() > 0.99
