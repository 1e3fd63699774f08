"""Softmax and its relatives in Numba: arrays in, arrays out, each with a proven error bound.

>>> import numpy as np
>>> from softproof.kernels import cross_entropy, softmax
>>> logits = np.array([[2.0, 1.0, 0.0], [0.0, 500.0, -np.inf]])
>>> softmax(logits).round(3).tolist()
[[0.665, 0.245, 0.09], [0.0, 1.0, 0.0]]
>>> cross_entropy(logits, [0, 1]).round(3).tolist()
[0.408, 0.0]

Functions compile at their first call, in about a second, and are cached on disk.
"""

from .cross_entropy import cross_entropy, cross_entropy_with_gradient
from .log_softmax import log_softmax
from .logsumexp import logsumexp
from .radius import radius
from .softmax import (
    ALGORITHMS,
    naive,
    online,
    softmax,
    three_pass_recompute,
    three_pass_reload,
    two_pass,
)

__all__ = [
    "ALGORITHMS",
    "cross_entropy",
    "cross_entropy_with_gradient",
    "log_softmax",
    "logsumexp",
    "naive",
    "online",
    "radius",
    "softmax",
    "three_pass_recompute",
    "three_pass_reload",
    "two_pass",
]
