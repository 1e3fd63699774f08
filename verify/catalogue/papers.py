"""The list of papers whose functions and statements stand in the catalogue, by number."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib.resources import files

DEFINITION = "definition"
STATEMENT = "statement"
SYSTEM = "system"


@dataclass(frozen=True)
class Paper:
    """A paper of the list.

    Attributes
    ----------
    number
        What definitions and claims name it by.
    kind
        What of it belongs here: a DEFINITION, a STATEMENT, or a SYSTEM (several of both, with a
        kernel or an experiment).
    family
        The field that it belongs to.
    title
        Its title.
    system
        Of a SYSTEM, the name that the field knows it by.
    cited
        Of some, how claims cite it, which then need not name its number.
    left_out
        Why nothing of it, or not all, stands here; "" where all does.
    """

    number: int
    kind: str
    family: str
    title: str
    system: str
    cited: str
    left_out: str


@functools.cache
def papers() -> tuple[Paper, ...]:
    """All papers of the list, by number.

    Returns
    -------
    tuple of Paper
        In the order of their numbers.

    >>> next(paper.title for paper in papers() if paper.number == 190)
    'Root Mean Square Layer Normalization'
    """
    text = files("softproof.verify.data").joinpath("papers.tsv").read_text(encoding="utf-8")
    rows = csv.reader(text.splitlines()[1:], delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(Paper(int(number), *rest) for number, *rest in rows)
