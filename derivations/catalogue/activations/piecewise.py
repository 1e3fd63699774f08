"""Activations made of pieces, and activations with learned numbers."""

from fractions import Fraction

from ...definition import Parameter, define
from ...proofs.facts import Convex, Identity, Increasing, Range, SumsTo
from ...proofs.facts_of_arguments import At, Homogeneous
from ...signature import Real

# Klambauer et al. 2017, to 32 digits.
SELU_ALPHA = Fraction("1.6732632423543772848170429916717")
SELU_SCALE = Fraction("1.0507009873554804934193349852946")


@define(
    family="activations",
    source="Klambauer et al. 2017, Self-Normalizing Neural Networks, arXiv 1706.02515",
    arguments={"x": Real()},
    facts=(Increasing(), Range(lower=-2)),
    breakpoint_at_zero=True,
    papers=(24,),
)
def selu(x, xp):
    """SELU l x for x >= 0, l a (e^x - 1) below; mean 0 and variance 1 are kept.

    >>> from softproof.derivations import value
    >>> value("selu", x=1.0)
    1.0507009873554805
    """
    scale, alpha = xp.number(SELU_SCALE), xp.number(SELU_ALPHA)
    return scale * xp.by_sign(x, lambda v: v, lambda v: alpha * (xp.exp(v) - 1))


@selu.form("expm1")
def _(x, xp):
    scale, alpha = xp.number(SELU_SCALE), xp.number(SELU_ALPHA)
    return scale * xp.by_sign(x, lambda v: v, lambda v: alpha * xp.expm1(v))


@define(
    family="activations",
    source="A Method on Searching Better Activation Functions (CRReLU)",
    arguments={"x": Real()},
    parameters={"eps": Parameter(0.01, -1.0, 1.0, values=(0.5,))},
    facts=(Range(lower=-1),),
    papers=(90,),
)
def corrected_relu(x, xp, eps=0.01):
    """max(0, x) + eps x e^(-x^2 / 2).

    >>> from softproof.derivations import value
    >>> value("corrected_relu", x=0.0)
    0.0
    """
    return xp.positive_part(x) + xp.number(eps) * (x * xp.exp(-(x * x) / 2))


@define(
    family="activations",
    source="Vision Transformers for Single Image Dehazing (SoftReLU)",
    arguments={"x": Real()},
    parameters={"width": Parameter(1.0, 2.0**-10, 2.0**10, values=(0.125,))},
    facts=(
        Convex(),
        Identity("f(x) - f(-x) = x", lambda f, x: f(x) - f(-x) - x),
    ),
    papers=(138,),
    reconstructed="the form is known from a reimplementation, and the default width is not known",
)
def soft_relu(x, xp, width=1.0):
    """(x + sqrt(x^2 + a^2) - a) / 2, a the width.

    >>> from softproof.derivations import value
    >>> value("soft_relu", x=0.75)
    0.5
    """
    a = xp.number(width)
    return (x + xp.sqrt(x * x + a * a) - a) / 2


@define(
    family="activations",
    source="AF-KAN, its default: SiLU and quad1, before it is normalised over the data",
    arguments={"x": Real()},
    parameters={
        "low": Parameter(0.0, -(2.0**10), 2.0**10, values=(-1.0,)),
        "high": Parameter(1.0, -(2.0**10), 2.0**10, values=(2.0,)),
    },
    facts=(Range(lower=0),),
    papers=(142,),
)
def activation_bump(x, xp, low=0.0, high=1.0):
    """(silu(x - low) silu(high - x))^2: a bump of an activation from both sides.

    >>> from softproof.derivations import value
    >>> value("activation_bump", x=1.0)
    0.0
    """
    below, above = x - xp.number(low), xp.number(high) - x
    product = below * xp.sigmoid(below) * (above * xp.sigmoid(above))
    return product * product


@define(
    family="activations",
    source="Alexandridis et al. 2024, Adaptive Parametric Activation, arXiv 2407.08567",
    arguments={"x": Real()},
    parameters={
        "lam": Parameter(1.0, 2.0**-6, 2.0**6, values=(0.5, 8.0)),
        "kappa": Parameter(1.0, 2.0**-6, 2.0**6, values=(2.0,)),
    },
    facts=(Increasing(), Range(lower=0, upper=1)),
    papers=(196,),
)
def adaptive_parametric_activation(x, xp, lam=1.0, kappa=1.0):
    """(lam e^(-kappa x) + 1)^(-1 / lam): the sigmoid where lam is 1.

    As lam tends to 0 it tends to exp(-e^(-kappa x)).  Times x it is the paper's AGLU.

    >>> from softproof.derivations import value
    >>> value("adaptive_parametric_activation", x=0.0)
    0.5
    """
    level = xp.number(lam)
    return xp.pow(level * xp.exp(-xp.number(kappa) * x) + 1, -1 / level)


@adaptive_parametric_activation.form("log1p")
def _(x, xp, lam=1.0, kappa=1.0):
    level = xp.number(lam)
    return xp.exp(-xp.log1p(level * xp.exp(-xp.number(kappa) * x)) / level)


