"""A task judged: by the gate where it is of a definition, else by its reference.

As a definition it is asked at the sizes that the gate asks, where truths are exact and bounds are
proven or running errors.  Then, and of tasks of no definition throughout, it is held beside the
task's own reference: at small sizes, at a ragged one, and at those that the task ships with.
"""

from __future__ import annotations

import math
import secrets
import shlex
import time
from dataclasses import replace
from pathlib import Path

from ..gate.judgement import IMPRECISE, RIGHT, WRONG, Judgement
from ..gate.judging import SECONDS, SEED_BITS, judged_apart
from ..runs.results import Failure
from ..subjects.isolation.task_source import sizes_in
from ..subjects.subject import Subject
from .by_reference import judged_by_reference
from .hosted import Hosts, Task
from .recognise import Recognised, recognise
from .shapes import as_shipped, ragged, small

KERNELBENCH = ("Model", "ModelNew")  # what the reference and the candidate are called


def kernelbench(
    problem: Path | str,
    candidate: Path | str,
    *,
    dtype: str = "float32",
    device: str = "",
    seconds: float = SECONDS,
    seed: int | None = None,
) -> Judgement:
    """Judge a candidate of a task in the format of KernelBench.

    Parameters
    ----------
    problem
        The file of the task, with ``Model``, ``get_inputs()`` and ``get_init_inputs()``. It is run,
        in a process of its own.
    candidate
        The file of the candidate, with ``ModelNew``.
    dtype
        The name of the format that models and inputs are brought to.
    device
        Where arrays are, such as "cuda"; empty for the library's default.
    seconds
        How long it is asked as a definition, and how long beside the reference.
    seed
        What inputs are drawn from; None draws 64 bits.

    Returns
    -------
    Judgement
        The verdict. Its ``definition`` is the one that was recognised, with what the task has
        fixed of it, or the reference, where ``estimate`` is not empty.

    Raises
    ------
    ValueError
        If the task does not run, or is none.
    OSError
        If a file cannot be read.
    """
    model, name = KERNELBENCH
    task = Task(Path(problem), model, Path(candidate), name, dtype, device)
    command = f"softproof gate --kernelbench {_quoted(problem, candidate)} --dtype {dtype}"
    return judged_task(task, command, seconds=seconds, seed=seed)


def by_reference(
    reference: str,
    candidate: str,
    *,
    dtype: str = "float32",
    device: str = "",
    seconds: float = SECONDS,
    seed: int | None = None,
) -> Judgement:
    """Judge a candidate by any reference, which gives the truth in binary64: an estimate.

    Parameters
    ----------
    reference
        A file and a name, ``ref.py:Model``: a class whose objects are called, or a function. The
        file has ``get_inputs()`` as well, and ``get_init_inputs()`` where the class takes any.
    candidate
        A file and a name; without a name it is ModelNew for Model, else the reference's.
    dtype, device, seconds, seed
        As ``kernelbench`` has them.

    Returns
    -------
    Judgement
        The verdict, with the estimate that it rests on.

    Raises
    ------
    ValueError
        If the reference does not run, or gives nothing that can be judged.
    OSError
        If a file cannot be read.
    """
    file, model = _split(reference, KERNELBENCH[0])
    own, name = _split(candidate, KERNELBENCH[1] if model == KERNELBENCH[0] else model)
    task = Task(Path(file), model, Path(own), name, dtype, device)
    command = f"softproof gate --reference {_quoted(reference, candidate)} --dtype {dtype}"
    return judged_task(task, command, seconds=seconds, seed=seed, known=False)


def _quoted(*words: Path | str) -> str:
    """Words as a shell takes them."""
    return " ".join(shlex.quote(str(word)) for word in words)


def _split(text: str, default: str) -> tuple[str, str]:
    """A file and a name."""
    file, colon, name = text.rpartition(":")
    return (file, name) if colon and name.isidentifier() else (text, default)


