"""The suite of special values: masks, infinities, NaN, empty axes, length 1, by contract.

Each case puts one special row between two ordinary rows, which must come out bit for bit as they
do without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition, Output
from ...derivations.proofs.facts import ShiftEquivariant, SumsTo
from ..inputs.families import Batch
from ..oracle.truth import OracleError, truth
from ..subjects.contract import Contract
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, SubjectFault, SubjectRaised
from .verdicts import Undecided, Verdict, Violation, has_truth, no_result, threshold

CLASSES = 19  # more than one vector of 16, with a tail
# Places on both sides of the ends of vectors and tiles, by the length of the row.
BOUNDARIES = {
    CLASSES: (0, 3, 4, 7, 8, 9, 15, 16, 18),
    67: (31, 32, 63, 64, 66),
    1027: (127, 128, 255, 256, 511, 512, 1023, 1024, 1026),
    4097: (2047, 2048, 4095, 4096),
}

Row = NDArray[np.float64]


def kind(definition: Definition) -> str:
    """How a definition behaves at infinity, told from its declared facts."""
    if definition.elementwise:
        return "elementwise"
    if definition.labelled:
        return "loss"
    if any(isinstance(fact, SumsTo) for fact in definition.facts):
        return "probabilities"
    if any(isinstance(fact, ShiftEquivariant) for fact in definition.facts):
        return "logsumexp"
    return "log-probabilities"


def specials(definition: Definition) -> Iterator[tuple[str, Row]]:
    """The special rows of a definition, by name."""
    if definition.elementwise:
        for name, value in (("-inf", -np.inf), ("+inf", np.inf), ("NaN", np.nan)):
            yield f"argument {name}", np.array([value, 1.0])
        return

    def place(*entries: tuple[int, float], classes: int = CLASSES) -> Row:
        row = np.linspace(-2, 2, classes)
        for index, value in entries:
            row[index] = value
        return row

    yield "one class", np.array([-3.5])
    yield "one masked class", place((3, -np.inf))
    yield "masked first vector", place(*((i, -np.inf) for i in range(16)))
    for classes, positions in BOUNDARIES.items():
        for position in positions:
            yield f"NaN at {position} of {classes}", place((position, np.nan), classes=classes)
            yield f"+inf at {position} of {classes}", place((position, np.inf), classes=classes)
    yield "all masked", np.full(CLASSES, -np.inf)
    yield "one +inf", place((5, np.inf))
    yield "two +inf", place((5, np.inf), (17, np.inf))
    yield "+inf and -inf", place((5, np.inf), (2, -np.inf))


@dataclass(frozen=True)
class Promise:
    """The values that a row must give; ``where`` limits the promise to some outputs."""

    values: Row
    where: NDArray[np.bool_] | bool = True


def promise(
    definition: Definition, contract: Contract, row: Row, label: int | None
) -> Promise | None:
    """What the contract makes of a row that has no exact value; None where it says nothing.

    (Log-sum-exp has limits at infinities, whatever the contract.  Of a loss, a contract says
    nothing about zeros in a masked row, nor about a label at +inf.)
    """
    which = kind(definition)
    if which == "elementwise":
        return Promise(np.full(len(row), np.nan), np.isnan(row))
    size = len(row)
    shape = (size,) if definition.output is Output.VECTOR else ()
    nan = np.full(shape, np.nan)

    if np.isnan(row).any():
        at_its_place = contract.nan == "at" and definition.output is Output.VECTOR
        return Promise(nan, np.isnan(row) if at_its_place else True)

    at = np.isposinf(row)
    if not at.any():
        all_masked = {
            "probabilities": {
                "nan": nan,
                "zero": np.zeros(shape),
                "uniform": np.full(shape, 1 / size),
            },
            "log-probabilities": {"nan": nan, "zero": np.full(shape, -np.inf)},
            "logsumexp": dict.fromkeys(("nan", "zero", "uniform"), np.array(-np.inf)),
            "loss": {"nan": nan},
        }[which].get(contract.all_masked)
        return None if all_masked is None else Promise(all_masked)

    if which == "loss" and at[label]:
        return None
    share = 1 / at.sum()
    values = {
        "probabilities": {
            "nan_all": nan,
            "nan_at": np.where(at, np.nan, 0.0),
            "mass": np.where(at, share, 0.0),
        },
        "log-probabilities": {
            "nan_all": nan,
            "nan_at": np.where(at, np.nan, -np.inf),
            "mass": np.where(at, np.log(share), -np.inf),
        },
        "logsumexp": dict.fromkeys(("nan_all", "nan_at", "mass"), np.array(np.inf)),
        "loss": {"nan_all": nan, "nan_at": np.array(np.inf), "mass": np.array(np.inf)},
    }
    return Promise(values[which][contract.pos_inf])


def check(subject: LiveSubject, definition: Definition, fmt: Format) -> list[tuple[Batch, Verdict]]:
    """All special rows, and the empty axis; each with the batch that shows it."""
    found = []
    for name, values in specials(definition):
        labels = np.zeros(1, dtype=np.int64) if definition.labelled else None
        batch = Batch(name, values[None, :].astype(fmt.dtype), labels)
        try:
            found.append((batch, _check_special(subject, definition, fmt, batch)))
        except NotApplicable:
            continue
        except OracleError as error:
            found.append((batch, Verdict(0, 0.0, [], undecided=(Undecided(0, str(error)),))))
    if not definition.elementwise:
        found.append(_check_empty(subject, definition, fmt))
    return found


def check_rows(subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Given rows that hold special values, or one class; nothing of others."""
    checks, violations = 0, []
    for i, row in enumerate(batch.logits):
        if len(row) == 1 or not np.isfinite(row.astype(np.float64)).all():
            verdict = _check_special(subject, definition, fmt, batch.row(i))
            checks += verdict.checks
            violations += [replace(v, row=i) for v in verdict.violations]
    return Verdict(checks, 0.0, violations)


