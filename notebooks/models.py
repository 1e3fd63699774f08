# %% [markdown]
# # The models and the data that the experiments share
#
# Small classifiers of scikit-learn's handwritten digits (1797 images of 8 x 8 pixels, ten classes),
# in float64, with the exact GELU as the only activation: it is entire, so along a step every
# logit is an analytic function of its length and no kink stands nearer than the ghosts.
#
# Nothing runs here; the other scripts import it. Every random number is drawn from a seed.
# Needs PyTorch and scikit-learn: `pip install '.[notebooks]'`.

# %%
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn import functional

torch.set_num_threads(1)

Parameters = dict[str, Tensor]
Array = NDArray[np.float64]

CLASSES = 10
PIXELS = 64


# %% [markdown]
# ## Data


# %%
class Data(NamedTuple):
    """Images of shape (N, 64) with pixels in [0, 1], float64, and labels of shape (N,), int64."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load() -> tuple[Tensor, Tensor]:
    """Return all images and labels in the order of the set, which is a random one."""
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16.0), torch.tensor(labels, dtype=torch.int64)


def digits(seed: int = 0, test_share: float = 0.3) -> Data:
    """Split the digits at random, each class by the same share."""
    x, y = load()
    labels = y.numpy()
    rng = np.random.default_rng(seed)
    is_test = np.zeros(len(labels), dtype=bool)
    for k in range(CLASSES):
        of_class = rng.permutation(np.flatnonzero(labels == k))
        is_test[of_class[: round(test_share * len(of_class))]] = True
    return Data(x[~is_test], y[~is_test], x[is_test], y[is_test])


def batch(data: Data, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw training images and their labels without replacement."""
    chosen = np.random.default_rng(seed).choice(len(data.labels), size, replace=False)
    return data.images[chosen], data.labels[chosen]


# %% [markdown]
# ## Models
#
# All take images of shape (N, 64) and give logits of shape (N, 10).


# %%
class Transformer(nn.Module):
    """One pre-norm encoder block of two heads over the eight pixel rows, then their mean."""

    def __init__(self, width: int = 32, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.embedding = nn.Linear(8, width)
        self.positions = nn.Parameter(torch.randn(8, width) / math.sqrt(width))
        self.norm_1, self.norm_2, self.norm_3 = (nn.LayerNorm(width) for _ in range(3))
        self.query_key_value = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        x = self.embedding(images.unflatten(1, (8, 8))) + self.positions
        x = x + self._attention(self.norm_1(x))
        x = x + self.mlp(self.norm_2(x))
        logits: Tensor = self.head(self.norm_3(x).mean(dim=1))
        return logits

    def _attention(self, x: Tensor) -> Tensor:
        # Written out: the fused kernel has no forward-mode derivative.
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.query_key_value(x).chunk(3, dim=-1)
        )
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
        mixed: Tensor = self.merge((weights @ v).transpose(1, 2).flatten(2))
        return mixed


def _cnn(normalised: bool) -> nn.Module:
    """Two 3 x 3 convolutions with 8 and 16 channels, each halving the image, and a linear head."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 8, 8))]
    for before, after in ((1, 8), (8, 16)):
        layers.append(nn.Conv2d(before, after, 3, padding=1))
        if normalised:
            layers.append(nn.BatchNorm2d(after))
        layers += [nn.GELU(), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, CLASSES))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(PIXELS, CLASSES),
    "MLP": lambda: nn.Sequential(nn.Linear(PIXELS, 128), nn.GELU(), nn.Linear(128, CLASSES)),
    "MLP+LayerNorm": lambda: nn.Sequential(
        nn.Linear(PIXELS, 128), nn.LayerNorm(128), nn.GELU(), nn.Linear(128, CLASSES)
    ),
    "CNN": lambda: _cnn(normalised=False),
    "CNN+BatchNorm": lambda: _cnn(normalised=True),
    "transformer": Transformer,
}
"""The six kinds of model in the paper's Figure 1; the widths are ours."""

