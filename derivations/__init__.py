"""Definitions of softmax and its kin, evaluated in many arithmetics, with declared facts proven.

>>> from softproof.derivations import lookup, prove
>>> all(proof.proven for proof in prove(lookup("softmax"), sizes=(2,)))
True
"""

from . import error_bounds, step_radius  # declare what is proven with the definitions
from .catalogue import lookup
from .definition import REGISTRY, Definition, Output, define, definitions_of_a_row
from .evaluation import value
from .proofs.prove import Proof, prove
from .signature import (
    Count,
    Index,
    Indices,
    Integer,
    Label,
    Labels,
    Mask,
    Matrix,
    Parameter,
    Real,
    Signature,
    Vector,
)

__all__ = [
    "REGISTRY",
    "Count",
    "Definition",
    "Index",
    "Indices",
    "Integer",
    "Label",
    "Labels",
    "Mask",
    "Matrix",
    "Output",
    "Parameter",
    "Proof",
    "Real",
    "Signature",
    "Vector",
    "define",
    "definitions_of_a_row",
    "error_bounds",
    "lookup",
    "prove",
    "step_radius",
    "value",
]
