"""Published tables of errors that a subject can be held to: what is in them, and where from.

The numbers stand in ``verify/data/standards.toml`` alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ...derivations.running_error.model import Model

DATA = Path(__file__).parents[1] / "data" / "standards.toml"


@dataclass(frozen=True)
class Entry:
    """The largest error that a table admits of one function in one format.

    Attributes
    ----------
    ulp, ulp_per_x, ulp_per_n
        Units in the last place: so many, so many times the modulus of the argument more, and so
        many times the length of the row more.
    absolute, relative
        Or, where that is more, an absolute error and one relative to the exact value, together.
    """

    ulp: float = 0.0
    ulp_per_x: float = 0.0
    ulp_per_n: float = 0.0
    absolute: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True)
class Standard:
    """A published table of errors.

    Attributes
    ----------
    name
        What ``--standard`` calls it.
    title, source, checked
        What it is, where its numbers stand, and which of them were compared with the source.
    flushes
        Whether results below the normal range may be 0.
    rounded
        Whether the table is about the distance from a value that was rounded itself.
    entries
        The errors, by the names of the format and of the definition.
    composed
        Of what the table does not name but follows from its primitives, by the same names, the
        class of implementations: fields of ``running_error.Model``.
    """

    name: str
    title: str
    source: str
    checked: str
    flushes: bool
    rounded: bool
    entries: Mapping[tuple[str, str], Entry]
    composed: Mapping[tuple[str, str], Mapping[str, Any]]

    @property
    def definitions(self) -> list[str]:
        """The names of the definitions that it says something of, in any format."""
        return list(dict.fromkeys(name for _, name in (*self.entries, *self.composed)))

    def formats(self, definition: str) -> list[str]:
        """The names of the formats in which it says something of a definition."""
        return [
            fmt
            for fmt in ARRAY_FORMATS
            if (fmt, definition) in self.entries or (fmt, definition) in self.composed
        ]

    def model(self, definition: str, fmt: Format) -> Model | None:
        """The class of implementations whose primitives conform, each rounding to the format.

        Parameters
        ----------
        definition
            The name of what they compute.
        fmt
            The format of arguments, results, and all that is between.

        Returns
        -------
        Model or None
            What running errors are evaluated in, sums in any order; None where the table does not
            say enough.
        """
        options = self.composed.get((fmt.name, definition))
        if options is None:
            return None
        return Model.of(fmt, accumulator="input", flushes=self.flushes, **options)


def _read(name: str, table: dict[str, Any]) -> Standard:
    composed = {
        (fmt, definition): {
            key: value for key, value in group.items() if key not in ("definitions", "formats")
        }
        for group in table.get("composed", ())
        for fmt in group["formats"]
        for definition in group["definitions"]
    }
    entries = {
        (fmt, definition): Entry(**numbers)
        for fmt in ARRAY_FORMATS
        for definition, numbers in table.get(fmt, {}).items()
    }
    told = {key: table[key] for key in ("title", "source", "checked", "flushes", "rounded")}
    return Standard(name, **told, entries=entries, composed=composed)


STANDARDS: dict[str, Standard] = {
    name: _read(name, table)
    for name, table in tomllib.loads(DATA.read_text(encoding="utf-8")).items()
}
"""Every table, by the name that ``--standard`` calls it."""
