"""Zeros, linear equations and singular values: enclosed, and no implementation errs by more.

The truth is that of balls; the tester errs as much as its class allows, by bisection and by
elimination.
"""

import flint
import numpy as np
import pytest
from softproof.derivations.arithmetic.balls import balls
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32
from softproof.derivations.arithmetic.reverse_mode import vector_jacobian_product
from softproof.derivations.running_error import Model, RunningErrorArithmetic, threshold
from softproof.derivations.running_error.adversary import SIGNS, Adversary
from softproof.derivations.running_error.model import rounded_to
from softproof.derivations.running_error.thresholds import admissible

MODELS = {
    "float32": Model.of(BINARY32, accumulator="input"),
    "float32, flushing": Model.of(BINARY32, flushes=True, division=2.5),
    "float16": Model.of(BINARY16, accumulator="input"),
    "bfloat16 from float32": Model.of(BFLOAT16, arithmetic="float32"),
}


def square_root(x, xp):
    """The zero of t^2 - x_1, whose bracket is an argument as well."""
    return xp.root(lambda t: t * t - x[0], xp.number(0), x[1])


def threshold_of_entmax(z, xp):
    """tau with sum (z_i / 2 - tau)_+^2 = 1, as 1.5-entmax has it."""
    half = z / 2
    top = xp.max(half)
    return xp.root(lambda t: xp.sum(xp.positive_part(half - t) ** 2) - 1, top - 1, top)


def normaliser(z, xp):
    """t with sum e^(z_i - t) = 1: the log-sum-exp."""
    top = xp.max(z)
    return xp.root(lambda t: xp.sum(xp.exp(z - t)) - 1, top, top + 8)


def solved(a, b, xp):
    return xp.solve(a, b)


def balanced(a, b, xp):
    """The solution with a matrix that is computed, and so off itself."""
    return xp.solve(xp.dot(a, a.T) + xp.array(np.eye(len(a))), xp.dot(a, b))


Z = np.array([0.25, -1.5, 3.0, 2.5])
MATRIX = np.array([[0.25, 2, 1, -1], [1, -1, 0.5, 2], [4, 1, -2, 0.5], [0.75, 1, 1, 3]])
PROBLEMS = {
    "square root": (square_root, [np.array([2.0, 3.0])]),
    "small square root": (square_root, [np.array([2.0**-12, 1.0])]),
    "threshold of entmax": (threshold_of_entmax, [Z]),
    "threshold of ties": (threshold_of_entmax, [np.ones(4)]),
    "threshold of one": (threshold_of_entmax, [Z[:1]]),
    "normaliser": (normaliser, [Z]),
    "one equation": (solved, [MATRIX[:1, :1], Z[:1]]),
    "two equations": (solved, [MATRIX[:2, :2], Z[:2]]),
    "four equations": (solved, [MATRIX, Z]),
    "two right sides": (solved, [MATRIX[:3, :3], MATRIX[:3, 1:3]]),
    "a computed matrix": (balanced, [MATRIX, Z]),
}


def exact(formula, arguments):
    with flint.ctx.workprec(200):
        xp = balls()
        found = np.asarray(formula(*(xp.array(a) for a in arguments), xp), dtype=object)
        return np.array([float(x.mid()) for x in np.atleast_1d(found).reshape(-1)])


def worst_ratio(formula, arguments, model, found):
    """The largest error of the adversary over the bound."""
    truth, bound = exact(formula, arguments), np.atleast_1d(admissible(found)).reshape(-1)
    rng, worst = np.random.default_rng(1), 0.0
    for signs in (*SIGNS, "drawn", "drawn", "drawn"):
        xp = Adversary(model, signs, rng)
        result = np.atleast_1d(formula(*(xp.array(a) for a in arguments), xp).value).reshape(-1)
        worst = max(worst, float(np.max(np.abs(result - truth) / bound)))
    return worst


