"""The radius from Taylor coefficients alone: against zeros in closed form, and in balls.

With integer slopes F is a polynomial in e^t, so all its zeros are logarithms of polynomial roots.
"""

import functools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from softproof.derivations.step_radius import partition
from softproof.derivations.step_radius.certify import certify
from softproof.derivations.step_radius.series import (
    derivative,
    domb_sykes,
    log_coefficients,
    loss_coefficients,
    nearest_pole,
    pade_poles,
    pair_domb_sykes,
    pair_ratio_test,
    ratio_test,
    root_test,
)

MP = mpmath.MPContext()
MP.dps = 60

# Logits and integer slopes: no ties, two classes, a peaked one, five classes with a near rival.
PROBLEMS = [
    ((0.0, 1.0, -1.0), (0, 1, 3)),
    ((3.0, 0.0), (1, -1)),
    ((6.0, 0.0, 1.0, -2.0), (0, 2, -1, 1)),
    ((0.5, 1.0, 0.2, -1.0, 0.3), (0, 1, 2, 5, -3)),
]
EACH = pytest.mark.parametrize(("z", "a"), PROBLEMS)


@functools.cache
def zeros(z, a):
    """The zeros of F with Im t >= 0, nearest first."""
    powers = [MP.mpf(0)] * (max(a) - min(a) + 1)
    for zk, ak in zip(z, a, strict=True):
        powers[max(a) - ak] += MP.exp(MP.mpf(zk))
    roots = MP.polyroots(powers, maxsteps=200, extraprec=200)
    logs = [MP.log(x) + 2j * MP.pi * n for x in roots for n in range(-3, 4)]
    return sorted((t for t in logs if t.imag >= 0), key=abs)


def exact(ball):
    """The middle of a ball, with all its digits."""
    return MP.mpf(ball.mid().str(70, radius=False))


def error(estimate, z, a):
    """Of a radius, relative."""
    return float(abs(exact(estimate) / abs(zeros(z, a)[0]) - 1))


def distance(pole, zero):
    """Of a pole from a zero, relative."""
    position = MP.mpc(exact(pole.position.real), exact(pole.position.imag))
    return float(abs(position - zero) / abs(zero))


# --- the coefficients ---


@EACH
def test_the_coefficients_are_the_derivatives(z, a):
    found = loss_coefficients(z, a, 12, label=1)

    def loss(t):
        terms = [MP.exp(zk + ak * t) for zk, ak in zip(z, a, strict=True)]
        return -z[1] - a[1] * t + MP.log(MP.fsum(terms))

    for ball, truth in zip(found, MP.taylor(loss, 0, 12), strict=True):
        assert MP.almosteq(exact(ball), truth, 1e-30, 1e-30)


def test_the_recursion_in_fractions_is_the_symbolic_derivative_exactly():
    a = [Fraction(2), Fraction(-1, 3), Fraction(1, 2)]
    found = log_coefficients([Fraction(1), Fraction(2), Fraction(5, 7)], a, 5)
    logits = dict(zip(partition.logits(3), map(sympy.log, (1, 2, "5/7")), strict=True))
    slopes = dict(zip(partition.slopes(3), a, strict=True))
    symbolic = [
        sympy.nsimplify(sympy.simplify(c.subs(logits | slopes)))
        for c in partition.taylor_coefficients(3, 5)[2:]
    ]
    assert [sympy.Rational(c) for c in found[2:]] == symbolic
    assert all(isinstance(c, Fraction) for c in found)


def test_the_coefficients_of_two_tied_classes_are_bernoulli_numbers():
    """Of log cosh t: 2^(2n) (2^(2n) - 1) B_2n / (2n (2n)!)."""
    found = log_coefficients([Fraction(1), Fraction(1)], [Fraction(1), Fraction(-1)], 20)
    for n in range(1, 11):
        top, bottom = MP.bernfrac(2 * n)
        expected = Fraction(4**n * (4**n - 1) * top, 2 * n * math.factorial(2 * n) * bottom)
        assert (found[2 * n - 1], found[2 * n]) == (0, expected)


@EACH
def test_the_coefficients_are_power_sums_of_all_zeros(z, a):
    """Equation (2), its tail beyond |n| <= 3 multiples of 2 pi i bounded by an integral."""
    found = derivative(loss_coefficients(z, a, 16))
    rest = 2 * (max(a) - min(a)) / (2 * math.pi * 2.5) ** 16
    total = -2 * MP.fsum((t**-16).real for t in zeros(z, a))
    assert abs(exact(found[15]) - total) < rest
    assert rest < 1e-6 * abs(total)


