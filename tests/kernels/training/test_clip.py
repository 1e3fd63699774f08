"""One clip: the factor keeps the step within r radii, the record says why."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from mpmath import MPContext
from softproof.kernels import BOUNDS, ClipRecord, clip_step, safe_radius


@pytest.fixture
def rng():
    return np.random.default_rng(20260313)


def tied(radii):
    """Logits and slopes of samples with these radii: two tied classes, rho = pi / Delta."""
    radii = np.asarray(radii, float)
    slopes = np.column_stack([math.pi / radii, np.zeros_like(radii)])
    return np.zeros_like(slopes), slopes


def random_batch(rng, samples=40, classes=5, scale=2.0):
    return (
        rng.normal(size=(samples, classes)) * scale,
        rng.normal(size=(samples, classes)) * rng.uniform(0.1, 30.0),
    )


# --- the record, against the closed form of two classes ---


@pytest.mark.parametrize("bound", ["half_mass", "variance", "exact"])
def test_two_classes_are_clipped_at_the_closed_form(bound, rng):
    for _ in range(50):
        (z1, z2), (a1, a2) = rng.normal(size=(2, 2)) * 5.0
        tau = rng.uniform(0.01, 10.0)
        fraction = math.hypot(z1 - z2, math.pi) / abs(a1 - a2)
        record = clip_step([[z1, z2]], [[a1, a2]], tau, bound=bound)
        expected = (tau, tau * fraction, 1.0 / fraction, min(1.0, fraction))
        assert record == pytest.approx(expected, rel=1e-12)


def test_the_spread_bound_clips_at_pi_over_delta(rng):
    logits, slopes = random_batch(rng)
    fraction = math.pi / np.ptp(slopes, axis=1).max()
    record = clip_step(logits, slopes, 3.0, bound="spread")
    assert record == pytest.approx((3.0, 3.0 * fraction, 1.0 / fraction, min(1.0, fraction)))


def test_a_higher_rung_never_takes_a_shorter_step(rng):
    for _ in range(20):
        batch = random_batch(rng)
        factors = [clip_step(*batch, 1.0, bound=bound).factor for bound in BOUNDS]
        assert factors == sorted(factors)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float32_counts_as_the_float64_of_the_same_value(dtype, rng):
    logits, slopes = (array.astype(np.float32) for array in random_batch(rng))
    wide = clip_step(logits.astype(np.float64), slopes.astype(np.float64), 1.0)
    assert clip_step(logits.astype(dtype), slopes.astype(dtype), 1.0) == wide


def test_tau_is_a_unit_of_the_record_and_does_not_move_the_factor(rng):
    batch = random_batch(rng)
    one, seven = clip_step(*batch, 1.0), clip_step(*batch, 7.0)
    assert (seven.factor, seven.r) == (one.factor, one.r)
    assert seven.rho == pytest.approx(7.0 * one.rho)


def test_one_sample_may_come_without_its_axis(rng):
    logits, slopes = random_batch(rng, samples=1)
    assert clip_step(logits[0], slopes[0], 1.0) == clip_step(logits, slopes, 1.0)


# --- the guarantee: factor <= r q, exactly ---


def check_never_beyond_the_target(clip, rng):
    for _ in range(300):
        batch = random_batch(rng, samples=3)
        target = rng.uniform(0.1, 3.0)
        factor = Fraction(clip(*batch, 1.0, bound="spread", r=target).factor)
        reach = Fraction(target) * Fraction(safe_radius(*batch, "spread").min())
        assert factor <= min(1, reach)
        assert factor >= min(1, reach) * (1 - Fraction(2) ** -51)  # and nothing is given away


def test_the_clipped_step_never_exceeds_the_target(rng):
    check_never_beyond_the_target(clip_step, rng)


def test_rounding_to_nearest_would_exceed_it(rng):
    def nearest(logits, slopes, tau, *, bound, r):
        return ClipRecord(tau, 0.0, 0.0, min(1.0, r * safe_radius(logits, slopes, bound).min()))

    with pytest.raises(AssertionError):
        check_never_beyond_the_target(nearest, rng)


def test_a_reach_of_one_step_up_to_rounding_counts_as_below_one():
    # 3 * fl(1/3) rounds to 1, but is below it.
    third = safe_radius(*tied([1.0 / 3.0]))[0]
    target = 1.0 / third
    factor = clip_step(*tied([1.0 / 3.0]), 1.0, r=target).factor
    assert Fraction(factor) <= Fraction(target) * Fraction(third)


# --- aggregation ---


def share_beyond(record, radii):
    """The share of the samples whose own radius is below the radius of the record."""
    return np.mean(np.asarray(radii) < record.rho / record.tau * (1 - 1e-12))


def check_quantile(clip, rng):
    for samples in (1, 2, 3, 10, 11, 100):
        radii = rng.uniform(0.1, 1.0, samples)
        for q in (0.001, 0.1, 0.25, 0.5, 0.9, 0.999):
            record = clip(*tied(radii), 1.0, aggregate=q)
            assert share_beyond(record, radii) <= q
            # An element of the batch, and the largest that the rank allows.
            assert np.abs(radii / record.rho - 1.0).min() < 1e-12
            assert record.rho == pytest.approx(np.quantile(radii, q, method="lower"))


def test_a_quantile_is_the_lower_order_statistic(rng):
    check_quantile(clip_step, rng)


@pytest.mark.parametrize("method", ["linear", "higher", "inverted_cdf"])
def test_other_quantiles_are_caught(method, rng):
    def broken(logits, slopes, tau, *, aggregate):
        fraction = np.quantile(safe_radius(logits, slopes), aggregate, method=method)
        return ClipRecord(tau, tau * fraction, 1.0 / fraction, min(1.0, fraction))

    with pytest.raises(AssertionError):
        check_quantile(broken, rng)


def test_min_is_the_smallest_radius():
    record = clip_step(*tied([3.0, 0.25, 0.5, 2.0]), 1.0)
    assert record.rho == pytest.approx(0.25)


def test_samples_that_bound_nothing_sort_last():
    logits, slopes = tied([0.5, 0.25, 1.0, 1.0])
    slopes[2:] = 0.0  # their radius is inf
    assert clip_step(logits, slopes, 1.0, aggregate="min").rho == pytest.approx(0.25)
    assert clip_step(logits, slopes, 1.0, aggregate=0.5).rho == pytest.approx(0.5)
    assert clip_step(logits, slopes, 1.0, aggregate=0.9).rho == math.inf


def check_no_sample_is_missed(clip):
    """Against the radii of all samples, where few of them are computed."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits, slopes = random_batch(rng, samples=300, classes=3, scale=rng.uniform(0.1, 8.0))
        slopes *= rng.uniform(0.5, 2.0, (300, 1))
        slopes[::7] = 0.0  # radius inf
        logits[::11, 0] = -np.inf
        for bound in BOUNDS:
            radii = np.sort(safe_radius(logits, slopes, bound))
            smallest = clip(logits, slopes, 1.0, bound=bound).rho
            assert smallest == pytest.approx(radii[0], rel=1e-9)
            for q in (0.01, 0.5, 0.8, 0.99):
                rho = clip(logits, slopes, 1.0, bound=bound, aggregate=q).rho
                # The interval of an exact radius may begin a trifle below the variance bound.
                assert rho == pytest.approx(radii[math.floor(q * 299)], rel=1e-9)


