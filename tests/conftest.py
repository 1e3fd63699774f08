"""Fixtures of several files, and what all tests run under."""

import atexit
import os
import shutil
import sys
import tempfile

# Before anything loads OpenMP: the processes of pytest-xdist keep every core busy, and PyTorch
# spends a hundred times as long on handing a short row to a second thread as on the row itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Proofs are tested, not remembered: each is found once by all processes of these tests.
if "PYTEST_XDIST_WORKER" not in os.environ:
    folder = tempfile.mkdtemp(prefix="softproof_proofs_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["SOFTPROOF_PROOFS"] = os.path.join(folder, "proofs.sqlite")

import pytest
from softproof.kernels.runtime import tuning

# Files whose set-up takes long, for all of their tests.
SET_UP_ONCE = ("test_wheel.py", "test_testing.py")


def pytest_collection_modifyitems(items):
    """First what is set up at length: processes take work from each other's last tests."""
    items.sort(key=lambda item: item.path.name not in SET_UP_ONCE)


@pytest.fixture
def stream_from(monkeypatch):
    """A function: from now on, results of at least so many bytes are written past the caches.

    Whatever the length of their rows.
    """

    def set_thresholds(size):
        monkeypatch.setattr(tuning, "STREAM_BYTES", size)
        for name in ("STREAM_ROW_BYTES", "STREAM_GROUPED_ROW_BYTES"):
            monkeypatch.setattr(tuning, name, 0)

    return set_thresholds


@pytest.fixture(autouse=True)
def _no_words_of_waiting(monkeypatch):
    """Commands say how far they are when a machine is slow: not in tests of what else they say."""
    for module, name in (("command_line", "SILENCE"), ("compiling", "PATIENCE")):
        if (loaded := sys.modules.get(f"softproof.verify.cli.{module}")) is not None:
            monkeypatch.setattr(loaded, name, 1e6)


def pytest_terminal_summary(terminalreporter):
    """What tests found out about other libraries, for which nothing of ours fails."""
    told = {
        text
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, text in getattr(report, "user_properties", ())
        if name == "news"
    }
    if told:
        terminalreporter.section("news of other libraries")
        for text in sorted(told):
            terminalreporter.line(text)
