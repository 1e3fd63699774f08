"""A choice is held against the admissible ones, and the numbers against those of that choice.

Which choices there are is told by trying all: of scores that are moved anywhere between their ends.
"""

import itertools

import numpy as np
import pytest
from softproof.derivations import Count, Indices, Vector, define, lookup
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32
from softproof.derivations.definition import REGISTRY
from softproof.derivations.running_error import Model
from softproof.verify.cases.case import Case, CaseBatch
from softproof.verify.cases.draw import draw
from softproof.verify.cases.shrink import simpler
from softproof.verify.cases.text import parse, to_text
from softproof.verify.cases.truth import truth
from softproof.verify.runs.execute import execute
from softproof.verify.runs.results import Item
from softproof.verify.subjects.contract import IN_FORMAT, Contract
from softproof.verify.subjects.implementations import functions_of_arrays as ours
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites.of_cases import CASE_SUITES, accuracy, choices, facts, gradient

GATE = lookup("top_k_gate")
FLOAT32 = Model.of(BINARY32)


def case(*logits, **parameters):
    return Case({"logits": np.float32(logits)}, parameters)


def admissible(definition, at, k, model=FLOAT32):
    """All sequences of k different indices that are not refused."""
    size = len(next(iter(at.values.values())))
    return [
        chosen
        for chosen in itertools.permutations(range(size), k)
        if choices.refusal(definition, at, np.array(chosen), model) is None
    ]


# --- which choices are admissible ---


def test_of_tied_entries_any_is_admissible_and_of_others_none():
    assert admissible(GATE, case(3, 1, 3), 2) == [(0, 2), (2, 0)]
    assert admissible(GATE, case(1, 3, 1, 1), 2) == [(1, 0), (1, 2), (1, 3)]
    assert admissible(GATE, case(4, 1, 3), 2) == [(0, 2)]


def test_what_is_near_but_rounding_cannot_exchange_is_decided():
    """Neighbours at 20 differ by 32 u, and their exponentials by as much: more than both err."""
    near = np.nextafter(np.float32(20), np.float32(30))
    assert admissible(GATE, case(20, near, 1), 2) == [(1, 0)]


def test_what_a_form_rounds_to_equal_scores_is_admissible():
    """exp underflows far below the largest logit: who selects by probabilities cannot know."""
    assert (0, 1) in admissible(GATE, case(200, 1, 0), 2)
    assert (0, 2) in admissible(GATE, case(200, 1, 0), 2)
    assert (1, 0) not in admissible(GATE, case(200, 1, 0), 2)


