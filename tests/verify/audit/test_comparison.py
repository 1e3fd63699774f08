"""How checks compare: each admits what its formula admits, and tells by how much it is exceeded."""

import math

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32
from softproof.verify.audit.comparison import Asked, Comparison


def excess(kind, found, reference, eager=None, dtype=BINARY32.dtype, **tolerances):
    found, reference = np.float64(found), np.float64(reference)
    eager = reference if eager is None else np.float64(eager)
    return Comparison(kind, tolerances).excess(Asked(found, reference, eager, dtype))


def test_allclose_is_numpys():
    rng = np.random.default_rng(0)
    for _ in range(200):
        reference = rng.normal(size=3)
        found = reference + rng.normal(size=3) * 10.0 ** rng.uniform(-4, 0)
        admitted = np.allclose(found, reference, atol=0.01, rtol=0.02)
        assert (excess("allclose", found, reference, atol=0.01, rtol=0.02) <= 1) == admitted


def test_the_excess_is_the_factor_of_the_tolerances():
    assert excess("allclose", [1.5], [1.0], atol=0.05, rtol=0.05) == pytest.approx(5)
    assert excess("mean square", [1.0, 1.1], [1.0, 1.0], most=1e-3) == pytest.approx(5)
    assert excess("sums", [[0.5, 0.25]], [[0.5, 0.5]], to=1, atol=0.05, rtol=0.05) == (
        pytest.approx(2.5)
    )
    both = excess("either", [0.02, 100.5], [0.01, 100.0], atol=0.1, rtol=0.1)
    assert both == pytest.approx(0.1)  # 0.01 of 0.1, and 0.5 % of 10 %: the lesser of each


def test_a_number_fails_either_where_both_are_exceeded():
    assert excess("either", [0.0], [0.009], atol=1e-2, rtol=1e-2) <= 1  # all relative, but small
    assert excess("either", [100.5], [100.0], atol=1e-2, rtol=1e-2) <= 1
    assert excess("either", [0.0], [0.02], atol=1e-2, rtol=1e-2) > 1


def test_a_share_may_miss():
    found, reference = np.zeros(20), np.zeros(20)
    found[0] = 1.0
    assert excess("allclose", found, reference, atol=0.1, rtol=0, share=0.95) == 0
    found[1] = 1.0
    assert excess("allclose", found, reference, atol=0.1, rtol=0, share=0.95) == 10
    assert excess("allclose", found, reference, atol=0.1, rtol=0) == 10


@pytest.mark.parametrize(
    ("kind", "tolerances"),
    [
        ("allclose", {"atol": 1e9, "rtol": 1e9}),
        ("either", {"atol": 1e9, "rtol": 1e9}),
        ("mean square", {"most": 1e9}),
        ("times eager", {"times": 1e9}),
        ("sums", {"to": 1, "atol": 1e9, "rtol": 1e9}),
    ],
)
def test_nan_is_never_admitted_and_nothing_always_is(kind, tolerances):
    assert excess(kind, [[np.nan, 1.0]], [[1.0, 1.0]], **tolerances) == math.inf
    assert excess(kind, np.zeros((0, 2)), np.zeros((0, 2)), **tolerances) == 0


def test_equal_infinities_are_close():
    assert excess("allclose", [np.inf], [np.inf], atol=0.1, rtol=0) == 0
    assert excess("allclose", [-np.inf], [np.inf], atol=0.1, rtol=0.1) == math.inf


def test_times_eager_admits_so_many_times_its_error_and_the_noise():
    scalar = BFLOAT16.dtype.type
    for reference, error in ((1.0, 0.125), (1.0, 0.0)):
        noise = abs(float(scalar(reference) + scalar(0.3) - scalar(0.3)) - reference)
        assert noise > 0
        given = {"reference": [reference], "eager": [reference + error], "dtype": BFLOAT16.dtype}
        allowed = 2 * error + 2 * noise
        for share in (0.5, 1, 2):
            found = [reference + share * allowed]
            assert excess("times eager", found, **given, times=2) == pytest.approx(share)


def test_what_would_reject_is_told():
    comparison = Comparison("allclose", {"atol": 1e-2, "rtol": 1e-3, "share": 0.9})
    assert comparison.would_reject(0.5) == "atol < 0.005, rtol < 0.0005"
    assert comparison.told == "allclose: atol 0.01, rtol 0.001, share 0.9"
