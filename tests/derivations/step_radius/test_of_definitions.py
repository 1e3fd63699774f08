"""The radius of any definition: never above the exact one, and near it."""

import math

import flint
import mpmath
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic import continued
from softproof.derivations.arithmetic.continued import Singular, moving
from softproof.derivations.step_radius.analytic_disc import analytic_disc
from softproof.derivations.step_radius.of_definitions import radius_along

X = np.array([1.0, 2.0, -1.0])
D = np.array([1.0, -1.0, 0.5])
EPS = 2.0**-20  # near the default, and exact


def least_root(*coefficients):
    """The least modulus of a root of a polynomial."""
    return float(min(map(abs, mpmath.polyroots(coefficients, extraprec=200))))


def of_sum_of_exponentials(logits, slopes):
    """Of two classes: e^(z + a t) = -1 for the difference z + a t."""
    z, a = logits[0] - logits[1], slopes[0] - slopes[1]
    return abs(complex(z, math.pi)) / abs(a)


# Definition, arguments, direction, parameters, and the distance of the nearest singular point.
KNOWN = [
    ("sigmoid", {"x": 0.5}, {"x": 2.0}, {}, abs(complex(0.5, math.pi)) / 2),
    ("tanh", {"x": 1.0}, {"x": 1.0}, {}, abs(complex(1, math.pi / 2))),
    ("softplus", {"x": -3.0}, {"x": 1.0}, {}, abs(complex(3, math.pi))),
    ("log1p", {"x": 2.0}, {"x": -0.5}, {}, 6.0),
    ("mish", {"x": 0.5}, {"x": 1.0}, {}, abs(complex(0.5 - math.log(2) / 2, 3 * math.pi / 4))),
    (
        "softmax",
        {"logits": [0.0, 1.0]},
        {"logits": [1.0, -1.0]},
        {},
        of_sum_of_exponentials([0.0, 1.0], [1.0, -1.0]),
    ),
    (
        "cross_entropy",
        {"logits": [0.5, 1.0], "label": 1},
        {"logits": [3.0, -1.0]},
        {},
        of_sum_of_exponentials([0.5, 1.0], [3.0, -1.0]),
    ),
    (  # sum (x + d t)^2 = -n eps
        "rms_norm",
        {"x": X, "gain": np.ones(3)},
        {"x": D},
        {"eps": EPS},
        least_root(D @ D, 2 * (X @ D), X @ X + 3 * EPS),
    ),
    (  # the scores differ by (q_1 - 2 q_2) / sqrt 2
        "attention",
        {"q": [1.0, 0.5], "k": [[1, 0], [0, 2]], "v": [[1], [2]], "mask": [True, True]},
        {"q": [1.0, -1.0]},
        {},
        math.pi * math.sqrt(2) / 3,
    ),
]


@pytest.mark.parametrize(("name", "values", "direction", "parameters", "exact"), KNOWN)
def test_it_is_never_above_the_exact_radius_and_not_far_below(
    name, values, direction, parameters, exact
):
    found = radius_along(lookup(name), values, direction, parameters).disc
    assert 0.9 * exact < found.lower <= exact * (1 + 1e-15)
    assert found.estimate == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("exponent", [-300, -70, 70, 300])
def test_the_unit_of_the_direction_does_not_matter(exponent):
    found = radius_along(lookup("sigmoid"), {"x": 0.5}, {"x": 2.0**exponent}).disc
    exact = math.ldexp(abs(complex(0.5, math.pi)), -exponent)
    assert 0.9 * exact < found.lower <= exact
    assert found.estimate == pytest.approx(exact, rel=1e-6)


def test_a_singular_point_that_is_far_does_not_make_a_function_entire():
    found = radius_along(lookup("sigmoid"), {"x": 1000.0}, {"x": 1.0}).disc
    assert 900 < found.lower <= abs(complex(1000, math.pi))
    assert not found.entire
    assert math.isnan(found.estimate)


def test_where_nothing_moves_the_function_is_constant():
    assert radius_along(lookup("sigmoid"), {"x": 0.5}, {"x": 0.0}).disc.estimate == math.inf


