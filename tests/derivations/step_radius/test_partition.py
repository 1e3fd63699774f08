"""The partition function along a step: its zeros are zeros, its radius and bounds hold."""

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from softproof.derivations.step_radius import partition

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


# --- curvatures, K = 2 ---


@pytest.mark.parametrize("n", [-2, -1, 0, 3])
@pytest.mark.parametrize(("alpha", "beta"), [("3/2", "1/5"), ("-2", "-3"), ("1/2", "-7/3")])
def test_the_binary_zeros_of_quadratic_logits_are_zeros(n, alpha, beta):
    values = {"delta": "4/3", "alpha": alpha, "beta": beta, "n": n}
    delta, alpha, beta = (MP.mpf(sympy.Rational(x)) for x in ("4/3", alpha, beta))
    found = [substitute(zero, **values) for zero in partition.binary_quadratic_zeros()]
    for t in found:
        assert abs(1 + MP.exp(delta + alpha * t + beta * t**2)) < 1e-30
    assert abs(found[0] - found[1]) > 0.1


def test_with_little_curvature_a_quadratic_zero_is_the_linear_one():
    a_1, a_2 = partition.slopes(2)
    linear = partition.binary_zeros().subs({a_1: partition.ALPHA, a_2: 0})
    values = {"delta": "4/3", "alpha": "2", "n": 1}
    nearest = min(
        (substitute(t, beta="1e-20", **values) for t in partition.binary_quadratic_zeros()), key=abs
    )
    assert abs(nearest - substitute(linear, **values)) < 1e-18


# --- the bounds ---


@pytest.mark.parametrize("seed", range(5))
def test_the_bisector_component_is_the_real_part_of_the_turned_sum(seed):
    random = np.random.default_rng(seed)
    z, a = random.standard_normal((2, 3)).round(3)
    m, s, y = random.standard_normal(3).round(3)
    by_name = {symbol.name: symbol for symbol in partition.bisector_component().free_symbols}
    terms = partition.bisector_component().subs(by_name["K"], 3).doit()
    row = {"z": z, "a": a}
    for indexed in terms.atoms(sympy.Indexed):
        value = sympy.Rational(str(row[indexed.base.name][int(indexed.indices[0]) - 1]))
        terms = terms.subs(indexed, value)
    symbolic = substitute(terms, m=str(m), s=str(s), y=str(y))
    turned = MP.expj(-MP.mpf(str(m)) * MP.mpf(str(y))) * MP.fsum(
        MP.exp(MP.mpf(str(zk)) + MP.mpf(str(ak)) * MP.mpc(str(s), str(y)))
        for zk, ak in zip(z, a, strict=True)
    )
    assert MP.almosteq(symbolic, turned.real, 1e-30)


def test_the_spread_bound_is_where_the_bisector_component_may_first_vanish():
    """Two tied slopes at the ends: every term is cos(Delta y / 2), positive up to the bound."""
    y = sympy.Symbol("y", positive=True)
    component = sympy.cos(partition.SPREAD * y / 2)
    assert component.subs(y, partition.spread_bound()) == 0
    for share in ("1/100", "1/2", "99/100"):
        assert component.subs(y, sympy.Rational(share) * partition.spread_bound()).evalf() > 0
    # A longer arc proves nothing: the broken variant 4 / Delta is beyond the zero.
    assert component.subs(y, 4 / partition.SPREAD).evalf() < 0


def variance_at(z, a, s):
    p = np.exp(z + a * s - np.max(z + a * s))
    p /= p.sum()
    return np.sum(p * (a - np.sum(p * a)) ** 2)


@pytest.mark.parametrize("seed", range(8))
def test_every_zero_obeys_the_variance_bound(seed):
    """Integer slopes: all zeros are logarithms of polynomial roots."""
    random = np.random.default_rng(seed)
    size = int(random.integers(3, 9))
    a = np.arange(size) - size // 2
    z = random.choice([0.5, 3.0]) * random.standard_normal(size)
    zeros = np.log(np.roots(np.exp(z)[::-1]).astype(complex))
    for t in zeros:
        values = {"s": t.real, "V": variance_at(z, a, t.real), "Delta": float(np.ptp(a))}
        bound = float(substitute(partition.variance_bound(), **values).real)
        assert abs(t) >= bound * (1 - 1e-12)
    assert len(zeros) == size - 1


def test_the_constant_of_the_variance_bound_cannot_be_three():
    """Tied classes with slopes +-1 have V = 1 and a zero at i pi / 2: 3 / V would deny it."""
    at_zero = {"s": 0, "V": 1, "Delta": 2}
    assert substitute(partition.variance_bound(), **at_zero).real <= MP.pi / 2
    wrong = partition.variance_bound().subs(partition.VARIANCE, partition.VARIANCE * 2 / 3)
    assert substitute(wrong, **at_zero).real > MP.pi / 2


def test_popoviciu_the_variance_bound_never_beats_the_spread_bound_for_two_ends():
    at_most = partition.variance_bound().subs(partition.VARIANCE, partition.SPREAD**2 / 4)
    assert sympy.simplify(at_most.subs(partition.S, 0) - partition.spread_bound()) == 0


# --- temperature ---


def test_dividing_the_slopes_alone_stretches_the_step():
    """F of (z / T, a / T) at t = T u is F of (z / T, a) at u, as symbols."""
    u = sympy.Symbol("u")
    total = partition.partition_function(3)
    hot = partition.at_temperature(total).subs(partition.T, partition.TEMPERATURE * u)
    cooled = total.subs({z: z / partition.TEMPERATURE for z in partition.logits(3)})
    assert sympy.simplify(hot - cooled.subs(partition.T, u)) == 0


