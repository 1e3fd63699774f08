"""Tasks of others: as a definition where they are of one, beside their reference where not."""

import json
import re
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator
from softproof.verify.cli.main import app
from softproof.verify.gate import IMPRECISE, REFUSED, RIGHT, WRONG
from softproof.verify.gate.judgement import schema
from softproof.verify.gate.told import told
from softproof.verify.reports.strict_json import json_text
from softproof.verify.tasks.judging import by_reference, kernelbench
from typer.testing import CliRunner

from tests.verify.tasks import stand_ins

SEED = 2**63 + 5


def judged(tmp_path, candidate, task=stand_ins.SOFTMAX, how=kernelbench, seconds=1.0):
    problem, own = stand_ins.written(tmp_path, problem=task, candidate=candidate)
    found = how(str(problem), str(own), seconds=seconds, seed=SEED)
    written = json.loads(json_text(found.as_dict()))
    assert [e.message for e in Draft202012Validator(schema()).iter_errors(written)] == []
    return found


# --- as a definition ---


def test_a_task_of_a_definition_is_judged_as_one(tmp_path):
    found = judged(tmp_path, stand_ins.RIGHT)
    assert (found.verdict, found.definition, found.estimate) == (RIGHT, "softmax", "")
    assert found.subject == "candidate.py:ModelNew"


def test_zeros_are_wrong_by_a_proven_bound_with_a_small_row(tmp_path):
    found = judged(tmp_path, stand_ins.ZEROS)
    assert (found.verdict, found.definition, found.estimate) == (WRONG, "softmax", "")
    assert len(found.failure.logits) <= 2
    assert f"--kernelbench {tmp_path / 'problem.py'}" in found.failure.reproduce
    assert found.failure.reproduce.endswith(f"--seed {SEED}")


def test_what_is_wrong_at_the_size_that_ships_alone_is_found_there(tmp_path):
    found = judged(tmp_path, stand_ins.TILED, seconds=3.0)
    assert found.verdict == WRONG
    assert "349x3000" in found.failure.detail
    assert found.estimate


@pytest.mark.parametrize(
    ("name", "kind"), [("RAISES", "raised"), ("ENDS", "crashed"), ("ANOTHER_SHAPE", "form")]
)
def test_errors_of_a_candidate_are_refused(tmp_path, name, kind):
    found = judged(tmp_path, getattr(stand_ins, name))
    assert (found.verdict, found.status, found.failure.kind) == (REFUSED, 3, kind)


def test_what_is_as_precise_as_a_task_that_is_wrong_itself_is_right_by_an_estimate(tmp_path):
    candidate = stand_ins.NAIVE_LOGS.replace("Model", "ModelNew")
    found = judged(tmp_path, candidate, task=stand_ins.NAIVE_LOGS)
    assert (found.verdict, found.definition) == (RIGHT, "problem.py:Model")
    assert found.estimate.startswith("as log_softmax, Model is wrong itself: ")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [(("mean(", "mean("), RIGHT), (("+ self.eps)", ") / (1 + self.eps)"), WRONG)],
)
def test_models_of_tensors_are_made_for_each_size(tmp_path, change, verdict):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    candidate = stand_ins.NORM.replace("Model", "ModelNew").replace(*change)
    found = judged(tmp_path, candidate, task=stand_ins.NORM)
    assert (found.verdict, found.definition) == (verdict, "rms_norm(gain=1,eps=0.001)")


# --- beside a reference ---


def beside(tmp_path, candidate, **given):
    return judged(tmp_path, candidate, how=by_reference, **given)


def test_beside_a_reference_the_verdict_says_that_it_is_an_estimate(tmp_path):
    found = beside(tmp_path, stand_ins.RIGHT)
    assert (found.verdict, found.definition) == (RIGHT, "problem.py:Model")
    assert "nothing is proven" in found.estimate
    assert told(found)[0].startswith("right within its class (an estimate, not a proof): ")


@pytest.mark.parametrize("name", ["ZEROS", "WITHOUT_MAXIMUM"])
def test_beside_a_reference_mistakes_are_wrong(tmp_path, name):
    found = beside(tmp_path, getattr(stand_ins, name))
    assert (found.verdict, found.status) == (WRONG, 1)
    assert found.failure.error > found.failure.threshold


