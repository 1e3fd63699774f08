"""Every softmax kernel stays below its proven bound, and keeps the contract at the edges."""

import math

import flint
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.kernels import ALGORITHMS, softmax
from softproof.kernels.arithmetic.exp import exp_pair, scale
from softproof.kernels.softmax_family.softmax import SCALED_ULP_BOUND, ULP_BOUND

INF, NAN = math.inf, math.nan
DTYPES = [np.float32, np.float64]
PROVEN = sorted(ULP_BOUND)
UNIT_ROUNDOFF = 2.0**-53
EXP_BOUND = 1.9

relentless = settings(derandomize=True, deadline=None, max_examples=150)


# --- truth: the definition in ball arithmetic at 400 bits, an enclosure with proof ---


def exact_softmax(row, factor=1.0):
    """Return the probabilities of the logits times `factor` as balls; those below e^-2000 are 0."""
    highest = flint.arb(max(row))
    differences = [factor * (flint.arb(x) - highest) if x > -INF else None for x in row]
    powers = [d.exp() if d is not None and d > -2000 else flint.arb(0) for d in differences]
    sum_ = sum(powers, flint.arb(0))
    return [power / sum_ for power in powers]


def ulp_error(computed, exact, dtype):
    """Return an upper bound of |computed - exact| in ulps of the exact value."""
    info = np.finfo(dtype)
    mantissa, exponent = exact.mid().man_exp()
    exponent = max(int(abs(mantissa)).bit_length() + int(exponent) - 1, int(info.minexp))
    if exact == 0:
        exponent = int(info.minexp)
    ulp = flint.arb(2) ** (exponent - int(info.nmant))
    return float((abs(flint.arb(float(computed)) - exact) / ulp).upper())


def worst_ulp_error(algorithm, row, factor=1.0):
    result = ALGORITHMS[algorithm](row, scale=factor)
    assert result.dtype == row.dtype
    with flint.ctx.workprec(400):
        truth = exact_softmax(row.tolist(), factor)
        return max(ulp_error(p, exact, row.dtype) for p, exact in zip(result, truth, strict=True))


# --- the exponential ---


@relentless
@given(st.floats(-(2.0**31), 2.0**31), st.floats(-0.5, 0.5))
def test_exp_pair_is_within_its_bound(high, fraction):
    low = fraction * math.ulp(high)
    m, n = exp_pair(high, low)
    assert n == round(n)
    assert 0.7 <= m <= 1.42
    with flint.ctx.workprec(400):
        exact = ((flint.arb(high) + flint.arb(low)) - flint.arb(n) * flint.arb(2).log()).exp()
        assert abs(flint.arb(m) / exact - 1) <= EXP_BOUND * UNIT_ROUNDOFF


def worst_exp_error(step):
    """Return the largest relative error, in units of 2^-53, over every `step`-th float32 whose
    modulus is in [2^-30, 11000], against the x87 exponential (64 bits, 2^-10 units off at most).
    """

    @numba.njit(error_model="numpy")
    def pairs(x, m, n):
        for j in range(x.size):
            m[j], n[j] = exp_pair(x[j], 0.0)

    first, last = (np.float32(x).view(np.int32) for x in (2.0**-30, 11000.0))
    worst = 0.0
    for start in range(int(first), int(last), step << 20):
        bits = np.arange(start, min(start + (step << 20), int(last)), step, np.int32)
        magnitude = bits.view(np.float32).astype(np.float64)
        for x in (magnitude, -magnitude):
            m, n = np.empty_like(x), np.empty_like(x)
            pairs(x, m, n)
            exact = np.ldexp(np.exp(x.astype(np.longdouble)), -n.astype(int))
            worst = max(worst, float(np.max(np.abs(m / exact - 1))) / UNIT_ROUNDOFF)
    return worst


needs_x87 = pytest.mark.skipif(np.finfo(np.longdouble).nmant != 63, reason="80-bit long double")


@needs_x87
def test_exp_of_a_sample_of_float32():
    assert 0.5 < worst_exp_error(997) <= EXP_BOUND + 2.0**-9


@needs_x87
@pytest.mark.long
def test_exp_of_every_float32():
    assert worst_exp_error(1) <= EXP_BOUND + 2.0**-9


@relentless
@given(st.floats(0.7, 1.42), st.integers(-1200, 1100))
def test_scale_rounds_once(m, n):
    expected = INF if n > 1024 or (n == 1024 and m >= 1) else math.ldexp(m, n)
    assert scale(m, float(n)) == expected


@pytest.mark.parametrize("n", [-1e300, -3e9, 3e9, 1e300, NAN])
def test_scale_of_extreme_exponents(n):
    assert scale(1.0, n) == (INF if n > 0 else 0.0)
    assert math.isnan(scale(NAN, n))


# --- error bounds ---


