"""Which choices are admissible, of a definition whose results are a set.

A conforming implementation computes scores s'_i with |s'_i - s_i| <= e_i for the exact ones s_i,
e_i the running error of a form (0 where the scores are arguments), and chooses the largest it has,
largest first, ties as it likes.  So a sequence c_1, ..., c_k of different indices is admissible if
and only if there are such s' with s'_(c_1) >= ... >= s'_(c_k) >= s'_j for all j that are not
chosen.  With the ends l_i = s_i - e_i and h_i = s_i + e_i that is

    h_(c_m) >= l_j   for every m, and every j that stands behind c_m or is not chosen.

It is necessary, as h_(c_m) >= s'_(c_m) >= s'_j >= l_j.  It is sufficient: s'_(c_m) = min(h_(c_1),
..., h_(c_m)) falls in m, is at most h_(c_m), and by the condition at least l_(c_m); and s'_j = l_j
for the others is at most all of these.

A choice is admissible where any form admits it: who implements any of the forms conforms.  What
only forms of unknown error admit is not decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.choices import GivenChoice, choice_of
from ....derivations.definition import Definition
from ....derivations.running_error.arithmetic import RunningErrorArithmetic
from ....derivations.running_error.model import Model
from ...cases.case import Case, CaseBatch, formula_call
from ...cases.choices import exact_choice, parted, with_choice
from ..verdicts import Undecided, Violation

UNKNOWN = "no bound is known of the scores that a right implementation may choose by there"
BEYOND = 1 + 2.0**-50  # what the ends of an interval of scores may be rounded by


@dataclass(frozen=True)
class Refusal:
    """Why a choice is not admissible, and the place in it that shows it."""

    reason: str
    place: int


Ends = tuple[NDArray[np.float64], NDArray[np.float64]]


def refusal(
    definition: Definition, case: Case, indices: NDArray[np.int64], model: Model
) -> Refusal | None:
    """Why a choice is not admissible at a case; None where it is, or where that is not decided.

    Parameters
    ----------
    definition
        A definition that chooses.
    case
        The case.
    indices
        The choice, in order.
    model
        The class of implementations.

    Returns
    -------
    Refusal or None
        The first place in the choice that no form admits.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> case = Case({"logits": np.float32([1, 3, 3, 2])})
    >>> gate, model = lookup("top_k_gate"), Model.of(BINARY32)
    >>> refusal(gate, case, np.array([2, 1]), model) is None
    True
    >>> refusal(gate, case, np.array([1, 3]), model).reason
    'entry 2 scores more than entry 3 and is not chosen'
    """
    _, choice = choice_of(definition)
    size = case.sizes(definition.signature)[choice.into]
    for m, index in enumerate(indices.tolist()):
        if not 0 <= index < size:
            return Refusal(f"{index} is no index of {choice.into}, which has {size} entries", m)
        if index in indices[:m]:
            return Refusal(f"entry {index} is chosen twice", m)
    found = [_beaten(indices, *ends) for ends in _scores(definition, case, indices, model)]
    return None if None in found else found[0]


def is_decided(
    definition: Definition, case: Case, indices: NDArray[np.int64], model: Model
) -> bool:
    """Whether the scores of every form are known, so that its choice can be judged.

    Parameters
    ----------
    definition, case, indices, model
        As for ``refusal``.

    Returns
    -------
    bool
        False where a form may compute anything: then the choice was not judged, unless a form with
        known errors admits it.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> case = Case({"logits": np.float32([1, 3, 3, 2])})
    >>> is_decided(lookup("top_k_gate"), case, np.array([2, 1]), Model.of(BINARY32))
    True
    """
    all_known = True
    for low, high in _scores(definition, case, indices, model):
        finite = np.isfinite(low) & np.isfinite(high)
        known = bool((finite | (low == high)).all())  # an exact -inf is what a mask drops
        if known and _beaten(indices, low, high) is None:
            return True
        all_known &= known
    return all_known


def is_unique(definition: Definition, case: Case, indices: NDArray[np.int64], model: Model) -> bool:
    """Whether a choice is the only admissible one.

    Parameters
    ----------
    definition, case, indices, model
        As for ``refusal``; an admissible choice.

    Returns
    -------
    bool
        False where an implementation may choose other entries, or in another order.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> case = Case({"logits": np.float32([1, 3, 3, 2])})
    >>> is_unique(lookup("top_k_gate"), case, np.array([2, 1]), Model.of(BINARY32))
    False
    """
    for low, high in _scores(definition, case, indices, model):
        others = np.ones(len(low), dtype=np.bool_)
        for index in indices:
            others[index] = False
            if (high[others] >= low[index]).any():
                return False
    return True


def _scores(
    definition: Definition, case: Case, indices: NDArray[np.int64], model: Model
) -> Iterator[Ends]:
    """The least and the largest of what each form of a class may compute as scores."""
    arguments, parameters = formula_call(definition, case)
    for form in (definition.formula, *definition.forms.values()):
        xp = GivenChoice(RunningErrorArithmetic(model), indices)
        values = {
            name: xp.array(value) if name in definition.signature.numbers else value
            for name, value in arguments.items()
        }
        form(*values.values(), xp, **parameters)
        (scores,) = xp.asked
        error = (scores.reference_radius + scores.error) * BEYOND
        error = np.where(np.isnan(error), np.inf, error)
        with np.errstate(invalid="ignore"):
            slack = np.where(error > 0, np.abs(scores.value) * 2.0**-52, 0.0)
            yield scores.value - error - slack, scores.value + error + slack


def _beaten(
    indices: NDArray[np.int64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> Refusal | None:
    """The first place of a choice whose entry something behind it surely exceeds."""
    behind = np.ones(len(low), dtype=np.bool_)
    for m, index in enumerate(indices.tolist()):
        behind[index] = False
        larger = behind & ~(high[index] >= low)
        if larger.any():
            other = int(np.argmax(np.where(larger, low, -np.inf)))
            chosen = "stands behind it" if other in indices else "is not chosen"
            return Refusal(f"entry {other} scores more than entry {index} and {chosen}", m)
    return None


@dataclass(frozen=True)
class Chosen:
    """Results of a batch taken apart: those with an admissible choice, and what was found else.

    ``batch`` and ``numbers`` are of the function given the choice, for the ``rows`` of the batch;
    ``before`` is the number of indices that stand before the numbers.
    """

    definition: Definition
    batch: CaseBatch
    numbers: NDArray[Any]
    rows: list[int]
    before: int
    violations: list[Violation]
    undecided: list[Undecided]


def taken_apart(
    definition: Definition, batch: CaseBatch, computed: NDArray[Any], model: Model, dtype: Any
) -> Chosen:
    """Judge the choices in the results of a batch, and keep the numbers that go with them.

    Parameters
    ----------
    definition
        A definition that chooses.
    batch
        Its cases.
    computed
        For each case the indices, and then the numbers.
    model
        The class of implementations.
    dtype
        That of the numbers.

    Returns
    -------
    Chosen
        What is left to judge, which is nothing of a definition that gives indices alone, with
        violations for choices that are not admissible.
    """
    rows, cases, numbers = [], [], []
    violations, undecided = [], []
    before, given = 0, definition
    for row, case in enumerate(batch.cases):
        indices, found = parted(definition, case, computed[row])
        before = len(indices)
        if wrong := refusal(definition, case, indices, model):
            violations.append(_violation(definition, case, row, indices, wrong))
            continue
        if not is_decided(definition, case, indices, model):
            undecided.append(Undecided(row, UNKNOWN))
        if not definition.signature.real_outputs:
            continue
        given, at = with_choice(definition, case, indices)
        rows.append(row)
        cases.append(at)
        numbers.append(found.astype(dtype))
    return Chosen(
        given,
        replace(batch, cases=tuple(cases)),
        np.array(numbers, dtype=dtype),
        rows,
        before,
        violations,
        undecided,
    )


def _violation(
    definition: Definition, case: Case, row: int, indices: NDArray[np.int64], wrong: Refusal
) -> Violation:
    name, choice = choice_of(definition)
    at = name + "".join(f"[{axis}={wrong.place}]" for axis in choice.axes)
    return Violation(
        row=row,
        message="a choice that is not of the largest",
        detail=f"At {at}: {wrong.reason}.",
        index=wrong.place,
        observed=float(indices[wrong.place]),
        expected=float(exact_choice(definition, case).reshape(-1)[wrong.place]),
        source="the scores of every form, with their running errors",
    )
