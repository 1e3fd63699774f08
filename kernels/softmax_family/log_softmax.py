"""log-softmax, log p_i = s x_i - log sum_j e^(s x_j), right in every entry, and its derivatives."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.exp import power_of_two
from ..arithmetic.log1p import log1p
from ..arithmetic.simd import (
    DOWN_EXPONENT,
    FLOAT32,
    FLOAT64,
    broadcast,
    elements_to_alignment,
    fence,
    fma,
    keep_alive,
    lanes,
    load,
    load_masked,
    offset,
    pointer,
    prefetch,
    scale_down,
    select,
    store,
    store_masked,
    store_stream,
    where_nan,
)
from ..arithmetic.vector_exp import (
    LOG2_E_PAIRS,
    exponential,
    layout,
    multiplier,
    unshifted_reference,
)
from ..runtime import rows
from ..runtime.declared import kernel_of
from ..runtime.documented import documented
from ..runtime.jit import inline, jit
from . import row_state
from .passes import BLOCK, add, has_several_blocks, joined, sum_of_lanes
from .row_state import new_parts, new_states, row_states, rows_in_a_group, whole_vectors

ULP_BOUND: dict[str, float] = {"float32": 4.7, "float64": 9.0, "float16": 0.51, "bfloat16": 0.51}
"""Proven largest error of `log_softmax` in ulps of the exact result."""

DERIVATIVE_BOUND = 6.7
"""Proven largest error of the derivatives in units u of their condition; see there."""

Array = NDArray[Any]


@kernel_of("log_softmax", ULP_BOUND, proof="log_softmax")
@documented
def log_softmax(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Logarithm of softmax over one axis, log p_i = s x_i - log sum_j e^(s x_j).

    Every entry has full relative accuracy: a class that dominates gets -log1p(T), T the sum of all
    others over it, and not 0.

    Parameters
    ----------
    {logits}
    {axis}
    {scale}
    {out}
    {threads_long}

    Returns
    -------
    ndarray
        The logarithms, in nats, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    -inf in a row of finite others stays -inf. A row with NaN or +inf, or of -inf alone, is NaN
    throughout. A finite row of one class is 0; no classes give an empty result.

    Computed as s (x_i - M) - L, L = log1p(T), with M and T as in `row_state`: d = fma(x_i, 1/2,
    -M/2), which cannot overflow, and fma(d, 2 s, -L).

    Error, at most `error_bound("log_softmax", dtype)`. Both terms are <= 0, nothing cancels, so the
    relative error is at most the larger one of the two, and one rounding. With u the unit roundoff
    of the format (2^-24 for those of 16 bits): the first is off by u, of d, and in float32 by u, of
    s. The second is off by what `logsumexp` says, EXP_ERROR + 1, 6.8 or 8 times u, and in float32
    by u, for it is rounded to the format: 3.65u in float32, 8u in float64. u of a number is at most
    one ulp of it. The rounding is half an ulp of what is rounded, and that may lie in the next
    binade: one ulp of the exact result. So 4.65 and 9 ulp are proven, and 2^-20 u in float32.
    Results of 16 bits are rounded from those of float32: half an ulp, and 4.7 2^-13 or 2^-16 of one
    (next to a power of two they round to it).

    References
    ----------
    Blanchard, Higham and Higham 2021, Accurately computing the log-sum-exp and softmax functions,
    IMA J. Numer. Anal. 41(4).

    Examples
    --------
    >>> float(log_softmax(np.array([17, 0], np.float32))[0])
    -4.139937459513021e-08
    >>> log_softmax([1000.0, -np.inf]).tolist()
    [0.0, -inf]
    """
    return rows.call(LOG_SOFTMAX, (logits,), (scale,), axis, out, threads)


def _options(dtype: Any, streams: bool, scale: float) -> tuple[float, float, float, bool]:
    high, low = multiplier(scale, dtype)  # refuses a scale out of range
    return float(scale), high, low, streams


def _log_softmax_long(
    threads: int, x: Array, y: Array, s: float, high: float, low: float, streams: bool
) -> None:
    """One long row, its blocks shared out to the threads."""
    state = row_state.state_of_long_row(x, high, low, threads)

    def write(first: int, last: int) -> None:
        _write(x[first:last], y[first:last], *state, s, streams)

    rows.share_out(write, x.size, threads)


