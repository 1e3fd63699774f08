"""A subject runs under what its module sets; that is found, named and undone, in any order."""

import itertools
import platform
import sys
import time

import numpy as np
import psutil
import pytest
from softproof.verify import testing
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report
from softproof.verify.runs.run import run
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.subject import (
    EnvironmentChanged,
    InputChanged,
    NoSuchSubject,
    Subject,
    SubjectError,
    SubjectRaised,
)
from softproof.verify.subjects.surroundings import DEFAULT, FloatingPoint, our_own

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="the subjects write into x86-64's <fenv.h>",
)
CALM = np.float32([[1, 2, 3]])
PROVOKED = np.float32([[1, 200, 3]])
SET = """
import ctypes, os, numpy as np

def set_register(bits):
    libm, memory = ctypes.CDLL("libm.so.6"), ctypes.create_string_buffer(64)
    libm.fegetenv(memory)
    mxcsr = int.from_bytes(memory[28:32], "little") | bits
    memory[28:32] = mxcsr.to_bytes(4, "little")
    libm.fesetenv(memory)

FLUSH, DOWN = 0x8040, 0x2000

def right(x):
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=-1, keepdims=True)
"""
MODULES = {
    "flushes_when_imported": "set_register(FLUSH)\nsoftmax = right",
    "flushes_in_its_first_call": "import functools\nonce = functools.cache(set_register)\n"
    "def softmax(x):\n    once(FLUSH)\n    return right(x)",
    "flushes_when_provoked": "def softmax(x):\n    if (x > 100).any():\n"
    "        set_register(FLUSH)\n    return right(x)",
    "rounds_down_when_provoked": "def softmax(x):\n    if (x > 100).any():\n"
    "        set_register(DOWN)\n    return right(x)",
    "rounds_down_when_imported": "set_register(DOWN)\nsoftmax = right",
    "changes_the_shape": "def softmax(x):\n    y = right(x)\n    x.shape = (x.size,)\n    return y",
    "raises_when_errors_are": "np.seterr(all='raise')\n"
    "def softmax(x):\n    e = np.exp(x - x.max(axis=-1, keepdims=True))\n"
    "    return e / e.sum(axis=-1, keepdims=True)",
    "cannot_be_imported": "import nothing_here\nsoftmax = right",
    "has_a_slip": "def softmax(x:\n    return right(x)",
    "exits_when_imported": "raise SystemExit(3)",
    "interrupts_when_imported": "raise KeyboardInterrupt",
    "ends_everything_when_imported": "class End(BaseException): pass\nraise End('of all')",
    "starts_a_session": "import subprocess, sys\n"
    "SLEEP = 'import os, time; os.setsid(); os.fork() and os._exit(0); time.sleep(60)'\n"
    "def softmax(x):\n    subprocess.run([sys.executable, '-S', '-c', SLEEP])\n"
    "    return right(x)",
}


@pytest.fixture(autouse=True)
def _modules(tmp_path, monkeypatch):
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(SET + text + "\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    before, errors = FloatingPoint.current(), np.geterr()
    yield
    after = FloatingPoint.current()
    DEFAULT.set()
    assert (after, np.geterr()) == (before, errors)


def subject(name, **contract):
    return Subject(f"{name}:softmax", "softmax", Contract(**contract))


def statuses(which, dtypes):
    """{dtype: (status, message)} of the accuracy suite on one row of each format, in that order."""
    report = Report(0, "quick")
    items = [i for d in dtypes for i in plan([which], ["accuracy"], [d]) if i.family == "normal"]
    with Workers() as workers:
        list(run(items, report, workers.connect))
    return {r.dtype: (r.status, [f.message for f in r.failures]) for r in report.results.values()}


# --- flush-to-zero and rounding ---


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("flushes_when_imported", "when it is imported"),
        ("flushes_in_its_first_call", "in its first call"),
    ],
)
def test_a_module_that_flushes_is_refused_in_any_order_and_accepted_where_it_says_so(name, when):
    found = [statuses(subject(name), order) for order in (("float32", "float64"),) * 2]
    found[1] = statuses(subject(name), ("float64", "float32"))
    assert found[0] == found[1]
    for status, (message,) in found[0].values():
        assert status == "refused"
        assert f"the processor takes subnormal numbers for 0 (set {when}: MXCSR 0x" in message
        assert "declare flush_to_zero=yes" in message
    declared = statuses(subject(name, flush_to_zero="yes"), ("float32", "float64"))
    assert {status for status, _ in declared.values()} == {"pass"}


@pytest.mark.parametrize("host", ["worker", "here"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("flushes_when_provoked", "takes subnormal numbers for 0 (set in this call: MXCSR 0x"),
        ("rounds_down_when_provoked", "rounds down (set in this call: MXCSR 0x"),
    ],
)
def test_what_a_call_changes_is_named_and_undone(name, words, host):
    with Workers() as workers:
        live = workers.connect(subject(name)) if host == "worker" else InProcess(subject(name))
        live(CALM)
        for _ in range(2):
            with pytest.raises(EnvironmentChanged) as fault:
                live(PROVOKED)
            assert words in str(fault.value)
            live(CALM)
            assert FloatingPoint.current() == DEFAULT


