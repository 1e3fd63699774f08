"""Which definition a task is of: the one whose formula gives what its reference does.

The reference runs in binary64 at small sizes, all different.  A definition fits where its formula,
at points of that input, gives the same numbers, with the arguments at some places, those that the
task has not fixed at a neutral number, and parameters at their defaults or at a number that stands
in the task's file.  Nothing is asked of names.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import REGISTRY, Definition
from ...derivations.arithmetic.formats import BINARY64
from ...derivations.arithmetic.ieee import ieee
from ...derivations.choices import chooses
from ...derivations.proofs.facts_of_arguments import At, ReducesTo
from ...derivations.signature import Count, Kind, Label, Mask, Matrix, Numbers, Real, Vector
from ..cases.case import Case
from ..cases.truth import evaluate
from ..subjects.isolation.binding import Binding, Place
from ..subjects.isolation.task_source import numbers_in, sizes_in
from .hosted import Hosts
from .restricted import Restriction
from .shapes import Sizes

Array = NDArray[Any]

SAME = 1e-8  # relative: the reference and a formula both round in binary64
DRAWN = (0.5, 3.0)  # how large numbers are at which they are compared
SEED = 7
MOST_POINTS = 12


@dataclass(frozen=True)
class Recognised:
    """A task of a definition: what is fixed of it, and where its arguments are."""

    restriction: Restriction
    binding: Binding


@dataclass(frozen=True)
class _Way:
    """Which arguments the inputs are, and where."""

    definition: Definition
    names: tuple[str, ...]  # of the inputs, in their order
    places: tuple[Place, ...]
    neutral: Mapping[str, float]
    same: Mapping[str, str]


def recognise(hosts: Hosts, small: Sizes) -> Recognised | None:
    """Recognise the definition that a task is of.

    Parameters
    ----------
    hosts
        The processes of the task.
    small
        Small sizes at which its reference runs.

    Returns
    -------
    Recognised or None
        None where it is of none that is known.

    Raises
    ------
    ValueError
        If the reference fails at other numbers of the same shapes.
    """
    samples = []
    for i, scale in enumerate(DRAWN):
        rng = np.random.default_rng([SEED, i])
        inputs = [
            x if x.dtype.kind in "biu" else scale * rng.standard_normal(x.shape)
            for x in small.inputs
        ]
        outputs = hosts.exact(small.sizes, inputs)
        if len(outputs) != 1 or outputs[0].dtype.kind != "f":
            return None
        samples.append((inputs, outputs[0]))
    numbers = numbers_in(hosts.task.source)
    for definition, changed in _in_order():
        if chooses(definition) or len(definition.signature.outputs) > 1:
            continue
        for way in _ways(definition, small):
            for parameters in _parameters(definition, numbers) if changed else [{}]:
                restriction = Restriction(definition, way.neutral, parameters, way.same)
                how = _fits(way, restriction, samples)
                if how is not None:
                    return Recognised(restriction, _binding(hosts, small, way, how))
    return None


def _in_order() -> Iterator[tuple[Definition, bool]]:
    """All definitions as they are tried, each with default parameters and then with changed ones.

    Those that reduce to another definition somewhere come after those that do not; of these the
    ones with few arguments and parameters are first.
    """

    def is_general(definition: Definition) -> bool:
        facts = [fact.fact if isinstance(fact, At) else fact for fact in definition.facts]
        return any(isinstance(fact, ReducesTo) for fact in facts)

    for general, changed in itertools.product((False, True), repeat=2):
        chosen = [d for d in REGISTRY.values() if is_general(d) == general]
        for definition in sorted(
            chosen, key=lambda d: len(d.signature.arguments) + len(d.parameters)
        ):
            yield definition, changed


def _parameters(definition: Definition, numbers: Sequence[float]) -> Iterator[dict[str, float]]:
    """One parameter at a number of the task's file."""
    for name, parameter in definition.parameters.items():
        for number in numbers:
            inside = parameter.lower <= number <= parameter.upper
            if inside and number != parameter.default and not isinstance(parameter, Count):
                yield {name: number}


# --- ways to read inputs as arguments ---


def _ways(definition: Definition, small: Sizes) -> Iterator[_Way]:
    """The ways to read the inputs of a task as arguments of a definition."""
    kinds = definition.signature.arguments
    for names in itertools.permutations(kinds, len(small.inputs)):
        if not all(_may_be(kinds[n], x) for n, x in zip(names, small.inputs, strict=True)):
            continue
        left = {n: _neutral(kind) for n, kind in kinds.items() if n not in names}
        for values in itertools.product(*left.values()):
            neutral = dict(zip(left, values, strict=True))
            for places in _places(definition, names, small):
                same = _same_axes(definition, names, places, small)
                if same is not None:
                    yield _Way(definition, names, places, neutral, same)


