"""The judgement of one candidate: what kills most wrong kernels is asked first, until one fails.

Nothing is written twice here: items come from ``runs.plan``, verdicts, shrinking and scripts from
``runs.execute``, causes from ``reports.hints``.  Where a failure is within the bound of a coarser
class, the candidate is held to that class from there on: what is within it to the end is less
precise than declared, and what is within none is wrong.
"""

from __future__ import annotations

import math
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...derivations import lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS
from ..inputs.families import Batch
from ..reports.hints import hints, hints_of_case
from ..runs.asked import Asked
from ..runs.execute import Connect, GivenUp, asked_of, execute_until, preflight
from ..runs.plan import PREFLIGHT, plan
from ..runs.reproduce import Shown
from ..runs.results import Failure, Item, Result
from ..subjects.built_in import registered
from ..subjects.contract import WIDENING, Contract
from ..subjects.isolation.forked import Zygote
from ..subjects.isolation.in_process import InProcess, LiveSubject
from ..subjects.isolation.worker_pool import Workers
from ..subjects.subject import NotApplicable, Subject, SubjectFault
from ..subjects.surroundings import Surroundings, our_own
from ..suites import SUITES
from ..suites.verdicts import Violation, no_result
from ..testing import Conformance
from .again import again
from .judgement import IMPRECISE, REFUSED, RIGHT, WRONG, Judgement
from .order import in_order

SECONDS = 5.0
SEED_BITS = 64
FIRST_CALL = 30.0  # seconds that an import and a first call may take, which may compile
LATER_CALL = 10.0  # seconds that any other call may take
SHRINKING = 1.0  # seconds in which what fails is made smaller
AGAIN = "asked again"  # the family of what is found so
NOT_DETERMINISTIC = "not deterministic"
RECORDS = "regressions"  # bugs on record, which none of the usual class of arithmetic has


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
        SHRINKING seconds at most, and a call that runs is waited for.
    seed
        What inputs are drawn from; None draws 64 bits, which the judgement has. The same seed asks
        the same; how far that comes in the time depends on the machine.

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
        return judged(subject, dtype, _in_this_process(function), seconds=seconds, seed=seed)
    with Zygote(modules_of(subject.arrays)) as zygote:
        return judged_apart(subject, dtype, zygote, seconds=seconds, seed=seed)


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


def _in_this_process(function: Callable[..., Any]) -> Connect:
    """What calls a function here; of one subject it is always the same."""
    surroundings = Surroundings()
    known: list[LiveSubject] = []

    def connect(subject: Subject) -> LiveSubject:
        live = next((live for live in known if live.subject == subject), None)
        if live is None:
            live = InProcess(subject, function, surroundings)
            known.append(live)
        return live

    return connect


