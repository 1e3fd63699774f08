"""ONNX operators run by ONNX Runtime's CPU provider, on one thread, through NumPy arrays.

Each is a model of one node with dynamic shapes, written in ONNX's text format; its session is kept
for each number format and rank.  What the provider has no kernel for (bfloat16; Softplus of
float64), it refuses when the session is made.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import IN_LANES
from ..registration import subject
from ..subject import NotApplicable

OPERATOR_SET = 21  # of 2024: any runtime since 1.18 reads it
HEADER = f'<ir_version: 10, opset_import: ["": {OPERATOR_SET}]>'
TYPES = {
    "float16": "float16",
    "float32": "float",
    "float64": "double",
    "int64": "int64",
    "bool": "bool",
}
FATAL = 4  # the severity that is logged

Array = NDArray[Any]

operator = functools.partial(
    subject,
    contract=IN_LANES,
    dtypes=("float16", "float32", "float64"),
    requires=("onnx", "onnxruntime"),
)


def load_framework() -> None:
    """Import what the wrappers call."""
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401


@operator("softmax", 'operator("Softmax", x)')
def softmax(x: Array, axis: int = -1) -> Array:
    """Run the operator Softmax."""
    return run(f"Softmax <axis = {axis}> (x)", x=x)


@operator("log_softmax", 'operator("LogSoftmax", x)')
def log_softmax(x: Array, axis: int = -1) -> Array:
    """Run the operator LogSoftmax."""
    return run(f"LogSoftmax <axis = {axis}> (x)", x=x)


@operator("logsumexp", 'operator("ReduceLogSumExp", x, np.array([-1]), rank=1, keepdims=0)')
def logsumexp(x: Array, axis: int = -1) -> Array:
    """Run the operator ReduceLogSumExp."""
    return run("ReduceLogSumExp <keepdims = 0> (x, axes)", x=x, axes=np.array([axis]))


@operator(
    "cross_entropy", 'operator("SoftmaxCrossEntropyLoss", x, labels, rank=1, reduction="none")'
)
def cross_entropy(x: Array, labels: Array, *, ignore_index: int | None = None) -> Array:
    """Run the operator SoftmaxCrossEntropyLoss without reduction: each row's loss."""
    ignored = "" if ignore_index is None else f", ignore_index = {ignore_index}"
    node = f'SoftmaxCrossEntropyLoss <reduction = "none"{ignored}> (x, labels)'
    return run(node, x=x, labels=labels)


@operator("sigmoid", 'operator("Sigmoid", x)')
def sigmoid(x: Array) -> Array:
    """Run the operator Sigmoid."""
    return run("Sigmoid (x)", x=x)


@operator("softplus", 'operator("Softplus", x)', dtypes=("float16", "float32"))
def softplus(x: Array) -> Array:
    """Run the operator Softplus."""
    return run("Softplus (x)", x=x)


@operator("gelu", 'operator("Gelu", x)', dtypes=("float32", "float64"))
def gelu(x: Array) -> Array:
    """Run the operator Gelu, of operator set 20."""
    return run("Gelu (x)", x=x)


@operator("gelu_tanh", 'operator("Gelu", x, approximate="tanh")', dtypes=("float32", "float64"))
def gelu_tanh(x: Array) -> Array:
    """Run the operator Gelu with the approximation by the hyperbolic tangent."""
    return run('Gelu <approximate = "tanh"> (x)', x=x)


@operator("tanh", 'operator("Tanh", x)')
def tanh(x: Array) -> Array:
    """Run the operator Tanh."""
    return run("Tanh (x)", x=x)


@operator("exp", 'operator("Exp", x)')
def exp(x: Array) -> Array:
    """Run the operator Exp."""
    return run("Exp (x)", x=x)


@operator("erf", 'operator("Erf", x)')
def erf(x: Array) -> Array:
    """Run the operator Erf."""
    return run("Erf (x)", x=x)


def run(node: str, *, operator_set: int = OPERATOR_SET, **inputs: Array) -> Array:
    """Run a model of one node.

    Parameters
    ----------
    node
        The node in ONNX's text format, of inputs by name.
    operator_set
        The version of ONNX's operators.
    **inputs
        Its inputs, arrays of formats that the operator has.

    Returns
    -------
    array
        The first output of the node.

    Raises
    ------
    NotApplicable
        If an array is not compact in row-major order.
    """
    if not all(array.flags.c_contiguous for array in inputs.values()):
        raise NotApplicable("ONNX Runtime has only compact row-major arrays")
    kinds = tuple((name, array.dtype.name, array.ndim) for name, array in inputs.items())
    (output,) = _session(node, kinds, operator_set).run(None, inputs)
    array: Array = output
    return array


@functools.cache
def _session(node: str, kinds: tuple[tuple[str, str, int], ...], operator_set: int) -> Any:
    """The session of a node for inputs of given names, dtypes and ranks."""
    import onnx
    import onnxruntime

    inputs = ", ".join(
        f"{TYPES[dtype]}[{', '.join(f'{name}{i}' for i in range(rank))}] {name}"
        for name, dtype, rank in kinds
    )
    header = HEADER.replace(str(OPERATOR_SET), str(operator_set))
    model = onnx.parser.parse_model(f"{header} one_node ({inputs}) => (y) {{ y = {node} }}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
