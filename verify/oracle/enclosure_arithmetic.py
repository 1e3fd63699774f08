"""The arithmetic xp of numbers v +- d in binary64, over the proven exponential of the kernels.

Nothing is assumed of a library's functions.  All are made from two: the square root, which IEEE 754
rounds correctly, and the exponential of ``kernels.arithmetic.exp.exp_pair``, m 2^n with m right
within 1.9 h, h = 2^-53.  Its proof counts each addition and multiplication on its own, as NumPy
does them; so what is run here on arrays is that function as it is written, not compiled.

* exp: |e^x - e^v| <= e^v (e^d - 1) <= e^v (d + d^2) for |x - v| <= d <= 1; unknown for d > 1.
* log: y, which NumPy gives, is only a guess.  With v = f 2^k, f in [1/2, 1), and e^-y = m 2^n, the
  product q = f m 2^(k + n) is v e^-y within 3 h (1.9 of m, 1 of the product), and q - 1 is exact
  for q in [1/2, 2].  So log v = y + log(1 + t), |t| <= |q - 1| + 3 h = T, and |log(1 + t)| <= T /
  (1 - T); unknown if T > 2^-20.  For |x - v| <= d: |log x - log v| <= -log(1 - d / v) <= R / (1 -
  R), R = d / v.  The error is absolute: log 1 alone is exact.
* exp of what is surely below -FARTHEST is in (0, LOST).
* sqrt: |sqrt x - sqrt v| = |x - v| / (sqrt x + sqrt v) <= d / sqrt v, and h sqrt v.
* The maximum, the sorted vector, the modulus and the positive part are 1-Lipschitz in the maximum
  norm.  Of a maximum, only entries that may be the largest count.
* All others are composed of these.

What is not here (erf, trigonometric functions, roots of equations, linear systems) raises
``NotEnclosed``, and so does a choice that v +- d does not decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.arithmetic import NoValue
from ...derivations.running_error.arrays import Arrays
from ...derivations.running_error.constants import quiet
from ...kernels.arithmetic.exp import exp_pair
from .enclosed_products import dot
from .enclosures import (
    LOST,
    UP,
    Enclosure,
    H,
    NotEnclosed,
    enclosed,
    surely_positive,
    total,
)

EXP_ERROR = 1.9 * H  # of ``exp_pair``
FARTHEST = 1000.0  # e^x for |x| beyond is out of the range of binary64
MOST_PAIRS = 1 << 16  # of entries that are compared with one another

# As it is written, on arrays; ``exp_pair`` is that function itself where Numba is switched off.
_exp_pair: Callable[[Any, float], Any] = getattr(exp_pair, "py_func", exp_pair)


class EnclosureArithmetic(Arrays[Enclosure]):
    """What a formula may use, over ``Enclosure``; the functions are those of every arithmetic.

    >>> xp = EnclosureArithmetic()
    >>> p = xp.softmax(xp.array([0.0, 0.0, 0.0]))
    >>> p.value.tolist(), bool((p.radius < 2.0**-52).all())
    ([0.3333333333333333, 0.3333333333333333, 0.3333333333333333], True)
    """

    name = "enclosures in binary64"
    symbolic = False

    def number(self, exact: Any) -> Enclosure:
        """An exact number, or an array of them; an enclosure is kept."""
        return enclosed(exact)

    def combine(self, function: Callable[..., Any], numbers: Sequence[Enclosure]) -> Enclosure:
        """The number each part of which is a function of these parts of others."""
        return Enclosure(
            function(*(x.value for x in numbers)), function(*(x.radius for x in numbers))
        )

    @property
    def pi(self) -> Enclosure:
        """The number pi, enclosed by its nearest number."""
        return Enclosure(math.pi, 2.0**-52)

    # --- elementary functions ---

    def exp(self, x: Any) -> Enclosure:
        """The exponential e^x, by ``exp_pair``."""
        x = enclosed(x)
        with quiet():
            significand, exponent = _exp_pair(np.clip(x.value, -FARTHEST, FARTHEST), 0.0)
            value = np.ldexp(significand, exponent.astype(np.int64))
            grown = x.radius * (1 + x.radius)
            radius = (value * (EXP_ERROR + grown * (1 + 2 * EXP_ERROR)) + LOST) * UP
            radius = np.where((x.radius == 0) & (x.value == 0), 0.0, radius)
            radius = np.where(x.radius <= 1, radius, np.inf)
            return Enclosure(value, np.where(x.value + x.radius < -FARTHEST, LOST, radius))

    def expm1(self, x: Any) -> Enclosure:
        """The difference e^x - 1, as it stands."""
        return self.exp(x) - 1

    def log(self, x: Any) -> Enclosure:
        """The natural logarithm, by a guess and the exponential."""
        x = enclosed(x)
        with quiet():
            y = np.log(x.value)
            fraction, power = np.frexp(x.value)
            significand, exponent = _exp_pair(np.where(np.isfinite(y), -y, 0.0), 0.0)
            q = np.ldexp(fraction * significand, power + exponent.astype(np.int64))
            off = np.abs(q - 1) + 3 * H
            off = np.where(off <= 2.0**-20, off / (1 - off), np.inf)
            ratio = x.radius / x.value * UP
            moved = np.where(ratio < 0.5, ratio / (1 - ratio), np.inf)
            radius = np.where((x.radius == 0) & (x.value == 1), 0.0, (off + moved) * UP)
            return Enclosure(y, np.where(x.value > 0, radius, np.inf))

    def log1p(self, x: Any) -> Enclosure:
        """The logarithm log(1 + x), as it stands."""
        return self.log(1 + enclosed(x))

    def sqrt(self, x: Any) -> Enclosure:
        """The square root, which IEEE 754 rounds correctly."""
        x = enclosed(x)
        with quiet():
            root = np.sqrt(x.value)
            moved = np.where(x.radius > 0, x.radius / root * (1 + 2.0**-50), 0.0)
            exact = (root.astype(np.float32) == root) & (root * root == x.value)  # a short root
            lost = np.where(exact, 0.0, H * root)
            radius = np.where((x.value == 0) & (x.radius > 0), np.inf, moved + lost)
            return Enclosure(root, np.where(x.value >= x.radius, radius * UP, np.inf))

    def rsqrt(self, x: Any) -> Enclosure:
        """The reciprocal root 1 / sqrt(x), as it stands."""
        return 1 / self.sqrt(x)

    def pow(self, x: Any, y: Any) -> Enclosure:
        """The power x^y = e^(y log x), for x > 0."""
        return self.exp(enclosed(y) * self.log(x))

    def sigmoid(self, x: Any) -> Enclosure:
        """The sigmoid 1 / (1 + e^-x), by e^-|x|."""
        x = enclosed(x)
        small = self.exp(-abs(x))
        return self.where(x.value < 0, small, enclosed(1.0)) / (1 + small)

    def softplus(self, x: Any) -> Enclosure:
        """Softplus log(1 + e^x), as max(x, 0) + log(1 + e^-|x|)."""
        x = enclosed(x)
        return self.positive_part(x) + self.log1p(self.exp(-abs(x)))

    def tanh(self, x: Any) -> Enclosure:
        """The tangent (1 - e^-2|x|) / (1 + e^-2|x|), with the sign of x."""
        x = enclosed(x)
        small = self.exp(-2 * abs(x))
        size = (1 - small) / (1 + small)
        return self.where(x.value < 0, -size, size)

    def abs(self, x: Any) -> Enclosure:
        """The modulus, element by element."""
        return abs(enclosed(x))

    def rounded(self, x: Any) -> Enclosure:
        """The number x itself, as the exact value is meant."""
        return enclosed(x)

    # --- sums and products ---

    def sum(self, terms: Any, axis: int | None = None) -> Enclosure:
        """The sum over an axis, or of all."""
        x = self.array(terms)
        if axis is None:
            return total(x.map(lambda part: part.reshape(-1)), 0)
        return total(x, axis)

    def mean(self, terms: Any, axis: int | None = None) -> Enclosure:
        """The mean over an axis, or of all."""
        x = self.array(terms)
        return self.sum(x, axis) / (x.size if axis is None else x.shape[axis])

    def cumsum(self, terms: Any) -> Enclosure:
        """The partial sums of the last axis, one term after the other."""
        x = self.array(terms)
        sums = [x[..., 0]] if x.shape[-1] else []
        for k in range(1, x.shape[-1]):
            sums.append(sums[-1] + x[..., k])
        if not sums:
            return x
        return self.combine(lambda *parts: np.stack(parts, axis=-1), sums)

    def dot(self, a: Any, b: Any) -> Enclosure:
        """The product of vectors and matrices, in all combinations."""
        return dot(self.array(a), self.array(b))

    def outer(self, a: Any, b: Any) -> Enclosure:
        """All products of the entries of two vectors."""
        return self.array(a)[:, None] * self.array(b)[None, :]

    # --- the largest, order, pieces ---

    def max(self, values: Any, axis: int | None = None) -> Enclosure:
        """The largest over an axis, or of all."""
        x = self.array(values)
        lowest = (x.value - x.radius) - (np.abs(x.value) + x.radius) * 2.0**-50
        highest = (x.value + x.radius) + (np.abs(x.value) + x.radius) * 2.0**-50
        may_be = highest >= np.max(lowest, axis=axis, keepdims=True)
        radius = np.max(np.where(may_be, x.radius, 0.0), axis=axis)
        return Enclosure(np.max(x.value, axis=axis), radius)

    def min(self, values: Any, axis: int | None = None) -> Enclosure:
        """The least over an axis, or of all."""
        return -self.max(-self.array(values), axis)

    def maximum(self, a: Any, b: Any) -> Enclosure:
        """The larger of two, element by element."""
        x, y = enclosed(a), enclosed(b)
        difference = x - y
        first = difference.value > difference.radius
        second = -difference.value > difference.radius
        either = np.maximum(x.radius, y.radius)
        radius = np.where(first, x.radius, np.where(second, y.radius, either))
        return Enclosure(np.maximum(x.value, y.value), radius)

    def minimum(self, a: Any, b: Any) -> Enclosure:
        """The smaller of two, element by element."""
        return -self.maximum(-enclosed(a), -enclosed(b))

    def positive_part(self, x: Any) -> Enclosure:
        """The larger of x and 0."""
        return self.maximum(x, 0.0)

    def descending(self, z: Any) -> Enclosure:
        """The entries of a vector sorted, the largest first: each off by the largest d."""
        x = self.array(z)
        widest = np.max(x.radius, axis=-1, keepdims=True)
        return Enclosure(-np.sort(-x.value, axis=-1), np.broadcast_to(widest, x.shape))

    def ranks(self, z: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The places of the entries in descending order, where no two may be equal."""
        x = self.array(z)
        if x.size > 1:
            ordered = np.argsort(-x.value, kind="stable")
            surely_positive(x[ordered[:-1]] - x[ordered[1:]])
            if (np.diff(x.value[ordered]) == 0).any():
                raise NotEnclosed("two entries are equal: their places are not decided")
        else:
            ordered = np.arange(x.size)
        places = np.empty(x.size, dtype=np.intp)
        places[ordered] = np.arange(x.size)
        return places, places

    def largest(self, z: Any, count: int) -> NDArray[np.intp]:
        """The indices of the largest entries, so many, where no two entries may be equal."""
        return np.argsort(self.ranks(z)[0])[:count]

    def shifted(self, z: Any) -> Enclosure:
        """z less one of its entries, the largest v, of which the result does not depend.

        (Whatever that entry is, its own difference is exactly 0.)
        """
        x = self.array(z)
        if not np.shape(x.value)[-1]:
            raise NoValue("the largest of no values: give one at least")
        top = _first_largest(x)
        difference = x - x.map(lambda part: np.max(np.where(top, part, -np.inf), -1, keepdims=True))
        return self.where(top & np.isfinite(difference.radius), 0.0, difference)

    def softmax(self, z: Any) -> Enclosure:
        """Probabilities e^z_i / sum_k e^z_k along the last axis.

        With S the sum of e^(z_k - z_t) over all k but t, the largest v, they are e^(z_i - z_t) / (1
        + S), and p_t = 1 - S / (1 + S), which is nearly exact where S is small.
        """
        x = self.array(z)
        e, top = self.exp(self.shifted(x)), _first_largest(x)
        others = self.expand_dims(self.sum(self.where(top, 0.0, e), axis=-1), -1)
        p, rest = e / (1 + others), others / (1 + others)
        return self.where(top & (others.value < 1) & np.isfinite(e.radius), 1 - rest, p)

    def centred(self, p: Any, g: Any) -> Enclosure:
        """g - <p, g> along the last axis, for probabilities p, as sum_j p_j (g_k - g_j).

        So nothing cancels where a probability is nearly 1, or is 1 and all others are 0.
        """
        weights, x = self.array(p), self.array(g)
        count = x.shape[-1]
        if x.size * count > MOST_PAIRS:
            return x - self.expand_dims(self.sum(weights * x, -1), -1)
        apart = x[..., :, None] - x[..., None, :]
        same = np.eye(count, dtype=np.bool_) & np.isfinite(apart.radius)
        return self.sum(weights[..., None, :] * self.where(same, 0.0, apart), -1)

    def logsumexp(self, z: Any) -> Enclosure:
        """The logarithm of the sum of exponentials along the last axis, by an exact number."""
        x = self.array(z)
        if not np.shape(x.value)[-1]:
            raise NoValue("the largest of no values: give one at least")
        top = enclosed(np.max(x.value, axis=-1))
        return top + self.log(self.sum(self.exp(x - self.expand_dims(top, -1)), -1))

    def weighted_mean(self, scores: Any, values: Any) -> Enclosure:
        """The mean of values, weighted by the softmax of scores."""
        return self.dot(self.softmax(scores), values)

    def step(self, x: Any) -> Enclosure:
        """1 where x > 0 and 0 where x < 0; nothing is known at 0."""
        number = enclosed(x)
        decided = np.abs(number.value) > number.radius
        return Enclosure(np.where(number.value > 0, 1.0, 0.0), np.where(decided, 0.0, 1.0))

    def hull(self, a: Any, b: Any) -> NoReturn:
        """Of two numbers: what rounds to no one number of a format."""
        raise NotEnclosed("one of two numbers is meant, and it is not known which")

    def by_sign(self, x: Any, nonnegative: Any, negative: Any) -> Enclosure:
        """``nonnegative(x)`` where x >= 0 and ``negative(x)`` elsewhere."""
        number = enclosed(x)
        below = np.asarray(surely_positive(-number))
        if not below.any():
            return enclosed(nonnegative(number))
        if below.all():
            return enclosed(negative(number))
        right = self.put(number, below, 0.0)
        left = self.put(number, ~below, -1.0)
        found: Enclosure = self.where(below, negative(left), nonnegative(right))
        return found

    def __getattr__(self, name: str) -> NoReturn:
        raise NotEnclosed(f"{name} is not among what is enclosed in binary64")


def _first_largest(x: Enclosure) -> NDArray[np.bool_]:
    """Where the largest v of each row along the last axis is; of equals, the first."""
    places = np.argmax(x.value, axis=-1)
    return np.asarray(np.arange(x.shape[-1]) == np.expand_dims(places, -1))
