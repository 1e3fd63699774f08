"""How far below the exact radius each of its bounds is, over the samples of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import MultipleLocator, PercentFormatter
from numpy.typing import NDArray

from ...kernels import radius as radii
from ..studies.radius_report import NAMES
from . import style
from .plot import Cell, Plot, Progress, ignore
from .samples import read

BOUNDS = ("spread", "half_mass", "variance")


def plot(
    logits: str | Path | None = None,
    slopes: str | Path | None = None,
    *,
    progress: Progress = ignore,
) -> Plot:
    """The distribution of bound / exact radius, for each bound of ``softproof radius``.

    A curve shows the fraction of samples whose ratio is at most that of the abscissa: the farther
    right, the tighter the bound. Left out, and counted in the caption, are samples without zeros
    and those whose exact radius the kernel does not know.

    Parameters
    ----------
    logits
        A file as of ``softproof radius``; None: the digits.
    slopes
        A file of slopes, where that of the logits holds none.
    progress
        ``progress(done, total)`` is called once.

    Returns
    -------
    Plot
        The figure and its table.

    Raises
    ------
    ValueError
        If no sample is left.
    """
    samples = read(logits, slopes)
    found = radii(samples.logits, samples.slopes)
    progress(1, 1)
    known = np.isfinite(found.exact)
    if not known.any():
        raise ValueError(f"no sample of {samples.described} has a finite exact radius")
    exact = found.exact[known]
    ratios: dict[str, NDArray[np.float64]] = {
        name: getattr(found, name)[known] / exact for name in BOUNDS
    }

    figure = style.new_figure(3.4)
    axes = figure.subplots()
    handles = []
    rows: list[tuple[Cell, ...]] = []
    for (name, ratio), line in zip(ratios.items(), style.LINES, strict=False):
        order = np.argsort(ratio, kind="stable")
        share = np.arange(1, len(order) + 1) / len(order)
        label = f"{NAMES[name]}: median {np.median(ratio):.2f}"
        (handle,) = axes.plot(
            ratio[order], share, drawstyle="steps-post", linewidth=1.2, label=label, **line
        )
        handles.append(handle)
        told = (np.flatnonzero(known), getattr(found, name)[known], exact, ratio)
        columns = (values[order].tolist() for values in told)
        rows += zip([name] * len(order), *columns, share.tolist(), strict=True)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MultipleLocator(0.2))
    style.finish(axes, "bound / exact radius", "samples with at most this ratio", grid="both")
    style.legend(figure, handles)
    command = style.command("ladder", *(path for path in (logits, slopes) if path))
    left_out = len(known) - len(exact)
    text = f"{len(exact)} samples of {samples.described}, K = {samples.logits.shape[1]}."
    if left_out:
        text += f" Left out: {left_out} without a finite exact radius."
    style.caption(figure, text, command)
    return Plot(figure, command, ("bound", "sample", "value", "exact", "ratio", "share"), rows)
