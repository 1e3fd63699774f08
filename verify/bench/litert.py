"""Models of one operator for LiteRT, written with its own schema: there is no converter here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

OPERATORS = {"softmax": "SOFTMAX", "log_softmax": "LOG_SOFTMAX"}
VERSION = 3
IDENTIFIER = b"TFL3"


def interpreter(operation: str, shape: tuple[int, int], threads: int) -> Any:
    """Make an interpreter of one operator on float32 over the last axis, its memory allocated.

    LiteRT hands Softmax to XNNPACK and has LogSoftmax itself.

    Parameters
    ----------
    operation
        A key of `OPERATORS`.
    shape
        (rows, classes) of the logits.
    threads
        How many it may use.

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

    with _silent_stderr():  # it logs from C++ that it has made a delegate
        made = Interpreter(model_content=_model(operation, shape), num_threads=threads)
        made.allocate_tensors()
    return made


def _model(operation: str, shape: tuple[int, int]) -> bytes:
    """One node with input 0 and output 1; buffer 0 is the empty one."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    operator = getattr(schema.BuiltinOperator, OPERATORS[operation])
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = operator
    code.version = 1
    node = schema.OperatorT()
    node.opcodeIndex, node.inputs, node.outputs = 0, [0], [1]
    if operation == "softmax":
        node.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
        node.builtinOptions = schema.SoftmaxOptionsT()
        node.builtinOptions.beta = 1.0
    else:
        node.builtinOptionsType = schema.BuiltinOptions.LogSoftmaxOptions
        node.builtinOptions = schema.LogSoftmaxOptionsT()
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


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
