"""Two runs against each other: what got better, what got worse, and what cannot be compared.

Results are paired item by item.  Where two runs asked a subject the same (the same inputs, under
the same contract), what they found is held against each other, in this order:

* the verdict: pass, fail, refused (by the preflight);
* the share of violated checks;
* the grade, where both were graded: the sharpest class that all results fit;
* the worst error, in ulp.

Where they did not ask the same, a failure where there was none is still worse, and nothing is
better.  Declared expectations play no part: a failure that was expected is one.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..oracle.metrics import CORRECT, INFINITE, UNIT
from ..subjects.subject import short_id
from ..suites import present_name
from ..suites.grades import GRADES, weakest
from .results import Failure, Result
from .store import Difference, Stored, differences

# What can have become of a row, in the order and the colours in which it is shown.
KINDS = {
    "worse": "bold red",
    "better": "green",
    "incomparable": "yellow",  # another verdict, on other inputs or under another contract
    "changed": "default",  # the same verdict and worst error, other errors or numbers of checks
    "new": "cyan",
    "gone": "cyan",
}

RANKS = {"pass": 0, "fail": 1, "refused": 2}

OTHER_INPUTS = "other inputs"
OTHER_CONTRACT = "other contract"

Row = tuple[str, str, str, str]  # definition, subject, dtype, suite


@dataclass
class Tally:
    """What a run found in items of one subject, suite and format."""

    items: int = 0
    checks: int = 0
    violations: int = 0
    worst: float = 0.0  # ulp
    errors: Counter[int] = field(default_factory=Counter)  # metrics.histogram
    refused: int = 0  # items
    grade: str | None = None  # the weakest of the items
    failure: Failure | None = field(default=None, compare=False)  # the first one

    def add(self, result: Result) -> None:
        """Count the result of an item."""
        self.items += 1
        self.checks += result.checks
        self.violations += result.violations
        self.worst = max(self.worst, result.worst)
        self.errors.update(result.errors)
        self.refused += result.status == "refused"
        self.grade = weakest([self.grade, result.grade])
        self.failure = next(iter(result.failures), None) if self.failure is None else self.failure

    @property
    def status(self) -> str:
        """One of empty, pass, fail, refused."""
        if self.checks == 0:
            return "empty"
        if self.violations == 0:
            return "pass"
        return "refused" if self.refused == self.items else "fail"

    @property
    def correct(self) -> float:
        """The share of results within half an ulp; NaN where no errors were measured."""
        measured = self.errors.total()
        return self.errors[CORRECT] / measured if measured else math.nan

    def badness(self, other: Tally) -> tuple[int, Fraction, int, float]:
        """By which a tally is compared with another of the same checks."""
        share = Fraction(self.violations, self.checks)
        graded = self.grade is not None and other.grade is not None  # older stores have no grades
        grade = GRADES.index(self.grade) if self.grade is not None and graded else 0
        return RANKS[self.status], share, grade, self.worst


@dataclass(frozen=True)
class Change:
    """What became of one subject in one suite and format; ``before`` is None where it is new."""

    kind: str
    definition: str
    subject: str
    dtype: str
    suite: str
    before: Tally | None
    after: Tally | None
    note: str = ""  # what keeps them from being comparable

    @property
    def grade_fell(self) -> bool:
        """Whether a weaker class is needed than before."""
        before = None if self.before is None else self.before.grade
        after = None if self.after is None else self.after.grade
        if before is None or after is None:
            return False
        return GRADES.index(after) > GRADES.index(before)


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    path: str
    started: str | None  # UTC
    done: int
    items: int
    plan: dict[str, Any]  # store.describe
    finished: bool = True


@dataclass(frozen=True)
class Comparison:
    """In what two runs differ, what changed, the worse first, and how many rows did not."""

    before: Side
    after: Side
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    same: int

    @property
    def worse(self) -> bool:
        """Whether something got worse."""
        return any(change.kind == "worse" for change in self.changes)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the differences between the runs mean for what can be compared."""
        remarks = []
        names = {difference.name for difference in self.differences}
        if names & {"seed", "budget", "given rows", "given cases"}:
            remarks.append(
                "The inputs differ, so numbers of violations and worst errors are not comparable: "
                "of them, only a failure where there was none is called worse."
            )
        if other := _with_other_contracts(self.before, self.after):
            remarks.append(
                f"Contracts differ, so verdicts are not comparable: {', '.join(sorted(other))}."
            )
        if names & {"code softproof", "versions softproof"}:
            remarks.append(
                "softproof itself differs: its inputs and bounds may have changed, and with them "
                "verdicts."
            )
        for side in (self.before, self.after):
            if not side.finished:
                how = f" ({side.done} of {side.items} items)" if side.done < side.items else ""
                remarks.append(
                    f"{side.path} is not finished{how}: only what both have done is compared."
                )
        return tuple(remarks)


