"""`softproof bench NAME` of any definition: its built-in subjects, on the same arrays, in turns."""

import json
import sys
from types import ModuleType

import numpy as np
import pytest
from softproof.derivations import REGISTRY, lookup
from softproof.verify.bench import registered
from softproof.verify.bench.plot import draw_cases
from softproof.verify.bench.problems import OPERATIONS, problem
from softproof.verify.cli.main import app
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.subject import Subject
from typer.testing import CliRunner

SIGMOID, LOSS = lookup("sigmoid"), lookup("stablemax_cross_entropy")
ABOUT = {"machine": {"processor": "one", "processors": 1}, "date": "today", "command": "bench"}


class Clock:
    """A clock that only calls move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def here(monkeypatch, request):
    """A function that makes a subject of a function, in a module of this test's own."""
    name = f"bench_of_{request.node.name.partition('[')[0]}"
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)

    def make(function, definition="sigmoid", **declared):
        setattr(module, function.__name__, function)
        return Subject(f"{name}:{function.__name__}", definition, **declared)

    return make


def names(kinds):
    return {kind: [s.id.partition(":")[2] for s in found] for kind, found in kinds.items()}


def reasons(skipped):
    return {name.partition(":")[2]: why for name, why in skipped.items()}


# --- who is timed ---


def exact(x):
    return 1 / (1 + np.exp(-x))


def other(x):
    return np.exp(x) / (1 + np.exp(x))


def raising(x):
    raise RuntimeError("no such sigmoid")


def flat(x):
    return exact(x).ravel()


def test_subjects_that_cannot_be_timed_are_left_out_with_the_reason(here):
    subjects = [
        here(exact),
        here(other),
        here(raising),
        here(flat),
        Subject("nowhere:sigmoid", "sigmoid"),
        Subject("mine:absent", "sigmoid", requires=("no-such-framework",)),
        Subject("mine:double", "sigmoid", dtypes=("float64",)),
        Subject("mine:elsewhere", "sigmoid", device="gpu:0"),
        Subject("mine:softplus", "softplus"),
    ]
    kinds, skipped = registered.kinds(SIGMOID, "float32", subjects)
    assert names(kinds) == {"sigmoid": ["exact", "other"]}
    told = reasons(skipped)
    assert told["raising"].startswith("raised RuntimeError: no such sigmoid")
    assert "result has shape (16,), expected (2, 8)" in told["flat"]
    assert "No module named 'nowhere'" in told["sigmoid"]
    assert told["absent"] == "no-such-framework is not installed"
    assert told["double"] == "no float32"
    assert told["elsewhere"] == "its arrays are on gpu:0"
    assert len(told) == 6


def losses(x, labels):
    return np.ones(len(x), x.dtype)


def faster(x, labels):
    return np.ones(len(x), x.dtype)


def with_gradient(x, labels):
    return np.ones(len(x), x.dtype), x.copy()


def test_a_loss_is_not_held_against_a_loss_with_its_gradient(here):
    subjects = [here(f, LOSS.name) for f in (losses, with_gradient, faster)]
    kinds, skipped = registered.kinds(LOSS, "float32", subjects)
    assert names(kinds) == {LOSS.name: ["losses", "faster"]}
    assert reasons(skipped)["with_gradient"].startswith("nothing to compare with: the only one")


# --- what is timed ---


def test_ratios_are_the_times_of_the_first_over_those_of_each(here, clock):
    seen = []

    def taking(seconds, name):
        def sigmoid(x):
            seen.append(x)
            clock.now += seconds
            return exact(x)

        sigmoid.__name__ = name
        return here(sigmoid)

    kinds = {"sigmoid": [taking(2.0, "slow"), taking(0.5, "fast")]}
    (case,) = registered.run(
        SIGMOID, kinds, {"absent": "why"}, "float32", [(4, 32)], [1], 3, clock=clock
    )
    slow, fast = case["candidates"]
    assert case["reference"] == slow["name"]
    assert slow["times_reference"] == (1.0, 1.0, 1.0)
    assert fast["times_reference"] == (4.0, 4.0, 4.0)
    assert slow["seconds"] == [2.0] * 3
    assert fast["nanoseconds_per_element"] == pytest.approx(0.5e9 / 128)
    assert case["skipped"] == {"absent": "why"}
    assert len({id(x) for x in seen}) == 1  # the same array for all
    np.testing.assert_array_equal(seen[0], problem("sigmoid", "float32", (4, 32)).x)


