"""Softmax collapse: the gap from which on floating point takes all but one class for nothing.

The leader has logit 0, the K - 1 others have -g: the exponentials are 1 and t = e^-g, the sum is
S = 1 + T, T = (K - 1) t, the loss of the leader log S = log1p(T), its gradient -T / S.  Softmax has
collapsed where the computed S is 1 (Prieto et al. 2025, arXiv 2501.04697, section 3): the loss is
then 0 and so is the gradient, although neither is.

Rounding is to nearest, ties to even, with p significand bits, u = 2^-p, in the format that sums are
kept in, whatever that of the logits is.

(1) fl(1 + s) = 1 for s >= 0 if and only if s <= u.  Proof: the number after 1 is 1 + 2u.  Below the
    midpoint 1 + u the nearest is 1, beyond it 1 + 2u or more, and the tie goes to the even one, 1.
    So a single other class is absorbed from g = p ln 2 on.

(2) However the K numbers are added, a sum is a binary tree; from the leader to the root it meets
    computed sums of others s_1, s_2, ... one after the other.  S = 1 if and only if all s_i <= u.
    Proof: while they are, the sum stays 1, by (1).  The first that is not makes it 1 + 2u or more,
    and to add a number >= 0 never makes it less, as rounding is monotone and fl(a) = a.
    If B is the largest number of others in one of them, and they are added exactly, it is B t <= u:

        g >= p ln 2 + ln B.

    One by one, the leader first: B = 1.  The leader at place j, counted from 0: B = max(j, 1).  In
    blocks, or on vector lanes, of b numbers, which are then added up: B = b.  In halves of halves:
    B = K / 2.  Accurate to the last term: B = K - 1.

(3) Every order collapses between both ends of (2).  With exponentials right within c u, |log(t
    computed / t)| <= c u / (1 - c u), and a sum of n terms adds (n - 1) u / (1 - u).  Not before
    p ln 2 less the first: the first s_i has another class in it and is no less than it, as rounding
    is monotone.  Not after p ln 2 + ln(K - 1) and both: no s_i has more than all others.

(4) Others that are added one by one to nothing stick as well: their sum never gets beyond
    2^(p+1) t, but for one ulp, however many they are.  Proof: t is absorbed by s where it is below
    half an ulp of s, hence where t < 2^-p s / 2, as ulp(s) > 2^-p s.  It is not below 2^p t: there
    half an ulp is 2^-p s < t at most.  So B in (2) is at most 2^(p+1) for one by one, and a
    collapse is not put off beyond g = (2p + 1) ln 2.

What makes zeros of what is not zero, from the computed S on:

* log S: 0 where S = 1, by (1); the logarithm of 1 + 2u is not 0.
* 1 / S - 1, in the format of S: the same gap.  1 / (1 + 2u) < 1 - u, which is a number.
* p - 1 with the probability rounded to p bits first: 1 - T / S rounds to 1 where T / S <= u / 2,
  since below 1 numbers are u apart and the tie goes to 1: g >= (p + 1) ln 2 + ln(K - 1), less
  log1p(-u / 2).  So it is for e^(log p) - 1, however right log p is.
* t itself is 0 where it is at most half the smallest subnormal number 2^e: g >= (1 - e) ln 2.
* log1p(T) and T / S, which are T up to a relative T, are 0 where T is at most that, and below the
  normal range 2^m, where such numbers are flushed, from T < 2^m on: g > -m ln 2 + ln(K - 1).
* log1p(T), T / S and t / S collapse nowhere before that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..arithmetic.formats import BINARY32, BINARY64, Format
from .model import ELEMENTARY

LN2 = math.log(2)


def absorption_gap(precision: int, block: float = 1) -> float:
    """The gap from which on 1 absorbs a sum of `block` other exponentials, added up before: (2).

    Parameters
    ----------
    precision
        p, the bits of the sum's format.
    block
        How many classes, all with the same gap below the leader, were added up before.

    Returns
    -------
    float
        p ln 2 + ln block, in the units of the logits.

    Examples
    --------
    >>> [round(absorption_gap(p), 2) for p in (24, 53, 11, 8)]
    [16.64, 36.74, 7.62, 5.55]
    """
    return precision * LN2 + math.log(block)


def gap_range(precision: int, others: int) -> tuple[float, float]:
    """The two gaps between which every order of adding up collapses first: (3).

    Parameters
    ----------
    precision
        p, the bits of the sum's format.
    others
        How many classes lie a gap below the leader.

    Returns
    -------
    tuple of float
        The lowest and the highest gap, in the units of the logits.

    Examples
    --------
    >>> low, high = gap_range(24, 49999)
    >>> round(low, 3), round(high, 3)
    (16.636, 27.458)
    """
    u = 2.0**-precision
    exponential = ELEMENTARY * u / (1 - ELEMENTARY * u)
    summing = (others - 1) * u / (1 - u)
    low, high = absorption_gap(precision), absorption_gap(precision, others)
    return low - exponential, high + exponential + summing


def rounding_gap(precision: int, others: int = 1) -> float:
    """The gap from which on the probability of the leader rounds to 1.

    Parameters
    ----------
    precision
        p, the bits of the format.
    others
        How many classes lie a gap below the leader.

    Returns
    -------
    float
        The gap, in the units of the logits.

    Examples
    --------
    >>> round(rounding_gap(24), 2)
    17.33
    """
    return absorption_gap(precision + 1, others) + math.log1p(-(2.0 ** -(precision + 1)))


def underflow_gap(fmt: Format, others: int = 1, *, flushes: bool = False) -> float:
    """The gap from which on the sum of all classes but the leader underflows to 0.

    Parameters
    ----------
    fmt
        The format of the sum.
    others
        How many classes lie a gap below the leader.
    flushes
        Whether results below the normal range are flushed to 0, so that less will do.

    Returns
    -------
    float
        The gap, in the units of the logits.

    Examples
    --------
    >>> round(underflow_gap(BINARY32), 2), round(underflow_gap(BINARY32, flushes=True), 2)
    (103.97, 87.34)
    """
    exponent = -fmt.emin if flushes else 1 - fmt.tiny_exponent
    return exponent * LN2 + math.log(others)


def overflow_gap(fmt: Format) -> float:
    """The gap from which on e^gap is infinite and 1 / e^gap is 0.

    It is the logarithm of the number half an ulp beyond the largest of the format.

    Parameters
    ----------
    fmt
        The format of e^gap.

    Returns
    -------
    float
        The gap, in the units of the logits.

    Examples
    --------
    >>> round(overflow_gap(BINARY32), 2)
    88.72
    """
    return (fmt.emax + 1) * LN2 + math.log1p(-(2.0 ** -(fmt.precision + 1)))


@dataclass(frozen=True)
class Cause:
    """What makes a result 0 from a gap on."""

    gap: float
    text: str


def causes(fmt: Format, others: int) -> list[Cause]:
    """All derived gaps for logits of a format, those that need no odd order of adding up first.

    Parameters
    ----------
    fmt
        The format of the logits.
    others
        How many classes lie a gap below the leader.

    Returns
    -------
    list of Cause
        Each gap with a sentence that says what it comes from.
    """
    found = []
    for wide in _accumulators(fmt):
        p, bits = wide.precision, f"{wide.precision} ln 2"
        single = f"1 absorbs the other classes one by one in a {wide.name} sum: {bits}"
        found.append(Cause(absorption_gap(p), single))
        if others > 1:
            before = f"1 absorbs all other classes, added up before, in {wide.name}"
            together = f"{before}: {bits} + ln {others}"
            found.append(Cause(absorption_gap(p, others), together))
    p, tail = fmt.precision, f" + ln {others}" if others > 1 else ""
    rounded = f"the probability is rounded to {fmt.name} before 1 is subtracted: {p + 1} ln 2{tail}"
    found.append(Cause(rounding_gap(p, others), rounded))
    for wide in _accumulators(fmt):
        found.append(Cause(overflow_gap(wide), f"e^gap overflows in {wide.name}"))
        found.append(Cause(underflow_gap(wide), f"e^-gap underflows in {wide.name}"))
        flushed = f"e^-gap below the normal range of {wide.name} is taken for 0"
        found.append(Cause(underflow_gap(wide, flushes=True), flushed))
        if others > 1:
            underflown = f"the sum of all other classes underflows in {wide.name}"
            exponent = 1 - wide.tiny_exponent
            text = f"{underflown}: {exponent} ln 2 + ln {others}"
            found.append(Cause(underflow_gap(wide, others), text))
            below = (
                f"the sum of all other classes below the normal range of {wide.name} is taken for 0"
            )
            text = f"{below}: {-wide.emin} ln 2 + ln {others}"
            found.append(Cause(underflow_gap(wide, others, flushes=True), text))
    return found


def explain(gap: float, fmt: Format, others: int) -> str:
    """Say what a result that is 0 from a gap on, and not before, comes from, if the gap shows it.

    The gap is a number of the format, the first one from a cause's gap on, up to the errors of (3).

    Parameters
    ----------
    gap
        The first gap at which the result is 0, in the units of the logits.
    fmt
        The format of the logits.
    others
        How many classes lie the gap below the leader.

    Returns
    -------
    str
        The cause, or that no single rounding explains it.

    Examples
    --------
    >>> explain(16.635532, BINARY32, 1)
    '1 absorbs the other classes one by one in a float32 sum: 24 ln 2'
    >>> explain(20.0, BINARY32, 999)
    '1 absorbs blocks of about 29 other classes in a float32 sum: 24 ln 2 + ln 29'
    >>> explain(4.0, BINARY32, 1)
    'no sum absorbs it so early'
    """
    spacing = 2.0 ** (math.frexp(gap)[1] - fmt.precision)
    for cause in causes(fmt, others):
        if _comes_from(fmt, gap, cause.gap, spacing, others):
            return cause.text
    for wide in _accumulators(fmt):
        low, high = gap_range(wide.precision, others)
        if low <= gap <= high + spacing:
            block = round(math.exp(gap - absorption_gap(wide.precision)))
            return (
                f"1 absorbs blocks of about {block} other classes in a {wide.name} sum: "
                f"{wide.precision} ln 2 + ln {block}"
            )
    early = gap < absorption_gap(fmt.precision)
    return f"no {'sum absorbs it so early' if early else 'single rounding explains it'}"


def _comes_from(fmt: Format, gap: float, derived: float, spacing: float, others: int) -> bool:
    """Whether a gap is the derived one, up to the spacing of the format and rounding errors.

    The difference and the exponential are right within (gap + c) u of whatever format they are in,
    which is the narrowest one for sure.
    """
    rounding = (ELEMENTARY + gap + min(others, 1 << fmt.precision)) * 2.0**-fmt.precision
    # (Formats of 16 bits would be explained by anything: what they are computed in is wider.)
    rounding = min(rounding, spacing)
    return -rounding <= gap - derived <= spacing + rounding


def _accumulators(fmt: Format) -> list[Format]:
    return [f for f in dict.fromkeys((fmt, BINARY32, BINARY64)) if f.precision >= fmt.precision]
