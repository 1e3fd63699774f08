"""The figures of `softproof bench`: time per element by shape, by distribution, by row length."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ...derivations.arithmetic.formats import FORMATS
from ..plots import style
from ..plots.style import BLUE, GREEN, MARKERS, ORANGE, PURPLE, SKY, SMALL, TEXT, VERMILION
from .adversarial_inputs import LEAST_TIMES_PYTORCH, MOST_TIMES_NORMAL
from .limits import TRAFFIC, second_level_cache
from .operations import INSTALLED, KEPT, counted, described
from .peers import PYTORCH, SOFTPROOF, UFUNC
from .problems import TINY, TITLES

STYLES: dict[str, dict[str, Any]] = {
    SOFTPROOF: {"color": VERMILION, "marker": "o"},
    PYTORCH: {"color": BLUE, "marker": "s"},
    f"{PYTORCH}, {KEPT}": {"color": BLUE, "marker": "s", "fillstyle": "none"},
    "ONNX Runtime": {"color": GREEN, "marker": "^"},
    "LiteRT": {"color": ORANGE, "marker": "D"},
    "JAX": {"color": PURPLE, "marker": "v"},
    "SciPy": {"color": SKY, "marker": "P"},
    UFUNC: {"color": "0.4", "marker": "x"},
}
LIMITS = ("--", "-.", ":")


def draw_cases(cases: Sequence[dict[str, Any]], about: dict[str, Any]) -> Figure:
    """Draw the nanoseconds per element of every candidate at every shape.

    One panel for each kind of operation and number of threads; bars span the quartiles.

    Parameters
    ----------
    cases
        Those of `operations.run`.
    about
        What `machine.about` says.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    panels = list(dict.fromkeys((case["operation"], case["threads"]) for case in cases))
    figure, grid = _figure(len(panels), 2.6)
    for axes, (kind, threads) in zip(grid, panels, strict=True):
        chosen = [c for c in cases if (c["operation"], c["threads"]) == (kind, threads)]
        # Calls of a few elements are a hundred times dearer for each: they stay in the table.
        chosen = [c for c in chosen if math.prod(c["shape"]) > TINY] or chosen
        shapes = list(dict.fromkeys(tuple(case["shape"]) for case in chosen))
        here = {_label(case, entry) for case, entry in _entries(chosen)}
        looks = _styles(here)
        names = list(looks)
        for i, name in enumerate(names):
            points = [
                (shapes.index(tuple(case["shape"])), nanoseconds(case, entry))
                for case, entry in _entries(chosen)
                if _label(case, entry) == name
            ]
            low, middle, high = np.array([quartiles for _, quartiles in points]).T
            axes.errorbar(
                [place + 0.7 * (i / max(1, len(names) - 1) - 0.5) for place, _ in points],
                middle,
                [middle - low, high - middle],
                linestyle="",
                linewidth=0.8,
                markersize=4,
                label=name,
                **looks[name],
            )
        limits = [
            (shapes.index(tuple(case["shape"])), limit_of(entry))
            for case, entry in _entries(chosen)
            if entry.get("share_of_limit")
        ]
        if limits:
            places, least = zip(*limits, strict=True)
            label = "memory, for softproof's traffic"
            axes.hlines(
                least,
                [place - 0.4 for place in places],
                [place + 0.4 for place in places],
                color="0.3",
                linewidth=0.8,
                linestyle=":",
                label=label,
            )
        for edge in range(1, len(shapes)):
            axes.axvline(edge - 0.5, color="0.9", linewidth=0.5, zorder=0)
        axes.set_xticks(range(len(shapes)), [_typeset(shape) for shape in shapes])
        counted_axes = chosen[0].get("axes", ("rows", "classes"))
        axes.set_xlabel(" × ".join(counted_axes), fontsize=TEXT)
        dtype = chosen[0]["dtype"]
        time_axis(axes, f"{TITLES.get(kind, kind)}, {dtype}, {counted(threads)}")
    _legend(figure, grid)
    measured = "Time of one call over the number of logits; medians, bars between the quartiles."
    if any(case.get("axes", ["rows"])[0] == "cases" for case in cases):
        measured = measured.replace("of logits", "of entries of the arguments that are not shared")
    _caption(figure, about, measured)
    return figure


