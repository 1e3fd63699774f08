"""Mistakes planted in any definition, from its formula and its signature; right ones beside them.

Each is a function of batches in the dtype of its input, as people write kernels.  But for the one
mistake it computes in binary64 and rounds once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from ...derivations.arithmetic.formats import BFLOAT16, BINARY32, FORMATS, Format
from ...derivations.arithmetic.systems import ieee
from ...derivations.definition import AS_PUBLISHED, Definition, Formula
from ...derivations.signature import Integer, Kind, Mask, Matrix, Numbers, Vector
from ..cases.case import CaseBatch, axis_of_index
from ..cases.draw import CASES, draw_batch, families
from ..subjects.contract import Contract
from ..subjects.subject import Subject
from .computed import (
    Array,
    Call,
    Outputs,
    Unshifted,
    at_least_binary32,
    blocked,
    computed,
    implementation,
    output_shapes,
    right,
    steady_forms,
)
from .mistakes import Mistake
from .outside_the_root import is_under_a_root, with_parameter_outside

TILES = (8, 128)  # of a vector of a processor, and of a block of a device
OFF_BY = 1e-3  # relative, as of probabilities that are not normalised again
TOLD_APART = 1e-3  # of the largest result: what differs by less is no mistake of its kind
PLAIN_SIZES = (5, 3, 4, 6)  # of axes, all different
SIZE_OF_HAZARDS = 6
MODULE = "softproof.verify.power.of_formulas"

Compute = Callable[[Call], Outputs]
Named = tuple[str, str, Compute]  # with a sentence on what is wrong


def mistakes_of(definition: Definition, fmt: Format) -> list[Mistake]:
    """The mistakes that are planted in a definition, in the format of its input.

    Parameters
    ----------
    definition
        The definition, of the catalogue or of a user.
    fmt
        The format: what is a mistake in float32 may be right in bfloat16.

    Returns
    -------
    list of Mistake
        Each with a name that says what is wrong.

    >>> from softproof.derivations import lookup
    >>> names = [mistake.name for mistake in mistakes_of(lookup("rms_norm"), BINARY32)]
    >>> names[:4]
    ['zeros', 'the mean', 'off by 0.1 %', 'result of the previous case']
    >>> "gain ignored" in names, "eps not passed on" in names, "eps taken for 0" in names
    (True, True, True)
    """
    return [_planted(definition, *named) for named in _named(definition, fmt)]


def right_implementations(definition: Definition, fmt: Format) -> list[Mistake]:
    """Right implementations of a definition, which no check may reject.

    Parameters
    ----------
    definition
        The definition.
    fmt
        The format of the input.

    Returns
    -------
    list of Mistake
        Each form that a right implementation may follow, computed in binary64, and in binary32
        where the format is not wider, and rounded once: none of them makes a mistake.
    """
    narrow = at_least_binary32(fmt)
    found: list[Named] = [("binary64, rounded once", "In binary64, rounded once.", right)]
    for name, formula in steady_forms(definition).items():
        compute = _by(formula, narrow)
        found.append((f"{narrow.name}, {name}", f"In {narrow.name}, rounded once.", compute))
    return [_planted(definition, *named) for named in found]


def _planted(definition: Definition, name: str, words: str, compute: Compute) -> Mistake:
    function = implementation(definition, compute, name, words)
    contract = Contract(summation="any")
    return Mistake(
        name, Subject(f"{MODULE}:{name}", definition.name, contract, tuple(FORMATS)), function
    )


def _by(formula: Formula, fmt: Format) -> Compute:
    """A form, each operation in a format."""
    return lambda call: computed(call, formula, blocked(fmt))


def _named(definition: Definition, fmt: Format) -> Iterator[Named]:
    """All mistakes of a definition in a format."""
    plain = _plain_call(definition)
    yield from _of_results()
    yield from _of_arguments(definition, plain)
    yield from _of_parameters(definition, plain)
    yield from _of_axes(definition, plain)
    yield from _of_arithmetic(definition, fmt)


def _plain_call(definition: Definition) -> Call:
    """A call with plain numbers."""
    sizes = dict(zip(definition.signature.axes, PLAIN_SIZES, strict=False))
    return _call_of(definition, families(definition)[0], sizes)


def _call_of(definition: Definition, family: str, sizes: Mapping[str, int]) -> Call:
    """A call with the cases of a family."""
    batch: CaseBatch = draw_batch(definition, family, BINARY32, sizes, np.random.default_rng(0))
    values = batch.stacked(definition.signature)
    return Call(
        definition, dict(zip(definition.signature.arguments, values, strict=True)), batch.parameters
    )


def _differ(some: Outputs, others: Outputs) -> bool:
    """Whether two results differ by what can be seen."""
    for a, b in zip(some, others, strict=True):
        least = TOLD_APART * float(np.max(np.abs(b), initial=0.0))
        if not (np.abs(a - b) <= least).all():
            return True
    return False


# --- the results ---


def _of_results() -> Iterator[Named]:
    yield "zeros", "Nothing is computed.", lambda call: [np.zeros_like(y) for y in right(call)]
    yield (
        "the mean",
        "Each result is the mean of those of its case; of all cases where there is one a case.",
        lambda call: [_means(y) for y in right(call)],
    )
    yield (
        f"off by {100 * OFF_BY:g} %",
        "All results are too small by a factor.",
        lambda call: [_scaled(y) for y in right(call)],
    )
    yield (
        "result of the previous case",
        "An index is off by one: each case has the result of the one before.",
        lambda call: [np.roll(y, 1, axis=0) if y.ndim else y for y in right(call)],
    )
    yield (
        "last case not computed",
        "A grid is too small by one: the last case of a batch stays 0.",
        lambda call: [_last_zero(y) for y in right(call)],
    )
    yield (
        "NaN written as 0",
        "What is no number becomes 0, so that it looks healthy.",
        lambda call: [np.where(np.isnan(y), y.dtype.type(0), y) for y in right(call)],
    )


def _means(y: Array) -> Array:
    if y.dtype.kind == "i" or not y.size:
        return y
    mean = y.mean(axis=-1, keepdims=True)
    return np.broadcast_to(mean, y.shape).copy()


def _scaled(y: Array) -> Array:
    return y if y.dtype.kind == "i" else y * (1 - OFF_BY)


def _last_zero(y: Array) -> Array:
    y = y.copy()
    if y.ndim:
        y[-1:] = 0
    return y


# --- the arguments ---


def _of_arguments(definition: Definition, plain: Call) -> Iterator[Named]:
    for name, kind in definition.signature.arguments.items():
        neutral = _neutral(definition, plain, name, kind)
        yield (
            f"{name} ignored",
            f"Whatever {name} is, {neutral:g} is taken for it.",
            _with(name, lambda value, neutral=neutral: np.full_like(value, neutral)),
        )
        for k, axis in enumerate(kind.axes):
            lead = plain.leading(name)
            compute = _with(name, lambda value, at=k + lead: np.flip(value, at))
            if _differ(compute(plain), right(plain)):
                words = f"The entries of {name} are read from the last {axis} to the first."
                yield f"{name} reversed along {axis}", words, compute
        if isinstance(kind, Matrix):
            words = f"Where it is square, {name} is read by columns in place of rows."
            yield f"{name} transposed", words, _with(name, _transposed)


def _with(name: str, changed: Callable[[Array], Array]) -> Compute:
    """The right results of another value of an argument."""
    return lambda call: right(call.with_values(**{name: changed(call.values[name])}))


def _transposed(matrices: Array) -> Array:
    square = matrices.shape[-1] == matrices.shape[-2]
    return np.swapaxes(matrices, -1, -2) if square else matrices


def _neutral(definition: Definition, plain: Call, name: str, kind: Kind) -> float:
    """What stands for an argument that is ignored: 0, or 1 where 0 leaves nothing of the rest.

    Of a mask 1, of indices and whole numbers the least.
    """
    if isinstance(kind, Mask):
        return 1.0
    if isinstance(kind, Integer):
        return float(kind.lower)
    if not isinstance(kind, Numbers):
        return 0.0
    found = right(plain.with_values(**{name: np.zeros_like(plain.values[name])}))
    left = [y for y in found if y.dtype.kind != "i"]
    all_zero = not any(np.nan_to_num(y).any() for y in left)
    return float(np.clip(1.0 if all_zero else 0.0, kind.lower, kind.upper))


# --- the parameters ---


def _of_parameters(definition: Definition, plain: Call) -> Iterator[Named]:
    for name, parameter in definition.parameters.items():
        if parameter.values:
            words = f"The value of {name} is not handed on: it has its default."
            yield f"{name} not passed on", words, _with_parameter(name, None)
        for value in parameter.values:
            if value in (0, 1) and value != parameter.default:
                words = f"There is no {name}: it is taken for {value:g}."
                yield f"{name} taken for {value:g}", words, _with_parameter(name, value)
        if is_under_a_root(plain, name):
            words = f"{name} is added to the root, and not to what is under it."
            yield f"{name} outside of the root", words, _outside(name)


def _outside(name: str) -> Compute:
    return lambda call: with_parameter_outside(call, name)


def _with_parameter(name: str, value: float | None) -> Compute:
    """The right results with another value of a parameter; with its default for None."""

    def compute(call: Call) -> Outputs:
        others = {n: v for n, v in call.parameters.items() if n != name}
        if name in call.definition.signature.counts:  # an axis of the results has this size
            return _of_a_count(call, name, others, value)
        return right(replace(call, parameters=others if value is None else {**others, name: value}))

    return compute


def _of_a_count(call: Call, name: str, others: Mapping[str, float], value: float | None) -> Outputs:
    """The results of another count, cut or filled with zeros to the size that they must have."""
    changed = dict(others) if value is None else {**others, name: value}
    found = right(replace(call, parameters=changed))
    return _filled(call, found)


def _filled(call: Call, found: Outputs) -> Outputs:
    """Results as large as they must be: what is missing is 0, what is too much is cut off."""
    filled = []
    for y, shape in zip(found, output_shapes(call).values(), strict=True):
        whole = np.zeros((len(y), *shape), y.dtype)
        common = tuple(slice(0, min(a, b)) for a, b in zip(whole.shape, y.shape, strict=True))
        whole[common] = y[common]
        filled.append(whole)
    return filled


# --- the axes ---


def _of_axes(definition: Definition, plain: Call) -> Iterator[Named]:
    for axis in definition.signature.axes:
        for tile in TILES:
            words = f"What is left of {axis} after whole tiles of {tile} is not looked at."
            yield f"{axis} in whole tiles of {tile}", words, _in_tiles(axis, tile)
    first = next(iter(definition.signature.arguments.values()))
    if isinstance(first, Vector) and not first.shared:
        compute = _along_the_cases(first.axis)
        square = _call_of(definition, families(definition)[0], dict.fromkeys(plain.sizes, CASES))
        if _differ(compute(square), right(square)):
            words = f"Where there are as many cases as {first.axis} is long, the axes are swapped."
            yield f"cases taken for {first.axis}", words, compute


def _in_tiles(axis: str, tile: int) -> Compute:
    """The right results of the entries in whole tiles; of all where there is no whole one."""

    def compute(call: Call) -> Outputs:
        size = call.sizes[axis]
        kept = size // tile * tile
        if kept in (0, size) or call.definition.misfit({**call.sizes, axis: kept}, call.parameters):
            return right(call)
        return _filled(call, right(_cut(call, axis, kept)))

    return compute


def _cut(call: Call, axis: str, kept: int) -> Call:
    """The call with so many entries along an axis, and no index beyond them."""
    values = dict(call.values)
    for name, kind in call.definition.signature.arguments.items():
        for k, its in enumerate(kind.axes):
            if its == axis:
                values[name] = np.take(values[name], range(kept), axis=k + call.leading(name))
        if axis_of_index(kind) == axis:
            values[name] = np.minimum(values[name], kept - 1)
    return replace(call, values=values)


def _along_the_cases(axis: str) -> Compute:
    """The right results of what stands along the cases; those of the call if they are not equal."""

    def compute(call: Call) -> Outputs:
        definition = call.definition
        if call.count != call.sizes[axis]:
            return right(call)
        kinds = definition.signature.arguments
        swapped = {
            name: call.values[name].T
            for name, kind in kinds.items()
            if kind.axes == (axis,) and not kind.shared
        }
        found = right(call.with_values(**swapped))
        outputs = definition.signature.outputs.values()
        return [y.T if axes == (axis,) else y for y, axes in zip(found, outputs, strict=True)]

    return compute


# --- the arithmetic ---


def _of_arithmetic(definition: Definition, fmt: Format) -> Iterator[Named]:
    if fmt.precision > BFLOAT16.precision:
        words = "The arguments are rounded to bfloat16, for speed."
        yield "bfloat16 inside", words, _rounded_arguments
    if fmt.precision < BINARY32.precision:
        form = next(iter(steady_forms(definition).values()))
        words = f"Each operation is in {fmt.name}, and sums are taken one by one."
        yield f"{fmt.name} throughout", words, lambda call: computed(call, form, ieee(call.format))
    for name, formula in {AS_PUBLISHED: definition.formula, **definition.forms}.items():
        compute = _unshifted(formula)
        if _overflows(definition, compute):
            words = "No largest entry is subtracted before exponentials are taken in float32."
            if definition.elementwise:
                words = f"The form {name!r}, whose exponentials overflow, in float32."
            yield f"overflowing: {name}", words, compute
            break


def _rounded_arguments(call: Call) -> Outputs:
    narrow = BFLOAT16.dtype
    rounded = {
        name: call.values[name].astype(narrow).astype(call.format.dtype)
        for name in call.definition.signature.numbers
    }
    return right(call.with_values(**rounded))


def _unshifted(formula: Formula) -> Compute:
    """A form in binary32 or wider, of numbers as they are."""

    def compute(call: Call) -> Outputs:
        xp = blocked(at_least_binary32(call.format), kind=Unshifted)
        return computed(call, formula, xp)

    return compute


def _overflows(definition: Definition, compute: Compute) -> bool:
    """Whether there are no numbers at hazards of an argument where right results are numbers."""
    sizes = dict.fromkeys(definition.signature.axes, SIZE_OF_HAZARDS)
    for family in families(definition):
        if family.endswith(("beyond exp", "huge")):
            call = _call_of(definition, family, sizes)
            for y, exact in zip(compute(call), right(call), strict=True):
                if (~np.isfinite(y) & np.isfinite(exact)).any():
                    return True
    return False
