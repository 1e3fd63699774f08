"""The comp-sum kernel at the taus that the definitions of the family have, with its gradient."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ....kernels import comp_sum_with_gradient

Array = NDArray[Any]
LossAndGradient = tuple[Array, Array]


def comp_sum(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> LossAndGradient:
    """The loss of tau = 1/2: between sum-exponential and cross-entropy."""
    return comp_sum_with_gradient(x, labels, 0.5, axis=axis, out=out)


def sum_exponential(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> LossAndGradient:
    """The loss of tau = 0."""
    return comp_sum_with_gradient(x, labels, 0.0, axis=axis, out=out)


def generalized_cross_entropy(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> LossAndGradient:
    """The loss of tau = 1.7, q = 0.7."""
    return comp_sum_with_gradient(x, labels, 1.7, axis=axis, out=out)


def mean_absolute_error(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> LossAndGradient:
    """The loss of tau = 2."""
    return comp_sum_with_gradient(x, labels, 2.0, axis=axis, out=out)
