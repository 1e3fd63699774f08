"""perpGrad leaves nothing along the parameters: against exact fractions, in NumPy and PyTorch."""

import copy
import math
from fractions import Fraction

import numpy as np
import pytest
from softproof.kernels.training.perp_grad import perp_grad

torch = pytest.importorskip("torch", reason="torch is not installed")

from softproof.kernels.frameworks import torch_perp_grad as hook  # noqa: E402

V = Fraction(2) ** -53
FORMATS = {"float32": np.float32, "float64": np.float64}
each_format = pytest.mark.parametrize("dtype", FORMATS.values(), ids=FORMATS)


# --- the bound of the docstring, in exact arithmetic ---


def dot(x, y):
    return sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x, y, strict=True))


def root(square):
    """An upper bound of a square root."""
    if square == 0:
        return Fraction(0)
    shift = max(0, 120 - square.numerator.bit_length() + square.denominator.bit_length())
    shift += shift % 2
    scaled = (square.numerator << shift) // square.denominator + 1
    return Fraction(math.isqrt(scaled) + 1, 1 << (shift // 2))


def left_along(theta, gradient, result, factor=1):
    """|<theta, r>| over its bound."""
    info = np.finfo(result.dtype)
    u, n = Fraction(float(info.epsneg)) * factor, theta.size
    if info.dtype == np.float64:
        u = V * factor
    allowed = root(dot(theta, theta)) * (
        u * root(dot(result, result))
        + (4 * n + 30) * V * V * root(dot(gradient, gradient))
        + root(Fraction(n)) * Fraction(float(info.smallest_subnormal))
    )
    return float(abs(dot(theta, result)) / allowed) if allowed else 0.0


def distance_from_truth(theta, gradient, result):
    """|r - exact projection| over u |r| + 2 (4 n + 30) v^2 |g| + sqrt(n) e."""
    info = np.finfo(result.dtype)
    u = Fraction(2) ** -(info.nmant + 1)
    k = dot(theta, gradient) / dot(theta, theta)
    exact = [
        Fraction(float(g)) - k * Fraction(float(t)) for g, t in zip(gradient, theta, strict=True)
    ]
    lost = sum((Fraction(float(c)) - e) ** 2 for c, e in zip(result, exact, strict=True))
    allowed = (
        u * root(sum(e * e for e in exact))
        + 2 * (4 * theta.size + 30) * V * V * root(dot(gradient, gradient))
        + root(Fraction(theta.size)) * Fraction(float(info.smallest_subnormal))
    )
    return float(root(lost) / allowed)


def problems(dtype):
    rng = np.random.default_rng(7)
    largest = float(np.finfo(dtype).max) / 8
    for n in (1, 2, 3, 50, 200):
        theta, noise = rng.normal(size=n), rng.normal(size=n)
        yield theta, noise
        yield theta, theta * 3 + noise * 1e-6  # nearly along the parameters
        yield theta, np.nextafter(theta, 9)
        yield theta * largest / 10, noise * largest / 10
        yield theta * largest / 10, noise / largest * 100
        yield theta / largest * 100, noise
        yield np.where(np.arange(n) == 0, 1, theta * 1e-20), noise


@each_format
def test_what_is_left_along_the_parameters_is_below_the_bound(dtype):
    for theta, gradient in problems(dtype):
        theta, gradient = theta.astype(dtype), gradient.astype(dtype)
        result = perp_grad(theta, gradient)
        assert result.dtype == dtype
        assert left_along(theta, gradient, result) <= 1
        assert distance_from_truth(theta, gradient, result) <= 1


@each_format
def test_a_second_projection_changes_nothing_but_last_bits(dtype):
    for theta, gradient in problems(dtype):
        theta, gradient = theta.astype(dtype), gradient.astype(dtype)
        once = perp_grad(theta, gradient)
        twice = perp_grad(theta, once)
        moved = dot(twice.astype(float) - once, twice.astype(float) - once)
        info = np.finfo(dtype)
        u = Fraction(2) ** -(info.nmant + 1)
        n = theta.size
        bracket = (
            u * root(dot(once, once))
            + (4 * n + 30) * V * V * root(dot(gradient, gradient))
            + root(Fraction(n)) * Fraction(float(info.smallest_subnormal))
        )
        assert root(moved) <= Fraction("2.01") * bracket


def without_the_division(theta, gradient):
    return gradient - (theta @ gradient) * theta


def in_plain_arithmetic(theta, gradient):
    return gradient - (theta @ gradient) / (theta @ theta) * theta


def along_the_gradient(theta, gradient):
    return theta - (theta @ gradient) / (gradient @ gradient) * gradient


@pytest.mark.parametrize("broken", [without_the_division, in_plain_arithmetic, along_the_gradient])
def test_broken_projections_are_caught(broken):
    worst = 0.0
    for theta, gradient in problems(np.float32):
        theta, gradient = theta.astype(np.float32), gradient.astype(np.float32)
        if theta.size > 1 and np.abs(theta).max() < 1e10 and np.abs(theta).max() > 1e-10:
            worst = max(worst, left_along(theta, gradient, broken(theta, gradient)))
    assert worst > 10


@each_format
def test_the_norm_is_kept_if_asked(dtype):
    for theta, gradient in problems(dtype):
        theta, gradient = theta.astype(dtype), gradient.astype(dtype)
        plain, kept = perp_grad(theta, gradient), perp_grad(theta, gradient, keep_norm=True)
        if theta.size > 1 and np.abs(plain).max() > 1e-9 * np.abs(gradient).max():
            ratio = root(dot(kept, kept)) / root(dot(gradient, gradient))
            assert abs(float(ratio) - 1) <= 10 * np.finfo(dtype).eps
            largest = np.abs(plain).argmax()
            assert np.sign(kept[largest]) == np.sign(plain[largest])
            np.testing.assert_allclose(kept / kept[largest], plain / plain[largest], rtol=1e-5)


def test_edges():
    assert perp_grad([0.0, 0.0], [3.0, 4.0]).tolist() == [3.0, 4.0]
    assert perp_grad([2.0], [3.0]).tolist() == [0.0]
    assert perp_grad([1.0, 2.0], [2.0, 4.0], keep_norm=True).tolist() == [0.0, 0.0]
    assert perp_grad(np.empty((0, 3)), np.empty((0, 3))).shape == (0, 3)
    for theta, gradient in (([math.nan, 1.0], [1.0, 1.0]), ([1.0, 1.0], [math.inf, 0.0])):
        assert np.isnan(perp_grad(theta, gradient)).all()


def test_shape_and_strides_do_not_matter():
    rng = np.random.default_rng(0)
    theta, gradient = rng.normal(size=(2, 6, 5))
    whole = perp_grad(theta, gradient)
    assert np.array_equal(perp_grad(theta.ravel(), gradient.ravel()), whole.ravel())
    assert np.array_equal(perp_grad(np.asfortranarray(theta), gradient), whole)


@pytest.mark.parametrize(
    ("theta", "gradient", "error", "message"),
    [
        ([1, 2], [1.0, 2.0], TypeError, "theta must be float32 or float64"),
        ([1.0], np.float32([1.0]), TypeError, "one dtype"),
        ([1.0], [1.0, 2.0], ValueError, "one shape"),
        ([1.0], np.ma.array([1.0]), TypeError, "masked"),
    ],
)
def test_wrong_arguments_are_named(theta, gradient, error, message):
    with pytest.raises(error, match=message):
        perp_grad(theta, gradient)


# --- around PyTorch optimisers ---


def model_and_batch(dtype):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = torch.nn.Sequential(
            torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)
        ).to(dtype)
        return model, torch.randn(24, 6, dtype=dtype), torch.randint(4, (24,))


def backward(model, x, y):
    for p in model.parameters():
        p.grad = None
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    return loss


def largest_cosine(wrapper, dtype):
    """Of a gradient that the wrapped optimiser saw and its parameters, in exact arithmetic."""
    model, x, y = model_and_batch(dtype)
    parameters = list(model.parameters())
    optimizer = wrapper(torch.optim.SGD(parameters, lr=0.0))
    backward(model, x, y)
    optimizer.step()
    cosines = []
    for p in parameters:
        theta, g = p.detach().double().numpy().ravel(), p.grad.double().numpy().ravel()
        cosines.append(abs(dot(theta, g)) / (root(dot(theta, theta)) * root(dot(g, g))))
    return float(max(cosines))


class AlongAllParametersTogether(hook.PerpGrad):
    def _project(self):
        parameters = [p for group in self.param_groups for p in group["params"]]
        along = sum(torch.sum(p.detach() * p.grad) for p in parameters)
        k = along / sum(torch.sum(p.detach() ** 2) for p in parameters)
        for p in parameters:
            p.grad -= k * p.detach()


class WithoutTheDivision(hook.PerpGrad):
    def _project(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad -= torch.sum(p.detach() * p.grad) * p.detach()


@pytest.mark.parametrize(
    ("dtype", "u"),
    [(torch.float32, 2.0**-24), (torch.float64, 2.0**-53), (torch.bfloat16, 2.0**-8)],
)
def test_the_optimiser_sees_gradients_perpendicular_to_each_tensor(dtype, u):
    for keep_norm in (False, True):
        wrapper = hook.PerpGrad
        cosine = largest_cosine(lambda o, k=keep_norm, w=wrapper: w(o, keep_norm=k), dtype)
        assert cosine <= (1 + keep_norm) * u + (96 + 5) * 2.0**-53


@pytest.mark.parametrize("broken", [AlongAllParametersTogether, WithoutTheDivision])
def test_broken_wrappers_are_caught(broken):
    assert largest_cosine(broken, torch.float64) > 1e-3


def test_both_projections_agree():
    rng = np.random.default_rng(1)
    for n in (2, 30, 700):
        theta, gradient = rng.normal(size=n), rng.normal(size=n)
        for keep_norm in (False, True):
            ours = perp_grad(theta, gradient, keep_norm=keep_norm)
            theirs = hook.perpendicular(
                torch.from_numpy(theta), torch.from_numpy(gradient), keep_norm=keep_norm
            )
            assert np.abs(ours - theirs.numpy()).max() <= n * 1e-15
    huge = torch.tensor([1e300, -2e300], dtype=torch.float64)
    assert hook.perpendicular(huge, huge.flip(0)).tolist() == pytest.approx([-1.2e300, -0.6e300])


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: torch.optim.Adam(p, lr=0.01),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    ],
)
def test_the_step_is_the_wrapped_optimisers_own(make):
    model, x, y = model_and_batch(torch.float64)
    twin = copy.deepcopy(model)
    optimizer, plain = hook.perp_grad(make(model.parameters())), make(twin.parameters())
    for _ in range(3):
        backward(model, x, y)
        optimizer.step()
        backward(twin, x, y)
        for p in twin.parameters():
            p.grad.copy_(hook.perpendicular(p, p.grad))
        plain.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)
    plain.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["lr"] == plain.param_groups[0]["lr"]


