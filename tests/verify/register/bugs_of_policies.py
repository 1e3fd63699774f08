"""The reported bugs of losses of a policy, divergences and the focal loss, and right ones.

Written from the reports, not from the code that they are about.  Right ones compute in binary64.
"""

import numpy as np

# --- right ---


def double(*arrays):
    return [array.astype(np.float64) for array in arrays]


def clipped(ratio, advantage, clip):
    return -np.minimum(ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage)


def slope(log_ratio, advantage, clip):
    """The derivative of the clipped loss by the log-ratio: 0 where the clip acts."""
    ratio = np.exp(np.minimum(log_ratio, 700.0))
    acts = np.where(advantage >= 0, ratio > 1 + clip, ratio < 1 - clip)
    return np.where(acts, 0.0, -ratio * advantage)


def ppo_loss(logp, old_logp, advantage, clip=0.2):
    p, old, a = double(logp, old_logp, advantage)
    return clipped(np.exp(np.minimum(p - old, 700.0)), a, clip).astype(logp.dtype)


def products_of_ppo(logp, old_logp, advantage, cotangent, clip=0.2):
    p, old, a, g = double(logp, old_logp, advantage, cotangent)
    by_ratio = g * slope(p - old, a, clip)
    ratio = np.exp(np.minimum(p - old, 700.0))
    by_advantage = -g * np.where(a >= 0, np.minimum(ratio, 1 + clip), np.maximum(ratio, 1 - clip))
    return tuple(x.astype(logp.dtype) for x in (by_ratio, -by_ratio, by_advantage))


ppo_loss.vjp = products_of_ppo


def grpo_loss(logp, old_logp, advantage, reference_logp, clip=0.2, beta=0.04):
    p, old, a, reference = double(logp, old_logp, advantage, reference_logp)
    d = reference - p
    loss = clipped(np.exp(np.minimum(p - old, 700.0)), a, clip) + beta * (np.expm1(d) - d)
    return loss.astype(logp.dtype)


def kept_mean(logp, old_logp, mask):
    kept = np.where(mask, logp - old_logp, 0.0)
    return np.sum(kept, axis=-1) / np.sum(mask, axis=-1)


def gspo_loss(logp, old_logp, advantage, mask, clip=0.2):
    p, old, a = double(logp, old_logp, advantage)
    ratio = np.exp(np.minimum(kept_mean(p, old, mask), 700.0))
    return clipped(ratio, a, clip).astype(logp.dtype)


def products_of_gspo(logp, old_logp, advantage, mask, cotangent, clip=0.2):
    p, old, a, g = double(logp, old_logp, advantage, cotangent)
    mean = kept_mean(p, old, mask)
    by_mean = g * slope(mean, a, clip) / np.sum(mask, axis=-1)
    by_logp = np.where(mask, by_mean[:, None], 0.0)
    ratio = np.exp(np.minimum(mean, 700.0))
    by_advantage = -g * np.where(a >= 0, np.minimum(ratio, 1 + clip), np.maximum(ratio, 1 - clip))
    return tuple(x.astype(logp.dtype) for x in (by_logp, -by_logp, by_advantage))


gspo_loss.vjp = products_of_gspo


def log_softmax(x):
    d = x - np.max(x, axis=-1, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis=-1, keepdims=True))


def log_probabilities(student, teacher):
    log_q, log_p = log_softmax(student), log_softmax(teacher)
    return log_q, log_p, np.logaddexp(log_q, log_p) - np.log(2)


def js_divergence(student, teacher):
    log_q, log_p, log_m = log_probabilities(*double(student, teacher))
    terms = np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m)
    return (np.sum(terms, axis=-1) / 2).astype(student.dtype)


def products_of_js(student, teacher, cotangent):
    """p (l - mean l) / 2 with l = log(p / m), of each of the two."""
    log_q, log_p, log_m = log_probabilities(*double(student, teacher))
    found = []
    for log in (log_q, log_p):
        p, ratio = np.exp(log), log - log_m
        centred = ratio - np.sum(p * ratio, axis=-1, keepdims=True)
        found.append((cotangent[:, None] * p * centred / 2).astype(student.dtype))
    return tuple(found)


js_divergence.vjp = products_of_js


