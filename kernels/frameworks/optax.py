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

from ..training.clip import ClipRecord, check_settings, check_slopes, clip_step

# Of JAX's errors for functions without a forward-mode derivative.
_NO_FORWARD_MODE = ("forward-mode", "do not support JVP")

_Leaves = list[Any]


def radius_clip(
    logits_fn: Callable[[Any, Any], jax.Array],
    *,
    bound: str = "exact",
    aggregate: str | float = "min",
    r: float = 1.0,
    slopes: str = "jvp",
) -> optax.GradientTransformationExtraArgs:
    """Scale the update so that the step stays within r radii of the batch.

    `update(updates, state, params, batch=...)` computes the logits and their derivative along the
    updates, J d, at the parameters, and multiplies the updates by the factor of `clip_step`. It
    belongs last in `optax.chain`, after the learning rate and the weight
    decay, so that its updates are what `optax.apply_updates` adds, and behind `optax.masked` or
    `optax.partition`, not inside them. Works under `jax.jit`.

    Parameters
    ----------
    logits_fn
        logits_fn(params, batch) -> logits of two axes or more, (..., K), the classes last, in any
        float dtype: those of the loss, without side effects. A single class has no radius: for one
        logit z that stands for two classes return jnp.stack([z, jnp.zeros_like(z)], -1).
    bound, aggregate, r
        As in `clip_step`; constants of the compiled function.
    slopes
        "jvp": one `jax.jvp` of logits_fn, exact but for rounding. "difference": a central
        difference, for functions that JAX cannot differentiate in forward mode (`jax.custom_vjp`,
        `jax.pure_callback`). Its relative error is of the order of u^(2/3), 2e-5 in float32, for
        logits that bend on the scale of the parameters, and grows with the square of how much
        faster they bend.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        Its state is the last `ClipRecord`, of scalar arrays: `opt_state[-1]` in a chain. Before
        the first step it is that of a step that is not taken (tau 0, rho inf, r 0, factor 1).

    Raises
    ------
    ValueError
        If a setting is not one; at an update without params or batch; if logits_fn returns one
        axis or none; inside `optax.masked` or `optax.partition`, where the logits cannot be
        computed, as only a part of the parameters is there.
    TypeError
        JAX's own, at an update, for a function without a forward-mode derivative.

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
    * Updates may have another float dtype than their parameters, as `optax.apply_updates` allows:
      the slopes are those along the updates rounded to the dtype of the parameters. Integer
      parameters have no slope: they do not count, and their updates are left as they are.
    * Memory: nothing but the tangents of one forward pass; updates are scaled where they are.
    """
    check_settings(bound, aggregate, r)
    check_slopes(slopes)

    def init(params: Any) -> ClipRecord:
        _refuse_masked(params)
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
        _refuse_masked(params)
        leaves, structure = jax.tree.flatten(params)
        steps = structure.flatten_up_to(updates)
        moving = [i for i, leaf in enumerate(leaves) if _is_inexact(leaf)]

        def forward(old: _Leaves) -> jax.Array:
            whole = list(leaves)
            for i, leaf in zip(moving, old, strict=True):
                whole[i] = leaf
            return _rows(logits_fn(structure.unflatten(whole), batch))

        old = [jnp.asarray(leaves[i]) for i in moving]
        d = [jnp.asarray(steps[i]) for i in moving]
        tau = _norm(d)
        if slopes == "jvp":
            z, a = _jvp(forward, old, d)
        else:
            z, a = _central_difference(forward, old, d, tau)
        dtype = _float()

        def record(tau: Any, z: Any, a: Any) -> ClipRecord:
            clip = clip_step(
                np.asarray(z), np.asarray(a), float(tau), bound=bound, aggregate=aggregate, r=r
            )
            return _as_arrays(clip, dtype)

        shapes = ClipRecord(*4 * [jax.ShapeDtypeStruct((), dtype)])
        result = jax.pure_callback(record, shapes, tau, z, a, vmap_method="sequential")
        for i, step in zip(moving, d, strict=True):
            steps[i] = (result.factor * step).astype(step.dtype)
        return structure.unflatten(steps), result

    return optax.GradientTransformationExtraArgs(init, update)


def _refuse_masked(params: Any) -> None:
    def is_masked(node: object) -> bool:
        return isinstance(node, optax.MaskedNode)

    if any(map(is_masked, jax.tree.leaves(params, is_leaf=is_masked))):
        raise ValueError(
            "radius_clip needs all parameters to compute the logits, and inside optax.masked or "
            "optax.partition it sees a part of them: put it behind, as in "
            "optax.chain(optax.masked(...), radius_clip(logits_fn))"
        )


def _is_inexact(leaf: Any) -> bool:
    """Whether a parameter can be moved by a fraction: a float or complex array."""
    return bool(jnp.issubdtype(jnp.result_type(leaf), jnp.inexact))


def _jvp(
    forward: Callable[[_Leaves], jax.Array], old: _Leaves, update: _Leaves
) -> tuple[jax.Array, jax.Array]:
    tangents = [d.astype(p.dtype) for p, d in zip(old, update, strict=True)]
    try:
        z, a = jax.jvp(forward, (old,), (tangents,))
    except (TypeError, ValueError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or any(w in str(error) for w in _NO_FORWARD_MODE):
            error.add_note("logits_fn has no forward-mode derivative: pass slopes='difference'.")
        raise
    return z, a


def _central_difference(
    forward: Callable[[_Leaves], jax.Array], old: _Leaves, update: _Leaves, tau: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(z(old + h d) - z(old - h d)) / 2h: truncation h^2 |z'''| / 6, rounding u |z| / h.

    Both are of the order u^(2/3) where h |d| = u^(1/3) |old|, if the logits vary on the scale of
    the parameters.
    """
    u = max((float(jnp.finfo(p.dtype).eps) for p in old), default=1.0)
    size = _norm(old)
    h = u ** (1 / 3) * jnp.where(size == 0.0, 1.0, size) / jnp.where(tau == 0.0, 1.0, tau)

    def at(step: jax.Array) -> jax.Array:
        return forward([(p + step * d).astype(p.dtype) for p, d in zip(old, update, strict=True)])

    z = forward(old)
    return z, ((at(h) - at(-h)) / (2.0 * h)).astype(z.dtype)


def _float() -> Any:
    """The widest float that JAX works with: float32 unless x64 is enabled."""
    return jnp.result_type(float)


def _rows(logits: jax.Array) -> jax.Array:
    """Of shape (N, K), in float32 at least."""
    if logits.ndim < 2:
        raise ValueError(
            f"logits_fn must return logits of shape (samples, classes), got {logits.shape}: one "
            "logit z per sample stands for two classes, jnp.stack([z, jnp.zeros_like(z)], -1); the "
            "classes of a single sample need an axis in front, z[None]"
        )
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return logits.reshape(-1, logits.shape[-1])


def _norm(leaves: _Leaves) -> jax.Array:
    """The norm of all entries, scaled by the largest: float32 squares overflow beyond 1e19."""
    sizes = [jnp.abs(leaf).astype(_float()) for leaf in leaves]
    if not sizes:
        return jnp.zeros((), _float())
    scale = jnp.max(jnp.stack([jnp.max(size, initial=0.0) for size in sizes]))
    safe = jnp.where(scale == 0.0, 1.0, scale)
    return scale * jnp.sqrt(sum(jnp.sum((size / safe) ** 2) for size in sizes))


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
