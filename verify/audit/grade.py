"""Give a check the planted mistakes of a definition, and right implementations, and see."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ...derivations.arithmetic.formats import BINARY32, Format
from ...derivations.definition import Definition
from ..power.computed import (
    Call,
    Outputs,
    at_least_binary32,
    blocked,
    computed,
    right,
    steady_forms,
)
from ..power.mistakes import Mistake
from ..power.of_formulas import mistakes_of, right_implementations
from ..power.seen import Seen, shown
from ..subjects.subject import SubjectRaised
from .candidate import as_candidate
from .check import Check
from .comparison import Asked

FEW_ULPS = 4  # those of 16 bits are computed in 32, and rounded once
CheckFunction = Callable[[Callable[..., Any]], Any]


@dataclass(frozen=True)
class Judged:
    """What a check said of an implementation: whether it accepts it.

    * ``excess``: by what factor the tolerances would have to grow to accept it; None of a check
      that is a function.
    * ``limiting``: the comparison with this excess, and the tolerances that would reject it.
    * ``raised``: the exception that the check raised, which is taken for a rejection; "" for none.
    """

    accepted: bool
    excess: float | None = None
    limiting: str = ""
    raised: str = ""


@dataclass(frozen=True)
class Graded:
    """An implementation, and what the check said of it.

    ``seen``: an input that shows a wrong one that was accepted; None where no suite sees it.
    """

    name: str
    words: str
    judged: Judged
    seen: Seen | None = None


@dataclass
class Audit:
    """The grade of a check: what it said of each mistake, and of right implementations.

    ``noise``: the excess of what is off by an ulp, or by FEW_ULPS in formats that kernels compute
    in, up and down by turns: tolerances below it would reject right implementations.
    """

    title: str
    definition: str
    dtype: str
    seed: int
    noise: float = 0.0
    mistakes: list[Graded] = field(default_factory=list)
    right: list[Graded] = field(default_factory=list)

    @property
    def surviving(self) -> list[Graded]:
        """The mistakes that the check accepts."""
        return [graded for graded in self.mistakes if graded.judged.accepted]

    @property
    def false_alarms(self) -> list[Graded]:
        """The right implementations that it rejects."""
        return [graded for graded in self.right if not graded.judged.accepted]

    @property
    def kill_rate(self) -> float:
        """The share of the mistakes that it rejects."""
        return 1 - len(self.surviving) / len(self.mistakes)

    @property
    def least_excess(self) -> float:
        """What right implementations may exceed: no tolerance tells apart what exceeds no more."""
        known = [graded.judged.excess or 0.0 for graded in self.right]
        return max((x for x in (self.noise, *known) if math.isfinite(x)), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether it rejects all that is wrong, and accepts all that is right."""
        return not self.surviving and not self.false_alarms

    def as_dict(self) -> dict[str, Any]:
        """All of it, as plain data for JSON."""
        return {**asdict(self), "kill_rate": self.kill_rate, "passed": self.passed}


Judge = Callable[[Mistake], Judged]


def grade(
    audit: Audit, definition: Definition, fmt: Format, judge: Judge
) -> Iterator[tuple[int, int, str]]:
    """Ask a check about all planted mistakes of a definition, and about right implementations.

    Parameters
    ----------
    audit
        What is filled in.
    definition
        What the check tests.
    fmt
        The format of the numbers.
    judge
        Asks the check about one implementation: a ``Described`` check, or what ``called`` gives.

    Yields
    ------
    tuple
        Before each implementation, how many are done, of how many, and its name.
    """
    mistakes = mistakes_of(definition, fmt)
    careful = right_implementations(definition, fmt)
    count = len(mistakes) + len(careful)
    for done, one in enumerate(careful):
        yield done, count, one.name
        audit.right.append(Graded(one.name, one.function.__doc__ or "", judge(one)))
    for done, one in enumerate(mistakes, len(careful)):
        yield done, count, one.name
        judged = judge(one)
        seen = shown(one, fmt) if judged.accepted else None
        audit.mistakes.append(Graded(one.name, one.function.__doc__ or "", judged, seen))