def test_a_rounding_mode_is_no_way_to_go_even_of_who_may_flush():
    which = subject("rounds_down_when_imported", flush_to_zero="yes")
    with Workers() as workers, pytest.raises(EnvironmentChanged, match="rounds down"):
        workers.connect(which)(CALM)


def flushing():
    """This thread's environment, made to flush."""
    namespace = {}
    exec(SET, namespace)
    namespace["set_register"](namespace["FLUSH"])
    return FloatingPoint.current()


def test_what_the_caller_has_set_stays_and_is_named():
    def softmax(x):
        e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=-1, keepdims=True)

    theirs = flushing()
    assert theirs.flushes
    try:
        with pytest.raises(AssertionError, match="set before it was called: MXCSR"):
            testing.assert_conforms(softmax, "softmax", suites="overflow")
        assert FloatingPoint.current() == theirs
        declared = {"flush_to_zero": "yes", "empty": "error"}
        testing.assert_conforms(softmax, "softmax", suites="overflow", contract=declared)
        assert FloatingPoint.current() == theirs
        with our_own():
            assert FloatingPoint.current() == DEFAULT
    finally:
        DEFAULT.set()


# --- NumPy's errors ---


def test_a_subject_gets_the_errors_that_its_module_has_set():
    with Workers() as workers:
        live = workers.connect(subject("raises_when_errors_are"))
        live(CALM)
        with pytest.raises(SubjectRaised, match=r"underflow .* under np\.seterr\(divide='raise'"):
            live(np.float32([[0, -1000]]))


def test_our_code_runs_under_its_own_errors_and_leaves_the_callers():
    def softmax(x):
        with np.errstate(all="ignore"):
            e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
            return e / e.sum(axis=-1, keepdims=True)

    with np.errstate(all="raise"):
        suites = ["accuracy", "overflow", "special-values", "invariance", "layouts", "collapse"]
        testing.assert_conforms(softmax, "softmax", suites=suites)
        assert set(np.geterr().values()) == {"raise"}


def test_everything_can_be_imported_where_errors_are_raised():
    import subprocess

    code = "import numpy; numpy.seterr(all='raise'); import softproof.verify.cli.main, "
    code += "softproof.verify.testing, softproof.verify.pytest_plugin"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# --- what cannot be loaded ---


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("cannot_be_imported", "ModuleNotFoundError: No module named 'nothing_here'"),
        ("has_a_slip", "SyntaxError"),
        ("exits_when_imported", "SystemExit: 3"),
        ("interrupts_when_imported", "KeyboardInterrupt"),
        ("ends_everything_when_imported", "End: of all"),
    ],
)
def test_a_module_that_cannot_be_imported_is_a_finding_and_the_others_run(name, error):
    report = Report(0, "quick")
    fine = subject("flushes_when_provoked", empty="error")
    items = [
        i for i in plan([subject(name), fine], ["accuracy"], ["float32"]) if i.family == "normal"
    ]
    with Workers() as workers:
        assert workers.load([subject(name), fine]) == []
        list(run(items, report, workers.connect))
    refused, passed = (r for r in report.results.values())
    assert (refused.status, passed.status) == ("refused", "pass")
    assert error in refused.failures[0].message


def test_a_name_that_is_not_there_is_told_apart_from_a_module_that_cannot_be_imported():
    slips = [Subject(name, "softmax") for name in ("no_such_module:f", "has_a_slip:f", "math:f")]
    with Workers() as workers:
        missing = workers.load(slips)
    assert [str(error).partition(":")[0] for error in missing] == ["no_such_module", "math"]
    for which, kind in zip(slips, (NoSuchSubject, SubjectError, NoSuchSubject), strict=True):
        with pytest.raises(kind) as raised:
            InProcess(which)(CALM)
        assert raised.type is kind


# --- shapes, and processes ---


@pytest.mark.parametrize("host", ["worker", "here"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_changed_shape_is_a_changed_input(host):
    which = subject("changes_the_shape")
    with Workers() as workers:
        live = workers.connect(which) if host == "worker" else InProcess(which)
        with pytest.raises(InputChanged, match=r"shape \(1, 3\), .* became shape \(3,\)"):
            live(CALM)


def sleepers():
    return [p for p in psutil.process_iter(["cmdline"]) if "os.setsid(); os.fork()" in str(p.info)]


def test_a_grandchild_in_a_session_of_its_own_ends_with_the_worker():
    with Workers() as workers:
        workers.connect(subject("starts_a_session"))(CALM)
        began = time.monotonic()
        while not (found := sleepers()) and time.monotonic() - began < 5:
            time.sleep(0.01)
        assert found
    assert not [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_every_order_of_subjects_of_one_module_gives_the_same():
    names = ("float32", "float64")
    found = [
        statuses(subject("flushes_when_provoked", empty="error"), order)
        for order in itertools.permutations(names)
    ]
    assert found[0] == found[1]
