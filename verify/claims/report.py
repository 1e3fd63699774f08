"""The table of claims, and each in detail."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...derivations.claims import OUTCOMES
from .settled import SCHEMA, Settled

STYLES = {"refuted": "red", "not checkable here": "dim"}


def print_table(claims: Sequence[Settled], console: Console) -> None:
    """One row a claim, paper by paper, and how many have which verdict."""
    for paper, entries in itertools.groupby(claims, key=lambda entry: entry.paper):
        table = Table(title=paper, title_justify="left")
        table.add_column("claim", no_wrap=True, min_width=34)
        table.add_column("statement", ratio=1)
        table.add_column("method", width=21)
        table.add_column("verdict", width=22)
        for entry in entries:
            texts = (entry.name, entry.statement, entry.method, verdict(entry))
            table.add_row(*map(Text, texts), style=STYLES.get(entry.outcome))
        console.print(table)
    console.print(summary(claims), highlight=False, soft_wrap=True)


def verdict(entry: Settled) -> str:
    """The outcome with its number of cases."""
    if entry.outcome == "confirmed":
        return f"confirmed on {entry.cases} cases"
    return entry.outcome


def summary(claims: Sequence[Settled]) -> str:
    """How many claims have which verdict, and whether checkers tell them from their opposites."""
    counts = Counter(entry.outcome for entry in claims)
    parts = [f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome]]
    tried = [entry for entry in claims if entry.told_apart is not None]
    missed = [entry.name for entry in tried if not entry.told_apart]
    told = (
        f"All {len(tried)} checkers that ran also judge the opposite of their claim, and find it."
        if not missed
        else f"Checkers that do not tell a claim from its opposite: {', '.join(missed)}."
    )
    return f"{len(claims)} claims: {', '.join(parts)}. {told}"


def print_details(claims: Sequence[Settled], console: Console) -> None:
    """Everything about each claim."""
    for entry in claims:
        console.print(entry.name, style="bold", highlight=False)
        rows = {
            "statement": entry.statement,
            "source": f"{entry.paper}, {entry.place}",
            "method": entry.method,
            "verdict": verdict(entry) + (f" ({entry.cases} cases)" if _has_cases(entry) else ""),
            "evidence": entry.evidence,
            "opposite": (
                f"{entry.opposite}: {entry.opposite_outcome}. {entry.opposite_evidence}"
                if entry.opposite_outcome
                else None
            ),
            "reproduce": entry.command,
        }
        table = Table.grid(padding=(0, 2))
        for heading, text in rows.items():
            if text is not None:
                table.add_row(f"  {heading}", Text(text))
        console.print(table)


def _has_cases(entry: Settled) -> bool:
    return entry.cases > 0 and entry.outcome != "confirmed"


def as_dict(
    claims: Sequence[Settled], interrupted: bool, versions: dict[str, str]
) -> dict[str, Any]:
    """The JSON file: its schema, versions, whether it was interrupted, and the claims."""
    return {
        "schema": SCHEMA,
        "versions": versions,
        "interrupted": interrupted,
        "claims": [entry.as_dict() for entry in claims],
    }
