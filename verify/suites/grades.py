"""Grades: the sharpest of some declared classes of implementations that all results fit.

A threshold says what an implementation may do, a grade what it does.  The classes, the sharpest
first, are those of GRADES: results that are correctly rounded, and those within the proven bound
(derivations/error_bounds) of an arithmetic with elementary functions within 3 ulp.  Where
the outputs of a row have a part of their errors in common, as the divisor of softmax, all must fit
with one such part: what the sum may be wrong by does not hide what is wrong with an exponential.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import Format
from ...derivations.error_bounds import bounds
from ...derivations.error_bounds.model import Model

ELEMENTARY = 6.0  # 3 ulp, in unit roundoffs
CORRECTLY_ROUNDED = "correctly rounded"
BEYOND = "beyond all classes"
# What is between the operations, the accumulator, and the order of summation.
_ARITHMETICS = {
    "float64 inside": ("float64", "float64", "blocked"),
    "float32 inside, blocked": ("float32", "float32", "blocked"),
    "float32, one by one": ("float32", "float32", "any"),
    "input format": ("input", "input", "any"),
}
GRADES = (CORRECTLY_ROUNDED, *_ARITHMETICS, BEYOND)

Errors = NDArray[np.float64]
Fits = Callable[[Model, NDArray[np.intp]], NDArray[np.bool_]]


def weakest(grades: Iterable[str | None]) -> str | None:
    """The weakest of some grades.

    Parameters
    ----------
    grades
        Members of GRADES, or None where there is no grade.

    Returns
    -------
    str or None
        None if there is no grade among them.

    Examples
    --------
    >>> weakest(["correctly rounded", None, "float64 inside"])
    'float64 inside'
    """
    known = [grade for grade in grades if grade is not None]
    return max(known, key=GRADES.index, default=None)


@functools.cache
def classes(fmt: Format, flushes: bool) -> dict[str, Model]:
    """The classes of a format with their models, the sharpest first; those that differ.

    Parameters
    ----------
    fmt
        The format of the results.
    flushes
        Whether results below the normal range are flushed to 0.

    Returns
    -------
    dict of Model
        Models by the name of the class.

    Examples
    --------
    >>> from ...derivations.arithmetic.formats import BINARY64
    >>> list(classes(BINARY64, False))
    ['float64 inside', 'input format']
    """
    models: dict[str, Model] = {}
    for name, (arithmetic, accumulator, summation) in _ARITHMETICS.items():
        if arithmetic == "float32" and fmt.precision > 24:
            continue
        model = Model.of(fmt, accumulator, flushes, summation, arithmetic, ELEMENTARY)
        if model not in models.values():
            models[name] = model
    return models


def grade(errors: Errors, fmt: Format, flushes: bool, fits: Fits) -> str:
    """The grade of rows of results with given errors.

    Parameters
    ----------
    errors
        The errors in ulp, (rows, outputs).
    fmt
        The format of the results.
    flushes
        Whether results below the normal range are flushed to 0.
    fits
        ``fits(model, rows)`` says which of some rows are within the bound of a model; the rows that
        fit a class are not asked of a weaker one.

    Returns
    -------
    str
        A member of GRADES.
    """
    left = np.flatnonzero(~(errors <= 0.5).all(axis=1))
    if not left.size:
        return CORRECTLY_ROUNDED
    for name, model in classes(fmt, flushes).items():
        left = left[~fits(model, left)]
        if not left.size:
            return name
    return BEYOND


def have_a_common_part(
    definition: Definition,
    model: Model,
    logits: NDArray[Any],
    signed: Errors,
    ulp: Errors,
) -> NDArray[np.bool_]:
    """Whether the errors of each row are those of a model with one common part for all outputs.

    Parameters
    ----------
    definition
        The definition.
    model
        The arithmetic.
    logits
        The rows as columns, (classes, rows).
    signed
        The signed errors of the outputs in ulp, likewise.
    ulp
        The size of an ulp at each output, likewise.

    Returns
    -------
    array of bool
        One for each row; True where the definition's outputs have nothing in common.
    """
    with np.errstate(all="ignore"):  # of the largest numbers the bounds are infinite
        found = bounds.shared_error(definition.name, logits, model)
    if found is None:
        return np.ones(logits.shape[1], dtype=bool)
    with np.errstate(all="ignore"):
        error, share = signed * ulp, found.share
        low = np.where(share > 0, (error - found.own) / share, -np.inf)
        high = np.where(share > 0, (error + found.own) / share, np.inf)
    least = np.maximum(np.max(low, axis=0), -found.common)
    return np.asarray(least <= np.minimum(np.min(high, axis=0), found.common))
