"""Many candidates, judged in a pool of warm processes; a command with an exit status."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from softproof.verify.cli.main import app
from softproof.verify.gate.batch import Candidate, judge_all, read
from softproof.verify.gate.judgement import REFUSED, RIGHT, WRONG, schema
from typer.testing import CliRunner

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _found(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.chdir(HERE)


def softproof(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])


def test_each_candidate_of_a_batch_has_its_verdict_whatever_came_before(tmp_path):
    names = {
        "poisons_libraries": WRONG,
        "right": RIGHT,
        "kills_its_parent": REFUSED,
        "there_is_none_such": REFUSED,
        "zeros": WRONG,
    }
    lines = [{"definition": "softmax", "subject": f"candidates:{name}"} for name in names]
    lines.append({"definition": "rms_norm", "subject": "candidates:rms_norm", "dtype": "float64"})
    file = tmp_path / "batch.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    command = [Path(sys.executable).with_name("softproof"), "gate", "--batch", file]
    ran = subprocess.run(
        [*command, "--seconds", "0.3", "--seed", str(2**64 - 1)], capture_output=True, text=True
    )
    assert ran.returncode == 1, ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    for judgement in found:
        assert [e.message for e in Draft202012Validator(schema()).iter_errors(judgement)] == []
        assert judgement["seed"] == str(2**64 - 1)
    verdicts = {each["candidate"]: each["verdict"] for each in found}
    assert verdicts == dict(enumerate([*names.values(), RIGHT]))
    missing = next(each for each in found if each["candidate"] == 3)
    assert "there_is_none_such" in missing["failure"]["message"]


def kills_what_judges_it(x):
    """A candidate that ends the process which judges it."""
    import psutil

    psutil.Process(os.getpid()).parent().parent().kill()
    return x


def test_a_candidate_that_ends_what_judges_it_is_refused_and_another_is_judged():
    batch = [Candidate("softmax", f"test_batch:{kills_what_judges_it.__name__}")]
    batch += [Candidate("softmax", "candidates:right")]
    found = dict(judge_all(batch, seconds=0.2, seed=1, processes=1))
    assert [found[i].verdict for i in range(2)] == [REFUSED, RIGHT]
    assert found[0].failure.message == "ended the process that judged it"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no candidates"),
        ("{", "line 1: Expecting property name"),
        ("[]", "line 1: it is []; write an object with definition, subject, dtype"),
        ('{"definition": "softmax"}', "line 1: subject is missing"),
        ('{"definition": "softmax", "subject": 3}', "line 1: subject is 3; give a text"),
        ('{"definition": "f18", "subject": "m:f"}', "line 1: definition: no definition is called"),
        (
            '{"definition": "softmax", "subject": "m:f"}\n{"definition": "softmax", "sub": ""}',
            "line 2: 'sub' is none of definition, subject",
        ),
    ],
)
def test_a_line_that_is_no_candidate_is_named(tmp_path, text, told):
    file = tmp_path / "batch.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(told)):
        read(file)
    outcome = softproof("gate", "--batch", file)
    assert outcome.exit_code == 2


@pytest.mark.parametrize(("name", "status"), [("right", 0), ("zeros", 1), ("raises", 3)])
def test_the_exit_status_tells_the_verdict(name, status, tmp_path):
    file = tmp_path / "judgement.json"
    options = ("--seconds", "0.3", "--seed", "5", "--json", file)
    outcome = softproof("gate", "softmax", "--subject", f"candidates:{name}", *options)
    assert outcome.exit_code == status, outcome.output
    written = json.loads(file.read_text())
    assert list(Draft202012Validator(schema()).iter_errors(written)) == []
    assert written["verdict"] in outcome.output
    assert "seed      5" in outcome.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name a DEFINITION and a --subject, or a --batch"),
        (("softmax",), "name a DEFINITION and a --subject, or a --batch"),
        (("softmax", "--batch", "x"), "--batch goes with --seconds and --seed alone"),
        (("f18", "--subject", "candidates:right"), "no definition is called 'f18'"),
        (("softmax", "--subject", "candidates:none"), "candidates:none"),
        (("softmax", "--subject", "candidates:right", "--seconds", "0"), "--seconds is 0"),
        (("softmax", "--subject", "candidates:right", "--contract", "nan=x"), "nan='x' is none of"),
    ],
)
def test_a_slip_in_the_command_is_a_usage_error(arguments, told):
    outcome = softproof("gate", *arguments)
    assert outcome.exit_code == 2, outcome.output
    assert told in outcome.output


def test_a_defect_of_softproof_is_no_verdict(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a defect")

    monkeypatch.setattr("softproof.verify.gate.judge", broken)
    outcome = softproof("gate", "softmax", "--subject", "candidates:right")
    assert outcome.exit_code == 4
