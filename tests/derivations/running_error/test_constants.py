"""Constants that are asked for again are what they were, also beside those that equal them."""

import numpy as np
from softproof.derivations.arithmetic.formats import BINARY32, BINARY64
from softproof.derivations.running_error.constants import rounded_constant
from softproof.derivations.running_error.model import Model


def test_an_integer_that_binary64_does_not_hold_is_off_beside_the_float_next_to_it():
    model = Model.of(BINARY64)
    for _ in range(2):
        assert rounded_constant(model, 2.0**53)[3] == 0
        assert rounded_constant(model, 2**53 + 1)[3] >= 1


def test_the_sign_of_zero_stays():
    model = Model.of(BINARY32)
    signs = [np.signbit(rounded_constant(model, zero)[0]) for zero in (0.0, -0.0, 0.0)]
    assert signs == [False, True, False]


def test_another_class_of_implementations_rounds_otherwise():
    errors = [rounded_constant(Model.of(fmt), 0.1)[3] for fmt in (BINARY32, BINARY64)]
    assert 2.0**-30 < errors[0] < 2.0**-26
    assert errors[1] < 2.0**-53
