"""The suite of parameters: keywords that a subject takes, at ordinary values and at their ends.

A subject is asked for what its signature has: ``scale`` or ``temperature``, ``label_smoothing``,
``ignore_index``, ``class_weights``, ``reduction``, ``cotangent``, and those pairs in which one was
seen to spoil the other.  The numbers are such that a parameter rounds nothing (scales, weights and
cotangents are powers of two), so that the exact result is that of the definition at other logits,
or a multiple of it, and its proven bound holds.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format, exact
from ...derivations.definition import Definition, Output
from ...derivations.error_bounds.bounds import bound
from ...derivations.error_bounds.model import Model
from ..inputs.families import Batch
from ..oracle.metrics import ulp_error
from ..oracle.truth import Truth, truth
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, Outcome, SubjectFault, SubjectRaised
from .of_cases.thresholds import declared_products
from .verdicts import Verdict, Violation, compare, no_result

Case = tuple[Batch, Verdict]
Numbers = NDArray[Any]

IGNORED = -100
ROWS = ([2.0, -3.0], [0.5, -1.0, 2.25, 0.0, 1.0], [-0.5, 12.0, 11.0])
MASKED = [0.5, -np.inf, 2.25, 0.0, 1.0]
SMOOTHINGS = (0.0, 0.125, 0.5, 1.0)
WEIGHTS = (0.5, 2.0, 0.0, 1.0, 0.5)  # of five classes


def applies(definition: Definition, fmt: Format) -> bool:
    """Functions of logits; those of one real have no such parameters."""
    return not definition.elementwise


@dataclass(frozen=True)
class Asked:
    """A subject, asked with parameters, and what is made of its answers."""

    subject: LiveSubject
    definition: Definition
    fmt: Format

    def batch(self, name: str, rows: list[list[float]], labels: list[int] | None = None) -> Batch:
        """Rows as the format has them, with labels where the definition takes some."""
        if not self.definition.labelled:
            labels = None
        elif labels is None:
            labels = [i % len(row) for i, row in enumerate(rows)]
        return Batch(
            f"parameter {name}",
            np.array(rows).astype(self.fmt.dtype),
            None if labels is None else np.array(labels, dtype=np.int64),
        )

    def call(self, batch: Batch, **options: Any) -> Outcome:
        """The outcome; raises what the subject raises."""
        return self.subject(batch.logits, batch.labels, options=options)

    def judge(
        self, batch: Batch, value: Numbers, gradient: Numbers | None, like: Numbers | None = None
    ) -> Verdict:
        """Value and gradient against the definition, at the logits ``like`` where they differ."""
        at = batch if like is None else dataclasses.replace(batch, logits=like)
        contract = self.subject.contract
        found = [compare(self.definition, contract, self.fmt, at, value)]
        if gradient is not None and self.definition.gradient is not None:
            found.append(compare(self.definition, contract, self.fmt, at, gradient, gradient=True))
        return Verdict.merge(found)


def check(subject: LiveSubject, definition: Definition, fmt: Format) -> list[Case]:
    """Every question that the subject's signature lets it be asked."""
    asked = Asked(subject, definition, fmt)
    questions = [_scales(asked), _cotangents(asked)]
    if "label_smoothing" in definition.parameters:  # frameworks give it with weights and reductions
        questions += [
            _smoothings(asked),
            _ignored(asked),
            _weights(asked),
            _reductions(asked),
        ]
    return [case for question in questions for case in _answers(question)]


def _answers(question: Iterator[Case]) -> list[Case]:
    """The cases of a question, as far as the subject takes its keywords."""
    cases = []
    with contextlib.suppress(NotApplicable):
        for case in question:
            cases.append(case)
    return cases


def _told(batch: Batch, options: Mapping[str, Any], verdict: Verdict) -> Case:
    """A case whose violations say what the call had besides the logits."""
    words = ", ".join(f"{k}={_words(v)}" for k, v in options.items())
    violations = [
        dataclasses.replace(
            v,
            message=f"{batch.family}: {v.message.removeprefix(f'{batch.family}: ')}",
            detail="; ".join(filter(None, [v.detail, f"called with {words}"])),
        )
        for v in verdict.violations
    ]
    return batch, dataclasses.replace(verdict, violations=violations)


def _words(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.astype(np.float64).tolist())
    return value.hex() if isinstance(value, float) and not 1e-3 < abs(value) < 1e3 else str(value)


# --- scale and temperature ---


def _scales(asked: Asked) -> Iterator[Case]:
    """Logits that, scaled, are ordinary rows: also those whose differences leave the range."""
    for keyword in ("scale", "temperature"):
        if keyword not in asked.definition.parameters:  # where it is one, it may mean another thing
            yield from _answers(_scaled_by(asked, keyword))


