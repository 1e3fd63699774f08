"""JAX's functions and optax's losses, by ``jax.jit`` or not, with gradients by ``jax.vjp``.

``cotangent``, of the value's shape, asks for (value, gradient of sum(cotangent * value)).
``where`` masks classes, ``b`` weights exponentials, ``scale`` multiplies the logits beforehand.
XLA compiles anew for each shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import jax_with_float64

jax = jax_with_float64()

import optax  # noqa: E402  (it makes arrays)

Array = Any


def softmax(
    x: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """``jax.nn.softmax``."""
    return _with_gradient(
        lambda x: jax.nn.softmax(_scaled(x, scale), axis, where=where), x, cotangent
    )


def log_softmax(
    x: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """``jax.nn.log_softmax``."""
    return _with_gradient(
        lambda x: jax.nn.log_softmax(_scaled(x, scale), axis, where=where), x, cotangent
    )


def logsumexp(
    x: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    b: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """``jax.nn.logsumexp``, which is also ``jax.scipy.special.logsumexp``."""
    return _with_gradient(
        lambda x: jax.nn.logsumexp(_scaled(x, scale), axis, b=b, where=where), x, cotangent
    )


def cross_entropy(
    x: Array,
    labels: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """``optax.losses.softmax_cross_entropy_with_integer_labels``: each loss, and the gradient."""
    seed = jax.numpy.ones(labels.shape, x.dtype) if cotangent is None else cotangent

    def losses(x: Array) -> Array:
        return optax.losses.softmax_cross_entropy_with_integer_labels(
            _scaled(x, scale), labels, axis, where
        )

    return _with_gradient(losses, x, seed)


def sigmoid(x: Array, *, cotangent: Array | None = None) -> Any:
    """``jax.nn.sigmoid``, compiled by JAX itself."""
    return _with_gradient(jax.nn.sigmoid, x, cotangent)


def softplus(x: Array, *, cotangent: Array | None = None) -> Any:
    """``jax.nn.softplus``, compiled by JAX itself."""
    return _with_gradient(jax.nn.softplus, x, cotangent)


def _scaled(x: Array, scale: float | None) -> Array:
    return x if scale is None else x * scale


def _with_gradient(function: Callable[[Array], Array], x: Array, cotangent: Array | None) -> Any:
    """The value; with a cotangent, also the vector-Jacobian product."""
    if cotangent is None:
        return function(x)
    value, pull_back = jax.vjp(function, x)
    return value, *pull_back(cotangent)


# ``scale`` is constant to the compiler, as it is in a user's code.
softmax_jit = jax.jit(softmax, static_argnames=("axis", "scale"))
log_softmax_jit = jax.jit(log_softmax, static_argnames=("axis", "scale"))
logsumexp_jit = jax.jit(logsumexp, static_argnames=("axis", "scale"))
cross_entropy_jit = jax.jit(cross_entropy, static_argnames=("axis", "scale"))
