"""A check as a file in TOML: what it draws, in which shapes, and how it compares.

::

    title = "a softmax in bfloat16"
    source = "tests/test_softmax.py"
    definition = "softmax"          # what is tested
    dtype = "bfloat16"
    reference = "rounded"           # to the format (default), or "exact"

    [[inputs]]                      # one call each
    cases = 16                      # how long the batch is
    sizes = { K = 1024 }            # of the axes of the definition
    parameters = { }                # those that have not their defaults

    [draws]                         # of each argument: see DRAWS; else normal = [0, 1]
    logits = { normal = [0.0, 0.1] }

    [[comparison]]                  # a result has to pass all: see comparison.KINDS
    kind = "allclose"
    atol = 1e-2
    rtol = 1e-2
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import lookup
from ...derivations.arithmetic.formats import FORMATS, Format
from ...derivations.definition import REGISTRY, Definition
from ...derivations.signature import Integer, Kind, Label, Labels, Mask, Numbers
from ..cases.hazards import ends
from ..power.computed import Call
from ..runs.conformance_file import Table
from .comparison import KINDS, Comparison

Array = NDArray[Any]
Rng = np.random.Generator

FILES = Path(__file__).parents[1] / "data" / "audits"
REFERENCES = ("rounded", "exact")
MOST_NUMBERS = 1 << 26  # in one argument of a call

# How numbers are drawn: by the name that a file gives it, the function and how many settings.
DRAWS: dict[str, tuple[Callable[..., Array], int]] = {
    "normal": (lambda rng, shape, mean, scale: mean + scale * rng.standard_normal(shape), 2),
    "uniform": (lambda rng, shape, low, high: rng.uniform(low, high, shape), 2),
    "constant": (lambda rng, shape, value: np.full(shape, value), 1),
    "kept": (lambda rng, shape, share: rng.random(shape) < share, 1),
}
STANDARD = ("normal", (0.0, 1.0))
ALL_KEPT = ("kept", (1.0,))


@dataclass(frozen=True)
class Inputs:
    """One call of a check: the length of the batch, the sizes of the axes, and parameters."""

    cases: int
    sizes: Mapping[str, int]
    parameters: Mapping[str, float]


@dataclass(frozen=True)
class Check:
    """A check that is described: see the file."""

    title: str
    source: str
    definition: str
    dtype: str
    reference: str
    inputs: tuple[Inputs, ...]
    draws: Mapping[str, tuple[str, tuple[float, ...]]]
    comparisons: tuple[Comparison, ...]

    @property
    def format(self) -> Format:
        """The format of the numbers."""
        return FORMATS[self.dtype]

    def calls(self, seed: int) -> list[Call]:
        """What a check calls an implementation with, drawn from a seed.

        Parameters
        ----------
        seed
            The seed.

        Returns
        -------
        list of Call
            One for each of the inputs.
        """
        return [
            self._drawn(inputs, np.random.default_rng([seed, i]))
            for i, inputs in enumerate(self.inputs)
        ]

    def _drawn(self, inputs: Inputs, rng: Rng) -> Call:
        definition = lookup(self.definition)
        values = {}
        for name, kind in definition.signature.arguments.items():
            batch = () if kind.shared else (inputs.cases,)
            shape = (*batch, *(inputs.sizes[axis] for axis in kind.axes))
            values[name] = self._value(name, kind, shape, inputs.sizes, rng)
        return Call(definition, values, inputs.parameters)

    def _value(
        self, name: str, kind: Kind, shape: tuple[int, ...], sizes: Mapping[str, int], rng: Rng
    ) -> Array:
        if isinstance(kind, Label | Labels):
            return rng.integers(kind.lower, sizes[kind.into], size=shape)
        if isinstance(kind, Integer):
            most = sizes[kind.upper] if isinstance(kind.upper, str) else kind.upper
            return rng.integers(kind.lower, most, size=shape, endpoint=True)
        drawn, settings = self.draws.get(name, ALL_KEPT if isinstance(kind, Mask) else STANDARD)
        function, _ = DRAWS[drawn]
        numbers = np.asarray(function(rng, shape, *settings))
        if isinstance(kind, Mask):
            return numbers
        assert isinstance(kind, Numbers)
        low, high = ends(kind, self.format)
        rounded = np.clip(numbers.astype(self.format.dtype), low, high)
        return np.asarray(rounded, dtype=self.format.dtype)  # clip gives a wider one of 16 bits


def names() -> list[str]:
    """The checks that come with the package, by the names of their files.

    Returns
    -------
    list of str
        The names, in alphabetical order.
    """
    return sorted(path.stem for path in FILES.glob("*.toml"))


def load(path: Path) -> Check:
    """Read the check of a file.

    Parameters
    ----------
    path
        A file in TOML.

    Returns
    -------
    Check
        What it describes.

    Raises
    ------
    ValueError
        For what is wrong in it, with the file and the key.
    OSError
        It cannot be read.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from None


