"""The report of `softproof radius` on the terminal: quantiles, the batch, certificates, a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ..studies.radius_report import NAMES, SHARP

SHOWN = 10  # samples listed by index when a step exceeds radii


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print a report of step radii: quantiles over samples, batch radii, and what a step exceeds.

    Parameters
    ----------
    report
        The report as plain data.
    console
        Where to print.
    """
    console.print(_table(report))
    _print_batch(report, console)
    console.print("A step below the radius stays where the Taylor series of the loss converges.")
    for key in ("certified", "curved"):
        if key in report:
            _print_certified(key, report, console)
    if "step" in report:
        _print_step(report["step"], report["batch"], report["samples"], console)


def _table(report: dict[str, Any]) -> Table:
    """Quantiles over the samples of every radius and bound, and of their ratios."""
    samples = report["samples"]
    table = Table(title="Safe step radii, in units of the step length t")
    for heading in ("radius", "min", "1 %", "median", "max"):
        table.add_column(heading, justify="left" if heading == "radius" else "right")
    rows = NAMES | ({"lower": "certified"} if "certified" in report else {})
    for key, name in rows.items():
        known = sorted(s[key] for s in samples if s[key] is not None)
        table.add_row(name, *_quantiles(known), end_section=name == [*rows.values()][-1])
    for key in ("spread", "half_mass", "variance"):
        table.add_row(f"{NAMES[key].partition(',')[0]} / exact", *_quantiles(_shares(samples, key)))
    if "curved" in report:
        known = sorted(s["curved"]["lower"] for s in samples if s["curved"]["lower"] is not None)
        table.add_section()
        table.add_row("certified, curved", *_quantiles(known))
    return table


def _print_batch(report: dict[str, Any], console: Console) -> None:
    """Print the least radii and bounds of the batch, and how many samples are flagged."""
    batch, samples = report["batch"], report["samples"]
    flagged = sum(s["flagged"] for s in samples)
    named = [f"{key.replace('_', '-')} {_number(batch[key])}" for key in list(NAMES)[:-1]]
    named.append(
        f"exact not known ({flagged} flagged)" if flagged else f"exact {_number(batch['exact'])}"
    )
    if "certified" in report:
        lower = batch["lower"]
        named.append("certified " + ("not known" if lower is None else _number(lower)))
    total = _count(len(samples), "sample")
    console.print(
        f"Batch of {total}: {', '.join(named)}; best proven bound {_number(batch['proven'])}."
    )
    if flagged:
        console.print(
            f"Flagged, too hard for the fast tier: {flagged} of {total}, for which "
            "the variance bound stands" + ("." if "certified" in report else "; or --certify.")
        )


def _shares(samples: Sequence[dict[str, Any]], key: str) -> list[float]:
    """What a bound is of the radius, where that is known and finite."""
    radii = ((s[key], s.get("lower") if s["flagged"] else s["exact"]) for s in samples)
    return sorted(bound / rho for bound, rho in radii if rho is not None and math.isfinite(rho))


def _print_certified(key: str, report: dict[str, Any], console: Console) -> None:
    """Print how far a certified tier came, and where it contradicts the fast one."""
    found, samples = report[key], report["samples"]
    curved = key == "curved"
    beside = " with curvatures" if curved else ""
    total = _count(found["samples"], "sample")
    methods = ", ".join(f"{name} {count}" for name, count in found["methods"].items())
    decided, wrong = sum(found["methods"].values()), found["disagreeing"]
    if found["interrupted"]:
        done = f"{found['samples']} of {_count(len(samples), 'sample')}"
        console.print(f"Interrupted ({key}): {done} done.")
    for i in wrong[:SHOWN]:
        claim = samples[i]["curved"] if curved else samples[i]
        why = _rejected(claim) if claim["rejected"] is not None else _disagreement(claim)
        told = f"sample {i}{beside} {why}"
        console.print(f"WRONG, an error of softproof: {told}. Please report it.", soft_wrap=True)
    if wrong:
        console.print(f"WRONG in {len(wrong)} of {total}" + (f" ({methods})." if methods else "."))
    elif decided:
        certificates = "the certificate" if decided == 1 else f"all {decided} certificates"
        console.print(
            f"Certified{beside}: a separate checker verified {certificates} ({methods})"
            + ("." if curved else f"; {_agreement(found, samples)}."),
            soft_wrap=True,
        )
    if found["wide"]:
        console.print(
            f"Not sharp{beside}: {len(found['wide'])} of {total}, whose enclosure is wider than "
            f"{SHARP:g} relative or does not count its zeros."
        )
    rejected = sum((s["curved"] if curved else s)["rejected"] is not None for s in samples)
    undecided = found["samples"] - decided - rejected
    if undecided:
        console.print(f"Not decided by the certified tier{beside}: {_count(undecided, 'sample')}.")


def _rejected(claim: dict[str, Any]) -> str:
    return f"has a certificate that the separate checker rejects: {claim['rejected']}"


def _disagreement(sample: dict[str, Any]) -> str:
    exact = "flagged"
    if not sample["flagged"]:
        exact = f"exact {sample['exact']!r} +- {sample['error']:.2g}"
    return (
        f"has spread {sample['spread']!r}, half-mass {sample['half_mass']!r}, "
        f"variance {sample['variance']!r}, {exact}, "
        f"but the certified radius is from {sample['lower']!r} to {sample['upper']!r}"
    )


def _agreement(certified: dict[str, Any], samples: list[dict[str, Any]]) -> str:
    exact = sum(s["lower"] is not None and not s["flagged"] for s in samples)
    told = f"all bounds, and exact of {_count(exact, 'sample')}, agree with the enclosures"
    worst = certified["worst"]
    return told if worst is None else f"{told}, exact to within {worst:.1e} relative"


def _print_step(
    step: float, batch: dict[str, Any], samples: list[dict[str, Any]], console: Console
) -> None:
    """Print which samples a step exceeds the radius or a bound of."""
    console.print(
        f"Step {_number(step)}: r = step / radius = {_number(batch['r'])} by the best proven bound,"
        f" {_number(batch['r_variance'])} by variance, {_number(batch['r_half_mass'])} by "
        f"half-mass, {_number(batch['r_spread'])} by spread."
    )
    total = _count(len(samples), "sample")
    within = True
    for what, r, key in (
        ("radius itself, where the series diverges,", None, "exceeded_by_exact"),
        ("best proven bound", "r", "exceeded_by"),
        ("variance bound", "r_variance", "exceeded_by_variance"),
        ("half-mass bound", "r_half_mass", "exceeded_by_half_mass"),
        ("spread bound", "r_spread", "exceeded_by_spread"),
        ("certified curved radius", None, "exceeded_by_curved"),
    ):
        indices = batch.get(key)
        if not indices:
            continue
        within = False
        listed = [f"{i}" + (f" (r = {_number(samples[i][r])})" if r else "") for i in indices]
        more = ", ..." if len(indices) > SHOWN else ""
        console.print(
            f"Beyond the {what} of {len(indices)} of {total}: {', '.join(listed[:SHOWN])}{more}",
            soft_wrap=True,
        )
    if within:
        console.print("Within every bound of every sample.")


def _quantiles(ordered: list[float]) -> list[str]:
    """Order statistics, min to max. Interpolating between them would make NaN of inf."""
    if not ordered:
        return ["-", "-", "-", "-"]
    ranks = (max(math.ceil(q * len(ordered)) - 1, 0) for q in (0.0, 0.01, 0.5, 1.0))
    return [_number(ordered[rank]) for rank in ranks]


def _number(value: float) -> str:
    return f"{value:.5g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
