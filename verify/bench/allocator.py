"""The same measurement in a process whose C library keeps the memory that is freed.

PyTorch's cross-entropy and log-sum-exp make temporaries of the size of the logits. Installed on
Linux, memory of that size is mapped at each call and given back after it, so that every page is
faulted in and zeroed again, which takes longer than the arithmetic. GNU's allocator can be told,
by its environment and therefore only in a new process, to keep what it has: that is the time of
PyTorch's kernels themselves.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from .operations import KEPT, Tell, plan, run
from .peers import PYTORCH
from .problems import Shape, reduces

ENVIRONMENT = {
    "MALLOC_MMAP_MAX_": "0",  # nothing is mapped apart from the heap
    "MALLOC_TRIM_THRESHOLD_": str(1 << 62),  # and the heap never shrinks
    "MALLOC_TOP_PAD_": str(1 << 26),
}

WARM_UPS = 4
"""Calls until the heap has grown to what all the candidates together need."""


class ChildError(Exception):
    """The process that keeps its pages failed; the message is the last line it wrote."""


def plan_with_pages_kept(operation: str, shapes: Sequence[Shape], threads: Sequence[int]) -> int:
    """Count the cases that `run_with_pages_kept` has with these arguments.

    None but for operations that reduce rows, for which PyTorch needs temporaries; and none without
    PyTorch, or without GNU's C library, which reads `ENVIRONMENT`.

    Parameters
    ----------
    operation
        A key of `problems.OPERATIONS`.
    shapes
        Each (rows, classes).
    threads
        Numbers of threads.

    Returns
    -------
    int
        How many there are.
    """
    if not reduces(operation) or find_spec("torch") is None:
        return 0
    return plan(operation, shapes, threads) if platform.libc_ver()[0] == "glibc" else 0


def run_with_pages_kept(
    operation: str,
    dtype: str,
    shapes: Sequence[Shape],
    threads: Sequence[int],
    rounds: int,
    *,
    tell: Tell = lambda what: None,
) -> Iterator[dict[str, Any]]:
    """Measure ours and PyTorch in a process that keeps the memory that is freed.

    Parameters
    ----------
    operation
        A key of `problems.OPERATIONS`.
    dtype
        The name of the format.
    shapes
        Each (rows, classes).
    threads
        Numbers of threads, each measured.
    rounds
        How often each candidate is timed.
    tell
        Hears what comes next.

    Yields
    ------
    dict
        Cases as of `operations.run`, whose `allocator` is `KEPT`.

    Raises
    ------
    ChildError
        If the process fails.
    """
    if not plan_with_pages_kept(operation, shapes, threads):
        return
    arguments = json.dumps([operation, dtype, shapes, threads, rounds])
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, arguments],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    try:
        for line in process.stdout:
            told = json.loads(line)
            if isinstance(told, str):
                tell(f"{told}, pages kept")
            else:
                yield told
        if process.wait():
            written = process.stderr.read().strip().splitlines() or ["no message"]
            raise ChildError(f"the process that keeps its pages failed: {written[-1]}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def _child(arguments: str) -> None:
    """One line of JSON for each case that is measured, and a string before it."""
    operation, dtype, shapes, threads, rounds = json.loads(arguments)
    cases = run(
        operation,
        dtype,
        [(rows, classes) for rows, classes in shapes],
        threads,
        rounds,
        only=(PYTORCH,),
        warm_ups=WARM_UPS,
        tell=lambda what: print(json.dumps(what), flush=True),
    )
    for case in cases:
        print(json.dumps({**case, "allocator": KEPT}), flush=True)


if __name__ == "__main__":
    _child(sys.argv[1])
