"""What a user's code does wrong is told as such: definitions that do not end, subjects that hang,
that take other arguments, or that raise because of what stands beside them."""

import importlib
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from softproof.derivations import REGISTRY
from softproof.verify.cases import user_definitions
from softproof.verify.cases.user_definitions import load_definitions
from softproof.verify.cli.main import app
from softproof.verify.subjects.isolation import in_process
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.subject import Subject, SubjectRaised, TimedOut
from typer.testing import CliRunner

SUBJECTS = """
import time

import numpy as np

def right(x, gain, eps=1e-6):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(eps)) * gain

def refuses_nan(x, gain, eps=1e-6):
    if np.isnan(x).any():
        raise ValueError("no NaN, please")
    return right(x, gain, eps)

def refuses_a_buffer(x, gain, eps=1e-6, out=None):
    if out is not None:
        raise ValueError("no buffer, please")
    return right(x, gain, eps)

def of_one_argument(x):
    return x

def wrong_inside(x, gain):
    return right(x)

def hangs(x):
    while x.max() > 1:
        time.sleep(0.01)
    return x
"""
DEFINITION = """
from softproof.derivations import Vector, define

@define(family="mine", source="me", arguments={"x": Vector("K")}, output=("K",))
def hostile(x, xp):
    "A function."
    return x
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a user's files, and the registry as it was afterwards."""
    (tmp_path / "hostile_subjects.py").write_text(SUBJECTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    before = set(REGISTRY)
    yield tmp_path
    for name in REGISTRY.keys() - before:
        del REGISTRY[name]
    sys.modules.pop("hostile_subjects", None)


def softproof(*arguments):
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, [str(a) for a in arguments])


# --- definitions ---


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"raise KeyboardInterrupt\n{DEFINITION}", "hostile.py:1: KeyboardInterrupt"),
        (f"raise SystemExit(0)\n{DEFINITION}", "hostile.py:1: SystemExit: 0"),
        (
            DEFINITION.replace("return x", "raise KeyboardInterrupt"),
            "hostile: hostile.py:7: KeyboardInterrupt",
        ),
        (DEFINITION.replace("return x", "raise SystemExit"), "hostile: hostile.py:7: SystemExit"),
    ],
)
def test_what_a_definition_raises_is_a_usage_error_that_names_the_file(here, text, told):
    (here / "hostile.py").write_text(text)
    outcome = softproof("verify", "--definitions", "hostile.py")
    assert outcome.exit_code == 2
    assert told in outcome.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"while True: pass\n{DEFINITION}", "hostile.py:1: the file takes more than 0.3 s"),
        (
            DEFINITION.replace("return x", "while True: x = x + 0"),
            "hostile: hostile.py:7: hostile takes more than 0.3 s; does it loop for ever?",
        ),
    ],
)
def test_a_definition_that_does_not_end_is_told_with_its_line(here, text, told, monkeypatch):
    monkeypatch.setattr(user_definitions, "MOST_SECONDS", 0.3)
    (here / "hostile.py").write_text(text)
    outcome = softproof("derive", "hostile", "--definitions", "hostile.py")
    assert outcome.exit_code == 2
    assert told in outcome.output


def test_ctrl_c_while_definitions_are_loaded_is_no_slip_in_them(here):
    (here / "hostile.py").write_text(f"while True: pass\n{DEFINITION}")
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        load_definitions(here / "hostile.py")
    timer.join()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_name_that_there_is_not_tells_how_own_definitions_are_loaded():
    for command in (("verify", "f18"), ("derive", "f18")):
        outcome = softproof(*command)
        assert outcome.exit_code == 2
        assert "no definition is called 'f18'" in outcome.output
        assert "One of your own is loaded with --definitions FILE." in outcome.output


