"""The truth at a row, the threshold of each result there, and where it comes from."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ...derivations.arithmetic.systems import ieee
from ...derivations.error_bounds import bounds
from ...derivations.error_bounds.model import Model
from ...derivations.running_error import UndecidedComparison
from ..cases.case import Case
from ..inputs.families import Batch
from ..oracle.limits import has_limit
from ..oracle.metrics import ulp_error
from ..oracle.truth import Truth, truth
from ..subjects.contract import Contract
from . import standards

NON_INFERIORITY = 4.0
MOST_KEPT = 1024  # classes of a row whose truth is kept for other subjects
MOST_KEPT_FOR_A_WHILE = 8192  # of one whose truth is kept for those that are asked next


@functools.lru_cache(maxsize=20_000)
def _truth(
    name: str, fmt: str, data: bytes, label: int | None, gradient: bool, cross_check: bool
) -> Truth:
    row = np.frombuffer(data, dtype=ARRAY_FORMATS[fmt].dtype)
    return truth(
        lookup(name),
        row,
        ARRAY_FORMATS[fmt],
        label=label,
        gradient=gradient,
        cross_check=cross_check,
    )


_truth_kept_for_a_while = functools.lru_cache(maxsize=256)(_truth.__wrapped__)


def has_truth(definition: Definition, row: NDArray[Any]) -> bool:
    """Whether the definition has an exact value at a row; elsewhere the contract governs.

    Parameters
    ----------
    definition
        The definition.
    row
        The row.

    Returns
    -------
    bool
        Whether `oracle.truth` can be asked for it.
    """
    values = row.astype(np.float64)
    if definition.elementwise:
        if np.isnan(values).any():
            return False
        return all(has_limit(definition, float(v)) for v in np.unique(values[np.isinf(values)]))
    return bool((values < np.inf).all() and np.isfinite(values).any())


def reference(
    definition: Definition,
    fmt: Format,
    batch: Batch,
    i: int,
    *,
    gradient: bool = False,
) -> Truth:
    """The truth at one row of a batch, kept for the other subjects.

    The first row is asked of both oracles, unless the batch is not to be cross-checked.

    Parameters
    ----------
    definition
        The definition.
    fmt
        The format that it is rounded to.
    batch
        The rows.
    i
        The index of the row.
    gradient
        Whether the truth is that of the gradient.

    Returns
    -------
    Truth
        The exact value, rounded once.

    Raises
    ------
    ValueError, OracleError
        As `oracle.truth.truth`.
    """
    label = None if batch.labels is None else int(batch.labels[i])
    data = batch.logits[i].tobytes()
    # (A long row of few numbers costs the oracle little, but the cache a gigabyte.)
    classes = batch.logits.shape[1]
    brief = _truth_kept_for_a_while if classes <= MOST_KEPT_FOR_A_WHILE else _truth.__wrapped__
    ask = _truth if classes <= MOST_KEPT else brief
    return ask(definition.name, fmt.name, data, label, gradient, batch.cross_checked and i == 0)


def model_of(contract: Contract, fmt: Format) -> Model:
    """The model of the arithmetic that a contract declares, in a format.

    Parameters
    ----------
    contract
        What the subject promises.
    fmt
        The format of its arguments and results.

    Returns
    -------
    Model
        What the error bounds are computed for.
    """
    return Model.of(
        fmt,
        contract.accumulator,
        contract.flush_to_zero == "yes",
        contract.summation,
        contract.arithmetic,
    )


def threshold(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    i: int,
    exact: Truth,
    *,
    gradient: bool = False,
) -> tuple[NDArray[np.float64], str]:
    """The largest admissible error of each output at row i, in ulp, and where it comes from.

    (a) what the subject promises, or the proven a-priori bound of the definition; (b) where none is
    declared, the running error of values, the largest over the forms; (c) where that is infinite,
    and of gradients, NON_INFERIORITY times the error that the definition's own formulas make in the
    same format at the same row (the best of them), and at least as many ulps.

    Parameters
    ----------
    definition
        The definition.
    contract
        What the subject promises.
    fmt
        The format.
    batch
        The rows.
    i
        The index of the row.
    exact
        The truth at the row.
    gradient
        Whether the outputs are those of the gradient.

    Returns
    -------
    tuple
        The errors, one for each output, and a sentence that says where they come from.
    """
    limits, source = thresholds(definition, contract, fmt, batch.row(i), [exact], gradient=gradient)
    return limits[0], source


def thresholds(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    truths: Sequence[Truth],
    *,
    gradient: bool,
) -> tuple[NDArray[np.float64], str]:
    """The largest admissible error of each output at all rows of a batch, as ``threshold`` has it.

    Parameters
    ----------
    definition
        The definition.
    contract
        What the subject promises.
    fmt
        The format.
    batch
        The rows.
    truths
        The truth at each row.
    gradient
        Whether the outputs are those of the gradient.

    Returns
    -------
    tuple
        The errors, (rows, outputs), and a sentence that says where they come from.
    """
    if contract.standard != "none" and not gradient:
        return _of_standard(definition, contract.standard, fmt, batch, truths)
    promised = contract.ulps.get(fmt.name)
    if promised is not None and not gradient:
        source = "promised by the subject's contract"
        return np.full((len(truths), *truths[0].rounded.shape), promised), source
    limits = bounds_in_ulp(
        definition, model_of(contract, fmt), fmt, batch, truths, gradient=gradient
    )
    if limits is not None:
        source = (
            f"proven bound of {'the gradient of ' if gradient else ''}{definition.name} in "
            f"{fmt.name}, accumulator {contract.accumulator}, summation {contract.summation}, "
            f"arithmetic {contract.arithmetic} (derivations/error_bounds/bounds.py)"
        )
        return limits, source
    limits = np.empty((len(truths), *truths[0].rounded.shape))
    for i, row in enumerate(batch.logits):
        error = _honest_error(definition, fmt, row, label_of(batch, i), truths[i], gradient)
        limits[i] = NON_INFERIORITY * max(1.0, error)
        if not gradient and np.isfinite(row.astype(np.float64)).all():
            running = _running_errors(definition, contract, fmt, batch, i, truths[i])
            limits[i] = np.where(np.isfinite(running), running, limits[i])
    own = f"{NON_INFERIORITY:g} times the error of the definition's own formula in {fmt.name}"
    return limits, own if gradient else f"running error of {definition.name}, or {own}"


def _of_standard(
    definition: Definition, standard: str, fmt: Format, batch: Batch, truths: Sequence[Truth]
) -> tuple[NDArray[np.float64], str]:
    """What a published table admits at each row, and its source."""
    found = [
        standards.limits(standard, definition, fmt, _case(definition, batch, i), exact)
        for i, exact in enumerate(truths)
    ]
    return np.stack([limits for limits, _ in found]), found[0][1]


def _case(definition: Definition, batch: Batch, i: int) -> Case:
    """A row of a batch as a case: its arguments by name."""
    given = [batch.logits[i]] if batch.labels is None else [batch.logits[i], batch.labels[i]]
    return Case(dict(zip(definition.signature.arguments, given, strict=True)))


def _running_errors(
    definition: Definition, contract: Contract, fmt: Format, batch: Batch, i: int, exact: Truth
) -> NDArray[np.float64]:
    """The running error of each output at a row, in ulp, the largest over the forms.

    Infinite where nothing is known, as where a form takes a decision that errors may reverse.
    """
    from .of_cases import thresholds as of_cases  # which imports what imports this module

    case = _case(definition, batch, i)
    try:
        errors = of_cases.largest_errors(definition, case, of_cases.model_of(contract, fmt))
    except UndecidedComparison:
        return np.full(exact.rounded.shape, np.inf)
    absolute = errors.reshape(exact.rounded.shape)
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(absolute, -exact.ulp_exponent), dtype=np.float64)


def label_of(batch: Batch, i: int) -> int | None:
    """The label of one row of a batch.

    Parameters
    ----------
    batch
        The rows.
    i
        The index of the row.

    Returns
    -------
    int or None
        The label; None where the definition takes none.
    """
    return None if batch.labels is None else int(batch.labels[i])


def bounds_in_ulp(
    definition: Definition,
    model: Model,
    fmt: Format,
    batch: Batch,
    truths: Sequence[Truth],
    *,
    gradient: bool = False,
) -> NDArray[np.float64] | None:
    """The proven error bound at each row of a batch, in ulp of the exact results.

    Parameters
    ----------
    definition
        The definition.
    model
        The arithmetic.
    fmt
        The format of the results.
    batch
        The rows.
    truths
        The truth at each row.
    gradient
        Whether the bounds are those of the gradient.

    Returns
    -------
    array of float64 or None
        The bounds, (rows, outputs); None where no bound is proven.
    """
    with np.errstate(all="ignore"):
        absolute = bounds.bound(
            definition.name,
            batch.logits.T.astype(np.float64),
            model,
            label=batch.labels,
            gradient=gradient,
        )
        if absolute is None:
            return None
        steps = np.stack([exact.ulp_exponent for exact in truths])
        limits = absolute.T / np.ldexp(1.0, steps)
    # Where the exact result is infinite, or far beyond the range, only infinity is right.
    infinite = np.isinf(np.stack([exact.wide for exact in truths]))
    far = infinite & (steps != fmt.emax - fmt.precision + 1)
    return np.where(far, 0.0, limits)


def _honest_error(
    definition: Definition,
    fmt: Format,
    row: NDArray[Any],
    label: int | None,
    exact: Truth,
    gradient: bool,
) -> float:
    """The largest error over the outputs, of the best of the definition's forms.

    A function of one real is asked where its argument is finite: that a formula has no value at an
    infinity excuses nobody.
    """
    forms = [definition.formula, *definition.forms.values()]
    if gradient:
        forms = [definition.gradient] if definition.gradient else []
    arguments = [row] if label is None else [row, label]
    asked = np.isfinite(row.astype(np.float64)) if definition.elementwise else True
    with np.errstate(all="ignore"):
        errors = [ulp_error(np.asarray(form(*arguments, ieee(fmt))), exact) for form in forms]
    return min(float(np.max(error, initial=0.0, where=asked)) for error in errors)
