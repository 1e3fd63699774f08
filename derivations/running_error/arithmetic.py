"""The arithmetic xp of numbers with running errors: a definition's formula, evaluated in bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import elementary, equations, gaussians, order, sigmoids, sums, trigonometric
from .arrays import Arrays
from .constants import H
from .model import Model
from .numbers import RunningNumber, as_number, finish, of_radii, rounded, without_nan
from .softmax import logsumexp, softmax
from .storage import either, kept


class RunningErrorArithmetic(Arrays[RunningNumber]):
    """What a formula may use, over ``RunningNumber``; the functions are those of every arithmetic.

    Exact numbers become numbers of this system by ``number`` and ``array``.  The rules and their
    proofs stand in ``numbers``, ``elementary``, ``sigmoids``, ``gaussians``, ``trigonometric``,
    ``sums``, ``order``, ``equations`` and ``softmax``.

    >>> from ..arithmetic.formats import BINARY32
    >>> xp = RunningErrorArithmetic(Model.of(BINARY32))
    >>> y = xp.exp(xp.array([0.0, -1.0]))
    >>> (y.error / 2.0**-24).round(2).tolist()
    [8.0, 2.94]
    """

    name = "running errors"
    symbolic = False

    exp = staticmethod(elementary.exp)
    expm1 = staticmethod(elementary.expm1)
    log = staticmethod(elementary.log)
    log1p = staticmethod(elementary.log1p)
    sqrt = staticmethod(elementary.sqrt)
    rsqrt = staticmethod(elementary.rsqrt)
    pow = staticmethod(elementary.pow)
    tanh = staticmethod(sigmoids.tanh)
    sigmoid = staticmethod(sigmoids.sigmoid)
    softplus = staticmethod(sigmoids.softplus)
    erf = staticmethod(gaussians.erf)
    normal_cdf = staticmethod(gaussians.normal_cdf)
    normal_pdf = staticmethod(gaussians.normal_pdf)
    scaled_cylinder = staticmethod(gaussians.scaled_cylinder)
    sin = staticmethod(trigonometric.sin)
    cos = staticmethod(trigonometric.cos)
    atan = staticmethod(trigonometric.atan)
    acos = staticmethod(trigonometric.acos)
    abs = staticmethod(order.abs)
    positive_part = staticmethod(order.positive_part)
    descending = staticmethod(order.descending)
    shifted = staticmethod(order.shifted)
    softmax = staticmethod(softmax)
    logsumexp = staticmethod(logsumexp)
    by_sign = staticmethod(order.by_sign)
    hull = staticmethod(order.hull)
    step = staticmethod(order.step)
    ranks = staticmethod(order.ranks)
    largest = staticmethod(order.largest)

    def __init__(self, model: Model):
        self.model = model

    def number(self, exact: Any) -> RunningNumber:
        """An exact number, rounded to the operations' format unless that holds it."""
        return as_number(self.model, exact)

    def zeros(self, shape: int | tuple[int, ...]) -> RunningNumber:
        """An array of exact zeros, which every format holds."""
        zero = np.zeros(shape)
        return without_nan(self.model, zero, zero, zero, zero)

    def rounded(self, x: Any) -> RunningNumber:
        """x with one more rounding: off by u |x| more, and by half a subnormal."""
        number = as_number(self.model, x)
        underflow = self.model.half_subnormal
        return rounded(self.model, *number.parts(), underflow=underflow, evaluation=0.0)

    @property
    def stores_forward(self) -> bool:
        """Whether a backward pass reads numbers of the forward pass as they are stored."""
        return self.model.stored_forward

    def kept(self, x: Any) -> Any:
        """A number of the forward pass as the backward pass reads it; constants as they are."""
        return kept(x) if isinstance(x, RunningNumber) else x

    def inner_of_weights(self, p: Any, v: Any, dp: Any, g: Any, y: Any) -> RunningNumber:
        """<p, dp> for dp = v g and y = p v; from the output y, where that is stored, as <g, y>.

        sum_j p_j sum_e v_je g_e = sum_e g_e y_e: both have one exact value and one reference.
        """
        inner = self.dot(p, dp)
        if not self.model.stored_forward:
            return inner
        return either(inner, self.dot(self.array(g), kept(y)) if np.ndim(v) == 2 else g * kept(y))

    def weighted_mean(self, scores: Any, v: Any) -> RunningNumber:
        """The sum of rows v_j with the softmax of the scores as weights."""
        return self.dot(self.softmax(scores), v)

    def broadcast(self, a: Any, shape: tuple[int, ...]) -> RunningNumber:
        """The array repeated to a shape; of c / sum e^z it is known what it is."""
        found = super().broadcast(a, shape)
        if isinstance(a, RunningNumber):
            found.over_sum = a.over_sum
        return found

    def combine(
        self, function: Callable[..., Any], numbers: Sequence[RunningNumber]
    ) -> RunningNumber:
        """The number each part of which is a function of these parts of others."""
        v, error = (function(*(getattr(x, part) for x in numbers)) for part in ("value", "error"))
        return without_nan(self.model, v, *of_radii(function, *numbers), error)

    @property
    def pi(self) -> RunningNumber:
        """The number pi, rounded."""
        off = math.pi * H
        rounding = off + self.model.u * math.pi
        return finish(self.model, math.pi, off, off, rounding)

    def sum(self, terms: Any, axis: int | None = None) -> RunningNumber:
        """The sum over an axis, or of all."""
        return sums.sum(self.model, terms, axis)

    def mean(self, terms: Any, axis: int | None = None) -> RunningNumber:
        """The mean over an axis, or of all."""
        return sums.mean(self.model, terms, axis)

    def cumsum(self, terms: Any) -> RunningNumber:
        """The partial sums of the last axis."""
        return sums.cumsum(self.model, self.array(terms))

    def dot(self, a: Any, b: Any) -> RunningNumber:
        """The product of vectors and matrices."""
        return sums.dot(self.model, self.array(a), self.array(b))

    def outer(self, a: Any, b: Any) -> RunningNumber:
        """All products of the entries of two vectors."""
        return sums.outer(self.model, self.array(a), self.array(b))

    def root(self, f: Callable[[Any], Any], low: Any, high: Any) -> RunningNumber:
        """The zero of a function between two points."""
        return equations.root(self.model, lambda t: self.number(f(t)), low, high)

    def solve(self, a: Any, b: Any) -> RunningNumber:
        """The solution of linear equations."""
        return equations.solve(self.model, self.array(a), self.array(b))

    def singular(self, a: Any) -> tuple[RunningNumber, RunningNumber]:
        """Singular values and right vectors of a matrix not wider than high."""
        return equations.singular(self.model, self.array(a))

    def singular_values(self, a: Any) -> RunningNumber:
        """The singular values of a matrix, descending."""
        return self.singular(a if a.shape[0] >= a.shape[1] else a.T)[0]

    def max(self, values: Any, axis: int | None = None) -> RunningNumber:
        """The largest over an axis, or of all."""
        return order.max(self.array(values), axis)

    def min(self, values: Any, axis: int | None = None) -> RunningNumber:
        """The least over an axis, or of all."""
        return order.min(self.array(values), axis)

    def maximum(self, a: Any, b: Any) -> RunningNumber:
        """The larger of two, element by element."""
        return order.maximum(self.number(a), self.number(b))

    def minimum(self, a: Any, b: Any) -> RunningNumber:
        """The smaller of two, element by element."""
        return -order.maximum(-self.number(a), -self.number(b))
