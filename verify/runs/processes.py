"""A run shared out to processes, one definition to each at a time.

What is asked of a definition stays together: its items share the truths, its subjects the processes
they run in, and one that ended its process too often is not called again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ...derivations import lookup
from ..subjects.isolation.worker_pool import Workers
from .execute import GivenUp, execute
from .results import Item, Report, Result
from .run import Outcomes, Plan, ResultStore, collect

WORTH_A_PROCESS = 200
"""Items: starting a process takes as long as some tens of them."""


def processes_for(items: list[Item]) -> int:
    """Choose how many processes a plan is worth.

    Definitions of the user's own are known to this process alone.

    Parameters
    ----------
    items
        The plan.

    Returns
    -------
    int
        At least 1, and no more than there are cores or definitions. Definitions of the user's own
        are known to this process alone, which then does all.
    """
    definitions = len({item.subject.definition for item in items})
    if any(lookup(item.subject.definition).declared_in for item in items):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, definitions, len(items) // WORTH_A_PROCESS))


def run_in_processes(
    items: list[Item], report: Report, store: ResultStore | None = None, *, processes: int
) -> Iterator[Item]:
    """Do what ``run.run`` does with ``Workers``, in several processes.

    Parameters
    ----------
    items
        The plan, which is done in any order.
    report
        Where the results are added.
    store
        Where results are looked up and kept; None for nowhere.
    processes
        How many there are.

    Yields
    ------
    Item
        Each when its result is known.
    """
    yield from collect(items, report, lambda unknown: _execute_all(unknown, processes), store)


def _execute_all(plan: Plan, processes: int) -> Outcomes:
    """The outcomes as they come; ends the processes, however it ends."""
    shares: dict[str, dict[int, Item]] = {}
    for k, item in plan.items():
        shares.setdefault(item.subject.definition, {})[k] = item
    # The longest first: what is begun last should be short.
    waiting = sorted(shares.values(), key=len)
    busy: dict[Connection, tuple[BaseProcess, dict[int, Item]]] = {}
    try:
        for _ in range(min(processes, len(waiting))):
            connection, process = _start()
            busy[connection] = process, waiting.pop()
            connection.send(busy[connection][1])
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                process, share = busy[ready]
                try:
                    k, outcome = ready.recv()
                except EOFError:
                    process.join()
                    raise RuntimeError(
                        f"a process of this run ended with status {process.exitcode} beside "
                        f"{next(iter(share.values()))}"
                    ) from None
                del share[k]
                yield k, outcome
                if not share and waiting:
                    busy[ready] = process, waiting.pop()
                    ready.send(busy[ready][1])
                elif not share:
                    del busy[ready]
                    ready.close()
    finally:
        for process, _ in busy.values():
            process.terminate()


def _start() -> tuple[Connection, BaseProcess]:
    """A process that executes what it is sent, and the connection to it."""
    ours, theirs = multiprocessing.Pipe()
    # Not forked: what a library's threads have locked would stay locked in it.
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs,), daemon=True
    )
    # Ctrl-C is for us, who then end it; it inherits the deafness.
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.start()
    signal.signal(signal.SIGINT, heard)
    theirs.close()
    return ours, process


def _serve(connection: Connection) -> None:
    """Execute items and send their outcomes until the connection is closed."""
    with Workers() as workers:
        while True:
            try:
                share: Plan = connection.recv()
            except EOFError:
                return
            for k, item in share.items():
                outcome: Result | GivenUp
                try:
                    outcome = execute(item, workers.connect)
                except GivenUp as word:
                    outcome = word
                connection.send((k, outcome))
