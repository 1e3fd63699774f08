"""The suites that hold values and gradients against the truth: accuracy, overflow, gradient."""

from __future__ import annotations

from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition
from ..inputs.families import Batch
from ..subjects.isolation.in_process import LiveSubject
from .verdicts import Verdict, compare, deterministic


def check_value(subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Every value within its error bound of the exact one, and the same when asked again."""
    outcome = deterministic(subject, batch)
    if isinstance(outcome, Verdict):
        return outcome
    return compare(definition, subject.contract, fmt, batch, outcome.value)


def check_gradient(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch
) -> Verdict:
    """Every gradient component within its error bound; nothing where no gradient is returned."""
    if definition.gradient is None:
        return Verdict(0, 0.0, [])
    gradient = subject(batch.logits, batch.labels).gradient
    if gradient is None:
        return Verdict(0, 0.0, [])
    return compare(definition, subject.contract, fmt, batch, gradient, gradient=True)
