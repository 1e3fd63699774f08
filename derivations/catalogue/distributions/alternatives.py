"""What stands in the place of softmax: other functions of the logits, normalised."""

from ...definition import Parameter, define
from ...proofs.facts import (
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    ShiftInvariant,
    SumsTo,
)
from ...proofs.facts_of_arguments import Homogeneous
from ...signature import Count, Label, Matrix, Real, Vector

UNIT = Range(lower=0, upper=1)


@define(
    family="softmax alternatives",
    source="de Brebisson, Vincent 2016, arXiv 1511.05042; MANO, arXiv 2405.18979",
    arguments={"z": Vector("K")},
    output=("K",),
    facts=(SumsTo(1), UNIT, PermutationEquivariant("K")),
    papers=(201,),
)
def taylor_softmax(z, xp):
    """(1 + z + z^2 / 2) over its sum; every weight is at least 1/2.

    >>> from softproof.derivations import value
    >>> value("taylor_softmax", z=[0.0, -2.0])
    [0.5, 0.5]
    """
    weights = 1 + z + z * z / 2
    return weights / xp.sum(weights)


@define(
    family="softmax alternatives",
    source="Softplus Attention with Re-weighting (LSSA)",
    arguments={"query": Vector("d"), "keys": Matrix("n", "d")},
    output=("n",),
    facts=(
        SumsTo(1),
        UNIT,
        Homogeneous("query", 0),
        Homogeneous("keys", 0),
        PermutationEquivariant("n"),
    ),
    papers=(11,),
)
def length_scaled_softplus_weights(query, keys, xp):
    """softplus(log d log n cos(q, k_j)) over their sum, for n keys of d numbers.

    >>> from softproof.derivations import value
    >>> value("length_scaled_softplus_weights", query=[1.0, 0.0], keys=[[0.0, 1.0], [0.0, 2.0]])
    [0.5, 0.5]
    """
    n, d = keys.shape
    unit = query / xp.sqrt(xp.sum(query * query))
    rows = keys / xp.sqrt(xp.sum(keys * keys, axis=1))[:, None]
    scale = xp.log(xp.number(d)) * xp.log(xp.number(n))
    weights = xp.softplus(scale * xp.dot(rows, unit))
    return weights / xp.sum(weights)


@define(
    family="softmax alternatives",
    source="Softplus Attention with Re-weighting (LSSAR, rows after the third)",
    arguments={"weights": Vector("n", lower=0.0, upper=1.0)},
    output=("n",),
    parameters={"power": Parameter(15.0, 1.0, 32.0, values=(3.0,))},
    facts=(UNIT, PermutationEquivariant("n")),
    papers=(11,),
)
def sharpened_weights(weights, xp, power=15.0):
    """max(0, n w - 1)^p over their sum plus 1e-8: weights below the mean become 0.

    >>> from softproof.derivations import value
    >>> value("sharpened_weights", weights=[0.25, 0.25, 0.25, 0.25])
    [0.0, 0.0, 0.0, 0.0]
    """
    kept = xp.pow(xp.positive_part(len(weights) * weights - 1), xp.number(power))
    return kept / (xp.sum(kept) + xp.number(1e-8))


@define(
    family="softmax alternatives",
    source="Similarity-Distance-Magnitude Universal Verification",
    arguments={
        "logits": Vector("K"),
        "similarity": Real(lower=0.0),
        "distance": Real(lower=0.0, upper=1.0),
    },
    output=("K",),
    facts=(SumsTo(1), UNIT, ShiftInvariant("logits"), PermutationEquivariant("K")),
    papers=(84,),
)
def sdm_activation(logits, similarity, distance, xp):
    """(2 + q)^(d z_i) over their sum, q the similarity and d the distance.

    >>> from softproof.derivations import value
    >>> value("sdm_activation", logits=[2.0, 1.0], similarity=1.0, distance=1.0)
    [0.75, 0.25]
    """
    return xp.softmax(distance * xp.log(2 + similarity) * logits)