def judged_apart(
    subject: Subject, dtype: str, zygote: Zygote, *, seconds: float, seed: int
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
    seconds, seed
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
        return judged(subject, dtype, workers.connect, seconds=seconds, seed=seed)


def judged(
    subject: Subject, dtype: str, connect: Connect, *, seconds: float, seed: int
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
    seconds, seed
        As ``judge`` has them.

    Returns
    -------
    Judgement
        The verdict.
    """
    began = time.monotonic()
    subject = replace(subject, time_limit=LATER_CALL, snippet=subject.snippet or _call_of(subject))
    with our_own():
        found = _Asking(subject, dtype, connect, seed).judgement(seconds)
    return replace(found, seconds=time.monotonic() - began)


def _is_usual(contract: Contract) -> bool:
    """Whether the class of arithmetic is the one that nobody has to declare."""
    usual = Contract()
    return all(getattr(contract, axis) == getattr(usual, axis) for axis in WIDENING)


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


class _Asking:
    """What is asked of one candidate, and what was found so far."""

    def __init__(self, subject: Subject, dtype: str, connect: Connect, seed: int) -> None:
        self._subject = self._held = subject  # as declared, and as it is held to now
        self._connect = connect
        self._dtype, self._seed = dtype, seed
        suites = [name for name, suite in SUITES.items() if suite.budget == "quick"]
        self._left = in_order(plan([subject], suites, [dtype], seed=seed))
        self._asked = 0  # of them to their end
        self._total = Result(subject.definition, subject.id, "", dtype)
        self._verdict = RIGHT
        self._suite = ""
        self._failure: Failure | None = None
        self._admitted_by: tuple[str, ...] = ()  # what admits that failure

    def judgement(self, seconds: float) -> Judgement:
        """Ask until something is wrong, or until so many seconds after the first answer."""
        if (word := self._inapplicable()) is not None:
            self._verdict, self._failure = REFUSED, not_judged(word)
            return self._written()
        until = time.monotonic() + seconds
        drawn = next((item for item in self._left if item.suite == "accuracy"), None)
        for item in [*self._left]:
            if item.suite == RECORDS and not _is_usual(self._held.contract):
                continue
            try:
                to_its_end = self._ask(item, until)
                if to_its_end and item is drawn:
                    self._ask_again(item)
            except GivenUp:
                break
            if not to_its_end or self._verdict in (WRONG, REFUSED):
                break
            self._left.remove(item)
            self._asked += 1
        if not self._total.checks and self._verdict == RIGHT:
            word = f"nothing could be judged in {seconds:g} s"
            self._verdict, self._failure = REFUSED, not_judged(word)
        return self._written()

    def _inapplicable(self) -> str | None:
        """Why the candidate cannot be asked in this format at all; None where it can."""
        asked = asked_of(self._left[0], self._connect(self._subject))
        try:
            preflight(type(asked), asked.subject, asked.fmt)
        except NotApplicable as word:
            return str(word)
        return None

    def _ask(self, item: Item, until: float) -> bool:
        """Ask an item, of ever coarser classes while they admit what fails; is it all of it?"""
        while True:
            held = replace(item, subject=self._held)
            part = execute_until(held, self._connect, until, SHRINKING)
            if not part.result.failures:
                self._total = self._total.merge(part.result)
                # Where it is asked what it does with special values, who dies has none to show.
                if (death := self._connect(self._held).last_death) is not None:
                    self._suite, self._failure = item.suite, not_judged(str(death), death.kind)
                    self._verdict = WRONG
                return part.complete
            (failure,) = part.result.failures
            if self._failure is None or not part.admitted_by:
                self._suite, self._failure, self._admitted_by = (
                    item.suite,
                    failure,
                    part.admitted_by,
                )
            if not part.admitted_by:
                self._total = self._total.merge(part.result)
                refused = failure.family == PREFLIGHT or failure.kind == NOT_DETERMINISTIC
                self._verdict = REFUSED if refused else WRONG
                return True
            self._verdict = IMPRECISE
            self._held = self._held.declaring([*part.admitted_by])

    def _ask_again(self, item: Item) -> None:
        """Ask the batches of an item again, after other calls and in memory that they used."""
        if self._verdict != RIGHT:
            return
        asked = asked_of(item, self._connect(self._held))
        try:
            for batch, violation in again(asked):
                if violation is not None:
                    self._take(asked, batch, violation)
                    return
                self._total = replace(self._total, checks=self._total.checks + 1)
        except NotApplicable:
            return
        except SubjectFault as fault:
            (violation,) = no_result(fault).violations
            self._take(asked, asked.nothing(), violation)

    def _take(self, asked: Asked[Any], batch: Any, violation: Violation) -> None:
        """Take a violation that was found by asking again."""
        one = asked.alone(batch, violation.row)
        shown = Shown(AGAIN, one, violation, repeats=False, fails_alone=False)
        failure = asked.write_failure(shown)
        self._suite, self._admitted_by = asked.item.suite, ()
        self._failure = replace(failure, family=AGAIN, reproduce=self._command(), snippet=None)
        self._verdict = REFUSED if violation.kind == NOT_DETERMINISTIC else WRONG

    def _command(self) -> str:
        """The command that judges the candidate again, at the same inputs."""
        subject, known = self._subject, registered(self._subject.id, self._subject.definition)
        command = f"softproof gate {subject.definition} --subject {shlex.quote(subject.id)}"
        command += f" --dtype {self._dtype} --seed {self._seed}"
        if subject.arrays != known.arrays:
            command += f" --arrays {subject.arrays}"
        if subject.device != known.device:
            command += f" --device {subject.device}"
        return command

    def _written(self) -> Judgement:
        """The judgement, from what was found so far."""
        subject, total = self._subject, self._total
        fits: tuple[str, ...] = ()
        if self._verdict == IMPRECISE:
            fits = tuple(self._held.contract.settings_from(subject.contract))
        return Judgement(
            verdict=self._verdict,
            definition=subject.definition,
            subject=subject.id,
            dtype=self._dtype,
            seed=self._seed,
            contract=str(subject.contract),
            fits=fits,
            grade=total.grade if self._verdict == RIGHT else None,
            checks=total.checks,
            worst=total.worst,
            undecided=total.undecided,
            asked=self._asked,
            not_reached=tuple(f"{i.suite} {i.family}".rstrip() for i in self._left),
            observed=total.observed,
            suite=self._suite,
            failure=self._failure,
            causes=tuple(self._causes()),
        )

    def _causes(self) -> list[tuple[str, str]]:
        """What is the likely cause, where the failure tells that."""
        failure = self._failure
        if failure is None:
            return []
        if failure.case is not None or not failure.logits:
            return hints_of_case(lookup(self._subject.definition), failure, self._admitted_by)
        fmt = ARRAY_FORMATS[self._dtype]
        row = np.array([[float.fromhex(v) for v in failure.logits]]).astype(fmt.dtype)
        labels = None if failure.label is None else np.array([failure.label])
        batch = Batch(failure.family, row, labels)
        return hints(self._subject, self._connect, self._suite, fmt, failure, batch)


def not_judged(word: str, kind: str = "not judged") -> Failure:
    """The failure of a candidate in a call of which no row or case is shown.

    Parameters
    ----------
    word
        Why.
    kind
        Its sort, as that of a ``SubjectFault``.

    Returns
    -------
    Failure
        Without a row or a case.
    """
    return Failure(
        family=PREFLIGHT,
        kind=kind,
        message=word,
        detail="",
        logits=(),
        label=None,
        index=None,
        observed=None,
        expected=None,
        error=math.inf,
        threshold=None,
        source="",
        reproduce="",
        snippet=None,
    )
