"""The arithmetic xp of numbers with running errors: a definition's formula, evaluated in bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from . import elementary, gaussians, order, sigmoids, sums, trigonometric
from .constants import H
from .model import Model
from .numbers import RunningNumber, as_number, constant, finish, stack
from .softmax import softmax


class RunningErrorArithmetic:
    """What a formula may use, over ``RunningNumber``; the functions are those of every arithmetic.

    Exact numbers become numbers of this system by ``number`` and ``array``.  The rules and their
    proofs stand in ``numbers``, ``elementary``, ``sigmoids``, ``gaussians``, ``trigonometric``,
    ``sums``, ``order`` and ``softmax``.

    >>> from ..arithmetic.formats import BINARY32
    >>> xp = RunningErrorArithmetic(Model.of(BINARY32))
    >>> y = xp.exp(xp.array([0.0, -1.0]))
    >>> (y.error / 2.0**-24).round(2).tolist()
    [8.0, 2.94]
    """

    name = "running errors"
    symbolic = False

    exp = staticmethod(elementary.exp)
    expm1 = staticmethod(elementary.expm1)
    log = staticmethod(elementary.log)
    log1p = staticmethod(elementary.log1p)
    sqrt = staticmethod(elementary.sqrt)
    rsqrt = staticmethod(elementary.rsqrt)
    pow = staticmethod(elementary.pow)
    tanh = staticmethod(sigmoids.tanh)
    sigmoid = staticmethod(sigmoids.sigmoid)
    softplus = staticmethod(sigmoids.softplus)
    erf = staticmethod(gaussians.erf)
    normal_cdf = staticmethod(gaussians.normal_cdf)
    normal_pdf = staticmethod(gaussians.normal_pdf)
    scaled_cylinder = staticmethod(gaussians.scaled_cylinder)
    sin = staticmethod(trigonometric.sin)
    cos = staticmethod(trigonometric.cos)
    atan = staticmethod(trigonometric.atan)
    acos = staticmethod(trigonometric.acos)
    abs = staticmethod(order.abs)
    positive_part = staticmethod(order.positive_part)
    descending = staticmethod(order.descending)
    shifted = staticmethod(order.shifted)
    softmax = staticmethod(softmax)
    outer = staticmethod(sums.outer)
    by_sign = staticmethod(order.by_sign)
    hull = staticmethod(order.hull)
    step = staticmethod(order.step)
    ranks = staticmethod(order.ranks)

    def __init__(self, model: Model):
        self.model = model

    def number(self, exact: Any) -> RunningNumber:
        """An exact number, rounded to the operations' format unless that holds it."""
        return as_number(self.model, exact)

    def array(self, values: Any) -> RunningNumber:
        """An array of exact numbers, of any shape; numbers of this system are kept."""
        if isinstance(values, RunningNumber):
            return values
        if isinstance(values, np.ndarray):
            if values.dtype == object and any(isinstance(v, RunningNumber) for v in values.flat):
                flat = stack(self.model, list(values.flat))
                return flat.map(lambda part: part.reshape(values.shape))
            return constant(self.model, values)
        if isinstance(values, Iterable):
            return stack(self.model, [self.array(value) for value in values])
        return constant(self.model, values)

    def vector(self, values: Iterable[Any]) -> RunningNumber:
        """A vector of exact numbers, or of numbers of this system."""
        return self.array(values if isinstance(values, np.ndarray) else list(values))

    @property
    def pi(self) -> RunningNumber:
        """The number pi, rounded."""
        off = math.pi * H
        rounding = off + self.model.u * math.pi
        return finish(self.model, math.pi, off, off, rounding)

    def counts(self, n: int) -> RunningNumber:
        """1, 2, ..., n."""
        return constant(self.model, np.arange(1, n + 1))

    def sum(self, terms: Any, axis: int | None = None) -> RunningNumber:
        """The sum over an axis, or of all."""
        return sums.sum(self.model, terms, axis)

    def mean(self, terms: Any, axis: int | None = None) -> RunningNumber:
        """The mean over an axis, or of all."""
        return sums.mean(self.model, terms, axis)

    def cumsum(self, terms: Any) -> RunningNumber:
        """The partial sums of the last axis."""
        return sums.cumsum(self.model, self.array(terms))

    def dot(self, a: Any, b: Any) -> RunningNumber:
        """The product of vectors and matrices."""
        return sums.dot(self.model, self.array(a), self.array(b))

    def max(self, values: Any, axis: int | None = None) -> RunningNumber:
        """The largest over an axis, or of all."""
        return order.max(self.array(values), axis)

    def min(self, values: Any, axis: int | None = None) -> RunningNumber:
        """The least over an axis, or of all."""
        return order.min(self.array(values), axis)

    def maximum(self, a: Any, b: Any) -> RunningNumber:
        """The larger of two, element by element."""
        return order.maximum(self.number(a), self.number(b))

    def minimum(self, a: Any, b: Any) -> RunningNumber:
        """The smaller of two, element by element."""
        return -order.maximum(-self.number(a), -self.number(b))

    def where(self, mask: Any, a: Any, b: Any) -> RunningNumber:
        """a where a mask is true, b elsewhere."""
        return order.where(mask, self.number(a), self.number(b))

    def stack(self, items: Sequence[Any]) -> RunningNumber:
        """Numbers or arrays of one shape along a new first axis."""
        return stack(self.model, items)

    def concatenate(self, items: Sequence[Any]) -> RunningNumber:
        """Vectors, or arrays along their first axis, one after another."""
        found = [self.array(item).parts() for item in items]
        return RunningNumber(
            self.model, *(np.concatenate(part) for part in zip(*found, strict=True))
        )

    def put(self, a: Any, index: Any, value: Any) -> RunningNumber:
        """The array with other entries at an index; the array itself does not change."""
        new = self.number(value)

        def replaced(old: Any, entries: Any) -> Any:
            changed = np.array(old)
            changed[index] = entries
            return changed

        parts = zip(self.array(a).parts(), new.parts(), strict=True)
        return RunningNumber(self.model, *(replaced(x, y) for x, y in parts))

    # What reverse mode needs of arrays.

    def zeros(self, shape: int | tuple[int, ...]) -> RunningNumber:
        """Exact zeros."""
        return constant(self.model, np.zeros(shape))

    def broadcast(self, a: Any, shape: tuple[int, ...]) -> RunningNumber:
        """The array repeated to a shape."""
        return self.number(a).map(lambda part: np.broadcast_to(part, shape))

    def expand_dims(self, a: Any, axis: int) -> RunningNumber:
        """The array with an axis of length 1 more."""
        return self.number(a).map(lambda part: np.expand_dims(part, axis))

    def scatter(self, shape: int | tuple[int, ...], index: Any, values: Any) -> RunningNumber:
        """Zeros with values at an index, the transpose of taking them; what meets adds up."""
        values = self.number(values)
        places = np.arange(math.prod(shape) if isinstance(shape, tuple) else shape)
        taken = places.reshape(shape)[index]
        if len(np.unique(taken)) == taken.size:
            return self.put(self.zeros(shape), index, values)
        total = self.zeros(places.shape)
        flat = values.map(lambda part: np.broadcast_to(part, taken.shape).reshape(-1))
        for place, k in zip(taken.reshape(-1), range(taken.size), strict=True):
            total = self.put(total, int(place), total[int(place)] + flat[k])
        return total.map(lambda part: part.reshape(shape))
