"""PyTorch's functions put together to losses of several arguments, as trainers have them.

The batch axis stands first; what several functions are called for is stored between them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .torch_functions_of_arrays import STORED, eager

Tensor = Any


def load_framework() -> None:
    """Import what the wrappers call."""
    import torch  # noqa: F401


@eager("js_divergence", contract=STORED)
def js_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """``functional.kl_div`` of both from the mixture, that by ``torch.logaddexp``."""
    import math

    import torch
    from torch.nn import functional

    log_q, log_p = functional.log_softmax(student, -1), functional.log_softmax(teacher, -1)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    both = (
        functional.kl_div(log_m, log, reduction="none", log_target=True) for log in (log_p, log_q)
    )
    return sum(terms.sum(-1) for terms in both) / 2


@eager("dpo", contract=STORED)
def dpo(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float = 0.1,
) -> Tensor:
    """``functional.logsigmoid`` of the difference of log-odds, negated."""
    from torch.nn import functional

    gain = (chosen - rejected) - (reference_chosen - reference_rejected)
    return -functional.logsigmoid(beta * gain)


def _clipped(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    import torch

    kept = torch.clamp(ratio, 1 - clip, 1 + clip)
    return -torch.min(ratio * advantage, kept * advantage)


@eager("ppo_loss", contract=STORED)
def ppo_loss(logp: Tensor, old_logp: Tensor, advantage: Tensor, clip: float = 0.2) -> Tensor:
    """``torch.min`` of the products with the ratio and with what ``torch.clamp`` leaves of it."""
    return _clipped((logp - old_logp).exp(), advantage, clip)


@eager("grpo_loss", contract=STORED)
def grpo_loss(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    reference_logp: Tensor,
    clip: float = 0.2,
    beta: float = 0.04,
) -> Tensor:
    """The clipped surrogate loss and beta (e^d - d - 1), d = reference_logp - logp."""
    d = reference_logp - logp
    return _clipped((logp - old_logp).exp(), advantage, clip) + beta * (d.exp() - d - 1)


@eager("gspo_loss", contract=replace(STORED, masked_nan="spreads"))
def gspo_loss(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor, clip: float = 0.2
) -> Tensor:
    """The clipped surrogate loss of the log-ratios times the mask, over the tokens kept."""
    mean = ((logp - old_logp) * mask).sum(-1) / mask.sum(-1)
    return _clipped(mean.exp(), advantage, clip)


@eager("sinkhorn", contract=STORED)
def sinkhorn(cost: Tensor, epsilon: float = 0.1, iterations: float = 10.0) -> Tensor:
    """``torch.logsumexp`` of rows and of columns in turn."""
    import math

    import torch

    n, m = cost.shape[1:]
    log_k = -cost / epsilon
    g = torch.zeros_like(cost[:, 0, :])
    for _ in range(int(iterations)):
        f = -math.log(n) - torch.logsumexp(log_k + g[:, None, :], 2)
        g = -math.log(m) - torch.logsumexp(log_k + f[:, :, None], 1)
    return (log_k + f[:, :, None] + g[:, None, :]).exp()


@eager("entmax", contract=STORED)
def entmax(z: Tensor) -> Tensor:
    """1.5-entmax by ``torch.sort``, ``cumsum`` and the number of entries above the threshold."""
    import torch

    s = (z - z.max(-1, keepdim=True).values) / 2
    ordered = s.sort(-1, descending=True).values
    counts = torch.arange(1, s.shape[-1] + 1, dtype=s.dtype)
    mean, square = ordered.cumsum(-1) / counts, (ordered * ordered).cumsum(-1) / counts
    roots = mean - (1 / counts - (square - mean * mean)).clamp(min=0).sqrt()
    kept = (roots <= ordered).sum(-1, keepdim=True)
    return (s - roots.gather(-1, kept - 1)).clamp(min=0) ** 2


# The recursion is added up in the input format; PyTorch has none in 16 bits on processors.
@eager(
    "ctc_loss",
    """\
log_p = torch.nn.functional.log_softmax(logits, -1).transpose(0, 1)
lengths = [torch.full((len(logits),), n) for n in (logits.shape[1], labels.shape[1])]
torch.nn.functional.ctc_loss(log_p, labels, *lengths, reduction="none")""",
    contract=STORED,
    dtypes=("float32", "float64"),
)
def ctc_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """``functional.log_softmax`` and ``functional.ctc_loss`` without reduction."""
    import torch
    from torch.nn import functional

    log_p = functional.log_softmax(logits, -1).transpose(0, 1)
    steps, count = (torch.full((len(logits),), n) for n in (logits.shape[1], labels.shape[1]))
    return functional.ctc_loss(log_p, labels, steps, count, reduction="none")
