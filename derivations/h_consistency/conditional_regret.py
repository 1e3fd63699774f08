"""Conditional regrets of comp-sum losses in balls, and their true infimum at a 0-1 regret of b.

Notation as in ``consistency``: C(p, s) = sum_y p_y psi(s_y) over the simplex of softmax outputs s,
psi(s) = (s^(tau-1) - 1) / (1 - tau); a = 1 / (2 - tau). Infima are over the closed simplex; finite
scores come as near as one likes.

*Least C.* tau < 2: psi is convex; the Lagrange condition p_y s_y^(tau-2) = const gives s ~ p^a and
C* = (Z^(2-tau) - 1) / (1 - tau), Z = sum p^a, or the entropy for tau = 1. tau >= 2: psi is
concave, the minimum is at a vertex: C* = (1 - max p) / (tau - 1).

*Least C where class h has the largest score.* tau < 2: by convexity and the conditions of Karush,
Kuhn and Tucker, the classes J that tie with h at the optimum are h and the most likely ones, as
many as are above the mean of J; J counts as |J| classes of that mean, and the rest is as before.
tau >= 2: at a vertex of {s : s_h >= s_j}, which is uniform on a set J with h: the best J of each
size is h and the most likely others.

**Theorem** (the infimum F(b) of the conditional regret over all p on n classes and all s that
predict a class of 0-1 regret b; T_tau is the paper's, with sigma = 1/2 or 1/n).

1. tau <= 1: F = T_tau: tight, attained in the limit s -> (1/2, 1/2, 0 ...) at p = ((1+b)/2,
   (1-b)/2, 0 ...).
2. 1 < tau <= 3/2: F is T_tau *for two classes*, whatever n is, with the same p and s: for n > 2
   the paper's T_tau, (2/n)^(tau-1) times that, is not tight at any b > 0.
3. 3/2 < tau < 2: (tau - 1) F(b) = min over k = 2 ... n and y of g_k(y), see ``_Family``. At b = 1
   again F = T_tau for two classes.
4. tau >= 2: (tau - 1) F(b) = min(b, min_k m - k^(1-tau) min(1, k m - b)), k = 2 ... n, m = max(b,
   (1 + b) / n): T_tau is attained for tau = 2 and b <= 1/(n-1), and nowhere else at b > 0.

Proof. Let p_1 = max p and h = 2, p_2 = p_1 - b, N = (sum p^a)^(1/a), so that the regret is (N - V)
/ (tau - 1) with V the same for p averaged over J; J holds 1, as p_1 > p_2.

*1.* Take J = {1, 2} (a relaxation: only s_2 >= s_1 is asked for), q = p_1 - b/2, R = sum_(j>2)
p_j^a. For tau < 1, 1/a > 1: the regret ((2 q^a + R)^(1/a) - (p_1^a + p_2^a + R)^(1/a)) / (1 - tau)
rises with R, as p_1^a + p_2^a <= 2 q^a; with R = 0 it is 2 q f(b / (2 q)), f = T_tau, which is
convex with f(0) = 0: least for the largest q, 1/2. For tau = 1 R drops out.

*2.* Let c be the mean of J, k = |J|. Classes outside J have p_j <= c, so V^a <= c^(a-1) (k c +
sum_(j not in J) p_j) = c^(a-1) =: w. Inside, p_j >= c for j > 2, so q <= c; sum_J p^a, which is
convex, is least, given c and b, where p_j = q = c for all j > 2: to raise those and lower p_1 and
p_2 alike changes it there by c^(a-1) - ((c + b/2)^(a-1) + (c - b/2)^(a-1)) / 2 >= 0, a - 1 <= 1.
So N^a - V^a >= e(c) = (c + b/2)^a + (c - b/2)^a - 2 c^a, and as (V^a + e)^(1/a) - V falls with V,
(tau - 1) regret >= (w + e)^(1/a) - w^(1/a). e' = a ((c + b/2)^(a-1) + (c - b/2)^(a-1) - 2 c^(a-1))
<= 0, again by a - 1 <= 1, and w' >= 0: the bound falls with c, and c <= 1/2, as k >= 2. At c = 1/2
it is T_tau for two classes.

*3.* Moving probability between two classes outside J changes N^a and V^a alike, and N - V falls as
that grows; p^a being convex, it is least at an extreme point of {p_j <= c}: all but one are 0 or
c, those at c may join J. This leaves J with k classes, one y <= c and zeros. Inside J, only N
matters and is convex: the k - 2 classes other than 1 and 2 are equal. (``infimum`` encloses the
minimum.)

*4.* The regret is (p_1 - max_J |J|^(1-tau) sum_J p) / (tau - 1), J = {2} giving b. For |J| = k it
is least where the k - 1 others are as likely as p_1 allows: p_1 - k^(1-tau) min(1, k p_1 - b).
That rises with p_1 (k^(2-tau) <= 1), of which the least is m: n p_1 - b >= 1, p_2 >= 0.

For a distribution over many x the best function is the convex hull of F; in 1 and 2 F is convex.
Where F >= c T_tau for all b with some c > 1, so is the hull, T_tau being convex: no distribution
attains the paper's bound, then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint

from ..arithmetic.balls import Exact, ball


def _exact_tau(tau: Exact) -> Fraction:
    exact = Fraction(tau)
    if exact < 0:
        raise ValueError(f"tau must not be negative, got {tau}")
    return exact


def _power(x: flint.arb, exponent: flint.arb) -> flint.arb:
    """x^exponent for x >= 0 and exponent > 0."""
    if x > 0:
        return x**exponent
    top = x.upper()
    return (top**exponent).union(flint.arb(0)) if top > 0 else flint.arb(0)


def _sum(terms: Any) -> flint.arb:
    return sum(terms, flint.arb(0))


def psi(s: flint.arb, tau: Exact) -> flint.arb:
    """The comp-sum loss psi_tau of a class that has softmax s.

    Parameters
    ----------
    s
        The softmax, a ball in [0, 1].
    tau
        The parameter of the loss, exact, at least 0.

    Returns
    -------
    arb
        The loss; +inf at s = 0 for tau <= 1.
    """
    t = ball(_exact_tau(tau))
    if tau == 1:
        return -s.log()
    return (s ** (t - 1) - 1) / (1 - t) if s > 0 else _loss_at_zero(t)


def _loss_at_zero(t: flint.arb) -> flint.arb:
    return 1 / (t - 1) if t > 1 else flint.arb("inf")


def conditional_error(p: Sequence[Exact], s: Sequence[flint.arb], tau: Exact) -> flint.arb:
    """C(p, s) = sum_y p_y psi(s_y), over the classes with p_y > 0.

    Parameters
    ----------
    p
        The probabilities of the classes, exact.
    s
        The softmax of the scores, one ball for each class.
    tau
        The parameter of the loss.

    Returns
    -------
    arb
        The conditional error.

    Examples
    --------
    >>> print(conditional_error([1.0, 0.0], [flint.arb(1) / 4, flint.arb(3) / 4], 2))
    0.750000000000000
    """
    return _sum(ball(q) * psi(v, tau) for q, v in zip(p, s, strict=True) if q > 0)


def least_error(p: Sequence[Exact], tau: Exact) -> flint.arb:
    """The infimum C*(p) of the conditional error over all s, in closed form.

    Parameters
    ----------
    p
        The probabilities of the classes, exact.
    tau
        The parameter of the loss.

    Returns
    -------
    arb
        An enclosure of the infimum.

    Examples
    --------
    >>> least_error([0.5, 0.5], 0).contains(1)
    True
    """
    return _least_of(sorted((Fraction(q) for q in p), reverse=True), tau)


def least_error_predicting(p: Sequence[Exact], h: int, tau: Exact) -> flint.arb:
    """The infimum of C(p, s) over all s in which class h has the largest entry, in closed form.

    Parameters
    ----------
    p
        The probabilities of the classes, exact.
    h
        The index of the class that is predicted.
    tau
        The parameter of the loss.

    Returns
    -------
    arb
        An enclosure of the infimum.

    Examples
    --------
    >>> print(least_error_predicting([1.0, 0.0], 1, 2))
    0.500000000000000
    """
    exact = [Fraction(q) for q in p]
    own = exact.pop(h)
    others = sorted(exact, reverse=True)
    if tau >= 2:
        t = ball(_exact_tau(tau))
        best, total = flint.arb(0), Fraction(0)
        for k, q in enumerate([own, *others], 1):
            total += q
            best = best.max(ball(total) * flint.arb(k) ** (1 - t))
        return (1 - best) / (t - 1)
    total, k = own, 1
    while k <= len(others) and others[k - 1] * k > total:  # above the mean of those before it
        total += others[k - 1]
        k += 1
    return _least_of([total / k] * k + others[k - 1 :], tau)


def _least_of(p: list[Fraction], tau: Exact) -> flint.arb:
    """C* of probabilities, for tau >= 2 with the largest first."""
    t = ball(_exact_tau(tau))
    if tau >= 2:
        return (1 - ball(p[0])) / (t - 1)
    if tau == 1:
        return -_sum(ball(q) * ball(q).log() for q in p if q)
    a = 1 / (2 - t)
    return (_sum(ball(q) ** a for q in p if q) ** (2 - t) - 1) / (1 - t)


def certified_least_error(
    p: Sequence[Exact], s: Sequence[Exact], tau: Exact, h: int | None = None
) -> flint.arb:
    """An enclosure of the infimum of C from any feasible s: for tau <= 2, where C is convex in s.

    C(p, s) is above it, and below it is the tangent plane's least value on the feasible set, C +
    min over its vertices v of <grad C, v - s>: those of the simplex, or, where class h must have
    the largest entry, the uniform ones on sets with h. The nearer s is to the optimum, the tighter.
    It knows nothing of the closed forms.

    Parameters
    ----------
    p
        The probabilities of the classes, exact.
    s
        Positive numbers that sum to 1, exact.
    tau
        The parameter of the loss, at most 2.
    h
        The class that must have the largest entry; None: any.

    Returns
    -------
    arb
        A ball that holds the infimum.

    Raises
    ------
    ValueError
        If s is not feasible, or tau is above 2.

    Examples
    --------
    >>> print(certified_least_error([0.5, 0.5], [0.5, 0.5], 0))
    1.00000000000000
    """
    if tau > 2:
        raise ValueError(f"C is convex for tau <= 2 alone, got {tau}")
    exact = [Fraction(v) for v in s]
    if sum(exact) != 1 or min(exact) <= 0 or (h is not None and exact[h] < max(exact)):
        raise ValueError("s must be positive, add up to 1 exactly, and be largest at h")
    t, balls = ball(_exact_tau(tau)), [ball(v) for v in exact]
    value = conditional_error(p, balls, tau)
    slopes = [-ball(q) * v ** (t - 2) for q, v in zip(p, balls, strict=True)]
    at_s = _sum(g * v for g, v in zip(slopes, balls, strict=True))
    if h is None:
        least = slopes[0]
        for g in slopes[1:]:
            least = least.min(g)
    else:
        others = sorted((g for k, g in enumerate(slopes) if k != h), key=lambda g: float(g.mid()))
        least = total = slopes[h]
        for k, g in enumerate(others, 2):
            total += g
            least = least.min(total / k)
    return value.union(value + least - at_s)


# --- minimizability gaps ---


@dataclass(frozen=True)
class Point:
    """A point x of a finite distribution: its weight, its block, and the classes' probabilities."""

    weight: Fraction
    block: int
    p: tuple[Fraction, ...]


