"""The built-in subjects of a definition beside each other: a benchmark without code of its own.

Whoever registers an implementation (``verify/subjects/registration.py``, or ``kernel_of`` above a
kernel) has it timed here by its name, with whatever else implements the definition.  What is timed
is the call as `softproof verify` makes it: each makes the memory of its result.  A loss alone and a
loss with its gradient are not the same work, and stand in tables of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...derivations import Definition
from ...derivations.arithmetic.formats import FORMATS
from ..subjects.arrays import jax_with_float64, to_native
from ..subjects.call import keywords_of, load
from ..subjects.isolation.in_process import InProcess
from ..subjects.subject import NotApplicable, Subject, SubjectError, SubjectFault, short_id
from .operations import INSTALLED, SHORTEST, Clock, Tell, counted, described, over, quartiles_told
from .peers import Candidate, Unsupported, pytorch_threads
from .posed import Posed, Shape, pose, told, trial_shape
from .timing import interleaved, quiet

WITH_GRADIENT = "{}, with its gradient"

Kinds = dict[str, list[Subject]]
Skipped = dict[str, str]


def kinds(definition: Definition, dtype: str, subjects: Sequence[Subject]) -> tuple[Kinds, Skipped]:
    """Which subjects are held against each other, and why others are left out.

    Parameters
    ----------
    definition
        What is timed.
    dtype
        The name of a format.
    subjects
        Implementations, of this definition or of others.

    Returns
    -------
    kinds, skipped
        Subjects by what they return: the value, or the value with its gradient; at least two of
        each. And for each subject that is left out the reason.

    >>> from softproof.derivations import lookup
    >>> from softproof.verify.subjects.built_in import BUILT_IN
    >>> of_numpy = [subject for subject in BUILT_IN if subject.arrays == "numpy"]
    >>> found, _ = kinds(lookup("ria"), "float32", of_numpy)
    >>> [subject.id for subject in found["ria"]]
    ['softproof.kernels:ria', 'softproof.verify.textbook:ria_as_published']
    """
    posed = pose(definition, dtype, trial_shape(definition))
    found: Kinds = {}
    skipped: Skipped = {}
    for subject in (s for s in subjects if s.definition == definition.name):
        name = short_id(subject.id)
        why = subject.missing() or _unsuitable(subject, dtype)
        if why is None:
            try:
                kind = _kind(InProcess(subject), posed)
            except (SubjectFault, SubjectError, NotApplicable) as fault:
                why = str(fault)
            else:
                found.setdefault(kind, []).append(subject)
        if why is not None:
            skipped[name] = why
    for kind, alone in [(k, s[0]) for k, s in found.items() if len(s) == 1]:
        skipped[short_id(alone.id)] = f"nothing to compare with: the only one of {kind}"
        del found[kind]
    return found, skipped


def _kind(live: InProcess, posed: Posed) -> str:
    """What a subject returns for arguments; it raises what the call does."""
    definition = live.definition
    if definition.of_a_row:
        outcome = live(*posed.arrays)
        return (
            definition.name if outcome.gradient is None else WITH_GRADIENT.format(definition.name)
        )
    sizes = dict(zip(posed.axes, posed.shape, strict=True)) | definition.counted({})
    shapes = {
        name: (sizes["cases"], *(sizes[axis] for axis in axes))
        for name, axes in definition.signature.outputs.items()
    }
    live.of_arguments(posed.arrays, shapes, FORMATS[posed.dtype].dtype, parameters={})
    return definition.name


def _unsuitable(subject: Subject, dtype: str) -> str | None:
    """Why a subject cannot be timed; None where it can."""
    if subject.device:
        return f"its arrays are on {subject.device}"
    return None if dtype in subject.dtypes else f"no {dtype}"


def candidate(
    subject: Subject, posed: Posed, threads: int, parameters: Mapping[str, float]
) -> Candidate:
    """Make the call of a subject with arguments.

    Parameters
    ----------
    subject
        The subject.
    posed
        The arguments.
    threads
        How many it may use.
    parameters
        Of these it is given those that it takes.

    Returns
    -------
    Candidate
        The call, with a new result each time.

    Raises
    ------
    Unsupported
        If it cannot use so many threads.
    """
    function = load(subject.id).function
    arguments = [to_native(array, subject.arrays) for array in posed.arrays]
    taken = keywords_of(function, subject.arrays)
    keywords: dict[str, Any] = {name: v for name, v in parameters.items() if name in taken}
    name = short_id(subject.id)
    if subject.arrays == "jax":
        wait = jax_with_float64().block_until_ready
        return Candidate(name, lambda: wait(function(*arguments, **keywords)), None, allocates=True)
    takes_threads = "threads" in taken
    if threads > 1 and not takes_threads and subject.arrays != "torch":
        raise Unsupported("one thread only, timed with threads=1")
    keywords |= {"threads": threads} if takes_threads else {}
    return Candidate(name, lambda: function(*arguments, **keywords), threads, allocates=True)


def run(
    definition: Definition,
    subjects: Kinds,
    skipped: Mapping[str, str],
    dtype: str,
    shapes: Sequence[Shape],
    threads: Sequence[int],
    rounds: int,
    *,
    tell: Tell = lambda what: None,
    clock: Clock = time.perf_counter,
) -> Iterator[dict[str, Any]]:
    """Time the subjects of each kind, case by case.

    Where nobody can use so many threads, there is no case.

    Parameters
    ----------
    definition
        What they implement.
    subjects, skipped
        What `kinds` returned.
    dtype
        The name of the format.
    shapes
        As of `posed.pose`.
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
        For JSON, as of `operations.run`, but that `axes` names what `shape` counts, `elements` is
        what times are divided by, and `drawn` says how arguments are drawn. There are no limits,
        and ratios are to one of the candidates: `reference` names it, the first of its kind, and
        `times_reference` of each are the quartiles of the reference's seconds over its own, null
        where the reference cannot use so many threads.
    """
    defaults = {n: p.default for n, p in definition.parameters.items() if p.default is not None}
    parameters = {} if definition.of_a_row else defaults  # as `verify` calls them
    for kind, chosen in subjects.items():
        for shape in shapes:
            posed = None  # so that the one before is gone while the next is made
            posed = pose(definition, dtype, shape)
            for count in threads:
                tell(f"{kind} {dtype}, {described(shape)}, {counted(count)}")
                timed, left_out = [], dict(skipped)
                for subject in chosen:
                    try:
                        timed.append(candidate(subject, posed, count, parameters))
                    except Unsupported as error:
                        left_out[short_id(subject.id)] = str(error)
                if timed:
                    reference = short_id(chosen[0].id)
                    found = _case(posed, count, timed, reference, rounds, clock)
                    yield {
                        "operation": kind,
                        **found,
                        "drawn": told(definition),
                        "skipped": left_out,
                    }


def _case(
    posed: Posed,
    threads: int,
    timed: Sequence[Candidate],
    reference: str,
    rounds: int,
    clock: Clock,
) -> dict[str, Any]:
    with pytorch_threads(threads), np.errstate(all="ignore"):
        seconds = interleaved(
            {c.name: c.call for c in timed},
            rounds,
            clock,
            shortest=SHORTEST,
            settle=quiet if threads > 1 else None,
        )
    return {
        "dtype": posed.dtype,
        "axes": list(posed.axes),
        "shape": list(posed.shape),
        "elements": posed.elements,
        "threads": threads,
        "allocator": INSTALLED,
        "reference": reference,
        "candidates": [
            {
                "name": c.name,
                "threads": c.threads,
                "allocates": c.allocates,
                "seconds": seconds[c.name].tolist(),
                "nanoseconds_per_element": 1e9 * float(np.median(seconds[c.name])) / posed.elements,
                "times_reference": over(seconds.get(reference), seconds[c.name]),
            }
            for c in timed
        ],
    }


def print_subjects(cases: Sequence[dict[str, Any]], console: Console) -> None:
    """Print one table for each kind among the cases of `run`, and what to know about them.

    Parameters
    ----------
    cases
        Those of `run`.
    console
        Where they are printed.
    """
    for kind in dict.fromkeys(case["operation"] for case in cases):
        console.print(_table([case for case in cases if case["operation"] == kind]))
    rounds = max(len(e["seconds"]) for case in cases for e in case["candidates"])
    lines = [
        f"{cases[0]['drawn']}; medians and quartiles "
        f"of ratios within {rounds} interleaved rounds of wall-clock time. Each makes new memory "
        "for its result. A ratio is the time of the one it names over the subject's own, so more "
        "is faster."
    ]
    skipped = {f"{name}: {why}": None for case in cases for name, why in case["skipped"].items()}
    lines += [f"Skipped {what}." for what in skipped]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _table(cases: Sequence[dict[str, Any]]) -> Table:
    reference = cases[0]["reference"]
    table = Table(title=f"{cases[0]['operation']}, {cases[0]['dtype']}")
    for heading in (
        " x ".join(cases[0]["axes"]),
        "subject",
        "threads",
        "ns / element",
        f"x {reference}",
        "quartiles",
    ):
        table.add_column(heading, justify="left" if heading == "subject" else "right")
    for case in cases:
        for entry in case["candidates"]:
            table.add_row(
                described(case["shape"]) if entry is case["candidates"][0] else "",
                entry["name"],
                "own" if entry["threads"] is None else str(entry["threads"]),
                f"{entry['nanoseconds_per_element']:.3g}",
                *quartiles_told(entry["times_reference"]),
            )
        table.add_section()
    return table
