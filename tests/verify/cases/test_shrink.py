"""A failing case is made small: by axes in all arguments that have them, and it still fails."""

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.verify.cases.draw import draw_batch, families
from softproof.verify.cases.shrink import shrink, simpler
from softproof.verify.cases.text import parse, to_text

SIZES = {"K": 9, "d": 6, "n": 12, "e": 5, "T": 8, "L": 4}


def drawn(name, family=None, place=2):
    definition = lookup(name)
    family = family or families(definition)[0]
    rng = np.random.default_rng(5)
    return definition, draw_batch(definition, family, BINARY32, SIZES, rng).cases[place]


@pytest.mark.parametrize(
    "name", ["attention", "linear_cross_entropy", "rms_norm", "cross_entropy", "ctc_loss"]
)
def test_every_candidate_is_a_case_of_the_definition(name):
    definition, case = drawn(name)
    count = 0
    for candidate in simpler(definition, case):
        _, read = parse(to_text(definition, candidate), BINARY32)  # which sees shapes and indices
        assert read.key == candidate.key
        assert all(value.any() for value in read.values.values() if value.dtype == np.bool_)
        count += 1
    assert count > 50


def test_what_does_not_matter_is_dropped_and_what_matters_stays():
    definition, case = drawn("attention", "v: spike")

    def fails(candidate):
        return bool((np.abs(candidate.values["v"]) > 5).any())

    assert fails(case)
    small = shrink(definition, case, fails)
    assert fails(small)
    assert small.sizes(definition.signature) == {"d": 1, "n": 1, "e": 1}
    assert not small.values["q"].any()
    assert not small.values["k"].any()
    assert 5 < abs(small.values["v"].item()) <= abs(case.values["v"]).max()


def test_a_label_moves_along_when_classes_before_it_are_dropped():
    definition, case = drawn("linear_cross_entropy", place=1)
    case.values["weight"][...] = np.arange(9)[:, None]

    def fails(candidate):
        weight, label = candidate.values["weight"], candidate.values["label"]
        return bool((weight[label] == 8).all() and len(weight) > 1)

    assert fails(case)
    small = shrink(definition, case, fails)
    assert small.sizes(definition.signature) == {"d": 1, "K": 2}
    assert fails(small)


def test_parameters_take_their_defaults_where_that_fails_too():
    definition, case = drawn("rms_norm", "eps=0.0625")
    assert shrink(definition, case, lambda candidate: True).parameters == {}
    kept = shrink(definition, case, lambda candidate: bool(candidate.parameters))
    assert kept.parameters == {"eps": 0.0625}


def test_shrinking_ends_is_deterministic_and_asks_no_more_than_it_may():
    definition, case = drawn("attention")
    calls = []

    def fails(candidate):
        calls.append(candidate)
        return candidate.values["q"].size > 2

    first = shrink(definition, case, fails, 60)
    assert len(calls) <= 60
    assert to_text(definition, first) == to_text(definition, shrink(definition, case, fails, 60))
    smallest = shrink(definition, case, lambda candidate: True)
    assert list(simpler(definition, smallest)) == []
