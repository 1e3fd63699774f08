"""Losses of an embedding beside the weights of classes."""

from fractions import Fraction

from ...definition import Parameter, define
from ...proofs.facts import Convex, PermutationInvariant, Range
from ...proofs.facts_of_arguments import GradientOrthogonalTo, Homogeneous
from ...signature import Label, Labels, Matrix, Real, Vector

SCALE = Parameter(64.0, 2.0**-6, 2.0**7, values=(16.0,))


def unit_rows(x, xp):
    """The rows of a matrix over their Euclidean lengths."""
    return x / xp.sqrt(xp.sum(x * x, axis=1))[:, None]


def unit(x, xp):
    """A vector over its Euclidean length."""
    return x / xp.sqrt(xp.sum(x * x))


@define(
    family="metric losses",
    source=(
        "Hyperspherical embedding for novel class classification, arXiv 2102.03243; Shen, Sun, Wei "
        "2023, Equiangular Basis Vectors, arXiv 2303.11637"
    ),
    arguments={
        "feature": Vector("d"),
        "prototypes": Matrix("K", "d", shared=True),
        "label": Label("K"),
    },
    parameters={"scale": Parameter(10.0, 2.0**-6, 2.0**7, values=(1.0, 64.0))},
    facts=(
        Range(lower=0),
        Homogeneous("feature", 0),
        Homogeneous("prototypes", 0),
        GradientOrthogonalTo("feature"),
        PermutationInvariant("d"),
    ),
    papers=(0, 92),
)
def cosine_cross_entropy(feature, prototypes, label, xp, scale=10.0):
    """Cross-entropy of the logits s cos(f, p_k), the cosines to a prototype of each class.

    The scale s is 1 / T in papers that divide by a temperature.

    >>> from softproof.derivations import value
    >>> same = [[1.0, 0.0], [3.0, 0.0]]
    >>> value("cosine_cross_entropy", feature=[2.0, 0.0], prototypes=same, label=0)
    0.6931471805599453
    """
    logits = xp.number(scale) * xp.dot(unit_rows(prototypes, xp), unit(feature, xp))
    e = xp.exp(logits)
    return -xp.log(e[label] / xp.sum(e))


@cosine_cross_entropy.form("log-sum-exp")
def _(feature, prototypes, label, xp, scale=10.0):
    logits = xp.number(scale) * xp.dot(unit_rows(prototypes, xp), unit(feature, xp))
    return xp.logsumexp(logits) - logits[label]


@define(
    family="metric losses",
    source="Boutros et al. 2022, ElasticFace, arXiv 2109.09416; without draw, ArcFace",
    arguments={"cosines": Vector("K", lower=-1.0, upper=1.0), "label": Label("K"), "draw": Real()},
    parameters={"scale": SCALE},
    facts=(Range(lower=0), PermutationInvariant("K")),
    papers=(1,),
)
def elastic_arcface_loss(cosines, label, draw, xp, scale=64.0):
    """Cross-entropy of scaled cosines, where the angle to the own class is larger by a draw.

    >>> from softproof.derivations import value
    >>> value("elastic_arcface_loss", cosines=[1.0, 1.0], label=0, draw=0.0)
    0.6931471805599453
    """
    s = xp.number(scale)
    moved = xp.put(cosines, label, xp.cos(xp.acos(cosines[label]) + draw))
    return xp.logsumexp(s * moved) - s * moved[label]


@define(
    family="metric losses",
    source=(
        "Boutros et al. 2022, ElasticFace, arXiv 2109.09416; Coarse-to-Fine: Learning "
        "Compact Discriminative Representation, with its margin as the draw"
    ),
    arguments={"cosines": Vector("K", lower=-1.0, upper=1.0), "label": Label("K"), "draw": Real()},
    parameters={"scale": SCALE},
    facts=(Range(lower=0), PermutationInvariant("K"), Convex("cosines")),
    papers=(1, 15),
)
def elastic_cosface_loss(cosines, label, draw, xp, scale=64.0):
    """Cross-entropy of scaled cosines, that to the own class less a draw.

    >>> from softproof.derivations import value
    >>> value("elastic_cosface_loss", cosines=[1.0, 0.5], label=0, draw=0.5)
    0.6931471805599453
    """
    s = xp.number(scale)
    moved = xp.put(cosines, label, cosines[label] - draw)
    return xp.logsumexp(s * moved) - s * moved[label]


