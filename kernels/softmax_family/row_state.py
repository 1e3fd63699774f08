"""The state (M, T) of a row, which logsumexp, log_softmax and cross_entropy share.

M is the largest logit and T the sum of e^(s (x_j - M)) over all elements but one that is largest:
1 + T would round a small T away, and with it the log-probability of a class that dominates
(Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4)).

A row is read once, by blocks: a short row is one, a longer one has a block per BLOCK elements. Of a
block with maximum m and the reference (N, shift) that it gives, the sum runs over the exponentials
e^(s x) 2^(BIAS - N) of what is below m; how many equal m is counted. Let e(m) be the exponential of
m itself. Brought to the reference of M, the blocks of a row give

    T = (sum over blocks of f (sum + equal e(m)) - e(M)) / e(M),    f = 2^(N - N of M),

where e(M) is not subtracted but left out of the count. If a reference was moved (shift is not 0),
that of the row is moved to M, and f = 2^(N + a (shift - M)).

Error, with u the unit roundoff of the format and EXP_ERROR that of `exponential`. Terms are right
within EXP_ERROR, adding them in pairs rounds by u, and the sums of pairs are compensated.

    float32    All else is float64: T is right within EXP_ERROR + u, and 2^-20 u.
    float64    e(M) is off by 1.92u, and T is rounded once or, where an element equals M and the
               condition below is 0.72, twice: EXP_ERROR + 3.92u. In a row of several blocks with
               |s M| > 11000 e(M) is exact, f is off by 1.92u and its products by 3u at most, and
               equal e(m) takes the place of a term: 7.9u.

As T/((1 + T) log1p(T)) <= 1, log1p(T) inherits no more than the relative error of T.

An element below 2^-CUT of its block's largest, -inf included, counts as 2^-CUT of that; 2^31 of
them make out less than half the smallest subnormal number, of T and of every result that T is part
of.
"""

from typing import Any

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from ..arithmetic.exp import exp_pair, power_of_two, scale, two_sum
from ..arithmetic.simd import FLOAT64, VECTOR, fma, keep_alive, offset, pointer
from ..arithmetic.vector_exp import Reference, layout, reference, unshifted_reference
from ..runtime import rows
from ..runtime.jit import inline, jit
from .passes import AHEAD, BLOCK, GROUP, blocks_of, largest, sum_others

FEWEST = 8
"""Rows that go through the last step together at least: as many as a vector has float64."""

LN2 = float.fromhex("0x1.62e42fefa39efp-1")
LN2_ERROR = float.fromhex("0x1.abc9e3b39803fp-56")
"""ln 2 - LN2."""

LOWEST = -1300.0

Array = NDArray[Any]


# --- one row, or a group of short ones ---


