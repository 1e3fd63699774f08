"""logsumexp, log_softmax and its derivatives stay below their proven bounds; their edges."""

import math
from fractions import Fraction

import flint
import ml_dtypes
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.kernels import log_softmax, logsumexp
from softproof.kernels.arithmetic.log1p import log1p
from softproof.kernels.softmax_family.log_softmax import (
    DERIVATIVE_BOUND,
    ULP_BOUND,
    log_softmax_jvp,
    log_softmax_vjp,
)
from softproof.kernels.softmax_family.logsumexp import ULP_BOUND as SUM_ULP_BOUND
from softproof.kernels.softmax_family.passes import BLOCK

INF, NAN = math.inf, math.nan
DTYPES = [np.float32, np.float64]
ALL_DTYPES = [*DTYPES, np.float16, ml_dtypes.bfloat16]
SCALES = [1.0, 0.1, 3.7]

relentless = settings(derandomize=True, deadline=None, max_examples=200)


# --- truth: the definition in ball arithmetic at 2300 bits, where every float64 difference is exact


def exact_log_sum(row, scale=1.0):
    """Return s max and log sum_j e^(s (x_j - max)) as balls; terms below e^-2000 are 0."""
    s, highest = flint.arb(scale), flint.arb(max(row))
    differences = [s * (flint.arb(x) - highest) for x in row if x > -INF]
    near = [d for d in differences if d > -2000]
    others = sum((d.exp() for d in near), flint.arb(0)) - 1
    return s * highest, (1 + others).log()


def ulp_error(computed, exact, unit_of, dtype):
    """Return an upper bound of |computed - exact| in ulps of the ball `unit_of`."""
    info = ml_dtypes.finfo(dtype)
    mantissa, exponent = unit_of.mid().man_exp()
    exponent = max(int(abs(mantissa)).bit_length() + int(exponent) - 1, int(info.minexp))
    exponent = exponent if mantissa != 0 else int(info.minexp)
    ulp = flint.arb(2) ** (exponent - int(info.nmant))
    return float((abs(flint.arb(float(computed)) - exact) / ulp).upper())


def worst_log_softmax_error(row, scale=1.0, sample=None):
    result = log_softmax(row, scale=scale)
    assert result.dtype == row.dtype
    largest = float(ml_dtypes.finfo(row.dtype).max)
    with flint.ctx.workprec(2300 if row.size < 5000 else 300):
        highest, log_sum = exact_log_sum(row.tolist(), scale)
        worst = 0.0
        for j in range(row.size) if sample is None else sample:
            x, computed = float(row[j]), float(result[j])
            if x == -INF:
                assert computed == -INF
                continue
            exact = (flint.arb(scale) * flint.arb(x) - highest) - log_sum
            if -exact > largest:
                assert computed in (-INF, -largest)
            else:
                worst = max(worst, ulp_error(computed, exact, exact, row.dtype))
        return worst


def logsumexp_error(row, scale=1.0):
    result = logsumexp(row, scale=scale)
    assert result.dtype == row.dtype
    with flint.ctx.workprec(2300 if row.size < 5000 else 300):
        highest, log_sum = exact_log_sum(row.tolist(), scale)
        exact = highest + log_sum
        if abs(exact) > float(ml_dtypes.finfo(row.dtype).max):
            assert abs(result) in (INF, ml_dtypes.finfo(row.dtype).max)
            return 0.0
        unit_of = exact if abs(exact) > log_sum else log_sum
        return ulp_error(result, exact, unit_of, row.dtype)


def assert_within_bounds(row, scale=1.0, sample=None):
    name = row.dtype.name
    assert worst_log_softmax_error(row, scale, sample) <= ULP_BOUND[name], (row.size, scale)
    assert logsumexp_error(row, scale) <= SUM_ULP_BOUND[name], (row.size, scale)


# --- error bounds ---


