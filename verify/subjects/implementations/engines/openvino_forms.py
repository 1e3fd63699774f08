"""OpenVINO's operators run by its CPU plugin, on one thread, through NumPy arrays.

Each is a model of one operator, or of the few that a function is exported as, with dynamic shapes;
it is compiled once for each number format and rank.  The plugin may compute in bfloat16 or float16
where the processor has them: it is told to compute in float32, which it then does for float16, too.
It has no float64 (which it computes in float32) and no NumPy arrays of bfloat16.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import IN_LANES
from ...registration import subject
from ...subject import NotApplicable

Array = NDArray[Any]
Node = Any

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}

# Its exponential takes results below the normal range for 0.
FLUSHING = replace(IN_LANES, flush_to_zero="yes")
# The maximum of a row passes over NaN.
OF_A_ROW = replace(FLUSHING, nan="at", pos_inf="nan_at")
# Products of matrices are added in an order of their own, which may depend on the batch.
OF_MATRICES = replace(FLUSHING, bitwise_batch="no", masked_nan="spreads")


def _calling(expression: str, parameters: str = "x") -> str:
    """The call without softproof: an expression over the inputs of a graph, in OpenVINO's words."""
    names = parameters.split()
    made = [f"{name}_ = openvino.opset15.parameter({name}.shape, {name}.dtype)" for name in names]
    inputs = ", ".join(f"{name}_" for name in names)
    return "\n".join(
        [
            *made,
            f"graph = openvino.Model([openvino.opset15.{expression}], [{inputs}], 'f')",
            'settings = {"INFERENCE_PRECISION_HINT": "f32"}',
            'compiled = openvino.Core().compile_model(graph, "CPU", settings)',
            f"compiled([{parameters.replace(' ', ', ')}])[0]",
        ]
    )


operator = functools.partial(
    subject, contract=FLUSHING, dtypes=("float16", "float32"), requires=("openvino",)
)


def load_framework() -> None:
    """Import what the wrappers call."""
    import openvino.opset15  # noqa: F401


@operator("softmax", _calling("softmax(x_, -1)"), contract=OF_A_ROW)
def softmax(x: Array, axis: int = -1) -> Array:
    """Run the operator Softmax."""
    return run("softmax", x, axis=axis)


@operator("log_softmax", _calling("log_softmax(x_, -1)"), contract=OF_A_ROW)
def log_softmax(x: Array, axis: int = -1) -> Array:
    """Run the operator LogSoftmax."""
    return run("log_softmax", x, axis=axis)


@operator("sigmoid", _calling("sigmoid(x_)"))
def sigmoid(x: Array) -> Array:
    """Run the operator Sigmoid."""
    return run("sigmoid", x)


@operator("softplus", _calling("softplus(x_)"))
def softplus(x: Array) -> Array:
    """Run the operator SoftPlus."""
    return run("softplus", x)


@operator("silu", _calling("swish(x_)"))
def silu(x: Array) -> Array:
    """Run the operator Swish."""
    return run(_silu, x)


@operator("gelu", _calling('gelu(x_, "erf")'))
def gelu(x: Array) -> Array:
    """Run the operator Gelu by the error function."""
    return run("gelu", x, approximation_mode="erf")


@operator("gelu_tanh", _calling('gelu(x_, "tanh")'))
def gelu_tanh(x: Array) -> Array:
    """Run the operator Gelu by the hyperbolic tangent."""
    return run("gelu", x, approximation_mode="tanh")


@operator("tanh", _calling("tanh(x_)"))
def tanh(x: Array) -> Array:
    """Run the operator Tanh."""
    return run("tanh", x)


@operator("exp", _calling("exp(x_)"))
def exp(x: Array) -> Array:
    """Run the operator Exp."""
    return run("exp", x)


@operator("erf", _calling("erf(x_)"))
def erf(x: Array) -> Array:
    """Run the operator Erf."""
    return run("erf", x)


@operator("swiglu", contract=replace(FLUSHING, arithmetic="input"))
def swiglu(a: Array, b: Array) -> Array:
    """Run the operator Swish, times the other vector."""
    return run(_swiglu, a, b)


@operator("rms_norm")
def rms_norm(x: Array, gain: Array, eps: float = 1e-6) -> Array:
    """Run x / sqrt(mean(x^2) + eps) times the gain, as models export it; the plugin fuses it."""
    return run(_rms_norm, x, gain, eps=eps)


@operator("layer_norm")
def layer_norm(x: Array, gain: Array, bias: Array, eps: float = 1e-5) -> Array:
    """Run the operator MVN over the last axis, times gain plus bias."""
    return run(_layer_norm, x, gain, bias, eps=eps)


@operator("attention", contract=OF_MATRICES)
def attention(
    q: Array, k: Array, v: Array, mask: NDArray[np.bool_], scale: float | None = None
) -> Array:
    """Run the operator ScaledDotProductAttention with one query to a batch entry."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    number = np.full(1, scale, q.dtype)
    name = "scaled_dot_product_attention"
    return run(name, q[:, None, :], k, v, mask[:, None, :], number)[:, 0, :]


def _number(value: float, like: Node) -> Node:
    """A constant of one number in the format of a node."""
    from openvino import opset15

    return opset15.constant(np.array(value, like.get_element_type().to_dtype()))


def _silu(x: Node) -> Node:
    from openvino import opset15

    return opset15.swish(x, _number(1, x))


def _swiglu(a: Node, b: Node) -> Node:
    from openvino import opset15

    return opset15.multiply(_silu(a), b)


def _rms_norm(x: Node, gain: Node, eps: float) -> Node:
    from openvino import opset15

    mean = opset15.reduce_mean(opset15.power(x, _number(2, x)), np.array([-1]), True)
    root = opset15.sqrt(opset15.add(mean, _number(eps, x)))
    return opset15.multiply(opset15.divide(x, root), gain)


def _layer_norm(x: Node, gain: Node, bias: Node, eps: float) -> Node:
    from openvino import opset15

    scaled = opset15.mvn(x, np.array([-1]), True, eps, "inside_sqrt")
    return opset15.add(opset15.multiply(scaled, gain), bias)


def run(graph: str | Callable[..., Node], *inputs: Array, **attributes: Any) -> Array:
    """Run a model of one operator, or of those that a function joins.

    Parameters
    ----------
    graph
        The name of an operator of operator set 15, or a function that makes nodes of nodes.
    *inputs
        Arrays of the inputs.
    **attributes
        What the operator or the function takes besides.

    Returns
    -------
    array
        The output of the last node.

    Raises
    ------
    NotApplicable
        If an array is not compact in row-major order.
    """
    if not all(array.flags.c_contiguous for array in inputs):
        raise NotApplicable("OpenVINO is given only compact row-major arrays")
    kinds = tuple((array.dtype.name, array.ndim) for array in inputs)
    compiled = _compiled(graph, kinds, tuple(attributes.items()))
    array: Array = compiled(list(inputs))[0]
    return array


@functools.cache
def _compiled(
    graph: str | Callable[..., Node],
    kinds: tuple[tuple[str, int], ...],
    attributes: tuple[tuple[str, Any], ...],
) -> Any:
    """The compiled model for inputs of given dtypes and ranks."""
    import openvino
    from openvino import opset15

    nodes = [opset15.parameter([-1] * rank, np.dtype(dtype)) for dtype, rank in kinds]
    make = getattr(opset15, graph) if isinstance(graph, str) else graph
    model = openvino.Model([make(*nodes, **dict(attributes))], nodes, "of_one_function")
    return openvino.Core().compile_model(model, "CPU", SETTINGS)
