"""What the wrappers of PyTorch optimisers have in common.

It needs PyTorch: ``pip install 'softproof[frameworks]'``.
"""

from __future__ import annotations

from typing import Any

import torch


class OptimizerWrapper(torch.optim.Optimizer):  # type: ignore[misc]
    """An optimiser that is the wrapped one in all but what a subclass overrides."""

    # Fused optimisers unscale their gradients and skip infinite ones in their own step, by what a
    # GradScaler sets on the optimiser that it is given. That would be set on the wrapper, where the
    # wrapped optimiser does not look, and the wrapper would see scaled gradients. So the scaler is
    # told to do both itself, before it calls step.
    _step_supports_amp_scaling = False

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        # The wrapped optimiser holds the groups and the state: super() is not called.
        self.optimizer = optimizer

    @property
    def param_groups(self) -> Any:  # schedulers write to it; load_state_dict replaces it
        """The parameter groups of the wrapped optimiser."""
        return self.optimizer.param_groups

    @property
    def state(self) -> Any:
        """The state of the wrapped optimiser."""
        return self.optimizer.state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As the wrapped optimiser."""
        self.optimizer.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As the wrapped optimiser."""
        self.optimizer.add_param_group(param_group)

    def state_dict(self) -> Any:
        """Return the wrapped optimiser's: checkpoints can be read with and without the wrapper."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: Any) -> None:
        """As the wrapped optimiser."""
        self.optimizer.load_state_dict(state_dict)

    def __getattr__(self, name: str) -> Any:
        if name == "optimizer":  # a half-built copy
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
