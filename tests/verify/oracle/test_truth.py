"""The oracle against vectors that others made, against a brute force of its own, and in traps.

Nothing here rounds with the code under test: ``nearest`` and ``assert_truth`` below are written
once more, in exact rationals, and ``exact_values`` computes every definition once more in mpmath
with 3600 bits, straight from the published formula.
"""

import dataclasses
import functools
import itertools
import re
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import mpmath
import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn._loss.tests import test_loss as sklearn_test_loss
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.arithmetic.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    FORMATS,
)
from softproof.derivations.definition import Definition, Output
from softproof.derivations.signature import Real, Signature
from softproof.verify.inputs.families import FAMILIES, draw
from softproof.verify.oracle import truth as oracle
from softproof.verify.oracle.truth import OracleError, truth

from tests.implemented import OF_A_ROW

each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
# The definitions that `exact_values` below computes by brute force; others have two oracles.
BRUTE_FORCE = (
    "cross_entropy",
    "log_softmax",
    "logsumexp",
    "sigmoid",
    "softmax",
    "softplus",
    "stablemax",
    "stablemax_cross_entropy",
)
each_definition = pytest.mark.parametrize("name", sorted(d.name for d in OF_A_ROW))
INF = float("inf")
MP = mpmath.MPContext()
MP.prec = 3600  # the largest float64 and FAR_TAIL fit in one number


# --- the rounding, written once more ---


def spacing_exponent(value, fmt):
    """Exponent of the spacing of a format at an exact rational."""
    info = ml_dtypes.finfo(fmt.dtype)
    q = Fraction(float(info.smallest_subnormal)).denominator.bit_length() - 1
    exponent = -q
    if value:
        size = value.numerator.bit_length() - value.denominator.bit_length() - 1
        exponent = max(exponent, size - info.nmant)
        while Fraction(2) ** (exponent + info.nmant + 1) <= abs(value):
            exponent += 1
    return exponent


def nearest(value, fmt):
    """An exact rational rounded once into a format, ties to even; +-inf beyond its range."""
    spacing = Fraction(2) ** spacing_exponent(value, fmt)
    below = value // spacing
    rest = value / spacing - below
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1)
    rounded = (below + up) * spacing
    largest = Fraction(float(ml_dtypes.finfo(fmt.dtype).max))
    if abs(rounded) > largest:
        return INF if rounded > 0 else -INF
    return rounded


def fraction(number):
    """An mpmath number as an exact rational; infinite or 0 where no format could tell."""
    if MP.isinf(number):
        return float(number)
    if abs(number) > MP.ldexp(1, 3000):
        return INF if number > 0 else -INF
    if abs(number) < MP.ldexp(1, -3000):
        return Fraction(0)
    man, exponent = (int(v) for v in number.man_exp)
    return Fraction(-abs(man) if number < 0 else abs(man)) * Fraction(2) ** exponent


def within_a_trace_of_a_tie(value, fmt):
    """Whether a value is so near to a tie that no precision in use here tells them apart."""
    halves = 2 * value / Fraction(2) ** spacing_exponent(value, fmt)
    return round(halves) % 2 == 1 and 0 < abs(halves - round(halves)) < Fraction(1, 2**2000)


def assert_truth(result, exact, fmt):
    """A Truth is that of the exact values: the rounding, the ulp and the offset."""
    assert result.rounded.dtype == fmt.dtype
    assert result.rounded.shape == result.offset.shape == result.ulp_exponent.shape
    assert result.rounded.size == len(exact)
    for value, rounded, q, offset in zip(
        exact, result.rounded.flat, result.ulp_exponent.flat, result.offset.flat, strict=True
    ):
        expected = value if isinstance(value, float) else nearest(value, fmt)
        if expected in (INF, -INF):
            assert float(rounded) == expected
            assert offset == 0
            continue
        q, strict = int(q), spacing_exponent(value, fmt)
        if within_a_trace_of_a_tie(value, fmt):  # either neighbour
            assert abs(offset) == 0.5
            expected = Fraction(float(rounded))
        assert Fraction(float(rounded)) == expected
        ulp = Fraction(2) ** q
        if q != strict:  # just below a power of two
            assert q == strict + 1
            assert abs(value - expected) <= ulp / 2**20
            assert abs(expected) == ulp * 2 ** (fmt.precision - 1)
        assert abs(offset) <= 0.5
        assert abs((value - expected) / ulp - Fraction(offset)) <= Fraction(1, 2**20)


def elementary(name):
    """An elementary function as a definition, outside of the registry."""
    return Definition(
        name=name,
        family="elementary",
        source="",
        signature=Signature({"x": Real()}),
        formula=lambda x, xp: getattr(xp, name)(x),
    )


# --- NumPy's validation sets ---

NUMPY_DATA = Path(next(iter(np.__path__))) / "_core" / "tests" / "data"
# (function, format, input): rows whose output is not the correctly rounded value, and its error.
WRONG_IN_NUMPY = {
    ("exp", "float64", "-0x1.6234f00000000p+9"): 0.6251396,  # rounded twice, through 53 bits
    ("log", "float32", "0x1.960ad20000000p-1"): 0.5143601,
    ("log", "float32", "0x1.fffffc0000000p-1"): 0.50000004,  # log(1 - h) = -h - h^2/2 - ...
}


