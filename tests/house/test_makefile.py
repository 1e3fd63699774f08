"""The first minute: what `make verify` runs, and whose failures it counts."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from softproof.derivations import REGISTRY
from softproof.verify.subjects.built_in import BUILT_IN, select

ROOT = Path(__file__).parents[2]


def commands(target):
    """The commands of a target, once everything is installed."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    dry = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/installed", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [shlex.split(line) for line in dry.stdout.splitlines() if "softproof verify" in line]


def subjects(command):
    """Which subjects a command verifies, by definition and id."""
    named = [REGISTRY[word] for word in command if word in REGISTRY] or list(REGISTRY.values())
    patterns = [command[i + 1] for i, word in enumerate(command) if word == "--subject"]
    return [s for pattern in patterns for s in select(pattern, named, BUILT_IN)]


def test_our_kernels_alone_decide_the_first_table():
    ours, others = commands("verify")
    assert "||" not in ours
    assert {s.id.partition(":")[0] for s in subjects(ours)} == {"softproof.kernels"}
    assert others[-5:] == ["||", "test", "$?", "-eq", "1"]  # findings are no failure of ours
    assert not {s.id for s in subjects(ours)} & {s.id for s in subjects(others)}


def test_the_first_table_has_the_forms_of_numpy_scipy_and_pytorch():
    _, others = commands("verify")
    found = {s.id.partition(":")[0] for s in subjects(others)}
    assert found == {
        "softproof.verify.textbook",
        "scipy.special",
        "softproof.verify.subjects.torch_forms",
    }
    assert not [s.id for s in subjects(others) if "compiled" in s.id]  # compiles for a minute


def test_the_full_conformance_leaves_out_nothing():
    everything, ours, _ = commands("conformance")
    assert everything[1:3] == ["verify", "||"]
    assert {s.definition for s in subjects(ours)} >= {"softmax", "cross_entropy", "stablemax"}
