"""`softproof verify` of functions of several arguments, of the catalogue and of a user's own."""

import importlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from softproof.derivations import REGISTRY
from softproof.verify.cli.main import app
from softproof.verify.reports.html import html
from softproof.verify.reports.junit import junit
from softproof.verify.reports.stored import load, schema
from softproof.verify.testing import assert_conforms
from typer.testing import CliRunner

from tests.implemented import OF_NAMED_ARGUMENTS

PROGRAM = Path(sys.executable).with_name("softproof")

SUBJECTS = """
import numpy as np

def rms_norm(x, gain, eps=1e-6):
    mean = np.sum(x * x, axis=-1, keepdims=True) / x.dtype.type(x.shape[-1])
    return x / np.sqrt(mean + x.dtype.type(eps)) * gain

def eps_outside(x, gain, eps=1e-6):
    mean = np.sum(x * x, axis=-1, keepdims=True) / x.dtype.type(x.shape[-1])
    return x / (np.sqrt(mean) + x.dtype.type(eps)) * gain

def forgets_the_mean(x, gain, eps=1e-6):
    return rms_norm(x, gain, eps)

def forgets_the_mean_vjp(x, gain, cotangent, eps=1e-6):
    mean = np.sum(x * x, axis=-1, keepdims=True) / x.dtype.type(x.shape[-1])
    r = 1 / np.sqrt(mean + x.dtype.type(eps))
    return r * gain * cotangent, np.sum(cotangent * x * r, axis=0)

forgets_the_mean.vjp = forgets_the_mean_vjp

def attention_of_nothing(q, k, v, mask):
    return 0 * v[:, 0]

def steep(x, slope):
    return 1 / (1 + np.exp(-x * slope[:, None]))
"""
DEFINITIONS = """
from softproof.derivations import Real, Vector, define

@define(
    family="mine",
    source="me",
    arguments={"x": Vector("K", lower=-4, upper=4), "slope": Real(lower=0.5, upper=2)},
    output=("K",),
)
def steep(x, slope, xp):
    "A sigmoid of some slope."
    return xp.sigmoid(x * slope)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a user's files, and the registry as it was afterwards."""
    (tmp_path / "kernels_of_mine.py").write_text(SUBJECTS)
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    before = set(REGISTRY)
    yield tmp_path
    for name in REGISTRY.keys() - before:
        del REGISTRY[name]
    sys.modules.pop("kernels_of_mine", None)


def softproof(*arguments):
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, [str(a) for a in arguments])


def usage_error(*arguments):
    """The one line of a usage error, exit status 2."""
    outcome = softproof(*arguments)
    assert outcome.exit_code == 2, outcome.output
    (line,) = outcome.output.strip().splitlines()
    assert line.startswith("softproof: ")
    return line


MINE = ("--subject", "kernels_of_mine:rms_norm", "--dtype", "float32")
BROKEN = ("--subject", "kernels_of_mine:eps_outside", "--dtype", "float32", "--suite", "liveness")


def test_a_right_function_passes_in_the_table_that_all_have():
    outcome = softproof("verify", "rms_norm", *MINE, "--suite", "liveness", "--suite", "poison")
    assert outcome.exit_code == 0, outcome.output
    heading, row = (
        next(line for line in outcome.output.splitlines() if word in line)
        for word in ("definition, subject", "kernels_of_mine:rms_norm")
    )
    assert heading.split()[3:5] == ["liveness", "poison"]
    assert row.split()[:4] == ["kernels_of_mine:rms_norm", "float32", "pass", "pass"]
    assert "all passed" in outcome.output


