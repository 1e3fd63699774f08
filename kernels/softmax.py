"""Softmax, p_i = e^(x_i) / sum_j e^(x_j), over the last axis: one function per algorithm.

Common to all: `logits` is any array of float32 or float64 (lists of floats too) with at least one
axis, the last one over the classes, with any strides; the result has its shape and dtype. `out`
receives it, and may be `logits` itself. `threads` shares the rows out; the result is the same to
the last bit. TypeError: another dtype of `logits` or `out`. ValueError: a scalar, an `out` of the
wrong shape, read-only or overlapping `logits` in part, `threads` below 1.

The contract at the edges, for all but `naive`: -inf is a masked class, its probability 0. A row
that holds NaN or +inf, or nothing but -inf, is NaN throughout. A finite row of one class is 1. No
classes or no rows give an empty result. Subnormal results are not flushed.

`ULP_BOUND` holds the proven largest error of each algorithm and dtype, in ulps of the exact
result (the spacing of the subnormals below the normal range), for finite rows with any -inf
masks, up to 2^24 classes. The common part of the proofs, with u = 2^-53:

Lemma. Let y = fl(m / S) 2^n with m right within 1.9u and S within ku, relative. Then y is right
within k + 3 ulp of float64, and within 1/2 + 2^-25 ulp of float32 after rounding if k <= 6.
Proof. m / S is right within (1.91 + k)u before division, that is 1.91 + k ulp, since u y <= ulp(y);
the division adds 1/2 ulp of the quotient, that is 1 ulp of y where the quotient has crossed into
the next binade; scaling is exact. If y is subnormal, ulp(y) >= 2u y still holds for all errors
above, division and scaling add 1/2 ulp each, and k/2 + 2 is smaller. In float32 all this is
(k + 3)2^-29 <= 2^-25 ulp, and the final rounding adds 1/2.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rows
from .exp import (
    LANES,
    UNBIAS,
    add_exponentials,
    clear,
    exp_pair,
    exp_shifted,
    maximum,
    new_lanes,
    power_of_two,
    scale,
    sum_exponentials,
    sum_lanes,
    two_sum,
)
from .jit import jit

FAR = 2.0**32
"""Logits beyond +-FAR act as +-FAR in `two_pass`."""

FAR_EXPONENT = 2.0**31
"""Rows whose largest exponent n is beyond +-FAR_EXPONENT are left to `three_pass_recompute`."""

NEGLIGIBLE = -900.0
"""Terms below 2^NEGLIGIBLE times the largest are added as 2^NEGLIGIBLE times the largest."""

LARGEST_LEAD = 64.0
"""`online` moves its reference to an element that exceeds it by more than this."""


def naive(
    logits: ArrayLike, *, out: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.floating]:
    """Softmax as the formula stands, in the dtype of the logits: the baseline that breaks.

    Each e^x is rounded to the dtype, the sum runs from left to right in it, then each is divided.
    It has no error bound: above x = 88.7 (float32) or 709.8 (float64) e^x overflows and the result
    is NaN, a row far below 0 is 0/0 = NaN, and the sum is off by up to n/2 ulps. So the contract
    at the edges holds only where nothing overflows. Arguments and errors as in the module.

    >>> naive([0.0, 1.0]).tolist()
    [0.2689414213699951, 0.7310585786300049]
    >>> naive(np.array([100.0, 0.0], np.float32)).tolist()
    [nan, 0.0]
    """
    return _run(_naive, logits, out, threads)


def three_pass_recompute(
    logits: ArrayLike, *, out: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.floating]:
    """Softmax by three passes: maximum; sum of e^(x - max); e^(x - max) again, over the sum.

    Arguments, errors and edges as in the module. Source: Dukhan & Ablavatski 2020, algorithm 1.

    Bound: 0.5 + 2^-25 ulp in float32, 6 in float64, by the lemma: `sum_exponentials` is right
    within k = 2.91; the shift by the maximum adds nothing, its rounding error is not lost.

    >>> three_pass_recompute([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _run(_three_pass_recompute, logits, out, threads)


def three_pass_reload(
    logits: ArrayLike, *, out: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.floating]:
    """Softmax by three passes: maximum; store e^(x - max) and sum; divide what was stored.

    Arguments, errors and edges as in the module. Source: Dukhan & Ablavatski 2020, algorithm 2.

    Bound: 6 ulp in float64, by the lemma (the stored value is m 2^n, exact but for 1/2 ulp where
    it is subnormal: k/2 + 2.5 < 6). 2 + 2^-25 ulp in float32: storing rounds by 2^-24 relative,
    which is at most 1 ulp of the quotient, or by 1/2 ulp among the subnormals, as the sum is >= 1;
    the final rounding adds 1/2 ulp, or 1 where the quotient has crossed into the next binade.

    >>> three_pass_reload([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _run(_three_pass_reload, logits, out, threads)


def two_pass(
    logits: ArrayLike, *, out: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.floating]:
    """Softmax by two passes, without the maximum: e^x = m 2^n summed as pairs (M, N); e^x over it.

    Arguments, errors and edges as in the module. Source: Dukhan & Ablavatski 2020 (arXiv
    2001.04438), algorithm 3. The exponent n never enters a floating-point exponent field, so no
    finite x overflows. Where the largest element is beyond about +-1.5e9, and reducing x by n ln 2
    would no longer be exact, the row is left to `three_pass_recompute`.

    Bound: 0.5 + 2^-25 ulp in float32, 6 in float64, by the lemma with k = 2.91: aligning M and m
    to the larger exponent multiplies by powers of two, exactly, so that M is a compensated sum of
    terms right within 1.9u. Terms below 2^-900 of the largest are not exact; 2^24 of them are nil.
    (Logits cut at +-2^32, beyond the range of `exp_pair`, are among those, or in a row left over.)

    >>> two_pass([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _run(_two_pass, logits, out, threads)


def online(
    logits: ArrayLike, *, out: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.floating]:
    """Softmax by two passes: running maximum and sum of e^(x - reference) in one; e^x over the sum.

    Arguments, errors and edges as in the module. Source: Milakov & Gimelshein 2018 (arXiv
    1805.02867), algorithm 3, by blocks of elements. The reference moves to a new maximum only if
    that is more than 64 above: sums up to 2^24 e^64 do not overflow.

    Bound: 0.5 + 2^-25 ulp in float32, 9 in float64, by the lemma with k = 5.82. Moving the
    reference multiplies the sum so far by a factor right within 1.9u and rounds: 2.91u, on top of
    the 2.91u of `sum_exponentials`. This counts once, however often it moves: whatever was summed
    before the move but last is below e^-64 of the final reference's term, 2^24 times is nil.

    >>> online([1000.0, 1000.0, -np.inf]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _run(_online, logits, out, threads)


ALGORITHMS: dict[str, Callable[..., NDArray[np.floating]]] = {
    "naive": naive,
    "three_pass_recompute": three_pass_recompute,
    "three_pass_reload": three_pass_reload,
    "two_pass": two_pass,
    "online": online,
}

ULP_BOUND: dict[str, dict[str, float]] = {
    "three_pass_recompute": {"float32": 0.5 + 2.0**-25, "float64": 6.0},
    "three_pass_reload": {"float32": 2.0 + 2.0**-25, "float64": 6.0},
    "two_pass": {"float32": 0.5 + 2.0**-25, "float64": 6.0},
    "online": {"float32": 0.5 + 2.0**-25, "float64": 9.0},
}


def softmax(
    logits: ArrayLike,
    *,
    algorithm: str = "two_pass",
    out: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> NDArray[np.floating]:
    """Softmax over the last axis by the algorithm of the given name, a key of `ALGORITHMS`.

    Arguments, errors and edges as in the module, and ValueError for an unknown algorithm. Error
    bound: `ULP_BOUND[algorithm]`. The default is the fastest of those with the smallest bound.

    >>> softmax([[0.0, 1.0], [3.0, -np.inf]]).round(3).tolist()
    [[0.269, 0.731], [1.0, 0.0]]
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}; got {algorithm!r}")
    return ALGORITHMS[algorithm](logits, out=out, threads=threads)


def _run(
    kernel: Callable[..., Any], logits: ArrayLike, out: NDArray[np.floating] | None, threads: int
) -> NDArray[np.floating]:
    array = rows.as_logits(logits)
    result = rows.output(out, array.shape, array)
    rows.apply(kernel, (array,), (result,), threads)
    return result


@jit
def _naive(logits: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    for i in range(len(logits)):
        x, y = logits[i], result[i]
        for j in range(x.size):
            # e^+-2000 overflows and underflows as e^x does, and is in the range of exp_pair.
            near = 2000.0 if x[j] > 2000.0 else x[j]
            near = -2000.0 if near < -2000.0 else near
            m, n = exp_pair(near, 0.0)
            y[j] = scale(m, n)
        sum_: Any = y.dtype.type(0)
        for e in y:
            sum_ += e
        for j in range(x.size):
            y[j] /= sum_


@jit
def _three_pass_recompute(logits: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    total, error = new_lanes(logits.shape[1]), new_lanes(logits.shape[1])
    for i in range(len(logits)):
        x, y = logits[i], result[i]
        # `maximum` passes over NaN, but the sum does not; an infinite maximum makes it NaN, too.
        reference = maximum(x)
        sum_ = sum_exponentials(x, reference, total, error)
        for j in range(x.size):
            m, n = exp_shifted(x[j], reference)
            y[j] = scale(m / sum_, n)


@jit
def _three_pass_reload(logits: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    total, error = new_lanes(logits.shape[1]), new_lanes(logits.shape[1])
    for i in range(len(logits)):
        x, y = logits[i], result[i]
        clear(total, error)
        reference = maximum(x)
        for start in range(0, x.size, LANES):
            block, stored = x[start : start + LANES], y[start : start + LANES]
            for lane in range(block.size):
                m, n = exp_shifted(block[lane], reference)
                exponential = scale(m, n)
                stored[lane] = exponential
                t, e = two_sum(total[lane], exponential)
                total[lane] = t
                error[lane] += e
        sum_ = sum_lanes(total, error)
        for j in range(y.size):
            y[j] = y[j] / sum_


@jit
def _clamp(x: float) -> float:
    """Return x cut to +-FAR; NaN stays."""
    x = FAR if x > FAR else x
    return -FAR if x < -FAR else x


@jit
def _align(n: float) -> float:
    """Return 2^n for n <= 0, cut below at 2^NEGLIGIBLE, which keeps clear of subnormals."""
    return power_of_two(n if n > NEGLIGIBLE else NEGLIGIBLE)


@jit
def _two_pass(logits: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    classes = logits.shape[1]
    total, error, exponent = new_lanes(classes), new_lanes(classes), new_lanes(classes)
    for i in range(len(logits)):
        x, y = logits[i], result[i]
        clear(total, error)
        exponent[:] = -2.0 * FAR
        for start in range(0, x.size, LANES):
            block = x[start : start + LANES]
            for lane in range(block.size):
                m, n = exp_pair(_clamp(block[lane]), 0.0)
                larger = n if n > exponent[lane] else exponent[lane]  # NaN is kept in m
                shrink = _align(exponent[lane] - larger)
                t, e = two_sum(total[lane] * shrink, m * _align(n - larger))
                total[lane] = t
                error[lane] = error[lane] * shrink + e
                exponent[lane] = larger
        n_sum = maximum(exponent)
        for lane in range(total.size):
            total[lane] *= _align(exponent[lane] - n_sum)
            error[lane] *= _align(exponent[lane] - n_sum)
        m_sum = sum_lanes(total, error)
        if abs(n_sum) > FAR_EXPONENT:
            _three_pass_recompute(logits[i : i + 1], result[i : i + 1])
            continue
        for j in range(x.size):
            m, n = exp_pair(_clamp(x[j]), 0.0)
            y[j] = scale(m / m_sum, n - n_sum)


@jit
def _online(logits: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    total, error = new_lanes(logits.shape[1]), new_lanes(logits.shape[1])
    for i in range(len(logits)):
        x, y = logits[i], result[i]
        clear(total, error)
        best: float = -np.inf
        reference: float = -np.finfo(np.float64).max  # not -inf: a prefix of -inf must not give NaN
        for start in range(0, x.size, LANES):
            block = x[start : start + LANES]
            highest = maximum(block)
            best = highest if highest > best else best
            if highest - reference > LARGEST_LEAD:
                m, n = exp_shifted(reference, highest)
                factor = scale(m, n)
                for lane in range(total.size):
                    total[lane] *= factor
                    error[lane] *= factor
                reference = highest
            add_exponentials(block, reference, total, error)
        sum_ = sum_lanes(total, error) * UNBIAS + (best - best)  # NaN if all are -inf
        for j in range(x.size):
            m, n = exp_shifted(x[j], reference)
            y[j] = scale(m / sum_, n)
