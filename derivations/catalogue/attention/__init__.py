"""Attention, and the positions of what is attended to."""

from . import linear_attention, modified, positions, softmax_attention

__all__ = [
    "linear_attention",
    "modified",
    "positions",
    "softmax_attention",
]
