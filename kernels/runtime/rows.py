"""The driver of all kernels: from the arrays of a caller to rows, and back.

A kernel is compiled code that acts on C-contiguous rows; `RowKernel` says what it needs. `call`
checks the arguments, brings arrays of any shape, strides and axis to rows, lets `run` share them
out to threads, and brings the result back to the axis of the caller:

    call     arguments -> logits with their axis last, vectors like them, the array to write to
             or all as it is, if compiled code can take it so: most calls
    run      one long row at a time, shared out to all threads, if rows are few and long;
             else blocks of rows, copied where strides demand it, one block per thread (`apply`)

Kernels with labels check these in `labels` and enter at `run`. Each row is computed from that row
alone, so results do not depend, not in one bit, on shape, strides or threads.
"""

import functools
import math
import operator
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import ArrayLike, NDArray

from . import tuning

BLOCK_BYTES = 1 << 20
"""Rows that must be copied because of their strides are copied in blocks of this size."""

WIDE = frozenset((np.dtype(np.float32), np.dtype(np.float64)))
"""The dtypes that are computed in themselves."""

_NARROW: dict[str, type[np.integer[Any]]] = {"float16": np.int16, "bfloat16": np.uint16}
"""Compiled code sees numbers of 16 bits as integers; see `simd`."""

_CORES = os.cpu_count() or 1

Array = NDArray[Any]


def _no_options(dtype: Any, streams: bool) -> tuple[Any, ...]:
    return ()


class RowKernel(NamedTuple):
    """Compiled code that acts on rows, and how the driver may use it."""

    compute: Callable[..., Any]
    """compute(*reads, *writes, *options): fill the arrays to write from those to read, of which the
    first are the logits. All are C-contiguous, their leading axes the rows; some may be None.
    Numbers of 16 bits come as integers, see `simd`."""
    compute_long: Callable[..., Any] | None = None
    """compute_long(threads, *reads, *writes, *options): the same of one row, with so many threads,
    to the same bits. The row is an array of one axis; what has one number for each row, of one."""
    is_long: Callable[[Array], bool] | None = None
    """Whether rows of these logits are long enough for that."""
    options: Callable[..., tuple[Any, ...]] = _no_options
    """options(dtype, streams, *settings): what `compute` is given besides arrays, from the dtype of
    the logits, whether to write the result past the caches, and the settings of a `call`. It
    refuses settings that are out of range."""
    per_row: bool = False
    """The result has one number for each row; else it has the shape of the logits."""
    in_two_axes: bool = False
    """The code is written without vectors: it takes float32 and float64 only, in two axes. Numbers
    of 16 bits are widened to float32 for it, which is exact, and its results rounded once."""
    streams_short_rows: bool = False
    """It writes short rows in groups, so that they may be streamed: see `past_caches`."""


def call(
    kernel: RowKernel,
    arrays: tuple[ArrayLike, ...],
    settings: tuple[Any, ...],
    axis: int,
    out: Array | None,
    threads: int,
    *,
    names: tuple[str, ...] = ("logits",),
    narrow: bool = True,
) -> Array:
    """Check the arguments, compute all rows, and return the result with the axes of the caller.

    Parameters
    ----------
    kernel
        It is given the arrays, the result, and its options.
    arrays
        The logits, and arrays of their shape and dtype, as `as_logits` takes them.
    settings
        What `RowKernel.options` is given of the caller's arguments.
    axis, out, threads
        As every public function has them. Without `out`, a single number is returned as a scalar.
    names
        What the caller calls the arrays, for errors.
    narrow
        Whether numbers of 16 bits are taken.
    """
    if threads == 1 and axis == -1:  # what a call costs at all counts for a handful of logits
        result = _result_as_it_is(kernel, arrays, out)
        if result is not None:
            streams = result.nbytes >= tuning.STREAM_BYTES and past_caches(
                out, result, *arrays, short_rows=kernel.streams_short_rows
            )
            options = kernel.options(result.dtype, streams, *settings)
            if not (kernel.per_row or kernel.in_two_axes) or result.ndim + kernel.per_row == 2:
                kernel.compute(*arrays, result, *options)
                return result
            alone = [np.asarray(array)[np.newaxis] for array in (*arrays, result)]
            kernel.compute(*alone, *options)
            return result[()] if out is None and kernel.per_row else result
    x = as_logits(arrays[0], axis, name=names[0], narrow=narrow)
    reads: tuple[Array, ...] = (x,)
    for vector, name in zip(arrays[1:], names[1:], strict=True):
        reads += (as_vector(vector, x, axis, name=name, like_name=names[0]),)
    streams = False
    if kernel.per_row:
        y = output(out, x.shape[:-1], x, name=names[0])
    else:
        for array, name in zip(reads if out is not None else (x,), names, strict=False):
            y = output(out, x.shape, array, axis, name=name)
        streams = past_caches(out, y, *reads, short_rows=kernel.streams_short_rows)
    run(kernel, reads, (y,), threads, kernel.options(x.dtype, streams, *settings))
    if kernel.per_row:
        return y if out is not None else y[()]
    return at_axis(y, axis)


