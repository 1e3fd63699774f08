"""Every declared fact of a definition with named arguments, on results of an implementation.

As in the suite of rows (``invariance``): a fact holds for the exact function, and each result is
within its admissible error of that; so results may break the fact by the sum of the admissible
errors of the results involved, and by nothing more.  Arguments are changed only so that nothing is
rounded: offsets on a grid, factors that are powers of two.  All sums are exact.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import Format, exact
from ....derivations.arithmetic.systems import balls
from ....derivations.choices import chooses, of_numbers
from ....derivations.definition import Definition, Fact
from ....derivations.proofs import facts, facts_of_arguments
from ....derivations.proofs.points import Point, along, flat, permuted
from ...cases.case import Case, CaseBatch, formula_call
from ...cases.draw import draw as draw_cases
from ...cases.draw import families as hazard_families
from ...cases.products import cotangents, products
from ...cases.truth import output_shapes, truth_once
from ...oracle.rounding import OracleError
from ...subjects.isolation.in_process import LiveSubject
from ...subjects.subject import NotApplicable
from .. import invariance
from ..invariance import Broken
from ..verdicts import Undecided, Verdict, Violation
from . import accuracy, choices, gradient
from .thresholds import largest_errors, model_of

HAZARDS = ("normal", "wide", "lognormal", "uniform")
MOST_NUMBERS = 300  # of a case: exact sums of more cost more than they find
BITS = 2200  # of balls that hold sums and products of numbers of binary64
BEYOND = 1 << 14  # the exponent of 2 beyond which no number of a format is, nor a product of a few

Values = tuple[list[Fraction], list[Fraction]]  # with their admissible errors


@dataclass(frozen=True)
class Context:
    """A subject at a case: it is asked anywhere, with the admissible absolute errors."""

    subject: LiveSubject
    definition: Definition
    fmt: Format
    case: Case

    def at(self, case: Case | None = None) -> Values | None:
        """The results at a case; None where one is not finite, or nothing is known of its error."""
        asked = self.case if case is None else case
        batch = CaseBatch("", (asked,))
        found = accuracy.call(self.subject, self.definition, self.fmt, batch)
        if not chooses(self.definition):
            return self._with_errors(self.definition, asked, found[0], of_values=True)
        model = model_of(self.subject.contract, self.fmt)
        part = choices.taken_apart(self.definition, batch, found, model, self.fmt.dtype)
        if not part.rows:
            return None  # its choice is the business of the other suites
        (at,) = part.batch.cases
        return self._with_errors(part.definition, at, part.numbers[0], of_values=True)

    def changed(self, **values: Any) -> Values | None:
        """The results where some arguments have other values."""
        return self.at(self.case.with_values(**values))

    def product(self, argument: str) -> Values | None:
        """The vector-Jacobian product in an argument, with a cotangent of signs.

        None where one is not finite, or nothing is known; NotApplicable where the subject has none.
        """
        shapes = output_shapes(of_numbers(self.definition), self.case)
        signs = {
            name: np.resize(np.array([1, -1, -1, 1, 1]), shape).astype(self.fmt.dtype)
            for name, shape in zip(cotangents(self.definition), shapes.values(), strict=True)
        }
        case = self.case.with_values(**signs)
        batch = CaseBatch("", (case,))
        found = gradient.call(self.subject, self.definition, self.fmt, batch)[argument]
        asked = products(self.definition, [argument])
        return self._with_errors(asked, case, found.reshape(-1), of_values=False)

    def _with_errors(
        self, definition: Definition, case: Case, found: NDArray[Any], *, of_values: bool
    ) -> Values | None:
        if not np.isfinite(found.astype(np.float64)).all():
            return None  # that is the business of the other suites
        contract = self.subject.contract
        if of_values and self.fmt.name in contract.ulps:
            try:
                true = truth_once(definition, case, self.fmt, fast=True)
            except OracleError:
                return None
            limits = np.ldexp(contract.ulps[self.fmt.name], true.ulp_exponent)
        else:
            limits = largest_errors(definition, case, model_of(contract, self.fmt))
        if not np.isfinite(limits).all():
            return None
        return [exact(x) for x in found], [Fraction(float(x)) for x in limits]

    def restricted(self, fact: facts_of_arguments.At) -> Context:
        """The context where some arguments and parameters have the values of a fact."""
        case = self.case
        for name, value in fact.values.items():
            if name in self.definition.parameters:
                default = self.definition.parameters[name].default
                case = (
                    case.with_parameters(**{name: value})
                    if value != default
                    else replace(
                        case, parameters={n: v for n, v in case.parameters.items() if n != name}
                    )
                )
            else:
                case = case.with_values(**{name: np.full_like(case.values[name], value)})
        return replace(self, case=case)

    def ball_point(self) -> Point:
        """The case in balls."""
        xp = balls()
        arguments, parameters = formula_call(self.definition, self.case)
        for name in self.definition.signature.numbers:
            arguments[name] = xp.array(arguments[name])

        def none(name: str, shape: tuple[int, ...], positive: bool) -> Any:
            raise ValueError("a case has no further numbers")

        numbers = of_numbers(self.definition)
        return Point(numbers, numbers.formula, xp, arguments, parameters, none)


Check = Callable[[Any, Context], Iterator[Broken]]
"""``check(fact, at)`` yields where a declared fact does not hold of a subject at a case."""


def _beyond(amount: Fraction, allowed: Fraction, index: int | None = None) -> Iterator[Broken]:
    if amount > allowed:
        yield Broken(amount, allowed, index)


def _differ(
    after: Values | None, before: Values | None, gain: Fraction, offset: Fraction = Fraction(0)
) -> Iterator[Broken]:
    """Where results are not gain times other results, and an offset."""
    if after is not None and before is not None:
        pairs = zip(*after, *before, strict=True)
        for i, (a, da, b, db) in enumerate(pairs):
            yield from _beyond(abs(a - gain * b - offset), da + abs(gain) * db, i)


def _on_grid(at: Context, argument: str) -> NDArray[np.float64]:
    """The values of an argument, moved to multiples of 1/4 of modulus up to 16."""
    values = at.case.values[argument].astype(np.float64)
    return np.asarray(np.round(np.clip(values, -16, 16) * 4) / 4)


def _argument(fact: Any, at: Context) -> str:
    """The argument that a fact names; where it names none, the first of numbers."""
    return fact.argument or at.definition.signature.numbers[0]


def shift(fact: facts.ShiftInvariant | facts.ShiftEquivariant, at: Context) -> Iterator[Broken]:
    """f(z + c) against f(z), or f(z) + c, for offsets that round nothing."""
    argument = _argument(fact, at)
    base = _on_grid(at, argument)
    axes = at.definition.signature.arguments[argument].axes
    before = at.changed(**{argument: base.astype(at.fmt.dtype)})
    invariant = isinstance(fact, facts.ShiftInvariant)
    for c in (-8.0, 2.0 ** (at.fmt.precision - 4)):
        offset = np.full(base.shape, c)
        if isinstance(fact, facts.ShiftInvariant) and fact.along:
            signs = np.resize(np.array([1, -1, 0]), base.shape[1 - axes.index(fact.along)])
            offset *= signs[:, None] if axes.index(fact.along) == 1 else signs
        moved = (base + offset).astype(at.fmt.dtype)
        if np.array_equal(moved.astype(np.float64), base + offset):
            after = at.changed(**{argument: moved})
            yield from _differ(after, before, Fraction(1), Fraction(0 if invariant else c))


def permutation(
    fact: facts.PermutationInvariant | facts.PermutationEquivariant, at: Context
) -> Iterator[Broken]:
    """Results where all that has an axis is reversed, or rolled, against those that are due."""
    signature = at.definition.signature
    plain = at.at()
    axis = fact.axis or signature.axes[0]
    size = at.case.sizes(signature)[axis]
    shapes = output_shapes(of_numbers(at.definition), at.case)
    places = np.arange(sum(int(np.prod(s)) for s in shapes.values()))
    for order in dict.fromkeys([tuple(range(size))[::-1], (*range(1, size), 0)]):
        changed = permuted(signature.arguments, at.case.values, axis, order)
        moved = at.changed(**{name: np.asarray(value) for name, value in changed.items()})
        wanted = plain
        if isinstance(fact, facts.PermutationEquivariant) and plain is not None:
            start, of = 0, []
            for name, shape in shapes.items():
                part = places[start : start + int(np.prod(shape))].reshape(shape)
                of += along(part, signature.outputs[name], axis, order).reshape(-1).tolist()
                start += part.size
            wanted = [plain[0][k] for k in of], [plain[1][k] for k in of]
        yield from _differ(moved, wanted, Fraction(1))


def homogeneous(fact: facts_of_arguments.Homogeneous, at: Context) -> Iterator[Broken]:
    """f(s x) against s^degree f(x), for powers of two s that round nothing."""
    before = at.at()
    value = at.case.values[fact.argument]
    for exponent in (1, -3, 6):
        with np.errstate(over="ignore"):
            moved = np.ldexp(value.astype(np.float64), exponent).astype(at.fmt.dtype)
        if np.array_equal(np.ldexp(moved.astype(np.float64), -exponent), value.astype(np.float64)):
            after = at.changed(**{fact.argument: moved})
            yield from _differ(after, before, Fraction(2) ** (exponent * fact.degree))


def sums_to(fact: facts.SumsTo, at: Context) -> Iterator[Broken]:
    """|sum - total| within the sum of the admissible errors."""
    if (found := at.at()) is not None:
        yield from _beyond(abs(sum(found[0], Fraction(-fact.total))), sum(found[1], Fraction(0)))


def in_range(fact: facts.Range, at: Context) -> Iterator[Broken]:
    """Every result between the limits."""
    if (found := at.at()) is not None:
        for i, (value, error) in enumerate(zip(*found, strict=True)):
            if fact.lower is not None:
                yield from _beyond(fact.lower - value, error, i)
            if fact.upper is not None:
                yield from _beyond(value - fact.upper, error, i)


def between(fact: facts_of_arguments.Between, at: Context) -> Iterator[Broken]:
    """Each result between the least and the largest kept entry of its column."""
    value = at.case.values[fact.argument]
    kept = value[at.case.values[fact.mask]] if fact.mask else value
    if (found := at.at()) is not None:
        for i, (f, error) in enumerate(zip(*found, strict=True)):
            column = kept[:, i].astype(np.float64)
            yield from _beyond(exact(column.min()) - f, error, i)
            yield from _beyond(f - exact(column.max()), error, i)


def zero_where_equal(fact: facts_of_arguments.ZeroWhereEqual, at: Context) -> Iterator[Broken]:
    """The result at equal arguments within its admissible error of 0."""
    if (found := at.changed(**{fact.one: at.case.values[fact.other]})) is not None:
        for i, (value, error) in enumerate(zip(*found, strict=True)):
            yield from _beyond(abs(value), error, i)


def convex(fact: facts.Convex, at: Context) -> Iterator[Broken]:
    """Below the chord in the middle of an argument and its reverse, on a grid: nothing rounds."""
    argument = _argument(fact, at)
    a = _on_grid(at, argument)
    b = a.reshape(-1)[::-1].reshape(a.shape)
    points = [np.asarray(x, dtype=at.fmt.dtype) for x in (a, b, (a + b) / 2)]
    if not np.array_equal(points[2].astype(np.float64), (a + b) / 2):
        return
    found = [at.changed(**{argument: x}) for x in points]
    one, two, middle = found
    if one is None or two is None or middle is None:
        return
    for i, (m, dm) in enumerate(zip(*middle, strict=True)):
        chord = (one[0][i] + two[0][i]) / 2
        yield from _beyond(m - chord, dm + (one[1][i] + two[1][i]) / 2, i)


def gradient_sums_to(fact: facts.GradientSumsTo, at: Context) -> Iterator[Broken]:
    """|sum of the vector-Jacobian product - total| within the sum of its admissible errors."""
    if (found := at.product(_argument(fact, at))) is not None:
        yield from _beyond(abs(sum(found[0], Fraction(-fact.total))), sum(found[1], Fraction(0)))


def gradient_orthogonal(
    fact: facts_of_arguments.GradientOrthogonalTo, at: Context
) -> Iterator[Broken]:
    """|<x, product in x>| within the sum of |x_k| times the admissible errors."""
    if (found := at.product(fact.argument)) is not None:
        x = [exact(v) for v in at.case.values[fact.argument].reshape(-1)]
        total = sum((a * g for a, g in zip(x, found[0], strict=True)), Fraction(0))
        allowed = sum((abs(a) * e for a, e in zip(x, found[1], strict=True)), Fraction(0))
        yield from _beyond(abs(total), allowed)


def reduces_to(fact: facts_of_arguments.ReducesTo, at: Context) -> Iterator[Broken]:
    """The results against the exact values of the other definition, enclosed in balls."""
    if (found := at.at()) is not None:
        with flint.ctx.workprec(BITS):
            others = [_enclosed(x) for x in flat(fact.others_outputs(at.ball_point()))]
        yield from _against(found, others)


def limit(fact: facts_of_arguments.Limit, at: Context) -> Iterator[Broken]:
    """The results at a large parameter against those at the limit, less their exact distance."""
    upper = at.definition.parameters[fact.parameter].upper
    large = 2.0 ** min(12, int(np.log2(upper)))
    near = at.at(at.case.with_parameters(**{fact.parameter: large}))
    reached = at.restricted(
        facts_of_arguments.At(facts.Range(), **{fact.parameter: fact.reached_at})
    )
    end = reached.at()
    if near is None or end is None:
        return
    with flint.ctx.workprec(BITS):
        point = reached.ball_point()
        pairs = zip(point.value(**{fact.parameter: large}), point.value(), strict=True)
        distances = [_enclosed(a - b) for a, b in pairs]
    for i, (a, da, b, db) in enumerate(zip(*near, *end, strict=True)):
        if (distance := distances[i]) is not None:
            yield from _beyond(abs(a - b - distance[0]), da + db + distance[1], i)


def _enclosed(x: flint.arb) -> tuple[Fraction, Fraction] | None:
    """A middle and a radius around a ball; None where it is not finite, or beyond all formats.

    What is smaller than 2^-BEYOND is enclosed by that: balls may hold e^-(10^18), and no fraction.
    """
    least = flint.arb((1, -BEYOND))
    if not x.is_finite() or x.abs_lower() > flint.arb((1, BEYOND)):
        return None
    if x.abs_upper() < least:
        return Fraction(0), Fraction(1, 1 << BEYOND)
    middle, radius = (_fraction(part) for part in (x.mid(), max(x.rad(), least)))
    return middle, radius


def _fraction(exact: flint.arb) -> Fraction:
    """The number that a ball of radius 0 is."""
    significand, exponent = exact.man_exp()
    return Fraction(int(significand)) * Fraction(2) ** int(exponent)


def _against(found: Values, others: Sequence[tuple[Fraction, Fraction] | None]) -> Iterator[Broken]:
    for i, (value, error, other) in enumerate(zip(*found, others, strict=True)):
        if other is not None:
            yield from _beyond(abs(value - other[0]), error + other[1], i)


def restricted(fact: facts_of_arguments.At, at: Context) -> Iterator[Broken]:
    """The check of the fact, with the values that it is meant at."""
    yield from CHECKS[type(fact.fact)](fact.fact, at.restricted(fact))


CHECKS: dict[type, Check] = {
    facts.SumsTo: sums_to,
    facts.ShiftInvariant: shift,
    facts.ShiftEquivariant: shift,
    facts.PermutationInvariant: permutation,
    facts.PermutationEquivariant: permutation,
    facts.Range: in_range,
    facts.Convex: convex,
    facts.GradientSumsTo: gradient_sums_to,
    facts_of_arguments.At: restricted,
    facts_of_arguments.Homogeneous: homogeneous,
    facts_of_arguments.Between: between,
    facts_of_arguments.ZeroWhereEqual: zero_where_equal,
    facts_of_arguments.GradientOrthogonalTo: gradient_orthogonal,
    facts_of_arguments.ReducesTo: reduces_to,
    facts_of_arguments.Limit: limit,
}


def families(definition: Definition) -> tuple[str, ...]:
    """The families of cases that facts are asked at; none of a definition without facts.

    Nor of a definition of a row that declares only what the suite on rows asks.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    tuple of str
        Plain and wide numbers of each argument.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> families(lookup("sparsemax"))
    ('z: normal', 'z: wide')
    """
    if not _asked(definition):
        return ()
    return tuple(f for f in hazard_families(definition) if f.rpartition(": ")[2] in HAZARDS)


def draw(
    definition: Definition, family: str, fmt: Format, rows: int, seed: int
) -> Iterator[CaseBatch]:
    """One case of each batch of a family, if it has no more than MOST_NUMBERS numbers.

    Parameters
    ----------
    definition, family, fmt, rows, seed
        As for the cases of values.

    Yields
    ------
    CaseBatch
        Of one case.
    """
    for i, batch in enumerate(draw_cases(definition, family, fmt, rows, seed)):
        one = batch.case(i % len(batch.cases))
        if sum(value.size for value in one.cases[0].values.values()) <= MOST_NUMBERS:
            yield one


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch) -> Verdict:
    """Every declared fact at every case of a batch; one that cannot be asked is undecided."""
    checks, violations, undecided = 0, [], []
    for row, fact in itertools.product(range(len(batch.cases)), _asked(definition)):
        context = Context(subject, definition, fmt, batch.cases[row])
        if _kind(fact) not in CHECKS:
            continue
        try:
            found = list(CHECKS[type(fact)](fact, context))
        except NotApplicable:  # it takes no such parameter, or gives no gradient
            continue
        except (LookupError, TypeError, ValueError) as error:
            undecided.append(Undecided(row, f"the fact {fact.text!r} cannot be stated: {error}"))
            continue
        checks += 1
        worst = max(
            found, key=lambda b: b.excess / b.allowed if b.allowed else b.excess, default=None
        )
        if worst is not None:
            violations.append(_violation(fact, row, worst))
    return Verdict(checks, 0.0, violations, undecided=tuple(undecided))


def _asked(definition: Definition) -> list[Fact]:
    """The facts that are asked at cases: of a definition of a row those that rows do not ask."""
    on_rows = invariance.CHECKS if definition.of_a_row else {}
    return [fact for fact in definition.facts if type(fact) not in on_rows]


def _kind(fact: Fact) -> type:
    while isinstance(fact, facts_of_arguments.At):
        fact = fact.fact
    return type(fact)


def _violation(fact: Fact, row: int, broken: Broken) -> Violation:
    return Violation(
        row=row,
        message=f"declared fact broken: {fact.text}",
        detail=(
            f"deviation {float(broken.excess):.4g}, admissible {float(broken.allowed):.4g} (the "
            "sum of the admissible errors of the results involved)"
        ),
        index=broken.index,
        error=float(broken.excess / broken.allowed) if broken.allowed else np.inf,
        threshold=1.0,
    )
