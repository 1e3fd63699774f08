"""Right implementations raise no alarm, with many seeds and in all formats."""

import collections
import dataclasses
from pathlib import Path

import pytest
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.inputs.families import draw
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import ROWS, plan
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.contract import CONVENTIONAL
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES

TESTS = Path(__file__).parents[2]
# The suites that look at numbers, and so at what a seed draws.
DRAWN = ("accuracy", "overflow", "special-values", "invariance", "gradient")
# What a suite asks by itself ("") is not told the seed, and these families do not ask for it.
SAME_FOR_ALL_SEEDS = ("", "gaps", "gaps_below_zero")
# Families that hardly depend on the seed: of few numbers, in every length or at every place.
FIXED = ("lengths", "drawn_lengths", "tails", "tall", "large", "positions", "mask_positions")

# --- who is right ---

FIRST_FORMATS = ("float32", "float64")
NARROW = ("float16", "bfloat16", "float32")
OURS = [s for s in BUILT_IN if "softproof.kernels" in s.id and not s.id.endswith(":naive")]
OF_ROWS = ("softmax", "log_softmax", "logsumexp", "cross_entropy")
CAREFUL = [
    Subject(f"right:careful_{d}", d, CONVENTIONAL, NARROW)
    for d in (*OF_ROWS, "sigmoid", "softplus")
]
DECIMAL = [Subject(f"right:decimal_{d}", d, CONVENTIONAL, (*NARROW, "float64")) for d in OF_ROWS]
RIGHT = [*OURS, *CAREFUL, *DECIMAL]
DEFINITIONS = list(dict.fromkeys(s.definition for s in RIGHT))
# Of each definition with three origins, which of our kernels is asked with all the seeds.
CHOSEN = {
    "softmax": "online",
    "log_softmax": "log_softmax",
    "logsumexp": "logsumexp",
    "cross_entropy": "cross_entropy_with_gradient",
}


@pytest.fixture(autouse=True)
def _tests_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)


def test_three_origins_of_each_definition_and_none_is_another_librarys():
    """No two share code, and all of them are ours: kernels, Python floats, decimal numbers."""
    for definition, kernel in CHOSEN.items():
        ids = {s.id for s in RIGHT if s.definition == definition}
        assert {
            f"softproof.kernels:{kernel}",
            f"right:careful_{definition}",
            f"right:decimal_{definition}",
        } <= ids
    assert not any(s.requires for s in RIGHT)


# --- what they are asked ---


def of(definition, dtype, subjects=RIGHT):
    return [s for s in subjects if s.definition == definition and dtype in s.dtypes]


def chosen(definition, dtype):
    """One of our kernels, and Python floats."""
    kernel = f"softproof.kernels:{CHOSEN[definition]}"
    return [s for s in of(definition, dtype) if s in CAREFUL or s.id == kernel]


def asked_first(definition, dtype):
    """All suites, with the first seed; our kernels with as many rows as users ask for."""
    for item in plan(of(definition, dtype), SUITES, [dtype]):
        yield item if item.subject in OURS else dataclasses.replace(item, rows=2)


def asked_again(definition, dtype, seed):
    """All suites, with another seed, but for what is the same for all seeds."""
    for item in plan(of(definition, dtype), SUITES, [dtype], seed=seed):
        if dtype not in FIRST_FORMATS or item.family not in SAME_FOR_ALL_SEEDS:
            yield dataclasses.replace(item, rows=2)


def asked_often(definition, seed):
    """Of two of them, what a seed draws: a third of the families in turn."""
    drawn = [
        item
        for item in plan(chosen(definition, "float32"), DRAWN, ["float32"], seed=seed)
        if item.family not in (*SAME_FOR_ALL_SEEDS, *FIXED)
    ]
    # Both are asked for the same rows in turn, so that truths are found once.
    kinds = list(dict.fromkeys((item.suite, item.family) for item in drawn))
    for item in drawn:
        if (kinds.index((item.suite, item.family)) + seed) % 3 == 0:
            yield dataclasses.replace(item, rows=2)


def alarms(items):
    return [failure for item in items for failure in execute(item).failures]


FIRST = [(d, t) for d in DEFINITIONS for t in FIRST_FORMATS if of(d, t)]
# (Decimal numbers take ten times as long as the others: with few seeds.)
AGAIN = [
    (d, t, seed)
    for d in DEFINITIONS
    for seed, t in ((1, "float32"), (2, "float32"), (3, "float16"), (4, "bfloat16"))
    if of(d, t)
]
OFTEN = [(d, seed) for d in CHOSEN for seed in range(5, 20)]


@pytest.mark.parametrize(("definition", "dtype"), FIRST)
def test_right_implementations_raise_no_alarm(definition, dtype):
    assert alarms(asked_first(definition, dtype)) == []


@pytest.mark.parametrize(("definition", "dtype", "seed"), AGAIN)
def test_right_implementations_raise_no_alarm_with_other_seeds_and_formats(definition, dtype, seed):
    assert alarms(asked_again(definition, dtype, seed)) == []


@pytest.mark.parametrize(("definition", "seed"), OFTEN)
def test_right_implementations_raise_no_alarm_with_many_seeds(definition, seed):
    assert alarms(asked_often(definition, seed)) == []


@pytest.mark.long
@pytest.mark.parametrize("definition", CHOSEN)
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("seed", range(20))
def test_right_implementations_raise_no_alarm_in_the_standard_budget(definition, dtype, seed):
    subjects = [*chosen(definition, dtype), *(of(definition, dtype, DECIMAL) if seed < 5 else ())]
    items = plan(subjects, DRAWN if seed else SUITES, [dtype], seed=seed)
    assert alarms(dataclasses.replace(item, rows=ROWS["standard"]) for item in items) == []


# --- that no more and no less is asked ---


def all_asked():
    for definition, dtype in FIRST:
        yield from asked_first(definition, dtype)
    for definition, dtype, seed in AGAIN:
        yield from asked_again(definition, dtype, seed)
    for definition, seed in OFTEN:
        yield from asked_often(definition, seed)


def test_nothing_is_asked_twice_and_everyone_is_asked_in_all_formats_and_seeds():
    asked = collections.Counter(
        (item.subject.id, item.subject.definition, item.suite, item.dtype, item.family, item.seed)
        for item in all_asked()
    )
    assert set(asked.values()) == {1}
    for subject in RIGHT:
        whom = [key for key in asked if key[:2] == (subject.id, subject.definition)]
        assert {dtype for *_, dtype, _, _ in whom} == set(subject.dtypes)
    for definition, kernel in CHOSEN.items():
        for name in (f"softproof.kernels:{kernel}", f"right:careful_{definition}"):
            whom = [key for key in asked if key[:2] == (name, definition)]
            assert {seed for *_, seed in whom} == set(range(20))
            # What seeds draw is asked with at least seven of them.
            seeds = collections.Counter((key[2], key[4]) for key in whom if key[2] in DRAWN)
            drawn = {k: n for k, n in seeds.items() if k[1] not in (*SAME_FOR_ALL_SEEDS, *FIXED)}
            assert len(drawn) > 20
            assert min(drawn.values()) >= 7


@pytest.mark.parametrize("family", SAME_FOR_ALL_SEEDS[1:])
def test_what_is_asked_with_one_seed_alone_is_the_same_with_all(family):
    def drawn(seed, rows):
        batches = draw(family, FORMATS["float32"], rows, seed, labelled=True)
        return [(batch.logits.tobytes(), batch.labels.tobytes()) for batch in batches]

    assert drawn(0, 8) == drawn(1, 2) == drawn(2, 2)
