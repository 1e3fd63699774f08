"""Normalised weights, and what holds their lengths."""

from ...definition import Parameter, define
from ...proofs.facts import (
    Identity,
    Increasing,
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    ShiftInvariant,
    SumsTo,
)
from ...proofs.facts_of_arguments import At, GradientOrthogonalTo, Homogeneous
from ...signature import Matrix, Real, Vector
from .rescaled import length


@define(
    family="normalisation",
    source="Lyle et al. 2024, Normalization and effective learning rates in RL, arXiv 2407.01800",
    arguments={"weight": Matrix("m", "n")},
    output=("m", "n"),
    parameters={"norm": Parameter(1.0, 2.0**-10, 2.0**10, values=(4.0,))},
    facts=(Homogeneous("weight", 0), GradientOrthogonalTo("weight")),
    papers=(5,),
)
def weight_projection(weight, xp, norm=1.0):
    """The weights brought to a Frobenius norm.

    >>> from softproof.derivations import value
    >>> value("weight_projection", weight=[[3.0, 4.0]], norm=10.0)
    [[6.0, 8.0]]
    """
    return xp.number(norm) * weight / length(weight, xp)


@define(
    family="normalisation",
    source="Li et al. 2018, Visualizing the Loss Landscape of Neural Nets, arXiv 1712.09913",
    arguments={"direction": Vector("n"), "weight": Vector("n")},
    output=("n",),
    facts=(Homogeneous("direction", 0), Homogeneous("weight", 1), PermutationEquivariant("n")),
    papers=(153,),
)
def filter_normalized_direction(direction, weight, xp):
    """d |w| / |d|: a direction with the length of the filter that it moves.

    >>> from softproof.derivations import value
    >>> value("filter_normalized_direction", direction=[0.0, 2.0], weight=[3.0, 4.0])
    [0.0, 5.0]
    """
    return direction / length(direction, xp) * length(weight, xp)


@define(
    family="normalisation",
    source="Saratchandran et al. 2024, Weight Conditioning for Smooth Optimization",
    arguments={"weight": Matrix("m", "n")},
    output=("m", "n"),
    facts=(Homogeneous("weight", 0), PermutationEquivariant("m"), PermutationEquivariant("n")),
    papers=(163,),
)
def row_equilibration(weight, xp):
    """Each row over its Euclidean length.

    >>> from softproof.derivations import value
    >>> value("row_equilibration", weight=[[3.0, 4.0], [0.0, 2.0]])
    [[0.6, 0.8], [0.0, 1.0]]
    """
    return weight / xp.sqrt(xp.sum(weight * weight, axis=1))[:, None]


@define(
    family="normalisation",
    source="Weight Compander: A Simple Weight Reparameterization for Regularization",
    arguments={"x": Real()},
    parameters={
        "bound": Parameter(1.0, 2.0**-10, 2.0**10, values=(4.0,)),
        "width": Parameter(1.0, 2.0**-10, 2.0**10, values=(0.25,)),
    },
    facts=(
        Increasing(),
        Identity("f(x) + f(-x) = 0", lambda f, x: f(x) + f(-x)),
    ),
    papers=(171,),
    reconstructed="the abstract says that the function is bounded and not linear, but not which",
)
def weight_compander(x, xp, bound=1.0, width=1.0):
    """a arctan(x / b), a the bound over pi / 2 and b the width: a weight that stays bounded.

    >>> from softproof.derivations import value
    >>> value("weight_compander", x=0.0)
    0.0
    """
    return xp.number(bound) * xp.atan(x / xp.number(width))


@define(
    family="normalisation",
    source="Miyato et al. 2018, Spectral Normalization for GANs, arXiv 1802.05957",
    arguments={"weight": Matrix("m", "n"), "u": Vector("m")},
    output=("m", "n"),
    facts=(
        Homogeneous("weight", 0),
        Homogeneous("u", 0),
        PermutationEquivariant("m"),
        PermutationEquivariant("n"),
    ),
    papers=(172,),
)
def spectral_norm(weight, u, xp):
    """W over its largest singular value, as one step of power iteration from u tells it.

    >>> from softproof.derivations import value
    >>> value("spectral_norm", weight=[[2.0, 0.0], [0.0, 1.0]], u=[1.0, 0.0])
    [[1.0, 0.0], [0.0, 0.5]]
    """
    right = xp.dot(u, weight)
    right = right / length(right, xp)
    left = xp.dot(weight, right)
    left = left / length(left, xp)
    return weight / xp.sum(left * xp.dot(weight, right))


@spectral_norm.form("length of W v")
def _(weight, u, xp):
    right = xp.dot(u, weight)
    return weight / length(xp.dot(weight, right / length(right, xp)), xp)


