"""The facts that a definition declares: each states claims that ``prove`` settles symbolically.

``verify`` turns the same facts into tests of implementations, so that nobody writes a property
twice.  A claim is an expression over the arguments that must vanish, or must not be negative.

Definitions with named arguments say of which argument, and along which axis, a fact is meant; a
definition of a row has one argument of numbers, and says nothing.  More kinds of facts, which speak
of named arguments alone, stand in ``facts_of_arguments``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy

from .charts import Symbolic
from .points import Point

Case = Symbolic | Point


@dataclass(frozen=True)
class Claim:
    """``expression`` vanishes, or (``nonnegative``) is never negative.

    It is in symbols, or a ball that encloses its value at a point.
    """

    expression: Any
    nonnegative: bool = False


@dataclass(frozen=True)
class SumsTo:
    """The outputs add up to a constant."""

    total: int

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"outputs sum to {self.total}"

    def claims(self, case: Case) -> Iterator[Claim]:
        """sum_i f_i - total = 0."""
        yield Claim(sum(case.value()) - self.total)


@dataclass(frozen=True)
class ShiftInvariant:
    """A common offset of all logits, or of all entries of an argument, changes nothing.

    ``along`` an axis of a matrix, the offset is a vector: it is added to each of the rows.
    """

    argument: str = ""
    along: str = ""

    @property
    def text(self) -> str:
        """The property in a line."""
        z = self.argument or "z"
        meant = f", c the same for all {self.along}" if self.along else ""
        return f"f({z} + c) = f({z}){meant}"

    def claims(self, case: Case) -> Iterator[Claim]:
        """f_i(z + c) - f_i(z) = 0."""
        yield from _shift(case, self.argument, self.along, 0)


@dataclass(frozen=True)
class ShiftEquivariant:
    """A common offset of all logits, or of all entries of an argument, is added to the value."""

    argument: str = ""

    @property
    def text(self) -> str:
        """The property in a line."""
        z = self.argument or "z"
        return f"f({z} + c) = f({z}) + c"

    def claims(self, case: Case) -> Iterator[Claim]:
        """f(z + c) - f(z) - c = 0."""
        yield from _shift(case, self.argument, "", 1)


def _shift(case: Case, argument: str, along: str, gain: int) -> Iterator[Claim]:
    moved, c = case.shift(argument, along)
    for before, after in zip(case.value(), moved, strict=True):
        yield Claim(after - before - gain * c if gain else after - before)


@dataclass(frozen=True)
class PermutationEquivariant:
    """Permuting the logits, or an axis of all arguments that have it, permutes the outputs."""

    axis: str = ""

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"f(P .) = P f(.), P permutes {self.axis}" if self.axis else "f(Pz) = P f(z)"

    def claims(self, case: Case) -> Iterator[Claim]:
        """Adjacent transpositions, which generate all permutations."""
        yield from _permutations(case, self.axis, equivariant=True)


@dataclass(frozen=True)
class PermutationInvariant:
    """Permuting the logits, and the label with them, changes nothing.

    So an axis of all arguments that have it, with the labels into it.
    """

    axis: str = ""

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"f(P .) = f(.), P permutes {self.axis}" if self.axis else "f(Pz) = f(z)"

    def claims(self, case: Case) -> Iterator[Claim]:
        """Adjacent transpositions, which generate all permutations."""
        yield from _permutations(case, self.axis, equivariant=False)


def _permutations(case: Case, axis: str, *, equivariant: bool) -> Iterator[Claim]:
    for found, wanted in case.permutations(axis, equivariant):
        for after, before in zip(found, wanted, strict=True):
            yield Claim(after - before)


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


def _determinant(matrix: sympy.Matrix) -> sympy.Expr:
    """The determinant by its first row, not simplified: the proof does that, and once."""
    if matrix.rows == 1:
        return matrix[0, 0]
    return sympy.Add(
        *(
            (-1) ** j * matrix[0, j] * _determinant(matrix.minor_submatrix(0, j))
            for j in range(matrix.cols)
        )
    )


@dataclass(frozen=True)
class Convex:
    """The Hessian, in the logits or in an argument, is positive semidefinite."""

    argument: str = ""

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"f is convex in {self.argument}" if self.argument else "f is convex"

    def claims(self, case: Case) -> Iterator[Claim]:
        """All principal minors of the Hessian are nonnegative (Sylvester's criterion).

        At a point of numbers: the value in the middle of two points is below the chord.
        """
        if isinstance(case, Point) and not case.symbolic:
            a, b, middle = case.chord(self.argument)
            for fa, fb, fm in zip(a, b, middle, strict=True):
                yield Claim((fa + fb) / 2 - fm, nonnegative=True)
            return
        if case.definition.breakpoint_at_zero:
            # Orthant by orthant nothing is said of the kink between them: not proven this way.
            yield Claim(sympy.Integer(-1), nonnegative=True)
            return
        (hessian,) = case.hessians(self.argument)
        indices = range(hessian.rows)
        for size in range(1, hessian.rows + 1):
            for chosen in itertools.combinations(indices, size):
                minor = _determinant(hessian.extract(list(chosen), list(chosen)))
                yield Claim(minor, nonnegative=True)


@dataclass(frozen=True)
class GradientSumsTo:
    """The components of the gradient, in the logits or in an argument, add up to a constant.

    Of several results, those of the gradient of their sum, each times any number.
    """

    total: int
    argument: str = ""

    @property
    def text(self) -> str:
        """The property in a line."""
        where = f" in {self.argument}" if self.argument else ""
        return f"gradient components{where} sum to {self.total}"

    def claims(self, case: Case) -> Iterator[Claim]:
        """sum_k d f / d z_k - total = 0."""
        for row in case.derivatives(self.argument):
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

    def claims(self, case: Case) -> Iterator[Claim]:
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
