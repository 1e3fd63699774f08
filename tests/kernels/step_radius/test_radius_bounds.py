"""The bounds of one sample: a minimum is bounded, not sampled, and nothing is rounded up."""

import math
from fractions import Fraction

import numpy as np
import pytest
from mpmath import MPContext
from softproof.kernels.arithmetic import directed
from softproof.kernels.step_radius import radius_bounds
from softproof.kernels.step_radius.radius import radius

MP = MPContext()
MP.dps = 40

TOLERANCE = radius_bounds.TOLERANCE


# --- truth: equation (6), written down at 40 digits; nothing here is shared with the kernel ---


def height(z, a, s):
    """s^2 + y_min(s)^2 at 40 digits, inf where a class holds more than half the mass."""
    s = MP.mpf(float(s))
    z, a = [MP.mpf(float(x)) for x in z], [MP.mpf(float(x)) for x in a]
    exponents = [zk + ak * s for zk, ak in zip(z, a, strict=True)]
    weights = [MP.exp(x - max(exponents)) for x in exponents]
    p = [w / MP.fsum(weights) for w in weights]
    if max(p) > 0.5:
        return MP.inf
    mean = MP.fsum(pk * ak for pk, ak in zip(p, a, strict=True))
    variance = MP.fsum(pk * (ak - mean) ** 2 for pk, ak in zip(p, a, strict=True))
    return s**2 + max((MP.pi / (max(a) - min(a))) ** 2, 2 / variance)


def heights(z, a, s, halves=True, factor=2.0, ddof=0):
    """The same in float64 for many s at once, to search with - and, with other arguments, wrong."""
    x = z + np.outer(s, a)
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    variance = (p * (a - (p @ a)[:, None]) ** 2).sum(axis=1) * len(z) / (len(z) - ddof)
    with np.errstate(divide="ignore"):
        squares = s**2 + np.maximum((np.pi / np.ptp(a)) ** 2, factor / variance)
    return np.where((p.max(axis=1) > 0.5) & halves, np.inf, squares)


def minimum(z, a, points=2001, zooms=3, **wrong):
    """An abscissa at which the height is about least: a dense search, refined.

    The abscissas where two classes tie are among the first: a class that holds nearly all the mass
    loses it in a narrow window around them.
    """
    i, j = np.triu_indices(len(z) if len(z) <= 30 else 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ties = (z[i] - z[j]) / (a[j] - a[i])
    ties = ties[np.isfinite(ties)]
    # Beyond the root of any height that is met, the square of the abscissa alone is more.
    reach, best = 1.0 / np.ptp(a), np.inf
    while best == np.inf:
        reach *= 2.0
        best = heights(z, a, np.append(np.linspace(-reach, reach, 101), ties), **wrong).min()
    reach = math.sqrt(best)
    s = np.concatenate([np.linspace(-reach, reach, points), ties])
    width = 2.0 * reach / (points - 1)
    for _ in range(zooms):
        at = s[heights(z, a, s, **wrong).argmin()]
        s = np.append(np.linspace(at - width, at + width, points), at)
        width *= 2.0 / (points - 1)
    return s[heights(z, a, s, **wrong).argmin()]


def plain(z, a, points=2001, zooms=3, **wrong):
    """The variance bound as one would write it down: the least height met, without a guarantee."""
    at = minimum(z, a, points, zooms, **wrong)
    return MP.sqrt(float(heights(z, a, np.array([at]), **wrong)[0]))


@pytest.fixture(scope="module")
def samples():
    """Samples with the height's minimum over s, found by a search: an upper bound, and close."""
    rng = np.random.default_rng(4)
    cases = []
    for classes, count in ((3, 12), (5, 12), (10, 12), (100, 5), (1000, 2)):
        for scale in (0.5, 2.0, 8.0):
            for _ in range(count):
                z, a = scale * rng.standard_normal(classes), rng.standard_normal(classes)
                a *= 2.0 ** rng.integers(-30, 30)
                cases.append((z, a, MP.sqrt(height(z, a, minimum(z, a)))))
    return cases


def kernel_bound(z, a):
    return MP.mpf(float(radius(z, a).variance[0]))


def exceeded(bound, samples):
    """The samples for which bound(z, a) is above the minimum."""
    return [i for i, (z, a, truth) in enumerate(samples) if bound(z, a) > truth]


def short(bound, samples, share=TOLERANCE + 1e-3):
    """The samples for which bound(z, a) gives more of the minimum away than this share."""
    return [i for i, (z, a, truth) in enumerate(samples) if bound(z, a) < (1 - share) * truth]


# --- the variance bound ---


def test_the_minimum_over_the_real_part_is_never_exceeded_and_nearly_reached(samples):
    assert exceeded(kernel_bound, samples) == []
    assert short(kernel_bound, samples) == []


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        pytest.param(
            lambda z, a: plain(z, a, points=11, zooms=0), exceeded, id="sampled on a grid"
        ),
        pytest.param(lambda z, a: plain(z, a, factor=4.0), exceeded, id="4 / Var"),
        pytest.param(lambda z, a: plain(z, a, ddof=1), short, id="Var with n - 1"),
        pytest.param(lambda z, a: plain(z, a, halves=False), short, id="half-mass forgotten"),
        pytest.param(lambda z, a: kernel_bound(z, a) * (1 + 1e-9), exceeded, id="rounded up"),
        pytest.param(lambda z, a: radius(z, a).half_mass[0], short, id="half-mass alone"),
    ],
)
def test_the_check_catches_a_broken_variance_bound(broken, caught, samples):
    assert caught(broken, samples)


