"""PyTorch's functions as ``torch.nn.functional`` gives them, with gradients by its autograd.

``cotangent``, of the value's shape, asks for (value, gradient of sum(cotangent * value)).
``scale`` multiplies the logits beforehand, where a compiler may contract the product.
Compiled ones follow ``torch.compile`` with dynamic shapes: each number format, rank, axis and
memory layout takes it about a second, each new shape nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

Tensor = Any


def softmax(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """``functional.softmax``."""
    return _with_gradient(_softmax, x, cotangent, dim, scale)


def softmax_compiled(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """``functional.softmax`` by ``torch.compile``."""
    return _with_gradient(_compiled(_softmax), x, cotangent, dim, scale)


def log_softmax(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """``functional.log_softmax``."""
    return _with_gradient(_log_softmax, x, cotangent, dim, scale)


def log_softmax_compiled(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """``functional.log_softmax`` by ``torch.compile``."""
    return _with_gradient(_compiled(_log_softmax), x, cotangent, dim, scale)


def logsumexp(
    x: Tensor, dim: int = -1, *, scale: float | None = None, cotangent: Tensor | None = None
) -> Any:
    """``torch.logsumexp``; functional has none."""
    return _with_gradient(_logsumexp, x, cotangent, dim, scale)


def cross_entropy(
    x: Tensor,
    labels: Tensor,
    *,
    scale: float | None = None,
    ignore_index: int = -100,
    cotangent: Tensor | None = None,
) -> Any:
    """``functional.cross_entropy`` without reduction: each row's loss, and the gradient."""
    seed = x.new_ones(labels.shape) if cotangent is None else cotangent
    return _with_gradient(_cross_entropy, x, seed, labels, scale, ignore_index)


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


def sigmoid(x: Tensor, *, cotangent: Tensor | None = None) -> Any:
    """``torch.sigmoid``."""
    return _with_gradient(torch.sigmoid, x, cotangent)


def softplus(x: Tensor, *, cotangent: Tensor | None = None) -> Any:
    """``functional.softplus``, which by default is the identity above 20."""
    return _with_gradient(functional.softplus, x, cotangent)


def _softmax(x: Tensor, dim: int, scale: float | None) -> Tensor:
    return functional.softmax(_scaled(x, scale), dim)


def _log_softmax(x: Tensor, dim: int, scale: float | None) -> Tensor:
    return functional.log_softmax(_scaled(x, scale), dim)


def _logsumexp(x: Tensor, dim: int, scale: float | None) -> Tensor:
    return torch.logsumexp(_scaled(x, scale), dim)


def _cross_entropy(x: Tensor, labels: Tensor, scale: float | None, ignore_index: int) -> Tensor:
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
    x = x.detach().requires_grad_()
    value = function(x, *rest)
    (gradient,) = torch.autograd.grad(value, x, cotangent)
    return value, gradient


@functools.cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    import torch._dynamo  # a second, for those who compile

    # Beyond 8 variants it would fall back to uncompiled code or, asked for a full graph, raise.
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 10_000
    compiled: Callable[..., Tensor] = torch.compile(function, dynamic=True, fullgraph=True)
    return compiled
