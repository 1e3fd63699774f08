"""radius_clip around PyTorch optimisers: the optimiser's own update, cut to the radius."""

import copy
import functools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from softproof.kernels import BOUNDS, clip_step  # noqa: E402
from softproof.kernels.frameworks import torch as hook  # noqa: E402
from softproof.kernels.frameworks.torch import RadiusClip, radius_clip  # noqa: E402
from softproof.kernels.frameworks.torch_perp_grad import perp_grad  # noqa: E402
from softproof.kernels.training.clip import SLOPES  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from torch.optim.optimizer import register_optimizer_step_post_hook  # noqa: E402

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=50.0),
    "nesterov": lambda p: torch.optim.SGD(p, lr=20.0, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1.0),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1.0, weight_decay=0.5),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1.0, momentum=0.5),
    "adagrad, maximised": lambda p: torch.optim.Adagrad(p, lr=1.0, maximize=True),
}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(1729)
        yield


def batch(samples=24, features=6, classes=4, dtype=torch.float64):
    return torch.randn(samples, features, dtype=dtype), torch.randint(classes, (samples,))


def linear(dtype=torch.float64):
    return nn.Linear(6, 4, bias=False).to(dtype)


def mlp(dtype=torch.float64):
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4)).to(dtype)


def backward(optimizer, model, x, y):
    optimizer.zero_grad()
    loss = cross_entropy(model(x), y)
    loss.backward()
    return loss


def train(optimizer, model, x, y, steps=5):
    for _ in range(steps):
        backward(optimizer, model, x, y)
        optimizer.step(x) if isinstance(optimizer, RadiusClip) else optimizer.step()


def values(model):
    """Parameters and buffers, copied."""
    return {name: t.detach().clone() for name, t in model.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def assert_same_state(one, other):
    """Whether two optimisers hold the same moments, step counts and settings."""
    for p, q in zip(one["state"].values(), other["state"].values(), strict=True):
        assert p.keys() == q.keys()
        for key in p:
            assert torch.equal(torch.as_tensor(p[key]), torch.as_tensor(q[key])), key
    assert one["param_groups"] == other["param_groups"]


# --- the truth of a linear model: the slopes along the update D are X D, exactly ---


def check_against_the_linear_truth(wrapper, make, **settings):
    """Each clipped step beside that of an unclipped twin that starts at the same weights."""
    model, (x, y) = linear(), batch()
    twin = copy.deepcopy(model)
    plain = make(twin.parameters())
    clipped = wrapper(make(model.parameters()), model, **settings)
    for _ in range(4):
        old = model.weight.detach().clone()
        twin.load_state_dict(model.state_dict())
        backward(plain, twin, x, y)
        plain.step()
        update = (twin.weight - old).detach()
        expected = clip_step(
            (x @ old.T).numpy(),
            (x @ update.T).numpy(),
            float(np.linalg.norm(update.numpy())),
            **settings,
        )
        backward(clipped, model, x, y)
        clipped.step(x)
        assert clipped.log[-1] == pytest.approx(expected, rel=1e-9)
        assert torch.allclose(model.weight, old + expected.factor * update, rtol=0, atol=1e-12)
        assert_same_state(clipped.state_dict(), plain.state_dict())
    assert clipped.log[0].factor < 0.9  # the clip was at work


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_update_of_the_optimiser_is_what_is_clipped(name):
    check_against_the_linear_truth(RadiusClip, OPTIMIZERS[name])


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("aggregate", ["min", 0.25])
@pytest.mark.parametrize("r", [0.5, 2.0])
def test_settings_reach_the_arithmetic(bound, aggregate, r):
    settings = {"bound": bound, "aggregate": aggregate, "r": r}
    check_against_the_linear_truth(RadiusClip, OPTIMIZERS["sgd"], **settings)


class AlongTheGradient(RadiusClip):
    def _record(self, old, update, *inputs):
        gradients = {
            n: p.grad * (-self.param_groups[0]["lr"]) for n, p in self._parameters().items()
        }
        return super()._record(old, gradients, *inputs)


class AtTheNewParameters(RadiusClip):
    def _record(self, old, update, *inputs):
        return super()._record({n: old[n] + update[n] for n in old}, update, *inputs)


class ScalesTheParameters(RadiusClip):
    def step(self, x):
        parameters = self.param_groups[0]["params"]
        old = [p.detach().clone() for p in parameters]
        super().step(x)
        factor = self.log[-1].factor
        with torch.no_grad():
            for p, q in zip(parameters, old, strict=True):
                p.copy_(factor * ((p - q) / factor + q))


class ClipsTheGradient(RadiusClip):
    """What norm clipping does: the moments see a clipped gradient."""

    def step(self, x):
        for p in self.param_groups[0]["params"]:
            p.grad *= 0.1
        super().step(x)


@pytest.mark.parametrize(
    ("broken", "optimizer"),
    [
        (AlongTheGradient, "adam"),
        (AlongTheGradient, "adamw"),
        (AlongTheGradient, "nesterov"),
        (AtTheNewParameters, "sgd"),
        (ScalesTheParameters, "sgd"),
        (ClipsTheGradient, "nesterov"),
    ],
)
def test_broken_clips_are_caught(broken, optimizer):
    with pytest.raises(AssertionError):
        check_against_the_linear_truth(broken, OPTIMIZERS[optimizer])


# --- what the clip must leave alone ---


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_target_beyond_reach_changes_nothing_bit_for_bit(name):
    model, (x, y) = mlp(torch.float32), batch(dtype=torch.float32)
    twin = copy.deepcopy(model)
    clipped = radius_clip(OPTIMIZERS[name](model.parameters()), model, r=math.inf)
    plain = OPTIMIZERS[name](twin.parameters())
    train(clipped, model, x, y)
    train(plain, twin, x, y)
    assert_same(values(model), values(twin))
    assert_same_state(clipped.state_dict(), plain.state_dict())
    assert max(record.r for record in clipped.log) > 1.0
    assert {record.factor for record in clipped.log} == {1.0}


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("momentum", [0.1, None])
def test_buffers_and_random_numbers_are_those_of_an_unclipped_run(slopes, momentum):
    def model():
        return nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=momentum), nn.Dropout(), nn.Linear(8, 4)
        )

    (x, y), results = batch(dtype=torch.float32), []
    for clip in (True, False):
        torch.manual_seed(3)
        net = model()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
        if clip:
            optimizer = radius_clip(optimizer, net, r=math.inf, slopes=slopes)
        train(optimizer, net, x, y)
        results.append({**values(net), "next random number": torch.rand(1)})
    assert_same(*results)
    assert int(results[0]["1.num_batches_tracked"]) == 5


