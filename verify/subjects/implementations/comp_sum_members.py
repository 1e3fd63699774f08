"""The comp-sum kernel at the taus that the definitions of the family have, with its gradient."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ....kernels import comp_sum_with_gradient
from ....kernels.losses.comp_sum import ULP_BOUND
from ..contract import promising
from ..registration import subject

Array = NDArray[Any]
LossAndGradient = tuple[Array, Array]

PROMISE = promising(ULP_BOUND)
CALL = "softproof.kernels.comp_sum_with_gradient"


@subject("comp_sum", f"{CALL}(x, labels, tau=0.5)", contract=PROMISE)
def comp_sum(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> LossAndGradient:
    """The loss of tau = 1/2: between sum-exponential and cross-entropy."""
    return comp_sum_with_gradient(x, labels, 0.5, axis=axis, out=out)


@subject("sum_exponential", f"{CALL}(x, labels, tau=0.0)", contract=PROMISE)
def sum_exponential(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> LossAndGradient:
    """The loss of tau = 0."""
    return comp_sum_with_gradient(x, labels, 0.0, axis=axis, out=out)


@subject("generalized_cross_entropy", f"{CALL}(x, labels, tau=1.7)", contract=PROMISE)
def generalized_cross_entropy(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> LossAndGradient:
    """The loss of tau = 1.7, q = 0.7."""
    return comp_sum_with_gradient(x, labels, 1.7, axis=axis, out=out)


@subject("mean_absolute_error", f"{CALL}(x, labels, tau=2.0)", contract=PROMISE)
def mean_absolute_error(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> LossAndGradient:
    """The loss of tau = 2."""
    return comp_sum_with_gradient(x, labels, 2.0, axis=axis, out=out)
