"""The reported bugs of gates, one implementation for each, and a right one.

Written from the reports, not from the code that they are about.
"""

import numpy as np


def wide(x):
    """Numbers of 16 bits in 32."""
    return x if x.dtype == np.float64 else x.astype(np.float32)


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


# --- right ---


def top_k_gate(logits, k=2):
    indices = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    chosen = np.take_along_axis(wide(logits), indices, axis=-1)
    return indices, softmax(chosen).astype(logits.dtype)


# --- broken ---


def wrong_from_128_experts_on(logits, k=2):
    """The path of many experts gives the weights among all of them."""
    indices, weights = top_k_gate(logits, k)
    if logits.shape[-1] >= 128 and k > 1:
        among_all = np.take_along_axis(softmax(wide(logits)), indices, axis=-1)
        weights = among_all.astype(logits.dtype)
    return indices, weights


def no_expert_for_nan(logits, k=2):
    """The largest is sought by comparisons, which all fail for NaN: the index stays at K."""
    indices, weights = top_k_gate(logits, k)
    of_nan = np.isnan(logits).any(axis=-1, keepdims=True)
    found = np.where(of_nan, logits.shape[-1], indices)
    return indices, np.take_along_axis(wide(logits), found, axis=-1) * 0 + weights
