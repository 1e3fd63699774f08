"""Dukhan & Ablavatski 2020, The Two-Pass Softmax Algorithm: what overflows, and what is moved.

The algorithm keeps e^x as a pair (m, n), e^x = m 2^n with n = round(x log2 e), m = e^(x - n ln 2),
and adds pairs as (m 2^(n - N) + m' 2^(n' - N), N), N = max(n, n').  "Overflow" has three readings:

* as an algorithm on pairs of real numbers: nothing can overflow (proven below);
* as printed, in the arithmetic of the format (``reduced``): n is rounded to p bits, so that for
  |x| log2 e > 2^p it is not the nearest integer, x - n ln 2 is not small, and the polynomial for
  e^(x - n ln 2), which holds for |x - n ln 2| <= ln(2)/2, is far off and in the end infinite;
* in a library, whose sums of infinite m are infinite or NaN.  XNNPACK's micro-kernels for AVX2 and
  AVX-512, compiled from its sources, gave what the model here gives (``softmax_as_printed``): NaN
  for masks of -1e30, 0.866 for 0.867 at an offset of 2^24.5, and the first overflow at |x| =
  5.85e15.  LiteRT takes three passes and has none of this.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import sympy
from numpy.typing import NDArray

from .register import (
    OUR_QUESTION,
    PROOF,
    SEARCH,
    Verdict,
    attained,
    claim,
    confirmed,
    proven,
    refuted,
    require,
    simulated,
)

HALF = Fraction(1, 2)
TWO_PASS = "Dukhan, Ablavatski 2020 (arXiv 2001.04438)"
LARGEST = float(np.finfo(np.float32).max)
LOG2_E = np.float32(1 / math.log(2))
LN2_HIGH = np.float32(math.log(2))
LN2_LOW = np.float32(math.log(2) - float(LN2_HIGH))
COEFFICIENTS = tuple(np.float32(1 / math.factorial(k)) for k in range(5, -1, -1))

Row = NDArray[np.float32]


@claim(
    "e^x = m 2^n with n = round(x log2 e) and m = e^(x - n ln 2) in [2^(-1/2), 2^(1/2)].",
    TWO_PASS,
    "section 4",
    PROOF,
    opposite={"rounding": "down"},
)
def mantissa_of_a_pair(rounding: str = "nearest") -> Verdict:
    """m = 2^r with r = x log2 e - n, what the rounding leaves."""
    x, n = sympy.symbols("x n", real=True)
    m = sympy.exp(x - n * sympy.log(2))
    require(sympy.simplify(m * 2**n - sympy.exp(x)) == 0)
    low, high = {"nearest": (-HALF, HALF), "down": (Fraction(0), Fraction(1))}[rounding]
    if low < -HALF or high > HALF:
        between = (max(abs(low), high) + HALF) / 2
        return refuted(f"x = {between} ln 2 has n = 0 and m = 2^({between})")
    return attained("|r| <= 1/2 and m = 2^r; a tie, x = ln(2) / 2, reaches the end")


@claim(
    "Sums of pairs, (m 2^(n - N) + m' 2^(n' - N), N) with N = max(n, n'), never overflow: of up to "
    "2^127 terms, whatever the finite x.",
    TWO_PASS,
    "section 4 (of the algorithm, m and n real numbers)",
    PROOF,
    opposite={"reference": min},
)
def sums_of_pairs_never_overflow(reference: Callable[..., int] = max) -> Verdict:
    """No exponent n - N is positive, so the sum of K terms is at most K sqrt(2) < 2^128."""
    m_1, m_2, n_1, n_2, top = sympy.symbols("m_1 m_2 n_1 n_2 N", real=True)
    pair = (m_1 * 2 ** (n_1 - top) + m_2 * 2 ** (n_2 - top)) * 2**top
    require(sympy.simplify(sympy.expand(pair) - m_1 * 2**n_1 - m_2 * 2**n_2) == 0)
    rows = rows_up_to(LARGEST)
    for count, row in enumerate(rows, 1):
        exponents = [_exponent(x) for x in row.tolist()]
        kept = exponents[0]
        for n in exponents[1:]:
            common = reference(kept, n)
            if max(kept, n) - common > 128:
                return refuted(
                    f"x = {_row(row.tolist())}: a term is m 2^{max(kept, n) - common:.4g}", count
                )
            kept = common
    require(sympy.Integer(2) ** 127 * sympy.sqrt(2) < 2**128)
    return proven(
        "n - N <= 0, so each term is at most 2^(1/2); adding it changes no sum's value m 2^n",
        len(rows),
    )


def _exponent(x: float) -> int:
    """n = round(x log2 e), exactly for every finite x: 160 digits of log2 e."""
    with mpmath.workdps(160):
        return int(mpmath.nint(mpmath.mpf(x) / mpmath.log(2)))


@claim(
    "n = round(x log2 e) is a number of the format for every finite x of it (binary32).",
    TWO_PASS,
    "section 4 (a pair of floating-point numbers)",
    PROOF,
    opposite={"largest": Fraction(LARGEST) * Fraction(69, 100)},
)
def exponent_of_a_pair_is_finite(largest: Fraction = Fraction(LARGEST)) -> Verdict:
    """For |x| <= largest: |x| log2 e against the largest finite number."""
    top = Fraction(LARGEST)
    # ln 2 > 0.69 (0.693 by its series), so x log2 e < x / 0.69.
    if largest <= top * Fraction(69, 100):
        return proven("|x| log2 e <= 0.69 log2 e times the largest number, and ln 2 > 0.69")
    x = np.float32(LARGEST)
    with np.errstate(over="ignore"):
        n = np.rint(x * LOG2_E)
    require(np.isinf(n))
    return refuted(
        f"x = {float(x).hex()}, the largest number: x log2 e = 4.9e38 rounds to inf; so from "
        "2.36e38 on"
    )


def _fma(a: Any, b: Any, c: Any) -> Row:
    """By way of binary64, where the product of two binary32 is exact."""
    return np.asarray(np.asarray(a, np.float64) * np.float64(b) + np.asarray(c, np.float64)).astype(
        np.float32
    )


def reduced(x: Row) -> tuple[Row, Row]:
    """The pair (m, n) with e^x = m 2^n as printed, in binary32 with fused operations.

    n = round(x log2 e), t = x - n ln 2 by Cody and Waite with ln 2 in two parts, m a polynomial of
    degree 5 in t.

    Parameters
    ----------
    x
        A row of float32.

    Returns
    -------
    tuple of Row
        m and n, both float32.
    """
    n = np.rint(x * LOG2_E)
    t = _fma(n, -LN2_LOW, _fma(n, -LN2_HIGH, x))
    m = np.full_like(t, COEFFICIENTS[0])
    for c in COEFFICIENTS[1:]:
        m = np.asarray((m.astype(np.float64) * t + float(c)), np.float64).astype(np.float32)
    return m, n


def saturating_scale(m: Row, n: Row) -> Row:
    """m 2^n as AVX-512 has an instruction for it: an infinite m stays so, whatever the finite n.

    Parameters
    ----------
    m
        A row of float32.
    n
        The exponents, integers as float32.

    Returns
    -------
    Row
        The products, float32.
    """
    with np.errstate(invalid="ignore"):
        return np.where(
            np.isinf(m) & np.isfinite(n),
            m,
            np.ldexp(m, np.clip(np.nan_to_num(n), -300, 300).astype(np.int32)),
        ).astype(np.float32)


def product_scale(m: Row, n: Row) -> Row:
    """m times a 2^n made of exponent bits, n cut at -127, where it stands for 0: inf gives NaN.

    Parameters
    ----------
    m
        A row of float32.
    n
        The exponents, integers as float32.

    Returns
    -------
    Row
        The products, float32.
    """
    power = np.ldexp(np.float32(1), np.maximum(np.nan_to_num(n), -127).astype(np.int32))
    return np.asarray(m * np.where(n <= -127, np.float32(0), power), np.float32)


SCALES: dict[str, Callable[[Row, Row], Row]] = {
    "saturating": saturating_scale,
    "product": product_scale,
}


def softmax_as_printed(x: Row, scale: str) -> Row:
    """Softmax of one row by the two passes as printed, in binary32.

    Parameters
    ----------
    x
        A row of float32.
    scale
        How to multiply by 2^n, a key of SCALES.

    Returns
    -------
    Row
        The probabilities, float32.
    """
    by = SCALES[scale]
    with np.errstate(all="ignore"):
        m, n = reduced(x)
        sum_m, sum_n = np.zeros(1, np.float32), np.full(1, -np.inf, np.float32)
        for k in range(len(x)):
            top = np.maximum(sum_n, n[k : k + 1])
            first = np.isneginf(sum_n)
            moved = np.where(first, 0, by(sum_m, np.where(first, 0, sum_n - top)))
            sum_m = (moved + by(m[k : k + 1], n[k : k + 1] - top)).astype(np.float32)
            sum_n = top
        return np.asarray(by(m, n - sum_n) * (np.float32(1) / sum_m), np.float32)


def _row(values: list[float]) -> str:
    return "[" + ", ".join(f"{v:g}" for v in values) + "]"


MASKS = (-1e4, -1e9, -1e15, -1e30, -LARGEST)


def rows_up_to(limit: float) -> list[Row]:
    """Rows with masks, with common offsets, and with numbers up and down the range.

    Parameters
    ----------
    limit
        Rows with a number of larger modulus are left out.

    Returns
    -------
    list of Row
        Rows of float32.
    """
    tails = ([0.0, 1.0, -2.0], [5.0, 5.0, 4.5, -80.0])
    rows = [[*tail, mask] for tail in tails for mask in MASKS]
    rows += [[offset] * 3 for offset in (*MASKS, *(-mask for mask in MASKS))]
    rows += [[sign * 2.0**k * 1.3, 0.0] for k in range(0, 127) for sign in (1, -1)]
    return [np.array(row, np.float32) for row in rows if max(map(abs, row)) <= limit]


@claim(
    "The two-pass algorithm does not overflow for any finite input, computed as printed in "
    "binary32.",
    TWO_PASS,
    "abstract and section 4 (in the arithmetic of the format)",
    SEARCH,
    opposite={"limit": 2.0**24},
)
def two_passes_as_printed(limit: float = LARGEST) -> Verdict:
    """Rows with |x| <= limit: every result must be finite, by either way to scale by 2^n."""
    cases, bad = 0, []
    for row in rows_up_to(limit):
        for scale in SCALES:
            cases += 1
            result = softmax_as_printed(row, scale)
            if not np.all(np.isfinite(result)):
                bad.append((max(map(abs, row.tolist())), scale, row.tolist(), result.tolist()))
    if not bad:
        return simulated(cases, f"all results are finite for |x| <= {limit:g}")
    least = min(entry[0] for entry in bad)
    masked = float(np.float32(-1e30))
    shown = next((entry for entry in bad if masked in entry[2]), bad[0])
    return refuted(
        f"{_row(shown[2])} gives {_row(shown[3])} ({shown[1]} scaling). From "
        f"|x| = {least:.3g} on some rows fail: n is rounded to 24 bits, x - n ln 2 is as large as "
        "2^-24 |x|, and the polynomial of it overflows. So it is the printed reduction, not one "
        "library's code. Moving large rows by their maximum first mends it "
        "(two_pass_kernel_never_overflows)",
        cases,
    )


@claim(
    "Do XNNPACK's two-pass kernels return NaN for masks of -1e30?",
    TWO_PASS,
    "not stated: its code in XNNPACK (AVX2: product; AVX-512: saturating), in a model of its "
    "arithmetic",
    SEARCH,
    opposite={"mask": -1e4},
    kind=OUR_QUESTION,
)
def masks_in_the_arithmetic_of_xnnpack(mask: float = -1e30) -> Verdict:
    """Both ways to scale, on a row with three masks."""
    row = np.array([0.0, 1.0, 2.0, mask, mask, mask], np.float32)
    product, saturating = (softmax_as_printed(row, scale) for scale in ("product", "saturating"))
    told = f"product {_row(product.tolist())}, saturating {_row(saturating.tolist())}"
    if np.all(np.isfinite(product)):
        return refuted(f"{_row(row.tolist())} gives {told}", 2)
    return simulated(2, f"{_row(row.tolist())} gives {told}")


@claim(
    "Computed as printed in binary32, are two passes accurate wherever nothing overflows: is no "
    "probability off by more than 1e-4?",
    TWO_PASS,
    "not stated there: what an offset of all logits does",
    SEARCH,
    opposite={"limit": 2.0**18},
    kind=OUR_QUESTION,
)
def two_passes_as_printed_are_accurate(limit: float = 2.0**40) -> Verdict:
    """Rows (X, X - d, X - 2 d) of neighbours: differences are exact in binary64."""
    cases, worst = 0, 0.0
    for k in range(2, round(math.log2(limit)) + 1):
        for sixteenths in range(16):
            top = np.float32(2.0**k * (1 + sixteenths / 16))
            gap = np.float32(max(np.spacing(top), 0.5))
            row = np.array([top, top - gap, top - 2 * gap], np.float32)
            weights = np.exp(row.astype(np.float64) - float(top))
            exact, computed = weights / weights.sum(), softmax_as_printed(row, "product")
            cases += 1
            error = float(np.max(abs(computed - exact)))
            worst = max(worst, error)
            if not error <= 1e-4:
                return refuted(
                    f"x = {float(top):.0f} - (0, {gap:g}, {2 * gap:g}): "
                    f"{_row(computed.tolist())}, exact {_row(exact.tolist())}",
                    cases,
                )
    return simulated(cases, f"largest error {worst:.2g}")


class CountedArray:
    """An array of numbers that counts how often elements are read and written."""

    def __init__(self, values: list[float]) -> None:
        self._values = values
        self.reads = self.writes = 0

    def __getitem__(self, k: int) -> float:
        self.reads += 1
        return self._values[k]

    def __setitem__(self, k: int, value: float) -> None:
        self.writes += 1
        self._values[k] = value

    def __len__(self) -> int:
        return len(self._values)

    def tolist(self) -> list[float]:
        """The values as a list, which counts neither as a read nor as a write."""
        return list(self._values)


def _recompute(x: CountedArray, y: CountedArray) -> None:
    top = max(x[k] for k in range(len(x)))
    total = sum(math.exp(x[k] - top) for k in range(len(x)))
    for k in range(len(x)):
        y[k] = math.exp(x[k] - top) / total


def _reload(x: CountedArray, y: CountedArray) -> None:
    top = max(x[k] for k in range(len(x)))
    total = 0.0
    for k in range(len(x)):
        term = math.exp(x[k] - top)
        y[k] = term
        total += term
    for k in range(len(x)):
        y[k] = y[k] / total


def _pair(x: float) -> tuple[float, int]:
    n = round(x / math.log(2))
    return math.exp(x - n * math.log(2)), n


def _two_passes(x: CountedArray, y: CountedArray) -> None:
    total, exponent = 0.0, -(10**6)
    for k in range(len(x)):
        m, n = _pair(x[k])
        top = max(n, exponent)
        total = math.ldexp(total, exponent - top) + math.ldexp(m, n - top)
        exponent = top
    for k in range(len(x)):
        m, n = _pair(x[k])
        y[k] = math.ldexp(m / total, n - exponent)


ALGORITHMS = {"recompute": _recompute, "reload": _reload, "two-pass": _two_passes}
PRINTED = {"recompute": (3, 1), "reload": (3, 2), "two-pass": (2, 1)}


@claim(
    "Of n elements each, out of cache, three passes with recomputation take 3 reads and 1 write, "
    "with reloading 3 reads and 2 writes, two passes 2 reads and 1 write.",
    TWO_PASS,
    "algorithms 1 to 3 and their table of memory operations",
    SEARCH,
    opposite={"counts": {**PRINTED, "two-pass": (1, 1)}},
)
def memory_operations(counts: dict[str, tuple[int, int]] = PRINTED) -> Verdict:
    """The three algorithms on arrays that count; what our kernels move, lines of cache counted, is
    a test (tests/kernels/runtime/test_traffic.py).
    """
    values = [((37 * k) % 101) / 5 - 10 for k in range(256)]
    results = []
    for name, algorithm in ALGORITHMS.items():
        x, y = CountedArray(values), CountedArray([0.0] * len(values))
        algorithm(x, y)
        reads, writes = x.reads + y.reads, x.writes + y.writes
        expected = tuple(count * len(values) for count in counts[name])
        if (reads, writes) != expected:
            return refuted(
                f"{name}: {reads / len(values):g} reads and {writes / len(values):g} writes", 3
            )
        results.append(y.tolist())
    require(all(np.allclose(result, results[0], rtol=1e-12, atol=0) for result in results))
    return confirmed(3, "counted on the algorithms as printed, which agree on the result")


@claim(
    "Up to 28 % (AVX-512) and 18 % (AVX2) faster than three passes: within (3 + 1) / (2 + 1) - 1 = "
    "33 %, what the counts of reads and writes as printed allow.",
    TWO_PASS,
    "abstract, against its own count",
    PROOF,
    opposite={"gain": Fraction(34, 100)},
)
def gain_within_the_limit_of_traffic(gain: Fraction = Fraction(28, 100)) -> Verdict:
    """The quotient of the counts is the most that a memory-bound algorithm can gain."""
    limit = Fraction(sum(PRINTED["recompute"]), sum(PRINTED["two-pass"])) - 1
    if gain > limit:
        return refuted(f"the traffic is {1 + limit} as much, so at most {float(limit):.1%} faster")
    return proven(
        f"the counts as printed allow {float(limit):.1%}, where no line that is written is read "
        "first; where it is, as with plain stores, they allow (3 + 2) / (2 + 2) - 1 = 25 %, which "
        "28 % exceeds and 18 % does not"
    )
