"""A judgement in words, for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict

from ..reports.text import case_lines, counted, number, row_of_numbers
from ..reports.wording import quantities
from ..runs.plan import PREFLIGHT
from ..runs.results import Failure
from .judgement import IMPRECISE, RIGHT, Judgement

HEX = re.compile(r"[+-]?0x[0-9a-f.]+p[+-][0-9]+")
MOST_SHOWN = 8  # numbers of a row
MOST_NAMED = 6  # groups of inputs that were not reached


def told(judgement: Judgement) -> list[str]:
    """Say a judgement in lines: the verdict, what is wrong, the likely cause, how to see it again.

    Parameters
    ----------
    judgement
        The judgement.

    Returns
    -------
    list of str
        The lines.

    Examples
    --------
    >>> found = Judgement("right within its class", "softmax", "mine:f", "float32", 7, "nan=row")
    >>> for line in told(found):
    ...     print(line)
    right within its class: softmax mine:f float32
        class     nan=row
        asked     0 checks in 0 groups of inputs, worst error 0 ulp, 0 s
        seed      7
    """
    where = f"{judgement.definition} {judgement.subject} {judgement.dtype}"
    weaker = " (an estimate, not a proof)" if judgement.estimate else ""
    lines = [f"{judgement.verdict}{weaker}: {where}"]
    lines += [f"    {name:<9} {value}".rstrip() for name, value in _rows(judgement)]
    if (failure := judgement.failure) is not None:
        if failure.case is not None:
            _, *arguments = failure.case.splitlines()
            decimal = [HEX.sub(_decimal, line) for line in arguments]
            for heading, case in (("case", failure.case), ("decimal", "\n".join(decimal))):
                if heading == "decimal" and decimal == arguments:
                    continue
                lines += [f"    {heading}", *(f"        {line}" for line in case_lines(case))]
        for heading, text in (("reproduce", failure.reproduce), ("script", failure.snippet)):
            if text:
                lines += [f"    {heading}", *(f"        {x}".rstrip() for x in text.splitlines())]
    return lines


def _decimal(number: re.Match[str]) -> str:
    return f"{float.fromhex(number[0]):.9g}"


def _rows(judgement: Judgement) -> Iterator[tuple[str, str]]:
    """Pairs of a name and a text."""
    if judgement.failure is not None:
        yield from _failure(judgement, judgement.failure)
        yield from judgement.causes
    if judgement.also:
        named = ", ".join(judgement.also[:MOST_NAMED])
        rest = len(judgement.also) - MOST_NAMED
        yield "also", named + (f" and {rest} more" if rest > 0 else "")
    if judgement.estimate:
        yield "estimate", judgement.estimate
    if judgement.contract:
        yield "class", judgement.contract
    if judgement.verdict == IMPRECISE:
        yield "fits", " ".join(judgement.fits)
    if judgement.grade is not None:
        yield "grade", judgement.grade
    if judgement.observed:
        yield "observed", " ".join(f"{axis}={way}" for axis, way in judgement.observed.items())
    counts = (
        f"{counted(judgement.checks, 'check')} in {counted(judgement.asked, 'group')} of inputs"
    )
    worst = "" if judgement.verdict != RIGHT else f", worst error {number(judgement.worst)} ulp"
    yield "asked", f"{counts}{worst}, {number(judgement.seconds)} s"
    if judgement.undecided:
        yield "undecided", f"{judgement.undecided:,}: no truth there, or no bound of it is known"
    if judgement.not_reached and judgement.verdict in (RIGHT, IMPRECISE):
        named = ", ".join(judgement.not_reached[:MOST_NAMED])
        rest = len(judgement.not_reached) - MOST_NAMED
        yield "not asked", named + (f" and {rest} more" if rest > 0 else "")
    yield "seed", str(judgement.seed)


def _failure(judgement: Judgement, failure: Failure) -> Iterator[tuple[str, str]]:
    """What is wrong, and where."""
    yield "found", failure.message
    if failure.family != PREFLIGHT:
        yield "by", f"{judgement.suite}, {failure.family}"
    if failure.logits:
        shown, decimal = row_of_numbers(failure.logits, MOST_SHOWN)
        yield "logits", shown
        yield "", decimal
    if failure.label is not None:
        yield "label", str(failure.label)
    yield from quantities(asdict(failure))
    if failure.detail:
        yield "detail", failure.detail