def test_the_samples_left_out_could_not_have_mattered():
    check_no_sample_is_missed(clip_step)


def test_leaving_out_a_sample_too_many_is_caught():
    def hasty(logits, slopes, tau, *, bound, aggregate="min"):
        first = safe_radius(logits, slopes, "half_mass").argsort()[:200]
        return clip_step(logits[first], slopes[first], tau, bound=bound, aggregate=aggregate)

    def trusting(logits, slopes, tau, *, bound, aggregate="min"):
        """The order of half_mass need not be that of the radius."""
        first = safe_radius(logits, slopes, "half_mass").argmin()
        return clip_step(logits[first], slopes[first], tau, bound=bound)

    for broken in (hasty, trusting):
        with pytest.raises(AssertionError):
            check_no_sample_is_missed(broken)


# --- edges ---

FREE = (math.inf, 0.0, 1.0)


def test_where_nothing_bounds_the_step_it_is_left_alone():
    assert clip_step(np.zeros((3, 1)), np.ones((3, 1)), 2.0) == (2.0, *FREE)  # one class
    assert clip_step(np.zeros((3, 4)), np.ones((3, 4)), 2.0) == (2.0, *FREE)  # equal slopes
    assert clip_step(np.zeros((0, 4)), np.ones((0, 4)), 2.0) == (2.0, *FREE)  # no sample
    assert clip_step(np.zeros((0, 4)), np.ones((0, 4)), 2.0, aggregate=0.5) == (2.0, *FREE)


def test_no_step_is_not_clipped():
    assert clip_step(np.zeros((3, 4)), np.zeros((3, 4)), 0.0) == (0.0, *FREE)


def test_an_infinite_target_only_logs():
    record = clip_step(*tied([1e-3]), 1.0, r=math.inf)
    assert record == pytest.approx((1.0, 1e-3, 1e3, 1.0))


