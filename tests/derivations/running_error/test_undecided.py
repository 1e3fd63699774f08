"""The bounds of functions of arrays are finite wherever a right implementation gives a number."""

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32
from softproof.derivations.arithmetic.reverse_mode import vector_jacobian_product
from softproof.derivations.running_error import (
    Model,
    RunningErrorArithmetic,
    RunningNumber,
    gradient_threshold,
    threshold,
)
from softproof.derivations.running_error.adversary import SIGNS, Adversary
from softproof.derivations.running_error.thresholds import admissible
from softproof.verify.cases.draw import draw, families
from softproof.verify.suites.of_cases.thresholds import largest_errors

FLOAT32 = Model.of(BINARY32, accumulator="input")
DEFINITIONS = (
    "rms_norm",
    "layer_norm",
    "attention",
    "kl_divergence",
    "linear_cross_entropy",
    "sparsemax",
)
HARD = ("normal", "constant", "wide", "huge", "one kept", "eps=0")


def off_by(values, error, model=FLOAT32):
    """Numbers that are computed with an error."""
    v = np.array(values)
    return RunningNumber(model, v, 0 * v, 0 * v, np.full(v.shape, error))


@pytest.mark.parametrize("name", DEFINITIONS)
def test_less_than_a_hundredth_of_the_cases_of_a_definition_has_an_infinite_bound(name):
    """What remains: a layer norm of one entry with eps = 0 is 0 / 0."""
    definition = lookup(name)
    cases = [
        case
        for family in families(definition)
        if family.endswith(HARD)
        for batch in draw(definition, family, BINARY32, 8, seed=0)
        for case in batch.cases[:1]
    ]
    unknown = [c for c in cases if not np.isfinite(largest_errors(definition, c, FLOAT32)).all()]
    assert len(unknown) < 0.01 * len(cases)
    for case in unknown:
        assert (name, case.values["x"].shape) == ("layer_norm", (1,))
        assert case.parameters == {"eps": 0.0}


@pytest.mark.parametrize("model", [FLOAT32, Model.of(BFLOAT16, accumulator="input")])
def test_the_probability_of_a_single_score_is_off_by_the_quotient_and_additions_alone(model):
    xp = RunningErrorArithmetic(model)
    for z in (off_by([3.0], 2.0**100, model), xp.stack([off_by(3.0, 2.0**100, model), -np.inf])):
        p = xp.softmax(z)
        assert p.value[0] == 1
        assert p.radius[0] < 1e-12
        assert p.error[0] <= len(z) * model.u * (1 + 4 * model.u)


@pytest.mark.parametrize("scores", [[3.0], [3.0, 1.0], [3.0, -800.0, 1.0]])
def test_probabilities_of_scores_that_may_be_infinite_have_no_bound(scores):
    """Infinity less infinity is NaN."""
    xp = RunningErrorArithmetic(FLOAT32)
    assert np.isinf(xp.softmax(off_by(scores, np.inf)).error).all()


def log_sum(d, xp):
    return xp.log(xp.sum(xp.exp(d)))


@pytest.mark.parametrize(
    "shift", [lambda z, xp: xp.shifted(z), lambda z, xp: z - xp.max(z)], ids=["shifted", "less max"]
)
def test_the_sum_of_all_numbers_less_their_largest_is_at_least_one_and_of_a_part_may_be_nothing(
    shift,
):
    """However large the errors of the numbers; an error of 1000 makes e^-1000 = 0 of a part."""
    xp = RunningErrorArithmetic(FLOAT32)
    z = off_by([500.0, 1.0, -3.0], 1000.0)
    assert np.isfinite(log_sum(shift(z, xp), xp).error)
    assert np.isinf(log_sum(shift(z, xp)[1:], xp).error)
    assert np.isinf(log_sum(shift(z, xp)[:1], xp).error)


def test_numbers_less_the_largest_of_others_may_sum_to_nothing():
    xp = RunningErrorArithmetic(FLOAT32)
    z, others = off_by([500.0, 1.0], 1000.0), off_by([500.0, 1.0], 1000.0)
    assert np.isinf(log_sum(z - xp.max(others), xp).error)
    rows = off_by([[500.0, 1.0], [2.0, 3.0]], 1000.0)
    assert np.isinf(xp.log(xp.sum(xp.exp(xp.shifted(rows)), axis=0)).error).all()
    assert np.isfinite(xp.log(xp.sum(xp.exp(xp.shifted(rows)), axis=1)).error).all()


def test_an_implementation_with_large_errors_of_scores_is_within_the_bounds():
    """Both shifts, with scores of the size of the largest that products of such sizes have."""

    def loss(hidden, weight, xp):
        z = xp.dot(weight, hidden)
        return xp.max(z) + log_sum(z - xp.max(z), xp) - z[0]

    for model in (FLOAT32, Model.of(BFLOAT16, accumulator="input")):
        rng = np.random.default_rng(2)
        for classes in (1, 2, 7):
            hidden, weight = 2.0**50 * np.ones(4), np.rint(4 * rng.standard_normal((classes, 4)))
            xp = RunningErrorArithmetic(model)
            found = loss(xp.array(hidden), xp.array(weight), xp)
            assert np.isfinite(found.error)
            z = weight @ hidden  # whole multiples of 2^50, exact
            exact = np.max(z) - z[0] + np.log(np.sum(np.exp(z - np.max(z))))
            for signs in SIGNS:
                erring = Adversary(model, signs, rng)
                computed = loss(erring.array(hidden), erring.array(weight), erring).value
                assert abs(computed - exact) <= found.error + found.radius