def test_threads_are_given_to_those_that_take_them(here, clock):
    asked = []

    def sigmoid(x, threads=1):
        asked.append(threads)
        clock.now += 1.0
        return exact(x)

    kinds = {"sigmoid": [here(exact), here(sigmoid)]}
    (case,) = registered.run(SIGMOID, kinds, {}, "float32", [(4, 32)], [3], 1, clock=clock)
    assert {*asked} == {3}
    (entry,) = case["candidates"]
    assert (entry["threads"], entry["times_reference"]) == (3, None)  # its reference has one
    assert [*reasons(case["skipped"]).values()] == ["one thread only, timed with threads=1"]


def test_where_nobody_has_so_many_threads_there_is_no_case(here):
    kinds = {"sigmoid": [here(exact), here(other)]}
    assert list(registered.run(SIGMOID, kinds, {}, "float32", [(4, 32)], [2], 1)) == []


def test_every_subject_is_drawn():
    entries = [
        {"name": name, "threads": 1, "allocates": True, "seconds": [1.0, 2.0]}
        for name in [f"mine:{i}" for i in range(9)]
    ]
    case = {"operation": "sigmoid", "dtype": "float32", "shape": [4, 32], "threads": 1}
    case |= {"allocator": "as installed", "candidates": entries}
    _, labels = draw_cases([case], ABOUT).axes[0].get_legend_handles_labels()
    assert labels == [entry["name"] for entry in entries]


# --- the command ---


def softproof(*arguments):
    return CliRunner().invoke(app, ["bench", *arguments], env={"COLUMNS": "200"})


def test_every_definition_has_a_command():
    told = softproof("--help").output
    for name in {*REGISTRY, *OPERATIONS}:
        assert f" {name} " in told


def test_a_definition_is_timed_by_its_name(tmp_path):
    path = tmp_path / "ria.json"
    told = softproof("ria", "--shape", "8x8", "--rounds", "1", "--json", str(path))
    assert told.exit_code == 0, told.output
    for text in ("ria, float32", "kernels:ria", "textbook:ria_as_published", "x kernels:ria"):
        assert text in told.output
    figures = json.loads(path.read_text())
    assert (figures["operation"], figures["rounds"], figures["interrupted"]) == ("ria", 1, False)
    (case,) = figures["cases"]
    assert [e["name"] for e in case["candidates"]] == ["kernels:ria", "textbook:ria_as_published"]


def test_the_subjects_of_an_operation_with_peers_of_its_own_are_timed_if_asked(
    monkeypatch, tmp_path
):
    few = [s for s in BUILT_IN if s.id.endswith(("kernels:logsumexp", "logsumexp_shifted"))]
    monkeypatch.setattr("softproof.verify.subjects.built_in.BUILT_IN", few)
    path = tmp_path / "logsumexp.json"
    arguments = ["--subjects", "--shape", "8x8", "--rounds", "1", "--json", str(path)]
    assert softproof("logsumexp", *arguments).exit_code == 0
    (case,) = json.loads(path.read_text())["cases"]
    named = [entry["name"] for entry in case["candidates"]]
    assert named == ["kernels:logsumexp", "textbook:logsumexp_shifted"]
    told = softproof("logsumexp", "--subjects", "--distributions")
    assert told.exit_code == 2
    assert "--subjects is a measurement of its own" in told.output


def test_one_implementation_alone_is_a_usage_error():
    told = softproof("smoothed_rsqrt")
    assert told.exit_code == 2
    assert "compares at least two implementations, and of smoothed_rsqrt in float32 no" in (
        told.output
    )
    assert "kernels:smoothed_rsqrt: nothing to compare with" in told.output
    assert "register it by @subject" in told.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "8"], "shape must be ROWSxCLASSES"),
        (["--threads", "0"], "--threads must be numbers of at least 1"),
        (["--plot", "ria.txt"], "ria.txt"),
        (["--distributions"], "No such option"),
    ],
)
def test_what_cannot_be_measured_is_a_usage_error(arguments, message):
    told = softproof("ria", *arguments)
    assert told.exit_code == 2
    assert message in told.output
