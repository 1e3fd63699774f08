"""Singular points: each claimed one is one, none is missing, and radii are distances to them."""

import itertools

import mpmath
import numpy as np
import pytest
import sympy
from softproof.derivations.step_radius.activation_singularities import (
    CUBIC,
    KAPPA,
    NAMES,
    SLOPE,
    N,
    X,
    singularities,
    zeros,
)

MP = mpmath.MPContext()
MP.dps = 30
K, C = MP.sqrt(2 / MP.pi), MP.mpf("0.044715")

# Entire functions of which the activation is a quotient, a logarithm or a square root: their zeros
# are the singular points.  Written here once more, so that the table is not asked about itself.
DENOMINATOR = {
    "sigmoid": lambda x: 1 + MP.exp(x),
    "silu": lambda x: 1 + MP.exp(x),
    "softplus": lambda x: 1 + MP.exp(x),
    "tanh": MP.cosh,
    "gelu_tanh": lambda x: MP.cosh(K * (x + C * x**3)),
    "mish": lambda x: (1 + MP.exp(x)) ** 2 + 1,
    "rsqrt": lambda x: x,
}
VALUE = {
    "sigmoid": lambda x: 1 / (1 + MP.exp(-x)),
    "silu": lambda x: x / (1 + MP.exp(-x)),
    "tanh": MP.tanh,
    "gelu_tanh": lambda x: x * (1 + MP.tanh(K * (x + C * x**3))) / 2,
    "mish": lambda x: x * MP.tanh(MP.log(1 + MP.exp(x))),
}
KINKED = ("relu", "leaky_relu", "elu", "relu6", "hardtanh")
ENTIRE = ("gelu", "normal_cdf", "ria", "gaussglu", "smoothed_rsqrt")


def zeros_inside(function, centre, radius):
    """How many zeros a disc holds, by the argument principle: the windings of the image circle."""
    steps = 1000
    points = [centre + radius * MP.expjpi(2 * MP.mpf(k) / steps) for k in range(steps)]
    values = [function(p) for p in points]
    turns = sum(MP.arg(b / a) for a, b in zip(values, values[1:] + values[:1], strict=True))
    return round(float(turns / (2 * MP.pi)))


def points_of(name, reach=2):
    """The points of the table for |n| <= reach, as numbers."""
    return [
        MP.mpmathify(sympy.N(p.subs(N, n), 25))
        for p in singularities(name).points
        for n in (range(-reach, reach + 1) if p.has(N) else (0,))
    ]


# --- the table ---


def test_every_activation_is_asked_about():
    assert set(NAMES) == {*DENOMINATOR, *KINKED, *ENTIRE}


def test_each_set_says_of_what_kind_it_is_and_why():
    kinds = {name: singularities(name).kind for name in NAMES}
    assert {n for n in NAMES if kinds[n] == "poles"} == VALUE.keys()
    assert {n for n in NAMES if kinds[n] == "branch points"} == {"softplus", "rsqrt"}
    assert {n for n in NAMES if kinds[n] == "kinks"} == {*KINKED}
    assert {n for n in NAMES if kinds[n] == "none"} == {*ENTIRE}
    assert all(len(singularities(name).proof) > 40 for name in NAMES)


def test_the_lattices_are_those_that_sympy_finds():
    assert singularities("sigmoid").points == (sympy.I * sympy.pi * (2 * N + 1),)
    assert singularities("tanh").points == (sympy.I * sympy.pi * (2 * N + 1) / 2,)
    halves = {sympy.log(2) / 2 + sympy.I * sympy.pi * (8 * N + k) / 4 for k in (3, -3)}
    assert {*singularities("mish").points} == halves
    assert zeros(sympy.exp(X) - 1) == (2 * sympy.I * sympy.pi * N,)


@pytest.mark.parametrize(
    ("name", "distance"),
    [
        ("sigmoid", sympy.pi),
        ("silu", sympy.pi),
        ("softplus", sympy.pi),
        ("tanh", sympy.pi / 2),
        ("mish", 3 * sympy.pi / 4),
        ("relu", 0),
        ("elu", 0),
        ("gelu", sympy.oo),
        ("ria", sympy.oo),
    ],
)
def test_distance_to_the_real_axis(name, distance):
    assert singularities(name).distance_to_real_axis == distance


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ValueError, match=f"name must be one of {', '.join(NAMES)}, got 'swish'"):
        singularities("swish")


