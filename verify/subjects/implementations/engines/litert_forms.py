"""LiteRT's operators in float32 on one thread, through NumPy arrays.

Each is a model of one operator, written with LiteRT's own schema: there is no converter here.
LiteRT hands most of them to XNNPACK, whose exponential takes results below the normal range for 0.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ...contract import IN_LANES
from ...registration import subject
from ...subject import NotApplicable
from . import silent

Array = NDArray[Any]

VERSION = 3
IDENTIFIER = b"TFL3"
STDERR = 2
MOST_IN_A_BYTE = 127  # says that the code of the operator stands in the field that came later
MOST_SHAPES = 64  # whose interpreters are kept

operator = functools.partial(
    subject,
    contract=replace(IN_LANES, flush_to_zero="yes", empty="error"),
    dtypes=("float32",),
    requires=("ai-edge-litert", "flatbuffers"),
)


def load_framework() -> None:
    """Import what the wrappers call."""
    import ai_edge_litert.interpreter  # noqa: F401
    import flatbuffers  # noqa: F401


@operator("softmax")
def softmax(x: Array) -> Array:
    """Run the operator SOFTMAX over the last axis."""
    return run("softmax", x, beta=1.0)


@operator("log_softmax")
def log_softmax(x: Array) -> Array:
    """Run the operator LOG_SOFTMAX over the last axis."""
    return run("log_softmax", x)


@operator("sigmoid")
def sigmoid(x: Array) -> Array:
    """Run the operator LOGISTIC."""
    return run("logistic", x)


@operator("tanh")
def tanh(x: Array) -> Array:
    """Run the operator TANH."""
    return run("tanh", x)


@operator("exp")
def exp(x: Array) -> Array:
    """Run the operator EXP."""
    return run("exp", x)


@operator("gelu")
def gelu(x: Array) -> Array:
    """Run the operator GELU by the error function."""
    return run("gelu", x)


@operator("gelu_tanh")
def gelu_tanh(x: Array) -> Array:
    """Run the operator GELU by the hyperbolic tangent."""
    return run("gelu", x, approximate=True)


def run(operation: str, x: Array, **options: Any) -> Array:
    """Run a model of one operator.

    Parameters
    ----------
    operation
        The name of the operator in lower case, as ``log_softmax``.
    x
        Its input, of float32.
    **options
        Fields of the operator's options, as its schema names them.

    Returns
    -------
    array
        The output, of the shape of the input.

    Raises
    ------
    NotApplicable
        If an array is not compact in row-major order.
    """
    if not x.flags.c_contiguous:
        raise NotApplicable("LiteRT has only compact row-major arrays")
    made = _interpreter(operation, x.shape, tuple(options.items()))
    made.set_tensor(made.get_input_details()[0]["index"], x)
    made.invoke()
    array: Array = made.get_tensor(made.get_output_details()[0]["index"])
    return array


@functools.lru_cache(maxsize=MOST_SHAPES)
def _interpreter(
    operation: str, shape: tuple[int, ...], options: tuple[tuple[str, Any], ...]
) -> Any:
    return interpreter(operation, shape, 1, **dict(options))


def interpreter(operation: str, shape: tuple[int, ...], threads: int, **options: Any) -> Any:
    """Make an interpreter of one operator on float32, over the last axis, its memory allocated.

    LiteRT hands Softmax to XNNPACK and has LogSoftmax itself.

    Parameters
    ----------
    operation
        The name of the operator in lower case, as ``log_softmax``.
    shape
        The shape of the input and of the output.
    threads
        How many it may use.
    **options
        Fields of the operator's options, as its schema names them.

    Returns
    -------
    interpreter
        One of LiteRT, which takes input 0 and gives output 1.

    Raises
    ------
    ImportError
        If LiteRT or flatbuffers is not installed.
    """
    from ai_edge_litert.interpreter import Interpreter

    with silent(STDERR):  # it logs from C++ that it has made a delegate
        model = _model(operation, shape, options)
        made = Interpreter(model_content=model, num_threads=threads)
        made.allocate_tensors()
    return made


def _model(operation: str, shape: tuple[int, ...], options: dict[str, Any]) -> bytes:
    """One node with input 0 and output 1; buffer 0 is the empty one."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operation.upper())
    code.deprecatedBuiltinCode = min(code.builtinCode, MOST_IN_A_BYTE)
    code.version = 1
    node = schema.OperatorT()
    node.opcodeIndex, node.inputs, node.outputs = 0, [0], [1]
    kind = f"{operation.title().replace('_', '')}Options"
    if hasattr(schema.BuiltinOptions, kind):
        node.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        node.builtinOptions = getattr(schema, f"{kind}T")()
        for name, value in options.items():
            setattr(node.builtinOptions, name, value)
    graph = schema.SubGraphT()
    graph.tensors = [schema.TensorT() for _ in range(2)]
    for tensor in graph.tensors:
        tensor.shape, tensor.type, tensor.buffer = list(shape), schema.TensorType.FLOAT32, 0
    graph.inputs, graph.outputs, graph.operators = [0], [1], [node]
    model = schema.ModelT()
    model.version = VERSION
    model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())
