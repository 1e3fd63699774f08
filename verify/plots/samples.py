"""Logits and slopes to draw: of a user's files, or those of the digits that the package brings."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..inputs.array_files import load_labels, load_samples

DIGITS = files("softproof.verify") / "data" / "digits.npz"


class Samples(NamedTuple):
    """Logits z and slopes a, both of shape (N, K), and what a caption calls them."""

    logits: NDArray[Any]
    slopes: NDArray[Any]
    labels: NDArray[np.int64] | None
    described: str


class Sample(NamedTuple):
    """One row of `Samples`."""

    logits: NDArray[np.float64]
    slopes: NDArray[np.float64]
    label: int
    described: str


def read(logits: str | Path | None = None, slopes: str | Path | None = None) -> Samples:
    """Read the samples of two files, or of one that holds both.

    Files are what `softproof.verify.inputs.array_files.load_samples` reads; an .npz file of logits
    may hold ``labels``, too.

    Parameters
    ----------
    logits
        The file of the logits; None: the digits.
    slopes
        The file of the slopes, where that of the logits holds none.

    Returns
    -------
    Samples
        The arrays, and words that describe them.

    Raises
    ------
    ValueError
        If the files hold something else, or slopes are given without logits.
    OSError
        If there is no such file.

    Examples
    --------
    >>> read().logits.shape
    (1797, 10)
    """
    if logits is None:
        if slopes is not None:
            raise ValueError("slopes are given without logits: name the file of the logits, too")
        with as_file(DIGITS) as path:
            found = read(path)
        return found._replace(described="handwritten digits, softmax regression")
    logits = Path(logits)
    try:
        z, a = load_samples(logits, logits if slopes is None else slopes)
    except TypeError as error:
        raise ValueError(str(error)) from error
    z, a = np.atleast_2d(z), np.atleast_2d(a)
    if z.shape != a.shape or z.ndim != 2 or not z.size:
        raise ValueError(
            f"logits have shape {z.shape} and slopes {a.shape}: store samples x classes in both"
        )
    if np.isnan(z).any() or np.isposinf(z).any() or not np.isfinite(a).all():
        raise ValueError(f"{logits} holds NaN or infinity where only logits of -inf may be")
    return Samples(z, a, _labels(logits, z), logits.name)


def read_row(
    logits: str | Path | None, slopes: str | Path | None, row: int, label: int | None = None
) -> Sample:
    """Read one sample of files.

    Parameters
    ----------
    logits
        The file of the logits; None: the digits.
    slopes
        The file of the slopes, where that of the logits holds none.
    row
        The index of the sample.
    label
        Its label; None: that of the file, or 0.

    Returns
    -------
    Sample
        One row, and words that describe it.

    Raises
    ------
    ValueError
        If there is no such row or label.

    Examples
    --------
    >>> read_row(None, None, 5).label
    5
    """
    found = read(logits, slopes)
    count, classes = found.logits.shape
    if not 0 <= row < count:
        raise ValueError(f"row is {row}, but there are {count} samples, 0 ... {count - 1}")
    if label is None:
        label = 0 if found.labels is None else int(found.labels[row])
    if not 0 <= label < classes:
        raise ValueError(f"label is {label}, but there are {classes} classes, 0 ... {classes - 1}")
    z, a = (x[row].astype(np.float64) for x in (found.logits, found.slopes))
    return Sample(z, a, label, f"row {row} of {found.described}")


def _labels(path: Path, logits: NDArray[Any]) -> NDArray[np.int64] | None:
    labels = load_labels(path)
    if labels is None:
        return None
    if labels.shape != logits.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(f"labels in {path} must be {len(logits)} integers")
    return np.asarray(labels, dtype=np.int64)