def adversarial_rows(dtype):
    """Rows that break implementations: each is named after what it attacks."""
    largest = float(np.finfo(dtype).max)
    tiny, deepest = (-103.9, -104.5) if dtype == np.float32 else (-745.1, -746.5)
    rng = np.random.default_rng(0)
    ulp = np.spacing(dtype(1))
    return {
        "one ulp apart": 1 + np.arange(70) * ulp,
        "descending": np.arange(70.0, 0, -1) * 10,
        "spike first": [30.0] + [0.0] * 99,
        "spike last": [0.0] * 99 + [30.0],
        "spike in the middle": [-5.0] * 77 + [700.0] + [-5.0] * 77,
        "huge offset": 1e7 + np.arange(70) * (1.0 if dtype == np.float32 else 0.1),
        "huge negative offset": -1e7 + np.arange(70) * (1.0 if dtype == np.float32 else 0.1),
        "beyond exact reduction": 3e9 + np.arange(70) * (256.0 if dtype == np.float32 else 1.0),
        "far below": -3e9 + np.arange(70) * (256.0 if dtype == np.float32 else 1.0),
        "at the limit of two_pass": [2.0**31 * math.log(2) + d for d in (-300, -1, 0, 1, 300)],
        "all lowest": [-largest] * 5,
        "all largest": [largest] * 5,
        "largest and lowest": [largest, -largest, 0.0, largest],
        "mask -1e30": [0.5, -1e30, 1.5, -1e30],
        "mask lowest": [-largest] * 100 + [1.0, 2.0, 3.0],
        "mask -inf": [-INF] * 100 + [1.0, 2.0, 3.0] + [-INF] * 100,
        "far mask under a deep row": [-1e9, -1e9 - 64, -1e30, -2.9e9],
        "subnormal results": [*np.linspace(tiny + 20, deepest, 99), 0.0],
        "subnormal sum of many": [0.0] + [tiny] * 500,
        "ties": [2.5] * 64,
        "climbing just below the lead": np.arange(40) * 63.9,
        "climbing just above the lead": np.arange(40) * 64.1,
        "one climb per block": np.repeat(np.arange(12) * 64.5, 64),
        "crowd just before the reference moves": [0.0] * 64 + [63.9] * 640 + [64.1] * 64,
        "wide": rng.normal(size=500) * 30,
        "narrow": rng.normal(size=500),
        "signed zeros": [0.0, -0.0, 0.0],
        "subnormal logits": [5e-324, 0.0, 1e-310, -5e-324],
    }


@pytest.mark.parametrize("name", sorted(adversarial_rows(np.float64)))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("algorithm", PROVEN)
def test_bound_on_adversarial_rows(algorithm, dtype, name):
    row = np.array(adversarial_rows(dtype)[name], dtype)
    assert worst_ulp_error(algorithm, row) <= ULP_BOUND[algorithm][np.dtype(dtype).name]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("algorithm", PROVEN)
def test_bound_at_every_length_around_the_lanes(algorithm, dtype):
    logits = (np.random.default_rng(1).normal(size=130) * 8).astype(dtype)
    for length in [*range(1, 71), 127, 128, 129]:
        error = worst_ulp_error(algorithm, logits[:length])
        assert error <= ULP_BOUND[algorithm][np.dtype(dtype).name], length


LONG_ROWS = {
    "random": np.random.default_rng(2).normal(size=2**16 + 1) * 5,
    "ascending": np.sort(np.random.default_rng(2).normal(size=2**16 + 1) * 200),
    "ascending slowly": np.linspace(0, 1, 2**16 + 1),  # each rescaling of a sum leaves its error
    "crumbs": np.where(np.arange(2**16 + 1) < 64, 0, -36.84),  # 1 + e^-36.84 rounds to 1
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(LONG_ROWS))
def test_bound_does_not_grow_with_the_length(name, dtype):
    row = LONG_ROWS[name].astype(dtype)
    with flint.ctx.workprec(200):
        truth = exact_softmax(row.tolist())
        sample = np.r_[0:200, 30000:30200, len(row) - 200 : len(row)]
        for algorithm in PROVEN:
            result = ALGORITHMS[algorithm](row)
            error = max(ulp_error(result[j], truth[j], dtype) for j in sample)
            assert error <= ULP_BOUND[algorithm][np.dtype(dtype).name], algorithm


def rows_of(dtype, low, high):
    width = 32 if dtype == np.float32 else 64
    low, high = (float(dtype(x)) for x in (low, high))
    element = st.floats(low, high, width=width)
    return st.lists(st.one_of(element, element, st.just(-INF)), min_size=1, max_size=40).filter(
        lambda row: max(row) > -INF
    )


@pytest.mark.parametrize("spread", [1.0, 60.0, 400.0, 1e10, None])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bound_on_searched_rows(dtype, spread):
    limit = spread or np.finfo(dtype).max

    @relentless
    @given(rows_of(dtype, -limit, limit))
    def search(elements):
        row = np.array(elements, dtype)
        for algorithm in PROVEN:
            bound = ULP_BOUND[algorithm][row.dtype.name]
            assert worst_ulp_error(algorithm, row) <= bound, algorithm

    search()


