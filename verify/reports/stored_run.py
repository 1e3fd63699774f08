"""What `softproof compare` holds against each other: stores, and reports of `verify --json`.

A report tells less than a store: its results are merged by suite, it says nothing of the code and
of the processor, nor of rows that were given.  So a store beside a report is merged in the same
way, and of what was run only what both tell is compared.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..oracle.metrics import INFINITE
from ..runs.compare import Run
from ..runs.results import Collapse, Failure, Result, UndecidedRow
from ..runs.store import Stored, StoreError
from ..suites.verdicts import Excess
from .stored import load

SQLITE = b"SQLite format 3\0"


def opened(before: Path, after: Path) -> tuple[Run, Run]:
    """Open two runs to be compared, each a store or a report.

    Parameters
    ----------
    before, after
        Files that ``verify --store`` or ``verify --json`` wrote.

    Returns
    -------
    tuple of Run
        Both, merged by suite where one of them is.

    Raises
    ------
    StoreError
        If one of them is neither.
    """
    one, other = _open(before), _open(after)
    if isinstance(one, Stored) and isinstance(other, Stored):
        return one, other
    plans = [run.plan for run in (one, other)]
    common = {name for name in plans[0] if name in plans[1]}
    return _Merged(one, common, plans[1]), _Merged(other, common, plans[0])


def _open(path: Path) -> Stored | StoredReport:
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE))
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise StoreError(f"{path}: {what}") from error
    if start.lstrip()[:1] == b"{":
        return StoredReport(path)
    if start and start != SQLITE:
        raise StoreError(
            f"{path}: that is neither a store nor a report; give files that `verify --store` or "
            "`verify --json` wrote"
        )
    return Stored(path)


class StoredReport:
    """A report that `verify --json` wrote, read as a run.

    * ``plan``: what it tells of what was run.
    * ``started``: None, as it does not say when.
    * ``finished``: whether it was not interrupted.
    """

    started = None

    def __init__(self, path: Path) -> None:
        """Read it; StoreError where it is no report."""
        self.path = path
        try:
            self._data = load(path)
        except (OSError, ValueError) as error:
            raise StoreError(str(error)) from error
        self._results = dict(sorted(map(_result, self._data["results"])))
        self.count = len(self._results)
        self.finished = not self._data["interrupted"]
        self.plan: dict[str, Any] = {
            "seed": self._data["seed"],
            "budget": self._data["budget"],
            "dtypes": sorted({result.dtype for result in self._results.values()}),
            "suites": sorted({result.suite for result in self._results.values()}),
            "versions": self._data["versions"],
            "subjects": {
                f"{s['definition']} {s['id']}": _subject(s) for s in self._data["subjects"]
            },
        }

    def results(self) -> Iterator[tuple[str, Result]]:
        """The key and the result of each row, sorted by key."""
        yield from self._results.items()

    def close(self) -> None:
        """Do nothing, as no file is open."""


class _Merged:
    """A run whose results are those of whole suites, and that tells what another one tells, too."""

    def __init__(
        self, run: Stored | StoredReport, names: set[str], other: Mapping[str, Any]
    ) -> None:
        self._run = run
        self.path, self.started = run.path, run.started
        self._results: dict[str, Result] = {}
        for _, result in run.results():
            key = _key(result)
            known = self._results.get(key)
            self._results[key] = result if known is None else known.merge(result)
        self.count = len(self._results)
        self.finished = run.finished
        plan = {name: _told_by_both(run.plan[name], other[name]) for name in sorted(names)}
        keys = "\n".join(sorted(self._results))
        digest = hashlib.sha256(keys.encode()).hexdigest()
        self.plan: dict[str, Any] = {**plan, "items": self.count, "plan": digest}

    def results(self) -> Iterator[tuple[str, Result]]:
        """The key and the result of each row, sorted by key."""
        yield from sorted(self._results.items())

    def close(self) -> None:
        """Close what it was read from."""
        self._run.close()


def _told_by_both(value: Any, other: Any) -> Any:
    """Of each subject what both tell, of which a store tells more; other values as they are."""
    if not isinstance(value, Mapping) or not isinstance(other, Mapping):
        return value
    known = {
        name: {field: entry[field] for field in entry if field in other[name]}
        for name, entry in value.items()
        if isinstance(entry, Mapping) and isinstance(other.get(name), Mapping)
    }
    return {**value, **known}


def _key(result: Result) -> str:
    return "\0".join((result.definition, result.subject, result.dtype, result.suite))


def _subject(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of a subject, but for what it found and what is installed."""
    names = ("id", "definition", "contract", "dtypes", "arrays", "device")
    return {name: told[name] for name in names}


def _result(told: Mapping[str, Any]) -> tuple[str, Result]:
    """A result of a report, as it was before it was written."""
    excess = told["excess"]
    result = Result(
        told["definition"],
        told["subject"],
        told["suite"],
        told["dtype"],
        checks=told["checks"],
        violations=told["violations"],
        worst=_number(told["worst"]),
        errors={
            INFINITE if math.isinf(edge) else int(np.log2(edge)): count
            for edge, count in told["errors"]
        },
        failures=tuple(Failure(**_tuples(failure)) for failure in told["failures"]),
        collapses=tuple(Collapse(**_tuples(collapse)) for collapse in told["collapses"]),
        undecided=told["undecided"]["count"],
        undecided_rows=tuple(UndecidedRow(**_tuples(row)) for row in told["undecided"]["rows"]),
        grade=told["grade"],
        excess=None
        if excess is None
        else Excess(**{name: value for name, value in excess.items() if name != "ratio"}),
    )
    return _key(result), result


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _tuples(record: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a record, with tuples for lists."""
    return {n: _tuple(v) if isinstance(v, list) else v for n, v in record.items()}


def _tuple(values: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuple(v) if isinstance(v, list) else v for v in values)
