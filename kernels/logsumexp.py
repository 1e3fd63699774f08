"""log-sum-exp, log sum_j e^(x_j), and the one sum that log-softmax and cross-entropy share."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rows
from .exp import UNBIAS, add_exponentials, clear, maximum, new_lanes, sum_lanes
from .jit import jit

ULP_BOUND: dict[str, float] = {"float32": 0.5 + 2.0**-25, "float64": 6.0}
"""Proven largest error in ulps of the larger of |result| and result - max; see `logsumexp`."""


def logsumexp(
    logits: ArrayLike, *, out: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.floating]:
    """Return log sum_j e^(x_j) over the last axis.

    `logits`: float32 or float64, any strides, at least one axis. The result has the shape
    `logits.shape[:-1]` and the same dtype; for 1-D logits it is a NumPy scalar. `out` receives it.
    `threads` shares the rows out, to the same bits. TypeError: another dtype of `logits` or `out`.
    ValueError: scalar logits; `out` of the wrong shape, read-only or overlapping `logits`;
    `threads` below 1.

    Edges: no classes or all -inf give -inf; NaN anywhere gives NaN; +inf otherwise gives +inf.

    Computed as max + log1p(T), where T sums e^(x - max) over all elements but one that is maximal:
    1 + T would round a small T away (Blanchard, Higham & Higham 2021, IMA J. Numer. Anal. 41(4)).

    Error, with u = 2^-53 and L = log1p(T): at most 4.92u L + ulp(computed)/2, and that holds when
    max and L cancel, too. T is right within 2.91u, log1p does not magnify it (T/((1 + T) L) <= 1),
    and the C library's log1p is taken to be right within 1 ulp <= 2u (glibc: 0.9). One rounding at
    the end. So `ULP_BOUND` is in ulps of the result if max >= 0, else of max(|result|, L).

    >>> logsumexp([[0.0, 0.0], [1000.0, -np.inf]]).tolist()
    [0.6931471805599453, 1000.0]
    >>> float(logsumexp([0.0, -40.0]))
    4.248354255291589e-18
    """
    array = rows.as_logits(logits)
    result = rows.output(out, array.shape[:-1], array)
    rows.apply(_logsumexp, (array,), (result,), threads)
    return result if out is not None else result[()]


@jit
def sum_others(
    row: NDArray[np.floating], total: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[int, float, float]:
    """Return k, max and T for a row that is not empty.

    k is the first position of the maximum, T the sum of e^(x_j - max) over j != k, right within
    2.91u relative and to half the smallest subnormal. The lanes are scratch.

    T is NaN if the row holds a NaN, and if the maximum, which passes over NaN, is infinite.
    """
    highest = maximum(row)
    k = 0
    while k < row.size - 1 and row[k] != highest:
        k += 1
    clear(total, error)
    add_exponentials(row[:k], highest, total, error)
    add_exponentials(row[k + 1 :], highest, total, error)
    undefined = highest - highest  # 0, or NaN if infinite
    return k, highest, sum_lanes(total, error) * UNBIAS + undefined


@jit
def _logsumexp(logits: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    total, error = new_lanes(logits.shape[1]), new_lanes(logits.shape[1])
    for i in range(len(logits)):
        highest = maximum(logits[i])
        if math.isinf(highest):
            result[i] = highest
            for x in logits[i]:
                if math.isnan(x):
                    result[i] = x
        else:
            _, highest, others = sum_others(logits[i], total, error)
            result[i] = highest + math.log1p(others)
