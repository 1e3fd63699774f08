"""The softmax algorithms on rows: compiled code of `softmax`, where their contract stands."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.exp import exp_pair, power_of_two, two_sum
from ..arithmetic.exp import scale as times_power
from ..arithmetic.simd import fence, keep_alive, load_scalar, offset, pointer, store_scalar
from ..arithmetic.vector_exp import (
    FAR,
    LOG2_E_PAIRS,
    layout,
    reference,
    smallest_exponent,
    unshifted_reference,
)
from ..runtime.jit import inline, jit
from .passes import (
    AHEAD,
    BLOCK,
    GROUP,
    StoredExponentials,
    block_of,
    blocks_of,
    ceiling_of,
    ceiling_of_maximum,
    extremes,
    inverse,
    joined,
    largest,
    stream,
    sum_exponentials,
    sum_pairs,
    write_constant,
    write_probabilities,
)

NEGLIGIBLE = 2000.0
"""What is smaller than something by more powers of two makes no difference to it."""

RELOAD_GROUP = 2 * GROUP
"""Elements of short rows that go through each pass of `three_pass_reload` together."""

Result = NDArray[Any]


class Sums(NamedTuple):
    """What the first passes find of a row."""

    maximum: float
    smallest: float
    exponent: float
    """N = floor(a maximum), under which the exponentials are added."""
    total: float
    """Their sum, rounded to float64."""
    lost: float
    """The sum less `total`."""


# --- the algorithms ---


@jit
def naive_rows(x: Result, y: Result, s: float) -> None:
    """Softmax as the formula stands, each e^(s x) rounded, then their plain sum, then quotients."""
    classes = x.shape[-1]
    for start in range(0, x.size, max(classes, 1)):
        row, result = x.ravel()[start : start + classes], y.ravel()[start : start + classes]
        for j in range(classes):
            # e^+-2000 overflows and underflows as e^x does, and is in the range of exp_pair.
            product = row[j] * row.dtype.type(s)
            near = 2000.0 if product > 2000.0 else product
            near = -2000.0 if near < -2000.0 else near
            m, n = exp_pair(near, 0.0)
            result[j] = times_power(m, n)
        sum_: Any = result.dtype.type(0)
        for e in result:
            sum_ += e
        for j in range(classes):
            result[j] /= sum_


@jit
def recompute_rows(x: Any, y: Any, high: float, low: float, streams: bool) -> None:
    """Maximum; sum of the exponentials; exponentials over the sum."""
    classes = x.shape[-1]
    p, q = pointer(x), pointer(y)
    block_stats = new_block_stats(1, classes)
    stats, blocks = pointer(block_stats), blocks_of(classes)
    for i in range(x.size // max(classes, 1)):
        row, result = offset(p, i * classes), offset(q, i * classes)
        # Pass 1: the maximum of each block and of the row.
        find_extremes(row, classes, stats)
        maximum, smallest = row_extremes(stats, blocks)
        if is_regular(maximum, high):
            exponent = np.floor(maximum * high)
            r = unshifted_reference(p, exponent, high, low)
            # Pass 2: the sum of e^(s x) 2^(BIAS - N), block by block.
            for k in range(blocks):
                block, here = block_of(row, classes, k)
                ceiling = ceiling_of(p, load_scalar(stats, MAXIMUM + k * STATS), r)
                total, lost = sum_exponentials(block, here, r, None, ceiling, BLOCK)
                store_sum(stats, k, exponent, total, lost)
            total, lost = sum_of_blocks(stats, blocks, exponent)
            sums = Sums(maximum, smallest, exponent, total, lost)
            # Pass 3: the exponentials once more, over their sum.
            write_row(row, classes, sums, high, low, result, streams)
        else:
            _write_irregular(row, classes, maximum, smallest, high, low, result)
    if streams:
        fence()
    keep_alive(x)
    keep_alive(y)
    keep_alive(block_stats)


@jit
def reload_rows(x: Any, y: Any, e: Any, high: float, low: float, streams: bool) -> None:
    """Maximum; exponentials and their sum; the stored exponentials over the sum.

    `e` receives the exponentials: the result itself, or scratch for a group of rows.

    Short rows go through each pass in groups, for the steps between the passes (across the lanes,
    a division) take long, but many of them can be under way at once.
    """
    classes = x.shape[-1]
    count = x.size // max(classes, 1)
    p, q, s = pointer(x), pointer(y), pointer(e)
    group, blocks = max(1, min(rows_in_a_group(classes), count)), blocks_of(classes)
    # 1 if row i of the exponentials is row i of the result, 0 if it is row i of the group.
    in_place = 0 if e.size < x.size else 1
    together = streams and group > 1
    block_stats = new_block_stats(group, classes)
    for start in range(0, count, group):
        rows_here = min(group, count - start)
        ahead = max(classes, AHEAD)
        ahead = ahead if (start + rows_here) * classes + ahead <= x.size else 0
        # Pass 1: the maximum of each row.
        for i in range(rows_here):
            stats = offset(pointer(block_stats), i * blocks * STATS)
            find_extremes(offset(p, (start + i) * classes), classes, stats)
        # Pass 2: the exponentials of each row, which are stored, and their sum.
        for i in range(rows_here):
            stats = offset(pointer(block_stats), i * blocks * STATS)
            row, stored = (
                offset(p, (start + i) * classes),
                offset(s, (start * in_place + i) * classes),
            )
            store_row(row, classes, stats, high, low, stored, ahead)
        # Pass 3: what was stored, over its sum.
        for i in range(rows_here):
            stats = offset(pointer(block_stats), i * blocks * STATS)
            row, stored = (
                offset(p, (start + i) * classes),
                offset(s, (start * in_place + i) * classes),
            )
            if together:
                finish_stored(row, classes, stats, high, stored, stored, False)
            else:
                result = offset(q, (start + i) * classes)
                finish_stored(row, classes, stats, high, stored, result, streams)
        if together:  # as one piece: short rows would leave many ends
            stream(s, rows_here * classes, offset(q, start * classes))
    if streams:
        fence()
    keep_alive(x)
    keep_alive(y)
    keep_alive(e)
    keep_alive(block_stats)


@inline
def store_row(
    row: Any, classes: int, stats: Any, high: float, low: float, stored: Any, ahead: int
) -> None:
    """Store the exponentials of a row, and sum them up."""
    maximum, _ = row_extremes(stats, blocks_of(classes))
    if not is_regular(maximum, high):
        if np.isfinite(maximum):
            _store_far(row, classes, maximum, stats, high, low, stored)
        return
    exponent = np.floor(maximum * high)
    r = unshifted_reference(row, exponent, high, low)
    for k in range(blocks_of(classes)):
        block, here = block_of(row, classes, k)
        ceiling = ceiling_of_maximum(row)
        if classes > BLOCK:
            ceiling = ceiling_of(row, load_scalar(stats, MAXIMUM + k * STATS), r)
        target = offset(stored, k * BLOCK)
        total, lost = sum_exponentials(block, here, r, target, ceiling, ahead)
        store_sum(stats, k, exponent, total, lost)


@jit
def _store_far(
    row: Any, classes: int, maximum: float, stats: Any, high: float, low: float, stored: Any
) -> None:
    """`store_row` for a maximum beyond FAR."""
    r = reference(row, maximum, high, low)
    for k in range(blocks_of(classes)):
        block, here = block_of(row, classes, k)
        ceiling = ceiling_of(row, load_scalar(stats, MAXIMUM + k * STATS), r)
        target = offset(stored, k * BLOCK)
        total, lost = sum_exponentials(block, here, r, target, ceiling, 0)
        store_sum(stats, k, r.exponent, total, lost)


@inline
def finish_stored(
    row: Any,
    classes: int,
    stats: Any,
    high: float,
    stored: Any,
    result: Any,
    streams: bool,
) -> None:
    """Divide stored exponentials by their sum."""
    blocks = blocks_of(classes)
    maximum, smallest = row_extremes(stats, blocks)
    if np.isfinite(maximum):
        total, lost = sum_of_blocks(stats, blocks, load_scalar(stats, EXPONENT))
        subnormal = reaches_subnormal(row, (maximum - smallest) * high)
        r, q = StoredExponentials(load_scalar(stats, EXPONENT)), inverse(row, total, lost)
        write_probabilities(stored, classes, r, q, result, streams, 0, subnormal)
    else:
        write_constant(result, classes, np.nan)


@jit
def rows_in_a_group(classes: int) -> int:
    """How many rows of `three_pass_reload` go through each pass together."""
    return max(1, RELOAD_GROUP // max(classes, 1))


@jit
def reload_in_place(y: Any) -> None:
    """`reload_rows` of scale 1, from y to y."""
    high, low = LOG2_E_PAIRS[int(y.itemsize == 8)]
    reload_rows(y, y, y, high, low, False)


@jit
def two_pass_rows(x: Any, y: Any, high: float, low: float, streams: bool) -> None:
    """Sum of the exponentials as pairs m 2^n; exponentials over the sum."""
    classes = x.shape[-1]
    p, q = pointer(x), pointer(y)
    block_stats = new_block_stats(1, classes)
    stats, blocks = pointer(block_stats), blocks_of(classes)
    for i in range(x.size // max(classes, 1)):
        row, result = offset(p, i * classes), offset(q, i * classes)
        # Pass 1: the sum of each block as a pair m 2^n.
        for k in range(blocks):
            block, here = block_of(row, classes, k)
            smallest, exponent, total, lost = sum_pairs(block, here, high, low)
            store_scalar(stats, SMALLEST + k * STATS, smallest)
            store_sum(stats, k, exponent, total, lost)
        sums = merge_pairs(p, stats, blocks, high)
        # Pass 2: the exponentials once more, over their sum.
        if is_regular(sums.maximum, high):
            write_row(row, classes, sums, high, low, result, streams)
        else:  # logits beyond FAR were cut; NaN and infinities are among them
            maximum, smallest = extremes(row, classes)
            _write_irregular(row, classes, maximum, smallest, high, low, result)
    if streams:
        fence()
    keep_alive(x)
    keep_alive(y)
    keep_alive(block_stats)


@jit
def online_rows(x: Any, y: Any, high: float, low: float, streams: bool) -> None:
    """Sums of blocks, each under its own maximum; exponentials over their sum."""
    classes = x.shape[-1]
    p, q = pointer(x), pointer(y)
    block_stats = new_block_stats(1, classes)
    stats, blocks = pointer(block_stats), blocks_of(classes)
    for i in range(x.size // max(classes, 1)):
        row, result = offset(p, i * classes), offset(q, i * classes)
        # Pass 1: maximum and sum of each block, then of the row.
        online_sums(row, classes, stats, 0, blocks, high, low)
        sums = merge_blocks(stats, blocks, high)
        # Pass 2: the exponentials once more, over their sum.
        if is_regular(sums.maximum, high):
            write_row(row, classes, sums, high, low, result, streams)
        else:
            maximum, smallest = row_extremes(stats, blocks)
            _write_irregular(row, classes, maximum, smallest, high, low, result)
    if streams:
        fence()
    keep_alive(x)
    keep_alive(y)
    keep_alive(block_stats)


@jit
def _write_irregular(
    row: Any, classes: int, maximum: float, smallest: float, high: float, low: float, result: Any
) -> None:
    """The probabilities of a row with logits beyond FAR by three passes, or NaN throughout."""
    if np.isfinite(maximum):
        r = reference(row, maximum, high, low)
        total = lost = 0.0
        for k in range(blocks_of(classes)):
            block, here = block_of(row, classes, k)
            ceiling = ceiling_of(row, largest(block, here), r)
            part = sum_exponentials(block, here, r, None, ceiling, BLOCK)
            total, lost = joined(total, lost, part)
        factor = inverse(row, total, lost)
        subnormal = reaches_subnormal(row, (maximum - smallest) * high)
        write_probabilities(row, classes, r, factor, result, False, AHEAD, subnormal)
    else:
        write_constant(result, classes, np.nan)


# --- `online` of one row, its blocks shared out to threads ---


@jit
def sum_blocks(x: Any, block_stats: Any, first: int, last: int, high: float, low: float) -> None:
    """`online_sums` of a row that is an array."""
    online_sums(pointer(x), x.size, pointer(block_stats), first, last, high, low)
    keep_alive(x)
    keep_alive(block_stats)


@jit
def merge_sums(block_stats: Any, high: float) -> Sums:
    """`merge_blocks` of all blocks in an array."""
    sums = merge_blocks(pointer(block_stats), block_stats.size // STATS, high)
    keep_alive(block_stats)
    return sums


@jit
def write_part(x: Any, y: Any, sums: Sums, high: float, low: float, streams: bool) -> None:
    """The probabilities of elements x of a row that is regular."""
    write_row(pointer(x), x.size, sums, high, low, pointer(y), streams)
    if streams:
        fence()
    keep_alive(x)
    keep_alive(y)


# --- what is known of a row: STATS numbers of each of its blocks ---

STATS = 5
MAXIMUM, SMALLEST, EXPONENT, TOTAL, LOST = range(STATS)


@inline
def new_block_stats(group: int, classes: int) -> Any:
    """An array for the numbers of every block of a group of rows."""
    return np.empty(group * blocks_of(classes) * STATS)


@inline
def store_extremes(stats: Any, k: int, maximum: float, smallest: float) -> None:
    """Write down the largest and the smallest element of block k."""
    store_scalar(stats, MAXIMUM + k * STATS, maximum)
    store_scalar(stats, SMALLEST + k * STATS, smallest)


@inline
def store_sum(stats: Any, k: int, exponent: float, total: float, lost: float) -> None:
    """Write down the sum of block k under 2^exponent, and what that lost."""
    store_scalar(stats, EXPONENT + k * STATS, exponent)
    store_scalar(stats, TOTAL + k * STATS, total)
    store_scalar(stats, LOST + k * STATS, lost)


@inline
def find_extremes(row: Any, classes: int, stats: Any) -> None:
    """The largest and the smallest element of each block."""
    for k in range(blocks_of(classes)):
        block, here = block_of(row, classes, k)
        maximum, smallest = extremes(block, here)
        store_extremes(stats, k, maximum, smallest)


@inline
def row_extremes(stats: Any, blocks: int) -> tuple[float, float]:
    """The largest, or NaN, and the smallest element of a row."""
    maximum, smallest = load_scalar(stats, MAXIMUM), load_scalar(stats, SMALLEST)
    for k in range(1, blocks):
        here = load_scalar(stats, MAXIMUM + k * STATS)
        maximum = here if here > maximum or np.isnan(here) else maximum  # a NaN is not larger
        smallest = min(smallest, load_scalar(stats, SMALLEST + k * STATS))
    return maximum, smallest


@inline
def online_sums(
    row: Any, classes: int, stats: Any, first: int, last: int, high: float, low: float
) -> None:
    """Sum up the blocks first ... last - 1, each under its own maximum."""
    for k in range(first, last):
        block, here = block_of(row, classes, k)
        maximum, smallest = extremes(block, here)
        exponent = np.floor(maximum * high)
        total, lost = 0.0, 0.0  # of a masked block, too
        if is_regular(maximum, high):
            r, ceiling = unshifted_reference(row, exponent, high, low), ceiling_of_maximum(row)
            total, lost = sum_exponentials(block, here, r, None, ceiling, BLOCK)
        store_extremes(stats, k, maximum, smallest)
        store_sum(stats, k, exponent, total, lost)


@inline
def merge_blocks(stats: Any, blocks: int, high: float) -> Sums:
    """The sums of a row from those of its blocks; an infinite maximum where it is irregular.

    So is a row with a block beyond FAR that is not far below the maximum.
    """
    maximum, smallest = row_extremes(stats, blocks)
    exponent = np.floor(maximum * high)
    for k in range(blocks):
        is_near = exponent - load_scalar(stats, EXPONENT + k * STATS) < NEGLIGIBLE
        if is_near and not is_regular(load_scalar(stats, MAXIMUM + k * STATS), high):
            maximum = np.inf
    total, lost = sum_of_blocks(stats, blocks, exponent)
    return Sums(maximum, smallest, exponent, total, lost)


@inline
def merge_pairs(p: Any, stats: Any, blocks: int, high: float) -> Sums:
    """As `merge_blocks`, from the sums of pairs; the extremes are known to a power of two."""
    smallest, exponent = np.inf, -np.inf
    undefined = False
    for k in range(blocks):
        smallest = min(smallest, load_scalar(stats, SMALLEST + k * STATS))
        exponent = max(exponent, load_scalar(stats, EXPONENT + k * STATS))
        undefined |= np.isnan(load_scalar(stats, TOTAL + k * STATS))
    _, bias, _ = layout(p)
    total, lost = sum_of_blocks(stats, blocks, exponent - bias)
    maximum = np.inf if undefined or abs(exponent) > FAR - NEGLIGIBLE else exponent / high
    return Sums(maximum, smallest / high, exponent, total, lost)


@inline
def sum_of_blocks(stats: Any, blocks: int, exponent: float) -> tuple[float, float]:
    """The sum under 2^exponent, and what that lost."""
    total = lost = 0.0
    for k in range(blocks):
        factor = power_of_two(max(load_scalar(stats, EXPONENT + k * STATS) - exponent, -1000.0))
        total, error = two_sum(total, load_scalar(stats, TOTAL + k * STATS) * factor)
        lost += error + load_scalar(stats, LOST + k * STATS) * factor
    return total, lost


# --- what the algorithms share ---


@inline
def is_regular(maximum: float, high: float) -> bool:
    """Whether a row's maximum is finite and not beyond FAR."""
    return abs(maximum * high) <= FAR


@inline
def write_row(
    row: Any, classes: int, sums: Sums, high: float, low: float, result: Any, streams: bool
) -> None:
    """Write e^(s x) / sum of a regular row."""
    r = unshifted_reference(row, sums.exponent, high, low)
    factor = inverse(row, sums.total, sums.lost)
    subnormal = reaches_subnormal(row, (sums.maximum - sums.smallest) * high)
    write_probabilities(row, classes, r, factor, result, streams, AHEAD, subnormal)


@inline
def reaches_subnormal(p: Any, powers: float) -> bool:
    """Whether 2^-powers, over a sum below 2^33, may be a subnormal number."""
    return powers > smallest_exponent(p) - 34.0
