"""The arguments and outputs of a definition: names, kinds, axes, domains.

A definition is a function of named arguments at *one* point; a batch of points is the business of
whoever calls an implementation.  The axes of arrays have names, and equal names are equal sizes:

>>> attention = Signature(
...     {"q": Vector("d"), "k": Matrix("n", "d"), "v": Matrix("n", "e"), "mask": Mask("n")},
...     {"value": ("e",)},
... )
>>> attention.sizes({"q": (8,), "k": (5, 8), "v": (5, 3), "mask": (5,)})
{'d': 8, 'n': 5, 'e': 3}

Numbers have a domain, an interval for each of them.  Sets without an interior (the simplex, the
sphere) are no domain: rounded numbers do not lie in them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Axes = tuple[str, ...]
VALUE = "value"  # the name of the output of a definition that has one


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What an argument is.

    ``shared``: implementations take one for a whole batch (a gain, a weight matrix, class weights),
    where of other arguments each point of a batch has its own.
    """

    shared: bool = False

    @property
    def axes(self) -> Axes:
        """The names of its axes; none of a single number."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Numbers(Kind):
    """Real numbers, each in the closed interval [lower, upper].

    ValueError where that is empty, or one of its ends is NaN.
    """

    lower: float = -math.inf
    upper: float = math.inf

    def __post_init__(self) -> None:
        if not self.lower < self.upper:
            raise ValueError(
                f"the domain is [{self.lower}, {self.upper}]; give a lower end below the upper one"
            )


@dataclass(frozen=True, kw_only=True)
class Real(Numbers):
    """One real number, which has no axes."""


@dataclass(frozen=True)
class Vector(Numbers):
    """A vector of real numbers along an axis.

    >>> Vector("K", lower=0.0).axes
    ('K',)
    """

    axis: str

    @property
    def axes(self) -> Axes:
        """The one axis that its entries stand along."""
        return (self.axis,)


@dataclass(frozen=True)
class Matrix(Numbers):
    """A matrix of real numbers, its rows along the first axis."""

    rows: str
    columns: str

    @property
    def axes(self) -> Axes:
        """The axis that counts the rows, and the one that counts the columns."""
        return (self.rows, self.columns)


@dataclass(frozen=True)
class Label(Kind):
    """An index into an axis of another argument: 0 ... size - 1."""

    into: str


@dataclass(frozen=True)
class Labels(Kind):
    """A vector of indices along one axis, each into another axis."""

    axis: str
    into: str

    @property
    def axes(self) -> Axes:
        """The axis that the labels stand along."""
        return (self.axis,)


@dataclass(frozen=True, init=False)
class Mask(Kind):
    """An array of truth values along axes: True where an entry takes part.

    >>> Mask("n").axes
    ('n',)
    """

    names: Axes

    def __init__(self, *axes: str, shared: bool = False) -> None:
        object.__setattr__(self, "names", axes)
        object.__setattr__(self, "shared", shared)

    @property
    def axes(self) -> Axes:
        """The axes that its truth values stand along, as they were given."""
        return self.names


@dataclass(frozen=True)
class Integer(Kind):
    """A whole number from ``lower`` to ``upper``, which may be the size of an axis."""

    lower: int
    upper: int | str


@dataclass(frozen=True)
class Parameter:
    """A real parameter of a definition.

    * ``default``: its value where none is given.  None where it depends on the sizes of the
      arguments: then the formula, which is given None, says how, and ``depends`` in words.
    * ``lower``, ``upper``: its closed range.
    * ``values``: those besides the default at which suites run implementations that take it.

    ValueError where the default or a value is outside the range, or ``depends`` is missing.
    """

    default: float | None
    lower: float
    upper: float
    values: tuple[float, ...] = ()
    depends: str = ""

    def __post_init__(self) -> None:
        if (self.default is None) != bool(self.depends):
            raise ValueError(
                f"the default is {self.default} and depends is {self.depends!r}; give a default "
                "that is a number, or None with depends, what it depends on in words"
            )
        for what, value in (("default", self.default), *(("value", v) for v in self.values)):
            if value is not None and not self.lower <= value <= self.upper:
                raise ValueError(f"the {what} {value} is outside [{self.lower}, {self.upper}]")

    def exact(self, value: float) -> float:
        """A value as a formula takes it."""
        return value


@dataclass(frozen=True)
class Count(Parameter):
    """A parameter that is a whole number, which may be the size of an axis of the outputs.

    ValueError where the default or a value is no whole number.

    >>> Count(2, 1, 64, values=(1, 3)).exact(3.0)
    3
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for value in (self.default, *self.values):
            if value is None or value != int(value):
                raise ValueError(f"{value} is given for a count; give whole numbers")

    def exact(self, value: float) -> int:
        """A value as an int, however it was written; ValueError where it is no whole number."""
        if value != int(value):
            raise ValueError(f"{value:g} is no whole number, and this parameter is a count")
        return int(value)


