"""The H-consistency bounds of comp-sum losses, put to the test: each instance decided by balls.

A check goes through instances and decides each with ball arithmetic: it holds, it fails, or (where
the ball is too wide, which no check here should see) it is undecided.  ``transform`` and ``loss``
are what is tested; the tests of this project put false ones in their place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import flint
import numpy as np
import sympy

from ...derivations.arithmetic.balls import Exact, ball
from ...derivations.arithmetic.systems import balls
from ...derivations.h_consistency import transform as theory
from ...derivations.h_consistency.conditional_regret import (
    infimum,
)
from ...derivations.h_consistency.smooth_adversarial import (
    LinearScores,
    least_adversarial_error,
    phi,
    smooth_adversarial,
)
from .h_consistency_instances import (
    BITS,
    Adversarial,
    extremal_instance,
    random_adversarial,
    random_instance,
    row_told,
)

TAUS = tuple(k / 4 for k in range(13))
CLASSES = tuple(range(2, 11))
REGRETS = (0.125, 0.25, 0.5, 0.75, 1.0)

Transform = Callable[[flint.arb, Exact, int], flint.arb]


@dataclass
class Check:
    """What a statement came to over its instances: the first that fails is kept."""

    statement: str
    held: int = 0
    undecided: int = 0
    counterexample: str | None = None
    notes: list[str] = field(default_factory=list)

    def decide(self, holds: bool, fails: bool, instance: object) -> None:
        """Count one instance, which tells itself by ``str``."""
        if holds:
            self.held += 1
        elif not fails:
            self.undecided += 1
        elif self.counterexample is None:
            self.counterexample = str(instance)

    @property
    def proven(self) -> bool:
        """Whether every instance holds."""
        return self.counterexample is None and not self.undecided and self.held > 0

    @property
    def verdict(self) -> str:
        """What came of the check, in words."""
        if self.counterexample is not None:
            return f"refuted: {self.counterexample}"
        return f"{self.held} instances proven" + (
            f", {self.undecided} undecided" if self.undecided else ""
        )


def bound_holds(
    tau: Exact,
    classes: int,
    *,
    trials: int = 20,
    seed: int = 0,
    transform: Transform = theory.transform_ball,
) -> Check:
    """Check T(R01(h) - R01*(H) + M01) <= R(h) - R*(H) + M on random and on extremal instances.

    Parameters
    ----------
    tau
        The parameter of the loss.
    classes
        The number of classes, at least 2.
    trials
        How many random instances are drawn.
    seed
        The seed of the generator.
    transform
        T; another one is what the tests falsify.

    Returns
    -------
    Check
        How many instances hold, and a counterexample if there is one.
    """
    check = Check(f"the bound holds, tau = {float(tau):g}, n = {classes}")
    rng = np.random.default_rng([seed, classes, int(2**20 * float(tau))])
    extremal = (extremal_instance(b, tau, classes) for b in REGRETS)
    drawn = (random_instance(rng, classes) for _ in range(trials))
    with flint.ctx.workprec(BITS):
        for instance in itertools.chain(extremal, drawn):
            surrogate, zero_one = instance.surrogate_and_zero_one(tau)
            b = zero_one.max(flint.arb(0)).min(flint.arb(1))
            low = surrogate - transform(b, tau, classes)
            check.decide(bool(low >= 0) or bool(b == 0), bool(low < 0), instance)
    return check


@dataclass(frozen=True)
class Attainment:
    """The infimum F(b) of the conditional regret against T(b), for one tau and n."""

    tau: float
    classes: int
    ratios: tuple[tuple[float, float], ...]  # lower and upper end of F / T at each of REGRETS
    attained: tuple[bool, ...]
    distributions: tuple[tuple[float, ...], ...]
    tied: tuple[int, ...]

    @property
    def verdict(self) -> str:
        """What is known of the attainment, in a few words."""
        if all(self.attained):
            return "attained"
        least = min(low for low, _ in self.ratios)
        part = [b for b, a in zip(REGRETS, self.attained, strict=True) if a]
        if part:
            return f"attained up to b = {max(part):g}"
        return f"not attained: F/T >= {least:.3f}"


def attainment(
    tau: Exact, classes: int, *, transform: Transform = theory.transform_ball
) -> Attainment:
    """Where T is attained, T(b) = F(b) to 2^-100, F the infimum of the regret; F / T enclosed.

    Parameters
    ----------
    tau
        The parameter of the loss.
    classes
        The number of classes, at least 2.
    transform
        T; another one is what the tests falsify.

    Returns
    -------
    Attainment
        At each of REGRETS.
    """
    ratios, attained, found = [], [], []
    with flint.ctx.workprec(BITS):
        for b in REGRETS:
            least = infimum(b, tau, classes)
            claimed = transform(flint.arb(b), tau, classes)
            ratio = least.value / claimed
            same = abs(ratio - 1) < flint.arb((1, -100))
            ratios.append((float(ratio.lower()), float(ratio.upper())))
            attained.append(bool(same))
            found.append(least)
    return Attainment(
        float(tau),
        classes,
        tuple(ratios),
        tuple(attained),
        tuple(f.distribution for f in found),
        tuple(f.tied for f in found),
    )


def below_the_infimum(
    tau: Exact, classes: int, *, transform: Transform = theory.transform_ball
) -> Check:
    """Check T <= F: no distribution at all breaks the bound at a point; F is the proven infimum.

    Parameters
    ----------
    tau
        The parameter of the loss.
    classes
        The number of classes, at least 2.
    transform
        T; another one is what the tests falsify.

    Returns
    -------
    Check
        One instance for each of REGRETS.
    """
    check = Check(f"T is below the infimum of all regrets, tau = {float(tau):g}, n = {classes}")
    result = attainment(tau, classes, transform=transform)
    for b, (low, high), same, p in zip(
        REGRETS, result.ratios, result.attained, result.distributions, strict=True
    ):
        told = f"at b = {b:g}, p = {row_told(p)}, regret / T <= {high:.6g}"
        check.decide(same or low >= 1, high < 1, told)
    return check


def rises_and_is_convex(
    tau: Exact, classes: int, *, pieces: int = 32, transform: Transform = theory.transform_ball
) -> Check:
    """Check T(0) = 0, differences are positive, and second differences too (0 for tau >= 2).

    Parameters
    ----------
    tau
        The parameter of the loss.
    classes
        The number of classes, at least 2.
    pieces
        How many equal pieces [0, 1] is cut into.
    transform
        T; another one is what the tests falsify.

    Returns
    -------
    Check
        One instance for each difference.
    """
    check = Check(f"T rises and is convex, tau = {float(tau):g}, n = {classes}")
    with flint.ctx.workprec(BITS):
        values = [
            transform(flint.arb(i) / pieces, tau, classes) if i else flint.arb(0)
            for i in range(pieces + 1)
        ]
        steps = [b - a for a, b in itertools.pairwise(values)]
        for i, step in enumerate(steps):
            check.decide(bool(step > 0), bool(step <= 0), f"T falls at b = {i}/{pieces}")
        for i, (a, b) in enumerate(itertools.pairwise(steps)):
            second = b - a
            straight = tau >= 2 and bool(abs(second) < flint.arb((1, -100)))
            check.decide(
                bool(second > 0) or straight,
                bool(second < 0) and not straight,
                f"T is not convex at b = {i + 1}/{pieces}",
            )
    return check


def limit(tau: Exact, classes: int, *, transform: Transform = theory.transform_ball) -> Check:
    """Check that T is continuous at tau: |T_(tau +- e) - T_tau| <= 8 n e for e = 2^-10 ... 2^-40.

    (At 2 from below, e log(1/e) might be feared; T_tau(b) tends to b / n linearly, as the power
    mean ((1+b)^a + (1-b)^a)/2)^(1/a) of exponent a = 1/e does: to 1 + b, except for e log 2.)

    Parameters
    ----------
    tau
        The parameter of the loss.
    classes
        n, the number of classes, at least 2.
    transform
        T; another one is what the tests falsify.

    Returns
    -------
    Check
        One instance for each e and each of REGRETS, on both sides.
    """
    check = Check(f"the limit tau -> {float(tau):g}, n = {classes}")
    with flint.ctx.workprec(BITS):
        for bits in range(10, 41, 6):
            e = Fraction(1, 2**bits)
            for b, near in itertools.product(REGRETS, (Fraction(tau) - e, Fraction(tau) + e)):
                off = abs(
                    transform(flint.arb(b), near, classes) - transform(flint.arb(b), tau, classes)
                )
                most = 8 * classes * ball(e)
                check.decide(
                    bool(off <= most),
                    bool(off > most),
                    f"tau = {float(near)}, b = {b:g}",
                )
    return check


def derivation() -> Check:
    """SymPy's T, from the conditional regret, less the published one is 0 (tau <= 2)."""
    check = Check("T derived from the conditional regret is the published T")
    for branch in theory.BRANCHES:
        excess = theory.excess_over_published(branch)
        if branch == "tau >= 2":
            at_two = sympy.simplify(excess.subs(theory.TAU, 2))
            check.decide(at_two == 0, at_two != 0, f"tau = 2: {at_two}")
            check.notes.append(f"for tau > 2 it is larger by {excess}")
        else:
            check.decide(excess == 0, excess != 0, f"{branch}: {excess}")
    return check


