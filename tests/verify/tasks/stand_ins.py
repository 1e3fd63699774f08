"""Tasks and candidates for the tests, in the public format of KernelBench, in words of our own."""

from pathlib import Path

SOFTMAX = """
import numpy as np

class Model:
    def __call__(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

rows = 512
classes = 3 * 1000

def get_inputs():
    return [np.random.rand(rows, classes)]

def get_init_inputs():
    return []
"""

RIGHT = """
import numpy as np

class ModelNew:
    def __call__(self, x):
        e = np.exp((x - x.max(1, keepdims=True)).astype(np.float64))
        return (e / e.sum(1, keepdims=True)).astype(x.dtype)
"""

ZEROS = """
import numpy as np

class ModelNew:
    def __call__(self, x):
        return np.zeros_like(x)
"""

WITHOUT_MAXIMUM = """
import numpy as np

class ModelNew:
    def __call__(self, x):
        e = np.exp(x)
        return e / e.sum(1, keepdims=True)
"""

# Wrong at the size that the task ships with, and at no other.
TILED = """
import numpy as np

class ModelNew:
    def __call__(self, x):
        whole = 2048 if x.shape[1] == 3000 else x.shape[1]
        e = np.exp((x - x.max(1, keepdims=True)).astype(np.float64))
        total = e[:, :whole].sum(1, keepdims=True)
        return (e / total).astype(x.dtype)
"""

IN_FEW_BITS = """
import ml_dtypes
import numpy as np

class ModelNew:
    def __call__(self, x):
        x = x.astype(ml_dtypes.bfloat16).astype(np.float32)
        e = np.exp(x - x.max(1, keepdims=True))
        return (e / e.sum(1, keepdims=True)).astype(ml_dtypes.bfloat16).astype(np.float32)
"""

RAISES = """
class ModelNew:
    def __call__(self, x):
        raise RuntimeError("not today")
"""

ENDS = """
import os

os._exit(7)
"""

ANOTHER_SHAPE = """
class ModelNew:
    def __call__(self, x):
        return x[:, :1]
"""

COUNTS_CALLS = """
import numpy as np

class ModelNew:
    calls = 0

    def __call__(self, x):
        ModelNew.calls += 1
        e = np.exp((x - x.max(1, keepdims=True)).astype(np.float64))
        found = (e / e.sum(1, keepdims=True)).astype(x.dtype)
        return np.nextafter(found, np.float32(2)) if ModelNew.calls % 2 else found
"""

NORM = """
import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, channels, eps=1e-3):
        super().__init__()
        self.channels, self.eps = channels, eps

    def forward(self, x):
        assert x.shape[1] == self.channels
        return x * torch.rsqrt(x.float().square().mean(dim=1, keepdim=True) + self.eps)

batch, channels, height, width = 64, 32, 64, 128

def get_inputs():
    return [torch.rand(batch, channels, height, width)]

def get_init_inputs():
    return [channels]
"""

ATTENTION = """
import torch

class Model(torch.nn.Module):
    def forward(self, q, k, v):
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return torch.softmax(scores, -1) @ v

batch, heads, length, width = 16, 12, 128, 64

def get_inputs():
    return [torch.randn(batch, heads, length, width) for _ in range(3)]
"""

CAUSAL = ATTENTION.replace(
    "        return",
    "        scores = scores + torch.full_like(scores, -1e30).triu(1)\n        return",
)

LOSS = """
import torch

class Model(torch.nn.Module):
    def forward(self, logits, labels):
        logs = logits.log_softmax(1)
        return -logs.gather(1, labels[:, None]).mean()

batch, classes = 1024, 100

def get_inputs():
    return [torch.rand(batch, classes), torch.randint(0, classes, (batch,))]
"""

# Right in exact numbers; in binary32, 1 swallows what the logarithm is of.
NAIVE_LOGS = SOFTMAX.replace(
    "return e / e.sum(axis=1, keepdims=True)", "return np.log(e / e.sum(axis=1, keepdims=True))"
)

POWERS = """
import numpy as np

class Model:
    def __call__(self, x, power):
        return (x - x.sum(axis=-1, keepdims=True)) ** power

rows = 40

def get_inputs():
    return [np.random.rand(rows, 30), 3]
"""

FIVE_TIMES = """
import numpy as np

def five_times(x):
    return 5 * x + np.tanh(x)

def get_inputs():
    return [np.random.rand(100, 30)]
"""


def written(folder: Path, **sources: str) -> list[Path]:
    """Write files, and return their paths."""
    paths = []
    for name, source in sources.items():
        path = folder / f"{name}.py"
        path.write_text(source)
        paths.append(path)
    return paths
