"""Functions of several arguments of JAX and optax, operation by operation, for ``jax.vjp``.

The batch axis stands first.  Results of each operation are stored in the input format, and XLA
compiles anew for each shape.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from ..arrays import jax_with_float64
from ..contract import FLUSHING
from ..registration import subject

Array = Any

STORED = replace(FLUSHING, summation="any", bitwise_batch="no")
of_jax = functools.partial(
    subject,
    contract=STORED,
    arrays="jax",
    requires=("jax",),
    slow="it compiles anew for each shape",
)
of_optax = functools.partial(of_jax, requires=("jax", "optax"))


def load_framework() -> None:
    """Import what the wrappers call: optax makes arrays, so JAX is told its formats before."""
    jax_with_float64()
    import optax  # noqa: F401


@of_jax("layer_norm", "jax.nn.standardize(x, epsilon=eps) * gain + bias")
def layer_norm(x: Array, gain: Array, bias: Array, eps: float = 1e-5) -> Array:
    """``jax.nn.standardize``, whose variance is mean x^2 - (mean x)^2, times gain plus bias."""
    return jax_with_float64().nn.standardize(x, axis=-1, epsilon=eps) * gain + bias


@of_jax(
    "attention",
    "jax.nn.dot_product_attention(q[:, None, None], k[:, :, None], v[:, :, None], "
    "mask=mask[:, None, None], scale=scale)[:, 0, 0]",
    contract=replace(STORED, masked_nan="spreads"),
)
def attention(q: Array, k: Array, v: Array, mask: Array, scale: float | None = None) -> Array:
    """Call ``jax.nn.dot_product_attention`` with one head and one query to a batch entry.

    It takes values as wide as keys: the narrower of both are filled up with zeros.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    columns, width = v.shape[-1], max(k.shape[-1], v.shape[-1])
    q, k, v = (_filled(x, width) for x in (q, k, v))
    found = jax_with_float64().nn.dot_product_attention(
        q[:, None, None, :],
        k[:, :, None, :],
        v[:, :, None, :],
        mask=mask[:, None, None, :],
        scale=scale,
    )
    return found[:, 0, 0, :columns]


def _filled(x: Array, width: int) -> Array:
    """An array with zeros after its last axis, up to a width."""
    before = [(0, 0)] * (x.ndim - 1)
    return jax_with_float64().numpy.pad(x, [*before, (0, width - x.shape[-1])])


@of_jax("swiglu", "jax.nn.silu(a) * b")
def swiglu(a: Array, b: Array) -> Array:
    """``jax.nn.silu``, times the other vector."""
    return jax_with_float64().nn.silu(a) * b


@of_jax("gumbel_softmax", "jax.nn.softmax((logits + noise) / temperature)")
def gumbel_softmax(logits: Array, noise: Array, temperature: float = 1.0) -> Array:
    """``jax.nn.softmax`` of (logits + noise) / T."""
    return jax_with_float64().nn.softmax((logits + noise) / temperature, axis=-1)


@of_optax(
    "kl_divergence",
    """\
log_q = jax.nn.log_softmax(student / temperature)
log_p = jax.nn.log_softmax(teacher / temperature)
optax.losses.kl_divergence_with_log_targets(log_q, log_p) * temperature**2""",
)
def kl_divergence(student: Array, teacher: Array, temperature: float = 1.0) -> Array:
    """``optax.losses.kl_divergence_with_log_targets`` of two ``log_softmax``, times T^2."""
    jax = jax_with_float64()
    import optax

    log_q = jax.nn.log_softmax(student / temperature, axis=-1)
    log_p = jax.nn.log_softmax(teacher / temperature, axis=-1)
    return optax.losses.kl_divergence_with_log_targets(log_q, log_p) * temperature**2


@of_optax("linear_cross_entropy")
def linear_cross_entropy(hidden: Array, weight: Array, label: Array, softcap: float = 0.0) -> Array:
    """``optax.losses.softmax_cross_entropy_with_integer_labels`` of a product of matrices."""
    jax = jax_with_float64()
    import optax

    z = hidden @ weight.T
    z = jax.numpy.tanh(z / softcap) * softcap if softcap else z
    return optax.losses.softmax_cross_entropy_with_integer_labels(z, label)


# (In 16 bits its logarithm of 0, -1e5, is no number of the format.)
@of_optax("ctc_loss", dtypes=("float32", "float64"))
def ctc_loss(logits: Array, labels: Array) -> Array:
    """``optax.losses.ctc_loss`` without padding, whose logarithm of 0 is -1e5.

    It makes arrays of the widest format that JAX has: for numbers of 32 bits that is theirs.
    """
    jax = jax_with_float64()
    import optax

    with jax.enable_x64(logits.dtype == "float64"):
        zeros, labels = jax.numpy.zeros, labels.astype("int32")
        steps, count = (zeros(n, logits.dtype) for n in (logits.shape[:2], labels.shape))
        return optax.losses.ctc_loss(logits, steps, labels, count)


@of_optax("info_nce")
def info_nce(query: Array, keys: Array, label: Array, temperature: float = 1.0) -> Array:
    """``optax.losses.softmax_cross_entropy_with_integer_labels`` of the similarities."""
    jax = jax_with_float64()
    import optax

    similarities = jax.numpy.einsum("bnd,bd->bn", keys, query) / temperature
    return optax.losses.softmax_cross_entropy_with_integer_labels(similarities, label)
