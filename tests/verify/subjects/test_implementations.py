"""Arrays of other libraries, and the forms in which their functions are subjects.

The forms are held against the oracle to half of the digits of the format, which tells one function,
axis or label from another: they are to hand over what they should.  How accurate a framework is, is
for the suites to find; it depends on its version and on the processor.
"""

import dataclasses
import importlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS, format_of
from softproof.verify.oracle.metrics import ulp_error
from softproof.verify.oracle.truth import truth
from softproof.verify.subjects.arrays import to_native, to_numpy
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import NotApplicable, Subject, SubjectError

FORMS = "softproof.verify.subjects"
HAZARDS = [1.0, -0.0, 0.0, float("nan"), float("inf"), float("-inf"), -3.5, 17.0]
LOGITS = [[0.25, -1.5, 3.0, 2.0], [-2.0, 0.5, 0.5, 1.25], [4.0, 3.0, -6.0, 3.5]]
LABELS = [0, 3, 1]

each_dtype = pytest.mark.parametrize("dtype", FORMATS)
each_library = pytest.mark.parametrize("library", ["numpy", "torch", "jax"])


def framework(name):
    """The module of a framework, or a skip that says which is missing."""
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def bits_of(array):
    return array.view(f"u{array.itemsize}")


def hazards(dtype):
    """Special values, both signs of the smallest and the largest subnormal, and two NaNs."""
    info = ml_dtypes.finfo(dtype)
    tiny, normal = float(info.smallest_subnormal), float(info.smallest_normal)
    values = [*HAZARDS, tiny, -tiny, normal - tiny, tiny - normal]
    array = np.array(values).astype(dtype)
    other_nan = np.array([np.nan]).astype(dtype)
    bits_of(other_nan)[0] += 5  # a payload
    return np.concatenate([array, other_nan, -other_nan])


# --- conversions ---


@each_library
@each_dtype
def test_conversion_keeps_every_bit(library, dtype):
    framework(library)
    array = hazards(FORMATS[dtype].dtype)
    back = to_numpy(to_native(array, library))
    assert back.dtype == array.dtype
    assert np.array_equal(bits_of(back), bits_of(array))


@each_library
@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_labels_and_masks_keep_their_dtype(library, dtype):
    framework(library)
    array = np.array([0, 1, 1]).astype(dtype)
    back = to_numpy(to_native(array, library))
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()


@each_library
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_conversion_keeps_shapes(library, shape, dtype):
    framework(library)
    array = np.ones(shape, FORMATS[dtype].dtype)
    native = to_native(array, library)
    assert tuple(native.shape) == shape
    assert to_numpy(native).shape == shape


BASE = np.arange(24, dtype=np.float32).reshape(4, 6)
VIEWS = {
    "contiguous": BASE,
    "Fortran order": np.asfortranarray(BASE),
    "transposed": BASE.T,
    "strided": BASE[::2, 1::2],
    "broadcast": np.broadcast_to(BASE[0], (5, 6)),
    "one column broadcast": np.broadcast_to(BASE[:, :1], (4, 6)),
    "offset by an element": np.arange(25, dtype=np.float32)[1:].reshape(4, 6),
    "offset by a byte": np.zeros(4 * 24 + 1, np.uint8)[1:].view(np.float32).reshape(4, 6),
    "bfloat16, strided": BASE.astype(ml_dtypes.bfloat16)[:, ::3],
}


@pytest.mark.parametrize("name", VIEWS)
def test_torch_shares_memory_and_strides(name):
    framework("torch")
    array = VIEWS[name]
    tensor = to_native(array, "torch")
    assert tensor.data_ptr() == array.ctypes.data
    assert [s * array.itemsize for s in tensor.stride()] == list(array.strides)
    assert np.array_equal(to_numpy(tensor), array)


def test_torch_takes_read_only_arrays_and_leaves_them_so():
    framework("torch")
    array = BASE.copy()
    array.flags.writeable = False
    assert to_native(array, "torch").data_ptr() == array.ctypes.data
    assert not array.flags.writeable


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "offset by a byte"])
def test_torch_keeps_strides_on_another_device(name):
    """On the device "meta", which has shapes and strides but no memory."""
    framework("torch")
    array = VIEWS[name]
    tensor = to_native(array, "torch", "meta")
    assert tensor.device.type == "meta"
    assert [s * array.itemsize for s in tensor.stride()] == list(array.strides)


