"""Bounds for bent logits: nothing that certify finds lies outside, and the sharp one is attained.

The bounds know C alone; each is attacked with random and with extreme curvatures b in [-C, C]^K,
whose radius ``certify`` encloses.
"""

import math

import flint
import mpmath
import numpy as np
import pytest
from softproof.derivations.step_radius import curvature as module
from softproof.derivations.step_radius.certify import certify
from softproof.derivations.step_radius.curvature import (
    radius_with_curvature,
    rouche_proposition,
    spread_with_curvature,
)

MP = mpmath.MPContext()
MP.dps = 40


def bent(rng, bound, classes):
    """Curvatures in [-C, C]^K: some anywhere, some at the corners."""
    yield from (bound * rng.uniform(-1, 1, classes) for _ in range(2))
    yield from (bound * rng.choice([-1.0, 1.0], classes) for _ in range(4))


def problems(seed, sizes=(2, 3, 10), kappas=(0.01, 0.1, 0.3)):
    """Logits, slopes, and C = kappa Delta^2 / pi^2."""
    rng = np.random.default_rng(seed)
    for classes in sizes:
        for kappa in kappas:
            for scale in (0.5, 3.0):
                z, a = scale * rng.normal(size=classes), rng.normal(size=classes)
                yield z, a, kappa * float(np.ptp(a) / math.pi) ** 2


def worst_case(delta, bound):
    """Two classes with b = (C, -C) whose zero is where hypot(s, pi / (Delta + 4 C s)) is least."""
    s = MP.findroot(
        lambda s: s * (delta + 4 * bound * s) ** 3 - 4 * bound * MP.pi**2,
        (0, MP.sqrt(MP.pi / (4 * bound))),
        solver="anderson",
        tol=1e-60,
    )
    y = MP.pi / (delta + 4 * bound * s)
    # The exponents differ by z + Delta t + 2 C t^2 = i pi at t = s + iy.
    z = -(delta * s + 2 * bound * (s * s - y * y))
    return (float(z), 0.0), (delta / 2, -delta / 2), (bound, -bound), MP.hypot(s, y)


# ---------------------------------------------------------------------- the slopes and C alone


