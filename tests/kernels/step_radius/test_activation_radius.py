"""Radii of preactivations: lower bounds of the distance to the singular points, and close ones."""

import mpmath
import numpy as np
import pytest
from softproof.derivations.step_radius.activation_singularities import NAMES, singularities
from softproof.kernels import ACTIVATIONS, activation_radius
from softproof.kernels.step_radius.activation_radius import _to_tanh_gelu

INF, NAN = np.inf, np.nan
LARGEST = float(np.finfo(np.float64).max)
TIGHT = 2.0**-42
MP = mpmath.MPContext()
MP.dps = 40
SINGULAR = sorted(name for name in NAMES if not singularities(name).entire)
ENTIRE = sorted(set(NAMES) - set(SINGULAR))


def exact(name, h, dh):
    return singularities(name).radius(float(h), float(dh))


def poles_of_the_tanh_gelu(reach):
    """All roots of k (x + c x^3) = i pi m / 2, m odd up to the reach, by a polynomial solver."""
    k, c = MP.sqrt(2 / MP.pi), MP.mpf("0.044715")
    return [
        root
        for m in range(1, reach, 2)
        for sign in (1, -1)
        for root in MP.polyroots([k * c, 0, k, -sign * MP.mpc(0, 1) * MP.pi * m / 2], maxsteps=200)
    ]


# --- against the exact radius ---


def preactivations(rng, name):
    reach = 30 if name == "gelu_tanh" else 200  # the truth searches lattices up to there
    return np.concatenate(
        [
            3 * rng.normal(size=40),
            rng.uniform(-reach, reach, 15),
            10.0 ** rng.uniform(-300, 0, 5),
            [0.0, 1.0, -1.0, 6.0, np.log(2) / 2, 0.6344, 0.846],
        ]
    )


