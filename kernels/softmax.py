"""Softmax, p_i = e^(s x_i) / sum_j e^(s x_j), over one axis: one function per algorithm.

Common to all: `logits` is any array of float32, float64, float16 or bfloat16 (lists of floats too)
with at least one axis, with any strides; the result has its shape and dtype. `axis` runs over the
classes. `scale`, the s, is 1 / temperature, from 2^-100 to 2^100. `out` receives the result, and
may be `logits` itself. `threads` shares the rows out, and one long row too where an algorithm says
so; the result is the same to the last bit. TypeError: another dtype of `logits` or `out`.
ValueError: a scalar, an axis that is not there, a scale out of range, an `out` of the wrong shape,
read-only or overlapping `logits` in part, `threads` below 1.

The contract at the edges, for all but `naive`: -inf is a masked class, its probability 0. A row
that holds NaN or +inf, or nothing but -inf, is NaN throughout. A finite row of one class is 1. No
classes or no rows give an empty result. Subnormal results are not flushed.

`ULP_BOUND` holds the proven largest error in ulps of the exact result (the spacing of the
subnormals below the normal range), for finite rows with any -inf masks, up to 2^31 classes, and
scale 1. One proof for all algorithms, relative, in units of the unit roundoff u of float32 or
float64:

  e^x          c = EXP_ERROR of `vector_exp`: 1.41 in float32, tried at every number; 1.65
  sum          c, of its terms, and of summing 0.16 in float32, see `vector_passes`; what is masked
               or cut, even 2^31 times, is below 2^-150 of the sum
  e^x / sum    a fused multiplication with the inverse of the sum, kept as two numbers: 1

The sum of these is 3.98 and 4.30, terms of second order are below 0.01, and u y is at most an ulp
of y. (`lowered` scales exactly, or rounds a subnormal to half a unit, where the terms above count
half.) For other scales c is 1.65 in float32, too: 4.47. Results of 16 bits are those of float32,
rounded: half an ulp, and 4.47 2^-13 or 2^-16 of one.

Since the exponentials are numbers times powers of two that are the same in all algorithms, so are,
nearly always, their results: two_pass adds in another order.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray

from . import rows, tuning
from .exp import exp_pair, power_of_two, two_sum
from .exp import scale as times_power
from .jit import inline, jit
from .rows import WIDE
from .simd import FLOAT32, VECTOR, after, fence, fma, keep, number, pointer, put
from .vector_exp import (
    FAR,
    OF_ONE,
    layout,
    multiplier,
    near_reference,
    reference,
    smallest_exponent,
)
from .vector_passes import (
    STRETCH,
    anchor_of,
    anchor_of_maximum,
    extremes,
    largest,
    rescale,
    store_exponentials,
    stream,
    sum_exponentials,
    sum_pairs,
    write_nan,
    write_probabilities,
)

NEGLIGIBLE = 2000.0
"""What is smaller than something by more powers of two makes no difference to it."""

SMALL = 4096
"""Up to so many logits the arguments of a call cost more than copying them."""

GROUP = 2048
"""Elements of short rows that go through each pass together: 8 KiB of float32."""

AHEAD = 1024
"""Elements between what is computed and what is fetched for later, at least."""

Result = NDArray[Any]


def softmax(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    algorithm: str = "auto",
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by the algorithm of the given name, a key of `ALGORITHMS`, or by the fastest one.

    Arguments, errors and edges as in the module, and ValueError for an unknown algorithm. "auto"
    is `three_pass_reload` for rows that fit the second-level cache (`tuning.ROW_BYTES`), else
    `online`, which shares out one long row to the threads. Error bound: `ULP_BOUND[algorithm]`.

    >>> softmax([[0.0, 1.0], [3.0, -np.inf]]).round(3).tolist()
    [[0.269, 0.731], [1.0, 0.0]]
    >>> softmax([[0.0, 10.0]], scale=0.1).round(3).tolist()  # temperature 10
    [[0.269, 0.731]]
    """
    if (  # what a call costs at all counts for a handful of logits: nothing but the kernel
        type(logits) is ndarray
        and out is None
        and threads == 1
        and axis == -1
        and scale == 1.0
        and algorithm == "auto"
        and logits.size <= SMALL
        and logits.dtype in WIDE
        and 0 < logits.ndim < 3
    ):
        result = logits.copy()
        _in_place(result)
        return result
    if algorithm == "auto":
        return _run(_fastest, logits, axis, scale, out, threads)
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be auto, {', '.join(ALGORITHMS)}; got {algorithm!r}")
    return ALGORITHMS[algorithm](logits, axis=axis, scale=scale, out=out, threads=threads)


