"""Kernels in Triton's language, one program to a row, as they are written for GPUs.

Each reads a row at once, in a block of the next power of two, and computes in float32.  Triton
decides when it is imported whether kernels are compiled or interpreted: whoever imports this module
sets TRITON_INTERPRET before.
"""

import triton
import triton.language as tl


@triton.jit
def softmax(x, y, columns, BLOCK: tl.constexpr):
    """Exponentials of the row less its largest number, over their sum."""
    at = tl.arange(0, BLOCK)
    start = tl.program_id(0) * columns
    row = tl.load(x + start + at, mask=at < columns, other=-float("inf")).to(tl.float32)
    e = tl.exp(row - tl.max(row, axis=0))
    p = e / tl.sum(e, axis=0)
    tl.store(y + start + at, p.to(y.dtype.element_ty), mask=at < columns)


@triton.jit
def rms_norm(x, gain, y, columns, eps, BLOCK: tl.constexpr):
    """Divide the row by the root of its mean square plus eps, and multiply it by the gain."""
    at = tl.arange(0, BLOCK)
    start = tl.program_id(0) * columns
    row = tl.load(x + start + at, mask=at < columns, other=0.0).to(tl.float32)
    weights = tl.load(gain + at, mask=at < columns, other=0.0).to(tl.float32)
    inverse = 1.0 / tl.sqrt(tl.sum(row * row, axis=0) / columns + eps)
    scaled = row * inverse * weights
    tl.store(y + start + at, scaled.to(y.dtype.element_ty), mask=at < columns)


@triton.jit
def layer_norm(x, gain, bias, y, columns, eps, BLOCK: tl.constexpr):
    """Subtract the mean, divide by the root of the variance plus eps, multiply and add."""
    at = tl.arange(0, BLOCK)
    start = tl.program_id(0) * columns
    row = tl.load(x + start + at, mask=at < columns, other=0.0).to(tl.float32)
    weights = tl.load(gain + at, mask=at < columns, other=0.0).to(tl.float32)
    added = tl.load(bias + at, mask=at < columns, other=0.0).to(tl.float32)
    centred = tl.where(at < columns, row - tl.sum(row, axis=0) / columns, 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=0) / columns + eps)
    scaled = centred * inverse * weights + added
    tl.store(y + start + at, scaled.to(y.dtype.element_ty), mask=at < columns)
