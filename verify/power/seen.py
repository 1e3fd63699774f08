"""Where the suites see a planted mistake: the first family of inputs with a violation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...derivations import lookup
from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition
from ..cases.case import Case, CaseBatch
from ..cases.draw import draw_batch, families
from ..cases.text import to_text
from ..oracle.metrics import hexadecimal
from ..runs.asked import Asked
from ..runs.execute import asked_of, judged, verdicts
from ..runs.plan import plan
from ..runs.results import Item
from ..subjects.isolation.in_process import InProcess
from ..subjects.subject import SubjectFault
from ..suites import SUITES
from ..suites.of_cases import accuracy
from ..suites.verdicts import Violation
from .mistakes import Mistake
from .of_formulas import right_implementations

# Those that look at numbers, in the order in which they are asked.
LOOKING_AT_NUMBERS = ("accuracy", "overflow", "special-values", "parameters", "liveness", "poison")
MOST_TRIALS = 150  # of shrinking
ONLY_IN_A_BATCH = "in a batch of several cases"
OF_NAN = "NaN"
FEW = 2  # entries of an axis of the case that gets a NaN


@dataclass(frozen=True)
class Seen:
    """An input that shows a mistake: the suite, its family of inputs, and it in hex, shrunk."""

    suite: str
    family: str
    input: str


def first_seen(mistake: Mistake, fmt: Format, seed: int = 0) -> Item | None:
    """The first item of a quick run that has a violation, the plain inputs first.

    Parameters
    ----------
    mistake
        The planted mistake.
    fmt
        The format.
    seed
        What the inputs depend on.

    Returns
    -------
    Item or None
        The suite and the family of inputs; None where no suite sees the mistake.

    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> from softproof.verify.power.of_formulas import mistakes_of
    >>> zeros, *_ = mistakes_of(lookup("rms_norm"), BINARY32)
    >>> item = first_seen(zeros, BINARY32)
    >>> item.suite, item.family
    ('accuracy', 'x: normal')
    """
    found = _first(mistake, fmt, seed)
    return found[0] if found else None


def shown(mistake: Mistake, fmt: Format, seed: int = 0) -> Seen | None:
    """A small input that shows a mistake: of a suite, or one with a NaN where only that does.

    Parameters
    ----------
    mistake, fmt, seed
        As for ``first_seen``.

    Returns
    -------
    Seen or None
        None where no suite sees it.

    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> from softproof.verify.power.of_formulas import mistakes_of
    >>> zeros, *_ = mistakes_of(lookup("rms_norm"), BINARY32)
    >>> print(shown(zeros, BINARY32).input)
    rms_norm
    x[K=1] 0x1p+0
    gain[K=1] 0x1p+0
    """
    definition = lookup(mistake.subject.definition)
    if (case := _nan_alone(mistake, definition, fmt)) is not None:
        return Seen("", OF_NAN, to_text(definition, case))
    found = _first(mistake, fmt, seed)
    if found is None:
        return None
    item, asked, batch, violation = found
    one = asked.alone(batch, violation.row)

    def fails(candidate: Any) -> bool:
        return bool(judged(asked, candidate).violations)

    if violation.only_in_batch or not fails(one):
        return Seen(item.suite, item.family, ONLY_IN_A_BATCH)
    one = asked.shrunk(one, fails, MOST_TRIALS)
    return Seen(item.suite, item.family, _text(definition, one))


def _first(
    mistake: Mistake, fmt: Format, seed: int
) -> tuple[Item, Asked[Any], Any, Violation] | None:
    """The first violation: its item, what is asked there, and the batch."""
    live = InProcess(mistake.subject, mistake.function)
    for item in _plain_first(mistake, fmt, seed):
        asked = asked_of(item, live)
        for batch, verdict in verdicts(asked):
            if verdict.violations:
                return item, asked, batch, verdict.violations[0]
    return None


def _plain_first(mistake: Mistake, fmt: Format, seed: int) -> Iterator[Item]:
    """All items: of each suite the first family, then those of a parameter, then the others."""
    suites = [name for name in LOOKING_AT_NUMBERS if name in SUITES]
    items = plan([mistake.subject], suites, [fmt.name], seed=seed)
    first = {item.suite: item for item in reversed(items)}
    yield from (first[suite] for suite in suites if suite in first)
    rest = [item for item in items if item is not first[item.suite]]
    yield from sorted(rest, key=lambda item: "=" not in item.family)


def _text(definition: Definition, one: Any) -> str:
    """A case as text; a row as its logits, with a label where there is one."""
    if isinstance(one, CaseBatch):
        return to_text(definition, one.cases[0])
    words = " ".join(hexadecimal(float(x)) for x in one.logits[0])
    label = "" if one.labels is None else f"\nlabel {int(one.labels[0])}"
    return f"{next(iter(definition.signature.arguments))} {words}{label}"


def _nan_alone(mistake: Mistake, definition: Definition, fmt: Format) -> Case | None:
    """A plain case with a NaN, where a mistake loses it, and is right without it."""
    careful, *_ = right_implementations(definition, fmt)
    sizes = dict.fromkeys(definition.signature.axes, FEW)
    family = families(definition)[0]
    plain = draw_batch(definition, family, fmt, sizes, np.random.default_rng(0))
    name = definition.signature.numbers[0]
    poked = plain.cases[0].values[name].copy()
    poked.reshape(-1)[:1] = np.nan
    case = plain.cases[0].with_values(**{name: poked})
    with_nan = CaseBatch(family, (case, *plain.cases[1:]))
    same = []
    for batch in (plain, with_nan):
        try:
            results = [
                accuracy.call(InProcess(one.subject, one.function), definition, fmt, batch)
                for one in (mistake, careful)
            ]
        except SubjectFault:
            return None
        wide = [result.astype(np.float64) for result in results]
        same.append(np.array_equal(*wide, equal_nan=True))
    return case if same == [True, False] else None
