"""Attention: means of values, weighted by the softmax of scores."""

from ...definition import Parameter, define
from ...proofs.facts import PermutationInvariant, ShiftInvariant
from ...proofs.facts_of_arguments import At, Between, Homogeneous, Limit
from ...signature import Mask, Matrix, Real, Vector

ARGUMENTS = {"q": Vector("d"), "k": Matrix("n", "d"), "v": Matrix("n", "e"), "mask": Mask("n")}
SCALE = Parameter(None, 2.0**-16, 2.0**16, values=(1.0,), depends="1 / sqrt(d)")
SOFTCAP = Parameter(0.0, 0.0, 1e4, values=(2.0, 30.0))


def capped(scores, softcap, xp):
    """softcap tanh(score / softcap), of modulus below softcap; the scores themselves for 0."""
    if not softcap:
        return scores
    cap = xp.number(softcap)
    return cap * xp.tanh(scores / cap)


def _scale(q, scale, xp):
    """The factor of the scores: 1 / sqrt(d) where none is given."""
    return 1 / xp.sqrt(xp.number(q.shape[0])) if scale is None else xp.number(scale)


def _scores(q, k, mask, scale, softcap, xp):
    """The scores of the keys that the mask keeps: products, scaled and capped."""
    return capped(xp.dot(k, q) * _scale(q, scale, xp), softcap, xp)[mask]


def _scores_of_scaled_query(q, k, mask, scale, softcap, xp):
    return capped(xp.dot(k, q * _scale(q, scale, xp)), softcap, xp)[mask]


def _scores_of_both_scaled(q, k, mask, scale, softcap, xp):
    root = xp.sqrt(_scale(q, scale, xp))
    return capped(xp.dot(k * root, q * root), softcap, xp)[mask]


@define(
    family="attention",
    source=(
        "Vaswani et al. 2017, arXiv 1706.03762, eq. (1), of one query; softcap: Gemma Team 2024, "
        "arXiv 2408.00118, section 2"
    ),
    arguments=ARGUMENTS,
    output=("e",),
    parameters={"scale": SCALE, "softcap": SOFTCAP},
    facts=(
        At(ShiftInvariant("k", along="n"), softcap=0),
        PermutationInvariant("n"),
        Homogeneous("v", 1),
        Between("v", "n", mask="mask"),
        Limit("softcap", reached_at=0),
    ),
)
def attention(q, k, v, mask, xp, scale=None, softcap=0.0):
    """Attention of one query, sum_j softmax(scale k q)_j v_j over the keys that the mask keeps.

    Scores are capped, where softcap is not 0, as softcap tanh(score / softcap).  A mask that keeps
    nothing leaves no softmax: ValueError.
    """
    return xp.weighted_mean(_scores(q, k, mask, scale, softcap, xp), v[mask])


@attention.form("scaled query")
def _(q, k, v, mask, xp, scale=None, softcap=0.0):
    return xp.weighted_mean(_scores_of_scaled_query(q, k, mask, scale, softcap, xp), v[mask])


@attention.form("root of the scale on both sides")
def _(q, k, v, mask, xp, scale=None, softcap=0.0):
    return xp.weighted_mean(_scores_of_both_scaled(q, k, mask, scale, softcap, xp), v[mask])


@attention.further_output("lse")
def _(q, k, v, mask, xp, scale=None, softcap=0.0):
    """The log-sum-exp of the scores that the mask keeps, by which parts of the keys are merged."""
    return xp.logsumexp(_scores(q, k, mask, scale, softcap, xp))


@attention.further_output("lse", form="scaled query")
def _(q, k, v, mask, xp, scale=None, softcap=0.0):
    return xp.logsumexp(_scores_of_scaled_query(q, k, mask, scale, softcap, xp))


@attention.further_output("lse", form="root of the scale on both sides")
def _(q, k, v, mask, xp, scale=None, softcap=0.0):
    return xp.logsumexp(_scores_of_both_scaled(q, k, mask, scale, softcap, xp))


@define(
    family="attention",
    source=(
        "OpenAI 2025, gpt-oss Model Card, arXiv 2508.10925, section 2 (a learned bias in the "
        "denominator of the softmax); Xiao et al. 2023, arXiv 2309.17453, section 3"
    ),
    arguments={**ARGUMENTS, "sink": Real()},
    output=("e",),
    parameters={"scale": SCALE, "softcap": SOFTCAP},
    facts=(PermutationInvariant("n"), Homogeneous("v", 1)),
)
def sink_attention(q, k, v, mask, sink, xp, scale=None, softcap=0.0):
    """Attention of one query with a sink, sum_j e^s_j v_j / (e^sink + sum_j e^s_j), s = scale k q.

    The sink takes weight from the keys, and its value is 0; scores are capped as in attention, the
    sink is not.  With a mask that keeps nothing all weight is the sink's, and the result is 0.
    """
    return _mean_with_sink(_scores(q, k, mask, scale, softcap, xp), v[mask], sink, xp)


def _with_sink(scores, sink, xp):
    return xp.concatenate([scores, xp.stack([sink])])


def _mean_with_sink(scores, v, sink, xp):
    nothing = xp.zeros((1, v.shape[1]))
    return xp.weighted_mean(_with_sink(scores, sink, xp), xp.concatenate([v, nothing]))


@sink_attention.form("scaled query")
def _(q, k, v, mask, sink, xp, scale=None, softcap=0.0):
    scores = _scores_of_scaled_query(q, k, mask, scale, softcap, xp)
    return _mean_with_sink(scores, v[mask], sink, xp)


@sink_attention.further_output("lse")
def _(q, k, v, mask, sink, xp, scale=None, softcap=0.0):
    """The log-sum-exp of the scores that the mask keeps and of the sink."""
    return xp.logsumexp(_with_sink(_scores(q, k, mask, scale, softcap, xp), sink, xp))


@sink_attention.further_output("lse", form="scaled query")
def _(q, k, v, mask, sink, xp, scale=None, softcap=0.0):
    scores = _scores_of_scaled_query(q, k, mask, scale, softcap, xp)
    return xp.logsumexp(_with_sink(scores, sink, xp))
