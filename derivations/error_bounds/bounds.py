"""The bound of a definition at given logits, in a model of arithmetic.

What is proven stands in the module of the family (``softmax``, ``activations``, ...), declared with
its definition; the model that it is proven in, and the lemmas, in ``model``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..definition import REGISTRY
from .logits import at_label
from .model import SLACK, Label, Model, SharedError, Vector


def bound(
    name: str,
    logits: NDArray[Any],
    model: Model,
    *,
    label: Label | None = None,
    gradient: bool = False,
    **parameters: float,
) -> Vector | None:
    """The bound of a definition, aligned with its outputs; None where none is proven.

    Masked classes (-inf) take no part; their own outputs are limits, exact, with bound 0.  (Nothing
    is proven of them under label smoothing, nor where exp may be anything: ELEMENTARY u >= 1.)

    Parameters
    ----------
    name
        The definition.
    logits
        One row, (classes,), or many, (classes, rows); for a function of one real any numbers.
    model
        The arithmetic.
    label
        The right class, or one for each row, where the definition takes it.
    gradient
        Whether the bound is that of the gradient.
    **parameters
        Those of the definition, where they have not their defaults.

    Returns
    -------
    Vector or None
        The largest error of each output, absolute, of the shape of the outputs; infinite where
        nothing is proven of an output, None where no bound is proven of the definition.
    """
    definition = REGISTRY.get(name)
    if definition is None:
        return None
    function = definition.gradient_bound if gradient else definition.error_bound
    z = np.asarray(logits, dtype=np.float64)
    finite = np.isfinite(z)
    unproven = parameters and not finite.all() and not definition.elementwise
    if function is None or model.elementary * model.u >= 1 or unproven:
        return None
    there = finite
    with np.errstate(over="ignore", invalid="ignore"):
        if definition.elementwise:
            known = function(np.where(finite, z, 0.0), model, **parameters)
        elif label is None:
            known = function(z, model, **parameters)
        else:
            known = function(z, label, model, **parameters)
            there = finite & np.isfinite(at_label(z, label))
        if known.value.ndim < z.ndim:  # one number for each row
            there = np.asarray(True) if label is None else np.isfinite(at_label(z, label))
        error = model.rounded(known.value, SLACK * known.error)
    return np.asarray(np.where(there, error, 0.0))


def shared_error(name: str, logits: NDArray[Any], model: Model) -> SharedError | None:
    """The errors of the outputs of rows, with what they have in common apart.

    Parameters
    ----------
    name
        The definition.
    logits
        One row, (classes,), or many, (classes, rows).
    model
        The arithmetic.

    Returns
    -------
    SharedError or None
        None where the outputs have no part of their errors in common.
    """
    definition = REGISTRY.get(name)
    if definition is None or definition.shared_error is None or definition.error_bound is None:
        return None
    if model.elementary * model.u >= 1:
        return None
    z = np.asarray(logits, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        known = definition.shared_error(z, model)
        total = SLACK * (known.own + known.common * known.share)
        rounding = model.rounded(definition.error_bound(z, model).value, total) - total
    own = np.where(np.isfinite(total), SLACK * known.own + rounding, np.inf)
    own = np.where(np.isfinite(z), own, 0.0)
    return SharedError(SLACK * known.common, np.where(np.isfinite(z), known.share, 0.0), own)
