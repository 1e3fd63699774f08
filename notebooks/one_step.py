# %% [markdown]
# # One step, of any length
#
# What the three one-step experiments share: the measures after steps of many lengths along one
# direction, the length at which a measure first fails, and the radii of a batch.
#
# The measures are the paper's ("Ghosts of Softmax", Sao, arXiv 2603.13552, Figures 7 to 9): the
# loss after over the loss before, the share of predictions that change, and the test accuracy
# after over the one before. The paper does not say where each of them counts as failed. The limits
# here are ours; its public scripts take 1.1 and 2 for the loss.
#
# Nothing runs here; the three scripts import it. Needs PyTorch and scikit-learn:
# `pip install '.[notebooks]'`.

# %%
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from models import Array, Data, Parameters, accuracy, batch, logits_after, loss
from numpy.typing import NDArray
from softproof.kernels.step_radius.radius import BOUNDS, safe_radius
from torch import Tensor, nn

LOSS_LIMIT = 1.1
"""A step fails by loss where the loss after it exceeds this multiple of the loss before."""

RETAINED_LIMIT = 0.9
"""A step fails by accuracy where it keeps less than this share of the test accuracy."""

TURN_LIMIT = 0.98
"""The accuracy turns where less than this share is kept (the paper's linear model keeps about
97 % at r = 1, read off its Figure 7)."""

NEAR = (0.8, 1.25)
"""What counts as "near r = 1"."""


class Problem(NamedTuple):
    """The images of one step - their loss it lowers, their radii bound it - and the test images."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def problem(data: Data, size: int = 256) -> Problem:
    """Take one batch for the step, and all test images."""
    return Problem(*batch(data, size), data.test_images, data.test_labels)


class Sweep(NamedTuple):
    """Measures after steps of the given lengths, each an array of that shape."""

    lengths: Array
    loss_ratio: Array
    flipped: Array
    retained: Array

    def onset(self, failed: NDArray[np.bool_]) -> float:
        """Return the shortest length that failed, inf if none did."""
        return float(self.lengths[failed.argmax()]) if failed.any() else np.inf

    @property
    def loss_onset(self) -> float:
        """The shortest length that fails by loss."""
        return self.onset(self.loss_ratio > LOSS_LIMIT)

    @property
    def accuracy_onset(self) -> float:
        """The shortest length that fails by accuracy."""
        return self.onset(self.retained < RETAINED_LIMIT)

    @property
    def turn(self) -> float:
        """The shortest length at which the accuracy turns."""
        return self.onset(self.retained < TURN_LIMIT)


def sweep(
    model: nn.Module,
    direction: Parameters,
    lengths: Array,
    at: Problem,
    temperature: float = 1.0,
) -> Sweep:
    """Measure the model after steps of all lengths along the direction."""

    def measures(length: float) -> tuple[float, Tensor, float]:
        logits = logits_after(model, at.images, direction, length)
        test_logits = logits_after(model, at.test_images, direction, length)
        return (
            loss(logits / temperature, at.labels),
            logits.argmax(dim=1),
            accuracy(test_logits, at.test_labels),
        )

    loss_before, classes_before, accuracy_before = measures(0.0)
    after = [measures(length) for length in lengths]
    return Sweep(
        lengths,
        np.array([loss_after / loss_before for loss_after, _, _ in after]),
        np.array([float((c != classes_before).double().mean()) for _, c, _ in after]),
        np.array([accuracy_after / accuracy_before for _, _, accuracy_after in after]),
    )


def grid(low: float, high: float, per_decade: int) -> Array:
    """Return a logarithmic grid of normalised steps r that contains 1."""
    exponents = np.arange(round(np.log10(low) * per_decade), round(np.log10(high) * per_decade) + 1)
    return 10.0 ** (exponents / per_decade)


def batch_radii(logits: Array, slopes: Array) -> dict[str, float]:
    """Return every rung's radius of the batch: the minimum over its samples, a proven bound."""
    return {bound: float(safe_radius(logits, slopes, bound).min()) for bound in BOUNDS}


def is_near_one(r: float) -> bool:
    """Whether r lies in NEAR."""
    return NEAR[0] <= r <= NEAR[1]


def median_and_range(values: Sequence[float], low: float = 0.0, high: float = 1.0) -> str:
    """Write the median and, of several values, the range between two quantiles."""
    middle = f"{np.median(values):.2f}"
    if len(values) == 1:
        return middle
    first, last = np.quantile(values, [low, high], method="nearest")
    return f"{middle} ({first:.2f}-{last:.2f})"


def verdict(holds: bool) -> str:
    """Say whether the paper's statement holds here."""
    return "agrees" if holds else "DISAGREES"