def test_closures_are_projected_at_every_evaluation():
    model, x, y = model_and_batch(torch.float64)
    seen = []
    optimizer = hook.perp_grad(torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4))
    project = optimizer._project
    optimizer._project = lambda: seen.append(project())

    loss = optimizer.step(lambda: backward(model, x, y))
    assert float(loss.detach()) > 0
    assert len(seen) > 1


FUSED = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, fused=True),
}


def check_under_a_grad_scaler(wrapper, make):
    """Scaled and unscaled training end at the same bits, and an overflow moves nothing."""
    model, x, y = model_and_batch(torch.float32)
    twin = copy.deepcopy(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)  # a power of two rounds nothing
    scaled, plain = wrapper(make(model.parameters())), wrapper(make(twin.parameters()))
    for _ in range(3):
        scaled.zero_grad()
        scaler.scale(torch.nn.functional.cross_entropy(model(x), y)).backward()
        scaler.step(scaled)
        scaler.update()
        backward(twin, x, y)
        plain.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)
    scaled.zero_grad()
    scaler.scale(torch.nn.functional.cross_entropy(model(x), y) * math.inf).backward()
    scaler.step(scaled)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("make", FUSED.values(), ids=FUSED)
def test_a_grad_scaler_unscales_and_skips_for_fused_optimisers(make):
    check_under_a_grad_scaler(hook.perp_grad, make)


class LeavesScalingToTheOptimiser(hook.PerpGrad):
    _step_supports_amp_scaling = True


def test_scaled_gradients_in_a_fused_optimiser_are_caught():
    with pytest.raises(AssertionError):
        check_under_a_grad_scaler(LeavesScalingToTheOptimiser, FUSED["sgd"])


def test_parameters_of_zero_and_without_gradient_are_left_alone():
    zero = torch.nn.Parameter(torch.zeros(3))
    zero.grad = torch.ones(3)
    idle = torch.nn.Parameter(torch.ones(3))
    hook.perp_grad(torch.optim.SGD([zero, idle], lr=1.0)).step()
    assert zero.tolist() == [-1.0] * 3
    assert idle.tolist() == [1.0] * 3


def test_what_cannot_be_projected_is_refused():
    with pytest.raises(TypeError, match="optimizer must be a torch Optimizer, got Linear"):
        hook.perp_grad(torch.nn.Linear(2, 2))
    embedding = torch.nn.Embedding(4, 2, sparse=True)
    optimizer = hook.perp_grad(torch.optim.SGD(embedding.parameters(), lr=1.0))
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(TypeError, match="sparse"):
        optimizer.step()
