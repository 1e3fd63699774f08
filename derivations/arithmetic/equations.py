"""Zeros of functions and solutions of linear equations, in each arithmetic.

Zeros are bracketed by bisection.  Over balls every step is proven: with f continuous, of one sign
below its zero and of the other above, a point where the ball of f is of the first sign lies below
the zero of every function in the balls.  So the bracket encloses the zeros of all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flint
import numpy as np
import sympy

Function = Callable[[Any], Any]


def root_in_balls(f: Function, low: Any, high: Any) -> flint.arb:
    """Enclose the zero of f between low and high; see ``Arithmetic.root``.

    Parameters
    ----------
    f
        A continuous function of a ball, with one zero.
    low, high
        Points on both sides of it, numbers or balls.

    Returns
    -------
    flint.arb
        The enclosure; all between low and high where no sign is decided.
    """
    low, high = flint.arb(low), flint.arb(high)
    below, above = low.lower(), high.upper()
    sign = _sign(f(above)) or -_sign(f(below))
    if not sign:
        return low.union(high)

    def narrowed(below: flint.arb, above: flint.arb, undecided: int) -> tuple[Any, Any]:
        """A bracket; a point that is not decided counts as above (-1) or below (1), or ends (0)."""
        for _ in range(2 * flint.ctx.prec + 64):
            middle = ((below + above) / 2).mid()
            if not below < middle < above:
                break
            side = _sign(f(middle)) * sign
            if not side and not undecided:
                break
            if side > 0 or (not side and undecided < 0):
                above = middle
            else:
                below = middle
        return below, above

    below, above = narrowed(below, above, 0)
    middle = ((below + above) / 2).mid()
    return narrowed(below, middle, -1)[0].union(narrowed(middle, above, 1)[1])


def _sign(x: flint.arb) -> int:
    return 1 if x > 0 else -1 if x < 0 else 0


def root_in_floats(f: Function, low: Any, high: Any) -> Any:
    """Find the zero of f between low and high by bisection.

    Parameters
    ----------
    f
        A function of a number, with one change of sign.
    low, high
        Points on both sides of it.

    Returns
    -------
    number
        The middle of the last bracket between neighbouring numbers, or where f is 0.
    """
    top = f(high)
    if top == 0:
        return high
    for _ in range(2**12):  # towards 0 the exponents of big floats have no end
        middle = low + (high - low) / 2
        value = f(middle)
        if value == 0 or not low < middle < high:
            break
        low, high = (low, middle) if (value > 0) == (top > 0) else (middle, high)
    return middle


def root_in_symbols(f: Function, low: Any, high: Any) -> Any:
    """Refuse: the zero of a function is no expression.

    Parameters
    ----------
    f, low, high
        What the other arithmetics take.

    Returns
    -------
    never
        It always raises.

    Raises
    ------
    ValueError
        Always.
    """
    raise ValueError("a zero of a function is no expression; evaluate it in balls")


def solve_balls(a: Any, b: Any) -> Any:
    """Enclose the solution of a system of linear equations.

    Parameters
    ----------
    a
        The matrix, (n, n) balls.
    b
        The right-hand side, (n,) or (n, m).

    Returns
    -------
    numpy.ndarray
        Balls of the shape of b; NaN where the matrix is not proven to be regular.
    """
    columns = b if b.ndim == 2 else b[:, None]
    try:
        entries = flint.arb_mat(a.tolist()).solve(flint.arb_mat(columns.tolist())).entries()
    except ZeroDivisionError:
        entries = [flint.arb.nan()] * columns.size
    result = np.empty(columns.size, dtype=object)
    result[:] = entries
    return result.reshape(b.shape)


def solve_symbols(a: Any, b: Any) -> Any:
    """Solve a system of linear equations by SymPy's LU factorisation.

    Parameters
    ----------
    a
        The matrix, (n, n) expressions.
    b
        The right-hand side, (n,) or (n, m).

    Returns
    -------
    numpy.ndarray
        Expressions of the shape of b.
    """
    columns = b if b.ndim == 2 else b[:, None]
    solution = sympy.Matrix(a.tolist()).LUsolve(sympy.Matrix(columns.tolist()))
    return np.array(solution.tolist(), dtype=object).reshape(b.shape)


def solve_floats(a: Any, b: Any, nan: Any) -> Any:
    """Solve a system of linear equations by elimination with the largest pivot of each column.

    Parameters
    ----------
    a
        The matrix, (n, n) numbers.
    b
        The right-hand side, (n,) or (n, m).
    nan
        The NaN of the arithmetic.

    Returns
    -------
    numpy.ndarray
        Numbers of the shape of b; NaN where all pivots of a column are 0.
    """
    a, b = a.copy(), b.copy()
    n = len(a)
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(a[i, k]))
        if a[pivot, k] == 0:
            b[...] = nan
            return b
        if pivot != k:
            a[[k, pivot]], b[[k, pivot]] = a[[pivot, k]], b[[pivot, k]]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            a[i, k:] = a[i, k:] - factor * a[k, k:]
            b[i] = b[i] - factor * b[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            b[k] = b[k] - a[k, j] * b[j]
        b[k] = b[k] / a[k, k]
    return b
