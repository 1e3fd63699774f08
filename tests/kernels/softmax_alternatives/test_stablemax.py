"""StableMax kernels stay below their proven bounds, against exact fractions; their edges."""

import math
from fractions import Fraction
from importlib import import_module

import flint
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.kernels import (
    stablemax,
    stablemax_cross_entropy,
    stablemax_cross_entropy_with_gradient,
    stablemax_vjp,
)

# The package's attribute of that name is the function.
kernels = import_module("softproof.kernels.softmax_alternatives.stablemax")

INF, NAN = math.inf, math.nan
ALL_DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
each_dtype = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda d: np.dtype(d).name)

relentless = settings(derandomize=True, deadline=None, max_examples=150)


# --- truth: rational functions of the logits, in fractions ---


def weight(x):
    if x == -INF:
        return Fraction(0)
    x = Fraction(float(x))
    return x + 1 if x >= 0 else 1 / (1 - x)


def slope(x):
    return min(weight(x), Fraction(1)) ** 2


def exact(row):
    """The weights and their sum."""
    weights = [weight(x) for x in row]
    return weights, sum(weights)


def exact_gradient(row, label):
    weights, total = exact(row)
    gradient = [slope(x) / total for x in row]
    gradient[label] -= slope(row[label]) / weights[label]
    return gradient


def exact_loss(row, label):
    weights, total = exact(row)
    rest = (total - weights[label]) / weights[label]
    with flint.ctx.workprec(400):
        return flint.arb(flint.fmpq(rest.numerator, rest.denominator)).log1p()


def exact_vjp(row, cotangent):
    """The gradient, and what errors are relative to."""
    weights, total = exact(row)
    g = [Fraction(float(v)) for v in cotangent]
    mean = sum(w * v for w, v in zip(weights, g, strict=True)) / total
    size = sum(w * abs(v) for w, v in zip(weights, g, strict=True)) / total
    factors = [slope(x) / total for x in row]
    return (
        [f * (v - mean) for f, v in zip(factors, g, strict=True)],
        [f * (abs(v) + size) for f, v in zip(factors, g, strict=True)],
    )


def ulp(value, dtype):
    """The unit in the last place of a fraction in a format; that of the lowest normal at least."""
    info = ml_dtypes.finfo(dtype)
    exponent = int(info.minexp)
    if value:
        size = abs(value)
        top = size.numerator.bit_length() - size.denominator.bit_length()
        top -= size < Fraction(2) ** top
        exponent = max(exponent, top)
    return Fraction(2) ** (exponent - int(info.nmant))


def error(computed, value, dtype):
    """Ulps between a number and the exact one."""
    assert math.isfinite(float(computed))
    return float(abs(Fraction(float(computed)) - value) / ulp(value, dtype))


def loss_error(computed, ball, dtype):
    with flint.ctx.workprec(400):
        value = Fraction(*(int(part) for part in (ball.mid().fmpq().p, ball.mid().fmpq().q)))
    return error(computed, value, dtype)


def worst_errors(row, label, function=stablemax_cross_entropy_with_gradient):
    """Of probabilities, loss and gradient."""
    dtype = row.dtype
    weights, total = exact(row)
    p = stablemax(row)
    loss, gradient = function(row, label)
    assert p.dtype == loss.dtype == gradient.dtype == dtype
    return (
        max(error(c, w / total, dtype) for c, w in zip(p, weights, strict=True)),
        loss_error(loss, exact_loss(row, label), dtype),
        max(error(c, g, dtype) for c, g in zip(gradient, exact_gradient(row, label), strict=True)),
    )


def assert_within_bounds(row, label, **keywords):
    name = row.dtype.name
    p, loss, gradient = worst_errors(row, label, **keywords)
    assert p <= kernels.ULP_BOUND[name], (row, p)
    assert loss <= kernels.LOSS_ULP_BOUND[name], (row, label, loss)
    assert gradient <= kernels.GRADIENT_ULP_BOUND[name], (row, label, gradient)


# --- error bounds ---


def adversarial_rows(dtype):
    largest = float(ml_dtypes.finfo(dtype).max)
    tiny = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    rng = np.random.default_rng(5)
    rows = [
        [0.0, 0.0],
        [3.0],
        [1e4, -1e4, 0.0],
        [largest, largest / 2, 0.0],
        [largest] * 5,
        [-largest] * 5,
        [largest, -largest, 1.0, -1.0],
        [-largest, -largest / 2, -largest / 4],
        [-largest, 0.0],
        [largest, -INF, -3.0],
        [-INF, -largest, -INF],
        [tiny, -tiny, 0.0, 1.0],
        [-1.0, -1.0 - 2**-7, 1.0, 2**-7],
        [1e3] + [-1e4] * 40,
        [-1e4] * 40 + [1.0],
    ]
    rows += [rng.normal(size=k) * scale for k in (2, 17, 90) for scale in (0.01, 1.0, 30.0, 1e4)]
    return [np.array(row).astype(dtype) for row in rows]


