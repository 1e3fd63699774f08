"""Definitions that choose: the choice of an arithmetic, the function given a choice, and pages."""

import flint
import numpy as np
import pytest
import sympy
from softproof.derivations import Count, Index, Indices, Vector, define, lookup, prove
from softproof.derivations.arithmetic.arithmetic import NoValue
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.derivations.arithmetic.systems import balls, big_floats, ieee, symbols
from softproof.derivations.arithmetic.tape import Tape
from softproof.derivations.choices import chooses, given_choice, of_numbers
from softproof.derivations.definition import REGISTRY
from softproof.derivations.page import derive
from softproof.derivations.proofs.facts import Range
from softproof.derivations.running_error import Model, RunningErrorArithmetic
from softproof.derivations.running_error.numbers import UndecidedComparison
from softproof.derivations.signature import Signature

GATE = lookup("top_k_gate")
SYSTEMS = [balls(), big_floats(80), ieee(BINARY32), symbols(), Tape(big_floats(80))]


@pytest.mark.parametrize("xp", SYSTEMS, ids=lambda xp: xp.name)
def test_the_largest_come_first_and_equal_ones_in_their_order(xp):
    scores = xp.array([2, 5, 2, 7, 5])
    assert list(xp.largest(scores, 4)) == [3, 1, 4, 0]
    assert list(xp.largest(scores, 0)) == []
    with pytest.raises(ValueError, match="the 6 largest of 5 entries"):
        xp.largest(scores, 6)


def test_balls_that_overlap_are_not_chosen_from_but_beside_others_they_do_not_matter():
    wide = np.array([flint.arb(1, 2.0**-9), flint.arb(1), flint.arb(3)], dtype=object)
    with pytest.raises(NoValue, match="not decided"):
        balls().largest(wide, 2)


def test_numbers_that_rounding_may_exchange_are_not_chosen_from():
    xp = RunningErrorArithmetic(Model.of(BINARY32))
    near = xp.array([1.0, 1.0 + 2.0**-23, 4.0])
    assert xp.largest(near, 2).tolist() == [2, 1]  # exact numbers compare exactly
    with pytest.raises(UndecidedComparison):
        xp.largest(xp.exp(near), 2)
    assert xp.largest(xp.exp(near), 1).tolist() == [2]


def test_the_function_given_a_choice_has_the_numbers_of_that_choice():
    xp = big_floats(80)
    logits = xp.vector([0, 1, 3])
    given = given_choice(GATE)
    for form in (given.formula, *given.forms.values()):
        weights = form(logits, np.array([2, 0]), xp)
        exact = 1 / (1 + np.exp(-3.0))
        assert [float(w) for w in weights] == pytest.approx([exact, 1 - exact], rel=1e-15)
    assert given.signature.sizes({"logits": (3,), "indices": (2,)}) == {"K": 3, "k": 2}


def test_without_the_indices_the_arithmetic_chooses():
    numbers = of_numbers(GATE)
    assert not chooses(numbers)
    weights = numbers.formula(big_floats(80).vector([0, 1, 3]), big_floats(80), k=1)
    assert [float(w) for w in weights] == [1.0]


def test_other_definitions_are_as_they_are():
    softmax = lookup("softmax")
    assert given_choice(softmax) is softmax is of_numbers(softmax)


@pytest.mark.parametrize("times", [0, 2])
def test_a_formula_that_does_not_ask_for_its_choice_once_is_told(times):
    def chosen(x, xp, k=1):
        """The largest."""
        found = np.arange(k)
        for _ in range(times):
            found = xp.largest(x, k)
        return found, x[found]

    definition = declared(chosen)
    given, xp = given_choice(definition), big_floats(80)
    with pytest.raises(ValueError, match=f"asks xp.largest {times} times"):
        given.formula(xp.vector([1, 2]), np.array([1]), xp)


def declared(formula, output=None, parameters=None):
    """A definition that is taken out of the registry again."""
    try:
        return define(
            family="tests",
            source="this test",
            arguments={"x": Vector("K")},
            output=output or {"places": Indices("k", into="K"), "values": ("k",)},
            parameters=parameters or {"k": Count(1, 1, 8)},
        )(formula)
    finally:
        REGISTRY.pop(formula.__name__, None)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({"values": ("k",), "places": Indices("k", into="K")}, "indices stand behind"),
        ({"one": Index("K"), "other": Index("K")}, "indices stand behind"),
        ({"places": Indices("k", into="n"), "values": ("k",)}, "indexes 'n'"),
        ({"places": Indices("m", into="K"), "values": ("m",)}, "has the axis 'm'"),
    ],
)
def test_outputs_that_make_no_sense_are_refused(output, told):
    def f(x, xp, k=1):
        """Nothing of sense."""

    with pytest.raises(ValueError, match=told):
        declared(f, output)


