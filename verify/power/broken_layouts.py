"""Softmaxes that are right for an ordinary array, each with one wrong idea of memory.

Who takes memory for what it is not reads elsewhere.  Here that is simulated within the memory that
the array spans: what lies outside of it is read as 0.
"""

import ctypes

import numpy as np
from numpy.lib.array_utils import byte_bounds


def softmax(x, axis=-1):
    """A right softmax over any axis, in binary64."""
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=axis, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=axis, keepdims=True)).astype(x.dtype)


def _read(x, address):
    """Read as many numbers as x has, in C order from an address on."""
    low, high = byte_bounds(x)
    start = max(low, address)
    there = ctypes.string_at(start, min(high - start, x.nbytes))
    return np.frombuffer(there.ljust(x.nbytes, b"\0"), x.dtype).reshape(x.shape)


def ignores_strides(x):
    """The array is taken to be in C order."""
    return softmax(_read(x, x.ctypes.data) if x.ndim == 2 and x.size else x)


def knows_only_row_strides(x):
    """A leading dimension, as in BLAS, but neighbours in a row are neighbours in memory."""
    if x.ndim < 2:
        return softmax(x)
    return softmax(np.stack([_read(row, row.ctypes.data) for row in x])) if len(x) else x.copy()


def transposes_fortran_order(x):
    """Whatever is contiguous is taken to be in C order."""
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        return softmax(x.ravel(order="K").reshape(x.shape))
    return softmax(x)


def _at_row_offsets(x, integer):
    if x.ndim < 2:
        return softmax(x)
    offsets = np.arange(len(x)) * (x.strides[0] // x.itemsize)
    reached = offsets.astype(integer) == offsets
    return softmax(np.where(reached[:, None], x, x.dtype.type(0)))


def offsets_of_31_bits(x):
    """The index into the array is an int32."""
    return _at_row_offsets(x, np.int32)


def offsets_of_32_bits(x):
    """The index into the array is a uint32."""
    return _at_row_offsets(x, np.uint32)


def aligned_elements(x):
    """The address is rounded down to one of an element."""
    if x.ndim == 2 and x.flags.c_contiguous:
        return softmax(_read(x, x.ctypes.data)) if x.flags.aligned else softmax(np.roll(x, 1))
    return softmax(x)


def aligned_vectors(x):
    """Loads of vectors that must be aligned to 16 bytes: those of others are shifted."""
    if x.ndim == 2 and x.flags.c_contiguous and x.ctypes.data % 16:
        return softmax(np.roll(x, 1))
    return softmax(x)


def negative_strides_are_sizes(x):
    """|stride| is taken: the row is read backwards."""
    return softmax(x[..., ::-1] if x.ndim and x.strides[-1] < 0 else x)


def one_row_of_many(x):
    """A stride of 0 is taken for an array of one row."""
    if x.ndim == 2 and x.strides[0] == 0:
        result = np.zeros(x.shape, x.dtype)
        result[0] = softmax(x[0])
        return result
    return softmax(x)


def shifts_in_place(x):
    """The maximum is subtracted in place unless that would need a copy anyway."""
    if x.ndim == 2 and x.size and x.flags.writeable and not x.flags.c_contiguous:
        x -= x.max(axis=-1, keepdims=True)
    return softmax(x)


def borrows_the_input(x):
    """The input is used as scratch memory, and restored."""
    if x.size:
        before = x.copy()
        x[...] = 0
        x[...] = before
    return softmax(x)


def last_axis_only(x, axis=-1):
    """An axis is accepted and not looked at."""
    return softmax(x)


def first_axis_by_swapping_two(x, axis=-1):
    """The first axis is exchanged with the second, which in two dimensions is the last."""
    return softmax(x.swapaxes(0, 1)).swapaxes(0, 1) if axis == 0 else softmax(x, axis)


def refuses_no_rows(x):
    """The maximum of the whole batch is taken for a scale: there is none without rows."""
    np.max(x)
    return softmax(x)


def one_half_of_a_number(x):
    """A row of one class with no dimensions, taken for a logistic function."""
    return softmax(x) if x.ndim else np.array(0.5, x.dtype)


def always_two_dimensions(x):
    """The result of np.atleast_2d is never brought back to one dimension."""
    return softmax(np.atleast_2d(x))
