"""A definition at a symbolic point: its values and its derivatives there.

For printing, the point is z_1 ... z_K itself.  For proofs, the domain is covered by *charts* in
positive symbols x_k, in which the formulas are free of exponentials and of case distinctions:

* z_k = log x_k where the formula is made from exponentials (one chart);
* z_k = x_k or z_k = -x_k, one chart for each orthant, where it has a breakpoint at 0; or else
  z_k = log(1 + x_k) and z_k = -log(1 + x_k), where pieces are made from exponentials.  Points with
  a coordinate 0 are limits of these: ``prove`` demands that the values are continuous there.

The derivative in z_k is the derivative in x_k over d z_k / d x_k.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy

from ..arithmetic.systems import symbols
from ..definition import Definition, Output
from .points import transpositions

XP = symbols()


@dataclass(frozen=True)
class Symbolic:
    """A definition at the point z(x), with a label where it takes one.

    >>> from ..catalogue import lookup
    >>> Symbolic.plain(lookup("logsumexp"), 2).value()
    [log(exp(z_1) + exp(z_2))]
    """

    definition: Definition
    coordinates: tuple[sympy.Symbol, ...]
    point: tuple[sympy.Expr, ...]
    label: int | None = None
    signs: tuple[int, ...] = ()  # of an orthant
    symbolic = True

    @classmethod
    def plain(cls, definition: Definition, size: int, label: int | None = None) -> Symbolic:
        """At z_1 ... z_K themselves, or at x for a function of one real."""
        if definition.elementwise:
            z = (sympy.Symbol("x", real=True),)
        else:
            z = sympy.symbols(f"z_1:{size + 1}", real=True)
        return cls(definition, z, z, label)

    @classmethod
    def charts(cls, definition: Definition, size: int) -> Iterator[Symbolic]:
        """The charts that cover the domain, for every label."""
        x = sympy.symbols(f"x_1:{size + 1}", positive=True)
        labels = range(size) if definition.labelled else (None,)
        for label in labels:
            if definition.breakpoint_at_zero:
                for signs in itertools.product((1, -1), repeat=size):
                    point = tuple(s * v for s, v in zip(signs, x, strict=True))
                    yield cls(definition, x, point, label, signs)
            else:
                yield cls(definition, x, tuple(sympy.log(v) for v in x), label)

    def alternatives(self) -> Iterator[Symbolic]:
        """This chart, and for an orthant the one with logarithms: a proof on either will do."""
        yield self
        if self.signs:
            pairs = zip(self.signs, self.coordinates, strict=True)
            yield replace(self, point=tuple(s * sympy.log(1 + x) for s, x in pairs))

    @property
    def size(self) -> int:
        """The number of classes, K."""
        return len(self.point)

    @property
    def parameters(self) -> dict[str, sympy.Symbol]:
        """A symbol for each parameter."""
        return {name: sympy.Symbol(name, real=True) for name in self.definition.parameters}

    def descending(self, i: int, j: int) -> Symbolic | None:
        """The part of the chart where z_i >= z_j; None where the chart has no such point.

        The coordinate of larger modulus becomes the other one plus a positive difference.
        """
        larger, smaller = i, j
        if self.signs:
            if self.signs[i] != self.signs[j]:
                return self if self.signs[i] > self.signs[j] else None
            if self.signs[i] < 0:  # both z are below 0: the one of smaller modulus is larger
                larger, smaller = j, i
        x = self.coordinates
        moved = {x[larger]: x[smaller] + sympy.Symbol("d", positive=True)}
        return replace(self, point=tuple(z.subs(moved) for z in self.point))

    def apply(self, formula: Any, point: Sequence[sympy.Expr], label: int | None) -> np.ndarray:
        """A formula with the definition's signature, at a point, as an array of expressions."""
        one_real = self.definition.elementwise
        arguments: list[Any] = [XP.number(point[0]) if one_real else XP.vector(point)]
        if self.definition.labelled:
            arguments.append(label)
        return np.asarray(formula(*arguments, XP, **self.parameters), dtype=object)

    def value(
        self, point: Sequence[sympy.Expr] | None = None, label: int | None = None
    ) -> list[sympy.Expr]:
        """The outputs of the published formula, here or at another point and label."""
        label = self.label if label is None else label
        return list(self.apply(self.definition.formula, point or self.point, label).reshape(-1))

    def shift(self, argument: str = "", along: str = "") -> tuple[list[sympy.Expr], sympy.Expr]:
        """The outputs where an offset is added to all logits, and the offset: a logarithm."""
        c = sympy.log(sympy.Symbol("y", positive=True))
        return self.value([z + c for z in self.point]), c

    def permutations(
        self, axis: str, equivariant: bool
    ) -> Iterator[tuple[list[sympy.Expr], list[sympy.Expr]]]:
        """The outputs where logits are permuted, with what they have to be: transpositions."""
        value, z = self.value(), self.point
        for order in transpositions(self.size):
            label = None if self.label is None else order.index(self.label)
            moved = self.value([z[k] for k in order], label)
            yield moved, [value[k] for k in order] if equivariant else value

    def differentiate(self, expression: sympy.Expr, k: int) -> sympy.Expr:
        """The partial derivative in z_k."""
        x = self.coordinates[k]
        return sympy.diff(expression, x) / sympy.diff(self.point[k], x)

    def derivatives(self, argument: str = "") -> np.ndarray:
        """Matrix of d output_i / d z_j, differentiated by SymPy."""
        rows = [[self.differentiate(f, k) for k in range(self.size)] for f in self.value()]
        return np.array(rows, dtype=object)

    def closed_form_derivatives(self) -> np.ndarray:
        """Matrix of d output_i / d z_j, from the definition's closed-form gradient.

        Raises
        ------
        ValueError
            If that has another number of entries.
        """
        outputs = self.size if self.definition.output is Output.VECTOR else 1
        gradient = self.apply(self.definition.gradient, self.point, self.label)
        if gradient.size != outputs * self.size:
            raise ValueError(
                f"the gradient declared for {self.definition.name} has shape {gradient.shape}; "
                f"return {outputs} x {self.size} derivatives, row i of output i"
            )
        return gradient.reshape(outputs, self.size)

    def hessians(self, argument: str = "") -> list[sympy.Matrix]:
        """The Hessian matrix of each output."""
        return [
            sympy.Matrix(
                self.size, self.size, lambda i, j, row=row: self.differentiate(row[int(i)], int(j))
            )
            for row in self.derivatives()
        ]
