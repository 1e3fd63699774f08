"""Numbers of 16 bits by way of float32, for kernels whose compiled code does not know them."""

from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from . import rows

Array = NDArray[Any]


def apply_wide(
    kernel: Callable[..., Any],
    reads: tuple[Array, ...],
    writes: tuple[Array | None, ...],
    threads: int,
) -> None:
    """As `rows.apply`; numbers of 16 bits are float32 to the kernel, and its results rounded."""
    written = [np.empty(w.shape, np.float32) if _is_narrow(w) else w for w in writes]
    wide = [r.astype(np.float32) if _is_narrow(r) else r for r in reads]  # which is exact
    rows.apply(kernel, tuple(wide), tuple(written), threads)
    for result, computed in zip(writes, written, strict=True):
        if _is_narrow(result):
            with np.errstate(over="ignore", under="ignore"):
                result[...] = computed


def _is_narrow(array: Array | None) -> TypeGuard[Array]:
    return array is not None and array.itemsize == 2
