"""Instances of the H-consistency bounds: distributions with hypotheses, all of exact numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np

from ...derivations.arithmetic.balls import Exact, ball
from ...derivations.h_consistency.conditional_regret import (
    Point,
    conditional_error,
    infimum,
    least_error,
    minimizability_gap,
)

BITS = 160


def _dyadic(rng: np.random.Generator, size: int, sharp: float) -> tuple[Fraction, ...]:
    """Random probabilities that add up to 1 exactly, multiples of 2^-20."""
    parts = rng.dirichlet(np.full(size, sharp))
    counts = np.floor(parts * 2**20).astype(int)
    counts[int(np.argmax(counts))] += 2**20 - counts.sum()
    return tuple(Fraction(int(c), 2**20) for c in counts)


@dataclass(frozen=True)
class Instance:
    """A finite distribution, and the softmax outputs of a hypothesis, one row for each block."""

    points: tuple[Point, ...]
    outputs: tuple[tuple[Fraction, ...], ...]

    def surrogate_and_zero_one(self, tau: Exact) -> tuple[flint.arb, flint.arb]:
        """R(h) - R*(H) + M(H) of the comp-sum loss and of the 0-1 loss.

        H: hypotheses constant on blocks.  R*(H) = E[inf C] + M(H), so the gap cancels; it is
        computed all the same, and R*(H) from it.
        """
        risks = []
        for of in (tau, None):
            gap = minimizability_gap(self.points, of)
            risk, best = flint.arb(0), flint.arb(0)
            for x in self.points:
                w, s = ball(x.weight), self.outputs[x.block]
                if of is None:
                    risk += w * ball(1 - x.p[max(range(len(s)), key=lambda k: s[k])])
                    best += w * ball(1 - max(x.p))
                else:
                    risk += w * conditional_error(x.p, [ball(v) for v in s], of)
                    best += w * least_error(x.p, of)
            least_risk = best + gap
            risks.append(risk - least_risk + gap)
        return risks[0], risks[1]

    def __str__(self) -> str:
        told = "; ".join(
            f"weight {float(x.weight):.4g}, p = {row_told(x.p)}, s = {row_told(s)}"
            for x, s in ((x, self.outputs[x.block]) for x in self.points)
        )
        return f"({told})"


def row_told(values: Iterable[Exact]) -> str:
    """Write a row of numbers for people.

    Parameters
    ----------
    values
        The numbers.

    Returns
    -------
    str
        Six digits of each, in brackets.
    """
    return "[" + ", ".join(f"{float(v):.6g}" for v in values) + "]"


def random_instance(rng: np.random.Generator, classes: int) -> Instance:
    """Draw a random distribution and hypothesis: one to four points in one or two blocks.

    Every other hypothesis is near to a worst one.

    Parameters
    ----------
    rng
        The generator.
    classes
        The number of classes, at least 2.

    Returns
    -------
    Instance
        All its numbers are exact.
    """
    size, blocks = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    weights = _dyadic(rng, size, 2.0)
    points = tuple(
        Point(
            w, int(rng.integers(blocks)), _dyadic(rng, classes, float(rng.choice([0.3, 1.0, 5.0])))
        )
        for w in weights
        if w > 0
    )
    outputs = [_positive(_dyadic(rng, classes, 1.0)) for _ in range(blocks)]
    if rng.random() < 0.5:  # the two likeliest classes tie, but for a trace
        x = points[0]
        first, second = sorted(range(classes), key=lambda k: -x.p[k])[:2]
        outputs[x.block] = _nearly_tied(classes, second, first)
    return Instance(points, tuple(outputs))


def _positive(s: Sequence[Fraction]) -> tuple[Fraction, ...]:
    floor = Fraction(1, 2**24)
    return tuple((v + floor) / (1 + len(s) * floor) for v in s)


def _nearly_tied(classes: int, first: int, second: int) -> tuple[Fraction, ...]:
    trace = Fraction(1, 2**60)
    s = [trace] * classes
    s[first] = (1 - (classes - 2) * trace) / 2 + trace
    s[second] = 1 - sum((v for k, v in enumerate(s) if k != second), Fraction(0))
    return tuple(s)


def extremal_instance(b: Exact, tau: Exact, classes: int, trace_bits: int = 60) -> Instance:
    """The one-point distribution and the hypothesis at which the conditional regret is least.

    (But for a trace of 2^-60, as finite scores give no zero, and the predicted class leads by one.)

    Parameters
    ----------
    b
        The 0-1 regret.
    tau
        The parameter of the loss.
    classes
        The number of classes, at least 2.
    trace_bits
        The trace is 2^-trace_bits.

    Returns
    -------
    Instance
        One point, with all its numbers exact.
    """
    found = infimum(b, tau, classes)
    p = [Fraction(v) for v in found.distribution]
    p[0] += 1 - sum(p)  # exact: the distribution is made of floats
    trace = Fraction(1, 2**trace_bits)
    with flint.ctx.workprec(BITS):
        s = _optimal_output(p, found.tied, tau, trace)
    return Instance((Point(Fraction(1), 0, tuple(p)),), (s,))


def _optimal_output(
    p: Sequence[Fraction], tied: int, tau: Exact, trace: Fraction
) -> tuple[Fraction, ...]:
    """s ~ p^a after averaging over the tied classes (the first ones), as exact numbers."""
    t, classes = Fraction(tau), len(p)
    if tied == 1:  # class 2 alone
        s = [trace] * classes
        s[1] = 1 - (classes - 1) * trace
        return tuple(s)
    mean = sum(p[:tied]) / tied
    power = float(1 / (2 - t)) if t < 2 else 0.0
    raw = [1.0 if j < tied else 0.0 for j in range(classes)]
    if t < 2:
        raw = [1.0 if j < tied else float(p[j] / mean) ** power for j in range(classes)]
    s = [max(Fraction(v), trace) for v in raw]
    s[1] += trace
    total = sum(s)
    return tuple(v / total for v in s)


@dataclass(frozen=True)
class Adversarial:
    """Linear scores in the plane, points with weights and probabilities, rho and gamma."""

    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]
    gamma: float
    rho: float
    points: tuple[tuple[float, ...], ...]
    shares: tuple[Fraction, ...]
    p: tuple[tuple[Fraction, ...], ...]


def random_adversarial(rng: np.random.Generator) -> Adversarial:
    """Draw random linear scores for 2 to 4 classes, and two or three points.

    Parameters
    ----------
    rng
        The generator.

    Returns
    -------
    Adversarial
        The scores, rho and gamma, and the points with their distribution.
    """
    classes, size = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    scale = float(rng.choice([0.3, 1.0, 4.0]))
    return Adversarial(
        tuple(map(tuple, (scale * rng.normal(size=(classes, 2))).tolist())),
        tuple(rng.normal(size=classes).tolist()),
        float(rng.choice([0.01, 0.1, 0.5])),
        float(rng.choice([0.5, 1.0, 2.0])),
        tuple(map(tuple, (3 * rng.normal(size=(size, 2))).tolist())),
        _dyadic(rng, size, 2.0),
        tuple(_dyadic(rng, classes, float(rng.choice([0.3, 1.0, 5.0]))) for _ in range(size)),
    )