class Run(Protocol):
    """What was run, and the results that are known: a store, or what is like one.

    * ``plan``: what ``store.describe`` tells, or part of it.
    * ``count``: how many results there are; ``finished``: whether these are all.
    """

    path: Path
    plan: dict[str, Any]

    @property
    def started(self) -> str | None:
        """When, in UTC; None where it is not told."""

    @property
    def count(self) -> int:
        """How many results are known."""

    @property
    def finished(self) -> bool:
        """Whether all results are known."""

    def results(self) -> Iterator[tuple[str, Result]]:
        """The key and the result of each item, sorted by key."""

    def close(self) -> None:
        """Close what they are read from."""


def compare(before: str | Path | Run, after: str | Path | Run) -> Comparison:
    """Hold the results of two runs against each other, which may still be written.

    Parameters
    ----------
    before, after
        The runs, with keys of the same kind, or the files of stores.

    Returns
    -------
    Comparison
        In what the runs differ, and what changed for whom.

    Raises
    ------
    StoreError
        If one of them cannot be read.
    """
    paired: dict[Row, tuple[Tally, Tally]] = {}  # of items that both have done
    single: dict[Row, tuple[Tally, Tally]] = {}  # of items that one of them has done
    with contextlib.ExitStack() as stack:
        a, b = (stack.enter_context(contextlib.closing(_opened(run))) for run in (before, after))
        for results in _pairs(a, b):
            known = next(r for r in results if r is not None)
            row = (known.definition, known.subject, known.dtype, present_name(known.suite))
            tallies = single if None in results else paired
            for tally, result in zip(
                tallies.setdefault(row, (Tally(), Tally())), results, strict=True
            ):
                if result is not None:
                    tally.add(result)
        one, other = (
            Side(str(s.path), s.started, s.count, s.plan["items"], s.plan, s.finished)
            for s in (a, b)
        )
    changes = list(_changes(paired, single, one, other))
    changed = [c for c in changes if c.kind in KINDS]
    order = list(KINDS)
    changed.sort(key=lambda c: (order.index(c.kind), c.definition, c.subject, c.dtype, c.suite))
    found = tuple(d for d in differences(one.plan, other.plan) if _is_told(d))
    return Comparison(one, other, found, tuple(changed), len(changes) - len(changed))


def _opened(run: str | Path | Run) -> Run:
    return Stored(run) if isinstance(run, str | Path) else run


def _pairs(a: Run, b: Run) -> Iterator[tuple[Result | None, Result | None]]:
    """The results of the two for each item that one of them has; both come sorted by item."""
    left, right = a.results(), b.results()
    one, other = next(left, None), next(right, None)
    while one or other:
        first = min(pair[0] for pair in (one, other) if pair)
        results: list[Result | None] = [None, None]
        if one and one[0] == first:
            results[0], one = one[1], next(left, None)
        if other and other[0] == first:
            results[1], other = other[1], next(right, None)
        yield results[0], results[1]


def _changes(
    paired: dict[Row, tuple[Tally, Tally]],
    single: dict[Row, tuple[Tally, Tally]],
    before: Side,
    after: Side,
) -> Iterator[Change]:
    contracts = _with_other_contracts(before, after)
    for row in dict.fromkeys(itertools.chain(paired, single)):
        contract = OTHER_CONTRACT if f"{row[0]} {row[1]}" in contracts else ""
        if row in paired:
            yield _change(row, *paired[row], contract)
        one, other = single.get(row, (Tally(), Tally()))
        if row not in paired and one.items and other.items:
            yield _change(row, one, other, OTHER_INPUTS)
        elif before.plan["plan"] != after.plan["plan"]:  # else one of them has not got so far
            if one.checks and (after.finished or after.done < after.items):
                yield Change("gone", *row, one, None)
            if other.checks and (before.finished or before.done < before.items):
                # A subject that was not there before and fails; not a family that was added.
                fails = other.violations and row not in paired
                yield Change("worse" if fails else "new", *row, None, other)


def _change(row: Row, before: Tally, after: Tally, note: str) -> Change:
    """What became of a row that both runs have."""
    if not before.checks or not after.checks:
        new = "worse" if after.violations else "new"
        kind = new if after.checks else "gone" if before.checks else "same"
    elif after.violations and not before.violations:
        kind = "worse"
    elif note:
        kind = "incomparable" if before.status != after.status else "same"
        if kind == "same" and note == OTHER_CONTRACT and before != after:
            kind = "changed"
    elif before.badness(after) != after.badness(before):
        kind = "worse" if after.badness(before) > before.badness(after) else "better"
    else:
        kind = "same" if before == after else "changed"
    return Change(kind, *row, before, after, note)