def _scaled_by(asked: Asked, keyword: str) -> Iterator[Case]:
    fmt = asked.fmt
    ends = {2.0 ** (1 - fmt.emax), 2.0 ** -min(fmt.emax - 1, 100), 2.0 ** min(fmt.emax - 4, 100)}
    for scale in (1.0, 0.25, 8.0, *sorted(ends)):
        extreme = scale in ends
        for row in (*ROWS[: 1 if scale < 2.0**-8 else None], *([] if extreme else [MASKED])):
            z = np.array(row)
            batch = asked.batch(keyword, [(z / scale).tolist()])
            options = {keyword: scale if keyword == "scale" else 1 / scale}
            try:
                outcome = asked.call(batch, **options)
            except SubjectRaised as fault:
                if extreme:  # it says that it does not take such a one
                    continue
                yield _told(batch, options, no_result(fault, batch.family))
                continue
            except SubjectFault as fault:
                yield _told(batch, options, no_result(fault, batch.family))
                continue
            gradient = outcome.gradient if not extreme else None
            if gradient is not None:
                gradient = gradient / asked.fmt.dtype.type(scale)
            like = z[None].astype(fmt.dtype)
            yield _told(batch, options, asked.judge(batch, outcome.value, gradient, like))


# --- label smoothing ---


def _smoothings(asked: Asked) -> Iterator[Case]:
    for smoothing in SMOOTHINGS:
        rows = [*ROWS, MASKED] if smoothing == 0 else list(ROWS)
        for row in rows:
            labels = [k for k in range(len(row)) if np.isfinite(row[k])][:3]
            batch = asked.batch("label_smoothing", [row] * len(labels), labels)
            options = {"label_smoothing": smoothing}
            try:
                outcome = asked.call(batch, **options)
            except SubjectFault as fault:
                yield _told(batch, options, no_result(fault, batch.family))
                continue
            yield _told(batch, options, _judge_smoothed(asked, batch, outcome, smoothing))


def _judge_smoothed(
    asked: Asked, batch: Batch, outcome: Outcome, smoothing: float, rows: list[int] | None = None
) -> Verdict:
    """Value and gradient against the truth of the smoothed loss, and its bound."""
    found = []
    for i in range(len(batch.logits)) if rows is None else rows:
        found.append(_smoothed_row(asked, batch, i, outcome.value[i], smoothing, gradient=False))
        if outcome.gradient is not None:
            found.append(
                _smoothed_row(asked, batch, i, outcome.gradient[i], smoothing, gradient=True)
            )
    return Verdict.merge(found)


def _smoothed_row(
    asked: Asked, batch: Batch, i: int, computed: Numbers, smoothing: float, *, gradient: bool
) -> Verdict:
    if smoothing == 0:
        row = batch.row(i)
        return compare(
            asked.definition,
            asked.subject.contract,
            asked.fmt,
            row,
            np.asarray(computed)[None],
            gradient=gradient,
        )
    assert batch.labels is not None
    label = int(batch.labels[i])
    true = truth(
        asked.definition,
        batch.logits[i],
        asked.fmt,
        label=label,
        gradient=gradient,
        cross_check=True,
        label_smoothing=smoothing,
    )
    contract = asked.subject.contract
    model = Model.of(asked.fmt, contract.accumulator, contract.flush_to_zero == "yes")
    absolute = bound(
        asked.definition.name,
        batch.logits[i],
        model,
        label=label,
        gradient=gradient,
        label_smoothing=smoothing,
    )
    assert absolute is not None
    with np.errstate(all="ignore"):
        limit = absolute / np.ldexp(1.0, true.ulp_exponent)
    message = f"{'gradient' if gradient else 'value'} beyond its error bound"
    return _verdict(i, np.asarray(computed), true, limit, message, gradient)


def _verdict(
    i: int,
    computed: Numbers,
    true: Truth,
    limit: NDArray[np.float64],
    message: str,
    gradient: bool,
) -> Verdict:
    error = ulp_error(computed, true)
    bad = np.flatnonzero(~((error <= limit) & np.isfinite(error)))
    violations = []
    if bad.size:
        k = int(bad[np.argmax((error / limit).reshape(-1)[bad])])
        violations.append(
            Violation(
                row=i,
                message=message,
                index=k,
                observed=float(computed.reshape(-1)[k]),
                expected=float(true.rounded.reshape(-1)[k]),
                error=float(error.reshape(-1)[k]),
                threshold=float(np.asarray(limit).reshape(-1)[k]),
                source="proven bound (derivations/error_bounds/bounds.py), with the parameter",
                in_gradient=gradient,
            )
        )
    return Verdict(error.size, float(np.max(error, initial=0.0)), violations)


