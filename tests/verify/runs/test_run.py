"""A run is a plan of pure items: any order gives the same report, and every failure can be seen
again with the command that it names."""

import pickle
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.cli.main import app
from softproof.verify.inputs.families import Batch
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import ROWS, plan
from softproof.verify.runs.results import Report, Result
from softproof.verify.runs.run import run
from softproof.verify.subjects.built_in import BUILT_IN, registered
from softproof.verify.subjects.contract import CONVENTIONAL
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES
from typer.testing import CliRunner

from tests.implemented import IMPLEMENTED

TESTS = Path(__file__).parents[2]
NAIVE = registered("softproof.verify.textbook:log_softmax_naive", "log_softmax")
KERNEL = registered("softproof.kernels:log_softmax", "log_softmax")


@pytest.fixture(autouse=True)
def _broken_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)


def small(items, rows=1):
    return [replace(item, rows=rows) for item in items]


def report_of(items):
    report = Report(seed=0, budget="quick")
    assert list(run(items, report)) == items
    return report


# --- plan ---


def test_a_plan_is_a_pure_function_of_its_arguments():
    arguments = (BUILT_IN, SUITES, ["float32", "float64"])
    assert plan(*arguments, seed=3) == plan(*arguments, seed=3)
    assert plan(*arguments, seed=3) != plan(*arguments, seed=4)


def test_a_plan_holds_what_a_subject_can_do():
    items = plan(BUILT_IN, SUITES, FORMATS)
    assert all(item.dtype in item.subject.dtypes for item in items)
    assert {i.subject.definition for i in items if i.suite == "gradient"} == set(IMPLEMENTED)
    assert {i.family for i in items if i.suite == "special-values"} == {""}
    real = [i for i in items if i.subject.definition == "sigmoid"]
    of_rows = {"reals", "far_reals", "tall", "gaps_below_zero", ""}
    assert {i.family for i in real if not i.on_cases} == of_rows
    assert {i.family for i in real if i.on_cases} == {"x", "x: normal", "x: reals"}


def test_items_that_share_inputs_stand_together():
    items = plan([NAIVE, KERNEL], ["accuracy"], ["float32"])
    assert [i.subject for i in items[:4]] == [NAIVE, KERNEL, NAIVE, KERNEL]
    assert items[0].family == items[1].family != items[2].family


@pytest.mark.parametrize("budget", ROWS)
def test_the_budget_is_the_number_of_rows(budget):
    (item, *_) = plan([NAIVE], SUITES, ["float64"], budget=budget)
    assert item.rows == ROWS[budget]


def test_a_subject_of_other_formats_gives_no_item():
    (scipy,) = [s for s in BUILT_IN if s.id == "scipy.special:softmax"]
    assert plan([scipy], SUITES, ["float16"]) == []


def test_items_survive_pickling():
    given = (Batch("given", np.float32([[1, 2]]), None),)
    items = plan([NAIVE], SUITES, ["float32"], given=lambda definition, fmt: given)
    items += plan(BUILT_IN, SUITES, ["float64"])
    copies = pickle.loads(pickle.dumps(items))
    for item, copied in zip(items, copies, strict=True):
        assert replace(item, given=()) == replace(copied, given=())
        for batch, other in zip(item.given, copied.given, strict=True):
            np.testing.assert_array_equal(batch.logits, other.logits)
    assert execute(copies[0]) == execute(items[0])


# --- execution and merging ---


# (How long a call may take decides how many rows it is asked for: not on a busy machine here.)
PATIENT = [replace(subject, time_limit=1e6) for subject in (NAIVE, KERNEL)]
ITEMS = small(plan(PATIENT, SUITES, ["float32", "float64"]))


@pytest.fixture(scope="module")
def in_order():
    """The result of each item, in the order of the plan."""
    return [execute(item) for item in ITEMS]


def test_an_item_gives_the_same_result_again(in_order):
    for item, result in zip(ITEMS, in_order, strict=True):
        if (item.subject, item.dtype) == (PATIENT[0], "float32"):
            assert execute(item) == result
            assert pickle.loads(pickle.dumps(result)) == result


def test_another_seed_draws_other_inputs():
    def worst(seed):
        (item, *_) = plan([KERNEL], ["accuracy"], ["float32"], seed=seed)
        return execute(item).worst

    assert len({worst(seed) for seed in range(4)}) > 1


def test_any_order_of_the_items_gives_the_same_report(in_order):
    """Backwards: of any two items, the one that came first comes last."""
    plain = Report(seed=0, budget="quick")
    for result in in_order:
        plain.add(result)
    backwards = report_of(ITEMS[::-1])
    assert backwards.passed == plain.passed
    assert backwards.results.keys() == plain.results.keys()
    for key, result in plain.results.items():
        other = backwards.results[key]
        assert replace(other, failures=()) == replace(result, failures=())
        assert set(other.failures) == set(result.failures)


def test_merging_adds_up():
    one = Result("softmax", "a:b", "accuracy", "float32", checks=3, violations=1, worst=2.0)
    two = replace(one, checks=4, violations=0, worst=1.0)
    merged = one.merge(two)
    assert merged == two.merge(one)
    assert (merged.checks, merged.violations, merged.worst) == (7, 1, 2.0)
    assert not merged.passed
    assert two.passed


