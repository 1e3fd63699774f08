"""H-consistency bounds: T_tau and Gamma_tau of the comp-sum losses, with sampled regrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ...derivations.h_consistency.conditional_regret import (
    infimum,
    least_error,
    least_error_predicting,
)
from ...kernels.h_consistency.transform import consistency_gamma, consistency_transform
from . import style
from .plot import Cell, Plot, Progress, ignore

MOST_TAUS = 6
TAUS = (0.0, 0.5, 1.0, 1.5, 2.0)
NAMED = {0.0: "sum-exponential", 1.0: "logistic", 2.0: "mean absolute error"}
CLASSES, SAMPLES = 3, 300
STEPS = 101  # of each curve
GRAINS = 10_000  # of which a sampled probability is a multiple
SEED = 0

SAMPLE: dict[str, Any] = {
    "linestyle": "",
    "marker": ".",
    "markersize": 2.5,
    "markeredgewidth": 0,
    "alpha": 0.7,
    "color": style.SKY,
    "rasterized": True,
}
TRANSFORM: dict[str, Any] = {"color": style.VERMILION, "linestyle": "-", "linewidth": 1.2}
GAMMA: dict[str, Any] = {"color": style.BLUE, "linestyle": "-", "linewidth": 1.2}
INFIMUM: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 0.8}

Reals = NDArray[np.float64]


class _Curves(NamedTuple):
    """What is drawn of one tau: the transform with its inverse, the infimum, sampled regrets."""

    b: Reals
    transform: Reals
    infimum: Reals | None
    """The infimum of the surrogate regret at b; None where it is T_tau itself."""
    y: Reals
    gamma: Reals
    samples: Reals
    """Columns: 0-1 regret and least surrogate regret of a sampled p and a predicted class."""


def plot(
    taus: Sequence[float] = (),
    *,
    classes: int = CLASSES,
    samples: int = SAMPLES,
    progress: Progress = ignore,
) -> Plot:
    """T_tau and its inverse Gamma_tau, for several tau, and regrets of sampled distributions.

    A point is a random distribution of the classes and a class that is predicted in place of the
    likeliest: its 0-1 regret b, and the least surrogate regret over all scores that predict it.
    None lies below T_tau, or above Gamma_tau. Where the least surrogate regret at b over all
    distributions is above T_tau, which is then not tight, it is a dashed line. (Mao, Mohri, Zhong
    2023, arXiv 2304.07288; see `softproof.derivations.h_consistency.transform`.)

    Parameters
    ----------
    taus
        The parameters of the losses, up to MOST_TAUS; none for TAUS.
    classes
        The number of classes, at least 2.
    samples
        How many distributions are sampled, at least 1.
    progress
        ``progress(done, total)`` counts taus.

    Returns
    -------
    Plot
        The figure and its table.

    Raises
    ------
    ValueError
        For a tau that is negative or not finite, too many of them, or a number out of range.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; it must be at least 1")
    curves = {}
    chosen = list(dict.fromkeys(taus or TAUS))
    if len(chosen) > MOST_TAUS:
        raise ValueError(f"there are {len(chosen)} taus; at most {MOST_TAUS} can be drawn legibly")
    for done, tau in enumerate(chosen, 1):
        curves[tau] = _computed(tau, classes, samples)
        progress(done, len(chosen))
    figure = style.new_figure(3.9, style.PAGE_WIDTH)
    panels = figure.subplots(2, len(curves), squeeze=False)
    for (above, below), (tau, found) in zip(panels.T, curves.items(), strict=True):
        _draw(above, below, found)
        title = rf"$\tau$ = {tau:g}" + f"\n{NAMED.get(tau, ' ')}"
        style.finish(above, "0-1 regret b", title=title, grid="both")
        style.finish(below, "surrogate regret y", grid="both")
    style.finish(panels[0, 0], y=r"surrogate regret, $T_\tau(b)$", grid="both")
    style.finish(panels[1, 0], y=r"0-1 regret, $\Gamma_\tau(y)$", grid="both")
    style.legend(figure, _legend(curves), columns=4)
    command = style.command(
        "consistency",
        tau=[repr(float(tau)) for tau in taus],
        classes=classes if classes != CLASSES else None,
        samples=samples if samples != SAMPLES else None,
    )
    text = (
        f"Conditional regrets of comp-sum losses for {classes} classes. Points: {samples} random "
        "distributions for each tau, with the least surrogate regret of scores that predict a "
        "given class. Lines: the bound of Mao, Mohri and Zhong (2023) that none may pass."
    )
    style.caption(figure, text, command)
    return Plot(figure, command, ("series", "tau", "zero_one", "surrogate"), list(_rows(curves)))


