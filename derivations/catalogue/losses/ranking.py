"""Losses of ranked lists, and of how classes lie in a space of features."""

from fractions import Fraction

from ...definition import Parameter, define
from ...proofs.facts import PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import Homogeneous
from ...signature import Count, Labels, Matrix, Vector


@define(
    family="losses",
    source="Pobrotyn, Bialobrzeski 2021, NeuralNDCG, arXiv 2102.07831",
    arguments={"scores": Vector("n"), "relevance": Vector("n", lower=0.0, upper=8.0)},
    parameters={
        "temperature": Parameter(1.0, 2.0**-6, 2.0**10, values=(0.25,)),
        "iterations": Count(3, 0, 64, values=(0,)),
    },
    facts=(Range(lower=0), ShiftInvariant("scores"), PermutationInvariant("n")),
    papers=(219,),
)
def neural_ndcg(scores, relevance, xp, temperature=1.0, iterations=3):
    """Discounted gain 2^g - 1 of softly sorted items, over that of the best order.

    Place i holds the items with weights softmax(((n + 1 - 2 i) s - A 1) / T), A_jk = |s_j - s_k|,
    which ``iterations`` steps of Sinkhorn's method (columns, then rows) make doubly stochastic.
    Where no item is relevant it has no value.

    >>> from softproof.derivations import value
    >>> value("neural_ndcg", scores=[1.0], relevance=[2.0])
    1.0
    """
    n = len(scores)
    spread = xp.sum(xp.abs(scores[:, None] - scores[None, :]), axis=1)
    places = n + 1 - 2 * xp.counts(n)
    weights = xp.softmax(
        (places[:, None] * scores[None, :] - spread[None, :]) / xp.number(temperature)
    )
    for _ in range(iterations):
        weights = weights / xp.sum(weights, axis=0)[None, :]
        weights = weights / xp.sum(weights, axis=1)[:, None]
    discount = xp.log(xp.number(2)) / xp.log(1 + xp.counts(n))
    gain = xp.pow(xp.broadcast(xp.number(2), relevance.shape), relevance) - 1
    return xp.sum(xp.dot(weights, gain) * discount) / xp.sum(xp.descending(gain) * discount)


@define(
    family="losses",
    source="Inducing Neural Collapse in Deep Long-tailed Learning (the authors' code), term 1",
    arguments={
        "features": Matrix("n", "d"),
        "labels": Labels("n", "C"),
        "centres": Matrix("C", "d", shared=True),
    },
    facts=(Range(lower=0), PermutationInvariant("n"), PermutationInvariant("d")),
    papers=(251,),
)
def within_class_scatter(features, labels, centres, xp):
    """Mean over all classes of the mean squared distance of a class's features to its centre.

    A class without samples counts 0.

    >>> from softproof.derivations import value
    >>> centres = [[3.0], [0.0]]
    >>> value("within_class_scatter", features=[[2.0], [4.0]], labels=[0, 0], centres=centres)
    0.5
    """
    off = features - centres[labels]
    squares = xp.sum(off * off, axis=1)
    share = xp.vector([1 for _ in labels])
    counts = [sum(int(other == label) for other in labels) for label in labels]
    share = share / xp.vector(counts)
    return xp.sum(squares * share) / xp.number(len(centres))


@define(
    family="losses",
    source="Inducing Neural Collapse in Deep Long-tailed Learning (the authors' code), term 2",
    arguments={"centres": Matrix("C", "d")},
    least_sizes=lambda: {"C": 3, "d": 2},
    facts=(
        Range(lower=-4, upper=0),
        ShiftInvariant("centres"),
        Homogeneous("centres", 0),
        PermutationInvariant("C"),
    ),
    papers=(251,),
)
def centre_separation_loss(centres, xp):
    """Minus the mean, over classes, of the least angle between centres seen from their mean.

    Cosines are cut to [-0.99999, 0.99999].  Where a centre is the mean it has no value.

    >>> from softproof.derivations import value
    >>> value("centre_separation_loss", centres=[[2.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]) > -1.1
    True
    """
    off = centres - xp.mean(centres, axis=0)[None, :]
    unit = off / xp.sqrt(xp.sum(off * off, axis=1))[:, None]
    cosines = xp.dot(unit, unit.T)
    most = xp.number(Fraction(99999, 100000))
    nearest = [
        xp.max(xp.concatenate([cosines[c, :c], cosines[c, c + 1 :]])) for c in range(len(centres))
    ]
    return -xp.mean(xp.acos(xp.minimum(xp.maximum(xp.vector(nearest), -most), most)))