def test_a_report_without_results_has_passed():
    assert Report(seed=0, budget="quick").passed


# --- Ctrl-C ---


def interrupted_in_overflow(x):
    if np.isfinite(np.exp(x)).all() and (np.exp(x) > 0).all():
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    raise KeyboardInterrupt


def test_ctrl_c_ends_the_run_and_keeps_what_is_known():
    subject = Subject(f"{__name__}:interrupted_in_overflow", "softmax", CONVENTIONAL)
    items = plan([subject], ["accuracy", "overflow"], ["float64"])
    report = Report(seed=0, budget="quick")
    done = list(run(items, report))
    assert report.interrupted
    assert done == items[: len(done)]
    assert 0 < len(done) < len(items)
    (result,) = report.results.values()
    assert (result.suite, result.checks > 0) == ("accuracy", True)


def test_ctrl_c_ends_the_command_with_status_1(tmp_path):
    (tmp_path / "sleepy.py").write_text(
        "import pathlib, time, numpy as np\n"
        "def softmax(x):\n"
        "    if x.shape[-1] == 10:\n"
        "        pathlib.Path('asleep').touch()\n"
        "        time.sleep(600)\n"
        "    e = np.exp(x - x.max(-1, keepdims=True))\n"
        "    return e / e.sum(-1, keepdims=True)\n"
    )
    command = Path(sys.executable).with_name("softproof")
    run = subprocess.Popen(
        [command, "verify", "softmax", "--subject", "sleepy:softmax", "--suite", "special-values",
         "--suite", "accuracy"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "asleep").exists():
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "Interrupted: this is what was known by then." in output
    assert "special-" in output


# --- failures ---

FAILING = [
    ("softmax_without_max", "softmax", "overflow", "float64", 2),
    ("softmax_ignores_nan", "softmax", "special-values", "float64", 2),
    ("softmax_tail_skipped", "softmax", "accuracy", "float32", 9),
    ("softmax_last_class_favoured", "softmax", "invariance", "float64", 2),
    ("softmax_keepdims", "softmax", "accuracy", "float32", 3),
    ("softmax_raises_on_one_class", "softmax", "accuracy", "float64", 1),
    ("log_softmax_log_for_log1p", "log_softmax", "accuracy", "float64", 2),
    ("logsumexp_maximum_not_added_back", "logsumexp", "invariance", "float32", 1),
    ("logsumexp_nan_when_masked", "logsumexp", "special-values", "float32", 1),
    ("cross_entropy_gradient_label_off_by_one", "cross_entropy", "gradient", "float32", 2),
    ("cross_entropy_clipped", "cross_entropy", "accuracy", "float64", 2),
    ("sigmoid_by_tanh", "sigmoid", "accuracy", "float32", 1),
    ("softplus_swallows_nan", "softplus", "special-values", "float64", 1),
]


def again(command):
    program, *arguments = shlex.split(command)
    assert program == "softproof"
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(("name", "definition", "suite", "dtype", "classes"), FAILING)
def test_a_failure_is_small_and_its_command_shows_it_again(name, definition, suite, dtype, classes):
    subject = Subject(f"softproof.verify.power.broken:{name}", definition)
    results = [execute(item) for item in plan([subject], [suite], [dtype])]
    failures = [failure for result in results for failure in result.failures]
    assert failures
    assert min(len(failure.logits) for failure in failures) <= classes
    outcome = again(failures[0].reproduce)
    assert outcome.exit_code == 1
    assert failures[0].message in outcome.output
    for value in failures[0].logits[:8]:
        assert value in outcome.output


@pytest.mark.parametrize(
    ("subject", "setting", "suite"),
    [
        ("softproof.verify.power.broken:softmax_sticky_sum", "accumulator=float64", "accuracy"),
        ("softproof.kernels:online", "all_masked=zero", "special-values"),
        ("softproof.kernels:online", "empty=error", "special-values"),
    ],
)
def test_the_command_repeats_what_was_declared(subject, setting, suite):
    dtype = "bfloat16" if suite == "accuracy" else "float32"
    declared = registered(subject, "softmax").declaring([setting])
    failure = next(f for i in plan([declared], [suite], [dtype]) for f in execute(i).failures)
    assert f"--contract {setting}" in failure.reproduce
    assert again(failure.reproduce).exit_code == 1
    undeclared = failure.reproduce.replace(f" --contract {setting}", "")
    if "kernels" in subject:
        assert again(undeclared).exit_code == 0


def test_one_given_row_is_shown_as_it_was_given():
    given = (Batch("given", np.float32([[40, 3, 2, 1, 0]]), None),)
    subject = Subject("softproof.verify.power.broken:log_softmax_log_for_log1p", "log_softmax")
    (item,) = plan([subject], ["accuracy"], ["float32"], given=lambda definition, fmt: given)
    assert len(execute(item).failures[0].logits) == 5


def test_many_given_rows_are_shrunk():
    logits = np.float32([[0, 0, 0, 0, 0], [40, 3, 2, 1, 0]])
    subject = Subject("softproof.verify.power.broken:log_softmax_log_for_log1p", "log_softmax")
    given = (Batch("given", logits, None),)
    (item,) = plan([subject], ["accuracy"], ["float32"], given=lambda definition, fmt: given)
    assert len(execute(item).failures[0].logits) == 2
