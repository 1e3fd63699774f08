"""An arithmetic that records what its numbers are made from: the graph of ``reverse_mode``.

Each operation stands here with its rule, which turns the cotangent of its result into those of its
operands; those of elementary functions are in ``derivative_rules``.  Rules are written in the
arithmetic below, so they hold for whatever numbers it has.

Rules of piecewise functions use ``step``, the derivative of the positive part.  Over balls that do
not decide it is [0, 1]: what is made from it then encloses all one-sided derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from .derivative_rules import (
    Rule,
    Slopes,
    attained,
    dot_rules,
    inner_of_weights,
    power_rules,
)
from .graph import Pullback, Variable, sweep

Function = Callable[..., Any]


class Tape:
    """An arithmetic that records: its numbers are ``Variable``s of the arithmetic ``below``.

    What is made from constants alone stays a constant, in the arithmetic below.

    >>> from .symbols import symbols
    >>> import sympy
    >>> tape = Tape(symbols())
    >>> y = tape.exp(2 * tape.constant(sympy.Symbol("x")))
    >>> (parent, pullback), = y.parents
    >>> y.value, pullback(1)
    (exp(2*x), exp(2*x))
    """

    def __init__(self, below: Any) -> None:
        self.below = below
        self.name = f"tape over {below.name}"
        self.symbolic: bool = below.symbolic
        self.height: int = getattr(below, "height", 0) + 1  # how many tapes it is over
        self._places = 0

    def next_place(self) -> int:
        """The place of a new variable in the order in which they are made."""
        self._places += 1
        return self._places

    def holds(self, x: Any) -> bool:
        """Whether x is a variable of this tape; one of a tape below is a constant here."""
        return isinstance(x, Variable) and x.tape is self

    def value_of(self, x: Any) -> Any:
        """The value of a variable in the arithmetic below; a constant as it is."""
        return x.value if self.holds(x) else x

    def constant(self, x: Any) -> Any:
        """A variable without parents; a variable as it is."""
        return x if self.holds(x) else Variable(self, x)

    def record(self, value: Any, *operands: tuple[Any, Pullback]) -> Any:
        """A result with its operands and their pullbacks; a constant where no operand varies."""
        parents = [(x, rule) for x, rule in operands if self.holds(x)]
        return Variable(self, value, parents) if parents else value

    def binary(self, function: Function, left: Any, right: Any, rules: tuple[Rule, Rule]) -> Any:
        """A function of two operands that broadcast."""
        a, b = self.value_of(left), self.value_of(right)
        of_left, of_right = rules
        return self.record(
            function(a, b),
            (left, lambda g: self._folded(of_left(g, self._kept(a), self._kept(b)), np.shape(a))),
            (right, lambda g: self._folded(of_right(g, self._kept(a), self._kept(b)), np.shape(b))),
        )

    def _kept(self, x: Any) -> Any:
        """A value as the backward pass reads it: in arithmetics that tell, as it was stored."""
        return self.below.kept(x) if hasattr(self.below, "kept") else x

    def _folded(self, g: Any, shape: tuple[int, ...]) -> Any:
        """The sum over the axes along which an operand of that shape was repeated."""
        xp = self.below
        while len(np.shape(g)) > len(shape):
            g = xp.sum(g, 0)
        for axis, size in enumerate(shape):
            if size == 1 and np.shape(g)[axis] != 1:
                g = xp.expand_dims(xp.sum(g, axis), axis)
        return g

    # --- elementary functions ---

    def __getattr__(self, name: str) -> Function:
        if name not in vars(Slopes):
            raise AttributeError(f"a tape has no function {name!r}; add its slope to Slopes")
        function, slope, xp = getattr(self.below, name), getattr(Slopes, name), self.below

        def recorded(x: Any) -> Any:
            a = self.value_of(x)
            y = function(a)
            found = self.record(y, (x, lambda g: g * slope(xp, self._kept(a), self._kept(y))))
            return self._statistic(found) if name in ("sqrt", "rsqrt") else found

        return recorded

    def scaled_cylinder(self, nu: Fraction, x: Any) -> Any:
        """E_nu(x) = e^(-x^2/4) D_nu(x), of slope -E_(nu + 1) (DLMF 12.8.9)."""
        function, a = self.below.scaled_cylinder, self.value_of(x)
        return self.record(function(nu, a), (x, lambda g: -g * function(nu + 1, a)))

    def pow(self, x: Any, y: Any) -> Any:
        """x^y, with slopes in the base and in the exponent where that is recorded."""
        return self.binary(self.below.pow, self.array(x), self.array(y), power_rules(self.below))

    # --- sums and products ---

    def sum(self, terms: Any, axis: int | None = None) -> Any:
        """Every term has the slope 1."""
        x, xp = self._gathered(terms), self.below
        a = self.value_of(x)

        def spread(g: Any) -> Any:
            return xp.broadcast(g if axis is None else xp.expand_dims(g, axis), np.shape(a))

        return self.record(xp.sum(a, axis), (x, spread))

    def mean(self, a: Any, axis: int | None = None) -> Any:
        """The sum over the number of terms."""
        terms = np.prod(np.shape(a)) if axis is None else np.shape(a)[axis]
        return self._statistic(self.sum(a, axis) / self.number(int(terms)))

    def _statistic(self, x: Any) -> Any:
        """A mean or a root: where the backward pass reads it as stored, all made from it does."""
        if not getattr(self.below, "stores_forward", False):
            return x
        return self.record(self._kept(self.value_of(x)), (x, lambda g: g))

    def cumsum(self, a: Any) -> Any:
        """Term k is in all sums from k on."""
        sums, back = self.below.cumsum, (..., slice(None, None, -1))
        return self.record(sums(self.value_of(a)), (a, lambda g: sums(g[back])[back]))

    def dot(self, a: Any, b: Any) -> Any:
        """Products of vectors and matrices."""
        x, y = self.value_of(a), self.value_of(b)
        of_left, of_right = dot_rules(self.below)
        return self.record(
            self.below.dot(x, y),
            (a, lambda g: of_left(g, self._kept(x), self._kept(y))),
            (b, lambda g: of_right(g, self._kept(x), self._kept(y))),
        )

    def outer(self, a: Any, b: Any) -> Any:
        """The cotangents of a_i b_j are G b and G^T a."""
        xp, x, y = self.below, self.value_of(a), self.value_of(b)
        return self.record(
            xp.outer(x, y),
            (a, lambda g: xp.dot(g, self._kept(y))),
            (b, lambda g: xp.dot(self._kept(x), g)),
        )

    def solve(self, a: Any, b: Any) -> Any:
        """Of A x = b: h with A^T h = g for b, and -h x^T for A."""
        xp, matrix = self.below, self.value_of(a)
        x = xp.solve(matrix, self.value_of(b))

        def of_matrix(g: Any) -> Any:
            h = xp.solve(matrix.T, g)
            return -(xp.outer(h, x) if np.ndim(x) == 1 else xp.dot(h, x.T))

        return self.record(x, (a, of_matrix), (b, lambda g: xp.solve(matrix.T, g)))

    def singular_values(self, a: Any) -> Any:
        """sigma_k has the slope u_k v_k^T = A v_k v_k^T / sigma_k in A."""
        if a.shape[0] < a.shape[1]:
            a = a.T
        xp, x = self.below, self.value_of(a)
        values, v = xp.singular(x)
        return self.record(values, (a, lambda g: xp.dot(xp.dot(x, v * (g / values)), v.T)))

    def root(self, f: Function, low: Any, high: Any) -> Any:
        """The zero t of f(t, x), by f_t dt + f_x dx = 0: the cotangent of f(t, x) is -g / f_t."""
        xp = self.below
        ends = self.value_of(low), self.value_of(high)
        at = Variable(self, xp.root(lambda v: self.value_of(f(Variable(self, v))), *ends))
        value = self.constant(f(at))
        (slope,) = sweep([(value, xp.number(1))], [at])
        return self.record(at.value, (value, lambda g: -g / slope))

    # --- softmax, the largest, order ---

    def softmax(self, z: Any) -> Any:
        """Along the last axis p (g - <p, g>): what is common to all g changes nothing."""
        xp = self.below
        found = xp.softmax(self.value_of(z))

        def pullback(g: Any) -> Any:
            p = self._kept(found)
            if hasattr(xp, "centred"):
                return p * xp.centred(p, g)
            if np.ndim(p) == 1:
                return p * (g - xp.dot(p, g))
            return p * (g - xp.expand_dims(xp.sum(p * g, -1), -1))

        return self.record(found, (z, pullback))

    def logsumexp(self, z: Any) -> Any:
        """Along the last axis the slopes are the softmax."""
        xp, scores = self.below, self.value_of(z)

        def pullback(g: Any) -> Any:
            return xp.expand_dims(g, -1) * xp.softmax(self._kept(scores))

        return self.record(xp.logsumexp(scores), (z, pullback))

    def weighted_mean(self, scores: Any, v: Any) -> Any:
        """y = sum_j p_j v_j: p (v g - <p, v g>) for the scores, where <p, v g> = <g, y>."""
        xp, rows = self.below, self.value_of(v)
        p = xp.softmax(self.value_of(scores))
        y = xp.dot(p, rows)
        of_left, of_right = dot_rules(xp)

        def of_scores(g: Any) -> Any:
            weights, stored = self._kept(p), self._kept(rows)
            dp = of_left(g, weights, stored)
            if hasattr(xp, "centred"):
                return weights * xp.centred(weights, dp)
            return weights * (dp - inner_of_weights(xp, weights, stored, dp, g, y))

        return self.record(
            y, (scores, of_scores), (v, lambda g: of_right(g, self._kept(p), self._kept(rows)))
        )

    def rounded(self, x: Any) -> Any:
        """The slope is 1."""
        return self.record(self.below.rounded(self.value_of(x)), (x, lambda g: g))

    def shifted(self, z: Any) -> Any:
        """What is subtracted counts as a constant, as results do not depend on it."""
        return self.record(self.below.shifted(self.value_of(z)), (z, lambda g: g))

    def max(self, values: Any, axis: int | None = None) -> Any:
        """The largest entry has the slope 1; entries that may be the largest share it."""
        x, xp = self._gathered(values), self.below
        a = self.value_of(x)
        if axis is None and np.ndim(a) > 1:
            return self.max(self.max(x, 0))
        along = (axis or 0) % np.ndim(a)

        def pullback(g: Any) -> Any:
            return xp.expand_dims(g, along) * attained(xp, a, along)

        return self.record(xp.max(a, along), (x, pullback))

    def min(self, values: Any, axis: int | None = None) -> Any:
        """The smallest entry has the slope 1."""
        return -self.max(-self._gathered(values), axis)

    def descending(self, a: Any) -> Any:
        """An entry has the cotangent at its place; over balls the hull of those it may have."""
        xp, x = self.below, self.value_of(a)

        def pullback(g: Any) -> Any:
            cotangents = []
            for first, last in zip(*(r.tolist() for r in xp.ranks(x)), strict=True):
                found = g[first]
                for k in range(first + 1, last + 1):
                    found = xp.hull(found, g[k])
                cotangents.append(found)
            return xp.stack(cotangents)

        return self.record(xp.descending(x), (a, pullback))

    def ranks(self, a: Any) -> Any:
        """Places are no numbers, and have no slopes."""
        return self.below.ranks(self.value_of(a))

    def largest(self, scores: Any, count: int) -> Any:
        """Indices are no numbers, and have no slopes."""
        return self.below.largest(self.value_of(scores), count)

    # --- pieces ---

    def maximum(self, a: Any, b: Any) -> Any:
        """The larger operand has the slope 1."""
        step = self.below.step
        rules = (lambda g, x, y: g * step(x - y), lambda g, x, y: g * (1 - step(x - y)))
        return self.binary(self.below.maximum, a, b, rules)

    def minimum(self, a: Any, b: Any) -> Any:
        """The smaller operand has the slope 1."""
        return -self.maximum(-a, -b)

    def hull(self, a: Any, b: Any) -> Any:
        """An enclosure of both, with the hull of their slopes."""
        xp = self.below
        either = xp.hull(xp.number(0), xp.number(1))
        rules = (lambda g, x, y: g * either, lambda g, x, y: g * (1 - either))
        return self.binary(xp.hull, a, b, rules)

    def where(self, mask: Any, a: Any, b: Any) -> Any:
        """The chosen operand has the slope 1."""
        where, zero = self.below.where, self.below.number(0)
        rules = (lambda g, x, y: where(mask, g, zero), lambda g, x, y: where(mask, zero, g))
        return self.binary(lambda x, y: where(mask, x, y), a, b, rules)

    def step(self, x: Any) -> Any:
        """Constant but for its jump."""
        return self.below.step(self.value_of(x))

    def by_sign(self, x: Any, nonnegative: Function, negative: Function) -> Any:
        """Each entry has the slope of its branch; at 0, and in balls around it, of both."""
        x = self.constant(x)
        first = self.below.step(x.value)  # the slope of the first branch
        if not x.shape:
            return self._by_sign_of_one(x, first, nonnegative, negative)
        result = self.zeros(x.shape)
        decided = np.zeros(x.shape, dtype=bool)
        for slope, branch in ((1, nonnegative), (0, negative)):
            mask = np.asarray(first == slope, dtype=bool)
            if mask.any():
                result = self.put(result, mask, branch(x[mask]))
            decided |= mask
        for index in zip(*np.nonzero(~decided), strict=True):
            piece = self._by_sign_of_one(x[index], first[index], nonnegative, negative)
            result = self.put(result, index, piece)
        return result

    def _by_sign_of_one(self, x: Any, first: Any, nonnegative: Function, negative: Function) -> Any:
        if first == 1:
            return nonnegative(x)
        if first == 0:
            return negative(x)
        a, b = nonnegative(x), negative(x)
        value = self.below.by_sign(
            self.value_of(x), lambda _: self.value_of(a), lambda _: self.value_of(b)
        )
        return self.record(value, (a, lambda g: g * first), (b, lambda g: g * (1 - first)))

    # --- numbers and arrays ---

    @property
    def pi(self) -> Any:
        """The number pi of the arithmetic below."""
        return self.below.pi

    @property
    def dtype(self) -> Any:
        """That of arrays in the arithmetic below."""
        return self.below.dtype

    def number(self, value: Any) -> Any:
        """A variable as it is, else a number of the arithmetic below."""
        return value if self.holds(value) else self.below.number(value)

    def array(self, values: Any) -> Any:
        """A variable as it is, else an array of the arithmetic below."""
        return values if self.holds(values) else self.below.array(values)

    def vector(self, values: Any) -> Any:
        """A vector of variables, or of exact values."""
        gathered = self._gathered(values if self.holds(values) else list(values))
        return gathered if self.holds(gathered) else self.below.vector(gathered)

    def counts(self, n: int) -> Any:
        """The vector 1, 2, ..., n."""
        return self.below.counts(n)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """An array of zeros."""
        return self.below.zeros(shape)

    def broadcast(self, a: Any, shape: tuple[int, ...]) -> Any:
        """Every repetition has the slope 1."""
        x = self.value_of(a)
        return self.record(
            self.below.broadcast(x, shape), (a, lambda g: self._folded(g, np.shape(x)))
        )

    def expand_dims(self, a: Any, axis: int) -> Any:
        """The entries keep their slopes."""
        xp = self.below
        return self.record(xp.expand_dims(self.value_of(a), axis), (a, lambda g: xp.sum(g, axis)))

    def scatter(self, shape: tuple[int, ...], index: Any, values: Any) -> Any:
        """The adjoint of an index, and its adjoint is the index."""
        x = self.value_of(values)
        return self.record(
            self.below.scatter(shape, index, x),
            (values, lambda g: self._folded(g[index], np.shape(x))),
        )

    def put(self, a: Any, index: Any, value: Any) -> Any:
        """Entries that are replaced have the slope 0, and the new ones 1."""
        xp, x, y = self.below, self.value_of(a), self.value_of(value)
        return self.record(
            xp.put(x, index, y),
            (a, lambda g: xp.put(g, index, xp.number(0))),
            (value, lambda g: self._folded(g[index], np.shape(y))),
        )

    def stack(self, items: Sequence[Any]) -> Any:
        """Item k has the cotangents of row k."""
        rows = [(item, lambda g, k=k: g[k]) for k, item in enumerate(items)]
        return self.record(self.below.stack([self.value_of(item) for item in items]), *rows)

    def concatenate(self, arrays: Sequence[Any]) -> Any:
        """Each array has the cotangents of its part."""
        ends = np.cumsum([0, *(len(a) for a in arrays)]).tolist()
        parts = [
            (a, lambda g, part=slice(start, stop): g[part])
            for a, start, stop in zip(arrays, ends[:-1], ends[1:], strict=True)
        ]
        return self.record(self.below.concatenate([self.value_of(a) for a in arrays]), *parts)

    def _gathered(self, items: Any) -> Any:
        """A list of items, some of which are variables, as one array."""
        if isinstance(items, list | tuple) and any(self.holds(v) for v in items):
            return self.stack([self.number(item) for item in items])
        return items
