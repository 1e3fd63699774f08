"""The class of conforming implementations: every rounding that one may make, as a value.

What is proven of a formula in ``running_error`` is proven for every implementation in such a class:

* One operation + - * / has relative error at most u, the unit roundoff of the operations' format; a
  quotient ``division`` u, a square root u, 1 / sqrt ``roots`` u, and any other elementary function
  c u, c = ``elementary``.  (Sigmoid, softplus and the Gaussian functions are made of several, which
  their docstrings count.  Who fuses, uses a wider format or compensates errs less, and conforms.)
* Below the normal range an operation is off by half a smallest subnormal more, and an elementary
  function, as c u is c / 2 ulp, by c / 2 of them.  If ``flushes``, results and inputs below it may
  become 0.
* A sum of n terms is a tree of additions in the accumulator, of the height that
  ``error_bounds.model`` proves for its order; a product inside a sum is rounded in it as well.  A
  sum, or a mean, of one number is that number.
* A constant is rounded, unless the format holds it.
* Nothing may exceed the largest number of its format: of an implementation that may overflow
  nothing is known.
* The result is rounded once more where its format is narrower than that of the operations.

The further options describe what known kernels do otherwise; each makes the class larger:

* ``exponent_argument``: exp(x) as 2^(x log2(e)) or the like, off by so many u |x| in the argument.
* ``absolute``: log, log1p, expm1, tanh, sigmoid and softplus may be off by so many u besides.
* ``online_block``: softmax in blocks of so many scores, rescaled when the maximum grows.
* ``from_logsumexp``: softmax also as exp(z - L), L = max + log(sum), computed before.
* ``operands``: the format that operands of matrix products are rounded to, such as tfloat32, or
  bfloat16 for the weights of attention.
* ``stored_scores``: the scores of a softmax are rounded to the result's format before.
* ``stored_softmax``: probabilities are rounded to the result's format before they are used.
* ``faithful_sums``, ``faithful_result``: additions, or the rounding of the result, are only
  faithful: off by less than a whole ulp, as truncation and stochastic rounding are.
* ``stored_forward``: what the backward pass reads of the forward pass (the output of attention,
  probabilities, means and roots of a norm) has been rounded to the result's format, and so is what
  it makes of means and roots again; the output of attention may replace the inner product of
  probabilities and their cotangents.

What no option describes is found out, such as exponentials that overflow inside of a sigmoid.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arithmetic.formats import ALL_FORMATS, Format
from ..error_bounds.model import ELEMENTARY, SUMMATIONS, additions, elementary_of

ROOTS = 4.0  # 1 / sqrt(x) as an instruction with a Newton step, or as a quotient of a root


@dataclass(frozen=True)
class Model:
    """What a conforming implementation may do; see the module.

    Parameters
    ----------
    operations, accumulator, result
        The formats of the operations, of sums, and of what is returned.
    summation
        The order of additions, one of SUMMATIONS: "blocked", "pairwise" or "any".
    elementary, roots, division
        Relative errors of elementary functions, of 1 / sqrt and of quotients, in u.
    exponent_argument, absolute
        The relative error of the argument of exp, and an absolute error of functions, in u.
    flushes
        Whether subnormal numbers may become 0.
    online_block
        Scores in a block of an online softmax; 0: it is not computed online.
    from_logsumexp, stored_scores, stored_softmax
        How probabilities may be computed, and whether scores, or they, are stored.
    operands
        The format of operands of matrix products; None: that of the operations.
    stored_forward
        Whether a backward pass reads numbers of the forward pass as they are stored.
    faithful_sums, faithful_result
        Whether additions, or the result, may be rounded otherwise than to nearest.

    Raises
    ------
    ValueError
        The order of summation is none of SUMMATIONS.
    """

    operations: Format
    accumulator: Format
    result: Format
    summation: str = "any"
    elementary: float = ELEMENTARY
    roots: float = ROOTS
    division: float = 1.0
    exponent_argument: float = 0.0
    absolute: float = 0.0
    flushes: bool = False
    online_block: int = 0
    from_logsumexp: bool = False
    stored_scores: bool = False
    stored_softmax: bool = False
    operands: Format | None = None
    faithful_sums: bool = False
    faithful_result: bool = False
    stored_forward: bool = False

    def __post_init__(self) -> None:
        if self.summation not in SUMMATIONS:
            raise ValueError(
                f"summation is {self.summation!r}; use one of: {', '.join(SUMMATIONS)}"
            )

    @classmethod
    def of(
        cls,
        fmt: Format,
        accumulator: str = "float32",
        arithmetic: str = "input",
        **options: Any,
    ) -> Model:
        """The class for a format, with the words of a contract.

        Parameters
        ----------
        fmt
            The format of inputs and results.
        accumulator, arithmetic
            The formats of sums and of operations: "input", or the name of one; never of fewer bits
            than ``fmt``.
        **options
            The further fields of the class.

        Functions in a format of eight bits are computed in a wider one and rounded: ``elementary``
        2 there, where it is not given.

        >>> from ..arithmetic.formats import BFLOAT16
        >>> model = Model.of(BFLOAT16, arithmetic="float32", summation="blocked")
        >>> model.operations.name, model.accumulator.name, model.result.name
        ('float32', 'float32', 'bfloat16')
        """
        sums, between = (
            min((fmt, fmt if name == "input" else ALL_FORMATS[name]), key=unit_roundoff)
            for name in (accumulator, arithmetic)
        )
        options.setdefault("elementary", elementary_of(between))
        return cls(between, sums, fmt, **options)

    @functools.cached_property
    def u(self) -> float:
        """Unit roundoff of an operation."""
        return unit_roundoff(self.operations)

    @functools.cached_property
    def v(self) -> float:
        """Relative error of an addition in the accumulator: its unit roundoff, or twice that."""
        return unit_roundoff(self.accumulator) * (2 if self.faithful_sums else 1)

    @functools.cached_property
    def converts_sums(self) -> bool:
        """Whether a sum is rounded from a wider accumulator to the format of the operations."""
        return unit_roundoff(self.accumulator) < self.u

    @functools.cached_property
    def half_subnormal(self) -> float:
        """The absolute error of an operation below the normal range."""
        return underflow(self.operations, 0.5, self.flushes)

    @functools.cached_property
    def function_underflow(self) -> float:
        """The absolute error of an elementary function below the normal range: c / 2 ulp there."""
        return underflow(self.operations, self.elementary / 2, self.flushes)

    @functools.cached_property
    def product_underflow(self) -> float:
        """The absolute error of a product in the accumulator below the normal range."""
        return underflow(self.accumulator, 0.5, self.flushes)

    @functools.cached_property
    def flushed(self) -> float:
        """What becomes 0 at most: the smallest normal number, or nothing."""
        return 2.0**self.operations.emin if self.flushes else 0.0

    @functools.cached_property
    def flushed_addition(self) -> float:
        """What an addition in the accumulator may lose below its normal range."""
        return 2.0**self.accumulator.emin if self.flushes else 0.0

    def heights(self, terms: Any, nonzero: Any) -> Any:
        """The additions on the longest path of a sum, where only so many terms are not exact zeros.

        Adding an exact 0 rounds nothing, so a term is rounded at most once for every other term
        that is not 0.  In an accumulator narrower than the operations each term is rounded first.

        >>> from ..arithmetic.formats import BINARY32
        >>> int(Model.of(BINARY32).heights(5, 3))
        2
        """
        narrow = unit_roundoff(self.accumulator) > self.u
        sums = np.minimum(additions(self.summation, terms), np.maximum(nonzero, 1) - 1)
        return sums + (np.minimum(nonzero, 1) if narrow else 0)


def unit_roundoff(fmt: Format) -> float:
    """The unit roundoff u = 2^-p of a format with p significant bits, as a float.

    Parameters
    ----------
    fmt
        The format.

    Returns
    -------
    float
        Exact.
    """
    return 2.0**-fmt.precision


def largest(fmt: Format) -> float:
    """The largest finite number of a format.

    Parameters
    ----------
    fmt
        The format.

    Returns
    -------
    float
        Exact.

    >>> from ..arithmetic.formats import BINARY16
    >>> largest(BINARY16)
    65504.0
    """
    return fmt.largest


def underflow(fmt: Format, subnormals: float, flushes: bool) -> float:
    """What an operation may lose below the normal range of a format.

    Parameters
    ----------
    fmt
        The format.
    subnormals
        By how many of the smallest subnormals a result there is off.
    flushes
        Whether such a result may become 0 instead.

    Returns
    -------
    float
        So many subnormals; the smallest normal number if it flushes.
    """
    gradual = max(subnormals * 2.0**fmt.tiny_exponent, 2.0**-1074)
    return max(gradual, 2.0**fmt.emin) if flushes else gradual


def rounded_to(fmt: Format, values: Any) -> Any:
    """Binary64 numbers rounded to nearest even in a format; infinite beyond its largest number.

    Parameters
    ----------
    fmt
        The format, of at most 53 significant bits.
    values
        Numbers or an array of them; infinities and NaN are left as they are.

    Returns
    -------
    numpy.ndarray
        Numbers of the format, in binary64.  (By scaling with powers of two, which is exact: in two
        halves, as 2^-q itself may overflow.)

    >>> from ..arithmetic.formats import BFLOAT16
    >>> rounded_to(BFLOAT16, [1 + 2.0**-8, 1 + 3 * 2.0**-8, 1e39]).tolist()
    [1.0, 1.015625, inf]
    """
    x = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(x)
    exponent = np.frexp(np.where(finite, x, 0.0))[1]
    q = np.maximum(exponent - fmt.precision, fmt.tiny_exponent)
    half = q // 2
    with np.errstate(all="ignore"):
        y = np.ldexp(np.ldexp(np.rint(np.ldexp(np.ldexp(x, -half), half - q)), q - half), half)
        y = np.where(np.abs(y) > largest(fmt), np.copysign(np.inf, y), y)
    return np.where(finite, y, x)