PACKED = np.zeros(3, dtype=[("flag", "u1"), ("value", "f4")])["value"]


@pytest.mark.parametrize(
    ("library", "array", "why"),
    [
        ("torch", BASE[:, ::-1], "negative strides"),
        ("torch", BASE.astype(ml_dtypes.bfloat16)[::-1], "negative strides"),
        ("torch", PACKED, "multiple of itemsize"),
        ("torch", BASE.astype(">f4"), "byte order"),
        ("jax", BASE[:, ::-1], "compact row-major"),
        ("jax", BASE.T, "compact row-major"),
        ("jax", BASE[:, ::2], "compact row-major"),
        ("jax", np.broadcast_to(BASE[0], (5, 6)), "compact row-major"),
        ("jax", VIEWS["offset by a byte"], "compact row-major"),
        ("jax", BASE.astype(">f4"), "compact row-major"),
    ],
)
def test_what_a_library_cannot_express_is_refused(library, array, why):
    framework(library)
    with pytest.raises(NotApplicable, match=why):
        to_native(array, library)


def test_torch_refuses_misalignment_and_far_views_on_a_device():
    framework("torch")
    with pytest.raises(NotApplicable, match="aligned"):
        to_native(VIEWS["offset by a byte"], "torch", "meta")
    far = np.lib.stride_tricks.as_strided(BASE, (2, 2), (1 << 33, 4))  # not to be read
    with pytest.raises(NotApplicable, match="spans 8 GiB"):
        to_native(far, "torch", "meta")


def test_unknown_library_and_device_are_named():
    with pytest.raises(SubjectError, match="'tensorflow' is none of numpy, torch, jax, cupy"):
        to_native(BASE, "tensorflow")
    for library in ("torch", "jax"):
        framework(library)
        with pytest.raises(SubjectError, match="no device 'abacus:0'"):
            to_native(BASE, library, "abacus:0")


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    with pytest.raises(SubjectError, match="no arrays of cupy here"):
        to_native(BASE, "cupy")


def test_results_that_need_a_gradient_or_are_negated_views_convert():
    torch = framework("torch")
    tensor = torch.ones(2, requires_grad=True) * 3
    assert to_numpy(tensor).tolist() == [3, 3]
    negated = torch.tensor([1j]).conj().imag  # a view with its sign still to be flipped
    assert negated.is_neg()
    assert to_numpy(negated).tolist() == [-1]


@pytest.mark.parametrize("result", [2.5, [1.0, 2.0], np.float32(3)])
def test_numbers_and_lists_become_arrays(result):
    assert np.array_equal(to_numpy(result), np.asarray(result))


# --- forms ---

PLAIN = {
    "torch": ("softmax", "log_softmax", "logsumexp", "sigmoid", "softplus"),
    "jax": ("softmax", "log_softmax", "logsumexp", "sigmoid", "softplus"),
    "onnx": ("softmax", "log_softmax", "logsumexp", "sigmoid", "softplus"),
    "sklearn": ("softmax", "softplus"),
}
ARRAYS = {"torch": "torch", "jax": "jax", "onnx": "numpy", "sklearn": "numpy"}
MODULES = {
    "torch": ("torch",),
    "jax": ("jax", "optax"),
    "onnx": ("onnx", "onnxruntime"),
    "sklearn": ("sklearn",),
}
DTYPES = {
    "torch": ("float16", "bfloat16", "float32", "float64"),
    "jax": ("float16", "bfloat16", "float32", "float64"),
    "onnx": ("float16", "float32", "float64"),
    "sklearn": ("float32", "float64"),
}
# ONNX Runtime's CPU provider has no kernel for it.
NO_KERNEL = {("onnx", "softplus", "float64")}


