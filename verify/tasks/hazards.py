"""Inputs at which a task is asked: as it draws them, and changed so that mistakes show.

A task says nothing of the domain of its inputs.  What a change takes out of it has no finite result
of the reference, and is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Change = Callable[[Array, np.random.Generator], Array]

LEADER = 60.0  # what the last entry is above the others: it takes all of a softmax
FAR = 500.0
OVERFLOWING = 128.0  # e^128 is beyond binary32


def _leader_at_the_end(x: Array, axis: int) -> Array:
    last = [slice(None)] * x.ndim
    last[axis] = slice(-1, None)
    found = x.copy()
    found[tuple(last)] += LEADER
    return found


CHANGES: dict[str, Change] = {
    "as the task draws them": lambda x, rng: x,
    "both signs": lambda x, rng: 4.0 * rng.standard_normal(x.shape),
    "a leader at the end": lambda x, rng: _leader_at_the_end(x, -1),
    "large": lambda x, rng: OVERFLOWING * (x - x.min()) + OVERFLOWING / 2,
    "a leader at the end of the second axis": lambda x, rng: _leader_at_the_end(
        x, min(1, x.ndim - 1)
    ),
    "far from zero": lambda x, rng: x + FAR,
    "small": lambda x, rng: x * 2.0**-10,
    "each row constant": lambda x, rng: np.broadcast_to(x[..., :1], x.shape).copy(),
    "zeros": lambda x, rng: np.zeros_like(x),
}


def changed(inputs: Sequence[Array], change: str, seed: int) -> list[Array]:
    """Change the inputs of a task.

    Parameters
    ----------
    inputs
        As it draws them; those that are no arrays of real numbers with an axis are left alone.
    change
        A name in CHANGES.
    seed
        What is drawn from.

    Returns
    -------
    list of numpy.ndarray
        In binary64, those that were changed.

    Examples
    --------
    >>> changed([np.float32([1, 2]), np.array([3])], "small", 0)
    [array([0.00097656, 0.00195312]), array([3])]
    """
    rng = np.random.default_rng([seed, list(CHANGES).index(change)])
    return [
        CHANGES[change](x.astype(np.float64), rng) if _is_hazardous(x) else x.copy() for x in inputs
    ]


def moved(inputs: Sequence[Array], seed: int) -> list[Array]:
    """Move each real number to one of its neighbours in its format.

    Parameters
    ----------
    inputs
        Arrays.
    seed
        What is drawn from.

    Returns
    -------
    list of numpy.ndarray
        Of the same dtypes; zeros stay.
    """
    rng = np.random.default_rng(seed)
    return [x if x.dtype.kind in "biu" else _neighbours(x, rng) for x in inputs]


def _neighbours(x: Array, rng: np.random.Generator) -> Array:
    up = rng.integers(0, 2, x.shape).astype(bool)
    towards = np.where(up, np.inf, -np.inf).astype(x.dtype)
    with np.errstate(all="ignore"):
        return np.where(x == 0, x, np.nextafter(x, towards)).astype(x.dtype)


def _is_hazardous(x: Array) -> bool:
    return x.dtype.kind not in "biu" and x.ndim > 0 and x.size > 0