@pytest.mark.parametrize("delta", [1e-6, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("bound", [1e-9, 0.01, 1.0, 1e4])
def test_the_bound_is_the_minimum_rounded_down(delta, bound):
    *_, least = worst_case(delta, bound)
    value = spread_with_curvature([delta / 2, 0.0, -delta / 2], bound)
    assert least * (1 - 1e-14) <= value <= least


@pytest.mark.parametrize("bits", [8, 16, 24, 128])
def test_the_turning_point_is_bracketed_at_every_precision(bits):
    rng = np.random.default_rng(8)
    for delta, c4 in np.exp(rng.uniform(-3, 3, (40, 2))):
        s = MP.findroot(
            lambda s, d=delta, c=c4: s * (d + c * s) ** 3 - c * MP.pi**2,
            (0, MP.sqrt(MP.pi / c4)),
            solver="anderson",
            tol=1e-60,
        )
        with flint.ctx.workprec(bits):
            low, high = module._turning_point(flint.arb(delta), flint.arb(c4))
        assert MP.mpf(low.str(40, radius=False)) <= s * (1 + MP.mpf(10) ** -35)
        assert MP.mpf(high.str(40, radius=False)) >= s * (1 - MP.mpf(10) ** -35)


@pytest.mark.parametrize("delta", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("bound", [0.003, 0.1, 2.0])
def test_the_bound_is_attained_by_two_classes(delta, bound):
    z, a, b, least = worst_case(delta, bound)
    assert abs(certify(z, a, b).upper / least - 1) < 1e-12


@pytest.mark.parametrize(("slopes", "truth"), [([1.0, -1.0], MP.pi / 2), ([3.0, 3.0], MP.inf)])
def test_without_curvature_it_is_the_spread_bound(slopes, truth):
    assert truth * (1 - MP.mpf(2) ** -52) <= spread_with_curvature(slopes, 0.0) <= truth


def test_without_slopes_it_is_the_radius_of_opposite_curvatures():
    value = spread_with_curvature([1.0, 1.0], 0.5)
    assert value <= certify([0.0, 0.0], [1.0, 1.0], [0.5, -0.5]).lower
    assert value == pytest.approx(math.sqrt(math.pi), rel=1e-15)


def test_the_loss_is_of_second_order():
    for _, a, bound in problems(1):
        delta = float(np.ptp(a))
        c = 4 * math.pi * bound / delta**2
        assert spread_with_curvature(a, bound) >= math.pi / delta / math.sqrt(1 + c * c) * (
            1 - 1e-15
        )


def search(lower_bound, seed=2):
    """Problems whose radius is below a lower bound of (logits, slopes, C)."""
    rng = np.random.default_rng(seed)
    tried = [(z, a, b, c) for z, a, c in problems(seed) for b in bent(rng, c, len(z))]
    tried += [(*worst_case(delta, c)[:3], c) for delta in (0.5, 2.0) for c in (0.01, 0.1, 1.0)]
    for z, a, b, c in tried:
        bound = lower_bound(z, a, c)
        if bound is not None and certify(z, a, b).upper < bound * (1 - 1e-12):
            yield z, a, b, c


def test_no_radius_is_below_the_bound():
    assert not list(search(lambda z, a, c: spread_with_curvature(a, c)))


def test_the_search_catches_a_bound_with_half_of_the_curvature():
    # 2 C |s| instead of 4 C |s|: as if one class alone could bend.
    assert list(search(lambda z, a, c: spread_with_curvature(a, c / 2)))


# ------------------------------------------------------------------------ from the linear radius


def outside(sizes, seed=3):
    """Problems whose radius is not in the interval, and how many were tried."""
    rng = np.random.default_rng(seed)
    found, tried, finite = [], 0, 0
    for z, a, c in problems(seed, sizes, kappas=(0.003, 0.03, 0.1)):
        interval = radius_with_curvature(z, a, c)
        finite += interval.upper < math.inf
        for b in bent(rng, c, len(z)):
            bent_radius = certify(z, a, b)
            tried += 1
            if bent_radius.upper < interval.lower or bent_radius.lower > interval.upper:
                found.append((z, a, b, c))
    assert finite >= 4
    return found, tried


def test_every_bent_radius_is_in_the_interval():
    found, tried = outside((2, 3, 10))
    assert tried >= 100
    assert not found


def test_the_search_catches_an_interval_that_takes_the_excess_too_small(monkeypatch):
    excess = module._excess
    monkeypatch.setattr(module, "_excess", lambda c, r: excess(c, r) / 16)
    monkeypatch.setattr(module._Problem, "_margin", weakened(module._Problem._margin))
    found, _ = outside((2,))
    assert found


def weakened(margin):
    def weak(problem, centre, radius):
        bend, problem._bend = problem._bend, problem._bend / 16
        value = margin(problem, centre, radius)
        problem._bend = bend
        return value

    return weak


def test_the_interval_closes_in_on_the_linear_radius():
    z, a = [0.0, 1.0, 0.5], [1.0, -1.0, 0.25]
    intervals = [radius_with_curvature(z, a, c) for c in (1e-2, 1e-4, 1e-6)]
    for interval in intervals:
        assert interval.lower <= interval.linear.lower <= interval.linear.upper <= interval.upper
    # The upper end comes closer like C; the lower one stays a factor of 1 - 2^-10 away.
    above = [interval.upper / interval.linear.upper - 1 for interval in intervals]
    assert above[2] < 2e-2 * above[1] < 4e-4 * above[0]
    assert intervals[2].lower > intervals[2].linear.lower * (1 - 2.0**-9)
    assert radius_with_curvature(z, a, 0.0)[:2] == certify(z, a)[:2]


def test_what_is_proven_on_a_circle_holds_at_all_of_its_points():
    for z, a, c in problems(4, sizes=(3, 6)):
        linear = certify(z, a)
        problem = module._Problem(module.read_classes(z, a), c)
        proven = 0
        for fraction in (0.3, 0.6, 0.8, 0.95):
            radius = fraction * linear.lower
            t = radius * np.exp(1j * np.linspace(0, math.pi, 2000))[:, None]
            terms = np.exp(z + a * t)
            ratio = abs(terms.sum(axis=1)) / abs(terms).sum(axis=1)
            least = ratio.min() - math.expm1(c * radius**2)
            with module.flint.ctx.workprec(128):
                verdict = problem.dominates(module.flint.acb(0), radius)
            proven += verdict
            assert verdict == (least > 0) or abs(least) < 1e-3
        assert proven > 0


def test_too_much_curvature_leaves_the_upper_end_open():
    interval = radius_with_curvature([0.0, 1.0, 0.5], [1.0, -1.0, 0.25], 10.0)
    assert interval.upper == math.inf
    assert interval.lower == spread_with_curvature([1.0, -1.0, 0.25], 10.0)


def test_equal_slopes_have_a_bent_radius_but_no_linear_one():
    interval = radius_with_curvature([0.0, 1.0], [2.0, 2.0], 0.5)
    assert interval.linear.lower == interval.upper == math.inf
    assert interval.lower == spread_with_curvature([2.0, 2.0], 0.5)


# ------------------------------------------------------------------------ the paper's proposition


def test_the_proposition_is_its_formula():
    for z, a, c in problems(5, kappas=(0.001, 0.01)):
        w = [MP.exp(x) for x in z]
        delta, least = MP.mpf(max(a)) - MP.mpf(min(a)), min(w) / MP.fsum(w)
        eps = MP.mpf(c) * MP.pi**2 / (2 * delta**2 * least)
        value = rouche_proposition(z, a, c)
        if eps >= 1:
            assert value is None
        else:
            truth = MP.pi / delta * (1 - eps)
            assert truth * (1 - 1e-15) <= value <= truth


def test_no_radius_is_below_the_proposition():
    assert not list(search(rouche_proposition, seed=6))


def test_it_is_never_better_than_the_slopes_alone():
    said = 0
    for z, a, c in problems(7, kappas=(0.001, 0.01, 0.1, 0.3)):
        value = rouche_proposition(z, a, c)
        if value is not None:
            said += 1
            assert value <= spread_with_curvature(a, c)
    assert said >= 8


def test_its_proof_holds_on_a_grid():
    # Delta r + 2 C r^2 < pi at r = (pi / Delta)(1 - eps), Delta = 1, for the least eps of this C.
    eps = np.linspace(1e-6, 1, 1000)
    r = math.pi * (1 - eps)
    assert (r + 2 * (eps / math.pi**2) * r**2 < math.pi).all()


def test_with_weights_that_are_not_normalised_it_would_be_false():
    # Logits 10 higher, the same softmax and the same zeros: e^-10 of eps, and a bound too large.
    z, a, b, _ = worst_case(1.0, 0.05)
    eps = 0.05 * math.pi**2 / (2 * min(math.exp(x + 10) for x in z))
    assert certify([x + 10 for x in z], a, b).upper < math.pi * (1 - eps)


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("bound", [-1.0, math.nan, math.inf])
def test_a_bound_that_is_none_is_refused(bound):
    z, a = [0.0, 1.0], [1.0, -1.0]
    for call in (
        lambda: spread_with_curvature(a, bound),
        lambda: radius_with_curvature(z, a, bound),
        lambda: rouche_proposition(z, a, bound),
    ):
        with pytest.raises(ValueError, match="curvature must be a finite bound C >= 0"):
            call()


def test_equal_slopes_leave_the_proposition_without_a_word():
    assert rouche_proposition([0.0, 1.0], [2.0, 2.0], 0.1) is None


def test_masked_classes_do_not_count():
    z, a = [0.0, 1.0, 0.5], [1.0, -1.0, 0.25]
    masked = [*z, -math.inf], [*a, 99.0]
    assert rouche_proposition(*masked, 0.01) == rouche_proposition(z, a, 0.01)
    assert radius_with_curvature(*masked, 0.01)[:2] == radius_with_curvature(z, a, 0.01)[:2]
