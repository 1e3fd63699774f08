"""The report behind `softproof radius`, and the digits data it is shown on."""

import importlib.util
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from softproof.kernels.radius import Radius, radius
from softproof.verify.radius_report import load_array, print_report, report
from softproof.verify.strict_json import write_json

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "verify" / "data" / "digits.npz"
INF, NAN = math.inf, math.nan

# Three samples: an ordinary one, one with an exact radius, one whose F has no zeros.
RADII = Radius(np.array([1.0, 2.0, INF]), np.array([1.5, 4.0, INF]), np.array([NAN, 4.0, INF]))


# --- load_array ---


def save(tmp_path, **entries):
    path = tmp_path / "arrays.npz"
    np.savez(path, **entries)
    return path


def test_an_npy_file_holds_one_array(tmp_path):
    np.save(tmp_path / "z.npy", np.float32([[1, 2]]))
    loaded = load_array(tmp_path / "z.npy", "logits")
    assert loaded.dtype == np.float32
    assert loaded.tolist() == [[1.0, 2.0]]


def test_of_an_archive_the_named_entry_is_read(tmp_path):
    path = save(tmp_path, slopes=np.ones(2), logits=np.zeros(2))
    assert load_array(str(path), "logits").tolist() == [0.0, 0.0]


def test_of_an_archive_the_only_entry_is_read_whatever_its_name(tmp_path):
    assert load_array(save(tmp_path, z=np.ones(2)), "logits").tolist() == [1.0, 1.0]


def test_an_archive_that_leaves_a_choice_is_refused_with_its_entries(tmp_path):
    path = save(tmp_path, z=np.ones(2), a=np.ones(2))
    with pytest.raises(ValueError, match=r"logits: .* has the entries z, a: call .* 'logits'"):
        load_array(path, "logits")


def test_an_archive_without_entries_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has the entries \(none\)"):
        load_array(save(tmp_path), "logits")


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"logits: .*z\.csv must be a \.npy or \.npz file"):
        load_array(tmp_path / "z.csv", "logits")


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_missing_file_is_reported(tmp_path, ending):
    with pytest.raises(FileNotFoundError, match=r"slopes: there is no file .*gone"):
        load_array(tmp_path / f"gone.{ending}", "slopes")


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize("content", [b"", b"not an array", b"PK\x03\x04 cut", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_is_reported(tmp_path, ending, content):
    path = tmp_path / f"damaged.{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"logits: cannot read .*damaged"):
        load_array(path, "logits")


def test_a_damaged_entry_is_reported(tmp_path):
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, logits=np.arange(1000.0))
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"logits: cannot read .*damaged"):
        load_array(path, "logits")