@each_dtype
def test_adversarial_rows_stay_within_the_bounds(dtype):
    for row in adversarial_rows(dtype):
        for label in {0, row.size - 1, int(np.argmax(row)), int(np.argmin(row))}:
            if row[label] != -INF:
                assert_within_bounds(row, label)


bits = st.integers(0, 2**64 - 1).map(lambda b: float(np.uint64(b).view(np.float64)))
finite = bits.filter(math.isfinite) | st.floats(-50, 50)


@relentless
@given(st.lists(finite, min_size=1, max_size=8), st.integers(0, 7))
def test_rows_of_any_bits_stay_within_the_bounds(row, label):
    row = np.array(row)
    assert_within_bounds(row, label % row.size)


def test_a_thousand_classes():
    row = np.random.default_rng(1).normal(size=1000, scale=20).astype(np.float32)
    assert_within_bounds(row, 7)
    assert_within_bounds(row.astype(np.float64), 7)  # by rounding again, not by longer fractions


def test_sums_do_not_stick():
    # A million terms of 2^-40 beside 1: each alone is lost in float32, all in a float16.
    row = np.full(2**20 + 1, 1.0 - 2.0**40)
    row[0] = 0.0
    assert stablemax(row)[0] == 1.0 / (1.0 + 2.0**-20)
    assert stablemax_cross_entropy(row, 0) == pytest.approx(math.log1p(2.0**-20), rel=1e-15)


def test_errors_like_those_of_the_form_as_published_are_seen():
    def published(row, label):
        s = np.where(row >= 0, row + 1, 1 / (1 - np.minimum(row, 0)))
        p = s / s.sum()
        gradient = np.where(row >= 0, 1, s * s) / s.sum()
        gradient[label] -= gradient[label] / p[label]
        return -np.log(p[label]), gradient

    row = np.array([1e9, 0.0, -3.0], np.float32)  # p_1 rounds to 1: the loss to 0
    assert worst_errors(row, 0, published)[1] > 1e6
    with pytest.raises(AssertionError):
        assert_within_bounds(row, 0, function=published)


@pytest.mark.parametrize("lead", [1e2, 1e5, 1e10, 1e30, 1e38])
def test_the_loss_does_not_collapse(lead):
    row = np.array([lead, 0.0, 0.0], np.float32)
    loss, gradient = stablemax_cross_entropy_with_gradient(row, 0)
    assert loss == pytest.approx(2 / lead, rel=0.03)
    assert gradient[0] == pytest.approx(-2 / lead / lead, rel=0.05, abs=1e-45)
    assert (gradient[1:] > 0).all()


# --- the vector-Jacobian product ---


def vjp_excess(row, cotangent, function=stablemax_vjp):
    """The largest error over its bound."""
    result = function(row, cotangent)
    values, sizes = exact_vjp(row, cotangent)
    u = Fraction(2) ** -53
    promised = Fraction(kernels.VJP_ERROR[row.dtype.name])
    worst = 0.0
    for computed, value, size in zip(result, values, sizes, strict=True):
        wide = Fraction(kernels.VJP_ERROR["float64"]) * u * size
        unit = ulp(value, row.dtype)
        allowed = wide + (unit / 2 if row.dtype == np.float64 else 2 * wide + promised * unit)
        worst = max(worst, float(abs(Fraction(float(computed)) - value) / allowed))
    return worst


@each_dtype
def test_vjp_stays_within_its_bound(dtype):
    rng = np.random.default_rng(3)
    for row in adversarial_rows(dtype):
        for cotangent in (rng.normal(size=row.size), rng.normal(size=row.size) + 1e4):
            assert vjp_excess(row, cotangent.astype(dtype)) <= 1


def test_vjp_of_huge_and_tiny_cotangents():
    row = np.array([1.0, -2.0, 3.0])
    for size in (1e308, 1e-300, 5e-324):
        assert vjp_excess(row, np.array([1.0, 0.5, -0.25]) * size) <= 1


def test_a_vjp_through_the_transposed_jacobian_is_caught():
    def transposed(row, cotangent):
        p = stablemax(row)
        slopes = np.minimum(np.where(row >= 0, 1, 1 / (1 - np.minimum(row, 0))), 1) ** 2
        total = p[0] and (row[0] + 1) / p[0]
        return p * 0 + (slopes * cotangent - p * (slopes @ cotangent)) / total

    row, cotangent = np.array([1.0, -2.0, 0.5]), np.array([1.0, -3.0, 0.25])
    assert vjp_excess(row, cotangent) <= 1 < vjp_excess(row, cotangent, transposed)


def test_the_gradient_of_the_loss_is_a_vjp():
    row, label = np.array([0.5, -1.0, 4.0, -30.0]), 1
    cotangent = np.zeros(4)
    cotangent[label] = -1 / stablemax(row)[label]
    gradient = stablemax_cross_entropy_with_gradient(row, label)[1]
    np.testing.assert_allclose(stablemax_vjp(row, cotangent), gradient, rtol=1e-13)


# --- shapes, axes, out, threads ---


