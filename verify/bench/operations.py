"""The kernels beside their peers: every case measured, and the tables of what was found."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from .limits import limit, limits, traffic
from .peers import PYTORCH, SOFTPROOF, UFUNC, Candidate, candidates, pytorch_threads
from .problems import OPERATIONS, STANDARD_DEVIATION, TINY, TITLES, Problem, Shape, problem
from .timing import interleaved, quiet, ratios

ROUNDS = 7

SHORTEST = 2e-3
"""Seconds that a sample lasts at least: faster calls are repeated."""

LARGE = 1 << 24
"""Bytes from which memory is timed on several threads: below, one would time their waking."""

INSTALLED = "as installed"
KEPT = "keeps its pages"

Clock = Callable[[], float]
Tell = Callable[[str], None]
Seconds = Mapping[str, NDArray[np.float64]]


def plan(operation: str, shapes: Sequence[Shape], threads: Sequence[int]) -> int:
    """Count the cases that `run` has with these arguments.

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

    Examples
    --------
    >>> plan("cross_entropy", [(1, 8)], [1, 2])
    4
    """
    return len(OPERATIONS[operation]) * len(shapes) * len(threads)


def run(
    operation: str,
    dtype: str,
    shapes: Sequence[Shape],
    threads: Sequence[int],
    rounds: int = ROUNDS,
    *,
    only: tuple[str, ...] = (),
    warm_ups: int = 1,
    tell: Tell = lambda what: None,
    clock: Clock = time.perf_counter,
) -> Iterator[dict[str, Any]]:
    """Measure an operation beside its peers, case by case.

    A peer that raises is skipped; what our kernel raises is raised.

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
    only
        The peers to compare with; all that are installed if it is empty.
    warm_ups
        How often each candidate runs before it is timed, at least once.
    tell
        Hears what comes next.
    clock
        Gives the seconds.

    Yields
    ------
    dict
        A case, for JSON:

        * `operation`, `dtype`, `shape` ([rows, classes]), `threads`, and `allocator`: `INSTALLED`.
        * `candidates`: for each its `name`; `threads`, null where the library decides; `allocates`,
          whether each call makes its result's memory; `page_faults` of one call; `seconds` of each
          round; their median as `nanoseconds_per_element`; `times_pytorch`, the seconds of PyTorch
          over its own; and for ours `times_ufunc`, its seconds over those of one ufunc call, and
          `share_of_limit`, the least seconds for its `traffic` (elements read and written for every
          logit) over its own. Ratios are first quartile, median and third quartile over the rounds,
          null where the other side was not measured.
        * `limits`: seconds of each round of reading the logits, and copying them, in several ways.
        * `skipped`: peers left out, and why.
    """
    for kind in OPERATIONS[operation]:
        for shape in shapes:
            posed = None  # so that the one before is gone while the next is made
            posed = problem(kind, dtype, shape)
            for count in threads:
                tell(f"{kind} {dtype}, {described(shape)}, {counted(count)}")
                yield _case(posed, count, rounds, only, warm_ups, clock)


def _case(
    posed: Problem,
    threads: int,
    rounds: int,
    only: tuple[str, ...],
    warm_ups: int,
    clock: Clock,
) -> dict[str, Any]:
    with pytorch_threads(threads):
        timed, skipped = _working(*candidates(posed, threads, only))
        is_large = posed.x.nbytes >= LARGE
        bounds = (
            limits(posed, threads) if posed.x.size > TINY and (threads == 1 or is_large) else []
        )
        seconds = interleaved(
            {c.name: c.call for c in (*timed, *bounds)},
            rounds,
            clock,
            warm_ups=warm_ups - 1,
            shortest=SHORTEST,
            settle=quiet if threads > 1 else None,
        )
        return {
            "operation": posed.operation,
            "dtype": posed.x.dtype.name,
            "shape": list(posed.x.shape),
            "threads": threads,
            "allocator": INSTALLED,
            "candidates": [_found(c, posed, seconds) for c in timed],
            "limits": {bound.name: seconds[bound.name].tolist() for bound in bounds},
            "skipped": skipped,
        }


def _working(
    timed: list[Candidate], skipped: dict[str, str]
) -> tuple[list[Candidate], dict[str, str]]:
    """Call each candidate once; a peer that raises is left out with what it said."""
    working = []
    for candidate in timed:
        try:
            candidate.call()
        except Exception as error:
            if candidate.name == SOFTPROOF:
                raise
            said = str(error).partition("\n")[0]
            skipped[candidate.name] = f"{type(error).__name__}: {said}"
        else:
            working.append(candidate)
    return working, skipped


def _found(candidate: Candidate, posed: Problem, seconds: Seconds) -> dict[str, Any]:
    own = seconds[candidate.name]
    entry: dict[str, Any] = {
        "name": candidate.name,
        "threads": candidate.threads,
        "allocates": candidate.allocates,
        "page_faults": _page_faults(candidate.call),
        "seconds": own.tolist(),
        "nanoseconds_per_element": 1e9 * float(np.median(own)) / posed.x.size,
        "times_pytorch": over(seconds.get(PYTORCH), own),
    }
    if candidate.name == SOFTPROOF:
        row_bytes = posed.x.shape[1] * posed.x.itemsize
        reads, writes = traffic(posed.operation, row_bytes)
        least = limit(seconds, reads, writes) if "read" in seconds else None
        ufunc = seconds.get(UFUNC)
        entry["traffic"] = [reads, writes]
        entry["share_of_limit"] = over(least, own)
        entry["times_ufunc"] = None if ufunc is None else over(own, ufunc)
    return entry


def over(
    numerator: NDArray[np.float64] | None, denominator: NDArray[np.float64]
) -> tuple[float, float, float] | None:
    """Compute the quartiles of a ratio within rounds.

    Parameters
    ----------
    numerator
        Seconds of each round; None where they were not measured.
    denominator
        Seconds of each round.

    Returns
    -------
    tuple of float or None
        First quartile, median and third quartile; None without a numerator.

    Examples
    --------
    >>> over(np.array([2.0, 6.0, 8.0]), np.array([1.0, 2.0, 4.0]))
    (2.0, 2.0, 2.5)
    """
    if numerator is None:
        return None
    return ratios({"numerator": numerator, "denominator": denominator}, "denominator")["numerator"]


def _page_faults(call: Callable[[], Any]) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def described(shape: Iterable[int]) -> str:
    """Write a shape for people.

    Parameters
    ----------
    shape
        Its lengths.

    Returns
    -------
    str
        The lengths; powers of two from 2^20 on as such.

    Examples
    --------
    >>> described((1, 1 << 26)), described((64, 1024))
    ('1 x 2^26', '64 x 1024')
    """
    return " x ".join(
        f"2^{n.bit_length() - 1}" if n >= 1 << 20 and n & (n - 1) == 0 else str(n) for n in shape
    )


def counted(threads: int) -> str:
    """Write a number of threads for people.

    Parameters
    ----------
    threads
        How many there are.

    Returns
    -------
    str
        The number and the word.

    Examples
    --------
    >>> counted(1), counted(2)
    ('1 thread', '2 threads')
    """
    return f"{threads} thread{'s' if threads > 1 else ''}"


def quartiles_told(ratio: Sequence[float] | None) -> tuple[str, str]:
    """Write a median, and the quartiles about it, for people.

    Parameters
    ----------
    ratio
        First quartile, median and third quartile, or None.

    Returns
    -------
    tuple of str
        The median and the quartiles; both empty for None.

    Examples
    --------
    >>> quartiles_told((1.0, 1.256, 2.0)), quartiles_told(None)
    (('1.26', '1.00 ... 2.00'), ('', ''))
    """
    if ratio is None:
        return "", ""
    low, middle, high = ratio
    return f"{middle:.2f}", f"{low:.2f} ... {high:.2f}"


# --- tables ---


def print_cases(cases: Sequence[dict[str, Any]], console: Console) -> None:
    """Print one table for each kind of operation among the cases, and what to know about them.

    Parameters
    ----------
    cases
        Those of `run` and of `allocator.run_with_pages_kept`.
    console
        Where they are printed.
    """
    kept = {_key(case): case for case in cases if case["allocator"] == KEPT}
    for kind in dict.fromkeys(case["operation"] for case in cases):
        chosen = [c for c in cases if c["operation"] == kind and c["allocator"] == INSTALLED]
        if chosen:
            console.print(_table(chosen, kept))
    for case in cases:
        for entry in case["candidates"]:
            if entry.get("times_ufunc") and case["allocator"] == INSTALLED:
                console.print(_call_described(case, entry), soft_wrap=True, highlight=False)
    _print_notes(cases, console)


def _key(case: dict[str, Any]) -> tuple[Any, ...]:
    return case["operation"], *case["shape"], case["threads"]


def _table(cases: Sequence[dict[str, Any]], kept: Mapping[Any, dict[str, Any]]) -> Table:
    kind, dtype = cases[0]["operation"], cases[0]["dtype"]
    has_kept = any(_key(case) in kept for case in cases)
    table = Table(title=f"{TITLES.get(kind, kind)}, {dtype}")
    columns = ["shape", "candidate", "threads", "ns / element", "x PyTorch", "quartiles"]
    columns += ["x PyTorch, pages kept"] * has_kept + ["of the limit"]
    for heading in columns:
        table.add_column(heading, justify="left" if heading == "candidate" else "right")
    for case in cases:
        other = kept.get(_key(case))
        shape = described(case["shape"])
        for entry in case["candidates"]:
            name = entry["name"]
            cells = [
                shape if entry is case["candidates"][0] else "",
                _named(entry, INSTALLED if name == PYTORCH and has_kept else None),
                "own" if entry["threads"] is None else str(entry["threads"]),
                f"{entry['nanoseconds_per_element']:.3g}",
                *quartiles_told(entry["times_pytorch"]),
            ]
            if has_kept:
                same = _entry(other, name) if other and name == SOFTPROOF else None
                cells.append(" ".join(quartiles_told(same["times_pytorch"])) if same else "")
            share = entry.get("share_of_limit")
            cells.append(f"{100 * share[1]:.0f} %" if share else "")
            table.add_row(*cells)
            tuned = _entry(other, PYTORCH) if other and name == PYTORCH else None
            if tuned:
                time_ = f"{tuned['nanoseconds_per_element']:.3g}"
                table.add_row("", _named(tuned, f"allocator {KEPT}"), cells[2], time_)
        table.add_section()
    return table


def _entry(case: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((entry for entry in case["candidates"] if entry["name"] == name), None)


def _named(entry: dict[str, Any], how: str | None = None) -> str:
    name = entry["name"] if how is None else f"{entry['name']}, {how}"
    return f"{name} *" if entry["allocates"] else name


def _call_described(case: dict[str, Any], entry: dict[str, Any]) -> str:
    low, middle, high = entry["times_ufunc"]
    microseconds = 1e6 * float(np.median(entry["seconds"]))
    return (
        f"{case['operation']}, {described(case['shape'])}, threads={case['threads']}: one call "
        f"takes {microseconds:.2f} us, {middle:.2f} ({low:.2f} ... {high:.2f}) times a call of "
        "np.exp(x, out=y) on the same elements."
    )


def _print_notes(cases: Sequence[dict[str, Any]], console: Console) -> None:
    entries = [entry for case in cases for entry in case["candidates"]]
    rounds = max((len(entry["seconds"]) for entry in entries), default=0)
    lines = [
        f"Logits normal with standard deviation {STANDARD_DEVIATION:g}; medians and quartiles of "
        f"ratios within {rounds} interleaved rounds of wall-clock time. x PyTorch: its time over "
        "the candidate's, so more is faster.",
        "Of the limit: time for the algorithm's own traffic at the bandwidth measured in the same "
        "rounds, over its time.",
    ]
    if any(entry["allocates"] for entry in entries):
        lines.append("* makes new memory for its result at each call; all others reuse theirs.")
    if any(entry["threads"] is None for entry in entries):
        lines.append("own: JAX has its own threads, which a call cannot limit.")
    if any(case["allocator"] == KEPT for case in cases):
        lines.append(
            "Pages kept: the same in a process whose C library never returns memory to the "
            "system; there PyTorch's temporaries cost no page faults."
        )
    skipped: dict[str, dict[str, None]] = {}
    for case in cases:
        for name, why in case["skipped"].items():
            skipped.setdefault(f"{name}: {why}", {})[case["operation"]] = None
    lines += [f"Skipped {what} ({', '.join(where)})." for what, where in skipped.items()]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
