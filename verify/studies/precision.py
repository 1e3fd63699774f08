"""Error against precision: every form of a definition in p-bit arithmetic and in the formats.

The inputs are reals of more than 113 bits.  They are rounded to each precision, and the rounded
numbers are the exact problem there: the error is that of the computation alone.  Inputs of few bits
would be the same problem at every precision, but at most precisions their differences would be
exact, and the rounding of z_k - max z is what the shifted forms lose most by.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import FORMATS
from ...derivations.arithmetic.systems import Arithmetic, balls, big_floats, ieee
from ...derivations.definition import Formula
from ...derivations.error_bounds.bounds import bound
from ...derivations.error_bounds.model import Model
from ..oracle.truth import GUARD_BITS
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, SubjectFault

PUBLISHED = "published"  # the name, among the forms, of the formula itself
PRECISIONS = range(4, 114)  # up to binary128
SEED = 0
LABEL = 0

CLASSES = 16
DRAWS = 8
HALF_WIDTH = 2
# No larger, so that every probability, at least about e^-(WINNER + HALF_WIDTH), is normal in
# float16: what the formats show beside rounding is then the overflow of intermediate results.
WINNER = 7
OFFSET = 100  # e^100 overflows float32

REALS = 64
REALS_HALF_WIDTH = 12  # e^12 overflows float16

_TRUTH_BITS = 512


@dataclass(frozen=True)
class PrecisionErrors:
    """Maximum relative errors over the inputs (no unit); infinite where a result is not finite.

    ``errors[form][i]`` is that of p = ``precisions[i]`` bits with unbounded exponents,
    ``formats[form][name]`` that of a named format; NaN where no row, rounded to that precision, has
    an exact value.  ``bounds[i]`` is the proven bound; NaN where it proves nothing, being of first
    order.
    """

    name: str
    precisions: tuple[int, ...]
    errors: dict[str, NDArray[np.float64]]
    formats: dict[str, dict[str, float]]
    bounds: NDArray[np.float64]


def precision_errors(
    name: str,
    precisions: Sequence[int] = PRECISIONS,
    progress: Callable[[int, int], None] | None = None,
) -> PrecisionErrors:
    """The error of the published formula and of each form of a definition, at every precision.

    A row whose exact value is not decided, as where normalisation divides by 0, is left out.

    Parameters
    ----------
    name
        The definition.
    precisions
        Significand bits p, each from 2 to 113.
    progress
        ``progress(done, total)`` is called after each precision.

    Returns
    -------
    PrecisionErrors
        The largest relative errors at each precision and in each format, and the proven bound.

    Raises
    ------
    KeyError
        If no definition has the name.
    ValueError
        For a precision that has no truth here.

    Examples
    --------
    >>> result = precision_errors("stablemax", precisions=[24])
    >>> bool(result.errors["published"][0] == result.formats["published"]["float32"])
    True
    """
    definition = lookup(name)
    if not all(2 <= p <= PRECISIONS[-1] for p in precisions):
        raise ValueError(
            f"precisions are {[*precisions]}; each must be 2 to {PRECISIONS[-1]} significand bits"
        )
    forms = {PUBLISHED: definition.formula, **definition.forms}
    rows = inputs(definition)
    errors = {form: np.empty(len(precisions)) for form in forms}
    bounds = np.empty(len(precisions))
    for i, p in enumerate(precisions):
        problems = _problems(definition, rows, big_floats(p))
        for form, formula in forms.items():
            errors[form][i] = _max_error(formula, problems)
        bounds[i] = _proven(definition, problems, Model(u=2.0**-p, v=2.0**-p, underflow=0.0))
        if progress is not None:
            progress(i + 1, len(precisions))

    formats: dict[str, dict[str, float]] = {form: {} for form in forms}
    for fmt in FORMATS.values():
        problems = _problems(definition, rows, ieee(fmt))
        for form, formula in forms.items():
            formats[form][fmt.name] = _max_error(formula, problems)
    return PrecisionErrors(name, tuple(precisions), errors, formats, bounds)


def subject_errors(subject: LiveSubject) -> tuple[dict[str, float], dict[str, str]]:
    """The largest relative errors of a subject on the inputs of `precision_errors`.

    Parameters
    ----------
    subject
        The subject.

    Returns
    -------
    tuple of dict
        Errors by the name of the format, infinite where a result is not finite; and, for formats in
        which the subject gave no result, the reasons.
    """
    definition = subject.definition
    rows = inputs(definition)
    errors: dict[str, float] = {}
    failures: dict[str, str] = {}
    for name in subject.subject.dtypes:
        fmt = FORMATS[name]
        problems = _problems(definition, rows, ieee(fmt))
        if not problems:
            failures[name] = "no row has an exact value there"
            continue
        logits = np.array([problem.row for problem in problems], dtype=fmt.dtype)
        labels = np.full(len(logits), LABEL) if definition.labelled else None
        try:
            values = subject(logits, labels).value
        except (SubjectFault, NotApplicable) as fault:
            failures[name] = str(fault)
            continue
        errors[name] = max(map(_relative_error, values, problems))
    return errors, failures


def inputs(definition: Definition) -> list[list[Fraction]]:
    """The rows of reals on which errors are taken.

    Parameters
    ----------
    definition
        The definition; an elementwise one has one long row.

    Returns
    -------
    list of list of Fraction
        The rows.
    """
    generator = random.Random(SEED)

    def uniform(half_width: int) -> Fraction:
        return half_width * (Fraction(generator.getrandbits(128), 2**127) - 1)

    if definition.elementwise:
        return [[uniform(REALS_HALF_WIDTH) for _ in range(REALS)]]
    drawn = [[uniform(HALF_WIDTH) for _ in range(CLASSES)] for _ in range(DRAWS)]
    won = [[Fraction(WINNER), *row[1:]] for row in drawn]
    return [[z + offset for z in row] for offset in (0, OFFSET) for row in drawn + won]


def inputs_described(definition: Definition) -> str:
    """Describe in one sentence what `inputs` returns.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    str
        The sentence.
    """
    if definition.elementwise:
        return (
            f"{REALS} reals uniform in [-{REALS_HALF_WIDTH}, {REALS_HALF_WIDTH}), seed {SEED}, "
            "rounded to p bits"
        )
    label = f", label {LABEL}" if definition.labelled else ""
    return (
        f"{4 * DRAWS} rows of K = {CLASSES} logits: {DRAWS} uniform in [-{HALF_WIDTH}, "
        f"{HALF_WIDTH}), seed {SEED}; these with logit 0 set to {WINNER}; all those plus {OFFSET}"
        f"{label}; rounded to p bits"
    )


@dataclass(frozen=True)
class _Problem:
    """Arguments in an arithmetic and the exact results, as balls, that belong to them."""

    xp: Arithmetic
    row: NDArray[Any]
    arguments: list[Any]
    truth: list[flint.arb]


def _problems(definition: Definition, rows: list[list[Fraction]], xp: Arithmetic) -> list[_Problem]:
    exactly = balls()
    problems = []
    for reals in rows:
        row = xp.vector(reals)
        with flint.ctx.workprec(_TRUTH_BITS):
            exact_row = exactly.vector(_ball(number) for number in row)
            truth = _flat(definition(*_arguments(definition, exact_row), exactly))
        if all(ball.rel_accuracy_bits() >= PRECISIONS[-1] + GUARD_BITS for ball in truth):
            problems.append(_Problem(xp, row, _arguments(definition, row), truth))
    return problems


def _max_error(formula: Formula, problems: list[_Problem]) -> float:
    """The largest relative error over rows and outputs; NaN where there is no row."""
    largest = 0.0 if problems else math.nan
    for problem in problems:
        try:
            with np.errstate(all="ignore"):  # overflow is a result here, not an accident
                computed = formula(*problem.arguments, problem.xp)
        except ZeroDivisionError:  # mpmath has no 1 / 0
            return math.inf
        largest = max(largest, _relative_error(computed, problem))
    return largest


def _relative_error(computed: Any, problem: _Problem) -> float:
    """The largest relative error over the outputs; infinite where one is not finite."""
    largest = 0.0
    with flint.ctx.workprec(_TRUTH_BITS):
        for number, truth in zip(_flat(computed), problem.truth, strict=True):
            ball = _ball(number)
            if not ball.is_finite():
                return math.inf
            largest = max(largest, float(abs((ball - truth) / truth)))
    return largest


def _proven(definition: Definition, problems: list[_Problem], model: Model) -> float:
    """The largest relative bound over rows and outputs; NaN where none below 1 is proven."""
    label = LABEL if definition.labelled else None
    largest = 0.0 if problems else math.nan
    for problem in problems:
        absolute = bound(definition.name, problem.row.astype(np.float64), model, label=label)
        if absolute is None:
            return math.nan
        truth = np.array([float(ball) for ball in problem.truth])
        largest = max(largest, float(np.max(absolute / np.abs(truth))))
    return largest if largest < 1 else math.nan


def _arguments(definition: Definition, row: Any) -> list[Any]:
    return [row, LABEL] if definition.labelled else [row]


def _flat(result: Any) -> list[Any]:
    return list(np.asarray(result).flat)


def _ball(number: Any) -> flint.arb:
    """A computed number as an exact ball: formats convert to binary64 without rounding."""
    return flint.arb(float(number) if isinstance(number, np.generic) else number)
