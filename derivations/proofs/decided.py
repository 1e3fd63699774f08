"""Symbols whose order is proven: the arithmetic of a chart of a piecewise function.

On a chart all numbers are expressions in positive symbols, and every comparison that a formula
makes has to be *proven* from this (``never_negative`` of the difference, or of its opposite): one
that is not is an error, and no guess.  So max, min, sorting and positive parts become one piece.

What is proven on open charts holds on their closures, too: a formula over this arithmetic is made
from continuous operations alone (``by_sign`` is refused), so it is continuous where it divides by
nothing that vanishes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import sympy

from ..arithmetic.arithmetic import Arithmetic, elementwise, elementwise_binary
from ..arithmetic.systems import symbols

Decide = Callable[[sympy.Expr], bool]


class Undecided(ValueError):
    """A comparison that no proof was found for."""


class _Pieces(Arithmetic):
    """Symbols on a chart: what is written with cases by sign may jump between them."""

    def by_sign(self, x: Any, nonnegative: Any, negative: Any) -> Any:
        """Raise Undecided, since pieces by sign need not join."""
        raise Undecided("pieces by sign may have a jump between them: use maximum and minimum")


def decided_symbols(never_negative: Decide) -> Arithmetic:
    """SymPy expressions in positive symbols, compared by proof.

    Parameters
    ----------
    never_negative
        Whether an expression is proven to be at least 0.

    Returns
    -------
    Arithmetic
        Symbols; ``maximum``, ``minimum``, ``descending``, ``ranks`` and ``step`` raise Undecided
        where an order is not proven.

    Examples
    --------
    >>> d, z = sympy.Symbol("d", positive=True), sympy.Symbol("z", real=True)
    >>> xp = decided_symbols(lambda e: bool(e.is_nonnegative))
    >>> xp.maximum(z, z + d)
    d + z
    """
    known: dict[sympy.Expr, bool] = {}

    def at_least(a: sympy.Expr, b: sympy.Expr) -> bool:
        difference = sympy.cancel(sympy.together(a - b))
        if difference not in known:
            if difference == 0 or never_negative(difference):
                known[difference] = True
            elif never_negative(-difference):
                known[difference] = False
            else:
                raise Undecided(f"{difference} >= 0 is not decided on this chart")
        return known[difference]

    def order(a: Any) -> list[int]:
        def compare(i: int, j: int) -> int:
            return -1 if at_least(a[i], a[j]) else 1

        return sorted(range(len(a)), key=functools.cmp_to_key(compare))

    def ranks(a: Any) -> tuple[Any, Any]:
        places = np.empty(len(a), dtype=np.intp)
        places[order(a)] = np.arange(len(a))
        return places, places

    def step(x: sympy.Expr) -> sympy.Expr:
        if sympy.cancel(sympy.together(x)) == 0:
            raise Undecided("a derivative is asked for at a kink")
        return sympy.Integer(int(at_least(x, sympy.Integer(0))))

    plain = symbols()
    number = plain.number

    def larger(a: Any, b: Any) -> Any:
        return a if at_least(number(a), number(b)) else b

    def smaller(a: Any, b: Any) -> Any:
        return b if at_least(number(a), number(b)) else a

    fields = {name: getattr(plain, name) for name in plain.__dataclass_fields__}
    return replace(
        _Pieces(**fields),
        name="symbols on a chart",
        maximum=elementwise_binary(larger),
        minimum=elementwise_binary(smaller),
        step=elementwise(step),
        descending=lambda a: a[order(a)],
        ranks=ranks,
    )
