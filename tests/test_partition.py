"""The partition function along a step: its zeros are zeros, its radius and bounds hold."""

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from softproof.derivations import partition

MP = mpmath.MPContext()
MP.dps = 40

finite = st.floats(-20, 20).map(lambda x: round(x, 3))
slope = st.floats(0.1, 5).map(lambda x: round(x, 3))


def substitute(expression, **values):
    """The value of an expression at symbols given by name, with 40 digits, as a complex number."""
    symbols = {s: sympy.Rational(values[s.name]) for s in expression.free_symbols}
    return MP.mpc(*expression.subs(symbols).evalf(40).as_real_imag())


def evaluate(z, a, t):
    """F(t) by equation (1), and the sum of the moduli of its terms."""
    terms = [MP.exp(MP.mpf(zk) + MP.mpf(ak) * t) for zk, ak in zip(z, a, strict=True)]
    return MP.fsum(terms), MP.fsum(abs(term) for term in terms)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(z=st.tuples(finite, finite), a=st.tuples(finite, finite, finite), t=finite)
def test_the_partition_function_is_the_sum_of_exponentials(z, a, t):
    z = (*z, 0.5)
    values = {f"{n}_{k + 1}": v for n, row in (("z", z), ("a", a)) for k, v in enumerate(row)}
    symbolic = substitute(partition.partition_function(3), t=t, **values)
    assert MP.almosteq(symbolic, evaluate(z, a, MP.mpf(t))[0], 1e-30)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(z=st.tuples(finite, finite), gap=slope, n=st.integers(-5, 5))
def test_the_binary_zeros_are_zeros(z, gap, n):
    z_1, z_2, a_2 = MP.mpf(z[0]), MP.mpf(z[1]), MP.mpf(0.25) + MP.mpf(gap)
    t = substitute(
        partition.binary_zeros(),
        delta=str(sympy.Rational(z[0]) - sympy.Rational(z[1])),
        a_1="1/4",
        a_2=str(sympy.Rational(gap) + sympy.Rational(1, 4)),
        n=n,
    )
    total, moduli = evaluate((z_1, z_2), (MP.mpf(0.25), a_2), t)
    assert abs(total) < 1e-30 * moduli


def test_the_binary_radius_is_the_least_modulus_of_the_binary_zeros():
    values = {"delta": "7/3", "a_1": "2", "a_2": "-1/2"}
    moduli = {n: abs(substitute(partition.binary_zeros(), n=n, **values)) for n in range(-6, 6)}
    radius = substitute(partition.binary_radius(), **values).real
    assert MP.almosteq(radius, min(moduli.values()), 1e-35)
    assert MP.almosteq(moduli[0], moduli[-1], 1e-35)


def test_the_binary_zeros_are_all_zeros_inside_a_circle():
    z, a = (1.0, -0.5), (2.0, -1.0)
    values = {"delta": "3/2", "a_1": "2", "a_2": "-1"}
    inside = [
        n for n in range(-20, 20) if abs(substitute(partition.binary_zeros(), n=n, **values)) < 10
    ]
    assert winding_number(z, a, 10.0) == len(inside) > 5


def winding_number(z, a, radius):
    """The number of zeros of F in a disc, by the argument principle."""
    t = radius * np.exp(1j * np.linspace(0, 2 * np.pi, 20001))
    exponents = np.asarray(z) + np.outer(t, a)
    values = np.sum(np.exp(exponents - exponents.real.max(axis=1, keepdims=True)), axis=1)
    # The positive scaling leaves every argument as it is.
    return round(np.sum(np.angle(values[1:] / values[:-1])) / (2 * np.pi))


def half_mass_distance(z, a):
    """s_half: between the top class and the next there is a point where neither holds half."""
    top = np.argmax(z)

    def excess(s):
        exponents = z + a * s
        p = np.exp(exponents - exponents.max())
        return p[top] / p.sum() - 0.5

    if excess(0.0) <= 0:
        return 0.0
    ends = [end for end in (-100.0, 100.0) if excess(end) < 0]
    return min((abs(brentq(excess, 0.0, end)) for end in ends), default=np.inf)


@pytest.mark.parametrize("seed", range(20))
def test_no_zero_lies_within_the_bounds(seed):
    random = np.random.default_rng(seed)
    size = int(random.integers(2, 12))
    z, a = 3 * random.standard_normal(size), random.standard_normal(size)
    spread = float(substitute(partition.spread_bound(), Delta=float(np.ptp(a))).real)
    assert winding_number(z, a, 0.999 * spread) == 0
    s_half = half_mass_distance(z, a)
    if np.isfinite(s_half):
        bound = substitute(partition.half_mass_bound(), s_half=s_half, Delta=float(np.ptp(a)))
        assert winding_number(z, a, 0.999 * float(bound.real)) == 0
        assert float(bound.real) >= spread


def test_both_bounds_are_the_exact_radius_for_two_classes():
    delta, gap = sympy.symbols("delta gap", positive=True)
    a_1, a_2 = partition.slopes(2)
    exact = partition.binary_radius().subs({partition.DELTA: delta, a_1: gap, a_2: 0})
    at_half = {partition.S_HALF: delta / gap, partition.SPREAD: gap}
    assert sympy.simplify(partition.half_mass_bound().subs(at_half) - exact) == 0
    tied = partition.spread_bound().subs(partition.SPREAD, gap) - exact.subs(delta, 0)
    assert sympy.simplify(tied) == 0
