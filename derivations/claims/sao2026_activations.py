"""Sao 2026, Ghosts of Softmax, appendices 2 and 3: where activations cease to be analytic.

Phi and phi are the distribution function and the density of the standard normal distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import flint
import sympy

from ..arithmetic.balls import ball
from ..arithmetic.gaussian import Phi, ball_normal_cdf, ball_normal_pdf, ball_scaled_cylinder, phi
from ..catalogue import lookup
from ..proofs.prove import prove
from ..step_radius.activation_singularities import SLOPE, singularities
from .register import (
    COMPUTATION,
    PROOF,
    SEARCH,
    Verdict,
    attained,
    claim,
    confirmed,
    proven,
    refuted,
    require,
)
from .sao2026_bounds import softplus_series
from .sao2026_radius import GHOSTS, as_ball

BITS = 128
DENSITY_AT_0 = 1 / sympy.sqrt(2 * sympy.pi)
NORMALISATION = 1 / sympy.sqrt(2)
X = sympy.Symbol("x", real=True)
BETA = sympy.Symbol("beta", positive=True)
POINTS = tuple(Fraction(n, 4) for n in (-12, -5, -1, 0, 2, 7, 16))


def _distances(names: tuple[str, ...], distance: sympy.Expr) -> Verdict:
    found = {name: singularities(name) for name in names}
    for name, known in found.items():
        if known.distance_to_real_axis != distance:
            return refuted(
                f"{name} ({known.kind}): the nearest singularity is at the distance "
                f"{sympy.N(known.distance_to_real_axis, 8)}"
            )
    return proven(" ".join(f"{name}: {known.proof}" for name, known in found.items()))


@claim(
    "Sigmoid, SiLU (the gate of SwiGLU) and softplus have their nearest singularities at i pi, "
    "at the distance pi from the real axis.",
    GHOSTS,
    "appendix 2.2",
    PROOF,
    opposite={"distance": sympy.pi / 2},
)
def sigmoid_family(distance: sympy.Expr = sympy.pi) -> Verdict:
    """All zeros of 1 + e^x, and why none is removed."""
    return _distances(("sigmoid", "silu", "softplus"), distance)


@claim(
    "tanh has its nearest poles at i pi / 2, strictly nearer than the sigmoid family.",
    GHOSTS,
    "appendix 2.2",
    PROOF,
    opposite={"distance": sympy.pi},
)
def tanh_poles(distance: sympy.Expr = sympy.pi / 2) -> Verdict:
    """tanh x = 2 sigmoid(2 x) - 1."""
    return _distances(("tanh",), distance)


@claim(
    "Anything built from tanh, the tanh-GELU included, has its nearest pole at the distance pi / 2 "
    "from the real axis.",
    GHOSTS,
    "appendix 2.2 (the tanh family)",
    PROOF,
    opposite={"distance": singularities("gelu_tanh").distance_to_real_axis},
)
def tanh_gelu_poles(distance: sympy.Expr = sympy.pi / 2) -> Verdict:
    """pi / 2 is the distance in the argument of tanh, k (x + c x^3), not in x."""
    return _distances(("gelu_tanh",), distance)


@claim(
    "Exact GELU and all gates built from erf are entire: no finite singularity.",
    GHOSTS,
    "appendix 2.2",
    PROOF,
    opposite={"names": ("gelu", "gelu_tanh")},
)
def entire_activations(names: tuple[str, ...] = ("gelu", "normal_cdf", "gaussglu")) -> Verdict:
    """The integral of the entire function phi is entire."""
    return _distances(names, sympy.oo)


@claim(
    "ReLU, leaky ReLU and hardtanh are singular on the real axis, at their breakpoints.",
    GHOSTS,
    "appendix 2.2",
    PROOF,
    opposite={"slope": 1},
)
def kinks(slope: sympy.Expr = SLOPE) -> Verdict:
    """At a breakpoint the derivative jumps, unless the slopes on both sides are the same."""
    left, right = slope, sympy.S.One
    if sympy.simplify(right - left) == 0:
        return refuted("leaky ReLU of slope 1 is the identity, which is entire")
    return _distances(("relu", "leaky_relu", "hardtanh"), sympy.S.Zero)


@claim(
    "A singular neuron makes the loss singular: the radius of the network cannot exceed min_j "
    "rho_j.",
    GHOSTS,
    "appendix 2.1 (appendix 2.6 says otherwise)",
    PROOF,
    opposite={"neurons": 1},
)
def smallest_neuron_radius(neurons: int = 2) -> Verdict:
    """Neurons sigmoid(h), sigmoid(-h), added: the poles of one are those of the other.

    From below min_j rho_j does bound one layer: where every series converges, so does their sum.
    """
    u = sympy.Symbol("u", positive=True)  # e^h
    units = [u / (1 + u), 1 / (1 + u)][:neurons]
    total = sympy.cancel(sum(units))
    if sympy.denom(total) == 1:
        return refuted(
            f"sigmoid(h) + sigmoid(-h) = {total} is entire, though each has poles at i pi: poles "
            "can cancel, so min_j rho_j is no bound from above. From below it bounds one layer, "
            "where a sum of series that converge for |t| < min_j rho_j converges"
        )
    return proven("one neuron with a non-zero weight is as singular as its activation")


@claim(
    "Along a step the series of a neuron converges up to rho = min_s |s - h| / |h'|, over the "
    "singular points s of its activation.",
    GHOSTS,
    "equation (21)",
    SEARCH,
    opposite={"counts_preactivation": False},
)
def neuron_radius(counts_preactivation: bool = True, order: int = 400) -> Verdict:
    """Cauchy and Hadamard's limsup |c_n|^(1/n) = 1 / rho, for softplus(h + h' t), n <= 400.

    The opposite leaves h out, |s| / |h'|.  (A search: no number of coefficients proves a limsup.)
    """
    known, cases, worst = singularities("softplus"), 0, 0.0
    for h, rate in ((0.0, 1.0), (1.0, -2.0), (3.0, 0.5), (-2.0, 4.0)):
        cases += 1
        radius = float(known.radius(h if counts_preactivation else 0.0, rate))
        with flint.ctx.workprec(4 * order):
            coefficients = softplus_series(h, rate, order)
            # A conjugate pair of zeros makes the coefficients swing: the largest of a few tells.
            found = max(float(abs(coefficients[n]).root(n)) for n in range(order - 8, order + 1))
        # |c_n| = 2 |cos(n phi)| rho^-n / n, asymptotically.
        error = abs(found * radius * (order / 2) ** (1 / order) - 1)
        worst = max(worst, error)
        if error > 0.005:
            return refuted(
                f"softplus, h = {h}, h' = {rate}: the series says {1 / found:.4g}, the formula "
                f"{radius:.4g}",
                cases,
            )
    return confirmed(cases, f"softplus; order {order} agrees within {worst:.1%}")


@claim(
    "RIA, x Phi(beta x) + c phi(beta x) / beta with c = 1, has the derivative Phi(beta x) in "
    "(0, 1) and the second derivative beta phi(beta x) > 0: increasing, strictly convex; entire.",
    GHOSTS,
    "equation (22)",
    PROOF,
    opposite={"c": 2},
)
def ria(c: int = 1) -> Verdict:
    """SymPy's derivatives, with Phi' = phi and phi' = -x phi."""
    function = X * Phi(BETA * X) + c * phi(BETA * X) / BETA
    slope = sympy.expand(function.diff(X))
    if slope != Phi(BETA * X):
        return refuted(f"the derivative is {slope}")
    require(sympy.expand(function.diff(X, 2) - BETA * phi(BETA * X)) == 0)
    require(all(proof.proven for proof in prove(lookup("ria"))))
    return proven(
        f"by differentiation; {singularities('ria').proof} The facts that the definition "
        "declares are proven, too."
    )


