# %% [markdown]
# # Do two losses for wrong labels bear with them?
#
# On scikit-learn's handwritten digits, a part of whose training labels is replaced by a random one.
#
# * LDR-KL (Zhu, Ying, Yang 2023, arXiv 2112.14869) beside cross-entropy, ten classes. The paper's
#   scores are normalised: softplus, divided by their mean, so that they sum to the number of
#   classes; so are ours for LDR-KL, at temperatures 0.1, 1 and 10 and a margin of 0.1.
# * EnsLoss (Dai 2025, arXiv 2409.00908) beside the logistic loss, even digits against odd ones.
#
# One hidden layer of 64 tanh, SGD with momentum 0.9, batches of 64, 40 epochs; accuracy on the
# third of the images that is left out, whose labels are right; three seeds, which draw the split,
# the noise, the weights and the batches. Data, network and rates are not those of the papers: that
# is a small rerun of the question, and no reproduction of their tables.
#
# `python notebooks/wrong_labels.py` takes some two minutes of one core; `--fast` one seed and a few
# epochs. It needs scikit-learn.

# %%
import sys
from collections.abc import Callable

import numpy as np
from digits import load
from numpy.typing import NDArray
from softproof.kernels import cross_entropy_with_gradient, ldr_kl_with_gradient
from softproof.kernels.training.ensloss import ensemble_derivatives

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
# Of scores and labels, the gradient of the mean loss by the scores.
Gradient = Callable[[Array, Labels, np.random.Generator], Array]

HIDDEN, BATCH, MOMENTUM, RATE = 64, 64, 0.9, 0.05
NOISE = (0.0, 0.3, 0.6)
MARGIN = 0.1
EPOCHS, SEEDS = 40, (0, 1, 2)


# %%
def cross_entropy(scores: Array, labels: Labels, rng: np.random.Generator) -> Array:
    """The gradient of the mean cross-entropy."""
    return cross_entropy_with_gradient(scores, labels)[1] / len(labels)


def ldr(temperature: float) -> Gradient:
    """That of LDR-KL on scores that are made positive and divided by their mean."""

    def gradient(scores: Array, labels: Labels, rng: np.random.Generator) -> Array:
        positive = np.logaddexp(0.0, scores)
        mean = positive.mean(axis=1, keepdims=True)
        normalised = positive / mean
        by_normalised = ldr_kl_with_gradient(normalised, labels, temperature, MARGIN)[1]
        inner = np.mean(by_normalised * normalised, axis=1, keepdims=True)
        by_positive = (by_normalised - inner) / mean
        return by_positive / (1.0 + np.exp(-scores)) / len(labels)

    return gradient


def margins_of(scores: Array, labels: Labels) -> tuple[Array, Array]:
    """The margins of a binary classifier of one score, and the signs of the labels."""
    signs = np.where(labels > 0, 1.0, -1.0)
    return signs * scores[:, 0], signs


def logistic(scores: Array, labels: Labels, rng: np.random.Generator) -> Array:
    """The gradient of the mean of log(1 + e^-s)."""
    s, signs = margins_of(scores, labels)
    return (-signs / (1.0 + np.exp(np.minimum(s, 700.0))) / len(s))[:, None]


def ensemble(power: float) -> Gradient:
    """Derivatives of a random calibrated loss, drawn for each batch."""

    def gradient(scores: Array, labels: Labels, rng: np.random.Generator) -> Array:
        s, signs = margins_of(scores, labels)
        return (signs * ensemble_derivatives(s, power, rng=rng) / len(s))[:, None]

    return gradient


# %%
def accuracy(
    features: Array,
    labels: Labels,
    classes: int,
    gradient: Gradient,
    noise: float,
    seed: int,
    epochs: int,
) -> float:
    """Train on two thirds of the images with wrong labels among them; accuracy on the others."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    test, train = np.split(order, [len(order) // 3])
    shown = labels[train].copy()
    wrong = rng.random(len(shown)) < noise
    shown[wrong] = rng.integers(0, max(classes, 2), wrong.sum())
    outputs = classes if classes > 2 else 1
    weights = [
        rng.normal(size=(features.shape[1], HIDDEN)) / 8,
        rng.normal(size=(HIDDEN, outputs)) / 8,
    ]
    velocity = [np.zeros_like(w) for w in weights]
    for _ in range(epochs):
        batches = rng.permutation(len(train))
        for start in range(0, len(train), BATCH):
            rows = batches[start : start + BATCH]
            x = features[train[rows]]
            hidden = np.tanh(x @ weights[0])
            slopes = gradient(hidden @ weights[1], shown[rows], rng)
            back = (slopes @ weights[1].T) * (1.0 - hidden**2)
            for i, step in enumerate((x.T @ back, hidden.T @ slopes)):
                velocity[i] = MOMENTUM * velocity[i] - RATE * step
                weights[i] += velocity[i]
    scores = np.tanh(features[test] @ weights[0]) @ weights[1]
    told = scores.argmax(axis=1) if outputs > 1 else (scores[:, 0] > 0).astype(np.int64)
    return float(np.mean(told == labels[test]))


# %%
def table(
    losses: dict[str, Gradient], features: Array, labels: Labels, classes: int, fast: bool
) -> None:
    """Print the mean accuracy over the seeds, and the lowest and the highest, for each noise."""
    for name, gradient in losses.items():
        told = []
        for noise in NOISE:
            found = [
                accuracy(features, labels, classes, gradient, noise, seed, 4 if fast else EPOCHS)
                for seed in ((0,) if fast else SEEDS)
            ]
            told.append(f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})")
        print(f"{name:<20}", "  ".join(told))


def main() -> None:
    """Print both tables."""
    features, labels = load()
    fast = "--fast" in sys.argv
    ten = {f"LDR-KL, T = {t:g}": ldr(t) for t in (0.1, 1.0, 10.0)}
    two = {f"EnsLoss, power {p:g}": ensemble(p) for p in (0.0, 0.5, -0.5)}
    print(f"{'share of labels':<20}", "  ".join(f"{noise:<22}" for noise in NOISE))
    table({"cross-entropy": cross_entropy, **ten}, features, labels, 10, fast)
    table({"logistic": logistic, **two}, features, labels % 2, 2, fast)


if __name__ == "__main__":
    main()
