"""The radius through a training run, from the log that a radius clip keeps."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ...kernels import ClipRecord, clip_step, softmax
from . import style
from .plot import Plot, Progress, ignore

ENDINGS = (".csv", ".json", ".npz")
FIELDS = ClipRecord._fields

# The run that is logged where no file is given.
SAMPLES, FEATURES, CLASSES, NOISE = 500, 20, 10, 2.5
STEPS, RATE, MOMENTUM, BOUND = 200, 0.3, 0.9, "exact"
SPIKE, SPIKED = 1000, range(80, 120)  # times the rate, in these steps
RUN = (
    f"softmax regression on {SAMPLES} Gaussian samples of {CLASSES} classes, gradient descent with "
    f"momentum {MOMENTUM} and the rate {RATE}, {SPIKE} times it in steps {SPIKED[0]} to "
    f"{SPIKED[-1]}, clipped to one {BOUND} radius of the batch"
)

PROPOSED: dict[str, Any] = {"color": style.VERMILION, "linestyle": "-", "linewidth": 1.0}
TAKEN: dict[str, Any] = {"color": style.BLUE, "linestyle": "--", "linewidth": 1.0}
RADIUS: dict[str, Any] = {"color": "black", "linestyle": "-", "linewidth": 1.4}
CLIPPED: dict[str, Any] = {"color": "0.88", "zorder": 0, "linewidth": 0}

Reals = NDArray[np.float64]


class Log(NamedTuple):
    """The records of a clip, step by step: see `softproof.kernels.training.clip.ClipRecord`."""

    tau: Reals
    rho: Reals
    r: Reals
    factor: Reals


def plot(log: str | Path | None = None, *, progress: Progress = ignore) -> Plot:
    """The norm of the update, the radius of the batch and their ratio r, step by step.

    Grey are steps that were clipped.

    Parameters
    ----------
    log
        A file of clip records, with the fields tau, rho, r, factor: .csv with a header, .json with
        a list of records, or .npz with an entry for each; see `softproof.kernels.training.clip`.
        None logs a run of its own, NumPy only, with a spike of the learning rate.
    progress
        ``progress(done, total)`` counts steps of that run.

    Returns
    -------
    Plot
        The figure and its table.

    Raises
    ------
    ValueError
        For a file that is no such log.
    OSError
        If there is no such file.
    """
    found = trained(progress) if log is None else read(log)
    steps = np.arange(len(found.tau))
    figure = style.new_figure(4.2)
    above, below = figure.subplots(2, 1, sharex=True)
    clipped = found.factor < 1
    taken = found.factor * found.tau, found.factor * found.r
    above.plot(steps, _positive(found.tau), **PROPOSED)
    above.plot(steps, _positive(taken[0]), **TAKEN)
    above.plot(steps, _positive(found.rho), **RADIUS)
    below.plot(steps, _positive(found.r), **PROPOSED)
    below.plot(steps, _positive(taken[1]), **TAKEN)
    below.axhline(1.0, **style.GUIDE)
    for axes in (above, below):
        _shade(axes, clipped)
        axes.set_yscale("log")
        axes.set_xlim(-0.5, max(len(steps) - 0.5, 0.5))
    style.finish(above, y="norm of the step")
    style.finish(below, "training step", r"$r$ = norm / $\rho$")
    handles = [
        Line2D([], [], label="step proposed", **PROPOSED),
        Line2D([], [], label="step taken", **TAKEN),
        Line2D([], [], label=r"radius $\rho$ of the batch", **RADIUS),
        Line2D([], [], label="r = 1", **style.GUIDE),
    ]
    style.legend(figure, handles)
    command = style.command("radius", *([log] if log else []))
    what = RUN if log is None else f"the log {Path(log).name}"
    style.caption(
        figure,
        f"Steps and radii of {what}. Grey: clipped, {int(clipped.sum())} of {len(steps)} steps.",
        command,
    )
    columns = ("step", *FIELDS, "taken", "r_taken")
    rows = zip(steps.tolist(), *(x.tolist() for x in (*found, *taken)), strict=True)
    return Plot(figure, command, columns, list(rows))


def trained(progress: Progress = ignore) -> Log:
    """The log of the run that is drawn by default, which is the same at every call.

    Parameters
    ----------
    progress
        ``progress(done, total)`` counts steps.

    Returns
    -------
    Log
        One number for each step and field.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=SAMPLES)
    centres = rng.normal(size=(CLASSES, FEATURES))
    inputs = centres[labels] + NOISE * rng.normal(size=(SAMPLES, FEATURES))
    weights = np.zeros((FEATURES, CLASSES))
    velocity = np.zeros_like(weights)
    records = []
    for step in range(STEPS):
        logits = inputs @ weights
        p = softmax(logits)
        p[np.arange(SAMPLES), labels] -= 1
        velocity = MOMENTUM * velocity - inputs.T @ p / SAMPLES
        update = RATE * (SPIKE if step in SPIKED else 1) * velocity
        tau = float(np.linalg.norm(update))
        records.append(clip_step(logits, inputs @ update, tau, bound=BOUND))
        weights += records[-1].factor * update
        progress(step + 1, STEPS)
    return Log(*np.array(records).T)


def read(path: str | Path) -> Log:
    """Read the clip records in a .csv, .json or .npz file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Log
        One number for each step and field.

    Raises
    ------
    ValueError
        If it holds no clip records.
    OSError
        If there is no such file.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f"log {path} must be a {', '.join(ENDINGS)} file of clip records")
    try:
        columns = _columns(path)
        missing = [name for name in FIELDS if name not in columns]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}")
        log = Log(*(np.array(_numbers(columns[name])) for name in FIELDS))
    except OSError:
        raise
    except Exception as error:  # a damaged file surfaces as nearly anything
        raise ValueError(
            f"cannot read the log {path} ({error}): store {', '.join(FIELDS)} of every step"
        ) from error
    lengths = {len(column) for column in log}
    if len(lengths) > 1 or lengths == {0}:
        raise ValueError(f"the log {path} has columns of lengths {sorted(lengths)}; store one step")
    wrong = [name for name, values in zip(FIELDS, log, strict=True) if not (values >= 0).all()]
    if wrong:
        raise ValueError(f"the log {path} has negative numbers or NaN in {', '.join(wrong)}")
    return log


def _columns(path: Path) -> dict[str, Iterable[Any]]:
    if path.suffix == ".npz":
        # (np.load itself would leave a damaged archive open.)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name].astype(np.float64).ravel() for name in archive}
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        records = json.loads(text)
    else:
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        records = list(csv.DictReader(lines))
    names = records[0] if records else []
    return {name: [record[name] for record in records] for name in names}


def _numbers(values: Iterable[Any]) -> list[float]:
    """None stands for infinity, as in `ClipRecord.jsonable`."""
    return [math.inf if value is None else float(value) for value in values]


def _positive(values: Reals) -> Reals:
    """What a logarithmic axis can show: gaps elsewhere."""
    return np.where((values > 0) & np.isfinite(values), values, np.nan)


def _shade(axes: Axes, clipped: NDArray[np.bool_]) -> None:
    edges = np.arange(len(clipped) + 1) - 0.5
    shown = np.append(clipped, False)
    axes.fill_between(
        edges, 0, 1, where=shown, step="post", transform=axes.get_xaxis_transform(), **CLIPPED
    )
