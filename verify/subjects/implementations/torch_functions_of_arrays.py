"""PyTorch's functions of several arguments, as ``torch.nn.functional`` gives them.

The batch axis stands first.  PyTorch computes norms and softmax in 16 bits with float32 between the
operations; results of each function are stored in the input format, so what is made of several has
the arithmetic of the input format.  On a processor sums are kept in lanes, and matrix products are
added in an order of their own.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from ..contract import IN_LANES
from ..registration import subject

Tensor = Any

# What several functions are called for is stored between them.  How a row is added in a product of
# matrices may depend on how many there are.
STORED = replace(IN_LANES, arithmetic="input", bitwise_batch="no")
eager = functools.partial(subject, arrays="torch", requires=("torch",))


def load_framework() -> None:
    """Import what the wrappers call."""
    import torch  # noqa: F401


@eager(
    "rms_norm",
    "torch.nn.functional.rms_norm(x, gain.shape, gain, eps)",
    contract=IN_LANES,
)
def rms_norm(x: Tensor, gain: Tensor, eps: float = 1e-6) -> Tensor:
    """Call ``torch.nn.functional.rms_norm`` over the last axis."""
    from torch.nn import functional

    return functional.rms_norm(x, gain.shape, gain, eps)


# Its backward pass in 16 bits reads a mean and an inverse root that were stored in 16 bits.
@eager(
    "layer_norm",
    "torch.nn.functional.layer_norm(x, gain.shape, gain, bias, eps)",
    contract=replace(IN_LANES, saved="rounded"),
)
def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Call ``torch.nn.functional.layer_norm`` over the last axis."""
    from torch.nn import functional

    return functional.layer_norm(x, gain.shape, gain, bias, eps)


@eager(
    "attention",
    "torch.nn.functional.scaled_dot_product_attention("
    "q[:, None], k, v, attn_mask=mask[:, None], scale=scale)[:, 0]",
    contract=replace(STORED, masked_nan="spreads"),
)
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor,
    scale: float | None = None,
    *,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """``functional.scaled_dot_product_attention`` of one query to a batch entry.

    It adds -inf to the scores that the mask drops, and multiplies their values by the weight 0.
    The log-sum-exp, which does not depend on values, is that of the kernel for processors.
    """
    import torch
    from torch.nn import functional

    found = functional.scaled_dot_product_attention(
        q[:, None, :], k, v, attn_mask=mask[:, None, :], scale=scale
    )[:, 0, :]
    if not return_lse:
        return found
    keys = k[:, None]
    added = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -torch.inf)
    _, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q[:, None, None], keys, keys, attn_mask=added[:, None, None], scale=scale
    )
    return found, lse[:, 0, 0]


@eager(
    "kl_divergence",
    """\
log_q = torch.nn.functional.log_softmax(student / temperature, -1)
log_p = torch.nn.functional.log_softmax(teacher / temperature, -1)
terms = torch.nn.functional.kl_div(log_q, log_p, reduction="none", log_target=True)
terms.sum(-1) * temperature**2""",
    contract=STORED,
)
def kl_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """``functional.kl_div`` of two ``log_softmax``, the sum of each row times T^2."""
    from torch.nn import functional

    log_q = functional.log_softmax(student / temperature, -1)
    log_p = functional.log_softmax(teacher / temperature, -1)
    terms = functional.kl_div(log_q, log_p, reduction="none", log_target=True)
    return terms.sum(-1) * temperature**2


# Products of matrices of bfloat16 take subnormal numbers for 0 on processors with an instruction
# for them (AVX512_BF16, AMX), as the gradient in weights next to a subnormal hidden state shows.
@eager(
    "linear_cross_entropy",
    """\
z = torch.nn.functional.linear(hidden, weight)
z = torch.tanh(z / softcap) * softcap if softcap else z
torch.nn.functional.cross_entropy(z, label, reduction="none")""",
    contract=replace(STORED, flush_to_zero="yes"),
)
def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, label: Tensor, softcap: float = 0.0
) -> Tensor:
    """``functional.linear`` and ``functional.cross_entropy`` without reduction."""
    import torch
    from torch.nn import functional

    z = functional.linear(hidden, weight)
    z = torch.tanh(z / softcap) * softcap if softcap else z
    return functional.cross_entropy(z, label, reduction="none")


