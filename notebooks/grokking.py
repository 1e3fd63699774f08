# %% [markdown]
# # Softmax collapse and grokking: is it the collapse that prevents it?
#
# A network that learns addition modulo a prime fits the training pairs at once and the others, if
# ever, much later: it *groks*. Prieto et al. ("Grokking at the Edge of Numerical Stability", arXiv
# 2501.04697) found that without weight decay float32 training never gets there, and gave the
# reason: *softmax collapse*. Once the right class leads by 17, 1 + e^-17 is 1 in float32, the loss
# of that sample is 0 and so is the gradient of its right class. float64 delays it; StableMax, whose
# "exponential" grows linearly, or perpGrad, which removes the part of the gradient along the
# weights, let the network grok.
#
# That leaves a question open. Both remedies change what is minimised, or how. A *collapse-free*
# cross-entropy changes nothing but the rounding: `softproof.kernels.cross_entropy_with_gradient`
# has every entry of the gradient right within a few ulps until it underflows, at a lead of about
# 100. If the collapse were all that stands between float32 and grokking, it would grok.
#
# Two networks, full batch, no weight decay, no biases, inputs one-hot:
#
# * the paper's: two hidden layers, ReLU (width 128 in place of 200);
# * one hidden layer with the activation x^2, which can add exactly (Gromov 2023, arXiv 2301.02679).
#
# The prime is 31 instead of 113, so that a run takes a minute or so on one core. All runs of a
# network have the same rate, split and initial weights; they differ in the loss alone, or in the
# projection.
#
# Adam as usually written has a threshold of its own: gradients below its epsilon of 1e-8 no longer
# move anything, and their squares underflow in float32. The paper's code lowers epsilon to 1e-25.
# Here Adam has no epsilon to speak of and float64 moments, in all runs, so that rounding in the
# loss is what is compared; the network and the logits are float32.
#
# `python notebooks/grokking.py` prints the tables from `notebooks/data/grokking.csv` and runs what
# is missing there: a file that is deleted is made again in about half an hour of processor time.
# It may be interrupted: runs that ended are kept. `--fast` takes a smaller problem, in seconds, and
# no file; `--plot FILE` draws the curves. Every random number is drawn from a seed. Needs PyTorch:
# `pip install '.[notebooks]'`.

# %%
import csv
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from softproof.kernels import cross_entropy_with_gradient, stablemax_cross_entropy_with_gradient
from softproof.kernels.frameworks.torch_perp_grad import perp_grad
from torch import Tensor, nn
from torch.nn import functional

torch.set_num_threads(1)

DATA = Path(__file__).parent / "data" / "grokking.csv"
GROKKED = 0.95
"""Share of the test pairs: a network that has it has grokked."""
LEARNT = 0.99
"""At this share in three records on end nothing is left to learn, and a run ends."""


# %% [markdown]
# ## The problem and the networks


# %%
class Setting(NamedTuple):
    """A network, its problem, and how it is trained."""

    name: str
    hidden: tuple[int, ...]
    square: bool
    """Whether the activation is x^2; else ReLU."""
    prime: int
    share: float
    """Of all pairs, those in the training set."""
    rate: float
    steps: int
    every: int
    """Steps between two records."""


SETTINGS = (
    Setting("two layers, ReLU", (128, 128), False, 31, 0.8, 0.01, 9200, 400),
    Setting("one layer, square", (128,), True, 31, 0.7, 0.003, 7200, 200),
)
FAST = Setting("one layer, square", (96,), True, 23, 0.7, 0.01, 2000, 200)
SEEDS = range(3)


class Sums(NamedTuple):
    """Pairs of numbers, one-hot side by side, and their sums modulo the prime."""

    pairs: Tensor
    labels: Tensor
    test_pairs: Tensor
    test_labels: Tensor


def sums(prime: int, share: float, seed: int) -> Sums:
    """Split all pairs at random."""
    a, b = np.divmod(np.arange(prime * prime), prime)
    one_hot = np.eye(prime, dtype=np.float32)
    pairs = torch.tensor(np.concatenate([one_hot[a], one_hot[b]], axis=1))
    labels = torch.tensor((a + b) % prime)
    order = np.random.default_rng(seed).permutation(prime * prime)
    chosen, rest = np.split(order, [round(share * prime * prime)])
    return Sums(pairs[chosen], labels[chosen], pairs[rest], labels[rest])


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x


