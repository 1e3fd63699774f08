# %% [markdown]
# # Does one step fail where its radius says?
#
# The experiment of Figures 1 and 7 of "Ghosts of Softmax" (Sao, arXiv 2603.13552): train a model,
# take one gradient step of length tau = r rho, r from 0.01 to 100, and look at what is left of it.
# The paper takes rho = pi / Delta, the spread bound of the batch, and finds that no model fails for
# r < 1, that the linear one turns at r = 1 and the others between 1 and 10. We ask the same of
# every rung of the ladder spread <= half-mass <= variance <= exact.
#
# Convergence of a Taylor series and a rise of the loss are two things. What is proven: for
# |t| < rho the series of the line loss converges, if the logits are linear in t. What is not: that
# the loss stays low inside, or rises outside. The tables keep the two apart. With linear logits
# the second derivative of the line loss is the mean variance of the slopes, at most Delta^2 / 4, so
# downhill the loss rises by less than t^2 Delta^2 / 8 = (pi^2 / 8) r^2 nats at t = r pi / Delta: an
# absolute limit, and a weak one where the loss before the step was 0.01. The Taylor polynomial of
# the batch loss must turn bad a little beyond the exact radius: its most critical sample is one of
# 256, and needs some growth of r^n / n to show.
#
# Ours and different from the paper: seeds, widths, the split, the limits of failure (in
# `one_step`), and a batch of 256 training images that gives the gradient, the radii and the loss.
#
# `python notebooks/phase_transition.py` takes half a minute of one core; with `--fast`, two of the
# models and a coarse grid, in seconds. Needs PyTorch and scikit-learn:
# `pip install '.[notebooks]'`.

# %%
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from models import (
    MODELS,
    Array,
    accuracy,
    digits,
    downhill,
    logits_after,
    logits_and_slopes,
    loss,
    trained,
)
from one_step import (
    Problem,
    Sweep,
    batch_radii,
    grid,
    is_near_one,
    median_and_range,
    problem,
    sweep,
    verdict,
)
from softproof.derivations.step_radius.series import log_coefficients
from softproof.kernels.softmax_family.softmax import softmax
from softproof.kernels.step_radius.radius import BOUNDS, radius
from torch import nn, tensor

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95)
DEGREE = 40
ORDERS = (10, 20, 40, 80, 160)
INSIDE, OUTSIDE = 0.9, 1.1


# %% [markdown]
# ## The series
#
# With linear logits the line loss of a sample is -z_y - a_y t + log F(t); the Taylor coefficients
# of log F come from `softproof.derivations.step_radius.series`. In units of rho (slopes times rho)
# they decay like 1 / n, so partial sums at 0.9 rho converge, and those at 1.1 rho diverge, like
# 0.9^n and 1.1^n. Their sign changes with n, and near such a change a sum may come close by chance:
# of two consecutive orders the worse one counts.


# %%
def taylor(logits: Array, slopes: Array, order: int) -> Array:
    """Return the coefficients 0 to order of log (F(t) / F(0)), shape (N, order + 1)."""
    p = softmax(logits)
    # A common slope changes the linear term alone; without it the fewest digits cancel.
    mean = np.sum(p * slopes, axis=1)
    centred = slopes - mean[:, None]
    coefficients = np.stack(log_coefficients(list(p.T), list(centred.T), order), axis=1)
    coefficients[:, 1] += mean
    return coefficients


def series_errors(logits: Array, slopes: Array, radii: Array, at: float) -> Array:
    """Return |partial sum - log F| at t = at * rho of each sample: shape (N, len(ORDERS))."""
    a = slopes * radii[:, None]
    truth = np.log(np.sum(softmax(logits) * np.exp(at * a), axis=1))
    powers = at ** np.arange(max(ORDERS) + 1)
    sums = np.cumsum(taylor(logits, a, max(ORDERS)) * powers, axis=1)
    errors = np.abs(sums - truth[:, None])
    return np.stack([np.maximum(errors[:, n - 1], errors[:, n]) for n in ORDERS], axis=1)


# %% [markdown]
# ## One model, one step
#
# Onsets are lengths; divided by a radius they are the r at which the model fails. Two more lengths
# tell the surrogates from the loss, each where it is off by more than a tenth of the loss before:
# `series_end` the Taylor polynomial of the line loss, the mean over the batch, and `linear_end` the
# loss of linearised logits, z + a t. Beyond the latter no radius of linearised logits says
# anything about the true loss.


# %%
class Row(NamedTuple):
    """What happened to one trained model; lengths in units of the parameters."""

    model: str
    seed: int
    test_accuracy: float
    radii: dict[str, float]
    """Of the batch, by rung."""
    exact: Array
    """Of each sample; the variance bound where the fast tier flags the sample."""
    flagged: int
    loss_onset: float
    accuracy_onset: float
    turn: float
    series_end: float
    linear_end: float
    at_one: Sweep
    """After steps of r = 1, by rung."""


