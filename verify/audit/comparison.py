"""How checks compare a result with a reference: what they admit, and by how much it is exceeded.

Each comparison has tolerances, and tells of a result the *excess*: the factor by which all of its
tolerances would have to be multiplied to admit it just so.  What is admitted has an excess of at
most 1; a tolerance below the excess times the present one would not admit it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Numbers = NDArray[np.float64]
NOISE = 0.3  # what FlashAttention adds and takes off again


@dataclass(frozen=True)
class Asked:
    """What a comparison may look at: results of one call, in the format and in binary64.

    * ``found``: those of the candidate.
    * ``reference``: those that it is compared with.
    * ``eager``: those of the formula with each operation rounded to the format.
    * ``dtype``: that of the format.
    """

    found: Numbers
    reference: Numbers
    eager: Numbers
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Comparison:
    """A comparison and its tolerances, by name."""

    kind: str
    tolerances: dict[str, float]

    def excess(self, asked: Asked) -> float:
        """By what factor the tolerances would have to grow to admit a result; inf where never.

        Parameters
        ----------
        asked
            The results.

        Returns
        -------
        float
            At most 1 where it is admitted; 0 of nothing at all.
        """
        if not asked.found.size:
            return 0.0
        with np.errstate(all="ignore"):
            found = float(KINDS[self.kind].excess(asked, **self.tolerances))
        return math.inf if math.isnan(found) else found

    def would_reject(self, excess: float) -> str:
        """The tolerances from which on, downwards, a result with such an excess is rejected."""
        names = KINDS[self.kind].scaled
        return ", ".join(f"{n} < {excess * self.tolerances[n]:.2g}" for n in names)

    @property
    def told(self) -> str:
        """The comparison in a few words."""
        settings = ", ".join(f"{name} {value:g}" for name, value in self.tolerances.items())
        return f"{self.kind}: {settings}"


def _of_most(ratios: Numbers, share: float) -> float:
    """The least number that a share of the ratios, and at least one of them, is not above."""
    ordered = np.sort(np.where(np.isnan(ratios), np.inf, ratios), axis=None)
    return float(ordered[max(math.ceil(share * ordered.size), 1) - 1])


def _ratio(distance: Any, allowed: Any) -> Numbers:
    """Distances in units of what is allowed; 0 for none, whatever is allowed."""
    return np.where(distance == 0, 0.0, distance / allowed)


def _distance(asked: Asked) -> Numbers:
    """|found - reference|, 0 of equal infinities."""
    same = asked.found == asked.reference
    return np.where(same, 0.0, np.abs(asked.found - asked.reference))


def _allclose(asked: Asked, *, atol: float, rtol: float, share: float = 1.0) -> float:
    return _of_most(_ratio(_distance(asked), atol + rtol * np.abs(asked.reference)), share)


def _either(asked: Asked, *, atol: float, rtol: float, share: float = 1.0) -> float:
    distance = _distance(asked)
    absolute = _ratio(distance, atol)
    relative = _ratio(distance, rtol * np.abs(asked.reference))
    return _of_most(np.minimum(absolute, relative), share)


def _mean_square(asked: Asked, *, most: float) -> float:
    error, whole = np.sum(_distance(asked) ** 2), np.sum(asked.reference**2)
    return float(_ratio(error, whole * most))


def _times_eager(asked: Asked, *, times: float) -> float:
    scalar = asked.dtype.type
    rounded = asked.reference.astype(asked.dtype)
    moved = ((rounded + scalar(NOISE)) - scalar(NOISE)).astype(np.float64)
    noise = 2 * np.max(np.abs(moved - rounded.astype(np.float64)))
    allowed = times * np.max(np.abs(asked.eager - asked.reference)) + noise
    return float(_ratio(np.max(_distance(asked)), allowed))


def _sums(asked: Asked, *, to: float, atol: float, rtol: float) -> float:
    total = np.sum(asked.found.astype(np.float32), axis=-1).astype(asked.dtype).astype(np.float64)
    return _of_most(_ratio(np.abs(total - to), atol + rtol * abs(to)), 1.0)


@dataclass(frozen=True)
class Kind:
    """A kind of comparison: its excess, its tolerances, which of them may be left out or scaled."""

    excess: Callable[..., float]
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    scaled: tuple[str, ...]


KINDS = {
    "allclose": Kind(_allclose, ("atol", "rtol"), ("share",), ("atol", "rtol")),
    "either": Kind(_either, ("atol", "rtol"), ("share",), ("atol", "rtol")),
    "mean square": Kind(_mean_square, ("most",), (), ("most",)),
    "times eager": Kind(_times_eager, ("times",), (), ("times",)),
    "sums": Kind(_sums, ("to", "atol", "rtol"), (), ("atol", "rtol")),
}
"""The kinds of comparison, each by the name that files give it.

* ``allclose``: |found - reference| <= atol + rtol |reference|, of a share of the numbers, all of
  them where none is given.  NaN is close to nothing.
* ``either``: likewise |found - reference| <= atol, or <= rtol |reference|: a number fails where
  both are exceeded.
* ``mean square``: the sum of squared errors is at most so many times that of squared references.
* ``times eager``: the largest error is at most so many times that of the formula with each
  operation rounded to the format, and twice what adding NOISE and taking it off again changes.
* ``sums``: the sums along the last axis, added in float32, are close to a number.
"""