def test_a_failure_beside_a_reference_is_shown_at_a_small_input(tmp_path):
    found = beside(tmp_path, stand_ins.WITHOUT_MAXIMUM)
    heading, line = found.failure.case.splitlines()
    assert heading == "problem.py:Model"
    (place, number) = re.fullmatch(r"input 0 \[5x7\] 0 but (\[\d, \d\]) (\S+)", line).groups()
    assert float.fromhex(number) >= 89  # whose exponential is beyond float32
    assert f"x0{place} = " in found.failure.snippet
    assert "overflows" in dict(found.causes)["likely"]


def test_the_cause_of_zeros_is_told(tmp_path):
    assert "all results are 0" in dict(beside(tmp_path, stand_ins.ZEROS).causes)["likely"]


@pytest.mark.parametrize(
    ("task", "change"),
    [
        (stand_ins.SOFTMAX, ("e.sum(", "1.01 * e.sum(")),
        (stand_ins.POWERS, ("x.sum", "2 * x.sum")),  # with a number beside the array
        (stand_ins.NORM, ("+ self.eps)", "+ 1)")),  # made from its sizes
    ],
)
def test_the_script_shows_the_failure_without_softproof(tmp_path, task, change):
    if "torch" in task:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    found = beside(
        tmp_path, task.replace("Model", "ModelNew").replace(*change), task=task, seconds=0.1
    )
    assert found.verdict == WRONG
    assert "softproof" not in found.failure.snippet
    script = tmp_path / "script.py"
    script.write_text(found.failure.snippet)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    observed, _, expected = done.stdout.split()
    assert float(observed) == float.fromhex(found.failure.observed)
    assert float(expected) == float.fromhex(found.failure.expected)


def test_fewer_bits_are_less_precise_and_no_mistake(tmp_path):
    found = beside(tmp_path, stand_ins.IN_FEW_BITS)
    assert (found.verdict, found.fits) == (IMPRECISE, ("arithmetic=bfloat16",))


def test_two_results_for_one_input_are_refused(tmp_path):
    found = beside(tmp_path, stand_ins.COUNTS_CALLS)
    assert (found.verdict, found.failure.kind) == (REFUSED, "not deterministic")


def test_a_function_is_a_reference_and_a_task_of_no_definition_goes_beside_it(tmp_path):
    ref, own = stand_ins.written(
        tmp_path, ref=stand_ins.FIVE_TIMES, own=stand_ins.FIVE_TIMES.replace("5 * x", "6 * x")
    )
    found = by_reference(f"{ref}:five_times", str(own), seconds=1.0, seed=SEED)
    assert (found.verdict, found.subject) == (WRONG, "own.py:five_times")
    assert by_reference(f"{ref}:five_times", str(ref), seconds=1.0, seed=SEED).verdict == RIGHT


def test_a_seed_replays(tmp_path):
    one, two = (beside(tmp_path, stand_ins.ZEROS).as_dict() | {"seconds": 0} for _ in range(2))
    assert one == two


# --- the command ---


def gate(*given):
    return CliRunner().invoke(app, ["gate", *map(str, given)])


def test_the_command_says_what_the_function_does(tmp_path):
    problem, own = stand_ins.written(tmp_path, problem=stand_ins.SOFTMAX, own=stand_ins.ZEROS)
    told = gate(
        "--kernelbench", problem, own, "--seconds", 1, "--seed", 7, "--json", tmp_path / "j"
    )
    assert told.exit_code == 1
    assert told.stdout.startswith("wrong: softmax own.py:ModelNew float32\n")
    assert json.loads((tmp_path / "j").read_text())["verdict"] == WRONG


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--kernelbench", "nowhere.py", "own.py"], "nowhere.py"),
        (["--kernelbench", "problem.py"], "one CANDIDATE.py"),
        (["--reference", "broken.py:Model", "own.py"], "broken.py"),
        (["--reference", "problem.py:Nothing", "own.py"], "Nothing"),
    ],
)
def test_what_is_no_task_is_a_usage_error(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    stand_ins.written(
        tmp_path, problem=stand_ins.SOFTMAX, own=stand_ins.RIGHT, broken="def f(:", nothing=""
    )
    told = gate(*given)
    assert told.exit_code == 2
    assert said in told.stderr