def test_a_common_slope_and_masked_classes_change_nothing_beyond_the_first_order():
    plain = loss_coefficients([1.0, 0.0], [1.0, -1.0], 20)
    moved = loss_coefficients([1.0, -math.inf, 0.0], [2.0**40 + 1, 7.0, 2.0**40 - 1], 20)
    assert all(x.overlaps(y) for x, y in zip(plain, moved, strict=True))
    scale = [abs(float(x)) for x in plain]
    assert all(x.rad() < 1e-60 * max(y, 1e-9) for x, y in zip(moved, scale, strict=True))


@pytest.mark.parametrize(("z", "a"), [([1.0], [3.0]), ([1.0, 2.0], [0.1, 0.1])])
def test_without_zeros_there_are_no_coefficients_and_the_radius_is_infinite(z, a):
    found = loss_coefficients(z, a, 9)
    assert all(x == 0 for x in found[2:])
    assert pade_poles(derivative(found)) == []
    for radius in (
        root_test(found),
        ratio_test(found),
        domb_sykes(found),
        pair_ratio_test(found).radius,
        pair_domb_sykes(found).radius,
        abs(nearest_pole(derivative(found)).position),
    ):
        assert float(radius) == math.inf
    for pair in (pair_ratio_test(found), pair_domb_sykes(derivative(found))):
        assert (float(pair.radius), float(pair.angle)) == (math.inf, 0.0)


def test_an_even_or_odd_series_is_no_polynomial():
    """tanh t = t - t^3/3 + ...: zeros between, and an infinite radius for none of the first."""
    odd = derivative(log_coefficients([Fraction(1)] * 2, [1, Fraction(-1)], 12))
    for n in range(2, 12):
        assert float(root_test(odd[:n])) != math.inf
    assert float(pair_ratio_test(odd).radius) == pytest.approx(math.pi / 2, rel=1e-4)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("label", [0, 1])
def test_the_balls_are_as_narrow_as_promised_at_every_order(order, label):
    """Of classes far apart: all c_n of order 1 and higher are of the size of e^-200."""
    z, a = (200.0, 0.0, -1.0), (1.0, 3.0, -2.0)
    found = loss_coefficients(z, a, order, label)
    assert all(x.rad() < 2.0 ** (-64 - 32 * (order + 1)) * 5**n for n, x in enumerate(found))
    if order >= 3:
        pace = max(abs(exact(c)) ** (MP.one / n) for n, c in enumerate(found) if n >= 3)
        for n, c in enumerate(found):
            assert float(c.rad()) < 2.0 ** (-64 - 32 * (order + 1)) * float(pace**n)


def test_coefficients_that_cancel_are_found_small_in_finite_time():
    """Slopes 1 and -1 of equal logits: c_3 is 0, but that is seen in no precision."""
    found = loss_coefficients([1.0, 2.0, 2.0], [0.0, 1.0, -1.0], 3)
    assert found[3].contains(0)
    assert found[3].rad() < 1e-40


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float64("nan")])
@pytest.mark.parametrize("at", [0, 3, 5])
@pytest.mark.parametrize(
    "estimate",
    [
        derivative,
        root_test,
        ratio_test,
        domb_sykes,
        pair_ratio_test,
        pair_domb_sykes,
        pade_poles,
        nearest_pole,
    ],
)
def test_a_coefficient_that_is_not_finite_is_refused_by_name(estimate, at, bad):
    coefficients = [1.0, 0.5, -0.25, 0.1, 2.0, 3.0]
    coefficients[at] = bad
    with pytest.raises(ValueError, match=rf"coefficients\[{at}\] is {bad}; give finite ones"):
        estimate(coefficients)


def test_a_negative_order_is_refused():
    with pytest.raises(ValueError, match="order is -1; give 0 or more"):
        loss_coefficients([1.0, 0.0], [1.0, 0.0], -1)
    with pytest.raises(ValueError, match="order is -2; give 0 or more"):
        log_coefficients([1, 1], [1, 0], -2)


@pytest.mark.parametrize(
    ("z", "a", "label", "message"),
    [
        ([1.0, 2.0], [1.0], 0, "2 logits, 1 slopes, 2 curvatures|2 logits, 1 slopes, 1 curv"),
        ([1.0, math.nan], [1.0, 2.0], 0, r"logits\[1\] is nan; give finite"),
        ([1.0, math.inf], [1.0, 2.0], 0, r"logits\[1\] is inf; give finite"),
        ([1.0, 2.0], [1.0, math.inf], 0, r"slopes\[1\] is inf; give finite"),
        ([-math.inf, 2.0], [1.0, 2.0], 0, "label is 0, a class that its logit -inf masks"),
        ([1.0, 2.0], [1.0, 2.0], 2, "label is 2; give the index of one of the 2 classes"),
        ([1.0, 2.0], [1.0, 2.0], -1, "label is -1; give the index of one of the 2 classes"),
        ([], [], 0, "label is 0; give the index of one of the 0 classes"),
    ],
)
def test_what_is_no_problem_is_refused(z, a, label, message):
    with pytest.raises(ValueError, match=message):
        loss_coefficients(z, a, 4, label)