@eager(
    "linear_cross_entropy_with_bias",
    """\
z = torch.nn.functional.linear(hidden, weight, bias)
z = torch.tanh(z / softcap) * softcap if softcap else z
torch.nn.functional.cross_entropy(z, label, reduction="none")""",
    contract=replace(STORED, flush_to_zero="yes"),
)
def linear_cross_entropy_with_bias(
    hidden: Tensor, weight: Tensor, bias: Tensor, label: Tensor, softcap: float = 0.0
) -> Tensor:
    """``functional.linear`` with a bias, and ``functional.cross_entropy`` without reduction."""
    import torch
    from torch.nn import functional

    z = functional.linear(hidden, weight, bias)
    z = torch.tanh(z / softcap) * softcap if softcap else z
    return functional.cross_entropy(z, label, reduction="none")


@eager("sink_attention", contract=replace(STORED, masked_nan="spreads"))
def sink_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor,
    sink: Tensor,
    scale: float | None = None,
    softcap: float = 0.0,
) -> Tensor:
    """``torch.softmax`` of the scores and the sink, and ``torch.bmm``."""
    import torch

    scores = torch.bmm(k, q[:, :, None])[:, :, 0] * (
        q.shape[-1] ** -0.5 if scale is None else scale
    )
    scores = torch.tanh(scores / softcap) * softcap if softcap else scores
    scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(torch.cat([scores, sink[:, None]], dim=-1), dim=-1)[:, :-1]
    return torch.bmm(weights[:, None, :], v)[:, 0, :]


@eager("swiglu", contract=STORED)
def swiglu(a: Tensor, b: Tensor) -> Tensor:
    """``functional.silu``, times the other vector."""
    from torch.nn import functional

    return functional.silu(a) * b


@eager("gumbel_softmax", contract=STORED)
def gumbel_softmax(logits: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
    """``torch.softmax`` of (logits + noise) / T."""
    import torch

    return torch.softmax((logits + noise) / temperature, -1)


@eager("info_nce", contract=STORED)
def info_nce(query: Tensor, keys: Tensor, label: Tensor, temperature: float = 1.0) -> Tensor:
    """Call ``torch.bmm`` for the similarities, and ``functional.cross_entropy`` on them."""
    import torch
    from torch.nn import functional

    similarities = torch.bmm(keys, query[:, :, None])[:, :, 0] / temperature
    return functional.cross_entropy(similarities, label, reduction="none")


@eager(
    "top_k_gate",
    """\
values, indices = torch.topk(logits, k)
indices, torch.softmax(values, -1)""",
    contract=STORED,
)
def top_k_gate(logits: Tensor, k: int = 2) -> tuple[Tensor, Tensor]:
    """``torch.topk``, and ``torch.softmax`` of its values."""
    import torch

    values, indices = torch.topk(logits, k)
    return indices, torch.softmax(values, -1)


@eager("rope", contract=IN_LANES)
def rope(x: Tensor, position: Tensor, base: float = 10000.0) -> Tensor:
    """Angles, cosines and sines in 32 bits at least, as models of PyTorch have them."""
    import torch

    wide = torch.promote_types(x.dtype, torch.float32)
    a, b = x.to(wide).chunk(2, dim=-1)
    pairs = a.shape[-1]
    inverse = 1 / base ** (torch.arange(pairs, dtype=wide, device=x.device) / max(pairs, 1))
    angles = position.to(wide)[:, None] * inverse
    cos, sin = torch.cos(angles), torch.sin(angles)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)
