"""What the bounds take from logits: distances to the maximum, classes, the label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import Label, Vector


def distances(z: Vector) -> Vector:
    """D_k = max z - z_k, infinite at masked classes."""
    with np.errstate(over="ignore"):
        return np.asarray(np.max(z, axis=0) - z, dtype=np.float64)


def finite_or_zero(d: Vector) -> Vector:
    """Distances, 0 where they are infinite (there the exponential is 0)."""
    return np.where(d < np.inf, d, 0.0)


def count_classes(z: Vector) -> Any:
    """How many classes of each row take part."""
    return np.sum(np.isfinite(z), axis=0)


def at_label(values: Vector, label: Label) -> Vector:
    """The value of the class of the label, of each row."""
    return np.asarray(np.take_along_axis(values, np.asarray(label)[None], axis=0)[0])


def is_other(z: Vector, label: Label) -> NDArray[np.bool_]:
    """Whether each class is not that of the label; masked classes are none."""
    classes = np.arange(len(z)).reshape(-1, *(1 for _ in z.shape[1:]))
    return np.asarray((classes != label) & np.isfinite(z))
