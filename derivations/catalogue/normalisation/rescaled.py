"""Normalisers of a row that rescale it: of its length, of what is added to it, of one entry."""

from fractions import Fraction

from ...definition import Parameter, define
from ...proofs.facts import PermutationEquivariant, Range, ShiftInvariant, SumsTo
from ...proofs.facts_of_arguments import At, GradientOrthogonalTo, Homogeneous, ReducesTo
from ...signature import Matrix, Real, Vector
from .rows import layer_norm

EPS = Parameter(1e-5, 0.0, 1.0, values=(0.5,))


def length(x, xp):
    """The Euclidean length of a vector."""
    return xp.sqrt(xp.sum(x * x))


@define(
    family="normalisation",
    source="SeeDNorm: Self-Rescaled Dynamic Normalization (its definition, one head)",
    arguments={
        "x": Vector("K"),
        "alpha": Vector("K", shared=True),
        "beta": Vector("K", shared=True),
        "gamma": Vector("K", shared=True),
    },
    output=("K",),
    parameters={"eps": EPS},
    facts=(
        PermutationEquivariant("K"),
        At(Homogeneous("x", 0), beta=0, eps=0),
        At(
            ReducesTo(
                "rms_norm",
                lambda xp, x, alpha, beta, gamma: {"x": x, "gain": gamma},
                "x, gamma",
            ),
            beta=0,
        ),
    ),
    papers=(12,),
)
def seednorm(x, alpha, beta, gamma, xp, eps=1e-5):
    """RMS normalisation of x with the gain alpha tanh(<x, beta>) + gamma.

    >>> from softproof.derivations import value
    >>> value("seednorm", x=[3.0, -3.0], alpha=[1.0, 1.0], beta=[0.0, 0.0], gamma=[2.0, 2.0],
    ...       eps=0.0)
    [2.0, -2.0]
    """
    gain = alpha * xp.tanh(xp.sum(x * beta)) + gamma
    return gain * (x / xp.sqrt(xp.mean(x * x) + xp.number(eps)))


@define(
    family="normalisation",
    source="Jiang et al. 2023, Pre-RMSNorm and Pre-CRMSNorm Transformers, arXiv 2305.14858",
    arguments={"x": Vector("K")},
    output=("K",),
    facts=(Homogeneous("x", 0), PermutationEquivariant("K")),
    papers=(19,),
)
def crms_norm(x, xp):
    """x / sqrt((sum x_i^2 + (sum x_i)^2) / (K + 1)): RMSNorm of a centred vector of K + 1 entries.

    The last entry, minus the sum of the others, is not stored.

    >>> from softproof.derivations import value
    >>> value("crms_norm", x=[3.0])
    [1.0]
    """
    total = xp.sum(x)
    return x / xp.sqrt((xp.sum(x * x) + total * total) / (len(x) + 1))


@define(
    family="normalisation",
    source="Wang et al. 2022, DeepNet: Scaling Transformers to 1,000 Layers, arXiv 2203.00555",
    arguments={
        "x": Vector("K"),
        "branch": Vector("K"),
        "gain": Vector("K", shared=True),
        "bias": Vector("K", shared=True),
    },
    output=("K",),
    parameters={"alpha": Parameter(2.0, 0.0, 2.0**10, values=(1.0,)), "eps": EPS},
    least_sizes=lambda alpha, eps: {"K": 2},
    facts=(
        ShiftInvariant("x"),
        ShiftInvariant("branch"),
        At(
            ReducesTo(
                "layer_norm",
                lambda xp, x, branch, gain, bias: {"x": x + branch, "gain": gain, "bias": bias},
                "x + branch, gain, bias",
            ),
            alpha=1,
        ),
    ),
    papers=(127,),
)
def deep_norm(x, branch, gain, bias, xp, alpha=2.0, eps=1e-5):
    """Layer normalisation of alpha x + branch; alpha = (2 N)^(1/4) for N layers.

    >>> from softproof.derivations import value
    >>> value("deep_norm", x=[1.0, -1.0], branch=[0.5, -0.5], gain=[2.0, 2.0], bias=[0.0, 0.0],
    ...       eps=0.0)
    [2.0, -2.0]
    """
    return layer_norm.formula(xp.number(alpha) * x + branch, gain, bias, xp, eps)


