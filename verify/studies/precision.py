"""Error against precision: every form of a definition in p-bit arithmetic and in the formats.

The error of a function of one row, or of one real, is the largest relative one of its results.  Of
a function of several arguments it is relative to the largest entry of the result, as norms have it:
an entry may be 0, or cancel to nearly 0, where no relative error says anything.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition, lookup
from ...derivations.arithmetic.arithmetic import NoValue
from ...derivations.arithmetic.formats import BINARY64, FORMATS, Format
from ...derivations.arithmetic.systems import Arithmetic, balls, big_floats, ieee
from ...derivations.choices import of_numbers
from ...derivations.definition import Formula
from ...derivations.error_bounds.bounds import bound
from ...derivations.error_bounds.model import Model
from ...derivations.running_error import Model as Class
from ...derivations.running_error.numbers import UndecidedComparison
from ...derivations.signature import Numbers
from ..cases.case import Case, CaseBatch, dtype_of
from ..oracle.truth import GUARD_BITS
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, SubjectFault
from ..suites.of_cases.accuracy import call
from ..suites.of_cases.thresholds import largest_errors
from .points import Points, drawn_points

PUBLISHED = "published"  # the name, among the forms, of the formula itself
PRECISIONS = range(4, 114)  # up to binary128

_TRUTH_BITS = 512


@dataclass(frozen=True)
class PrecisionErrors:
    """Maximum relative errors over the inputs (no unit); infinite where a result is not finite.

    ``errors[form][i]`` is that of p = ``precisions[i]`` bits with unbounded exponents,
    ``formats[form][name]`` that of a named format; NaN where no point, rounded to that precision,
    has an exact value.  ``bounds[i]`` is the proven bound: of functions of one row, that of the
    form it is proven for; of others, the running error of all forms.  NaN where it proves nothing,
    being 1 or more, or beyond the 53 bits that running errors are computed in.  ``inputs`` says in
    a sentence, without its full stop, what the points are.
    """

    name: str
    precisions: tuple[int, ...]
    errors: dict[str, NDArray[np.float64]]
    formats: dict[str, dict[str, float]]
    bounds: NDArray[np.float64]
    inputs: str


def precision_errors(
    name: str,
    precisions: Sequence[int] = PRECISIONS,
    progress: Callable[[int, int], None] | None = None,
    points: Points | None = None,
) -> PrecisionErrors:
    """The error of the published formula and of each form of a definition, at every precision.

    A point whose exact value is not decided, as where normalisation divides by 0, is left out.

    Parameters
    ----------
    name
        The definition.
    precisions
        Significand bits p, each from 2 to 113.
    progress
        ``progress(done, total)`` is called after each precision.
    points
        Where the errors are taken; those that are drawn for the definition when None.

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
    definition = of_numbers(lookup(name))
    if not all(2 <= p <= PRECISIONS[-1] for p in precisions):
        raise ValueError(
            f"precisions are {[*precisions]}; each must be 2 to {PRECISIONS[-1]} significand bits"
        )
    points = drawn_points(definition) if points is None else points
    forms = {PUBLISHED: definition.formula, **definition.forms}
    errors = {form: np.empty(len(precisions)) for form in forms}
    bounds = np.empty(len(precisions))
    for i, p in enumerate(precisions):
        problems = _problems(definition, points, big_floats(p))
        for form, formula in forms.items():
            errors[form][i] = _max_error(formula, problems)
        bounds[i] = _proven(definition, problems, p)
        if progress is not None:
            progress(i + 1, len(precisions))

    formats: dict[str, dict[str, float]] = {form: {} for form in forms}
    for fmt in FORMATS.values():
        problems = _problems(definition, points, ieee(fmt))
        for form, formula in forms.items():
            formats[form][fmt.name] = _max_error(formula, problems)
    return PrecisionErrors(name, tuple(precisions), errors, formats, bounds, points.described)


