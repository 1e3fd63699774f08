"""A run: a plan of small work items, each a pure function of its names and seed to a result.

Results of the items merge in any order, so whatever runs the plan gives the same verdicts.
"""

from __future__ import annotations

import functools
import itertools
import platform
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Protocol

import numpy as np

from ...derivations import Definition, Output, lookup
from ...derivations.arithmetic.formats import FORMATS, Format
from ..inputs.families import Batch, draw, plainness
from ..inputs.shrink import MAX_TRIALS, shrink
from ..oracle.metrics import hexadecimal
from ..oracle.truth import OracleError
from ..subjects.built_in import registered
from ..subjects.contract import CHOICES
from ..subjects.isolation.in_process import InProcess, LiveSubject
from ..subjects.subject import CXX, Died, NotApplicable, Subject, SubjectError, SubjectFault
from ..subjects.surroundings import our_own
from ..suites import BUDGETS, SUITES, Observation, Suite, Verdict, Violation
from ..suites.grades import weakest
from ..suites.observe import observe
from ..suites.reference_form import SUSPICIOUS
from ..suites.verdicts import Excess, Undecided, no_result
from .snippet import snippet

OF_MANY_LENGTHS = ("every_length", "drawn_lengths", "tails")
ROWS = {"quick": 8, "standard": 64, "exhaustive": 64}


@dataclass(frozen=True)
class Item:
    """One piece of work: a subject, a suite, a format, an input family."""

    subject: Subject
    suite: str
    dtype: str
    family: str  # "" for a suite that makes its own inputs, "given" for rows of the user
    rows: int
    seed: int
    given: tuple[Batch, ...] = ()
    given_in: str = ""  # the file that holds these rows; "" where they stand on the command line


@dataclass(frozen=True)
class Failure:
    """The worst case of one item, shrunk, with all that is needed to see it again."""

    family: str
    kind: str  # "value", "not deterministic", or the kind of a SubjectFault
    message: str
    detail: str
    logits: tuple[str, ...]  # hex
    label: int | None
    index: int | None
    observed: str | None  # hex
    expected: str | None  # hex
    error: float  # ulp where a value was observed, else the multiple of what is admissible
    threshold: float | None
    source: str
    reproduce: str
    snippet: str | None  # the same without softproof, where the subject tells its call


@dataclass(frozen=True)
class Collapse:
    """A result that a suite saw collapse, of a subject that does not promise the contrary.

    As ``judge.Observation``, with a row that shows it, and all that is needed to see it again.
    """

    result: str
    classes: int
    leader: str
    gap: float | None
    cause: str
    lost: tuple[tuple[float, float], ...]
    share: float | None
    logits: tuple[str, ...]  # hex; empty where there is no row, or a long one
    label: int | None
    observed: str | None  # hex
    expected: str | None  # hex
    reproduce: str


@dataclass(frozen=True)
class UndecidedRow:
    """A row of which the definition has no exact value that the oracle can decide, and why."""

    logits: tuple[str, ...]  # hex; empty where it is no single row, or a long one
    label: int | None
    reason: str


