"""Softmax and its relatives in Numba: arrays in, arrays out, each with its error bound.

>>> import numpy as np
>>> from softproof.kernels import cross_entropy, softmax
>>> logits = np.array([[2.0, 1.0, 0.0], [0.0, 500.0, -np.inf]])
>>> softmax(logits).round(3).tolist()
[[0.665, 0.245, 0.09], [0.0, 1.0, 0.0]]
>>> cross_entropy(logits, [0, 1]).round(3).tolist()
[0.408, 0.0]

Functions compile at their first call, in about a second (the exact radius in fifteen), and are
cached on disk.
"""

from .activation_radius import ACTIVATIONS, activation_radius
from .activations import (
    gaussglu,
    normal_cdf,
    ria,
    smoothed_rsqrt,
    smoothed_rsqrt_derivative,
)
from .clip import ClipRecord, clip_step
from .comp_sum import comp_sum, comp_sum_with_gradient
from .cross_entropy import (
    cross_entropy,
    cross_entropy_gradient,
    cross_entropy_with_gradient,
)
from .log_softmax import log_softmax, log_softmax_jvp, log_softmax_vjp
from .logsumexp import logsumexp
from .radius import BOUNDS, BatchRadius, Radius, radius, safe_radius
from .softmax import (
    ALGORITHMS,
    naive,
    online,
    softmax,
    three_pass_recompute,
    three_pass_reload,
    two_pass,
)
from .softmax_gradient import softmax_jvp, softmax_vjp

__all__ = [
    "ACTIVATIONS",
    "ALGORITHMS",
    "BOUNDS",
    "BatchRadius",
    "ClipRecord",
    "Radius",
    "activation_radius",
    "clip_step",
    "comp_sum",
    "comp_sum_with_gradient",
    "cross_entropy",
    "cross_entropy_gradient",
    "cross_entropy_with_gradient",
    "gaussglu",
    "log_softmax",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "logsumexp",
    "naive",
    "normal_cdf",
    "online",
    "radius",
    "ria",
    "safe_radius",
    "smoothed_rsqrt",
    "smoothed_rsqrt_derivative",
    "softmax",
    "softmax_jvp",
    "softmax_vjp",
    "three_pass_recompute",
    "three_pass_reload",
    "two_pass",
]
