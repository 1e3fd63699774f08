"""Products of vectors and matrices of numbers v +- d in binary64, nearly exact.

Each vector x of n numbers, a row of the left factor or a column of the right one, is split as x =
x_1 + x_2, x_1 the nearest multiples of 2^(e - b) with |x_k| < 2^e and b = floor((53 - ceil(log2 n))
/ 2) bits (Ozaki, Ogita, Oishi, Rump 2012, Error-free transformations of matrix multiplication by
using fast routines of matrix multiplication).  Then

* x_1 . y_1 is exact, in whatever order it is summed, fused or not: a sum of n products of integers
  up to 2^b is an integer up to 2^53, in units of 2^(e_x - b) 2^(e_y - b).
* x_1 . y_2 + x_2 . y is small, as |x_2| <= 2^(e_x - b) / 2: in any order it is off by at most
  (n + 2) h times the sum of the moduli, which is at most n (2^(e_x - b) max |y| + 2^(e_y - b)
  max |x|), as |x_1| <= 2 max |x|.
* The sum of both is rounded once, by an error that is known exactly (two_sum).

What factors are off by, |x| d_y + d_x |y| + d_x d_y, is a product of numbers of one sign, right
within (n + 16) 2^-52 relative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...derivations.running_error.constants import quiet
from .enclosures import LOST, UP, Array, Enclosure, H, two_sum

FARTHEST = 500  # powers of two beyond it may leave the range in a product


def dot(a: Enclosure, b: Enclosure) -> Enclosure:
    """The product of two vectors, a matrix and a vector, or two matrices, as ``np.dot`` has it.

    Parameters
    ----------
    a, b
        Numbers v +- d, of shapes (n,) or (r, n), and (n,) or (n, c).

    Returns
    -------
    Enclosure
        Of shape (), (r,), (c,) or (r, c).  Unknown where numbers are beyond 2^500, or all of a row
        or column are below 2^-500 and not 0.

    >>> x = Enclosure([2.0**60, 1.0, -(2.0**60)], 0.0)
    >>> found = dot(x, Enclosure([1.0, 1.0, 1.0], 0.0))
    >>> float(found.value), float(found.radius) < 2.0**-10
    (1.0, True)
    """
    count = b.shape[0]
    if not count:
        return Enclosure(np.dot(a.value, b.value), 0.0)
    with quiet():
        bits = (53 - (count - 1).bit_length()) // 2
        high_a, low_a, unit_a, most_a = _split(a.value, bits, -1)
        high_b, low_b, unit_b, most_b = _split(b.value, bits, 0)
        rest = np.dot(high_a, low_b) + np.dot(low_a, b.value)
        value, error = two_sum(np.dot(high_a, high_b), np.asarray(rest))
        off: Any = np.abs(error)
        if low_a.any() or low_b.any():
            small = np.multiply.outer(unit_a, most_b) + np.multiply.outer(most_a, unit_b)
            off = off + np.where(small != 0, (count + 2) * count * H * small + count * LOST, 0.0)
        sizes = np.abs(a.value), np.abs(b.value)
        for x, y in ((sizes[0], b.radius), (a.radius, sizes[1]), (a.radius, b.radius)):
            if x.any() and y.any():
                off = off + np.dot(x, y) * (1 + (count + 16) * 2.0**-52) + count * LOST
        return Enclosure(value, off * UP)


def _split(values: Array, bits: int, axis: int) -> tuple[Array, Array, Array, Array]:
    """x_1, x_2, the unit 2^(e - b) of each vector along an axis, and its largest modulus."""
    most = np.max(np.abs(values), axis=axis)
    exponent = np.frexp(most)[1]
    unit = np.ldexp(1.0, exponent - bits)
    outside = (np.abs(exponent) > FARTHEST) & (most != 0)
    unit = np.where(outside, np.nan, unit)  # unknown
    along = np.expand_dims(unit, axis)
    high = np.rint(values * (1 / along)) * along
    return high, values - high, np.where(most == 0, 0.0, unit), most
