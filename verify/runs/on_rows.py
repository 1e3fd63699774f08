"""An item that is judged on rows: of logits, perhaps with a label, or of single reals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import Format
from ..inputs.families import Batch, draw, plainness
from ..inputs.shrink import shrink
from ..subjects.isolation.in_process import LiveSubject
from ..suites import SUITES
from ..suites.verdicts import Undecided, Verdict
from .asked import Asked
from .plan import PREFLIGHT
from .reproduce import Shown, write_failure, write_undecided
from .results import Failure, Item, UndecidedRow


class OnRows(Asked[Batch]):
    """What ``execute`` does with rows."""

    def __init__(self, item: Item, subject: LiveSubject) -> None:
        super().__init__(item, subject)
        self.suite = SUITES[item.suite]
        self.repeats = self.suite.check is not None
        self.observes = self.suite.observes

    @staticmethod
    def plain(definition: Definition, fmt: Format) -> Batch:
        """Two rows of three numbers."""
        rows = np.array([[0.5, -1.0, 2.0], [1.0, 1.0, -3.0]]).astype(fmt.dtype)
        return Batch(PREFLIGHT, rows, np.array([0, 2]) if definition.labelled else None)

    @staticmethod
    def call(subject: LiveSubject, fmt: Format, batch: Batch) -> list[NDArray[Any]]:
        """The value, and the gradient where it comes with it."""
        outcome = subject(batch.logits, batch.labels)
        return [outcome.value] if outcome.gradient is None else [outcome.value, outcome.gradient]

    @staticmethod
    def alone(batch: Batch, i: int) -> Batch:
        """Return row i as a batch of its own."""
        return batch.row(i)

    @staticmethod
    def turned(batch: Batch) -> Batch:
        """Return the rows from the last to the first."""
        return batch.rows(np.arange(len(batch.logits))[::-1])

    def batches(self) -> Iterator[tuple[Batch, Verdict | None]]:
        """Those of the suite's own, the user's, or those of the family."""
        item, suite = self.item, self.suite
        if item.family == "" and suite.check_own is not None:
            yield from suite.check_own(self.subject, self.definition, self.fmt)
            return
        labelled = self.definition.labelled
        for batch in item.given or draw(item.family, self.fmt, item.rows, item.seed, labelled):
            yield batch, None

    def check(self, batch: Batch) -> Verdict:
        """The verdict of the suite on a batch."""
        assert self.suite.check is not None  # the plan gives such suites no rows
        return self.suite.check(self.subject, self.definition, self.fmt, batch)

    def nothing(self) -> Batch:
        """A row of no numbers."""
        return Batch("", np.empty((1, 0), self.fmt.dtype), None)

    def size(self, batch: Batch) -> tuple[int, int]:
        """The rows, and the numbers of all."""
        return len(batch.logits), batch.logits.size

    def halves(self, batch: Batch) -> tuple[Batch, Batch, int] | None:
        """Halves of the numbers that a function of one real is asked at."""
        middle = batch.logits.shape[1] // 2 if self.definition.elementwise else 0
        if not middle:
            return None
        left, right = (
            replace(batch, logits=batch.logits[:, half])
            for half in (slice(middle), slice(middle, None))
        )
        return left, right, middle

    def plainness(self, batch: Batch, i: int) -> int:
        """Wrong numbers at ordinary input tell more than what becomes of no input at all."""
        return plainness(batch.logits[i])

    def shrunk(self, one: Batch, fails: Callable[[Batch], bool], most_trials: int) -> Batch:
        """Fewer classes, then simpler numbers."""
        return shrink(one, fails, most_trials)

    def write_failure(self, shown: Shown[Batch]) -> Failure:
        """The row, and how to see it again."""
        return write_failure(self.item, shown)

    def write_undecided(self, batch: Batch, seen: Undecided) -> UndecidedRow:
        """The row, where it is short."""
        return write_undecided(batch, seen)
