"""Where the suites see a planted mistake: the first family of inputs with a violation."""

from __future__ import annotations

from collections.abc import Iterator

from ...derivations.arithmetic.formats import Format
from ..runs.execute import asked_of, verdicts
from ..runs.plan import plan
from ..runs.results import Item
from ..subjects.isolation.in_process import InProcess
from ..suites import SUITES
from .mistakes import Mistake

# Those that look at numbers, in the order in which they are asked.
LOOKING_AT_NUMBERS = ("accuracy", "overflow", "special-values", "parameters", "liveness", "poison")


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
    live = InProcess(mistake.subject, mistake.function)
    for item in _plain_first(mistake, fmt, seed):
        if any(verdict.violations for _, verdict in verdicts(asked_of(item, live))):
            return item
    return None


def _plain_first(mistake: Mistake, fmt: Format, seed: int) -> Iterator[Item]:
    """All items: of each suite the first family, then those of a parameter, then the others."""
    suites = [name for name in LOOKING_AT_NUMBERS if name in SUITES]
    items = plan([mistake.subject], suites, [fmt.name], seed=seed)
    first = {item.suite: item for item in reversed(items)}
    yield from (first[suite] for suite in suites if suite in first)
    rest = [item for item in items if item is not first[item.suite]]
    yield from sorted(rest, key=lambda item: "=" not in item.family)
