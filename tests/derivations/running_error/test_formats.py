"""Formats at their edges, constants, sums and the functions of binary64 lie within their bounds."""

from fractions import Fraction

import flint
import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32, FORMATS
from softproof.derivations.running_error import (
    Model,
    RunningErrorArithmetic,
    Verdict,
    threshold,
    verdict,
)
from softproof.derivations.running_error.constants import H
from softproof.derivations.running_error.elementary import LIBM
from softproof.derivations.running_error.model import largest, rounded_to
from softproof.derivations.running_error.thresholds import admissible

OPERATIONS = {
    "add": (np.add, lambda a, b, xp: a + b),
    "subtract": (np.subtract, lambda a, b, xp: a - b),
    "multiply": (np.multiply, lambda a, b, xp: a * b),
    "divide": (np.divide, lambda a, b, xp: a / b),
}


def edges(fmt):
    """Numbers of a format around its smallest subnormal, smallest normal and largest."""
    tiny, normal, most = 2.0**fmt.tiny_exponent, 2.0**fmt.emin, largest(fmt)
    found = [
        0.0,
        tiny,
        3 * tiny,
        normal,
        normal - tiny,
        1.5 * normal,
        1.0,
        1 + 2.0 ** (1 - fmt.precision),
    ]
    return np.array([*found, most, most / 2, -most, -tiny, 2.0, 0.75])


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_an_operation_at_the_edges_of_a_format_is_within_its_bound(fmt, name):
    numpy_function, formula = OPERATIONS[name]
    model = Model.of(fmt, accumulator="input")
    a, b = (x.ravel() for x in np.meshgrid(edges(fmt), edges(fmt)))
    with np.errstate(all="ignore"):
        computed = numpy_function(a.astype(fmt.dtype), b.astype(fmt.dtype)).astype(float)
    answers = verdict(computed, threshold(formula, [a, b], model), model)
    invalid = ~np.isfinite(computed)
    assert not np.any((answers == Verdict.FAILED) & ~invalid)
    assert np.mean(answers == Verdict.PASSED) > 0.5
    # What overflows or divides by 0 is never passed unless the exact value is beyond the format.
    assert not np.any((answers == Verdict.PASSED) & np.isnan(computed))


@pytest.mark.parametrize("flushes", [False, True])
@pytest.mark.parametrize("fmt", [BINARY16, BFLOAT16], ids=lambda f: f.name)
def test_what_is_stored_in_a_narrower_format_is_within_its_bound(fmt, flushes):
    model = Model.of(fmt, arithmetic="float32", flushes=flushes)
    tiny, normal = 2.0**fmt.tiny_exponent, 2.0**fmt.emin
    x = np.array([0.4 * tiny, 0.5 * tiny, 0.75 * tiny, 1.01 * normal, 0.7 * normal, 1.23456, 3.99])
    x = np.append(x, [0.99 * largest(fmt), 4.0]).astype(np.float32).astype(float)
    found = threshold(lambda x, xp: x, [x], model)
    stored = rounded_to(fmt, x)
    if flushes:
        stored[np.abs(stored) < normal] = 0
    assert (verdict(stored, found, model) == Verdict.PASSED).all()
    away = stored + np.where(x > normal, 2.0**-5 * x, normal / 4)
    if not flushes:
        assert (verdict(away, found, model) == Verdict.FAILED).all()


def test_what_is_beyond_the_largest_number_is_infinite_and_nothing_else():
    model = Model.of(BINARY16, arithmetic="float32")
    found = threshold(lambda x, xp: x * 2, [np.array([6e4, 6e4, 1.0])], model)
    answers = verdict([np.inf, 65504.0, 2.0], found, model)
    assert answers.tolist() == [Verdict.PASSED, Verdict.NONE, Verdict.PASSED]


CONSTANTS = [1e-5, 1e-6, 0.1, 1.702, 0.044715, 257, 3, 0.25, Fraction(1, 3), 1 + 2.0**-30]


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_a_constant_is_exact_only_if_the_format_holds_it(fmt):
    xp = RunningErrorArithmetic(Model.of(fmt))
    for c in (*CONSTANTS, Fraction(2**60 + 1, 2**60)):
        number, exact = xp.number(c), Fraction(c)
        rounded = Fraction(float(fmt.round(exact)))
        if rounded == exact:
            assert number.error == 0
        else:
            reach = Fraction(float(number.error)) + Fraction(float(number.radius))
            assert 0 < abs(rounded - exact) <= reach
        assert abs(exact - Fraction(float(number.value))) <= Fraction(float(number.radius))


