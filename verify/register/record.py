"""The regression cases: bugs that were reported, as data, with true values.

``data/regressions.toml`` holds a record for each: where it was reported, why it happens, and
probes, each an input with what must hold of the result.  This module reads and validates it.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from . import case_probe, row_probe
from .case_probe import CaseProbe, read_case_probe
from .numbers import Recorded, demand_keys, is_array, recorded
from .row_probe import RowProbe, read_row_probe

FILE = Path(__file__).parents[1] / "data" / "regressions.toml"

# What must hold of a call's result.
PROPERTIES = {
    "value": "the value is the expected one",
    "gradient": "the gradient, or the cotangent pulled back, is the expected one",
    "no_nan": "no result is NaN, of the value, and of the gradient where a cotangent is given",
    "others_untouched": "the results of others in the batch are what they are without this one",
    "bitwise": "the same bits alone and in batches, at every place",
    "poison": "NaN, infinities and huge numbers where nothing depends on them change no bit",
    "acts": "what is changed has the effect that the definition says",
    "raises": "an exception, not a number",
}
CONTRACT = "contract"  # in place of expected numbers: what the subject's contract says
REQUIRED = {"definition", "property", "arguments"}
OPTIONAL = {"dtypes", "expected", "ulps", "reason"}


@dataclass(frozen=True)
class Case:
    """A bug that was reported: where, why it happens, and the probes that show it."""

    id: str
    upstream: tuple[str, ...]
    why: str
    probes: tuple[RowProbe | CaseProbe, ...]


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
    demand_keys(record, {"id", "upstream", "why", "probe"}, (), place)
    upstream = record["upstream"]
    if not upstream or not all(isinstance(t, str) and t.count("#") == 1 for t in upstream):
        raise ValueError(f"{place}: upstream must list threads as owner/repository#number")
    if not record["probe"]:
        raise ValueError(f"{place}: a case needs at least one probe")
    probes = (_probe(p, f"{place}, probe {i}") for i, p in enumerate(record["probe"], 1))
    return Case(record["id"], tuple(upstream), record["why"], tuple(probes))


def _probe(record: Mapping[str, Any], place: str) -> RowProbe | CaseProbe:
    demand_keys(record, REQUIRED, OPTIONAL | row_probe.KEYS | case_probe.KEYS, place)
    try:
        definition = lookup(record["definition"])
    except KeyError as error:
        raise ValueError(f"{place}: {error.args[0]}") from None
    kind = record["property"]
    if kind not in PROPERTIES:
        raise ValueError(f"{place}: property {kind!r} is none of {', '.join(PROPERTIES)}")
    of_a_row = _is_of_a_row(record, definition)
    keys, kinds, read = (
        (row_probe.KEYS, row_probe.PROPERTIES, read_row_probe)
        if of_a_row
        else (case_probe.KEYS, case_probe.PROPERTIES, read_case_probe)
    )
    demand_keys(record, REQUIRED, OPTIONAL | keys, place)
    if kind not in kinds:
        raise ValueError(f"{place}: property {kind!r} is none of {', '.join(kinds)}")
    if (kind == "bitwise") != ("batches" in record):
        raise ValueError(f"{place}: batches belong to a bitwise probe, and only to that")
    expected, dtypes = _expected(record, of_a_row, place)
    return read(record, definition, expected, dtypes, place)


def _is_of_a_row(record: Mapping[str, Any], definition: Definition) -> bool:
    """Whether a probe is asked of rows: of logits, where it asks nothing that only cases have."""
    of_rows = definition.of_a_row and not definition.elementwise
    of_cases = (case_probe.KEYS - row_probe.KEYS) & record.keys()
    return of_rows and not of_cases and record["property"] in row_probe.PROPERTIES


def _expected(
    record: Mapping[str, Any], of_a_row: bool, place: str
) -> tuple[dict[str, dict[str, Recorded]], tuple[str, ...]]:
    """The expected numbers of each format, by result, and the formats."""
    given, kind = record.get("expected", {}), record["property"]
    may_have, by_contract = kind in ("value", "gradient"), given == CONTRACT
    if (given and not may_have) or (of_a_row and may_have and not given):
        raise ValueError(
            f"{place}: expected numbers, or {CONTRACT!r}, belong to a value or a gradient, "
            f"and to nothing else; this is {kind!r}"
        )
    if by_contract and not of_a_row:
        raise ValueError(f"{place}: a contract says what comes of rows; give numbers")
    expected: dict[str, dict[str, Recorded]] = {}
    for dtype, numbers in {} if by_contract else given.items():
        where = f"{place}, expected {dtype}"
        named = {kind: numbers} if is_array(numbers) else numbers
        expected[dtype] = {n: recorded(v, f"{where}, {n}") for n, v in named.items()}
    dtypes = tuple(record.get("dtypes", expected))
    if not dtypes or not set(dtypes) <= set(ARRAY_FORMATS) or (expected and "dtypes" in record):
        raise ValueError(
            f"{place}: dtypes {[*dtypes]} must be some of {', '.join(ARRAY_FORMATS)}, "
            "and are the keys of expected where there are numbers"
        )
    for dtype, arrays in expected.items():
        for array in arrays.values():
            _demand_exact(array, ARRAY_FORMATS[dtype], f"{place}, expected {dtype}")
    if ("ulps" in record) != ("reason" in record) or ("ulps" in record and not expected):
        raise ValueError(f"{place}: ulps and their reason belong together, and to expected numbers")
    return expected, dtypes


def _demand_exact(array: Recorded, fmt: Format, place: str) -> None:
    for value, _ in array.runs:
        if not math.isnan(value) and float(np.array(value).astype(fmt.dtype)) != value:
            raise ValueError(f"{place}: {value.hex()} is no number of {fmt.name}")
