"""radius_clip as an optax transformation: last in the chain, the complete update is cut."""

import math
from fractions import Fraction

import numpy as np
import pytest

REASON = "JAX or optax is not installed"
jax = pytest.importorskip("jax", reason=REASON)
optax = pytest.importorskip("optax", reason=REASON)

import jax.numpy as jnp  # noqa: E402
from softproof.kernels import BOUNDS, ClipRecord, clip_step  # noqa: E402
from softproof.kernels.frameworks import optax as hook  # noqa: E402
from softproof.kernels.frameworks.optax import radius_clip  # noqa: E402
from softproof.kernels.training.clip import SLOPES  # noqa: E402

OPTIMIZERS = {
    "sgd": lambda: optax.sgd(50.0),
    "nesterov": lambda: optax.sgd(20.0, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(1.0),
    "adamw": lambda: optax.adamw(1.0, weight_decay=0.5),
    "rmsprop": lambda: optax.rmsprop(1.0),
}


@pytest.fixture
def rng():
    return np.random.default_rng(1729)


@pytest.fixture(autouse=True)
def as_installed():
    """JAX as a user finds it, whatever subjects of other tests have switched."""
    with jax.enable_x64(False):
        yield


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def linear(weights, x):
    return x @ weights


def mlp(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"]


def problem(rng, dtype=np.float64):
    x = rng.normal(size=(24, 6)).astype(dtype)
    return jnp.asarray(x), jnp.asarray(rng.integers(4, size=24))


def mlp_params(rng, dtype=np.float32):
    shapes = {"in": (6, 16), "out": (16, 4)}
    return {n: jnp.asarray(rng.normal(size=s) / 3.0, dtype) for n, s in shapes.items()}


def gradient(logits, params, x, y):
    def loss(params):
        return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()

    return jax.grad(loss)(params)


def run(optimizer, logits, params, x, y, steps=4, **batch):
    state, records = optimizer.init(params), []
    for _ in range(steps):
        updates, state = optimizer.update(gradient(logits, params, x, y), state, params, **batch)
        params = optax.apply_updates(params, updates)
        records.append(state[-1])
    return params, state, records


# --- the truth of a linear model: the slopes along the update D are X D, exactly ---


def check_against_the_linear_truth(chain, make, rng, **settings):
    """Each clipped step beside that of the plain optimiser at the same weights."""
    x, y = problem(rng)
    weights = jnp.asarray(rng.normal(size=(6, 4)))
    plain, clipped = make(), chain(make(), radius_clip(linear, **settings))
    plain_state, state = plain.init(weights), clipped.init(weights)
    for step in range(4):
        g = gradient(linear, weights, x, y)
        update, plain_state = plain.update(g, plain_state, weights)
        expected = clip_step(
            np.asarray(x @ weights),
            np.asarray(x @ update),
            float(np.linalg.norm(update)),
            **settings,
        )
        got, state = clipped.update(g, state, weights, batch=x)
        record = next(part for part in state if isinstance(part, ClipRecord))
        assert [float(value) for value in record] == pytest.approx(expected, rel=1e-9)
        assert np.allclose(got, expected.factor * update, rtol=1e-9)
        weights = optax.apply_updates(weights, got)
        if step == 0:
            assert expected.factor < 0.9  # the clip is at work


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_update_of_the_optimiser_is_what_is_clipped(name, rng):
    check_against_the_linear_truth(optax.chain, OPTIMIZERS[name], rng)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize(("aggregate", "r"), [("min", 0.5), (0.25, 2.0)])
def test_settings_reach_the_arithmetic(bound, aggregate, r, rng):
    settings = {"bound": bound, "aggregate": aggregate, "r": r}
    check_against_the_linear_truth(optax.chain, OPTIMIZERS["sgd"], rng, **settings)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_clip_of_the_gradient_ahead_of_the_optimiser_is_caught(name, rng):
    with pytest.raises(AssertionError):
        check_against_the_linear_truth(
            lambda optimizer, clip: optax.chain(clip, optimizer), OPTIMIZERS[name], rng
        )


# --- under jit, scan and vmap ---


def test_a_compiled_step_is_the_step(rng):
    x, _ = problem(rng, np.float32)
    weights, update = (jnp.asarray(rng.normal(size=(6, 4)), np.float32) for _ in range(2))
    clip = radius_clip(linear)
    arguments = 10.0 * update, clip.init(weights), weights
    plain, record = clip.update(*arguments, batch=x)
    compiled, same = jax.jit(clip.update)(*arguments, batch=x)
    assert np.allclose(compiled, plain, rtol=1e-5)
    assert np.allclose(same, record, rtol=1e-5)
    assert float(record.factor) < 0.9


def test_a_whole_training_in_one_scan_logs_every_step(rng):
    x, y = problem(rng, np.float32)
    weights = jnp.asarray(rng.normal(size=(6, 4)), np.float32)
    optimizer = optax.chain(optax.sgd(50.0), radius_clip(linear, r=0.5))

    def step(carry, _):
        weights, state = carry
        g = gradient(linear, weights, x, y)
        updates, state = optimizer.update(g, state, weights, batch=x)
        return (optax.apply_updates(weights, updates), state), state[-1]

    _, log = jax.lax.scan(step, (weights, optimizer.init(weights)), length=6)
    *_, records = run(optimizer, linear, weights, x, y, steps=6, batch=x)
    assert log.tau.shape == (6,)
    assert np.allclose(log.factor, [record.factor for record in records], rtol=1e-3)
    assert np.all(log.factor * log.tau <= 0.5 * log.rho * (1 + 1e-6))


def test_a_batch_of_models_clips_each_by_itself(rng):
    x, _ = problem(rng, np.float32)
    weights, updates = (jnp.asarray(rng.normal(size=(3, 6, 4)), np.float32) for _ in range(2))
    clip = radius_clip(linear)

    def factor(weights, update):
        return clip.update(10.0 * update, clip.init(weights), weights, batch=x)[1].factor

    together = jax.vmap(factor)(weights, updates)
    assert np.allclose(together, list(map(factor, weights, updates)), rtol=1e-5)
    assert len(set(together.tolist())) == 3


# --- what the clip must leave alone ---


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_target_beyond_reach_changes_nothing_bit_for_bit(name, rng):
    x, y = problem(rng, np.float32)
    params = mlp_params(rng)
    plain, *_ = run(optax.chain(OPTIMIZERS[name]()), mlp, params, x, y)
    clipped = optax.chain(OPTIMIZERS[name](), radius_clip(mlp, r=math.inf))
    clipped, _, records = run(clipped, mlp, params, x, y, batch=x)
    assert all(np.array_equal(plain[n], clipped[n]) for n in plain)
    assert max(float(record.r) for record in records) > 1.0


# --- the guarantee in the float of the record ---


def check_rounding(clip):
    """In exact arithmetic: factor <= r_target / r of the float64 record, r not understated."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        x = jnp.asarray(rng.normal(size=(5, 3)), np.float32)
        update = jnp.asarray(10.0 * rng.normal(size=(3, 2)), np.float32)
        weights = jnp.zeros((3, 2), np.float32)
        optimizer = clip(linear, bound="spread", r=0.7)
        _, record = optimizer.update(update, optimizer.init(weights), weights, batch=x)
        assert record.factor.dtype == np.float32
        slopes = np.asarray(jax.jvp(lambda w, x=x: linear(w, x), (weights,), (update,))[1])
        exact = clip_step(np.zeros_like(slopes), slopes, float(record.tau), bound="spread", r=0.7)
        assert Fraction(float(record.factor)) <= Fraction(exact.factor)
        assert Fraction(float(record.rho)) <= Fraction(exact.rho)
        assert Fraction(float(record.r)) >= Fraction(exact.r)
        assert [float(value) for value in record] == pytest.approx(exact, rel=2e-7)


def test_the_float32_record_is_rounded_to_the_safe_side():
    check_rounding(radius_clip)


def test_rounding_to_nearest_is_caught(monkeypatch):
    def nearest(record, dtype):
        return ClipRecord(*(np.asarray(value, dtype) for value in record))

    monkeypatch.setattr(hook, "_as_arrays", nearest)
    with pytest.raises(AssertionError):
        check_rounding(radius_clip)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_norm_of_tiny_and_huge_updates_is_told(scale):
    optimizer = radius_clip(linear)
    weights, update = jnp.zeros((2, 2)), jnp.asarray([[3.0, 0.0], [0.0, 4.0]]) * scale
    got, record = optimizer.update(update, optimizer.init(weights), weights, batch=jnp.eye(2))
    assert float(record.tau) == pytest.approx(5.0 * scale, rel=1e-6)
    assert float(record.factor) == (1.0 if scale < 1.0 else pytest.approx(math.pi / 4.0 / scale))
    assert np.allclose(got, update * record.factor)


# --- inputs of all kinds ---


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_logits_and_updates(dtype, rng):
    x, weights, update = (jnp.asarray(rng.normal(size=s), dtype) for s in ((24, 6), (6, 4), (6, 4)))
    clip = radius_clip(linear)
    updates, record = clip.update(10.0 * update, clip.init(weights), weights, batch=x)
    assert updates.dtype == dtype
    assert 0.0 < float(record.factor) < 0.9
    expected = float(record.factor) * np.asarray(10.0 * update, np.float32)
    assert np.allclose(np.asarray(updates, np.float32), expected, rtol=0.01)


@pytest.mark.parametrize("slopes", SLOPES)
def test_float32_updates_of_bfloat16_parameters_stay_float32(slopes, rng):
    x = jnp.asarray(rng.normal(size=(24, 6)), np.float32)
    weights = jnp.asarray(rng.normal(size=(6, 4)), jnp.bfloat16)
    update = jnp.asarray(10.0 * rng.normal(size=(6, 4)), np.float32)
    clip = radius_clip(linear, bound="spread", slopes=slopes)
    got, record = clip.update(update, clip.init(weights), weights, batch=x)
    assert got.dtype == np.float32
    assert np.array_equal(got, update * record.factor)
    spread = np.ptp(np.asarray(x, float) @ np.asarray(update, float), axis=1).max()
    # The slopes are those of a model in bfloat16; its finite difference keeps u^(2/3).
    assert float(record.r) == pytest.approx(spread / math.pi, rel=0.01 if slopes == "jvp" else 0.1)
    assert optax.apply_updates(weights, got).dtype == jnp.bfloat16


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("compiled", [False, True])
def test_integer_parameters_neither_count_nor_move(compiled, slopes, rng):
    x, y = problem(rng, np.float32)
    weights = jnp.asarray(rng.normal(size=(6, 4)), np.float32)
    chain = optax.chain(optax.adam(50.0), radius_clip(linear, bound="spread", slopes=slopes))
    g = gradient(linear, weights, x, y)
    alone, state = chain.update(g, chain.init(weights), weights, batch=x)

    def pick(params, x):
        return linear(params["w"], x[:, params["columns"]])

    chain = optax.chain(optax.adam(50.0), radius_clip(pick, bound="spread", slopes=slopes))
    params = {"columns": jnp.arange(6), "w": weights}
    step = jax.jit(chain.update) if compiled else chain.update
    with_integers = {"columns": jnp.zeros(6, int), "w": g}
    got, state_2 = step(with_integers, chain.init(params), params, batch=x)
    assert np.allclose(got["w"], alone, rtol=1e-5)
    assert float(state_2[-1].factor) == pytest.approx(float(state[-1].factor), rel=1e-5)
    assert float(state_2[-1].factor) < 0.9
    assert optax.apply_updates(params, got)["columns"].tolist() == list(range(6))


def test_parameters_that_are_all_integers_are_no_step():
    clip = radius_clip(lambda weights, x: x @ weights.astype(np.float32))
    weights = jnp.ones((2, 2), int)
    got, record = clip.update(jnp.zeros((2, 2)), clip.init(weights), weights, batch=jnp.eye(2))
    assert [float(value) for value in record] == [0.0, math.inf, 0.0, 1.0]
    assert not got.any()


# --- slopes ---


@jax.custom_vjp
def squared(x):
    return x * x


squared.defvjp(lambda x: (x * x, x), lambda x, g: (2.0 * x * g,))


def check_difference_against_jvp(rng):
    for dtype, tolerance in ((np.float64, 1e-8), (np.float32, 1e-3)):
        x, _ = problem(rng, dtype)
        for size in (1e-3, 1.0, 1e3):
            params, update = mlp_params(rng, dtype), mlp_params(rng, dtype)
            update = jax.tree.map(lambda d, size=size: size * d, update)
            records = []
            for slopes in SLOPES:
                clip = radius_clip(mlp, bound="spread", slopes=slopes)
                records.append(clip.update(update, clip.init(params), params, batch=x)[1])
            assert np.allclose(*records, rtol=tolerance), (dtype, size)


@pytest.mark.usefixtures("x64")
def test_difference_and_jvp_agree(rng):
    check_difference_against_jvp(rng)


@pytest.mark.usefixtures("x64")
def test_the_whole_update_in_place_of_a_small_difference_is_caught(rng, monkeypatch):
    def secant(forward, old, update, tau):
        z = forward(old)
        return z, forward([p + d for p, d in zip(old, update, strict=True)]) - z

    monkeypatch.setattr(hook, "_central_difference", secant)
    with pytest.raises(AssertionError):
        check_difference_against_jvp(rng)


@pytest.mark.parametrize("compiled", [False, True])
def test_without_a_forward_derivative_the_error_names_the_difference_and_it_works(compiled, rng):
    def with_squares(logits):
        return lambda weights, x: logits(weights, x) ** 2

    def custom(weights, x):
        return squared(linear(weights, x))

    x, _ = problem(rng, np.float32)
    weights, update = (jnp.asarray(rng.normal(size=(6, 4)), np.float32) for _ in range(2))
    records = []
    for logits, slopes in ((with_squares(linear), "jvp"), (custom, "difference")):
        clip = radius_clip(logits, slopes=slopes, bound="spread")
        step = jax.jit(clip.update) if compiled else clip.update
        records.append(step(update, clip.init(weights), weights, batch=x)[1])
    assert np.allclose(*records, rtol=1e-3)
    clip = radius_clip(custom)
    with pytest.raises(TypeError) as caught:
        clip.update(update, clip.init(weights), weights, batch=x)
    assert "pass slopes='difference'" in "".join(caught.value.__notes__)


def test_the_difference_starts_at_parameters_of_zero(rng):
    x, _ = problem(rng, np.float32)
    update = jnp.asarray(rng.normal(size=(6, 4)), np.float32)
    clip = radius_clip(linear, slopes="difference", bound="spread")
    weights = jnp.zeros((6, 4))
    _, record = clip.update(update, clip.init(weights), weights, batch=x)
    spread = np.ptp(np.asarray(x @ update), axis=1).max()
    assert float(record.r) == pytest.approx(spread / math.pi, rel=1e-4)


# --- parameters of which the optimiser moves a part ---


@pytest.mark.parametrize(
    "freeze",
    [
        lambda inner: optax.partition(
            {"move": inner, "stay": optax.set_to_zero()}, {"in": "stay", "out": "move"}
        ),
        lambda inner: optax.chain(
            optax.masked(inner, {"in": False, "out": True}),
            optax.masked(optax.set_to_zero(), {"in": True, "out": False}),
        ),
    ],
    ids=["partition", "masked"],
)
def test_frozen_parameters_stay_and_the_others_are_clipped(freeze, rng):
    x, y = problem(rng, np.float32)
    params = mlp_params(rng)
    g = gradient(mlp, params, x, y)
    optimizer = optax.chain(freeze(optax.sgd(100.0)), radius_clip(mlp))
    got, state = optimizer.update(g, optimizer.init(params), params, batch=x)
    # The last layer alone is linear in its parameters.
    hidden, update = np.tanh(x @ params["in"]), -100.0 * g["out"]
    expected = clip_step(
        np.asarray(hidden @ params["out"]),
        np.asarray(hidden @ update),
        float(np.linalg.norm(update)),
    )
    assert np.allclose(state[-1], expected, rtol=1e-4)
    assert expected.factor < 0.9
    assert np.allclose(got["out"], expected.factor * update, rtol=1e-4)
    assert not got["in"].any()


@pytest.mark.parametrize(
    "hide",
    [
        lambda inner: optax.masked(inner, {"in": False, "out": True}),
        lambda inner: optax.partition(
            {"move": inner, "stay": optax.set_to_zero()}, {"in": "stay", "out": "move"}
        ),
    ],
    ids=["masked", "partition"],
)
def test_inside_a_mask_it_says_where_to_go(hide, rng):
    optimizer = hide(optax.chain(optax.sgd(1.0), radius_clip(mlp)))
    with pytest.raises(ValueError, match=r"sees a part of them: put it behind, as in optax.chain"):
        optimizer.init(mlp_params(rng))


def test_logits_of_more_axes_count_one_sample_per_position(rng):
    weights, update = (jnp.asarray(rng.normal(size=(6, 4)), np.float32) for _ in range(2))
    x = jnp.asarray(rng.normal(size=(3, 8, 6)), np.float32)
    clip = radius_clip(linear)
    state = clip.init(weights)
    _, one = clip.update(update, state, weights, batch=x)
    _, other = clip.update(update, state, weights, batch=x.reshape(24, 6))
    assert np.allclose(one, other, rtol=1e-5)


def test_the_batch_may_be_a_tree(rng):
    x, _ = problem(rng, np.float32)
    weights = jnp.zeros((6, 4))
    clip = radius_clip(lambda weights, batch: batch["images"] @ weights, bound="spread")
    update = jnp.ones((6, 4)).at[0].set(jnp.arange(4.0))
    _, record = clip.update(update, clip.init(weights), weights, batch={"images": x})
    widest = float(np.abs(x[:, 0]).max()) * 3.0
    assert float(record.r) == pytest.approx(widest / math.pi, rel=1e-6)


def test_no_update_is_no_step():
    clip = radius_clip(linear)
    weights = jnp.ones((2, 2))
    state = clip.init(weights)
    assert [float(value) for value in state] == [0.0, math.inf, 0.0, 1.0]
    zero, record = clip.update(jnp.zeros((2, 2)), state, weights, batch=jnp.eye(2))
    assert [float(value) for value in record] == [0.0, math.inf, 0.0, 1.0]
    assert not zero.any()


# --- refusals ---


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("where", ["update", "batch"])
def test_nan_is_refused_with_the_words_of_clip_step(compiled, where):
    clip = radius_clip(linear)
    weights = jnp.ones((2, 2))
    bad, good = jnp.full((2, 2), jnp.nan), jnp.eye(2)
    update, batch = (bad, good) if where == "update" else (good, bad)
    step = jax.jit(clip.update) if compiled else clip.update
    message = "tau must be finite" if where == "update" else "logits hold NaN"
    with pytest.raises(Exception, match=message):
        jax.block_until_ready(step(update, clip.init(weights), weights, batch=batch))


def test_apply_if_finite_skips_such_steps():
    optimizer = optax.apply_if_finite(optax.chain(optax.adam(1.0), radius_clip(linear)), 3)
    weights = jnp.ones((2, 2))
    bad = jnp.full((2, 2), jnp.nan)
    updates, _ = jax.jit(optimizer.update)(bad, optimizer.init(weights), weights, batch=jnp.eye(2))
    assert not updates.any()


@pytest.mark.parametrize("slopes", SLOPES)
def test_one_number_per_sample_is_not_taken_for_the_classes_of_one_sample(slopes):
    weights, x = jnp.ones(3), jnp.ones((24, 3))
    clip = radius_clip(lambda weights, x: x @ weights, slopes=slopes)
    with pytest.raises(ValueError, match=r"shape \(samples, classes\), got \(24,\): one logit z"):
        clip.update(jnp.ones(3), clip.init(weights), weights, batch=x)


@pytest.mark.parametrize("missing", ["params", "batch"])
def test_an_update_without_params_or_batch_is_refused(missing):
    clip = radius_clip(linear)
    arguments = {"params": jnp.ones((2, 2)), "batch": jnp.eye(2)}
    del arguments[missing]
    with pytest.raises(ValueError, match=f"radius_clip needs {missing}: call update"):
        clip.update(jnp.ones((2, 2)), clip.init(None), **arguments)


@pytest.mark.parametrize("setting", [{"bound": "best"}, {"aggregate": "mean"}, {"r": 0.0}])
def test_settings_are_checked_when_the_chain_is_built(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be"):
        radius_clip(linear, **setting)
