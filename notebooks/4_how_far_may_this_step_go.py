# %% [markdown]
# # 4. How far may this step go?
#
# Lesson 3 found, for every sample, the radius rho within which the Taylor series of its loss
# converges. Divide the length of a step by the radius of the batch, and there is a step size
# without units: r = tau / rho. "Ghosts of Softmax" (Sao, arXiv 2603.13552, 2026) claims that
# training is safe for r < 1, and that this one number explains failures across models, directions
# and temperatures.
#
# Four of its figures, repeated on scikit-learn's handwritten digits. The experiments are the
# scripts beside this notebook: `phase_transition.py`, `rate_spike.py`, `directions.py`,
# `temperature.py`; each tells what it does as the paper does and what differs. What follows draws
# them, and puts what the paper says beside each.

# %%
# %matplotlib inline
# %config InlineBackend.figure_formats = ["retina"]
import os

import directions
import numpy as np
import phase_transition
import rate_spike
import temperature
from softproof.verify.plots import style
from softproof.verify.plots import training_radius as radius

FAST = "SOFTPROOF_FAST" in os.environ  # one seed, fewer models, coarse grids

# %% [markdown]
# ## A step, a radius, a clip
#
# Radius clipping scales the update that an optimiser proposes to at most one radius of the batch.
# Around a PyTorch optimiser that is one line, `radius_clip(optimizer, model)`; optax and NumPy have
# theirs. Here is a run, in NumPy, whose learning rate jumps for a while:

# %%
radius.plot().figure

# %% [markdown]
# ## Figure 1: does a step beyond r = 1 break a model?
#
# Train a model, take one gradient step of length r pi / Delta, look at the test accuracy. The
# paper, for six models: **none fails for r < 1; the linear one turns at r = 1; the others fail
# between 1 and 10**.

# %%
one_step = phase_transition.measure(FAST)

figure = style.new_figure(2.4)
axes = figure.subplots()
axes.axvspan(1, 10, color="0.92", label="paper: failures of all but the linear model")
by_model = phase_transition.grouped(one_step.rows)
for field, label, marker in zip(
    ("turn", "accuracy_onset", "loss_onset"),
    ("accuracy below 98 %", "accuracy below 90 %", "loss above 110 %"),
    style.MARKERS,
    strict=False,
):
    r = [
        np.median([getattr(row, field) / row.radii["spread"] for row in rows])
        for rows in by_model.values()
    ]
    axes.plot(r, list(by_model), linestyle="", markersize=4, label=label, **marker)
axes.set_xscale("log")
axes.invert_yaxis()
style.finish(axes, "r at which one step fails, median of the seeds", grid="x")
style.legend(figure, axes.get_legend_handles_labels()[0], columns=1)
figure

# %%
print("\n".join(phase_transition.comparison_with_the_paper(one_step.rows)))
assert min(row.accuracy_onset / row.radii["spread"] for row in one_step.rows) > 1

# %% [markdown]
# By accuracy we agree: nothing fails before r = 1, the linear model turns there, the others fail
# between 1 and 10. (In fast mode the grid of r is coarse, and the linear model seems to turn late.)
# By the loss we do not: that of half of the models has risen by a tenth before r = 1. It is no
# contradiction. Convergence of a series and a rise of the loss are two things, and only the first
# is a theorem.
#
# ## Figure 6: does the clip survive a spike?
#
# Adam trains a small network. From step 50 on its learning rate is a thousand times too high, for
# 150 steps. The paper, for base rates of 1e-4, 1e-3 and 1e-2: without a clip the run **recovers,
# drops to about 50 %, diverges**; with the radius clip it **survives all three**.

# %%
spikes = rate_spike.FIGURE_6[1:2] if FAST else rate_spike.FIGURE_6
clips = ["plain Adam", rate_spike.BASE]
seeds = range(1 if FAST else 3)
runs = {
    spike: {
        clip: [rate_spike.train(spike, rate_spike.CLIPS[clip], seed) for seed in seeds]
        for clip in clips
    }
    for spike in spikes
}

figure = style.new_figure(1.0 + 1.4 * len(spikes))
grid = figure.subplots(len(spikes), 1, sharex=True, squeeze=False)[:, 0]
for axes, spike in zip(grid, spikes, strict=True):
    for clip, line in zip(clips, style.LINES, strict=False):
        axes.plot(runs[spike][clip][0].loss, linewidth=1.0, label=clip, **line)
    axes.axvspan(rate_spike.BEFORE, rate_spike.BEFORE + spike.steps, color="0.92")
    axes.set_yscale("log")
    style.finish(axes, y=f"loss, base rate {spike.base:g}")
