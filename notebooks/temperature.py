# %% [markdown]
# # Does the radius follow the temperature?
#
# The experiment of Figure 9 of "Ghosts of Softmax" (Sao, arXiv 2603.13552). A temperature T divides
# the logits: the zeros of sum_k exp((z_k + a_k t) / T) move, and the spread bound is pi T / Delta.
# For each T a model is trained on the loss at T and stepped once along its gradient; the
# onset is the shortest step that multiplies the loss by 2 (the limit of the paper's public script).
# If the radius is what matters, onsets that are wide apart in raw length come together in units of
# it. The paper measures the standard deviation of the onset over the temperatures, 0.992 raw and
# 0.164 in units of pi T / Delta. It does not say whether of the onset or of its logarithm, the
# axis of its figure: we give both, and judge log10.
#
# Dividing by T alone is the control: it uses nothing of the radius but the unit of the logits. A
# second control keeps the weights and changes T in the loss alone, so nothing but the
# temperature differs.
#
# Ours and different from the paper: seeds, the split, one hidden layer, a batch of 256 images for
# gradient, radii and loss.
#
# `python notebooks/temperature.py` takes half a minute of one core; with `--fast`, one seed and a
# coarse grid, in seconds. Needs PyTorch and scikit-learn: `pip install '.[notebooks]'`.

# %%
import sys
from typing import NamedTuple

import numpy as np
from models import Array, build, digits, downhill, logits_and_slopes, train
from one_step import batch_radii, grid, problem, sweep, verdict
from softproof.kernels.step_radius.radius import BOUNDS

TEMPERATURES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
INFLATION = 2.0
PAPER_RAW, PAPER_NORMALISED = 0.992, 0.164
LITTLE = 1.5
"""Below this factor, what Delta adds is called little."""
STEPS, RATE = 120, 1e-2  # of the paper's public script


# %% [markdown]
# ## The onsets


# %%
class Row(NamedTuple):
    """One model at one temperature; lengths in units of the parameters."""

    weights: str
    """Trained at "each T", or once at "T = 1" and kept."""
    seed: int
    temperature: float
    onset: float
    radii: dict[str, float]


def measure(fast: bool = False) -> list[Row]:
    """Find all onsets; fast takes one seed and a coarse grid."""
    data = digits()
    at = problem(data)
    seeds, per_decade = (1, 10) if fast else (5, 40)
    rows = []
    for seed in range(seeds):
        kept = build("MLP", seed)
        train(kept, data, STEPS, seed, RATE)
        for t in TEMPERATURES:
            fitted = build("MLP", seed)
            train(fitted, data, STEPS, seed, RATE, temperature=t)
            for weights, model in (("each T", fitted), ("T = 1", kept)):
                direction = downhill(model, at.images, at.labels, t)
                logits, slopes = logits_and_slopes(model, at.images, direction)
                radii = batch_radii(logits / t, slopes / t)
                lengths = radii["spread"] * grid(0.01, 100.0, per_decade)
                measured = sweep(model, direction, lengths, at, t)
                onset = measured.onset(measured.loss_ratio > INFLATION)
                rows.append(Row(weights, seed, t, onset, radii))
    return rows


# %% [markdown]
# ## The tables


# %%
def units(row: Row) -> dict[str, float]:
    """Return the onset in every unit: raw, by T, and by each rung's radius of the batch."""
    by_rung = {bound: row.onset / radius for bound, radius in row.radii.items()}
    return {"raw": row.onset, "T": row.onset / row.temperature, **by_rung}


def medians(rows: list[Row]) -> dict[str, Array]:
    """Return the onset at each temperature (median over seeds), by unit."""
    return {
        unit: np.array(
            [np.median([units(r)[unit] for r in rows if r.temperature == t]) for t in TEMPERATURES]
        )
        for unit in ("raw", "T", *BOUNDS)
    }


def report(rows: list[Row]) -> str:
    """Write the tables beside the paper's figures."""
    lines = [f"Onset: the shortest downhill step that multiplies the loss by {INFLATION:g}."]
    for weights in dict.fromkeys(row.weights for row in rows):
        ours = [row for row in rows if row.weights == weights]
        onsets = medians(ours)
        seeds = len({row.seed for row in ours})
        lines += [
            "",
            f"Onset, weights trained at {weights}, by unit, median over {seeds} seed(s)",
            f"{'T':<13}" + "".join(f"{unit:>11}" for unit in onsets),
        ]
        for i, t in enumerate(TEMPERATURES):
            lines.append(f"{t:<13g}" + "".join(f"{onset[i]:>11.4f}" for onset in onsets.values()))
        logs = {unit: float(np.std(np.log10(onset))) for unit, onset in onsets.items()}
        plain = {unit: float(np.std(onset)) for unit, onset in onsets.items()}
        lines.append("std of log10 " + "".join(f"{value:>11.3f}" for value in logs.values()))
        lines.append("std          " + "".join(f"{value:>11.3f}" for value in plain.values()))
        lines.append(f"{'paper':<13}{PAPER_RAW:>11.3f}{'':>11}{PAPER_NORMALISED:>11.3f}")
        lines += ["", *comparison_with_the_paper(logs)]
    return "\n".join(lines)


def comparison_with_the_paper(std: dict[str, float]) -> list[str]:
    """Three sentences: the collapse, the control, and what the tighter rungs do."""
    factor, paper = std["raw"] / std["spread"], PAPER_RAW / PAPER_NORMALISED
    holds = 0.5 * paper <= factor <= 2.0 * paper
    added = std["T"] / std["spread"]
    adds = "adds nothing" if added <= 1.0 else "adds little" if added < LITTLE else "adds the rest"
    best = min(BOUNDS, key=lambda bound: std[bound])
    return [
        f"  Units of pi T / Delta bring the onsets {factor:.1f} times closer (paper {paper:.1f}): "
        f"{verdict(holds)} within a factor of 2.",
        f"  T alone brings them {std['raw'] / std['T']:.1f} times closer; Delta {adds} "
        f"(a factor of {added:.1f}).",
        f"  The rung with the smallest deviation is {best} ({std[best]:.3f}).",
    ]


def main(fast: bool = False) -> None:
    """Run the experiment, a smaller one where ``fast``, and print its report."""
    print(report(measure(fast)))


if __name__ == "__main__":
    main(fast="--fast" in sys.argv[1:])
