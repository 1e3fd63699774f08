# %% [markdown]
# # Is r = 1 the same in every direction?
#
# The experiment of Figure 8 of "Ghosts of Softmax" (Sao, arXiv 2603.13552): at three phases of
# training, step along the gradient and along 20 random directions, and measure the loss ratio and
# the share of predictions that flip, against r = tau / rho. The paper finds the transition near
# r = 1 in every direction and phase, the gradient failing first. Its figure prints the values at
# r = 1, of a linear model if we read its public script right; we print ours beside them. "Near" is
# the window of that code for the onset by loss, 0.8 to 1.25.
#
# That script steps *up* the gradient: it adds +tau g / |g|. A training step goes down. We do both.
#
# Ours and different from the paper: seeds, the split, Adam, the number of steps per phase (chosen
# for its accuracies), a batch of 256 images; the MLP beside the linear model.
#
# `python notebooks/directions.py` takes less than half a minute of one core; with `--fast`, the
# linear model, three random directions and a coarse grid, in seconds. Needs PyTorch and
# scikit-learn: `pip install '.[notebooks]'`.

# %%
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from models import (
    Array,
    Parameters,
    accuracy,
    build,
    digits,
    downhill,
    logits_after,
    logits_and_slopes,
    random_direction,
    train,
)
from one_step import (
    LOSS_LIMIT,
    NEAR,
    Problem,
    batch_radii,
    grid,
    is_near_one,
    median_and_range,
    problem,
    sweep,
)
from torch import nn

PHASES = ("early", "mid", "late")
STEPS = {"linear": (8, 40, 300), "MLP": (8, 30, 300)}
"""Steps of Adam before each phase."""

RATE = {"linear": 1e-2, "MLP": 3e-3}
RANDOM = 20
KINDS = ("downhill", "uphill", "random")
NAMED = ("downhill", "uphill", "median random direction")


class Shown(NamedTuple):
    """What the paper's Figure 8 shows at r = 1, linear model: accuracy, loss ratios, flips."""

    accuracy: float
    gradient_loss: float
    random_loss: float
    gradient_flips: float
    random_flips: float


PAPER = {
    "early": Shown(0.73, 1.50, 1.08, 0.84, 0.72),
    "mid": Shown(0.91, 1.48, 1.14, 0.21, 0.17),
    "late": Shown(0.94, 1.59, 1.20, 0.12, 0.06),
}


# %% [markdown]
# ## One direction


# %%
class Ray(NamedTuple):
    """One direction: onset by loss in units of each rung, and the measures at r = 1 (spread)."""

    kind: str
    onset: dict[str, float]
    loss_ratio: float
    flipped: float


class Row(NamedTuple):
    """One phase of one model."""

    model: str
    phase: str
    accuracy: float
    rays: list[Ray]

    def of(self, kind: str) -> list[Ray]:
        """Return the rays of one kind."""
        return [ray for ray in self.rays if ray.kind == kind]


def shoot(model: nn.Module, kind: str, direction: Parameters, at: Problem, r: Array) -> Ray:
    """Sweep one direction in units of its own spread bound."""
    radii = batch_radii(*logits_and_slopes(model, at.images, direction))
    measured = sweep(model, direction, r * radii["spread"], at)
    at_one = int(np.argmin(np.abs(np.log(r))))
    return Ray(
        kind,
        {bound: measured.loss_onset / radius for bound, radius in radii.items()},
        float(measured.loss_ratio[at_one]),
        float(measured.flipped[at_one]),
    )


# %% [markdown]
# ## The tables


# %%
def measure(fast: bool = False) -> list[Row]:
    """Sweep all directions; fast takes the linear model, three directions and a coarse grid."""
    data = digits()
    at = problem(data)
    r = grid(0.1, 100.0, 5 if fast else 40)
    rows = []
    for name in ("linear",) if fast else tuple(STEPS):
        for phase, steps in zip(PHASES, STEPS[name], strict=True):
            model = build(name)
            train(model, data, steps, rate=RATE[name])
            down = downhill(model, at.images, at.labels)
            up = {key: -part for key, part in down.items()}
            rng = np.random.default_rng(steps)
            rays = [
                shoot(model, "random", random_direction(model, rng), at, r)
                for _ in range(3 if fast else RANDOM)
            ]
            rays += [shoot(model, "downhill", down, at, r), shoot(model, "uphill", up, at, r)]
            before = logits_after(model, at.test_images, down, 0.0)
            rows.append(Row(name, phase, accuracy(before, at.test_labels), rays))
    return rows


