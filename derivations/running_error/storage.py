"""Numbers that are rounded to a format of fewer bits, before they are used again.

Rounding moves a computed number a' by at most k u_f |a'| and, below the normal range, by half a
smallest subnormal (of the smallest normal number, where subnormals are flushed): k = 1 to nearest,
2 where the low bits are cut off.  |a'| is at most |v| + w + r.  What overflows is lost.  Numbers
that are exact, and that the format holds, stay exact.
"""

from __future__ import annotations

import numpy as np

from ..arithmetic.formats import Format
from .constants import UP, quiet
from .model import Model, largest, rounded_to, underflow, unit_roundoff
from .numbers import RunningNumber


def operand(a: RunningNumber) -> RunningNumber:
    """An operand of a matrix product, rounded to the format of operands where that is narrower.

    By a whole unit in the last place: tensor cores cut off the low bits of what is not rounded
    before.

    Parameters
    ----------
    a
        Any numbers.

    Returns
    -------
    RunningNumber
        The same where no format of operands is declared, or none that is narrower.
    """
    fmt = a.model.operands
    return a if fmt is None else _rounded_into(fmt, a, 2.0, 2.0**fmt.tiny_exponent)


def kept(a: RunningNumber) -> RunningNumber:
    """A number of the forward pass as the backward pass reads it, where that is stored: rounded.

    Parameters
    ----------
    a
        Any numbers.

    Returns
    -------
    RunningNumber
        The same where the class does not say so, or where the format of results is not narrower.
    """
    model, fmt = a.model, a.model.result
    if not model.stored_forward:
        return a
    units = 2.0 if model.faithful_result else 1.0
    return _rounded_into(fmt, a, units, underflow(fmt, units / 2, model.flushes))


def stored_scores(z: RunningNumber) -> RunningNumber:
    """The scores of a softmax, rounded to the format of results where the class says so.

    Parameters
    ----------
    z
        Scores; masked ones are -inf, which is exact.

    Returns
    -------
    RunningNumber
        The same where the class does not say so, or where the format of results is not narrower.
    """
    model, fmt = z.model, z.model.result
    if not model.stored_scores:
        return z
    return _rounded_into(fmt, z, 1.0, underflow(fmt, 0.5, model.flushes))


def either(a: RunningNumber, b: RunningNumber) -> RunningNumber:
    """A number that is computed in one of two ways, which have one exact value and one reference.

    Parameters
    ----------
    a, b
        What the two ways give, of one shape.

    Returns
    -------
    RunningNumber
        The first, with the larger of both errors: |computed - reference| is at most that.
    """
    return RunningNumber(a.model, *a.parts()[:3], np.maximum(a.error, b.error))


def _rounded_into(fmt: Format, a: RunningNumber, units: float, below: float) -> RunningNumber:
    model: Model = a.model
    if unit_roundoff(fmt) <= model.u:
        return a
    with quiet():
        held = a.is_exact & (rounded_to(fmt, a.value) == a.value)
        reach = a.above + a.error
        off = units * unit_roundoff(fmt) * reach * UP + below
        off = np.where(reach > largest(fmt), np.inf, off)
        stored = RunningNumber(model, *a.parts()[:3], np.where(held, a.error, a.error + off))
    # What no entry is below, rounded: by ``units`` u of its modulus, or flushed to 0.
    low = a.at_least - 2 * units * unit_roundoff(fmt) * abs(a.at_least) - below
    stored.at_least = min(low, 0.0) if model.flushes and low < 2.0**fmt.emin else low
    return stored
