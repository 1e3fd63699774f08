"""The command line as its users run it: what it prints, and the exit status 0, 1 or 2."""

import contextlib
import importlib.util
import json
import sqlite3
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from softproof import kernels
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.bench import radius as bench
from softproof.verify.cli import command_line
from softproof.verify.cli import main as cli
from softproof.verify.cli.main import app
from softproof.verify.runs import run
from softproof.verify.studies import certified_radii
from softproof.verify.subjects.built_in import BUILT_IN, select
from softproof.verify.suites import SUITES
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "verify" / "data" / "digits.npz"
PROGRAM = Path(sys.executable).with_name("softproof")

SUBJECT = """
import numpy as np

def softmax(x, axis):
    x = x.astype(np.float64)
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=axis, keepdims=True)).astype(DTYPE)

def wrong(x):
    return x

DTYPE = np.float32
"""


def softproof(*arguments):
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, [str(a) for a in arguments])


def usage_error(*arguments):
    """The one line of a usage error, exit status 2."""
    outcome = softproof(*arguments)
    assert outcome.exit_code == 2, outcome.output
    assert "Traceback" not in outcome.output
    lines = outcome.output.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("softproof: ")
    return lines[0]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with modules of the user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "subject_of_a_user.py").write_text(SUBJECT)
    (tmp_path / "broken_import_of_a_user.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "script_of_a_user.py").write_text("import sys\nsys.exit(0)\n")
    return tmp_path


# --- as a process ---


def process(*arguments, cwd=ROOT):
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_version():
    done = process("--version")
    assert (done.returncode, done.stdout) == (0, f"softproof {version('softproof')}\n")
    assert done.stderr == ""


def test_help_names_the_commands():
    done = process("--help")
    assert done.returncode == 0
    for command in ("verify", "derive", "radius", "plot", "subjects"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("subject", "status"),
    [("softmax", 0), ("wrong", 1), ("missing", 2)],
)
def test_exit_status_of_a_process(here, subject, status):
    done = process(
        "verify", "softmax", "--subject", f"subject_of_a_user:{subject}", "--dtype", "float32",
        "--row", "1,2", cwd=here,
    )  # fmt: skip
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout


# --- verify ---


SHIFTED = "softproof.verify.textbook:log_softmax_shifted"


def test_a_right_subject_passes():
    outcome = softproof(
        "verify", "softmax", "--subject", "softproof.kernels:online", "--suite", "overflow"
    )
    assert outcome.exit_code == 0
    assert "kernels:online" in outcome.output
    assert "all passed" in outcome.output


def test_a_wrong_subject_fails_with_all_that_is_needed_to_see_it_again():
    outcome = softproof(
        "verify", "log_softmax", "--subject", "textbook:log_softmax_s*", "--row", "17,0",
        "--dtype", "float32", "--suite", "accuracy",
    )  # fmt: skip
    assert outcome.exit_code == 1
    for text in (
        f"FAIL log_softmax {SHIFTED} float32 accuracy: 1 violations in 2 checks",
        "logits    [0x1.1p+4, 0x0p+0]",
        "observed  0x0p+0 (0) at 0",
        "expected  -0x1.639",
        "-4.13993",
        "threshold",
        f"reproduce softproof verify log_softmax --subject {SHIFTED} "
        "--dtype float32 --suite accuracy --row=0x1.1p+4,0x0p+0",
        "1 of 1 suites failed",
    ):
        assert text in outcome.output


def test_one_defect_makes_one_message(here):
    (here / "kept_dimension.py").write_text("def softmax(x):\n    return x[..., None]\n")
    outcome = softproof("verify", "softmax", "--subject", "kept_dimension:softmax")
    assert outcome.exit_code == 1
    assert outcome.output.count("preflight: result has shape (2, 3, 1), expected (2, 3)") == 1


def test_the_same_subject_named_twice_is_run_once():
    once = softproof("verify", "softmax", "--subject", "softproof.kernels:online", "--row", "1,2")
    names = ("--subject", "softproof.kernels:online", "--subject", "softproof.kernels:onl*")
    twice = softproof("verify", "softmax", *names, "--row", "1,2")
    assert once.output == twice.output


def test_the_digits_pass_with_our_kernels():
    outcome = softproof(
        "verify", "--subject", "kernels:*", "--logits", DIGITS, "--suite", "accuracy",
        "--suite", "gradient",
    )  # fmt: skip
    assert outcome.exit_code == 0
    table = [line for line in outcome.output.splitlines() if "kernels:" in line]
    assert len(table) >= 8


def test_a_function_of_the_working_directory_is_called_with_its_axis(here):
    subject = ("--subject", "subject_of_a_user:softmax")
    assert softproof("verify", "softmax", *subject, "--dtype", "float32").exit_code == 0
    outcome = softproof("verify", "softmax", *subject, "--dtype", "float64")
    assert outcome.exit_code == 1
    assert "preflight: result has dtype float32, expected float64" in outcome.output


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("sofmax", "softmax"), ("crossentropy", "cross_entropy"), ("zzz", "cross_entropy")],
)
def test_an_unknown_definition_suggests_names(name, suggestion):
    message = usage_error("verify", name)
    assert f"no definition is called '{name}'; did you mean " in message
    assert suggestion in message.partition("did you mean")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--row", "1,two"], "--row holds 'two', which is no binary64 number"),
        (["--row", ""], "--row holds '', which is no binary64 number"),
        (["--row", "1,"], "--row holds '', which is no binary64 number"),
        (["--row", "0x1p+99999"], "--row holds '0x1p+99999', which is no binary64 number"),
        (["--row", "1e999"], "--row holds '1e999', which overflows; write inf to mean it"),
        (["--row", "1,2", "--label", "2"], "--label is 2, but --row has 2 classes, 0 ... 1"),
        (
            ["--row", "0x1.0000001p+0", "--dtype", "float32"],
            "not representable in float32 (nearest 0x1p+0); round it first, write it in decimal",
        ),
        (["--row", "1e300", "--dtype", "float32"], "'1e300', which overflows float32; write inf"),
        (["--row", "1,2", "--logits", "x.npy"], "--row and --logits exclude each other"),
        (["--logits", "missing.npy"], "there is no file missing.npy"),
        (["--logits", "README.md"], "must be a .npy or .npz file"),
        (["--subject", "no_such"], "no known subject of softmax matches 'no_such'"),
        (["--subject", "kernels:log*"], "no known subject of softmax matches 'kernels:log*'"),
        (["--subject", "no_such_module:f"], "ModuleNotFoundError: No module named"),
        (["--subject", "math:pi"], "math:pi is a float, not callable"),
        (["--contract", "all_masked"], "contract all_masked='' is none of nan, zero, uniform"),
        (["--contract", "nan=no"], "contract nan='no' is none of row, at"),
        (["--contract", "ulps=3"], "contract setting 'ulps=3': name one of all_masked, pos_inf"),
        (["--suite", "every-value", "--dtype", "float32"], "nothing to do"),
        (["--subject", "scipy*", "--dtype", "float16"], "no chosen subject takes float16"),
    ],
)
def test_a_usage_error_of_verify_says_what_to_do(arguments, message):
    assert message in usage_error("verify", "softmax", *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--suite", "accurate"],
        ["--dtype", "float8"],
        ["--budget", "huge"],
        ["--seed", "-1"],
        ["--label", "-1", "--row", "1,2"],
        ["--nonsense"],
    ],
)
def test_a_value_that_is_no_choice_is_a_usage_error(arguments):
    outcome = softproof("verify", "softmax", *arguments)
    assert outcome.exit_code == 2
    assert arguments[0] in outcome.output


