"""The suites on cases: what is checked of any definition, and on which cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ....derivations.arithmetic.formats import Format
from ....derivations.definition import Definition
from ...cases import draw
from ...cases.case import CaseBatch
from ...subjects.isolation.in_process import LiveSubject
from ..verdicts import Verdict
from . import accuracy, facts, gradient, layouts, liveness, poison, regressions

__all__ = ["CASE_SUITES", "CaseSuite"]


@dataclass(frozen=True)
class CaseSuite:
    """A named property, with the families of cases that it is checked on.

    ``families`` are those of a definition, ``draw`` gives the batches of one of them, and ``check``
    judges a subject on a batch.  ``takes_cases``: whether it judges a case of the user's;
    ``with_cotangents``: of those that have cotangents, which no other suite takes.  ``of_rows``:
    whether it draws cases of definitions of a row, too, which have suites of their own.
    ``one_shown_by``: the suite that shows a single case again, of one that compares cases.
    """

    name: str
    families: Callable[[Definition], tuple[str, ...]]
    draw: Callable[[Definition, str, Format, int, int], Iterator[CaseBatch]]
    check: Callable[[LiveSubject, Definition, Format, CaseBatch], Verdict]
    takes_cases: bool = True
    with_cotangents: bool = False
    of_rows: bool = True
    one_shown_by: str = ""


CASE_SUITES: dict[str, CaseSuite] = {
    suite.name: suite
    for suite in (
        CaseSuite("accuracy", draw.families_and_pairs, draw.draw, accuracy.check, of_rows=False),
        CaseSuite(
            "gradient", gradient.families, gradient.draw, gradient.check, with_cotangents=True
        ),
        CaseSuite("invariance", facts.families, facts.draw, facts.check),
        CaseSuite(
            "liveness",
            liveness.families,
            liveness.draw,
            liveness.check,
            takes_cases=False,
            one_shown_by="accuracy",
        ),
        CaseSuite("poison", poison.families, poison.draw, poison.check),
        CaseSuite(
            "regressions",
            regressions.families,
            regressions.draw,
            regressions.check,
            takes_cases=False,
        ),
        CaseSuite("layouts", layouts.families, layouts.draw, layouts.check, of_rows=False),
    )
}