def test_the_training_mode_is_that_of_the_model():
    """In training BatchNorm divides by the batch's deviation: scaling its input changes nothing."""
    x, y = batch()
    steps = {}
    for training in (True, False):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, affine=False)).double()
        model.train(training)
        model[1].running_var *= 1e-4  # in evaluation the logits are a hundred times as steep
        optimizer = radius_clip(torch.optim.SGD(model[0].parameters(), lr=1e-9), model)
        backward(optimizer, model, x, y)
        optimizer.step(x)
        steps[training] = optimizer.log[0].rho
        assert model.training is training
    assert steps[True] > 10 * steps[False]


def test_frozen_parameters_stay_and_do_not_count():
    model, (x, y) = mlp(), batch()
    model[0].requires_grad_(False)
    before = values(model)
    optimizer = radius_clip(torch.optim.SGD(model[2].parameters(), lr=100.0), model)
    train(optimizer, model, x, y, steps=1)
    assert_same({"0.weight": before["0.weight"]}, {"0.weight": model[0].weight.detach()})
    # The last layer alone is linear in its parameters.
    update = {n: values(model)[n] - before[n] for n in ("2.weight", "2.bias")}
    record = optimizer.log[0]
    hidden = torch.tanh(x @ before["0.weight"].T + before["0.bias"])
    slopes = (hidden @ update["2.weight"].T + update["2.bias"]) / record.factor
    logits = hidden @ before["2.weight"].T + before["2.bias"]
    assert record == pytest.approx(clip_step(logits.numpy(), slopes.numpy(), record.tau), rel=1e-9)


# --- the guarantee, on a model that is not linear ---


def length(new, old):
    return math.sqrt(sum(float(((new[n] - old[n]) ** 2).sum()) for n in new))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("r", [0.3, 1.0])