@define(
    family="normalisation",
    source=(
        "Brock, De, Smith 2021, Characterizing signal propagation to close the performance gap in "
        "unnormalized ResNets, arXiv 2101.08692"
    ),
    arguments={"weight": Vector("n"), "gain": Real(shared=True)},
    output=("n",),
    least_sizes=lambda: {"n": 2},
    facts=(
        ShiftInvariant("weight"),
        Homogeneous("weight", 0),
        Homogeneous("gain", 1),
        SumsTo(0),
    ),
    papers=(177,),
)
def scaled_weight_standardization(weight, gain, xp):
    """g (w - mean) / (deviation sqrt(n)): the weights of one unit, n its inputs.

    >>> from softproof.derivations import value
    >>> value("scaled_weight_standardization", weight=[1.0, 3.0, 1.0, 3.0], gain=2.0)
    [-1.0, 1.0, -1.0, 1.0]
    """
    centred = weight - xp.mean(weight)
    return gain * centred / (length(centred, xp))


@scaled_weight_standardization.form("deviation and root of n")
def _(weight, gain, xp):
    centred = weight - xp.mean(weight)
    deviation = xp.sqrt(xp.mean(centred * centred))
    return gain * centred / (deviation * xp.sqrt(xp.number(len(weight))))


@define(
    family="normalisation",
    source=(
        "Qiao et al. 2019, Micro-Batch Training with Batch-Channel Normalization and Weight "
        "Standardization, arXiv 1903.10520"
    ),
    arguments={"weight": Vector("n")},
    output=("n",),
    parameters={"eps": Parameter(1e-5, 0.0, 1.0, values=(0.5,))},
    least_sizes=lambda eps: {"n": 2},
    facts=(
        ShiftInvariant("weight"),
        At(Homogeneous("weight", 0), eps=0),
        SumsTo(0),
        PermutationEquivariant("n"),
    ),
    papers=(250,),
)
def weight_standardization(weight, xp, eps=1e-5):
    """(w - mean) / (deviation + eps): the weights of one output channel.

    >>> from softproof.derivations import value
    >>> value("weight_standardization", weight=[1.0, 3.0], eps=0.0)
    [-1.0, 1.0]
    """
    centred = weight - xp.mean(weight)
    return centred / (xp.sqrt(xp.mean(centred * centred)) + xp.number(eps))


@define(
    family="normalisation",
    source="Georgiou et al. 2021, Norm Loss, arXiv 2103.06583",
    arguments={"weight": Matrix("m", "n")},
    parameters={"strength": Parameter(1.0, 0.0, 2.0**10, values=(0.25,))},
    facts=(Range(lower=0), PermutationInvariant("m"), PermutationInvariant("n")),
    papers=(214,),
)
def norm_loss(weight, xp, strength=1.0):
    """lambda sum (1 - |w_o|)^2 over the rows w_o, lambda the strength.

    >>> from softproof.derivations import value
    >>> value("norm_loss", weight=[[3.0, 4.0], [1.0, 0.0]])
    16.0
    """
    off = 1 - xp.sqrt(xp.sum(weight * weight, axis=1))
    return xp.number(strength) * xp.sum(off * off)


@define(
    family="normalisation",
    source="Ortiz et al. 2023, Magnitude Invariant Parametrizations (the authors' code)",
    arguments={"g": Vector("n", lower=0.0, upper=1.0)},
    output={"cosines": ("n",), "sines": ("n",)},
    facts=(Range(lower=0, upper=1), PermutationEquivariant("n")),
    papers=(131,),
)
def magnitude_invariant_encoding(g, xp):
    """cos(pi g / 2) and sin(pi g / 2): an input of constant length for a hypernetwork.

    >>> from softproof.derivations import value
    >>> value("magnitude_invariant_encoding", g=[0.0])
    {'cosines': [1.0], 'sines': [0.0]}
    """
    angles = xp.pi * g / 2
    return xp.cos(angles), xp.sin(angles)


@define(
    family="normalisation",
    source="Lewandowski et al. 2024, Learning Continually by Spectral Regularization",
    arguments={"weight": Matrix("m", "n"), "bias": Vector("m")},
    parameters={"power": Parameter(2.0, 1.0, 8.0, values=(3.0,))},
    facts=(Range(lower=0), PermutationInvariant("m"), PermutationInvariant("n")),
    papers=(266,),
    reconstructed="the power 2, and how scales of one axis are treated, are not from the paper",
)
def spectral_regularizer(weight, bias, xp, power=2.0):
    """(sigma^k - 1)^2 + |b|^(2 k), sigma the largest singular value of the weights, k the power.

    >>> from softproof.derivations import value
    >>> value("spectral_regularizer", weight=[[0.0, 2.0]], bias=[1.0])
    10.0
    """
    k = xp.number(power)
    off = xp.pow(xp.singular_values(weight)[0], k) - 1
    return off * off + xp.pow(xp.sum(bias * bias), k)
