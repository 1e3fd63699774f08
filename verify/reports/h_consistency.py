"""What ``softproof consistency`` prints: where T_tau is attained, and the checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ..studies.h_consistency import REGRETS, Attainment, Check


def print_attainment(found: Sequence[Attainment], console: Console) -> None:
    """Print where the published bound is attained, one row for each tau and one column for each n.

    Below the table stands an extremal distribution for each tau.

    Parameters
    ----------
    found
        What is known at each tau and number of classes.
    console
        Where to print.
    """
    classes = sorted({a.classes for a in found})
    table = Table(
        title="T_tau, the published bound, against the infimum F of the conditional regret",
        caption=f"b in {', '.join(f'{b:g}' for b in REGRETS)}; the ratios are proven",
    )
    table.add_column("tau", justify="right")
    for n in classes:
        table.add_column(f"n = {n}")
    for tau in sorted({a.tau for a in found}):
        at = {a.classes: a for a in found if a.tau == tau}
        table.add_row(f"{tau:g}", *(_cell(at[n]) for n in classes))
    console.print(table)
    middle = REGRETS.index(0.5)
    for tau in sorted({a.tau for a in found}):
        last = max((a for a in found if a.tau == tau), key=lambda a: a.classes)
        p = ", ".join(f"{v:.4g}" for v in last.distributions[middle])
        tied = last.tied[middle]
        scores = "class 2 has all of s" if tied == 1 else f"s ties the first {tied} classes"
        console.print(
            f"tau = {tau:g}, n = {last.classes}, b = 0.5: F at p = ({p}), {scores}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _cell(found: Attainment) -> str:
    if all(found.attained):
        return "attained"
    part = [b for b, a in zip(REGRETS, found.attained, strict=True) if a]
    if part:
        return f"b <= {max(part):g}"
    return f"F/T >= {min(low for low, _ in found.ratios):.3f}"


def print_checks(checks: Sequence[Check], console: Console) -> None:
    """Print how many instances were proven, statement by statement, and in full what failed.

    Parameters
    ----------
    checks
        The checks.
    console
        Where to print.
    """
    kinds: dict[str, list[Check]] = {}
    for check in checks:
        kinds.setdefault(check.statement.partition(", ")[0], []).append(check)
    for kind, of_kind in kinds.items():
        proven = sum(c.held for c in of_kind)
        failed = [c for c in of_kind if not c.proven]
        word = "FAIL" if failed else "proven"
        console.print(f"{word:6} {kind}: {proven} instances", markup=False, highlight=False)
        for check in failed:
            console.print(
                f"       {check.statement}: {check.verdict}", markup=False, soft_wrap=True
            )
        for note in dict.fromkeys(n for c in of_kind for n in c.notes):
            console.print(f"       {note}", markup=False, highlight=False, soft_wrap=True)


def as_dict(found: Sequence[Attainment], checks: Sequence[Check]) -> dict[str, Any]:
    """What the tables show, as plain data.

    Parameters
    ----------
    found
        What is known of the attainment at each tau and number of classes.
    checks
        The checks.

    Returns
    -------
    dict
        Numbers, texts, lists and dictionaries of them, for JSON.
    """
    return {
        "attainment": [
            {
                "tau": a.tau,
                "classes": a.classes,
                "verdict": a.verdict,
                "b": list(REGRETS),
                "ratio_from": [low for low, _ in a.ratios],
                "ratio_to": [high for _, high in a.ratios],
                "distributions": [list(p) for p in a.distributions],
                "tied": list(a.tied),
            }
            for a in found
        ],
        "checks": [
            {"statement": c.statement, "proven": c.proven, "verdict": c.verdict} for c in checks
        ],
    }
