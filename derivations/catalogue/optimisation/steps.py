"""Steps of optimisers."""

from ...definition import Parameter, define
from ...proofs.facts import PermutationEquivariant, PermutationInvariant, ShiftEquivariant
from ...proofs.facts_of_arguments import At, Homogeneous
from ...signature import Integer, Matrix, Real, Vector

MOMENTUM = Parameter(0.9, 0.0, 0.999, values=(0.5,))
SECOND_MOMENTUM = Parameter(0.999, 0.0, 0.9999, values=(0.5,))
RATE = Parameter(0.001, 0.0, 2.0**10, values=(0.5,))
EPS = Parameter(1e-8, 2.0**-40, 1.0, values=(0.5,))


@define(
    family="optimisation",
    source="Sven: Singular Value Descent, for a Jacobian of full row rank, without truncation",
    arguments={"jacobian": Matrix("m", "n"), "losses": Vector("m")},
    output=("n",),
    parameters={"rate": RATE},
    drawn_sizes=lambda sizes: {"m": min(sizes["m"], 3), "n": max(sizes["n"], 4)},
    facts=(
        Homogeneous("losses", 1),
        Homogeneous("jacobian", -1),
        PermutationEquivariant("n"),
        PermutationInvariant("m"),
    ),
    papers=(36,),
)
def singular_value_descent(jacobian, losses, xp, rate=0.001):
    """-eta J^+ l, the pseudo-inverse J^T (J J^T)^-1 of the losses' Jacobian applied to them.

    >>> from softproof.derivations import value
    >>> value("singular_value_descent", jacobian=[[2.0, 0.0]], losses=[4.0], rate=0.5)
    [-1.0, 0.0]
    """
    solved = xp.solve(xp.dot(jacobian, jacobian.T), losses)
    return -xp.number(rate) * xp.dot(jacobian.T, solved)


@define(
    family="optimisation",
    source="Gradient-Normalized Smoothness for Optimization with Approximate Hessians, the step",
    arguments={
        "gradient": Vector("n"),
        "factor": Matrix("m", "n"),
        "radius": Real(lower=2.0**-10),
    },
    output=("n",),
    facts=(
        PermutationEquivariant("n"),
        PermutationInvariant("m"),
        At(Homogeneous("gradient", 0), factor=0),
        At(Homogeneous("radius", 1), factor=0),
    ),
    papers=(180,),
)
def gradient_regularized_step(gradient, factor, radius, xp):
    """-(H + |g| / gamma I)^-1 g, H = A^T A an approximate Hessian and gamma the radius.

    A is the factor; the step is no longer than gamma.

    >>> from softproof.derivations import value
    >>> value("gradient_regularized_step", gradient=[3.0, 4.0], factor=[[0.0, 0.0]], radius=10.0)
    [-6.0, -8.0]
    """
    ridge = xp.sqrt(xp.sum(gradient * gradient)) / radius
    unit = [[xp.number(int(i == j)) for j in range(len(gradient))] for i in range(len(gradient))]
    return -xp.solve(xp.dot(factor.T, factor) + ridge * xp.array(unit), gradient)


def _power(x, count, xp):
    """x^count for a whole count."""
    return xp.pow(xp.number(x), xp.number(count)) if x else xp.number(int(count == 0))