def _result_as_it_is(kernel: RowKernel, arrays: tuple[Any, ...], out: Array | None) -> Array | None:
    """The array to write to, if compiled code can take all arrays as they are, as in most calls;
    None if that needs a closer look."""
    x = arrays[0]
    if type(x) is not np.ndarray or x.dtype not in WIDE or not x.flags.carray:
        return None
    shape = x.shape
    if len(shape) != 2 and len(shape) != 1:
        return None
    for array in arrays[1:]:
        if type(array) is not np.ndarray or array.dtype != x.dtype or array.shape != shape:
            return None
        if not array.flags.carray:
            return None
    if kernel.per_row:
        shape = shape[:-1]
    if out is None:
        return np.empty(shape, x.dtype)
    if type(out) is not np.ndarray or out.dtype != x.dtype or out.shape != shape:
        return None
    if not out.flags.carray:
        return None
    for array in arrays:
        if out is not array and np.may_share_memory(out, array):
            return None
    return out


def at_axis(array: Array, axis: int) -> Array:
    """The array, whose rows are its last axis, with this axis where the caller has it."""
    return array if axis == -1 else np.moveaxis(array, -1, axis)


def run(
    kernel: RowKernel,
    reads: tuple[Array | None, ...],
    writes: tuple[Array | None, ...],
    threads: int,
    options: tuple[Any, ...] = (),
) -> None:
    """Compute all rows. `reads` and `writes` are as in `apply`, `options` as in `RowKernel`."""
    if threads != 1:
        threads = check_threads(threads)
    if kernel.in_two_axes and _is_narrow(reads[0]):
        wide = tuple(r.astype(np.float32) if _is_narrow(r) else r for r in reads)
        written = tuple(np.empty(w.shape, np.float32) if _is_narrow(w) else w for w in writes)
        apply(lambda *arrays: kernel.compute(*arrays, *options), wide, written, threads)
        with np.errstate(over="ignore", under="ignore"):
            for result, computed in zip(writes, written, strict=True):
                if result is not None and computed is not None and result is not computed:
                    result[...] = computed
    elif threads > 1 and _are_for_all_threads(kernel, (*reads, *writes), threads):
        assert kernel.compute_long is not None
        for row in _single_rows((*reads, *writes)):
            kernel.compute_long(threads, *row, *options)
    else:
        apply(lambda *arrays: kernel.compute(*arrays, *options), reads, writes, threads)


def _is_narrow(array: Array | None) -> TypeGuard[Array]:
    return array is not None and array.dtype.itemsize == 2


def _are_for_all_threads(kernel: RowKernel, arrays: tuple[Array | None, ...], threads: int) -> bool:
    """Whether the rows are fewer than the threads, and long enough to share each of them out."""
    x = arrays[0]
    assert x is not None
    return (
        kernel.is_long is not None
        and x.size // max(x.shape[-1], 1) < threads
        and x.nbytes >= 2 * tuning.THREAD_BYTES
        and kernel.is_long(x)
        and all(array is None or is_plain(array) for array in arrays)
    )


def _single_rows(arrays: tuple[Array | None, ...]) -> Iterator[list[Array | None]]:
    """Yield what `RowKernel.compute_long` takes of arrays that are plain: views of each row."""
    x = arrays[0]
    assert x is not None
    classes = x.shape[-1]
    for i in range(x.size // classes):
        at, alone = slice(i * classes, (i + 1) * classes), slice(i, i + 1)
        yield [
            a if a is None else as_compiled(a.reshape(-1)[at if a.ndim == x.ndim else alone])
            for a in arrays
        ]


def share_out(work: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call work(first, last) on as many ranges as threads, which are 0 ... count - 1 together."""
    step = max(1, -(-count // threads))
    in_parallel(lambda first: work(first, min(first + step, count)), range(0, count, step), threads)


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
    if array.dtype not in WIDE and not (narrow and _integers(array.dtype)):
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


def past_caches(out: Array | None, result: Array, *reads: Any, short_rows: bool = False) -> bool:
    """Whether to write the result past the caches: if it is large, and its rows are not too short.

    `short_rows` says whether the kernel writes short rows in groups. Fresh memory is written
    through the caches: the operating system has just cleared it there.
    """
    if out is None or result.nbytes < tuning.STREAM_BYTES:
        return False
    least = tuning.STREAM_GROUPED_ROW_BYTES if short_rows else tuning.STREAM_ROW_BYTES
    row_bytes = result.shape[-1] * result.itemsize
    return row_bytes >= least and not any(is_same_memory(result, array) for array in reads)


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
    if threads != 1:
        threads = max(1, min(check_threads(threads), logits.nbytes // tuning.THREAD_BYTES))
    if logits.ndim == 1:  # a single row
        logits = logits[np.newaxis]
        arrays = tuple(array if array is None else array[np.newaxis] for array in arrays)
    if plain and threads == 1 and logits.ndim == 2:
        kernel(*[array if array is None else as_compiled(array) for array in arrays])
        return
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
    return array.view(_integers(array.dtype) or array.dtype)


@functools.cache
def _integers(dtype: np.dtype[Any]) -> type[np.integer[Any]] | None:
    """The integers as which compiled code sees numbers of this dtype; None if it does not."""
    return _NARROW.get(dtype.name) if dtype.isnative else None


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
