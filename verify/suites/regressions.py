"""The suite of regression cases: every bug on record, asked of a subject."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format, exact
from ...derivations.definition import Definition
from ..inputs.families import Batch
from ..oracle.metrics import ulp_error
from ..oracle.truth import Truth
from ..register.case_probe import CaseProbe
from ..register.record import Case, load
from ..register.row_probe import RowProbe
from ..subjects.contract import Contract
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, Outcome, ProcessDied, SubjectFault, SubjectRaised
from .special_values import axis_of, promise
from .verdicts import Verdict, Violation, compare, no_result

CONTRACT_ROUNDINGS = 4  # of 1 / K or its logarithm, which a contract promises

FAR_ROWS = 3  # the second starts beyond 2^31 elements, the third beyond 2^32


def is_promised(probe: RowProbe | CaseProbe, contract: Contract) -> bool:
    """Whether a subject that fails a probe breaks its word; else the probe shows how it is made.

    Parameters
    ----------
    probe
        The probe.
    contract
        What the subject promises.

    Returns
    -------
    bool
        False for bitwise equality that is not promised.
    """
    return probe.property != "bitwise" or contract.bitwise_batch == "yes"


@dataclass(frozen=True)
class Call:
    """What a subject is called with."""

    logits: NDArray[Any]
    labels: NDArray[np.int64] | None
    options: dict[str, Any]
    axis: int = -1
    layout: str = "contiguous"

    def of(self, subject: LiveSubject) -> Outcome:
        """The outcome of the call of a subject; raises what the subject raises."""
        return subject(
            self.logits,
            self.labels,
            axis=self.axis,
            layout=self.layout,
            options=self.options,
        )


@dataclass(frozen=True)
class Answer:
    """What a probe found: the row, the call that shows it, and where in its result to look."""

    batch: Batch
    verdict: Verdict
    call: Call
    place: tuple[int, ...] = ()
    in_gradient: bool = False


def check_own(
    subject: LiveSubject, definition: Definition, fmt: Format
) -> list[tuple[Batch, Verdict]]:
    """Every probe of rows, of every case, that fits the definition and the format."""
    found = []
    for case in load():
        for probe in case.probes:
            if not isinstance(probe, RowProbe):
                continue
            for answer in ask(case, probe, subject, fmt):
                verdict = answer.verdict
                if not is_promised(probe, subject.subject.contract):
                    verdict = dataclasses.replace(verdict, violations=[])
                found.append((answer.batch, verdict))
    return found


def ask(case: Case, probe: RowProbe, subject: LiveSubject, fmt: Format) -> Iterator[Answer]:
    """Ask a subject what a probe asks.

    Parameters
    ----------
    case
        The regression case.
    probe
        One of its probes.
    subject
        The subject.
    fmt
        The format.

    Yields
    ------
    Answer
        One for each length of the row; nothing where the subject cannot be asked.
    """
    if probe.definition != subject.definition.name or fmt.name not in probe.dtypes:
        return
    labels = None if probe.label is None else np.array([probe.label])
    for row in probe.rows(fmt):
        batch = Batch(f"regression: {case.id}", row[None, :], labels)
        answer = _answer(probe, subject, fmt, batch)
        if answer is None:
            return
        yield dataclasses.replace(answer, verdict=_telling_how(answer))
        if any(v.kind in DEADLY for v in answer.verdict.violations):
            return  # the other lengths would each cost a new process, or a time limit


def _telling_how(answer: Answer) -> Verdict:
    """The verdict, whose violations tell what the call had besides the row and the label."""
    call = answer.call
    parts = [f"{name}={_first_row(value)}" for name, value in call.options.items()]
    parts += [f"axis={call.axis}"] if call.axis != -1 else []
    parts += [f"layout {call.layout}"] if call.layout != "contiguous" else []
    if not parts:
        return answer.verdict
    how = f"called with {', '.join(parts)}"
    violations = [
        dataclasses.replace(v, detail="; ".join(filter(None, [v.detail, how])))
        for v in answer.verdict.violations
    ]
    return dataclasses.replace(answer.verdict, violations=violations)


def _first_row(value: Any) -> str:
    """An option's value for one row; of a long one only where it is not 0."""
    if not isinstance(value, np.ndarray):
        return str(value)
    row = value[-1].astype(np.float64 if value.dtype.kind != "b" else bool)
    if row.size <= 8:
        return str(row.tolist())
    return f"{{{', '.join(f'{k}: {row[k]}' for k in np.flatnonzero(row)[:8])}}}"


DEADLY = {death.kind for death in ProcessDied.__subclasses__()}


