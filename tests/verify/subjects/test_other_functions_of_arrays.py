"""Functions of several arguments of further libraries are handed over as what they are.

They are held against the oracle to half of the digits of the format, and 20 bits at most.
"""

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import format_of
from softproof.verify.cases.case import Case, CaseBatch
from softproof.verify.cases.truth import truth_once
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import NotApplicable
from softproof.verify.suites.of_cases.accuracy import call

MODULES = ("jax_functions_of_arrays", "onnx_functions_of_arrays", "scipy_functions_of_arrays")
MODULES += ("entmax_forms",)
SUBJECTS = [s for s in BUILT_IN if s.id.partition(":")[0].rpartition(".")[2] in MODULES]
X, Y = [0.25, -1.5, 3.0], [2.0, 0.5, -1.0]
MATRIX = [[1.0, -2.0, 0.5], [0.75, 0.5, -1.0], [3.0, 1.0, 0.25], [-1.0, 2.0, 1.5]]
WIDE = [[*row, 0.5] for row in MATRIX]
CASES = {
    "rms_norm": ({"x": X, "gain": Y}, {"eps": 0.0625}),
    "layer_norm": ({"x": X, "gain": Y, "bias": [1.0, -0.5, 0.25]}, {"eps": 0.0625}),
    "attention": ({"q": X, "k": MATRIX, "v": WIDE, "mask": [1, 0, 1, 1]}, {"scale": 2.0}),
    "swiglu": ({"a": X, "b": Y}, {}),
    "rope": ({"x": [*X, 1.0], "position": 3}, {"base": 500000.0}),
    "rope_interleaved": ({"x": [*X, 1.0], "position": 3}, {"base": 500000.0}),
    "gumbel_softmax": ({"logits": X, "noise": Y}, {"temperature": 4.0}),
    "info_nce": ({"query": X, "keys": MATRIX, "label": 2}, {"temperature": 4.0}),
    "kl_divergence": ({"student": X, "teacher": Y}, {"temperature": 4.0}),
    "linear_cross_entropy": ({"hidden": X, "weight": MATRIX, "label": 2}, {"softcap": 2.0}),
    "sparsemax": ({"z": X}, {}),
    "ctc_loss": ({"logits": MATRIX, "labels": [1, 1]}, {}),
}
KINDS = dict.fromkeys(("label", "labels", "position"), np.int64) | {"mask": np.bool_}


def cases_of(name, fmt, parameters):
    """A case, and another one with other numbers in the first argument."""
    values, _ = CASES[name]
    first = next(iter(values))
    for changed in ({}, {first: values[first][::-1]}):
        arguments = {
            argument: np.array(value).astype(KINDS.get(argument, fmt.dtype))
            for argument, value in {**values, **changed}.items()
        }
        yield Case(arguments, parameters)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.id.rpartition(".")[2])
def test_each_case_of_a_batch_gives_the_function_to_half_of_the_digits(subject):
    for package in (p for p in subject.requires if p != "scikit-learn"):
        pytest.importorskip(package, reason=f"{package} is not installed", exc_type=ImportError)
    definition = lookup(subject.definition)
    live = InProcess(subject)
    for dtype in subject.dtypes:
        fmt = format_of(dtype)
        # (ONNX Runtime computes 1 / sqrt d in float32, whatever the format.)
        tolerance = 2.0 ** -min(fmt.precision // 2, 20)
        for parameters in ({}, CASES[subject.definition][1]):
            cases = tuple(cases_of(subject.definition, fmt, parameters))
            computed = call(live, definition, fmt, CaseBatch("given", cases)).astype(np.float64)
            for row, case in zip(computed, cases, strict=True):
                exact = truth_once(definition, case, fmt).rounded.astype(np.float64)
                assert np.allclose(row, exact, rtol=tolerance, atol=tolerance), (dtype, parameters)


def test_onnx_holds_parameters_in_float32():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed", exc_type=ImportError)
    subject = next(s for s in SUBJECTS if s.id.endswith("onnx_functions_of_arrays:attention"))
    fmt = format_of("float64")
    cases = tuple(cases_of("attention", fmt, {"scale": 0.1}))
    with pytest.raises(NotApplicable, match=r"float32, which does not hold 0\.1"):
        call(InProcess(subject), lookup("attention"), fmt, CaseBatch("given", cases))


def test_each_library_has_functions_of_several_arguments():
    assert {s.id.partition(":")[0].rpartition(".")[2] for s in SUBJECTS} == set(MODULES)
