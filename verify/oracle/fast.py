"""The fast oracle: the truth in formats of up to 24 bits, from enclosures in binary64.

A formula is evaluated once in numbers v +- d (``enclosure_arithmetic``).  Where both ends of the
interval round to the same number of the format, so does the exact value, as rounding is monotone:
that is the truth.  Where any number of a result is not decided so, balls are asked for all.

What balls tell besides, how far the exact value is from the rounded one in ulp, is known here
within d: at most 2^-MARGIN ulp, or balls are asked.  ``Truth.doubt`` says how far it may be off,
and an error is counted without it.  The ulp is the same for the whole interval, or balls are asked.

Every HUNDREDTH question, by a checksum of what is asked, is answered by balls as well, and
both answers must be one.  A subject that is made from the same exponential is judged by balls.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ...derivations.arithmetic.formats import Format
from ...derivations.running_error.constants import quiet
from ...derivations.running_error.correct_rounding import correctly_rounded
from .enclosure_arithmetic import EnclosureArithmetic
from .enclosures import Enclosure, NotEnclosed
from .rounding import GUARD_BITS, OracleError, Truth

MOST_BITS = 24  # of a format: beyond, binary64 has too few to decide
MARGIN = 6  # an offset is known within 2^-MARGIN ulp
HUNDREDTH = 100

XP = EnclosureArithmetic()


def fast_truth(evaluate: Callable[[EnclosureArithmetic], Any], fmt: Format) -> Truth | None:
    """The truth from one evaluation in binary64; None where that does not decide it.

    Parameters
    ----------
    evaluate
        Gives an ``Enclosure`` of the exact results, over the arithmetic that it is given.
    fmt
        The format to round to.

    Returns
    -------
    Truth or None
        In the shape of the enclosure.

    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> found = fast_truth(lambda xp: xp.exp(xp.array([1.0, 2.0])), BINARY32)
    >>> found.rounded
    array([2.7182817, 7.389056 ], dtype=float32)
    """
    if fmt.precision > MOST_BITS:
        return None
    try:
        with quiet():
            return rounded(evaluate(XP), fmt)
    except NotEnclosed:
        return None


def rounded(x: Enclosure, fmt: Format) -> Truth | None:
    """The numbers of a format that enclosed values round to; None where one is not decided.

    Parameters
    ----------
    x
        Enclosed values.
    fmt
        The format, of at most 24 bits.

    Returns
    -------
    Truth or None
        What is smaller than 2^-31 of the least number rounds to 0, as elsewhere.
    """
    nearest, certain = correctly_rounded(x.value, x.radius, fmt)
    with np.errstate(all="ignore"):
        size, reach = np.abs(x.value), x.radius * (1 + 2.0**-40)
        least, most = (np.frexp(end)[1] for end in (size - reach, size + reach))
        nothing = size + reach < 2.0 ** (fmt.tiny_exponent - GUARD_BITS - 1)
        q = np.maximum(most - 1, fmt.emin) - fmt.precision + 1
        one_ulp = q == np.maximum(least - 1, fmt.emin) - fmt.precision + 1
        # Near a power of two its own ulp is meant, on either side, as ``Truth`` has it.
        fraction, exponent = np.frexp(np.abs(nearest))
        of_power = exponent - fmt.precision
        at_power = (fraction == 0.5) & (of_power > fmt.tiny_exponent)
        off, near = np.abs(x.value - nearest), np.ldexp(1.0, of_power - 1 - GUARD_BITS)
        surely_near = at_power & (off + reach < near)
        q = np.where(surely_near, of_power, q)
        one_ulp = np.where(at_power & (off - reach <= near), surely_near, one_ulp)
        doubt = np.ldexp(x.radius, -q)
        known = nothing | (one_ulp & (size > reach) & (doubt <= 2.0**-MARGIN))
        known |= (x.value == 0) & (x.radius == 0)
    if not (certain & known & np.isfinite(nearest)).all():
        return None
    offset = np.where(nothing, 0.0, np.clip(np.ldexp(x.value - nearest, -q), -0.5, 0.5))
    q = np.where(nothing, fmt.tiny_exponent, q)
    return Truth(
        np.asarray(np.where(nothing, 0.0, nearest).astype(fmt.dtype)),
        np.asarray(q, dtype=np.int64),
        np.asarray(offset),
        np.asarray(np.where(nothing, 0.0, doubt)),
    )


def is_checked(question: Any) -> bool:
    """Whether this question is among the hundredth that balls answer, too: the same in every run.

    Parameters
    ----------
    question
        What is asked, as text or as what ``repr`` tells apart.

    Returns
    -------
    bool
        True for one in HUNDREDTH.
    """
    return zlib.crc32(repr(question).encode()) % HUNDREDTH == 0


def demand_same(fast: Truth, exact: Truth, asked: str) -> None:
    """OracleError unless the fast oracle gives what balls give.

    Parameters
    ----------
    fast, exact
        What both gave.
    asked
        What it is the truth of, for the message.

    Raises
    ------
    OracleError
        A rounded number, an ulp, or an offset beyond its doubt, is another one.
    """
    same = (fast.rounded == exact.rounded) & (fast.ulp_exponent == exact.ulp_exponent)
    same &= np.abs(fast.offset - exact.offset) <= fast.doubt + 2.0 ** (1 - GUARD_BITS)
    if not same.all():
        k = int(np.argmin(same.reshape(-1)))
        one, other = fast.rounded.reshape(-1)[k], exact.rounded.reshape(-1)[k]
        raise OracleError(
            f"{asked}: number {k} is {float(one).hex()} by the fast oracle, "
            f"{float(other).hex()} by balls, or as far apart as their ulp or offset say"
        )
