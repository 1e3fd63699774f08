"""MNN's expressions in float32 on one thread, through NumPy arrays."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contract import IN_LANES
from ...registration import subject
from ...subject import NotApplicable
from . import silent

Array = NDArray[Any]

STDOUT = 1


def _calling(name: str, rest: str = "") -> str:
    """The call without softproof."""
    given = "MNN.expr.const(x, list(x.shape), MNN.expr.NCHW, MNN.expr.float)"
    return f"MNN.expr.{name}({given}{rest}).read()"


expression = functools.partial(subject, contract=IN_LANES, dtypes=("float32",), requires=("mnn",))


def load_framework() -> None:
    """Import what the wrappers call, which tells on stdout what the processor has."""
    with silent(STDOUT):
        import MNN.expr  # noqa: F401


@expression(
    "softmax",
    _calling("softmax", ", -1"),
    contract=replace(IN_LANES, all_masked="zero", empty="error"),
)
def softmax(x: Array, axis: int = -1) -> Array:
    """Call ``MNN.expr.softmax`` along an axis."""
    return run("softmax", x, axis)


@expression("sigmoid", _calling("sigmoid"))
def sigmoid(x: Array) -> Array:
    """Call ``MNN.expr.sigmoid`` on each number."""
    return run("sigmoid", x)


@expression("softplus", _calling("softplus"))
def softplus(x: Array) -> Array:
    """Call ``MNN.expr.softplus`` on each number."""
    return run("softplus", x)


@expression("gelu_tanh", _calling("gelu"))
def gelu(x: Array) -> Array:
    """Call ``MNN.expr.gelu``, which is that by the hyperbolic tangent."""
    return run("gelu", x)


@expression("tanh", _calling("tanh"))
def tanh(x: Array) -> Array:
    """Call ``MNN.expr.tanh`` on each number."""
    return run("tanh", x)


@expression("exp", _calling("exp"))
def exp(x: Array) -> Array:
    """Call ``MNN.expr.exp`` on each number."""
    return run("exp", x)


@expression("expm1", _calling("expm1"))
def expm1(x: Array) -> Array:
    """Call ``MNN.expr.expm1`` on each number."""
    return run("expm1", x)


@expression("log1p", _calling("log1p"))
def log1p(x: Array) -> Array:
    """Call ``MNN.expr.log1p`` on each number."""
    return run("log1p", x)


@expression("erf", _calling("erf"))
def erf(x: Array) -> Array:
    """Call ``MNN.expr.erf`` on each number."""
    return run("erf", x)


def run(name: str, x: Array, *rest: Any) -> Array:
    """Evaluate an expression of one function.

    Parameters
    ----------
    name
        The function of ``MNN.expr``.
    x
        Its first argument, of float32.
    *rest
        Its further arguments.

    Returns
    -------
    array
        The result.

    Raises
    ------
    NotApplicable
        If the array is not compact in row-major order.
    """
    import MNN.expr

    if not x.flags.c_contiguous:
        raise NotApplicable("MNN is given only compact row-major arrays")
    given = MNN.expr.const(x, list(x.shape), MNN.expr.NCHW, MNN.expr.float)
    array: Array = np.array(getattr(MNN.expr, name)(given, *rest).read())
    return array.reshape(x.shape)