@define(
    family="optimisation",
    source="Loshchilov, Hutter 2019, Decoupled Weight Decay, arXiv 1711.05101",
    arguments={
        "weight": Vector("n"),
        "m": Vector("n"),
        "v": Vector("n", lower=0.0),
        "gradient": Vector("n"),
        "step": Integer(1, 1000),
    },
    output={"next_weight": ("n",), "next_m": ("n",), "next_v": ("n",)},
    parameters={
        "rate": RATE,
        "decay": Parameter(0.01, 0.0, 1.0, values=(0.5,)),
        "beta1": MOMENTUM,
        "beta2": SECOND_MOMENTUM,
        "eps": EPS,
    },
    facts=(PermutationEquivariant("n"),),
    papers=(189,),
)
def adamw_step(
    weight, m, v, gradient, step, xp, rate=0.001, decay=0.01, beta1=0.9, beta2=0.999, eps=1e-8
):
    """w - eta (m' / (1 - b1^t) / (sqrt(v' / (1 - b2^t)) + eps) + lambda w), and m', v'.

    m' = b1 m + (1 - b1) g and v' = b2 v + (1 - b2) g^2; t counts steps from 1.

    >>> from softproof.derivations import value
    >>> value("adamw_step", weight=[1.0], m=[0.0], v=[0.0], gradient=[2.0], step=1, rate=0.5,
    ...       decay=0.0, beta1=0.5, beta2=0.5, eps=0.5)["next_weight"]
    [0.6]
    """
    first, second = xp.number(beta1), xp.number(beta2)
    next_m = first * m + (1 - first) * gradient
    next_v = second * v + (1 - second) * (gradient * gradient)
    mean = next_m / (1 - _power(beta1, step, xp))
    size = xp.sqrt(next_v / (1 - _power(beta2, step, xp))) + xp.number(eps)
    moved = weight - xp.number(rate) * (mean / size + xp.number(decay) * weight)
    return moved, next_m, next_v


@define(
    family="optimisation",
    source="Wright, Demeure 2021, Ranger21, arXiv 2106.13731 (its momentum and its denominator)",
    arguments={
        "m": Vector("n"),
        "former_m": Vector("n"),
        "v": Vector("n", lower=0.0),
        "gradient": Vector("n"),
        "step": Integer(1, 1000),
    },
    output=("n",),
    parameters={
        "beta1": MOMENTUM,
        "beta2": SECOND_MOMENTUM,
        "sharpness": Parameter(50.0, 1.0, 2.0**7, values=(8.0,)),
        "eps": EPS,
    },
    facts=(PermutationEquivariant("n"),),
    papers=(260,),
)
def ranger21_update(
    m, former_m, v, gradient, step, xp, beta1=0.9, beta2=0.999, sharpness=50.0, eps=1e-8
):
    """The direction of a step of Ranger21: positive-negative momentum over a softplus.

    m' = b1^2 former_m + (1 - b1^2) g, and the direction is (2 m' - m) / sqrt((1 + b2)^2 + b2^2)
    over softplus(s (sqrt(v' / (1 - b2^t)) + eps)) / s and 1 - b1^t, v' as in Adam, s the
    sharpness.  Clipping, centring, decay and look-ahead act before and after, and are not in it.

    >>> from softproof.derivations import value
    >>> value("ranger21_update", m=[2.0], former_m=[1.0], v=[0.0], gradient=[1.0], step=1)
    [0.0]
    """
    first, second = xp.number(beta1), xp.number(beta2)
    next_m = first * first * former_m + (1 - first * first) * gradient
    next_v = second * v + (1 - second) * (gradient * gradient)
    noise = xp.sqrt((1 + second) * (1 + second) + second * second)
    size = xp.sqrt(next_v / (1 - _power(beta2, step, xp))) + xp.number(eps)
    s = xp.number(sharpness)
    smooth = xp.softplus(s * size) / s
    return (2 * next_m - m) / noise / smooth / (1 - _power(beta1, step, xp))


@define(
    family="optimisation",
    source="Chen et al. 2023, Generalized-Smooth Nonconvex Optimization",
    arguments={"weight": Vector("n"), "gradient": Vector("n")},
    output=("n",),
    parameters={
        "rate": RATE,
        "beta": Parameter(0.5, 0.0, 1.0, values=(0.0, 1.0)),
    },
    facts=(ShiftEquivariant("weight"), PermutationEquivariant("n")),
    papers=(267,),
)
def normalized_gradient_step(weight, gradient, xp, rate=0.001, beta=0.5):
    """w - eta g / |g|^beta: from gradient descent (beta = 0) to normalised steps (beta = 1).

    >>> from softproof.derivations import value
    >>> value("normalized_gradient_step", weight=[1.0, 0.0], gradient=[4.0, 0.0], rate=0.5)
    [0.0, 0.0]
    """
    size = xp.pow(xp.sqrt(xp.sum(gradient * gradient)), xp.number(beta))
    return weight - xp.number(rate) * (gradient / size)
