"""Losses whose logits are products: of a hidden state with weights, of a query with keys."""

from ...definition import Parameter, define
from ...proofs.facts import GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import At, Limit, ReducesTo
from ...signature import Label, Matrix, Vector
from ..attention.softmax_attention import SOFTCAP, capped


@define(
    family="losses",
    source=(
        "Wijmans et al. 2024, Cut Your Losses in Large-Vocabulary Language Models, arXiv "
        "2411.09009, eq. (4); softcap: Gemma Team 2024, arXiv 2408.00118, section 2"
    ),
    arguments={
        "hidden": Vector("d"),
        "weight": Matrix("K", "d", shared=True),
        "label": Label("K"),
    },
    parameters={"softcap": SOFTCAP},
    facts=(
        Range(lower=0),
        PermutationInvariant("K"),
        At(
            ReducesTo(
                "cross_entropy",
                lambda xp, hidden, weight, label: {
                    "logits": xp.dot(weight, hidden),
                    "label": label,
                },
                "weight hidden, label",
            ),
            softcap=0,
        ),
        Limit("softcap", reached_at=0),
    ),
    papers=(49,),
)
def linear_cross_entropy(hidden, weight, label, xp, softcap=0.0):
    """Cross-entropy log sum_k e^z_k - z_label of the logits z = weight hidden.

    The logits are capped, where softcap is not 0, as softcap tanh(z / softcap).
    """
    d = xp.shifted(capped(xp.dot(weight, hidden), softcap, xp))
    return xp.log(xp.sum(xp.exp(d))) - d[label]


@linear_cross_entropy.form("log-sum-exp")
def _(hidden, weight, label, xp, softcap=0.0):
    return _by_log_sum_exp(capped(xp.dot(weight, hidden), softcap, xp), label, xp)


def _by_log_sum_exp(z, label, xp):
    """With the logarithm of the whole sum, which is stored for the gradient."""
    m = xp.max(z)
    return m + xp.log(xp.sum(xp.exp(z - m))) - z[label]


@define(
    family="losses",
    source=(
        "Wijmans et al. 2024, arXiv 2411.09009, eq. (4), of an output layer with a bias: "
        "Goodfellow, Bengio, Courville 2016, Deep Learning, eq. (6.28); softcap: Gemma Team 2024, "
        "arXiv 2408.00118, section 2"
    ),
    arguments={
        "hidden": Vector("d"),
        "weight": Matrix("K", "d", shared=True),
        "bias": Vector("K", shared=True),
        "label": Label("K"),
    },
    parameters={"softcap": SOFTCAP},
    facts=(
        Range(lower=0),
        PermutationInvariant("K"),
        At(ShiftInvariant("bias"), softcap=0),
        At(GradientSumsTo(0, "bias"), softcap=0),
        At(
            ReducesTo(
                "linear_cross_entropy",
                lambda xp, hidden, weight, bias, label: {
                    "hidden": hidden,
                    "weight": weight,
                    "label": label,
                },
                "hidden, weight, label",
            ),
            bias=0,
        ),
    ),
)
def linear_cross_entropy_with_bias(hidden, weight, bias, label, xp, softcap=0.0):
    """Cross-entropy log sum_k e^z_k - z_label of the logits z = weight hidden + bias.

    The logits, the bias among them, are capped, where softcap is not 0, as softcap tanh(z /
    softcap).
    """
    d = xp.shifted(capped(xp.dot(weight, hidden) + bias, softcap, xp))
    return xp.log(xp.sum(xp.exp(d))) - d[label]


@linear_cross_entropy_with_bias.form("log-sum-exp")
def _(hidden, weight, bias, label, xp, softcap=0.0):
    return _by_log_sum_exp(capped(xp.dot(weight, hidden) + bias, softcap, xp), label, xp)


@linear_cross_entropy_with_bias.form("bias first")
def _(hidden, weight, bias, label, xp, softcap=0.0):
    """The bias is what sums begin with: a product more, with 1."""
    columns = xp.concatenate([xp.expand_dims(bias, 0), weight.T])
    z = xp.dot(columns.T, xp.concatenate([xp.stack([xp.number(1)]), hidden]))
    d = xp.shifted(capped(z, softcap, xp))
    return xp.log(xp.sum(xp.exp(d))) - d[label]


@define(
    family="losses",
    source=(
        "van den Oord, Li, Vinyals 2018, arXiv 1807.03748, eq. (4); with a temperature: He et al. "
        "2020, arXiv 1911.05722, eq. (1)"
    ),
    arguments={"query": Vector("d"), "keys": Matrix("n", "d"), "label": Label("n")},
    parameters={"temperature": Parameter(1.0, 2.0**-8, 2.0**6, values=(0.0703125, 4.0))},
    facts=(
        ShiftInvariant("keys", along="n"),
        PermutationInvariant("n"),
        Range(lower=0),
    ),
)
def info_nce(query, keys, label, xp, temperature=1.0):
    """InfoNCE, the cross-entropy log sum_j e^s_j - s_label of similarities s = keys query / T."""
    d = xp.shifted(xp.dot(keys, query) / xp.number(temperature))
    return xp.log(xp.sum(xp.exp(d))) - d[label]


@info_nce.form("scaled query")
def _(query, keys, label, xp, temperature=1.0):
    d = xp.shifted(xp.dot(keys, query / xp.number(temperature)))
    return xp.log(xp.sum(xp.exp(d))) - d[label]
