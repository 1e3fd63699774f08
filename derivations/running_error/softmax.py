"""Softmax, and the logarithm of a sum of exponentials, of numbers with running errors.

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

``logsumexp`` is L = max z + log sum e^(z - max z) along the last axis.  Let z_j be the references
of the scores, within w_j of v_j, and p = softmax(z).  What is computed of score j before the sum is
e^(z_j + a_j - m), m the computed maximum, where |a_j| <= t_j, the sum of

* r_j, the error of the score itself;
* u (1 + c') (|D_j| + r_j + w_j + s), the rounding of the difference, D_j = v_j - max v, of that
  modulus at most, and of the argument, if exp errs in it by c' u; s = |m - max v|, to which only
  scores that may be the largest contribute (``order.max``);
* -log(1 - c u), the exponential, and what rescaling in an online sum rounds.

So m and the logarithm of the sum give L + log sum_j p_j e^(a_j), and with q_j >= p_j

    -log(1 - sum_j q_j (1 - e^-t_j)) <= log sum_j p_j e^(a_j) <= log(1 + sum_j q_j (e^t_j - 1)),

and both are at most max t_j in modulus, as log-sum-exp is 1-Lipschitz in the maximum norm.  So a
score that is far below the largest may be off by much.  q_j is the smaller of softmax(v)_j e^(2 W),
W the largest w, and e^(v_j + w_j - max(v - w)).  The sum is off by an exponent h log(1 / (1 - v)),
by u if it is converted, and by ``function_underflow`` for each exponential below the normal range,
over a sum that is at least 1 - c u, as the argument of the largest computed score is exactly 0.
Then the logarithm errs by c u relative (and an absolute error where that is declared), and the
addition by u |L|.  Scores that are exactly -inf (masked classes) count in none of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .constants import SMALLEST, UP, Array, H, quiet
from .model import Model, largest, underflow, unit_roundoff
from .numbers import RunningNumber, finish, of_radii, rounded
from .order import max as largest_of
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
        d, w = of_radii(lambda part: _moved(row, np.max(part, axis=-1, keepdims=True)), z)
        high = np.minimum(row.probability + w, 1.0) * UP
        r = _error(z, row, w, high)
        if model.from_logsumexp:
            r = np.maximum(r, _error_from_logsumexp(z, row, high))
        if model.stored_softmax:
            stored = unit_roundoff(model.result)
            r = r + stored * (high + r) * UP + underflow(model.result, 0.5, model.flushes)
        if row.certain.any():
            d, r = (np.where(row.certain, 0.0, bound) for bound in (d, r))
            w = d if z.refers_to_exact else np.where(row.certain, 0.0, w)
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


def _exponent(relative: float) -> float:
    """|log(1 + e)| for |e| <= relative, at most."""
    return float(-np.log1p(-relative)) if relative < 1 else np.inf


def _blocks(model: Model, count: int) -> int:
    """How often a row of an online softmax is rescaled at most."""
    return -(-count // model.online_block) if model.online_block else 0


def _rescaling(model: Model, blocks: int) -> float:
    """The exponent of that: an exponential and a product each time."""
    each = _exponent(model.elementary * model.u) + _exponent(model.u)
    return blocks * each if blocks else 0.0


def _error(z: RunningNumber, row: _Row, w: Array, high: Array) -> Any:
    """r of a quotient of exponential and sum, in one pass or online."""
    model, count = z.model, z.shape[-1]
    u, of_exp = model.u, _exponent(model.elementary * model.u)
    blocks = _blocks(model, count)
    rescaling = _rescaling(model, blocks)
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
    summing = heights * _exponent(model.v)
    dividing = _exponent(model.division * u)
    converting = _exponent(u) if model.converts_sums else 0.0
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

    With l the error of L (see the module), e_k = r_k + l + u |z_k - L| + [c] is an exponent of p_k.
    """
    model = z.model
    u, of_exp = model.u, _exponent(model.elementary * model.u)
    off = logsumexp(z).error[..., None]
    size = np.where(np.isfinite(row.log_probability), np.abs(row.log_probability), 0.0)
    reach = size + 2 * row.widest + z.error + off
    argument = u * (1 + model.exponent_argument) * reach * (1 + u) + 2 * model.half_subnormal
    e = (z.error + off + argument + of_exp) * UP
    moved = np.where(e < 1, high * np.expm1(np.minimum(e, 1.0)), high * np.exp(e))
    return (moved + model.function_underflow) * UP