@dataclass(frozen=True)
class Result:
    """What an item, or several merged, found of one subject in one suite and format."""

    definition: str
    subject: str
    suite: str
    dtype: str
    checks: int = 0
    violations: int = 0
    worst: float = 0.0  # ulp
    errors: Mapping[int, int] = field(default_factory=dict)  # metrics.histogram
    failures: tuple[Failure, ...] = ()
    collapses: tuple[Collapse, ...] = ()
    observed: Mapping[str, str] = field(default_factory=dict)  # of the contract, undeclared
    undecided: int = 0  # rows that were not judged
    undecided_rows: tuple[UndecidedRow, ...] = ()  # the first of each item
    expected: str | None = None  # why it may fail, where that was declared
    grade: str | None = None  # the sharpest class that all results fit (suites/grades.py)
    excess: Excess | None = None  # where errors exceed those of the reference form by most

    def merge(self, other: Result) -> Result:
        """Both together."""
        return replace(
            self,
            checks=self.checks + other.checks,
            violations=self.violations + other.violations,
            worst=max(self.worst, other.worst),
            errors=dict(Counter(self.errors) + Counter(other.errors)),
            failures=self.failures + other.failures,
            collapses=self.collapses + other.collapses,
            grade=weakest([self.grade, other.grade]),
            excess=max(
                (e for e in (self.excess, other.excess) if e is not None),
                key=lambda e: e.ratio,
                default=None,
            ),
            observed={**self.observed, **other.observed},
            undecided=self.undecided + other.undecided,
            undecided_rows=self.undecided_rows + other.undecided_rows,
        )

    @property
    def passed(self) -> bool:
        """Whether nothing was violated."""
        return self.violations == 0

    @property
    def warning(self) -> str | None:
        """What is suspicious of results that pass; None where nothing is."""
        if self.status != "pass" or self.excess is None or self.excess.ratio <= SUSPICIOUS:
            return None
        return (
            f"errors up to {self.excess.ratio:.3g} times those of the reference form "
            f"({self.excess.error:.3g} against {self.excess.reference:.3g} ulp, "
            f"{self.excess.family})"
        )

    @property
    def status(self) -> str:
        """One of empty, pass, fail, refused (by the preflight), expected (to fail), fixed."""
        if self.checks == 0:
            return "empty"
        if self.passed:
            return "pass" if self.expected is None else "fixed"
        # What was declared of numbers excuses no crash, and no function that cannot be called.
        if self.expected is not None and all(f.kind == "value" for f in self.failures):
            return "expected"
        refused = all(f.family == "preflight" for f in self.failures)
        return "refused" if refused else "fail"


class ExpectedFailure(Protocol):
    """A failure that was declared, and why."""

    @property
    def reason(self) -> str:
        """Why it is expected."""

    def covers(self, definition: str, subject: str, suite: str, dtype: str) -> bool:
        """Whether it is about this result."""