def _may_be(kind: Kind, x: Array) -> bool:
    if isinstance(kind, Label):
        return x.dtype.kind in "iu"
    return isinstance(kind, Numbers) and x.dtype.kind not in "biu" and x.ndim >= len(kind.axes)


def _neutral(kind: Kind) -> tuple[float, ...]:
    """The numbers at which an argument is as if it were not there; none where there is none."""
    if isinstance(kind, Mask):
        return (1.0,)
    return (1.0, 0.0) if kind.shared and isinstance(kind, Vector) else ()


def _places(
    definition: Definition, names: Sequence[str], small: Sizes
) -> Iterator[tuple[Place, ...]]:
    """Where the arguments' own axes may be in the inputs, in the same way in all."""
    kinds = [definition.signature.arguments[n] for n in names]
    order = list(definition.signature.arguments)
    numbers = [order.index(n) for n in names]
    ranks = [x.ndim for x in small.inputs]
    longest = max(ranks)
    of_matrices = any(isinstance(kind, Matrix) for kind in kinds)
    if of_matrices or all(isinstance(kind, Real | Label) for kind in kinds):
        spans = [(longest - 1, longest)]
    else:
        spans = [(axis, axis + 1) for axis in reversed(range(longest))]
        spans += [(first, longest) for first in range(1, longest - 1)]
    for first, last in spans:
        places = []
        for kind, number, rank in zip(kinds, numbers, ranks, strict=True):
            own = len(kind.axes)
            if not own:
                span = (rank, rank)
            elif of_matrices:
                span = (rank - own, rank)
            elif kind.shared:
                span = (0, rank)
            else:
                span = (first, last)
            copies = -1
            if of_matrices and own == 1 and not kind.shared and rank == longest > 2:
                copies = rank - 2
            places.append(Place(number, rank, span, copies))
        if all(p.span[1] <= p.rank and p.span[0] >= 0 for p in places):
            yield tuple(places)


def _same_axes(
    definition: Definition, names: Sequence[str], places: Sequence[Place], small: Sizes
) -> dict[str, str] | None:
    """Axes that are as long as one before; None where an axis is not as long everywhere."""
    sizes: dict[str, int] = {}
    for name, place, x in zip(names, places, small.inputs, strict=True):
        axes = definition.signature.arguments[name].axes
        first, last = place.span
        shape = x.shape[first:last]
        own = shape if len(axes) != 1 else (math.prod(shape),)
        if len(own) != len(axes):
            return None
        for axis, size in zip(axes, own, strict=True):
            if sizes.setdefault(axis, size) != size:
                return None
    same: dict[str, str] = {}
    seen: dict[int, str] = {}
    for axis in definition.signature.axes:
        if axis in sizes:
            if sizes[axis] in seen:
                same[axis] = seen[sizes[axis]]
            else:
                seen[sizes[axis]] = axis
    return same


# --- does it fit? ---


@dataclass(frozen=True)
class _How:
    """How the results of points are in the output: each at its place, or reduced to one number."""

    singly: bool


def _fits(way: _Way, restriction: Restriction, samples: Sequence[Any]) -> _How | None:
    """How a definition fits all samples; None where it does not."""
    found: set[bool] = set()
    for inputs, output in samples:
        how = _fit(way, restriction, inputs, output)
        if how is None:
            return None
        found.add(how.singly)
    return _How(found.pop()) if len(found) == 1 else None


def _fit(
    way: _Way, restriction: Restriction, inputs: Sequence[Array], output: Array
) -> _How | None:
    definition = restriction.made()
    kinds = definition.signature.arguments
    own = {
        name: _by_points(x, place, len(kinds[name].axes))
        for name, place, x in zip(way.names, way.places, inputs, strict=True)
    }
    # Of several axes of points an argument may lack the last: all queries have the same keys.
    batch = max(
        (points.shape[: points.ndim - k] for points, k in own.values()), key=len, default=()
    )
    (axes,) = definition.signature.outputs.values()
    lead = way.places[0]
    value = _output_by_points(output, lead, len(axes), batch)
    singly = value is None
    if singly and (output.size != 1 or axes):
        return None
    points = list(np.ndindex(*batch))
    if not singly and len(points) > MOST_POINTS:
        step = len(points) / MOST_POINTS
        points = [points[int(i * step)] for i in range(MOST_POINTS - 1)] + points[-1:]
    results = []
    for point in points:
        values = {}
        for name in kinds:
            array, k = own[name]
            taken = point if not kinds[name].shared else ()
            values[name] = array[taken[: array.ndim - k]]
        result = _value_at(definition, Case(_typed(values, kinds)))
        if result is None:
            return None
        if value is not None and not _close(result, value[point].reshape(-1)):
            return None
        results.append(result)
    if singly:
        one = np.array(results)
        if not any(_close(np.atleast_1d(r), output.reshape(-1)) for r in (one.mean(), one.sum())):
            return None
    return _How(singly)