@jit
def rows_in_a_group(classes: int) -> int:
    """How many rows `row_states` takes at a time: 1 if a row has several blocks."""
    return 1 if classes > BLOCK else max(FEWEST, GROUP // max(classes, 1))


@jit
def new_parts(classes: int) -> Array:
    """Scratch for `row_states`: maxima, sums, what these lost, and how many equal the maximum."""
    return np.ones((4, whole_vectors(max(blocks_of(classes), rows_in_a_group(classes)))))


@jit
def new_states(classes: int) -> Array:
    """Room for M and T of a group, up to `whole_vectors` of them."""
    return np.ones((2, whole_vectors(rows_in_a_group(classes))))


def new_results(p: Any, classes: int) -> Array:
    """Room for a number of each row of a group, in the format that p is computed in."""
    raise NotImplementedError  # compiled code only


@overload(new_results, jit_options={"forceinline": True})
def _(p: Any, classes: int) -> Any:
    dtype = np.float64 if VECTOR[p.dtype] == FLOAT64 else np.float32

    def of_format(p: Any, classes: int) -> Array:
        return np.empty(whole_vectors(rows_in_a_group(classes)), dtype)

    return of_format


@jit
def whole_vectors(rows: int) -> int:
    """So many rows, or a few more: a loop over these runs in vectors of float64 to its end."""
    return -(-rows // FEWEST) * FEWEST


@inline
def row_states(
    p: Any, rows: int, classes: int, high: float, low: float, e: Any, parts: Any, states: Any
) -> None:
    """M and T of so many rows from p on, `rows_in_a_group` at most, into states[0] and states[1].

    The exponentials are stored to e, each block's under its own reference, unless e is None.
    `parts` is from `new_parts`, `states` from `new_states`. If M is infinite or NaN, T is NaN. What
    follows up to `whole_vectors` is of no meaning.
    """
    if classes <= BLOCK:
        step = max(1, GROUP // max(classes, 1))
        for i in range(0, rows, step):
            here, ahead = min(step, rows - i), max(classes, AHEAD)
            group_start, stored = offset(p, i * classes), offset(e, i * classes)
            sum_blocks(group_start, classes, here, ahead, high, low, stored, parts, i)
        for i in range(whole_vectors(rows)):
            m = parts[0, i]
            states[0, i] = m
            states[1, i] = other_classes(
                p, m, parts[1, i], parts[2, i], parts[3, i] - 1.0, high, low
            )
    else:
        for k in range(blocks_of(classes)):
            start = k * BLOCK
            here = min(BLOCK, classes - start)
            block, stored = offset(p, start), offset(e, start)
            sum_blocks(block, here, 1, BLOCK, high, low, stored, parts, k)
        states[0, 0], states[1, 0] = merge_blocks(p, blocks_of(classes), high, low, parts)


@inline
def sum_blocks(
    p: Any,
    size: int,
    count: int,
    ahead: int,
    high: float,
    low: float,
    e: Any,
    parts: Any,
    column: int,
) -> None:
    """The first step: `count` blocks from p on, each `size` long, into parts from a column on."""
    # The maxima first, then the sums: those of many short rows are under way at once.
    for i in range(count):
        parts[0, column + i] = largest(offset(p, i * size), size)
    for i in range(count):
        m, block, stored = parts[0, column + i], offset(p, i * size), offset(e, i * size)
        r = reference(p, m, high, low)
        if r.shift == 0.0:
            near = unshifted_reference(p, r.exponent, high, low)
            sum_, lost, equal = sum_others(block, size, m, near, stored, ahead)
        else:
            sum_, lost, equal = _sum_far_others(block, size, m, r, stored)
        parts[1, column + i], parts[2, column + i], parts[3, column + i] = sum_, lost, equal


@jit
def _sum_far_others(
    p: Any, size: int, maximum: float, r: Reference, e: Any
) -> tuple[float, float, int]:
    """`sum_others` where the reference was moved: seldom, and so not made part of every caller."""
    result: tuple[float, float, int] = sum_others(p, size, maximum, r, e, AHEAD)
    return result


@inline
def other_classes(
    p: Any, m: float, sum_: float, lost: float, equal: float, high: float, low: float
) -> float:
    """T = (sum + lost) / e(m) + equal, rounded once if equal = 0; NaN if m is not finite."""
    return divide_pair(sum_, lost, exponential_of(p, m, high, low)) + equal + (m - m)


@inline
def divide_pair(sum_: float, lost: float, e: float) -> float:
    """(sum + lost) / e, rounded once."""
    nearest = sum_ / e
    rest: float = (fma(0.0 - nearest, e, sum_) + lost) / e
    return nearest + rest


@inline
def exponential_of(p: Any, m: float, high: float, low: float) -> float:
    """e(m) = e^(s m) 2^(BIAS - N) under the reference of m, in float64, right within 1.92u."""
    r = reference(p, m, high, low)
    _, bias, _ = layout(p)
    mantissa, n = power(m - r.shift, 0.0, r.exponent, high, low)
    return mantissa * power_of_two(n + bias)


@inline
def power(d: float, rest: float, exponent: float, high: float, low: float) -> tuple[float, float]:
    """2^(a (d + rest) - exponent) as a pair (m, n), m right within 1.92u; exact if d = rest = 0.

    The power of two is exact as a pair, but for terms of second order, and so is its product with
    ln 2: 1.9u of `exp_pair`. What is below 2^LOWEST counts as that.
    """
    product = d * high
    t, error = two_sum(product, 0.0 - exponent)
    error += fma(d, high, 0.0 - product) + (d * low + rest * high)
    is_near = t > LOWEST  # elsewhere d may have overflowed
    t, error = two_sum(t if is_near else LOWEST, error if is_near else 0.0)
    x = t * LN2
    return exp_pair(x, fma(t, LN2, 0.0 - x) + (t * LN2_ERROR + error * LN2))


@inline
def merge_blocks(p: Any, count: int, high: float, low: float, parts: Any) -> tuple[float, float]:
    """M and T of a row from its first `count` blocks, which are used up."""
    # M, a block that has it, and whether a block's reference was moved.
    maximum, where = -np.inf, 0
    undefined = is_far = False
    for k in range(count):
        m = parts[0, k]
        where = k if m > maximum else where
        maximum = max(maximum, m)
        undefined |= np.isnan(m)
        is_far |= reference(p, m, high, low).shift != 0.0
    if undefined or np.isinf(maximum):
        return np.nan if undefined else maximum, np.nan
    _, bias, _ = layout(p)
    shift, exponent = 0.0, reference(p, maximum, high, low).exponent
    if is_far:
        shift, exponent = maximum, 0.0
    # e(M) is left out of the count of what equals the maximum; then equal e(m) of each block.
    parts[3, where] -= 1.0
    for k in range(count):
        equal = parts[3, k] if parts[0, k] > -np.inf else 0.0
        parts[3, k] = equal * exponential_of(p, parts[0, k], high, low)
    # The sum over blocks of f (sum + equal e(m)), f = 2^(N - N of M), and T, that over e(M).
    sum_ = lost = 0.0
    for k in range(count):
        r = reference(p, parts[0, k], high, low)
        f, n = 1.0, r.exponent - exponent
        if is_far:
            d, rest = two_sum(r.shift, 0.0 - shift)
            f, n = power(d, rest, 0.0 - n, high, low)
        sum_, error = two_sum(sum_, scale(f * parts[1, k], n))
        sum_, error_of_equal = two_sum(sum_, scale(f * parts[3, k], n))
        lost += (error + error_of_equal) + scale(f * parts[2, k], n)
    e, n = power(maximum - shift, 0.0, exponent, high, low)
    return maximum, divide_pair(sum_, lost, e * power_of_two(n + bias))


# --- one long row, shared out to threads ---


def state_of_long_row(x: Array, high: float, low: float, threads: int) -> tuple[float, float]:
    """M and T of one row, as compiled code takes it, to the bits of `row_states`."""
    parts = new_parts(x.size)

    def sum_up(first: int, last: int) -> None:
        _sum_blocks(x, first, last, high, low, parts)

    rows.share_out(sum_up, blocks_of(x.size), threads)
    maximum, t = _merge_blocks(x, high, low, parts)
    return maximum, t


@jit
def _sum_blocks(x: Any, first: int, stop: int, high: float, low: float, parts: Array) -> None:
    p = pointer(x)
    for k in range(first, stop):
        start = k * BLOCK
        here = min(BLOCK, x.size - start)
        sum_blocks(offset(p, start), here, 1, BLOCK, high, low, None, parts, k)
    keep_alive(x)


@jit
def _merge_blocks(x: Any, high: float, low: float, parts: Array) -> tuple[float, float]:
    state = merge_blocks(pointer(x), blocks_of(x.size), high, low, parts)
    keep_alive(x)
    return state
