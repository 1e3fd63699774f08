"""Reports that `verify --json` wrote, read again: what is no such report is refused."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..subjects.contract import USUAL
from ..suites import present_name
from .plain import READABLE

SHOWN = 60  # characters of a wrong value that a message has
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def load(path: Path) -> dict[str, Any]:
    """Read the report in a file.

    Parameters
    ----------
    path
        A file that ``verify --json`` wrote.

    Returns
    -------
    dict
        The report as plain data.

    Raises
    ------
    ValueError
        If it is no report that `data/report.schema.json` describes; the message has the file and
        the first place that is wrong.
    OSError
        If the file cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not {"schema", "results"} <= data.keys():
            raise ValueError("that is no report of `verify --json`")
        if data["schema"] not in READABLE:
            readable = ", ".join(map(str, READABLE))
            raise ValueError(f"it has schema {data['schema']}, and this softproof reads {readable}")
        if data["schema"] == 1:
            _add_what_schema_1_lacks(data)
        if data["schema"] == 2:
            _add_what_schema_2_lacks(data)
        _add_axes_of_contracts(data)
        for complaint in complaints(data, schema()):
            raise ValueError(f"that is no whole report of `verify --json`: {complaint}")
    except RecursionError:
        raise ValueError(f"{path}: that is no report of `verify --json`: too deep") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return data


def _add_what_schema_1_lacks(data: dict[str, Any]) -> None:
    """Grades, warnings, undecided rows, and what contracts granted before they named it."""
    with contextlib.suppress(AttributeError, TypeError, KeyError):  # what is wrong is told later
        data["schema"] = 2
        for result in data["results"]:
            missing = {"grade": None, "excess": None, "warning": None}
            result |= {**missing, "undecided": {"count": 0, "rows": []}, **result}
            result["suite"] = present_name(result["suite"])
        for subject in data["subjects"]:
            granted = {"summation": "any", "arithmetic": "input", "layouts": "any"}
            contract = {**granted, **subject["contract"]}
            subject |= {"observed": {}, **subject, "contract": contract}


def _add_what_schema_2_lacks(data: dict[str, Any]) -> None:
    """Cases of definitions with named arguments: there were none."""
    with contextlib.suppress(AttributeError, TypeError, KeyError):  # what is wrong is told later
        data["schema"] = 3
        for subject in data["subjects"]:
            subject["contract"] = {"masked_nan": None, **subject["contract"]}
        for result in data["results"]:
            for found in (*result["failures"], *result["undecided"]["rows"]):
                found |= {"case": None, **found}


def _add_axes_of_contracts(data: dict[str, Any]) -> None:
    """What contracts granted before they named it: the first reports of schema 3 have it not."""
    with contextlib.suppress(AttributeError, TypeError, KeyError):  # what is wrong is told later
        for subject in data["subjects"]:
            for axis, granted in {"overflow": None, **USUAL}.items():
                subject["contract"].setdefault(axis, granted)  # a whole contract keeps its order


def schema() -> dict[str, Any]:
    """The published JSON Schema of reports."""
    text = files("softproof.verify").joinpath("data/report.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def complaints(value: Any, root: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong in a value by a JSON Schema of the keywords that ours has, place by place.

    Parameters
    ----------
    value
        Numbers, texts, lists and dictionaries of them.
    root
        The schema.

    Yields
    ------
    str
        A sentence about one place; none for a value that the schema describes.

    Examples
    --------
    >>> root = {"type": "object", "properties": {"seed": {"type": "integer", "minimum": 0}}}
    >>> list(complaints({"seed": -1}, root))
    ['seed is -1; it must be at least 0']
    """
    return _complaints(value, root, root, "")


def _complaints(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str
) -> Iterator[str]:
    def inside(value: Any, part: Mapping[str, Any], name: str | int) -> Iterator[str]:
        below = f"{place}[{name}]" if isinstance(name, int) else f"{place}.{name}".lstrip(".")
        return _complaints(value, part, root, below)

    def fits(part: Mapping[str, Any]) -> bool:
        return next(_complaints(value, part, root, place), None) is None

    if "$ref" in schema:
        yield from _complaints(value, root["$defs"][schema["$ref"].split("/")[-1]], root, place)
    for rule in _broken_rules(value, schema):
        text = repr(value)
        told = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        yield f"{place or 'the whole'} is {told}; it must be {rule}"
    if "anyOf" in schema and not any(map(fits, schema["anyOf"])):
        yield f"{place} is {value!r}, which is none of what it may be"
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        yield from (
            f"{place}.{n} is missing".lstrip(".")
            for n in schema.get("required", ())
            if n not in value
        )
        for name, entry in value.items():
            if name in known:
                yield from inside(entry, known[name], name)
            elif others is False:
                yield f"{place}.{name} is unknown".lstrip(".")
            else:
                yield from inside(entry, others, name)
    if isinstance(value, list):
        first = schema.get("prefixItems", ())
        for i, entry in enumerate(value):
            yield from inside(entry, first[i] if i < len(first) else schema.get("items", {}), i)
    for part in schema.get("allOf", ()):
        branch = "then" if fits(part["if"]) else "else"
        yield from _complaints(value, part.get(branch, {}), root, place)


def _broken_rules(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """The keywords about a value itself that it does not fit, in words."""
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        is_bool = isinstance(value, bool)  # which Python counts as an integer
        if not any(isinstance(value, TYPES[n]) and is_bool <= (n == "boolean") for n in names):
            yield " or ".join(names)
    if "const" in schema and value != schema["const"]:
        yield repr(schema["const"])
    if "enum" in schema and value not in schema["enum"]:
        yield f"one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"of the form {schema['pattern']}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "minimum" in schema and not value >= schema["minimum"]:
            yield f"at least {schema['minimum']}"
        if "maximum" in schema and not value <= schema["maximum"]:
            yield f"at most {schema['maximum']}"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"of another length than {len(value)}"
        if schema.get("uniqueItems") and any(entry in value[:i] for i, entry in enumerate(value)):
            yield "without entries that are equal"
