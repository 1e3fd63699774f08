"""NumPy arrays to and from the arrays of other libraries, without a change of a single bit.

Memory layout goes along: what a library can express shares memory with the NumPy array, or has
the same strides on a device; what it cannot is refused, never copied into another layout.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from .subject import NotApplicable, SubjectError

Array = NDArray[Any]

MOST_MEMORY = 1 << 30  # bytes that go to a device under a view, more of them gaps than numbers


def to_native(array: Array, library: str, device: str = "") -> Any:
    """Return the same numbers in the same layout, as an array of a library.

    A tensor in the memory of the host shares it with ``array``, be that read-only or misaligned.

    Parameters
    ----------
    array
        A NumPy array of any shape and layout.
    library
        The library: numpy, torch, jax or cupy.
    device
        Where the result lives, as the library names it, such as "cuda:1" or "gpu:0"; "" for its
        default.

    Returns
    -------
    array
        The array of the library, bit by bit the same.

    Raises
    ------
    NotApplicable
        For a layout or dtype that the library cannot express: negative strides in PyTorch, all but
        compact row-major arrays in JAX, misalignment on a device.
    SubjectError
        For a library, or a device, that there is not.
    """
    if library not in _CONVERSIONS:
        raise SubjectError(f"array library {library!r} is none of {', '.join(_CONVERSIONS)}")
    try:
        return _CONVERSIONS[library](array, device)
    except ImportError as error:
        raise SubjectError(f"there are no arrays of {library} here: {error}") from None


def to_numpy(native: Any) -> Array:
    """Bring an array of any library, or a number, into the memory of the host.

    Parameters
    ----------
    native
        The array; a tensor may require gradients.

    Returns
    -------
    numpy.ndarray
        The same numbers; a view of memory of the host keeps its strides.
    """
    torch = sys.modules.get("torch")  # whoever made a tensor has imported it
    if torch is not None and isinstance(native, torch.Tensor):
        host = native.detach().cpu().resolve_neg()
        name = str(host.dtype).removeprefix("torch.")
        if name == "bfloat16" or name.startswith("float8"):  # which NumPy has from ml_dtypes alone
            bits: Array = host.view(getattr(torch, f"int{8 * host.itemsize}")).numpy()
            return bits.view(getattr(ml_dtypes, name))
        tensor: Array = host.numpy()
        return tensor
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(native, cupy.ndarray):
        return np.asarray(native.get(order="A"))
    return np.asarray(native)


@functools.cache
def jax_with_float64() -> Any:
    """JAX, told to keep float64, which it otherwise makes float32."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


def _to_numpy(array: Array, device: str) -> Any:
    return array


def _to_torch(array: Array, device: str) -> Any:
    import torch

    if min(array.strides, default=0) < 0:
        raise NotApplicable("PyTorch has no negative strides")  # its from_dlpack would abort
    is_extended = array.dtype.isbuiltin == 2  # of ml_dtypes, which DLPack takes as bits
    try:
        tensor = torch.from_dlpack(array.view(f"i{array.itemsize}") if is_extended else array)
    except BufferError as error:
        raise NotApplicable(f"PyTorch cannot express the array: {error}") from None
    if is_extended:
        tensor = tensor.view(getattr(torch, array.dtype.name))
    try:
        place = torch.empty(0, device=device or "cpu").device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise SubjectError(f"PyTorch has no device {device!r}: {reason}") from None
    if place.type == "cpu" or not array.size:
        return tensor.to(place)
    if not array.flags.aligned:
        raise NotApplicable("memory on a device is aligned")
    # The memory under the array goes over as it lies, and the same view is made of it there.
    extent = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    _demand_memory(extent * array.itemsize)
    memory = tensor.as_strided((extent,), (1,)).to(place)
    return memory.as_strided(tensor.shape, tensor.stride())


def _to_jax(array: Array, device: str) -> Any:
    jax = jax_with_float64()
    if not (array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative):
        raise NotApplicable("JAX has only compact row-major arrays")
    platform, _, index = device.partition(":")
    try:
        place = jax.devices(platform)[int(index or 0)] if device else None
    except (RuntimeError, IndexError, ValueError) as error:
        raise SubjectError(f"JAX has no device {device!r}: {error}") from None
    native = jax.device_put(array, place)
    if native.dtype != array.dtype:
        raise NotApplicable(f"JAX makes {native.dtype} of {array.dtype}")
    return native


def _to_cupy(array: Array, device: str) -> Any:
    import cupy

    if array.dtype.isbuiltin == 2:
        raise NotApplicable(f"CuPy has no {array.dtype}")
    if any(stride % array.itemsize for stride in array.strides) or not array.flags.aligned:
        raise NotApplicable("memory on a device is aligned")
    # As for PyTorch, but that axes may descend: then the view of the memory is flipped.
    ascending = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in array.strides)
    flipped = array[ascending]
    extent = sum((n - 1) * s for n, s in zip(flipped.shape, flipped.strides, strict=True))
    _demand_memory(extent)
    extent = 1 + extent // array.itemsize if array.size else 0
    memory = np.lib.stride_tricks.as_strided(flipped, (extent,), (array.itemsize,))
    with cupy.cuda.Device(int(device.partition(":")[2] or 0)):
        view = cupy.lib.stride_tricks.as_strided(
            cupy.asarray(memory), flipped.shape, flipped.strides
        )
    return view[ascending]


def _demand_memory(size: int) -> None:
    if size > MOST_MEMORY:
        raise NotApplicable(f"the view spans {size >> 30} GiB, too much to copy to a device")


_CONVERSIONS: dict[str, Callable[[Array, str], Any]] = {
    "numpy": _to_numpy,
    "torch": _to_torch,
    "jax": _to_jax,
    "cupy": _to_cupy,
}