@define(
    family="metric losses",
    source="Coarse-to-Fine: Learning Compact Discriminative Representation (the authors' code)",
    arguments={"median": Real(lower=-1.0, upper=0.9375), "others": Real(lower=2.0**-20)},
    output={"scale": (), "margin": ()},
    parameters={"share": Parameter(0.02, 2.0**-10, 0.5, values=(0.1,))},
    facts=(Range(lower=0),),
    papers=(15,),
)
def adaptive_scale_and_margin(median, others, xp, share=0.02):
    """The scale s and the margin of a batch, from the median m of the cosines to the own class.

    s = max(32, log(9999999 (1 - a) / a) / (1 - m)), the margin max(0, m - log(B a / (1 - a)) / s),
    B the sum of e^(s cos) over the other classes of the median sample, a its share.

    >>> from softproof.derivations import value
    >>> value("adaptive_scale_and_margin", median=-1.0, others=1.0, share=0.5)
    {'scale': 32.0, 'margin': 0.0}
    """
    a = xp.number(share)
    odds = 7 * xp.log(xp.number(10)) + xp.log1p(-xp.number(Fraction(1, 10**7)))
    wanted = (odds + xp.log((1 - a) / a)) / (1 - median)
    scale = xp.maximum(xp.number(32), wanted)
    return scale, xp.positive_part(median - xp.log(others * (a / (1 - a))) / scale)


@define(
    family="metric losses",
    source="Unified Negative Pair Generation toward Well-discriminative Feature Space",
    arguments={
        "positive": Real(lower=-1.0, upper=1.0),
        "classes": Vector("K", lower=-1.0, upper=1.0),
        "pairs": Vector("n", lower=-1.0, upper=1.0),
    },
    parameters={"scale": SCALE},
    facts=(
        Range(lower=0),
        Convex("classes"),
        PermutationInvariant("K"),
        PermutationInvariant("n"),
    ),
    papers=(26,),
)
def unified_negative_loss(positive, classes, pairs, xp, scale=64.0):
    """log(1 + sum e^(s (c - p))) over negatives c: the other classes and pairs of the batch.

    p is the cosine to the own class, less its margin; which pairs are kept is decided before.

    >>> from softproof.derivations import value
    >>> value("unified_negative_loss", positive=0.5, classes=[0.5], pairs=[0.5])
    1.0986122886681098
    """
    s = xp.number(scale)
    own, negative = xp.exp(s * positive), xp.sum(xp.exp(s * classes)) + xp.sum(xp.exp(s * pairs))
    return -xp.log(own / (own + negative))


@unified_negative_loss.form("log-sum-exp")
def _(positive, classes, pairs, xp, scale=64.0):
    z = xp.number(scale) * xp.concatenate([xp.stack([positive]), classes, pairs])
    return xp.logsumexp(z) - z[0]


@define(
    family="metric losses",
    source="Furusawa 2023, Mean Field Theory in Deep Metric Learning, arXiv 2306.15368 (MFCont)",
    arguments={"x": Vector("d"), "fields": Matrix("K", "d", shared=True), "label": Label("K")},
    parameters={
        "near": Parameter(0.125, 0.0, 2.0, values=(0.5,)),
        "far": Parameter(0.75, 0.0, 2.0, values=(1.0,)),
    },
    facts=(
        Range(lower=0),
        Homogeneous("x", 0),
        Homogeneous("fields", 0),
        PermutationInvariant("K"),
    ),
    papers=(261,),
)
def mean_field_contrastive_loss(x, fields, label, xp, near=0.125, far=0.75):
    """max(0, D_y - near) + sum of max(0, far - D_c) over other classes, D_c = 1 - cos(x, field c).

    One sample, without the regulariser between fields.

    >>> from softproof.derivations import value
    >>> value("mean_field_contrastive_loss", x=[1.0, 0.0], fields=[[0.0, 2.0], [3.0, 0.0]], label=0)
    1.625
    """
    distances = 1 - xp.dot(unit_rows(fields, xp), unit(x, xp))
    missed = xp.put(xp.positive_part(xp.number(far) - distances), label, xp.number(0))
    return xp.positive_part(distances[label] - xp.number(near)) + xp.sum(missed)