def focal_parts(logits, label):
    """log p and 1 - p at the label, and the probabilities."""
    (z,) = double(logits)
    rows = np.arange(len(z))
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    p = e / np.sum(e, axis=-1, keepdims=True)
    others = p.copy()
    others[rows, label] = 0
    return log_softmax(z)[rows, label], np.sum(others, axis=-1), p


def focal_loss(logits, label, gamma=2.0):
    log_p, missed, _ = focal_parts(logits, label)
    return (missed**gamma * -log_p).astype(logits.dtype)


def products_of_focal(logits, label, cotangent, gamma=2.0):
    log_p, missed, p = focal_parts(logits, label)
    rows = np.arange(len(p))
    safe = np.maximum(missed, np.finfo(np.float64).tiny)
    weight = missed**gamma + gamma * safe ** (gamma - 1) * p[rows, label] * -log_p
    p[rows, label] = -missed
    return ((cotangent * weight)[:, None] * p).astype(logits.dtype)


focal_loss.vjp = products_of_focal


# --- broken ---


def ratio_times_zero(logp, old_logp, advantage, cotangent, clip=0.2):
    """The branch that the minimum did not take has the weight 0, and the ratio is infinite."""
    by_ratio, _, by_advantage = products_of_ppo(logp, old_logp, advantage, cotangent, clip)
    with np.errstate(all="ignore"):
        by_ratio = by_ratio + np.exp(logp - old_logp) * logp.dtype.type(0)
    return by_ratio, -by_ratio, by_advantage


def divergence_in_the_format(logp, old_logp, advantage, reference_logp, clip=0.2, beta=0.04):
    with np.errstate(all="ignore"):
        d = reference_logp - logp
        k3 = np.exp(d) - d - logp.dtype.type(1)
        ratio = np.exp(logp - old_logp)
        return (clipped(ratio, advantage, clip) + logp.dtype.type(beta) * k3).astype(logp.dtype)


def padding_times_zero(logp, old_logp, advantage, mask, cotangent, clip=0.2):
    """The exponential of every place, padded ones among them, enters with the weight 0."""
    by_logp, _, by_advantage = products_of_gspo(logp, old_logp, advantage, mask, cotangent, clip)
    with np.errstate(all="ignore"):
        by_logp = by_logp + np.exp(logp - old_logp) * logp.dtype.type(0)
    return by_logp, -by_logp, by_advantage


def sequence_ratio_times_zero(logp, old_logp, advantage, mask, cotangent, clip=0.2):
    by_logp, _, by_advantage = products_of_gspo(logp, old_logp, advantage, mask, cotangent, clip)
    with np.errstate(all="ignore"):
        ratio = np.exp(kept_mean(logp, old_logp, mask).astype(logp.dtype))
        by_logp = by_logp + (ratio * logp.dtype.type(0))[:, None]
    return by_logp, -by_logp, by_advantage


def logarithm_of_the_mixture(student, teacher):
    """The logarithm of (p + q) / 2, of probabilities in the format."""
    with np.errstate(all="ignore"):
        log_q, log_p = log_softmax(student), log_softmax(teacher)
        p, q = np.exp(log_p), np.exp(log_q)
        log_m = np.log((p + q) / student.dtype.type(2))
        return np.sum(p * (log_p - log_m) + q * (log_q - log_m), axis=-1) / student.dtype.type(2)


def power_of_zero(logits, label, cotangent, gamma=2.0):
    """(1 - p)^(gamma - 1) with 1 - p of a p that rounds to 1."""
    log_p, missed, p = focal_parts(logits, label)
    rows = np.arange(len(p))
    with np.errstate(all="ignore"):
        lost = 1 - p[rows, label].astype(logits.dtype)
        weight = missed**gamma + gamma * lost ** (gamma - 1) * p[rows, label] * -log_p
        p[rows, label] = -missed
        return ((cotangent * weight)[:, None] * p).astype(logits.dtype)


def logarithm_of_zero(logits, label, gamma=2.0):
    rows = np.arange(len(logits))
    e = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    p = (e / np.sum(e, axis=-1, keepdims=True))[rows, label]
    with np.errstate(all="ignore"):
        return -((1 - p) ** logits.dtype.type(gamma)) * np.log(p)
