"""The LDR-KL kernel: within its proven bound at every temperature, with its gradient."""

import math

import mpmath
import numpy as np
import pytest
from softproof.kernels import ldr_kl, ldr_kl_with_gradient
from softproof.kernels.losses.ldr_kl import error_bound_of
from softproof.verify.testing import NothingToCheck, assert_conforms

U = 2.0**-53
SAMPLES = 300


def exact(row, label, temperature, margin):
    """The loss, the probabilities, and D, in mpmath."""
    own, c, t = mpmath.mpf(float(row[label])), mpmath.mpf(margin), mpmath.mpf(temperature)
    d = [mpmath.mpf(float(v)) - own + c for v in row]
    d[label] = mpmath.mpf(0)
    top = max(d)
    terms = [mpmath.exp((v - top) / t) for v in d]
    whole = mpmath.fsum(terms)
    loss = top + t * mpmath.log(whole / len(row))
    return loss, [term / whole for term in terms], d


def samples(dtype):
    rng = np.random.default_rng(0)
    for _ in range(SAMPLES):
        classes = int(rng.integers(1, 20))
        row = (rng.normal(size=classes) * 2.0 ** rng.integers(-8, 8)).astype(dtype)
        label = int(rng.integers(classes))
        yield row, label, 2.0 ** rng.uniform(-12, 30), float(rng.choice([0.0, 0.5, 3.0]))


def largest_ratio(loss_of, dtype=np.float64):
    """The largest error of a loss over what is proven."""
    worst = 0.0
    with mpmath.workprec(400), np.errstate(all="ignore"):
        for row, label, temperature, margin in samples(dtype):
            truth, _, _ = exact(row, label, temperature, margin)
            largest = float(max(abs(row.astype(float) - float(row[label])))) + margin
            bound = error_bound_of(largest, len(row))
            if dtype is not np.float64:
                bound += float(np.spacing(dtype(abs(truth)))) / 2
            found = float(loss_of(row, label, temperature, margin))
            error = abs(mpmath.mpf(found) - truth) if math.isfinite(found) else mpmath.inf
            if error:
                worst = max(worst, float(error) / bound if bound else math.inf)
    return worst


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_loss_is_within_its_proven_bound(dtype):
    assert largest_ratio(ldr_kl, dtype) <= 1


def as_published(row, label, temperature, margin):
    d = row - row[label] + margin
    d[label] = 0
    return temperature * np.log(np.mean(np.exp(d / temperature)))


def shifted_at_every_temperature(row, label, temperature, margin):
    d = row - row[label] + margin
    d[label] = 0
    return d.max() + temperature * np.log(np.mean(np.exp((d - d.max()) / temperature)))


@pytest.mark.parametrize("mistaken", [as_published, shifted_at_every_temperature])
def test_forms_that_are_not_accurate_at_both_ends_are_beyond_it(mistaken):
    assert largest_ratio(mistaken) > 10


def test_the_gradient_is_within_its_proven_bound():
    with mpmath.workprec(400):
        for row, label, temperature, margin in samples(np.float64):
            _, p, d = exact(row, label, temperature, margin)
            _, gradient = ldr_kl_with_gradient(row, label, temperature, margin)
            largest = float(max(map(abs, d))) + 2 * margin
            common = 4 * largest / temperature + 2 * math.log(len(row)) + 9
            for k, found in enumerate(gradient):
                truth = p[k] if k != label else -mpmath.fsum(p[:label] + p[label + 1 :])
                z = 2 * float(max(d) - min(d)) / temperature if k == label else 0.0
                bound = U * (common + z + 2 * float(max(d) - d[k]) / temperature)
                if bound < 0.01 and abs(truth) > 1e-290:
                    assert abs(mpmath.mpf(float(found)) - truth) <= bound * abs(truth)


def test_the_ends_are_the_hinge_and_the_mean():
    row = np.array([0.3, 1.0, -2.0])
    assert float(ldr_kl(row, 0, 2.0**-60, 0.5)) == pytest.approx(1.2, rel=1e-15)
    d = row - row[0] + np.array([0, 0.5, 0.5])
    assert float(ldr_kl(row, 0, 2.0**90, 0.5)) == pytest.approx(d.mean(), rel=1e-15)


def test_special_values():
    nan, inf = np.nan, np.inf
    rows = np.array([[nan, 0.0], [inf, 0.0], [-inf, -inf], [0.0, 1.0]])
    losses, gradient = ldr_kl_with_gradient(rows, [1, 1, 1, 1])
    assert np.isnan(losses[:3]).all()
    assert np.isnan(gradient[:3]).all()
    assert np.isfinite(losses[3])
    loss, gradient = ldr_kl_with_gradient(np.array([1.0, 1.0, -inf, -inf]), 2)
    assert loss == inf
    np.testing.assert_array_equal(gradient, [0.5, 0.5, -1.0, 0.0])
    loss, gradient = ldr_kl_with_gradient(np.array([0.0, -inf]), 0)
    assert float(loss) == pytest.approx(-math.log(2), rel=1e-15)  # one of two classes counts
    np.testing.assert_array_equal(gradient, [0.0, 0.0])
    assert ldr_kl(np.zeros((0, 3)), np.zeros(0, np.intp)).shape == (0,)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_sample_has_the_same_bits_alone_and_in_a_batch(dtype):
    rows = np.random.default_rng(1).normal(size=(7, 5)).astype(dtype)
    labels = np.arange(7) % 5
    losses, gradient = ldr_kl_with_gradient(rows, labels, 0.5, 0.25)
    alone = [ldr_kl_with_gradient(r, y, 0.5, 0.25) for r, y in zip(rows, labels, strict=True)]
    np.testing.assert_array_equal(losses, [loss for loss, _ in alone])
    np.testing.assert_array_equal(gradient, [g for _, g in alone])
    assert losses.dtype == gradient.dtype == np.dtype(dtype)
    turned, across = ldr_kl_with_gradient(rows.T, labels, 0.5, 0.25, axis=0)
    np.testing.assert_array_equal(turned, losses)
    np.testing.assert_array_equal(across.T, gradient)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"temperature": 0.0}, "temperature must be"), ({"margin": -1.0}, "margin must be")],
)
def test_parameters_out_of_range_are_errors(given, said):
    with pytest.raises(ValueError, match=said):
        ldr_kl([0.0, 1.0], 0, **given)


def test_it_conforms_to_its_definition():
    def loss_and_gradient(x, labels, *, temperature=1.0, margin=0.0, axis=-1):
        return ldr_kl_with_gradient(x, labels, temperature, margin, axis=axis)

    suites = ["overflow"]
    assert_conforms(loss_and_gradient, "ldr_kl", dtype="float32", suites=suites)
    with pytest.raises(NothingToCheck):  # that of z / T is another loss: here T is a parameter
        assert_conforms(loss_and_gradient, "ldr_kl", dtype="float32", suites=["parameters"])
    with pytest.raises(AssertionError, match="beyond its error bound"):
        assert_conforms(lambda x, labels: ldr_kl(x, labels, 1.001), "ldr_kl", suites=suites)
