"""Normalisation of a vector, and what replaces 1 / sqrt(variance) and is analytic there."""

from fractions import Fraction

from ...definition import Parameter, define
from ...proofs.facts import (
    GradientSumsTo,
    PermutationEquivariant,
    Range,
    ShiftInvariant,
    SumsTo,
)
from ...proofs.facts_of_arguments import At, GradientOrthogonalTo, Homogeneous, ReducesTo
from ...signature import Real, Vector

HALF = Fraction(1, 2)


@define(
    family="normalisers",
    source="Sao 2026, Ghosts of Softmax, arXiv 2603.13552, appendix 3",
    arguments={"v": Real()},
    parameters={"width": Parameter(default=1.0, lower=2.0**-64, upper=2.0**64)},
    facts=(Range(lower=0),),
)
def smoothed_rsqrt(v, xp, width=1.0):
    """1/sqrt smoothed by a Gaussian, e^(-v^2/4s^2) D_{-1/2}(-v/s) / sqrt(2s), s = width.

    The Weierstrass transform of f(u) = u^(-1/2) for u > 0, 0 for u <= 0, with s = width:

        E f(v + s Z) = (s sqrt(2 pi))^(-1) int_0^inf u^(-1/2) e^(-(u - v)^2 / (2 s^2)) du.

    With u = s w and x = v / s this is s^(-1/2) (2 pi)^(-1/2) e^(-x^2/2) int_0^inf w^(-1/2)
    e^(x w - w^2/2) dw, and that integral is Gamma(1/2) e^(x^2/4) D_{-1/2}(-x) (DLMF 12.5.1, which
    is U(0, -x) there).  Gamma(1/2) = sqrt(pi) leaves the constant C = 1 / sqrt(2 s).
    """
    x = v / xp.number(width)
    return xp.scaled_cylinder(-HALF, -x) / xp.sqrt(2 * xp.number(width))


@smoothed_rsqrt.derivative
def _(v, xp, width=1.0):
    x = v / xp.number(width)
    return xp.scaled_cylinder(HALF, -x) / xp.sqrt(2 * xp.number(width)) / xp.number(width)


@define(
    family="normalisation",
    source="Zhang, Sennrich 2019, arXiv 1910.07467, eq. (4); eps as in torch.nn.RMSNorm",
    arguments={"x": Vector("K"), "gain": Vector("K", shared=True)},
    output=("K",),
    parameters={"eps": Parameter(1e-6, 0.0, 1.0, values=(0.0, 2.0**-4))},
    facts=(
        At(Homogeneous("x", 0), eps=0),
        Homogeneous("gain", 1),
        PermutationEquivariant("K"),
        At(GradientOrthogonalTo("x"), eps=0),
    ),
    papers=(190,),
)
def rms_norm(x, gain, xp, eps=1e-6):
    """RMSNorm gain x / sqrt(mean x^2 + eps)."""
    return x / xp.sqrt(xp.mean(x * x) + xp.number(eps)) * gain


@rms_norm.form("reciprocal root")
def _(x, gain, xp, eps=1e-6):
    return x * xp.rsqrt(xp.mean(x * x) + xp.number(eps)) * gain


@rms_norm.form("scaled gain")
def _(x, gain, xp, eps=1e-6):
    return x * (xp.rsqrt(xp.mean(x * x) + xp.number(eps)) * gain)


@define(
    family="normalisation",
    source="Ba, Kiros, Hinton 2016, arXiv 1607.06450, eq. (3), (4); eps as in torch.nn.LayerNorm",
    arguments={
        "x": Vector("K"),
        "gain": Vector("K", shared=True),
        "bias": Vector("K", shared=True),
    },
    output=("K",),
    parameters={"eps": Parameter(1e-5, 0.0, 1.0, values=(0.0, 2.0**-4))},
    facts=(
        ShiftInvariant("x"),
        At(Homogeneous("x", 0), eps=0),
        At(SumsTo(0), gain=1, bias=0),
        PermutationEquivariant("K"),
        GradientSumsTo(0, "x"),
        At(
            ReducesTo(
                "rms_norm",
                lambda xp, x, gain, bias: {"x": x - xp.mean(x), "gain": gain},
                "x - mean x, gain",
            ),
            bias=0,
        ),
    ),
    papers=(14,),
)
def layer_norm(x, gain, bias, xp, eps=1e-5):
    """Layer norm gain c / sqrt(mean c^2 + eps) + bias, c = x - mean x."""
    c = x - xp.mean(x)
    return c / xp.sqrt(xp.mean(c * c) + xp.number(eps)) * gain + bias


@layer_norm.form("reciprocal root")
def _(x, gain, bias, xp, eps=1e-5):
    c = x - xp.mean(x)
    return c * xp.rsqrt(xp.mean(c * c) + xp.number(eps)) * gain + bias


@layer_norm.form("scale and bias")
def _(x, gain, bias, xp, eps=1e-5):
    """x s + (-mean s), s the reciprocal root: one multiplication and addition for each entry.

    Computed, this is s (x (1 + a) - mean (1 + b)) (1 + c) with |a|, |b|, |c| <= u, and two
    products that may underflow.  Both products have one s, whose error is a factor of their
    difference: written so, bounds know it.
    """
    mean = xp.mean(x)
    c = x - mean
    scale = xp.rsqrt(xp.mean(c * c) + xp.number(eps))
    difference = xp.rounded(x) - xp.rounded(mean)
    return xp.rounded(difference * scale) * gain + bias