def test_the_step_taken_never_exceeds_r_radii(name, r):
    model, (x, y) = mlp(), batch()
    optimizer = radius_clip(OPTIMIZERS[name](model.parameters()), model, r=r)
    for _ in range(5):
        old = values(model)
        train(optimizer, model, x, y, steps=1)
        record = optimizer.log[-1]
        taken = length(values(model), old)
        assert taken <= r * record.rho * (1 + 1e-12)
        assert taken == pytest.approx(record.factor * record.tau)
        assert record.r == pytest.approx(record.tau / record.rho)
    assert optimizer.log[0].factor < 0.9


# --- slopes ---


def test_difference_and_jvp_agree():
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 1e-3)):
        for lr in (1e-3, 1.0, 1e3):
            logs = []
            for slopes in SLOPES:
                torch.manual_seed(5)
                model, (x, y) = mlp(dtype), batch(dtype=dtype)
                optimizer = torch.optim.Adam(model.parameters(), lr=lr)
                optimizer = radius_clip(optimizer, model, slopes=slopes, bound="spread")
                train(optimizer, model, x, y, steps=1)
                logs += optimizer.log
            assert logs[0] == pytest.approx(logs[1], rel=tolerance), (dtype, lr)


def test_the_whole_update_in_place_of_a_small_difference_is_caught(monkeypatch):
    def secant(forward, old, update, tau):
        z = forward(old)
        return z, forward({n: old[n] + update[n] for n in old}) - z

    monkeypatch.setattr(hook, "_central_difference", secant)
    with pytest.raises(AssertionError):
        test_difference_and_jvp_agree()


def test_the_difference_starts_at_parameters_of_zero():
    model, (x, y) = linear(), batch()
    nn.init.zeros_(model.weight)
    optimizer = radius_clip(torch.optim.SGD([model.weight], lr=9.0), model, slopes="difference")
    train(optimizer, model, x, y, steps=1)
    slopes = (x @ model.weight.detach().T).numpy() / optimizer.log[0].factor
    expected = clip_step(np.zeros_like(slopes), slopes, optimizer.log[0].tau)
    assert optimizer.log[0] == pytest.approx(expected, rel=1e-8)


def test_both_draws_of_a_difference_see_the_same_dropout():
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(), nn.Linear(8, 4)).double()
    x, y = batch()
    rho = {}
    for slopes in SLOPES:
        net = copy.deepcopy(model)
        torch.manual_seed(11)
        optimizer = radius_clip(torch.optim.SGD(net.parameters(), lr=1.0), net, slopes=slopes)
        train(optimizer, net, x, y, steps=1)
        rho[slopes] = optimizer.log[0].rho
    assert rho["jvp"] == pytest.approx(rho["difference"], rel=1e-6)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = x[:, None] * torch.ones(3, 1, dtype=x.dtype)
        x = nn.functional.scaled_dot_product_attention(x, x, x)
        return self.head(self.block(x).mean(1))


@pytest.mark.parametrize("training", [True, False])
def test_attention_has_a_jvp(training):
    model, (x, y) = Attention().double().train(training), batch()
    optimizer = radius_clip(torch.optim.Adam(model.parameters(), lr=1.0), model)
    train(optimizer, model, x, y, steps=2)
    assert len(optimizer.log) == 2
    assert torch.backends.mha.get_fastpath_enabled()


