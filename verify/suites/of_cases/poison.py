"""What a result does not depend on may hold anything: no bit of the result changes.

NaN, infinities and the largest numbers are put where they must not matter: in the entries that a
mask drops, in the other cases of a batch, and in a buffer that the result is written to.

In one respect implementations differ legitimately: many multiply what a mask drops by a weight 0,
and 0 times NaN or an infinity is NaN; scores of the largest numbers overflow to infinities.
Unless a subject declares ``masked_nan=ignored``, results may become NaN by those in entries that a
mask drops, and whether any does is observed.  Nothing else may come of them, and nothing at all of
a huge number that does not overflow.

Where a subject declares ``bitwise_batch=yes``, the number of cases in the batch changes no bit,
either: each case is asked alone, and in a batch of MOST_CASES.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import Format
from ....derivations.choices import chooses
from ....derivations.definition import Definition
from ....derivations.signature import Mask, Numbers
from ...cases.case import Case, CaseBatch
from ...cases.choices import at_exact_choice
from ...cases.draw import draw as draw_cases
from ...cases.draw import families as hazard_families
from ...cases.truth import output_shapes, truth_once
from ...inputs.families import largest
from ...oracle.rounding import OracleError
from ...subjects.contract import last_of
from ...subjects.isolation.in_process import LiveSubject
from ...subjects.subject import NotApplicable, ProcessDied, SubjectFault
from ..verdicts import Verdict, Violation
from . import accuracy

MOST_CASES = 256  # from so many tokens on kernels take other blocks
MOST_NUMBERS = 1 << 18  # in such a batch
IGNORED = "the subject declares masked_nan=ignored"


def families(definition: Definition) -> tuple[str, ...]:
    """The family of plain cases, the only one that is poisoned.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    tuple of str
        Its name.
    """
    return hazard_families(definition)[:1]


draw = draw_cases


def poisons(fmt: Format) -> dict[str, float]:
    """What is put into places that must not matter, by name.

    Parameters
    ----------
    fmt
        The format of the numbers.

    Returns
    -------
    dict
        A number for each name.
    """
    return {
        "NaN": np.nan,
        "inf": np.inf,
        "-inf": -np.inf,
        "the largest number": largest(fmt),
        "a huge number": 2.0 ** (fmt.emax // 2),
    }


OVERFLOWING = ("NaN", "inf", "-inf", "the largest number")


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch) -> Verdict:
    """Compare the results of a batch with those of the same batch poisoned, bit by bit."""
    if len(batch.cases) == 1:  # a case of the user: beside itself in a batch
        batch = replace(batch, cases=batch.cases * 2)
    clean = accuracy.call(subject, definition, fmt, batch)
    declared = subject.contract.masked_nan
    observed: dict[str, str] = {}
    checks = 0
    for poisoned in _poisoned(definition, fmt, batch):
        rows = poisoned.rows
        try:
            changed = accuracy.call(subject, definition, fmt, poisoned.batch)
        except SubjectFault as fault:
            failed = _no_result(fault, rows[0], poisoned.told)
            return Verdict(checks + clean[rows].size, 0.0, [failed], observed=observed)
        checks += clean[rows].size
        if poisoned.may_spread and declared is None:
            kept = np.array_equal(_bits(clean[rows]), _bits(changed[rows]))
            observed = last_of([observed, {"masked_nan": "ignored" if kept else "spreads"}])
        if poisoned.may_spread and declared != "ignored":  # NaN is right, too
            changed = np.where(np.isnan(changed.astype(np.float64)), clean, changed)
        if violation := _violation(definition, batch, clean, changed, rows, poisoned.told):
            if poisoned.may_spread and declared == "ignored":
                violation = replace(violation, source=f"{violation.source}; {IGNORED}")
            return Verdict(checks, 0.0, [violation], observed=observed)
    if subject.contract.bitwise_batch == "yes":
        counted, violation = _in_other_batches(subject, definition, fmt, batch, clean)
        checks += counted
        if violation:
            return Verdict(checks, 0.0, [violation], observed=observed)
    counted, violation = _into_a_buffer(subject, definition, fmt, batch, clean)
    return Verdict(checks + counted, 0.0, [violation] if violation else [], observed=observed)


@dataclass(frozen=True)
class Poisoned:
    """A batch with poison, the rows of it whose results that must not change, and where it is.

    ``may_spread``: it stands in entries that a mask drops, and is or becomes NaN or an infinity.
    """

    batch: CaseBatch
    rows: list[int]
    told: str
    may_spread: bool = False


def _poisoned(definition: Definition, fmt: Format, batch: CaseBatch) -> Iterator[Poisoned]:
    """All batches that are to give the same."""
    for name, mask in _masked(definition):
        rows = []
        for i, case in enumerate(batch.cases):
            other = _with_masked(definition, case, name, mask, 0.5)
            if other is not None and _is_the_same(definition, case, other, fmt):
                rows.append(i)
        for poison, number in poisons(fmt).items() if rows else ():
            cases = [_with_masked(definition, case, name, mask, number) for case in batch.cases]
            mixed = tuple(new or old for new, old in zip(cases, batch.cases, strict=True))
            told = f"{poison} in entries of {name} that {mask} drops changes the result"
            yield Poisoned(replace(batch, cases=mixed), rows, told, poison in OVERFLOWING)
    own = [n for n in definition.signature.numbers if not definition.signature.arguments[n].shared]
    for poison, number in poisons(fmt).items() if own else ():
        last = batch.cases[-1]
        values = {name: np.full_like(last.values[name], number) for name in own}
        others = batch.cases[:-1]
        told = f"{poison} in another case of the batch changes the result"
        poisoned = replace(batch, cases=(*others, last.with_values(**values)))
        yield Poisoned(poisoned, [*range(len(others))], told)


def _masked(definition: Definition) -> Iterator[tuple[str, str]]:
    """Arguments of numbers that have all axes of a mask, with that mask."""
    kinds = definition.signature.arguments
    for mask, mask_kind in kinds.items():
        for name, kind in kinds.items():
            is_pair = isinstance(mask_kind, Mask) and isinstance(kind, Numbers)
            if is_pair and not kind.shared and set(mask_kind.axes) <= set(kind.axes):
                yield name, mask


def _with_masked(
    definition: Definition, case: Case, name: str, mask: str, number: float
) -> Case | None:
    """A case with a number in the entries of an argument that a mask drops; None where none is."""
    kinds = definition.signature.arguments
    axes, value = kinds[name].axes, case.values[name]
    dropped = ~case.values[mask]
    if not dropped.any():
        return None
    order = [axis for axis in axes if axis in kinds[mask].axes]
    aligned = np.transpose(dropped, [kinds[mask].axes.index(axis) for axis in order])
    shape = [n if axis in order else 1 for axis, n in zip(axes, value.shape, strict=True)]
    changed = np.where(aligned.reshape(shape), np.asarray(number, dtype=value.dtype), value)
    return case.with_values(**{name: changed.astype(value.dtype)})


def _is_the_same(definition: Definition, case: Case, other: Case, fmt: Format) -> bool:
    """Whether the exact results at two cases are the same: that what differs does not matter.

    Where indices alone are asked for, the scores that they are chosen by have to be the same.
    Balls are asked of both where the fast oracle does not give the same enclosures, bit by bit, as
    it does where what differs does not enter its computation.
    """
    for fast in (True, False):
        try:
            one, two = (
                truth_once(*at_exact_choice(definition, c), fmt, fast=fast) for c in (case, other)
            )
        except OracleError:
            return False
        parts = ((one.wide, two.wide), (one.offset, two.offset), (one.doubt, two.doubt))
        if all(np.array_equal(*pair) for pair in parts):
            return True
    return False


def _in_other_batches(
    subject: LiveSubject,
    definition: Definition,
    fmt: Format,
    batch: CaseBatch,
    clean: NDArray[Any],
) -> tuple[int, Violation | None]:
    """Each case alone, and all in a batch of MOST_CASES, if that is not too large."""
    cases, checks = batch.cases, 0
    numbers = sum(value.size for value in cases[0].values.values())
    batches = [(cases[i : i + 1], [i]) for i in range(len(cases))]
    if MOST_CASES * numbers <= MOST_NUMBERS:
        places = [i % len(cases) for i in range(MOST_CASES)]
        batches.append((tuple(cases[i] for i in places), places))
    for others, places in batches:
        told = f"a batch of {len(others)} in place of {len(cases)} changes the result"
        try:
            found = accuracy.call(subject, definition, fmt, replace(batch, cases=others))
        except SubjectFault as fault:
            return checks, _no_result(fault, places[0], told)
        checks += found.size
        for i, place in enumerate(places):
            # (The rows are aligned, so that a violation is one of the batch that was drawn.)
            changed = clean.copy()
            changed[place] = found[i]
            if violation := _violation(definition, batch, clean, changed, [place], told):
                return checks, replace(violation, only_in_batch=True)
    return checks, None


def _into_a_buffer(
    subject: LiveSubject,
    definition: Definition,
    fmt: Format,
    batch: CaseBatch,
    clean: NDArray[Any],
) -> tuple[int, Violation | None]:
    """The same with a buffer full of NaN for the result, where the subject takes one."""
    shapes = list(output_shapes(definition, batch.cases[0]).values())
    if len(shapes) > 1 or chooses(definition):
        return 0, None
    out = np.full((len(batch.cases), *shapes[0]), np.nan, dtype=fmt.dtype)
    told = "NaN in the buffer out= changes the result"
    try:
        changed = accuracy.call(subject, definition, fmt, batch, out)
    except NotApplicable:
        return 0, None
    except SubjectFault as fault:
        return clean.size, _no_result(fault, 0, told)
    rows = [*range(len(batch.cases))]
    return clean.size, _violation(definition, batch, clean, changed, rows, told)


def _no_result(fault: SubjectFault, row: int, told: str) -> Violation:
    """The violation of a call that gave no result for a poison; it raises where none was made."""
    if isinstance(fault, ProcessDied) and not fault.called:
        raise fault
    poison = told.removesuffix(" changes the result")
    return Violation(row, f"{poison} leaves no result: {fault}", kind=fault.kind)


def _violation(
    definition: Definition,
    batch: CaseBatch,
    clean: NDArray[Any],
    changed: NDArray[Any],
    rows: list[int],
    told: str,
) -> Violation | None:
    """The first result of the rows that has other bits."""
    for row in rows:
        same = _bits(clean[row]) == _bits(changed[row])
        if not same.all():
            k = int(np.argmin(same))
            return Violation(
                row=row,
                message=told,
                detail=f"At {accuracy.place(definition, batch.cases[row], k)}.",
                index=k,
                observed=float(changed[row][k]),
                expected=float(clean[row][k]),
                threshold=0.0,
                source="the result without it, bit by bit",
            )
    return None


def _bits(numbers: NDArray[Any]) -> NDArray[Any]:
    """The bits of numbers; those of NaN count as one."""
    bits = np.ascontiguousarray(numbers).view(f"u{numbers.dtype.itemsize}").copy()
    bits[np.isnan(numbers.astype(np.float64))] = 0
    return bits