# --- between two abscissas ---


def scaled(z, a):
    """A sample as the bounds take it, and scratch."""
    gap, rise = np.empty((2, radius_bounds.padded(len(z))))
    exponent = radius_bounds.scale_exponent(a.min(), a.max())
    radius_bounds.load(z, a, len(z), int(z.argmax()), exponent, gap, rise)
    return gap, rise, exponent, radius_bounds.new_lanes()


def moments(sample, s):
    gap, rise, _, lanes = sample
    point = np.empty(radius_bounds.ROWS)
    radius_bounds._moments(gap, rise, s, point, lanes)
    return point


@pytest.fixture(scope="module")
def intervals():
    """Two neighbouring points, and the heights at 200 abscissas between them."""
    rng = np.random.default_rng(11)
    cases = []
    for _ in range(300):
        z, a = rng.choice([1.0, 8.0]) * rng.standard_normal(6), rng.standard_normal(6)
        sample = scaled(z, a)
        ends = np.sort(rng.uniform(-8.0, 8.0, 2))
        between = np.linspace(*ends, 200) * 2.0 ** -sample[2]
        least = heights(z, a, between).min() * 4.0 ** sample[2]
        spread = math.pi / np.ptp(a) * 2.0 ** sample[2] * (1 - 1e-15)
        cases.append((moments(sample, ends[0]), moments(sample, ends[1]), spread, least))
    return cases


def bounds_above_a_height(intervals, damage=lambda p, q: None):
    found = 0
    for p, q, spread, least in intervals:
        p, q = p.copy(), q.copy()
        damage(p, q)
        radius_bounds._bound_between(p, q, spread)
        found += p[radius_bounds._LOWER] > least
    return found


def test_no_height_between_two_points_is_below_their_bound(intervals):
    assert bounds_above_a_height(intervals) == 0


def test_the_bound_between_two_points_closes_as_they_approach():
    z, a = np.array([1.0, 0.5, -0.5, 0.0]), np.array([0.0, 1.0, -1.0, 0.4])
    sample = scaled(z, a)
    p, q = moments(sample, 0.5), moments(sample, 0.5 + 1e-7)
    radius_bounds._bound_between(p, q, 0.1)
    truth = heights(z, a, np.array([0.5]) * 2.0 ** -sample[2])[0] * 4.0 ** sample[2]
    assert p[radius_bounds._LOWER] == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            lambda p, q: q.__setitem__(radius_bounds._MEAN, p[radius_bounds._MEAN]),
            id="distance of the means forgotten",
        ),
        pytest.param(
            lambda p, q: q.__setitem__(radius_bounds._VARIANCE, 0.9 * q[radius_bounds._VARIANCE]),
            id="variance too small",
        ),
        pytest.param(
            lambda p, q: (
                p.__setitem__(radius_bounds._MAJORITY, 0),
                q.__setitem__(radius_bounds._MAJORITY, 0),
            ),
            id="majority where there is none",
        ),
    ],
)
def test_the_check_catches_a_point_that_is_wrong(damage, intervals):
    assert bounds_above_a_height(intervals, damage)


# --- half-mass ---


def test_the_log_mass_is_bounded_from_above_and_sharp():
    rng = np.random.default_rng(2)
    for _ in range(100):
        z, a = rng.choice([1.0, 30.0]) * rng.standard_normal(7), rng.standard_normal(7)
        gap, rise, exponent, lanes = scaled(z, a)
        s = rng.uniform(-10.0, 10.0)
        others = [k for k in range(7) if k != z.argmax()]
        exponents = [
            (MP.mpf(z[k]) - MP.mpf(z.max()))
            + (MP.mpf(a[k]) - MP.mpf(a[z.argmax()])) * s * MP.mpf(2) ** -exponent
            for k in others
        ]
        truth = MP.log(MP.fsum(MP.exp(x) for x in exponents))
        h = radius_bounds.log_mass(gap, rise, s, np.inf, lanes)[0]
        assert truth <= h <= truth + 2e-13 * (1 + abs(truth))