def test_the_number_of_terms_of_a_mean_is_rounded_as_well():
    xp = RunningErrorArithmetic(Model.of(BFLOAT16, accumulator="input"))
    assert xp.counts(257).error[-1] > 0
    assert not xp.counts(256).error.any()


@pytest.mark.parametrize(("fmt", "x"), [(BINARY16, 300.0), (BINARY32, 1e25)])
def test_squares_that_overflow_leave_no_bound(fmt, x):
    def rms_norm(x, xp):
        return x * xp.rsqrt(xp.mean(x * x))

    rows = np.full(8, x).astype(fmt.dtype).astype(float)
    assert np.isinf(threshold(rms_norm, [rows], Model.of(fmt)).error).all()
    wide = Model.of(fmt, arithmetic="float64", accumulator="float64")
    assert np.isfinite(threshold(rms_norm, [rows], wide).error).all()


def test_a_softmax_from_float32_that_is_subnormal_in_float16_is_within_its_bound():
    model = Model.of(BINARY16, arithmetic="float32")
    z = np.array([0.0, -14.3]).astype(np.float16).astype(float)
    p = (np.exp(z) / np.exp(z).sum()).astype(np.float16)
    assert (
        verdict(p, threshold(lambda z, xp: xp.softmax(z), [z], model), model) == Verdict.PASSED
    ).all()


def test_numpys_sums_are_within_the_blocked_class_and_come_close():
    model = Model.of(BINARY32, accumulator="input", summation="blocked")
    rng = np.random.default_rng(0)
    closest = 0.0
    for n in (2, 7, 8, 9, 15, 127, 128, 129, 136, 255, 1000, 4096, 30001):
        for k in range(3):
            x = np.full(n, 1 + 2.0**-23 * rng.integers(1, 2**23)) if k else rng.random(n) + 1
            x = x.astype(np.float32)
            exact = sum(Fraction(float(t)) for t in x)
            bound = threshold(lambda x, xp: xp.sum(x), [x.astype(float)], model)
            ratio = abs(Fraction(float(np.sum(x))) - exact) / Fraction(float(admissible(bound)))
            closest = max(closest, float(ratio))
    assert 0.05 < closest <= 1


def test_a_sum_one_by_one_is_beyond_the_class_of_pairwise_sums():
    n = 4000
    x = np.full(n, 1 + 2.0**-12 * 1365, dtype=np.float32)
    total = np.cumsum(x)[-1]
    exact = n * float(x[0])
    for summation, fits in (("any", True), ("pairwise", False), ("blocked", False)):
        model = Model.of(BINARY32, accumulator="input", summation=summation)
        bound = threshold(lambda x, xp: xp.sum(x), [x.astype(float)], model)
        assert (abs(float(total) - exact) <= admissible(bound)) == fits


def test_exact_zeros_add_no_rounding():
    xp = RunningErrorArithmetic(Model.of(BINARY32, accumulator="input"))
    two = xp.sum(xp.array([1.0, 2.0]))
    four = xp.sum([xp.number(0), *xp.array([1.0, 2.0]), xp.number(0)])
    assert np.isclose(four.error, two.error, rtol=1e-12)
    assert xp.sum(xp.array([0.0, 3.0, 0.0])).error == 0


@pytest.mark.parametrize("name", ["exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "arctan"])
def test_the_functions_of_this_machine_err_by_less_than_assumed(name):
    """A check and no proof: it catches a library that has changed."""
    rng = np.random.default_rng(6)
    n = 4000
    signs = rng.choice([-1, 1], n)
    points = {
        "exp": rng.uniform(-700, 700, n),
        "log": 2.0 ** rng.uniform(-300, 300, n),
        "log1p": np.concatenate((2.0 ** rng.uniform(-60, 60, n // 2), -rng.random(n // 2))),
        "expm1": signs * 2.0 ** rng.uniform(-60, 9, n),
        "tanh": signs * 2.0 ** rng.uniform(-60, 4.5, n),
        "arctan": signs * 2.0 ** rng.uniform(-60, 60, n),
    }.get(name, signs * 2.0 ** rng.uniform(-30, 20, n))
    function = getattr(flint.arb, {"arctan": "atan"}.get(name, name))
    with flint.ctx.workprec(200):
        for x, y in zip(points, getattr(np, name)(points), strict=True):
            exact = function(flint.arb(float(x)))
            assert abs(flint.arb(float(y)) - exact) <= LIBM * H * abs(exact)
