"""Attention, and the positions of what is attended to."""

from . import positions, softmax_attention

__all__ = ["positions", "softmax_attention"]
