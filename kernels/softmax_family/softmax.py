"""Softmax, p_i = e^(s x_i) / sum_j e^(s x_j), over one axis: one function per algorithm.

`ULP_BOUND` holds the proven largest error in ulps of the exact result (the spacing of the
subnormals below the normal range), for finite rows with any -inf masks, up to 2^31 classes, and
scale 1.

Error. One proof for all algorithms, relative, in units of the unit roundoff u of float32 or
float64:

  e^x          c = EXP_ERROR of `vector_exp`: 1.41 in float32, tried at every number; 1.65
  sum          c, of its terms, and of summing 0.16 in float32, see `passes`; what is masked or cut,
               even 2^31 times, is below 2^-150 of the sum
  e^x / sum    a fused multiplication with the inverse of the sum, kept as two numbers: 1

The sum of these is 3.98 and 4.30, terms of second order are below 0.01, and u y is at most an ulp
of y. (`scale_down` scales exactly, or rounds a subnormal to half a unit, where the terms above
count half.) For other scales c is 1.65 in float32, too: 4.47. Results of 16 bits are those of
float32, rounded: half an ulp, and 4.47 2^-13 or 2^-16 of one.

Since the exponentials are numbers times powers of two that are the same in all algorithms, so are,
nearly always, their results: two_pass adds in another order.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.vector_exp import FAR, multiplier
from ..runtime import rows, tuning
from ..runtime.declared import kernel_of
from ..runtime.documented import documented
from ..runtime.rows import WIDE
from .passes import BLOCK, has_several_blocks
from .softmax_rows import (
    STATS,
    merge_sums,
    naive_rows,
    online_rows,
    recompute_rows,
    reload_in_place,
    reload_rows,
    rows_in_a_group,
    sum_blocks,
    two_pass_rows,
    write_part,
)

SMALL = 4096
"""Up to so many logits the arguments of a call cost more than copying them."""

Result = NDArray[Any]

_ULPS = {"float32": 3.99, "float64": 4.31, "float16": 0.501, "bfloat16": 0.501}


@kernel_of("softmax", _ULPS)
@documented
def softmax(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    algorithm: str = "auto",
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax over one axis: p_i = e^(s x_i) / sum_j e^(s x_j).

    Parameters
    ----------
    {logits}
    {axis}
    {scale}
    algorithm : str
        A key of `ALGORITHMS`, or "auto": `three_pass_reload` for rows that fit a cache
        (`tuning.ROW_BYTES`), else `online`.
    {out}
    {threads_long}

    Returns
    -------
    ndarray
        The probabilities, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    {edges_of_softmax}

    The error is at most `error_bound("softmax", dtype)` for any finite row of up to 2^31 classes
    with any -inf masks: 3.99 ulp in float32, 4.31 in float64, 0.501 in float16 and bfloat16; for
    scales other than 1 it is 4.48 in float32. The proof stands in the docstring of the module
    `softproof.kernels.softmax_family.softmax`.

    References
    ----------
    Dukhan and Ablavatski 2020, The Two-Pass Softmax Algorithm, arXiv 2001.04438; Milakov and
    Gimelshein 2018, Online normalizer calculation for softmax, arXiv 1805.02867.

    Examples
    --------
    >>> softmax([[0.0, 1.0], [3.0, -np.inf]]).round(3).tolist()
    [[0.269, 0.731], [1.0, 0.0]]
    >>> softmax([[0.0, 10.0]], scale=0.1).round(3).tolist()  # temperature 10
    [[0.269, 0.731]]
    """
    if (  # what a call costs at all counts for a handful of logits: nothing but the kernel
        type(logits) is ndarray
        and threads == 1
        and axis == -1
        and scale == 1.0
        and algorithm == "auto"
        and logits.size <= SMALL
        and logits.dtype in WIDE
        and 0 < logits.ndim < 3
    ):
        result = logits.copy() if out is None else _copied(logits, out)
        if result is not None:
            reload_in_place(result)
            return result
    if algorithm == "auto":
        return rows.call(FASTEST, (logits,), (scale,), axis, out, threads)
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be auto, {', '.join(ALGORITHMS)}; got {algorithm!r}")
    return ALGORITHMS[algorithm](logits, axis=axis, scale=scale, out=out, threads=threads)


