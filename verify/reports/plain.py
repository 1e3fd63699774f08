"""The report of a run as plain data, from which JSON, JUnit XML and HTML are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..oracle.metrics import UNIT, bits
from ..runs.results import Report, Result
from ..subjects.subject import Subject

SCHEMA = 3  # raised when a field is added or changes its meaning (data/report.schema.json)
# Schemas of stored reports: in the first, results have no grade and no warning; in the second,
# failures have no case.
READABLE = (1, 2, 3)


def as_dict(report: Report) -> dict[str, Any]:
    """The whole report as plain data, as ``data/report.schema.json`` describes it.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    dict
        Numbers, texts, lists and dictionaries of them, for JSON.
    """
    return {
        "schema": SCHEMA,
        "versions": report.versions,
        "seed": report.seed,
        "budget": report.budget,
        "interrupted": report.interrupted,
        "passed": report.passed,
        "unit": UNIT,
        "skipped": dict(report.skipped),
        "subjects": [
            _subject(subject, report.versions)
            | {"observed": report.observed.get((subject.definition, subject.id), {})}
            for subject in report.subjects
        ],
        "results": [_result(result) for result in report.results.values()],
    }


def _subject(subject: Subject, versions: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": subject.id,
        "definition": subject.definition,
        "contract": {**asdict(subject.contract), "ulps": dict(subject.contract.ulps)},
        "dtypes": list(subject.dtypes),
        "arrays": subject.arrays,
        "device": subject.device,
        "versions": {d: versions[d] for d in subject.requires if d in versions},
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "definition": result.definition,
        "subject": result.subject,
        "dtype": result.dtype,
        "suite": result.suite,
        "status": result.status,
        "checks": result.checks,
        "violations": result.violations,
        "worst": result.worst,
        "worst_bits": bits(result.worst),
        "errors": [
            [2.0**key if key < 1024 else math.inf, count]
            for key, count in sorted(result.errors.items())
        ],
        "grade": result.grade,
        "excess": None
        if result.excess is None
        else {**asdict(result.excess), "ratio": result.excess.ratio},
        "warning": result.warning,
        "expected": result.expected,
        "failures": [asdict(failure) for failure in result.failures],
        "collapses": [asdict(collapse) for collapse in result.collapses],
        "undecided": {
            "count": result.undecided,
            "rows": [asdict(row) for row in result.undecided_rows],
        },
    }
