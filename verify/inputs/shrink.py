"""Make a failing row small: fewer classes, then simpler numbers, as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .families import Batch

MAX_TRIALS = 400


def shrink(batch: Batch, fails: Callable[[Batch], bool], most_trials: int = MAX_TRIALS) -> Batch:
    """Simplify a failing row as long as it still fails.

    Greedy and deterministic: halves, quarters, ... of the classes are dropped (Zeller's ddmin),
    then single numbers are replaced by simpler ones. The candidates are not cross-checked, nor
    graded, which takes most of the time: who shows what is left asks both oracles of it.

    Parameters
    ----------
    batch
        One row, with its label where there is one, on which ``fails`` holds.
    fails
        Whether a batch of one row shows the failure.
    most_trials
        The largest number of calls of ``fails``.

    Returns
    -------
    Batch
        One row on which ``fails`` still holds; unless the trials ran out, no simplification that is
        tried fails any more.
    """
    given = batch
    trials = 0
    progress = True
    while progress and trials < most_trials:
        progress = False
        for candidate in _simpler(batch):
            trials += 1
            if trials > most_trials:
                break
            if fails(candidate):
                batch, progress = candidate, True
                break
    return batch if batch is given else replace(batch, cross_checked=given.cross_checked)


def _simpler(batch: Batch) -> Iterator[Batch]:
    """Candidates, the boldest first."""
    row = batch.logits[0]
    label = None if batch.labels is None else int(batch.labels[0])
    size = len(row)
    chunk = size // 2
    while chunk:
        for start in range(0, size, chunk):
            keep = np.ones(size, dtype=bool)
            keep[start : start + chunk] = False
            if keep.any() and (label is None or keep[label]):
                moved = None if label is None else np.array([int(keep[:label].sum())])
                yield Batch(batch.family, row[None, keep], moved, cross_checked=False)
        chunk //= 2
    for i, value in enumerate(row.astype(np.float64)):
        for simple in simpler_numbers(value):
            changed = row.copy()
            changed[i] = simple
            if changed[i] != row[i]:
                yield Batch(batch.family, changed[None, :], batch.labels, cross_checked=False)


def simpler_numbers(value: float) -> Iterator[float]:
    """Yield simpler numbers in place of one, the simplest first.

    They are 0, the number cut to 1, 2, 4 and 8 significant bits, and the nearest integer towards 0;
    none is larger in magnitude.

    Parameters
    ----------
    value
        Any number; 0, NaN and infinities have no simpler one.

    Yields
    ------
    float
        The candidates.

    Examples
    --------
    >>> [*simpler_numbers(5.3)]
    [0.0, 4.0, 4.0, 5.0, 5.28125, 5.0]
    """
    if value == 0 or not np.isfinite(value):
        return
    yield 0.0
    mantissa, exponent = np.frexp(value)
    for significant in (1, 2, 4, 8):
        cut = float(np.ldexp(np.trunc(np.ldexp(mantissa, significant)), exponent - significant))
        if cut == value:
            return
        yield cut
    if abs(value) > 1 and np.trunc(value) != value:
        yield float(np.trunc(value))
