"""scikit-learn's multinomial loss, through NumPy arrays."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn._loss import HalfMultinomialLoss

from ..subject import NotApplicable

Array = NDArray[Any]


def cross_entropy(x: Array, labels: Array) -> tuple[Array, Array]:
    """``HalfMultinomialLoss``, which trains LogisticRegression: each row's loss, and the gradient.

    Its logits are a matrix of at least two classes.
    """
    if x.ndim != 2 or x.shape[1] < 2:
        raise NotApplicable("it takes a matrix of at least two classes")
    loss = HalfMultinomialLoss(n_classes=x.shape[1])
    losses, gradient = loss.loss_gradient(y_true=labels.astype(x.dtype), raw_prediction=x)
    return losses, gradient
