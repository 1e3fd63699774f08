"""Arrays of numbers, taken apart and put together: nothing is computed, so nothing errs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

Number = TypeVar("Number")


class Arrays(ABC, Generic[Number]):
    """What an arithmetic can do with arrays of numbers that are made of several NumPy arrays."""

    @abstractmethod
    def number(self, exact: Any) -> Number:
        """An exact number, or an array of them; numbers of this system are kept."""

    @abstractmethod
    def combine(self, function: Callable[..., Any], numbers: Sequence[Number]) -> Number:
        """The number each part of which is a function of these parts of others."""

    def array(self, values: Any) -> Number:
        """An array of exact numbers, of any shape; numbers of this system are kept."""
        if isinstance(values, np.ndarray) and values.dtype != object:
            return self.number(values)
        if isinstance(values, Iterable) and not hasattr(values, "shape"):
            return self.stack(list(values))
        if isinstance(values, np.ndarray) and values.ndim:
            return self.stack(list(values))
        return self.number(values[()] if isinstance(values, np.ndarray) else values)

    def vector(self, values: Iterable[Any]) -> Number:
        """A vector of exact numbers, or of numbers of this system."""
        return self.array(values)

    def stack(self, items: Sequence[Any]) -> Number:
        """Numbers or arrays of one shape along a new first axis."""
        if not items:
            return self.number(np.zeros(0))
        return self.combine(lambda *parts: np.stack(parts), [self.array(item) for item in items])

    def concatenate(self, items: Sequence[Any]) -> Number:
        """Arrays along their first axis, one after another."""
        found = [self.array(item) for item in items]
        return self.combine(lambda *parts: np.concatenate(parts), found)

    def where(self, mask: Any, a: Any, b: Any) -> Number:
        """a where a mask is true, b elsewhere."""
        return self.combine(lambda x, y: np.where(mask, x, y), [self.number(a), self.number(b)])

    def counts(self, n: int) -> Number:
        """1, 2, ..., n."""
        return self.number(np.arange(1, n + 1))

    def put(self, a: Any, index: Any, value: Any) -> Number:
        """The array with other entries at an index; the array itself does not change."""

        def replaced(old: Any, entries: Any) -> Any:
            changed = np.array(old)
            changed[index] = entries
            return changed

        return self.combine(replaced, [self.array(a), self.number(value)])

    def zeros(self, shape: int | tuple[int, ...]) -> Number:
        """An array of exact zeros."""
        return self.number(np.zeros(shape))

    def broadcast(self, a: Any, shape: tuple[int, ...]) -> Number:
        """The array repeated to a shape."""
        return self.combine(lambda part: np.broadcast_to(part, shape), [self.number(a)])

    def expand_dims(self, a: Any, axis: int) -> Number:
        """The array with an axis of length 1 more."""
        return self.combine(lambda part: np.expand_dims(part, axis), [self.number(a)])

    def scatter(self, shape: int | tuple[int, ...], index: Any, values: Any) -> Number:
        """Zeros with values added at an index: the adjoint of ``a[index]``."""
        sizes = (shape,) if isinstance(shape, int) else shape
        if not _may_repeat(index):
            return self.put(self.zeros(sizes), index, values)
        places = np.arange(math.prod(sizes)).reshape(sizes)[index]
        found = self.broadcast(values, places.shape)
        if len(np.unique(places)) == places.size:
            return self.put(self.zeros(sizes), index, found)
        flat = self.combine(lambda part: part.reshape(-1), [found])
        total: Any = self.zeros(math.prod(sizes))
        for place, value in zip(places.reshape(-1).tolist(), flat, strict=True):  # type: ignore[call-overload]
            total = self.put(total, place, total[place] + value)
        return self.combine(lambda part: part.reshape(sizes), [total])


def _may_repeat(index: Any) -> bool:
    """Whether an index may name an entry twice, as one with arrays of whole numbers can."""
    parts = index if isinstance(index, tuple) else (index,)
    lists = (np.asarray(part) for part in parts if isinstance(part, np.ndarray | list))
    return any(part.ndim and part.dtype != np.bool_ for part in lists)