def test_a_subject_needs_one_definition(here):
    message = usage_error("verify", "softmax", "sigmoid", "--subject", "subject_of_a_user:f")
    assert message.endswith(
        "subject_of_a_user:f has the name of no definition; say which it implements: softproof "
        "verify softmax --subject subject_of_a_user:f; softproof verify sigmoid --subject "
        "subject_of_a_user:f"
    )


def test_of_several_definitions_a_subject_is_asked_of_the_one_in_its_name(here):
    run = ("--subject", "subject_of_a_user:softmax", "--dtype", "float32", "--suite", "overflow")
    for definitions in (("softmax", "log_softmax"), ("log_softmax", "softmax"), ()):
        outcome = softproof("verify", *definitions, *run)
        assert outcome.exit_code == 0, outcome.output
        assert "\n log_softmax" not in outcome.output


def test_decimals_of_a_row_are_rounded_and_that_is_told():
    run = ("verify", "softmax", "--subject", "softproof.kernels:online", "--suite", "accuracy")
    outcome = softproof(*run, "--dtype", "float32", "--row=0.1,0.5")
    assert outcome.exit_code == 0
    told = "--row in float32: 0.1 is taken as 0x1.99999ap-4 (0.100000001)\n"
    assert outcome.output.startswith(told)
    # One rounding, not two: this is just above a tie of float32, and binary64 rounds it to the tie.
    above = "1.00000005960464477539062500000001"
    assert f"{above} is taken as 0x1.000002p+0" in softproof(*run, f"--row={above},0").output
    assert "taken as" not in softproof(*run, "--row=0.5,0x1p-149").output