style.finish(grid[-1], "step (grey: rate times 1000)")
style.legend(figure, grid[0].get_legend_handles_labels()[0])
figure

# %%
outcomes = {
    spike: {clip: rate_spike.outcome(of_clip) for clip, of_clip in by_clip.items()}
    for spike, by_clip in runs.items()
}
for spike, found in outcomes.items():
    print(f"base rate {spike.base:g}: {rate_spike.agreement(spike, found)}")
    assert found[rate_spike.BASE].end >= found[rate_spike.BASE].before

# %% [markdown]
# The clipped runs survive, as the paper says. Plain Adam recovers at 1e-4 and diverges at 1e-2, as
# the paper says; at 1e-3 it falls to about 18 % here, not to 50. (A clip of the *update's* norm at
# 1 survives most of these spikes as well; `rate_spike.py` has that, and Table 1.)
#
# ## Figure 8: in every direction?
#
# The same step along the gradient and along random directions, at three phases of training. The
# paper prints, for r = 1, how many times larger the loss is than before:

# %%
rays = directions.measure(FAST)
linear = [row for row in rays if row.model == "linear"]

figure = style.new_figure(2.6)
axes = figure.subplots()
gradient, down = style.MARKERS[:2]
for i, row in enumerate(linear):
    paper = directions.PAPER[row.phase]
    here = {kind: [ray.loss_ratio for ray in row.of(kind)] for kind in directions.KINDS}
    points = [
        axes.plot(i - 0.1, here["uphill"], **gradient),
        axes.plot(i - 0.1, here["downhill"], **down),
        axes.plot([i - 0.1] * len(here["random"]), here["random"], ".", color="0.6"),
        axes.plot(i + 0.1, paper.gradient_loss, fillstyle="none", **gradient),
        axes.plot(i + 0.1, paper.random_loss, ".", color="black"),
    ]
axes.set_xticks(range(len(linear)), [row.phase for row in linear])
style.finish(axes, "phase of training", "loss at r = 1 / loss before")
names = ("uphill", "downhill", "random", "paper: gradient", "paper: random, median")
for (point,), name in zip(points, names, strict=True):
    point.set_label(name)
style.legend(figure, (point for (point,) in points))
figure

# %%
print("\n".join(directions.comparison_with_the_paper(rays)))
for row in linear:
    (uphill,), (downhill,) = row.of("uphill"), row.of("downhill")
    assert uphill.loss_ratio > max(ray.loss_ratio for ray in row.of("random"))
    assert downhill.loss_ratio < uphill.loss_ratio

# %% [markdown]
# Along random directions the paper's ratios for its linear model lie within ours: that agrees. "The
# gradient fails first" agrees only if one steps *up* the gradient, as the paper's public script
# does; a training step goes down, and there the loss still falls at r = 1 until late in training.
# That the onset is near r = 1 in every phase does not agree: it is in one of three.
#
# ## Figure 9: at every temperature?
#
# Divide the logits by T, and the radius should grow with T: pi T / Delta. If r is the right unit,
# the step at which the loss doubles is the same for all T. The paper gives the standard deviation
# of that onset over eight temperatures: **0.992 in raw units, 0.164 in units of pi T / Delta**, six
# times less.

# %%
onsets = [row for row in temperature.measure(FAST) if row.weights == "each T"]
by_unit = temperature.medians(onsets)

figure = style.new_figure(2.6)
axes = figure.subplots()
for unit, label, marker in zip(
    ("raw", "T", "spread"),
    ("raw length", "over T", "over pi T / Delta"),
    style.MARKERS,
    strict=False,
):
    axes.plot(temperature.TEMPERATURES, by_unit[unit], label=label, markersize=4, **marker)
axes.set_xscale("log", base=2)
axes.set_yscale("log")
style.finish(axes, "temperature T", "step that doubles the loss")
style.legend(figure, axes.get_legend_handles_labels()[0], columns=3)
figure

# %%
deviations = {unit: float(np.std(np.log10(onset))) for unit, onset in by_unit.items()}
print({unit: round(deviation, 3) for unit, deviation in deviations.items()})
print("\n".join(temperature.comparison_with_the_paper(deviations)))
assert deviations["spread"] < deviations["raw"] / 3

# %% [markdown]
# Trained at each temperature, the onsets come together as the paper says (4.9 times in fast mode,
# 10 times with five seeds and a fine grid; paper: 6). The radius earns it: T alone does little.
# With one set of weights for all temperatures it is the other way round, see `temperature.py`.
#
# **Next:** a loss of exactly 0 stops training for another reason. [Softmax collapse and
# grokking](5_softmax_collapse_and_grokking.ipynb)
