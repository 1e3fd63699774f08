"""The cross-entropy and its gradient against the definition, and the contract at the edges."""

import math

import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.kernels import cross_entropy, cross_entropy_with_gradient
from softproof.kernels.cross_entropy import ULP_BOUND

INF, NAN = math.inf, math.nan
DTYPES = [np.float32, np.float64]
SMOOTHED_ULP_BOUND = {"float32": 0.5 + 2.0**-25, "float64": 9.0}
GRADIENT_ULP_BOUND = {"float32": 0.5 + 2.0**-25, "float64": 7.0}

relentless = settings(derandomize=True, deadline=None, max_examples=200)


# --- truth: the definition in ball arithmetic at 2300 bits, where every float64 difference is exact


def exact_loss_and_gradient(row, label, smoothing):
    """Return -sum_k t_k log p_k, and p - t, as balls; e^-2000 counts as 0. Finite rows only."""
    highest = flint.arb(max(row))
    differences = [flint.arb(x) - highest for x in row]
    powers = [d.exp() if d > -2000 else flint.arb(0) for d in differences]
    sum_ = sum(powers, flint.arb(0))
    s, uniform = flint.arb(smoothing), flint.arb(smoothing) / len(row)
    targets = [uniform + (1 - s if k == label else 0) for k in range(len(row))]
    log_sum = sum_.log()
    loss = sum((t * (log_sum - d) for t, d in zip(targets, differences, strict=True)), flint.arb(0))
    gradient = [power / sum_ - t for power, t in zip(powers, targets, strict=True)]
    return loss, gradient


def ulp_error(computed, exact, dtype):
    """Return an upper bound of |computed - exact| in ulps of the exact value."""
    info = np.finfo(dtype)
    mantissa, exponent = exact.mid().man_exp()
    exponent = max(int(abs(mantissa)).bit_length() + int(exponent) - 1, int(info.minexp))
    exponent = exponent if mantissa != 0 else int(info.minexp)
    ulp = flint.arb(2) ** (exponent - int(info.nmant))
    return float((abs(flint.arb(float(computed)) - exact) / ulp).upper())


def check(row, label, smoothing=0.0):
    loss, gradient = cross_entropy_with_gradient(row, label, label_smoothing=smoothing)
    assert loss == cross_entropy(row, label, label_smoothing=smoothing)
    name = row.dtype.name
    with flint.ctx.workprec(2300):
        exact, slopes = exact_loss_and_gradient(row.tolist(), label, smoothing)
        bound = ULP_BOUND[name] if smoothing == 0 else SMOOTHED_ULP_BOUND[name]
        assert ulp_error(loss, exact, row.dtype) <= bound
        for computed, slope in zip(gradient.tolist(), slopes, strict=True):
            if smoothing == 0:
                assert ulp_error(computed, slope, row.dtype) <= GRADIENT_ULP_BOUND[name]
            else:  # p - t cancels: relative to 1
                assert abs(flint.arb(computed) - slope) <= 8 * np.finfo(row.dtype).eps


# --- accuracy ---

ROWS = {
    "ordinary": [0.3, -1.2, 2.0, 0.0],
    "right class certain": [40.0, 0.0, -3.0],
    "right class certain to 700 nats": [700.0, 0.0, 1.0],
    "others subnormal": [0.0, -744.0, -744.5],
    "others vanish": [0.0, -900.0],
    "hopeless": [-500.0, 0.0, 10.0],
    "huge offset": [1e7, 1e7 + 1, 1e7 - 30],
    "mask -1e30": [1.0, -1e30, 0.5],
    "mask lowest of float32": [1.0, -3e38, 0.5],
    "ties": [2.5] * 70,
    "one class": [7.0],
}


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0, 1e-300])
@pytest.mark.parametrize("name", sorted(ROWS))
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_on_adversarial_rows(dtype, name, smoothing):
    row = np.array(ROWS[name], dtype)
    for label in {0, row.size // 2, row.size - 1}:
        check(row, label, smoothing)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_at_every_length_around_the_lanes(dtype):
    logits = (np.random.default_rng(1).normal(size=130) * 8).astype(dtype)
    for length in [*range(1, 71), 127, 128, 129]:
        check(logits[:length], length // 2)


@pytest.mark.parametrize("spread", [1.0, 60.0, 800.0, 1e30])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_on_searched_rows(dtype, spread):
    limit = float(dtype(spread))
    element = st.floats(-limit, limit, width=32 if dtype == np.float32 else 64)

    @relentless
    @given(st.lists(element, min_size=1, max_size=20), st.data())
    def search(elements, data):
        label = data.draw(st.integers(0, len(elements) - 1))
        smoothing = data.draw(st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0]))
        check(np.array(elements, dtype), label, smoothing)

    search()


def test_the_sum_behind_smoothing_does_not_lose_digits_with_the_length():
    row = np.random.default_rng(2).normal(size=2**16 + 1) * 5
    loss = cross_entropy(row, 17, label_smoothing=0.5)
    with flint.ctx.workprec(200):
        exact, _ = exact_loss_and_gradient(row.tolist(), 17, 0.5)
        assert ulp_error(loss, exact, np.float64) <= SMOOTHED_ULP_BOUND["float64"]


