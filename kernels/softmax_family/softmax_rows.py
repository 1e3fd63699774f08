"""The softmax algorithms on rows: compiled code of `softmax`, where their contract stands."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.exp import exp_pair, power_of_two, two_sum
from ..arithmetic.exp import scale as times_power
from ..arithmetic.simd import after, fence, keep, number, pointer, put
from ..arithmetic.vector_exp import (
    FAR,
    OF_ONE,
    layout,
    near_reference,
    reference,
    smallest_exponent,
)
from ..runtime.jit import inline, jit
from .passes import (
    AHEAD,
    STRETCH,
    Stored,
    anchor_of,
    anchor_of_maximum,
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

GROUP = 2048
"""Elements of short rows that go through each pass together: 8 KiB of float32."""

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
    """As the formula stands."""
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
    findings = new_findings(1, classes)
    found, stretches = pointer(findings), stretches_of(classes)
    for i in range(x.size // max(classes, 1)):
        row, result = after(p, i * classes), after(q, i * classes)
        find_extremes(row, classes, found)
        maximum, smallest = row_extremes(found, stretches)
        if is_regular(maximum, high):
            exponent = np.floor(maximum * high)
            r = near_reference(p, exponent, high, low)
            for k in range(stretches):
                stretch, here = stretch_of(row, classes, k)
                anchor = anchor_of(p, number(found, MAXIMUM + k * EACH), r)
                total, lost = sum_exponentials(stretch, here, r, None, anchor, STRETCH)
                note_sum(found, k, exponent, total, lost)
            total, lost = sum_of_stretches(found, stretches, exponent)
            sums = Sums(maximum, smallest, exponent, total, lost)
            write_row(row, classes, sums, high, low, result, streams)
        else:
            _write_irregular(row, classes, maximum, smallest, high, low, result)
    if streams:
        fence()
    keep(x)
    keep(y)
    keep(findings)


@jit
def reload_rows(x: Any, y: Any, e: Any, high: float, low: float, streams: bool) -> None:
    """Maximum; exponentials and their sum; the stored exponentials over the sum.

    `e` receives the exponentials: the result itself, or room for a group of rows.

    Short rows go through each pass in groups, for the steps between the passes (across the lanes,
    a division) take long, but many of them can be under way at once.
    """
    classes = x.shape[-1]
    count = x.size // max(classes, 1)
    p, q, s = pointer(x), pointer(y), pointer(e)
    group, stretches = max(1, min(rows_in_a_group(classes), count)), stretches_of(classes)
    room = 0 if e.size < x.size else 1  # 1: row i of the exponentials is row i of the result
    together = streams and group > 1
    findings = new_findings(group, classes)
    for start in range(0, count, group):
        rows_here = min(group, count - start)
        ahead = max(classes, AHEAD)
        ahead = ahead if (start + rows_here) * classes + ahead <= x.size else 0
        for i in range(rows_here):
            found = after(pointer(findings), i * stretches * EACH)
            find_extremes(after(p, (start + i) * classes), classes, found)
        for i in range(rows_here):
            found = after(pointer(findings), i * stretches * EACH)
            row, stored = after(p, (start + i) * classes), after(s, (start * room + i) * classes)
            store_row(row, classes, found, high, low, stored, ahead)
        for i in range(rows_here):
            found = after(pointer(findings), i * stretches * EACH)
            row, stored = after(p, (start + i) * classes), after(s, (start * room + i) * classes)
            if together:
                finish_stored(row, classes, found, high, stored, stored, False)
            else:
                result = after(q, (start + i) * classes)
                finish_stored(row, classes, found, high, stored, result, streams)
        if together:  # as one piece: short rows would leave many ends
            stream(s, rows_here * classes, after(q, start * classes))
    if streams:
        fence()
    keep(x)
    keep(y)
    keep(e)
    keep(findings)


@inline
def store_row(
    row: Any, classes: int, found: Any, high: float, low: float, stored: Any, ahead: int
) -> None:
    """Store the exponentials of a row, and sum them up."""
    maximum, _ = row_extremes(found, stretches_of(classes))
    if not is_regular(maximum, high):
        if np.isfinite(maximum):
            _store_far(row, classes, maximum, found, high, low, stored)
        return
    exponent = np.floor(maximum * high)
    r = near_reference(row, exponent, high, low)
    for k in range(stretches_of(classes)):
        stretch, here = stretch_of(row, classes, k)
        anchor = anchor_of_maximum(row)
        if classes > STRETCH:
            anchor = anchor_of(row, number(found, MAXIMUM + k * EACH), r)
        target = after(stored, k * STRETCH)
        total, lost = sum_exponentials(stretch, here, r, target, anchor, ahead)
        note_sum(found, k, exponent, total, lost)


@jit
def _store_far(
    row: Any, classes: int, maximum: float, found: Any, high: float, low: float, stored: Any
) -> None:
    """`store_row` for a maximum beyond FAR."""
    r = reference(row, maximum, high, low)
    for k in range(stretches_of(classes)):
        stretch, here = stretch_of(row, classes, k)
        anchor = anchor_of(row, number(found, MAXIMUM + k * EACH), r)
        target = after(stored, k * STRETCH)
        total, lost = sum_exponentials(stretch, here, r, target, anchor, 0)
        note_sum(found, k, r.exponent, total, lost)


@inline
def finish_stored(
    row: Any,
    classes: int,
    found: Any,
    high: float,
    stored: Any,
    result: Any,
    streams: bool,
) -> None:
    """Divide stored exponentials by their sum."""
    stretches = stretches_of(classes)
    maximum, smallest = row_extremes(found, stretches)
    if np.isfinite(maximum):
        total, lost = sum_of_stretches(found, stretches, number(found, EXPONENT))
        subnormal = reaches_subnormal(row, (maximum - smallest) * high)
        r, q = Stored(number(found, EXPONENT)), inverse(row, total, lost)
        write_probabilities(stored, classes, r, q, result, streams, 0, subnormal)
    else:
        write_constant(result, classes, np.nan)


@jit
def rows_in_a_group(classes: int) -> int:
    """How many rows of `three_pass_reload` go through each pass together."""
    return max(1, GROUP // max(classes, 1))


@jit
def reload_in_place(y: Any) -> None:
    """`reload_rows` of scale 1, from y to y."""
    high, low = OF_ONE[int(y.itemsize == 8)]
    reload_rows(y, y, y, high, low, False)


@jit
def two_pass_rows(x: Any, y: Any, high: float, low: float, streams: bool) -> None:
    """Sum of the exponentials as pairs m 2^n; exponentials over the sum."""
    classes = x.shape[-1]
    p, q = pointer(x), pointer(y)
    findings = new_findings(1, classes)
    found, stretches = pointer(findings), stretches_of(classes)
    for i in range(x.size // max(classes, 1)):
        row, result = after(p, i * classes), after(q, i * classes)
        for k in range(stretches):
            stretch, here = stretch_of(row, classes, k)
            smallest, exponent, total, lost = sum_pairs(stretch, here, high, low)
            put(found, SMALLEST + k * EACH, smallest)
            note_sum(found, k, exponent, total, lost)
        sums = merged_pairs(p, found, stretches, high)
        if is_regular(sums.maximum, high):
            write_row(row, classes, sums, high, low, result, streams)
        else:  # logits beyond FAR were cut; NaN and infinities are among them
            maximum, smallest = extremes(row, classes)
            _write_irregular(row, classes, maximum, smallest, high, low, result)
    if streams:
        fence()
    keep(x)
    keep(y)
    keep(findings)


@jit
def online_rows(x: Any, y: Any, high: float, low: float, streams: bool) -> None:
    """Sums of stretches, each under its own maximum; exponentials over their sum."""
    classes = x.shape[-1]
    p, q = pointer(x), pointer(y)
    findings = new_findings(1, classes)
    found, stretches = pointer(findings), stretches_of(classes)
    for i in range(x.size // max(classes, 1)):
        row, result = after(p, i * classes), after(q, i * classes)
        online_sums(row, classes, found, 0, stretches, high, low)
        sums = merged(found, stretches, high)
        if is_regular(sums.maximum, high):
            write_row(row, classes, sums, high, low, result, streams)
        else:
            maximum, smallest = row_extremes(found, stretches)
            _write_irregular(row, classes, maximum, smallest, high, low, result)
    if streams:
        fence()
    keep(x)
    keep(y)
    keep(findings)


@jit
def _write_irregular(
    row: Any, classes: int, maximum: float, smallest: float, high: float, low: float, result: Any
) -> None:
    """The probabilities of a row with logits beyond FAR by three passes, or NaN throughout."""
    if np.isfinite(maximum):
        r = reference(row, maximum, high, low)
        total = lost = 0.0
        for k in range(stretches_of(classes)):
            stretch, here = stretch_of(row, classes, k)
            anchor = anchor_of(row, largest(stretch, here), r)
            part = sum_exponentials(stretch, here, r, None, anchor, STRETCH)
            total, lost = joined(total, lost, part)
        factor = inverse(row, total, lost)
        subnormal = reaches_subnormal(row, (maximum - smallest) * high)
        write_probabilities(row, classes, r, factor, result, False, AHEAD, subnormal)
    else:
        write_constant(result, classes, np.nan)


# --- `online` of one row, its stretches shared out to threads ---


@jit
def sum_stretches(x: Any, findings: Any, first: int, last: int, high: float, low: float) -> None:
    """`online_sums` of a row that is an array."""
    online_sums(pointer(x), x.size, pointer(findings), first, last, high, low)
    keep(x)
    keep(findings)


@jit
def merged_sums(findings: Any, high: float) -> Sums:
    """`merged` of all stretches in an array."""
    sums = merged(pointer(findings), findings.size // EACH, high)
    keep(findings)
    return sums


@jit
def write_part(x: Any, y: Any, sums: Sums, high: float, low: float, streams: bool) -> None:
    """The probabilities of elements x of a row that is regular."""
    write_row(pointer(x), x.size, sums, high, low, pointer(y), streams)
    if streams:
        fence()
    keep(x)
    keep(y)


# --- what is found of a row: EACH numbers of each of its stretches ---

EACH = 5
MAXIMUM, SMALLEST, EXPONENT, TOTAL, LOST = range(EACH)


@inline
def new_findings(group: int, classes: int) -> Any:
    """Room for what is found of so many rows."""
    return np.empty(group * stretches_of(classes) * EACH)


@inline
def stretches_of(classes: int) -> int:
    """How many stretches a row has, 1 at least."""
    return max(1, -(-classes // STRETCH))


@inline
def stretch_of(row: Any, classes: int, k: int) -> Any:
    """Stretch k of a row, and its length."""
    return after(row, k * STRETCH), min(STRETCH, classes - k * STRETCH)


@inline
def note_extremes(found: Any, k: int, maximum: float, smallest: float) -> None:
    """Write down the largest and the smallest element of stretch k."""
    put(found, MAXIMUM + k * EACH, maximum)
    put(found, SMALLEST + k * EACH, smallest)


@inline
def note_sum(found: Any, k: int, exponent: float, total: float, lost: float) -> None:
    """Write down the sum of stretch k under 2^exponent, and what that lost."""
    put(found, EXPONENT + k * EACH, exponent)
    put(found, TOTAL + k * EACH, total)
    put(found, LOST + k * EACH, lost)


@inline
def find_extremes(row: Any, classes: int, found: Any) -> None:
    """The largest and the smallest element of each stretch."""
    for k in range(stretches_of(classes)):
        stretch, here = stretch_of(row, classes, k)
        maximum, smallest = extremes(stretch, here)
        note_extremes(found, k, maximum, smallest)


@inline
def row_extremes(found: Any, stretches: int) -> tuple[float, float]:
    """The largest, or NaN, and the smallest element of a row."""
    maximum, smallest = number(found, MAXIMUM), number(found, SMALLEST)
    for k in range(1, stretches):
        here = number(found, MAXIMUM + k * EACH)
        maximum = here if here > maximum or np.isnan(here) else maximum  # a NaN is not larger
        smallest = min(smallest, number(found, SMALLEST + k * EACH))
    return maximum, smallest


@inline
def online_sums(
    row: Any, classes: int, found: Any, first: int, last: int, high: float, low: float
) -> None:
    """Sum up the stretches first ... last - 1, each under its own maximum."""
    for k in range(first, last):
        stretch, here = stretch_of(row, classes, k)
        maximum, smallest = extremes(stretch, here)
        exponent = np.floor(maximum * high)
        total, lost = 0.0, 0.0  # of a masked stretch, too
        if is_regular(maximum, high):
            r, anchor = near_reference(row, exponent, high, low), anchor_of_maximum(row)
            total, lost = sum_exponentials(stretch, here, r, None, anchor, STRETCH)
        note_extremes(found, k, maximum, smallest)
        note_sum(found, k, exponent, total, lost)


@inline
def merged(found: Any, stretches: int, high: float) -> Sums:
    """The sums of a row from those of its stretches; an infinite maximum where it is irregular.

    So is a row with a stretch beyond FAR that is not far below the maximum.
    """
    maximum, smallest = row_extremes(found, stretches)
    exponent = np.floor(maximum * high)
    for k in range(stretches):
        is_near = exponent - number(found, EXPONENT + k * EACH) < NEGLIGIBLE
        if is_near and not is_regular(number(found, MAXIMUM + k * EACH), high):
            maximum = np.inf
    total, lost = sum_of_stretches(found, stretches, exponent)
    return Sums(maximum, smallest, exponent, total, lost)


@inline
def merged_pairs(p: Any, found: Any, stretches: int, high: float) -> Sums:
    """As `merged`, from the sums of pairs; the extremes are known to a power of two."""
    smallest, exponent = np.inf, -np.inf
    undefined = False
    for k in range(stretches):
        smallest = min(smallest, number(found, SMALLEST + k * EACH))
        exponent = max(exponent, number(found, EXPONENT + k * EACH))
        undefined |= np.isnan(number(found, TOTAL + k * EACH))
    _, bias, _ = layout(p)
    total, lost = sum_of_stretches(found, stretches, exponent - bias)
    maximum = np.inf if undefined or abs(exponent) > FAR - NEGLIGIBLE else exponent / high
    return Sums(maximum, smallest / high, exponent, total, lost)


@inline
def sum_of_stretches(found: Any, stretches: int, exponent: float) -> tuple[float, float]:
    """The sum under 2^exponent, and what that lost."""
    total = lost = 0.0
    for k in range(stretches):
        factor = power_of_two(max(number(found, EXPONENT + k * EACH) - exponent, -1000.0))
        total, error = two_sum(total, number(found, TOTAL + k * EACH) * factor)
        lost += error + number(found, LOST + k * EACH) * factor
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
    r = near_reference(row, sums.exponent, high, low)
    factor = inverse(row, sums.total, sums.lost)
    subnormal = reaches_subnormal(row, (sums.maximum - sums.smallest) * high)
    write_probabilities(row, classes, r, factor, result, streams, AHEAD, subnormal)


@inline
def reaches_subnormal(p: Any, powers: float) -> bool:
    """Whether 2^-powers, over a sum below 2^33, may be a subnormal number."""
    return powers > smallest_exponent(p) - 34.0
