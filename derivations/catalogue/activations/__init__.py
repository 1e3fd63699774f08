"""Functions of one real, element by element, and the gates made of them."""

from . import elementary, gated, one_real, piecewise

__all__ = [
    "elementary",
    "gated",
    "one_real",
    "piecewise",
]
