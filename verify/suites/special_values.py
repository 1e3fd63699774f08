"""The suite of special values: masks, infinities, NaN, empty axes, length 1, by contract.

Each case puts one special row between two ordinary rows, which must come out bit for bit as they
do without it.

What a contract declares of a row is held.  Where it declares nothing, ``observe.py`` has found out
which way the subject goes, and a row is held against that: it fails where it goes none of the
legitimate ways, or another one than most rows.
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
from ..subjects.contract import CHOICES, Contract
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, SubjectFault, SubjectRaised
from .thresholds import has_truth, threshold
from .verdicts import Undecided, Verdict, Violation, no_result

CLASSES = 19  # more than one vector of 16, with a tail
# Places on both sides of the ends of vectors and tiles, by the length of the row.
BOUNDARIES = {
    CLASSES: (0, 3, 4, 7, 8, 9, 15, 16, 18),
    67: (31, 32, 63, 64, 66),
    1027: (127, 128, 255, 256, 511, 512, 1023, 1024, 1026),
    4097: (2047, 2048, 4095, 4096),
}

TWO_WAYS = "two ways at once"
ROUNDINGS = 4  # of a value such as 1 / 19 or log(1 / 2), which a contract promises

Row = NDArray[np.float64]


def kind(definition: Definition) -> str:
    """How a definition behaves at infinity, by its declared facts.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    str
        "elementwise", "loss", "probabilities", "log-probabilities" or "shift-equivariant".
    """
    if definition.elementwise:
        return "elementwise"
    if definition.labelled:
        return "loss"
    if any(isinstance(fact, SumsTo) for fact in definition.facts):
        return "probabilities"
    if any(isinstance(fact, ShiftEquivariant) for fact in definition.facts):
        return "shift-equivariant"
    return "log-probabilities"


def specials(definition: Definition) -> Iterator[tuple[str, Row]]:
    """The special rows of a definition with their names.

    Parameters
    ----------
    definition
        The definition.

    Yields
    ------
    tuple
        A name and a row.
    """
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


def axis_of(row: Row) -> str:
    """The axis of a contract that governs a row without an exact value.

    Parameters
    ----------
    row
        The row.

    Returns
    -------
    str
        "nan", "pos_inf" or "all_masked".
    """
    if np.isnan(row).any():
        return "nan"
    return "pos_inf" if np.isposinf(row).any() else "all_masked"


def is_free(definition: Definition, axis: str) -> bool:
    """Whether the definition leaves a choice on an axis of special values.

    Parameters
    ----------
    definition
        The definition.
    axis
        "nan", "pos_inf", "all_masked" or "empty".

    Returns
    -------
    bool
        False where all implementations have to give the same.
    """
    if definition.elementwise:
        return False
    if axis == "nan":
        return definition.output is Output.VECTOR
    if axis == "empty":
        return not definition.labelled  # a loss has no label to point at
    return kind(definition) != "shift-equivariant"


def promise(
    definition: Definition, contract: Contract, row: Row, label: int | None
) -> Promise | None:
    """What the contract demands of the result of a row that has no exact value.

    (Log-sum-exp has limits at infinities, whatever the contract. Of a loss, a contract says nothing
    about zeros in a masked row, nor about a label at +inf.)

    Parameters
    ----------
    definition
        The definition.
    contract
        What the subject promises.
    row
        The row.
    label
        The right class, where there is one.

    Returns
    -------
    Promise or None
        The values that are promised, and where; None where the contract says nothing.
    """
    which = kind(definition)
    if which == "elementwise":
        return Promise(np.full(len(row), np.nan), np.isnan(row))
    size = len(row)
    shape = (size,) if definition.output is Output.VECTOR else ()
    nan = np.full(shape, np.nan)

    if np.isnan(row).any():
        if contract.nan is None and definition.output is Output.VECTOR:
            return None
        at_its_place = contract.nan == "at" and definition.output is Output.VECTOR
        return Promise(nan, np.isnan(row) if at_its_place else True)

    at = np.isposinf(row)
    if which == "shift-equivariant":
        return Promise(np.array(np.inf if at.any() else -np.inf))
    if not at.any():
        all_masked = {
            "probabilities": {
                "nan": nan,
                "zero": np.zeros(shape),
                "uniform": np.full(shape, 1 / size),
            },
            "log-probabilities": {"nan": nan, "zero": np.full(shape, -np.inf)},
            "loss": {"nan": nan},
        }[which].get(contract.all_masked or "")
        return None if all_masked is None else Promise(all_masked)

    if contract.pos_inf is None or (which == "loss" and at[label]):
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
        "loss": {"nan_all": nan, "nan_at": np.array(np.inf), "mass": np.array(np.inf)},
    }
    return Promise(values[which][contract.pos_inf])


def legitimate(definition: Definition, row: Row, label: int | None) -> dict[str, list[Row]]:
    """The results that each way of the governing axis may give a row.

    (Stricter than what may be declared: NaN that is at its place is nowhere else, and a loss of a
    masked row is NaN, that of no probability, 0 or infinite, or that of a uniform distribution.)

    Parameters
    ----------
    definition
        The definition.
    row
        A row without an exact value.
    label
        The right class, where there is one.

    Returns
    -------
    dict of list
        Results by way; empty where all are free.
    """
    axis = axis_of(row)
    if kind(definition) == "loss" and axis == "all_masked":
        uniform = np.array(np.log(len(row)))
        nan, zero, infinite = (np.array(v) for v in (np.nan, 0.0, np.inf))
        return {"nan": [nan], "zero": [zero, infinite], "uniform": [uniform]}
    ways = {}
    for way in CHOICES[axis]:
        declared = Contract().with_settings([f"{axis}={way}"])
        told = promise(definition, declared, row, label)
        if told is not None:
            ways[way] = [told.values]
    if kind(definition) == "log-probabilities" and axis == "all_masked":
        ways["uniform"] = [np.full(len(row), -np.log(len(row)))]
    return ways


def ways_of(
    definition: Definition, fmt: Format, row: Row, label: int | None, value: Row
) -> set[str] | None:
    """The ways of the governing axis that a result may come from.

    Parameters
    ----------
    definition
        The definition.
    fmt
        The format of the result.
    row
        A row without an exact value.
    label
        The right class, where there is one.
    value
        The result.

    Returns
    -------
    set of str or None
        None where all ways are free.
    """
    if axis_of(row) == "nan" and definition.output is Output.VECTOR:
        if np.isnan(value).all():
            return {"row", "at"} if np.isnan(row).all() else {"row"}
        return {"at"} if np.array_equal(np.isnan(value), np.isnan(row)) else set()
    allowed = legitimate(definition, row, label)
    if not allowed:
        return None
    return {
        way
        for way, results in allowed.items()
        if any(_agrees(fmt, value, expected).all() for expected in results)
    }


def _agrees(fmt: Format, value: Row, expected: Row) -> NDArray[np.bool_]:
    """Where a result is what it should be, as 1 / 19 or log(1 / 2) with a few roundings."""
    with np.errstate(invalid="ignore"):
        close = np.abs(value - expected) <= ROUNDINGS * float(fmt.unit_roundoff) * np.abs(expected)
    close &= np.isfinite(value) & np.isfinite(expected)  # (an infinity allows infinite errors)
    same = (value == expected) | (np.isnan(value) & np.isnan(expected))
    return np.atleast_1d(close | same)


def named(definition: Definition, row: Row) -> str:
    """What is special about a row, in a word or two that stay when the row is made smaller.

    Parameters
    ----------
    definition
        The definition.
    row
        The row.

    Returns
    -------
    str
        Such as "NaN in a row" or "all masked".
    """
    words = [w for w, found in (("NaN", np.isnan), ("+inf", np.isposinf)) if found(row).any()]
    if definition.elementwise:
        words += ["-inf"] if np.isneginf(row).any() else []
        return f"argument {' and '.join(words)}"
    if words:
        return f"{' and '.join(words)} in a row"
    if np.isneginf(row).all():
        return "all masked"
    return "one class" if len(row) == 1 else "masked classes"


def check(subject: LiveSubject, definition: Definition, fmt: Format) -> list[tuple[Batch, Verdict]]:
    """All special rows, and the empty axis; each with the batch that shows it."""
    found = []
    for name, values in specials(definition):
        if not fmt.has_infinities and np.isinf(values).any():
            continue
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


def between_ordinary_rows(batch: Batch) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """Put a row between two ordinary ones.

    Parameters
    ----------
    batch
        A batch of the one row.

    Returns
    -------
    tuple
        The three rows, and the label of the row for all three, or None.
    """
    row = batch.logits[0]
    ordinary = np.linspace(-1, 1, len(row)).astype(row.dtype)
    labels = None if batch.labels is None else np.repeat(batch.labels[:1], 3)
    return np.stack([ordinary, row, ordinary[::-1]]), labels


def _check_special(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch
) -> Verdict:
    """One row, between two ordinary rows."""
    row = batch.logits[0]
    wide = row.astype(np.float64)
    stack, labels = between_ordinary_rows(batch)
    message = f"special value: {named(definition, wide)}"

    plain = stack.copy()
    plain[1] = plain[0]
    try:
        observed = subject(stack.copy(), labels)
        undisturbed = subject(plain, labels)
    except SubjectFault as fault:
        return no_result(fault, message)
    violations = []
    if not all(observed.equals(undisturbed, i) for i in (0, 2)):
        violations.append(
            Violation(0, f"{message}: a special row changes the results of other rows")
        )
    value = np.asarray(observed.value[1].astype(np.float64))
    violation = (
        _beyond_its_bound(subject, definition, fmt, batch, value)
        if has_truth(definition, row)
        else _against_the_contract(subject, definition, fmt, batch, value)
    )
    if violation is not None:
        why = f": {violation.message}" if violation.message else ""
        violations.append(replace(violation, message=message + why))
    return Verdict(1, 0.0, violations)


def _beyond_its_bound(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch, value: Row
) -> Violation | None:
    """The first result of a row that has an exact value which is not within its error bound."""
    label = None if batch.labels is None else int(batch.labels[0])
    exact = truth(definition, batch.logits[0], fmt, label=label)
    limit, source = threshold(definition, subject.contract, fmt, batch, 0, exact)
    expected = exact.wide
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite result: limit 0
        allowed = limit * np.ldexp(1.0, exact.ulp_exponent)
        good = np.abs(value - expected) <= allowed
    good &= np.isfinite(value) & np.isfinite(expected)  # (an infinity allows infinite errors)
    good |= (value == expected) | (np.isnan(value) & np.isnan(expected))
    return _first(np.atleast_1d(good), value, expected, source)


def _against_the_contract(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch, value: Row
) -> Violation | None:
    """What a row without an exact value has in place of what is declared, or observed of most."""
    row = batch.logits[0].astype(np.float64)
    label = None if batch.labels is None else int(batch.labels[0])
    axis = axis_of(row)
    declared = axis in subject.declared
    if declared or not is_free(definition, axis):
        promised = promise(definition, subject.contract, row, label)
        if promised is None:
            return None
        good = _agrees(fmt, value, promised.values) | ~np.asarray(promised.where)
        source = f"contract: {subject.contract}" if declared else "the limit"
        return _first(good, value, promised.values, source)
    found = ways_of(definition, fmt, row, label, value)
    way = getattr(subject.contract, axis)
    if found is None or way in found or (way is None and found):
        return None
    allowed = legitimate(definition, row, label)
    expected = allowed.get(way or CHOICES[axis][0], next(iter(allowed.values())))[0]
    good = _agrees(fmt, value, expected)
    if axis == "nan" and way == "at":  # elsewhere it may be any number
        good = np.atleast_1d(np.isnan(value) == np.isnan(row))
    if not found:
        told = f"none of the ways {', '.join(allowed)}"
        return _first(good, value, expected, "what may be declared", told)
    told = f"{TWO_WAYS}, {axis}={min(found, key=CHOICES[axis].index)} here"
    source = f"observed: {axis}={way} of other rows"
    return _first(good, value, expected, source, told)


def _first(
    good: NDArray[np.bool_], value: Row, expected: Row, source: str, message: str = ""
) -> Violation | None:
    """The first result that is not good; None where all are."""
    if good.all():
        return None
    k = int(np.flatnonzero(~good)[0])
    return Violation(
        row=0,
        message=message,
        index=k,
        observed=float(np.atleast_1d(value)[k]),
        expected=float(np.atleast_1d(expected)[k]),
        source=source,
    )


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
    if "empty" in subject.declared and (value is None) != (subject.contract.empty == "error"):
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