def _answer(probe: RowProbe, subject: LiveSubject, fmt: Format, batch: Batch) -> Answer | None:
    try:
        return ANSWERS[probe.property](probe, subject, fmt, batch)
    except NotApplicable:
        return None
    except SubjectFault as fault:
        return Answer(batch, no_result(fault, batch.family), _call(probe, fmt, batch, 1))


def _call(probe: RowProbe, fmt: Format, batch: Batch, rows: int) -> Call:
    """The row, so many times."""
    labels = None if batch.labels is None else np.repeat(batch.labels, rows)
    logits = np.repeat(batch.logits, rows, axis=0)
    options = probe.keywords(fmt, rows)
    if probe.columns:
        return Call(np.ascontiguousarray(logits.T), labels, options, 0, probe.layout)
    return Call(logits, labels, options, layout=probe.layout)


def _numbers(probe: RowProbe, subject: LiveSubject, fmt: Format, batch: Batch) -> Answer:
    """A value or a gradient, held against the contract, the record or the oracle."""
    in_gradient = probe.property == "gradient"
    copies = probe.columns or (FAR_ROWS if probe.layout == "far" else 1)
    call = _call(probe, fmt, batch, copies)
    weights = call.options.get("cotangent")
    if weights is not None and weights.ndim == 1:  # the row in company: a weight for each row
        call = _call(probe, fmt, batch, 2)
        call.options["cotangent"][0] = 1
    outcome = call.of(subject)
    result = outcome.gradient if in_gradient else outcome.value
    if result is None:
        raise NotApplicable("it returns no gradient")
    rows = result.T if probe.columns else result
    chosen = range(len(rows)) if copies > 1 else range(len(rows) - 1, len(rows))
    verdict = Verdict(0, 0.0, [])
    for i in chosen:
        verdict = _judge(probe, subject, fmt, batch, rows[i])
        if verdict.violations:
            break
    place: tuple[int, ...] = (i,)
    if verdict.violations and rows.ndim > 1:
        k = verdict.violations[0].index or 0
        place = (k, i) if probe.columns else (i, k)
    return Answer(batch, verdict, call, place, in_gradient)


def _judge(
    probe: RowProbe, subject: LiveSubject, fmt: Format, batch: Batch, computed: NDArray[Any]
) -> Verdict:
    if not probe.expected:
        return _by_contract(subject, fmt, batch, computed)
    gradient = probe.property == "gradient"
    if probe.ulps is None:
        found = compare(
            subject.definition, subject.contract, fmt, batch, computed[None], gradient=gradient
        )
        named = [
            dataclasses.replace(v, message=f"{batch.family}: {v.message}") for v in found.violations
        ]
        return dataclasses.replace(found, violations=named)
    expected = probe.expected[fmt.name].array(fmt).reshape(-1)
    return against_record(
        f"{batch.family}: {probe.property}",
        fmt,
        computed,
        expected,
        probe.ulps,
        probe.reason,
        in_gradient=gradient,
    )


def against_record(
    named: str,
    fmt: Format,
    computed: NDArray[Any],
    expected: NDArray[Any],
    ulps: float,
    reason: str,
    *,
    in_gradient: bool = False,
) -> Verdict:
    """Hold results against recorded numbers, which are rounded.

    Parameters
    ----------
    named
        What the numbers are, for the violation.
    fmt
        The format.
    computed
        The results, of any shape.
    expected
        As many recorded numbers, along one axis.
    ulps
        The admissible distance; 0 admits no other number.
    reason
        Why so many.
    in_gradient
        Whether the numbers are those of a gradient.

    Returns
    -------
    Verdict
        With one violation, at the worst number, where one is beyond.
    """
    # (A recorded row may be long, but holds few different numbers.)
    wide = expected.astype(np.float64)
    finite, places = np.unique(np.where(np.isfinite(wide), wide, 0.0), return_inverse=True)
    steps = np.array([fmt.ulp_exponent(exact(v)) for v in finite])[places]
    error = ulp_error(computed.reshape(-1), Truth(expected, steps, np.zeros(len(expected))))
    # (The record is rounded: half an ulp of the distance may be its own.)
    bad = ~(error <= (ulps + 0.5 if ulps else 0.0))
    violations = []
    if bad.any():
        k = int(np.argmax(np.where(bad, error, -1.0)))
        violations.append(
            Violation(
                row=0,
                message=f"{named} is not the recorded one",
                index=k,
                observed=float(computed.reshape(-1)[k]),
                expected=float(expected[k]),
                error=float(error[k]),
                threshold=float(ulps),
                source=f"record: {reason}",
                in_gradient=in_gradient,
            )
        )
    return Verdict(error.size, float(np.max(error)), violations)


