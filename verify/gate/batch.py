"""Many candidates: a pool of warm processes, each with a clean one that candidates are forked from.

What judges has everything loaded and compiled before the first candidate comes, and lives on; what
runs a candidate is forked for it and ended with it.  All candidates of a batch are asked at inputs
of one seed, whose truths are then found once in each process of the pool.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..subjects.isolation.forked import Zygote
from ..testing import Conformance
from .asking import not_judged
from .judgement import REFUSED, Judgement
from .judging import judged_apart, modules_of


@dataclass(frozen=True)
class Candidate:
    """A line of a batch: what ``judge`` takes, by the same names."""

    definition: str
    subject: str
    dtype: str = "float32"
    arrays: str = "numpy"
    device: str = ""


def read(path: Path) -> list[Candidate]:
    """Read the candidates of a batch, one JSON object a line.

    Parameters
    ----------
    path
        The file; empty lines are left out.

    Returns
    -------
    list of Candidate
        In the order of the file.

    Raises
    ------
    ValueError
        If a line is none of a candidate; the message names it.
    OSError
        If the file cannot be read.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(_candidate(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    if not found:
        raise ValueError(f"{path} has no candidates; write a JSON object a line")
    return found


def _candidate(entries: Any) -> Candidate:
    """The candidate of a line; ValueError or TypeError where it is none."""
    names = [each.name for each in fields(Candidate)]
    if not isinstance(entries, dict):
        raise ValueError(f"it is {entries!r}; write an object with {', '.join(names)}")
    for name, value in entries.items():
        if name not in names:
            raise ValueError(f"{name!r} is none of {', '.join(names)}")
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}; give a text")
    for name in names[:2]:
        if name not in entries:
            raise ValueError(f"{name} is missing")
    candidate = Candidate(**entries)
    Conformance(candidate.definition, candidate.dtype, arrays=candidate.arrays)
    return candidate


def judge_all(
    candidates: Sequence[Candidate], *, seconds: float, seed: int, processes: int | None = None
) -> Iterator[tuple[int, Judgement]]:
    """Judge all candidates of a batch.

    Parameters
    ----------
    candidates
        The candidates.
    seconds, seed
        As ``judge`` has them; all are asked at inputs of this seed.
    processes
        How many are judged at one time; None for one on each core.

    Yields
    ------
    tuple
        The place of a candidate in the batch, and its judgement, as they come. One whose name names
        nothing, or that ends what judges it, is refused.
    """
    modules = sorted({name for c in candidates for name in modules_of(c.arrays)})
    left = dict(enumerate(candidates))
    try:
        for i, judgement in _judged(left, modules, seconds, seed, processes or _cores()):
            del left[i]
            yield i, judgement
    except BrokenProcessPool:
        # One of them ended what judged it, as it can any process of its user: each is asked alone.
        for i, candidate in left.items():
            try:
                yield from _judged({i: candidate}, modules, seconds, seed, 1)
            except BrokenProcessPool:
                yield i, _refused(candidate, seed, "ended the process that judged it")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _judged(
    candidates: Mapping[int, Candidate],
    modules: Sequence[str],
    seconds: float,
    seed: int,
    processes: int,
) -> Iterator[tuple[int, Judgement]]:
    """The judgements of some candidates of a batch, in processes that are started for them."""
    spawned = multiprocessing.get_context("spawn")  # a fork would have the locks of our threads
    count = min(processes, len(candidates))
    with ProcessPoolExecutor(count, spawned, _warm, (modules,)) as pool:
        waited = {pool.submit(_judge, c, seconds, seed): i for i, c in candidates.items()}
        try:
            for done in as_completed(waited):
                yield waited[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_zygotes: list[Zygote] = []  # of a process of the pool: one


def _warm(modules: Sequence[str]) -> None:
    """Make a process of the pool ready: its clean process is started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who waits for the pool
    zygote = Zygote(modules)
    zygote.launch()
    _zygotes.append(zygote)


def _judge(candidate: Candidate, seconds: float, seed: int) -> Judgement:
    """Judge a candidate in a process of the pool."""
    try:
        asked = Conformance(
            candidate.definition,
            candidate.dtype,
            seed=seed,
            arrays=candidate.arrays,
            device=candidate.device,
        )
        subject = asked.subject(candidate.subject)
        return judged_apart(subject, candidate.dtype, _zygotes[0], seconds=seconds, seed=seed)
    except ValueError as error:  # there is nothing of that name
        return _refused(candidate, seed, str(error))


def _refused(candidate: Candidate, seed: int, word: str) -> Judgement:
    """The judgement of a candidate that could not be asked."""
    return Judgement(
        REFUSED,
        candidate.definition,
        candidate.subject,
        candidate.dtype,
        seed,
        "",
        failure=not_judged(word),
    )