def test_a_root_that_is_written_as_a_power_is_refused():
    with pytest.raises(TypeError):
        _ = moving(1.0, 1.0, flint.acb(0)) ** 0.5


@pytest.mark.parametrize("name", ["exp", "gelu", "erf"])
def test_an_entire_function_has_no_radius(name):
    found = radius_along(lookup(name), {"x": 0.5}, {"x": 1.0}).disc
    assert found.lower == 2.0**60
    assert found.entire
    assert found.estimate == math.inf


@pytest.mark.parametrize(
    ("name", "values", "direction", "why"),
    [
        ("sparsemax", {"z": [1.0, 1.0]}, {"z": [1.0, 0.0]}, "pieces of the formula meet there"),
        ("rank_one_loss", {"views": [[1.0, 2.0]]}, {"views": [[1.0, 0.0]]}, "a singular value"),
    ],
)
def test_where_there_is_none_the_reason_is_told(name, values, direction, why):
    found = radius_along(lookup(name), values, direction)
    assert found.disc is None
    assert why in found.reason


def test_a_piece_is_continued_as_the_point_lies_in_it():
    """Of sparsemax at (1, 1/2) the piece is linear, though the function changes at t = 1/2."""
    found = radius_along(lookup("sparsemax"), {"z": [1.0, 0.5]}, {"z": [1.0, 0.0]})
    assert found.disc.lower == 2.0**60


@pytest.mark.parametrize(
    ("direction", "said"),
    [
        ({"label": 1.0}, "no argument that can move: logits"),
        ({"logits": [1.0]}, r"has shape \(1,\), expected \(2,\)"),
        ({"logits": [1.0, math.inf]}, "is not finite"),
    ],
)
def test_a_direction_that_is_none_is_an_error(direction, said):
    with pytest.raises(ValueError, match=said):
        radius_along(lookup("cross_entropy"), {"logits": [0.0, 1.0], "label": 0}, direction)


def test_a_cut_that_is_not_minded_is_seen(monkeypatch):
    """sqrt(1 + t^2) has branch points at +-i; the mistake is a root that is taken across them."""

    def root(t):
        return [continued.continued().sqrt(1 + moving(0.0, 1.0, t) ** 2).over]

    assert 0.9 < analytic_disc(root).lower <= 1
    monkeypatch.setattr(continued, "_off_the_cut", lambda z: True)
    continued.continued.cache_clear()
    try:
        assert analytic_disc(root).lower > 1
    finally:
        continued.continued.cache_clear()


def test_a_pole_that_is_nearer_than_others_bounds_the_disc():
    poles = [complex(3, 1), complex(0.5, 1.25), complex(-2, 0)]

    def function(t):
        product = flint.acb(1)
        for pole in poles:
            factor = (t - flint.acb(pole)) * (t - flint.acb(pole.conjugate()))
            if factor.contains(0):
                raise Singular
            product /= factor
        return [product]

    found = analytic_disc(function)
    exact = abs(poles[1])
    assert 0.95 * exact < found.lower <= exact
    assert found.estimate == pytest.approx(exact, rel=1e-6)


def test_a_function_that_is_singular_at_the_point_has_radius_0():
    def function(t):
        raise Singular

    assert analytic_disc(function).lower == 0


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("middle", [0.75, 2.0, 40.0])
def test_elementary_functions_enclose_those_of_mpmath_on_a_square(name, middle):
    truths = {
        "rsqrt": lambda z: 1 / mpmath.sqrt(z),
        "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
        "softplus": lambda z: mpmath.log(1 + mpmath.exp(z)),
    }
    truth = truths.get(name, getattr(mpmath, name, None))
    with flint.ctx.workprec(100), mpmath.workprec(100):
        square = flint.acb(flint.arb(0, 0.5), flint.arb(0, 0.5))
        over = getattr(continued.continued(), name)(moving(middle, 1, square)).over
        for re in (-0.5, 0.1, 0.5):
            for im in (-0.5, 0.0, 0.4):
                exact = truth(mpmath.mpc(middle + re, im))
                parts = (flint.arb(str(x), 1e-20) for x in (exact.real, exact.imag))
                assert over.overlaps(flint.acb(*parts))