def report(rows: list[Row]) -> str:
    """Write the tables beside the paper's figures."""
    lines = [
        f"Steps along the gradient and {len(rows[0].of('random'))} random directions; rho is that",
        "of the batch along each direction. Median (10-90 %) over the random directions.",
        "",
        "At r = 1 (rho = pi / Delta): loss over the loss before, and flipped predictions",
        f"{'model':<8}{'phase':<7}{'test acc.':>10} {'direction':<10}"
        f"{'loss ratio':>19}{'paper':>7}{'flips':>18}{'paper':>7}",
    ]
    for row in rows:
        for kind in KINDS:
            shown = PAPER[row.phase]
            gradient = kind == "uphill"
            paper = (
                (
                    f"{shown.gradient_loss if gradient else shown.random_loss:.2f}",
                    f"{shown.gradient_flips if gradient else shown.random_flips:.0%}",
                )
                if row.model == "linear" and kind != "downhill"
                else ("", "")
            )
            lines.append(
                f"{row.model:<8}{row.phase:<7}{row.accuracy:>10.1%} {kind:<10}"
                f"{_tenths([ray.loss_ratio for ray in row.of(kind)]):>19}{paper[0]:>7}"
                f"{_tenths([ray.flipped for ray in row.of(kind)]):>18}{paper[1]:>7}"
            )
    bounds = list(rows[0].rays[0].onset)
    lines += [
        "",
        f"r where the loss first exceeds {LOSS_LIMIT} times the loss before, by rung",
        f"{'model':<8}{'phase':<7}{'direction':<10}" + "".join(f"{b:>20}" for b in bounds),
    ]
    for row in rows:
        for kind in KINDS:
            cells = (_tenths([ray.onset[bound] for ray in row.of(kind)]) for bound in bounds)
            lines.append(
                f"{row.model:<8}{row.phase:<7}{kind:<10}" + "".join(f"{c:>20}" for c in cells)
            )
    return "\n".join([*lines, *comparison_with_the_paper(rows)])


def comparison_with_the_paper(rows: list[Row]) -> list[str]:
    """Say of every statement of the paper in how many phases it holds, and in which."""

    def phases(statement: str, of: list[Row], holds: Callable[[Row], bool]) -> str:
        found = [row.phase for row in of if holds(row)]
        which = f" ({', '.join(found)})" if found else ""
        return f"    {statement}: {len(found)} of {len(of)} phases{which}."

    def onset(kind: str) -> Callable[[Row], bool]:
        return lambda row: is_near_one(float(np.median([r.onset["spread"] for r in row.of(kind)])))

    def worst(kind: str) -> Callable[[Row], bool]:
        return lambda row: (
            row.of(kind)[0].loss_ratio > max(ray.loss_ratio for ray in row.of("random"))
        )

    def loss_as_shown(row: Row) -> bool:
        return _spans([ray.loss_ratio for ray in row.of("random")], PAPER[row.phase].random_loss)

    def flips_as_shown(row: Row) -> bool:
        return _spans([ray.flipped for ray in row.of("random")], PAPER[row.phase].random_flips)

    lines = [
        "",
        "In how many phases the paper's statements hold here, rho = pi / Delta; our range is that",
        f"of all random directions, near is {NEAR[0]:g} to {NEAR[1]:g}:",
    ]
    for model in dict.fromkeys(row.model for row in rows):
        of = [row for row in rows if row.model == model]
        lines.append(f"  {model}")
        if model == "linear":
            lines += [
                phases(
                    f"its median {named} of random directions at r = 1 is in our range", of, holds
                )
                for named, holds in (
                    ("loss ratio", loss_as_shown),
                    ("share of flips", flips_as_shown),
                )
            ]
            ratios = (row.of("uphill")[0].loss_ratio / PAPER[row.phase].gradient_loss for row in of)
            lines.append(
                "    our loss ratio at r = 1, uphill, over the paper's along the gradient: "
                + ", ".join(f"{ratio:.2f}" for ratio in ratios)
                + "."
            )
        lines += [
            phases(f"the onset by loss is near r = 1, {named}", of, onset(kind))
            for kind, named in zip(KINDS, NAMED, strict=True)
        ]
        lines += [
            phases(f"the gradient is worse at r = 1 than every random one, {kind}", of, worst(kind))
            for kind in KINDS[:2]
        ]
    return lines


def _spans(values: list[float], value: float) -> bool:
    """Whether a value lies between the smallest and the largest of others."""
    return min(values) <= value <= max(values)


def _tenths(values: list[float]) -> str:
    """The median and, of several values, the range from the first to the last tenth."""
    return median_and_range(values, 0.1, 0.9)


def main(fast: bool = False) -> None:
    """Run the experiment, a smaller one where ``fast``, and print its report."""
    print(report(measure(fast)))


if __name__ == "__main__":
    main(fast="--fast" in sys.argv[1:])
