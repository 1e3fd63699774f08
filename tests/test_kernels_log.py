"""logsumexp and log_softmax stay below their proven bounds, and keep the contract at the edges."""

import math

import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.kernels import log_softmax, logsumexp
from softproof.kernels.log_softmax import ULP_BOUND
from softproof.kernels.logsumexp import ULP_BOUND as SUM_ULP_BOUND

INF, NAN = math.inf, math.nan
DTYPES = [np.float32, np.float64]

relentless = settings(derandomize=True, deadline=None, max_examples=200)


# --- truth: the definition in ball arithmetic at 2300 bits, where every float64 difference is exact


def exact_log_sum(row):
    """Return the maximum and log sum_j e^(x_j - max) as balls; terms below e^-2000 are 0."""
    highest = flint.arb(max(row))
    differences = [flint.arb(x) - highest for x in row if x > -INF]
    near = [d for d in differences if d > -2000]
    return highest, (sum((d.exp() for d in near), flint.arb(0))).log()


def ulp_error(computed, exact, unit_of, dtype):
    """Return an upper bound of |computed - exact| in ulps of the ball `unit_of`."""
    info = np.finfo(dtype)
    mantissa, exponent = unit_of.mid().man_exp()
    exponent = max(int(abs(mantissa)).bit_length() + int(exponent) - 1, int(info.minexp))
    exponent = exponent if mantissa != 0 else int(info.minexp)
    ulp = flint.arb(2) ** (exponent - int(info.nmant))
    return float((abs(flint.arb(float(computed)) - exact) / ulp).upper())


def worst_log_softmax_error(row):
    result = log_softmax(row)
    assert result.dtype == row.dtype
    with flint.ctx.workprec(2300):
        highest, log_sum = exact_log_sum(row.tolist())
        worst = 0.0
        for x, computed in zip(row.tolist(), result.tolist(), strict=True):
            if x == -INF:
                assert computed == -INF
                continue
            exact = (flint.arb(x) - highest) - log_sum
            if -exact > float(np.finfo(row.dtype).max):
                assert computed in (-INF, -np.finfo(row.dtype).max)
            else:
                worst = max(worst, ulp_error(computed, exact, exact, row.dtype))
        return worst


def logsumexp_error(row):
    result = logsumexp(row)
    assert result.dtype == row.dtype
    with flint.ctx.workprec(2300):
        highest, log_sum = exact_log_sum(row.tolist())
        exact = highest + log_sum
        unit_of = exact if abs(exact) > log_sum else log_sum
        return ulp_error(result, exact, unit_of, row.dtype)


# --- error bounds ---


def adversarial_rows(dtype):
    largest = float(np.finfo(dtype).max)
    rng = np.random.default_rng(0)
    return {
        "one class dominates": [17.0, 0.0],
        "one class dominates beyond 1 - u": [40.0, 0.0, -3.0],
        "others subnormal": [0.0, -740.0, -744.0, -744.5],
        "others subnormal, many": [0.0] + [-744.9] * 300,
        "others below everything": [0.0, -746.0, -900.0],
        "result cancels": [-math.log(2), -math.log(2)],
        "result cancels, many": [-math.log(300)] * 300,
        "huge offset": 1e7 + np.arange(70.0),
        "huge negative offset": -1e7 + np.arange(70.0),
        "tiny logit under a large maximum": [1e7, 1e-7, -1e-7],
        "mask -1e30": [0.5, -1e30, 1.5, -1e30],
        "mask lowest": [-largest] * 100 + [1.0, 2.0, 3.0],
        "mask -inf": [-INF] * 100 + [1.0, 2.0, 3.0],
        "all largest": [largest] * 3,
        "all lowest": [-largest] * 3,
        "half of largest apart": [largest / 2, -largest / 4],
        "ties": [2.5] * 64,
        "ascending": np.arange(70.0),
        "ascending by ulps": 1 + np.arange(70) * np.spacing(dtype(1)),
        "wide": rng.normal(size=500) * 30,
        "narrow": rng.normal(size=500),
    }


