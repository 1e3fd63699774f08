"""The input of a failure beside a reference, made smaller: as many zeros as still show it.

Sizes stay as they are: the task was asked at its smallest first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..oracle.metrics import hexadecimal

Array = NDArray[Any]

MOST_TRIALS = 80  # each is a call of the candidate and several of the reference
LARGE = 1 << 14  # numbers: above, a call takes longer
MOST_TRIALS_OF_LARGE = 16
MOST_TOLD = 16  # numbers of an input that are written down one by one


def smallest(inputs: Sequence[Array], fails: Callable[[list[Array]], bool]) -> list[Array]:
    """Put zeros into an input, and shorten its other numbers, as long as something fails.

    Parameters
    ----------
    inputs
        Arrays at which it fails. Those of real numbers are changed.
    fails
        Whether it still fails at others of the same shapes.

    Returns
    -------
    list of numpy.ndarray
        Inputs at which it fails. The same for the same arguments: trials are counted, not timed.

    Examples
    --------
    >>> found = smallest([np.float32([1.7, 2.3, 5.1, 0.4])], lambda x: x[0][2] > 4)
    >>> found[0].tolist()
    [0.0, 0.0, 6.0, 0.0]
    """
    search = _Search(
        [x.copy() for x in inputs],
        fails,
        MOST_TRIALS if max(x.size for x in inputs) <= LARGE else MOST_TRIALS_OF_LARGE,
    )
    real = [i for i, x in enumerate(inputs) if x.dtype.kind not in "biu" and x.size]
    for i in real:
        search.put_zeros(i)
    for i in real:
        search.shorten(i)
    return search.inputs


class _Search:
    """The smallest input so far, and how many trials are left."""

    def __init__(
        self, inputs: list[Array], fails: Callable[[list[Array]], bool], trials: int
    ) -> None:
        self.inputs, self._fails, self._trials = inputs, fails, trials

    def put_zeros(self, i: int) -> None:
        """Put zeros into all of an input, then into halves, quarters, ... of what is left."""
        left = np.flatnonzero(self.inputs[i])
        length = left.size
        while left.size and length and self._trials:
            for start in range(0, left.size, length):
                self._try(i, left[start : start + length], 0)
            left = np.flatnonzero(self.inputs[i])
            length = min(length - 1, (length + 1) // 2)

    def shorten(self, i: int) -> None:
        """Round each number that is left to as few digits as possible, of 1, 2, 4 and 8 bits."""
        left = np.flatnonzero(self.inputs[i])
        if left.size > MOST_TOLD:
            return
        for place in left:
            for bits in (1, 2, 4, 8):
                number = float(self.inputs[i].flat[place])
                if self._try(i, place, _rounded(number, bits)):
                    break

    def _try(self, i: int, places: Any, number: float) -> bool:
        """Write a number in some places of an input, where it then still fails."""
        if not self._trials:
            return False
        changed = self.inputs[i].copy()
        changed.flat[places] = number
        if changed.tobytes() == self.inputs[i].tobytes():
            return True
        self._trials -= 1
        candidate = [changed if j == i else x for j, x in enumerate(self.inputs)]
        if not self._fails(candidate):
            return False
        self.inputs = candidate
        return True


def _rounded(number: float, bits: int) -> float:
    """A number rounded to so many bits; what is not finite as it is."""
    mantissa, exponent = np.frexp(number)
    return float(np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits))


def as_case(heading: str, inputs: Sequence[Array]) -> str:
    """Write an input as text, a line for each array.

    Parameters
    ----------
    heading
        The first line.
    inputs
        The arrays.

    Returns
    -------
    str
        An array in full where it is short; else the numbers that are not 0, with their places,
        where these are few; else its shape.

    Examples
    --------
    >>> print(as_case("ref.py:Model", [np.float32([0.5, 1]), np.eye(40)[:1]]))
    ref.py:Model
    input 0 [2] 0x1p-1 0x1p+0
    input 1 [1x40] 0 but [0, 0] 0x1p+0
    """
    return "\n".join([heading, *(f"input {i} {_line(x)}" for i, x in enumerate(inputs))])


def _line(x: Array) -> str:
    shape = f"[{'x'.join(map(str, x.shape))}]"
    written = str if x.dtype.kind in "biu" else lambda number: hexadecimal(float(number))
    if x.size <= MOST_TOLD:
        return " ".join([shape, *map(written, x.flat)])
    places = np.argwhere(x)
    if not len(places):
        return f"{shape} 0"
    if len(places) > MOST_TOLD:
        return f"{shape} {len(places)} numbers"
    told = (f"{list(map(int, place))} {written(x[tuple(place)])}" for place in places)
    return f"{shape} 0 but {', '.join(told)}"
