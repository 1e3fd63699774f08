"""H-consistency: T derived, its inverse, the true infimum of regrets, and the checks, which false
statements do not pass.
"""

import itertools
import math
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
import sympy
from softproof.derivations.arithmetic.systems import balls, symbols
from softproof.derivations.h_consistency import transform as theory
from softproof.derivations.h_consistency.conditional_regret import (
    Point,
    certified_least_error,
    conditional_error,
    infimum,
    least_error,
    least_error_predicting,
    minimizability_gap,
)
from softproof.derivations.h_consistency.smooth_adversarial import (
    LinearScores,
    phi,
    smooth_adversarial,
    smooth_adversarial_gradient,
)
from softproof.kernels.h_consistency.transform import (
    GAMMA_ULP_BOUND,
    TRANSFORM_ULP_BOUND,
    consistency_gamma,
    consistency_transform,
)
from softproof.verify.studies import h_consistency as checks

HALF = Fraction(1, 2)
MP = mpmath.MPContext()
MP.prec = 300

# --- T: derived, in any precision, in float64 ---


@pytest.mark.parametrize("branch", ["tau = 1", "tau < 2"])
def test_the_derived_transform_is_the_published_one(branch):
    assert theory.excess_over_published(branch) == 0


def test_the_derived_transform_exceeds_the_published_one_beyond_two():
    excess = theory.excess_over_published("tau >= 2")
    assert sympy.simplify(excess.subs(theory.TAU, 2)) == 0
    assert excess.subs({theory.TAU: 3, theory.B: HALF, theory.SIGMA: HALF}) > 0


def test_another_published_formula_would_be_told_from_the_derived_one(monkeypatch):
    wrong = theory.published("tau < 2") * 2 ** (1 - theory.TAU)
    monkeypatch.setattr(theory, "published", lambda branch: wrong)
    assert theory.excess_over_published("tau < 2") != 0


def test_the_derivation_itself_at_a_point_by_brute_force():
    """T(b; sigma) is the gain of the best share, found by a search."""
    b, tau, sigma = 0.4, 1.3, 0.25

    def error(s):
        loss = [(v ** (tau - 1) - 1) / (1 - tau) for v in (s, 2 * sigma - s)]
        return (1 + b) / 2 * loss[0] + (1 - b) / 2 * loss[1]

    gain = error(sigma) - min(error(s) for s in np.linspace(1e-6, 2 * sigma - 1e-6, 20001))
    values = {theory.B: b, theory.TAU: tau, theory.SIGMA: sigma}
    assert abs(float(theory.derived("tau < 2").transform.subs(values)) - gain) < 1e-8


@pytest.mark.parametrize("tau", [0, HALF, 1, 1 + Fraction(1, 2**60), 1.5, 1.999, 2, 3])
def test_both_big_arithmetics_agree_on_the_transform(tau):
    for b, precision in itertools.product((2.0**-30, 0.3, 1.0), (53, 200)):
        value = theory.transform(b, tau, 5, precision)
        with flint.ctx.workprec(precision + 300):
            exact = theory.transform_ball(flint.arb(b), tau, 5)
            mantissa, exponent = (int(v) for v in value.man_exp)
            off = abs(flint.arb((mantissa, exponent)) - exact) / exact
            assert off < flint.arb((1, 2 - precision))


DRAWN_TAUS = (0.0, 0.3, 1 - 1e-9, 1.0, 1 + 2.0**-52, 1.2, 1.6, 1.999, 2 - 2.0**-40, 2.0, 2.7)


@pytest.mark.parametrize("tau", DRAWN_TAUS)
def test_the_kernels_against_big_floats(tau):
    rng = np.random.default_rng(1)
    near_one, small = 1 - 10 ** rng.uniform(-14, -1, 6), 10 ** rng.uniform(-12, 0, 6)
    for b in np.concatenate([near_one, small, rng.uniform(size=6), [1.0]]).tolist():
        exact = theory.transform(b, tau, 4, 150)
        assert ulps(consistency_transform(b, tau, 4), exact) <= TRANSFORM_ULP_BOUND
        y = float(exact) * float(rng.uniform(0.9, 1))
        assert ulps(consistency_gamma(y, tau, 4), theory.gamma(y, tau, 4, 150)) <= GAMMA_ULP_BOUND


def ulps(computed, exact):
    return float(abs(MP.mpf(float(computed)) - exact) / MP.mpf(math.ulp(float(exact))))