def subject_errors(
    subject: LiveSubject, points: Points | None = None
) -> tuple[dict[str, float], dict[str, str]]:
    """The largest relative errors of a subject on the inputs of `precision_errors`.

    Parameters
    ----------
    subject
        The subject.
    points
        As of `precision_errors`.

    Returns
    -------
    tuple of dict
        Errors by the name of the format, infinite where a result is not finite; and, for formats in
        which the subject gave no result, the reasons.
    """
    definition = of_numbers(subject.definition)
    points = drawn_points(definition) if points is None else points
    errors: dict[str, float] = {}
    failures: dict[str, str] = {}
    for name in (dtype for dtype in subject.subject.dtypes if dtype in FORMATS):
        fmt = FORMATS[name]
        problems = _problems(definition, points, ieee(fmt))
        if not problems:
            failures[name] = "no point has an exact value there"
            continue
        try:
            results = _asked(subject, fmt, problems)
        except (SubjectFault, NotApplicable) as fault:
            failures[name] = str(fault)
            continue
        errors[name] = max(map(_relative_error, results, problems))
    return errors, failures


def _asked(subject: LiveSubject, fmt: Format, problems: list[_Problem]) -> list[list[Any]]:
    """The results of a subject at each point, output by output."""
    definition = subject.definition
    if definition.of_a_row:
        logits = np.array([problem.arguments[0] for problem in problems], dtype=fmt.dtype)
        labels = (
            np.array([problem.arguments[1] for problem in problems])
            if definition.labelled
            else None
        )
        logits = logits.reshape(len(problems), -1)
        outcome = subject(logits, labels, options=problems[0].parameters)
        return [[value] for value in outcome.value]
    cases = tuple(_case(definition, problem, fmt.dtype) for problem in problems)
    count = sum(map(len, problems[0].truth))
    ends = np.cumsum([len(exact) for exact in problems[0].truth])[:-1]
    found = call(subject, definition, fmt, CaseBatch("", cases))[:, -count or None :]
    return [np.split(row, ends) for row in found]


@dataclass(frozen=True)
class _Problem:
    """Arguments in an arithmetic and the exact results, as balls, that belong to them.

    ``truth`` has a list of balls for each output; ``by_entry``: whether an error is relative to the
    entry itself, and not to the largest entry of its output.
    """

    xp: Arithmetic
    arguments: list[Any]
    parameters: Mapping[str, Any]
    truth: list[list[flint.arb]]
    by_entry: bool


def _problems(definition: Definition, points: Points, xp: Arithmetic) -> list[_Problem]:
    kinds = definition.signature.arguments
    problems = []
    for point in points.values:
        arguments = [
            xp.array(point[name]) if isinstance(kind, Numbers) else point[name]
            for name, kind in kinds.items()
        ]
        truth = _truth(definition, arguments, points.parameters)
        if truth is not None:
            by_entry = definition.of_a_row
            problems.append(_Problem(xp, arguments, points.parameters, truth, by_entry))
    return problems


def _truth(
    definition: Definition, arguments: list[Any], parameters: Mapping[str, Any]
) -> list[list[flint.arb]] | None:
    """The exact results, output by output; None where an argument is outside of its domain, or no
    form of the definition decides them.
    """
    exactly = balls()
    exact = []
    with flint.ctx.workprec(_TRUTH_BITS):
        for argument, kind in zip(arguments, definition.signature.arguments.values(), strict=True):
            if not isinstance(kind, Numbers):
                exact.append(argument)
                continue
            numbers = _array(argument)
            if not all(kind.lower <= number <= kind.upper for number in numbers.flat):
                return None
            exact.append(exactly.array(_array([_ball(n) for n in numbers.flat], numbers.shape)))
        for formula in (definition.formula, *definition.forms.values()):
            try:
                found = _outputs(formula(*exact, exactly, **parameters))
            except NoValue:
                continue
            results = itertools.chain.from_iterable(found)
            if all(x.rel_accuracy_bits() >= PRECISIONS[-1] + GUARD_BITS for x in results):
                return found
    return None


