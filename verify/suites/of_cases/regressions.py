"""The regression cases of any definition: each probe of a case, asked of a subject.

Most properties are those of other suites, asked at a recorded case: values of accuracy, gradients
of the gradient, whether something acts of liveness, and what must not matter of poison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import Format
from ....derivations.definition import Definition
from ...cases.case import Case, CaseBatch
from ...cases.draw import draw_batch
from ...cases.draw import families as hazard_families
from ...cases.truth import output_shapes
from ...register.case_probe import CaseProbe
from ...register.record import Case as Bug
from ...register.record import load
from ...subjects.isolation.in_process import LiveSubject
from ..regressions import against_record, is_promised
from ..verdicts import Verdict, Violation
from . import accuracy, gradient, liveness, poison

Rows = dict[str, NDArray[Any]]


def probes(definition: Definition) -> dict[str, CaseProbe]:
    """List the probes of cases of a definition.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    dict
        By the name of the family that the probe is.
    """
    return {
        family(bug, probe): probe
        for bug in load()
        for probe in bug.probes
        if isinstance(probe, CaseProbe) and probe.definition == definition.name
    }


def family(bug: Bug, probe: CaseProbe) -> str:
    """Name a probe: by its bug, and by its number there where there are several.

    Parameters
    ----------
    bug
        The bug.
    probe
        One of its probes.

    Returns
    -------
    str
        The name.
    """
    number = f" {bug.probes.index(probe) + 1}" if len(bug.probes) > 1 else ""
    return f"regression: {bug.id}{number}"


def families(definition: Definition) -> tuple[str, ...]:
    """Name the probes of a definition.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    tuple of str
        One name for each.
    """
    return tuple(probes(definition))


def draw(
    definition: Definition, family: str, fmt: Format, rows: int, seed: int
) -> Iterator[CaseBatch]:
    """The recorded case of a probe, in a format that it is asked in.

    Parameters
    ----------
    definition, family, fmt
        A definition, the name of one of its probes, and a format.
    rows, seed
        Not used: nothing is drawn.

    Yields
    ------
    CaseBatch
        The case as often as the probe wants it; of a probe whether something acts, the case and
        the changed one.
    """
    probe = probes(definition)[family]
    if fmt.name in probe.dtypes:
        case = probe.case(definition, fmt)
        if probe.changed:
            yield CaseBatch(family, (case, probe.changed_case(definition, fmt)))
        else:
            yield CaseBatch(family, (case,) * probe.copies)


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch) -> Verdict:
    """Hold a subject to the probe that a batch is named by."""
    probe = probes(definition)[batch.family]
    verdict = ask(probe, subject, definition, fmt, batch)
    if not is_promised(probe, subject.subject.contract):
        return replace(verdict, violations=[])
    return verdict


def ask(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    """Ask a subject what a probe asks, whether that is promised or not.

    It raises what a call of the subject does.

    Parameters
    ----------
    probe
        The probe.
    subject, definition, fmt
        The subject, the definition that it implements, and the format.
    batch
        What ``draw`` gives for the probe.

    Returns
    -------
    Verdict
        What was found; violations name the probe.
    """
    return CHECKS[probe.property](probe, subject, definition, fmt, batch)


def _named(family: str, verdict: Verdict) -> Verdict:
    """A verdict whose violations are named by the probe."""
    violations = [replace(v, message=f"{family}: {v.message}") for v in verdict.violations]
    return replace(verdict, violations=violations)


def _value(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    """Every result within its threshold, or so many ulp from the record."""
    if probe.ulps is None:
        return _named(batch.family, accuracy.check(subject, definition, fmt, batch))
    shapes = output_shapes(definition, batch.cases[0])
    arrays = [probe.expected[fmt.name][name].array(fmt).reshape(-1) for name in shapes]
    expected = np.tile(np.concatenate(arrays), len(batch.cases))
    computed = accuracy.call(subject, definition, fmt, batch)
    return against_record(
        f"{batch.family}: value", fmt, computed, expected, probe.ulps, probe.reason
    )


def _gradient(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    """Every product within its threshold, or what is recorded so many ulp from the record."""
    if probe.ulps is None:
        return _named(batch.family, gradient.check(subject, definition, fmt, batch))
    found = gradient.call(subject, definition, fmt, batch)
    return Verdict.merge(
        against_record(
            f"{batch.family}: gradient in {name}",
            fmt,
            found[name],
            expected.array(fmt).reshape(-1),
            probe.ulps,
            probe.reason,
            in_gradient=True,
        )
        for name, expected in probe.expected[fmt.name].items()
    )


def _results(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Rows:
    """The values of a batch, and the products in what is not shared where there are cotangents."""
    names = definition.signature.arguments
    plain = tuple(
        replace(case, values={name: case.values[name] for name in names}) for case in batch.cases
    )
    count = len(plain)
    found = {"value": accuracy.call(subject, definition, fmt, replace(batch, cases=plain))}
    if batch.cases[0].values.keys() - names.keys():
        own = gradient.call(subject, definition, fmt, batch)
        found |= {
            f"gradient in {name}": array.reshape(count, -1)
            for name, array in own.items()
            if not names[name].shared
        }
    return found


def _no_nan(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    found = _results(probe, subject, definition, fmt, batch)
    violations = []
    for what, rows in found.items():
        for i, k in np.argwhere(np.isnan(rows.astype(np.float64)))[:1]:
            violations.append(
                Violation(
                    row=int(i),
                    message=f"{batch.family}: {what} is NaN",
                    index=int(k),
                    observed=float("nan"),
                    in_gradient=what != "value",
                )
            )
    return Verdict(sum(rows.size for rows in found.values()), 0.0, violations[:1])


def _others_untouched(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    """The case between two plain ones, whose results must be what they are without it."""
    (case,) = batch.cases
    one, other, between = _plain_cases(definition, case, fmt)
    found, wanted = (
        _results(probe, subject, definition, fmt, replace(batch, cases=(one, middle, other)))
        for middle in (case, between)
    )
    for what, rows in found.items():
        for i in (0, 2):
            is_there, should_be = (r[what][i].astype(np.float64) for r in (found, wanted))
            same = (is_there == should_be) | (np.isnan(is_there) & np.isnan(should_be))
            if not same.all():
                k = int(np.argmin(same))
                violation = Violation(
                    row=0,
                    message=f"{batch.family}: the case changes the {what} of others in the batch",
                    index=k,
                    observed=float(is_there[k]),
                    expected=float(should_be[k]),
                    source="the same case without it",
                    in_gradient=what != "value",
                )
                return Verdict(rows.size, 0.0, [violation])
    return Verdict(sum(rows.size for rows in found.values()), 0.0, [])


def _plain_cases(definition: Definition, case: Case, fmt: Format) -> tuple[Case, ...]:
    """Three cases of the same sizes, with the same parameters, shared arguments and cotangents."""
    kinds = definition.signature.arguments
    sizes = replace(case, values={n: case.values[n] for n in kinds}).sizes(definition.signature)
    drawn = draw_batch(
        definition, hazard_families(definition)[0], fmt, sizes, np.random.default_rng(0)
    )
    kept = {n: v for n, v in case.values.items() if n not in kinds or kinds[n].shared}
    return tuple(Case({**plain.values, **kept}, case.parameters) for plain in drawn.cases)


def _bitwise(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    """The case alone, and as every case of batches of several sizes."""
    (case,) = batch.cases
    alone = accuracy.call(subject, definition, fmt, batch)[0].tobytes()
    checks = 0
    for size in probe.batches:
        rows = accuracy.call(subject, definition, fmt, replace(batch, cases=(case,) * size))
        others = [i for i in range(size) if rows[i].tobytes() != alone]
        checks += size
        if others:
            violation = Violation(
                row=0,
                message=f"{batch.family}: other bits in a batch than alone",
                detail=f"case {others[0]} of {size} equal cases",
            )
            return Verdict(checks, 0.0, [violation])
    return Verdict(checks, 0.0, [])


def _poison(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    return _named(batch.family, poison.check(subject, definition, fmt, batch))


def _acts(
    probe: CaseProbe, subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    for i in range(len(batch.cases)):
        accuracy.call(subject, definition, fmt, batch.case(i))  # NotApplicable: it takes it not
    (name,) = probe.changed
    both = replace(batch, family=name)
    return _named(batch.family, liveness.check(subject, definition, fmt, both))


Check = Callable[[CaseProbe, LiveSubject, Definition, Format, CaseBatch], Verdict]

CHECKS: dict[str, Check] = {
    "value": _value,
    "gradient": _gradient,
    "no_nan": _no_nan,
    "others_untouched": _others_untouched,
    "bitwise": _bitwise,
    "poison": _poison,
    "acts": _acts,
}
