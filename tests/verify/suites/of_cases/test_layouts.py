"""Arguments elsewhere in memory: each wrong idea of memory is found, right and clear ones pass."""

import ctypes
import functools

import numpy as np
import pytest
from numpy.lib.array_utils import byte_bounds
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.verify.cases.text import parse
from softproof.verify.runs.execute import execute
from softproof.verify.runs.results import Item, Result
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.implementations import functions_of_arrays as right
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.layouts import lay_out
from softproof.verify.subjects.registration import REGISTERED
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites.of_cases import CASE_SUITES

FAMILIES = CASE_SUITES["layouts"].families(lookup("rms_norm"))
# Of single numbers a batch has one axis, which most layouts are nothing for.
RIGHT = [
    s
    for s in REGISTERED
    if ".subjects.functions_of_arrays:" in s.id and lookup(s.definition).signature.axes
]


def judged(name, family, function=None, case=None, **contract):
    subject = Subject("mine:f", name, Contract(**{"summation": "any", **contract}))
    item = Item(subject, "layouts", "float32", "given" if case else family, 8, 0, case=case)
    return execute(item, lambda asked: InProcess(asked, function))


def in_every_layout(function):
    """The result of all families, merged, of an rms_norm."""
    return functools.reduce(Result.merge, (judged("rms_norm", f, function) for f in FAMILIES))


# --- right ones ---


# A batch of single numbers has one axis: no other order, nothing that repeats, no distant rows.
OF_SEVERAL_AXES = ("fortran", "broadcast", "far")


@pytest.mark.parametrize("subject", RIGHT, ids=lambda s: s.definition)
def test_right_implementations_take_every_layout(subject):
    for family in FAMILIES:
        result = execute(Item(subject, "layouts", "float32", family, 8, 0), InProcess)
        assert result.failures == (), family
        if family in OF_SEVERAL_AXES and not lookup(subject.definition).signature.axes:
            continue
        assert result.checks > 0, family
        assert result.observed == ({} if family == "no cases" else {"layouts": "any"})


def test_sums_in_another_order_are_no_failure():
    """Whose bits depend on the layout is held against the truth."""

    def along_memory(x, gain, eps=1e-6):
        backwards = not x.flags.c_contiguous
        return (
            right.rms_norm(x[..., ::-1], gain[::-1], eps)[..., ::-1]
            if backwards
            else (right.rms_norm(x, gain, eps))
        )

    rng = np.random.default_rng(0)
    x, gain = rng.standard_normal((50, 19)).astype(np.float32), np.ones(19, np.float32)
    assert (along_memory(x, gain) != along_memory(np.asfortranarray(x), gain)).any()
    assert in_every_layout(along_memory).failures == ()


# --- wrong ideas of memory ---


def as_if_contiguous(x):
    """As many numbers as x has, from its address on; what lies beyond its memory is read as 0."""
    _, high = byte_bounds(x)
    there = ctypes.string_at(x.ctypes.data, min(high - x.ctypes.data, x.nbytes))
    return np.frombuffer(there.ljust(x.nbytes, b"\0"), x.dtype).reshape(x.shape)


def reads_x_as_contiguous(x, gain, eps=1e-6):
    return right.rms_norm(as_if_contiguous(x) if x.size else x, gain, eps)


def reads_gain_as_contiguous(x, gain, eps=1e-6):
    return right.rms_norm(x, as_if_contiguous(gain), eps)


def reads_labels_as_contiguous(hidden, weight, label, softcap=0.0):
    label = as_if_contiguous(label) if label.size else label
    return right.linear_cross_entropy(hidden, weight, label, softcap)


def reads_fortran_order_as_transposed(hidden, weight, label, softcap=0.0):
    if weight.flags.f_contiguous and not weight.flags.c_contiguous:
        weight = weight.ravel(order="K").reshape(weight.shape)
    return right.linear_cross_entropy(hidden, weight, label, softcap)


def rounds_addresses_down(x, gain, eps=1e-6):
    return right.rms_norm(x if x.flags.aligned else np.roll(x, 1), gain, eps)