def _max_error(formula: Formula, problems: list[_Problem]) -> float:
    """The largest relative error over points and outputs; NaN where there is no point."""
    largest = 0.0 if problems else math.nan
    for problem in problems:
        try:
            with np.errstate(all="ignore"):  # overflow is a result here, not an accident
                computed = formula(*problem.arguments, problem.xp, **problem.parameters)
        except ZeroDivisionError:  # mpmath has no 1 / 0
            return math.inf
        largest = max(largest, _relative_error(_outputs(computed), problem))
    return largest


def _relative_error(computed: Sequence[Any], problem: _Problem) -> float:
    """The largest relative error over the outputs; infinite where one is not finite."""
    largest = 0.0
    with flint.ctx.workprec(_TRUTH_BITS):
        for numbers, exact in zip(computed, problem.truth, strict=True):
            found = [_ball(number) for number in np.asarray(numbers).flat]
            if not all(ball.is_finite() for ball in found):
                return math.inf
            scale = None if problem.by_entry or not exact else max(map(abs, exact))
            for ball, truth in zip(found, exact, strict=True):
                reference = truth if scale is None else scale
                if reference == 0:
                    largest = max(largest, 0.0 if ball == 0 else math.inf)
                else:
                    largest = max(largest, float(abs((ball - truth) / reference)))
    return largest


def _proven(definition: Definition, problems: list[_Problem], p: int) -> float:
    """The largest relative bound over points and outputs; NaN where none below 1 is proven."""
    if not definition.of_a_row and p > BINARY64.precision:
        return math.nan
    largest = 0.0 if problems else math.nan
    for problem in problems:
        absolute = _absolute_bound(definition, problem, p)
        if absolute is None:
            return math.nan
        exact = [np.abs(np.array([float(ball) for ball in output])) for output in problem.truth]
        if not problem.by_entry:
            exact = [np.full_like(output, np.max(output, initial=0.0)) for output in exact]
        with np.errstate(all="ignore"):
            largest = max(largest, float(np.max(absolute / np.concatenate(exact))))
    return largest if largest < 1 else math.nan


def _absolute_bound(
    definition: Definition, problem: _Problem, p: int
) -> NDArray[np.float64] | None:
    """What the error of each result is at most in p bits; None where nothing is proven."""
    if not definition.of_a_row:
        fmt = Format(f"{p} bits", p, BINARY64.emax, BINARY64.dtype)
        case = _case(definition, problem, BINARY64.dtype)
        try:
            return largest_errors(definition, case, Class.of(fmt, accumulator="input"))
        except UndecidedComparison:  # rounded scores of a form may choose otherwise
            return None
    if problem.parameters:
        return None
    label = problem.arguments[1] if definition.labelled else None
    model = Model(u=2.0**-p, v=2.0**-p, underflow=0.0)
    row = _array(problem.arguments[0]).astype(np.float64)
    return bound(definition.name, row, model, label=label)


def _case(definition: Definition, problem: _Problem, dtype: np.dtype[Any]) -> Case:
    """A point in numbers of a dtype that holds them."""
    kinds = definition.signature.arguments
    values = {
        name: _array(argument).astype(dtype_of(kind, dtype))
        for (name, kind), argument in zip(kinds.items(), problem.arguments, strict=True)
    }
    return Case(values, problem.parameters)


def _outputs(result: Any) -> list[list[Any]]:
    """The numbers of each output."""
    return [list(_array(r).flat) for r in (result if isinstance(result, tuple) else (result,))]


def _array(numbers: Any, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Numbers, or a number, as an array."""
    if isinstance(numbers, np.ndarray | np.generic):
        return np.asarray(numbers)
    if not isinstance(numbers, list):
        numbers, shape = [numbers], ()
    array = np.empty(len(numbers), dtype=object)
    array[:] = numbers
    return array if shape is None else array.reshape(shape)


def _ball(number: Any) -> flint.arb:
    """A computed number as an exact ball: formats convert to binary64 without rounding."""
    return flint.arb(float(number) if isinstance(number, np.generic) else number)
