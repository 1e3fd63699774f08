"""RIA, GaussGLU and the smoothed 1/sqrt: errors in ulps against balls, edges, shapes, mistakes."""

import importlib.util
import math
from pathlib import Path

import flint
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY64, FORMATS
from softproof.kernels import gaussglu, normal_cdf, ria, smoothed_rsqrt, smoothed_rsqrt_derivative
from softproof.kernels.activations import tables
from softproof.kernels.activations.elementwise import LARGEST_SCALE, ULP_BOUND
from softproof.verify.oracle.truth import truth
from softproof.verify.testing import assert_conforms

INF, NAN = math.inf, math.nan
DTYPES = [np.float32, np.float64]
SCALES = [1.0, 0.37, 2.0**-30, 1e5, LARGEST_SCALE, 1 / LARGEST_SCALE]
LARGEST = float(np.finfo(np.float64).max)
RECIPE = Path(__file__).parents[3] / "notebooks" / "activation_tables.py"


# --- truth: erfc and the Kummer functions of python-flint, not those of the catalogue ---


def phi(x):
    return (-x * x / 2).exp() / (2 * flint.arb.pi()).sqrt()


def distribution(x):
    return (-x / flint.arb(2).sqrt()).erfc() / 2


def bessel_rsqrt(x):
    """E (x + Z)_+^(-1/2) by Bessel functions of x^2/4 (DLMF 12.7.10): not the formula elsewhere."""
    z, quarter = x * x / 4, flint.arb(0.25)
    if x == 0:
        return flint.arb(0.25).gamma() / (2 * flint.arb.pi().sqrt() * flint.arb(2) ** quarter)
    if x < 0:
        k = z.bessel_k(quarter)
        return (-z).exp() * (-x / (2 * flint.arb.pi())).sqrt() * k / flint.arb(2).sqrt()
    both = z.bessel_i(quarter) + z.bessel_i(-quarter)
    return (-z).exp() * (flint.arb.pi() * x / 8).sqrt() * both


def bessel_rsqrt_slope(x):
    """The derivative of that, by a central difference right to 2^-350 relative."""
    h = flint.arb(2) ** -200
    return (bessel_rsqrt(x + h) - bessel_rsqrt(x - h)) / (2 * h)


TRUTH = {
    normal_cdf: lambda x, beta: distribution(beta * x),
    ria: lambda x, beta: x * distribution(beta * x) + phi(beta * x) / beta,
    smoothed_rsqrt: lambda v, s: bessel_rsqrt(v / s) / s.sqrt(),
    smoothed_rsqrt_derivative: lambda v, s: bessel_rsqrt_slope(v / s) / (s * s.sqrt()),
}
ONE_REAL = pytest.mark.parametrize("function", TRUTH, ids=lambda f: f.__name__)


def ulp_error(computed, exact, dtype):
    """|computed - exact| in ulps of exact."""
    info = np.finfo(dtype)
    mantissa, exponent = exact.mid().man_exp()
    size = int(abs(mantissa)).bit_length() + int(exponent) - 1 if mantissa != 0 else info.minexp
    ulp = flint.arb(2) ** (max(size, int(info.minexp)) - int(info.nmant))
    return float((abs(flint.arb(float(computed)) - exact) / ulp).upper())


def worst(function, arguments, scale, dtype, computed=None):
    """The largest error over an array of arguments."""
    x = np.asarray(arguments, dtype)
    y = function(x, scale) if computed is None else computed
    assert y.dtype == dtype
    with flint.ctx.workprec(1600):  # K is computed as a difference of I, e^(x^2/2) larger
        exact = [TRUTH[function](flint.arb(float(v)), flint.arb(scale)) for v in x]
        assert all(e.is_finite() for e in exact)
        return max(ulp_error(c, e, dtype) for c, e in zip(y, exact, strict=True))


def in_units(function, scale):
    """How many units of the argument make 1 of what the Gaussian sees."""
    return 1 / scale if function in (normal_cdf, ria) else scale


def hazards(function, scale, dtype, rng, count):
    """Both tails down to the smallest number, around 0, around pieces and the slope's zero."""
    reach = 39 if dtype == np.float64 else 15
    near = 0.7649508673897596 + rng.normal(size=count) * 10.0 ** rng.uniform(-16, -1, count)
    x = np.concatenate(
        [
            rng.uniform(-reach, reach, 2 * count),
            rng.uniform(-3, 11, count),
            -rng.uniform(0, reach, count),
            rng.normal(size=count) * 10.0 ** rng.uniform(-12, 1, count),
            near,
            [1.5, 3.0, 4.5, 6.0, 7.5, 9.0, np.nextafter(9.0, 0)],
        ]
    )
    with np.errstate(over="ignore", under="ignore"):
        x = (x * in_units(function, scale)).astype(dtype)
    return x[np.isfinite(x) & (x != 0)]