@claim(
    "RIA tends to ReLU as beta grows: 0 < RIA - ReLU <= 1 / (beta sqrt(2 pi)).",
    GHOSTS,
    "equation (22); the rate is ours",
    PROOF,
    opposite={"constant": Fraction(39, 100)},
)
def ria_tends_to_relu(constant: Fraction | sympy.Expr = DENSITY_AT_0) -> Verdict:
    """The excess phi(t) - t Phi(-t), t = beta |x|, over beta falls from phi(0)."""
    t = sympy.Symbol("t", nonnegative=True)
    excess = phi(t) - t * (1 - Phi(t))
    require(sympy.expand(excess.diff(t) + 1 - Phi(t)) == 0)  # -Phi(-t) < 0
    # It is positive: it falls, and t Phi(-t) < phi(t), the integral of s phi(s) from t.
    if constant < DENSITY_AT_0:
        return refuted(f"at x = 0 it is phi(0) / beta = {sympy.N(DENSITY_AT_0, 6)} / beta")
    return attained("it falls with |x|, at the slope -Phi(-beta |x|), from phi(0) / beta to 0")


def _integral(
    integrand: Callable[[flint.acb], flint.acb], end: int, density: flint.arb
) -> flint.arb:
    """From 0 to `end`, and at most `density` for what lies beyond."""
    value = flint.acb.integral(lambda x, _: integrand(x), 0, end)
    return value.real + flint.arb(0, density)


def _ramp(x: flint.arb, scale: flint.arb, s: flint.acb) -> flint.acb:
    """s times the density at s of a normal law about x of deviation 1 / scale."""
    return s * scale * _normal((s - x) * scale)