def test_the_help_names_definitions_suites_and_exit_statuses():
    text = " ".join(softproof("verify", "--help").output.split())
    for part in (*REGISTRY, *SUITES, "Exit status: 0 where nothing failed, 1 where"):
        assert part in text


def test_findings_come_first_and_what_their_words_mean_after():
    run = ("verify", "log_softmax", "--subject", "softproof.verify.textbook:log_softmax_shifted")
    run += ("--dtype", "float32", "--suite", "accuracy", "--suite", "collapse")
    output = softproof(*run).output
    parts = ["FAIL log_softmax", "logits    [", "observed  ", "Softmax collapse, from"]
    parts += ["ulp error", "Softmax collapse: the gap", "checks: 1 of 2 suites failed"]
    assert sorted(parts, key=output.index) == parts


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_stored_rows_of_16_bits_are_taken(here, dtype):
    rows = np.array([[0.1, 1], [2, 300]]).astype(FORMATS[dtype].dtype)
    np.save("rows.npy", rows)
    run = ("verify", "softmax", "--subject", "softproof.kernels:online", "--suite", "accuracy")
    outcome = softproof(*run, "--logits", "rows.npy")
    assert outcome.exit_code == 0, outcome.output
    assert f"kernels:online     {dtype}" in outcome.output


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("subject_of_a_user:f", "has no attribute 'f'"),
        ("subject_of_a_user:softmax.f", "has no attribute 'f'"),
    ],
)
def test_a_subject_that_does_not_exist_is_a_usage_error(here, subject, message):
    assert message in usage_error("verify", "softmax", "--subject", subject)


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("broken_import_of_a_user:f", "No module named 'no_such_module_at_all'"),
        ("script_of_a_user:f", "script_of_a_user:f: SystemExit: 0"),
    ],
)
def test_a_subject_that_cannot_be_imported_is_a_finding(here, subject, message):
    outcome = softproof("verify", "softmax", "--subject", subject, "--suite", "accuracy")
    assert outcome.exit_code == 1
    assert f"FAIL softmax {subject} float32 accuracy" in outcome.output
    assert message in outcome.output


def test_nothing_checked_is_not_a_pass():
    arguments = ("verify", "softmax", "--subject", "softproof.kernels:online", "--row", "nan,1")
    assert softproof(*arguments).exit_code == 0  # judged by the contract
    message = usage_error(*arguments, "--suite", "accuracy")
    assert "nothing to check: accuracy has no case for what was given" in message


def test_declared_contracts_are_held_against_the_subjects():
    arguments = ("verify", "softmax", "--subject", "softproof.kernels:online", "--row=-inf,-inf")
    assert softproof(*arguments).exit_code == 0
    assert softproof(*arguments, "--contract", "all_masked=zero").exit_code == 1


# --- given logits ---


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"logits": np.zeros(3)}, "have shape (3,); store rows x classes"),
        ({"logits": np.zeros((0, 3))}, "have shape (0, 3); store rows x classes"),
        ({"logits": np.zeros((1, 3), int)}, "not float32 or float64"),
        ({"a": np.zeros((1, 3)), "b": np.zeros((1, 3))}, "entries a, b"),
        ({"logits": np.zeros((2, 3)), "labels": np.zeros(2)}, "labels in"),
        ({"logits": np.zeros((2, 3)), "labels": np.array([0, 3])}, "must be in 0 ... 2"),
        ({"logits": np.zeros((2, 3)), "labels": np.array([0])}, "store 2 integers"),
    ],
)
def test_stored_logits_must_be_what_they_should_be(tmp_path, stored, message):
    np.savez(tmp_path / "x.npz", **stored)
    assert message in usage_error("verify", "--logits", tmp_path / "x.npz")


