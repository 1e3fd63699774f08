"""What a subject does where its definition leaves a choice and it declares nothing.

It is found by asking: each axis of the contract has a few rows, the same in every run.  The way
that most of them go is what was observed; the suites hold all rows against it.  A subject that goes
none of the ways, or one way here and another there, fails in the suite of special values; what may
be done or left undone from row to row, as flushing or changing bits with the batch, is only told.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace

import numpy as np

from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition
from ..inputs.families import Batch, draw
from ..subjects.contract import CHOICES, Contract
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, ProcessDied, SubjectFault, SubjectRaised
from . import layouts, special_values
from .verdicts import compare

LENGTHS = (2, 19, 67)  # a pair; one vector of 16 and a tail; two tiles of 32 and a tail
BITS_LENGTHS = (19, 1027)
BATCHES = (2, 65)  # rows that may share a vector, a thread or a tile with another


def observe(subject: LiveSubject, fmt: Format, axes: tuple[str, ...]) -> dict[str, str]:
    """The observed choice on each of some axes of the contract that the subject does not declare.

    Parameters
    ----------
    subject
        The subject.
    fmt
        The format that it is asked in.
    axes
        The names of the axes.

    Returns
    -------
    dict of str
        Choices by axis; an axis is missing where no row shows a choice, or where the definition
        leaves none.
    """
    found = {}
    for axis in axes:
        if axis not in subject.declared and (way := _ask(subject, fmt, axis)) is not None:
            found[axis] = way
    return found


@functools.lru_cache(maxsize=1024)  # once for each subject and format, not for each item
def _ask(subject: LiveSubject, fmt: Format, axis: str) -> str | None:
    """The choice on one axis."""
    definition = subject.definition
    try:
        if axis == "flush_to_zero":
            return _flushes(subject, definition, fmt)
        if axis == "bitwise_batch":
            return _keeps_bits(subject, definition, fmt)
        if axis == "layouts":
            return layouts.way(subject, definition, fmt)
        if axis in ("all_masked", "pos_inf") and not fmt.has_infinities:
            return None
        if not special_values.is_free(definition, axis):
            return None
        if axis == "empty":
            return _of_nothing(subject, fmt)
        return _of_rows(subject, definition, fmt, axis)
    except (SubjectFault, NotApplicable):
        return None  # the suites will say so


def _of_rows(subject: LiveSubject, definition: Definition, fmt: Format, axis: str) -> str | None:
    """The way that most special rows go."""
    votes: Counter[str] = Counter()
    for batch in _rows(definition, fmt, axis):
        label = None if batch.labels is None else int(batch.labels[0])
        stack, labels = special_values.between_ordinary_rows(batch)
        try:
            value = np.asarray(subject(stack, labels).value[1].astype(np.float64))
        except ProcessDied:
            raise  # each further call may cost a time limit
        except SubjectFault:
            continue
        row = batch.logits[0].astype(np.float64)
        votes.update(special_values.ways_of(definition, fmt, row, label, value) or ())
    # Of ways that as many rows allow, the first: NaN everywhere is also NaN at its place.
    return max(CHOICES[axis], key=lambda way: votes[way]) if votes else None


def _rows(definition: Definition, fmt: Format, axis: str) -> list[Batch]:
    """Rows that show a choice; the label of a loss is the first class, which is not special."""
    rows = []
    for classes in LENGTHS:
        if axis == "all_masked":
            rows.append(np.full(classes, -np.inf))
            continue
        for place in sorted({1, classes - 1}):
            row = np.linspace(-2, 2, classes)
            row[place] = np.nan if axis == "nan" else np.inf
            rows.append(row)
    labels = np.zeros(1, dtype=np.int64) if definition.labelled else None
    return [Batch("observed", row[None, :].astype(fmt.dtype), labels) for row in rows]


def _of_nothing(subject: LiveSubject, fmt: Format) -> str:
    """Whether rows without classes give a result, or an exception."""
    try:
        subject(np.empty((2, 0), fmt.dtype), None)
    except SubjectRaised:
        return "error"
    return "empty"


def _flushes(subject: LiveSubject, definition: Definition, fmt: Format) -> str:
    """Whether a result below the normal range is 0 that must not be, unless it is flushed."""
    family = "far_reals" if definition.elementwise else "subnormal_results"
    declared: Contract = subject.subject.contract
    strict, flushing = (replace(declared, flush_to_zero=word) for word in ("no", "yes"))
    for batch in draw(family, fmt, 8, 0, definition.labelled):
        value = subject(batch.logits, batch.labels).value
        for violation in compare(definition, strict, fmt, batch, value).violations:
            i, expected = violation.row, violation.expected or 0.0
            is_flushed = violation.observed == 0 < abs(expected) < 2.0**fmt.emin
            if (
                is_flushed
                and not compare(
                    definition, flushing, fmt, batch.row(i), value[i : i + 1]
                ).violations
            ):
                return "yes"
    return "no"


def _keeps_bits(subject: LiveSubject, definition: Definition, fmt: Format) -> str:
    """Whether rows have the same bits alone and in a batch of any size, at any place."""
    rng = np.random.default_rng(0)
    for classes in BITS_LENGTHS:
        rows = rng.standard_normal((max(BATCHES), classes)).astype(fmt.dtype)
        labels = np.arange(len(rows)) % classes if definition.labelled else None
        batch = Batch("observed", rows, labels)
        for size in BATCHES:
            together = subject(rows[:size], None if labels is None else labels[:size]).value
            for i in {0, size // 2, size - 1}:
                alone = batch.row(i)
                value = subject(alone.logits, alone.labels).value
                if value[0].tobytes() != together[i].tobytes():
                    return "no"
    return "yes"
