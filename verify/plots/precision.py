"""Error against precision: the forms of a definition, in p bits and in formats, and the bound."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterMathtext, LogLocator, MultipleLocator

from ...derivations import lookup
from ...derivations.arithmetic.formats import FORMATS
from ...derivations.definition import AS_PUBLISHED
from ..studies.points import drawn_points, point_of_file
from ..studies.precision import (
    PRECISIONS,
    PUBLISHED,
    PrecisionErrors,
    precision_errors,
    subject_errors,
)
from ..subjects.subject import SubjectError, short_id
from . import style
from .plot import Cell, Plot, Progress, ignore
from .subject_values import connected

BOUND: dict[str, Any] = {"linestyle": "-", "linewidth": 2.4, "alpha": 0.5, "zorder": 1.5}
FINITE: dict[str, Any] = {"marker": "o", "markersize": 3.5, "fillstyle": "none", "linestyle": ""}
OBSERVED: dict[str, Any] = {"markersize": 3.0, "linestyle": "", "zorder": 3}
NOT_FINITE: dict[str, Any] = {"marker": "x", "markersize": 5.0, "linestyle": ""}

# Alignment and shift, in points, of the names of formats: the first two are 3 bits apart.
NAME_PLACES = {
    "bfloat16": ("right", 0),
    "float16": ("left", -3),
    "float32": ("left", 1),
    "float64": ("center", 0),
}


# Of subjects: filled, in the order of the lines of forms from behind.
SUBJECTS: tuple[dict[str, Any], ...] = (
    {"color": "black", "marker": "s"},
    {"color": style.SKY, "marker": "P"},
    {"color": style.ORANGE, "marker": "D"},
    {"color": style.PURPLE, "marker": "v"},
    {"color": style.GREEN, "marker": "^"},
)

Subjects = Mapping[str, Mapping[str, float]]


def plot(
    name: str = "softmax",
    subjects: Sequence[str] = (),
    *,
    case: Path | None = None,
    parameters: Mapping[str, float] | None = None,
    precisions: Sequence[int] = PRECISIONS,
    progress: Progress = ignore,
) -> Plot:
    """Error against precision of a definition: every form, subjects, formats, the proven bound.

    The maximum relative error is drawn in units of u = 2^-p, where a form that loses a bit of
    accuracy with each bit of precision is a level line. The bound has the colour of the form that
    it is proven for, and says nothing of the others. For softmax these are the forms that
    Blanchard, Higham and Higham compare (2021, IMA J. Numer. Anal. 41(4)): unshifted, shifted and
    division-free.

    Of a function of several arguments the error is relative to the largest entry of the result, and
    the bound is that of ``verify``, the running error of whoever computes any of the forms.

    Parameters
    ----------
    name
        The definition.
    subjects
        Patterns as of ``verify --subject``.
    case
        A file with the case at which errors are taken; drawn points when None.
    parameters
        Values of parameters of the definition at drawn points; a case has its own.
    precisions
        Significand bits p.
    progress
        ``progress(done, total)`` counts precisions.

    Returns
    -------
    Plot
        The figure and its table.

    Raises
    ------
    KeyError
        If no definition has the name.
    ValueError
        For a precision that has no truth here, a file without a case of the definition, and points
        at which no precision has an exact value.
    OSError
        If the file of the case cannot be read.
    SubjectError
        For a subject that there is not, or that gives no result in any format.
    """
    definition = lookup(name)
    if case is not None and parameters:
        raise ValueError(f"{case} has the parameters of its case; give a case or parameters")
    points = point_of_file(definition, case) if case else drawn_points(definition, parameters)
    observed = {}
    with connected([definition], subjects) as found:
        for subject in found:
            errors, failures = subject_errors(subject, points)
            if not errors:
                told = "; ".join(f"{fmt}: {why}" for fmt, why in failures.items())
                raise SubjectError(f"{subject.subject.id} gives no result ({told})")
            observed[subject.subject.id] = errors
    data = precision_errors(name, precisions, progress, points)
    if all(np.isnan(errors).all() for errors in data.errors.values()):
        raise ValueError(f"{name} has no exact value at {points.described}; give another case")
    options = style.definition_options(definition, parameters, case)
    return draw(data, observed, subjects, options)


def draw(
    data: PrecisionErrors,
    observed: Subjects = {},  # noqa: B006
    patterns: Sequence[str] = (),
    options: Mapping[str, object] = {},
) -> Plot:
    """Draw errors that have been computed.

    Parameters
    ----------
    data
        The errors of the forms of a definition.
    observed
        The errors of subjects by id and format.
    patterns
        The patterns that named the subjects, for the command in the caption.
    options
        Further options of that command.

    Returns
    -------
    Plot
        The figure and its table.
    """
    figure = style.new_figure(4.0)
    axes = figure.subplots()
    _draw_errors(axes, data, observed)
    axes.set_title(data.name, fontsize=style.TEXT, pad=16)
    style.finish(axes, "significand precision p (bits)", f"{_error(data)} / u")
    _name_formats(axes)
    style.legend(figure, _legend(data, observed))
    command = style.command("precision", data.name, subject=patterns, **options)
    style.caption(figure, _described(data), command)
    columns = ("series", "format", "p", "error")
    return Plot(figure, command, columns, list(_rows(data, observed)))


def _error(data: PrecisionErrors) -> str:
    """What is drawn, in a few words."""
    definition = lookup(data.name)
    if definition.of_a_row or all(axes == () for axes in definition.signature.outputs.values()):
        return "maximum relative error"
    return "maximum error / largest entry"


def _draw_errors(axes: Axes, data: PrecisionErrors, observed: Subjects) -> None:
    """Curves, markers, bound and u, every error in units of u."""
    factors = np.array([2.0**p for p in data.precisions])
    axes.plot(data.precisions, np.ones(len(factors)), **style.GUIDE)
    for form, line in _styled(data):
        axes.plot(data.precisions, data.errors[form] * factors, linewidth=1.0, **line)
        _mark(axes, data.formats[form], color=line["color"], **FINITE)
    axes.plot(data.precisions, data.bounds * factors, **_bound(data))
    for marker, errors in zip(itertools.cycle(SUBJECTS), observed.values(), strict=False):
        _mark(axes, errors, **marker, **OBSERVED)

    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=4.0))
    axes.yaxis.set_major_formatter(LogFormatterMathtext(base=2))
    axes.xaxis.set_major_locator(MultipleLocator(16))
    axes.minorticks_off()
    for fmt in FORMATS.values():
        axes.axvline(fmt.precision, **style.GRID)
    bottom, top_error = axes.get_ylim()
    axes.set_ylim(bottom, top_error * (top_error / bottom) ** 0.1)  # room for the crosses


def _bound(data: PrecisionErrors) -> dict[str, Any]:
    """The look of the bound: a thick line, of the colour of the form that it is proven for."""
    colours = {form: line["color"] for form, line in _styled(data)}
    return {**BOUND, "color": colours.get(_proven_form(data), style.BOUND["color"])}


def _proven_form(data: PrecisionErrors) -> str:
    """The form that the bound is proven for; "" where it is proven for all of them."""
    definition = lookup(data.name)
    if not definition.of_a_row:
        return ""
    proven = definition.proven_form
    return PUBLISHED if proven is None or proven == AS_PUBLISHED else proven


def _mark(axes: Axes, errors: Mapping[str, float], **marker: Any) -> None:
    """Errors in the named formats, at their p."""
    for name, error in errors.items():
        p = FORMATS[name].precision
        if math.isfinite(error):
            axes.plot(p, error * 2.0**p, **marker)
        else:  # there is no such error: at the top of the axes
            top = axes.get_xaxis_transform()
            axes.plot(p, 0.95, color=marker["color"], transform=top, **NOT_FINITE)


def _name_formats(axes: Axes) -> None:
    """Names of the formats above the axes, at their p."""
    for fmt in FORMATS.values():
        ha, points = NAME_PLACES[fmt.name]
        axes.annotate(
            fmt.name,
            (fmt.precision, 1),
            (points, 4.5),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha=ha,
            fontsize=style.SMALL,
            color="0.3",
        )


def _styled(data: PrecisionErrors) -> Iterator[tuple[str, dict[str, Any]]]:
    return zip(data.errors, itertools.cycle(style.LINES), strict=False)


def _legend(data: PrecisionErrors, observed: Subjects) -> Iterator[Line2D]:
    for form, line in _styled(data):
        label = AS_PUBLISHED if form == PUBLISHED else form
        yield Line2D([], [], linewidth=1.0, label=label, **line)
    if np.isfinite(data.bounds).any():
        proven = lookup(data.name).proven_form
        label = f"bound of “{proven}” alone" if _proven_form(data) else "bound of all forms"
        yield Line2D([], [], label=label, **_bound(data))
    yield Line2D([], [], label="u = $2^{-p}$", **style.GUIDE)
    yield Line2D([], [], color="black", label="named format", **FINITE)
    for marker, subject in zip(itertools.cycle(SUBJECTS), observed, strict=False):
        yield Line2D([], [], label=short_id(subject), **marker, **OBSERVED)
    marked = [*data.formats.values(), *observed.values()]
    if any(math.isinf(error) for errors in marked for error in errors.values()):
        yield Line2D([], [], color="black", label="result not finite", **NOT_FINITE)


def _rows(data: PrecisionErrors, observed: Subjects) -> Iterator[tuple[Cell, ...]]:
    for form, errors in data.errors.items():
        for p, error in zip(data.precisions, errors.tolist(), strict=True):
            yield form, None, p, error
    for series, named in {**data.formats, **observed}.items():
        for name, error in named.items():
            yield series, name, FORMATS[name].precision, error
    for p, bound in zip(data.precisions, data.bounds.tolist(), strict=True):
        if math.isfinite(bound):
            yield "bound", None, p, bound


def _described(data: PrecisionErrors) -> str:
    definition = lookup(data.name)
    sentences = [
        f"Inputs: {data.inputs}.",
        "Curves: p-bit arithmetic with unbounded exponents.",
        "A named format well off its curve has overflowed or underflowed.",
    ]
    if _error(data) != "maximum relative error":
        sentences.insert(1, "Errors of a result are relative to its largest entry.")
    if np.isfinite(data.bounds).any() and not definition.of_a_row:
        sentences.append(
            "Bound: the largest error that `verify` admits of whoever computes any of the forms, "
            "with sums in any order; drawn where below 1, up to the 53 bits that it is computed in "
            "(near them it has its own rounding errors in it)."
        )
    elif np.isfinite(data.bounds).any():
        proven = (inspect.getdoc(definition.error_bound) or "").split("\n")[0]
        sentences.append(f"Bound: drawn where below 1, proven for: {proven}")
        if definition.partition_function:  # the letters of derivations.error_bounds
            sentences.append("Here m = max z, D_k = m - z_k, T = sum of e^-D_k less one maximum.")
        if len(data.errors) > 1:
            sentences.append("Other forms may lie above it: they have bounds of their own.")
    return " ".join(sentences)