@pytest.mark.parametrize("which", MODELS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_exact_value_is_enclosed_and_the_adversary_stays_within(name, which):
    model = MODELS[which]
    formula, arguments = PROBLEMS[name]
    arguments = [rounded_to(model.result, a) for a in arguments]
    found = threshold(formula, arguments, model)
    truth = exact(formula, arguments)
    off = np.abs(truth - np.atleast_1d(found.value).reshape(-1))
    # (The truth is rounded to binary64, by 2^-53.)
    assert (off <= np.atleast_1d(found.radius).reshape(-1) + 2.0**-53 * np.abs(truth)).all()
    assert np.max(found.radius) <= 2.0**-36 * (1 + np.max(np.abs(truth)))
    ratio = worst_ratio(formula, arguments, model, found)
    assert ratio <= 1
    if which == "float32":
        # Elimination grows 2^(n - 1)-fold at most, which these matrices are far from.
        assert ratio >= 2.0**-12 if "equations" in name or "matrix" in name else ratio > 0.01


def test_an_implementation_of_another_class_exceeds_the_bound():
    """A bracket that is left wide; elimination without pivots, where the first is tiny."""
    model = MODELS["float32"]
    found = threshold(square_root, [np.array([2.0, 3.0])], model)
    low, high = 0.0, 3.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if middle**2 < 2 else (low, middle)
    assert abs(low - 2**0.5) > admissible(found)
    a, b = np.array([[2.0**-26, 1], [1, 1]]), np.array([1.0, 2])
    found = threshold(solved, [a, b], model)
    one = np.float32
    factor = one(1) / one(a[0, 0])
    second = (one(2) - factor) / (one(1) - factor)
    first = (one(1) - second) / one(a[0, 0])
    error = np.abs(np.array([first, second], dtype=float) - np.linalg.solve(a, b))
    assert (error > admissible(found)).any()


def test_nothing_is_known_where_a_matrix_may_be_singular_or_a_sign_is_unknown():
    xp = RunningErrorArithmetic(MODELS["float32"])
    near = xp.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-23]]) * (xp.exp(xp.number(0.5)) / 2)
    assert np.isinf(xp.solve(near, xp.array([1.0, 2.0])).error).all()
    assert np.isinf(xp.solve(xp.array(np.ones((2, 2))), xp.array([1.0, 2.0])).radius).all()
    assert np.isinf(xp.root(lambda t: 0 * t, 0, 1).radius)


def test_a_function_that_is_decided_nowhere_near_its_zero_has_the_zero_anywhere_there():
    """t - c for a c that is off by many u: the computed sign is sure beyond that error alone."""
    xp = RunningErrorArithmetic(MODELS["float32"])
    off = xp.exp(xp.number(3.0)) - float(np.exp(3.0))  # near 0, off by many u
    zero = xp.root(lambda t: t - off, -1, 1)
    assert float(off.error) <= float(zero.error) <= 2.5 * float(off.error)


def test_singular_values_are_enclosed_and_their_errors_refused():
    xp = RunningErrorArithmetic(MODELS["float32"])
    for a in (MATRIX, MATRIX[:, :2], MATRIX[:2], np.ones((3, 2))):
        found = xp.singular_values(xp.array(a))
        with flint.ctx.workprec(200):
            exactly = balls().singular_values(balls().array(a))
            for value, radius, ball in zip(found.value, found.radius, exactly, strict=True):
                assert abs(ball - flint.arb(float(value))) <= flint.arb(float(radius)) + 2.0**-40
        assert np.max(found.radius) <= 2.0**-40
        assert np.isinf(found.error).all()
    column, x = xp.singular_values(xp.array(MATRIX[:, :1])), xp.array(MATRIX[:, 0])
    assert column.error[0] == xp.sqrt(xp.sum(x * x)).error > 0  # that of a norm
    wide = xp.singular_values(xp.exp(xp.array(MATRIX)))
    assert np.isfinite(wide.radius).all()


def test_derivatives_of_zeros_and_solutions_have_bounds():
    model = MODELS["float32"]
    for formula, arguments in (PROBLEMS["normaliser"], PROBLEMS["four equations"]):
        xp = RunningErrorArithmetic(model)
        named = {f"x{i}": xp.array(a) for i, a in enumerate(arguments)}
        value = formula(*named.values(), xp)
        one = xp.array(np.ones(value.shape))
        _, products = vector_jacobian_product(formula, named, one, xp, wrt=[*named])
        exactly = balls()
        with flint.ctx.workprec(120):
            balled = {f"x{i}": exactly.array(a) for i, a in enumerate(arguments)}
            ones = exactly.array(np.ones(value.shape))
            _, truth = vector_jacobian_product(formula, balled, ones, exactly, wrt=[*named])
        for name, found in products.items():
            middles = np.array([float(x.mid()) for x in truth[name].reshape(-1)])
            assert (
                np.abs(middles - found.value.reshape(-1)) <= found.radius.reshape(-1) * 1.01
            ).all()
            assert (found.error <= 2.0**-8).all()
