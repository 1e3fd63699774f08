"""Losses of several arguments in NumPy, as people write them; the batch axis stands first.

Any floating dtype, computed in that dtype.
"""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import IN_FORMAT
from ..registration import subject
from .functions_of_arrays import ONE_BY_ONE

Array = NDArray[Any]


def _log_sum_exp(x: Array) -> Array:
    m = np.max(x, axis=-1, keepdims=True)
    return (m + np.log(np.sum(np.exp(x - m), axis=-1, keepdims=True)))[..., 0]


def _log_softmax(x: Array) -> Array:
    d = x - np.max(x, axis=-1, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis=-1, keepdims=True))


def _log_of_two(a: Array, b: Array) -> Array:
    """The logarithm of e^a + e^b."""
    top = np.maximum(a, b)
    return top + np.log(np.exp(a - top) + np.exp(b - top))


@subject("js_divergence", contract=IN_FORMAT)
def js_divergence(student: Array, teacher: Array) -> Array:
    """The mean of both divergences from the mixture m, log m by log-sum-exp."""
    two = student.dtype.type(2)
    log_q, log_p = _log_softmax(student), _log_softmax(teacher)
    log_m = _log_of_two(log_p, log_q) - np.log(two)
    of_teacher = np.sum(np.exp(log_p) * (log_p - log_m), axis=-1)
    return (of_teacher + np.sum(np.exp(log_q) * (log_q - log_m), axis=-1)) / two


@subject("dpo", contract=IN_FORMAT)
def dpo(
    chosen: Array,
    rejected: Array,
    reference_chosen: Array,
    reference_rejected: Array,
    beta: float = 0.1,
) -> Array:
    """log(1 + e^-gain), the exponential of what is at most 0."""
    gain = chosen.dtype.type(beta) * ((chosen - reference_chosen) - (rejected - reference_rejected))
    return np.maximum(-gain, chosen.dtype.type(0)) + np.log1p(np.exp(-np.abs(gain)))


def _clipped(ratio: Array, advantage: Array, clip: float) -> Array:
    one, c = ratio.dtype.type(1), ratio.dtype.type(clip)
    kept = np.minimum(np.maximum(ratio, one - c), one + c)
    return -np.minimum(ratio * advantage, kept * advantage)


@subject("ppo_loss", contract=IN_FORMAT)
def ppo_loss(logp: Array, old_logp: Array, advantage: Array, clip: float = 0.2) -> Array:
    """-min(r A, clip(r) A), r = e^(logp - old_logp)."""
    return _clipped(np.exp(logp - old_logp), advantage, clip)


@subject("grpo_loss", contract=IN_FORMAT)
def grpo_loss(
    logp: Array,
    old_logp: Array,
    advantage: Array,
    reference_logp: Array,
    clip: float = 0.2,
    beta: float = 0.04,
) -> Array:
    """The clipped surrogate loss and beta (e^d - d - 1), by e^d - 1."""
    d = reference_logp - logp
    divergence = logp.dtype.type(beta) * (np.expm1(d) - d)
    return _clipped(np.exp(logp - old_logp), advantage, clip) + divergence


@subject("gspo_loss", contract=replace(ONE_BY_ONE, masked_nan="ignored"))
def gspo_loss(
    logp: Array,
    old_logp: Array,
    advantage: Array,
    mask: NDArray[np.bool_],
    clip: float = 0.2,
) -> Array:
    """The clipped surrogate loss of the mean log-ratio of the tokens that are kept."""
    kept = np.where(mask, logp - old_logp, logp.dtype.type(0))
    mean = np.sum(kept, axis=-1) / np.sum(mask, axis=-1).astype(logp.dtype)
    return _clipped(np.exp(mean), advantage, clip)


@subject("sinkhorn", contract=ONE_BY_ONE)
def sinkhorn(cost: Array, epsilon: float = 0.1, iterations: float = 10.0) -> Array:
    """Scalings of rows and columns in turn, as logarithms."""
    scalar, (n, m) = cost.dtype.type, cost.shape[1:]
    log_k = -cost / scalar(epsilon)
    g = np.zeros_like(cost[:, 0, :])
    for _ in range(int(iterations)):
        f = -np.log(scalar(n)) - _log_sum_exp(log_k + g[:, None, :])
        g = -np.log(scalar(m)) - _log_sum_exp(np.swapaxes(log_k + f[:, :, None], 1, 2))
    return np.exp(log_k + f[:, :, None] + g[:, None, :])


@subject("entmax", contract=ONE_BY_ONE)
def entmax(z: Array, alpha: float = 1.5) -> Array:
    """[(alpha - 1) z - tau]_+^(1 / (alpha - 1)), tau by sorting for 1.5, else by bisection."""
    one, zero = z.dtype.type(1), z.dtype.type(0)
    s = (z - np.max(z, axis=-1, keepdims=True)) * z.dtype.type(alpha - 1)
    if alpha == 1.5:
        ordered = -np.sort(-s, axis=-1)
        counts = np.arange(1, z.shape[-1] + 1).astype(z.dtype)
        mean = np.cumsum(ordered, axis=-1, dtype=z.dtype) / counts
        square = np.cumsum(ordered * ordered, axis=-1, dtype=z.dtype) / counts
        tau = mean - np.sqrt(np.maximum(one / counts - (square - mean * mean), zero))
        tau = np.max(np.minimum(tau, ordered), axis=-1, keepdims=True)
        return np.maximum(s - tau, zero) ** 2
    power = one / (z.dtype.type(alpha) - one)
    low, high = np.full_like(s[:, :1], -1), np.zeros_like(s[:, :1])
    for _ in range(200):
        middle = low + (high - low) / z.dtype.type(2)
        total = np.sum(np.maximum(s - middle, zero) ** power, axis=-1, keepdims=True)
        low, high = np.where(total >= one, middle, low), np.where(total >= one, high, middle)
    return np.maximum(s - low, zero) ** power


def _log_of_three(*terms: Array) -> Array:
    """The logarithm of a sum of exponentials, of which all may be 0."""
    top = functools.reduce(np.maximum, terms)
    level = np.where(top == -np.inf, 0, top).astype(top.dtype)
    with np.errstate(divide="ignore"):
        return level + np.log(functools.reduce(np.add, (np.exp(x - level) for x in terms)))


@subject("ctc_loss", contract=ONE_BY_ONE)
def ctc_loss(logits: Array, labels: NDArray[np.int64]) -> Array:
    """The forward recursion over labels and blanks; infinite where no path stands for them."""
    log_p = _log_softmax(logits)
    count, steps = logits.shape[:2]
    states = np.zeros((count, 2 * labels.shape[1] + 1), dtype=np.int64)
    states[:, 1::2] = labels
    skips = np.zeros(states.shape, dtype=np.bool_)
    skips[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    emitted = np.take_along_axis(log_p, np.repeat(states[:, None, :], steps, axis=1), axis=2)
    never = np.full((count, 2), -np.inf).astype(logits.dtype)
    alpha = np.full(states.shape, -np.inf).astype(logits.dtype)
    alpha[:, :2] = emitted[:, 0, :2]
    for t in range(1, steps):
        padded = np.concatenate([never, alpha], axis=1)
        skipped = np.where(skips, padded[:, :-2], never[:, :1])
        alpha = _log_of_three(alpha, padded[:, 1:-1], skipped) + emitted[:, t]
    return -_log_of_three(alpha[:, -1], alpha[:, -2])
