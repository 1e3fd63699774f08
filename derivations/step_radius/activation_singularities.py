"""Where activations cease to be analytic, and how far a step may move a preactivation.

A preactivation moves as h + h' t along a step of length t.  The Taylor series of f(h + h' t) in t
represents the activation exactly for |t| < rho,

    rho = min_s |s - h| / |h'|,                                                              (1)

the minimum over the singular points s of f: poles, branch points, and the kinks of a function made
of analytic pieces, where the series of one piece says nothing of the next (Sao, "Ghosts of
Softmax", arXiv 2603.13552, appendix 2).  Singularities that are removable do not count.
``softproof.kernels.step_radius.activation_radius`` computes (1) with directed rounding.

Paper and table: pi from the real axis for sigmoid, SiLU and softplus, none for what is made of
Phi, 0 for the ReLU family: agreed.  Of the tanh-GELU the paper says pi/2 in the argument of tanh;
in x itself its nearest singularities lie 2.7548 from the real axis, at x = +-0.6344 +- 2.7548 i.
Those of Mish, which the paper does not list, lie 3 pi / 4 = 2.3562 from it, at
x = log(2)/2 +- 3 pi i / 4.

>>> str(singularities("mish").distance_to_real_axis), singularities("gelu").entire
('3*pi/4', True)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy

from ..arithmetic.gaussian import D, Phi, phi
from ..definition import REGISTRY
from .partition import N

X = sympy.Symbol("x")  # complex
BETA, WIDTH = sympy.symbols("beta width", positive=True)
SLOPE = sympy.Symbol("slope", real=True)  # of leaky ReLU
CUBIC = sympy.Rational(44715, 1_000_000)  # the tanh-GELU as published
KAPPA = sympy.sqrt(2 / sympy.pi)


@dataclass(frozen=True)
class SingularitySet:
    """All singular points of an activation, with the proof that they are.

    ``points``: expressions in the integer symbol ``partition.N``, one point for each n, all n; or
    without it, one point.  Their imaginary parts do not shrink as n moves away from -1/2, on either
    side.  ``kind``: "none", "poles", "branch points", or "kinks", which lie on the real axis.
    """

    name: str
    function: sympy.Expr
    kind: str
    points: tuple[sympy.Expr, ...]
    proof: str

    @property
    def entire(self) -> bool:
        """Whether the function has no singular point at all."""
        return not self.points

    @property
    def distance_to_real_axis(self) -> sympy.Expr:
        """The least |Im s|: a lower bound of every distance; infinity where there is none.

        >>> singularities("silu").distance_to_real_axis, singularities("gelu").distance_to_real_axis
        (pi, oo)
        """
        return sympy.Min(*(sympy.Abs(sympy.im(p.subs(N, 0))) for p in self.points))

    def radius(self, h: float, slope: float, digits: int = 30) -> mpmath.mpf:
        """The distance to the nearest singular point in units of the step, equation (1), in big
        floats.

        The nearest point is found among ever larger |n|, up to the n whose imaginary parts alone
        are farther than the nearest point found.

        Parameters
        ----------
        h
            The pre-activation.
        slope
            h', its derivative along the step.
        digits
            How many decimal digits are computed.

        Returns
        -------
        mpf
            The radius; infinity for an entire function or a slope of 0.

        Examples
        --------
        >>> mpmath.nstr(singularities("silu").radius(4.0, -2.0), 10)  # sqrt(16 + pi^2) / 2
        '2.543108551'
        """
        with mpmath.workdps(digits + 10):
            centre, nearest = mpmath.mpf(h), mpmath.inf
            if slope == 0:
                return nearest
            for points in self._by_index(digits + 10):
                nearest = min([nearest, *(abs(s - centre) for s in points)])
                if min(abs(mpmath.im(s)) for s in points) > nearest:
                    break
            return +(nearest / abs(mpmath.mpf(slope)))

    def _by_index(self, digits: int) -> Iterator[list[Any]]:
        """Real points at once, then those of n and -1 - n for n = 0, 1, 2, ..."""
        lone = [p for p in self.points if not p.has(N)]
        if lone:
            yield [mpmath.mpmathify(sympy.N(p, digits)) for p in lone]
        lattices = [sympy.lambdify(N, p, "mpmath") for p in self.points if p.has(N)]
        if lattices:
            for n in itertools.count():
                yield [s(mpmath.mpf(k)) for s in lattices for k in (n, -1 - n)]


def zeros(function: sympy.Expr) -> tuple[sympy.Expr, ...]:
    """All complex zeros of a function of e^x, found by SymPy.

    Parameters
    ----------
    function
        An expression in `X`, rational in e^x.

    Returns
    -------
    tuple of Expr
        Expressions in the integer `N`, one for each root in e^x.

    Examples
    --------
    >>> zeros(1 + sympy.exp(X))
    (I*pi*(2*n + 1),)
    """
    u = sympy.Dummy("u")
    found = []
    for root in sympy.roots(sympy.numer(sympy.together(function.subs(sympy.exp(X), u))), u):
        lattice = sympy.solveset(sympy.exp(X) - root, X, sympy.S.Complexes)
        found.append(_tidy(lattice.lamda(N)))
    return tuple(found)


def _tidy(point: sympy.Expr) -> sympy.Expr:
    real, imaginary = sympy.expand_complex(point).as_real_imag()
    return sympy.simplify(real) + sympy.I * sympy.factor(imaginary)


def _of_sigmoid() -> SingularitySet:
    return SingularitySet(
        "sigmoid",
        1 / (1 + sympy.exp(-X)),
        "poles",
        zeros(1 + sympy.exp(X)),
        "e^x / (1 + e^x) is a quotient of entire functions. The denominator vanishes where "
        "e^x = -1, simply, as its derivative e^x is -1 there, and the numerator is -1: simple "
        "poles of residue 1.",
    )


def _of_silu() -> SingularitySet:
    return SingularitySet(
        "silu",
        X / (1 + sympy.exp(-X)),
        "poles",
        zeros(1 + sympy.exp(X)),
        "x times sigmoid: entire times simple poles, none of them at x = 0, so none is removed. "
        "The gate of SwiGLU is this function.",
    )


def _of_softplus() -> SingularitySet:
    return SingularitySet(
        "softplus",
        sympy.log(1 + sympy.exp(X)),
        "branch points",
        zeros(1 + sympy.exp(X)),
        "The logarithm of an entire function without zeros is analytic; at a zero of 1 + e^x, a "
        "simple one, it branches. Its derivative, sigmoid, has poles there.",
    )


def _of_tanh() -> SingularitySet:
    return SingularitySet(
        "tanh",
        sympy.tanh(X),
        "poles",
        tuple(_tidy(point / 2) for point in zeros(1 + sympy.exp(X))),
        "tanh x = 2 sigmoid(2 x) - 1: the poles of sigmoid, halved.",
    )


def _of_gelu() -> SingularitySet:
    return SingularitySet("gelu", X * Phi(X), "none", (), f"x times Phi: {_ENTIRE_PHI}")


def _of_gelu_tanh() -> SingularitySet:
    """With s = (sinh u + i cosh u / sqrt 3) / sqrt(c), c = CUBIC: x + c x^3 is i (2 cosh 3u) / (3
    sqrt(3 c)) at x = s, exactly; the test expands it.
    """
    u = sympy.acosh(3 * sympy.pi * (2 * N + 1) * sympy.sqrt(3 * CUBIC) / (4 * KAPPA)) / 3
    # For n < 0, the complex conjugates of n >= 0: 2 n + 1 changes sign.
    sign = sympy.sign(2 * N + 1)
    u = u.subs(2 * N + 1, sympy.Abs(2 * N + 1))
    across, up = sympy.sinh(u) / sympy.sqrt(CUBIC), sympy.cosh(u) / sympy.sqrt(3 * CUBIC)
    return SingularitySet(
        "gelu_tanh",
        X * (1 + sympy.tanh(KAPPA * (X + CUBIC * X**3))) / 2,
        "poles",
        (
            across + sympy.I * sign * up,
            -across + sympy.I * sign * up,
            -2 * sympy.I * sign * up,
        ),
        "Poles where k (x + c x^3) = i pi (2 n + 1) / 2, c = 0.044715, k = sqrt(2/pi), a cubic for "
        "each n. With cosh 3u = 3 pi |2 n + 1| sqrt(3 c) / (4 k), which is at least 1.08, its "
        "roots are, for n >= 0, (+-sinh u + i cosh u / sqrt 3) / sqrt c and -2 i cosh u / "
        "sqrt(3 c), and the conjugates for n < 0. All differ, so the zeros of cosh are simple and "
        "the argument's derivative does not vanish there; x = 0 is none of them: no pole is "
        "removed.",
    )


def _of_mish() -> SingularitySet:
    return SingularitySet(
        "mish",
        X * sympy.tanh(sympy.log(1 + sympy.exp(X))),
        "poles",
        zeros((1 + sympy.exp(X)) ** 2 + 1),
        "With u = 1 + e^x, tanh(log u) = (u^2 - 1) / (u^2 + 1), which is rational in u: at u = 0, "
        "a branch point of log u, the value is -1 and analytic, so the points i pi (2 n + 1) are "
        "removable. The poles are where u = +-i, e^x = -1 +- i. They are simple: d(u^2 + 1)/dx = "
        "2 u e^x is not 0, the numerator is -2, and x is not 0.",
    )


def _of_relu() -> SingularitySet:
    return _kinks("relu", sympy.Piecewise((X, X >= 0), (0, True)), 1)


def _of_leaky_relu() -> SingularitySet:
    return _kinks("leaky_relu", sympy.Piecewise((X, X >= 0), (SLOPE * X, True)), 1)


def _of_elu() -> SingularitySet:
    return _kinks("elu", sympy.Piecewise((X, X >= 0), (sympy.exp(X) - 1, True)), 2)


def _of_relu6() -> SingularitySet:
    return _kinks("relu6", sympy.Piecewise((0, X < 0), (X, X <= 6), (6, True)), 1, 0, 6)


def _of_hardtanh() -> SingularitySet:
    return _kinks("hardtanh", sympy.Piecewise((-1, X < -1), (X, X <= 1), (1, True)), 1, -1, 1)


def _kinks(name: str, function: sympy.Piecewise, order: int, *at: int) -> SingularitySet:
    jump = "the first derivative jumps" if order == 1 else "f' = 1 on both sides but f'' jumps"
    return SingularitySet(
        name,
        function,
        "kinks",
        tuple(sympy.Integer(point) for point in at or (0,)),
        f"The pieces are entire; {jump} where they meet, so no analytic function equals both.",
    )


_ENTIRE_PHI = (
    "Phi(x) = 1/2 + integral of phi from 0 to x, and the integral of the entire function phi is "
    "entire."
)


def _of_normal_cdf() -> SingularitySet:
    return SingularitySet("normal_cdf", Phi(BETA * X), "none", (), _ENTIRE_PHI)


def _of_ria() -> SingularitySet:
    function = X * Phi(BETA * X) + phi(BETA * X) / BETA
    return SingularitySet("ria", function, "none", (), f"Sums and products: {_ENTIRE_PHI}")


def _of_gaussglu() -> SingularitySet:
    value = sympy.Symbol("value")
    return SingularitySet(
        "gaussglu",
        value * Phi(BETA * X),
        "none",
        (),
        f"Entire in the value, which is a factor, and in the gate x: {_ENTIRE_PHI}",
    )


def _of_smoothed_rsqrt() -> SingularitySet:
    return SingularitySet(
        "smoothed_rsqrt",
        sympy.exp(-((X / WIDTH) ** 2) / 4)
        * D(-sympy.Rational(1, 2), -X / WIDTH)
        / sympy.sqrt(2 * WIDTH),
        "none",
        (),
        "D_nu(x) solves y'' = (x^2 / 4 - nu - 1/2) y, a linear equation with entire coefficients "
        "and leading coefficient 1: every solution is entire.",
    )


def _of_rsqrt() -> SingularitySet:
    return SingularitySet(
        "rsqrt",
        1 / sympy.sqrt(X),
        "branch points",
        (sympy.Integer(0),),
        "x^(-1/2) = e^(-log(x) / 2) is analytic but where log x is not; around 0 its sign changes.",
    )


_DERIVATIONS = {
    f.__name__.removeprefix("_of_"): f
    for f in (
        _of_sigmoid,
        _of_silu,
        _of_softplus,
        _of_tanh,
        _of_gelu,
        _of_gelu_tanh,
        _of_relu,
        _of_leaky_relu,
        _of_elu,
        _of_relu6,
        _of_hardtanh,
        _of_mish,
        _of_normal_cdf,
        _of_ria,
        _of_gaussglu,
        _of_rsqrt,
        _of_smoothed_rsqrt,
    )
}
NAMES = tuple(_DERIVATIONS)
for _name in REGISTRY.keys() & _DERIVATIONS.keys():
    REGISTRY[_name].singularities = _DERIVATIONS[_name]


def singularities(name: str) -> SingularitySet:
    """The singular points of an activation.

    Parameters
    ----------
    name
        One of `NAMES`.

    Returns
    -------
    SingularitySet
        Its poles, branch points or kinks, as expressions in the integer n.

    Raises
    ------
    ValueError
        If there is no such activation.

    Examples
    --------
    >>> singularities("tanh").points
    (I*pi*(2*n + 1)/2,)
    >>> singularities("elu").points, singularities("elu").kind
    ((0,), 'kinks')
    """
    if name not in _DERIVATIONS:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    return _DERIVATIONS[name]()