def test_masked_classes_do_not_count(rng):
    logits, slopes = random_batch(rng)
    masked = np.insert(logits, 2, -np.inf, axis=1), np.insert(slopes, 2, 1e6, axis=1)
    assert clip_step(*masked, 1.0) == clip_step(logits, slopes, 1.0)


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e300, 1.7e308])
@pytest.mark.parametrize("tau", [5e-324, 1e-300, 1.0, 1e300])
def test_extreme_scales_give_numbers(scale, tau):
    record = clip_step([[0.0, 0.0]], [[scale, -scale]], tau, bound="spread")
    assert 0.0 <= record.factor <= 1.0
    assert 0.0 <= record.rho < math.inf
    assert record.r > 0.0
    assert (record.factor == 1.0) == (record.r < 1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_diverged_step_is_refused(bad, rng):
    logits, slopes = random_batch(rng)
    with pytest.raises(ValueError, match=r"tau must be finite .* the update has diverged"):
        clip_step(logits, slopes, bad)
    slopes[7, 2] = bad
    with pytest.raises(ValueError, match="slopes hold NaN or inf, first in sample 7"):
        clip_step(logits, slopes, 1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_diverged_logits_are_refused(bad, rng):
    logits, slopes = random_batch(rng)
    logits[3, 1] = bad
    with pytest.raises(ValueError, match=r"logits hold (NaN|\+inf), first in sample 3"):
        clip_step(logits, slopes, 1.0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"bound": "tight"},
            "bound must be one of spread, half_mass, variance, exact, got 'tight'",
        ),
        ({"aggregate": "mean"}, "aggregate must be \"min\" or a quantile .* got 'mean'"),
        ({"aggregate": 0.0}, "got 0.0"),
        ({"aggregate": 1.0}, "got 1.0"),
        ({"aggregate": math.nan}, "got nan"),
        ({"r": 0.0}, r"r must be above 0 \(inf never clips\), got 0.0"),
        ({"r": -1.0}, "got -1.0"),
        ({"r": math.nan}, "got nan"),
    ],
)
def test_settings_that_are_none_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        clip_step([[0.0, 0.0]], [[1.0, 0.0]], 1.0, **setting)


@pytest.mark.parametrize("bad", ["1", None, np.array([1.0, 2.0]), [1.0], 1j])
@pytest.mark.parametrize("name", ["tau", "r"])
def test_what_is_no_number_is_refused_by_name(name, bad):
    arguments = {"tau": 1.0, "r": 1.0, name: bad}
    advice = {"tau": "pass the norm of the whole update", "r": "pass the largest normalised step"}
    with pytest.raises(TypeError, match=f"{name} must be a number, got .*: {advice[name]}"):
        clip_step([[0.0, 0.0]], [[1.0, 0.0]], **arguments)


@pytest.mark.parametrize("name", ["bound", "aggregate"])
@pytest.mark.parametrize("bad", [None, 1j, ["min"], np.array([0.1, 0.2]), np.array(["min", "min"])])
def test_what_is_no_setting_at_all_is_refused_by_name(name, bad):
    with pytest.raises(ValueError, match=f"{name} must be "):
        clip_step([[0.0, 0.0]], [[1.0, 0.0]], 1.0, **{name: bad})


@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64, int, Fraction])
def test_numbers_of_other_types_are_numbers(number):
    plain = clip_step([[0.0, 0.0]], [[9.0, 0.0]], 2.0, r=2.0)
    assert clip_step([[0.0, 0.0]], [[9.0, 0.0]], number(2), r=number(2)) == plain


def test_a_negative_tau_is_refused():
    with pytest.raises(ValueError, match=r"tau must be finite and not negative, got -1\.0"):
        clip_step([[0.0, 0.0]], [[1.0, 0.0]], -1.0)


def test_other_dtypes_are_refused_as_the_radius_does():
    with pytest.raises(TypeError, match=r"logits must be float32 or float64, got float16"):
        clip_step(np.zeros((1, 2), np.float16), np.zeros((1, 2), np.float16), 1.0)


# --- the log ---


def test_a_record_goes_through_json_and_back(rng):
    for record in (clip_step(*random_batch(rng), 1.0), clip_step([[0.0]], [[1.0]], 1.0)):
        read = json.loads(json.dumps(record.jsonable(), allow_nan=False))
        read = {name: math.inf if value is None else value for name, value in read.items()}
        assert ClipRecord(**read) == record


# --- a loop in NumPy: logits X W are linear, so the prediction along the update is exact ---


def test_a_clipped_step_of_a_linear_model_stays_in_the_disc_of_convergence(rng):
    """The Taylor series of the loss along the update converges at the clipped step, not beyond."""
    X = rng.normal(size=(20, 4))
    W = rng.normal(size=(4, 2))
    update = 50.0 * rng.normal(size=(4, 2))
    Z, A = X @ W, X @ update
    record = clip_step(Z, A, np.linalg.norm(update), r=0.9)
    assert record.factor < 0.9  # the clip is at work

    # Taylor coefficients of log(1 + e^x) at x0 = z_1 - z_2, along the slope, by mpmath.
    mp = MPContext()
    mp.dps = 60
    worst = np.argmin(safe_radius(Z, A))
    gap, slope = mp.mpf(Z[worst, 0] - Z[worst, 1]), mp.mpf(A[worst, 0] - A[worst, 1])
    series = mp.taylor(lambda s: mp.log(1 + mp.exp(gap + slope * s)), 0, 40)

    def term(s):
        return abs(series[40]) * mp.mpf(s) ** 40

    inside, beyond = term(record.factor), term(record.factor * 2.0)
    assert inside < 0.9**40
    assert beyond > 1e3
