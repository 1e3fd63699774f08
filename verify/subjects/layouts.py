"""Memory layouts by name: the same numbers, elsewhere."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .subject import NotApplicable

Array = NDArray[Any]

ALIGNMENT = 64  # bytes: the widest vector, and a cache line
# Linux then gives addresses without counting them as memory; the module has the name since 3.13.
NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
LEAST_USED = 1 << 16  # bytes of memory that is used again
FAR = 2**32  # elements: the last row of a far array starts beyond


def lay_out(array: Array, layout: str) -> Array:
    """Copy an array into a memory layout.

    ValueError for another name, for rows that differ where they are to be one, and where the array
    has too few axes or rows; NotApplicable where the system gives no such memory.

    Parameters
    ----------
    array
        The array, of any shape that the layout can have.
    layout
        The name of the layout, one of LAYOUTS.

    Returns
    -------
    numpy.ndarray
        An array with the same shape and numbers.

    Raises
    ------
    ValueError
        For another name, for rows that differ where they are to be one, and where the array has too
        few axes or rows.
    NotApplicable
        If the system gives no such memory.

    Examples
    --------
    >>> x = np.arange(6.0).reshape(2, 3)
    >>> lay_out(x, "reversed").strides, lay_out(x, "fortran").strides
    ((24, -8), (8, 16))
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; use one of {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](array)


def _filled(place: Array, array: Array) -> Array:
    place[...] = array
    return place


def _in_buffer(array: Array, offset: int) -> Array:
    """C order, so many bytes behind an aligned address; NaN around it for who reads too much."""
    margin = 2 * ALIGNMENT
    buffer = np.full(array.nbytes + 3 * margin, 0xFF, dtype=np.uint8)  # all bits set: NaN
    start = -buffer.ctypes.data % ALIGNMENT + margin + offset
    place: Array = np.ndarray(array.shape, array.dtype, buffer.data, start)
    return _filled(place, array)


def contiguous(array: Array) -> Array:
    """Lay an array out in C order, aligned to vectors and cache lines."""
    return _in_buffer(array, 0)


_used: dict[int, Array] = {}


def in_used_memory(array: Array, place: int) -> Array:
    """Lay an array out in C order where the array before it lay, at the same address.

    Who keeps results by the address of their input, or reads what an input held before, is seen so.

    Parameters
    ----------
    array
        The array, of any shape.
    place
        Which memory: a number for each argument of a call.

    Returns
    -------
    numpy.ndarray
        An array with the same shape and numbers, until the next is laid out in its place.

    Examples
    --------
    >>> addresses = [in_used_memory(np.ones(n), n // 4).ctypes.data for n in (2, 3, 4)]
    >>> addresses[0] == addresses[1], addresses[1] == addresses[2]
    (True, False)
    """
    least = array.nbytes + ALIGNMENT
    if place not in _used or _used[place].size < least:
        _used[place] = np.empty(max(least, LEAST_USED), dtype=np.uint8)
    memory = _used[place]
    start = -memory.ctypes.data % ALIGNMENT
    return _filled(np.ndarray(array.shape, array.dtype, memory.data, start), array)


def offset(array: Array) -> Array:
    """Lay an array out in C order, aligned to its elements but to no vector."""
    return _in_buffer(array, array.itemsize)


def misaligned(array: Array) -> Array:
    """Lay an array out in C order, at an odd address."""
    return _in_buffer(array, 1)


def read_only(array: Array) -> Array:
    """Lay an array out in C order, not to be written."""
    copy = contiguous(array)
    copy.flags.writeable = False
    return copy


def fortran(array: Array) -> Array:
    """Lay an array out so that the first axis runs fastest."""
    return np.array(array, order="F")


def strided(array: Array) -> Array:
    """Lay an array out as every third element of the last axis; NaN between, of integers -1."""
    _demand_axes(array, 1, "strided")
    between = -1 if array.dtype.kind == "i" else np.nan
    wide = np.full((*array.shape[:-1], 3 * array.shape[-1]), between).astype(array.dtype)
    return _filled(wide[..., ::3], array)


def reversed_(array: Array) -> Array:
    """Lay an array out so that the last axis runs backwards."""
    _demand_axes(array, 1, "reversed")
    return contiguous(array[..., ::-1])[..., ::-1]


def broadcast(array: Array) -> Array:
    """Lay equal rows out as one: the first axis has stride 0, and writing is refused."""
    _demand_axes(array, 2, "broadcast")
    if len({row.tobytes() for row in array}) != 1:
        raise ValueError("layout is 'broadcast', which needs one row or more, all the same")
    return np.broadcast_to(contiguous(array[0]), array.shape)


def far(array: Array) -> Array:
    """Lay rows out so far apart that the last starts beyond 2^32 elements.

    Of three rows the middle one starts beyond 2^31. (Tens of GiB of addresses, some KiB of pages:
    only the rows themselves are in memory.)
    """
    _demand_axes(array, 2, "far")
    if len(array) < 2:
        raise ValueError(f"layout is 'far', which needs two rows; this array has {len(array)}")
    rest = array[0].size
    apart = FAR // (len(array) - 1) + 16 + rest
    size = ((len(array) - 1) * apart + rest) * array.itemsize
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE)
    except (OSError, ValueError, OverflowError) as error:
        raise NotApplicable(f"no {size >> 30} GiB of addresses here: {error}") from None
    inner = contiguous(array[0]).strides
    place: Array = np.ndarray(
        array.shape, array.dtype, memory, strides=(apart * array.itemsize, *inner)
    )
    return _filled(place, array)


def _demand_axes(array: Array, least: int, layout: str) -> None:
    if array.ndim < least:
        raise ValueError(
            f"layout is {layout!r}, which needs {least} axes; this array has {array.ndim}"
        )


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": contiguous,
    "offset": offset,
    "misaligned": misaligned,
    "read_only": read_only,
    "fortran": fortran,
    "strided": strided,
    "reversed": reversed_,
    "broadcast": broadcast,
    "far": far,
}
