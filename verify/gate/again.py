"""The same asked again, after other calls, in memory that they used, and beside other neighbours.

A function that remembers is right where it is asked anew: one that keeps results by the address or
the shape of its input, that returns what it returned before, or that does not write all of its
result.  Here the same batches are asked once more in the opposite order, each after one with the
same numbers in other places, in the same memory (``subjects.call.USED``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runs.asked import Asked
from ..runs.execute import judged
from ..runs.reproduce import B
from ..subjects.call import USED
from ..subjects.isolation.in_process import LiveSubject
from ..suites.verdicts import Violation

MOST_BATCHES = 4
MOST_NUMBERS = 4096  # in a batch: turned, it has other truths
BATCH_WISE = "the result depends on what was called before, or on what lay in its memory"
NOT_THE_SAME = f"{BATCH_WISE}: another one for the same input, both within the bound"


class InUsedMemory(LiveSubject):
    """A subject that is called with arrays that lie where those of its last call lay."""

    def __init__(self, live: LiveSubject) -> None:
        super().__init__(live.subject)
        self.settle(live.observed)
        self._live = live

    def load(self) -> None:
        """Find what will be called."""
        self._live.load()

    def _call(
        self,
        logits: NDArray[Any],
        labels: NDArray[Any] | None,
        axis: int | None,
        layout: str,
        options: Mapping[str, Any],
    ) -> list[NDArray[Any]]:
        layout = USED if layout == "contiguous" else layout
        return self._live._call(logits, labels, axis, layout, options)

    def _call_with_arguments(
        self, arguments: Sequence[NDArray[Any]], keywords: Mapping[str, Any]
    ) -> list[NDArray[Any]]:
        layouts = keywords["layouts"] or (USED,) * len(arguments)
        return self._live._call_with_arguments(arguments, {**keywords, "layouts": layouts})


def again(asked: Asked[B], judge_neighbours: bool = True) -> Iterator[tuple[B, Violation | None]]:
    """Ask some batches of an item a second time, and yield each with what is wrong then.

    Parameters
    ----------
    asked
        An item of drawn rows or cases, of a function that was right there, connected.
    judge_neighbours
        Whether the batches that are asked in between, of the same numbers in other places, are
        judged as well, which takes truths of their own.

    Yields
    ------
    tuple
        A batch, and the violation in it: a value beyond its bound, or another one than before.

    Raises
    ------
    SubjectFault
        If the subject gives no result.
    NotApplicable
        If it cannot be asked in memory that was used, as a program cannot.
    """
    drawn = _small(asked)
    first = [asked.call(asked.subject, asked.fmt, batch) for batch in drawn]
    used = _in_used_memory(asked)
    for batch, before in zip(reversed(drawn), reversed(first), strict=True):
        for neighbours in (asked.turned(batch), batch):
            now = asked.call(used.subject, asked.fmt, neighbours)
            violation = None
            if neighbours is not batch and not judge_neighbours:
                continue
            if neighbours is not batch or not _same_bits(before, now):
                violation = next(iter(judged(used, neighbours).violations), None)
            if violation is not None:
                detail = f"{BATCH_WISE}. {violation.detail}".strip()
                violation = replace(violation, detail=detail, only_in_batch=True)
            elif neighbours is batch and not _same_bits(before, now):
                violation = Violation(0, NOT_THE_SAME, kind="not deterministic")
            yield neighbours, violation


def _small(asked: Asked[B]) -> list[B]:
    """The first batches of an item that are not of too many numbers."""
    found: list[B] = []
    for batch, _ in asked.batches():
        if asked.size(batch)[1] <= MOST_NUMBERS:
            found.append(batch)
        if len(found) == MOST_BATCHES:
            break
    return found


def _in_used_memory(asked: Asked[B]) -> Asked[B]:
    """The item, with the subject that is called in used memory."""
    return type(asked)(asked.item, InUsedMemory(asked.subject))


def _same_bits(one: Sequence[NDArray[Any]], other: Sequence[NDArray[Any]]) -> bool:
    """Whether two results are the same, NaN of any bits included."""
    wide = [[a.astype(np.float64) for a in arrays] for arrays in (one, other)]
    return len(one) == len(other) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(*wide, strict=True)
    )
