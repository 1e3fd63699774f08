"""Formats: one rounding, to nearest, ties to even, from an exact value into each of them."""

from fractions import Fraction

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.derivations.arithmetic.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    FLOAT8_E4M3FN,
    FLOAT8_E5M2,
    FORMATS,
    TFLOAT32,
    exact,
    floor_log2,
    format_of,
)
from softproof.derivations.running_error.model import rounded_to

each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
NARROW = (BINARY16, BFLOAT16, BINARY32)
each_narrow_format = pytest.mark.parametrize("fmt", NARROW, ids=lambda fmt: fmt.name)


def convert(value, fmt):
    """The conversion of NumPy or ml_dtypes from binary64: it rounds once."""
    with np.errstate(all="ignore"):
        return np.float64(value).astype(fmt.dtype)


def same(a, b):
    """Equal to the last bit, the sign of zero included."""
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


# --- parameters of the formats ---


@each_format
def test_parameters_agree_with_finfo(fmt):
    info = ml_dtypes.finfo(fmt.dtype)
    assert fmt.precision == info.nmant + 1
    assert 2.0**fmt.emin == float(info.smallest_normal)
    assert 2.0**fmt.tiny_exponent == float(info.smallest_subnormal)
    assert fmt.unit_roundoff == Fraction(float(info.eps)) / 2


@each_format
def test_ulp_exponent_is_the_spacing(fmt):
    p, e = fmt.precision, fmt.emin
    assert fmt.ulp_exponent(Fraction(0)) == fmt.tiny_exponent
    assert fmt.ulp_exponent(Fraction(1)) == 1 - p
    assert fmt.ulp_exponent(Fraction(-8)) == 4 - p
    assert fmt.ulp_exponent(Fraction(2) - Fraction(1, 2**200)) == 1 - p  # of the real, not rounded
    assert fmt.ulp_exponent(Fraction(2) ** e) == fmt.tiny_exponent
    assert fmt.ulp_exponent(Fraction(2) ** (e + 1)) == fmt.tiny_exponent + 1
    assert fmt.ulp_exponent(Fraction(2) ** (e - 5000)) == fmt.tiny_exponent


@settings(derandomize=True, deadline=None)
@given(value=st.fractions(min_value=Fraction(1, 10**400), max_value=10**400))
def test_floor_log2_brackets_its_argument(value):
    e = floor_log2(value)
    assert Fraction(2) ** e <= value < Fraction(2) ** (e + 1)


# --- one rounding agrees with the conversions from binary64, which round once ---


def test_every_float16_and_bfloat16_rounds_to_itself():
    for fmt in (BINARY16, BFLOAT16):
        everything = np.arange(2**16, dtype=np.uint16).view(fmt.dtype)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            wide = everything.astype(np.float64)
        kept = everything[np.isfinite(wide) & ((wide != 0) | ~np.signbit(wide))]
        rounded = np.array([fmt.round(exact(x)) for x in kept], dtype=fmt.dtype)
        assert same(rounded, kept)


def test_every_tie_between_float16_neighbours_goes_to_the_even_one():
    numbers = np.arange(2**15 - 2**10, dtype=np.uint16).view(np.float16).astype(np.float64)
    ties = (numbers[:-1] + numbers[1:]) / 2
    rounded = np.array([BINARY16.round(Fraction(t)) for t in ties])
    assert same(rounded, ties.astype(np.float16))
    assert not np.any(rounded.view(np.uint16) % 2)


@each_narrow_format
@settings(derandomize=True, deadline=None, max_examples=300)
@given(value=st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True))
def test_rounding_is_the_conversion_from_binary64(fmt, value):
    converted = convert(value, fmt)
    if value and not converted:  # an exact rational zero has no sign
        assert fmt.round(Fraction(value)) == 0
    else:
        assert same(fmt.round(Fraction(value)), converted + fmt.dtype.type(0))


@each_narrow_format
@settings(derandomize=True, deadline=None, max_examples=200)
@given(significand=st.integers(1, 2**53 - 1), places=st.integers(-3, 60))
def test_rounding_is_the_conversion_near_the_subnormals(fmt, significand, places):
    value = np.ldexp(float(significand), fmt.tiny_exponent - places)
    assert same(fmt.round(Fraction(float(value))), convert(value, fmt))


@settings(derandomize=True, deadline=None)
@given(value=st.fractions())
def test_rounding_to_binary64_is_python_division(value):
    assert same(BINARY64.round(value), np.float64(value.numerator / value.denominator) + 0.0)


@each_format
def test_overflow_begins_half_an_ulp_above_the_largest_number(fmt):
    half_ulp = Fraction(2) ** (fmt.emax - fmt.precision)
    largest = Fraction(2) ** (fmt.emax + 1) - 2 * half_ulp
    threshold = largest + half_ulp
    assert exact(fmt.round(threshold - Fraction(1, 2**2000))) == largest
    assert np.isposinf(float(fmt.round(threshold)))
    assert np.isneginf(float(fmt.round(-threshold)))
    assert np.isposinf(float(fmt.round(Fraction(10**400))))