@documented
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
    divided.

    Parameters
    ----------
    {logits}
    {axis}
    {scale}
    {out}
    {threads}

    Returns
    -------
    ndarray
        The probabilities, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    It has no error bound: above x = 88.7 (float32) or 709.8 (float64) e^x overflows and the result
    is NaN, a row far below 0 is 0/0 = NaN, and the sum is off by up to n/2 ulps. What `softmax`
    says of -inf, +inf and NaN holds only where nothing overflows. It takes float32 and float64
    only.

    Examples
    --------
    >>> naive([0.0, 1.0]).tolist()
    [0.2689414213699951, 0.7310585786300049]
    >>> naive(np.array([100.0, 0.0], np.float32)).tolist()
    [nan, 0.0]
    """
    return rows.call(NAIVE, (logits,), (scale,), axis, out, threads, narrow=False)


@kernel_of("softmax", _ULPS)
@documented
def three_pass_recompute(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by three passes that store nothing.

    The maximum; the sum of e^(x - max); e^(x - max) once more, over the sum.

    Parameters
    ----------
    {logits}
    {axis}
    {scale}
    {out}
    {threads}

    Returns
    -------
    ndarray
        The probabilities, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    {edges_of_softmax}

    {error_of_algorithm}

    References
    ----------
    Dukhan and Ablavatski 2020, The Two-Pass Softmax Algorithm, arXiv 2001.04438, algorithm 1.

    Examples
    --------
    >>> three_pass_recompute([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return rows.call(RECOMPUTE, (logits,), (scale,), axis, out, threads)


@kernel_of("softmax", _ULPS)
@documented
def three_pass_reload(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by three passes that store the exponentials.

    The maximum; e^(x - max), which is stored, and its sum; what was stored, over the sum.

    Parameters
    ----------
    {logits}
    {axis}
    {scale}
    {out}
    {threads}

    Returns
    -------
    ndarray
        The probabilities, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    {edges_of_softmax}

    {error_of_algorithm}

    References
    ----------
    Dukhan and Ablavatski 2020, The Two-Pass Softmax Algorithm, arXiv 2001.04438, algorithm 2.

    Examples
    --------
    >>> three_pass_reload([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return rows.call(RELOAD, (logits,), (scale,), axis, out, threads)


@kernel_of("softmax", _ULPS)
@documented
def two_pass(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by two passes, without the maximum.

    Every e^x = m 2^n is a pair (m, n), and the sum is one, too; then e^x once more, over the sum.

    Parameters
    ----------
    {logits}
    {axis}
    {scale}
    {out}
    {threads}

    Returns
    -------
    ndarray
        The probabilities, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    {edges_of_softmax}

    {error_of_algorithm}

    References
    ----------
    Dukhan and Ablavatski 2020, The Two-Pass Softmax Algorithm, arXiv 2001.04438, algorithm 3.

    Examples
    --------
    >>> two_pass([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return rows.call(TWO_PASS, (logits,), (scale,), axis, out, threads)


@kernel_of("softmax", _ULPS)
@documented
def online(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Result | None = None,
    threads: int = 1,
) -> Result:
    """Softmax by two passes, the first of which finds the maximum and the sum.

    Each block of elements is summed under its own maximum, and the sums are brought together; then
    e^x once more, over the sum.

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
        The probabilities, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    {edges_of_softmax}

    {error_of_algorithm}

    References
    ----------
    Milakov and Gimelshein 2018, Online normalizer calculation for softmax, arXiv 1805.02867,
    algorithm 3, here by blocks of elements.

    Examples
    --------
    >>> online([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return rows.call(ONLINE, (logits,), (scale,), axis, out, threads)


ALGORITHMS: dict[str, Callable[..., Result]] = {
    "naive": naive,
    "three_pass_recompute": three_pass_recompute,
    "three_pass_reload": three_pass_reload,
    "two_pass": two_pass,
    "online": online,
}

ULP_BOUND: dict[str, dict[str, float]] = {name: _ULPS for name in ALGORITHMS if name != "naive"}
SCALED_ULP_BOUND = {"float32": 4.48, "float64": 4.31, "float16": 0.501, "bfloat16": 0.501}
"""Proven largest error in ulps of every algorithm but the naive, for scales other than 1."""


# --- from arrays to rows ---


def _copied(logits: Result, out: Result) -> Result | None:
    """`out` with the logits in it, if it needs no more checks; None if it does."""
    if (
        type(out) is ndarray
        and out.dtype == logits.dtype
        and out.shape == logits.shape
        and out.flags.carray
        and not np.may_share_memory(out, logits)
    ):
        np.copyto(out, logits)
        return out
    return None


def _fastest(x: Result, y: Result, high: float, low: float, streams: bool) -> None:
    """The choice among algorithms, by the length of a row alone: for a row always the same."""
    if _fits_cache(x):
        _reload(x, y, high, low, streams)
    else:
        online_rows(x, y, high, low, streams)


def _fits_cache(x: Result) -> bool:
    return bool(x.shape[-1] * x.itemsize <= tuning.ROW_BYTES)


def _reload(x: Result, y: Result, high: float, low: float, streams: bool) -> None:
    e = y
    if streams or x.itemsize == 2:
        size = rows_in_a_group(x.shape[-1]) * x.shape[-1]
        e = np.empty(min(size, x.size), np.float64 if x.itemsize == 8 else np.float32)
    reload_rows(x, y, e, high, low, streams)


def _online_long(
    threads: int, x: Result, y: Result, high: float, low: float, streams: bool
) -> None:
    """`online` of one long row, its blocks shared out to the threads."""
    block_stats = np.empty(-(-x.size // BLOCK) * STATS)

    def sum_up(first: int, last: int) -> None:
        sum_blocks(x, block_stats, first, last, high, low)

    def write(first: int, last: int) -> None:
        here = slice(first * BLOCK, last * BLOCK)
        write_part(x[here], y[here], sums, high, low, streams)

    rows.share_out(sum_up, block_stats.size // STATS, threads)
    sums = merge_sums(block_stats, high)
    if abs(sums.maximum * high) <= FAR:
        rows.share_out(write, block_stats.size // STATS, threads)
    else:
        online_rows(x, y, high, low, streams)


def _options(dtype: Any, streams: bool, scale: float) -> tuple[float, float, bool]:
    high, low = multiplier(scale, dtype)
    return high, low, streams


def _options_of_naive(dtype: Any, streams: bool, scale: float) -> tuple[float]:
    multiplier(scale, dtype)  # refuses a scale out of range
    return (float(scale),)


def _kernel(
    compute: Callable[..., None], is_long: Callable[[Result], bool] | None = None
) -> rows.RowKernel:
    return rows.RowKernel(compute, _online_long, is_long, options=_options, streams_short_rows=True)


NAIVE = rows.RowKernel(naive_rows, options=_options_of_naive, in_two_axes=True)
RECOMPUTE, RELOAD, TWO_PASS = map(_kernel, (recompute_rows, _reload, two_pass_rows))
ONLINE = _kernel(online_rows, has_several_blocks)
FASTEST = _kernel(_fastest, lambda x: not _fits_cache(x))
