"""The plan of a run: which items of work it consists of, in the order they are executed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..cases.case import Case
from ..cases.products import asked_at
from ..inputs.families import Batch
from ..subjects.subject import Subject
from ..suites import BUDGETS, SUITES, Suite
from ..suites.of_cases import CASE_SUITES, CaseSuite
from .results import Item

# Families of many shapes, one row length after the other.
OF_MANY_LENGTHS = ("every_length", "drawn_lengths", "tails")
GIVEN = "given"  # the family of what the user gives
PREFLIGHT = "preflight"  # the family of what every subject is asked first
ROWS = {"quick": 8, "standard": 64, "exhaustive": 64}  # of each input family, by budget


def plan(
    subjects: Iterable[Subject],
    suites: Iterable[str],
    dtypes: Iterable[str],
    *,
    budget: str = "quick",
    seed: int = 0,
    given: Callable[[Definition, Format], tuple[Batch, ...]] | None = None,
    given_in: str = "",
    case: Callable[[Format], Case] | None = None,
) -> list[Item]:
    """List all items of a run; those that share inputs stand together, to find truths once.

    Parameters
    ----------
    subjects
        The subjects.
    suites
        The names of suites; those that do not apply to a definition are left out.
    dtypes
        The names of formats; a subject is asked in those that it has.
    budget
        How much is drawn: a key of ``suites.BUDGETS``.
    seed
        What the draws depend on.
    given
        Gives the user's rows in a format, which take the place of the input families (and the suite
        of special values, which makes its own rows, is held against the given row alone).
    given_in
        The file that holds them.
    case
        Gives the user's case in a format, which takes the place of those that are drawn.

    Returns
    -------
    list of Item
        The items, in the order in which they are executed.
    """
    subjects, suites, items = list(subjects), list(suites), []
    for name in dict.fromkeys(s.definition for s in subjects):
        definition = lookup(name)
        for dtype in dtypes:
            if definition.of_a_row and case is None:
                rows_given = given(definition, ARRAY_FORMATS[dtype]) if given else None
                items += _of_rows(
                    definition, subjects, suites, dtype, budget, seed, rows_given, given_in
                )
            if given is None:
                found = case(ARRAY_FORMATS[dtype]) if case else None
                items += _of_cases(definition, subjects, suites, dtype, budget, seed, found)
    return items


def _of_rows(
    definition: Definition,
    subjects: Sequence[Subject],
    suites: Sequence[str],
    dtype: str,
    budget: str,
    seed: int,
    given: tuple[Batch, ...] | None,
    given_in: str,
) -> list[Item]:
    """The items of the suites on rows, in a format."""
    items = []
    for suite in (SUITES[s] for s in suites):
        if not suite.applies(definition, ARRAY_FORMATS[dtype]):
            continue
        for family in _families(suite, definition, budget, given is not None):
            items += [
                Item(s, suite.name, dtype, family, ROWS[budget], seed, given or (), given_in)
                for s in subjects
                if s.definition == definition.name
                and dtype in s.dtypes
                # Hundreds of shapes take a subject that compiles for each a minute.
                and not (s.slow and family in OF_MANY_LENGTHS and budget == "quick")
            ]
    return items


def _of_cases(
    definition: Definition,
    subjects: Sequence[Subject],
    suites: Sequence[str],
    dtype: str,
    budget: str,
    seed: int,
    case: Case | None,
) -> list[Item]:
    """The items of the suites on cases, in a format."""
    items = []
    for suite in (CASE_SUITES[name] for name in suites if name in CASE_SUITES):
        if case is None and definition.of_a_row and not suite.of_rows:
            continue
        families = suite.families(definition) if case is None else (GIVEN,)
        for family in families if case is None or _takes(suite, definition, case) else ():
            items += [
                Item(s, suite.name, dtype, family, ROWS[budget], seed, case=case)
                for s in subjects
                if s.definition == definition.name and dtype in s.dtypes
            ]
    return items


def _takes(suite: CaseSuite, definition: Definition, case: Case) -> bool:
    """Whether a suite judges a case of the user's."""
    has_cotangents = asked_at(definition, case) is not definition
    return suite.takes_cases and suite.with_cotangents == has_cotangents


def _families(suite: Suite, definition: Definition, budget: str, given: bool) -> tuple[str, ...]:
    if BUDGETS.index(budget) < BUDGETS.index(suite.budget):
        return ()
    if given:
        return (GIVEN,) if suite.check is not None else ()
    if suite.check_own is not None:
        return ("",)
    return suite.real_families if definition.elementwise else suite.families
