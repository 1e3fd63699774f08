"""Our kernels on hostile rows: against themselves on normal ones, and against PyTorch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .operations import SHORTEST, Clock, Tell, counted, described, over, quartiles_told
from .peers import PYTORCH, SOFTPROOF, candidates, ours, pytorch_threads
from .problems import DISTRIBUTIONS, OPERATIONS, Shape, is_representable, problem
from .timing import interleaved, quiet

MOST_TIMES_NORMAL = 2.0
LEAST_TIMES_PYTORCH = 1.0

NORMAL = "normal"


def hostile(dtype: str) -> list[str]:
    """List the distributions but the normal one, of those that the format holds.

    Parameters
    ----------
    dtype
        The name of the format.

    Returns
    -------
    list of str
        Keys of `problems.DISTRIBUTIONS`.
    """
    return [name for name in DISTRIBUTIONS if name != NORMAL and is_representable(name, dtype)]


def plan(operation: str, dtype: str, shapes: Sequence[Shape], threads: Sequence[int]) -> int:
    """Count the entries that `run` has with these arguments.

    Parameters
    ----------
    operation
        A key of `problems.OPERATIONS`.
    dtype
        The name of the format.
    shapes
        Each (rows, classes).
    threads
        Numbers of threads.

    Returns
    -------
    int
        How many there are.
    """
    return len(OPERATIONS[operation]) * len(shapes) * len(threads) * len(hostile(dtype))


def run(
    operation: str,
    dtype: str,
    shapes: Sequence[Shape],
    threads: Sequence[int],
    rounds: int,
    *,
    tell: Tell = lambda what: None,
    clock: Clock = time.perf_counter,
) -> Iterator[dict[str, Any]]:
    """Measure an operation on each hostile distribution.

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
    clock
        Gives the seconds.

    Yields
    ------
    dict
        For JSON: `operation`, `dtype`, `shape` ([rows, classes]), `threads`, `distribution`;
        `nanoseconds_per_element`; `times_normal`, our seconds over our seconds on normal rows;
        `times_pytorch`, the seconds of PyTorch on the same rows over ours (null without PyTorch).
        Both are first quartile, median and third quartile over the rounds.
    """
    for kind in OPERATIONS[operation]:
        for shape in shapes:
            normal = problem(kind, dtype, shape)
            for name in hostile(dtype):
                posed = replace(problem(kind, dtype, shape, name), out=normal.out)
                for count in threads:
                    tell(f"{kind} {dtype}, {described(shape)}, {counted(count)}, {name}")
                    with pytorch_threads(count):
                        timed, _ = candidates(posed, count, only=(PYTORCH,))
                        seconds = interleaved(
                            {NORMAL: ours(normal, count).call, **{c.name: c.call for c in timed}},
                            rounds,
                            clock,
                            shortest=SHORTEST,
                            settle=quiet if count > 1 else None,
                        )
                    own = seconds[SOFTPROOF]
                    yield {
                        "operation": kind,
                        "dtype": dtype,
                        "shape": list(shape),
                        "threads": count,
                        "distribution": name,
                        "nanoseconds_per_element": 1e9 * float(np.median(own)) / posed.x.size,
                        "times_normal": over(own, seconds[NORMAL]),
                        "times_pytorch": over(seconds.get(PYTORCH), own),
                    }


def _group(entry: dict[str, Any]) -> tuple[tuple[int, ...], int]:
    return tuple(entry["shape"]), entry["threads"]


def is_good(entry: dict[str, Any]) -> bool:
    """Tell whether an entry of `run` is within MOST_TIMES_NORMAL and LEAST_TIMES_PYTORCH.

    Parameters
    ----------
    entry
        The entry.

    Returns
    -------
    bool
        Whether the medians of both ratios are; without PyTorch, of the first.

    Examples
    --------
    >>> is_good({"times_normal": (1.0, 1.5, 1.6), "times_pytorch": (0.7, 0.8, 0.9)})
    False
    """
    against = entry["times_pytorch"]
    return bool(
        entry["times_normal"][1] <= MOST_TIMES_NORMAL
        and (against is None or against[1] >= LEAST_TIMES_PYTORCH)
    )


def print_bad_days(entries: Sequence[dict[str, Any]], console: Console) -> None:
    """Print one table for each kind of operation; what misses its aim is marked.

    Parameters
    ----------
    entries
        Those of `run`.
    console
        Where they are printed.
    """
    for kind in dict.fromkeys(entry["operation"] for entry in entries):
        chosen = [entry for entry in entries if entry["operation"] == kind]
        table = Table(title=f"{kind}, {chosen[0]['dtype']}, on bad days")
        for heading in ("shape", "threads", "rows", "ns / element"):
            table.add_column(heading, justify="left" if heading == "rows" else "right")
        for heading in ("time / normal", "quartiles", "x PyTorch", "quartiles", ""):
            table.add_column(heading, justify="right")
        for group in dict.fromkeys(map(_group, chosen)):
            heads = [described(group[0]), str(group[1])]
            for entry in (entry for entry in chosen if _group(entry) == group):
                table.add_row(
                    *heads,
                    entry["distribution"],
                    f"{entry['nanoseconds_per_element']:.3g}",
                    *quartiles_told(entry["times_normal"]),
                    *quartiles_told(entry["times_pytorch"]),
                    "" if is_good(entry) else "missed",
                )
                heads = ["", ""]
            table.add_section()
        console.print(table)
    missed = sum(not is_good(entry) for entry in entries)
    console.print(
        f"Aims: at most {MOST_TIMES_NORMAL:g} times our time on normal rows (standard deviation 3),"
        f" and at least PyTorch's speed on the same rows; {missed} of {len(entries)} missed. "
        "Medians and quartiles of ratios within interleaved rounds of wall-clock time.",
        soft_wrap=True,
        highlight=False,
    )
