"""The execution of one item: ask the subject, judge what it gives, shrink the worst violation.

What differs between rows and cases stands in ``on_rows`` and ``on_cases``.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..inputs.shrink import MAX_TRIALS
from ..oracle.rounding import OracleError
from ..subjects.contract import last_of
from ..subjects.isolation.in_process import InProcess, LiveSubject
from ..subjects.subject import NotApplicable, ProcessDied, Subject, SubjectError, SubjectFault
from ..subjects.surroundings import Surroundings, our_own
from ..suites.observe import observe
from ..suites.verdicts import Undecided, Verdict, Violation, no_result
from .asked import Asked
from .on_cases import OnCases
from .on_rows import OnRows
from .plan import PREFLIGHT
from .reproduce import B, Shown, write_collapse
from .results import Item, Result

Connect = Callable[[Subject], LiveSubject]

MOST_ALONE = 100  # of a batch that fails, to see whether one of them fails alone
DEADLY = {death.kind for death in ProcessDied.__subclasses__()}
# Trials of shrinking that may end a process: each costs a new one, or even a time limit.
MOST_TRIALS = {"crashed": 30, "memory": 5, "hung": 0}


class OutOfTime(Exception):
    """The time is up, and more of an item was to be asked."""


@dataclass(frozen=True)
class Beginning:
    """What was found of the first batches of an item.

    ``complete``: whether these are all.  ``admitted_by``: the settings of a contract that would
    admit the failure, if there is one.
    """

    result: Result
    complete: bool
    admitted_by: tuple[str, ...] = ()


def in_this_process(function: Callable[..., Any], surroundings: Surroundings) -> Connect:
    """What calls a function in this process.

    Parameters
    ----------
    function
        The function that every subject which is connected stands for, whatever it declares.
    surroundings
        What the function runs under.

    Returns
    -------
    Connect
        Of one subject it always gives the same.
    """
    known: list[LiveSubject] = []

    def connect(subject: Subject) -> LiveSubject:
        live = next((live for live in known if live.subject == subject), None)
        if live is None:
            live = InProcess(subject, function, surroundings)
            known.append(live)
        return live

    return connect


class GivenUp(Exception):
    """An item that was not run: its subject is not called any more."""


def execute(item: Item, connect: Connect = InProcess) -> Result:
    """Run one item: whatever the subject does is a finding; the worst violation is shrunk.

    Parameters
    ----------
    item
        The item.
    connect
        What makes a subject callable, in this process or in one of its own.

    Returns
    -------
    Result
        What was found.

    Raises
    ------
    GivenUp
        If a run does not call the subject any more.
    """
    with our_own():
        return _found(_asked_anew(item, connect)).result


def execute_until(
    item: Item, connect: Connect, until: float, longest_shrinking: float
) -> Beginning:
    """Run an item until its first batch that fails, or until a time.

    Of several violations in a batch it is one that no other settings of the contract admit.

    Parameters
    ----------
    item
        The item.
    connect
        What makes a subject callable.
    until
        The time, by ``time.monotonic``, from which on no further batch is asked, but for the first.
    longest_shrinking
        For how many seconds what fails is made smaller, at most.

    Returns
    -------
    Beginning
        What was found.

    Raises
    ------
    GivenUp
        If the subject is not called any more.
    """
    with our_own():
        return _found(_asked_anew(item, connect), until, longest_shrinking)


def _asked_anew(item: Item, connect: Connect) -> Asked[Any]:
    """An item with its subject, of which nothing is observed yet."""
    subject = connect(item.subject)
    if subject.given_up is not None:
        raise GivenUp(str(subject.given_up))
    subject.settle({})  # forget what was observed in another format
    return asked_of(item, subject)


def asked_of(item: Item, subject: LiveSubject) -> Asked[Any]:
    """Decide whether an item is asked on rows or on cases.

    It is on rows also where the preflight of rows refuses the subject, whatever is to be asked of
    it.

    Parameters
    ----------
    item
        The item.
    subject
        Its subject, connected.

    Returns
    -------
    Asked
        The item with its subject.
    """
    if not item.on_cases:
        return OnRows(item, subject)
    if subject.definition.of_a_row:
        try:
            if preflight(OnRows, subject, ARRAY_FORMATS[item.dtype]) is not None:
                return OnRows(item, subject)
        except NotApplicable:
            return OnRows(item, subject)
    return OnCases(item, subject)


def _found(
    asked: Asked[B], until: float = math.inf, longest_shrinking: float = math.inf
) -> Beginning:
    """What is found of an item whose subject is connected; without end, in all of its batches."""
    item, in_a_hurry = asked.item, until < math.inf
    result = Result(asked.definition.name, item.subject.id, item.suite, item.dtype)
    observed: Mapping[str, str] = {}
    worst: tuple[B, Violation] | None = None
    most_telling = (False, -1, 0.0)
    complete = True
    try:
        for batch, verdict in verdicts(asked, until):
            result = result.merge(_of_verdict(asked, result, batch, verdict))
            observed = last_of([observed, verdict.observed])
            for violation in verdict.violations:
                certain = in_a_hurry and not violation.admitted_by
                plainness = asked.plainness(batch, violation.row)
                telling = (certain, plainness, violation.severity)
                if worst is None or telling > most_telling:
                    worst, most_telling = (batch, violation), telling
            if worst is not None and in_a_hurry:
                complete = False
                break
    except OutOfTime:
        complete = False
    result = replace(result, observed=last_of([asked.subject.observed, observed]))
    if worst is None:
        return Beginning(result, complete)
    shown = made_small(asked, *worst, until=time.monotonic() + longest_shrinking)
    result = replace(result, failures=(asked.write_failure(shown),))
    return Beginning(result, complete, shown.violation.admitted_by)


def _of_verdict(asked: Asked[B], so_far: Result, batch: B, verdict: Verdict) -> Result:
    """The result of one batch alone; what is undecided is written down if it is the first."""
    first = () if so_far.undecided else verdict.undecided[:1]
    return replace(
        so_far,
        checks=verdict.checks,
        violations=len(verdict.violations),
        worst=verdict.worst,
        errors=verdict.errors,
        collapses=tuple(write_collapse(asked.item, seen) for seen in verdict.observations),
        grade=verdict.grade,
        excess=verdict.excess,
        undecided=len(verdict.undecided),
        undecided_rows=tuple(asked.write_undecided(batch, seen) for seen in first),
    )


def verdicts(asked: Asked[B], until: float = math.inf) -> Iterator[tuple[B, Verdict]]:
    """Yield the batches of an item with their verdicts.

    Parameters
    ----------
    asked
        The item with its subject.
    until
        The time, by ``time.monotonic``, from which on no further batch is asked, but for the first.

    Yields
    ------
    tuple
        A batch and its verdict. Where the subject is refused beforehand there is one batch; where
        it does not do the format, none.

    Raises
    ------
    OutOfTime
        If there is another batch at that time.
    """
    try:
        refusal = preflight(type(asked), asked.subject, asked.fmt)
    except NotApplicable:
        return  # it does not do this format, and says so
    if refusal is not None:
        batch, violation = refusal
        yield batch, Verdict(1, 0.0, [violation])
        return
    try:
        asked.subject.settle(observe(asked.subject, asked.fmt, asked.observes))
        for i, (batch, known) in enumerate(asked.batches()):
            if i and time.monotonic() > until:
                raise OutOfTime
            verdict = known or judged(asked, batch)
            yield batch, verdict
            if known is None and any(v.kind in DEADLY for v in verdict.violations):
                break  # every further death costs a start, or a time limit
    except OracleError as error:  # none of its batches are to be had
        yield asked.nothing(), Verdict(0, 0.0, [], undecided=(Undecided(0, str(error)),))
    except SubjectError as error:  # it could be used until now: a new process cannot load it
        yield asked.nothing(), Verdict(1, 0.0, [Violation(0, str(error), kind="raised")])


def judged(asked: Asked[B], batch: B) -> Verdict:
    """Check a batch; a call of the subject that fails is a violation, at the one that fails.

    Where the oracle cannot decide one, the others are judged one by one; where a function of one
    real cannot be decided at a number of a row, the other numbers are judged.

    Parameters
    ----------
    asked
        The item with its subject.
    batch
        Some of its rows or cases.

    Returns
    -------
    Verdict
        What the suite found.
    """

    def check(part: B) -> Verdict:
        try:
            return asked.check(part)
        except NotApplicable:
            return Verdict(0, 0.0, [])
        except OracleError as error:
            count, _ = asked.size(part)
            if count > 1:
                singly = (check(asked.alone(part, i)) for i in range(count))
                return Verdict.merge(map(_at_row, singly, itertools.count()))
            if (halves := asked.halves(part)) is None:
                return Verdict(0, 0.0, [], undecided=(Undecided(0, str(error)),))
            left, right, middle = halves
            return Verdict.merge([check(left), _at_column(check(right), middle)])

    try:
        return check(batch)
    except SubjectFault as fault:
        count, _ = asked.size(batch)
        return _put_down(fault, count, lambda i: check(asked.alone(batch, i)))


def _at_column(verdict: Verdict, column: int) -> Verdict:
    """The verdict on the numbers of a row from one on, as one on the whole row."""
    moved = [
        v if v.index is None else replace(v, index=v.index + column) for v in verdict.violations
    ]
    return replace(verdict, violations=moved)


def _at_row(verdict: Verdict, row: int) -> Verdict:
    """The verdict on a single row or case, as one on that number of a batch."""
    return replace(
        verdict,
        violations=[replace(violation, row=row) for violation in verdict.violations],
        undecided=tuple(replace(seen, row=row) for seen in verdict.undecided),
    )


def _put_down(fault: SubjectFault, count: int, alone: Callable[[int], object]) -> Verdict:
    """The verdict on a batch whose call failed: a violation at the one that fails alone, if any.

    ``alone(i)`` asks the subject for number i of the batch alone, and raises what it does.  Where
    nobody fails alone the violation is at the first, and says that it is in its batch only.
    """
    found, row, in_batch = fault, 0, count > 1
    for i in range(min(count, MOST_ALONE)) if in_batch else ():
        try:
            alone(i)
        except SubjectFault as again:
            if not isinstance(again, ProcessDied) or again.called:
                found, row, in_batch = again, i, False
            break
    verdict = no_result(found, row=row)
    violations = [replace(violation, only_in_batch=in_batch) for violation in verdict.violations]
    return replace(verdict, violations=violations)


@functools.lru_cache(maxsize=256)  # one for each subject and format, not for each item
def preflight(way: type[Asked[B]], subject: LiveSubject, fmt: Format) -> tuple[B, Violation] | None:
    """Ask what no suite can do without, and return the first that fails.

    Asked are import, call, shape, dtype, the input untouched, and the same result twice. Where one
    of these fails no other suite is run, so that one defect makes one message.

    Parameters
    ----------
    way
        What is done with rows, or with cases.
    subject
        The subject, connected.
    fmt
        The format.

    Returns
    -------
    tuple or None
        The row or case that shows what fails, and the violation; None where nothing fails.

    Raises
    ------
    NotApplicable
        If the subject says that it cannot be asked.
    """
    batch = way.plain(subject.definition, fmt)

    def refuse(message: str, kind: str) -> tuple[B, Violation]:
        return way.alone(batch, 0), Violation(0, f"preflight: {message}", kind=kind)

    try:
        first, again = (way.call(subject, fmt, batch) for _ in range(2))
    except SubjectFault as fault:
        return refuse(str(fault), fault.kind)
    except SubjectError as error:
        return refuse(str(error), "raised")
    if len(first) != len(again) or not all(map(_same_numbers, first, again)):
        return refuse("two calls on the same input gave different results", "not deterministic")
    return None


def _same_numbers(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays hold the same numbers; NaN equals NaN."""
    return np.array_equal(one.astype(np.float64), other.astype(np.float64), equal_nan=True)


