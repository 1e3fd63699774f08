"""The suite of special values: masks, infinities, NaN, empty axes, length 1, by contract.

Each case puts one special row between two ordinary rows, which must come out bit for bit as they
do without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.definition import Definition, Output
from ...derivations.facts import ShiftEquivariant, SumsTo
from ...derivations.formats import BINARY64, Format
from ..contract import Contract
from ..inputs import Batch
from ..oracle import truth
from ..subjects import Subject, SubjectRaised
from .judge import Verdict, Violation, threshold

CLASSES = 19  # more than one vector of 16, with a tail

Row = NDArray[np.float64]


@dataclass(frozen=True)
class Special:
    """A special row and the values it must give; None: those nearest to the truth.

    ``where`` limits what is promised to some outputs.
    """

    name: str
    row: Row
    expected: Row | None
    where: NDArray[np.bool_] | bool = True


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


def specials(definition: Definition, contract: Contract) -> Iterator[Special]:
    """The special rows of a definition, with what the contract makes of them.

    A partial mask and a row of one class have a true value.  Log-sum-exp has true limits
    everywhere.  Where a contract says nothing of a loss (zeros in a masked row), no case is made.
    """
    ordinary = np.linspace(-2, 2, CLASSES)
    which = kind(definition)
    if which == "elementwise":
        limits = np.array([-np.inf, 0.0, np.inf, 1.0])
        yield Special("infinite arguments", limits, None)
        yield Special("NaN argument", np.array([np.nan, 1.0]), _truth_at(definition, [np.nan, 1.0]))
        return

    def place(*entries: tuple[int, float]) -> Row:
        row = ordinary.copy()
        for index, value in entries:
            row[index] = value
        return row

    shape = (CLASSES,) if definition.output is Output.VECTOR else ()
    nan = np.full(shape, np.nan)

    yield Special("one class", np.array([-3.5]), None)
    yield Special("one masked class", place((3, -np.inf)), None)
    yield Special("masked first vector", place(*((i, -np.inf) for i in range(16))), None)
    for position in (0, CLASSES // 2, CLASSES - 1):
        row = place((position, np.nan))
        at_its_place = contract.nan == "at" and definition.output is Output.VECTOR
        yield Special(f"NaN at {position}", row, nan, np.isnan(row) if at_its_place else True)

    masked = np.full(CLASSES, -np.inf)
    all_masked = {
        "probabilities": {
            "nan": nan,
            "zero": np.zeros(shape),
            "uniform": np.full(shape, 1 / CLASSES),
        },
        "log-probabilities": {"nan": nan, "zero": np.full(shape, -np.inf)},
        "logsumexp": dict.fromkeys(("nan", "zero", "uniform"), np.array(-np.inf)),
        "loss": {"nan": nan},
    }[which].get(contract.all_masked)
    if all_masked is not None:
        yield Special("all masked", masked, all_masked)

    for name, row in (
        ("one +inf", place((5, np.inf))),
        ("two +inf", place((5, np.inf), (17, np.inf))),
        ("+inf and -inf", place((5, np.inf), (2, -np.inf))),
    ):
        at = np.isposinf(row)
        share = 1 / at.sum()
        expected = {
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
        }[which][contract.pos_inf]
        yield Special(name, row, expected)


def _truth_at(definition: Definition, row: list[float]) -> Row:
    finite = [v for v in row if not np.isnan(v)]
    values = truth(definition, np.array(finite), BINARY64).rounded
    result = np.full(len(row), np.nan)
    result[[not np.isnan(v) for v in row]] = values
    return result


def check(subject: Subject, definition: Definition, fmt: Format) -> list[tuple[Batch, Verdict]]:
    """All special rows, and the empty axis; each with the batch that shows it."""
    found = []
    for special in specials(definition, subject.contract):
        found.append(_check_special(subject, definition, fmt, special))
    if not definition.elementwise:
        found.append(_check_empty(subject, definition, fmt))
    return found


def check_row(subject: Subject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """The special row that equals the given one, for a reproduction from the command line."""
    row = batch.logits[0].astype(np.float64)
    for special in specials(definition, subject.contract):
        if np.array_equal(special.row.astype(fmt.dtype).astype(np.float64), row, equal_nan=True):
            return _check_special(subject, definition, fmt, special)[1]
    return Verdict(0, 0.0, [])


def _check_special(
    subject: Subject, definition: Definition, fmt: Format, special: Special
) -> tuple[Batch, Verdict]:
    ordinary = np.linspace(-1, 1, len(special.row))
    stack = np.stack([ordinary, special.row, ordinary[::-1]]).astype(fmt.dtype)
    labels = np.zeros(3, dtype=np.int64) if definition.labelled else None
    batch = Batch(special.name, stack[1:2], None if labels is None else labels[:1])
    family = f"special value: {special.name}"

    observed = subject(stack.copy(), labels)
    plain = stack.copy()
    plain[1] = plain[0]
    undisturbed = subject(plain, labels)
    violations = []
    for i in (0, 2):
        if not np.array_equal(observed.value[i], undisturbed.value[i], equal_nan=True):
            violations.append(
                Violation(0, f"{family}: a special row changes the results of other rows")
            )
    value = observed.value[1].astype(np.float64)
    if special.expected is None:
        exact = truth(definition, batch.logits[0], fmt, label=0 if definition.labelled else None)
        limit, source = threshold(definition, subject.contract, fmt, batch, 0, exact)
        expected = exact.rounded.astype(np.float64)
        allowed = limit * np.ldexp(1.0, exact.ulp_exponent)
    else:
        source = f"contract: {subject.contract}"
        expected = special.expected
        # A value such as 1 / 19 or log(1 / 2): rounded, and computed with a few roundings.
        allowed = 4 * float(fmt.unit_roundoff) * np.abs(expected)
    with np.errstate(invalid="ignore"):
        close = np.abs(value - expected) <= allowed
    same = (value == expected) | (np.isnan(value) & np.isnan(expected))
    good = np.atleast_1d(close | same | ~np.asarray(special.where))
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
    return batch, Verdict(1, 0.0, violations)


def _check_empty(subject: Subject, definition: Definition, fmt: Format) -> tuple[Batch, Verdict]:
    """A batch of two rows without classes, and of no rows; a loss has no label to point at."""
    batch = Batch("special value: empty axis", np.empty((1, 0), fmt.dtype), None)
    if definition.labelled:
        return batch, Verdict(0, 0.0, [])
    shape = (2, 0) if definition.output is Output.VECTOR else (2,)
    try:
        value: NDArray[Any] | None = subject(np.empty((2, 0), fmt.dtype), None).value
    except SubjectRaised:  # the contract says whether an exception is right
        value = None
    violations = []
    if (value is None) != (subject.contract.empty == "error"):
        did = "raised" if value is None else "returned"
        violations.append(
            Violation(0, f"empty axis: {did}", source=f"contract: {subject.contract}")
        )
    elif value is not None and (value.shape != shape or not np.all(np.isneginf(value))):
        violations.append(
            Violation(0, f"empty axis: shape {value.shape}, expected {shape}; log of 0 is -inf")
        )
    return batch, Verdict(1, 0.0, violations)
