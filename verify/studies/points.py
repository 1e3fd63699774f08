"""The points at which errors are held against the precision: drawn ones, or a case of the user's.

Drawn numbers are reals of more than 113 bits.  They are rounded to each precision, and the rounded
numbers are the exact problem there: the error is that of the computation alone.  Inputs of few bits
would be the same problem at every precision, but at most precisions their differences would be
exact, and the rounding of z_k - max z is what the shifted forms lose most by.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...derivations.arithmetic.formats import BINARY64, Format
from ...derivations.definition import Definition
from ...derivations.signature import Integer, Kind, Label, Labels, Mask, Numbers
from ..cases.case import Case
from ..cases.hazards import drawn_integer
from ..cases.products import asked_at
from ..cases.text import parse

SEED = 0
LABEL = 0

CLASSES = 16
DRAWS = 8
HALF_WIDTH = 2
# No larger, so that every probability, at least about e^-(WINNER + HALF_WIDTH), is normal in
# float16: what the formats show beside rounding is then the overflow of intermediate results.
WINNER = 7
OFFSET = 100  # e^100 overflows float32

REALS = 64
REALS_HALF_WIDTH = 12  # e^12 overflows float16

SIZE = 16  # of every axis of named arguments
KEPT = 3 / 4  # of a mask

Uniform = Callable[[int], Fraction]  # on [-w, w)


@dataclass(frozen=True)
class Points:
    """Where a definition is asked.

    * ``values``: for each point the arguments by name: numbers as exact values, or an array of
      them, indices and masks as a formula takes them.
    * ``parameters``: those that have not their defaults.
    * ``described``: in one sentence, without its full stop, what they are.
    """

    values: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, float] = field(default_factory=dict)
    described: str = ""


def drawn_points(definition: Definition, parameters: Mapping[str, float] | None = None) -> Points:
    """The points that are drawn for a definition: the same at every call.

    Parameters
    ----------
    definition
        The definition; an elementwise one has one point with many reals.
    parameters
        Values of its parameters; the others have their defaults.

    Returns
    -------
    Points
        Points of numbers of more than 113 bits.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> drawn_points(lookup("sigmoid")).described
    '64 reals uniform in [-12, 12), seed 0, rounded to p bits'
    >>> sorted(drawn_points(lookup("rms_norm"), {"eps": 0.0}).values[0])
    ['gain', 'x']
    """
    generator = random.Random(SEED)

    def uniform(half_width: int) -> Fraction:
        return half_width * (Fraction(generator.getrandbits(128), 2**127) - 1)

    chosen = dict(parameters or {})
    if not definition.of_a_row:
        values = _of_named_arguments(definition, uniform)
        return Points(values, chosen, _named_described(definition, chosen))
    if definition.elementwise:
        reals = [uniform(REALS_HALF_WIDTH) for _ in range(REALS)]
        (name,) = definition.signature.arguments
        return Points([{name: np.array(reals, dtype=object)}], chosen, _reals_described(chosen))
    drawn = [[uniform(HALF_WIDTH) for _ in range(CLASSES)] for _ in range(DRAWS)]
    won = [[Fraction(WINNER), *row[1:]] for row in drawn]
    rows = [[z + offset for z in row] for offset in (0, OFFSET) for row in drawn + won]
    values = [
        {
            name: np.array(row, dtype=object) if isinstance(kind, Numbers) else LABEL
            for name, kind in definition.signature.arguments.items()
        }
        for row in rows
    ]
    return Points(values, chosen, _rows_described(definition, chosen))


def case_of_file(definition: Definition, path: Path, fmt: Format) -> Case:
    """The case in a file, as ``verify`` prints it.

    Parameters
    ----------
    definition
        What it has to be a case of.
    path
        The file.
    fmt
        The format of its numbers.

    Returns
    -------
    Case
        The case, with its parameters.

    Raises
    ------
    ValueError
        The file holds no case of the definition, or a number that is not finite; the message has
        the file.
    OSError
        The file cannot be read.
    """
    try:
        found, case = parse(path.read_text(encoding="utf-8"), fmt)
        if found.name != definition.name:
            raise ValueError(f"it is a case of {found.name}, not of {definition.name}")
        if asked_at(definition, case) is not definition:
            raise ValueError("it has a cotangent, and vector-Jacobian products are not drawn")
        for name in definition.signature.numbers:
            if not np.isfinite(case.values[name].astype(np.float64)).all():
                raise ValueError(f"{name} has a number that is not finite; give finite ones")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return case


def point_of_file(definition: Definition, path: Path) -> Points:
    """The point of a case in a file, whose numbers are rounded to each precision.

    Parameters
    ----------
    definition
        What it has to be a case of.
    path
        The file.

    Returns
    -------
    Points
        This point, with the parameters of the case.

    Raises
    ------
    ValueError
        As ``case_of_file`` does.
    OSError
        The file cannot be read.
    """
    case = case_of_file(definition, path, BINARY64)
    values: dict[str, Any] = {}
    for name, kind in definition.signature.arguments.items():
        value = case.values[name]
        if isinstance(kind, Numbers):
            exact = [Fraction(float(number)) for number in value.reshape(-1)]
            array = np.empty(value.size, dtype=object)
            array[:] = exact
            values[name] = array.reshape(value.shape) if value.ndim else exact[0]
        else:
            values[name] = value if value.ndim else int(value)
    described = f"the case in {path}{_settings(case.parameters)}, its numbers rounded to p bits"
    return Points([values], dict(case.parameters), described)


# --- drawn points ---


def _of_named_arguments(definition: Definition, uniform: Uniform) -> list[dict[str, Any]]:
    """DRAWS points: what a batch shares is the same in all of them."""
    rng = np.random.default_rng(SEED)
    sizes = _sizes(definition)
    shared: dict[str, Any] = {}
    points = []
    for _ in range(DRAWS):
        point: dict[str, Any] = {}
        for name, kind in definition.signature.arguments.items():
            point[name] = shared[name] if name in shared else _drawn(kind, sizes, uniform, rng)
            if kind.shared:
                shared[name] = point[name]
        points.append(point)
    return points


def _sizes(definition: Definition) -> dict[str, int]:
    """SIZE of every axis, or as near to it as every case has a value at."""
    return definition.fitting(dict.fromkeys(definition.signature.axes, SIZE), {})


def _drawn(kind: Kind, sizes: Mapping[str, int], uniform: Uniform, rng: np.random.Generator) -> Any:
    shape = tuple(sizes[axis] for axis in kind.axes)
    if isinstance(kind, Mask):
        kept = rng.random(shape) < KEPT
        kept[..., 0] = True  # nothing is left of an attention to nothing
        return kept
    if isinstance(kind, Integer):
        return drawn_integer(rng, kind, sizes)
    if isinstance(kind, Labels):
        return kind.lower + np.arange(*shape) % (sizes[kind.into] - kind.lower)
    if not isinstance(kind, Numbers):
        return LABEL
    array = np.empty(math.prod(shape), dtype=object)
    array[:] = [_in_the_domain(kind, uniform) for _ in range(array.size)]
    return array.reshape(shape)[()]


def _in_the_domain(kind: Numbers, uniform: Uniform) -> Fraction:
    """Uniform on the domain; if it is unbounded, on 2 HALF_WIDTH from its end or around 0."""
    lower, upper = kind.lower, kind.upper
    if math.isfinite(lower) and math.isfinite(upper):
        return Fraction(lower) + (Fraction(upper) - Fraction(lower)) * (uniform(1) + 1) / 2
    if math.isfinite(lower):
        return Fraction(lower) + HALF_WIDTH + uniform(HALF_WIDTH)
    if math.isfinite(upper):
        return Fraction(upper) - HALF_WIDTH + uniform(HALF_WIDTH)
    return uniform(HALF_WIDTH)


# --- in words ---


def _named_described(definition: Definition, parameters: Mapping[str, float]) -> str:
    bounded = any(
        isinstance(kind, Numbers) and math.isfinite(min(abs(kind.lower), abs(kind.upper)))
        for kind in definition.signature.arguments.values()
    )
    alike: dict[int, list[str]] = {}
    for axis, size in _sizes(definition).items():
        alike.setdefault(size, []).append(axis)
    sizes = "".join(f", {' = '.join([*axes, str(size)])}" for size, axes in alike.items())
    kinds = definition.signature.arguments.values()
    label = f", label {LABEL}" if any(isinstance(kind, Label) for kind in kinds) else ""
    for kind in kinds:
        if isinstance(kind, Labels):
            label += f", labels {kind.lower}, {kind.lower + 1}, ... in turn"
    where = f"[-{HALF_WIDTH}, {HALF_WIDTH}){', or in their domains' if bounded else ''}"
    names = ", ".join(definition.signature.arguments)
    return (
        f"{DRAWS} points of {names}{sizes}{label}{_settings(parameters)}: numbers uniform in "
        f"{where}, seed {SEED}, rounded to p bits"
    )


def _reals_described(parameters: Mapping[str, float]) -> str:
    return (
        f"{REALS} reals uniform in [-{REALS_HALF_WIDTH}, {REALS_HALF_WIDTH}), seed {SEED}"
        f"{_settings(parameters)}, rounded to p bits"
    )


def _rows_described(definition: Definition, parameters: Mapping[str, float]) -> str:
    label = f", label {LABEL}" if definition.labelled else ""
    return (
        f"{4 * DRAWS} rows of K = {CLASSES} logits: {DRAWS} uniform in [-{HALF_WIDTH}, "
        f"{HALF_WIDTH}), seed {SEED}; these with logit 0 set to {WINNER}; all those plus {OFFSET}"
        f"{label}{_settings(parameters)}; rounded to p bits"
    )


def _settings(parameters: Mapping[str, float]) -> str:
    return "".join(f", {name} = {value!r}" for name, value in parameters.items())
