"""The hazards of an argument, by its kind: named ways to draw its values.

Squares of the numbers can be summed without leaving the range of the format: what implementations
do beyond that they do not agree on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format
from ...derivations.signature import Integer, Numbers
from ..inputs.families import largest, ordinals

Rng = np.random.Generator
Shape = tuple[int, ...]
Drawn = Callable[[Rng, Format, Shape], NDArray[Any]]
Bounded = Callable[[Rng, Format, Shape, Numbers], NDArray[Any]]
DrawnMask = Callable[[Rng, Shape], NDArray[np.bool_]]


def hazards(kind: Numbers) -> dict[str, Drawn]:
    """The ways to draw numbers of a kind, by name, the plain one first; all lie in its domain.

    Parameters
    ----------
    kind
        The kind of an argument, with its domain.

    Returns
    -------
    dict
        By name a function of a generator, a format and a shape that gives numbers of the format.

    >>> from softproof.derivations import Vector
    >>> list(hazards(Vector("K", lower=-1.0, upper=1.0)))
    ['uniform', 'ends', 'near the ends']
    """
    if math.isfinite(kind.lower) and math.isfinite(kind.upper):
        named: dict[str, Bounded] = {
            "uniform": _uniform,
            "ends": _ends,
            "near the ends": _near_the_ends,
        }
    elif math.isfinite(kind.lower) or math.isfinite(kind.upper):
        named = {
            "lognormal": _beyond_the_end(lambda rng, fmt, shape: _exp(rng, 1.0, shape)),
            "end": _beyond_the_end(lambda rng, fmt, shape: np.zeros(shape)),
            "near the end": _beyond_the_end(lambda rng, fmt, shape: _exp(rng, 1.0, shape) / 4096),
            "wide": _beyond_the_end(lambda rng, fmt, shape: np.abs(_wide(rng, fmt, shape))),
            "huge": _beyond_the_end(lambda rng, fmt, shape: np.abs(_huge(rng, fmt, shape))),
        }
    else:
        named = {name: _anywhere(draw) for name, draw in _UNBOUNDED.items()}
    return {name: _inside(kind, draw) for name, draw in named.items()}


STRONGEST = ("huge", "tiny", "wide", "near the end", "ends", "near the ends")


def strongest(kind: Numbers) -> tuple[str, ...]:
    """The hazards of a kind that are asked together with those of another argument.

    Parameters
    ----------
    kind
        The kind of an argument, with its domain.

    Returns
    -------
    tuple of str
        Some of the names of ``hazards``.

    >>> from softproof.derivations import Vector
    >>> strongest(Vector("K")), strongest(Vector("K", lower=0.0))
    (('wide', 'huge', 'tiny'), ('near the end', 'wide', 'huge'))
    """
    return tuple(name for name in hazards(kind) if name in STRONGEST)


def strongest_mask_hazards() -> tuple[str, ...]:
    """The hazards of masks that are asked so: one entry kept, or an end dropped."""
    return ("one kept", "first dropped", "last dropped")


def mask_hazards() -> dict[str, DrawnMask]:
    """The ways to draw a mask, by name, the plain one first; each keeps one entry at least.

    >>> rng = np.random.default_rng(0)
    >>> mask_hazards()["one kept"](rng, (3,)).sum()
    np.int64(1)
    """
    return {
        "some kept": _some_kept,
        "all kept": lambda rng, shape: np.ones(shape, dtype=np.bool_),
        "one kept": _one_kept,
        "first dropped": lambda rng, shape: _one_end(rng, shape)[..., ::-1],
        "last dropped": _one_end,
    }


def drawn_integer(rng: Rng, kind: Integer, sizes: Mapping[str, int]) -> int:
    """A whole number of the kind: its least, its largest, or one between, alike often.

    Parameters
    ----------
    rng
        What is drawn from.
    kind
        The kind of the argument.
    sizes
        The size of each axis.

    Returns
    -------
    int
        The largest is the size of an axis where the kind says so.
    """
    most = sizes[kind.upper] if isinstance(kind.upper, str) else kind.upper
    least = min(kind.lower, most)
    return (least, most, int(rng.integers(least, most, endpoint=True)))[rng.integers(3)]


def drawn_index(rng: Rng, lower: int, size: int, place: int) -> int:
    """The first index, the last, or a drawn one, by place modulo 3.

    Parameters
    ----------
    rng
        What is drawn from.
    lower, size
        The least index, and what all are below.
    place
        The place of what is drawn in its batch.

    Returns
    -------
    int
        At least the least one, and below the size.
    """
    return (lower, size - 1, int(rng.integers(lower, size)))[place % 3]


# --- numbers ---


def squares_fit(fmt: Format, shape: Shape) -> int:
    """An exponent e so that the squares of numbers up to 2^(e + 2) can be summed, along any axis.

    Parameters
    ----------
    fmt
        The format.
    shape
        The shape of the array whose squares are summed.

    Returns
    -------
    int
        The exponent; negative for long rows of a format of few exponents.

    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> squares_fit(BINARY32, (64,))
    57
    """
    return (fmt.emax - 1 - max(shape, default=1).bit_length()) // 2 - 2


def _normal(rng: Rng, fmt: Format, shape: Shape) -> NDArray[Any]:
    return np.asarray(np.clip(rng.standard_normal(shape), -4, 4))


def _huge(rng: Rng, fmt: Format, shape: Shape) -> NDArray[Any]:
    return np.asarray(_normal(rng, fmt, shape) * 2.0 ** squares_fit(fmt, shape))


def _wide(rng: Rng, fmt: Format, shape: Shape) -> NDArray[Any]:
    fit = squares_fit(fmt, shape)
    most = fit if fit >= 0 else 2  # of long rows in formats of few exponents
    return np.asarray(2.0 ** rng.uniform(-most, most, shape) * rng.choice([-1.0, 1.0], shape))


def _spike(rng: Rng, fmt: Format, shape: Shape) -> NDArray[Any]:
    drawn = np.array(_normal(rng, fmt, shape))
    if drawn.size:
        place = rng.integers(drawn.size)
        drawn.reshape(-1)[place] = np.copysign(32, drawn.reshape(-1)[place])
    return drawn


def _ordered(rng: Rng, fmt: Format, shape: Shape) -> NDArray[Any]:
    drawn = np.sort(_normal(rng, fmt, shape), axis=None)
    return (drawn if rng.integers(2) else drawn[::-1]).reshape(shape)


def _beyond_exp(rng: Rng, fmt: Format, shape: Shape) -> NDArray[Any]:
    """Numbers whose exponentials, or those of their differences, leave the range of the format."""
    end = 1.2 * (fmt.emax + 1) * math.log(2)
    return np.asarray(rng.uniform(-end, end, shape))


_UNBOUNDED: dict[str, Drawn] = {
    "normal": _normal,
    "constant": lambda rng, fmt, shape: np.full(shape, rng.uniform(1, 2)),
    "zero": lambda rng, fmt, shape: rng.choice([0.0, -0.0], shape),
    "ties": lambda rng, fmt, shape: rng.choice(rng.standard_normal(2), shape),
    "ordered": _ordered,
    "spike": _spike,
    "offset": lambda rng, fmt, shape: _normal(rng, fmt, shape) + 2.0 ** min(8, fmt.precision - 3),
    "beyond exp": _beyond_exp,
    "wide": _wide,
    "huge": _huge,
    "tiny": lambda rng, fmt, shape: _normal(rng, fmt, shape) * 2.0 ** (fmt.emin // 2),
    "subnormal": lambda rng, fmt, shape: ordinals(
        rng, fmt, 2.0**fmt.tiny_exponent, 2.0**fmt.emin, shape
    ),
}


def _exp(rng: Rng, sigma: float, shape: Shape) -> NDArray[Any]:
    return np.asarray(np.exp(sigma * np.clip(rng.standard_normal(shape), -4, 4)))


def _uniform(rng: Rng, fmt: Format, shape: Shape, kind: Numbers) -> NDArray[Any]:
    return rng.uniform(kind.lower, kind.upper, shape)


def _ends(rng: Rng, fmt: Format, shape: Shape, kind: Numbers) -> NDArray[Any]:
    return rng.choice([kind.lower, kind.upper], shape)


def _near_the_ends(rng: Rng, fmt: Format, shape: Shape, kind: Numbers) -> NDArray[Any]:
    depth = (kind.upper - kind.lower) * 2.0 ** rng.uniform(-fmt.precision - 2, -1, shape)
    return np.where(rng.random(shape) < 0.5, kind.lower + depth, kind.upper - depth)


def _anywhere(draw: Drawn) -> Bounded:
    return lambda rng, fmt, shape, kind: draw(rng, fmt, shape)


def _beyond_the_end(draw: Drawn) -> Bounded:
    """Distances from the one end of a domain that is a number."""

    def drawn(rng: Rng, fmt: Format, shape: Shape, kind: Numbers) -> NDArray[Any]:
        distance = draw(rng, fmt, shape)
        return kind.lower + distance if math.isfinite(kind.lower) else kind.upper - distance

    return drawn


def _inside(kind: Numbers, draw: Bounded) -> Drawn:
    """Drawn numbers, rounded to the format and moved into the domain where that leaves it."""

    def drawn(rng: Rng, fmt: Format, shape: Shape) -> NDArray[Any]:
        low, high = ends(kind, fmt)
        numbers = np.asarray(draw(rng, fmt, shape, kind)).astype(np.float64)
        rounded = np.clip(numbers, -largest(fmt), largest(fmt)).astype(fmt.dtype)
        return np.asarray(np.clip(rounded, low, high), dtype=fmt.dtype).reshape(shape)

    return drawn


def ends(kind: Numbers, fmt: Format) -> tuple[np.generic, np.generic]:
    """The least and the largest number of a format in the domain of a kind.

    Parameters
    ----------
    kind
        The kind of an argument, with its domain.
    fmt
        The format.

    Returns
    -------
    tuple
        Two numbers of the format, infinite where the domain and the format have infinities.
    """

    def within(end: float, towards: float) -> np.generic:
        if not fmt.has_infinities:
            end, towards = (float(np.clip(x, -fmt.largest, fmt.largest)) for x in (end, towards))
        number: np.generic = fmt.dtype.type(end)
        if math.isinf(end):
            return number
        wrong_side = float(number) < end if towards > 0 else float(number) > end
        moved: np.generic = np.nextafter(number, fmt.dtype.type(towards)) if wrong_side else number
        return moved

    return within(kind.lower, math.inf), within(kind.upper, -math.inf)


# --- masks ---


def _some_kept(rng: Rng, shape: Shape) -> NDArray[np.bool_]:
    kept = rng.random(shape) < 0.7
    return kept | _one_kept(rng, shape)


def _one_kept(rng: Rng, shape: Shape) -> NDArray[np.bool_]:
    kept = np.zeros(shape, dtype=np.bool_)
    if kept.size:
        kept.reshape(-1)[(0, -1, rng.integers(kept.size))[rng.integers(3)]] = True
    return kept


def _one_end(rng: Rng, shape: Shape) -> NDArray[np.bool_]:
    """A beginning of the last axis is kept, of at least one entry."""
    size = shape[-1] if shape else 1
    return np.broadcast_to(np.arange(size) < rng.integers(1, size + 1), shape).copy()