def adversarial_rows(dtype):
    largest = float(ml_dtypes.finfo(dtype).max)
    rng = np.random.default_rng(0)
    return {
        "one class dominates": [17.0, 0.0],
        "one class dominates beyond 1 - u": [40.0, 0.0, -3.0],
        "others subnormal": [0.0, -740.0, -744.0, -744.5],
        "others subnormal, many": [0.0] + [-744.9] * 300,
        "others subnormal in float32": [0.0] + [-102.5] * 300,
        "others below everything": [0.0, -746.0, -900.0],
        "result cancels": [-math.log(2), -math.log(2)],
        "result cancels, many": [-math.log(300)] * 300,
        "huge offset": 1e7 + np.arange(70.0),
        "huge negative offset": -1e7 + np.arange(70.0),
        "around the offset where references move": 11355 + np.arange(70.0) / 8,
        "tiny logit under a large maximum": [1e7, 1e-7, -1e-7],
        "mask -1e30": [0.5, -1e30, 1.5, -1e30],
        "mask lowest": [-largest] * 100 + [1.0, 2.0, 3.0],
        "mask -inf": [-INF] * 100 + [1.0, 2.0, 3.0],
        "all largest": [largest] * 3,
        "all lowest": [-largest] * 3,
        "largest and lowest": [largest, -largest, 0.0],
        "half of largest apart": [largest / 2, -largest / 4],
        "ties": [2.5] * 64,
        "ties after something": [1.0] * 20 + [2.5] * 3,
        "ascending": np.arange(70.0),
        "ascending by ulps": 1 + np.arange(70) * float(ml_dtypes.finfo(dtype).eps),
        "subnormal logits": [5e-324, 1e-310, 1e-42, 0.0],
        "wide": rng.normal(size=500) * 30,
        "narrow": rng.normal(size=500),
    }


@pytest.mark.parametrize("name", sorted(adversarial_rows(np.float64)))
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_bounds_on_adversarial_rows(dtype, name):
    with np.errstate(over="ignore"):
        row = np.array(adversarial_rows(dtype)[name]).astype(dtype)
    if -INF < float(row.max()) < INF:  # not so 1e7 in float16
        for scale in SCALES:
            assert_within_bounds(row, scale)


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_bounds_at_every_length_around_the_lanes(dtype):
    logits = (np.random.default_rng(1).normal(size=130) * 8).astype(dtype)
    for length in [*range(1, 71), 127, 128, 129]:
        assert_within_bounds(logits[:length])


AROUND = [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 17]


@pytest.mark.parametrize("offset", [0.0, 11360.0, -11360.0, -3e7])
@pytest.mark.parametrize("length", AROUND)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_around_the_length_of_a_stretch(dtype, length, offset):
    """The offsets are around and beyond that where references move."""
    row = (np.random.default_rng(length).normal(size=length) * 5 + offset).astype(dtype)
    sample = [*range(50), *range(length - 50, length), int(row.argmax())]
    assert_within_bounds(row, sample=sample)


@pytest.mark.parametrize("dtype", DTYPES)
def test_stretches_of_all_kinds_are_merged(dtype):
    """Ties over stretches, a masked one, one far below, maximum first, last and in between."""
    lows = [-20.0, -INF, -INF, -16000.0, -700.0]
    stretches = [np.full(BLOCK, low) for low in lows]
    for at in ([0], [BLOCK], [2 * BLOCK + 3, 5], [5 * BLOCK - 1], [0, 1, 3 * BLOCK + 9]):
        for base in (0.0, 11350.0, -8000.0):
            row = np.concatenate(stretches) + base
            row[at] = base + 1.5
            row[BLOCK + 7] = max(row[BLOCK + 7], base - 30.0)
            sample = [*at, 7, BLOCK + 7, 3 * BLOCK + 1, 5 * BLOCK - 1]
            assert_within_bounds(row.astype(dtype), sample=sample)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ["random", "ascending", "crumbs"])
def test_bounds_do_not_grow_with_the_length(dtype, shape):
    rng = np.random.default_rng(2)
    row = {
        "random": rng.normal(size=2**16 + 1) * 5,
        "ascending": np.linspace(0, 200, 2**16 + 1),
        "crumbs": np.where(np.arange(2**16 + 1) < 64, 0, -36.84),  # 1 + e^-36.84 rounds to 1
    }[shape].astype(dtype)
    assert_within_bounds(row, sample=[*range(0, row.size, 500), int(row.argmax())])