@ONE_REAL
@pytest.mark.parametrize(
    ("dtype", "scale"),  # (with the ends of the scales, results leave the range of float32)
    [*((np.float64, s) for s in SCALES), *((np.float32, s) for s in SCALES[:4])],
)
def test_within_the_bound_on_hazards(function, dtype, scale):
    x = hazards(function, scale, dtype, np.random.default_rng(1), 25)
    assert worst(function, x, scale, dtype) <= ULP_BOUND[function.__name__][dtype.__name__]


@ONE_REAL
@pytest.mark.parametrize("dtype", DTYPES)
def test_within_the_bound_on_bit_patterns(function, dtype):
    bits = np.dtype(f"uint{8 * np.dtype(dtype).itemsize}")
    rng = np.random.default_rng(2)
    drawn = rng.integers(0, 2 ** (8 * bits.itemsize), 150, dtype=np.uint64).astype(bits)
    x = drawn.view(dtype)
    x = x[np.isfinite(x)]
    x = x[(np.abs(x) < 1e6) & (np.abs(x) > 1e-30)]
    assert worst(function, x, 1.0, dtype) <= ULP_BOUND[function.__name__][dtype.__name__]


@pytest.mark.long
@ONE_REAL
@pytest.mark.parametrize("dtype", DTYPES)
def test_within_the_bound_on_a_long_search(function, dtype):
    for scale in SCALES[:4]:
        x = hazards(function, scale, dtype, np.random.default_rng(6), 2000)
        assert worst(function, x, scale, dtype) <= ULP_BOUND[function.__name__][dtype.__name__]


# --- the oracle of the catalogue says the same of values and derivatives ---


@pytest.mark.parametrize("name", ["normal_cdf", "ria", "smoothed_rsqrt"])
@pytest.mark.parametrize("fmt", [FORMATS["float32"], BINARY64], ids=lambda f: f.name)
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_both_oracles_agree_with_the_balls_here(name, fmt, scale):
    function = {f.__name__: f for f in TRUTH}[name]
    x = (np.array([-9.0, -1.25, 1e-3, 0.75, 5.0, 40.0]) * in_units(function, scale)).astype(
        fmt.dtype
    )
    parameter = {"width" if name == "smoothed_rsqrt" else "beta": scale}
    exact = truth(lookup(name), x, fmt, cross_check=True, **parameter)
    assert worst(function, x, scale, fmt.dtype.type, exact.rounded) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("name", "derivative", "parameter"),
    [("ria", normal_cdf, "beta"), ("smoothed_rsqrt", smoothed_rsqrt_derivative, "width")],
)
def test_derivatives_are_those_of_the_definition(name, derivative, parameter):
    x = np.array([-12.0, -3.0, -0.1, 0.0, 0.7, 0.8, 4.0, 8.99, 9.0, 33.0])
    for scale in (1.0, 0.25):
        exact = truth(
            lookup(name), x, BINARY64, gradient=True, cross_check=True, **{parameter: scale}
        )
        errors = np.abs(derivative(x, scale) - exact.rounded) / np.ldexp(1.0, exact.ulp_exponent)
        assert errors.max() <= ULP_BOUND[derivative.__name__]["float64"] + 1


@pytest.mark.parametrize("function", [normal_cdf, ria, smoothed_rsqrt], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernels_conform(function, dtype):
    ulps = {dtype: ULP_BOUND[function.__name__][dtype]}
    assert_conforms(function, function.__name__, dtype=dtype, contract={"ulps": ulps})


# --- what the functions are for ---


def test_ria_lies_between_relu_and_relu_plus_one_over_beta_root_two_pi():
    x = np.linspace(-9, 9, 1001)
    for beta in (0.3, 1.0, 30.0):
        excess = ria(x, beta) - np.maximum(x, 0)
        assert (excess >= 0).all()
        assert excess.max() == pytest.approx(1 / (beta * math.sqrt(2 * math.pi)))
    assert np.abs(ria(x, 1e12) - np.maximum(x, 0)).max() < 1e-12


def test_ria_keeps_its_relative_accuracy_to_the_end():
    """ria(-37) = phi(37) / 37^2 (1 - 3/37^2 + 15/37^4 ...): about 10^-301, and never negative."""
    x = -37.0
    series = sum(
        c / x ** (2 * k) for k, c in enumerate((1, -3, 15, -105, 945))
    )  # (2k + 1)!! (-1)^k
    expected = math.exp(-x * x / 2) / math.sqrt(2 * math.pi) / x**2 * series
    assert ria(x) == pytest.approx(expected, rel=1e-8)
    assert (ria(-np.linspace(0, 38, 500)) > 0).all()
    assert ria(-1e4) == 0


def test_gaussglu_of_itself_is_gelu():
    x = np.linspace(-6, 6, 49)
    gelu = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x])
    np.testing.assert_allclose(gaussglu(x, x), gelu, rtol=1e-14)


