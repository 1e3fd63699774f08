"""In a worker process, whatever a subject does is a finding with its case, and the run goes on."""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from softproof.verify.inputs.families import Batch
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report
from softproof.verify.runs.run import run
from softproof.verify.subjects.built_in import registered
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation import in_process as hosts
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.subject import (
    Crashed,
    NotApplicable,
    Subject,
    SubjectFault,
)

CALM = np.float32([[1, 2, 3]])
PROVOKED = np.float32([[1, 2, 3], [1, 200, 3], [0, 0, 0]])


@pytest.fixture(autouse=True)
def _hazardous_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3])


@pytest.fixture
def workers():
    with Workers() as workers:
        yield workers


def hazardous(name, **declared):
    declared.setdefault("contract", Contract(accumulator="input", empty="error"))
    return Subject(f"hazardous:softmax_{name}", "softmax", **declared)


def findings(subject, workers, suites=("accuracy", "special-values"), given=PROVOKED):
    """What a run finds on given rows."""
    report = Report(0, "quick")
    batch = (Batch("given", given, None),)
    items = plan([subject], suites, ["float32"], given=lambda definition, fmt: batch)
    assert list(run(items, report, workers.connect)) == items  # to the end
    return [f for result in report.results.values() for f in result.failures]


# --- each misbehaviour is a finding with its case ---


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("segfaults", "crashed", "killed by SIGSEGV"),
        ("aborts", "crashed", "killed by SIGABRT: internal error 42"),
        ("exits", "crashed", "exited with status 7"),
        ("interrupts", "raised", "raised KeyboardInterrupt"),
        ("writes_into_its_input", "input changed", "the input was changed in place"),
        ("of_another_shape", "form", "result has shape ("),
        ("of_another_dtype", "form", "result has dtype float64, expected float32"),
        ("of_the_day", "not deterministic", "two calls on the same input gave different results"),
    ],
)
def test_a_misbehaviour_is_found_shrunk_and_survived(workers, name, kind, message):
    failure = findings(hazardous(name), workers)[0]
    assert failure.kind == kind
    assert failure.message.startswith(message)
    (logit,) = failure.logits  # of the three rows of three
    assert float.fromhex(logit) > 100
    assert f"--row={logit}" in failure.reproduce


def test_a_hang_is_found_with_the_row_that_hangs(workers):
    subject = hazardous("hangs", time_limit=0.5)
    workers.connect(subject)(CALM)  # the first call may take longer
    (failure, *_) = findings(subject, workers, ["accuracy"])
    assert (failure.kind, failure.message) == ("hung", "no result within 0.5 s")
    assert failure.logits == ("0x1p+0", "0x1.9p+7", "0x1.8p+1")


def test_a_subject_that_hangs_again_and_again_is_given_up(workers):
    subject = hazardous("hangs", time_limit=0.2)
    live = workers.connect(subject)
    live(CALM)
    for _ in range(3):
        with pytest.raises(hosts.TimedOut, match="no result within"):
            live(PROVOKED)
    began = time.monotonic()
    with pytest.raises(hosts.TimedOut, match=r"not called any more: 3 calls ended so \(hung\)"):
        live(PROVOKED)
    assert time.monotonic() - began < 0.1


def test_runaway_memory_is_found(workers, monkeypatch):
    monkeypatch.setattr(hosts, "MEMORY_LIMIT", 300 << 20)
    failure = findings(hazardous("hoards"), workers, ["accuracy"])[0]
    assert failure.kind == "memory"
    assert failure.message.startswith("took more than")
    assert len(failure.logits) < 3


def test_a_subject_that_always_dies_is_refused_once(workers):
    report = Report(0, "quick")
    items = plan([hazardous("dies_always")], ["accuracy", "overflow"], ["float32"])
    list(run(items, report, workers.connect))
    assert {r.status for r in report.results.values()} == {"refused"}
    (message,) = {f.message for r in report.results.values() for f in r.failures}
    assert message == "preflight: exited with status 1"


# --- and does not touch the others ---


def test_the_others_are_judged_as_if_alone(workers):
    kernel = registered("softproof.kernels:two_pass", "softmax")
    subjects = [hazardous("segfaults"), kernel, hazardous("exits")]
    items = [replace(i, rows=1) for i in plan(subjects, ["accuracy", "overflow"], ["float32"])]
    report = Report(0, "quick")
    assert list(run(items, report, workers.connect)) == items
    mine = [r for (_, subject, _, _), r in report.results.items() if subject == kernel.id]
    alone = Report(0, "quick")
    list(run([i for i in items if i.subject == kernel], alone))
    assert mine == list(alone.results.values())
    assert all(r.passed for r in mine)


def test_what_a_subject_prints_stays_away_from_the_report(workers, capfd):
    live = workers.connect(hazardous("chatters"))
    assert np.array_equal(live(CALM).value, InProcess(hazardous("exits"))(CALM).value)
    assert capfd.readouterr() == ("", "")


