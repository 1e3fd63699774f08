"""Probes of any definition: a case, its arguments by name, and what must hold there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...derivations import Definition
from ...derivations.arithmetic.formats import Format
from ...derivations.signature import Kind, Numbers
from ..cases.case import Case, dtype_of
from ..cases.products import cotangents, products
from .numbers import Recorded, number, recorded

PROPERTIES = ("value", "gradient", "no_nan", "others_untouched", "bitwise", "poison", "acts")
KEYS = {"parameters", "copies", "batches", "changed"}


@dataclass(frozen=True)
class CaseProbe:
    """One case, and what must hold of what a subject returns for it.

    Attributes
    ----------
    definition, property
        What is asked, and what must hold.
    arguments
        The value of each argument, by name; cotangents among them where products are asked for.
    parameters
        The parameters that have not their defaults.
    dtypes
        The formats that it is asked in.
    expected
        For each format the correctly rounded numbers: of a value by output, of a gradient by the
        argument that is differentiated in. Where it is empty, the oracle tells them.
    ulps, reason
        The admissible distance from the expected numbers, and why; None for the threshold that all
        suites hold a subject to.
    copies
        How many times the case stands in the batch.
    batches
        Sizes of the batches of a bitwise probe.
    changed
        Of a probe whether something acts: another value of one argument or parameter.
    """

    definition: str
    property: str
    arguments: Mapping[str, Recorded]
    dtypes: tuple[str, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, Mapping[str, Recorded]] = field(default_factory=dict)
    ulps: float | None = None
    reason: str = ""
    copies: int = 1
    batches: tuple[int, ...] = ()
    changed: Mapping[str, Recorded | float] = field(default_factory=dict)

    def case(self, definition: Definition, fmt: Format) -> Case:
        """The case in a format.

        Parameters
        ----------
        definition
            The definition of that name.
        fmt
            The format of the numbers.

        Returns
        -------
        Case
            Each number rounded once.
        """
        kinds = {**definition.signature.arguments, **cotangents(definition)}
        values = {n: _value(kinds[n], given, fmt) for n, given in self.arguments.items()}
        return Case(values, dict(self.parameters))

    def changed_case(self, definition: Definition, fmt: Format) -> Case:
        """The case with what is changed, of a probe whether that acts.

        Parameters
        ----------
        definition
            The definition of that name.
        fmt
            The format of the numbers.

        Returns
        -------
        Case
            Each number rounded once.
        """
        case, kinds = self.case(definition, fmt), definition.signature.arguments
        for name, given in self.changed.items():
            if isinstance(given, Recorded):
                case = case.with_values(**{name: _value(kinds[name], given, fmt)})
            else:
                case = case.with_parameters(**{name: given})
        return case


def _value(kind: Kind, given: Recorded, fmt: Format) -> Any:
    return given.of_dtype(dtype_of(kind, fmt.dtype))


def read_case_probe(
    record: Mapping[str, Any],
    definition: Definition,
    expected: Mapping[str, Mapping[str, Recorded]],
    dtypes: tuple[str, ...],
    place: str,
) -> CaseProbe:
    """Read what a probe of a case has besides what all probes have.

    Parameters
    ----------
    record
        The table of the probe.
    definition
        What it asks for.
    expected
        For each format the expected numbers, by output or by argument.
    dtypes
        Its formats.
    place
        Where it stands, for errors.

    Returns
    -------
    CaseProbe
        The probe.

    Raises
    ------
    ValueError
        If something is wrong; the message names the place and what it is.
    """
    kind, changed = record["property"], record.get("changed", {})
    if (kind == "acts") != (len(changed) == 1):
        raise ValueError(f"{place}: one thing is changed of a probe whether it acts, else nothing")
    probe = CaseProbe(
        definition=definition.name,
        property=kind,
        arguments=_arguments(record["arguments"], definition, place),
        dtypes=dtypes,
        parameters=_parameters(record.get("parameters", {}), definition, place),
        expected=expected,
        ulps=record.get("ulps"),
        reason=record.get("reason", ""),
        copies=record.get("copies", 1),
        batches=tuple(record.get("batches", ())),
        changed={n: _changed(definition, n, v, place) for n, v in changed.items()},
    )
    _demand_shapes(probe, definition, place)
    return probe


def _arguments(given: Mapping[str, Any], definition: Definition, place: str) -> dict[str, Recorded]:
    kinds: dict[str, Kind] = {**definition.signature.arguments, **cotangents(definition)}
    if unknown := given.keys() - kinds.keys():
        raise ValueError(
            f"{place}: unknown argument {', '.join(sorted(unknown))}; known are {', '.join(kinds)}"
        )
    found = {name: recorded(value, f"{place}, {name}") for name, value in given.items()}
    for name, array in found.items():
        kind = kinds[name]
        if not isinstance(kind, Numbers):
            continue
        for value, _ in array.runs:
            if not (value != value or kind.lower <= value <= kind.upper):
                raise ValueError(
                    f"{place}: {name} has {value}, outside its domain [{kind.lower}, {kind.upper}]"
                )
    return found


def _parameters(given: Mapping[str, Any], definition: Definition, place: str) -> dict[str, float]:
    found = {}
    for name, value in given.items():
        if name not in definition.parameters:
            known = ", ".join(definition.parameters) or "none"
            raise ValueError(f"{place}: unknown parameter {name}; known are {known}")
        found[name] = number(value, f"{place}, {name}")
        ends = definition.parameters[name]
        if not ends.lower <= found[name] <= ends.upper:
            raise ValueError(
                f"{place}: {name} is {found[name]}, outside its range [{ends.lower}, {ends.upper}]"
            )
    return found


def _changed(definition: Definition, name: str, value: Any, place: str) -> Recorded | float:
    if name in definition.parameters:
        return _parameters({name: value}, definition, place)[name]
    return _arguments({name: value}, definition, place)[name]


def _demand_shapes(probe: CaseProbe, definition: Definition, place: str) -> None:
    """ValueError where shapes do not fit the signature, or expected numbers what is asked for."""
    further = cotangents(definition)
    has_cotangents = bool(further.keys() & probe.arguments.keys())
    asked = products(definition) if has_cotangents else definition
    try:
        sizes = asked.signature.sizes({n: a.shape for n, a in probe.arguments.items()})
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    if probe.property == "gradient" and not has_cotangents:
        raise ValueError(f"{place}: a gradient needs {', '.join(further)} among the arguments")
    if probe.property not in ("gradient", "no_nan", "others_untouched") and has_cotangents:
        raise ValueError(f"{place}: no cotangent belongs to the property {probe.property!r}")
    for dtype, named in probe.expected.items():
        for name, array in named.items():
            if name not in asked.signature.outputs:
                known = ", ".join(asked.signature.outputs)
                raise ValueError(f"{place}, {dtype}: no result is called {name}; they are {known}")
            shape = tuple(sizes[axis] for axis in asked.signature.outputs[name])
            if array.shape != shape:
                raise ValueError(
                    f"{place}, {dtype}: {name} has the shape {array.shape}, expected {shape}"
                )
