"""All that a process starts carries a mark in its environment, by which it is found and ended.

A process that begins a session of its own and whose parent has ended is nobody's child that we
know of; the environment that it was started with goes along.
"""

from __future__ import annotations

import contextlib
import os
import secrets

import psutil

MARK = "SOFTPROOF_STARTED_BY"
MOST_SWEEPS = 20  # each ends what was started while the one before looked


def marked_environment() -> tuple[dict[str, str], str]:
    """The environment of a new process, and the mark in it."""
    mark = secrets.token_hex(16)
    return {**os.environ, MARK: mark}, mark


def end_marked(mark: str, spared: int | None = None) -> None:
    """Kill every process that carries a mark, other than this one.

    Parameters
    ----------
    mark
        The mark, as ``marked_environment`` returned it.
    spared
        The number of a process that carries it and goes on; None for none.
    """
    for _ in range(MOST_SWEEPS):
        carrying = (process for process in psutil.process_iter() if _carries(process, mark))
        found = [process for process in carrying if process.pid != spared]
        if not found:
            return
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1.0)


def _carries(process: psutil.Process, mark: str) -> bool:
    """Whether a process was started with a mark; False of those that are not to be looked into."""
    if process.pid == os.getpid():
        return False
    try:
        return bool(
            process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
        )
    except (psutil.Error, OSError):
        return False
