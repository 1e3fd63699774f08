"""A definition computed from its formula on batches of cases, in the arithmetic of a kernel.

A formula speaks of one case; implementations are called with batches.  What stands here calls the
formula case by case, in NumPy, so that any definition has implementations, right and wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.arithmetic import Arithmetic
from ...derivations.arithmetic.formats import BINARY32, BINARY64, Format, format_of
from ...derivations.arithmetic.systems import ieee
from ...derivations.definition import AS_PUBLISHED, Definition, Formula
from ...derivations.signature import VALUE
from ..cases.case import Case, formula_call

Array = NDArray[Any]
Outputs = list[Array]


@dataclass(frozen=True)
class Call:
    """What an implementation of a definition is called with: a batch by name, and parameters.

    Each argument that is not shared has the cases along its first axis; that of a function of one
    real may have any shape.
    """

    definition: Definition
    values: Mapping[str, Array]
    parameters: Mapping[str, float]

    def with_values(self, **changed: Array) -> Call:
        """This call with other values of some arguments."""
        return replace(self, values={**self.values, **changed})

    @property
    def format(self) -> Format:
        """The format of the numbers."""
        return format_of(self.values[self.definition.signature.numbers[0]].dtype)

    @property
    def count(self) -> int:
        """How many cases there are."""
        kinds = self.definition.signature.arguments
        return next((len(self.values[n]) for n, kind in kinds.items() if not kind.shared), 1)

    def leading(self, name: str) -> int:
        """How many axes an argument has before its own: 1 of a batch, 0 where it is shared."""
        return 0 if self.definition.signature.arguments[name].shared else 1

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each axis."""
        if self.definition.elementwise:
            return {}
        return self.definition.signature.sizes(
            {name: value.shape[self.leading(name) :] for name, value in self.values.items()}
        )

    def case(self, i: int) -> Case:
        """One of the cases."""
        kinds = self.definition.signature.arguments
        values = {n: v if kinds[n].shared else np.asarray(v[i]) for n, v in self.values.items()}
        return Case(values, self.parameters)


@dataclass(frozen=True)
class Blocked(Arithmetic):
    """NumPy arithmetic in a format, whose sums are NumPy's, by pairs of blocks, in another one.

    Each sum, and each sum of products, is rounded to the format once, at its end.
    """

    sums_in: np.dtype[Any] = BINARY64.dtype

    def sum(self, terms: Any, axis: int | None = None) -> Any:
        """The sum of all entries, or along one axis."""
        terms = terms if isinstance(terms, np.ndarray) else np.array(list(terms), self.dtype)
        return np.asarray(np.sum(terms, axis, dtype=self.sums_in)).astype(self.dtype)[()]

    def dot(self, a: Any, b: Any) -> Any:
        """The product of vectors or matrices, as matrix units give it."""
        wide = (np.asarray(x).astype(self.sums_in) for x in (a, b))
        return np.asarray(super().dot(*wide)).astype(self.dtype)[()]

    def max(self, values: Any, axis: int | None = None) -> Any:
        """The largest of all entries, or along one axis, found without a loop over them."""
        if not isinstance(values, np.ndarray) or not values.size:
            return super().max(values, axis)
        return np.max(values, axis)

    def counts(self, n: int) -> Any:
        """The vector 1, 2, ..., n."""
        return np.arange(1, n + 1).astype(self.dtype)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """An array of zeros; the number 0 for the shape ()."""
        return np.zeros(shape, self.dtype)[()]


@dataclass(frozen=True)
class Unshifted(Blocked):
    """``Blocked`` arithmetic that subtracts no largest entry before it takes exponentials."""

    def shifted(self, z: Any) -> Any:
        """The numbers as they are."""
        return z

    def logsumexp(self, z: Any) -> Any:
        """The logarithm of the sum of exponentials as they are."""
        return self.log(self.sum(self.exp(z), axis=-1))


def blocked(fmt: Format, sums_in: Format | None = None, kind: type[Blocked] = Blocked) -> Blocked:
    """Arithmetic in a format, with sums in a format that is at least as wide.

    Parameters
    ----------
    fmt
        The format of each operation.
    sums_in
        That in which sums are taken; the format itself when None.
    kind
        ``Blocked``, or a kind of it.

    Returns
    -------
    Blocked
        The arithmetic.

    >>> blocked(BINARY32).sum(np.float32([1, 2, 4]))
    np.float32(7.0)
    """
    below = ieee(fmt)
    own = {field.name: getattr(below, field.name) for field in fields(below)}
    return kind(**own, sums_in=(sums_in or fmt).dtype)


def at_least_binary32(fmt: Format) -> Format:
    """The format that most kernels compute in: that of the input, but no narrower than binary32.

    Parameters
    ----------
    fmt
        The format of the input.

    Returns
    -------
    Format
        binary32 or binary64.
    """
    return fmt if fmt.precision > BINARY32.precision else BINARY32


