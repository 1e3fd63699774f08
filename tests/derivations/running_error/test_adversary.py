"""An implementation that errs as much as its class allows stays within, and comes close."""

import functools

import flint
import numpy as np
import pytest
from softproof.derivations.arithmetic.balls import balls
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32, TFLOAT32, Format
from softproof.derivations.running_error import Model, threshold
from softproof.derivations.running_error.adversary import SIGNS, Adversary
from softproof.derivations.running_error.model import rounded_to
from softproof.derivations.running_error.thresholds import admissible

BITS40 = Format("p40", 40, 1023, np.dtype(np.float64))
MODELS = {
    "bfloat16": Model.of(BFLOAT16, accumulator="input"),
    "bfloat16, sums in float32": Model.of(BFLOAT16),
    "float32": Model.of(BINARY32, accumulator="input"),
    "float32, pairwise": Model.of(BINARY32, accumulator="input", summation="pairwise"),
    "float32, blocked": Model.of(BINARY32, accumulator="input", summation="blocked"),
    "float32, flushing": Model.of(BINARY32, flushes=True),
    "float16": Model.of(BINARY16, accumulator="input"),
    "40 bits": Model(BITS40, BITS40, BITS40),
    "bfloat16 from float32, sums in bfloat16": Model.of(
        BFLOAT16, accumulator="input", arithmetic="float32"
    ),
    "float32, as tensor cores": Model.of(
        BINARY32,
        accumulator="input",
        operands=TFLOAT32,
        faithful_sums=True,
        exponent_argument=2.0,
        division=2.5,
        elementary=4.0,
    ),
}


def softmax_by_operations(z, xp):
    e = xp.exp(xp.shifted(z))
    return e / xp.sum(e)


def log_softmax(z, xp):
    d = xp.shifted(z)
    return d - xp.log(xp.sum(xp.exp(d)))


def rms_norm(x, gain, xp):
    return x * xp.rsqrt(xp.mean(x * x) + 2.0**-17) * gain


def layer_norm(x, gain, xp):
    c = x - xp.mean(x)
    return c * xp.rsqrt(xp.mean(c * c) + 2.0**-17) * gain


def kl_divergence(student, teacher, xp):
    p, q = log_softmax(student / 4, xp), log_softmax(teacher / 4, xp)
    return 16 * xp.sum(xp.exp(q) * (q - p))


def sparsemax(z, xp):
    tau = xp.max((xp.cumsum(xp.descending(z)) - 1) / xp.counts(len(z)))
    return xp.positive_part(z - tau)


def swiglu(a, b, xp):
    return a * xp.sigmoid(a) * b


def attention(query, keys, values, xp):
    return xp.dot(xp.softmax(xp.dot(keys, query) * 0.25), values)


def focal(z, gamma, xp):
    return xp.sum(xp.pow(xp.sigmoid(-z), gamma) * xp.softplus(-z))


# name: (formula, the shapes of its arguments for K)
FORMULAS = {
    "softmax": (lambda z, xp: xp.softmax(z), lambda k: [(k,)]),
    "softmax by operations": (softmax_by_operations, lambda k: [(k,)]),
    "log_softmax": (log_softmax, lambda k: [(k,)]),
    "rms_norm": (rms_norm, lambda k: [(k,), (k,)]),
    "layer_norm": (layer_norm, lambda k: [(k,), (k,)]),
    "kl_divergence": (kl_divergence, lambda k: [(k,), (k,)]),
    "sparsemax": (sparsemax, lambda k: [(k,)]),
    "swiglu": (swiglu, lambda k: [(k,), (k,)]),
    "attention": (attention, lambda k: [(16,), (k, 16), (k, 3)]),
    "focal": (focal, lambda k: [(k,), (k,)]),
}


def exact(formula, arguments):
    with flint.ctx.workprec(200):
        xp = balls()
        found = formula(*(xp.array(a) for a in arguments), xp)
        return np.array([float(b.mid()) for b in np.atleast_1d(np.asarray(found, dtype=object))])


