"""What a run consists of and what it finds: items of work, their results, and the report of all.

Everything here is plain data.  An item is a pure function of its fields to a result, and results
merge in any order, so whatever processes execute a plan give the same report.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Protocol

from ...derivations import lookup
from ..cases.case import Case
from ..inputs.families import Batch
from ..subjects.contract import CHOICES, last_of
from ..subjects.subject import Subject
from ..suites.grades import weakest
from ..suites.of_cases import CASE_SUITES
from ..suites.reference_form import SUSPICIOUS
from ..suites.verdicts import Excess
from .versions import installed_versions


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
    case: Case | None = None  # of the user

    @property
    def on_cases(self) -> bool:
        """Whether it is judged on cases: where it has one, or its family is one of cases."""
        definition, suite = lookup(self.subject.definition), CASE_SUITES.get(self.suite)
        drawn = suite is not None and self.family in suite.families(definition)
        return self.case is not None or drawn or not definition.of_a_row

    @property
    def has_one_given(self) -> bool:
        """Whether the user gave a single row or a case, which then stays as it is."""
        return self.case is not None or sum(len(batch.logits) for batch in self.given) == 1


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
    snippet: str | None  # a script without softproof, where the subject states its call
    case: str | None = None  # as text (cases/text.py); None of a row


@dataclass(frozen=True)
class Collapse:
    """A result that a suite saw collapse, of a subject that does not promise the contrary.

    The fields are those of ``suites.verdicts.Observation``, with a row that shows the collapse and
    the command that shows it again.
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
    case: str | None = None  # as text; None of a row, and for a long one


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
        """Combine the results of two disjoint sets of items; the order of the cases is kept."""
        return replace(
            self,
            checks=self.checks + other.checks,
            violations=self.violations + other.violations,
            worst=max(self.worst, other.worst),
            errors=dict(Counter(self.errors) + Counter(other.errors)),
            failures=self.failures + other.failures,
            collapses=self.collapses + other.collapses,
            grade=weakest([self.grade, other.grade]),
            excess=Excess.largest(self.excess, other.excess),
            observed=last_of([self.observed, other.observed]),
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
        """The versions of softproof, its libraries, and those that the subjects come from."""
        return installed_versions(self.subjects)

    def add(self, result: Result) -> None:
        """Merge the result of one item into that of its subject, suite and format."""
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


# --- results as text ---

RECORDS: dict[str, Any] = {
    record.__name__: record for record in (Result, Failure, Collapse, UndecidedRow, Excess)
}


def encode(result: Result) -> str:
    """Write a result as strictly valid JSON, of which ``decode`` makes the same, to the bit.

    A tuple is an array.  What JSON has not got is an object with one entry, the name of its type:
    ``{"float": "inf"}``, ``{"map": [[key, value], ...]}``, ``{"Failure": {...}}``.

    Parameters
    ----------
    result
        The result.

    Returns
    -------
    str
        One line of JSON.
    """
    return json.dumps(_plain(result), allow_nan=False, separators=(",", ":"))


def decode(text: str) -> Result:
    """Read the result that ``encode`` wrote.

    Any other text is a TypeError, a ValueError or a KeyError.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    Result
        The result; fields that were added since have their defaults.

    Raises
    ------
    TypeError
        If it is of something else than a result.
    """
    result = _restored(json.loads(text))
    if not isinstance(result, Result):
        raise TypeError(f"it is a {type(result).__name__}, not a result")
    return result


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {
            type(value).__name__: {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        }
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(float(value))}
    if isinstance(value, Mapping):
        return {"map": [[_plain(k), _plain(v)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_restored(v) for v in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float(content)
    if kind == "map":
        return {_restored(k): _restored(v) for k, v in content}
    record = RECORDS[kind]
    known = {f.name for f in fields(record)}
    return record(**{name: _restored(v) for name, v in content.items() if name in known})
