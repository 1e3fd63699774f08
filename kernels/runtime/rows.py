"""Array plumbing: every kernel is a compiled function of C-contiguous rows.

This file checks arguments, brings arrays of any shape, strides and axis to rows, and shares the
rows out to threads. Each row is computed from that row alone, so results do not depend, not in one
bit, on shape, strides or threads.
"""

import functools
import math
import operator
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import ArrayLike, NDArray

from . import tuning

BLOCK_BYTES = 1 << 20
"""Rows that must be copied because of their strides are copied in blocks of this size."""

WIDE = frozenset((np.dtype(np.float32), np.dtype(np.float64)))
"""The dtypes that are computed in themselves."""

_NARROW = {"float16": np.int16, "bfloat16": np.uint16}
"""Compiled code sees numbers of 16 bits as integers; see `simd`."""

_CORES = os.cpu_count() or 1

Array = NDArray[Any]


def as_logits(
    logits: ArrayLike, axis: int = -1, *, narrow: bool = True, name: str = "logits"
) -> Array:
    """Return `logits` as an array of floats whose last axis is `axis` of theirs.

    float32 and float64, and if `narrow` float16 and bfloat16 (of the package ml_dtypes) as well.
    `name` is what the caller calls them. Raises TypeError for any other dtype, ValueError for a
    scalar or an axis that is not there.
    """
    if type(logits) is np.ndarray and axis == -1 and logits.dtype in WIDE and logits.ndim:
        return logits
    if isinstance(logits, np.ma.MaskedArray):
        raise TypeError(f"{name} are a masked array, whose mask would be lost; fill it with -inf")
    array = np.asarray(logits)
    is_narrow = array.dtype.name in _NARROW and array.dtype.isnative
    if array.dtype not in WIDE and not (narrow and is_narrow):
        wanted = "float32, float64, float16 or bfloat16" if narrow else "float32 or float64"
        raise TypeError(
            f"{name} must be {wanted} in native byte order, got {array.dtype}; "
            f"convert with {name}.astype(np.float64)"
        )
    if array.ndim == 0:
        raise ValueError(
            f"{name} must have at least one axis, the last one runs over the classes; "
            "got a scalar, pass a 1-D array"
        )
    return np.moveaxis(array, _axis(axis, array.ndim), -1)


def _axis(axis: int, ndim: int) -> int:
    """The axis from 0 on; TypeError if it is no integer, ValueError if it is not there."""
    try:
        return normalize_axis_index(operator.index(axis), ndim, "axis")
    except TypeError:
        raise TypeError(f"axis must be an integer, got {axis!r}") from None


def as_floats(name: str, values: ArrayLike) -> Array:
    """Return `values` as an array of float32 or float64, of any shape; TypeError for others."""
    array = np.asarray(values)
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; pass {name}.filled()")
    if array.dtype not in WIDE:
        raise TypeError(
            f"{name} must be float32 or float64 in native byte order, got {array.dtype}; "
            f"convert with {name}.astype(np.float64)"
        )
    return array


def as_vector(vector: ArrayLike, like: Array, axis: int, *, name: str, like_name: str) -> Array:
    """Return a cotangent or tangent as `as_logits` does, of the shape and dtype of `like`.

    `like` has its axis last already. TypeError or ValueError if shape or dtype differ.
    """
    v = as_logits(vector, axis, name=name)
    if v.shape != like.shape:
        shapes = tuple(a.shape if axis == -1 else np.moveaxis(a, -1, axis).shape for a in (like, v))
        raise ValueError(f"{name} must have the shape of {like_name}, {shapes[0]}, got {shapes[1]}")
    if v.dtype != like.dtype:
        raise TypeError(
            f"{name} must have the dtype of {like_name}, {like.dtype}, got {v.dtype}; "
            f"convert with {name}.astype({like_name}.dtype)"
        )
    return v


