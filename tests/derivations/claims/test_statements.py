"""Each listed statement is decided, by checkers that notice a mistake in the formula they check.

That every checker refutes its planted false variant is tested with all others in
`tests/verify/claims`; here are what the checkers rest on, and which papers they are of.
"""

import math
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
import sympy
from softproof.derivations.claims import CLAIMS
from softproof.derivations.claims.statements import networks, normalisation, simulations
from softproof.derivations.claims.statements.decide import identity, inequalities
from softproof.verify.catalogue.papers import STATEMENT, papers

OF_THE_LIST = {name: entry for name, entry in CLAIMS.items() if entry.papers}


def test_every_statement_of_the_list_has_a_claim_with_an_opposite():
    listed = {paper.number for paper in papers() if paper.kind == STATEMENT}
    assert len(listed) == 42
    judged = {number for entry in OF_THE_LIST.values() if entry.opposite for number in entry.papers}
    assert listed <= judged


def test_claims_name_papers_of_the_list_by_their_titles():
    titles = {paper.number: paper.title for paper in papers()}
    for entry in OF_THE_LIST.values():
        if "statements" in entry.check.__module__:
            assert [titles[number] for number in entry.papers] == [entry.paper], entry.name


def test_few_papers_are_only_simulated():
    module = simulations.__name__
    simulated = {n for e in OF_THE_LIST.values() if e.check.__module__ == module for n in e.papers}
    assert 1 <= len(simulated) <= 11


# --- how statements are decided ---


def test_an_identity_that_does_not_hold_is_refuted_at_the_point():
    x, y = sympy.symbols("x y")
    assert identity((x - y) * (x + y) - x**2 + y**2, {x: 1, y: 2}, "").outcome == "proven"
    found = identity((x - y) ** 2 - x**2 - y**2, {x: 1, y: 2}, "")
    assert (found.outcome, found.evidence) == ("refuted", "at x = 1, y = 2 the sides differ by -4")


def test_a_point_that_decides_nothing_is_an_error():
    x, y = sympy.symbols("x y")
    with pytest.raises(ArithmeticError, match="decides nothing"):
        identity(x**2 - x, {x: 1}, "")
    with pytest.raises(ArithmeticError, match="decides nothing"):
        identity(x - y, {x: 1}, "")


def test_balls_that_overlap_decide_nothing():
    wide = flint.arb(1, 0.5)
    with pytest.raises(ArithmeticError, match="are not told apart"):
        inequalities([("a wide ball", flint.arb(1), wide)], "")
    with pytest.raises(ArithmeticError, match="no instance"):
        inequalities([], "")
    found = inequalities(
        [("1, 2", flint.arb(1), flint.arb(2)), ("2, 1", wide + 2, flint.arb(1))], ""
    )
    assert (found.outcome, found.cases) == ("refuted", 2)


# --- what they rest on, by other means ---


@pytest.mark.parametrize("turn", [0.1, 0.5, 0.9])
def test_the_tangent_kernel_is_the_mean_over_random_weights(turn):
    """The quadrature of both expectations over the plane, by mpmath."""
    theta = mpmath.pi * turn
    both = mpmath.quad(
        lambda a: 1 if mpmath.cos(a) > 0 < mpmath.cos(a - theta) else 0,
        [-mpmath.pi, -mpmath.pi / 2, theta - mpmath.pi / 2, mpmath.pi / 2, mpmath.pi],
    ) / (2 * mpmath.pi)
    products = (
        mpmath.quad(
            lambda a: max(mpmath.cos(a), 0) * max(mpmath.cos(a - theta), 0),
            [-mpmath.pi, -mpmath.pi / 2, theta - mpmath.pi / 2, mpmath.pi / 2, mpmath.pi],
        )
        / mpmath.pi
    )  # E |w|^2 = 2 over 2 pi
    truth = mpmath.cos(theta) * both + products
    with flint.ctx.workprec(80):
        found = float(networks._kernel(Fraction(turn).limit_denominator(10)))
    assert found == pytest.approx(float(truth), abs=1e-9)


