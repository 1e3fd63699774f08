"""Softmax and its relatives in Numba: arrays in, arrays out, each with its error bound.

>>> import numpy as np
>>> from softproof.kernels import cross_entropy, error_bound, softmax
>>> logits = np.array([[2.0, 1.0, 0.0], [0.0, 500.0, -np.inf]])
>>> softmax(logits).round(3).tolist()
[[0.665, 0.245, 0.09], [0.0, 1.0, 0.0]]
>>> cross_entropy(logits, [0, 1]).round(3).tolist()
[0.408, 0.0]

The largest error of each, in units of the last place of the exact result, is proven:

>>> error_bound("softmax", "float32")
3.99

Functions compile at their first call, in a few seconds (the exact radius in fifteen), and are
cached on disk.
"""

from .activations import elementwise
from .activations.elementwise import *  # noqa: F403  (what its `__all__` names)
from .error_bounds import error_bound
from .h_consistency.transform import consistency_gamma, consistency_transform
from .losses.comp_sum import comp_sum, comp_sum_with_gradient
from .losses.cross_entropy import cross_entropy, cross_entropy_gradient, cross_entropy_with_gradient
from .losses.ldr_kl import ldr_kl, ldr_kl_with_gradient
from .runtime import tuning
from .softmax_alternatives.stablemax import (
    stablemax,
    stablemax_cross_entropy,
    stablemax_cross_entropy_with_gradient,
    stablemax_vjp,
)
from .softmax_family.log_softmax import log_softmax, log_softmax_jvp, log_softmax_vjp
from .softmax_family.logsumexp import logsumexp
from .softmax_family.softmax import (
    ALGORITHMS,
    naive,
    online,
    softmax,
    three_pass_recompute,
    three_pass_reload,
    two_pass,
)
from .softmax_family.softmax_gradient import softmax_jvp, softmax_vjp
from .step_radius.activation_radius import ACTIVATIONS, activation_radius
from .step_radius.radius import BOUNDS, BatchRadius, Radius, radius, safe_radius
from .training.clip import ClipRecord, clip_step
from .training.perp_grad import perp_grad

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
    "consistency_gamma",
    "consistency_transform",
    "cross_entropy",
    "cross_entropy_gradient",
    "cross_entropy_with_gradient",
    "error_bound",
    "ldr_kl",
    "ldr_kl_with_gradient",
    "log_softmax",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "logsumexp",
    "naive",
    "online",
    "perp_grad",
    "radius",
    "safe_radius",
    "softmax",
    "softmax_jvp",
    "softmax_vjp",
    "stablemax",
    "stablemax_cross_entropy",
    "stablemax_cross_entropy_with_gradient",
    "stablemax_vjp",
    "three_pass_recompute",
    "three_pass_reload",
    "tuning",
    "two_pass",
]
__all__ += elementwise.__all__
