"""Collapse-free kernels: every option keeps its relative accuracy where 1 absorbs e^-gap."""

import itertools

import mpmath
import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.kernels import (
    cross_entropy,
    cross_entropy_gradient,
    cross_entropy_with_gradient,
    log_softmax,
    logsumexp,
    softmax,
)
from softproof.kernels.losses.cross_entropy import GRADIENT_ULP_BOUND, ULP_BOUND
from softproof.kernels.softmax_family.log_softmax import ULP_BOUND as LOG_SOFTMAX_BOUND

MP = mpmath.MPContext()
MP.prec = 1200  # 1 + e^-721 is told from 1

# From well above the gap that 1 absorbs to near where e^-gap underflows in the format.
GAPS = {
    "float16": (4.0, 7.75, 9.0, 13.0),
    "bfloat16": (5.0, 16.75, 40.0, 86.0),
    "float32": (12.0, 16.7, 30.0, 60.0, 87.0),
    "float64": (30.0, 36.8, 60.0, 300.0, 700.0),
}
# In float64 a factor that is not 1 costs an ulp, a reduction one more, smoothing 16 in all; the
# other formats are computed with in float64 but for what the bounds have already.
MORE = {"float16": 0.01, "bfloat16": 0.01, "float32": 0.1, "float64": 3.0}
SMOOTHED = {"float16": 0.52, "bfloat16": 0.52, "float32": 4.0, "float64": 16.0}

each_format = pytest.mark.parametrize("dtype", FORMATS)


