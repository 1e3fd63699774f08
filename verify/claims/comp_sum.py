"""Claims on comp-sum losses that the consistency checks settle, each instance by balls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import flint
import numpy as np

from ...derivations.arithmetic.balls import Exact
from ...derivations.claims.mao2023 import COMP_SUM
from ...derivations.claims.register import COMPUTATION, Verdict, certified, claim, proven, refuted
from ...derivations.h_consistency.conditional_regret import Point, minimizability_gap
from ...derivations.h_consistency.transform import transform_ball
from ..studies import h_consistency
from ..studies.h_consistency import Check
from ..studies.h_consistency_instances import BITS

TAUS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def _settled(checks: Iterable[Check], argument: str) -> Verdict:
    """Proven by the argument where all instances hold; else the first that does not."""
    held = 0
    for check in checks:
        if check.counterexample is not None:
            return refuted(f"{check.statement}: {check.counterexample}", held + 1)
        if not check.proven:
            raise ArithmeticError(f"{check.statement}: {check.verdict}")
        held += check.held
    return proven(argument, held)


@claim(
    "R01(h) - R01*(H) <= Gamma_tau(R_tau(h) - R_tau*(H) + M_tau(H)) - M01(H), with the "
    "minimizability gaps M, for symmetric and complete H.",
    COMP_SUM,
    "H-consistency bound",
    COMPUTATION,
    opposite={"scale": 1.01},
)
def consistency_bound_with_gaps(scale: float = 1.0) -> Verdict:
    """Finite distributions with hypotheses that are constant on blocks, T times `scale`."""

    def transform(b: flint.arb, tau: Exact, classes: int) -> flint.arb:
        return scale * transform_ball(b, tau, classes)

    checks = (
        h_consistency.bound_holds(tau, n, trials=5, transform=transform)
        for tau in TAUS
        for n in (2, 3, 5)
    )
    return _settled(checks, "the conditional bound and Jensen's inequality, as T is convex")


@claim(
    "Minimizability gaps vanish where every x may have scores of its own.",
    COMP_SUM,
    "minimizability gaps",
    COMPUTATION,
    opposite={"blocks": 1},
)
def minimizability_gaps(blocks: int = 6) -> Verdict:
    """Up to six points, each with a block of its own; in one block the gap is positive."""
    cases = 0
    with flint.ctx.workprec(BITS):
        for shares in _distributions():
            weight = Fraction(1, len(shares))
            points = [Point(weight, k % blocks, p) for k, p in enumerate(shares)]
            for tau in (None, *map(Fraction, TAUS)):
                cases += 1
                gap = minimizability_gap(points, tau)
                if gap > 0:
                    what = "0-1" if tau is None else f"tau = {tau}"
                    told = ", ".join(f"({', '.join(map(str, p))})" for p in shares)
                    return refuted(f"{what}: p = {told}: {float(gap):.6g}", cases)
                if not (gap.contains(0) and gap.rad() < 1e-20):
                    raise ArithmeticError(f"the gap is {gap}, which decides nothing")
    return certified(cases, "2 to 6 points of 2 to 5 classes: R*(H) = E inf C, to 20 digits")


def _distributions() -> Iterator[list[tuple[Fraction, ...]]]:
    """Sets of distributions, one for each point: the first by hand, the others drawn."""
    yield [(Fraction(1), Fraction(0)), (Fraction(1, 4), Fraction(3, 4)), (Fraction(1, 2),) * 2]
    random = np.random.default_rng(7)
    for n in range(19):
        counts = random.integers(1, 30, (2 + n % 5, 2 + n % 4)).tolist()
        yield [tuple(Fraction(c, sum(row)) for c in row) for row in counts]


@claim(
    "Smooth adversarial comp-sum losses bound the adversarial zero-one regret: Phi_tau(1) times it "
    "is at most the smooth regret.",
    COMP_SUM,
    "smooth adversarial comp-sum losses",
    COMPUTATION,
    opposite={"constant": 100.0},
)
def smooth_adversarial_bound(constant: float = 1.0) -> Verdict:
    """Linear scores in the plane, with all suprema over the ball known."""
    checks = (h_consistency.adversarial(tau, trials=15, constant=constant) for tau in TAUS)
    return _settled(checks, "the proof stands in derivations/h_consistency/smooth_adversarial.py")
