"""The gate: one of four verdicts, of a candidate that is asked until the first proof or the end."""

import json
from pathlib import Path

import numpy as np
import pytest
import softproof.verify
from jsonschema import Draft202012Validator
from softproof.verify.gate import IMPRECISE, REFUSED, RIGHT, WRONG, asking, judge
from softproof.verify.gate.judgement import schema
from softproof.verify.gate.order import FIRST, LEFT_OUT, in_order, kind_of
from softproof.verify.gate.told import told
from softproof.verify.reports.strict_json import json_text
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES
from softproof.verify.suites.grades import GRADES
from softproof.verify.suites.verdicts import Violation

from tests.verify.gate import candidates
from tests.verify.gate.conftest import AT_LEISURE

SCHEMA = schema()
SEED = 2**63 + 11


def judged(name, definition="softmax", **given):
    """The judgement of a candidate in this process, whose JSON is as the schema says."""
    candidates._state.clear()
    given = {"seed": SEED, "seconds": AT_LEISURE, **given}
    found = judge(getattr(candidates, name), definition, **given)
    written = json.loads(json_text(found.as_dict()))
    assert [e.message for e in Draft202012Validator(SCHEMA).iter_errors(written)] == []
    assert int(written["seed"]) == found.seed
    return found


# --- verdicts ---


def test_what_is_right_is_said_to_be_with_a_grade(few):
    found = judged("right")
    assert (found.verdict, found.status, found.failure) == (RIGHT, 0, None)
    assert found.checks > 100
    assert found.grade in GRADES[:-1]
    assert (found.asked, found.not_reached) == (2, ())
    assert f"seed      {SEED}" in "\n".join(told(found))


def test_a_wrong_candidate_is_asked_on_where_that_is_wanted(only):
    only(("overflow", "extremes"), ("accuracy", "normal"), ("accuracy", "wide"))
    first = judged("without_maximum")
    assert (first.verdict, first.also) == (WRONG, ())
    assert {"accuracy normal", "accuracy wide"} <= {*first.not_reached}
    found = judged("without_maximum", keep_going=True)
    assert (found.verdict, found.failure) == (WRONG, first.failure)
    assert found.also == ("accuracy wide",)
    assert found.not_reached == ()
    assert "also      accuracy wide" in "\n".join(told(found))


def test_a_right_function_of_several_arguments_has_no_grade(only):
    only(("liveness", "argument"), ("poison", "normal"), ("accuracy", "offset"))
    found = judged("rms_norm", "rms_norm")
    assert (found.verdict, found.grade) == (RIGHT, None)
    assert found.checks > 100


def test_what_is_wrong_is_shown_by_few_numbers_with_a_cause_and_a_script(few, capsys):
    found = judged("without_maximum")
    assert (found.verdict, found.status) == (WRONG, 1)
    assert len(found.failure.logits) <= 2
    assert any("subtract the maximum" in words for _, words in found.causes)
    text = "\n".join(told(found))
    assert found.failure.logits[0] in text
    assert f"{float.fromhex(found.failure.logits[0]):.9g}" in text
    assert "softproof" not in found.failure.snippet
    with np.errstate(all="ignore"):
        exec(found.failure.snippet, {})
    observed, expected = (
        float.fromhex(x) for x in (found.failure.observed, found.failure.expected)
    )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [word for word, _ in lines] == ["observed", "expected"]
    assert float.fromhex(lines[0][1]) == pytest.approx(observed, rel=0, abs=0, nan_ok=True)
    assert float.fromhex(lines[1][1]) == expected


def test_a_wrong_case_of_several_arguments_is_small_too_and_has_a_script(only, monkeypatch):
    monkeypatch.setattr(asking, "SHRINKING", AT_LEISURE)
    only(("liveness", "argument"))
    found = judged("eps_ignored", "rms_norm")
    assert found.verdict == WRONG
    assert found.failure.message == "eps has no effect"
    assert found.failure.case.splitlines()[1].startswith("x[K=1] ")
    assert "tests.verify.gate.candidates.eps_ignored" in found.failure.snippet
    assert [heading for heading, _ in found.causes] == ["likely"]
    assert "    decimal\n        x[K=1] " in "\n".join(told(found))