def test_the_layer_norm_of_a_single_entry_is_its_bias():
    """Also where it is as large as can be; but x s - mean s is off by what a product rounds."""
    definition = lookup("layer_norm")
    exact_mean = (definition.formula, definition.forms["reciprocal root"])
    for model in (FLOAT32, Model.of(BFLOAT16, accumulator="input")):
        xp = RunningErrorArithmetic(model)
        arguments = xp.array([2.0**57]), xp.array([3.0]), xp.array([0.5])
        for form in exact_mean:
            found = form(*arguments, xp=xp)
            assert found.value == 0.5
            assert found.error + found.radius <= model.u
        found = definition.forms["scale and bias"](*arguments, xp=xp)
        assert 2.0**57 * model.u <= found.error < np.inf


def test_what_is_computed_of_probabilities_by_their_logarithms_is_at_most_one_and_some_units():
    """Scores off by 2^100, after which only the largest is known: as 0, less itself."""

    def probabilities(z, xp):
        d = xp.shifted(z)
        return xp.exp(d - xp.log(xp.sum(xp.exp(d))))

    for model in (FLOAT32, Model.of(BFLOAT16, accumulator="input", exponent_argument=2.0)):
        rng = np.random.default_rng(4)
        xp = RunningErrorArithmetic(model)
        found = probabilities(off_by([2.0**99, 0.0, -(2.0**99)], 2.0**100, model), xp)
        assert (found.error <= 1 + 100 * model.u).all()
        assert (found.error >= 1).all()
        for signs in SIGNS:
            erring = Adversary(model, signs, rng)
            for z in ([0.0], [0.0, -(2.0**99)], [-(2.0**99), 0.0, -1000.0]):
                computed = probabilities(erring.array(z), erring).value
                assert computed.max() <= found.error.max()


def test_less_the_logarithm_of_another_sum_nothing_is_known_of_a_probability():
    xp = RunningErrorArithmetic(FLOAT32)
    z = off_by([500.0, 1.0], 1000.0)
    d, e = xp.shifted(z), xp.shifted(off_by([500.0, 1.0], 1000.0))
    assert np.isinf(xp.exp(d - xp.log(xp.sum(xp.exp(e)))).error).all()
    assert np.isinf(xp.exp(d[:1] - xp.log(xp.sum(xp.exp(d[:1])))).error).all()


@pytest.mark.parametrize("fmt", [BINARY16, BFLOAT16], ids=lambda fmt: fmt.name)
def test_a_layer_norm_of_equal_numbers_has_a_bound_in_16_bits_as_no_sum_of_squares_is_negative(fmt):
    """Deviations from the mean may all be errors, and their squares be larger than eps."""
    definition, model = lookup("layer_norm"), Model.of(fmt, accumulator="input")
    ones = np.ones(17)
    for form in (definition.formula, *definition.forms.values()):
        assert np.isfinite(threshold(form, [1.5 * ones, ones, 0 * ones], model).error).all()

    def in_one_pass(x, xp):
        """The mean of the squares less the square of the mean, which may be negative."""
        mean = xp.mean(x)
        return (x - mean) / xp.sqrt(xp.mean(x * x) - mean * mean + 2.0**-16)

    assert np.isinf(threshold(in_one_pass, [1.5 * ones], model).error).all()


def test_what_is_known_to_be_at_least_some_number_is_so_however_large_the_error():
    square = off_by([0.5, 0.0], 10.0)
    total = RunningErrorArithmetic(FLOAT32).sum(square * square) + 0.25
    assert total.at_least == pytest.approx(0.25)
    root = RunningErrorArithmetic(FLOAT32).sqrt(total)
    assert root.at_least == pytest.approx(0.5)
    assert (1 / root).error <= 4 * root.error * (1 + 2.0**-20) + 1e-6
    assert (square * (square + 0)).at_least == -np.inf
    for unknown in (square + 0.25, (square - 20) * square):
        assert unknown.at_least == -np.inf


@pytest.mark.parametrize("model", [BFLOAT16, BINARY16])
def test_a_stored_root_is_not_below_what_eps_lets_it_be(model):
    """Equal numbers: the variance is made of the rounding of a stored mean, but eps is added."""
    stored = Model.of(model, arithmetic="float32", stored_forward=True)
    formula = lookup("layer_norm").formula
    x = np.full(4, 1.7109375)
    arguments = {"x": x, "gain": np.array([1.0, 0.5, 2, 1]), "bias": np.zeros(4)}
    cotangent = np.array([1.0, 0, -1, 2])
    found = gradient_threshold(formula, arguments, cotangent, stored, wrt=["x"])["x"]
    assert np.isfinite(found.error).all()
    rng = np.random.default_rng(0)
    for signs in (*SIGNS, "drawn"):
        xp = Adversary(stored, signs, rng)
        named = {name: xp.array(value) for name, value in arguments.items()}
        _, products = vector_jacobian_product(formula, named, xp.array(cotangent), xp, wrt=["x"])
        assert (np.abs(products["x"].value - found.value) <= admissible(found)).all()
