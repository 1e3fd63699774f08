"""What breaks first in a published form: its largest error in a format, where, and from what.

The formula is evaluated as it is published, each operation rounded to the format, on the hazards
of each argument; the truth is the oracle's.  The cause is found by changing one thing: with as
many bits and unbounded exponents, an overflow or an underflow does no harm.

Squares of the arguments stay within the range of the format, as in all suites: what overflows
beyond that alone is not shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition, lookup
from ...derivations.arithmetic.arithmetic import NoValue
from ...derivations.arithmetic.formats import FORMATS, Format
from ...derivations.arithmetic.systems import Arithmetic, big_floats, ieee
from ...derivations.choices import of_numbers
from ...derivations.definition import Formula
from ..cases.case import Case
from ..cases.draw import draw, families
from ..cases.shrink import shrink
from ..cases.text import to_text
from ..cases.truth import evaluate, truth_once
from ..oracle.metrics import ulp_error
from ..oracle.rounding import OracleError, Truth

OVERFLOW = "overflow"
UNDERFLOW = "underflow"
COLLAPSE = "collapse"
CANCELLATION = "cancellation"
ROUNDING = "rounding"
BREAKS = 64.0  # ulp: a larger error is more than the roundings of a short formula add up to
MOST_NUMBERS = 40  # of a case
MOST_TRIALS = 300  # of shrinking
FEW_ROWS = 1  # the small sizes of every family
ENOUGH_CASES = 1000
MOST_SEEDS = 16


@dataclass(frozen=True)
class Break:
    """The largest error of a formula in a format, and the smallest case found that shows as much.

    Attributes
    ----------
    definition, form, dtype
        What was evaluated, in which format.
    ulp
        The largest error found at any case, in ulp of the exact result; infinite where a result is
        not finite and the exact one is.
    at
        The smallest case found whose error is at least half of that (or infinite as well), as
        ``softproof verify --case`` reads it; "" where there was no case with a truth.
    computed, exact
        The result and the exact one there, of the entry that is furthest off.
    cause
        OVERFLOW, UNDERFLOW, COLLAPSE (small terms are lost, and what is left is exactly 0 or 1),
        CANCELLATION, or ROUNDING where the error is at most BREAKS.
    cases, undecided
        How many cases were evaluated, and how many more have no truth.
    """

    definition: str
    form: str
    dtype: str
    ulp: float
    at: str
    computed: float
    exact: float
    cause: str
    cases: int
    undecided: int


@dataclass(frozen=True)
class _Entry:
    """The entry of a result that is furthest off."""

    ulp: float
    computed: float
    exact: float
    place: int

    @property
    def collapsed(self) -> bool:
        """Whether what is left is exactly 0 or 1, though the exact result is not."""
        return self.computed in (0.0, 1.0) and self.computed != self.exact


def what_breaks(name: str, dtype: str = "float32", form: str | None = None, seed: int = 0) -> Break:
    """The largest error of a form of a definition in a format, its cause, and its smallest case.

    Parameters
    ----------
    name
        A definition.
    dtype
        The name of a format.
    form
        The name of a form; the formula as it is published when None.
    seed
        What the cases are drawn from.

    Returns
    -------
    Break
        The same for the same arguments.

    Raises
    ------
    KeyError
        There is no such definition, format or form.

    Examples
    --------
    >>> found = what_breaks("logsumexp")
    >>> found.cause, found.ulp
    ('overflow', inf)
    """
    definition, fmt = of_numbers(lookup(name)), FORMATS[dtype]
    formula = definition.formula if form is None else definition.forms[form]
    worst: tuple[_Entry, Case] | None = None
    collapsed: tuple[_Entry, Case] | None = None
    cases = undecided = 0
    for case in _cases(definition, fmt, seed):
        found = _furthest_off(definition, formula, case, fmt, ieee(fmt))
        if found is None:
            undecided += 1
            continue
        cases += 1
        if worst is None or found.ulp > worst[0].ulp:
            worst = found, case
        if found.collapsed and (collapsed is None or found.ulp > collapsed[0].ulp):
            collapsed = found, case
    told = form or "as published"
    if worst is None:
        return Break(name, told, dtype, math.nan, "", math.nan, math.nan, "", 0, undecided)
    largest = worst[0].ulp
    if collapsed is not None and collapsed[0].ulp >= largest / 2:  # the plainest sight of it
        worst = collapsed
    as_collapsed = worst[0].collapsed

    def shows_as_much(candidate: Case) -> bool:
        off = _furthest_off(definition, formula, candidate, fmt, ieee(fmt))
        return off is not None and off.ulp >= largest / 2 and off.collapsed >= as_collapsed

    case = shrink(definition, worst[1], shows_as_much, MOST_TRIALS)
    entry = _furthest_off(definition, formula, case, fmt, ieee(fmt))
    assert entry is not None
    cause = _cause(definition, formula, case, fmt, entry)
    ulp = max(largest, entry.ulp)  # a simpler case may be worse
    text = to_text(definition, case)
    return Break(name, told, dtype, ulp, text, entry.computed, entry.exact, cause, cases, undecided)


def _cases(definition: Definition, fmt: Format, seed: int) -> Iterator[Case]:
    """The cases of all families that are small enough to be looked at entry by entry.

    Of a function that has few, those of further seeds, up to ENOUGH_CASES.
    """
    drawn = 0
    for further in range(MOST_SEEDS):
        for family in families(definition):
            for batch in draw(definition, family, fmt, FEW_ROWS, seed + further):
                for case in batch.cases:
                    if sum(value.size for value in case.values.values()) <= MOST_NUMBERS:
                        drawn += 1
                        yield case
        if drawn >= ENOUGH_CASES:
            return


def _furthest_off(
    definition: Definition, formula: Formula, case: Case, fmt: Format, xp: Arithmetic
) -> _Entry | None:
    """The entry of the results that is furthest off; None where the case has no truth."""
    try:
        truth = truth_once(definition, case, fmt, fast=True)
    except OracleError:
        return None
    errors = ulp_error(_results(definition, formula, case, fmt, xp), truth)
    if not errors.size:
        return None
    place = int(np.argmax(errors))
    computed = _results(definition, formula, case, fmt, xp)
    return _Entry(float(errors[place]), float(computed[place]), _exact(truth, place), place)


def _exact(truth: Truth, place: int) -> float:
    return float(truth.wide[place])


def _results(
    definition: Definition, formula: Formula, case: Case, fmt: Format, xp: Arithmetic
) -> NDArray[np.float64]:
    """All results of a formula in an arithmetic, rounded to a format; NaN where it has none."""
    try:
        with np.errstate(all="ignore"):
            found = evaluate(definition, formula, case, xp)
    except (NoValue, OracleError, ZeroDivisionError):
        count = truth_once(definition, case, fmt, fast=True).rounded.size
        return np.full(count, math.nan)
    with np.errstate(all="ignore"):
        return np.array([float(x) for x in found]).astype(fmt.dtype).astype(np.float64)


def _cause(definition: Definition, formula: Formula, case: Case, fmt: Format, entry: _Entry) -> str:
    """Why an entry is off: what changes it, range or bits."""
    if entry.ulp <= BREAKS:
        return ROUNDING
    unbounded = _results(definition, formula, case, fmt, big_floats(fmt.precision))
    truth = truth_once(definition, case, fmt, fast=True)
    if ulp_error(unbounded, truth)[entry.place] <= max(BREAKS, entry.ulp / 1024):
        return UNDERFLOW if math.isfinite(entry.computed) else OVERFLOW
    if entry.collapsed:
        return COLLAPSE
    return CANCELLATION
