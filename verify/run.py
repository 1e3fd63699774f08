"""A run: a plan of small work items, each a pure function of its names and seed to a result.

Results of the items merge in any order, so whatever runs the plan gives the same verdicts.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version

import numpy as np

from ..derivations import Definition, lookup
from ..derivations.formats import FORMATS, Format
from .inputs import Batch, draw
from .metrics import hexadecimal
from .properties import SUITES, Suite, Verdict, Violation
from .shrink import shrink
from .subjects import Subject, SubjectError, SubjectFault, registered

ROWS = {"quick": 8, "standard": 64}


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


@dataclass(frozen=True)
class Failure:
    """The worst case of one item, shrunk, with all that is needed to see it again."""

    family: str
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
    failures: tuple[Failure, ...] = ()

    def merge(self, other: Result) -> Result:
        """Both together."""
        return replace(
            self,
            checks=self.checks + other.checks,
            violations=self.violations + other.violations,
            worst=max(self.worst, other.worst),
            failures=self.failures + other.failures,
        )

    @property
    def passed(self) -> bool:
        """Whether nothing was violated."""
        return self.violations == 0


@dataclass
class Report:
    """The results of a run, by (definition, subject, dtype, suite), and what was run."""

    seed: int
    budget: str
    results: dict[tuple[str, str, str, str], Result] = field(default_factory=dict)
    interrupted: bool = False
    versions: dict[str, str] = field(
        default_factory=lambda: {
            "softproof": version("softproof"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{p: version(p) for p in ("numpy", "scipy", "numba", "python-flint", "mpmath")},
        }
    )

    def add(self, result: Result) -> None:
        """Merge one result."""
        key = (result.definition, result.subject, result.dtype, result.suite)
        self.results[key] = self.results[key].merge(result) if key in self.results else result

    @property
    def passed(self) -> bool:
        """Whether every result passed."""
        return all(result.passed for result in self.results.values())


def plan(
    subjects: Iterable[Subject],
    suites: Iterable[str],
    dtypes: Iterable[str],
    *,
    budget: str = "quick",
    seed: int = 0,
    given: Callable[[Definition, Format], tuple[Batch, ...]] | None = None,
) -> list[Item]:
    """All items of a run; those that share inputs stand together, so that truths are found once.

    With ``given``, the user's rows take the place of the input families (and the suite of special
    values, which makes its own rows, is held against the given row alone).
    """
    subjects, items = list(subjects), []
    for name in dict.fromkeys(s.definition for s in subjects):
        definition = lookup(name)
        for dtype in dtypes:
            rows_given = given(definition, FORMATS[dtype]) if given else ()
            for suite in (SUITES[s] for s in suites):
                for family in _families(suite, definition, given is not None):
                    items += [
                        Item(s, suite.name, dtype, family, ROWS[budget], seed, rows_given)
                        for s in subjects
                        if s.definition == name and dtype in s.dtypes
                    ]
    return items


def _families(suite: Suite, definition: Definition, given: bool) -> tuple[str, ...]:
    if suite.name == "gradient" and not definition.labelled:
        return ()  # values of other definitions come without a gradient
    if given:
        return ("given",)
    if suite.check_own is not None:
        return ("",)
    return suite.real_families if definition.elementwise else suite.families


def execute(item: Item) -> Result:
    """Run one item.  Whatever the subject raises is a finding; shrinks the worst violation."""
    subject, fmt = item.subject, FORMATS[item.dtype]
    definition, suite = lookup(subject.definition), SUITES[item.suite]
    result = Result(definition.name, subject.id, item.suite, item.dtype)
    cases: list[tuple[Batch, Verdict]] = []
    if (refusal := preflight(subject, definition, fmt)) is not None:
        batch, violation = refusal
        cases.append((batch, Verdict(1, 0.0, [violation])))
    elif item.family == "" and suite.check_own is not None:
        cases = suite.check_own(subject, definition, fmt)
    else:
        batches = item.given or draw(item.family, fmt, item.rows, item.seed, definition.labelled)
        cases = [(batch, _judge(suite, subject, definition, fmt, batch)) for batch in batches]
    worst: tuple[Batch, Violation] | None = None
    for batch, verdict in cases:
        found = replace(
            result, checks=verdict.checks, violations=len(verdict.violations), worst=verdict.worst
        )
        result = result.merge(found)
        for violation in verdict.violations:
            if worst is None or violation.severity > worst[1].severity:
                worst = (batch, violation)
    if worst is not None:
        result = replace(result, failures=(_failure(item, definition, fmt, *worst),))
    return result


def _judge(
    suite: Suite, subject: Subject, definition: Definition, fmt: Format, batch: Batch
) -> Verdict:
    """Check a batch; a call of the subject that fails is a violation."""
    try:
        return suite.check(subject, definition, fmt, batch)
    except SubjectFault as fault:
        return Verdict(1, 0.0, [Violation(0, str(fault))])


def preflight(
    subject: Subject, definition: Definition, fmt: Format
) -> tuple[Batch, Violation] | None:
    """Import, call, shape, dtype, input untouched, determinism: the first that fails, or None.

    Where one of these fails no other suite is run, so that one defect makes one message.
    """
    row = np.array([[0.5, -1.0, 2.0], [1.0, 1.0, -3.0]]).astype(fmt.dtype)
    labels = np.array([0, 2]) if definition.labelled else None
    batch = Batch("preflight", row, labels)

    def refuse(message: str) -> tuple[Batch, Violation]:
        return batch.row(0), Violation(0, f"preflight: {message}")

    try:
        outcome = subject(row, labels)
        again = subject(row, labels)
    except (SubjectError, SubjectFault) as error:
        return refuse(str(error))
    if not outcome.equals(again):
        return refuse("two calls on the same input gave different results")
    return None


def _failure(
    item: Item, definition: Definition, fmt: Format, batch: Batch, violation: Violation
) -> Failure:
    """Shrink a violation and write it down."""
    suite = SUITES[item.suite]
    row = batch.row(violation.row)

    def violations(candidate: Batch) -> list[Violation]:
        found = _judge(suite, item.subject, definition, fmt, candidate).violations
        return [v for v in found if v.message == violation.message]

    def fails(candidate: Batch) -> bool:
        return bool(violations(candidate))

    own_row = violation.message.startswith("preflight") or item.family == ""
    one_given = sum(len(b.logits) for b in item.given) == 1  # the user's row stays as it is
    alone = not own_row and row.logits.size > 0 and fails(row)
    if alone and not one_given:
        row = shrink(row, fails)
        violation = max(
            violations(row),
            key=lambda v: v.severity,
            default=violation,  # a subject that does not fail again
        )
    logits = tuple(hexadecimal(float(v)) for v in row.logits[0])
    label = None if row.labels is None else int(row.labels[0])
    command = f"softproof verify {definition.name} --subject {item.subject.id} --dtype {item.dtype}"
    command += f" --suite {item.suite}"
    declared = registered(item.subject.id, definition.name).contract
    for setting in item.subject.contract.settings_from(declared):
        command += f" --contract {setting}"
    detail = violation.detail
    if alone or one_given:
        command += f" --row={','.join(logits)}"
        command += "" if label is None else f" --label {label}"
    elif not own_row and not item.given:
        detail = " ".join(filter(None, [detail, "The row alone does not fail: only in its batch."]))
        budget = "".join(f" --budget {name}" for name, rows in ROWS.items() if rows == item.rows)
        command += f"{budget} --seed {item.seed}"
    return Failure(
        family=batch.family or item.family,
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
    )


def run(items: list[Item], report: Report) -> Iterator[Item]:
    """Execute a plan into a report, yielding each item when it is done.

    Ctrl-C ends the run; the report keeps what is known and says that it was interrupted.
    """
    try:
        for item in items:
            report.add(execute(item))
            yield item
    except KeyboardInterrupt:
        report.interrupted = True
