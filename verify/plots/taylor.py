"""Taylor sums of a loss along a step, inside the disc of convergence and outside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flint
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ...derivations.step_radius.certify import certify
from ...derivations.step_radius.series import loss_coefficients
from . import style
from .plot import Cell, Plot, Progress, ignore
from .samples import Sample, read_row

ROW = 29  # of the digits, as in ``ghosts``
ORDER = 64
DRAWN = (2, 4, 8, 16, 32, 64)
REACH = 1.6  # radii to each side that the loss is drawn on
STEPS = 161  # points of each curve
FRACTIONS = (0.5, 0.8, 0.95, 1.1, 1.25, 1.5)  # radii at which the error is drawn against the order
BITS = 1024

# One hue for the orders, two others for the sides of the radius, in both panels.
ORDERS = colormaps["Greens"]
INSIDE: dict[str, Any] = {"color": style.BLUE, "linestyle": "-", "linewidth": 1.0}
OUTSIDE: dict[str, Any] = {"color": style.VERMILION, "linestyle": "--", "linewidth": 1.0}
SIDE: dict[str, Any] = {"alpha": 0.1, "linewidth": 0, "zorder": 0}

Reals = NDArray[np.float64]


def plot(
    logits: str | Path | None = None,
    slopes: str | Path | None = None,
    *,
    row: int = ROW,
    label: int | None = None,
    order: int = ORDER,
    steps: int = STEPS,
    progress: Progress = ignore,
) -> Plot:
    """Partial sums of the Taylor series of the cross-entropy of one sample along a step t.

    Upper axes: the loss and its partial sums of order 2, 4, ...; they agree inside (-rho, rho) and
    leave it outside, however many terms there are. Lower axes: the error of the sum against the
    order, for steps inside the disc and outside. Coefficients and loss are computed in ball
    arithmetic.

    Parameters
    ----------
    logits
        A file as of ``softproof radius``; None: the digits.
    slopes
        A file of slopes, where that of the logits holds none.
    row
        The index of the sample.
    label
        Its label; None: that of the file, or 0.
    order
        The highest order.
    steps
        How many steps t are computed.
    progress
        ``progress(done, total)`` counts steps.

    Returns
    -------
    Plot
        The figure and its table.

    Raises
    ------
    ValueError
        For a sample whose series converges everywhere, and files with no such row.
    """
    if order < 2:
        raise ValueError(f"order is {order}; it must be at least 2")
    sample = read_row(logits, slopes, row, label)
    if not np.isfinite(sample.logits[sample.label]):
        raise ValueError(f"label {sample.label} is masked in {sample.described}: its loss is inf")
    kept = np.isfinite(sample.logits)
    certified = certify(sample.logits[kept], sample.slopes[kept])
    if not certified.upper < math.inf:
        raise ValueError(f"the series of {sample.described} converges everywhere: equal slopes")
    radius = certified.lower
    curves = _computed(sample, radius, order, steps, progress)
    figure = style.new_figure(5.4)
    above, below = figure.subplots(2, 1)
    handles = [*_draw_sums(above, curves, radius), *_draw_errors(below, curves)]
    style.legend(figure, handles, columns=3)
    command = style.command(
        "taylor",
        *(path for path in (logits, slopes) if path),
        row=row if row != ROW else None,
        label=label,
        order=order if order != ORDER else None,
    )
    text = (
        f"Cross-entropy of {sample.described}, label {sample.label}, along a step of length t, "
        f"and its Taylor sums at t\xa0=\xa00. The series converges for |t| < ρ = {radius:.6g}, the "
        "modulus of the nearest complex zero of the partition function. Below: the error at "
        "steps of t\xa0=\xa00.5\xa0ρ ... 1.5\xa0ρ."
    )
    style.caption(figure, text, command)
    return Plot(figure, command, ("series", "order", "t", "value"), list(_rows(curves)))


class _Curves(NamedTuple):
    t: Reals
    loss: Reals
    sums: dict[int, Reals]
    """Partial sums at t, by order."""
    steps: dict[float, float]
    """t at which errors are taken, by its fraction of the radius."""
    errors: dict[float, Reals]
    """|sum - loss| of orders 0, 1, ..., by the fraction."""


def _computed(sample: Sample, radius: float, order: int, steps: int, progress: Progress) -> _Curves:
    kept = np.isfinite(sample.logits)
    z, a = sample.logits[kept].tolist(), sample.slopes[kept].tolist()
    y = int(np.sum(kept[: sample.label]))
    coefficients = loss_coefficients(z, a, order, y)
    t = np.linspace(-REACH * radius, REACH * radius, steps)
    drawn = [n for n in DRAWN if n <= order]
    sums = {n: np.empty(steps) for n in drawn}
    loss = np.empty(steps)
    errors, at = {}, {}
    with flint.ctx.workprec(BITS):
        for i, point in enumerate(t.tolist()):
            partial = _partial_sums(coefficients, point)
            loss[i] = float(_loss(z, a, y, point))
            for n in drawn:
                sums[n][i] = float(partial[n])
            progress(i + 1, steps + len(FRACTIONS))
        for i, fraction in enumerate(FRACTIONS):
            at[fraction] = fraction * radius
            exact = _loss(z, a, y, at[fraction])
            partial = _partial_sums(coefficients, at[fraction])
            errors[fraction] = np.array([float(abs(each - exact)) for each in partial])
            progress(steps + i + 1, steps + len(FRACTIONS))
    return _Curves(t, loss, sums, at, errors)


def _partial_sums(coefficients: Sequence[flint.arb], t: float) -> list[flint.arb]:
    x = flint.arb(t)
    return list(itertools.accumulate(c * x**n for n, c in enumerate(coefficients)))


def _loss(z: Sequence[float], a: Sequence[float], y: int, t: float) -> flint.arb:
    terms = [flint.arb(zk) + flint.arb(ak) * flint.arb(t) for zk, ak in zip(z, a, strict=True)]
    return sum((term - terms[y]).exp() for term in terms).log()


def _draw_sums(axes: Axes, curves: _Curves, radius: float) -> Iterator[Line2D]:
    shades = np.linspace(0.45, 0.95, len(curves.sums))
    for (n, sums), shade, line in zip(
        curves.sums.items(), shades, itertools.cycle(style.LINES), strict=False
    ):
        look = {"color": ORDERS(shade), "linestyle": line["linestyle"], "linewidth": 1.2}
        (handle,) = axes.plot(curves.t, sums, label=f"order {n}", **look)
        yield handle
    (handle,) = axes.plot(curves.t, curves.loss, label="loss", **style.BOUND)
    yield handle
    for edge in (-radius, radius):
        axes.axvline(edge, **style.GUIDE)
    yield Line2D([], [], label=r"$t = \pm\rho$", **style.GUIDE)
    axes.axvspan(-radius, radius, facecolor=INSIDE["color"], **SIDE)
    for outer in (-REACH * radius, REACH * radius):
        axes.axvspan(math.copysign(radius, outer), outer, facecolor=OUTSIDE["color"], **SIDE)
    low, high = float(curves.loss.min()), float(curves.loss.max())
    axes.set_ylim(low - 0.3 * (high - low), high + 0.3 * (high - low))
    axes.set_xlim(float(curves.t[0]), float(curves.t[-1]))
    style.finish(axes, "t (step length)", "loss (nats)")


def _draw_errors(axes: Axes, curves: _Curves) -> Iterator[Line2D]:
    for fraction, errors in curves.errors.items():
        line = INSIDE if fraction < 1 else OUTSIDE
        axes.plot(range(len(errors)), errors, **line)
        axes.annotate(
            f"{fraction:g} ρ",
            (len(errors) - 1, errors[-1]),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
            color=line["color"],
            annotation_clip=False,
        )
    axes.set_yscale("log")
    axes.set_xlim(0, len(next(iter(curves.errors.values()))) - 1)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.minorticks_off()
    style.finish(axes, "order of the Taylor sum", "|sum - loss| (nats)")
    yield Line2D([], [], label="|t| < ρ", **INSIDE)
    yield Line2D([], [], label="|t| > ρ", **OUTSIDE)


def _rows(curves: _Curves) -> Iterator[tuple[Cell, ...]]:
    for t, loss in zip(curves.t.tolist(), curves.loss.tolist(), strict=True):
        yield "loss", None, t, loss
    for n, sums in curves.sums.items():
        for t, value in zip(curves.t.tolist(), sums.tolist(), strict=True):
            yield "sum", n, t, value
    for fraction, errors in curves.errors.items():
        for n, error in enumerate(errors.tolist()):
            yield "error", n, curves.steps[fraction], error
