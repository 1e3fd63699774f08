"""Softmax of numbers with running errors.

Numerator and divisor move together, so the error of a quotient of the two, each with its own bound,
would be far too large for a peaked row.  In the formulas D_j = v_j - max v, p = softmax(v), r_j and
w_j the errors of the scores and W the largest w; all bounds of exponents.

Exact value and reference.  If every score moves by at most c, log p_k does by at most 2 c.  So
|softmax(z)_k - p_k| <= min(1, p_k e^(2c)) (1 - e^(-2c)), with c the largest d, or W.

What is computed.  Let a_j be how far the logarithm of the computed e^(z_j - max) is from that of
the reference's, but for what is common to all j.  Then |a_j| <= t_j, the sum of

* r_j, the error of the score itself;
* u (1 + c') (|D_j| + r_j + w_j + max(r + w)), the rounding of the difference, of that modulus at
  most, and of the argument, if exp errs in it by c' u;
* -log(1 - c u), the exponential;
* B (-log(1 - c u) - log(1 - u)), if the row is read in B blocks: so often is it rescaled, each time
  by an exponential and a product.  (The arguments z_j - m_b, m_b - m_(b+1), ... have one sign and
  add up to D_j, so that their roundings are those of D_j.)

Before the sum and the quotient round, computed p_k / p_k = 1 / (p_k + sum_(j != k) p_j e^(a_j -
a_k)) with the reference's p, and with q_j = p_j e^(2W) >= p_j of the reference

    1 / (1 + S_k) <= computed / reference <= 1 / (1 - Q_k),
    S_k = sum_(j != k) q_j (e^(t_j + t_k) - 1),
    Q_k = sum_(j != k) min(1, q_j) (1 - e^-(t_j + t_k)),

where Q_k is at most 1 - p_k.  The sum is off by an exponent h log(1 / (1 - v)), the quotient by
``division`` u, the divisor by u if it is converted.  Exponentials below the normal range are off by
``function_underflow`` each; that divides a sum that is at least 1 - c u, as the argument of the
largest computed score is exactly 0.  And a quotient of one term and a sum that holds it cannot
exceed 1 by more than the roundings of the sum and of the quotient.

Sums over j != k are sums from the left and from the right, which have no cancellation.
Exponentials of exact -inf (masked classes) are exact zeros, and count in none of these sums.  Of a
single score, or of one among masked ones, the exact value and the reference are e^z / e^z = 1,
whatever the error of the score, S = Q = 0, and only the sum and the quotient round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .constants import SMALLEST, UP, Array, H, quiet
from .log_sums import blocks_of, exponent, logsumexp, rescaling_of
from .model import largest, underflow, unit_roundoff
from .numbers import RunningNumber, finish
from .storage import stored_scores


@dataclass(frozen=True)
class _Row:
    """A row (the last axis), as the module names it; numbers of a row have an axis of length 1."""

    distance: Array  # |D|, 0 where masked
    masked: Any
    probability: Array  # p
    log_probability: Array
    widest: Array  # W
    slack: Array  # max(r + w)
    certain: Any  # masked for sure, so an exact 0
    alone: Any  # whether one score is not
    reach: Array  # |D_j| + r_j + w_j + max(r + w)
    evaluation: Array  # the relative error of p in binary64

    def grown(self, c: Any) -> Array:
        """p e^c, from above."""
        log_p = self.log_probability
        size = np.where(np.isfinite(log_p), np.abs(log_p), 0.0)
        power = np.exp(log_p + c + (size + c) * 2.0**-50)
        return np.asarray(power * (1 + self.evaluation) + SMALLEST)


def softmax(z: RunningNumber) -> RunningNumber:
    """Probabilities of the last axis, e^(z - max z) / sum e^(z - max z); see the module."""
    model = z.model
    z = stored_scores(z)
    with quiet():
        row = _row(z)
        d = _moved(row, np.max(z.radius, axis=-1, keepdims=True))
        w = _moved(row, row.widest)
        high = np.minimum(row.probability + w, 1.0) * UP
        r = _error(z, row, w, high)
        if model.from_logsumexp:
            r = np.maximum(r, _error_from_logsumexp(z, row, high))
        if model.stored_softmax:
            stored = unit_roundoff(model.result)
            r = r + stored * (high + r) * UP + underflow(model.result, 0.5, model.flushes)
        d, w, r = (np.where(row.certain, 0.0, bound) for bound in (d, w, r))
        return finish(model, row.probability, d, w, r)


def _row(z: RunningNumber) -> _Row:
    v, count = z.value, z.shape[-1]
    top = np.max(v, axis=-1, keepdims=True)
    difference = v - top
    masked = (v == -np.inf) & z.is_exact
    distance = np.where(masked, 0.0, np.abs(difference))
    exponentials = np.exp(difference)
    total = np.sum(exponentials, axis=-1, keepdims=True)
    slack = np.max(z.error + z.reference_radius, axis=-1, keepdims=True)
    certain = masked & np.isfinite(slack)
    return _Row(
        distance,
        masked,
        exponentials / total,
        difference - np.log(total),
        np.max(z.reference_radius, axis=-1, keepdims=True),
        slack,
        certain,
        np.sum(~certain, axis=-1, keepdims=True) == 1,
        distance + z.error + z.reference_radius + slack,
        4 * ((count + 32) * H + 2.0**-52 * distance),
    )


def _moved(row: _Row, c: Array) -> Array:
    """How far probabilities move if every score does by c, and what binary64 rounds."""
    change = np.where(c > 0, np.minimum(row.grown(2 * c), 1.0) * -np.expm1(-2 * c), 0.0)
    change = np.where(row.alone, 0.0, change)
    return np.asarray(change * UP + row.probability * row.evaluation + SMALLEST)


def _others(terms: Array) -> Array:
    """For each k the sum of all terms but the k-th."""
    zero = np.zeros_like(terms[..., :1])
    left = np.concatenate([zero, np.cumsum(terms, axis=-1)[..., :-1]], axis=-1)
    right = np.cumsum(terms[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(left + np.concatenate([right[..., 1:], zero], axis=-1))


def _times(terms: Array, factor: Any) -> Array:
    """The product, 0 where there are no terms, however large the factor."""
    return np.where(terms > 0, terms * factor, 0.0)


def _error(z: RunningNumber, row: _Row, w: Array, high: Array) -> Any:
    """r of a quotient of exponential and sum, in one pass or online."""
    model, count = z.model, z.shape[-1]
    u, of_exp = model.u, exponent(model.elementary * model.u)
    blocks = blocks_of(model, count)
    rescaling = rescaling_of(model, blocks)
    lost_argument = 2 * model.half_subnormal if model.exponent_argument or model.flushes else 0.0
    rounding = u * (1 + model.exponent_argument) * row.reach * (1 + u)
    t = (z.error + rounding + of_exp + rescaling + lost_argument) * UP
    t = np.where(row.certain, 0.0, t)

    enlarged = 1 + 1e-9 + (count + 16) * 2.0**-52
    q = row.grown(2 * row.widest)
    # e^(a + b) - 1 = (e^a - 1) e^b + (e^b - 1), and likewise below
    beyond = np.where(t < 1, q * np.expm1(np.minimum(t, 1.0)), row.grown(2 * row.widest + t))
    beyond, q = (np.where(row.certain, 0.0, terms) for terms in (beyond, q))
    s = (_times(_others(beyond), np.exp(t)) + _times(_others(q), np.expm1(t))) * enlarged
    less = -np.expm1(-t)
    q = np.minimum(q, 1.0)
    most_others = 1 - np.maximum(row.probability - w, 0.0) * (1 - 1e-9)
    found = (_others(q * less) * np.exp(-t) + _others(q) * less) * enlarged
    q_sum = np.minimum(found, most_others)

    heights = int(model.heights(count, count))
    if blocks:
        inside = int(model.heights(count, min(count, model.online_block)))
        heights = max(heights, inside + blocks - 1)
    summing = heights * exponent(model.v)
    dividing = exponent(model.division * u)
    converting = exponent(u) if model.converts_sums else 0.0
    least = np.exp(-(of_exp + rescaling))  # of the sum
    times = 1 + blocks
    below = count * times * model.function_underflow + blocks * count * model.half_subnormal
    below = (below + count * times * model.flushed_addition) / least
    overflow = count * np.exp(of_exp + summing) > min(
        largest(model.accumulator), largest(model.operations)
    )
    if not below < 1 or overflow:
        return np.full(z.shape, np.inf)
    common = -np.log1p(-below) + summing + dividing + converting
    rise = -np.log1p(-q_sum) + common
    upward = np.where(
        rise < 1, high * np.expm1(np.minimum(rise, 1.0)), high * np.exp(np.minimum(rise, 700.0))
    )
    upward = np.minimum(upward, np.exp(common + dividing + 2 * rescaling))
    downward = high * -np.expm1(-(np.log1p(s) + common))
    lost_quotient = model.function_underflow * times + blocks * model.half_subnormal
    lost_quotient = lost_quotient * np.exp(common) / least + model.half_subnormal
    if model.division > 1:  # a reciprocal of the sum may be subnormal
        lost_quotient = lost_quotient + 2 * model.half_subnormal * np.exp(of_exp)
    found = (np.maximum(upward, downward) + lost_quotient) * UP
    return np.where(np.isfinite(row.slack), found, np.inf)  # softmax of infinite scores is NaN


def _error_from_logsumexp(z: RunningNumber, row: _Row, high: Array) -> Any:
    """r of e^(z - L), L = max + log(sum), where nothing cancels between numerator and divisor.

    With l the error of L (``log_sums``), e_k = r_k + l + u |z_k - L| + [c] is an exponent of p_k.
    """
    model = z.model
    u, of_exp = model.u, exponent(model.elementary * model.u)
    off = logsumexp(z).error[..., None]
    size = np.where(np.isfinite(row.log_probability), np.abs(row.log_probability), 0.0)
    reach = size + 2 * row.widest + z.error + off
    argument = u * (1 + model.exponent_argument) * reach * (1 + u) + 2 * model.half_subnormal
    e = (z.error + off + argument + of_exp) * UP
    moved = np.where(e < 1, high * np.expm1(np.minimum(e, 1.0)), high * np.exp(e))
    return (moved + model.function_underflow) * UP
