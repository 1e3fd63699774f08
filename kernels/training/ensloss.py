"""EnsLoss: the derivatives of a random calibrated loss, drawn for a batch of margins.

A binary classifier with margins s = y f(x) is trained by derivatives g = phi'(s) alone; EnsLoss
(Dai 2025, arXiv 2409.00908, Algorithm 1) draws them anew for each batch, in place of those of one
loss.  They are derivatives of a loss phi that is

* convex: g does not fall as s grows;
* classification-calibrated: phi is differentiable at 0, with phi'(0) < 0 (Bartlett, Jordan,
  McAuliffe 2006, Theorem 2 for convex losses);
* bounded below: the integral of |phi'| over s > 1 is finite.

How.  Normal numbers u give r = min(BC(u), 1), BC the inverse of the Box-Cox transform of a power p
from -1 to 1; sorted, the largest r goes to the smallest margin, and g = -r.  Beyond s = 1 it is
divided by s (1 + log s)^2.

Three things are not as in the published code, whose draws break what the paper asks for
(``softproof claims ensloss_tail``): its tail falls like 1 / s, whose integral is infinite; it
subtracts 1e-6 from every derivative, so that phi falls for ever; and equal margins get different
derivatives, so that a batch of margins 0, as a network that starts at 0 gives, is of no loss that
is differentiable there.  Here equal margins share the mean of theirs, nothing is subtracted, and
the integral of 1 / (s (1 + log s)^2) from 1 on is 1.

>>> import numpy as np
>>> margins = np.array([-1.0, 0.0, 0.0, 0.5, 10.0])
>>> g = ensemble_derivatives(margins, rng=np.random.default_rng(0))
>>> broken_conditions(margins, g)
[]
>>> broken_conditions([0.0, 1e9], [-0.5, -1e-6])
['of the tail: beyond a margin of 1 it is larger than 1 / (s (1 + log s)^2)']
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CLOSE = 2.0**-54  # below, 1 + p u is 1, and the transform is that of p = 0
CONVEXITY = "of convexity: it falls as the margin grows"
CALIBRATION = "of calibration: it is not negative at a margin of 0 or below"
DIFFERENTIABLE = "of calibration: two values at a margin of 0"
TAIL = "of the tail: beyond a margin of 1 it is larger than 1 / (s (1 + log s)^2)"


def inverse_box_cox(u: ArrayLike, power: float) -> Floats:
    """Invert the Box-Cox transform: (1 + p u)^(1/p), e^u for p = 0.

    Parameters
    ----------
    u
        Numbers.
    power
        p, from -1 to 1. However near 0 it is, the result keeps its digits.

    Returns
    -------
    numpy.ndarray
        Not negative. Where 1 + p u <= 0: 0 for p > 0, infinite for p < 0.

    Raises
    ------
    ValueError
        If the power is not from -1 to 1.

    Examples
    --------
    >>> inverse_box_cox([-3.0, 0.0, 1.0], 0.5).tolist()
    [0.0, 1.0, 2.25]
    >>> float(inverse_box_cox(1.0, 1e-17)) == float(np.exp(1.0))
    True
    """
    if not -1 <= power <= 1:
        raise ValueError(f"power must be from -1 to 1, got {power!r}")
    values = np.asarray(u, dtype=np.float64)
    small = np.abs(power * values) < CLOSE
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log1p(np.maximum(power * values, -1.0)) / (power or 1.0)
        found: Floats = np.exp(np.where(small, values, logs))
    return found


def ensemble_derivatives(
    margins: ArrayLike, power: float = 0.0, *, rng: np.random.Generator
) -> Floats:
    """Draw the derivatives of a random calibrated loss for a batch of margins.

    Parameters
    ----------
    margins
        The margins y f(x) of the batch, finite, of any shape.
    power
        Of the Box-Cox transform, from -1 to 1; the paper's main runs have 0.
    rng
        What is drawn from: the same seed gives the same derivatives.

    Returns
    -------
    numpy.ndarray
        phi'(s) for each margin, from -1 to 0, of the shape of the margins. The gradient of the
        batch's mean loss is the mean of these times the gradients of the margins.

    Raises
    ------
    ValueError
        If a margin is not finite, or the power is not from -1 to 1.

    Examples
    --------
    >>> found = ensemble_derivatives([2.0, -1.0, 0.0], rng=np.random.default_rng(1))
    >>> bool(np.all(np.diff(found[[1, 2, 0]]) >= 0))
    True
    """
    s = np.asarray(margins, dtype=np.float64)
    if not np.isfinite(s).all():
        raise ValueError("margins must be finite; NaN or infinity is among them")
    drawn = np.minimum(inverse_box_cox(rng.standard_normal(s.size), power), 1.0)
    if not s.size:
        return -drawn.reshape(s.shape)
    values, place, counts = np.unique(s, return_inverse=True, return_counts=True)
    means = np.add.reduceat(np.sort(drawn)[::-1], np.cumsum(counts) - counts) / counts
    found: Floats = -(means * _tail(values))[place].reshape(s.shape)
    return found


def _tail(s: Floats) -> Floats:
    """1 up to s = 1, and 1 / (s (1 + log s)^2) beyond."""
    beyond = np.maximum(s, 1.0)
    found: Floats = 1.0 / (beyond * (1.0 + np.log(beyond)) ** 2)
    return found


def broken_conditions(margins: ArrayLike, derivatives: ArrayLike) -> list[str]:
    """Say which conditions of a calibrated loss some derivatives at margins do not fulfil.

    Parameters
    ----------
    margins, derivatives
        Of one batch. Of finitely many the tail is held against that of this module: any that is
        below it is integrable; another one may be so, too.

    Returns
    -------
    list of str
        In words; empty where there is none.

    Examples
    --------
    >>> broken_conditions([0.0, 0.0, 1.0], [-1.0, -0.5, -0.7])
    ['of convexity: it falls as the margin grows', 'of calibration: two values at a margin of 0']
    """
    s = np.asarray(margins, dtype=np.float64).reshape(-1)
    g = np.asarray(derivatives, dtype=np.float64).reshape(-1)
    order = np.lexsort((g, s))
    s, g = s[order], g[order]
    broken = []
    if np.any((np.diff(g) < 0) & (np.diff(s) > 0)):
        broken.append(CONVEXITY)
    if np.any(g[s <= 0] >= 0):
        broken.append(CALIBRATION)
    if np.unique(g[s == 0]).size > 1:
        broken.append(DIFFERENTIABLE)
    if np.any(np.abs(g[s > 1]) > _tail(s[s > 1]) * (1 + 2.0**-50)):
        broken.append(TAIL)
    return broken
