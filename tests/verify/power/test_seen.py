"""The input that is shown of a mistake: a small one, at which the mistake is wrong."""

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.verify.cases.case import CaseBatch
from softproof.verify.cases.text import parse
from softproof.verify.cases.truth import truth
from softproof.verify.power.of_formulas import mistakes_of, right_implementations
from softproof.verify.power.seen import ONLY_IN_A_BATCH, first_seen, shown

RMS_NORM = lookup("rms_norm")
MISTAKES = {mistake.name: mistake for mistake in mistakes_of(RMS_NORM, BINARY32)}


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("zeros", 1),
        ("off by 0.1 %", 1),
        ("gain ignored", 1),
        ("eps not passed on", 1),
        ("K in whole tiles of 8", 9),
        ("K in whole tiles of 128", 130),
    ],
)
def test_a_mistake_is_wrong_at_the_input_that_is_shown(name, most):
    mistake = MISTAKES[name]
    definition, case = parse(shown(mistake, BINARY32).input, BINARY32)
    assert definition is RMS_NORM
    assert case.values["x"].size <= most
    arguments = CaseBatch("", (case,)).stacked(definition.signature)
    (found,) = mistake.function(*arguments, **case.parameters)
    exact = truth(definition, case, BINARY32).rounded  # by balls
    assert not np.allclose(found, exact, rtol=4e-7, atol=0)  # 3 to 6 ulp


def test_what_is_wrong_in_a_batch_alone_is_told_so():
    assert shown(MISTAKES["cases taken for K"], BINARY32).input == ONLY_IN_A_BATCH


def test_a_lost_nan_is_shown_by_a_nan():
    seen = shown(MISTAKES["NaN written as 0"], BINARY32)
    assert seen.family == "NaN"
    _, case = parse(seen.input, BINARY32)
    assert np.isnan(case.values["x"][0])
    arguments = CaseBatch("", (case,)).stacked(RMS_NORM.signature)
    assert not np.isnan(MISTAKES["NaN written as 0"].function(*arguments)).any()
    assert np.isnan(right_implementations(RMS_NORM, BINARY32)[0].function(*arguments)).all()


def test_plain_inputs_are_asked_first_and_parameters_before_hazards():
    seen = {
        name: first_seen(MISTAKES[name], BINARY32).family for name in ("zeros", "eps not passed on")
    }
    assert seen == {"zeros": "x: normal", "eps not passed on": "eps=0"}
