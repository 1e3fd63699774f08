"""The points that facts are settled at: in symbols, where one stands for all, and drawn, in balls.

In symbols each number is a symbol (positive where its domain has one end, the distance from that
end), each parameter one for every positive value, and 0 apart, where formulas may take another way.
Labels take every value, and masks every one that keeps an entry.  A piecewise function declares
*charts* instead (``Definition.charts``): arguments in positive symbols that together cover its
domain, with an arithmetic that decides by proof.  What holds inside of a domain holds at its ends
where the function is continuous.

In balls a point is drawn: multiples of 1/16, so that there are ties among them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sympy

from ..arithmetic.systems import balls, symbols
from ..choices import of_numbers
from ..definition import Definition, Formula
from ..signature import Count, Integer, Kind, Label, Labels, Mask, Numbers, Parameter
from .points import Point

Rng = np.random.Generator
MOST_DRAWN = 4.0  # of a number without a domain

# --- points in symbols ---


def symbolic_points(
    definition: Definition, size: int, decided: Any, formula: Formula | None = None
) -> Iterator[Point]:
    """Points that together stand for all, with this many entries along each axis.

    (As many as each may have, where a definition says so.)

    Parameters
    ----------
    definition
        A definition with named arguments.
    size
        The size of every axis.
    decided
        The arithmetic of a chart.
    formula
        Its formula, or one in its place.

    Yields
    ------
    Point
        One for each chart, each way to choose indices and masks, and each kind of parameters.
    """
    kinds = definition.signature.arguments
    if definition.charts is not None:
        charts, xp = list(definition.charts(size)), decided
    else:
        charts, xp = [{}], symbols()
    sizes = dict.fromkeys(definition.signature.axes, size)
    if definition.drawn_sizes:
        sizes |= definition.drawn_sizes(sizes)
    discrete = {n: list(_choices(k, sizes)) for n, k in kinds.items() if not isinstance(k, Numbers)}
    ways = {name: list(_values(name, p)) for name, p in definition.parameters.items()}
    definition = of_numbers(definition)
    for chart in charts:
        numbers = {n: _symbols(n, k, sizes) for n, k in kinds.items() if isinstance(k, Numbers)}
        for chosen in itertools.product(*discrete.values()):
            values = {**numbers, **chart, **dict(zip(discrete, chosen, strict=True))}
            for way in itertools.product(*ways.values()):
                given = dict(zip(ways, way, strict=True))
                if max(definition.at_least(given).values(), default=size) > size:
                    continue
                yield Point(
                    definition,
                    formula or definition.formula,
                    xp,
                    {name: values[name] for name in kinds},
                    given,
                    lambda name, shape, positive: _array(f"{name}'", shape, positive),
                )


def _values(name: str, parameter: Parameter) -> Iterator[Any]:
    """All values of a parameter: as a symbol, 0, and what stands for none given; counts as used."""
    if isinstance(parameter, Count):
        yield from dict.fromkeys((parameter.default, *parameter.values))
        return
    yield sympy.Symbol(f"{name}'", positive=True)
    if parameter.lower <= 0 <= parameter.upper:
        yield 0
    if parameter.lower < 0:
        yield -sympy.Symbol(f"{name}'", positive=True)
    if parameter.default is None:
        yield None


def _choices(kind: Kind, sizes: Mapping[str, int]) -> Iterator[Any]:
    """All values of an argument that is no real number."""
    shape = tuple(sizes[axis] for axis in kind.axes)
    if isinstance(kind, Mask):
        for kept in itertools.product((True, False), repeat=int(np.prod(shape))):
            if any(kept):
                yield np.array(kept, dtype=np.bool_).reshape(shape)
        return
    if isinstance(kind, Integer):
        upper = kind.upper
        most = sizes[upper] if isinstance(upper, str) else min(upper, kind.lower + 3)
        yield from range(min(kind.lower, most), most + 1)
    if isinstance(kind, Label | Labels):
        indices = range(kind.lower, sizes[kind.into])
        for chosen in itertools.product(indices, repeat=int(np.prod(shape))):
            yield np.array(chosen, dtype=np.int64).reshape(shape) if shape else chosen[0]


def _symbols(name: str, kind: Numbers, sizes: Mapping[str, int]) -> Any:
    """A number, or an array of them, anywhere inside of its domain."""
    bounded = math.isfinite(kind.lower) or math.isfinite(kind.upper)
    x = _array(name, tuple(sizes[axis] for axis in kind.axes), bounded)
    if not bounded:
        return x
    if math.isfinite(kind.lower) and math.isfinite(kind.upper):
        return sympy.Rational(kind.lower) + sympy.Rational(kind.upper - kind.lower) * (x / (1 + x))
    return (
        sympy.Rational(kind.lower) + x
        if math.isfinite(kind.lower)
        else (sympy.Rational(kind.upper) - x)
    )


def _array(name: str, shape: tuple[int, ...], positive: bool) -> Any:
    """Symbols with the numbers of their entries; one symbol where there is no axis."""
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        entry = name + "".join(f"_{i + 1}" for i in index)
        array[index] = sympy.Symbol(entry, real=True, positive=positive or None)
    return array if shape else array[()]


# --- points in balls ---


def drawn_point(
    definition: Definition, sizes: Mapping[str, int], rng: Rng, formula: Formula | None = None
) -> Point:
    """A point of small numbers, in balls.

    Parameters
    ----------
    definition
        A definition with named arguments.
    sizes
        Of its axes.
    rng
        What draws.
    formula
        Its formula, or one in its place.

    Returns
    -------
    Point
        With parameters at their defaults or at one of the values that suites use.
    """
    definition, xp = of_numbers(definition), balls()
    sizes = definition.fitting(sizes, {})
    for name, parameter in definition.parameters.items():
        for value in parameter.values:
            sizes = definition.fitting(sizes, {name: value})

    further: dict[str, Any] = {}

    def number(name: str, shape: tuple[int, ...], positive: bool) -> Any:
        low = 1 / 16 if positive else -MOST_DRAWN
        further[name] = xp.array(_drawn(rng, shape, low, MOST_DRAWN))
        return further[name]

    arguments: dict[str, Any] = {}
    for name, kind in definition.signature.arguments.items():
        shape = tuple(sizes[axis] for axis in kind.axes)
        if isinstance(kind, Numbers):
            low = kind.lower if math.isfinite(kind.lower) else min(-MOST_DRAWN, kind.upper - 8)
            high = kind.upper if math.isfinite(kind.upper) else max(MOST_DRAWN, low + 8)
            arguments[name] = xp.array(_drawn(rng, shape, low, high))
        else:
            arguments[name] = _drawn_choice(kind, shape, sizes, rng)
    parameters = {
        name: values[rng.integers(len(values))]
        for name, p in definition.parameters.items()
        if (values := (p.default, *p.values))
    }
    formula = formula or definition.formula
    return Point(definition, formula, xp, arguments, parameters, number, further)


def _drawn(rng: Rng, shape: tuple[int, ...], low: float, high: float) -> Any:
    """Multiples of a sixteenth of a unit, or of the interval where that is shorter."""
    steps = max(16, min(128, int((high - low) * 16)))
    return low + (high - low) * rng.integers(0, steps, shape, endpoint=True) / steps


def _drawn_choice(kind: Kind, shape: tuple[int, ...], sizes: Mapping[str, int], rng: Rng) -> Any:
    if isinstance(kind, Mask):
        kept = rng.random(shape) < 0.7
        if kept.size and not kept.any():
            kept.reshape(-1)[0] = True
        return kept
    if isinstance(kind, Integer):
        most = sizes[kind.upper] if isinstance(kind.upper, str) else kind.upper
        return int(rng.integers(min(kind.lower, most), most, endpoint=True))
    chosen = rng.integers(kind.lower, sizes[kind.into], shape)  # type: ignore[attr-defined]
    return chosen if shape else int(chosen)


def told(point: Point) -> str:
    """A drawn point in a line, with the further numbers that were drawn.

    Parameters
    ----------
    point
        A point in balls.

    Returns
    -------
    str
        Names and decimals.
    """
    parts = []
    for name, value in {**point.arguments, **point.drawn}.items():
        entries = np.asarray(value, dtype=object)
        parts.append(f"{name} = {_nested(entries.tolist())}")
    parts += [f"{n} = {v:g}" for n, v in point.parameters.items() if v is not None]
    return ", ".join(parts)


def _nested(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_nested, value))}]"
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    return f"{float(value):.6g}"
