"""What the bounds take from logits: distances to the maximum, classes, the label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import Label, Vector


def distances(z: Vector) -> Vector:
    """The distances D_k = max z - z_k of the logits from the largest one.

    Parameters
    ----------
    z
        Logits, (classes,) or (classes, rows).

    Returns
    -------
    Vector
        Of the same shape; infinite at masked classes.
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.max(z, axis=0) - z, dtype=np.float64)


def finite_or_zero(d: Vector) -> Vector:
    """Distances of unmasked classes, and 0 at masked ones, where the exponential is 0.

    Parameters
    ----------
    d
        Distances, as `distances` returns them.

    Returns
    -------
    Vector
        Of the same shape, finite.
    """
    return np.where(d < np.inf, d, 0.0)


def count_classes(z: Vector) -> Any:
    """The number of unmasked classes of each row.

    Parameters
    ----------
    z
        Logits, (classes,) or (classes, rows).

    Returns
    -------
    int or array of int
        One number for each row.
    """
    return np.sum(np.isfinite(z), axis=0)


def at_label(values: Vector, label: Label) -> Vector:
    """The value of the class of the label, of each row.

    Parameters
    ----------
    values
        One number for each class, (classes,) or (classes, rows).
    label
        The class of the row, or one for each row.

    Returns
    -------
    Vector
        One value for each row.
    """
    return np.asarray(np.take_along_axis(values, np.asarray(label)[None], axis=0)[0])


def is_other(z: Vector, label: Label) -> NDArray[np.bool_]:
    """Whether each class is unmasked and not that of the label.

    Parameters
    ----------
    z
        Logits, (classes,) or (classes, rows).
    label
        The class of the row, or one for each row.

    Returns
    -------
    array of bool
        Of the shape of z.
    """
    classes = np.arange(len(z)).reshape(-1, *(1 for _ in z.shape[1:]))
    return np.asarray((classes != label) & np.isfinite(z))