def test_the_admissible_choices_are_those_of_scores_between_their_ends():
    """Against all choices of scores that are moved to their ends, or between, on a grid."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        low = rng.integers(0, 6, 4).astype(float)
        high = low + rng.integers(0, 3, 4)
        possible = set()
        steps = [np.arange(a, b + 0.25, 0.5) for a, b in zip(low, high, strict=True)]
        for scores in itertools.product(*steps):
            for order in itertools.permutations(range(4)):
                if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
                    possible.add(order[:2])
        found = {
            pair
            for pair in itertools.permutations(range(4), 2)
            if choices._beaten(np.array(pair), low, high) is None
        }
        assert found == possible


@pytest.mark.parametrize(
    ("chosen", "told"),
    [((0, 3), "3 is no index of K"), ((-1, 0), "-1 is no index"), ((0, 0), "0 is chosen twice")],
)
def test_what_is_no_choice_is_refused(chosen, told):
    assert told in choices.refusal(GATE, case(3, 2, 1), np.array(chosen), FLOAT32).reason


def test_scores_of_unknown_error_decide_nothing():
    def of_squares(x, xp, k=1):
        """The entry with the largest square, which may overflow."""
        chosen = xp.largest(x * x, k)
        return chosen, x[chosen]

    try:
        definition = define(
            family="tests",
            source="this test",
            arguments={"x": Vector("K")},
            output={"places": Indices("k", into="K"), "values": ("k",)},
            parameters={"k": Count(1, 1, 8)},
            least_sizes=lambda k: {"K": k},
        )(of_squares)
        at = Case({"x": np.float32([2.0**100, 1, 2.0**90])})
        batch = CaseBatch("given", (at,))
        computed = np.array([[2.0, 2.0**90]])
        verdict = accuracy.judge(definition, Contract(), BINARY32, batch, computed)
    finally:
        del REGISTRY["of_squares"]
    assert [seen.reason for seen in verdict.undecided] == [choices.UNKNOWN]
    assert verdict.violations == []


# --- implementations ---


def weights_of(chosen):
    e = np.exp(chosen - chosen.max(axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def selected(logits, indices):
    return indices, weights_of(np.take_along_axis(logits, indices, axis=-1))


def last_of_equals(logits, k=2):
    """The other way to break ties."""
    places = np.argsort(-logits[..., ::-1], axis=-1, kind="stable")[..., :k]
    return selected(logits, logits.shape[-1] - 1 - places)


def by_probabilities(logits, k=2):
    p = weights_of(logits)
    indices = np.argsort(-p, axis=-1, kind="stable")[..., :k]
    chosen = np.take_along_axis(p, indices, axis=-1)
    return indices, chosen / np.sum(chosen, axis=-1, keepdims=True)


def not_renormalised(logits, k=2):
    indices, _ = ours.top_k_gate(logits, k)
    return indices, np.take_along_axis(weights_of(logits), indices, axis=-1)


def the_smallest(logits, k=2):
    return selected(logits, np.argsort(logits, axis=-1, kind="stable")[..., :k])


def weights_in_the_order_of_the_index(logits, k=2):
    indices, _ = ours.top_k_gate(logits, k)
    return indices, selected(logits, np.sort(indices, axis=-1))[1]


def always_two(logits, k=2):
    return ours.top_k_gate(logits, 2)


def floating_indices(logits, k=2):
    indices, weights = ours.top_k_gate(logits, k)
    return indices.astype(logits.dtype), weights


def judged(function, suite, family, dtype="float32", given=None, definition="top_k_gate"):
    item = Item(Subject("mine:f", definition, IN_FORMAT), suite, dtype, family, 8, 0, case=given)
    return execute(item, lambda asked: InProcess(asked, function))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float8_e5m2"])
@pytest.mark.parametrize("function", [ours.top_k_gate, last_of_equals, by_probabilities])
def test_right_ones_pass_however_they_break_ties(function, dtype):
    asked = [("accuracy", "logits: normal"), ("accuracy", "logits: ties"), ("accuracy", "k=3")]
    if dtype == "float32":
        asked += [("accuracy", "logits: wide"), ("poison", "logits: normal")]
        asked += [("layouts", "strided"), ("liveness", "k"), ("liveness", "logits")]
        asked += [("invariance", "logits: normal")]
    for suite, family in asked:
        found = judged(function, suite, family, dtype)
        assert found.failures == (), (suite, family)
        assert found.checks > 0, (suite, family)


MISTAKES = [
    (not_renormalised, "accuracy", "logits: ties", "value beyond its error bound"),
    (the_smallest, "accuracy", "logits: normal", "a choice that is not of the largest"),
    (weights_in_the_order_of_the_index, "accuracy", "logits: ordered", "value beyond"),
    (weights_in_the_order_of_the_index, "invariance", "logits: normal", "P permutes K"),
    (always_two, "liveness", "k", "indices has shape"),
    (floating_indices, "accuracy", "logits: normal", "expected integers"),
]


@pytest.mark.parametrize(("function", "suite", "family", "told"), MISTAKES)
def test_a_mistake_is_caught_and_can_be_seen_again(function, suite, family, told):
    found = judged(function, suite, family)
    assert found.violations > 0
    (failure,) = found.failures
    assert told in failure.message
    _, at = parse(failure.case, BINARY32)
    if CASE_SUITES[suite].takes_cases:
        assert judged(function, suite, "given", given=at).failures[0].case == failure.case


def test_weights_of_other_indices_do_not_pass_at_a_tie():
    """Both choices are right there, but not the weights of one with the indices of the other."""
    at = CaseBatch("given", (case(1, 1, 0, k=1),) * 3)
    right, other, mixed = [0.0, 1.0], [1.0, 1.0], [1.0, 0.5]
    verdict = accuracy.judge(GATE, Contract(), BINARY32, at, np.array([right, other, mixed]))
    assert [violation.row for violation in verdict.violations] == [2]


def test_a_violation_tells_the_place_among_all_results():
    computed = np.array([[1.0, 0.0, 0.75, 0.25]])
    batch = CaseBatch("given", (case(0, 1),))
    (violation,) = accuracy.judge(GATE, Contract(), BINARY32, batch, computed).violations
    told = {2: "At weights[k=0].", 3: "At weights[k=1]."}
    assert violation.detail == told[violation.index]


# --- cases ---


def test_cases_are_as_long_as_k_when_they_are_drawn_shrunk_and_read():
    for batch in draw(GATE, "k=3", BINARY32, 8, 0):
        assert all(at.values["logits"].size >= 3 for at in batch.cases)
    smaller = list(simpler(GATE, case(1, 2, k=1)))
    assert any(at.values["logits"].size == 1 for at in smaller)
    assert all(at.values["logits"].size >= 2 for at in smaller if not at.parameters)
    text = to_text(GATE, case(1, 2, 3, k=3))
    assert parse(text, BINARY32)[1].parameters == {"k": 3}
    with pytest.raises(ValueError, match="K has 2 entries; there have to be 3"):
        parse("top_k_gate k=0x3p+0\nlogits[K=2] 0x1p+0 0x0p+0", BINARY32)
    with pytest.raises(ValueError, match="no whole number"):
        parse("top_k_gate k=0x1.8p+0\nlogits[K=2] 0x1p+0 0x0p+0", BINARY32)


def test_a_definition_that_chooses_has_no_single_truth():
    with pytest.raises(ValueError, match="several results may be right"):
        truth(GATE, case(1, 2), BINARY32)


# --- derivatives ---


def pulled_back(scale):
    def f(logits, k=2):
        return ours.top_k_gate(logits, k)

    def vjp(logits, cotangent, k=2):
        indices, p = ours.top_k_gate(logits, k)
        inner = np.sum(p * cotangent, axis=-1, keepdims=True)
        found = np.zeros_like(logits)
        np.put_along_axis(found, indices, logits.dtype.type(scale) * p * (cotangent - inner), -1)
        return found

    f.vjp = vjp
    return f


def test_derivatives_are_those_of_the_only_choice():
    family = "logits: ordered"
    assert judged(pulled_back(1), "gradient", family).failures == ()
    assert judged(pulled_back(1), "gradient", family).checks > 0
    (failure,) = judged(pulled_back(2), "gradient", family).failures
    assert failure.message == "gradient beyond its error bound"


def test_where_several_choices_are_admissible_derivatives_are_not_decided():
    subject = InProcess(Subject("mine:f", "top_k_gate", IN_FORMAT), pulled_back(1))
    tied = case(1, 1, 0).with_values(cotangent=np.float32([1, -1]))
    verdict = gradient.check(subject, GATE, BINARY32, CaseBatch("given", (tied,)))
    assert [seen.reason for seen in verdict.undecided] == [gradient.TIED]
    assert verdict.violations == []
    assert not any("ties" in family for family in gradient.families(GATE))


def test_facts_are_not_judged_of_a_wrong_choice():
    subject = InProcess(Subject("mine:f", "top_k_gate"), the_smallest)
    batch = CaseBatch("given", (case(1, 2, 3),))
    assert facts.check(subject, GATE, BINARY32, batch).violations == []


def test_selection_by_rounded_sums_is_held_against_their_errors():
    """Experts by s + bias, as routers without an auxiliary loss choose them."""

    def biased_router(affinity, bias, xp, k=1):
        """The largest of s + bias, with the s of those."""
        chosen = xp.largest(affinity + bias, k)
        return chosen, affinity[chosen]

    try:
        definition = define(
            family="tests",
            source="this test",
            arguments={"affinity": Vector("K"), "bias": Vector("K", shared=True)},
            output={"experts": Indices("k", into="K"), "weights": ("k",)},
            parameters={"k": Count(1, 1, 8)},
            least_sizes=lambda k: {"K": k},
        )(biased_router)
        one = np.array([1, 1 + 2.0**-7], dtype=BFLOAT16.dtype)
        big = np.full(2, 256, dtype=BFLOAT16.dtype)
        near = Case({"affinity": one, "bias": big})
        apart = Case({"affinity": np.array([64, 66], dtype=one.dtype), "bias": big * 0})
        in_format = Model.of(BFLOAT16)
        assert admissible(definition, near, 1, in_format) == [(0,), (1,)]
        assert admissible(definition, apart, 1, in_format) == [(1,)]
    finally:
        del REGISTRY["biased_router"]
