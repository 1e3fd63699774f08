"""The derivative of softmax is the formula to a few ulps, and keeps the contract at the edges."""

import math

import flint
import ml_dtypes
import numpy as np
import pytest
from softproof.kernels import softmax, softmax_jvp, softmax_vjp
from softproof.kernels.runtime import tuning
from softproof.kernels.softmax_family.softmax_gradient import BLOCK

INF, NAN = math.inf, math.nan
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-24, "bfloat16": 2.0**-24}
EXACT_SCALES = [1.0, 0.5, 3.0, 2.0**-20, 1000.0]

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
each_function = pytest.mark.parametrize("function", [softmax_vjp, softmax_jvp])


# --- truth: s p (v - sum p v) in ball arithmetic ---


def worst_of_bound(p, v, scale=1.0):
    """Return the largest error of an element, as a part of the bound proven for it."""
    y = softmax_vjp(p, v, scale=scale)
    assert y.dtype == p.dtype
    info = ml_dtypes.finfo(p.dtype)
    u, least = UNIT[p.dtype.name], float(info.smallest_subnormal)
    worst = 0.0
    with flint.ctx.workprec(2400):
        exact_p, exact_v = ([flint.arb(float(x)) for x in row] for row in (p, v))
        products = [a * b for a, b in zip(exact_p, exact_v, strict=True)]
        mean = sum(products, flint.arb(0))
        size = float(sum(map(abs, products), flint.arb(0)))
        for i in range(len(y)):
            exact = exact_p[i] * flint.arb(scale) * (exact_v[i] - mean)
            spread = scale * float(p[i])
            bound = 4 * u * abs(float(exact)) + 2.0**-14 * u * spread * size
            bound += (1 + spread * len(y) / 2) * least
            if p.dtype.itemsize == 2:  # rounded once more, by half an ulp
                bound += 2.0 ** -(info.nmant + 1) * abs(float(exact)) * (1 + 2.0**-10)
            error = abs(flint.arb(float(y[i])) - exact)
            worst = max(worst, float(error / flint.arb(bound)))
    return worst


def probabilities(rng, n, dtype, spread=4.0):
    logits = rng.normal(size=n) * spread
    e = np.exp(logits - logits.max())
    return (e / e.sum()).astype(dtype)


@pytest.mark.parametrize("scale", EXACT_SCALES)
@each_dtype
def test_error_bound(dtype, scale):
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 15, 16, 17, 33, 70, 1000):
        vector = rng.normal(size=n).astype(dtype)
        if np.dtype(dtype).name == "float16" and scale > 100:
            vector = (vector.astype(float) / 8).astype(dtype)
        assert worst_of_bound(probabilities(rng, n, dtype), vector, scale) <= 1


@each_dtype
def test_error_bound_over_stretches(dtype):
    rng = np.random.default_rng(1)
    n = 2 * BLOCK + 5
    p, v = probabilities(rng, n, dtype), rng.normal(size=n).astype(dtype)
    assert worst_of_bound(p, v) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_lost_where_the_vector_is_nearly_the_mean(dtype):
    """All v_i are 1 but for some ulps: sums that are rounded leave no right digit."""
    rng = np.random.default_rng(2)
    p = softmax(rng.normal(size=500).astype(dtype))
    p[0] += dtype(1) - dtype(math.fsum(p))  # so that sum p v is about 1, too
    v = (1 + rng.integers(-40, 40, 500) * np.finfo(dtype).eps).astype(dtype)
    assert worst_of_bound(p, v) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_terms_that_cancel(dtype):
    """sum p v is far below its largest terms: what they lose in rounding would be all of it."""
    rng = np.random.default_rng(3)
    p = np.full(64, 1 / 64, dtype)
    v = rng.normal(size=64) * 2.0 ** rng.integers(0, 20, 64)
    v = np.concatenate([v[:32], -v[:32]]).astype(dtype)
    v[0] = np.nextafter(v[0], dtype(INF))
    p[3] = p[35] = dtype(1 / 3)
    assert worst_of_bound(p, v) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_subnormal_arguments_and_results(dtype):
    tiny = float(np.finfo(dtype).smallest_subnormal)
    p = np.array([0.5, 0.5, tiny, 1000 * tiny, 0.0], dtype)
    v = np.array([3.0, -5.0, 7.0, 1e3, 9.0], dtype)
    assert softmax_vjp(p, v)[2] == 8 * tiny
    for scale in (1.0, 1.25, 2.0**-60, 2.0**60):
        assert worst_of_bound(p, v, scale) <= 1
        assert worst_of_bound(p, v * dtype(2.0**-100), scale) <= 1


@each_dtype
def test_exact_where_everything_is(dtype):
    p = np.array([0.5, 0.25, 0.125, 0.125], dtype)
    v = np.array([4.0, 8.0, 0.0, 16.0], dtype)  # sum p v = 6
    assert softmax_vjp(p, v).tolist() == [-1.0, 0.5, -0.75, 1.25]
    assert softmax_vjp(p, v, scale=4.0).tolist() == [-4.0, 2.0, -3.0, 5.0]


# --- what it is the derivative of ---


