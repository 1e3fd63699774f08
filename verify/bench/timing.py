"""How candidates are timed beside each other."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Candidates = Mapping[str, Callable[[], Any]]


def interleaved(
    candidates: Candidates, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, NDArray[np.float64]]:
    """Seconds of each candidate in each round, shape (rounds,).

    Every candidate runs once before (compilation, caches). Then each round runs all in turn, so
    that a noisy neighbour or a falling clock meets all alike, and ratios within a round say more
    than seconds. Every other round runs in the opposite order, so that nobody is always the one
    who finds the caches cold. The garbage collector is off while the clock runs. For candidates
    that use one thread `time.process_time` is the better clock: it stands still while others have
    the processor.

    ValueError when there is no candidate or rounds is not positive.

    >>> seconds = interleaved({"sum": lambda: sum(range(10)), "nothing": lambda: None}, rounds=3)
    >>> {name: len(each) for name, each in seconds.items()}
    {'sum': 3, 'nothing': 3}
    """
    if not candidates:
        raise ValueError("candidates must not be empty: name at least one function to time")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    for call in candidates.values():
        call()
    seconds = {name: np.empty(rounds) for name in candidates}
    forth = list(candidates.items())
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(rounds):
            for name, call in forth if i % 2 == 0 else forth[::-1]:
                start = clock()
                call()
                seconds[name][i] = clock() - start
    finally:
        if collecting:
            gc.enable()
    return seconds


def ratios(
    seconds: Mapping[str, NDArray[np.float64]], reference: str
) -> dict[str, tuple[float, float, float]]:
    """First quartile, median and third quartile over the rounds of seconds / seconds[reference].

    >>> ratios({"a": np.array([2.0, 4.0, 6.0]), "b": np.array([1.0, 1.0, 2.0])}, "b")["a"]
    (2.5, 3.0, 3.5)
    """
    found = {}
    for name, each in seconds.items():
        low, middle, high = np.quantile(each / seconds[reference], (0.25, 0.5, 0.75))
        found[name] = (float(low), float(middle), float(high))
    return found
