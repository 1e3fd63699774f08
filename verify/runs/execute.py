"""The execution of one item: ask the subject, judge what it gives, shrink the worst violation."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ...derivations import Definition
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..inputs.families import Batch, draw, plainness
from ..inputs.shrink import MAX_TRIALS, shrink
from ..oracle.truth import OracleError
from ..subjects.contract import last_of
from ..subjects.isolation.in_process import InProcess, LiveSubject
from ..subjects.subject import NotApplicable, Subject, SubjectError, SubjectFault
from ..subjects.surroundings import our_own
from ..suites import SUITES, Suite
from ..suites.observe import observe
from ..suites.verdicts import Undecided, Verdict, Violation
from .execute_cases import result_of_cases
from .faults import DEADLY, MOST_TRIALS, put_down
from .reproduce import Shown, write_collapse, write_failure, write_undecided
from .results import Item, Result

Connect = Callable[[Subject], LiveSubject]


class GivenUp(Exception):
    """An item that was not run: its subject is not called any more."""


def execute(item: Item, connect: Connect = InProcess) -> Result:
    """Run one item.  Whatever the subject does is a finding; the worst violation is shrunk.

    Raises GivenUp where a run does not call the subject any more.
    """
    subject = connect(item.subject)
    if subject.given_up is not None:
        raise GivenUp(str(subject.given_up))
    subject.settle({})  # forget what was observed in another format
    with our_own():
        if subject.definition.of_a_row:
            return _result(item, subject)
        return result_of_cases(item, subject)


def _result(item: Item, subject: LiveSubject) -> Result:
    """The result of an item whose subject is connected."""
    fmt, suite = ARRAY_FORMATS[item.dtype], SUITES[item.suite]
    result = Result(subject.definition.name, item.subject.id, item.suite, item.dtype)
    cases: list[tuple[Batch, Verdict]] = []
    try:
        for case in cases_of(item, suite, subject, subject.definition, fmt):
            cases.append(case)
    except SubjectError as error:  # it could be used until now: a new process cannot load it
        nothing = Batch("", np.empty((1, 0), fmt.dtype), None)
        cases.append((nothing, Verdict(1, 0.0, [Violation(0, str(error), kind="raised")])))
    seen = last_of([subject.observed, *(verdict.observed for _, verdict in cases)])
    result = replace(result, observed=seen)
    worst: tuple[Batch, Violation] | None = None
    for batch, verdict in cases:
        result = result.merge(_of_verdict(item, result, batch, verdict))
        for violation in verdict.violations:
            if worst is None or _how_telling(batch, violation) > _how_telling(*worst):
                worst = (batch, violation)
    if worst is not None:
        shown = _shrink(item, subject, fmt, *worst)
        result = replace(result, failures=(write_failure(item, shown),))
    return result


def _of_verdict(item: Item, so_far: Result, batch: Batch, verdict: Verdict) -> Result:
    """The result of one batch alone; an undecided row is written down if it is the item's first."""
    first = () if so_far.undecided else verdict.undecided[:1]
    return replace(
        so_far,
        checks=verdict.checks,
        violations=len(verdict.violations),
        worst=verdict.worst,
        errors=verdict.errors,
        collapses=tuple(write_collapse(item, seen) for seen in verdict.observations),
        grade=verdict.grade,
        excess=verdict.excess,
        undecided=len(verdict.undecided),
        undecided_rows=tuple(write_undecided(batch, seen) for seen in first),
    )


def _how_telling(batch: Batch, violation: Violation) -> tuple[int, float]:
    """Wrong numbers at ordinary input tell more than what becomes of no input at all."""
    return plainness(batch.logits[violation.row]), violation.severity


def cases_of(
    item: Item, suite: Suite, subject: LiveSubject, definition: Definition, fmt: Format
) -> Iterator[tuple[Batch, Verdict]]:
    """The batches of an item with their verdicts."""
    try:
        refusal = preflight(subject, fmt)
    except NotApplicable:
        return  # it does not do this format, and says so
    if refusal is not None:
        batch, violation = refusal
        yield batch, Verdict(1, 0.0, [violation])
        return
    subject.settle(observe(subject, fmt, suite.observes))
    if item.family == "" and suite.check_own is not None:
        try:
            yield from suite.check_own(subject, definition, fmt)
        except OracleError as error:
            nothing = Batch("", np.empty((1, 0), fmt.dtype), None)
            yield nothing, Verdict(0, 0.0, [], undecided=(Undecided(0, str(error)),))
    else:
        batches = item.given or draw(item.family, fmt, item.rows, item.seed, definition.labelled)
        for batch in batches:
            verdict = _judge(suite, subject, definition, fmt, batch)
            yield batch, verdict
            if any(v.kind in DEADLY for v in verdict.violations):
                break  # every further death costs a start, or a time limit


