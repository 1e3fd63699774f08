"""What is asked again, in used memory and beside other neighbours, shows who remembers."""

import numpy as np
import pytest
from softproof.verify.gate.again import again
from softproof.verify.gate.order import in_order
from softproof.verify.runs.execute import asked_of
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.built_in import registered
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.layouts import in_used_memory
from softproof.verify.subjects.subject import Subject

from tests.verify.gate import candidates


def violations(subject, function=None, judge_neighbours=True):
    """All that is wrong when the first family of the accuracy suite is asked again."""
    items = in_order(plan([subject], ["accuracy"], ["float32"], seed=3))
    live = InProcess(subject, function)
    asked = again(asked_of(items[0], live), judge_neighbours)
    return [found for _, found in asked if found is not None]


def mine(name, definition="softmax", judge_neighbours=True):
    candidates._state.clear()
    subject = Subject("candidates:f", definition)
    return violations(subject, getattr(candidates, name), judge_neighbours)


@pytest.mark.parametrize(
    "subject",
    [
        registered("softproof.kernels:softmax", "softmax"),
        registered("softproof.kernels:cross_entropy", "cross_entropy"),
        registered("softproof.kernels:logsumexp", "logsumexp"),
        registered("scipy.special:expit", "sigmoid"),
        *(
            registered(f"softproof.verify.subjects.functions_of_arrays:{name}", name)
            for name in ("attention", "rms_norm", "linear_cross_entropy")
        ),
    ],
    ids=lambda subject: subject.definition,
)
def test_right_ones_are_right_again(subject):
    assert violations(subject) == []


def test_tensors_are_right_again():
    pytest.importorskip("torch", reason="torch is not installed")
    for name, definition in (("softmax", "softmax"), ("rms_norm", "rms_norm")):
        module = "torch_forms" if definition == "softmax" else "torch_functions_of_arrays"
        subject = registered(f"softproof.verify.subjects.{module}:{name}", definition)
        assert subject.arrays == "torch"
        assert violations(subject) == []


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("remembers_by_address", "softmax"),
        ("remembers_by_shape", "softmax"),
        ("returns_the_previous_result", "softmax"),
        ("leaves_the_last_unwritten", "softmax"),
        ("finds_its_result_in_freed_memory", "softmax"),
        ("rms_norm_remembers_by_address", "rms_norm"),
        ("rms_norm_of_the_first_case", "rms_norm"),
    ],
)
def test_what_remembers_is_seen_though_it_is_right_at_first(name, definition):
    found = mine(name, definition)
    assert found
    for violation in found:
        assert "depends on what was called before" in violation.detail + violation.message


@pytest.mark.parametrize("name", ["remembers_by_address", "returns_the_previous_result"])
def test_it_is_seen_without_a_judgement_of_what_is_asked_in_between(name):
    assert mine(name, judge_neighbours=False)


def test_arrays_of_a_place_lie_at_one_address_and_hold_their_numbers():
    addresses = set()
    for shape in ((3,), (2, 5), (100, 1000), (100, 1000), (4,)):
        numbers = np.arange(float(np.prod(shape)), dtype=np.float32).reshape(shape)
        laid_out = in_used_memory(numbers, 17)
        assert np.array_equal(laid_out, numbers)
        assert laid_out.flags.c_contiguous
        assert laid_out.ctypes.data % 64 == 0
        addresses.add(laid_out.ctypes.data)
    assert len(addresses) <= 2  # it moved once, as it grew
