"""scikit-learn's multinomial loss, through NumPy arrays."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..registration import subject
from ..subject import NotApplicable

Array = NDArray[Any]


def load_framework() -> None:
    """Import what the wrapper calls."""
    from sklearn._loss import HalfMultinomialLoss  # noqa: F401


@subject(
    "cross_entropy",
    "model = sklearn._loss.HalfMultinomialLoss(n_classes=x.shape[1])\n"
    "loss, gradient = model.loss_gradient(labels.astype(x.dtype), x)\n"
    "loss, gradient",
    dtypes=("float32", "float64"),
    requires=("scikit-learn",),
)
def cross_entropy(x: Array, labels: Array) -> tuple[Array, Array]:
    """``HalfMultinomialLoss``, which trains LogisticRegression: each row's loss, and the gradient.

    Its logits are a matrix of at least two classes.
    """
    if x.ndim != 2 or x.shape[1] < 2:
        raise NotApplicable("it takes a matrix of at least two classes")
    from sklearn._loss import HalfMultinomialLoss

    loss = HalfMultinomialLoss(n_classes=x.shape[1])
    losses, gradient = loss.loss_gradient(y_true=labels.astype(x.dtype), raw_prediction=x)
    return losses, gradient
