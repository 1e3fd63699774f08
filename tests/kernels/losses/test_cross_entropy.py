"""The cross-entropy and its gradient against the definition, and the contract at the edges."""

import itertools
import math
import operator

import flint
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.kernels import cross_entropy, cross_entropy_with_gradient
from softproof.kernels.losses.cross_entropy import (
    GRADIENT_ULP_BOUND,
    SMOOTHED_GRADIENT_BOUND,
    ULP_BOUND,
    cross_entropy_gradient,
)
from softproof.kernels.runtime import tuning
from softproof.kernels.softmax_family.passes import BLOCK

INF, NAN = math.inf, math.nan
DTYPES = [np.float32, np.float64]
ALL_DTYPES = [*DTYPES, np.float16, ml_dtypes.bfloat16]
SMOOTHED_ULP_BOUND = {**ULP_BOUND, "float64": 16.0}

relentless = settings(derandomize=True, deadline=None, max_examples=200)


# --- truth: the definition in ball arithmetic at 2300 bits, where every float64 difference is exact


def exact_loss_and_gradient(row, label, smoothing=0.0, scale=1.0, weights=None):
    """Return -sum_k t_k log p_k and s (W p - t) as balls; e^-2000 counts as 0. Finite rows only."""
    highest, e, s = flint.arb(max(row)), flint.arb(smoothing), flint.arb(scale)
    w = [flint.arb(x) for x in weights or [1.0] * len(row)]
    differences = [s * (flint.arb(x) - highest) for x in row]
    powers = [d.exp() if d > -2000 else flint.arb(0) for d in differences]
    sum_ = sum(powers, flint.arb(0))
    targets = [(e / len(row) + (1 - e if k == label else 0)) * w[k] for k in range(len(row))]
    log_sum = sum_.log()
    loss = sum((t * (log_sum - d) for t, d in zip(targets, differences, strict=True)), flint.arb(0))
    whole = sum(targets, flint.arb(0))
    gradient = [s * (whole * power / sum_ - t) for power, t in zip(powers, targets, strict=True)]
    return loss, gradient


def ulp_error(computed, exact, dtype):
    """Return an upper bound of |computed - exact| in ulps of the exact value."""
    info = ml_dtypes.finfo(dtype)
    mantissa, exponent = exact.mid().man_exp()
    exponent = max(int(abs(mantissa)).bit_length() + int(exponent) - 1, int(info.minexp))
    exponent = exponent if mantissa != 0 else int(info.minexp)
    ulp = flint.arb(2) ** (exponent - int(info.nmant))
    return float((abs(flint.arb(float(computed)) - exact) / ulp).upper())


def check(row, label, smoothing=0.0, bits=2300):
    loss, gradient = cross_entropy_with_gradient(row, label, label_smoothing=smoothing)
    assert loss == cross_entropy(row, label, label_smoothing=smoothing)
    name = row.dtype.name
    with flint.ctx.workprec(bits):
        exact, slopes = exact_loss_and_gradient(row.astype(float).tolist(), label, smoothing)
        bound = ULP_BOUND[name] if smoothing == 0 else SMOOTHED_ULP_BOUND[name]
        assert ulp_error(loss, exact, row.dtype) <= bound
        for computed, slope in zip(gradient.astype(float).tolist(), slopes, strict=True):
            if smoothing == 0:
                assert ulp_error(computed, slope, row.dtype) <= GRADIENT_ULP_BOUND[name]
            else:  # p - t cancels: relative to 1
                assert abs(flint.arb(computed) - slope) <= 8 * float(ml_dtypes.finfo(name).eps)


