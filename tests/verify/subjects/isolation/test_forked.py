"""Workers that are forked from a clean process: as clean, as well ended, and started anew."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from softproof.verify.subjects.isolation.forked import Zygote
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.subject import Crashed, Subject

CANDIDATES = """
import os
import subprocess
import sys

import numpy as np

def softmax_of_its_process(x):
    return np.full_like(x, os.getpid())

def softmax_counting(x):
    np.counted = getattr(np, "counted", 0) + 1
    return np.full_like(x, np.counted)

def softmax_that_exits(x):
    os.write(2, b"no more\\n")
    os._exit(7)

def softmax_with_a_daemon(x):
    code = "import time; time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    return x
"""
ROW = np.zeros((1, 2), np.float32)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "forked_candidates.py").write_text(CANDIDATES)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def zygote():
    with Zygote() as zygote:
        yield zygote


def ask(zygote, name, calls=1):
    """What a function gives in a worker of its own, the last time that it is called."""
    with Workers(zygote.start) as workers:
        live = workers.connect(Subject(f"forked_candidates:softmax_{name}", "softmax"))
        return [int(live(ROW).value[0, 0]) for _ in range(calls)]


def test_a_worker_is_another_process_each_time_and_the_same_for_all_calls(zygote):
    one, other = ask(zygote, "of_its_process", 2), ask(zygote, "of_its_process", 2)
    assert len({*one, os.getpid(), zygote._process.pid}) == 3
    assert one[0] == one[1] != other[0]
    for pid in (one[0], other[0]):
        assert not psutil.pid_exists(pid)


def test_what_is_done_to_a_library_is_gone_with_the_worker(zygote):
    assert ask(zygote, "counting", 3) == [1, 2, 3]
    assert ask(zygote, "counting") == [1]


def test_a_death_is_told_with_its_status_and_last_words(zygote):
    with Workers(zygote.start) as workers:
        live = workers.connect(Subject("forked_candidates:softmax_that_exits", "softmax"))
        for _ in range(2):  # the second call starts a new one
            with pytest.raises(Crashed, match="exited with status 7: no more"):
                live(ROW)


def test_what_a_worker_started_ends_with_it_and_the_clean_process_lives_on(zygote):
    ask(zygote, "with_a_daemon")
    assert not marked(zygote._mark) - {zygote._process.pid}
    assert zygote._process.poll() is None
    mark = zygote._mark
    zygote.close()
    assert not marked(mark)


def marked(mark):
    """The processes that carry a mark in their environment."""
    found = set()
    for process in psutil.process_iter():
        try:
            if mark in process.environ().values() and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def test_a_clean_process_that_was_ended_is_started_anew(zygote):
    before = ask(zygote, "counting")
    ended = zygote._process.pid
    os.kill(ended, signal.SIGKILL)
    assert ask(zygote, "counting") == before
    assert zygote._process.pid != ended


def test_it_ends_with_whoever_started_it():
    code = (
        "import os\n"
        "from softproof.verify.subjects.isolation.forked import Zygote\n"
        "zygote = Zygote(); zygote.launch(); print(zygote._process.pid, flush=True)\n"
        "os._exit(0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    process = int(ran.stdout)
    end = time.monotonic() + 60
    while psutil.pid_exists(process) and time.monotonic() < end:
        time.sleep(0.01)
    assert not psutil.pid_exists(process)


def test_nothing_of_the_working_directory_is_imported_in_place_of_a_library(tmp_path, monkeypatch):
    Path(tmp_path, "psutil.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    with Zygote() as zygote:
        assert ask(zygote, "counting") == [1]