@define(
    family="normalisation",
    source=(
        "Nguyen, Salazar 2019, Transformers without Tears, arXiv 1910.05895 (ScaleNorm); "
        "Salimans, Kingma 2016, Weight Normalization, arXiv 1602.07868"
    ),
    arguments={"x": Vector("K"), "gain": Real(shared=True)},
    output=("K",),
    facts=(
        Homogeneous("x", 0),
        Homogeneous("gain", 1),
        GradientOrthogonalTo("x"),
        PermutationEquivariant("K"),
    ),
    papers=(161, 169),
)
def scale_norm(x, gain, xp):
    """g x / |x|: ScaleNorm of an activation, or weight normalisation of a direction.

    >>> from softproof.derivations import value
    >>> value("scale_norm", x=[3.0, 4.0], gain=10.0)
    [6.0, 8.0]
    """
    return gain * x / length(x, xp)


@scale_norm.form("scaled by the largest")
def _(x, gain, xp):
    """Squares of numbers of at most 1, so that none overflows."""
    scaled = x / xp.max(xp.abs(x))
    return gain * scaled / length(scaled, xp)


@define(
    family="normalisation",
    source="Loshchilov et al. 2024, nGPT, arXiv 2410.01131",
    arguments={"h": Vector("K"), "branch": Vector("K"), "rates": Vector("K", shared=True)},
    output=("K",),
    facts=(Homogeneous("branch", 0), PermutationEquivariant("K"), Range(lower=-1, upper=1)),
    papers=(187,),
)
def hypersphere_step(h, branch, rates, xp):
    """A step of nGPT: h + a (branch / |branch| - h), entry by entry, made to length 1.

    >>> from softproof.derivations import value
    >>> value("hypersphere_step", h=[1.0, 0.0], branch=[0.0, 2.0], rates=[1.0, 1.0])
    [0.0, 1.0]
    """
    moved = h + rates * (branch / length(branch, xp) - h)
    return moved / length(moved, xp)


@define(
    family="normalisation",
    source="Stollenwerk 2025, Elementwise Layer Normalization, arXiv 2503.21708 (DyISRU)",
    arguments={"x": Real(), "beta": Real(lower=2.0**-20)},
    parameters={"dimension": Parameter(1.0, 1.0, 2.0**20, values=(64.0,))},
    facts=(At(Range(lower=-1, upper=1), dimension=1), At(SumsTo(0), x=0)),
    papers=(233,),
)
def elementwise_layer_norm(x, beta, xp, dimension=1.0):
    """sqrt(D) x / sqrt(beta + x^2), D the dimension: one entry normalised by itself.

    >>> from softproof.derivations import value
    >>> value("elementwise_layer_norm", x=3.0, beta=16.0)
    0.6
    """
    return xp.sqrt(xp.number(dimension)) * x / xp.sqrt(beta + x * x)


@define(
    family="normalisation",
    source="NuTime: Numerically Multi-Scaled Embedding (the authors' code)",
    arguments={
        "x": Real(),
        "weight": Matrix("n", "D", shared=True),
        "bias": Matrix("n", "D", shared=True),
    },
    output=("D",),
    parameters={"eps": EPS},
    least_sizes=lambda eps: {"D": 2, "n": 1},
    facts=(ShiftInvariant("weight"), ShiftInvariant("bias"), PermutationEquivariant("D")),
    papers=(283,),
)
def multi_scaled_embedding(x, weight, bias, xp, eps=1e-5):
    """sum_i a_i(x) LN(x w_i + e_i b_i) over scales e_i = 10^(i - (n - 1) / 2), i = 0 ... n - 1.

    a_i is proportional to 1 / (|log(|x| / e_i + 1e-6)| + 1e-6), and LN has no gain and no bias.

    >>> from softproof.derivations import value
    >>> value("multi_scaled_embedding", x=2.0, weight=[[1.0, -1.0]], bias=[[0.0, 0.0]], eps=0.0)
    [1.0, -1.0]
    """
    count = len(weight)
    tiny = xp.number(Fraction(1, 10**6))
    nearness, rows = [], []
    for i in range(count):
        scale = xp.pow(xp.number(10), xp.number(2 * i - count + 1) / 2)
        nearness.append(1 / (xp.abs(xp.log(xp.abs(x) / scale + tiny)) + tiny))
        row = x * weight[i] + scale * bias[i]
        centred = row - xp.mean(row)
        rows.append(centred / xp.sqrt(xp.mean(centred * centred) + xp.number(eps)))
    shares = xp.vector(nearness) / xp.sum(nearness)
    return xp.sum(shares[:, None] * xp.stack(rows), axis=0)
