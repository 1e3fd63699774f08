"""log-sum-exp, log sum_j e^(s x_j), from one read of the logits."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.exp import two_sum
from ..arithmetic.log1p import log1p
from ..arithmetic.simd import after, fma, keep, lanes, load_part, pointer, store_part
from ..arithmetic.vector_exp import multiplier
from ..runtime import rows
from ..runtime.jit import inline, jit
from . import row_state
from .passes import has_several_stretches
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


def logsumexp(
    logits: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Return log sum_j e^(s x_j) over one axis, s the scale.

    `logits`: float32, float64, float16 or bfloat16, any strides, at least one axis. The result has
    their dtype, and their shape without `axis`; for 1-D logits it is a NumPy scalar. `out` receives
    it. `scale` is from 2^-100 to 2^100. `threads` shares the rows out, and one long row, too, to
    the same bits. TypeError: another dtype of `logits` or `out`. ValueError: scalar logits; an axis
    that is not there; a scale out of range; `out` of the wrong shape, read-only or overlapping
    `logits`; `threads` below 1.

    Edges: no classes or all -inf give -inf; NaN anywhere gives NaN; +inf otherwise gives +inf.

    Computed in float64 as s M + log1p(T), with M and T as in `others`.

    Error, with L = log1p(T) and u the unit roundoff of the dtype (2^-24 for those of 16 bits): at
    most e u L + ulp(computed)/2, also where s M and L cancel. s M is exact as a pair, and e is the
    error of T, which log1p does not magnify, with that of `log1p`: in float32 EXP_ERROR + 1 and
    2^-20; in float64 6.8 (T -> 0: 5.6 + 1; T = 1: 0.72 times 5.6, + 2.7), and in the far rows named
    in `others` 7.9 + 0.1, as then |s M| > 11000 and L < 22: 2.65 and 8. The rounding is half an
    ulp of what is computed, and that may lie in the next binade: one ulp of the exact result. So
    `ULP_BOUND`, 3.65 and 9, is in ulps of the result if s M >= 0, else of max(|result|, L). In 16
    bits the result is rounded twice, first to float32.

    >>> logsumexp([[0.0, 0.0], [1000.0, -np.inf]]).tolist()
    [0.6931471805599453, 1000.0]
    >>> float(logsumexp([0.0, -40.0]))
    4.248354255291589e-18
    >>> logsumexp([[0.0, 2.0], [3.0, 3.0]], axis=0, scale=10.0).round(3).tolist()
    [30.0, 30.0]
    """

    def options(dtype: Any, streams: bool) -> tuple[float, float, float]:
        return (float(scale), *multiplier(scale, dtype))

    return rows.call(
        LOGSUMEXP, logits, axis=axis, out=out, threads=threads, options=options, per_row=True
    )


def _logsumexp_long(threads: int, x: Array, y: Array, s: float, high: float, low: float) -> None:
    """One long row, its stretches shared out to the threads."""
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
    store_part(q, 0, load_part(pointer(result), 0, 1, 0.0), 1)
    keep(y)
    keep(result)


@jit
def _logsumexp(x: Any, y: Any, s: float, high: float, low: float) -> None:
    classes = x.shape[-1]
    p, q = pointer(x), pointer(y)
    group, parts = rows_in_a_group(classes), new_parts(classes)
    states, result = new_states(classes), new_results(p, classes)
    r = pointer(result)
    for start in range(0, y.size, group):
        here = min(group, y.size - start)
        row_states(after(p, start * classes), here, classes, high, low, None, parts, states)
        for i in range(whole_vectors(here)):
            result[i] = log_sum(states[0, i], states[1, i], s)
        for i in range(0, here, lanes(q)):
            some = min(lanes(q), here - i)
            store_part(q, start + i, load_part(r, i, some, 0.0), some)
    keep(x)
    keep(y)
    keep(result)


LOGSUMEXP = rows.RowKernel(_logsumexp, _logsumexp_long, has_several_stretches)
