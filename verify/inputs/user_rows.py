"""Rows that a user gives in place of the input families: one on the command line, or a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import Format
from ..oracle.metrics import hexadecimal
from .array_files import load_array, load_labels
from .families import Batch

Given = Callable[[Definition, Format], tuple[Batch, ...]]


@dataclass(frozen=True)
class GivenRow:
    """One row, as it was typed: hex numbers are exact, decimals are rounded to the format."""

    tokens: tuple[str, ...]
    label: int

    def __call__(self, definition: Definition, fmt: Format) -> tuple[Batch, ...]:
        """The row in a format; ValueError where a number is not one of it."""
        row = np.array([_rounded(token, fmt) for token in self.tokens]).astype(fmt.dtype)
        labels = np.array([self.label]) if definition.labelled else None
        return (Batch("given", row[None, :], labels),)

    def rounding(self, fmt: Format) -> str:
        """What rounding made of the decimals; "" where all are numbers of the format.

        >>> from softproof.derivations.arithmetic.formats import BINARY32
        >>> given_row("0.1,2", 0).rounding(BINARY32)
        '--row in float32: 0.1 is taken as 0x1.99999ap-4 (0.100000001)'
        """
        changed = {
            token: value
            for token in self.tokens
            if not _is_special(token)
            and Fraction(value := float(_rounded(token, fmt))) != _exact(token)
        }
        told = ", ".join(f"{t} is taken as {hexadecimal(v)} ({v:.9g})" for t, v in changed.items())
        return f"--row in {fmt.name}: {told}" if told else ""


def given_row(text: str, label: int) -> GivenRow:
    """Read one row of numbers that are separated by commas, in hex or decimal.

    Parameters
    ----------
    text
        The numbers, as typed; ``inf``, ``-inf`` and ``nan`` are taken.
    label
        The index of the right class, for definitions that take one.

    Returns
    -------
    GivenRow
        The row, which is rounded once the format is known.

    Raises
    ------
    ValueError
        If an entry is no number or overflows, or the label is no class of the row.
    """
    tokens = tuple(token.strip() for token in text.split(","))
    for token in tokens:
        try:
            value = float.fromhex(token) if _is_hex(token) else float(token)
        except (ValueError, OverflowError):
            raise ValueError(f"--row holds {token!r}, which is no binary64 number") from None
        if np.isinf(value) and "inf" not in token.lower():
            raise ValueError(f"--row holds {token!r}, which overflows; write inf to mean it")
    if label >= len(tokens):
        raise ValueError(
            f"--label is {label}, but --row has {len(tokens)} classes, 0 ... {len(tokens) - 1}"
        )
    return GivenRow(tokens, label)


def _is_hex(token: str) -> bool:
    return "0x" in token.lower()


def _is_special(token: str) -> bool:
    """Whether it is no number: inf or nan."""
    return not _is_hex(token) and not np.isfinite(float(token))


def _exact(token: str) -> Fraction:
    return Fraction(float.fromhex(token)) if _is_hex(token) else Fraction(token)


def _rounded(token: str, fmt: Format) -> Any:
    """A number in a format; ValueError where that is infinite, or another than the hex one."""
    if _is_special(token):
        return fmt.dtype.type(float(token))
    value = fmt.round(_exact(token))
    if np.isinf(float(value)):
        raise ValueError(
            f"--row holds {token!r}, which overflows {fmt.name}; write inf to mean it, or choose "
            "another --dtype"
        )
    if _is_hex(token) and Fraction(float(value)) != _exact(token):
        raise ValueError(
            f"--row holds {token}, which is not representable in {fmt.name} (nearest "
            f"{hexadecimal(float(value))}); round it first, write it in decimal, or choose another "
            "--dtype"
        )
    return value


def given_file(path: Path) -> tuple[Given, str]:
    """Read the rows of a .npy or .npz file.

    Formats of 16 bits and more are taken; two raw bytes, as which NumPy stores it, are bfloat16.
    (Numbers of eight bits are given as float32.) An entry "labels" of an archive is read as well;
    without it the labels are the classes in turn.

    Parameters
    ----------
    path
        The file, whose logits are (rows, classes).

    Returns
    -------
    rows
        A function that gives the batch for a definition and a format.
    dtype
        The name of the dtype that the logits are stored in.

    Raises
    ------
    FileNotFoundError, TypeError
        What `load_array` raises.
    ValueError
        If the file cannot be read, the logits are no array of two dimensions or empty, or the
        labels are not as many classes of theirs as there are rows.
    """
    array = load_array(path, "logits", half_precision=True)
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