def steady_forms(definition: Definition) -> dict[str, Formula]:
    """The forms that a right implementation may follow in floating point, by name.

    Where an error bound is proven of one form it is that one, for others may overflow; else all.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    dict
        Formula by name, one at least.

    >>> from softproof.derivations import lookup
    >>> list(steady_forms(lookup("softmax"))), len(steady_forms(lookup("rms_norm")))
    (['shifted'], 3)
    """
    forms = {AS_PUBLISHED: definition.formula, **definition.forms}
    proven = definition.proven_form
    return {proven: forms[proven]} if proven else forms


def computed(call: Call, formula: Formula, xp: Arithmetic) -> Outputs:
    """The outputs of a formula at all cases of a call, in an arithmetic.

    Parameters
    ----------
    call
        The arguments and the parameters; numbers are rounded to the format of the arithmetic.
    formula
        A form of the definition.
    xp
        An arithmetic of NumPy numbers.

    Returns
    -------
    list of array
        For each output an array with the cases along its first axis: of binary64, and of int64
        where it is a choice.  NaN where the formula has no value, such as the mean of nothing.
    """
    definition = call.definition
    with np.errstate(all="ignore"):
        if definition.elementwise:
            ((name, x),) = call.values.items()
            whole = Case({name: x}, call.parameters)
            return _at(definition, formula, whole, xp, {VALUE: x.shape})
        shapes = output_shapes(call)
        cases = [_at(definition, formula, call.case(i), xp, shapes) for i in range(call.count)]
    if not cases:
        return [np.zeros((0, *shape)) for shape in shapes.values()]
    return [np.stack(each) for each in zip(*cases, strict=True)]


def output_shapes(call: Call) -> dict[str, tuple[int, ...]]:
    """The shape of each output at one case.

    Parameters
    ----------
    call
        The arguments and the parameters.

    Returns
    -------
    dict
        Shape by the name of the output.
    """
    sizes = call.sizes | call.definition.counted(call.parameters)
    outputs = call.definition.signature.outputs
    return {name: tuple(sizes[axis] for axis in axes) for name, axes in outputs.items()}


def _at(
    definition: Definition,
    formula: Formula,
    case: Case,
    xp: Arithmetic,
    shapes: Mapping[str, tuple[int, ...]],
) -> Outputs:
    """The outputs at one case."""
    arguments, settings = formula_call(definition, case)
    for name in definition.signature.numbers:
        arguments[name] = arguments[name].astype(xp.dtype)[()]
    indices = definition.signature.indices
    dtypes = [np.int64 if name in indices else np.float64 for name in shapes]
    try:
        found = formula(*arguments.values(), xp, **settings)
    except ValueError:  # as NoValue is
        return [
            np.full(shape, np.nan if dtype is np.float64 else 0, dtype)
            for shape, dtype in zip(shapes.values(), dtypes, strict=True)
        ]
    outputs = found if len(shapes) > 1 else (found,)
    return [np.asarray(output).astype(dtype) for output, dtype in zip(outputs, dtypes, strict=True)]


def right(call: Call) -> Outputs:
    """The outputs of a call in binary64, by the first form that may be followed.

    Parameters
    ----------
    call
        The arguments and the parameters.

    Returns
    -------
    list of array
        As ``computed`` gives them.
    """
    return computed(call, next(iter(steady_forms(call.definition).values())), blocked(BINARY64))


def implementation(
    definition: Definition, compute: Callable[[Call], Outputs], name: str, words: str
) -> Callable[..., Any]:
    """A function of batches, in the dtype of its input, as users write kernels.

    Parameters
    ----------
    definition
        What it is an implementation of.
    compute
        Gives its outputs for a call.
    name
        Its name.
    words
        Its docstring.

    Returns
    -------
    function
        ``f(*arguments, **parameters)``, with the names that the definition has; its result is an
        array, or a tuple of them where there are several outputs.

    >>> from softproof.derivations import lookup
    >>> softmax = implementation(lookup("softmax"), right, "softmax", "By its formula.")
    >>> softmax(np.float32([[0, 0]]))
    array([[0.5, 0.5]], dtype=float32)
    """
    parameters = definition.parameters
    taken = [
        *(inspect.Parameter(n, PLACE) for n in definition.signature.arguments),
        *(inspect.Parameter(n, NAME, default=p.default) for n, p in parameters.items()),
    ]
    signature = inspect.Signature(taken)

    def function(*arguments: Any, **settings: Any) -> Any:
        given = signature.bind(*arguments, **settings).arguments
        values = {n: np.asarray(given[n]) for n in definition.signature.arguments}
        changed = {n: given[n] for n in parameters if n in given}
        call = Call(definition, values, changed)
        with np.errstate(all="ignore"):
            results = tuple(
                output if output.dtype.kind == "i" else output.astype(call.format.dtype)
                for output in compute(call)
            )
        return results if len(results) > 1 else results[0]

    function.__name__ = name
    function.__doc__ = words
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD
NAME = inspect.Parameter.KEYWORD_ONLY
