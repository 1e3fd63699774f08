"""Probes of definitions of a row: logits, perhaps a label, with what a call takes besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition, Output
from ...derivations.arithmetic.formats import Format
from .numbers import Recorded, number, recorded

PROPERTIES = ("value", "gradient", "others_untouched", "bitwise", "raises")
OPTIONS = ("scale", "where", "b", "ignore_index", "cotangent")
KEYS = {"options", "lengths", "columns", "batches", "layout"}


@dataclass(frozen=True)
class RowProbe:
    """One input, and what must hold of what a subject returns for it.

    Attributes
    ----------
    definition, property
        What is asked, and what must hold.
    logits, label
        The row, and its label where the definition takes one.
    dtypes
        The formats that it is asked in.
    expected
        For each format the correctly rounded numbers; empty where the contract, or the property
        itself, says what must come.
    options
        What a call takes besides: a scale, a mask, weights, an index to ignore, a cotangent.
    ulps, reason
        The admissible distance from the expected numbers, and why; None for the a-priori bound of
        the definition, held against the oracle.
    lengths
        Beginnings of the row that are asked for as well as the row itself.
    columns
        The reduction runs over axis 0 of so many equal columns; 0 for a reduction of rows.
    batches
        Sizes of the batches of a bitwise probe.
    layout
        How the logits lie in memory.
    """

    definition: str
    property: str
    logits: Recorded
    dtypes: tuple[str, ...]
    expected: Mapping[str, Recorded] = field(default_factory=dict)
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
    if isinstance(value, Recorded):
        array = value.array(fmt)
        return np.tile(array, (rows, 1) if array.ndim else rows)
    return value


def read_row_probe(
    record: Mapping[str, Any],
    definition: Definition,
    expected: Mapping[str, Mapping[str, Recorded]],
    dtypes: tuple[str, ...],
    place: str,
) -> RowProbe:
    """Read what a probe of a row has besides what all probes have.

    Parameters
    ----------
    record
        The table of the probe.
    definition
        What it asks for.
    expected
        For each format the expected numbers, by output.
    dtypes
        Its formats.
    place
        Where it stands, for errors.

    Returns
    -------
    RowProbe
        The probe.

    Raises
    ------
    ValueError
        If something is wrong; the message names the place and what it is.
    """
    arguments = dict(record["arguments"])
    if "logits" not in arguments or arguments.keys() - {"logits", "label"}:
        raise ValueError(f"{place}: the arguments are {', '.join(arguments)}; give logits")
    logits, label = recorded(arguments["logits"], f"{place}, logits"), arguments.get("label")
    if len(logits.shape) != 1:
        raise ValueError(f"{place}: the logits have shape {logits.shape}; they are one row")
    if definition.labelled != isinstance(label, int):
        takes = "one integer" if definition.labelled else "none"
        raise ValueError(f"{place}: label is {label}; {definition.name} takes {takes}")
    kind, size = record["property"], len(logits)
    results = _results(definition, kind, size)
    numbers = {dtype: named[kind] for dtype, named in expected.items()}
    for dtype, row in numbers.items():
        if len(row) != results:
            raise ValueError(f"{place}, {dtype}: {len(row)} numbers for {results} results")
    options = _options(record.get("options", {}), size, definition, place)
    if options and numbers and "ulps" not in record:
        raise ValueError(f"{place}: no bound is proven with options; state ulps and their reason")
    lengths = tuple(record.get("lengths", ()))
    if lengths and (max(lengths) != size or min(lengths) < 1 or "ulps" in record):
        raise ValueError(
            f"{place}: lengths are 1 to {size}, with the whole row among them, and are held "
            "against the oracle, without ulps"
        )
    return RowProbe(
        definition=definition.name,
        property=kind,
        logits=logits,
        dtypes=dtypes,
        expected=numbers,
        label=label,
        options=options,
        ulps=record.get("ulps"),
        reason=record.get("reason", ""),
        lengths=lengths,
        columns=record.get("columns", 0),
        batches=tuple(record.get("batches", ())),
        layout=record.get("layout", "contiguous"),
    )


def _results(definition: Definition, kind: str, classes: int) -> int:
    return classes if definition.output is Output.VECTOR or kind == "gradient" else 1


def _options(
    given: Mapping[str, Any], classes: int, definition: Definition, place: str
) -> dict[str, Any]:
    if unknown := set(given) - set(OPTIONS):
        raise ValueError(
            f"{place}: unknown option {', '.join(sorted(unknown))}; known are {', '.join(OPTIONS)}"
        )
    options: dict[str, Any] = {}
    sizes = {"b": classes, "cotangent": _results(definition, "value", classes)}
    for name, value in given.items():
        if name in sizes:
            options[name] = recorded(value, f"{place}, {name}")
            if len(options[name]) != sizes[name]:
                raise ValueError(
                    f"{place}: {name} has {len(options[name])} numbers; {sizes[name]} are needed"
                )
        elif name == "where":
            if len(value) != classes or not all(isinstance(v, bool) for v in value):
                raise ValueError(f"{place}: where must be {classes} of true and false")
            options[name] = tuple(value)
        else:
            options[name] = int(value) if name == "ignore_index" else number(value, place)
    return options