def draw_bad_days(entries: Sequence[dict[str, Any]], about: dict[str, Any]) -> Figure:
    """Draw both ratios of every hostile distribution.

    One panel for each kind of operation and number of threads, one marker for each shape.

    Parameters
    ----------
    entries
        Those of `adversarial_inputs.run`.
    about
        What `machine.about` says.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    panels = list(dict.fromkeys((entry["operation"], entry["threads"]) for entry in entries))
    figure = style.new_figure(0.6 + 2.9 * len(panels), style.PAGE_WIDTH)
    grid = figure.subplots(len(panels), 2, sharey=True, squeeze=False)
    ratios = (
        ("times_normal", "our time / our time on normal rows", MOST_TIMES_NORMAL),
        ("times_pytorch", "PyTorch's time / our time", LEAST_TIMES_PYTORCH),
    )
    for row, (kind, threads) in zip(grid, panels, strict=True):
        chosen = [e for e in entries if (e["operation"], e["threads"]) == (kind, threads)]
        names = list(dict.fromkeys(entry["distribution"] for entry in chosen))
        shapes = list(dict.fromkeys(tuple(entry["shape"]) for entry in chosen))
        for axes, (key, label, aim) in zip(row, ratios, strict=True):
            for shape, marker in zip(shapes, itertools.cycle(MARKERS), strict=False):
                points = [
                    (entry[key][1], names.index(entry["distribution"]))
                    for entry in chosen
                    if tuple(entry["shape"]) == shape and entry[key] is not None
                ]
                if points:
                    axes.plot(
                        *zip(*points, strict=True),
                        linestyle="",
                        markersize=4,
                        label=_typeset(shape),
                        **marker,
                    )
            axes.axvline(aim, color="black", linewidth=0.8)
            axes.set_xlabel(label, fontsize=TEXT)
            axes.tick_params(labelsize=SMALL)
            axes.grid(color="0.9", linewidth=0.5)
            axes.set_xlim(left=0)
        row[0].set_yticks(range(len(names)), names)
        row[0].invert_yaxis()
        row[0].set_title(
            f"{TITLES.get(kind, kind)}, {chosen[0]['dtype']}, {counted(threads)}",
            fontsize=TEXT,
            loc="left",
        )
    _legend(figure, list(grid[:, 0]))
    _caption(figure, about, "Black lines: aims, at most 2 on the left, at least 1 on the right.")
    return figure


def draw_row_lengths(entries: Sequence[dict[str, Any]], about: dict[str, Any]) -> Figure:
    """Draw the nanoseconds per element against the length of the row.

    One panel for each number of threads; the limits of two algorithms with the same traffic are one
    line.

    Parameters
    ----------
    entries
        Those of `row_length.run`.
    about
        What `machine.about` says.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    threads = sorted({entry["threads"] for entry in entries})
    figure, grid = _figure(len(threads), 3.4)
    for axes, count in zip(grid, threads, strict=True):
        chosen = [entry for entry in entries if entry["threads"] == count]
        lengths = [entry["classes"] for entry in chosen]
        for name, marker in zip(TRAFFIC, MARKERS, strict=False):
            times = [entry["nanoseconds_per_element"][name] for entry in chosen]
            axes.plot(lengths, times, linewidth=1.0, markersize=3, label=name, **marker)
        bounded = [entry for entry in chosen if entry["limits"]]
        for (reads, writes), dashes in zip(dict.fromkeys(TRAFFIC.values()), LIMITS, strict=True):
            name = next(name for name, moved in TRAFFIC.items() if moved == (reads, writes))
            axes.plot(
                [entry["classes"] for entry in bounded],
                [entry["limits"][name] for entry in bounded],
                color="0.3",
                linewidth=0.9,
                linestyle=dashes,
                label=f"memory: {reads} reads, {writes} write{'s' if writes > 1 else ''}",
            )
        fits = second_level_cache() // (2 * FORMATS[chosen[0]["dtype"]].dtype.itemsize)
        axes.axvline(fits, color="0.7", linewidth=0.8, zorder=0)
        axes.annotate(
            " a row and its result fill the second-level cache",
            (fits, 0.98),
            xycoords=axes.get_xaxis_transform(),
            va="top",
            fontsize=SMALL,
            color="0.4",
        )
        axes.set_xscale("log", base=2)
        axes.set_xlabel("classes in the one row", fontsize=TEXT)
        time_axis(axes, f"softmax of one row, {chosen[0]['dtype']}, {counted(count)}")
    _legend(figure, grid)
    _caption(figure, about, "Time of one call over the number of logits, medians.")
    return figure