def smoothed_errors(row, label, smoothing, weights=None, scale=1.0, entries=None):
    """The errors of entries of the gradient (all unless given) in units u of s (W p + t)."""
    _, gradient = cross_entropy_with_gradient(
        row, label, label_smoothing=smoothing, class_weights=weights, scale=scale
    )
    u = float(np.finfo(row.dtype).eps) / 2
    least = float(np.finfo(row.dtype).smallest_subnormal)
    w = [flint.arb(float(x)) for x in (np.ones(row.size) if weights is None else weights)]
    with flint.ctx.workprec(200):
        highest, e, s = flint.arb(float(row.max())), flint.arb(smoothing), flint.arb(scale)
        powers = [(s * (flint.arb(float(x)) - highest)).exp() for x in row]
        targets = [e / row.size * x for x in w]
        targets[label] += (1 - e) * w[label]
        sum_, whole = sum(powers, flint.arb(0)), sum(targets, flint.arb(0))
        for k in range(row.size) if entries is None else entries:
            p, t = whole * powers[k] / sum_, targets[k]
            off = abs(flint.arb(float(gradient[k])) - s * (p - t))
            yield float((off / (u * s * (p + t) + least)).upper())


def random_samples(samples, classes, dtype=np.float64, spread=4.0):
    draw = np.random.default_rng(samples + classes)
    logits = (draw.normal(size=(samples, classes)) * spread).astype(dtype)
    return logits, draw.integers(0, classes, samples)


# --- accuracy ---

