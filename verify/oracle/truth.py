"""The truth: exact values of a definition, rounded once into a format.

First oracle: arb balls (python-flint), raised in precision until every output rounds uniquely
(Ziv's strategy).  Second oracle: mpmath; where both are asked they must agree.
Inputs are exact: a floating-point number stands for the real number that it is.  Where a caller
admits it, and values of a row are wanted, the fast oracle (``fast``) is asked before both.

What the agreement is worth.  The second oracle has another arithmetic, by another author, without
error bars.  Of a value it takes the logits as they stand, where the first subtracts the largest by
a declared fact, and each class by itself, where the first counts equal ones once.  Where the
definition declares a second formula (``Definition.second_formula``) it evaluates that one: a slip
in the published formula as it is written in the catalogue is then found.  In arithmetic alone it is
independent for gradients (which ``prove`` holds against the derivative) and for rows of more than
MOST_APART classes with equal ones among them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format
from ...derivations.arithmetic.systems import Arithmetic, balls, big_floats
from ...derivations.definition import Definition, Fact, Formula
from ...derivations.proofs.facts import (
    PermutationEquivariant,
    PermutationInvariant,
    ShiftEquivariant,
    ShiftInvariant,
)
from .enclosure_arithmetic import EnclosureArithmetic
from .enclosures import Enclosure
from .fast import demand_same, fast_truth, is_checked
from .limits import ContradictoryLimits, ball_limit, big_float_limit
from .rounding import GUARD_BITS as GUARD_BITS
from .rounding import TIE_BITS, assemble, demand_agreement, round_ball
from .rounding import OracleError as OracleError
from .rounding import Truth as Truth

MAX_PRECISION = 1 << 16
MOST_APART = 1000  # classes that the second oracle takes one by one
BALLS = balls().name


def truth(
    definition: Definition,
    logits: NDArray[Any],
    fmt: Format,
    *,
    label: int | None = None,
    gradient: bool = False,
    cross_check: bool = False,
    fast: bool = False,
    **parameters: float,
) -> Truth:
    """The exact value (or gradient) of a definition at one row of logits, rounded once.

    A function of one real has its limit at both infinities, where ``limits`` decides it.

    Parameters
    ----------
    definition
        The definition.
    logits
        One row, (classes,), of a supported format; -inf stands for a masked class and means the
        limit. For a function of one real, any numbers.
    fmt
        The format that the exact value is rounded to.
    label
        The right class, where the definition takes one.
    gradient
        Whether the truth is that of the gradient.
    cross_check
        Whether the second oracle is asked, too.
    fast
        Whether the fast oracle may answer, for values at finite logits, where it decides; a
        hundredth of its answers, and all that are to be cross-checked, are held against balls.
    **parameters
        Those of the definition, where they have not their defaults.

    Returns
    -------
    Truth
        The rounded values, and how far the exact ones are from them.

    Raises
    ------
    ValueError
        If the row holds NaN or +inf or is masked everywhere, which contracts govern; for the
        gradient of an infinite loss (the right class masked); for a label that is no class.
    OracleError
        If the oracles disagree, or a limit or a rounding is not decided.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> t = truth(lookup("log_softmax"), np.float32([17, 0]), BINARY32)
    >>> t.rounded
    array([-4.1399375e-08, -1.7000000e+01], dtype=float32)
    """
    row = np.asarray(logits)
    values = row.astype(np.float64)
    if row.ndim != 1:
        raise ValueError(f"logits have {row.ndim} dimensions; the oracle takes one row")
    if np.isnan(values).any() or (not definition.elementwise and np.isposinf(values).any()):
        raise ValueError(f"logits hold NaN or +inf, which have no exact value: {row}")
    if not definition.elementwise and not np.isfinite(values).any():
        raise ValueError("logits are empty or all -inf: the limit does not exist")
    if not definition.labelled:
        label = None
    else:
        if label is None or not 0 <= label < row.size:
            raise ValueError(f"label is {label}; it must be one of the {row.size} classes")
        if gradient and values[label] == -np.inf:
            raise ValueError("the right class is masked: an infinite loss has no gradient")

    formula = definition.gradient if gradient else definition.formula
    if formula is None:
        raise ValueError(f"{definition.name} declares no gradient")
    shift, restore = _shift(definition, float(np.max(values)), gradient)
    quick: Truth | None = None
    if fast and not gradient and np.isfinite(values).all():

        def enclosed(xp: EnclosureArithmetic) -> Enclosure:
            row = xp.array(values) - shift
            given = [row, label] if definition.labelled else [row]
            return xp.array(formula(*given, xp, **parameters)) + restore

        quick = fast_truth(enclosed, fmt)
        asked_again = is_checked((definition.name, fmt.name, label, values.tobytes()))
        if quick is not None and not (cross_check or asked_again):
            return quick
    groups = _Groups.of(values, label)
    # Of a function of one real, the formula is asked where the argument is finite.
    asked = np.isfinite(values) | (not definition.elementwise)
    if definition.elementwise:
        groups = _Groups.apart(values[asked], None)
    elif (
        parameters
        or len(groups.values) == len(values)
        or not _sums_only(formula, definition.labelled, definition.facts)
    ):
        groups = _Groups.apart(values, label)

    def evaluate(
        groups: _Groups, formula: Formula, xp: Arithmetic, shift: float, restore: float
    ) -> NDArray[Any]:
        result = groups.evaluate(formula, xp, shift, **parameters)
        if not asked.all():
            limits = [_limit(definition, v, xp, gradient, **parameters) for v in values[~asked]]
            result, found = np.empty(values.shape, dtype=object), result
            result[asked], result[~asked] = found, limits
        return np.asarray(result + xp.number(restore), dtype=object) if restore else result

    precision = fmt.precision + GUARD_BITS + 24
    while precision <= MAX_PRECISION:
        with flint.ctx.workprec(precision):
            result = evaluate(groups, formula, balls(), shift, restore)
            roundings = [round_ball(ball, fmt, precision > TIE_BITS) for ball in result.flat]
        if all(r is not None for r in roundings):
            decided = [r for r in roundings if r is not None]
            if cross_check:
                bits = 2 * precision + 64
                counted = len(values) > MOST_APART and len(groups.values) < len(groups.members)
                if gradient or counted:
                    called = groups, formula, shift, restore
                else:
                    second = definition.second
                    if second is None:
                        # Unshifted, z - log sum e^z loses the bits that z has before the point.
                        second, bits = formula, bits + _bits_before_the_point(values)
                    called = _Groups.apart(values[asked], label), second, 0.0, 0.0
                # A second formula may cancel, as 1 + tanh(u) far below 0: if it seems to disagree,
                # it has all bits between 1 and the smallest number of the format.
                for bits_used in (bits, bits + 2 * (fmt.emax + fmt.precision)):
                    of, second, moved, back = called
                    witness = evaluate(of, second, big_floats(bits_used), moved, back)
                    grouped = witness.size > len(decided)  # one for each class, not for each group
                    each = [decided[k] for k in groups.members] if grouped else decided
                    try:
                        demand_agreement(witness, each, fmt)
                    except OracleError:
                        if bits_used > bits:
                            raise
                    else:
                        break
            exact = groups.spread(assemble(decided, result.shape, fmt))
            if quick is not None:
                demand_same(quick, exact, f"{definition.name} in {fmt.name}")
            return exact
        precision *= 2
    raise OracleError(
        f"{definition.name} at {[v.hex() for v in values.tolist()]} does not round uniquely to "
        f"{fmt.name} with {MAX_PRECISION} bits"
    )


def _bits_before_the_point(values: NDArray[np.float64]) -> int:
    """How many binary digits the largest finite modulus has before the point."""
    largest = float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))
    return max(math.frexp(largest)[1], 0)


def _limit(
    definition: Definition, infinity: float, xp: Arithmetic, gradient: bool, **parameters: float
) -> Any:
    """The limit of a function of one real in the arithmetic of an oracle."""
    if xp.name != BALLS:
        return big_float_limit(definition, infinity, xp, gradient=gradient, **parameters)
    try:
        limit = ball_limit(definition, infinity, xp, gradient=gradient, **parameters)
    except ContradictoryLimits as error:
        raise OracleError(str(error)) from error
    if limit.is_nan():
        raise OracleError(
            f"nothing declared of {definition.name} decides its limit at {infinity}: its formula "
            "has no value there, nor has a form, and no monotony leaves but one"
        )
    return limit


def _shift(definition: Definition, highest: float, gradient: bool) -> tuple[float, float]:
    """What to subtract from the logits, and to add back, by a declared shift fact.

    (The tests prove each declared fact for K = 2, 3, 4.)

    It keeps the exponentials below 1, and makes results of tied rows exact rationals in balls, so
    that their rounding is decided.
    """
    for fact in definition.facts:
        if isinstance(fact, ShiftInvariant):
            return highest, 0.0
        if isinstance(fact, ShiftEquivariant):
            return highest, 0.0 if gradient else highest
    return 0.0, 0.0


@dataclass(frozen=True)
class _Groups:
    """The distinct numbers of a row, with multiplicities: a long row of few numbers costs little.

    The right class stands last, on its own: a gradient tells it from others with the same logit.
    """

    values: list[float]  # exact: every format is contained in binary64
    counts: tuple[int, ...]
    label: int | None
    members: NDArray[np.intp]  # the group of each class

    @classmethod
    def of(cls, row: NDArray[np.float64], label: int | None) -> _Groups:
        others = row if label is None else np.delete(row, label)
        values, members, counts = np.unique(others, return_inverse=True, return_counts=True)
        if label is None:
            return cls(values.tolist(), tuple(counts.tolist()), None, members)
        members = np.insert(members, label, len(values))
        return cls(
            [*values.tolist(), float(row[label])], (*counts.tolist(), 1), len(values), members
        )

    @classmethod
    def apart(cls, row: NDArray[np.float64], label: int | None) -> _Groups:
        """Each class a group of its own."""
        return cls(row.tolist(), (1,) * len(row), label, np.arange(len(row)))

    def evaluate(
        self,
        formula: Formula,
        xp: Arithmetic,
        shift: float = 0.0,
        **parameters: float,
    ) -> NDArray[Any]:
        """A formula at the row less the shift, one result for each group."""
        if any(count > 1 for count in self.counts):
            inherited = {f.name: getattr(xp, f.name) for f in fields(xp)}
            xp = _Tallied(**inherited, multiplicities=self.counts)
        vector = xp.vector(self.values)
        arguments: list[Any] = [vector - xp.number(shift) if shift else vector]
        if self.label is not None:
            arguments.append(self.label)
        return np.asarray(formula(*arguments, xp, **parameters), dtype=object)

    def spread(self, truth: Truth) -> Truth:
        """From groups to classes."""
        if truth.rounded.ndim == 0 or len(self.values) == len(self.members):
            return truth
        return Truth(
            truth.rounded[self.members],
            truth.ulp_exponent[self.members],
            truth.offset[self.members],
        )


@dataclass(frozen=True)
class _Tallied(Arithmetic):
    """An arithmetic in which entry i of a vector stands for multiplicities[i] equal ones."""

    multiplicities: tuple[int, ...] = ()

    def sum(self, terms: Any, axis: int | None = None) -> Any:
        return super().sum([n * t for n, t in zip(self.multiplicities, terms, strict=True)])


# Ties below the maximum, at it, of all classes, of two pairs; the first class is the label's.
_TRIALS = (
    np.array([0.5, -1.0, 0.5, 2.0, -1.0, 0.5]),
    np.array([2.0, -1.0, 2.0, 0.5, 2.0]),
    np.array([-1.0, 2.0, 2.0, -1.0, 0.5]),
    np.array([0.5, 0.5, 0.5]),
    np.array([0.25, 0.5, 0.25, 0.5]),
)


def _sums_only(formula: Formula, labelled: bool, facts: Iterable[Fact]) -> bool:
    """Whether a formula sees equal classes only in sums, so that multiplicities may stand for them.

    It must say that the order of the classes does not matter, and give at rows with ties what it
    gives without multiplicities: one that divides by len(z), or sorts, does not.
    """
    orderless = (PermutationInvariant, PermutationEquivariant)
    if not any(isinstance(fact, orderless) for fact in facts):
        return False
    return _sums_equal_classes(formula, labelled)


@functools.cache
def _sums_equal_classes(formula: Formula, labelled: bool) -> bool:
    label = 0 if labelled else None
    return all(_counts_equal_classes(formula, row, label) for row in _TRIALS)


def _counts_equal_classes(formula: Formula, row: NDArray[Any], label: int | None) -> bool:
    groups, apart = _Groups.of(row, label), _Groups.apart(row, label)
    with flint.ctx.workprec(200):
        try:
            tallied = groups.evaluate(formula, balls())
            plain = apart.evaluate(formula, balls())
            if tallied.ndim == 1:
                tallied = tallied[groups.members]
            return tallied.shape == plain.shape and all(
                abs(t - p) < 2.0**-100 for t, p in zip(tallied.flat, plain.flat, strict=True)
            )
        except (ArithmeticError, IndexError, TypeError, ValueError):
            return False
