"""Softmax of logits with noise, whose draws are an argument."""

from ..definition import Parameter, define
from ..proofs.facts import PermutationEquivariant, Range, ShiftInvariant, SumsTo
from ..signature import Vector


@define(
    family="softmax",
    source="Jang, Gu, Poole 2016, arXiv 1611.01144, eq. (2); Maddison, Mnih, Teh, arXiv 1611.00712",
    arguments={"logits": Vector("K"), "noise": Vector("K")},
    output=("K",),
    parameters={"temperature": Parameter(1.0, 2.0**-8, 2.0**6, values=(0.5, 4.0))},
    facts=(
        SumsTo(1),
        ShiftInvariant("logits"),
        ShiftInvariant("noise"),
        PermutationEquivariant("K"),
        Range(lower=0, upper=1),
    ),
)
def gumbel_softmax(logits, noise, xp, temperature=1.0):
    """Gumbel-softmax, softmax((logits + noise) / T), of noise that was drawn before."""
    return xp.softmax((logits + noise) / xp.number(temperature))


@gumbel_softmax.form("each divided")
def _(logits, noise, xp, temperature=1.0):
    t = xp.number(temperature)
    return xp.softmax(logits / t + noise / t)
