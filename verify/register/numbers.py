"""Arrays as a record writes them: in few characters, whatever their size.

A number is a float of TOML, or a string with a float in hex. An array is

* a number, or a list of numbers, or a list of such lists: its shape is that of the nesting;
* ``{fill = 0.0, shape = [4], at = {2 = 1.0}}``: equal numbers, but for some, counted row after row;
* ``{runs = [[false, 128], [true, 313]]}``: runs of equal ones;
* ``{from = 0.0, to = 1.0, shape = [5]}``: evenly spaced;
* ``{normal = 3.0, seed = 352, shape = [16]}``: drawn, normal numbers of that deviation.

Truth values are ``true`` and ``false`` in place of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format


@dataclass(frozen=True)
class Recorded:
    """An array of a record: numbers in runs of equal ones, (number, how often), and its shape.

    Examples
    --------
    >>> from softproof.derivations.arithmetic.formats import ARRAY_FORMATS
    >>> Recorded(((0.0, 3), (10.0, 1)), (4,)).array(ARRAY_FORMATS["float16"])
    array([ 0.,  0.,  0., 10.], dtype=float16)
    """

    runs: tuple[tuple[float, int], ...]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def array(self, fmt: Format) -> NDArray[Any]:
        """The numbers, each rounded once into a format.

        Parameters
        ----------
        fmt
            The format.

        Returns
        -------
        array
            Of the recorded shape.
        """
        return self.of_dtype(fmt.dtype)

    def of_dtype(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The numbers in a dtype: of a format, of labels, or of truth values.

        Parameters
        ----------
        dtype
            The dtype.

        Returns
        -------
        array
            Of the recorded shape.
        """
        values, counts = zip(*self.runs, strict=True)
        with np.errstate(over="ignore"):
            each = np.array(values).astype(dtype)
        return np.repeat(each, counts).reshape(self.shape)


def recorded(given: Any, place: str) -> Recorded:
    """Read an array of a record.

    Parameters
    ----------
    given
        What stands in the TOML file.
    place
        Where it stands, for errors.

    Returns
    -------
    Recorded
        The array.

    Raises
    ------
    ValueError
        If it is none of the forms; the message begins with the place.

    Examples
    --------
    >>> recorded([[0, 0], [0, "0x1.8p+0"]], "here")
    Recorded(runs=((0.0, 3), (1.5, 1)), shape=(2, 2))
    """
    if not isinstance(given, Mapping):
        return _nested(given, place)
    for key, read in FORMS.items():
        if key in given:
            return read(given, place)
    raise ValueError(f"{place}: {dict(given)} has none of {', '.join(FORMS)}")


def is_array(given: Any) -> bool:
    """Tell an array of a record from a table of several.

    Parameters
    ----------
    given
        What stands in the TOML file.

    Returns
    -------
    bool
        False for a table with none of the keys of an array.
    """
    return not isinstance(given, Mapping) or any(key in given for key in FORMS)


def number(given: Any, place: str) -> float:
    """Read a number: a float of TOML, or a string with a float in hex.

    Parameters
    ----------
    given
        What stands in the TOML file.
    place
        Where it stands, for errors.

    Returns
    -------
    float
        The number; 1 and 0 for truth values.

    Raises
    ------
    ValueError
        If it is no number.
    """
    try:
        if isinstance(given, str):
            return float.fromhex(given)
        if isinstance(given, int | float):
            return float(given)
    except ValueError:
        pass
    raise ValueError(f"{place}: {given!r} is no number; write 1.5, inf or a string '0x1.8p+0'")


def demand_keys(
    record: Mapping[str, Any], required: Iterable[str], optional: Iterable[str], place: str
) -> None:
    """Demand that a table has certain keys, and none but certain others.

    Parameters
    ----------
    record
        The table.
    required, optional
        The keys that it must have, and those that it may have.
    place
        Where it stands, for errors.

    Raises
    ------
    ValueError
        If a key is missing or unknown.
    """
    if missing := {*required} - {*record}:
        raise ValueError(f"{place}: lacks {', '.join(sorted(missing))}")
    known = {*required, *optional}
    if unknown := {*record} - known:
        told = ", ".join(sorted(known))
        raise ValueError(f"{place}: unknown {', '.join(sorted(unknown))}; known are {told}")


def _nested(given: Any, place: str) -> Recorded:
    shape: list[int] = []
    entries = [given]
    while isinstance(entries[0], list):
        size = len(entries[0])
        if not size or any(not isinstance(e, list) or len(e) != size for e in entries):
            raise ValueError(f"{place}: no numbers, or rows of several lengths")
        shape.append(size)
        entries = [entry for row in entries for entry in row]
    return _in_runs([number(entry, place) for entry in entries], tuple(shape))


def _in_runs(numbers: Iterable[float], shape: tuple[int, ...]) -> Recorded:
    """Runs of numbers that are the same in all bits: NaN equals NaN, 0 not -0."""
    grouped = groupby(numbers, key=float.hex)
    runs = ((float.fromhex(key), len(list(run))) for key, run in grouped)
    return Recorded(tuple(runs), shape)


def _shape(given: Mapping[str, Any], place: str) -> tuple[int, ...]:
    shape = given["shape"]
    if not (isinstance(shape, list) and shape and all(isinstance(n, int) and n > 0 for n in shape)):
        raise ValueError(f"{place}: shape is {shape!r}; give a list of sizes, as [4]")
    return tuple(shape)


def _filled(given: Mapping[str, Any], place: str) -> Recorded:
    demand_keys(given, {"fill", "shape"}, {"at"}, place)
    fill, shape = number(given["fill"], place), _shape(given, place)
    size = math.prod(shape)
    special = {int(i): number(v, place) for i, v in given.get("at", {}).items()}
    runs, end = [], 0
    for i in sorted(special):
        if not end <= i < size:
            raise ValueError(f"{place}: index {i} is none of {size} entries")
        runs += [(fill, i - end), (special[i], 1)]
        end = i + 1
    runs.append((fill, size - end))
    return Recorded(tuple(run for run in runs if run[1]), shape)


def _of_runs(given: Mapping[str, Any], place: str) -> Recorded:
    demand_keys(given, {"runs"}, {"shape"}, place)
    runs = tuple((number(value, place), int(count)) for value, count in given["runs"])
    size = sum(count for _, count in runs)
    shape = _shape(given, place) if "shape" in given else (size,)
    if math.prod(shape) != size:
        raise ValueError(f"{place}: runs of {size} numbers have not the shape {shape}")
    return Recorded(runs, shape)


def _spaced(given: Mapping[str, Any], place: str) -> Recorded:
    demand_keys(given, {"from", "to", "shape"}, (), place)
    shape = _shape(given, place)
    first, last = number(given["from"], place), number(given["to"], place)
    return _in_runs(np.linspace(first, last, math.prod(shape)).tolist(), shape)


def _drawn(given: Mapping[str, Any], place: str) -> Recorded:
    """By the generator whose numbers NumPy promises never to change."""
    demand_keys(given, {"normal", "seed", "shape"}, (), place)
    shape = _shape(given, place)
    source = np.random.RandomState(given["seed"])
    drawn = number(given["normal"], place) * source.standard_normal(math.prod(shape))
    return _in_runs(drawn.tolist(), shape)


FORMS: dict[str, Callable[[Mapping[str, Any], str], Recorded]] = {
    "fill": _filled,
    "runs": _of_runs,
    "from": _spaced,
    "normal": _drawn,
}
