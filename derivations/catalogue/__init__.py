"""The catalogue of definitions, one family per module; importing it fills the registry."""

from . import activations, losses, softmax, stablemax

__all__ = ["activations", "losses", "softmax", "stablemax"]
