"""Gradients printed of functions of several arguments, against differences of the definition."""

import re

import numpy as np
import pytest
import sympy
from softproof.derivations import REGISTRY, define
from softproof.derivations.arithmetic.systems import big_floats
from softproof.derivations.page import arguments as module
from softproof.derivations.page import derive
from softproof.derivations.signature import Integer, Labels, Numbers, Real, Vector

from tests.implemented import OF_NAMED_ARGUMENTS

XP = big_floats(400)
STEP = sympy.Rational(1, 2**90)
# Sorted numbers, zeros of functions and so many iterations are no expressions.
NOT_IN_SYMBOLS = ("sparsemax", "entmax", "sinkhorn")
WHOLE = 3  # what stands for a whole number
# (The page of one that chooses is for given indices: see `test_choices`.)
NAMES = [
    d.name for d in OF_NAMED_ARGUMENTS if d.name not in NOT_IN_SYMBOLS and not d.signature.indices
]


@pytest.fixture
def defined():
    """What defines functions that are forgotten afterwards."""
    before = set(REGISTRY)

    def add(function, arguments, output):
        return define(family="tests", source="this test", arguments=arguments, output=output)(
            function
        )

    yield add
    for name in REGISTRY.keys() - before:
        del REGISTRY[name]


def printed(name, heading):
    """{left: right} of the equations of a section of the text page."""
    (block,) = (b for b in derive(name).split("\n\n") if b.startswith(heading))
    joined = re.sub(r"\n {3,}", " ", block)
    return dict(line.strip().split(" = ", 1) for line in joined.split("\n")[1:])


def point(definition):
    """A number for each entry of each argument, by its printed name, all different."""
    values, k = {}, 0
    for name, kind in definition.signature.arguments.items():
        for index in np.ndindex(*(2,) * len(kind.axes)) if isinstance(kind, Numbers) else ():
            k += 1
            entry = name + "".join(f"_{i + 1}" for i in index)
            values[entry] = sympy.Rational((-1) ** k * (k % 7 + 1), 5)
    return values


def weighted_sum(definition, values, weights):
    """The sum of all results times the weights, in big floats."""
    given = []
    for name, kind in definition.signature.arguments.items():
        shape = (2,) * len(kind.axes)
        if isinstance(kind, Labels):
            given.append(np.array([kind.lower]))  # more do not fit into two steps
            continue
        if not isinstance(kind, Numbers):
            alone = WHOLE if isinstance(kind, Integer) else 0
            given.append(np.ones(shape, dtype=bool) if shape else alone)
            continue
        array = np.empty(shape, dtype=object)
        for index in np.ndindex(shape):
            number = values[name + "".join(f"_{i + 1}" for i in index)]
            array[index] = XP.number(int(number.p)) / XP.number(int(number.q))
        given.append(array if shape else array[()])
    parameters = {n: XP.number(p.default) for n, p in definition.parameters.items() if p.default}
    result = definition.formula(*given, XP, **parameters)
    entries = np.asarray(result, dtype=object).reshape(-1)
    return sum(int(w) * y for w, y in zip(weights, entries, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_printed_derivative_is_that_of_the_definition(name):
    definition = REGISTRY[name]
    vector = bool(definition.signature.outputs["value"])
    heading, left = ("Vector-Jacobian", "dL") if vector else ("Gradient", "df")
    weights = (3, -2) if vector else (1,)
    equations, values = printed(name, heading), point(definition)
    assert set(equations) == {f"{left}/d{entry}" for entry in values}
    kinds = definition.signature.arguments
    wholes = {name: WHOLE for name, kind in kinds.items() if isinstance(kind, Integer)}
    symbols = values | wholes
    if vector:
        symbols |= {"g_1": sympy.Integer(3), "g_2": sympy.Integer(-2)}
    symbols |= {
        n: sympy.Rational(*p.default.as_integer_ratio())
        for n, p in definition.parameters.items()
        if p.default
    }
    for entry in values:
        up, down = (
            weighted_sum(definition, {**values, entry: values[entry] + sign * STEP}, weights)
            for sign in (1, -1)
        )
        slope = (up - down) * 2**89
        named = {name: sympy.Symbol(name) for name in symbols}  # beta is a function otherwise
        found = sympy.sympify(equations[f"{left}/d{entry}"], locals=named)
        found = found.subs({named[name]: value for name, value in symbols.items()}).evalf(40)
        assert abs(float(found) - float(slope)) <= 1e-14 * (1 + abs(float(slope))), entry


def test_where_a_derivative_has_cases_it_is_said():
    assert "Vector-Jacobian product (none in symbols: z_2 > z_1 is not decided" in derive(
        "sparsemax"
    )


@pytest.mark.parametrize("name", NOT_IN_SYMBOLS)
def test_what_is_no_expression_has_a_page_all_the_same(name):
    assert "none in symbols: " in derive(name)


def test_a_gradient_that_takes_too_long_is_said_so(monkeypatch):
    def endless(expression):
        while True:
            pass

    monkeypatch.setattr(module, "TIME_LIMIT", 0.05)
    monkeypatch.setattr(module, "_short", endless)
    page = derive("rms_norm")
    assert "Vector-Jacobian product (none found in symbols within 0.05 s)" in page
    assert "Arguments" in page


def test_of_several_outputs_each_has_a_cotangent_and_no_name_is_taken_twice(defined):
    def scaled(g, x, xp):
        """Both products with g."""
        return g * x, g * xp.sum(x)

    defined(scaled, {"g": Real(), "x": Vector("K")}, {"each": ("K",), "total": ()})
    found = printed("scaled", "Vector-Jacobian")
    right = sympy.sympify("g*(cotangent_each_1 + cotangent_total)")
    assert sympy.expand(sympy.sympify(found["dL/dx_1"]) - right) == 0
    assert set(found) == {"dL/dg", "dL/dx_1", "dL/dx_2"}


def test_a_formula_that_decides_on_a_symbol_has_a_page_all_the_same(defined):
    def positive(x, xp):
        """x, or 0 where it is negative."""
        return x if x > 0 else 0 * x

    defined(positive, {"x": Real()}, ())
    page = derive("positive")
    assert "Definition (none in symbols: " in page
    assert "  x  real" in page
