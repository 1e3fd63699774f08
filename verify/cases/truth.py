"""The exact results of a definition at a case, rounded once into a format.

As in ``oracle/truth.py``: balls, raised in precision until every number rounds uniquely, and big
floats as the second oracle; the fast oracle (``oracle/fast.py``) where a caller admits it.  Every
form of a definition is the same function, so that whichever decides first tells the truth; the
second oracle evaluates the published one.

At a kink a derivative is a hull of several values: its ball does not shrink with the precision.
Then the middle stands for the truth, and the second oracle, which has no hulls, is not asked.  The
threshold of running errors encloses the hull, so it holds around the middle for every value in it:
|computed - middle| <= |computed - value| + half the width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.arithmetic import NoValue
from ...derivations.arithmetic.formats import Format
from ...derivations.arithmetic.systems import balls, big_floats
from ...derivations.choices import chooses
from ...derivations.definition import Definition, Formula
from ..oracle.enclosure_arithmetic import EnclosureArithmetic
from ..oracle.enclosures import Enclosure
from ..oracle.fast import demand_same, fast_truth, is_checked
from ..oracle.rounding import (
    GUARD_BITS,
    TIE_BITS,
    OracleError,
    Rounding,
    Truth,
    assemble,
    demand_agreement,
    round_ball,
)
from .case import Case, formula_call

MAX_PRECISION = 1 << 13


def evaluate(definition: Definition, formula: Formula, case: Case, xp: Any) -> NDArray[Any]:
    """All numbers that a formula of a definition gives at a case, one output after the other.

    OracleError where an output has not the shape that is declared, a finding about the definition,
    and where the formula has no value, as an attention to no keys.

    Parameters
    ----------
    definition
        The definition.
    formula
        One of its forms.
    case
        Finite numbers for its arguments.
    xp
        The arithmetic.

    Returns
    -------
    array of objects
        Numbers of that arithmetic.
    """
    flat: list[Any] = []
    for output in _outputs(definition, formula, case, xp):
        flat += np.asarray(output, dtype=object).reshape(-1).tolist()
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array


def _outputs(definition: Definition, formula: Formula, case: Case, xp: Any) -> list[Any]:
    """The outputs of a formula in numbers of an arithmetic, each in its declared shape."""
    arguments, parameters = formula_call(definition, case)
    for name in definition.signature.numbers:
        arguments[name] = xp.array(arguments[name])
    try:
        result = formula(*arguments.values(), xp, **parameters)
    except NoValue as reason:
        raise OracleError(f"{definition.name} has no value there: {reason}") from reason
    shapes = output_shapes(definition, case)
    found = list(result) if len(shapes) > 1 else [result]
    for output, (name, shape) in zip(found, shapes.items(), strict=True):
        if np.shape(output) != shape:
            raise OracleError(
                f"the formula of {definition.name} gives {name} of shape {np.shape(output)}; its "
                f"signature says {shape}"
            )
    return found


def output_shapes(definition: Definition, case: Case) -> dict[str, tuple[int, ...]]:
    """The shape of each output at a case.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases.

    Returns
    -------
    dict
        Shape by the name of the output.
    """
    signature = definition.signature
    sizes = case.sizes(signature) | definition.counted(case.parameters)
    return {name: tuple(sizes[a] for a in axes) for name, axes in signature.outputs.items()}


def truth(
    definition: Definition,
    case: Case,
    fmt: Format,
    *,
    cross_check: bool = False,
    fast: bool = False,
) -> Truth:
    """The exact results at a case, all outputs in one vector, each rounded once.

    Parameters
    ----------
    definition, case
        The definition, and finite numbers for its arguments.
    fmt
        The format to round to.
    cross_check
        Whether the second oracle is asked, too.
    fast
        Whether the fast oracle may answer, where it decides; a hundredth of its answers, and all
        that are to be cross-checked, are held against balls.

    Returns
    -------
    Truth
        Of the numbers that ``evaluate`` gives, in its order.

    Raises
    ------
    ValueError
        The definition chooses, as the k largest: it has a set of truths (``cases.choices``).
    OracleError
        The oracles disagree, or MAX_PRECISION bits decide nothing, not even a hull: the definition
        may be singular there, as layer normalisation without eps is where all numbers are equal.

    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> case = Case({"logits": np.float32([0, 0]), "label": np.array(0)})
    >>> truth(lookup("cross_entropy"), case, BINARY32).rounded
    array([0.6931472], dtype=float32)
    """
    if chooses(definition):
        raise ValueError(
            f"{definition.name} chooses, so that several results may be right; ask for the truth "
            "of the numbers at a choice, by cases.choices.with_choice"
        )
    found = enclosed_truth(definition, case, fmt) if fast else None
    if found is None:
        return _by_balls(definition, case, fmt, cross_check)
    if cross_check or is_checked((definition.name, fmt.name, case.key)):
        exact = _by_balls(definition, case, fmt, cross_check)
        demand_same(found, exact, f"{definition.name} in {fmt.name}")
        return exact
    return found


def enclosed_truth(definition: Definition, case: Case, fmt: Format) -> Truth | None:
    """The truth by the fast oracle, from the first form that decides it; None where none does.

    Parameters
    ----------
    definition, case, fmt
        As for ``truth``.

    Returns
    -------
    Truth or None
        All outputs in one vector.
    """
    for formula in (definition.formula, *definition.forms.values()):

        def flat(xp: EnclosureArithmetic, formula: Formula = formula) -> Enclosure:
            parts = [xp.array(output) for output in _outputs(definition, formula, case, xp)]
            return xp.concatenate([part.map(lambda array: array.reshape(-1)) for part in parts])

        if (found := fast_truth(flat, fmt)) is not None:
            return found
    return None


def _by_balls(definition: Definition, case: Case, fmt: Format, cross_check: bool) -> Truth:
    """The truth by balls, as ``truth`` has it."""
    formulas = (definition.formula, *definition.forms.values())
    # An exact 0 is decided where a ball around it is far below the least number of the format.
    to_decide_zero = min(64 + GUARD_BITS - fmt.tiny_exponent, MOST_BITS_AT_FIRST)
    precision = max(fmt.precision + GUARD_BITS + 24, to_decide_zero)
    before: list[NDArray[Any]] = []  # the balls of each formula at a lower precision
    while precision <= MAX_PRECISION:
        enclosed = []
        for formula in formulas:
            with flint.ctx.workprec(precision):
                enclosed.append(evaluate(definition, formula, case, balls()))
                decided = _all(round_ball(x, fmt, precision > TIE_BITS) for x in enclosed[-1])
            if decided is not None:
                if cross_check:
                    bits = 2 * precision + 64 + _bits_before_the_point(case)
                    _demand_witness(definition, case, fmt, decided, bits)
                return assemble(decided, (len(decided),), fmt)
        as_wide = [_as_wide(*pair, fmt) for pair in zip(enclosed, before, strict=False)]
        if precision > MAX_PRECISION // 2:
            for balls_of_a_formula, hulls in zip(enclosed, as_wide, strict=False):
                middles = [
                    flint.arb(x.mid()) if hull else x
                    for x, hull in zip(balls_of_a_formula, hulls, strict=True)
                ]
                if (decided := _all(round_ball(x, fmt, True) for x in middles)) is not None:
                    return assemble(decided, (len(decided),), fmt)
        before = enclosed
        stuck = bool(as_wide) and all(hulls.any() for hulls in as_wide)
        last = precision << ((MAX_PRECISION // precision).bit_length() - 1)
        precision = max(last, 2 * precision) if stuck else 2 * precision
    if not all(x.is_finite() for x in before[0]):
        raise OracleError(
            f"{definition.name} has no value there: its formula divides by 0, or by what "
            f"{MAX_PRECISION} bits do not tell from 0, or leaves the domain of a function"
        )
    raise OracleError(
        f"{definition.name} does not round uniquely to {fmt.name} with {MAX_PRECISION} bits"
    )


def _all(found: Iterable[Rounding | None]) -> list[Rounding] | None:
    """The roundings, where all are decided; after the first that is not none is looked at."""
    decided = []
    for rounding in found:
        if rounding is None:
            return None
        decided.append(rounding)
    return decided


def _as_wide(enclosed: NDArray[Any], before: NDArray[Any], fmt: Format) -> NDArray[np.bool_]:
    """Which balls are finite, round to no one number, and are as wide as at a lower precision."""
    return np.array(
        [
            bool(x.is_finite() and wider.is_finite() and 2 * x.rad() > wider.rad())
            and round_ball(x, fmt, accept_ties=True) is None
            for x, wider in zip(enclosed, before, strict=True)
        ],
        dtype=np.bool_,
    )


def _demand_witness(
    definition: Definition, case: Case, fmt: Format, decided: list[Rounding], bits: int
) -> None:
    """OracleError unless big floats of so many bits give the same."""
    try:
        witness = evaluate(definition, definition.formula, case, big_floats(bits))
    except ZeroDivisionError as error:
        raise OracleError(f"{definition.name} divides by zero in big floats") from error
    demand_agreement(witness, decided, fmt)


def _bits_before_the_point(case: Case) -> int:
    """How many binary digits the largest number of a case has before the point."""
    numbers = [v for v in case.values.values() if v.size and v.dtype.kind not in "bi"]
    largest = max((float(np.max(np.abs(v.astype(np.float64)))) for v in numbers), default=0.0)
    return max(math.frexp(largest)[1], 0)


MOST_BITS_AT_FIRST = 256
MOST_KEPT = 4096  # truths, for the other subjects of a run


@dataclass(frozen=True)
class _Kept:
    """A truth or why there is none, and whether balls, or both oracles, were asked for it."""

    found: Truth | OracleError
    fast: bool
    cross_checked: bool


_truths: dict[Any, _Kept] = {}


def truth_once(
    definition: Definition,
    case: Case,
    fmt: Format,
    *,
    cross_check: bool = False,
    fast: bool = False,
) -> Truth:
    """``truth``, kept for the other subjects of a run and for shrinking.

    One that was not cross-checked, or that the fast oracle gave, is not kept for who asks for more.

    Parameters
    ----------
    definition, case, fmt, cross_check, fast
        As for ``truth``.

    Returns
    -------
    Truth
        As ``truth``.

    Raises
    ------
    OracleError
        As ``truth``, also where that was found out before.
    """
    key = (definition.name, id(definition), fmt.name, case.key)
    kept = _truths.get(key)
    if kept is None or (kept.fast and not fast) or (cross_check and not kept.cross_checked):
        if len(_truths) >= MOST_KEPT:
            _truths.clear()
        found: Truth | OracleError
        try:
            found = truth(definition, case, fmt, cross_check=cross_check, fast=fast)
        except OracleError as error:
            found = error
        kept = _truths[key] = _Kept(found, fast and not cross_check, cross_check)
    if isinstance(kept.found, OracleError):
        raise kept.found
    return kept.found
