"""Definitions that give indices and no numbers beside them: argmax, and the places of the largest.

What is right is told by comparing all entries, which are exact.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.derivations.definition import REGISTRY
from softproof.verify.cases.case import Case, CaseBatch
from softproof.verify.cases.draw import draw_batch, families
from softproof.verify.cases.text import parse, to_text
from softproof.verify.cases.user_definitions import load_definitions
from softproof.verify.cli.main import app
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Item
from softproof.verify.subjects.contract import IN_FORMAT, Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES
from softproof.verify.suites.of_cases import CASE_SUITES, accuracy, gradient
from typer.testing import CliRunner

DEFINITIONS = """
import math
from softproof.derivations import Count, Index, Indices, Mask, Vector, define

@define(family="mine", source="me", arguments={"logits": Vector("K")}, output=Index("K"))
def argmax(logits, xp):
    "The place of the largest logit."
    return xp.largest(logits, 1)[0]

@define(
    family="mine",
    source="me",
    arguments={"logits": Vector("K"), "bias": Vector("K", shared=True), "mask": Mask("K")},
    output={"token": Index("K")},
)
def greedy_token(logits, bias, mask, xp):
    "The most likely token that a grammar allows."
    return xp.largest(xp.where(mask, logits + bias, xp.number(-math.inf)), 1)[0]

@define(
    family="mine",
    source="me",
    arguments={"logits": Vector("K")},
    output={"places": Indices("k", into="K")},
    parameters={"k": Count(2, 1, 64, values=(1, 3))},
    least_sizes=lambda k: {"K": k},
)
def top_places(logits, xp, k=2):
    "The places of the k largest."
    return xp.largest(logits, k)
"""
SUBJECTS = """
import numpy as np

def argmax(logits):
    return np.argmax(logits, axis=-1)

def in_float16(logits):
    return np.argmax(logits.astype(np.float16), axis=-1)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a user's files, their definitions loaded and taken out again afterwards."""
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    (tmp_path / "choosers.py").write_text(SUBJECTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(REGISTRY)
    load_definitions(Path("definitions.py"))
    yield tmp_path
    for name in REGISTRY.keys() - before:
        del REGISTRY[name]


def judged(function, definition, suite, family, dtype="float32", given=None):
    subject = Subject("mine:f", definition, IN_FORMAT)
    item = Item(subject, suite, dtype, family, 8, 0, case=given)
    return execute(item, lambda asked: InProcess(asked, function))


# --- right implementations ---


def argmax(logits):
    return np.argmax(logits, axis=-1)


def last_of_equals(logits):
    return logits.shape[-1] - 1 - np.argmax(logits[..., ::-1], axis=-1)


def by_probabilities(logits):
    """In float64, so that entries of float32 that differ have probabilities that do."""
    return np.argmax(logits.astype(np.float64), axis=-1).astype(np.int32)


def greedy_token(logits, bias, mask):
    return np.argmax(np.where(mask, logits + bias, -np.inf), axis=-1)


def top_places(logits, k=2):
    return np.argsort(-logits, axis=-1, kind="stable")[..., :k]


RIGHT = [
    (argmax, "argmax"),
    (last_of_equals, "argmax"),
    (by_probabilities, "argmax"),
    (greedy_token, "greedy_token"),
    (top_places, "top_places"),
]


@pytest.mark.parametrize(("function", "definition"), RIGHT)
def test_right_ones_pass_in_all_suites_however_they_break_ties(function, definition):
    subject = Subject("mine:f", definition, IN_FORMAT)
    checks = 0
    for item in plan([subject], list(SUITES), ["float32"]):
        found = execute(item, lambda asked: InProcess(asked, function))
        assert found.failures == (), (item.suite, item.family)
        assert found.undecided == 0, (item.suite, item.family, found.undecided_rows)
        checks += found.checks
    assert checks > 100
    assert gradient.families(lookup(definition)) == ()


def test_in_eight_bits_with_many_ties_right_ones_pass():
    for function in (argmax, last_of_equals):
        found = judged(function, "argmax", "accuracy", "logits: normal", "float8_e4m3fn")
        assert found.failures == ()
        assert found.checks > 0


# --- mistakes ---


def in_float16(logits):
    return np.argmax(logits.astype(np.float16), axis=-1)


def argmin(logits):
    return np.argmin(logits, axis=-1)


def as_numbers(logits):
    return np.argmax(logits, axis=-1).astype(logits.dtype)


def with_an_axis_more(logits):
    return np.argmax(logits, axis=-1, keepdims=True)


def counted_from_one(logits):
    return np.argmax(logits, axis=-1) + 1


def ignores_the_mask(logits, bias, mask):
    return np.argmax(logits + bias, axis=-1)


def ignores_the_bias(logits, bias, mask):
    return np.argmax(np.where(mask, logits, -np.inf), axis=-1)


def masked_by_a_product(logits, bias, mask):
    """NaN in what is masked is chosen, and so is a 0 among negative ones."""
    return np.argmax((logits + bias) * mask, axis=-1)


def always_two(logits, k=2):
    return top_places(logits, 2)


def smallest_first(logits, k=2):
    return top_places(logits, k)[..., ::-1]


BROKEN = [
    (in_float16, "argmax", "accuracy", "logits: offset", "a choice that is not of the largest"),
    (argmin, "argmax", "accuracy", "logits: normal", "a choice that is not of the largest"),
    (
        counted_from_one,
        "argmax",
        "accuracy",
        "logits: normal",
        "a choice that is not of the largest",
    ),
    (as_numbers, "argmax", "accuracy", "logits: normal", "expected integers"),
    (with_an_axis_more, "argmax", "accuracy", "logits: normal", "value has shape"),
    (ignores_the_mask, "greedy_token", "liveness", "mask", "mask has no effect"),
    (ignores_the_bias, "greedy_token", "liveness", "bias", "bias has no effect"),
    (ignores_the_mask, "greedy_token", "accuracy", "mask: one kept", "a choice that is not"),
    (ignores_the_mask, "greedy_token", "poison", "logits: normal", "that mask drops changes"),
    (masked_by_a_product, "greedy_token", "accuracy", "mask: one kept", "a choice that is not"),
    (always_two, "top_places", "liveness", "k", "places has shape"),
    (smallest_first, "top_places", "accuracy", "logits: normal", "a choice that is not"),
]


@pytest.mark.parametrize(("function", "definition", "suite", "family", "told"), BROKEN)
def test_a_mistake_is_caught_and_can_be_seen_again(function, definition, suite, family, told):
    found = judged(function, definition, suite, family)
    assert found.violations > 0
    (failure,) = found.failures
    assert told in failure.message
    if failure.case and CASE_SUITES[suite].takes_cases:
        _, at = parse(failure.case, BINARY32)
        assert judged(function, definition, suite, "given", given=at).failures


def test_a_near_tie_that_half_precision_does_not_see_is_shrunk_to_two_entries():
    (failure,) = judged(in_float16, "argmax", "accuracy", "logits: offset").failures
    assert failure.detail == "At value: entry 1 scores more than entry 0 and is not chosen."
    assert (failure.observed, failure.expected) == ("0x0p+0", "0x1p+0")
    _, at = parse(failure.case, BINARY32)
    (low, high) = at.values["logits"]
    assert low < high
    assert np.float16(low) == np.float16(high)


# --- what is admissible ---


def test_admissible_is_what_no_other_entry_exceeds():
    """At every row of three numbers out of three: of exact entries the comparison is the truth."""
    for row in itertools.product((-1.5, 0.0, 2.0), repeat=3):
        at = CaseBatch("given", (Case({"logits": np.float32(row)}),) * 3)
        computed = np.array([[0.0], [1.0], [2.0]])
        verdict = accuracy.judge(lookup("argmax"), Contract(), BINARY32, at, computed)
        wrong = {violation.row for violation in verdict.violations}
        assert wrong == {i for i in range(3) if row[i] < max(row)}


@pytest.mark.parametrize("definition", ["argmax", "greedy_token", "top_places"])
def test_a_case_reads_back_as_it_was_written(definition):
    known = lookup(definition)
    sizes = dict.fromkeys(known.signature.axes, 4)
    rng = np.random.default_rng(0)
    for family in families(known):
        one = draw_batch(known, family, BINARY32, sizes, rng).cases[0]
        asked, read = parse(to_text(known, one), BINARY32)
        assert (asked.name, read.key) == (definition, one.key)


# --- on the command line ---


def softproof(*arguments):
    """A run of the command, as if in a process of its own, that loads the definitions itself."""
    for name in ("argmax", "greedy_token", "top_places"):
        REGISTRY.pop(name, None)
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, [str(a) for a in arguments])


