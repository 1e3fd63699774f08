"""Gaussian functions: one meaning in every arithmetic, what is proven of them, and error bounds."""

from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
import sympy
from softproof.derivations import Parameter, lookup
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.derivations.arithmetic.gaussian import D, Phi, phi
from softproof.derivations.arithmetic.systems import balls, big_floats, ieee, symbols
from softproof.derivations.error_bounds.bounds import bound
from softproof.derivations.error_bounds.model import Model
from softproof.derivations.proofs.prove import never_negative, vanishes
from softproof.verify.oracle.truth import truth
from softproof.verify.subjects.implementations.textbook import ria_as_published

MP = mpmath.MPContext()
MP.dps = 60
x = sympy.Symbol("x", real=True)
ORDERS = (Fraction(-1, 2), Fraction(1, 2), Fraction(-2))
POINTS = (0.0, 1e-300, -1e-300, 2.0**-10, 0.5, -0.5, 3.25, -3.25, 17.0, -17.0, 600.0, -600.0)
FAR = (1024.0, -1024.0, 1e5, -1e5, 1e38, -1e38, 1e300, -1e300)


def cylinder(nu, at):
    """e^(-x^2/4) D_nu(x) as the integral that defines it for nu < 0 (DLMF 12.5.1)."""
    order = MP.mpf(nu.numerator) / nu.denominator
    power = -order - 1  # s^power with s = w^2 has no singularity for nu = -1/2
    ends = [0, 1, 2, 4, 8, 16]
    total = MP.quad(
        lambda w: 2 * w ** (2 * power + 1) * MP.exp(-(w**4) / 2 - at * w**2 - at * at / 2), ends
    )
    return total / MP.gamma(-order)


# --- one meaning ---


@pytest.mark.parametrize("nu", [o for o in ORDERS if o < 0])
@pytest.mark.parametrize("at", [0.0, 0.75, -0.75, 2.5, -2.5])
def test_the_cylinder_function_is_its_integral(nu, at):
    expected = float(cylinder(nu, MP.mpf(at)))
    with flint.ctx.workprec(100):
        assert float(balls().scaled_cylinder(nu, flint.arb(at))) == pytest.approx(expected)
    assert float(big_floats(100).scaled_cylinder(nu, at)) == pytest.approx(expected)
    symbol = symbols().scaled_cylinder(nu, sympy.Rational(at))
    assert float(sympy.N(symbol, 30)) == pytest.approx(expected)
    assert float(ieee(BINARY32).scaled_cylinder(nu, np.float32(at))) == pytest.approx(expected)


@pytest.mark.parametrize("at", POINTS + FAR)
@pytest.mark.parametrize("nu", ORDERS)
def test_balls_and_big_floats_agree_everywhere(nu, at):
    """(Far out e^(-x^2/2) itself costs as many bits as x^2 has.)"""
    precision = 200
    with flint.ctx.workprec(precision):
        ball = balls().scaled_cylinder(nu, flint.arb(at))
    big = big_floats(precision).scaled_cylinder(nu, big_floats(precision).number(at))
    if ball.abs_upper() < flint.arb((1, -(2**20))):
        assert abs(big) < MP.ldexp(1, -(2**20))
        return
    mantissa, exponent = (int(v) for v in big.man_exp)
    with flint.ctx.workprec(4000):
        value = flint.arb(flint.fmpz(mantissa if big >= 0 else -mantissa)) * flint.arb(
            2
        ) ** flint.fmpz(exponent)
        assert abs(value - ball) <= abs(ball) * flint.arb(2) ** (30 - precision)


@pytest.mark.parametrize("at", [*POINTS, *FAR])
def test_phi_in_balls_and_big_floats(at):
    with flint.ctx.workprec(200):
        ball = float(balls().normal_cdf(flint.arb(at)))
        density = float(balls().normal_pdf(flint.arb(at)))
    xp = big_floats(200)
    assert float(xp.normal_cdf(xp.number(at))) == pytest.approx(ball, rel=1e-15, abs=5e-324)
    assert float(xp.normal_pdf(xp.number(at))) == pytest.approx(density, rel=1e-15, abs=5e-324)


def test_at_the_infinities():
    for xp in (balls(), big_floats(80), ieee(BINARY32)):
        low, high = (xp.number(v) for v in (-np.inf, np.inf))
        assert [float(xp.normal_cdf(v)) for v in (low, high)] == [0, 1]
        assert [float(xp.scaled_cylinder(ORDERS[0], v)) for v in (low, high)] == [0, 0]


# --- what the proofs know ---


def test_derivatives():
    nu = sympy.Rational(-1, 2)
    assert sympy.diff(Phi(3 * x), x) == 3 * phi(3 * x)
    assert sympy.diff(phi(x), x) == -x * phi(x)
    assert sympy.diff(D(nu, x), x) == x * D(nu, x) / 2 - D(nu + 1, x)
    for f, order in ((Phi(x), None), (phi(x), None), (D(nu, x), nu)):
        slope = sympy.diff(f, x).subs(x, sympy.Rational(3, 4)).evalf(30)
        step = sympy.Rational(1, 10**12)
        ends = [f.subs(x, sympy.Rational(3, 4) + s * step).evalf(40) for s in (1, -1)]
        assert abs((ends[0] - ends[1]) / (2 * step) - slope) < 1e-20, order


