"""Numbers of the adversary: arrays whose operators err as it does."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..constants import Array, is_constant


class ErringNumber:
    """An array that an ``Adversary`` has computed; operators err as the adversary does."""

    __slots__ = ("adversary", "value")
    __array_ufunc__ = None

    def __init__(self, adversary: Any, value: Any):
        self.adversary = adversary
        self.value: Array = np.asarray(value, dtype=np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self.value.ndim

    @property
    def T(self) -> ErringNumber:
        """The array with its axes in reverse order."""
        return ErringNumber(self.adversary, self.value.T)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> ErringNumber:
        return ErringNumber(self.adversary, self.value[index])

    def __neg__(self) -> ErringNumber:
        return ErringNumber(self.adversary, -self.value)

    def _operate(
        self, operation: Callable[[Any, Any], Any], other: Any, *, reverse: bool = False
    ) -> ErringNumber:
        if not isinstance(other, ErringNumber) and not is_constant(other):
            other_kind: ErringNumber = NotImplemented
            return other_kind
        pair = (self, self.adversary.number(other))
        found: ErringNumber = self.adversary.operate(operation, *(pair[::-1] if reverse else pair))
        return found

    def __add__(self, other: Any) -> ErringNumber:
        return self._operate(operator.add, other)

    def __sub__(self, other: Any) -> ErringNumber:
        return self._operate(operator.sub, other)

    def __mul__(self, other: Any) -> ErringNumber:
        return self._operate(operator.mul, other)

    def __truediv__(self, other: Any) -> ErringNumber:
        return self._operate(operator.truediv, other)

    def __rsub__(self, other: Any) -> ErringNumber:
        return self._operate(operator.sub, other, reverse=True)

    def __rtruediv__(self, other: Any) -> ErringNumber:
        return self._operate(operator.truediv, other, reverse=True)

    __radd__ = __add__
    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> ErringNumber:
        if exponent < 0:
            return 1 / self**-exponent
        power = self if exponent else ErringNumber(self.adversary, np.ones(self.shape))
        for _ in range(exponent - 1):
            power = power * self
        return power

    def _compare(self, operation: Callable[[Any, Any], Any], other: Any) -> Any:
        return operation(self.value, self.adversary.number(other).value)

    def __eq__(self, other: object) -> Any:
        return self._compare(operator.eq, other)

    __hash__ = None  # type: ignore[assignment]  # as of arrays

    def __lt__(self, other: Any) -> Any:
        return self._compare(operator.lt, other)

    def __gt__(self, other: Any) -> Any:
        return self._compare(operator.gt, other)

    def __le__(self, other: Any) -> Any:
        return self._compare(operator.le, other)

    def __ge__(self, other: Any) -> Any:
        return self._compare(operator.ge, other)
