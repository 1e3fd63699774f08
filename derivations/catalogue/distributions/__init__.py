"""Vectors made into probabilities: softmax, and what stands in its place."""

from . import gates, projections, softmax, stablemax

__all__ = ["gates", "projections", "softmax", "stablemax"]