def test_a_broken_one_fails_and_the_printed_command_shows_the_case_again(here):
    outcome = softproof("verify", "rms_norm", *BROKEN, "--json", here / "report.json")
    assert outcome.exit_code == 1
    assert "value beyond its error bound, where eps acts" in outcome.output
    data = json.loads((here / "report.json").read_text())
    assert list(Draft202012Validator(schema()).iter_errors(data)) == []
    (result,) = data["results"]
    failure = result["failures"][0]
    assert failure["case"].splitlines()[0].startswith("rms_norm")
    assert [line.split("[")[0] for line in failure["case"].splitlines()[1:]] == ["x", "gain"]
    for line in failure["case"].splitlines():
        assert line[:100] in outcome.output
    stored = load(here / "report.json")
    assert failure["case"].splitlines()[1].split("] ")[1] in html(stored)
    assert failure["case"].splitlines()[1] in junit(stored)
    early = json.loads((here / "report.json").read_text())  # before contracts named what is usual
    for axis in ("overflow", "products", "saved"):
        del early["subjects"][0]["contract"][axis]
    (here / "early.json").write_text(json.dumps(early))
    assert load(here / "early.json") == stored
    command = failure["reproduce"].replace("softproof", shlex.quote(str(PROGRAM)), 1)
    again = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert again.returncode == 1, again.stderr
    assert failure["case"].splitlines()[1] in again.stdout


def test_a_broken_gradient_fails_and_the_printed_command_shows_it_again(here):
    broken = ("--subject", "kernels_of_mine:forgets_the_mean", "--dtype", "float32")
    run = ("verify", "rms_norm", *broken, "--suite", "gradient")
    outcome = softproof(*run, "--json", here / "report.json")
    assert outcome.exit_code == 1, outcome.output
    assert "gradient beyond its error bound" in outcome.output
    data = json.loads((here / "report.json").read_text())
    assert list(Draft202012Validator(schema()).iter_errors(data)) == []
    (result,) = data["results"]
    assert result["suite"] == "gradient"
    failure = result["failures"][0]
    lines = failure["case"].splitlines()
    assert [line.split("[")[0] for line in lines[1:]] == ["x", "gain", "cotangent"]
    assert lines[-1] in outcome.output
    (here / "case.txt").write_text(failure["case"])
    again = softproof(*run, "--case", here / "case.txt")
    assert again.exit_code == 1, again.output
    assert lines[-1] in again.output


def test_the_help_says_how_gradients_are_asked_for():
    told = " ".join(softproof("verify", "--help").output.split())
    assert "by autograd, jax.vjp, or f.vjp(*arguments, cotangent)" in told


def test_a_case_in_a_file_is_judged_alone(here):
    case = here / "case.txt"
    case.write_text("rms_norm eps=0x1p-4\nx[K=1] 0x1p-4\ngain[K=1] 0x1p+0\n")
    run = ("verify", "rms_norm", "--dtype", "float32", "--case", case)
    outcome = softproof(*run, "--subject", "kernels_of_mine:eps_outside")
    assert outcome.exit_code == 1
    assert "x[K=1] 0x1p-4" in outcome.output
    outcome = softproof(*run, "--subject", "kernels_of_mine:rms_norm")
    assert outcome.exit_code == 0, outcome.output


def test_a_case_of_a_row_is_judged_as_any_other(here):
    (here / "case.txt").write_text("softmax\nlogits[K=2] 0x0p+0 0x1p+7")
    run = ("verify", "softmax", "--dtype", "float32", "--case", here / "case.txt")
    outcome = softproof(*run, "--subject", "softproof.kernels:softmax")
    assert outcome.exit_code == 0, outcome.output
    outcome = softproof(*run, "--subject", "softproof.kernels:naive")
    assert outcome.exit_code == 1, outcome.output
    assert "softmax\n    logits[K=2] 0x0p+0 0x1p+7" in outcome.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rms_norm\nx[K=1] 0.5\ngain[K=1] 0x1p+0", "line 2: '0.5' is no number in hex"),
        ("softmax\nlogits[K=1] 0x1p+0", "is a case of softmax, not of rms_norm"),
        ("sparsemax\nz[K=1] 0x1p+0", "is a case of sparsemax, not of rms_norm"),
        ("", "case.txt: the text of a case is empty"),
        (
            "rms_norm\nx[K=1] 0x1p99999\ngain[K=1] 0x1p+0",
            "line 2: '0x1p99999' is beyond the largest",
        ),
        ("rms_norm eps=0x1p99999", "'0x1p99999' is beyond the largest number"),
    ],
)
def test_what_is_no_case_is_a_usage_error(here, text, told):
    (here / "case.txt").write_text(text)
    assert told in usage_error("verify", "rms_norm", *MINE, "--case", here / "case.txt")


