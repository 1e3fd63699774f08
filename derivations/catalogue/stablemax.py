"""StableMax and its cross-entropy: softmax with a slower, rational exponential."""

from ..definition import Argument, Output, define
from ..proofs.facts import (
    OrderPreserving,
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    SumsTo,
)

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
    arguments=(Argument.LOGITS,),
    output=Output.VECTOR,
    facts=(SumsTo(1), PermutationEquivariant(), OrderPreserving(), Range(lower=0, upper=1)),
    breakpoint_at_zero=True,
)
def stablemax(z, xp):
    """Probabilities s(z_i) / sum_k s(z_k), s(x) = x + 1 for x >= 0 and 1 / (1 - x) for x < 0."""
    e = s(z, xp)
    return e / xp.sum(e)


@stablemax.derivative
def _(z, xp):
    total = xp.sum(s(z, xp))
    p, slope = stablemax(z, xp), s_prime(z, xp) / total
    jacobian = -p[:, None] * slope[None, :]
    for i in range(len(z)):
        jacobian[i, i] += slope[i]
    return jacobian


@define(
    family="losses",
    source=PRIETO,
    arguments=(Argument.LOGITS, Argument.LABEL),
    facts=(PermutationInvariant(), Range(lower=0)),
    breakpoint_at_zero=True,
)
def stablemax_cross_entropy(z, label, xp):
    """Cross-entropy of stablemax, -log stablemax(z)_label."""
    return -xp.log(stablemax(z, xp)[label])


@stablemax_cross_entropy.derivative
def _(z, label, xp):
    e, slope = s(z, xp), s_prime(z, xp)
    gradient = slope / xp.sum(e)
    gradient[label] -= slope[label] / e[label]
    return gradient


@stablemax_cross_entropy.second_formula
def _(z, label, xp):
    """The quotient as a difference of logarithms."""
    e = s(z, xp)
    return xp.log(xp.sum(e)) - xp.log(e[label])


@stablemax_cross_entropy.form("log1p")
def _(z, label, xp):
    e = s(z, xp)
    others = [e[k] for k in range(len(z)) if k != label]
    return xp.log1p(xp.sum([xp.number(0), *others]) / e[label])
