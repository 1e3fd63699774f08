"""The zero of a function of numbers with running errors.

An implementation finds a number t' next to which the sign of the function, as it computes it,
changes, by whatever steps.  Let a and b be points on both sides of the zero of the exact function
where the sign is sure for every implementation, |v| > w + r.  Then t' is in [a, b], widened by its
own rounding, u |t'|, as no sign changes beyond; and so is the zero of the function of references,
where |v| > w is enough, and the exact one, where |v| > d is.  (The sign is taken to be the same
from such a point on, as of a function that rises or falls.)

Such points are looked for around a zero t in binary64, first where a function of the slope that is
seen there would be sure, and then ever farther.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .constants import UP, quiet
from .model import Model
from .numbers import RunningNumber, as_number, finish

STEPS = 200
GROWINGS = 120
APART = 2.0**-20  # of the whole: points that a slope is seen between


def root(
    model: Model, f: Callable[[RunningNumber], RunningNumber], low: Any, high: Any
) -> RunningNumber:
    """The zero of a function between two points; see the module.

    Parameters
    ----------
    model
        The class of implementations.
    f
        A function of one number that rises or falls, and has one zero.
    low, high
        Points on both sides of it.

    Returns
    -------
    RunningNumber
        The zero, with infinite bounds where no points with a sure sign are found.
    """
    ends = [as_number(model, end) for end in (low, high)]
    first, last = (float(end.value) for end in ends)

    def value(point: float) -> float:
        return float(f(as_number(model, point)).value)

    with quiet():
        t = _zero(value, first, last)
        left, right = (np.clip(t + side * (last - first) * APART, first, last) for side in (-1, 1))
        slope = (value(float(right)) - value(float(left))) / (right - left)
    sign = 1.0 if slope > 0 else -1.0

    def sure(point: float, side: float) -> list[bool]:
        """Whether the sign there is sure: of the exact value, the reference, what is computed."""
        if not first < point < last:
            return [True] * 3  # the zero is between the ends, for all
        y = f(as_number(model, point))
        value = float(y.value) * sign * side
        return [bool(value > float(reach) * UP) for reach in _reaches(y)]

    bounds: list[float] = []
    with quiet():
        at_zero = f(as_number(model, t))
        for k, reach in enumerate(_reaches(at_zero)):
            step = (float(reach) + abs(float(at_zero.value))) / abs(slope) * 1.25
            step = max(step, abs(t) * 2.0**-50, 2.0**-1000)
            for _ in range(GROWINGS):
                if sure(t - step, -1.0)[k] and sure(t + step, 1.0)[k]:
                    break
                step *= 1.5
            else:
                step = np.inf
            bounds.append(step)
        slack = [max(map(float, of)) for of in zip(*map(_reaches, ends), strict=True)]
        d, w, reach = (x + y for x, y in zip(bounds, slack, strict=True))
        r = (w + reach + model.u * (abs(t) + w + reach)) * UP + model.half_subnormal
        return finish(model, t, d, w, r)


def _reaches(x: RunningNumber) -> tuple[Any, Any, Any]:
    """How far from its value the exact number, the reference, and what is computed may be."""
    return x.radius, x.reference_radius, x.reference_radius + x.error


def _zero(value: Callable[[float], float], below: float, above: float) -> float:
    """The zero between two points, by halvings."""
    sign = value(above)
    for _ in range(STEPS):
        middle = below + (above - below) / 2
        if not below < middle < above or above - below <= 2.0**-50 * abs(above):
            break
        below, above = (below, middle) if value(middle) * sign >= 0 else (middle, above)
    return above