def _by_contract(
    subject: LiveSubject, fmt: Format, batch: Batch, computed: NDArray[Any]
) -> Verdict:
    label = None if batch.labels is None else int(batch.labels[0])
    row = batch.logits[0].astype(np.float64)
    promised = promise(subject.definition, subject.contract, row, label)
    if promised is None:
        return Verdict(0, 0.0, [])
    axis = axis_of(row)
    source = f"contract: {subject.contract}"
    if axis not in subject.declared:
        source = f"observed: {axis}={getattr(subject.contract, axis)} of other rows"
    value, expected = np.atleast_1d(computed.astype(np.float64)), np.atleast_1d(promised.values)
    allowed = CONTRACT_ROUNDINGS * float(fmt.unit_roundoff) * np.abs(expected)
    with np.errstate(invalid="ignore"):
        close = np.abs(value - expected) <= allowed
    close &= np.isfinite(value) & np.isfinite(expected)
    same = (value == expected) | (np.isnan(value) & np.isnan(expected))
    bad = np.flatnonzero(~(close | same | ~np.asarray(promised.where)))
    violations = []
    if bad.size:
        k = int(bad[0])
        violations.append(
            Violation(
                row=0,
                message=f"{batch.family}: not what the contract says",
                index=k,
                observed=float(value[k]),
                expected=float(expected[k]),
                source=source,
            )
        )
    return Verdict(value.size, 0.0, violations)


def _others_untouched(probe: RowProbe, subject: LiveSubject, fmt: Format, batch: Batch) -> Answer:
    """The row between two ordinary ones, which must come out as they do without it."""
    call = _call(probe, fmt, batch, 3)
    ordinary = np.linspace(-1, 1, batch.logits.shape[1]).astype(fmt.dtype)
    call.logits[0], call.logits[2] = ordinary, ordinary[::-1]
    plain = dataclasses.replace(call, logits=call.logits.copy())
    plain.logits[1] = ordinary
    found, wanted = call.of(subject), plain.of(subject)
    verdict = Verdict(1, 0.0, [])
    for i in (0, 2):
        if not found.equals(wanted, i):
            return _touched(batch, call, i, found, wanted)
    return Answer(batch, verdict, call)


def _touched(batch: Batch, call: Call, i: int, found: Outcome, wanted: Outcome) -> Answer:
    """The first number of row i that is another one than without the special row."""
    in_gradient = np.array_equal(found.value[i], wanted.value[i], equal_nan=True)
    pair = (found.gradient, wanted.gradient) if in_gradient else (found.value, wanted.value)
    is_there, should_be = (np.atleast_1d(a[i]) for a in pair if a is not None)
    same = (is_there == should_be) | (np.isnan(is_there) & np.isnan(should_be))
    k = int(np.flatnonzero(~same)[0])
    violation = Violation(
        row=0,
        message=f"{batch.family}: the row changes the results of other rows",
        detail=f"row {i} of 3, the special one between ordinary ones",
        index=k,
        observed=float(is_there[k]),
        expected=float(should_be[k]),
        source="the same row without it",
        in_gradient=in_gradient,
    )
    has_classes = in_gradient or found.value.ndim > 1
    place = (i, k) if has_classes else (i,)
    return Answer(batch, Verdict(1, 0.0, [violation]), call, place, in_gradient)


def _bitwise(probe: RowProbe, subject: LiveSubject, fmt: Format, batch: Batch) -> Answer:
    """The row alone, and as every row of batches of several sizes."""
    call = _call(probe, fmt, batch, 1)
    alone = np.asarray(call.of(subject).value[0]).tobytes()
    checks = 0
    for size in probe.batches:
        call = _call(probe, fmt, batch, size)
        value = call.of(subject).value
        others = [i for i in range(size) if np.asarray(value[i]).tobytes() != alone]
        checks += size
        if others:
            violation = Violation(
                row=0,
                message=f"{batch.family}: other bits in a batch than alone",
                detail=f"row {others[0]} of {size} equal rows",
            )
            return Answer(batch, Verdict(checks, 0.0, [violation]), call, (others[0],))
    return Answer(batch, Verdict(checks, 0.0, []), call)


def _raises(probe: RowProbe, subject: LiveSubject, fmt: Format, batch: Batch) -> Answer:
    call = _call(probe, fmt, batch, 1)
    try:
        value = call.of(subject).value
    except SubjectRaised:
        return Answer(batch, Verdict(1, 0.0, []), call)
    violation = Violation(
        row=0,
        message=f"{batch.family}: returned a number where it must raise",
        detail=f"label {probe.label} is none of {batch.logits.shape[1]} classes",
        observed=float(value[0]),
    )
    return Answer(batch, Verdict(1, 0.0, [violation]), call, (0,))


ANSWERS: dict[str, Callable[[RowProbe, LiveSubject, Format, Batch], Answer]] = {
    "value": _numbers,
    "gradient": _numbers,
    "others_untouched": _others_untouched,
    "bitwise": _bitwise,
    "raises": _raises,
}
