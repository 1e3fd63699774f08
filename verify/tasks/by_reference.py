"""A candidate held beside the reference of its task, by an estimate of what it may err by."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import ARRAY_FORMATS
from ..gate.asking import not_judged
from ..gate.judgement import IMPRECISE, REFUSED, RIGHT, WRONG, Judgement
from ..oracle.metrics import hexadecimal
from ..runs.results import Failure
from ..subjects.subject import NotApplicable, SubjectError, SubjectFault
from .estimate import Estimate, estimates, ulp
from .hazards import CHANGES, changed
from .hosted import Hosts
from .script import Plain, script
from .shapes import Sizes
from .smallest import as_case, smallest

Array = NDArray[Any]

ESTIMATE = (
    "truth is the reference in binary64, and what is admitted an estimate from its conditioning "
    "and its error in the format; nothing is proven"
)
COARSER = {"float64": "float32", "float32": "bfloat16", "float16": "bfloat16"}
MOST_OF_COARSER = 4.0  # scales that the reference in a coarser format may err by, to be a measure
SUITE = "reference"
NO_RESULT = (SubjectError, SubjectFault, NotApplicable)


@dataclass
class _Asked:
    """An input at which the candidate was asked, and what it gave."""

    family: str
    sizes: Sizes
    inputs: Sequence[Array]
    outputs: list[Array]


def judged_by_reference(
    hosts: Hosts, places: Sequence[Sizes], *, seconds: float, seed: int
) -> Judgement:
    """Judge the candidate of a task by its reference.

    Parameters
    ----------
    hosts
        The processes of the task.
    places
        The sizes that it is asked at, in this order.
    seconds
        How long it is asked.
    seed
        What inputs are drawn from.

    Returns
    -------
    Judgement
        IMPRECISE where it errs more than the reference in its format admits, and no more than the
        reference in the next coarser one; REFUSED where it raises, gives another form of result, or
        two results for one input.

    Raises
    ------
    ValueError
        If the reference gives no results.
    """
    began = time.monotonic()
    found = _Judging(hosts, seed).judgement(places, began + seconds)
    return replace(found, seconds=time.monotonic() - began)


class _Judging:
    """What is asked of one candidate, and what was found so far."""

    def __init__(self, hosts: Hosts, seed: int) -> None:
        self._hosts, self._seed = hosts, seed
        self._fmt = ARRAY_FORMATS[hosts.task.dtype]
        self._checks, self._undecided = 0, 0
        self._worst = 0.0
        self._verdict = RIGHT
        self._failure: Failure | None = None
        self._failed: tuple[_Asked, int] | None = None  # where, and at which output
        self._causes: tuple[tuple[str, str], ...] = ()
        self._fits: tuple[str, ...] = ()
        self._drawn: dict[tuple[int, ...], list[Array]] = {}

    def judgement(self, places: Sequence[Sizes], until: float) -> Judgement:
        """Ask at all inputs until something is wrong, or the time is up."""
        plan = [(sizes, change) for sizes in places for change in CHANGES]
        asked: list[_Asked] = []
        for sizes, change in plan:
            if asked and (time.monotonic() > until or self._verdict in (WRONG, REFUSED)):
                break
            asked.append(self._ask(sizes, change))
        for each in reversed(asked):  # again, after other calls
            if self._verdict in (WRONG, REFUSED):
                break
            self._ask_again(each)
        if self._verdict in (WRONG, IMPRECISE):
            self._make_smaller()
        if self._verdict == RIGHT and not self._checks:
            self._refuse("preflight", "not judged", "no result of the reference could be judged")
        task = self._hosts.task
        return Judgement(
            verdict=self._verdict,
            definition=f"{task.problem.name}:{task.model}",
            subject=f"{task.candidate.name}:{task.name}",
            dtype=task.dtype,
            seed=self._seed,
            contract="",
            estimate=ESTIMATE,
            fits=self._fits,
            checks=self._checks,
            worst=self._worst,
            undecided=self._undecided,
            asked=len(asked) - (self._verdict in (WRONG, REFUSED)),
            not_reached=tuple(f"{c} of {s.shapes}" for s, c in plan[len(asked) :]),
            suite=SUITE if self._failure else "",
            failure=self._failure,
            causes=self._causes,
        )

    def _ask(self, sizes: Sizes, change: str) -> _Asked:
        """Ask at one input, and judge what comes."""
        hosts = self._hosts
        if sizes.sizes not in self._drawn:
            self._drawn[sizes.sizes] = hosts.inputs(self._seed % (1 << 63), sizes.sizes)
        drawn = self._drawn[sizes.sizes]
        inputs = hosts.task.in_format(changed(drawn, change, self._seed))
        asked = _Asked(change, sizes, inputs, [])
        try:
            asked.outputs = hosts.candidate(sizes.sizes, inputs)
        except NO_RESULT as fault:
            kind = fault.kind if isinstance(fault, SubjectFault) else "raised"
            self._refuse(change, kind, f"{fault} at {sizes.shapes}")
            return asked
        try:
            found = self._estimates(sizes, inputs)
        except ValueError:
            if not self._checks:
                raise
            self._undecided += 1  # the reference itself refuses what was changed
            return asked
        if (word := _misfit(found, asked.outputs)) is not None:
            self._refuse(change, "form", f"{word} at {sizes.shapes}")
            return asked
        self._undecided += sum(each.exact.size - each.judged for each in found)
        self._checks += sum(each.judged for each in found)
        for i, each in enumerate(found):
            place, ratio = each.worst(asked.outputs[i])
            if math.isfinite(ratio):
                self._note_error(each, asked.outputs[i])
            if ratio > 1 and (self._failure is None or not self._fit(asked, i)):
                self._fail(asked, i, place, each)
        return asked

    def _estimates(self, sizes: Sizes, inputs: Sequence[Array]) -> list[Estimate]:
        """What each output has to be at an input; ValueError where the reference gives none."""
        return estimates(
            lambda x: self._hosts.exact(sizes.sizes, x),
            lambda x: self._hosts.reference(sizes.sizes, x),
            inputs,
            self._fmt,
            self._seed,
        )

    def _make_smaller(self) -> None:
        """Show the failure at an input that is as simple as was found, and say its likely cause."""
        assert self._failed is not None
        asked, output = self._failed
        self._causes = _causes(asked, output, self._failure)
        verdict = self._verdict

        def fails(inputs: list[Array]) -> bool:
            tried = replace(asked, inputs=inputs)
            try:
                tried.outputs = self._hosts.candidate(asked.sizes.sizes, inputs)
                found = self._estimates(asked.sizes, inputs)
            except (ValueError, *NO_RESULT):
                return False
            if _misfit(found, tried.outputs) is not None:
                return False
            place, ratio = found[output].worst(tried.outputs[output])
            if ratio <= 1 or self._fit(tried, output) != (verdict == IMPRECISE):
                return False
            self._show(tried, output, place, found[output])
            return True

        inputs = smallest(asked.inputs, fails)
        assert self._failure is not None
        plain = self._hosts.plain(asked.sizes.sizes)
        case = as_case(f"{self._hosts.task.problem.name}:{self._hosts.task.model}", inputs)
        snippet = None
        if plain is not None:
            assert self._failure.index is not None
            assert self._failure.expected is not None
            expected = float.fromhex(self._failure.expected)
            at = (output, self._failure.index)
            snippet = script(self._hosts.task, inputs, Plain(**plain), at, expected)
        self._failure = replace(self._failure, case=case, snippet=snippet)

    def _note_error(self, estimate: Estimate, output: Array) -> None:
        """Keep the largest error in ulp."""
        with np.errstate(all="ignore"):
            error = np.abs(output.astype(np.float64) - estimate.exact)
            error = error / ulp(estimate.exact, self._fmt)
        usable = ~np.isnan(estimate.admitted) & ~np.isnan(error)
        self._worst = max(self._worst, float(np.max(error, where=usable, initial=0.0)))

    def _ask_again(self, asked: _Asked) -> None:
        """Ask at an input once more; other bits are refused."""
        try:
            outputs = self._hosts.candidate(asked.sizes.sizes, asked.inputs)
        except NO_RESULT as fault:
            self._refuse(asked.family, "raised", f"{fault} when it was asked again")
            return
        pairs = zip(asked.outputs, outputs, strict=False)
        if len(outputs) != len(asked.outputs) or any(a.tobytes() != b.tobytes() for a, b in pairs):
            word = f"another result for the same input, at {asked.sizes.shapes}"
            self._refuse(asked.family, "not deterministic", word)

    def _fit(self, asked: _Asked, i: int) -> bool:
        """Whether an output errs no more than the reference in the next coarser format admits."""
        coarser = COARSER.get(self._hosts.task.dtype)
        if coarser is None:
            return False
        fmt, hosts, sizes = ARRAY_FORMATS[coarser], self._hosts, asked.sizes.sizes
        with np.errstate(all="ignore"):
            rounded = [x if x.dtype.kind in "biu" else x.astype(fmt.dtype) for x in asked.inputs]
        try:
            found = estimates(
                lambda x: hosts.exact(sizes, x),
                lambda x: hosts.reference(sizes, x),
                rounded,
                fmt,
                self._seed,
                most=MOST_OF_COARSER,
            )[i]
        except ValueError:  # the reference does not run in that format
            return False
        truth = hosts.exact(sizes, asked.inputs)[i]
        with np.errstate(all="ignore"):
            moved_by = np.abs(found.exact - truth)  # by rounding the input
        _, ratio = replace(found, exact=truth, admitted=found.admitted + moved_by).worst(
            asked.outputs[i]
        )
        return ratio <= 1

    def _fail(self, asked: _Asked, i: int, place: int, estimate: Estimate) -> None:
        """Take a result that is farther off than is admitted."""
        fits = self._fit(asked, i)
        if fits and self._verdict == IMPRECISE:
            return
        self._verdict = IMPRECISE if fits else WRONG
        self._fits = (f"arithmetic={COARSER[self._hosts.task.dtype]}",) if fits else ()
        self._failed = asked, i
        self._show(asked, i, place, estimate)

    def _show(self, asked: _Asked, i: int, place: int, estimate: Estimate) -> None:
        """Tell of a result that is farther off than is admitted."""
        output = asked.outputs[i]
        observed, expected = float(output.flat[place]), float(estimate.exact.flat[place])
        unit = float(ulp(estimate.exact.flat[place], self._fmt))
        index = ", ".join(map(str, np.unravel_index(place, output.shape)))
        self._failure = replace(
            not_judged("value farther from the reference than is admitted"),
            family=asked.family,
            kind="value",
            detail=f"output {i} at [{index}], of inputs {asked.sizes.shapes}",
            index=place,
            observed=hexadecimal(observed),
            expected=hexadecimal(expected),
            error=math.inf if math.isnan(observed) else abs(observed - expected) / unit,
            threshold=float(estimate.admitted.flat[place]) / unit,
            source="estimate",
        )

    def _refuse(self, family: str, kind: str, word: str) -> None:
        self._verdict, self._fits = REFUSED, ()
        self._failure = replace(not_judged(word), family=family, kind=kind)


def _causes(asked: _Asked, i: int, failure: Failure | None) -> tuple[tuple[str, str], ...]:
    """What is likely wrong, in a line, where the result tells."""
    output = asked.outputs[i]
    assert failure is not None
    assert failure.observed is not None
    if output.size > 1 and not np.any(output):
        return (("likely", "all results are 0: none is written, or what is written is lost"),)
    if not math.isfinite(float.fromhex(failure.observed)):
        return (("likely", "something on the way overflows, such as an exponential or a square"),)
    return ()


def _misfit(found: Sequence[Estimate], outputs: Sequence[Array]) -> str | None:
    """What is wrong with the form of results; None where it is that of the reference's."""
    if len(outputs) != len(found):
        return f"{len(outputs)} results, expected {len(found)}"
    for estimate, output in zip(found, outputs, strict=True):
        if output.shape != estimate.exact.shape:
            return f"a result of shape {output.shape}, expected {estimate.exact.shape}"
        if output.dtype != estimate.dtype:
            return f"a result of dtype {output.dtype}, expected {estimate.dtype}"
    return None
