"""The power of the suites as tables for a terminal."""

from __future__ import annotations

from collections import defaultdict

from rich import box
from rich.console import Console
from rich.table import Table

from .measure import Power
from .sized import CLASSES, FAMILIES

AT_MOST_NAMED = 60  # mistakes that no suite sees


def print_power(power: Power, console: Console) -> None:
    """Print planted mistakes by suite, those that none sees, the smallest sizes, and the tails.

    Parameters
    ----------
    power
        What was measured.
    console
        Where to print.
    """
    setting = power.setting
    seeds = f"{len(setting.seeds)} seed{'s' if len(setting.seeds) > 1 else ''}"
    where = f"{setting.dtype}, budget {setting.budget}, {seeds}"
    _print_suites(power, console, where)
    _print_sizes(power, console, where)
    _print_tails(power, console, where)
    if power.interrupted:
        console.print("interrupted: not all was measured", markup=False)


def _print_suites(power: Power, console: Console, where: str) -> None:
    seen, count = power.seen, len(power.seen)
    table = Table(title=f"planted mistakes that a suite sees: {where}", box=box.SIMPLE)
    for heading in ("suite", "sees", "of", "share", "alone"):
        table.add_column(heading, justify="left" if heading == "suite" else "right")
    for suite in power.setting.suites:
        share = sum(found.get(suite, 0.0) for found in seen.values())
        alone = sum(set(found) == {suite} for found in seen.values())
        table.add_row(suite, f"{share:g}", str(count), _percent(share, count), str(alone))
    whole = sum(max(found.values(), default=0.0) for found in seen.values())
    table.add_row("any", f"{whole:g}", str(count), _percent(whole, count), "")
    console.print(table)
    unseen = [name for name, found in seen.items() if not found]
    if unseen:
        more = f" and {len(unseen) - AT_MOST_NAMED} more" if len(unseen) > AT_MOST_NAMED else ""
        names = ", ".join(unseen[:AT_MOST_NAMED]) + more
        console.print(f"seen by none: {names}\n", markup=False, soft_wrap=True)


def _percent(share: float, count: int) -> str:
    return f"{100 * share / count:.0f} %" if count else "-"


def _print_sizes(power: Power, console: Console, where: str) -> None:
    if not power.smallest:
        return
    title = f"smallest mistake that fails / that lowers the grade: {where}"
    table = Table(title=title, box=box.SIMPLE)
    table.add_column("definition, mistake")
    for classes in CLASSES:
        table.add_column(f"K = {classes:,}".replace(",", " "), justify="right")
    for definition in dict.fromkeys(d for d, _, _ in power.smallest):
        table.add_row(definition)
        for family in FAMILIES:
            places = [(definition, family.name, k) for k in CLASSES]
            cells = [
                f"{_size(power.smallest[place])} / {_size(power.lowering[place])}"
                if place in power.lowering
                else ""
                for place in places
            ]
            table.add_row(f"  {family.name}", *cells)
    console.print(table)


def _size(size: float | None) -> str:
    return "-" if size is None else f"{size:g}"


def _print_tails(power: Power, console: Console, where: str) -> None:
    if not power.tails:
        return
    title = f"wrong for all K > K0 with one remainder by 64, all remainders: {where}"
    table = Table(title=title, box=box.SIMPLE)
    table.add_column("definition, mistake")
    rows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (definition, kind, _), (seen, of) in power.tails.items():
        rows[definition, kind].append(f"{seen} of {of}")
    for longer_than in dict.fromkeys(n for _, _, n in power.tails):
        table.add_column(f"K0 = {longer_than}", justify="right")
    for (definition, kind), cells in rows.items():
        table.add_row(f"{definition}: {kind}", *cells)
    console.print(table)
