"""scikit-learn's softmax and the losses that its estimators minimise, through NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import IN_FORMAT, SHIFTED
from ..registration import subject
from ..subject import NotApplicable

Array = NDArray[Any]


def load_framework() -> None:
    """Import what the wrappers call."""
    from sklearn._loss import HalfMultinomialLoss  # noqa: F401
    from sklearn.utils.extmath import softmax  # noqa: F401


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


@subject(
    "softmax",
    "sklearn.utils.extmath.softmax(x)",
    contract=SHIFTED,
    dtypes=("float32", "float64"),
    requires=("scikit-learn",),
)
def softmax(x: Array) -> Array:
    """``sklearn.utils.extmath.softmax`` of a matrix, whose rows are shifted by their maximum."""
    if x.ndim != 2:
        raise NotApplicable("it takes a matrix")
    from sklearn.utils import extmath

    return extmath.softmax(x)


@subject(
    "softplus",
    "model = sklearn._loss.HalfBinomialLoss()\n"
    "model.loss(np.zeros(x.size, x.dtype), x.ravel()).reshape(x.shape)",
    contract=IN_FORMAT,
    dtypes=("float32", "float64"),
    requires=("scikit-learn",),
)
def softplus(x: Array) -> Array:
    """``HalfBinomialLoss``, which trains LogisticRegression, at a label of 0: log(1 + e^x)."""
    from sklearn._loss import HalfBinomialLoss

    flat = np.ascontiguousarray(x).reshape(-1)
    labels = np.zeros(flat.size, x.dtype)
    losses: Array = HalfBinomialLoss().loss(y_true=labels, raw_prediction=flat)
    return losses.reshape(x.shape)
