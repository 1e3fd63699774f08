"""Radius clipping as an optax transformation: the last of a chain, where the update is complete.

It needs JAX and optax: ``pip install 'softproof[frameworks]'``.

>>> import jax, jax.numpy as jnp, optax
>>> def logits(weights, x):
...     return x @ weights
>>> optimizer = optax.chain(optax.adam(10.0), radius_clip(logits, bound="spread"))
>>> x, y = jnp.eye(3), jnp.arange(3)
>>> weights = jnp.zeros((3, 3))
>>> state = optimizer.init(weights)
>>> @jax.jit
... def step(weights, state):
...     def loss(weights):
...         return -jax.nn.log_softmax(logits(weights, x))[jnp.arange(3), y].mean()
...     updates, state = optimizer.update(jax.grad(loss)(weights), state, weights, batch=x)
...     return optax.apply_updates(weights, updates), state
>>> weights, state = step(weights, state)
>>> {name: round(float(value), 3) for name, value in state[-1]._asdict().items()}
{'tau': 30.0, 'rho': 4.712, 'r': 6.366, 'factor': 0.157}

Adam proposed +10 or -10 for each of the nine weights, so the slopes of a sample span 20 and its
radius is pi / 20 of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..training.clip import ClipRecord, check_settings, clip_step


def radius_clip(
    logits_fn: Callable[[Any, Any], jax.Array],
    *,
    bound: str = "exact",
    aggregate: str | float = "min",
    r: float = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Scale the update so that the step stays within r radii of the batch.

    `update(updates, state, params, batch=...)` computes the logits and their derivative along the
    updates, J d, by one `jax.jvp` of logits_fn at the parameters, and multiplies the updates by the
    factor of `clip_step`. It belongs last in `optax.chain`, after the learning rate and the weight
    decay, so that its updates are what `optax.apply_updates` adds. Works under `jax.jit`.

    Parameters
    ----------
    logits_fn
        logits_fn(params, batch) -> logits of shape (..., K), the classes last, in any float dtype:
        those of the loss, without side effects. A single class has no radius: for one logit z that
        stands for two classes return jnp.stack([z, jnp.zeros_like(z)], -1).
    bound, aggregate, r
        As in `clip_step`; constants of the compiled function.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        Its state is the last `ClipRecord`, of scalar arrays: `opt_state[-1]` in a chain. Before
        the first step it is that of a step that is not taken (tau 0, rho inf, r 0, factor 1).

    Raises
    ------
    ValueError
        If a setting is not one; at an update without params or batch.

    Notes
    -----
    * The radius is computed in NumPy by `jax.pure_callback`. What `clip_step` refuses (NaN or inf
      in the updates or logits) therefore surfaces as JAX's error for a failed callback, with the
      message of `clip_step` in it; to skip such steps instead, wrap the chain in
      `optax.apply_if_finite`.
    * The record is float32 (float64 where x64 is enabled): rho and factor are rounded toward zero,
      r away from it. A factor of 1 leaves the updates as they are, bit for bit; float16 and
      bfloat16 updates are scaled in float32 and rounded.
    * float16 and bfloat16 logits are converted to float32, which is exact.
    * Memory: nothing but the tangents of one forward pass; updates are scaled where they are.
    """
    check_settings(bound, aggregate, r)

    def init(params: Any) -> ClipRecord:
        del params
        return _as_arrays(ClipRecord(0.0, np.inf, 0.0, 1.0), _float())

    def update(
        updates: Any, state: ClipRecord, params: Any = None, *, batch: Any = None, **_: Any
    ) -> tuple[Any, ClipRecord]:
        del state
        for name, value in (("params", params), ("batch", batch)):
            if value is None:
                raise ValueError(
                    f"radius_clip needs {name}: call update(updates, state, params, batch=batch)"
                )
        z, a = jax.jvp(lambda p: _rows(logits_fn(p, batch)), (params,), (updates,))
        dtype = _float()

        def record(tau: Any, z: Any, a: Any) -> ClipRecord:
            clip = clip_step(
                np.asarray(z), np.asarray(a), float(tau), bound=bound, aggregate=aggregate, r=r
            )
            return _as_arrays(clip, dtype)

        shapes = ClipRecord(*4 * [jax.ShapeDtypeStruct((), dtype)])
        result = jax.pure_callback(record, shapes, _norm(updates), z, a, vmap_method="sequential")
        return jax.tree.map(lambda d: (result.factor * d).astype(d.dtype), updates), result

    return optax.GradientTransformationExtraArgs(init, update)


def _float() -> Any:
    """The widest float that JAX works with: float32 unless x64 is enabled."""
    return jnp.result_type(float)


def _rows(logits: jax.Array) -> jax.Array:
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return logits.reshape(-1, logits.shape[-1])


def _norm(updates: Any) -> jax.Array:
    """The norm of all entries, scaled by the largest: float32 squares overflow beyond 1e19."""
    leaves = [leaf.astype(_float()) for leaf in jax.tree.leaves(updates)]
    scale = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0.0) for leaf in leaves]))
    safe = jnp.where(scale == 0.0, 1.0, scale)
    return scale * jnp.sqrt(sum(jnp.sum((leaf / safe) ** 2) for leaf in leaves))


def _as_arrays(record: ClipRecord, dtype: Any) -> ClipRecord:
    """The record in the dtype: tau to nearest, rho and factor toward zero, r away from it."""

    def rounded(value: float, toward: float) -> Any:
        with np.errstate(over="ignore", under="ignore"):
            near = np.asarray(value, dtype)
        # As Python floats: NumPy would round the value to the dtype before it compares.
        passed = float(near) > value if toward == 0.0 else float(near) < value
        return np.nextafter(near, np.asarray(toward, dtype)) if passed else near

    return ClipRecord(
        tau=np.asarray(record.tau, dtype),  # type: ignore[arg-type]
        rho=rounded(record.rho, 0.0),
        r=rounded(record.r, np.inf),
        factor=rounded(record.factor, 0.0),
    )
