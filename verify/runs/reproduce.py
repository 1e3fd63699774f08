"""What is written down of a finding: the row or case, the numbers, and how to see them again.

A finding is shown again by a command of softproof, and where the subject states its call, by a
script without softproof (snippet.py).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ...derivations import Definition, Output, lookup
from ..cases.case import Case, CaseBatch
from ..cases.text import to_text
from ..inputs.families import Batch
from ..oracle.metrics import hexadecimal
from ..subjects.built_in import registered
from ..subjects.subject import Subject
from ..suites import BUDGETS, SUITES
from ..suites.of_cases import CASE_SUITES
from ..suites.verdicts import Observation, Undecided, Violation
from .plan import PREFLIGHT, ROWS
from .results import Collapse, Failure, Item, UndecidedRow
from .snippet import snippet
from .snippet_of_case import script_of

MOST_IN_A_COMMAND = 2000  # numbers; what has more is found again by its seed
MOST_WRITTEN = 64  # numbers of a row that shows a collapse, or of what is undecided
B = TypeVar("B", Batch, CaseBatch)


@dataclass(frozen=True)
class Shown(Generic[B]):
    """A violation with the row or case that shows it, after shrinking."""

    family: str
    one: B
    violation: Violation
    repeats: bool  # False where the suite cannot judge it again, or the preflight failed
    fails_alone: bool  # it was seen to fail without the rest of its batch


def write_failure(item: Item, shown: Shown[Batch]) -> Failure:
    """Write down a violation at a row, with the command and the script that show it again.

    Parameters
    ----------
    item
        The item.
    shown
        The row and the violation, after shrinking.

    Returns
    -------
    Failure
        What is reported.
    """
    row, violation = shown.one, shown.violation
    logits = tuple(hexadecimal(float(v)) for v in row.logits[0])
    label = _label(row)
    command, detail = base_command(item), violation.detail
    if (shown.fails_alone or item.has_one_given) and len(logits) <= MOST_IN_A_COMMAND:
        command += _row_option(logits, label)
    elif item.given or (item.family and shown.repeats):
        only_in_batch = violation.only_in_batch or not item.has_one_given
        if shown.repeats and not shown.fails_alone and only_in_batch:
            detail = f"{detail} The row alone does not fail: only in its batch.".lstrip()
        command += inputs_options(item)
    has_script = shown.fails_alone and violation.observed is not None
    return replace(
        _failure(shown.family or item.family, violation, detail, command),
        logits=logits,
        label=label,
        snippet=_snippet(item.subject, row, violation) if has_script else None,
    )


def write_case_failure(item: Item, definition: Definition, shown: Shown[CaseBatch]) -> Failure:
    """Write down a violation at a case, with the command and the script that show it again.

    Parameters
    ----------
    item
        The item.
    definition
        The definition of its subject.
    shown
        The case and the violation, after shrinking.

    Returns
    -------
    Failure
        What is reported.
    """
    cases, detail = shown.one.cases, shown.violation.detail
    judges = CASE_SUITES[item.suite].one_shown_by or item.suite
    command = base_command(replace(item, suite=judges))
    text = to_text(definition, cases[0]) if cases else None
    alone = shown.fails_alone or item.has_one_given or judges != item.suite
    if alone and shown.family != PREFLIGHT and text and _size(cases[0]) <= MOST_IN_A_COMMAND:
        command += f" --case /dev/stdin <<'END'\n{text}\nEND"
    else:
        command += inputs_options(item)
        if shown.repeats and not shown.fails_alone:
            detail = f"{detail} The case alone does not fail: only in its batch.".lstrip()
    script = None
    if shown.fails_alone and cases:
        script = script_of(item.subject, item.suite, definition, cases[0], shown.violation)
    failure = _failure(shown.family, shown.violation, detail, command)
    return replace(failure, case=text, snippet=script)


def _failure(family: str, violation: Violation, detail: str, command: str) -> Failure:
    """What is written of a violation, wherever it was seen."""
    return Failure(
        family=family,
        kind=violation.kind,
        message=violation.message,
        detail=detail,
        logits=(),
        label=None,
        index=violation.index,
        observed=_hexadecimal(violation.observed),
        expected=_hexadecimal(violation.expected),
        error=violation.error,
        threshold=violation.threshold,
        source=violation.source,
        reproduce=command,
        snippet=None,
    )


def write_collapse(item: Item, seen: Observation) -> Collapse:
    """Write down a collapse, with the command that shows it again.

    Parameters
    ----------
    item
        The item.
    seen
        The collapse.

    Returns
    -------
    Collapse
        What is reported.
    """
    row = seen.batch
    logits = () if row is None else _short_logits(row)
    label = _label(row) if row is not None and logits else None
    command = base_command(item)
    command += _row_option(logits, label) if logits else inputs_options(item)
    return Collapse(
        result=seen.result,
        classes=seen.classes,
        leader=seen.leader,
        gap=seen.gap,
        cause=seen.cause,
        lost=seen.lost,
        share=seen.share,
        logits=logits,
        label=label,
        observed=_hexadecimal(seen.observed),
        expected=_hexadecimal(seen.expected),
        reproduce=command,
    )


def write_undecided(batch: Batch, seen: Undecided) -> UndecidedRow:
    """Write down a row of a batch that the oracle could not decide.

    Parameters
    ----------
    batch
        The rows.
    seen
        Which row it is, and why.

    Returns
    -------
    UndecidedRow
        What is reported.
    """
    row = batch.row(seen.row)
    return UndecidedRow(_short_logits(row), _label(row), seen.reason)


def write_undecided_case(definition: Definition, batch: CaseBatch, seen: Undecided) -> UndecidedRow:
    """Write down a case that was not judged; one of many numbers without them.

    Parameters
    ----------
    definition
        The definition.
    batch
        The cases.
    seen
        Which case it is, and why.

    Returns
    -------
    UndecidedRow
        What is reported.
    """
    text = None
    if batch.cases and _size(batch.cases[seen.row]) <= MOST_WRITTEN:
        text = to_text(definition, batch.cases[seen.row])
    return UndecidedRow((), None, seen.reason, text)


def _size(case: Case) -> int:
    return sum(value.size for value in case.values.values())


def _short_logits(row: Batch) -> tuple[str, ...]:
    """The logits of a row in hex; nothing where there are none, or too many to show."""
    if not 0 < row.logits.size <= MOST_WRITTEN:
        return ()
    return tuple(hexadecimal(float(v)) for v in row.logits[0])


def _label(row: Batch) -> int | None:
    return None if row.labels is None else int(row.labels[0])


def _hexadecimal(value: float | None) -> str | None:
    return None if value is None else hexadecimal(value)


def base_command(item: Item) -> str:
    """Return the command that runs the suite on the subject in the format, as it was declared.

    Parameters
    ----------
    item
        The item.

    Returns
    -------
    str
        The command, without options of inputs.
    """
    definition = item.subject.definition
    known = registered(item.subject.id, definition)
    command = f"softproof verify {definition} --subject {shlex.quote(item.subject.id)}"
    command += f" --dtype {item.dtype} --suite {item.suite}"
    if file := lookup(definition).declared_in:
        command += f" --definitions {shlex.quote(file)}"
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


def _row_option(logits: tuple[str, ...], label: int | None) -> str:
    """The options that give one row."""
    return f" --row={','.join(logits)}" + ("" if label is None else f" --label {label}")


def inputs_options(item: Item) -> str:
    """Return the options that give all rows or cases of an item again.

    Parameters
    ----------
    item
        The item.

    Returns
    -------
    str
        The options, each after a blank.
    """
    if item.given:
        return f" --logits {shlex.quote(item.given_in)}" if item.given_in else ""
    budgets = (b for b in BUDGETS if ROWS[b] == item.rows)
    budget = max(next(budgets, "quick"), SUITES[item.suite].budget, key=BUDGETS.index)
    return f" --budget {budget} --seed {item.seed}"


def _snippet(subject: Subject, row: Batch, violation: Violation) -> str | None:
    """A script that shows the violation without softproof, where the subject states its call."""
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