def test_a_users_argmax_is_verified_and_the_case_in_a_file_fails_again(here):
    run = ("verify", "argmax", "--definitions", "definitions.py", "--dtype", "float32")
    run += ("--suite", "accuracy")
    right = softproof(*run, "--subject", "choosers:argmax")
    assert right.exit_code == 0, right.output
    wrong = softproof(*run, "--subject", "choosers:in_float16", "--json", here / "report.json")
    assert wrong.exit_code == 1, wrong.output
    assert "a choice that is not of the largest" in wrong.output
    results = json.loads((here / "report.json").read_text())["results"]
    failure = next(f for result in results for f in result["failures"])
    (here / "case.txt").write_text(failure["case"])
    case = ("--case", here / "case.txt")
    again = softproof(*run, "--subject", "choosers:in_float16", *case)
    assert again.exit_code == 1, again.output
    assert failure["case"].splitlines()[1] in again.output
    assert softproof(*run, "--subject", "choosers:argmax", *case).exit_code == 0
    script = [sys.executable, "-c", failure["snippet"]]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    observed, expected = (float.fromhex(line.split()[1]) for line in printed.splitlines())
    assert (observed, expected) == (
        float.fromhex(failure["observed"]),
        float.fromhex(failure["expected"]),
    )
    assert observed != expected


def test_derive_prints_the_scores_and_plots_say_that_there_are_no_numbers(here):
    page = softproof("derive", "greedy_token", "--definitions", "definitions.py")
    assert page.exit_code == 0, page.output
    assert "Scores for K = 2" in page.output
    assert "token: where the largest stand; of equals any" in page.output
    assert "f_1 = bias_1 + logits_1" in page.output
    assert "dL" not in page.output
    plot = softproof(
        "plot", "precision", "argmax", "--definitions", "definitions.py", "--output", "a.svg"
    )
    assert plot.exit_code == 2
    assert "argmax gives indices alone" in plot.output
    assert not (here / "a.svg").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("xp.largest(logits, 1)[0]", "xp.largest(logits, 1)", "gives value of shape (1,)"),
        ("xp.largest(logits, 1)[0]", "0", "asks xp.largest 0 times"),
        (
            "xp.largest(logits, 1)[0]",
            "xp.largest(xp.stack([logits, logits])[:, 0], 1)[0]",
            "gives scores of shape (2,); its signature says (3,)",
        ),
    ],
)
def test_slips_in_such_a_formula_are_told(here, old, new, told):
    assert old in DEFINITIONS
    text = DEFINITIONS.replace("def ", "def another_").replace(old, new, 1)
    (here / "slips.py").write_text(text)
    with pytest.raises(ValueError, match=r"slips\.py") as caught:
        load_definitions(Path("slips.py"))
    assert told in str(caught.value)
