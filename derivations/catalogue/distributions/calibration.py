"""Confidences: scaled, mixed, tested."""

from ...definition import Parameter, define
from ...proofs.facts import (
    Convex,
    GradientSumsTo,
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    ShiftInvariant,
)
from ...proofs.facts_of_arguments import At, Homogeneous, ReducesTo, ZeroWhereEqual
from ...signature import Integer, Label, Matrix, Real, Vector

TEMPERATURE = Parameter(1.0, 2.0**-6, 2.0**10, values=(0.125, 4.0))


@define(
    family="calibration",
    source="Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599",
    arguments={"logits": Vector("K"), "label": Label("K")},
    parameters={"temperature": TEMPERATURE},
    facts=(
        ShiftInvariant(),
        GradientSumsTo(0),
        PermutationInvariant(),
        Range(lower=0),
        At(
            ReducesTo(
                "cross_entropy",
                lambda xp, logits, label: {"logits": logits, "label": label},
                "z, label",
            ),
            temperature=1,
        ),
    ),
    papers=(256,),
)
def temperature_scaled_cross_entropy(logits, label, xp, temperature=1.0):
    """-log softmax(z / T) at the label, which the temperature T is fitted by.

    >>> from softproof.derivations import value
    >>> value("temperature_scaled_cross_entropy", logits=[3.0, 3.0], label=0, temperature=8.0)
    0.6931471805599453
    """
    e = xp.exp(logits / xp.number(temperature))
    return -xp.log(e[label] / xp.sum(e))


@temperature_scaled_cross_entropy.form("log-sum-exp")
def _(logits, label, xp, temperature=1.0):
    z = logits / xp.number(temperature)
    return xp.logsumexp(z) - z[label]


@define(
    family="calibration",
    source="Optimizing Calibration by Gaining Aware of Prediction Correctness",
    arguments={"logits": Vector("K"), "correct": Integer(0, 1)},
    parameters={"temperature": TEMPERATURE},
    facts=(ShiftInvariant("logits"), Range(lower=0, upper=1), PermutationInvariant("K")),
    papers=(50,),
)
def correctness_loss(logits, correct, xp, temperature=1.0):
    """(c - 1)^2 where the prediction is correct and c^2 else, c the largest of softmax(z / T).

    >>> from softproof.derivations import value
    >>> value("correctness_loss", logits=[0.0, 0.0], correct=0)
    0.25
    """
    off = xp.max(xp.softmax(logits / xp.number(temperature))) - correct
    return off * off


@define(
    family="calibration",
    source="Bai et al. 2024, Adaptive Smoothing of Classifiers, arXiv 2301.12554",
    arguments={"standard": Vector("K"), "robust": Vector("K")},
    output=("K",),
    parameters={"alpha": Parameter(0.5, 0.0, 1.0, values=(0.25,))},
    facts=(
        Range(upper=0),
        ShiftInvariant("standard"),
        ShiftInvariant("robust"),
        PermutationEquivariant("K"),
    ),
    papers=(107,),
)
def adaptive_smoothing(standard, robust, xp, alpha=0.5):
    """log((1 - a) softmax(standard) + a softmax(robust)).

    >>> from softproof.derivations import value
    >>> value("adaptive_smoothing", standard=[2.0, 2.0], robust=[0.0, 0.0])
    [-0.6931471805599453, -0.6931471805599453]
    """
    a = xp.number(alpha)
    return xp.log((1 - a) * xp.softmax(standard) + a * xp.softmax(robust))


@define(
    family="calibration",
    source="Lee et al. 2018, A Simple Unified Framework, arXiv 1807.03888",
    arguments={
        "feature": Vector("d"),
        "means": Matrix("K", "d", shared=True),
        "factor": Matrix("d", "d", shared=True),
    },
    facts=(Range(upper=0), Homogeneous("factor", -2), PermutationInvariant("K")),
    papers=(63,),
)
def mahalanobis_score(feature, means, factor, xp):
    """max_c -(f - mu_c)^T S^-1 (f - mu_c), S = L L^T the covariance, L the factor.

    >>> from softproof.derivations import value
    >>> value("mahalanobis_score", feature=[2.0], means=[[0.0], [10.0]], factor=[[2.0]])
    -1.0
    """
    off = xp.solve(factor, (feature[None, :] - means).T)
    return xp.max(-xp.sum(off * off, axis=0))


