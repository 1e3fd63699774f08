"""Array plumbing: every kernel is a compiled function of C-contiguous blocks of rows.

A kernel sees `(rows, classes)` blocks of logits and whatever goes with them, one entry per row.
This file checks arguments, cuts arrays of any shape and any strides into such blocks, and shares
the blocks out to threads. Each row is computed from that row alone, so results do not depend, not
in one bit, on shape, strides or threads.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK_BYTES = 1 << 20
"""Size of a block of logits; blocks hold one row at least."""


def as_logits(logits: ArrayLike) -> NDArray[np.floating]:
    """Return `logits` as an array of float32 or float64 with at least one axis.

    Raises TypeError for any other dtype and ValueError for a scalar.
    """
    if isinstance(logits, np.ma.MaskedArray):
        raise TypeError("logits are a masked array, whose mask would be lost; fill it with -inf")
    array = np.asarray(logits)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"logits must be float32 or float64 in native byte order, got {array.dtype}; "
            "convert with logits.astype(np.float64)"
        )
    if array.ndim == 0:
        raise ValueError(
            "logits must have at least one axis, the last one runs over the classes; "
            "got a scalar, pass a 1-D array"
        )
    return array


def output(
    out: NDArray[np.floating] | None, shape: tuple[int, ...], logits: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return the array to write to: `out` if it fits, a new one if it is None.

    It may be the memory of `logits`, element upon element. Raises TypeError if it is no array or
    has another dtype than `logits`; ValueError for a wrong shape, an array that is read-only, or
    one that overlaps `logits` in any other way.
    """
    if out is None:
        return np.empty(shape, logits.dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.dtype != logits.dtype:
        raise TypeError(
            f"out must have the dtype of logits, {logits.dtype}, got {out.dtype}; "
            "allocate it with np.empty(shape, logits.dtype)"
        )
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array; pass a copy")
    same = (
        out.shape == logits.shape
        and out.strides == logits.strides
        and out.ctypes.data == logits.ctypes.data
    )
    if not same and np.shares_memory(out, logits):
        raise ValueError(
            "out overlaps logits in part; pass logits itself, or an array that shares no memory"
        )
    return out


def apply(
    kernel: Callable[..., Any],
    reads: tuple[NDArray[Any], ...],
    writes: tuple[NDArray[Any], ...],
    threads: int,
) -> None:
    """Call `kernel(*reads, *writes)` on blocks of rows until all rows are done.

    `reads[0]` are the logits; its axes but the last index the rows and are the leading axes of
    every other array. Raises ValueError if `threads` is less than 1.
    """
    if not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads must be an integer of at least 1, got {threads!r}")
    threads = min(threads, os.cpu_count() or 1)  # more would only cut the blocks small
    if reads[0].ndim == 1:  # a single row
        reads = tuple(array[np.newaxis] for array in reads)
        writes = tuple(array[np.newaxis] for array in writes)
    leading = reads[0].shape[:-1]
    rows = math.prod(leading)
    row_bytes = max(1, reads[0].shape[-1] * reads[0].itemsize)
    step = max(1, min(BLOCK_BYTES // row_bytes, -(-rows // threads)))

    def run(start: int) -> None:
        stop = min(start + step, rows)
        blocks = [_load(array, leading, start, stop) for array in reads + writes]
        kernel(*blocks)
        for array, block in zip(writes, blocks[len(reads) :], strict=True):
            if not array.flags.carray:
                array[_index(leading, start, stop)] = block

    starts = range(0, rows, step)
    if threads == 1 or len(starts) < 2:
        for start in starts:
            run(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(run, starts):
                pass  # re-raises what a thread raised


def _load(array: NDArray[Any], leading: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
    """Return rows start to stop as one contiguous, writeable block: a view if possible, or a copy.

    Writeable, because numba would compile every kernel once more for read-only arrays.
    """
    if array.flags.carray:
        rows = array.reshape(math.prod(leading), *array.shape[len(leading) :])
        return rows[start:stop]
    return np.array(array[_index(leading, start, stop)], order="C")


def _index(leading: tuple[int, ...], start: int, stop: int) -> tuple[NDArray[np.intp], ...]:
    """Return the index arrays of rows start to stop along the leading axes."""
    return np.unravel_index(np.arange(start, stop), leading)
