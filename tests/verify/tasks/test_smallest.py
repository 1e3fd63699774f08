"""Inputs are made smaller without losing the failure."""

import numpy as np
import pytest
from softproof.verify.tasks.smallest import MOST_TRIALS, as_case, smallest


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "fails",
    [
        lambda x: True,
        lambda x: x[0][2, 3] != 0,
        lambda x: np.count_nonzero(x[0]) >= 2,
        lambda x: np.abs(x[0]).sum() > 3,
        lambda x: x[1][0] == 7,
    ],
)
def test_what_is_found_still_fails_and_has_no_more_numbers(fails):
    inputs = [drawn(4, 5), np.array([7, 3])]
    kept = [x.copy() for x in inputs]
    found = smallest(inputs, fails)
    assert fails(found)
    assert np.count_nonzero(found[0]) < np.count_nonzero(inputs[0])
    assert all(np.array_equal(a, b) for a, b in zip(kept, inputs, strict=True))
    np.testing.assert_array_equal(found[1], inputs[1])  # whole numbers are left alone


def test_one_number_is_found_among_many():
    inputs = [drawn(10, 100)]
    (found,) = smallest(inputs, lambda x: x[0][7, 33] != 0)
    assert np.argwhere(found).tolist() == [[7, 33]]
    assert abs(np.frexp(found[7, 33])[0]) == 0.5  # a power of two


def test_trials_are_counted():
    tried = []

    def fails(inputs):
        tried.append(inputs)
        return False

    inputs = [drawn(50)]
    (found,) = smallest(inputs, fails)
    assert len(tried) == MOST_TRIALS
    np.testing.assert_array_equal(found, inputs[0])


def test_a_long_input_is_told_by_its_shape():
    assert as_case("f", [np.ones((2, 30), np.float32)]) == "f\ninput 0 [2x30] 60 numbers"
    assert as_case("f", [np.zeros((2, 30), np.float32)]) == "f\ninput 0 [2x30] 0"