def step(name: str, model: nn.Module, seed: int, at: Problem, per_decade: int) -> Row:
    """Sweep the step along the negative gradient, from 0.01 to 100 times the spread bound."""
    direction = downhill(model, at.images, at.labels)
    logits, slopes = logits_and_slopes(model, at.images, direction)
    radii = batch_radii(logits, slopes)
    samples = radius(logits, slopes)
    lengths = radii["spread"] * grid(0.01, 100.0, per_decade)
    measured = sweep(model, direction, lengths, at)
    before = loss(tensor(logits), at.labels)
    linearised = np.array([loss(tensor(logits + t * slopes), at.labels) for t in lengths])
    unit = radii["exact"]
    coefficients = taylor(logits, slopes * unit, DEGREE).mean(axis=0)
    coefficients[0] = before
    coefficients[1] -= unit * slopes[np.arange(len(slopes)), at.labels].mean()
    series = np.polynomial.Polynomial(coefficients)(lengths / unit)

    def end(surrogate: Array) -> float:
        return measured.onset(np.abs(measured.loss_ratio - surrogate / before) > 0.1)

    return Row(
        name,
        seed,
        accuracy(logits_after(model, at.test_images, direction, 0.0), at.test_labels),
        radii,
        np.where(samples.flagged, samples.variance, samples.exact),
        int(samples.flagged.sum()),
        measured.loss_onset,
        measured.accuracy_onset,
        measured.turn,
        end(series),
        end(linearised),
        sweep(model, direction, np.array(list(radii.values())), at),
    )


# %% [markdown]
# ## The tables


# %%
class Result(NamedTuple):
    """All rows, and the errors of the linear model's series inside and outside of its radii."""

    rows: list[Row]
    inside: Array
    outside: Array


def measure(fast: bool = False) -> Result:
    """Train and sweep all models; fast takes two models, one seed and a coarse grid."""
    data = digits()
    at = problem(data)
    names, seeds, per_decade = (["linear", "MLP"], 1, 10) if fast else (list(MODELS), 3, 40)
    rows = []
    for name in names:
        for seed in range(seeds):
            model = trained(name, data, seed)
            rows.append(step(name, model, seed, at, per_decade))
            if (name, seed) == ("linear", 0):
                v = downhill(model, at.images, at.labels)
                errors = [
                    series_errors(*logits_and_slopes(model, at.images, v), rows[0].exact, t)
                    for t in (INSIDE, OUTSIDE)
                ]
    return Result(rows, *errors)


def report(result: Result) -> str:
    """Write the tables beside the paper's statements."""
    by_model = grouped(result.rows)

    def table(title: str, cell: Callable[[list[Row], int, str], str]) -> list[str]:
        """One line per model, one column per rung."""
        lines = ["", title, f"{'model':<15}" + "".join(f"{bound:>21}" for bound in BOUNDS)]
        for model, rows in by_model.items():
            cells = (cell(rows, i, bound) for i, bound in enumerate(BOUNDS))
            lines.append(f"{model:<15}" + "".join(f"{text:>21}" for text in cells))
        return lines

    def onset(field: str) -> Callable[[list[Row], int, str], str]:
        return lambda rows, _, b: median_and_range(
            [getattr(row, field) / row.radii[b] for row in rows]
        )

    lines = [
        "One downhill step. It fails by accuracy where the test accuracy falls below 90 % of what",
        "it was, by loss where the batch loss rises above 110 %; the accuracy turns at 98 %. The",
        "Taylor polynomial, or the linearisation of the logits, ends where its loss is off by a",
        "tenth of the loss before. Median (range) over the seeds.",
        "",
        f"{'model':<15}{'test accuracy':>15}{'pi/Delta of the batch':>24}",
    ]
    for model, rows in by_model.items():
        accuracies = np.median([row.test_accuracy for row in rows])
        spread = np.median([row.radii["spread"] for row in rows])
        lines.append(f"{model:<15}{accuracies:>15.1%}{spread:>24.3g}")
    lines += table(
        "Radius of the batch over pi / Delta",
        lambda rows, _, b: median_and_range([row.radii[b] / row.radii["spread"] for row in rows]),
    )
    lines += table(
        "After a step of r = 1: loss over the loss before",
        lambda rows, i, _: median_and_range([row.at_one.loss_ratio[i] for row in rows]),
    )
    lines += table(
        "After a step of r = 1: share of the test accuracy that is left",
        lambda rows, i, _: median_and_range([row.at_one.retained[i] for row in rows]),
    )
    lines += table("r where the accuracy turns", onset("turn"))
    lines += table("r at the first failure by accuracy", onset("accuracy_onset"))
    lines += table("r at the first failure by loss", onset("loss_onset"))
    lines += table(f"r where the Taylor polynomial of degree {DEGREE} ends", onset("series_end"))
    lines += table("r where linear logits end", onset("linear_end"))
    lines += ["", "r at the first failure by accuracy, in units of quantiles of the exact radius"]
    lines.append(f"{'model':<15}" + "".join(f"{f'{q:.0%}':>9}" for q in QUANTILES))
    for model, rows in by_model.items():
        r = [
            np.median([row.accuracy_onset / np.quantile(row.exact, q) for row in rows])
            for q in QUANTILES
        ]
        lines.append(f"{model:<15}" + "".join(f"{value:>9.2f}" for value in r))
    flagged = sum(row.flagged for row in result.rows)
    samples = sum(row.exact.size for row in result.rows)
    lines.append(f"Flagged, with the variance bound in their place: {flagged} of {samples} samples")
    lines += ["", *comparison_with_the_paper(result.rows), "", *_rungs(result.rows)]
    lines += [
        "",
        f"Linear model, {len(result.inside)} samples, each at its own exact radius rho: error of",
        "the Taylor sum of log F (the worse of two consecutive orders)",
        f"{'order':>6}{f'largest at {INSIDE} rho':>22}{f'smallest at {OUTSIDE} rho':>22}",
    ]
    for i, order in enumerate(ORDERS):
        lines.append(
            f"{order:>6}{result.inside[:, i].max():>22.1e}{result.outside[:, i].min():>22.1e}"
        )
    return "\n".join(lines)