@pytest.mark.parametrize("name", sorted(adversarial_rows(np.float64)))
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_on_adversarial_rows(dtype, name):
    row = np.array(adversarial_rows(dtype)[name], dtype)
    assert worst_log_softmax_error(row) <= ULP_BOUND[row.dtype.name]
    assert logsumexp_error(row) <= SUM_ULP_BOUND[row.dtype.name]


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_at_every_length_around_the_lanes(dtype):
    logits = (np.random.default_rng(1).normal(size=130) * 8).astype(dtype)
    for length in [*range(1, 71), 127, 128, 129]:
        row = logits[:length]
        assert worst_log_softmax_error(row) <= ULP_BOUND[row.dtype.name]
        assert logsumexp_error(row) <= SUM_ULP_BOUND[row.dtype.name]


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_do_not_grow_with_the_length(dtype):
    row = (np.random.default_rng(2).normal(size=2**16 + 1) * 5).astype(dtype)
    result = log_softmax(row)
    with flint.ctx.workprec(200):
        highest, log_sum = exact_log_sum(row.tolist())
        for j in range(0, row.size, 100):
            exact = (flint.arb(float(row[j])) - highest) - log_sum
            assert ulp_error(result[j], exact, exact, dtype) <= ULP_BOUND[row.dtype.name]
        error = ulp_error(logsumexp(row), highest + log_sum, highest + log_sum, dtype)
        assert error <= SUM_ULP_BOUND[row.dtype.name]


@pytest.mark.parametrize("spread", [1.0, 60.0, 800.0, 1e10, None])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_on_searched_rows(dtype, spread):
    limit = float(dtype(spread)) if spread else float(np.finfo(dtype).max)
    element = st.floats(-limit, limit, width=32 if dtype == np.float32 else 64)
    elements = st.lists(st.one_of(element, element, st.just(-INF)), min_size=1, max_size=30)

    @relentless
    @given(elements.filter(lambda row: max(row) > -INF))
    def search(elements):
        row = np.array(elements, dtype)
        assert worst_log_softmax_error(row) <= ULP_BOUND[row.dtype.name]
        assert logsumexp_error(row) <= SUM_ULP_BOUND[row.dtype.name]

    search()


def test_log_softmax_rounds_once_where_the_shift_dominates():
    """As its proof says: ulp/2, and 4.92u log1p(T), which counts only next to the maximum."""
    row = np.random.default_rng(3).normal(size=50) * 1e9
    row = np.append(row, row.max())  # T = 1
    result = log_softmax(row)
    with flint.ctx.workprec(2300):
        highest, log_sum = exact_log_sum(row.tolist())
        for x, computed in zip(row.tolist(), result.tolist(), strict=True):
            exact = (flint.arb(x) - highest) - log_sum
            share = float((log_sum / abs(exact)).upper())
            error = ulp_error(computed, exact, exact, np.float64)
            assert error <= 0.5 + 4.92 * share + 1e-6


def test_a_dominating_class_keeps_its_relative_accuracy():
    assert log_softmax(np.array([17, 0], np.float32))[0] == np.float32(-4.1399376e-08)
    dominant = log_softmax([37.42994775023705, 0.0])[0]
    assert dominant == pytest.approx(-5.55111512312578e-17, rel=1e-14)
    assert logsumexp([0.0, -40.0]) == 4.248354255291589e-18


# --- the contract at the edges ---


@pytest.mark.parametrize("dtype", DTYPES)
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
    np.testing.assert_array_equal(logsumexp(np.array(row, dtype)), dtype(expected))


@pytest.mark.parametrize("position", [0, 1, 63, 64, 129])
@pytest.mark.parametrize("special", [NAN, INF])
@pytest.mark.parametrize("rest", [0.0, -INF, -1e30])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_or_inf_anywhere_makes_the_whole_row_of_log_softmax_nan(dtype, rest, special, position):
    logits = np.full((3, 130), rest, dtype)
    logits[[0, 2], 5] = 1.0
    logits[1, position] = special
    result = log_softmax(logits)
    assert np.isnan(result[1]).all()
    assert not np.isnan(result[[0, 2]]).any()


@pytest.mark.parametrize("length", [1, 2, 65])
@pytest.mark.parametrize("filler", [-INF, INF, NAN])
def test_log_softmax_without_a_finite_element_is_nan(filler, length):
    assert np.isnan(log_softmax(np.full(length, filler))).all()


def test_log_softmax_of_a_masked_class_is_minus_infinity():
    assert log_softmax([-INF, 3.0, -INF]).tolist() == [-INF, 0.0, -INF]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
def test_empty_rows(shape):
    assert log_softmax(np.empty(shape)).shape == shape
    assert logsumexp(np.empty(shape)).shape == shape[:-1]


# --- shapes ---


def test_logsumexp_reduces_the_last_axis():
    assert logsumexp(np.zeros((2, 3, 4), np.float32)).shape == (2, 3)


def test_logsumexp_of_one_row_is_a_scalar_of_the_dtype():
    assert isinstance(logsumexp(np.zeros(4, np.float32)), np.float32)


def test_logsumexp_writes_to_out():
    out = np.empty(())
    assert logsumexp([0.0, 0.0], out=out) is out
    assert out == math.log(2)
