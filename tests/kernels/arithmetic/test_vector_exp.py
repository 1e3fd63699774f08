"""The vector exponential: its error at every float32, and what it makes of extremes."""

import math

import flint
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.kernels.arithmetic.simd import (
    broadcast,
    keep_alive,
    lanes,
    load,
    offset,
    pointer,
    store,
)
from softproof.kernels.arithmetic.vector_exp import (
    EXP_ERROR,
    FAR,
    LOG2_E_PAIRS,
    exponential,
    layout,
    multiplier,
    power_pair,
    reference,
    reference_at,
)
from softproof.kernels.losses.cross_entropy_rows import HEADROOM

compiled = numba.njit(error_model="numpy")
UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
DTYPES = [np.float32, np.float64]

relentless = settings(derandomize=True, deadline=None, max_examples=300)


@compiled
def powers(x, w, n, high, low):
    """w and n of e^(s x) = w 2^n, for a multiple of a vector's lanes."""
    p, q, s = pointer(x), pointer(w), pointer(n)
    for i in range(0, x.size, lanes(p)):
        mantissa, exponent = power_pair(load(p, i), high, low)
        store(q, i, mantissa)
        store(s, i, exponent)
    keep_alive(x)
    keep_alive(w)
    keep_alive(n)


@compiled
def exponentials(x, e, maximum, high, low):
    """The stored exponentials of x under the reference of `maximum`, and its N and shift."""
    p, q = pointer(x), pointer(e)
    r = reference(p, maximum, high, low)
    for i in range(0, x.size, lanes(p)):
        store(offset(q, i), 0, exponential(p, load(p, i), r))
    keep_alive(x)
    keep_alive(e)
    return r.exponent, r.shift


@compiled
def bias_and_cut(x):
    _, bias, cut = layout(pointer(x))
    keep_alive(x)
    return bias, cut


@compiled
def lowest_formed(x, maximum, raised):
    """The least x whose own exponential is formed under the raised reference of a maximum."""
    p = pointer(x)
    r = reference(p, maximum, *LOG2_E_PAIRS[0])
    lowest = reference_at(p, r.exponent - raised, r.shift, *LOG2_E_PAIRS[0]).lowest
    keep_alive(x)
    return lowest


def worst_error(x):
    """Largest relative error of w 2^n = e^x over float32 x, in units of 2^-24.

    The truth is the C library's e^r in binary64, r = x - n ln 2 in 64 bits: 2^-28 units off.
    """
    w, n = np.empty_like(x), np.empty_like(x)
    powers(x, w, n, *multiplier(1.0, np.float32))
    ln2 = np.longdouble("0.693147180559945309417232121458176568")
    r = (x.astype(np.longdouble) - n.astype(np.longdouble) * ln2).astype(np.float64)
    return float(np.max(np.abs(w / np.exp(r) - 1))) / 2.0**-24


needs_x87 = pytest.mark.skipif(np.finfo(np.longdouble).nmant != 63, reason="80-bit long double")


CUT = bias_and_cut(np.zeros(16, np.float32))[1]
HIGHEST = np.float32(FAR / math.log2(math.e))
LOWEST = -np.float32((FAR + CUT + HEADROOM + 1) / math.log2(math.e))


def every_float32(step):
    """Blocks of every `step`-th float32 from LOWEST to -2^-30, and from 2^-30 to HIGHEST."""
    for sign, end in ((1, HIGHEST), (-1, LOWEST)):
        first, last = (int(np.float32(abs(x)).view(np.int32)) for x in (2.0**-30, end))
        for start in range(first, last, step << 20):
            bits = np.arange(start, start + (step << 20), step, np.int32)
            yield np.float32(sign) * np.minimum(bits, last).view(np.float32)


def test_every_exponential_that_is_formed_is_tried():
    """The lowest is CUT below a reference that cross_entropy has raised by HEADROOM."""
    high, _ = LOG2_E_PAIRS[0]
    near = np.float32(FAR / high)  # the largest M that a row is not moved by, or the next
    near = near if near * high <= FAR else np.nextafter(near, np.float32(0))
    formed = lowest_formed(np.zeros(16, np.float32), -float(near), HEADROOM)
    tried = [float(x) for block in every_float32(997) for x in (block.min(), block.max())]
    assert min(tried) <= formed < -11490
    assert max(tried) >= near


@needs_x87
def test_exp_of_a_sample_of_float32():
    assert 1.2 < max(map(worst_error, every_float32(997))) <= EXP_ERROR["float32"]


