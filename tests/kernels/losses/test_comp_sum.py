"""Comp-sum losses and their gradients against the definition in balls; the contract at edges."""

import math

import flint
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32, BINARY64
from softproof.kernels import comp_sum, comp_sum_with_gradient, cross_entropy
from softproof.kernels.losses.comp_sum import LARGEST_TAU, ULP_BOUND, gradient_ulp_bound
from softproof.verify.inputs.families import draw
from softproof.verify.oracle.metrics import ulp_error
from softproof.verify.oracle.truth import truth
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites.values import check_gradient, check_value

INF, NAN = math.inf, math.nan
DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
TAUS = [0.0, 0.25, 0.5, 1 - 2.0**-40, 1.0, 1 + 2.0**-50, 1.3, 1.7, 2.0, 2.5, 3.0, 50.0, 1e-20]
EXTREME = [0.0, 1e30, -1e30, 5e29, 3.0, 2.5e29]

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
each_tau = pytest.mark.parametrize("tau", TAUS)


# --- truth: the paper's formula in balls, with no shift; 4000 bits hold every difference ---


def exact_loss_and_gradient(row, label, tau):
    x, t = [flint.arb(float(value)) for value in row], flint.arb(tau)
    v = sum(((a - x[label]).exp() for k, a in enumerate(x) if k != label), flint.arb(0))
    log = v.log1p()
    loss = log if tau == 1 else ((1 - t) * log).expm1() / (1 - t)
    gradient = [(a - x[label] - t * log).exp() for a in x]
    gradient[label] = -v * (-t * log).exp()
    return loss, gradient


def ulps(computed, exact, dtype):
    """An upper bound of the error in ulps of the exact value; an overflow must be infinite."""
    info = ml_dtypes.finfo(dtype)
    mantissa, exponent = exact.mid().man_exp()
    exponent = int(abs(mantissa)).bit_length() + int(exponent) - 1
    if exponent >= info.maxexp:
        return 0.0 if float(computed) == (INF if exact > 0 else -INF) else INF
    exponent = info.minexp if mantissa == 0 else max(exponent, info.minexp)
    if not np.isfinite(computed):
        return INF
    ulp = flint.arb((1, int(exponent) - int(info.nmant)))
    return float((abs(flint.arb(float(computed)) - exact) / ulp).upper())


def check(row, label, tau, bits=4000):
    loss, gradient = comp_sum_with_gradient(row, label, tau)
    assert loss == comp_sum(row, label, tau)
    with flint.ctx.workprec(bits):
        exact, slopes = exact_loss_and_gradient(row, label, tau)
        assert ulps(loss, exact, row.dtype) <= ULP_BOUND[row.dtype.name]
        bound = gradient_ulp_bound(row.dtype, tau)
        for computed, slope in zip(gradient, slopes, strict=True):
            assert ulps(computed, slope, row.dtype) <= bound


ROWS = {
    "ordinary": [0.3, -1.2, 2.0, 0.0],
    "right class certain": [40.0, 0.0, -3.0],
    "right class certain to 700 nats": [700.0, 0.0, 1.0],
    "others subnormal": [0.0, -744.0, -744.5],
    "others vanish": [0.0, -900.0],
    "hopeless": [-500.0, 0.0, 10.0],
    "hopeless beyond overflow": [-5000.0, 0.0, -2500.0, -4999.0],
    "huge offset": [1e7, 1e7 + 1, 1e7 - 30],
    "mask -1e30": [1.0, -1e30, 0.5],
    "exponents that cancel": EXTREME,
    "ties": [2.5] * 70,
    "one class": [7.0],
}


