"""Losses of a hidden state: the logits are its products with the rows of a weight matrix."""

from ..definition import define
from ..proofs.facts import PermutationInvariant, Range
from ..proofs.facts_of_arguments import At, Limit, ReducesTo
from ..signature import Label, Matrix, Vector
from .attention import SOFTCAP, capped


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
)
def linear_cross_entropy(hidden, weight, label, xp, softcap=0.0):
    """Cross-entropy log sum_k e^z_k - z_label of the logits z = weight hidden.

    The logits are capped, where softcap is not 0, as softcap tanh(z / softcap).
    """
    d = xp.shifted(capped(xp.dot(weight, hidden), softcap, xp))
    return xp.log(xp.sum(xp.exp(d))) - d[label]


@linear_cross_entropy.form("log-sum-exp")
def _(hidden, weight, label, xp, softcap=0.0):
    """With the logarithm of the whole sum, which is stored for the gradient."""
    z = capped(xp.dot(weight, hidden), softcap, xp)
    m = xp.max(z)
    return m + xp.log(xp.sum(xp.exp(z - m))) - z[label]
