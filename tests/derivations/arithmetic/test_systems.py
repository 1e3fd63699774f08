"""One definition, many arithmetics: they agree, and each keeps the promise of its docstring."""

import operator
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.derivations.arithmetic.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    FORMATS,
)
from softproof.derivations.arithmetic.systems import balls, big_floats, ieee, symbols

from tests.implemented import OF_A_ROW

EVERY_FORMULA = [
    pytest.param(formula, definition, id=f"{definition.name}: {name}")
    for definition in OF_A_ROW
    for name, formula in {"as published": definition.formula, **definition.forms}.items()
]
ROW = (0.5, -1.25, 2.0, -0.375)


def evaluate(formula, definition, xp, row=ROW):
    """The outputs of a formula at a row, in an arithmetic, as a list."""
    logits = xp.vector(row)
    arguments = [logits, 1] if definition.labelled else [logits]
    return list(np.atleast_1d(np.asarray(formula(*arguments, xp), dtype=object)))


# --- the arithmetics agree ---


@pytest.mark.parametrize(("formula", "definition"), EVERY_FORMULA)
def test_every_form_agrees_with_the_definition_in_every_arithmetic(formula, definition):
    reference = [float(v) for v in evaluate(definition.formula, definition, big_floats(100))]
    symbolic = [float(sympy.N(v, 30)) for v in evaluate(formula, definition, symbols())]
    with flint.ctx.workprec(100):
        enclosed = [float(v) for v in evaluate(formula, definition, balls())]
    np.testing.assert_allclose(symbolic, reference, rtol=1e-15)
    np.testing.assert_allclose(enclosed, reference, rtol=1e-15)
    for fmt in FORMATS.values():
        computed = [float(v) for v in evaluate(formula, definition, ieee(fmt))]
        np.testing.assert_allclose(computed, reference, rtol=20 * float(fmt.unit_roundoff))


@settings(derandomize=True, deadline=None, max_examples=20)
@given(row=st.lists(st.floats(-30, 30), min_size=2, max_size=5), precision=st.integers(20, 200))
def test_balls_enclose_the_exact_value(row, precision):
    for definition in OF_A_ROW:
        with flint.ctx.workprec(precision):
            enclosures = evaluate(definition.formula, definition, balls(), row)
        with flint.ctx.workprec(600):
            accurate = evaluate(definition.formula, definition, balls(), row)
            assert all(e.overlaps(a) for e, a in zip(enclosures, accurate, strict=True))


def test_exact_numbers_stay_exact():
    tenth = Fraction(1, 10)
    assert symbols().number(tenth) == sympy.Rational(1, 10)
    assert symbols().number(0.1) == sympy.Rational(*(0.1).as_integer_ratio())
    with flint.ctx.workprec(60):
        assert balls().number(tenth).contains(flint.fmpq(1, 10))
        assert balls().number(np.float32(0.1)) == flint.arb(float(np.float32(0.1)))
    assert ieee(BINARY16).number(tenth) == np.float16(0.1)


# --- emulated p-bit precision is the format, bit for bit, in the normal range ---

EMULATED = pytest.mark.parametrize(
    "fmt", [BINARY16, BINARY32, BINARY64], ids=lambda fmt: f"p={fmt.precision}"
)


@EMULATED
@settings(derandomize=True, deadline=None, max_examples=300)
@given(data=st.data())
def test_emulated_precision_reproduces_the_format_bit_for_bit(fmt, data):
    # Products and quotients of these, and differences unless they are 0, are normal numbers.
    magnitude = st.integers(2 ** (fmt.precision - 1), 2**fmt.precision - 1)
    exponent = st.integers(-fmt.precision - 1, -fmt.precision + 4)

    def number(label):
        value = data.draw(magnitude, label) * 2.0 ** data.draw(exponent)
        return fmt.dtype.type(value if data.draw(st.booleans()) else -value)

    x, y = number("x"), number("y")
    xp = big_floats(fmt.precision)
    a, b = xp.number(x), xp.number(y)
    for operation in (operator.add, operator.sub, operator.mul, operator.truediv):
        assert float(operation(a, b)) == float(operation(x, y))
    assert float(xp.sqrt(abs(a))) == float(np.sqrt(abs(x)))


