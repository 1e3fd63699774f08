"""Binary floating-point formats, and the one rounding from an exact value into a format.

A format has p significand bits and exponents emin ... emax; its unit roundoff is u = 2^-p.  In
those of IEEE 754-2019 (table 3.5), and in float8_e5m2, emin = 1 - emax, and all significands are
numbers.  float8_e4m3fn (Open Compute Project 2023, OCP 8-bit Floating Point Specification, section
5) has no infinities and one NaN, so exponents reach one further, but for the largest significand
there: 1.75 * 2^8 = 448 is its largest number.  All named formats have subnormals.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Attributes
    ----------
    name
        What contracts and ``--dtype`` call it.
    precision
        The bits p of a significand.
    emax
        The largest exponent.
    dtype
        The dtype of arrays that hold its numbers.
    has_infinities
        Whether infinities are in it.  Where they are not, the largest significand with the largest
        exponent is no number either, and the smallest exponent is 2 - emax.

    >>> BINARY32.unit_roundoff == Fraction(1, 2**24), BINARY32.emin
    (True, -126)
    >>> BINARY32.ulp_exponent(Fraction(1))
    -23
    """

    name: str
    precision: int
    emax: int
    dtype: np.dtype[Any]
    has_infinities: bool = True

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return 1 - self.emax if self.has_infinities else 2 - self.emax

    @property
    def largest(self) -> float:
        """The largest finite number of the format.

        >>> BINARY16.largest, FLOAT8_E5M2.largest, FLOAT8_E4M3FN.largest
        (65504.0, 57344.0, 448.0)
        """
        significand = 2**self.precision - (1 if self.has_infinities else 2)
        return float(significand) * 2.0 ** (self.emax - self.precision + 1)

    @property
    def end(self) -> Fraction:
        """What would be the next number after the largest: 2^(emax + 1) where all are numbers.

        >>> FLOAT8_E5M2.end, FLOAT8_E4M3FN.end
        (Fraction(65536, 1), Fraction(480, 1))
        """
        return Fraction(self.largest) + Fraction(2) ** (self.emax - self.precision + 1)

    @property
    def unit_roundoff(self) -> Fraction:
        """u = 2^-p: the largest relative error of one rounding in the normal range."""
        return Fraction(1, 2**self.precision)

    @property
    def tiny_exponent(self) -> int:
        """Exponent of the smallest subnormal number."""
        return self.emin - self.precision + 1

    def ulp_exponent(self, value: Fraction) -> int:
        """Exponent q such that ulp(value) = 2^q: spacing of the format at a real number.

        For 2^e <= |value| < 2^(e+1), ulp(value) = 2^(max(e, emin) - p + 1); below the normal
        range, and at 0, it is the smallest subnormal.
        """
        if value == 0:
            return self.tiny_exponent
        return max(floor_log2(abs(value)), self.emin) - self.precision + 1

    def round(self, value: Fraction) -> np.generic:
        """Round an exact rational once, to nearest, ties to even, into the format.

        ``float(value)`` followed by a conversion would round twice, and so would any way through
        a wider format: the errors meet in subnormals and near ties.

        >>> BINARY16.round(Fraction(1) + Fraction(1, 2**11) + Fraction(1, 2**80))
        np.float16(1.001)
        >>> np.float16(float(Fraction(1) + Fraction(1, 2**11) + Fraction(1, 2**80)))  # twice
        np.float16(1.0)
        """
        q = self.ulp_exponent(value)
        significand = round(value / Fraction(2) ** q)  # Fraction.__round__: ties to even
        return self.from_significand(significand, q)

    def from_significand(self, significand: int, exponent: int) -> np.generic:
        """The number significand * 2^exponent; infinity beyond the range, or NaN of that sign.

        The significand must have at most p bits (p + 1 when it was carried to a power of two).

        >>> FLOAT8_E5M2.from_significand(-1, 16), FLOAT8_E4M3FN.from_significand(15, 5)
        (-inf, nan)
        """
        magnitude = np.inf
        if not significand or abs(significand).bit_length() + exponent - 1 <= self.emax:
            # At most 53 bits and exponent >= -1074: exact in binary64, hence in the format.
            magnitude = float(abs(significand)) * 2.0**exponent
        if magnitude > self.largest:
            magnitude = np.inf  # of which a format without infinities makes NaN
        number: np.generic = self.dtype.type(-magnitude if significand < 0 else magnitude)
        return number


def floor_log2(value: Fraction) -> int:
    """Return the exponent e with 2^e <= value < 2^(e+1).

    Parameters
    ----------
    value
        A positive number.

    Returns
    -------
    int
        The exponent.

    Examples
    --------
    >>> floor_log2(Fraction(1)), floor_log2(Fraction(7, 8)), floor_log2(Fraction(9, 2))
    (0, -1, 2)
    """
    e = value.numerator.bit_length() - value.denominator.bit_length()
    # 2^(e-1) < value < 2^(e+1): one comparison decides.
    shifted = value.denominator << e if e >= 0 else value.denominator
    numerator = value.numerator if e >= 0 else value.numerator << -e
    return e if numerator >= shifted else e - 1


def exact(number: Any) -> Fraction:
    """Return the exact rational value of a finite floating-point number.

    Parameters
    ----------
    number
        A number of any supported format; every one converts to binary64 without rounding.

    Returns
    -------
    Fraction
        The value.

    Examples
    --------
    >>> exact(np.float32(0.1)) == Fraction(13421773, 2**27)
    True
    """
    return Fraction(float(number))


BINARY16 = Format("float16", 11, 15, np.dtype(np.float16))
BFLOAT16 = Format("bfloat16", 8, 127, np.dtype(ml_dtypes.bfloat16))
BINARY32 = Format("float32", 24, 127, np.dtype(np.float32))
BINARY64 = Format("float64", 53, 1023, np.dtype(np.float64))

FLOAT8_E4M3FN = Format("float8_e4m3fn", 4, 8, np.dtype(ml_dtypes.float8_e4m3fn), False)
FLOAT8_E5M2 = Format("float8_e5m2", 3, 15, np.dtype(ml_dtypes.float8_e5m2))
# What tensor cores keep of a float32 (NVIDIA 2020, A100 white paper): no arrays hold it alone.
TFLOAT32 = Format("tfloat32", 11, 127, np.dtype(np.float32))

FORMATS = {f.name: f for f in (BINARY16, BFLOAT16, BINARY32, BINARY64)}
"""The formats that kernels compute in."""

ARRAY_FORMATS = FORMATS | {f.name: f for f in (FLOAT8_E4M3FN, FLOAT8_E5M2)}
"""The formats of arguments and results: those of FORMATS, and those of eight bits."""

ALL_FORMATS = ARRAY_FORMATS | {TFLOAT32.name: TFLOAT32}
"""The formats of what lies between arguments and results."""


def format_of(dtype: Any) -> Format:
    """Return the format of a NumPy dtype.

    Parameters
    ----------
    dtype
        The dtype, or what NumPy makes one of.

    Returns
    -------
    Format
        One of ARRAY_FORMATS.

    Raises
    ------
    TypeError
        If it is none of them; the message names the dtype.

    Examples
    --------
    >>> format_of(np.float32).name
    'float32'
    """
    name = np.dtype(dtype).name
    if name not in ARRAY_FORMATS:
        raise TypeError(
            f"dtype is {name}, which is no supported format; use one of {[*ARRAY_FORMATS]}"
        )
    return ARRAY_FORMATS[name]
