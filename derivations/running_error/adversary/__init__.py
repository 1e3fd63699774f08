"""The tester of the bounds: an implementation that errs as much as its class allows.

Every operation is off by the whole of its bound, with signs that are all up, all down, alternating
or drawn.  With a unit roundoff as large as 2^-8 terms of second order show, so a bound of first
order only would be exceeded.  Numbers are binary64, so the class must be coarser than that.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...arithmetic import gaussian
from ...arithmetic.arithmetic import decided_ranks
from ...error_bounds.model import BLOCK
from ..arrays import Arrays
from ..constants import Array, quiet
from ..model import Model, largest, rounded_to, unit_roundoff
from ..numbers import constant
from . import equations
from .numbers import ErringNumber

SIGNS = ("up", "down", "alternate", "drawn")


def _erring(
    function: Callable[[Array], Any], units: str = "elementary", exponential: bool = False
) -> Callable[[Adversary, Any], ErringNumber]:
    """A function off by so many u; what is an exponential may be off in its argument as well."""

    def apply(self: Adversary, x: Any) -> ErringNumber:
        argument = self.number(x).value
        with quiet():
            if exponential and self.model.exponent_argument:
                off = self.model.exponent_argument * self.model.u
                argument = argument * (1 + off * self.signs(argument.shape))
            value = function(argument)
        return self.err(value, getattr(self.model, units), self.model.function_underflow)

    return apply


class Adversary(Arrays[ErringNumber]):
    """The arithmetic xp of an implementation that errs as much as a class allows.

    Parameters
    ----------
    model
        The class.
    signs
        The directions of the errors, one of SIGNS.
    random
        For drawn signs, and for the order of sums.
    softmax_form
        How softmax is computed: "quotient", "online" or "division-free".

    >>> from ...arithmetic.formats import BFLOAT16
    >>> xp = Adversary(Model.of(BFLOAT16), "up", np.random.default_rng(0))
    >>> float((xp.number(1.0) + 1.0).value)
    2.0078125
    """

    name = "adversary"
    symbolic = False

    def __init__(
        self,
        model: Model,
        signs: str,
        random: np.random.Generator,
        softmax_form: str = "quotient",
    ):
        if signs not in SIGNS:
            raise ValueError(f"signs is {signs!r}; use one of: {', '.join(SIGNS)}")
        self.model = model
        self.random = random
        self.softmax_form = softmax_form
        self._signs = signs
        self._last = 1.0

    def signs(self, shape: tuple[int, ...]) -> Array:
        """The directions of the errors of one operation."""
        if self._signs == "drawn":
            return self.random.choice([-1.0, 1.0], shape)
        if self._signs == "alternate":
            self._last = -self._last
            return np.full(shape, self._last)
        return np.full(shape, 1.0 if self._signs == "up" else -1.0)

    def err(
        self, value: Any, units: float = 1.0, underflow: float = 0.0, u: float | None = None
    ) -> ErringNumber:
        """A result off by so many u, and below the normal range by ``underflow`` more."""
        v = np.asarray(value, dtype=np.float64)
        model = self.model
        with quiet():
            y = v * (1 + units * (model.u if u is None else u) * self.signs(v.shape))
            if not model.flushes:
                subnormal = np.abs(v) < 2.0**model.operations.emin
                y = y + underflow * self.signs(v.shape) * subnormal
            return ErringNumber(self, self._stored(y))

    def _stored(self, y: Array) -> Array:
        """What becomes of a number out of the normal range."""
        y = np.where(np.abs(y) < self.model.flushed, 0.0, y)
        return np.where(np.abs(y) > largest(self.model.operations), np.copysign(np.inf, y), y)

    def operate(
        self, operation: Callable[[Any, Any], Any], a: ErringNumber, b: ErringNumber
    ) -> ErringNumber:
        """One of + - * /."""
        with quiet():
            value = operation(a.value, b.value)
        if operation in (operator.add, operator.sub):
            return self.err(value)
        quotient = operation is operator.truediv
        units = self.model.division if quotient else 1.0
        found = self.err(value, units, self.model.half_subnormal)
        if quotient and units > 1:
            return found
        kept = np.abs(b.value) == 1  # nothing rounds, but what is subnormal may be flushed
        if not quotient:
            kept = kept | (np.abs(a.value) == 1)
        return ErringNumber(self, np.where(kept, self.err(value, 0.0).value, found.value))

    def number(self, exact: Any) -> ErringNumber:
        """A constant, off by its rounding."""
        if isinstance(exact, ErringNumber):
            return exact
        known = constant(self.model, exact)
        off = known.error * (1 - 2.0**-30)
        return ErringNumber(self, self._stored(known.value + off * self.signs(known.shape)))

    def combine(
        self, function: Callable[..., Any], numbers: Sequence[ErringNumber]
    ) -> ErringNumber:
        """An array that is a function of others, without errors."""
        return ErringNumber(self, function(*(number.value for number in numbers)))

    exp = _erring(np.exp, exponential=True)
    expm1 = _erring(np.expm1, exponential=True)
    log = _erring(np.log)
    log1p = _erring(np.log1p)
    rsqrt = _erring(lambda x: 1 / np.sqrt(x), "roots")
    tanh = _erring(np.tanh)
    sin = _erring(np.sin)
    cos = _erring(np.cos)
    atan = _erring(np.arctan)
    acos = _erring(np.arccos)
    normal_cdf = _erring(np.vectorize(gaussian.float_normal_cdf, otypes=[float]))
    normal_pdf = _erring(np.vectorize(gaussian.float_normal_pdf, otypes=[float]))

    def sqrt(self, x: Any) -> ErringNumber:
        """The square root, one operation."""
        with quiet():
            return self.err(np.sqrt(self.number(x).value))

    def sigmoid(self, x: Any) -> ErringNumber:
        """1 / (1 + e^-|x|), or that times e^-|x|, by operations."""
        value = self.number(x).value
        small = self.exp(ErringNumber(self, -np.abs(value)))
        divisor = 1 + small
        numerator = np.where(value < 0, small.value, 1.0)
        return ErringNumber(self, numerator) / divisor

    def softplus(self, x: Any) -> ErringNumber:
        """max(x, 0) + log1p(e^-|x|), by operations."""
        value = self.number(x).value
        tail = self.log1p(self.exp(ErringNumber(self, -np.abs(value))))
        return ErringNumber(self, np.maximum(value, 0.0)) + tail

    def pow(self, x: Any, y: Any) -> ErringNumber:
        """A power x^y of numbers."""
        with quiet():
            value = np.power(self.number(x).value, self.number(y).value)
        return self.err(value, self.model.elementary, self.model.function_underflow)

    def _added(self, terms: Array) -> Array:
        """The sum over the first axis, in the accumulator: the order of the model, shuffled."""
        model = self.model
        if not len(terms):
            return np.zeros(terms.shape[1:])
        if unit_roundoff(model.accumulator) > model.u:  # each term is rounded to it first
            terms = terms * (1 + model.v * self.signs(terms.shape))
        items = [terms[i] for i in self.random.permutation(len(terms))]

        def one_by_one(parts: list[Any]) -> Any:
            total = parts[0]
            for part in parts[1:]:
                total = (total + part) * (1 + model.v * self.signs(np.shape(total)))
                total = np.where(np.abs(total) < model.flushed_addition, 0.0, total)
            return total

        def by_halves(parts: list[Any]) -> Any:
            if len(parts) == 1:
                return parts[0]
            middle = -(-len(parts) // 2)
            return one_by_one([by_halves(parts[:middle]), by_halves(parts[middle:])])

        with quiet():
            if model.summation == "any":
                total = one_by_one(items)
            elif model.summation == "pairwise":
                total = by_halves(items)
            else:
                blocks = [items[i : i + BLOCK] for i in range(0, len(items), BLOCK)]
                total = by_halves([one_by_one(block) for block in blocks])
            over = np.abs(total) > largest(model.accumulator)
            return np.asarray(np.where(over, np.inf, total))

    def _converted(self, total: Array) -> ErringNumber:
        if self.model.converts_sums:
            return self.err(total, underflow=self.model.half_subnormal)
        return ErringNumber(self, total)

    def sum(self, terms: Any, axis: int | None = None) -> ErringNumber:
        """The sum over an axis, or of all."""
        value = self.array(terms).value
        value = value.reshape(-1) if axis is None else np.moveaxis(value, axis, 0)
        total = self._added(value)
        return self._converted(total) if len(value) > 1 else ErringNumber(self, total)

    def mean(self, terms: Any, axis: int | None = None) -> ErringNumber:
        """A sum times a rounded 1 / n."""
        value = self.array(terms).value
        count = value.size if axis is None else value.shape[axis]
        if count == 1:
            return self.sum(terms, axis)
        return self.sum(terms, axis) * (1 / self.number(count))

    def cumsum(self, terms: Any) -> ErringNumber:
        """The partial sums of a vector, one by one."""
        value = self.array(terms).value
        partial = [value[0]]
        for term in value[1:]:
            partial.append((partial[-1] + term) * (1 + self.model.v * self.signs(())))
        first, *rest = [self._converted(np.asarray(p)).value for p in partial]
        return ErringNumber(self, np.array([value[0] + 0 * first, *rest]))

    def dot(self, a: Any, b: Any) -> ErringNumber:
        """The product of vectors and matrices."""
        a, b = self._operand(self.array(a).value), self._operand(self.array(b).value)
        left = np.moveaxis(a, -1, 0)
        right = b if b.ndim == 1 else np.moveaxis(b, -2, 0)
        left = left.reshape(*left.shape, *(1 for _ in right.shape[1:]))
        right = right.reshape(len(right), *(1 for _ in a.shape[:-1]), *right.shape[1:])
        with quiet():
            products = left * right
            products = products * (1 + self.model.v * self.signs(products.shape))
        return self._converted(self._added(products))

    def _operand(self, value: Array) -> Array:
        fmt = self.model.operands
        if fmt is None or unit_roundoff(fmt) <= self.model.u:
            return value
        unit = 2 * unit_roundoff(fmt)
        return np.asarray(value * (1 + unit * (1 - 2.0**-30) * self.signs(value.shape)))

    @property
    def stores_forward(self) -> bool:
        """Whether a backward pass reads numbers of the forward pass as they are stored."""
        return self.model.stored_forward

    def kept(self, x: Any) -> Any:
        """A number of the forward pass, rounded as it is stored, unless the format holds it."""
        fmt = self.model.result
        narrower = self.model.stored_forward and unit_roundoff(fmt) > self.model.u
        if not (narrower and isinstance(x, ErringNumber)):
            return x
        off = unit_roundoff(fmt) * (1 - 2.0**-30) * self.signs(x.value.shape)
        off = np.where(rounded_to(fmt, x.value) == x.value, 0.0, off)
        return ErringNumber(self, x.value * (1 + off))

    def inner_of_weights(self, p: Any, v: Any, dp: Any, g: Any, y: Any) -> Any:
        """The inner product of probabilities and cotangents, from the output that is stored."""
        if not self.model.stored_forward:
            return self.dot(p, dp)
        return self.dot(g, self.kept(y)) if v.ndim == 2 else g * self.kept(y)

    def outer(self, a: Any, b: Any) -> ErringNumber:
        """All products of two vectors."""
        left, right = (self._operand(self.array(x).value) for x in (a, b))
        return ErringNumber(self, left[:, None]) * ErringNumber(self, right[None, :])

    def max(self, values: Any, axis: int | None = None) -> ErringNumber:
        """The largest of some numbers."""
        return ErringNumber(self, np.max(self.array(values).value, axis=axis))

    def maximum(self, a: Any, b: Any) -> ErringNumber:
        """The larger of two."""
        return ErringNumber(self, np.maximum(self.number(a).value, self.number(b).value))

    def min(self, values: Any, axis: int | None = None) -> ErringNumber:
        """The least of some numbers."""
        return -self.max(-self.array(values), axis)

    def minimum(self, a: Any, b: Any) -> ErringNumber:
        """The smaller of two."""
        return -self.maximum(-self.number(a), -self.number(b))

    def step(self, x: Any) -> ErringNumber:
        """The derivative of the positive part; 0 or 1 at 0."""
        return ErringNumber(self, self.number(x).value + self.signs(()) * 2.0**-1074 > 0)

    def ranks(self, z: Any) -> tuple[Any, Any]:
        """The places of the computed entries in descending order."""
        places: tuple[Any, Any] = decided_ranks(self.array(z).value)
        return places

    def rounded(self, x: Any) -> ErringNumber:
        """x, rounded once more, as a product is."""
        return self.err(self.number(x).value, 1.0, self.model.half_subnormal)

    def positive_part(self, x: Any) -> ErringNumber:
        """The larger of x and 0."""
        return self.maximum(x, 0)

    def abs(self, x: Any) -> ErringNumber:
        """The modulus of a number."""
        return ErringNumber(self, np.abs(self.number(x).value))

    def by_sign(self, x: Any, nonnegative: Any, negative: Any) -> ErringNumber:
        """One of two branches, by the sign of the computed number."""
        value = self.number(x)
        return self.where(value.value >= 0, nonnegative(value), negative(value))

    def descending(self, z: Any) -> ErringNumber:
        """Sorted, the largest first."""
        return ErringNumber(self, np.sort(self.array(z).value)[::-1])

    def shifted(self, z: Any) -> ErringNumber:
        """z - max z."""
        value = self.array(z)
        return value - ErringNumber(self, np.max(value.value, axis=-1, keepdims=True))

    def weighted_mean(self, scores: Any, v: Any) -> ErringNumber:
        """The sum of rows v_j with the softmax of the scores as weights."""
        return self.dot(self.softmax(scores), v)

    def root(self, f: Callable[[Any], Any], low: Any, high: Any) -> ErringNumber:
        """The zero of a function between two points, by bisection."""
        return equations.root(self, lambda t: self.number(f(t)), low, high)

    def solve(self, a: Any, b: Any) -> ErringNumber:
        """The solution of linear equations, by elimination."""
        return equations.solve(self, self.array(a), self.array(b))

    def softmax(self, z: Any) -> ErringNumber:
        """Softmax of a vector, in one of its forms."""
        z = self.array(z)
        if self.softmax_form == "online":
            return self._online(z)
        if self.softmax_form == "division-free":
            return self.exp(z - self.logsumexp(z))
        e = self.exp(self.shifted(z))
        return e / self.sum(e)

    def logsumexp(self, z: Any) -> ErringNumber:
        """The maximum and the logarithm of the sum along the last axis."""
        z = self.array(z)
        top = ErringNumber(self, np.max(z.value, axis=-1))
        return top + self.log(self.sum(self.exp(self.shifted(z)), -1))

    def _online(self, z: ErringNumber) -> ErringNumber:
        """Block by block, with what was added before rescaled after each."""
        block = self.model.online_block
        top, total = -np.inf, self.number(0)
        parts: list[ErringNumber] = []
        for start in range(0, len(z), block):
            scores = z[start : start + block]
            new = max(top, float(np.max(scores.value)))
            e = self.exp(scores - ErringNumber(self, new))
            added = self.sum(e)
            if parts:
                factor = self.exp(self.err(top - new))
                total = total * factor + added
                parts = [part * factor for part in parts]
            else:
                total = added
            parts.append(e)
            top = new
        return ErringNumber(self, np.concatenate([part.value for part in parts])) / total
