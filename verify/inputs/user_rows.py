"""Rows that a user gives in place of the input families: one on the command line, or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import Format
from .array_files import load_array, load_labels
from .families import Batch

Given = Callable[[Definition, Format], tuple[Batch, ...]]


def given_row(text: str, label: int) -> Given:
    """One row of numbers with commas, in hex or decimal; ValueError names what is none."""
    values = []
    for token in text.split(","):
        try:
            value = float.fromhex(token) if "0x" in token.lower() else float(token)
        except (ValueError, OverflowError):
            raise ValueError(f"--row holds {token!r}, which is no binary64 number") from None
        if np.isinf(value) and "inf" not in token.lower():
            raise ValueError(f"--row holds {token!r}, which overflows; write inf to mean it")
        values.append(value)
    row = np.array(values)
    if label >= len(row):
        raise ValueError(
            f"--label is {label}, but --row has {len(row)} classes, 0 ... {len(row) - 1}"
        )
    return lambda definition, fmt: (_batch(definition, fmt, row[None, :], np.array([label])),)


def given_file(path: Path) -> tuple[Given, str]:
    """The rows of a .npy or .npz file, with the name of the dtype they are stored in."""
    array = load_array(path, "logits")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"logits in {path} have shape {array.shape}; store rows x classes")
    labels = _stored_labels(path, array)
    return lambda definition, fmt: (_batch(definition, fmt, array, labels),), array.dtype.name


def _stored_labels(path: Path, logits: NDArray[Any]) -> NDArray[np.int64]:
    """The entry ``labels`` of an archive; otherwise the classes in turn."""
    rows, classes = logits.shape
    labels = load_labels(path)
    if labels is None:
        return np.asarray(np.arange(rows) % classes, dtype=np.int64)
    if labels.shape != (rows,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels in {path} are {labels.dtype} of shape {labels.shape}; store {rows} integers"
        )
    if rows and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"labels in {path} must be in 0 ... {classes - 1}")
    return np.asarray(labels, dtype=np.int64)


def _batch(
    definition: Definition, fmt: Format, logits: NDArray[Any], labels: NDArray[Any]
) -> Batch:
    with np.errstate(over="ignore"):
        cast = logits.astype(fmt.dtype)
    if not np.array_equal(cast.astype(np.float64), logits.astype(np.float64), equal_nan=True):
        raise ValueError(
            f"the given logits are not representable in {fmt.name} (first such: "
            f"{_first_change(logits, cast)}); convert them first, or choose another --dtype"
        )
    return Batch("given", cast, labels if definition.labelled else None)


def _first_change(before: NDArray[Any], after: NDArray[Any]) -> str:
    changed = np.flatnonzero(before.astype(np.float64) != after.astype(np.float64))[0]
    value, near = float(before.flat[changed]), float(after.flat[changed])
    return f"{value.hex()}, nearest {near.hex()}"
