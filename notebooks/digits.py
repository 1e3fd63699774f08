# %% [markdown]
# # Step radii of a small, real model
#
# A softmax regression on scikit-learn's handwritten digits (1797 images of 8 x 8 pixels, ten
# classes, shipped inside its wheel). We train it, take the direction of the next gradient step and
# ask for every image how far the step may go before the Taylor series of its loss breaks down.
#
# `python notebooks/digits.py` runs the lesson in seconds and rewrites `verify/data/digits.npz`,
# the real logits and slopes that the test suite and the command line use. Everything is
# deterministic: no random number is drawn, and the training is plain NumPy in float64. Other BLAS
# libraries add in another order, which may move the stored float32 numbers by their last bit.

# %%
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from softproof.kernels.step_radius.radius import radius

Array = NDArray[np.float64]

DATA = Path(__file__).parents[1] / "verify" / "data" / "digits.npz"
STEPS = 1000
RATE = 0.5


# %% [markdown]
# ## The model
#
# Pixels run from 0 to 16; we scale them to [0, 1] and append a constant 1, so that the biases are
# the last row of the weight matrix W and the logits are simply Z = X W.


# %%
def load() -> tuple[Array, NDArray[np.int64]]:
    """Return the images, shape (1797, 65) with a last column of ones, and their labels."""
    images, labels = load_digits(return_X_y=True)
    features = np.column_stack([images / 16.0, np.ones(len(images))])
    return features, labels.astype(np.int64)


# %% [markdown]
# ## The gradient
#
# Of the mean cross-entropy: X^T (p - onehot(y)) / N, with p = softmax(Z).


# %%
def gradient(features: Array, labels: NDArray[np.int64], weights: Array) -> Array:
    """Return the gradient of the mean cross-entropy by the weights, shape (65, 10)."""
    logits = features @ weights
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1.0
    return features.T @ p / len(labels)


def train(features: Array, labels: NDArray[np.int64]) -> Array:
    """Return the weights after STEPS steps of gradient descent from zero."""
    weights = np.zeros((features.shape[1], 10))
    for _ in range(STEPS):
        weights -= RATE * gradient(features, labels, weights)
    return weights


# %% [markdown]
# ## Logits and slopes
#
# The next step goes along v, the negative gradient scaled to norm 1 (over all weights and biases
# together). The logits are linear in W, so their slopes along v are exactly X V, with V the
# direction in the shape of W.


# %%
def logits_and_slopes(
    features: Array, labels: NDArray[np.int64], weights: Array
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits at the weights and their slopes along the next gradient step."""
    downhill = -gradient(features, labels, weights)
    direction = downhill / np.linalg.norm(downhill)
    return (features @ weights).astype(np.float32), (features @ direction).astype(np.float32)


# %% [markdown]
# ## What the radii say
#
# A sample with a clear winner may go further than pi / Delta. The batch is as cautious as its most
# cautious sample. The next gradient step has the length RATE * |gradient|: compare.


# %%
def main() -> None:
    """Train, report, store."""
    features, labels = load()
    weights = train(features, labels)
    logits, slopes = logits_and_slopes(features, labels, weights)
    np.savez_compressed(DATA, logits=logits, slopes=slopes, labels=labels)

    accuracy = np.mean(logits.argmax(axis=1) == labels)
    step = RATE * np.linalg.norm(gradient(features, labels, weights))
    radii = radius(logits, slopes)
    gain = radii.half_mass / radii.spread
    print(f"accuracy                      {accuracy:.1%}")
    print(f"length of the next step       {step:.4f}")
    print(f"batch: pi / Delta             {radii.batch.spread:.4f}")
    print(f"batch: half-mass              {radii.batch.half_mass:.4f}")
    print(f"half-mass over pi / Delta     median {np.median(gain):.2f}, largest {gain.max():.2f}")
    print(f"stored                        {DATA.name}, {DATA.stat().st_size} bytes")


if __name__ == "__main__":
    main()