class Squared(torch.autograd.Function):
    """An operation without a forward derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x):
        return self.head(self.lstm(x[:, None])[0][:, -1])


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 4)

    def forward(self, x):
        return Squared.apply(self.linear(x))


@pytest.mark.parametrize("make", [Recurrent, Custom])
def test_without_a_forward_derivative_the_error_names_the_difference_and_it_works(make):
    model, (x, y) = make(), batch(dtype=torch.float32)
    before = values(model)
    optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=1.0), model)
    with pytest.raises(RuntimeError, match="pass slopes='difference'"):
        train(optimizer, model, x, y, steps=1)
    assert_same(values(model), before)
    optimizer.slopes = "difference"
    train(optimizer, model, x, y, steps=2)
    assert len(optimizer.log) == 2


# --- a drop-in for the optimiser ---


def test_a_scheduler_moves_the_rate_of_the_wrapped_optimiser():
    model, (x, y) = mlp(), batch()
    inner = torch.optim.SGD(model.parameters(), lr=0.8)
    optimizer = radius_clip(inner, model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    rates = []
    for _ in range(5):
        train(optimizer, model, x, y, steps=1)
        rates.append(inner.param_groups[0]["lr"])
        scheduler.step()
    assert rates == [0.8, 0.8, 0.4, 0.4, 0.2]
    assert len(optimizer.log) == 5


def test_a_checkpoint_is_that_of_the_wrapped_optimiser_both_ways():
    model, (x, y) = mlp(), batch()
    first = radius_clip(torch.optim.Adam(model.parameters(), lr=0.1), model)
    train(first, model, x, y)
    second = radius_clip(torch.optim.Adam(model.parameters(), lr=0.7), model)
    second.load_state_dict(first.state_dict())
    assert_same_state(first.state_dict(), second.state_dict())
    third = torch.optim.Adam(model.parameters(), lr=0.3)
    third.load_state_dict(first.state_dict())
    assert third.param_groups[0]["lr"] == 0.1
    train(second, model, x, y)  # its groups are those that were loaded
    assert second.param_groups[0]["lr"] == second.optimizer.param_groups[0]["lr"] == 0.1


def test_it_is_an_optimizer_with_groups_state_hooks_and_a_name():
    model, (x, y) = mlp(), batch()
    inner = torch.optim.Adam(model[0].parameters(), lr=0.1)
    optimizer = radius_clip(inner, model)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.defaults is inner.defaults
    optimizer.add_param_group({"params": model[2].parameters(), "lr": 0.2})
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    before = values(model)
    train(optimizer, model, x, y, steps=1)
    assert optimizer.state is inner.state
    assert len(inner.state) == 4
    assert seen == [1]
    assert all(not torch.equal(before[n], value) for n, value in values(model).items())
    assert "Adam" in repr(optimizer)
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())


class DecaysAtTheEnd(torch.optim.SGD):
    """An optimiser that calls the step of its base class, and then goes on."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(0.5)
        return loss


class WithoutHooks(torch.optim.Optimizer):
    """An optimiser that never called Optimizer.__init__ and so has no hooks."""

    def __init__(self, parameters, lr):
        self.param_groups = [{"params": list(parameters), "lr": lr}]
        self.state = {}

    def zero_grad(self, set_to_none=True):
        for p in self.param_groups[0]["params"]:
            p.grad = None

    def state_dict(self):
        return {"state": {}, "param_groups": [{"lr": self.param_groups[0]["lr"]}]}

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad, alpha=self.param_groups[0]["lr"])


@pytest.mark.parametrize(
    "register",
    [
        lambda optimizer, hook: optimizer.register_step_post_hook(hook),
        lambda optimizer, hook: optimizer.optimizer.register_step_post_hook(hook),
        lambda _, hook: register_optimizer_step_post_hook(hook),
    ],
    ids=["of the wrapper", "of the wrapped optimiser", "of all optimisers"],
)
def test_post_hooks_see_the_clipped_parameters_and_their_record(register):
    model, (x, y) = linear(), batch()
    optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=100.0), model)
    seen = []
    handle = register(
        optimizer, lambda *_: seen.append((model.weight.detach().clone(), optimizer.log[-1]))
    )
    try:
        for _ in range(2):
            train(optimizer, model, x, y, steps=1)
            weight, record = seen[-1]
            assert torch.equal(weight, model.weight)
            assert record is optimizer.log[-1]
            assert record.factor < 0.9
        assert len(seen) == 2
    finally:
        handle.remove()


def test_the_hooks_of_an_optimiser_inside_another_wrapper_see_the_clipped_parameters():
    model, (x, y) = linear(), batch()
    inner = perp_grad(torch.optim.SGD(model.parameters(), lr=100.0))
    optimizer, seen = radius_clip(inner, model), []
    optimizer.register_step_post_hook(lambda *_: seen.append(model.weight.detach().clone()))
    train(optimizer, model, x, y, steps=1)
    assert optimizer.log[0].factor < 0.9
    assert torch.equal(seen[0], model.weight)