@each_format
def test_half_the_smallest_subnormal_goes_to_zero_and_anything_above_does_not(fmt):
    half = Fraction(2) ** (fmt.tiny_exponent - 1)
    assert fmt.round(half) == 0
    assert exact(fmt.round(half + half / 2**2000)) == 2 * half


# --- rounding twice is wrong: the cases this module exists for ---


def test_double_rounding_through_binary64_moves_a_float16():
    value = 1 + Fraction(1, 2**11) + Fraction(1, 2**80)  # just above a tie
    assert BINARY16.round(value) == np.float16(1 + 2**-10)
    assert np.float16(float(value)) == np.float16(1)


def test_double_rounding_through_float32_moves_a_bfloat16():
    value = 1 + Fraction(1, 2**8) + Fraction(1, 2**40)
    assert exact(BFLOAT16.round(value)) == 1 + Fraction(1, 2**7)
    assert float(np.float32(value).astype(ml_dtypes.bfloat16)) == 1


def test_double_rounding_of_an_mpf_moves_a_binary64_subnormal():
    context = mpmath.MPContext()
    context.prec = 200
    value = context.exp(context.mpf(float.fromhex("-0x1.6234fp+9")))
    once = BINARY64.round(Fraction(int(value.man)) * Fraction(2) ** int(value.exp))
    assert once == float.fromhex("0x0.fba54632dddbfp-1022")
    context.prec = 53  # to 53 bits first, and to those of a subnormal then
    assert float(+value) != once


# --- errors ---


@pytest.mark.parametrize("dtype", [np.int32, np.longdouble, ml_dtypes.float8_e4m3])
def test_another_dtype_is_a_type_error_that_names_it_and_the_formats(dtype):
    with pytest.raises(TypeError, match=rf"dtype is {np.dtype(dtype).name}.*float16.*bfloat16"):
        format_of(dtype)


@each_format
def test_a_format_is_found_by_its_dtype(fmt):
    assert format_of(fmt.dtype) is fmt


# --- eight bits ---

eight_bits = pytest.mark.parametrize("fmt", [FLOAT8_E4M3FN, FLOAT8_E5M2], ids=lambda fmt: fmt.name)


@eight_bits
def test_a_format_of_eight_bits_is_what_ml_dtypes_has(fmt):
    info = ml_dtypes.finfo(fmt.dtype)
    assert fmt.largest == float(info.max)
    assert 2.0**fmt.emin == float(info.smallest_normal)
    assert 2.0**fmt.tiny_exponent == float(info.smallest_subnormal)
    assert float(2 * fmt.unit_roundoff) == float(info.eps)


@eight_bits
def test_every_number_of_eight_bits_rounds_to_itself_and_the_middles_as_ml_dtypes_rounds(fmt):
    with np.errstate(invalid="ignore"):
        numbers = np.arange(256, dtype=np.uint8).view(fmt.dtype).astype(np.float64)
    finite = np.unique(numbers[np.isfinite(numbers)])
    middles = (finite[1:] + finite[:-1]) / 2
    beyond = [float(fmt.end) * x for x in (1 - 2.0**-6, 1.0, 2.0)]
    for x in (*finite, *middles, *(1.001 * middles), *beyond, *np.negative(beyond)):
        rounded, theirs = fmt.round(Fraction(x)), np.float64(x).astype(fmt.dtype)
        # (A Fraction has no -0.)
        np.testing.assert_equal(float(rounded) + 0.0, float(theirs) + 0.0, err_msg=str(x))


def test_beyond_the_range_of_float8_e4m3fn_is_nan_of_the_sign_and_of_float8_e5m2_infinity():
    for sign in (1, -1):
        nan = FLOAT8_E4M3FN.round(Fraction(sign * 465))
        assert np.isnan(float(nan))
        assert np.signbit(float(nan)) == (sign < 0)
        assert float(FLOAT8_E5M2.round(Fraction(sign * 61440))) == sign * np.inf
    assert float(FLOAT8_E4M3FN.round(Fraction(464))) == 448


def test_tensorfloat32_rounds_as_a_float32_whose_last_13_bits_are_rounded_off():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal(100), [1 + 2.0**-11, 1 + 3 * 2.0**-11, 2.0**-140]])
    bits = x.astype(np.float32).view(np.uint32).astype(np.int64)
    kept, last = bits >> 13, bits & 0x1FFF
    kept += (last > 0x1000) | ((last == 0x1000) & (kept & 1 == 1))
    expected = (kept << 13).astype(np.uint32).view(np.float32)
    np.testing.assert_array_equal(rounded_to(TFLOAT32, x.astype(np.float32)), expected)