@pytest.mark.parametrize("name", SINGULAR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_lower_bound_and_a_close_one(name, dtype):
    rng = np.random.default_rng(0)
    with np.errstate(under="ignore"):
        h = preactivations(rng, name).astype(dtype)
    dh = (rng.normal(size=h.size) * 10.0 ** rng.uniform(-6, 6, h.size)).astype(dtype)
    radii = activation_radius(name, h, dh)
    assert radii.dtype == np.float64
    assert radii.shape == h.shape
    for x, slope, radius in zip(h, dh, radii, strict=True):
        truth = exact(name, x, slope)
        assert radius <= truth
        assert radius >= truth * (1 - TIGHT) - 5e-324


@pytest.mark.parametrize("name", ENTIRE)
def test_entire_functions_allow_any_step(name):
    assert np.isposinf(activation_radius(name, np.array([0.0, -3.0, 1e300]), np.ones(3))).all()


def test_the_names_are_those_of_the_derivations():
    assert set(ACTIVATIONS) == set(NAMES)


# --- the tanh-GELU ---


def test_the_tanh_gelu_against_the_roots_of_its_cubics():
    poles = poles_of_the_tanh_gelu(1000)
    for h in (0.0, 0.3, 0.846, 2.0, -2.5, 4.1, 7.7, -11.0, 20.0):
        truth = min(abs(pole - MP.mpf(h)) for pole in poles)
        radius = float(activation_radius("gelu_tanh", h, 1.0))
        assert truth * (1 - TIGHT) <= radius <= truth


def test_a_single_pole_is_not_enough():
    """Where the nearest of the first poles alone would promise too much."""
    first = poles_of_the_tanh_gelu(2)
    lone = min(abs(pole - MP.mpf(6)) for pole in first)
    assert float(activation_radius("gelu_tanh", 6.0, 1.0)) < 0.8 * lone


def test_pi_over_two_over_the_linear_factor_is_not_the_distance():
    naive = (np.pi / 2) / np.sqrt(2 / np.pi)
    assert float(activation_radius("gelu_tanh", 0.0, 1.0)) == pytest.approx(2.826868278)
    assert naive == pytest.approx(1.968701243)


@pytest.mark.parametrize("h", [1999.0, 2000.0, 2001.0, 3e4, 1e100])
def test_far_out_the_distance_is_that_to_the_curve_of_the_poles(h):
    """Equation (3) without its first term; at 2000 both branches of the code agree to TIGHT."""
    curve = MP.sqrt(MP.mpf(h) ** 2 / 4 + 1 / (3 * MP.mpf("0.044715")))
    radius = float(activation_radius("gelu_tanh", h, 1.0))
    assert curve * (1 - TIGHT) <= radius <= curve * (1 + TIGHT)


def test_at_the_end_of_the_search_the_nearest_index_is_found_still():
    """m is of the order of 10^8 there: p from equation (2), at 40 digits, for a thousand m."""
    k, c, h = MP.sqrt(2 / MP.pi), MP.mpf("0.044715"), MP.mpf("1990.5")
    q = 3 * h / 4
    p = MP.sqrt((q**2 + 1 / c) / 3)
    middle = int((8 * c * p**3 - 2 * p) * 2 * k / MP.pi) // 2 * 2 + 1
    squares = []
    for m in range(middle - 20, middle + 21, 2):
        root = MP.findroot(lambda v, m=m: 8 * c * v**3 - 2 * v - MP.pi * m / (2 * k), p)
        squares.append((MP.sqrt(3 * root**2 - 1 / c) - h) ** 2 + root**2)
    truth = MP.sqrt(min(squares))
    radius = activation_radius("gelu_tanh", 1990.5, 1.0)
    assert truth * (1 - TIGHT) <= float(radius) <= truth


def test_the_curve_alone_is_a_lower_bound_everywhere():
    h = np.linspace(0, 40, 400)
    curve = np.sqrt(h**2 / 4 + 1 / (3 * 0.044715))
    assert (_to_tanh_gelu(h) >= curve * (1 - 1e-14)).all()
    assert (_to_tanh_gelu(h) > curve * 1.001).any()


# --- edges ---


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_move_has_no_radius(name):
    assert np.isposinf(activation_radius(name, np.array([0.0, 1.0, -7.5]), np.zeros(3))).all()


@pytest.mark.parametrize(
    ("name", "kinks"),
    [("relu", [0.0]), ("elu", [-0.0]), ("hardtanh", [1.0, -1.0]), ("relu6", [0.0, 6.0])],
)
def test_on_a_kink_the_radius_is_zero(name, kinks):
    assert activation_radius(name, np.array(kinks), np.full(len(kinks), -2.0)).tolist() == (
        [0.0] * len(kinks)
    )


def test_beside_a_kink_the_radius_is_the_distance():
    assert float(activation_radius("hardtanh", 0.75, -0.5)) == pytest.approx(0.5)
    assert float(activation_radius("relu6", 5.0, 1.0)) == pytest.approx(1.0)
    assert float(activation_radius("leaky_relu", -3.0, 2.0)) == pytest.approx(1.5)


def test_the_ends_of_the_range():
    """A quotient beyond the range is the largest float, a lower bound; one below it may be 0."""
    assert float(activation_radius("silu", LARGEST, 5e-324)) == LARGEST
    assert float(activation_radius("silu", 0.0, 5e-324)) == LARGEST
    assert float(activation_radius("relu", 5e-324, LARGEST)) == 0.0
    assert 0 < float(activation_radius("tanh", LARGEST, LARGEST)) <= 1
    assert float(activation_radius("gelu_tanh", LARGEST, 1.0)) == pytest.approx(LARGEST / 2)
    assert float(activation_radius("rsqrt", LARGEST, 1.0)) < LARGEST


def test_any_shape_strides_and_scalars():
    h, dh = np.arange(24.0).reshape(2, 3, 4)[:, ::-1], np.ones((2, 3, 4))
    radii = activation_radius("mish", h, dh)
    assert radii.shape == (2, 3, 4)
    assert radii[1, 0, 2] == activation_radius("mish", h[1, 0, 2], 1.0)
    assert activation_radius("silu", np.zeros((0, 5)), np.zeros((0, 5))).shape == (0, 5)
    assert np.min(radii) == radii.min()


def test_inputs_stay_as_they_are():
    h = np.array([-1.0, 2.0])
    activation_radius("gelu_tanh", h, h)
    assert h.tolist() == [-1.0, 2.0]


# --- errors ---


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"name must be one of elu, .*tanh, got 'swish'"):
        activation_radius("swish", 0.0, 1.0)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_what_is_not_finite_is_refused_by_name(value):
    with pytest.raises(ValueError, match=rf"^h holds {value}, first at flat index 1"):
        activation_radius("silu", np.array([0.0, value]), np.ones(2))
    with pytest.raises(ValueError, match=rf"^dh holds {value}, first at flat index 0"):
        activation_radius("ria", np.zeros(1), np.array([value]))


@pytest.mark.parametrize("wrong", [np.float16, np.int64, np.longdouble])
def test_another_dtype_is_refused_by_name(wrong):
    with pytest.raises(TypeError, match=r"^h must be float32 or float64, got .*h\.astype"):
        activation_radius("silu", np.zeros(2, wrong), np.zeros(2))
    with pytest.raises(TypeError, match=r"^dh must be float32 or float64"):
        activation_radius("silu", np.zeros(2), np.zeros(2, wrong))


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(3,\)"):
        activation_radius("silu", np.zeros(2), np.zeros(3))


# --- the checks above catch the mistakes that people make ---


def rounded_to_nearest(h, dh):
    return np.hypot(h, np.pi) / abs(dh)


def with_the_slope_forgotten(h, dh):
    return np.hypot(h, np.pi) * (1 - 1e-15)


def with_the_distance_to_the_axis(h, dh):
    return np.full_like(h, np.pi * (1 - 1e-15)) / abs(dh)


@pytest.mark.parametrize(
    ("broken", "too_large", "too_small"),
    [
        (rounded_to_nearest, True, False),
        (with_the_slope_forgotten, True, True),
        (with_the_distance_to_the_axis, False, True),
    ],
)
def test_broken_radii_are_caught(broken, too_large, too_small):
    rng = np.random.default_rng(0)
    h, dh = 3 * rng.normal(size=60), rng.normal(size=60)
    truth = [exact("silu", x, s) for x, s in zip(h, dh, strict=True)]
    found = broken(h, dh)
    assert too_large == any(r > t for r, t in zip(found, truth, strict=True))
    assert too_small == any(r < t * (1 - TIGHT) for r, t in zip(found, truth, strict=True))
