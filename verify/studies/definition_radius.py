"""How far the Taylor series of a definition reaches along a direction, as plain data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ...derivations import Definition
from ...derivations.arithmetic.formats import BINARY64
from ...derivations.step_radius.activation_singularities import singularities
from ...derivations.step_radius.of_definitions import radius_along
from ..cases.text import parse, parse_direction

PROVEN = (
    "proven: in balls the formula is analytic on squares that cover that disc "
    "(derivations/step_radius/analytic_disc.py)"
)
ESTIMATED = "an estimate, not a proof: the nearest pole of two Pade approximants"


def definition_radius(definition: Definition, case: Path, direction: Path) -> dict[str, Any]:
    """Bound the radius of the Taylor series of a definition at a case along a direction.

    Parameters
    ----------
    definition
        The definition.
    case
        A file with a case of it, as reports print it; numbers may be any of binary64.
    direction
        A file with the direction in the same form, of the arguments that move.

    Returns
    -------
    dict
        ``definition``; ``form``, that the proof is about; ``lower``, the proven bound, in the unit
        of t; ``entire`` where no singular point was found within 2^60; ``estimate`` and
        ``spread``; ``exact``, where the definition's singular points are known with proof, else
        None; ``reason``, why there is no bound, else "".

    Raises
    ------
    ValueError
        If a file is none of the kind, or of another definition.
    OSError
        If a file cannot be read.
    """
    named, found = parse(case.read_text(encoding="utf-8"), BINARY64)
    if named.name != definition.name:
        raise ValueError(f"{case} is a case of {named.name}, not of {definition.name}")
    try:
        moves = parse_direction(direction.read_text(encoding="utf-8"), definition, found)
    except ValueError as error:
        raise ValueError(f"{direction}: {error}") from None
    radius = radius_along(definition, found.values, moves, found.parameters)
    exact = None
    if definition.singularities is not None and not found.parameters:
        ((name, slope),) = moves.items()
        exact = float(
            singularities(definition.name).radius(float(found.values[name]), float(slope))
        )
    disc = radius.disc
    return {
        "definition": definition.name,
        "form": radius.form,
        "lower": disc.lower if disc else None,
        "entire": bool(disc and disc.entire),
        "estimate": disc.estimate if disc and not disc.entire else None,
        "spread": disc.spread if disc else None,
        "exact": exact,
        "reason": radius.reason,
    }


def told(found: dict[str, Any]) -> list[str]:
    """Say what was found in lines, for a terminal.

    Parameters
    ----------
    found
        What ``definition_radius`` returns.

    Returns
    -------
    list of str
        The lines.

    Examples
    --------
    >>> print(*told({"definition": "relu", "lower": None, "reason": "pieces meet"}), sep="\\n")
    definition  relu
    no radius   pieces meet
    """
    lines = [f"definition  {found['definition']}"]
    if found["lower"] is None:
        return [*lines, f"no radius   {found['reason']}"]
    lines.append(f"at least    {found['lower']:.6g}  ({PROVEN}; form: {found['form']})")
    if found["exact"] is not None:
        lines.append(f"exact       {found['exact']:.6g}  (its singular points are known)")
    if found["entire"]:
        lines.append("estimate    no singular point was found within 2^60")
    elif math.isnan(found["estimate"]):
        lines.append("estimate    none was found")
    else:
        differ = f"which differ by {found['spread']:.1g}"
        lines.append(f"estimate    {found['estimate']:.6g}  ({ESTIMATED}, {differ})")
    return lines
