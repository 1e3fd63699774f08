"""Activations: functions of one real, element by element."""

from fractions import Fraction

from ...definition import Parameter, define
from ...proofs.facts import Convex, Identity, Increasing, Range
from ...signature import Real

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
    papers=(112,),
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


HENDRYCKS_GIMPEL = (
    "Hendrycks, Gimpel 2016, Gaussian Error Linear Units, arXiv 1606.08415, section 2"
)
ABOVE_ITS_REFLECTION = Identity("f(x) - f(-x) = x", lambda f, x: f(x) - f(-x) - x)


@define(
    family="activations",
    source=HENDRYCKS_GIMPEL,
    arguments={"x": Real()},
    facts=(ABOVE_ITS_REFLECTION,),
    papers=(207,),
)
def gelu(x, xp):
    """GELU x Phi(x), Phi the distribution function of the normal distribution."""
    return x * xp.normal_cdf(x)


@gelu.derivative
def _(x, xp):
    return xp.normal_cdf(x) + x * xp.normal_pdf(x)


@gelu.form("erf")
def _(x, xp):
    """x (1 + erf(x / sqrt 2)) / 2, as in the paper: the sum cancels on the left."""
    return x * (1 + xp.erf(x / xp.sqrt(xp.number(2)))) / 2


@gelu.second_formula
@gelu.form("parabolic cylinder")
def _(x, xp):
    """With t = |x|, t Phi(-t) = phi(t) - e^(-t^2/4) D_{-2}(t) phi(0): it cancels near 0."""

    def tail(t):
        return xp.normal_pdf(t) - xp.scaled_cylinder(Fraction(-2), t) * xp.normal_pdf(xp.number(0))

    return xp.by_sign(x, lambda v: v - tail(v), lambda v: 0 - tail(-v))


@gelu.relation("x normal_cdf(x)", to="normal_cdf")
def _(phi, x, xp):
    return x * phi


CUBIC = Fraction(44715, 1_000_000)


def _tanh_argument(x, xp):
    """The argument sqrt(2 / pi) (x + 0.044715 x^3) of tanh."""
    return xp.sqrt(2 / xp.pi) * (x + xp.number(CUBIC) * (x * x * x))


@define(
    family="activations",
    source=HENDRYCKS_GIMPEL + ", the approximation by tanh",
    arguments={"x": Real()},
    facts=(ABOVE_ITS_REFLECTION,),
)
def gelu_tanh(x, xp):
    """Tanh-GELU x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2; the sum cancels on the left."""
    return x * (1 + xp.tanh(_tanh_argument(x, xp))) / 2


@gelu_tanh.derivative
def _(x, xp):
    p = xp.sigmoid(2 * _tanh_argument(x, xp))
    slope = xp.sqrt(2 / xp.pi) * (1 + 3 * xp.number(CUBIC) * (x * x))
    return p + 2 * x * p * (1 - p) * slope


@gelu_tanh.second_formula
@gelu_tanh.form("sigmoid")
def _(x, xp):
    """x sigmoid(2 u), as (1 + tanh u) / 2 = sigmoid(2 u): nothing cancels."""
    return x * xp.sigmoid(2 * _tanh_argument(x, xp))


@define(
    family="activations",
    source="Elfwing, Uchibe, Doya 2018, Neural Networks 107, arXiv 1702.03118, section 2",
    arguments={"x": Real()},
    facts=(ABOVE_ITS_REFLECTION,),
)
def silu(x, xp):
    """SiLU, or Swish, x sigmoid(x)."""
    return x * xp.sigmoid(x)


@silu.derivative
def _(x, xp):
    p = sigmoid(x, xp)
    return p * (1 + x * (1 - p))


@silu.form("quotient")
def _(x, xp):
    """x / (1 + e^-x): 0 where e^-x overflows."""
    return x / (1 + xp.exp(-x))


@silu.second_formula
@silu.form("tanh")
def _(x, xp):
    """x (1 + tanh(x / 2)) / 2: the sum cancels on the left."""
    return x * (1 + xp.tanh(x / 2)) / 2


@silu.relation("x sigmoid(x)", to="sigmoid")
def _(p, x, xp):
    return x * p


@define(
    family="activations",
    source="Misra 2019, arXiv 1908.08681, eq. (1)",
    arguments={"x": Real()},
    facts=(Range(lower=-1),),
    papers=(217,),
)
def mish(x, xp):
    """Mish x tanh(softplus(x)).

    >>> from softproof.derivations import value
    >>> value("mish", x=1.0)
    0.8650983882673103
    """
    return x * xp.tanh(xp.softplus(x))


@mish.form("powers of e^x")
def _(x, xp):
    """With n = e^x (e^x + 2), tanh(log(1 + e^x)) = n / (n + 2), which overflows before x does."""
    e = xp.exp(x)
    n = e * (e + 2)
    return x * (n / (n + 2))
