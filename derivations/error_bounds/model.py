"""Proven a-priori rounding-error bounds: how far a good implementation may be from the truth.

Model (Higham 2002, Accuracy and Stability of Numerical Algorithms, sections 2.2 and 4.2).  One
operation + - * / has relative error at most u, the unit roundoff of the arithmetic between the
operations.  exp, log and log1p have relative error at most c u with c = ELEMENTARY.  Below the
normal range each result is off by at most UNDERFLOW smallest subnormals more.  No sum overflows.
Where the arithmetic is wider than the format, the result is rounded to the format once, at the end.

Sums.  A sum is a binary tree of additions with its terms at the leaves.  Each addition multiplies
what is below it by a factor 1 + e, |e| <= v, the unit roundoff of the accumulator.  So a term that
goes through h additions is multiplied by h such factors, and of terms of one sign the sum by a mean
of such products.  ``Model.additions`` is the largest h of n terms:

* ``any`` order, one by one included: n - 1.
* ``pairwise``: halves of n terms, and of them, have at most ceil(n / 2) terms, and so on: by
  induction h = ceil(log2(n)).
* ``blocked``: a term goes through at most min(n, b) - 1 additions of its block, b = BLOCK, whatever
  their order, and the sums of ceil(n / b) blocks are added pairwise: ceil(log2(ceil(n / b))) more.
  (Every tree that is no higher is admitted, such as NumPy's, whose blocks are of 64 to 128 terms in
  8 strands.)

Where the accumulator is wider than the arithmetic, the sum is rounded once more, by u; where it is
narrower, each term is rounded to it, by v.

Errors are bounded in the logarithm, so that no term of second order is dropped: a computed
x (1 + e), |e| <= k u <= c u, is x e^t with |t| <= [k] = k u / (1 - c u).  Exponents t add up, and
the relative error is at most e^t - 1.  ``Model.exponent`` is this sum.

Lemma (*).  m = max z, D_k = m - z_k.  The computed difference is D_k (1 + d), |d| <= u, as one
subtraction rounds once; so the computed exponential is e^(-D_k) e^t with |t| <= D_k u + [c].

Lemma (**).  A sum over e^(-D_k) e^(t_k), |t_k| <= D_k u, is the sum over e^(-D_k) times e^t with
|t| <= u mean(D), the mean taken with weights e^(-(1 - u) D_k).  Proof: g(b) = log sum e^(-b D_k)
is convex, with -g'(b) = mean_b(D), which falls with b.  Upwards, t <= g(1 - u) - g(1) <= u
mean_(1-u)(D).  Downwards, t >= -u mean_1(D) by Jensen's inequality, and mean_1 <= mean_(1-u).

Every bound is an absolute error for each output, in binary64.  Rows are columns here: logits are
(classes,) for one row or (classes, rows) for many, as NumPy is fast along the last axis, and a
label is an integer or one for each row.  Masked classes (-inf) take no part.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.formats import ALL_FORMATS, Format

ELEMENTARY = 8.0  # 4 ulp; who computes exp worse is outside of the class, and is found out
FAITHFUL = 2.0  # 1 ulp: what is computed in a wider format and rounded
LOGARITHM = 2.0  # 1 ulp of log S: with ELEMENTARY a quarter of 1000 classes could be lost
UNDERFLOW = 5.0  # 4 ulp of an exponential and half an ulp of a quotient, in smallest subnormals
SLACK = 1 + 2.0**-20  # for the rounding errors made in evaluating a bound
BLOCK = 128  # terms of a block of a blocked sum
SUMMATIONS = ("blocked", "pairwise", "any")

Vector = NDArray[np.float64]
Label = int | NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """The arithmetic of an implementation.

    Parameters
    ----------
    u, v
        Unit roundoffs of the operations, and of the accumulator of sums.
    underflow
        The absolute error of a result of an operation below the normal range.
    summation
        The order of additions, one of SUMMATIONS.
    elementary
        The relative error of exp, log and log1p, in u.
    result
        The format that results are rounded to at the end; None where the operations are in it.
    flushed
        The absolute error of a result of that format below its normal range, beside rounding.
    """

    u: float
    v: float
    underflow: float
    summation: str = "any"
    elementary: float = ELEMENTARY
    result: Format | None = None
    flushed: float = 0.0

    @classmethod
    @functools.cache  # asked for at every row
    def of(
        cls,
        fmt: Format,
        accumulator: str = "float32",
        flushes: bool = False,
        summation: str = "any",
        arithmetic: str = "input",
        elementary: float | None = None,
    ) -> Model:
        """The model of a format with an accumulator and an arithmetic between the operations.

        Both are "input" or the name of a format, and never of fewer bits than the format.
        Functions are within ``elementary`` u; None: what is usual there (``elementary_of``).

        >>> from ..arithmetic.formats import BFLOAT16
        >>> model = Model.of(BFLOAT16, arithmetic="float32")
        >>> model.u == 2.0**-24, model.result == BFLOAT16
        (True, True)
        """
        sums, between = (
            min((fmt, fmt if name == "input" else ALL_FORMATS[name]), key=_roundoff)
            for name in (accumulator, arithmetic)
        )
        smallest = max(f.emin if flushes else f.tiny_exponent for f in (sums, between))
        narrow = fmt if _roundoff(fmt) > _roundoff(between) else None
        return cls(
            _roundoff(between),
            _roundoff(sums),
            UNDERFLOW * 2.0**smallest,
            summation,
            elementary_of(between) if elementary is None else elementary,
            narrow,
            2.0**fmt.emin if narrow and flushes else 0.0,
        )

    def additions(self, terms: Any) -> Any:
        """How many additions a term of a sum of so many terms goes through at most.

        >>> [int(Model(0, 0, 0, s).additions(1000)) for s in SUMMATIONS]
        [130, 10, 999]
        """
        return additions(self.summation, terms)

    def exponent(self, units: Any, terms: Any = 1) -> Any:
        """[units] and a sum of so many terms: a bound on |log(computed / exact)|."""
        unit = self.u / (1 - self.elementary * self.u)
        summing = self.additions(terms) * (self.v / (1 - self.v))
        # Where both are the same, the sum is kept in the arithmetic, and nothing is converted.
        converted: Any = 0.0
        if self.v != self.u:
            converted = np.where(np.greater(terms, 1), max(self.v / (1 - self.v), unit), 0.0)
        return units * unit + summing + converted

    def rounded(self, value: Any, error: Any) -> Any:
        """The error of a result that is off by ``error`` before it is rounded to its format.

        That is half an ulp more, of the largest number that it can be: |value| + error.
        """
        if self.result is None:
            return error
        reach = np.maximum((np.abs(value) + error) * (1 + 2.0**-30), 2.0**self.result.emin)
        _, exponent = np.frexp(np.where(np.isfinite(reach), reach, 1.0))
        half = np.ldexp(0.5, exponent - self.result.precision)
        return np.where(np.isfinite(reach), error + half + self.flushed, np.inf)


def additions(summation: str, terms: Any) -> Any:
    """How many additions a term of a sum of so many terms, in that order, goes through at most.

    Parameters
    ----------
    summation
        The order, one of SUMMATIONS.
    terms
        How many terms there are: one integer, or an array of them.

    Returns
    -------
    int or numpy.ndarray
        The height of the tree of additions, as the module proves it; 0 for one term or none.

    >>> [int(additions(order, 1000)) for order in SUMMATIONS]
    [130, 10, 999]
    """
    count = np.maximum(terms, 1)
    if summation == "any":
        return count - 1
    if summation == "pairwise":
        return _ceil_log2(count)
    return np.minimum(count, BLOCK) - 1 + _ceil_log2(-(-count // BLOCK))


def elementary_of(fmt: Format) -> float:
    """The relative error of exp, log and the like in a format, in its unit roundoff.

    Nobody evaluates a polynomial in four bits: in a format of eight bits functions are computed in
    a wider one and rounded, so within an ulp.

    Parameters
    ----------
    fmt
        The format of the operations.

    Returns
    -------
    float
        ELEMENTARY, or FAITHFUL in eight bits.

    >>> from ..arithmetic.formats import BFLOAT16, FLOAT8_E5M2
    >>> elementary_of(BFLOAT16), elementary_of(FLOAT8_E5M2)
    (8.0, 2.0)
    """
    return FAITHFUL if fmt.dtype.itemsize == 1 else ELEMENTARY


def _roundoff(fmt: Format) -> float:
    return float(fmt.unit_roundoff)


def _ceil_log2(count: Any) -> Any:
    """ceil(log2(n)) of integers n >= 1, exactly: the bits of n - 1."""
    return np.frexp(np.asarray(count, dtype=np.float64) - 1)[1]


class Bound(NamedTuple):
    """|exact results| and their errors before they are rounded to a narrower format."""

    value: Vector
    error: Vector


class SharedError(NamedTuple):
    """Errors of the outputs of a row, apart into what all have in common and what each has.

    For some number t, the same for all outputs of a row, |t| <= ``common``, each output is within
    ``own`` of exact + t ``share``.
    """

    common: Vector
    share: Vector
    own: Vector


def rounded_sum(value: Any, error: Any, model: Model) -> Bound:
    """The bound of a sum that is off by `error` before its last addition rounds.

    Parameters
    ----------
    value
        The exact sum, at least 0.
    error
        The error of the sum without the last rounding.
    model
        The arithmetic.

    Returns
    -------
    Bound
        The sum, and its error.
    """
    error = error + model.u * (value + error) + model.underflow
    return Bound(np.asarray(value), np.asarray(error))
