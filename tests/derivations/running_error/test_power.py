"""What kernels do otherwise fits the class that says so, and is found out in the class that does
not; and mistakes are found out.
"""

import flint
import ml_dtypes
import numpy as np
import pytest
from softproof.derivations.arithmetic.balls import balls
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32, TFLOAT32
from softproof.derivations.running_error import Model, Verdict, threshold, verdict
from softproof.derivations.running_error.model import rounded_to
from softproof.derivations.running_error.thresholds import admissible

F4 = np.float32
PLAIN = Model.of(BINARY32, accumulator="input", summation="blocked")


def within(**options):
    return Model.of(BINARY32, accumulator="input", summation="blocked", **options)


def ratio(result, formula, arguments, model=PLAIN):
    """The largest error of a result over its bound, the exact value from balls."""
    arguments = [np.asarray(a, dtype=np.float64) for a in arguments]
    form = formula if callable(formula) else formula[0]
    xp = balls()
    with flint.ctx.workprec(200):
        exact = form(*(xp.array(a) for a in arguments), xp=xp)
        truth = np.array([float(b.mid()) for b in np.atleast_1d(np.asarray(exact, dtype=object))])
    bound = np.atleast_1d(admissible(threshold(formula, arguments, model)))
    error = np.abs(np.atleast_1d(np.asarray(result, dtype=np.float64)) - truth)
    return float(np.max(np.where(np.isinf(bound), 0.0, error / bound)))


def softmax(z, xp):
    return xp.softmax(z)


def dot(a, b, xp):
    return xp.dot(a, b)


def layer_norm(x, gain, bias, xp):
    c = x - xp.mean(x)
    return c * xp.rsqrt(xp.mean(c * c) + 2.0**-17) * gain + bias


def layer_norm_scale_and_bias(x, gain, bias, xp):
    mean = xp.mean(x)
    c = x - mean
    scale = xp.rsqrt(xp.mean(c * c) + 2.0**-17)
    return (x * scale + -mean * scale) * gain + bias


def attention(query, keys, values, xp):
    return xp.dot(xp.softmax(xp.dot(keys, query) * 0.125), values)


def rng(seed=2):
    return np.random.default_rng(seed)


def scores(n=64, spread=3.0, seed=2):
    return (rng(seed).standard_normal(n) * spread).astype(F4)


# --- forms of softmax ---


def test_softmax_from_a_logsumexp_loses_the_digits_of_its_offset():
    z = scores() + F4(1000)
    level = z.max() + np.log(np.exp(z - z.max()).sum(dtype=F4))
    result = np.exp(z - level)
    assert ratio(result, softmax, [z]) > 2
    assert ratio(result, softmax, [z], within(from_logsumexp=True)) <= 1


def test_an_exponential_as_a_power_of_two_loses_the_digits_of_its_argument():
    x = -rng().uniform(60, 87, 512).astype(F4)
    result = np.exp2(x * F4(1.442695))
    assert ratio(result, lambda x, xp: xp.exp(x), [x]) > 2
    assert ratio(result, lambda x, xp: xp.exp(x), [x], within(exponent_argument=2.0)) <= 1


def test_an_online_softmax_that_rescales_after_each_score_has_the_errors_of_its_rescalings():
    steps = rng().uniform(1e-3, 5e-3, 400).astype(F4)
    worst = max(steps, key=lambda x: abs(float(np.exp(-x)) / np.exp(-float(x)) - 1))
    z = (worst * np.arange(1024, dtype=F4)).astype(F4)  # each is the largest so far
    factors = np.exp(z[:-1] - z[1:])
    total, terms = F4(1), np.ones(1, F4)
    for factor in factors:
        total = F4(total * factor + F4(1))
        terms = np.append(terms * factor, F4(1))
    assert ratio(terms / total, softmax, [z]) > 2
    assert ratio(terms / total, softmax, [z], within(online_block=1)) <= 1


def test_flushed_exponentials_are_lost():
    z = np.array([0.0, -88.0], F4)
    e = np.exp(z)
    e[e < 2.0**-126] = 0
    assert ratio(e / e.sum(dtype=F4), softmax, [z]) > 100
    assert ratio(e / e.sum(dtype=F4), softmax, [z], within(flushes=True)) <= 1