def _by_points(x: Array, place: Place, own: int) -> tuple[Array, int]:
    """An input with the axes of points first, and how many of its own there are after them."""
    first, last = place.span
    others = [axis for axis in range(x.ndim) if not first <= axis < last]
    array = x.transpose([*others, *range(first, last)])
    if own == 1:
        return array.reshape((*array.shape[: len(others)], -1)), 1
    return array, own


def _output_by_points(output: Array, lead: Place, own: int, batch: tuple[int, ...]) -> Array | None:
    """The output with the axes of points first; None where it is of another shape."""
    if own and output.ndim == lead.rank:
        array, _ = _by_points(output, lead, own)
        return array if array.shape[: len(batch)] == batch else None
    shape = tuple(n for n in output.shape if n != 1)
    if not own and shape == tuple(n for n in batch if n != 1) and output.size > 1:
        return output.reshape(batch)
    return None


def _typed(values: Mapping[str, Array], kinds: Mapping[str, Kind]) -> dict[str, Array]:
    return {
        name: np.asarray(v, dtype=np.int64 if isinstance(kinds[name], Label) else np.float64)
        for name, v in values.items()
    }


def _value_at(definition: Definition, case: Case) -> Array | None:
    """The results of the formula in binary64; None where it has none."""
    try:
        with np.errstate(all="ignore"):
            found = evaluate(definition, definition.formula, case, ieee(BINARY64))
        return np.array(found, dtype=np.float64)
    except Exception:  # a formula of other arguments may fail in any way
        return None


def _close(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    size = np.max(np.abs(other), initial=0.0)
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(one - other) <= SAME * np.maximum(np.abs(other), 1e-3 * size)))


# --- how the candidate is called ---


def _binding(hosts: Hosts, small: Sizes, way: _Way, how: _How) -> Binding:
    """How the arguments that remain become inputs of the candidate."""
    whole = way.definition.signature
    remaining = [n for n in whole.arguments if n not in way.neutral]
    kinds = whole.arguments
    axes = [[way.same.get(a, a) for a in kinds[n].axes] for n in remaining]
    places = [
        Place(remaining.index(name), place.rank, place.span, place.repeated)
        for name, place in zip(way.names, way.places, strict=True)
    ]
    feeds: dict[str, list[int]] = {}
    ones: list[int] = []
    fixed: dict[str, int] = {}
    bound = hosts.takes_init_inputs(small.sizes)
    for name, place, x in zip(way.names, way.places, small.inputs, strict=True):
        own = axes[remaining.index(name)]
        shape = x.shape[place.span[0] : place.span[1]]
        if not bound or not own:
            continue
        making = [small.making(size) for size in shape]
        before = len(shape) - len(own)
        for axis, size, places_of in zip(own, shape[before:], making[before:], strict=True):
            if places_of:
                feeds[axis] = places_of
            else:
                fixed[axis] = size
        if before and all(making):
            ones += [i for places_of in making[:before] for i in places_of]
        elif before:
            feeds.pop(own[0], None)
            fixed[own[0]] = math.prod(shape)
    (output,) = whole.outputs.values()
    return Binding(
        axes=axes,
        shared=[i for i, n in enumerate(remaining) if kinds[n].shared],
        places=places,
        output=[way.same.get(a, a) for a in output],
        singly=how.singly,
        copies=_copies(way, small, axes, remaining),
        sizes=list(small.sizes) if sizes_in(hosts.task.source) else [],
        feeds=feeds,
        ones=ones,
        fixed=fixed,
    )


def _copies(
    way: _Way, small: Sizes, axes: Sequence[Sequence[str]], remaining: Sequence[str]
) -> str:
    """The axis that is as long as the one along which an input is repeated; "" for none."""
    repeated = [
        x.shape[place.repeated]
        for place, x in zip(way.places, small.inputs, strict=True)
        if place.repeated >= 0
    ]
    for name, place, x in zip(way.names, way.places, small.inputs, strict=True):
        own = axes[remaining.index(name)]
        for axis, size in zip(own, x.shape[place.span[0] : place.span[1]], strict=False):
            if len(own) > 1 and size in repeated:
                return axis
    return ""
