"""Each argument and each parameter acts as defined, at points where that can be seen.

A result within its threshold shows nothing of an argument whose effect is smaller: an eps of 1e-6
beside a mean square of 1 is not seen in float32.  So two cases are sought that differ in one
argument or parameter alone, and whose exact results differ by MARGIN thresholds or more somewhere:
whoever ignores that argument, or uses it otherwise, is beyond the threshold at one of the two.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import Format
from ....derivations.definition import Definition
from ....derivations.signature import Numbers
from ...cases.case import Case, CaseBatch
from ...cases.draw import draw_batch
from ...cases.draw import families as hazard_families
from ...cases.truth import truth_once
from ...oracle.rounding import OracleError
from ...subjects.contract import Contract
from ...subjects.isolation.in_process import LiveSubject
from ..verdicts import Verdict
from . import accuracy
from .thresholds import largest_errors, model_of

MARGIN = 16.0
SIZES = (5, 4, 3, 7)  # of the axes, one after the other
EXPONENTS = (0, -5, -10, -15, 5, -20, -30, 10)  # of powers of 2 that the numbers are scaled by


def families(definition: Definition) -> tuple[str, ...]:
    """One family for each argument and each parameter.

    >>> from softproof.derivations import lookup
    >>> families(lookup("rms_norm"))
    ('x', 'gain', 'eps')
    """
    return (*definition.signature.arguments, *definition.parameters)


def draw(
    definition: Definition, family: str, fmt: Format, rows: int, seed: int
) -> Iterator[CaseBatch]:
    """Two batches of one case each, that differ in one argument or parameter, seen to act.

    OracleError, a finding about the definition, where no such two are found.
    """
    rng = np.random.default_rng([seed, zlib.crc32(f"{definition.name} {family} acts".encode())])
    axes = definition.signature.axes
    sizes = {axis: SIZES[i % len(SIZES)] for i, axis in enumerate(axes)}
    plain = hazard_families(definition)[0]
    for exponent in EXPONENTS:
        drawn = [draw_batch(definition, plain, fmt, sizes, rng).cases for _ in range(2)]
        base, other = (_scaled(definition, cases[2], exponent, fmt) for cases in drawn)
        for changed in _changed(definition, family, base, other):
            if _acts(definition, base, changed, fmt):
                yield CaseBatch(family, (base,))
                yield CaseBatch(family, (changed,))
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


def _changed(definition: Definition, family: str, base: Case, other: Case) -> Iterator[Case]:
    """The base with one argument, or one parameter, changed."""
    if family in definition.parameters:
        parameter = definition.parameters[family]
        # The lower end first, which often is where the parameter does nothing.
        ends = (parameter.lower, *parameter.values, parameter.upper)
        for value in ends:
            if np.isfinite(value) and value != parameter.default:
                yield base.with_parameters(**{family: value})
    else:
        yield base.with_values(**{family: other.values[family]})
        if other.values[family].dtype.kind in "bi":
            yield base.with_values(**{family: _another(base.values[family])})


def _another(value: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64] | NDArray[np.bool_]:
    """Other indices, or a mask that drops one entry more, or keeps one more."""
    if value.dtype.kind == "i":
        return np.where(value > 0, value - 1, value + 1)
    changed = value.copy()
    changed.reshape(-1)[0] ^= True
    return changed if changed.any() else ~changed


def _acts(definition: Definition, base: Case, changed: Case, fmt: Format) -> bool:
    """Whether the exact results differ by MARGIN thresholds of either case somewhere."""
    model = model_of(Contract(), fmt)
    results, limits = [], []
    for case in (base, changed):
        try:
            exact = truth_once(definition, case, fmt)
        except OracleError:
            return False
        results.append(exact.rounded.astype(np.float64))
        limits.append(largest_errors(definition, case, model))
    with np.errstate(invalid="ignore"):
        difference = np.abs(results[1] - results[0])
        return bool((difference >= MARGIN * np.maximum(*limits)).any())


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch) -> Verdict:
    """Hold a result at such a case against the truth."""
    verdict = accuracy.check(subject, definition, fmt, batch)
    message = f"{batch.family} does not act as defined"
    violations = [replace(violation, message=message) for violation in verdict.violations]
    return replace(verdict, violations=violations)
