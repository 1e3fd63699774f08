"""Elementary functions of one real, of which other definitions are made."""

from ...definition import define
from ...proofs.facts import Convex, Identity, Increasing, Range, SumsTo
from ...proofs.facts_of_arguments import At
from ...signature import Real

LIBM = "ISO/IEC 9899:2018 (C17), section 7.12; DLMF"
ODD = Identity("f(x) + f(-x) = 0", lambda f, x: f(x) + f(-x))


@define(
    family="elementary functions",
    source=f"{LIBM} 4.2.19",
    arguments={"x": Real()},
    facts=(Increasing(), Convex(), Range(lower=0)),
)
def exp(x, xp):
    """Exponential function e^x."""
    return xp.exp(x)


@exp.derivative
def _(x, xp):
    return xp.exp(x)


@exp.second_formula
@exp.form("square of the root")
def _(x, xp):
    root = xp.exp(x / 2)
    return root * root


@exp.form("reciprocal")
def _(x, xp):
    """1 / e^-x: 0 where e^-x overflows, although e^x may be subnormal."""
    return 1 / xp.exp(-x)


@define(
    family="elementary functions",
    source=f"{LIBM} 4.2.19",
    arguments={"x": Real()},
    facts=(Increasing(), Convex(), Range(lower=-1)),
)
def expm1(x, xp):
    """Exponential function less one, e^x - 1: the difference cancels near 0."""
    return xp.exp(x) - 1


@expm1.derivative
def _(x, xp):
    return xp.exp(x)


@expm1.second_formula
@expm1.form("expm1")
def _(x, xp):
    return xp.expm1(x)


@expm1.relation("exp(x) - 1", to="exp")
def _(power, x, xp):
    return power - 1


@define(
    family="elementary functions",
    source=f"{LIBM} 4.2.1",
    arguments={"x": Real(lower=-1.0)},
    facts=(At(SumsTo(0), x=0),),
)
def log1p(x, xp):
    """Logarithm log(1 + x), x >= -1, as one function.

    (The logarithm of the sum 1 + x, which loses what x has below an ulp of 1, is no form of it: its
    error would be admitted.)
    """
    return xp.log1p(x)


@log1p.form("by sign")
def _(x, xp):
    """For x < 0 it is -log(1 + y), y = -x / (1 + x) > 0, where 1 + x is exact or near 1."""
    return xp.by_sign(x, xp.log1p, lambda v: 0 - xp.log1p((0 - v) / (1 + v)))


@define(
    family="elementary functions",
    source=f"{LIBM} 4.28.2",
    arguments={"x": Real()},
    facts=(Increasing(), Range(lower=-1, upper=1), ODD),
)
def tanh(x, xp):
    """Hyperbolic tangent 1 - 2 / (e^2x + 1): the difference cancels near 0."""
    return 1 - 2 / (xp.exp(2 * x) + 1)


@tanh.derivative
def _(x, xp):
    return 1 - xp.tanh(x) ** 2


@tanh.second_formula
@tanh.form("tanh")
def _(x, xp):
    return xp.tanh(x)


@tanh.form("expm1")
def _(x, xp):
    """-d / (2 + d), d = e^-2|x| - 1, with the sign of x: nothing cancels."""

    def of_positive(v):
        d = xp.expm1(-2 * v)
        return 0 - d / (2 + d)

    return xp.by_sign(x, of_positive, lambda v: 0 - of_positive(-v))


@define(
    family="elementary functions",
    source=f"{LIBM} 7.2.1",
    arguments={"x": Real()},
    facts=(Increasing(), Range(lower=-1, upper=1), ODD),
)
def erf(x, xp):
    """Error function, the integral of 2 / sqrt(pi) e^(-t^2) from 0 to x."""
    return xp.erf(x)


@erf.derivative
def _(x, xp):
    return 2 * xp.sqrt(xp.number(2)) * xp.normal_pdf(xp.sqrt(xp.number(2)) * x)


@erf.second_formula
@erf.form("normal distribution")
def _(x, xp):
    """2 Phi(sqrt(2) x) - 1: the difference cancels near 0."""
    return 2 * xp.normal_cdf(xp.sqrt(xp.number(2)) * x) - 1
