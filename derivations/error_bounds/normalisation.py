"""Error bounds of what normalises by a root."""

from __future__ import annotations

import numpy as np

from ..arithmetic.gaussian import HALF, float_scaled_cylinder
from .activations import FARTHEST, each, gaussian_tail
from .declare import error_bound
from .model import Bound, Model, Vector


@error_bound("smoothed_rsqrt", form="as published")
def smoothed_rsqrt(v: Vector, model: Model, width: float = 1.0) -> Bound:
    """G(x) / sqrt(width), x = v / width: k = 1/2 for v < 0; [3] for product, root and quotient.

    For v >= 0 there is no exponential, and the rounding of x makes [5/4].  Proof: r = G'/G is s - x
    in the mean with weights s^(-1/2) e^(-(s - x)^2/2), where the mean of s (s - x) is 1/2, by
    parts; so the mean m of s has m^2 <= x m + 1/2, and x r = x (m - x) <= 1/2.  From G'' + x G' +
    G/2 = 0, r' = -r^2 - x r - 1/2.  r vanishes at 0.7649; where -x <= r <= 0, r' >= -1/2, so
    r >= -0.59 >= -5/(4 x) up to x = 1.94.  From there on r' exceeds the slope of -5/(4 x) wherever
    r meets it, so r stays above.
    """
    x = np.clip(v / width, -FARTHEST, None)
    value = each(lambda t: float_scaled_cylinder(-HALF, -t), x) / np.sqrt(2 * width)
    return Bound(value, gaussian_tail(np.maximum(-x, 0), value, 4.25, model))