@pytest.mark.parametrize("factor", [0.1, 1 / 3, 3.0, 37.5])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("algorithm", PROVEN)
def test_bound_with_another_scale(algorithm, dtype, factor):
    rng = np.random.default_rng(8)
    bound = SCALED_ULP_BOUND[np.dtype(dtype).name]
    rows = [(rng.normal(size=100) * spread / factor).astype(dtype) for spread in (0.5, 4.0, 30.0)]
    rows += [np.array([0.0, -INF, 1.0, -100.0], dtype), np.full(50, 3.7, dtype)]
    worst = max(worst_ulp_error(algorithm, row, factor) for row in rows)
    assert 0.2 * bound <= worst <= bound


def test_the_bound_of_another_scale_is_what_the_proof_adds_up_to():
    # The exponential of a scaled float32 is as good as in float64: 1.65 - 1.41 twice.
    assert SCALED_ULP_BOUND["float32"] >= ULP_BOUND["online"]["float32"] + 2 * (1.65 - 1.41)
    assert SCALED_ULP_BOUND["float64"] == ULP_BOUND["online"]["float64"]


def test_bounds_are_not_vacuous():
    """Some row comes within a factor of 2.5 of each bound."""
    rng = np.random.default_rng(3)
    for algorithm in PROVEN:
        for dtype, share in [(np.float32, 0.4), (np.float64, 0.4)]:
            rows = (rng.normal(size=(40, 200)) * 8).astype(dtype)
            worst = max(worst_ulp_error(algorithm, row) for row in rows)
            assert worst >= share * ULP_BOUND[algorithm][np.dtype(dtype).name]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("algorithm", PROVEN)
def test_a_row_beyond_exact_reduction_in_place(algorithm, dtype):
    row = (3e9 + np.arange(70) * 256.0).astype(dtype)
    expected = ALGORITHMS[algorithm](row)
    ALGORITHMS[algorithm](row, out=row)
    np.testing.assert_array_equal(row, expected)


# --- the contract at the edges ---


@pytest.mark.parametrize("position", [0, 1, 63, 64, 129])
@pytest.mark.parametrize("special", [NAN, INF])
@pytest.mark.parametrize("rest", [0.0, -INF, 1e5, -1e30])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("algorithm", PROVEN)
def test_nan_or_inf_anywhere_makes_the_whole_row_nan(algorithm, dtype, rest, special, position):
    logits = np.full((3, 130), rest, dtype)
    logits[[0, 2], 5] = 1.0
    logits[1, position] = special
    result = ALGORITHMS[algorithm](logits)
    assert np.isnan(result[1]).all()
    assert not np.isnan(result[[0, 2]]).any()


@pytest.mark.parametrize("length", [1, 2, 64, 65])
@pytest.mark.parametrize("filler", [-INF, INF, NAN])
@pytest.mark.parametrize("algorithm", PROVEN)
def test_a_row_without_a_finite_element_is_nan(algorithm, filler, length):
    assert np.isnan(ALGORITHMS[algorithm](np.full(length, filler))).all()


@pytest.mark.parametrize("x", [0.0, -7.5, 1e30, -1e30, 1.7e308, -1.7e308, 5e-324])
@pytest.mark.parametrize("algorithm", PROVEN)
def test_one_finite_class_has_probability_one(algorithm, x):
    assert ALGORITHMS[algorithm]([x]).tolist() == [1.0]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 4)])
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_empty_in_empty_out(algorithm, shape):
    assert ALGORITHMS[algorithm](np.empty(shape)).shape == shape


# --- naive, the baseline ---


def test_naive_is_right_where_nothing_overflows():
    row = np.array([0.1, -2.0, 3.0])
    assert worst_ulp_error("naive", row) < 4


@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 88.7228), (np.float64, 709.78)])
def test_naive_breaks_where_the_exponential_overflows(dtype, limit):
    naive = ALGORITHMS["naive"]
    assert np.isfinite(naive(np.array([limit, 0], dtype))).all()
    assert np.isnan(naive(np.array([limit + 0.01, 0], dtype))[0])


def test_naive_works_in_the_dtype_of_its_input():
    """2^24 + 1 is not a float32: adding ones to 2^24 leaves it there."""
    row = np.zeros(2**24 + 8, np.float32)
    assert ALGORITHMS["naive"](row)[0] == np.float32(2.0**-24)
    assert softmax(row)[0] == np.float32(1 / (2**24 + 8))


# --- choosing by name ---


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_softmax_runs_the_algorithm_of_that_name(algorithm):
    row = np.random.default_rng(4).normal(size=100) * 20
    np.testing.assert_array_equal(softmax(row, algorithm=algorithm), ALGORITHMS[algorithm](row))


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"auto, naive, three_pass_recompute.*got 'fast'"):
        softmax([0.0], algorithm="fast")


def test_every_algorithm_but_the_naive_has_a_bound():
    assert set(ULP_BOUND) == set(ALGORITHMS) - {"naive"}
