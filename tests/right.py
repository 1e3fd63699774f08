"""Right implementations that share no code with softproof: no suite may say a word against them.

Two origins are written here: Python floats with exact sums, and Python's decimal numbers with 28
digits.  No other library's softmax is among them: what that returns depends on its version and on
the processor (test_other_libraries.py tells what it is).
"""

import decimal
import functools
import math

import mpmath
import numpy as np


def _remembered(function):
    """The same, computed once for equal rows and for batches that were asked for before.

    Suites ask thrice, share their inputs, and draw batches in which rows come again.
    """

    @functools.lru_cache(maxsize=512)
    def of_bytes(shape, dtype, data, *labels):
        x = np.frombuffer(data, dtype).reshape(shape)
        return function(x, *(np.array(of_rows, np.int64) for of_rows in labels))

    @functools.wraps(function)
    def called(x, *labels):
        rows = (row.tobytes() for row in x)
        keys = list(zip(rows, *(of_rows.tolist() for of_rows in labels), strict=True))
        first = {key: i for i, key in reversed([*enumerate(keys)])}
        place = {key: j for j, key in enumerate(first)}
        some = list(first.values())
        results = of_bytes(
            (len(some), *x.shape[1:]),
            x.dtype,
            x[some].tobytes(),
            *(tuple(of_rows[some].tolist()) for of_rows in labels),
        )
        back = np.array([place[key] for key in keys], int)
        return tuple(r[back] for r in results) if isinstance(results, tuple) else results[back]

    return called


# --- NumPy and Python floats ---


