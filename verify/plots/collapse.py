"""Softmax collapse: loss and gradient of the leading class against its gap, beside the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ...derivations import lookup
from ...derivations.collapse import absorption_gap
from ...derivations.formats import FORMATS
from ..collapse_curves import CollapseCurves, collapse_curves
from ..subjects.subject import NotApplicable, SubjectError, SubjectFault, short_id
from . import style
from .plot import Cell, Plot, Progress, ignore
from .subjects import connected

FORMAT, CLASSES, COUNT = "float32", 2, 240
TORCH = "softproof.verify.subjects.torch_forms:cross_entropy"
SHOWN = (
    "softproof.kernels:cross_entropy_with_gradient",
    "softproof.verify.textbook:cross_entropy_shifted",
)
"""The subjects where none is named, and PyTorch where it is installed."""

PANELS = (
    ("loss", "loss"),
    ("gradient", "minus the gradient\nof the right class"),
    ("loss_error", "relative error\nof the loss"),
    ("gradient_error", "relative error\nof the gradient"),
)


def plot(
    subjects: Sequence[str] = (),
    *,
    dtype: str = FORMAT,
    classes: int = CLASSES,
    count: int = COUNT,
    progress: Progress = ignore,
) -> Plot:
    """Loss and gradient of one class at 0 among others at -gap, and their relative errors.

    The truth is black; a curve ends where its subject gives 0.  Dotted: p ln 2, the gap from which
    on 1 absorbs a loser of e^-gap in a sum of p significand bits.

    subjects: patterns as of ``verify --subject``, of cross_entropy.  ValueError for another dtype,
    fewer than 2 classes or gaps, or a subject that takes no such dtype; SubjectError for a subject
    that there is not, or that gives no result.
    """
    chosen = list(subjects) or _default()
    with connected(lookup("cross_entropy"), chosen) as live:
        try:
            found = collapse_curves(
                live, dtype=dtype, classes=classes, count=count, progress=progress
            )
        except (SubjectFault, NotApplicable) as fault:
            raise SubjectError(f"{', '.join(chosen)} in {dtype}: {fault}") from fault
    command = style.command(
        "collapse",
        subject=list(subjects),
        dtype=dtype if dtype != FORMAT else None,
        classes=classes if classes != CLASSES else None,
    )
    return draw(found, command)


def _default() -> list[str]:
    from ..subjects.built_in import registered

    torch = registered(TORCH, "cross_entropy")
    return [*SHOWN, *([] if torch.missing() else [TORCH])]


def draw(found: CollapseCurves, command: str) -> Plot:
    """Draw curves that have been computed."""
    figure = style.new_figure(6.0)
    panels = figure.subplots(len(PANELS), 1, sharex=True)
    for axes, (field, label) in zip(panels, PANELS, strict=True):
        _draw(axes, found, field)
        style.finish(axes, y=label)
    panels[-1].set_xlabel("gap of the right class to all others (nats)", fontsize=style.TEXT)
    style.legend(figure, _legend(found), columns=1)
    style.caption(figure, _described(found), command)
    columns = ("subject", "gap", "loss", "gradient", "loss_error", "gradient_error")
    return Plot(figure, command, columns, list(_rows(found)))


def _draw(axes: Axes, found: CollapseCurves, field: str) -> None:
    is_error = field.endswith("_error")
    if not is_error:
        axes.plot(found.gaps, _positive(getattr(found.exact, field)), **style.BOUND)
    for curve, line in zip(found.of.values(), style.LINES, strict=False):
        axes.plot(found.gaps, _positive(getattr(curve, field)), linewidth=1.0, **line)
    fmt = FORMATS[found.dtype]
    axes.axvline(absorption_gap(fmt.precision), **style.GUIDE)
    axes.set_yscale("log")
    axes.set_xlim(0, found.gaps[-1])
    if is_error:
        axes.set_ylim(float(fmt.unit_roundoff) / 64, 8)


def _positive(values: np.ndarray) -> np.ndarray:
    """What a logarithmic axis can show."""
    return np.where(values > 0, values, np.nan)


def _legend(found: CollapseCurves) -> Iterator[Line2D]:
    yield Line2D([], [], label="exact", **style.BOUND)
    for name, line in zip(found.of, style.LINES, strict=False):
        yield Line2D([], [], label=short_id(name), linewidth=1.0, **line)
    p = FORMATS[found.dtype].precision
    yield Line2D([], [], label=f"1 absorbs a single loser in {p} bits: {p} ln 2", **style.GUIDE)


def _described(found: CollapseCurves) -> str:
    return (
        f"Cross-entropy of {found.classes} classes in {found.dtype}: the right class has logit 0, "
        "each other one minus the gap. A curve of values ends where the subject gives 0; its "
        "relative error is 1 from there on. The exact value is drawn until e^-gap underflows."
    )


def _rows(found: CollapseCurves) -> Iterator[tuple[Cell, ...]]:
    for name, curve in {"exact": found.exact, **found.of}.items():
        columns = (curve.loss, curve.gradient, curve.loss_error, curve.gradient_error)
        for gap, *values in zip(found.gaps.tolist(), *(c.tolist() for c in columns), strict=True):
            yield (name, gap, *(None if np.isnan(v) else v for v in values))
