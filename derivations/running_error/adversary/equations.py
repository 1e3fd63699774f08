"""How the adversary finds zeros and solves linear equations: each operation errs as it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .numbers import ErringNumber


def root(adversary: Any, f: Callable[[Any], Any], low: Any, high: Any) -> ErringNumber:
    """Bisection by computed signs, until the ends are neighbours in the format.

    Parameters
    ----------
    adversary
        The arithmetic.
    f
        A function of one number, which changes its sign once.
    low, high
        The bracket.

    Returns
    -------
    ErringNumber
        An end of the last bracket, by the sign of an error.
    """
    a, b = (float(adversary.number(end).value) for end in (low, high))
    rises = float(f(ErringNumber(adversary, b)).value) > float(f(ErringNumber(adversary, a)).value)
    spacing = 2 * adversary.model.u
    while b - a > spacing * max(abs(a), abs(b)) and a < (middle := a + (b - a) / 2) < b:
        value = float(f(ErringNumber(adversary, middle)).value)
        if value == 0:
            return ErringNumber(adversary, middle)
        a, b = (a, middle) if (value > 0) == rises else (middle, b)
    return ErringNumber(adversary, b if float(adversary.signs(())) > 0 else a)


def solve(adversary: Any, a: ErringNumber, b: ErringNumber) -> ErringNumber:
    """Elimination with the largest computed pivot of each column, an operation at a time.

    Parameters
    ----------
    adversary
        The arithmetic.
    a
        A matrix of shape (n, n).
    b
        Right-hand sides of shape (n,) or (n, m).

    Returns
    -------
    ErringNumber
        In the shape of b.
    """
    n = len(a)
    columns = b.value if b.ndim == 2 else b.value[:, None]
    rows: list[list[Any]] = [
        [ErringNumber(adversary, x) for x in (*a.value[i], *columns[i])] for i in range(n)
    ]
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(float(rows[i][k].value)))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            rows[i][k + 1 :] = [
                x - factor * y for x, y in zip(rows[i][k + 1 :], rows[k][k + 1 :], strict=True)
            ]
    solution = np.empty(columns.shape)
    for m in range(columns.shape[1]):
        for k in range(n - 1, -1, -1):
            x = rows[k][n + m]
            for j in range(k + 1, n):
                x = x - rows[k][j] * ErringNumber(adversary, solution[j, m])
            solution[k, m] = (x / rows[k][k]).value
    return ErringNumber(adversary, solution.reshape(b.shape))
