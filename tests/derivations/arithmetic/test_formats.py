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
    FORMATS,
    exact,
    floor_log2,
    format_of,
)

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
