"""An item that is judged on cases: the arguments of a definition by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import Format
from ..cases import draw
from ..cases.case import CaseBatch
from ..cases.products import asked_at
from ..cases.shrink import shrink
from ..subjects.isolation.in_process import LiveSubject
from ..suites.of_cases import CASE_SUITES, accuracy
from ..suites.verdicts import Undecided, Verdict
from .asked import Asked
from .plan import GIVEN, PREFLIGHT
from .reproduce import Shown, write_case_failure, write_undecided_case
from .results import Failure, Item, UndecidedRow

PREFLIGHT_SIZES = (3, 4, 5, 2)  # of axes, all different, so that a transposed array is seen


class OnCases(Asked[CaseBatch]):
    """What ``execute`` does with cases."""

    def __init__(self, item: Item, subject: LiveSubject) -> None:
        super().__init__(item, subject)
        self.suite = CASE_SUITES[item.suite]
        self.repeats = self.suite.takes_cases
        self.observes = ("flush_to_zero",) if self.definition.of_a_row else ()

    @staticmethod
    def plain(definition: Definition, fmt: Format) -> CaseBatch:
        """Two plain cases, with axes of different sizes."""
        axes = enumerate(definition.signature.axes)
        sizes = {axis: PREFLIGHT_SIZES[i % len(PREFLIGHT_SIZES)] for i, axis in axes}
        family, rng = draw.families(definition)[0], np.random.default_rng(0)
        batch = draw.draw_batch(definition, family, fmt, sizes, rng)
        return replace(batch, family=PREFLIGHT, cases=batch.cases[:2])

    @staticmethod
    def call(subject: LiveSubject, fmt: Format, batch: CaseBatch) -> list[NDArray[Any]]:
        """The numbers of all outputs."""
        return [accuracy.call(subject, subject.definition, fmt, batch)]

    @staticmethod
    def alone(batch: CaseBatch, i: int) -> CaseBatch:
        """Return case i as a batch of its own."""
        return replace(batch, cases=batch.cases[i : i + 1])

    @staticmethod
    def turned(batch: CaseBatch) -> CaseBatch:
        """Return the cases from the last to the first."""
        return replace(batch, cases=batch.cases[::-1])

    def batches(self) -> Iterator[tuple[CaseBatch, Verdict | None]]:
        """The user's case, or those that the suite draws."""
        item = self.item
        if item.case is not None:
            yield CaseBatch(GIVEN, (item.case,)), None
            return
        drawn = self.suite.draw(self.definition, item.family, self.fmt, item.rows, item.seed)
        for batch in drawn:
            yield batch, None

    def check(self, batch: CaseBatch) -> Verdict:
        """The verdict of the suite on a batch."""
        return self.suite.check(self.subject, self.definition, self.fmt, batch)

    def nothing(self) -> CaseBatch:
        """Return a batch without a case."""
        return CaseBatch(self.item.family, ())

    def size(self, batch: CaseBatch) -> tuple[int, int]:
        """The cases, and the entries of all."""
        cases = batch.cases
        return len(cases), sum(value.size for case in cases for value in case.values.values())

    def shrunk(
        self, one: CaseBatch, fails: Callable[[CaseBatch], bool], most_trials: int
    ) -> CaseBatch:
        """Shorter axes, then simpler numbers, then default parameters."""
        (case,) = one.cases
        found = shrink(
            asked_at(self.definition, case),
            case,
            lambda simpler: fails(replace(one, cases=(simpler,))),
            most_trials,
        )
        return replace(one, cases=(found,))

    def write_failure(self, shown: Shown[CaseBatch]) -> Failure:
        """The case as text, and how to see it again."""
        return write_case_failure(self.item, self.definition, shown)

    def write_undecided(self, batch: CaseBatch, seen: Undecided) -> UndecidedRow:
        """The case as text, where it is small."""
        return write_undecided_case(self.definition, batch, seen)
