"""Limits at -inf and +inf against mathematics; where nothing decides one, none is given."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.derivations.definition import Definition
from softproof.derivations.proofs.facts import Convex, Increasing, Range
from softproof.derivations.signature import Real, Signature
from softproof.verify.oracle import limits
from softproof.verify.oracle.limits import has_limit
from softproof.verify.oracle.truth import OracleError, truth

INF = float("inf")
each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)


def of_one_real(formula, *facts, form=None, gradient=None):
    return Definition(
        name="f",
        family="",
        source="",
        signature=Signature({"x": Real()}),
        formula=formula,
        facts=facts,
        forms={} if form is None else {"other": form},
        gradient=gradient,
    )


def limit(definition, infinity, fmt=BINARY32, **how):
    assert has_limit(definition, infinity)
    result = truth(definition, np.array([infinity, 1.0]), fmt, cross_check=True, **how)
    assert abs(result.offset[0]) < 2.0**-30
    return float(result.rounded[0])


@each_format
@pytest.mark.parametrize("beta", [2.0**-20, 1.0, 3.0])
@pytest.mark.parametrize("gradient", [False, True])
def test_the_limits_of_ria_are_those_of_relu(fmt, beta, gradient):
    """X Phi(x) + phi(x) = E max(x + Z, 0) with a standard normal Z; its derivative is Phi."""
    x = np.array([-INF, INF, -INF])
    limits = [0, 1, 0] if gradient else [0, INF, 0]
    result = truth(lookup("ria"), x, fmt, gradient=gradient, beta=beta, cross_check=True)
    assert result.rounded.astype(float).tolist() == limits
    assert result.rounded.dtype == fmt.dtype


@each_format
@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("sigmoid", 0, 1),
        ("softplus", 0, INF),
        ("normal_cdf", 0, 1),
        ("smoothed_rsqrt", 0, 0),
        ("gelu", 0, INF),
        ("gelu_tanh", 0, INF),
        ("silu", 0, INF),
        ("exp", 0, INF),
        ("expm1", -1, INF),
        ("tanh", -1, 1),
        ("erf", -1, 1),
    ],
)
def test_limits_of_the_other_functions_of_one_real(name, left, right, fmt):
    assert (limit(lookup(name), -INF, fmt), limit(lookup(name), INF, fmt)) == (left, right)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu"])
def test_the_limits_of_the_slopes_of_gates_are_those_of_relu(name):
    """What symbols decide: x times what vanishes faster than any power is 0 * inf in numbers."""
    x = np.array([-INF, INF])
    result = truth(lookup(name), x, BINARY32, gradient=True, cross_check=True)
    assert result.rounded.tolist() == [0, 1]


@pytest.fixture
def without_symbols(monkeypatch):
    """What numbers and declared facts decide."""
    monkeypatch.setattr(limits, "_limit_in_symbols", lambda *_: None)


def algebraic(x, xp):
    """x / sqrt(1 + x^2) rises from -1 to 1; inf / inf at both ends."""
    return x / xp.sqrt(1 + x * x)


@each_format
def test_a_rising_function_with_the_range_that_it_fills_has_the_ends_of_it_as_limits(fmt):
    definition = of_one_real(algebraic, Increasing(), Range(lower=-1, upper=1))
    assert (limit(definition, -INF, fmt), limit(definition, INF, fmt)) == (-1, 1)


@each_format
def test_a_rising_function_beyond_every_format_is_infinite(fmt):
    definition = of_one_real(lambda x, xp: x + algebraic(x, xp), Increasing())
    assert (limit(definition, -INF, fmt), limit(definition, INF, fmt)) == (-INF, INF)


def test_the_derivative_of_a_rising_convex_function_has_its_limit_on_the_left(without_symbols):
    def slope(x, xp):  # of sqrt(1 + x^2) + x: 1 + x / sqrt(1 + x^2), which is 1 + inf / inf
        return 1 + algebraic(x, xp)

    def formula(x, xp):
        return xp.sqrt(1 + x * x) + x

    convex = of_one_real(formula, Increasing(), Convex(), gradient=slope)
    row = np.array([-INF, 0.0])
    assert truth(convex, row, BINARY32, gradient=True, cross_check=True).rounded.tolist() == [0, 1]
    with pytest.raises(OracleError, match=r"decides its limit at -inf"):
        truth(of_one_real(formula, Increasing(), gradient=slope), row, BINARY32, gradient=True)


def swish(x, xp):
    return x / (1 + xp.exp(-x))


@pytest.mark.parametrize(
    "facts",
    [
        (),
        (Range(lower=-1),),  # true, and says nothing of the limit
        (Convex(),),
    ],
)
def test_without_a_fact_that_decides_there_is_no_limit(facts, without_symbols):
    definition = of_one_real(swish, *facts)
    assert not has_limit(definition, -INF)
    assert has_limit(definition, INF)
    with pytest.raises(OracleError, match=r"nothing declared of f decides its limit at -inf"):
        truth(definition, np.array([-INF]), BINARY32)


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 0), (0.0, -INF)])
def test_symbols_decide_what_a_formula_and_facts_leave_open(scale, expected):
    """The limit of x / (1 + e^-sx) on the left is 0, but for s = 0, where it is that of x / 2."""

    def scaled(x, xp, s=1.0):
        return x / (1 + xp.exp(-xp.number(s) * x))

    assert limit(of_one_real(scaled), -INF, s=scale) == expected


@pytest.mark.parametrize(
    "formula",
    [
        lambda x, xp: xp.sin(x),  # none
        lambda x, xp: 1 / (1 + x * xp.exp(x)) - 1 / xp.pi,  # no rational number
    ],
)
def test_where_symbols_give_no_rational_number_there_is_no_limit(formula):
    assert not has_limit(of_one_real(formula), -INF)


@pytest.mark.parametrize("wrong", [sympy.Integer(0), sympy.Integer(2), sympy.oo, -sympy.oo])
def test_a_limit_in_symbols_that_values_far_away_do_not_confirm_is_none(wrong, monkeypatch):
    """The derivative of swish tends to 1 on the right, whatever SymPy says."""

    def slope(x, xp):
        return xp.sigmoid(x) * (1 + x * xp.sigmoid(-x))

    assert limit(of_one_real(slope), INF) == 1
    limits._confirmed_limit.cache_clear()
    monkeypatch.setattr(limits, "_limit_in_symbols", lambda *_: wrong)
    assert not has_limit(of_one_real(slope), INF)
    limits._confirmed_limit.cache_clear()


def test_a_limit_in_symbols_that_contradicts_the_declared_facts_is_an_error():
    definition = of_one_real(swish, Increasing())  # it falls to -0.28 first
    with pytest.raises(OracleError, match=r"f at -inf: a formula gives 0.*facts leave only"):
        truth(definition, np.array([-INF]), BINARY32)


@pytest.mark.parametrize(
    "facts",
    [
        (Increasing(), Range(lower=-2, upper=2)),  # too wide a range
        (Range(lower=-1, upper=1),),  # no monotony
        (Increasing(),),  # no range
    ],
)
def test_a_range_that_is_not_filled_decides_nothing(facts, without_symbols):
    definition = of_one_real(algebraic, *facts)
    assert not has_limit(definition, -INF)
    assert not has_limit(definition, INF)


def test_another_form_decides_where_the_published_one_has_no_value(without_symbols):
    """X Phi(x) + phi(x) at -inf is -inf * 0; by the parabolic cylinder function it is 0."""
    published, form = lookup("ria").formula, lookup("ria").forms["parabolic cylinder"]
    assert not has_limit(of_one_real(published), -INF)
    assert limit(of_one_real(published, form=form), -INF) == 0


def test_a_form_that_contradicts_the_declared_monotony_is_an_error():
    """A form that ends at 1 on the left, of a function that falls to 0 there."""

    def wrong(x, xp):
        return lookup("ria").forms["parabolic cylinder"](x, xp) + 1

    definition = of_one_real(lookup("ria").formula, Increasing(), form=wrong)
    with pytest.raises(OracleError, match=r"f at -inf: a formula gives 1\.0.*facts leave only"):
        truth(definition, np.array([-INF]), BINARY32)
    assert has_limit(definition, -INF)  # so that it is asked for, and the error is seen


def test_infinities_leave_the_finite_arguments_as_they_are():
    x = np.array([-INF, 0.25, INF, -3.0])
    ria = lookup("ria")
    mixed = truth(ria, x, BINARY32, cross_check=True)
    alone = truth(ria, x[[1, 3]], BINARY32, cross_check=True)
    np.testing.assert_array_equal(mixed.rounded[[1, 3]], alone.rounded)
    np.testing.assert_array_equal(mixed.offset[[1, 3]], alone.offset)
    assert Fraction(float(mixed.rounded[0])) == 0
