"""In which order the gate asks: first what kills most wrong kernels in a second.

The table merges the two lists that ``python -m notebooks.order_of_the_gate`` prints, of functions
of rows and of functions of several arguments, each measured on planted mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..cases.draw import WITH
from ..runs.results import Item

# Some that are drawn, and can be made smaller and shown by a script, before what suites ask by
# themselves; bugs on record after those that tell a sum in few bits from a mistake.
FIRST: tuple[tuple[str, str], ...] = (
    ("accuracy", "subnormal_results"),
    ("overflow", "extremes"),
    ("overflow", "far_reals"),
    ("gradient", "wide"),
    ("liveness", "argument"),
    ("accuracy", "wide"),
    ("parameters", ""),
    ("poison", "normal"),
    ("layouts", ""),
    ("special-values", ""),
    ("overflow", "mask_positions"),
    ("gradient", "masks"),
    ("overflow", "masks"),
    ("regressions", ""),
    ("accuracy", "offset"),
    ("accuracy", "one kept"),
    ("gradient", "product normal"),
    ("accuracy", "tall"),
    ("invariance", "bit_patterns"),
    ("accuracy", "lengths"),
    ("accuracy", "drawn_lengths"),
)
LAST = ("collapse", "agreement")  # suites that tell of a kernel, or compile others
# Bugs on record that are cases: some ask more than any class of arithmetic promises.
LEFT_OUT = ("regressions", "record")


def in_order(items: Iterable[Item]) -> list[Item]:
    """Sort the items of a plan: those of FIRST in its order, the others as they are, then LAST.

    Parameters
    ----------
    items
        The items, of one subject in one format.

    Returns
    -------
    list of Item
        The same items but those of LEFT_OUT.
    """
    place = {kind: i for i, kind in enumerate(FIRST)}

    def key(item: Item) -> int:
        return place.get(kind_of(item), len(FIRST) + LAST.count(item.suite))

    return sorted((item for item in items if kind_of(item) != LEFT_OUT), key=key)


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
        it is a value of one, "pair" where two take part; "argument" of liveness, "record" of the
        bugs on record that are cases, and "product" and the hazard of gradients at cases.

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
        hazard = family.partition(": ")[2]
        family = f"product {hazard}" if item.suite == "gradient" else hazard
    elif "=" in family:
        family = "parameter"
    return item.suite, family
