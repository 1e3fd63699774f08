"""A definition with named arguments at a point, in symbols or in balls: what its facts speak of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sympy

from ..arithmetic.reverse_mode import vector_jacobian_product
from ..definition import Definition, Formula
from ..signature import Kind, Label, Labels
from .exponentials import name_exponentials


@dataclass(frozen=True)
class Point:
    """The arguments and the parameters of a definition, in an arithmetic.

    ``number(name, shape, positive)`` gives further numbers, apart from all arguments: symbols, or
    drawn ones, of which ``drawn`` has the last of each name.
    """

    definition: Definition
    formula: Formula
    xp: Any
    arguments: Mapping[str, Any]
    parameters: Mapping[str, Any]
    number: Callable[[str, tuple[int, ...], bool], Any]
    drawn: dict[str, Any] = field(default_factory=dict)

    @property
    def symbolic(self) -> bool:
        """Whether it stands for all points."""
        return bool(self.xp.symbolic)

    def given(self, name: str) -> Any:
        """The value of an argument, or of a parameter; ValueError where there is none so named."""
        known = {**self.arguments, **self.parameters}
        if name not in known:
            raise ValueError(
                f"there is no {name!r}; the arguments and parameters are {', '.join(known)}"
            )
        return known[name]

    def outputs(self, **changed: Any) -> dict[str, Any]:
        """The results by name; ``changed``: other values of some arguments or parameters.

        ValueError for a name that is neither.
        """
        for name in changed:
            self.given(name)
        arguments = {name: changed.get(name, value) for name, value in self.arguments.items()}
        parameters = {name: changed.get(name, value) for name, value in self.parameters.items()}
        found = self.formula(*arguments.values(), self.xp, **parameters)
        names = [*self.definition.signature.outputs]
        return dict(zip(names, found if len(names) > 1 else (found,), strict=True))

    def value(self, **changed: Any) -> list[Any]:
        """All results in one list."""
        return flat(self.outputs(**changed).values())

    def shift(self, argument: str, along: str = "") -> tuple[list[Any], Any]:
        """The results where an offset is added along an axis of an argument, and the offset.

        Along the only axis, or all, it is one number; along one of two it is a vector.
        """
        argument = argument or self.definition.signature.numbers[0]
        z = self.given(argument)
        axes = self.definition.signature.arguments[argument].axes
        across = [i for i, axis in enumerate(axes) if along and axis != along]
        shape = tuple(np.shape(z)[i] for i in across)
        c = self.number("c", shape, False)
        if across and axes.index(along) == 1:
            c = c[:, None]
        return self.value(**{argument: z + c}), c

    def permuted(self, axis: str, order: Sequence[int]) -> Point:
        """The point with all arguments that have an axis, or an index into it, permuted."""
        changed = permuted(self.definition.signature.arguments, self.arguments, axis, order)
        return replace(self, arguments=changed)

    def permutations(self, axis: str, equivariant: bool) -> Iterator[tuple[list[Any], list[Any]]]:
        """Results where arguments are permuted, with what they have to be: transpositions."""
        axis = axis or self.definition.signature.axes[0]
        outputs = self.outputs()
        for order in transpositions(self.size(axis)):
            moved = self.permuted(axis, order).value()
            yield (
                moved,
                flat(self._moved(outputs, axis, order) if equivariant else outputs.values()),
            )

    def _moved(self, outputs: Mapping[str, Any], axis: str, order: Sequence[int]) -> list[Any]:
        axes = self.definition.signature.outputs
        return [along(value, axes[name], axis, order) for name, value in outputs.items()]

    def size(self, axis: str) -> int:
        """The number of entries along an axis; ValueError where there is none so named."""
        sizes = self.definition.signature.sizes(
            {name: np.shape(value) for name, value in self.arguments.items()}
        )
        if axis not in sizes:
            raise ValueError(f"there is no axis {axis!r}; the axes are {', '.join(sizes)}")
        return sizes[axis]

    def derivatives(self, argument: str = "") -> list[list[Any]]:
        """The derivatives of the sum of the results times further numbers, in an argument.

        (Of one real result, its own.)  By reverse mode, one row.
        """
        wrt = argument or self.definition.signature.numbers[0]
        self.given(wrt)
        outputs = self.outputs()
        real = len(outputs) == 1 and not np.shape(*outputs.values())
        g = [
            self.xp.number(1) if real else self.number("g", np.shape(y), False)
            for y in outputs.values()
        ]
        _, products = vector_jacobian_product(
            self.formula,
            self.arguments,
            tuple(g) if len(g) > 1 else g[0],
            self.xp,
            wrt=[wrt],
            **self.parameters,
        )
        return [flat([products[wrt]])]

    def chord(self, argument: str = "") -> tuple[list[Any], list[Any], list[Any]]:
        """The results at the point, at another value of an argument, and between the two."""
        name = argument or self.definition.signature.numbers[0]
        a = self.given(name)
        b = a + self.number("b", np.shape(a), False)
        return self.value(), self.value(**{name: b}), self.value(**{name: (a + b) / 2})

    def hessians(self, argument: str = "") -> list[sympy.Matrix]:
        """The Hessian of each result in an argument, by SymPy, with symbols for exponentials.

        ValueError on a chart.
        """
        z = flat([self.given(argument or self.definition.signature.numbers[0])])
        if not all(isinstance(x, sympy.Symbol) for x in z):
            raise ValueError("second derivatives are not formed on a chart")
        hessians = [sympy.hessian(f, z) for f in self.value()]
        named, _ = name_exponentials(sympy.Tuple(*(sympy.Tuple(*h) for h in hessians)))
        return [sympy.Matrix(len(z), len(z), list(map(sympy.factor, h))) for h in named]


def flat(values: Any) -> list[Any]:
    """All entries of arrays and numbers in one list.

    Parameters
    ----------
    values
        Arrays and numbers.

    Returns
    -------
    list
        The entries, array after array and row after row.

    Examples
    --------
    >>> flat([np.array([1, 2]), 3])
    [1, 2, 3]
    """
    return [x for v in values for x in (v.reshape(-1).tolist() if np.ndim(v) else [v])]


def transpositions(size: int) -> Iterator[list[int]]:
    """Orders that exchange two neighbours; they generate all permutations.

    Parameters
    ----------
    size
        How many things there are.

    Yields
    ------
    list of int
        What stands at each place, from 0.

    Examples
    --------
    >>> list(transpositions(3))
    [[1, 0, 2], [0, 2, 1]]
    """
    for k in range(size - 1):
        order = list(range(size))
        order[k], order[k + 1] = order[k + 1], order[k]
        yield order


def along(value: Any, axes: Sequence[str], axis: str, order: Sequence[int]) -> Any:
    """An array with its entries along an axis in another order, where it has that axis.

    Parameters
    ----------
    value
        An array or a number.
    axes
        The names of its axes.
    axis
        The one to permute.
    order
        What is to stand at each place.

    Returns
    -------
    array or number
        The permuted array; as it is, without that axis.
    """
    for i, own in enumerate(axes):
        if own == axis:
            value = np.take(value, order, axis=i)
    return value


def permuted(
    kinds: Mapping[str, Kind], values: Mapping[str, Any], axis: str, order: Sequence[int]
) -> dict[str, Any]:
    """Values of arguments with an axis in another order; indices into it move along.

    Parameters
    ----------
    kinds
        The kinds of the arguments by name.
    values
        Their values.
    axis
        The axis to permute.
    order
        What is to stand at each place of it.

    Returns
    -------
    dict
        The values by name.

    Examples
    --------
    >>> from ..signature import Label, Vector
    >>> kinds = {"z": Vector("K"), "label": Label("K")}
    >>> permuted(kinds, {"z": np.array([5, 6, 7]), "label": 2}, "K", [2, 0, 1])["label"]
    np.int64(0)
    """
    places = np.argsort(order)
    changed = {}
    for name, kind in kinds.items():
        value = along(values[name], kind.axes, axis, order)
        index = isinstance(kind, Label | Labels) and kind.into == axis
        changed[name] = places[value] if index else value
    return changed
