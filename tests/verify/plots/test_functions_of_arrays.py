"""Plots of functions of several arguments: errors that are known, and files that are a user's."""

import csv
import importlib
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.derivations.choices import of_numbers
from softproof.verify.cases.user_definitions import load_definitions
from softproof.verify.cli.main import app
from softproof.verify.plots import ordinals, precision
from softproof.verify.plots.line_of_cases import largest_ulp_errors, line
from softproof.verify.plots.plot import ignore
from softproof.verify.studies.points import SIZE, drawn_points
from softproof.verify.studies.precision import PUBLISHED, precision_errors
from softproof.verify.subjects.subject import SubjectError
from typer.testing import CliRunner

from tests.implemented import OF_NAMED_ARGUMENTS

NAMES = [definition.name for definition in OF_NAMED_ARGUMENTS]
PRECISIONS = (8, 11, 16, 24, 30, 40, 53, 64, 90, 113)
FEWER = {"sinkhorn": {"iterations": 3.0}}  # than by default: each is the same again
ENTRIES = 128  # in all points together, at least: of a matrix fewer points have them

SUBJECTS = """
import numpy as np

def right(x, slope, offset=0.0):
    x, slope = x.astype(np.longdouble), slope.astype(np.longdouble)
    return (np.maximum(x * slope[:, None], 0) + offset).astype(np.float32)

def off_at_large(x, slope):
    return (right(x, slope) * np.where(x > 1, np.float32(1.25), np.float32(1))).astype(np.float32)

def norm(x, gain, eps=1e-6):
    mean = (x * x).mean(axis=-1, keepdims=True)
    return (x / np.sqrt(mean + np.float32(eps)) * gain).astype(x.dtype)

def norm_by_32_bits(x, gain, eps=1e-6):
    return norm(x.astype(np.float32), gain.astype(np.float32), eps).astype(x.dtype)

def norm_doubled(x, gain, eps=1e-6):
    return (2 * norm_by_32_bits(x, gain, eps).astype(np.float32)).astype(x.dtype)
"""
DEFINITIONS = """
from softproof.derivations import Parameter, Real, Vector, define

@define(
    family="mine",
    source="me",
    arguments={"x": Vector("K", lower=-4, upper=4), "slope": Real(lower=0.5, upper=2)},
    output=("K",),
    parameters={"offset": Parameter(0.0, 0.0, 8.0)},
)
def ramp(x, slope, xp, offset=0.0):
    "A ramp of some slope."
    return xp.positive_part(x * slope) + xp.number(offset)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a user's files, and the registry as it was afterwards."""
    (tmp_path / "ramps_of_mine.py").write_text(SUBJECTS)
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    before = set(REGISTRY)
    yield tmp_path
    for name in REGISTRY.keys() - before:
        del REGISTRY[name]
    sys.modules.pop("ramps_of_mine", None)


def softproof(*arguments):
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, [str(a) for a in arguments])


def usage_error(*arguments):
    outcome = softproof(*arguments, "--output", "plot.png")
    assert outcome.exit_code == 2, outcome.output
    return outcome.output


def table(path):
    lines = path.read_text().splitlines()
    return lines[0], list(csv.DictReader(lines[1:]))


# --- error against precision ---