def test_a_file_that_is_no_text_is_told_by_its_name(here):
    (here / "case.txt").write_bytes(b"\xff\xfe")
    assert "case.txt: 'utf-8' codec" in usage_error(
        "verify", "rms_norm", *MINE, "--case", here / "case.txt"
    )


def test_a_case_where_the_definition_has_no_value_is_undecided(here):
    (here / "case.txt").write_text(
        "attention\nq[d=1] 0x1p+0\nk[n=1, d=1] 0x1p+0\nv[n=1, e=1] 0x1p+0\nmask[n=1] 0"
    )
    subject = ("--subject", "kernels_of_mine:attention_of_nothing", "--dtype", "float32")
    run = ("verify", "attention", *subject, "--suite", "accuracy")
    outcome = softproof(*run, "--case", here / "case.txt")
    assert outcome.exit_code == 0, outcome.output
    assert "0 checks: nothing was judged" in outcome.output
    assert "Undecided: 1 case of attention" in outcome.output
    assert "attention has no value there" in outcome.output


def test_options_that_do_not_fit_are_usage_errors():
    assert "No such file" in usage_error("verify", "rms_norm", *MINE, "--case", "none.txt")
    told = usage_error("verify", "rms_norm", *MINE, "--row=1,2")
    assert "rms_norm takes x, gain, not rows of logits; give --case" in told
    told = usage_error("verify", "rms_norm", *MINE, "--row=1,2", "--case", "kernels_of_mine.py")
    assert "--case excludes --row and --logits" in told
    told = usage_error("verify", "rms_norm", "--subject", "./program")
    assert "no program ./program that can be executed" in told


def test_definitions_of_a_file_are_verified(here):
    run = ("verify", "--definitions", "definitions.py", "--subject", "kernels_of_mine:steep")
    outcome = softproof(*run, "--dtype", "float32", "--suite", "liveness")
    assert outcome.exit_code == 0, outcome.output
    assert "\n steep" in outcome.output


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (DEFINITIONS, "x = 1", "definitions.py defines nothing"),
        ("def steep(", "def rms_norm(", "definition 'rms_norm' exists already"),
        ('"slope": Real', '"factor": Real', "it has to take (x, factor, xp)"),
        ("xp.sigmoid(x * slope)", "xp.sigmoidal(x)", "steep: definitions.py:12: AttributeError"),
        ("xp.sigmoid(x * slope)", "xp.sum(x)", "gives value of shape (); its signature says (3,)"),
        ("import Real", "import Reel", "definitions.py:2: ImportError"),
        ("@define(", "@define((", "SyntaxError"),
        ("xp.sigmoid(x * slope)", "x + 0 * x[2]", "steep: definitions.py:12: IndexError"),
        ("xp.sigmoid(x * slope)", "1.5", "gives value of shape ()"),
        ("xp.sigmoid(x * slope)", "[1.5 for _ in x]", "gives 1.5, of the type float"),
        ("xp.sigmoid(x * slope)", "[None for _ in x]", "gives None, of the type NoneType"),
        (
            "xp.sigmoid(x * slope)",
            "__import__('numpy').exp(x)",
            "steep: definitions.py:12: TypeError",
        ),
        ("xp.sigmoid(x * slope)", "(x - x) / (x - x)", "steep has no value, as at x[K=3]"),
        ("xp.sigmoid(x * slope)", "x * float('nan')", "steep has no value, as at x[K=3]"),
        ('Vector("K", lower=-4, upper=4)', 'Vector("K!")', "'x' has the axis 'K!'"),
    ],
)
def test_errors_in_that_file_are_usage_errors(here, old, new, told):
    assert old in DEFINITIONS
    (here / "definitions.py").write_text(DEFINITIONS.replace(old, new, 1))
    assert told in usage_error("verify", "--definitions", "definitions.py")


