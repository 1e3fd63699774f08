"""Ghosts: the complex zeros of the partition function along a step, and where they cannot be.

F(t) = sum_k exp(z_k + a_k t), as in `softproof.derivations.step_radius.partition`; t = s + iy.
The shade is |F(s + iy)| / F(s), at most 1 and 0 at the zeros alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from numpy.typing import NDArray

from ...derivations.step_radius.certify import certify
from . import style
from .plot import Cell, Plot, Progress, ignore
from .samples import read_row

ROW = 29  # of the digits: all bounds differ there
WIDTH = 1.8  # of the window to each side, in radii
POINTS = 241  # of the shade, along each side
MOST_TERMS = 1 << 20  # exponentials that are held at once

ZERO: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "markersize": 4.5,
    "markerfacecolor": "white",
    "markeredgecolor": "black",
    "zorder": 4,
}
DISC: dict[str, Any] = {"edgecolor": style.VERMILION, "linewidth": 1.6, "fill": False}
STRIP: dict[str, Any] = {"color": style.BLUE, "linestyle": "--", "linewidth": 1.2}
HALF_MASS: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": style.ORANGE,
    "hatch": "///",
    "linewidth": 0.8,
}
VARIANCE: dict[str, Any] = {"color": style.GREEN, "linestyle": "-.", "linewidth": 1.4}

Reals = NDArray[np.float64]
Points = NDArray[np.complex128]


def plot(
    logits: str | Path | None = None,
    slopes: str | Path | None = None,
    *,
    row: int = ROW,
    points: int = POINTS,
    progress: Progress = ignore,
) -> Plot:
    """Portrait of F in the complex plane of the step: zeros, disc of convergence, free regions.

    Proven to be free of zeros are: the strip |Im t| < pi / Delta; all s where a class holds more
    than half the mass; |Im t| < sqrt(2 / Var) with the variance of the slopes at s. The disc ends
    at the nearest zero.

    Parameters
    ----------
    logits
        A file as of ``softproof radius``; None: the digits.
    slopes
        A file of slopes, where that of the logits holds none.
    row
        The index of the sample.
    points
        How many points the portrait has on a side.
    progress
        ``progress(done, total)`` counts steps of the computation.

    Returns
    -------
    Plot
        The figure and its table.

    Raises
    ------
    ValueError
        For a sample without zeros, or files that hold no such row.
    """
    sample = read_row(logits, slopes, row)
    kept = np.isfinite(sample.logits)
    z, a = sample.logits[kept], sample.slopes[kept]
    certified = certify(z, a)
    if not certified.upper < math.inf:
        raise ValueError(f"F has no zero for {sample.described}: its slopes are all equal")
    portrait = _portrait(z, a, certified.upper, points, progress)

    figure = style.new_figure(4.2)
    axes = figure.subplots()
    _draw(axes, portrait)
    style.finish(axes, "Re t (step length)", "Im t (step length)", grid="")
    image = axes.images[0]
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=30)
    bar.set_label("|F(t)| / F(Re t)", fontsize=style.TEXT)
    bar.ax.tick_params(labelsize=style.SMALL)
    style.legend(figure, _legend())
    command = style.command(
        "ghosts", *(path for path in (logits, slopes) if path), row=row if row != ROW else None
    )
    text = (
        f"The partition function F of {sample.described} along a step of length t, K = {len(z)}: "
        f"nearest zero at {certified.lower:.6g}, pi/Delta = {portrait.strip:.6g}. "
        f"{_told(portrait)} No zero lies in the strip, where a class holds more than half the "
        "mass, or between the variance curves. Inside the disc the Taylor series "
        "of the loss at t\xa0=\xa00 converges."
    )
    style.caption(figure, text, command)
    return Plot(figure, command, ("series", "re", "im", "value"), list(_rows(portrait)))


class _Portrait(NamedTuple):
    reals: Reals
    """Real parts s, and imaginary parts y, of the points of the shade."""
    ratio: Reals
    """|F(s + iy)| / F(s), rows for y."""
    zeros: Points
    expected: int
    """Zeros in the window by the argument principle."""
    radius: float
    strip: float
    """pi / Delta."""
    majority: NDArray[np.bool_]
    """Whether a class holds more than half the mass at s."""
    height: Reals
    """sqrt(2 / Var) at s."""


def _portrait(z: Reals, a: Reals, radius: float, points: int, progress: Progress) -> _Portrait:
    half = WIDTH * radius
    reals = np.linspace(-half, half, points)
    ratio = np.empty((points, points))
    for i, y in enumerate(reals):
        ratio[i] = _ratio(z, a, reals + 1j * y)
        progress(i + 1, points)
    p = np.exp(z + a * reals[:, None] - np.max(z + a * reals[:, None], axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    mean = (p @ a)[:, None]
    variance = np.sum(p * (a - mean) ** 2, axis=1)
    with np.errstate(divide="ignore"):
        height = np.sqrt(2 / variance)
    return _Portrait(
        reals,
        ratio,
        _zeros(z, a, reals, ratio),
        _count(z, a, half),
        radius,
        math.pi / float(np.ptp(a)),
        np.max(p, axis=1) > 0.5,
        height,
    )


def _terms(z: Reals, a: Reals, t: Points) -> tuple[Points, Points]:
    """F and its derivative at points, both over F(Re t)."""
    exponents = z + a * t[..., None]
    shifted = np.exp(exponents - np.max(exponents.real, axis=-1, keepdims=True))
    total = np.sum(np.abs(shifted), axis=-1)
    return np.sum(shifted, axis=-1) / total, np.sum(a * shifted, axis=-1) / total


def _ratio(z: Reals, a: Reals, t: Points) -> Reals:
    return np.abs(_terms(z, a, t)[0])


def _zeros(z: Reals, a: Reals, reals: Reals, ratio: Reals) -> Points:
    """The zeros in the window, by Newton's method from the darkest points of the shade."""
    inner = ratio[1:-1, 1:-1]
    lowest = np.ones_like(inner, dtype=bool)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            rows, columns = len(ratio) - 1 + dy, len(ratio) - 1 + dx
            lowest &= inner <= ratio[1 + dy : rows, 1 + dx : columns]
    i, j = np.nonzero(lowest)
    t = reals[j + 1] + 1j * reals[i + 1]
    for _ in range(50):
        value, slope = _terms(z, a, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = t - np.where(slope == 0, 0, value / slope)
    spacing = reals[1] - reals[0]
    found: list[complex] = []
    for point in t[_ratio(z, a, t) < 1e-9].tolist():
        inside = max(abs(point.real), abs(point.imag)) <= reals[-1]
        if inside and all(abs(point - other) > spacing / 100 for other in found):
            found.append(point)
    return np.array(sorted(found, key=lambda t: (abs(t), t.imag)), dtype=np.complex128)


def _count(z: Reals, a: Reals, half: float) -> int:
    """Zeros in the square, from the turns of F along its edge (the argument principle)."""
    corners = half * np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j, -1 - 1j])
    turns = 0.0
    for start, end in itertools.pairwise(corners):
        for points in (1 << 12, 1 << 16):
            path = np.linspace(start, end, points)
            # Divided by its largest term, whose turns are known, F turns slowly.
            middle = (a.max() + a.min()) / 2
            parts = np.array_split(path, 1 + path.size * a.size // MOST_TERMS)
            value = np.concatenate([_terms(z, a - middle, part)[0] for part in parts])
            steps = np.angle(value[1:] / value[:-1])
            if np.max(np.abs(steps)) < 1:
                break
        turns += float(np.sum(steps))
    return round(turns / (2 * math.pi))


def _draw(axes: Axes, portrait: _Portrait) -> None:
    half = portrait.reals[-1]
    axes.imshow(
        portrait.ratio,
        extent=(-half, half, -half, half),
        origin="lower",
        cmap="Greys_r",
        vmin=0.0,
        vmax=1.0,
        interpolation="bilinear",
    )
    for start, end in _runs(portrait.reals, portrait.majority):
        axes.axvspan(start, end, **HALF_MASS)
    height = np.where(portrait.majority, np.nan, portrait.height)
    for sign in (-1, 1):
        axes.axhline(sign * portrait.strip, **STRIP)
        axes.plot(portrait.reals, sign * height, **VARIANCE)
    axes.add_patch(Circle((0, 0), portrait.radius, **DISC))
    axes.plot(portrait.zeros.real, portrait.zeros.imag, **ZERO)
    axes.plot(0, 0, marker="+", color="black", markersize=5)
    axes.set_xlim(-half, half)
    axes.set_ylim(-half, half)


def _runs(s: Reals, inside: NDArray[np.bool_]) -> Iterator[tuple[float, float]]:
    """The intervals of s that are inside."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield float(s[start]), float(s[stop - 1])


def _legend() -> Iterator[Any]:
    yield Line2D([], [], label="zero of F (ghost)", **ZERO)
    yield Line2D([], [], color=style.VERMILION, linewidth=1.6, label="disc of convergence")
    yield Line2D([], [], label="strip |Im t| < $\\pi/\\Delta$", **STRIP)
    yield Line2D([], [], label="variance bound", **VARIANCE)
    yield Patch(label="half-mass bound", **HALF_MASS)


def _told(portrait: _Portrait) -> str:
    found = len(portrait.zeros)
    if found == portrait.expected:
        return f"All {found} zeros of the window are shown."
    return f"Of {portrait.expected} zeros in the window {found} were found."


def _rows(portrait: _Portrait) -> Iterator[tuple[Cell, ...]]:
    yield "radius", portrait.radius, 0.0, None
    yield "strip", None, portrait.strip, None
    for t in portrait.zeros.tolist():
        yield "zero", t.real, t.imag, 0.0
    for s, free, y in zip(
        portrait.reals.tolist(), portrait.majority.tolist(), portrait.height.tolist(), strict=True
    ):
        yield ("half-mass", s, None, None) if free else ("variance", s, y, None)
    for y, row in zip(portrait.reals.tolist(), portrait.ratio.tolist(), strict=True):
        for s, value in zip(portrait.reals.tolist(), row, strict=True):
            yield "ratio", s, y, value