def few_points(definition, parameters):
    """As many of the points that are drawn as the first ENTRIES of their results come from."""
    points = drawn_points(definition, parameters)
    sizes = definition.signature.outputs.values()
    entries = sum(SIZE ** len(axes) for axes in sizes)
    return replace(points, values=points.values[: max(2, ENTRIES // entries)])


@pytest.mark.parametrize("name", NAMES)
def test_every_form_loses_a_bit_of_accuracy_per_bit_of_precision_and_stays_below_the_bound(name):
    points = few_points(of_numbers(lookup(name)), FEWER.get(name))
    data = precision_errors(name, PRECISIONS, points=points)
    p = np.array(data.precisions)
    for error in data.errors.values():
        slope = np.polyfit(p[p >= 16], np.log2(error[p >= 16]), 1)[0]
        assert slope == pytest.approx(-1, abs=0.05)
        proven = np.isfinite(data.bounds)
        assert (error[proven] <= data.bounds[proven]).all()
    assert np.isfinite(data.bounds[(p >= 16) & (p <= 53)]).all()
    assert np.isnan(data.bounds[p > 53]).all()


def test_a_rational_function_errs_alike_in_a_format_and_in_emulated_precision():
    data = precision_errors("sparsemax", [8, 11, 24])
    for i, fmt in enumerate(("bfloat16", "float16", "float32")):
        assert data.errors[PUBLISHED][i] == data.formats[PUBLISHED][fmt] > 0


def test_an_error_is_relative_to_the_largest_entry(monkeypatch):
    """The smallest entry wrong by all of itself: an error of their ratio, not of 1."""

    def without_the_smallest(x, gain, xp, eps=1e-6):
        y = lookup("rms_norm").formula(x, gain, xp, eps)
        return xp.put(y, int(np.argmin([abs(float(v)) for v in y])), xp.number(0))

    monkeypatch.setitem(lookup("rms_norm").forms, "broken", without_the_smallest)
    ratios = []
    for point in drawn_points(lookup("rms_norm")).values:
        products = np.abs((point["x"] * point["gain"]).astype(float))
        ratios.append(products.min() / products.max())
    (error,) = precision_errors("rms_norm", [60]).errors["broken"]
    assert error == pytest.approx(max(ratios), rel=1e-9)


def test_a_form_with_a_wrong_term_exceeds_the_bound_of_the_others(monkeypatch):
    bound = precision_errors("kl_divergence", [24]).bounds[0]

    def wrong(student, teacher, xp, temperature=1.0):
        exact = lookup("kl_divergence").formula(student, teacher, xp, temperature)
        return exact * (1 + xp.number(2.0**-10))

    monkeypatch.setitem(lookup("kl_divergence").forms, "wrong", wrong)
    data = precision_errors("kl_divergence", [24])
    assert data.errors["wrong"][0] > 2.0**-11 > bound > data.errors[PUBLISHED][0]


def test_what_a_batch_shares_is_one_at_all_points():
    points = drawn_points(lookup("rms_norm")).values
    assert len({id(point["gain"]) for point in points}) == 1
    assert len({tuple(point["x"]) for point in points}) == len(points)


def test_a_definition_of_a_file_is_drawn_with_its_parameters_and_subjects(here):
    outcome = softproof(
        *("plot", "precision", "ramp", "--definitions", "definitions.py"),
        *("--subject", "ramps_of_mine:right", "--parameter", "offset=2"),
        *("--output", "plot.svg", "--data", "plot.csv"),
    )
    assert outcome.exit_code == 0, outcome.output
    first, rows = table(here / "plot.csv")
    assert "--parameter offset=2.0 --definitions definitions.py" in first
    # Computed in 64 bits and rounded once: half a unit of the entry, which is at most the largest.
    (error,) = (float(row["error"]) for row in rows if row["series"].endswith(":right"))
    assert 0 < error <= 2.0**-24
    assert "offset = 2.0" in (here / "plot.svg").read_text()


def test_a_case_of_a_file_is_the_point(here):
    case = here / "case.txt"
    case.write_text("rms_norm eps=0x0p+0\nx[K=2] 0x1.8p+1 0x1p+2\ngain[K=2] 0x1p+0 0x1p+0\n")
    plot = precision.plot("rms_norm", case=case, precisions=[4, 113])
    errors = {(row[0], row[2]): row[3] for row in plot.rows if row[1] is None}
    # In 4 bits 25 is 24, the root of 12 is 3.5, 3 / 3.5 is 0.875 and 4 / 3.5 is 1.125.
    exact = 3 / math.sqrt(12.5), 4 / math.sqrt(12.5)
    errors_of_both = abs(0.875 - exact[0]), abs(1.125 - exact[1])
    assert errors["published", 4] == pytest.approx(max(errors_of_both) / exact[1], rel=1e-12)
    assert "the case in" in " ".join(plot.figure.get_supxlabel().split())
    assert f"--case {case}" in plot.command


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sparsemax\nz[K=1] 0x1p+0", "it is a case of sparsemax, not of rms_norm"),
        ("rms_norm\nx[K=1] inf\ngain[K=1] 0x1p+0", "x has a number that is not finite"),
        ("rms_norm eps=0x0p+0\nx[K=1] 0x0p+0\ngain[K=1] 0x1p+0", "rms_norm has no exact value"),
        (
            "rms_norm\nx[K=1] 0x1p+0\ngain[K=1] 0x1p+0\ncotangent[K=1] 0x1p+0",
            "vector-Jacobian products are not drawn",
        ),
    ],
)
def test_what_cannot_be_drawn_is_a_usage_error(here, text, told):
    (here / "case.txt").write_text(text)
    assert told in usage_error("plot", "precision", "rms_norm", "--case", "case.txt")


def test_parameters_that_there_are_not_are_usage_errors(here):
    (here / "case.txt").write_text("rms_norm\nx[K=1] 0x1p+0\ngain[K=1] 0x1p+0")
    command = ("plot", "precision", "rms_norm", "--parameter")
    assert "has no parameter 'epsilon'; its parameters are eps" in usage_error(
        *command, "epsilon=1"
    )
    assert "'one' is no number" in usage_error(*command, "eps=one")
    assert "--parameter eps=-1 is outside of [0.0, 1.0]" in usage_error(*command, "eps=-1")
    assert "give a case or parameters" in usage_error(*command, "eps=0.5", "--case", "case.txt")


def test_a_formula_that_fails_where_it_is_drawn_is_told_with_its_line(here):
    text = DEFINITIONS.replace("xp.positive", "(x[99] if len(x) > 3 else 1) * xp.positive")
    (here / "definitions.py").write_text(text)
    told = usage_error("plot", "precision", "ramp", "--definitions", "definitions.py")
    assert "definitions.py:13" in told
    assert "Traceback" not in told


# --- error over the numbers of a format ---


def test_the_number_that_varies_makes_the_error(here):
    """Off by a quarter where it is above 1, which is 2^21 ulp or more; right elsewhere."""
    (here / "case.txt").write_text("ramp\nx[K=2] 0x1p-1 0x1p-1\nslope 0x1p+0\n")
    outcome = softproof(
        *("plot", "ordinals", "ramp", "--definitions", "definitions.py", "--dtype", "float32"),
        *("--subject", "ramps_of_mine:off_at_large", "--subject", "ramps_of_mine:right"),
        *(
            "--inputs",
            300,
            "--vary",
            "x[1]",
            "--case",
            "case.txt",
            "--output",
            "plot.png",
            "--data",
            "plot.csv",
        ),
    )
    assert outcome.exit_code == 0, outcome.output
    first, rows = table(here / "plot.csv")
    assert "--vary 'x[1]' --case case.txt --definitions definitions.py" in first
    inputs = [row for row in rows if row["series"] == "input"]
    assert 130 < len(inputs) / 2 < 160  # those in [-4, 4]
    for row in inputs:
        x, bits = float(row["x"]), float(row["bits"])
        assert abs(x) <= 4
        wrong = row["subject"].endswith("off_at_large") and x > 1
        assert (bits > 20) if wrong else (bits <= math.log2(1.5) + 1e-9)


def test_squares_that_overflow_are_seen_beyond_the_root_of_the_largest_number(here):
    plot = ordinals.plot("rms_norm", ["ramps_of_mine:norm"], dtype="float32", inputs=400)
    inputs = [(abs(row[2]), row[4]) for row in plot.rows if row[0] == "input"]
    assert all(bits < 4 for x, bits in inputs if 2.0**-40 < x < 2.0**63)
    assert all(bits > 20 for x, bits in inputs if x > 2.0**65)
    assert "x[K=2]" in plot.figure.get_supxlabel()


@pytest.mark.parametrize(("dtype", "finite"), [("float8_e4m3fn", 253), ("float8_e5m2", 247)])
def test_all_numbers_of_eight_bits_are_drawn_and_a_wrong_result_is_seen(here, dtype, finite):
    subjects = [f"ramps_of_mine:{name}" for name in ("norm_by_32_bits", "norm_doubled")]
    plot = ordinals.plot("rms_norm", subjects, dtype=dtype, vary="x[0]")
    bits = {
        subject: [row[-1] for row in plot.rows if row[:2] == ("input", subject)]
        for subject in subjects
    }
    assert [len(found) for found in bits.values()] == [finite, finite]
    right, wrong = bits.values()
    assert max(right) <= math.log2(1.5) + 2.0**-12  # rounded twice, once to 24 bits
    assert max(wrong) >= 2


def test_in_eight_bits_each_way_to_overflow_is_right(here):
    """e4m3fn has no infinities: what is too large is NaN there, or the largest number."""
    (here / "ramps_of_mine.py").write_text(
        SUBJECTS
        + "def ramp_nan(x, slope, offset=0.0):\n"
        + "    y = right(x, slope, offset)\n"
        + "    return np.where(y > 448, np.nan, y).astype(x.dtype)\n"
        + "def ramp_largest(x, slope, offset=0.0):\n"
        + "    return np.minimum(right(x, slope, offset), 448).astype(x.dtype)\n"
    )
    text = DEFINITIONS.replace("lower=-4, upper=4", "lower=-448").replace("lower=0.5", "lower=1.5")
    (here / "definitions.py").write_text(text)
    load_definitions(here / "definitions.py")
    subjects = ["ramps_of_mine:ramp_nan", "ramps_of_mine:ramp_largest"]
    plot = ordinals.plot("ramp", subjects, dtype="float8_e4m3fn", vary="x[0]")
    bits = [row[-1] for row in plot.rows if row[0] == "input"]
    assert len(bits) == 2 * 253
    assert max(bits) <= math.log2(1.5) + 2.0**-12


def test_a_case_of_a_file_is_varied_and_a_number_without_a_value_is_left_out(here):
    """0 / sqrt(0), with eps = 0: the one of three numbers that has no value."""
    case = here / "case.txt"
    case.write_text("rms_norm eps=0x0p+0\nx[K=1] 0x1p+0\ngain[K=1] 0x1p+0\n")
    varied = line(lookup("rms_norm"), BINARY32, "x", case)
    assert varied.at(np.float32(3)).values["x"] == 3
    assert varied.at(np.float32(3)).parameters == {"eps": 0.0}
    x = np.float32([-2, 0, 2])
    (errors,) = largest_ulp_errors(varied, BINARY32, x, [np.float32([[-1], [7], [0.5]])], ignore)
    assert errors.tolist() == pytest.approx([0, np.nan, 2.0**22], nan_ok=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("rms_norm", "--vary", "y"), "name a number of x, gain"),
        (("rms_norm", "--vary", "x[2]"), "x has the shape (2,), counted from 0"),
        (("attention", "--vary", "k[1]"), "k has the shape (2, 2)"),
        (("attention", "--vary", "mask"), "name a number of q, k, v"),
        (("softmax", "--vary", "logits"), "softmax takes one row [x, 0] here"),
    ],
)
def test_a_number_that_there_is_not_is_a_usage_error(options, told):
    assert told in usage_error("plot", "ordinals", *options)


def test_without_any_implementation_one_must_be_named(here):
    told = usage_error("plot", "ordinals", "ramp", "--definitions", "definitions.py")
    assert "no implementation of ramp in float16 is known; name one" in told


def test_known_implementations_are_drawn_where_none_is_named():
    plot = ordinals.plot("sparsemax", dtype="float32", inputs=8)
    assert "softproof.verify.subjects.functions_of_arrays:sparsemax" in {
        row[1] for row in plot.rows
    }
    with pytest.raises(SubjectError, match="no known subject of sparsemax matches"):
        ordinals.plot("sparsemax", ["nobody*"], dtype="float32", inputs=8)
