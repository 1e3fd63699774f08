"""The judgement of one candidate, in this process or in one that is forked for it."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ...derivations import lookup
from ..runs.execute import Connect, in_this_process
from ..subjects.contract import Contract
from ..subjects.isolation.forked import Zygote
from ..subjects.isolation.worker_pool import Workers
from ..subjects.subject import Subject
from ..subjects.surroundings import Surroundings, our_own
from ..testing import Conformance
from .asking import Asking
from .judgement import Judgement

SECONDS = 5.0
SEED_BITS = 64
FIRST_CALL = 30.0  # seconds that an import and a first call may take, which may compile
LATER_CALL = 10.0  # seconds that any other call may take


def judge(
    function: Callable[..., Any] | str,
    definition: str,
    *,
    dtype: str = "float32",
    arrays: str = "numpy",
    device: str = "",
    contract: Contract | Mapping[str, Any] | None = None,
    seconds: float = SECONDS,
    seed: int | None = None,
    keep_going: bool = False,
) -> Judgement:
    """Judge an implementation of a definition in seconds.

    It is asked at the hazards that find most wrong kernels in a second first, and until one proof
    of wrongness is found, or the time is up; what was not asked then is said. No budget of time
    makes a right implementation wrong.

    Parameters
    ----------
    function
        The candidate. Its name ``"module:attribute"``, or the command line of a program, runs in a
        process of its own, which is forked from a clean one and sees the inputs that it is called
        with, but no seed, truth or threshold: a crash, a hang and what it does to libraries are
        its own. A callable runs in this process, which it may change or end.
    definition
        The name of the definition that it implements.
    dtype
        The name of the format: float16, bfloat16, float32 or float64.
    arrays
        The library whose arrays it takes: numpy, torch, jax or cupy.
    device
        Where these live, as "cuda"; empty for the library's default.
    contract
        Where implementations differ legitimately, what this one does: a Contract, or a mapping of
        its settings. What is not declared of special values is observed.
    seconds
        How long it is asked, from its first answer on. What was found is then made smaller for
        a second at most, and a call that runs is waited for.
    seed
        What inputs are drawn from; None draws 64 bits, which the judgement has. The same seed asks
        the same; how far that comes in the time depends on the machine.
    keep_going
        Whether it is asked to the end of the time where it is wrong, too: ``also`` of the judgement
        then says what else fails.

    Returns
    -------
    Judgement
        The verdict, and what it rests on.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> def softmax(x):
    ...     e = np.exp(x)
    ...     return e / e.sum(axis=-1, keepdims=True)
    >>> found = judge(softmax, "softmax", seed=1)
    >>> found.verdict, found.status
    ('wrong', 1)
    >>> judge("softproof.kernels:softmax", "softmax", seconds=0.5).verdict
    'right within its class'
    """
    if not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
        raise ValueError(f"seconds is {seconds!r}; give a number above 0")
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    asked = Conformance(definition, dtype, contract, seed=seed, arrays=arrays, device=device)
    subject = asked.subject(function)
    if callable(function):
        return judged(
            subject,
            dtype,
            in_this_process(function, Surroundings()),
            seconds=seconds,
            seed=seed,
            keep_going=keep_going,
        )
    with Zygote(modules_of(subject.arrays)) as zygote:
        return judged_apart(
            subject, dtype, zygote, seconds=seconds, seed=seed, keep_going=keep_going
        )


def modules_of(arrays: str) -> tuple[str, ...]:
    """The modules that a clean process imports for candidates that take arrays of a library.

    JAX is left out: it starts threads, after which no process can be forked.

    Parameters
    ----------
    arrays
        The name of the library.

    Returns
    -------
    tuple of str
        Names of modules.
    """
    return ("torch",) if arrays == "torch" else ()


def judged_apart(
    subject: Subject,
    dtype: str,
    zygote: Zygote,
    *,
    seconds: float,
    seed: int,
    keep_going: bool = False,
) -> Judgement:
    """Judge a candidate in a process of its own.

    Parameters
    ----------
    subject
        The candidate.
    dtype
        The name of the format.
    zygote
        What the process is forked from.
    seconds, seed, keep_going
        As ``judge`` has them.

    Returns
    -------
    Judgement
        The verdict.

    Raises
    ------
    ValueError
        If there is nothing of its name.
    """
    with Workers(zygote.start, FIRST_CALL) as workers:
        for error in workers.load([subject]):
            raise ValueError(str(error))
        return judged(
            subject, dtype, workers.connect, seconds=seconds, seed=seed, keep_going=keep_going
        )


def judged(
    subject: Subject,
    dtype: str,
    connect: Connect,
    *,
    seconds: float,
    seed: int,
    keep_going: bool = False,
) -> Judgement:
    """Judge a candidate that ``connect`` makes callable.

    Parameters
    ----------
    subject
        The candidate.
    dtype
        The name of the format.
    connect
        What makes it callable, under this and coarser contracts.
    seconds, seed, keep_going
        As ``judge`` has them.

    Returns
    -------
    Judgement
        The verdict.
    """
    began = time.monotonic()
    subject = replace(subject, time_limit=LATER_CALL, snippet=subject.snippet or _call_of(subject))
    with our_own():
        found = Asking(subject, dtype, connect, seed, keep_going).judgement(seconds)
    return replace(found, seconds=time.monotonic() - began)


def _call_of(subject: Subject) -> str:
    """The call of a user's function of rows without softproof; "" where that cannot be told."""
    module, _, attribute = subject.id.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    importable = not subject.command and module != "__main__" and all(map(str.isidentifier, parts))
    if not importable or not lookup(subject.definition).of_a_row:
        return ""
    function = ".".join(parts)
    arguments = "x, labels" if lookup(subject.definition).labelled else "x"
    along = f'n: -1 for n in ("axis", "dim") if n in inspect.signature({function}).parameters'
    return (
        f"result = {function}({arguments}, **{{{along}}})\n"
        "result[0] if isinstance(result, tuple) else result"
    )