@each_tau
@pytest.mark.parametrize("name", sorted(ROWS))
@each_dtype
def test_bounds_on_adversarial_rows(dtype, name, tau):
    largest = float(ml_dtypes.finfo(dtype).max)
    row = np.clip(ROWS[name], -largest, largest).astype(dtype)
    bits = 4000 if np.max(np.abs(row.astype(np.float64))) > 1e4 else 400
    for label in {0, row.size // 2, row.size - 1}:
        check(row, label, tau, bits)


@each_dtype
@settings(derandomize=True, deadline=None, max_examples=150)
@given(data=st.data())
def test_bounds_on_rows_that_hypothesis_looks_for(dtype, data):
    finite = st.floats(-800, 800, width=32) | st.floats(-20, 20, width=32)
    row = np.array(data.draw(st.lists(finite, min_size=1, max_size=6)), dtype)
    tau = data.draw(st.floats(0, 4) | st.sampled_from(TAUS))
    check(row, data.draw(st.integers(0, row.size - 1)), tau, 1500)


@pytest.mark.parametrize("others", [-12.0, -17.3, -150.1, -324.3])
@each_dtype
def test_the_sum_of_many_others_does_not_stick(dtype, others):
    """Where the label leads, where it does not, and where the loss is that sum alone."""
    row = np.full(50_000, others, dtype)
    row[7] = 0.0
    for tau in (0.0, 0.5, 1.0, 2.0):
        for label in (7, 8):
            loss, gradient = comp_sum_with_gradient(row, label, tau)
            with flint.ctx.workprec(1200):
                tail, t = flint.arb(float(row[0])).exp(), flint.arb(tau)
                v = 49_999 * tail if label == 7 else 49_998 + 1 / tail
                log = v.log1p()
                exact = log if tau == 1 else ((1 - t) * log).expm1() / (1 - t)
                assert ulps(loss, exact, dtype) <= ULP_BOUND[row.dtype.name]
                slope = -v * (-t * log).exp()
                assert ulps(gradient[label], slope, dtype) <= gradient_ulp_bound(dtype, tau)


@each_dtype
def test_largest_finite_logits_neither_overflow_nor_cancel(dtype):
    top = float(ml_dtypes.finfo(dtype).max)
    row = np.array([top, -top, top / 2, 0.0], dtype)
    loss, gradient = comp_sum_with_gradient(row, 1, 0.0)
    assert loss == INF
    assert gradient.tolist() == [INF, -INF, INF, INF]
    loss, gradient = comp_sum_with_gradient(row, 3, 0.5)  # E of top / 2: -top/2 + (top - 0)/2 = 0
    assert loss == INF
    assert gradient.tolist() == [INF, 0.0, 1.0, -INF]
    loss, gradient = comp_sum_with_gradient(row, 1, 3.0)
    assert (loss, gradient.tolist()) == (0.5, [0.0, 0.0, 0.0, 0.0])


@each_dtype
def test_tau_one_is_the_cross_entropy(dtype):
    x = (4 * np.random.default_rng(0).normal(size=(50, 9))).astype(dtype)
    labels = np.arange(50) % 9
    losses = comp_sum(x, labels, 1.0).astype(np.float64)
    tolerance = 30 * float(ml_dtypes.finfo(dtype).eps)
    np.testing.assert_allclose(losses, cross_entropy(x, labels).astype(np.float64), tolerance)


@pytest.mark.parametrize("name", ["comp_sum", "generalized_cross_entropy"])
@pytest.mark.parametrize("fmt", [BINARY32, BINARY64], ids=lambda fmt: fmt.name)
def test_the_definitions_say_the_same_at_every_tau(name, fmt):
    row = np.array([0.5, -2.0, 30.0, 1.25]).astype(fmt.dtype)
    for tau in (0.0, 0.75, 1.0, 1.5, 2.0, 3.5):
        if name == "generalized_cross_entropy" and not 1 <= tau <= 2:
            continue
        parameters = {"tau": tau} if name == "comp_sum" else {"q": tau - 1}
        for label in range(4):
            results = comp_sum_with_gradient(row, label, tau)
            for gradient, computed in zip((False, True), results, strict=True):
                exact = truth(lookup(name), row, fmt, label=label, gradient=gradient, **parameters)
                assert np.max(ulp_error(np.asarray(computed), exact)) <= 16


# --- edges ---


@each_tau
@each_dtype
def test_rows_without_probabilities_are_nan(dtype, tau):
    x = np.array([[NAN, 1], [1, NAN], [INF, 1], [1, INF], [-INF, -INF]], dtype)
    losses, gradient = comp_sum_with_gradient(x, [0] * 5, tau)
    assert np.isnan(losses).all()
    assert np.isnan(gradient).all()


@each_dtype
def test_masked_classes_count_for_nothing(dtype):
    plain, masked = np.array([0.5, 1.0, -2.0], dtype), np.array([0.5, -INF, 1.0, -2.0], dtype)
    for tau in TAUS:
        loss, gradient = comp_sum_with_gradient(plain, 0, tau)
        again, slopes = comp_sum_with_gradient(masked, 0, tau)
        assert loss == again
        assert slopes.tolist() == [gradient[0], 0.0, gradient[1], gradient[2]]


@each_dtype
def test_a_masked_label_has_the_limit_of_the_loss(dtype):
    row = np.array([-INF, 0.0, 0.0, -INF], dtype)
    limits = {
        0.5: (INF, [-INF, INF, INF, 0]),
        1.0: (INF, [-1, 0.5, 0.5, 0]),
        1.5: (2.0, [0, 0, 0, 0]),
        2.0: (1.0, [0, 0, 0, 0]),
        5.0: (0.25, [0, 0, 0, 0]),
    }
    for tau, (loss, gradient) in limits.items():
        computed, slopes = comp_sum_with_gradient(row, 0, tau)
        assert (float(computed), slopes.tolist()) == (loss, gradient)


def test_layouts_axes_threads_and_place_change_no_bit():
    x = np.random.default_rng(1).normal(size=(6, 5, 7)) * 5
    labels = np.arange(30).reshape(6, 5) % 7
    losses, gradient = comp_sum_with_gradient(x, labels, 1.3)
    for i, j in np.ndindex(6, 5):
        loss, slope = comp_sum_with_gradient(x[i, j], labels[i, j], 1.3)
        assert (loss == losses[i, j], slope.tolist()) == (True, gradient[i, j].tolist())
    moved = np.moveaxis(x, -1, 0)[:, ::-1]
    again, slopes = comp_sum_with_gradient(moved, labels[::-1], 1.3, axis=0, threads=2)
    assert np.array_equal(again, losses[::-1])
    assert np.array_equal(np.moveaxis(slopes, 0, -1), gradient[::-1])
    there = x.copy()
    _, written = comp_sum_with_gradient(there, labels, 1.3, out=there)
    assert written is there
    assert np.array_equal(there, gradient)
    place = np.empty((6, 5))
    assert comp_sum(x, labels, 1.3, out=place) is place
    assert np.array_equal(place, losses)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([[1.0, 2.0]], [0], -0.1), ValueError, "tau must be from 0"),
        (([[1.0, 2.0]], [0], NAN), ValueError, "tau must be from 0"),
        (([[1.0, 2.0]], [0], 2 * LARGEST_TAU), ValueError, "tau must be from 0"),
        (([[1.0, 2.0]], [2], 1.0), ValueError, r"labels\[0\] is 2"),
        (([[1.0, 2.0]], [0.0], 1.0), TypeError, "labels must be integers"),
        ((np.ones((1, 2), int), [0], 1.0), TypeError, "float32, float64, float16 or bfloat16"),
        ((np.ones((1, 0)), [0], 1.0), ValueError, "at least one class"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        comp_sum_with_gradient(*arguments)


# --- `softproof verify` finds what others do wrong ---


def unshifted(x, labels):
    """Exponentials overflow."""
    e = np.exp(x)
    p = e / e.sum(-1, keepdims=True)
    p_y = np.take_along_axis(p, labels[:, None], -1)
    p[np.arange(len(x)), labels] -= 1
    return (2 * (p_y**-0.5 - 1))[:, 0], p * p_y**-0.5


def collapsing(x, labels):
    """log(1 + v) rounds v away, and so does p - 1."""
    e = np.exp(x - x.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    loss = -np.log(np.take_along_axis(p, labels[:, None], -1))
    p[np.arange(len(x)), labels] -= 1
    return (2 * np.expm1(loss / 2))[:, 0], p * np.exp(loss / 2)


def another_tau(x, labels):
    return comp_sum_with_gradient(x, labels, 0.5 + 1e-5)


def label_forgotten(x, labels):
    """The label's entry is that of any other class."""
    loss, gradient = comp_sum_with_gradient(x, labels, 0.5)
    rows = np.arange(len(x))
    gradient[rows, labels] *= -1
    return loss, gradient


def right(x, labels):
    return comp_sum_with_gradient(x, labels, 0.5)


def violations(function, check, family, fmt):
    live = InProcess(Subject("comp_sum", "comp_sum", Contract()), function)
    batches = draw(family, fmt, 8, 0, labelled=True)
    with np.errstate(all="ignore"):
        return sum(len(check(live, lookup("comp_sum"), fmt, b).violations) for b in batches)


CAUGHT = [
    (unshifted, check_value, "beyond_exp"),
    (unshifted, check_gradient, "beyond_exp"),
    (collapsing, check_value, "dominant"),
    (another_tau, check_value, "normal"),
    (label_forgotten, check_gradient, "normal"),
]


@pytest.mark.parametrize("fmt", [BINARY32, BINARY64], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize(("function", "check", "family"), CAUGHT)
def test_what_is_wrong_is_found(function, check, family, fmt):
    assert violations(function, check, family, fmt) > 0
    assert violations(right, check, family, fmt) == 0


def test_a_label_entry_that_collapses_is_beyond_the_bound_of_the_kernel():
    row = np.float32([20.0, 0.0])
    _, gradient = comp_sum_with_gradient(row, 0, 0.5)
    _, collapsed = collapsing(row[None].copy(), np.array([0]))
    with flint.ctx.workprec(200):
        _, exact = exact_loss_and_gradient(row, 0, 0.5)
        assert ulps(gradient[0], exact[0], np.float32) <= gradient_ulp_bound(np.float32, 0.5)
        assert ulps(collapsed[0, 0], exact[0], np.float32) > 1e6