@pytest.mark.parametrize("wrong", [1.5, None])
def test_a_count_is_a_whole_number(wrong):
    with pytest.raises(ValueError, match=r"whole numbers|None with depends"):
        Count(wrong, 1, 8)
    with pytest.raises(ValueError, match=r"1\.5 is no whole number"):
        Count(1, 1, 8).exact(1.5)


def test_an_axis_is_as_long_as_the_parameters_need():
    assert GATE.long_enough({"K": 1}, {}) == {"K": 2}
    assert GATE.long_enough({"K": 1}, {"k": 3.0}) == {"K": 3}
    assert GATE.long_enough({"K": 9}, {"k": 3}) == {"K": 9}
    assert lookup("rms_norm").long_enough({"K": 1}, {}) == {"K": 1}


def test_facts_of_the_numbers_are_proven_on_charts_of_every_order():
    proofs = prove(GATE)
    assert {p.statement for p in proofs} == {fact.text for fact in GATE.facts}
    assert all(p.proven for p in proofs)


def test_a_fact_that_holds_of_no_tie_breaking_is_refuted():
    def smallest(x, xp, k=1):
        """The softmax of all at the largest: it sums to less than 1."""
        chosen = xp.largest(x, k)
        return chosen, xp.softmax(x)[chosen]

    definition = declared(smallest)
    definition.facts = (GATE.facts[0],)
    (proof, *_) = prove(definition)
    assert not proof.proven
    assert "refuted" in proof.reason.lower()


def test_the_page_prints_the_function_of_entries_that_are_the_largest():
    page = derive("top_k_gate")
    assert "K = 3, k = 2 where the first are the largest" in page
    line = next(row for row in page.splitlines() if row.strip().startswith("f_1 = "))
    a, b = sympy.symbols("logits_1 logits_2")
    found = sympy.sympify(line.partition(" = ")[2])
    assert sympy.simplify(found - sympy.exp(a) / (sympy.exp(a) + sympy.exp(b))) == 0
    assert "dL/dlogits_3 = 0" in page


def test_halves_need_an_even_number_of_entries():
    rope = lookup("rope")
    assert rope.long_enough({"d": 5}, {}) == {"d": 6}
    assert rope.long_enough({"d": 6}, {}) == {"d": 6}
    assert rope.misfit({"d": 5}, {}) == "d has 5 entries; their number has to be even"
    assert rope.misfit({"d": 6}, {}) == ""


# --- indices alone ---


def places(x, xp, k=1):
    """The places of the largest squares."""
    return xp.largest(x * x, k)


def test_of_indices_alone_the_scores_are_what_is_exact():
    definition = declared(places, {"places": Indices("k", into="K")})
    given = given_choice(definition)
    assert given.signature.outputs == {"scores": ("K",)}
    xp = ieee(BINARY32)
    scores = given.formula(xp.vector([1, -3, 2]), np.array([0]), xp)
    assert scores.tolist() == [1, 9, 4]
    with pytest.raises(ValueError, match="places gives indices alone"):
        of_numbers(definition)


def test_one_index_is_a_label_of_the_function_given_the_choice():
    def largest_square(x, xp, k=1):
        """The largest square, and where it is."""
        chosen = xp.largest(x * x, 1)[0]
        return chosen, x[chosen] * x[chosen]

    definition = declared(largest_square, {"place": Index("K"), "square": ()})
    given = given_choice(definition)
    assert given.signature.arguments["place"].into == "K"
    xp = ieee(BINARY32)
    assert given.formula(xp.vector([1, -3, 2]), 2, xp) == 4
    assert of_numbers(definition).formula(xp.vector([1, -3, 2]), xp) == 9


def test_what_gives_an_index_is_no_definition_of_a_row():
    assert Signature({"logits": Vector("K")}, {"value": ("K",)}).is_a_row
    assert not Signature({"logits": Vector("K")}, {"value": Index("K")}).is_a_row


def test_facts_of_indices_alone_are_refused():
    try:
        with pytest.raises(ValueError, match="'places' gives indices alone and declares"):
            define(
                family="tests",
                source="this test",
                arguments={"x": Vector("K")},
                output=Indices("k", into="K"),
                parameters={"k": Count(1, 1, 8)},
                facts=(Range(lower=0),),
            )(places)
    finally:
        REGISTRY.pop("places", None)
