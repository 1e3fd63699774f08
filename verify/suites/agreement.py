"""The suite of agreement: results that say the same in different ways must agree.

No oracle decides here: each result is a ball, its value with its admissible error (that of
``thresholds``), and the balls of two results that are the same number must meet.  A subject is
held against each of our kernels of its definition, and against kernels of others by the relations
that the catalogue declares:

    softmax = exp(log_softmax),   logsumexp = x_k - log_softmax_k,   cross_entropy = -log_softmax_y,
    comp-sum losses = (e^((1 - tau) cross_entropy) - 1) / (1 - tau),
    gradients: of logsumexp softmax, of a loss that is invariant to shifts a sum of 0.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations import lookup
from ...derivations.arithmetic.balls import ball
from ...derivations.arithmetic.formats import Format
from ...derivations.arithmetic.systems import balls
from ...derivations.definition import Definition, Output, Relation
from ...derivations.proofs import facts
from ..inputs.families import Batch
from ..subjects.isolation.in_process import InProcess, LiveSubject
from .invariance import Context, Values
from .verdicts import Verdict, Violation

MOST_CLASSES = 20
MOST_ROWS = 4  # of a batch
BITS = 200

Balls = list[flint.arb]


def applies(definition: Definition, fmt: Format) -> bool:
    """Whether a definition has relatives."""
    return bool(definition.relations)


@functools.cache
def _kernels(definition: str, dtype: str) -> list[LiveSubject]:
    """Our kernels of a definition in a format."""
    from ..subjects.built_in import BUILT_IN  # which loads the kernels

    ours = ("softproof.kernels:", "softproof.verify.subjects.comp_sum_members:")
    return [
        InProcess(s)
        for s in BUILT_IN
        if s.definition == definition
        and s.id.startswith(ours)
        and dtype in s.dtypes
        and not s.id.endswith(":naive")
    ]


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Every finite row against every relative."""
    checks, violations = 0, []
    if not 1 < batch.logits.shape[1] <= MOST_CLASSES:
        return Verdict(0, 0.0, [])
    with flint.ctx.workprec(BITS):
        for i, row in enumerate(batch.logits[:MOST_ROWS]):
            if not np.isfinite(row.astype(np.float64)).all():
                continue
            label = None if batch.labels is None else int(batch.labels[i])
            for name, own, other in _pairs(subject, definition, fmt, row, label):
                checks += 1
                apart = [
                    k for k, (a, b) in enumerate(zip(own, other, strict=True)) if not a.overlaps(b)
                ]
                if apart:
                    violations.append(_violation(i, name, apart, own, other))
    return Verdict(checks, 0.0, violations)


def _violation(row: int, name: str, apart: Sequence[int], own: Balls, other: Balls) -> Violation:
    def excess(k: int) -> float:
        allowed = float((own[k].rad() + other[k].rad()).upper())
        return float(abs(own[k].mid() - other[k].mid()).mid()) / max(allowed, 2.0**-1074)

    k = max(apart, key=excess)
    return Violation(
        row=row,
        message=f"inconsistent with {name}",
        detail=f"{own[k].mid().str(17, radius=False)} against "
        f"{other[k].mid().str(17, radius=False)} at {k}, "
        f"{excess(k):.4g} times the sum of both admissible errors",
        index=k,
        error=excess(k),
        threshold=1.0,
    )


def _pairs(
    subject: LiveSubject,
    definition: Definition,
    fmt: Format,
    row: NDArray[Any],
    label: int | None,
) -> Iterator[tuple[str, Balls, Balls]]:
    """What must be the same: a name, the subject's numbers, another's."""
    context = Context(subject, definition, fmt, row, label)
    own = _as_balls(context.at(row))
    if own is not None:
        for kernel in _kernels(definition.name, fmt.name):
            if kernel.subject.id != subject.subject.id:
                other = _as_balls(Context(kernel, definition, fmt, row, label).at(row))
                if other is not None:
                    yield kernel.subject.id, own, other
        for relation in definition.relations:
            if not relation.of_gradient:
                yield from _related(relation, own, fmt, row, label)
    gradient = _as_balls(context.gradient())
    if gradient is None:
        return
    if any(fact == facts.GradientSumsTo(0) for fact in definition.facts):
        yield "a gradient that sums to 0", [sum(gradient, flint.arb(0))], [flint.arb(0)]
    for relation in definition.relations:
        if relation.of_gradient:
            yield from _related(relation, gradient, fmt, row, label)


def _related(
    relation: Relation, own: Balls, fmt: Format, row: NDArray[Any], label: int | None
) -> Iterator[tuple[str, Balls, Balls]]:
    """The subject's numbers, and the same by the values of our kernel of the other definition."""
    other = lookup(relation.other)
    for kernel in _kernels(other.name, fmt.name)[:1]:
        context = Context(kernel, other, fmt, row, label if other.labelled else None)
        known = _as_balls(context.at(row))
        if known is None:
            continue
        xp = balls()
        values = xp.vector(known) if other.output is Output.VECTOR else known[0]
        arguments = [xp.vector(row.astype(np.float64)), *(() if label is None else (label,))]
        theirs = relation.formula(values, *arguments, xp)
        yield relation.text, own, list(np.atleast_1d(theirs))


def _as_balls(values: Values | None) -> Balls | None:
    if values is None:
        return None
    return [ball(v) + flint.arb(0, ball(e).upper()) for v, e in zip(*values, strict=True)]
