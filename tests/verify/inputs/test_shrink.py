"""Shrinking: the smallest failing row that can be found, and never one that passes."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.inputs.families import FAMILIES, Batch, draw
from softproof.verify.inputs.shrink import MAX_TRIALS, shrink

each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)


def batch(row, label=None, dtype=np.float32):
    """A batch of one row."""
    labels = None if label is None else np.array([label])
    return Batch("normal", np.array([row], dtype=dtype), labels)


def values(one):
    """The row of a batch, as float64."""
    return one.logits[0].astype(np.float64)


def has_large(one):
    """Fails where exp overflows float32."""
    return bool((values(one) > 88).any())


# --- what is minimal ---


@pytest.mark.parametrize("size", [1, 2, 3, 17, 64, 257, 1000])
def test_one_large_number_is_left_of_a_long_row(size):
    rng = np.random.default_rng(size)
    row = rng.normal(size=size)
    row[rng.integers(size)] = 100.37
    assert values(shrink(batch(row), has_large)).tolist() == [96.0]  # 64 passes; 2 bits do not


def test_two_numbers_far_apart_in_the_row_are_both_kept():
    def fails(one):
        return {3.0, -5.0} <= {*values(one)}

    row = np.arange(100) / 128
    row[7], row[91] = 3, -5
    assert values(shrink(batch(row), fails)).tolist() == [3, -5]


def test_numbers_that_do_not_matter_become_zero():
    def fails(one):
        return len(values(one)) >= 3 and values(one)[-1] < -0.1

    assert values(shrink(batch([1.7, -2.3, 0.9, -3.14159]), fails)).tolist() == [0, 0, -2]


@pytest.mark.parametrize(
    ("threshold", "simplest"), [(0.5, 64), (65, 96), (99, 100), (100.2, 100.3125)]
)
def test_a_number_is_cut_to_as_few_bits_as_fail(threshold, simplest):
    # 1, 2, 4 and 8 bits are tried, then the integer part: so 11 bits stay as they are.
    end = shrink(batch([1.0, 100.3125]), lambda one: bool((values(one) >= threshold).any()))
    assert values(end).tolist() == [simplest]


@pytest.mark.parametrize("row", [[0.0], [1.0], [-np.inf, 2.0], [np.nan]])
def test_a_row_of_which_nothing_else_fails_stays(row):
    end = shrink(batch(row), lambda one: np.array_equal(values(one), row, equal_nan=True))
    np.testing.assert_array_equal(values(end), row)


def test_infinities_stay_what_they_are():
    end = shrink(
        batch([0.5, -np.inf, 3.25, -np.inf]), lambda one: bool(np.isinf(values(one)).any())
    )
    assert values(end).tolist() == [-np.inf]


# --- labels ---


@pytest.mark.parametrize("label", [0, 3, 9])
def test_the_label_moves_with_its_class(label):
    row = np.arange(10) + 0.5

    def fails(one):
        return one.logits[0, one.labels[0]] == row[label]

    end = shrink(batch(row, label), fails)
    assert values(end).tolist() == [row[label]]
    assert end.labels.tolist() == [0]


def test_the_class_of_the_label_is_never_dropped():
    seen = []

    def fails(one):
        seen.append((len(values(one)), int(one.labels[0])))
        return bool((values(one) == 7).any())

    end = shrink(batch([1, 7, 3, 4, 5], label=3), fails)
    assert values(end).tolist() == [7, 0]
    assert end.labels.tolist() == [1]
    assert all(0 <= label < size for size, label in seen)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=st.data())
def test_labels_point_to_the_same_class_in_every_candidate(data):
    size = data.draw(st.integers(1, 12))
    label = data.draw(st.integers(0, size - 1))
    least = data.draw(st.integers(1, size))
    marks = np.full(size, 1.0)
    marks[label] = -1.0

    def fails(one):
        row = values(one)
        if (row == 0).any():
            return False  # so that the mark of a class is never simplified
        assert row[one.labels[0]] == -1
        return len(row) >= least

    end = shrink(batch(marks, label), fails)
    assert len(values(end)) == least
    assert values(end)[end.labels[0]] == -1


# --- in general ---


@each_format
def test_it_ends_on_failing_rows_of_the_format_and_asks_no_more_than_promised(fmt):
    for family in FAMILIES:
        for start in draw(family, fmt, 2, seed=0, labelled=True):
            one = start.row(0)
            threshold = np.sort(values(one))[len(values(one)) // 2]
            tried = []

            def fails(one, threshold=threshold, tried=tried):
                tried.append(one)
                return bool((values(one) >= threshold).any())

            end = shrink(one, fails)
            assert len(tried) <= MAX_TRIALS
            assert fails(end)
            assert end.logits.dtype == fmt.dtype
            assert end.logits.shape[0] == 1
            assert end.logits.shape[1] <= start.logits.shape[1]
            assert end.family == family
            assert 0 <= end.labels[0] < end.logits.shape[1]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    row=st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=20),
    total=st.floats(-100, 100),
)
def test_it_is_deterministic_and_never_returns_a_passing_row(row, total):
    def fails(one):
        return bool(values(one).sum() > total)

    start = batch(row)
    if fails(start):
        end = shrink(start, fails)
        assert fails(end)
        np.testing.assert_array_equal(shrink(start, fails).logits, end.logits)
        assert np.abs(values(end)).max() <= np.abs(values(start)).max()
        np.testing.assert_array_equal(
            shrink(end, fails).logits, end.logits
        )  # nothing is left to do


def test_the_given_batch_is_not_changed():
    start = batch([1.5, 100.37, 2.5], label=1)
    shrink(start, has_large)
    np.testing.assert_array_equal(start.logits, np.float32([[1.5, 100.37, 2.5]]))
    assert start.labels.tolist() == [1]


def test_a_row_that_cannot_be_shrunk_costs_a_bounded_number_of_trials():
    long = Batch("ties", np.ones((1, 4096), np.float32), None)
    tried = []

    def passes(one):
        tried.append(one)
        return False

    assert shrink(long, passes) is long
    assert len(tried) == MAX_TRIALS


def test_bfloat16_rows_shrink_too():
    end = shrink(batch([1.5, 101, 2.5], dtype=ml_dtypes.bfloat16), has_large)
    assert end.logits.dtype == ml_dtypes.bfloat16
    assert values(end).tolist() == [96.0]


def test_only_what_is_shown_at_the_end_is_cross_checked():
    tried = []

    def fails(one):
        tried.append(one.cross_checked)
        return has_large(one)

    end = shrink(batch([1.0, 100.3, 2.0]), fails)
    assert end.cross_checked
    assert not any(tried)
    assert shrink(batch([100.0]), lambda one: False).cross_checked  # nothing simpler fails