def test_symmetry_and_values():
    assert Phi(x) + Phi(-x) == 1
    assert phi(-x) == phi(x)
    assert (Phi(0), Phi(sympy.oo), Phi(-sympy.oo)) == (sympy.Rational(1, 2), 1, 0)
    assert sympy.N(Phi(1), 20) == pytest.approx(0.8413447460685429)


@pytest.mark.parametrize(
    "expression",
    [Phi(x), 1 - Phi(x), phi(x), D(sympy.Rational(-1, 2), x), Phi(x) * (1 - Phi(x)) + phi(2 * x)],
)
def test_what_is_positive_is_proven(expression):
    assert never_negative(expression)


@pytest.mark.parametrize(
    "expression",
    [
        -Phi(x),
        Phi(x) - 1,
        2 * Phi(x) - 1,
        phi(x) - phi(2 * x),
        D(sympy.Rational(1, 2), x),
        x * Phi(x),
        Phi(x) - phi(x),
    ],
)
def test_what_may_be_negative_is_not(expression):
    assert not never_negative(expression)


def test_different_points_are_different_numbers():
    assert vanishes(x * Phi(2 * x) - Phi(2 * x) * x)
    assert not vanishes(Phi(2 * x) - Phi(x))
    assert not vanishes(phi(x) ** 2 - phi(2 * x))


def test_a_parameter_that_may_be_negative_proves_nothing():
    beta = sympy.Symbol("beta", real=True)
    positive, any_sign = Parameter(1.0, 0.5, 2.0), Parameter(1.0, -1.0, 2.0)
    assert never_negative(beta**3 * phi(beta * x), {beta: positive})
    assert not never_negative(beta**3 * phi(beta * x), {beta: any_sign})
    assert not never_negative((beta - 1) ** 3 * phi(beta * x), {beta: positive})


def test_ria_is_not_negative():
    """It increases (a declared fact) from its limit 0 on the left."""
    f = lookup("ria")(x, symbols()).rewrite(sympy.erf)
    explicit = f.replace(Phi, lambda v: sympy.erfc(-v / sympy.sqrt(2)) / 2).replace(
        phi, lambda v: sympy.exp(-(v**2) / 2) / sympy.sqrt(2 * sympy.pi)
    )
    assert sympy.limit(explicit, x, -sympy.oo) == 0


# --- the constant of the smoothed 1/sqrt ---


def test_the_constant_of_the_weierstrass_transform():
    """E f(v + s Z) by quadrature, against C e^(-v^2/4s^2) D_{-1/2}(-v/s) with C = 1 / sqrt(2 s)."""
    for v, s in ((1.0, 0.5), (-0.75, 2.0), (0.0, 0.1)):
        mean = MP.quad(
            lambda w, v=v, s=s: (
                2 * MP.exp(-((w**2 - v) ** 2) / (2 * MP.mpf(s) ** 2)) / (s * MP.sqrt(2 * MP.pi))
            ),
            [0, 0.25, 0.5, 1, 2, 4, 8],
        )
        value = lookup("smoothed_rsqrt")(big_floats(120).number(v), big_floats(120), width=s)
        assert float(value) == pytest.approx(float(mean), rel=1e-14)


# --- error bounds ---

X = np.concatenate([np.linspace(-45, 45, 241), [0.0, 1e-5, -1e-5, 0.765, 100.0, -400.0]])
FORMS = {"normal_cdf": None, "ria": "parabolic cylinder", "smoothed_rsqrt": None}


def errors(computed, exact):
    rounded = exact.rounded.astype(np.float64)
    difference = computed.astype(np.float64) - rounded
    return np.abs(difference - np.ldexp(exact.offset, exact.ulp_exponent))


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", FORMS)
def test_the_form_keeps_its_bound(name, fmt):
    definition = lookup(name)
    z = X.astype(fmt.dtype)
    form = definition.forms.get(FORMS[name] or "", definition.formula)
    with np.errstate(all="ignore"):
        computed = form(z, ieee(fmt))
    assert np.all(errors(computed, truth(definition, z, fmt)) <= bound(name, z, Model.of(fmt)))


@pytest.mark.parametrize("name", ["normal_cdf", "smoothed_rsqrt"])
def test_a_rounded_square_keeps_the_bound(name):
    """e^(-t^2/2) with t^2 rounded: the error grows as t^2, and so does the bound."""
    z = np.linspace(-14, -1, 200).astype(np.float32)
    exact = truth(lookup(name), z, BINARY32)
    true_tail = exact.rounded / np.exp(-(z.astype(np.float64) ** 2) / 2)
    computed = (np.exp(-z * z / np.float32(2)) * true_tail.astype(np.float32)).astype(np.float32)
    error, allowed = errors(computed, exact), bound(name, z, Model.of(BINARY32))
    assert np.all(error <= allowed)
    assert np.max(error / allowed) > 0.05  # not vacuous


@pytest.mark.parametrize(
    ("name", "at", "broken"),
    [
        ("ria", -5.0, ria_as_published),
        ("normal_cdf", -4.0, lambda z: np.float32(1) - (np.float32(1) - np.float32(3.1671e-5))),
        ("smoothed_rsqrt", -1.0, lambda z: 0 * z),
        ("smoothed_rsqrt", 4.0, lambda z: 1 / np.sqrt(z)),
    ],
)
def test_a_mistake_breaks_the_bound(name, at, broken):
    z = np.float32([at])
    error = errors(np.asarray(broken(z)), truth(lookup(name), z, BINARY32))
    assert np.all(error > bound(name, z, Model.of(BINARY32)))