def output(
    out: Array | None,
    shape: tuple[int, ...],
    logits: Array,
    axis: int = -1,
    *,
    name: str = "logits",
) -> Array:
    """Return the array to write to, with its axis `axis` last: `out` if it fits, or a new one.

    `shape` is what the result must have once its axis is last. `out` may be the memory of `logits`,
    element upon element. Raises TypeError if it is no array or has another dtype than `logits`;
    ValueError for a wrong shape, an array that is read-only, one whose own elements overlap, or one
    that overlaps `logits` in any other way.
    """
    if out is None:
        if axis == -1 or len(shape) < 2:
            return np.empty(shape, logits.dtype)
        where = normalize_axis_index(axis, len(shape), "axis")
        whole = list(shape)
        whole.insert(where, whole.pop())
        return np.moveaxis(np.empty(whole, logits.dtype), where, -1)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.dtype != logits.dtype:
        raise TypeError(
            f"out must have the dtype of {name}, {logits.dtype}, got {out.dtype}; "
            f"allocate it with np.empty(shape, {name}.dtype)"
        )
    moved = out if axis == -1 or out.ndim < 2 else np.moveaxis(out, axis, -1)
    if moved.shape != shape:
        wanted = shape if moved is out else f"that of {name}, {shape} with the last axis at {axis}"
        raise ValueError(f"out must have shape {wanted}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array; pass a copy")
    if overlaps_itself(out):
        raise ValueError(
            f"out overlaps itself: elements of shape {out.shape} and strides {out.strides} share "
            "memory; pass an array in which each has its own, such as out.copy()"
        )
    if (
        np.may_share_memory(out, logits)  # by their bounds, which is quick
        and not is_same_memory(moved, logits)
        and np.shares_memory(out, logits)
    ):
        raise ValueError(
            f"out overlaps {name} in part; pass {name} itself, or an array that shares no memory"
        )
    return moved


def overlaps_itself(array: Array) -> bool:
    """Whether two elements of the array share memory, as in what `as_strided` can make."""
    if array.flags.c_contiguous:
        return False
    axes = sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1)
    reach = array.itemsize  # of all axes so far: the next one must step over it
    for stride, length in axes:
        if stride < reach:
            break
        reach += stride * (length - 1)
    else:
        return False
    if array.size == 0:
        return False
    # Axes that reach into each other's steps, which is rare: every element is looked at.
    starts = np.zeros(1, np.intp)
    for stride, length in axes:
        starts = np.add.outer(starts, stride * np.arange(length)).reshape(-1)
    starts.sort()
    return bool((np.diff(starts) < array.itemsize).any())


def apart(array: Array, out: Array) -> Array:
    """The array, or a copy of it where writing to `out` would change it."""
    shared = np.may_share_memory(array, out) and np.shares_memory(array, out)
    return array.copy() if shared else array


def is_same_memory(a: Array, b: Array) -> bool:
    """Whether both arrays are the same elements in the same order."""
    return a is b or (
        a.shape == b.shape and a.strides == b.strides and a.ctypes.data == b.ctypes.data
    )


def past_caches(out: Array | None, result: Array, *reads: Array, least: int | None = None) -> bool:
    """Whether to write the result past the caches: if it is large, in rows of `least` bytes.

    Fresh memory is written through the caches: the operating system has just cleared it there.
    """
    row_bytes = result.shape[-1] * result.itemsize
    return (
        out is not None
        and result.nbytes >= tuning.STREAM_BYTES
        and row_bytes >= (tuning.STREAM_ROW_BYTES if least is None else least)
        and not any(is_same_memory(result, array) for array in reads)
    )


def check_threads(threads: int) -> int:
    """Return how many threads to use; ValueError unless `threads` is an integer of at least 1."""
    try:
        count = operator.index(threads)
    except TypeError:
        count = 0
    if count < 1:
        raise ValueError(f"threads must be an integer of at least 1, got {threads!r}")
    return min(count, _CORES)  # more would only cut the work small


