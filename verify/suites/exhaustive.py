"""Batches of very many rows of a format of 8 or 16 bits, judged in vectorised binary64 with proof.

Asking the oracle takes some 100 us a row, which is three days for all pairs of 16-bit numbers.
Here the exact value is enclosed in v +- r, computed in binary64 with the error bound below; it
decides all but a few results in a million, and those go to the oracle.

Proof of the enclosure, u = 2^-53.  It rests on nothing but + - * / of binary64 being correctly
rounded.  Every number x of 16 bits has e^x = M 2^n, 1/2 <= M < 1, in a table that arb filled, M
off by a relative u at most.

(1) e_k = e^(z_k - m) = (M_k / M_m) 2^(n_k - n_m): relative error 3u, and below the normal range an
    absolute one of 2^-1074.  Numbers beyond 2^18 are so far from all others that e_k is 0 or 1.
(2) S, the sum of all K, has relative error (K + 2) u at most, as all terms are positive, and the
    softmax e_k / S at most (K + 6) u; S >= 1 adds no more than K 2^-1074.
(3) T, the sum of all but one maximum, has relative error (K + 1) u at most, and log1p(T) the same
    from it: log1p is concave and vanishes at 0.
(4) L = log1p(T) = 2 atanh(s), s = T / (2 + T), where T < 1; else 1 + T = 2^j f, 1 <= f < 2, and
    L = j log 2 + 2 atanh(s), s = (f - 1) / (f + 1).  Always s <= 1/3, off by a relative 2u (f - 1
    is exact), which atanh passes on times s / ((1 - s^2) atanh s) <= 1.1.  The series of atanh(s)/s
    in w = s^2 <= 1/9 to w^16 has a remainder below u/50.  By Horner's rule each level c + w q
    inherits at most 1/8 of the error of q (as w q / c <= 1/8), that of w and of the product: with
    its own two roundings E <= 2u + (E + 2u) / 8, so E <= 3u.  With the last product 6.3u; with the
    rounding of 1 + T (an absolute u, but L >= log 2), of j log 2 and of the sum, 10u at most.
(5) The distances m - z_k are off by a relative u.  So are sums: log-softmax and cross-entropy,
    D + L, have one sign, and a relative error of at most (K + 1) u + 10u + u.  Log-sum-exp is
    m + L, off by (K + 11) u L + u |m + L|.

All are taken as (K + 16) u, which covers the terms of second order, plus 2^-1000.

The threshold is that of ``judge``: the promise of the subject or the proven bound.  FUZZ allows
for a relative difference of 2^-30 between both, and what lies within it is left to the oracle.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations import lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ...derivations.definition import Definition
from ...derivations.error_bounds import bounds
from ...derivations.error_bounds.model import Model
from ..inputs.families import Batch, patterns
from ..oracle import overflow
from ..oracle.metrics import histogram
from ..oracle.truth import OracleError
from ..subjects.contract import Contract
from ..subjects.isolation.in_process import LiveSubject
from .grades import grade
from .special_values import promise
from .thresholds import model_of
from .verdicts import Verdict, Violation, compare

U = 2.0**-53
FUZZ = 2.0**-30
LOG_2 = float(np.log(2))
_COEFFICIENTS = tuple(1 / (2 * i + 1) for i in range(17))

Array = NDArray[np.float64]
Bits = NDArray[np.bool_]


def can_judge(definition: Definition, fmt: Format) -> bool:
    """Whether ``check`` has anything to say of a definition in a format."""
    return fmt.dtype.itemsize <= 2 and (definition.elementwise or has_enclosure(definition))


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: Batch) -> Verdict:
    """Every value within its error bound, or as the contract says where there is no exact value.

    One violation for each failing row, but all are the worst of the batch: there may be millions.
    (Functions of one real are few enough for ``verdicts.compare``.)
    """
    if not can_judge(definition, fmt):
        return Verdict(0, 0.0, [])
    computed = subject(batch.logits, batch.labels).value
    if not definition.elementwise:
        return judge(definition, subject.contract, fmt, batch, computed)
    return compare(definition, subject.contract, fmt, batch, computed)


def judge(
    definition: Definition, contract: Contract, fmt: Format, batch: Batch, computed: NDArray[Any]
) -> Verdict:
    """Judge a batch of narrow numbers: by the exact values of rows, or else by the contract.

    Parameters
    ----------
    definition
        A definition that is enclosed here.
    contract
        What the subject promises.
    fmt
        A narrow format.
    batch
        The rows, of any numbers.
    computed
        The results of the subject.

    Returns
    -------
    Verdict
        As that of `verdicts.compare` on all rows.

    Raises
    ------
    OracleError
        If the enclosure and the oracle disagree.
    """
    columns = _widen(np.ascontiguousarray(batch.logits.T))
    exact = (columns < np.inf).all(axis=0) & np.isfinite(columns).any(axis=0)
    if exact.all():
        return _judge_exact(definition, contract, fmt, batch, computed)
    parts = []
    for part, of in ((_judge_exact, exact), (_judge_special, ~exact)):
        which = np.flatnonzero(of)
        if which.size:
            found = part(definition, contract, fmt, batch.rows(which), computed[which])
            parts.append(_renumbered(found, which))
    return Verdict.merge(parts)


def _widen(numbers: NDArray[Any]) -> Array:
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return numbers.astype(np.float64)


@functools.cache
def _exponentials(name: str) -> tuple[Array, Array]:
    """(M, n) with e^x = M 2^n, for all numbers x of a format of 8 or 16 bits, by their bits.

    At -inf M is 0; at other numbers that are not finite neither means anything.  Beyond 2^18 only
    n is right, and to 53 bits, which is enough: see (1).
    """
    values = _widen(patterns(ARRAY_FORMATS[name]))
    near = np.abs(values) < 2.0**18
    with np.errstate(invalid="ignore", over="ignore"):
        exponent = np.floor(values / LOG_2)
    mantissa = np.where(np.isneginf(values), 0.0, 0.5)
    with flint.ctx.workprec(96):
        for i in np.flatnonzero(near):
            ball = flint.arb(float(values[i])).exp()
            assert ball.rel_accuracy_bits() > 90
            man, exp = (int(v) for v in ball.mid().man_exp())
            n = man.bit_length() + exp
            mantissa[i] = float(Fraction(man, 1 << man.bit_length()))
            exponent[i] = n
    return mantissa, exponent


with np.errstate(under="ignore"):  # whatever an importing program has set
    _POWERS = np.ldexp(1.0, -np.arange(1200))  # 2^-n, 0 below the range


@dataclass(frozen=True)
class _Rows:
    """Rows of narrow numbers, one a column: logits, their largest, and what (1) makes of them.

    ``lead`` is the index of the first maximum of each row; ``e`` are the e^(z_k - m), and ``scale``
    is the relative error that all results have.
    """

    z: Array
    labels: NDArray[np.int64] | None
    lead: tuple[NDArray[np.intp], NDArray[np.intp]]
    e: Array
    scale: float

    def highest(self) -> Array:
        """The maximum of each row."""
        return self.z[self.lead]

    def loss(self) -> Array:
        """log1p(T) of each row, T the sum of all e but that of the maximum: (3)."""
        # The table may fill the memory: the maximum, whose e is 1, is left out without a copy.
        self.e[self.lead] = 0.0
        sum_of_others = np.sum(self.e, axis=0)
        self.e[self.lead] = 1.0
        return _log1p(sum_of_others)

    def relative(self, value: Array) -> tuple[Array, Array]:
        """The value, which may be infinite, and its radius by (5)."""
        radius = self.scale * np.abs(value) + 2.0**-1000
        return value, np.where(np.isinf(value), 0.0, radius)


Enclosure = Callable[[_Rows], tuple[Array, Array]]
_ENCLOSURES: dict[str, Enclosure] = {}


def has_enclosure(definition: Definition) -> bool:
    """Whether exact values of the definition are enclosed here.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    bool
        Whether `enclose` knows it.
    """
    return definition.name in _ENCLOSURES


def enclosed() -> list[str]:
    """The names of the definitions that ``enclose`` knows."""
    return list(_ENCLOSURES)


def _encloses(name: str) -> Callable[[Enclosure], Enclosure]:
    """Register how the values of a definition are enclosed; KeyError where there is none."""
    known = lookup(name).name

    def register(enclosure: Enclosure) -> Enclosure:
        _ENCLOSURES[known] = enclosure
        return enclosure

    return register


def enclose(
    definition: Definition, fmt: Format, logits: NDArray[Any], labels: NDArray[np.int64] | None
) -> tuple[Array, Array]:
    """Enclose the exact values of rows of a format of 8 or 16 bits by v +- r.

    Parameters
    ----------
    definition
        A definition that `has_enclosure`.
    fmt
        The format.
    logits
        The rows as columns, (classes, rows), as NumPy is fast along the last axis; no NaN, no +inf,
        not all -inf in a row.
    labels
        The right classes, where the definition takes them.

    Returns
    -------
    tuple of array
        v and r, (classes, rows) or (rows,); at masked classes r is 0.
    """
    z = _widen(logits)
    mantissas, exponents = _exponentials(fmt.name)
    bits = logits.view(f"uint{8 * fmt.dtype.itemsize}")
    mantissa, exponent = mantissas[bits], exponents[bits]
    lead = np.argmax(z, axis=0), np.arange(z.shape[1])
    below = np.minimum(exponent[lead] - exponent, len(_POWERS) - 1)
    e = mantissa / mantissa[lead] * _POWERS[below.astype(np.int16)]
    return _ENCLOSURES[definition.name](_Rows(z, labels, lead, e, (len(z) + 16) * U))


@_encloses("softmax")
def _softmax(rows: _Rows) -> tuple[Array, Array]:
    value = rows.e / np.sum(rows.e, axis=0)
    return value, np.where(np.isneginf(rows.z), 0.0, rows.scale * value + 2.0**-1000)


@_encloses("log_softmax")
def _log_softmax(rows: _Rows) -> tuple[Array, Array]:
    return rows.relative(-((rows.highest() - rows.z) + rows.loss()))


@_encloses("logsumexp")
def _logsumexp(rows: _Rows) -> tuple[Array, Array]:
    loss = rows.loss()
    value = rows.highest() + loss
    return value, rows.scale * (loss + np.abs(value)) + 2.0**-1000


@_encloses("cross_entropy")
def _cross_entropy(rows: _Rows) -> tuple[Array, Array]:
    assert rows.labels is not None
    return rows.relative((rows.highest() - rows.z[rows.labels, rows.lead[1]]) + rows.loss())


def _log1p(t: Array) -> Array:
    """log(1 + t), t >= 0, in correctly rounded operations alone: see (4)."""
    f, j = np.frexp(1.0 + t)
    small = t < 1
    f, j = f * 2, j - 1.0  # 1 <= f < 2
    s = np.where(small, t / (2.0 + t), (f - 1.0) / (f + 1.0))
    w = s * s
    series = np.full_like(s, _COEFFICIENTS[-1])
    for coefficient in _COEFFICIENTS[-2::-1]:
        series *= w
        series += coefficient
    return np.asarray(2.0 * s * series + np.where(small, 0.0, j) * LOG_2)


def _limits(
    definition: Definition,
    model: Model,
    columns: NDArray[Any],
    labels: NDArray[np.int64] | None,
) -> Array:
    """The proven bound of each output of each row, (outputs, rows)."""
    limit = bounds.bound(definition.name, _widen(columns), model, label=labels)
    assert limit is not None
    return np.atleast_2d(limit)


def _ulp(fmt: Format, magnitude: Array) -> Array:
    """ulp(x) for x >= 0."""
    _, exponent = np.frexp(np.maximum(magnitude, 2.0**fmt.tiny_exponent))
    steps = np.maximum(exponent - 1, fmt.emin) - fmt.precision + 1
    return np.asarray(np.ldexp(1.0, steps))


@dataclass(frozen=True)
class _Decision:
    """Error and threshold of each output in ulp, the ulp, whether it fails, whether we know."""

    error: Array
    limit: Array
    ulp: Array
    failed: Bits
    known: Bits


def _decide(
    definition: Definition, contract: Contract, fmt: Format, batch: Batch, observed: Array
) -> _Decision:
    """``verdicts.compare`` without its last digits; observed, and all here, is (outputs, rows)."""
    columns = np.ascontiguousarray(batch.logits.T)
    value, radius = np.atleast_2d(*enclose(definition, fmt, columns, batch.labels))
    # Within 2^-30 ulp of a power of two the unit is that of the power, as in the oracle.
    ulp = _ulp(fmt, np.abs(value) * (1 + FUZZ * float(fmt.unit_roundoff)) + radius)
    promised = contract.ulps.get(fmt.name)
    if promised is None:
        upper = lower = _limits(definition, model_of(contract, fmt), columns, batch.labels)
    else:
        upper = promised * ulp
        lower = promised * _ulp(fmt, np.maximum(np.abs(value) - radius, 0.0))

    # Where the result overflows, infinity is right, and a finite number is measured from the end of
    # the range, the next number if there were one; beyond that only infinity is right.
    end = float(fmt.end)
    edge = end - 2.0 ** (fmt.emax - fmt.precision)
    low, high = np.abs(value) - radius, np.abs(value) + radius
    finite = np.isfinite(value)
    over, beyond = finite & (low >= edge), finite & (low >= end)
    unclear = finite & (((low < edge) & (high >= edge)) | ((low < end) & (high >= end)))
    if over.any():
        exact = np.where(over, np.copysign(np.inf, value), 0.0)
        observed = overflow.read(observed, exact, fmt, contract.overflow)
    value = np.where(over, np.copysign(np.where(np.isinf(observed), np.inf, end), value), value)
    radius = np.where(over, 0.0, radius)

    error = np.where(observed == value, 0.0, np.abs(observed - value))
    error = np.where(np.isnan(error) | (beyond & np.isfinite(observed)), np.inf, error)
    passed = (error + radius <= lower * (1 - FUZZ)) | ((error == 0) & (radius == 0))
    failed = (error - radius > upper * (1 + FUZZ)) | np.isinf(error)
    return _Decision(error / ulp, upper / ulp, ulp, failed, (passed | failed) & ~unclear)


def ulp_errors(
    definition: Definition, fmt: Format, batch: Batch, computed: NDArray[Any]
) -> NDArray[np.float64]:
    """The ulp errors of results, those of `metrics.ulp_error` to about 2^-40 ulp, but much faster.

    So fast that all numbers of a format of 8 or 16 bits can be asked for.

    Parameters
    ----------
    definition
        A definition that `has_enclosure`.
    fmt
        The format.
    batch
        Rows that have an exact value.
    computed
        The results.

    Returns
    -------
    array of float64
        The errors, (rows, outputs).
    """
    observed = np.ascontiguousarray(_widen(computed).reshape(len(computed), -1).T)
    with np.errstate(all="ignore"):
        return _decide(definition, Contract(), fmt, batch, observed).error.T


def _judge_exact(
    definition: Definition, contract: Contract, fmt: Format, batch: Batch, computed: NDArray[Any]
) -> Verdict:
    """Rows that have an exact value; those that are not decided here are put to the oracle."""
    observed = np.ascontiguousarray(_widen(computed).reshape(len(computed), -1).T)
    with np.errstate(all="ignore"):
        found = _decide(definition, contract, fmt, batch, observed)
    known = np.asarray(found.known.all(axis=0))
    errors = found.error if known.all() else found.error[:, known]
    rounded = errors * (1 - FUZZ)  # what is half an ulp, but for rounding here, is correct
    ours = Verdict(
        errors.size,
        float(np.max(errors, initial=0.0)),
        [],
        histogram(rounded),
        grade=_grade(definition, contract, fmt, batch.rows(known), rounded, found.ulp[:, known]),
    )
    bad = np.flatnonzero(found.failed.any(axis=0) & known)
    if bad.size:
        with np.errstate(all="ignore"):
            severity = np.where(found.failed, found.error / found.limit, -1.0)
        worst = int(bad[np.argmax(np.max(severity[:, bad], axis=0))])
        told = compare(definition, contract, fmt, batch.row(worst), computed[worst : worst + 1])
        if not told.violations:
            raise OracleError(f"two oracles disagree at {batch.logits[worst]}: {definition.name}")
        ours.violations.extend([replace(told.violations[0], row=worst)] * bad.size)
    asked = np.flatnonzero(~known)
    if not asked.size:
        return ours
    theirs = compare(definition, contract, fmt, batch.rows(asked), computed[asked])
    return Verdict.merge([ours, _renumbered(theirs, asked)])


def _grade(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    errors: Array,
    ulp: Array,
) -> str:
    """The grade of rows with these errors in ulp; both arrays are (outputs, rows)."""
    columns = np.ascontiguousarray(batch.logits.T)

    def fits(model: Model, rows: NDArray[np.intp]) -> Bits:
        labels = None if batch.labels is None else batch.labels[rows]
        limits = _limits(definition, model, columns[:, rows], labels)
        return np.asarray((errors[:, rows] * ulp[:, rows] <= limits).all(axis=0))

    with np.errstate(all="ignore"):
        return grade(errors.T, fmt, contract.flush_to_zero == "yes", fits)


def _judge_special(
    definition: Definition, contract: Contract, fmt: Format, batch: Batch, computed: NDArray[Any]
) -> Verdict:
    """Rows with NaN or +inf, or all masked: as the contract says of their places."""
    rows = _widen(batch.logits)
    kinds = np.isneginf(rows) + 2 * np.isposinf(rows) + 4 * np.isnan(rows)
    if batch.labels is not None:
        kinds = np.column_stack([kinds, batch.labels])
    _, first, members = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    observed = _widen(computed.reshape(len(computed), -1))
    checks: int = 0
    violations: list[Violation] = []
    for group, example in enumerate(first):
        label = None if batch.labels is None else int(batch.labels[example])
        promised = promise(definition, contract, rows[example], label)
        if promised is None:
            continue
        which = np.flatnonzero(members.reshape(-1) == group)
        values, expected = observed[which], np.atleast_1d(promised.values)
        with np.errstate(invalid="ignore"):
            close = np.abs(values - expected) <= 4 * float(fmt.unit_roundoff) * np.abs(expected)
        close &= np.isfinite(values) & np.isfinite(expected)
        same = (values == expected) | (np.isnan(values) & np.isnan(expected))
        good = close | same | ~np.asarray(promised.where)
        checks += good.size
        bad = np.flatnonzero(~good.all(axis=1))
        if bad.size:
            k = int(np.flatnonzero(~good[bad[0]])[0])
            violation = Violation(
                row=int(which[bad[0]]),
                message="a row without an exact value is not what the contract says",
                index=k,
                observed=float(values[bad[0], k]),
                expected=float(expected[k]),
                source=f"contract: {contract}",
            )
            violations += [violation] * bad.size
    return Verdict(checks, 0.0, violations)


def _renumbered(verdict: Verdict, rows: NDArray[np.intp]) -> Verdict:
    """The verdict on some rows of a batch, as one on the batch."""
    different = {id(v): v for v in verdict.violations}
    moved = {key: replace(v, row=int(rows[v.row])) for key, v in different.items()}
    return replace(verdict, violations=[moved[id(v)] for v in verdict.violations])