def logsumexp(z: RunningNumber) -> RunningNumber:
    """The logarithm of the sum of exponentials along the last axis; see the module.

    Parameters
    ----------
    z
        The scores.

    Returns
    -------
    RunningNumber
        Without the last axis; with infinite bounds where all scores of a row are masked.
    """
    model, count = z.model, z.shape[-1]
    top = largest_of(z, axis=-1)
    with quiet():
        v, above = z.value, np.max(z.value, axis=-1, keepdims=True)
        masked = (v == -np.inf) & z.is_exact
        d, w, r = (np.where(masked, 0.0, part) for part in z.parts()[1:])
        distance = np.where(masked, 0.0, v - above)
        total = np.sum(np.exp(v - above), axis=-1, keepdims=True)
        log_sum = np.log(total)
        log_p = np.where(masked, -np.inf, distance - log_sum)
        highest = distance + w - np.max(np.where(masked, -np.inf, distance - w), -1, keepdims=True)
        log_q = np.fmin(log_p + 2 * np.max(w, axis=-1, keepdims=True), highest)
        slack = (top.reference_radius + top.error)[..., None]
        reach = np.abs(distance) + r + w + slack
        of_exp = _exponent(model.elementary * model.u)
        blocks = _blocks(model, count)
        rescaling = _rescaling(model, blocks)
        lost = 2 * model.half_subnormal if model.exponent_argument or model.flushes else 0.0
        rounding = model.u * (1 + model.exponent_argument) * reach * (1 + model.u)
        t = np.where(masked, 0.0, (r + rounding + of_exp + rescaling + lost) * UP)
        times = 1 + blocks
        below = count * times * (model.function_underflow + model.flushed_addition)
        below = (below + blocks * count * model.half_subnormal) / np.exp(-of_exp - rescaling)
        heights = int(model.heights(count, count)) + blocks
        summing = heights * _exponent(model.v) - np.log1p(-np.minimum(below, 1.0))
        summing = summing + (_exponent(model.u) if model.converts_sums else 0.0)
        off = _log_moved(log_q, t) + summing
        evaluation = (3 * count + 64) * H + 8 * H * log_sum[..., 0]
        radius = _log_moved(log_p, d) + evaluation
        wide = radius if z.refers_to_exact else _log_moved(log_p, w) + evaluation
        largest_sum = np.log(count) + of_exp + summing
        most = np.fmin(log_sum[..., 0] + wide + slack[..., 0] + off, largest_sum)
        off = off + (model.elementary * most + model.absolute) * model.u + model.function_underflow
        if largest_sum > np.log(min(largest(model.accumulator), largest(model.operations))):
            off = np.full(off.shape, np.inf)
        return rounded(model, (above + log_sum)[..., 0], radius, wide, off)


def _log_moved(log_q: Array, t: Array) -> Array:
    """Bound |log sum_j p_j e^(a_j)| over all |a_j| <= t_j and p_j <= q_j; see the module."""
    count = t.shape[-1]
    size = np.where(np.isfinite(log_q), np.abs(log_q), 0.0)
    log_q = log_q + (count + 40) * 2.0**-52 + (size + t) * 2.0**-50
    grown = np.where(t < 1, np.exp(log_q) * np.expm1(np.minimum(t, 1.0)), np.exp(log_q + t))
    enlarged = UP * (1 + (count + 16) * 2.0**-52)
    upward = np.log1p(np.sum(grown, axis=-1) * enlarged)
    less = np.sum(np.exp(log_q) * -np.expm1(-t), axis=-1) * enlarged
    downward = np.where(less < 1, -np.log1p(-np.minimum(less, 1.0)), np.inf)
    return np.asarray(np.fmin(np.fmax(upward, downward), np.max(t, axis=-1)) * UP)