class Trap:
    """Unpickling this raises."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_pickles_are_refused_and_not_executed(tmp_path, ending):
    path = tmp_path / f"objects.{ending}"
    write = np.save if ending == "npy" else np.savez
    write(path, np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"logits: cannot read .*objects.*: store a plain"):
        load_array(path, "logits")


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.complex128])
def test_other_dtypes_are_refused(tmp_path, dtype):
    np.save(tmp_path / "z.npy", np.ones(3, dtype))
    with pytest.raises(TypeError, match=rf"holds {np.dtype(dtype)}, not .*: convert with"):
        load_array(tmp_path / "z.npy", "logits")


# --- report ---


def test_the_layout_without_a_step():
    assert report(RADII) == {
        "batch": {"spread": 1.0, "half_mass": 1.5, "exact": None},
        "samples": [
            {"spread": 1.0, "half_mass": 1.5, "exact": None},
            {"spread": 2.0, "half_mass": 4.0, "exact": 4.0},
            {"spread": INF, "half_mass": INF, "exact": INF},
        ],
    }


def test_the_layout_with_a_step():
    laid_out = report(RADII, step=3)
    assert laid_out["step"] == 3.0
    assert laid_out["batch"] == {
        "spread": 1.0,
        "half_mass": 1.5,
        "exact": None,
        "r_spread": 3.0,
        "r_half_mass": 2.0,
        "exceeded_by": [0],
        "exceeded_by_spread": [0, 1],
    }
    assert [s["r_half_mass"] for s in laid_out["samples"]] == [2.0, 0.75, 0.0]
    assert [s["r_spread"] for s in laid_out["samples"]] == [3.0, 1.5, 0.0]


def test_a_step_as_long_as_the_bound_does_not_exceed_it():
    assert report(RADII, step=1.5)["batch"]["exceeded_by"] == []


@pytest.mark.parametrize("step", [0.0, -1.0, INF, NAN])
def test_a_step_must_be_finite_and_positive(step):
    with pytest.raises(ValueError, match="step must be finite and above 0, got"):
        report(RADII, step)


# --- write_json ---


def strict(constant):
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("step", [None, 3.0])
def test_json_is_strict_and_complete(tmp_path, step):
    path = tmp_path / "report.json"
    laid_out = report(RADII, step)
    write_json(laid_out, path)
    assert "1e999" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"), parse_constant=strict) == laid_out


def test_json_round_trips_every_float(tmp_path):
    radii = radius([[3.0, 0.0, 1.0]], [[0.1, 0.2, -1e308]])
    write_json(report(radii, 1e300), tmp_path / "report.json")
    with open(tmp_path / "report.json", encoding="utf-8") as file:
        assert json.load(file) == report(radii, 1e300)


def test_json_of_an_empty_batch(tmp_path):
    write_json(report(radius(np.zeros((0, 2)), np.zeros((0, 2)))), tmp_path / "report.json")
    with open(tmp_path / "report.json", encoding="utf-8") as file:
        batch = {"spread": INF, "half_mass": INF, "exact": INF}
        assert json.load(file) == {"batch": batch, "samples": []}


def test_json_writes_nan_as_null(tmp_path):
    write_json({"exact": NAN}, tmp_path / "report.json")
    with open(tmp_path / "report.json", encoding="utf-8") as file:
        assert json.load(file) == {"exact": None}


# --- print_report ---


def printed(laid_out):
    console = Console(file=io.StringIO(), width=200)
    print_report(laid_out, console)
    return console.file.getvalue()


def cells(text, bound):
    line = next(line for line in text.splitlines() if line.startswith(f"│ {bound} "))
    return [cell.strip() for cell in line.strip("│").split("│")[1:]]


def test_the_table_shows_order_statistics():
    hundred = np.arange(1.0, 101.0)
    text = printed(report(Radius(hundred, 3 * hundred, np.full(100, NAN))))
    assert cells(text, "spread, pi / Delta") == ["1", "1", "50", "100"]
    assert cells(text, "half-mass") == ["3", "3", "150", "300"]
    assert cells(text, "half-mass / spread") == ["3", "3", "3", "3"]
    assert "exact not available (known for 0 samples)" in text


def test_samples_without_zeros_are_left_out_of_the_gain():
    text = printed(report(RADII))
    assert cells(text, "half-mass") == ["1.5", "1.5", "4", "inf"]
    assert cells(text, "half-mass / spread") == ["1.5", "1.5", "1.5", "2"]


def test_the_unit_is_stated():
    assert "in units of the step length t" in printed(report(RADII))


def test_a_step_names_the_first_samples_it_exceeds():
    ones = np.ones(12)
    text = printed(report(Radius(ones, 4 * ones, ones), step=2.0))
    assert "Step 2: r = step / radius = 0.5 by half-mass, 2 by spread." in text
    assert "Beyond the half-mass radius of 0 of 12 samples." in text
    assert "Beyond the spread radius of 12 of 12 samples: 0 (r = 2), 1 (r = 2)" in text
    assert "9 (r = 2), ...\n" in text


def test_an_empty_batch_prints():
    text = printed(report(radius(np.zeros((0, 2)), np.zeros((0, 2))), step=1.0))
    assert cells(text, "half-mass") == ["-"] * 4
    assert "Batch of 0 samples: spread inf" in text


# --- the digits ---


@pytest.fixture(scope="module")
def lesson():
    spec = importlib.util.spec_from_file_location("digits", ROOT / "notebooks" / "digits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stored_digits_come_from_the_script(lesson):
    features, labels = lesson.load()
    weights = lesson.train(features, labels)
    logits, slopes = lesson.logits_and_slopes(features, labels, weights)
    with np.load(DIGITS) as stored:
        assert sorted(stored.files) == ["labels", "logits", "slopes"]
        np.testing.assert_array_equal(stored["labels"], labels)
        np.testing.assert_allclose(stored["logits"], logits, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(stored["slopes"], slopes, rtol=1e-5, atol=1e-5)
        assert stored["labels"].dtype == np.int64
        assert stored["logits"].dtype == stored["slopes"].dtype == np.float32


def test_the_gradient_of_the_script_is_that_of_its_loss(lesson):
    rng = np.random.default_rng(1)
    features, labels = rng.standard_normal((6, 4)), np.array([0, 1, 2, 9, 9, 0])
    weights, direction = rng.standard_normal((2, 4, 10))

    def loss(t):
        logits = features @ (weights + t * direction)
        return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), labels])

    by_difference = (loss(1e-5) - loss(-1e-5)) / 2e-5
    by_gradient = np.sum(lesson.gradient(features, labels, weights) * direction)
    assert by_difference == pytest.approx(by_gradient, rel=1e-8)


def test_the_digits_are_a_realistic_model_with_something_to_gain():
    with np.load(DIGITS) as stored:
        accuracy = np.mean(stored["logits"].argmax(axis=1) == stored["labels"])
    assert 0.96 < accuracy < 0.99
    assert DIGITS.stat().st_size < 200_000
    radii = radius(load_array(DIGITS, "logits"), load_array(DIGITS, "slopes"))
    gain = radii.half_mass / radii.spread
    assert gain.min() >= 1.0
    assert np.median(gain) > 2.0
