"""Reverse mode: vector-Jacobian products of any formula, in any arithmetic.

For y = f(x) and a cotangent g of the shape of y, the vector-Jacobian product is sum_i g_i dy_i / dx
in the shape of x: what ``backward`` of a framework gives, and the gradient where y is one number
and g = 1.  A formula is evaluated once over a ``Tape``, an arithmetic whose numbers remember what
they were made from.  Then the chain rule goes through the graph backwards: each operation turns the
cotangent of its result into those of its operands, by the rules in ``tape``.

The rules are written in the arithmetic below.  So the same code gives derivatives in symbols (to be
proven), enclosures of them in balls, and what they are in floating point; and as a tape is an
arithmetic itself, a tape over a tape gives products with second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .graph import Variable, sweep
from .tape import Tape


def vector_jacobian_product(
    formula: Callable[..., Any],
    arguments: Mapping[str, Any],
    cotangent: Any,
    xp: Any,
    *,
    wrt: Sequence[str],
    **parameters: Any,
) -> tuple[Any, dict[str, Any]]:
    """The value of a formula, and its vector-Jacobian products with respect to some arguments.

    Parameters
    ----------
    formula
        What is called as ``formula(*arguments, xp, **parameters)``: a definition, or a form of one.
    arguments
        By name, in the order in which the formula takes them: numbers and arrays of ``xp``;
        labels and masks as they are.
    cotangent
        A number or an array of ``xp`` in the shape of the result (for a real result 1 gives the
        gradient); a sequence of them for a formula with several results.
    xp
        The arithmetic, which may be a ``Tape``.
    wrt
        The names of the arguments to differentiate in.
    **parameters
        Those of the formula, as it takes them.

    Returns
    -------
    tuple[Any, dict[str, Any]]
        The result, and for each name in ``wrt`` sum_i cotangent_i d result_i / d argument, in the
        shape of the argument.

    Raises
    ------
    ValueError
        A name in ``wrt`` is that of no argument, or a cotangent has another shape than its result.

    Notes
    -----
    At a kink, balls enclose all one-sided derivatives, and other systems have their middle.  NaN
    and infinities follow the rules of the arithmetic: an infinite slope times 0 is NaN.

    Examples
    --------
    >>> from ..catalogue import lookup
    >>> from .formats import BINARY64
    >>> from .ieee import ieee
    >>> xp = ieee(BINARY64)
    >>> row = {"z": xp.vector([1.0, 1.0]), "label": 0}
    >>> value, products = vector_jacobian_product(
    ...     lookup("cross_entropy").forms["shifted"], row, xp.number(1), xp, wrt=["z"]
    ... )
    >>> products["z"].tolist()
    [-0.5, 0.5]
    """
    if unknown := [name for name in wrt if name not in arguments]:
        raise ValueError(f"wrt names {unknown[0]!r}; the arguments are {', '.join(arguments)}")
    tape = Tape(xp)
    given = {
        name: Variable(tape, value) if name in wrt else value for name, value in arguments.items()
    }
    found = formula(*given.values(), tape, **parameters)
    several = isinstance(found, tuple)
    results, cotangents = (found, cotangent) if several else ((found,), (cotangent,))
    for k, (result, g) in enumerate(zip(results, cotangents, strict=True)):
        if np.shape(g) != np.shape(result):
            raise ValueError(
                f"the cotangent {f'of result {k} ' if several else ''}has shape {np.shape(g)}; "
                f"give it the shape of the result, {np.shape(result)}"
            )
    varying = [(y, g) for y, g in zip(results, cotangents, strict=True) if tape.holds(y)]
    products = sweep(varying, [given[name] for name in wrt])
    values = tuple(tape.value_of(result) for result in results)
    return (values if several else values[0]), dict(zip(wrt, products, strict=True))