@pytest.mark.parametrize("make", [DecaysAtTheEnd, WithoutHooks])
def test_the_whole_of_an_unusual_step_is_clipped_once(make):
    torch.optim.SGD(linear().parameters(), lr=1.0)  # from now on its own step calls hooks too
    check_against_the_linear_truth(RadiusClip, lambda p: make(p, lr=50.0))


def test_a_refused_step_calls_no_post_hook():
    model, (x, y) = linear(), batch()
    optimizer, seen = radius_clip(torch.optim.SGD(model.parameters(), lr=1.0), model), []
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    with pytest.raises(ValueError, match="holds NaN or inf"):
        train(optimizer, model, math.inf * x, y, steps=1)
    assert not seen
    train(optimizer, model, x, y, steps=1)  # nothing of the refused step is left behind
    assert seen == [1]
    assert len(optimizer.log) == 1


def test_model_and_optimiser_can_be_copied_together():
    model, (x, y) = mlp(), batch()
    optimizer = radius_clip(torch.optim.Adam(model.parameters(), lr=1.0), model)
    train(optimizer, model, x, y, steps=2)
    model_2, optimizer_2 = copy.deepcopy((model, optimizer))
    train(optimizer, model, x, y, steps=2)
    train(optimizer_2, model_2, x, y, steps=2)
    assert_same(values(model), values(model_2))
    assert optimizer.log == optimizer_2.log
    assert len(optimizer.log) == 4


def test_a_closure_is_passed_on_and_the_whole_of_its_steps_is_clipped():
    model, (x, y) = linear(), batch()
    twin = copy.deepcopy(model)

    def closure_of(net, optimizer):
        return lambda: backward(optimizer, net, x, y)

    plain = torch.optim.LBFGS(twin.parameters(), lr=20.0, max_iter=3)
    loss = plain.step(closure_of(twin, plain))
    inner = torch.optim.LBFGS(model.parameters(), lr=20.0, max_iter=3)
    optimizer = radius_clip(inner, model)
    old = model.weight.detach().clone()
    assert optimizer.step(x, closure=closure_of(model, optimizer)) == loss
    update = (twin.weight - old).detach()
    record = optimizer.log[0]
    assert record.factor < 1.0
    assert record.tau == pytest.approx(float(update.norm()))
    assert torch.allclose(model.weight, old + record.factor * update)


def test_a_grad_scaler_steps_it_with_the_batch():
    model, (x, y) = mlp(torch.float32), batch(dtype=torch.float32)
    twin = copy.deepcopy(model)
    fused = torch.optim.Adam(model.parameters(), lr=1.0, fused=True)
    optimizer = radius_clip(fused, model)
    plain = radius_clip(torch.optim.Adam(twin.parameters(), lr=1.0, fused=True), twin)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(cross_entropy(model(x), y)).backward()
        scaler.step(optimizer, x)
        scaler.update()
    train(plain, twin, x, y, steps=3)
    assert_same(values(model), values(twin))  # a scale of 2^8 rounds nothing
    # An overflow is the scaler's to skip.
    optimizer.zero_grad()
    scaler.scale(cross_entropy(model(x), y) * math.inf).backward()
    scaler.step(optimizer, x)
    assert len(optimizer.log) == 3


# --- models of all kinds ---


def test_sparse_gradients():
    model = nn.Sequential(nn.Embedding(10, 6, sparse=True), nn.Flatten(), nn.Linear(12, 4))
    table, head = model[0].parameters(), model[2].parameters()
    tokens, y = torch.randint(10, (24, 2)), torch.randint(4, (24,))
    for parameters, kind in ((table, torch.optim.SparseAdam), (head, torch.optim.Adam)):
        before = values(model)
        optimizer = radius_clip(kind(parameters, lr=5.0), model)
        train(optimizer, model, tokens, y, steps=1)
        assert 0.0 < optimizer.log[0].factor < 1.0
        assert length(values(model), before) <= optimizer.log[0].rho * (1 + 1e-5)


def test_tied_parameters_move_together():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 6, bias=False)
            self.b = nn.Linear(6, 6, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    model, (x, y) = Tied().double(), batch()
    old = model.a.weight.detach().clone()
    optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=100.0), model, bound="spread")
    train(optimizer, model, x, y, steps=1)
    d = (model.a.weight.detach() - old) / optimizer.log[0].factor
    slopes = x @ (d @ old + old @ d).T  # the product rule, both places
    assert optimizer.log[0].r == pytest.approx(
        float(np.ptp(slopes.numpy(), axis=1).max()) / math.pi
    )


