"""Functions of several arguments in NumPy, as people write them; the batch axis stands first.

Any floating dtype, computed in that dtype.  What a mask drops is replaced before it is used: NaN
times a weight 0 is NaN.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import CONVENTIONAL, IN_FORMAT
from ..registration import subject

Array = NDArray[Any]

# Sums over an axis that is not the last are added one by one, and so may matrix products be.
ONE_BY_ONE = replace(IN_FORMAT, summation="any")


@subject("rms_norm", contract=IN_FORMAT)
def rms_norm(x: Array, gain: Array, eps: float = 1e-6) -> Array:
    """x gain / sqrt(mean x^2 + eps)."""
    return x / np.sqrt(_mean(x * x) + x.dtype.type(eps)) * gain


@subject("layer_norm", contract=IN_FORMAT)
def layer_norm(x: Array, gain: Array, bias: Array, eps: float = 1e-5) -> Array:
    """The deviations from the mean over their root mean square, by two passes."""
    centred = x - _mean(x)
    return centred / np.sqrt(_mean(centred * centred) + x.dtype.type(eps)) * gain + bias


def _mean(x: Array) -> Array:
    """np.mean would round differently: it divides 16-bit sums in 32 bits."""
    return np.sum(x, axis=-1, keepdims=True) / x.dtype.type(x.shape[-1])


@subject("attention", contract=replace(ONE_BY_ONE, masked_nan="ignored"))
def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: NDArray[np.bool_],
    scale: float | None = None,
    softcap: float = 0.0,
    *,
    return_lse: bool = False,
) -> Array | tuple[Array, Array]:
    """softmax(scale k q) v, one query to a batch entry; masked keys and values are left out."""
    scores = _scores(q, k, mask, scale, softcap)
    weights, lse = _softmax_and_lse(scores)
    kept = np.where(mask[:, :, None], v, q.dtype.type(0))
    mean = np.sum(weights[:, :, None] * kept, axis=1)
    return (mean, lse) if return_lse else mean


def _scores(
    q: Array, k: Array, mask: NDArray[np.bool_], scale: float | None, softcap: float
) -> Array:
    """Products, scaled and capped; -inf where the mask drops a key."""
    one = q.dtype.type(1)
    factor = one / np.sqrt(q.dtype.type(q.shape[-1])) if scale is None else q.dtype.type(scale)
    kept = np.where(mask[:, :, None], k, q.dtype.type(0))
    scores = _capped(np.sum(kept * q[:, None, :], axis=-1) * factor, softcap)
    return np.where(mask, scores, -np.inf).astype(q.dtype)


def _softmax_and_lse(scores: Array) -> tuple[Array, Array]:
    """The softmax along the last axis, and the logarithm of the sum of exponentials."""
    top = np.max(scores, axis=-1, keepdims=True)
    e = np.exp(scores - top)
    total = np.sum(e, axis=-1, keepdims=True)
    return e / total, (top + np.log(total))[..., 0]


def _capped(scores: Array, softcap: float) -> Array:
    cap = scores.dtype.type(softcap)
    return cap * np.tanh(scores / cap) if softcap else scores


@subject("kl_divergence", contract=IN_FORMAT)
def kl_divergence(student: Array, teacher: Array, temperature: float = 1.0) -> Array:
    """T^2 sum p (log p - log q), p of the teacher, q of the student."""
    t = student.dtype.type(temperature)
    log_q, log_p = _log_softmax(student / t), _log_softmax(teacher / t)
    return t * t * np.sum(np.exp(log_p) * (log_p - log_q), axis=-1)


def _log_softmax(x: Array) -> Array:
    d = x - np.max(x, axis=-1, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis=-1, keepdims=True))


@subject("linear_cross_entropy", contract=ONE_BY_ONE)
def linear_cross_entropy(
    hidden: Array, weight: Array, label: NDArray[np.int64], softcap: float = 0.0
) -> Array:
    """log sum_k e^z_k - z_label of the logits z = weight hidden."""
    return _loss_of_logits(np.sum(hidden[:, None, :] * weight, axis=-1), label, softcap)


@subject("linear_cross_entropy_with_bias", contract=ONE_BY_ONE)
def linear_cross_entropy_with_bias(
    hidden: Array, weight: Array, bias: Array, label: NDArray[np.int64], softcap: float = 0.0
) -> Array:
    """log sum_k e^z_k - z_label of the logits z = weight hidden + bias."""
    return _loss_of_logits(np.sum(hidden[:, None, :] * weight, axis=-1) + bias, label, softcap)


def _loss_of_logits(z: Array, label: NDArray[np.int64], softcap: float) -> Array:
    z = _capped(z, softcap)
    d = z - np.max(z, axis=-1, keepdims=True)
    return np.log(np.sum(np.exp(d), axis=-1)) - d[np.arange(len(d)), label]


@subject("sparsemax", contract=ONE_BY_ONE)
def sparsemax(z: Array) -> Array:
    """(z - tau)_+, by the sums of the largest."""
    d = z - np.max(z, axis=-1, keepdims=True)
    sums = np.cumsum(-np.sort(-d, axis=-1), axis=-1, dtype=z.dtype)
    counts = np.arange(1, z.shape[-1] + 1).astype(z.dtype)
    tau = np.max((sums - z.dtype.type(1)) / counts, axis=-1, keepdims=True)
    return np.maximum(d - tau, z.dtype.type(0))


@subject("sink_attention", contract=replace(ONE_BY_ONE, masked_nan="ignored"))
def sink_attention(
    q: Array,
    k: Array,
    v: Array,
    mask: NDArray[np.bool_],
    sink: Array,
    scale: float | None = None,
    softcap: float = 0.0,
    *,
    return_lse: bool = False,
) -> Array | tuple[Array, Array]:
    """Attention whose softmax has one score more, that of the sink, without a value."""
    scores = np.concatenate([_scores(q, k, mask, scale, softcap), sink[:, None]], axis=-1)
    weights, lse = _softmax_and_lse(scores)
    kept = np.where(mask[:, :, None], v, q.dtype.type(0))
    mean = np.sum(weights[:, :-1, None] * kept, axis=1)
    return (mean, lse) if return_lse else mean


@subject("swiglu", contract=IN_FORMAT)
def swiglu(a: Array, b: Array) -> Array:
    """a sigmoid(a) b, the exponential of what is at most 0."""
    e = np.exp(-np.abs(a))
    one = a.dtype.type(1)
    return a * np.where(a >= 0, one / (one + e), e / (one + e)) * b


@subject("gumbel_softmax", contract=IN_FORMAT)
def gumbel_softmax(logits: Array, noise: Array, temperature: float = 1.0) -> Array:
    """softmax((logits + noise) / T)."""
    z = (logits + noise) / logits.dtype.type(temperature)
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


@subject("info_nce", contract=ONE_BY_ONE)
def info_nce(
    query: Array, keys: Array, label: NDArray[np.int64], temperature: float = 1.0
) -> Array:
    """Compute the cross-entropy of similarities."""
    similarities = np.sum(keys * query[:, None, :], axis=-1) / query.dtype.type(temperature)
    return -_log_softmax(similarities)[np.arange(len(label)), label]


@subject("top_k_gate", contract=IN_FORMAT)
def top_k_gate(logits: Array, k: int = 2) -> tuple[NDArray[np.int64], Array]:
    """The k largest, the first of equals first, and the softmax over them."""
    indices = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    chosen = np.take_along_axis(logits, indices, axis=-1)
    e = np.exp(chosen - chosen[..., :1])
    return indices, e / np.sum(e, axis=-1, keepdims=True)


@subject("log1p", contract=IN_FORMAT)
def log1p(x: Array) -> Array:
    """log(1 + x), by the function of NumPy."""
    return np.log1p(x)


@subject("rope", contract=CONVENTIONAL)
def rope(x: Array, position: NDArray[np.int64], base: float = 10000.0) -> Array:
    """The halves rotated against each other by position base^(-2i/d)."""
    middle = x.shape[-1] // 2
    one, other = _rotated(x[:, :middle], x[:, middle:], position, base)
    return np.concatenate([one, other], axis=-1)


@subject("rope_interleaved", contract=CONVENTIONAL)
def rope_interleaved(x: Array, position: NDArray[np.int64], base: float = 10000.0) -> Array:
    """Each two neighbours rotated by position base^(-2i/d)."""
    one, other = _rotated(x[:, 0::2], x[:, 1::2], position, base)
    return np.stack([one, other], axis=-1).reshape(x.shape)


def _rotated(
    one: Array, other: Array, position: NDArray[np.int64], base: float
) -> tuple[Array, Array]:
    """In 32 bits at least: the positions of long contexts are no numbers of 16 bits."""
    wide = np.result_type(one.dtype, np.float32)
    a, b, pairs = one.astype(wide), other.astype(wide), one.shape[-1]
    exponents = (-np.arange(pairs) / max(pairs, 1)).astype(wide)
    angles = position.astype(wide)[:, None] * wide.type(base) ** exponents
    cos, sin = np.cos(angles), np.sin(angles)
    return (a * cos - b * sin).astype(one.dtype), (b * cos + a * sin).astype(one.dtype)
