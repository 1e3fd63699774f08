"""NumPy arithmetic in a format, as formulas are computed in floating point."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from . import gaussian
from .arithmetic import Arithmetic, Unary, decided_ranks, of_order
from .equations import root_in_floats, solve_floats
from .formats import Format
from .singular_values import singular_values_of_floats


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _pi() -> Fraction:
    """To 200 bits: a sixtieth of the last bit of any format decides how it is rounded."""
    with mpmath.workprec(200):
        return Fraction(int(mpmath.floor(mpmath.ldexp(mpmath.pi, 198))), 2**198)


def ieee(fmt: Format) -> Arithmetic:
    """NumPy arithmetic in a format: what a formula as published does in floating point.

    Sums are recursive in the format itself (``np.sum`` would add float16 in float32).  Overflow,
    underflow and invalid operations give infinities, subnormals and NaN, without warnings:
    evaluate under ``np.errstate(all="ignore")``.  sigmoid, softplus, erf and the Gaussian functions
    are computed in binary64 and rounded to the format; rsqrt is 1 / sqrt(x), two roundings.

    Parameters
    ----------
    fmt
        The format.

    Returns
    -------
    Arithmetic
        One whose numbers are NumPy scalars and arrays of the format.
    """
    scalar = fmt.dtype.type

    @functools.lru_cache(maxsize=64)  # formulas name the same few for every entry of an array
    def whole(value: int) -> Any:
        return fmt.round(Fraction(value))

    def number(value: Any) -> Any:
        if isinstance(value, scalar):
            return value
        if type(value) is int:
            return whole(value)
        value = value.item() if isinstance(value, np.generic) else value
        finite = isinstance(value, Fraction) or np.isfinite(value)
        return fmt.round(Fraction(value)) if finite else scalar(value)

    def rounded(function: Unary) -> Unary:
        """A function of the C library's double, rounded to the format."""
        return lambda x: np.vectorize(lambda v: scalar(function(float(v))), otypes=[fmt.dtype])(x)[
            ()
        ]

    def in_binary64(function: Unary) -> Unary:
        """A NumPy function of binary64, rounded to the format."""
        return lambda x: np.asarray(function(np.asarray(x, dtype=np.float64))).astype(fmt.dtype)[()]

    one = scalar(1)
    xp = Arithmetic(
        name=fmt.name,
        number=number,
        exp=np.exp,
        log=np.log,
        log1p=np.log1p,
        expm1=np.expm1,
        sqrt=np.sqrt,
        rsqrt=lambda x: one / np.sqrt(x),
        pow=np.power,
        tanh=np.tanh,
        sigmoid=in_binary64(_sigmoid),
        softplus=in_binary64(_softplus),
        erf=rounded(math.erf),
        sin=np.sin,
        cos=np.cos,
        atan=np.arctan,
        acos=np.arccos,
        normal_cdf=rounded(gaussian.float_normal_cdf),
        normal_pdf=rounded(gaussian.float_normal_pdf),
        scaled_cylinder=of_order(gaussian.float_scaled_cylinder, rounded),
        maximum=np.maximum,
        minimum=np.minimum,
        step=in_binary64(lambda x: np.heaviside(x, 0.5)),
        descending=lambda a: np.sort(a)[::-1],
        ranks=decided_ranks,
        root=root_in_floats,
        solve=lambda a, b: solve_floats(a, b, scalar("nan")),
        singular=lambda a: singular_values_of_floats(a, xp, number(fmt.unit_roundoff)),
        pi_number=lambda: fmt.round(_pi()),
        dtype=fmt.dtype,
    )
    return xp