def test_stored_objects_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "cannot read" in usage_error("verify", "--logits", tmp_path / "x.npy")


def test_the_stored_dtype_is_the_default(tmp_path):
    np.save(tmp_path / "x.npy", np.float32([[0.1, 1], [2, 3]]))
    arguments = (
        "verify",
        "softmax",
        "--subject",
        "softproof.kernels:online",
        "--logits",
        tmp_path / "x.npy",
    )
    outcome = softproof(*arguments)
    assert outcome.exit_code == 0
    assert "float64" not in outcome.output.replace("float64_", "")


# --- JSON ---


def strict(path):
    """Parse without Python's extensions to JSON."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_json_report_holds_the_failing_case(tmp_path):
    path = tmp_path / "report.json"
    outcome = softproof(
        "verify", "softmax", "--subject", "softproof.kernels:naive", "--row=0x1p+10,0",
        "--dtype", "float64", "--json", path,
    )  # fmt: skip
    assert outcome.exit_code == 1
    report = strict(path)
    assert set(report) == {
        "schema", "versions", "seed", "budget", "interrupted", "passed", "unit", "skipped",
        "subjects", "results",
    }  # fmt: skip
    assert (report["passed"], report["interrupted"], report["seed"]) == (False, False, 0)
    assert report["versions"]["softproof"] == version("softproof")
    accuracy = next(r for r in report["results"] if r["suite"] == "accuracy")
    assert set(accuracy) == {
        "definition", "subject", "suite", "dtype", "status", "checks", "violations", "worst",
        "worst_bits", "errors", "grade", "excess", "warning", "expected", "failures", "collapses",
        "undecided",
    }  # fmt: skip
    (failure,) = accuracy["failures"]
    assert failure["logits"] == ["0x1p+10", "0x0p+0"]
    assert failure["observed"] == "nan"
    assert failure["expected"] == "0x1p+0"
    assert failure["error"] == float("inf")  # 1e999
    assert failure["threshold"] > 0
    assert failure["reproduce"].endswith("--suite accuracy --row=0x1p+10,0x0p+0")


def test_the_json_report_of_all_suites_is_strict(tmp_path):
    path = tmp_path / "report.json"
    some = ("--subject", "*textbook*", "--subject", "scipy*", "--dtype", "float32")
    softproof("verify", "log_softmax", "sigmoid", *some, "--json", path)
    report = strict(path)
    assert {r["definition"] for r in report["results"]} == {"log_softmax", "sigmoid"}
    for result in report["results"]:
        passed = result["status"] in ("pass", "empty")
        assert passed == (result["violations"] == 0) == (result["failures"] == [])


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "softmax", "--subject", "softproof.kernels:online", "--row", "1,2"],
        ["radius", DIGITS, DIGITS],
        ["bench", "radius"],
    ],
)
def test_a_report_that_cannot_be_written_is_a_usage_error_before_the_work(
    tmp_path, monkeypatch, command
):
    monkeypatch.setattr(kernels, "radius", worked)
    monkeypatch.setattr(run, "run", worked)
    monkeypatch.setattr(bench, "bench", worked)
    message = usage_error(*command, "--json", tmp_path / "missing" / "x.json")
    assert "No such file or directory" in message


def worked(*_):
    raise AssertionError("the work began")


# --- derive, plot, subjects ---


@pytest.mark.parametrize("style", ["text", "latex"])
def test_derive_prints_a_derivation(style):
    outcome = softproof("derive", "softmax", *(["--latex"] if style == "latex" else []))
    assert outcome.exit_code == 0
    assert len(outcome.output.splitlines()) > 10
    assert ("\\" in outcome.output) == (style == "latex")


def test_derive_in_text_is_the_default():
    assert softproof("derive", "sigmoid").output == softproof(
        "derive", "sigmoid"
    ).output  # fmt: skip


def test_usage_errors_of_derive():
    assert "did you mean softmax" in usage_error("derive", "sofmax")
    assert softproof("derive").exit_code == 2
    assert softproof("derive", "softmax", "--html").exit_code == 2


def test_plot_writes_a_figure(tmp_path):
    outcome = softproof("plot", "precision", "stablemax", "--output", tmp_path / "x.svg")
    assert (outcome.exit_code, outcome.output.split()[0]) == (0, "wrote")
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")


def test_usage_errors_of_plot(tmp_path):
    message = usage_error("plot", "precision", "stablemax", "--output", tmp_path / "x.bmp")
    assert "ends in '.bmp'; use one of .png, .svg, .pdf" in message
    message = usage_error("plot", "precision", "stablemax", "--output", tmp_path / "no" / "x.svg")
    assert "No such file or directory" in message
    assert "did you mean" in usage_error("plot", "precision", "nothing", "--output", "x.svg")
    assert softproof("plot", "precision", "softmax").exit_code == 2


def test_subjects_lists_what_verify_knows():
    lines = softproof("subjects").output.splitlines()
    assert len(lines) > 15
    assert any("softproof.kernels:online" in line and "all_masked=nan" in line for line in lines)
    of_cupy = [line for line in lines if "cupyx" in line]
    assert len(of_cupy) == 3
    if importlib.util.find_spec("cupy") is None:
        assert all("(skipped: cupy" in line for line in of_cupy)
    for line in lines:
        definition, subject, *contract = line.partition("   (skipped")[0].split()
        assert all("=" in setting for setting in contract)
        assert [s.id for s in select(subject, [lookup(definition)])] == [subject]


# --- radius ---


def test_radius_of_the_digits(tmp_path):
    outcome = softproof("radius", DIGITS, DIGITS, "--step", "0.5", "--json", tmp_path / "r.json")
    assert outcome.exit_code == 0
    assert "Safe step radii" in outcome.output
    assert "Step 0.5: r = step / radius" in outcome.output
    report = strict(tmp_path / "r.json")
    assert report["step"] == 0.5
    assert len(report["samples"]) == len(np.load(DIGITS)["logits"])
    batch = report["batch"]
    assert batch["spread"] <= batch["half_mass"] <= batch["variance"] <= batch["proven"]
    assert batch["exceeded_by"] == batch["exceeded_by_exact"] == []


def test_radius_with_certificates(tmp_path):
    rng = np.random.default_rng(3)
    for name in ("z", "a", "b"):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((5, 4)))
    files = (tmp_path / "z.npy", tmp_path / "a.npy")
    outcome = softproof("radius", *files, "--certify", "--json", tmp_path / "r.json")
    assert outcome.exit_code == 0
    assert "a separate checker verified all 5 certificates (taylor 5); all" in outcome.output
    for sample in strict(tmp_path / "r.json")["samples"]:
        assert sample["variance"] <= sample["upper"]
        assert 0 < sample["upper"] - sample["lower"] < 1e-12
        assert (sample["multiplicity"], sample["method"]) == (1, "taylor")
        assert sample["bits"] > 0
        assert sample["certificate"]["discs"]
        assert sample["rejected"] is None
        assert "curved" not in sample
    outcome = softproof(
        "radius", *files, "--curvatures", tmp_path / "b.npy", "--json", tmp_path / "r.json"
    )
    assert outcome.exit_code == 0
    assert "certified, curved" in outcome.output
    for sample in strict(tmp_path / "r.json")["samples"]:
        assert sample["curved"]["lower"] != sample["lower"]
        assert sample["curved"]["certificate"] != sample["certificate"]


def test_a_radius_outside_its_certificate_is_a_failure(tmp_path, monkeypatch):
    """The rungs are those of slopes half as steep, hence twice too high."""
    honest = kernels.radius
    monkeypatch.setattr(kernels, "radius", lambda z, a: honest(z, a / 2))
    np.savez(tmp_path / "x.npz", logits=np.zeros((2, 2)), slopes=np.array([[1.0, -1.0]] * 2))
    files = (tmp_path / "x.npz", tmp_path / "x.npz")
    outcome = softproof("radius", *files, "--certify", "--json", tmp_path / "r.json")
    assert outcome.exit_code == 1
    assert "WRONG, an error of softproof: sample 0" in outcome.output
    assert strict(tmp_path / "r.json")["certified"]["disagreeing"] == [0, 1]
    assert softproof("radius", *files).exit_code == 0  # which has nothing to compare with


@pytest.mark.parametrize("curved", [False, True])
def test_a_rejected_certificate_is_a_failure(tmp_path, monkeypatch, curved):
    """A claim of the certified tier that its evidence does not prove, plain or with curvatures."""
    honest = certified_radii.certify

    def false(z, a, b):
        claim = honest(z, a, b)
        return claim._replace(multiplicity=2) if curved == (b is not None) else claim

    monkeypatch.setattr(certified_radii, "certify", false)
    np.savez(tmp_path / "x.npz", logits=[[0.0, 0.0]], slopes=[[1.0, -1.0]], curvatures=[[0.5, 0.0]])
    outcome = softproof(
        "radius", *[tmp_path / "x.npz"] * 2, "--curvatures", tmp_path / "x.npz",
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert outcome.exit_code == 1
    assert "has a certificate that the separate checker rejects: multiplicity" in outcome.output
    assert "WRONG in 1 of 1 sample" in outcome.output
    report = strict(tmp_path / "r.json")
    assert report["curved" if curved else "certified"]["disagreeing"] == [0]
    assert report["certified" if curved else "curved"]["disagreeing"] == []


def test_equal_logits_and_slopes_are_two_arrays_if_stored_as_two(tmp_path):
    both = np.array([[1.0, 0.0]])
    np.savez(tmp_path / "x.npz", logits=both, slopes=both)
    assert softproof("radius", tmp_path / "x.npz", tmp_path / "x.npz").exit_code == 0


def test_the_help_of_radius_tells_what_a_file_holds():
    done = process("radius", "--help")
    for told in ("unit of t", "entries logits, slopes", "1e999", "Exit status: 0 done, 1 "):
        assert told in done.stdout


def test_an_interrupted_certification_keeps_what_is_done(tmp_path, monkeypatch):
    certify = certified_radii.certify
    calls = []

    def interrupted(*sample):
        calls.append(sample)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return certify(*sample)

    monkeypatch.setattr(certified_radii, "certify", interrupted)
    np.save(tmp_path / "z.npy", np.zeros((5, 2)))
    np.save(tmp_path / "a.npy", np.array([[1.0, -1.0]] * 5))
    files = (tmp_path / "z.npy", tmp_path / "a.npy", "--curvatures", tmp_path / "a.npy")
    outcome = softproof("radius", *files, "--json", tmp_path / "r.json")
    assert outcome.exit_code == 1
    assert "Interrupted (certified): 2 of 5 samples done." in outcome.output
    assert "Interrupted (curved): 0 of 5 samples done." in outcome.output
    report = strict(tmp_path / "r.json")
    assert [s["lower"] is None for s in report["samples"]] == [False, False, True, True, True]
    assert report["certified"]["interrupted"]
    assert (report["curved"]["samples"], report["curved"]["interrupted"]) == (0, True)


def test_usage_errors_of_radius(tmp_path):
    def stored(name, array):
        np.save(tmp_path / f"{name}.npy", array)
        return tmp_path / f"{name}.npy"

    good = stored("good", np.zeros((2, 3)))
    short = stored("short", np.zeros((2, 2)))
    nan = stored("nan", np.full((2, 3), np.nan))
    half = stored("half", np.zeros((2, 3), np.float16))
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    assert "(2, 2)" in usage_error("radius", good, short)
    assert "holds float16, not float32 or float64" in usage_error("radius", half, good)
    other = stored("other", np.ones((2, 3)))
    for curvatures, message in ((short, "curvatures must have the shape"), (nan, "hold NaN")):
        assert message in usage_error("radius", good, other, "--curvatures", curvatures)
    assert "finite" in usage_error("radius", good, nan)
    assert "cannot read" in usage_error("radius", objects, good)
    assert "there is no file" in usage_error("radius", good, tmp_path / "missing.npy")
    for step in ("0", "-1", "nan", "inf"):
        message = usage_error("radius", good, other, "--step", step)
        assert "step must be finite and above 0" in message
    assert "one array for both" in usage_error("radius", good, good)
    assert softproof("radius", good).exit_code == 2


# --- what review found ---


def test_a_module_of_the_user_is_not_taken_for_ours_by_its_short_name(here):
    (here / "textbook.py").write_text("def softmax_shifted(x):\n    return x * 0 + 7\n")
    outcome = softproof("verify", "softmax", "--subject", "textbook:softmax_shifted", "--row=1,2")
    assert outcome.exit_code == 1


def test_an_error_of_our_own_has_a_status_of_its_own(monkeypatch):
    def fail():
        raise RuntimeError("ours")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 3


def test_a_column_count_that_is_none_is_ignored(monkeypatch):
    monkeypatch.setenv("COLUMNS", "wide")
    assert command_line.make_console().width == 180


def test_what_a_subject_prints_stays_out_of_the_report(here):
    code = "def softmax(x):\n    print('noise')\n    return x / x.sum(-1, keepdims=True)\n"
    (here / "talkative.py").write_text(code)
    outcome = softproof("verify", "softmax", "--subject", "talkative:softmax", "--row=1,2")
    assert "noise" not in outcome.output


def test_one_array_is_not_both_logits_and_slopes(tmp_path):
    path = tmp_path / "both.npy"
    np.save(path, np.ones((2, 3)) * np.arange(3))
    assert "both logits and slopes" in usage_error("radius", path, path)


def test_a_label_needs_a_row():
    assert "--label" in usage_error("verify", "softmax", "--label", "1")


# --- subjects in a file, stores, reports ---

MINE = """
import numpy as np

