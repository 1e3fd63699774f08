"""The line above a wrapper, or a kernel, makes it a built-in subject."""

import pkgutil
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from softproof import kernels
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.signature import Mask
from softproof.kernels.runtime.declared import KERNELS, kernel_of
from softproof.verify.subjects import implementations, registration
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.call import load
from softproof.verify.subjects.contract import CONVENTIONAL, IN_FORMAT
from softproof.verify.subjects.registration import module_of, public_module, subject
from softproof.verify.subjects.subject import SubjectError

WRAPPERS = [
    module.name
    for module in pkgutil.walk_packages(implementations.__path__, f"{implementations.__name__}.")
    if not module.ispkg
]


@pytest.fixture
def registered(monkeypatch):
    """What is registered in a test, and forgotten after it."""
    monkeypatch.setattr(registration, "REGISTERED", [])
    return registration.REGISTERED


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


# --- wrappers ---


def test_a_function_stays_what_it_is_and_becomes_a_subject(registered):
    assert (
        subject("softmax", "mine(x)", contract=IN_FORMAT, requires=("numpy",))(softmax) is softmax
    )
    (made,) = registered
    assert made.id == f"{__name__}:softmax"
    assert (made.definition, made.snippet, made.contract) == ("softmax", "mine(x)", IN_FORMAT)
    assert made.requires == ("numpy",)


def test_a_second_device_is_a_second_subject(registered):
    subject("softmax", contract=IN_FORMAT, arrays="torch", also_on="cuda")(softmax)
    host, device = registered
    assert (host.device, device.device) == ("", "cuda")
    assert device.id == f"{host.id}@cuda"
    # What sums on a device is another algorithm; the format of its steps is the same.
    assert device.contract.accumulator == CONVENTIONAL.accumulator != host.contract.accumulator
    assert device.contract.arithmetic == host.contract.arithmetic == "input"


def test_a_name_is_registered_once_for_a_definition(registered):
    subject("softmax")(softmax)
    subject("stablemax")(softmax)
    with pytest.raises(ValueError, match=r":softmax is registered already; give the function an"):
        subject("softmax")(softmax)
    assert len(registered) == 2


@pytest.mark.parametrize("module", WRAPPERS)
def test_every_module_of_wrappers_is_found_by_the_name_in_its_ids(module):
    public = public_module(module)
    assert public != module
    assert module_of(public) == module
    assert [s for s in BUILT_IN if s.id.startswith(f"{public}:")]


@pytest.mark.parametrize(
    "public",
    [
        "textbook",  # a user's own
        "mine.textbook",
        "softproof.kernels",
        "softproof.verify.torch_forms",
        "softproof.verify.subjects.no_such_forms",
        "softproof.verify.subjects.implementations.textbook",
    ],
)
def test_other_names_are_the_modules_that_they_say(public):
    assert module_of(public) == public


def test_the_subjects_are_listed_without_loading_a_framework():
    frameworks = {"torch", "jax", "onnx", "onnxruntime", "sklearn"}
    frameworks |= {"openvino", "ai_edge_litert", "MNN", "triton"}
    code = (
        "import sys; from softproof.verify.subjects.built_in import BUILT_IN;"
        f"print(len(BUILT_IN), {frameworks} & {{*sys.modules}})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == f"{len(BUILT_IN)} set()\n"


def test_a_framework_is_loaded_before_the_first_call(monkeypatch):
    """And one that is broken is an error of loading, not a finding about the function."""

    def load_framework():
        raise ImportError("libbroken.so: cannot open shared object file")

    public, real = "softproof.verify.subjects.planted_forms", f"{implementations.__name__}.planted"
    module = ModuleType(real)
    module.softmax, module.load_framework = softmax, load_framework
    monkeypatch.setitem(sys.modules, real, module)
    monkeypatch.setattr("softproof.verify.subjects.call.module_of", {public: real}.__getitem__)
    with pytest.raises(SubjectError, match=r"planted_forms:softmax: ImportError: libbroken\.so"):
        load(f"{public}:softmax")


# --- kernels ---


def test_every_declared_kernel_is_public_and_a_subject_with_its_bound():
    by_id = {s.id: s for s in BUILT_IN}
    assert len(KERNELS) >= 15
    for name, kernel in KERNELS.items():
        assert name in kernels.__all__
        made = by_id[f"softproof.kernels:{name}"]
        assert made.definition == kernel.definition
        assert made.dtypes == tuple(kernel.ulps)
        assert made.contract.ulps == (kernel.ulps if name != "logsumexp" else {})


def test_a_kernel_is_declared_once(monkeypatch):
    with pytest.raises(ValueError, match="a kernel 'softmax' is declared already"):
        kernel_of("softmax", {"float32": 1.0})(softmax)


# --- all of them ---


def test_no_two_have_the_same_id_for_a_definition():
    assert len({(s.id, s.definition) for s in BUILT_IN}) == len(BUILT_IN)


def test_all_implement_definitions_in_the_order_of_the_catalogue():
    places = [list(REGISTRY).index(s.definition) for s in BUILT_IN]
    assert places == sorted(places)


def test_all_declare_what_would_else_be_observed():
    def has_mask(definition):
        return any(isinstance(kind, Mask) for kind in definition.signature.arguments.values())

    for one in BUILT_IN:
        free = {"layouts", "overflow"} | (
            set() if has_mask(lookup(one.definition)) else {"masked_nan"}
        )
        assert {*one.contract.undeclared} <= free, one.id
