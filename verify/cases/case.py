"""A case: one point at which a definition is asked, its arguments by name, and batches of cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.definition import Definition
from ...derivations.signature import Integer, Kind, Label, Mask, Numbers, Signature

Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Case:
    """The value of each argument, and the parameters that have not their defaults.

    Numbers are arrays in the dtype of a format, labels and integers of int64, masks of bool; what
    is a single number has the shape ().
    """

    values: Values
    parameters: Mapping[str, float] = field(default_factory=dict)

    def sizes(self, signature: Signature) -> dict[str, int]:
        """The size of each axis; ValueError where the shapes do not fit the signature."""
        return signature.sizes({name: value.shape for name, value in self.values.items()})

    def with_values(self, **changed: NDArray[Any]) -> Case:
        """This case with other values of some arguments."""
        return replace(self, values={**self.values, **changed})

    def with_parameters(self, **changed: float) -> Case:
        """This case with other values of some parameters."""
        return replace(self, parameters={**self.parameters, **changed})

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells two cases apart, to look one up by."""
        values = ((n, v.dtype.str, v.shape, v.tobytes()) for n, v in sorted(self.values.items()))
        return (*values, *sorted(self.parameters.items()))


@dataclass(frozen=True, eq=False)
class CaseBatch:
    """Cases that an implementation is asked about in one call.

    They have the same sizes and parameters, and shared arguments in common.
    """

    family: str
    cases: tuple[Case, ...]

    def case(self, i: int) -> CaseBatch:
        """One case, as a batch of its own."""
        return replace(self, cases=(self.cases[i],))

    @property
    def parameters(self) -> Mapping[str, float]:
        """The parameters that have not their defaults."""
        return self.cases[0].parameters

    def stacked(self, signature: Signature) -> list[NDArray[Any]]:
        """The arguments of a call, in order: cases along a new first axis, shared ones as they are.

        >>> from softproof.derivations import Vector
        >>> signature = Signature({"x": Vector("K"), "gain": Vector("K", shared=True)})
        >>> case = Case({"x": np.zeros(3), "gain": np.ones(3)})
        >>> [a.shape for a in CaseBatch("", (case, case)).stacked(signature)]
        [(2, 3), (3,)]
        """
        first = self.cases[0].values
        return [
            first[name] if kind.shared else np.stack([case.values[name] for case in self.cases])
            for name, kind in signature.arguments.items()
        ]


def formula_call(
    definition: Definition, case: Case
) -> tuple[dict[str, Any], dict[str, float | None]]:
    """What a formula of a definition is called with at a case: arguments by name, and parameters.

    Numbers are in binary64, which holds those of every format; an index or a whole number is an
    int; masks and vectors of labels are as they are.  Parameters have their defaults but where the
    case says otherwise.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases.

    Returns
    -------
    tuple
        The arguments by name, in the order in which a formula takes them, and the parameters by
        name.

    >>> from softproof.derivations import lookup
    >>> case = Case({"logits": np.float32([1, 2]), "label": np.array(1)})
    >>> formula_call(lookup("cross_entropy"), case)[0]["label"]
    1
    """
    arguments: dict[str, Any] = {}
    for name, kind in definition.signature.arguments.items():
        value = case.values[name]
        if isinstance(kind, Numbers):
            arguments[name] = value.astype(np.float64)
        else:
            arguments[name] = int(value) if isinstance(kind, Label | Integer) else value
    return arguments, definition.settings(case.parameters)


def dtype_of(kind: Kind, numbers: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the values of an argument, where numbers have a format's.

    Parameters
    ----------
    kind
        The kind of the argument.
    numbers
        The dtype of the format of numbers.

    Returns
    -------
    numpy.dtype
        That of numbers, of masks (bool), or of labels and integers (int64).
    """
    if isinstance(kind, Numbers):
        return numbers
    return np.dtype(np.bool_ if isinstance(kind, Mask) else np.int64)