@pytest.mark.parametrize(
    ("estimate", "least"),
    [(root_test, 2), (ratio_test, 2), (domb_sykes, 4), (pair_ratio_test, 4), (pair_domb_sykes, 6)],
)
def test_too_few_coefficients_are_refused(estimate, least):
    coefficients = [Fraction((-1) ** (n // 2), 2**n) for n in range(least)]
    estimate(coefficients)
    with pytest.raises(
        ValueError, match=f"coefficients has length {least - 1}; give {least} or more"
    ):
        estimate(coefficients[1:])


# --- the estimates, and the order in which theory says they converge ---


def order(estimate, z, a, low=40, high=160):
    """p of an error that falls like n^-p."""
    at_low, at_high = (error(estimate(loss_coefficients(z, a, n)), z, a) for n in (low, high))
    return math.log(at_low / at_high) / math.log(high / low)


def rate(estimate, z, a, low=24, high=48):
    """q of an error that falls like q^n."""
    at_low, at_high = (
        error(estimate(derivative(loss_coefficients(z, a, n))), z, a) for n in (low, high)
    )
    return (at_high / at_low) ** (1 / (high - low))


# The first three, whose second pair is far enough that 160 coefficients are many.
SEPARATED = pytest.mark.parametrize(("z", "a"), PROBLEMS[:3])


@SEPARATED
def test_the_root_test_errs_by_log_n_over_n(z, a):
    errors = [error(root_test(loss_coefficients(z, a, n)), z, a) for n in (40, 160)]
    scaled = [e * n / math.log(n) for e, n in zip(errors, (40, 160), strict=True)]
    assert max(errors) < 0.15
    assert 0.5 < scaled[1] / scaled[0] < 2


@SEPARATED
def test_the_ratio_test_for_a_pair_errs_by_one_over_n(z, a):
    assert order(lambda c: pair_ratio_test(c).radius, z, a) == pytest.approx(1, abs=0.15)


@SEPARATED
def test_its_extrapolation_errs_by_one_over_n_cubed(z, a):
    assert order(lambda c: pair_domb_sykes(c).radius, z, a) > 2.2
    assert error(pair_domb_sykes(loss_coefficients(z, a, 160)).radius, z, a) < 3e-5


@SEPARATED
def test_of_simple_poles_the_ratio_test_for_a_pair_converges_geometrically(z, a):
    first, second = (abs(t) for t in zeros(z, a)[:2])
    assert rate(lambda c: pair_ratio_test(c).radius, z, a) == pytest.approx(
        float(first / second), rel=0.15
    )


@EACH
def test_the_pole_of_the_pade_approximant_is_the_nearest_zero(z, a):
    errors = []
    for n in (20, 40, 80):
        pole = nearest_pole(derivative(loss_coefficients(z, a, n)))
        errors.append(distance(pole, zeros(z, a)[0]))
        assert complex(pole.residue) == pytest.approx(1, abs=1e-3)
    assert errors[0] < 1e-4
    # Twice the coefficients, at least twice the digits.
    assert errors[1] < errors[0] ** 2
    assert errors[2] < max(errors[1] ** 2, 1e-35)


@EACH
def test_further_poles_are_the_next_zeros(z, a):
    poles = pade_poles(derivative(loss_coefficients(z, a, 80)))
    upper = [p for p in poles if float(p.position.imag) > 0]
    for pole, zero in zip(upper[:3], zeros(z, a)[:3], strict=True):
        assert distance(pole, zero) < 1e-6
        assert complex(pole.residue) == pytest.approx(1, abs=1e-4)


@EACH
def test_the_angles_are_those_of_the_nearest_zero(z, a):
    coefficients = loss_coefficients(z, a, 120)
    angle = float(MP.arg(zeros(z, a)[0]))
    assert float(pair_ratio_test(derivative(coefficients)).angle) == pytest.approx(angle, abs=1e-3)
    assert float(pair_domb_sykes(coefficients).angle) == pytest.approx(angle, abs=1e-2)


@pytest.mark.parametrize("seed", range(12))
def test_the_estimates_lie_where_the_certified_tier_says(seed):
    random = np.random.default_rng(seed)
    size = int(random.choice([2, 3, 10, 40]))
    z, a = random.choice([0.3, 2.0]) * random.standard_normal(size), random.standard_normal(size)
    proven = certify(z, a)
    c = loss_coefficients(z, a, 150)
    radius = float(abs(nearest_pole(derivative(c)).position))
    assert proven.lower * (1 - 1e-12) <= radius <= proven.upper * (1 + 1e-12)
    assert float(root_test(c)) == pytest.approx(proven.lower, rel=0.15)


@pytest.mark.parametrize("seed", range(6))
def test_with_curvatures_too(seed):
    random = np.random.default_rng(seed)
    z, a, b = random.standard_normal((3, int(random.choice([2, 3, 8]))))
    proven = certify(z, a, b / 4)
    c = loss_coefficients(z, a, 150, curvatures=b / 4)
    radius = float(abs(nearest_pole(derivative(c)).position))
    assert proven.lower * (1 - 1e-9) <= radius <= proven.upper * (1 + 1e-9)
    linear = certify(z, a)
    assert not linear.lower * (1 - 1e-6) <= radius <= linear.upper * (1 + 1e-6)


def test_the_coefficients_with_curvatures_are_the_derivatives():
    z, a, b = (0.5, -1.0, 0.25), (1.0, -2.0, 0.5), (0.75, 0.25, -1.0)

    def loss(t):
        terms = [MP.exp(x + s * t + c * t**2) for x, s, c in zip(z, a, b, strict=True)]
        return -z[2] - a[2] * t - b[2] * t**2 + MP.log(MP.fsum(terms))

    found = loss_coefficients(z, a, 9, label=2, curvatures=b)
    for ball, truth in zip(found, MP.taylor(loss, 0, 9), strict=True):
        assert MP.almosteq(exact(ball), truth, 1e-30, 1e-30)


# --- what must not be trusted, and is not ---


@EACH
def test_the_plain_ratio_never_settles_on_a_pair(z, a):
    """The broken variant: the test for a single singularity, with as many coefficients."""
    late = loss_coefficients(z, a, 120)
    plain = [error(ratio_test(late[:n]), z, a) for n in range(100, 121)]
    paired = [error(pair_ratio_test(late[:n]).radius, z, a) for n in range(100, 121)]
    assert max(plain) > 0.3
    assert max(paired) < 0.02


def test_on_a_single_singularity_it_is_the_plain_one_that_settles():
    """log(1 - t/2): where the two plain tests are at home."""
    coefficients = [Fraction(0)] + [Fraction(-1, n * 2**n) for n in range(1, 101)]
    assert float(ratio_test(coefficients)) == pytest.approx(2 * 100 / 99, rel=1e-12)
    assert float(domb_sykes(coefficients)) == pytest.approx(2, rel=1e-12)


def test_domb_sykes_finds_the_exponent_by_itself():
    """(1 - t)^(-3/2), with the ratios 1 + 1 / (2 n): by as much errs the plain test."""
    coefficients = [Fraction(1)]
    for n in range(1, 41):
        coefficients.append(coefficients[-1] * (1 + Fraction(1, 2 * n)))
    assert float(domb_sykes(coefficients)) == pytest.approx(1, rel=1e-12)
    assert abs(float(ratio_test(coefficients)) - 1) > 0.01


def test_two_pairs_at_one_distance_confuse_the_ratios_but_not_pade():
    """F even, its nearest zeros not on the imaginary axis: t, -t and their conjugates."""
    z, a = (0.3, 2.0, 0.3), (-1, 0, 1)
    c = loss_coefficients(z, a, 80)
    assert error(pair_ratio_test(derivative(c)).radius, z, a) > 0.1
    assert error(abs(nearest_pole(derivative(c)).position), z, a) < 1e-12
    assert error(root_test(c), z, a) < 0.1


def test_a_double_zero_has_the_residue_two():
    pole = nearest_pole(derivative(loss_coefficients([0.0, 0.0], [1.0, 0.0], 40)))
    double = log_coefficients([Fraction(1), Fraction(2), Fraction(1)], [0, Fraction(1), 2], 40)
    twice = nearest_pole(derivative(double))
    assert complex(pole.residue) == pytest.approx(1, abs=1e-12)
    assert complex(twice.residue) == pytest.approx(2, abs=1e-12)
    assert complex(twice.position) == pytest.approx(1j * math.pi, abs=1e-12)


def test_a_spurious_pole_is_passed_over():
    """A pole at 1/2 of residue 1e-3, like those that errors in coefficients make, before one at 1.

    1e-3 / (t - 1/2) + 1 / (t - 1)."""
    made = [-Fraction(2 ** (n + 1), 1000) - 1 for n in range(9)]
    first, *_ = pade_poles(made)
    assert complex(first.position) == pytest.approx(0.5)
    assert complex(nearest_pole(made).position) == pytest.approx(1)


def test_too_few_coefficients_for_a_pole_say_so():
    with pytest.raises(ValueError, match=r"no pole with the residue 1, 2, .* from 3 coefficients"):
        nearest_pole(derivative(loss_coefficients([0.5, 1.0, 0.2], [0.0, 1.0, 3.0], 3)))