@pytest.mark.parametrize("scale", [1.0, 0.25, 3.0])
def test_it_is_the_derivative_of_softmax(scale):
    rng = np.random.default_rng(4)
    x, t, h = rng.normal(size=9), rng.normal(size=9), 1e-6
    slope = (softmax(x + h * t, scale=scale) - softmax(x - h * t, scale=scale)) / (2 * h)
    p = softmax(x, scale=scale)
    np.testing.assert_allclose(softmax_jvp(p, t, scale=scale), slope, rtol=1e-6, atol=1e-9)


@each_dtype
def test_both_directions_are_one_map(dtype):
    rng = np.random.default_rng(5)
    p = np.stack([probabilities(rng, 67, dtype) for _ in range(5)])
    v = rng.normal(size=p.shape).astype(dtype)
    assert softmax_vjp(p, v, scale=0.5).tobytes() == softmax_jvp(p, v, scale=0.5).tobytes()


# --- edges ---


@each_dtype
@each_function
def test_one_class_does_not_move(function, dtype):
    v = np.array([[3.0], [-0.1], [0.0]], dtype)
    assert function(np.ones_like(v), v).tolist() == [[0.0]] * 3


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("where", [0, 5, 16, 40])
@pytest.mark.parametrize("which", [0, 1])
@each_dtype
def test_nan_or_infinity_make_the_whole_row_nan(dtype, which, where, value):
    arguments = np.full((2, 3, 41), 0.25, dtype)
    expected = softmax_vjp(*arguments)
    arguments[which, 1, where] = value
    result = softmax_vjp(*arguments)
    assert np.isnan(result[1].astype(np.float64)).all()
    assert result[[0, 2]].tobytes() == expected[[0, 2]].tobytes()


@each_dtype
def test_a_class_of_probability_0(dtype):
    p, v = np.array([0.0, 0.5, 0.5], dtype), np.array([7.0, 1.0, 3.0], dtype)
    assert softmax_vjp(p, v).tolist() == [0.0, -0.5, 0.5]
    v[0] = INF
    assert np.isnan(softmax_vjp(p, v).astype(np.float64)).all()


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 3)])
@each_function
def test_nothing_gives_nothing(function, shape):
    assert function(np.empty(shape), np.empty(shape)).shape == shape


# --- arguments ---


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_and_strides(axis):
    rng = np.random.default_rng(6)
    v = rng.normal(size=(4, 5, 12))[..., ::2]
    p = np.asfortranarray(softmax(rng.normal(size=v.shape), axis=axis))
    expected = p * (v - (p * v).sum(axis, keepdims=True))
    np.testing.assert_allclose(softmax_vjp(p, v, axis=axis), expected, rtol=1e-12, atol=1e-15)
    out = np.empty((12, 5, 4)).T[..., ::2]
    assert softmax_vjp(p, v, axis=axis, out=out) is not None
    assert out.tobytes() == softmax_vjp(p, v, axis=axis).tobytes()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
@each_dtype
def test_out_may_be_either_argument(dtype, transposed, threads, monkeypatch, stream_from):
    stream_from(0)
    monkeypatch.setattr(tuning, "THREAD_BYTES", 1)
    rng = np.random.default_rng(7)
    p, v = rng.random((2, 33, 67)).astype(dtype)
    p, v = (p.T, v.T) if transposed else (p, v)
    expected = softmax_vjp(p, v)
    for which in (0, 1):
        arguments = p.copy("K"), v.copy("K")
        softmax_vjp(*arguments, out=arguments[which], threads=threads)
        assert arguments[which].tobytes() == expected.tobytes()


def test_unfit_arguments_are_refused_by_name():
    p, v = np.full((2, 4), 0.25), np.zeros((2, 4))
    with pytest.raises(TypeError, match="probabilities must be float32, "):
        softmax_vjp(np.ones((2, 4), int), v)
    with pytest.raises(TypeError, match="tangent must be float32, "):
        softmax_jvp(p, v.astype(int))
    with pytest.raises(TypeError, match="dtype of probabilities, float64, got float32; convert"):
        softmax_vjp(p, v.astype(np.float32))
    with pytest.raises(ValueError, match=r"cotangent must have the shape .* \(2, 4\), got \(4,\)"):
        softmax_vjp(p, v[0])
    with pytest.raises(ValueError, match="probabilities must have at least one axis"):
        softmax_vjp(1.0, 0.0)
    with pytest.raises(ValueError, match="axis 2 is out of bounds"):
        softmax_vjp(p, v, axis=2)
    with pytest.raises(ValueError, match="scale must be from"):
        softmax_vjp(p, v, scale=0.0)
    with pytest.raises(ValueError, match="threads must be an integer of at least 1"):
        softmax_vjp(p, v, threads=0)
    with pytest.raises(ValueError, match=r"out must have shape \(2, 4\)"):
        softmax_vjp(p, v, out=np.empty((2, 3)))
    both = np.zeros((3, 4))
    with pytest.raises(ValueError, match="out overlaps probabilities in part"):
        softmax_vjp(both[:2], v, out=both[1:])
    with pytest.raises(ValueError, match="out overlaps cotangent in part"):
        softmax_vjp(p, both[:2], out=both[1:])