def test_axes_strides_and_threads_do_not_change_a_bit():
    x = np.random.default_rng(0).normal(size=(5, 7, 6), scale=5)
    labels = np.random.default_rng(1).integers(7, size=(5, 6))
    p = stablemax(x, axis=1)
    loss, gradient = stablemax_cross_entropy_with_gradient(x, labels, axis=1)
    v = stablemax_vjp(x, x**2, axis=1)
    for i in range(5):
        for k in range(6):
            row = x[i, :, k].copy()
            one = stablemax_cross_entropy_with_gradient(row, labels[i, k])
            assert p[i, :, k].tobytes() == stablemax(row).tobytes()
            assert (loss[i, k], gradient[i, :, k].tobytes()) == (one[0], one[1].tobytes())
            assert v[i, :, k].tobytes() == stablemax_vjp(row, row**2).tobytes()
    long = np.random.default_rng(2).normal(size=(64, 2000))
    assert stablemax(long, threads=2).tobytes() == stablemax(long).tobytes()
    assert np.array_equal(stablemax_cross_entropy(x, labels, axis=1), loss)


@each_dtype
def test_out_receives_the_result_and_may_be_the_logits(dtype):
    x = np.linspace(-3, 3, 12).astype(dtype).reshape(3, 4)
    labels = np.array([0, 3, 1])
    expected = stablemax(x)
    gradient = stablemax_cross_entropy_with_gradient(x, labels)[1]
    v = stablemax_vjp(x, x)
    for function, result, arguments in (
        (stablemax, expected, ()),
        (stablemax_vjp, v, (x,)),
    ):
        out = np.empty_like(x)
        assert function(x, *arguments, out=out) is out
        assert out.tobytes() == result.tobytes()
        itself = x.copy()
        function(itself, *arguments, out=itself)
        assert itself.tobytes() == result.tobytes()
    itself = x.copy()
    stablemax_cross_entropy_with_gradient(itself, labels, out=itself)
    assert itself.tobytes() == gradient.tobytes()
    itself = x.copy()
    stablemax_vjp(x, itself, out=itself)
    assert itself.tobytes() == v.tobytes()
    losses = np.empty(3, dtype)
    assert stablemax_cross_entropy(x, labels, out=losses) is losses


# --- edges ---


@pytest.mark.parametrize("row", [[NAN, 0.0], [INF, 0.0], [-INF, -INF], [0.0, NAN, INF]])
def test_rows_without_probabilities_are_nan_throughout(row):
    assert np.isnan(stablemax(row)).all()
    loss, gradient = stablemax_cross_entropy_with_gradient(row, 1)
    assert math.isnan(loss)
    assert np.isnan(gradient).all()
    assert math.isnan(stablemax_cross_entropy(row, 1))
    assert np.isnan(stablemax_vjp(row, np.ones(len(row)))).all()


def test_a_masked_class_counts_for_nothing():
    row, masked = np.array([1.0, -2.0]), np.array([1.0, -INF, -2.0])
    assert stablemax(masked).tolist() == np.insert(stablemax(row), 1, 0.0).tolist()
    loss, gradient = stablemax_cross_entropy_with_gradient(row, 1)
    found = stablemax_cross_entropy_with_gradient(masked, 2)
    assert (found[0], found[1].tolist()) == (loss, np.insert(gradient, 1, 0.0).tolist())
    assert stablemax_vjp(masked, np.array([1.0, 9.0, 2.0]))[1] == 0.0


def test_a_masked_right_class_has_an_infinite_loss_and_a_finite_gradient():
    loss, gradient = stablemax_cross_entropy_with_gradient([0.0, -INF, 0.0], 1)
    assert loss == INF
    assert gradient.tolist() == [0.5, 0.0, 0.5]


def test_a_cotangent_that_is_not_finite_makes_its_row_nan():
    x = np.zeros((3, 2))
    g = np.array([[1.0, INF], [1.0, 0.0], [NAN, 0.0]])
    assert np.isnan(stablemax_vjp(x, g)).all(axis=1).tolist() == [True, False, True]


def test_nothing_of_nothing():
    assert stablemax(np.empty((2, 0))).shape == (2, 0)
    assert stablemax(np.empty((0, 3))).shape == (0, 3)
    assert stablemax_cross_entropy(np.empty((0, 3)), np.empty(0, int)).shape == (0,)


# --- wrong arguments ---


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: stablemax([1, 2]), TypeError, "float32, float64, float16 or bfloat16"),
        (lambda: stablemax(1.0), ValueError, "at least one axis"),
        (lambda: stablemax([1.0], threads=0), ValueError, "threads"),
        (lambda: stablemax_cross_entropy([1.0], 1), ValueError, "labels is 1"),
        (lambda: stablemax_cross_entropy([1.0], 0.5), TypeError, "labels must be integers"),
        (lambda: stablemax_vjp([1.0], [1.0, 2.0]), ValueError, "shape of logits"),
        (lambda: stablemax_vjp([1.0], np.float32([1.0])), TypeError, "dtype of logits"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
