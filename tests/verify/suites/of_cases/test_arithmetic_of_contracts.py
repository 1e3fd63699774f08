"""What a contract says of the arithmetic: of each choice one that fits, and one that exceeds it."""

import functools

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import (
    ALL_FORMATS,
    BFLOAT16,
    BINARY32,
    FLOAT8_E4M3FN,
    FLOAT8_E5M2,
)
from softproof.derivations.definition import Definition
from softproof.derivations.running_error.model import rounded_to
from softproof.derivations.signature import Matrix, Signature, Vector
from softproof.verify.cases.case import Case, CaseBatch
from softproof.verify.cases.products import products
from softproof.verify.subjects.contract import (
    BETWEEN,
    CHOICES,
    USUAL,
    Contract,
    wider_contracts,
    widest_contract,
)
from softproof.verify.suites.of_cases.accuracy import TIMES_THE_WIDEST, judge
from softproof.verify.suites.of_cases.thresholds import largest_errors, model_of


def defined(name, arguments, output, formula):
    """A definition of the test's own, not registered."""
    return Definition(
        name=name,
        family="tests",
        source="this module",
        formula=formula,
        signature=Signature(arguments, {"value": output}),
        parameters={},
    )


TOTAL = defined("a total", {"x": Vector("n")}, (), lambda x, xp: xp.sum(x))
PRODUCT = defined(
    "a product", {"x": Vector("n"), "y": Vector("n")}, (), lambda x, y, xp: xp.dot(x, y)
)
WEIGHTS = defined("weights", {"z": Vector("n")}, ("n",), lambda z, xp: xp.softmax(z))
WEIGHTED = defined(
    "a weighted mean",
    {"z": Vector("n"), "v": Matrix("n", "e")},
    ("e",),
    lambda z, v, xp: xp.dot(xp.softmax(z), v),
)


def passes(definition, fmt, arguments, computed, masks=None, **settings):
    """Whether a result is within the threshold of a contract; all are decided."""
    numbers = {name: np.asarray(value).astype(fmt.dtype) for name, value in arguments.items()}
    case = Case(numbers | (masks or {}))
    results = np.asarray(computed).astype(fmt.dtype).reshape(1, -1)
    verdict = judge(definition, Contract(**settings), fmt, CaseBatch("", (case,)), results)
    assert not verdict.undecided
    assert verdict.checks == results.size
    return not verdict.violations


def test_the_usual_choices_leave_the_class_as_it_was():
    plain = model_of(Contract(), BINARY32)
    assert plain.operands is None
    assert not any([plain.faithful_sums, plain.online_block, plain.from_logsumexp])
    assert not any([plain.stored_scores, plain.stored_softmax, plain.stored_forward])
    assert str(Contract(**USUAL)) == str(Contract())


@pytest.mark.parametrize("axis", [*USUAL, "arithmetic", "accumulator"])
def test_every_choice_makes_a_class(axis):
    for choice in CHOICES[axis]:
        for fmt in (BFLOAT16, BINARY32, FLOAT8_E4M3FN):
            model = model_of(Contract(**{axis: choice}), fmt)
            assert model.u <= float(fmt.unit_roundoff)


@pytest.mark.parametrize("declared", [{}, {"summation": "pairwise"}, {"products": "tfloat32"}])
@pytest.mark.parametrize("definition", [TOTAL, PRODUCT, WEIGHTS], ids=lambda d: d.name)
def test_what_is_far_beyond_the_widest_contract_is_beyond_all(definition, declared):
    rng = np.random.default_rng(0)
    names = definition.signature.arguments
    case = Case({name: rng.uniform(1, 2, 40).astype(BFLOAT16.dtype) for name in names})
    contract = Contract(arithmetic="float64", accumulator="float64", **declared)

    def errors(settings):
        model = model_of(contract.with_settings(settings), BFLOAT16)
        return largest_errors(definition, case, model)

    most = TIMES_THE_WIDEST * errors(widest_contract(contract))
    assert all((errors(settings) <= most).all() for settings in wider_contracts(contract))


# --- products ---

COARSER = {"tfloat32": "bfloat16", "bfloat16": "float8_e4m3fn", "float16": "bfloat16"}


@pytest.mark.parametrize("products", COARSER)
def test_factors_may_be_rounded_as_far_as_declared_and_no_further(products):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(1, 2, (2, 64)).astype(np.float32)

    def down(fmt):
        """Both factors cut off to a format, all in one direction."""
        return [rounded_to(fmt, v * (1 - fmt.unit_roundoff.__float__())) for v in (x, y)]

    fits, exceeds = (np.dot(*down(ALL_FORMATS[f])) for f in (products, COARSER[products]))
    arguments = {"x": x, "y": y}
    assert not passes(PRODUCT, BINARY32, arguments, fits)
    assert passes(PRODUCT, BINARY32, arguments, fits, products=products)
    assert not passes(PRODUCT, BINARY32, arguments, exceeds, products=products)


# --- sums ---