@pytest.mark.parametrize("spread", [1.0, 60.0, 800.0, 1e10, None])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_on_searched_rows(dtype, spread):
    limit = float(dtype(spread)) if spread else float(np.finfo(dtype).max)
    element = st.floats(-limit, limit, width=32 if dtype == np.float32 else 64)
    elements = st.lists(st.one_of(element, element, st.just(-INF)), min_size=1, max_size=30)

    @relentless
    @given(elements.filter(lambda row: max(row) > -INF), st.sampled_from(SCALES))
    def search(elements, scale):
        assert_within_bounds(np.array(elements, dtype), scale)

    search()


def worst_after_rounding(before):
    """Largest |fl(w) - v| in ulps of v, for v and w at most `before` ulps of v apart.

    Tried on a format of 8 bits, with v below a power of two in sixteenths of an ulp; beyond 2^8
    numbers are 2 apart.
    """
    worst = Fraction(0)
    for v in (Fraction(k, 16) for k in range(16 * 200, 16 * 256)):
        w = v + before
        unit = 2 if w >= 256 else 1
        for nearest in (math.floor(w / unit) * unit, math.ceil(w / unit) * unit):
            if abs(nearest - w) <= Fraction(unit, 2):
                worst = max(worst, nearest - v)
    return worst


@pytest.mark.parametrize(
    ("bounds", "units"),
    [
        (ULP_BOUND, {"float32": 3.65 + 2.0**-20, "float64": 8.0}),
        (SUM_ULP_BOUND, {"float32": 2.65 + 2.0**-20, "float64": 8.0}),
    ],
    ids=["log_softmax", "logsumexp"],
)
def test_bounds_hold_where_the_last_rounding_goes_to_the_next_binade(bounds, units):
    """`units`: what the docstrings prove of the result before it is rounded, in u."""
    for name, before in units.items():
        # In sixteenths of an ulp rounded up, so that ties are tried: 1/16 above what is proven.
        worst = worst_after_rounding(Fraction(math.ceil(16 * before), 16))
        assert worst == Fraction(math.ceil(16 * before), 16) + 1
        assert bounds[name] >= before + 1
        assert bounds[name] <= before + 1.05


def test_bounds_are_not_vacuous():
    """Some row comes within a factor of four of the bound, in float64 of seven."""
    rng = np.random.default_rng(3)
    for dtype, factor in zip(DTYPES, (4, 7), strict=True):
        logits = np.append(rng.random((1000, 1)), -9 * rng.random((1000, 2)), axis=1).astype(dtype)
        worst = max(worst_log_softmax_error(row) for row in logits)
        assert worst >= ULP_BOUND[np.dtype(dtype).name] / factor


def test_a_dominating_class_keeps_its_relative_accuracy():
    assert log_softmax(np.array([17, 0], np.float32))[0] == np.float32(-4.1399376e-08)
    dominant = log_softmax([37.42994775023705, 0.0])[0]
    assert dominant == pytest.approx(-5.55111512312578e-17, rel=1e-14)
    assert logsumexp([0.0, -40.0]) == pytest.approx(math.exp(-40), rel=1e-15)


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])
@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_scales(dtype, scale):
    assert_within_bounds(
        np.array([3.0, -1.0, 0.5] if scale < 1 else [2e-30, 0, 1e-29], dtype), scale
    )


@pytest.mark.parametrize("scale", [0.0, -1.0, NAN, INF, 2.0**101])
@pytest.mark.parametrize("function", [log_softmax, logsumexp])
def test_scales_out_of_range_are_refused(function, scale):
    with pytest.raises(ValueError, match="scale must be from"):
        function([1.0, 2.0], scale=scale)


@numba.njit(error_model="numpy")
def _log1p(t, result):
    for j in range(t.size):
        result[j] = log1p(t[j])


def test_log1p_is_within_its_bound():
    t = np.concatenate([np.logspace(-320, 18, 4001), np.linspace(0.5, 3.5, 4001), [0.0]])
    result = np.empty_like(t)
    _log1p(t, result)
    with flint.ctx.workprec(1200):
        for x, computed in zip(t.tolist(), result.tolist(), strict=True):
            exact = (1 + flint.arb(x)).log()
            assert abs(flint.arb(computed) - exact) <= 2.7 * 2.0**-53 * exact


