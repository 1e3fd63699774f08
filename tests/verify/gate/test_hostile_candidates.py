"""Tricks that graders have met are seen, each in a process that is gone afterwards."""

import json
import os
from pathlib import Path

import pytest
from softproof.verify.gate import REFUSED, RIGHT, WRONG, judging
from softproof.verify.gate.judging import judged_apart, modules_of
from softproof.verify.subjects.isolation.forked import Zygote
from softproof.verify.subjects.subject import Subject

from tests.verify.gate import candidates
from tests.verify.gate.conftest import AT_LEISURE

SEED = 2**63 + 12345


@pytest.fixture(scope="module")
def zygote():
    """One clean process for all: what a candidate leaves behind would be seen by the next."""
    with Zygote() as zygote:
        yield zygote


@pytest.fixture(autouse=True)
def _found(monkeypatch, few):
    monkeypatch.syspath_prepend(Path(__file__).parent)


def judged(zygote, name, seconds=AT_LEISURE):
    subject = Subject(f"candidates:{name}", "softmax")
    return judged_apart(subject, "float32", zygote, seconds=seconds, seed=SEED)


@pytest.mark.parametrize(
    ("name", "verdicts", "kinds"),
    [
        ("returns_the_previous_result", {WRONG, REFUSED}, {"value", "not deterministic"}),
        ("remembers_by_address", {WRONG}, {"value"}),
        ("remembers_by_shape", {WRONG}, {"value"}),
        ("zeros_its_input", {REFUSED}, {"input changed"}),
        ("exits", {WRONG}, {"crashed"}),
        ("fills_its_result_later", {WRONG, REFUSED}, {"value", "not deterministic"}),
        ("leaves_the_last_unwritten", {WRONG, REFUSED}, {"value", "not deterministic"}),
        ("finds_its_result_in_freed_memory", {WRONG, REFUSED}, {"value", "not deterministic"}),
        ("kills_its_parent", {REFUSED}, {"crashed", "hung"}),
        ("poisons_libraries", {WRONG}, {"value"}),
    ],
)
def test_a_trick_is_seen_and_leaves_nothing_behind(zygote, name, verdicts, kinds):
    found = judged(zygote, name)
    assert found.verdict in verdicts, found
    assert found.failure.kind in kinds
    after = judged(zygote, "right")
    assert after.verdict == RIGHT, after.failure


def test_what_is_done_to_pytorch_is_gone_with_the_candidate():
    pytest.importorskip("torch", reason="torch is not installed")
    with Zygote(modules_of("torch")) as zygote:
        for name, verdict in (("poisons_torch", WRONG), ("right_in_torch", RIGHT)):
            subject = Subject(f"candidates:{name}", "softmax", arrays="torch")
            found = judged_apart(subject, "float32", zygote, seconds=AT_LEISURE, seed=SEED)
            assert found.verdict == verdict, found.failure


def test_a_candidate_that_does_not_return_is_not_waited_for(zygote, monkeypatch):
    monkeypatch.setattr(judging, "FIRST_CALL", 1.0)
    monkeypatch.setattr(judging, "LATER_CALL", 0.5)
    found = judged(zygote, "never_returns")
    assert (found.verdict, found.failure.kind) == (WRONG, "hung")
    assert found.failure.message == "no result within 0.5 s"
    assert judged(zygote, "right").verdict == RIGHT


def test_a_candidate_sees_neither_seeds_nor_what_draws_or_knows_the_truth(
    zygote, tmp_path, monkeypatch
):
    dump = tmp_path / "seen.jsonl"
    monkeypatch.setenv(candidates.DUMP, str(dump))
    with Zygote() as with_the_name_of_the_file:
        assert judged(with_the_name_of_the_file, "looks_around").verdict == RIGHT
    seen = [json.loads(line) for line in dump.read_text().splitlines()]
    assert len(seen) > 4
    for look in seen:
        text = json.dumps(look)
        assert str(SEED) not in text
        assert hex(SEED)[2:] not in text
        for room in ("oracle", "inputs", "suites", "runs", "gate"):
            assert not any(name.startswith(f"softproof.verify.{room}") for name in look["modules"])
        for name in ("truth", "threshold", "expected", "seed"):
            assert not any(name in frame for frame in look["frames"])
    # The same look, in the process of the gate itself, sees it.
    monkeypatch.setattr(candidates, "SEED_BESIDE", SEED, raising=False)
    dump.unlink()
    candidates._state.clear()
    candidates.looks_around(__import__("numpy").zeros((1, 2), "float32"))
    assert str(SEED) in dump.read_text()


def test_processes_of_a_candidate_end_with_it(zygote):
    found = judged(zygote, "right")
    assert found.verdict == RIGHT
    children = {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()}
    parents = {}
    for pid in children:
        try:
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    of_zygote = [pid for pid, parent in parents.items() if parent == zygote._process.pid]
    assert of_zygote == []
    assert zygote._process.poll() is None
    assert os.getpid() == parents[zygote._process.pid]
