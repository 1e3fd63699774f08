"""Losses, and divergences of distributions."""

from . import (
    classification,
    comp_sum,
    distillation,
    divergences,
    linear,
    margins,
    policies,
    ranking,
    regression,
    robust,
    sequences,
    weighted,
)

__all__ = [
    "classification",
    "comp_sum",
    "distillation",
    "divergences",
    "linear",
    "margins",
    "policies",
    "ranking",
    "regression",
    "robust",
    "sequences",
    "weighted",
]
