"""Compiled code that Numba kept of a user's function is not trusted: the source is verified."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from softproof.verify.subjects.isolation import numba_cache
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.subject import Subject

KERNEL = """
import numba, numpy as np
from far.helper import factor

@numba.njit(numba.float32[:, ::1](numba.float32[:, ::1]), cache=True)
def twice(x):
    y = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] * factor()
    return y
"""
HELPER = "import numba\n\n@numba.njit\ndef factor():\n    return numba.float32({})\n"
CALL = "import numpy as np, cached_kernel; print(cached_kernel.twice(np.float32([[7]]))[0, 0])"


def test_a_helper_that_was_changed_in_another_file_is_the_one_that_runs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    (tmp_path / "far").mkdir()
    helper = tmp_path / "far" / "helper.py"
    helper.write_text(HELPER.format(2))
    (tmp_path / "cached_kernel.py").write_text(KERNEL)

    def users():
        """What the user's own process makes of it."""
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-c", CALL]
        run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return float(run.stdout)

    assert users() == 14
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.nb?")}
    assert kept
    helper.write_text(HELPER.format(3))
    if users() != 14:
        pytest.skip(f"Numba {numba.__version__} sees the change by itself")
    with Workers() as workers:
        subject = Subject("cached_kernel:twice", "softmax", time_limit=100)
        outcome = workers.connect(subject)(np.float32([[7]]))
    assert outcome.value.tolist() == [[21]]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.nb?")} == kept


def test_our_own_kernels_keep_their_cache():
    class Cache:
        def __init__(self, module):
            self._py_func = type("f", (), {"__module__": module})
            self.saved = []

        def load_overload(self, what):
            return f"loaded {what}"

        def save_overload(self, *what):
            self.saved.append(what)

    numba_cache._distrust(type("caching", (), {"Cache": Cache}))
    ours, theirs = Cache("softproof.kernels.losses.rows"), Cache("mine.kernels")
    for cache in (ours, theirs):
        cache.save_overload("signature", "code")
    assert ours.load_overload("signature") == "loaded signature"
    assert theirs.load_overload("signature") is None
    assert (len(ours.saved), len(theirs.saved)) == (1, 0)
