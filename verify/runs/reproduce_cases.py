"""What is written down of a finding at a case: the case as text, and the command that shows it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from ...derivations import Definition
from ..cases.case import Case, CaseBatch
from ..cases.text import to_text
from ..cases.truth import output_shapes
from ..oracle.metrics import hexadecimal
from ..suites.of_cases import CASE_SUITES
from ..suites.verdicts import Undecided, Violation
from .reproduce import base_command, inputs_options
from .results import Failure, Item, UndecidedRow
from .snippet_of_case import Place, case_snippet

MOST_IN_A_COMMAND = 2000  # numbers; a larger case is found again by its seed
WITH_SCRIPTS = ("accuracy", "liveness", "gradient")  # suites that judge numbers of one call
MOST_WRITTEN = 64  # numbers of an undecided case


@dataclass(frozen=True)
class ShownCase:
    """A violation with the case that shows it, after shrinking."""

    family: str
    definition: Definition
    case: Case
    violation: Violation
    fails_alone: bool  # the case was seen to fail without the rest of its batch


def write_case_failure(item: Item, shown: ShownCase) -> Failure:
    """Write a violation at a case down, with the command that shows it again."""
    violation, text = shown.violation, to_text(shown.definition, shown.case)
    judged_by = item.suite if CASE_SUITES[item.suite].takes_cases else "accuracy"
    reproduce, detail = base_command(replace(item, suite=judged_by)), violation.detail
    size = sum(value.size for value in shown.case.values.values())
    if (shown.fails_alone or item.case is not None) and size <= MOST_IN_A_COMMAND:
        reproduce += f" --case /dev/stdin <<'END'\n{text}\nEND"
    else:
        reproduce += inputs_options(item)
        if not shown.fails_alone and shown.family != "preflight":
            detail = f"{detail} The case alone does not fail: only in its batch.".lstrip()
    return Failure(
        family=shown.family,
        kind=violation.kind,
        message=violation.message,
        detail=detail,
        logits=(),
        label=None,
        index=violation.index,
        observed=None if violation.observed is None else hexadecimal(violation.observed),
        expected=None if violation.expected is None else hexadecimal(violation.expected),
        error=violation.error,
        threshold=violation.threshold,
        source=violation.source,
        reproduce=reproduce,
        snippet=_script(item, shown),
        case=text,
    )


def _script(item: Item, shown: ShownCase) -> str | None:
    """A script without softproof for a number of one case, where the subject states its call."""
    violation = shown.violation
    if item.suite not in WITH_SCRIPTS or not shown.fails_alone:
        return None
    if violation.index is None or violation.observed is None or violation.expected is None:
        return None
    if item.suite == "gradient":
        place = _told_place(violation.detail)
    else:
        place = place_of(shown.definition, shown.case, violation.index)
    if place is None:
        return None
    return case_snippet(item.subject, shown.definition, shown.case, place, violation.expected)


def _told_place(detail: str) -> Place | None:
    """The place that a violation of the gradient tells: which products it counts, depends."""
    match = re.match(r"At (\w+)(?:\[([^\]]*)\])?\.", detail)
    if match is None:
        return None
    parts = match[2].split(", ") if match[2] else []
    return match[1], tuple(int(part.partition("=")[2]) for part in parts)


def place_of(definition: Definition, case: Case, index: int) -> Place:
    """The output that result number ``index`` belongs to, and its index there."""
    for name, shape in output_shapes(definition, case).items():
        count = math.prod(shape)
        if index < count:
            return name, tuple(int(i) for i in np.unravel_index(index, shape)) if shape else ()
        index -= count
    raise IndexError(f"{definition.name} has no result number {index} there")


def write_undecided_case(definition: Definition, batch: CaseBatch, seen: Undecided) -> UndecidedRow:
    """Write down a case that was not judged; one of many numbers without them."""
    text = None
    if batch.cases:
        case = batch.cases[seen.row]
        if sum(value.size for value in case.values.values()) <= MOST_WRITTEN:
            text = to_text(definition, case)
    return UndecidedRow((), None, seen.reason, text)