# --- ignored samples ---


def _ignored(asked: Asked) -> Iterator[Case]:
    """Ignored samples, of ordinary and of extreme logits, between one that counts."""
    top = float(np.ldexp(1.0, asked.fmt.emax))
    batch = asked.batch(
        "ignore_index",
        [[0.0, 0.0], [0.5, -1.0], [top, -top], [-np.inf, 1.0]],
        [IGNORED, 1, IGNORED, IGNORED],
    )
    for smoothing in (None, 0.25):
        options: dict[str, Any] = {"ignore_index": IGNORED}
        if smoothing is not None:
            options["label_smoothing"] = smoothing
        try:
            outcome = asked.call(batch, **options)
        except SubjectFault as fault:
            yield _told(batch, options, no_result(fault, batch.family))
            continue
        verdict = _judge_smoothed(asked, batch, outcome, smoothing or 0.0, [1])
        violations = list(verdict.violations)
        for i in (0, 2, 3):
            violations += _demand_zero(i, outcome, "an ignored sample")
        yield _told(batch, options, dataclasses.replace(verdict, violations=violations))


def _demand_zero(i: int, outcome: Outcome, whose: str) -> list[Violation]:
    """Violations where the loss or gradient of a sample that does not count is not 0."""
    parts = [("loss", outcome.value, False)]
    if outcome.gradient is not None:
        parts.append(("gradient", outcome.gradient, True))
    violations = []
    for what, numbers, in_gradient in parts:
        here = np.atleast_1d(numbers[i]).astype(np.float64)
        if not (here == 0).all():
            k = int(np.flatnonzero(here != 0)[0])
            violations.append(
                Violation(
                    i,
                    f"the {what} of {whose} is not 0",
                    index=k,
                    observed=float(here[k]),
                    expected=0.0,
                    in_gradient=in_gradient,
                )
            )
    return violations


# --- class weights ---


def _weights(asked: Asked) -> Iterator[Case]:
    """Weights that are powers of two: loss and gradient are exact multiples; one of 0 makes 0."""
    rows = [ROWS[1]] * 5
    batch = asked.batch("class_weights", rows, [*range(5)])
    weights = np.array(WEIGHTS).astype(asked.fmt.dtype)
    options = {"class_weights": weights}
    try:
        outcome = asked.call(batch, **options)
    except SubjectFault as fault:
        yield _told(batch, options, no_result(fault, batch.family))
        return
    found, zeros = [], []
    for i, weight in enumerate(weights):
        if weight == 0:
            zeros += _demand_zero(i, outcome, "a sample of weight 0")
            continue
        gradient = None if outcome.gradient is None else outcome.gradient[i : i + 1] / weight
        verdict = asked.judge(batch.row(i), outcome.value[i : i + 1] / weight, gradient)
        found.append(_at_row(i, verdict))
    verdict = Verdict.merge(found)
    yield _told(batch, options, dataclasses.replace(verdict, violations=verdict.violations + zeros))


def _at_row(i: int, verdict: Verdict) -> Verdict:
    moved = [dataclasses.replace(v, row=i) for v in verdict.violations]
    return dataclasses.replace(verdict, violations=moved)


# --- reductions ---


def _reductions(asked: Asked) -> Iterator[Case]:
    """Sum and mean of four samples, of four with an ignored one among them, and of weighted ones.

    The mean divides by the sum of the weights of the samples that count, which is a power of two.
    """
    rows = [ROWS[1]] * 4
    plain = asked.batch("reduction", rows, [0, 1, 2, 3])
    with_ignored = asked.batch("reduction", [*rows, ROWS[1]], [0, 1, 2, 3, IGNORED])
    with_weights = asked.batch("reduction", rows, [0, 2, 3, 4])
    weights = np.array(WEIGHTS).astype(asked.fmt.dtype)
    others: list[tuple[Batch, dict[str, Any]]] = [
        (with_ignored, {"ignore_index": IGNORED}),
        (with_weights, {"class_weights": weights}),
    ]
    for reduction in ("sum", "mean"):
        yield _reduced(asked, plain, {"reduction": reduction})
        for batch, further in others:
            with contextlib.suppress(NotApplicable):
                yield _reduced(asked, batch, {"reduction": reduction, **further})


