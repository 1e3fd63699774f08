"""A run in several processes finds what a run in one finds."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from softproof.verify.runs import processes
from softproof.verify.runs.plan import plan
from softproof.verify.runs.processes import processes_for, run_in_processes
from softproof.verify.runs.results import Report
from softproof.verify.runs.run import run
from softproof.verify.runs.store import Store
from softproof.verify.subjects.built_in import registered
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES
from softproof.verify.suites.of_cases import CASE_SUITES

TESTS = Path(__file__).parents[2]
SUBJECTS = [
    registered("softproof.verify.textbook:softmax_naive", "softmax"),
    registered("softproof.verify.textbook:log_softmax_naive", "log_softmax"),
    registered("softproof.kernels:logsumexp", "logsumexp"),
]
ITEMS = [
    replace(item, rows=1) for item in plan(SUBJECTS, ["special-values", "overflow"], ["float32"])
]


@pytest.fixture(autouse=True)
def _hazardous_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)


def in_processes(items, store=None, count=2):
    report = Report(0, "quick")
    return report, list(run_in_processes(items, report, store, processes=count))


@pytest.fixture(scope="module")
def in_one():
    with pytest.MonkeyPatch.context() as patch, Workers() as workers:
        patch.syspath_prepend(TESTS)
        report = Report(0, "quick")
        assert list(run(ITEMS, report, workers.connect)) == ITEMS
    assert {r.status for r in report.results.values()} == {"pass", "fail"}
    return report


def test_the_same_is_found_in_the_same_order(in_one):
    report, done = in_processes(ITEMS)
    assert list(report.results.items()) == list(in_one.results.items())
    assert sorted(done, key=ITEMS.index) == ITEMS


def test_a_subject_that_always_hangs_is_given_up_as_in_one_process():
    hanging = Subject("hazardous:softmax_hangs", "softmax", time_limit=0.2)
    suites = ["overflow", "special-values", "accuracy"]
    items = [replace(i, rows=1) for i in plan([hanging, SUBJECTS[2]], suites, ["float32"])]
    report, done = in_processes(items)
    assert len(done) == len(items)
    assert "not all was run" in report.skipped[hanging.id]
    assert {r.status for r in report.results.values() if r.definition == "logsumexp"} == {"pass"}


def test_cases_are_shared_out_too_and_found_alike():
    subject = registered("softproof.verify.subjects.functions_of_arrays:swiglu", "swiglu")
    whole = plan([subject], CASE_SUITES, ["bfloat16"])
    assert processes_for(whole) == min(2, len(os.sched_getaffinity(0)))
    items = [replace(item, rows=1) for item in whole if "normal" in item.family or not item.family]
    alone, shared = Report(0, "quick"), Report(0, "quick")
    with Workers() as workers:
        assert list(run(items, alone, workers.connect)) == items
    assert sorted(run_in_processes(items, shared, processes=2), key=items.index) == items
    assert {result.suite for result in alone.results.values()} >= {"accuracy", "gradient", "poison"}
    assert list(shared.results.items()) == list(alone.results.items())


def test_what_a_store_knows_is_not_run_again(in_one, tmp_path, monkeypatch):
    some = [item for item in ITEMS if item.suite == "overflow"][::2]
    with Store(tmp_path / "run.db", ITEMS, Report(0, "quick", SUBJECTS)) as store:
        in_processes(some, store, count=1)
        assert store.count == len(some)
        executed = []
        execute_all = processes._execute_all
        monkeypatch.setattr(
            processes,
            "_execute_all",
            lambda plan, n: executed.extend(plan.values()) or execute_all(plan, n),
        )
        report, _ = in_processes(ITEMS, store, count=1)
        assert store.count == len(ITEMS)
    assert executed == [item for item in ITEMS if item not in some]
    assert list(report.results.items()) == list(in_one.results.items())


def test_an_error_of_our_own_names_the_item_and_ends_all(capfd):
    wrong = [replace(ITEMS[0], suite="no such suite"), *ITEMS]
    with pytest.raises(RuntimeError, match=r"ended with status 1 beside Item.*no such suite"):
        in_processes(wrong)
    assert "KeyError: 'no such suite'" in capfd.readouterr().err


SLEEPY = """
import os, pathlib, time, numpy as np
def softmax(x):
    pathlib.Path('asleep').write_text(f'{os.getpid()} {os.getppid()}')
    time.sleep(600)
def logsumexp(x):
    m = x.max(-1)
    return m + np.log(np.exp(x - m[..., None]).sum(-1))
"""
RUN = """
from softproof.verify.runs.processes import run_in_processes
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report
from softproof.verify.subjects.subject import Subject
if __name__ == "__main__":
    subjects = [Subject(f"sleepy:{name}", name) for name in ("softmax", "logsumexp")]
    report = Report(0, "quick")
    for item in run_in_processes(plan(subjects, ["overflow"], ["float32"]), report, processes=2):
        print(item.subject.definition, flush=True)
    print(report.interrupted, *{r.definition for r in report.results.values()})
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_was_ended(tmp_path, end):
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    (tmp_path / "runs.py").write_text(RUN)
    runs = subprocess.Popen(
        [sys.executable, "runs.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    families = SUITES["overflow"].families
    assert {runs.stdout.readline() for _ in families} == {"logsumexp\n"}  # this one is done
    until(lambda: (tmp_path / "asleep").exists() and (tmp_path / "asleep").read_text())
    left = [int(pid) for pid in (tmp_path / "asleep").read_text().split()]
    time.sleep(0.2)  # it waits for the other
    os.killpg(runs.pid, end)  # as a terminal's Ctrl-C, which all in its foreground get
    output, errors = runs.communicate(timeout=60)
    until(lambda: not any(map(alive, left)))
    assert errors == ""
    if end == signal.SIGINT:
        assert output.splitlines()[-1] == "True logsumexp"


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def until(true, limit=60):
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_small_run_is_not_worth_a_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    of_two, of_one = [ITEMS[0], ITEMS[-1]], ITEMS[:1]
    assert processes_for([]) == processes_for(of_two) == processes_for(of_one * 1000) == 1
    assert processes_for(of_two * 1000) == 2  # definitions
    families = {item.family: item for item in ITEMS if item.subject == SUBJECTS[0]}
    assert processes_for([*families.values()] * 1000) == len(families) > 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert processes_for(of_two * 1000) == 1
