"""In which order the gate asks: first what kills most wrong kernels in a second."""

from __future__ import annotations

from collections.abc import Iterable

from ..cases.draw import WITH
from ..runs.results import Item

# What is drawn, can be made smaller and shown by a script; then what suites ask by themselves.
FIRST: tuple[tuple[str, str], ...] = (
    ("accuracy", "subnormal_results"),
    ("overflow", "extremes"),
    ("overflow", "far_reals"),
    ("gradient", "wide"),
    ("gradient", "tiny"),
    ("liveness", "argument"),
    ("poison", "normal"),
    ("overflow", "mask_positions"),
    ("accuracy", "wide"),
    ("gradient", "masks"),
    ("overflow", "masks"),
    ("accuracy", "offset"),
    ("accuracy", "one kept"),
    ("accuracy", "tall"),
    ("invariance", "bit_patterns"),
    ("accuracy", "lengths"),
    ("accuracy", "drawn_lengths"),
    ("parameters", ""),
    ("layouts", ""),
    ("regressions", ""),
    ("regressions", "record"),
    ("special-values", ""),
    ("accuracy", "pair"),
)


def in_order(items: Iterable[Item]) -> list[Item]:
    """Sort the items of a plan: those of FIRST in its order, then the others as they are.

    Parameters
    ----------
    items
        The items, of one subject in one format.

    Returns
    -------
    list of Item
        The same items.
    """
    place = {kind: i for i, kind in enumerate(FIRST)}
    return sorted(items, key=lambda item: place.get(kind_of(item), len(FIRST)))


def kind_of(item: Item) -> tuple[str, str]:
    """What kind of input an item asks, whatever the names of arguments.

    Parameters
    ----------
    item
        The item.

    Returns
    -------
    tuple of str
        Its suite, and its family: of rows the name; of cases the hazard alone, "parameter" where
        it is a value of one, "pair" where two take part; "argument" of liveness, and "record" of
        the bugs on record that are cases.

    Examples
    --------
    >>> from ..subjects.subject import Subject
    >>> subject = Subject("mine:f", "rms_norm")
    >>> families = ("x: normal", "eps=0.1", "x with gain")
    >>> [kind_of(Item(subject, "accuracy", "float32", f, 8, 0))[1] for f in families]
    ['normal', 'parameter', 'pair']
    """
    family = item.family
    if item.suite == "liveness":
        family = "argument"
    elif item.suite == "regressions" and family:
        family = "record"
    elif WITH in family:
        family = "pair"
    elif ": " in family:
        family = family.partition(": ")[2]
    elif "=" in family:
        family = "parameter"
    return item.suite, family
