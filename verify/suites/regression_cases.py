"""The regression cases: bugs that were reported of softmax code, as data, with true values.

``data/regressions.toml`` holds a record for each: where it was reported, why it happens, and
probes, each an input with what must hold of the result.  This module reads and validates it.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition, Output, lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format

FILE = Path(__file__).parents[1] / "data" / "regressions.toml"

# What must hold of a call's result.
PROPERTIES = {
    "value": "the value is the expected one",
    "gradient": "the gradient, or the cotangent pulled back, is the expected one",
    "row_untouched": "the results of other rows are what they are without this row",
    "bitwise": "the row gives the same bits alone and in batches, at every place",
    "raises": "an exception, not a number",
}
OPTIONS = ("scale", "where", "b", "ignore_index", "cotangent")
CONTRACT = "contract"  # in place of expected numbers: what the subject's contract says


@dataclass(frozen=True)
class Row:
    """Numbers in runs of equal ones: (number, how often) each.

    >>> Row(((0.0, 3), (10.0, 1))).array(ARRAY_FORMATS["float16"])
    array([ 0.,  0.,  0., 10.], dtype=float16)
    """

    runs: tuple[tuple[float, int], ...]

    def __len__(self) -> int:
        """How many numbers the row has."""
        return sum(count for _, count in self.runs)

    def array(self, fmt: Format) -> NDArray[Any]:
        """The numbers, each rounded once into a format."""
        values, counts = zip(*self.runs, strict=True)
        return np.repeat(np.array(values).astype(fmt.dtype), counts)


@dataclass(frozen=True)
class Probe:
    """One input, and what must hold of what a subject returns for it.

    ``expected``: for each format the correctly rounded numbers; empty where the contract, or the
    property itself, says what must come.  ``ulps``: the admissible distance from them, for the
    ``reason`` given; None for the a-priori bound of the definition, held against the oracle.
    ``lengths``: beginnings of the row that are asked for as well as the row itself.  ``columns``:
    the reduction runs over axis 0 of so many equal columns.  ``batches``: sizes of the batches of a
    bitwise probe.
    """

    definition: str
    property: str
    logits: Row
    dtypes: tuple[str, ...]
    expected: Mapping[str, Row] = field(default_factory=dict)
    label: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    ulps: float | None = None
    reason: str = ""
    lengths: tuple[int, ...] = ()
    columns: int = 0
    batches: tuple[int, ...] = ()
    layout: str = "contiguous"

    def rows(self, fmt: Format) -> Iterator[NDArray[Any]]:
        """The row that is asked for, or its beginnings."""
        whole = self.logits.array(fmt)
        for length in self.lengths or (len(whole),):
            yield whole[:length]

    def keywords(self, fmt: Format, rows: int) -> dict[str, Any]:
        """The options as keyword arguments for a batch of so many equal rows."""
        return {name: _keyword(value, fmt, rows) for name, value in self.options.items()}


def _keyword(value: Any, fmt: Format, rows: int) -> Any:
    if isinstance(value, tuple):  # a mask
        return np.tile(np.array(value), (rows, 1))
    if isinstance(value, Row):
        array = value.array(fmt)
        return np.tile(array, (rows, 1) if len(array) > 1 else rows)
    return value


@dataclass(frozen=True)
class Case:
    """A bug that was reported: where, why it happens, and the probes that show it."""

    id: str
    upstream: tuple[str, ...]
    why: str
    probes: tuple[Probe, ...]


@functools.cache
def load(path: Path = FILE) -> tuple[Case, ...]:
    """Read all cases of a file.

    Parameters
    ----------
    path
        A TOML file; by default the one that is part of the package.

    Returns
    -------
    tuple of Case
        The cases in the order of the file.

    Raises
    ------
    ValueError
        If something is wrong; the message names the case, the probe and what it is.
    """
    with path.open("rb") as file:
        data = tomllib.load(file)
    cases = tuple(_case(record, path.name) for record in data.get("case", []))
    ids = [case.id for case in cases]
    for name in ids:
        if ids.count(name) > 1:
            raise ValueError(f"{path.name}: two cases are called {name!r}; ids must be unique")
    return cases


def _case(record: Mapping[str, Any], file: str) -> Case:
    place = f"{file}: case {record.get('id', '?')!r}"
    _demand_keys(record, {"id", "upstream", "why", "probe"}, set(), place)
    upstream = record["upstream"]
    if not upstream or not all(isinstance(t, str) and t.count("#") == 1 for t in upstream):
        raise ValueError(f"{place}: upstream must list threads as owner/repository#number")
    if not record["probe"]:
        raise ValueError(f"{place}: a case needs at least one probe")
    probes = (_probe(p, f"{place}, probe {i}") for i, p in enumerate(record["probe"], 1))
    return Case(record["id"], tuple(upstream), record["why"], tuple(probes))


def _demand_keys(
    record: Mapping[str, Any], required: set[str], optional: set[str], place: str
) -> None:
    if missing := required - set(record):
        raise ValueError(f"{place}: lacks {', '.join(sorted(missing))}")
    if unknown := set(record) - required - optional:
        known = ", ".join(sorted(required | optional))
        raise ValueError(f"{place}: unknown {', '.join(sorted(unknown))}; known are {known}")


def _probe(record: Mapping[str, Any], place: str) -> Probe:
    optional = {"dtypes", "expected", "label", "options", "ulps", "reason"}
    optional |= {"lengths", "columns", "batches", "layout"}
    _demand_keys(record, {"definition", "property", "logits"}, optional, place)
    if record["property"] not in PROPERTIES:
        raise ValueError(
            f"{place}: property {record['property']!r} is none of {', '.join(PROPERTIES)}"
        )
    try:
        definition = lookup(record["definition"])
    except KeyError as error:
        raise ValueError(f"{place}: {error.args[0]}") from None
    logits = _row(record["logits"], f"{place}, logits")
    numbers = record.get("expected", {})
    wanted = record["property"] in ("value", "gradient")
    if wanted != bool(numbers):
        raise ValueError(
            f"{place}: expected numbers, or {CONTRACT!r}, belong to a value or a gradient, "
            f"and to nothing else; this is {record['property']!r}"
        )
    by_contract = numbers == CONTRACT
    expected = {} if by_contract else {d: _row(v, f"{place}, {d}") for d, v in numbers.items()}
    dtypes = tuple(record.get("dtypes", expected))
    if not dtypes or not set(dtypes) <= set(ARRAY_FORMATS) or (expected and "dtypes" in record):
        raise ValueError(
            f"{place}: dtypes {[*dtypes]} must be some of {', '.join(ARRAY_FORMATS)}, "
            "and are the keys of expected where there are numbers"
        )
    outputs = _outputs(definition, record["property"], len(logits))
    for dtype, row in expected.items():
        _demand_exact(row, ARRAY_FORMATS[dtype], outputs, f"{place}, expected {dtype}")
    label = record.get("label")
    if definition.labelled != isinstance(label, int):
        raise ValueError(f"{place}: label is {label}; {definition.name} takes {_takes(definition)}")
    if ("ulps" in record) != ("reason" in record) or ("ulps" in record and not expected):
        raise ValueError(f"{place}: ulps and their reason belong together, and to expected numbers")
    options = _options(record.get("options", {}), len(logits), definition, place)
    if options and expected and "ulps" not in record:
        raise ValueError(f"{place}: no bound is proven with options; state ulps and their reason")
    if (record["property"] == "bitwise") != ("batches" in record):
        raise ValueError(f"{place}: batches belong to a bitwise probe, and only to that")
    lengths = tuple(record.get("lengths", ()))
    if lengths and (max(lengths) != len(logits) or min(lengths) < 1 or "ulps" in record):
        raise ValueError(
            f"{place}: lengths are 1 to {len(logits)}, with the whole row among them, and are held "
            "against the oracle, without ulps"
        )
    return Probe(
        definition=definition.name,
        property=record["property"],
        logits=logits,
        dtypes=dtypes,
        expected=expected,
        label=label,
        options=options,
        ulps=record.get("ulps"),
        reason=record.get("reason", ""),
        lengths=lengths,
        columns=record.get("columns", 0),
        batches=tuple(record.get("batches", ())),
        layout=record.get("layout", "contiguous"),
    )


def _takes(definition: Definition) -> str:
    return "one integer" if definition.labelled else "none"


def _outputs(definition: Definition, kind: str, classes: int) -> int:
    return classes if definition.output is Output.VECTOR or kind == "gradient" else 1


def _demand_exact(row: Row, fmt: Format, size: int, place: str) -> None:
    if len(row) != size:
        raise ValueError(f"{place}: {len(row)} numbers for {size} outputs")
    for value, _ in row.runs:
        if not math.isnan(value) and float(np.array(value).astype(fmt.dtype)) != value:
            raise ValueError(f"{place}: {value.hex()} is no number of {fmt.name}")


def _options(
    given: Mapping[str, Any], classes: int, definition: Definition, place: str
) -> dict[str, Any]:
    if unknown := set(given) - set(OPTIONS):
        raise ValueError(
            f"{place}: unknown option {', '.join(sorted(unknown))}; known are {', '.join(OPTIONS)}"
        )
    options: dict[str, Any] = {}
    sizes = {"b": classes, "cotangent": _outputs(definition, "value", classes)}
    for name, value in given.items():
        if name in sizes:
            options[name] = _row(value, f"{place}, {name}")
            if len(options[name]) != sizes[name]:
                raise ValueError(
                    f"{place}: {name} has {len(options[name])} numbers; {sizes[name]} are needed"
                )
        elif name == "where":
            if len(value) != classes or not all(isinstance(v, bool) for v in value):
                raise ValueError(f"{place}: where must be {classes} of true and false")
            options[name] = tuple(value)
        else:
            options[name] = int(value) if name == "ignore_index" else _number(value, place)
    return options


def _row(given: Any, place: str) -> Row:
    """A list, one number, ``{fill, classes, at}``, or ``{from, to, classes}`` evenly spaced."""
    if not isinstance(given, Mapping):
        numbers = given if isinstance(given, list) else [given]
        if not numbers:
            raise ValueError(f"{place}: no numbers")
        return Row(tuple((_number(v, place), 1) for v in numbers))
    if "fill" in given:
        _demand_keys(given, {"fill", "classes"}, {"at"}, place)
        return _filled(given, place)
    _demand_keys(given, {"from", "to", "classes"}, set(), place)
    first, last = _number(given["from"], place), _number(given["to"], place)
    steps = np.linspace(first, last, given["classes"])
    return Row(tuple((float(v), 1) for v in steps))


def _filled(given: Mapping[str, Any], place: str) -> Row:
    fill, classes = _number(given["fill"], place), int(given["classes"])
    special = {int(i): _number(v, place) for i, v in given.get("at", {}).items()}
    runs, end = [], 0
    for i in sorted(special):
        if not end <= i < classes:
            raise ValueError(f"{place}: index {i} is none of {classes} classes")
        runs += [(fill, i - end), (special[i], 1)]
        end = i + 1
    runs.append((fill, classes - end))
    return Row(tuple(run for run in runs if run[1]))


def _number(given: Any, place: str) -> float:
    """A float of TOML, or a string with a float in hex."""
    try:
        if isinstance(given, str):
            return float.fromhex(given)
        if isinstance(given, int | float) and not isinstance(given, bool):
            return float(given)
    except ValueError:
        pass
    raise ValueError(f"{place}: {given!r} is no number; write 1.5, inf or a string '0x1.8p+0'")
