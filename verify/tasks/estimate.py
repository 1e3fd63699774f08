"""What an implementation of any reference may err by: an estimate, for which nothing is proven.

The truth is the reference's own code in binary64.  How far a right implementation may be off is
estimated at each result t by

    scale = ulp(t) + the largest change of t when each input moves to a neighbouring number,

for no implementation need be better than its input.  The reference itself, run in the format, errs
at most by A of these scales, and by E in all, over the results of an input; an implementation may
err by MARGIN times as much, MARGIN max(scale, min(A scale, E)).  Where the reference in the format
overflows and the truth does not, nothing is judged.

A bug that the reference has in binary64, too, is not seen, and a function that no input in hand is
hard for is not tried where it is hard: this is no proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format
from .hazards import moved

Array = NDArray[Any]
Function = Callable[[Sequence[Array]], list[Array]]

MARGIN = 4.0
FEW_DRAWS, MANY_DRAWS = 2, 8  # of neighbours of an input, of a large one and of a small one
LARGE = 1 << 14


@dataclass(frozen=True)
class Estimate:
    """What one output of a task has to be at an input.

    Attributes
    ----------
    exact
        The results in binary64.
    admitted
        How far a right one may be off; NaN where nothing is judged.
    dtype
        The dtype of the reference's result in the format.
    """

    exact: Array
    admitted: Array
    dtype: np.dtype[Any]

    @property
    def judged(self) -> int:
        """How many results are judged."""
        return int(np.count_nonzero(~np.isnan(self.admitted)))

    def worst(self, output: Array) -> tuple[int, float]:
        """Where an output is farthest beyond what is admitted, and its error over that; 0 inside.

        Parameters
        ----------
        output
            Of the same shape.

        Returns
        -------
        tuple
            A place in the flat output, and a ratio that is above 1 where it is wrong; infinite for
            what is no finite number.
        """
        if not self.judged:
            return 0, 0.0
        with np.errstate(all="ignore"):
            error = np.abs(output.astype(np.float64) - self.exact)
            ratio = np.where(error == 0, 0.0, error / self.admitted)
        ratio = np.where(np.isnan(self.admitted), 0.0, np.where(np.isnan(ratio), np.inf, ratio))
        place = int(np.argmax(ratio))
        return place, float(ratio.flat[place])


def estimates(
    exact: Function,
    reference: Function,
    inputs: Sequence[Array],
    fmt: Format,
    seed: int,
    most: float = math.inf,
) -> list[Estimate]:
    """Estimate what each output of a task has to be at an input, and how far it may be off.

    Parameters
    ----------
    exact
        The reference in binary64.
    reference
        The reference in the format.
    inputs
        Arrays in the format.
    fmt
        The format.
    seed
        What neighbours of the inputs are drawn from.
    most
        The largest A that is taken, of a reference whose errors are not to be the measure.

    Returns
    -------
    list of Estimate
        One for each output.

    Examples
    --------
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> def root(arrays):
    ...     return [np.sqrt(arrays[0])]
    >>> def exact_root(arrays):
    ...     return [np.sqrt(arrays[0].astype(np.float64))]
    >>> (found,) = estimates(exact_root, root, [np.float32([4])], BINARY32, 0)
    >>> found.worst(np.float32([2])), found.worst(np.float32([2.001]))[1] > 1
    ((0, 0.0), True)
    """
    truths, computed = exact(inputs), reference(inputs)
    change = [np.zeros(t.shape) for t in truths]
    error = [_distance(c, t) for c, t in zip(computed, truths, strict=True)]
    count = FEW_DRAWS if max(x.size for x in inputs) > LARGE else MANY_DRAWS
    for draw in range(count):
        near = moved(inputs, seed + draw)
        their_truths, theirs = exact(near), reference(near)
        for i, truth in enumerate(truths):
            change[i] = np.maximum(change[i], _distance(their_truths[i], truth))
            error[i] = np.maximum(error[i], _distance(theirs[i], their_truths[i]))
    return [
        _estimate(*each, fmt, most) for each in zip(truths, change, error, computed, strict=True)
    ]


def _estimate(
    truth: Array, change: Array, error: Array, computed: Array, fmt: Format, most: float
) -> Estimate:
    if truth.dtype.kind in "biu":  # all or nothing, but where a neighbour gives another answer
        unsure = (change > 0) | (error > 0)
        return Estimate(truth, np.where(unsure, np.nan, 0.0), computed.dtype)
    spacing = ulp(truth, fmt)
    normal = 2.0**fmt.emin
    spacing += np.where(np.abs(truth) < normal, normal, 0.0)  # what is smaller may be taken for 0
    scale = spacing + change
    usable = np.isfinite(truth) & np.isfinite(error) & np.isfinite(change)
    usable &= np.abs(truth) <= fmt.largest
    with np.errstate(all="ignore"):
        factor = np.max(error / scale, where=usable, initial=0.0)
        factor = min(float(factor), most)
        largest = np.max(error, where=usable, initial=0.0)
        admitted = MARGIN * np.maximum(scale, np.minimum(factor * scale, largest))
    return Estimate(truth, np.where(usable, admitted, np.nan), computed.dtype)


def ulp(truth: Array, fmt: Format) -> Array:
    """The distance between neighbouring numbers of a format at some numbers.

    Parameters
    ----------
    truth
        Numbers; of what is not finite any.
    fmt
        The format.

    Returns
    -------
    numpy.ndarray
        In binary64.

    Examples
    --------
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> ulp(np.array([1.0, 0.0]), BINARY32)
    array([1.19209290e-07, 1.40129846e-45])
    """
    _, exponent = np.frexp(np.where(np.isfinite(truth), truth, 1.0).astype(np.float64))
    exponent = np.where(truth == 0, fmt.tiny_exponent, exponent - fmt.precision)
    found: Array = np.ldexp(1.0, np.maximum(exponent, fmt.tiny_exponent))
    return found


def _distance(one: Array, other: Array) -> Array:
    """|one - other|; 0 of equal infinities, infinite of other than numbers."""
    with np.errstate(all="ignore"):
        a, b = one.astype(np.float64), other.astype(np.float64)
        found = np.where(a == b, 0.0, np.abs(a - b))
    return np.where(np.isnan(found), np.inf, found)
