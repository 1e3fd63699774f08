"""Thresholds that bite, grades and warnings: what is seen of errors that a bound admits.

The right implementations here are the reference form, in an arithmetic of our own choice, and the
wrong ones the same with one mistake of known size: nothing depends on a library's exponential.
"""

import dataclasses
import json

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32, BINARY64, FORMATS
from softproof.verify.cli.main import app
from softproof.verify.inputs.families import Batch
from softproof.verify.oracle.metrics import ulp_error
from softproof.verify.reports.plain import as_dict
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites.grades import BEYOND, GRADES
from softproof.verify.suites.reference_form import evaluate
from softproof.verify.suites.thresholds import reference, threshold
from softproof.verify.suites.verdicts import compare
from typer.testing import CliRunner

SOFTMAX = lookup("softmax")
PLAIN = Contract()
LOOP = Contract(summation="any")
ROUNDED, F64, BLOCKED, ONE_BY_ONE, INPUT, _ = GRADES


def normal(classes, deviation, rows, fmt=BINARY32, numbers=0):
    """Normal logits; of few numbers where the truth of a long row would cost too much."""
    rng = np.random.default_rng(classes)
    x = (deviation * rng.standard_normal((rows, numbers or classes))).astype(fmt.dtype)
    return Batch("normal", rng.choice(x[0], (rows, classes)) if numbers else x, None)


def computed(batch, fmt, contract=PLAIN):
    rows = [evaluate(SOFTMAX, contract, fmt, r, None, gradient=False)[0] for r in batch.logits]
    return np.stack(rows)


def softmax_with(exponential, x):
    """A softmax in float32 whose exponential of a float32 number is given in float64."""
    d = x - x.max(axis=-1, keepdims=True)
    e = exponential(d.astype(np.float64)).astype(np.float32)
    return e / e.sum(axis=-1, keepdims=True)


def planted(size):
    """An exponential whose relative error varies by so much, between 0 and that."""
    return lambda d: np.exp(d) * (1 + size * (1 + np.sin(1e5 * d)) / 2)


# --- thresholds ---


@pytest.mark.parametrize(
    ("classes", "most", "numbers"), [(1000, 30, 0), (2**17, 100, 500)], ids=["1000", "2^17"]
)
def test_the_threshold_of_a_long_row_is_few_times_the_error_of_a_right_one(classes, most, numbers):
    batch = normal(classes, 2, 1, numbers=numbers)
    exact = reference(SOFTMAX, BINARY32, batch, 0)
    limit, _ = threshold(SOFTMAX, PLAIN, BINARY32, batch, 0, exact)
    error = ulp_error(computed(batch, BINARY32)[0], exact)
    assert np.all(error <= limit)
    assert limit.max() <= most * error.max()
    # In any order of summation it is what the worst conceivable one may do.
    loose, _ = threshold(SOFTMAX, LOOP, BINARY32, batch, 0, exact)
    assert loose.max() > classes / 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_are_rounded_once(dtype):
    fmt = FORMATS[dtype]
    batch = normal(100, 2, 4, fmt)
    exact = reference(SOFTMAX, fmt, batch, 0)
    limit, source = threshold(SOFTMAX, PLAIN, fmt, batch, 0, exact)
    assert limit.max() < 0.6 if dtype == "bfloat16" else 0.75
    assert "arithmetic float32" in source
    assert not compare(SOFTMAX, PLAIN, fmt, batch, computed(batch, fmt)).violations
    narrow = computed(batch, fmt, Contract(arithmetic="input"))
    found = compare(SOFTMAX, PLAIN, fmt, batch, narrow).violations
    assert found
    assert found[0].detail.endswith("--contract arithmetic=input")
    assert not compare(SOFTMAX, Contract(arithmetic="input"), fmt, batch, narrow).violations


# --- grades ---

SPREADS = [(2, 0.5), (2, 1), (10, 1), (100, 0.25), (100, 0.6), (1000, 0.25), (1000, 0.5)]


