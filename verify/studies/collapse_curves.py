"""Loss and gradient of the leading class against its gap: the truth, and what subjects give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...derivations import REGISTRY, Definition, lookup
from ...derivations.arithmetic.formats import BINARY64, FORMATS, Format
from ...derivations.arithmetic.systems import ieee
from ...derivations.error_bounds.collapse import underflow_gap
from ..inputs.families import Batch
from ..oracle.metrics import ulp_error
from ..oracle.truth import Truth
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable
from ..suites.thresholds import reference

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Results at each gap (no unit), and their relative errors; NaN where there is none.

    ``gradient`` is minus that of the right class, which is the probability of all others.
    """

    loss: Reals
    gradient: Reals
    loss_error: Reals
    gradient_error: Reals


@dataclass(frozen=True)
class CollapseCurves:
    """Curves against the gap of the leader, which stands first, to the other classes.

    ``exact``: the curve of the exact values, with no error; ``of``: a curve for each subject.
    """

    dtype: str
    classes: int
    gaps: Reals
    exact: Curve
    of: dict[str, Curve]


def loss_definitions() -> list[Definition]:
    """The definitions that the loss of the leading class can be taken from, by name.

    >>> [definition.name for definition in loss_definitions()]
    ['cross_entropy', 'log_softmax', 'logsumexp']
    """
    return [d for _, d in sorted(REGISTRY.items()) if d.loss is not None]


def collapse_curves(
    subjects: Sequence[LiveSubject],
    *,
    dtype: str = "float32",
    classes: int = 2,
    count: int = 200,
    progress: Callable[[int, int], None] | None = None,
) -> CollapseCurves:
    """Losses and gradients of rows with one class at 0, the right one, and all others at -gap.

    Parameters
    ----------
    subjects
        Subjects of cross_entropy, with or without a gradient; of log_softmax or logsumexp for
        losses alone.
    dtype
        The name of the format.
    classes
        The number of classes, at least 2.
    count
        The number of gaps, at least 2, evenly spaced until e^-gap underflows in the format.
    progress
        ``progress(done, total)`` counts subjects, and the truth.

    Returns
    -------
    CollapseCurves
        The gaps, the exact curves and those of the subjects.

    Raises
    ------
    ValueError
        For another dtype, fewer classes or gaps, and a subject that is of no such definition, or
        takes no such dtype.
    SubjectFault
        If a subject fails.

    Examples
    --------
    >>> from softproof.verify.subjects.built_in import registered
    >>> from softproof.verify.subjects.isolation.in_process import InProcess
    >>> scipy = InProcess(registered("scipy.special:log_softmax", "log_softmax"))
    >>> found = collapse_curves([scipy], count=11)
    >>> for curve in (found.exact, found.of["scipy.special:log_softmax"]):
    ...     print(f"loss at a gap of {found.gaps[2]:.1f}: {curve.loss[2]:.3g}")
    loss at a gap of 20.8: 9.31e-10
    loss at a gap of 20.8: 0
    """
    if dtype not in FORMATS:
        raise ValueError(f"dtype is {dtype!r}; use one of {', '.join(FORMATS)}")
    if classes < 2 or count < 2:
        raise ValueError(f"classes is {classes} and count is {count}; each must be at least 2")
    for live in subjects:
        if live.definition.loss is None:
            known = ", ".join(definition.name for definition in loss_definitions())
            raise ValueError(
                f"subject {live.subject.id} is of {live.subject.definition}; use one of {known}"
            )
        if dtype not in live.subject.dtypes:
            raise ValueError(f"subject {live.subject.id} takes no {dtype}")
    fmt, total = FORMATS[dtype], len(subjects) + 1
    end = underflow_gap(fmt, classes - 1)
    gaps = np.unique(np.linspace(0, end, count).astype(fmt.dtype))
    x = np.repeat(-gaps[:, None], classes, axis=1)
    x[:, 0] = 0
    batch = Batch("gaps", x, np.zeros(len(gaps), dtype=np.int64))
    losses, gradients = (_truths(fmt, batch, gradient=g) for g in (False, True))
    exact = Curve(_values(losses), _values(gradients), 0 * gaps.astype(float), 0 * gaps)
    if progress is not None:
        progress(1, total)
    of = {}
    for done, live in enumerate(subjects, 2):
        loss, gradient = _results(live, batch)
        of[live.subject.id] = Curve(
            loss,
            gradient,
            _relative_errors(fmt, loss, losses),
            _relative_errors(fmt, gradient, gradients),
        )
        if progress is not None:
            progress(done, total)
    return CollapseCurves(dtype, classes, gaps.astype(np.float64), exact, of)


def _truths(fmt: Format, batch: Batch, *, gradient: bool) -> list[Truth]:
    """The exact loss of each row, or minus the gradient of its right class."""
    definition = lookup("cross_entropy")
    found = []
    for i in range(len(batch.logits)):
        exact = reference(definition, fmt, batch, i, gradient=gradient)
        if gradient:
            place = (0,)
            exact = Truth(-exact.rounded[place], exact.ulp_exponent[place], -exact.offset[place])
        found.append(exact)
    return found


def _values(truths: list[Truth]) -> Reals:
    return np.array([float(t.rounded) + t.offset * 2.0**t.ulp_exponent for t in truths], float)


def _results(live: LiveSubject, batch: Batch) -> tuple[Reals, Reals]:
    """Losses, and minus the gradients of the right class; NaN where the subject gives none."""
    none = np.full(len(batch.logits), np.nan)
    labels = batch.labels if live.definition.labelled else None
    try:
        outcome = live(batch.logits, labels)
    except NotApplicable:
        return none, none
    assert live.definition.loss is not None  # asked for before
    columns = outcome.value.astype(np.float64).T, batch.logits.astype(np.float64).T
    loss = np.asarray(live.definition.loss(*columns, 0, ieee(BINARY64)))
    if labels is None or outcome.gradient is None:
        return loss, none
    return loss, 0.0 - outcome.gradient[:, 0].astype(np.float64)


def _relative_errors(fmt: Format, computed: Reals, truths: list[Truth]) -> Reals:
    """|computed - exact| / |exact|; NaN where nothing was computed, or the exact one underflows."""
    errors, moduli = np.full(len(truths), np.nan), np.abs(_values(truths))
    for i, (exact, modulus) in enumerate(zip(truths, moduli, strict=True)):
        if modulus >= 2.0**fmt.tiny_exponent and not np.isnan(computed[i]):
            error = float(ulp_error(np.asarray(computed[i]), exact))
            errors[i] = error * 2.0 ** float(exact.ulp_exponent) / modulus
    return errors
