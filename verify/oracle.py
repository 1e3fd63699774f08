"""The truth: exact values of a definition, rounded once into a format.

First oracle: arb balls (python-flint), raised in precision until every output rounds uniquely
(Ziv's strategy).  Second, independent oracle: mpmath; where both are asked they must agree.
Inputs are exact: a floating-point number stands for the real number that it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ..derivations.arithmetic import Arithmetic, balls, big_floats, ieee
from ..derivations.definition import Argument, Definition
from ..derivations.facts import ShiftEquivariant, ShiftInvariant
from ..derivations.formats import BINARY64, Format

# A ball decides once its radius is below 2^-GUARD ulp, so that errors are known that well too.
GUARD_BITS = 20
MAX_PRECISION = 1 << 16


class OracleError(ArithmeticError):
    """The oracles disagree, or cannot decide a rounding: a defect to be reported, never hidden."""


@dataclass(frozen=True)
class Truth:
    """Exact results, as seen from a format.

    ``rounded``: correctly rounded to nearest even, in the format's dtype; ``ulp_exponent``: q with
    ulp(exact) = 2^q; ``offset``: (exact - rounded) / ulp(exact), in [-1/2, 1/2], accurate to
    2^-20.  Where the exact result is infinite or overflows, ``offset`` is 0.
    """

    rounded: NDArray[Any]
    ulp_exponent: NDArray[np.int64]
    offset: NDArray[np.float64]


def truth(
    definition: Definition,
    logits: NDArray[Any],
    fmt: Format,
    *,
    label: int | None = None,
    gradient: bool = False,
    cross_check: bool = False,
    **parameters: float,
) -> Truth:
    """The exact value (or gradient) of a definition at one row of logits, rounded once.

    logits: 1-D array of a supported format; -inf stands for a masked class and means the limit.
    NaN and +inf have no truth (contracts govern them): ValueError, as for a mask everywhere.
    OracleError when the oracles disagree.

    >>> from softproof.derivations import lookup
    >>> from softproof.derivations.formats import BINARY32
    >>> t = truth(lookup("log_softmax"), np.float32([17, 0]), BINARY32)
    >>> t.rounded
    array([-4.1399375e-08, -1.7000000e+01], dtype=float32)
    """
    row = np.asarray(logits)
    values = row.astype(np.float64)
    if np.isnan(values).any() or (not definition.elementwise and np.isposinf(values).any()):
        raise ValueError(f"logits hold NaN or +inf, which have no exact value: {row}")
    finite = np.isfinite(values)
    if finite.all():
        return _finite_truth(definition, row, fmt, label, gradient, cross_check, parameters)
    if not finite.any() and not definition.elementwise:
        raise ValueError("logits are all -inf: the limit does not exist")

    # Masked classes: the others are a smaller problem; the masked outputs are limits, which IEEE
    # infinities compute exactly.
    limits = _limits(definition, values, label, gradient, parameters)
    if limits.ndim == 0 and not np.isfinite(limits):
        return _exactly(limits.reshape(()), fmt)
    inner_label = None if label is None else int(finite[:label].sum())
    kept = row[finite]
    inner = _finite_truth(definition, kept, fmt, inner_label, gradient, cross_check, parameters)
    if inner.rounded.ndim == 0:
        return inner
    whole = _exactly(limits, fmt)
    for target, source in zip(
        (whole.rounded, whole.ulp_exponent, whole.offset),
        (inner.rounded, inner.ulp_exponent, inner.offset),
        strict=True,
    ):
        target[finite] = source
    return whole


def _finite_truth(
    definition: Definition,
    row: NDArray[Any],
    fmt: Format,
    label: int | None,
    gradient: bool,
    cross_check: bool,
    parameters: dict[str, float],
) -> Truth:
    formula = definition.gradient if gradient else definition.formula
    if formula is None:
        raise ValueError(f"{definition.name} declares no gradient")
    numbers = [float(v) for v in row]  # exact: every format is contained in binary64
    shift, restore = _shift(definition, numbers, gradient)

    def evaluate(xp: Arithmetic) -> NDArray[Any]:
        arguments: list[Any] = []
        for argument in definition.arguments:
            if argument is Argument.LABEL:
                arguments.append(label)
            else:
                vector = xp.vector(numbers)
                arguments.append(vector - xp.number(shift) if shift else vector)
        result = np.asarray(formula(*arguments, xp, **parameters), dtype=object)
        return np.asarray(result + xp.number(restore), dtype=object) if restore else result

    precision = fmt.precision + GUARD_BITS + 24
    while precision <= MAX_PRECISION:
        with flint.ctx.workprec(precision):
            result = evaluate(balls())
            roundings = [_round_ball(ball, fmt) for ball in result.flat]
        if all(r is not None for r in roundings):
            decided = [r for r in roundings if r is not None]
            if cross_check:
                _demand_agreement(evaluate, decided, fmt, precision)
            return _assemble(decided, result.shape, fmt)
        precision *= 2
    raise OracleError(
        f"{definition.name} at {[v.hex() for v in row.astype(float)]} does not round uniquely to "
        f"{fmt.name} with {MAX_PRECISION} bits"
    )


def _shift(definition: Definition, numbers: list[float], gradient: bool) -> tuple[float, float]:
    """What to subtract from the logits, and to add back, by a *proven* shift fact.

    It keeps the exponentials below 1, and makes results of tied rows exact rationals in balls, so
    that their rounding is decided.
    """
    for fact in definition.facts:
        if isinstance(fact, ShiftInvariant):
            return max(numbers), 0.0
        if isinstance(fact, ShiftEquivariant):
            return max(numbers), 0.0 if gradient else max(numbers)
    return 0.0, 0.0


_Rounding = tuple[int, int, float]  # significand, ulp exponent, offset


def _round_ball(ball: flint.arb, fmt: Format) -> _Rounding | None:
    """The one number of the format that every point of the ball rounds to; None if not one."""
    if not ball.is_finite():
        return None
    tiny = fmt.tiny_exponent
    if ball.abs_upper() < flint.arb((1, tiny - GUARD_BITS - 1)):
        return 0, tiny, 0.0
    if ball.abs_lower() > flint.arb((1, fmt.emax + 1)):  # overflow, whatever the digits
        return (1 if ball > 0 else -1), fmt.emax + 1, 0.0
    mid, mid_exponent = (int(v) for v in ball.mid().man_exp())
    rad, rad_exponent = (int(v) for v in ball.rad().man_exp())
    top = abs(mid).bit_length() + mid_exponent if mid else fmt.emin
    if rad and mid:  # widen a radius of 2^-(10^38) to one whose digits can be written down
        floor = min(mid_exponent, top - 4 * fmt.precision - 2 * GUARD_BITS)
        if rad.bit_length() + rad_exponent <= floor:
            rad, rad_exponent = 1, floor
    exponent = min(mid_exponent, rad_exponent) if rad else mid_exponent
    mid <<= mid_exponent - exponent
    rad <<= rad_exponent - exponent if rad else 0
    q = max(top - 1, fmt.emin) - fmt.precision + 1
    significand = _shift_round(mid, q - exponent)
    if rad:
        if rad.bit_length() + exponent > q - GUARD_BITS:
            return None
        low, high = (_shift_round(mid + r, q - exponent) for r in (-rad, rad))
        if low != high:
            return None
    # q > exponent whenever anything was rounded off.
    shift = q - exponent
    offset = (mid - (significand << shift)) / (1 << shift) if shift > 0 else 0.0
    return significand, q, offset


def _shift_round(integer: int, shift: int) -> int:
    """integer / 2^shift, rounded to nearest, ties to even."""
    if shift <= 0:
        return integer << -shift
    if integer.bit_length() < shift - 1:
        return 0
    quotient, remainder = integer >> shift, integer & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    return quotient + (remainder > half or (remainder == half and quotient & 1))


def _demand_agreement(
    evaluate: Callable[[Arithmetic], NDArray[Any]],
    decided: list[_Rounding],
    fmt: Format,
    precision: int,
) -> None:
    """Mpmath must round to the same numbers; it has no error bars, so it gets more bits."""
    second = evaluate(big_floats(2 * precision + 64))
    for number, (significand, q, _) in zip(second.flat, decided, strict=True):
        man, exponent = (int(v) for v in number.man_exp)  # of the modulus
        rounded = _shift_round(-man if number < 0 else man, q - exponent)
        # (beyond the range, different significands are the same infinity)
        if fmt.from_significand(rounded, q) != fmt.from_significand(significand, q):
            raise OracleError(
                f"balls give {significand} * 2^{q} in {fmt.name}, mpmath {rounded} * 2^{q}"
            )


def _assemble(decided: list[_Rounding], shape: tuple[int, ...], fmt: Format) -> Truth:
    rounded = np.array([fmt.from_significand(s, q) for s, q, _ in decided], dtype=fmt.dtype)
    offset = np.array([o for _, _, o in decided])
    offset[np.isinf(rounded.astype(np.float64))] = 0.0
    return Truth(
        rounded.reshape(shape),
        np.array([q for _, q, _ in decided], dtype=np.int64).reshape(shape),
        offset.reshape(shape),
    )


def _limits(
    definition: Definition,
    values: NDArray[np.float64],
    label: int | None,
    gradient: bool,
    parameters: dict[str, float],
) -> NDArray[np.float64]:
    """Limits at infinite entries: the formula in IEEE infinities, finite logits set to 0."""
    xp = ieee(BINARY64)
    bounded = np.where(np.isfinite(values), 0.0, values)
    arguments = [label if a is Argument.LABEL else bounded for a in definition.arguments]
    formula = definition.gradient if gradient else definition.formula
    assert formula is not None
    with np.errstate(all="ignore"):
        return np.asarray(formula(*arguments, xp, **parameters), dtype=np.float64)


def _exactly(values: NDArray[np.float64], fmt: Format) -> Truth:
    """A Truth of exactly representable values."""
    return Truth(
        values.astype(fmt.dtype),
        np.full(values.shape, fmt.tiny_exponent, dtype=np.int64),
        np.zeros(values.shape),
    )
