"""`softproof bench NAME` of functions of several arguments: the same drawn arrays for all."""

import json
import sys
from types import ModuleType

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.signature import Integer
from softproof.verify.bench import posed, registered
from softproof.verify.bench.plot import draw_cases
from softproof.verify.cli.main import app
from softproof.verify.subjects.subject import Subject
from typer.testing import CliRunner

from tests.implemented import OF_NAMED_ARGUMENTS

ATTENTION = lookup("attention")
ABOUT = {"machine": {"processor": "one", "processors": 1}, "date": "today", "command": "bench"}


class Clock:
    """A clock that only calls move."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def here(monkeypatch, request):
    """A function that makes a subject of a function, in a module of this test's own."""
    name = f"bench_of_{request.node.name.partition('[')[0]}"
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)

    def make(function, definition="attention", **declared):
        setattr(module, function.__name__, function)
        return Subject(f"{name}:{function.__name__}", definition, **declared)

    return make


# --- what is drawn ---


@pytest.mark.parametrize("name", [d.name for d in OF_NAMED_ARGUMENTS])
def test_arrays_have_the_stated_sizes_and_the_dtypes_of_their_kinds(name):
    definition = lookup(name)
    axes = posed.axes_of(definition)
    sizes = dict(zip(axes, (3, 5, 7, 2), strict=False))
    drawn = posed.pose(definition, "bfloat16", tuple(sizes.values()))
    for kind, array in zip(definition.signature.arguments.values(), drawn.arrays, strict=True):
        inner = tuple(sizes[axis] for axis in kind.axes)
        assert array.shape == (inner if kind.shared else (3, *inner))
        assert array.dtype.name in ("bfloat16", "bool", "int64")
        if isinstance(kind, Integer):
            assert ((array >= kind.lower) & (array <= kind.upper)).all()
        elif array.dtype.kind == "i":
            assert ((array >= 0) & (array < sizes[kind.into])).all()
        if array.dtype.kind == "b":
            assert array.any(axis=-1).all()
    again = posed.pose(definition, "bfloat16", tuple(sizes.values()))
    for one, other in zip(drawn.arrays, again.arrays, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_time_is_divided_by_the_numbers_that_belong_to_cases():
    assert posed.pose(ATTENTION, "float32", (2, 3, 5, 7)).elements == 2 * (3 + 15 + 35 + 5)
    assert posed.pose(lookup("linear_cross_entropy"), "float32", (2, 5, 3)).elements == 2 * (5 + 1)
    assert posed.pose(lookup("sigmoid"), "float32", (2, 3)).elements == 6


@pytest.mark.parametrize(
    ("text", "told"),
    [("8x8", "shape must be CASESxdxnxe for attention"), ("1x0x1x1", "each at least 1")],
)
def test_a_shape_of_other_axes_is_refused(text, told):
    with pytest.raises(ValueError, match=told):
        posed.parse_shape(ATTENTION, text)


def test_a_shape_beyond_the_memory_is_refused():
    with pytest.raises(ValueError, match="shape 1x1048576x1048576x1 of float32 needs"):
        posed.demand_memory(ATTENTION, [(1, 1 << 20, 1 << 20, 1)], "float32")


# --- what is timed ---


def test_ratios_are_the_times_of_the_first_over_those_of_each_and_defaults_are_given(here):
    clock, seen = Clock(), []

    def taking(seconds, name):
        def attention(q, k, v, mask, softcap=7.0):
            seen.append((id(k), softcap))
            clock.now += seconds
            return v[:, 0]

        attention.__name__ = name
        return here(attention)

    subjects = [taking(2.0, "slow"), taking(0.5, "fast")]
    kinds, skipped = registered.kinds(ATTENTION, "float32", subjects)
    assert {kind: len(found) for kind, found in kinds.items()} == {"attention": 2}
    assert skipped == {}
    seen.clear()
    (case,) = registered.run(ATTENTION, kinds, {}, "float32", [(4, 2, 3, 5)], [1], 3, clock=clock)
    slow, fast = case["candidates"]
    assert slow["times_reference"] == (1.0, 1.0, 1.0)
    assert fast["times_reference"] == (4.0, 4.0, 4.0)
    assert case["axes"] == ["cases", "d", "n", "e"]
    assert case["shape"] == [4, 2, 3, 5]
    assert fast["nanoseconds_per_element"] == pytest.approx(0.5e9 / (4 * (2 + 6 + 15 + 3)))
    assert len({place for place, _ in seen}) == 1  # the same array for all
    assert {softcap for _, softcap in seen} == {0.0}  # the default of the definition
    assert draw_cases([case], ABOUT).axes[0].get_xlabel() == "cases × d × n × e"


def test_those_that_give_no_result_are_left_out_with_the_reason(here):
    def right(q, k, v, mask):
        return v[:, 0]

    def flat(q, k, v, mask):
        return v[:, 0].ravel()

    def raising(q, k, v, mask):
        raise RuntimeError("not today")

    kinds, skipped = registered.kinds(
        ATTENTION, "float32", [here(f) for f in (right, flat, raising)]
    )
    assert kinds == {}
    told = {name.partition(":")[2]: why for name, why in skipped.items()}
    assert told["right"].startswith("nothing to compare with")
    assert told["flat"].startswith("value has shape (8,), expected (2, 4)")
    assert told["raising"].startswith("raised RuntimeError: not today")


def test_the_command_times_all_that_are_registered(tmp_path):
    run = ("bench", "rms_norm", "--shape", "4x16", "--rounds", "1", "--json")
    outcome = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*run, str(tmp_path / "figures.json")])
    assert outcome.exit_code == 0, outcome.output
    assert "cases x K" in outcome.output
    assert "Arguments normal with standard deviation 1" in outcome.output
    (case,) = json.loads((tmp_path / "figures.json").read_text())["cases"]
    names = [entry["name"] for entry in case["candidates"]]
    assert names[0] == "functions_of_arrays:rms_norm"