def naive(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax as the formula stands, in the dtype of the logits: the baseline that breaks.

    Each e^(s x) is rounded to the dtype, the sum runs from left to right in it, then each is
    divided. It has no error bound: above x = 88.7 (float32) or 709.8 (float64) e^x overflows and
    the result is NaN, a row far below 0 is 0/0 = NaN, and the sum is off by up to n/2 ulps. So the
    contract at the edges holds only where nothing overflows. float32 and float64 only. Arguments
    and errors as in the module.

    >>> naive([0.0, 1.0]).tolist()
    [0.2689414213699951, 0.7310585786300049]
    >>> naive(np.array([100.0, 0.0], np.float32)).tolist()
    [nan, 0.0]
    """
    x = rows.as_logits(logits, axis, narrow=False)
    y = rows.output(out, x.shape, x, axis)
    multiplier(scale, x.dtype)  # refuses a scale out of range
    rows.apply(lambda x, y: _naive(x, y, float(scale)), (x,), (y,), rows.check_threads(threads))
    return y if axis == -1 else np.moveaxis(y, -1, axis)


def three_pass_recompute(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by three passes: maximum; sum of e^(x - max); e^(x - max) again, over the sum.

    Arguments, errors and edges as in the module. Source: Dukhan & Ablavatski 2020, algorithm 1.

    >>> three_pass_recompute([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _run(_three_pass_recompute, logits, axis, scale, out, threads)


def three_pass_reload(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by three passes: maximum; store e^(x - max) and sum; divide what was stored.

    Arguments, errors and edges as in the module. Source: Dukhan & Ablavatski 2020, algorithm 2.

    >>> three_pass_reload([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _run(_reload, logits, axis, scale, out, threads)


def two_pass(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by two passes, without the maximum: e^x = m 2^n summed as pairs (M, N); e^x over it.

    Arguments, errors and edges as in the module. Source: Dukhan & Ablavatski 2020 (arXiv
    2001.04438), algorithm 3.

    >>> two_pass([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _run(_two_pass, logits, axis, scale, out, threads)


def online(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by two passes: running maximum and sum of e^(x - reference) in one; e^x over the sum.

    Arguments, errors and edges as in the module. Source: Milakov & Gimelshein 2018 (arXiv
    1805.02867), algorithm 3, by blocks of elements.

    >>> online([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _run(_online, logits, axis, scale, out, threads)


ALGORITHMS: dict[str, Callable[..., Result]] = {
    "naive": naive,
    "three_pass_recompute": three_pass_recompute,
    "three_pass_reload": three_pass_reload,
    "two_pass": two_pass,
    "online": online,
}

ULP_BOUND: dict[str, dict[str, float]] = {
    name: {"float32": 3.99, "float64": 4.31, "float16": 0.501, "bfloat16": 0.501}
    for name in ALGORITHMS
    if name != "naive"
}
SCALED_ULP_BOUND = {"float32": 4.48, "float64": 4.31, "float16": 0.501, "bfloat16": 0.501}
"""The same for scales other than 1."""


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


# --- from arrays to rows ---

Kernel = Callable[[Result, Result, float, float, bool], None]
"""Of logits and result, C-contiguous; the multiplier; whether to write past the caches."""


def _run(
    kernel: Kernel, logits: ArrayLike, axis: int, scale: float, out: Result | None, threads: int
) -> Result:
    x = rows.as_logits(logits, axis)
    y = rows.output(out, x.shape, x, axis)
    high, low = multiplier(scale, x.dtype)
    streams = rows.past_caches(out, y, x, least=tuning.STREAM_GROUPED_ROW_BYTES)
    if threads == 1 and rows.are_ready(x, y):
        kernel(x, y, high, low, streams)
    elif _is_long(kernel, x, y, rows.check_threads(threads)):
        for row, result in zip(*(a.reshape(-1, a.shape[-1]) for a in (x, y)), strict=True):
            pair = rows.as_compiled(row), rows.as_compiled(result)
            _split(*pair, high, low, streams, rows.check_threads(threads))
    else:
        rows.apply(lambda x, y: kernel(x, y, high, low, streams), (x,), (y,), threads)
    return y if axis == -1 else np.moveaxis(y, -1, axis)


def _fastest(x: Result, y: Result, high: float, low: float, streams: bool) -> None:
    """The choice among algorithms, by the length of a row alone: for a row always the same."""
    if x.shape[-1] * x.itemsize <= tuning.ROW_BYTES:
        _reload(x, y, high, low, streams)
    else:
        _online(x, y, high, low, streams)


def _reload(x: Result, y: Result, high: float, low: float, streams: bool) -> None:
    e = y
    if streams or x.itemsize == 2:
        room = rows_in_a_group(x.shape[-1]) * x.shape[-1]
        e = np.empty(min(room, x.size), np.float64 if x.itemsize == 8 else np.float32)
    _three_pass_reload(x, y, e, high, low, streams)


def _is_long(kernel: Kernel, x: Result, y: Result, threads: int) -> bool:
    """Whether there are fewer rows than threads, so that `online` must share out single rows."""
    classes = max(x.shape[-1], 1)
    return (
        (kernel is _online or (kernel is _fastest and classes * x.itemsize > tuning.ROW_BYTES))
        and x.size // classes < threads
        and x.nbytes >= 2 * tuning.THREAD_BYTES
        and rows.is_plain(x)
        and rows.is_plain(y)
    )


def _split(x: Result, y: Result, high: float, low: float, streams: bool, threads: int) -> None:
    """`online` of one long row, its stretches shared out to the threads."""
    stretches = -(-x.size // STRETCH)
    findings = np.empty(stretches * EACH)
    step = -(-stretches // threads)

    def sum_up(first: int) -> None:
        _online_sums(x, findings, first, min(first + step, stretches), high, low)

    def write(first: int) -> None:
        here = slice(first * STRETCH, (first + step) * STRETCH)
        _write_part(x[here], y[here], sums, high, low, streams)

    rows.in_parallel(sum_up, range(0, stretches, step), threads)
    sums = _merged(findings, high)
    if abs(sums.maximum * high) <= FAR:
        rows.in_parallel(write, range(0, stretches, step), threads)
    else:
        _online(x, y, high, low, streams)


# --- the algorithms, on rows ---


@jit
def _naive(x: Result, y: Result, s: float) -> None:
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
def _three_pass_recompute(x: Any, y: Any, high: float, low: float, streams: bool) -> None:
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
                total, lost = sum_exponentials(stretch, here, r, anchor, STRETCH)
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
def _three_pass_reload(x: Any, y: Any, e: Any, high: float, low: float, streams: bool) -> None:
    """`e` receives the exponentials: the result itself, or room for a group of rows.

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
        total, lost = store_exponentials(stretch, here, r, target, anchor, ahead)
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
        total, lost = store_exponentials(stretch, here, r, target, anchor, 0)
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
        rescale(stored, classes, inverse(row, total, lost), result, streams, subnormal)
    else:
        write_nan(result, classes)


@jit
def rows_in_a_group(classes: int) -> int:
    """How many rows of `three_pass_reload` go through each pass together."""
    return max(1, GROUP // max(classes, 1))


@jit
def _in_place(y: Any) -> None:
    high, low = OF_ONE[int(y.itemsize == 8)]
    _three_pass_reload(y, y, y, high, low, False)


@jit
def _two_pass(x: Any, y: Any, high: float, low: float, streams: bool) -> None:
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
def _online(x: Any, y: Any, high: float, low: float, streams: bool) -> None:
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
            part, error = sum_exponentials(stretch, here, r, anchor, STRETCH)
            total, error_of_sum = two_sum(total, part)
            lost += error + error_of_sum
        factor = inverse(row, total, lost)
        subnormal = reaches_subnormal(row, (maximum - smallest) * high)
        write_probabilities(row, classes, r, factor, result, False, AHEAD, subnormal)
    else:
        write_nan(result, classes)


# --- `online` of one row, its stretches shared out to threads ---


@jit
def _online_sums(x: Any, findings: Any, first: int, last: int, high: float, low: float) -> None:
    online_sums(pointer(x), x.size, pointer(findings), first, last, high, low)
    keep(x)
    keep(findings)


@jit
def _merged(findings: Any, high: float) -> Sums:
    sums = merged(pointer(findings), findings.size // EACH, high)
    keep(findings)
    return sums


@jit
def _write_part(x: Any, y: Any, sums: Sums, high: float, low: float, streams: bool) -> None:
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
            r = near_reference(row, exponent, high, low)
            total, lost = sum_exponentials(stretch, here, r, anchor_of_maximum(row), STRETCH)
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


def inverse(p: Any, sum_: float, lost: float) -> tuple[float, float]:
    """2^LOWERED / (sum + lost) as a pair of numbers of the format that p is computed in."""
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