def judged_task(
    task: Task, command: str, *, seconds: float, seed: int | None, known: bool = True
) -> Judgement:
    """Judge the candidate of a task.

    Parameters
    ----------
    task
        The task.
    command
        The command that judges it so, but for the device and the seed.
    seconds, seed
        As ``kernelbench`` has them.
    known
        Whether it may be recognised as a definition.

    Returns
    -------
    Judgement
        The verdict.

    Raises
    ------
    ValueError
        If the task does not run.
    """
    if not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
        raise ValueError(f"seconds is {seconds!r}; give a number above 0")
    began = time.monotonic()
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    command += f" --device {task.device}" if task.device else ""
    command += f" --seed {seed}"
    with Hosts(task) as hosts:
        smallest = small(hosts)
        places = [s for s in (ragged(hosts, smallest), as_shipped(hosts, smallest)) if s]
        resizable = smallest.sizes != tuple(sizes_in(task.source)) or not smallest.sizes
        recognised = recognise(hosts, smallest) if known and resizable else None
        known_as = _as_definition(hosts, recognised, seconds, seed) if recognised else ""
        if isinstance(known_as, str):
            found = judged_by_reference(hosts, [smallest, *places], seconds=seconds, seed=seed)
            found = replace(found, estimate="; ".join(filter(None, [known_as, found.estimate])))
        else:
            found = known_as
            if recognised is not None and recognised.binding.singly:
                places = [smallest, *places]  # how it reduces a batch was not asked
            if places and found.verdict in (RIGHT, IMPRECISE):
                beside = judged_by_reference(hosts, places, seconds=seconds, seed=seed)
                found = _both(found, beside)
    if found.failure is not None:
        found = replace(found, failure=replace(found.failure, reproduce=command))
    return replace(found, seconds=time.monotonic() - began)


def _as_definition(
    hosts: Hosts, recognised: Recognised, seconds: float, seed: int
) -> Judgement | str:
    """Judge by the gate; in words where the task's own reference is as wrong."""
    task = hosts.task
    with recognised.restriction.registered() as definition:

        def judged(of_reference: bool) -> Judgement:
            subject = Subject(
                hosts.bound(recognised.binding, of_reference=of_reference),
                definition,
                dtypes=(task.dtype,),
                arrays=task.library,
                device=task.device,
            )
            return judged_apart(subject, task.dtype, hosts.zygote, seconds=seconds, seed=seed)

        found = judged(of_reference=False)
        if found.verdict in (WRONG, IMPRECISE) and _is_a_value(found.failure):
            theirs = judged(of_reference=True)
            if theirs.verdict in (WRONG, IMPRECISE) and _is_a_value(theirs.failure):
                return f"as {definition}, {task.model} is {theirs.verdict} itself: {_words(theirs)}"
    if found.failure is not None:  # its script would import a module that is gone
        found = replace(found, failure=replace(found.failure, snippet=None))
    return replace(found, subject=f"{task.candidate.name}:{task.name}")


def _is_a_value(failure: Failure | None) -> bool:
    return failure is not None and failure.kind == "value"


def _words(found: Judgement) -> str:
    """What is wrong, in a line."""
    failure = found.failure
    assert failure is not None
    where = f"logits [{', '.join(failure.logits)}]" if failure.logits else failure.case or ""
    where = " ".join(where.split())
    return f"{failure.observed}, expected {failure.expected}, at {where}"


def _both(found: Judgement, beside: Judgement) -> Judgement:
    """One judgement of what the gate found, and of what was found beside the reference."""
    total = replace(
        found,
        checks=found.checks + beside.checks,
        undecided=found.undecided + beside.undecided,
        asked=found.asked + beside.asked,
        not_reached=found.not_reached + beside.not_reached,
    )
    if beside.verdict == RIGHT or beside.verdict == found.verdict:
        return total
    return replace(
        total,
        verdict=beside.verdict,
        fits=beside.fits,
        grade=None,
        suite=beside.suite,
        failure=beside.failure,
        causes=beside.causes,
        estimate=beside.estimate,
    )