LIMITS = operator.attrgetter("min"), operator.attrgetter("max")
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
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_bounds_on_adversarial_rows(dtype, name, smoothing):
    row = np.array(ROWS[name]).clip(*(float(f(ml_dtypes.finfo(dtype))) for f in LIMITS))
    row = row.astype(dtype)
    for label in {0, row.size // 2, row.size - 1}:
        check(row, label, smoothing)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_at_every_length_around_the_lanes(dtype):
    logits = (np.random.default_rng(1).normal(size=130) * 8).astype(dtype)
    for length in [*range(1, 71), 127, 128, 129]:
        check(logits[:length], length // 2)


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_at_lengths_around_the_stretch(dtype, length):
    logits = (np.random.default_rng(length).normal(size=length) * 8).astype(dtype)
    for label in (0, BLOCK - 2, int(logits.argmax())):
        check(logits, label, bits=150)
    check(logits, length - 1, 0.1, bits=150)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_on_a_far_row_of_several_stretches(dtype):
    logits = (np.random.default_rng(3).normal(size=BLOCK + 9) * 5 + 30000).astype(dtype)
    for label in (1, BLOCK + 1, int(logits.argmax())):
        check(logits, label, bits=200)


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 2.0, 7.3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_with_a_scale_and_class_weights(dtype, scale):
    logits, labels = random_samples(40, 17, dtype)
    weights = np.random.default_rng(1).random(17).astype(dtype)
    weights[3] = 0
    losses, gradient = cross_entropy_with_gradient(
        logits, labels, scale=scale, class_weights=weights
    )
    name, more = logits.dtype.name, 0 if dtype == np.float32 else 3  # a factor: 1 ulp
    with flint.ctx.workprec(200):
        for row, label, loss, slope in zip(logits, labels, losses, gradient, strict=True):
            exact = exact_loss_and_gradient(row.tolist(), label, 0.0, scale, weights.tolist())
            assert ulp_error(loss, exact[0], dtype) <= ULP_BOUND[name] + more
            for computed, entry in zip(slope.tolist(), exact[1], strict=True):
                assert ulp_error(computed, entry, dtype) <= GRADIENT_ULP_BOUND[name] + more


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


CANCELLING = {
    "the right class has no weight": (0.1, 0.0),
    "the right class has little weight": (0.1, 1e-9),
    "the target is uniform": (1.0, None),
    "the target is nearly uniform": (1 - 2.0**-40, None),
}


@pytest.mark.parametrize("classes", [2, 50, 1000, 100_000])
@pytest.mark.parametrize("name", CANCELLING)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_smoothed_gradient_keeps_its_bound_where_a_small_target_is_the_top_class(
    dtype, name, classes
):
    """There p and t may be 1/K of W: W T/(1 + T) is no way to write the entry."""
    smoothing, weight = CANCELLING[name]
    row = (np.random.default_rng(0).normal(size=classes) * 1e-3).astype(dtype)
    label = int(row.argmax())
    weights = None
    if weight is not None:
        weights = np.ones(classes)
        weights[label] = weight
    entries = {label, 0, classes - 1}
    worst = max(smoothed_errors(row, label, smoothing, weights, entries=entries))
    assert worst <= SMOOTHED_GRADIENT_BOUND[row.dtype.name]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_smoothed_gradient_keeps_its_bound_on_random_rows(dtype):
    """Weights of all sizes, the right class at the top and elsewhere, p of it from 0 to 1."""
    rng = np.random.default_rng(4)
    for _ in range(150):
        classes, spread = int(rng.integers(1, 40)), 10 ** rng.uniform(-3, 2)
        row = (rng.normal(size=classes) * spread).astype(dtype)
        weights = (10 ** rng.uniform(-9, 3, classes)).astype(dtype)
        weights[rng.random(classes) < 0.2] = 0
        label = int(rng.choice([row.argmax(), rng.integers(classes)]))
        smoothing, scale = float(rng.choice([1e-9, 0.1, 0.9, 1.0])), float(rng.choice([1, 0.3]))
        errors = smoothed_errors(row, label, smoothing, weights, scale)
        assert max(errors) <= SMOOTHED_GRADIENT_BOUND[row.dtype.name], (row, label, weights)


def test_the_sum_behind_smoothing_does_not_lose_digits_with_the_length():
    row = np.random.default_rng(2).normal(size=2**16 + 1) * 5
    loss = cross_entropy(row, 17, label_smoothing=0.5)
    with flint.ctx.workprec(200):
        exact, _ = exact_loss_and_gradient(row.tolist(), 17, 0.5)
        assert ulp_error(loss, exact, np.float64) <= SMOOTHED_ULP_BOUND["float64"]


@pytest.mark.parametrize("factor", [1.0, -1.0, 2.0**-6, 3.0, 64.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormal_entries_are_right(dtype, factor):
    lowest = math.log(float(np.finfo(dtype).smallest_subnormal)) - math.log(abs(factor))
    row = np.concatenate([[0.0], np.linspace(lowest - 1, lowest + 45, 40)]).astype(dtype)
    gradient = cross_entropy_gradient(row, 0, factor)
    with flint.ctx.workprec(200):
        _, slopes = exact_loss_and_gradient(row.tolist(), 0)
        for computed, slope in zip(gradient[1:].tolist(), slopes[1:], strict=True):
            assert ulp_error(computed, factor * slope, dtype) <= GRADIENT_ULP_BOUND[row.dtype.name]
    assert 0 < np.count_nonzero(abs(gradient[1:]) < np.finfo(dtype).tiny) < 40


@pytest.mark.parametrize("factor", [1e-38, 1e-30, 1e-9, 1e9, 1e30, 1e38])
def test_any_size_of_a_cotangent(factor):
    logits, labels = random_samples(9, 33, np.float32)
    expected = cross_entropy_gradient(logits.astype(np.float64), labels, np.full(9, factor))
    computed = cross_entropy_gradient(logits, labels, np.full(9, factor))
    np.testing.assert_allclose(computed, expected, rtol=6e-7, atol=1.5e-45 * max(factor / 64, 1))


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
    assert gradient[1] == -1
    np.testing.assert_array_max_ulp(gradient[::2], np.full(2, 0.5), 2)


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


# --- options ---

OPTIONS = {
    "scale": [1.0, 0.3],
    "class_weights": [False, True],
    "ignore_index": [None, -100, 2],
    "label_smoothing": [0.0, 0.1, 1.0],
    "reduction": ["none", "sum", "mean"],
}


def every_combination():
    for values in itertools.product(*OPTIONS.values()):
        yield dict(zip(OPTIONS, values, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_combination_of_options_means_what_it_means_in_pytorch(dtype, threads):
    torch = pytest.importorskip("torch")
    logits, labels = random_samples(37, 11, dtype)
    weights = np.random.default_rng(0).random(11).astype(dtype)
    weights[4] = 0
    cotangents = np.random.default_rng(1).normal(size=37)
    tolerance = {"rtol": 100 * np.finfo(dtype).eps, "atol": 10 * np.finfo(dtype).eps}
    for options in every_combination():
        y = labels.copy()
        if options["ignore_index"] == -100:
            y[::5] = -100
        given = {**options, "class_weights": weights if options["class_weights"] else None}
        x = torch.tensor(logits.astype(np.float64), requires_grad=True)
        expected = torch.nn.functional.cross_entropy(
            given["scale"] * x,
            torch.tensor(y),
            weight=torch.tensor(weights.astype(np.float64)) if options["class_weights"] else None,
            ignore_index=-100 if given["ignore_index"] is None else given["ignore_index"],
            label_smoothing=given["label_smoothing"],
            reduction=given["reduction"],
        )
        v = cotangents if given["reduction"] == "none" else cotangents[0]
        (slope,) = torch.autograd.grad(expected.sum(), x, retain_graph=True)
        (product,) = torch.autograd.grad(expected, x, torch.tensor(v))
        loss, gradient = cross_entropy_with_gradient(logits, y, **given, threads=threads)
        backward = cross_entropy_gradient(logits, y, v, **given, threads=threads)
        np.testing.assert_array_equal(cross_entropy(logits, y, **given, threads=threads), loss)
        np.testing.assert_allclose(loss, expected.detach().numpy(), **tolerance, err_msg=str(given))
        np.testing.assert_allclose(gradient, slope.numpy(), **tolerance, err_msg=str(given))
        np.testing.assert_allclose(backward, product.numpy(), **tolerance, err_msg=str(given))


def test_without_cotangents_the_backward_pass_is_the_fused_one():
    logits, labels = random_samples(20, 90)
    for reduction in ("none", "mean"):
        _, gradient = cross_entropy_with_gradient(logits, labels, reduction=reduction)
        backward = cross_entropy_gradient(logits, labels, reduction=reduction)
        np.testing.assert_array_equal(backward, gradient)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_ignored_samples_are_zero_whatever_they_hold(smoothing):
    logits = np.array([[NAN, 1.0], [INF, 0.0], [-INF, -INF], [0.0, 0.0]])
    labels = [7, 7, 7, 0]
    options = {"ignore_index": 7, "label_smoothing": smoothing}
    loss, gradient = cross_entropy_with_gradient(logits, labels, **options)
    assert loss.tolist() == [0, 0, 0, math.log(2)]
    assert gradient[:3].tolist() == [[0, 0]] * 3
    assert gradient[3].any()
    assert cross_entropy(logits, labels, reduction="mean", **options) == math.log(2)
    cotangents = [NAN, INF, 1.0, 2.0]
    backward = cross_entropy_gradient(logits, labels, cotangents, **options)
    np.testing.assert_array_equal(backward, 2 * gradient)


def test_an_ignored_class_is_no_error_and_any_other_is():
    assert cross_entropy([[0.0, 0.0]], [1], ignore_index=1).tolist() == [0]
    with pytest.raises(ValueError, match=r"labels\[0\] is -1, .* or ignore_index, -100"):
        cross_entropy([[0.0, 0.0]], [-1], ignore_index=-100)


def test_the_mean_of_nothing_is_not_a_number():
    loss, gradient = cross_entropy_with_gradient(
        [[0.0, 1.0]], [9], ignore_index=9, reduction="mean"
    )
    assert np.isnan(loss)
    assert not gradient.any()
    empty = np.empty((0, 3))
    assert np.isnan(cross_entropy(empty, np.empty(0, int), reduction="mean"))
    assert cross_entropy(empty, np.empty(0, int), reduction="sum") == 0
    assert np.isnan(cross_entropy([[0.0, 1.0]], [0], class_weights=[0, 1], reduction="mean"))


def test_a_class_of_weight_zero_counts_for_nothing():
    options = {"class_weights": [0.0, 1.0, 1.0]}
    logits = np.array([-INF, 0.0, 1.0])
    loss, gradient = cross_entropy_with_gradient(logits, 0, **options)
    assert loss == 0
    assert not gradient.any()
    for smoothing in (0.1, 1.0):
        assert np.isfinite(cross_entropy(logits, 1, label_smoothing=smoothing, **options))
    assert np.isnan(cross_entropy([NAN, 0.0, 1.0], 0, **options))


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_sums_of_losses_are_rounded_once(dtype):
    logits, labels = random_samples(5000, 3, dtype)
    exact = cross_entropy(logits.astype(np.float64), labels)
    for reduction, count in (("sum", 1), ("mean", 5000)):
        loss = cross_entropy(logits, labels, reduction=reduction)
        assert loss.dtype == dtype
        error = abs(float(loss) - math.fsum(exact) / count)
        ulp = 2.0 ** math.floor(math.log2(float(loss))) * float(ml_dtypes.finfo(dtype).eps)
        assert error <= (2 if dtype == np.float64 else 0.51 if logits.itemsize == 2 else 4) * ulp


def test_a_sum_with_infinite_and_undefined_losses():
    logits = np.array([[0.0, -INF], [0.0, 0.0]])
    assert cross_entropy(logits, [1, 0], reduction="sum") == INF
    assert np.isnan(cross_entropy([[NAN, 0.0], [0.0, -INF]], [0, 1], reduction="sum"))


def test_infinite_cotangents_make_their_row_undefined():
    gradient = cross_entropy_gradient([[0.0, 0.0]] * 3, [0, 1, 0], [INF, 1.0, NAN])
    np.testing.assert_array_equal(gradient, [[NAN] * 2, [0.5, -0.5], [NAN] * 2])


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_the_axis_of_the_classes(axis):
    draw = np.random.default_rng(8)
    logits = draw.normal(size=(5, 6, 7))
    labels = draw.integers(0, 5, np.delete(logits.shape, axis))
    loss, gradient = cross_entropy_with_gradient(logits, labels, axis=axis, reduction="mean")
    moved = cross_entropy_with_gradient(np.moveaxis(logits, axis, -1), labels, reduction="mean")
    assert loss == moved[0]
    np.testing.assert_array_equal(np.moveaxis(gradient, axis, -1), moved[1])
    out = np.empty_like(logits)
    assert cross_entropy_gradient(logits, labels, axis=axis, reduction="mean", out=out) is not None
    np.testing.assert_array_equal(out, gradient)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_numbers_of_16_bits_are_computed_in_float32(dtype):
    logits, labels = random_samples(30, 70, dtype)
    for options in ({}, {"label_smoothing": 0.1}, {"class_weights": np.arange(70.0)}):
        wide = cross_entropy_with_gradient(logits.astype(np.float32), labels, **options)
        narrow = cross_entropy_with_gradient(logits, labels, **options)
        for result, expected in zip(narrow, wide, strict=True):
            assert result.dtype == dtype
            tolerance = 0.51 * float(ml_dtypes.finfo(dtype).eps)
            np.testing.assert_allclose(
                result.astype(np.float32), expected, rtol=tolerance, atol=1e-7
            )


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"class_weights": True, "label_smoothing": 0.2}]
)
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_threads_and_streams_give_the_same_bits(dtype, options, monkeypatch, stream_from):
    monkeypatch.setattr(tuning, "THREAD_BYTES", 1 << 10)
    for samples, classes in ((1, 5 * BLOCK + 3), (300, 50), (3, 4500)):
        logits, labels = random_samples(samples, classes, dtype)
        given = dict(options)
        if "class_weights" in options:
            given["class_weights"] = np.random.default_rng(0).random(classes)
        loss, gradient = cross_entropy_with_gradient(logits, labels, **given)
        cotangents = np.ones(samples)
        for threads, stream_bytes in itertools.product([1, 2, 3], [0, 1 << 40]):
            stream_from(stream_bytes)
            memory = np.empty(gradient.size + 1, dtype)
            out = memory[1:].reshape(gradient.shape)
            given["threads"] = threads
            fused, _ = cross_entropy_with_gradient(logits, labels, out=out, **given)
            np.testing.assert_array_equal(out, gradient)
            np.testing.assert_array_equal(fused, loss)
            out[...] = NAN
            cross_entropy_gradient(logits, labels, cotangents, out=out, **given)
            np.testing.assert_array_equal(out, gradient)
            np.testing.assert_array_equal(cross_entropy(logits, labels, **given), loss)


@pytest.mark.parametrize("factor", [1.0, -3.0, 64.0, 2.0**-12, 1e-20, 1e20, 0.0])
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_stored_exponentials_give_the_bits_of_computed_ones(
    dtype, factor, monkeypatch, stream_from
):
    logits, labels = random_samples(5, 4 * BLOCK + 9, dtype)
    logits[0, BLOCK : 2 * BLOCK] -= 30  # units with maxima far apart
    logits[1, :BLOCK] = -np.inf  # a unit that is masked
    logits[2, 2 * BLOCK :] *= 2000  # units beyond 2^14
    logits[3] -= 60
    logits[3, 0] = 40  # results that are subnormal or zero
    results = []
    stream_from(0)
    for row_bytes in (0, 1 << 60):
        monkeypatch.setattr(tuning, "ROW_BYTES", row_bytes)
        for out in (None, np.empty_like(logits)):
            weights = np.full(5, factor)
            results.append(cross_entropy_gradient(logits, labels, weights, out=out).tobytes())
    assert len(set(results)) == 1


def test_the_right_class_is_corrected_wherever_it_is_in_a_streamed_row(stream_from):
    stream_from(0)
    logits = np.random.default_rng(4).normal(size=(1100, 4100)).astype(np.float32)
    labels = np.arange(1100) * 3
    gradient = cross_entropy_gradient(logits, labels, out=np.empty_like(logits))
    assert (gradient[np.arange(1100), labels] < 0).all()
    assert np.count_nonzero(gradient < 0) == 1100
    np.testing.assert_array_equal(gradient, cross_entropy_gradient(logits, labels))


@pytest.mark.parametrize("limit", [3e38, 1.7e308])
def test_the_ends_of_the_range(limit):
    dtype = np.float32 if limit < 1e39 else np.float64
    logits = np.array([limit, -limit, 0.0], dtype)
    loss, gradient = cross_entropy_with_gradient(logits, 1, scale=0.25)
    assert loss == dtype(limit) / 2
    assert gradient.tolist() == [0.25, -0.25, 0.0]
    assert cross_entropy(logits, 0) == 0
    assert cross_entropy(logits, 2) == dtype(limit)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reduction": "median"}, ValueError, "reduction must be one of none, mean, sum"),
        ({"class_weights": [1.0]}, ValueError, r"class_weights must have shape \(2,\)"),
        ({"class_weights": [1.0, -2.0]}, ValueError, r"class_weights\[1\] is -2"),
        ({"class_weights": [NAN, 1.0]}, ValueError, r"class_weights\[0\] is nan"),
        ({"class_weights": ["a", "b"]}, TypeError, "class_weights must be real numbers"),
        ({"ignore_index": 1.5}, TypeError, "ignore_index must be an integer, got 1.5"),
        ({"ignore_index": 2**64}, ValueError, "ignore_index must be an int64"),
        ({"scale": 0.0}, ValueError, "scale must be from"),
        ({"axis": 2}, ValueError, "axis"),
        ({"threads": 0}, ValueError, "threads must be"),
    ],
)
def test_unfit_options_are_refused(options, error, message):
    for function in (cross_entropy, cross_entropy_with_gradient, cross_entropy_gradient):
        with pytest.raises(error, match=message):
            function([[0.0, 1.0]], [0], **options)


def test_unfit_cotangents_are_refused():
    with pytest.raises(ValueError, match=r"cotangent must have shape \(1,\).*got \(2,\)"):
        cross_entropy_gradient([[0.0, 1.0]], [0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"cotangent must have shape \(\)"):
        cross_entropy_gradient([[0.0, 1.0]], [0], [1.0], reduction="sum")
    with pytest.raises(TypeError, match="cotangent must be real numbers"):
        cross_entropy_gradient([[0.0, 1.0]], [0], [1j])


def test_out_receives_a_reduced_loss():
    out = np.empty(())
    assert cross_entropy([[0.0, 0.0]], [0], reduction="mean", out=out) is out
    assert out == math.log(2)


def test_a_loss_that_overflows_its_dtype_is_infinite():
    logits = np.array([[60000.0, -60000.0]], np.float16)
    assert cross_entropy(logits, [1]).tolist() == [INF]