def _styles(names: Collection[str]) -> dict[str, dict[str, Any]]:
    """How each name is drawn: libraries in their own colours, subjects in those that come next."""
    known = {name: style for name, style in STYLES.items() if name in names}
    others = sorted(name for name in names if name not in STYLES)
    return known | dict(zip(others, itertools.cycle(MARKERS), strict=False))


def _figure(panels: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = style.new_figure(0.9 + height * panels, style.PAGE_WIDTH)
    return figure, list(figure.subplots(panels, 1, squeeze=False)[:, 0])


def _entries(cases: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Candidates with their case; where pages are kept, PyTorch alone."""
    for case in cases:
        for entry in case["candidates"]:
            if case["allocator"] == INSTALLED or entry["name"] == PYTORCH:
                yield case, entry


def _label(case: dict[str, Any], entry: dict[str, Any]) -> str:
    name: str = entry["name"]
    return name if case["allocator"] == INSTALLED else f"{name}, {KEPT}"


def nanoseconds(case: dict[str, Any], entry: dict[str, Any]) -> tuple[float, ...]:
    """Compute the quartiles of the time per element of a candidate.

    Parameters
    ----------
    case
        A case of `operations.run`.
    entry
        One of its candidates.

    Returns
    -------
    tuple of float
        First quartile, median and third quartile, in nanoseconds.
    """
    elements = case.get("elements", math.prod(case["shape"]))
    each = np.array(entry["seconds"]) * 1e9 / elements
    return tuple(float(quartile) for quartile in np.quantile(each, (0.25, 0.5, 0.75)))


def limit_of(entry: dict[str, Any]) -> float:
    """Compute the nanoseconds per element that memory takes for the traffic of our kernel.

    Parameters
    ----------
    entry
        The candidate of ours in a case of `operations.run`.

    Returns
    -------
    float
        The median.
    """
    return float(entry["nanoseconds_per_element"] * entry["share_of_limit"][1])


def _typeset(shape: Sequence[int]) -> str:
    return re.sub(r"2\^(\d+)", r"$2^{\1}$", described(shape)).replace(" x ", " × ")


def time_axis(axes: Axes, title: str) -> None:
    """Make y a logarithmic axis of nanoseconds per element.

    Parameters
    ----------
    axes
        Where it is drawn.
    title
        What stands above.
    """
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("ns per element", fontsize=TEXT)
    axes.set_title(title, fontsize=TEXT, loc="left")
    axes.tick_params(labelsize=SMALL)
    axes.grid(axis="y", color="0.9", linewidth=0.5)


def _legend(figure: Figure, grid: Sequence[Axes]) -> None:
    """One legend of all panels."""
    found: dict[str, Any] = {}
    for axes in grid:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    style.legend(figure, found.values(), columns=4)


def _caption(figure: Figure, about: dict[str, Any], measured: str) -> None:
    machine = about["machine"]
    text = (
        f"{measured} {machine['processor']}, {machine['processors']} processors, {about['date']}."
    )
    style.caption(figure, text, about["command"])
