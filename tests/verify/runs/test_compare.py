"""Two stores made by hand are compared: what is worse, better, new, gone, or not comparable."""

import io
import json
import math
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from softproof.verify.cli.main import app
from softproof.verify.inputs.families import Batch
from softproof.verify.reports.strict_json import write_json
from softproof.verify.runs import compare as compare_module
from softproof.verify.runs.compare import Tally, as_dict, compare, print_comparison
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Failure, Item, Report, Result
from softproof.verify.runs.store import Store, StoreError
from softproof.verify.subjects.built_in import registered
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.subject import Subject
from typer.testing import CliRunner

MINE = Subject("mine:softmax", "softmax")


def failure(family: str) -> Failure:
    return Failure(**{**dict.fromkeys(f.name for f in fields(Failure)), "family": family})


PASS = {"checks": 100, "worst": 0.5, "errors": {-1: 100}}
FAIL = {
    **{"checks": 100, "violations": 3, "worst": 9.0, "errors": {-1: 97, 4: 3}},
    "failures": (failure("wide"),),
}


def item(subject=MINE, suite="accuracy", family="wide", seed=0, rows=8, **how) -> Item:
    return Item(subject, suite, "float32", family, rows, seed, **how)


def stored(path: Path, found: list[tuple[Item, dict]], *, undone=(), budget="quick") -> Path:
    """A store in which items have found something, and others nothing yet."""
    items = [*(i for i, _ in found), *undone]
    subjects = list({i.subject.id: i.subject for i in items}.values())
    with Store(path, items, Report(items[0].seed, budget, subjects)) as store:
        for i, what in found:
            s = i.subject
            store.put(i, Result(s.definition, s.id, i.suite, i.dtype, **what))
    return path


@pytest.fixture
def changes(tmp_path):
    """The kinds of all changes between two stores, with their rows."""

    def of(before, after, **how):
        a = stored(tmp_path / "a.sqlite", before)
        comparison = compare(a, stored(tmp_path / "b.sqlite", after, **how))
        return [(c.kind, c.subject, c.suite, c.note) for c in comparison.changes], comparison

    return of


# --- better and worse ---

REFUSED = {"checks": 1, "violations": 1, "failures": (failure("preflight"),)}
CRASHED = {"checks": 1, "violations": 1, "failures": (failure("wide"),)}
ORDER = [  # from good to bad, on the same inputs under the same contract
    {**PASS, "worst": 0.25},
    PASS,
    {**PASS, "worst": 3.0},
    {**FAIL, "violations": 1, "worst": 50.0},
    {**FAIL, "violations": 2, "worst": 9.0},
    {**FAIL, "violations": 2, "worst": math.inf},
    CRASHED,  # every check of those that could be made
    REFUSED,
]


@pytest.mark.parametrize("n", range(len(ORDER) - 1))
def test_worse_in_one_direction_is_better_in_the_other(changes, n):
    good, bad = [(item(), ORDER[n])], [(item(), ORDER[n + 1])]
    found, comparison = changes(good, bad)
    assert found == [("worse", "mine:softmax", "accuracy", "")]
    assert comparison.worse


@pytest.mark.parametrize("n", range(len(ORDER) - 1))
def test_better(changes, n):
    found, comparison = changes([(item(), ORDER[n + 1])], [(item(), ORDER[n])])
    assert found == [("better", "mine:softmax", "accuracy", "")]
    assert not comparison.worse


def test_a_fall_of_the_grade_is_worse_though_all_pass(changes, capsys):
    before = {**PASS, "grade": "float64 inside"}
    after = {**PASS, "grade": "float32, one by one"}
    found, comparison = changes([(item(), before)], [(item(), after)])
    assert found == [("worse", "mine:softmax", "accuracy", "")]
    assert comparison.worse
    compare_module.print_comparison(comparison, Console(width=200))
    told = (
        "grade fell: softmax mine:softmax float32 accuracy, float64 inside -> float32, one by one"
    )
    assert told in capsys.readouterr().out
    assert compare_module.as_dict(comparison)["changes"][0]["after"]["grade"] == after["grade"]


