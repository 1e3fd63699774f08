"""The largest error that a published table admits at a case, in place of a proven bound.

A table is not a theorem: whether the textbook's algorithm can keep to it is another question, which
``softproof claims`` answers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition
from ...derivations.running_error import UndecidedComparison
from ..cases.case import Case
from ..oracle.truth import Truth
from ..subjects.standards import STANDARDS, Entry, Standard

ROUNDED = 0.5  # ulp of the expected value of a table that compares with rounded ones


def limits(
    name: str, definition: Definition, fmt: Format, case: Case, exact: Truth
) -> tuple[NDArray[np.float64], str]:
    """The largest error that a standard admits of each result at a case, in ulp, and its source.

    Parameters
    ----------
    name
        The standard.
    definition
        What is computed.
    fmt
        The format of the results.
    case
        The arguments.
    exact
        The exact results.

    Returns
    -------
    tuple
        One limit for each result, in the shape of the exact ones: infinite where the standard says
        nothing, as where what follows from its primitives is not known. And a sentence.
    """
    standard = STANDARDS[name]
    entry = standard.entries.get((fmt.name, definition.name))
    if entry is not None:
        found = np.asarray(_of_entry(entry, case, exact) + ROUNDED * standard.rounded)
        told = f"{standard.title}: {_told(entry)} ({standard.source})"
    else:
        found = _composed(standard, definition, fmt, case, exact)
        told = (
            f"{standard.title}: the running error of {definition.name} in {fmt.name}, sums in any "
            f"order, each primitive as the table has it ({standard.source})"
        )
    if standard.flushes:  # 0 in place of what is below the normal range
        subnormal = np.abs(exact.wide) < 2.0**fmt.emin
        lost = np.ldexp(np.abs(exact.wide), -exact.ulp_exponent)
        found = np.where(subnormal, np.maximum(found, lost), found)
    return found, told


def _of_entry(entry: Entry, case: Case, exact: Truth) -> NDArray[np.float64]:
    first = next(iter(case.values.values())).astype(np.float64)
    shape = exact.rounded.shape
    x = np.abs(first.reshape(shape)) if entry.ulp_per_x else np.zeros(shape)
    n = first.shape[-1] if first.ndim else 1
    with np.errstate(all="ignore"):
        ulps = entry.ulp + entry.ulp_per_x * np.where(np.isfinite(x), x, 0.0) + entry.ulp_per_n * n
        size = np.where(np.isfinite(exact.wide), np.abs(exact.wide), 0.0)
        allowed = np.ldexp(entry.absolute + entry.relative * size, -exact.ulp_exponent)
    return np.asarray(np.maximum(ulps, allowed), dtype=np.float64)


def _composed(
    standard: Standard, definition: Definition, fmt: Format, case: Case, exact: Truth
) -> NDArray[np.float64]:
    from .of_cases.thresholds import largest_errors  # which imports what imports this module

    model = standard.model(definition.name, fmt)
    if model is None:
        return np.full(exact.rounded.shape, np.inf)
    try:
        errors = largest_errors(definition, case, model).reshape(exact.rounded.shape)
    except UndecidedComparison:
        return np.full(exact.rounded.shape, np.inf)
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(errors, -exact.ulp_exponent), dtype=np.float64)


def _told(entry: Entry) -> str:
    """An entry in words.

    >>> _told(Entry(ulp=3, ulp_per_x=2)), _told(Entry(absolute=1e-7, relative=1e-3))
    ('3 + 2 |x| ulp', '1e-07 + 0.001 |f| absolute')
    """
    ulps = ((entry.ulp, ""), (entry.ulp_per_x, " |x|"), (entry.ulp_per_n, " n"))
    parts = [f"{count:g}{of}" for count, of in ulps if count]
    allowed = [f"{v:g}{of}" for v, of in ((entry.absolute, ""), (entry.relative, " |f|")) if v]
    return " or ".join(
        f"{' + '.join(some)} {unit}"
        for some, unit in ((parts, "ulp"), (allowed, "absolute"))
        if some
    )
