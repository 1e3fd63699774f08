"""Vectors made into probabilities: softmax, and what stands in its place."""

from . import alternatives, calibration, ensembles, gates, projections, softmax, stablemax

__all__ = [
    "alternatives",
    "calibration",
    "ensembles",
    "gates",
    "projections",
    "softmax",
    "stablemax",
]
