"""The largest admissible error at a case, by running errors over the forms of the definition.

Of vector-Jacobian products with a declared bound it is the larger of both: that bound holds for
probabilities that were stored before they were used, which the forms do not do.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations import lookup
from ....derivations.arithmetic.formats import ALL_FORMATS, Format, exact
from ....derivations.definition import Definition
from ....derivations.error_bounds.bounds import bound
from ....derivations.error_bounds.model import Model as ErrorModel
from ....derivations.running_error.model import Model
from ....derivations.running_error.thresholds import admissible, thresholds
from ...cases.case import Case, formula_call
from ...oracle.truth import truth
from ...subjects.contract import ONLINE_BLOCK, Contract

MOST_KEPT = 4096
_kept: dict[Any, NDArray[np.float64]] = {}


def model_of(contract: Contract, fmt: Format) -> Model:
    """The class of implementations that a contract declares, in a format.

    Parameters
    ----------
    contract
        What a subject declares of its arithmetic.
    fmt
        The format of its results.

    Returns
    -------
    Model
        What running errors are evaluated in.
    """
    return Model.of(
        fmt,
        accumulator=contract.accumulator,
        arithmetic=contract.arithmetic,
        summation=contract.summation,
        flushes=contract.flush_to_zero == "yes",
        faithful_sums=contract.addition == "truncating",
        operands=None if contract.products == "input" else ALL_FORMATS[contract.products],
        online_block=ONLINE_BLOCK if contract.normaliser == "online" else 0,
        from_logsumexp=contract.normaliser == "lse",
        stored_scores=contract.scores == "rounded",
        stored_softmax=contract.probabilities == "rounded",
        stored_forward=contract.saved == "rounded",
    )


def largest_errors(definition: Definition, case: Case, model: Model) -> NDArray[np.float64]:
    """The largest admissible error of each number that the definition gives at a case.

    Infinite where nothing is known of the class, as where it may leave the range of the format.
    The largest over the forms of the definition: who implements any of them conforms.

    Parameters
    ----------
    definition
        What is to be computed.
    case
        The case.
    model
        The class of implementations.

    Returns
    -------
    array
        One error for each number, all outputs one after the other.
    """
    key = (definition.name, id(definition), model, case.key)
    if key not in _kept:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = _evaluated(definition, case, model)
    return _kept[key]


def _evaluated(definition: Definition, case: Case, model: Model) -> NDArray[np.float64]:
    arguments, parameters = formula_call(definition, case)
    forms = [definition.formula, *definition.forms.values()]
    count = len(definition.signature.outputs)
    found = thresholds(forms, arguments, model, count, **parameters)
    errors = np.concatenate([admissible(known).reshape(-1) for known in found])
    if definition.product_bound is not None and "cotangent" in case.values:
        row, weights = case.values["logits"], case.values["cotangent"]
        sums = "input" if model.accumulator == model.result else model.accumulator.name
        declared = declared_products(definition, row, weights, model.result, sums)
        errors = np.maximum(errors, [_not_below(error) for _, error in declared])
    return errors


def _not_below(number: Fraction) -> float:
    """A float that is not below a fraction."""
    return float(np.nextafter(float(number), np.inf))


def declared_products(
    definition: Definition,
    row: NDArray[Any],
    weights: NDArray[Any],
    fmt: Format,
    accumulator: str,
) -> list[tuple[Fraction, Fraction]]:
    """Each vector-Jacobian product at a row, and its error, by the bound that is declared.

    That rests on probabilities right to r relative, and K u for sums of K terms.

    Parameters
    ----------
    definition
        A definition that declares such a bound.
    row
        Finite logits of shape (classes,).
    weights
        The cotangent, of the same shape.
    fmt
        The format that probabilities and products have.
    accumulator
        The format of sums, as a contract names it.

    Returns
    -------
    list
        The exact product and the largest error, for each class.
    """
    assert definition.product_bound is not None
    true = truth(lookup("softmax"), row, fmt)
    p = [
        exact(v) + Fraction(float(o)) * Fraction(2) ** int(q)
        for v, o, q in zip(true.rounded, true.offset, true.ulp_exponent, strict=True)
    ]
    of_p = bound("softmax", row, ErrorModel.of(fmt, accumulator))
    assert of_p is not None
    relative = max(Fraction(float(b)) / v for b, v in zip(of_p, p, strict=True))
    u = Fraction(fmt.unit_roundoff)
    relative += (len(row) + 4) * u
    return [*definition.product_bound(p, [exact(v) for v in weights], relative, u)]