def test_the_grade_of_a_row_is_the_weakest_of_its_items(changes):
    wide, ties = item(), item(family="ties")
    rounded = {**PASS, "grade": "correctly rounded"}
    before = [(wide, {**PASS, "grade": "input format"}), (ties, rounded)]
    found, _ = changes(before, [before[0], (ties, {**PASS, "grade": "float64 inside"})])
    assert found == []


def test_a_store_from_before_there_were_grades_is_no_fall(changes):
    found, comparison = changes([(item(), PASS)], [(item(), {**PASS, "grade": "input format"})])
    assert [kind for kind, *_ in found] == ["changed"]
    assert not comparison.worse


@pytest.mark.parametrize("found", ORDER)
def test_a_run_has_not_changed_from_itself(changes, found):
    rows, comparison = changes([(item(), found)], [(item(), found)])
    assert rows == []
    assert (comparison.same, comparison.worse, comparison.differences) == (1, False, ())
    assert comparison.remarks == ()


def test_comparing_numbers_of_violations_instead_of_shares_would_be_found(changes, monkeypatch):
    """A crash leaves one violation: by their number it would be better than two wrong values."""

    def wrong(tally, other):
        return Fraction(tally.violations), tally.worst

    monkeypatch.setattr(compare_module.Tally, "badness", wrong)
    found, _ = changes([(item(), ORDER[5])], [(item(), CRASHED)])
    assert [kind for kind, *_ in found] == ["better"]


def test_other_errors_with_the_same_worst_are_a_change(changes):
    after = {**PASS, "errors": {-1: 90, 0: 10}}
    found, comparison = changes([(item(), PASS)], [(item(), after)])
    assert found == [("changed", "mine:softmax", "accuracy", "")]
    assert not comparison.worse
    (change,) = comparison.changes
    assert (change.before.correct, change.after.correct) == (1.0, 0.9)


def test_the_items_of_a_row_are_counted_together(changes):
    wide, ties = item(), item(family="ties")
    found, comparison = changes(
        [(wide, PASS), (ties, FAIL)], [(wide, {**PASS, "worst": 2.0}), (ties, FAIL)]
    )
    assert found == []  # the worst of the row is that of the ties
    assert comparison.same == 1
    _, comparison = changes_again(comparison, [(wide, FAIL), (ties, FAIL)])
    (change,) = comparison.changes
    assert change.kind == "worse"
    assert change.before.violations == 3
    assert change.after == Tally(2, 200, 6, 9.0, change.after.errors)
    assert dict(change.after.errors) == {-1: 194, 4: 6}


def changes_again(comparison, after):
    path = Path(comparison.after.path).with_name("c.sqlite")
    again = compare(comparison.before.path, stored(path, after))
    return [c.kind for c in again.changes], again


def test_what_is_worse_stands_first(changes):
    names = ("accuracy", "gradient", "invariance", "overflow", "special-values")
    before = [(item(suite=s), w) for s, w in zip(names, (FAIL, PASS, PASS, PASS, {}), strict=True)]
    after = [
        (item(suite=s), w)
        for s, w in zip(names, (PASS, {}, {**PASS, "errors": {0: 100}}, FAIL, PASS), strict=True)
    ]
    found, _ = changes(before, after)
    assert [(kind, suite) for kind, _, suite, _ in found] == [
        ("worse", "overflow"),
        ("better", "accuracy"),
        ("changed", "invariance"),
        ("new", "special-values"),  # nothing was checked before
        ("gone", "gradient"),
    ]


def test_subjects_of_one_run_are_new_or_gone(changes):
    other = Subject("mine:log_softmax", "log_softmax")
    found, comparison = changes([(item(), PASS)], [(item(), PASS), (item(other), FAIL)])
    assert found == [("worse", "mine:log_softmax", "accuracy", "")]  # a failure more than before
    assert comparison.worse
    assert comparison.changes[0].before is None
    found, comparison = changes_again(comparison, [(item(other), FAIL)])
    assert found == ["worse", "gone"]
    assert [d.name for d in comparison.differences] == []


