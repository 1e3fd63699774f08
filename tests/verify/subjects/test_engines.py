"""Functions of inference engines, and interpreted kernels, are handed over as what they are.

They are held against the oracle to half of the digits of the format, which tells one function, axis
or parameter from another.  How accurate an engine is, is for the suites to find; it depends on its
version and on the processor.  None of the engines is needed: what is missing is skipped.
"""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import format_of
from softproof.verify.cases.case import Case, CaseBatch
from softproof.verify.cases.truth import truth_once
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.implementations import engines
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.registration import module_of
from softproof.verify.subjects.subject import NotApplicable, Subject
from softproof.verify.suites.of_cases.accuracy import call

ROOT = Path(__file__).parents[3]
SUBJECTS = [
    s for s in BUILT_IN if module_of(s.id.partition(":")[0]).startswith(f"{engines.__name__}.")
]
X, Y = [0.25, -1.5, 3.0, 1.0], [2.0, 0.5, -1.0, 0.75]
KEYS = [[1.0, -2.0, 0.5, 1.0], [0.75, 0.5, -1.0, 0.25], [3.0, 1.0, 0.25, -0.5]]
OF_A_VECTOR = ({}, {"x": X})
OF_A_REAL = ({}, {"x": 0.75})
WHERE_THE_FORMS_DIFFER = ({}, {"x": -3.0})
# Parameters besides the defaults, and arguments, by the name of the definition.
CASES = {
    **dict.fromkeys(("softmax", "log_softmax"), OF_A_VECTOR),
    **dict.fromkeys(("gelu", "gelu_tanh"), WHERE_THE_FORMS_DIFFER),
    **dict.fromkeys(
        ("sigmoid", "softplus", "silu", "tanh", "exp", "erf", "expm1", "log1p"), OF_A_REAL
    ),
    "swiglu": ({}, {"a": X, "b": Y}),
    "rms_norm": ({"eps": 0.0625}, {"x": X, "gain": Y}),
    "layer_norm": ({"eps": 0.0625}, {"x": X, "gain": Y, "bias": [1.0, -0.5, 0.25, 0.0]}),
    "attention": ({"scale": 2.0}, {"q": X, "k": KEYS, "v": KEYS, "mask": [1, 0, 1]}),
}


def cases_of(definition, fmt, parameters):
    """A case, and another one with other numbers in the first argument."""
    _, values = CASES[definition.name]
    named = dict(zip(definition.signature.arguments, values.values(), strict=True))
    first = next(iter(named))
    for changed in ({}, {first: (-0.5 * np.array(named[first])).tolist()}):
        arguments = {
            name: np.array(value).astype(np.bool_ if name == "mask" else fmt.dtype)
            for name, value in {**named, **changed}.items()
        }
        yield Case(arguments, parameters)


def installed(subject):
    """The subject in this process, or a skip that says what is missing."""
    if (word := subject.missing()) is not None:
        pytest.skip(word)
    return InProcess(subject)


def demand_the_function(live, definition, dtype):
    """Each case of a batch gives the function to half of the digits."""
    fmt = format_of(dtype)
    tolerance = 2.0 ** -(fmt.precision // 2)
    for parameters in ({}, CASES[definition.name][0]):
        cases = tuple(cases_of(definition, fmt, parameters))
        computed = call(live, definition, fmt, CaseBatch("given", cases)).astype(np.float64)
        for row, case in zip(computed, cases, strict=True):
            exact = truth_once(definition, case, fmt).rounded.astype(np.float64).reshape(-1)
            assert np.allclose(row, exact, rtol=tolerance, atol=tolerance), (dtype, parameters)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.id.rpartition(".")[2])
def test_each_case_of_a_batch_gives_the_function_to_half_of_the_digits(subject):
    live = installed(subject)
    with Workers() as workers:
        if "triton" in subject.requires:  # it is told to interpret before it is imported
            live = workers.connect(subject)
        for dtype in subject.dtypes:
            demand_the_function(live, lookup(subject.definition), dtype)


def by_the_hyperbolic_tangent(x):
    return x * (1 + np.tanh(np.float32(0.7978846) * (x + np.float32(0.044715) * x**3))) / 2


def first_of_the_batch(x, gain, eps=1e-6):
    y = x * gain / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps))
    return np.repeat(y[:1], len(y), axis=0)


def deaf_to_its_parameter(x, gain, eps=1e-6):
    return x * gain / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-6))


@pytest.mark.parametrize(
    ("definition", "function"),
    [
        ("gelu", by_the_hyperbolic_tangent),
        ("rms_norm", first_of_the_batch),
        ("rms_norm", deaf_to_its_parameter),
    ],
)
def test_another_function_row_or_parameter_is_told(definition, function):
    live = InProcess(Subject("planted:function", definition), function)
    with pytest.raises(AssertionError, match="float32"):
        demand_the_function(live, lookup(definition), "float32")


@pytest.mark.parametrize("module", ["openvino_forms", "litert_forms", "mnn_forms"])
def test_engines_are_given_compact_arrays_alone(module):
    subject = next(s for s in SUBJECTS if s.id.endswith(f"{module}:softmax"))
    live = installed(subject)
    logits = np.array(KEYS, np.float32)
    assert live(logits).value.shape == (3, 4)
    with pytest.raises(NotApplicable, match="compact row-major"):
        live(logits, layout="fortran")


def test_every_engine_is_an_extra_and_one_of_the_frameworks():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    declared = {extra: {re.split("[<>=;]", r)[0] for r in extras[extra]} for extra in extras}
    for subject in SUBJECTS:
        needed = {*subject.requires}
        assert needed <= declared["frameworks"], subject.id
        assert any(needed == declared[extra] for extra in extras), subject.id
