"""Maxima, sorting and choices among numbers with running errors.

The maximum, the sorted vector and the modulus are 1-Lipschitz in the maximum norm, and none of them
rounds.  Where a choice is not the same for all that a number stands for, both branches count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .constants import UP, Array, quiet
from .numbers import (
    RunningNumber,
    UndecidedComparison,
    finish,
    of_radii,
    rounded,
    without_error,
    without_nan,
)


def abs(x: RunningNumber) -> RunningNumber:
    """The modulus |x|, which is 1-Lipschitz, and computed as at least 0, too."""
    modulus = without_nan(x.model, np.abs(x.value), *x.parts()[1:])
    modulus.at_least = 0.0
    return modulus


def maximum(a: RunningNumber, b: RunningNumber) -> RunningNumber:
    """The larger of two: that one alone where it is sure, else off by the larger of the errors."""
    with quiet():
        first = _surely_less(b, a)
        second = _surely_less(a, b)

        def chosen(x: Array, y: Array) -> Array:
            return np.where(first, x, np.where(second, y, np.maximum(x, y)))

        d, w = of_radii(chosen, a, b)
        v, r = chosen(a.value, b.value), chosen(a.error, b.error)
        return without_nan(a.model, v, d, w, r)


def _surely_less(a: RunningNumber, b: RunningNumber) -> NDArray[np.bool_]:
    reach = (a.reference_radius + a.error + b.reference_radius + b.error) * UP
    return np.asarray(b.value - a.value > reach)


def positive_part(x: RunningNumber) -> RunningNumber:
    """The larger of x and 0, which is computed as at least 0, too."""
    zero = np.zeros(x.shape)
    found = maximum(x, RunningNumber(x.model, zero, zero, zero, zero))
    found.at_least = 0.0
    return found


def max(x: RunningNumber, axis: int | None = None) -> RunningNumber:
    """The largest over an axis, or of all.

    It lies between the largest of the lower and the largest of the upper ends: entries that cannot
    be the maximum do not count.  With D = v - max v, the largest upper end exceeds max v by max(D
    + e) and the largest lower end is below it by min(e - D).

    The maximum of a vector remembers that vector z, so that z - max z is known to be computed as at
    most 0, and as exactly 0 where z is largest: the computed maximum is one of the computed
    entries, and a difference that is 0, or negative, is rounded to one that is.

    Parameters
    ----------
    x
        The numbers.
    axis
        The axis; None for all of them.

    Returns
    -------
    RunningNumber
        The largest.
    """
    top = np.max(x.value, axis=axis, keepdims=True)
    distance = _difference(x.value, top)

    def spread(e: Array) -> Any:
        with quiet():
            q = 2.0**-51 * (np.abs(distance) + e)
            q = np.where(np.isinf(distance), 0.0, q)
            above = np.max(distance + e + q, axis=axis)
            below = np.min(e - distance + q, axis=axis)
            return np.where(
                np.any(e > 0, axis=axis), np.maximum(np.maximum(above, below), 0.0), 0.0
            )

    with quiet():
        d, w = of_radii(spread, x)
        r = np.where(np.any(x.error > 0, axis=axis), spread(x.reference_radius + x.error) + w, 0.0)
        value = np.max(x.value, axis=axis)
        largest = finish(x.model, value, d, w, r * UP, math.inf)
    if x.ndim == 1:
        largest.made_of = ("max", x)
    return largest


def min(x: RunningNumber, axis: int | None = None) -> RunningNumber:
    """Return the least over an axis, or of all.

    Parameters
    ----------
    x
        The numbers.
    axis
        The axis; None for all of them.

    Returns
    -------
    RunningNumber
        The least.
    """
    return -max(-x, axis)


def _difference(values: Array, top: Array) -> Array:
    """values - top, 0 where both are the same infinity."""
    with quiet():
        return np.where(values == top, 0.0, values - top)


def shifted(z: RunningNumber) -> RunningNumber:
    """z - max z along the last axis, for what does not depend on the number subtracted.

    The reference is z less the *computed* maximum, so the error of the maximum costs nothing: only
    the subtraction rounds.  That is right if the result is the same for every common shift, which
    the caller warrants; a declared and proven invariance of the definition says so.  All uses of
    one shifted array share one maximum.  v +- d encloses z - max z, d_j + max d, as the maximum is
    1-Lipschitz, and the reference is off by w_j and by the computed maximum, max (r + w).
    """
    top = np.max(z.value, axis=-1, keepdims=True)
    with quiet():
        farthest = np.max(z.radius, axis=-1, keepdims=True)
        slack = np.max(z.reference_radius + z.error, axis=-1, keepdims=True)
        found = rounded(
            z.model,
            z.value - top,
            z.radius + farthest,
            z.reference_radius + np.maximum(farthest, slack),
            z.error,
        )
        masked = (z.value == -np.inf) & z.is_exact & np.isfinite(top + slack)
    found = without_error(found, masked) if masked.any() else found
    found.is_shifted = found.holds_zero = True
    return found


def descending(z: RunningNumber) -> RunningNumber:
    """The entries of the last axis sorted, the largest first: each is off by the largest error."""
    order = np.argsort(-z.value, axis=-1, kind="stable")
    value = np.take_along_axis(z.value, order, axis=-1)
    with quiet():
        d, w, r = (
            np.broadcast_to(np.max(part, axis=-1, keepdims=True), z.shape) for part in z.parts()[1:]
        )
        return finish(z.model, value, d, w, r, math.inf)


def by_sign(
    x: RunningNumber,
    nonnegative: Callable[[RunningNumber], RunningNumber],
    negative: Callable[[RunningNumber], RunningNumber],
) -> RunningNumber:
    """``nonnegative(x)`` where x >= 0 and ``negative(x)`` elsewhere.

    Where the sign of x is not the same for all that it stands for, the exact value, the reference
    and what is computed may each be in either branch: all are within the hull of both.

    Parameters
    ----------
    x
        The numbers that decide.
    nonnegative, negative
        The functions.

    Returns
    -------
    RunningNumber
        The results, of the shape of x.
    """
    with quiet():
        reach = (x.reference_radius + x.error) * UP
        right, left = x.value >= reach, x.value < -reach
    if right.all():
        return nonnegative(x)
    if left.all():
        return negative(x)
    one = x[None] if x.ndim == 0 else x
    right, left = np.atleast_1d(right), np.atleast_1d(left)
    parts = [np.empty(one.shape) for _ in range(4)]
    for which, branches in (
        (right, (nonnegative,)),
        (left, (negative,)),
        (~right & ~left, (nonnegative, negative)),
    ):
        if which.any():
            found = [branch(one[which]) for branch in branches]
            chosen = found[0] if len(found) == 1 else hull(*found)
            for part, entries in zip(parts, chosen.parts(), strict=True):
                part[which] = entries
    return RunningNumber(x.model, *(part[0] if x.ndim == 0 else part for part in parts))


def hull(a: RunningNumber, b: RunningNumber) -> RunningNumber:
    """What holds of either of two numbers: each of exact, reference, computed may be of either.

    The reference and the computed number are then as far apart as the two differ, and both errors.
    """
    with quiet():
        apart = np.abs(a.value - b.value)
        d, w = (
            np.maximum(s, t + apart) * UP
            for s, t in zip(a.parts()[1:3], b.parts()[1:3], strict=True)
        )
        r = apart + a.reference_radius + b.reference_radius + np.maximum(a.error, b.error)
        return finish(a.model, a.value, d, w, r * UP)


def step(x: RunningNumber) -> RunningNumber:
    """The derivative of the positive part: 1 where x > 0, 0 where x < 0, 1/2 at an exact 0.

    At an exact 0 every number between the one-sided derivatives is admissible.  Where rounding may
    change the sign, what is computed may be off by 1; where the sign of the exact value is not
    known, it is anything in [0, 1].
    """
    with quiet():
        certain = np.abs(x.value) > (x.reference_radius + x.error) * UP
        known = np.abs(x.value) > x.reference_radius * UP
        at_zero = (x.value == 0) & (x.reference_radius == 0)
    v = np.where(known, np.where(x.value > 0, 1.0, 0.0), 0.5)
    d = np.where(known | at_zero, 0.0, 0.5)
    r = np.where(certain, 0.0, np.where(at_zero, 0.5, 1.0))
    return RunningNumber(x.model, v, d, d, r)


def ranks(z: RunningNumber) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the last place that each entry of a vector may have in descending order.

    Exact entries that are equal keep their order, as a stable sort does.

    Parameters
    ----------
    z
        A vector.

    Returns
    -------
    first
        The first place of each entry, counted from 0.
    last
        The last one.
    """
    with quiet():
        reach = (z.reference_radius + z.error) * UP
        apart = z.value[:, None] - z.value[None, :]
        greater = apart > reach[:, None] + reach[None, :]
        exact = z.is_exact
        tied = (apart == 0) & exact[:, None] & exact[None, :]
    before = tied & (np.arange(len(z))[:, None] < np.arange(len(z))[None, :])
    first = np.sum(greater | before, axis=0)
    last = len(z) - 1 - np.sum(greater | before, axis=1)
    return first, last


def largest(z: RunningNumber, count: int) -> NDArray[np.intp]:
    """The indices of the largest entries of a vector, so many, the largest first.

    Parameters
    ----------
    z
        A vector.
    count
        How many.

    Returns
    -------
    numpy.ndarray
        Indices; exact entries that are equal keep their order.

    Raises
    ------
    UndecidedComparison
        Rounding errors may choose otherwise.
    """
    first, last = ranks(z)
    chosen = np.argsort(first, kind="stable")[:count]
    if (first != last)[chosen].any():
        raise UndecidedComparison("rounding errors may change which entries are the largest")
    return chosen
