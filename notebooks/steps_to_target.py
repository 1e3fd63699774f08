# %% [markdown]
# # What a tighter bound buys: steps to a target accuracy
#
# A tighter bound of the radius allows longer steps. Do longer steps train faster? Two uses of the
# radius, each at every rung of the ladder, on the digits:
#
# * *gradient steps of r radii*: the length of every step is r rho, whatever the gradient's norm.
#   No learning rate, no schedule: the paper's "eta = r rho_a / norm(v)" (Sao, "Ghosts of Softmax",
#   arXiv 2603.13552), which it reports for a ResNet-18 on CIFAR-10. Here: small models, digits.
# * *Adam at a rate too high*, clipped to r radii.
#
# The baselines are fixed rates on a grid, and we show the whole grid: its best entry is what
# tuning finds, its spread is what tuning costs. r can be tuned as well, and a bound that is twice
# as tight is no better than r = 2 if the two are proportional. So each rung is shown at r = 1,
# which nobody tuned, and at the best r of a grid.
#
# `python notebooks/steps_to_target.py` prints the tables after fifteen minutes of processor
# time, on two cores; with `--fast`, three rules, one seed and 60 steps, in seconds. Every random
# number is drawn from a seed. Needs PyTorch and scikit-learn: `pip install '.[notebooks]'`.

# %%
import math
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from typing import NamedTuple

import models
import numpy as np
import torch
from softproof.kernels.frameworks.torch import radius_clip
from softproof.kernels.step_radius.radius import BOUNDS
from softproof.kernels.training.clip import ClipRecord
from torch.nn import functional

BATCH = 64
TARGETS = (0.90, 0.95, 0.97)
"""Shares of the test images classified correctly."""
LATE = 50
"""The last steps of a run, over which its level is told."""
CHOSEN = 0.95
"""The target at which the best of a grid is chosen."""


# %% [markdown]
# ## The rules


# %%
class Rule(NamedTuple):
    """How the parameters are moved; without a bound, nothing is clipped."""

    optimiser: str
    rate: float
    bound: str | None = None
    r: float = 1.0
    aggregate: str | float = "min"


OPTIMISERS = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}

ALWAYS_CLIPPED = 1e9
"""A rate so high that every step is cut to r radii: the radius alone decides its length."""
HIGH_RATE = 0.1
"""A hundred times PyTorch's default for Adam."""

# Passes through the model, one forward as the unit: a backward counts two, and so does a
# Jacobian-vector product, which carries a tangent beside every value.
PLAIN_COST, CLIPPED_COST = 3, 5


def grids(rates: Sequence[float], rates_adam: Sequence[float], rs: Sequence[float]) -> list[Rule]:
    """Return all rules: fixed rates, and every rung at every r."""
    return [
        *(Rule("SGD", rate) for rate in rates),
        *(Rule("SGD", ALWAYS_CLIPPED, bound, r) for bound in BOUNDS for r in rs),
        Rule("SGD", ALWAYS_CLIPPED, "exact", 1.0, aggregate=0.1),
        *(Rule("Adam", rate) for rate in rates_adam),
        *(Rule("Adam", HIGH_RATE, bound, r) for bound in BOUNDS for r in rs),
        Rule("Adam", HIGH_RATE, "exact", 1.0, aggregate=0.1),
    ]


# %% [markdown]
# ## One run


# %%
class Run(NamedTuple):
    """What one run recorded at every step."""

    accuracy: list[float]
    """On the test images, after the step; NaN between the last target and the last steps."""
    log: list[ClipRecord]
    """Of the clip; empty without one."""


def train(name: str, rule: Rule, steps: int, seed: int) -> Run:
    """Train a model of `models.MODELS` from scratch on batches of 64 images."""
    data = models.digits(seed)
    model = models.build(name, seed)
    optimiser = OPTIMISERS[rule.optimiser](model.parameters(), lr=rule.rate)
    clipped = rule.bound and radius_clip(
        optimiser, model, bound=rule.bound, aggregate=rule.aggregate, r=rule.r
    )
    rng = np.random.default_rng(seed)
    accuracy: list[float] = []
    all_met = False
    for step in range(steps):
        chosen = rng.choice(len(data.labels), BATCH, replace=False)
        images = data.images[chosen]
        optimiser.zero_grad()
        functional.cross_entropy(model(images), data.labels[chosen]).backward()
        if clipped:
            clipped.step(images)
        else:
            optimiser.step()
        # The test images are most of the work, and nobody asks about them in between.
        share = math.nan
        if not all_met or step >= steps - LATE:
            with torch.no_grad():
                share = models.accuracy(model(data.test_images), data.test_labels)
            all_met = all_met or share >= TARGETS[-1]
        accuracy.append(share)
    return Run(accuracy, clipped.log if clipped else [])