# --- the contract at the edges ---


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([], -INF),
        ([-INF], -INF),
        ([-INF, -INF, -INF], -INF),
        ([1.0, INF], INF),
        ([INF, INF, -INF], INF),
        ([INF, NAN], NAN),
        ([NAN, INF], NAN),
        ([NAN], NAN),
        ([-INF, NAN], NAN),
        ([NAN, 1.0], NAN),
        ([-INF, 2.0], 2.0),
        ([-3.5], -3.5),
    ],
)
def test_logsumexp_at_the_edges(row, expected, dtype):
    for repeated in (1, BLOCK):  # in one stretch, and over several
        result = logsumexp(np.tile(np.array(row, dtype), repeated), scale=1.0)
        finite = math.isfinite(expected)
        shift = math.log(repeated) if finite else 0.0
        np.testing.assert_allclose(float(result), expected + shift, rtol=0.004, atol=0)


@pytest.mark.parametrize("position", [0, 1, 63, 64, 129, BLOCK - 1, BLOCK + 1])
@pytest.mark.parametrize("special", [NAN, INF])
@pytest.mark.parametrize("rest", [0.0, -INF, -1e4])
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_nan_or_inf_anywhere_makes_the_whole_row_of_log_softmax_nan(dtype, rest, special, position):
    for classes in (130, 3 * BLOCK):
        logits = np.full((3, classes), rest, dtype)
        logits[[0, 2], 5] = 1.0
        if position < classes:
            logits[1, position] = special
            for threads in (1, 2):
                result = log_softmax(logits, threads=threads)
                assert np.isnan(result[1]).all()
                assert not np.isnan(result[[0, 2]]).any()
                assert np.isnan(log_softmax(logits[1], threads=threads)).all()
                expected = INF if special == INF else NAN
                np.testing.assert_equal(float(logsumexp(logits[1], threads=threads)), expected)


@pytest.mark.parametrize("length", [1, 2, 65, BLOCK + 1])
@pytest.mark.parametrize("filler", [-INF, INF, NAN])
def test_log_softmax_without_a_finite_element_is_nan(filler, length):
    assert np.isnan(log_softmax(np.full(length, filler))).all()


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_log_softmax_of_a_masked_class_is_minus_infinity(dtype):
    assert log_softmax(np.array([-INF, 3.0, -INF], dtype)).tolist() == [-INF, 0.0, -INF]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
def test_empty_rows(shape):
    assert log_softmax(np.empty(shape)).shape == shape
    assert logsumexp(np.empty(shape)).shape == shape[:-1]
    assert log_softmax_vjp(np.empty(shape), np.empty(shape)).shape == shape


# --- shapes, axes, threads ---


def bits(array):
    return np.atleast_1d(array).view(f"u{array.dtype.itemsize}")


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_any_axis(axis, dtype):
    logits = np.random.default_rng(5).normal(size=(3, 4, 5)).astype(dtype)
    last = np.ascontiguousarray(np.moveaxis(logits, axis, -1))
    expected = np.moveaxis(log_softmax(last), -1, axis)
    np.testing.assert_array_equal(bits(log_softmax(logits, axis=axis)), bits(expected))
    out = np.empty_like(logits)
    assert log_softmax(logits, axis=axis, out=out) is not None
    np.testing.assert_array_equal(bits(out), bits(expected))
    sums = logsumexp(logits, axis=axis)
    np.testing.assert_array_equal(bits(sums), bits(logsumexp(last)))


