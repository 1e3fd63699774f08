"""Activations and elementary functions: careful forms conform, naive ones are found out, and where.

Every suite on rows is asked, and in 16 bits every number there is.
"""

import functools

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Result
from softproof.verify.subjects.contract import IN_FORMAT
from softproof.verify.subjects.implementations import activations
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject

SUITES = ("accuracy", "overflow", "special-values", "invariance")


def judged(function, definition, suite, dtype):
    subject = Subject("mine:f", definition, IN_FORMAT, dtypes=(dtype,))
    budget = "standard" if suite == "every-value" else "quick"
    items = [i for i in plan([subject], [suite], [dtype], budget=budget) if i.family != "tall"]
    results = [execute(item, lambda asked: InProcess(asked, function)) for item in items]
    return functools.reduce(Result.merge, results)


def tanh(x):
    d = np.expm1(-2 * np.abs(x))
    return np.copysign(d / (2 + d), x)


CAREFUL = {
    "gelu": activations.gelu_by_erfc,
    "gelu_tanh": activations.gelu_tanh_by_sigmoid,
    "silu": activations.silu_by_sign,
    "tanh": tanh,
    "erf": activations.erf,
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("definition", CAREFUL)
def test_a_careful_form_conforms(definition, dtype):
    every = ("every-value",) if dtype.endswith("16") else ()
    for suite in (*SUITES, *every):
        found = judged(CAREFUL[definition], definition, suite, dtype)
        assert found.failures == (), suite
        assert found.checks > (60_000 if suite == "every-value" else 0)


def nan_is_masked(x):
    return activations.silu_by_sign(np.nan_to_num(x, nan=0.0, posinf=np.inf, neginf=-np.inf))


def erf_clamped(x):
    """Right up to 3, where many polynomials end."""
    return np.where(np.abs(x) < 3, activations.erf(x), np.sign(x)).astype(x.dtype)


@pytest.mark.parametrize(
    ("function", "definition", "suite", "dtype"),
    [
        (activations.gelu_by_erf, "gelu", "accuracy", "float32"),
        (activations.gelu_by_erf, "gelu", "special-values", "float32"),
        (activations.gelu_by_erf, "gelu", "every-value", "float16"),
        (activations.gelu_tanh_as_published, "gelu", "accuracy", "float32"),
        (activations.gelu_tanh_as_published, "gelu_tanh", "accuracy", "float64"),
        (activations.gelu_tanh_by_sigmoid, "gelu", "every-value", "bfloat16"),
        (activations.silu_naive, "silu", "overflow", "float32"),
        (activations.silu_naive, "silu", "special-values", "float64"),
        (activations.silu_naive, "silu", "every-value", "float16"),
        (nan_is_masked, "silu", "special-values", "float32"),
        (activations.tanh_naive, "tanh", "accuracy", "float32"),
        (activations.tanh_naive, "tanh", "every-value", "bfloat16"),
        (activations.expm1_naive, "expm1", "accuracy", "float64"),
        (erf_clamped, "erf", "accuracy", "float32"),
        (np.exp2, "exp", "accuracy", "float32"),
        (np.exp, "expm1", "accuracy", "float32"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_naive_form_is_found_out(function, definition, suite, dtype):
    assert judged(function, definition, suite, dtype).failures


@pytest.mark.parametrize("definition", CAREFUL)
def test_the_identity_of_a_function_is_asked(definition):
    """What is off by a hundredth everywhere breaks f(x) - f(-x) = x, or f(x) + f(-x) = 0."""
    assert lookup(definition).facts

    def moved(x):
        return CAREFUL[definition](x) + x.dtype.type(0.01)

    assert judged(moved, definition, "invariance", "float32").failures