def inverse(tau: Exact, classes: int) -> Check:
    """Check Gamma(T(b)) = b: T at b (1 +- 2^-90) encloses, in balls, what Gamma of mpmath inverts.

    Parameters
    ----------
    tau
        The parameter of the loss.
    classes
        The number of classes, at least 2.

    Returns
    -------
    Check
        One instance for each of four regrets.
    """
    check = Check(f"Gamma is the inverse of T, tau = {float(tau):g}, n = {classes}")
    with flint.ctx.workprec(2 * BITS):
        for y_over in (2.0**-40, 0.01, 0.3, 0.9):
            y = Fraction(y_over * float(theory.transform(1, tau, classes)))
            found = theory.gamma(y, tau, classes, 120)
            mantissa, exponent = (int(v) for v in found.man_exp)
            b, width = flint.arb((mantissa, exponent)), flint.arb((1, -90))
            low, high = (theory.transform_ball(b * (1 + s * width), tau, classes) for s in (-1, 1))
            check.decide(
                bool(low < ball(y)) and bool(high > ball(y)),
                bool(low > ball(y)) or bool(high < ball(y)),
                f"y = {float(y)}",
            )
    return check


def adversarial(
    tau: Exact, *, trials: int = 20, seed: int = 0, constant: float = 1.0, nu_over: float = 1.0
) -> Check:
    """Check Phi_tau(1) (R01 - E[1 - max p]) <= R_smooth - E[C*], adversarially, for linear scores.

    An instance has two or three points in the plane, and 2 to 4 classes.

    Parameters
    ----------
    tau
        The parameter of the loss.
    trials
        How many instances are drawn.
    seed
        The seed of the generator.
    constant
        A factor of the left-hand side: what the tests falsify.
    nu_over
        A factor of nu: what the tests falsify.

    Returns
    -------
    Check
        One instance for each trial.
    """
    check = Check(f"the smooth adversarial bound, tau = {float(tau):g}")
    rng, xp = np.random.default_rng([seed, int(2**20 * float(tau))]), balls()
    with flint.ctx.workprec(BITS):
        for _ in range(trials):
            instance = random_adversarial(rng)
            decided = _adversarial_sides(instance, tau, nu_over)
            if decided is None:
                continue
            regret, smooth = decided
            left = constant * phi(flint.arb(1), tau, xp) * regret
            check.decide(bool(left <= smooth), bool(left > smooth), instance)
    return check


