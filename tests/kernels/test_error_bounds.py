"""Every public kernel has an error bound, or says why it has none."""

import importlib
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from softproof import kernels
from softproof.kernels import error_bound, error_bounds
from softproof.verify.subjects.built_in import BUILT_IN

NOT_KERNELS = {"error_bound"}
FUNCTIONS = {
    name
    for name in kernels.__all__
    if callable(getattr(kernels, name))
    and not isinstance(getattr(kernels, name), type)
    and name not in NOT_KERNELS
}
PROMISES = {
    subject.id.partition(":")[2]: subject.contract.ulps
    for subject in BUILT_IN
    if subject.id.startswith("softproof.kernels:") and subject.contract.ulps
}


def test_it_is_what_the_built_in_subjects_promise():
    assert len(PROMISES) >= 10
    for name, promised in PROMISES.items():
        assert promised == {dtype: error_bound(name, dtype) for dtype in promised}, name


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_public_kernel_has_one_or_says_why_not(name):
    if name in error_bounds.WITHOUT:
        with pytest.raises(ValueError, match=f"{name} has no bound in ulps: [a-z]"):
            error_bound(name, "float64")
    else:
        assert error_bound(name, "float64") >= 0.5


def test_no_bound_is_of_a_function_that_does_not_exist():
    for table in (error_bounds.value_bounds(), error_bounds.GRADIENT_BOUNDS, error_bounds.WITHOUT):
        assert set(table) <= FUNCTIONS


def test_the_proofs_are_where_it_says():
    for bound in (*error_bounds.value_bounds().values(), *error_bounds.GRADIENT_BOUNDS.values()):
        try:
            text = importlib.import_module(bound.proof).__doc__
        except ModuleNotFoundError:  # a function of a module
            module, _, function = bound.proof.rpartition(".")
            text = getattr(importlib.import_module(module), function).__doc__
        assert "Error" in text, bound.proof
        measured = "measured, not proven" in text
        assert measured != bound.is_proven, bound.proof


# Rows of the table in notebooks/pages/kernels.md: the kernel, and whether it is its gradient.
TABLE = {
    "softmax, all algorithms": ("softmax", False),
    "log_softmax": ("log_softmax", False),
    "logsumexp, of the larger of its modulus and its distance from the maximum": (
        "logsumexp",
        False,
    ),
    "cross_entropy, without smoothing and weights": ("cross_entropy", False),
    "its gradient": ("cross_entropy", True),
}


@pytest.mark.parametrize("row", TABLE)
def test_the_page_of_the_kernels_says_the_same(row):
    page = Path(__file__).parents[2] / "notebooks" / "pages" / "kernels.md"
    (line,) = [line for line in page.read_text().split("\n") if line.startswith(f"| {row} |")]
    figures = [float(cell) for cell in line.strip("| ").split(" | ")[1:]]
    kernel, gradient = TABLE[row]
    formats = ("float32", "float64", "float16")
    assert figures == [error_bound(kernel, dtype, gradient=gradient) for dtype in formats]


def test_dtypes_are_taken_as_names_and_as_dtypes():
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32, np.dtype(np.float64)):
        name = np.dtype(dtype).name
        assert error_bound("softmax", dtype) == error_bound("softmax", name)


def test_what_does_not_exist_is_named_beside_what_does():
    with pytest.raises(ValueError, match=r"no error bound of softmin; there is one of .*softmax"):
        error_bound("softmin", "float32")
    with pytest.raises(ValueError, match=r"ria has no error bound in float16; .* float32, float64"):
        error_bound("ria", "float16")
    with pytest.raises(ValueError, match=r"no error bound of the gradient of ria; there is one of"):
        error_bound("ria", "float32", gradient=True)
    with pytest.raises(ValueError, match=r"gradient of comp_sum has no bound in ulps: .*tau"):
        error_bound("comp_sum", "float32", gradient=True)
