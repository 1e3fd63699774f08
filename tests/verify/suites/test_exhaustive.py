"""Very many rows of 16-bit formats: enclosures hold, and the verdicts are those of the oracle."""

import dataclasses
import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    FORMATS,
)
from softproof.derivations.error_bounds import bounds
from softproof.verify.inputs.families import PAIRS, Batch, draw, ordinals, patterns
from softproof.verify.oracle.truth import OracleError, truth
from softproof.verify.subjects.contract import CHOICES, CONVENTIONAL, Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import exhaustive
from softproof.verify.suites.exhaustive import check, enclose, enclosed, judge
from softproof.verify.suites.thresholds import model_of
from softproof.verify.suites.verdicts import compare

each_format = pytest.mark.parametrize("fmt", [BINARY16, BFLOAT16], ids=lambda fmt: fmt.name)
each_definition = pytest.mark.parametrize("name", enclosed())
INF = np.inf
IN_FORMAT = Contract(accumulator="input", summation="any", arithmetic="input")


def widened(x):
    with np.errstate(invalid="ignore"):  # signalling NaN
        return x.astype(np.float64)


def hazards(fmt, classes, rows, seed=0):
    """Rows of all patterns that have a truth, and of moderate numbers, ties, neighbours, masks."""
    rng = np.random.default_rng([seed, classes])
    numbers = patterns(fmt)
    numbers = numbers[widened(numbers) < INF]
    anything = rng.choice(numbers, (rows, classes))
    moderate = ordinals(rng, fmt, 2.0**fmt.tiny_exponent, 64.0, (rows, classes))
    tied = np.where(rng.random((rows, classes)) < 0.5, moderate[:, :1], moderate)
    bits = moderate[:, :1].view(np.uint16) + rng.integers(0, 3, (rows, classes), dtype=np.uint16)
    edge = rng.integers(-3, 3, (rows, classes)) + np.linspace(0, -1.1 * fmt.precision * 8, rows)[
        :, None
    ] * (np.arange(classes) > 0)
    masked = np.where(rng.random((rows, classes)) < 0.3, -INF, moderate)
    found = [anything, moderate, tied, bits.view(fmt.dtype), edge, masked]
    found = np.concatenate([x.astype(fmt.dtype) for x in found])
    return found[np.isfinite(widened(found)).any(axis=1) & (widened(found) < INF).all(axis=1)]


def labels_for(name, logits, seed=0):
    if not lookup(name).labelled:
        return None
    return np.random.default_rng(seed).integers(logits.shape[1], size=len(logits))


def columns(logits):
    return np.ascontiguousarray(logits.T)


def label_at(labels, i):
    return None if labels is None else int(labels[i])


def rounded(name, batch, fmt):
    """Correctly rounded values, from the oracle."""
    return np.array(
        [
            truth(lookup(name), row, fmt, label=label_at(batch.labels, i)).rounded
            for i, row in enumerate(batch.logits)
        ]
    )


# --- the enclosure ---


@each_format
@each_definition
@pytest.mark.parametrize("classes", [1, 2, 3, 17])
def test_enclosures_hold_the_truth_and_are_narrow(name, fmt, classes):
    logits = hazards(fmt, classes, rows=40)
    labels = labels_for(name, logits)
    with np.errstate(all="ignore"):
        value, radius = enclose(lookup(name), fmt, columns(logits), labels)
    for i, row in enumerate(logits):
        # Of the oracle in binary64 the offset tells 30 bits more.
        t = truth(lookup(name), row.astype(np.float64), BINARY64, label=label_at(labels, i))
        found = zip(
            np.atleast_1d(t.rounded),
            np.atleast_1d(t.ulp_exponent).tolist(),
            np.atleast_1d(t.offset),
            np.atleast_1d(value.T[i]),
            np.atleast_1d(radius.T[i]),
            strict=True,
        )
        for near, q, offset, v, r in found:
            if np.isinf(near):
                assert (v, r) == (near, 0)
            else:
                ulp = Fraction(2) ** q
                exact = Fraction(float(near)) + Fraction(float(offset)) * ulp
                assert abs(exact - Fraction(float(v))) <= Fraction(float(r)) + ulp / 2**29
                size = max(abs(v), abs(np.max(row.astype(float)))) if name == "logsumexp" else v
                assert r <= 2.0**-46 * abs(size) + 2.0**-1000


