"""Each argument and each parameter acts as defined, at points where that can be seen.

A result within its threshold shows nothing of an argument whose effect is smaller: an eps of 1e-6
beside a mean square of 1 is not seen in float32.  So two cases are sought that differ in one
argument or parameter alone, and whose exact results differ by MARGIN thresholds or more somewhere:
whoever ignores that argument, or uses it otherwise, is beyond the threshold at one of the two.
Where indices alone are asked for, each of the two cases has one admissible choice, and another one.
Of an argument of a definition of a row only that it is ignored is told here: how accurate values
are, suites of rows judge.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import Format
from ....derivations.definition import Definition
from ....derivations.running_error.model import Model
from ....derivations.signature import Numbers
from ...cases.case import Case, CaseBatch
from ...cases.choices import at_exact_choice, exact_choice
from ...cases.draw import draw_batch
from ...cases.draw import families as hazard_families
from ...cases.truth import truth_once
from ...oracle.rounding import OracleError
from ...subjects.contract import Contract
from ...subjects.isolation.in_process import LiveSubject
from ...subjects.subject import NotApplicable
from ..verdicts import Verdict
from . import accuracy, choices
from .thresholds import largest_errors, model_of

MARGIN = 16.0
SIZES = (5, 4, 3, 7)  # of the axes, one after the other
PAIRS = 4  # of drawn cases, each in both orders, until one shows that something acts
EXPONENTS = (0, -5, -10, -15, 5, -20, -30, 10)  # of powers of 2 that the numbers are scaled by


def families(definition: Definition) -> tuple[str, ...]:
    """One family for each argument and each parameter.

    Parameters
    ----------
    definition
        The definition whose arguments are to act.

    Returns
    -------
    tuple of str
        The names of its arguments and parameters.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> families(lookup("rms_norm"))
    ('x', 'gain', 'eps')
    """
    return (*definition.signature.arguments, *definition.parameters)


def draw(
    definition: Definition, family: str, fmt: Format, rows: int, seed: int
) -> Iterator[CaseBatch]:
    """Two cases that differ in one argument or parameter, which is seen to act.

    (They are no batch for one call: what they differ in may be shared.)

    Parameters
    ----------
    definition
        The definition.
    family
        The name of one of its arguments or parameters.
    fmt
        The format of the numbers.
    rows
        Not used: two cases are enough in any budget.
    seed
        The seed of the numbers.

    Returns
    -------
    iterator
        One pair of cases, as a batch.

    Raises
    ------
    OracleError
        No such two cases were found: a finding about the definition.
    """
    rng = np.random.default_rng([seed, zlib.crc32(f"{definition.name} {family} acts".encode())])
    axes = definition.signature.axes
    sizes = {axis: SIZES[i % len(SIZES)] for i, axis in enumerate(axes)}
    plain = hazard_families(definition)[0]
    for _ in range(PAIRS):
        drawn = [draw_batch(definition, plain, fmt, sizes, rng).cases for _ in range(2)]
        scaled = [
            tuple(_scaled(definition, cases[i], exponent, fmt) for cases in drawn)
            for i in (2, 0, 1)  # where a whole number is 0 in one case, it is not in all
            for exponent in EXPONENTS
        ]
        turned = [(other, base) for base, other in scaled]
        changes = _changes(definition, family)
        tried = [
            (change, pair) for pairs in (scaled, turned) for change in changes for pair in pairs
        ]
        for change, (base, other) in tried:
            changed = change(base, other)
            if _acts(definition, base, changed, fmt):
                yield CaseBatch(family, (base, changed))
                return
    raise OracleError(
        f"no two cases were found that differ in {family} alone and whose results differ by "
        f"{MARGIN:g} thresholds"
    )


def _scaled(definition: Definition, case: Case, exponent: int, fmt: Format) -> Case:
    """A case with its numbers scaled by a power of 2, as far as their domains let them."""
    values = dict(case.values)
    for name, kind in definition.signature.arguments.items():
        if isinstance(kind, Numbers) and not kind.shared:
            scaled = np.ldexp(values[name].astype(np.float64), exponent)
            values[name] = np.clip(scaled, kind.lower, kind.upper).astype(fmt.dtype)
    return replace(case, values=values)


def _changes(definition: Definition, family: str) -> list[Callable[[Case, Case], Case]]:
    """Ways to change one argument, or one parameter, of a case, with another case at hand."""
    if family in definition.parameters:
        parameter = definition.parameters[family]
        # The lower end first: often the parameter does nothing there.
        values = (parameter.lower, *parameter.values, parameter.upper)
        return [
            functools.partial(_with_parameter, family, value)
            for value in dict.fromkeys(values)
            if np.isfinite(value) and value != parameter.default
        ]
    return [
        lambda base, other: base.with_values(**{family: other.values[family]}),
        lambda base, other: base.with_values(**{family: _another(base.values[family])}),
    ]


def _with_parameter(name: str, value: float, base: Case, other: Case) -> Case:
    return base.with_parameters(**{name: value})


def _another(value: NDArray[Any]) -> NDArray[Any]:
    """Numbers doubled, other indices, or a mask that drops one entry more, or keeps one more."""
    if value.dtype.kind == "i":
        return np.where(value > 0, value - 1, value + 1)
    if value.dtype.kind != "b":
        return np.asarray(value + value)
    changed = value.copy()
    changed.reshape(-1)[0] ^= True
    return changed if changed.any() else ~changed


def _acts(definition: Definition, base: Case, changed: Case, fmt: Format) -> bool:
    """Whether the exact results differ by MARGIN thresholds of either case somewhere."""
    model = model_of(Contract(), fmt)
    for case in (base, changed):
        if definition.misfit(case.sizes(definition.signature), case.parameters):
            return False
    if not definition.signature.real_outputs:
        return _chooses_otherwise(definition, base, changed, model)
    results, limits = [], []
    for case in (base, changed):
        try:
            asked, at = at_exact_choice(definition, case)
            exact = truth_once(asked, at, fmt, fast=True)
        except OracleError:
            return False
        results.append(exact.wide)
        limits.append(largest_errors(asked, at, model))
    if results[0].shape != results[1].shape:
        return True
    with np.errstate(invalid="ignore"):
        difference = np.abs(results[1] - results[0])
        return bool((difference >= MARGIN * np.maximum(*limits)).any())


def _chooses_otherwise(definition: Definition, base: Case, changed: Case, model: Model) -> bool:
    """Whether there is one admissible choice at each of two cases, and not the same."""
    try:
        one, other = exact_choice(definition, base), exact_choice(definition, changed)
    except OracleError:
        return False
    return not np.array_equal(one, other) and all(
        choices.is_unique(definition, case, chosen.reshape(-1), model)
        for case, chosen in ((base, one), (changed, other))
    )


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch) -> Verdict:
    """Hold the results at both cases against the truth, and against each other."""
    found, results = [], []
    for i in range(len(batch.cases)):
        try:
            results.append(accuracy.call(subject, definition, fmt, batch.case(i)))
        except NotApplicable:  # it takes no such parameter
            continue
        fast = not subject.subject.is_our_kernel
        verdict = accuracy.judge(
            definition, subject.contract, fmt, batch.case(i), results[-1], fast=fast
        )
        found.append(_told(verdict, batch.family, i))
    verdict = Verdict.merge(found)
    if len(results) == 2 and np.array_equal(results[0], results[1]) and verdict.violations:
        differ = f"exact results differ by {MARGIN:g} thresholds or more"
        if not definition.signature.real_outputs:
            differ = "another choice is the only right one"
        idle = replace(
            verdict.violations[0],
            message=f"{batch.family} has no effect",
            detail=f"Where it is changed, {differ}.",
            threshold=None,
        )
        return replace(verdict, violations=[idle])
    if definition.of_a_row and batch.family in definition.signature.arguments:
        return replace(verdict, violations=[])
    return verdict


def _told(verdict: Verdict, family: str, row: int) -> Verdict:
    """A verdict on one of the two cases, as one on both."""
    message = f"value beyond its error bound, where {family} acts"
    violations = [replace(v, message=message, row=row) for v in verdict.violations]
    undecided = tuple(replace(seen, row=row) for seen in verdict.undecided)
    return replace(verdict, violations=violations, undecided=undecided)
