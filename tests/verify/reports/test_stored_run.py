"""Reports that `verify --json` wrote, and stores, are held against each other in any pairing."""

import itertools
import json
from dataclasses import fields, replace

import numpy as np
import pytest
from softproof.derivations import REGISTRY
from softproof.verify.cases.case import Case
from softproof.verify.cli.main import app
from softproof.verify.reports.plain import as_dict
from softproof.verify.reports.stored_run import opened
from softproof.verify.reports.strict_json import write_json
from softproof.verify.runs.compare import compare
from softproof.verify.runs.results import Failure, Item, Report, Result, UndecidedRow
from softproof.verify.runs.store import Store, StoreError, decode, describe, differences, encode
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites.grades import GRADES
from softproof.verify.suites.verdicts import Excess
from typer.testing import CliRunner

MINE = Subject("mine:norm", "rms_norm")
TEXT = "rms_norm\nx[K=1] 0x1p+0\ngain[K=1] 0x1p+0"
FAILURE = Failure(
    **{
        **dict.fromkeys(f.name for f in fields(Failure)),
        **{"family": "x: huge", "kind": "value", "message": "beyond", "detail": "", "logits": ()},
        **{"error": 9.0, "source": "", "reproduce": "softproof verify", "case": TEXT},
    }
)
PASS = {"checks": 100, "worst": 0.5, "errors": {-1: 100}}
FAIL = {
    **{"checks": 100, "violations": 3, "worst": float("inf"), "errors": {-1: 90, 4: 7, 2000: 3}},
    "failures": (FAILURE,),
}


def item(family="x: normal", seed=0, subject=MINE) -> Item:
    return Item(subject, "accuracy", "float32", family, 8, seed)


def written(folder, kind, name, found, *, seed=0, interrupted=False):
    """A run of which each item has found something, as a store or as a report."""
    path = folder / f"{name}.{kind}"
    report = Report(seed, "quick", list({i.subject.id: i.subject for i, _ in found}.values()))
    results = [
        (i, Result(i.subject.definition, i.subject.id, i.suite, i.dtype, **what))
        for i, what in found
    ]
    if kind == "sqlite":
        with Store(path, [i for i, _ in found], report) as store:
            for i, result in results:
                store.put(i, result)
    else:
        report.interrupted = interrupted
        for _, result in results:
            report.add(result)
        write_json(as_dict(report), path)
    return path


KINDS = [*itertools.product(("sqlite", "json"), repeat=2)]


@pytest.mark.parametrize(("one", "other"), KINDS)
def test_what_got_worse_is_found_in_every_pairing(tmp_path, one, other):
    families = (item(), item("x: huge"))
    before = written(tmp_path, one, "before", [(i, PASS) for i in families])
    after = written(tmp_path, other, "after", list(zip(families, (PASS, FAIL), strict=True)))
    comparison = compare(*opened(before, after))
    (change,) = comparison.changes
    assert (change.kind, change.suite, change.note) == ("worse", "accuracy", "")
    assert change.before.checks == change.after.checks == 200
    assert change.after.errors == {-1: 190, 4: 7, 2000: 3}
    assert change.after.failure == FAILURE
    assert comparison.differences == ()
    assert comparison.remarks == ()
    assert compare(*opened(after, before)).changes[0].kind == "better"
    assert compare(*opened(after, after)).changes == ()


@pytest.mark.parametrize(("one", "other"), KINDS[1:])
def test_other_seeds_and_contracts_are_told(tmp_path, one, other):
    declaring = MINE.declaring(["summation=pairwise"])
    before = written(tmp_path, one, "before", [(item(), FAIL)])
    after = written(tmp_path, other, "after", [(item(seed=1, subject=declaring), PASS)], seed=1)
    comparison = compare(*opened(before, after))
    assert {d.name.split()[-1] for d in comparison.differences} == {"seed", "summation"}
    assert len(comparison.remarks) == 2
    assert [change.kind for change in comparison.changes] == ["incomparable"]


def test_what_an_interrupted_report_has_not_is_not_gone(tmp_path):
    other = replace(MINE, id="mine:other")
    both = [(item(), PASS), (item(subject=other), PASS)]
    before = written(tmp_path, "json", "before", both)
    for interrupted, kinds in ((True, []), (False, ["gone"])):
        after = written(tmp_path, "json", "after", both[:1], interrupted=interrupted)
        comparison = compare(*opened(before, after))
        assert [change.kind for change in comparison.changes] == kinds
        assert any("is not finished" in remark for remark in comparison.remarks) is interrupted


def test_the_command_takes_reports_and_says_what_it_takes(tmp_path):
    before = written(tmp_path, "json", "before", [(item(), PASS)])
    after = written(tmp_path, "json", "after", [(item(), FAIL)])

    def run(*paths):
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["compare", *map(str, paths)])

    assert run(before, after).exit_code == 1
    assert "pass -> FAIL 3" in run(before, after).output
    assert run(after, before).exit_code == 0
    (tmp_path / "notes.txt").write_text("no run")
    (tmp_path / "other.json").write_text(json.dumps({"schema": 3}))
    for name, told in (
        ("notes.txt", "neither a store nor a report; give files that `verify --store` or"),
        ("other.json", "that is no report of `verify --json`"),
        ("nothing.json", "there is no such file"),
    ):
        outcome = run(before, tmp_path / name)
        assert outcome.exit_code == 2
        assert told in " ".join(outcome.output.split())


def test_every_field_of_a_report_is_read_again(tmp_path):
    """Only what declared an expectation is left out."""
    full = {
        **FAIL,
        "undecided": 2,
        "undecided_rows": (UndecidedRow((), None, "no value", TEXT),),
        "grade": GRADES[0],
        "excess": Excess("x: huge", 8.0, 2.0),
    }
    path = written(tmp_path, "json", "full", [(item(), full)])
    (run, _) = opened(path, path)
    ((_, result),) = run.results()
    assert result == Result("rms_norm", "mine:norm", "accuracy", "float32", **full)


# --- stores of functions of several arguments ---


def test_an_undecided_case_survives_the_store():
    result = Result(
        *("rms_norm", "mine:norm", "accuracy", "float32"),
        undecided=1,
        undecided_rows=(UndecidedRow((), None, "no value", TEXT),),
    )
    assert decode(encode(result)) == result


def test_another_case_of_the_user_is_told_as_such(tmp_path):
    given = [
        replace(item("given"), case=Case({"x": np.float32([x]), "gain": np.float32([1])}))
        for x in (1, 2)
    ]
    told = [describe([i], Report(0, "quick", [MINE])) for i in given]
    assert [d.name for d in differences(*told)] == ["given cases", "plan"]
    with Store(tmp_path / "a.sqlite", given[:1], Report(0, "quick", [MINE])):
        pass
    with pytest.raises(StoreError, match=r"holds another run \(given cases: "):
        Store(tmp_path / "a.sqlite", given[1:], Report(0, "quick", [MINE]))


def test_an_edited_definition_is_another_run(tmp_path, monkeypatch):
    file, helper = tmp_path / "definitions.py", tmp_path / "helper_of_mine.py"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(REGISTRY["rms_norm"], "declared_in", str(file))

    def described(text, helping):
        file.write_text(text)
        helper.write_text(helping)
        return describe([item()], Report(0, "quick", [MINE]))

    first = described("import helper_of_mine", "x = 1")
    assert differences(first, described("import helper_of_mine", "x = 1")) == []
    for text, helping in (("import helper_of_mine ", "x = 1"), ("import helper_of_mine", "x = 2")):
        (difference,) = differences(first, described(text, helping))
        assert difference.name == f"code {file}"
