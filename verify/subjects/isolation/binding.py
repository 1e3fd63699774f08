"""How the arguments of a definition, in a batch, become the inputs of a model.

A definition speaks of one point; a model has axes for many of them, at places of its own: a softmax
over axis 1 of four, a norm over the last three, a loss that is the mean of a batch.  A ``Binding``
says which input has which argument where.  It holds plain data alone, so that it can be written
into the module of a candidate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..subject import NotApplicable

Array = NDArray[Any]


@dataclass(frozen=True)
class Place:
    """Where an argument lies in an input of a model.

    Attributes
    ----------
    argument
        The number of the argument.
    rank
        How many axes the input has.
    span
        The axes from one to before another that are the argument's own; of a vector along several
        of them all but the last have one entry. Other axes count points.
    repeated
        An axis along which the same is repeated, as queries are for which there is one in the
        definition; -1 for none.
    """

    argument: int
    rank: int
    span: tuple[int, int]
    repeated: int = -1

    def put(self, points: Array, copies: int) -> Array:
        """The input: of points along the first axis, with so many copies along ``repeated``."""
        count, own = len(points), points.shape[1:]
        first, last = self.span
        own = (1,) * (last - first - len(own)) + own
        others = [axis for axis in range(self.rank) if not first <= axis < last]
        free = [axis for axis in others if axis != self.repeated]
        counted = free[0 if own else -1] if free else None  # numbers on their own lie side by side
        sizes = {axis: count if axis == counted else 1 for axis in others}
        order = [*others, *range(first, last)]
        array = points.reshape([*(sizes[axis] for axis in others), *own])
        array = array.transpose([order.index(axis) for axis in range(self.rank)])
        if self.repeated >= 0:
            array = np.repeat(array, copies, axis=self.repeated)
        return np.ascontiguousarray(array)

    def take(self, output: Array, count: int, own: tuple[int, ...]) -> Array:
        """The points in an output that lies as the input does, the last of the copies."""
        first, last = self.span
        others = [axis for axis in range(self.rank) if not first <= axis < last]
        array = output.transpose([*others, *range(first, last)])
        if self.repeated >= 0:
            array = array.take([-1], axis=others.index(self.repeated))
        return array.reshape((count, *own))


@dataclass(frozen=True)
class Binding:
    """Which input of a model has which argument of a definition, and where.

    Attributes
    ----------
    axes
        The axes of each argument, by name.
    shared
        The numbers of the arguments of which there is one for a batch.
    places
        A ``Place`` for each input, or its fields.
    output
        The axes of the output, by name.
    singly
        Whether the model is called for each point, as one that reduces a batch is.
    copies
        The axis that has as many entries as there are copies of what is repeated; "" for two.
    sizes
        Those of the task, as ``task_source.sizes_in`` lists them.
    feeds
        By the name of an axis, which of these sizes are its size.
    ones
        Which of these sizes are 1: axes that are one with another in the definition.
    fixed
        By the name of an axis, a size that it has to have.
    """

    axes: Sequence[Sequence[str]]
    shared: Sequence[int]
    places: Sequence[Any]
    output: Sequence[str]
    singly: bool = False
    copies: str = ""
    sizes: Sequence[int] = ()
    feeds: Mapping[str, Sequence[int]] = field(default_factory=dict)
    ones: Sequence[int] = ()
    fixed: Mapping[str, int] = field(default_factory=dict)

    def parts(self, arguments: Sequence[Array]) -> Iterator[tuple[list[Array], list[int]]]:
        """Yield the inputs of each call of the model, and the sizes that it is made for.

        Parameters
        ----------
        arguments
            Arrays, points along all axes before the argument's own.

        Yields
        ------
        tuple
            Inputs, and sizes.

        Raises
        ------
        NotApplicable
            For a size that the model cannot have.
        """
        given = self._sizes(arguments)
        for axis, size in self.fixed.items():
            if given[axis] != size:
                raise NotApplicable(f"the task has {size} entries along {axis}")
        sizes = list(self.sizes)
        for i in self.ones:
            sizes[i] = 1
        for axis, places in self.feeds.items():
            for i in places:
                sizes[i] = given[axis]
        points = [self._points(i, argument) for i, argument in enumerate(arguments)]
        count = max(len(p) for i, p in enumerate(points) if i not in self.shared)
        copies = self._count_of_copies(given)
        for group in self._groups(count):
            inputs = []
            for place in self._places:
                chosen = points[place.argument]
                chosen = chosen if place.argument in self.shared else chosen[group]
                inputs.append(place.put(chosen, copies))
            yield inputs, sizes

    def joined(self, results: Sequence[Array], arguments: Sequence[Array]) -> Array:
        """Join the results of the calls.

        Parameters
        ----------
        results
            What the model returned.
        arguments
            What ``parts`` was given.

        Returns
        -------
        numpy.ndarray
            The results of all points; a result of another size as it is.
        """
        given = self._sizes(arguments)
        own = tuple(given[axis] for axis in self.output)
        lead = next(i for i in range(len(self.axes)) if i not in self.shared)
        shape = arguments[lead].shape
        batch = shape[: len(shape) - len(self.axes[lead])]
        found = []
        for result in results:
            count = min(1, math.prod(batch)) if self.singly else math.prod(batch)
            place = self._places[0]
            copies = self._count_of_copies(given) if place.repeated >= 0 else 1
            if result.size == count * math.prod(own) * copies:
                lies = result.ndim == place.rank and bool(own)
                result = place.take(result, count, own) if lies else result.reshape((count, *own))
            elif len(results) == 1:
                return result
            found.append(result)
        if self.singly and any(r.shape[1:] != own for r in found):
            return found[0]
        return np.concatenate(found).reshape((*batch, *own))

    def _groups(self, count: int) -> list[slice]:
        """Which points go into each call."""
        one_by_one = self.singly and count > 0
        return [slice(i, i + 1) for i in range(count)] if one_by_one else [slice(None)]

    def _count_of_copies(self, given: Mapping[str, int]) -> int:
        return given[self.copies] if self.copies else 2

    @property
    def _places(self) -> list[Place]:
        return [p if isinstance(p, Place) else Place(**p) for p in self.places]

    def _sizes(self, arguments: Sequence[Array]) -> dict[str, int]:
        """The size of each axis."""
        found: dict[str, int] = {}
        for names, argument in zip(self.axes, arguments, strict=True):
            own = argument.shape[argument.ndim - len(names) :]
            found |= dict(zip(names, own, strict=True))
        return found

    def _points(self, i: int, argument: Array) -> Array:
        """An argument with its points along one first axis."""
        own = argument.shape[argument.ndim - len(self.axes[i]) :]
        if i in self.shared:
            return argument.reshape((1, *own))
        return argument.reshape((-1, *own)) if argument.size else argument.reshape((0, *own))