@define(
    family="activations",
    source="Neural networks with trainable matrix activation functions",
    arguments={"x": Real(), "negative": Real(), "positive": Real()},
    facts=(Homogeneous("x", 1), At(Range(lower=0), negative=0, positive=1)),
    papers=(204,),
    reconstructed=(
        "the entries of the matrix are piecewise constant; where they break, and what those off "
        "the diagonal depend on, was not found, so this is a diagonal entry that breaks at 0"
    ),
)
def two_slopes(x, negative, positive, xp):
    """A learned slope times x, one for x >= 0 and another below.

    >>> from softproof.derivations import value
    >>> value("two_slopes", x=-2.0, negative=0.5, positive=3.0)
    -1.0
    """
    return positive * xp.positive_part(x) - negative * xp.positive_part(-x)


@define(
    family="activations",
    source="Vargas et al. 2024, BiPer, arXiv 2404.01278, the forward pass",
    arguments={"x": Real()},
    parameters={"frequency": Parameter(1.0, 2.0**-6, 2.0**6, values=(20.0,))},
    facts=(Range(lower=-1, upper=1),),
    papers=(270,),
)
def binary_periodic(x, xp, frequency=1.0):
    """sign(sin(w x)), w the frequency; backwards it counts as sin(w x).

    >>> from softproof.derivations import value
    >>> value("binary_periodic", x=1.0)
    1.0
    """
    return 2 * xp.step(xp.sin(xp.number(frequency) * x)) - 1


@define(
    family="activations",
    source="Biswas et al. 2021, SAU: Smooth activation function, arXiv 2109.13210",
    arguments={"x": Real()},
    parameters={
        "slope": Parameter(0.25, 0.0, 1.0, values=(0.0,)),
        "sharpness": Parameter(1.0, 2.0**-6, 2.0**6, values=(16.0,)),
    },
    facts=(Convex(), Increasing()),
    papers=(276,),
)
def smoothed_leaky_relu(x, xp, slope=0.25, sharpness=1.0):
    """Leaky ReLU convolved with a Gaussian of deviation 1 / b, b the sharpness.

    (1 - a) phi(b x) / b + x (a + (1 - a) Phi(b x)), a the slope.

    >>> from softproof.derivations import value
    >>> value("smoothed_leaky_relu", x=0.0, slope=1.0)
    0.0
    """
    a, b = xp.number(slope), xp.number(sharpness)
    scaled = b * x
    return (1 - a) * xp.normal_pdf(scaled) / b + x * (a + (1 - a) * xp.normal_cdf(scaled))


@define(
    family="activations",
    source="Runje, Shankaranarayana 2023, Constrained Monotonic Neural Networks, with ELU",
    arguments={"x": Real()},
    facts=(Identity("f(x) + f(-x) = 0", lambda f, x: f(x) + f(-x)),),
    breakpoint_at_zero=True,
    papers=(292,),
)
def saturated_elu(x, xp):
    """The bounded monotone activation of ELU: elu(x + 1) - 1 below 0, and minus it at -x above.

    >>> from softproof.derivations import value
    >>> value("saturated_elu", x=-1.0)
    -1.0
    """

    def below(v):
        return xp.by_sign(v + 1, lambda w: w, lambda w: xp.exp(w) - 1) - 1

    return xp.by_sign(x, lambda v: -below(-v), below)


@define(
    family="activations",
    source="Zhu et al. 2025, Transformers without Normalization, arXiv 2503.10622 (DyT)",
    arguments={"x": Real(), "alpha": Real(), "gain": Real(), "bias": Real()},
    facts=(
        At(Homogeneous("gain", 1), bias=0),
        At(Range(lower=-1, upper=1), gain=1, bias=0),
        At(SumsTo(0), x=0, bias=0),
    ),
    papers=(192,),
)
def dynamic_tanh(x, alpha, gain, bias, xp):
    """g tanh(alpha x) + b, in the place of a normaliser.

    >>> from softproof.derivations import value
    >>> value("dynamic_tanh", x=0.0, alpha=0.5, gain=2.0, bias=0.25)
    0.25
    """
    return gain * xp.tanh(alpha * x) + bias


LEFT = (
    "-0.5054031199708174",
    "-0.42226581151983866",
    "-0.11807612951181953",
    "-0.011034134030615728",
)
MIDDLE = (
    "0.008526321541038084",
    "0.5",
    "0.3603292692789629",
    "0",
    "-0.037688200365904236",
    "0",
    "0.0018067462606141187",
)


def _polynomial(x, coefficients, xp):
    value = xp.number(Fraction(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        value = value * x + xp.number(Fraction(coefficient))
    return value


@define(
    family="activations",
    source="Dong et al. 2023, PUMA: Secure Inference of LLaMA-7B, arXiv 2307.12533",
    arguments={"x": Real()},
    facts=(Range(lower=-1),),
    papers=(303,),
)
def puma_gelu(x, xp):
    """GELU by polynomials: of degree 3 from -4, of degree 6 from -1.95, x from 3, 0 below -4.

    It jumps by up to 0.02 where the pieces meet.

    >>> from softproof.derivations import value
    >>> value("puma_gelu", x=4.0)
    4.0
    """

    def below(v):
        return xp.by_sign(v + 4, lambda w: _polynomial(w - 4, LEFT, xp), lambda w: xp.zeros(()))

    def inside(v):
        ends = xp.number(Fraction(195, 100))
        return xp.by_sign(
            v + ends, lambda w: _polynomial(w - ends, MIDDLE, xp), lambda w: below(w - ends)
        )

    return xp.by_sign(x - 3, lambda w: w + 3, lambda w: inside(w + 3))
