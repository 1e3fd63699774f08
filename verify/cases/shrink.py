"""Make a failing case small: shorter axes, then simpler numbers, then default parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.definition import Definition
from ...derivations.signature import Integer, Kind, Label, Labels, Mask, Numbers
from ..inputs.shrink import MAX_TRIALS, simpler_numbers
from .case import Case

MOST_NUMBERS = 64  # of an argument that are made simpler one by one


def shrink(
    definition: Definition,
    case: Case,
    fails: Callable[[Case], bool],
    most_trials: int = MAX_TRIALS,
) -> Case:
    """A case on which ``fails`` still holds, that no tried simplification keeps failing.

    Greedy and deterministic: halves, quarters, ... of an axis are dropped in every argument that
    has it; arguments become constant, and single numbers simpler; parameters take their defaults.
    At most ``most_trials`` calls of ``fails``.

    Parameters
    ----------
    definition
        The definition.
    case
        A case that fails.
    fails
        Whether a case fails.
    most_trials
        How many cases are tried at most.

    Returns
    -------
    Case
        A case that fails: the given one, or a smaller one.
    """
    trials = 0
    progress = True
    while progress and trials < most_trials:
        progress = False
        for candidate in simpler(definition, case):
            trials += 1
            if trials > most_trials:
                break
            if fails(candidate):
                case, progress = candidate, True
                break
    return case


def simpler(definition: Definition, case: Case) -> Iterator[Case]:
    """Candidates, the boldest first; all are cases of the definition.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases.

    Yields
    ------
    Case
        A case that is a step smaller or plainer.
    """
    for candidate in _candidates(definition, case):
        if not definition.misfit(candidate.sizes(definition.signature), candidate.parameters):
            yield candidate


def _candidates(definition: Definition, case: Case) -> Iterator[Case]:
    for axis, size in case.sizes(definition.signature).items():
        yield from _shorter(definition, case, axis, size)
    for name, kind in definition.signature.arguments.items():
        if isinstance(kind, Numbers):
            yield from _plainer(kind, name, case)
    for name, kind in definition.signature.arguments.items():
        if isinstance(kind, Mask) and not case.values[name].all():
            yield case.with_values(**{name: np.ones_like(case.values[name])})
        if isinstance(kind, Numbers):
            yield from _with_simpler_numbers(kind, name, case)
    for name in case.parameters:
        rest = {other: value for other, value in case.parameters.items() if other != name}
        yield replace(case, parameters=rest)


def _shorter(definition: Definition, case: Case, axis: str, size: int) -> Iterator[Case]:
    chunk = size // 2
    while chunk:
        for start in range(0, size, chunk):
            keep = np.ones(size, dtype=np.bool_)
            keep[start : start + chunk] = False
            if keep.any():
                values = {
                    name: _restricted(kind, case.values[name], axis, keep)
                    for name, kind in definition.signature.arguments.items()
                }
                left = {name: value for name, value in values.items() if value is not None}
                if len(left) == len(values):
                    yield replace(case, values=left)
        chunk //= 2


def _restricted(
    kind: Kind, value: NDArray[Any], axis: str, keep: NDArray[np.bool_]
) -> NDArray[Any] | None:
    """An argument without some indices of an axis; None where it would lose what it points at."""
    for place, name in enumerate(kind.axes):
        if name == axis:
            value = np.compress(keep, value, axis=place)
    if isinstance(kind, Label | Labels) and kind.into == axis:
        if not keep[value].all():
            return None
        value = (np.cumsum(keep) - 1)[value]
        if (value < kind.lower).any():
            return None
    if isinstance(kind, Integer) and kind.upper == axis and not kind.lower <= value <= keep.sum():
        return None
    if isinstance(kind, Mask) and not value.any():
        return None
    return np.asarray(value)


def _plainer(kind: Numbers, name: str, case: Case) -> Iterator[Case]:
    """All numbers of an argument 0, or else 1, or else its first, or all cut to a few bits."""
    value = case.values[name]
    for constant in (0.0, 1.0, *value.reshape(-1)[:1].astype(np.float64).tolist()):
        if (value == constant).all():
            return  # it is as plain as what follows
        if kind.lower <= constant <= kind.upper:
            yield case.with_values(**{name: np.full_like(value, constant)})
    for bits in (1, 4):
        mantissa, exponent = np.frexp(value.astype(np.float64))
        cut = np.ldexp(np.trunc(np.ldexp(mantissa, bits)), exponent - bits).astype(value.dtype)
        if (cut != value).any() and kind.lower <= np.min(cut) and np.max(cut) <= kind.upper:
            yield case.with_values(**{name: cut})


def _with_simpler_numbers(kind: Numbers, name: str, case: Case) -> Iterator[Case]:
    """One number of an argument made simpler."""
    value = case.values[name]
    for i, number in enumerate(value.reshape(-1)[:MOST_NUMBERS].astype(np.float64).tolist()):
        for simple in simpler_numbers(number):
            changed = value.copy()
            changed.reshape(-1)[i] = simple
            if changed.reshape(-1)[i] != number and kind.lower <= simple <= kind.upper:
                yield case.with_values(**{name: changed})