@define(
    family="softmax alternatives",
    source="Gillman et al. 2025, Fourier Head, arXiv 2410.22269",
    arguments={"real": Vector("m"), "imaginary": Vector("m")},
    output=("bins",),
    parameters={"bins": Count(8, 1, 1024, values=(3,))},
    facts=(SumsTo(1), UNIT),
    papers=(86,),
)
def fourier_head(real, imaginary, xp, bins=8):
    """The density 1/2 + Re sum_k (c_k / c_0) e^(i pi k x) at the middles of bins of [-1, 1].

    c_k = sum_l a_l conj(a_(l + k)) is the autocorrelation of the coefficients, which makes the
    density nowhere negative; it is normalised over the bins.

    >>> from softproof.derivations import value
    >>> value("fourier_head", real=[2.0], imaginary=[0.0], bins=4)
    [0.25, 0.25, 0.25, 0.25]
    """
    m = len(real)
    whole = xp.sum(real * real) + xp.sum(imaginary * imaginary)
    middles = (2 * xp.counts(bins) - 1 - bins) / bins
    density = xp.broadcast(xp.number(1) / 2, (bins,))
    for k in range(1, m):
        even = xp.sum(real[:-k] * real[k:]) + xp.sum(imaginary[:-k] * imaginary[k:])
        odd = xp.sum(imaginary[:-k] * real[k:]) - xp.sum(real[:-k] * imaginary[k:])
        angle = xp.pi * k * middles
        density = density + (even * xp.cos(angle) - odd * xp.sin(angle)) / whole
    return density / xp.sum(density)


@define(
    family="softmax alternatives",
    source="Sun et al. 2021, Sparse-softmax, arXiv 2112.12433",
    arguments={"logits": Vector("K"), "label": Label("K")},
    parameters={"k": Count(2, 1, 2**20, values=(1, 3))},
    least_sizes=lambda k: {"K": k},
    facts=(ShiftInvariant(), PermutationInvariant()),
    papers=(249,),
)
def sparse_softmax_cross_entropy(logits, label, xp, k=2):
    """log of the sum of e^z over the k largest logits, less the logit at the label.

    It is negative where the label is not among them.  The probabilities are ``top_k_gate``.

    >>> from softproof.derivations import value
    >>> value("sparse_softmax_cross_entropy", logits=[1.0, 1.0, -9.0], label=0)
    0.6931471805599453
    """
    return xp.logsumexp(xp.descending(logits)[:k]) - logits[label]


@define(
    family="softmax alternatives",
    source="Self-Adjust Softmax, its normalised form",
    arguments={"z": Vector("K")},
    output=("K",),
    facts=(UNIT, PermutationEquivariant("K")),
    papers=(253,),
)
def self_adjust_softmax(z, xp):
    """softmax(z) times (z - min(min z, 0)) / (max(max z, 0) - min(min z, 0)).

    Where all are 0 it has no value.

    >>> from softproof.derivations import value
    >>> value("self_adjust_softmax", z=[2.0, 2.0])
    [0.5, 0.5]
    """
    low = xp.minimum(xp.min(z), xp.number(0))
    high = xp.maximum(xp.max(z), xp.number(0))
    return (z - low) / (high - low) * xp.softmax(z)


@define(
    family="softmax alternatives",
    source="Power-Softmax: Towards Secure LLM Inference over Encrypted Data",
    arguments={"z": Vector("K")},
    output=("K",),
    parameters={"power": Count(4, 2, 8, values=(2, 6))},
    facts=(SumsTo(1), UNIT, Homogeneous("z", 0), PermutationEquivariant("K")),
    papers=(320,),
)
def power_softmax(z, xp, power=4):
    """|z_i|^p over their sum, p an even power.

    Where all are 0 it has no value; the paper adds about 1e-3 to the sum.

    >>> from softproof.derivations import value
    >>> value("power_softmax", z=[1.0, -1.0])
    [0.5, 0.5]
    """
    weights = xp.pow(xp.abs(z), xp.number(power))
    return weights / xp.sum(weights)


@power_softmax.form("scaled by the largest")
def _(z, xp, power=4):
    weights = xp.pow(xp.abs(z) / xp.max(xp.abs(z)), xp.number(power))
    return weights / xp.sum(weights)


@define(
    family="decoding",
    source="Bodla et al. 2017, Soft-NMS, arXiv 1704.04503, one step",
    arguments={
        "scores": Vector("n", lower=0.0, upper=1.0),
        "overlaps": Vector("n", lower=0.0, upper=1.0),
    },
    output=("n",),
    parameters={"sigma": Parameter(0.5, 2.0**-6, 2.0**6, values=(0.125,))},
    facts=(UNIT, Homogeneous("scores", 1), PermutationEquivariant("n")),
    papers=(74,),
)
def gaussian_soft_nms(scores, overlaps, xp, sigma=0.5):
    """s_i e^(-o_i^2 / sigma): scores of boxes that overlap the chosen one by o_i.

    >>> from softproof.derivations import value
    >>> value("gaussian_soft_nms", scores=[0.5, 0.25], overlaps=[0.0, 0.0])
    [0.5, 0.25]
    """
    return scores * xp.exp(-(overlaps * overlaps) / xp.number(sigma))