def test_the_smoothed_rsqrt_is_a_mean_over_the_gaussian():
    """E f(v + s Z) by the substitution u = w^2, which takes the singularity out: trapezium rule."""
    w = np.linspace(0, 8, 8001)
    for v, s in ((-1.0, 0.7), (0.0, 1.0), (0.3, 0.2), (2.5, 0.5)):
        integrand = 2 * np.exp(-((w**2 - v) ** 2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi))
        mean = (integrand.sum() - integrand[0] / 2) * (w[1] - w[0])
        assert smoothed_rsqrt(v, s) == pytest.approx(mean, rel=1e-12)


def test_the_smoothed_rsqrt_tends_to_the_inverse_square_root():
    v = np.logspace(-2, 300, 100)
    np.testing.assert_allclose(smoothed_rsqrt(v, 1e-9), 1 / np.sqrt(v), rtol=2e-14)
    np.testing.assert_allclose(
        smoothed_rsqrt(v[:50], 1e-4), (1 + 3e-8 / (8 * v[:50] ** 2)) / np.sqrt(v[:50]), rtol=1e-7
    )


def test_the_derivative_changes_its_sign_where_the_function_is_largest():
    v = np.linspace(-3, 6, 10_001)
    at = v[np.argmax(smoothed_rsqrt(v))]
    slope = smoothed_rsqrt_derivative(v)
    assert at == pytest.approx(0.764951, abs=1e-3)
    assert (slope[v < 0.7649] > 0).all()
    assert (slope[v > 0.765] < 0).all()


# --- gaussglu: two reals ---


