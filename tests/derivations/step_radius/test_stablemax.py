"""StableMax has a kink at 0 and no singularity nearer than its kinks along a step."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations import page as derive
from softproof.derivations.step_radius.stablemax import (
    curvature_jump,
    kink_radius,
    one_sided_derivatives,
    series_radius,
)

MP = mpmath.MPContext()
MP.dps = 40


def s(x):
    return x + 1 if MP.re(x) >= 0 else 1 / (1 - x)


def loss(z, a, label, t):
    weights = [s(MP.mpf(zk) + MP.mpf(ak) * t) for zk, ak in zip(z, a, strict=True)]
    return MP.log(MP.fsum(weights) / weights[label])


def series(z, a, label, terms, within):
    """Taylor coefficients of the loss by Cauchy's integral over a circle that meets no kink."""
    nodes = 4 * terms
    values = [loss(z, a, label, within * MP.expjpi(2 * MP.mpf(k) / nodes)) for k in range(nodes)]
    return [
        MP.re(MP.fsum(v * MP.expjpi(-2 * MP.mpf(k * n) / nodes) for k, v in enumerate(values)))
        / nodes
        / within**n
        for n in range(terms)
    ]


def problems(count, classes=(2, 3, 5)):
    rng = np.random.default_rng(11)
    for i in range(count):
        k = classes[i % len(classes)]
        yield rng.normal(size=k).round(3).tolist(), rng.normal(size=k).round(3).tolist()


# --- the kink ---


def test_the_one_sided_derivatives_are_those_of_difference_quotients():
    # Differences of order n of one side only, at a distance that goes to 0.
    for n in range(5):
        left, right = one_sided_derivatives(n)
        for side, value in ((-1, left), (1, right)):
            h = MP.mpf(10) ** -6 * side
            steps = [(-1) ** (n - k) * MP.binomial(n, k) * s(k * h) for k in range(n + 1)]
            # (s(-0) is taken on the right, where it has the same value.)
            assert abs(MP.fsum(steps) / h**n - int(value)) < 1e-3
    assert [one_sided_derivatives(n)[0] == one_sided_derivatives(n)[1] for n in range(4)] == [
        True,
        True,
        False,
        False,
    ]


# --- the radius ---


def test_the_first_kink_is_where_a_logit_changes_its_sign():
    for z, a in problems(30):
        radius = float(kink_radius(z, a))
        signs = {
            t: np.sign(np.array(z) + np.array(a) * t)
            for t in (0.0, *(radius * f for f in (-0.999, 0.999, -1.001, 1.001)))
        }
        assert np.array_equal(signs[0.0], signs[0.999 * radius])
        assert np.array_equal(signs[0.0], signs[-0.999 * radius])
        crossed = [not np.array_equal(signs[0.0], signs[f * radius]) for f in (1.001, -1.001)]
        assert any(crossed)


def test_no_complex_singularity_is_nearer_than_the_first_kink():
    for z, a in problems(9, classes=(2, 3, 4)):
        for label in (None, 0):
            assert series_radius(z, a, label) >= float(kink_radius(z, a))


def test_the_sum_has_no_zero_in_the_disc_by_the_argument_principle():
    for z, a in problems(12):
        radius = MP.mpf(float(kink_radius(z, a))) * MP.mpf("0.9999")
        total = [
            MP.fsum(
                (1 + w if zk >= 0 else 1 / (1 - w))
                for zk, w in (
                    (zk, zk + ak * radius * MP.expjpi(MP.mpf(k) / 50))
                    for zk, ak in zip(map(MP.mpf, z), map(MP.mpf, a), strict=True)
                )
            )
            for k in range(100)
        ]
        assert min(MP.re(v) for v in total) > 0  # theorem 1, and no winding around 0


def test_the_series_converges_to_the_loss_up_to_the_kink_and_not_beyond():
    z, a, label = [0.5, -3.0, 2.0], [-1.0, 0.3, 0.2], 0
    radius = kink_radius(z, a)
    assert radius == Fraction(1, 2)
    assert curvature_jump(z, a, label)[0] != 0
    wide = series_radius(z, a, label)
    assert wide > 1.2
    coefficients = series(z, a, label, 60, MP.mpf("0.45"))

    def partial_sum(t):
        return MP.fsum(c * t**n for n, c in enumerate(coefficients))

    for t in (0.49, -0.49, -0.9):  # on the left the next kink is far
        assert abs(partial_sum(MP.mpf(t)) - loss(z, a, label, MP.mpf(t))) < 1e-6
    beyond = MP.mpf("0.7")
    assert abs(partial_sum(beyond) - partial_sum(beyond * (1 + MP.eps))) < 1e-20
    assert abs(partial_sum(beyond) - loss(z, a, label, beyond)) > 1e-3


def test_the_radius_of_convergence_is_that_of_the_coefficients():
    z, a, label = [0.5, -3.0, 2.0], [-1.0, 0.3, 0.2], 0
    coefficients = series(z, a, label, 80, MP.mpf("0.45"))
    n = 60
    estimate = max(abs(c) for c in coefficients[n - 6 : n]) ** (-MP.mpf(1) / n)
    assert abs(estimate / series_radius(z, a, label) - 1) < 0.15


def test_the_jump_is_that_of_second_differences():
    for z, a in problems(9):
        nearest = float(kink_radius(z, a))
        for jump in curvature_jump(z, a, 0):
            where = [
                -Fraction(zk) / Fraction(ak)
                for zk, ak in zip(z, a, strict=True)
                if abs(abs(zk / ak) - nearest) < 1e-12
            ]
            t, h = MP.mpf(where[0].numerator) / where[0].denominator, MP.mpf(10) ** -9
            sides = [
                (loss(z, a, 0, t) - 2 * loss(z, a, 0, t + d) + loss(z, a, 0, t + 2 * d)) / h**2
                for d in (-h, h)
            ]
            assert abs(sides[1] - sides[0] - MP.mpf(jump.numerator) / jump.denominator) < 1e-6


def test_softmax_is_different():
    # The same step has a ghost nearer than any sign change for softmax: pi / spread.
    z, a = [50.0, 50.0], [1.0, -1.0]
    assert kink_radius(z, a) == 50 > math.pi / 2
    assert series_radius(z, a, 0) >= 50


def test_logits_that_move_together_have_a_constant_loss():
    assert series_radius([1.0, 1.0], [2.0, 2.0], label=0) == math.inf
    assert series_radius([1.0, 1.0], [2.0, 2.0]) == math.inf
    assert curvature_jump([1.0, 1.0], [2.0, 2.0], 0) == (0,)


# --- what is printed ---


@pytest.mark.parametrize("name", ["stablemax", "stablemax_cross_entropy"])
def test_derive_prints_kink_and_radius(name):
    definition = lookup(name)
    page = derive.text(definition, derive._kinks(definition, 2))  # the whole takes 10 s
    assert "s''(0-) = 2\n  s''(0+) = 0" in page
    assert f"rho {'=' if name == 'stablemax' else '>='} kappa" in " ".join(page.split())
    assert "kappa = Min(Abs(z_1)/Abs(a_1), Abs(z_2)/Abs(a_2))" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(([1.0], [1.0, 2.0]), "as many"), (([math.inf], [1.0]), "finite"), (([], []), "as many")],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        kink_radius(*arguments)
    with pytest.raises(ValueError, match="label is 5"):
        curvature_jump([1.0], [1.0], 5)
