"""What memory allows: the time to read logits and to copy them, measured beside the candidates.

An algorithm that reads its logits r times and writes w results takes at least w copies and r - w
reads. A share of this limit counts the traffic that the algorithm has by design, whatever part of
it a cache serves; where a row fits in the second-level cache, only its first read and its last
write are counted, for no more of it reaches memory. Measured by calls from Python, as all is here:
below some 2^16 elements the call is part of the limit.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ...kernels.arithmetic.simd import (
    broadcast,
    elements_to_alignment,
    extract_lane0,
    fence,
    keep_alive,
    lanes,
    load,
    pointer,
    prefetch,
    store_stream,
    vmax,
)
from .peers import Candidate
from .problems import Array, Problem, reduces

READS = ("read", "read, prefetched")
COPIES = ("copy", "copy, streamed", "copy, streamed and prefetched")

TRAFFIC = {
    "three_pass_recompute": (3, 1),
    "three_pass_reload": (3, 2),
    "two_pass": (2, 1),
    "online": (2, 1),
}
"""Elements that each algorithm of softmax reads and writes for every logit."""

AHEAD = 1024
"""Bytes by which prefetching runs ahead."""

CACHE = 1 << 20
"""Bytes of a second-level cache whose size the system does not tell."""


def second_level_cache() -> int:
    """Bytes of the second-level cache of one core; `CACHE` where the system does not tell."""
    try:
        return os.sysconf("SC_LEVEL2_CACHE_SIZE") or CACHE
    except (ValueError, OSError):
        return CACHE


def traffic(operation: str, row_bytes: int) -> tuple[int, int]:
    """Count the elements that our kernel reads and writes for every logit.

    Longer rows than the cache holds are counted as those of `two_pass`, the least there is.

    Parameters
    ----------
    operation
        A key of `problems.OPERATIONS`, or one of their kinds.
    row_bytes
        The size of the logits of one row.

    Returns
    -------
    tuple of int
        Elements read, and elements written.

    Examples
    --------
    >>> traffic("softmax", 1 << 12), traffic("softmax", 1 << 30), traffic("logsumexp", 1 << 30)
    ((1, 1), (2, 1), (1, 0))
    """
    if reduces(operation):
        return 1, 0
    return (1, 1) if row_bytes <= second_level_cache() else TRAFFIC["two_pass"]


def limit(
    seconds: Mapping[str, NDArray[np.float64]], reads: int, writes: int
) -> NDArray[np.float64]:
    """Compute the least seconds for so many reads and writes of the array, in each round.

    Parameters
    ----------
    seconds
        Those of the candidates of `limits`, shape (rounds,); the fastest way by its median counts.
    reads, writes
        How often the array is read, and how often written, at most as often.

    Returns
    -------
    numpy.ndarray
        Seconds, shape (rounds,).

    Examples
    --------
    >>> seconds = {name: np.array([1.0, 2.0]) for name in READS}
    >>> seconds |= {name: np.array([3.0, 3.0]) for name in COPIES}
    >>> limit(seconds, reads=2, writes=1)
    array([4., 5.])
    """

    def fastest(names: tuple[str, ...]) -> NDArray[np.float64]:
        return min((seconds[name] for name in names if name in seconds), key=np.median)

    least = (reads - writes) * fastest(READS)
    return least + writes * fastest(COPIES) if writes else least


def limits(problem: Problem, threads: int) -> list[Candidate]:
    """Make the candidates that read the logits and, where the result has their shape, copy them.

    Each thread takes its part, of equal size.

    Parameters
    ----------
    problem
        What gives the logits, and the memory to copy to.
    threads
        How many there are; each takes its part, of equal size.

    Returns
    -------
    list of Candidate
        Ways to read, and ways to copy.
    """
    x = _float32(problem.x)
    calls: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
        "read": (_read, (x,)),
        "read, prefetched": (_read_ahead, (x,)),
    }
    if problem.out.shape == problem.x.shape:
        out = _float32(problem.out)
        calls["copy"] = (np.copyto, (out, x))
        calls["copy, streamed"] = (_stream, (x, out))
        calls["copy, streamed and prefetched"] = (_stream_ahead, (x, out))
    return [
        Candidate(name, _shared(function, arrays, threads), threads)
        for name, (function, arrays) in calls.items()
    ]


def _float32(array: Array) -> NDArray[np.float32]:
    """The bytes of a compact array as float32, but for up to three at its end."""
    flat = array.reshape(-1).view(np.uint8)
    return flat[: flat.size // 4 * 4].view(np.float32)


def _shared(
    function: Callable[..., Any], arrays: tuple[Array, ...], threads: int
) -> Callable[[], Any]:
    if threads == 1:
        return lambda: function(*arrays)
    edges = np.linspace(0, arrays[0].size, threads + 1).astype(int)
    parts = [
        tuple(array[start:stop] for array in arrays) for start, stop in itertools.pairwise(edges)
    ]
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda part: function(*part), parts))


def _reader(ahead: int) -> Callable[..., Any]:
    """A maximum, four vectors at a time, which keeps as many loads under way as a core can."""

    @numba.njit(nogil=True)  # type: ignore[untyped-decorator]
    def read(x: Any) -> Any:
        p = pointer(x)
        width = lanes(p)
        a = b = c = d = broadcast(p, -np.inf)
        for j in range(0, x.size - 4 * width + 1, 4 * width):
            if ahead > 0:
                for line in range(4):
                    prefetch(p, j + line * width + ahead)
            a, b = vmax(load(p, j), a), vmax(load(p, j + width), b)
            c, d = vmax(load(p, j + 2 * width), c), vmax(load(p, j + 3 * width), d)
        keep_alive(x)
        return extract_lane0(vmax(vmax(a, b), vmax(c, d)))

    return read  # type: ignore[no-any-return]


def _streamer(ahead: int) -> Callable[..., Any]:
    """A copy past the caches."""

    @numba.njit(nogil=True)  # type: ignore[untyped-decorator]
    def stream(x: Any, y: Any) -> None:
        p, q = pointer(x), pointer(y)
        width = lanes(p)
        for j in range(elements_to_alignment(q), x.size - 4 * width + 1, 4 * width):
            if ahead > 0:
                for line in range(4):
                    prefetch(p, j + line * width + ahead)
            store_stream(q, j, load(p, j))
            store_stream(q, j + width, load(p, j + width))
            store_stream(q, j + 2 * width, load(p, j + 2 * width))
            store_stream(q, j + 3 * width, load(p, j + 3 * width))
        fence()
        keep_alive(x)
        keep_alive(y)

    return stream  # type: ignore[no-any-return]


_read, _read_ahead = _reader(0), _reader(AHEAD // 4)
_stream, _stream_ahead = _streamer(0), _streamer(AHEAD // 4)
