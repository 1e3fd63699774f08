"""What is admitted beside a reference: by its conditioning and by its own error."""

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import ARRAY_FORMATS, BINARY32
from softproof.verify.tasks.estimate import estimates, ulp
from softproof.verify.tasks.hazards import CHANGES, changed, moved


def both(formula):
    """A reference in the format, and in binary64."""

    def wide(arrays):
        return formula([a.astype(np.float64) for a in arrays])

    return wide, formula


def ratio(formula, x, result):
    (found,) = estimates(*both(formula), [x], BINARY32, 0)
    return found.worst(np.asarray(result, dtype=np.float32))[1]


def test_a_result_may_be_off_by_what_a_neighbouring_input_changes():
    x = np.float32([1e4 + 0.5])
    exact = np.sin(np.float64(x))  # an ulp of x moves it by 1e-3
    assert ratio(lambda a: [np.sin(a[0])], x, exact + 5e-4) <= 1
    assert ratio(lambda a: [np.sin(a[0])], x, exact + 1e-2) > 1
    assert ratio(lambda a: [np.sqrt(a[0])], x, np.sqrt(np.float64(x)) + 5e-4) > 1


def test_a_result_may_be_off_by_what_the_reference_is():
    def cancelling(arrays):
        (x,) = arrays
        return [(x + x.dtype.type(4096)) - x.dtype.type(4096)]

    x = np.float32([0.123, 0.456])
    assert ratio(cancelling, x, x + np.float32(1e-4)) <= 1
    assert ratio(cancelling, x, x + np.float32(4e-3)) > 1
    assert ratio(lambda a: [+a[0]], x, x + np.float32(1e-4)) > 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_what_is_far_off_is_wrong_whatever_it_is(value):
    assert ratio(lambda a: [np.exp(a[0])], np.float32([2.0]), [value]) > 1


def test_where_the_reference_overflows_nothing_is_judged():
    def unshifted(arrays):
        with np.errstate(all="ignore"):
            e = np.exp(arrays[0])
            return [e / e.sum()]

    (found,) = estimates(*both(unshifted), [np.float32([200, 0])], BINARY32, 0)
    assert found.judged <= 1
    assert np.isnan(found.admitted[0])


def test_whole_numbers_are_equal_or_wrong():
    def largest(arrays):
        return [np.argmax(arrays[0], axis=-1)]

    (found,) = estimates(*both(largest), [np.float32([[1, 3, 2]])], BINARY32, 0)
    assert found.worst(np.array([1]))[1] == 0
    assert found.worst(np.array([2]))[1] > 1


def test_neighbours_are_next_to_a_number():
    for name in ("float16", "bfloat16", "float32", "float64"):
        fmt = ARRAY_FORMATS[name]
        x = np.array([1.5, -3.0, 0.0]).astype(fmt.dtype)
        (near,) = moved([x], 0)
        distance = np.abs(near.astype(np.float64) - x.astype(np.float64))
        assert distance.tolist() == [float(ulp(np.array(v), fmt)) if v else 0 for v in (1.5, 3, 0)]


def test_changes_keep_shapes_and_leave_whole_numbers_alone():
    x, labels = np.random.default_rng(0).random((3, 4)), np.array([1, 2])
    for change in CHANGES:
        real, whole = changed([x, labels], change, 3)
        assert (real.shape, whole.tolist()) == ((3, 4), [1, 2])
        assert change == "as the task draws them" or not np.array_equal(real, x)