@pytest.mark.parametrize(("classes", "deviation"), SPREADS)
def test_an_exponential_off_by_1e_6_lowers_the_grade_and_a_right_one_does_not(classes, deviation):
    batch = normal(classes, deviation, max(2, 256 // classes))
    assert np.median(np.ptp(batch.logits, axis=1)) < 4
    right = compare(SOFTMAX, PLAIN, BINARY32, batch, softmax_with(np.exp, batch.logits))
    wrong = compare(SOFTMAX, PLAIN, BINARY32, batch, softmax_with(planted(2e-6), batch.logits))
    assert not right.violations
    assert right.grade == BLOCKED
    assert not wrong.violations  # the bound admits it
    assert wrong.grade == BEYOND


def test_a_constant_factor_of_the_exponential_cancels():
    batch = normal(100, 1, 8)
    wrong = softmax_with(lambda d: 1.001 * np.exp(d), batch.logits)
    assert compare(SOFTMAX, PLAIN, BINARY32, batch, wrong).grade == BLOCKED


def test_what_is_only_tried_is_judged_as_all_else_and_not_graded():
    batch = normal(10, 1, 8)
    for results in (computed(batch, BINARY32), np.full_like(batch.logits, 0.5)):
        shown = compare(SOFTMAX, PLAIN, BINARY32, batch, results)
        tried = dataclasses.replace(batch, cross_checked=False)
        found = compare(SOFTMAX, PLAIN, BINARY32, tried, results)
        assert shown.grade is not None
        assert found == dataclasses.replace(shown, grade=None, excess=None)


def arithmetics(accumulator, summation, arithmetic):
    return Contract(accumulator=accumulator, summation=summation, arithmetic=arithmetic)


ABSORBED = np.array([[0.0] + [-17.0] * 4095])
CLASSES_OF_IMPLEMENTATIONS = {
    F64: arithmetics("float64", "blocked", "float64"),
    BLOCKED: arithmetics("float32", "blocked", "float32"),
    ONE_BY_ONE: arithmetics("float32", "any", "float32"),
    INPUT: arithmetics("input", "any", "input"),
}


@pytest.mark.parametrize("grade", [BLOCKED, ONE_BY_ONE])
def test_the_grade_tells_the_order_of_summation_in_float32(grade):
    batch = Batch("", ABSORBED.astype(np.float32), None)
    made = computed(batch, BINARY32, CLASSES_OF_IMPLEMENTATIONS[grade])
    assert compare(SOFTMAX, LOOP, BINARY32, batch, made).grade == grade


@pytest.mark.parametrize("fmt", [BINARY32, BFLOAT16], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("grade", [F64, INPUT])
def test_the_grade_tells_the_arithmetic(fmt, grade):
    batch = normal(200, 3, 40, fmt)
    made = computed(batch, fmt, CLASSES_OF_IMPLEMENTATIONS[grade])
    allowed = CLASSES_OF_IMPLEMENTATIONS[INPUT]
    found = compare(SOFTMAX, allowed, fmt, batch, made)
    assert not found.violations
    if grade == F64:
        assert found.grade in (F64, ROUNDED)
    else:
        assert found.grade == (BLOCKED if fmt == BINARY32 else INPUT)


def test_what_is_correctly_rounded_is_graded_so_in_every_format():
    for fmt in FORMATS.values():
        batch = normal(10, 2, 3, fmt)
        exact = np.stack([reference(SOFTMAX, fmt, batch, i).rounded for i in range(3)])
        assert compare(SOFTMAX, PLAIN, fmt, batch, exact).grade == ROUNDED


def test_float64_has_no_grade_of_narrower_arithmetic():
    batch = normal(10, 2, 30, BINARY64)
    assert compare(SOFTMAX, PLAIN, BINARY64, batch, computed(batch, BINARY64)).grade == F64
    narrow = computed(batch, BINARY32).astype(np.float64)
    assert compare(SOFTMAX, PLAIN, BINARY64, batch, narrow).grade == BEYOND


# --- warnings ---

SOURCE = """
import numpy as np


def softmax_off_by(size, x):
    d = x - x.max(axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(d.astype(np.float64)) * (1 + size * np.sin(1e5 * np.where(d > -1e3, d, 0)))
    e = e.astype(x.dtype)
    return e / e.sum(axis=-1, keepdims=True)


def right(x):
    return softmax_off_by(0.0, x)


def off_by_1e_6(x):
    return softmax_off_by(1e-6, x)
"""


def ran(function):
    report = Report(0, "quick")
    items = [
        dataclasses.replace(i, rows=4)
        for i in plan([Subject("tests:f", "softmax")], ["accuracy"], ["float32"])
        if i.family == "normal"
    ]
    for i in items:
        report.add(execute(i, lambda subject: InProcess(subject, function)))
    return report


def namespace():
    names = {}
    exec(SOURCE, names)
    return names


def test_errors_of_many_times_the_reference_form_are_a_warning_and_no_failure():
    report = ran(namespace()["off_by_1e_6"])
    assert report.passed
    (result,) = report.warned
    assert result.status == "pass"
    assert result.excess.ratio > 3
    assert result.warning.startswith("errors up to ")
    (told,) = as_dict(report)["results"]
    assert told["warning"] == result.warning
    assert told["excess"]["error"] == result.excess.error
    assert told["grade"] == BEYOND


def test_a_right_implementation_is_no_warning():
    report = ran(namespace()["right"])
    assert report.warned == []
    (result,) = report.results.values()
    assert result.excess.ratio < 2
    assert result.grade == BLOCKED


def test_a_warning_ends_with_status_1_only_where_that_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "slightly_off.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    row = ",".join(float(v).hex() for v in normal(10, 1, 1).logits[0])
    arguments = ["verify", "softmax", "--suite", "accuracy", "--dtype", "float32", f"--row={row}"]
    arguments += ["--subject", "slightly_off:off_by_1e_6", "--json", "report.json"]
    plain = CliRunner().invoke(app, arguments)
    assert plain.exit_code == 0, plain.output
    assert (
        "warning: softmax slightly_off:off_by_1e_6 float32 accuracy: errors up to" in plain.output
    )
    assert "all passed with 1 warning" in plain.output
    assert json.loads((tmp_path / "report.json").read_text())["results"][0]["warning"]
    assert CliRunner().invoke(app, [*arguments, "--strict"]).exit_code == 1


def test_a_report_from_before_there_were_grades_can_still_be_read(tmp_path):
    report = as_dict(ran(namespace()["right"]))
    report["schema"] = 1
    for result in report["results"]:
        for name in ("grade", "excess", "warning"):
            del result[name]
    (tmp_path / "old.json").write_text(json.dumps(report))
    page = tmp_path / "page.html"
    told = CliRunner().invoke(app, ["report", str(tmp_path / "old.json"), "--html", str(page)])
    assert told.exit_code == 0, told.output
    assert "no violation" in page.read_text()
