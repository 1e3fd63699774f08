"""The catalogue of definitions, one family per module; importing it fills the registry."""

import difflib

from ..definition import REGISTRY, Definition
from . import activations, classification_losses, comp_sum, normalisation, softmax, stablemax

__all__ = [
    "activations",
    "classification_losses",
    "comp_sum",
    "lookup",
    "normalisation",
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
