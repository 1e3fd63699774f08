"""The gradient of a log-sum-exp has a bound where scores are off by more than exponentials bear."""

import flint
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.balls import balls
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32
from softproof.derivations.arithmetic.reverse_mode import vector_jacobian_product
from softproof.derivations.running_error import Model, RunningErrorArithmetic, gradient_threshold
from softproof.derivations.running_error.adversary import SIGNS, Adversary
from softproof.derivations.running_error.model import rounded_to
from softproof.derivations.running_error.thresholds import admissible

LOSS = lookup("linear_cross_entropy")
FORMS = {"as published": LOSS.formula, **LOSS.forms}
MODELS = {
    "float32": Model.of(BINARY32, accumulator="input"),
    "float32, flushing": Model.of(BINARY32, flushes=True, division=2.5, exponent_argument=2.0),
    "bfloat16": Model.of(BFLOAT16, accumulator="input"),
    "float16": Model.of(BINARY16),
}


def arguments(model, scale, seed):
    """Weights and a hidden state whose scores are of that size, and a label."""
    rng = np.random.default_rng(seed)
    hidden = rounded_to(model.result, rng.standard_normal(4) * scale)
    return hidden, rounded_to(model.result, rng.standard_normal((5, 4))), seed % 5


def product(formula, model_xp, hidden, weight, label):
    named = {"hidden": model_xp.array(hidden), "weight": model_xp.array(weight), "label": label}
    cotangent = model_xp.number(1.0)
    _, found = vector_jacobian_product(formula, named, cotangent, model_xp, wrt=["weight"])
    return found["weight"]


@pytest.mark.parametrize("which", MODELS)
@pytest.mark.parametrize("form", FORMS)
def test_the_adversary_stays_within_at_scores_of_every_size(form, which):
    model, formula = MODELS[which], FORMS[form]
    for seed, scale in enumerate((1.0, 64.0, 2.0**12, 2.0**30, 2.0**60)):
        if scale > 2.0**12 and model.result == BINARY16:
            continue
        hidden, weight, label = arguments(model, scale, seed)
        named = {"hidden": hidden, "weight": weight, "label": label}
        found = gradient_threshold(formula, named, 1.0, model, wrt=["weight"])["weight"]
        bound = admissible(found)
        assert np.isfinite(bound).all()
        with flint.ctx.workprec(400):
            exact = product(formula, balls(), hidden, weight, label)
        truth = np.array([float(x.mid()) for x in exact.reshape(-1)]).reshape(exact.shape)
        rng = np.random.default_rng(seed)
        for signs in (*SIGNS, "drawn"):
            computed = product(formula, Adversary(model, signs, rng), hidden, weight, label).value
            error = np.abs(computed - truth)
            # (In which binary64 rounds as well: its errors are of 2^-53 beside those of the class.)
            assert (error <= bound * (1 + 2.0**-20)).all(), (scale, signs)


def test_a_wrong_gradient_is_beyond_the_bound_at_wide_scores():
    """The probability 1 where the exact one is 0, at scores that differ by more than they err."""
    model = MODELS["float32"]
    hidden, weight, label = np.full(2, 2.0**20), np.array([[1.0, 1], [1, -1]]), 1
    named = {"hidden": hidden, "weight": weight, "label": label}
    found = gradient_threshold(LOSS.formula, named, 1.0, model, wrt=["weight"])["weight"]
    right = np.array([[1.0, 1.0], [-1, -1]]) * 2.0**20
    assert (np.abs(right - found.value) <= admissible(found)).all()
    assert (np.abs(-right - found.value) > admissible(found)).any()
    assert (np.abs(right * 1.001 - found.value) > admissible(found)).any()


def test_exponentials_of_another_row_are_not_taken_for_its_own():
    xp = RunningErrorArithmetic(MODELS["float32"])
    wide = xp.exp(xp.array([60.0, 3.0])) * 1e6  # scores that are off by more than exp bears
    one, other = (xp.shifted(wide * factor) for factor in (1.0, 0.5))
    own = xp.exp(one) * (1 / xp.sum(xp.exp(one)))
    mixed = xp.exp(one) * (1 / xp.sum(xp.exp(other)))
    assert np.isfinite(own.error).all()
    assert not np.isfinite(mixed.error).all()