def minimizability_gap(points: Sequence[Point], tau: Exact | None) -> flint.arb:
    """M(H) = R*(H) - E[inf_s C(p_x, s)] of the comp-sum loss, or of the 0-1 loss for tau None.

    H: all hypotheses that are constant on each block of points, which is symmetric and complete. A
    block with mean m of its p has the error C(m, s), linear in p: R*(H) = sum of w C*(m), in closed
    form. (M is 0 if each point is a block.)

    Parameters
    ----------
    points
        The points of the distribution, with their weights, blocks and probabilities.
    tau
        The parameter of the comp-sum loss; None for the 0-1 loss.

    Returns
    -------
    arb
        An enclosure of the gap.

    Examples
    --------
    >>> pair = [Point(Fraction(1, 2), 0, (Fraction(1), Fraction(0))),
    ...         Point(Fraction(1, 2), 0, (Fraction(0), Fraction(1)))]
    >>> print(minimizability_gap(pair, None))
    0.500000000000000
    """

    def least(p: Sequence[Fraction]) -> flint.arb:
        return ball(1 - max(p)) if tau is None else least_error(p, tau)

    gap = flint.arb(0)
    for block in sorted({x.block for x in points}):
        here = [x for x in points if x.block == block]
        weight = sum((x.weight for x in here), Fraction(0))
        mean = [
            sum((x.weight * q for x, q in zip(here, column, strict=True)), Fraction(0)) / weight
            for column in zip(*(x.p for x in here), strict=True)
        ]
        gap += ball(weight) * least(mean) - _sum(ball(x.weight) * least(x.p) for x in here)
    return gap


