"""Activations of two vectors, one of which opens and closes the way of the other."""

from ...definition import define
from ...proofs.facts import PermutationEquivariant
from ...proofs.facts_of_arguments import Homogeneous
from ...signature import Vector


@define(
    family="activations",
    source="Shazeer 2020, GLU Variants Improve Transformer, arXiv 2002.05202, eq. (6), beta = 1",
    arguments={"a": Vector("K"), "b": Vector("K")},
    output=("K",),
    facts=(Homogeneous("b", 1), PermutationEquivariant("K")),
)
def swiglu(a, b, xp):
    """SwiGLU a sigmoid(a) b, element by element."""
    return a * xp.sigmoid(a) * b


@swiglu.form("quotient")
def _(a, b, xp):
    """a / (1 + e^-a), where no exponential overflows."""
    return (
        xp.by_sign(a, lambda v: v / (1 + xp.exp(-v)), lambda v: v * xp.exp(v) / (1 + xp.exp(v))) * b
    )