def steps_to(accuracy: Sequence[float], target: float) -> float:
    """Return the number of steps after which the target is first met, inf if it never is."""
    return next((i for i, share in enumerate(accuracy, start=1) if share >= target), math.inf)


# %% [markdown]
# ## Over the seeds


# %%
class Result(NamedTuple):
    """Medians over the seeds for one model and rule, but for the worst."""

    rule: Rule
    steps: dict[float, float]
    """Steps to each target; inf if at least half of the seeds never meet it."""
    level: float
    """Median accuracy of the last steps."""
    worst: float
    """Lowest accuracy of the last steps, of all seeds: how steady the level is."""
    length: float
    """Median length of a step taken, NaN without a clip."""

    def cost(self, target: float) -> float:
        """Return the cost of the steps to a target in forward passes of a batch."""
        return self.steps[target] * (CLIPPED_COST if self.rule.bound else PLAIN_COST)


def summary(rule: Rule, runs: Sequence[Run]) -> Result:
    """Summarise the runs of all seeds."""
    late = [run.accuracy[-LATE:] for run in runs]
    return Result(
        rule,
        {
            target: float(np.median([steps_to(run.accuracy, target) for run in runs]))
            for target in TARGETS
        },
        level=float(np.median([np.median(part) for part in late])),
        worst=float(np.min(late)),
        length=float(np.median([c.factor * c.tau for run in runs for c in run.log] or [math.nan])),
    )


def race(name: str, rule: Rule, steps: int, seeds: Sequence[int]) -> Result:
    """Run one rule on one model with every seed."""
    return summary(rule, [train(name, rule, steps, seed) for seed in seeds])