# --- the infimum at a 0-1 regret of b ---


@dataclass(frozen=True)
class Infimum:
    """F(b) enclosed, and the distribution that attains the upper end: class 2 is predicted."""

    value: flint.arb
    distribution: tuple[float, ...]
    tied: int  # classes of the largest score


def infimum(b: Exact, tau: Exact, classes: int, tolerance: float = 2.0**-10) -> Infimum:
    """The infimum of the conditional regret over all p, and all s of 0-1 regret b.

    A tight ball in closed form, except for 3/2 < tau < 2: there a certified minimisation.

    Parameters
    ----------
    b
        The 0-1 regret, exact, in [0, 1].
    tau
        The parameter of the loss.
    classes
        n, at least 2.
    tolerance
        The relative width to which the minimisation goes.

    Returns
    -------
    Infimum
        The value, with a p that attains or nearly attains it.

    Raises
    ------
    ValueError
        If b or the number of classes is out of range.

    Examples
    --------
    >>> print(infimum(1, 2, 3).value)
    0.500000000000000
    """
    if not 0 <= b <= 1:
        raise ValueError(f"b must be in [0, 1], got {b}")
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")
    exact, t = Fraction(b), _exact_tau(tau)
    if b == 0:
        return Infimum(flint.arb(0), (1 / classes,) * classes, classes)
    if t >= 2:
        return _infimum_concave(exact, t, classes)
    pair = ((1 + exact) / 2, (1 - exact) / 2)
    two = least_error_predicting(pair, 1, t) - least_error(pair, t)
    value = Infimum(two, (float(pair[0]), float(pair[1])) + (0.0,) * (classes - 2), 2)
    if t <= Fraction(3, 2) or classes == 2 or b == 1:
        return value
    return _infimum_between(exact, t, classes, tolerance)


