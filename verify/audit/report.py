"""The grade of a check as a table for a terminal."""

from __future__ import annotations

import re

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .check import Check
from .grade import Audit, Graded

MOST_OF_AN_INPUT = 60  # characters of a line that the table shows
HEX = re.compile(r"[+-]?0x[0-9a-f]+(?:\.[0-9a-f]*)?p[+-]?\d+")


def print_audit(audit: Audit, check: Check | None, console: Console) -> None:
    """Print what the check compares, what it said of each mistake, and the kill rate.

    Parameters
    ----------
    audit
        The grade.
    check
        The check, where it is described; None of a function.
    console
        Where to print.
    """
    if check is not None:
        _print_check(check, console)
    _print_mistakes(audit, console)
    _print_right(audit, console)
    survive = len(audit.surviving)
    console.print(
        f"{audit.title}: {len(audit.mistakes) - survive} of {len(audit.mistakes)} planted mistakes "
        f"are rejected ({100 * audit.kill_rate:.0f} %), {survive} pass"
        + (f"; {len(audit.false_alarms)} right ones are rejected" if audit.false_alarms else ""),
        markup=False,
        soft_wrap=True,
    )


def _print_check(check: Check, console: Console) -> None:
    """What the check draws and compares."""
    for inputs in check.inputs:
        sizes = ", ".join(f"{axis}={size}" for axis, size in inputs.sizes.items())
        settings = ", ".join(f"{name}={value:g}" for name, value in inputs.parameters.items())
        words = " with ".join(filter(None, (sizes, settings)))
        console.print(f"  {inputs.cases} cases, {words}" if words else f"  {inputs.cases} cases")
    draws = (
        f"{name} {way} {' '.join(f'{x:g}' for x in settings)}"
        for name, (way, settings) in check.draws.items()
    )
    told = [*draws, *(comparison.told for comparison in check.comparisons)]
    told.append(f"reference {check.reference}")
    console.print(f"  {'; '.join(told)}", markup=False, soft_wrap=True)


def _print_mistakes(audit: Audit, console: Console) -> None:
    table = Table(title=f"{audit.title}: {audit.definition}, {audit.dtype}", box=box.SIMPLE)
    for heading in ("planted mistake", "", "would be rejected by", "is wrong at"):
        table.add_column(heading, overflow="fold")
    for graded in sorted(audit.mistakes, key=lambda one: not one.judged.accepted):
        table.add_row(*map(escape, _row(graded, audit.least_excess)))
    console.print(table)


def _row(graded: Graded, least: float) -> tuple[str, str, str, str]:
    judged = graded.judged
    if not judged.accepted:
        return graded.name, f"rejected{': ' if judged.raised else ''}{judged.raised}", "", ""
    if judged.excess is None:
        tolerance = ""
    elif judged.excess > least:
        tolerance = judged.limiting
    else:
        tolerance = "no tolerance: the inputs do not show it"
    seen = graded.seen
    shown = "-"
    if seen is not None:
        place = ", ".join(filter(None, (seen.suite, seen.family)))
        shown = f"{place}: {_in_decimals(seen.input)}"
    return graded.name, "PASSES", tolerance, shown


def _in_decimals(text: str) -> str:
    """An input in decimals, on one line."""
    words = HEX.sub(lambda match: f"{float.fromhex(match[0]):.6g}", text).split("\n")
    return "; ".join(
        line if len(line) <= MOST_OF_AN_INPUT else f"{line[:MOST_OF_AN_INPUT]} ..."
        for line in words
    )


def _print_right(audit: Audit, console: Console) -> None:
    for graded in audit.false_alarms:
        judged = graded.judged
        why = judged.raised
        if judged.limiting:
            why = f"{judged.excess:.3g} times the tolerance; {judged.limiting}"
        console.print(
            f"FALSE ALARM: a right implementation ({graded.name}) is rejected"
            + (f": {why}" if why else ""),
            markup=False,
            soft_wrap=True,
        )