# --- every claimed point is singular ---


@pytest.mark.parametrize("name", DENOMINATOR)
def test_the_denominator_vanishes_at_every_point(name):
    for s in points_of(name):
        slope = MP.diff(DENOMINATOR[name], s)
        assert abs(DENOMINATOR[name](s)) < 1e-15 * abs(slope) * (1 + abs(s))
        assert abs(slope) > 1e-3  # a simple zero


@pytest.mark.parametrize("name", VALUE)
def test_no_pole_is_removable(name):
    """(x - s) f(x) tends to a residue that is not 0."""
    for s in points_of(name, reach=1):
        near, nearer = (abs(h * VALUE[name](s + h)) for h in (MP.mpf("1e-6"), MP.mpf("1e-7")))
        assert near > 1e-3
        assert abs(near - nearer) < 1e-3 * near


def test_the_branch_points_of_the_logarithm_in_mish_are_removable():
    """Around i pi the function returns to itself, stays bounded, and takes the value -x."""
    s, around = MP.mpc(0, MP.pi), 40
    circle = [s + MP.mpf("0.3") * MP.expjpi(2 * MP.mpf(k) / around) for k in range(around)]
    values = [VALUE["mish"](x) for x in circle]
    assert max(map(abs, values)) < 10
    assert abs(sum(values) / around + s) < 1e-12  # the mean value property: analytic inside
    u = sympy.Symbol("u")
    rational = sympy.tanh(sympy.log(u)).rewrite(sympy.exp)
    assert sympy.simplify(rational - (u**2 - 1) / (u**2 + 1)) == 0


def test_around_a_branch_point_the_value_does_not_return():
    for name, f, s in (
        ("softplus", lambda x: MP.log(1 + MP.exp(x)), MP.mpc(0, MP.pi)),
        ("rsqrt", lambda x: 1 / MP.sqrt(x), MP.mpf(0)),
    ):
        assert s in [MP.mpc(p) for p in points_of(name)] or abs(points_of(name)[2] - s) < 1e-20
        steps = [f(s + MP.mpf("0.1") * MP.expjpi(MP.mpf(k) / 50)) for k in range(101)]
        jumps = [abs(b - a) for a, b in itertools.pairwise(steps)]
        assert max(jumps) > 1 > 30 * sorted(jumps)[-2] / max(jumps)  # one cut, once


# --- none is missing: the zeros in a disc up to the nearest point, and beyond it ---


@pytest.mark.parametrize("h", [0.0, 0.4, -1.7, 3.0, -6.0])
@pytest.mark.parametrize("name", sorted(DENOMINATOR))
def test_the_nearest_point_is_the_nearest_zero(name, h):
    distance = singularities(name).radius(h, 1.0)
    if distance > 0:
        assert zeros_inside(DENOMINATOR[name], MP.mpf(h), distance * MP.mpf("0.999")) == 0
    assert zeros_inside(DENOMINATOR[name], MP.mpf(h), distance + MP.mpf("0.003")) >= 1


def test_a_missing_point_would_be_found():
    """The poles of the tanh-GELU on the imaginary axis alone would give too large a radius."""
    lone = max(points_of("gelu_tanh", reach=0), key=lambda s: abs(s.imag))
    assert zeros_inside(DENOMINATOR["gelu_tanh"], MP.mpf(0), abs(lone) * MP.mpf("0.999")) > 0


@pytest.mark.parametrize("name", ["silu", "mish", "gelu_tanh"])
def test_taylor_coefficients_grow_as_the_radius_says(name):
    """Cauchy-Hadamard: limsup |c_n|^(1/n) = 1 / rho, here at n up to 80."""
    h = MP.mpf("0.8")
    radius = MP.mpf(float(singularities(name).radius(0.8, 1.0)))
    points = 512
    circle = [h + radius / 2 * MP.expjpi(2 * MP.mpf(k) / points) for k in range(points)]
    values = [VALUE[name](x) for x in circle]
    grown = []
    for n in range(60, 81):
        mean = MP.fsum(v * MP.expjpi(-2 * MP.mpf(n * k) / points) for k, v in enumerate(values))
        grown.append((abs(mean) / points) ** (MP.mpf(1) / n) * 2 / radius)
    assert 1 / max(grown) == pytest.approx(float(radius), rel=0.05)


