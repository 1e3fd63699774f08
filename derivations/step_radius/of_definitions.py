"""The radius of the Taylor series of any definition along a step, from its formula."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import flint
import numpy as np

from ..arithmetic.arithmetic import NoValue
from ..arithmetic.continued import Kink, NotContinued, continued, moving
from ..definition import AS_PUBLISHED, Definition
from .analytic_disc import Disc, analytic_disc


@dataclass(frozen=True)
class StepRadius:
    """How far the Taylor series of a definition along a step is known to converge.

    Attributes
    ----------
    disc
        The proven lower bound, and the estimate; None where there is neither.
    form
        The form whose disc is the largest: all forms are one function.
    reason
        Why there is none; "" where there is.
    """

    disc: Disc | None
    form: str
    reason: str = ""


def radius_along(
    definition: Definition,
    values: Mapping[str, Any],
    direction: Mapping[str, Any],
    parameters: Mapping[str, float] | None = None,
) -> StepRadius:
    """Bound the radius of the Taylor series of t -> f(x + d t), for arguments x, about t = 0.

    Parameters
    ----------
    definition
        The definition f.
    values
        Its arguments x by name, arrays; labels, masks and whole numbers among them stay fixed.
    direction
        The direction d, for those arguments that move: arrays of the same shapes.
    parameters
        Those that have not their defaults.

    Returns
    -------
    StepRadius
        A lower bound with its proof (``step_radius.analytic_disc``), and an estimate. Without both
        where pieces of the formula meet at x, where f has no value there, or where it is made of
        what is not continued to complex numbers: ``reason`` says which.

    Raises
    ------
    ValueError
        If a direction is of no argument that can move, or has another shape, or is not finite.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> found = radius_along(lookup("sigmoid"), {"x": 0.0}, {"x": 2.0})
    >>> 1.53 < found.disc.lower < 1.5708, round(found.disc.estimate, 4)  # pi / 2
    (True, 1.5708)
    >>> radius_along(lookup("sparsemax"), {"z": [1.0, 1.0]}, {"z": [1.0, 0.0]}).reason
    'pieces of the formula meet there: two numbers that are compared meet at t = 0'
    """
    slopes, unit = _slopes(definition, values, direction)
    settings = definition.settings(dict(parameters or {}))
    reason = ""
    found: list[StepRadius] = []
    for form, formula in {AS_PUBLISHED: definition.formula, **definition.forms}.items():

        def function(t: flint.acb, formula: Any = formula) -> Sequence[flint.acb]:
            arguments = [
                _moved(np.asarray(values[name]), slopes[name], t)
                if name in slopes
                else np.asarray(values[name])[()]
                for name in definition.signature.arguments
            ]
            results = formula(*arguments, continued(), **settings)
            outputs = results if len(definition.signature.outputs) > 1 else (results,)
            flat = (x for output in outputs for x in np.asarray(output, object).reshape(-1))
            return [x.over for x in flat if hasattr(x, "over")]

        try:
            disc = analytic_disc(function)
            scaled = replace(disc, lower=disc.lower / unit, estimate=disc.estimate / unit)
            found.append(StepRadius(scaled, form))
        except Kink as error:
            reason = reason or f"pieces of the formula meet there: {error}"
        except NotContinued as error:
            reason = reason or str(error)
        except NoValue as error:
            reason = reason or f"it has no value there: {error}"
    discs = [each for each in found if each.disc is not None]
    if not discs:
        return StepRadius(None, "", reason)
    return max(discs, key=lambda each: each.disc.lower if each.disc else 0.0)


def _slopes(
    definition: Definition, values: Mapping[str, Any], direction: Mapping[str, Any]
) -> tuple[dict[str, Any], float]:
    """The direction of every argument of real numbers, zeros where none is given, over a unit.

    The unit is a power of two near its largest entry, so that the quotients are exact but where
    they are subnormal, and the radius along them is one of moderate size, to be divided by it.
    """
    numbers = definition.signature.numbers
    for name, slope in direction.items():
        if name not in numbers:
            raise ValueError(
                f"direction {name!r} is of no argument that can move: {', '.join(numbers)}"
            )
        shape = np.shape(values[name])
        if np.shape(slope) != shape:
            raise ValueError(f"direction {name!r} has shape {np.shape(slope)}, expected {shape}")
        if not np.all(np.isfinite(np.asarray(slope, dtype=np.float64))):
            raise ValueError(f"direction {name!r} is not finite")
    slopes = {
        name: np.asarray(direction.get(name, np.zeros(np.shape(values[name]))), dtype=np.float64)
        for name in numbers
    }
    largest = max((float(np.max(np.abs(s), initial=0.0)) for s in slopes.values()), default=0.0)
    unit = math.ldexp(1.0, min(max(math.frexp(largest)[1] - 1, -900), 900))
    smallest = min((abs(x) for s in slopes.values() for x in s.reshape(-1) if x), default=1.0)
    if smallest / unit * unit != smallest:
        unit = 1.0
    return {name: s / unit for name, s in slopes.items()}, unit


def _moved(values: Any, slopes: Any, t: flint.acb) -> Any:
    """The numbers of an argument at x + d t."""
    moved = np.empty(values.shape, dtype=object)
    for place in np.ndindex(values.shape):
        moved[place] = moving(float(values[place]), float(slopes[place]), t)
    return moved[()]
