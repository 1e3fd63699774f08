"""Correctly rounded values from an enclosure: the truth, wherever it decides.

If both ends of v +- d round to the same number of a format, so does every number between them, as
rounding is monotone.  So one evaluation in running errors, in binary64, gives the correctly rounded
result of most outputs in a narrower format; the others are left to balls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.formats import Format
from .constants import SMALLEST, Array, quiet
from .model import rounded_to


def correctly_rounded(value: Any, radius: Any, fmt: Format) -> tuple[Array, NDArray[np.bool_]]:
    """The correctly rounded values of enclosed numbers, and where they are certain.

    v - d and v + d are themselves rounded, so the ends are moved outward by a relative 2^-40 of d
    and by one number of binary64.  A radius that is infinite or NaN decides nothing.

    Parameters
    ----------
    value, radius
        v and d, as in ``Threshold``.
    fmt
        The format to round to, to nearest even.

    Returns
    -------
    tuple
        Numbers of the format in binary64, and a mask: True where the number is the correctly
        rounded exact value.

    >>> from ..arithmetic.formats import BINARY32
    >>> tie = 1 + 2.0**-24
    >>> rounded, certain = correctly_rounded([1.0, tie], [1e-12, 1e-12], BINARY32)
    >>> rounded[0], certain.tolist()
    (np.float64(1.0), [True, False])
    """
    v, d = (np.asarray(x, dtype=np.float64) for x in (value, radius))
    with quiet():
        reach = d * (1 + 2.0**-40) + SMALLEST
        low = rounded_to(fmt, np.nextafter(v - reach, -np.inf))
        high = rounded_to(fmt, np.nextafter(v + reach, np.inf))
    return high, (low == high) & np.isfinite(d) & np.isfinite(v)
