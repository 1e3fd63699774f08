"""Numbers of 16 bits by way of float32, for kernels whose compiled code does not know them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import rows

Array = NDArray[Any]


def wide(x: Array) -> Array:
    """Numbers of 16 bits as float32, which is exact; others as they are."""
    return x if x.dtype in rows.WIDE else x.astype(np.float32)


def wide_result(result: Array) -> Array:
    """What to write in place of a result: itself, or float32 for one of 16 bits."""
    return result if result.dtype in rows.WIDE else np.empty(result.shape, np.float32)


def narrow(written: Array, result: Array) -> None:
    """Round what was written in place of a result into it."""
    if written is not result:
        with np.errstate(over="ignore"):
            result[...] = written.astype(result.dtype)
