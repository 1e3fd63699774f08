"""ONNX operators of several arguments, run by ONNX Runtime's CPU provider as in ``onnx_forms``.

The batch axis stands first.  Attention and RMSNormalization are of operator set 23, of 2025.
Parameters are attributes, which ONNX keeps in float32: norms are asked in no wider format.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import IN_LANES
from ..registration import subject
from ..subject import NotApplicable
from .onnx_forms import run

Array = NDArray[Any]

# Products of matrices are added in an order of their own, which may depend on the batch.
STORED = replace(IN_LANES, arithmetic="input", bitwise_batch="no")
operator = functools.partial(
    subject,
    contract=STORED,
    requires=("onnx", "onnxruntime"),
)
NARROW = ("float16", "float32")
LATEST = 23  # the operator set


def load_framework() -> None:
    """Import what the wrappers call."""
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401


@operator("rms_norm", 'operator("RMSNormalization", x, gain, epsilon=eps)', dtypes=NARROW)
def rms_norm(x: Array, gain: Array, eps: float = 1e-6) -> Array:
    """Run the operator RMSNormalization over the last axis."""
    node = f"RMSNormalization <axis = -1, epsilon = {eps:.17e}> (x, gain)"
    return run(node, operator_set=LATEST, x=x, gain=gain)


@operator("layer_norm", 'operator("LayerNormalization", x, gain, bias, epsilon=eps)', dtypes=NARROW)
def layer_norm(x: Array, gain: Array, bias: Array, eps: float = 1e-5) -> Array:
    """Run the operator LayerNormalization over the last axis."""
    node = f"LayerNormalization <axis = -1, epsilon = {eps:.17e}> (x, gain, bias)"
    return run(node, x=x, gain=gain, bias=bias)


@operator(
    "attention",
    'operator("Attention", q, k, v, mask, scale=scale, softcap=softcap)',
    contract=replace(STORED, masked_nan="spreads"),
    dtypes=("float16", "float32", "float64"),
)
def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: NDArray[np.bool_],
    scale: float | None = None,
    softcap: float = 0.0,
) -> Array:
    """Run the operator Attention with one head and one query to a batch entry.

    NotApplicable for a scale or a cap that float32 does not hold.
    """
    attributes = [f"softcap = {_in_float32(softcap):.17e}"]
    if scale is not None:
        attributes.append(f"scale = {_in_float32(scale):.17e}")
    node = f"Attention <{', '.join(attributes)}> (q, k, v, mask)"
    found = run(
        node,
        operator_set=LATEST,
        q=q[:, None, None, :],
        k=k[:, None, :, :],
        v=v[:, None, :, :],
        mask=mask[:, None, None, :],
    )
    return found[:, 0, 0, :]


def _in_float32(value: float) -> float:
    if float(np.float32(value)) != value:
        raise NotApplicable(f"ONNX keeps attributes in float32, which does not hold {value!r}")
    return value


@operator(
    "rope", 'operator("RotaryEmbedding", x, np.cos(angles), np.sin(angles))', dtypes=("float32",)
)
def rope(x: Array, position: NDArray[np.int64], base: float = 10000.0) -> Array:
    """Run the operator RotaryEmbedding with the cosines and sines of NumPy."""
    return _rotary("RotaryEmbedding (x, cos, sin)", x, position, base)


@operator(
    "rope_interleaved",
    'operator("RotaryEmbedding", x, np.cos(angles), np.sin(angles), interleaved=1)',
    dtypes=("float32",),
)
def rope_interleaved(x: Array, position: NDArray[np.int64], base: float = 10000.0) -> Array:
    """Run the operator RotaryEmbedding on neighbours, with the cosines and sines of NumPy."""
    return _rotary("RotaryEmbedding <interleaved = 1> (x, cos, sin)", x, position, base)


def _rotary(node: str, x: Array, position: NDArray[np.int64], base: float) -> Array:
    pairs, number = x.shape[-1] // 2, x.dtype.type
    powers = number(base) ** (-np.arange(pairs) / max(pairs, 1)).astype(x.dtype)
    angles = (position.astype(x.dtype)[:, None] * powers)[:, None, :]
    found = run(
        node,
        operator_set=LATEST,
        x=x[:, None, None, :],
        cos=np.cos(angles),
        sin=np.sin(angles),
    )
    return found[:, 0, 0, :]
