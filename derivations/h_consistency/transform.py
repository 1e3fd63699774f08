"""How far a small surrogate regret brings the 0-1 regret down: T_tau of comp-sum losses, derived.

Setting (Mao, Mohri, Zhong 2023, arXiv 2304.07288, sections 2 and 3).  Given x, classes have the
probabilities p_1 ... p_n; scores h have the softmax s, and the comp-sum loss of y is psi(s_y),

    psi(s) = (s^(tau-1) - 1) / (1 - tau),   psi(s) = -log s for tau = 1.

With C(p, s) = sum_y p_y psi(s_y), the conditional regret is C(p, s) less its infimum over s; that
of the 0-1 loss is b = max p - p_h, h the class with the largest score.  A convex T, T(0) = 0, that
bounds the first from below by T(b) gives, for every distribution and every symmetric and complete
set H of hypotheses, with minimizability gaps M and by Jensen's inequality,

    R01(h) - R01*(H) + M01(H) <= Gamma(R_tau(h) - R_tau*(H) + M_tau(H)),   Gamma = T^-1.

Derivation.  The regret is at least what is gained by sharing s_1 + s_2 anew between the most
likely class 1 and the predicted class 2, as s_2 >= s_1 and p_1 >= p_2.  It is least for s_1 = s_2
= sigma: so with p = (1 +- b)/2

    T(b; sigma) = C(p, (sigma, sigma)) - inf_s C(p, (s, 2 sigma - s)),

which ``derived`` finds by calculus.  (p_1 + p_2 = P < 1 gives P T(b/P; sigma), which is not less, T
being convex with T(0) = 0.)  T is proportional to sigma^(tau-1), and 1/n <= s_2 = sigma <= 1/2: the
least is at sigma = 1/2 for tau < 1, at sigma = 1/n for tau > 1.  The paper's T_tau is that.  T is
convex: by Minkowski's inequality (p_1^a + p_2^a)^(1/a), a = 1 / (2 - tau), is concave in p for
a <= 1 and convex for a >= 1.

A closed form that is right for small b, too: with b = tanh(t), r = 2 - tau, q = log cosh,

    T(b) = c expm1((1 - r) L) / (1 - r),   L = (r q(t / r) - q(t)) / (1 - r),   c = sigma^(tau-1),

since log ((1+b)^(1/r) + (1-b)^(1/r))/2 = q(t/r) + log(1 - b^2) / (2 r), and log(1 - b^2) = -2 q(t).
T_1 = L in the limit r -> 1: t tanh t - q(t).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
import mpmath
import sympy

from ..arithmetic.balls import Exact, ball

B, TAU, SIGMA = sympy.symbols("b tau sigma", positive=True)
BRANCHES = ("tau = 1", "tau < 2", "tau >= 2")


def psi(s: sympy.Expr, tau: sympy.Expr) -> sympy.Expr:
    """The comp-sum loss psi_tau of a class that has softmax s, as a formula.

    Parameters
    ----------
    s
        The softmax.
    tau
        The parameter of the loss.

    Returns
    -------
    Expr
        -log s for tau = 1, else (s^(tau - 1) - 1) / (1 - tau).
    """
    return -sympy.log(s) if tau == 1 else (s ** (tau - 1) - 1) / (1 - tau)


@dataclass(frozen=True)
class Derived:
    """T(b; sigma) of a branch, and the share of s_1 + s_2 that class 1 has at the infimum."""

    transform: sympy.Expr
    best_share: sympy.Expr


@functools.cache
def derived(branch: str) -> Derived:
    """T(b; sigma), found by SymPy from the conditional regret, for one of ``BRANCHES``.

    For tau < 2, psi is convex: the stationary point of C(p, (s, 2 sigma - s)) is the minimum.  With
    s = 2 sigma e^v / (1 + e^v) the logarithm of the ratio of both derivatives is linear in v.  For
    tau >= 2, psi is concave: the minimum is at an end, where class 1 has all.

    Parameters
    ----------
    branch
        One of `BRANCHES`.

    Returns
    -------
    Derived
        The transform, and the share of the likely class that is best.

    Examples
    --------
    >>> derived("tau = 1").best_share
    b/2 + 1/2
    """
    tau = sympy.Integer(1) if branch == "tau = 1" else TAU
    likely, predicted = (1 + B) / 2, (1 - B) / 2

    def conditional(s: sympy.Expr, rest: sympy.Expr) -> sympy.Expr:
        return likely * psi(s, tau) + predicted * psi(rest, tau)

    if branch == "tau >= 2":
        share = sympy.Integer(1)  # psi(0) = 1 / (tau - 1): 0^(tau - 1) is 0
        least = likely * psi(2 * SIGMA, tau) - predicted / (1 - tau)
    else:
        s, v = sympy.Symbol("s", positive=True), sympy.Symbol("v", real=True)
        slopes = [weight * -sympy.diff(psi(s, tau), s) for weight in (likely, predicted)]
        first, second = (sympy.expand_log(sympy.log(slope), force=True) for slope in slopes)
        # log s of both, as v = log s_1 - log s_2 and log s_2 = w.
        w = sympy.Symbol("w", real=True)
        equal = first.subs(sympy.log(s), v + w) - second.subs(sympy.log(s), w)
        (root,) = sympy.solve(sympy.expand(equal), v)
        ratio = sympy.exp(sympy.expand(root))
        share = sympy.simplify(ratio / (1 + ratio))
        least = conditional(2 * SIGMA * ratio / (1 + ratio), 2 * SIGMA / (1 + ratio))
    return Derived(conditional(SIGMA, SIGMA) - least, share)


def published(branch: str) -> sympy.Expr:
    """T(b; sigma) as the paper prints it, for sigma = 1/2 (tau < 1) and 1/n (tau > 1) alike.

    Parameters
    ----------
    branch
        One of `BRANCHES`.

    Returns
    -------
    Expr
        The formula in `B`, `TAU` and `SIGMA`.
    """
    if branch == "tau = 1":
        return (1 + B) / 2 * sympy.log(1 + B) + (1 - B) / 2 * sympy.log(1 - B)
    if branch == "tau >= 2":
        return SIGMA ** (TAU - 1) * B / (TAU - 1)
    mean = ((1 + B) ** (1 / (2 - TAU)) + (1 - B) ** (1 / (2 - TAU))) / 2
    return SIGMA ** (TAU - 1) / (1 - TAU) * (1 - mean ** (2 - TAU))


def excess_over_published(branch: str) -> sympy.Expr:
    """T as derived less T as published, simplified: 0 for tau < 2 and at tau = 2.

    For tau > 2 it is positive: the paper's branch is less than this derivation gives.

    Parameters
    ----------
    branch
        One of `BRANCHES`.

    Returns
    -------
    Expr
        The difference in `B`, `TAU` and `SIGMA`.

    Examples
    --------
    >>> [excess_over_published(branch) for branch in ("tau = 1", "tau < 2")]
    [0, 0]
    >>> sympy.factor(excess_over_published("tau >= 2").subs(TAU, 3))
    sigma**2*(b + 1)/2
    """
    difference = derived(branch).transform - published(branch)
    if branch == "tau = 1":
        logs = sympy.expand_log(difference.replace(sympy.log, lambda a: sympy.log(sympy.factor(a))))
        return sympy.simplify(sympy.expand(sympy.expand_log(logs, force=True)))
    if branch == "tau >= 2":
        return sympy.factor(sympy.expand(sympy.expand_power_base(sympy.expand(difference))))
    # 1 + b = P^(2 - tau), 1 - b = Q^(2 - tau), so that P^(2 - tau) + Q^(2 - tau) = 2.
    p, q = sympy.symbols("P Q", positive=True)
    powers = {1 + B: p ** (2 - TAU), 1 - B: q ** (2 - TAU)}
    named = {sympy.log(u): (2 - TAU) * sympy.log(v.base) for u, v in powers.items()}
    named |= {sympy.expand(u / 2): v / 2 for u, v in powers.items()}
    named |= {u ** (1 / (2 - TAU)): v.base for u, v in powers.items()}
    expression = difference.xreplace(named)
    expression = expression.replace(sympy.exp, lambda a: sympy.exp(sympy.expand(sympy.cancel(a))))
    expression = expression.replace(
        lambda e: e.is_Pow and e.exp == TAU - 1,
        lambda e: sympy.powsimp(sympy.expand_power_base(sympy.factor(e.base) ** e.exp)),
    )
    u, w = sympy.symbols("u w", real=True)  # log P, log Q: powers of exponentials collect
    collected = sympy.expand(sympy.simplify(expression).subs({p: sympy.exp(u), q: sympy.exp(w)}))
    constraint = {sympy.exp(2 * w - TAU * w): 2 - sympy.exp(2 * u - TAU * u)}
    scale = SIGMA ** (TAU - 1) / (TAU - 1)
    rest = sympy.expand(sympy.powsimp(sympy.expand(collected / scale)), power_exp=False)
    return sympy.simplify(sympy.simplify(rest).xreplace(constraint)) * scale


# --- in numbers: any precision, and balls ---


def sigma_of(tau: Exact, classes: int) -> Fraction:
    """The sigma of the paper's T: 1/2 for tau <= 1, 1/n above.

    Parameters
    ----------
    tau
        The parameter of the loss, finite and at least 0.
    classes
        n, at least 2.

    Returns
    -------
    Fraction
        The sigma.

    Raises
    ------
    ValueError
        If tau or the number of classes is out of range.
    """
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")
    if not 0 <= tau < math.inf:
        raise ValueError(f"tau must be finite and not negative, got {tau}")
    return Fraction(1, 2) if tau <= 1 else Fraction(1, classes)


def transform_ball(b: flint.arb, tau: Exact, classes: int) -> flint.arb:
    """The transform T_tau(b) in balls, at the precision of ``flint.ctx``.

    Parameters
    ----------
    b
        The 0-1 regret, a ball in [0, 1].
    tau
        The parameter of the loss, exact.
    classes
        n, at least 2; it counts for tau > 1.

    Returns
    -------
    arb
        An enclosure of T_tau(b).

    Raises
    ------
    ValueError
        As `sigma_of`.

    Examples
    --------
    >>> print(transform_ball(flint.arb(1) / 2, 0, 2))
    [0.133974596215562 +/- 9.11e-16]
    """
    t, sigma = ball(Fraction(tau)), ball(sigma_of(tau, classes))
    if tau == 1:
        return (_times_log(1 + b) + _times_log(1 - b)) / 2
    c = sigma ** (t - 1) / (t - 1)
    if tau >= 2:
        return c * b
    a = 1 / (2 - t)
    mean = (_power(1 + b, a) + _power(1 - b, a)) / 2
    return c * (mean ** (2 - t) - 1)


def _times_log(x: flint.arb) -> flint.arb:
    """X log x, 0 at 0; a ball that touches 0 gets [x log x at its top, 0] or more."""
    if x > 0:
        return x * x.log()
    top = x.upper()
    if top <= 0:
        return flint.arb(0)
    # x log x falls to -1/e and rises again: on [0, top] it is between -1/e (or its value, if
    # that is still falling) and 0 or its value.
    end = top * top.log()
    return end.union(flint.arb(0)).union(-(flint.arb(-1).exp()) if top > 0.36 else end)


def _power(x: flint.arb, exponent: flint.arb) -> flint.arb:
    """x^exponent for exponent > 0, 0 at 0."""
    if x > 0:
        return x**exponent
    top = x.upper()
    return (top**exponent).union(flint.arb(0)) if top > 0 else flint.arb(0)


def transform(b: Exact, tau: Exact, classes: int, precision: int = 53) -> Any:
    """The transform T_tau(b) in big floats, right to the last bit or nearly.

    Parameters
    ----------
    b
        The 0-1 regret, an exact number in [0, 1].
    tau
        The parameter of the loss, an exact number of at least 0.
    classes
        n, at least 2; it counts for tau > 1.
    precision
        The number of bits.

    Returns
    -------
    mpf
        T_tau(b).

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> float(transform(Fraction(3, 5), 0, 2))
    0.2
    >>> mpmath.nstr(transform(0.5, 1, 2, 100), 25)
    '0.1308120359411369591292018'
    """
    sigma = sigma_of(tau, classes)
    if not 0 <= b <= 1:
        raise ValueError(f"b must be in [0, 1], got {b}")
    context = _context(tau, precision)
    x, t = _number(context, b), _number(context, tau)
    c = _number(context, sigma) ** (t - 1)
    if tau >= 2:
        return _rounded(c * x / (t - 1), precision)
    length = context.log(2) if b == 1 else _length(context, context.atanh(x), 2 - t)
    value = length if tau == 1 else context.expm1((t - 1) * length) / (t - 1)
    return _rounded(c * value, precision)


def gamma(y: Exact, tau: Exact, classes: int, precision: int = 53) -> Any:
    """Gamma_tau(y), the b with T_tau(b) = y, in big floats.

    The equation L(t) = log1p((tau-1) y / c) / (tau-1) is solved for t = atanh(b), which both ends
    of the range leave well conditioned.

    Parameters
    ----------
    y
        The regret of the comp-sum loss, an exact number of at least 0.
    tau
        The parameter of the loss, an exact number of at least 0.
    classes
        n, at least 2; it counts for tau > 1.
    precision
        The number of bits.

    Returns
    -------
    mpf
        The b in [0, 1]; 1 where y >= T_tau(1).

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> float(gamma(0.2, 0, 2))
    0.6
    """
    sigma = sigma_of(tau, classes)
    if not 0 <= y < math.inf:
        raise ValueError(f"y must be finite and not negative, got {y}")
    context = _context(tau, precision)
    v, t = _number(context, y), _number(context, tau)
    v /= _number(context, sigma) ** (t - 1)
    if tau >= 2:
        return _rounded(min(v * (t - 1), context.mpf(1)), precision)
    length = v if tau == 1 else _log1p_or_none(context, (t - 1) * v, t - 1)
    if y == 0 or length is None or length >= context.log(2):
        return _rounded(context.mpf(0 if y == 0 else 1), precision)
    return _rounded(context.tanh(_root(context, length, 2 - t)), precision)


def _context(tau: Exact, precision: int) -> Any:
    context = mpmath.MPContext()
    off_one = abs(Fraction(tau) - 1)
    lost = max(0, -math.frexp(float(off_one))[1]) if off_one else 0
    context.prec = 2 * precision + 2 * lost + 40
    return context


def _number(context: Any, x: Exact) -> Any:
    exact = Fraction(x)
    return context.mpf(exact.numerator) / exact.denominator


def _rounded(x: Any, precision: int) -> Any:
    context = mpmath.MPContext()
    context.prec = precision
    return +context.mpf(x)


def _log1p_or_none(context: Any, x: Any, divisor: Any) -> Any:
    """log1p(x) / divisor; None for x <= -1, where y is beyond T(1)."""
    return context.log1p(x) / divisor if x > -1 else None


def _log_cosh(context: Any, t: Any) -> Any:
    if t < 1:
        return context.log1p(context.sinh(t) ** 2) / 2
    return t + context.log1p(context.exp(-2 * t)) - context.log(2)


def _length(context: Any, t: Any, r: Any) -> Any:
    """L(t) = (r q(t/r) - q(t)) / (1 - r), and t tanh t - q(t) for r = 1."""
    if r == 1:
        return t * context.tanh(t) - _log_cosh(context, t)
    return (r * _log_cosh(context, t / r) - _log_cosh(context, t)) / (1 - r)


def _root(context: Any, length: Any, r: Any) -> Any:
    """The t with L(t) = length < log 2: bisection, then Newton's method.

    sqrt(2 r length) is not above it: q(t) - t q'(t) >= -t^2 / 2 makes L(t) <= t^2 / (2 r).
    """
    low = context.sqrt(2 * r * length)
    high = 2 * low + 1
    while _length(context, high, r) < length:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if _length(context, middle, r) < length:
            low = middle
        else:
            high = middle
    t = (low + high) / 2
    for _ in range(2 + context.prec.bit_length()):
        slope = (
            t / context.cosh(t) ** 2
            if r == 1
            else (context.tanh(t / r) - context.tanh(t)) / (1 - r)
        )
        if slope == 0:
            break
        t -= (_length(context, t, r) - length) / slope
    return t
