"""Trigonometric functions of numbers with running errors; rules as in ``elementary``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .constants import UP, quiet
from .elementary import UPPER, function, least_modulus
from .numbers import RunningNumber


def sin(x: RunningNumber) -> RunningNumber:
    """Sine, 1-Lipschitz and of a range of length 2."""
    with quiet():
        return function(x, np.sin(x.value), lambda e, w: np.minimum(e, 2.0), x.model.elementary)


def cos(x: RunningNumber) -> RunningNumber:
    """Cosine, 1-Lipschitz and of a range of length 2."""
    with quiet():
        return function(x, np.cos(x.value), lambda e, w: np.minimum(e, 2.0), x.model.elementary)


def atan(x: RunningNumber) -> RunningNumber:
    """Arc tangent: slope 1 / (1 + L^2), L the least modulus; the range is of length pi."""

    def spread(e: Any, w: Any) -> Any:
        least = least_modulus(x, e, w)
        return np.minimum(e / (1 + least * least) * UP, 3.15)

    with quiet():
        return function(x, np.arctan(x.value), spread, x.model.elementary)


def acos(x: RunningNumber) -> RunningNumber:
    """Arc cosine: slope 1 / sqrt(1 - U^2), U the largest modulus; at most pi sqrt(e / 2).

    The slope grows with the modulus, so over a length e the difference is largest at an end:
    acos(1 - e) = 2 asin(sqrt(e / 2)) <= pi sqrt(e / 2).  Infinite where |x| may exceed 1.
    """

    def spread(e: Any, w: Any) -> Any:
        most = (np.abs(x.value) + w + e) * np.where(w + e > 0, UPPER, 1.0)
        steep = math.pi * np.sqrt(e / 2) * UP
        slope = e / np.sqrt(np.maximum((1 - most) * (1 + most), 0.0)) * UP
        change = np.where(e > 0, np.fmin(slope, steep), 0.0)
        return np.where(most <= 1, change, np.inf)

    with quiet():
        return function(x, np.arccos(x.value), spread, x.model.elementary)
