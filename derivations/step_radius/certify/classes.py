"""The classes of a sample: read from the arguments, and as terms of F at a working precision.

Dividing F by exp(c t + d t^2) moves no zero, so slopes and curvatures are taken relative to the
middle of their ranges; the unit of tau = 2^scale t makes their range about 1. Classes with equal
slopes and equal curvatures are one term, whose weight is the sum of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from ...arithmetic.balls import Exact, ball, power_of_two

LARGEST_FLOAT = np.finfo(np.float64).max


@dataclass(frozen=True)
class Classes:
    """The unmasked classes of one sample, exact, with the frame that they are computed in."""

    groups: dict[tuple[Exact, Exact], list[Exact]]
    """The logits of the classes with the same (slope, curvature)."""
    top: Exact
    """The largest logit."""
    slope: float
    """What is subtracted from all slopes: about the middle of their range."""
    curvature: float
    """What is subtracted from all curvatures: about the middle of their range."""
    scale: int
    """The exponent of the unit of the step: tau = 2^scale t."""


def read_classes(logits: Any, slopes: Any, curvatures: Any = None) -> Classes:
    """Check the arguments of ``certify``, and choose the frame that F is computed in.

    Parameters
    ----------
    logits, slopes, curvatures
        z, a and b of one sample, each of shape (K,), as for ``certify``.

    Returns
    -------
    Classes
        The classes whose logit is not -inf, grouped by slope and curvature.

    Raises
    ------
    TypeError, ValueError
        As ``certify``.

    Examples
    --------
    >>> read_classes([0.0, -math.inf, 1.0], [1.0, 9.0, -1.0]).groups
    {(1.0, 0.0): [0.0], (-1.0, 0.0): [1.0]}
    """
    z = _exact_numbers("logits", logits)
    a = _exact_numbers("slopes", slopes)
    b = [0.0] * len(z) if curvatures is None else _exact_numbers("curvatures", curvatures)
    if not z:
        raise ValueError("logits must hold at least one class, got none")
    for name, row in (("slopes", a), ("curvatures", b)):
        if len(row) != len(z):
            raise ValueError(
                f"{name} must have the shape of logits, ({len(z)},), got ({len(row)},): "
                "pass one per logit"
            )
        if not all(map(math.isfinite, row)):
            raise ValueError(f"{name} hold NaN or inf: pass finite {name}")
    if not all(map(math.isfinite, z)):
        if any(x != x for x in z):
            raise ValueError("logits hold NaN: repair the model's output")
        if math.inf in z:
            raise ValueError("logits hold +inf: pass finite logits, -inf to mask")
        if max(z) == -math.inf:
            raise ValueError("logits mask every class (-inf): drop such samples")
    groups: dict[tuple[Exact, Exact], list[Exact]] = {}
    for zk, ak, bk in zip(z, a, b, strict=True):
        if zk != -math.inf:
            groups.setdefault((ak, bk), []).append(zk)
    slope, slope_exponent = _middle([ak for ak, _ in groups])
    curvature, curvature_exponent = _middle([bk for _, bk in groups])
    scale = max(slope_exponent, -(-curvature_exponent // 2))
    return Classes(groups, max(z), slope, curvature, scale)


def _exact_numbers(name: str, values: Any) -> list[Exact]:
    """The elements of the argument `name` as floats and Fractions, none of them rounded."""
    if isinstance(values, np.ndarray):
        if values.dtype.type not in (np.float32, np.float64, np.object_):
            raise TypeError(
                f"{name} must be float32 or float64, got {values.dtype}: "
                f"convert with {name}.astype('float64')"
            )
        if values.ndim != 1:
            raise ValueError(
                f"{name} must have shape (classes,), got {values.shape}: pass one sample"
            )
        values = values.tolist()
    numbers = []
    for x in values:
        if isinstance(x, np.float32 | np.float64):
            x = float(x)
        elif isinstance(x, int):
            x = Fraction(x)
        elif not isinstance(x, float | Fraction):
            raise TypeError(
                f"{name} must hold floats, integers or Fractions, got {type(x).__name__}"
            )
        if isinstance(x, Fraction) and abs(x) > LARGEST_FLOAT:
            raise ValueError(f"{name} hold a number beyond the largest float: rescale the step")
        numbers.append(x)
    return numbers


def _middle(values: list[Exact]) -> tuple[float, int]:
    """A float in the middle of the range, and the binary exponent of the range."""
    low, high = min(values), max(values)
    half = float(high) / 2 - float(low) / 2
    exponent = math.frexp(half)[1] if half > 0 else -(10**6) if low == high else -1074
    return float(low) / 2 + float(high) / 2, exponent


class Terms:
    """The terms w_k exp(a_k tau + b_k tau^2) of F as balls, at the precision of ``flint.ctx``.

    Attributes
    ----------
    z, w
        The logarithm and the value of each weight, relative to the largest logit.
    a, b
        The slopes and curvatures, relative to those of the frame, in units of tau.
    quadratic
        Whether any curvature is not 0.
    """

    def __init__(self, classes: Classes) -> None:
        top = ball(classes.top)
        slope, curvature = flint.arb(classes.slope), flint.arb(classes.curvature)
        unit, unit2 = power_of_two(-classes.scale), power_of_two(-2 * classes.scale)
        self.a = [(ball(a) - slope) * unit for a, _ in classes.groups]
        self.b = [(ball(b) - curvature) * unit2 for _, b in classes.groups]
        gaps = [[ball(z) - top for z in group] for group in classes.groups.values()]
        self.w = [sum((gap.exp() for gap in group), flint.arb(0)) for group in gaps]
        self.z = [
            group[0] if len(group) == 1 else weight.log()
            for group, weight in zip(gaps, self.w, strict=True)
        ]
        self.quadratic = any(not b.is_zero() for b in self.b)

    def real_exponents(self, active: Iterable[int], tau: flint.acb) -> list[flint.arb]:
        """The real part of the exponent z + a tau + b tau^2 of each term of `active`, on a ball."""
        x, square = tau.real, (tau * tau).real
        if self.quadratic:
            return [self.z[k] + self.a[k] * x + self.b[k] * square for k in active]
        return [self.z[k] + self.a[k] * x for k in active]