def arguments_of(shapes, kind, model, rng, scale=1.0):
    """Arguments in the format; the first of a kind and a scale."""
    drawn = [rng.standard_normal(shape) for shape in shapes]
    first = drawn[0]
    drawn[0] = {
        "normal": first,
        "constant": np.full(first.shape, rng.uniform(1, 2)),
        "wide": np.exp(2 * first) * rng.choice([-1, 1], first.shape),
        "offset": first + 20,
    }[kind] * scale
    return [rounded_to(model.result, a) for a in drawn]


def ratios(formula, arguments, model, softmax_form="quotient", *, within=None, seed=3):
    """The errors of the adversary over the bounds of a class, 0 where these are infinite."""
    truth = exact(formula, arguments)
    found = threshold(formula, arguments, within or model)
    bound = np.atleast_1d(admissible(found))
    assert not np.isnan(bound).any()
    rng = np.random.default_rng(seed)
    worst = np.zeros(truth.shape)
    for signs in (*SIGNS, "drawn", "drawn"):
        xp = Adversary(model, signs, rng, softmax_form)
        with np.errstate(all="ignore"):
            result = formula(*(xp.array(a) for a in arguments), xp)
            error = np.abs(np.atleast_1d(result.value) - truth)
            worst = np.fmax(worst, np.where(np.isinf(bound), 0.0, error / (bound + 2.0**-1074)))
    return worst, np.isinf(bound)


@functools.cache
def all_ratios(name, which):
    """The worst ratio of a formula in a class, that of numbers around 1, and the share of infinite
    bounds of these.
    """
    model = MODELS[which]
    formula, shapes = FORMULAS[name]
    rng = np.random.default_rng(11)
    worst, ordinary, infinite = [], [], []
    for classes in (2, 9, 24):
        for kind in ("normal", "constant", "wide", "offset"):
            for scale in (1.0, 2.0**-60, 2.0**-128):
                arguments = arguments_of(shapes(classes), kind, model, rng, scale)
                if name == "focal":
                    arguments[1] = np.abs(arguments[1])
                found, unknown = ratios(formula, arguments, model)
                worst.append(float(found.max()))
                if scale == 1:
                    ordinary.append(worst[-1])
                    infinite.append(float(unknown.mean()))
    return max(worst), max(ordinary), np.mean(infinite)


@pytest.mark.parametrize("which", MODELS)
@pytest.mark.parametrize("name", FORMULAS)
def test_the_adversary_stays_within_the_bounds(name, which):
    worst, _, infinite = all_ratios(name, which)
    # binary64, in which the adversary computes, rounds as well
    assert worst <= 1 + 4 * 2.0**-53 / MODELS[which].u
    assert infinite < (0.5 if max(MODELS[which].u, MODELS[which].v) > 2.0**-20 else 0.05)


@pytest.mark.long
@pytest.mark.parametrize("which", MODELS)
@pytest.mark.parametrize("name", FORMULAS)
def test_the_adversary_stays_within_the_bounds_on_many_rows(name, which):
    model = MODELS[which]
    formula, shapes = FORMULAS[name]
    rng = np.random.default_rng(12)
    for classes in (3, 17, 64, 300):
        for kind in ("normal", "constant", "wide", "offset"):
            for scale in (1.0, 2.0**-30, 2.0**-64, 2.0**-128):
                arguments = arguments_of(shapes(classes), kind, model, rng, scale)
                if name == "focal":
                    arguments[1] = np.abs(arguments[1])
                worst, _ = ratios(formula, arguments, model, seed=classes)
                assert worst.max() <= 1 + 4 * 2.0**-53 / model.u


@pytest.mark.parametrize("name", FORMULAS)
def test_the_adversary_comes_within_a_factor_four(name):
    assert max(all_ratios(name, which)[1] for which in MODELS) > 0.25


def test_a_bound_of_first_order_is_exceeded_by_the_adversary():
    """What dropping the terms of second order would mean: the tester sees it."""
    model = MODELS["bfloat16"]
    z = rounded_to(BFLOAT16, np.array([60.0, 1.5]))
    square = lambda x, xp: x * x * x * x * x * x  # noqa: E731
    found = threshold(square, [z], model)
    first_order = 5 * model.u * np.abs(found.value)
    xp = Adversary(model, "up", np.random.default_rng(0))
    error = np.abs(square(xp.array(z), xp).value - found.value)
    assert np.all(error > first_order)
    assert np.all(error <= admissible(found))