def _adversarial_sides(
    at: Adversarial, tau: Exact, nu_over: float
) -> tuple[flint.arb, flint.arb] | None:
    """The 0-1 regret, and the smooth regret or less; None where an error is undecided."""
    scores, xp = LinearScores(at.weights, at.offsets, at.gamma), balls()
    n = scores.classes
    nu = nu_over * flint.arb(n - 1).sqrt() / flint.arb(at.rho)
    regret, smooth = flint.arb(0), flint.arb(0)
    for x, share, p in zip(at.points, at.shares, at.p, strict=True):
        errors = [scores.errs(x, y) for y in range(n)]
        if None in errors:
            return None
        wrong = sum((q for q, err in zip(p, errors, strict=True) if err), Fraction(0))
        regret += ball(share * (wrong - (1 - max(p))))
        smooth -= ball(share) * least_adversarial_error(p, tau, xp)
        for y, q in enumerate(p):
            margins = np.array(scores.margins(x, y), dtype=object)
            spread = scores.spread_from_below(y)
            loss = smooth_adversarial(margins, flint.arb(0), tau, at.rho, 0, xp) + nu * spread
            smooth += ball(share * q) * loss
    return regret, smooth


def every_check(
    taus: Sequence[float] = TAUS,
    classes: Sequence[int] = CLASSES,
    *,
    trials: int = 20,
    seed: int = 0,
) -> Iterator[Check]:
    """Check all statements, for each tau and number of classes.

    Parameters
    ----------
    taus
        The parameters of the losses.
    classes
        The numbers of classes.
    trials
        How many random instances each check draws.
    seed
        The seed of the generators.

    Yields
    ------
    Check
        One statement at one tau and number of classes.
    """
    yield derivation()
    for n in classes:
        yield limit(1, n)
        yield limit(2, n)
    for tau, n in itertools.product(taus, classes):
        yield bound_holds(tau, n, trials=trials, seed=seed)
        yield below_the_infimum(tau, n)
        yield rises_and_is_convex(tau, n)
        yield inverse(tau, n)
    for tau in taus:
        yield adversarial(tau, trials=trials, seed=seed)
