"""A place where an implementation may round once more: one rounding in the bound, and no more."""

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.derivations.arithmetic.reverse_mode import vector_jacobian_product
from softproof.derivations.running_error import Model, RunningErrorArithmetic
from softproof.derivations.running_error.adversary import Adversary

U = 2.0**-24
MODEL = Model.of(BINARY32)


@pytest.mark.parametrize("x", [1.0, -3.5, 2.0**-140, 0.0])
def test_its_bound_is_one_rounding(x):
    error = float(RunningErrorArithmetic(MODEL).rounded(np.array([x])).error[0])
    assert U * abs(x) <= error <= U * abs(x) * (1 + 2.0**-20) + 2.0**-150


def test_a_form_without_it_is_exceeded_by_who_rounds_there():
    """x s - m s, as computed, beside (x - m) s: near m the roundings of the products are seen."""
    x, m, s = np.float32(1.1), np.float32(1.0999999), np.float32(0.7)
    exact = (float(x) - float(m)) * float(s)
    off = abs(float(x * s - m * s) - exact)
    xp = RunningErrorArithmetic(MODEL)
    numbers = [xp.array(np.array([v], dtype=float)) for v in (x, m, s)]
    plain = float(((numbers[0] - numbers[1]) * numbers[2]).error[0])
    known = float(((xp.rounded(numbers[0]) - xp.rounded(numbers[1])) * numbers[2]).error[0])
    assert plain < off <= known


def test_the_adversary_rounds_there_and_stays_within():
    found = Adversary(MODEL, "up", np.random.default_rng(0)).rounded(np.array([1.5]))
    assert 0 < abs(float(found.value[0]) - 1.5) <= U * 1.5 * (1 + 2.0**-20)


def test_its_derivative_is_1():
    xp = RunningErrorArithmetic(MODEL)
    arguments = {"x": xp.array(np.array([1.5, -2.0]))}
    cotangent = xp.array(np.array([1.0, 3.0]))
    formula = lambda x, xp: xp.rounded(x)  # noqa: E731
    _, products = vector_jacobian_product(formula, arguments, cotangent, xp, wrt=["x"])
    assert products["x"].value.tolist() == [1.0, 3.0]
