"""What breaks first is found, at a case where it does, with the cause that was planted."""

import math

import mpmath
import numpy as np
import pytest
from softproof.derivations import REGISTRY, Real, Vector, define
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.verify.cases.text import parse
from softproof.verify.catalogue import breaks
from softproof.verify.catalogue.breaks import what_breaks


@pytest.fixture
def defined():
    """What defines functions that are forgotten afterwards."""
    before = set(REGISTRY)

    def add(function, **arguments):
        define(family="tests", source="this test", arguments=arguments)(function)
        return function.__name__

    yield add
    for name in REGISTRY.keys() - before:
        del REGISTRY[name]


def root_of_the_square(x, xp):
    """|x|, by way of x^2."""
    return xp.sqrt(x * x)


def log_of_one_more(x, xp):
    """log(1 + e^x), whose small term is lost below -17."""
    return xp.log(1 + xp.exp(x))


def sum_of_squares_less_one(x, xp):
    """Sum of squares, less the square of the sum."""
    return xp.sum(x * x) - xp.sum(x) * xp.sum(x) / len(x)


def sigmoid_of_two_infinities(x, xp):
    """The sigmoid, with a numerator and a denominator that overflow."""
    return xp.exp(x) / (1 + xp.exp(x))


def plain(x, xp):
    """A root: nothing breaks."""
    return xp.sqrt(x + 1)


@pytest.mark.parametrize(
    ("function", "kind", "cause"),
    [
        (log_of_one_more, Real(), breaks.OVERFLOW),
        (root_of_the_square, Real(lower=-1.0, upper=1.0), breaks.UNDERFLOW),
        (log_of_one_more, Real(upper=0.0), breaks.COLLAPSE),
        (sum_of_squares_less_one, Vector("K", lower=0.5, upper=2.0), breaks.CANCELLATION),
        (sigmoid_of_two_infinities, Real(), breaks.OVERFLOW),
        (plain, Real(lower=0.0), breaks.ROUNDING),
    ],
    ids=lambda p: getattr(p, "__name__", p if isinstance(p, str) else ""),
)
def test_the_cause_is_found(defined, monkeypatch, function, kind, cause):
    if cause == breaks.UNDERFLOW:  # the squares of numbers near 2^-70 are subnormal
        tiny = np.float32([2.0**-70 * (1 + k / 7) for k in range(6)])
        cases = [breaks.Case({"x": np.asarray(t)}) for t in tiny]
        monkeypatch.setattr(breaks, "_cases", lambda *_: iter(cases))
    found = what_breaks(defined(function, x=kind))
    assert found.cause == cause
    assert (found.ulp > breaks.BREAKS) == (cause != breaks.ROUNDING)
    assert found.cases > 0


def test_the_case_shows_it_in_numpy_alone():
    """The sum of one exponential overflows in float32, and its logarithm is the number itself."""
    found = what_breaks("logsumexp")
    definition, case = parse(found.at, BINARY32)
    (x,) = case.values["logits"]
    assert definition.name == "logsumexp"
    assert case.values["logits"].size == 1
    with np.errstate(over="ignore"):
        assert np.isinf(np.log(np.exp(x)))
    assert found.exact == float(mpmath.log(mpmath.exp(mpmath.mpf(float(x)))))
    assert found.ulp == math.inf


def test_the_better_form_does_not_break():
    assert what_breaks("logsumexp", form="shifted").ulp < breaks.BREAKS
    assert what_breaks("sigmoid").cause == breaks.UNDERFLOW


def test_the_same_seed_finds_the_same():
    assert what_breaks("softplus", "bfloat16", seed=3) == what_breaks(
        "softplus", "bfloat16", seed=3
    )


def test_where_no_case_has_a_truth_it_is_said(defined):
    def nowhere(x, xp):
        """The logarithm of a negative number."""
        return xp.log(-1 - x * x)

    found = what_breaks(defined(nowhere, x=Real()))
    assert (found.cases, found.at, found.cause) == (0, "", "")
    assert found.undecided > 0
    assert math.isnan(found.ulp)
