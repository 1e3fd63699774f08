"""log-softmax, log p_i = x_i - log sum_j e^(x_j), with full relative accuracy in every entry."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rows
from .exp import new_lanes, two_sum
from .jit import jit
from .logsumexp import sum_others

ULP_BOUND: dict[str, float] = {"float32": 0.5 + 2.0**-25, "float64": 6.0}
"""Proven largest error in ulps of the exact result; see `log_softmax`."""


def log_softmax(
    logits: ArrayLike, *, out: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.floating]:
    """Return log p_i = x_i - logsumexp(x) over the last axis.

    `logits`: float32 or float64, any strides, at least one axis; the result has its shape and
    dtype. `out` receives it and may be `logits` itself. `threads` shares the rows out, to the same
    bits. TypeError: another dtype of `logits` or `out`. ValueError: scalar logits; `out` of the
    wrong shape, read-only or overlapping `logits` in part; `threads` below 1.

    Edges: -inf in a row of finite others stays -inf. A row with NaN or +inf, or of -inf alone, is
    NaN throughout. A finite row of one class is 0; no classes give an empty result.

    Computed as (x_i - max) - log1p(T), with T as in `logsumexp` (Blanchard, Higham & Higham 2021,
    IMA J. Numer. Anal. 41(4)). A class that dominates gets -log1p(T), not 0.

    Error, with u = 2^-53: both terms are <= 0, nothing cancels. The rounding errors of both
    subtractions are recovered by TwoSum and added last, so only log1p(T), right within 4.92u (see
    `logsumexp`), and the final rounding count: 4.92 + 1 ulp (1/2 ulp, or 1 ulp of the exact result
    where the rounded one has crossed into the next binade). In float32 4.92u is below 2^-26 ulp.

    >>> float(log_softmax(np.array([17, 0], np.float32))[0])
    -4.139937459513021e-08
    >>> log_softmax([1000.0, -np.inf]).tolist()
    [0.0, -inf]
    """
    array = rows.as_logits(logits)
    result = rows.output(out, array.shape, array)
    rows.apply(_log_softmax, (array,), (result,), threads)
    return result


@jit
def log_probability(x: float, highest: float, log_others: float) -> float:
    """Return (x - highest) - log_others, rounded once."""
    difference, error = two_sum(x, -highest)
    result, e = two_sum(difference, -log_others)
    return result if math.isinf(result) else result + (e + error)


@jit
def _log_softmax(logits: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    total, error = new_lanes(logits.shape[1]), new_lanes(logits.shape[1])
    for i in range(len(logits)):
        x, y = logits[i], result[i]
        if x.size == 0:
            continue
        _, highest, others = sum_others(x, total, error)
        log_others = math.log1p(others)
        for j in range(x.size):
            y[j] = log_probability(x[j], highest, log_others)
