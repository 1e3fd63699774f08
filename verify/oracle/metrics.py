"""How far a computed result is from the truth."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import format_of
from .truth import Truth

UNIT = (
    "ulp error = |computed - exact| / ulp(exact); ulp(x) = 2^(max(e, emin) - p + 1) for "
    "2^e <= |x| < 2^(e+1), the spacing of the format at x (below the normal range and at 0: the "
    "smallest subnormal). Correct rounding: at most 0.5. Worked row: float32 exact 1/3, computed "
    "0x1.555558p-2, ulp 2^-25, error 1.33. bits = log2(1 + ulp error)."
)


def ulp_error(computed: NDArray[Any], truth: Truth) -> NDArray[np.float64]:
    """Error of each result in units in the last place of the exact result.

    Parameters
    ----------
    computed
        The results, of any format and the shape of the truth.
    truth
        The exact results.

    Returns
    -------
    array of float64
        Infinity that is the correctly rounded result counts 0; NaN, or any other infinity, inf.
        Finite results for exact ones that just overflow, below what would be the next number after
        the largest, are measured from there.
        What the truth leaves in doubt is not counted as an error.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> from softproof.verify.oracle.truth import truth
    >>> exact = truth(lookup("softmax"), np.float32([0, 0, 0]), BINARY32)
    >>> ulp_error(np.float32([1 / 3, 0.33333337, np.nan]), exact).round(2)
    array([0.33, 1.33,  inf])
    """
    value = np.asarray(computed).astype(np.float64)
    rounded = truth.wide
    with np.errstate(all="ignore"):
        # Scaled first: the difference of two finite numbers may overflow, in ulps it does not.
        steps = np.ldexp(value, -truth.ulp_exponent) - np.ldexp(rounded, -truth.ulp_exponent)
        error = np.maximum(np.abs(steps - truth.offset) - truth.doubt, 0.0)
        fmt = format_of(truth.rounded.dtype)
        just_over = np.isinf(rounded) & (truth.ulp_exponent == fmt.emax - fmt.precision + 1)
        above = float(fmt.end / Fraction(2) ** (fmt.emax - fmt.precision + 1))
        end = np.copysign(above, rounded)  # in ulps
        from_the_end = np.abs(np.ldexp(value, -truth.ulp_exponent) - end)
    error = np.where(just_over, from_the_end, error)
    comparable = np.isfinite(value) & (np.isfinite(rounded) | just_over)
    error = np.where(comparable, error, np.inf)
    return np.where(value == rounded, np.abs(truth.offset), error)


def signed_error(computed: NDArray[Any], truth: Truth) -> NDArray[np.float64]:
    """Error of each result with its sign, computed - exact, in ulp of the exact result.

    Parameters
    ----------
    computed
        The results, of any format and the shape of the truth.
    truth
        The exact results.

    Returns
    -------
    array of float64
        NaN or infinite where one of the two is.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> from softproof.verify.oracle.truth import truth
    >>> exact = truth(lookup("softmax"), np.float32([0, 0, 0]), BINARY32)
    >>> signed_error(np.float32([1 / 3, 0.3333333, 0.33333337]), exact).round(2)
    array([ 0.33, -0.67,  1.33])
    """
    value = np.asarray(computed).astype(np.float64)
    with np.errstate(all="ignore"):
        rounded = np.ldexp(truth.wide, -truth.ulp_exponent)
        return np.asarray(np.ldexp(value, -truth.ulp_exponent) - rounded - truth.offset)


CORRECT = -1  # key of a histogram: at most half an ulp
INFINITE = 2000


def histogram(error: NDArray[np.float64]) -> dict[int, int]:
    """Count the ulp errors that lie in each interval (2^(k-1), 2^k].

    Parameters
    ----------
    error
        Errors in ulp.

    Returns
    -------
    dict
        The number of errors by k; all up to 1/2 are counted at k = CORRECT, infinities and NaN at k
        = INFINITE.

    Examples
    --------
    >>> histogram(np.array([0.0, 0.5, 0.75, 3.0, np.inf]))
    {-1: 2, 0: 1, 2: 1, 2000: 1}
    """
    mantissa, exponent = np.frexp(np.maximum(error, 0.5))
    edge = np.where(mantissa == 0.5, exponent - 1, exponent)  # frexp: error = mantissa 2^exponent
    edge = np.where(np.isfinite(error), edge, INFINITE)
    keys, counts = np.unique(edge, return_counts=True)
    return {int(k): int(n) for k, n in zip(keys, counts, strict=True)}


def bits(ulps: float) -> float:
    """The number of bits that an error costs, log2(1 + ulp error).

    Parameters
    ----------
    ulps
        The error in ulp.

    Returns
    -------
    float
        0 for an exact result; infinite for an infinite error.
    """
    return float(np.log2(1 + ulps))


def hexadecimal(value: float) -> str:
    """Write a float in hexadecimal without trailing zeros.

    Parameters
    ----------
    value
        The float.

    Returns
    -------
    str
        A text that ``float.fromhex`` reads.

    Examples
    --------
    >>> hexadecimal(17.0), hexadecimal(0.1), hexadecimal(float("-inf"))
    ('0x1.1p+4', '0x1.999999999999ap-4', '-inf')
    """
    return re.sub(r"\.?0*p", "p", value.hex())