def apply(
    kernel: Callable[..., Any],
    reads: tuple[Array | None, ...],
    writes: tuple[Array | None, ...],
    threads: int,
) -> None:
    """Call `kernel(*reads, *writes)` on rows until all are done.

    `reads[0]` are the logits; its axes but the last index the rows and are the leading axes of
    every other array; None is handed on. The kernel sees C-contiguous arrays of one leading axis,
    and numbers of 16 bits as integers. Each thread gets `tuning.THREAD_BYTES` at least. Raises
    ValueError if `threads` is no integer or less than 1.
    """
    logits, arrays = reads[0], reads + writes
    assert logits is not None
    plain = True
    for array in arrays:
        plain = plain and (array is None or is_plain(array))
    threads = check_threads(threads)
    if threads > 1:
        threads = max(1, min(threads, logits.nbytes // tuning.THREAD_BYTES))
    if plain and threads == 1 and logits.ndim == 2:
        kernel(*[array if array is None else as_compiled(array) for array in arrays])
        return
    if logits.ndim == 1:  # a single row
        logits = logits[np.newaxis]
        arrays = tuple(array if array is None else array[np.newaxis] for array in arrays)
    leading = logits.shape[:-1]
    rows = math.prod(leading)
    if plain:  # without copies the fewest calls are best
        step = max(1, -(-rows // threads))
    else:
        row_bytes = max(1, logits.shape[-1] * logits.itemsize)
        step = max(1, min(BLOCK_BYTES // row_bytes, -(-rows // threads)))

    def run(start: int) -> None:
        stop = min(start + step, rows)
        blocks = [a if a is None else _load(a, leading, start, stop) for a in arrays]
        kernel(*[block if block is None else as_compiled(block) for block in blocks])
        for array, block in zip(arrays[len(reads) :], blocks[len(reads) :], strict=True):
            if array is not None and not is_plain(array):
                array[_index(leading, start, stop)] = block

    in_parallel(run, range(0, rows, step), threads)


def in_parallel(run: Callable[[int], None], starts: Iterable[int], threads: int) -> None:
    """Call `run` with every start, in so many threads; raise what one of them raised.

    The calling thread is one of them, and does what others cannot: once the main thread has ended
    Python starts no work in other threads, and a system may refuse to start threads at any time.
    """
    waiting = deque(starts)

    def work() -> None:
        while True:
            try:
                start = waiting.popleft()
            except IndexError:
                return
            run(start)

    helpers = []
    try:
        for _ in range(min(threads, len(waiting)) - 1):
            helpers.append(_pool(threads).submit(work))
    except RuntimeError:  # the interpreter is ending, or no more threads may be started
        pass
    try:
        work()
    finally:
        waiting.clear()
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in filter(None, errors):
        raise error


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that wait for work: waking one takes a tenth of what starting it does."""
    return ThreadPoolExecutor(threads, thread_name_prefix="softproof")


# A forked child has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def as_compiled(array: Array) -> Array:
    """The array as compiled code takes it: numbers of 16 bits as integers."""
    if array.dtype in WIDE or array.dtype.itemsize != 2:
        return array
    return array.view(_NARROW.get(array.dtype.name, array.dtype))


def are_ready(*arrays: Array) -> bool:
    """Whether compiled code can take all of them as they are: the quick answer for most calls."""
    for array in arrays:
        if not (array.flags.carray and array.dtype in WIDE and 1 <= array.ndim <= 2):
            return False
    return True


def is_plain(array: Array) -> bool:
    """Whether compiled code can take the array as it is."""
    flags = array.flags
    return bool(flags.c_contiguous and flags.aligned)


def _load(array: Array, leading: tuple[int, ...], start: int, stop: int) -> Array:
    """Return rows start to stop as one contiguous block: a view if possible, or a copy."""
    if is_plain(array):
        rows = array.reshape(math.prod(leading), *array.shape[len(leading) :])
        return rows[start:stop]
    return np.array(array[_index(leading, start, stop)], order="C")


def _index(leading: tuple[int, ...], start: int, stop: int) -> tuple[NDArray[np.intp], ...]:
    """Return the index arrays of rows start to stop along the leading axes."""
    return np.unravel_index(np.arange(start, stop), leading)
