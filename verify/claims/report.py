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
from ...derivations.claims.register import (
    CERTIFIED,
    CONFIRMED,
    NOT_CHECKABLE,
    OUR_QUESTION,
    SIMULATED,
)
from .settled import NO, SCHEMA, YES, Settled

STYLES = {"refuted": "red", "not checkable here": "dim"}


def print_table(claims: Sequence[Settled], console: Console) -> None:
    """Print one row for each claim, paper by paper, and how many have which verdict.

    Parameters
    ----------
    claims
        The claims with their verdicts.
    console
        Where to print.
    """
    by_paper = itertools.groupby(claims, key=lambda entry: entry.paper)
    for n, (paper, entries) in enumerate(by_paper):
        table = Table(title=paper, title_justify="left", show_header=n == 0)
        table.add_column("claim", no_wrap=True, min_width=34)
        table.add_column("statement", ratio=1)
        table.add_column("method", width=21)
        table.add_column("verdict", width=26)
        for entry in entries:
            texts = (entry.name, entry.statement, entry.method, verdict(entry))
            table.add_row(*map(Text, texts), style=STYLES.get(entry.outcome))
        console.print(table)
    console.print(summary(claims), highlight=False, soft_wrap=True)


def verdict(entry: Settled) -> str:
    """The outcome with its number of cases, or the answer with what it rests on.

    Parameters
    ----------
    entry
        A claim with its verdict.

    Returns
    -------
    str
        A few words for the table.
    """
    counted = _counted(entry)
    if entry.kind == OUR_QUESTION and entry.strength:
        return f"{entry.outcome}: {counted or entry.strength}"
    return counted or entry.outcome


def _counted(entry: Settled) -> str:
    """What rests on its cases alone says how many they are; empty for other outcomes."""
    if entry.strength == CERTIFIED:
        return f"certified on {entry.cases} instances"
    if entry.strength in (CONFIRMED, SIMULATED):
        return f"{entry.strength} on {entry.cases} cases"
    return ""


def summary(claims: Sequence[Settled]) -> str:
    """Say how many claims have which verdict, and whether checkers tell them from their opposites.

    Parameters
    ----------
    claims
        The claims with their verdicts.

    Returns
    -------
    str
        A few sentences.
    """
    ours = [entry for entry in claims if entry.kind == OUR_QUESTION]
    papers = [entry for entry in claims if entry.kind != OUR_QUESTION]
    parts = [
        f"{len(found)} {what}: {_tally(found, outcomes)}."
        for what, found, outcomes in (
            ("claims of papers", papers, OUTCOMES),
            ("questions of ours", ours, (YES, NO, NOT_CHECKABLE)),
        )
        if found
    ]
    tried = [entry for entry in claims if entry.discriminates is not None]
    missed = [entry.name for entry in tried if not entry.discriminates]
    told = (
        f"All {len(tried)} checkers that ran also judge the opposite of their claim, and find it."
        if not missed
        else f"Checkers that do not tell a claim from its opposite: {', '.join(missed)}."
    )
    return " ".join([*parts, told])


def _tally(claims: Sequence[Settled], outcomes: Sequence[str]) -> str:
    counts = Counter(entry.outcome for entry in claims)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in outcomes if counts[outcome])


def print_details(claims: Sequence[Settled], console: Console) -> None:
    """Print everything about each claim.

    Parameters
    ----------
    claims
        The claims with their verdicts.
    console
        Where to print.
    """
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
    return entry.cases > 0 and not _counted(entry)


def as_dict(
    claims: Sequence[Settled], interrupted: bool, versions: dict[str, str]
) -> dict[str, Any]:
    """What ``softproof claims --json`` writes, as plain data.

    Parameters
    ----------
    claims
        The claims with their verdicts.
    interrupted
        Whether some claims were not reached.
    versions
        The versions of the libraries.

    Returns
    -------
    dict
        The schema, the versions, whether it was interrupted, and the claims.
    """
    return {
        "schema": SCHEMA,
        "versions": versions,
        "interrupted": interrupted,
        "claims": [entry.as_dict() for entry in claims],
    }