@define(
    family="metric losses",
    source="Rethinking Loss Design for Large-scale 3D Shape Retrieval",
    arguments={"feature": Vector("d"), "directions": Matrix("K", "d"), "label": Label("K")},
    facts=(
        Range(lower=0),
        Homogeneous("feature", 1),
        Homogeneous("directions", 1),
        PermutationInvariant("K"),
    ),
    papers=(149,),
    reconstructed=(
        "known is that features of a class lie in a linear subspace and inner products with other "
        "classes are to be at most 0; the form of the penalty is a guess"
    ),
)
def inner_product_loss(feature, directions, label, xp):
    """sum of max(0, <c_k, f>) over the directions c_k of the other classes.

    >>> from softproof.derivations import value
    >>> axes = [[1.0, 0.0], [0.0, 1.0]]
    >>> value("inner_product_loss", feature=[1.0, 2.0], directions=axes, label=0)
    2.0
    """
    products = xp.positive_part(xp.dot(directions, feature))
    return xp.sum(xp.put(products, label, xp.number(0)))


@define(
    family="metric losses",
    source="Ranasinghe et al. 2021, Orthogonal Projection Loss, arXiv 2103.14021",
    arguments={"features": Matrix("n", "d"), "labels": Labels("n", "K"), "classes": Vector("K")},
    parameters={"gamma": Parameter(0.5, 0.0, 2.0**10, values=(2.0,))},
    facts=(
        Range(lower=0),
        Homogeneous("features", 0),
        PermutationInvariant("n"),
        PermutationInvariant("d"),
    ),
    papers=(10,),
)
def orthogonal_projection_loss(features, labels, classes, xp, gamma=0.5):
    """1 - mean cosine of pairs of a class, plus gamma |mean cosine of pairs of two classes|.

    A mean of no pairs counts 0.  ``classes`` says how many there are, and its numbers do not count.

    >>> from softproof.derivations import value
    >>> value("orthogonal_projection_loss", features=[[1.0, 0.0], [0.0, 2.0]], labels=[0, 1],
    ...       classes=[0.0, 0.0])
    1.0
    """
    cosines = xp.dot(unit_rows(features, xp), unit_rows(features, xp).T)
    pairs = [(i, j) for i in range(len(labels)) for j in range(i)]
    means = []
    for same in (True, False):
        kept = [cosines[i, j] for i, j in pairs if (labels[i] == labels[j]) == same]
        means.append(xp.sum(kept) / len(kept) if kept else xp.number(0))
    return 1 - means[0] + xp.number(gamma) * xp.abs(means[1])


SHARE = Fraction(1, 10)  # the least weight of a negative


@define(
    family="contrastive losses",
    source="Rethinking Negative Pairs in Code Search (the authors' code)",
    arguments={"scores": Vector("K"), "raw": Vector("K"), "label": Label("K")},
    parameters={
        "alpha": Parameter(1.0, 0.0, 1.5, values=(0.0,)),
        "temperature": Parameter(1.0, 2.0**-6, 2.0**10, values=(4.0,)),
    },
    least_sizes=lambda alpha, temperature: {"K": 3},
    facts=(Range(lower=0), PermutationInvariant("K"), Convex("scores")),
    papers=(41,),
)
def soft_info_nce(scores, raw, label, xp, alpha=1.0, temperature=1.0):
    """InfoNCE whose negatives weigh w_j = max(0.1, (1 - alpha sim_j) / (1 - alpha / (K - 1))).

    sim is the softmax of the raw similarities over the temperature, without that of the label.

    >>> from softproof.derivations import value
    >>> value("soft_info_nce", scores=[0.0, 0.0, 0.0], raw=[0.0, 1.0, 1.0], label=0)
    1.0986122886681098
    """
    e = xp.put(xp.exp(xp.shifted(raw / xp.number(temperature))), label, xp.number(0))
    a = xp.number(alpha)
    weights = (1 - a * (e / xp.sum(e))) / (1 - a / (len(scores) - 1))
    weights = xp.maximum(weights, xp.number(SHARE))
    weights = xp.put(weights, label, xp.number(1))
    d = xp.shifted(scores)
    return xp.log(xp.sum(weights * xp.exp(d))) - d[label]