def test_a_formula_that_fails_at_a_later_case_is_told_with_its_line(here):
    """Not as a defect of softproof: status 3 is for those."""
    formula = "xp.sigmoid(x * slope) if len(x) < 4 else x[9999]"
    text = DEFINITIONS.replace("xp.sigmoid(x * slope)", formula)
    (here / "definitions.py").write_text(text)
    run = ("verify", "--definitions", "definitions.py", "--subject", "kernels_of_mine:steep")
    outcome = softproof(*run, "--dtype", "float32", "--suite", "accuracy")
    assert outcome.exit_code == 2, outcome.output
    assert "softproof: definitions.py:12: IndexError" in outcome.output
    assert "Traceback" not in outcome.output


@pytest.fixture
def package(here):
    """A package with definitions, which import from it."""
    (here / "losses_of_mine").mkdir()
    (here / "losses_of_mine" / "__init__.py").write_text("")
    (here / "losses_of_mine" / "kinds.py").write_text("from softproof.derivations import Vector")
    text = DEFINITIONS.replace("Real, Vector, define", "Real, define\nfrom .kinds import Vector")
    (here / "losses_of_mine" / "slopes.py").write_text(text)
    yield "losses_of_mine.slopes"
    for name in [name for name in sys.modules if name.startswith("losses_of_mine")]:
        del sys.modules[name]


def test_definitions_of_an_installed_module_are_verified(package):
    run = ("verify", "--definitions", package, "--dtype", "float32", "--suite", "accuracy")
    for _ in range(2):  # also where it is imported already
        outcome = softproof(*run, "--subject", "kernels_of_mine:steep", "--store", "results.db")
        assert outcome.exit_code == 0, outcome.output
        assert "\n steep" in outcome.output
    assert "results known from results.db" in outcome.output
    failed = softproof(*run, "--subject", "kernels_of_mine:rms_norm")
    assert f"--definitions {package}" in failed.output


def test_an_error_in_a_module_is_told_with_its_line(package, here):
    wrong = DEFINITIONS.replace("xp.sigmoid(x * slope)", "xp.sigmoidal(x)")
    (here / "losses_of_mine" / "slopes.py").write_text(wrong)
    told = usage_error("derive", "steep", "--definitions", package)
    assert "losses_of_mine/slopes.py:12: AttributeError" in told
    assert "No such file" in usage_error("derive", "steep", "--definitions", "losses_of_mine.none")


def test_a_file_that_is_not_there_is_a_usage_error():
    assert "No such file" in usage_error("verify", "--definitions", "none.py")


@pytest.mark.parametrize("style", [(), ("--latex",)])
@pytest.mark.parametrize("name", [d.name for d in OF_NAMED_ARGUMENTS])
def test_derive_prints_formula_arguments_forms_and_source(name, style):
    outcome = softproof("derive", name, *style)
    assert outcome.exit_code == 0, outcome.output
    definition = REGISTRY[name]
    words = outcome.output.replace("\\", "").replace("\n          ", " ")
    assert ("Definition for" if definition.signature.axes else "Definition") in words
    for part in (*definition.signature.arguments, *definition.forms, *definition.parameters):
        assert part in words
    if not style:
        assert definition.source in words


def test_derive_prints_the_gradient_of_a_definition_of_a_file(here):
    outcome = softproof("derive", "steep", "--definitions", "definitions.py")
    assert outcome.exit_code == 0, outcome.output
    for line in ("steep: A sigmoid of some slope.", "dL/dx_1 = ", "dL/dslope = "):
        assert line in outcome.output


@pytest.mark.parametrize(
    ("file", "told"),
    [("none.py", "No such file"), ("kernels_of_mine.py", "defines nothing")],
)
def test_derive_says_what_is_wrong_with_that_file(file, told):
    assert told in usage_error("derive", "steep", "--definitions", file)


def test_assert_conforms_takes_such_functions():
    scope = {}
    exec(SUBJECTS, scope)
    assert_conforms(scope["rms_norm"], "rms_norm", suites="liveness")
    with pytest.raises(AssertionError) as caught:
        assert_conforms(scope["eps_outside"], "rms_norm", suites="liveness")
    told = str(caught.value)
    assert "float32 liveness: value beyond its error bound, where eps acts" in told
    assert "        gain[K=5] " in told
    assert "assert_conforms(fn, 'rms_norm', dtype='float32', suites='liveness')" in told