def rows(dtype, classes):
    """A leader at each end and in the middle, other classes at about a gap: (logits, leaders)."""
    fmt, generator = FORMATS[dtype], np.random.default_rng(classes)
    logits, leaders = [], []
    for gap, place in itertools.product(GAPS[dtype], sorted({0, classes // 2, classes - 1})):
        row = -gap * (1 + generator.uniform(0, 0.03, classes))
        row[place] = 0
        logits.append(row)
        leaders.append(place)
    return np.array(logits).astype(fmt.dtype), np.array(leaders)


class Exact:
    """Loss and gradient of one sample, as the module of the kernel defines them."""

    def __init__(self, row, label, scale=1.0, weights=None, smoothing=0.0):
        z = [MP.mpf(scale) * MP.mpf(float(v)) for v in row]
        size, e = len(z), MP.mpf(smoothing)
        w = [MP.mpf(1)] * size if weights is None else [MP.mpf(float(v)) for v in weights]
        t = [(1 - e) * w[label] * (k == label) + e * w[k] / size for k in range(size)]
        top = max(z)
        powers = [MP.exp(v - top) for v in z]
        total = MP.fsum(powers)
        log_p = [v - top - MP.log(total) for v in z]
        whole = MP.fsum(t)
        self.weight = w[label]
        self.loss = -MP.fsum(a * b for a, b in zip(t, log_p, strict=True) if a)
        s = MP.mpf(scale)
        self.gradient = [s * (whole * p / total - a) for p, a in zip(powers, t, strict=True)]
        # What each entry is a difference of: of the right class, the targets of the others and
        # their probabilities; of another class, W p and its target.
        others = MP.fsum(t) - t[label]
        wrong = whole * (total - powers[label]) / total
        self.terms = [s * max(whole * p / total, a) for p, a in zip(powers, t, strict=True)]
        self.terms[label] = s * max(others, wrong)


def ulps(computed, exact, fmt, of=None):
    """|computed - exact| in units in the last place of what the error is relative to."""
    size = abs(exact if of is None else of)
    exponent = fmt.emin if size == 0 else max(int(MP.floor(MP.log(size, 2))), fmt.emin)
    return float(abs(MP.mpf(float(computed)) - exact) / MP.mpf(2) ** (exponent - fmt.precision + 1))


def worst(computed, exact, fmt, of=None):
    of = [None] * len(exact) if of is None else of
    return max(ulps(c, e, fmt, o) for c, e, o in zip(computed, exact, of, strict=True))


# --- without reduction ---


@each_format
@pytest.mark.parametrize("classes", [2, 5, 70])
@pytest.mark.parametrize("scale", [1.0, 0.75])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_gradients(dtype, classes, scale, weighted):
    fmt = FORMATS[dtype]
    x, labels = rows(dtype, classes)
    weights = np.linspace(0.25, 1.5, classes).astype(np.float32) if weighted else None
    options = {"scale": scale, "class_weights": weights}
    loss, gradient = cross_entropy_with_gradient(x, labels, **options)
    more = MORE[dtype] if weighted or scale != 1 else 0.0
    for i, (row, label) in enumerate(zip(x, labels, strict=True)):
        exact = Exact(row, label, scale, weights)
        assert loss[i] != 0
        assert gradient[i, label] != 0
        assert ulps(loss[i], exact.loss, fmt) <= ULP_BOUND[dtype] + more
        assert worst(gradient[i], exact.gradient, fmt) <= GRADIENT_ULP_BOUND[dtype] + more
    np.testing.assert_array_equal(loss, cross_entropy(x, labels, **options))
    np.testing.assert_array_equal(gradient, cross_entropy_gradient(x, labels, **options))


@each_format
@pytest.mark.parametrize("smoothing", [2.0**-60, 1e-9, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_label_smoothing(dtype, smoothing, weighted):
    fmt, classes = FORMATS[dtype], 5
    x, labels = rows(dtype, classes)
    weights = np.linspace(0.25, 1.5, classes).astype(np.float32) if weighted else None
    options = {"label_smoothing": smoothing, "class_weights": weights}
    loss, gradient = cross_entropy_with_gradient(x, labels, **options)
    for i, (row, label) in enumerate(zip(x, labels, strict=True)):
        exact = Exact(row, label, 1.0, weights, smoothing)
        assert ulps(loss[i], exact.loss, fmt) <= SMOOTHED[dtype]
        limit = GRADIENT_ULP_BOUND[dtype] + 2 * MORE[dtype] + 1
        assert worst(gradient[i], exact.gradient, fmt, exact.terms) <= limit


# --- reductions ---


@each_format
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_reductions_and_ignored_samples(dtype, reduction, weighted):
    fmt, classes = FORMATS[dtype], 5
    x, labels = rows(dtype, classes)
    # Those with the smallest gap would hide all others: each gap is reduced by itself.
    weights = np.linspace(0.25, 1.5, classes).astype(np.float32) if weighted else None
    for start in range(0, len(x), 3):
        here, y = x[start : start + 3], labels[start : start + 3].copy()
        here, y = np.vstack([here, here[:1] * 0]), np.append(y, -7)  # log 5, were it counted
        options = {"class_weights": weights, "ignore_index": -7, "reduction": reduction}
        loss, gradient = cross_entropy_with_gradient(here, y, **options)
        exact = [Exact(row, k, 1.0, weights) for row, k in zip(here[:3], y[:3], strict=True)]
        mass = MP.fsum(e.weight for e in exact) if reduction == "mean" else MP.mpf(1)
        total = MP.fsum(e.loss for e in exact) / mass
        assert ulps(loss, total, fmt) <= ULP_BOUND[dtype] + MORE[dtype]
        assert loss == cross_entropy(here, y, **options)
        for i, e in enumerate(exact):
            slopes = [g / mass for g in e.gradient]
            assert worst(gradient[i], slopes, fmt) <= GRADIENT_ULP_BOUND[dtype] + MORE[dtype]
        assert (gradient[3] == 0).all()


@each_format
def test_cotangents(dtype):
    fmt = FORMATS[dtype]
    x, labels = rows(dtype, 5)
    factors = np.linspace(-2, 3, len(x))
    gradient = cross_entropy_gradient(x, labels, factors)
    for i, (row, label) in enumerate(zip(x, labels, strict=True)):
        slopes = [MP.mpf(float(factors[i])) * g for g in Exact(row, label).gradient]
        assert worst(gradient[i], slopes, fmt) <= GRADIENT_ULP_BOUND[dtype] + MORE[dtype]


# --- sums that do not stick ---


@each_format
@pytest.mark.parametrize("classes", [300, 5000, 70_001])
def test_very_many_other_classes(dtype, classes):
    fmt = FORMATS[dtype]
    for gap, place in itertools.product(GAPS[dtype], (0, classes - 1)):
        x = np.full((1, classes), -gap).astype(fmt.dtype)
        x[0, place] = 0
        others = (classes - 1) * MP.exp(MP.mpf(float(x[0, 1 - place if place < 2 else 0])))
        log_of_sum, slope = MP.log1p(others), -others / (1 + others)
        loss, gradient = cross_entropy_with_gradient(x, [place])
        assert ulps(loss[0], log_of_sum, fmt) <= ULP_BOUND[dtype]
        assert ulps(gradient[0, place], slope, fmt) <= GRADIENT_ULP_BOUND[dtype]
        assert ulps(log_softmax(x)[0, place], -log_of_sum, fmt) <= LOG_SOFTMAX_BOUND[dtype]
        assert ulps(logsumexp(x)[0], log_of_sum, fmt) <= LOG_SOFTMAX_BOUND[dtype]
        assert ulps(softmax(x)[0, place], 1 + slope, fmt) <= 4.31


def test_the_checks_find_the_usual_forms():
    """What everybody writes, and sums that stick, are far beyond the bounds."""
    fmt = FORMATS["float32"]
    x, labels = rows("float32", 5)
    for row, label in zip(x[3:], labels[3:], strict=True):  # from a gap of 16.7 on
        exact = Exact(row, label)
        e = np.exp(row - row.max())
        assert ulps(np.log(e.sum(dtype=np.float32)), exact.loss, fmt) > 1e6
        assert ulps(e[label] / e.sum() - np.float32(1), exact.gradient[label], fmt) > 1e6
        smoothed = Exact(row, label, 1.0, None, 1e-9)
        p = e[label] / e.sum()
        naive = p - np.float32((1 - 1e-9) + 1e-9 / 5)
        assert ulps(naive, smoothed.gradient[label], fmt, smoothed.terms[label]) > 1e6
