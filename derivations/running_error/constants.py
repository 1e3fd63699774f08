"""Exact numbers in binary64 and rounded to a format, and what binary64 itself rounds."""

from __future__ import annotations

import functools
import math
import numbers
import threading
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import Model, largest, rounded_to

H = 2.0**-53  # the unit roundoff of binary64
SMALLEST = 2.0**-1074  # its smallest subnormal
UP = 1 + 2.0**-40  # for the dozens of roundings of the rule of a bound

Array = NDArray[np.float64]


class Quiet(threading.local):
    """NumPy's warnings switched off inside of the outermost of nested contexts.

    Each rule asks for it, and a formula is hundreds of small ones, where switching takes as long as
    an operation.

    >>> with Quiet():
    ...     float(np.float64(1) / 0)
    inf
    """

    def __init__(self) -> None:
        self._depth = 0
        self._state = np.errstate(all="ignore")

    def __enter__(self) -> None:
        if not self._depth:
            self._state = np.errstate(all="ignore")
            self._state.__enter__()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._state.__exit__(None, None, None)


_QUIET = Quiet()


def quiet() -> Quiet:
    """No warnings: what overflows or has no value here becomes an infinite bound."""
    return _QUIET


def is_constant(x: Any) -> bool:
    """Whether this is an exact number or an array of them, not a number of some arithmetic.

    Parameters
    ----------
    x
        An operand of an operator.

    Returns
    -------
    bool
        True for what ``rounded_constant`` takes.
    """
    return isinstance(x, numbers.Real | np.ndarray | np.generic)


def rounded_constant(model: Model, values: Any) -> tuple[Array, Array, Array, Array]:
    """What exact numbers are in an implementation: v, d, w and r, as ``numbers.constant`` has them.

    Parameters
    ----------
    model
        The class of implementations, whose format of operations rounds them.
    values
        One number (int, Fraction, float), or an array of any shape.

    Returns
    -------
    tuple
        Four arrays of binary64 in that shape.  NaN has infinite bounds.
    """
    if isinstance(values, float | int):
        return _rounded_number(model, type(values).__name__, math.copysign(1.0, values), values)
    return _rounded(model, values)


@functools.lru_cache(maxsize=4096)
def _rounded_number(
    model: Model, kind: str, sign: float, value: float
) -> tuple[Array, Array, Array, Array]:
    """What a single number is; kept, since formulas name the same few at every case.

    (By kind and sign as well: True, 1 and 1.0 are equal as keys, and so are 0.0 and -0.0.)
    """
    found = _rounded(model, value)
    for part in found:
        part.setflags(write=False)
    return found


def _rounded(model: Model, values: Any) -> tuple[Array, Array, Array, Array]:
    v, held = _as_binary64(values)
    with quiet():
        lost = np.isnan(v)
        v = np.where(lost, 0.0, v)
        d = np.where(lost, np.inf, np.where(held, 0.0, (H * np.abs(v) + SMALLEST) * UP))
        exact = (rounded_to(model.operations, v) == v) & held & ~lost
        flushed = np.where((np.abs(v) < model.flushed) & (v != 0), model.flushed, 0.0)
        off = d + model.u * (np.abs(v) + d) * UP + model.half_subnormal
        off = np.where(np.abs(v) > largest(model.operations), np.inf, off)
        return v, d, d, np.where(exact, flushed, off)


def _as_binary64(values: Any) -> tuple[Array, NDArray[np.bool_]]:
    """Exact numbers in binary64, and which of them it holds."""
    if isinstance(values, np.ndarray) and values.dtype.kind != "O" and values.dtype.itemsize <= 8:
        v = values.astype(np.float64)
        whole = values.dtype.kind in "iu"
        return v, (np.abs(v) < 2.0**53) if whole else np.ones(v.shape, dtype=bool)
    objects = np.array(values, dtype=object)
    v = np.empty(objects.shape, dtype=np.float64)
    held = np.empty(objects.shape, dtype=bool)
    for index in np.ndindex(objects.shape):
        x: Any = objects[index]
        v[index] = float(x)
        finite = np.isfinite(v[index])
        held[index] = not finite or Fraction(float(v[index])) == Fraction(x)
    return v, held
