"""The grade of a check: it says which mistakes pass, and what would stop them."""

import inspect
import json

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.verify.audit.candidate import as_candidate
from softproof.verify.audit.check import parse
from softproof.verify.audit.grade import Audit, Described, called, grade
from softproof.verify.cli.main import app
from softproof.verify.power.of_formulas import mistakes_of, right_implementations
from typer.testing import CliRunner

SOFTMAX = lookup("softmax")
# As in KernelBench: the probabilities are smaller than the tolerance.
LAX = """
title = "a lax check"
definition = "softmax"
dtype = "float32"
inputs = [{ cases = 3, sizes = { K = 512 } }]
draws = { logits = { uniform = [0.0, 1.0] } }
comparison = [{ kind = "allclose", atol = 1e-2, rtol = 1e-2 }]
"""


def softmax(x):
    x = np.asarray(x, np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def strict(candidate):
    """Hazards, squares, one case, 129 classes and NaN, to within some ulp."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=s) for s in ((3, 3), (2, 9), (2, 129), (5, 40))]
    rows += [np.array([[100.0, 0.0]]), np.array([[np.nan, 0.0], [1.0, 2.0]])]
    for row in rows:
        x = row.astype(np.float32)
        if not np.allclose(candidate(x), softmax(x), rtol=1e-5, atol=1e-30, equal_nan=True):
            return False
    return True


def audited(judge, definition=SOFTMAX):
    audit = Audit("a check", definition.name, "float32", 0, getattr(judge, "noise", 0.0))
    names = [name for _, _, name in grade(audit, definition, BINARY32, judge)]
    assert len(names) == len(audit.mistakes) + len(audit.right)
    return audit


def test_a_strict_check_rejects_all_mistakes_and_no_right_implementation():
    audit = audited(called(strict, SOFTMAX))
    assert [graded.name for graded in audit.surviving] == []
    assert audit.false_alarms == []
    assert audit.passed
    assert audit.kill_rate == 1


def test_a_lax_check_admits_zeros_and_is_told_what_would_reject_them():
    audit = audited(Described(parse(LAX, "f"), 0))
    assert not audit.passed
    assert audit.false_alarms == []
    graded = {one.name: one for one in audit.surviving}
    zeros = graded["zeros"]
    largest = softmax(parse(LAX, "f").calls(0)[0].values["logits"]).max()
    # |0 - p| = atol + rtol p, with both equal.
    assert zeros.judged.excess == pytest.approx(largest / (0.01 + 0.01 * largest), rel=1e-4)
    assert zeros.judged.limiting.startswith("allclose: atol < 0.00")
    assert zeros.seen.suite == "accuracy"
    assert zeros.seen.input.startswith("logits 0x")
    assert graded["overflowing: as published"].seen.suite == "overflow"
    assert graded["NaN written as 0"].seen.family == "NaN"
    # These inputs do not show what the shape or the numbers of them hide.
    for name in ("K in whole tiles of 128", "overflowing: as published", "NaN written as 0"):
        assert graded[name].judged.excess <= audit.least_excess, name
    assert zeros.judged.excess > audit.least_excess


def test_a_check_that_rejects_right_implementations_is_told_so():
    audit = audited(called(lambda candidate: False, SOFTMAX))
    assert audit.surviving == []
    assert len(audit.false_alarms) == len(audit.right) > 1
    assert not audit.passed


def test_too_sharp_a_tolerance_is_a_false_alarm():
    sharp = LAX.replace("1e-2", "1e-12").replace(
        'dtype = "float32"', 'dtype = "float32"\nreference = "exact"'
    )
    audit = audited(Described(parse(sharp, "f"), 0))
    assert audit.false_alarms


@pytest.mark.parametrize(
    ("answer", "accepts"),
    [
        (True, True),
        (np.bool_(False), False),
        ((False, "far off"), False),
        ((True, ""), True),
        (None, True),
    ],
)
def test_a_function_may_answer_as_harnesses_do(answer, accepts):
    one, *_ = right_implementations(SOFTMAX, BINARY32)
    assert called(lambda candidate: answer, SOFTMAX)(one).accepted == accepts


@pytest.mark.parametrize("error", [ZeroDivisionError("here"), SystemExit(3), TypeError("no")])
def test_an_exception_of_a_check_is_told_and_is_a_rejection(error):
    def raising(candidate):
        raise error

    one, *_ = right_implementations(SOFTMAX, BINARY32)
    judged = called(raising, SOFTMAX)(one)
    assert not judged.accepted
    assert f"raised {type(error).__name__}" in judged.raised


def test_an_assertion_that_fails_is_a_rejection_and_nothing_else():
    def asserting(candidate):
        assert candidate(np.float32([[1, 2]])).sum() == 2

    one, *_ = right_implementations(SOFTMAX, BINARY32)
    judged = called(asserting, SOFTMAX)(one)
    assert (judged.accepted, judged.raised) == (False, "")


def test_what_a_check_prints_does_not_stand_in_the_report(capsys):
    called(lambda candidate: print("noise"), SOFTMAX)(right_implementations(SOFTMAX, BINARY32)[0])
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "noise\n")


# --- candidates as checks call them ---


def candidate(name):
    definition = lookup(name)
    return as_candidate(right_implementations(definition, BINARY32)[0].function, definition)


def test_a_candidate_takes_any_axes_in_front_and_the_last_one_by_name():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    for found in (
        candidate("softmax")(x),
        candidate("softmax")(x, dim=-1),
        candidate("softmax")(x, axis=2),
    ):
        np.testing.assert_allclose(found, softmax(x), rtol=1e-6)
    np.testing.assert_allclose(candidate("softmax")(x[0, 0]), softmax(x[0, 0]), rtol=1e-6)
    with pytest.raises(ValueError, match="dim has to be the last axis"):
        candidate("softmax")(x, dim=0)


def test_a_candidate_takes_shared_arguments_and_parameters_by_name():
    x, gain = np.ones((2, 3, 4), np.float32), np.full(4, 2, np.float32)
    np.testing.assert_allclose(candidate("rms_norm")(x, gain=gain, eps=0.0), 2 * x)
    with pytest.raises(TypeError, match="the argument gain is missing"):
        candidate("rms_norm")(x)
    with pytest.raises(TypeError, match="3 arguments are given, of x, gain"):
        candidate("rms_norm")(x, gain, 1e-6)
    with pytest.raises(TypeError, match="epsilon"):
        candidate("rms_norm")(x, gain, epsilon=1e-6)


def test_one_mask_serves_all_cases():
    rng = np.random.default_rng(0)
    q, k, v = (
        rng.normal(size=s).astype(np.float32) for s in ((2, 5, 3), (2, 5, 4, 3), (2, 5, 4, 2))
    )
    mask = np.array([True, False, True, True])
    each = np.broadcast_to(mask, (2, 5, 4))
    attention = candidate("attention")
    np.testing.assert_array_equal(attention(q, k, v, mask), attention(q, k, v, each))


def test_a_candidate_gives_tensors_for_tensors():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.bfloat16)
    found = candidate("softmax")(x, dim=-1)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found, torch.softmax(x, -1), rtol=1e-2)
    assert candidate("gelu")(torch.zeros(2, 3)).shape == (2, 3)


def test_a_number_of_a_definition_is_one_number_a_case():
    given = [np.full((2, 3), x, np.float32) for x in (-1.0, -1.5, 2.0)]
    assert candidate("ppo_loss")(*given).shape == (2, 3)


# --- the command ---


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lax.toml").write_text(LAX.replace("K = 512", "K = 16"))
    (tmp_path / "their_checks.py").write_text(
        "import numpy as np\n"
        "def check(candidate):\n"
        "    x = np.float32([[1, 2, 3], [3, 1, 2]])\n"
        "    e = np.exp(x)\n"
        "    return np.allclose(candidate(x), e / e.sum(-1, keepdims=True), rtol=1e-5)\n"
        "def broken(candidate):\n"
        "    return candidate.shape\n"
    )
    return tmp_path


def run(*arguments):
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["audit", *map(str, arguments)])


def test_the_command_grades_a_function_and_writes_the_grade(folder):
    result = run("their_checks:check", "--definition", "softmax", "--json", folder / "f.json")
    assert result.exit_code == 1, result.output
    (found,) = json.loads((folder / "f.json").read_text()).values()
    surviving = {one["name"] for one in found["mistakes"] if one["judged"]["accepted"]}
    assert "overflowing: as published" in surviving
    assert "K in whole tiles of 8" in surviving
    assert "zeros" not in surviving
    assert found["passed"] is False
    assert "PASSES" in result.output
    assert "planted mistakes are rejected" in result.output


def test_an_error_in_a_check_is_a_finding(folder):
    result = run("their_checks:broken", "--definition", "sigmoid")
    assert result.exit_code == 1
    assert "FALSE ALARM" in result.output
    assert "raised AttributeError" in result.output


def test_the_command_grades_a_file(folder):
    result = run("lax.toml")
    assert result.exit_code == 1, result.output
    assert "allclose: atol 0.01, rtol 0.01" in result.output
    assert "3 cases, K=16" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no_such_check",), "with the package come"),
        (("their_checks:check",), "--definition is missing"),
        (("their_checks:check", "--definition", "softmacks"), "softmacks"),
        (("their_checks:nothing", "--definition", "softmax"), "nothing"),
        (("lax.toml", "--definition", "softmax"), "is for a check that is a function"),
        (("lax.toml", "--dtype", "float16"), "is for a check that is a function"),
        (("their_checks.py",), "is not TOML"),
        (("lax.toml", "--json", "nowhere/f.json"), "No such file or directory"),
    ],
)
def test_usage_errors_have_status_2(folder, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_status_0_says_that_all_is_rejected_and_nothing_right(folder):
    source = "\n".join(map(inspect.getsource, (softmax, strict)))
    (folder / "strict_check.py").write_text(f"import numpy as np\n{source}")
    result = run("strict_check:strict", "--definition", "softmax")
    assert result.exit_code == 0, result.output


def test_every_mistake_is_asked_once():
    asked = []
    audited(called(lambda candidate: asked.append(candidate) or True, SOFTMAX))
    assert len(asked) == len(mistakes_of(SOFTMAX, BINARY32)) + len(
        right_implementations(SOFTMAX, BINARY32)
    )
