"""What optimisers make of gradients: projected, clipped, balanced."""

from ...definition import Parameter, define
from ...proofs.facts import Convex, PermutationEquivariant, PermutationInvariant, Range
from ...proofs.facts_of_arguments import Homogeneous
from ...signature import Label, Vector


@define(
    family="optimisation",
    source=(
        "Heo et al. 2021, AdamP, arXiv 2006.08217; Logit Attenuating Weight Normalization "
        "(the projection of its gradient)"
    ),
    arguments={"update": Vector("n"), "weight": Vector("n")},
    output=("n",),
    facts=(Homogeneous("update", 1), Homogeneous("weight", 0), PermutationEquivariant("n")),
    papers=(167, 208),
)
def projected_update(update, weight, xp):
    """p - <p, w> w / |w|^2: an update without its part along the weights.

    >>> from softproof.derivations import value
    >>> value("projected_update", update=[1.0, 1.0], weight=[2.0, 0.0])
    [0.0, 1.0]
    """
    return update - xp.sum(update * weight) / xp.sum(weight * weight) * weight


@projected_update.form("unit weights")
def _(update, weight, xp):
    unit = weight / xp.sqrt(xp.sum(weight * weight))
    return update - xp.sum(unit * update) * unit


@define(
    family="optimisation",
    source="Brock et al. 2021, Normalizer-Free ResNets, arXiv 2102.06171",
    arguments={"gradient": Vector("n"), "weight": Vector("n")},
    output=("n",),
    parameters={
        "clip": Parameter(0.01, 2.0**-20, 2.0**10, values=(1.0,)),
        "eps": Parameter(1e-3, 2.0**-20, 1.0, values=(0.5,)),
    },
    facts=(PermutationEquivariant("n"),),
    papers=(174,),
)
def adaptive_gradient_clipping(gradient, weight, xp, clip=0.01, eps=1e-3):
    """The gradient of a unit, made shorter where |g| > clip max(|w|, eps).

    >>> from softproof.derivations import value
    >>> value("adaptive_gradient_clipping", gradient=[3.0, 4.0], weight=[1.0, 0.0], clip=1.0)
    [0.6, 0.8]
    """
    size = xp.sqrt(xp.sum(weight * weight))
    most = xp.number(clip) * xp.maximum(size, xp.number(eps))
    return gradient * most / xp.maximum(xp.sqrt(xp.sum(gradient * gradient)), most)


@define(
    family="optimisation",
    source="Chen et al. 2018, GradNorm, arXiv 1711.02257",
    arguments={
        "norms": Vector("T", lower=0.0),
        "losses": Vector("T", lower=2.0**-20),
        "initial": Vector("T", lower=2.0**-20),
    },
    parameters={"alpha": Parameter(1.5, 0.0, 8.0, values=(0.0,))},
    facts=(
        Range(lower=0),
        Homogeneous("norms", 1),
        Homogeneous("losses", 0),
        Homogeneous("initial", 0),
        PermutationInvariant("T"),
    ),
    papers=(202,),
)
def gradnorm_loss(norms, losses, initial, xp, alpha=1.5):
    """sum_i |G_i - mean(G) r_i^alpha| of tasks, r_i = (L_i / L_i(0)) over the mean of these.

    >>> from softproof.derivations import value
    >>> value("gradnorm_loss", norms=[1.0, 3.0], losses=[1.0, 2.0], initial=[1.0, 2.0])
    2.0
    """
    rates = losses / initial
    wanted = xp.mean(norms) * xp.pow(rates / xp.mean(rates), xp.number(alpha))
    return xp.sum(xp.abs(norms - wanted))


@define(
    family="optimisation",
    source="Lavington et al. 2023, Target-based Surrogates for Stochastic Optimization",
    arguments={"logits": Vector("K"), "base": Vector("K"), "label": Label("K")},
    parameters={"rate": Parameter(2.0, 2.0**-10, 2.0**10, values=(0.5,))},
    facts=(Convex("logits"), PermutationInvariant("K")),
    papers=(298,),
)
def target_surrogate(logits, base, label, xp, rate=2.0):
    """l(b) + <grad l(b), z - b> + |z - b|^2 / (2 eta), l the cross-entropy and b the base.

    For rates eta up to 2 it is nowhere below the cross-entropy at z.

    >>> from softproof.derivations import value
    >>> value("target_surrogate", logits=[0.0, 0.0], base=[0.0, 0.0], label=0)
    0.6931471805599453
    """
    p, moved = xp.softmax(base), logits - base
    slope = xp.sum(p * moved) - moved[label]
    level = xp.logsumexp(base) - base[label]
    return level + slope + xp.sum(moved * moved) / (2 * xp.number(rate))


@define(
    family="optimisation",
    source="Ramirez et al. 2025, Feasible Learning",
    arguments={"multipliers": Vector("n", lower=0.0), "losses": Vector("n")},
    output=("n",),
    parameters={
        "rate": Parameter(1.0, 0.0, 2.0**10, values=(0.25,)),
        "level": Parameter(0.0, 0.0, 2.0**10, values=(1.0,)),
    },
    facts=(Range(lower=0), PermutationEquivariant("n")),
    papers=(299,),
)
def feasible_multipliers(multipliers, losses, xp, rate=1.0, level=0.0):
    """max(0, lambda + eta (l - eps)): dual ascent on "no loss is above eps", the level.

    >>> from softproof.derivations import value
    >>> value("feasible_multipliers", multipliers=[1.0, 0.0], losses=[0.5, -1.0])
    [1.5, 0.0]
    """
    return xp.positive_part(multipliers + xp.number(rate) * (losses - xp.number(level)))