# --- a check that is described ---


@dataclass(frozen=True)
class _Posed:
    """A call with what its results are compared with."""

    call: Call
    reference: Outputs
    eager: Outputs


class Described:
    """What asks a check that is described about implementations; inputs are drawn once.

    ``noise`` is the excess of references that are off by some ulp, as ``Audit`` has it.
    """

    def __init__(self, check: Check, seed: int) -> None:
        self._check = check
        self._posed = [_posed(check, call) for call in check.calls(seed)]
        self.noise = max(
            self._compared(one, [_off_by_some_ulp(y, check.format) for y in one.reference])[0]
            for one in self._posed
        )

    def __call__(self, implementation: Mistake) -> Judged:
        """What the check says of an implementation."""
        worst, limiting = 0.0, ""
        for one in self._posed:
            call = one.call
            found = implementation.function(*call.values.values(), **call.parameters)
            excess, told = self._compared(one, found if isinstance(found, tuple) else (found,))
            if excess > worst:
                worst, limiting = excess, told
        return Judged(worst <= 1, worst, limiting)

    def _compared(self, one: _Posed, outputs: Sequence[Any]) -> tuple[float, str]:
        """The largest excess of all outputs and comparisons, and the one that has it."""
        worst, limiting = 0.0, ""
        for y, reference, eager in zip(outputs, one.reference, one.eager, strict=True):
            wide = np.asarray(y).astype(np.float64)
            asked = Asked(wide, reference, eager, self._check.format.dtype)
            for comparison in self._check.comparisons:
                excess = comparison.excess(asked)
                if excess > worst:
                    worst = excess
                    limiting = f"{comparison.kind}: {comparison.would_reject(excess)}"
        return worst, limiting


def _off_by_some_ulp(reference: Any, fmt: Format) -> Any:
    """References rounded to the format and moved by some ulp, by turns up and down."""
    moved = reference.astype(fmt.dtype).reshape(-1)
    turns = np.where(np.arange(moved.size) % 2, fmt.largest, -fmt.largest).astype(fmt.dtype)
    for _ in range(FEW_ULPS if fmt.precision >= BINARY32.precision else 1):
        moved = np.nextafter(moved, turns)
    return moved.reshape(reference.shape)


def _posed(check: Check, call: Call) -> _Posed:
    form = next(iter(steady_forms(call.definition).values()))
    if check.reference == "exact":
        reference = right(call)
    else:
        narrow = computed(call, form, blocked(at_least_binary32(check.format)))
        with np.errstate(all="ignore"):
            reference = [y.astype(check.format.dtype).astype(np.float64) for y in narrow]
    sums_in = at_least_binary32(check.format)
    eager = computed(call, form, blocked(check.format, sums_in))
    return _Posed(call, reference, eager)


# --- a check that is a function ---


def called(check: CheckFunction, definition: Definition) -> Judge:
    """What asks a check that is a function about an implementation.

    The function is called with the implementation, and returns whether it accepts it, alone or as
    the first of a tuple; None, as of a function that only asserts, is an acceptance.  An exception
    is a rejection: AssertionError as tests raise it, and any other, which is told.  What it prints
    goes to stderr.

    Parameters
    ----------
    check
        The function.
    definition
        What it tests.

    Returns
    -------
    function
        Of an implementation.
    """

    def judge(implementation: Mistake) -> Judged:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                answer = check(as_candidate(implementation.function, definition))
            if isinstance(answer, tuple) and answer:
                answer = answer[0]
            return Judged(answer is None or bool(answer))
        except AssertionError:
            return Judged(False)
        except (Exception, SystemExit) as error:
            return Judged(False, raised=str(SubjectRaised.of(error)))

    return judge