def _check_special(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch
) -> Verdict:
    """One row, between two ordinary rows."""
    row = batch.logits[0]
    ordinary = np.linspace(-1, 1, len(row)).astype(fmt.dtype)
    stack = np.stack([ordinary, row, ordinary[::-1]])
    label = None if batch.labels is None else int(batch.labels[0])
    labels = None if label is None else np.full(3, label)
    family = f"special value: {batch.family}"

    plain = stack.copy()
    plain[1] = plain[0]
    try:
        observed = subject(stack.copy(), labels)
        undisturbed = subject(plain, labels)
    except SubjectFault as fault:
        return no_result(fault, family)
    violations = []
    if not all(observed.equals(undisturbed, i) for i in (0, 2)):
        violations.append(
            Violation(0, f"{family}: a special row changes the results of other rows")
        )
    value = observed.value[1].astype(np.float64)
    where: NDArray[np.bool_] | bool = True
    if has_truth(definition, row):
        exact = truth(definition, row, fmt, label=label)
        limit, source = threshold(definition, subject.contract, fmt, batch, 0, exact)
        expected = exact.rounded.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # an infinite result: limit 0
            allowed = limit * np.ldexp(1.0, exact.ulp_exponent)
    else:
        source = f"contract: {subject.contract}"
        promised = promise(definition, subject.contract, row.astype(np.float64), label)
        if promised is None:
            return Verdict(1, 0.0, violations)
        expected, where = promised.values, promised.where
        # A value such as 1 / 19 or log(1 / 2): rounded, and computed with a few roundings.
        allowed = 4 * float(fmt.unit_roundoff) * np.abs(expected)
    with np.errstate(invalid="ignore"):
        close = np.abs(value - expected) <= allowed
    close &= np.isfinite(value) & np.isfinite(expected)  # (an infinity allows infinite errors)
    same = (value == expected) | (np.isnan(value) & np.isnan(expected))
    good = np.atleast_1d(close | same | ~np.asarray(where))
    if not good.all():
        k = int(np.flatnonzero(~good)[0])
        violations.append(
            Violation(
                row=0,
                message=family,
                index=k,
                observed=float(np.atleast_1d(value)[k]),
                expected=float(np.atleast_1d(expected)[k]),
                source=source,
            )
        )
    return Verdict(1, 0.0, violations)


def _check_empty(
    subject: LiveSubject, definition: Definition, fmt: Format
) -> tuple[Batch, Verdict]:
    """A batch of two rows without classes, and of no rows; a loss has no label to point at."""
    batch = Batch("special value: empty axis", np.empty((1, 0), fmt.dtype), None)
    if definition.labelled:
        return batch, Verdict(0, 0.0, [])
    try:
        value: NDArray[Any] | None = subject(np.empty((2, 0), fmt.dtype), None).value
        told = ""
    except SubjectRaised as raised:  # the contract says whether an exception is right
        value, told = None, f"{raised}; "
    except SubjectFault as fault:
        return batch, no_result(fault, "empty axis")
    violations = []
    if (value is None) != (subject.contract.empty == "error"):
        did, other = ("raised", "error") if value is None else ("returned", "empty")
        violations.append(
            Violation(
                0,
                f"empty axis: {did}",
                detail=f"{told}where that is meant, declare it: --contract empty={other}",
                source=f"contract: {subject.contract}",
            )
        )
    elif value is not None and not np.all(np.isneginf(value)):
        violations.append(Violation(0, f"empty axis: {value}, expected -inf, the log of 0"))
    return batch, Verdict(1, 0.0, violations)
