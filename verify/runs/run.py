"""A run: what is known already is looked up, the other items are executed, all are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from ..subjects.isolation.in_process import InProcess
from .execute import Connect, GivenUp, execute
from .results import Item, Report, Result


class ResultStore(Protocol):
    """Where results are kept as they come."""

    def get(self, item: Item) -> Result | None:
        """The result of an item that was done before."""

    def put(self, item: Item, result: Result) -> None:
        """Keep the result of an item."""


Plan = Mapping[int, Item]  # some of the items of a plan, by their places in it
Outcomes = Iterator[tuple[int, Result | GivenUp]]


def run(
    items: list[Item],
    report: Report,
    connect: Connect = InProcess,
    store: ResultStore | None = None,
) -> Iterator[Item]:
    """Execute a plan in this process, one item after the other, and add the results to a report.

    Ctrl-C ends the run; the report keeps what is known and says that it was interrupted.

    Parameters
    ----------
    items
        The plan.
    report
        Where the results are added.
    connect
        What makes a subject callable, in this process or in one of its own.
    store
        Where results are looked up, to be executed only once, and kept; None for nowhere.

    Yields
    ------
    Item
        Each when its result is known.
    """

    def one_by_one(unknown: Plan) -> Outcomes:
        for k, item in unknown.items():
            try:
                yield k, execute(item, connect)
            except GivenUp as word:
                yield k, word

    yield from collect(items, report, one_by_one, store)


def collect(
    items: list[Item],
    report: Report,
    execute_all: Callable[[Plan], Outcomes],
    store: ResultStore | None,
) -> Iterator[Item]:
    """Look up what is known, have the rest executed, and add the results to a report.

    Parameters
    ----------
    items
        The plan.
    report
        Where the results are added, in the order of the plan.
    execute_all
        Executes items and gives their outcomes in any order, each with its place.
    store
        Where results are looked up and kept; None for nowhere.

    Yields
    ------
    Item
        Each when its result is known.
    """
    known: dict[int, Result] = {}
    try:
        for k, item in enumerate(items):
            if store and (result := store.get(item)) is not None:
                known[k] = result
                yield item
        unknown = {k: item for k, item in enumerate(items) if k not in known}
        for k, outcome in execute_all(unknown):
            if isinstance(outcome, GivenUp):  # neither passed nor failed, and not kept
                report.skipped[items[k].subject.id] = f"{outcome}: not all was run"
            else:
                if store:
                    store.put(items[k], outcome)
                known[k] = outcome
            yield items[k]
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        for k in sorted(known):  # in the order of the plan, whatever came first
            report.add(known[k])