def test_a_sum_in_the_format_is_less_precise_than_declared_and_no_mistake(only):
    only(("accuracy", "wide"), ("accuracy", "lengths"), ("regressions", ""))
    found = judged("summed_in_the_format", dtype="bfloat16")
    assert (found.verdict, found.status) == (IMPRECISE, 1)
    assert any(setting.startswith("accumulator=") for setting in found.fits)
    assert [heading for heading, _ in found.causes] == ["likely", "if meant"]
    assert found.not_reached == ("regressions",)  # they are about the usual class
    declared = dict(setting.split("=") for setting in found.fits)
    again = judged("summed_in_the_format", dtype="bfloat16", contract=declared)
    assert (again.verdict, again.fits) == (RIGHT, ())
    # And what is within no class is wrong, whatever came before.
    assert judged("without_maximum", dtype="bfloat16", contract=declared).verdict == WRONG


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("raises", "raised"),
        ("of_another_dtype", "form"),
        ("zeros_its_input", "input changed"),
    ],
)
def test_what_cannot_be_judged_is_refused(name, kind):
    found = judged(name)
    assert (found.verdict, found.status, found.failure.kind) == (REFUSED, 3, kind)
    assert found.asked == 0


def test_what_is_found_by_asking_again_is_told_with_the_seed_and_a_cause(few, monkeypatch):
    def again(asked, judge_neighbours):
        batch, _ = next(iter(asked.batches()))
        yield batch, Violation(0, "value beyond its error bound", only_in_batch=True)

    monkeypatch.setattr(asking, "again", again)
    found = judged("right")
    assert (found.verdict, found.failure.family) == (WRONG, "asked again")
    subject = "tests.verify.gate.candidates:right"
    command = f"softproof gate softmax --subject {subject} --dtype float32 --seed {SEED}"
    assert found.failure.reproduce == command
    assert "state kept between calls" in found.causes[0][1]


# --- seeds ---


def inputs_of(seed):
    """All that a candidate is asked, in order."""
    asked = []

    def recording(x):
        asked.append((x.shape, x.tobytes()))
        return candidates.right(x)

    assert judge(recording, "softmax", seed=seed, seconds=AT_LEISURE).verdict == RIGHT
    return asked


def test_a_seed_replays_exactly_and_another_one_asks_something_else(few):
    one, same, other = (inputs_of(seed) for seed in (SEED, SEED, SEED + 2**40))
    assert one == same
    assert len(one) == len(other)
    # (What is asked first of all, and to observe a choice, is always the same.)
    assert len(set(one) - set(other)) >= 6


def test_seeds_are_drawn_anew_from_64_bits():
    seeds = {judge(candidates.raises, "softmax").seed for _ in range(4)}
    assert len(seeds) == 4
    assert max(seeds).bit_length() in range(49, 65)


# --- time ---


def test_what_was_not_asked_in_the_time_is_said():
    found = judged("right", seconds=1e-9)
    assert found.verdict == RIGHT
    assert found.checks > 0  # something always is
    assert found.asked == 0
    assert len(found.not_reached) == len(in_order(plan_of("softmax")))
    assert found.not_reached[0] in "\n".join(told(found))


def plan_of(definition, dtype="float32"):
    suites = [name for name, suite in SUITES.items() if suite.budget == "quick"]
    return plan([Subject("m:f", definition)], suites, [dtype], seed=SEED)


@pytest.mark.parametrize("definition", ["softmax", "cross_entropy", "attention", "sigmoid"])
def test_all_is_asked_whatever_comes_first(definition):
    items = plan_of(definition)
    ordered = in_order(items)
    assert ordered != items
    asked = [item for item in items if kind_of(item) != LEFT_OUT]
    assert sorted(map(repr, ordered)) == sorted(map(repr, asked))
    assert len(asked) > 0.8 * len(items)


def test_what_comes_first_is_there():
    names = ("softmax", "cross_entropy", "sigmoid", "attention", "rms_norm")
    kinds = {kind_of(item) for name in names for item in plan_of(name)}
    assert set(FIRST) <= kinds
    assert len(set(FIRST)) == len(FIRST)


# --- what cannot be ---


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"dtype": "float8"}, "dtype 'float8' is none of"),
    ],
)
def test_an_argument_that_cannot_be_is_named(given, told):
    with pytest.raises(ValueError, match=told):
        judge(candidates.right, "softmax", **given)


# --- the schema ---


def test_the_schema_has_the_failures_of_reports():
    report = json.loads(
        (Path(softproof.verify.__file__).parent / "data" / "report.schema.json").read_text()
    )
    ours, theirs = SCHEMA["$defs"]["failure"], report["$defs"]["failure"]
    assert ours["required"] == theirs["required"]
    assert ours["properties"].keys() == theirs["properties"].keys()
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "fine"},
        {"seed": 7},
        {"failure": None},
        {"unknown": 1},
        {"causes": [["likely"]]},
        {"grade": "good"},
    ],
)
def test_the_schema_refuses_what_is_no_judgement(change, few):
    written = json.loads(json_text(judged("zeros").as_dict())) | change
    assert list(Draft202012Validator(SCHEMA).iter_errors(written))


def test_numbers_of_64_bits_survive_a_parser_of_binary64():
    written = json.loads(json_text(judged("raises").as_dict()), parse_int=float)
    assert written["seed"] == str(SEED)
    assert int(np.float64(SEED)) != SEED