def _judge(
    suite: Suite, subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch
) -> Verdict:
    """Check a batch; a call of the subject that fails is a violation, at the row that fails.

    Where the oracle cannot decide a row, the others are judged one by one; where a function of one
    real cannot be decided at a number of a row, the other numbers are judged.
    """

    def check(part: Batch) -> Verdict:
        assert suite.check is not None  # the plan gives such suites no rows
        try:
            return suite.check(subject, definition, fmt, part)
        except NotApplicable:
            return Verdict(0, 0.0, [])
        except OracleError as error:
            if len(part.logits) == 1:
                middle = part.logits.shape[1] // 2 if definition.elementwise else 0
                if not middle:
                    return Verdict(0, 0.0, [], undecided=(Undecided(0, str(error)),))
                left, right = (
                    check(replace(part, logits=part.logits[:, half]))
                    for half in (slice(middle), slice(middle, None))
                )
                return Verdict.merge([left, _at_column(right, middle)])
            singly = [check(part.row(i)) for i in range(len(part.logits))]
            return Verdict.merge(map(_at_row, singly, itertools.count()))

    try:
        return check(batch)
    except SubjectFault as fault:
        return put_down(fault, len(batch.logits), lambda i: check(batch.row(i)))


def _at_column(verdict: Verdict, column: int) -> Verdict:
    """The verdict on the numbers of a row from one on, as one on the whole row."""
    moved = [
        v if v.index is None else replace(v, index=v.index + column) for v in verdict.violations
    ]
    return replace(verdict, violations=moved)


def _at_row(verdict: Verdict, row: int) -> Verdict:
    """The verdict on a single row, as one on that row of a batch."""
    return replace(
        verdict,
        violations=[replace(violation, row=row) for violation in verdict.violations],
        undecided=tuple(replace(seen, row=row) for seen in verdict.undecided),
    )


@functools.lru_cache(maxsize=256)  # one for each subject and format, not for each item
def preflight(subject: LiveSubject, fmt: Format) -> tuple[Batch, Violation] | None:
    """Import, call, shape, dtype, input untouched, determinism: the first that fails, or None.

    NotApplicable where the subject says that it cannot be asked.
    Where one of these fails no other suite is run, so that one defect makes one message.
    """
    row = np.array([[0.5, -1.0, 2.0], [1.0, 1.0, -3.0]]).astype(fmt.dtype)
    labels = np.array([0, 2]) if subject.definition.labelled else None
    batch = Batch("preflight", row, labels)

    def refuse(message: str, kind: str) -> tuple[Batch, Violation]:
        return batch.row(0), Violation(0, f"preflight: {message}", kind=kind)

    try:
        outcome = subject(row, labels)
        again = subject(row, labels)
    except SubjectFault as fault:
        return refuse(str(fault), fault.kind)
    except SubjectError as error:
        return refuse(str(error), "raised")
    if not outcome.equals(again):
        return refuse("two calls on the same input gave different results", "not deterministic")
    return None


def _shrink(
    item: Item, subject: LiveSubject, fmt: Format, batch: Batch, violation: Violation
) -> Shown:
    """Make the row of a violation as small as it can be while the subject fails in the same way."""
    suite, definition = SUITES[item.suite], subject.definition
    row = batch.row(violation.row)

    def violations(candidate: Batch) -> list[Violation]:
        try:
            found = _judge(suite, subject, definition, fmt, candidate).violations
        except SubjectError:  # a new process cannot load it: no smaller case is to be had
            return []
        return [v for v in found if _way_of_failing(v) == _way_of_failing(violation)]

    def fails(candidate: Batch) -> bool:
        return bool(violations(candidate))

    has_row = suite.check is not None and not violation.message.startswith("preflight")
    trials = MOST_TRIALS.get(violation.kind, MAX_TRIALS)
    # (What makes it hang was found by asking for this row alone, or is known of the batch only.)
    may_fail = has_row and row.logits.size > 0 and not violation.only_in_batch
    fails_alone = may_fail and (trials == 0 or fails(row))
    if fails_alone and not item.has_one_given_row:
        row = shrink(row, fails, trials)
        violation = max(
            violations(row),
            key=lambda v: v.severity,
            default=violation,  # a subject that does not fail again
        )
    return Shown(batch.family, row, violation, has_row, fails_alone)


def _way_of_failing(violation: Violation) -> tuple[str, str, tuple[str, ...]]:
    """What stays the same of a violation while its row is shrunk.

    Of a fault the kind, and the exception's class: its message may name a shape or an address.
    Of a value the contract that would admit it: a smaller error may need less.
    """
    words = violation.message if violation.kind == "value" else violation.message.split(":")[0]
    named = words if violation.kind in ("value", "raised") else ""
    return violation.kind, named, violation.admitted_by
