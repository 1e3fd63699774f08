"""What a run asks of rows and of cases alike: the two are driven by ``execute`` in the same way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic

from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..subjects.isolation.in_process import LiveSubject
from ..suites.verdicts import Undecided, Verdict
from .reproduce import B, Shown
from .results import Failure, Item, UndecidedRow


class Asked(ABC, Generic[B]):
    """An item, and the connected subject that is asked.

    ``repeats``: whether the suite can judge a single row, or a single case, again.  ``observes``:
    the axes of a contract that are observed where they are not declared.
    """

    repeats: bool
    observes: tuple[str, ...]

    def __init__(self, item: Item, subject: LiveSubject) -> None:
        self.item, self.subject = item, subject
        self.definition, self.fmt = subject.definition, ARRAY_FORMATS[item.dtype]

    @staticmethod
    @abstractmethod
    def plain(definition: Definition, fmt: Format) -> B:
        """Ordinary input for the preflight."""

    @staticmethod
    @abstractmethod
    def call(subject: LiveSubject, fmt: Format, batch: B) -> list[NDArray[Any]]:
        """All that a subject returns for a batch."""

    @staticmethod
    @abstractmethod
    def alone(batch: B, i: int) -> B:
        """Row or case number i, as a batch of its own; what stands for none as it is."""

    @staticmethod
    @abstractmethod
    def turned(batch: B) -> B:
        """The rows or cases of a batch in the opposite order."""

    @abstractmethod
    def batches(self) -> Iterator[tuple[B, Verdict | None]]:
        """The batches of the item; those that the suite makes itself with their verdicts."""

    @abstractmethod
    def check(self, batch: B) -> Verdict:
        """The verdict of the suite; it raises what the subject does, and OracleError."""

    @abstractmethod
    def nothing(self) -> B:
        """What stands for a batch where there is none."""

    @abstractmethod
    def size(self, batch: B) -> tuple[int, int]:
        """How many rows or cases a batch has, and how many numbers."""

    def halves(self, batch: B) -> tuple[B, B, int] | None:
        """Parts of a single row that are judged on their own, and where the second one begins."""
        return None

    def plainness(self, batch: B, i: int) -> int:
        """How ordinary row or case number i is: what fails at plain input tells more."""
        return 0

    @abstractmethod
    def shrunk(self, one: B, fails: Callable[[B], bool], most_trials: int) -> B:
        """A single row or case made as small as it can be while it fails."""

    @abstractmethod
    def write_failure(self, shown: Shown[B]) -> Failure:
        """What is written down of a violation."""

    @abstractmethod
    def write_undecided(self, batch: B, seen: Undecided) -> UndecidedRow:
        """What is written down of a row or case that was not judged."""
