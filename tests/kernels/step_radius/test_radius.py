"""The step radii: a series of lower bounds below the nearest zero, and the zero itself."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mpmath import MPContext
from scipy.optimize import brentq
from softproof.kernels.step_radius.radius import BOUNDS, Radius, radius, safe_radius

LARGEST = float(np.finfo(np.float64).max)
TINY = 5e-324

MP = MPContext()
MP.dps = 60


# --- truth, from the equations evaluated at 60 digits; nothing here is shared with the kernel ---


def unmasked(z, a):
    """The exact values of the classes that are not masked."""
    return [
        (MP.mpf(float(zk)), MP.mpf(float(ak))) for zk, ak in zip(z, a, strict=True) if zk > -np.inf
    ]


def spread_radius(z, a):
    slopes = [ak for _, ak in unmasked(z, a)]
    return MP.pi / (max(slopes) - min(slopes))


def binary_radius(z, a):
    (z1, a1), (z2, a2) = unmasked(z, a)
    return MP.hypot(z1 - z2, MP.pi) / abs(a1 - a2)


def top_holds_half(z, a, s):
    """Whether the top class of s = 0 holds at least half the mass at s."""
    classes = unmasked(z, a)
    z_top, a_top = classes.pop(max(range(len(classes)), key=lambda k: classes[k][0]))
    relative = [(zk - z_top) + (ak - a_top) * s for zk, ak in classes]
    # Above 0 one competitor alone is ahead of the top class; below -1000 it has no say.
    return max(relative) <= 0 and sum(MP.exp(e) for e in relative if e > -1000) <= 1


def within_half_mass(bound, z, a):
    """Whether bound <= hypot(s_half, pi / Delta): the equation is evaluated, not solved."""
    s = MP.sqrt(max(MP.mpf(float(bound)) ** 2 - spread_radius(z, a) ** 2, 0))
    return s == 0 or all(top_holds_half(z, a, at) for at in (0, s, -s))


def lowest_tie(z, a):
    """The least hypot(s, y_min(s)) of equation (6) over the s where two classes tie.

    Only those count where no class holds more than half the mass. No bound may be above.
    """
    classes, least = unmasked(z, a), MP.inf
    spread = spread_radius(z, a)
    for i, (zi, ai) in enumerate(classes):
        for zj, aj in classes[:i]:
            s = (zi - zj) / (aj - ai) if ai != aj else MP.mpf(0)
            exponents = [zk + ak * s for zk, ak in classes]
            weights = [MP.exp(max(x - max(exponents), -10000)) for x in exponents]
            if 2 * max(weights) <= sum(weights):
                mean = sum(w * ak for w, (_, ak) in zip(weights, classes, strict=True)) / sum(
                    weights
                )
                square = sum(
                    w * (ak - mean) ** 2 for w, (_, ak) in zip(weights, classes, strict=True)
                )
                y = max(spread, MP.sqrt(2 * sum(weights) / square)) if square else MP.inf
                least = min(least, MP.hypot(s, y))
    return least


def zeros_inside(z, a, r):
    """The number of zeros of F in |t| < r, by its winding number along the circle."""
    a = a - (a.max() + a.min()) / 2  # a factor without zeros: fewer turns to follow
    points = 4001 + int(8.0 * r * np.ptp(a))
    t = r * np.exp(1j * np.linspace(0.0, 2.0 * np.pi, points))
    exponents = z + np.outer(t, a)
    exponents -= exponents.real.max(axis=1, keepdims=True)
    # The subtracted maximum is real: it changes the modulus of F, not its winding.
    angle = np.unwrap(np.angle(np.exp(exponents).sum(axis=1)))
    return round((angle[-1] - angle[0]) / (2.0 * np.pi))


def nearest_zero(z, a):
    """The modulus of the nearest zero: Newton from a grid of starts, the best one polished."""
    reach = 12.0 * np.pi / np.ptp(a)
    grid = np.linspace(-reach, reach, 60)[:, None] + 1j * np.linspace(0.02, 1.0, 30) * reach
    t = grid.ravel()
    with np.errstate(all="ignore"):
        for _ in range(60):
            weights = np.exp(
                z + np.outer(t, a) - (z + np.outer(t.real, a)).max(axis=1, keepdims=True)
            )
            t = t - weights.sum(axis=1) / (weights @ a)
        found = np.abs(weights.sum(axis=1)) < 1e-10
    start = t[found][np.abs(t[found]).argmin()]
    classes = unmasked(z, a)
    return abs(
        MP.findroot(lambda t: sum(MP.exp(zk + ak * t) for zk, ak in classes), complex(start))
    )


def exceeded(bound, samples):
    """The check all bounds go through: the samples for which bound(z, a) is no lower bound."""
    return [i for i, (z, a, zero) in enumerate(samples) if bound(z, a) > zero]


def kernel_bound(z, a):
    return MP.mpf(float(radius(z, a).half_mass[0]))


def plain_half_mass(z, a, threshold=0.5):
    """The half-mass bound as one would write it down, without a guarantee."""
    z, a = np.asarray(z, float), np.asarray(a, float)

    def excess(s):
        p = np.exp(z + a * s - (z + a * s).max())
        return p[z.argmax()] / p.sum() - threshold

    roots = []
    for sign in (1.0, -1.0):
        far = sign * 1e3 / np.ptp(a)
        if excess(0.0) > 0.0 > excess(far):
            roots.append(abs(brentq(excess, 0.0, far, xtol=1e-14, rtol=1e-14)))
    return MP.mpf(math.hypot(min(roots, default=0.0), math.pi / np.ptp(a)))


@pytest.fixture(scope="module")
def samples():
    """Samples with the true distance to the nearest zero: binary ones, and 3 to 12 classes."""
    rng = np.random.default_rng(20261121)
    cases = []
    for scale in (0.5, 2.0, 8.0):
        for classes in (2, 2, 2, 3, 3, 4, 6, 12):
            z, a = scale * rng.standard_normal(classes), rng.standard_normal(classes)
            cases.append((z, a, binary_radius(z, a) if classes == 2 else nearest_zero(z, a)))
    return cases


# --- the bounds hold ---


def test_no_zero_is_nearer_than_the_bounds(samples):
    assert exceeded(kernel_bound, samples) == []
    for bound in BOUNDS:
        assert exceeded(lambda z, a, b=bound: MP.mpf(float(safe_radius(z, a, b)[0])), samples) == []


def test_the_true_zeros_are_the_nearest_ones(samples):
    for z, a, zero in samples:
        assert zeros_inside(z, a, float(zero) * (1 - 1e-4)) == 0
        assert zeros_inside(z, a, float(zero) * (1 + 1e-4)) > 0


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda z, a: plain_half_mass(z, a, threshold=0.4), id="threshold 0.4"),
        pytest.param(lambda z, a: kernel_bound(z, a) * (1 + 2.0**-40), id="rounded up"),
        pytest.param(
            lambda z, a: MP.hypot(max(z) - sorted(z)[-2], MP.pi) / np.ptp(a) * 1.01, id="top 2"
        ),
    ],
)
def test_the_check_catches_a_bound_that_is_too_large(broken, samples):
    assert exceeded(broken, samples)


def test_half_mass_solves_its_equation_to_1e_12_from_below(samples):
    for z, a, _ in samples:
        bound = radius(z, a).half_mass[0]
        assert within_half_mass(bound, z, a)
        assert not within_half_mass(bound * (1 + 1e-12), z, a)
        assert float(plain_half_mass(z, a)) == pytest.approx(bound, rel=1e-10)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e8, 1e16, 1e19])
def test_half_mass_is_sharp_for_logits_of_any_size(scale):
    z, a = scale * np.array([0.0, -1.0, -0.7, -2.0]), np.array([0.0, 1.0, -0.5, 2.5])
    bound = radius(z, a).half_mass[0]
    assert within_half_mass(bound, z, a)
    assert not within_half_mass(bound * (1 + 1e-12), z, a)


def test_half_mass_is_the_exact_radius_of_two_classes(samples):
    for z, a, zero in samples:
        if len(z) == 2:
            assert 0 <= 1 - kernel_bound(z, a) / zero < 1e-14


def test_exact_is_the_nearest_zero_within_its_error(samples):
    for z, a, zero in samples:
        radii = radius(z, a)
        if not radii.flagged[0]:
            assert abs(MP.mpf(float(radii.exact[0])) - zero) <= MP.mpf(float(radii.error[0]))
    assert sum(not radius(z, a).flagged[0] for z, a, _ in samples) > 0.9 * len(samples)


def test_the_spread_bound_is_attained_by_a_tie():
    bounds = radius([1.0, 1.0], [0.75, -0.25])
    assert bounds.spread[0] == pytest.approx(math.pi, rel=4e-16)
    assert bounds.exact[0] == math.pi


def test_a_majority_that_comes_later_does_not_count():
    # Class 0 holds 36 % at s = 0 and more than half only from s = 0.6 on: h(0) > 0 > h(5).
    z, a = [0.0, -0.1, -0.1, -20.0], [1.0, 0.0, 0.0, 3.0]
    assert top_holds_half(z, a, 5)
    assert not top_holds_half(z, a, 0)
    bounds = radius(z, a)
    assert bounds.half_mass[0] == bounds.spread[0]


def test_many_classes():
    rng = np.random.default_rng(3)
    z, a = rng.standard_normal(5000), rng.standard_normal(5000)
    z[7], a[7] = 30.0, 0.0
    bound = radius(z, a).half_mass[0]
    assert within_half_mass(bound, z, a)
    assert not within_half_mass(bound * (1 + 1e-10), z, a)


# --- thousands of problems, many of them meant to be hard ---


def problems(rng, kind, count, classes):
    """Logits and slopes of `count` samples; `kind` says what is hard about them."""
    z = np.exp2(rng.uniform(-3.0, 5.0, (count, 1))) * rng.standard_normal((count, classes))
    a = rng.standard_normal((count, classes))
    if kind == "ties":
        z, a = (
            rng.integers(-2, 3, (count, classes)) * 1.0,
            rng.integers(-1, 2, (count, classes)) * 1.0,
        )
    elif kind == "clusters":
        a = rng.integers(-1, 2, (count, classes)) + 1e-7 * a
    elif kind == "peaked":
        z[:, 0] = z.max(axis=1) + rng.uniform(0.0, 300.0, count)
    elif kind == "one-hot":
        a = np.eye(classes)[rng.integers(0, classes, count)] - 0.1 * np.exp(z - z.max())
    elif kind == "scales":
        a *= 10.0 ** rng.integers(-300, 300, (count, 1))
    elif kind == "offset":
        a += 1e6
        z -= 1e6
    elif kind == "masked":
        z[:, 1:][rng.random((count, classes - 1)) < 0.3] = -np.inf
    elif kind == "shut out":  # masked by a number, as is often done
        z[:, 1:][rng.random((count, classes - 1)) < 0.3] = -1e9
    return z, a


KINDS = ("plain", "ties", "clusters", "peaked", "one-hot", "scales", "offset", "masked", "shut out")


@pytest.mark.parametrize("classes", [2, 3, 5, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_no_rung_is_above_the_radius_of_thousands_of_problems(kind, classes):
    z, a = problems(np.random.default_rng([classes, KINDS.index(kind)]), kind, 150, classes)
    radii = radius(z, a)
    assert np.all(radii.spread <= radii.half_mass)
    assert np.all(radii.half_mass <= radii.variance)
    known = ~radii.flagged
    assert np.all(radii.variance[known] <= radii.exact[known])
    assert np.all(safe_radius(z, a)[known] <= radii.exact[known])
    assert np.all(safe_radius(z, a)[known] >= radii.exact[known] - 2 * radii.error[known])
    for i in range(0, 150, 10):
        if np.isfinite(radii.variance[i]) and radii.variance[i] * np.ptp(a[i]) < 1000:
            assert zeros_inside(z[i], a[i], float(radii.variance[i]) * (1 - 1e-3)) == 0
            if known[i]:
                assert zeros_inside(z[i], a[i], float(radii.exact[i]) * (1 + 1e-3)) > 0


@pytest.mark.parametrize("broken", ["spread", "variance"])
def test_counting_zeros_catches_a_rung_that_is_too_large(broken):
    z, a = problems(np.random.default_rng(0), "plain", 30, 5)
    bound = getattr(radius(z, a), broken) * (2.0 if broken == "spread" else 1.3)
    assert any(zeros_inside(z[i], a[i], float(bound[i])) for i in range(30))


def test_flagged_samples_fall_back_to_the_variance_bound():
    # A spread beyond the largest float is flagged.
    z, a = [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], [[LARGEST, -LARGEST, 0.0], [1.0, -1.0, 0.0]]
    radii, safe = radius(z, a), safe_radius(z, a)
    assert radii.flagged.tolist() == [True, False]
    assert safe[0] == radii.variance[0]
    assert safe[1] > radii.variance[1]


# --- the closed form of two classes ---

MAGNITUDES = st.sampled_from(
    [0.0, TINY, 1e-310, 1e-200, 1e-8, 0.5, 1.0, 30.0, 1e17, 1e18, 1e19, 1e200]
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(
    st.floats(-30.0, 30.0),
    MAGNITUDES,
    MAGNITUDES.map(lambda x: -x),
    FINITE,
    st.sampled_from([LARGEST, -LARGEST]),
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS).filter(lambda a: a[0] != a[1]))
@example((2.0**60, 0.0), (1.0, 0.0))
@example((2.0**60 - 2.0**7, 0.0), (1.0, 0.0))
def test_exact_is_one_of_the_two_floats_around_the_closed_form(z, a):
    exact, truth = float(radius(z, a).exact[0]), binary_radius(z, a)
    if truth > LARGEST:
        assert exact >= LARGEST
    else:
        assert math.nextafter(exact, 0.0) < truth < math.nextafter(exact, math.inf)


def test_exact_is_rounded_correctly_but_for_near_ties():
    # Double-double leaves an error of 2^-40 ulp before rounding: none of 2000 is that near a tie.
    rng = np.random.default_rng(17)
    z, a = rng.standard_normal((2, 2000, 2))
    z[:, 0] = np.exp2(rng.uniform(-10.0, 70.0, 2000))  # pi fades out of the closed form
    truth = [float(binary_radius(*case)) for case in zip(z, a, strict=True)]
    np.testing.assert_array_equal(radius(z, a).exact, truth)


# --- every input ---


@st.composite
def logits_and_slopes(draw):
    classes = draw(st.integers(2, 6))
    single = draw(st.booleans())
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False) if single else NUMBERS
    pool = draw(st.lists(numbers, min_size=1, max_size=classes))  # few values: ties
    logits = st.one_of(st.sampled_from([*pool, -math.inf]), numbers)
    z = draw(
        st.lists(logits, min_size=classes, max_size=classes).filter(lambda z: max(z) > -math.inf)
    )
    a = draw(
        st.lists(st.one_of(st.sampled_from(pool), numbers), min_size=classes, max_size=classes)
    )
    dtype = np.float32 if single else np.float64
    return np.array(z, dtype), np.array(a, dtype)


@settings(derandomize=True, deadline=None, max_examples=1000)
@given(logits_and_slopes())
@example((np.array([LARGEST, -LARGEST]), np.array([1.0, 0.0])))
@example((np.array([0.0, 0.0]), np.array([LARGEST, -LARGEST])))
@example((np.array([3.0, 0.0, 1.0]), np.array([0.0, LARGEST, -LARGEST])))
@example((np.array([3.0, 0.0, 1.0]), np.array([0.0, TINY, -TINY])))
@example(
    (np.array([-1.8446744073709437e19, 0.0, 1.0]), np.array([1e200, -1.0, 0.0]))
)  # rounding puts a Newton point left of the root
@example((np.array([LARGEST, 0.0, -LARGEST]), np.array([1.0, 1.0 + 2**-52, 1.0])))
def test_the_ladder_holds_on_every_input(case):
    z, a = case
    radii = radius(z, a)
    spread, half_mass, variance, exact, error = (float(values[0]) for values in radii[:5])
    flagged = bool(radii.flagged[0])
    assert flagged == math.isnan(exact) == math.isnan(error)
    slopes = [ak for _, ak in unmasked(z, a)]
    if min(slopes) == max(slopes):
        assert spread == half_mass == variance == exact == math.inf
        assert error == 0.0
        return
    assert 0.0 < spread <= half_mass <= variance <= LARGEST
    assert flagged or (variance <= exact and error >= 0.0)
    assert spread <= spread_radius(z, a)
    assert spread >= min(spread_radius(z, a) * (1 - MP.mpf(2) ** -50) - TINY * 2, LARGEST)
    assert within_half_mass(half_mass, z, a)
    assert variance <= lowest_tie(z, a)
    for bound, low in zip(BOUNDS, (spread, half_mass, variance), strict=False):
        assert safe_radius(z, a, bound)[0] == pytest.approx(low, rel=1e-11, abs=TINY)
    safe = safe_radius(z, a)[0]
    assert safe == variance if flagged else half_mass <= safe <= exact
    assert not (flagged and len(slopes) == 2)


def test_float32_converts_exactly():
    rng = np.random.default_rng(5)
    z, a = rng.standard_normal((2, 20, 7)).astype(np.float32)
    for single, double in zip(radius(z, a), radius(z.astype(float), a.astype(float)), strict=True):
        np.testing.assert_array_equal(single, double)
        assert single.dtype == double.dtype


def test_radii_scale_inversely_with_the_slopes_and_ignore_shifts():
    z, a = np.array([[4.0, 1.0, 0.0]]), np.array([[0.5, 1.0, -1.0]])
    plain = radius(z, a)
    for scaled, one in zip(radius(z, 8 * a)[:5], plain[:5], strict=True):
        np.testing.assert_array_equal(8 * scaled, one)
    shifted = radius(z + 16, a - 2)
    for moved, one in zip(shifted[:3], plain[:3], strict=True):
        np.testing.assert_array_equal(moved, one)
    assert abs(shifted.exact - plain.exact) <= shifted.error + plain.error


# --- definitions at the edges ---


@pytest.mark.parametrize(
    ("z", "a"),
    [
        pytest.param([1.0], [2.0], id="one class"),
        pytest.param([1.0, 0.0, -1.0], [2.0, 2.0, 2.0], id="equal slopes"),
        pytest.param([1.0, -np.inf], [2.0, 3.0], id="one unmasked class"),
    ],
)
def test_without_zeros_the_radius_is_infinite(z, a):
    assert [float(values[0]) for values in radius(z, a)] == [math.inf] * 4 + [0.0, False]
    assert [safe_radius(z, a, bound)[0] for bound in BOUNDS] == [math.inf] * 4


@pytest.mark.parametrize(
    ("z", "a"),
    [
        pytest.param([0.0, 0.0], [0.0, 2e-309], id="pi over a subnormal spread"),
        pytest.param([1e300, 0.0], [0.0, 1e-9], id="a gap of 1e300"),
        pytest.param([LARGEST, -LARGEST], [1.0, 0.0], id="a gap that overflows"),
    ],
)
def test_a_radius_beyond_the_largest_float_is_finite_all_the_same(z, a):
    assert binary_radius(z, a) > LARGEST
    radii = radius(z, a)
    assert (radii.exact[0], radii.error[0], radii.flagged[0]) == (math.inf, math.inf, False)
    assert radii.variance[0] == LARGEST
    assert safe_radius(z, a, "exact")[0] == LARGEST


def test_masked_classes_are_dropped():
    with_mask = radius([1.0, -np.inf, 0.0, -np.inf], [0.5, 9.0, -0.5, -9.0])
    without = radius([1.0, 0.0], [0.5, -0.5])
    assert with_mask == without
    assert with_mask.exact[0] > 0


def test_one_sample_may_be_passed_without_its_batch_axis():
    one = radius([1.0, 0.0, 0.0], [0.5, -0.5, 0.0])
    assert [values.shape for values in one] == [(1,)] * 6
    assert [safe_radius([1.0, 0.0], [0.5, -0.5], bound).shape for bound in BOUNDS] == [(1,)] * 4


def test_samples_are_independent():
    rng = np.random.default_rng(8)
    z, a = rng.standard_normal((2, 9, 5))
    batch = radius(z, a)
    for i in range(9):
        for whole, alone in zip(batch, radius(z[i], a[i]), strict=True):
            np.testing.assert_array_equal(whole[i : i + 1], alone)


def test_memory_layout_does_not_matter():
    rng = np.random.default_rng(9)
    z, a = rng.standard_normal((2, 9, 5))
    for strided, plain in zip(radius(z.T.copy().T, a[:, ::-1][:, ::-1]), radius(z, a), strict=True):
        np.testing.assert_array_equal(strided, plain)
    for swapped, plain in zip(radius(z.astype(">f8"), a), radius(z, a), strict=True):
        np.testing.assert_array_equal(swapped, plain)
    z.flags.writeable = False
    np.testing.assert_array_equal(safe_radius(z, a, "spread"), radius(z, a).spread)


def test_float32_and_float64_may_be_mixed():
    rng = np.random.default_rng(10)
    z, a = rng.standard_normal((2, 9, 5)).astype(np.float32)
    for bound in BOUNDS:
        mixed = safe_radius(z, a.astype(np.float64), bound)
        np.testing.assert_array_equal(mixed, safe_radius(z, a, bound))


def test_the_batch_is_the_minimum_over_the_samples():
    bounds = radius([[3.0, 0.0], [0.0, 0.0]], [[1.0, -1.0], [0.5, -0.5]])
    assert bounds.batch == tuple(float(values.min()) for values in bounds[:4])


def test_a_batch_has_an_exact_radius_only_if_all_samples_have():
    known = np.array([1.0, 2.0])
    exact = np.array([1.0, np.nan])
    bounds = Radius(known, known, known, exact, 0.0 * exact, np.isnan(exact))
    assert math.isnan(bounds.batch.exact)
    assert bounds.batch[:3] == (1.0, 1.0, 1.0)


def test_an_empty_batch():
    bounds = radius(np.zeros((0, 3)), np.zeros((0, 3)))
    assert [values.shape for values in bounds] == [(0,)] * 6
    assert bounds.batch == (math.inf,) * 4
    assert [safe_radius(np.zeros((0, 3)), np.zeros((0, 3)), b).shape for b in BOUNDS] == [(0,)] * 4


GOOD = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])


def with_entries(*entries):
    """GOOD with entries (sample, class, value) replaced."""
    array = GOOD.copy()
    for i, k, value in entries:
        array[i, k] = value
    return array


@pytest.mark.parametrize(
    ("z", "a", "error", "message"),
    [
        (
            GOOD.astype(int),
            GOOD,
            TypeError,
            r"logits must be float32 or float64, got int64: convert",
        ),
        (GOOD, GOOD.astype(np.float16), TypeError, r"slopes must be .*, got float16: convert"),
        (
            GOOD[None],
            GOOD[None],
            ValueError,
            r"logits must have shape .*, got \(1, 3, 2\): reshape",
        ),
        (np.float64(1.0), np.float64(1.0), ValueError, r"logits must have shape .*, got \(\)"),
        (
            GOOD,
            GOOD[:2],
            ValueError,
            r"slopes must have the shape of logits, \(3, 2\), got \(2, 2\)",
        ),
        (GOOD, GOOD[0], ValueError, r"slopes must have the shape of logits"),
        (np.zeros((3, 0)), np.zeros((3, 0)), ValueError, r"logits must hold at least one class"),
        (np.zeros(0), np.zeros(0), ValueError, r"logits must hold at least one class"),
        (with_entries((1, 0, np.nan)), GOOD, ValueError, r"logits hold NaN, first in sample 1"),
        (with_entries((2, 1, np.inf)), GOOD, ValueError, r"logits hold \+inf, first in sample 2"),
        (
            with_entries((1, 0, -np.inf), (1, 1, -np.inf)),
            GOOD,
            ValueError,
            r"logits mask every class \(-inf\), first in sample 1",
        ),
        (
            GOOD,
            with_entries((1, 0, np.nan)),
            ValueError,
            r"slopes hold NaN or inf, first in sample 1",
        ),
        (
            GOOD,
            with_entries((0, 1, -np.inf)),
            ValueError,
            r"slopes hold NaN or inf, first in sample 0",
        ),
    ],
)
def test_bad_input_is_refused_by_name(z, a, error, message):
    with pytest.raises(error, match=message):
        radius(z, a)
    for bound in BOUNDS:
        with pytest.raises(error, match=message):
            safe_radius(z, a, bound)


def test_an_unknown_bound_is_refused_by_name():
    with pytest.raises(ValueError, match=r"bound must be one of spread, .*, exact, got 'rouche'"):
        safe_radius(GOOD, GOOD, "rouche")
