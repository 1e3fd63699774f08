"""Cases of definitions that choose: with a choice as one argument more, or with the exact one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.arithmetic import NoValue
from ...derivations.arithmetic.formats import Format
from ...derivations.arithmetic.systems import balls
from ...derivations.choices import choice_in, choice_of, chooses, given_choice
from ...derivations.definition import Definition
from ..oracle.rounding import OracleError, Truth
from .case import Case, formula_call
from .truth import output_shapes, truth_once


def with_choice(
    definition: Definition, case: Case, indices: NDArray[np.int64]
) -> tuple[Definition, Case]:
    """The function of the numbers given a choice, and the case with that choice.

    Of a definition that gives indices alone: that of the scores.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases.
    indices
        Which entries are chosen, of int64, as many as the choice has.

    Returns
    -------
    tuple
        The function, not registered, and its case.

    >>> from softproof.derivations import lookup
    >>> case = Case({"logits": np.float32([1, 3, 3])})
    >>> given, at = with_choice(lookup("top_k_gate"), case, np.array([2, 1]))
    >>> given.signature.outputs, at.values["indices"]
    ({'weights': ('k',)}, array([2, 1]))
    """
    name, _ = choice_of(definition)
    shape = _shape_of_choice(definition, case)
    return given_choice(definition), case.with_values(**{name: indices.reshape(shape)})


def _shape_of_choice(definition: Definition, case: Case) -> tuple[int, ...]:
    """The shape of the output that chooses, at a case that may have cotangents, too."""
    name, _ = choice_of(definition)
    own = {argument: case.values[argument] for argument in definition.signature.arguments}
    return output_shapes(definition, replace(case, values=own))[name]


def exact_choice(definition: Definition, case: Case) -> NDArray[np.int64]:
    """The choice at a case from exact scores; entries that are equal keep their order.

    OracleError where no form of the definition decides it.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases.

    Returns
    -------
    array of int64
        In the shape of the choice.

    Raises
    ------
    OracleError
        No form decides it, or what a form returns has another shape than the choice.

    >>> from softproof.derivations import lookup
    >>> exact_choice(lookup("top_k_gate"), Case({"logits": np.float32([1, 3, 3])}))
    array([1, 2])
    """
    xp = balls()
    name, _ = choice_of(definition)
    shape = _shape_of_choice(definition, case)
    arguments, parameters = formula_call(definition, case)
    for argument in definition.signature.numbers:
        arguments[argument] = xp.array(arguments[argument])
    for form in (definition.formula, *definition.forms.values()):
        try:
            results = form(*arguments.values(), xp, **parameters)
        except NoValue:
            continue
        chosen = np.asarray(choice_in(definition, results), dtype=np.int64)
        if chosen.shape != shape:
            raise OracleError(
                f"the formula of {definition.name} gives {name} of shape {chosen.shape}; its "
                f"signature says {shape}"
            )
        return chosen
    raise OracleError(f"which entries {definition.name} chooses there is not decided")


def at_exact_choice(definition: Definition, case: Case) -> tuple[Definition, Case]:
    """``with_choice`` of the exact choice; a definition that chooses nothing as it is.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases.

    Returns
    -------
    tuple
        A definition that chooses nothing, and its case.
    """
    if not chooses(definition):
        return definition, case
    return with_choice(definition, case, exact_choice(definition, case))


def parted(
    definition: Definition, case: Case, row: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The indices and the numbers of a result at a case, which stand one after the other.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases.
    row
        All numbers of a result in one vector, the indices first.

    Returns
    -------
    tuple
        The indices, of int64, and the other numbers.

    >>> from softproof.derivations import lookup
    >>> case = Case({"logits": np.float32([1, 3, 3])})
    >>> parted(lookup("top_k_gate"), case, np.array([2.0, 1.0, 0.75, 0.25]))
    (array([2, 1]), array([0.75, 0.25]))
    """
    name, _ = choice_of(definition)
    count = math.prod(output_shapes(definition, case)[name])
    return row[:count].astype(np.int64), row[count:]


def beside_the_truth(
    definition: Definition, case: Case, row: NDArray[Any], fmt: Format
) -> tuple[NDArray[Any], Truth]:
    """The numbers of a result, and the exact ones that they are to be: those of its own choice.

    OracleError where nothing is decided, or an index is none.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases.
    row
        All numbers of a result in one vector, the indices first.
    fmt
        The format that the truth is rounded to.

    Returns
    -------
    tuple
        The numbers without the indices, in the dtype of the format, and the truth of them.

    Raises
    ------
    OracleError
        Nothing is decided, or an index is none.

    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> case = Case({"logits": np.float32([1, 3, 3])})
    >>> row = np.array([2.0, 1.0, 0.75, 0.25])
    >>> beside_the_truth(lookup("top_k_gate"), case, row, BINARY32)[1].rounded
    array([0.5, 0.5], dtype=float32)
    """
    if not chooses(definition):
        return row, truth_once(definition, case, fmt)
    _, choice = choice_of(definition)
    indices, numbers = parted(definition, case, row)
    size = case.sizes(definition.signature)[choice.into]
    if not ((indices >= 0) & (indices < size)).all():
        raise OracleError(f"{indices.tolist()} are no indices of {choice.into}, which has {size}")
    return numbers.astype(fmt.dtype), truth_once(*with_choice(definition, case, indices), fmt)
