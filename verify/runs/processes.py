"""A run shared out to processes: a definition's inputs of one family and format at a time.

The items of a share have the truths in common, so that no two processes look for the same.  A
subject that ended its process too often is not called again by any of them.
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
"""Items on rows: starting a process takes as long as some tens of them."""
ITEMS_OF_A_CASE = 8
"""An item on cases takes as long as about so many on rows."""


def processes_for(items: list[Item]) -> int:
    """Choose how many processes a plan is worth.

    Parameters
    ----------
    items
        The plan.

    Returns
    -------
    int
        At least 1, and no more than there are cores or shares. Definitions of the user's own are
        known to this process alone, which then does all.
    """
    shares = len({_share_of(item) for item in items})
    work = sum(ITEMS_OF_A_CASE if item.on_cases else 1 for item in items)
    if any(lookup(item.subject.definition).declared_in for item in items):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, shares, work // WORTH_A_PROCESS))


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


def _share_of(item: Item) -> tuple[str, str, str]:
    """What the items of a share have in common: their inputs, and with them the truths."""
    return item.subject.definition, item.dtype, item.family


def _execute_all(plan: Plan, processes: int) -> Outcomes:
    """The outcomes as they come; ends the processes, however it ends."""
    shares: dict[tuple[str, str, str], dict[int, Item]] = {}
    for k, item in plan.items():
        shares.setdefault(_share_of(item), {})[k] = item
    # The longest first: what is begun last should be short.
    waiting = sorted(shares.values(), key=len)
    busy: dict[Connection, tuple[BaseProcess, dict[int, Item]]] = {}
    given_up: dict[str, GivenUp] = {}  # by the id of a subject
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
                if isinstance(outcome, GivenUp):
                    given_up[share[k].subject.id] = outcome
                del share[k]
                yield k, outcome
                while not share and waiting:
                    share = waiting.pop()
                    for k in [k for k, item in share.items() if item.subject.id in given_up]:
                        yield k, given_up[share.pop(k).subject.id]
                    busy[ready] = process, share
                    if share:
                        ready.send(share)
                if not share:
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
