"""The suite of memory layouts: the same numbers elsewhere in memory, along another axis, or none.

The results need not have the same bits as those of an ordinary array, as a vectorised loop may sum
in another order: each is held against the truth.  The rows are such that the subject gets right
where they lie in memory as usual, so that what is found here is the layout.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition, Output
from ..inputs.families import Batch
from ..subjects.contract import Contract
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.layouts import LAYOUTS
from ..subjects.subject import NotApplicable, SubjectFault, SubjectRaised
from .verdicts import Verdict, compare, no_result

CLASSES = 35  # two vectors of 16, and a tail
ROWS = 6
# Shapes of the logits, with the axis of the classes.
AXES = (
    ((CLASSES, ROWS), 0),
    ((CLASSES, 2, ROWS // 2), 0),
    ((2, CLASSES, ROWS // 2), 1),
    ((2, ROWS // 2, CLASSES), -1),
)

# Layouts beside the ordinary one, by what a subject must take to be asked for them.
WRITABLE = ("misaligned", "fortran", "strided", "reversed", "far")
ANY = ("read_only", "broadcast")
# Exceptions that say that an array is not taken; another one is a defect.
REFUSALS = ("TypeError", "ValueError", "NotImplementedError", "BufferError")
# What NumPy says where a function writes into its input: nobody has refused anything.
CAUGHT_WRITING = ("destination is read-only", "output array is read-only")

Case = tuple[Batch, Verdict]
NOTHING = Verdict(0, 0.0, [])


def check(subject: LiveSubject, definition: Definition, fmt: Format) -> list[Case]:
    """Every layout, axis and empty shape that the subject can be asked."""
    cases = [
        _check_no_rows(subject, definition, fmt),
        _check_no_axis(subject, definition, fmt),
    ]
    batch = _sound_rows(subject, definition, fmt)
    if batch is None:  # the other suites say so
        return cases
    for layout in LAYOUTS:
        named = _named(batch, layout)
        cases.append((named, _judge_layout(subject, definition, fmt, named, layout)))
    if not definition.elementwise:
        for shape, axis in AXES:
            named = replace(batch, family=f"{len(shape)} dimensions, axis {axis}")
            verdict = _judge(subject, definition, fmt, named, shape=shape, axis=axis)
            cases.append((named, verdict))
            if verdict == NOTHING:  # it takes no axis, and knows arrays of two dimensions alone
                break
    return cases


def way(subject: LiveSubject, definition: Definition, fmt: Format) -> str | None:
    """What layouts a subject takes, as the contract's ``layouts`` has it.

    Parameters
    ----------
    subject
        The subject.
    definition
        What it implements.
    fmt
        The format of the arrays.

    Returns
    -------
    str or None
        A choice of the contract; None where the subject gets ordinary arrays wrong, or refuses
        them.
    """
    batch = _sound_rows(subject, definition, fmt)
    if batch is None:
        return None
    refused = set()
    for layout in ("contiguous", *WRITABLE, *ANY):
        try:
            named = _named(batch, layout)
            subject(named.logits, named.labels, layout=layout)
        except SubjectRaised as fault:
            if is_refusal(fault):
                refused.add(layout)
        except (NotApplicable, SubjectFault):
            continue
    if "contiguous" in refused:
        return None
    if refused & {*WRITABLE}:
        return "contiguous"
    return "writable" if refused else "any"


def is_refusal(fault: SubjectFault) -> bool:
    """Whether an exception says clearly that an array is not taken.

    Parameters
    ----------
    fault
        What came of the call of a subject.

    Returns
    -------
    bool
        False also for the exception of one that tried to write to the array.

    Examples
    --------
    >>> is_refusal(SubjectRaised("raised TypeError: No matching definition (kernel.py:3)"))
    True
    """
    raised = str(fault).removeprefix("raised ").partition(":")[0]
    caught = any(words in str(fault) for words in CAUGHT_WRITING)
    return isinstance(fault, SubjectRaised) and raised in REFUSALS and not caught


def takes(contract: Contract, layout: str) -> bool:
    """Whether a subject is to be asked for a layout, by what it declares.

    Parameters
    ----------
    contract
        What the subject declares.
    layout
        One of ``subjects.layouts.LAYOUTS``.

    Returns
    -------
    bool
        True for every layout where nothing is declared.

    Examples
    --------
    >>> takes(Contract(layouts="writable"), "strided"), takes(Contract(), "read_only")
    (True, True)
    """
    declared = contract.layouts
    return not (
        (layout in ANY and declared in ("writable", "contiguous"))
        or (layout in WRITABLE and declared == "contiguous")
    )


def _named(batch: Batch, layout: str) -> Batch:
    rows = _repeated(batch) if layout == "broadcast" else batch
    return replace(rows, family=f"layout {layout}")


def _judge_layout(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch, layout: str
) -> Verdict:
    """The verdict on rows in a layout; a refusal is none where nothing is declared of layouts."""
    if not takes(subject.subject.contract, layout):
        return NOTHING
    may_refuse = subject.subject.contract.layouts is None and layout in (*WRITABLE, *ANY)
    return _judge(subject, definition, fmt, batch, layout=layout, may_refuse=may_refuse)


def check_rows(subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Given rows in every layout that they can have."""
    found = []
    for layout in LAYOUTS:
        fits = len(batch.logits) > 1 or layout != "far"
        if fits and (layout != "broadcast" or len({r.tobytes() for r in batch.logits}) == 1):
            named = replace(batch, family=f"layout {layout}")
            found.append(_judge_layout(subject, definition, fmt, named, layout))
    return Verdict.merge(found)


