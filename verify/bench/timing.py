"""How candidates are timed beside each other."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Candidates = Mapping[str, Callable[[], Any]]


def interleaved(
    candidates: Candidates,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    *,
    warm_ups: int = 1,
    shortest: float = 0.0,
    settle: Callable[[], None] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Time one call of each candidate in each round.

    Every candidate runs before it is timed (compilation, caches). Then each round runs all in turn,
    so that a noisy neighbour or a falling clock meets all alike, and ratios within a round say more
    than seconds. Every other round runs in the opposite order, so that nobody is always the one who
    finds the caches cold. The garbage collector is off while the clock runs.

    Parameters
    ----------
    candidates
        The calls, by name.
    rounds
        How many there are.
    clock
        Gives the seconds. For candidates that use one thread `time.process_time` is the better
        clock: it stands still while others have the processor.
    warm_ups
        How often each candidate runs before.
    shortest
        A faster candidate is called so often in a row that all calls together last so many seconds,
        in every round; seconds are those of one of them.
    settle
        Runs before each candidate, and an untimed call after it: for threads that must end, and
        others that must wake.

    Returns
    -------
    dict
        The seconds of each candidate, shape (rounds,).

    Raises
    ------
    ValueError
        If there is no candidate or rounds is not positive.

    Examples
    --------
    >>> seconds = interleaved({"sum": lambda: sum(range(10)), "nothing": lambda: None}, rounds=3)
    >>> {name: len(each) for name, each in seconds.items()}
    {'sum': 3, 'nothing': 3}
    """
    if not candidates:
        raise ValueError("candidates must not be empty: name at least one function to time")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    for call in [*candidates.values()] * warm_ups:
        call()
    seconds = {name: np.empty(rounds) for name in candidates}
    forth = [
        (name, call, _calls(call, shortest, clock) if shortest else 1)
        for name, call in candidates.items()
    ]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(rounds):
            for name, call, calls in forth if i % 2 == 0 else forth[::-1]:
                if settle:
                    settle()
                    call()
                seconds[name][i] = _seconds(call, calls, clock) / calls
    finally:
        if collecting:
            gc.enable()
    return seconds


def _seconds(call: Callable[[], Any], calls: int, clock: Callable[[], float]) -> float:
    """Seconds of so many calls in a row."""
    repetitions = itertools.repeat(None, calls)
    start = clock()
    for _ in repetitions:
        call()
    return clock() - start


def _calls(call: Callable[[], Any], shortest: float, clock: Callable[[], float]) -> int:
    """How many calls in a row last `shortest` seconds, up to twice as long."""
    calls = 1
    while _seconds(call, calls, clock) < shortest:
        calls *= 2
    return calls


QUIET = 0.1
MOST_NAPS = 100


def quiet(nap: float = 0.005) -> None:
    """Wait until this process computes nothing, for half a second at most.

    Threads of PyTorch's and ONNX Runtime's pools spin for 10 to 50 ms after their work, on the
    processors that the next candidate is to use.

    Parameters
    ----------
    nap
        Seconds between looks.
    """
    for _ in range(MOST_NAPS):
        start = time.process_time()
        time.sleep(nap)
        if time.process_time() - start < QUIET * nap:
            return


def ratios(
    seconds: Mapping[str, NDArray[np.float64]], reference: str
) -> dict[str, tuple[float, float, float]]:
    """Compute the quartiles over the rounds of seconds / seconds[reference].

    Parameters
    ----------
    seconds
        By name, shape (rounds,).
    reference
        The name of the candidate to compare with.

    Returns
    -------
    dict
        First quartile, median and third quartile, by name.

    Examples
    --------
    >>> ratios({"a": np.array([2.0, 4.0, 6.0]), "b": np.array([1.0, 1.0, 2.0])}, "b")["a"]
    (2.5, 3.0, 3.5)
    """
    found = {}
    for name, each in seconds.items():
        low, middle, high = np.quantile(each / seconds[reference], (0.25, 0.5, 0.75))
        found[name] = (float(low), float(middle), float(high))
    return found
