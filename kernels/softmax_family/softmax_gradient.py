"""The derivative of softmax from its stored result p: v -> s p (v - sum_j p_j v_j), row by row.

The Jacobian s (diag p - p p^T) is symmetric. So the vector-Jacobian product of reverse mode and the
Jacobian-vector product of forward mode are one map, and here one kernel: the sum of the products
over a row, in blocks, then the row once more.

Error, with u = 2^-53 for float64, 2^-24 for the others, computed in float32; e the smallest
subnormal; D = sum_j p_j v_j; s exact in the format (else count one u more):

    |error_i| <= 4 u |y_i| + 2^-14 u s p_i sum_j p_j |v_j| + (1 + s p_i n / 2) e,

to which float16 and bfloat16 add half an ulp of theirs. So y_i is right within 4 ulps but where v_i
agrees with D in all but the last bits of sum_j p_j |v_j|. Proof:

* D. Products of float32 are exact in float64, those of 16 bits in float32 (but for e / 2 where that
  underflows). A lane adds up 128 of them, four lanes and eight are added, each rounding within
  2^-53: 2^-45 sum p |v| are lost at most. In float64 what a product lost is fma(p, v, -p v), what
  a sum lost TwoSum finds, both exactly, and adding up the losses of 256 terms a lane, and 2^19
  blocks of a row, loses n^2 u^2 sum p |v|, n = 2^19 (dot2 of Ogita, Rump & Oishi 2005, SIAM J.
  Sci. Comput. 26(6)), or e / 2 for a product that underflows. D is kept as D_high + D_low, D_low
  rounded: u^2 |D|.
* (v - D_high) - D_low. If v and D_high are within a factor of 2, the first difference is exact
  (Sterbenz). Otherwise it is at least |D_high| / 2, and |D_low| <= u |D_high| changes it little:
  2 u of the difference in either case.
* Times s and times p: u each, and e / 2 each if it underflows.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.exp import two_sum
from ..arithmetic.simd import (
    FLOAT32,
    VECTOR,
    broadcast,
    elements_to_alignment,
    extract_lane0,
    fence,
    fma,
    high_half,
    keep_alive,
    lanes,
    load,
    load_masked,
    low_half,
    offset,
    pointer,
    rotate_1,
    rotate_2,
    rotate_4,
    store,
    store_masked,
    store_stream,
)
from ..arithmetic.vector_exp import multiplier
from ..runtime import rows
from ..runtime.documented import documented
from ..runtime.jit import inline, jit
from .passes import BLOCK, GROUP, add, has_several_blocks, joined, sum_of_lanes

Result = NDArray[Any]


@documented
def softmax_vjp(
    probabilities: ArrayLike,
    cotangent: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Gradient with respect to the logits, from the probabilities p = softmax(s x).

    That is s p_i (g_i - sum_j p_j g_j), where g, the cotangent, is the gradient with respect to p:
    the vector-Jacobian product of reverse mode.

    Parameters
    ----------
    probabilities : array_like of shape (..., K, ...)
        What `softmax` returned: float32, float64, float16 or bfloat16, of any strides. Nothing asks
        whether they sum to 1.
    cotangent : array_like
        The g: an array of the shape and dtype of `probabilities`.
    {axis}
    {scale}
    {out_of_vector}
    {threads_long}

    Returns
    -------
    ndarray
        The gradient, of the shape and dtype of the arguments.

    Raises
    ------
    {type_error_of_vector}
    {value_error_of_vector}

    Notes
    -----
    A row that holds NaN or an infinity in either argument is NaN throughout, also where that class
    has probability 0. A class of probability 0 gets 0. A row of one class, p = 1, is 0. No classes
    or no rows give an empty result. Subnormal results are not flushed. s (g_i - sum_j p_j g_j) must
    not overflow, even where p is small.

    The result is right within 4 ulps but where g_i agrees with sum_j p_j g_j in nearly all bits;
    the bound and its proof stand in the docstring of the module
    `softproof.kernels.softmax_family.softmax_gradient`.

    Examples
    --------
    >>> softmax_vjp([0.5, 0.25, 0.25], [4.0, 0.0, 8.0]).tolist()
    [0.0, -1.0, 1.0]
    """
    arrays, names = (probabilities, cotangent), ("probabilities", "cotangent")
    return rows.call(PRODUCT, arrays, (scale,), axis, out, threads, names=names)


