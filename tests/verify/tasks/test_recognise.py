"""Tasks are recognised by what their reference gives, and by nothing else."""

import pytest
from softproof.derivations import REGISTRY
from softproof.verify.tasks.hosted import Hosts, Task
from softproof.verify.tasks.recognise import recognise
from softproof.verify.tasks.shapes import as_shipped, small

from tests.verify.tasks import stand_ins

TORCH = {
    "NORM": "rms_norm(gain=1,eps=0.001)",
    "ATTENTION": "attention(mask=1,e=d)",
    "LOSS": "cross_entropy",
    "CAUSAL": None,
}


def recognised(tmp_path, source, candidate=stand_ins.RIGHT):
    problem, own = stand_ins.written(tmp_path, problem=source, own=candidate)
    with Hosts(Task(problem, "Model", own, "ModelNew")) as hosts:
        sizes = small(hosts)
        return recognise(hosts, sizes), sizes, as_shipped(hosts, sizes)


def test_sizes_are_small_and_those_that_ship_are_cut_at_the_front(tmp_path):
    found, sizes, shipped = recognised(tmp_path, stand_ins.SOFTMAX)
    assert (sizes.shapes, shipped.shapes) == ("5x7", "349x3000")
    assert found.restriction.name == "softmax"


CHANGES = {
    ("return e /", "return 1.0000001 * e /"): None,
    ("axis=1", "axis=0"): "softmax",
    ("return e / e.sum(axis=1, keepdims=True)", "return np.log(e.sum(axis=1)) + x.max(axis=1)"): (
        "logsumexp"
    ),
}


@pytest.mark.parametrize(("change", "name"), CHANGES.items())
def test_what_differs_a_little_is_no_definition(tmp_path, change, name):
    found, _, _ = recognised(tmp_path, stand_ins.SOFTMAX.replace(*change))
    assert (found and found.restriction.name) == name


@pytest.mark.parametrize("name", TORCH)
def test_tasks_of_tensors_are_recognised_with_what_they_fix(tmp_path, name):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    before = set(REGISTRY)
    found, _, _ = recognised(tmp_path, getattr(stand_ins, name))
    assert (found and found.restriction.name) == TORCH[name]
    assert set(REGISTRY) == before