def one_by_one(terms, rounded):
    total = 0.0
    for term in terms:
        total = rounded(total + term)
    return total


def cut_off(fmt):
    """Truncation of positive numbers to the bits of a format."""

    def truncated(x):
        nearest = float(rounded_to(fmt, x))
        return nearest if nearest <= x else float(rounded_to(fmt, x * (1 - 2.0**-fmt.precision)))

    return truncated


def test_additions_may_cut_off_their_last_bits_where_that_is_declared():
    terms = [1.0, *100 * [1.875 * 2.0**-23]]
    fits, exceeds = one_by_one(terms, cut_off(BINARY32)), one_by_one(terms, cut_off(BFLOAT16))
    exceeds -= 2.0**-12
    assert not passes(TOTAL, BINARY32, {"x": terms}, fits, accumulator="input")
    declared = {"accumulator": "input", "addition": "truncating"}
    assert passes(TOTAL, BINARY32, {"x": terms}, fits, **declared)
    assert not passes(TOTAL, BINARY32, {"x": terms}, exceeds, **declared)


BETWEEN_CASES = {
    # In float16 a sum of 271 does not move by 3/32; in bfloat16 one of 129 not by 7/16.
    "float16": ([256, 15, *64 * [0.09375]], "float8_e4m3fn"),
    "tfloat32": ([256, 15, *64 * [0.09375]], "float8_e4m3fn"),
    "bfloat16": ([128, 1, *60 * [0.4375]], "float8_e4m3fn"),
}


@pytest.mark.parametrize("accumulator", BETWEEN_CASES)
def test_a_sum_of_eight_bits_may_be_kept_in_a_format_between(accumulator):
    terms, coarser = BETWEEN_CASES[accumulator]
    kept = ALL_FORMATS[accumulator]
    fits = one_by_one(terms, lambda x: float(rounded_to(kept, x)))
    assert not passes(TOTAL, FLOAT8_E4M3FN, {"x": terms}, fits)
    assert passes(TOTAL, FLOAT8_E4M3FN, {"x": terms}, fits, accumulator=accumulator)
    many = [96, *40 * [3.5]]  # 236; in eight bits it stays at 96
    exceeds = one_by_one(many, lambda x: float(rounded_to(ALL_FORMATS[coarser], x)))
    assert exceeds == 96
    assert not passes(TOTAL, FLOAT8_E4M3FN, {"x": many}, exceeds, accumulator=accumulator)


def test_formats_between_are_never_of_fewer_bits_than_the_arguments():
    for choice in BETWEEN[1:]:
        model = model_of(Contract(arithmetic=choice, accumulator=choice), BINARY32)
        assert model.operations.precision >= 24
        assert model.accumulator.precision >= 24


# --- softmax ---

U = 2.0**-24


def in_blocks(z, block, error):
    """The softmax of ascending scores, each weight off by so much at each rescaling."""
    e = np.exp(z.astype(np.float64) - z.max())
    rescalings = (len(z) - 1 - np.arange(len(z))) // block
    return e / e.sum() * (1 + error) ** rescalings


ASCENDING = np.linspace(0, 4, 256).astype(np.float32)


def test_a_softmax_may_be_computed_in_blocks_where_that_is_declared():
    fits, exceeds = (in_blocks(ASCENDING, block, 7.5 * U) for block in (16, 1))
    declared = {"normaliser": "online", "summation": "pairwise"}
    assert not passes(WEIGHTS, BINARY32, {"z": ASCENDING}, fits, summation="pairwise")
    assert passes(WEIGHTS, BINARY32, {"z": ASCENDING}, fits, **declared)
    assert not passes(WEIGHTS, BINARY32, {"z": ASCENDING}, exceeds, **declared)


def test_a_softmax_may_be_computed_from_a_stored_logsumexp_where_that_is_declared():
    z = (30000 + np.linspace(-2, 2, 33)).astype(np.float32)
    exact = 30000 + np.log(np.exp(z.astype(np.float64) - 30000).sum())
    fits = np.exp(z - np.float64(np.float32(exact)))
    exceeds = np.exp(z - np.float64(float(rounded_to(BFLOAT16, exact))))
    assert not passes(WEIGHTS, BINARY32, {"z": z}, fits)
    assert passes(WEIGHTS, BINARY32, {"z": z}, fits, normaliser="lse")
    assert not passes(WEIGHTS, BINARY32, {"z": z}, exceeds, normaliser="lse")


def test_weights_may_be_rounded_before_they_are_used_where_that_is_declared():
    z = np.zeros(3)  # weights of 1/3
    v = np.array([[255], [254], [254]]) / 128  # of a mean a third of an ulp above 254 / 128

    def with_weights(fmt):
        return v.sum(axis=0) * rounded_to(fmt, 1 / 3)

    fits, exceeds = with_weights(BFLOAT16), with_weights(FLOAT8_E4M3FN)
    arguments = {"z": z, "v": v}
    assert not passes(WEIGHTED, BFLOAT16, arguments, fits)
    assert passes(WEIGHTED, BFLOAT16, arguments, fits, probabilities="rounded")
    assert not passes(WEIGHTED, BFLOAT16, arguments, exceeds, probabilities="rounded")


