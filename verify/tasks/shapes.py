"""Which sizes a task is asked at: small ones, all different, and those that it ships with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..subjects.isolation.task_source import LEAST_SIZE, sizes_in
from .hosted import Hosts

DIFFERENT = (5, 7, 6, 11, 4, 13, 17, 9, 19, 23, 25, 29)  # so that a transposed array is seen
MOST_SMALL = 1 << 16  # numbers of an input at small sizes
MOST_SHIPPED = 1 << 20  # and at those that it ships with, of which leading ones are cut
RAGGED = 257  # entries along the last axis, of which no tile is a divisor
TRIED_SEED = 1


@dataclass(frozen=True)
class Sizes:
    """Sizes of a task, and what its inputs look like there.

    Attributes
    ----------
    sizes
        One for each of ``task_source.sizes_in``.
    inputs
        Inputs that were drawn.
    """

    sizes: tuple[int, ...]
    inputs: Sequence[NDArray[np.generic]]

    @property
    def shapes(self) -> str:
        """The shapes of the inputs, in words."""
        shapes = ("x".join(map(str, a.shape)) or "a number" for a in self.inputs)
        return ", ".join(shapes)

    def making(self, size: int) -> list[int]:
        """The places of the sizes that are this number."""
        return [i for i, s in enumerate(self.sizes) if s == size]


def small(hosts: Hosts) -> Sizes:
    """Find small sizes at which the reference runs.

    Parameters
    ----------
    hosts
        The processes of the task.

    Returns
    -------
    Sizes
        All different where it runs so; else such that what divided a size still does; else those
        that it ships with, where they are small.

    Raises
    ------
    ValueError
        If it runs at none: what it raises.
    """
    shipped = sizes_in(hosts.task.source)
    reason = "its inputs are larger than can be asked, and no number in its file makes them smaller"
    for sizes in _smaller(shipped):
        try:
            inputs = hosts.inputs(TRIED_SEED, sizes)
            most = MOST_SMALL if tuple(sizes) != tuple(shipped) else 16 * MOST_SHIPPED
            if max((a.size for a in inputs), default=0) > most:
                continue
            hosts.exact(sizes, inputs)
        except ValueError as error:
            reason = str(error)
            continue
        if inputs:
            return Sizes(tuple(sizes), inputs)
    raise ValueError(reason)


def ragged(hosts: Hosts, found: Sizes) -> Sizes | None:
    """Find sizes with RAGGED entries along the last axis of the largest input.

    Parameters
    ----------
    hosts
        The processes of the task.
    found
        Its small sizes.

    Returns
    -------
    Sizes or None
        None where nothing makes that axis alone, or the reference does not run there.
    """
    last = max((a.shape for a in found.inputs), key=len)[-1:]
    sizes = [RAGGED if last == (size,) else size for size in found.sizes]
    return None if tuple(sizes) == found.sizes else _tried(hosts, sizes)


def as_shipped(hosts: Hosts, found: Sizes) -> Sizes | None:
    """Find the sizes that a task ships with, leading ones cut where its inputs are large.

    Parameters
    ----------
    hosts
        The processes of the task.
    found
        Its small sizes.

    Returns
    -------
    Sizes or None
        None where they are the small ones, or the reference does not run there.
    """
    sizes = sizes_in(hosts.task.source)
    if tuple(sizes) == found.sizes:
        return None
    known = dict(zip(found.sizes, range(len(sizes)), strict=True))
    shape = max((a.shape for a in found.inputs), key=len)
    places = [known.get(size) for size in shape]

    def count() -> int:
        whole = (
            math.prod(sizes[known[n]] if n in known else n for n in array.shape)
            for array in found.inputs
        )
        return max(whole)

    for place in places[:-1] or places:
        if place is not None and (total := count()) > MOST_SHIPPED:
            cut = max(1, sizes[place] * MOST_SHIPPED // total)
            for i in found.making(found.sizes[place]):
                sizes[i] = cut
    if count() > 16 * MOST_SHIPPED:
        return None
    return _tried(hosts, sizes)


def _tried(hosts: Hosts, sizes: Sequence[int]) -> Sizes | None:
    """The sizes, if the reference runs there."""
    try:
        inputs = hosts.inputs(TRIED_SEED, sizes)
        hosts.exact(sizes, inputs)
    except ValueError:
        return None
    return Sizes(tuple(sizes), inputs)


def _smaller(shipped: Sequence[int]) -> Iterator[list[int]]:
    """Sizes in place of others, those first at which most mistakes are seen."""
    if len(shipped) <= len(DIFFERENT):
        yield list(DIFFERENT[: len(shipped)])
    values = list(dict.fromkeys(shipped))
    if len(values) <= len(DIFFERENT):
        by_value = dict(zip(values, DIFFERENT, strict=False))
        yield [by_value[size] for size in shipped]
    dividing: dict[int, int] = {}
    for size in sorted(values):
        divisors = [new for old, new in dividing.items() if size % old == 0]
        step = math.lcm(*divisors, *(n for n in (2, 4, 8) if size % n == 0 and n < LEAST_SIZE))
        new = step
        while new in dividing.values() or new < 2:
            new += step
        dividing[size] = new
    yield [dividing[size] for size in shipped]
    yield list(shipped)
