"""The reported bugs of attention, one implementation for each, and right ones with gradients.

Written from the reports, not from the code that they are about.
"""

import numpy as np
from softproof.verify.subjects.implementations import functions_of_arrays as forms

# --- right ---


def wide(x):
    """Numbers of 16 bits in 32."""
    return x if x.dtype == np.float64 else x.astype(np.float32)


def right(q, k, v, mask, scale=None, softcap=0.0):
    """Attention whose masked keys and values are left out, with vector-Jacobian products."""
    return forms.attention(wide(q), wide(k), wide(v), mask, scale, softcap).astype(q.dtype)


def right_with_sink(q, k, v, mask, sink, scale=None, softcap=0.0):
    """Attention with a sink, with vector-Jacobian products."""
    widened = (wide(array) for array in (q, k, v))
    return forms.sink_attention(*widened, mask, wide(sink), scale, softcap).astype(q.dtype)


def factor_of(q, scale):
    return q.dtype.type(1 / np.sqrt(q.shape[-1]) if scale is None else scale)


def scores_of(q, k, mask, scale, softcap):
    """The scores and, where they are capped, the derivative of the cap."""
    raw = np.sum(k * q[:, None], axis=-1) * factor_of(q, scale)
    if not softcap:
        return np.where(mask, raw, -np.inf).astype(q.dtype), np.ones_like(raw)
    t = np.tanh(raw / q.dtype.type(softcap))
    return np.where(mask, t * q.dtype.type(softcap), -np.inf).astype(q.dtype), 1 - t * t


def weights_of(scores):
    with np.errstate(invalid="ignore"):
        e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
        return e / np.sum(e, axis=-1, keepdims=True)


def pulled_back(q, k, v, weights, slopes, g, scale):
    """The products in q, k, v and in the scores, from the weights of the keys."""
    by_weight = np.sum(v * g[:, None], axis=-1)
    mean = np.sum(weights * by_weight, axis=-1, keepdims=True)
    by_score = weights * (by_weight - mean)
    inner = (by_score * slopes * factor_of(q, scale))[..., None]
    return np.sum(inner * k, axis=1), inner * q[:, None], weights[..., None] * g[:, None], by_score


def right_products(q, k, v, mask, cotangent, scale=None, softcap=0.0):
    scores, slopes = scores_of(q, k, mask, scale, softcap)
    return pulled_back(q, k, v, weights_of(scores), slopes, cotangent, scale)[:3]


right.vjp = right_products


def products_with_sink(q, k, v, mask, sink, cotangent, scale=None, softcap=0.0):
    scores, slopes = scores_of(q, k, mask, scale, softcap)
    weights = weights_of(np.concatenate([scores, sink[:, None]], axis=-1))

    def with_sink(array):  # a key of the sink, of zeros
        return np.concatenate([array, np.zeros_like(array[:, :1])], axis=1)

    dq, dk, dv, by_score = pulled_back(
        q, with_sink(k), with_sink(v), weights, with_sink(slopes), cotangent, scale
    )
    return dq, dk[:, :-1], dv[:, :-1], by_score[:, -1]


right_with_sink.vjp = products_with_sink


def with_products(function, products):
    """A function with a backward pass of its own."""
    function.vjp = products
    return function


# --- broken ---


def reads_beyond_the_last_key(q, k, v, mask, cotangent, scale=None, softcap=0.0):
    """Of a tile of 8 that is not full, the rest holds what memory held: here NaN, of weight 0."""
    dq, dk, dv = right_products(q, k, v, mask, cotangent, scale, softcap)
    rest = -k.shape[1] % 8
    return (dq + q.dtype.type(0 * np.nan) if rest else dq), dk, dv


def exponential_of_unshifted_scores(q, k, v, mask, cotangent, scale=None, softcap=0.0):
    """The weights of the backward pass are e^s over their sum, of scores as they are."""
    scores, slopes = scores_of(q, k, mask, scale, softcap)
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(scores)
        weights = e / np.sum(e, axis=-1, keepdims=True)
    return pulled_back(q, k, v, weights, slopes, cotangent, scale)[:3]


def masked_keys_not_zeroed(q, k, v, mask, cotangent, scale=None, softcap=0.0):
    """In the last tile of 4, if it is not full, what the mask drops has its weight all the same."""
    scores, slopes = scores_of(q, k, np.ones_like(mask), scale, softcap)
    kept = np.where(mask, scores, -np.inf)
    top = np.max(kept, axis=-1, keepdims=True)
    with np.errstate(over="ignore"):
        weights = np.exp(scores - top) / np.sum(np.exp(kept - top), axis=-1, keepdims=True)
    n = k.shape[1]
    zeroed = mask | (np.arange(n) >= n - n % 4)
    return pulled_back(q, k, v, np.where(zeroed, weights, 0), slopes, cotangent, scale)[:3]


