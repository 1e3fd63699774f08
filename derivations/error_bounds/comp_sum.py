"""Error bounds of the comp-sum losses, by those of the cross-entropy that they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from .classification import cross_entropy, cross_entropy_gradient
from .declare import error_bound, gradient_bound
from .logits import is_other
from .model import Bound, Label, Model, Vector
from .softmax import error_of_sum, softmax


def _of_cross_entropy(loss: Vector, error: Vector, tau: float, model: Model) -> tuple[Any, Any]:
    """The value of e^((1 - tau) L), L a cross-entropy, and the exponent of its error without [c].

    The exponent (1 - tau) L is off by (1 - tau) times the error of L; by [1] of itself, and by [1]
    and tau u / |1 - tau| more where tau and 1 - tau are rounded to the format.
    """
    power = abs(1 - tau)
    wrong = power * error + power * loss * model.exponent(2) + tau * loss * model.exponent(1)
    return (1 - tau) * loss, wrong


@error_bound("comp_sum", form="log1p")
def comp_sum(z: Vector, label: Label, model: Model, tau: float = 0.5) -> Bound:
    """Comp-sum loss expm1((1 - tau) L) / (1 - tau), L the cross-entropy as log1p.

    With t the exponent of ``_of_cross_entropy``, expm1 is off by e^((1-tau) L) (e^t - 1), and by
    [c] of itself; the quotient by [1], and [1] and tau u / |1 - tau| of its divisor.
    """
    loss, error = cross_entropy(z, label, model)
    if tau == 1:
        return Bound(loss, error)
    power = 1 - tau
    exponent, wrong = _of_cross_entropy(loss, error, tau, model)
    units = model.exponent(model.elementary + 2 + tau / abs(power))
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.expm1(exponent) / power
        relative = value * np.expm1(units)
        absolute = _growth(exponent, wrong) / abs(power) * np.exp(units)
    return Bound(value, np.asarray(relative + absolute + model.underflow * (1 + 1 / abs(power))))


def _growth(exponent: Any, wrong: Any) -> Any:
    """e^(exponent + wrong) - e^exponent, or more; right also where e^exponent underflows."""
    grown = np.exp(exponent + wrong)
    return np.where(wrong > 1, grown, np.exp(exponent) * np.expm1(np.minimum(wrong, 1.0)))


@gradient_bound("comp_sum")
def comp_sum_gradient(z: Vector, label: Label, model: Model, tau: float = 0.5) -> Bound:
    """Gradient e^((1 - tau) L) (p - onehot): [c] of the power, [1] of the product.

    p - onehot is off as the gradient of the cross-entropy is: its component of the label may be
    p - 1, or minus the sum of the others.
    """
    loss, error = cross_entropy(z, label, model)
    exponent, wrong = _of_cross_entropy(loss, error, tau, model)
    direction, off = cross_entropy_gradient(z, label, model)
    units = wrong + model.exponent(model.elementary + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        value = direction * np.exp(exponent)
        result = direction * _growth(exponent, units)
        result += (off + model.underflow) * np.exp(exponent + units)
    known = np.where(np.isnan(result), np.inf, result)  # an infinite factor of a vanishing one
    known = np.where(np.isfinite(z), known + model.underflow, 0.0)
    return Bound(np.where(np.isnan(value), 0.0, value), known)


@error_bound("sum_exponential", form="log1p")
def sum_exponential(z: Vector, label: Label, model: Model) -> Bound:
    """``comp_sum`` of tau = 0."""
    return comp_sum(z, label, model, 0.0)


@gradient_bound("sum_exponential")
def sum_exponential_gradient(z: Vector, label: Label, model: Model) -> Bound:
    """``comp_sum_gradient`` of tau = 0."""
    return comp_sum_gradient(z, label, model, 0.0)


@error_bound("generalized_cross_entropy", form="log1p")
def generalized_cross_entropy(z: Vector, label: Label, model: Model, q: float = 0.7) -> Bound:
    """``comp_sum`` of tau = 1 + q."""
    return comp_sum(z, label, model, 1 + q)


@gradient_bound("generalized_cross_entropy")
def generalized_cross_entropy_gradient(
    z: Vector, label: Label, model: Model, q: float = 0.7
) -> Bound:
    """``comp_sum_gradient`` of tau = 1 + q."""
    return comp_sum_gradient(z, label, model, 1 + q)


@error_bound("mean_absolute_error", form="others")
def mean_absolute_error(z: Vector, label: Label, model: Model) -> Bound:
    """``comp_sum`` of tau = 2, or the sum of the other probabilities: the larger of both bounds."""
    p, error = softmax(z, model)
    of_the_sum = error_of_sum(p, error, is_other(z, label), model)
    whole = comp_sum(z, label, model, 2.0)
    return Bound(whole.value, np.maximum(whole.error, of_the_sum))


@gradient_bound("mean_absolute_error")
def mean_absolute_error_gradient(z: Vector, label: Label, model: Model) -> Bound:
    """``comp_sum_gradient`` of tau = 2."""
    return comp_sum_gradient(z, label, model, 2.0)
