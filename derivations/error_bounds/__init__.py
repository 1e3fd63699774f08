"""A-priori error bounds of the definitions, and the gaps at which results collapse, with proofs.

One module for each family of the catalogue; importing this package declares the bounds with their
definitions.
"""

from . import (
    activations,
    classification,
    comp_sum,
    elementary,
    normalisation,
    softmax,
    stablemax,
)

__all__ = [
    "activations",
    "classification",
    "comp_sum",
    "elementary",
    "normalisation",
    "softmax",
    "stablemax",
]