def _sound_rows(subject: LiveSubject, definition: Definition, fmt: Format) -> Batch | None:
    """Rows that the subject gets right in an ordinary array; None where it fails at most."""
    drawn = np.random.default_rng(0).standard_normal((3 * ROWS, CLASSES)).astype(fmt.dtype)
    labels = np.arange(len(drawn)) * 5 % CLASSES if definition.labelled else None
    batch = Batch("ordinary", drawn, labels)
    failing = {v.row for v in _judge(subject, definition, fmt, batch).violations}
    sound = [i for i in range(len(drawn)) if i not in failing][:ROWS]
    if len(sound) < ROWS:
        return None
    return Batch("ordinary", drawn[sound], None if labels is None else labels[sound])


def _repeated(batch: Batch) -> Batch:
    labels = None if batch.labels is None else np.repeat(batch.labels[:1], len(batch.logits))
    return Batch(batch.family, np.repeat(batch.logits[:1], len(batch.logits), axis=0), labels)


def _judge(
    subject: LiveSubject,
    definition: Definition,
    fmt: Format,
    batch: Batch,
    *,
    shape: tuple[int, ...] | None = None,
    axis: int = -1,
    layout: str = "contiguous",
    may_refuse: bool = False,
) -> Verdict:
    """The verdict on rows that the subject is given in another form; NOTHING where it cannot be."""
    others = list(shape or batch.logits.shape)
    others.pop(axis)
    stacked = batch.logits.reshape(*others, batch.logits.shape[1])
    logits = np.ascontiguousarray(np.moveaxis(stacked, -1, axis))
    labels = None if batch.labels is None else batch.labels.reshape(others)
    try:
        outcome = subject(logits, labels, axis=axis, layout=layout)
    except NotApplicable:
        return NOTHING
    except SubjectFault as fault:
        if may_refuse and is_refusal(fault):
            return Verdict(1, 0.0, [])
        return no_result(fault, batch.family)

    def rows_of(result: NDArray[Any]) -> NDArray[Any]:
        return np.moveaxis(result, axis, -1).reshape(batch.logits.shape)

    whole = definition.output is Output.VECTOR or definition.elementwise
    value = rows_of(outcome.value) if whole else outcome.value.reshape(-1)
    verdict = _compare(definition, subject, fmt, batch, value)
    if definition.labelled and definition.gradient and outcome.gradient is not None:
        slopes = rows_of(outcome.gradient)
        gradient = _compare(definition, subject, fmt, batch, slopes, gradient=True)
        verdict = replace(
            verdict,
            checks=verdict.checks + gradient.checks,
            violations=verdict.violations + gradient.violations,
        )
    return verdict


def _compare(
    definition: Definition,
    subject: LiveSubject,
    fmt: Format,
    batch: Batch,
    computed: NDArray[Any],
    *,
    gradient: bool = False,
) -> Verdict:
    """``verdicts.compare``, with the case in the message."""
    verdict = compare(definition, subject.contract, fmt, batch, computed, gradient=gradient)
    named = [replace(v, message=f"{batch.family}: {v.message}") for v in verdict.violations]
    return replace(verdict, violations=named)


def _check_no_rows(subject: LiveSubject, definition: Definition, fmt: Format) -> Case:
    """A batch without rows has a result without; the host checks its shape."""
    shown = Batch("no rows", np.zeros((1, 0), fmt.dtype), None)
    labels = np.zeros(0, dtype=np.int64) if definition.labelled else None
    try:
        subject(np.zeros((0, CLASSES), fmt.dtype), labels)
    except NotApplicable:
        return shown, NOTHING
    except SubjectFault as fault:
        return shown, no_result(fault, shown.family)
    return shown, Verdict(1, 0.0, [])


def _check_no_axis(subject: LiveSubject, definition: Definition, fmt: Format) -> Case:
    """A single number: an exception, or the value of a row of one class."""
    number = np.array(-1.5, dtype=fmt.dtype)
    label = np.zeros(1, dtype=np.int64) if definition.labelled else None
    batch = Batch("no dimensions", number.reshape(1, 1), label)
    try:
        outcome = subject(number, None if label is None else label.reshape(()))
    except NotApplicable:
        return batch, NOTHING
    except SubjectRaised:
        return batch, Verdict(1, 0.0, [])
    except SubjectFault as fault:
        return batch, no_result(fault, batch.family)
    whole = definition.output is Output.VECTOR or definition.elementwise
    return batch, _compare(
        definition, subject, fmt, batch, outcome.value.reshape((1, 1) if whole else (1,))
    )
