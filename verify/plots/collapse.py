"""Softmax collapse: loss and gradient of the leading class against its gap, and their errors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import FORMATS
from ...derivations.error_bounds.collapse import absorption_gap
from ..studies.collapse_curves import CollapseCurves, Curve, collapse_curves, loss_definitions
from ..subjects.built_in import BUILT_IN
from ..subjects.subject import SubjectError, SubjectFault, short_id
from . import style
from .plot import Cell, Plot, Progress, ignore
from .subject_values import connected

# Drawn where none is named, as far as they can be run here.
SUBJECTS = (
    "softproof.kernels:cross_entropy_with_gradient",
    "softproof.verify.textbook:cross_entropy_shifted",
    "softproof.verify.subjects.torch_forms:cross_entropy",
    "scipy.special:log_softmax",
)
FORMAT, CLASSES, GAPS = "float32", 2, 200

EXACT: dict[str, Any] = {"color": "0.75", "linestyle": "-", "linewidth": 3.0}
DECADES, MOST_TICKS = (1, 2, 4, 8, 20, 40, 80), 7
BAND = 0.2  # of the height of the upper axes, for results that are 0
ZERO: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 3.0}

VALUES = ("loss", "gradient")
UNITS = {"loss": "loss (nats)", "gradient": "minus the gradient"}


def plot(
    subjects: Sequence[str] = (),
    *,
    dtype: str = FORMAT,
    classes: int = CLASSES,
    count: int = GAPS,
    progress: Progress = ignore,
) -> Plot:
    """Loss and gradient of a row [0, -gap, ..., -gap] with label 0, of subjects and in truth.

    Above: the values, down to where e^-gap underflows; a cross in the band below is an exact 0.
    Below: their relative errors, 1 where what should be positive is 0.

    Parameters
    ----------
    subjects
        Patterns as of ``verify --subject``, for subjects of cross_entropy (with or without a
        gradient), log_softmax or logsumexp; one of your own is taken to be of cross_entropy.
    dtype
        The name of the format.
    classes
        The number of classes, at least 2.
    count
        The number of gaps, at least 2.
    progress
        ``progress(done, total)`` counts subjects, and the truth.

    Returns
    -------
    Plot
        The figure and its table.

    Raises
    ------
    ValueError
        For another dtype, fewer classes or gaps, and a subject that takes no such dtype.
    SubjectError
        For a subject that there is not, or that fails.
    """
    if dtype not in FORMATS:  # before subjects are started
        raise ValueError(f"dtype is {dtype!r}; use one of {', '.join(FORMATS)}")
    patterns = list(subjects) or _runnable()
    with connected(loss_definitions(), patterns) as live:
        try:
            curves = collapse_curves(
                live, dtype=dtype, classes=classes, count=count, progress=progress
            )
        except SubjectFault as fault:
            raise SubjectError(f"a subject gives no result in {dtype}: {fault}") from fault
    figure = style.new_figure(4.6, style.PAGE_WIDTH)
    panels = figure.subplots(2, 2, sharex=True)
    for (above, below), what in zip(panels.T, VALUES, strict=True):
        _draw(above, below, curves, what)
    style.legend(figure, _legend(curves), columns=3)
    command = style.command(
        "collapse",
        subject=subjects,
        dtype=dtype if dtype != FORMAT else None,
        classes=classes if classes != CLASSES else None,
        gaps=count if count != GAPS else None,
    )
    gap = absorption_gap(FORMATS[dtype].precision)
    text = (
        f"Cross-entropy of a row with the right class at 0 and {classes - 1} at -gap, in {dtype}, "
        f"and minus its gradient by the logit of the right class. Dotted: from a gap of p ln 2 = "
        f"{gap:.2f} on, 1 + e^-gap rounds to 1 with p bits. Crosses: results that are exactly 0."
    )
    style.caption(figure, text, command)
    columns = ("series", "gap", "loss", "gradient", "loss_error", "gradient_error")
    return Plot(figure, command, columns, list(_rows(curves)))


def _runnable() -> list[str]:
    missing = {s.id for s in BUILT_IN if s.id in SUBJECTS and s.missing()}
    return [subject for subject in SUBJECTS if subject not in missing]


def _draw(above: Axes, below: Axes, curves: CollapseCurves, what: str) -> None:
    """One column: values and relative errors of the loss or of the gradient."""
    above.plot(curves.gaps, _positive(getattr(curves.exact, what)), **EXACT)
    for place, (curve, line) in enumerate(_styled(curves)):
        values, errors = getattr(curve, what), getattr(curve, f"{what}_error")
        above.plot(curves.gaps, _positive(values), linewidth=1.0, **line)
        below.plot(curves.gaps, _positive(errors), linewidth=1.0, **line)
        lost = curves.gaps[(values == 0) & (getattr(curves.exact, what) > 0)]
        edge = above.get_xaxis_transform()
        above.plot(
            lost,
            np.full(len(lost), 0.03 + 0.04 * place),
            color=line["color"],
            transform=edge,
            **ZERO,
        )
    for axes in (above, below):
        axes.set_yscale("log")
        axes.axvline(absorption_gap(FORMATS[curves.dtype].precision), **style.GUIDE)
        axes.set_xlim(0, curves.gaps[-1])
    style.finish(above, y=UNITS[what])
    if any(np.any(getattr(curve, what) == 0) for curve in curves.of.values()):
        _band_of_zeros(above)
    style.finish(below, "gap to the other logits", f"relative error of the {what}")


def _band_of_zeros(axes: Axes) -> None:
    """Room for the crosses below the logarithmic scale, which has no place for 0."""
    low, high = axes.get_ylim()
    lowest, highest = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = next(step for step in DECADES if (highest - lowest) / step <= MOST_TICKS)
    axes.set_ylim(low * (low / high) ** (BAND / (1 - BAND)), high)
    axes.set_yticks([10.0**e for e in range(lowest, highest + 1) if e % step == 0])
    axes.minorticks_off()
    frame: dict[str, Any] = {"facecolor": "0.95", "edgecolor": "black", "linewidth": 0.5}
    axes.add_patch(Rectangle((0, 0), 1, BAND, transform=axes.transAxes, zorder=0, **frame))
    axes.annotate(
        "0",
        (0, BAND / 2),
        (-5, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=style.SMALL,
        annotation_clip=False,
    )


def _styled(curves: CollapseCurves) -> Iterator[tuple[Curve, dict[str, Any]]]:
    return zip(curves.of.values(), itertools.cycle(style.LINES), strict=False)


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a logarithmic axis can show: gaps elsewhere."""
    with np.errstate(invalid="ignore"):
        return np.where((values > 0) & np.isfinite(values), values, np.nan)


def _legend(curves: CollapseCurves) -> Iterator[Line2D]:
    yield Line2D([], [], label="exact", **EXACT)
    for subject, (_, line) in zip(curves.of, _styled(curves), strict=True):
        yield Line2D([], [], linewidth=1.0, label=short_id(subject), **line)
    yield Line2D([], [], label="gap p ln 2", **style.GUIDE)


def _rows(curves: CollapseCurves) -> Iterator[tuple[Cell, ...]]:
    for name, curve in {"exact": curves.exact, **curves.of}.items():
        columns = (curve.loss, curve.gradient, curve.loss_error, curve.gradient_error)
        for row in zip(curves.gaps.tolist(), *(x.tolist() for x in columns), strict=True):
            yield name, *row