@documented
def softmax_jvp(
    probabilities: ArrayLike,
    tangent: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Change of p = softmax(s x) when x moves along t, to first order.

    That is s p_i (t_i - sum_j p_j t_j), the Jacobian-vector product of forward mode. The Jacobian
    is symmetric, so this is the map of `softmax_vjp`, to the same bits.

    Parameters
    ----------
    probabilities : array_like of shape (..., K, ...)
        What `softmax` returned: float32, float64, float16 or bfloat16, of any strides. Nothing asks
        whether they sum to 1.
    tangent : array_like
        The t: an array of the shape and dtype of `probabilities`.
    {axis}
    {scale}
    {out_of_vector}
    {threads_long}

    Returns
    -------
    ndarray
        The change, of the shape and dtype of the arguments.

    Raises
    ------
    {type_error_of_vector}
    {value_error_of_vector}

    Notes
    -----
    What happens for NaN, infinities, probabilities of 0 and empty rows, and the error, is as in
    `softmax_vjp`.

    Examples
    --------
    >>> softmax_jvp([0.5, 0.25, 0.25], [4.0, 0.0, 8.0], scale=0.5).tolist()
    [0.0, -0.5, 0.5]
    """
    arrays, names = (probabilities, tangent), ("probabilities", "tangent")
    return rows.call(PRODUCT, arrays, (scale,), axis, out, threads, names=names)


# --- from arrays to rows ---


def _options(dtype: Any, streams: bool, scale: float) -> tuple[float, bool]:
    multiplier(scale, dtype)  # refuses a scale out of range
    return float(scale), streams


def _product_long(
    threads: int, p: Result, v: Result, y: Result, scale: float, streams: bool
) -> None:
    """One long row, its blocks shared out to the threads."""
    sums = np.empty((-(-p.size // BLOCK), 2))

    def sum_up(first: int, last: int) -> None:
        _sums(p, v, sums, first, last)

    def write(first: int, last: int) -> None:
        here = slice(first * BLOCK, last * BLOCK)
        _write(p[here], v[here], y[here], sums, scale, streams)

    rows.share_out(sum_up, len(sums), threads)
    rows.share_out(write, len(sums), threads)


# --- the map, on rows ---


@jit
def _product(p: Any, v: Any, y: Any, scale: float, streams: bool) -> None:
    """Short rows go through each pass in groups, so that the sums of many are under way at once."""
    classes = p.shape[-1]
    count = p.size // max(classes, 1)
    p_, v_, y_ = pointer(p), pointer(v), pointer(y)
    group = max(1, GROUP // max(classes, 1))
    high, low = np.empty((2, group))
    for start in range(0, count, group):
        here = range(min(group, count - start))
        # Pass 1: D = sum_j p_j v_j of each row.
        for i in here:
            at = (start + i) * classes
            total, lost = sum_of_row(offset(p_, at), offset(v_, at), classes)
            high[i], low[i] = as_pair(p_, total, lost)
        # Pass 2: s p_i (v_i - D).
        for i in here:
            at = (start + i) * classes
            row = offset(p_, at), offset(v_, at)
            write_product(*row, classes, (high[i], low[i]), scale, offset(y_, at), streams)
    if streams:
        fence()
    keep_alive(p)
    keep_alive(v)
    keep_alive(y)


@inline
def sum_of_row(p: Any, v: Any, classes: int) -> tuple[float, float]:
    """The sum of p_j v_j over a row, and what that lost."""
    total = lost = 0.0
    for k in range(0, classes, BLOCK):
        part = sum_products(offset(p, k), offset(v, k), min(BLOCK, classes - k))
        total, lost = joined(total, lost, part)
    return total, lost


PRODUCT = rows.RowKernel(_product, _product_long, has_several_blocks, _options)


# --- of one row, its blocks shared out to threads ---


@jit
def _sums(p: Any, v: Any, sums: Any, first: int, last: int) -> None:
    p_, v_ = pointer(p), pointer(v)
    for k in range(first, last):
        here = min(BLOCK, p.size - k * BLOCK)
        sums[k, 0], sums[k, 1] = sum_products(offset(p_, k * BLOCK), offset(v_, k * BLOCK), here)
    keep_alive(p)
    keep_alive(v)


@jit
def _write(p: Any, v: Any, y: Any, sums: Any, scale: float, streams: bool) -> None:
    total = lost = 0.0
    for k in range(len(sums)):
        total, lost = joined(total, lost, (sums[k, 0], sums[k, 1]))
    mean = as_pair(pointer(p), total, lost)
    write_product(pointer(p), pointer(v), p.size, mean, scale, pointer(y), streams)
    if streams:
        fence()
    keep_alive(p)
    keep_alive(v)
    keep_alive(y)


# --- the passes ---


@inline
def sum_products(p: Any, v: Any, count: int) -> tuple[float, float]:
    """The sum of p_j v_j over a block, and what that lost: two float64."""
    width = lanes(p)
    a = b = no_products(p)
    pairs = count - count % (2 * width)
    for j in range(0, pairs, 2 * width):
        a = with_products(p, a, load(p, j), load(v, j))
        b = with_products(p, b, load(p, j + width), load(v, j + width))
    for j in range(pairs, count, width):
        here = min(width, count - j)
        a = with_products(p, a, load_masked(p, j, here, 0.0), load_masked(v, j, here, 0.0))
    return sum_of_products(p, a, b)


@inline
def write_product(
    p: Any, v: Any, count: int, mean: tuple[float, float], scale: float, y: Any, streams: bool
) -> None:
    """Write s p_i (v_i - D) of each element of a row to y; `mean` is D = sum_j p_j v_j, a pair."""
    width = lanes(p)
    head = min(count, elements_to_alignment(y)) if streams else 0
    pairs = head + (count - head) // (2 * width) * (2 * width)
    if head > 0:
        part = load_masked(p, 0, head, 0.0), load_masked(v, 0, head, 0.0)
        store_masked(y, 0, product(*part, mean, scale), head)
    for j in range(head, pairs, 2 * width):
        first_ = product(load(p, j), load(v, j), mean, scale)
        second = product(load(p, j + width), load(v, j + width), mean, scale)
        if streams:
            store_stream(y, j, first_)
            store_stream(y, j + width, second)
        else:
            store(y, j, first_)
            store(y, j + width, second)
    for j in range(pairs, count, width):
        here = min(width, count - j)
        last = product(load_masked(p, j, here, 0.0), load_masked(v, j, here, 0.0), mean, scale)
        store_masked(y, j, last, here)


@inline
def product(p: Any, v: Any, mean: tuple[float, float], scale: float) -> Any:
    """p (s (v - mean)): in this order nothing underflows that p >= 0 would enlarge again."""
    difference = (v - broadcast(v, mean[0])) - broadcast(v, mean[1])
    return p * (broadcast(v, scale) * difference)


# --- sums of products: two vectors of float64 at a time, in a format's own way ---


def no_products(p: Any) -> Any:
    """A sum of no products: where `with_products` begins."""
    raise NotImplementedError  # compiled code only


@overload(no_products, jit_options={"forceinline": True})
def _(p: Any) -> Any:
    if VECTOR[p.dtype] == FLOAT32:

        def of_float32(p: Any) -> Any:
            return low_half(broadcast(p, 0.0)), low_half(broadcast(p, 0.0))

        return of_float32

    def of_float64(p: Any) -> Any:
        return broadcast(p, 0.0), broadcast(p, 0.0)

    return of_float64


def with_products(p: Any, sum_: Any, a: Any, b: Any) -> Any:
    """The sum with a b, vectors of elements of p: for float32 and 16 bits the sums of the halves,
    for float64 the sum and what it lost."""
    raise NotImplementedError  # compiled code only


@overload(with_products, jit_options={"forceinline": True})
def _(p: Any, sum_: Any, a: Any, b: Any) -> Any:
    if p.dtype == types.float64:

        def of_float64(p: Any, sum_: Any, a: Any, b: Any) -> Any:
            rounded = a * b
            error = fma(a, b, broadcast(a, -0.0) - rounded)
            return add(sum_[0], sum_[1] + error, rounded)

        return of_float64
    if p.dtype == types.float32:

        def of_float32(p: Any, sum_: Any, a: Any, b: Any) -> Any:
            low = fma(low_half(a), low_half(b), sum_[0])
            return low, fma(high_half(a), high_half(b), sum_[1])

        return of_float32

    def of_16_bits(p: Any, sum_: Any, a: Any, b: Any) -> Any:
        exact = a * b
        return sum_[0] + low_half(exact), sum_[1] + high_half(exact)

    return of_16_bits


def sum_of_products(p: Any, a: Any, b: Any) -> tuple[float, float]:
    """The sum of all lanes of two sums of products, and what that lost."""
    raise NotImplementedError  # compiled code only


@overload(sum_of_products, jit_options={"forceinline": True})
def _(p: Any, a: Any, b: Any) -> Any:
    if VECTOR[p.dtype] == FLOAT32:

        def of_float32(p: Any, a: Any, b: Any) -> tuple[float, float]:
            v = (a[0] + b[0]) + (a[1] + b[1])
            v = v + rotate_4(v)
            v = v + rotate_2(v)
            return extract_lane0(v + rotate_1(v)), 0.0

        return of_float32

    def of_float64(p: Any, a: Any, b: Any) -> tuple[float, float]:
        total, lost = add(a[0], a[1] + b[1], b[0])
        return sum_of_lanes(total, lost)

    return of_float64


def as_pair(p: Any, total: float, lost: float) -> tuple[float, float]:
    """total + lost as a pair of numbers of the format that p is computed in."""
    raise NotImplementedError  # compiled code only


@overload(as_pair, jit_options={"forceinline": True})
def _(p: Any, total: float, lost: float) -> Any:
    if VECTOR[p.dtype] == FLOAT32:

        def of_float32(p: Any, total: float, lost: float) -> tuple[float, float]:
            high = np.float64(np.float32(total + lost))
            return high, (total + lost) - high

        return of_float32

    def of_float64(p: Any, total: float, lost: float) -> tuple[float, float]:
        return two_sum(total, lost)

    return of_float64
