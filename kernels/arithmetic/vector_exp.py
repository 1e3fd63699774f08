"""e^(s x) of whole vectors under a common exponent, without ever rounding x - max.

With a = s log2(e) and a row whose largest element is M,

    e^(s x) = 2^(a x) = w 2^n,    n = round(a x),  f = a x - n,  w = 2^f in [0.70, 1.42],

and what is stored is w 2^(n - N + BIAS), N = floor(a M): N is an integer, so nothing is rounded by
taking it off, where x - M would round and cost |x - M| / 2 ulps (Dukhan & Ablavatski 2020, arXiv
2001.04438, keep n for the same reason). The largest stored number is near 2^BIAS. What is below
2^-CUT of it, -inf included, is stored as about 2^(BIAS - CUT): neither it nor 2^31 of its like
makes out half the smallest subnormal, 2^-149 (2^-1074 in float64), of a result. So every number
here is normal, and no element needs a case of its own.

The multiplier a is a pair a_high + a_low, so a scale s costs nothing: n comes from a_high x in the
low bits of a_high x + 1.5 2^23 (2^52), and f = fma(a_low, x, fma(a_high, x, -n)). That holds while
|a x| <= FAR + 2^8 (`exp2_coefficients`). No exponential is formed beyond it: M is at most FAR from
0, and what is more than CUT below a reference, which is at most HEADROOM below N (of
`cross_entropy_rows`), counts as CUT: FAR + CUT + HEADROOM = 16580. A row with |a M| > FAR is first
moved by M: x - M is exact for x between M/2 and 2 M (Sterbenz), and every other x is below 2^-CUT
of the largest.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from ..runtime.arguments import as_number
from ..runtime.jit import inline
from .exp2_coefficients import EXP2_FLOAT32, EXP2_FLOAT64
from .simd import FLOAT32, FLOAT64, VECTOR, Vector, broadcast, fma, scaled, vmax

FAR = 2.0**14

EXP_ERROR = {"float32": 1.41, "float64": 1.65}
"""Largest relative error of e^x in units of the unit roundoff u: of float32 at every number whose
exponential is formed, from -11493 to 11357, by `tests/kernels/arithmetic/test_vector_exp.py`, which
tries all; of float64, and of e^(s x) in both, by the proof in `exp2_coefficients`."""

LOG2_E_HIGH = math.log2(math.e)
LOG2_E_LOW = float.fromhex("0x1.777d0ffda0d24p-56")
"""log2(e) - LOG2_E_HIGH, from the digits of log2(e)."""


LOG2_E_PAIRS = (
    (float.fromhex("0x1.715476p0"), float.fromhex("0x1.4ae0cp-26")),
    (LOG2_E_HIGH, LOG2_E_LOW),
)
"""`multiplier` of 1, in float32 and in float64."""


class Reference(NamedTuple):
    """What the exponentials of one row, or block, are stored under; numbers of the row's format."""

    high: float
    low: float
    """The multiplier a."""
    shift: float
    """0, or M if |a M| > FAR."""
    exponent: float
    """N = floor(a (M - shift))."""
    magic: float
    """Adding it to a x leaves n - N + BIAS in the low bits."""
    lowest: float
    """The logarithm of 2^(N - CUT): what is below counts as this."""


class UnshiftedReference(NamedTuple):
    """A `Reference` whose shift is 0, one operation less for each element."""

    high: float
    low: float
    exponent: float
    magic: float
    lowest: float


def multiplier(scale: float, dtype: Any) -> tuple[float, float]:
    """Return a = scale log2(e) as a pair of numbers, right to 2^-47 relative (float64: 2^-104).

    `dtype` is that of the logits; 16-bit ones are computed in float32. TypeError unless the scale
    is a number, ValueError unless it is from 2^-100 to 2^100.

    >>> multiplier(1.0, np.float32)
    (1.4426950216293335, 1.925963033500011e-08)
    """
    s = scale if type(scale) is float else as_number("scale", scale)
    if s == 1.0:
        return LOG2_E_PAIRS[dtype == np.float64]
    if not 2.0**-100 <= s <= 2.0**100:
        raise ValueError(f"scale must be from 2**-100 to 2**100, got {scale!r}")
    product = s * LOG2_E_HIGH
    if dtype != np.float64:
        high = float(np.float32(product))
        return high, float(np.float32(product - high))
    # scale LOG2_E_HIGH - product, exactly: Dekker's product by 27 bits.
    high_scale, high_log = (_upper_half(x) for x in (s, LOG2_E_HIGH))
    low_scale, low_log = s - high_scale, LOG2_E_HIGH - high_log
    error = high_scale * high_log - product + high_scale * low_log + low_scale * high_log
    return product, error + low_scale * low_log + s * LOG2_E_LOW


def _upper_half(x: float) -> float:
    big = x * 134217729.0  # 2^27 + 1 (Veltkamp)
    return big - (big - x)


@inline
def reference(p: Any, maximum: float, high: float, low: float) -> Reference:
    """The reference of elements of p up to `maximum`.

    -inf, of a row that is masked throughout, acts as 0. Under +inf or NaN nothing means anything.
    """
    finite = maximum if maximum > -np.inf else 0.0
    shift = finite if abs(finite * high) > FAR else 0.0
    return reference_at(p, np.floor((finite - shift) * high), shift, high, low)