def parse(text: str, where: str) -> Check:
    """Read the check in a text.

    Parameters
    ----------
    text
        The text, in TOML.
    where
        What messages call it.

    Returns
    -------
    Check
        What it describes.

    Raises
    ------
    ValueError
        For what is wrong in it, with the key.

    >>> check = parse('''
    ... title = "softmax"
    ... definition = "softmax"
    ... dtype = "float32"
    ... inputs = [{ cases = 2, sizes = { K = 4 } }]
    ... comparison = [{ kind = "allclose", atol = 1e-2, rtol = 1e-2 }]
    ... ''', "example")
    >>> check.calls(0)[0].values["logits"].shape
    (2, 4)
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not TOML: {error}") from None
    keys = ("title", "source", "definition", "dtype", "reference", "inputs", "draws", "comparison")
    table = Table(data, where, keys)
    definition = lookup(table.choice("definition", REGISTRY))
    inputs = tuple(
        _inputs(entry, definition)
        for entry in table.entries("inputs", ("cases", "sizes", "parameters"))
    )
    comparisons = tuple(
        _comparison(entry) for entry in table.entries("comparison", ("kind", *_every_tolerance()))
    )
    for key, found in (("inputs", inputs), ("comparison", comparisons)):
        if not found:
            raise table.wrong(key, f"write [[{key}]], one at least")
    return Check(
        title=table.text("title", "write what is tested"),
        source=table.text("source", "write where") if "source" in table else "",
        definition=definition.name,
        dtype=table.choice("dtype", FORMATS),
        reference=table.choice("reference", REFERENCES) if "reference" in table else "rounded",
        inputs=inputs,
        draws=_draws(table, definition),
        comparisons=comparisons,
    )


def _every_tolerance() -> list[str]:
    return list(dict.fromkeys(n for kind in KINDS.values() for n in (*kind.needed, *kind.optional)))


def _inputs(entry: Table, definition: Definition) -> Inputs:
    axes = definition.signature.axes
    sizes = {axis: _count(entry.table("sizes", axes), axis) for axis in axes}
    given = entry.table("parameters", definition.parameters)
    parameters: dict[str, float] = {}
    for name in given.data:
        declared = definition.parameters[name]
        value = _number(given, name)
        if not declared.lower <= value <= declared.upper:
            raise given.wrong(name, f"its range is [{declared.lower:g}, {declared.upper:g}]")
        parameters[name] = declared.exact(value)
    if reason := definition.misfit(sizes, parameters):
        raise ValueError(f"{entry.where}: {reason}")
    cases = _count(entry, "cases")
    for name, kind in definition.signature.arguments.items():
        numbers = (1 if kind.shared else cases) * math.prod(sizes[axis] for axis in kind.axes)
        if numbers > MOST_NUMBERS:
            raise ValueError(
                f"{entry.where}: {name} has {numbers:,} numbers; give it {MOST_NUMBERS:,} at most"
            )
    return Inputs(cases, sizes, parameters)


def _comparison(entry: Table) -> Comparison:
    name = entry.choice("kind", KINDS)
    kind = KINDS[name]
    given = {key for key in entry.data if key != "kind"}
    for key in sorted(given - {*kind.needed, *kind.optional}):
        raise entry.wrong(key, f"{name} has {', '.join((*kind.needed, *kind.optional))}")
    tolerances = {
        key: _number(entry, key)
        for key in (*kind.needed, *kind.optional)
        if key in kind.needed or key in given
    }
    for key, value in tolerances.items():
        if value < 0:
            raise entry.wrong(key, "give a number that is not below 0")
    return Comparison(name, tolerances)


def _draws(table: Table, definition: Definition) -> dict[str, tuple[str, tuple[float, ...]]]:
    arguments = definition.signature.arguments
    found = {}
    drawn = table.table("draws", arguments)
    for name in drawn.data:
        masked = isinstance(arguments[name], Mask)
        if not (masked or isinstance(arguments[name], Numbers)):
            raise drawn.wrong(name, "remove it: indices and whole numbers are drawn evenly")
        ways = [way for way in DRAWS if (way == "kept") == masked]
        one = drawn.table(name, ways)
        if len(one.data) != 1:
            raise drawn.wrong(name, f"give one of {', '.join(ways)}")
        ((way, given),) = one.data.items()
        settings = given if isinstance(given, list) else [given]
        _, count = DRAWS[way]
        if len(settings) != count or not all(map(_is_number, settings)):
            raise one.wrong(way, f"give {count} finite number{'s' if count > 1 else ''}")
        found[name] = way, tuple(map(float, settings))
    return found


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _number(table: Table, key: str) -> float:
    if not _is_number(table.data.get(key)):
        raise table.wrong(key, "give a finite number")
    return float(table.data[key])


def _count(table: Table, key: str) -> int:
    value = table.data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise table.wrong(key, "give a whole number above 0")
    return value