@dataclass(frozen=True)
class Index:
    """An output that chooses one entry: its index into an axis, as argmax gives it.

    See ``Indices``; a formula returns ``xp.largest(scores, 1)[0]``.
    """

    into: str

    @property
    def axes(self) -> Axes:
        """It has none, being one index."""
        return ()


@dataclass(frozen=True)
class Indices:
    """An output that chooses: indices along one axis, all different, each into another axis.

    A formula takes the choice by ``xp.largest``, and where entries are tied several choices are
    right: the results are a set, and any member is admissible.
    """

    axis: str
    into: str

    @property
    def axes(self) -> Axes:
        """The axis that the indices stand along."""
        return (self.axis,)


@dataclass(frozen=True)
class Signature:
    """The arguments of a definition by name, in order, and the axes of its outputs by name.

    ``indices``: of outputs that are indices, the axis that they are indices into.  ``counts``: the
    names of parameters that are sizes of axes, which outputs may have, too.

    ValueError, which names the argument or the output, for an axis that is no identifier, an index
    into an axis that no argument has, a bound that is no axis, an output along an axis that neither
    an argument has nor a parameter counts, or no arguments.

    >>> signature = Signature({"w": Matrix("K", "d"), "h": Vector("d"), "label": Label("K")})
    >>> signature.axes, signature.numbers, signature.rank
    (('K', 'd'), ('w', 'h'), 0)
    """

    arguments: Mapping[str, Kind]
    outputs: Mapping[str, Axes]
    indices: Mapping[str, str]
    counts: tuple[str, ...]

    def __init__(
        self,
        arguments: Mapping[str, Kind],
        outputs: Mapping[str, Axes | Index | Indices] | None = None,
        counts: tuple[str, ...] = (),
    ) -> None:
        given = dict(outputs or {VALUE: ()})
        axes = {n: o.axes if isinstance(o, Index | Indices) else o for n, o in given.items()}
        into = {name: o.into for name, o in given.items() if isinstance(o, Index | Indices)}
        object.__setattr__(self, "arguments", dict(arguments))
        object.__setattr__(self, "outputs", axes)
        object.__setattr__(self, "indices", into)
        object.__setattr__(self, "counts", counts)
        self._demand_sense()

    def _demand_sense(self) -> None:
        if not self.arguments:
            raise ValueError("there are no arguments; name one, as in {'x': Vector('K')}")
        known = f"the axes of the arguments are {', '.join(self.axes) or 'none'}"
        for name, kind in self.arguments.items():
            if not isinstance(kind, Kind):
                raise ValueError(f"argument {name!r} is {kind!r}; give a kind, as Vector('K')")
            for axis in kind.axes:
                if not axis.isidentifier():
                    raise ValueError(
                        f"argument {name!r} has the axis {axis!r}; give it a name of letters, "
                        "digits and _, as 'K'"
                    )
            if isinstance(kind, Label | Labels) and kind.into not in self.axes:
                raise ValueError(f"argument {name!r} is an index into {kind.into!r}; {known}")
            most = kind.upper if isinstance(kind, Integer) else None
            if isinstance(most, str) and most not in self.axes:
                raise ValueError(f"argument {name!r} is at most {most!r}; {known}")
            if isinstance(kind, Integer) and isinstance(most, int) and most < kind.lower:
                raise ValueError(
                    f"argument {name!r} is from {kind.lower} to {most}; give an upper end that is "
                    "not below the lower one"
                )
        for name, axes in self.outputs.items():
            for axis in axes:
                if axis not in (*self.axes, *self.counts):
                    raise ValueError(f"output {name!r} has the axis {axis!r}; {known}")
            if len(axes) > 2:
                raise ValueError(f"output {name!r} has {len(axes)} axes; it may have two")
            if name in self.indices and self.indices[name] not in self.axes:
                raise ValueError(f"output {name!r} indexes {self.indices[name]!r}; {known}")
        if [*self.indices] not in ([], [*self.outputs][:1]):
            raise ValueError("indices stand behind other outputs; give one, as the first output")

    @property
    def axes(self) -> Axes:
        """The names of all axes, in the order in which the arguments have them."""
        kinds = self.arguments.values()
        return tuple(dict.fromkeys(a for k in kinds if isinstance(k, Kind) for a in k.axes))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of the arguments that are real numbers."""
        return tuple(n for n, kind in self.arguments.items() if isinstance(kind, Numbers))

    @property
    def real_outputs(self) -> dict[str, Axes]:
        """The outputs that are real numbers, which rounding errors, facts and slopes speak of.

        There is none where an index is all that is asked for, as of argmax.
        """
        return {name: axes for name, axes in self.outputs.items() if name not in self.indices}

    @property
    def rank(self) -> int:
        """How many axes the first output has: 0 of a real, 1 of a vector, 2 of a matrix."""
        return len(next(iter(self.outputs.values())))

    @property
    def is_one_real(self) -> bool:
        """Whether it is a real of one real, of any size: a function element by element.

        >>> Signature({"x": Real()}).is_one_real, Signature({"x": Real(lower=0.0)}).is_one_real
        (True, False)
        """
        kinds, outputs = [*self.arguments.values()], [*self.outputs.values()]
        return kinds == [Real()] and outputs == [()]

    @property
    def is_a_row(self) -> bool:
        """Whether it is of one real, or of a vector called logits, perhaps with a label into it.

        Then the result is a real, or a vector along the axis of the logits, and no index.

        >>> Signature({"logits": Vector("K"), "label": Label("K")}).is_a_row
        True
        >>> Signature({"logits": Vector("K"), "gain": Vector("K")}).is_a_row
        False
        """
        logits = self.arguments.get("logits")
        if self.indices:
            return False
        if not isinstance(logits, Vector):
            return self.is_one_real
        kinds, outputs = [*self.arguments.values()], [*self.outputs.values()]
        plain = [Vector(logits.axis), Label(logits.axis)]
        return kinds in (plain[:1], plain) and outputs in ([()], [logits.axes])

    def sizes(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """The size of each axis, from the shape of each argument (() of a single number).

        ValueError, which names the argument, where one is missing or unknown, has another number of
        axes than its kind, or a size that differs from that of the same axis elsewhere.

        >>> Signature({"x": Vector("K"), "gain": Vector("K")}).sizes({"x": (3,), "gain": (3,)})
        {'K': 3}
        """
        if unknown := shapes.keys() - self.arguments.keys():
            names = ", ".join(self.arguments)
            raise ValueError(f"there is no argument {min(unknown)!r}; the arguments are {names}")
        sizes: dict[str, int] = {}
        for name, kind in self.arguments.items():
            if name not in shapes:
                raise ValueError(f"argument {name!r} is missing")
            shape = tuple(shapes[name])
            if len(shape) != len(kind.axes):
                axes = ", ".join(kind.axes)
                raise ValueError(f"argument {name!r} has shape {shape}; its axes are ({axes})")
            for axis, size in zip(kind.axes, shape, strict=True):
                if sizes.setdefault(axis, size) != size:
                    raise ValueError(
                        f"argument {name!r} has {size} entries along {axis!r}, another argument "
                        f"has {sizes[axis]}"
                    )
        return sizes