@pytest.mark.parametrize("beta", [1.0, 0.37, 1e5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussglu_against_balls(dtype, beta):
    rng = np.random.default_rng(3)
    reach = 38 if dtype == np.float64 else 14
    gate = (rng.uniform(-reach, 6, 400) / beta).astype(dtype)
    value = (rng.normal(size=400) * 10.0 ** rng.uniform(-9, 9, 400)).astype(dtype)
    with np.errstate(under="ignore"):
        result = gaussglu(value, gate, beta)
    assert result.dtype == dtype
    with flint.ctx.workprec(300):
        for v, g, y in zip(value, gate, result, strict=True):
            exact = flint.arb(float(v)) * distribution(flint.arb(beta) * flint.arb(float(g)))
            assert ulp_error(y, exact, dtype) <= ULP_BOUND["gaussglu"][dtype.__name__]


def test_a_product_is_accurate_where_the_gate_alone_is_subnormal():
    value, gate = 1e300, -38.4  # Phi = 10^-322, two digits
    with flint.ctx.workprec(300):
        exact = flint.arb(value) * distribution(flint.arb(gate))
        assert ulp_error(gaussglu(value, gate), exact, np.float64) <= 5
        assert ulp_error(value * normal_cdf(gate), exact, np.float64) > 1e12


def test_gaussglu_at_the_edges():
    cases = [
        (2.0, INF, 2.0),
        (2.0, -INF, 0.0),
        (-2.0, -INF, -0.0),
        (0.0, 3.0, 0.0),
        (-0.0, -3.0, -0.0),
        (INF, -3.0, INF),
        (-INF, -300.0, -INF),
        (INF, -INF, NAN),
        (NAN, 1.0, NAN),
        (1.0, NAN, NAN),
        (NAN, -INF, NAN),
    ]
    for value, gate, expected in cases:
        result = float(gaussglu(value, gate))
        np.testing.assert_equal(result, expected)
        assert math.copysign(1, result) == math.copysign(1, expected) or math.isnan(result)


def test_gaussglu_wants_one_shape_and_one_dtype():
    with pytest.raises(ValueError, match=r"one shape and dtype, got \(2,\) float64 and \(3,\)"):
        gaussglu(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="one shape and dtype"):
        gaussglu(np.zeros(2), np.zeros(2, np.float32))
    with pytest.raises(TypeError, match="gate must be float32 or float64"):
        gaussglu(np.zeros(2), np.zeros(2, np.float16))


# --- edges ---


@pytest.mark.parametrize(
    ("function", "lowest", "highest", "at_zero"),
    [
        (normal_cdf, 0.0, 1.0, 0.5),
        (ria, 0.0, INF, 1 / math.sqrt(2 * math.pi)),
        (smoothed_rsqrt, 0.0, 0.0, math.sqrt(math.pi) / (2**0.75 * math.gamma(0.75))),
        (smoothed_rsqrt_derivative, 0.0, 0.0, 0.4110894793312292),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_ends(function, lowest, highest, at_zero, dtype):
    largest = np.finfo(dtype).max
    result = function(np.array([-INF, -largest, INF, NAN, 0.0, -0.0, largest], dtype))
    assert result[:2].tolist() == [lowest, lowest]
    assert result[2] == highest
    assert np.isnan(result[3])
    np.testing.assert_allclose(result[4:6], at_zero, rtol=2 * np.finfo(dtype).eps)
    assert np.isfinite(result[6])


@pytest.mark.parametrize("scale", [LARGEST_SCALE, 1 / LARGEST_SCALE])
@ONE_REAL
def test_nothing_overflows_at_the_ends_of_the_scales(function, scale):
    x = np.array([-LARGEST, -1e300, -1.0, 1.0, 1e300, LARGEST])
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(function(x, scale)).all()


@pytest.mark.parametrize("bad", [0.0, -1.0, INF, NAN, 2.0**65, 2.0**-65])
@ONE_REAL
def test_a_scale_out_of_range_is_refused_by_name(function, bad):
    name = "width" if "rsqrt" in function.__name__ else "beta"
    with pytest.raises(ValueError, match=rf"^{name} must lie between"):
        function(np.zeros(2), bad)


# --- arrays ---


@ONE_REAL
@pytest.mark.parametrize("dtype", DTYPES)
def test_shapes_strides_threads_and_out_do_not_change_a_bit(function, dtype):
    x = np.random.default_rng(4).normal(size=(6, 7, 10)).astype(dtype) * dtype(5)
    expected = function(x)
    assert expected.shape == x.shape
    assert np.array_equal(function(x[::-2, :, ::3]), expected[::-2, :, ::3])
    assert np.array_equal(function(np.asfortranarray(x)), expected)
    assert np.array_equal(function(x, threads=2), expected)
    out = np.empty((10, 7, 6), dtype).T
    assert function(x, out=out) is out
    assert np.array_equal(out, expected)
    own = x.copy()
    assert function(own, out=own) is own
    assert np.array_equal(own, expected)
    assert function(x[0, 0, 0]) == expected[0, 0, 0]
    assert isinstance(function(x[0, 0, 0]), dtype)
    assert function(np.empty((3, 0), dtype)).shape == (3, 0)


@ONE_REAL
def test_wrong_arrays_are_refused_by_name(function):
    name = "v" if "rsqrt" in function.__name__ else "x"
    for wrong in (np.float16, np.int64):
        with pytest.raises(TypeError, match=rf"^{name} must be float32 or float64"):
            function(np.zeros(3, wrong))
    with pytest.raises(TypeError, match=rf"^{name} is a masked array"):
        function(np.ma.zeros(3))
    with pytest.raises(TypeError, match=rf"^out must have the dtype of {name}"):
        function(np.zeros(3), out=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"^out must have shape \(3,\)"):
        function(np.zeros(3), out=np.zeros(4))
    x = np.zeros(4)
    with pytest.raises(ValueError, match=rf"^out overlaps {name} in part"):
        function(x[1:], out=x[:-1])
    with pytest.raises(ValueError, match="threads must be"):
        function(x, threads=0)


# --- the tables ---


@pytest.fixture(scope="module")
def recipe():
    """The script that makes the tables."""
    spec = importlib.util.spec_from_file_location("activation_tables_recipe", RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_the_recipe_makes(recipe):
    for name, (_, make) in recipe.TABLES.items():
        made = [[float(v) for v in row] for row in np.atleast_2d(np.array(make(), dtype=object))]
        assert np.atleast_2d(getattr(tables, name)).tolist() == made
    assert tables.RSQRT_SLOPE_ZERO + tables.RSQRT_SLOPE_ZERO_LOW == recipe.ZERO_HIGH
    assert recipe.rsqrt_slope(recipe.ZERO) < 1e-40


def test_the_series_stand_for_their_functions(recipe):
    """4u relative, at points that are no nodes, with the coefficients as they are stored."""

    def series(c, y):
        return recipe.MP.fsum(
            recipe.MP.mpf(float(v)) * recipe.MP.chebyt(i, y) for i, v in enumerate(c)
        )

    rng, root = np.random.default_rng(5), recipe.MP.sqrt
    for t in map(recipe.MP.mpf, 10.0 ** rng.uniform(-3, 4, 40)):
        y = (t - 2) / (t + 2)
        grown = recipe.MP.exp(t * t / 2)
        for c, value in (
            (tables.NORMAL_TAIL, (t + 0.75) * recipe.normal_tail(t)),
            (tables.RIA_TAIL, (t + 1) ** 2 * recipe.ria_tail(t)),
            (tables.RSQRT_TAIL, root(t + 0.6875) * grown * recipe.rsqrt(-t)),
            (tables.RSQRT_SLOPE_TAIL, grown * recipe.rsqrt_slope(-t) / root(t + 2)),
        ):
            assert abs(series(c, y) / value - 1) < 4 * 2.0**-53
    for x in map(recipe.MP.mpf, rng.uniform(0, 9, 40)):
        k = int(x / 1.5)
        y = (x - (1.5 * k + 0.75)) / 0.75
        slope = recipe.rsqrt_slope(x) / (x - recipe.ZERO)
        assert abs(series(tables.RSQRT_PIECES[k], y) / recipe.rsqrt(x) - 1) < 4 * 2.0**-53
        assert abs(series(tables.RSQRT_SLOPE_PIECES[k], y) / slope - 1) < 4 * 2.0**-53
    for x in map(recipe.MP.mpf, 9 * 10.0 ** rng.uniform(0, 2, 40)):
        y = 2 * (9 / x) ** 2 - 1
        assert abs(series(tables.RSQRT_FAR, y) / (root(x) * recipe.rsqrt(x)) - 1) < 4 * 2.0**-53
        slope = x * root(x) * recipe.rsqrt_slope(x)
        assert abs(series(tables.RSQRT_SLOPE_FAR, y) / slope - 1) < 4 * 2.0**-53


# --- the mistakes that people make, which the checks above must catch ---


def ria_as_published(x, beta=1.0):
    """x Phi + phi: the terms cancel on the left."""
    tail = np.vectorize(math.erfc)(-beta * x / math.sqrt(2)) / 2
    return x * tail + np.exp(-((beta * x) ** 2) / 2) / math.sqrt(2 * math.pi) / beta


def normal_cdf_by_erf(x, beta=1.0):
    """(1 + erf) / 2: 0 from -8.3 on."""
    return (1 + np.vectorize(math.erf)(beta * x / math.sqrt(2))) / 2


def normal_cdf_by_erfc(x, beta=1.0):
    """erfc(-x / sqrt 2) / 2: the rounding of its argument costs x^2 ulp."""
    return np.vectorize(math.erfc)(-beta * x / math.sqrt(2)) / 2


def rsqrt_by_unscaled_d(v, width=1.0):
    """C e^(-v^2/4s^2) D: the factors overflow and underflow apart, though their product is 1."""
    from scipy.special import pbdv

    x = v / width
    return np.exp(-x * x / 4) * pbdv(-0.5, -x)[0] / np.sqrt(2 * width)


def rsqrt_clipped(v, width=1.0):
    """1 / sqrt(max(v, width)): what the smoothing is meant to replace."""
    return 1 / np.sqrt(np.maximum(v, width))


@pytest.mark.parametrize(
    ("right", "broken"),
    [
        (ria, ria_as_published),
        (normal_cdf, normal_cdf_by_erf),
        (normal_cdf, normal_cdf_by_erfc),
        (smoothed_rsqrt, rsqrt_by_unscaled_d),
        (smoothed_rsqrt, rsqrt_clipped),
    ],
    ids=lambda f: f.__name__,
)
def test_a_mistake_breaks_the_bound(right, broken):
    x = np.array([-30.0, -12.0, -5.0, -1.0, 0.5, 5.0, 30.0, 100.0])
    with np.errstate(all="ignore"):
        computed = broken(x)
    finite = np.isfinite(computed)
    bound = ULP_BOUND[right.__name__]["float64"]
    assert not finite.all() or worst(right, x, 1.0, np.float64, computed) > 3 * bound
    assert worst(right, x, 1.0, np.float64) <= bound


@pytest.mark.parametrize(
    ("name", "broken"),
    [("ria", ria_as_published), ("normal_cdf", normal_cdf_by_erf)],
)
def test_the_suites_catch_it(name, broken):
    with pytest.raises(AssertionError, match="does not conform"):
        assert_conforms(broken, name, dtype="float64", suites=["accuracy"])
