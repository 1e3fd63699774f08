"""Mistakes that only a parameter shows; ``softmax`` and ``cross_entropy`` make none."""

import numpy as np


def _log_softmax(x):
    wide = x.astype(np.float64)
    d = wide - wide.max(axis=-1, keepdims=True)
    others = np.exp(d)
    np.put_along_axis(others, d.argmax(axis=-1)[:, None], 0, axis=-1)
    return d - np.log1p(others.sum(axis=-1, keepdims=True))


def softmax(x, *, scale=1.0):
    """Scaled before the maximum is subtracted, in binary64."""
    return np.exp(_log_softmax(x.astype(np.float64) * scale)).astype(x.dtype)


def softmax_scaled_after_centring(x, *, scale=1.0):
    """x - max overflows where scale x does not (SlopDotCash/asi#2888)."""
    with np.errstate(over="ignore"):
        d = x - x.max(axis=-1, keepdims=True)
    e = np.exp(d.astype(np.float64) * scale)
    return (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)


def softmax_divided_by_the_scale(x, *, scale=1.0):
    """The scale is taken for a temperature."""
    return softmax(x, scale=1 / scale)


def softmax_squared_scale(x, *, scale=1.0):
    """The scale is multiplied in by the caller's helper and once more."""
    return softmax(x, scale=scale * scale)


def _cross_entropy(x, labels, smoothing, ignore_index, weights, reduction, target=None):
    """The loss and gradient of each row; the target is what ``target`` makes of (t, kept)."""
    classes = x.shape[-1]
    kept = np.ones(len(x), bool) if ignore_index is None else labels != ignore_index
    right = np.where(kept, labels, 0)
    t = np.full(x.shape, smoothing / classes)
    t[np.arange(len(x)), right] += 1 - smoothing
    w = np.ones(classes) if weights is None else np.asarray(weights, np.float64)
    log_p = _log_softmax(x)
    with np.errstate(invalid="ignore"):
        loss = -np.where(t == 0, 0, w * t * log_p).sum(axis=-1)
    t = t if target is None else target(t, right)
    of_row = (w * t).sum(axis=-1, keepdims=True)
    gradient = of_row * np.exp(log_p) - w * t
    loss, gradient = np.where(kept, loss, 0), np.where(kept[:, None], gradient, 0)
    mass = {"none": 1.0, "sum": 1.0, "mean": float((w[right] * kept).sum())}[reduction]
    loss = loss if reduction == "none" else loss.sum() / mass
    return np.asarray(loss).astype(x.dtype), (gradient / mass).astype(x.dtype)


def cross_entropy(
    x, labels, *, label_smoothing=0.0, ignore_index=None, class_weights=None, reduction="none"
):
    """Loss and gradient with all parameters, in binary64."""
    return _cross_entropy(x, labels, label_smoothing, ignore_index, class_weights, reduction)


def cross_entropy_smoothed_gradient_of_another_target(x, labels, *, label_smoothing=0.0):
    """The target of the right class is 1 - e in place of 1 - e + e / K, in the gradient alone."""

    def target(t, right):
        t[np.arange(len(x)), right] = 1 - label_smoothing
        return t

    loss, _ = _cross_entropy(x, labels, label_smoothing, None, None, "none")
    _, gradient = _cross_entropy(x, labels, label_smoothing, None, None, "none", target)
    return loss, gradient


def cross_entropy_smoothing_over_the_others(x, labels, *, label_smoothing=0.0):
    """e is shared out to the other K - 1 classes, another convention than the definition's."""
    k = x.shape[-1]
    effective = label_smoothing * k / (k - 1) if k > 1 else 0.0
    return _cross_entropy(x, labels, effective, None, None, "none")


def cross_entropy_smoothing_of_ignored_samples(
    x, labels, *, label_smoothing=0.0, ignore_index=None
):
    """The uniform part of an ignored sample stays in its loss (pytorch#73205)."""
    loss, gradient = _cross_entropy(x, labels, label_smoothing, ignore_index, None, "none")
    uniform = -label_smoothing * _log_softmax(x).mean(axis=-1)
    return np.where(labels == ignore_index, uniform, loss).astype(x.dtype), gradient


def cross_entropy_gradient_of_ignored_samples(x, labels, *, ignore_index=None):
    """The loss of an ignored sample is 0, its gradient is not."""
    loss, _ = _cross_entropy(x, labels, 0.0, ignore_index, None, "none")
    right = np.where(labels == ignore_index, 0, labels)
    return loss, _cross_entropy(x, right, 0.0, None, None, "none")[1]


def cross_entropy_unweighted_gradient(x, labels, *, class_weights=None):
    """The weight of the class is in the loss alone."""
    loss, _ = _cross_entropy(x, labels, 0.0, None, class_weights, "none")
    return loss, _cross_entropy(x, labels, 0.0, None, None, "none")[1]


def cross_entropy_weighted_mean_over_samples(x, labels, *, class_weights=None, reduction="none"):
    """The mean of weighted losses divides by their number, not by the sum of their weights."""
    loss, gradient = _cross_entropy(x, labels, 0.0, None, class_weights, "none")
    if reduction == "none":
        return loss, gradient
    count = len(x) if reduction == "mean" else 1
    return np.asarray(loss.sum() / count).astype(x.dtype), (gradient / count).astype(x.dtype)


def cross_entropy_mean_over_all_samples(x, labels, *, ignore_index=None, reduction="none"):
    """The mean divides by the number of samples, ignored ones as well."""
    loss, gradient = _cross_entropy(x, labels, 0.0, ignore_index, None, "none")
    if reduction == "none":
        return loss, gradient
    count = len(x) if reduction == "mean" else 1
    return np.asarray(loss.sum() / count).astype(x.dtype), gradient / x.dtype.type(count)