def network(setting: Setting, seed: int) -> nn.Sequential:
    """Return a network with seeded initial weights."""
    sizes = [2 * setting.prime, *setting.hidden, setting.prime]
    activation = Square if setting.square else nn.ReLU
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for width, following in itertools.pairwise(sizes):
            layers += [nn.Linear(width, following, bias=False), activation()]
        return nn.Sequential(*layers[:-1])


# %% [markdown]
# ## Five ways to train
#
# Each takes float32 logits and labels and returns the mean loss and its gradient.


# %%
Loss = Callable[[Tensor, Tensor], tuple[float, Tensor]]


def plain(dtype: torch.dtype) -> Loss:
    """PyTorch's cross-entropy, in a format."""

    def loss(logits: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        z = logits.detach().to(dtype).requires_grad_()
        value = functional.cross_entropy(z, labels)
        (gradient,) = torch.autograd.grad(value, z)
        return float(value.detach()), gradient.float()

    return loss


def collapse_free(logits: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """The same loss in float32 by our kernel."""
    value, gradient = cross_entropy_with_gradient(
        logits.detach().numpy(), labels.numpy(), reduction="mean"
    )
    return float(value), torch.from_numpy(gradient)


def stablemax(logits: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """Cross-entropy of StableMax in float32 by our kernel."""
    value, gradient = stablemax_cross_entropy_with_gradient(logits.detach().numpy(), labels.numpy())
    return float(value.mean()), torch.from_numpy(gradient / np.float32(len(labels)))


METHODS: dict[str, Loss] = {
    "float32": plain(torch.float32),
    "float64": plain(torch.float64),
    "StableMax": stablemax,
    "perpGrad": plain(torch.float32),
    "collapse-free": collapse_free,
}


class Adam(torch.optim.Optimizer):
    """Adam without epsilon, its moments in float64; a gradient that was always 0 moves nothing."""

    def __init__(self, parameters: Iterator[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    zeros = torch.zeros_like(p, dtype=torch.float64)
                    state.update(step=0, mean=zeros, square=zeros.clone())
                state["step"] += 1
                gradient = p.grad.double()
                state["mean"].lerp_(gradient, 1 - first)
                state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
                root = (state["square"] / (1 - second ** state["step"])).sqrt_().add_(1e-100)
                rate = group["lr"] / (1 - first ** state["step"])
                p.sub_((rate * state["mean"] / root).float())


# %% [markdown]
# ## What is recorded
#
# * *collapsed*: the share of training samples whose sum of exponentials, less the maximum, is
#   exactly 1 in the format of the loss (the paper's measure of softmax collapse). For StableMax
#   and the collapse-free loss, in float32: what a plain softmax of these logits would do.
# * *dead*: the share whose gradient of the right class is exactly 0: what does not learn.
# * *cosine*: between the negative gradient, before any projection, and the weights, all of them
#   together. 1 is naive loss minimisation: scaling what is there.


# %%
class Record(NamedTuple):
    """The state of a run after some steps."""

    setting: str
    method: str
    seed: int
    step: int
    train: float
    test: float
    collapsed: float
    dead: float
    cosine: float
    loss: float
    norm: float
    """Of all weights."""


def run(setting: Setting, method: str, seed: int) -> list[Record]:
    """Train one network, and say how it went."""
    data = sums(setting.prime, setting.share, seed)
    model = network(setting, seed)
    weights = list(model.parameters())
    optimiser: torch.optim.Optimizer = Adam(model.parameters(), setting.rate)
    if method == "perpGrad":
        optimiser = perp_grad(optimiser, keep_norm=True)
    records: list[Record] = []
    for step in range(setting.steps + 1):
        logits = model(data.pairs)
        loss, gradient = METHODS[method](logits, data.labels)
        optimiser.zero_grad()
        logits.backward(gradient)
        if step % setting.every == 0:
            with torch.no_grad():
                test = share_right(model(data.test_pairs), data.test_labels)
            records.append(
                Record(
                    setting.name,
                    method,
                    seed,
                    step,
                    share_right(logits, data.labels),
                    test,
                    collapsed(logits.double() if method == "float64" else logits),
                    dead(gradient, data.labels),
                    cosine(weights),
                    loss,
                    norm(weights),
                )
            )
            progress(f"{setting.name}, {method}, seed {seed}: step {step} of {setting.steps}")
            if all(record.test >= LEARNT for record in records[-3:]) and len(records) >= 3:
                break
        optimiser.step()
    return records


def share_right(logits: Tensor, labels: Tensor) -> float:
    """Return the share of samples whose largest logit is that of the label."""
    return float((logits.argmax(dim=1) == labels).double().mean())


def collapsed(logits: Tensor) -> float:
    """Return the share of samples whose exponentials, below the maximum, add up to exactly 1."""
    z = logits.detach()
    return float((torch.exp(z - z.max(dim=1, keepdim=True).values).sum(dim=1) == 1).double().mean())


def dead(gradient: Tensor, labels: Tensor) -> float:
    """Return the share of samples whose right class has a gradient of exactly 0."""
    return float((gradient[torch.arange(len(labels)), labels] == 0).double().mean())


def cosine(weights: Sequence[Tensor]) -> float:
    """Return the cosine between the negative gradient and the weights; NaN without a gradient."""
    along = sum(float(torch.sum(w.detach().double() * w.grad.double())) for w in weights)
    length = norm([w.grad for w in weights])
    return -along / (length * norm(weights)) if length else math.nan


def norm(tensors: Sequence[Tensor]) -> float:
    """Return the Euclidean norm of all of them together."""
    return math.sqrt(sum(float(torch.sum(t.detach().double() ** 2)) for t in tensors))


def progress(words: str) -> None:
    """Write over the last line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r{words:78}", end="", file=sys.stderr, flush=True)


# %% [markdown]
# ## All runs, and the file that keeps them


# %%
def measure(fast: bool = False, path: Path | None = DATA) -> list[Record]:
    """Run what the file does not hold, add it there, and return everything."""
    if fast:
        return [record for method in METHODS for record in run(FAST, method, 0)]
    records = read(path) if path and path.exists() else []
    ran = {(record.setting, record.method, record.seed) for record in records}
    for seed in SEEDS:
        for setting in SETTINGS:
            for method in METHODS:
                if (setting.name, method, seed) not in ran:
                    found = run(setting, method, seed)
                    records += found
                    if path:
                        append(path, found)
    progress("")
    return records


def append(path: Path, records: Sequence[Record]) -> None:
    """Add records to a CSV file, in one piece, so that an interrupted run leaves no part of it."""
    path.parent.mkdir(exist_ok=True)
    lines = [[f"{x:.5g}" if isinstance(x, float) else str(x) for x in r] for r in records]
    head = [] if path.exists() else [list(Record._fields)]
    text = "".join(
        ",".join(f'"{x}"' if "," in x else x for x in line) + "\n" for line in head + lines
    )
    with path.open("a") as file:
        file.write(text)


def read(path: Path) -> list[Record]:
    """Read what `append` wrote."""
    with path.open(newline="") as file:
        return [
            Record(
                line["setting"],
                line["method"],
                int(line["seed"]),
                int(line["step"]),
                *(float(line[name]) for name in Record._fields[4:]),
            )
            for line in csv.DictReader(file)
        ]


# %% [markdown]
# ## What happened
#
# The table stops the ReLU network long before its collapse-free gradient underflows. For one seed
# we went on, `run(SETTINGS[0]._replace(steps=20_000, every=1000), "collapse-free", 0)`: the loss
# falls to 5e-43, every sample is dead after 18 000 steps, the cosine stays at 0.78 until then, and
# the network has 2.1 % of the test pairs.


# %%
class Outcome(NamedTuple):
    """One method on one network: medians over the seeds."""

    fitted: float
    """Steps to 99 % of the training pairs; inf if never."""
    grokked: float
    """Steps to `GROKKED` of the test pairs."""
    collapse: float
    """Steps until half of the training samples are collapsed."""
    death: float
    """Steps until half of them are dead."""
    test_at_collapse: float
    """Test accuracy when half of them are collapsed; NaN if they never are."""
    best: float
    """Best test accuracy."""
    last: float
    """Test accuracy at the end."""
    cosine: float
    """Over the second half of the records."""
    seeds: tuple[float, ...]
    """Best test accuracy of every seed."""


def first(records: Sequence[Record], name: str, least: float) -> float:
    """Return the first recorded step at which something is reached; inf if it never is."""
    return next((r.step for r in records if getattr(r, name) >= least), math.inf)


def by_run(records: Sequence[Record]) -> dict[tuple[str, str], list[list[Record]]]:
    """Sort records into (setting, method) -> seeds."""
    runs: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        runs.setdefault((record.setting, record.method, record.seed), []).append(record)
    grouped: dict[tuple[str, str], list[list[Record]]] = {}
    for (setting, method, _), found in runs.items():
        grouped.setdefault((setting, method), []).append(found)
    return grouped


def outcome(runs: Sequence[Sequence[Record]]) -> Outcome:
    """Summarise the seeds of one method on one network."""
    collapse = [first(records, "collapsed", 0.5) for records in runs]
    at_collapse = [
        next((r.test for r in records if r.step >= step), math.nan)
        for records, step in zip(runs, collapse, strict=True)
    ]
    late = [r.cosine for records in runs for r in records[len(records) // 2 :]]
    return Outcome(
        float(np.median([first(records, "train", 0.99) for records in runs])),
        float(np.median([first(records, "test", GROKKED) for records in runs])),
        float(np.median(collapse)),
        float(np.median([first(records, "dead", 0.5) for records in runs])),
        float(np.median(at_collapse)),
        float(np.median([max(r.test for r in records) for records in runs])),
        float(np.median([records[-1].test for records in runs])),
        float(np.nanmedian(late)),
        tuple(max(r.test for r in records) for records in runs),
    )


def report(records: Sequence[Record]) -> str:
    """Write a table for every network, and the answer."""
    grouped = by_run(records)
    lines = []
    for setting in dict.fromkeys(name for name, _ in grouped):
        outcomes = {m: outcome(runs) for (name, m), runs in grouped.items() if name == setting}
        seeds = len(next(iter(outcomes.values())).seeds)
        lines += [
            f"{setting} (medians of {seeds} seed{'s' if seeds > 1 else ''}; "
            "half collapsed, half dead: of the training samples)",
            f"{'':14}{'steps to':>8}{'half':>10}{'half':>7}{'test at':>9}{'steps to':>10}"
            f"{'best':>7}{'last':>8}{'':>8}",
            f"{'':14}{'99% train':>9}{'collapsed':>10}{'dead':>6}{'collapse':>10}"
            f"{f'{GROKKED:.0%} test':>9}{'test':>7}{'test':>8}{'cosine':>8}",
        ]
        for method, o in outcomes.items():
            at = "" if math.isnan(o.test_at_collapse) else f"{o.test_at_collapse:.1%}"
            lines.append(
                f"{method:14}{count(o.fitted):>8}{count(o.collapse):>10}{count(o.death):>7}"
                f"{at:>9}{count(o.grokked):>10}{o.best:>7.1%}{o.last:>8.1%}{o.cosine:>8.2f}"
            )
        lines += ["", *(f"* {line}" for line in verdict(outcomes)), ""]
    return "\n".join(lines)


def count(steps: float) -> str:
    """Write a number of steps."""
    return "never" if math.isinf(steps) else f"{steps:.0f}"


def verdict(outcomes: dict[str, Outcome]) -> list[str]:
    """Say what a network's runs say on each claim, and on the question."""
    lines = []
    base = outcomes["float32"]
    held = math.isfinite(base.collapse) and math.isinf(base.grokked)
    lines.append(
        "float32 collapses and never groks, the paper says: "
        + ("so it is here." if held else "not here.")
    )
    later = outcomes["float64"].collapse > base.collapse
    lines.append(f"float64 delays the collapse: {'yes' if later else 'no'}.")
    for method in ("StableMax", "perpGrad"):
        steps = outcomes[method].grokked
        lines.append(
            f"{method} groks: "
            + (f"yes, in {steps:.0f} steps." if math.isfinite(steps) else "not here.")
        )
    free = outcomes["collapse-free"]
    if math.isfinite(free.grokked):
        answer = f"yes, in {free.grokked:.0f} steps."
        if math.isinf(base.grokked):
            answer += " The collapse is what kept float32 from it."
    else:
        answer = (
            f"not in these steps. It ends at {free.last:.1%} of the test pairs, plain float32 at "
            f"{base.last:.1%} (at best {base.best:.1%}). Steps until half of the samples are dead: "
            f"{count(free.death)}, float32 {count(base.death)}."
        )
        if math.isinf(free.death) and free.last < base.best + 0.1:
            answer += (
                f" No sample was lost to rounding, and the gradient points along the weights "
                f"(cosine {free.cosine:.2f}): here the collapse alone is not what prevents it."
            )
    lines.append(f"Does collapse-free float32 cross-entropy grok? {answer}")
    unfitted = [method for method, o in outcomes.items() if math.isinf(o.fitted)]
    if unfitted:
        lines.append(f"Not even the training pairs are learnt by {', '.join(unfitted)}.")
    return lines


# %% [markdown]
# ## The curves


# %%
class Curve(NamedTuple):
    """One method on one network, over the steps: medians of the seeds, and each of them."""

    steps: np.ndarray
    median: dict[str, np.ndarray]
    seeds: dict[str, list[np.ndarray]]


SHOWN = ("train", "test", "collapsed", "dead", "cosine", "loss", "norm")


def curves(records: Sequence[Record]) -> dict[str, dict[str, Curve]]:
    """Return setting -> method -> curves; a run that ended early keeps its last values."""
    found: dict[str, dict[str, Curve]] = {}
    for (setting, method), runs in by_run(records).items():
        longest = max(runs, key=len)
        steps = np.array([r.step for r in longest])
        seeds = {
            name: [
                np.array([getattr(r, name) for r in [*some, *some[-1:] * (len(steps) - len(some))]])
                for some in runs
            ]
            for name in SHOWN
        }
        median = {name: np.median(values, axis=0) for name, values in seeds.items()}
        found.setdefault(setting, {})[method] = Curve(steps, median, seeds)
    return found


COLOURS = dict(zip(METHODS, ("#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00"), strict=True))
PANELS = (
    ("test", "test accuracy"),
    ("collapsed", "share of samples\ncollapsed"),
    ("dead", "share of samples\nwith gradient 0"),
    ("cosine", "cosine of -gradient\nand weights"),
)


def draw(found: dict[str, dict[str, Curve]]) -> Figure:
    """Draw a column for every network; thin lines are seeds, dotted ones training accuracy."""
    figure = Figure(figsize=(3.6 * len(found), 7.2), layout="constrained")
    grid = figure.subplots(len(PANELS), len(found), squeeze=False, sharex="col", sharey="row")
    for column, (setting, methods) in enumerate(found.items()):
        for row, (name, label) in enumerate(PANELS):
            axes = grid[row, column]
            for method, curve in methods.items():
                colour = COLOURS[method]
                for values in curve.seeds[name]:
                    axes.plot(curve.steps, values, color=colour, linewidth=0.4, alpha=0.5)
                axes.plot(curve.steps, curve.median[name], color=colour, label=method)
                if name == "test":
                    axes.plot(curve.steps, curve.median["train"], ":", color=colour, linewidth=1)
            axes.set_ylim(-0.05, 1.05)
            axes.grid(color="0.9", linewidth=0.5)
            if column == 0:
                axes.set_ylabel(label)
        grid[0, column].set_title(setting)
        grid[-1, column].set_xlabel("steps (full batch)")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, print, draw."""
    records = measure(fast="--fast" in arguments)
    print(report(records))
    if "--plot" in arguments:
        draw(curves(records)).savefig(arguments[arguments.index("--plot") + 1], dpi=200)


if __name__ == "__main__":
    main(sys.argv[1:])
