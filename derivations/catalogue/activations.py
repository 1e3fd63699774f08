"""Activations: functions of one real, element by element."""

from ..definition import Argument, define
from ..facts import Convex, Identity, Increasing, Range

GLOROT = "Glorot, Bordes, Bengio 2011, Deep sparse rectifier neural networks, AISTATS, section 3"


@define(
    family="activations",
    source="Verhulst 1838; Rumelhart, Hinton, Williams 1986, Nature 323",
    arguments=(Argument.REAL,),
    facts=(
        Increasing(),
        Range(lower=0, upper=1),
        Identity("f(x) + f(-x) = 1", lambda f, x: f(x) + f(-x) - 1),
    ),
)
def sigmoid(x, xp):
    """Logistic function 1 / (1 + e^-x)."""
    return 1 / (1 + xp.exp(-x))


@sigmoid.derivative
def _(x, xp):
    p = sigmoid(x, xp)
    return p * (1 - p)


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
    arguments=(Argument.REAL,),
    facts=(
        Increasing(),
        Convex(),
        Range(lower=0),
        Identity("f(x) - f(-x) = x", lambda f, x: f(x) - f(-x) - x),
    ),
)
def softplus(x, xp):
    """Softplus log(1 + e^x)."""
    return xp.log(1 + xp.exp(x))


@softplus.derivative
def _(x, xp):
    return sigmoid(x, xp)


@softplus.form("log1p")
def _(x, xp):
    return xp.by_sign(
        x,
        lambda v: v + xp.log1p(xp.exp(-v)),
        lambda v: xp.log1p(xp.exp(v)),
    )