def live(library, form, definition=None, **changes):
    """A subject of a forms module, in this process."""
    for module in MODULES[library]:
        framework(module)
    subject = Subject(f"{FORMS}.{library}_forms:{form}", definition or form, arrays=ARRAYS[library])
    return InProcess(dataclasses.replace(subject, **changes))


def assert_true(computed, definition, logits, labels=None, gradient=False):
    """Each number agrees with the oracle's in half of its digits."""
    fmt = format_of(logits.dtype)
    for i, row in enumerate(logits):
        label = None if labels is None else int(labels[i])
        exact = truth(lookup(definition), row, fmt, label=label, gradient=gradient)
        close = ulp_error(computed[i], exact) <= 2.0 ** ((fmt.precision + 1) // 2)
        assert np.all(close), (row, computed[i], exact.rounded)


@pytest.mark.parametrize(
    ("library", "name", "dtype"),
    [
        (library, name, dtype)
        for library, names in PLAIN.items()
        for name in names
        for dtype in DTYPES[library]
        if (library, name, dtype) not in NO_KERNEL
    ],
)
def test_form_agrees_with_the_oracle(library, name, dtype):
    logits = np.array(LOGITS).astype(FORMATS[dtype].dtype)
    assert_true(live(library, name)(logits).value, name, logits)


@pytest.mark.parametrize(
    ("library", "dtype"), [(library, dtype) for library in DTYPES for dtype in DTYPES[library]]
)
def test_loss_and_gradient_agree_with_the_oracle(library, dtype):
    logits, labels = np.array(LOGITS).astype(FORMATS[dtype].dtype), np.array(LABELS)
    outcome = live(library, "cross_entropy")(logits, labels)
    assert_true(outcome.value, "cross_entropy", logits, labels)
    if library != "onnx":
        assert_true(outcome.gradient, "cross_entropy", logits, labels, gradient=True)


@pytest.mark.parametrize("form", ["softmax_jit", "log_softmax_jit", "logsumexp_jit"])
def test_jitted_form_agrees_with_the_oracle(form):
    logits = np.array(LOGITS, np.float32)
    definition = form.removesuffix("_jit")
    assert_true(live("jax", form, definition)(logits).value, definition, logits)


def test_jitted_loss_agrees_with_the_oracle():
    logits, labels = np.array(LOGITS, np.float32), np.array(LABELS)
    outcome = live("jax", "cross_entropy_jit", "cross_entropy")(logits, labels)
    assert_true(outcome.value, "cross_entropy", logits, labels)
    assert_true(outcome.gradient, "cross_entropy", logits, labels, gradient=True)


def test_compiled_form_is_compiled_and_agrees_with_the_oracle():
    framework("torch")
    if (word := no_compiler()) is not None:
        pytest.skip(word)
    subject = live("torch", "cross_entropy_compiled", "cross_entropy")
    from torch._dynamo.utils import counters

    counters.clear()
    logits, labels = np.array(LOGITS, np.float32), np.array(LABELS)
    outcome = subject(logits, labels)
    assert counters["stats"]["unique_graphs"] == 1
    assert_true(outcome.value, "cross_entropy", logits, labels)
    assert_true(outcome.gradient, "cross_entropy", logits, labels, gradient=True)
    subject(logits[:, :3], labels % 3)  # another shape is the same variant
    assert counters["stats"]["unique_graphs"] == 1


def no_compiler():
    """Why torch.compile cannot work here; None where it can."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        return "no C++ compiler"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "no Python headers"
    return None


@pytest.mark.parametrize("library", ["torch", "jax", "onnx"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_axis_is_the_one_that_is_asked_for(library, name):
    subject = live(library, name)
    logits = np.array(LOGITS, np.float32)
    across = subject(np.ascontiguousarray(logits.T), axis=0).value
    assert_true(across.T, name, logits)


def closed_form_vjp(name, logits, cotangent):
    """Vector-Jacobian products by hand, in float64."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if name == "softmax":
        return p * (cotangent - (p * cotangent).sum(axis=1, keepdims=True))
    if name == "log_softmax":
        return cotangent - p * cotangent.sum(axis=1, keepdims=True)
    if name == "logsumexp":
        return p * cotangent[:, None]
    one_hot = np.eye(logits.shape[1])[LABELS]
    return (p - one_hot) * cotangent[:, None]


@pytest.mark.parametrize(
    ("library", "form"),
    [
        (library, name)
        for library in ("torch", "jax")
        for name in ("softmax", "log_softmax", "logsumexp", "cross_entropy")
    ]
    + [("jax", "softmax_jit"), ("jax", "cross_entropy_jit")],
)
def test_cotangent_gives_the_vector_jacobian_product(library, form):
    name = form.removesuffix("_jit")
    labels = np.array(LABELS) if name == "cross_entropy" else None
    logits = np.array(LOGITS)
    shape = (3,) if name in ("logsumexp", "cross_entropy") else (3, 4)
    cotangent = np.linspace(-1, 2, int(np.prod(shape))).reshape(shape)
    outcome = live(library, form, name)(logits, labels, options={"cotangent": cotangent})
    assert_true(outcome.value, name, logits, labels)
    expected = closed_form_vjp(name, logits, cotangent)
    assert outcome.gradient == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_scale_multiplies_the_logits(library, name):
    logits = np.array(LOGITS, np.float32)
    scaled = live(library, name)(logits, options={"scale": 0.5}).value
    assert_true(scaled, name, logits * np.float32(0.5))


@pytest.mark.parametrize("library", ["torch", "onnx"])
def test_ignored_label_costs_nothing(library):
    logits, labels = np.array(LOGITS, np.float32), np.array(LABELS)
    outcome = live(library, "cross_entropy")(logits, labels, options={"ignore_index": 3})
    assert outcome.value[1] == 0
    assert outcome.gradient is None or not outcome.gradient[1].any()
    kept = [0, 2]
    assert_true(outcome.value[kept], "cross_entropy", logits[kept], labels[kept])


def test_jax_masks_by_where_and_weights_by_b():
    logits = np.array(LOGITS, np.float32)
    where = np.array([[True, True, False, True]]).repeat(3, axis=0)
    masked = live("jax", "softmax")(logits, options={"where": where}).value
    assert not masked[:, 2].any()
    assert_true(masked[:, where[0]], "softmax", logits[:, where[0]])
    twice = live("jax", "logsumexp")(logits, options={"b": where.astype(np.float32)}).value
    assert_true(twice, "logsumexp", logits[:, where[0]])


@pytest.mark.parametrize(
    ("library", "name", "option"),
    [("onnx", "softmax", "cotangent"), ("torch", "softmax", "where"), ("jax", "softmax", "b")],
)
def test_option_that_a_framework_has_not_got_is_refused(library, name, option):
    with pytest.raises(NotApplicable, match=f"it takes no {option}"):
        live(library, name)(np.array(LOGITS, np.float32), options={option: np.ones(4, np.float32)})


def test_onnx_and_scikit_learn_refuse_what_they_would_copy_or_reject():
    with pytest.raises(NotApplicable, match="compact row-major"):
        importlib.import_module(f"{FORMS}.implementations.onnx_forms").softmax(BASE.T)
    sklearn_forms = importlib.import_module(f"{FORMS}.implementations.sklearn_forms")
    with pytest.raises(NotApplicable, match="at least two classes"):
        sklearn_forms.cross_entropy(np.ones((2, 1)), np.zeros(2, np.int64))
    with pytest.raises(NotApplicable, match="a matrix"):
        sklearn_forms.softmax(np.ones(3))


def test_torch_form_does_not_change_or_track_its_input():
    torch = framework("torch")
    forms = importlib.import_module(f"{FORMS}.implementations.torch_forms")
    x = torch.tensor(LOGITS)
    before = x.clone()
    forms.cross_entropy(x, torch.tensor(LABELS))
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert x.grad is None


def test_subject_of_a_missing_framework_is_named():
    subject = Subject("nowhere:softmax", "softmax", requires=("numpy", "no-such-framework"))
    assert subject.missing() == "no-such-framework is not installed"
    assert Subject("numpy:exp", "softmax", requires=("numpy",)).missing() is None
