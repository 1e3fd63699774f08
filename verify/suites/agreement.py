"""The suite of agreement: results that say the same in different ways must agree.

No oracle decides here: each result is a ball, its value with its admissible error (that of
``judge.threshold``), and the balls of two results that are the same number must meet.  A subject is
held against each of our kernels of its definition, and against kernels of others by the identities

    softmax = exp(log_softmax),   logsumexp = x_k - log_softmax_k,   cross_entropy = -log_softmax_y,
    comp-sum losses = (e^((1 - tau) cross_entropy) - 1) / (1 - tau),
    gradients: of logsumexp softmax, of a loss that is invariant to shifts a sum of 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations import lookup
from ...derivations.arithmetic.balls import ball
from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition
from ...derivations.proofs import facts
from ..inputs.families import Batch
from ..subjects.isolation.in_process import InProcess, LiveSubject
from .invariance import Context, Values
from .verdicts import Verdict, Violation

MOST_CLASSES = 20
MOST_ROWS = 4  # of a batch
BITS = 200

Balls = list[flint.arb]
Identity = Callable[[Balls, NDArray[Any], int | None], Balls]


def _comp_sum(tau: float) -> Identity:
    def of_cross_entropy(loss: Balls, row: NDArray[Any], label: int | None) -> Balls:
        power = 1 - ball(tau)
        return [(power * loss[0]).expm1() / power]

    return of_cross_entropy


# What a definition's values are, told by another definition's.
IDENTITIES: dict[str, list[tuple[str, str, Identity]]] = {
    "softmax": [("exp(log_softmax)", "log_softmax", lambda v, row, label: [x.exp() for x in v])],
    "log_softmax": [
        (
            "x - logsumexp",
            "logsumexp",
            lambda v, row, label: [flint.arb(float(x)) - v[0] for x in row],
        )
    ],
    "logsumexp": [
        (
            "x_k - log_softmax_k",
            "log_softmax",
            lambda v, row, label: [flint.arb(float(row[0])) - v[0]],
        )
    ],
    "cross_entropy": [
        ("-log_softmax_y", "log_softmax", lambda v, row, label: [-v[label or 0]]),
    ],
    "mean_absolute_error": [
        ("1 - softmax_y", "softmax", lambda v, row, label: [1 - v[label or 0]])
    ],
    **{
        name: [("its function of the cross-entropy", "cross_entropy", _comp_sum(tau))]
        for name, tau in {
            "comp_sum": 0.5,
            "sum_exponential": 0.0,
            "generalized_cross_entropy": 1.7,
        }.items()
    },
}


def applies(definition: Definition, fmt: Format) -> bool:
    """Whether a definition has relatives."""
    return definition.name in IDENTITIES


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
        for name, relative, identity in IDENTITIES[definition.name]:
            theirs = lookup(relative)
            their_label = label if theirs.labelled else None
            for kernel in _kernels(relative, fmt.name)[:1]:
                known = _as_balls(Context(kernel, theirs, fmt, row, their_label).at(row))
                if known is not None:
                    yield name, own, identity(known, row, label)
    gradient = _as_balls(context.gradient())
    if gradient is None:
        return
    if any(fact == facts.GradientSumsTo(0) for fact in definition.facts):
        yield "a gradient that sums to 0", [sum(gradient, flint.arb(0))], [flint.arb(0)]
    if definition.name == "logsumexp":
        for kernel in _kernels("softmax", fmt.name)[:1]:
            softmax = _as_balls(Context(kernel, lookup("softmax"), fmt, row, None).at(row))
            if softmax is not None:
                yield "softmax, its gradient", gradient, softmax


def _as_balls(values: Values | None) -> Balls | None:
    if values is None:
        return None
    return [ball(v) + flint.arb(0, ball(e).upper()) for v, e in zip(*values, strict=True)]
