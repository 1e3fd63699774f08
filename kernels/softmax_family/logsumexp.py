"""log-sum-exp, log sum_j e^(s x_j), from one read of the logits."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.exp import two_sum
from ..arithmetic.log1p import log1p
from ..arithmetic.simd import fma, keep_alive, lanes, load_masked, offset, pointer, store_masked
from ..arithmetic.vector_exp import multiplier
from ..runtime import rows
from ..runtime.declared import kernel_of
from ..runtime.documented import documented
from ..runtime.jit import inline, jit
from . import row_state
from .passes import has_several_blocks
from .row_state import (
    new_parts,
    new_results,
    new_states,
    row_states,
    rows_in_a_group,
    whole_vectors,
)

ULP_BOUND: dict[str, float] = {"float32": 3.7, "float64": 9.0, "float16": 0.51, "bfloat16": 0.51}
"""Proven largest error in ulps of the larger of |result| and log1p(T); see `logsumexp`."""

Array = NDArray[Any]


@kernel_of("logsumexp", ULP_BOUND, unit="max(abs(result), log1p(T))", proof="logsumexp")
@documented
def logsumexp(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Logarithm of the sum of exponentials over one axis, log sum_j e^(s x_j).

    Parameters
    ----------
    {logits}
    {axis}
    {scale}
    {out_of_row}
    {threads_long}

    Returns
    -------
    ndarray
        The logarithms, in nats, of the dtype of `logits` and their shape without `axis`; a NumPy
        scalar for 1-D logits without `out`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    No classes, or nothing but -inf, give -inf; NaN anywhere gives NaN; +inf otherwise gives +inf.

    Computed in float64, from one read of the logits, as s M + log1p(T), with M and T as in
    `row_state`.

    Error, at most `error_bound("logsumexp", dtype)`. With L = log1p(T) and u the unit roundoff of
    the dtype (2^-24 for those of 16 bits) it is at most e u L + ulp(computed)/2, also where s M and
    L cancel. s M is exact as a pair, and e is the error of T, which log1p does not magnify, with
    that of `log1p`: in float32 EXP_ERROR + 1 and 2^-20; in float64 6.8 (T -> 0: 5.6 + 1; T = 1:
    0.72 times 5.6, + 2.7), and in the far rows named in `row_state` 7.9 + 0.1, as then |s M| >
    11000 and L < 22: 2.65 and 8. The rounding is half an ulp of what is computed, and that may lie
    in the next binade: one ulp of the exact result. So `ULP_BOUND`, 3.65 and 9, is in ulps of the
    result if s M >= 0, else of max(|result|, L). In 16 bits the result is rounded twice, first to
    float32.

    Examples
    --------
    >>> logsumexp([[0.0, 0.0], [1000.0, -np.inf]]).tolist()
    [0.6931471805599453, 1000.0]
    >>> float(logsumexp([0.0, -40.0]))
    4.248354255291589e-18
    >>> logsumexp([[0.0, 2.0], [3.0, 3.0]], axis=0, scale=10.0).round(3).tolist()
    [30.0, 30.0]
    """
    return rows.call(LOGSUMEXP, (logits,), (scale,), axis, out, threads)


def _options(dtype: Any, streams: bool, scale: float) -> tuple[float, float, float]:
    high, low = multiplier(scale, dtype)  # refuses a scale out of range
    return float(scale), high, low


def _logsumexp_long(threads: int, x: Array, y: Array, s: float, high: float, low: float) -> None:
    """One long row, its blocks shared out to the threads."""
    maximum, t = row_state.state_of_long_row(x, high, low, threads)
    _write_log_sum(y, maximum, t, s)


@inline
def log_sum(maximum: float, others: float, s: float) -> float:
    """s M + log1p(T), rounded once but for the error of log1p; M itself if it is not finite."""
    product = s * maximum
    sum_, error = two_sum(product, log1p(others))
    result = sum_ + (error + fma(s, maximum, 0.0 - product))
    return result if abs(product) < np.inf else product


@jit
def _write_log_sum(y: Any, maximum: float, others: float, s: float) -> None:
    """Write log_sum to the only element of y, rounded to its format."""
    q = pointer(y)
    result = new_results(q, 1)
    result[0] = log_sum(maximum, others, s)
    store_masked(q, 0, load_masked(pointer(result), 0, 1, 0.0), 1)
    keep_alive(y)
    keep_alive(result)


@jit
def _logsumexp(x: Any, y: Any, s: float, high: float, low: float) -> None:
    classes = x.shape[-1]
    p, q = pointer(x), pointer(y)
    group, parts = rows_in_a_group(classes), new_parts(classes)
    states, result = new_states(classes), new_results(p, classes)
    r = pointer(result)
    for start in range(0, y.size, group):
        here = min(group, y.size - start)
        row_states(offset(p, start * classes), here, classes, high, low, None, parts, states)
        for i in range(whole_vectors(here)):
            result[i] = log_sum(states[0, i], states[1, i], s)
        for i in range(0, here, lanes(q)):
            some = min(lanes(q), here - i)
            store_masked(q, start + i, load_masked(r, i, some, 0.0), some)
    keep_alive(x)
    keep_alive(y)
    keep_alive(result)


LOGSUMEXP = rows.RowKernel(_logsumexp, _logsumexp_long, has_several_blocks, _options, per_row=True)
