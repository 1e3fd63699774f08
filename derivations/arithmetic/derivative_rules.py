"""The derivatives of functions and operations, written over an arithmetic; see ``tape``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Slopes:
    """Slopes of elementary functions, from the arithmetic, the argument and the value."""

    exp = staticmethod(lambda xp, x, y: y)
    log = staticmethod(lambda xp, x, y: 1 / x)
    log1p = staticmethod(lambda xp, x, y: 1 / (1 + x))
    expm1 = staticmethod(lambda xp, x, y: xp.exp(x))
    sqrt = staticmethod(lambda xp, x, y: 1 / (2 * y))
    rsqrt = staticmethod(lambda xp, x, y: -(y * y * y) / 2)
    tanh = staticmethod(lambda xp, x, y: 1 - y * y)
    sigmoid = staticmethod(lambda xp, x, y: y * (1 - y))
    softplus = staticmethod(lambda xp, x, y: xp.sigmoid(x))
    erf = staticmethod(lambda xp, x, y: 2 / xp.sqrt(xp.pi) * xp.exp(-(x * x)))
    normal_cdf = staticmethod(lambda xp, x, y: xp.normal_pdf(x))
    normal_pdf = staticmethod(lambda xp, x, y: -x * y)
    sin = staticmethod(lambda xp, x, y: xp.cos(x))
    cos = staticmethod(lambda xp, x, y: -xp.sin(x))
    atan = staticmethod(lambda xp, x, y: 1 / (1 + x * x))
    acos = staticmethod(lambda xp, x, y: -xp.rsqrt(1 - x * x))
    abs = staticmethod(lambda xp, x, y: xp.step(x) - xp.step(-x))
    positive_part = staticmethod(lambda xp, x, y: xp.step(x))


Rule = Callable[[Any, Any, Any], Any]  # from (g, a, b) to the cotangent of a, or of b
SUM: tuple[Rule, Rule] = (lambda g, a, b: g, lambda g, a, b: g)
DIFFERENCE: tuple[Rule, Rule] = (lambda g, a, b: g, lambda g, a, b: -g)
PRODUCT: tuple[Rule, Rule] = (lambda g, a, b: g * b, lambda g, a, b: g * a)
QUOTIENT: tuple[Rule, Rule] = (lambda g, a, b: g / b, lambda g, a, b: -(g * a) / (b * b))


def power_rules(xp: Any) -> tuple[Rule, Rule]:
    """Give the rules of x^y: y x^(y-1), which is 0 for y = 0 also where x is 0, and x^y log x.

    Parameters
    ----------
    xp
        The arithmetic.

    Returns
    -------
    tuple
        From (g, x, y) to the cotangents of the base and of the exponent.
    """

    def of_base(g: Any, x: Any, y: Any) -> Any:
        slope = y * xp.pow(x, y - 1)
        constant = np.asarray(y == 0, dtype=bool)
        return g * (xp.where(constant, xp.number(0), slope) if constant.any() else slope)

    return of_base, lambda g, x, y: g * (xp.pow(x, y) * xp.log(x))


def dot_rules(xp: Any) -> tuple[Rule, Rule]:
    """Give the rules of a matrix product A B: G B^T and A^T G, for vectors in their shapes.

    Parameters
    ----------
    xp
        The arithmetic.

    Returns
    -------
    tuple
        From (g, a, b) to the cotangents of the left and of the right factor.
    """

    def of_left(g: Any, a: Any, b: Any) -> Any:
        if np.ndim(b) == 1:
            return g * b if np.ndim(a) == 1 else xp.outer(g, b)
        return xp.dot(b, g) if np.ndim(a) == 1 else xp.dot(g, b.T)

    def of_right(g: Any, a: Any, b: Any) -> Any:
        if np.ndim(a) == 1:
            return g * a if np.ndim(b) == 1 else xp.outer(a, g)
        return xp.dot(a.T, g)

    return of_left, of_right


def inner_of_weights(xp: Any, p: Any, v: Any, dp: Any, g: Any, y: Any) -> Any:
    """Compute <p, dp> of probabilities p and their cotangents dp = v g in y = p v.

    An arithmetic that knows of implementations that compute it as <g, y> has a rule of its own.

    Parameters
    ----------
    xp
        The arithmetic.
    p, v
        The probabilities, and what they weigh.
    dp
        The cotangents of the probabilities.
    g, y
        The cotangent of the result, and the result.

    Returns
    -------
    number
        The inner product.
    """
    if hasattr(xp, "inner_of_weights"):
        return xp.inner_of_weights(p, v, dp, g, y)
    return xp.dot(p, dp)


def attained(xp: Any, values: Any, axis: int) -> Any:
    """Compute the slopes of the maximum along an axis in its entries.

    Where m_k is the maximum of the first k + 1 entries, its slope in entry k is s_k = step(v_k -
    m_(k-1)), and in an earlier one 1 - s_k times that of m_(k-1).  So entry k has the slope s_k
    times the product of 1 - s_j over the later ones, with s_0 = 1, and the slopes add up to 1.
    Maxima and products are made of those of half as many entries, in log2 n steps.

    Parameters
    ----------
    xp
        The arithmetic.
    values
        The array.
    axis
        The axis, counted from the front.

    Returns
    -------
    array
        The slopes, in the shape of the array.
    """
    count = np.shape(values)[axis]
    before = (slice(None),) * axis

    def part(first: int | None, end: int | None) -> Any:
        return (*before, slice(first, end))

    if count == 1:
        return xp.broadcast(xp.number(1), np.shape(values))
    largest, distance = values, 1
    while distance < count:
        joined = xp.maximum(largest[part(distance, None)], largest[part(None, -distance)])
        largest = xp.put(largest, part(distance, None), joined)
        distance *= 2
    steps = xp.step(values[part(1, None)] - largest[part(None, -1)])
    later, distance = 1 - steps, 1
    while distance < count - 1:
        product = later[part(None, -distance)] * later[part(distance, None)]
        later = xp.put(later, part(None, -distance), product)
        distance *= 2
    slopes = xp.put(values, part(None, 1), later[part(None, 1)])
    slopes = xp.put(slopes, part(-1, None), steps[part(-1, None)])
    return xp.put(slopes, part(1, -1), steps[part(None, -1)] * later[part(1, None)])
