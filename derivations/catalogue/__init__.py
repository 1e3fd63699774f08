"""The catalogue of definitions, one family per module; importing it fills the registry."""

import difflib

from ..definition import REGISTRY, Definition
from . import (
    activations,
    attention,
    classification_losses,
    comp_sum,
    divergences,
    elementary_functions,
    gated_activations,
    gates,
    linear_losses,
    normalisation,
    policy_losses,
    positions,
    projections,
    sequence_losses,
    softmax,
    stablemax,
)

__all__ = [
    "activations",
    "attention",
    "classification_losses",
    "comp_sum",
    "divergences",
    "elementary_functions",
    "gated_activations",
    "gates",
    "linear_losses",
    "lookup",
    "normalisation",
    "policy_losses",
    "positions",
    "projections",
    "sequence_losses",
    "softmax",
    "stablemax",
]


def lookup(name: str) -> Definition:
    """The definition of that name; KeyError with the nearest names where there is none.

    >>> lookup("softmax").family
    'softmax'
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=3) or sorted(REGISTRY)
        raise KeyError(f"no definition is called {name!r}; did you mean {', '.join(near)}?")
    return REGISTRY[name]