def test_a_plain_evaluation_of_the_published_formula_is_far_beyond_the_bound():
    b, tau = 1e-6, 0.5
    a = 1 / (2 - tau)
    plain = 2 ** (1 - tau) / (1 - tau) * (1 - (((1 + b) ** a + (1 - b) ** a) / 2) ** (2 - tau))
    assert ulps(plain, theory.transform(b, tau, 2, 150)) > 1e3


def test_ends_and_shapes_of_the_kernels():
    assert consistency_transform([[0.0, 1.0]], 0.0, 2).tolist() == [[0.0, 1.0]]
    assert consistency_gamma([0.0, 1.0, 2.0, np.inf], 0.0, 2).tolist() == [0.0, 1.0, 1.0, 1.0]
    assert consistency_gamma(0.1, 2.0, 5) == 0.5
    assert consistency_gamma(1e300, 1.7, 5) == 1.0
    for call, words in (
        (lambda: consistency_transform(1.5, 1.0, 2), "b must be in"),
        (lambda: consistency_gamma(-1.0, 1.0, 2), "y must be 0 or more"),
        (lambda: consistency_gamma(np.nan, 1.0, 2), "y must be 0 or more"),
        (lambda: consistency_gamma(1.0, -1.0, 2), "tau must be finite"),
        (lambda: consistency_gamma(1.0, 1.0, 1), "classes must be at least 2"),
        (lambda: theory.transform(2, 1, 2), "b must be in"),
        (lambda: theory.gamma(-1, 1, 2), "y must be finite"),
        (lambda: theory.gamma(1, 1, 1), "classes must be at least 2"),
        (lambda: infimum(2, 1, 2), "b must be in"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


# --- conditional errors: closed forms against certified minimisation ---


def random_p(rng, classes):
    return [Fraction(int(v), 1000) for v in rng.multinomial(1000, rng.dirichlet(np.ones(classes)))]


def near_optimum(p, h, tau):
    """Positive rational s near the optimum, with the largest entry at h if that is asked for."""
    exponent = 1 / (2 - float(tau)) if tau < 2 else 60.0
    level = np.array([float(q) for q in p])
    if h is not None:
        order = sorted((k for k in range(len(p)) if k != h), key=lambda k: -level[k])
        tied = [h]
        for k in order:
            if level[k] > np.mean(level[tied]):
                tied.append(k)
        level[tied] = np.mean(level[tied])
    s = [Fraction(float(v)) + Fraction(1, 2**70) for v in (level / level.max()) ** exponent]
    if h is not None:
        s[h] = max(s)
    return [v / sum(s) for v in s]


@pytest.mark.parametrize("tau", [0, HALF, 1, 1.25, 1.75])
@pytest.mark.parametrize("predicting", [False, True])
def test_closed_forms_lie_in_what_the_certified_minimisation_encloses(tau, predicting):
    rng = np.random.default_rng(7)
    with flint.ctx.workprec(200):
        for _ in range(15):
            p = random_p(rng, int(rng.integers(2, 7)))
            h = int(rng.integers(len(p))) if predicting else None
            enclosure = certified_least_error(p, near_optimum(p, h, tau), tau, h)
            closed = least_error(p, tau) if h is None else least_error_predicting(p, h, tau)
            assert enclosure.overlaps(closed)
            assert enclosure.rad() < 1e-3


def test_a_wrong_closed_form_does_not_lie_there():
    p = [Fraction(6, 10), Fraction(3, 10), Fraction(1, 10)]
    with flint.ctx.workprec(200):
        enclosure = certified_least_error(p, near_optimum(p, 1, HALF), HALF, 1)
        assert not enclosure.overlaps(least_error(p, HALF))  # the constraint forgotten
        assert not enclosure.overlaps(least_error_predicting(p, 2, HALF))


@pytest.mark.parametrize("tau", [2, 2.5, 4])
def test_concave_errors_are_least_at_vertices(tau):
    rng = np.random.default_rng(3)
    with flint.ctx.workprec(100):
        for _ in range(10):
            p = random_p(rng, 4)
            for h in range(4):
                least = least_error_predicting(p, h, tau)
                others = [k for k in range(4) if k != h]
                vertices = [
                    conditional_error(p, [flint.arb(int(k in (h, *j))) / (1 + size)
                                          for k in range(4)], tau)
                    for size in range(4)
                    for j in itertools.combinations(others, size)
                ]  # fmt: skip
                assert any(v.overlaps(least) for v in vertices)
                assert not any(v < least for v in vertices)
                for _ in range(20):
                    s = rng.dirichlet(np.ones(4))
                    s[[h, int(np.argmax(s))]] = s[[int(np.argmax(s)), h]]
                    assert not conditional_error(p, [flint.arb(v) for v in s], tau) < least - 1e-12


def test_minimizability_gaps():
    rng = np.random.default_rng(4)
    with flint.ctx.workprec(100):
        for tau in (0, 1, 1.5, 2.5, None):
            points = [Point(Fraction(1, 5), k % 2, tuple(random_p(rng, 3))) for k in range(5)]
            gap = minimizability_gap(points, tau)
            assert gap > 0
            apart = [Point(x.weight, k, x.p) for k, x in enumerate(points)]
            assert abs(minimizability_gap(apart, tau)) < 1e-20


# --- the infimum ---


@pytest.mark.parametrize("tau", [0.5, 1, 1.25, 1.5, 1.7, 1.9, 2, 2.5])
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_no_sampled_regret_is_below_the_infimum(tau, classes):
    """Random p, biased towards equal and vanishing classes, with the best s for the prediction."""
    rng = np.random.default_rng(5)
    with flint.ctx.workprec(80):
        for _ in range(40):
            p = sorted(random_p(rng, classes), reverse=True)
            p[0] += p[-1] if rng.random() < 0.5 else 0
            p[-1] = 1 - sum(p[:-1])
            h = int(rng.integers(classes))
            b = max(p) - p[h]
            regret = least_error_predicting(p, h, tau) - least_error(p, tau)
            assert not regret < infimum(b, tau, classes).value - 1e-15


@pytest.mark.parametrize("tau", [0.5, 1, 1.25, 1.5, 1.7, 1.9, 2, 2.5])
def test_the_infimum_is_that_of_its_distribution(tau):
    with flint.ctx.workprec(100):
        for b, n in itertools.product((0.2, 0.5, 0.9), (2, 3, 5)):
            found = infimum(b, tau, n)
            p = [Fraction(v) for v in found.distribution]
            p[0] += 1 - sum(p)
            regret = least_error_predicting(p, 1, tau) - least_error(p, tau)
            assert abs(regret / found.value.upper() - 1) < 1e-6


@pytest.mark.parametrize("tau", [1.25, 1.4, 1.5])
def test_up_to_three_halves_the_infimum_is_that_of_two_classes(tau):
    with flint.ctx.workprec(100):
        for b in (0.1, 0.5, 1.0):
            two = theory.transform_ball(flint.arb(b), tau, 2)
            paper = theory.transform_ball(flint.arb(b), tau, 7)
            assert infimum(b, tau, 7).value.overlaps(two)
            assert infimum(b, tau, 7).value > 1.3 * paper


def test_beyond_three_halves_three_classes_may_be_worse_than_two():
    with flint.ctx.workprec(100):
        two = theory.transform_ball(flint.arb(0.5), 1.8, 2)
        found = infimum(0.5, 1.8, 3)
        assert found.tied == 3
        assert found.value < 0.87 * two
        assert found.value > 1.1 * theory.transform_ball(flint.arb(0.5), 1.8, 3)


def test_where_the_published_bound_is_attained():
    verdicts = {
        (0.5, 5): "attained",
        (1.0, 5): "attained",
        (1.5, 2): "attained",
        (1.5, 3): "not attained: F/T >= 1.225",
        (2.0, 2): "attained",
        (2.0, 3): "attained up to b = 0.5",
        (2.5, 2): "not attained: F/T >= 1.828",
    }
    found = {key: checks.attainment(*key).verdict for key in verdicts}
    assert found == verdicts


# --- the checks: true statements are proven, false ones refuted with an instance ---


def scaled(factor):
    return lambda b, tau, classes: factor * theory.transform_ball(b, tau, classes)


def for_two_classes(b, tau, classes):
    return theory.transform_ball(b, tau, 2)


@pytest.mark.parametrize("tau", [0, 0.5, 1, 1.5, 1.75, 2, 2.5])
def test_true_statements_are_proven(tau):
    for n in (2, 4):
        assert checks.bound_holds(tau, n, trials=8).proven
        assert checks.below_the_infimum(tau, n).proven
        assert checks.rises_and_is_convex(tau, n, pieces=12).proven
        assert checks.inverse(tau, n).proven
    assert checks.adversarial(tau, trials=8).proven
    assert checks.limit(2 if tau > 1 else 1, 3).proven


@pytest.mark.parametrize(
    ("tau", "classes", "transform"),
    [
        (0, 3, scaled(1.0001)),
        (1, 2, scaled(1.0001)),
        (1.5, 2, scaled(1.0001)),
        (1.5, 5, lambda b, tau, n: 1.0001 * for_two_classes(b, tau, n)),
        (1.8, 3, for_two_classes),  # true up to 3/2
        (2, 3, scaled(1.0001)),
        (2, 3, for_two_classes),
    ],
)
def test_a_transform_that_is_too_large_is_refuted(tau, classes, transform):
    for statement in (checks.bound_holds, checks.below_the_infimum):
        check = statement(tau, classes, transform=transform)
        assert not check.proven
        assert "p = [" in check.verdict


def test_a_transform_that_is_not_convex_falls_or_jumps_is_refuted():
    def root(b, tau, classes):
        return b.sqrt()

    def falling(b, tau, classes):
        return 1 - b

    def jumping(b, tau, classes):
        return theory.transform_ball(b, tau, classes) + (flint.arb(1) / 8 if tau > 1 else 0)

    assert "not convex" in checks.rises_and_is_convex(0.5, 2, transform=root).verdict
    assert "falls" in checks.rises_and_is_convex(0.5, 2, transform=falling).verdict
    assert "refuted" in checks.limit(1, 2, transform=jumping).verdict


def test_a_derivation_with_another_published_formula_is_refuted(monkeypatch):
    assert checks.derivation().proven
    monkeypatch.setattr(theory, "published", lambda branch: theory.B)
    assert "refuted" in checks.derivation().verdict


def test_false_adversarial_statements_are_refuted():
    assert "refuted" in checks.adversarial(1, trials=60, constant=6.0).verdict
    assert "refuted" in checks.adversarial(1, trials=60, nu_over=-1.0).verdict


# --- smooth adversarial losses ---


def test_the_adversarial_gradient_is_the_derivative():
    xp = symbols()
    d, spread, tau = sympy.symbols("d_1:4", real=True), sympy.Symbol("s"), sympy.Rational(3, 2)
    loss = smooth_adversarial(xp.vector(d), spread, tau, 2, 3, xp)
    gradient, slope = smooth_adversarial_gradient(xp.vector(d), spread, tau, 2, 3, xp)
    for x, g in zip(d, gradient, strict=True):
        off = sympy.diff(loss, x) - g
        assert abs(off.subs(dict(zip(d, (0.3, -1.1, 2.0), strict=True))).evalf(30)) < 1e-14
    assert sympy.diff(loss, spread) == slope


@pytest.mark.parametrize("tau", [0, 1, 1.5])
def test_the_smooth_loss_is_above_the_adversarial_one_at_every_perturbation(tau):
    rng, xp = np.random.default_rng(6), balls()
    rho, gamma = 1.0, 0.3
    for _ in range(5):
        weights = rng.normal(size=(3, 2))
        scores = LinearScores(weights.tolist(), [0.0, 0.1, -0.1], gamma)
        x, nu = rng.normal(size=2), flint.arb(2).sqrt() / rho
        margins = np.array(scores.margins(x.tolist(), 0), dtype=object)
        spread = scores.spread_from_below(0)
        smooth = smooth_adversarial(margins, flint.arb(0), tau, rho, 0, xp) + nu * spread
        for angle in np.linspace(0, 2 * np.pi, 25):
            there = x + gamma * 0.999 * np.array([np.cos(angle), np.sin(angle)])
            margin_losses = [
                (1 - m / rho).max(flint.arb(0)).min(flint.arb(1))
                for m in scores.margins(there.tolist(), 0)
            ]
            assert phi(sum(margin_losses, flint.arb(0)), tau, xp) <= smooth


def test_the_spread_is_the_spectral_norm_and_errors_are_those_of_the_nearest_boundary():
    scores = LinearScores([[0.0, 0.0], [3.0, 4.0]], [1.0, 0.0], 0.1)
    assert abs(scores.spread_from_below(0) - 0.5) < 1e-12
    assert scores.errs([0.0, 0.0], 0) is False  # D = 1, and falls by 1/2
    assert scores.errs([0.1, 0.1], 0) is True
    assert scores.errs([0.0, 0.0], 1) is True
