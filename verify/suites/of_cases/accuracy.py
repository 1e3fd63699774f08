"""Every result at every case within its threshold of the exact one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import Format
from ....derivations.choices import chooses
from ....derivations.definition import Definition, Output
from ...cases.case import Case, CaseBatch
from ...cases.truth import output_shapes, truth_once
from ...inputs.families import Batch
from ...oracle import overflow
from ...oracle.metrics import histogram, ulp_error
from ...oracle.rounding import OracleError, Truth
from ...subjects.contract import Contract, last_of, unusual, wider_contracts, widest_contract
from ...subjects.isolation.in_process import LiveSubject
from ...subjects.subject import NotApplicable
from .. import standards
from ..verdicts import Undecided, Verdict, Violation, compare
from . import choices
from .thresholds import largest_errors, model_of

TIMES_THE_WIDEST = 2.0  # no class has a bound so much larger than that of the widest
MOST_WITNESSED = 500  # numbers in a case: the second oracle is far slower, and as independent there
NO_BOUND = (
    "no bound is known of what a right implementation may give there, for what it computes on the "
    "way may leave the range of the format, or be by algorithms of no class that is fixed"
)


def call(
    subject: LiveSubject,
    definition: Definition,
    fmt: Format,
    batch: CaseBatch,
    out: NDArray[Any] | None = None,
    layouts: Sequence[str] = (),
) -> NDArray[Any]:
    """What a subject gives for a batch: a row of numbers for each case, all outputs in it.

    A subject of a row is called as one: with an axis, where it takes one, and what it returns
    besides the value is not looked at.  It raises what a call of the subject does.

    Parameters
    ----------
    subject
        The implementation that is asked.
    definition
        The definition that it implements.
    fmt
        The format of the numbers.
    batch
        Cases for one call.
    out
        A buffer for the result, of its shape, for subjects that take one.
    layouts
        How each argument lies in memory, one of ``subjects.layouts.LAYOUTS``; as usual when empty.

    Returns
    -------
    array
        Of shape (cases, numbers), in the dtype of the format; with indices before the numbers in
        binary64, which holds both.
    """
    if definition.of_a_row:
        return _rows(subject, definition, batch, out, layouts).reshape(len(batch.cases), -1)
    results = subject.of_arguments(
        batch.stacked(definition.signature),
        _shapes(definition, batch),
        fmt.dtype,
        parameters=batch.parameters,
        out=out,
        layouts=layouts,
    )
    if chooses(definition):
        results = [result.astype(np.float64) for result in results]
    return _joined(results)


def _shapes(definition: Definition, batch: CaseBatch) -> dict[str, tuple[int, ...]]:
    """The shape of each output for a batch."""
    inner = output_shapes(definition, batch.cases[0])
    return {name: (len(batch.cases), *shape) for name, shape in inner.items()}


def _joined(results: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """All numbers of each case in a row."""
    return np.concatenate([result.reshape(len(result), -1) for result in results], axis=1)


def call_with_further(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> tuple[Definition, NDArray[Any]]:
    """What a subject gives for a batch where all further results are asked for, and of what.

    Parameters
    ----------
    subject, definition, fmt, batch
        As for ``call``.

    Returns
    -------
    Definition
        With the further results, where the subject gave them; else as it is.
    array
        A row of numbers for each case.
    """
    if not definition.further:
        return definition, call(subject, definition, fmt, batch)
    shapes, whole = _shapes(definition, batch), definition.with_further
    results = subject.of_arguments(
        batch.stacked(definition.signature),
        shapes,
        fmt.dtype,
        parameters=batch.parameters,
        further={name: s for name, s in _shapes(whole, batch).items() if name not in shapes},
    )
    return whole if len(results) > len(shapes) else definition, _joined(results)


def _rows(
    subject: LiveSubject,
    definition: Definition,
    batch: CaseBatch,
    out: NDArray[Any] | None,
    layouts: Sequence[str],
) -> NDArray[Any]:
    """The value that a subject of a row gives: of a function of one real, at a row of cases."""
    numbers, *labels = batch.stacked(definition.signature)
    options: dict[str, Any] = dict(batch.parameters)
    if definition.elementwise:
        numbers, out = numbers[None], out if out is None else out[None]
    if out is not None:
        if definition.labelled:
            raise NotApplicable("the buffer of a loss may be for its gradient")
        options["out"] = out
    layout, *of_labels = layouts or ["contiguous"]
    if set(of_labels) - {"contiguous"}:
        raise NotApplicable("labels lie as usual")
    return subject(numbers, *labels, layout=layout, options=options).value


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch) -> Verdict:
    """Hold the results of a batch against the truth, number by number.

    Where the oracle decides nothing, or no bound is known, the case is undecided.
    """
    given, computed = call_with_further(subject, definition, fmt, batch)
    fast = not subject.subject.is_our_kernel
    return judge(given, subject.contract, fmt, batch, computed, fast=fast)


def judge(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: CaseBatch,
    computed: NDArray[Any],
    *,
    fast: bool = False,
) -> Verdict:
    """The verdict on computed results, a row of numbers for each case of a batch.

    Definitions of a row have the thresholds that suites of rows have, but where a parameter has not
    its default.

    Parameters
    ----------
    definition
        What was to be computed.
    contract
        What the subject declares.
    fmt
        The format of the results.
    batch
        The cases.
    computed
        Results of shape (cases, numbers), as ``call`` gives them.
    fast
        Whether the fast oracle may tell the truth: not of our kernels, on whose exponential it
        stands.

    Returns
    -------
    Verdict
        A violation for each case with a result beyond its threshold, and what was not decided.
    """
    if definition.of_a_row and not batch.parameters:
        return compare(definition, contract, fmt, *_as_rows(definition, batch, computed))
    if chooses(definition):
        return _of_choices(definition, contract, fmt, batch, computed, fast)
    checks, worst = 0, 0.0
    errors: dict[int, int] = {}
    violations: list[Violation] = []
    undecided: list[Undecided] = []
    seen: list[dict[str, str]] = []
    for row, case in enumerate(batch.cases):
        try:
            witnessed = row == 0 and _is_small(case)
            exact = truth_once(definition, case, fmt, cross_check=witnessed, fast=fast)
        except OracleError as reason:
            undecided.append(Undecided(row, str(reason)))
            continue
        if way := overflow.observed(computed[row], exact.wide, fmt, contract.overflow):
            seen.append({"overflow": way})
        held = hold(definition, contract, fmt, case, computed[row], exact)
        error, limits = held.error, held.limits
        known = np.isfinite(limits)
        if not known.all():
            undecided.append(Undecided(row, NO_BOUND))
        # Passing is stated: NaN never passes.
        bad = known & ~((error <= limits) & np.isfinite(error))
        checks += int(known.sum())
        if known.any():
            worst = max(worst, float(np.max(error[known])))
            for key, number in histogram(error[known]).items():
                errors[key] = errors.get(key, 0) + number
        if bad.any():
            violations.append(
                _violation(definition, contract, fmt, row, case, computed[row], exact, held, bad)
            )
    return Verdict(
        checks, worst, violations, errors, undecided=tuple(undecided), observed=last_of(seen)
    )


def _of_choices(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: CaseBatch,
    computed: NDArray[Any],
    fast: bool,
) -> Verdict:
    """Choices are judged first, and the numbers of admissible ones given those."""
    model = model_of(contract, fmt)
    part = choices.taken_apart(definition, batch, computed, model, fmt.dtype)
    found = Verdict(len(batch.cases) * part.before, 0.0, part.violations)
    found = replace(found, undecided=tuple(part.undecided))
    if not part.rows:
        return found
    verdict = judge(part.definition, contract, fmt, part.batch, part.numbers, fast=fast)
    violations = [
        replace(
            v, row=part.rows[v.row], index=v.index if v.index is None else v.index + part.before
        )
        for v in verdict.violations
    ]
    undecided = tuple(replace(seen, row=part.rows[seen.row]) for seen in verdict.undecided)
    return Verdict.merge([found, replace(verdict, violations=violations, undecided=undecided)])


def _as_rows(
    definition: Definition, batch: CaseBatch, computed: NDArray[Any]
) -> tuple[Batch, NDArray[Any]]:
    """Cases as rows, those of one real as rows of one number, with the results at them."""
    numbers, *labels = batch.stacked(definition.signature)
    rows = numbers.reshape(len(batch.cases), -1)
    asked = Batch(batch.family, rows, labels[0] if labels else None)
    several = definition.output is Output.VECTOR or definition.elementwise
    return asked, computed if several else computed[:, 0]


def _is_small(case: Case) -> bool:
    """Whether a case has so few numbers that the second oracle is asked of it, too."""
    return sum(value.size for value in case.values.values()) <= MOST_WITNESSED


@dataclass(frozen=True)
class Held:
    """The results of a case beside their thresholds: both in ulp, and where these come from.

    A limit is infinite where nothing is known; an error, of NaN and of a wrong infinity.
    """

    error: NDArray[np.float64]
    limits: NDArray[np.float64]
    source: str


def hold(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    case: Case,
    computed: NDArray[Any],
    exact: Truth,
) -> Held:
    """The error of each result at a case, and the largest admissible one.

    Parameters
    ----------
    definition
        What was to be computed.
    contract
        What the subject declares: a promise in ulp, or the class of its arithmetic.
    fmt
        The format of the results.
    case
        The case.
    computed
        The results at it, all outputs one after the other.
    exact
        The exact results.

    Returns
    -------
    Held
        Errors and limits, one for each result.
    """
    computed = overflow.read(computed, exact.wide, fmt, contract.overflow)
    if contract.standard != "none":
        limits, source = standards.limits(contract.standard, definition, fmt, case, exact)
        return Held(ulp_error(computed, exact), limits, source)
    promised = contract.ulps.get(fmt.name)
    if promised is not None:
        limits = np.full(exact.rounded.shape, promised)
        return Held(ulp_error(computed, exact), limits, "promised by the subject's contract")
    absolute = largest_errors(definition, case, model_of(contract, fmt))
    forms = ", ".join(("as published", *definition.forms))
    source = (
        f"running error of {definition.name} in {fmt.name}, accumulator {contract.accumulator}, "
        f"summation {contract.summation}, arithmetic {contract.arithmetic}{unusual(contract)}, the "
        f"largest over its forms ({forms})"
    )
    return Held(*_in_ulp(computed, absolute, exact, fmt), source)


def _in_ulp(
    computed: NDArray[Any], absolute: NDArray[np.float64], exact: Truth, fmt: Format
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The errors of results and the largest admissible ones, in ulp.

    Where the exact result is far beyond the range of the format, only that infinity is right.  An
    ulp of binary64 may be 2^-1074, and a finite limit beyond the range in ulps: such results are
    compared as they are, and the limit is the largest float.
    """
    error = ulp_error(computed, exact)
    with np.errstate(over="ignore", invalid="ignore"):
        limits = np.ldexp(absolute, -exact.ulp_exponent)
        beyond = np.isinf(limits) & np.isfinite(absolute)
        distance = np.abs(computed.astype(np.float64) - exact.wide)
    most = np.finfo(np.float64).max
    error = np.where(beyond, np.where(distance <= absolute, np.minimum(error, most), np.inf), error)
    limits = np.where(beyond, most, limits)
    infinite = np.isinf(exact.wide)
    far = infinite & (exact.ulp_exponent != fmt.emax - fmt.precision + 1)
    return error, np.where(far, 0.0, limits)


