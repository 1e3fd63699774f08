"""Triton kernels run by Triton's interpreter, operation by operation, on the processor.

What a GPU makes of the same kernels may differ: its exponential and division are approximations,
and its sums have another order.  The interpreter computes bfloat16 wrongly, so it is not asked.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from ...contract import CONVENTIONAL, IN_LANES
from ...registration import subject

Tensor = Any

interpreted = functools.partial(
    subject,
    arrays="torch",
    dtypes=("float16", "float32"),
    requires=("triton", "torch"),
    slow="it is interpreted, row by row",
)


def load_framework() -> None:
    """Import the kernels, to be interpreted."""
    os.environ["TRITON_INTERPRET"] = "1"
    from ... import triton_kernels  # noqa: F401


@interpreted("softmax", contract=CONVENTIONAL)
def softmax(x: Tensor) -> Tensor:
    """Run the kernel of softmax over the last axis, interpreted."""
    return _of_rows("softmax", x)


@interpreted("rms_norm", contract=IN_LANES)
def rms_norm(x: Tensor, gain: Tensor, eps: float = 1e-6) -> Tensor:
    """Run the kernel of RMSNorm over the last axis, interpreted."""
    return _of_rows("rms_norm", x, gain, eps=eps)


@interpreted("layer_norm", contract=IN_LANES)
def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Run the kernel of LayerNorm over the last axis, interpreted."""
    return _of_rows("layer_norm", x, gain, bias, eps=eps)


def _of_rows(name: str, x: Tensor, *others: Tensor, **parameters: float) -> Tensor:
    """What a kernel makes of each row of x, as compact as x is asked to be."""
    import torch
    import triton

    from ... import triton_kernels

    x = x.contiguous()
    columns = x.shape[-1]
    y, rows = torch.empty_like(x), x.numel() // max(columns, 1)
    if rows and columns:
        block = triton.next_power_of_2(columns)
        kernel = getattr(triton_kernels, name)
        kernel[(rows,)](x, *others, y, columns, **parameters, BLOCK=block)
    return y
