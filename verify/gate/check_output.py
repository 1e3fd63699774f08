"""The gate at the end of somebody else's harness: is this output right for this input?

GPU MODE's reference kernels are judged by a function ``check_implementation(data, output)`` that
returns a truth value and a message.  ``checker`` makes one for a definition.  It sees what the
harness draws and nothing harder, so that it says less than ``judge``; but what it compares with is
exact, and what it admits is proven.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ...derivations.signature import Numbers
from ..cases.case import Case, CaseBatch, dtype_of
from ..cases.truth import output_shapes
from ..oracle.metrics import hexadecimal
from ..reports.text import number
from ..subjects.arrays import to_numpy
from ..subjects.contract import Contract
from ..suites.of_cases.accuracy import judge as judge_cases
from ..testing import Conformance

Array = NDArray[Any]
Check = Callable[[Any, Any], tuple[bool, str]]

POINTS = 64  # of a batch that are judged: the first, the last, and others drawn anew each time


def checker(
    definition: str,
    *,
    contract: Contract | Mapping[str, Any] | None = None,
    parameters: Mapping[str, float] | None = None,
    points: int = POINTS,
) -> Check:
    """Make a ``check_implementation(data, output)`` for a definition.

    Parameters
    ----------
    definition
        Its name.
    contract
        The class of arithmetic that an output is held to, as ``judge`` takes it.
    parameters
        Values of its parameters that are not their defaults.
    points
        How many points of a batch are judged, rows of a softmax for instance: the first, the last,
        and others that are drawn anew in each call. Of a function of single numbers, a thousand
        times as many numbers.

    Returns
    -------
    callable
        Of ``data``, an array, or the arguments of the definition in order, in a tuple, a list or a
        dict; and of ``output``, an array. Arrays of any library: points along all axes before the
        argument's own, which are last, but of arguments of which there is one for a batch. It
        returns whether the output is right, and a message: what is wrong, and where; "" if nothing
        is. Where a result has no bound that is known, as beside NaN, it is not judged.

    Raises
    ------
    ValueError
        If there is no such definition, or ``points`` is below 1. The function that is returned
        raises it where data are no arguments of the definition.

    Examples
    --------
    >>> check_implementation = checker("softmax")
    >>> x = np.float32([[1, 2, 3], [0, 0, 100]])
    >>> e = np.exp(x - x.max(axis=-1, keepdims=True))
    >>> check_implementation(x, e / e.sum(axis=-1, keepdims=True))
    (True, '')
    >>> check_implementation(x, np.zeros_like(x))[1].splitlines()[0]
    'value beyond its error bound: 0x0p+0, expected 0x1.549a76p-1'
    """
    if points < 1:
        raise ValueError(f"points is {points}; give 1 or more")
    subject = Conformance(definition, contract=contract).subject(lambda: None)
    fixed = dict(parameters or {})

    def check_implementation(data: Any, output: Any) -> tuple[bool, str]:
        return _checked(lookup(definition), subject.contract, fixed, points, data, output)

    return check_implementation


def _checked(
    definition: Definition,
    contract: Contract,
    parameters: Mapping[str, float],
    points: int,
    data: Any,
    output: Any,
) -> tuple[bool, str]:
    """Whether an output is right, and what is wrong with it."""
    arguments = _arguments(definition, data)
    fmt = _format(definition, arguments)
    count, batch = _points(definition, arguments)
    own = {
        name: np.asarray(value, dtype=dtype_of(kind, np.dtype(fmt.dtype)))
        for (name, kind), value in zip(
            definition.signature.arguments.items(), arguments, strict=True
        )
    }
    flat = {
        name: own[name]
        if kind.shared
        else own[name].reshape((count, *own[name].shape[own[name].ndim - len(kind.axes) :]))
        for name, kind in definition.signature.arguments.items()
    }

    def case(i: int) -> Case:
        kinds = definition.signature.arguments
        return Case({n: flat[n] if kinds[n].shared else flat[n][i] for n in kinds}, parameters)

    if not count:
        return True, ""
    (shape,) = output_shapes(definition, case(0)).values()
    computed = np.array(to_numpy(output))
    if computed.shape != (*batch, *shape):
        return False, f"shape {computed.shape}, expected {(*batch, *shape)}"
    if computed.dtype != fmt.dtype:
        return False, f"dtype {computed.dtype}, expected {np.dtype(fmt.dtype)}"
    chosen = _chosen(count, points * (1000 if definition.elementwise else 1))
    cases = CaseBatch("given", tuple(case(i) for i in chosen))
    results = computed.reshape((count, -1))[chosen]
    verdict = judge_cases(definition, contract, fmt, cases, results, fast=True)
    if not verdict.violations:
        return True, ""
    worst = max(verdict.violations, key=lambda violation: violation.severity)
    place = tuple(map(int, np.unravel_index(chosen[worst.row], batch))) if batch else ()
    observed, expected = (
        "nothing" if value is None else hexadecimal(value)
        for value in (worst.observed, worst.expected)
    )
    lines = [f"{worst.message}: {observed}, expected {expected}"]
    lines.append(f"at point {list(place)}, number {worst.index} of its results")
    if worst.threshold is not None:
        lines.append(f"error {number(worst.error)} ulp, admitted {number(worst.threshold)} ulp")
    lines.append(f"by the {worst.source}")
    return False, "\n".join(lines)


def _arguments(definition: Definition, data: Any) -> list[Array]:
    """The arguments in order."""
    names = [*definition.signature.arguments]
    if isinstance(data, Mapping):
        data = [data[name] for name in names if name in data]
    elif not isinstance(data, list | tuple):
        data = [data]
    if len(data) != len(names):
        raise ValueError(f"data has {len(data)} arrays; {definition.name} takes {names}")
    return [np.array(to_numpy(value)) for value in data]


def _format(definition: Definition, arguments: Sequence[Array]) -> Format:
    """The format of the numbers among the arguments."""
    kinds = definition.signature.arguments.values()
    dtypes = {a.dtype for a, k in zip(arguments, kinds, strict=True) if isinstance(k, Numbers)}
    for fmt in ARRAY_FORMATS.values():
        if dtypes == {np.dtype(fmt.dtype)}:
            return fmt
    raise ValueError(f"data has numbers of {', '.join(map(str, dtypes))}; give one format")


def _points(definition: Definition, arguments: Sequence[Array]) -> tuple[int, tuple[int, ...]]:
    """How many points there are, and the sizes of their axes."""
    kinds = definition.signature.arguments.items()
    for (_, kind), argument in zip(kinds, arguments, strict=True):
        if not kind.shared:
            batch = argument.shape[: argument.ndim - len(kind.axes)]
            return int(np.prod(batch, dtype=np.int64)), batch
    raise ValueError(f"{definition.name} has no argument with points")


def _chosen(count: int, points: int) -> list[int]:
    """Places of points: the first, the last, and others, drawn anew."""
    if count <= points:
        return list(range(count))
    drawn = np.random.default_rng(secrets.randbits(64)).choice(count, points, replace=False)
    return sorted({0, count - 1, *map(int, drawn)})[: points + 2]
