"""Sums, means, partial sums and products of matrices of numbers with running errors.

A sum of n terms is a tree of additions, each off by a factor 1 + e, |e| <= v, and a term goes
through at most h of them (``Model.heights``).  So a computed sum of terms t_k (1 + e_k) with
|e_k| <= (1 + v)^h - 1 is off by at most ((1 + v)^h - 1) sum |t_k| (Higham 2002, section 4.2, with
gamma_h, which is larger and infinite from h v = 1 on).  |t_k| of what is added is at most |v_k| +
w_k + r_k.  No partial sum exceeds the sum of moduli, grown by the same factor, so that decides
whether the accumulator may overflow.  A sum kept in a wider accumulator is rounded once more to the
format of the operations; a sum of one term, or of exact zeros and one term, is that term.

In binary64 itself, sums of n numbers here are off by (n - 1) h of the sum of moduli, and of n
products by n h; that enters d and w, and the sums of bounds grow by 1 + (n + 16) 2^-52.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .constants import SMALLEST, UP, Array, H, quiet
from .model import Model, largest, unit_roundoff
from .numbers import RunningNumber, finish, of_radii, stack
from .storage import operand


def _summed(
    model: Model, roundings: int, heights: Any, v: Any, d: Any, w: Any, r: Any, moduli: Any
) -> RunningNumber:
    """A sum of terms that were off by r in all before they were added, with such moduli.

    ``roundings``: of a term in binary64.
    """
    enlarged = 1 + (roundings + 16) * 2.0**-52
    with quiet():
        is_same, lost = w is d, roundings * H * moduli
        d = (d + lost) * enlarged
        w = d if is_same else (w + lost) * enlarged
        reach = (moduli + w + r) * enlarged
        added = np.where(heights > 0, np.expm1(heights * np.log1p(model.v)) * UP * reach, 0.0)
        r = (r * enlarged + added) * UP
        r = np.where(reach + added > largest(model.accumulator), np.inf, r)
        if model.converts_sums:
            conversion = model.u * (np.abs(v) + w + r) * UP + model.half_subnormal
            r = np.where(heights > 0, r + conversion, r)
    return finish(model, v, d, w, r)


def sum(model: Model, terms: Any, axis: int | None = None) -> RunningNumber:
    """Add the numbers of an axis, or all.

    Parameters
    ----------
    model
        The class of arithmetic.
    terms
        The numbers; a list or iterable of them is an array.
    axis
        The axis; None for all of them.

    Returns
    -------
    RunningNumber
        The sum.
    """
    if not isinstance(terms, RunningNumber):
        terms = stack(model, list(terms) if isinstance(terms, Iterable) else terms)
    count = terms.value.size if axis is None else terms.shape[axis]
    with quiet():
        v, r = (np.sum(part, axis=axis) for part in (terms.value, terms.error))
        d, w = of_radii(lambda part: np.sum(part, axis=axis), terms)
        zeros = np.sum((terms.value == 0) & terms.is_exact, axis=axis)
        flushed = max(count - 1, 0) * model.flushed_addition
        moduli = np.sum(np.abs(terms.value), axis=axis)
        heights = model.heights(count, count - zeros)
        total = _summed(model, max(count - 1, 0), heights, v, d, w, r + flushed, moduli)
    if terms.at_least > -np.inf:  # moduli of what is below 0 may grow by (1 + v)^h <= 2
        low = min(terms.at_least, 0.0) * count * 2
        total.at_least = low - flushed - model.half_subnormal if model.v * count < 0.5 else -np.inf
    if terms.exponent is not None:
        last = -1 if axis is None else axis
        total.summed_exponents = terms.exponent.map(
            lambda part: part.reshape(-1) if axis is None else np.moveaxis(part, last, -1)
        )
        # Rows of numbers less their largest: each 0 is in a sum over the last axis, or over all.
        rows = last in (-1, terms.ndim - 1)
        total.summed_exponents.holds_zero = rows and terms.exponent.holds_zero
    if terms.made_of is not None and terms.made_of[0] == "powers of e":
        total.made_of = ("sum exp", terms.made_of[1])
    return total


def mean(model: Model, terms: Any, axis: int | None = None) -> RunningNumber:
    """The mean over an axis, or of all.

    A sum divided by n, or multiplied by a rounded 1 / n: one rounding more than the quotient.  The
    mean of one number is that number, as x / 1 and x times 1 are x.

    Parameters
    ----------
    model
        The class of arithmetic.
    terms
        The numbers; a list of them is an array.
    axis
        The axis; None for all of them.

    Returns
    -------
    RunningNumber
        The mean.
    """
    if not isinstance(terms, RunningNumber):
        terms = stack(model, list(terms))
    total = sum(model, terms, axis)
    count = int(terms.value.size if axis is None else terms.shape[axis])
    if count == 1:
        return total
    quotient = total / count
    v, d, w, r = quotient.parts()
    with quiet():
        r = r + model.u * (np.abs(v) + w + r) * UP
        if count > 2.0**-model.operations.emin:  # 1 / n is subnormal
            r = r + (total.above + total.error) * model.half_subnormal
    found = finish(model, v, d, w, r)
    if quotient.at_least > -np.inf:
        found.at_least = 2 * min(quotient.at_least, 0.0) - model.half_subnormal
    return found


def cumsum(model: Model, terms: RunningNumber) -> RunningNumber:
    """Partial sums along the last axis, by any trees: the k-th has k - 1 additions at most.

    Parameters
    ----------
    model
        The class of arithmetic.
    terms
        The numbers.

    Returns
    -------
    RunningNumber
        The partial sums, of the shape of the terms.
    """
    with quiet():
        count = terms.shape[-1]
        v, r = (np.cumsum(part, axis=-1) for part in (terms.value, terms.error))
        d, w = of_radii(lambda part: np.cumsum(part, axis=-1), terms)
        moduli = np.cumsum(np.abs(terms.value), axis=-1)
        additions = np.arange(count)
        narrow = unit_roundoff(model.accumulator) > model.u
        flushed = additions * model.flushed_addition
        return _summed(model, count, additions + narrow, v, d, w, r + flushed, moduli)


def dot(model: Model, a: RunningNumber, b: RunningNumber) -> RunningNumber:
    """The product of vectors and matrices, in all combinations.

    n products, each rounded in the accumulator at most once (a fused multiply-add rounds fewer),
    and their sum.  With |a| <= A, |b| <= B the references and s, t the errors, products are off by
    sum (A t + B s + s t).  Operands are rounded to ``model.operands`` first.

    Parameters
    ----------
    model
        The class of arithmetic.
    a, b
        Vectors or matrices, whose inner lengths agree.

    Returns
    -------
    RunningNumber
        The product, as ``numpy.dot`` has it.
    """
    a, b = operand(a), operand(b)
    count = a.shape[-1]

    def off(x: Array, s: Array, y: Array, t: Array) -> Any:
        pairs = ((x, t), (s, y), (s, t))
        total: Any = 0.0
        for left, right in pairs:
            if left.any() and right.any():
                total = total + np.dot(left, right)
        return total

    with quiet():
        v = np.dot(a.value, b.value)
        sizes = np.abs(a.value), np.abs(b.value)
        moduli = np.dot(*sizes)
        lost = np.where(np.isfinite(moduli), count * SMALLEST, np.inf)
        v = np.where(np.isfinite(moduli), v, 0.0)
        additions = model.heights(count, count)
        products = 2 if unit_roundoff(model.accumulator) > model.u else 1
        below = count * model.product_underflow + max(count - 1, 0) * model.flushed_addition
        return _summed(
            model,
            count,
            np.asarray(additions + products) * (count > 0),
            v,
            *of_radii(lambda s, t: off(sizes[0], s, sizes[1], t) + lost, a, b),
            off(a.above, a.error, b.above, b.error) + below,
            moduli + count * SMALLEST,
        )


def outer(model: Model, a: RunningNumber, b: RunningNumber) -> RunningNumber:
    """All products of the entries of two vectors, which are operands as those of ``dot``.

    Parameters
    ----------
    model
        The class of arithmetic.
    a, b
        Vectors.

    Returns
    -------
    RunningNumber
        The matrix of products.
    """
    return operand(a)[:, None] * operand(b)[None, :]
