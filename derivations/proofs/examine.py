"""The facts of a definition with named arguments, held against drawn points in balls.

What becomes of a fact, in this order (``prove`` has the third):

* *idle*: a statement that has no claim, whose claims a function without any such property fulfils
  as well (a polynomial that nothing is special about), or about arguments that the function does
  not depend on, says nothing, and is not proven.
* *refuted*: at a drawn point a ball that encloses the claimed 0 does not hold 0, or one that
  encloses what is claimed to be at least 0 lies below.  That is a proof of the contrary; the point
  is told.
* *proven*: in symbols, for small sizes of every axis, all indices and masks, and all parameters.
* *certified*: no proof was found; at POINTS drawn points the claims hold to within 2^-CLOSE.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np

from ..arithmetic.arithmetic import NoValue
from ..choices import of_numbers
from ..definition import Definition, Fact
from ..signature import Numbers
from .chosen_points import drawn_point, told
from .facts import Claim
from .facts_of_arguments import At, spoken_of
from .points import Point

POINTS = 8
BITS = 256
CLOSE = 64
LENGTHS = (3, 4, 5, 2)  # of the axes of drawn points, one after the other


@dataclass(frozen=True)
class Examined:
    """What was found of a fact: idle and why, refuted and where, or at how many points it holds."""

    idle: str = ""
    counterexample: str = ""
    points: int = 0


def examine(definition: Definition, fact: Fact) -> Examined:
    """Hold a fact against drawn points: idle, refuted, or how many points certify it.

    Parameters
    ----------
    definition
        A definition with named arguments.
    fact
        One that it declares, or may.

    Returns
    -------
    Examined
        No more points than POINTS; fewer where the function has no value at some.

    Examples
    --------
    >>> from ..catalogue import lookup
    >>> from .facts import SumsTo
    >>> examine(lookup("sparsemax"), SumsTo(1)).points
    8
    >>> examine(lookup("sparsemax"), SumsTo(2)).counterexample
    'at z = [...]: -1 is not 0'
    """
    definition = of_numbers(definition)
    if all(_holds_of_any(definition, fact, sign) for sign in (1, -1)):
        return Examined(idle="any function has it")
    if _independent(definition, fact):
        return Examined(idle="the function does not depend on it")
    points = 0
    for point in _points(definition):
        with flint.ctx.workprec(BITS):
            try:
                claims = list(fact.claims(point))
            except (NoValue, ZeroDivisionError):
                continue
        verdicts = [_verdict(claim) for claim in claims]
        for claim, verdict in zip(claims, verdicts, strict=True):
            if verdict is False:
                needed = "below 0" if claim.nonnegative else "not 0"
                return Examined(
                    counterexample=f"at {told(point)}: {_short(claim.expression)} is {needed}"
                )
        points += bool(verdicts) and all(verdicts)
    return Examined(points=points)


def _short(x: flint.arb) -> str:
    return f"{float(x):.6g}"


def _points(definition: Definition, formula: Any = None) -> Iterator[Point]:
    rng = np.random.default_rng(zlib.crc32(definition.name.encode()))
    for i in range(POINTS):
        axes = definition.signature.axes
        sizes = {axis: LENGTHS[(i + j) % len(LENGTHS)] for j, axis in enumerate(axes)}
        yield drawn_point(definition, sizes, rng, formula)


def _verdict(claim: Claim) -> bool | None:
    """Whether a claim about balls holds to within 2^-CLOSE; None where it is not decided."""
    x = claim.expression
    if not x.is_finite():
        return None
    if claim.nonnegative:
        if x < 0:
            return False
        return True if x >= 0 or abs(x) < flint.arb((1, -CLOSE)) else None
    if x != 0 and not x.contains(0):
        return False
    return True if abs(x) < flint.arb((1, -CLOSE)) else None


def _holds_of_any(definition: Definition, fact: Fact, sign: int) -> bool:
    """Whether a function that nothing is special about has the property."""
    formula = _nothing_special(definition, sign)
    for point in itertools.islice(_points(definition, formula), 2):
        with flint.ctx.workprec(BITS):
            try:
                if not all(_verdict(claim) for claim in fact.claims(point)):
                    return False
            except (NoValue, ZeroDivisionError):
                return False
    return True


def _nothing_special(definition: Definition, sign: int) -> Callable[..., Any]:
    """A polynomial of the arguments with other coefficients for each entry and each result."""
    signature = definition.signature

    def formula(*given: Any, **parameters: Any) -> Any:
        *arguments, xp = given
        values = dict(zip(signature.arguments, arguments, strict=True))
        shapes = {n: np.shape(v) if not hasattr(v, "shape") else v.shape for n, v in values.items()}
        sizes = signature.sizes(shapes) | definition.counted(parameters)
        moved = sum(
            (k + 3) * int(v)
            for n, kind in signature.arguments.items()
            if not isinstance(kind, Numbers)
            for k, v in enumerate(np.asarray(values[n]).reshape(-1))
        )
        further = sum((i + 2) * xp.number(p) for i, p in enumerate(parameters.values()) if p)
        terms = []
        for i, name in enumerate(signature.numbers):
            kind = signature.arguments[name]
            for j, index in enumerate(np.ndindex(*(sizes[a] for a in kind.axes))):
                terms.append((3 * i + j, values[name][index] if index else values[name]))
        outputs = []
        for k, axes in enumerate(signature.outputs.values()):
            shape = tuple(sizes[a] for a in axes)
            entries = []
            for e in range(int(np.prod(shape))):
                total = xp.number(sign * (1 + k + e)) + xp.number(1) * moved + further
                for j, x in terms:
                    total = total + x * ((5 * j + 7 * e + 3) % 11 + 1) + x * x * ((j + e) % 3 + 1)
                entries.append(total * sign)
            stacked = xp.stack(entries) if shape else entries[0]
            outputs.append(
                xp.stack(
                    [xp.stack(entries[r * shape[1] : (r + 1) * shape[1]]) for r in range(shape[0])]
                )
                if len(shape) == 2
                else stacked
            )
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    return formula


def _restricted(point: Point, fact: Fact) -> Point:
    while isinstance(fact, At):
        point, fact = fact.restricted(point), fact.fact
    return point


def _independent(definition: Definition, fact: Fact) -> bool:
    """Whether the function was never seen to change with the arguments that a fact is about."""
    names = spoken_of(fact, definition.signature)
    for point in _points(definition):
        with flint.ctx.workprec(BITS):
            try:
                point = _restricted(point, fact)
                before = point.value()
                for name in names:
                    kind = definition.signature.arguments.get(name)
                    if not isinstance(kind, Numbers):
                        continue
                    z = point.arguments[name]
                    offset = point.number("a", np.shape(z), False)
                    if math.isfinite(kind.upper - kind.lower):  # stay in between
                        offset = (point.xp.number((kind.lower + kind.upper) / 2) - z) / 4
                    after = point.value(**{name: z + offset})
                    for a, b in zip(before, after, strict=True):
                        if a.is_finite() and b.is_finite() and not a.overlaps(b):
                            return False
            except (NoValue, ZeroDivisionError):
                continue
    return True
