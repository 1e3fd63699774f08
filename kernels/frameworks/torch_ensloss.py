"""EnsLoss for PyTorch: a loss whose gradient is that of a random calibrated loss, drawn each time.

It needs PyTorch: ``pip install 'softproof[frameworks]'``.

>>> import torch
>>> scores = torch.tensor([0.5, -2.0, 0.0], requires_grad=True)
>>> labels = torch.tensor([1, 0, 1])
>>> EnsLoss(seed=0)(scores, labels).backward()
>>> [bool(g < 0) for g in scores.grad]  # towards the label, each
[True, False, True]

What is drawn, and what it has to fulfil: ``softproof.kernels.training.ensloss``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..training.ensloss import ensemble_derivatives


class EnsLoss(torch.nn.Module):  # type: ignore[misc]
    """The mean over a batch of g s, with margins s and drawn derivatives g that are held fixed.

    Parameters
    ----------
    power
        Of the Box-Cox transform, from -1 to 1.
    seed
        What is drawn from: the same seed and the same calls give the same gradients.

    Raises
    ------
    ValueError
        If the power is not from -1 to 1.
    """

    def __init__(self, power: float = 0.0, seed: int | None = None) -> None:
        super().__init__()
        if not -1 <= power <= 1:
            raise ValueError(f"power must be from -1 to 1, got {power!r}")
        self.power = power
        self._rng = np.random.default_rng(seed)

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Give a number whose gradient is that of the mean loss; its value is of no loss.

        Parameters
        ----------
        scores
            f(x) of each sample, of any shape.
        labels
            Of the same shape: 1, or 0 or -1 for the other class.

        Returns
        -------
        torch.Tensor
            The mean of g s.

        Raises
        ------
        ValueError
            If the shapes differ, or a score is not finite.
        """
        if labels.shape != scores.shape:
            raise ValueError(
                f"labels have shape {tuple(labels.shape)}, scores {tuple(scores.shape)}"
            )
        margins = torch.where(labels > 0, scores, -scores)
        drawn = ensemble_derivatives(
            margins.detach().double().cpu().numpy(), self.power, rng=self._rng
        )
        found: Any = torch.as_tensor(drawn, dtype=scores.dtype, device=scores.device)
        return (found * margins).mean()
