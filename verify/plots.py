"""Figures for papers and reports, one column wide, drawn without global state."""

from __future__ import annotations

import inspect
import itertools
import math
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterMathtext, LogLocator, MultipleLocator

from ..derivations import lookup
from ..derivations.bounds import BOUNDS, PROVEN_FORM
from ..derivations.formats import FORMATS
from .precision import PUBLISHED, PrecisionErrors, inputs_described, precision_errors

ENDINGS = (".png", ".svg", ".pdf")

COLUMN_WIDTH = 3.5  # inches: one column of a two-column page
CAPTION_CHARACTERS = 67  # that fit into it in SMALL type
TEXT, SMALL = 7.5, 6.5  # points

# Okabe and Ito 2008, Color Universal Design; with dashes, so that print in grey tells them apart.
STYLES = (
    {"color": "#D55E00", "linestyle": "-"},
    {"color": "#0072B2", "linestyle": "--"},
    {"color": "#009E73", "linestyle": "-."},
    {"color": "#CC79A7", "linestyle": ":"},
)
BOUND: dict[str, Any] = {"color": "black", "linestyle": "-", "linewidth": 1.4}
UNIT: dict[str, Any] = {"color": "0.5", "linestyle": ":", "linewidth": 1.0}
FINITE: dict[str, Any] = {"marker": "o", "markersize": 3.5, "fillstyle": "none", "linestyle": ""}
NOT_FINITE: dict[str, Any] = {"marker": "x", "markersize": 5.0, "linestyle": ""}

# Alignment and shift, in points, of the names of formats: the first two are 3 bits apart.
NAME_PLACES = {
    "bfloat16": ("right", 0),
    "float16": ("left", -3),
    "float32": ("left", 1),
    "float64": ("center", 0),
}


def precision(name: str, progress: Callable[[int, int], None] | None = None) -> Figure:
    """Error against precision of a definition: every form, the formats, the proven bound.

    Upper axes: maximum relative error.  Lower axes: the same in units of u = 2^-p, where a form
    whose error is proportional to u is a level line.  ``progress(done, total)`` counts precisions.
    KeyError when no definition has the name.
    """
    return draw_precision(precision_errors(name, progress=progress))


def draw_precision(data: PrecisionErrors) -> Figure:
    """Draw errors that have been computed."""
    figure = Figure(figsize=(COLUMN_WIDTH, 5.3), layout="constrained")
    relative, in_units = figure.subplots(2, 1, sharex=True)
    _draw_errors(relative, data, lambda p: 1.0, tick_bits=16)
    _draw_errors(in_units, data, lambda p: 2.0**p, tick_bits=2)

    relative.set_title(data.name, fontsize=TEXT, pad=16)
    relative.set_ylabel("maximum relative error", fontsize=TEXT)
    in_units.set_ylabel("maximum relative error / u", fontsize=TEXT)
    in_units.set_xlabel("significand precision p (bits)", fontsize=TEXT)
    _name_formats(relative)
    figure.legend(
        handles=list(_legend(data)),
        loc="outside upper center",
        ncols=2,
        fontsize=SMALL,
        frameon=False,
    )
    figure.supxlabel(_caption(data), x=0.02, ha="left", fontsize=SMALL, linespacing=1.2)
    return figure


def demand_ending(path: str | Path) -> None:
    """ValueError unless the path ends in .png, .svg or .pdf."""
    ending = Path(path).suffix
    if ending not in ENDINGS:
        raise ValueError(f"path {str(path)!r} ends in {ending!r}; use one of {', '.join(ENDINGS)}")


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format that the ending of the path names: .png, .svg or .pdf.

    ValueError for any other ending; OSError where the file cannot be written.
    """
    demand_ending(path)
    figure.savefig(path, dpi=300)


def _draw_errors(
    axes: Axes, data: PrecisionErrors, scale: Callable[[int], float], tick_bits: int
) -> None:
    """Curves, markers, bound and u, every error times ``scale(p)``."""
    factors = np.array([scale(p) for p in data.precisions])
    units = np.array([2.0**-p for p in data.precisions])
    axes.plot(data.precisions, units * factors, **UNIT)
    for form, style in _styled(data):
        axes.plot(data.precisions, data.errors[form] * factors, linewidth=1.0, **style)
        for name, error in data.formats[form].items():
            p = FORMATS[name].precision
            if math.isfinite(error):
                axes.plot(p, error * scale(p), color=style["color"], **FINITE)
            else:  # there is no such error: at the top of the axes, whatever their scale
                top = axes.get_xaxis_transform()
                axes.plot(p, 0.95, color=style["color"], transform=top, **NOT_FINITE)
    axes.plot(data.precisions, data.bounds * factors, **BOUND)

    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=2.0**tick_bits))
    axes.yaxis.set_major_formatter(LogFormatterMathtext(base=2))
    axes.xaxis.set_major_locator(MultipleLocator(16))
    axes.minorticks_off()
    axes.tick_params(labelsize=SMALL)
    axes.grid(axis="y", color="0.9", linewidth=0.5)
    for fmt in FORMATS.values():
        axes.axvline(fmt.precision, color="0.9", linewidth=0.5, zorder=0)
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
            fontsize=SMALL,
            color="0.3",
        )


def _styled(data: PrecisionErrors) -> Iterator[tuple[str, dict[str, Any]]]:
    return zip(data.errors, itertools.cycle(STYLES), strict=False)


def _legend(data: PrecisionErrors) -> Iterator[Line2D]:
    for form, style in _styled(data):
        label = "as published" if form == PUBLISHED else form
        yield Line2D([], [], linewidth=1.0, label=label, **style)
    if np.isfinite(data.bounds).any():
        yield Line2D([], [], label=f"bound proven for: {PROVEN_FORM[data.name]}", **BOUND)
    yield Line2D([], [], label="u = $2^{-p}$", **UNIT)
    yield Line2D([], [], color="black", label="named format", **FINITE)
    if any(math.isinf(e) for errors in data.formats.values() for e in errors.values()):
        yield Line2D([], [], color="black", label="result not finite", **NOT_FINITE)


def _caption(data: PrecisionErrors) -> str:
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
    command = f"softproof plot precision {data.name} --output FILE"
    return textwrap.fill(" ".join(sentences), CAPTION_CHARACTERS) + "\n" + command
