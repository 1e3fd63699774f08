"""Time per element against size: our kernels, their peers, and what memory allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from ...derivations.arithmetic.formats import FORMATS
from ..plots import style
from ..plots.plot import Cell, Plot, Progress, ignore
from .limits import second_level_cache
from .machine import about
from .operations import counted, run
from .plot import STYLES, limit_of, nanoseconds, time_axis
from .problems import OPERATIONS, TITLES, Shape, demand_memory

CLASSES = 1024  # in a row; an array that is smaller is one row
SIZES = tuple(1 << k for k in range(8, 25, 2))  # below, a call costs more than its work
ROUNDS = 5
OPERATION, FORMAT = "softmax", "float32"

MEMORY: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 1.2}
CACHE: dict[str, Any] = {"color": "0.7", "linestyle": "-", "linewidth": 0.8, "zorder": 0}


def plot(
    operation: str = OPERATION,
    *,
    dtype: str = FORMAT,
    threads: int = 1,
    sizes: Sequence[int] = SIZES,
    rounds: int = ROUNDS,
    peers: Sequence[str] = (),
    progress: Progress = ignore,
) -> Plot:
    """Draw the nanoseconds per logit of rows of up to 1024 classes, by the number of logits.

    Measured anew on this machine as ``softproof bench`` does, interleaved: medians, and quartiles
    as a band. The dotted line is the time in which memory serves what our kernel reads and writes.

    Parameters
    ----------
    operation
        A key of `problems.OPERATIONS`.
    dtype
        The name of the format.
    threads
        How many each may use.
    sizes
        Numbers of logits.
    rounds
        How often each candidate is timed.
    peers
        The names of the peers; all that are installed if it is empty.
    progress
        Is told how many cases of how many are measured.

    Returns
    -------
    Plot
        The figure with its data and its command.

    Raises
    ------
    ValueError
        For what is not one of these, and for sizes that the memory does not hold.
    """
    if operation not in OPERATIONS:
        raise ValueError(f"operation is {operation!r}; use one of {', '.join(OPERATIONS)}")
    if dtype not in FORMATS:
        raise ValueError(f"dtype is {dtype!r}; use one of {', '.join(FORMATS)}")
    if threads < 1 or rounds < 1 or not sizes or min(sizes) < 1:
        raise ValueError("threads, rounds and all sizes must be at least 1")
    unknown = [name for name in peers if name not in STYLES]
    if unknown:
        raise ValueError(f"peers has {', '.join(unknown)}; use some of {', '.join(STYLES)}")
    shapes = [_shape(size) for size in sizes]
    demand_memory(shapes, dtype)
    cases = []
    total = len(shapes) * len(OPERATIONS[operation])
    for case in run(operation, dtype, shapes, [threads], rounds, only=tuple(peers)):
        cases.append(case)
        progress(len(cases), total)
    command = style.command(
        "speed",
        *([operation] if operation != OPERATION else []),
        dtype=dtype if dtype != FORMAT else None,
        threads=threads if threads != 1 else None,
        rounds=rounds if rounds != ROUNDS else None,
        peer=list(peers),
    )
    return draw(cases, about(), command)


def draw(cases: Sequence[dict[str, Any]], measured: dict[str, Any], command: str) -> Plot:
    """Draw cases of `operations.run` against the number of logits.

    Parameters
    ----------
    cases
        The cases, with the limits of memory.
    measured
        What `machine.about` says.
    command
        What makes the figure, which its caption names.

    Returns
    -------
    Plot
        The figure with its data and its command.
    """
    kinds = list(dict.fromkeys(case["operation"] for case in cases))
    figure = style.new_figure(1.2 + 2.5 * len(kinds))
    panels = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    rows: list[tuple[Cell, ...]] = []
    handles: dict[str, Line2D] = {}
    for axes, kind in zip(panels, kinds, strict=True):
        chosen = [case for case in cases if case["operation"] == kind]
        handles |= _draw(axes, chosen, rows)
        title = f"{TITLES.get(kind, kind)}, {chosen[0]['dtype']}, {counted(chosen[0]['threads'])}"
        time_axis(axes, title)
    panels[-1].set_xlabel("size (logits)", fontsize=style.TEXT)
    style.legend(figure, handles.values(), columns=3)
    machine = measured["machine"]
    text = (
        f"Rows of up to {CLASSES} classes; medians, bands between the quartiles. Grey line: logits "
        f"and results fill the second-level cache. {machine['processor']}, "
        f"{machine['processors']} processors, {measured['date']}."
    )
    style.caption(figure, text, command)
    columns = ("operation", "library", "size", "first_quartile", "median", "third_quartile")
    return Plot(figure, command, columns, rows)


def _draw(
    axes: Axes, cases: Sequence[dict[str, Any]], rows: list[tuple[Cell, ...]]
) -> dict[str, Line2D]:
    """Draw one operation and add its numbers, nanoseconds, to the rows; handles by label."""
    handles = {}
    here = {entry["name"] for case in cases for entry in case["candidates"]}
    for name in (name for name in STYLES if name in here):
        points = [
            (case["shape"][0] * case["shape"][1], *nanoseconds(case, entry))
            for case in cases
            for entry in case["candidates"]
            if entry["name"] == name
        ]
        sizes, low, middle, high = np.array(points).T
        line = STYLES[name]
        (handles[name],) = axes.plot(sizes, middle, linewidth=1.0, markersize=3, label=name, **line)
        axes.fill_between(sizes, low, high, color=line["color"], alpha=0.2, linewidth=0)
        rows += [(cases[0]["operation"], name, int(point[0]), *point[1:]) for point in points]
    least = [
        (case["shape"][0] * case["shape"][1], limit_of(entry))
        for case in cases
        for entry in case["candidates"]
        if entry.get("share_of_limit")
    ]
    if least:
        label = "memory limit"
        (handles[label],) = axes.plot(*zip(*least, strict=True), label=label, **MEMORY)
        rows += [(cases[0]["operation"], label, size, None, time, None) for size, time in least]
    itemsize = FORMATS[cases[0]["dtype"]].dtype.itemsize
    axes.axvline(second_level_cache() / (2 * itemsize), **CACHE)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=4))
    return handles


def _shape(size: int) -> Shape:
    classes = min(size, CLASSES)
    return max(1, size // classes), classes
