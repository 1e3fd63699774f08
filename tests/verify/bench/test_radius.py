"""`softproof bench`: how candidates are timed, and whether peers are judged by the truth."""

import gc
import io
import json
import math

import numpy as np
import pytest
from rich.console import Console
from softproof.derivations.step_radius.certify import certify
from softproof.verify.bench import radius as bench_radius
from softproof.verify.bench.timing import interleaved, ratios
from softproof.verify.cli.main import app
from typer.testing import CliRunner

# --- timing ---


def test_candidates_take_turns_and_the_order_alternates():
    called = []
    interleaved({name: lambda name=name: called.append(name) for name in "abc"}, rounds=3)
    assert "".join(called) == "abc" + "abc" + "cba" + "abc"  # first the warm-up


def test_the_garbage_collector_rests_while_the_clock_runs():
    states = []
    interleaved({"look": lambda: states.append(gc.isenabled())}, rounds=2)
    assert states[1:] == [False, False]
    assert gc.isenabled()


def test_the_garbage_collector_runs_again_after_an_error():
    calls = iter([None])  # the warm-up succeeds, the first round does not
    with pytest.raises(StopIteration):
        interleaved({"fails": lambda: next(calls)}, rounds=2)
    assert gc.isenabled()


def test_ratios_are_taken_within_a_round():
    # The machine is ten times slower in the second round; the ratio does not see that.
    seconds = {"a": np.array([3.0, 30.0]), "b": np.array([1.0, 10.0])}
    assert ratios(seconds, "b") == {"a": (3.0, 3.0, 3.0), "b": (1.0, 1.0, 1.0)}


@pytest.mark.parametrize(
    ("candidates", "rounds", "message"),
    [
        ({}, 1, "candidates must not be empty"),
        ({"a": print}, 0, "rounds must be at least 1, got 0"),
    ],
)
def test_nothing_to_time_is_refused(candidates, rounds, message):
    with pytest.raises(ValueError, match=message):
        interleaved(candidates, rounds)


# --- the radius ---


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(bench_radius, "SHAPES", ((20, 10),))
    monkeypatch.setattr(bench_radius, "ROUNDS", 2)
    monkeypatch.setattr(bench_radius, "PEER_CLASSES", (3,))
    monkeypatch.setattr(bench_radius, "PEER_SAMPLES", 3)
    monkeypatch.setattr(bench_radius, "PEER_ROUNDS", 1)


def test_the_tables_and_the_file(small, tmp_path):
    result = CliRunner().invoke(app, ["bench", "radius", "--json", str(tmp_path / "bench.json")])
    assert result.exit_code == 0, result.output
    for name in ("half_mass", "variance", "exact", "mpmath.findroot", "fast tier", "one thread"):
        assert name in result.output
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["threads"] == 1
    entries = found["bounds"]
    assert {(r["data"], r["classes"]) for r in entries} == {("Gaussian", 10), ("digits", 10)}
    spread = [r for r in entries if r["bound"] == "spread"]
    assert all(r["times_spread"] == [1, 1, 1] for r in spread)
    right = {s["solver"]: s["right"] for s in found["solvers"]}
    assert right["softproof, fast tier"] == right["softproof, certified"] == 3
    if "cxroots" in right:  # it was told where to look
        assert right["cxroots"] == 3


def test_files_that_name_the_bounds_rungs_are_printed_alike():
    entry = {"data": "digits", "bound": "exact", "samples": 7, "classes": 10, "flagged": 0}
    entry |= {"samples_per_second": 12345.0, "times_spread": [2.0, 3.0, 4.0]}
    printed = []
    for name in ("bounds", "rungs"):
        with io.StringIO() as file:
            found = {name: [entry], "solvers": [], "scale": 4.0, "machine": "a processor"}
            bench_radius.print_bench(found, Console(file=file, width=120))
            printed.append(file.getvalue())
    assert "12,345" in printed[0]
    assert printed[0] == printed[1]


def test_a_wrong_zero_is_not_counted_as_right():
    z, a = np.array([0.0, 0.3]), np.array([1.0, -1.0])
    truth = certify(z, a)
    nearest = math.hypot(0.3, math.pi) / 2
    second = math.hypot(0.3, 3 * math.pi) / 2
    assert bench_radius._right(nearest, truth)
    assert not bench_radius._right(second, truth)
    assert not bench_radius._right(nearest * (1 + 1e-9), truth)
    assert not bench_radius._right(math.nan, truth)


def test_findroot_finds_the_zero_of_two_classes():
    z, a = np.array([0.0, 0.3]), np.array([1.0, -1.0])
    assert bench_radius._findroot(z, a) == pytest.approx(math.hypot(0.3, math.pi) / 2, rel=1e-12)


def test_findroot_without_a_start_has_no_answer():
    assert math.isnan(bench_radius._findroot(np.zeros(3), np.array([1.0, 1.0, 1.0])))


def test_problems_are_the_same_at_every_call():
    for once, again in zip(bench_radius.problems(3, 4), bench_radius.problems(3, 4), strict=True):
        np.testing.assert_array_equal(once, again)
