"""The reported bugs of losses and projections, one implementation for each, and right ones.

Written from the reports, not from the code that they are about.
"""

import numpy as np
from softproof.verify.subjects.implementations import functions_of_arrays as forms

# --- right ---


def linear_cross_entropy(hidden, weight, label, softcap=0.0):
    """By the differences of the logits, and log1p of what the others add."""
    z = hidden @ weight.T
    if softcap:
        z = z.dtype.type(softcap) * np.tanh(z / z.dtype.type(softcap))
    rows = np.arange(len(z))
    top = np.argmax(z, axis=-1)
    d = z - z[rows, top][:, None]
    e = np.exp(d)
    e[rows, top] = 0
    return np.log1p(np.sum(e, axis=-1)) - d[rows, label]


def products_of_linear_cross_entropy(hidden, weight, label, cotangent, softcap=0.0):
    z = hidden @ weight.T
    slope = np.ones_like(z)
    if softcap:
        t = np.tanh(z / z.dtype.type(softcap))
        z, slope = z.dtype.type(softcap) * t, 1 - t * t
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    by_logit = e / np.sum(e, axis=-1, keepdims=True)
    by_logit[np.arange(len(z)), label] -= 1
    by_logit *= slope * cotangent[:, None]
    return by_logit @ weight, by_logit.T @ hidden


linear_cross_entropy.vjp = products_of_linear_cross_entropy

sparsemax, info_nce = forms.sparsemax, forms.info_nce


# --- broken ---


def logsumexp_less_the_logit(hidden, weight, label, softcap=0.0):
    """Of logits that are not shifted: both are huge, and their difference is lost."""
    z = hidden @ weight.T
    if softcap:
        z = z.dtype.type(softcap) * np.tanh(z / z.dtype.type(softcap))
    top = np.max(z, axis=-1)
    lse = top + np.log(np.sum(np.exp(z - top[:, None]), axis=-1))
    return lse - z[np.arange(len(z)), label]


def gradient_of_the_mean(hidden, weight, label, cotangent, softcap=0.0):
    """Computed with the value, and not multiplied with what the losses are weighted with."""
    ones = np.full_like(cotangent, 1 / len(cotangent))
    return products_of_linear_cross_entropy(hidden, weight, label, ones, softcap)


def support_by_one_plus(z):
    """The support is where 1 + k z_k > sum: in no place at all, where 1 + z is z."""
    ordered = -np.sort(-z, axis=-1)
    k = np.arange(1, z.shape[-1] + 1).astype(z.dtype)
    sums = np.cumsum(ordered, axis=-1, dtype=z.dtype)
    inside = z.dtype.type(1) + k * ordered > sums
    count = np.sum(inside, axis=-1, keepdims=True)
    last = np.take_along_axis(sums, np.maximum(count - 1, 0), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = np.where(count > 0, (last - 1) / count, np.nan).astype(z.dtype)
    return np.maximum(z - tau, z.dtype.type(0))


def threshold_by_the_sum_of_sums(z):
    ordered = -np.sort(-z, axis=-1)
    k = np.arange(1, z.shape[-1] + 1).astype(z.dtype)
    sums = np.cumsum(ordered, axis=-1, dtype=z.dtype)
    inside = z.dtype.type(1) + k * ordered > sums
    count = np.sum(inside, axis=-1, keepdims=True)
    total = np.sum(np.where(inside, sums, 0), axis=-1, keepdims=True)
    return np.maximum(z - ((total - 1) / count).astype(z.dtype), z.dtype.type(0))


def similarities(query, keys, temperature):
    return np.sum(keys * query[:, None], axis=-1) / query.dtype.type(temperature)


def logarithm_of_a_probability(query, keys, label, temperature=1.0):
    s = similarities(query, keys, temperature)
    e = np.exp(s - np.max(s, axis=-1, keepdims=True))
    p = e / np.sum(e, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return -np.log(p[np.arange(len(p)), label])


def exponentials_without_a_shift(query, keys, label, temperature=1.0):
    s = similarities(query, keys, temperature)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.log(np.sum(np.exp(s), axis=-1)) - s[np.arange(len(s)), label]