def test_the_table_of_exponentials_is_correctly_rounded():
    numbers = widened(patterns(BINARY16))
    mantissa, exponent = exhaustive._exponentials("float16")
    for x in (-65504.0, -17.3125, -(2.0**-24), 0.0, 1.0, 11.09375, 65504.0):
        i = int(np.flatnonzero(numbers == x)[0])
        m, n = float(mantissa[i]), int(exponent[i])
        if abs(x) < 700:
            assert np.ldexp(m, n) == pytest.approx(np.exp(x), rel=2**-51)
        assert 0.5 <= m < 1
        assert n == pytest.approx(x / np.log(2), abs=1.0)
    assert mantissa[np.flatnonzero(numbers == -INF)] == 0


@pytest.mark.parametrize("exponent", [-1000, -600, -53, -30, -1, 0, 1, 4, 30])
def test_log1p_of_correctly_rounded_operations(exponent):
    t = np.ldexp(1 + np.random.default_rng(0).random(1000), exponent)
    np.testing.assert_allclose(exhaustive._log1p(t), np.log1p(t), rtol=12 * 2**-53)


# --- the threshold ---


@each_format
@each_definition
@pytest.mark.parametrize("contract", [Contract(), IN_FORMAT, Contract(flush_to_zero="yes")])
def test_the_bounds_of_many_rows_are_those_of_each(name, fmt, contract):
    model = model_of(contract, fmt)
    for classes in (1, 2, 3, 17):
        logits = hazards(fmt, classes, rows=40)
        labels = labels_for(name, logits)
        with np.errstate(all="ignore"):
            together = bounds.bound(name, columns(logits), model, label=labels).T
            for i, row in enumerate(logits):
                limit = bounds.bound(name, row, model, label=label_at(labels, i))
                np.testing.assert_allclose(together[i], limit, rtol=1e-13)


# --- the verdict ---


def verdicts_agree(name, fmt, batch, computed, contract):
    ours = judge(lookup(name), contract, fmt, batch, computed)
    theirs = compare(lookup(name), contract, fmt, batch, computed)
    assert ours.checks == theirs.checks == sum(ours.errors.values())
    assert len(ours.violations) == len(theirs.violations)
    assert ours.worst == pytest.approx(theirs.worst, rel=1e-8, abs=1e-8)
    assert Counter(ours.errors) == Counter(theirs.errors)
    if theirs.violations:  # all stand for one of the worst
        assert ours.violations[0].severity == max(v.severity for v in theirs.violations)
        assert str(ours.violations[0]) in [str(v) for v in theirs.violations]  # NaN is not NaN
    return len(theirs.violations)


@each_format
@each_definition
@pytest.mark.parametrize("ulps", [None, 0.5, 0.75, 2.0])
def test_the_verdict_is_that_of_the_oracle_whatever_the_error(name, fmt, ulps):
    # Results k steps of the format away from the right ones, k = 0 ... 41.
    contract = Contract(ulps={} if ulps is None else {fmt.name: ulps})
    for classes in (2, 3):
        logits = hazards(fmt, classes, rows=35)
        batch = Batch("", logits, labels_for(name, logits))
        right = rounded(name, batch, fmt)
        assert verdicts_agree(name, fmt, batch, right, contract) == 0
        steps = np.random.default_rng(1).choice([0, 3, 11, 21, 41], right.shape)
        bits = right.view(np.int16) + steps.astype(np.int16)
        wrong = np.where(np.isfinite(widened(right)), bits.view(fmt.dtype), right)
        assert 0 < verdicts_agree(name, fmt, batch, wrong, contract) <= len(logits)


@each_format
@each_definition
@pytest.mark.parametrize("wrong", [INF, -INF, np.nan, 0.0, "largest"])
def test_infinities_and_results_that_overflow_are_judged_alike(name, fmt, wrong):
    top = float(fmt.from_significand(2**fmt.precision - 1, fmt.emax + 1 - fmt.precision))
    values = [top, -top, top / 2, -top / 2, top * 0.75, 1.0, -INF]
    logits = np.array([(a, b) for a in values for b in values if max(a, b) > -INF], fmt.dtype)
    for label in (0, 1) if lookup(name).labelled else (None,):
        labels = None if label is None else np.full(len(logits), label)
        batch = Batch("", logits, labels)
        right = rounded(name, batch, fmt)
        assert verdicts_agree(name, fmt, batch, right, Contract()) == 0
        computed = np.full_like(right, top if wrong == "largest" else wrong)
        verdicts_agree(name, fmt, batch, computed, Contract())