def offsets_of_32_bits(x, gain, eps=1e-6):
    offsets = np.arange(len(x)) * (x.strides[0] // x.itemsize)
    reached = offsets.astype(np.uint32) == offsets
    return right.rms_norm(np.where(reached[:, None], x, np.float32(0)), gain, eps)


def one_case_of_many(x, gain, eps=1e-6):
    result = right.rms_norm(x, gain, eps)
    first = np.arange(len(x))[:, None] == 0
    return np.where(first, result, 0 * result) if x.strides[0] == 0 else result


def keys_of_its_own_for_each_head(q, k, v, mask, scale=None, softcap=0.0):
    """Grouped heads have the keys of their group in common, in one place of memory."""
    return right.attention(q, as_if_contiguous(k) if k.size else k, v, mask, scale, softcap)


def scales_in_place_where_it_may(x, gain, eps=1e-6):
    if x.flags.writeable and not x.flags.aligned:
        x *= 2
    return right.rms_norm(x, gain, eps)


def refuses_no_cases(x, gain, eps=1e-6):
    np.max(x)
    return right.rms_norm(x, gain, eps)


def one_case_of_none(x, gain, eps=1e-6):
    return right.rms_norm(x if len(x) else np.ones((1, x.shape[1]), x.dtype), gain, eps)


MISTAKES = [
    ("rms_norm", reads_x_as_contiguous, "strided", "x in layout strided: value"),
    ("rms_norm", reads_x_as_contiguous, "reversed", "x in layout reversed: value"),
    ("rms_norm", reads_gain_as_contiguous, "strided", "gain in layout strided: value"),
    ("linear_cross_entropy", reads_labels_as_contiguous, "strided", "label in layout strided: "),
    (
        "linear_cross_entropy",
        reads_fortran_order_as_transposed,
        "fortran",
        "weight in layout fortran: value",
    ),
    ("rms_norm", rounds_addresses_down, "misaligned", "x in layout misaligned: value"),
    ("rms_norm", offsets_of_32_bits, "far", "x in layout far: value"),
    ("rms_norm", one_case_of_many, "broadcast", "x in layout broadcast: value"),
    (
        "attention",
        keys_of_its_own_for_each_head,
        "broadcast",
        "k in layout broadcast: value beyond its error bound",
    ),
    (
        "rms_norm",
        scales_in_place_where_it_may,
        "misaligned",
        "x in layout misaligned: the input was changed in place",
    ),
    ("rms_norm", refuses_no_cases, "no cases", "no cases: raised ValueError: zero-size array"),
    ("rms_norm", one_case_of_none, "no cases", "no cases: value has shape (1, 1), expected (0, 1)"),
]


@pytest.mark.parametrize(
    ("name", "function", "family", "told"),
    MISTAKES,
    ids=[f"{function.__name__} {family}" for _, function, family, _ in MISTAKES],
)
def test_a_wrong_idea_of_memory_is_found(name, function, family, told):
    (failure,) = judged(name, family, function).failures
    assert failure.message.startswith(told)
    assert "--suite layouts" in failure.reproduce


def test_the_shrunk_case_shows_it_again():
    (failure,) = judged("rms_norm", "strided", reads_x_as_contiguous).failures
    assert "--case /dev/stdin <<'END'" in failure.reproduce
    definition, case = parse(failure.case, BINARY32)
    assert case.sizes(definition.signature)["K"] <= 2
    (again,) = judged("rms_norm", "", reads_x_as_contiguous, case).failures
    assert again.case == failure.case


# --- what a subject declares, and refuses ---


def takes_c_order_only(x, gain, eps=1e-6):
    if not all(a.flags.c_contiguous and a.flags.writeable for a in (x, gain)):
        raise ValueError("give contiguous arrays")
    return right.rms_norm(x, gain, eps)


def takes_what_it_may_write(x, gain, eps=1e-6):
    if not x.flags.writeable:
        raise ValueError("give arrays that can be written")
    return right.rms_norm(x, gain, eps)


@pytest.mark.parametrize(
    ("function", "way"),
    [(takes_c_order_only, "contiguous"), (takes_what_it_may_write, "writable")],
)
def test_a_clear_refusal_is_observed_and_fails_where_more_is_declared(function, way):
    result = in_every_layout(function)
    assert result.failures == ()
    assert result.observed == {"layouts": way}
    declared = judged("rms_norm", "read_only", function, layouts=way)
    assert (declared.checks, declared.failures, declared.observed) == (0, (), {})
    (failure,) = judged("rms_norm", "read_only", function, layouts="any").failures
    assert "raised ValueError: give " in failure.message


def test_who_is_wrong_in_ordinary_arrays_is_told_by_other_suites():
    assert in_every_layout(lambda x, gain: x * gain).failures == ()


def test_integers_between_strided_labels_are_no_labels():
    spread = lay_out(np.array([3, 4]), "strided")
    assert spread.base.tolist() == [3, -1, -1, 4, -1, -1]
