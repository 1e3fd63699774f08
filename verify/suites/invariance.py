"""The suite of declared facts: each one becomes a test of every implementation.

No oracle decides here.  A fact holds for the exact function, and each computed result is within
its admissible error of that; so the computed results may break the fact by the sum of the
admissible errors of the results involved, and by nothing more.  All sums are exact.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format, exact
from ...derivations.definition import Definition
from ...derivations.proofs import facts
from ..inputs.families import Batch
from ..subjects.isolation.in_process import LiveSubject
from .thresholds import reference, threshold
from .verdicts import Verdict, Violation

MAX_CLASSES = 300  # exact sums and pairs over longer rows cost more than they find


@dataclass(frozen=True)
class Broken:
    """A fact that does not hold within the admissible error."""

    excess: Fraction
    allowed: Fraction
    index: int | None = None


Values = tuple[list[Fraction], list[Fraction]]  # with their admissible errors


@dataclass(frozen=True)
class Context:
    """A subject at one row: evaluates it anywhere, with admissible absolute errors."""

    subject: LiveSubject
    definition: Definition
    fmt: Format
    row: NDArray[Any]
    label: int | None
    known: dict[tuple[bytes, int | None], Values | None] = field(default_factory=dict)

    def at(self, row: NDArray[Any], label: int | None = None) -> Values | None:
        """Values and admissible errors at a row; None where a value is not finite.

        (A value that is not finite is the business of the other suites.)
        """
        label = self.label if label is None else label
        key = row.tobytes(), label
        if key not in self.known:  # many facts speak of the same row
            labels = None if label is None else np.array([label])
            batch = Batch("", row[None, :].copy(), labels, cross_checked=False)
            value = np.atleast_1d(self.subject(batch.logits, labels).value[0])
            self.known[key] = self._with_errors(batch, value, gradient=False)
        return self.known[key]

    def gradient(self) -> Values | None:
        """Gradient and admissible errors at the row; None where none is returned or finite.

        None, too, where the definition declares no gradient, of which a row has no truth then.
        """
        if self.definition.gradient is None:
            return None
        labels = None if self.label is None else np.array([self.label])
        batch = Batch("", self.row[None, :].copy(), labels, cross_checked=False)
        gradient = self.subject(batch.logits, labels).gradient
        return None if gradient is None else self._with_errors(batch, gradient[0], gradient=True)

    def _with_errors(self, batch: Batch, value: NDArray[Any], *, gradient: bool) -> Values | None:
        if not np.isfinite(value.astype(np.float64)).all():
            return None
        # (Only the size of an ulp is wanted of the truth here: it is not cross-checked.)
        true = reference(self.definition, self.fmt, batch, 0, gradient=gradient)
        limit, _ = threshold(
            self.definition, self.subject.contract, self.fmt, batch, 0, true, gradient=gradient
        )
        if not np.isfinite(limit).all():
            return None  # nothing is proven here
        errors = [
            Fraction(u) * _power_of_two(int(q))
            for u, q in zip(np.atleast_1d(limit), np.atleast_1d(true.ulp_exponent), strict=True)
        ]
        return [exact(v) for v in value], errors


@functools.cache
def _power_of_two(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


Check = Callable[[Any, Context], Iterator[Broken]]
"""``check(fact, at)`` yields where a declared fact does not hold of a subject at a row."""


def _beyond(amount: Fraction, allowed: Fraction, index: int | None = None) -> Iterator[Broken]:
    if amount > allowed:
        yield Broken(amount, allowed, index)


def sums_to(fact: facts.SumsTo, at: Context) -> Iterator[Broken]:
    """|sum - total| within the sum of the admissible errors."""
    if (result := at.at(at.row)) is not None:
        values, errors = result
        yield from _beyond(abs(sum(values, Fraction(-fact.total))), sum(errors, Fraction(0)))


def gradient_sums_to(fact: facts.GradientSumsTo, at: Context) -> Iterator[Broken]:
    """|sum of the gradient - total| within the sum of its admissible errors, if there is one."""
    if (result := at.gradient()) is not None:
        values, errors = result
        yield from _beyond(abs(sum(values, Fraction(-fact.total))), sum(errors, Fraction(0)))


def _shifted_rows(at: Context) -> Iterator[tuple[NDArray[Any], Fraction, NDArray[Any]]]:
    """The row on a grid, offsets c, and the row + c, where all of z + c is representable."""
    grid = np.round(np.clip(at.row.astype(np.float64), -32, 32) * 4) / 4
    base = grid.astype(at.fmt.dtype)
    for c in (-8.0, 64.0, 2.0 ** (at.fmt.precision - 4)):
        moved = (grid + c).astype(at.fmt.dtype)
        if np.array_equal(moved.astype(np.float64), grid + c):
            yield base, exact(c), moved


def shift(fact: facts.ShiftInvariant | facts.ShiftEquivariant, at: Context) -> Iterator[Broken]:
    """f(z + c) against f(z), or f(z) + c, for offsets that round nothing."""
    gain = 1 if isinstance(fact, facts.ShiftEquivariant) else 0
    for base, c, moved in _shifted_rows(at):
        before, after = at.at(base), at.at(moved)
        if before is not None and after is not None:
            for i in range(len(before[0])):
                excess = abs(after[0][i] - before[0][i] - gain * c)
                yield from _beyond(excess, before[1][i] + after[1][i], i)


def _permutations(size: int) -> Iterator[NDArray[np.intp]]:
    yield np.arange(size)[::-1]
    if size > 2:
        yield np.roll(np.arange(size), 1)


def permutation_equivariant(fact: facts.PermutationEquivariant, at: Context) -> Iterator[Broken]:
    """f(Pz) against P f(z)."""
    plain = at.at(at.row)
    for order in _permutations(len(at.row)):
        permuted = at.at(at.row[order])
        if plain is not None and permuted is not None:
            for i, k in enumerate(order):
                allowed = permuted[1][i] + plain[1][k]
                yield from _beyond(abs(permuted[0][i] - plain[0][k]), allowed, i)


def permutation_invariant(fact: facts.PermutationInvariant, at: Context) -> Iterator[Broken]:
    """f(Pz), with the label moved along, against f(z)."""
    plain = at.at(at.row)
    for order in _permutations(len(at.row)):
        label = None if at.label is None else int(np.flatnonzero(order == at.label)[0])
        permuted = at.at(at.row[order], label)
        if plain is not None and permuted is not None:
            allowed = permuted[1][0] + plain[1][0]
            yield from _beyond(abs(permuted[0][0] - plain[0][0]), allowed)


def order_preserving(fact: facts.OrderPreserving, at: Context) -> Iterator[Broken]:
    """Sorted by logit, no output falls."""
    if (result := at.at(at.row)) is not None:
        values, errors = result
        order = np.argsort(at.row.astype(np.float64), kind="stable")
        for i, j in itertools.pairwise(order):
            yield from _beyond(values[i] - values[j], errors[i] + errors[j], int(j))


def increasing(fact: facts.Increasing, at: Context) -> Iterator[Broken]:
    """Sorted by argument, no value falls."""
    yield from order_preserving(facts.OrderPreserving(), at)


def in_range(fact: facts.Range, at: Context) -> Iterator[Broken]:
    """Every output between the limits."""
    if (result := at.at(at.row)) is not None:
        for i, (value, error) in enumerate(zip(*result, strict=True)):
            if fact.lower is not None:
                yield from _beyond(fact.lower - value, error, i)
            if fact.upper is not None:
                yield from _beyond(value - fact.upper, error, i)


def convex(fact: facts.Convex, at: Context) -> Iterator[Broken]:
    """Below the chord at the midpoint of the row and its reverse, on a grid: nothing rounds."""
    grid = np.round(np.clip(at.row.astype(np.float64), -16, 16) * 4) / 4
    rows = [r.astype(at.fmt.dtype) for r in (grid, grid[::-1], (grid + grid[::-1]) / 2)]
    exact_midpoint = np.array_equal(rows[2].astype(np.float64), (grid + grid[::-1]) / 2)
    ends = [at.at(r) for r in rows]
    if exact_midpoint and all(e is not None for e in ends):
        (a, da), (b, db), (mid, dmid) = (e for e in ends if e is not None)
        for i in range(len(mid)):
            allowed = dmid[i] + (da[i] + db[i]) / 2
            yield from _beyond(mid[i] - (a[i] + b[i]) / 2, allowed, i)


def identity(fact: facts.Identity, at: Context) -> Iterator[Broken]:
    """The residual of a functional equation, each value of f counted with its error."""
    allowed: list[Fraction] = []

    def f(x: Fraction) -> Fraction:
        result = at.at(np.array([float(x)], dtype=at.fmt.dtype))
        if result is None:
            raise OverflowError
        allowed.append(result[1][0])
        return result[0][0]

    for i, x in enumerate(at.row[:8]):
        allowed.clear()
        try:
            residual = abs(fact.residual(f, exact(x)))
        except OverflowError:
            continue
        yield from _beyond(residual, sum(allowed, Fraction(0)), i)


CHECKS: dict[type, Check] = {
    facts.SumsTo: sums_to,
    facts.GradientSumsTo: gradient_sums_to,
    facts.ShiftInvariant: shift,
    facts.ShiftEquivariant: shift,
    facts.PermutationEquivariant: permutation_equivariant,
    facts.PermutationInvariant: permutation_invariant,
    facts.OrderPreserving: order_preserving,
    facts.Increasing: increasing,
    facts.Range: in_range,
    facts.Convex: convex,
    facts.Identity: identity,
}


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Every declared fact, at every row of the batch."""
    checks, violations = 0, []
    if not 0 < batch.logits.shape[1] <= MAX_CLASSES:
        return Verdict(0, 0.0, [])
    for i, row in enumerate(batch.logits):
        if not np.isfinite(row.astype(np.float64)).all():
            continue
        label = None if batch.labels is None else int(batch.labels[i])
        context = Context(subject, definition, fmt, row, label)
        if context.at(row) is None:
            continue  # nothing to compare
        for fact in definition.facts:
            if type(fact) not in CHECKS:
                continue  # one of named arguments
            checks += 1
            broken = max(
                CHECKS[type(fact)](fact, context),
                key=lambda b: b.excess / b.allowed if b.allowed else b.excess,
                default=None,
            )
            if broken is not None:
                violations.append(
                    Violation(
                        row=i,
                        message=f"declared fact broken: {fact.text}",
                        detail=(
                            f"deviation {float(broken.excess):.4g}, admissible "
                            f"{float(broken.allowed):.4g} (the sum of the admissible errors of "
                            "the results involved)"
                        ),
                        index=broken.index,
                        error=float(broken.excess / broken.allowed) if broken.allowed else np.inf,
                        threshold=1.0,
                    )
                )
    return Verdict(checks, 0.0, violations)