@EMULATED
def test_emulated_precision_rounds_its_inputs(fmt):
    third = fmt.round(Fraction(1, 3))
    assert float(big_floats(fmt.precision).number(Fraction(1, 3))) == float(third)
    if fmt is not BINARY64:
        assert float(big_floats(fmt.precision).number(1 / 3)) == float(third)


def test_the_global_precision_of_mpmath_is_left_alone():
    before = mpmath.mp.prec
    xp = big_floats(11)
    xp.exp(xp.number(1))
    assert mpmath.mp.prec == before == 53


def test_two_precisions_do_not_disturb_each_other():
    coarse, fine = big_floats(5), big_floats(100)
    fine_third = fine.number(1) / 3
    coarse.number(1) / 3
    assert fine.number(1) / 3 == fine_third


# --- sums are recursive, in the format itself ---


@pytest.mark.parametrize(("fmt", "stuck"), [(BINARY16, 2048), (BFLOAT16, 256)])
def test_a_recursive_sum_of_ones_sticks_where_one_is_half_an_ulp(fmt, stuck):
    xp = ieee(fmt)
    assert float(xp.sum(xp.vector([1] * (2 * stuck)))) == stuck
    assert float(xp.sum(xp.vector([1] * stuck))) == stuck


@pytest.mark.parametrize("fmt", [BINARY16, BFLOAT16], ids=lambda fmt: fmt.name)
def test_emulated_sums_stick_at_the_same_place(fmt):
    xp = big_floats(fmt.precision)
    assert xp.sum(xp.vector([1] * 3000)) == 2**fmt.precision


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_results_stay_in_the_format(fmt):
    xp = ieee(fmt)
    z = xp.vector([1, 2, 3])
    assert z.dtype == xp.exp(z).dtype == xp.log1p(z).dtype == fmt.dtype
    assert xp.sum(z).dtype == xp.max(z).dtype == fmt.dtype


def test_ieee_arithmetic_keeps_infinities_and_nan():
    xp = ieee(BINARY32)
    special = xp.vector([np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(special, np.float32([np.inf, -np.inf, np.nan]))


# --- choosing by sign ---


def positive_part(xp, x):
    return xp.by_sign(x, lambda v: v, lambda v: 0 * v)


@pytest.mark.parametrize("xp", [ieee(BINARY32), big_floats(24), balls()], ids=lambda xp: xp.name)
def test_by_sign_takes_the_first_branch_at_zero(xp):
    values = xp.by_sign(xp.vector([-2, 0, 3]), lambda v: v + 1, lambda v: v - 1)
    assert [float(v) for v in values] == [-3, 1, 4]


def test_by_sign_of_nan_takes_the_second_branch():
    xp = ieee(BINARY64)
    assert xp.by_sign(np.float64("nan"), lambda v: 1.0, lambda v: 2.0) == 2.0


def test_by_sign_of_a_symbol_is_a_case_distinction():
    x = sympy.Symbol("x", real=True)
    assert positive_part(symbols(), x) == sympy.Piecewise((x, x >= 0), (0, True))
    assert positive_part(symbols(), sympy.Integer(-3)) == 0


def test_a_ball_around_zero_takes_both_branches():
    xp = balls()
    ball = flint.arb(0, 1)
    result = xp.by_sign(ball, lambda v: xp.number(1), lambda v: xp.number(-1))
    assert result.contains(1)
    assert result.contains(-1)


@pytest.mark.parametrize("name", ["sqrt", "log", "log1p"])
@pytest.mark.parametrize("precision", [3, 24, 400])
def test_where_a_function_leaves_the_reals_a_big_float_is_nan(name, precision):
    """As in the formats; mpmath itself gives a complex number, with which nothing is compared."""
    xp = big_floats(precision)
    values = getattr(xp, name)(xp.vector([-2, 3]))
    assert mpmath.isnan(values[0])
    assert abs(float(values[1]) / float(getattr(np, name)(3.0)) - 1) <= 2.0**-precision + 1e-15
    with np.errstate(all="ignore"):
        assert np.isnan(getattr(ieee(BINARY64), name)(np.float64(-2)))
