"""The algorithms of softmax on one row of growing length, beside what memory allows each.

Dukhan and Ablavatski (2020, arXiv 2001.04438) derive from the traffic of two and three passes that
two are faster once a row has left the caches; they report gains of up to 28 % (AVX-512) and 18 %
(AVX2). This is the same figure for our implementations.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...kernels import softmax
from .limits import TRAFFIC, limit, limits
from .operations import LARGE, SHORTEST, Clock, Tell, counted, described, over
from .problems import Shape, problem
from .timing import interleaved, quiet

OPERATION = "softmax"
SHAPES = tuple((1, 1 << k) for k in range(12, 27))
THREE_PASS = ("three_pass_recompute", "three_pass_reload")
TWO_PASS = "two_pass"
CLAIMED = "28 % with AVX-512, 18 % with AVX2"


def run(
    dtype: str,
    shapes: Sequence[Shape],
    threads: Sequence[int],
    rounds: int,
    *,
    tell: Tell = lambda what: None,
    clock: Clock = time.perf_counter,
) -> Iterator[dict[str, Any]]:
    """Measure the algorithms of `limits.TRAFFIC` on one row of each length.

    Parameters
    ----------
    dtype
        The name of the format.
    shapes
        Each (1, classes).
    threads
        Numbers of threads, each measured.
    rounds
        How often each algorithm is timed.
    tell
        Hears what comes next.
    clock
        Gives the seconds.

    Yields
    ------
    dict
        For JSON: `dtype`, `classes`, `threads`; `nanoseconds_per_element` by algorithm; `limits`,
        the nanoseconds per element that its traffic takes at the bandwidth measured in the same
        rounds, by algorithm (empty where rows are too short for the threads); `gain`, the seconds
        of the better three-pass algorithm over those of `two_pass`, less 1: first quartile, median
        and third quartile over the rounds.
    """
    for shape in shapes:
        posed = None  # so that the one before is gone while the next is made
        posed = problem(OPERATION, dtype, shape)
        classes = posed.x.size
        for count in threads:
            tell(f"{dtype}, one row of {described([classes])}, {counted(count)}")
            is_large = count == 1 or posed.x.nbytes >= LARGE
            bounds = limits(posed, count) if is_large else []
            candidates = {
                name: partial(softmax, posed.x, algorithm=name, out=posed.out, threads=count)
                for name in TRAFFIC
            }
            seconds = interleaved(
                {**candidates, **{bound.name: bound.call for bound in bounds}},
                rounds,
                clock,
                shortest=SHORTEST,
                settle=quiet if count > 1 else None,
            )
            scale = 1e9 / classes
            least = {
                name: scale * float(np.median(limit(seconds, *TRAFFIC[name])))
                for name in TRAFFIC
                if bounds
            }
            three_pass = min((seconds[name] for name in THREE_PASS), key=np.median)
            ratio = over(three_pass, seconds[TWO_PASS])
            yield {
                "dtype": dtype,
                "classes": classes,
                "threads": count,
                "nanoseconds_per_element": {
                    name: scale * float(np.median(seconds[name])) for name in TRAFFIC
                },
                "limits": least,
                "gain": [quartile - 1 for quartile in ratio] if ratio else None,
            }


def crossover(entries: Sequence[dict[str, Any]]) -> int | None:
    """Find the row length from which on two passes are always faster.

    Parameters
    ----------
    entries
        Those of `run`, in any order.

    Returns
    -------
    int or None
        The length; None where the longest row is no faster.

    Examples
    --------
    >>> crossover([{"classes": 8, "gain": [0, 0.1, 0.2]}, {"classes": 4, "gain": [-0.2, -0.1, 0]}])
    8
    """
    found = None
    for entry in sorted(entries, key=lambda entry: entry["classes"], reverse=True):
        if entry["gain"][1] <= 0:
            break
        found = entry["classes"]
    return found


def print_row_lengths(entries: Sequence[dict[str, Any]], console: Console) -> None:
    """Print one table for each number of threads, and where two passes begin to pay.

    Parameters
    ----------
    entries
        Those of `run`.
    console
        Where they are printed.
    """
    for threads in sorted({entry["threads"] for entry in entries}):
        chosen = [entry for entry in entries if entry["threads"] == threads]
        title = f"softmax of one row, {chosen[0]['dtype']}, {counted(threads)}: ns / element"
        table = Table(title=f"{title} (share of the limit)")
        for heading in ("classes", *TRAFFIC, "gain of two_pass", "quartiles"):
            table.add_column(heading, justify="right")
        for entry in chosen:
            low, middle, high = (f"{100 * quartile:+.0f} %" for quartile in entry["gain"])
            table.add_row(
                described([entry["classes"]]),
                *(_cell(entry, name) for name in TRAFFIC),
                middle,
                f"{low} ... {high}",
            )
        console.print(table)
        console.print(_finding(chosen), soft_wrap=True, highlight=False)
    console.print(
        f"The paper (arXiv 2001.04438) reports up to {CLAIMED}, out of cache.\n"
        "The limit is the traffic of all passes at the bandwidth measured at this length.",
        soft_wrap=True,
        highlight=False,
    )


def _finding(entries: Sequence[dict[str, Any]]) -> str:
    start = crossover(entries)
    if start is None:
        longest = described([max(entry["classes"] for entry in entries)])
        return f"The better of the three-pass algorithms is as fast as two_pass at {longest} still."
    best = max(entries, key=lambda entry: float(entry["gain"][1]))
    return (
        f"two_pass is faster than the better of the three-pass algorithms from {described([start])}"
        f" classes on, by up to {100 * best['gain'][1]:.0f} % (at {described([best['classes']])})."
    )


def _cell(entry: dict[str, Any], name: str) -> str:
    taken = entry["nanoseconds_per_element"][name]
    least = entry["limits"].get(name)
    return f"{taken:.3g}" + (f" ({100 * least / taken:.0f} %)" if least else "")
