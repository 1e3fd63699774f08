"""What the kernels are timed on: shapes, distributions of logits, labels, memory for results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import psutil
from numpy.typing import NDArray

from ...derivations import REGISTRY, Output
from ...derivations.arithmetic.formats import FORMATS

SEED = 0
STANDARD_DEVIATION = 3.0

OPERATIONS = {
    "softmax": ("softmax",),
    "log_softmax": ("log_softmax",),
    "logsumexp": ("logsumexp",),
    "cross_entropy": ("cross_entropy", "cross_entropy_with_gradient"),
}
"""What is timed by a command of its own: in the memory of the caller, and beside memory's limit.

Other definitions are timed as subjects are called (`registered`).
"""

TITLES = {
    "cross_entropy": "cross_entropy, losses alone",
    "cross_entropy_with_gradient": "cross_entropy, losses and gradient",
}

SHAPES = (
    (1, 1 << 26),
    (4096, 32768),
    (65536, 1024),
    (1 << 20, 64),
    (128, 128256),
    (1, 65536),
    (64, 1024),
    (1024, 64),
    (1, 8),
)
"""Rows and classes: five out of cache (the last is a language model's), three in cache, a call."""

BAD_DAY_SHAPES = ((1024, 32768), (16384, 1024), (64, 1024))

MOST_ARRAYS = 8
"""Logits, results, and what peers make beside them: copies in JAX and LiteRT, temporaries."""

TINY = 64
"""Up to so many elements a shape measures the call, not the arithmetic."""

Array = NDArray[Any]
Shape = tuple[int, int]


@dataclass(frozen=True)
class Problem:
    """One operation on one array.

    * `x`: logits, shape (rows, classes), compact.
    * `labels`: shape (rows,), in the second half of the classes, where no distribution masks.
    * `out`: memory that every candidate writes to which can: the shape of `x`, or (rows,).
    """

    operation: str
    x: Array
    labels: NDArray[np.intp]
    out: Array


def reduces(operation: str) -> bool:
    """Tell whether an operation writes one number for each row.

    Parameters
    ----------
    operation
        The name of a definition, or a kind of an operation.

    Returns
    -------
    bool
        Whether it does; False for what is no definition of a row.

    Examples
    --------
    >>> reduces("logsumexp"), reduces("softmax"), reduces("cross_entropy_with_gradient")
    (True, False, False)
    >>> reduces("sigmoid")
    False
    """
    definition = REGISTRY.get(operation)
    if definition is None or definition.elementwise:
        return False
    return definition.output is Output.REAL


def problem(operation: str, dtype: str, shape: Shape, distribution: str = "normal") -> Problem:
    """Draw the logits of a distribution, the same at every call, and what goes with them.

    Parameters
    ----------
    operation
        A kind of an operation, or the name of a definition.
    dtype
        The name of the format.
    shape
        (rows, classes).
    distribution
        A key of `DISTRIBUTIONS`.

    Returns
    -------
    Problem
        The logits, the labels and memory for the result.

    Raises
    ------
    KeyError
        If there is no such distribution.
    ValueError
        If the format cannot hold it.

    Examples
    --------
    >>> problem("logsumexp", "float32", (2, 8)).out.shape
    (2,)
    """
    if not is_representable(distribution, dtype):
        raise ValueError(f"distribution {distribution!r} has logits beyond the range of {dtype}")
    rows, classes = shape
    x = DISTRIBUTIONS[distribution](np.random.default_rng(SEED), rows, classes, _dtype(dtype))
    labels = np.random.default_rng(SEED).integers(classes // 2, classes, size=rows, dtype=np.intp)
    out = np.zeros((rows,) if reduces(operation) else shape, x.dtype)
    return Problem(operation, x, labels, out)


def parse_shape(text: str) -> Shape:
    """Read rows and classes from ROWSxCLASSES.

    Parameters
    ----------
    text
        The text, such as 4096x32768 or 1x2^26.

    Returns
    -------
    tuple of int
        (rows, classes).

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> parse_shape("4096x32768"), parse_shape("1x2^26")
    ((4096, 32768), (1, 67108864))
    """
    try:
        rows, classes = (parse_count(part) for part in text.split("x"))
    except ValueError:
        raise ValueError(
            f"shape must be ROWSxCLASSES, both at least 1, such as 4096x32768 or 1x2^26; "
            f"got {text!r}"
        ) from None
    return rows, classes


def parse_count(text: str) -> int:
    """Read a number of at least 1.

    Parameters
    ----------
    text
        The number, as 1024 or 2^10.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ValueError
        The text is no such number.
    """
    base, _, exponent = text.partition("^")
    count = int(base) ** int(exponent) if exponent else int(base)
    if not 1 <= count <= 1 << 40:
        raise ValueError
    return count


def demand_memory(shapes: Iterable[Shape], dtype: str) -> None:
    """Refuse shapes whose candidates together need more memory than is free.

    Parameters
    ----------
    shapes
        Each (rows, classes).
    dtype
        The name of the format.

    Raises
    ------
    ValueError
        For the first shape that does not fit, by its name.

    Examples
    --------
    >>> demand_memory([(64, 1024)], "float32")
    """
    free = psutil.virtual_memory().available
    for rows, classes in shapes:
        needed = MOST_ARRAYS * rows * classes * _dtype(dtype).itemsize
        if needed > free:
            raise ValueError(
                f"shape {rows}x{classes} of {dtype} needs {needed >> 30} GiB with all peers, and "
                f"{free >> 30} GiB are free; choose a smaller one"
            )


def is_representable(distribution: str, dtype: str) -> bool:
    """Tell whether the format holds the logits of a distribution.

    Parameters
    ----------
    distribution
        A key of `DISTRIBUTIONS`.
    dtype
        The name of the format.

    Returns
    -------
    bool
        Whether it does.

    Examples
    --------
    >>> is_representable("half -1e9", "float16")
    False
    """
    return abs(_PADDINGS.get(distribution, 0.0)) <= float(ml_dtypes.finfo(_dtype(dtype)).max)


def _dtype(name: str) -> np.dtype[Any]:
    return FORMATS[name].dtype


# --- distributions ---

Draw = Callable[[np.random.Generator, int, int, np.dtype[Any]], Array]


def _normal(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
    drawn = np.float64 if dtype == np.float64 else np.float32
    x: Array = rng.standard_normal((rows, classes), dtype=drawn)
    x *= STANDARD_DEVIATION
    return x.astype(dtype, copy=False)


def _padded(padding: float | None) -> Draw:
    """Normal, but the first half of each row is padding: the lowest finite number for None."""

    def draw(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
        x = _normal(rng, rows, classes, dtype)
        x[:, : classes // 2] = ml_dtypes.finfo(dtype).min if padding is None else padding
        return x

    return draw


def _slope(first: float, last: float) -> Draw:
    """Each row a straight line: its maximum moves with every element, or is the first one."""

    def draw(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
        line = np.linspace(first, last, classes).astype(dtype)
        return np.tile(line, (rows, 1))

    return draw


def _late_spike(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
    x = _normal(rng, rows, classes, dtype)
    x[:, -1] = SPIKE
    return x


def _half_underflowing(
    rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]
) -> Array:
    """Every other logit so far below the maximum that its probability is 0."""
    x = _normal(rng, rows, classes, dtype)
    normal_range = STANDARD_DEVIATION * 12  # nothing drawn is farther from its neighbour
    x[:, ::2] = math.log(_smallest_subnormal(dtype)) - normal_range
    return x


def _subnormal(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
    """One class takes all; the probabilities of the others are subnormal."""
    low = math.log(_smallest_subnormal(dtype))
    high = math.log(float(ml_dtypes.finfo(dtype).tiny))
    x = np.empty((rows, classes), dtype)
    x[:] = rng.uniform(low, high, (1, classes))
    x[:, -1] = 0
    return x


def _offset(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
    x = _normal(rng, rows, classes, dtype)
    x += np.array(min(OFFSET, float(ml_dtypes.finfo(dtype).max) / 4), dtype)
    return x


def _random_walk(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
    x = np.empty((rows, classes), dtype)
    for row in x:  # 16 bits would not hold the sum of the steps
        row[:] = np.cumsum(rng.standard_normal(classes, np.float32)).astype(dtype)
    return x


def _equal(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
    return np.full((rows, classes), 1, dtype)


def _smallest_subnormal(dtype: np.dtype[Any]) -> float:
    return float(ml_dtypes.finfo(dtype).smallest_subnormal)


SPIKE = 100.0
OFFSET = 1e6
_PADDINGS = {"half -1e9": -1e9, "half -1e30": -1e30}

DISTRIBUTIONS: dict[str, Draw] = {
    "normal": _normal,
    "half -inf": _padded(-math.inf),
    **{name: _padded(value) for name, value in _PADDINGS.items()},
    "half lowest": _padded(None),
    "ascending": _slope(-100.0, 100.0),
    "descending": _slope(100.0, -100.0),
    "late spike": _late_spike,
    "half underflowing": _half_underflowing,
    "subnormal": _subnormal,
    "offset": _offset,
    "random walk": _random_walk,
    "equal": _equal,
}
"""Rows as they come on bad days, beside normal ones of standard deviation `STANDARD_DEVIATION`.

Left-padded with -inf, -1e9, -1e30 or the lowest finite number, over half of each row; a line from
-100 to 100 and back; 100 at the end; every other probability 0; all but one subnormal; an offset of
1e6 (a quarter of the range of float16); a random walk of step 1; all equal.
"""
