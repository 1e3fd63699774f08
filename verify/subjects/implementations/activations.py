"""Activations and elementary functions in NumPy: the naive form of each, and a careful one.

Element by element; any floating dtype, computed in that dtype.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import IN_FORMAT
from ..registration import subject

Array = NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])
ROOT_HALF = math.sqrt(0.5)


@subject("erf", contract=IN_FORMAT)
def erf(x: Array) -> Array:
    """Call ``math.erf`` in binary64, rounded to the format."""
    return _erf(x).astype(x.dtype)


@subject("gelu", contract=IN_FORMAT)
def gelu_by_erf(x: Array) -> Array:
    """x (1 + erf(x / sqrt 2)) / 2: the sum cancels on the left, NaN at -inf."""
    return x * (1 + erf(x * x.dtype.type(ROOT_HALF))) / 2


@subject("gelu", contract=IN_FORMAT)
def gelu_by_erfc(x: Array) -> Array:
    """x erfc(-x / sqrt 2) / 2, and 0 at -inf."""
    gate = _erfc(-x * x.dtype.type(ROOT_HALF)).astype(x.dtype) / 2
    return _gated(x, gate)


@subject("gelu_tanh", contract=IN_FORMAT)
def gelu_tanh_as_published(x: Array) -> Array:
    """x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3): the sum cancels on the left."""
    return x * (1 + np.tanh(_tanh_argument(x))) / 2


@subject("gelu_tanh", contract=IN_FORMAT)
def gelu_tanh_by_sigmoid(x: Array) -> Array:
    """x sigmoid(2 u), and 0 at -inf."""
    return _gated(x, _sigmoid(2 * _tanh_argument(x)))


def _tanh_argument(x: Array) -> Array:
    number = x.dtype.type
    with np.errstate(over="ignore"):  # where the cube overflows, tanh is +-1
        return number(math.sqrt(2 / math.pi)) * (x + number(0.044715) * x * x * x)


@subject("silu", "x / (1 + np.exp(-x))", contract=IN_FORMAT)
def silu_naive(x: Array) -> Array:
    """x / (1 + e^-x): 0 where e^-x overflows, NaN at -inf."""
    return x / (1 + np.exp(-x))


@subject("silu", contract=IN_FORMAT)
def silu_by_sign(x: Array) -> Array:
    """x sigmoid(x) by e^-|x|, and 0 at -inf."""
    return _gated(x, _sigmoid(x))


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, x.dtype.type(1)) / (1 + e)


def _gated(x: Array, gate: Array) -> Array:
    return np.where(x == -np.inf, x.dtype.type(0), x) * gate


@subject("tanh", contract=IN_FORMAT)
def tanh_naive(x: Array) -> Array:
    """1 - 2 / (e^2x + 1): the difference cancels near 0."""
    return 1 - 2 / (np.exp(2 * x) + 1)


@subject("expm1", "np.exp(x) - 1", contract=IN_FORMAT)
def expm1_naive(x: Array) -> Array:
    """e^x - 1: the difference cancels near 0."""
    return np.exp(x) - 1


@subject("log1p", "np.log(1 + x)", contract=IN_FORMAT)
def log1p_naive(x: Array) -> Array:
    """The logarithm of 1 + x, which loses what x has below an ulp of 1."""
    return np.log(1 + x)