def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

def forgetful(x):
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)
"""
DECLARED = """
[[subject]]
id = "mine:softmax"
definition = "softmax"
dtypes = ["float32"]
contract = { empty = "error", accumulator = "input" }

[[subject]]
id = "mine:forgetful"
definition = "softmax"
dtypes = ["float32"]
contract = { pos_inf = "nan_at" }

[[expected_failure]]
subject = "mine:forgetful"
suite = "overflow"
reason = "issue 7"

[[expected_failure]]
subject = "mine:softmax"
reason = "fixed long ago"

[[expected_failure]]
subject = "mine:nobody"
reason = "a slip of the pen"
"""


@pytest.fixture
def declared(here):
    (here / "mine.py").write_text(MINE)
    (here / "mine.toml").write_text(DECLARED)
    return here / "mine.toml"


def test_a_file_declares_subjects_contracts_and_expected_failures(declared):
    suites = ("--suite", "overflow", "--suite", "special-values")
    outcome = softproof("verify", "softmax", "--subjects", declared, *suites)
    assert outcome.exit_code == 0  # what fails was expected to
    rows = [line for line in outcome.output.splitlines() if line.startswith("   mine:")]
    assert len(rows) == 2
    assert "fixed" in rows[0]
    assert "expected" in rows[1]
    warnings = [line for line in outcome.output.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert any("mine:nobody matches no subject" in line for line in warnings)
    assert any("fixed long ago" in line and "remove the entry" in line for line in warnings)


def test_what_a_file_declares_is_in_the_command_that_reproduces(declared):
    declared.write_text(DECLARED.replace('pos_inf = "nan_at"', 'pos_inf = "mass"'))
    outcome = softproof("verify", "softmax", "--subjects", declared, "--suite", "special-values")
    assert outcome.exit_code == 1
    assert f"--subjects {declared}" in outcome.output


def test_a_store_is_gone_on_with_and_compared(declared, tmp_path):
    run = ("verify", "softmax", "--subject", "mine:softmax", "--dtype", "float32")
    run += ("--suite", "overflow", "--contract", "accumulator=input")
    before, after = tmp_path / "before.sqlite", tmp_path / "after.sqlite"
    first = softproof(*run, "--store", before)
    again = softproof(*run, "--store", before)
    assert first.exit_code == again.exit_code == 0
    assert "7 of 7 results known" in again.output
    assert "holds another run" in usage_error(*run, "--seed", "1", "--store", before)
    declared.with_name("mine.py").write_text(MINE.replace("x.max(axis=-1, keepdims=True)", "0"))
    assert "code mine:softmax" in usage_error(*run, "--store", before)
    assert softproof(*run, "--store", after).exit_code == 1
    outcome = softproof("compare", before, after, "--json", tmp_path / "compared.json")
    assert outcome.exit_code == 1
    assert "pass -> FAIL" in outcome.output
    assert strict(tmp_path / "compared.json")["worse"] is True
    assert softproof("compare", after, before).exit_code == 0
    assert "no such file" in usage_error("compare", before, tmp_path / "missing.sqlite")


def test_a_report_in_all_forms_at_once_or_later(here):
    run = ("verify", "softmax", "--subject", "softproof.kernels:naive", "--suite", "overflow")
    now = [here / name for name in ("now.json", "now.xml", "now.html")]
    softproof(*run, "--json", now[0], "--junit", now[1], "--html", now[2])
    later = [here / "later.xml", here / "later.html"]
    assert softproof("report", now[0], "--junit", later[0], "--html", later[1]).exit_code == 0
    assert [path.read_text() for path in later] == [path.read_text() for path in now[1:]]
    assert "<testsuites" in later[0].read_text()
    assert "nothing to write" in usage_error("report", now[0])
    (here / "other.json").write_text("[]")
    assert "that is no report" in usage_error("report", here / "other.json", "--html", later[1])


def test_the_schema_is_printed():
    assert json.loads(softproof("schema").output)["$id"] == "urn:softproof:report:3"


def test_arrays_and_device_are_those_of_the_users_function(here):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    (here / "tensors.py").write_text(
        "import torch\n\ndef softmax(x):\n    assert isinstance(x, torch.Tensor)\n"
        "    return torch.softmax(x, -1)\n"
    )
    run = ("verify", "softmax", "--subject", "tensors:softmax", "--row=1,2", "--dtype", "bfloat16")
    assert softproof(*run, "--arrays", "torch").exit_code == 0
    outcome = softproof(*run)
    assert "AssertionError" in outcome.output
    kernel = ("verify", "softmax", "--subject", "softproof.kernels:online", "--arrays", "torch")
    assert "--arrays and --device are for functions of your own" in usage_error(*kernel)


def test_what_compiles_for_each_shape_runs_where_it_is_named():
    outcome = softproof("verify", "softplus", "--suite", "special-values", "--dtype", "float32")
    assert "it compiles anew for each shape; name it to run it: jax.nn:softplus" in outcome.output
    assert not any(line.startswith("   jax") for line in outcome.output.splitlines())


def test_regressions_prints_the_table_and_the_scripts(monkeypatch):
    few = tuple(s for s in BUILT_IN if s.id.endswith("textbook:log_softmax_shifted"))
    monkeypatch.setattr("softproof.verify.subjects.built_in.BUILT_IN", few)
    outcome = softproof("regressions", "--scripts")
    assert outcome.exit_code == 0
    (row,) = (line for line in outcome.output.splitlines() if "│ dominant_logprob" in line)
    assert "FAIL" in row
    assert "y = (d := x - x.max(-1, keepdims=True))" in outcome.output
    assert f"scipy {version('scipy')}" in outcome.output


# --- damaged files ---


@pytest.fixture
def damaged(here):
    """A folder with a file of each kind that cannot be read; and how a store in it came to be."""
    with zipfile.ZipFile(here / "step.npz", "w") as archive:
        archive.writestr("logits.npy", b"no numbers")
        archive.writestr("slopes.npy", b"no numbers")
    (here / "deep.toml").write_text("x = " + "[" * 20_000)
    (here / "deep.json").write_text('{"schema": 1, "results": ' + "[" * 20_000)
    kept = ("verify", "softmax", "--subject", "scipy.special:softmax", "--suite", "special-values")
    assert softproof(*kept, "--store", here / "run.sqlite").exit_code in (0, 1)
    with contextlib.closing(sqlite3.connect(here / "run.sqlite")) as connection:
        connection.execute("UPDATE results SET result = '{}'")
        connection.commit()
    return kept


def test_a_file_that_cannot_be_read_is_named_by_every_command(damaged, here):
    step, store = here / "step.npz", here / "run.sqlite"
    for path, arguments in (
        (step, ("radius", step, step)),
        (step, ("verify", "softmax", "--logits", step)),
        (step, ("plot", "ladder", step, "--output", here / "x.png")),
        (here / "deep.toml", ("verify", "--subjects", here / "deep.toml")),
        (here / "deep.json", ("report", here / "deep.json", "--html", here / "x.html")),
        (store, ("compare", store, store)),
        (store, (*damaged, "--store", store)),
    ):
        assert str(path) in usage_error(*arguments)
    assert not list(here.glob("x.*"))
