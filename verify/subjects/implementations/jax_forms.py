"""JAX's functions and optax's losses, by ``jax.jit`` or not, with gradients by ``jax.vjp``.

``cotangent``, of the value's shape, asks for (value, gradient of sum(cotangent * value)).
``where`` masks classes, ``b`` weights exponentials, ``scale`` multiplies the logits beforehand.
XLA compiles anew for each shape.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..arrays import jax_with_float64
from ..contract import FLUSHING
from ..registration import subject

Array = Any

of_jax = functools.partial(
    subject,
    contract=FLUSHING,
    arrays="jax",
    requires=("jax", "optax"),
    slow="it compiles anew for each shape",
)
FLUSHING_LOSS = replace(FLUSHING, pos_inf="nan_at")  # log-sum-exp less a logit: inf - x


def load_framework() -> None:
    """Import what the wrappers call: optax makes arrays, so JAX is told its formats before."""
    jax_with_float64()
    import optax  # noqa: F401


def softmax(
    x: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """Call ``jax.nn.softmax``, operation by operation."""
    jax = jax_with_float64()
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
    """Call ``jax.nn.log_softmax``, operation by operation."""
    jax = jax_with_float64()
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
    jax = jax_with_float64()
    return _with_gradient(
        lambda x: jax.nn.logsumexp(_scaled(x, scale), axis, b=b, where=where), x, cotangent
    )


@of_jax(
    "cross_entropy",
    "optax.losses.softmax_cross_entropy_with_integer_labels(x, labels)",
    contract=FLUSHING_LOSS,
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
    jax = jax_with_float64()
    import optax

    seed = jax.numpy.ones(labels.shape, x.dtype) if cotangent is None else cotangent

    def losses(x: Array) -> Array:
        return optax.losses.softmax_cross_entropy_with_integer_labels(
            _scaled(x, scale), labels, axis, where
        )

    return _with_gradient(losses, x, seed)


def sigmoid(x: Array, *, cotangent: Array | None = None) -> Any:
    """``jax.nn.sigmoid``, compiled by JAX itself."""
    return _with_gradient(jax_with_float64().nn.sigmoid, x, cotangent)


def softplus(x: Array, *, cotangent: Array | None = None) -> Any:
    """``jax.nn.softplus``, compiled by JAX itself."""
    return _with_gradient(jax_with_float64().nn.softplus, x, cotangent)


@of_jax("gelu", "jax.nn.gelu(x, approximate=False)")
def gelu(x: Array, *, cotangent: Array | None = None) -> Any:
    """``jax.nn.gelu`` by the error function, compiled by JAX itself."""
    return _with_gradient(
        functools.partial(jax_with_float64().nn.gelu, approximate=False), x, cotangent
    )


def _scaled(x: Array, scale: float | None) -> Array:
    return x if scale is None else x * scale


def _with_gradient(function: Callable[[Array], Array], x: Array, cotangent: Array | None) -> Any:
    """The value; with a cotangent, also the vector-Jacobian product."""
    if cotangent is None:
        return function(x)
    value, pull_back = jax_with_float64().vjp(function, x)
    return value, *pull_back(cotangent)


@functools.cache
def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function by ``jax.jit``; ``scale`` is constant to the compiler, as in a user's code."""
    compiled: Callable[..., Any] = jax_with_float64().jit(
        function, static_argnames=("axis", "scale")
    )
    return compiled


@of_jax("softmax", "jax.jit(jax.nn.softmax)(x)")
def softmax_jit(
    x: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """Call ``jax.nn.softmax``, compiled by ``jax.jit``."""
    return _jit(softmax)(x, axis, where=where, scale=scale, cotangent=cotangent)


@of_jax("log_softmax", "jax.jit(jax.nn.log_softmax)(x)")
def log_softmax_jit(
    x: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """Call ``jax.nn.log_softmax``, compiled by ``jax.jit``."""
    return _jit(log_softmax)(x, axis, where=where, scale=scale, cotangent=cotangent)


@of_jax("logsumexp", "jax.jit(lambda x: jax.nn.logsumexp(x, -1))(x)")
def logsumexp_jit(
    x: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    b: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """Call ``jax.nn.logsumexp``, compiled by ``jax.jit``."""
    return _jit(logsumexp)(x, axis, where=where, b=b, scale=scale, cotangent=cotangent)


@of_jax(
    "cross_entropy",
    "jax.jit(optax.losses.softmax_cross_entropy_with_integer_labels)(x, labels)",
    contract=FLUSHING_LOSS,
)
def cross_entropy_jit(
    x: Array,
    labels: Array,
    axis: int = -1,
    *,
    where: Array | None = None,
    scale: float | None = None,
    cotangent: Array | None = None,
) -> Any:
    """Call the loss of optax, compiled by ``jax.jit``: each row's loss, and the gradient."""
    return _jit(cross_entropy)(x, labels, axis, where=where, scale=scale, cotangent=cotangent)
