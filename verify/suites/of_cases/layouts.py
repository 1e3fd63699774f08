"""The arguments of a function elsewhere in memory: strided, misaligned, read-only, or none at all.

Each argument in turn has each layout, the others lie as usual.  Results with the same bits as those
of ordinary arrays need no further look; others are held against the truth, as a vectorised loop
may sum in another order.  Only cases that the subject gets right where all lie as usual are judged,
so that what is found here is the layout.

Which layouts a subject takes is the axis ``layouts`` of its contract.  Where it declares nothing,
an exception that says clearly that an array is not taken is observed, and no failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import Format
from ....derivations.definition import Definition
from ...cases.case import CaseBatch
from ...cases.draw import draw_batch
from ...cases.draw import families as hazard_families
from ...cases.truth import output_shapes
from ...subjects.contract import last_of
from ...subjects.isolation.in_process import LiveSubject
from ...subjects.layouts import LAYOUTS
from ...subjects.subject import NotApplicable, SubjectFault
from ..layouts import ANY, WRITABLE, is_refusal, takes
from ..verdicts import Verdict, no_result
from . import accuracy

NO_CASES = "no cases"
SIZES = (19, 5, 3, 6)  # of the axes, one after the other: the first is a vector of 16, and a tail


def families(definition: Definition) -> tuple[str, ...]:
    """A family for each layout, and one for a batch without cases.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    tuple of str
        Their names.
    """
    return (*LAYOUTS, NO_CASES)


def draw(
    definition: Definition, family: str, fmt: Format, rows: int, seed: int
) -> Iterator[CaseBatch]:
    """One batch of plain cases, with axes of different sizes; only where they lie differs.

    Parameters
    ----------
    definition
        The definition.
    family
        The name of a layout, or NO_CASES.
    fmt
        The format of the numbers.
    rows
        Not used: one batch is enough in any budget.
    seed
        The seed of the numbers.

    Yields
    ------
    CaseBatch
        The batch.
    """
    rng = np.random.default_rng([seed, 1])
    axes = definition.signature.axes
    sizes = {axis: SIZES[i % len(SIZES)] for i, axis in enumerate(axes)}
    plain = hazard_families(definition)[0]
    yield replace(draw_batch(definition, plain, fmt, sizes, rng), family=family)


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch) -> Verdict:
    """Every argument in the layout that the family names, in all of them at a case of the user."""
    single = len(batch.cases) == 1  # of the user, or shrunk: beside itself in a batch
    whole = replace(batch, cases=batch.cases * 2) if single else batch
    found = []
    for family in (batch.family,) if batch.family in families(definition) else families(definition):
        if family == NO_CASES and not definition.of_a_row:
            found.append(_without_cases(subject, definition, fmt, whole))
        elif family != NO_CASES and takes(subject.subject.contract, family):
            found += _in_layout(subject, definition, fmt, whole, family)
    verdict = Verdict.merge(found)
    violations = [replace(v, row=0) if single else v for v in verdict.violations]
    observed = last_of(v.observed for v in found)
    return replace(verdict, violations=violations, observed=observed)


def _in_layout(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch, layout: str
) -> Iterator[Verdict]:
    """The verdicts on each argument in a layout; none where the subject is wrong anyway."""
    if layout == "broadcast":  # all cases are one in memory
        batch = replace(batch, cases=batch.cases[:1] * len(batch.cases))
    plain = accuracy.call(subject, definition, fmt, batch)
    fast = not subject.subject.is_our_kernel
    if accuracy.judge(definition, subject.contract, fmt, batch, plain, fast=fast).violations:
        return  # the other suites say so
    signature = definition.signature
    for (name, kind), array in zip(
        signature.arguments.items(), batch.stacked(signature), strict=True
    ):
        if _can_lie(array, layout, shared=kind.shared):
            yield _judged(subject, definition, fmt, batch, plain, name, layout)


def _can_lie(array: NDArray[Any], layout: str, *, shared: bool) -> bool:
    """Whether an argument has the axes of a layout, and rows that are one where they have to be."""
    if array.ndim < (2 if layout in ("fortran", "broadcast", "far") else 1):
        return False
    return not (shared and layout == "broadcast") and (layout != "far" or len(array) > 1)


def _judged(
    subject: LiveSubject,
    definition: Definition,
    fmt: Format,
    batch: CaseBatch,
    plain: NDArray[Any],
    name: str,
    layout: str,
) -> Verdict:
    """The verdict on the results where one argument has a layout, with what was observed."""
    arguments = definition.signature.arguments
    layouts = [layout if other == name else "contiguous" for other in arguments]
    told = f"{name} in layout {layout}"
    declared = subject.subject.contract.layouts
    checks = plain.size
    try:
        results = accuracy.call(subject, definition, fmt, batch, layouts=layouts)
    except NotApplicable:
        return Verdict(0, 0.0, [])
    except SubjectFault as fault:
        if declared is None and layout in (*WRITABLE, *ANY) and is_refusal(fault):
            way = "contiguous" if layout in WRITABLE else "writable"
            return Verdict(checks, 0.0, [], observed={"layouts": way})
        return no_result(fault, told)
    observed = {} if declared else {"layouts": "any"}
    if np.array_equal(_bits(results), _bits(plain)):
        return Verdict(checks, 0.0, [], observed=observed)
    fast = not subject.subject.is_our_kernel
    verdict = accuracy.judge(definition, subject.contract, fmt, batch, results, fast=fast)
    violations = [replace(v, message=f"{told}: {v.message}") for v in verdict.violations]
    # What is undecided of these cases the suite accuracy tells.
    return replace(verdict, violations=violations, undecided=(), observed=observed)


def _bits(results: NDArray[Any]) -> NDArray[Any]:
    return results.view(f"u{results.dtype.itemsize}")


def _without_cases(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> Verdict:
    """A batch without cases has a result without; its shape is looked at where it arrives."""
    signature = definition.signature
    arguments = [
        array if kind.shared else array[:0]
        for kind, array in zip(signature.arguments.values(), batch.stacked(signature), strict=True)
    ]
    shapes = {name: (0, *s) for name, s in output_shapes(definition, batch.cases[0]).items()}
    try:
        subject.of_arguments(arguments, shapes, fmt.dtype, parameters=batch.parameters)
    except NotApplicable:
        return Verdict(0, 0.0, [])
    except SubjectFault as fault:
        return no_result(fault, "no cases")
    return Verdict(1, 0.0, [])
