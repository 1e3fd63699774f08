"""Mistakes of a size, in rows of some lengths: what is smaller is harder to see.

Each computes in binary64 and is right but for the one thing, and for rows of other lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[..., Array]
Lengths = Callable[[int], bool]

DEFINITIONS = ("softmax", "log_softmax", "logsumexp", "cross_entropy")
CLASSES = (2, 100, 1000, 100_000)


def around(classes: int) -> Lengths:
    """Return a test for lengths of about so many classes.

    Parameters
    ----------
    classes
        The number of classes.

    Returns
    -------
    predicate
        Whether a length is within a factor of two; 2 or 3 for 2.

    Examples
    --------
    >>> [n for n in range(1, 6) if around(2)(n)], around(1000)(501), around(1000)(2000)
    ([2, 3], True, False)
    """
    return lambda n: classes / 2 < n < 2 * classes and n > 1


@dataclass(frozen=True)
class Family:
    """A mistake with a size: the sizes, the gravest first, and what it makes of the computation.

    ``exponentials(e, d, size)`` and ``total(others, size)`` take the place of e = exp(d) and of the
    sum over the classes that do not lead.
    """

    name: str
    sizes: tuple[float, ...]
    exponentials: Callable[[Array, Array, float], Array] = lambda e, d, size: e
    total: Callable[[Array, float], Array] = lambda e, size: e.sum(axis=-1)

    def sizes_of(self, classes: int) -> tuple[float, ...]:
        """The sizes that rows of about so many classes can have: no more of them can be lost."""
        if self.total is not _without_the_last:
            return self.sizes
        return tuple(size for size in self.sizes if size < classes / 2 or size == 1)

    def planted(self, definition: str, size: float, wrong_at: Lengths) -> Function:
        """An implementation of a definition with the mistake, at the lengths that are named."""

        def implementation(x: Array, labels: Array | None = None) -> Array:
            wrong = wrong_at(x.shape[-1])
            return compute(
                definition,
                x,
                labels,
                (lambda e, d: self.exponentials(e, d, size)) if wrong else (lambda e, d: e),
                (lambda e: self.total(e, size)) if wrong else (lambda e: e.sum(axis=-1)),
            )

        return implementation


def compute(
    definition: str,
    x: Array,
    labels: Array | None,
    exponentials: Callable[[Array, Array], Array],
    total: Callable[[Array], Array],
) -> Array:
    """Compute one of DEFINITIONS by log1p of the sum over the classes that do not lead.

    Parameters
    ----------
    definition
        The name of the definition.
    x
        (rows, classes) logits.
    labels
        (rows,) labels of cross-entropy; None for the others.
    exponentials
        What is made of e = exp(d) and of d = x - max.
    total
        What stands for the sum over the classes that do not lead, given their exponentials.

    Returns
    -------
    numpy.ndarray
        The result, rounded from binary64 to the format of the logits.
    """
    wide = x.astype(np.float64)
    m = wide.max(axis=-1, keepdims=True, initial=-np.inf)
    d = wide - m
    e = exponentials(np.exp(d), d)
    others = e.copy()
    if x.shape[-1]:
        np.put_along_axis(others, wide.argmax(axis=-1)[:, None], 0, axis=-1)
    rest = total(others)[:, None] + 0 * m  # NaN where a contract governs
    if definition == "softmax":
        result = e / (1 + rest)
    elif definition == "log_softmax":
        result = d - np.log1p(rest)
    elif definition == "logsumexp":
        result = np.where(np.isinf(m), m, m + np.log1p(rest))[:, 0]
    else:
        assert labels is not None
        result = np.log1p(rest)[:, 0] - d[np.arange(len(x)), labels]
    return result.astype(x.dtype)


def _varying(e: Array, d: Array, size: float) -> Array:
    """Relative errors between -size and size: a constant factor would cancel."""
    return e * (1 + size * np.sin(37 * np.where(np.isfinite(d), d, 0)))


def _with_bits(e: Array, bits: float) -> Array:
    """Summed one by one, each partial sum rounded to so many bits."""
    total = np.zeros(len(e))
    for column in e.T:
        mantissa, exponent = np.frexp(total + column)
        total = np.ldexp(np.rint(np.ldexp(mantissa, int(bits))), exponent - int(bits))
    return total


def _without_the_last(e: Array, count: float) -> Array:
    return np.asarray(e[:, : -int(count)].sum(axis=-1))


POWERS = tuple(10.0**-k for k in range(1, 17))
FAMILIES = (
    Family("relative error of the exponential, varying", POWERS, exponentials=_varying),
    Family(
        "bits of the accumulator",
        (2, 4, 6, 8, 11, 14, 17, 20, 24, 28, 32, 40, 48),
        total=_with_bits,
    ),
    Family("added to the divisor", POWERS, total=lambda e, size: e.sum(axis=-1) + size),
    Family("sum scaled by 1 + ...", POWERS, total=lambda e, size: e.sum(axis=-1) * (1 + size)),
    Family("classes lost at the end", (64, 16, 4, 2, 1), total=_without_the_last),
)

# --- tails: wrong for all K > longer_than with K mod 64 = remainder ---

REMAINDERS = 64
LONGER_THAN = (130, 1000, 4096)


def in_the_tail(longer_than: int, remainder: int) -> Lengths:
    """Return a test for lengths above one, with a remainder by 64.

    Parameters
    ----------
    longer_than
        The length that is exceeded.
    remainder
        The remainder of the length by REMAINDERS.

    Returns
    -------
    predicate
        Whether a length is such a one.
    """
    return lambda n: n > longer_than and n % REMAINDERS == remainder


def not_summed(definition: str, wrong_at: Lengths) -> Function:
    """Plant that the last class is missing from the sum, whether or not it leads.

    Parameters
    ----------
    definition
        One of DEFINITIONS.
    wrong_at
        The lengths at which it is wrong.

    Returns
    -------
    function
        An implementation of (logits, labels), right at all other lengths.
    """

    def implementation(x: Array, labels: Array | None = None) -> Array:
        if not wrong_at(x.shape[-1]):
            return RIGHT.planted(definition, 0.0, wrong_at)(x, labels)
        wide = x.astype(np.float64)
        d = wide - wide.max(axis=-1, keepdims=True, initial=-np.inf)
        total = np.log(np.exp(d[:, :-1]).sum(axis=-1, keepdims=True))
        return _from_log_sum(definition, x, labels, d, total)

    return implementation


def not_in_the_maximum(definition: str, wrong_at: Lengths) -> Function:
    """Plant that the last class is missing from the maximum.

    The exponentials are kept in the input's format, so that they overflow where it leads by far.

    Parameters
    ----------
    definition
        One of DEFINITIONS.
    wrong_at
        The lengths at which it is wrong.

    Returns
    -------
    function
        An implementation of (logits, labels), right at all other lengths.
    """

    def implementation(x: Array, labels: Array | None = None) -> Array:
        if not wrong_at(x.shape[-1]):
            return RIGHT.planted(definition, 0.0, wrong_at)(x, labels)
        wide = x.astype(np.float64)
        d = wide - wide[:, :-1].max(axis=-1, keepdims=True)
        with np.errstate(over="ignore"):
            e = np.exp(d).astype(x.dtype).astype(np.float64)
        return _from_log_sum(definition, x, labels, d, np.log(e.sum(axis=-1, keepdims=True)))

    return implementation


RIGHT = Family("right", ())
TAILS: dict[str, Callable[[str, Lengths], Function]] = {
    "last class not in the sum": not_summed,
    "last class not in the maximum": not_in_the_maximum,
}


def _from_log_sum(
    definition: str, x: Array, labels: Array | None, d: Array, log_sum: Array
) -> Array:
    log_p = d - log_sum
    results: dict[str, Callable[[], Array]] = {
        "softmax": lambda: np.exp(log_p),
        "log_softmax": lambda: log_p,
        "logsumexp": lambda: x.astype(np.float64)[:, 0] - log_p[:, 0],
        "cross_entropy": lambda: -log_p[np.arange(len(x)), labels],
    }
    return results[definition]().astype(x.dtype)


def sample_of_tails(seed: int, count: int) -> Sequence[tuple[int, int]]:
    """Draw some pairs (longer_than, remainder) for ``in_the_tail``.

    Parameters
    ----------
    seed
        What the draw depends on.
    count
        How many pairs are drawn.

    Returns
    -------
    list of tuple
        Lengths up to 4096, uniform in the logarithm, and any remainders.
    """
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.uniform(0, np.log(4097), count)).astype(int)
    return [*zip(lengths.tolist(), rng.integers(REMAINDERS, size=count).tolist(), strict=True)]
