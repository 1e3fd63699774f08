"""StableMax and its cross-entropy: softmax with a slower, rational exponential."""

from ...definition import define
from ...proofs.facts import (
    OrderPreserving,
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    SumsTo,
)
from ...signature import Label, Vector

PRIETO = (
    "Prieto et al. 2025, Grokking at the Edge of Numerical Stability, arXiv 2501.04697, eq. (5)"
)


def s(z, xp):
    """The stand-in for the exponential: x + 1 for x >= 0, 1 / (1 - x) for x < 0."""
    return xp.by_sign(z, lambda x: x + 1, lambda x: 1 / (1 - x))


def s_prime(z, xp):
    """Its derivative: 1 for x >= 0, 1 / (1 - x)^2 for x < 0 (continuous, with a kink at 0)."""
    return xp.by_sign(z, lambda x: xp.number(1) + 0 * x, lambda x: 1 / (1 - x) ** 2)


@define(
    family="softmax alternatives",
    source=PRIETO,
    arguments={"logits": Vector("K")},
    output=("K",),
    facts=(SumsTo(1), PermutationEquivariant(), OrderPreserving(), Range(lower=0, upper=1)),
    breakpoint_at_zero=True,
    papers=(124,),
)
def stablemax(logits, xp):
    """Probabilities s(z_i) / sum_k s(z_k), s(x) = x + 1 for x >= 0 and 1 / (1 - x) for x < 0."""
    e = s(logits, xp)
    return e / xp.sum(e)


@stablemax.derivative
def _(logits, xp):
    total = xp.sum(s(logits, xp))
    p, slope = stablemax(logits, xp), s_prime(logits, xp) / total
    jacobian = -p[:, None] * slope[None, :]
    for i in range(len(logits)):
        jacobian[i, i] += slope[i]
    return jacobian


@define(
    family="losses",
    source=PRIETO,
    arguments={"logits": Vector("K"), "label": Label("K")},
    facts=(PermutationInvariant(), Range(lower=0)),
    breakpoint_at_zero=True,
    papers=(124,),
)
def stablemax_cross_entropy(logits, label, xp):
    """Cross-entropy of stablemax, -log stablemax(z)_label."""
    return -xp.log(stablemax(logits, xp)[label])


@stablemax_cross_entropy.derivative
def _(logits, label, xp):
    e, slope = s(logits, xp), s_prime(logits, xp)
    gradient = slope / xp.sum(e)
    gradient[label] -= slope[label] / e[label]
    return gradient


@stablemax_cross_entropy.second_formula
def _(logits, label, xp):
    """The quotient as a difference of logarithms."""
    e = s(logits, xp)
    return xp.log(xp.sum(e)) - xp.log(e[label])


@stablemax_cross_entropy.form("log1p")
def _(logits, label, xp):
    e = s(logits, xp)
    others = [e[k] for k in range(len(logits)) if k != label]
    return xp.log1p(xp.sum([xp.number(0), *others]) / e[label])
