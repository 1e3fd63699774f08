"""The rounding-error bounds: no implementation of the documented class breaks them, wrong ones do.

The implementations below are the straightforward ones that each bound describes, in the format's
own arithmetic, with a recursive sum in the accumulator.
"""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    FORMATS,
)
from softproof.derivations.arithmetic.systems import ieee
from softproof.derivations.error_bounds.bounds import bound, shared_error
from softproof.derivations.error_bounds.model import ELEMENTARY, Model
from softproof.verify.oracle.truth import truth

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow is part of the test

ACCUMULATORS = ("input", "float32", "float64")


# --- the algorithms the bounds are stated for ---


def recursive_sum(terms, accumulator):
    wide = terms.dtype if accumulator == "input" else np.dtype(accumulator)
    if wide.itemsize < terms.dtype.itemsize:
        wide = terms.dtype
    total = wide.type(0)
    for term in terms.astype(wide):
        total += term
    return total.astype(terms.dtype)


def softmax(z, accumulator):
    e = np.exp(z - np.max(z))
    return e / recursive_sum(e, accumulator)


def others(z, accumulator):
    others = np.delete(z, np.argmax(z))
    return recursive_sum(np.exp(others - np.max(z)), accumulator)


def log_softmax(z, accumulator):
    return -((np.max(z) - z) + np.log1p(others(z, accumulator)))


def logsumexp(z, accumulator):
    return np.max(z) + np.log1p(others(z, accumulator))


def targets(z, label, smoothing):
    exact = np.full(len(z), smoothing / len(z))
    exact[label] += 1 - smoothing
    return exact.astype(z.dtype)


def cross_entropy(z, accumulator, label=0, label_smoothing=0.0):
    d = np.max(z) - z
    if label_smoothing == 0:
        return d[label] + np.log1p(others(z, accumulator))
    smoothed = recursive_sum(targets(z, label, label_smoothing) * d, accumulator)
    return smoothed + np.log1p(others(z, accumulator))


def cross_entropy_gradient(z, accumulator, label=0, label_smoothing=0.0):
    return softmax(z, accumulator) - targets(z, label, label_smoothing)


def gradient_by_exp(z, accumulator, label=0, label_smoothing=0.0):
    """From the log-probability, as by automatic differentiation of -log_softmax[label]."""
    d = np.max(z) - z
    log_probability = -(d + np.log(recursive_sum(np.exp(-d), accumulator)))
    return np.exp(log_probability) - targets(z, label, label_smoothing)


def stand_in(z):
    one = z.dtype.type(1)
    return np.where(z >= 0, z + one, one / (one - np.minimum(z, 0 * z)))


def stablemax(z, accumulator):
    s = stand_in(z)
    return s / recursive_sum(s, accumulator)


def stablemax_cross_entropy(z, accumulator, label=0):
    s = stand_in(z)
    return np.log1p(recursive_sum(np.delete(s, label), accumulator) / s[label])


OF_LOGITS = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "cross_entropy": cross_entropy,
    "stablemax": stablemax,
    "stablemax_cross_entropy": stablemax_cross_entropy,
}
ELEMENTWISE = ("sigmoid", "softplus")
LABELLED = ("cross_entropy", "stablemax_cross_entropy")


def errors(computed, exact):
    """|computed - (rounded + offset ulps)|; 0 where both are the same infinity."""
    computed = np.asarray(computed).astype(np.float64)
    rounded = exact.rounded.astype(np.float64)
    difference = np.where(computed == rounded, 0.0, computed - rounded)
    return np.abs(difference - np.ldexp(exact.offset, exact.ulp_exponent))


def within_bound(name, algorithm, z, fmt, accumulator, *, gradient=False, **arguments):
    exact = truth(lookup(name), z, fmt, gradient=gradient, **arguments)
    allowed = bound(name, z, Model.of(fmt, accumulator), gradient=gradient, **arguments)
    return bool(np.all(errors(algorithm(z, accumulator, **arguments), exact) <= allowed))


def variants(name, size):
    """The arguments besides the logits: right classes, smoothings."""
    if name not in LABELLED:
        return [{}]
    labels = [{"label": 0}, {"label": size - 1}]
    if name == "cross_entropy":
        return labels + [{**label, "label_smoothing": s} for label in labels for s in (0.1, 1.0)]
    return labels