def grouped(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of all seeds by model."""
    by_model: dict[str, list[Row]] = {}
    for row in rows:
        by_model.setdefault(row.model, []).append(row)
    return by_model


def _onsets(rows: list[Row], field: str, bound: str) -> list[float]:
    """The r, in units of a rung, at which each run meets an onset."""
    return [getattr(row, field) / row.radii[bound] for row in rows]


def comparison_with_the_paper(rows: list[Row]) -> list[str]:
    """Write a table and one sentence per model, in units of pi / Delta as the paper has it."""
    table = [
        "Beside the paper, in r = tau / (pi / Delta); it says that no model fails for r < 1",
        f"{'model':<15}{'accuracy turns':>18}{'paper':>10}{'accuracy fails':>18}{'paper':>10}"
        f"{'loss fails':>18}{'paper':>10}",
    ]
    sentences = []
    for model, of_model in grouped(rows).items():
        turns, by_accuracy, by_loss = (
            _onsets(of_model, field, "spread") for field in ("turn", "accuracy_onset", "loss_onset")
        )
        linear = model == "linear"
        table.append(
            f"{model:<15}{median_and_range(turns):>18}{'1' if linear else '':>10}"
            f"{median_and_range(by_accuracy):>18}{'1 or more' if linear else '1 to 10':>10}"
            f"{median_and_range(by_loss):>18}{'1 or more':>10}"
        )
        turn, fails = np.median(turns), np.median(by_accuracy)
        if linear:
            where = f"it turns at {turn:.2f}: 'at 1' {verdict(is_near_one(float(turn)))}"
        else:
            where = f"it fails at {fails:.2f}: 'in 1 to 10' {verdict(1.0 <= fails <= 10.0)}"
        sentences.append(
            f"  {model}: 'none for r < 1' {verdict(min(by_accuracy) >= 1.0)} by accuracy (first "
            f"{min(by_accuracy):.2f}) and {verdict(min(by_loss) >= 1.0)} by loss (first "
            f"{min(by_loss):.2f}); {where}."
        )
    return [*table, *sentences]


def _rungs(rows: list[Row]) -> list[str]:
    """One line per rung: does r < 1 keep its meaning there, and does the series end at 1?"""
    linear = [row for row in rows if row.series_end < row.linear_end]
    lines = [
        f"Of {len(rows)} runs, those that fail before r = 1 of each rung (the paper: none, by pi /"
        " Delta);",
        f"and where the Taylor polynomial ends, in the {len(linear)} runs whose logits are linear "
        "up to there",
        f"{'rung':<11}{'by accuracy':>12}{'first at':>10}{'by loss':>9}{'first at':>10}"
        f"{'polynomial ends':>19}",
    ]
    for bound in BOUNDS:
        by_accuracy = _onsets(rows, "accuracy_onset", bound)
        by_loss = _onsets(rows, "loss_onset", bound)
        lines.append(
            f"{bound:<11}{_early(by_accuracy):>12}{min(by_accuracy):>10.2f}"
            f"{_early(by_loss):>9}{min(by_loss):>10.2f}"
            f"{median_and_range(_onsets(linear, 'series_end', bound)):>19}"
        )
    for name, field in (("accuracy", "accuracy_onset"), ("loss", "loss_onset")):
        counts = {bound: _early(_onsets(rows, field, bound)) for bound in BOUNDS}
        lines.append(
            f"  By {name}, 'none for r < 1' "
            + ", ".join(f"{verdict(n == 0)} for {bound} ({n})" for bound, n in counts.items())
            + "."
        )
    return lines


def _early(onsets: list[float]) -> int:
    """How many come before r = 1."""
    return sum(r < 1.0 for r in onsets)


def main(fast: bool = False) -> None:
    """Run the experiment, a smaller one where ``fast``, and print its report."""
    print(report(measure(fast)))


if __name__ == "__main__":
    main(fast="--fast" in sys.argv[1:])