def attention(q, k, v, mask, scale, cap=lambda scores: scores, fill=-np.inf):
    raw = cap(np.sum(k * q[:, None], axis=-1) * factor_of(q, scale))
    weights = weights_of(np.where(mask, raw, fill).astype(q.dtype))
    return np.sum(weights[..., None] * np.where(mask[..., None], v, q.dtype.type(0)), axis=1)


def capped_by_the_score_itself(q, k, v, mask, scale=None, softcap=0.0):
    c = q.dtype.type(softcap)
    return attention(q, k, v, mask, scale, lambda s: (s / c) * np.tanh(s / c) if softcap else s)


def capped_before_the_scale(q, k, v, mask, scale=None, softcap=0.0):
    c, factor = q.dtype.type(softcap), factor_of(q, scale)
    return attention(
        q, k, v, mask, scale, lambda s: c * np.tanh(s / factor / c) * factor if softcap else s
    )


def softcap_ignored(q, k, v, mask, scale=None, softcap=0.0):
    return attention(q, k, v, mask, scale)


def capped_after_the_mask(q, k, v, mask, scale=None, softcap=0.0):
    raw = np.sum(k * q[:, None], axis=-1) * factor_of(q, scale)
    masked, c = np.where(mask, raw, -np.inf).astype(q.dtype), q.dtype.type(softcap)
    weights = weights_of(c * np.tanh(masked / c) if softcap else masked)
    return np.sum(weights[..., None] * v, axis=1)


def infinity_of_5e4(q, k, v, mask, scale=None, softcap=0.0):
    """The maximum begins at -5e4, and weights are the exponentials below it."""
    scores, _ = scores_of(q, k, mask, scale, softcap)
    top = np.maximum(np.max(scores, axis=-1, keepdims=True), q.dtype.type(-5e4))
    e = np.exp(scores - top)
    total = np.maximum(np.sum(e, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    kept = np.where(mask[..., None], v, q.dtype.type(0))
    return np.sum((e / total.astype(q.dtype))[..., None] * kept, axis=1)


def tiles_without_a_key(q, k, v, mask, scale=None, softcap=0.0, tile=128):
    """Tile by tile with a running maximum, which is -inf as long as no key was kept."""
    scores, _ = scores_of(q, k, mask, scale, softcap)
    top = np.full(q.shape[:1], -np.inf, q.dtype)
    total, result = np.zeros_like(top), np.zeros((len(q), v.shape[-1]), q.dtype)
    for start in range(0, k.shape[1], tile):
        part = slice(start, start + tile)
        now = np.maximum(top, np.max(scores[:, part], axis=-1))
        with np.errstate(invalid="ignore"):
            e, before = np.exp(scores[:, part] - now[:, None]), np.exp(top - now)
        total = total * before + np.sum(e, axis=-1)
        kept = np.where(mask[:, part, None], v[:, part], q.dtype.type(0))
        result = result * before[:, None] + np.sum(e[..., None] * kept, axis=1)
        top = now
    return result / total[:, None]


def spreads_nan(q, k, v, mask, scale=None, softcap=0.0):
    """A number of the whole batch enters each result with weight 0."""
    value = attention(q, k, v, mask, scale)
    return value + q.dtype.type(0) * np.sum(value)


def keeps_one_key_more(q, k, v, mask, scale=None, softcap=0.0):
    """The edge of the mask is off by one."""
    return right(q, k, v, mask | np.roll(mask, 1, axis=-1), scale, softcap)


# --- broken, with a sink ---


def sink_dropped(q, k, v, mask, sink, scale=None, softcap=0.0):
    return attention(q, k, v, mask, scale)


def gradient_of_the_sink_dropped(q, k, v, mask, sink, cotangent, scale=None, softcap=0.0):
    *others, by_sink = products_with_sink(q, k, v, mask, sink, cotangent, scale, softcap)
    return (*others, np.zeros_like(by_sink))


def sink_against_the_maximum_of_scores(q, k, v, mask, sink, scale=None, softcap=0.0):
    scores, _ = scores_of(q, k, mask, scale, softcap)
    top = np.max(scores, axis=-1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(scores - top)
        total = np.sum(e, axis=-1, keepdims=True) + np.exp(sink[:, None] - top)
    return np.sum((e / total)[..., None] * np.where(mask[..., None], v, q.dtype.type(0)), axis=1)


def sink_as_a_weight(q, k, v, mask, sink, scale=None, softcap=0.0):
    """The sink itself is added to the sum, not its exponential."""
    scores, _ = scores_of(q, k, mask, scale, softcap)
    e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    total = np.sum(e, axis=-1, keepdims=True) + np.abs(sink[:, None])
    return np.sum((e / total)[..., None] * np.where(mask[..., None], v, q.dtype.type(0)), axis=1)