RANDOM = np.random.default_rng(20210000)
ROWS = {
    "one class": [2.5],
    "ties": [0.0] * 8,
    "many ties": [3.0] * 200,
    "dominant": [17.0, 0.0, 0.0],
    "barely dominant in bfloat16": [6.0, 0.0, 0.0],
    "wide spread": np.linspace(0, -80, 50),
    "far below": [0.0, -15.0, -87.0],
    "large offset": 100 + RANDOM.standard_normal(20),
    "negative offset": RANDOM.standard_normal(20) - 500,
    "m and log1p(T) cancel": [-np.log(2.0), -np.log(2.0)],
    "both sides of 0": [-50.0, 3.0, 0.0, 1e-3, -1e-3],
    "random": 4 * RANDOM.standard_normal(64),
    "long": RANDOM.standard_normal(1500),
}


@pytest.mark.parametrize("accumulator", ACCUMULATORS)
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", OF_LOGITS)
def test_no_adversarial_row_breaks_a_bound(name, fmt, accumulator):
    broken = [
        (kind, arguments)
        for kind, row in ROWS.items()
        for arguments in variants(name, len(row))
        if not within_bound(
            name, OF_LOGITS[name], np.array(row).astype(fmt.dtype), fmt, accumulator, **arguments
        )
    ]
    assert broken == []


def blocked_sum(terms, accumulator):
    """Blocks of 128 one by one, the worst that is allowed, and their sums pairwise."""
    sums = [ONE_BY_ONE(terms[i : i + 128], accumulator) for i in range(0, len(terms), 128)]
    while len(sums) > 1:
        pairs = [sums[i : i + 2] for i in range(0, len(sums), 2)]
        sums = [ONE_BY_ONE(np.array(pair), accumulator) for pair in pairs]
    return sums[0] if sums else terms.dtype.type(0)


ONE_BY_ONE = recursive_sum