def log_of_sum(z: RunningNumber) -> tuple[Array, Array, Array]:
    """Bounds d, w, r of log S, S the sum of computed exponentials of z along the last axis.

    Log-sum-exp is 1-Lipschitz in the maximum norm: if every exponent moves by at most c, so does
    log S.  So d is the largest d_j, w the largest w_j, and r the largest r_j and what the
    exponentials ([c], each), the sum (h log(1 / (1 - v))), a conversion, and exponentials below the
    normal range make of log S: n ``function_underflow`` over the least S that is possible.  In d
    and w, binary64 rounds S by (n + 32) h and what it makes of the exponents.

    The least S is e^(max v - w - r - [c]), of the largest alone.  Of numbers less their computed
    maximum one is computed as exactly 0, whatever their errors: there S is at least e^-[c].

    Nothing may overflow.  What is less its computed maximum is computed as at most 0, so S is at
    most n e^[c]; otherwise S is at most n e^(max v + w + r), which the accumulator must hold.

    Parameters
    ----------
    z
        The exponents.

    Returns
    -------
    tuple of numpy.ndarray
        d, w and r, without the last axis.
    """
    model, count = z.model, z.shape[-1]
    if not count:
        return (np.full(z.shape[:-1], np.inf),) * 3
    with quiet():
        d, w = of_radii(lambda part: np.max(part, axis=-1), z)
        r = np.max(z.error, axis=-1)
        top = np.max(z.value, axis=-1)
        reach = np.max(np.abs(np.where(z.value == -np.inf, 0.0, z.value)), axis=-1)
        evaluation = ((count + 32) * H + 2.0**-50 * reach) * UP
        of_exp = _exponent(model.elementary * model.u)
        summing = int(model.heights(count, count)) * _exponent(model.v)
        converting = _exponent(model.u) if model.converts_sums else 0.0
        lowest = 0.0 if z.holds_zero else np.minimum(top - w - r, 0.0)
        least = np.exp(lowest - of_exp) * (1 - 2.0**-40)
        below = count * (model.function_underflow + model.flushed_addition) / least
        added = of_exp + summing + converting - np.log1p(-np.minimum(below, 1.0))
        most = np.where(z.is_shifted, 0.0, top + w + r) + of_exp + summing + np.log(count)
        limit = np.log(min(largest(model.accumulator), largest(model.operations)))
        fits = most < limit * (1 - 2.0**-40)
        radius = d + evaluation
        wide = radius if z.refers_to_exact else w + evaluation
        return radius, wide, np.where(fits, (r + added) * UP, np.inf)


def most_log_probability(d: RunningNumber) -> float | None:
    """Bound from above what d - log sum e^d is computed as, d a vector less its largest.

    Each entry of d is computed as at most 0, and one as exactly 0, so the sum of exponentials as at
    least e^-s: s = [c] of the exponential, the additions, the conversion, and what exponentials
    below the normal range lose.  The logarithm is then computed as at least -l, l = s (1 + c u) and
    the absolute errors, and the difference as at most l (1 + u).

    Parameters
    ----------
    d
        The vector.

    Returns
    -------
    float or None
        The bound; None for what is no vector less its largest, and where errors are not finite.
    """
    model, count = d.model, d.size
    if not d.holds_zero or d.ndim != 1:
        return None
    of_exp = _exponent(model.elementary * model.u)
    below = count * (model.function_underflow + model.flushed_addition) * np.exp(of_exp) * UP
    if not (below < 1 and np.isfinite(d.error).all()):
        return None
    s = of_exp + int(model.heights(count, count)) * _exponent(model.v) - np.log1p(-below)
    s += _exponent(model.u) if model.converts_sums else 0.0
    lost = model.function_underflow + model.absolute * model.u
    least = s * (1 + model.elementary * model.u) + lost + model.flushed
    return float((least * (1 + model.u) + model.flushed + model.half_subnormal) * UP)
