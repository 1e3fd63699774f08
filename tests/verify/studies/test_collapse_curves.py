"""Curves of loss and gradient against the gap: the truth, and where subjects leave it."""

import mpmath
import numpy as np
import pytest
from softproof.derivations.error_bounds.collapse import absorption_gap
from softproof.verify.studies.collapse_curves import collapse_curves
from softproof.verify.subjects.built_in import registered
from softproof.verify.subjects.isolation.in_process import InProcess

OURS = "softproof.kernels:cross_entropy_with_gradient"
PLAIN = "softproof.verify.textbook:cross_entropy_shifted"


def curves(*names, definition="cross_entropy", **options):
    live = [InProcess(registered(name, definition)) for name in names]
    return collapse_curves(live, **{"count": 40} | options)


@pytest.mark.parametrize("classes", [2, 50])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_truth_is_that_of_the_closed_form(classes, dtype):
    found = curves(OURS, dtype=dtype, classes=classes)
    with mpmath.workdps(600):
        for gap, loss, gradient in zip(
            found.gaps, found.exact.loss, found.exact.gradient, strict=True
        ):
            others = (classes - 1) * mpmath.exp(-mpmath.mpf(float(gap)))
            size = max(float(np.finfo(np.float64).tiny), float(others))
            # (What is below the range of the format is only known to its smallest number.)
            absolute = 2e-8 if dtype == "float16" else 1e-46 if dtype == "bfloat16" else 0
            absolute = {"float32": 1e-46, "float64": 5e-324}.get(dtype, absolute)
            limit = 1e-9 * size + absolute
            assert abs(loss - mpmath.log1p(others)) <= limit
            assert abs(gradient - others / (1 + others)) <= limit
    assert found.gaps[0] == 0
    assert (np.diff(found.gaps) > 0).all()


def test_ours_follows_the_truth_and_the_plain_form_leaves_it_at_the_derived_gap():
    found = curves(OURS, PLAIN, count=300)
    normal = found.exact.loss > 2.0**-126
    for errors in (found.of[OURS].loss_error, found.of[OURS].gradient_error):
        assert np.max(errors[normal]) < 6 * 2.0**-23
    for values, errors in (
        (found.of[PLAIN].loss, found.of[PLAIN].loss_error),
        (found.of[PLAIN].gradient, found.of[PLAIN].gradient_error),
    ):
        lost = found.gaps >= absorption_gap(24)
        assert (values[lost] == 0).all()
        assert (values[~lost] > 0).all()
        np.testing.assert_allclose(errors[lost & normal], 1, rtol=1e-12)
        assert np.nanmax(errors[found.gaps < 5]) < 1e-4


def test_log_probabilities_and_log_sums_have_no_gradient():
    for name in ("log_softmax", "logsumexp"):
        found = curves(f"softproof.kernels:{name}", definition=name)
        (curve,) = found.of.values()
        assert np.isnan(curve.gradient).all()
        assert np.isnan(curve.gradient_error).all()
        np.testing.assert_allclose(curve.loss, found.exact.loss, rtol=1e-6, atol=3e-45)


def test_progress_counts_subjects_and_the_truth():
    calls = []
    curves(OURS, PLAIN, count=3, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("name", "definition", "options", "message"),
    [
        (OURS, "cross_entropy", {"dtype": "float8"}, "dtype is 'float8'; use one of float16"),
        (OURS, "cross_entropy", {"classes": 1}, "classes is 1 and count is 40; each must be"),
        ("scipy.special:expit", "sigmoid", {}, "expit is of sigmoid; use one of cross_entropy"),
        ("scipy.special:logsumexp", "logsumexp", {"dtype": "float16"}, "takes no float16"),
    ],
)
def test_what_cannot_be_drawn_is_said(name, definition, options, message):
    with pytest.raises(ValueError, match=message):
        curves(name, definition=definition, **options)
