# %% [markdown]
# # What a radius clip costs
#
# `radius_clip` copies the parameters, lets the optimiser step, takes the difference, runs one
# forward pass with its derivative along that difference, and computes the radius of the batch. We
# time whole training steps (forward, backward, update) with and without it, and count the memory.
#
# `python notebooks/clip_overhead.py` prints the tables in about a minute, on one thread; with
# `--fast`, the first model and ten steps, in seconds. Needs PyTorch and scikit-learn:
# `pip install '.[notebooks]'`. Models: the MLP 64-128-10 of the paper and a wide one, in float32,
# on scikit-learn's digits. The seeds are fixed, so the steps are the same in every run; their times
# are those of the machine.

# %%
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # the profiler tells each start and stop

import models
import torch
from softproof.kernels import BOUNDS
from softproof.kernels.frameworks.torch import radius_clip
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

WARM_UP = 5
"""Steps before the clock starts: kernels compile, Adam allocates its moments."""


class Setting(NamedTuple):
    """A model and a batch."""

    name: str
    widths: tuple[int, ...]
    batch: int
    steps: int
    """Timed steps of each variant."""


SETTINGS = (
    Setting("MLP 64-128-10, batch 128", (64, 128, 10), 128, 200),
    Setting("MLP 64-128-10, all 1797 images", (64, 128, 10), 1797, 60),
    Setting("MLP 64-2048-2048-10, batch 128", (64, 2048, 2048, 10), 128, 20),
)

VARIANTS: dict[str, dict[str, str] | None] = {
    "plain Adam": None,
    **{f"clipped, {bound}": {"bound": bound} for bound in BOUNDS},
    "clipped, exact, by difference": {"bound": "exact", "slopes": "difference"},
}

Step = Callable[[], None]


# %% [markdown]
# ## One training step
#
# Each variant trains a model of its own, from the same parameters, by Adam at a rate of 1e-3 with
# a target of r = 1.


# %%
def training(setting: Setting, clip: dict[str, str] | None, x: Tensor, y: Tensor) -> Step:
    """Return the function that takes one step."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in zip(setting.widths, setting.widths[1:], strict=False):
        layers += [nn.Linear(before, after), nn.GELU()]
    model = nn.Sequential(*layers[:-1])
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    optimizer = adam if clip is None else radius_clip(adam, model, **clip)

    def step() -> None:
        cross_entropy(model(x), y).backward()
        if clip is None:
            optimizer.step()
        else:
            optimizer.step(x)
        optimizer.zero_grad()  # last: no gradient is left over when the memory is counted

    return step


# %% [markdown]
# ## Time
#
# Processor time, which on one thread is the time of an idle machine. The variants take turns, one
# step each, so that a busy spell hits all of them; the median is reported.


# %%
def median_times(steps: dict[str, Step], count: int) -> dict[str, float]:
    """Return the median processor seconds of a step per variant."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(count):
        for name, step in steps.items():
            start = time.process_time()
            step()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


# %% [markdown]
# ## Memory
#
# PyTorch's profiler notes every allocation and release of its tensors with the bytes then in use;
# the peak of a step is the largest of these above what was in use before it (parameters, moments,
# the batch). NumPy's arrays are not among them: a few of the size of the logits, in float64.


# %%
def peak_bytes(step: Step) -> int:
    """Return the most bytes of tensors that a step holds at a time, beyond those before it."""
    gc.collect()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    memory = sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["ts"])
    first = memory[0]["args"]
    before = first["Total Allocated"] - first["Bytes"]
    return int(max(event["args"]["Total Allocated"] for event in memory) - before)


# %% [markdown]
# ## The tables


# %%
def main(fast: bool = False) -> None:
    """Measure and print."""
    images, labels = models.load()
    for setting in [SETTINGS[0]._replace(steps=10)] if fast else SETTINGS:
        x, y = images[: setting.batch].float(), labels[: setting.batch]
        steps = {name: training(setting, clip, x, y) for name, clip in VARIANTS.items()}
        for step in steps.values():
            for _ in range(WARM_UP):
                step()
        times = median_times(steps, setting.steps)
        peaks = {name: peak_bytes(step) for name, step in steps.items()}
        plain = times["plain Adam"]
        parameters = sum(
            a * b + b for a, b in zip(setting.widths, setting.widths[1:], strict=False)
        )
        print(f"{setting.name}: {parameters} parameters, {4 * parameters / 2**20:.2f} MiB")
        print(f"  {'':30}  ms/step   x plain   peak MiB")
        for name in steps:
            ratio, mib = times[name] / plain, peaks[name] / 2**20
            print(f"  {name:30}{times[name] * 1e3:9.3f}{ratio:10.2f}{mib:11.2f}")
        print()


if __name__ == "__main__":
    main(fast="--fast" in sys.argv[1:])