def _reduced(asked: Asked, batch: Batch, options: dict[str, Any]) -> Case:
    try:
        outcome = asked.call(batch, **options)
    except SubjectFault as fault:
        return _told(batch, options, no_result(fault, batch.family))
    assert batch.labels is not None
    reduction, labels = options["reduction"], batch.labels[:4].tolist()
    of_class = WEIGHTS if "class_weights" in options else (1.0,) * len(WEIGHTS)
    weights = [of_class[label] for label in labels]
    count = int(sum(weights)) if reduction == "mean" else 1
    total, allowed = Fraction(0), Fraction(0)
    u = Fraction(asked.fmt.unit_roundoff)
    model = Model.of(asked.fmt, asked.subject.contract.accumulator)
    for logits, label, weight in zip(batch.logits, labels, weights, strict=False):
        true = truth(asked.definition, logits, asked.fmt, label=label)
        total += Fraction(weight) * _exact(true)
        limit = bound(asked.definition.name, logits, model, label=label)
        assert limit is not None
        allowed += Fraction(weight) * Fraction(float(limit))
    allowed += 6 * u * abs(total)
    computed = float(outcome.value)
    violations = []
    if not np.isfinite(computed) or abs(Fraction(computed) * count - total) > allowed:
        violations.append(
            Violation(
                0,
                f"the {reduction} of the losses is another one",
                observed=computed,
                expected=float(total / count),
                error=abs(float(Fraction(computed) * count - total) / float(u * total))
                if np.isfinite(computed)
                else float("inf"),
                threshold=float(allowed / (u * total)),
                source="the sum of the bounds of the losses, and a rounding for each addition",
            )
        )
    verdict = Verdict(1, 0.0, violations)
    if outcome.gradient is not None:
        rows = [i for i, weight in enumerate(weights) if weight]
        factors = np.array([[count / weights[i]] for i in rows]).astype(asked.fmt.dtype)
        gradient = outcome.gradient[rows] * factors
        kept = Batch(batch.family, batch.logits[rows], batch.labels[rows])
        contract = asked.subject.contract
        found = compare(asked.definition, contract, asked.fmt, kept, gradient, gradient=True)
        verdict = Verdict.merge([verdict, found])
    return _told(batch, options, verdict)


def _exact(true: Truth) -> Fraction:
    """A single exact result, as well as a Truth knows it."""
    step = Fraction(2) ** int(true.ulp_exponent)
    return exact(true.rounded[()]) + Fraction(float(true.offset)) * step


# --- vector-Jacobian products ---


def _cotangents(asked: Asked) -> Iterator[Case]:
    """The gradient of sum(cotangent * value), weights of a row of powers of two."""
    vector = asked.definition.output is Output.VECTOR
    if vector and asked.definition.product_bound is None:
        return  # nothing is proven of their products
    for row in ROWS:
        batch = asked.batch("cotangent", [row, row[::-1]])
        rows, classes = batch.logits.shape
        powers = np.array([1.0, -2.0, 0.5, 4.0, -0.25])
        shape = (rows, classes) if vector else (rows,)
        g = np.resize(powers, shape).astype(asked.fmt.dtype)
        options = {"cotangent": g}
        try:
            outcome = asked.call(batch, **options)
        except SubjectFault as fault:
            yield _told(batch, options, no_result(fault, batch.family))
            continue
        if outcome.gradient is None:
            return
        if not vector:
            gradient = outcome.gradient / g[:, None]
            yield _told(batch, options, asked.judge(batch, outcome.value, gradient))
            continue
        found = [asked.judge(batch, outcome.value, None)]
        for i in range(rows):
            found.append(_product(asked, batch, i, g[i], outcome.gradient[i]))
        yield _told(batch, options, Verdict.merge(found))


def _product(asked: Asked, batch: Batch, i: int, g: Numbers, computed: Numbers) -> Verdict:
    """One row of a vector-Jacobian product, within the bound that its definition declares."""
    accumulator = asked.subject.contract.accumulator
    known = declared_products(asked.definition, batch.logits[i], g, asked.fmt, accumulator)
    u = Fraction(asked.fmt.unit_roundoff)
    violations = []
    for k, (value, (right, allowed)) in enumerate(zip(computed, known, strict=True)):
        number = float(value)
        if not np.isfinite(number) or abs(exact(value) - right) > allowed:
            violations.append(
                Violation(
                    i,
                    "vector-Jacobian product beyond its error bound",
                    index=k,
                    observed=number,
                    expected=float(right),
                    error=float(abs(exact(value) - right) / u) if np.isfinite(number) else np.inf,
                    threshold=float(allowed / u),
                    source="the bound of softmax, and a rounding for each operation",
                    in_gradient=True,
                )
            )
    return Verdict(len(computed), 0.0, violations[:1])