@define(
    family="calibration",
    source="ConjNorm: Tractable Density Estimation for Out-of-Distribution Detection",
    arguments={"z": Vector("d"), "mean": Vector("d")},
    parameters={"power": Parameter(2.5, 2.0, 8.0, values=(2.0, 4.0))},
    facts=(Range(lower=0), ZeroWhereEqual("z", "mean"), PermutationInvariant("d")),
    papers=(136,),
)
def norm_bregman_divergence(z, mean, xp, power=2.5):
    """phi(z) - phi(m) - <grad phi(m), z - m> for phi = |.|_p^2 / 2: the energy of ConjNorm.

    The partition function, which the paper samples, is not part of it.

    >>> from softproof.derivations import value
    >>> value("norm_bregman_divergence", z=[3.0, 4.0], mean=[0.0, 2.0], power=2.0)
    6.5
    """
    p = xp.number(power)

    def norm(x):
        return xp.pow(xp.sum(xp.pow(xp.abs(x), p)), 1 / p)

    size = norm(mean)
    slope = xp.pow(size, 2 - p) * (mean * xp.pow(xp.abs(mean), p - 2))
    whole = norm(z)
    return (whole * whole - size * size) / 2 - xp.sum(slope * (z - mean))


@define(
    family="calibration",
    source="Park et al. 2023, ACLS: Adaptive and Conditional Label Smoothing (the paper's form)",
    arguments={"logits": Vector("K"), "label": Label("K")},
    parameters={
        "strength": Parameter(0.1, 0.0, 2.0**10, values=(1.0,)),
        "others": Parameter(0.1, 0.0, 2.0**10, values=(1.0,)),
        "margin": Parameter(10.0, 0.0, 2.0**10, values=(1.0,)),
    },
    least_sizes=lambda strength, others, margin: {"K": 2},
    facts=(ShiftInvariant(), PermutationInvariant(), Range(lower=0)),
    papers=(237,),
)
def acls_loss(logits, label, xp, strength=0.1, others=0.1, margin=10.0):
    """Cross-entropy plus squared hinges of the gaps to the largest logit that exceed the margin M.

    a (max(0, max z - min z - M)^2 + b / (K - 1) sum_k max(0, max z - z_k - M)^2).  The authors'
    code leaves out min z, and stops the gradient of the largest logit in the second term.

    >>> from softproof.derivations import value
    >>> value("acls_loss", logits=[1.0, 1.0], label=0)
    0.6931471805599453
    """
    top = xp.max(logits)
    widest = xp.positive_part(top - xp.min(logits) - xp.number(margin))
    gaps = xp.positive_part(top - logits - xp.number(margin))
    more = xp.number(others) * xp.sum(gaps * gaps) / (len(logits) - 1)
    loss = xp.logsumexp(logits) - logits[label]
    return loss + xp.number(strength) * (widest * widest + more)


@define(
    family="calibration",
    source="Qiu et al. 2024, To Cool or not to Cool?, arXiv 2404.04575",
    arguments={"logits": Vector("K"), "label": Label("K"), "temperature": Real(lower=2.0**-4)},
    parameters={
        "rho": Parameter(8.5, 0.0, 2.0**10, values=(0.0, 0.5)),
        "least": Parameter(0.01, 0.0, 1.0, values=(0.5,)),
    },
    facts=(
        ShiftInvariant("logits"),
        GradientSumsTo(0, "logits"),
        PermutationInvariant("K"),
        Convex("temperature"),
    ),
    papers=(306,),
)
def robust_temperature_loss(logits, label, temperature, xp, rho=8.5, least=0.01):
    """T log(1/K sum_k e^((z_k - z_y) / T)) + (T - T_0) rho, to be minimised over T >= T_0.

    >>> from softproof.derivations import value
    >>> value("robust_temperature_loss", logits=[1.0, 1.0], label=0, temperature=1.0, rho=2.0,
    ...       least=0.5)
    1.0
    """
    e = xp.exp((logits - logits[label]) / temperature)
    level = (temperature - xp.number(least)) * xp.number(rho)
    return temperature * xp.log(xp.mean(e)) + level


@robust_temperature_loss.form("log-sum-exp")
def _(logits, label, temperature, xp, rho=8.5, least=0.01):
    z = logits / temperature
    level = (temperature - xp.number(least)) * xp.number(rho)
    return temperature * (xp.logsumexp(z) - xp.log(xp.number(len(z))) - z[label]) + level


@define(
    family="calibration",
    source="Xie et al. 2024, MANO: Exploiting Matrix Norm, arXiv 2405.18979",
    arguments={"logits": Matrix("n", "K")},
    parameters={"power": Parameter(4.0, 1.0, 16.0, values=(2.0,))},
    facts=(
        Range(lower=0, upper=1),
        ShiftInvariant("logits"),
        PermutationInvariant("n"),
        PermutationInvariant("K"),
    ),
    papers=(201,),
)
def matrix_norm_score(logits, xp, power=4.0):
    """(mean of softmax(z)^p over all samples and classes)^(1 / p), p the power.

    Where the paper's criterion is below its level, ``taylor_softmax`` stands for softmax.

    >>> from softproof.derivations import value
    >>> value("matrix_norm_score", logits=[[1.0, 1.0]], power=2.0)
    0.5
    """
    p = xp.number(power)
    return xp.pow(xp.mean(xp.pow(xp.softmax(logits), p)), 1 / p)