def _infimum_concave(b: Fraction, tau: Fraction, classes: int) -> Infimum:
    t, top = ball(tau), max(b, (1 + b) / classes)
    best, size = ball(b), 1
    for k in range(2, classes + 1):
        value = ball(top) - flint.arb(k) ** (1 - t) * ball(min(Fraction(1), k * top - b))
        if value.mid() < best.mid():
            best, size = best.min(value), k
        else:
            best = best.min(value)
    rest, p = 1 - top - (top - b), [top, top - b]
    for _ in range(classes - 2):
        p.append(min(rest, top))
        rest -= p[-1]
    return Infimum(best / (t - 1), tuple(map(float, p)), size)


def _infimum_between(b: Fraction, tau: Fraction, classes: int, tolerance: float) -> Infimum:
    """min_k min_y g_k(y): from above by y = 0, from below by subdivision."""
    families = [_Family(k, ball(b), ball(1 / (2 - tau))) for k in range(2, classes + 1)]
    ends = [family.value(Fraction(0)) for family in families]
    least = min(range(len(ends)), key=lambda i: float(ends[i].mid()))
    upper = ends[least]
    goal = upper.lower() * (1 - flint.arb(tolerance))
    proven = flint.arb(upper.lower())
    for family in families:
        last = Fraction(0) if family.size == classes else Fraction(1, family.size + 1)
        proven = proven.min(family.lower_bound(last, goal))
    divisor = ball(tau) - 1
    largest, x = families[least].shape(flint.arb(1))
    p = [largest, largest - ball(b)] + [x] * (families[least].size - 2)
    distribution = tuple(float(v.mid()) for v in p) + (0.0,) * (classes - len(p))
    return Infimum(proven.union(upper) / divisor, distribution, families[least].size)


