"""The NumPy forms that people write, as subjects: the naive one of each, and the usual one.

Last axis; any floating dtype, computed in that dtype.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import IN_FORMAT, SHIFTED, UNSHIFTED
from ..registration import subject

Array = NDArray[Any]

# The shifted form without softproof, as a script.
SHIFTED_LOSS = """\
d = x - x.max(-1, keepdims=True)
e = np.exp(d)
p = e / e.sum(-1, keepdims=True)
rows = np.arange(len(x))
loss = np.log(e.sum(-1)) - d[rows, labels]
p[rows, labels] -= 1
loss, p"""


@subject("softmax", contract=UNSHIFTED)
def softmax_naive(x: Array) -> Array:
    """e^x / sum e^x: overflows."""
    e = np.exp(x)
    return e / np.sum(e, axis=-1, keepdims=True)


@subject(
    "softmax",
    "(e := np.exp(x - x.max(-1, keepdims=True))) / e.sum(-1, keepdims=True)",
    contract=SHIFTED,
)
def softmax_shifted(x: Array) -> Array:
    """e^(x - max) / sum."""
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


@subject("log_softmax", contract=SHIFTED)
def log_softmax_naive(x: Array) -> Array:
    """Logarithm of the shifted softmax: -inf where the probability underflows."""
    return np.log(softmax_shifted(x))


@subject(
    "log_softmax",
    "(d := x - x.max(-1, keepdims=True)) - np.log(np.exp(d).sum(-1, keepdims=True))",
    contract=SHIFTED,
)
def log_softmax_shifted(x: Array) -> Array:
    """d - log sum e^d, d = x - max."""
    d = x - np.max(x, axis=-1, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis=-1, keepdims=True))


@subject("logsumexp", contract=IN_FORMAT)
def logsumexp_naive(x: Array) -> Array:
    """The textbook form log sum e^x: overflows."""
    return np.log(np.sum(np.exp(x), axis=-1))


@subject("logsumexp", "(m := x.max(-1)) + np.log(np.exp(x - m[:, None]).sum(-1))", contract=SHIFTED)
def logsumexp_shifted(x: Array) -> Array:
    """max + log sum e^(x - max)."""
    m = np.max(x, axis=-1, keepdims=True)
    return m[..., 0] + np.log(np.sum(np.exp(x - m), axis=-1))


@subject("cross_entropy", contract=UNSHIFTED)
def cross_entropy_naive(x: Array, labels: NDArray[np.integer[Any]]) -> tuple[Array, Array]:
    """-log p_label and p - onehot, from the naive softmax."""
    p = softmax_naive(x)
    rows = np.arange(len(x))
    loss = -np.log(p[rows, labels])
    p[rows, labels] -= 1
    return loss, p


@subject("cross_entropy", SHIFTED_LOSS, contract=IN_FORMAT)
def cross_entropy_shifted(x: Array, labels: NDArray[np.integer[Any]]) -> tuple[Array, Array]:
    """log sum e^d - d_label, d = x - max, and p - onehot."""
    d = x - np.max(x, axis=-1, keepdims=True)
    e = np.exp(d)
    total = np.sum(e, axis=-1, keepdims=True)
    rows = np.arange(len(x))
    loss = np.log(total[:, 0]) - d[rows, labels]
    p = e / total
    p[rows, labels] -= 1
    return loss, p


@subject("sigmoid", contract=IN_FORMAT)
def sigmoid_naive(x: Array) -> Array:
    """1 / (1 + e^-x): 0 where e^-x overflows although the result is still representable."""
    return 1 / (1 + np.exp(-x))


@subject("softplus", contract=IN_FORMAT)
def softplus_naive(x: Array) -> Array:
    """The textbook form log(1 + e^x): 0 where 1 absorbs e^x, inf where e^x overflows."""
    return np.log(1 + np.exp(x))


@subject("softplus", contract=IN_FORMAT)
def softplus_logaddexp(x: Array) -> Array:
    """The function ``numpy.logaddexp`` of 0 and x."""
    return np.logaddexp(x.dtype.type(0), x)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _density(x: Array) -> Array:
    return np.exp(-x * x / 2) / np.sqrt(x.dtype.type(2 * np.pi))


@subject("normal_cdf", contract=IN_FORMAT)
def normal_cdf_by_erf(x: Array) -> Array:
    """(1 + erf(x / sqrt 2)) / 2: cancels on the left, 0 below -5.5 (float32) and -8.3 (float64)."""
    return (1 + _erf(x / np.sqrt(x.dtype.type(2))).astype(x.dtype)) / 2


@subject("ria", contract=IN_FORMAT)
def ria_as_published(x: Array) -> Array:
    """The published form x Phi(x) + phi(x): the terms cancel on the left, to noise or below 0."""
    return x * normal_cdf_by_erf(x) + _density(x)


@subject("stablemax", contract=UNSHIFTED)
def stablemax(x: Array) -> Array:
    """s / sum s, s = x + 1 for x >= 0 and 1 / (1 - x) for x < 0."""
    s = np.where(x >= 0, x + 1, 1 / (1 - np.minimum(x, 0)))
    return s / np.sum(s, axis=-1, keepdims=True)


@subject("stablemax_cross_entropy", contract=UNSHIFTED)
def stablemax_cross_entropy(x: Array, labels: NDArray[np.integer[Any]]) -> Array:
    """The loss -log stablemax_label, from the probabilities."""
    return -np.log(stablemax(x)[np.arange(len(x)), labels])