@jit
def _log_softmax(x: Any, y: Any, s: float, high: float, low: float, streams: bool) -> None:
    classes = x.shape[-1]
    count = x.size // max(classes, 1)
    p, q = pointer(x), pointer(y)
    group, parts, states = rows_in_a_group(classes), new_parts(classes), new_states(classes)
    ahead = BLOCK if classes > BLOCK else 0
    for start in range(0, count, group):
        here = min(group, count - start)
        # Pass 1: M and T of each row, and L = log1p(T).
        row_states(offset(p, start * classes), here, classes, high, low, None, parts, states)
        for i in range(whole_vectors(here)):
            states[1, i] = log1p(states[1, i])
        # Pass 2: s (x_i - M) - L.
        for i in range(here):
            at = (start + i) * classes
            write_log_probabilities(
                offset(p, at), classes, states[0, i], states[1, i], s, offset(q, at), streams, ahead
            )
    if streams:
        fence()
    keep_alive(x)
    keep_alive(y)


LOG_SOFTMAX = rows.RowKernel(_log_softmax, _log_softmax_long, has_several_blocks, _options)


@jit
def _write(x: Any, y: Any, maximum: float, others: float, s: float, streams: bool) -> None:
    p, q = pointer(x), pointer(y)
    write_log_probabilities(p, x.size, maximum, log1p(others), s, q, streams, BLOCK)
    if streams:
        fence()
    keep_alive(x)
    keep_alive(y)


@inline
def write_log_probabilities(
    x: Any, count: int, maximum: float, log: float, s: float, y: Any, streams: bool, ahead: int
) -> None:
    """Write s (x_i - M) - L of each element of a row to y, from M and L = log1p(T).

    As fma(fma(x_i, 1/2, -M/2), 2 s, -L): half the difference cannot overflow.
    """
    width = lanes(x)
    half, m = broadcast(x, 0.5), broadcast(x, -0.5 * maximum)
    twice, away = broadcast(x, 2.0 * s), broadcast(x, 0.0 - log)
    head = min(count, elements_to_alignment(y)) if streams else 0
    pairs = head + (count - head) // (2 * width) * (2 * width)
    if head > 0:
        store_masked(y, 0, fma(fma(load_masked(x, 0, head, 0.0), half, m), twice, away), head)
    for j in range(head, pairs, 2 * width):
        prefetch(x, j + ahead)
        prefetch(x, j + width + ahead)
        first = fma(fma(load(x, j), half, m), twice, away)
        second = fma(fma(load(x, j + width), half, m), twice, away)
        if streams:
            store_stream(y, j, first)
            store_stream(y, j + width, second)
        else:
            store(y, j, first)
            store(y, j + width, second)
    for j in range(pairs, count, width):
        here = min(width, count - j)
        store_masked(y, j, fma(fma(load_masked(x, j, here, 0.0), half, m), twice, away), here)


# --- derivatives ---


class Format(NamedTuple):
    """What the derivatives need to know of float32 or float64."""

    high: float
    low: float
    """log2(e)."""
    down: float
    """What `scale_down` takes off the exponent."""
    up: float
    """`write_gradients` holds e^x 2^up, all normal down to half the smallest subnormal."""
    least: float
    """The smallest sum that remains a normal number when multiplied by 2^-up."""


FORMATS = (
    Format(*LOG2_E_PAIRS[0], float(DOWN_EXPONENT[FLOAT32]), 70.0, 2.0**-54),
    Format(*LOG2_E_PAIRS[1], float(DOWN_EXPONENT[FLOAT64]), 250.0, 2.0**-770),
)


