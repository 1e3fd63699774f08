"""Families of cases of a definition, drawn from a seed.

In each family one argument takes one hazard of its kind, or one parameter one of its values; all
else is plain.  In each there are axes of several sizes, and labels at the first place, at the last
and between.

In a family of a pair two of them are hazardous at once: what is tiny is not seen beside ordinary
numbers, but is where huge ones multiply it.  Each of the strongest hazards of one then meets each
of the other, at few sizes.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition
from ...derivations.signature import Integer, Kind, Label, Labels, Mask, Numbers
from ..inputs.families import STANDARD
from .case import Case, CaseBatch
from .hazards import (
    Rng,
    drawn_index,
    drawn_integer,
    hazards,
    mask_hazards,
    strongest,
    strongest_mask_hazards,
)

# Single entries, vector widths and tiles, and their neighbours.
SIZES = (1, 2, 3, 5, 8, 16, 17, 31, 64, 130)
MORE_SIZES = (4, 7, 33, 63, 65, 100, 127, 128, 129, 255, 256, 1000)
SIZES_OF_PAIRS = (2, 5, 8, 3, 17)
SQUARE = 3  # of all axes at once: only there is a transposed square matrix seen
STRIDES = (1, 3, 7, 9)
ROW_SIZES = (2, 5, 17)  # of a row: its values are asked at all sizes by suites of rows
CASES = 3  # in a batch: the first place of a label, the last, one between
WITH = " with "  # between the two that a pair is named by


def families(definition: Definition) -> tuple[str, ...]:
    """The names of the families of cases of a definition.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    tuple of str
        Its numbers in the order of the signature, its masks, then its parameters.

    >>> from softproof.derivations import lookup
    >>> families(lookup("logsumexp"))[:2]
    ('logits: normal', 'logits: constant')
    """
    names = []
    for name, kind in definition.signature.arguments.items():
        if isinstance(kind, Numbers):
            names += [f"{name}: {hazard}" for hazard in hazards(kind)]
        elif isinstance(kind, Mask):
            names += [f"{name}: {hazard}" for hazard in mask_hazards()]
    for name, parameter in definition.parameters.items():
        names += [f"{name}={value:g}" for value in parameter.values]
    return tuple(names)


def pairs(definition: Definition) -> tuple[str, ...]:
    """The names of the families in which two arguments, or an argument and a parameter, take part.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    tuple of str
        Each of both names joined by WITH.

    >>> from softproof.derivations import lookup
    >>> pairs(lookup("rms_norm"))
    ('x with gain', 'x with eps', 'gain with eps')
    """
    hazardous = [name for name in definition.signature.arguments if _strongest(definition, name)]
    among = list(itertools.combinations(hazardous, 2))
    among += itertools.product(hazardous, [n for n, p in definition.parameters.items() if p.values])
    return tuple(f"{one}{WITH}{other}" for one, other in among)


def families_and_pairs(definition: Definition) -> tuple[str, ...]:
    """All families: of one hazard, and of two.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    tuple of str
        ``families``, then ``pairs``.
    """
    return (*families(definition), *pairs(definition))


def _strongest(definition: Definition, name: str) -> tuple[str, ...]:
    """The families of one argument or parameter that meet those of another."""
    if name in definition.parameters:
        return tuple(f for f in families(definition) if f.startswith(f"{name}="))
    kind = definition.signature.arguments[name]
    if isinstance(kind, Numbers):
        return tuple(f"{name}: {hazard}" for hazard in strongest(kind))
    if isinstance(kind, Mask):
        return tuple(f"{name}: {hazard}" for hazard in strongest_mask_hazards())
    return ()


def draw(
    definition: Definition, family: str, fmt: Format, rows: int, seed: int
) -> Iterator[CaseBatch]:
    """The batches of a family: the same for the same definition, family, format, rows and seed.

    Parameters
    ----------
    definition, family
        A definition, and the name of one of its families, or of one of its pairs.
    fmt
        The format of numbers.
    rows
        How many rows a family of logits has in the budget: STANDARD of them or more give more
        batches, of larger sizes.
    seed
        The seed.

    Yields
    ------
    CaseBatch
        Batches of CASES cases each.

    Raises
    ------
    ValueError
        The definition has no such family.
    """
    if family not in families_and_pairs(definition):
        raise ValueError(f"{definition.name} has no family {family!r} of cases")
    few = rows < STANDARD
    seeds = [seed, zlib.crc32(f"{definition.name} {family}".encode())]
    if family in pairs(definition):
        one, other = (_strongest(definition, name) for name in family.split(WITH))
        sizes_of_pairs = list(_sizes(definition, SIZES_OF_PAIRS))
        for i, both in enumerate(itertools.product(one, other)):
            for j in (i % len(sizes_of_pairs),) if few else range(len(sizes_of_pairs)):
                rng = np.random.default_rng([*seeds, i, j])
                drawn = draw_batch(definition, WITH.join(both), fmt, sizes_of_pairs[j], rng)
                yield replace(drawn, family=family)
        return
    known = SIZES if few else (*SIZES, *MORE_SIZES)
    for i, sizes in enumerate(_sizes(definition, ROW_SIZES if definition.of_a_row else known)):
        yield draw_batch(definition, family, fmt, sizes, np.random.default_rng([*seeds, i]))


def draw_batch(
    definition: Definition, family: str, fmt: Format, sizes: Mapping[str, int], rng: Rng
) -> CaseBatch:
    """A batch of CASES cases of a family, with axes of the given sizes.

    Of two families at once where they are joined by WITH.

    Parameters
    ----------
    definition, family
        A definition, and the name of one of its families.
    fmt
        The format of numbers.
    sizes
        The size of each axis; one that is below its least is raised to it.
    rng
        What is drawn from.

    Returns
    -------
    CaseBatch
        Of that family.
    """
    hazardous: dict[str, str] = {}
    parameters: dict[str, float] = {}
    for one in family.split(WITH):
        name, _, hazard = one.partition(": ")
        hazardous[name] = hazard
        parameter, _, _ = one.partition("=")
        if parameter in definition.parameters:
            values = definition.parameters[parameter].values
            parameters[parameter] = next(v for v in values if f"{parameter}={v:g}" == one)
    sizes = definition.fitting(sizes, parameters)
    shared: dict[str, NDArray[Any]] = {}
    cases = []
    for place in range(CASES):
        drawn: dict[str, NDArray[Any]] = {}
        for argument, kind in definition.signature.arguments.items():
            if argument not in shared:
                wanted = hazardous.get(argument, "")
                drawn[argument] = _value(kind, wanted, fmt, sizes, rng, place)
                if kind.shared:
                    shared[argument] = drawn[argument]
        cases.append(Case({**drawn, **shared}, parameters))
    return CaseBatch(family, tuple(cases))


def _value(
    kind: Kind, hazard: str, fmt: Format, sizes: Mapping[str, int], rng: Rng, place: int
) -> NDArray[Any]:
    """A value of an argument: by a hazard where one is named, else the plain one."""
    shape = tuple(sizes[axis] for axis in kind.axes)
    if isinstance(kind, Numbers):
        draws = hazards(kind)
        return draws[hazard or next(iter(draws))](rng, fmt, shape)
    if isinstance(kind, Mask):
        kept = mask_hazards()
        return kept[hazard or next(iter(kept))](rng, shape)
    if isinstance(kind, Integer):
        return np.array(drawn_integer(rng, kind, sizes))
    assert isinstance(kind, Label | Labels)
    size, count = sizes[kind.into], int(np.prod(shape, dtype=np.int64))
    drawn = [drawn_index(rng, kind.lower, size, place + i) for i in range(count)]
    return np.array(drawn, dtype=np.int64).reshape(shape)


def _sizes(definition: Definition, known: Sequence[int]) -> Iterator[dict[str, int]]:
    """Sizes of the axes: each known size of one axis meets small and large ones of the others.

    Of several axes, all have one size in the last batch.
    """
    axes = definition.signature.axes
    for i in range(len(known)):
        # Strides prime to 10, 22 and 5, the numbers of sizes: so that no two axes go along.
        places = {axis: i * STRIDES[j % len(STRIDES)] + j for j, axis in enumerate(axes)}
        yield {axis: known[place % len(known)] for axis, place in places.items()}
    if len(axes) > 1:
        yield dict.fromkeys(axes, SQUARE)