def _computed(tau: float, classes: int, samples: int) -> _Curves:
    b = np.linspace(0.0, 1.0, STEPS)
    transform = np.asarray(consistency_transform(b, tau, classes))
    least = None
    if tau > 1 and classes > 2:
        least = np.array(
            [float(infimum(x, Fraction(tau), classes).value.mid()) for x in b.tolist()]
        )
    y = np.linspace(0.0, float(transform[-1]), STEPS)
    rng = np.random.default_rng(SEED)
    points = [_sampled(rng, Fraction(tau), classes) for _ in range(samples)]
    gamma = np.asarray(consistency_gamma(y, tau, classes))
    return _Curves(b, transform, least, y, gamma, np.array(points))


def _sampled(rng: np.random.Generator, tau: Fraction, classes: int) -> tuple[float, float]:
    """The regrets of a random distribution, whose probabilities add up to 1 exactly."""
    grains = rng.multinomial(GRAINS, rng.dirichlet(np.full(classes, 0.5)))
    p = sorted((Fraction(int(n), GRAINS) for n in grains), reverse=True)
    predicted = int(rng.integers(1, classes))
    regret = least_error_predicting(p, predicted, tau) - least_error(p, tau)
    return float(p[0] - p[predicted]), max(float(regret.mid()), 0.0)


def _draw(above: Axes, below: Axes, found: _Curves) -> None:
    zero_one, surrogate = found.samples.T
    above.plot(zero_one, surrogate, **SAMPLE)
    below.plot(surrogate, zero_one, **SAMPLE)
    if found.infimum is not None:
        above.plot(found.b, found.infimum, **INFIMUM)
        below.plot(found.infimum, found.b, **INFIMUM)
    above.plot(found.b, found.transform, **TRANSFORM)
    below.plot(found.y, found.gamma, **GAMMA)
    top = 1.6 * float(found.transform[-1])  # the regrets of others are of no interest here
    above.set(xlim=(0, 1.02), ylim=(0, top))
    below.set(xlim=(0, top), ylim=(0, 1.02))
    for axis in (above.xaxis, above.yaxis, below.xaxis, below.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.set_major_formatter("{x:g}")


def _legend(curves: dict[float, _Curves]) -> Iterator[Line2D]:
    yield Line2D([], [], label=r"$T_\tau$", **TRANSFORM)
    yield Line2D([], [], label=r"$\Gamma_\tau$", **GAMMA)
    yield Line2D([], [], label="sampled distribution", **{**SAMPLE, "markersize": 5})
    if any(found.infimum is not None for found in curves.values()):
        yield Line2D([], [], label=r"least regret, above $T_\tau$", **INFIMUM)


def _rows(curves: dict[float, _Curves]) -> Iterator[tuple[Cell, ...]]:
    for tau, found in curves.items():
        series: dict[str, Iterable[Reals]] = {
            "transform": (found.b, found.transform),
            "gamma": (found.gamma, found.y),
            "sample": found.samples.T,
        }
        if found.infimum is not None:
            series["infimum"] = (found.b, found.infimum)
        for name, (zero_one, surrogate) in series.items():
            for pair in zip(zero_one.tolist(), surrogate.tolist(), strict=True):
                yield name, tau, *pair
