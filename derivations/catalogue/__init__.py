"""The catalogue of definitions, a folder for each family; importing it fills the registry."""

import difflib

from ..definition import REGISTRY, Definition
from . import (
    activations,
    attention,
    distributions,
    embeddings,
    losses,
    normalisation,
    optimisation,
)

__all__ = [
    "activations",
    "attention",
    "distributions",
    "embeddings",
    "lookup",
    "losses",
    "normalisation",
    "optimisation",
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