def test_a_family_that_was_added_does_not_make_a_row_worse(changes):
    found, comparison = changes(
        [(item(), PASS)], [(item(), PASS), (item(family="ties"), {**FAIL, "violations": 1})]
    )
    assert found == [("new", "mine:softmax", "accuracy", "")]
    assert comparison.changes[0].after.items == 1


# --- what cannot be compared ---


def test_a_failure_on_other_inputs_is_worse_and_a_pass_is_not_better(changes):
    found, comparison = changes([(item(), PASS)], [(item(seed=1), FAIL)])
    assert found == [("worse", "mine:softmax", "accuracy", "other inputs")]
    assert [(d.name, d.before, d.after) for d in comparison.differences] == [("seed", 0, 1)]
    assert "The inputs differ" in comparison.remarks[0]
    swapped = compare(comparison.after.path, comparison.before.path)
    assert [(c.kind, c.note) for c in swapped.changes] == [("incomparable", "other inputs")]
    assert not swapped.worse


def test_numbers_on_other_inputs_are_not_compared(changes):
    worse = {**FAIL, "violations": 50, "worst": math.inf}
    found, comparison = changes([(item(), FAIL)], [(item(rows=64), worse)], budget="standard")
    assert found == []
    assert [d.name for d in comparison.differences] == ["budget"]
    assert "The inputs differ" in comparison.remarks[0]


def test_other_given_rows_are_other_inputs(changes):
    one, other = (
        item(family="given", given=(Batch("given", np.float32([[x]]), None),)) for x in (1, 2)
    )
    found, comparison = changes([(one, FAIL)], [(other, PASS)])
    assert found == [("incomparable", "mine:softmax", "accuracy", "other inputs")]
    assert [d.name for d in comparison.differences] == ["given rows"]


def test_suites_that_make_their_own_inputs_are_compared_across_seeds(changes):
    own = {"suite": "special-values", "family": ""}
    found, _ = changes([(item(**own), FAIL)], [(item(seed=1, **own), PASS)])
    assert found == [("better", "mine:softmax", "special-values", "")]


ZERO = replace(MINE, contract=Contract(all_masked="zero"))


def test_verdicts_under_other_contracts_are_not_compared(changes):
    found, comparison = changes([(item(), FAIL)], [(item(ZERO), PASS)])
    assert found == [("incomparable", "mine:softmax", "accuracy", "other contract")]
    (difference,) = comparison.differences
    assert difference.name == "subjects softmax mine:softmax contract all_masked"
    assert (difference.before, difference.after) == (None, "zero")
    assert comparison.remarks == (
        "Contracts differ, so verdicts are not comparable: softmax mine:softmax.",
    )


def test_a_promise_is_part_of_the_contract(changes):
    promising = replace(MINE, contract=Contract(ulps={"float32": 1.0}))
    found, comparison = changes([(item(), PASS)], [(item(promising), FAIL)])
    assert found == [("worse", "mine:softmax", "accuracy", "other contract")]
    assert comparison.worse


def test_an_unfinished_run_is_compared_as_far_as_it_has_come(tmp_path):
    wide, ties = item(), item(family="ties")
    a = stored(tmp_path / "a.sqlite", [(wide, PASS), (ties, FAIL)])
    b = stored(tmp_path / "b.sqlite", [(wide, {**PASS, "worst": 4.0})], undone=[ties])
    comparison = compare(a, b)
    (change,) = comparison.changes
    assert (change.kind, change.before.worst, change.after.worst) == ("worse", 0.5, 4.0)
    assert comparison.remarks == (
        f"{b} is not finished (1 of 2 items): only what both have done is compared.",
    )


