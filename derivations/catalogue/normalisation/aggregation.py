"""Means of many kinds, and normalisation by neighbours."""

from ...definition import Parameter, define
from ...proofs.facts import PermutationEquivariant, PermutationInvariant, ShiftEquivariant
from ...proofs.facts_of_arguments import Homogeneous
from ...signature import Matrix, Real, Vector


@define(
    family="normalisation",
    source="Li et al. 2020, DeeperGCN, arXiv 2006.07739",
    arguments={"messages": Vector("n")},
    parameters={"beta": Parameter(1.0, -(2.0**10), 2.0**10, values=(0.0, 16.0))},
    facts=(ShiftEquivariant("messages"), PermutationInvariant("n")),
    papers=(151,),
)
def softmax_aggregation(messages, xp, beta=1.0):
    """sum_u softmax(beta m)_u m_u: from the mean (beta = 0) to the largest message.

    >>> from softproof.derivations import value
    >>> value("softmax_aggregation", messages=[1.0, 3.0], beta=0.0)
    2.0
    """
    return xp.weighted_mean(xp.number(beta) * messages, messages)


@define(
    family="normalisation",
    source="Li et al. 2020, DeeperGCN, arXiv 2006.07739",
    arguments={"messages": Vector("n", lower=2.0**-20)},
    parameters={"power": Parameter(2.0, 2.0**-4, 2.0**6, values=(1.0, 0.5))},
    facts=(Homogeneous("messages", 1), PermutationInvariant("n")),
    papers=(151,),
)
def power_mean(messages, xp, power=2.0):
    """(mean m^p)^(1 / p) of positive messages, p the power.

    >>> from softproof.derivations import value
    >>> value("power_mean", messages=[1.0, 7.0])
    5.0
    """
    p = xp.number(power)
    return xp.pow(xp.mean(xp.pow(messages, p)), 1 / p)


@power_mean.form("scaled by the largest")
def _(messages, xp, power=2.0):
    p, most = xp.number(power), xp.max(messages)
    return most * xp.pow(xp.mean(xp.pow(messages / most, p)), 1 / p)


@define(
    family="normalisation",
    source="BNPO: Beta Normalization Policy Optimization",
    arguments={
        "rewards": Vector("n"),
        "p": Real(lower=2.0**-10, upper=1 - 2.0**-10),
        "beta_function": Real(lower=2.0**-10),
    },
    output=("n",),
    parameters={
        "alpha": Parameter(1.5, 1.0, 16.0, values=(1.0,)),
        "beta": Parameter(1.5, 1.0, 16.0, values=(4.0,)),
    },
    facts=(Homogeneous("beta_function", 1), PermutationEquivariant("n")),
    papers=(145,),
)
def beta_normalized_advantage(rewards, p, beta_function, xp, alpha=1.5, beta=1.5):
    """(r - p) B / (p^(alpha - 1) (1 - p)^(beta - 1)): advantages over a Beta density at the mean p.

    B, the beta function of alpha and beta, is an argument: the arithmetics have no gamma function.

    >>> from softproof.derivations import value
    >>> value("beta_normalized_advantage", rewards=[1.0, 0.0], p=0.5, beta_function=1.0,
    ...       alpha=1.0, beta=1.0)
    [0.5, -0.5]
    """
    density = xp.pow(p, xp.number(alpha) - 1) * xp.pow(1 - p, xp.number(beta) - 1)
    return (rewards - p) * beta_function / density


@define(
    family="normalisation",
    source="Balle, Laparra, Simoncelli 2016, Density Modeling of Images, arXiv 1511.06281",
    arguments={
        "x": Vector("m"),
        "transform": Matrix("n", "m", shared=True),
        "beta": Vector("n", lower=2.0**-10, shared=True),
        "gamma": Matrix("n", "n", lower=0.0, shared=True),
    },
    output=("n",),
    parameters={
        "alpha": Parameter(2.0, 1.0, 4.0, values=(1.0,)),
        "eps": Parameter(0.5, 0.0, 1.0, values=(1.0,)),
    },
    facts=(PermutationEquivariant("n"), PermutationEquivariant("m")),
    papers=(255,),
)
def generalized_divisive_normalization(x, transform, beta, gamma, xp, alpha=2.0, eps=0.5):
    """z_i / (beta_i + sum_j gamma_ij |z_j|^alpha)^eps, z = H x, H the transform.

    >>> from softproof.derivations import value
    >>> value("generalized_divisive_normalization", x=[3.0], transform=[[1.0]], beta=[16.0],
    ...       gamma=[[1.0]])
    [0.6]
    """
    z = xp.dot(transform, x)
    pool = xp.dot(gamma, xp.pow(xp.abs(z), xp.number(alpha)))
    return z / xp.pow(beta + pool, xp.number(eps))


@define(
    family="normalisation",
    source="Ko et al. 2021, Learning to Pool in Graph Neural Networks, arXiv 2106.06210 (GNP)",
    arguments={"x": Vector("n", lower=2.0**-20)},
    parameters={
        "p": Parameter(2.0, 2.0**-4, 2.0**6, values=(1.0,)),
        "q": Parameter(0.5, -4.0, 4.0, values=(0.0, 1.0)),
    },
    facts=(Homogeneous("x", 1), PermutationInvariant("n")),
    papers=(218,),
)
def generalized_norm_pooling(x, xp, p=2.0, q=0.5):
    """(sum x^p)^(1 / p) / n^q of positive numbers: a sum, a mean, or nearly the largest.

    >>> from softproof.derivations import value
    >>> value("generalized_norm_pooling", x=[3.0, 4.0], q=0.0)
    5.0
    """
    power = xp.number(p)
    total = xp.pow(xp.sum(xp.pow(x, power)), 1 / power)
    return total / xp.pow(xp.number(len(x)), xp.number(q))


@generalized_norm_pooling.form("scaled by the largest")
def _(x, xp, p=2.0, q=0.5):
    power, most = xp.number(p), xp.max(x)
    total = most * xp.pow(xp.sum(xp.pow(x / most, power)), 1 / power)
    return total / xp.pow(xp.number(len(x)), xp.number(q))


@define(
    family="normalisation",
    source="An Informal Introduction to Multiplet Neural Networks",
    arguments={"x": Vector("n", lower=2.0**-20), "weights": Vector("n", lower=2.0**-20)},
    parameters={"p": Parameter(2.0, -(2.0**5), 2.0**5, values=(1.0, -1.0))},
    facts=(Homogeneous("x", 1), Homogeneous("weights", 0), PermutationInvariant("n")),
    papers=(220,),
)
def lehmer_mean(x, weights, xp, p=2.0):
    """sum w x^p / sum w x^(p - 1) of positive numbers.

    >>> from softproof.derivations import value
    >>> value("lehmer_mean", x=[1.0, 3.0], weights=[1.0, 1.0])
    2.5
    """
    power = xp.number(p)
    return xp.sum(weights * xp.pow(x, power)) / xp.sum(weights * xp.pow(x, power - 1))


@lehmer_mean.form("scaled by the largest")
def _(x, weights, xp, p=2.0):
    power, most = xp.number(p), xp.max(x)
    y = x / most
    return most * (xp.sum(weights * xp.pow(y, power)) / xp.sum(weights * xp.pow(y, power - 1)))