# --- subjects ---


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (
            "refuses_nan",
            "NaN in another case of the batch leaves no result: raised ValueError: no NaN, please",
        ),
        (
            "refuses_a_buffer",
            "NaN in the buffer out= leaves no result: raised ValueError: no buffer, please",
        ),
    ],
)
def test_a_subject_that_raises_because_of_poison_is_told_with_its_name(function, told):
    subject = ("--subject", f"hostile_subjects:{function}", "--dtype", "float32")
    outcome = softproof("verify", "rms_norm", *subject, "--suite", "poison")
    assert outcome.exit_code == 1
    assert told in outcome.output


def test_a_call_that_does_not_fit_is_told_as_it_was_made():
    with Workers() as workers:
        live = workers.connect(Subject("hostile_subjects:of_one_argument", "rms_norm"))
        with pytest.raises(SubjectRaised) as caught:
            ask(live)
    told = "takes 1 positional argument but 2 were given (called with float32 (2, 3), float32 (3,))"
    assert told in str(caught.value)


def test_a_call_that_does_not_fit_inside_a_subject_is_told_with_its_line():
    with Workers() as workers:
        live = workers.connect(Subject("hostile_subjects:wrong_inside", "rms_norm"))
        with pytest.raises(SubjectRaised, match=r"'gain' \(.*hostile_subjects\.py:23\)"):
            ask(live)


def ask(live):
    arguments = [np.ones((2, 3), np.float32), np.ones(3, np.float32)]
    live.of_arguments(arguments, {"value": (2, 3)}, np.dtype(np.float32), parameters={})


def test_after_a_hang_a_call_is_not_waited_for_as_long(monkeypatch):
    monkeypatch.setattr(in_process, "AFTER_A_HANG", 0.2)
    monkeypatch.setattr(in_process, "FIRST_CALL", 30.0)
    row = np.float32([[1, 2, 3]])
    with Workers() as workers:
        live = workers.connect(Subject("hostile_subjects:hangs", "softmax", time_limit=1.0))
        live(np.float32([[0, 1]]))
        for limit in (1.0, 0.2):
            began = time.monotonic()
            with pytest.raises(TimedOut, match=f"no result within {limit:g} s"):
                live(row)
            assert time.monotonic() - began >= limit
        live(np.float32([[0, 1]]))  # what ends is still asked


FIRST_CALLS = """
import subprocess, sys, time
LONG = "import time; end = time.monotonic() + 1.5\\nwhile time.monotonic() < end: pass"
def waits(x):
    time.sleep(60)
def compiles(x):
    exec(LONG)
    return x
def has_it_compiled(x):
    subprocess.run([sys.executable, "-c", LONG])
    return x
"""


def test_a_first_call_may_take_long_if_it_computes_but_not_if_it_waits(here, monkeypatch):
    monkeypatch.setattr(in_process, "LEAST_IDLE", 0.5)
    monkeypatch.setattr(in_process, "BETWEEN_LOOKS", 0.1)
    (here / "first_calls.py").write_text(FIRST_CALLS)
    row = np.float32([[1, 2, 3]])
    for name in ("compiles", "has_it_compiled"):
        with Workers() as workers:
            workers.connect(Subject(f"first_calls:{name}", "softmax", time_limit=0.5))(row)
    with Workers() as workers:
        began = time.monotonic()
        with pytest.raises(TimedOut, match=r"no result, and no use of the processor in 0\.5 s"):
            workers.connect(Subject("first_calls:waits", "softmax", time_limit=0.5))(row)
        assert time.monotonic() - began < in_process.FIRST_CALL / 2


def test_an_import_that_hung_is_not_waited_for_as_long_again(here, monkeypatch):
    monkeypatch.setattr(in_process, "FIRST_CALL", 0.4)
    monkeypatch.setattr(in_process, "AFTER_A_HANG", 0.2)
    (here / "hangs_at_import.py").write_text("import time\ntime.sleep(60)\n")
    with Workers() as workers:
        live = workers.connect(Subject("hangs_at_import:f", "softmax"))
        for limit in (0.4, 0.2):
            with pytest.raises(TimedOut, match=f"no result within {limit:g} s"):
                live.load()
