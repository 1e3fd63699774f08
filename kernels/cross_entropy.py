"""Cross-entropy of softmax, -sum_k t_k log p_k, per sample, and its gradient p - t."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rows
from .exp import exp_shifted, new_lanes, scale, two_sum
from .jit import jit
from .log_softmax import log_probability
from .logsumexp import sum_others

ULP_BOUND: dict[str, float] = {"float32": 0.5 + 2.0**-25, "float64": 6.0}
"""Proven largest error of the loss without smoothing, in ulps of the exact result."""


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: float = 0.0,
    out: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> NDArray[np.floating]:
    """Return the loss -sum_k t_k log p_k of each sample, t = (1 - s) onehot(label) + s/K, in nats.

    `logits`: float32 or float64, any strides; the last axis runs over the K classes. `labels`:
    integers of shape `logits.shape[:-1]`, each in [0, K). `label_smoothing` is s in [0, 1] (Szegedy
    et al. 2016, arXiv 1512.00567, section 7). The result has the shape of `labels` and the dtype of
    `logits`; for 1-D logits it is a NumPy scalar. `out` receives it. `threads` shares the samples
    out, to the same bits.

    TypeError: another dtype of `logits` or `out`, labels that are no integers. ValueError: scalar
    logits; labels of the wrong shape, or out of range (the first one is named); s outside [0, 1];
    samples without classes; `out` of the wrong shape, read-only or overlapping `logits`; `threads`
    below 1. Nothing is computed before all of this is checked.

    Edges: a row with NaN or +inf, or of -inf alone, gives NaN. In any other row a logit of -inf
    gives +inf if its target is positive and counts for nothing if it is zero.

    Computed as log1p(T) + sum_k t_k (max - x_k), T as in `logsumexp`: all terms are >= 0.
    Error: without smoothing that of `log_softmax`, 4.92 + 1 ulp. With it 9 ulp of float64,
    1/2 + 2^-25 of float32: the first part of the sum, rounded, gains 3u, by 1 - s, by the product
    and by its own rounding; the second, the mean of max - x_k plus log1p(T), stays below that.
    (Smoothed float64 losses are +inf where the sum of max - x_k overflows, near 1e308.)

    >>> cross_entropy([[0.0, 0.0], [40.0, 0.0]], [1, 0]).tolist()
    [0.6931471805599453, 4.248354255291589e-18]
    """
    array, targets = _check(logits, labels, label_smoothing)
    losses = rows.output(out, array.shape[:-1], array)

    def kernel(x: NDArray[Any], label: NDArray[Any], loss: NDArray[Any]) -> None:
        _cross_entropy(x, label, float(label_smoothing), loss)

    rows.apply(kernel, (array, targets), (losses,), threads)
    return losses if out is not None else losses[()]


def cross_entropy_with_gradient(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: float = 0.0,
    out: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the loss of each sample and its gradient p - t with respect to that sample's logits.

    Arguments, errors and losses are those of `cross_entropy`, but `out` receives the gradient: it
    has the shape and dtype of `logits` and may be `logits` itself.

    Edges: where the loss is NaN the row of the gradient is NaN; where it is +inf the gradient is
    finite, p - t with p = 0 for the masked classes.

    The gradient of a right class that is maximal is s - s/K - T/(1 + T) rather than p - t: without
    smoothing it keeps full relative accuracy, right within 5 ulp of float64 (T/(1 + T) magnifies
    the error of T, 2.91u, by 1/(1 + T); adding and dividing round by u and 1 ulp), when p is 1 to
    the last bit. The other entries are right within 7 ulp (the lemma of `softmax`, S = 1 + T
    rounded once more); with smoothing, p - t cancels and the error is relative to p and t.

    >>> loss, gradient = cross_entropy_with_gradient([40.0, 0.0], 0)
    >>> gradient.tolist()
    [-4.248354255291589e-18, 4.248354255291589e-18]
    """
    array, targets = _check(logits, labels, label_smoothing)
    gradient = rows.output(out, array.shape, array)
    losses = np.empty(array.shape[:-1], array.dtype)

    def kernel(
        x: NDArray[Any], label: NDArray[Any], loss: NDArray[Any], slope: NDArray[Any]
    ) -> None:
        _cross_entropy_with_gradient(x, label, float(label_smoothing), loss, slope)

    rows.apply(kernel, (array, targets), (losses, gradient), threads)
    return losses[()], gradient


def _check(
    logits: ArrayLike, labels: ArrayLike, label_smoothing: float
) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
    array, targets = rows.as_logits(logits), np.asarray(labels)
    samples, classes = array.shape[:-1], array.shape[-1]
    if targets.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers, got {targets.dtype}; convert with labels.astype(np.intp)"
        )
    if targets.shape != samples:
        raise ValueError(
            f"labels must have shape {samples}, that of logits without its last axis; "
            f"got {targets.shape}"
        )
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing}")
    if classes == 0 and targets.size:
        raise ValueError(f"logits must have at least one class, got shape {array.shape}")
    wrong = (targets < 0) | (targets >= classes)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0].tolist())
        where = f"labels[{', '.join(map(str, index))}]" if index else "labels"
        raise ValueError(
            f"{where} is {targets[index]}, but labels must be in [0, {classes}); "
            "leave out samples that have no class"
        )
    return array, targets.astype(np.intp)


@jit
def _loss(
    x: NDArray[np.floating], label: int, smoothing: float, highest: float, log_others: float
) -> float:
    loss = 0.0
    if smoothing < 1.0:
        loss = (1.0 - smoothing) * (0.0 - log_probability(x[label], highest, log_others))
    if smoothing > 0.0:  # only then may a -inf of another class count
        sum_, lost = 0.0, 0.0
        for k in range(x.size):
            sum_, e = two_sum(sum_, highest - x[k])
            lost += e
        sum_ = sum_ if math.isinf(sum_) else sum_ + lost
        loss += smoothing * (log_others + sum_ / x.size)
    return loss


@jit
def _cross_entropy(
    logits: NDArray[np.floating],
    labels: NDArray[np.intp],
    smoothing: float,
    losses: NDArray[np.floating],
) -> None:
    total, error = new_lanes(logits.shape[1]), new_lanes(logits.shape[1])
    for i in range(len(logits)):
        _, highest, others = sum_others(logits[i], total, error)
        losses[i] = _loss(logits[i], labels[i], smoothing, highest, math.log1p(others))


@jit
def _cross_entropy_with_gradient(
    logits: NDArray[np.floating],
    labels: NDArray[np.intp],
    smoothing: float,
    losses: NDArray[np.floating],
    gradients: NDArray[np.floating],
) -> None:
    total, error = new_lanes(logits.shape[1]), new_lanes(logits.shape[1])
    for i in range(len(logits)):
        x, label, gradient = logits[i], labels[i], gradients[i]
        k, highest, others = sum_others(x, total, error)
        losses[i] = _loss(x, label, smoothing, highest, math.log1p(others))
        uniform = smoothing / x.size
        if label == k:  # p - 1 would cancel
            right = (smoothing - uniform) - others / (1.0 + others)
        else:  # p <= 1/2
            m, n = exp_shifted(x[label], highest)
            right = (smoothing - uniform) + (scale(m / (1.0 + others), n) - 1.0)
        for j in range(x.size):
            m, n = exp_shifted(x[j], highest)
            gradient[j] = scale(m / (1.0 + others), n) - uniform
        gradient[label] = right
