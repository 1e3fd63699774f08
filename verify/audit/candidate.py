"""Implementations as the checks of other people call them: arrays of a library, any axes in front.

A planted implementation takes a batch along one axis, in NumPy.  A check may call it with tensors,
with several axes of cases or with none, and name the last axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.definition import Definition
from ..subjects.arrays import to_native, to_numpy

Array = NDArray[Any]
AXIS_NAMES = ("dim", "axis")


def as_candidate(function: Callable[..., Any], definition: Definition) -> Callable[..., Any]:
    """A function of batches as one of arrays with any axes in front of those of the definition.

    Parameters
    ----------
    function
        An implementation in NumPy, of ``power.computed``.
    definition
        What it implements.

    Returns
    -------
    function
        It takes arrays of NumPy, PyTorch or JAX, in the order of the definition's arguments, and
        gives arrays of the same library; ``dim`` or ``axis`` by name, where it is the last one.
        TypeError or ValueError for what is not taken.

    >>> from softproof.derivations import lookup
    >>> from softproof.verify.power.computed import implementation, right
    >>> softmax = as_candidate(implementation(lookup("softmax"), right, "f", ""), lookup("softmax"))
    >>> softmax(np.zeros((2, 3, 4), np.float32), axis=-1).shape, softmax(np.zeros(4)).shape
    ((2, 3, 4), (4,))
    """
    kinds = definition.signature.arguments

    def candidate(*arguments: Any, **keywords: Any) -> Any:
        if len(arguments) > len(kinds):
            raise TypeError(f"{len(arguments)} arguments are given, of {', '.join(kinds)}")
        given = dict(zip(kinds, arguments, strict=False))
        given |= {name: keywords.pop(name) for name in kinds if name in keywords}
        if missing := kinds.keys() - given.keys():
            raise TypeError(f"the argument {min(missing)} is missing")
        arrays = {name: to_numpy(given[name]) for name in kinds}
        lead = _leading(definition, arrays)
        _drop_last_axis(keywords, next(iter(arrays.values())).ndim)
        if definition.elementwise:
            result = function(*arrays.values(), **keywords)
        else:
            flat = [_flat(array, kinds[n].shared, lead) for n, array in arrays.items()]
            result = function(*flat, **keywords)
        library = _library(given)
        outputs = result if isinstance(result, tuple) else (result,)
        shaped = tuple(
            to_native(np.ascontiguousarray(_unflat(y, definition, lead)), library) for y in outputs
        )
        return shaped if len(shaped) > 1 else shaped[0]

    return candidate


def _leading(definition: Definition, arrays: dict[str, Array]) -> tuple[int, ...]:
    """The shape of the cases: what stands before the axes of the first argument."""
    kinds = definition.signature.arguments
    first = next(name for name, kind in kinds.items() if not kind.shared)
    own = len(kinds[first].axes)
    return arrays[first].shape[: arrays[first].ndim - own]


def _flat(array: Array, shared: bool, lead: tuple[int, ...]) -> Array:
    """An argument with all cases along one axis; a number for all cases repeated."""
    if shared:
        return array
    if array.shape[: len(lead)] != lead:
        array = np.broadcast_to(array, (*lead, *array.shape))
    return array.reshape(math.prod(lead), *array.shape[len(lead) :])


def _unflat(array: Array, definition: Definition, lead: tuple[int, ...]) -> Array:
    return array if definition.elementwise else array.reshape(*lead, *array.shape[1:])


def _drop_last_axis(keywords: dict[str, Any], ndim: int) -> None:
    """Leave out a keyword that names the last axis; ValueError where it names another."""
    for name in AXIS_NAMES:
        if name in keywords and keywords.pop(name) not in (-1, ndim - 1):
            raise ValueError(f"{name} has to be the last axis")


def _library(given: dict[str, Any]) -> str:
    """The library of the first array."""
    library = type(next(iter(given.values()))).__module__.partition(".")[0]
    return {"torch": "torch", "jax": "jax", "jaxlib": "jax", "cupy": "cupy"}.get(library, "numpy")
