"""PyTorch's functions as ``torch.nn.functional`` gives them, with gradients by its autograd.

``cotangent``, of the value's shape, asks for (value, gradient of sum(cotangent * value)).
``scale`` multiplies the logits beforehand, where a compiler may contract the product.
Compiled ones follow ``torch.compile`` with dynamic shapes: each number format, rank, axis and
memory layout takes it about a second, each new shape nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..contract import IN_FORMAT, IN_LANES
from ..registration import subject
from ..subject import CXX

Tensor = Any

eager = functools.partial(
    subject, contract=IN_LANES, arrays="torch", requires=("torch",), also_on="cuda"
)
compiled = functools.partial(
    subject, contract=IN_LANES, arrays="torch", requires=("torch", CXX), time_limit=120.0
)
# The gradient is e^l less 1 at the label, with log-softmax l as it is stored, in the input format.
FROM_STORED_LOGARITHMS = replace(IN_LANES, arithmetic="input")


def load_framework() -> None:
    """Import what the wrappers call."""
    import torch  # noqa: F401


@eager("softmax", "torch.softmax(x, -1)")
def softmax(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """Call ``torch.nn.functional.softmax``, by default over the last axis."""
    return _with_gradient(_softmax, x, cotangent, dim, scale)


@compiled("softmax", "torch.compile(torch.softmax, dynamic=True)(x, -1)")
def softmax_compiled(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """Call ``torch.nn.functional.softmax``, compiled by ``torch.compile``."""
    return _with_gradient(_compiled(_softmax), x, cotangent, dim, scale)


@eager("log_softmax", "torch.log_softmax(x, -1)")
def log_softmax(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """Call ``torch.nn.functional.log_softmax``, by default over the last axis."""
    return _with_gradient(_log_softmax, x, cotangent, dim, scale)


@compiled("log_softmax", "torch.compile(torch.log_softmax, dynamic=True)(x, -1)")
def log_softmax_compiled(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """Call ``torch.nn.functional.log_softmax``, compiled by ``torch.compile``."""
    return _with_gradient(_compiled(_log_softmax), x, cotangent, dim, scale)


@eager("logsumexp", "torch.logsumexp(x, -1)", contract=IN_FORMAT)
def logsumexp(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """``torch.logsumexp``; functional has none."""
    return _with_gradient(_logsumexp, x, cotangent, dim, scale)


@eager(
    "cross_entropy",
    'torch.nn.functional.cross_entropy(x, labels, reduction="none")',
    contract=FROM_STORED_LOGARITHMS,
)
def cross_entropy(
    x: Tensor,
    labels: Tensor,
    *,
    scale: float | None = None,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "none",
    cotangent: Tensor | None = None,
) -> Any:
    """``functional.cross_entropy``, by default without reduction: the loss, and the gradient."""
    from torch.nn import functional

    def loss(x: Tensor) -> Tensor:
        return functional.cross_entropy(
            _scaled(x, scale),
            labels,
            weight=class_weights,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )

    seed = (
        x.new_ones(labels.shape if reduction == "none" else ()) if cotangent is None else cotangent
    )
    return _with_gradient(loss, x, seed)


@compiled(
    "cross_entropy",
    'torch.compile(torch.nn.functional.cross_entropy, dynamic=True)(x, labels, reduction="none")',
    contract=FROM_STORED_LOGARITHMS,
)
def cross_entropy_compiled(
    x: Tensor,
    labels: Tensor,
    *,
    scale: float | None = None,
    ignore_index: int = -100,
    cotangent: Tensor | None = None,
) -> Any:
    """``functional.cross_entropy`` by ``torch.compile``: each row's loss, and the gradient."""
    seed = x.new_ones(labels.shape) if cotangent is None else cotangent
    return _with_gradient(_compiled(_cross_entropy), x, seed, labels, scale, ignore_index)


@eager(
    "focal_loss",
    """\
loss = torch.nn.functional.cross_entropy(x, labels, reduction="none")
(1 - torch.exp(-loss)) ** gamma * loss""",
    contract=FROM_STORED_LOGARITHMS,
)
def focal_loss(x: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """``functional.cross_entropy`` without reduction, times (1 - p)^gamma, p = e^-loss."""
    loss = _cross_entropy(x, labels, None, -100)
    return (1 - (-loss).exp()) ** gamma * loss


def sigmoid(x: Tensor, *, cotangent: Tensor | None = None) -> Any:
    """Call ``torch.sigmoid`` on an array of any shape."""
    import torch

    return _with_gradient(torch.sigmoid, x, cotangent)


def softplus(x: Tensor, *, cotangent: Tensor | None = None) -> Any:
    """``functional.softplus``, which by default is the identity above 20."""
    from torch.nn import functional

    return _with_gradient(functional.softplus, x, cotangent)


@eager("gelu_tanh", 'torch.nn.functional.gelu(x, approximate="tanh")')
def gelu_tanh(x: Tensor, *, cotangent: Tensor | None = None) -> Any:
    """``functional.gelu`` by the hyperbolic tangent."""
    from torch.nn import functional

    return _with_gradient(functools.partial(functional.gelu, approximate="tanh"), x, cotangent)


def _softmax(x: Tensor, dim: int, scale: float | None) -> Tensor:
    from torch.nn import functional

    return functional.softmax(_scaled(x, scale), dim)


def _log_softmax(x: Tensor, dim: int, scale: float | None) -> Tensor:
    from torch.nn import functional

    return functional.log_softmax(_scaled(x, scale), dim)


def _logsumexp(x: Tensor, dim: int, scale: float | None) -> Tensor:
    import torch

    return torch.logsumexp(_scaled(x, scale), dim)


def _cross_entropy(x: Tensor, labels: Tensor, scale: float | None, ignore_index: int) -> Tensor:
    from torch.nn import functional

    logits = _scaled(x, scale)
    return functional.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="none")


def _scaled(x: Tensor, scale: float | None) -> Tensor:
    return x if scale is None else x * scale


def _with_gradient(
    function: Callable[..., Tensor], x: Tensor, cotangent: Tensor | None, *rest: Any
) -> Any:
    """The value; with a cotangent, also the vector-Jacobian product."""
    if cotangent is None:
        return function(x, *rest)
    import torch

    x = x.detach().requires_grad_()
    value = function(x, *rest)
    (gradient,) = torch.autograd.grad(value, x, cotangent)
    return value, gradient


@functools.cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    import torch
    import torch._dynamo  # a second, for those who compile

    # Beyond 8 variants it would fall back to uncompiled code or, asked for a full graph, raise.
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 10_000
    result: Callable[..., Tensor] = torch.compile(function, dynamic=True, fullgraph=True)
    return result