def _normal(x: flint.acb) -> flint.acb:
    return (-x * x / 2).exp() / (2 * flint.arb.pi()).sqrt()


@claim(
    "RIA is ReLU convolved with a Gaussian of deviation 1 / beta.",
    GHOSTS,
    "appendix 3",
    COMPUTATION,
    opposite={"deviation": 2},
)
def ria_is_smoothed_relu(deviation: int = 1) -> Verdict:
    """beta = 1: the integral of s phi(s - x) over s > 0 by certified quadrature."""
    with flint.ctx.workprec(BITS):
        for x in POINTS:
            b, c = ball(x), ball(Fraction(1, deviation))
            # Beyond 40 the integrand is below s e^(-(s - 4)^2 / 8), and its integral below 1e-60.
            smoothed = _integral(partial(_ramp, b, c), 40, flint.arb("1e-60"))
            claimed = b * ball_normal_cdf(b) + ball_normal_pdf(b)
            if not smoothed.overlaps(claimed):
                return refuted(
                    f"at x = {x}: {float(smoothed):.8g} against {float(claimed):.8g}", len(POINTS)
                )
    # E max(0, x + xi) has the derivative P(xi > -x) = Phi(x), as RIA has, and both vanish at -inf.
    return proven(
        "both have the derivative Phi(beta x) and vanish at -inf; certified quadrature agrees",
        len(POINTS),
    )


def smoothed_rsqrt(v: flint.arb) -> flint.arb:
    """The smoothed 1/sqrt of equation (24) with sigma = 1, by certified quadrature.

    The substitution t = q^2 takes the singularity away.

    Parameters
    ----------
    v
        A ball.

    Returns
    -------
    arb
        An enclosure of the value.
    """
    root = flint.arb(2)
    # Beyond q = 6 the integrand is below e^(-(36 - 4)^2 / 2).
    return _integral(lambda q: root * _normal(q * q - v), 6, flint.arb("1e-60"))


@claim(
    "1 / sqrt(max(0, v)) smoothed by a Gaussian of deviation sigma is entire and equal to "
    "C e^(-v^2 / (4 sigma^2)) D_{-1/2}(-v / sigma), with C = (2 sigma)^(-1/2).",
    GHOSTS,
    "equation (24); the constant is ours",
    COMPUTATION,
    opposite={"constant": 1},
)
def analytic_normalisation(constant: sympy.Expr = NORMALISATION) -> Verdict:
    """From the integral representation of D_{-1/2} (DLMF 12.5.1), and by certified quadrature."""
    with flint.ctx.workprec(BITS):
        for v in POINTS:
            smoothed = smoothed_rsqrt(ball(v))
            closed = as_ball(constant) * ball_scaled_cylinder(Fraction(-1, 2), -ball(v))
            if not smoothed.overlaps(closed):
                return refuted(
                    f"sigma = 1, v = {v}: {float(smoothed):.8g} against {float(closed):.8g}",
                    len(POINTS),
                )
    return proven(
        "D_{-1/2}(-z) = e^(-z^2/4) / Gamma(1/2) integral of t^(-1/2) e^(-t^2/2 + z t) over t > 0 "
        f"(DLMF 12.5.1). {singularities('smoothed_rsqrt').proof}",
        len(POINTS),
    )


@claim(
    "The smoothed 1 / sqrt is E (max(0, v + xi) + eps)^(-1/2), xi ~ N(0, sigma^2), which random "
    "samples approach.",
    GHOSTS,
    "appendix 3.1 (randomized smoothing)",
    COMPUTATION,
    opposite={"below_zero": False},
)
def randomized_smoothing(below_zero: bool = True) -> Verdict:
    """Where v + xi < 0 the samples are eps^(-1/2), and equation (24) has 0 there.

    Where t = v + xi > 0, (t + eps)^(-1/2) is below t^(-1/2) by 2 sqrt(eps) together, times a
    density below 1/2.
    """
    with flint.ctx.workprec(BITS):
        exact = smoothed_rsqrt(flint.arb(0))
        for digits in (2, 4, 6):
            root = flint.arb(10) ** -digits  # sqrt(eps)
            mean = exact - flint.arb(0.5, 0.5) * root
            if below_zero:
                mean += ball_normal_cdf(flint.arb(0)) / root
            if not abs(mean - exact) <= 2 * root:
                return refuted(
                    f"sigma = 1, v = 0, eps = 1e-{2 * digits}: {float(mean):.4g} against "
                    f"{float(exact):.4g}, as half of the samples are eps^(-1/2); it grows without "
                    "a limit as eps falls",
                    1,
                )
    return proven("it tends to equation (24) if samples with v + xi <= 0 count as 0")
