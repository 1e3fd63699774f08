"""Cases of a definition that differ in one number, and the errors of implementations along them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import Format
from ...derivations.signature import Numbers
from ..cases.case import Case, CaseBatch
from ..cases.choices import beside_the_truth
from ..cases.draw import draw_batch, families
from ..cases.text import to_text
from ..oracle import overflow
from ..oracle.metrics import ulp_error
from ..oracle.rounding import OracleError
from ..studies.points import case_of_file
from ..subjects.isolation.in_process import LiveSubject
from ..suites.of_cases.accuracy import call
from .plot import Progress

SIZE = 2  # of every axis of a plain case
SEED = 0
BATCH = 256  # cases in one call
PLACE = re.compile(r"(\w+)(?:\[([0-9, ]*)\])?")


@dataclass(frozen=True)
class Line:
    """A case, and the number in it that takes other values: an argument, and the index in it."""

    definition: Definition
    case: Case
    argument: str
    index: tuple[int, ...]

    @property
    def domain(self) -> tuple[float, float]:
        """The closed interval that the number may lie in."""
        kind = self.definition.signature.arguments[self.argument]
        assert isinstance(kind, Numbers)
        return kind.lower, kind.upper

    @property
    def place(self) -> str:
        """Which number it is, as ``--vary`` takes it."""
        inner = ",".join(map(str, self.index))
        return f"{self.argument}[{inner}]" if inner else self.argument

    @property
    def described(self) -> str:
        """The case in a line, with its numbers in hex."""
        return "; ".join(to_text(self.definition, self.case).splitlines())

    def at(self, x: Any) -> Case:
        """The case with the number x."""
        value = self.case.values[self.argument].copy()
        value[self.index] = x
        return self.case.with_values(**{self.argument: value})


def line(
    definition: Definition,
    fmt: Format,
    vary: str | None = None,
    case: Path | None = None,
    parameters: Mapping[str, float] | None = None,
) -> Line:
    """The line through a case along one number.

    Parameters
    ----------
    definition
        The definition.
    fmt
        The format of the numbers.
    vary
        Which number: an argument, or an entry of it, as ``x[0]`` or ``k[1,0]``; the first entry of
        the argument where none is named, and of the first argument of numbers for None.
    case
        A file with the case; a plain one with axes of SIZE when None.
    parameters
        Parameters of the plain case.

    Returns
    -------
    Line
        The case and the number.

    Raises
    ------
    ValueError
        There is no such number, or the file has no case of the definition.
    OSError
        The file cannot be read.
    """
    if case is not None:
        found = case_of_file(definition, case, fmt)
    else:
        sizes = dict.fromkeys(definition.signature.axes, SIZE)
        rng = np.random.default_rng(SEED)
        found = draw_batch(definition, families(definition)[0], fmt, sizes, rng).cases[0]
        found = found.with_parameters(**(parameters or {}))
    return Line(definition, found, *_place(definition, found, vary))


def _place(definition: Definition, case: Case, vary: str | None) -> tuple[str, tuple[int, ...]]:
    """The argument and the index that a text names; ValueError where there is no such number."""
    numbers = definition.signature.numbers
    match = PLACE.fullmatch(vary or numbers[0])
    if match is None or match[1] not in numbers:
        raise ValueError(
            f"vary is {vary!r}; name a number of {', '.join(numbers)}, as {numbers[0]} or "
            f"{numbers[0]}[0]"
        )
    shape = case.values[match[1]].shape
    if 0 in shape:
        raise ValueError(f"vary is {vary!r}, and {match[1]} has no numbers there")
    if match[2] is None:
        return match[1], (0,) * len(shape)
    index = tuple(int(part) for part in match[2].split(",") if part.strip())
    if len(index) != len(shape) or not all(i < n for i, n in zip(index, shape, strict=True)):
        raise ValueError(f"vary is {vary!r}; {match[1]} has the shape {shape}, counted from 0")
    return match[1], index


def results(subject: LiveSubject, along: Line, x: NDArray[Any], fmt: Format) -> NDArray[Any]:
    """What a subject gives along a line.

    Parameters
    ----------
    subject
        The implementation.
    along
        The line.
    x
        Values of the number that varies.
    fmt
        The format.

    Returns
    -------
    array
        Of shape (inputs, results), all outputs one after the other.

    Raises
    ------
    SubjectFault
        A call gives no result.
    NotApplicable
        The subject cannot be asked this.
    """
    shared = along.definition.signature.arguments[along.argument].shared
    size = 1 if shared else BATCH
    found = []
    for start in range(0, len(x), size):
        cases = tuple(along.at(number) for number in x[start : start + size])
        found.append(call(subject, along.definition, fmt, CaseBatch("ordinals", cases)))
    return np.concatenate(found)


def largest_ulp_errors(
    along: Line,
    fmt: Format,
    x: NDArray[Any],
    outputs: Sequence[NDArray[Any]],
    progress: Progress,
) -> list[NDArray[np.float64]]:
    """The largest error over all results at each input, of one subject after the other.

    Parameters
    ----------
    along
        The line.
    fmt
        The format.
    x
        Values of the number that varies.
    outputs
        For each subject what ``results`` gives.
    progress
        ``progress(done, total)`` counts inputs.

    Returns
    -------
    list of array
        In ulp; NaN where the definition has no exact value.
    """
    errors = [np.full(len(x), np.nan) for _ in outputs]
    for i, number in enumerate(x):
        for each, into in zip(outputs, errors, strict=True):
            with contextlib.suppress(OracleError):
                found, exact = beside_the_truth(along.definition, along.at(number), each[i], fmt)
                found = overflow.read(found, exact.wide, fmt, None)
                into[i] = np.max(ulp_error(found, exact), initial=0.0)
        progress(i + 1, len(x))
    return errors
