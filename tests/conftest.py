"""Fixtures of several files."""

import pytest
from softproof.kernels import tuning


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