@inline
def reference_at(p: Any, exponent: float, shift: float, high: float, low: float) -> Reference:
    """The reference of elements of p with this exponent N and shift."""
    magic, bias, cut = layout(p)
    lowest = (exponent - cut) * (1.0 / high)  # the quotient is formed once, outside of loops
    return Reference(high, low, shift, exponent, magic + (bias - exponent), lowest)


@inline
def unshifted_reference(p: Any, exponent: float, high: float, low: float) -> UnshiftedReference:
    """The reference with this N, where |a M| <= FAR."""
    r = reference_at(p, exponent, 0.0, high, low)
    return UnshiftedReference(high, low, exponent, r.magic, r.lowest)


@inline
def is_far(maximum: float, high: float) -> bool:
    """Whether |a M| > FAR for a finite M."""
    return FAR < abs(maximum * high) < np.inf


@inline
def exponential(p: Any, x: Any, r: Reference | UnshiftedReference) -> Any:
    """e^(s x) 2^(BIAS - N) in every lane, x a vector of elements of p.

    Right within EXP_ERROR (s = 1) or 1.65 u, relative, down to 2^-CUT of the largest; any number
    where x is NaN.
    """
    d = vmax(broadcast(p, r.lowest), moved(x, r))  # also -inf, and x - shift that overflows
    high, magic = broadcast(p, r.high), broadcast(p, r.magic)
    z = fma(d, high, magic)
    f = fma(d, high, magic - z)
    f = fma(d, broadcast(p, r.low), f)
    return scaled(fraction_power(f), z)


def moved(x: Any, r: Reference | UnshiftedReference) -> Any:
    """x less the shift of the reference; x itself where it has none."""
    raise NotImplementedError  # compiled code only


@overload(moved, jit_options={"forceinline": True})
def _(x: Any, r: Any) -> Any:
    if r.instance_class is UnshiftedReference:

        def not_at_all(x: Any, r: Any) -> Any:
            return x

        return not_at_all

    def by_shift(x: Any, r: Any) -> Any:
        return x - broadcast(x, r.shift)

    return by_shift


@inline
def power_pair(x: Any, high: float, low: float) -> Any:
    """e^(s x) = w 2^n in every lane, as w and n, for |a x| <= FAR + 2^8: w right as above."""
    magic, _, _ = layout(x)
    a, round_ = broadcast(x, high), broadcast(x, magic)
    z = fma(x, a, round_)
    f = fma(x, a, round_ - z)
    return fraction_power(fma(x, broadcast(x, low), f)), z - round_


def layout(p: Any) -> tuple[float, float, float]:
    """1.5 times the first power of two without binary places, BIAS and CUT."""
    raise NotImplementedError  # compiled code only


@overload(layout, jit_options={"forceinline": True})
def _(p: Any) -> Any:
    wide = (p if isinstance(p, Vector) else VECTOR[p.dtype]) == FLOAT64
    values = (1.5 * 2.0**52, 200.0, 1110.0) if wide else (1.5 * 2.0**23, 90.0, 190.0)

    def of_format(p: Any) -> tuple[float, float, float]:
        return values

    return of_format


def smallest_exponent(p: Any) -> float:
    """126, of the normal numbers of float32, or 1022."""
    raise NotImplementedError  # compiled code only


@overload(smallest_exponent, jit_options={"forceinline": True})
def _(p: Any) -> Any:
    value = 1022.0 if VECTOR[p.dtype] == FLOAT64 else 126.0

    def of_format(p: Any) -> float:
        return value

    return of_format


def fraction_power(f: Any) -> Any:
    """2^f for |f| <= 0.501 in every lane, as 1 + f q(f)."""
    raise NotImplementedError  # compiled code only


@overload(fraction_power, jit_options={"forceinline": True})
def _(f: Any) -> Any:
    if f == FLOAT32:
        c1, c2, c3, c4, c5, c6 = (np.float32(c) for c in EXP2_FLOAT32)

        def power(f: Any) -> Any:
            q = fma(f, broadcast(f, c6), broadcast(f, c5))
            q = fma(f, q, broadcast(f, c4))
            q = fma(f, q, broadcast(f, c3))
            q = fma(f, q, broadcast(f, c2))
            q = fma(f, q, broadcast(f, c1))
            return fma(f, q, broadcast(f, 1.0))

        return power
    d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11 = EXP2_FLOAT64

    def power64(f: Any) -> Any:
        q = fma(f, broadcast(f, d11), broadcast(f, d10))
        q = fma(f, q, broadcast(f, d9))
        q = fma(f, q, broadcast(f, d8))
        q = fma(f, q, broadcast(f, d7))
        q = fma(f, q, broadcast(f, d6))
        q = fma(f, q, broadcast(f, d5))
        q = fma(f, q, broadcast(f, d4))
        q = fma(f, q, broadcast(f, d3))
        q = fma(f, q, broadcast(f, d2))
        q = fma(f, q, broadcast(f, d1))
        return fma(f, q, broadcast(f, 1.0))

    return power64
