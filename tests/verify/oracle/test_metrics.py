"""Errors in ulps, bits lost, hexadecimal: on cases that a hand can compute."""

import ml_dtypes
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import (
    BINARY16,
    BINARY32,
    BINARY64,
    FLOAT8_E4M3FN,
    FORMATS,
)
from softproof.verify.oracle.metrics import bits, hexadecimal, ulp_error
from softproof.verify.oracle.truth import Truth, truth

INF = float("inf")
each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)


def known(rounded, ulp_exponent, offset, dtype=np.float32):
    """A truth of one number."""
    return Truth(
        np.array([rounded], dtype=dtype), np.array([ulp_exponent]), np.array([offset], float)
    )


def error(computed, exact):
    """The error of one number."""
    (result,) = ulp_error(np.array([computed], dtype=exact.rounded.dtype), exact)
    return result


def test_the_worked_row_of_a_third():
    # 1/3 = 0.0101...01|0101 in binary: rounded up by 1/3 ulp of 2^-25, so its lower neighbour is
    # 2/3 ulp away.
    exact = truth(lookup("softmax"), np.float32([0, 0, 0]), BINARY32)
    assert exact.ulp_exponent[0] == -25
    below, rounded, above = (float.fromhex(f"0x1.5555{d}p-2") for d in ("54", "56", "58"))
    computed = np.float32([below, rounded, above])
    assert ulp_error(computed, exact) == pytest.approx([2 / 3, 1 / 3, 4 / 3], abs=1e-6)


@each_format
def test_correct_rounding_is_at_most_half_an_ulp_and_neighbours_are_one_more_or_less(fmt):
    row = np.linspace(-3, 2, 8).astype(fmt.dtype)
    exact = truth(lookup("softmax"), row, fmt)
    assert not np.any(np.frexp(exact.rounded.astype(float))[0] == 0.5)  # there, neighbours differ
    np.testing.assert_array_equal(ulp_error(exact.rounded, exact), np.abs(exact.offset))
    assert (ulp_error(exact.rounded, exact) <= 0.5).all()
    upwards = np.nextafter(exact.rounded, fmt.dtype.type(1))
    np.testing.assert_allclose(ulp_error(upwards, exact), 1 - exact.offset)
    downwards = np.nextafter(exact.rounded, fmt.dtype.type(0))
    np.testing.assert_allclose(ulp_error(downwards, exact), 1 + exact.offset)


@pytest.mark.parametrize("offset", [-0.5, -0.25, 0.0, 0.25, 0.5])
def test_error_is_measured_from_the_exact_value_not_from_its_rounding(offset):
    exact = known(1.0, -23, offset)
    assert error(1.0, exact) == abs(offset)
    assert error(1 + 2**-23, exact) == 1 - offset
    assert error(1 + 2**-20, exact) == 8 - offset
    assert error(-1.0, exact) == 2**24 + offset


@each_format
def test_subnormals_are_counted_in_the_smallest_one(fmt):
    q = fmt.tiny_exponent
    exact = known(3 * 2.0**q, q, 0.25, fmt.dtype)
    assert error(3 * 2.0**q, exact) == 0.25
    assert error(2 * 2.0**q, exact) == 1.25
    assert error(0.0, exact) == 3.25


@each_format
def test_zeros_are_equal_whatever_their_sign(fmt):
    exact = known(0.0, fmt.tiny_exponent, -0.125, fmt.dtype)
    assert error(0.0, exact) == error(-0.0, exact) == 0.125
    assert error(2.0**fmt.tiny_exponent, exact) == 1.125


@pytest.mark.parametrize(
    ("computed", "rounded", "expected"),
    [
        (INF, INF, 0),
        (-INF, -INF, 0),
        (INF, -INF, INF),
        (-INF, INF, INF),
        (INF, 1.0, INF),
        (1.0, INF, INF),
        (3.4028234663852886e38, INF, INF),
        (np.nan, 1.0, INF),
        (np.nan, INF, INF),
        (np.nan, 0.0, INF),
    ],
)
def test_infinities_and_nan(computed, rounded, expected):
    assert error(computed, known(rounded, 128 if np.isinf(rounded) else -23, 0.0)) == expected


def test_an_overflowing_truth_is_met_only_by_the_infinity():
    row = np.float16([65504, -65504])
    exact = truth(lookup("cross_entropy"), row, BINARY16, label=1)
    assert ulp_error(np.array(INF), exact) == 0
    assert ulp_error(np.array(65504.0), exact) == INF


def test_finite_numbers_of_opposite_signs_are_a_finite_number_of_ulps_apart():
    top = float(np.finfo(np.float64).max)
    assert error(-top, known(top, 971, 0.0, np.float64)) == 2**54 - 2  # not inf
    assert error(top, known(1e-320, -1074, 0.0, np.float64)) == INF  # 2^2098 ulps


def test_a_scalar_truth_takes_a_scalar():
    exact = truth(lookup("logsumexp"), np.float64([0, 0]), BINARY64)
    assert ulp_error(np.float64(np.log(2)), exact).shape == ()
    assert ulp_error(np.float64(np.log(2)), exact) < 0.5


def test_a_result_of_a_wider_dtype_is_judged_as_it_is():
    exact = known(1.0, -7, 0.0, ml_dtypes.bfloat16)
    assert ulp_error(np.float64([1 + 2.0**-9]), exact) == [0.25]


@pytest.mark.parametrize(("ulps", "lost"), [(0, 0), (1, 1), (3, 2), (2**20 - 1, 20), (INF, INF)])
def test_bits_lost(ulps, lost):
    assert bits(ulps) == lost


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0x0p+0"),
        (-0.0, "-0x0p+0"),
        (1.0, "0x1p+0"),
        (16.0, "0x1p+4"),
        (-17.0, "-0x1.1p+4"),
        (0.1, "0x1.999999999999ap-4"),
        (1 + 2**-52, "0x1.0000000000001p+0"),
        (2.0**-1022 / 16, "0x0.1p-1022"),
        (5e-324, "0x0.0000000000001p-1022"),
        (1e300, "0x1.7e43c8800759cp+996"),
        (INF, "inf"),
        (-INF, "-inf"),
    ],
)
def test_hexadecimal_is_short_and_reads_back(value, text):
    assert hexadecimal(value) == text
    assert float.fromhex(text) == value


def test_hexadecimal_of_nan():
    assert hexadecimal(float("nan")) == "nan"


# --- eight bits ---


def test_what_just_overflows_is_measured_from_the_next_number_if_there_were_one():
    """By 480 in float8_e4m3fn, whose largest number is 448."""
    nan = np.array([np.nan]).astype(FLOAT8_E4M3FN.dtype)
    exact = Truth(nan, np.array([5]), np.array([0.0]))
    assert exact.wide[0] == np.inf
    assert ulp_error(np.array([448.0]), exact) == 1
    assert ulp_error(np.array([np.inf]), exact) == 0
    assert ulp_error(np.array([np.nan]), exact) == np.inf
