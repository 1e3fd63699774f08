"""Activations: functions of one real, element by element."""

from fractions import Fraction

from ..definition import Parameter, define
from ..proofs.facts import Convex, Identity, Increasing, Range
from ..signature import Real

GLOROT = "Glorot, Bordes, Bengio 2011, Deep sparse rectifier neural networks, AISTATS, section 3"


@define(
    family="activations",
    source="Verhulst 1838; Rumelhart, Hinton, Williams 1986, Nature 323",
    arguments={"x": Real()},
    facts=(
        Increasing(),
        Range(lower=0, upper=1),
        Identity("f(x) + f(-x) = 1", lambda f, x: f(x) + f(-x) - 1),
    ),
    two_class_case_of="softmax",
)
def sigmoid(x, xp):
    """Logistic function 1 / (1 + e^-x)."""
    return 1 / (1 + xp.exp(-x))


@sigmoid.derivative
def _(x, xp):
    p = sigmoid(x, xp)
    return p * (1 - p)


@sigmoid.second_formula
def _(x, xp):
    return xp.exp(x) / (1 + xp.exp(x))


@sigmoid.form("by sign")
def _(x, xp):
    return xp.by_sign(
        x,
        lambda v: 1 / (1 + xp.exp(-v)),
        lambda v: xp.exp(v) / (1 + xp.exp(v)),
    )


@define(
    family="activations",
    source=GLOROT,
    arguments={"x": Real()},
    facts=(
        Increasing(),
        Convex(),
        Range(lower=0),
        Identity("f(x) - f(-x) = x", lambda f, x: f(x) - f(-x) - x),
    ),
    two_class_case_of="logsumexp",
)
def softplus(x, xp):
    """Softplus log(1 + e^x)."""
    return xp.log(1 + xp.exp(x))


@softplus.derivative
def _(x, xp):
    return sigmoid(x, xp)


@softplus.second_formula
@softplus.form("log1p")
def _(x, xp):
    return xp.by_sign(
        x,
        lambda v: v + xp.log1p(xp.exp(-v)),
        lambda v: xp.log1p(xp.exp(v)),
    )


SAO = "Sao 2026, Ghosts of Softmax, arXiv 2603.13552, appendix 3"
# Slopes of the gate: beyond these bounds nothing is proven, and nobody has a use for them.
BETA = {"beta": Parameter(default=1.0, lower=2.0**-64, upper=2.0**64)}


@define(
    family="activations",
    source=SAO + " (the gate of GaussGLU); Hendrycks, Gimpel 2016, arXiv 1606.08415, section 2",
    arguments={"x": Real()},
    parameters=BETA,
    facts=(
        Increasing(),
        Range(lower=0, upper=1),
        Identity("f(x) + f(-x) = 1", lambda f, x: f(x) + f(-x) - 1),
    ),
)
def normal_cdf(x, xp, beta=1.0):
    """Distribution function Phi(beta x) of the normal distribution: the derivative of RIA."""
    return xp.normal_cdf(xp.number(beta) * x)


@normal_cdf.derivative
def _(x, xp, beta=1.0):
    beta = xp.number(beta)
    return beta * xp.normal_pdf(beta * x)


@define(
    family="activations",
    source=SAO,
    arguments={"x": Real()},
    parameters=BETA,
    facts=(
        Increasing(),
        Convex(),
        Identity("f(x) - f(-x) = x", lambda f, x: f(x) - f(-x) - x),
    ),
)
def ria(x, xp, beta=1.0):
    """Rectified integral activation x Phi(beta x) + phi(beta x) / beta: entire, tends to ReLU."""
    beta = xp.number(beta)
    return x * xp.normal_cdf(beta * x) + xp.normal_pdf(beta * x) / beta


@ria.derivative
def _(x, xp, beta=1.0):
    return normal_cdf(x, xp, beta)


@ria.second_formula
@ria.form("parabolic cylinder")
def _(x, xp, beta=1.0):
    """What exceeds ReLU, phi(t) - t Phi(-t) = e^(-t^2/4) D_{-2}(t) phi(0): no cancellation."""
    beta = xp.number(beta)

    def excess(t):
        return xp.scaled_cylinder(Fraction(-2), t) * xp.normal_pdf(xp.number(0)) / beta

    return xp.by_sign(x, lambda v: v + excess(beta * v), lambda v: excess(-beta * v))