def test_a_flushed_product_is_lost():
    a, b = np.array([1.5 * 2.0**-70], F4), np.array([2.0**-60], F4)
    product = lambda a, b, xp: a * b  # noqa: E731
    assert ratio([0.0], product, [a, b]) > 100
    assert ratio([0.0], product, [a, b], within(flushes=True)) <= 1


# --- formats of operands, sums and results ---


def test_operands_in_tf32_are_seen_in_a_product():
    a, b = (np.abs(rng(seed).standard_normal(32)).astype(F4) for seed in (1, 2))
    cut = lambda x: (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(F4)  # noqa: E731
    result = np.dot(cut(a), cut(b))
    assert ratio(result, dot, [a, b]) > 2
    assert 0.1 < ratio(result, dot, [a, b], within(operands=TFLOAT32)) <= 1


def attention_inputs():
    """Query, keys and values in bfloat16, which TFLOAT32 and float32 hold."""
    generator = rng(5)
    shapes = ((64,), (64, 64), (64, 64))
    return [generator.standard_normal(s).astype(ml_dtypes.bfloat16).astype(F4) for s in shapes]


def test_weights_of_attention_in_bfloat16_are_seen():
    q, k, v = attention_inputs()
    s = (k @ q) * F4(0.125)
    e = np.exp(s - s.max())
    result = (e.astype(ml_dtypes.bfloat16).astype(F4) @ v) / e.sum(dtype=F4)
    assert ratio(result, attention, [q, k, v]) > 2
    assert ratio(result, attention, [q, k, v], within(operands=BFLOAT16)) <= 1


def test_probabilities_stored_in_bfloat16_before_they_are_used_are_seen():
    q, k, v = attention_inputs()
    s = (k @ q) * F4(0.125)
    e = np.exp(s - s.max())
    p = (e / e.sum(dtype=F4)).astype(ml_dtypes.bfloat16).astype(F4)
    result = (p @ v).astype(ml_dtypes.bfloat16).astype(F4)
    options = {"arithmetic": "float32", "summation": "blocked"}
    arguments = [q, k, v]
    assert ratio(result, attention, arguments, Model.of(BFLOAT16, **options)) > 1
    stored = Model.of(BFLOAT16, stored_softmax=True, **options)
    assert ratio(result, attention, arguments, stored) <= 1


def truncated(x):
    """A float64 cut off to a float32."""
    rounded = x.astype(F4)
    over = np.abs(rounded.astype(float)) > np.abs(x)
    return np.where(over, np.nextafter(rounded, F4(0)), rounded).astype(F4)


def test_an_accumulator_that_cuts_off_is_seen():
    x = np.array([1.0, 2.0**-24 * 1.999], F4)
    total = truncated(x[:1].astype(float) + x[1:].astype(float))
    sum_ = lambda x, xp: xp.sum(x)  # noqa: E731
    assert ratio(total, sum_, [x]) > 1.9
    assert ratio(total, sum_, [x], within(faithful_sums=True)) <= 1


def test_a_result_that_is_cut_off_is_seen():
    rounding = {"arithmetic": "float32"}
    z = scores(64, 1.0).astype(ml_dtypes.bfloat16).astype(F4)
    e = np.exp(z - z.max())
    result = ((e / e.sum(dtype=F4)).view(np.uint32) & np.uint32(0xFFFF0000)).view(F4)
    assert ratio(result, softmax, [z], Model.of(BFLOAT16, **rounding)) > 1.5
    faithful = Model.of(BFLOAT16, faithful_result=True, **rounding)
    assert ratio(result, softmax, [z], faithful) <= 1


def test_a_quotient_as_a_product_with_a_reciprocal_is_seen():
    a, b = (rng(seed).uniform(1, 2, 4000).astype(F4) for seed in (1, 2))
    result = a * (F4(1) / b)
    quotient = lambda a, b, xp: a / b  # noqa: E731
    assert ratio(result, quotient, [a, b]) > 1.2
    assert ratio(result, quotient, [a, b], within(division=2.5)) <= 1


# --- equivalent forms ---


def test_a_mean_as_a_product_with_a_rounded_reciprocal_conforms():
    mean = lambda x, xp: xp.mean(x)  # noqa: E731
    worst = 0.0
    for n in range(3, 40):
        x = np.zeros(n, F4)  # exact zeros are added without rounding: the quotient alone rounds
        for leading in rng(n).uniform(1, 2, 10).astype(F4):
            x[0] = leading
            worst = max(worst, ratio(x.sum(dtype=F4) * (F4(1) / F4(n)), mean, [x]))
    assert 0.6 < worst <= 1


def test_layer_norm_as_scale_and_bias_is_another_form():
    """x s - mean s cancels what x - mean does not; each form has its own threshold."""
    n = 256
    worst, worst_of_both = 0.0, 0.0
    for seed in range(6):
        x = (rng(seed).standard_normal(n) * 0.01 + 2).astype(F4)
        mean = x.mean(dtype=F4)
        c = x - mean
        s = F4(1) / np.sqrt((c * c).mean(dtype=F4) + F4(2.0**-17))
        result = x * s + -mean * s
        arguments = [x, np.ones(n), np.zeros(n)]
        worst = max(worst, ratio(result, layer_norm, arguments))
        both = [layer_norm, layer_norm_scale_and_bias]
        worst_of_both = max(worst_of_both, ratio(result, both, arguments))
    assert worst_of_both < worst
    assert worst_of_both <= 1


def test_sigmoid_by_tanh_has_an_absolute_error():
    x = np.linspace(-16, -2, 500).astype(F4)
    result = F4(0.5) * np.tanh(x * F4(0.5)) + F4(0.5)
    sigmoid = lambda x, xp: xp.sigmoid(x)  # noqa: E731
    by_tanh = lambda x, xp: 0.5 * xp.tanh(x * 0.5) + 0.5  # noqa: E731
    assert ratio(result, sigmoid, [x]) > 100
    assert ratio(result, sigmoid, [x], within(absolute=2.0)) <= 1
    assert ratio(result, by_tanh, [x]) <= 1


# --- mistakes ---


def one_pass(x):
    mean = x.mean(dtype=F4)
    variance = np.maximum((x * x).mean(dtype=F4) - mean * mean, 0)
    return (x - mean) / np.sqrt(variance + F4(2.0**-17))


def test_a_variance_in_one_pass_is_found_out_at_an_offset():
    for n in (64, 256, 1024):
        arguments = [np.ones(n), np.zeros(n)]
        caught = {}
        for offset in (0, 1000):
            x = (rng().standard_normal(n) + offset).astype(F4)
            caught[offset] = ratio(one_pass(x), layer_norm, [x, *arguments])
        assert caught[0] <= 1
        assert caught[1000] > 1
        c = x - x.mean(dtype=F4)
        two_pass = c / np.sqrt((c * c).mean(dtype=F4) + F4(2.0**-17))
        assert ratio(two_pass, layer_norm, [x, *arguments]) <= 1


def test_a_softmax_without_the_maximum_fails_where_it_overflows():
    z = np.array([100.0, 99.0], F4)
    with np.errstate(all="ignore"):
        e = np.exp(z)
        naive = e / e.sum(dtype=F4)
    found = threshold(softmax, [z], PLAIN)
    assert (verdict(naive, found, PLAIN) == Verdict.FAILED).any()


@pytest.mark.parametrize(
    ("mistake", "least"),
    [
        ("an unscaled score", 1000),
        ("a key too many", 100),
        ("scores in bfloat16", 20),
    ],
)
def test_a_mistake_in_attention_is_found_out(mistake, least):
    q, k, v = attention_inputs()
    s = (k @ q) * F4(1 if mistake == "an unscaled score" else 0.125)
    if mistake == "scores in bfloat16":
        s = rounded_to(BFLOAT16, s).astype(F4)
    e = np.exp(s - s.max())
    total = e.sum(dtype=F4) + (e[0] if mistake == "a key too many" else 0)
    assert ratio((e / total) @ v, attention, [q, k, v]) > least
    s = (k @ q) * F4(0.125)
    e = np.exp(s - s.max())
    assert ratio((e / e.sum(dtype=F4)) @ v, attention, [q, k, v]) <= 1
