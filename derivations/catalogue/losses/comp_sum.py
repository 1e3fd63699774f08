"""Comp-sum losses: the composition of a scalar function with a sum over the other classes.

    l_tau = Phi_tau(v),   v = sum_(k != y) e^(z_k - z_y),
    Phi_tau(v) = ((1 + v)^(1 - tau) - 1) / (1 - tau),   Phi_1(v) = log(1 + v), the limit.

As 1 + v = 1 / p_y with p = softmax(z), l_tau is a function of the cross-entropy L = -log p_y alone,
(e^((1 - tau) L) - 1) / (1 - tau): so the formulas are written.
"""

from ...definition import Parameter, define
from ...proofs.facts import Convex, GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ...signature import Label, Vector
from ..distributions.softmax import softmax
from .classification import cross_entropy

MAO_MOHRI_ZHONG = "Mao, Mohri, Zhong 2023, arXiv 2304.07288, section 2"
TAU = Parameter(default=0.5, lower=0.0, upper=float("inf"))
Q = Parameter(default=0.7, lower=0.0, upper=1.0)

LOGITS_AND_LABEL = {"logits": Vector("K"), "label": Label("K")}
INVARIANCES = (ShiftInvariant(), PermutationInvariant(), GradientSumsTo(0))


def _along_probabilities(factor, logits, label, xp):
    """factor (p - onehot(label)): every gradient of a function of p_label alone is of this form."""
    gradient = factor * softmax(logits, xp)
    gradient[label] -= factor
    return gradient


def _expm1_over(exponent, loss, xp):
    """(e^(exponent loss) - 1) / exponent."""
    s = xp.number(exponent)
    return (xp.exp(s * loss) - 1) / s


@define(
    family="losses",
    source=MAO_MOHRI_ZHONG,
    arguments=LOGITS_AND_LABEL,
    facts=INVARIANCES,
    parameters={"tau": TAU},
    partition_function=True,
    papers=(18,),
)
def comp_sum(logits, label, xp, tau=TAU.default):
    """Comp-sum loss (p_label^(tau - 1) - 1) / (1 - tau) of softmax p, -log p_label for tau = 1."""
    loss = cross_entropy(logits, label, xp)
    return loss if tau == 1 else _expm1_over(1 - xp.number(tau), loss, xp)


@comp_sum.derivative
def _(logits, label, xp, tau=TAU.default):
    factor = xp.exp((1 - xp.number(tau)) * cross_entropy(logits, label, xp))
    return _along_probabilities(factor, logits, label, xp)


@comp_sum.second_formula
@comp_sum.form("log1p")
def _(logits, label, xp, tau=TAU.default):
    loss = cross_entropy.forms["log1p"](logits, label, xp)
    if tau == 1:
        return loss
    s = 1 - xp.number(tau)
    return xp.expm1(s * loss) / s


OF_CROSS_ENTROPY = "its function of the cross-entropy"


@comp_sum.relation(OF_CROSS_ENTROPY, to="cross_entropy")
def _(loss, logits, label, xp, tau=TAU.default):
    s = 1 - xp.number(tau)
    return xp.expm1(s * loss) / s


@define(
    family="losses",
    source=f"{MAO_MOHRI_ZHONG} (tau = 0)",
    arguments=LOGITS_AND_LABEL,
    facts=(*INVARIANCES, Convex(), Range(lower=0)),
)
def sum_exponential(logits, label, xp):
    """Sum-exponential loss, the sum of e^(z_k - z_label) over k != label (tau = 0)."""
    return xp.exp(cross_entropy(logits, label, xp)) - 1


@sum_exponential.derivative
def _(logits, label, xp):
    return _along_probabilities(xp.exp(cross_entropy(logits, label, xp)), logits, label, xp)


@sum_exponential.second_formula
@sum_exponential.form("log1p")
def _(logits, label, xp):
    return comp_sum.forms["log1p"](logits, label, xp, 0)


@sum_exponential.relation(OF_CROSS_ENTROPY, to="cross_entropy")
def _(loss, logits, label, xp):
    return xp.expm1(loss)


@define(
    family="losses",
    source=f"Zhang & Sabuncu 2018, arXiv 1805.07836; {MAO_MOHRI_ZHONG} (tau = 1 + q)",
    arguments=LOGITS_AND_LABEL,
    facts=INVARIANCES,
    parameters={"q": Q},
    partition_function=True,
)
def generalized_cross_entropy(logits, label, xp, q=Q.default):
    """Generalised cross-entropy (1 - p_label^q) / q (tau = 1 + q)."""
    loss = cross_entropy(logits, label, xp)
    return loss if q == 0 else _expm1_over(-xp.number(q), loss, xp)


@generalized_cross_entropy.derivative
def _(logits, label, xp, q=Q.default):
    factor = xp.exp(-xp.number(q) * cross_entropy(logits, label, xp))
    return _along_probabilities(factor, logits, label, xp)


@generalized_cross_entropy.form("log1p")
def _(logits, label, xp, q=Q.default):
    return comp_sum.forms["log1p"](logits, label, xp, 1 + q)


@generalized_cross_entropy.second_formula
def _(logits, label, xp, q=Q.default):
    """The log1p form without forming 1 + q, which rounds."""
    loss = cross_entropy.forms["log1p"](logits, label, xp)
    return loss if q == 0 else xp.expm1(-xp.number(q) * loss) / -xp.number(q)


@generalized_cross_entropy.relation(OF_CROSS_ENTROPY, to="cross_entropy")
def _(loss, logits, label, xp, q=Q.default):
    s = 1 - xp.number(1 + q)
    return xp.expm1(s * loss) / s


@define(
    family="losses",
    source=f"Ghosh, Kumar, Sastry 2017, arXiv 1712.09482; {MAO_MOHRI_ZHONG} (tau = 2)",
    arguments=LOGITS_AND_LABEL,
    facts=(*INVARIANCES, Range(lower=0, upper=1)),
    partition_function=True,
)
def mean_absolute_error(logits, label, xp):
    """Mean absolute error 1 - p_label of probabilities (tau = 2)."""
    return 1 - softmax(logits, xp)[label]


@mean_absolute_error.derivative
def _(logits, label, xp):
    return _along_probabilities(softmax(logits, xp)[label], logits, label, xp)


@mean_absolute_error.second_formula
@mean_absolute_error.form("others")
def _(logits, label, xp):
    e = xp.exp(logits - xp.max(logits))
    others = [e[k] for k in range(len(logits)) if k != label]
    return xp.sum([xp.number(0), *others]) / xp.sum(e)


@mean_absolute_error.relation("1 - softmax_y", to="softmax")
def _(p, logits, label, xp):
    return 1 - p[label]