def test_a_worker_gives_the_numbers_that_the_function_gives_here(workers):
    kernel = registered("softproof.kernels:cross_entropy_with_gradient", "cross_entropy")
    rng = np.random.default_rng(1)
    for dtype in kernel.dtypes:
        logits, labels = rng.standard_normal((5, 7)).astype(dtype), np.array([0, 1, 2, 3, 6])
        there, here = workers.connect(kernel)(logits, labels), InProcess(kernel)(logits, labels)
        assert there.value.tobytes() == here.value.tobytes()
        assert there.gradient.tobytes() == here.gradient.tobytes()


def test_a_process_is_started_again_after_a_death(workers):
    live = workers.connect(hazardous("exits"))
    for _ in range(2):
        with pytest.raises(Crashed, match="exited with status 7"):
            live(PROVOKED)
        assert live(CALM).value.shape == (1, 3)


def test_what_a_function_does_not_take_it_is_not_asked(workers):
    with pytest.raises(NotApplicable, match="it takes no scale"):
        workers.connect(hazardous("exits"))(CALM, options={"scale": 2.0})
    with pytest.raises(NotApplicable, match="it takes no axis"):
        workers.connect(hazardous("exits"))(CALM, axis=0)


def test_a_function_that_is_not_there_is_no_finding_but_an_error(workers):
    (error,) = workers.load([hazardous("of_nobody"), hazardous("exits")])
    assert "has no attribute 'softmax_of_nobody'" in str(error)


# --- no process is left behind ---


def test_closing_ends_the_workers():
    others = set(psutil.Process().children())  # of tests that ran before in this process
    with Workers() as workers:
        workers.connect(hazardous("exits"))(CALM)
        (child,) = set(psutil.Process().children()) - others
    assert not child.is_running()


def test_a_worker_does_not_outlive_a_killed_run(tmp_path):
    script = (
        "import numpy as np, psutil, sys\n"
        "from softproof.verify.subjects.isolation.worker_pool import Workers\n"
        "from softproof.verify.subjects.subject import Subject\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "live = Workers().connect(Subject('hazardous:softmax_hangs', 'softmax'))\n"
        "live(np.float32([[1, 2]]))\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        "live(np.float32([[1, 200]]))\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(run.stdout.readline()))
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert psutil.wait_procs([worker], timeout=10)[1] == []


# --- what review found ---


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the subject knows x86-64's environment")
def test_a_subject_that_makes_the_processor_flush_is_found_and_does_not_blind_the_judge(workers):
    subject = hazardous("flushes_from_now_on")
    for live in (workers.connect(subject), InProcess(subject)):
        live(CALM)
        with pytest.raises(SubjectFault, match="takes subnormal numbers for 0"):
            live(PROVOKED)
        assert (np.full(1, 2.0**-1074) * 1.0)[0] > 0


def test_memory_that_leaks_call_by_call_is_found(workers, monkeypatch):
    monkeypatch.setattr(hosts, "MEMORY_LIMIT", 300 << 20)
    monkeypatch.setattr(hosts, "BETWEEN_LOOKS", 0.0)
    live = workers.connect(hazardous("leaks"))
    live(CALM)
    with pytest.raises(hosts.OutOfMemory):
        [live(PROVOKED) for _ in range(20)]


def test_a_forked_child_of_a_call_does_not_answer_for_it(workers):
    live = workers.connect(hazardous("forks"))
    for logits in (PROVOKED, CALM, PROVOKED, CALM):
        assert live(logits).value.shape == logits.shape


def test_a_result_that_is_no_array_is_not_unpickled_here(workers):
    subject = Subject("hazardous:SoftmaxOfAClass", "softmax")
    with pytest.raises(SubjectFault, match="a result has dtype object"):
        workers.connect(subject)(CALM)


def test_what_a_given_up_subject_was_not_asked_is_neither_passed_nor_failed(monkeypatch):
    monkeypatch.setitem(hosts.MOST_DEATHS, Crashed, 3)
    subject = hazardous("crashes_on_nan")
    verdicts = []
    for order in (1, -1):
        report = Report(0, "quick")
        items = plan([subject], ["special-values", "overflow"], ["float32"])[::order]
        with Workers() as workers:
            list(run(items, report, workers.connect))
        verdicts.append({r.suite: r.status for r in report.results.values()})
        assert {s for s, status in verdicts[-1].items() if status == "fail"} == {"special-values"}
        assert ("not called any more" in report.skipped.get(subject.id, "")) == (order == 1)
    assert verdicts[0].get("overflow") is None  # not run
    assert verdicts[1]["overflow"] == "pass"


def test_a_process_does_not_end_with_the_thread_that_started_it(workers):
    live = workers.connect(hazardous("exits"))
    thread = threading.Thread(target=live, args=(CALM,))
    thread.start()
    thread.join()
    assert live(CALM).value.shape == (1, 3)


def test_an_import_that_takes_long_is_not_the_first_calls(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(
        "import os, time, numpy as np\ntime.sleep(1.5)\n"
        "def softmax(x):\n"
        "    if (x > 100).any():\n        os._exit(1)\n"
        "    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    subject = Subject("slow_to_import:softmax", "softmax", time_limit=1.0)
    with Workers() as workers:
        workers.load([subject])
        live = workers.connect(subject)
        live(CALM)
        with pytest.raises(Crashed):
            live(PROVOKED)
        assert live(CALM).value.shape == (1, 3)