def numpy_vectors(name, fmt):
    """Inputs and outputs of NumPy's set, where the input is finite and the output is a number."""
    bits = np.dtype(f"uint{8 * fmt.dtype.itemsize}")
    lines = (NUMPY_DATA / f"umath-validation-set-{name}.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines if line.startswith(f"np.{fmt.name},")]
    given, stated = (
        np.array([int(row[i], 16) for row in rows], dtype=bits).view(fmt.dtype) for i in (1, 2)
    )
    kept = np.isfinite(given) & ~np.isnan(stated)
    return given[kept], stated[kept]


@pytest.mark.parametrize("fmt", [BINARY32, BINARY64], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p"])
def test_numpy_validation_sets_are_correctly_rounded(name, fmt):
    given, stated = numpy_vectors(name, fmt)
    assert len(given) >= 100
    computed = truth(elementary(name), given, fmt, cross_check=True).rounded
    differ = {(name, fmt.name, float(x).hex()) for x in given[computed != stated]}
    assert differ == {key for key in WRONG_IN_NUMPY if key[:2] == (name, fmt.name)}


@pytest.mark.parametrize(("row", "error"), WRONG_IN_NUMPY.items(), ids=str)
def test_where_numpy_differs_the_file_is_wrong(row, error):
    name, fmt, x = row[0], FORMATS[row[1]], float.fromhex(row[2])
    given, stated = numpy_vectors(name, fmt)
    in_file = Fraction(float(stated[given == x][0]))
    exact = fraction(getattr(MP, name)(MP.mpf(x)))
    ulp = Fraction(2) ** spacing_exponent(exact, fmt)
    assert float(abs(in_file - exact) / ulp) == pytest.approx(error, rel=1e-7)
    assert error > 0.5
    assert in_file != nearest(exact, fmt)


def test_log_just_below_one_without_any_logarithm():
    # -log(1 - h) lies between h + h^2/2 + h^3/3 and that + h^4: just above a tie of float32.
    h = Fraction(1, 2**23)
    lower = h + h**2 / 2 + h**3 / 3
    assert nearest(lower, BINARY32) == nearest(lower + h**4, BINARY32) == h + h / 2**23
    assert nearest(h + h**2 / 2, BINARY32) == h  # what the file has
    result = truth(elementary("log"), np.float32([1 - 2**-23]), BINARY32).rounded
    assert Fraction(float(result[0])) == -(h + h / 2**23)


# --- SciPy's (Boost's) vectors, glibc's value ---


def test_boost_log1p_and_expm1_are_correctly_rounded():
    path = Path(scipy.__file__).parent / "special" / "tests" / "data" / "boost.npz"
    with np.load(path) as data:
        (key,) = (k for k in data.files if k.startswith("log1p_expm1_data"))
        x, log1p, expm1 = data[key].T
    assert len(x) >= 80
    np.testing.assert_array_equal(truth(elementary("log1p"), x, BINARY64).rounded, log1p)
    np.testing.assert_array_equal(truth(elementary("expm1"), x, BINARY64).rounded, expm1)


def test_the_subnormal_that_mpmath_rounds_twice_is_as_glibc_has_it():
    x = float.fromhex("-0x1.6234fp+9")
    once = truth(elementary("exp"), np.array([x]), BINARY64, cross_check=True).rounded[0]
    assert once == float.fromhex("0x0.fba54632dddbfp-1022")


# --- scikit-learn's extreme logistic losses ---


def binomial_cases():
    """(y, raw, what, stated value) of the tests of HalfBinomialLoss with a label 0 or 1."""
    (mark,) = (
        mark
        for mark in sklearn_test_loss.test_loss_on_specific_values.pytestmark
        if mark.name == "parametrize"
    )
    for loss, y, raw, *stated in mark.args[1]:
        if type(loss).__name__ == "HalfBinomialLoss" and y in (0, 1):
            for what, value in zip(("loss", "gradient", "hessian"), stated, strict=True):
                yield float(y), float(raw), what, float(value)


def binomial_truth(y, raw, what):
    """Loss softplus(+-raw), gradient +-sigmoid(+-raw), second derivative sigmoid'(+-raw)."""
    sign = 1 if y == 0 else -1
    x = np.array([sign * raw])
    if what == "loss":
        return float(truth(lookup("softplus"), x, BINARY64).rounded[0])
    if what == "gradient":
        return sign * float(truth(lookup("sigmoid"), x, BINARY64).rounded[0])
    return float(truth(lookup("sigmoid"), x, BINARY64, gradient=True).rounded[0])


# Stated values that scikit-learn's own tolerance (abs=1e-15) hides to be wrong: e^-232.8 is
# 7.87e-102, and a gradient p - 1 is not positive.
WRONG_IN_SKLEARN = {
    (0, 232.8, "hessian"): 1.4287342391028437e-101,
    (1, 232.8, "gradient"): -1.4287342391028437e-101,
    (1, 232.8, "hessian"): 1.4287342391028437e-101,
    (1, 37.0, "gradient"): 8.533047625744066e-17,
}


def test_scikit_learn_logistic_losses_within_its_own_tolerance():
    cases = [*binomial_cases()]
    assert len(cases) >= 50
    for y, raw, what, stated in cases:
        assert binomial_truth(y, raw, what) == pytest.approx(stated, rel=1e-15, abs=1e-15)


def test_scikit_learn_logistic_losses_to_all_stated_digits():
    # Given as 16 to 17 digits of a float64 that was itself rounded: 2 ulps, at most 2^-51 relative.
    # (Zeros are stated for whatever is far below 1e-15; there is nothing to compare.)
    compared = 0
    for y, raw, what, stated in binomial_cases():
        if stated and (y, raw, what) not in WRONG_IN_SKLEARN:
            assert binomial_truth(y, raw, what) == pytest.approx(stated, rel=2**-51, abs=0)
            compared += 1
    assert compared >= 25


def test_where_scikit_learn_differs_its_table_is_wrong():
    stated = {(y, raw, what): value for y, raw, what, value in binomial_cases()}
    for (y, raw, what), value in WRONG_IN_SKLEARN.items():
        assert stated[y, raw, what] == value
        tail = MP.exp(-MP.mpf(raw))  # sigmoid(-raw) = tail / (1 + tail), and p (1 - p) < tail
        assert abs(binomial_truth(y, raw, what)) == pytest.approx(float(tail), rel=1e-15)
        assert value > 0 or abs(value) > 1.8 * tail


# --- published regression cases ---


def test_dominant_log_probability_in_float32():  # pytorch#113708, jax#40384
    result = truth(lookup("log_softmax"), np.float32([17, 0]), BINARY32).rounded
    assert result[0] == np.float32(-4.13993763e-8)


def test_dominant_log_probability_in_float64():  # scipy#19521
    result = truth(lookup("log_softmax"), np.array([37.42994775023705, 0]), BINARY64).rounded
    assert result[0] == pytest.approx(-5.55111512312578e-17, rel=1e-14)


def test_log_sum_exp_near_zero():  # scipy#18295
    result = truth(lookup("logsumexp"), np.array([0.0, -40]), BINARY64).rounded
    assert result == pytest.approx(4.2483542552915890e-18, rel=2**-52, abs=0)


@pytest.mark.parametrize("level", [1e4, 1e10, 1e20])
def test_log_softmax_of_two_equal_logits_at_any_level(level):  # pytorch#11752, mlx#4169
    row = np.float32([level, level])
    result = truth(lookup("log_softmax"), row, BINARY64).rounded
    assert result == pytest.approx([-0.693147180559945] * 2, rel=1e-15)


def test_log_sum_exp_of_65536_zeros_in_float16():  # jax#40409
    result = truth(lookup("logsumexp"), np.zeros(65536, np.float16), BINARY16)
    assert result.rounded == np.float16(11.0903548889591)
    assert result.rounded + result.offset * 2.0**result.ulp_exponent == pytest.approx(
        11.0903548889591, abs=2.0 ** (result.ulp_exponent - 20)
    )


def test_softmax_of_512_equal_logits_in_bfloat16():  # tt-metal#52045
    result = truth(lookup("softmax"), np.full(512, 3, ml_dtypes.bfloat16), BFLOAT16).rounded
    assert set(result.astype(float)) == {1 / 512}


def test_log_of_a_probability_that_underflows():  # pytorch2.0_ttnn#1341
    result = truth(lookup("log_softmax"), np.float32([0, -200]), BINARY32).rounded
    np.testing.assert_array_equal(result, np.float32([0, -200]))


# --- rounding twice ---


@each_format
@settings(derandomize=True, deadline=None, max_examples=200)
@given(data=st.data())
def test_a_value_beside_a_tie_is_rounded_once(fmt, data):
    # A definition that returns an exact sum: a midpoint of the format, and a little.
    number = data.draw(st.integers(0, 2**fmt.precision - 1))
    exponent = data.draw(
        st.sampled_from([fmt.tiny_exponent, 1 - fmt.precision, fmt.emax + 1 - fmt.precision])
    )
    little = data.draw(st.sampled_from([0, 1, -1])) * Fraction(2) ** (exponent - 200)
    value = (number + Fraction(1, 2)) * Fraction(2) ** exponent + little
    constant = dataclasses.replace(
        elementary("exp"), formula=lambda x, xp: 0 * x + xp.vector([value])
    )
    for cross_check in (False, True):
        assert_truth(truth(constant, np.zeros(1), fmt, cross_check=cross_check), [value], fmt)


@pytest.mark.parametrize("fmt", [BINARY16, BFLOAT16], ids=lambda fmt: fmt.name)
def test_a_logarithm_that_binary64_puts_on_a_tie(fmt):
    # log1p(x) = x - x^2/2 + ... for the float64 x nearest a midpoint above which the tail decides.
    midpoint = 1 + 2.0**-fmt.precision
    x = float(MP.expm1(MP.mpf(midpoint)))
    exact = fraction(MP.log1p(MP.mpf(x)))
    assert float(exact) == midpoint  # rounded to binary64 first, the tie is all that is left
    result = truth(elementary("log1p"), np.array([x]), fmt)
    assert_truth(result, [exact], fmt)
    assert abs(result.offset[0]) == pytest.approx(0.5, abs=1e-6)


def test_subnormal_exponentials_are_rounded_once():
    for fmt in FORMATS.values():
        low, high = fmt.tiny_exponent - 1, fmt.emin
        x = np.linspace(low * np.log(2), high * np.log(2), 300)
        exact = [fraction(MP.exp(MP.mpf(float(v)))) for v in x]
        result = truth(elementary("exp"), x, fmt)
        assert_truth(result, exact, fmt)
        assert set(result.ulp_exponent) == {fmt.tiny_exponent}


# --- ties, and exact results ---


@each_format
@pytest.mark.parametrize("power", [0, 1, 5, 9, 12])
def test_uniform_rows_of_2_to_the_k_classes_are_exact(fmt, power):
    size = 2**power
    row = np.full(size, 3, fmt.dtype)
    assert_truth(truth(lookup("softmax"), row, fmt), [Fraction(1, size)] * size, fmt)
    gradient = truth(lookup("cross_entropy"), row, fmt, label=0, gradient=True, cross_check=True)
    exact = [Fraction(1, size) - 1] + [Fraction(1, size)] * (size - 1)
    assert_truth(gradient, exact, fmt)


def test_the_gradient_1_512th_minus_1_is_a_midpoint_of_bfloat16():
    row = np.zeros(512, ml_dtypes.bfloat16)
    result = truth(lookup("cross_entropy"), row, BFLOAT16, label=7, gradient=True, cross_check=True)
    assert float(result.rounded[7]) == -1.0  # 511/512: between 255/256 and 1, the even one
    assert abs(result.offset[7]) == 0.5


def test_a_tie_of_a_rational_function_that_passes_through_thirds():
    # s(-2) = 1/3 three times: sum 512, so that p = 511/512 exactly, through inexact thirds.
    row = np.array([-2, -2, -2, 510], ml_dtypes.bfloat16)
    exact = [Fraction(1, 3 * 512)] * 3 + [Fraction(511, 512)]
    result = truth(lookup("stablemax"), row, BFLOAT16, cross_check=True)
    assert_truth(result, exact, BFLOAT16)
    assert float(result.rounded[3]) == 1


def test_a_tie_of_a_smoothed_uniform_gradient_that_passes_through_thirds():
    # (1 - s) (1/3 - 1) = -257/1024, 9 bits: a midpoint of bfloat16.
    smoothing = 1 - 3 * (257 / 1024) / 2
    row = np.ones(3, ml_dtypes.bfloat16)
    result = truth(
        lookup("cross_entropy"), row, BFLOAT16, label=0, gradient=True, label_smoothing=smoothing
    )
    assert_truth(result, [Fraction(-257, 1024)] + [Fraction(257, 2048)] * 2, BFLOAT16)


# --- ties, but for an exponential that no precision reaches ---


@each_format
@pytest.mark.parametrize("sign", [1, -1])
def test_a_log_probability_that_a_far_tail_moves_off_a_tie(fmt, sign):
    # log p_1 = (z_1 - z_0) - e^(z_1 - z_0): z_1 - z_0 is a midpoint of bfloat16, float32, ...
    if fmt is BINARY16:
        return  # differences of float16 are not large enough
    scale = 2.0 ** max(0, 19 - fmt.precision)
    high, low = scale * 2.0 ** (fmt.precision + 1), sign * scale
    row = np.array([high, low]).astype(fmt.dtype)
    tie = Fraction(low) - Fraction(high)
    result = truth(lookup("log_softmax"), row, fmt, cross_check=True)
    assert_truth(result, [Fraction(0), tie - Fraction(1, 2**5000)], fmt)
    loss = truth(lookup("cross_entropy"), row, fmt, label=1)
    assert_truth(loss, [-tie + Fraction(1, 2**5000)], fmt)
    masked = np.append(row, fmt.dtype.type(-INF))
    result = truth(lookup("log_softmax"), masked, fmt)
    assert_truth(result, [Fraction(0), tie - Fraction(1, 2**5000), -INF], fmt)


def test_a_round_logit_beside_a_mask_of_minus_1e9():
    row = np.float32([32, -1e9])  # the spacing of float32 there is 64: a tie, less e^-(10^9)
    result = truth(lookup("log_softmax"), row, BINARY32, cross_check=True)
    assert_truth(result, [Fraction(0), Fraction(-(10**9) - 32) - Fraction(1, 2**5000)], BINARY32)


def test_a_smoothed_gradient_that_a_far_tail_moves_off_a_tie():
    # p_0 - s/2 = 1 - 2^-54 - e^-(10^300)
    row = np.array([1e300, 0])
    result = truth(
        lookup("cross_entropy"), row, BINARY64, label=1, gradient=True, label_smoothing=2.0**-53
    )
    below = 1 - Fraction(1, 2**54) - Fraction(1, 2**5000)
    assert_truth(result, [below, -below], BINARY64)


def test_gradients_that_vanish_exactly_are_zero():
    row = np.full(3, 0.1, np.float64)
    result = truth(
        lookup("cross_entropy"), row, BINARY64, label=1, gradient=True, label_smoothing=1.0
    )
    assert_truth(result, [Fraction(0)] * 3, BINARY64)


@each_definition
@each_format
def test_one_class(name, fmt):
    definition = lookup(name)
    if definition.elementwise:
        return
    label = 0 if definition.labelled else None
    for value in (-2.0, 0.0, 0.1, 5.0):
        row = np.array([value]).astype(fmt.dtype)
        result = truth(definition, row, fmt, label=label, cross_check=True)
        expected = {"softmax": 1, "stablemax": 1, "logsumexp": Fraction(float(row[0]))}.get(name, 0)
        assert_truth(result, [Fraction(expected)], fmt)
        gradient = truth(definition, row, fmt, label=label, gradient=True, cross_check=True)
        assert_truth(gradient, [Fraction(name == "logsumexp")], fmt)


# --- the ends of the range ---


@each_format
def test_a_loss_of_twice_the_largest_number_overflows(fmt):
    top = float(ml_dtypes.finfo(fmt.dtype).max)
    row = np.array([top, -top]).astype(fmt.dtype)
    right = truth(lookup("cross_entropy"), row, fmt, label=0, cross_check=True)
    wrong = truth(lookup("cross_entropy"), row, fmt, label=1, cross_check=True)
    assert_truth(right, [Fraction(0)], fmt)
    assert_truth(wrong, [INF], fmt)
    probabilities = truth(lookup("log_softmax"), row, fmt, cross_check=True)
    assert_truth(probabilities, [Fraction(0), -INF], fmt)


@each_format
def test_log_sum_exp_at_the_largest_number_does_not_overflow(fmt):
    top = float(ml_dtypes.finfo(fmt.dtype).max)
    result = truth(lookup("logsumexp"), np.array([top] * 2).astype(fmt.dtype), fmt)
    assert float(result.rounded) == top
    assert 0 <= result.offset * 2.0 ** (result.ulp_exponent - 1) <= 0.35  # (log 2) / 2
    lowest = truth(lookup("logsumexp"), np.array([-top] * 2).astype(fmt.dtype), fmt)
    assert float(lowest.rounded) == -top


@each_format
def test_overflow_begins_half_an_ulp_above_the_largest_number(fmt):
    top = Fraction(float(ml_dtypes.finfo(fmt.dtype).max))
    half = Fraction(2) ** (fmt.emax - fmt.precision)
    values = [top + half - Fraction(1, 2**60), top + half, 2 * top + 2 * half, 10**9 * top]
    for value in [*values, *(-v for v in values)]:
        constant = dataclasses.replace(
            elementary("exp"), formula=lambda x, xp, value=value: 0 * x + xp.vector([value])
        )
        assert_truth(truth(constant, np.zeros(1), fmt, cross_check=True), [value], fmt)


@each_format
def test_results_with_exponents_of_a_hundred_digits(fmt):
    x = np.array([1e5, 1e20, 1e300, -1e5, -1e20, -1e300])
    result = truth(elementary("exp"), x, fmt, cross_check=True)
    assert_truth(result, [INF] * 3 + [Fraction(0)] * 3, fmt)


@pytest.mark.parametrize("name", BRUTE_FORCE)
def test_logits_at_the_ends_of_float64(name):
    definition = lookup(name)
    top = float(np.finfo(np.float64).max)
    for row in itertools.product((top, -top, 0.0, 5e-324), repeat=3):
        label = 1 if definition.labelled else None
        result = truth(definition, np.array(row), BINARY64, label=label, cross_check=True)
        assert_truth(result, exact_values(name, row, label), BINARY64)


@each_format
def test_dominated_log_probabilities_keep_all_their_digits(fmt):
    gaps = [10.0, 20.0, 40.0, 80.0, 300.0, 700.0, 740.0]
    for gap in (g for g in gaps if g < -fmt.tiny_exponent * np.log(2)):
        row = np.array([gap, 0.0]).astype(fmt.dtype)
        result = truth(lookup("log_softmax"), row, fmt, cross_check=True)
        assert_truth(result, exact_values("log_softmax", row.astype(float), None), fmt)
        assert float(result.rounded[0]) < 0


@each_format
def test_a_probability_beside_one_has_the_ulp_of_one_from_both_sides(fmt):
    # No ball tells 1 - e^-(10^30) from 1; nor does the ulp depend on where the digits run out.
    for gap in (60.0, 100.0, 1000.0, 60000.0):
        row = np.array([gap, 0.0]).astype(fmt.dtype)
        result = truth(lookup("softmax"), row, fmt)
        assert float(result.rounded[0]) == 1
        assert result.ulp_exponent[0] == 1 - fmt.precision
        assert abs(result.offset[0]) < 2**-20


# --- masks ---


@each_format
def test_masked_classes_are_limits(fmt):
    row = np.array([0.5, -INF, 1.0, -INF]).astype(fmt.dtype)
    for name in ("softmax", "log_softmax", "logsumexp", "stablemax"):
        for gradient in (False, True):
            result = truth(lookup(name), row, fmt, gradient=gradient, cross_check=True)
            exact = exact_values(name, row.astype(float), None, gradient=gradient)
            assert_truth(result, exact, fmt)
    assert list(truth(lookup("log_softmax"), row, fmt).rounded[[1, 3]]) == [-INF, -INF]
    assert list(truth(lookup("softmax"), row, fmt).rounded[[1, 3]]) == [0, 0]


@pytest.mark.parametrize("name", ["cross_entropy", "stablemax_cross_entropy"])
@pytest.mark.parametrize("label", [0, 2])
def test_masks_beside_the_right_class(name, label):
    row = np.float32([0.5, -INF, 1.0, -INF])
    for gradient in (False, True):
        result = truth(
            lookup(name), row, BINARY32, label=label, gradient=gradient, cross_check=True
        )
        exact = exact_values(name, row.astype(float), label, gradient=gradient)
        assert_truth(result, exact, BINARY32)
        if gradient:
            assert list(result.rounded[[1, 3]]) == [0, 0]


@pytest.mark.parametrize("name", ["cross_entropy", "stablemax_cross_entropy"])
@pytest.mark.parametrize("label", [1, 3])
def test_a_masked_right_class_is_an_infinite_loss_without_a_gradient(name, label):
    row = np.float32([0.5, -INF, 1.0, -INF])
    result = truth(lookup(name), row, BINARY32, label=label, cross_check=True)
    assert_truth(result, [INF], BINARY32)
    with pytest.raises(ValueError, match="no gradient"):
        truth(lookup(name), row, BINARY32, label=label, gradient=True)


@each_format
def test_smoothing_counts_the_masked_classes(fmt):
    # t_k = s / 3 is shared by three classes, masked or not; so the loss is infinite as well.
    row = np.array([0.0, -INF, 1.0]).astype(fmt.dtype)
    loss = truth(lookup("cross_entropy"), row, fmt, label=2, label_smoothing=0.1, cross_check=True)
    assert_truth(loss, [INF], fmt)
    gradient = truth(
        lookup("cross_entropy"),
        row,
        fmt,
        label=2,
        gradient=True,
        label_smoothing=0.1,
        cross_check=True,
    )
    exact = exact_values("cross_entropy", row.astype(float), 2, gradient=True, smoothing=0.1)
    assert abs(exact[1] + Fraction(0.1) / 3) < Fraction(1, 2**2000)
    assert_truth(gradient, exact, fmt)


@each_format
def test_functions_of_one_real_take_infinities(fmt):
    x = np.array([INF, -INF, 0.0]).astype(fmt.dtype)
    half = Fraction(1, 2)
    for name, gradient, exact in (
        ("sigmoid", False, [Fraction(1), Fraction(0), half]),
        ("sigmoid", True, [Fraction(0), Fraction(0), half**2]),
        ("softplus", False, [INF, Fraction(0), fraction(MP.log(2))]),
        ("softplus", True, [Fraction(1), Fraction(0), half]),
    ):
        result = truth(lookup(name), x, fmt, gradient=gradient, cross_check=True)
        assert_truth(result, exact, fmt)
        only = truth(lookup(name), x[:2], fmt, gradient=gradient, cross_check=True)
        assert_truth(only, exact[:2], fmt)


# --- what has no truth ---

NAN_OR_INF = "NaN or \\+inf, which have no exact value"


@pytest.mark.parametrize(
    ("name", "row", "arguments", "message"),
    [
        ("softmax", [0, np.nan], {}, NAN_OR_INF),
        ("softmax", [0, INF], {}, NAN_OR_INF),
        ("sigmoid", [np.nan], {}, NAN_OR_INF),
        ("softmax", [-INF, -INF], {}, "all -inf"),
        ("stablemax", [-INF], {}, "all -inf"),
        ("softmax", [], {}, "empty"),
        ("softmax", [[0, 1]], {}, "2 dimensions"),
        ("cross_entropy", [0, 1], {}, "label is None.*2 classes"),
        ("cross_entropy", [0, 1], {"label": 2}, "label is 2.*2 classes"),
        ("cross_entropy", [0, 1], {"label": -1}, "label is -1.*2 classes"),
        ("cross_entropy", [0, -INF], {"label": 2}, "label is 2.*2 classes"),
    ],
)
def test_inputs_without_a_truth_are_value_errors(name, row, arguments, message):
    with pytest.raises(ValueError, match=message):
        truth(lookup(name), np.array(row, np.float32), BINARY32, **arguments)


def test_a_definition_without_a_gradient_says_so():
    with pytest.raises(ValueError, match="exp declares no gradient"):
        truth(elementary("exp"), np.zeros(1), BINARY32, gradient=True)


def test_an_undecided_rounding_names_the_input_and_the_cap(monkeypatch):
    monkeypatch.setattr(oracle, "MAX_PRECISION", 80)
    assert truth(lookup("softmax"), np.float32([1, 0]), BINARY32).rounded[0] > 0.7
    message = re.escape(
        "log_softmax at ['0x1.4000000000000p+5', '0x0.0p+0'] does not round uniquely to float32 "
        "with 80 bits"
    )
    with pytest.raises(OracleError, match=message):
        truth(lookup("log_softmax"), np.float32([40, 0]), BINARY32)


# --- brute force: every definition once more, in mpmath with 3600 bits ---


def exact_values(name, row, label, *, gradient=False, smoothing=0.0):
    """The outputs of a definition as exact rationals (or infinities), in a flat list."""
    z = [MP.mpf(float(v)) for v in row]
    values = GRADIENTS[name](z, label, smoothing) if gradient else VALUES[name](z, label, smoothing)
    return [fraction(v) for v in values]


# At integers, of which the rows at the ends of a range are made, it takes mpmath milliseconds.
exponential = functools.lru_cache(maxsize=1000)(MP.exp)
FAR_TAIL = -1500  # e^-1500 is far below all formats, as anything beyond is; but it is not 0


def tails(z):
    """e^(z - max z), no smaller than that of FAR_TAIL, so that a sum still shows on which side."""
    top = max(z)
    return [exponential(max(v - top, FAR_TAIL)) if v > MP.ninf else MP.zero for v in z]


def softmax(z, label=None, smoothing=0):
    weights = tails(z)
    total = MP.fsum(weights)
    return [w / total for w in weights]


def logsumexp(z, label=None, smoothing=0):
    others = tails(z)
    others.remove(1)
    return [max(z) + MP.log1p(MP.fsum(others))]


def log_softmax(z, label=None, smoothing=0):
    top = max(z)
    (tail,) = logsumexp([v - top for v in z])
    return [(v - top) - tail for v in z]


def targets(z, label, smoothing):
    s = MP.mpf(smoothing)
    return [s / len(z) + (1 - s) * (k == label) for k in range(len(z))]


def cross_entropy(z, label, smoothing):
    logs = log_softmax(z)
    terms = [t * v for t, v in zip(targets(z, label, smoothing), logs, strict=True) if t]
    return [-MP.fsum(terms)] if MP.ninf not in terms else [MP.inf]


def weight(x):
    return x + 1 if x >= 0 else 1 / (1 - x)


def log_weight_slope(x):
    """(log s)'(x), of the same closed form on both sides of 0."""
    return 1 / (1 + abs(x))


def stablemax(z, label=None, smoothing=0):
    total = MP.fsum(weight(v) for v in z)
    return [weight(v) / total for v in z]


def jacobian(p, slopes=None):
    """d p_i / d z_j = p_i (delta_ij - p_j) (log s)'(z_j)."""
    slopes = slopes or [1] * len(p)
    return [
        p[i] * ((i == j) - p[j]) * slopes[j] for i, j in itertools.product(range(len(p)), repeat=2)
    ]


def sigmoid(x):
    return 1 / (1 + exponential(-x))


VALUES = {
    "softmax": softmax,
    "logsumexp": logsumexp,
    "log_softmax": log_softmax,
    "cross_entropy": cross_entropy,
    "stablemax": stablemax,
    "stablemax_cross_entropy": lambda z, label, s: [
        MP.log1p(MP.fsum(weight(v) for k, v in enumerate(z) if k != label) / weight(z[label]))
        if z[label] > MP.ninf
        else MP.inf
    ],
    "sigmoid": lambda z, label, s: [sigmoid(x) for x in z],
    "softplus": lambda z, label, s: [max(x, 0) + MP.log1p(exponential(-abs(x))) for x in z],
}
GRADIENTS = {
    "softmax": lambda z, label, s: jacobian(softmax(z)),
    "logsumexp": softmax,
    "log_softmax": lambda z, label, s: [
        (i == j) - p for i, _ in enumerate(z) for j, p in enumerate(softmax(z))
    ],
    "cross_entropy": lambda z, label, s: [
        p - t for p, t in zip(softmax(z), targets(z, label, s), strict=True)
    ],
    "stablemax": lambda z, label, s: jacobian(stablemax(z), [log_weight_slope(v) for v in z]),
    "stablemax_cross_entropy": lambda z, label, s: [
        (p - (k == label)) * log_weight_slope(v)
        for k, (p, v) in enumerate(zip(stablemax(z), z, strict=True))
    ],
    "sigmoid": lambda z, label, s: [sigmoid(x) * sigmoid(-x) for x in z],
    "softplus": lambda z, label, s: [sigmoid(x) for x in z],
}


def test_the_brute_force_knows_only_definitions():
    assert set(BRUTE_FORCE) == VALUES.keys() == GRADIENTS.keys() <= REGISTRY.keys()


def rows_of(name, fmt, rows, seed, largest):
    """(row, label) from every family that suits a definition, of at most so many classes."""
    definition = lookup(name)
    real = ("reals", "far_reals", "bit_patterns", "all_patterns", "extremes")
    families = real if definition.elementwise else [f for f in FAMILIES if f not in real[:2]]
    for family in families:
        for batch in draw(family, fmt, rows, seed, labelled=definition.labelled):
            if batch.logits.shape[1] <= largest:
                for i, row in enumerate(batch.logits[:rows]):
                    yield row, None if batch.labels is None else int(batch.labels[i])


def has_gradient(row, label):
    return label is None or row[label] > -INF


@pytest.mark.parametrize("name", BRUTE_FORCE)
@each_format
def test_truths_of_all_families_by_brute_force(name, fmt):
    smoothings = (0.0, 0.1) if name == "cross_entropy" else (0.0,)
    rows = 2 if fmt.precision > 11 else 3
    for row, label in rows_of(name, fmt, rows, seed=1, largest=10):
        for smoothing, gradient in itertools.product(smoothings, (False, True)):
            if gradient and not has_gradient(row, label):
                continue
            parameters = {"label_smoothing": smoothing} if smoothing else {}
            result = truth(lookup(name), row, fmt, label=label, gradient=gradient, **parameters)
            numbers = row.astype(float)
            exact = exact_values(name, numbers, label, gradient=gradient, smoothing=smoothing)
            assert_truth(result, exact, fmt)


@each_definition
@each_format
def test_both_oracles_agree_on_all_families(name, fmt):
    definition = lookup(name)
    for row, label in rows_of(name, fmt, rows=2, seed=2, largest=70):
        value = truth(definition, row, fmt, label=label, cross_check=True)
        assert not np.isnan(value.rounded.astype(float)).any()
        jacobian = definition.output is Output.VECTOR and len(row) > 7
        if has_gradient(row, label) and not jacobian:
            truth(definition, row, fmt, label=label, gradient=True, cross_check=True)


# --- two oracles: a wrong one is found out ---


def sabotaged(function, error):
    """An arithmetic whose exponential is wrong by a relative error."""

    def wrong(*arguments):
        xp = function(*arguments)
        return dataclasses.replace(xp, exp=lambda x: xp.exp(x) * (1 + xp.number(error)))

    return wrong


@pytest.mark.parametrize("which", ["balls", "big_floats"])
@each_format
def test_a_wrong_exponential_in_either_oracle_is_detected(which, fmt, monkeypatch):
    row, error = np.array([1.25, -0.5, 0.75]), float(fmt.unit_roundoff) * 8
    honest = truth(lookup("logsumexp"), row, fmt, cross_check=True)
    monkeypatch.setattr(oracle, which, sabotaged(getattr(oracle, which), error))
    with pytest.raises(OracleError, match=rf"balls give .* in {fmt.name}.*mpmath"):
        truth(lookup("logsumexp"), row, fmt, cross_check=True)
    unchecked = truth(lookup("logsumexp"), row, fmt)  # the second oracle is only asked on demand
    assert (unchecked.rounded == honest.rounded) == (which == "big_floats")


def test_an_oracle_that_gives_nan_is_detected(monkeypatch):
    monkeypatch.setattr(oracle, "big_floats", sabotaged(oracle.big_floats, INF))
    with pytest.raises(OracleError, match="balls give"):
        truth(lookup("softmax"), np.float32([1, 2]), BINARY32, cross_check=True)


# --- the offset ---


@each_format
@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_the_offset_is_known_to_2_to_the_minus_20_ulp(fmt, data):
    finite = st.floats(-30, 30, width=64).map(lambda v: float(np.float64(v).astype(fmt.dtype)))
    row = np.array(data.draw(st.lists(finite, min_size=1, max_size=5)))
    label = data.draw(st.integers(0, len(row) - 1))
    for name in ("logsumexp", "log_softmax", "cross_entropy"):
        chosen = label if lookup(name).labelled else None
        result = truth(lookup(name), row, fmt, label=chosen)
        assert_truth(result, exact_values(name, row, chosen), fmt)


# --- what the agreement is worth: slips that both oracles once shared ---


def agree(definition, row, **how):
    truth(definition, np.float64(row), BINARY32, cross_check=True, **how)


def smoothing_inside(z, label, xp, label_smoothing=0.0):
    """A slip in the grouping: (1 - s) multiplies both terms."""
    s = xp.number(label_smoothing)
    lse = lookup("logsumexp")(z, xp)
    return lse - (1 - s) * (z[label] + s * (xp.sum(z) / len(z)))


def log_of_the_quotient(z, xp):
    """A slip in the grouping: log(e^z_i / sum) / 1 with the sum under the logarithm once more."""
    return z - xp.log(xp.sum(xp.exp(z - xp.log(xp.sum(xp.exp(z))) + z))) / 2


SLIPS = {
    "cross_entropy": (smoothing_inside, {"label": 0, "label_smoothing": 0.25}),
    "log_softmax": (log_of_the_quotient, {}),
    "softmax": (lambda z, xp: xp.exp(z) / (xp.sum(xp.exp(z)) + xp.number(2.0**-20)), {}),
    "sigmoid": (lambda x, xp: 1 / 1 + xp.exp(-x), {}),
    "ria": (lambda x, xp, beta=1.0: x * (xp.normal_cdf(x) + xp.normal_pdf(x)), {}),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_in_the_published_formula_is_found_by_the_second(name):
    formula, how = SLIPS[name]
    row = [0.5, -1.25, 2.0]
    agree(lookup(name), row, **how)
    wrong = dataclasses.replace(lookup(name), formula=formula, facts=())
    with pytest.raises(OracleError, match="balls give"):
        agree(wrong, row, **how)
    shared = dataclasses.replace(wrong, second=None)  # as it once was
    agree(shared, row, **how)


def test_a_wrong_shift_or_count_of_the_first_oracle_is_found_by_the_second(monkeypatch):
    row = [0.5, 0.5, 2.0, 0.5]
    lse = lookup("logsumexp")
    agree(lse, row)
    with monkeypatch.context() as patched:
        patched.setattr(oracle, "_shift", lambda *a: (2.0, 0.0))  # what was subtracted is lost
        with pytest.raises(OracleError, match="balls give"):
            agree(lse, row)
    counted = oracle._Groups.of.__func__

    def miscounted(cls, *a):
        groups = counted(cls, *a)
        return dataclasses.replace(groups, counts=(1,) * len(groups.values))

    monkeypatch.setattr(oracle._Groups, "of", classmethod(miscounted))
    with pytest.raises(OracleError, match="balls give"):
        agree(lse, row)


@pytest.mark.parametrize("name", sorted(n for n, d in REGISTRY.items() if d.second))
def test_a_second_formula_is_another_one_and_takes_masks(name):
    definition = lookup(name)
    assert definition.second.__code__.co_code != definition.formula.__code__.co_code
    if not definition.elementwise:
        row = np.float32([0.5, -INF, 1.0, 0.5, -INF])
        for label in (0, 1) if definition.labelled else (None,):
            truth(definition, row, BINARY32, label=label, cross_check=True)


def test_a_long_row_is_counted_by_both_oracles_and_agrees():
    row = np.zeros(oracle.MOST_APART + 7)
    row[::3] = 1.5
    for name in ("softmax", "logsumexp", "log_softmax"):
        truth(lookup(name), row, BINARY64, cross_check=True)
        truth(lookup(name), row[: oracle.MOST_APART], BINARY64, cross_check=True)
