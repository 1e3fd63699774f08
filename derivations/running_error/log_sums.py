"""Logarithms of sums of exponentials of numbers with running errors.

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

import numpy as np

from .constants import UP, Array, H, quiet
from .model import Model, largest
from .numbers import RunningNumber, rounded
from .order import max as largest_of


def exponent(relative: float) -> float:
    """Bound |log(1 + e)| over all |e| <= relative.

    Parameters
    ----------
    relative
        A relative error.

    Returns
    -------
    float
        The bound; infinite from 1 on.
    """
    return float(-np.log1p(-relative)) if relative < 1 else np.inf


def blocks_of(model: Model, count: int) -> int:
    """How often a row of an online softmax is rescaled at most.

    Parameters
    ----------
    model
        The class of implementations.
    count
        The scores of the row.

    Returns
    -------
    int
        0 where it is not computed online.
    """
    return -(-count // model.online_block) if model.online_block else 0


def rescaling_of(model: Model, blocks: int) -> float:
    """The exponent of what rescaling rounds: an exponential and a product each time.

    Parameters
    ----------
    model
        The class of implementations.
    blocks
        How often.

    Returns
    -------
    float
        A bound of the logarithm of the factor that a term is off by.
    """
    each = exponent(model.elementary * model.u) + exponent(model.u)
    return blocks * each if blocks else 0.0


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
        of_exp = exponent(model.elementary * model.u)
        blocks = blocks_of(model, count)
        rescaling = rescaling_of(model, blocks)
        lost = 2 * model.half_subnormal if model.exponent_argument or model.flushes else 0.0
        rounding = model.u * (1 + model.exponent_argument) * reach * (1 + model.u)
        t = np.where(masked, 0.0, (r + rounding + of_exp + rescaling + lost) * UP)
        times = 1 + blocks
        below = count * times * (model.function_underflow + model.flushed_addition)
        below = (below + blocks * count * model.half_subnormal) / np.exp(-of_exp - rescaling)
        heights = int(model.heights(count, count)) + blocks
        summing = heights * exponent(model.v) - np.log1p(-np.minimum(below, 1.0))
        summing = summing + (exponent(model.u) if model.converts_sums else 0.0)
        off = _moved(log_q, t) + summing
        evaluation = (3 * count + 64) * H + 8 * H * log_sum[..., 0]
        radius, wide = (_moved(log_p, part) + evaluation for part in (d, w))
        largest_sum = np.log(count) + of_exp + summing
        most = np.fmin(log_sum[..., 0] + wide + slack[..., 0] + off, largest_sum)
        off = off + (model.elementary * most + model.absolute) * model.u + model.function_underflow
        if largest_sum > np.log(min(largest(model.accumulator), largest(model.operations))):
            off = np.full(off.shape, np.inf)
        return rounded(model, (above + log_sum)[..., 0], radius, wide, off)


def _moved(log_q: Array, t: Array) -> Array:
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
        d, w, r = (np.max(part, axis=-1) for part in z.parts()[1:])
        top = np.max(z.value, axis=-1)
        reach = np.max(np.abs(np.where(z.value == -np.inf, 0.0, z.value)), axis=-1)
        evaluation = ((count + 32) * H + 2.0**-50 * reach) * UP
        of_exp = exponent(model.elementary * model.u)
        summing = int(model.heights(count, count)) * exponent(model.v)
        converting = exponent(model.u) if model.converts_sums else 0.0
        lowest = 0.0 if z.holds_zero else np.minimum(top - w - r, 0.0)
        least = np.exp(lowest - of_exp) * (1 - 2.0**-40)
        below = count * (model.function_underflow + model.flushed_addition) / least
        added = of_exp + summing + converting - np.log1p(-np.minimum(below, 1.0))
        most = np.where(z.is_shifted, 0.0, top + w + r) + of_exp + summing + np.log(count)
        limit = np.log(min(largest(model.accumulator), largest(model.operations)))
        fits = most < limit * (1 - 2.0**-40)
        return d + evaluation, w + evaluation, np.where(fits, (r + added) * UP, np.inf)


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
    of_exp = exponent(model.elementary * model.u)
    below = count * (model.function_underflow + model.flushed_addition) * np.exp(of_exp) * UP
    if not (below < 1 and np.isfinite(d.error).all()):
        return None
    s = of_exp + int(model.heights(count, count)) * exponent(model.v) - np.log1p(-below)
    s += exponent(model.u) if model.converts_sums else 0.0
    lost = model.function_underflow + model.absolute * model.u
    least = s * (1 + model.elementary * model.u) + lost + model.flushed
    return float((least * (1 + model.u) + model.flushed + model.half_subnormal) * UP)
