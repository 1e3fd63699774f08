"""Error against precision: the forms of a definition, in p bits and in formats, and the bound."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterMathtext, LogLocator, MultipleLocator

from ...derivations import lookup
from ...derivations.bounds import BOUNDS, PROVEN_FORM
from ...derivations.formats import FORMATS
from ..precision import PRECISIONS, PUBLISHED, PrecisionErrors, inputs_described, precision_errors
from . import style
from .plot import Cell, Plot, Progress, ignore

FINITE: dict[str, Any] = {"marker": "o", "markersize": 3.5, "fillstyle": "none", "linestyle": ""}
NOT_FINITE: dict[str, Any] = {"marker": "x", "markersize": 5.0, "linestyle": ""}

# Alignment and shift, in points, of the names of formats: the first two are 3 bits apart.
NAME_PLACES = {
    "bfloat16": ("right", 0),
    "float16": ("left", -3),
    "float32": ("left", 1),
    "float64": ("center", 0),
}


def plot(
    name: str = "softmax",
    *,
    precisions: Sequence[int] = PRECISIONS,
    progress: Progress = ignore,
) -> Plot:
    """Error against precision of a definition: every form, the formats, the proven bound.

    Upper axes: maximum relative error.  Lower axes: the same in units of u = 2^-p, where a form
    whose error is proportional to u is a level line.  ``progress(done, total)`` counts precisions.
    KeyError when no definition has the name; ValueError for a precision that has no truth here.
    """
    return draw(precision_errors(name, precisions, progress=progress))


def draw(data: PrecisionErrors) -> Plot:
    """Draw errors that have been computed."""
    figure = style.new_figure(5.3)
    relative, in_units = figure.subplots(2, 1, sharex=True)
    _draw_errors(relative, data, lambda p: 1.0, tick_bits=16)
    _draw_errors(in_units, data, lambda p: 2.0**p, tick_bits=2)

    relative.set_title(data.name, fontsize=style.TEXT, pad=16)
    style.finish(relative, y="maximum relative error")
    style.finish(in_units, "significand precision p (bits)", "maximum relative error / u")
    _name_formats(relative)
    style.legend(figure, _legend(data))
    command = style.command("precision", data.name)
    style.caption(figure, _described(data), command)
    return Plot(figure, command, ("series", "format", "p", "error"), list(_rows(data)))


def _draw_errors(
    axes: Axes, data: PrecisionErrors, scale: Callable[[int], float], tick_bits: int
) -> None:
    """Curves, markers, bound and u, every error times ``scale(p)``."""
    factors = np.array([scale(p) for p in data.precisions])
    units = np.array([2.0**-p for p in data.precisions])
    axes.plot(data.precisions, units * factors, **style.GUIDE)
    for form, line in _styled(data):
        axes.plot(data.precisions, data.errors[form] * factors, linewidth=1.0, **line)
        for name, error in data.formats[form].items():
            p = FORMATS[name].precision
            if math.isfinite(error):
                axes.plot(p, error * scale(p), color=line["color"], **FINITE)
            else:  # there is no such error: at the top of the axes, whatever their scale
                top = axes.get_xaxis_transform()
                axes.plot(p, 0.95, color=line["color"], transform=top, **NOT_FINITE)
    axes.plot(data.precisions, data.bounds * factors, **style.BOUND)

    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=2.0**tick_bits))
    axes.yaxis.set_major_formatter(LogFormatterMathtext(base=2))
    axes.xaxis.set_major_locator(MultipleLocator(16))
    axes.minorticks_off()
    for fmt in FORMATS.values():
        axes.axvline(fmt.precision, **style.GRID)
    bottom, top_error = axes.get_ylim()
    axes.set_ylim(bottom, top_error * (top_error / bottom) ** 0.1)  # room for the crosses


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


def _legend(data: PrecisionErrors) -> Iterator[Line2D]:
    for form, line in _styled(data):
        label = "as published" if form == PUBLISHED else form
        yield Line2D([], [], linewidth=1.0, label=label, **line)
    if np.isfinite(data.bounds).any():
        label = f"bound proven for: {PROVEN_FORM[data.name]}"
        yield Line2D([], [], label=label, **style.BOUND)
    yield Line2D([], [], label="u = $2^{-p}$", **style.GUIDE)
    yield Line2D([], [], color="black", label="named format", **FINITE)
    if any(math.isinf(e) for errors in data.formats.values() for e in errors.values()):
        yield Line2D([], [], color="black", label="result not finite", **NOT_FINITE)


def _rows(data: PrecisionErrors) -> Iterator[tuple[Cell, ...]]:
    for form, errors in data.errors.items():
        for p, error in zip(data.precisions, errors.tolist(), strict=True):
            yield form, None, p, error
        for name, error in data.formats[form].items():
            yield form, name, FORMATS[name].precision, error
    for p, bound in zip(data.precisions, data.bounds.tolist(), strict=True):
        if math.isfinite(bound):
            yield "bound", None, p, bound


def _described(data: PrecisionErrors) -> str:
    definition = lookup(data.name)
    sentences = [
        f"Inputs: {inputs_described(definition)}.",
        "Curves: p-bit arithmetic with unbounded exponents.",
        "A named format well off its curve has overflowed or underflowed.",
    ]
    if np.isfinite(data.bounds).any():
        proven = (inspect.getdoc(BOUNDS[data.name]) or "").split("\n")[0]
        sentences.append(f"Bound: drawn where below 1, proven for: {proven}")
        if definition.partition_function:  # the letters of softproof.derivations.bounds
            sentences.append("Here m = max z, D_k = m - z_k, T = sum of e^-D_k less one maximum.")
    return " ".join(sentences)
