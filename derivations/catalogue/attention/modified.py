"""Softmax attention with something added: a scale, a gate, a preconditioner."""

from typing import Any

from ...definition import Parameter, define
from ...proofs.facts import PermutationEquivariant, PermutationInvariant, ShiftEquivariant
from ...proofs.facts_of_arguments import Between, Homogeneous
from ...signature import Integer, Matrix, Real, Vector

QKV = {"q": Vector("d"), "k": Matrix("n", "d"), "v": Matrix("n", "e")}


def _scores(q, k, xp):
    return xp.dot(k, q) / xp.sqrt(xp.number(len(q)))


@define(
    family="attention",
    source="Henry et al. 2020, Query-Key Normalization for Transformers, arXiv 2010.04245",
    arguments=QKV,
    output=("e",),
    parameters={"gain": Parameter(8.0, 0.0, 2.0**7, values=(1.0, 64.0))},
    facts=(
        Homogeneous("q", 0),
        Homogeneous("k", 0),
        Between("v", "n"),
        PermutationInvariant("n"),
    ),
    papers=(144,),
)
def query_key_norm_attention(q, k, v, xp, gain=8.0):
    """Softmax attention with the scores g cos(q, k_j), g the gain.

    >>> from softproof.derivations import value
    >>> value("query_key_norm_attention", q=[1.0], k=[[1.0], [2.0]], v=[[1.0], [3.0]])
    [2.0]
    """
    unit = q / xp.sqrt(xp.sum(q * q))
    rows = k / xp.sqrt(xp.sum(k * k, axis=1))[:, None]
    return xp.weighted_mean(xp.number(gain) * xp.dot(rows, unit), v)


@define(
    family="attention",
    source="Affine-Scaled Attention: Towards Flexible and Stable Transformer Attention",
    arguments={**QKV, "gate": Real(), "average": Real()},
    output=("e",),
    facts=(Homogeneous("v", 1), PermutationInvariant("n"), PermutationEquivariant("e")),
    papers=(7,),
)
def affine_scaled_attention(q, k, v, gate, average, xp):
    """sum_j (alpha p_j + (average - alpha) / n) v_j, p the softmax of the scores.

    alpha is the gate / 10 + 1/2, cut to [0, 1]; the average is its running mean, which the weights
    sum to.

    >>> from softproof.derivations import value
    >>> value("affine_scaled_attention", q=[0.0], k=[[1.0], [2.0]], v=[[1.0], [3.0]], gate=0.0,
    ...       average=1.0)
    [2.0]
    """
    clipped = xp.minimum(xp.number(1), xp.positive_part(gate / 10 + xp.number(1) / 2))
    p = xp.softmax(_scores(q, k, xp))
    return xp.dot(clipped * p + (average - clipped) / len(k), v)


@define(
    family="attention",
    source="Selective Attention: Enhancing Transformer through Principled Context Control",
    arguments={
        **QKV,
        "token": Real(),
        "value_tokens": Vector("n"),
        "position": Integer(1, 1000),
    },
    output=("e",),
    parameters={"slope": Parameter(0.5, 0.0, 1.0, values=(0.0,))},
    facts=(Homogeneous("v", 1), PermutationInvariant("n"), PermutationEquivariant("e")),
    papers=(66,),
    reconstructed=(
        "the function of the tokens, tanh of a learned feature, is known from reimplementations; "
        "one of these has log(n + 1) for log n"
    ),
)
def selective_attention(q, k, v, token, value_tokens, position, xp, slope=0.5):
    """Softmax attention with scores times a temperature, and values times others.

    A temperature is tanh(feature) + 1 + s log n, n the position and s the slope; the features are
    ``token`` of the query and ``value_tokens`` of the values.

    >>> from softproof.derivations import value
    >>> value("selective_attention", q=[0.0], k=[[1.0], [2.0]], v=[[1.0], [3.0]], token=0.0,
    ...       value_tokens=[0.0, 0.0], position=1)
    [2.0]
    """
    level = 1 + xp.number(slope) * xp.log(xp.number(position))
    p = xp.softmax((xp.tanh(token) + level) * _scores(q, k, xp))
    return xp.dot(p * (xp.tanh(value_tokens) + level), v)


@define(
    family="attention",
    source="LUCID: Attention with Preconditioned Representations",
    arguments={"q": Matrix("n", "d"), "k": Matrix("n", "d"), "v": Matrix("n", "e")},
    output=("n", "e"),
    facts=(Homogeneous("v", 1), PermutationEquivariant("e")),
    papers=(31,),
)
def lucid_attention(q, k, v, xp):
    """Causal softmax attention to P^-1 V, P_ij = e^(sqrt d (cos(k_i, k_j) - 1)) for j <= i.

    >>> from softproof.derivations import value
    >>> value("lucid_attention", q=[[0.0], [0.0]], k=[[1.0], [1.0]], v=[[2.0], [6.0]])
    [[2.0], [3.0]]
    """
    n, d = k.shape
    root = xp.sqrt(xp.number(d))
    unit = k / xp.sqrt(xp.sum(k * k, axis=1))[:, None]
    kernel = xp.exp(root * (xp.dot(unit, unit.T) - 1))
    rows: list[Any] = []
    for i in range(n):  # forward substitution: the diagonal of P is 1
        rows.append(v[i] - xp.dot(kernel[i, :i], xp.stack(rows)) if i else v[i])
    values, scores = xp.stack(rows), xp.dot(q, k.T) / root
    attended = [xp.weighted_mean(scores[i, : i + 1], values[: i + 1]) for i in range(n)]
    return xp.stack(attended)


@define(
    family="attention",
    source="Yue et al. 2025, OLinear, arXiv 2505.08550 (NormLin)",
    arguments={"weight": Matrix("m", "n", shared=True), "x": Vector("n")},
    output=("m",),
    facts=(ShiftEquivariant("x"), Homogeneous("x", 1), PermutationInvariant("n")),
    papers=(212,),
)
def normalized_linear_mixing(weight, x, xp):
    """Means of x with the weights softplus(W), each row over its sum.

    >>> from softproof.derivations import value
    >>> value("normalized_linear_mixing", weight=[[0.0, 0.0]], x=[1.0, 3.0])
    [2.0]
    """
    mix = xp.softplus(weight)
    return xp.dot(mix, x) / xp.sum(mix, axis=1)
