"""The value of a definition at given arguments, as a number that one can read."""

from __future__ import annotations

import math
from typing import Any

import flint
import numpy as np

from .arithmetic.systems import balls
from .catalogue import lookup

BITS = 256


def value(name: str, **given: Any) -> Any:
    """The value of a definition, computed in balls of 256 bits and then rounded to binary64.

    Parameters
    ----------
    name
        The name of a definition.
    **given
        Each argument by name: a number, or nested lists of numbers; and those parameters that have
        not their defaults.

    Returns
    -------
    float, or nested lists of floats
        By the axes of the output; of several outputs, a dictionary by their names.  NaN where balls
        enclose no value.

    Raises
    ------
    KeyError
        There is no such definition.
    ValueError
        An argument is missing, unknown, or has a shape that does not fit.

    Examples
    --------
    >>> value("softplus", x=-20.0)
    2.061153620314381e-09
    >>> value("sparsemax", z=[0.5, 0.25, -3.0])
    [0.625, 0.375, 0.0]
    >>> value("sparsemax")
    Traceback (most recent call last):
        ...
    ValueError: argument 'z' is missing
    """
    definition = lookup(name)
    parameters = {n: given.pop(n) for n in definition.parameters if n in given}
    arguments = {n: np.asarray(given[n]) for n in definition.signature.arguments if n in given}
    sizes = definition.signature.sizes({n: np.shape(v) for n, v in given.items()})
    if misfit := definition.misfit(sizes, parameters):
        raise ValueError(misfit)
    xp = balls()
    with flint.ctx.workprec(BITS):
        lifted = [
            xp.array(array) if n in definition.signature.numbers else array[()]
            for n, array in arguments.items()
        ]
        results = definition.formula(*lifted, xp, **definition.settings(parameters))
    if len(definition.signature.outputs) == 1:
        return _rounded(results)
    return {n: _rounded(r) for n, r in zip(definition.signature.outputs, results, strict=True)}


def _rounded(result: Any) -> Any:
    """Balls as the nearest floats, indices as they are."""
    array = np.asarray(result, dtype=object)
    for index, x in np.ndenumerate(array):
        if isinstance(x, flint.arb):
            array[index] = float(x.mid()) if x.is_finite() else math.nan
    return array.tolist()
