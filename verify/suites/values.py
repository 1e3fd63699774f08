"""The suites that hold values and gradients against the truth: accuracy, overflow, gradient."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition
from ..inputs.families import Batch
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable
from .verdicts import Verdict, compare, deterministic

MOST_JUDGED = 100  # rows that repeat others, whose results have other bits
MANY_ROWS = 259  # whose time tells that of a batch of more rows
SHARE_OF_THE_LIMIT = 0.25  # of the time limit of a call, which a batch of many rows may be worth


def check_value(subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Every value within its error bound of the exact one, and the same when asked again."""
    if batch.period:
        batch = _as_many_rows_as_time_allows(subject, batch)
    outcome = deterministic(subject, batch)
    if isinstance(outcome, Verdict):
        return outcome
    if batch.period:
        verdict = _compare_repeated(definition, subject, fmt, batch, outcome.value)
        with contextlib.suppress(NotApplicable):  # most have no such keyword
            shared = subject(batch.logits, batch.labels, options={"threads": 2}).value
            found = _compare_repeated(definition, subject, fmt, batch, shared)
            verdict = replace(verdict, violations=verdict.violations + found.violations)
        return verdict
    return compare(definition, subject.contract, fmt, batch, outcome.value)


def check_gradient(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch
) -> Verdict:
    """Every gradient component within its error bound; nothing where no gradient is returned."""
    if definition.gradient is None:
        return Verdict(0, 0.0, [])
    gradient = subject(batch.logits, batch.labels).gradient
    if gradient is None:
        return Verdict(0, 0.0, [])
    return compare(definition, subject.contract, fmt, batch, gradient, gradient=True)


def _as_many_rows_as_time_allows(subject: LiveSubject, batch: Batch) -> Batch:
    """The batch, or its first rows where a subject takes so long that all would be a hang."""
    beginning = _rows(batch, np.arange(min(MANY_ROWS, len(batch.logits) // 4)))
    subject(beginning.logits, beginning.labels)  # which may compile for the shape
    start = time.perf_counter()
    subject(beginning.logits, beginning.labels)
    expected = (time.perf_counter() - start) * len(batch.logits) / len(beginning.logits)
    too_long = expected > SHARE_OF_THE_LIMIT * subject.subject.time_limit
    return beginning if too_long else batch


def _compare_repeated(
    definition: Definition,
    subject: LiveSubject,
    fmt: Format,
    batch: Batch,
    computed: NDArray[Any],
) -> Verdict:
    """Judge the rows that differ, and of the others those whose result has other bits.

    A result of the same row that is the same number is as right, wherever it stands.
    """
    first = np.resize(computed[: batch.period], computed.shape)
    same = (computed == first) | (np.isnan(computed) & np.isnan(first))
    same = same.reshape(len(computed), -1).all(axis=1)
    same[: batch.period] = False
    judged = np.flatnonzero(~same)
    # Of many the last ones: what runs over does so at the end.
    judged = np.concatenate([judged[: 2 * batch.period], judged[2 * batch.period :][-MOST_JUDGED:]])
    verdict = compare(definition, subject.contract, fmt, _rows(batch, judged), computed[judged])
    violations = [replace(v, row=int(judged[v.row])) for v in verdict.violations]
    return replace(verdict, checks=computed.size, violations=violations)


def _rows(batch: Batch, chosen: NDArray[np.intp]) -> Batch:
    """Some rows of a batch, as one whose rows do not repeat."""
    labels = None if batch.labels is None else batch.labels[chosen]
    return Batch(batch.family, batch.logits[chosen], labels)
