"""Draws are of convex, calibrated losses that are bounded below, at every power, with ties."""

import math

import mpmath
import numpy as np
import pytest
from softproof.derivations.claims.dai2025 import drawn_derivatives
from softproof.kernels.training.ensloss import (
    CALIBRATION,
    CONVEXITY,
    DIFFERENTIABLE,
    TAIL,
    broken_conditions,
    ensemble_derivatives,
    inverse_box_cox,
)

POWERS = (-1.0, -0.9, -0.3, -1e-9, 0.0, 1e-300, 1e-9, 0.4, 0.9, 1.0)


@pytest.mark.parametrize("power", POWERS)
def test_the_inverse_transform_is_right_to_some_ulps(power):
    u = np.concatenate([np.linspace(-0.9, 0.9, 31), [-1e-9, 0.0, 1e-9]])
    with mpmath.workprec(200):
        for number, found in zip(u, inverse_box_cox(u, power), strict=True):
            p, exact_u = mpmath.mpf(power), mpmath.mpf(float(number))
            exact = (1 + p * exact_u) ** (1 / p) if abs(power) > 1e-99 else mpmath.exp(exact_u)
            assert float(abs(found - exact) / exact) <= 16 * 2.0**-53


def test_outside_of_its_domain_it_is_0_or_infinite():
    assert inverse_box_cox(-3.0, 0.5) == 0
    assert inverse_box_cox(3.0, -0.5) == math.inf


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 1e3])
def test_a_draw_fulfils_all_conditions(power, scale):
    rng = np.random.default_rng(3)
    margins = np.round(scale * rng.standard_normal(128), 1)  # with ties, some of them at 0
    found = ensemble_derivatives(margins, power, rng=rng)
    assert broken_conditions(margins, found) == []
    assert np.all((found >= -1) & (found <= 0))


def test_half_of_a_batch_has_the_slope_of_the_hinge():
    margins = np.linspace(-1, 1, 10_001)
    found = ensemble_derivatives(margins, 0.3, rng=np.random.default_rng(0))
    assert np.mean(found == -1) == pytest.approx(0.5, abs=0.02)


def test_a_network_that_starts_at_0_gets_one_derivative():
    found = ensemble_derivatives(np.zeros((4, 8)), rng=np.random.default_rng(0))
    assert found.shape == (4, 8)
    assert np.unique(found).size == 1
    assert -1 < found[0, 0] < 0


def test_the_same_seed_gives_the_same_and_an_empty_batch_nothing():
    margins = np.arange(5.0)
    one, two = (ensemble_derivatives(margins, rng=np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert ensemble_derivatives([], rng=np.random.default_rng(0)).shape == (0,)


def test_the_published_draws_break_the_tail_and_ties():
    margins = np.concatenate([np.zeros(100), np.linspace(-2, 100, 50)])
    found = drawn_derivatives(margins, 0.0, np.random.default_rng(0))
    assert broken_conditions(margins, found) == [DIFFERENTIABLE, TAIL]


@pytest.mark.parametrize(
    ("margins", "derivatives", "broken"),
    [
        ([0.0, 1.0], [-0.5, -0.6], [CONVEXITY]),
        ([-1.0, 1.0], [0.0, 0.0], [CALIBRATION]),
        ([0.0, 0.0], [-0.5, -0.6], [DIFFERENTIABLE]),
        ([math.e], [-0.25 / math.e], []),
        ([math.e], [-0.26 / math.e], [TAIL]),
    ],
)
def test_each_condition_is_seen_when_it_is_broken(margins, derivatives, broken):
    assert broken_conditions(margins, derivatives) == broken


def test_the_tail_is_integrable():
    with mpmath.workdps(30):
        total = mpmath.quad(lambda t: 1 / (1 + t) ** 2, [0, mpmath.inf])  # s = e^t
    assert total == pytest.approx(1)


@pytest.mark.parametrize(
    ("margins", "power", "said"), [([math.nan], 0.0, "must be finite"), ([0.0], 2.0, "power must")]
)
def test_what_cannot_be_is_an_error(margins, power, said):
    with pytest.raises(ValueError, match=said):
        ensemble_derivatives(margins, power, rng=np.random.default_rng(0))


def test_the_hook_of_pytorch_has_the_drawn_gradient():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from softproof.kernels.frameworks.torch_ensloss import EnsLoss

    scores = torch.tensor([[0.5, -2.0], [0.0, 3.0]], requires_grad=True)
    labels = torch.tensor([[1, 0], [1, 0]])
    EnsLoss(power=0.5, seed=11)(scores, labels).backward()
    signs = np.where(labels.numpy() > 0, 1.0, -1.0)
    margins = signs * scores.detach().numpy()
    drawn = ensemble_derivatives(margins, 0.5, rng=np.random.default_rng(11))
    np.testing.assert_allclose(scores.grad.numpy(), signs * drawn / 4, rtol=1e-6)
    with pytest.raises(ValueError, match="labels have shape"):
        EnsLoss()(scores, labels[0])
