"""The suites that hold values and gradients against the truth: accuracy, overflow, gradient."""

from __future__ import annotations

from ...derivations.definition import Definition
from ...derivations.formats import Format
from ..inputs import Batch
from ..subjects import Subject
from .judge import Verdict, compare


def check_value(subject: Subject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Every value within its error bound of the exact one."""
    outcome = subject(batch.logits.copy(), batch.labels)
    return compare(definition, subject.contract, fmt, batch, outcome.value)


def check_gradient(subject: Subject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Every gradient component within its error bound; nothing where no gradient is returned."""
    if definition.gradient is None:
        return Verdict(0, 0.0, [])
    gradient = subject(batch.logits.copy(), batch.labels).gradient
    if gradient is None:
        return Verdict(0, 0.0, [])
    return compare(definition, subject.contract, fmt, batch, gradient, gradient=True)
