"""Scores of several predictors or retrievers made into one, and densities of samples."""

from ...definition import Parameter, define
from ...proofs.facts import PermutationEquivariant, PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import Homogeneous
from ...signature import Matrix, Vector


@define(
    family="ensembles",
    source="Fort, Lakshminarayanan 2024, Ensemble everything everywhere, arXiv 2408.05446",
    arguments={"logits": Matrix("n", "K")},
    output=("K",),
    facts=(
        ShiftInvariant("logits"),
        PermutationInvariant("n"),
        PermutationEquivariant("K"),
        Range(upper=0),
    ),
    papers=(53,),
)
def cross_max(logits, xp):
    """The upper median over predictors of logits less their largest class, then predictor.

    >>> from softproof.derivations import value
    >>> value("cross_max", logits=[[1.0, 3.0]])
    [0.0, 0.0]
    """
    z = logits - xp.max(logits, axis=1)[:, None]
    z = z - xp.max(z, axis=0)[None, :]
    middle = (len(z) - 1) // 2
    return xp.stack([xp.descending(z[:, c])[middle] for c in range(z.shape[1])])


@define(
    family="ensembles",
    source="Bruch, Gai, Ingber 2023, An Analysis of Fusion Functions, arXiv 2210.11934",
    arguments={"semantic": Vector("n"), "lexical": Vector("n")},
    output=("n",),
    parameters={"alpha": Parameter(0.5, 0.0, 1.0, values=(0.25,))},
    least_sizes=lambda alpha: {"n": 2},
    facts=(
        Range(lower=0, upper=1),
        ShiftInvariant("semantic"),
        Homogeneous("semantic", 0),
        ShiftInvariant("lexical"),
        PermutationEquivariant("n"),
    ),
    papers=(146,),
)
def convex_fusion(semantic, lexical, xp, alpha=0.5):
    """a phi(s) + (1 - a) phi(l), phi the scores scaled to [0, 1] by the least and the largest.

    Where all scores are equal it has no value.

    >>> from softproof.derivations import value
    >>> value("convex_fusion", semantic=[1.0, 3.0], lexical=[5.0, 2.0], alpha=0.25)
    [0.75, 0.25]
    """

    def scaled(x):
        return (x - xp.min(x)) / (xp.max(x) - xp.min(x))

    a = xp.number(alpha)
    return a * scaled(semantic) + (1 - a) * scaled(lexical)


@define(
    family="densities",
    source="Scarvelis, Borde, Solomon 2023, Closed-Form Diffusion Models, arXiv 2310.12395",
    arguments={"x": Vector("d"), "points": Matrix("n", "d")},
    output=("d",),
    parameters={
        "time": Parameter(0.5, 0.0, 1.0, values=(1.0,)),
        "sigma": Parameter(0.5, 2.0**-6, 2.0**6, values=(2.0,)),
    },
    facts=(PermutationInvariant("n"), PermutationEquivariant("d")),
    papers=(301,),
)
def closed_form_score(x, points, xp, time=0.5, sigma=0.5):
    """(sum_i p_i t x_i - x) / s^2, p = softmax(-|x - t x_i|^2 / (2 s^2)): the score of n points.

    It is the gradient of the log-density of Gaussians of deviation s around t x_i.

    >>> from softproof.derivations import value
    >>> value("closed_form_score", x=[0.0], points=[[1.0]])
    [2.0]
    """
    means, variance = xp.number(time) * points, xp.number(sigma) * xp.number(sigma)
    off = x[None, :] - means
    scores = -xp.sum(off * off, axis=1) / (2 * variance)
    return (xp.weighted_mean(scores, means) - x) / variance
