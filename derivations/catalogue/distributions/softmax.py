"""Softmax, its logarithm, log-sum-exp, and softmax of logits with noise, which is an argument."""

import numpy as np

from ...definition import CollapsePart, Parameter, Place, define
from ...proofs.facts import (
    Convex,
    GradientSumsTo,
    OrderPreserving,
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    ShiftEquivariant,
    ShiftInvariant,
    SumsTo,
)
from ...signature import Vector

BLANCHARD_HIGHAM_HIGHAM = (
    "Blanchard, Higham, Higham 2021, Accurately computing the log-sum-exp and softmax functions, "
    "IMA J. Numer. Anal. 41(4), eq. (1.1)-(1.3)"
)


@define(
    family="softmax",
    source=BLANCHARD_HIGHAM_HIGHAM,
    arguments={"logits": Vector("K")},
    output=("K",),
    facts=(
        SumsTo(1),
        ShiftInvariant(),
        PermutationEquivariant(),
        OrderPreserving(),
        Range(lower=0, upper=1),
    ),
    partition_function=True,
)
def softmax(logits, xp):
    """Probabilities e^z_i / sum_k e^z_k."""
    e = xp.exp(logits)
    return e / xp.sum(e)


@softmax.derivative
def _(logits, xp):
    p = softmax(logits, xp)
    return np.diag(p) - np.outer(p, p)


@softmax.form("shifted")
def _(logits, xp):
    e = xp.exp(logits - xp.max(logits))
    return e / xp.sum(e)


@softmax.form("division-free")
def _(logits, xp):
    return xp.exp(logits - logsumexp.forms["shifted"](logits, xp))


@softmax.second_formula
def _(logits, xp):
    """e^(d_i - log1p(sum of the others' e^d)): no quotient, and a shift of its own."""
    d, tail = log1p_of_other_classes(logits, xp)
    return xp.exp(d - tail)


@softmax.relation("exp(log_softmax)", to="log_softmax")
def _(log_p, logits, xp):
    return xp.exp(log_p)


@define(
    family="softmax",
    source=BLANCHARD_HIGHAM_HIGHAM,
    arguments={"logits": Vector("K")},
    facts=(
        ShiftEquivariant(),
        PermutationInvariant(),
        GradientSumsTo(1),
        Convex(),
    ),
    partition_function=True,
)
def logsumexp(logits, xp):
    """Log-sum-exp, log sum_k e^z_k: the logarithm of the partition function."""
    return xp.log(xp.sum(xp.exp(logits)))


@logsumexp.derivative
def _(logits, xp):
    return softmax(logits, xp)


@logsumexp.form("shifted")
def _(logits, xp):
    m = xp.max(logits)
    return m + xp.log(xp.sum(xp.exp(logits - m)))


def log1p_of_other_classes(logits, xp):
    """Distances z - m to the first maximum m, and log1p of the sum of e^(z - m) over the others.

    log(1 + T) rounds 1 + T and loses a small T; log1p(T) keeps it.  (For numbers, not symbols.)
    """
    lead = max(range(len(logits)), key=lambda k: logits[k])
    d = logits - logits[lead]
    return d, xp.log1p(xp.sum(xp.exp(d)[np.arange(len(logits)) != lead]))


@logsumexp.second_formula
@logsumexp.form("log1p")
def _(logits, xp):
    _, tail = log1p_of_other_classes(logits, xp)
    return xp.max(logits) + tail


@logsumexp.gradient_form("exp of log-softmax")
def exp_of_log_softmax(logits, xp):
    """Softmax as e^(log-softmax): what is at hand where log-softmax is stored."""
    return xp.exp(log_softmax.forms["shifted"](logits, xp))


@logsumexp.relation("x_k - log_softmax_k", to="log_softmax")
def _(log_p, logits, xp):
    return logits[0] - log_p[0]


@logsumexp.relation("softmax, its gradient", to="softmax", of_gradient=True)
def _(p, logits, xp):
    return p


@logsumexp.label_loss
def _(log_sum, logits, label, xp):
    return log_sum - logits[label]


@define(
    family="softmax",
    source=BLANCHARD_HIGHAM_HIGHAM,
    arguments={"logits": Vector("K")},
    output=("K",),
    facts=(
        ShiftInvariant(),
        PermutationEquivariant(),
        OrderPreserving(),
        Range(upper=0),
    ),
    partition_function=True,
    collapse_parts=(CollapsePart("log p of the leader", Place.LEADER),),
)
def log_softmax(logits, xp):
    """Log-probabilities z_i - log sum_k e^z_k."""
    return logits - logsumexp(logits, xp)


@log_softmax.derivative
def _(logits, xp):
    p = softmax(logits, xp)
    one = xp.number(1)
    return np.diag(0 * p + one) - (0 * p + one)[:, None] * p[None, :]


@log_softmax.form("shifted")
def _(logits, xp):
    d = logits - xp.max(logits)
    return d - xp.log(xp.sum(xp.exp(d)))


@log_softmax.form("log of softmax")
def _(logits, xp):
    return xp.log(softmax.forms["shifted"](logits, xp))


@log_softmax.second_formula
@log_softmax.form("log1p")
def _(logits, xp):
    d, tail = log1p_of_other_classes(logits, xp)
    return d - tail


@log_softmax.relation("x - logsumexp", to="logsumexp")
def _(log_sum, logits, xp):
    return logits - log_sum


@log_softmax.label_loss
def _(log_p, logits, label, xp):
    return 0 - log_p[label]


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
    papers=(48,),
)
def gumbel_softmax(logits, noise, xp, temperature=1.0):
    """Gumbel-softmax, softmax((logits + noise) / T), of noise that was drawn before."""
    return xp.softmax((logits + noise) / xp.number(temperature))


@gumbel_softmax.form("each divided")
def _(logits, noise, xp, temperature=1.0):
    t = xp.number(temperature)
    return xp.softmax(logits / t + noise / t)