@dataclass
class Report:
    """The results of a run, by (definition, subject, dtype, suite), and what was run."""

    seed: int
    budget: str
    subjects: Sequence[Subject] = ()
    skipped: dict[str, str] = field(default_factory=dict)  # id: the word that says why
    expected: Sequence[ExpectedFailure] = ()
    results: dict[tuple[str, str, str, str], Result] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def observed(self) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
        """What was observed of (definition, subject), by format and axis of the contract."""
        found: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
        for r in self.results.values():
            if r.observed:
                of_subject = found.setdefault((r.definition, r.subject), {})
                of_subject.setdefault(r.dtype, {}).update(r.observed)
        order = list(CHOICES)
        return {
            key: {d: dict(sorted(o.items(), key=lambda i: order.index(i[0]))) for d, o in v.items()}
            for key, v in found.items()
        }

    @property
    def versions(self) -> dict[str, str]:
        """Of softproof, what it stands on, and what the subjects come from."""
        stands_on = ("numpy", "scipy", "numba", "python-flint", "mpmath")
        theirs = (d for s in self.subjects for d in s.requires if d != CXX)
        return {
            "softproof": version("softproof"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{p: version(p) for p in (*stands_on, *theirs)},
        }

    def add(self, result: Result) -> None:
        """Merge one result."""
        names = (result.definition, result.subject, result.suite, result.dtype)
        reasons = (entry.reason for entry in self.expected if entry.covers(*names))
        result = replace(result, expected=next(reasons, None))
        key = (result.definition, result.subject, result.dtype, result.suite)
        self.results[key] = self.results[key].merge(result) if key in self.results else result

    @property
    def warned(self) -> list[Result]:
        """The results that pass, but are suspicious."""
        return [result for result in self.results.values() if result.warning]

    @property
    def passed(self) -> bool:
        """Whether all was run, and nothing failed that was not expected to."""
        failed = any(r.status in ("fail", "refused") for r in self.results.values())
        return not self.interrupted and not failed


def plan(
    subjects: Iterable[Subject],
    suites: Iterable[str],
    dtypes: Iterable[str],
    *,
    budget: str = "quick",
    seed: int = 0,
    given: Callable[[Definition, Format], tuple[Batch, ...]] | None = None,
    given_in: str = "",
) -> list[Item]:
    """All items of a run; those that share inputs stand together, so that truths are found once.

    With ``given``, the user's rows take the place of the input families (and the suite of special
    values, which makes its own rows, is held against the given row alone); ``given_in`` is the
    file that holds them.
    """
    subjects, items = list(subjects), []
    for name in dict.fromkeys(s.definition for s in subjects):
        definition = lookup(name)
        for dtype in dtypes:
            rows_given = given(definition, FORMATS[dtype]) if given else ()
            for suite in (SUITES[s] for s in suites):
                if not suite.applies(definition, FORMATS[dtype]):
                    continue
                for family in _families(suite, definition, budget, given is not None):
                    items += [
                        Item(s, suite.name, dtype, family, ROWS[budget], seed, rows_given, given_in)
                        for s in subjects
                        if s.definition == name
                        and dtype in s.dtypes
                        # Hundreds of shapes take a subject that compiles for each a minute.
                        and not (s.slow and family in OF_MANY_LENGTHS and budget == "quick")
                    ]
    return items


def _families(suite: Suite, definition: Definition, budget: str, given: bool) -> tuple[str, ...]:
    if BUDGETS.index(budget) < BUDGETS.index(suite.budget):
        return ()
    if given:
        return ("given",) if suite.check is not None else ()
    if suite.check_own is not None:
        return ("",)
    return suite.real_families if definition.elementwise else suite.families


Connect = Callable[[Subject], LiveSubject]


class GivenUp(Exception):
    """An item that was not run: its subject is not called any more."""


def execute(item: Item, connect: Connect = InProcess) -> Result:
    """Run one item.  Whatever the subject does is a finding; shrinks the worst violation.

    GivenUp where a run does not call the subject any more.
    """
    subject = connect(item.subject)
    if subject.given_up is not None:
        raise GivenUp(str(subject.given_up))
    subject.settle({})  # what was observed in another format
    with our_own():
        return _executed(item, subject)


def _executed(item: Item, subject: LiveSubject) -> Result:
    """The result of an item of a subject."""
    fmt = FORMATS[item.dtype]
    definition, suite = subject.definition, SUITES[item.suite]
    result = Result(definition.name, item.subject.id, item.suite, item.dtype)
    cases: list[tuple[Batch, Verdict]] = []
    try:
        for case in cases_of(item, suite, subject, definition, fmt):
            cases.append(case)
    except SubjectError as error:  # it could be used until now: a new process cannot load it
        nothing = Batch("", np.empty((1, 0), fmt.dtype), None)
        cases.append((nothing, Verdict(1, 0.0, [Violation(0, str(error), kind="raised")])))
    result = replace(result, observed=dict(subject.observed))
    worst: tuple[Batch, Violation] | None = None

    def telling(batch: Batch, violation: Violation) -> tuple[int, float]:
        """Wrong numbers at ordinary input tell more than what becomes of no input at all."""
        return plainness(batch.logits[violation.row]), violation.severity

    for batch, verdict in cases:
        found = replace(
            result,
            checks=verdict.checks,
            violations=len(verdict.violations),
            worst=verdict.worst,
            errors=verdict.errors,
            collapses=tuple(_collapse(item, seen) for seen in verdict.observations),
            grade=verdict.grade,
            excess=verdict.excess,
            undecided=len(verdict.undecided),
            undecided_rows=()
            if result.undecided
            else tuple(_undecided(batch, seen) for seen in verdict.undecided[:1]),
        )
        result = result.merge(found)
        for violation in verdict.violations:
            if worst is None or telling(batch, violation) > telling(*worst):
                worst = (batch, violation)
    if worst is not None:
        result = replace(result, failures=(_failure(item, subject, fmt, *worst),))
    return result


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


MOST_ROWS_ALONE = 100  # of a batch that fails, to see whether one of them fails alone
DEADLY = {death.kind for death in Died.__subclasses__()}


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
                return _joined(left, _at_column(right, middle))
            singly = [check(part.row(i)) for i in range(len(part.logits))]
            return functools.reduce(_joined, map(_at_row, singly, itertools.count()))

    try:
        return check(batch)
    except SubjectFault as fault:
        found, row, in_batch = fault, 0, len(batch.logits) > 1
    if in_batch:
        for i in range(min(len(batch.logits), MOST_ROWS_ALONE)):
            try:
                check(batch.row(i))
            except SubjectFault as fault:
                if not isinstance(fault, Died) or fault.called:
                    found, row, in_batch = fault, i, False
                break
    verdict = no_result(found, row=row)
    told = [replace(violation, only_in_batch=in_batch) for violation in verdict.violations]
    return replace(verdict, violations=told)


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


def _joined(first: Verdict, second: Verdict) -> Verdict:
    """Two verdicts on rows of one batch."""
    return Verdict(
        first.checks + second.checks,
        max(first.worst, second.worst),
        [*first.violations, *second.violations],
        Counter(first.errors) + Counter(second.errors),
        first.observations + second.observations,
        weakest([first.grade, second.grade]),
        max((e for e in (first.excess, second.excess) if e), key=lambda e: e.ratio, default=None),
        first.undecided + second.undecided,
    )


def _undecided(batch: Batch, seen: Undecided) -> UndecidedRow:
    """An undecided row, written down."""
    row = batch.row(seen.row)
    is_short = 0 < row.logits.size <= MOST_TOLD
    return UndecidedRow(
        tuple(hexadecimal(float(v)) for v in row.logits[0]) if is_short else (),
        None if row.labels is None else int(row.labels[0]),
        seen.reason,
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


MOST_IN_A_COMMAND = 2000  # logits; a longer row is found again by its seed
# Trials of shrinking that may end a process: each costs a new one, or even a time limit.
MOST_TRIALS = {"crashed": 30, "memory": 5, "hung": 0}


def _failure(
    item: Item, subject: LiveSubject, fmt: Format, batch: Batch, violation: Violation
) -> Failure:
    """Shrink a violation and write it down."""
    suite, definition = SUITES[item.suite], subject.definition
    row = batch.row(violation.row)

    def violations(candidate: Batch) -> list[Violation]:
        try:
            found = _judge(suite, subject, definition, fmt, candidate).violations
        except SubjectError:  # a new process cannot load it: no smaller case is to be had
            return []
        return [v for v in found if _sort(v) == _sort(violation)]

    def fails(candidate: Batch) -> bool:
        return bool(violations(candidate))

    own_row = item.family == ""  # the suite makes it, and asks more of it than numbers
    no_row = suite.check is None or violation.message.startswith("preflight")
    one_given = sum(len(b.logits) for b in item.given) == 1  # the user's row stays as it is
    trials = MOST_TRIALS.get(violation.kind, MAX_TRIALS)
    # (What makes it hang was found by asking for this row alone, or is known of the batch only.)
    may_fail = not no_row and row.logits.size > 0 and not violation.only_in_batch
    alone = may_fail and (trials == 0 or fails(row))
    if alone and not one_given:
        row = shrink(row, fails, trials)
        violation = max(
            violations(row),
            key=lambda v: v.severity,
            default=violation,  # a subject that does not fail again
        )
    logits = tuple(hexadecimal(float(v)) for v in row.logits[0])
    label = None if row.labels is None else int(row.labels[0])
    shown = alone and violation.observed is not None
    command = _command(item)
    detail = violation.detail
    if (alone or one_given) and len(logits) <= MOST_IN_A_COMMAND:
        command += _of_row(logits, label)
    elif item.given or not (own_row or no_row):
        if not (alone or no_row) and (violation.only_in_batch or not one_given):
            detail = f"{detail} The row alone does not fail: only in its batch.".lstrip()
        command += _of_inputs(item)
    return Failure(
        family=batch.family or item.family,
        kind=violation.kind,
        message=violation.message,
        detail=detail,
        logits=logits,
        label=label,
        index=violation.index,
        observed=None if violation.observed is None else hexadecimal(violation.observed),
        expected=None if violation.expected is None else hexadecimal(violation.expected),
        error=violation.error,
        threshold=violation.threshold,
        source=violation.source,
        reproduce=command,
        snippet=_snippet(item.subject, row, violation) if shown else None,
    )


def _command(item: Item) -> str:
    """The command that runs the suite on the subject in the format, as it was declared."""
    definition = item.subject.definition
    known = registered(item.subject.id, definition)
    command = f"softproof verify {definition} --subject {shlex.quote(item.subject.id)}"
    command += f" --dtype {item.dtype} --suite {item.suite}"
    if item.subject.declared_in:
        command += f" --subjects {shlex.quote(item.subject.declared_in)}"
    else:
        if item.subject.arrays != known.arrays:
            command += f" --arrays {item.subject.arrays}"
        if item.subject.device != known.device:
            command += f" --device {item.subject.device}"
    for setting in item.subject.contract.settings_from(known.contract):
        command += f" --contract {setting}"
    return command


def _of_row(logits: tuple[str, ...], label: int | None) -> str:
    return f" --row={','.join(logits)}" + ("" if label is None else f" --label {label}")


def _of_inputs(item: Item) -> str:
    """What gives all rows of an item again."""
    if item.given:
        return f" --logits {shlex.quote(item.given_in)}" if item.given_in else ""
    budgets = (b for b in BUDGETS if ROWS[b] == item.rows)
    budget = max(next(budgets, "quick"), SUITES[item.suite].budget, key=BUDGETS.index)
    return f" --budget {budget} --seed {item.seed}"


MOST_TOLD = 64  # logits of a row that shows a collapse: a longer one is made of two numbers


def _collapse(item: Item, seen: Observation) -> Collapse:
    """An observation, written down with the command that shows it again."""
    row = seen.batch
    logits: tuple[str, ...] = ()
    label = None
    if row is not None and row.logits.shape[1] <= MOST_TOLD:
        logits = tuple(hexadecimal(float(v)) for v in row.logits[0])
        label = None if row.labels is None else int(row.labels[0])
    command = _command(item)
    if logits:
        command += _of_row(logits, label)
    else:
        command += _of_inputs(item)
    told = {name: getattr(seen, name) for name in ("result", "classes", "leader", "gap", "cause")}
    return Collapse(
        **told,
        lost=seen.lost,
        share=seen.share,
        logits=logits,
        label=label,
        observed=None if seen.observed is None else hexadecimal(seen.observed),
        expected=None if seen.expected is None else hexadecimal(seen.expected),
        reproduce=command,
    )


def _sort(violation: Violation) -> tuple[str, str, tuple[str, ...]]:
    """What stays the same of a violation while its row is shrunk.

    Of a fault the kind, and the exception's class: its message may name a shape or an address.
    Of a value the contract that would admit it: a smaller error may need less.
    """
    words = violation.message if violation.kind == "value" else violation.message.split(":")[0]
    told = words if violation.kind in ("value", "raised") else ""
    return violation.kind, told, violation.admitted_by


def _snippet(subject: Subject, row: Batch, violation: Violation) -> str | None:
    """The violation without softproof, where the subject tells its call."""
    definition = lookup(subject.definition)
    vector = definition.output is Output.VECTOR or definition.elementwise or violation.in_gradient
    index = violation.index or 0
    return snippet(
        subject,
        row.logits,
        row.labels,
        place=(0, index) if vector else (0,),
        in_gradient=violation.in_gradient,
        expected=violation.expected,
    )


class ResultStore(Protocol):
    """Where results are kept as they come."""

    def get(self, item: Item) -> Result | None:
        """The result of an item that was done before."""

    def put(self, item: Item, result: Result) -> None:
        """Keep the result of an item."""


Plan = Mapping[int, Item]  # some of the items of a plan, by their places in it
Outcomes = Iterator[tuple[int, Result | GivenUp]]


def run(
    items: list[Item],
    report: Report,
    connect: Connect = InProcess,
    store: ResultStore | None = None,
) -> Iterator[Item]:
    """Execute a plan into a report, yielding each item when it is done; not what a store has.

    Ctrl-C ends the run; the report keeps what is known and says that it was interrupted.
    """

    def one_by_one(unknown: Plan) -> Outcomes:
        for k, item in unknown.items():
            try:
                yield k, execute(item, connect)
            except GivenUp as word:
                yield k, word

    yield from collect(items, report, one_by_one, store)


def collect(
    items: list[Item],
    report: Report,
    execute_all: Callable[[Plan], Outcomes],
    store: ResultStore | None,
) -> Iterator[Item]:
    """As ``run``, with the items executed in any order."""
    known: dict[int, Result] = {}
    try:
        for k, item in enumerate(items):
            if store and (result := store.get(item)) is not None:
                known[k] = result
                yield item
        unknown = {k: item for k, item in enumerate(items) if k not in known}
        for k, outcome in execute_all(unknown):
            if isinstance(outcome, GivenUp):  # neither passed nor failed, and not kept
                report.skipped[items[k].subject.id] = f"{outcome}: not all was run"
            else:
                if store:
                    store.put(items[k], outcome)
                known[k] = outcome
            yield items[k]
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        for k in sorted(known):  # in the order of the plan, whatever came first
            report.add(known[k])