@documented
def log_softmax_vjp(
    log_probabilities: ArrayLike,
    cotangent: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Gradient with respect to the logits, from the log-probabilities.

    That is s (g_i - p_i sum_j g_j), p_i = e^(log p_i), where g, the cotangent, is the gradient with
    respect to the log-probabilities: the vector-Jacobian product of reverse mode.

    Parameters
    ----------
    log_probabilities : array_like of shape (..., K, ...)
        What `log_softmax` returned: float32, float64, float16 or bfloat16, at most 0, of any
        strides.
    cotangent : array_like
        The g: an array of the shape and dtype of `log_probabilities`.
    {axis}
    {scale}
    {out_of_vector}
    {threads}

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
    A log-probability of -inf has p = 0; NaN gives NaN, in the whole row if it is in g. An overflow
    of the sum of g, or of the result, gives infinities or NaN. Empty rows give an empty result.

    Error: at most 6.7u s (|g_i| + p_i sum_j |g_j|), the condition of the problem, u the unit
    roundoff (2^-24 for 16 bits, whose results are then rounded), and half the smallest subnormal
    times 1 + s |sum g|. p is right within EXP_ERROR, or half a subnormal; the sum, compensated, is
    rounded to one number of the format, and off by 2^-8 u else: p_i sum g is right within 2.7u. The
    fma, s in float32, and the product with s round once each, 3u of the result; 1u for s = 1.

    Examples
    --------
    >>> log_softmax_vjp(log_softmax([0.0, 0.0]), [1.0, 0.0]).tolist()
    [0.5, -0.5]
    """
    arrays, names = (log_probabilities, cotangent), ("log_probabilities", "cotangent")
    return rows.call(VJP, arrays, (scale,), axis, out, threads, names=names)


@documented
def log_softmax_jvp(
    log_probabilities: ArrayLike,
    tangent: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Change of log_softmax when the logits move along t, to first order.

    That is s (t_i - sum_j p_j t_j), p_j = e^(log p_j): the Jacobian-vector product of forward mode.

    Parameters
    ----------
    log_probabilities : array_like of shape (..., K, ...)
        What `log_softmax` returned: float32, float64, float16 or bfloat16, at most 0, of any
        strides.
    tangent : array_like
        The t: an array of the shape and dtype of `log_probabilities`.
    {axis}
    {scale}
    {out_of_vector}
    {threads}

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
    A log-probability of -inf has p = 0; NaN anywhere makes the row NaN. An overflow of the sum, or
    of the result, gives infinities or NaN. Empty rows give an empty result.

    Error: at most 6.7u s (|t_i| + sum_j p_j |t_j|), u the unit roundoff, and half the smallest
    subnormal times 1 + s sum |t|. In the sum p_j is right within EXP_ERROR, the product rounds by
    u, and the sum is rounded to one number of the format: 3.7u. The rest as in `log_softmax_vjp`,
    3u.

    Examples
    --------
    >>> log_softmax_jvp(log_softmax([0.0, 0.0]), [1.0, 0.0]).tolist()
    [0.5, -0.5]
    """
    arrays, names = (log_probabilities, tangent), ("log_probabilities", "tangent")
    return rows.call(JVP, arrays, (scale,), axis, out, threads, names=names)


def _options_of_derivative(dtype: Any, streams: bool, scale: float) -> tuple[float, Format]:
    multiplier(scale, dtype)  # refuses a scale out of range
    return float(scale), FORMATS[dtype == np.float64]


@jit
def _vjp(x: Any, v: Any, y: Any, s: float, f: Format) -> None:
    classes = x.shape[-1]
    p, g, q = pointer(x), pointer(v), pointer(y)
    for at in range(0, x.size, max(classes, 1)):
        cotangent = offset(g, at)
        sum_ = lost = 0.0
        for k in range(0, classes, BLOCK):
            part = sum_up(offset(cotangent, k), min(BLOCK, classes - k))
            sum_, lost = joined(sum_, lost, part)
        write_gradients(offset(p, at), cotangent, classes, f, sum_ + lost, s, offset(q, at))
    keep_alive(x)
    keep_alive(v)
    keep_alive(y)


@jit
def _jvp(x: Any, v: Any, y: Any, s: float, f: Format) -> None:
    classes = x.shape[-1]
    p, t, q = pointer(x), pointer(v), pointer(y)
    for at in range(0, x.size, max(classes, 1)):
        row, tangent = offset(p, at), offset(t, at)
        sum_ = lost = 0.0
        for k in range(0, classes, BLOCK):
            here = min(BLOCK, classes - k)
            part = sum_weighted(offset(row, k), offset(tangent, k), here, f)
            sum_, lost = joined(sum_, lost, part)
        write_deviations(tangent, classes, sum_ + lost, s, offset(q, at))
    keep_alive(x)
    keep_alive(v)
    keep_alive(y)


VJP = rows.RowKernel(_vjp, options=_options_of_derivative)
JVP = rows.RowKernel(_jvp, options=_options_of_derivative)


@inline
def sum_up(v: Any, count: int) -> tuple[float, float]:
    """The sum of a block, and what that lost."""
    width = lanes(v)
    a = b = lost_a = lost_b = broadcast(v, 0.0)
    pairs = count - count % (2 * width)
    for j in range(0, pairs, 2 * width):
        a, lost_a = add(a, lost_a, load(v, j))
        b, lost_b = add(b, lost_b, load(v, j + width))
    for j in range(pairs, count, width):
        a, lost_a = add(a, lost_a, load_masked(v, j, min(width, count - j), 0.0))
    a, lost_a = add(a, lost_a + lost_b, b)
    return sum_of_lanes(a, lost_a)


@inline
def sum_weighted(x: Any, v: Any, count: int, f: Format) -> tuple[float, float]:
    """The sum of e^x v over a block, and what that lost."""
    r = under(x, f.down, f)
    width = lanes(x)
    total = lost = broadcast(x, 0.0)
    whole = count - count % width
    for j in range(0, whole, width):
        w = load(x, j)
        e = kept_nan(w, scale_down(exponential(x, w, r)))
        total, lost = add(total, lost, e * load(v, j))
    if whole < count:
        w = load_masked(x, whole, count - whole, 0.0)
        e = kept_nan(w, scale_down(exponential(x, w, r)))
        total, lost = add(total, lost, e * load_masked(v, whole, count - whole, 0.0))
    return sum_of_lanes(total, lost)


@inline
def write_gradients(x: Any, g: Any, count: int, f: Format, sum_: float, s: float, y: Any) -> None:
    """y = s (g - e^x sum), of g and the sum of it.

    The exponentials are e^x 2^up, and the sum is multiplied by 2^-up: both are normal numbers. An
    exponential below 2^-(CUT - BIAS + up) counts as that: 2^-170 (2^-1160), or for a sum below
    `least` 2^-100 (2^-910), which times the sum is less than 2^-150 (2^-1075) of it, or at all.
    """
    up = f.up if abs(sum_) >= f.least else 0.0
    r = under(x, up, f)
    width = lanes(x)
    factor, minus = broadcast(x, s), broadcast(x, (0.0 - sum_) * power_of_two(0.0 - up))
    pairs = count - count % (2 * width)
    for j in range(0, pairs, 2 * width):
        w, w2 = load(x, j), load(x, j + width)
        first = fma(kept_nan(w, exponential(x, w, r)), minus, load(g, j))
        second = fma(kept_nan(w2, exponential(x, w2, r)), minus, load(g, j + width))
        store(y, j, factor * first)
        store(y, j + width, factor * second)
    for j in range(pairs, count, width):
        here = min(width, count - j)
        w = load_masked(x, j, here, 0.0)
        last = fma(kept_nan(w, exponential(x, w, r)), minus, load_masked(g, j, here, 0.0))
        store_masked(y, j, factor * last, here)


@inline
def write_deviations(t: Any, count: int, mean: float, s: float, y: Any) -> None:
    """Write s (t_i - sum_j p_j t_j) of each element of a row to y; `mean` is the sum."""
    width = lanes(t)
    factor, away = broadcast(t, s), broadcast(t, mean)
    whole = count - count % width
    for j in range(0, whole, width):
        store(y, j, factor * (load(t, j) - away))
    if whole < count:
        last = load_masked(t, whole, count - whole, 0.0)
        store_masked(y, whole, factor * (last - away), count - whole)


@inline
def kept_nan(x: Any, e: Any) -> Any:
    """e, but NaN where x is NaN, which `exponential` turns into some number."""
    return select(where_nan(x, x), x, e)


@inline
def under(p: Any, up: float, f: Format) -> Any:
    """The reference under which the exponential of x is e^x 2^up."""
    _, bias, _ = layout(p)
    return unshifted_reference(p, bias - up, f.high, f.low)