def test_versions_that_differ_are_told_and_compared(tmp_path, monkeypatch):
    a = stored(tmp_path / "a.sqlite", [(item(), PASS)])
    versions = {**Report(0, "quick").versions, "numpy": "9.9", "softproof": "9.8"}
    monkeypatch.setattr(Report, "versions", versions)
    comparison = compare(a, stored(tmp_path / "b.sqlite", [(item(), FAIL)]))
    assert [(d.name, d.after) for d in comparison.differences] == [
        ("versions softproof", "9.8"),
        ("versions numpy", "9.9"),
    ]
    assert "softproof itself differs" in comparison.remarks[0]
    assert comparison.worse


def test_what_is_no_store_is_an_error(tmp_path):
    a = stored(tmp_path / "a.sqlite", [(item(), PASS)])
    with pytest.raises(StoreError, match="no such file"):
        compare(a, tmp_path / "b.sqlite")


# --- shown ---


def test_the_command_exits_with_1_where_something_is_worse_and_2_where_nothing_is_known(tmp_path):
    a = str(stored(tmp_path / "a.sqlite", [(item(), PASS)]))
    b = str(stored(tmp_path / "b.sqlite", [(item(), FAIL)]))
    told = tmp_path / "told.json"
    outcome = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["compare", a, b, "--json", str(told)])
    assert outcome.exit_code == 1
    assert "pass -> FAIL 3" in outcome.output
    assert json.loads(told.read_text())["worse"] is True
    assert CliRunner().invoke(app, ["compare", b, a]).exit_code == 0
    assert CliRunner().invoke(app, ["compare", a, str(told)]).exit_code == 2


def shown(comparison) -> str:
    console = Console(file=io.StringIO(), width=150)
    print_comparison(comparison, console)
    return console.file.getvalue()


def test_the_comparison_on_the_terminal(tmp_path):
    subject = registered("softproof.verify.textbook:softmax_naive", "softmax")
    (real, *_) = plan([subject], ["overflow"], ["float32"])
    failing = execute(replace(real, rows=1))
    assert not failing.passed
    passing = {"checks": failing.checks, "worst": 0.5, "errors": {-1: 10}}
    found = {"checks": failing.checks, "violations": failing.violations, "worst": failing.worst}
    found |= {"errors": failing.errors, "failures": failing.failures}
    a = stored(tmp_path / "a.sqlite", [(real, passing)])
    b = stored(tmp_path / "b.sqlite", [(replace(real, seed=5), found)])
    text = shown(compare(a, b))
    assert f"before {a}: 1 of 1 items, budget quick, seed 0, started 20" in text
    assert "    seed: 0 -> 5\n" in text
    assert text.index("The inputs differ") < text.index("textbook:softmax_naive")
    assert f"pass -> FAIL {failing.violations}" in text
    assert "0.5 -> inf" in text
    assert "100 % -> " in text
    assert "other inputs" in text
    assert f"worse: {failing.failures[0].message}\n    softproof verify softmax --subject" in text
    assert text.endswith("1 worse, 0 unchanged.\n")


def test_nothing_changed_is_one_line(tmp_path):
    path = stored(tmp_path / "a.sqlite", [(item(), PASS)])
    lines = shown(compare(path, path)).splitlines()
    assert [line.split()[0] for line in lines] == ["before", "after", "1"]
    assert lines[-1] == "1 unchanged."


def test_the_comparison_as_json(changes, tmp_path):
    _, comparison = changes([(item(), PASS)], [(item(ZERO), {**FAIL, "worst": math.inf})])
    path = tmp_path / "comparison.json"
    write_json(as_dict(comparison), path)
    told = json.loads(path.read_text())
    assert told["worse"] is True
    assert told["before"]["plan"]["versions"]["python"]
    assert told["differences"][0]["after"] == "zero"
    (change,) = told["changes"]
    assert (change["kind"], change["note"]) == ("worse", "other contract")
    assert change["before"]["status"] == "pass"
    assert change["after"]["worst"] == math.inf
    assert change["after"]["errors"] == [[0.5, 97], [16.0, 3]]