@each_format
@each_definition
def test_an_error_slightly_beyond_the_threshold_is_found(name, fmt):
    # A promise just above and just below the largest error of correct rounding plus one step.
    logits = hazards(fmt, 2, rows=40)
    batch = Batch("", logits, labels_for(name, logits))
    right = rounded(name, batch, fmt)
    computed = (right.view(np.int16) + 1).view(fmt.dtype)
    computed = np.where(np.isfinite(widened(computed)) & (widened(right) != 0), computed, right)
    worst = compare(lookup(name), Contract(ulps={fmt.name: 99.0}), fmt, batch, computed).worst
    assert worst > 1
    for factor, expected in ((1 + 2.0**-20, 0), (1 - 2.0**-20, 1)):
        promised = Contract(ulps={fmt.name: worst * factor})
        found = judge(lookup(name), promised, fmt, batch, computed)
        assert bool(found.violations) == expected


@each_format
def test_most_pairs_are_decided_without_the_oracle(fmt, monkeypatch):
    asked = []
    monkeypatch.setattr(exhaustive, "compare", lambda *a, **k: asked.append(a) or compare(*a, **k))
    (batch, *_) = draw(PAIRS[0x3C00 // 16], fmt, 8, 0, labelled=False)
    wide = widened(batch.logits)
    with np.errstate(all="ignore"):
        e = np.exp(wide - wide.max(axis=1, keepdims=True))
        value = (e / e.sum(axis=1, keepdims=True)).astype(fmt.dtype)
    verdict = judge(lookup("softmax"), CONVENTIONAL, fmt, batch, value)
    assert verdict.checks == 2 * 65536
    assert not verdict.violations
    assert verdict.worst == pytest.approx(0.5, abs=0.01)
    assert sum(len(a[3].logits) for a in asked) <= 2


def test_two_oracles_that_disagree_raise(monkeypatch):
    right = compare
    monkeypatch.setattr(
        exhaustive, "compare", lambda d, c, f, b, v, **k: right(d, c, f, b, rounded(d.name, b, f))
    )
    batch = Batch("", np.array([[0.0, 1.0]], dtype=np.float16), None)
    with pytest.raises(OracleError, match="disagree"):
        judge(lookup("softmax"), Contract(), BINARY16, batch, np.float16([[0.5, 0.5]]))


# --- rows without an exact value ---


@each_format
@each_definition
@pytest.mark.parametrize("choice", CHOICES["pos_inf"])
def test_every_nan_and_infinity_is_held_against_the_contract(name, fmt, choice):
    definition, contract = lookup(name), dataclasses.replace(CONVENTIONAL, pos_inf=choice)
    kinds = np.array([0.5, INF, -INF, np.nan])
    logits = np.array([(a, b) for a in kinds for b in kinds]).astype(fmt.dtype)
    labels = None if not definition.labelled else np.zeros(len(logits), dtype=np.int64)
    batch = Batch("", logits, labels)

    def result(right):
        values = []
        for i, row in enumerate(widened(logits)):
            promised = exhaustive.promise(definition, contract, row, label_at(labels, i))
            exact = (row < INF).all() and np.isfinite(row).any()
            if exact:
                values.append(truth(definition, logits[i], fmt, label=label_at(labels, i)).rounded)
            elif promised is None:
                values.append(np.asarray(123.0))
            else:
                wrong = np.where(np.isnan(promised.values), 0.0, np.nan)
                values.append(promised.values if right else wrong)
        return np.array(values).astype(fmt.dtype)

    assert not judge(definition, contract, fmt, batch, result(right=True)).violations
    verdict = judge(definition, contract, fmt, batch, result(right=False))
    assert {v.source for v in verdict.violations} == {f"contract: {contract}"}
    assert len(verdict.violations) >= 9
    assert all(not np.isfinite(widened(logits[v.row])).all() for v in verdict.violations)


# --- subjects ---


def softmax(x):
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(x.dtype)


def run(function, family, fmt, definition="softmax", contract=CONVENTIONAL):
    """The rows that a function fails in a family (one of each batch), and how many were checked."""
    live = InProcess(Subject("tests:function", definition, contract), function)
    found, checks = [], 0
    batches = draw(family, fmt, 8, 0, lookup(definition).labelled)
    for batch in itertools.islice(batches, 0, None, 5 if family == "every_value" else 1):
        verdict = check(live, lookup(definition), fmt, batch)
        found += [(batch.row(v.row), v) for v in {id(v): v for v in verdict.violations}.values()]
        checks += verdict.checks
    return found, checks


def test_one_pair_of_all_is_found():
    pair = np.array([0x3C01, 0xB777], dtype=np.uint16).view(np.float16)

    def wrong_once(x):
        p = softmax(x)
        p[(x == pair).all(axis=1)] = [0.5, 0.5]
        return p

    found, checks = run(wrong_once, "pairs:0x3c00", BINARY16)
    assert checks == 2 * 16 * 65536
    ((batch, violation),) = found
    np.testing.assert_array_equal(batch.logits[0], pair)
    assert violation.message == "value beyond its error bound"
    assert violation.observed == 0.5
    assert violation.error > violation.threshold


def test_both_labels_of_each_pair_are_asked():
    asked = set()

    def loss(x, labels):
        asked.update(labels.tolist())
        wide = x.astype(np.float64)
        d = wide - wide.max(axis=1, keepdims=True)
        tail = np.log1p(np.exp(d.min(axis=1)))
        value = tail - d[np.arange(len(x)), labels]
        return np.where(labels == 1, value * 1.5, value).astype(x.dtype)

    found, _ = run(loss, PAIRS[1], BFLOAT16, "cross_entropy")
    assert asked == {0, 1}
    assert {int(batch.labels[0]) for batch, _ in found} == {1}


def test_all_pairs_are_all_pairs():
    assert len(PAIRS) == 4096
    seen = np.zeros(2**16, dtype=bool)
    for family in (PAIRS[0], PAIRS[0x7BF], PAIRS[-1]):
        for batch in draw(family, BINARY16, 8, 0, labelled=False):
            first, second = batch.logits.view(np.uint16).T
            assert (first == first[0]).all()
            np.testing.assert_array_equal(second, np.arange(2**16))
            seen[first[0]] = True
    assert seen.sum() == 3 * 16
    assert seen[-1]
    assert [*draw(PAIRS[0], BINARY32, 8, 0, labelled=False)] == []


@each_format
def test_every_value_is_right_in_a_right_softmax_and_found_in_a_wrong_one(fmt):
    found, checks = run(softmax, "every_value", fmt)
    assert not found
    assert checks > 8 * 2**16 * 2
    wrong = patterns(fmt)[0x3ABC]

    def wrong_at_one_value(x):
        p = softmax(x)
        return np.where((x[:, -1:] == wrong) & (x.shape[1] == 17), 0, p).astype(x.dtype)

    found, _ = run(wrong_at_one_value, "every_value", fmt)
    assert found
    assert all(batch.logits[0, -1] == wrong for batch, _ in found)


@each_format
def test_every_real_goes_to_the_oracle(fmt):
    def sigmoid(x):
        wide = widened(x)
        e = np.exp(-np.abs(wide))
        return (np.where(wide < 0, e, 1) / (1 + e)).astype(x.dtype)

    found, checks = run(sigmoid, "every_real", fmt, "sigmoid")
    assert not found
    assert checks >= 2**16 - 2**fmt.precision

    def off_by_a_little(x):
        return np.where(x == fmt.dtype.type(2), 0.75, sigmoid(x)).astype(x.dtype)

    found, _ = run(off_by_a_little, "every_real", fmt, "sigmoid")
    assert found


def test_of_other_formats_and_definitions_nothing_is_said():
    batch = Batch("", np.zeros((3, 2), dtype=np.float32), None)
    for name, fmt in (("softmax", BINARY32), ("stablemax", BINARY16)):
        live = InProcess(Subject("tests:function", name), lambda x: x)
        part = Batch("", batch.logits.astype(fmt.dtype), None)
        assert check(live, lookup(name), fmt, part).checks == 0
    assert set(enclosed()) <= {"softmax", "log_softmax", "logsumexp", "cross_entropy"}
    assert len(FORMATS) == 4