def test_the_spread_bound_is_multiplied_by_the_temperature():
    ratio = partition.at_temperature(partition.spread_bound()) / partition.spread_bound()
    assert sympy.simplify(ratio - partition.TEMPERATURE) == 0


def test_the_radius_is_multiplied_by_the_temperature_only_if_the_logits_grow_with_it():
    cold, hot = partition.binary_radius(), partition.at_temperature(partition.binary_radius())
    grown = {partition.DELTA: partition.DELTA * partition.TEMPERATURE}
    tied = {partition.DELTA: 0}
    for known in (grown, tied):
        ratio = hot.subs(known) / cold.subs({} if known is grown else tied)
        assert sympy.simplify(ratio - partition.TEMPERATURE) == 0
    values = {"delta": 3, "a_1": 1, "a_2": -1}
    growth = substitute(hot, T=4, **values) / substitute(cold, **values)
    assert 1 < growth.real < 3.1  # not 4


def test_a_hot_radius_tends_to_that_of_equal_logits():
    z, a = (1.0, -2.0, 0.5, 0.0), (-1, 0, 1, 2)
    equal = nearest([0.0] * 4, a)
    gaps = [abs(nearest(np.array(z) / temperature, a) / equal - 1) for temperature in (1, 10, 100)]
    assert gaps[0] > 0.05 > gaps[1] > 5 * gaps[2]


def nearest(z, a):
    """The modulus of the nearest zero for slopes that are consecutive integers."""
    return min(abs(np.log(np.roots(np.exp(z)[::-1]).astype(complex))))


# --- cumulants and Taylor coefficients ---


def test_cumulants_obey_the_recursion_of_moments():
    """m_n = sum_j C(n-1, j-1) kappa_j m_(n-j) (Smith 1995, The American Statistician 49)."""
    kappa, m = partition.cumulants(7), (1, *partition.moments(7))
    for n in range(1, 8):
        total = sum(sympy.binomial(n - 1, j - 1) * kappa[j - 1] * m[n - j] for j in range(1, n + 1))
        assert sympy.expand(total - m[n]) == 0


def test_cumulants_of_known_laws():
    """Poisson: all equal the rate.  Two equal points +-1: of log cosh, 0, 1, 0, -2."""
    rate = sympy.Symbol("lambda")
    poisson = [
        sum(sympy.functions.combinatorial.numbers.stirling(k, j) * rate**j for j in range(k + 1))
        for k in range(1, 6)
    ]
    named = dict(zip(partition.moments(5), poisson, strict=True))
    assert [sympy.expand(c.subs(named)) for c in partition.cumulants(5)] == [rate] * 5
    signs = {m: (k + 1) % 2 for k, m in enumerate(partition.moments(4), 1)}
    assert [c.subs(signs) for c in partition.cumulants(4)] == [0, 1, 0, -2]


@pytest.mark.parametrize("label", [0, 2])
def test_taylor_coefficients_are_those_of_the_loss(label):
    z, a = (1.0, -0.5, 0.25), (2.0, -1.0, 0.5)
    values = {f"{n}_{k + 1}": str(v) for n, row in (("z", z), ("a", a)) for k, v in enumerate(row)}
    symbolic = [
        substitute(c, **values).real for c in partition.taylor_coefficients(3, 5, label=label)
    ]

    def loss(t):
        return MP.log(evaluate(z, a, t)[0]) - z[label] - a[label] * t

    for coefficient, truth in zip(symbolic, MP.taylor(loss, 0, 5), strict=True):
        assert MP.almosteq(coefficient, truth, 1e-12, 1e-12)


def test_from_the_second_on_they_are_cumulants_over_factorials():
    """Of the slopes under softmax(z), as symbols; the label moves the first two alone."""
    weights, slopes = sympy.symbols("w_1:4", positive=True), partition.slopes(3)
    logits = dict(zip(partition.logits(3), map(sympy.log, weights), strict=True))
    moments = {
        m: sum(w * a**k for w, a in zip(weights, slopes, strict=True)) / sum(weights)
        for k, m in enumerate(partition.moments(3), 1)
    }
    found = partition.taylor_coefficients(3, 3, label=1)
    for n, kappa in list(enumerate(partition.cumulants(3), 1))[1:]:
        difference = found[n].subs(logits) - kappa.subs(moments) / sympy.factorial(n)
        assert sympy.simplify(difference) == 0
    mean = moments[partition.moments(1)[0]]
    assert sympy.simplify(found[1].subs(logits) - mean + slopes[1]) == 0


def test_in_cumulants_they_are_the_same_at_every_order():
    """With the cumulants of a point: those of the moments of three slopes under softmax."""
    z, a, label = (1, "-1/2", "1/4"), (2, -1, "1/2"), 1
    z, a = ([sympy.Rational(v) for v in row] for row in (z, a))
    total = sum(map(sympy.exp, z))
    moments = {
        m: sum(sympy.exp(v) * s**k for v, s in zip(z, a, strict=True)) / total
        for k, m in enumerate(partition.moments(6), 1)
    }
    values = {f"kappa_{n}": k.subs(moments) for n, k in enumerate(partition.cumulants(6), 1)}
    values |= {"F(0)": total, "z_y": z[label], "a_y": a[label]}
    named = dict(zip((*partition.logits(3), *partition.slopes(3)), (*z, *a), strict=True))
    truth = partition.taylor_coefficients(3, 6, label=label)
    for c, expected in zip(partition.taylor_coefficients_in_cumulants(6), truth, strict=True):
        found = c.subs({s: values[s.name] for s in c.free_symbols})
        assert abs(sympy.N(found - expected.subs(named), 30)) < 1e-20


def test_there_is_no_loss_of_a_class_that_is_not_there():
    with pytest.raises(IndexError):
        partition.line_loss(3, label=3)