# --- the tanh-GELU: a cubic for each n ---


def test_the_roots_of_the_cubic_in_closed_form():
    """k (x + c x^3) at (+-sinh u + i cosh u / sqrt 3) / sqrt c and at -2 i cosh u / sqrt(3 c)."""
    u = sympy.Symbol("u", real=True)
    cosh_3u = 2 * KAPPA * sympy.cosh(3 * u) / (3 * sympy.sqrt(3 * CUBIC))
    across, up = sympy.sinh(u) / sympy.sqrt(CUBIC), sympy.cosh(u) / sympy.sqrt(3 * CUBIC)
    for root in (across + sympy.I * up, -across + sympy.I * up, -2 * sympy.I * up):
        value = KAPPA * (root + CUBIC * root**3)
        difference = (value - sympy.I * cosh_3u).rewrite(sympy.exp)
        assert sympy.simplify(sympy.expand(difference)) == 0


def test_the_nearest_poles_of_the_tanh_gelu():
    (nearest,) = (s for s in points_of("gelu_tanh", reach=0) if s.real > 0 and s.imag > 0)
    argument = K * (nearest + C * nearest**3)
    assert abs(argument - MP.mpc(0, MP.pi / 2)) < 1e-20  # the paper's pi/2, in the argument of tanh
    assert MP.nstr(nearest.imag, 5) == "2.7548"
    assert MP.nstr(nearest.real, 4) == "0.6344"
    assert nearest.imag > (MP.pi / 2) / K + 0.78  # not what the linear part alone would say


def test_imaginary_parts_grow_with_the_index():
    """What the search for the nearest point stands on."""
    for name in NAMES:
        lattice = [p for p in singularities(name).points if p.has(N)]
        heights = [
            min(abs(complex(p.subs(N, k)).imag) for p in lattice for k in (n, -1 - n))
            for n in range(6 if lattice else 0)
        ]
        assert heights == sorted(heights)


# --- kinks ---


@pytest.mark.parametrize("name", KINKED)
def test_a_derivative_jumps_at_each_kink_and_the_function_does_not(name):
    found = singularities(name)
    x = sympy.Symbol("x", real=True)
    f = found.function.subs(X, x).subs(SLOPE, sympy.Rational(1, 100))
    for s in found.points:
        jumps = []
        for order in range(3):
            sides = [
                sympy.limit(sympy.diff(_piece(f, x, s, sign), x, order), x, s) for sign in (1, -1)
            ]
            jumps.append(sympy.simplify(sides[0] - sides[1]) != 0)
        assert jumps[0] is False
        assert jumps.index(True) == (2 if name == "elu" else 1)


def _piece(f, x, at, sign):
    """The piece of a piecewise function just beside a point."""
    beside = at + sign * sympy.Rational(1, 1000)
    return next(value for value, condition in f.args if condition.subs(x, beside) == sympy.true)


# --- radii ---


@pytest.mark.parametrize("name", ENTIRE)
def test_entire_functions_have_no_radius(name):
    found = singularities(name)
    assert found.entire
    assert found.radius(3.0, -2.0) == mpmath.inf


def test_a_preactivation_that_does_not_move_has_no_radius():
    assert singularities("relu").radius(0.0, 0.0) == mpmath.inf


def test_on_a_kink_the_radius_is_zero():
    assert singularities("hardtanh").radius(-1.0, 3.0) == 0


def test_the_radius_is_the_distance_over_the_slope():
    for h, slope in ((0.0, 1.0), (2.5, -4.0), (-300.0, 1e-3)):
        expected = np.hypot(h, np.pi) / abs(slope)
        assert float(singularities("softplus").radius(h, slope)) == pytest.approx(expected)
        assert float(singularities("hardtanh").radius(h, slope)) == min(
            abs(h - 1), abs(h + 1)
        ) / abs(slope)
