"""More kinds of facts, which speak of named arguments and parameters.

Each states claims at a ``Point``, in symbols or in balls, as those of ``facts`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..definition import REGISTRY, Fact
from ..signature import Mask
from .facts import Claim
from .points import Point, flat


@dataclass(frozen=True, init=False)
class At:
    """A fact that holds where some arguments or parameters have these values.

    An array has the value in every entry.

    >>> from .facts import SumsTo
    >>> At(SumsTo(0), gain=1, bias=0).text
    'outputs sum to 0, where gain = 1, bias = 0'
    """

    fact: Fact
    values: Mapping[str, int] = field(hash=False)

    def __init__(self, fact: Fact, **values: int) -> None:
        object.__setattr__(self, "fact", fact)
        object.__setattr__(self, "values", values)

    @property
    def text(self) -> str:
        """The property in a line."""
        where = ", ".join(f"{name} = {value}" for name, value in self.values.items())
        return f"{self.fact.text}, where {where}"

    def claims(self, case: Point) -> Iterator[Claim]:
        """The claims of the fact, with these values."""
        yield from self.fact.claims(self.restricted(case))

    def restricted(self, case: Point) -> Point:
        """The point with these values of arguments and parameters.

        ValueError for a name that is neither.
        """
        arguments, parameters = dict(case.arguments), dict(case.parameters)
        for name, value in self.values.items():
            if name in parameters:
                parameters[name] = value
            else:
                shape = np.shape(case.given(name))
                arguments[name] = case.xp.array(np.full(shape, value, dtype=object))
        return replace(case, arguments=arguments, parameters=parameters)


@dataclass(frozen=True)
class Homogeneous:
    """A positive factor of an argument comes out as a power; of degree 0, it changes nothing."""

    argument: str
    degree: int

    @property
    def text(self) -> str:
        """The property in a line."""
        factor = {0: "", 1: "s "}.get(self.degree, f"s^{self.degree} ")
        return f"f(s {self.argument}) = {factor}f({self.argument}) for s > 0"

    def claims(self, case: Point) -> Iterator[Claim]:
        """f(s x) - s^degree f(x) = 0."""
        s = case.number("s", (), True)
        moved = case.value(**{self.argument: s * case.given(self.argument)})
        for before, after in zip(case.value(), moved, strict=True):
            yield Claim(after - s**self.degree * before)


@dataclass(frozen=True)
class Between:
    """Each result is between the least and the largest entry of a matrix along an axis.

    Result number e is held against the entries of column e; with a mask, those that it keeps.
    """

    argument: str
    along: str
    mask: str = ""

    @property
    def text(self) -> str:
        """The property in a line."""
        kept = f", of those that {self.mask} keeps" if self.mask else ""
        return f"min {self.argument} <= f <= max {self.argument} along {self.along}{kept}"

    def claims(self, case: Point) -> Iterator[Claim]:
        """f - min >= 0 and max - f >= 0; in symbols, the entries are an end and distances.

        ValueError where there are not as many results as columns.
        """
        value = case.given(self.argument)
        if case.symbolic:
            end = case.number("m", np.shape(value)[1:], False)
            distance = case.number("d", np.shape(value), True)
            for sign in (1, -1):
                for f, m in zip(
                    case.value(**{self.argument: end + sign * distance}), flat([end]), strict=True
                ):
                    yield Claim(sign * (f - m), nonnegative=True)
            return
        kept = value[case.given(self.mask)] if self.mask else value
        results, lows, highs = case.value(), case.xp.min(kept, 0), case.xp.max(kept, 0)
        if len(results) != len(lows):
            raise ValueError(
                f"{self.argument} has {len(lows)} columns, and there are {len(results)} results"
            )
        for f, low, high in zip(results, lows, highs, strict=True):
            yield Claim(f - low, nonnegative=True)
            yield Claim(high - f, nonnegative=True)


@dataclass(frozen=True)
class ZeroWhereEqual:
    """The value is 0 where two arguments are the same."""

    one: str
    other: str

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"f = 0 where {self.one} = {self.other}"

    def claims(self, case: Point) -> Iterator[Claim]:
        """f(x, x) = 0."""
        for f in case.value(**{self.one: case.given(self.other)}):
            yield Claim(f)


@dataclass(frozen=True)
class GradientOrthogonalTo:
    """The gradient in an argument is orthogonal to that argument.

    Of several results: that of any sum of them with weights.
    """

    argument: str

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"the gradient in {self.argument} is orthogonal to {self.argument}"

    def claims(self, case: Point) -> Iterator[Claim]:
        """sum_k x_k dL / dx_k = 0, for L the sum of all results with any weights."""
        for row in case.derivatives(self.argument):
            entries = flat([case.given(self.argument)])
            yield Claim(case.xp.sum([x * g for x, g in zip(entries, row, strict=True)]))


@dataclass(frozen=True)
class ReducesTo:
    """The function is another definition, at arguments made from its own.

    ``arguments(xp, **arguments)`` gives those of the other by name; parameters of the same name are
    those of the function, others have their defaults.  ``told`` says in words where it is asked.
    """

    other: str
    arguments: Callable[..., Mapping[str, Any]]
    told: str

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"f = {self.other}({self.told})"

    def claims(self, case: Point) -> Iterator[Claim]:
        """f - g = 0."""
        pairs = zip(case.value(), flat(self.others_outputs(case)), strict=True)
        for own, other in pairs:
            yield Claim(own - other)

    def others_outputs(self, case: Point) -> tuple[Any, ...]:
        """The results of the other definition at a point; ValueError where it is not known."""
        if self.other not in REGISTRY:
            raise ValueError(f"there is no definition {self.other!r}")
        other = REGISTRY[self.other]
        given = self.arguments(case.xp, **case.arguments)
        same = {name: case.parameters.get(name, p.default) for name, p in other.parameters.items()}
        found = other.formula(*given.values(), case.xp, **same)
        return found if isinstance(found, tuple) else (found,)


@dataclass(frozen=True)
class Limit:
    """The function tends, as a parameter grows, to what it is at another value of it.

    Claimed at points, for three large values p of the parameter: the distance is at most 1 / p
    times the modulus of the result, or of 1.  In symbols no proof is tried.
    """

    parameter: str
    reached_at: int

    @property
    def text(self) -> str:
        """The property in a line."""
        return f"as {self.parameter} grows, f tends to f at {self.parameter} = {self.reached_at}"

    def claims(self, case: Point) -> Iterator[Claim]:
        """The distance at p = 2^16, 2^24 and 2^32 is at most max(|f|, 1) / p.

        ValueError in symbols.
        """
        if case.symbolic:
            raise ValueError("limits are not proven in symbols")
        reached = case.value(**{self.parameter: self.reached_at})
        for exponent in (16, 24, 32):
            found = case.value(**{self.parameter: 2.0**exponent})
            for f, end in zip(found, reached, strict=True):
                size = case.xp.maximum(abs(end), case.xp.number(1))
                yield Claim(size * case.xp.number(2.0**-exponent) - abs(f - end), nonnegative=True)


OF_ARGUMENTS = (
    At,
    Homogeneous,
    Between,
    ZeroWhereEqual,
    GradientOrthogonalTo,
    ReducesTo,
    Limit,
)


def spoken_of(fact: Fact, signature: Any) -> tuple[str, ...]:
    """The arguments that a fact is about: a function that does not depend on them has it idly.

    Parameters
    ----------
    fact
        A fact of a definition with named arguments.
    signature
        The arguments of that definition.

    Returns
    -------
    tuple of str
        Arguments that are no masks.
    """
    while isinstance(fact, At):
        fact = fact.fact
    if argument := getattr(fact, "argument", ""):
        return (argument,)
    if axis := getattr(fact, "axis", ""):
        return tuple(n for n in signature.numbers if axis in signature.arguments[n].axes)
    if isinstance(fact, ZeroWhereEqual):
        return (fact.one, fact.other)
    return tuple(n for n, kind in signature.arguments.items() if not isinstance(kind, Mask))
