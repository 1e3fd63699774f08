"""Error bounds of the cross-entropy and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .declare import error_bound, gradient_bound, right_class_bound
from .logits import at_label, distances, is_other
from .model import SLACK, Bound, Label, Model, Vector, rounded_sum
from .softmax import error_of_sum, log1p_of_other_classes, logsumexp_gradient, sum_of_the_others


@error_bound("cross_entropy", form="log1p")
def cross_entropy(z: Vector, label: Label, model: Model, label_smoothing: float = 0.0) -> Bound:
    """Cross-entropy sum_k t_k D_k + log1p(T): terms of one sign.

    Without smoothing the first sum is D_label alone.  With it, K products t_k D_k and their sum:
    [5] for three roundings of t_k, one of D_k, one of the product.
    """
    d = distances(z)
    loss, error = log1p_of_other_classes(z, model)
    if label_smoothing == 0:
        first = at_label(d, label)
        first_error = model.u * first
    else:
        first = np.sum(_target(z, label, label_smoothing) * d, axis=0)
        first_error = first * np.expm1(model.exponent(5, len(z)))
    return rounded_sum(first + loss, first_error + error, model)


def _target(z: Vector, label: Label, smoothing: float) -> Vector:
    classes = np.arange(len(z)).reshape(-1, *(1 for _ in z.shape[1:]))
    return np.where(classes == label, 1 - smoothing, 0.0) + smoothing / len(z)


@gradient_bound("cross_entropy")
def cross_entropy_gradient(
    z: Vector, label: Label, model: Model, label_smoothing: float = 0.0
) -> Bound:
    """Gradient p_k - t_k: the error of p_k, [4] of t_k, one rounding of the difference.

    p_k is as in ``logsumexp_gradient``.
    The component of the label may be p - 1, or minus the sum of the others (and of their errors),
    which keeps its accuracy as p tends to 1: the bound is the larger of the two.
    """
    each = logsumexp_gradient(z, model)
    others = is_other(z, label)
    of_the_sum = error_of_sum(each.value, each.error, others, model)
    error = np.where(others, each.error, np.maximum(each.error, of_the_sum))
    error = np.where(np.isfinite(z), error, 0.0)
    target = _target(z, label, label_smoothing)
    if label_smoothing:
        error = error + target * np.expm1(model.exponent(4))
    rounded = rounded_sum(np.abs(each.value - target), error, model)
    return Bound(rounded.value, np.where(np.isfinite(z), rounded.error, 0.0))


@right_class_bound("cross_entropy")
def right_class_error(logits: NDArray[Any], label: int, model: Model) -> float:
    """The error of the gradient of the right class, as minus the sum of the other probabilities.

    Each is off by ``softmax.logsumexp_gradient``; adding n of them multiplies each by n - 1
    factors, and the sum rounds once: relative to T / S itself, where p - 1 is off by u relative
    to 1.  T / (1 + T) is no worse: the divisor is that of the probabilities.  Masked classes take
    no part.

    >>> from ..arithmetic.formats import BINARY32
    >>> exact = np.exp(-40)  # the gradient of [40, 0] is -e^-40, nearly
    >>> right_class_error(np.array([40.0, 0.0]), 0, Model.of(BINARY32)) < 1e-4 * exact.item()
    True
    """
    z = np.asarray(logits, dtype=np.float64)
    finite = np.isfinite(z)
    others = finite & (np.arange(len(z)) != label)
    if not others.any():
        return 0.0
    of_the_sum = sum_of_the_others(z, label, model)
    return float(model.rounded(of_the_sum.value, SLACK * of_the_sum.error))
