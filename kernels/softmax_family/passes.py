"""The passes over a block of a row that the algorithms are made of.

A block is `count` elements from a pointer on, at most `block(x)` where sums are formed.
Two vectors at a time, then what is left under a mask: the lane into which an element falls depends
on its place in the block alone, so no result depends on where in memory the row lies.

Sums are exact but for terms of second order, with u the unit roundoff: every addition is done
together with what it lost, exactly, and that is added up plainly. In a lane of a block m terms
are added to a total of at most A + m A, A the ceiling: each loses u (m + 1) A at most, or itself if
it is less. As A is at most four times the largest term, n terms lose less than n u 5 S altogether,
S the sum, and adding that up loses m u of it: with n = 4096, m = 128 (256 in float64), 0.16 u of S
in float32 and next to nothing in float64. The sums of blocks are added as float64, compensated.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from ..arithmetic.exp import power_of_two, two_sum
from ..arithmetic.simd import (
    FLOAT32,
    VECTOR,
    any_lane,
    broadcast,
    count_lanes,
    elements_to_alignment,
    extract_lane0,
    fma,
    high_half,
    lanes,
    load,
    load_masked,
    low_half,
    mask_or,
    not_below,
    offset,
    prefetch,
    rotate_1,
    rotate_2,
    rotate_4,
    rotate_8,
    scale_down,
    scale_down_normal,
    scaled,
    select,
    store,
    store_masked,
    store_stream,
    vmax,
    vmin,
    where_nan,
)
from ..arithmetic.vector_exp import (
    FAR,
    Reference,
    UnshiftedReference,
    exponential,
    layout,
    moved,
    power_pair,
)
from ..runtime.jit import inline

BLOCK = 4096
"""Elements over which one sum runs: 16 KiB of float32, half of the smallest first-level cache."""

GROUP = 1024
"""Elements of short rows that go through each pass together: 4 KiB of float32."""

AHEAD = 1024
"""Elements between what is computed and what is fetched for later, at least."""


def has_several_blocks(x: NDArray[Any]) -> bool:
    """Whether the rows of x are so long that threads may share out the blocks of one."""
    return bool(x.shape[-1] > BLOCK)


@inline
def blocks_of(classes: int) -> int:
    """The number of blocks of a row; a short row is one."""
    return max(1, -(-classes // BLOCK))


@inline
def block_of(row: Any, classes: int, k: int) -> Any:
    """A pointer to block k of a row, and its length."""
    return offset(row, k * BLOCK), min(BLOCK, classes - k * BLOCK)


class StoredExponentials(NamedTuple):
    """In place of a reference: the elements are exponentials already."""

    exponent: float
    """The N they are stored under."""


def terms(
    x: Any, j: int, r: Reference | UnshiftedReference | StoredExponentials, ahead: int
) -> Any:
    """The exponentials of elements j ... of x; fetches what is `ahead` elements farther on."""
    raise NotImplementedError  # compiled code only


@overload(terms, jit_options={"forceinline": True})
def _(x: Any, j: int, r: Any, ahead: int) -> Any:
    if r.instance_class is StoredExponentials:

        def stored(x: Any, j: int, r: Any, ahead: int) -> Any:
            return load(x, j)

        return stored

    def of_logits(x: Any, j: int, r: Any, ahead: int) -> Any:
        prefetch(x, j + ahead)
        return exponential(x, load(x, j), r)

    return of_logits


def last_terms(
    x: Any, j: int, here: int, r: Reference | UnshiftedReference | StoredExponentials
) -> Any:
    """The exponentials of so many elements of x, less than a vector; 0 or 1 in the other lanes."""
    raise NotImplementedError  # compiled code only


@overload(last_terms, jit_options={"forceinline": True})
def _(x: Any, j: int, here: int, r: Any) -> Any:
    if r.instance_class is StoredExponentials:

        def stored(x: Any, j: int, here: int, r: Any) -> Any:
            return load_masked(x, j, here, 1.0)

        return stored

    def of_logits(x: Any, j: int, here: int, r: Any) -> Any:
        return exponential(x, load_masked(x, j, here, -np.inf), r)

    return of_logits


@inline
def extremes(x: Any, count: int) -> tuple[float, float]:
    """The largest element, or NaN if one is, and the smallest; nothing gives -inf and inf."""
    width = lanes(x)
    a = b = broadcast(x, -np.inf)
    low_a = low_b = broadcast(x, np.inf)
    bad = where_nan(a, b)
    pairs = count - count % (2 * width)
    for j in range(0, pairs, 2 * width):
        first_, second = load(x, j), load(x, j + width)
        bad = mask_or(bad, where_nan(first_, second))
        a, b = vmax(first_, a), vmax(second, b)
        low_a, low_b = vmin(low_a, first_), vmin(low_b, second)
    for j in range(pairs, count, width):
        here = min(width, count - j)
        last = load_masked(x, j, here, -np.inf)
        bad = mask_or(bad, where_nan(last, last))
        a = vmax(last, a)
        low_a = vmin(low_a, load_masked(x, j, here, np.inf))
    smallest = 0.0 - largest_lane(broadcast(x, 0.0) - vmin(low_a, low_b))
    return np.nan if any_lane(bad) else largest_lane(vmax(a, b)), smallest


@inline
def largest(x: Any, count: int) -> float:
    """The largest element, or NaN if one is; nothing gives -inf."""
    return extremes(x, count)[0]  # the other goes when LLVM sees that nobody asks for it


@inline
def sum_exponentials(
    x: Any, count: int, r: Reference | UnshiftedReference, e: Any, ceiling: float, ahead: int
) -> tuple[float, float]:
    """The sum of the exponentials under r, and what that lost: two float64.

    They are stored to e, unless it is None. `ceiling`, see `accumulate`, is `ceiling_of`
    the largest element, which is one of these.
    """
    width = lanes(x)
    a = b = broadcast(x, ceiling)
    lost_a = lost_b = broadcast(x, 0.0)
    pairs = count - count % (2 * width)
    # Two vectors at a time, each into a sum of its own: additions that do not wait for each other.
    for j in range(0, pairs, 2 * width):
        first_, second = terms(x, j, r, ahead), terms(x, j + width, r, ahead)
        if e is not None:
            store(e, j, first_)
            store(e, j + width, second)
        a, lost_a = accumulate(a, lost_a, first_)
        b, lost_b = accumulate(b, lost_b, second)
    for j in range(pairs, count, width):
        here = min(width, count - j)
        last = last_terms(x, j, here, r)
        if e is not None:
            store_masked(e, j, last, here)
        a, lost_a = accumulate(a, lost_a, last)
    return sum_of_accumulators(a, lost_a, b, lost_b, ceiling)


@inline
def write_probabilities(
    x: Any,
    count: int,
    r: Reference | UnshiftedReference | StoredExponentials,
    q: tuple[float, float],
    y: Any,
    streams: bool,
    ahead: int,
    subnormal: bool,
) -> None:
    """y = e^(s x) / sum from the logits x, q the inverse of the sum as `inverse` has it.

    `subnormal` says whether a result may be below the normal numbers.
    """
    width = lanes(x)
    head = min(count, elements_to_alignment(y)) if streams else 0
    pairs = head + (count - head) // (2 * width) * (2 * width)
    if head > 0:
        store_masked(y, 0, scale_down(times_inverse(last_terms(x, 0, head, r), q)), head)
    for j in range(head, pairs, 2 * width):
        first_, second = terms(x, j, r, ahead), terms(x, j + width, r, ahead)
        store_scaled_down(
            y, j, times_inverse(first_, q), times_inverse(second, q), streams, subnormal
        )
    for j in range(pairs, count, width):
        here = min(width, count - j)
        store_masked(y, j, scale_down(times_inverse(last_terms(x, j, here, r), q)), here)


@inline
def store_scaled_down(
    y: Any, j: int, first_: Any, second: Any, streams: bool, subnormal: bool
) -> None:
    """Two quotients, brought to their place, to elements j ... of y."""
    if subnormal:
        first_, second = scale_down(first_), scale_down(second)
    else:
        first_, second = scale_down_normal(first_), scale_down_normal(second)
    if streams:
        store_stream(y, j, first_)
        store_stream(y, j + lanes(y), second)
    else:
        store(y, j, first_)
        store(y, j + lanes(y), second)


@inline
def stream(e: Any, count: int, y: Any) -> None:
    """Copy e to y past the caches, but for the ends, which y may share lines with others."""
    width = lanes(e)
    head = min(count, elements_to_alignment(y))
    pairs = head + (count - head) // (2 * width) * (2 * width)
    if head > 0:
        store_masked(y, 0, load_masked(e, 0, head, 0.0), head)
    for j in range(head, pairs, 2 * width):
        store_stream(y, j, load(e, j))
        store_stream(y, j + width, load(e, j + width))
    for j in range(pairs, count, width):
        here = min(width, count - j)
        store_masked(y, j, load_masked(e, j, here, 0.0), here)


@inline
def write_constant(y: Any, count: int, value: float) -> None:
    """Write one value to all `count` elements of y."""
    for j in range(0, count, lanes(y)):
        store_masked(y, j, broadcast(y, value), min(lanes(y), count - j))


@inline
def sum_pairs(x: Any, count: int, high: float, low: float) -> tuple[float, float, float, float]:
    """The sum of 2^(a x) as m 2^n: the smallest exponent of a term, n, m, and what m lost.

    Every lane has its own exponent n, the largest so far, and nothing is folded into the exponent
    field before the end (Dukhan & Ablavatski 2020, algorithm 3). Logits beyond |a x| = FAR count
    as there, so n says whether that mattered. A NaN anywhere makes m NaN.
    """
    width = lanes(x)
    m = lost = broadcast(x, 0.0)
    n, smallest = broadcast(x, -2 * FAR), broadcast(x, 2 * FAR)
    bad = where_nan(m, m)
    pairs = count - count % (2 * width)
    for j in range(0, pairs, 2 * width):
        prefetch(x, j + BLOCK)
        prefetch(x, j + width + BLOCK)
        v, w = load(x, j), load(x, j + width)
        bad = mask_or(bad, where_nan(v, w))
        m, lost, n, smallest = add_pairs(m, lost, n, smallest, v, w, high, low)
    for j in range(pairs, count, width):
        here = min(width, count - j)
        v = load_masked(x, j, here, -np.inf)
        bad = mask_or(bad, where_nan(v, v))
        smallest_before = smallest
        m, lost, n, _ = add_pairs(m, lost, n, smallest, v, broadcast(x, -np.inf), high, low)
        v = load_masked(x, j, here, np.inf)
        smallest = vmin(smallest_before, power_pair(cut_at_far(v, high), high, low)[1])
    largest_n = largest_lane(n)
    shrink = power_below(n, broadcast(x, largest_n))
    total, lost_ = sum_of_lanes(m * shrink, lost * shrink)
    smallest_n = 0.0 - largest_lane(broadcast(x, 0.0) - smallest)
    return smallest_n, largest_n, np.nan if any_lane(bad) else total, lost_


@inline
def add_pairs(
    m: Any, lost: Any, n: Any, smallest: Any, v: Any, w: Any, high: float, low: float
) -> Any:
    """(m, n) + e^(s v) + e^(s w), with what m lost and the smallest exponent so far."""
    m_v, n_v = power_pair(cut_at_far(v, high), high, low)
    m_w, n_w = power_pair(cut_at_far(w, high), high, low)
    larger_n = vmax(n_v, vmax(n_w, n))
    shrink = power_below(n, larger_n)
    m, lost = add(m * shrink, lost * shrink, scaled_below(m_v, n_v, larger_n))
    m, lost = add(m, lost, scaled_below(m_w, n_w, larger_n))
    return m, lost, larger_n, vmin(vmin(smallest, n_v), n_w)


@inline
def cut_at_far(v: Any, high: float) -> Any:
    """Every lane of v, but FAR / a where a v is beyond FAR, and -FAR / a where it is below -FAR."""
    return vmin(vmax(broadcast(v, -FAR / high), v), broadcast(v, FAR / high))


@inline
def power_below(n: Any, larger_n: Any) -> Any:
    """2^(n - larger_n), not below 2^(BIAS - CUT), which is nothing beside 1."""
    return scaled_below(broadcast(n, 1.0), n, larger_n)


@inline
def scaled_below(m: Any, n: Any, larger_n: Any) -> Any:
    """m 2^(n - larger_n), not below m 2^(BIAS - CUT)."""
    magic, bias, cut = layout(m)
    least = broadcast(m, magic + (bias - cut))
    return scaled(m, vmax(least, n - (larger_n - broadcast(m, magic))))


# --- what they share ---


def inverse(p: Any, sum_: float, lost: float) -> tuple[float, float]:
    """2^DOWN_EXPONENT / (sum + lost) as a pair of numbers of the format that p is computed in."""
    raise NotImplementedError  # compiled code only


@overload(inverse, jit_options={"forceinline": True})
def _(p: Any, sum_: float, lost: float) -> Any:
    if VECTOR[p.dtype] == FLOAT32:

        def of_float32(p: Any, sum_: float, lost: float) -> tuple[float, float]:
            whole = 2.0**120 / (sum_ + lost)
            high = np.float64(np.float32(whole))
            return high, whole - high

        return of_float32

    def of_float64(p: Any, sum_: float, lost: float) -> tuple[float, float]:
        high = 2.0**300 / sum_
        return high, (fma(0.0 - high, sum_, 2.0**300) - high * lost) / sum_

    return of_float64


@inline
def joined(total: float, lost: float, part: tuple[float, float]) -> tuple[float, float]:
    """The sum so far, and what it lost, with those of the next block."""
    total, error = two_sum(total, part[0])
    return total, lost + (error + part[1])


@inline
def times_inverse(e: Any, q: tuple[float, float]) -> Any:
    """e / sum 2^DOWN_EXPONENT, rounded once, and an error of order u^2 from the low part of q."""
    return fma(e, broadcast(e, q[0]), e * broadcast(e, q[1]))


@inline
def accumulate(total: Any, lost: Any, term: Any) -> Any:
    """total + term, rounded, and `lost` with what that lost, where total >= term >= 0.

    A total starts at the ceiling, a power of two not below any term: then total - sum_ and what is
    lost are exact (Dekker 1971), with three operations less than `add`.
    """
    sum_ = total + term
    return sum_, lost + (term - (sum_ - total))


@inline
def ceiling_of(p: Any, maximum: float, r: Reference | UnshiftedReference) -> float:
    """Twice the power of two at the exponential of `maximum`, and so above those of what is below.

    It is not below the exponentials of what is cut.
    """
    _, bias, cut = layout(p)
    exponent = np.floor(extract_lane0(moved(broadcast(p, maximum), r)) * r.high) - r.exponent
    return power_of_two(bias + 2.0 + max(exponent, -cut))


@inline
def ceiling_of_maximum(p: Any) -> float:
    """`ceiling_of` the maximum that the reference is made of."""
    _, bias, _ = layout(p)
    return power_of_two(bias + 2.0)


@inline
def sum_of_accumulators(
    a: Any, lost_a: Any, b: Any, lost_b: Any, ceiling: float
) -> tuple[float, float]:
    """The sum of all lanes of both, without their ceilings, and what that lost: two float64."""
    a, b = (
        a - broadcast(a, ceiling),
        b - broadcast(b, ceiling),
    )  # exact: multiples of an ulp, and smaller
    a, lost_a = add(a, lost_a, b)
    return sum_of_lanes(a, lost_a + lost_b)


@inline
def add(total: Any, lost: Any, term: Any) -> Any:
    """total + term, rounded, and `lost` with what that lost."""
    sum_ = total + term
    back = sum_ - total
    return sum_, lost + ((total - (sum_ - back)) + (term - back))


@inline
def largest_lane(v: Any) -> Any:
    """The largest lane of a vector, as a number; a NaN in one lane may or may not stay."""
    v = vmax(rotate_8(v), v)
    v = vmax(rotate_4(v), v)
    v = vmax(rotate_2(v), v)
    return extract_lane0(vmax(rotate_1(v), v))


def sum_of_lanes(a: Any, lost: Any) -> tuple[float, float]:
    """The sum of all lanes of a + lost, and what that lost: two float64."""
    raise NotImplementedError  # compiled code only


@overload(sum_of_lanes, jit_options={"forceinline": True})
def _(a: Any, lost: Any) -> Any:
    if a == FLOAT32:  # 53 bits are enough

        def of_float32(a: Any, lost: Any) -> tuple[float, float]:
            v = (low_half(a) + high_half(a)) + (low_half(lost) + high_half(lost))
            v = v + rotate_4(v)
            v = v + rotate_2(v)
            return extract_lane0(v + rotate_1(v)), 0.0

        return of_float32

    def of_float64(a: Any, lost: Any) -> tuple[float, float]:
        a, lost = add(a, lost + rotate_4(lost), rotate_4(a))
        a, lost = add(a, lost + rotate_2(lost), rotate_2(a))
        a, lost = add(a, lost + rotate_1(lost), rotate_1(a))
        return extract_lane0(a), extract_lane0(lost)

    return of_float64


@inline
def sum_others(
    x: Any, count: int, maximum: float, r: Reference | UnshiftedReference, e: Any, ahead: int
) -> tuple[float, float, int]:
    """The sum of the exponentials of what is below `maximum`, what that lost, how many equal it.

    All exponentials are stored to e, unless it is None. The sum may be tiny beside the exponential
    of the maximum: no ceiling, then.
    """
    width = lanes(x)
    top = broadcast(x, maximum)
    a = lost = nothing = broadcast(x, 0.0)
    equal = 0
    pairs = count - count % (2 * width)
    for j in range(0, pairs, 2 * width):
        prefetch(x, j + ahead)
        prefetch(x, j + width + ahead)
        v, w = load(x, j), load(x, j + width)
        e_v, e_w = exponential(x, v, r), exponential(x, w, r)
        if e is not None:
            store(e, j, e_v)
            store(e, j + width, e_w)
        v_is_top, w_is_top = not_below(v, top), not_below(w, top)
        if any_lane(mask_or(v_is_top, w_is_top)):  # seldom
            equal += count_lanes(v_is_top) + count_lanes(w_is_top)
            e_v, e_w = select(v_is_top, nothing, e_v), select(w_is_top, nothing, e_w)
        a, lost = add(a, lost, e_v + e_w)
    for j in range(pairs, count, width):
        here = min(width, count - j)
        last = load_masked(x, j, here, maximum)
        is_top = not_below(last, top)
        equal += count_lanes(is_top) - (width - here)
        e_last = exponential(x, last, r)
        if e is not None:
            store_masked(e, j, e_last, here)
        a, lost = add(a, lost, select(is_top, nothing, e_last))
    sum_, lost_ = sum_of_lanes(a, lost)
    return sum_, lost_, equal
