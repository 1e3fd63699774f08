"""The facts that a definition declares: each states claims that ``prove`` settles symbolically.

``verify`` turns the same facts into tests of implementations, so that nobody writes a property
twice.  A claim is an expression over symbolic arguments that must vanish, or must not be negative.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy

from .charts import Symbolic


@dataclass(frozen=True)
class Claim:
    """``expression`` in positive symbols vanishes, or (``nonnegative``) is never negative."""

    expression: sympy.Expr
    nonnegative: bool = False


@dataclass(frozen=True)
class SumsTo:
    """The outputs add up to a constant."""

    total: int

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"outputs sum to {self.total}"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """sum_i f_i - total = 0."""
        yield Claim(sum(case.value()) - self.total)


@dataclass(frozen=True)
class ShiftInvariant:
    """A common offset of all logits changes nothing."""

    text: str = "f(z + c) = f(z)"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """f_i(z + c) - f_i(z) = 0, with c = log of a positive symbol."""
        yield from _shift(case, 0)


@dataclass(frozen=True)
class ShiftEquivariant:
    """A common offset of all logits is added to the value."""

    text: str = "f(z + c) = f(z) + c"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """f(z + c) - f(z) - c = 0, with c = log of a positive symbol."""
        yield from _shift(case, 1)


def _shift(case: Symbolic, gain: int) -> Iterator[Claim]:
    c = sympy.log(sympy.Symbol("y", positive=True))
    moved = case.value([z + c for z in case.point])
    for before, after in zip(case.value(), moved, strict=True):
        yield Claim(after - before - gain * c)


@dataclass(frozen=True)
class PermutationEquivariant:
    """Permuting the logits permutes the outputs."""

    text: str = "f(Pz) = P f(z)"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """Adjacent transpositions, which generate all permutations."""
        value, z = case.value(), case.point
        for order in _transpositions(case.size):
            permuted = case.value([z[k] for k in order])
            for i, k in enumerate(order):
                yield Claim(permuted[i] - value[k])


@dataclass(frozen=True)
class PermutationInvariant:
    """Permuting the logits, and the label with them, changes nothing."""

    text: str = "f(Pz) = f(z)"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """Adjacent transpositions, which generate all permutations."""
        value, z = case.value(), case.point
        for order in _transpositions(case.size):
            label = None if case.label is None else order.index(case.label)
            for before, after in zip(value, case.value([z[k] for k in order], label), strict=True):
                yield Claim(after - before)


def _transpositions(size: int) -> Iterator[list[int]]:
    for k in range(size - 1):
        order = list(range(size))
        order[k], order[k + 1] = order[k + 1], order[k]
        yield order


@dataclass(frozen=True)
class OrderPreserving:
    """The larger of two logits has the larger output."""

    text: str = "z_i >= z_j implies f_i >= f_j"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """f_i - f_j >= 0 where z_i >= z_j."""
        for i, j in itertools.permutations(range(case.size), 2):
            part = case.descending(i, j)
            if part is not None:
                value = part.value()
                yield Claim(value[i] - value[j], nonnegative=True)


@dataclass(frozen=True)
class Increasing:
    """The function of one real never falls."""

    text: str = "f' >= 0"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """The derivative is not negative."""
        yield Claim(case.derivatives()[0, 0], nonnegative=True)


@dataclass(frozen=True)
class Convex:
    """The Hessian is positive semidefinite."""

    text: str = "f is convex"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """All principal minors of the Hessian are nonnegative (Sylvester's criterion)."""
        if case.definition.breakpoint_at_zero:
            # Orthant by orthant nothing is said of the kink between them: not proven this way.
            yield Claim(sympy.Integer(-1), nonnegative=True)
            return
        (hessian,) = case.hessians()
        indices = range(hessian.rows)
        for size in range(1, hessian.rows + 1):
            for chosen in itertools.combinations(indices, size):
                minor = hessian.extract(list(chosen), list(chosen)).det(method="berkowitz")
                yield Claim(minor, nonnegative=True)


@dataclass(frozen=True)
class GradientSumsTo:
    """The components of the gradient add up to a constant."""

    total: int

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"gradient components sum to {self.total}"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """sum_k d f / d z_k - total = 0."""
        for row in case.derivatives():
            yield Claim(sum(row) - self.total)


@dataclass(frozen=True)
class Range:
    """Every output lies between constants; None stands for no limit."""

    lower: int | None = None
    upper: int | None = None

    @property
    def text(self) -> str:
        """The property in a line."""
        low = "" if self.lower is None else f"{self.lower} <= "
        high = "" if self.upper is None else f" <= {self.upper}"
        return f"{low}f{high}"

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """f_i - lower >= 0 and upper - f_i >= 0."""
        for f in case.value():
            if self.lower is not None:
                yield Claim(f - self.lower, nonnegative=True)
            if self.upper is not None:
                yield Claim(self.upper - f, nonnegative=True)


@dataclass(frozen=True)
class Identity:
    """A functional equation: ``residual(f, x)`` vanishes for every real x.

    The residual must be a sum of terms +-f(...) and of exact ones, so that a test can bound its
    rounding error by the sum of the errors of the values of f.
    """

    text: str
    residual: Callable[[Callable[[Any], Any], Any], Any]

    def claims(self, case: Symbolic) -> Iterator[Claim]:
        """The residual is 0."""
        (x,) = case.point
        yield Claim(self.residual(lambda v: case.value([v])[0], x))