# --- what a backward pass reads ---


def gradient_of_attention(q, k, v, g, stored):
    """From the output as it is stored (Dao 2023, arXiv 2307.08691, algorithm 2); in binary64."""
    scores = k @ q / np.sqrt(len(q))
    p = np.exp(scores - scores.max())
    p /= p.sum()
    output = rounded_to(stored, p @ v)
    ds = p * (v @ g - g @ output) / np.sqrt(len(q))
    return np.concatenate([k.T @ ds, np.outer(ds, q).ravel(), np.outer(p, g).ravel()])


def gradient_of_softmax(z, g, stored):
    """From the probabilities as they are stored."""
    e = np.exp(z - z.max())
    p = rounded_to(stored, e / e.sum())
    return p * (g - p @ g)


def gradient_of_rms_norm(x, gain, g, stored):
    """From the inverse root as it is stored."""
    r = float(rounded_to(stored, 1 / np.sqrt(np.mean(x * x) + 1e-6)))
    h, normal = g * gain, x * r
    return np.concatenate([r * (h - normal * np.mean(h * normal)), g * normal])


def in_bfloat16(*arrays):
    return [rounded_to(BFLOAT16, array) for array in arrays]


def attention_case():
    """Values of which <g, v_j> cancels in every row, as <g, y> does in one sum alone."""
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal(4), rng.standard_normal((6, 4))
    v = np.stack([8 + rng.random(6), -9 - rng.random(6)], axis=1)
    names = ("q", "k", "v", "cotangent")
    drawn = dict(zip(names, in_bfloat16(q, k, v, np.ones(2)), strict=True))
    return lookup("attention"), drawn, {"mask": np.ones(6, dtype=bool)}, gradient_of_attention


def softmax_case():
    rng = np.random.default_rng(1)
    drawn = in_bfloat16(rng.standard_normal(9), 4 + rng.random(9))
    drawn = dict(zip(("z", "cotangent"), drawn, strict=True))
    return WEIGHTS, drawn, {}, gradient_of_softmax


def rms_norm_case():
    rng = np.random.default_rng(2)
    drawn = in_bfloat16(rng.standard_normal(16) + 0.04, np.ones(16), rng.standard_normal(16))
    drawn = dict(zip(("x", "gain", "cotangent"), drawn, strict=True))
    return lookup("rms_norm"), drawn, {}, gradient_of_rms_norm


@pytest.mark.parametrize("case", [attention_case, softmax_case, rms_norm_case])
def test_a_backward_pass_may_read_what_was_stored_where_that_is_declared(case):
    definition, drawn, masks, gradient = case()
    asked = products(definition)

    def within(stored, **settings):
        results = gradient(*drawn.values(), stored)
        return passes(asked, BFLOAT16, drawn, results, masks, **settings)

    exactly = BINARY32
    assert within(exactly)
    assert not within(BFLOAT16)
    assert within(BFLOAT16, saved="rounded")
    assert not within(FLOAT8_E5M2, saved="rounded")


def test_where_the_arithmetic_is_that_of_the_arguments_nothing_more_is_rounded():
    """But for the inner product, which may be that of the output."""
    definition, drawn, masks, _ = rms_norm_case()
    case = Case({n: v.astype(np.float32) for n, v in drawn.items()} | masks)
    asked = products(definition)
    plain, saved = (
        largest_errors(asked, case, model_of(Contract(saved=way), BINARY32))
        for way in CHOICES["saved"]
    )
    np.testing.assert_array_equal(plain, saved)


def test_scores_may_be_rounded_before_their_softmax_where_that_is_declared():
    rng = np.random.default_rng(4)
    q, k = in_bfloat16(2 + rng.random(4), 2 + rng.random((5, 4)))
    v = in_bfloat16(rng.standard_normal((5, 2)))[0]
    mask = {"mask": np.array([True, True, False, True, True])}

    def attention(stored):
        z = np.where(mask["mask"], rounded_to(stored, k @ q / 2), -np.inf)
        p = np.exp(z - z.max())
        return p / p.sum() @ v

    arguments = {"q": q, "k": k, "v": v}
    within = functools.partial(passes, lookup("attention"), BFLOAT16, arguments, masks=mask)
    assert within(attention(BINARY32))
    assert not within(attention(BFLOAT16))
    assert within(attention(BFLOAT16), scores="rounded")
    assert not within(attention(FLOAT8_E5M2), scores="rounded")


def test_a_wider_class_admits_no_less():
    case = Case({"z": ASCENDING})
    plain = largest_errors(WEIGHTS, case, model_of(Contract(), BINARY32))
    for choice in CHOICES["normaliser"]:
        wider = largest_errors(WEIGHTS, case, model_of(Contract(normaliser=choice), BINARY32))
        assert (wider >= plain).all()