RECIPES = {
    "linear": (300, 3e-2),
    "MLP": (300, 3e-3),
    "MLP+LayerNorm": (300, 3e-3),
    "CNN": (600, 1e-2),
    "CNN+BatchNorm": (300, 3e-3),
    "transformer": (300, 3e-3),
}
"""Steps and rate of Adam that bring each model above 95 % on the test images."""


def build(name: str, seed: int = 0) -> nn.Module:
    """Return a model of MODELS with seeded initial parameters, float64, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name]().double().eval()


def trained(name: str, data: Data, seed: int = 0) -> nn.Module:
    """Build a model of MODELS and train it by its recipe."""
    model = build(name, seed)
    steps, rate = RECIPES[name]
    train(model, data, steps, seed, rate)
    return model


def train(
    model: nn.Module,
    data: Data,
    steps: int,
    seed: int = 0,
    rate: float = 3e-3,
    temperature: float = 1.0,
) -> None:
    """Run Adam on random batches of 128 images, in place; leave the model in evaluation mode."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    rng = np.random.default_rng(seed)
    model.train()
    for _ in range(steps):
        chosen = rng.choice(len(data.labels), 128, replace=False)
        optimiser.zero_grad()
        logits = model(data.images[chosen]) / temperature
        functional.cross_entropy(logits, data.labels[chosen]).backward()
        optimiser.step()
    model.eval()


# %% [markdown]
# ## Losses, directions, slopes
#
# A direction is a dictionary like the model's parameters, of norm 1 over all of them together. The
# models are in evaluation mode: batch normalisation uses its running statistics, so one sample's
# logits do not depend on the others.


# %%
def loss(logits: Tensor, labels: Tensor) -> float:
    """Return the mean cross-entropy."""
    return float(functional.cross_entropy(logits.detach(), labels))


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of samples whose largest logit is that of the label."""
    return float((logits.argmax(dim=1) == labels).double().mean())


def parameters(model: nn.Module) -> Parameters:
    """Return the trainable parameters, detached from the graph."""
    return {name: value.detach() for name, value in model.named_parameters()}


def unit(direction: Parameters) -> Parameters:
    """Scale a direction to norm 1."""
    norm = math.sqrt(sum(float((part * part).sum()) for part in direction.values()))
    return {name: part / norm for name, part in direction.items()}


def downhill(
    model: nn.Module, images: Tensor, labels: Tensor, temperature: float = 1.0
) -> Parameters:
    """Return the unit direction of the next gradient step, the negative gradient of the loss."""
    names, values = zip(*model.named_parameters(), strict=True)
    objective = functional.cross_entropy(model(images) / temperature, labels)
    gradients = torch.autograd.grad(objective, values)
    return unit({name: -part for name, part in zip(names, gradients, strict=True)})


def random_direction(model: nn.Module, rng: np.random.Generator) -> Parameters:
    """Return a unit direction drawn uniformly from the sphere."""
    return unit(
        {
            name: torch.from_numpy(rng.standard_normal(tuple(value.shape)))
            for name, value in model.named_parameters()
        }
    )


def logits_after(model: nn.Module, images: Tensor, direction: Parameters, length: float) -> Tensor:
    """Return the logits after a step of this length; the model stays as it is."""
    moved = {name: value + length * direction[name] for name, value in parameters(model).items()}
    with torch.no_grad():
        logits: Tensor = functional_call(model, moved, (images,))
    return logits


def logits_and_slopes(
    model: nn.Module, images: Tensor, direction: Parameters
) -> tuple[Array, Array]:
    """Return the logits and their derivatives along the direction (one JVP), shape (N, 10) each."""

    def logits_at(values: Parameters) -> Tensor:
        logits: Tensor = functional_call(model, values, (images,))
        return logits

    logits, slopes = jvp(logits_at, (parameters(model),), (direction,))
    return logits.detach().numpy(), slopes.detach().numpy()