def test_the_dual_activation_is_an_expectation():
    """E phi(x) phi(y) of (h_1 + h_3) / sqrt 2 at correlation 0.6, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    u, v = np.meshgrid(nodes, nodes)
    mass = np.outer(weights, weights) / (2 * math.pi)

    def phi(x):
        return (x + (x**3 - 3 * x) / math.sqrt(6)) / math.sqrt(2)

    truth = (mass * phi(u) * phi(0.6 * u + 0.8 * v)).sum()
    with flint.ctx.workprec(80):
        half = Fraction(1, 2)
        found = float(networks._decorrelate(flint.arb(3) / 5, half))
    assert found == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("x", [-0.75, 0.25, 1.25])
def test_the_best_denoiser_is_the_posterior_mean(x):
    """By mpmath's quadrature of E[clean | noisy] over the mixture."""
    with mpmath.workdps(25):
        noise = mpmath.mpf(1) / 16

        def density(c):
            return sum(mpmath.exp(-((c - m) ** 2) * 2) for m in (-1, 1))

        def joint(c):
            return density(c) * mpmath.exp(-((x - c) ** 2) / (2 * noise))

        points = [-6, -1, x, 1, 6]
        mean = mpmath.quad(lambda c: c * joint(c), points) / mpmath.quad(joint, points)
        score = mpmath.diff(lambda c: mpmath.log(density(c)), x)
    with flint.ctx.workprec(100):
        found, of_density = networks._denoised(Fraction(x), Fraction(1, 16), 1)
    assert float(found) == pytest.approx(float((mean - x) / noise), rel=1e-9)
    assert float(of_density) == pytest.approx(float(score), rel=1e-9)


def test_the_norm_under_weight_decay_settles_where_it_is_said_to():
    """Gradient steps on a normalised linear loss, in the plane, with a gradient of length 1."""
    rate, decay = 0.05, 0.1
    w = np.array([3.0, 0.0])
    for n in range(6000):
        normal = np.array([-w[1], w[0]]) / np.linalg.norm(w)
        w = w - rate * ((-1) ** n * normal / np.linalg.norm(w) + decay * w)
    assert np.linalg.norm(w) ** 4 == pytest.approx(rate / (2 * decay), rel=0.01)


def test_minimisers_of_the_toy_are_roots():
    with flint.ctx.workprec(100):
        spread = float(normalisation._spread(1, 8))
    small, large = (mpmath.findroot(lambda z, n=n: n / (1 + mpmath.exp(z)) - z, 1) for n in (1, 8))
    assert spread == pytest.approx(float(large - small), rel=1e-12)


def test_backward_growth_is_that_of_differences():
    """The gradient of a layer with BN against central differences of the same layer."""
    random = np.random.default_rng(3)
    depth = 3
    growth = simulations._backward_growth(depth, random, orthogonal=True)
    random = np.random.default_rng(3)
    start = random.standard_normal((16, 16))
    layers = [simulations._orthogonal(random, 16) for _ in range(depth)]
    cotangent = random.standard_normal((16, 16))

    def loss(x):
        for weights in layers:
            x = x @ weights.T
            x = x / np.sqrt((x**2).mean(axis=0))
        return (cotangent * x).sum()

    gradient = np.zeros((16, 16))
    for place in np.ndindex(16, 16):
        step = np.zeros((16, 16))
        step[place] = 1e-5
        gradient[place] = (loss(start + step) - loss(start - step)) / 2e-5
    truth = math.log(np.linalg.norm(gradient) / np.linalg.norm(cotangent))
    assert growth == pytest.approx(truth, abs=1e-6)


def test_moments_of_normal_symbols_are_those_of_quadrature():
    a, b = sympy.symbols("a b", real=True)
    polynomial = (1 + 2 * a - 3 * b + a * b) ** 4
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    u, v = np.meshgrid(nodes, nodes)
    values = sympy.lambdify((a, b), polynomial)(u, v)
    truth = (np.outer(weights, weights) * values).sum() / (2 * math.pi)
    assert float(networks._gaussian_mean(polynomial, (a, b))) == pytest.approx(truth, rel=1e-12)
