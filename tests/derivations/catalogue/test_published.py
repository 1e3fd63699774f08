"""Definitions of papers: what their sources say, with facts that hold and that a mistake breaks.

The truth of each stands in the module of its family beside this one (``published_FAMILY.py``): a
transcript of the source in plain loops over mpmath numbers.  What else the engine makes of a
definition (bounds, gradients, suites, pages) is tested on definitions that have implementations;
here each is asked for what its author could have got wrong.
"""

import functools
from dataclasses import replace

import flint
import numpy as np
import pytest
from softproof.derivations import REGISTRY, prove
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.derivations.arithmetic.systems import balls
from softproof.derivations.definition import AS_PUBLISHED
from softproof.derivations.proofs.examine import POINTS, examine
from softproof.derivations.running_error import Model, threshold

from tests.derivations.catalogue import (
    published_activations,
    published_attention,
    published_distributions,
    published_embeddings,
    published_losses,
    published_normalisation,
    published_systems,
)
from tests.derivations.catalogue.test_functions_of_arrays import agrees, evaluate

FAMILIES = (
    published_activations,
    published_attention,
    published_distributions,
    published_embeddings,
    published_losses,
    published_normalisation,
    published_systems,
)
TRUTHS = {name: truth for family in FAMILIES for name, truth in family.TRUTHS.items()}
CASES = {name: cases for family in FAMILIES for name, cases in family.CASES.items()}
NAMES = sorted(TRUTHS)
FORMS = [
    pytest.param(name, form, id=f"{name}: {form}")
    for name in NAMES
    for form in (AS_PUBLISHED, *REGISTRY[name].forms)
]
NOT_IN_SYMBOLS = {name for family in FAMILIES for name in family.NOT_IN_SYMBOLS}
ENOUGH = POINTS - 2  # at others it may have no value, as where a weight divides by 0
# Why a definition has fewer than two facts.
FEW_FACTS = {name: why for family in FAMILIES for name, why in family.FEW_FACTS.items()}


def test_each_has_its_paper_its_cases_and_a_source():
    assert TRUTHS.keys() == CASES.keys()
    for name in NAMES:
        definition = REGISTRY[name]
        assert definition.papers, name
        assert definition.source, name
        assert len(CASES[name]) >= 2, name


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_form_is_the_function_of_its_paper(name, form):
    definition = REGISTRY[name]
    formula = definition.forms.get(form, definition.formula)
    in_symbols = name not in NOT_IN_SYMBOLS
    assert agrees(formula, name, TRUTHS, CASES, in_symbols=in_symbols)


def why_not(definition, fact):
    """Why a fact neither holds at points nor, of a function of one real, is proven; "" if it does.

    Facts of one real are stated in symbols.
    """
    if definition.elementwise:
        alone = replace(definition, facts=(fact,), gradient=None)
        return "; ".join(p.reason for p in prove(alone) if not p.proven and p.points < ENOUGH)
    found = examine(definition, fact)
    if found.idle or found.counterexample:
        return found.idle or found.counterexample
    return "" if found.points >= ENOUGH else f"it holds at {found.points} points"


@pytest.mark.parametrize("name", NAMES)
def test_its_facts_hold(name):
    definition = REGISTRY[name]
    assert len(definition.facts) >= 2 or FEW_FACTS[name]
    for fact in definition.facts:
        assert not why_not(definition, fact), fact.text


def with_a_mistake(definition, sign):
    """The definition, with squares of its arguments added to its results, to each another sum."""

    def stacked(places, number, xp):
        """Numbers in the shape of nested lists of places."""
        if isinstance(places, list):
            return xp.stack([stacked(place, number, xp) for place in places])
        return number(int(places))

    def squares(given, xp, shift):
        """A sum of squares of all arguments, each with another weight."""
        total = xp.number(shift + 3)
        for name, value in zip(definition.signature.arguments, given, strict=True):
            if name in definition.signature.numbers:
                shape = np.shape(value)
                weights = (700 + 99 * ((np.arange(np.prod(shape)) + shift) % 5)).reshape(shape)
                squared = xp.array(weights) * value * (value + 1)
                total = total + (xp.sum(squared) if shape else squared)
        return total

    def formula(*given, **parameters):
        count = len(definition.signature.arguments)
        xp = given[count]
        results = definition.formula(*given, **parameters)
        several = isinstance(results, tuple)
        wrong = []
        for result in results if several else (results,):
            places = np.arange(np.prod(np.shape(result))).reshape(np.shape(result)).tolist()
            added = stacked(places, functools.partial(squares, given[:count], xp), xp)
            wrong.append(result + sign * added)
        return tuple(wrong) if several else wrong[0]

    return replace(definition, formula=formula)


@pytest.mark.parametrize(
    ("name", "fact"),
    [pytest.param(n, f, id=f"{n}: {f.text}") for n in NAMES for f in REGISTRY[n].facts],
)
def test_a_mistake_breaks_each_fact(name, fact):
    mistaken = [with_a_mistake(REGISTRY[name], sign) for sign in (1, -1)]
    assert any(why_not(definition, fact) for definition in mistaken)


def output(definition, number):
    """The formula of one of the outputs of a definition."""
    if len(definition.signature.outputs) == 1:
        return definition.formula
    return lambda *given, **parameters: definition.formula(*given, **parameters)[number]


@pytest.mark.parametrize("name", NAMES)
def test_a_bound_of_its_rounding_errors_encloses_the_exact_value(name):
    """At the cases, in float32."""
    definition = REGISTRY[name]
    xp = balls()
    for arguments, parameters in CASES[name]:
        kinds = definition.signature.arguments
        given = [
            np.array(a, dtype=np.float64) if k in definition.signature.numbers else np.array(a)
            for k, a in zip(kinds, arguments, strict=True)
        ]
        given = [g if g.shape else (g[()] if g.dtype == float else g.item()) for g in given]
        values, radii = [], []
        for i in range(len(definition.signature.outputs)):
            found = threshold(output(definition, i), given, Model.of(BINARY32), **parameters)
            values += list(np.ravel(found.value))
            radii += list(np.ravel(found.radius))
        with flint.ctx.workprec(200):
            exact = evaluate(definition.formula, name, arguments, parameters, xp)
            for value, radius, ball in zip(values, radii, exact, strict=True):
                assert abs(ball - flint.arb(float(value))) <= flint.arb(float(radius))