@_remembered
def careful_softmax(x):
    d = x.astype(np.float64) - np.max(x, axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(d)
    total = [math.fsum(row) if np.isfinite(row).all() else math.nan for row in e]
    return (e / np.array(total).reshape(-1, 1)).astype(x.dtype)


def _other_classes(row):
    lead = int(np.argmax(row))
    return math.log1p(math.fsum(map(math.exp, (np.delete(row, lead) - row[lead]).tolist())))


def _careful(x, finish):
    """Row by row; NaN where a contract governs."""
    results = []
    for row in x.astype(np.float64):
        governed = np.isnan(row).any() or np.isposinf(row).any() or not np.isfinite(row).any()
        rest = math.nan if governed else _other_classes(row)
        results.append(finish(row, rest))
    return np.array(results).astype(x.dtype)


@_remembered
def careful_log_softmax(x):
    if not x.size:
        return x.copy()
    return _careful(x, lambda row, rest: row - row.max() - rest)


@_remembered
def careful_logsumexp(x):
    m = np.max(x.astype(np.float64), axis=-1, initial=-np.inf)
    infinite = np.isinf(m)
    if not x.shape[1]:
        return m.astype(x.dtype)
    return np.where(infinite, m, _careful(x, lambda row, rest: row.max() + rest)).astype(x.dtype)


@_remembered
def careful_cross_entropy(x, labels):
    wide = careful_log_softmax(x.astype(np.float64))
    rows = np.arange(len(x))
    loss = -wide[rows, labels]
    gradient = np.exp(wide)
    gradient[rows, labels] = np.expm1(wide[rows, labels])
    return loss.astype(x.dtype), gradient.astype(x.dtype)


def careful_sigmoid(x):
    e = np.exp(-np.abs(x.astype(np.float64)))
    return (np.where(x < 0, e, 1) / (1 + e)).astype(x.dtype)


def careful_softplus(x):
    return np.logaddexp(0.0, x.astype(np.float64)).astype(x.dtype)


def exact_softmax(x):
    """In 300 bits, row by row."""
    with mpmath.workprec(300):
        rows = [[mpmath.mpf(float(v)) for v in row] for row in x]
        powers = [[mpmath.exp(v - max(row)) for v in row] for row in rows]
        return np.array([[float(e / sum(row)) for e in row] for row in powers]).astype(x.dtype)


# --- decimal numbers ---


DIGITS = decimal.Context(prec=28, Emin=-(10**6), Emax=10**6, traps=[])
LOWEST = -20_000  # e to that is 0 in every format
SMALL = decimal.Decimal("1e-6")  # where three terms of the series are enough


@functools.lru_cache(maxsize=4096)
def _power(difference):
    """e^difference, for a difference of two numbers."""
    return DIGITS.exp(difference) if difference > LOWEST else decimal.Decimal(0)


def _log_of_1_plus(rest):
    """log(1 + rest), to 18 digits and more."""
    if rest < SMALL:
        series = (decimal.Decimal(1) / 3, decimal.Decimal(-1) / 2, decimal.Decimal(1))
        return functools.reduce(lambda s, c: DIGITS.multiply(rest, DIGITS.add(c, s)), series, 0)
    return DIGITS.ln(DIGITS.add(rest, decimal.Decimal(1)))


def _sum(numbers):
    return functools.reduce(DIGITS.add, numbers, decimal.Decimal(0))


def _decimal_rows(x):
    """Of each row its numbers, the place of its leader, the differences to that, and the powers.

    Both by number: of thousands of classes few numbers differ.  None where the row is special.
    """
    for row in x.astype(np.float64).tolist():
        if not row or max(row) in (math.inf, -math.inf) or any(map(math.isnan, row)):
            yield None
            continue
        lead = row.index(max(row))
        exact = {value: decimal.Decimal(value) for value in row}
        leader = exact[row[lead]]
        d = {v: DIGITS.subtract(e, leader) if e.is_finite() else e for v, e in exact.items()}
        yield row, lead, d, {value: _power(difference) for value, difference in d.items()}


def _sum_but_one(row, place, powers):
    return _sum(powers[value] for k, value in enumerate(row) if k != place)


def _shares(row, powers):
    total = _sum(powers[value] for value in row)
    share = {value: float(DIGITS.divide(power, total)) for value, power in powers.items()}
    return [share[value] for value in row], total


@_remembered
def decimal_softmax(x):
    nothing = [math.nan] * x.shape[1]
    shares = [_shares(row[0], row[3])[0] if row else nothing for row in _decimal_rows(x)]
    return np.array(shares).reshape(x.shape).astype(x.dtype)


def _decimal_logs(row):
    """The logarithms of a row's probabilities, leader and all."""
    values, lead, d, powers = row
    rest = _log_of_1_plus(_sum_but_one(values, lead, powers))
    logs = {value: float(DIGITS.subtract(difference, rest)) for value, difference in d.items()}
    return [logs[value] for value in values]


@_remembered
def decimal_log_softmax(x):
    nothing = [math.nan] * x.shape[1]
    logs = [_decimal_logs(row) if row else nothing for row in _decimal_rows(x)]
    return np.array(logs).reshape(x.shape).astype(x.dtype)


@_remembered
def decimal_logsumexp(x):
    results = []
    for row, given in zip(_decimal_rows(x), x.astype(np.float64), strict=True):
        if row is None:
            results.append(np.max(given, initial=-np.inf))  # NaN of NaN
            continue
        values, lead, _, powers = row
        rest = _log_of_1_plus(_sum_but_one(values, lead, powers))
        results.append(float(DIGITS.add(decimal.Decimal(values[lead]), rest)))
    return np.array(results).astype(x.dtype)


@_remembered
def decimal_cross_entropy(x, labels):
    losses, slopes = [], []
    for row, label in zip(_decimal_rows(x), labels.tolist(), strict=True):
        if row is None:
            losses.append(math.nan)
            slopes.append([math.nan] * x.shape[1])
            continue
        values, _, _, powers = row
        losses.append(0.0 - _decimal_logs(row)[label])
        slope, total = _shares(values, powers)
        slope[label] = float(-DIGITS.divide(_sum_but_one(values, label, powers), total))
        slopes.append(slope)
    loss = np.array(losses).astype(x.dtype)
    return loss, np.array(slopes).reshape(x.shape).astype(x.dtype)
