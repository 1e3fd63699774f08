"""What the subjects of a definition are timed on: arrays of a stated shape, drawn from a seed.

A shape is (rows, classes) for a function of one row or of one real, and else the number of cases
and the size of each axis, in the order in which the arguments have them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import FORMATS, Format
from ...derivations.signature import Integer, Kind, Label, Labels, Mask, Numbers
from ..cases.hazards import drawn_integer, hazards, mask_hazards
from .problems import MOST_ARRAYS, SEED, STANDARD_DEVIATION, parse_count, problem

ROWS = ("rows", "classes")
SHAPES = ((4096, 1024), (64, 1024), (1, 8))
"""Rows and classes: out of cache, in cache, a call."""
TRIAL = (2, 8)
"""The shape on which each subject is called before anything is timed."""

CASES, ALONG, ALONG_ONE = 64, 128, 1024
"""Of named arguments: how many cases, and the size of each axis, or of the only one."""
CALL = 8
"""The size of each axis for one case, where the time is that of a call."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Posed:
    """Arguments for a call, and how many numbers they are that belong to cases.

    * ``arrays``: in order; single indices and whole numbers that a batch shares have no axes.
    * ``axes``, ``shape``: what is counted, and how many of each there are.
    * ``elements``: what the time of a call is divided by.
    """

    arrays: list[NDArray[Any]]
    axes: tuple[str, ...]
    shape: Shape
    elements: int
    dtype: str


def axes_of(definition: Definition) -> tuple[str, ...]:
    """What a shape counts.

    Parameters
    ----------
    definition
        What is timed.

    Returns
    -------
    tuple of str
        The names, in the order of a shape.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> axes_of(lookup("attention"))
    ('cases', 'd', 'n', 'e')
    """
    return ROWS if definition.of_a_row else ("cases", *definition.signature.axes)


def default_shapes(definition: Definition) -> tuple[Shape, ...]:
    """The shapes that are timed where none is named: in cache or beyond, and a call.

    Parameters
    ----------
    definition
        What is timed.

    Returns
    -------
    tuple of shapes
        At least one.
    """
    if definition.of_a_row:
        return SHAPES
    size = ALONG_ONE if len(definition.signature.axes) == 1 else ALONG
    return ((CASES, *_all_of(definition, size)), (1, *_all_of(definition, CALL)))


def _all_of(definition: Definition, size: int) -> list[int]:
    """Axes of a size, or as near to it as every case has a value at."""
    return [*definition.fitting(dict.fromkeys(definition.signature.axes, size), {}).values()]


def trial_shape(definition: Definition) -> Shape:
    """A small shape, on which each subject is called before anything is timed.

    Parameters
    ----------
    definition
        What is timed.

    Returns
    -------
    tuple of int
        The shape.
    """
    return TRIAL if definition.of_a_row else (2, *_all_of(definition, 4))


def parse_shape(definition: Definition, text: str) -> Shape:
    """Read a shape from its numbers with x between them.

    Parameters
    ----------
    definition
        What is timed.
    text
        As 64x1024, or with 2^10.

    Returns
    -------
    tuple of int
        The shape.

    Raises
    ------
    ValueError
        The text is no shape of the definition.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> parse_shape(lookup("attention"), "8x64x2^20x32")
    (8, 64, 1048576, 32)
    """
    axes = axes_of(definition)
    try:
        shape = tuple(parse_count(part) for part in text.split("x"))
        if len(shape) != len(axes):
            raise ValueError
    except ValueError:
        example = "x".join(map(str, default_shapes(definition)[0]))
        named = "ROWSxCLASSES" if definition.of_a_row else "x".join(["CASES", *axes[1:]])
        raise ValueError(
            f"shape must be {named} for {definition.name}, each at least 1, such as {example}; "
            f"got {text!r}"
        ) from None
    return shape


def demand_memory(definition: Definition, shapes: Sequence[Shape], dtype: str) -> None:
    """Refuse a shape whose candidates together need more memory than is free.

    What a subject makes on the way is not known: so many arrays as its arguments are counted.

    Parameters
    ----------
    definition
        What is timed.
    shapes
        The shapes.
    dtype
        The name of the format of the numbers.

    Raises
    ------
    ValueError
        A shape needs more; the message names it.
    """
    free = psutil.virtual_memory().available
    for shape in shapes:
        sizes = dict(zip(axes_of(definition), shape, strict=True))
        count = math.prod(shape)
        if not definition.of_a_row:
            count = sum(
                math.prod(_full_shape(kind, sizes))
                for kind in definition.signature.arguments.values()
            )
        needed = MOST_ARRAYS * count * FORMATS[dtype].dtype.itemsize
        if needed > free:
            raise ValueError(
                f"shape {'x'.join(map(str, shape))} of {dtype} needs {needed >> 30} GiB with all "
                f"peers, and {free >> 30} GiB are free; choose a smaller one"
            )


def pose(definition: Definition, dtype: str, shape: Shape) -> Posed:
    """The arguments of a shape, the same at every call.

    Logits are normal with standard deviation STANDARD_DEVIATION; named arguments are plain: normal
    with standard deviation 1, or all over their domains.

    Parameters
    ----------
    definition
        What is timed.
    dtype
        The name of the format of the numbers.
    shape
        A shape.

    Returns
    -------
    Posed
        The arguments.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> [a.shape for a in pose(lookup("rms_norm"), "float32", (2, 8)).arrays]
    [(2, 8), (8,)]
    """
    axes = axes_of(definition)
    if definition.of_a_row:
        rows, classes = shape
        posed = problem(definition.name, dtype, (rows, classes))
        arrays = [posed.x, posed.labels] if definition.labelled else [posed.x]
        return Posed(arrays, axes, shape, posed.x.size, dtype)
    sizes = dict(zip(axes, shape, strict=True))
    rng = np.random.default_rng(SEED)
    kinds = definition.signature.arguments.values()
    arrays = [_drawn(kind, sizes, FORMATS[dtype], rng) for kind in kinds]
    own = [a for a, kind in zip(arrays, kinds, strict=True) if not kind.shared]
    return Posed(arrays, axes, shape, sum(array.size for array in own or arrays), dtype)


def told(definition: Definition) -> str:
    """How the arguments are drawn, in a few words.

    Parameters
    ----------
    definition
        What is timed.

    Returns
    -------
    str
        The beginning of a sentence.
    """
    if definition.of_a_row:
        return f"Arguments normal with standard deviation {STANDARD_DEVIATION:g}"
    return "Arguments normal with standard deviation 1, or in their domains"


def _full_shape(kind: Kind, sizes: dict[str, int]) -> Shape:
    inner = tuple(sizes[axis] for axis in kind.axes)
    return inner if kind.shared else (sizes["cases"], *inner)


def _drawn(kind: Kind, sizes: dict[str, int], fmt: Format, rng: np.random.Generator) -> Any:
    shape = _full_shape(kind, sizes)
    if isinstance(kind, Numbers):
        plain = next(iter(hazards(kind).values()))
        return plain(rng, fmt, shape)
    if isinstance(kind, Mask):
        kept = next(iter(mask_hazards().values()))
        if kind.shared:
            return kept(rng, shape)
        return np.stack([kept(rng, shape[1:]) for _ in range(sizes["cases"])])
    count = math.prod(shape)
    if isinstance(kind, Integer):
        drawn = [drawn_integer(rng, kind, sizes) for _ in range(count)]
        return np.array(drawn, dtype=np.int64).reshape(shape)
    assert isinstance(kind, Label | Labels)
    return rng.integers(kind.lower, sizes[kind.into], size=shape)
