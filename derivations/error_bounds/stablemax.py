"""Error bounds of StableMax and its cross-entropy."""

from __future__ import annotations

import numpy as np

from .declare import error_bound, shared_error
from .logits import at_label, count_classes, is_other
from .model import Bound, Label, Model, SharedError, Vector


def _stablemax_weights(z: Vector) -> Vector:
    return np.where(z >= 0, z + 1, 1 / (1 - np.minimum(z, 0)))


@error_bound("stablemax", form="as published")
def stablemax(z: Vector, model: Model) -> Bound:
    """Stablemax s_k / sum: [2] of s_k, [2] of the terms of the sum and its summation, [1].

    Each s_k may be off by model.underflow more, and the sum by K times that.
    """
    shares, total = _stablemax_shares(z)
    divisor, lost = _stablemax_divisor(z, total, model)
    exponent = divisor + model.exponent(2)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = shares / np.sum(shares, axis=0) * np.expm1(exponent)
        below = (model.underflow / total + model.underflow) * np.exp(exponent)
        error = np.where(lost < 1, relative + below, np.inf)
    return Bound(shares / np.sum(shares, axis=0), np.where(np.isfinite(z), error, 0.0))


def _stablemax_shares(z: Vector) -> tuple[Vector, Vector]:
    """The weights over their maximum, and the sum of the weights."""
    s = _stablemax_weights(z)
    shares = s / np.max(s, axis=0)  # scaled: the sum itself may overflow here
    with np.errstate(over="ignore"):
        return shares, np.max(s, axis=0) * np.sum(shares, axis=0)


def _stablemax_divisor(z: Vector, total: Vector, model: Model) -> tuple[Vector, Vector]:
    """The exponent of the divisor's error and of the quotient's, and the share that underflows."""
    lost = count_classes(z) * model.underflow / total
    with np.errstate(invalid="ignore", divide="ignore"):
        return model.exponent(3, count_classes(z)) - np.log1p(-lost), lost


@shared_error("stablemax")
def shared_stablemax(z: Vector, model: Model) -> SharedError:
    """The errors of ``stablemax``: all outputs of a row have the divisor in common."""
    shares, total = _stablemax_shares(z)
    divisor, _ = _stablemax_divisor(z, total, model)
    share = shares / np.sum(shares, axis=0)
    exponent = model.exponent(2)
    with np.errstate(over="ignore", invalid="ignore"):
        below = (model.underflow / total + model.underflow) * np.exp(divisor + exponent)
        own = share * np.exp(divisor) * np.expm1(exponent) + below
        return SharedError(np.expm1(divisor), share, own)


@error_bound("stablemax_cross_entropy", form="log1p")
def stablemax_cross_entropy(z: Vector, label: Label, model: Model) -> Bound:
    """Cross-entropy of stablemax as log1p(sum of the others / s_label): no cancellation.

    Exponent: [2] of each s and the summation, [2] of s_label, [1] of the quotient, [c] of log1p.
    Each s may be off by model.underflow more.
    """
    s = _stablemax_weights(z)
    which = is_other(z, label)
    count = np.sum(which, axis=0)
    others = np.where(which, s, 0.0)
    own = at_label(s, label)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        most = np.max(others, axis=0)
        log_sum = np.log(most) + np.log(np.sum(others / most, axis=0))
        value = np.logaddexp(0.0, log_sum - np.log(own))
        lost = model.underflow / own, count * model.underflow / np.exp(log_sum)
        exponent = model.exponent(5 + model.elementary, count_classes(z))
        exponent = exponent - np.log1p(-lost[0]) - np.log1p(-lost[1])
        error = value * np.expm1(exponent) + model.underflow * np.exp(exponent)
        error = np.where(np.maximum(*lost) < 1, error, np.inf)
    alone = count == 0
    return Bound(np.where(alone, 0.0, value), np.where(alone, model.underflow, error))