@pytest.mark.parametrize("between", ["float32", "float64"])
@pytest.mark.parametrize("fmt", [BFLOAT16, BINARY16, BINARY32], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", OF_LOGITS)
def test_no_adversarial_row_breaks_the_bound_of_a_wider_arithmetic(name, fmt, between, monkeypatch):
    monkeypatch.setitem(globals(), "recursive_sum", blocked_sum)
    model = Model.of(fmt, between, summation="blocked", arithmetic=between)
    broken = []
    for kind, row in ROWS.items():
        z = np.array(row).astype(fmt.dtype)
        for arguments in variants(name, len(row)):
            exact = truth(lookup(name), z, fmt, **arguments)
            result = np.asarray(OF_LOGITS[name](z.astype(between), "input", **arguments))
            allowed = bound(name, z, model, **arguments)
            if not np.all(errors(result.astype(fmt.dtype), exact) <= allowed):
                broken.append((kind, arguments))
    assert broken == []


@pytest.mark.parametrize("name", OF_LOGITS)
def test_rounding_every_operation_to_16_bits_breaks_the_bound_of_a_wider_arithmetic(name):
    model, beyond = Model.of(BFLOAT16, summation="blocked", arithmetic="float32"), 0
    for row in np.random.default_rng(1).normal(size=(60, 20)):
        z = row.astype(BFLOAT16.dtype)
        arguments = variants(name, len(z))[0]
        exact = truth(lookup(name), z, BFLOAT16, **arguments)
        found = errors(OF_LOGITS[name](z, "float32", **arguments), exact)
        beyond += not np.all(found <= bound(name, z, model, **arguments))
    assert beyond


def test_one_by_one_breaks_the_bound_of_blocks_and_not_that_of_any_order():
    z = np.float32([0.0] + [-17.0] * 4095)  # 1 absorbs them all, one by one
    exact = truth(lookup("softmax"), z, BINARY32)
    for total, order in ((recursive_sum, "any"), (blocked_sum, "blocked")):
        e = np.exp(z)
        found = errors(e / total(e, "input"), exact)
        assert np.all(found <= bound("softmax", z, Model.of(BINARY32, summation=order)))
    found = errors(np.exp(z) / recursive_sum(np.exp(z), "input"), exact)
    assert not np.all(found <= bound("softmax", z, Model.of(BINARY32, summation="blocked")))


@functools.cache
def height(n, split):
    """How many additions a term goes through in the tree that halves ``n`` terms by ``split``."""
    return split(n) if isinstance(split(n), int) else 1 + max(height(m, split) for m in split(n))


def numpys(n):
    """NumPy's pairwise sum: up to 128 terms in eight strands, else near halves of eighths."""
    if n < 8:
        return max(n - 1, 0)
    if n <= 128:
        return n // 8 - 1 + 3 + n % 8
    half = n // 2 - n // 2 % 8
    return half, n - half


def halves(n):
    return 0 if n == 1 else (n // 2, n - n // 2)


def test_the_trees_of_sums_are_no_higher_than_is_said():
    for n in (*range(1, 1300), 4095, 4097, 2**16 - 1, 2**16 + 1, 10**6):
        blocks = -(-n // 128)
        worst = min(n, 128) - 1 + (height(blocks, halves) if blocks > 1 else 0)
        assert Model(0, 0, 0, "blocked").additions(n) == worst
        assert height(n, numpys) <= worst
        assert Model(0, 0, 0, "pairwise").additions(n) == height(n, halves)
        assert Model(0, 0, 0, "any").additions(n) == n - 1


def test_the_shared_part_of_errors_hides_nothing_that_one_output_has():
    """A common factor of all probabilities fits; the same factor of one of them does not."""
    z = np.linspace(0, 2, 1000)
    model = Model.of(BINARY32, summation="blocked")
    shared = shared_error("softmax", z, model)
    whole = bound("softmax", z, model)
    assert np.all(shared.own < whole / 5)
    assert np.all(whole <= (shared.own + shared.common * shared.share) * (1 + 1e-12))


@pytest.mark.parametrize("algorithm", [cross_entropy_gradient, gradient_by_exp])
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_no_adversarial_row_breaks_the_gradient_bound(fmt, algorithm):
    broken = [
        (kind, arguments)
        for kind, row in ROWS.items()
        for arguments in variants("cross_entropy", len(row))
        if not within_bound(
            "cross_entropy",
            algorithm,
            np.array(row).astype(fmt.dtype),
            fmt,
            "float32",
            gradient=True,
            **arguments,
        )
    ]
    assert broken == []


def test_the_exponential_of_a_log_probability_needs_a_bound_of_its_own():
    rng = np.random.default_rng(3)
    beyond = 0
    for z in (100 * rng.standard_normal((400, 16))).astype(np.float32):
        exact = truth(lookup("cross_entropy"), z, BINARY32, label=0, gradient=True)
        found = errors(gradient_by_exp(z, "float32", label=0), exact)
        quotient = bound("softmax", z, Model.of(BINARY32, "float32"))
        beyond += bool(np.any((found > quotient)[1:]))
        assert within_bound(
            "cross_entropy", gradient_by_exp, z, BINARY32, "float32", gradient=True, label=0
        )
    assert beyond


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", OF_LOGITS)
@settings(derandomize=True, deadline=None, max_examples=25)
@given(row=st.lists(st.floats(-60, 60), min_size=1, max_size=8))
def test_no_random_row_breaks_a_bound(name, fmt, row):
    z = np.array(row).astype(fmt.dtype)
    for arguments in variants(name, len(z)):
        assert within_bound(name, OF_LOGITS[name], z, fmt, "input", **arguments)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("sigmoid", "by sign"),
        ("softplus", "log1p"),
        ("silu", "as published"),
        ("gelu", "as published"),
        ("gelu_tanh", "sigmoid"),
        ("exp", "as published"),
        ("expm1", "expm1"),
        ("tanh", "expm1"),
        ("erf", "as published"),
    ],
)
def test_no_real_breaks_a_bound_of_an_activation(name, form, fmt):
    x = np.concatenate([[0.0, 1e-5, -1e-5], np.linspace(-120, 120, 241)]).astype(fmt.dtype)
    with np.errstate(all="ignore"):
        computed = lookup(name).forms.get(form, lookup(name).formula)(x, ieee(fmt))
    exact = truth(lookup(name), x, fmt)
    assert np.all(errors(computed, exact) <= bound(name, x, Model.of(fmt)))


def gelu_by_erfc(x):
    """Each operation of x erfc(-x / sqrt 2) / 2 in the format, the constant rounded to it."""
    gate = np.array([math.erfc(float(v)) for v in -x * x.dtype.type(0.5**0.5)]).astype(x.dtype)
    return x * (gate / 2)


def gelu_by_erf(x):
    error = np.array([math.erf(float(v)) for v in x * x.dtype.type(0.5**0.5)]).astype(x.dtype)
    return x * (1 + error) / 2


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_the_bound_of_gelu_admits_what_its_argument_rounds_and_no_cancellation(fmt):
    x = np.concatenate([np.linspace(-14, 8, 200), [1e-6, -1e-6]]).astype(fmt.dtype)
    exact, allowed = truth(lookup("gelu"), x, fmt), bound("gelu", x, Model.of(fmt))
    assert np.all(errors(gelu_by_erfc(x), exact) <= allowed)
    assert not np.all(errors(gelu_by_erf(x), exact) <= allowed)


@pytest.mark.parametrize("name", ["log_softmax", "logsumexp"])
@pytest.mark.parametrize(("fmt", "far"), [(BINARY16, -16.0), (BINARY32, -102.5)])
def test_many_subnormal_exponentials(name, fmt, far):
    z = np.array([0.0] + [far] * 1000).astype(fmt.dtype)
    assert within_bound(name, OF_LOGITS[name], z, fmt, "float64")


# --- the bounds are not vacuous ---


def unshifted(z, accumulator):
    e = np.exp(z)
    return e / recursive_sum(e, accumulator)


def dropping_a_term(z, accumulator):
    e = np.exp(z - np.max(z))
    return e / recursive_sum(e[:-1], accumulator)


def with_a_coarse_exponential(z, accumulator):
    e = np.exp(z - np.max(z)) * z.dtype.type(1 + 2**-16)  # 128 ulps
    e[np.argmax(z)] = 1
    return e / recursive_sum(e, accumulator)


def log_softmax_by_log(z, accumulator):
    return -((np.max(z) - z) + np.log(1 + others(z, accumulator)))


def cross_entropy_by_log(z, accumulator, label=0):
    return np.max(z) - z[label] + np.log(1 + others(z, accumulator))


def cross_entropy_of_probability(z, accumulator, label=0):
    return -np.log(softmax(z, accumulator)[label])


@pytest.mark.parametrize(
    ("name", "broken", "row", "arguments"),
    [
        ("softmax", unshifted, [100.0, 99.0], {}),
        ("softmax", dropping_a_term, [0.0, 1.0, -9.0], {}),
        ("softmax", with_a_coarse_exponential, [0.0, 1.0, 2.0], {}),
        ("log_softmax", log_softmax_by_log, [17.0, 0.0], {}),
        ("log_softmax", log_softmax_by_log, [9.0, 0.0], {}),
        ("cross_entropy", cross_entropy_by_log, [17.0, 0.0], {"label": 0}),
        ("cross_entropy", cross_entropy_of_probability, [12.0, 0.0], {"label": 0}),
        ("cross_entropy", cross_entropy_of_probability, [0.0, 200.0], {"label": 0}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_wrong_implementation_breaks_its_bound(name, broken, row, arguments):
    z = np.float32(row)
    assert within_bound(name, OF_LOGITS[name], z, BINARY32, "input", **arguments)
    assert not within_bound(name, broken, z, BINARY32, "input", **arguments)


@pytest.mark.parametrize(("name", "x"), [("sigmoid", -100.0), ("softplus", -20.0)])
def test_an_activation_as_published_breaks_its_bound(name, x):
    z = np.float32([x])
    with np.errstate(all="ignore"):
        computed = lookup(name)(z, ieee(BINARY32))
    assert np.all(
        errors(computed, truth(lookup(name), z, BINARY32)) > bound(name, z, Model.of(BINARY32))
    )


# --- what a bound promises about the edges ---


def test_a_bound_holds_where_a_recursive_sum_sticks():
    ones = 5000 * [BINARY16.dtype.type(1)]
    z = np.zeros(5000, dtype=np.float16)
    stuck = ieee(BINARY16).sum(ones)
    assert stuck == 2048
    exact = truth(lookup("softmax"), z, BINARY16)
    computed = np.full(5000, np.float16(1) / stuck)
    assert np.all(errors(computed, exact) <= bound("softmax", z, Model.of(BINARY16, "input")))


def test_an_accumulator_is_never_narrower_than_the_format():
    assert Model.of(BINARY64, "float32") == Model.of(BINARY64, "input")


def test_masked_classes_have_bound_zero_and_do_not_change_the_others():
    model = Model.of(BINARY32)
    masked = bound("softmax", np.float32([1, -np.inf, 2]), model)
    assert masked[1] == 0
    np.testing.assert_array_equal(masked[[0, 2]], bound("softmax", np.float32([1, 2]), model))


def test_a_definition_without_a_proof_has_no_bound():
    assert bound("sigmoid", np.zeros(1), Model.of(BINARY32), gradient=True) is None
    assert bound("no such function", np.zeros(1), Model.of(BINARY32)) is None


# --- known defects of the bounds: each of these must be mended in its module, then unmarked ---


def test_a_softmax_that_flushes_many_subnormal_exponentials():
    z = np.float16([0.0] + [-9.75] * 2000)  # e^-9.75 < 2^-14
    flushed = np.float16([1.0] + [0.0] * 2000)
    exact = truth(lookup("softmax"), z, BINARY16)
    allowed = bound("softmax", z, Model.of(BINARY16, "float32", flushes=True))
    assert np.all(errors(flushed, exact) <= allowed)


def test_the_worst_softmax_of_the_model_in_bfloat16():
    u, far = 2.0**-8, 80.0
    worst_loser = np.exp(-far * (1 - u)) * (1 + ELEMENTARY * u)
    worst_total = (1 + np.exp(-far)) * (1 - ELEMENTARY * u)
    error = worst_loser / worst_total * (1 + u) - np.exp(-far)
    assert error <= bound("softmax", np.array([0.0, -far]), Model.of(BFLOAT16, "float64"))[1]


def test_a_correctly_rounded_stablemax_of_huge_logits():
    z = np.array([1.7e308, 1.2e308])
    exact = truth(lookup("stablemax"), z, BINARY64)
    assert np.all(errors(exact.rounded, exact) <= bound("stablemax", z, Model.of(BINARY64)))


def test_a_bound_is_never_nan():
    model = Model.of(BFLOAT16, "input")
    assert not np.isnan(bound("cross_entropy", np.zeros(300), model, label=0, label_smoothing=0.1))


# --- cases that review found ---


def test_stablemax_of_subnormal_weights():
    z = np.float16([-43328, -65408, -56608, -20832])
    weights = (1 / (1 - z)).astype(np.float16).astype(np.float32)
    computed = (weights / weights.sum(dtype=np.float32)).astype(np.float16)
    exact = truth(lookup("stablemax"), z, BINARY16)
    assert np.all(errors(computed, exact) <= bound("stablemax", z, Model.of(BINARY16)))


def test_the_gradient_of_the_label_as_minus_the_sum_of_the_others_in_bfloat16():
    u, classes = 2.0**-8, 200
    z = np.full(classes, -10.0)
    z[1] = 0
    p = np.exp(z) / np.exp(z).sum()
    # The sum loses every rounding, the quotient and the sum of the others gain every one.
    worst_sum = np.exp(z).sum() * (1 - u) ** (classes - 1)
    worst = np.delete(np.exp(z) / worst_sum * (1 + u), 0).sum() * (1 + u) ** (classes - 2)
    allowed = bound("cross_entropy", z, Model.of(BFLOAT16, "input"), label=0, gradient=True)[0]
    assert worst - (1 - p[0]) <= allowed


def test_nothing_is_proven_where_exp_may_be_anything_or_smoothing_meets_a_mask():
    assert bound("softmax", np.zeros(2), Model(1 / 8, 1 / 8, 0.0)) is None
    masked = np.array([0.0, -np.inf])
    model = Model.of(BINARY32)
    assert bound("cross_entropy", masked, model, label=0, label_smoothing=0.1) is None
