"""The execution of one item of a definition with named arguments, on cases."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from ...derivations import Definition
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..cases import draw
from ..cases.case import Case, CaseBatch
from ..cases.products import asked_at
from ..cases.shrink import shrink
from ..inputs.shrink import MAX_TRIALS
from ..oracle.rounding import OracleError
from ..subjects.contract import last_of
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, SubjectError, SubjectFault
from ..suites.of_cases import CASE_SUITES, CaseSuite, accuracy
from ..suites.verdicts import Undecided, Verdict, Violation
from .faults import DEADLY, MOST_TRIALS, put_down
from .plan import GIVEN
from .reproduce_cases import ShownCase, write_case_failure, write_undecided_case
from .results import Item, Result

PREFLIGHT_SIZES = (3, 4, 5, 2)  # of axes, all different, so that a transposed array is seen

Found = tuple[CaseBatch, Verdict]


def result_of_cases(item: Item, subject: LiveSubject) -> Result:
    """The result of an item; the worst violation is shrunk."""
    fmt, suite = ARRAY_FORMATS[item.dtype], CASE_SUITES[item.suite]
    definition = subject.definition
    result = Result(definition.name, item.subject.id, item.suite, item.dtype)
    observed: Mapping[str, str] = {}
    worst: tuple[CaseBatch, Violation] | None = None
    for batch, verdict in _found(item, suite, subject, definition, fmt):
        first = () if result.undecided else verdict.undecided[:1]
        result = result.merge(
            replace(
                result,
                checks=verdict.checks,
                violations=len(verdict.violations),
                worst=verdict.worst,
                errors=verdict.errors,
                undecided=len(verdict.undecided),
                undecided_rows=tuple(write_undecided_case(definition, batch, u) for u in first),
                failures=(),
            )
        )
        observed = last_of([observed, verdict.observed])
        for violation in verdict.violations:
            if worst is None or violation.severity > worst[1].severity:
                worst = (batch.case(violation.row), violation)
    result = replace(result, observed=observed)
    if worst is not None:
        shown = _shrunk(item, suite, subject, fmt, *worst)
        result = replace(result, failures=(write_case_failure(item, shown),))
    return result


def _found(
    item: Item, suite: CaseSuite, subject: LiveSubject, definition: Definition, fmt: Format
) -> Iterator[Found]:
    """The batches of an item with their verdicts."""
    try:
        refusal = preflight(subject, fmt)
    except NotApplicable:
        return  # it does not do this format, and says so
    if refusal is not None:
        batch, violation = refusal
        yield batch, Verdict(1, 0.0, [violation])
        return
    try:
        for batch in _batches(item, suite, definition, fmt):
            verdict = _judged(suite, subject, definition, fmt, batch)
            yield batch, verdict
            if any(v.kind in DEADLY for v in verdict.violations):
                break  # every further death costs a start, or a time limit
    except OracleError as error:  # no cases of this family are to be had
        yield CaseBatch(item.family, ()), Verdict(0, 0.0, [], undecided=(Undecided(0, str(error)),))
    except SubjectError as error:  # it could be used until now: a new process cannot load it
        batch = _plain_batch(definition, fmt)
        yield batch, Verdict(1, 0.0, [Violation(0, str(error), kind="raised")])


def _batches(
    item: Item, suite: CaseSuite, definition: Definition, fmt: Format
) -> Iterator[CaseBatch]:
    if item.case is not None:
        yield CaseBatch(GIVEN, (item.case,))
    else:
        yield from suite.draw(definition, item.family, fmt, item.rows, item.seed)


def _judged(
    suite: CaseSuite, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    """Check a batch; a call of the subject that fails is a violation, at the case that fails."""
    try:
        return suite.check(subject, definition, fmt, batch)
    except NotApplicable:  # it takes no such parameter
        return Verdict(0, 0.0, [])
    except SubjectFault as fault:
        alone = lambda i: suite.check(subject, definition, fmt, batch.case(i))  # noqa: E731
        return put_down(fault, len(batch.cases), alone)


def _plain_batch(definition: Definition, fmt: Format) -> CaseBatch:
    """A batch of plain cases, with axes of different sizes."""
    axes = enumerate(definition.signature.axes)
    sizes = {axis: PREFLIGHT_SIZES[i % len(PREFLIGHT_SIZES)] for i, axis in axes}
    plain = draw.families(definition)[0]
    batch = draw.draw_batch(definition, plain, fmt, sizes, np.random.default_rng(0))
    return replace(batch, family="preflight", cases=batch.cases[:2])


@functools.lru_cache(maxsize=256)  # one for each subject and format, not for each item
def preflight(subject: LiveSubject, fmt: Format) -> tuple[CaseBatch, Violation] | None:
    """Import, call, shape, dtype, input untouched, determinism: the first that fails, or None.

    NotApplicable where the subject says that it cannot be asked.
    """
    definition = subject.definition
    batch = _plain_batch(definition, fmt)

    def refuse(message: str, kind: str) -> tuple[CaseBatch, Violation]:
        return batch.case(0), Violation(0, f"preflight: {message}", kind=kind)

    try:
        first, again = (accuracy.call(subject, definition, fmt, batch) for _ in range(2))
    except SubjectFault as fault:
        return refuse(str(fault), fault.kind)
    except SubjectError as error:
        return refuse(str(error), "raised")
    if not np.array_equal(first.astype(np.float64), again.astype(np.float64), equal_nan=True):
        return refuse("two calls on the same input gave different results", "not deterministic")
    return None


def _shrunk(
    item: Item,
    suite: CaseSuite,
    subject: LiveSubject,
    fmt: Format,
    batch: CaseBatch,
    violation: Violation,
) -> ShownCase:
    """Make a case as small as it can be while the subject fails at it in the same way."""
    definition = subject.definition

    def violations(case: Case) -> list[Violation]:
        candidate = CaseBatch(batch.family, (case,))
        try:
            found = _judged(suite, subject, definition, fmt, candidate).violations
        except (SubjectError, OracleError):
            return []
        return [v for v in found if _way_of_failing(v) == _way_of_failing(violation)]

    fails: Callable[[Case], bool] = lambda case: bool(violations(case))  # noqa: E731
    (case,) = batch.cases
    if not suite.takes_cases:  # what it compares does not follow from one case
        return ShownCase(batch.family, definition, case, violation, batch.family != "preflight")
    trials = MOST_TRIALS.get(violation.kind, MAX_TRIALS)
    may_fail = batch.family != "preflight" and not violation.only_in_batch
    fails_alone = may_fail and (trials == 0 or fails(case))
    if fails_alone and item.case is None:
        case = shrink(asked_at(definition, case), case, fails, trials)
        violation = max(violations(case), key=lambda v: v.severity, default=violation)
    return ShownCase(batch.family, definition, case, violation, fails_alone)


def _way_of_failing(violation: Violation) -> tuple[str, str]:
    """What stays the same of a violation while its case is shrunk: the kind, and what it is."""
    if violation.kind == "value":
        return violation.kind, violation.message
    return violation.kind, violation.message.split(":")[0] if violation.kind == "raised" else ""
