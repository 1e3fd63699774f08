"""The radii d and w are one array where the reference is the exact value, and found once there."""

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.derivations.running_error import Model, RunningErrorArithmetic, RunningNumber
from softproof.derivations.running_error.constants import quiet

MODEL = Model.of(BINARY32)
XP = RunningErrorArithmetic(MODEL)
MASK = np.array([True, False, True, True])

RULES = {
    "sum": lambda x, y: x + y,
    "difference": lambda x, y: x - y,
    "product": lambda x, y: x * y,
    "quotient": lambda x, y: x / y,
    "negative": lambda x, y: -x,
    "power": lambda x, y: x**3,
    "total": lambda x, y: XP.sum(x),
    "mean": lambda x, y: XP.mean(x),
    "partial sums": lambda x, y: XP.cumsum(x),
    "dot": lambda x, y: XP.dot(x, y),
    "outer": lambda x, y: XP.outer(x, y),
    "entries": lambda x, y: x[1:],
    "where": lambda x, y: XP.where(MASK, x, y),
    "stack": lambda x, y: XP.stack([x, y]),
    "scatter": lambda x, y: XP.scatter((6,), slice(1, 5), x),
    "scatter twice": lambda x, y: XP.scatter((2,), np.array([0, 1, 0, 1]), x),
    "largest": lambda x, y: XP.max(x),
    "larger": lambda x, y: XP.maximum(x, y),
    "modulus": lambda x, y: XP.abs(x),
    "exp": lambda x, y: XP.exp(x),
    "log": lambda x, y: XP.log(x),
    "log of a sum": lambda x, y: XP.log(XP.sum(XP.exp(x))),
    "sqrt": lambda x, y: XP.sqrt(x),
    "rsqrt": lambda x, y: XP.rsqrt(x),
    "tanh": lambda x, y: XP.tanh(x),
    "softmax": lambda x, y: XP.softmax(x),
    "logsumexp": lambda x, y: XP.logsumexp(x),
}


def numbers(*, one):
    """Two vectors of which w is d: as one array, or as two that are equal."""
    for value in ([1.0, 2.0, 0.5, 7.0], [3.0, 1.0, 1.0, 0.25]):
        d, r = 2.0**-40 * np.array(value), 2.0**-20 * np.array(value)
        found = RunningNumber(MODEL, value, d, d if one else d.copy(), r)
        assert found.refers_to_exact == one
        yield found


@pytest.mark.parametrize("name", RULES)
def test_a_rule_gives_the_same_for_one_array_as_for_two_and_keeps_it_one(name):
    once, twice = (RULES[name](*numbers(one=one)) for one in (True, False))
    assert once.refers_to_exact
    for part, other in zip(once.parts(), twice.parts(), strict=True):
        assert np.array_equal(part, other)
    assert (once.error > 0).any()


def test_what_is_shifted_has_two_radii_and_so_has_what_is_made_of_it():
    (z, y) = numbers(one=True)
    shifted = XP.shifted(z)
    for found in (shifted, XP.exp(shifted), XP.sum(shifted), shifted * y, y / XP.exp(shifted)):
        assert not found.refers_to_exact
        assert (found.reference_radius > found.radius).any()


def test_zeros_are_exact_in_every_format():
    zeros = XP.zeros((2, 3))
    assert zeros.shape == (2, 3)
    assert zeros.is_exact.all()


def test_warnings_are_off_inside_and_on_again_behind_however_deep_it_was():
    with quiet():
        with quiet():
            assert np.isinf(np.float64(1) / 0)
        assert np.isinf(np.float64(1) / 0)
    with pytest.warns(RuntimeWarning):
        np.float64(1) / 0
    with pytest.raises(ZeroDivisionError), quiet():
        1 / 0  # noqa: B018
    with pytest.warns(RuntimeWarning):
        np.float64(1) / 0
