"""The reference form of a definition in the arithmetic that a contract declares, and its errors.

The form of a definition that its bound is proven for (derivations/error_bounds), in
NumPy: elementary functions are rounded from binary64, sums are in the order and the accumulator of
the contract, and the result is rounded to the format once.  An implementation in the same
arithmetic should not be many times worse on the same rows, whatever its bound allows.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import ALL_FORMATS, Format
from ...derivations.arithmetic.systems import OBJECT, Arithmetic, ieee
from ...derivations.definition import AS_PUBLISHED
from ..subjects.contract import Contract

SUSPICIOUS = 3.0  # times the errors of the reference form; right ones stay within 2
LEAST = 1.0  # ulp: what the reference form is taken to be wrong by at least


@dataclass(frozen=True)
class _Reference(Arithmetic):
    """IEEE arithmetic with another sum."""

    accumulator: np.dtype[Any] = OBJECT
    one_by_one: bool = False

    def sum(self, terms: Any, axis: int | None = None) -> Any:
        """In the accumulator, NumPy's own order or one by one; rounded to the arithmetic."""
        wide = np.asarray(terms).astype(self.accumulator)
        wide = wide.reshape(-1) if axis is None else np.moveaxis(wide, axis, 0)
        one_by_one = self.one_by_one and len(wide) > 0  # the sum of nothing is 0
        total = np.add.accumulate(wide)[-1] if one_by_one else np.sum(wide, axis=0)
        return total.astype(self.dtype)[()]

    def max(self, values: Any, axis: int | None = None) -> Any:
        """The largest of some numbers, of all or along an axis."""
        return np.max(values, axis=axis)


@functools.cache
def _arithmetic(fmt: Format, arithmetic: str, accumulator: str, summation: str) -> Arithmetic:
    between, sums = (
        min((fmt, fmt if n == "input" else ALL_FORMATS[n]), key=lambda f: f.unit_roundoff)
        for n in (arithmetic, accumulator)
    )
    plain = ieee(between)

    def rounded(function: Any) -> Any:
        return lambda x: function(np.asarray(x, dtype=np.float64)).astype(between.dtype)[()]

    narrow = {n: rounded(getattr(np, n)) for n in ("exp", "log", "log1p", "expm1")}
    plain = replace(plain, **narrow) if between.precision < 53 else plain
    table = {f.name: getattr(plain, f.name) for f in fields(plain)}
    return _Reference(**table, accumulator=sums.dtype, one_by_one=summation == "any")


def evaluate(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    row: NDArray[Any],
    label: int | None,
    *,
    gradient: bool,
) -> list[NDArray[Any]]:
    """The results of the reference form at a row, in the format.

    Parameters
    ----------
    definition
        The definition.
    contract
        The arithmetic, accumulator and summation that it declares are those of the form.
    fmt
        The format.
    row
        The logits.
    label
        The right class, where there is one.
    gradient
        Whether the results are those of the gradient.

    Returns
    -------
    list of array
        One array; of a gradient there may be two: p is a quotient, or e^(log p) where log p is at
        hand.
    """
    xp = _arithmetic(fmt, contract.arithmetic, contract.accumulator, contract.summation)
    proven = definition.proven_form or AS_PUBLISHED
    forms = [definition.forms.get(proven, definition.formula)]
    if gradient:
        assert definition.gradient is not None
        forms = [definition.gradient, *definition.gradient_forms.values()]
    arguments = [row.astype(xp.dtype)] if label is None else [row.astype(xp.dtype), label]
    with np.errstate(all="ignore"):
        return [np.asarray(form(*arguments, xp)).astype(fmt.dtype) for form in forms]