SOFTMAX = FORMULAS["softmax"][0]
ONLINE = {"accumulator": "input", "summation": "blocked"}
FORMS = {
    "online, block 1": ("online", {"online_block": 1}, 0.0),
    "online, block 16": ("online", {"online_block": 16}, 0.0),
    "exp(z - logsumexp)": ("division-free", {"from_logsumexp": True}, 1000.0),
    "exp by 2^(x log2 e)": ("quotient", {"exponent_argument": 2.0}, 0.0),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fmt", [BINARY16, BINARY32], ids=lambda f: f.name)
def test_a_form_of_softmax_fits_its_own_class(form, fmt):
    softmax_form, options, offset = FORMS[form]
    model = Model.of(fmt, accumulator="input", **options)
    rng = np.random.default_rng(5)
    z = rounded_to(fmt, np.sort(4 * rng.standard_normal(48)) + offset)
    worst, _ = ratios(SOFTMAX, [z], model, softmax_form)
    assert 0.1 < worst.max() <= 1


@pytest.mark.parametrize("form", ["online, block 1", "exp(z - logsumexp)"])
def test_a_form_of_softmax_exceeds_the_class_without_it(form):
    softmax_form, options, offset = FORMS[form]
    model = Model.of(BINARY32, summation="blocked", **options)
    plain = Model.of(BINARY32, summation="blocked")
    z = rounded_to(BINARY32, np.linspace(0, 1, 60) + offset)
    worst, _ = ratios(SOFTMAX, [z], model, softmax_form, within=plain)
    assert worst.max() > 1


ONES = np.ones(40)
# An option, and a formula with arguments at which it matters.
LARGER = {
    "elementary": ({"elementary": 9.0}, lambda x, xp: xp.exp(x), [np.array([0.5])]),
    "roots": ({"roots": 5.0}, lambda x, xp: xp.rsqrt(x), [np.array([2.0])]),
    "division": ({"division": 2.0}, lambda x, xp: 1 / x, [np.array([3.0])]),
    "exponent_argument": (
        {"exponent_argument": 2.0},
        lambda x, xp: xp.exp(x),
        [np.array([-50.0])],
    ),
    "summation": ({"summation": "any"}, lambda x, xp: xp.sum(x), [ONES]),
    "faithful_sums": (
        {"summation": "pairwise", "faithful_sums": True},
        lambda x, xp: xp.sum(x),
        [ONES],
    ),
    "operands": ({"operands": TFLOAT32}, lambda x, xp: xp.dot(x, x), [np.array([1 + 2.0**-20])]),
    "flushes": ({"flushes": True}, lambda x, xp: x * x, [np.array([2.0**-64])]),
}


@pytest.mark.parametrize("option", LARGER)
def test_an_option_makes_the_class_larger_by_what_it_says_and_no_smaller_class_holds_it(option):
    options, formula, arguments = LARGER[option]
    plain = Model.of(BINARY32, accumulator="input", summation="pairwise")
    larger = Model.of(BINARY32, accumulator="input", **{"summation": "pairwise", **options})
    assert ratios(formula, arguments, larger)[0].max() <= 1
    assert ratios(formula, arguments, larger, within=plain)[0].max() > 1


def linear_cross_entropy(hidden, weight, xp):
    d = xp.shifted(xp.dot(weight, hidden))
    return xp.log(xp.sum(xp.exp(d))) - d[0]


@pytest.mark.parametrize("which", ["float32", "float32, pairwise", "40 bits"])
def test_a_loss_of_logits_in_the_ten_thousands_has_a_bound_that_holds(which):
    """Their errors exceed 1, so that the sum of their exponentials alone may be anything."""
    model = MODELS[which]
    rng = np.random.default_rng(1)
    for classes in (2, 9, 40):
        arguments = arguments_of([(16,), (classes, 16)], "normal", model, rng, scale=1e4)
        worst, infinite = ratios(linear_cross_entropy, arguments, model)
        assert worst.max() <= 1
        assert not infinite.any()
