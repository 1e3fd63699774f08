"""An exact value as a format sees it: balls rounded once, the second oracle held against them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flint
import mpmath
import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format

# A ball decides once its radius is below 2^-GUARD ulp, so that errors are known that well too.
GUARD_BITS = 30
# More than the range of binary64: what is undecided then is a tie, but for a trace.
TIE_BITS = 1 << 12


class OracleError(ArithmeticError):
    """The oracles disagree, or cannot decide a rounding: a defect to be reported, never hidden."""


@dataclass(frozen=True)
class Truth:
    """Exact results, as seen from a format.

    ``rounded``: correctly rounded to nearest even, in the format's dtype; ``ulp_exponent``: q with
    ulp(exact) = 2^q; ``offset``: (exact - rounded) / ulp(exact), in [-1/2, 1/2], accurate to
    2^-30.  Where the exact result is infinite or overflows, ``offset`` is 0.  One that lies within
    2^-30 ulp of a power of two has the ulp of that power, on whichever side it lies.  One that
    TIE_BITS bits do not tell from a tie, such as 1 - 2^-25 - e^-(10^30), is taken for the tie: both
    neighbours are then half an ulp away, as far as any error measured in ulps can tell.  ``doubt``:
    how far the offset may be from the exact one, in ulp, where the fast oracle gave it.
    """

    rounded: NDArray[Any]
    ulp_exponent: NDArray[np.int64]
    offset: NDArray[np.float64]
    doubt: NDArray[np.float64] | float = 0.0

    @property
    def wide(self) -> NDArray[np.float64]:
        """The rounded results in binary64: infinite beyond the range, in every format.

        (NaN stands for an infinity of its sign in a format that has none, and for nothing else.)
        """
        values = self.rounded.astype(np.float64)
        return np.where(np.isnan(values), np.copysign(np.inf, values), values)


Rounding = tuple[int, int, float]  # significand, ulp exponent, offset


def round_ball(ball: flint.arb, fmt: Format, accept_ties: bool) -> Rounding | None:
    """The one number of the format that every point of the ball rounds to; None if not one.

    With ``accept_ties``, a ball around a tie rounds as the tie does, to even.

    Parameters
    ----------
    ball
        It encloses an exact value.
    fmt
        The format to round to.
    accept_ties
        Whether a ball around a tie is taken for the tie.

    Returns
    -------
    Rounding or None
        Significand, exponent of the ulp, and the offset of the middle of the ball in ulp.
    """
    tiny = fmt.tiny_exponent
    smallest, end = _ends(fmt)
    if not ball.is_finite():  # a true infinity, the limit at a mask, has a finite radius
        infinite = ball.rad().is_finite() and (ball > 0 or ball < 0)
        return _overflow(ball < 0, fmt) if infinite else None
    if ball.abs_upper() < smallest:
        return 0, tiny, 0.0
    if ball.abs_lower() > end:  # overflow, whatever the digits
        return _overflow(ball < 0, fmt)
    (mid, mid_exponent), (rad, rad_exponent) = _integers(ball.mid()), _integers(ball.rad())
    top = abs(mid).bit_length() + mid_exponent if mid else fmt.emin
    q = max(top - 1, fmt.emin) - fmt.precision + 1
    if rad and rad.bit_length() + rad_exponent > q - GUARD_BITS:
        return None
    if rad and mid:  # widen a radius of 2^-(10^38) to one whose digits can be written down
        floor = min(mid_exponent, top - 4 * fmt.precision - 2 * GUARD_BITS)
        if rad.bit_length() + rad_exponent <= floor:
            rad, rad_exponent = 1, floor
    exponent = min(mid_exponent, rad_exponent) if rad else mid_exponent
    if rad and mid and top < rad_exponent:  # within the radius, and may be 2^-(10^17)
        return None  # with more bits the whole ball is below what rounds to 0
    mid <<= mid_exponent - exponent
    rad <<= rad_exponent - exponent if rad else 0
    shift = q - exponent
    significand, within = _shift_round(mid, shift)
    if rad >= within:  # the ball may reach to a tie
        low, high = (_shift_round(mid + r, shift)[0] for r in (-rad, rad))
        if low != high:
            if not accept_ties:
                return None
            significand = low if low % 2 == 0 else high
    # shift > 0 whenever anything was rounded off.
    offset = (mid - (significand << shift)) / (1 << shift) if shift > 0 else 0.0
    return _at_power_of_two(significand, q, offset, fmt)


@functools.cache
def _ends(fmt: Format) -> tuple[flint.arb, flint.arb]:
    """What is below the first rounds to 0, and what is above the other overflows."""
    return flint.arb((1, fmt.tiny_exponent - GUARD_BITS - 1)), flint.arb(int(fmt.end))


def _overflow(negative: bool, fmt: Format) -> Rounding:
    return (-1 if negative else 1), fmt.emax + 1, 0.0


def _at_power_of_two(significand: int, q: int, offset: float, fmt: Format) -> Rounding:
    """Take the ulp of the power of two from both sides: no ball tells 1 - e^-1000 from 1."""
    if abs(significand) == 1 << fmt.precision and abs(offset) < 2.0**-GUARD_BITS:
        return significand // 2, q + 1, offset / 2
    return significand, q, offset


def _integers(exact: flint.arb) -> tuple[int, int]:
    """Mantissa and exponent of an exact ball."""
    mantissa, exponent = exact.man_exp()
    return int(mantissa), int(exponent)


def _shift_round(integer: int, shift: int) -> tuple[int, int]:
    """integer / 2^shift, rounded to nearest, ties to even, and how far the integer is from a tie.

    >>> _shift_round(11, 2)  # 11 / 4; the ties 2.5 and 3.5 are those of 10 and 14
    (3, 1)
    """
    if shift <= 0:
        return integer << -shift, 0
    half = 1 << (shift - 1)
    if integer.bit_length() < shift - 1:
        return 0, half - abs(integer)
    quotient, remainder = integer >> shift, integer & ((1 << shift) - 1)
    up = remainder > half or (remainder == half and quotient & 1)
    return quotient + up, abs(remainder - half)


def demand_agreement(witness: NDArray[Any], decided: Sequence[Rounding], fmt: Format) -> None:
    """OracleError unless mpmath gives the same.

    It has no error bars, so it gets more bits.

    Parameters
    ----------
    witness
        Numbers of mpmath, one for each output.
    decided
        What the balls gave, in the same order.
    fmt
        The format that it is seen from.

    Raises
    ------
    OracleError
        A number of mpmath is another one, seen from the format, or NaN.
    """
    overflow = int(fmt.end)
    for number, (significand, q, offset) in zip(witness.flat, decided, strict=True):
        man, exponent = getattr(number, "man_exp", (0, 0))  # of the modulus
        top = int(man).bit_length() + exponent  # the modulus is below 2^top, and not below its half
        finite = top <= fmt.emax or (top == fmt.emax + 1 and abs(number) < overflow)
        if man and finite and top > q - GUARD_BITS:
            integer = -int(man) if number < 0 else int(man)
            agree = _close(integer, exponent - q, significand, offset)
        elif mpmath.isnan(number):
            agree = False
        elif mpmath.isinf(number) or abs(number) >= overflow:
            rounded = np.float64(fmt.from_significand(significand, q))
            agree = not np.isfinite(rounded) and np.signbit(rounded) == (number < 0)
        elif abs(number) < mpmath.ldexp(1, q - GUARD_BITS):  # its exponent may be -10^300
            agree = abs(significand + offset) < 2.0 ** (1 - GUARD_BITS)
        else:
            agree = False
        if not agree:
            raise OracleError(
                f"balls give {significand} * 2^{q} in {fmt.name}, offset {offset} ulp; "
                f"mpmath gives {mpmath.nstr(number, 30)}"
            )


def _close(integer: int, exponent: int, significand: int, offset: float) -> bool:
    """Whether integer * 2^exponent is within 2^(1 - GUARD_BITS) of significand + offset.

    In integers: fractions would be reduced at every step, of every number that both oracles give.
    """
    numerator, denominator = offset.as_integer_ratio()
    below = max(-exponent, 0)
    distance = abs(
        (integer * denominator << max(exponent, 0))
        - (significand * denominator + numerator << below)
    )
    return distance << (GUARD_BITS - 1) < denominator << below


def assemble(decided: Sequence[Rounding], shape: tuple[int, ...], fmt: Format) -> Truth:
    """The truth of a shape, from the rounding of each output.

    Parameters
    ----------
    decided
        The roundings, one for each output.
    shape
        The shape of the outputs, in C order.
    fmt
        The format that they were rounded to.

    Returns
    -------
    Truth
        Arrays of that shape.
    """
    rounded = np.array([fmt.from_significand(s, q) for s, q, _ in decided], dtype=fmt.dtype)
    offset = np.array([o for _, _, o in decided])
    offset[~np.isfinite(rounded.astype(np.float64))] = 0.0
    return Truth(
        rounded.reshape(shape),
        np.array([q for _, q, _ in decided], dtype=np.int64).reshape(shape),
        offset.reshape(shape),
    )