def test_the_gradient_of_a_certain_class_is_not_zero():
    _, gradient = cross_entropy_with_gradient([40.0, 0.0], 0)
    assert gradient.tolist() == [-4.248354255291589e-18, 4.248354255291589e-18]


def test_a_perfect_loss_is_plus_zero():
    assert math.copysign(1, cross_entropy([5.0], 0)) == 1
    assert math.copysign(1, cross_entropy([0.0, -INF], 0)) == 1


# --- the contract at the edges ---


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(
    "row", [[NAN, 1, -INF], [INF, 1, 0], [INF, INF, 0], [-INF] * 3, [1, 0, NAN]]
)
@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_undefined_rows_give_nan(dtype, label, row, smoothing):
    logits = np.array(row, dtype)
    loss, gradient = cross_entropy_with_gradient(logits, label, label_smoothing=smoothing)
    assert np.isnan(loss)
    assert np.isnan(cross_entropy(logits, label, label_smoothing=smoothing))
    assert np.isnan(gradient).all()


@pytest.mark.parametrize("smoothing", [0.1, 1.0, 5e-324])
def test_a_masked_class_counts_only_where_its_target_is_positive(smoothing):
    logits = [1.0, -INF, 1.0]
    assert cross_entropy(logits, 0) == math.log(2)
    assert cross_entropy(logits, 1) == INF
    assert cross_entropy(logits, 0, label_smoothing=smoothing) == INF
    loss, gradient = cross_entropy_with_gradient(logits, 1)
    assert loss == INF
    assert gradient.tolist() == [0.5, -1.0, 0.5]


# --- shapes and labels ---


def test_losses_have_the_shape_of_the_labels():
    logits = np.random.default_rng(3).normal(size=(2, 3, 5)).astype(np.float32)
    labels = np.random.default_rng(4).integers(0, 5, (2, 3))
    losses, gradient = cross_entropy_with_gradient(logits, labels)
    assert losses.shape == (2, 3)
    assert losses.dtype == np.float32
    assert gradient.shape == logits.shape
    for i in np.ndindex(2, 3):
        assert losses[i] == cross_entropy(logits[i], labels[i])


def test_one_sample_takes_a_scalar_label():
    assert isinstance(cross_entropy(np.zeros(2, np.float32), 1), np.float32)


@pytest.mark.parametrize("dtype", [*"bBhHiIlLqQ", ">i4"])
def test_labels_of_any_integer_dtype(dtype):
    assert cross_entropy([[0.0, 0.0]], np.array([1], dtype)).tolist() == [math.log(2)]


@pytest.mark.parametrize("labels", [[0.0], [True], ["0"], [None]])
def test_other_labels_are_refused(labels):
    with pytest.raises(TypeError, match="labels must be integers"):
        cross_entropy([[0.0, 0.0]], labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1], [3, -1]], r"labels\[1, 0\] is 3, but labels must be in \[0, 3\)"),
        ([[0, -100], [0, 0]], r"labels\[0, 1\] is -100"),
        (np.full((2, 2), 2**64 - 1, np.uint64), r"labels\[0, 0\] is 18446744073709551615"),
    ],
)
def test_the_first_label_out_of_range_is_named_before_anything_is_computed(labels, message):
    logits = np.zeros((2, 2, 3))
    with pytest.raises(ValueError, match=message):
        cross_entropy_with_gradient(logits, labels, out=logits)
    assert not logits.any()


def test_the_label_of_one_sample_out_of_range():
    with pytest.raises(ValueError, match=r"labels is 2, but labels must be in \[0, 2\)"):
        cross_entropy([0.0, 0.0], 2)


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\).*got \(3,\)"):
        cross_entropy(np.zeros((2, 4)), [0, 1, 2])


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, NAN, INF])
def test_smoothing_outside_zero_to_one_is_refused(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\]"):
        cross_entropy([0.0, 0.0], 0, label_smoothing=smoothing)


def test_samples_without_classes_are_refused_but_no_samples_are_fine():
    with pytest.raises(ValueError, match=r"at least one class, got shape \(2, 0\)"):
        cross_entropy(np.empty((2, 0)), [0, 0])
    for shape in [(0, 3), (0, 0)]:
        loss, gradient = cross_entropy_with_gradient(np.empty(shape), np.empty(0, np.int64))
        assert loss.shape == (0,)
        assert gradient.shape == shape


def test_the_gradient_may_overwrite_the_logits():
    logits = np.random.default_rng(5).normal(size=(70, 90)) * 9
    labels = np.random.default_rng(6).integers(0, 90, 70)
    expected_loss, expected = cross_entropy_with_gradient(logits, labels, label_smoothing=0.1)
    loss, gradient = cross_entropy_with_gradient(logits, labels, label_smoothing=0.1, out=logits)
    assert gradient is logits
    np.testing.assert_array_equal(gradient, expected)
    np.testing.assert_array_equal(loss, expected_loss)
