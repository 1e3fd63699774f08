"""perpGrad around any PyTorch optimiser: gradients without their component along the parameters.

It needs PyTorch: ``pip install 'softproof[frameworks]'``.

>>> import torch
>>> _ = torch.manual_seed(0)
>>> model = torch.nn.Linear(8, 3, bias=False)
>>> x, y = torch.randn(64, 8), torch.randint(3, (64,))
>>> optimizer = perp_grad(torch.optim.SGD(model.parameters(), lr=0.1))
>>> before = model.weight.detach().clone()
>>> torch.nn.functional.cross_entropy(model(x), y).backward()
>>> optimizer.step()
>>> bool(abs(torch.sum((model.weight - before) * before)) < 1e-8)
True

Each step replaces the gradient g of every parameter tensor theta by g - (<theta, g> / <theta,
theta>) theta (Prieto et al. 2025, arXiv 2501.04697, section 5) and then lets the wrapped optimiser
take its own step. What that makes of it - momentum, second moments, weight decay - need not be
perpendicular to the parameters.

How exact. The projection is computed in float64 and done twice. The first pass leaves a component
along theta of at most (n + 5) v |g|, v = 2^-53, for n elements, whatever the order of the sums; the
second leaves as much of the first's result r, which is (n + 5) v |r|, however much of g was
cancelled ("twice is enough", Parlett, The Symmetric Eigenvalue Problem, section 6.9, after Kahan).
Rounding to the format of the gradient, with unit roundoff u, adds u |r|:

    |<theta, r>| <= |theta| |r| (u + (n + 5) v),

as long as |r| exceeds (n + 5) v |g|: below that, nothing of the gradient is known to be
perpendicular. `softproof.kernels.training.perp_grad` does the same for NumPy, sharper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .torch_wrapper import OptimizerWrapper


def perp_grad(optimizer: torch.optim.Optimizer, *, keep_norm: bool = False) -> PerpGrad:
    """Wrap an optimiser so that it sees gradients perpendicular to each parameter tensor.

    Parameters
    ----------
    optimizer
        Any `torch.optim.Optimizer`, several parameter groups and closures (LBFGS) included.
    keep_norm
        False: the projection as the paper writes it. True: scaled to the norm of the gradient, as
        the paper's public code does. Adam, and whatever else divides by the size of the gradients,
        hardly tells the difference; SGD takes longer steps with True.

    Returns
    -------
    PerpGrad
        An optimiser: use it in place of the wrapped one.

    Raises
    ------
    TypeError
        If optimizer is something else; at a step, for a sparse or complex gradient.

    Notes
    -----
    * A step leaves the projected gradients in `.grad`. Parameters without a gradient, and those
      that are 0 throughout, are left alone. NaN or inf in a parameter or its gradient gives NaN.
    * GradScaler: call `scaler.unscale_` as usual; the projection itself does not mind a scale.
    """
    return PerpGrad(optimizer, keep_norm=keep_norm)


class PerpGrad(OptimizerWrapper):
    """What `perp_grad` returns; arguments as there. All but `step` is the wrapped optimiser's."""

    def __init__(self, optimizer: torch.optim.Optimizer, *, keep_norm: bool = False) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(
                f"optimizer must be a torch Optimizer, got {type(optimizer).__name__}: call "
                "perp_grad(torch.optim.SGD(model.parameters(), lr=0.1))"
            )
        super().__init__(optimizer)
        self.keep_norm = keep_norm

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Project the gradients and take the optimiser's step; return what that returns.

        With a closure, the gradients are projected after each of its evaluations.
        """
        if closure is None:
            self._project()
            return self.optimizer.step()

        def projected() -> Any:
            with torch.enable_grad():
                loss = closure()
            self._project()
            return loss

        return self.optimizer.step(projected)

    def _project(self) -> None:
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.grad is None:
                continue
            if p.grad.is_sparse or p.grad.is_complex():
                kind = "sparse" if p.grad.is_sparse else "complex"
                raise TypeError(f"the gradient of a parameter is {kind}; it must be dense and real")
            with torch.no_grad():
                p.grad.copy_(perpendicular(p, p.grad, keep_norm=self.keep_norm))

    def __repr__(self) -> str:
        return f"perp_grad({self.optimizer!r}, keep_norm={self.keep_norm})"


def perpendicular(
    theta: torch.Tensor, gradient: torch.Tensor, *, keep_norm: bool = False
) -> torch.Tensor:
    """The gradient less its component along theta, in the gradient's dtype: see the module."""
    t, g = _scaled(theta)[0], gradient.double()
    square = torch.sum(t * t)
    if square == 0:
        return gradient.clone()
    unit, size = _scaled(g)
    r = unit
    for _ in range(2):
        r = r - (torch.sum(t * r) / square) * t
    if keep_norm:
        norm = torch.linalg.vector_norm(r)
        if norm > 0:
            r = r * (torch.linalg.vector_norm(unit) / norm)
    return (r * size).to(gradient.dtype)


def _scaled(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """In float64, divided by the power of two above the largest modulus; and that power."""
    wide = values.detach().double()
    if wide.numel() == 0:
        return wide, wide.new_ones(())
    _, exponent = torch.frexp(wide.abs().max())
    size = torch.ldexp(wide.new_ones(()), exponent.clamp(-1021, 1023))
    return wide / size, size