@needs_x87
def test_exp_where_the_exponents_are_largest():
    """Every 31st float32 from LOWEST to the lowest maximum that a row is not moved by."""
    first, last = (int(abs(x).view(np.int32)) for x in (HIGHEST, LOWEST))
    x = -np.arange(first, last + 1, 31, np.int32).view(np.float32)
    assert worst_error(x[: x.size // 16 * 16]) <= EXP_ERROR["float32"]


@needs_x87
@pytest.mark.long
def test_exp_of_every_float32():
    """Below 2^-30 e^x is 1 to the last bit, beyond LOWEST and HIGHEST no exponential is formed."""
    worst = max(map(worst_error, every_float32(1)))
    print(f"largest error of e^x over all float32: {worst:.4f} units of 2^-24")
    assert worst <= EXP_ERROR["float32"]


@pytest.mark.parametrize("scale", [1.0, 0.125, 1 / math.sqrt(96), 3.7, 2.0**-60])
@pytest.mark.parametrize("dtype", DTYPES)
def test_error_at_any_scale(dtype, scale):
    """The bound of `exp2_coefficients` for any multiplier: 1.65 u."""
    name = np.dtype(dtype).name
    high, low = multiplier(scale, dtype)
    x = np.random.default_rng(5).uniform(-700, 700, 1 << 10).astype(dtype) / dtype(scale)
    w, n = np.empty_like(x), np.empty_like(x)
    powers(x, w, n, high, low)
    with flint.ctx.workprec(200):
        ln2 = flint.arb(2).log()
        for v, m, k in zip(x.tolist(), w.tolist(), n.tolist(), strict=True):
            exact = (flint.arb(v) * flint.arb(scale) - flint.arb(k) * ln2).exp()
            assert abs(flint.arb(m) / exact - 1) <= 1.65 * UNIT_ROUNDOFF[name]


@pytest.mark.parametrize("dtype", DTYPES)
@relentless
@given(st.floats(-1e5, 1e5, width=32), st.floats(-60, 0, width=32))
def test_the_reference_rounds_nothing(dtype, maximum, distance):
    """Also beyond FAR, where the row is moved by its maximum."""
    x = np.zeros(64, dtype)
    x[0], x[1] = maximum, maximum + distance
    e = np.empty_like(x)
    high, low = multiplier(1.0, dtype)
    exponent, shift = exponentials(x, e, dtype(maximum), high, low)
    bias, _ = bias_and_cut(x)
    assert shift == (x[0] if abs(maximum * high) > FAR else 0)
    with flint.ctx.workprec(300):
        for v, computed in zip(x[:2].tolist(), e[:2].tolist(), strict=True):
            power = (flint.arb(v) - shift) - (flint.arb(exponent) - bias) * flint.arb(2).log()
            error = abs(flint.arb(computed) / power.exp() - 1)
            assert error <= EXP_ERROR[x.dtype.name] * UNIT_ROUNDOFF[x.dtype.name]


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_below_the_cut_is_stored_as_the_cut(dtype):
    largest = float(np.finfo(dtype).max)
    x = np.full(64, 3.0, dtype)
    x[1:6] = [-math.inf, -largest, -1e30, -1e9, 3.0 - 2000]
    e = np.empty_like(x)
    exponentials(x, e, dtype(3), *multiplier(1.0, dtype))
    bias, cut = bias_and_cut(x)
    assert len(set(e[1:6].tolist())) == 1
    assert e[1] == pytest.approx(2.0 ** (bias - cut), rel=1e-3)
    assert e[0] > 2.0**bias


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("maximum", ["largest", "lowest"])
def test_no_row_overflows(dtype, maximum):
    largest = float(np.finfo(dtype).max)
    top = largest if maximum == "largest" else -largest
    x = np.full(64, -largest, dtype)
    x[0] = top
    e = np.empty_like(x)
    exponentials(x, e, dtype(top), *multiplier(1.0, dtype))
    bias, cut = bias_and_cut(x)
    assert e[0] == 2.0**bias
    expected = 2.0**bias if maximum == "lowest" else 2.0 ** (bias - cut)
    assert e[1] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("scale", [1.0, 0.1, 1 / 3, 8.0, 2.0**100, 2.0**-100])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_multiplier_is_a_pair(dtype, scale):
    high, low = multiplier(scale, dtype)
    assert high == dtype(high)
    assert low == dtype(low)
    with flint.ctx.workprec(300):
        exact = flint.arb(scale) / flint.arb(2).log()
        bits = 47 if dtype == np.float32 else 104
        assert abs((flint.arb(high) + flint.arb(low)) / exact - 1) <= 2.0**-bits


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, 2.0**101, 2.0**-101])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(ValueError, match=r"scale must be from 2\*\*-100 to 2\*\*100, got"):
        multiplier(scale, np.float32)


def test_a_vector_is_filled_with_one_number():
    @compiled
    def filled(x):
        p = pointer(x)
        store(p, 0, broadcast(p, 2.5))
        keep_alive(x)

    x = np.zeros(16, np.float32)
    filled(x)
    assert (x == 2.5).all()