def _violation(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    row: int,
    case: Case,
    computed: NDArray[Any],
    exact: Truth,
    held: Held,
    bad: NDArray[np.bool_],
) -> Violation:
    """The worst of the results of a case that are beyond their thresholds."""
    error, limits = held.error, held.limits
    places = np.flatnonzero(bad)
    with np.errstate(all="ignore"):
        k = int(places[np.argmax((error / limits)[places])])
    settings = _admitting(definition, contract, fmt, case, computed, exact)
    declared = " ".join(f"--contract {setting}" for setting in settings)
    detail = [f"At {place(definition, case, k)}."] if computed.size > 1 else []
    if settings:
        detail.append(f"It is within the bound of {', '.join(settings)}: if made so, {declared}")
    return Violation(
        row=row,
        message="value beyond its error bound",
        detail=" ".join(detail),
        index=k,
        observed=float(computed[k]),
        expected=overflow.stored(float(exact.wide[k]), fmt, contract.overflow),
        error=float(error[k]),
        threshold=float(limits[k]),
        source=held.source,
        admitted_by=tuple(settings),
    )


def place(definition: Definition, case: Case, k: int) -> str:
    """Which result number k of a case is: the output, and its index along each axis.

    Parameters
    ----------
    definition
        What was to be computed.
    case
        The case.
    k
        The number of the result, of all outputs one after the other.

    Returns
    -------
    str
        The name of the output, with its index.

    Raises
    ------
    IndexError
        There are not so many results.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> place(lookup("softmax"), Case({"logits": np.zeros(3)}), 1)
    'value[K=1]'
    """
    for name, shape in output_shapes(definition, case).items():
        count = math.prod(shape)
        if k < count:
            axes = definition.signature.outputs[name]
            indices = np.unravel_index(k, shape) if shape else ()
            inner = ", ".join(f"{a}={int(i)}" for a, i in zip(axes, indices, strict=True))
            return f"{name}[{inner}]" if inner else name
        k -= count
    raise IndexError(f"{definition.name} has no result number {k} there")


def _admitting(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    case: Case,
    computed: NDArray[Any],
    exact: Truth,
) -> list[str]:
    """The fewest settings of a contract that would have admitted all errors of a case."""
    if (
        fmt.name in contract.ulps
        or contract.standard != "none"
        or not np.isfinite(computed.astype(np.float64)).all()
    ):
        return []

    def within(settings: list[str], times: float = 1.0) -> tuple[bool, bool]:
        """Whether all errors are within some times their bounds, and whether those are known."""
        model = model_of(contract.with_settings(settings), fmt)
        error, limits = _in_ulp(computed, largest_errors(definition, case, model), exact, fmt)
        return bool((error / times <= limits).all()), bool(np.isfinite(limits).all())

    # Most errors are far beyond all classes: what the widest one tells alone.
    if within(widest_contract(contract), TIMES_THE_WIDEST) == (False, True):
        return []
    tried = {model_of(contract, fmt)}
    for settings in wider_contracts(contract):
        model = model_of(contract.with_settings(settings), fmt)
        if model not in tried:
            tried.add(model)
            if within(settings) == (True, True):
                return settings
    return []