@dataclass(frozen=True)
class _Family:
    """p = (M, M - b, x ... x, y, 0 ...), the first k classes tied: a > 2, 0 <= y <= (1 - y) / k.

    With m = 1 - y, g_k(y) = (A(m) + y^a)^(1/a) - (k (m/k)^a + y^a)^(1/a), where A(m) is the least
    M^a + (M - b)^a + (k - 2) x^a with 2 M - b + (k - 2) x = m, M >= b: a convex problem, with
    x^(a-1) = (M^(a-1) + (M - b)^(a-1)) / 2 at its optimum unless M = b.
    """

    size: int
    b: flint.arb
    a: flint.arb

    def shape(self, m: flint.arb) -> tuple[flint.arb, flint.arb]:
        """M and x near the optimum, exact numbers with 2 M - b + (k - 2) x near m."""
        if self.size == 2:
            return (m + self.b) / 2, flint.arb(0)
        b, a, whole, count = (float(v.mid()) for v in (self.b, self.a, m, flint.arb(self.size - 2)))

        def mass(top: float) -> float:
            mean = (top ** (a - 1) + max(top - b, 0.0) ** (a - 1)) / 2
            return 2 * top - b + count * float(mean ** (1 / (a - 1)))

        low, high = b, max(b, (whole + b) / 2)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if mass(middle) < whole else (low, middle)
        largest = flint.arb(low) if low > b else self.b
        return largest, (m + self.b - 2 * largest) / (self.size - 2)

    def least_power_sum(self, m: flint.arb) -> tuple[flint.arb, flint.arb]:
        """A lower and an upper bound of A(m), for an exact m >= b."""
        largest, x = self.shape(m)
        value = _power(largest, self.a) + _power(largest - self.b, self.a)
        if self.size == 2:
            return value, value
        value += (self.size - 2) * _power(x, self.a)
        # Convex in M: the tangent there is below; M is in [b, (m + b) / 2].
        slope = self.a * (
            _power(largest, self.a - 1)
            + _power(largest - self.b, self.a - 1)
            - 2 * _power(x, self.a - 1)
        )
        rise = (slope * (self.b - largest)).min(slope * ((m + self.b) / 2 - largest))
        return (value + rise.min(flint.arb(0))).min(value), value

    def value(self, y: Fraction) -> flint.arb:
        """g_k(y), or an upper bound of it as near as floats find the optimum."""
        m = ball(1 - y)
        _, upper = self.least_power_sum(m)
        tail = _power(ball(y), self.a)
        pooled = self.size * _power(m / self.size, self.a) + tail
        return (upper + tail) ** (1 / self.a) - pooled ** (1 / self.a)

    def below(self, low: Fraction, high: Fraction) -> flint.arb:
        """A lower bound of g_k on [low, high].

        (W + D)^(1/a) - W^(1/a) falls with W = k (m/k)^a + y^a and rises with D = A - k (m/k)^a.  W
        falls with y; A falls with y, and so does D where x >= m/k: dA/dm = a x^(a-1).
        """
        start, end = ball(1 - low), ball(1 - high)
        least, _ = self.least_power_sum(end)
        widest = self.size * _power(start / self.size, self.a)
        narrowest = self.size * _power(end / self.size, self.a)
        # D falls with y if x >= m/k all along: for k = 2 always, else unless M = b binds.
        is_free = self.size == 2 or self.b * self.size <= 2 * end
        excess = least - (narrowest if is_free else widest)
        if not excess > 0:
            return flint.arb(0)
        whole = widest + _power(ball(low), self.a)
        return (whole + excess) ** (1 / self.a) - whole ** (1 / self.a)

    def lower_bound(self, last: Fraction, goal: flint.arb) -> flint.arb:
        """A lower bound of g_k on [0, last], at least ``goal`` where subdivision reaches it.

        A lower bound of a piece counts as it is once the piece is 2^-30 long.
        """
        reach = 1 - Fraction(*map(int, _ratio(self.b)))  # M >= b needs m >= b
        pieces, proven = [(Fraction(0), min(last, reach))], flint.arb("inf")
        while pieces:
            low, high = pieces.pop()
            bound = self.below(low, high)
            if bound >= goal or high - low < Fraction(1, 1 << 30):
                proven = proven.min(bound)
            else:
                middle = (low + high) / 2
                pieces += [(middle, high), (low, middle)]
        return proven


def _ratio(x: flint.arb) -> tuple[int, int]:
    mantissa, exponent = x.lower().man_exp()
    scale = Fraction(2) ** int(exponent)
    return (int(mantissa) * scale).as_integer_ratio()