def test_a_sum_that_is_given_up_is_too_large():
    z, a = np.zeros(5000), np.linspace(-1.0, 1.0, 5000)
    gap, rise, _, lanes = scaled(z, a)
    assert radius_bounds.log_mass(gap, rise, 0.0, 1.0, lanes)[0] > 0.0
    assert radius_bounds.half_mass_interval(gap, rise, False, False, lanes) == (0.0, 0.0)


def test_the_near_end_of_the_interval_is_found_without_the_far_one():
    rng = np.random.default_rng(3)
    for _ in range(200):
        z, a = 8 * rng.standard_normal(5), rng.integers(-2, 3, 5).astype(float)
        if np.ptp(a) == 0:
            continue
        gap, rise, _, lanes = scaled(z, a)
        ends = bool(a[z.argmax()] == a.min()), bool(a[z.argmax()] == a.max())
        both = radius_bounds.half_mass_interval(gap, rise, *ends, lanes)
        near = radius_bounds.half_mass_distance(gap, rise, *ends, lanes)
        assert near == pytest.approx(min(both), rel=1e-11)


# --- arithmetic ---


def taylor(x, degree):
    """e^x as `exp_lean` has it, but with a polynomial of this degree."""
    n = round(x / math.log(2))
    r = x - n * math.log(2)
    return math.ldexp(sum(r**k / math.factorial(k) for k in range(degree + 1)), n)


def worst_exp_error(exp):
    rng = np.random.default_rng(6)
    x = np.concatenate([rng.uniform(-708.0, 708.0, 2000), rng.uniform(-1.0, 1.0, 1000)])
    return max(abs(MP.mpf(float(exp(v))) / MP.exp(MP.mpf(float(v))) - 1) for v in x)


def test_exp_lean_keeps_its_error():
    assert worst_exp_error(radius_bounds.exp_lean) < radius_bounds.EXP_ERROR
    assert radius_bounds.exp_lean(0.0) == 1.0


def test_the_error_of_exp_lean_is_not_kept_with_a_term_less():
    assert worst_exp_error(lambda x: taylor(x, 9)) > radius_bounds.EXP_ERROR


def test_exp_lean_is_cut_beyond_708():
    assert radius_bounds.exp_lean(-math.inf) == radius_bounds.exp_lean(-708.0)
    assert 0.0 < radius_bounds.exp_lean(-1e300) < 1e-307
    assert radius_bounds.exp_lean(1e300) == radius_bounds.exp_lean(708.0) > 1e307


POSITIVE = [5e-324, 1e-310, 2.0**-1022, 1e-300, 0.1, 1.0, 1.0 + 2.0**-52, 1e17, directed.LARGEST]


@pytest.mark.parametrize("x", POSITIVE)
def test_up_and_down_are_the_neighbours(x):
    assert directed.down(x) == math.nextafter(x, -math.inf)
    assert directed.up(x) == math.nextafter(x, math.inf)
    assert directed.up(-x) == math.nextafter(-x, math.inf)


def test_down_leads_back_from_infinity():
    assert directed.down(math.inf) == directed.LARGEST


def test_differences_and_products_lose_nothing():
    rng = np.random.default_rng(7)
    for x, y in rng.standard_normal((300, 2)) * np.exp2(rng.integers(-60, 60, (300, 2))):
        exact = Fraction(x) - Fraction(y)
        assert sum(map(Fraction, directed.two_difference(x, y))) == exact
        above = Fraction(directed.difference_up(x, y))
        assert exact <= above <= exact + abs(exact) / 2**52
        assert sum(map(Fraction, directed.two_product(x, y))) == Fraction(x) * Fraction(y)


@pytest.mark.parametrize("y", POSITIVE)
@pytest.mark.parametrize("x", [0.0, *POSITIVE])
def test_hypot_is_rounded_down_by_little(x, y):
    bound, truth = Fraction(directed.hypot_down(x, y)), Fraction(x) ** 2 + Fraction(y) ** 2
    assert bound**2 <= truth
    least = (bound * (1 + Fraction(1, 2**49)) + Fraction(2, 2**1074)) ** 2
    assert truth <= least or bound == directed.LARGEST


@pytest.mark.parametrize("exponent", [-1100, -1000, -60, 0, 60, 1000, 1100])
@pytest.mark.parametrize("x", POSITIVE)
def test_scaling_is_rounded_down_and_exact_where_it_can_be(x, exponent):
    scaled, truth = directed.scale_down(x, exponent), Fraction(x) * Fraction(2) ** exponent
    assert Fraction(scaled) <= truth
    if 2.0**-1022 <= truth <= directed.LARGEST:
        assert Fraction(scaled) == truth
    assert directed.scale_down(math.inf, exponent) == math.inf
