"""Contrastive losses: a query is to be told apart from others by its similarity to keys."""

from ..definition import Parameter, define
from ..proofs.facts import PermutationInvariant, Range, ShiftInvariant
from ..signature import Label, Matrix, Vector


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