@pytest.mark.parametrize("function", [log_softmax, logsumexp])
def test_an_axis_that_is_not_there_is_refused(function):
    with pytest.raises(ValueError, match="axis"):
        function(np.zeros((2, 3)), axis=2)


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("classes", [300, BLOCK, 40 * BLOCK + 3])
def test_threads_and_batches_give_the_same_bits(classes, dtype):
    """A row alone, in a batch, and shared out to threads."""
    count = max(1, 300000 // classes) + 1
    logits = (np.random.default_rng(6).normal(size=(count, classes)) * 5).astype(dtype)
    whole, sums = log_softmax(logits), logsumexp(logits)
    np.testing.assert_array_equal(bits(log_softmax(logits, threads=2)), bits(whole))
    np.testing.assert_array_equal(bits(logsumexp(logits, threads=2)), bits(sums))
    for i in (0, count - 1):
        np.testing.assert_array_equal(bits(log_softmax(logits[i], threads=2)), bits(whole[i]))
        assert bits(logsumexp(logits[i], threads=2)) == bits(sums[i])
        assert bits(logsumexp(logits[i])) == bits(sums[i])


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_streamed_stores_give_the_same_bits(dtype, stream_from):
    logits = (np.random.default_rng(7).normal(size=(7, 1003)) * 5).astype(dtype)
    expected = log_softmax(logits)
    stream_from(0)
    out = np.full((7, 1003), 9, dtype)
    log_softmax(logits, out=out)
    np.testing.assert_array_equal(bits(out), bits(expected))


def test_logsumexp_reduces_the_last_axis():
    assert logsumexp(np.zeros((2, 3, 4), np.float32)).shape == (2, 3)


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_logsumexp_of_one_row_is_a_scalar_of_the_dtype(dtype):
    assert isinstance(logsumexp(np.zeros(4, dtype)), np.dtype(dtype).type)


def test_logsumexp_writes_to_out():
    out = np.empty(())
    assert logsumexp([0.0, 0.0], out=out) is out
    assert out == math.log(2)


# --- derivatives, against the formula at 300 bits and exact sums ---


def derivative_error(kind, log_p, vector, scale, result):
    """Return the largest error in units u of the condition, beyond that of subnormal p."""
    dtype = log_p.dtype
    unit = 2.0 ** -(53 if dtype == np.float64 else 24)
    tiny = flint.arb(float(ml_dtypes.finfo(dtype).smallest_subnormal)) / 2
    worst = 0.0
    with flint.ctx.workprec(300):
        p = [flint.arb(float(x)).exp() if x > -INF else flint.arb(0) for x in log_p]
        v = [flint.arb(float(x)) for x in vector]
        weights = p if kind == "jvp" else [flint.arb(1)] * len(v)
        total = sum((w * x for w, x in zip(weights, v, strict=True)), flint.arb(0))
        size = sum((w * abs(x) for w, x in zip(weights, v, strict=True)), flint.arb(0))
        for p_i, v_i, y in zip(p, v, result, strict=True):
            share = flint.arb(1) if kind == "jvp" else p_i
            exact = flint.arb(scale) * (v_i - share * total)
            error = abs(flint.arb(float(y)) - exact) - tiny * (1 + flint.arb(scale) * size)
            if dtype.itemsize == 2:  # rounding to the format
                error -= abs(exact) * float(ml_dtypes.finfo(dtype).eps) * 0.5001
            condition = flint.arb(scale) * (abs(v_i) + share * size)
            if condition > 0:
                worst = max(worst, float((error / condition).upper()) / unit)
        return worst


DERIVATIVES = {"vjp": log_softmax_vjp, "jvp": log_softmax_jvp}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("kind", DERIVATIVES)
def test_derivatives_within_their_bound(kind, dtype, scale):
    rng = np.random.default_rng(8)
    for length, spread in [(1, 1), (2, 20), (33, 5), (130, 40), (BLOCK + 5, 3)]:
        log_p = log_softmax((rng.normal(size=length) * spread).astype(dtype))
        vector = abs(rng.normal(size=length)).astype(dtype)
        vector[: length // 2] *= dtype(-1)  # so that the sum cancels
        result = DERIVATIVES[kind](log_p, vector, scale=scale)
        assert result.dtype == log_p.dtype
        assert derivative_error(kind, log_p, vector, scale, result) <= DERIVATIVE_BOUND


def test_the_error_of_derivatives_would_show_a_wrong_formula():
    rng = np.random.default_rng(9)
    log_p, vector = log_softmax(rng.normal(size=33)), rng.normal(size=33)
    for wrong, right in [("vjp", "jvp"), ("jvp", "vjp")]:
        assert derivative_error(wrong, log_p, vector, 1.0, DERIVATIVES[right](log_p, vector)) > 1e9
    nearly = DERIVATIVES["vjp"](log_p, vector * (1 + 2.0**-48))
    assert derivative_error("vjp", log_p, vector, 1.0, nearly) > DERIVATIVE_BOUND


def test_derivatives_of_probabilities_that_are_powers_of_two_are_exact():
    """p = 1/4 four times: s (g - sum g / 4) of integers, but for the last bits of p."""
    log_p, vector = log_softmax(np.zeros(4)), np.array([1.0, 5.0, -2.0, 8.0])
    total = Fraction(12)
    for kind in DERIVATIVES:
        expected = [float(3 * (Fraction(v) - total / 4)) for v in vector]
        result = DERIVATIVES[kind](log_p, vector, scale=3.0)
        np.testing.assert_allclose(result, expected, rtol=1e-15)


def test_vjp_and_jvp_are_transposes():
    rng = np.random.default_rng(10)
    log_p = log_softmax(rng.normal(size=50) * 3)
    g, t = rng.normal(size=(2, 50))
    backward, forward = log_softmax_vjp(log_p, g, scale=0.7), log_softmax_jvp(log_p, t, scale=0.7)
    assert np.dot(backward, t) == pytest.approx(np.dot(g, forward), rel=1e-13)


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_masked_classes_have_no_part_in_derivatives(dtype):
    log_p = np.array([-INF, 0.0, -INF], dtype)
    vector = np.array([2.0, 3.0, 4.0], dtype)
    assert log_softmax_vjp(log_p, vector).tolist() == [2.0, -6.0, 4.0]
    assert log_softmax_jvp(log_p, vector).tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("kind", DERIVATIVES)
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_nan_log_probabilities_give_nan(kind, dtype):
    log_p = np.array([[NAN] * 3, [0.0, -INF, -INF]], dtype)
    result = DERIVATIVES[kind](log_p, np.ones((2, 3), dtype))
    assert np.isnan(result[0]).all()
    assert not np.isnan(result[1]).any()


@pytest.mark.parametrize("kind", DERIVATIVES)
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_derivatives_do_not_depend_on_layout(kind, dtype):
    """Any axis, strides, threads; out is new, the log-probabilities, or the vector."""
    rng = np.random.default_rng(11)
    log_p = log_softmax(rng.normal(size=(400, 500)).astype(dtype))
    vector = rng.normal(size=(400, 500)).astype(dtype)
    derivative = DERIVATIVES[kind]
    expected = derivative(log_p, vector)
    for result in (
        np.array([derivative(x, v) for x, v in zip(log_p[:5], vector[:5], strict=True)]),
        derivative(log_p, vector, threads=2)[:5],
        derivative(np.asfortranarray(log_p), vector)[:5],
        derivative(log_p.T, vector.T, axis=0).T[:5],
        derivative(log_p, vector, out=np.empty_like(vector))[:5],
        derivative(log_p, vector.copy(), out=log_p.copy())[:5],
    ):
        np.testing.assert_array_equal(bits(np.ascontiguousarray(result)), bits(expected[:5]))
    for i in (0, 1):
        arguments = [log_p.copy(), vector.copy()]
        assert derivative(*arguments, out=arguments[i]) is arguments[i]
        np.testing.assert_array_equal(bits(arguments[i]), bits(expected))


def test_unfit_arguments_of_derivatives_are_refused():
    log_p, vector = log_softmax(np.zeros((2, 3))), np.zeros((2, 3))
    with pytest.raises(TypeError, match="cotangent must have the dtype of log_probabilities"):
        log_softmax_vjp(log_p, vector.astype(np.float32))
    with pytest.raises(ValueError, match="tangent must have the shape of log_probabilities"):
        log_softmax_jvp(log_p, vector[0])
    base = np.zeros((3, 3))
    with pytest.raises(ValueError, match="out overlaps"):
        log_softmax_vjp(log_p, base[:2], out=base[1:])
    with pytest.raises(ValueError, match="scale must be from"):
        log_softmax_vjp(log_p, vector, scale=-1.0)
