# %% [markdown]
# # How far each bound stays below the radius, through training
#
# The paper clips at pi / Delta and leaves open how far that is below the true radius rho*, the
# modulus of the nearest complex zero. We ask it of every training image, at checkpoints from the
# first step to an almost fitted model, along the update that the optimiser really makes next: the
# Adam step or the SGD step, not the gradient.
#
# `python notebooks/calibration.py` prints the tables in little more than a minute; with `--fast`,
# one model, three checkpoints and 300 images, in seconds. Every random number is drawn from a seed.
# Needs PyTorch and scikit-learn: `pip install '.[notebooks]'`.

# %%
import copy
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import models
import numpy as np
import torch
from numpy.typing import NDArray
from softproof.kernels.step_radius.radius import BOUNDS, Radius, radius
from torch.nn import functional

BATCH = 64
LOWER = BOUNDS[:-1]
"""The rungs below the exact radius."""

OPTIMISERS: dict[str, Callable[[torch.nn.Module], torch.optim.Optimizer]] = {
    "Adam": lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    "SGD": lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
}


# %% [markdown]
# ## The update that the optimiser really makes
#
# Before a checkpoint's step we keep a copy of the model; the difference of the parameters after
# and before is the update, whatever rule and state produced it.


# %%
class Checkpoint(NamedTuple):
    """What is measured before one optimiser step, over all training images."""

    step: int
    accuracy: float
    """Share of the training images that the model classifies correctly."""
    length: float
    """Norm of the update, in the unit of the radii."""
    r: float
    """Norm of the update over the smallest exact radius."""
    radii: Radius


def checkpoints(
    name: str, optimiser: str, steps: Sequence[int], seed: int, samples: int | None = None
) -> list[Checkpoint]:
    """Train a model of `models.MODELS` on batches of 64 and measure before the steps named."""
    data = models.digits(seed)
    images = data.images[:samples]
    model = models.build(name, seed)
    rule = OPTIMISERS[optimiser](model)
    rng = np.random.default_rng(seed)
    found = []
    for step in range(max(steps) + 1):
        chosen = rng.choice(len(data.labels), BATCH, replace=False)
        rule.zero_grad()
        functional.cross_entropy(model(data.images[chosen]), data.labels[chosen]).backward()
        if step not in steps:
            rule.step()
            continue
        before = copy.deepcopy(model)
        rule.step()
        start = models.parameters(before)
        update = {key: value - start[key] for key, value in models.parameters(model).items()}
        logits, slopes = models.logits_and_slopes(before, images, models.unit(update))
        radii = radius(logits, slopes)
        length = float(torch.cat([part.flatten() for part in update.values()]).norm())
        found.append(
            Checkpoint(
                step,
                models.accuracy(torch.from_numpy(logits), data.labels[:samples]),
                length,
                length / float(np.nanmin(radii.exact)),
                radii,
            )
        )
    return found


# %% [markdown]
# ## Each sample: bound / rho*
#
# Over the images whose exact radius the fast tier knows; the others are counted as flagged.


# %%
def ratios(radii: Radius) -> dict[str, NDArray[np.float64]]:
    """Return bound / rho* of every sample with a known, finite radius, for each lower rung."""
    known = np.isfinite(radii.exact)
    return {rung: getattr(radii, rung)[known] / radii.exact[known] for rung in LOWER}


# %% [markdown]
# ## Each batch: the minimum, and a quantile
#
# A clip takes one number per batch. The minimum is the cautious choice: no sample's series
# diverges. It costs what the minimum of the bound loses against the minimum of the exact radii.
# The quantile 0.1 goes further, and leaves behind the samples whose own radius is shorter.


# %%
class BatchCost(NamedTuple):
    """Medians over the batches of one checkpoint, for one rung."""

    minimum: float
    """Minimum of the bound over that of the exact radii."""
    quantile: float
    """Quantile 0.1 of the bound over the minimum of the exact radii."""
    beyond: float
    """Share of the samples that a step as long as this quantile takes beyond their own radius."""