def made_small(asked: Asked[B], batch: B, violation: Violation, *, until: float) -> Shown[B]:
    """Make what fails as small as it can be, until a time, while it fails in the same way.

    Parameters
    ----------
    asked
        The item with its subject.
    batch
        Some of its rows or cases.
    violation
        What was found in them.
    until
        The time, by ``time.monotonic``, from which on nothing smaller is tried.

    Returns
    -------
    Shown
        The row or case, and the violation there.
    """
    one = asked.alone(batch, violation.row)

    def violations(candidate: B) -> list[Violation]:
        try:
            found = judged(asked, candidate).violations
        except SubjectError:  # a new process cannot load it: nothing smaller is to be had
            return []
        return [v for v in found if _way_of_failing(v) == _way_of_failing(violation)]

    repeats = asked.repeats and batch.family != PREFLIGHT
    trials = MOST_TRIALS.get(violation.kind, MAX_TRIALS)
    # (What makes it hang was found by asking for it alone, or is known of the batch only.)
    may_fail = repeats and asked.size(one)[1] > 0 and not violation.only_in_batch
    fails_alone = may_fail and (trials == 0 or bool(violations(one)))
    if fails_alone and not asked.item.has_one_given:
        one = asked.shrunk(
            one, lambda smaller: time.monotonic() < until and bool(violations(smaller)), trials
        )
        violation = max(
            violations(one),
            key=lambda v: v.severity,
            default=violation,  # a subject that does not fail again
        )
    return Shown(batch.family, one, violation, repeats, fails_alone)


def _way_of_failing(violation: Violation) -> tuple[str, str, tuple[str, ...]]:
    """What stays the same of a violation while what fails is shrunk.

    Of a fault the kind, and the exception's class: its message may name a shape or an address.
    Of a value the contract that would admit it: a smaller error may need less.
    """
    words = violation.message if violation.kind == "value" else violation.message.split(":")[0]
    named = words if violation.kind in ("value", "raised") else ""
    return violation.kind, named, violation.admitted_by
