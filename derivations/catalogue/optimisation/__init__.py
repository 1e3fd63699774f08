"""Steps of optimisers, and what they do to gradients and weights."""

from . import gradients, steps

__all__ = ["gradients", "steps"]
