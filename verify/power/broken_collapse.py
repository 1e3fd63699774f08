"""Losses and probabilities that collapse, each in its own way; float64 inside where it helps them.

What is not broken is right to a few ulp until it underflows.
"""

import numpy as np


def _split(x, labels):
    """e^(z - z_label) of all other classes, in float64, and their sum; the label must lead."""
    rows = np.arange(len(x))
    wide = x.astype(np.float64)
    e = np.exp(wide - wide[rows, labels][:, None])
    e[rows, labels] = 0
    return e, e.sum(axis=1)


def _right(x, labels):
    """Loss and gradient, collapse-free."""
    rows = np.arange(len(x))
    e, others = _split(x, labels)
    gradient = e / (1 + others)[:, None]
    gradient[rows, labels] = -others / (1 + others)
    return np.log1p(others), gradient


def cross_entropy_right(x, labels):
    """A right one, collapse-free."""
    loss, gradient = _right(x, labels)
    return loss.astype(x.dtype), gradient.astype(x.dtype)


def cross_entropy_log_of_sum(x, labels):
    """The loss is log(1 + T), in the format."""
    _, gradient = _right(x, labels)
    total = (1 + _split(x, labels)[1].astype(x.dtype)).astype(x.dtype)
    return np.log(total), gradient.astype(x.dtype)


def cross_entropy_p_minus_1(x, labels):
    """The loss is right; the gradient of the right class is p - 1."""
    loss, gradient = _right(x, labels)
    rows = np.arange(len(x))
    gradient = gradient.astype(x.dtype)
    p = (1 / (1 + _split(x, labels)[1])).astype(x.dtype)
    gradient[rows, labels] = p - x.dtype.type(1)
    return loss.astype(x.dtype), gradient


def cross_entropy_other_classes_stick(x, labels):
    """The loss is log1p of a sum that begins with the leader and takes the others one by one."""
    _, gradient = _right(x, labels)
    e = _split(x, labels)[0].astype(x.dtype)
    ones = np.ones((len(x), 1), x.dtype)
    total = np.add.accumulate(np.hstack([ones, e]), axis=1, dtype=x.dtype)[:, -1]
    return np.log1p(total - x.dtype.type(1)), gradient.astype(x.dtype)


def cross_entropy_other_classes_in_half_precision(x, labels):
    """Never 0 too early, but T is stored with 11 bits: a relative error of 2^-12."""
    _, gradient = _right(x, labels)
    others = _split(x, labels)[1]
    mantissa, exponent = np.frexp(others)
    coarse = np.ldexp(np.round(mantissa * 2048) / 2048, exponent)
    return np.log1p(coarse).astype(x.dtype), gradient.astype(x.dtype)


def cross_entropy_coarse_gradient(x, labels):
    """The gradient of the right class has a relative error of 2^-12, where p - 1 is no better."""
    loss, gradient = _right(x, labels)
    rows = np.arange(len(x))
    mantissa, exponent = np.frexp(gradient[rows, labels])
    gradient[rows, labels] = np.ldexp(np.round(mantissa * 2048) / 2048, exponent)
    return loss.astype(x.dtype), gradient.astype(x.dtype)


def cross_entropy_clipped(x, labels):
    """Probabilities are at most 1 - 1e-7, as in old Keras: a loss that is never 0."""
    loss, gradient = _right(x, labels)
    return np.maximum(loss, 1e-7).astype(x.dtype), gradient.astype(x.dtype)


CUT = {"gap": 3.0}


def cross_entropy_cut(x, labels):
    """The loss is 0 from a gap on that the test sets."""
    loss, gradient = _right(x, labels)
    loss[np.min(x.astype(np.float64), axis=1) <= -CUT["gap"]] = 0
    return loss.astype(x.dtype), gradient.astype(x.dtype)


def softmax_small_ones_dropped(x):
    """Probabilities below 1e-8 are taken for 0, as a sparse kernel does."""
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return np.where(p < 1e-8, 0, p).astype(x.dtype)


def softmax_leader_first(x):
    """The sum starts with the leader and takes the other classes one by one."""
    d = np.sort(x, axis=1)[:, ::-1] - x.max(axis=1, keepdims=True)
    total = np.add.accumulate(np.exp(d), axis=1, dtype=x.dtype)[:, -1:]
    return np.exp(x - x.max(axis=1, keepdims=True)) / total


def logsumexp_log_of_sum(x):
    """The form m + log(1 + T), in the format."""
    m = x.max(axis=1)
    return m + np.log(np.exp(x - m[:, None]).sum(axis=1, dtype=x.dtype))


def log_softmax_log_of_sum(x):
    """The form d - log(1 + T), with correctly rounded functions, or nearly so."""
    d = x - x.max(axis=1, keepdims=True)
    e = np.exp(d.astype(np.float64)).astype(x.dtype)
    total = e.sum(axis=1, keepdims=True, dtype=x.dtype).astype(np.float64)
    return d - np.log(total).astype(x.dtype)


def softplus_log_of_sum(x):
    """The form log(1 + e^x), in the format."""
    return np.log(1 + np.exp(x))
