"""Kernels of samples: the labels, checked before anything is computed, and the driver of losses."""

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rows
from .jit import jit

GREATEST = 2**63 - 1
"""No class, and no `ignore_index`."""


def call_losses(
    kernel: rows.RowKernel,
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int,
    out: NDArray[Any] | None,
    threads: int,
    options: tuple[Any, ...] = (),
) -> NDArray[Any]:
    """The loss of each sample: as `rows.call`, of a kernel with the arrays (logits, labels, losses,
    None)."""
    x = rows.as_logits(logits, axis)
    targets = checked_labels(labels, x)
    losses = rows.output(out, targets.shape, x)
    rows.run(kernel, (x, targets), (losses, None), threads, options)
    return losses if out is not None else losses[()]


def call_losses_with_gradient(
    kernel: rows.RowKernel,
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int,
    out: NDArray[Any] | None,
    threads: int,
    options: tuple[Any, ...] = (),
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The losses, and their gradient, which `out` receives: as `rows.call`, of a kernel with the
    arrays (logits, labels, losses, gradient)."""
    x = rows.as_logits(logits, axis)
    targets = checked_labels(labels, x)
    gradient = rows.output(out, x.shape, x, axis)
    losses = np.empty(targets.shape, x.dtype)
    rows.run(kernel, (x, targets), (losses, gradient), threads, options)
    return losses[()], rows.at_axis(gradient, axis)


def checked_labels(
    labels: ArrayLike, x: NDArray[Any], ignore_index: int | None = None
) -> NDArray[np.intp]:
    """Return the labels of the rows of x, integers in [0, classes) or `ignore_index`, C-contiguous.

    TypeError if they, or `ignore_index`, are no integers. ValueError: not one label for each row;
    one out of range, the first is named; rows without classes; `ignore_index` out of int64.
    """
    targets = np.asarray(labels)
    samples, classes = x.shape[:-1], x.shape[-1]
    if targets.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers, got {targets.dtype}; convert with labels.astype(np.intp)"
        )
    if targets.shape != samples:
        raise ValueError(
            f"labels must have shape {samples}, that of logits without the axis of the classes; "
            f"got {targets.shape}"
        )
    if classes == 0 and targets.size:
        raise ValueError(f"logits must have at least one class, got shape {x.shape}")
    ignored = None
    if ignore_index is not None:
        try:
            ignored = operator.index(ignore_index)
        except TypeError:
            raise TypeError(f"ignore_index must be an integer, got {ignore_index!r}") from None
        if not -GREATEST <= ignored < GREATEST:
            raise ValueError(f"ignore_index must be an int64, got {ignored}")
    # As np.intp some uint64 would be negative; GREATEST is no class and not ignored, either.
    narrowed = np.minimum(targets, GREATEST) if targets.dtype == np.uint64 else targets
    narrowed = np.ascontiguousarray(narrowed, np.intp).reshape(samples)
    if _some_wrong(narrowed.reshape(-1), classes, 0 if ignored is None else ignored):
        wrong = (narrowed < 0) | (narrowed >= classes)
        if ignored is not None:
            wrong &= narrowed != ignored
        index = tuple(np.argwhere(wrong)[0].tolist())
        where = f"labels[{', '.join(map(str, index))}]" if index else "labels"
        raise ValueError(
            f"{where} is {targets[index]}, but labels must be in [0, {classes})"
            f"{'' if ignored is None else f' or ignore_index, {ignored}'}; "
            "leave out samples that have no class, or pass their label as ignore_index"
        )
    return narrowed


@jit
def _some_wrong(labels: NDArray[np.intp], classes: int, allowed: int) -> bool:
    wrong = 0
    for label in labels:
        wrong |= int((label < 0) | (label >= classes)) & int(label != allowed)
    return wrong != 0
