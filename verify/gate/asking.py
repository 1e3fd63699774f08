"""What is asked of one candidate: what kills most wrong kernels first, until one thing fails.

Nothing is written twice here: items come from ``runs.plan``, verdicts, shrinking and scripts from
``runs.execute``, causes from ``reports.hints``.  Where a failure is within the bound of a coarser
class, the candidate is held to that class from there on: what is within it to the end is less
precise than declared, and what is within none is wrong.
"""

from __future__ import annotations

import math
import shlex
import time
from dataclasses import replace
from typing import Any

import numpy as np

from ...derivations import lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS
from ..cases.case import CaseBatch
from ..cases.text import parse
from ..inputs.families import REPEATING, Batch
from ..reports.hints import hints, hints_of_case
from ..runs.asked import Asked
from ..runs.execute import (
    Connect,
    GivenUp,
    asked_of,
    execute_until,
    judged,
    made_small,
    preflight,
)
from ..runs.plan import PREFLIGHT, plan
from ..runs.reproduce import Shown
from ..runs.results import Failure, Item, Result
from ..subjects.built_in import registered
from ..subjects.contract import WIDENING, Contract
from ..subjects.subject import NotApplicable, Subject, SubjectFault
from ..suites import SUITES
from ..suites.of_cases import CASE_SUITES
from ..suites.verdicts import Violation, no_result
from .again import again
from .judgement import IMPRECISE, REFUSED, RIGHT, WRONG, Judgement
from .order import in_order

SHRINKING = 1.0  # seconds in which what fails is made smaller
DRAWN = ("accuracy", "overflow")  # suites whose batches are drawn, and asked twice
AGAIN = "asked again"  # the family of what is found so
NOT_DETERMINISTIC = "not deterministic"
RECORDS = "regressions"  # bugs on record, which none of the usual class of arithmetic has


class Asking:
    """What is asked of one candidate, and what was found so far.

    Parameters
    ----------
    subject
        The candidate, as it is declared.
    dtype
        The name of the format.
    connect
        What makes it callable, under this and coarser contracts.
    seed
        What inputs are drawn from.
    keep_going
        Whether it is asked on after a proof of wrongness, to say what else fails.
    """

    def __init__(
        self, subject: Subject, dtype: str, connect: Connect, seed: int, keep_going: bool = False
    ) -> None:
        self._keep_going = keep_going
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
        self._also: list[str] = []  # what else fails

    def judgement(self, seconds: float) -> Judgement:
        """Ask until something is wrong, or until so many seconds after the first answer.

        Parameters
        ----------
        seconds
            How many.

        Returns
        -------
        Judgement
            What was found, but for how long it took.
        """
        if (word := self._inapplicable()) is not None:
            self._verdict, self._failure = REFUSED, not_judged(word)
            return self._written()
        until = time.monotonic() + seconds
        several = [item for item in self._left if item.suite in DRAWN]
        drawn = [item for item in several if item.family not in REPEATING]
        for i, item in enumerate([*self._left]):
            if i and time.monotonic() > until:
                break
            if item.suite == RECORDS and not _is_usual(self._held.contract):
                continue
            try:
                if self._verdict == WRONG:
                    to_its_end = self._ask_on(item, until)
                else:
                    to_its_end = self._ask(item, until)
                    if to_its_end and item in drawn:
                        self._ask_again(item, judge_neighbours=item is drawn[0])
            except GivenUp:
                break
            if not to_its_end or self._verdict == REFUSED:
                break
            if self._verdict == WRONG and not self._keep_going:
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
            failure = self._as_one_case(held, part.result.failures[0])
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

    def _ask_on(self, item: Item, until: float) -> bool:
        """Note whether a wrong candidate fails an item as well; is it all of it?"""
        part = execute_until(replace(item, subject=self._held), self._connect, until, 0.0)
        if part.result.failures:
            self._also.append(f"{item.suite} {item.family}".rstrip())
        return part.complete or bool(part.result.failures)

    def _as_one_case(self, item: Item, failure: Failure) -> Failure:
        """The failure of a suite that compares cases, as that of one case, made small."""
        suite = CASE_SUITES.get(item.suite)
        if (
            failure.case is None
            or failure.family == PREFLIGHT
            or not (suite and suite.one_shown_by)
        ):
            return failure
        judges = CASE_SUITES[suite.one_shown_by]
        definition, case = parse(failure.case, ARRAY_FORMATS[self._dtype])
        family = judges.families(definition)[0]
        alone = replace(item, suite=judges.name, family=family)
        asked, batch = asked_of(alone, self._connect(self._held)), CaseBatch(family, (case,))
        violations = judged(asked, batch).violations
        if not violations:  # another one of the batch made it fail
            return failure
        shown = made_small(asked, batch, violations[0], until=time.monotonic() + SHRINKING)
        small = asked.write_failure(shown)
        return replace(small, family=failure.family, message=failure.message)

    def _ask_again(self, item: Item, *, judge_neighbours: bool) -> None:
        """Ask the batches of an item again, after other calls and in memory that they used."""
        if self._verdict in (WRONG, REFUSED):
            return
        asked = asked_of(item, self._connect(self._held))
        try:
            for batch, violation in again(asked, judge_neighbours):
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
            also=tuple(self._also),
            causes=tuple(self._causes()),
        )

    def _causes(self) -> list[tuple[str, str]]:
        """What is the likely cause, where the failure tells that."""
        failure = self._failure
        if failure is None:
            return []
        definition = lookup(self._subject.definition)
        if failure.family == AGAIN:
            return hints_of_case(definition, replace(failure, kind=NOT_DETERMINISTIC))
        if failure.case is not None or not failure.logits:
            return hints_of_case(definition, failure, self._admitted_by)
        fmt = ARRAY_FORMATS[self._dtype]
        row = np.array([[float.fromhex(v) for v in failure.logits]]).astype(fmt.dtype)
        labels = None if failure.label is None else np.array([failure.label])
        batch = Batch(failure.family, row, labels)
        return hints(self._subject, self._connect, self._suite, fmt, failure, batch)


def _is_usual(contract: Contract) -> bool:
    """Whether the class of arithmetic is the one that nobody has to declare."""
    usual = Contract()
    return all(getattr(contract, axis) == getattr(usual, axis) for axis in WIDENING)


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