def _with_other_contracts(before: Side, after: Side) -> set[str]:
    """The subjects that the two runs held against different contracts."""
    one, other = before.plan["subjects"], after.plan["subjects"]
    return {s for s in one.keys() & other.keys() if one[s]["contract"] != other[s]["contract"]}


def _is_told(difference: Difference) -> bool:
    """Not what only restates the rows: subjects of one run alone, and the sums over all items."""
    alone = difference.before is None or difference.after is None
    of_a_subject = difference.name.startswith("code ") or isinstance(
        difference.before or difference.after, dict
    )
    return difference.name not in ("items", "plan") and not (alone and of_a_subject)


# --- the comparison shown ---


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print in what the runs differ, what that means, a table of the changes, and a summary.

    Parameters
    ----------
    comparison
        What `compare` returned.
    console
        Where it is printed.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for name, side in (("before", comparison.before), ("after", comparison.after)):
        started = f", started {side.started}" if side.started else ""
        say(
            f"{name:6} {side.path}: {side.done} of {side.items} items, budget "
            f"{side.plan['budget']}, seed {side.plan['seed']}{started}"
        )
    for d in comparison.differences:
        say(f"    {d}")
    for remark in comparison.remarks:
        say(remark)
    if comparison.changes:
        console.print(_table(comparison))
    for change in comparison.changes:
        failure = change.after.failure if change.after else None
        if change.kind == "worse" and failure is not None:
            say(f"worse: {failure.message}\n    {failure.reproduce}")
        if change.grade_fell and change.before and change.after:
            say(
                f"grade fell: {change.definition} {change.subject} {change.dtype} {change.suite}, "
                f"{change.before.grade} -> {change.after.grade}"
            )
    counts = Counter(change.kind for change in comparison.changes)
    told = [f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]]
    say(", ".join([*told, f"{comparison.same} unchanged"]) + ".")


def _table(comparison: Comparison) -> Table:
    table = Table(title="before -> after")
    for heading in ("", "definition", "subject", "dtype", "suite", "verdict"):
        table.add_column(heading, no_wrap=True)
    table.add_column("worst ulp", no_wrap=True, justify="right")
    table.add_column("within 1/2 ulp", no_wrap=True, justify="right")
    table.add_column("grade", no_wrap=True)
    table.add_column("")
    for c in comparison.changes:
        table.add_row(
            f"[{KINDS[c.kind]}]{c.kind}[/]",
            c.definition,
            escape(short_id(c.subject)),
            c.dtype,
            c.suite,
            _arrow(c, _verdict),
            _arrow(c, lambda tally: f"{tally.worst:.4g}"),
            _arrow(c, _correct),
            _arrow(c, lambda tally: tally.grade or "-"),
            c.note,
        )
    return table


def _arrow(change: Change, word: Callable[[Tally], str]) -> str:
    before, after = ("" if t is None else word(t) for t in (change.before, change.after))
    return before if before == after else f"{before} -> {after}".strip()


def _verdict(tally: Tally) -> str:
    return f"FAIL {tally.violations}" if tally.status == "fail" else tally.status


def _correct(tally: Tally) -> str:
    return "-" if math.isnan(tally.correct) else f"{100 * tally.correct:.4g} %"


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data, for JSON.

    Parameters
    ----------
    comparison
        What `compare` returned.

    Returns
    -------
    dict
        Its parts; histograms are lists of (upper edge in ulp, count).
    """
    return {
        "schema": 1,
        "unit": UNIT,
        "worse": comparison.worse,
        "before": asdict(comparison.before),
        "after": asdict(comparison.after),
        "differences": [asdict(difference) for difference in comparison.differences],
        "remarks": list(comparison.remarks),
        "changes": [_change_as_dict(change) for change in comparison.changes],
        "same": comparison.same,
    }


def _change_as_dict(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "definition": change.definition,
        "subject": change.subject,
        "dtype": change.dtype,
        "suite": change.suite,
        "note": change.note,
        "before": _tally_as_dict(change.before),
        "after": _tally_as_dict(change.after),
    }


def _tally_as_dict(tally: Tally | None) -> dict[str, Any] | None:
    if tally is None:
        return None
    return {
        "status": tally.status,
        "items": tally.items,
        "checks": tally.checks,
        "violations": tally.violations,
        "worst": tally.worst,
        "grade": tally.grade,
        "errors": [
            [math.inf if key == INFINITE else 2.0**key, count]
            for key, count in sorted(tally.errors.items())
        ],
        "failure": None if tally.failure is None else asdict(tally.failure),
    }