def batch_cost(radii: Radius, rung: str) -> BatchCost:
    """Cut the samples into batches of about 64, leaving the flagged ones aside, and compare."""
    known = np.isfinite(radii.exact)
    count = max(1, int(known.sum()) // BATCH)
    exact = np.array_split(radii.exact[known], count)
    bounds = np.array_split(getattr(radii, rung)[known], count)
    rows = []
    for truth, bound in zip(exact, bounds, strict=True):
        quantile = np.quantile(bound, 0.1, method="lower")  # as the clip does
        rows.append((bound.min() / truth.min(), quantile / truth.min(), np.mean(truth < quantile)))
    return BatchCost(*np.median(rows, axis=0).tolist())


# %% [markdown]
# ## All of it


# %%
class Series(NamedTuple):
    """The checkpoints of one model and optimiser, those of all seeds pooled."""

    model: str
    optimiser: str
    checkpoints: list[Checkpoint]


def pooled(runs: Sequence[Sequence[Checkpoint]]) -> list[Checkpoint]:
    """Join the samples of several seeds; accuracy, length and r become medians."""
    return [
        Checkpoint(
            same[0].step,
            float(np.median([c.accuracy for c in same])),
            float(np.median([c.length for c in same])),
            float(np.median([c.r for c in same])),
            Radius(*(np.concatenate(part) for part in zip(*(c.radii for c in same), strict=True))),
        )
        for same in zip(*runs, strict=True)
    ]


def measure(fast: bool = False) -> list[Series]:
    """Run every model and optimiser."""
    if fast:
        return [Series("MLP", "Adam", pooled([checkpoints("MLP", "Adam", (0, 20, 150), 0, 300)]))]
    steps, seeds = (0, 10, 30, 100, 300, 1000, 3000), (0, 1, 2)
    return [
        Series(name, rule, pooled([checkpoints(name, rule, steps, seed) for seed in seeds]))
        for name in ("MLP", "transformer")
        for rule in OPTIMISERS
    ]


def report(measured: Sequence[Series]) -> str:
    """Write the tables and what they say."""
    lines = [
        "rho*: the radius of a sample along the update, the modulus of the nearest complex zero of",
        "its partition function; the rung 'exact'. Flagged samples have none and are left out.",
        "train: accuracy on the training images. update / min rho*: length of the update over the",
        f"smallest rho* of all images. Batches: medians over batches of about {BATCH} images;",
        "  min     minimum of the rung over the minimum of rho*",
        "  q 0.1   quantile 0.1 of the rung over the minimum of rho*",
        "  beyond  share of the samples whose own rho* is below that quantile",
        "",
    ]
    for series in measured:
        lines += [
            f"{series.model}, {series.optimiser}, each sample: bound / rho*, quantiles",
            f"{'':22}" + "".join(f"{rung:>19}" for rung in LOWER),
            f"{'step':>6} {'train':>6} {'flagged':>8}"
            + len(LOWER) * f" {'5 %':>6}{'50 %':>6}{'95 %':>6}",
        ]
        for c in series.checkpoints:
            quantiles = (
                np.quantile(share, (0.05, 0.5, 0.95)) for share in ratios(c.radii).values()
            )
            lines.append(
                f"{c.step:6d} {c.accuracy:6.1%} {np.mean(c.radii.flagged):8.2%}"
                + "".join(" " + "".join(f"{q:6.2f}" for q in three) for three in quantiles)
            )
        lines += [
            f"{series.model}, {series.optimiser}, batches",
            f"{'':25}" + "".join(f"{rung:>22}" for rung in BOUNDS),
            f"{'step':>6} {'update / min rho*':>18}"
            + len(BOUNDS) * f"{'min':>7}{'q 0.1':>7}{'beyond':>8}",
        ]
        for c in series.checkpoints:
            costs = (batch_cost(c.radii, rung) for rung in BOUNDS)
            lines.append(
                f"{c.step:6d} {c.r:18.3g}"
                + "".join(f"{b.minimum:7.2f}{b.quantile:7.2f}{b.beyond:8.1%}" for b in costs)
            )
        lines.append("")
    return "\n".join([*lines, *verdict(measured)])


def verdict(measured: Sequence[Series]) -> list[str]:
    """Say what the numbers say."""
    lines = []
    for position, word in ((0, "first"), (-1, "last")):
        at = [series.checkpoints[position].radii for series in measured]
        medians = {rung: [float(np.median(ratios(r)[rung])) for r in at] for rung in LOWER}
        lines.append(
            f"Median of bound / rho* at the {word} checkpoint: "
            + ", ".join(f"{rung} {span(found)}" for rung, found in medians.items())
            + "."
        )
    everything = [c.radii for series in measured for c in series.checkpoints]
    costs = {rung: [batch_cost(r, rung) for r in everything] for rung in BOUNDS}
    lines += [
        "Minimum of a batch over the exact one: "
        + ", ".join(f"{rung} {span([c.minimum for c in costs[rung]])}" for rung in LOWER)
        + ".",
        "Quantile 0.1 of a batch over its minimum: "
        + ", ".join(
            f"{rung} {span([c.quantile / c.minimum for c in found])}, at most "
            f"{max(c.beyond for c in found):.1%} of the samples beyond their rho*"
            for rung, found in costs.items()
            if rung in ("spread", "exact")
        )
        + ".",
        f"Flagged: {sum(int(r.flagged.sum()) for r in everything)} of "
        f"{sum(len(r.flagged) for r in everything)} samples.",
        "The paper leaves the calibration open: there is no figure of its own to compare with.",
    ]
    return lines


def span(numbers: Sequence[float]) -> str:
    """Write the smallest and the largest."""
    return f"{min(numbers):.2f} to {max(numbers):.2f}"


def main(fast: bool = False) -> None:
    """Measure and print."""
    print(report(measure(fast)))


if __name__ == "__main__":
    main(fast="--fast" in sys.argv[1:])