def measure(fast: bool = False) -> dict[str, list[Result]]:
    """Run every rule on every model, two at a time."""
    if fast:
        clipped = [Rule("SGD", ALWAYS_CLIPPED, bound) for bound in ("spread", "exact")]
        return {"MLP": [race("MLP", rule, 60, range(1)) for rule in [Rule("SGD", 0.3), *clipped]]}
    fixed = (0.03, 0.1, 0.3, 1.0, 3.0), (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
    plan = {"MLP": grids(*fixed, rs=(0.5, 1.0, 2.0, 4.0)), "transformer": grids(*fixed, rs=(1.0,))}
    run = partial(race, steps=500, seeds=range(5))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return {name: list(pool.map(run, repeat(name), rules)) for name, rules in plan.items()}


# %% [markdown]
# ## Tables and verdict


# %%
def label(rule: Rule) -> str:
    """Name a rule in a table."""
    if not rule.bound:
        return f"fixed rate {rule.rate:g}"
    quantile = "" if rule.aggregate == "min" else f", quantile {rule.aggregate:g}"
    return f"{rule.bound}, r = {rule.r:g}{quantile}"


def best(results: Sequence[Result]) -> Result:
    """Return the result that meets the chosen target in the fewest steps."""
    return min(results, key=lambda result: result.steps[CHOSEN])


def count(number: float) -> str:
    """Write a number of steps or passes."""
    return "never" if math.isinf(number) else f"{number:.0f}"


def compared(ours: float, base: float) -> str:
    """Say how many steps fewer or more these are; below a tenth, two runs differ by as much."""
    if math.isinf(ours) and math.isinf(base):
        return "neither gets there"
    if math.isinf(base):
        return "only the first gets there"
    if math.isinf(ours):
        return "only the second gets there"
    change = ours / base - 1.0
    if abs(change) <= 0.1:
        return "no difference beyond 10 %"
    return f"{abs(change):.0%} {'fewer' if change < 0.0 else 'more'} steps"


def verdict(results: Sequence[Result]) -> list[str]:
    """Say what a tighter bound bought one optimiser on one model."""
    fixed = [result for result in results if not result.rule.bound]
    smallest = [
        result for result in results if result.rule.bound and result.rule.aggregate == "min"
    ]
    by_rung = {
        rung: [result for result in smallest if result.rule.bound == rung] for rung in BOUNDS
    }
    untuned = {
        rung: next(result for result in found if result.rule.r == 1.0)
        for rung, found in by_rung.items()
        if found
    }
    lines = []
    base, top = untuned["spread"], untuned["exact"]
    for target in TARGETS:
        lines.append(
            f"{target:.0%} at r = 1: exact {count(top.steps[target])}, "
            f"spread {count(base.steps[target])}: {compared(top.steps[target], base.steps[target])}"
        )
    lines.append(
        f"level of the last {LATE} steps at r = 1: exact {top.level:.1%}, spread {base.level:.1%}; "
        f"worst of all seeds: {top.worst:.1%}, {base.worst:.1%}"
    )
    if len(by_rung["exact"]) > 1:
        mine, its = best(by_rung["exact"]), best(by_rung["spread"])
        lines.append(
            f"{CHOSEN:.0%} at the best r: exact {count(mine.steps[CHOSEN])} (r = {mine.rule.r:g}), "
            f"spread {count(its.steps[CHOSEN])} (r = {its.rule.r:g}): "
            f"{compared(mine.steps[CHOSEN], its.steps[CHOSEN])}"
        )
    tuned = best(fixed)
    lines.append(
        f"{CHOSEN:.0%} by the best fixed rate, {tuned.rule.rate:g}: {count(tuned.steps[CHOSEN])}; "
        f"exact at r = 1: {compared(top.steps[CHOSEN], tuned.steps[CHOSEN])}; passes "
        f"{count(top.cost(CHOSEN))} against {count(tuned.cost(CHOSEN))}; "
        f"{sum(f.steps[CHOSEN] > top.steps[CHOSEN] for f in fixed)} of {len(fixed)} fixed rates "
        "need more steps"
    )
    return lines


def report(measured: dict[str, list[Result]]) -> str:
    """Write the tables and what they say."""
    lines = []
    for name, everything in measured.items():
        for optimiser in OPTIMISERS:
            results = [result for result in everything if result.rule.optimiser == optimiser]
            if results:
                lines += [*table(name, results), *(f"* {line}" for line in verdict(results)), ""]
    lines.append(
        "The paper, ResNet-18 on CIFAR-10 without a schedule: pi / Delta at r = 1 ends at 85.3 %, "
        "the best\nfixed rate at 82.6 %. Another model and data set; the same comparison here:"
    )
    for name, everything in measured.items():
        results = [result for result in everything if result.rule.optimiser == "SGD"]
        clipped = next(x for x in results if x.rule.bound == "spread" and x.rule.r == 1.0)
        fixed = max(x.level for x in results if not x.rule.bound)
        word = "ahead, as there" if clipped.level > fixed else "not ahead, unlike there"
        lines.append(f"* {name}: {clipped.level:.1%} against {fixed:.1%}, {word}.")
    return "\n".join(lines)


def table(name: str, results: Sequence[Result]) -> list[str]:
    """Write the results of one model and optimiser."""
    optimiser = results[0].rule.optimiser
    how = "gradient steps of r radii" if optimiser == "SGD" else f"rate {HIGH_RATE:g}, clipped"
    targets = "".join(f"{f'{target:.0%}':>7}" for target in TARGETS)
    lines = [
        f"{name}, {optimiser}: a fixed rate, or {how}",
        f"{'steps to':26}{targets}{f'passes to {CHOSEN:.0%}':>15}"
        f"{'level':>8}{'worst':>8}{'length':>9}",
    ]
    for result in results:
        steps = "".join(f"{count(result.steps[target]):>7}" for target in TARGETS)
        length = "" if math.isnan(result.length) else f"{result.length:.3g}"
        lines.append(
            f"{label(result.rule):26}{steps}{count(result.cost(CHOSEN)):>15}"
            f"{result.level:8.1%}{result.worst:8.1%}{length:>9}".rstrip()
        )
    return lines


def main(fast: bool = False) -> None:
    """Measure and print."""
    print(report(measure(fast)))


if __name__ == "__main__":
    main(fast="--fast" in sys.argv[1:])
