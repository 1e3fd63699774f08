"""The suite of softmax collapse: from which gap on is a result 0 though the exact one is not?

A row has a leader at 0 and all others at -gap.  A result is lost where it is 0, or the probability
of the leader 1, and that is wrong by more than the admissible error below the normal range: what
the subject promises, or that of ``UNDERFLOW``.  (Where it may be flushed, numbers below the
normal range do not count.)

A subject that promises to be collapse-free must lose nothing, and keep its relative error bounds;
the gradient of the right class that of minus the sum of the others, not that of p - 1.  Of any
other it is told from which gap on each result is lost, and what that gap is derived from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import lookup
from ...derivations.arithmetic.formats import Format
from ...derivations.definition import CollapsePart, Definition, Place
from ...derivations.error_bounds import collapse
from ...derivations.error_bounds.model import UNDERFLOW
from ...derivations.proofs.facts import SumsTo
from ..inputs.families import Batch
from ..oracle.metrics import histogram, ulp_error
from ..oracle.truth import Truth
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import Outcome
from .thresholds import has_truth, model_of, reference, threshold
from .verdicts import Observation, Verdict, Violation

# Relative errors: from which gap on they are exceeded is told, those alone that are many times u.
LOST = (1e-4, 1e-2, 0.5)
MANY = 16.0
WORTH_TELLING = 1e-2
PROBABILITY_PARTS = (
    CollapsePart("1 - p of the leader", Place.LEADER, lost_at=1.0),
    CollapsePart("p of another class", Place.OTHERS),
)
ELEMENTS = 1 << 16  # logits of a batch that narrows a gap down
MOST_ROWS = 32

Bits = NDArray[np.bool_]


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """What of a batch is lost; of a batch of growing gaps also from which gap on, by search."""
    outcome = subject(batch.logits, batch.labels)
    found = _Judged(subject, definition, fmt, batch)
    for i in range(len(batch.logits)):
        found.judge(i, outcome)
    of_gaps = batch.family.startswith("gaps")
    if len(batch.logits) > 1 and not of_gaps:
        return found.verdict(_shares(found, batch))
    if found.promises:
        return found.verdict()
    return found.verdict(_by_gap(found, batch) if len(batch.logits) > 1 else _lost(found, batch))


@dataclass(frozen=True)
class Part:
    """Some of the results of a row, which are lost together."""

    name: str
    in_gradient: bool
    outputs: Bits
    lost_at: float = 0.0  # 1 for the probability of the leader


def parts(
    definition: Definition, row: NDArray[Any], label: int | None, *, has_gradient: bool
) -> Iterator[Part]:
    """The results of a row that may collapse.

    Parameters
    ----------
    definition
        The definition.
    row
        The logits.
    label
        The right class, where there is one.
    has_gradient
        Whether the subject returned a gradient.

    Yields
    ------
    Part
        Outputs that are judged together.
    """
    lead = np.arange(len(row)) == int(np.argmax(row.astype(np.float64)))
    if definition.elementwise:
        yield Part("value", False, np.ones(len(row), dtype=bool))
    elif declared := _declared(definition):
        for part in declared:
            outputs = lead if part.place is Place.LEADER else ~lead
            yield Part(part.name, False, outputs, part.lost_at)
    else:
        yield Part("loss" if definition.labelled else "value", False, np.ones(1, dtype=bool))
    if has_gradient and label is not None:
        right = np.arange(len(row)) == label
        yield Part("gradient of the right class", True, right)
        yield Part("gradient of another class", True, ~right)
    elif has_gradient:
        yield Part("gradient", True, np.ones(len(row), dtype=bool))


def _declared(definition: Definition) -> tuple[CollapsePart, ...]:
    """The parts that a definition declares, or those of probabilities, which sum to 1."""
    if not definition.collapse_parts and any(isinstance(f, SumsTo) for f in definition.facts):
        return PROBABILITY_PARTS
    return definition.collapse_parts


def _is_explained(definition: Definition) -> bool:
    """Whether the derived gaps are those of a definition; of one real they hold for one other."""
    if definition.two_class_case_of is not None:
        definition = lookup(definition.two_class_case_of)
    return definition.partition_function


class _Judged:
    """The rows of a batch, one after the other."""

    def __init__(
        self, subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch
    ) -> None:
        self.subject, self.definition, self.fmt, self.batch = subject, definition, fmt, batch
        contract = subject.contract
        self.promises = contract.collapse_free == "yes"
        self.model = model_of(contract, fmt)
        # ulps that a lost result is wrong by at least, and below which it does not count.
        self.admissible = contract.ulps.get(fmt.name, UNDERFLOW)
        self.normal = 2.0**fmt.emin
        self.least = self.normal if contract.flush_to_zero == "yes" else 0.0
        self.checks, self.worst = 0, 0.0
        self.errors: Counter[int] = Counter()
        self.violations: list[Violation] = []
        self.lost: dict[str, list[int]] = {}  # the rows at which a part is lost
        self.relative: dict[str, dict[int, float]] = {}  # by part and row
        self.parts: dict[str, Part] = {}  # of the last row

    def judge(self, i: int, outcome: Outcome) -> None:
        """Row i of the batch: what is lost, and what is beyond its bound."""
        row = self.batch.logits[i]
        label = None if self.batch.labels is None else int(self.batch.labels[i])
        if not has_truth(self.definition, row):
            return
        gradient = None if self.definition.gradient is None else outcome.gradient
        if label is not None and row[label] == -np.inf:
            gradient = None  # an infinite loss has none
        told = list(parts(self.definition, row, label, has_gradient=gradient is not None))
        for computed in (outcome.value, gradient):
            if computed is not None:
                in_gradient = computed is gradient
                chosen = [part for part in told if part.in_gradient == in_gradient]
                self._judge(i, np.atleast_1d(computed[i]), chosen, in_gradient)

    def _judge(self, i: int, computed: NDArray[Any], told: list[Part], in_gradient: bool) -> None:
        exact = reference(self.definition, self.fmt, self.batch, i, gradient=in_gradient)
        error = np.atleast_1d(ulp_error(computed.reshape(exact.rounded.shape), exact))
        unit = np.ldexp(1.0, np.atleast_1d(exact.ulp_exponent))
        modulus = np.abs(np.atleast_1d(exact.wide))
        lost = np.zeros(error.shape, dtype=bool)
        for part in told:
            self.parts[part.name] = part
            wrong = part.outputs & (computed == part.lost_at)
            wrong &= (error > self.admissible) & (modulus >= self.least)
            lost |= wrong
            if wrong.any():
                self.lost.setdefault(part.name, []).append(i)
            if part.lost_at == 0 and not self.promises:
                counts = part.outputs & (modulus >= self.normal)
                if counts.any():
                    relative = float(np.max(error[counts] * unit[counts] / modulus[counts]))
                    self.relative.setdefault(part.name, {})[i] = relative
        self.checks += error.size
        if self.promises:
            self.worst = max(self.worst, float(np.max(error, initial=0.0)))
            self.errors.update(histogram(error))
            self._demand(i, computed, exact, error, lost, in_gradient)

    def _demand(
        self,
        i: int,
        computed: NDArray[Any],
        exact: Truth,
        error: NDArray[np.float64],
        lost: Bits,
        in_gradient: bool,
    ) -> None:
        """What breaks the promise: the worst that is lost, or else the worst beyond its bound."""
        limit, source = threshold(
            self.definition,
            self.subject.contract,
            self.fmt,
            self.batch,
            i,
            exact,
            gradient=in_gradient,
        )
        limit = np.atleast_1d(limit).copy()
        of_right_class = self.definition.right_class_bound
        if in_gradient and of_right_class is not None and self.batch.labels is not None:
            label = int(self.batch.labels[i])
            row = self.batch.logits[i]
            absolute = of_right_class(row, label, self.model)
            of_the_sum = absolute / 2.0 ** float(exact.ulp_exponent[label])
            limit[label] = min(limit[label], of_the_sum)
            source += "; of the right class as minus the sum of the others (collapse.py)"
        message = "0 or 1 where the exact result is not: softmax collapse"
        bad = lost
        if bad.any():
            limit, source = np.full(limit.shape, self.admissible), "contract: collapse_free=yes"
        else:
            message = f"{'gradient' if in_gradient else 'value'} beyond its error bound"
            bad = ~((error <= limit) & np.isfinite(error))
        if not bad.any():
            return
        with np.errstate(all="ignore"):
            k = int(np.flatnonzero(bad)[np.argmax((error / limit)[bad])])
        self.violations.append(
            Violation(
                row=i,
                message=message,
                index=k,
                observed=float(computed[k]),
                expected=float(np.atleast_1d(exact.wide)[k]),
                error=float(error[k]),
                threshold=float(limit[k]),
                source=source,
                in_gradient=in_gradient,
            )
        )

    def exact(self, part: Part, batch: Batch) -> float:
        """The exact result of a row at the outputs of a part, rounded: the one nearest to lost."""
        exact = reference(self.definition, self.fmt, batch, 0, gradient=part.in_gradient)
        values = np.atleast_1d(exact.wide)[part.outputs]
        return float(values[np.argmin(np.abs(values - part.lost_at))])

    def verdict(self, observations: Iterator[Observation] | tuple[()] = ()) -> Verdict:
        """All that was found; errors of those alone who promise to keep them small."""
        found = tuple(observations)
        return Verdict(self.checks, self.worst, self.violations, self.errors, found)


# --- what is told of a subject that promises nothing ---


def _lost(found: _Judged, batch: Batch) -> Iterator[Observation]:
    """Each result of one row that is lost."""
    row = batch.logits[0].astype(np.float64)
    for name in found.lost:
        gap, expected = _gap(found.definition, row), found.exact(found.parts[name], batch)
        observed = found.parts[name].lost_at
        yield Observation(
            name, len(row), "as given", gap, batch=batch, observed=observed, expected=expected
        )


def _gap(definition: Definition, row: NDArray[np.float64]) -> float:
    """How far the leader leads; of a function of one real, how far it lies below 0."""
    if definition.elementwise or len(row) < 2:
        return float(abs(np.min(row)))
    second, first = np.sort(row)[-2:]
    return float(first - second)


def _shares(found: _Judged, batch: Batch) -> Iterator[Observation]:
    """The share of given samples that have collapsed, by the sum and by the results."""
    count, classes = batch.logits.shape
    if found.definition.partition_function:
        by_sum = float(np.mean(collapsed(batch.logits)))
        yield Observation(f"sum == 1 in {found.fmt.name}", classes, share=by_sum)
    rows = {name: sorted(set(lost)) for name, lost in found.lost.items()}
    for name, lost in rows.items():
        example = batch.row(lost[0])
        yield Observation(name, classes, share=len(lost) / count, batch=example)
    if not rows:
        yield Observation("any result", classes, share=0.0)


def collapsed(logits: NDArray[Any]) -> Bits:
    """Whether the sum of the exponentials of each row, shifted by its maximum, is 1 in its format.

    The metric of Prieto et al. 2025 (arXiv 2501.04697, section 3), as it is written there: the
    exponentials, and ``numpy.sum`` over them, in the dtype of the logits.

    Parameters
    ----------
    logits
        Rows, (..., classes), of any float dtype.

    Returns
    -------
    array of bool
        One for each row; False for a row without a finite maximum, which has no such sum.

    Examples
    --------
    >>> collapsed(np.array([[17.0, 0.0], [16.0, 0.0]], dtype=np.float32))
    array([ True, False])
    """
    with np.errstate(all="ignore"):
        highest = np.max(logits, axis=-1, keepdims=True)
        total = np.sum(np.exp(logits - highest), axis=-1, dtype=logits.dtype)
    return np.asarray(total == 1)


def _by_gap(found: _Judged, batch: Batch) -> Iterator[Observation]:
    """From which gap on each result is lost, by search among rows with growing gaps."""
    place = int(np.argmax(batch.logits[-1].astype(np.float64)))
    rows = _GapRows(found.definition, batch.logits.shape[1], place, batch.logits.dtype)
    gaps = [_gap(found.definition, row.astype(np.float64)) for row in batch.logits]
    for name, part in found.parts.items():
        lost = found.lost.get(name, [])
        of_errors = tuple(
            (level, next(gaps[i] for i, e in sorted(errors.items()) if e > level))
            for errors in (found.relative.get(name, {}),)
            for level in LOST
            if level >= MANY * found.model.u and any(e > level for e in errors.values())
        )
        if not lost and all(level < WORTH_TELLING for level, _ in of_errors):
            continue
        gap, cause, shown, expected = None, "", None, None
        if lost:
            before = gaps[lost[0] - 1] if lost[0] else 0.0
            gap = rows.narrow(found.subject, part, before, gaps[lost[0]])
            others = 1 if found.definition.elementwise else rows.classes - 1
            if _is_explained(found.definition):
                cause = collapse.explain(gap, found.fmt, others)
            shown = rows.batch(np.array([gap]))
            expected = found.exact(part, shown)
        yield Observation(
            name,
            rows.classes,
            rows.described(),
            gap,
            cause,
            of_errors,
            batch=shown,
            observed=None if gap is None else part.lost_at,
            expected=expected,
        )


@dataclass(frozen=True)
class _GapRows:
    """Rows of one leading class, all other classes the same gap below it."""

    definition: Definition
    classes: int
    place: int
    dtype: np.dtype[Any]

    def described(self) -> str:
        """Where the leader stands."""
        if self.definition.elementwise:
            return ""
        ends = {self.classes // 2: "in the middle", 0: "first", self.classes - 1: "last"}
        return ends[self.place]

    def batch(self, gaps: NDArray[Any]) -> Batch:
        """A row for each gap."""
        column = -gaps.astype(self.dtype)[:, None]
        if self.definition.elementwise:
            return Batch("gaps_below_zero", column, None)
        x = np.repeat(column, self.classes, axis=1)
        x[:, self.place] = 0
        labels = np.full(len(gaps), self.place) if self.definition.labelled else None
        return Batch("gaps", x, labels)

    def narrow(self, subject: LiveSubject, part: Part, before: float, after: float) -> float:
        """The first gap, of those between two, at which a part is lost, by their bit patterns.

        It is not lost at ``before``, and lost at ``after``; the search cuts what is between into as
        many pieces as a batch has rows.  At the gap just before the one found it is not lost.
        """
        bits = np.dtype(f"uint{8 * self.dtype.itemsize}")
        low, high = (int(np.array(gap).astype(self.dtype).view(bits)) for gap in (before, after))
        rows = int(np.clip(ELEMENTS // self.classes, 3, MOST_ROWS))
        while high - low > 1:
            steps = sorted({low + (high - low) * k // (rows + 1) for k in range(1, rows + 1)})
            tried = [step for step in steps if low < step < high] or [low + 1]
            batch = self.batch(np.array(tried, dtype=bits).view(self.dtype))
            lost = _is_lost(part, subject(batch.logits, batch.labels))
            first = int(np.argmax(lost)) if lost.any() else len(tried)
            low, high = ([low, *tried][first], [*tried, high][first])
        return float(np.array(high, dtype=bits).view(self.dtype))


def _is_lost(part: Part, outcome: Outcome) -> Bits:
    """At which rows a part is 0 (or 1), right or not."""
    computed = outcome.gradient if part.in_gradient else outcome.value
    assert computed is not None  # the subject gave one before
    columns = computed.reshape(len(computed), -1)[:, part.outputs]
    return np.asarray((columns == part.lost_at).any(axis=1))