def test_logits_of_more_axes_count_one_sample_per_position():
    model, x = linear(), torch.randn(3, 8, 6, dtype=torch.float64)
    y = torch.randint(4, (24,))
    flat = copy.deepcopy(model)
    optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=9.0), model)
    backward(optimizer, lambda x: model(x).reshape(-1, 4), x, y)
    optimizer.step(x)
    other = radius_clip(torch.optim.SGD(flat.parameters(), lr=9.0), flat)
    train(other, flat, x.reshape(-1, 6), y, steps=1)
    assert optimizer.log[0] == pytest.approx(other.log[0])


class Output(nn.Module):
    """A model that returns more than its logits, from keywords."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 4)

    def forward(self, *, pixels):
        return {"logits": self.linear(pixels), "hidden": pixels}


def test_logits_may_be_picked_from_what_the_model_returns():
    model, (x, y) = Output().double(), batch()
    inner = torch.optim.SGD(model.parameters(), lr=9.0)
    optimizer = radius_clip(inner, model, logits=lambda model, **batch: model(**batch)["logits"])
    backward(optimizer, lambda x: model(pixels=x)["logits"], x, y)
    optimizer.step(pixels=x)
    assert optimizer.log[0].factor < 1.0
    with pytest.raises(TypeError, match="the model returns a dict, not a tensor of logits"):
        radius_clip(inner, model).step(pixels=x)


def test_several_modules_in_a_list():
    modules = nn.ModuleList([nn.Linear(6, 3), nn.Linear(3, 4)]).double()
    x, y = batch()

    def logits(modules, x):
        return modules[1](torch.tanh(modules[0](x)))

    optimizer = torch.optim.SGD(modules.parameters(), lr=100.0)
    optimizer = radius_clip(optimizer, modules, logits=logits)
    backward(optimizer, lambda x: logits(modules, x), x, y)
    optimizer.step(x)
    assert optimizer.log[0].factor < 1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("slopes", SLOPES)
def test_half_precision_logits_are_widened(dtype, slopes):
    model, (x, y) = linear(dtype), batch(dtype=dtype)
    old = model.weight.detach().clone()
    optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=50.0), model, slopes=slopes)
    train(optimizer, model, x, y, steps=1)
    record = optimizer.log[0]
    assert record.factor < 1.0
    wide = float((model.weight.detach().float() - old.float()).norm())
    assert wide == pytest.approx(record.rho, rel=0.02)


def test_one_class_never_clips_but_two_that_stand_for_it_do():
    x = torch.randn(24, 6, dtype=torch.float64)
    factors = []
    for logits in (None, lambda m, x: torch.cat([m(x), torch.zeros(len(x), 1).to(x)], -1)):
        model = nn.Linear(6, 1).double()
        optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=1e4), model, logits=logits)
        nn.functional.softplus(model(x)).mean().backward()
        optimizer.step(x)
        factors.append(optimizer.log[0].factor)
    assert factors[0] == 1.0
    assert factors[1] < 1.0


# --- refusals ---


@pytest.mark.parametrize("where", ["gradient", "logits"])
def test_after_nan_the_parameters_are_those_before_the_step(where):
    model, (x, y) = mlp(), batch()
    optimizer = radius_clip(torch.optim.Adam(model.parameters(), lr=1.0), model)
    train(optimizer, model, x, y, steps=1)
    before = values(model)
    backward(optimizer, model, x, y)
    if where == "gradient":
        model[0].weight.grad[0, 0] = math.nan
        message = "the update of Adam holds NaN or inf"
    else:
        x = torch.full_like(x, math.nan)
        message = "logits hold NaN"
    with pytest.raises(ValueError, match=message):
        optimizer.step(x)
    assert_same(values(model), before)
    assert len(optimizer.log) == 1


def test_a_step_without_the_batch_is_refused_before_anything_moves():
    model, (x, y) = mlp(), batch()
    optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=1.0), model)
    backward(optimizer, model, x, y)
    before = values(model)
    closure = functools.partial(cross_entropy, x, y)
    for wrong in ((), (lambda: 0.0,), (closure,), (x, closure), (optimizer.zero_grad,)):
        with pytest.raises(TypeError, match=r"step needs the batch .* step\(inputs\)"):
            optimizer.step(*wrong)
    assert_same(values(model), before)


def test_parameters_of_another_model_are_refused():
    with pytest.raises(ValueError, match=r"shape \(4, 6\) in group 0 .* not belong to the model"):
        radius_clip(torch.optim.SGD(linear().parameters(), lr=1.0), mlp())


def test_a_new_group_of_another_model_is_refused_and_not_added():
    model, (x, y) = mlp(), batch()
    optimizer = radius_clip(torch.optim.SGD(model[0].parameters(), lr=1.0), model)
    with pytest.raises(ValueError, match=r"shape \(4, 6\) in group 1 .* not belong to the model"):
        optimizer.add_param_group({"params": linear().parameters()})
    assert len(optimizer.param_groups) == 1
    train(optimizer, model, x, y, steps=1)
    optimizer.add_param_group({"params": model[2].parameters()})
    train(optimizer, model, x, y, steps=1)
    assert (len(optimizer.param_groups), len(optimizer.log)) == (2, 2)


def test_wrong_arguments_are_told_the_right_ones():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    usage = r"call radius_clip\(torch.optim.SGD\(model.parameters\(\), lr=0.1\), model\)"
    for arguments, message in (
        ((model, optimizer), "optimizer and model are in the wrong order"),
        ((model.parameters(), model), "optimizer must be a torch Optimizer, got generator"),
        ((model, model), "optimizer must be a torch Optimizer, got Sequential"),
        ((optimizer, model.parameters()), "model must be a torch Module, got generator"),
        ((optimizer, lambda x: x), "model must be a torch Module, got function"),
    ):
        with pytest.raises(TypeError, match=f"{message}: {usage}"):
            radius_clip(*arguments)


def test_a_batch_of_the_wrong_shape_is_not_blamed_on_forward_mode():
    model, (x, y) = mlp(), batch()
    optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=1.0), model)
    backward(optimizer, model, x, y)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        optimizer.step(x[:, :5])
    assert not getattr(caught.value, "__notes__", [])


def test_a_loss_in_place_of_logits_is_refused():
    model, (x, y) = mlp(), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer = radius_clip(optimizer, model, logits=lambda m, x: m(x).sum())
    with pytest.raises(ValueError, match=r"logits must have shape \(..., classes\), got a scalar"):
        train(optimizer, model, x, y, steps=1)


@pytest.mark.parametrize("slopes", SLOPES)
def test_one_number_per_sample_is_not_taken_for_the_classes_of_one_sample(slopes):
    x = torch.randn(24, 6, dtype=torch.float64)
    model, message = nn.Linear(6, 1).double(), r"logits must have shape .*, got \(24,\): where"

    def take(logits):
        inner = torch.optim.SGD(model.parameters(), lr=1e4)
        optimizer = radius_clip(inner, model, logits=logits, slopes=slopes)
        optimizer.zero_grad()
        nn.functional.softplus(model(x)).mean().backward()
        optimizer.step(x)

    with pytest.raises(ValueError, match=message) as caught:
        take(lambda model, x: model(x)[:, 0])
    # What the message says to do works.
    assert "torch.stack([z, torch.zeros_like(z)], -1)" in str(caught.value)
    take(lambda model, x: (z := model(x)[:, 0], torch.stack([z, torch.zeros_like(z)], -1))[1])
    take(lambda model, x: model(x[0])[None])


@pytest.mark.parametrize(
    "setting", [{"bound": "best"}, {"aggregate": "mean"}, {"r": 0.0}, {"slopes": "exact"}]
)
def test_settings_are_checked_when_the_optimiser_is_wrapped(setting):
    model = mlp()
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be"):
        radius_clip(torch.optim.SGD(model.parameters(), lr=1.0), model, **setting)


def test_a_group_of_processes_is_refused(monkeypatch):
    monkeypatch.setattr(hook, "_processes", lambda: 2)
    model = mlp()
    with pytest.raises(NotImplementedError, match="their models would drift apart"):
        radius_clip(torch.optim.SGD(model.parameters(), lr=1.0), model)
