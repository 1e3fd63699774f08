"""The reported bugs of activations, one implementation for each, and right ones with derivatives.

Written from the reports, not from the code that they are about. Right ones compute in binary64.
"""

import math

import numpy as np

erfc = np.vectorize(math.erfc, otypes=[np.float64])
ROOT = math.sqrt(2 / math.pi)


def rounded(of_doubles):
    """A function of binary64 as one of any format, rounded once; it has a derivative by ``vjp``."""

    def function(x):
        with np.errstate(all="ignore"):
            return of_doubles(x.astype(np.float64)).astype(x.dtype)

    return function


def with_derivative(function, derivative):
    """A function with a backward pass of its own."""

    def called(x):
        return function(x)

    def vjp(x, cotangent):
        with np.errstate(all="ignore"):
            product = cotangent.astype(np.float64) * derivative(x.astype(np.float64))
        return product.astype(x.dtype)

    called.vjp = vjp
    return called


def argument(x):
    """The argument of tanh in the approximation of GELU."""
    return ROOT * (x + 0.044715 * x**3)


def quotient(x):
    """A number times a weight that is 0 for -inf."""
    return np.where(np.isneginf(x), 0.0, x)


# --- right ---


def sigmoid(u):
    e = np.exp(-np.abs(u))
    return np.where(u < 0, e, 1.0) / (1 + e)


gelu_tanh = rounded(lambda x: quotient(x) * sigmoid(2 * argument(x)))
silu = rounded(lambda x: quotient(x) * sigmoid(x))
gelu = with_derivative(
    rounded(lambda x: quotient(x) * erfc(-x * math.sqrt(0.5)) / 2),
    lambda x: erfc(-x * math.sqrt(0.5)) / 2 + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
)
tanh = with_derivative(rounded(np.tanh), lambda x: 4 * sigmoid(2 * x) * sigmoid(-2 * x))


# --- broken ---


def gelu_tanh_by(tanh_of):
    def function(x):
        with np.errstate(all="ignore"):
            wide = x if x.dtype == np.float64 else x.astype(np.float32)
            u = (ROOT * (wide + wide.dtype.type(0.044715) * wide**3)).astype(wide.dtype)
            return (wide * (1 + tanh_of(u)) / 2).astype(x.dtype)

    return function


by_one_exponential = gelu_tanh_by(lambda u: (np.exp(2 * u) - 1) / (np.exp(2 * u) + 1))
by_two_exponentials = gelu_tanh_by(lambda u: (np.exp(u) - np.exp(-u)) / (np.exp(u) + np.exp(-u)))
by_one_plus_tanh = gelu_tanh_by(np.tanh)


def nan_in_vector_lanes(x):
    """Numbers in fours by the exponential that overflows, the rest of the array one by one."""
    flat = x.reshape(-1)
    whole = len(flat) - len(flat) % 4
    parts = [by_one_exponential(flat[:whole]), gelu_tanh(flat[whole:])]
    return np.concatenate(parts).reshape(x.shape)


def silu_naive(x):
    with np.errstate(all="ignore"):
        return x / (1 + np.exp(-x))


def constant_term(x):
    """A fit with a term that does not vanish at 0, nor far below."""
    return (gelu(x).astype(np.float32) + np.float32(2.98e-5)).astype(x.dtype)


wrong_sign = with_derivative(
    gelu,
    lambda x: np.maximum(
        erfc(-x * math.sqrt(0.5)) / 2 + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
        np.where(x < -3, 1e-5, -1.0),
    ),
)


def few_terms(x):
    """x (27 + x^2) / (27 + 9 x^2), and 1 beyond 3."""
    wide = x.astype(np.float32)
    with np.errstate(all="ignore"):
        inside = wide * (27 + wide * wide) / (27 + 9 * wide * wide)
    return np.where(np.abs(wide) < 3, inside, np.sign(wide)).astype(x.dtype)


def one_less_the_square(x):
    """1 - y^2 of a y that was rounded to the format."""
    y = tanh(x.astype("bfloat16")).astype(np.float64)
    return 1 - y * y


slope_cancels = with_derivative(tanh, one_less_the_square)
