"""The report behind `softproof radius`, and the digits data it is shown on."""

import importlib.util
import io
import json
import math
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from softproof.derivations.check_certificate import CertificateError, check
from softproof.derivations.step_radius.certify import Certified, certify
from softproof.kernels.step_radius.radius import Radius, radius
from softproof.verify.inputs.array_files import load_array, load_labels, load_samples
from softproof.verify.reports.step_radii import print_report
from softproof.verify.reports.strict_json import write_json
from softproof.verify.studies import certified_radii
from softproof.verify.studies.certified_radii import Checked, certify_samples
from softproof.verify.studies.radius_report import lay_out

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "verify" / "data" / "digits.npz"
INF, NAN = math.inf, math.nan


def radii(spread, half_mass, variance, exact, error=None):
    """Radii whose exact values are NaN where flagged."""
    exact = np.array(exact, dtype=float)
    error = np.where(np.isnan(exact), NAN, 0.0) if error is None else np.array(error)
    bounds = (np.array(x, dtype=float) for x in (spread, half_mass, variance))
    return Radius(*bounds, exact, error, np.isnan(exact))


# A flagged sample, one with an exact radius, one whose F has no zeros.
RADII = radii(
    [1.0, 2.0, INF], [1.5, 3.5, INF], [1.75, 3.75, INF], [NAN, 4.0, INF], [NAN, 2.0**-20, 0.0]
)
BELOW = math.nextafter(4.0 - 2.0**-20, 0)


def enclosure(lower, upper, multiplicity=1, rejection=None):
    return Checked(Certified(lower, upper, multiplicity, "taylor", 64, {}), rejection)


# Enclosures of the three that agree with RADII.
CERTIFIED = [
    enclosure(1.8, 1.9),
    enclosure(4.0, 4.0 + 2.0**-50),
    Checked(Certified(INF, INF, 0, "none", 0, {})),
]


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


@pytest.mark.parametrize("content", [b"", b"these are no numbers", b"\x93NUMPY"])
def test_an_entry_that_is_no_array_is_reported(tmp_path, content):
    path = tmp_path / "step.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits.npy", content)
        archive.writestr("labels.npy", content)
    for name, load in (
        ("logits", lambda: load_array(path, "logits")),
        ("labels", lambda: load_labels(path)),
    ):
        with pytest.raises(ValueError, match=rf"{name}: cannot read {path} \(.*: store a plain"):
            load()


def test_labels_are_read_where_there_are_some(tmp_path):
    with_labels, without, table = (tmp_path / name for name in ("a.npz", "b.npz", "c.npy"))
    np.savez(with_labels, logits=np.zeros((2, 3)), labels=np.array([2, 0]))
    np.savez(without, logits=np.zeros((2, 3)))
    np.save(table, np.zeros((2, 3)))
    assert load_labels(with_labels).tolist() == [2, 0]
    assert load_labels(without) is load_labels(table) is None


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


def test_logits_and_slopes_come_from_two_entries_that_may_be_equal(tmp_path):
    ones = np.ones((2, 3))
    path = save(tmp_path, logits=ones, slopes=ones)
    z, a = load_samples(path, path)
    assert z.tolist() == a.tolist() == ones.tolist()


def test_two_files_of_one_entry_may_be_equal(tmp_path):
    for name in ("z", "a"):
        np.savez(tmp_path / f"{name}.npz", np.ones((2, 3)))
        np.save(tmp_path / f"{name}.npy", np.ones((2, 3)))
    for ending in ("npz", "npy"):
        z, a = load_samples(tmp_path / f"z.{ending}", tmp_path / f"a.{ending}")
        assert z.shape == a.shape == (2, 3)


@pytest.mark.parametrize("name", ["logits", "slopes", "x"])
def test_one_stored_array_is_not_both_logits_and_slopes(tmp_path, name):
    path = save(tmp_path, **{name: np.arange(6.0).reshape(2, 3)})
    (tmp_path / "link.npz").symlink_to(path)
    for other in (path, tmp_path / "link.npz"):
        with pytest.raises(ValueError, match="one array for both logits and slopes"):
            load_samples(path, other)


def test_the_array_of_an_npy_file_is_not_both_logits_and_slopes(tmp_path):
    np.save(tmp_path / "z.npy", np.ones((2, 3)))
    with pytest.raises(ValueError, match="one array for both logits and slopes"):
        load_samples(tmp_path / "z.npy", tmp_path / "." / "z.npy")


# --- report ---


def test_the_layout_without_a_step():
    assert lay_out(RADII) == {
        "batch": {"spread": 1.0, "half_mass": 1.5, "variance": 1.75, "exact": None, "proven": 1.75},
        "samples": [
            {
                "spread": 1.0, "half_mass": 1.5, "variance": 1.75,
                "exact": None, "error": None, "flagged": True, "proven": 1.75,
            },
            {
                "spread": 2.0, "half_mass": 3.5, "variance": 3.75,
                "exact": 4.0, "error": 2.0**-20, "flagged": False, "proven": BELOW,
            },
            {
                "spread": INF, "half_mass": INF, "variance": INF,
                "exact": INF, "error": 0.0, "flagged": False, "proven": INF,
            },
        ],
    }  # fmt: skip


def test_the_layout_with_a_step():
    laid_out = lay_out(RADII, step=3)
    assert laid_out["step"] == 3.0
    assert laid_out["batch"] == {
        "spread": 1.0, "half_mass": 1.5, "variance": 1.75, "exact": None, "proven": 1.75,
        "r_spread": 3.0, "r_half_mass": 2.0, "r_variance": 3 / 1.75, "r": 3 / 1.75,
        "exceeded_by": [0], "exceeded_by_exact": [],
        "exceeded_by_variance": [0], "exceeded_by_half_mass": [0], "exceeded_by_spread": [0, 1],
    }  # fmt: skip
    assert [s["r_spread"] for s in laid_out["samples"]] == [3.0, 1.5, 0.0]
    assert [s["r_half_mass"] for s in laid_out["samples"]] == [2.0, 3 / 3.5, 0.0]
    assert [s["r_variance"] for s in laid_out["samples"]] == [3 / 1.75, 3 / 3.75, 0.0]
    assert [s["r"] for s in laid_out["samples"]] == [3 / 1.75, 3 / BELOW, 0.0]


def test_a_step_as_long_as_the_bound_does_not_exceed_it():
    assert lay_out(RADII, step=1.75)["batch"]["exceeded_by"] == []
    assert lay_out(RADII, step=math.nextafter(1.75, 2))["batch"]["exceeded_by"] == [0]


def test_a_step_may_exceed_what_is_proven_without_exceeding_the_radius():
    """Exact 4 +- 2^-20: within the error nothing is proven of either."""
    lists = {step: lay_out(RADII, step)["batch"] for step in (3.9, 4.0, 4.1)}
    assert [1 in lists[step]["exceeded_by"] for step in lists] == [False, True, True]
    assert [1 in lists[step]["exceeded_by_exact"] for step in lists] == [False, False, True]


def test_a_flagged_sample_is_beyond_its_radius_only_where_it_is_certified():
    assert lay_out(RADII, 3.0)["batch"]["exceeded_by_exact"] == []
    assert lay_out(RADII, 3.0, CERTIFIED)["batch"]["exceeded_by_exact"] == [0]


def test_an_infinite_exact_radius_does_not_lend_its_bounds_infinity():
    """A radius beyond the largest float: exact rounds to inf, the bounds to the largest float."""
    largest = np.finfo(float).max
    laid_out = lay_out(radii([1.0], [2.0], [largest], [INF], [INF]))
    assert laid_out["samples"][0]["proven"] == largest
    certified = lay_out(
        radii([1.0], [2.0], [largest], [INF], [INF]), 1.0, [enclosure(largest, INF)]
    )
    assert certified["certified"]["disagreeing"] == []
    assert certified["batch"]["exceeded_by_exact"] == []
    wrong = lay_out(radii([1.0], [2.0], [largest], [INF], [INF]), None, [enclosure(0.5, 1.5)])
    assert wrong["certified"]["disagreeing"] == [0]


def test_the_best_proven_bound_is_never_below_the_variance():
    (sample,) = lay_out(radii([1.0], [2.0], [2.9], [3.0], [0.5]))["samples"]
    assert sample["proven"] == 2.9


# --- certified ---


def test_the_layout_with_certificates():
    laid_out = lay_out(RADII, 1.0, CERTIFIED)
    first, second, third = laid_out["samples"]
    entries = {
        "lower": 1.8, "upper": 1.9, "multiplicity": 1, "method": "taylor", "bits": 64,
        "certificate": {}, "rejected": None,
    }  # fmt: skip
    assert entries.items() <= first.items()
    assert (first["proven"], second["proven"], third["proven"]) == (1.8, 4.0, INF)
    assert (third["lower"], third["upper"], third["method"]) == (INF, INF, "none")
    assert (laid_out["batch"]["lower"], laid_out["batch"]["upper"]) == (1.8, 1.9)
    assert laid_out["batch"]["r"] == 1 / 1.8
    assert laid_out["certified"] == {
        "samples": 3, "interrupted": False, "methods": {"none": 1, "taylor": 2},
        "disagreeing": [], "worst": 0.0, "wide": [0],
    }  # fmt: skip


def test_the_worst_distance_is_that_from_the_enclosure():
    certified = lay_out(RADII, certified=[CERTIFIED[0], enclosure(4.25, 4.5)])["certified"]
    assert certified["worst"] == 0.25 / 4.25


def wrong(sample, lower, upper):
    """Who disagrees if one enclosure is replaced."""
    certified = list(CERTIFIED)
    certified[sample] = enclosure(lower, upper)
    return lay_out(RADII, certified=certified)["certified"]["disagreeing"]


@pytest.mark.parametrize(
    ("sample", "lower", "upper"),
    [
        (1, 4.0 + 2.0**-19, 4.1),  # exact and its error are too small
        (1, 3.8, 4.0 - 2.0**-19),  # too large
        (0, 1.4, 1.7),  # the variance bound of a flagged sample is above the radius
        (1, 3.6, 3.7),
        (2, 5.0, 6.0),  # F was said to have no zero
    ],
)
def test_an_enclosure_that_excludes_a_claim_is_noticed(sample, lower, upper):
    assert wrong(sample, lower, upper) == [sample]


@pytest.mark.parametrize(
    ("sample", "lower", "upper"),
    [(1, 4.0 + 2.0**-21, 4.1), (1, 3.8, 4.0 - 2.0**-21), (0, 1.75, 1.75), (0, 1.0, 9.0)],
)
def test_an_enclosure_that_meets_every_claim_is_not(sample, lower, upper):
    assert wrong(sample, lower, upper) == []


@pytest.mark.parametrize("bound", ["spread", "half_mass", "variance", "exact"])
def test_a_bound_that_is_too_high_is_noticed_on_real_logits(bound):
    rng = np.random.default_rng(5)
    z, a = rng.standard_normal((2, 4, 6))
    found = radius(z, a)
    certified = list(certify_samples(z, a))
    assert lay_out(found, certified=certified)["certified"]["disagreeing"] == []
    high = np.array([c.claim.upper for c in certified]) * (1 + 1e-9)
    broken = found._replace(**{bound: high})
    if bound == "exact":
        broken = broken._replace(error=0 * high, flagged=np.zeros(4, dtype=bool))
    assert lay_out(broken, certified=certified)["certified"]["disagreeing"] == [0, 1, 2, 3]


def test_samples_that_are_not_reached_or_not_decided_are_null():
    laid_out = lay_out(RADII, certified=[None, CERTIFIED[1]])
    for sample in (0, 2):
        assert laid_out["samples"][sample]["lower"] is None
        assert laid_out["samples"][sample]["method"] is None
    assert laid_out["certified"]["samples"] == 2
    assert laid_out["certified"]["interrupted"]
    assert laid_out["batch"]["lower"] is None
    assert laid_out["samples"][0]["proven"] == 1.75


def test_samples_are_certified_one_after_another():
    z, a = np.zeros((2, 2)), np.array([[1.0, -1.0], [2.0, -2.0]])
    first, second = certify_samples(z, a)
    assert first.claim.lower <= math.pi / 2 <= first.claim.upper
    assert second.claim.lower <= math.pi / 4 <= second.claim.upper


def test_one_sample_may_have_shape_k():
    (only,) = certify_samples(np.zeros(2), np.array([1.0, -1.0]), np.zeros(2))
    assert only.claim.lower <= math.pi / 2 <= only.claim.upper


def test_what_cannot_be_proven_is_none_and_the_work_goes_on(monkeypatch):
    def undecided(z, *sample):
        if z[0] == 1.0:
            raise ArithmeticError
        return certify(z, *sample)

    monkeypatch.setattr(certified_radii, "certify", undecided)
    found = list(certify_samples(np.array([[0.0], [1.0], [2.0]]), np.ones((3, 1))))
    assert [one and one.claim.lower for one in found] == [INF, None, INF]


def false_claims(z, a, b=None):
    """An upper bound one float too low for samples whose first logit is 1; the rest is honest."""
    claim = certify(z, a, b)
    return claim._replace(upper=math.nextafter(claim.lower, 0)) if z[0] == 1.0 else claim


@pytest.mark.parametrize("curved", [False, True])
def test_the_separate_checker_rejects_a_false_claim_of_the_certified_tier(monkeypatch, curved):
    monkeypatch.setattr(certified_radii, "certify", false_claims)
    z, a = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[1.0, -1.0]] * 2)
    good, bad = certify_samples(z, a, a**2 if curved else None)
    assert good.rejection is None
    assert bad.rejection == "upper is below the nearest zero"


def test_what_is_rejected_proves_nothing():
    rejected = [enclosure(9.0, 9.5, rejection="a reason"), *CERTIFIED[1:]]
    laid_out = lay_out(RADII, 2.0, rejected, rejected)
    (first, *_), batch = laid_out["samples"], laid_out["batch"]
    assert (first["lower"], first["upper"], first["proven"]) == (None, None, 1.75)
    assert first["rejected"] == "a reason, claimed from 9.0 to 9.5"
    assert first["curved"]["rejected"] == first["rejected"]
    assert laid_out["certified"]["disagreeing"] == laid_out["curved"]["disagreeing"] == [0]
    assert laid_out["certified"]["methods"] == {"none": 1, "taylor": 1}
    assert (batch["lower"], batch["curved_lower"], batch["exceeded_by"]) == (None, None, [0])
    assert batch["exceeded_by_curved"] == [0]


def test_a_stored_report_can_be_checked_again(tmp_path):
    rng = np.random.default_rng(8)
    z, a, b = rng.standard_normal((3, 3, 4))
    z[2], a[2], b[2] = 0.0, 1.0, 0.0  # without a zero
    certified, curved = list(certify_samples(z, a)), list(certify_samples(z, a, b))
    write_json(lay_out(radius(z, a), None, certified, curved), tmp_path / "report.json")
    with open(tmp_path / "report.json", encoding="utf-8") as file:
        samples = json.load(file)["samples"]
    for *one, sample in zip(z.tolist(), a.tolist(), b.tolist(), samples, strict=True):
        check(*one[:2], SimpleNamespace(**sample))
        check(*one[:2], SimpleNamespace(**sample["curved"]), one[2])
        broken = sample | {"upper": math.nextafter(sample["lower"], 0)}
        with pytest.raises(CertificateError):
            check(*one[:2], SimpleNamespace(**broken))


@pytest.mark.parametrize(
    ("claim", "wide"),
    [
        (enclosure(1.9, 1.9 * (1 + 0.9e-12)), []),
        (enclosure(1.9, 1.9 * (1 + 1.1e-12)), [0]),
        (enclosure(1.9, INF), [0]),
        (enclosure(1.9, 1.9, multiplicity=0), [0]),
    ],
)
def test_enclosures_that_are_not_sharp_are_listed(claim, wide):
    laid_out = lay_out(RADII, None, [claim, *CERTIFIED[1:]], [claim])
    assert laid_out["certified"]["wide"] == laid_out["curved"]["wide"] == wide
    for told in ("Not sharp: 1 of 3 samples, whose", "Not sharp with curvatures: 1 of 1 sample, "):
        assert (told in printed(laid_out)) == bool(wide)


@pytest.mark.parametrize(
    ("curvatures", "message"),
    [
        (np.zeros((2, 3)), r"shape of logits, \(2, 2\), got \(2, 3\)"),
        (np.full((2, 2), NAN), "finite"),
        (np.full((2, 2), INF), "finite"),
    ],
)
def test_curvatures_are_checked_before_any_work(curvatures, message):
    with pytest.raises(ValueError, match=message):
        certify_samples(np.zeros((2, 2)), np.ones((2, 2)), curvatures)


def test_curved_radii_are_those_of_quadratic_logits():
    """K = 2: delta + alpha t + beta t^2 = -i pi, a quadratic equation."""
    z, a, b = np.array([[1.0, 0.0]]), np.array([[1.0, -1.0]]), np.array([[0.25, 0.0]])
    plain, curved = list(certify_samples(z, a)), list(certify_samples(z, a, b))
    roots = np.concatenate([np.roots([0.25, 2.0, 1.0 + s * 1j * np.pi]) for s in (1, -1, 3, -3)])
    laid_out = lay_out(radius(z, a), 2.1, plain, curved)
    (sample,) = laid_out["samples"]
    assert sample["curved"]["lower"] == pytest.approx(abs(roots).min(), rel=1e-12)
    assert sample["lower"] == pytest.approx(math.hypot(1, math.pi) / 2, rel=1e-12)
    assert laid_out["batch"]["curved_lower"] == sample["curved"]["lower"]
    beyond = [
        lay_out(radius(z, a), step, plain, curved)["batch"]["exceeded_by_curved"]
        for step in (0.9 * abs(roots).min(), 1.1 * abs(roots).min())
    ]
    assert beyond == [[], [0]]


@pytest.mark.parametrize("step", [0.0, -1.0, INF, NAN])
def test_a_step_must_be_finite_and_positive(step):
    with pytest.raises(ValueError, match="step must be finite and above 0, got"):
        lay_out(RADII, step)


# --- write_json ---


def strict(constant):
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("step", [None, 3.0])
def test_json_is_strict_and_complete(tmp_path, step):
    path = tmp_path / "report.json"
    laid_out = lay_out(RADII, step, CERTIFIED, CERTIFIED[:1])
    write_json(laid_out, path)
    assert "1e999" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"), parse_constant=strict) == laid_out


def test_json_round_trips_every_float(tmp_path):
    found = radius([[3.0, 0.0, 1.0]], [[0.1, 0.2, -1e308]])
    write_json(lay_out(found, 1e300), tmp_path / "report.json")
    with open(tmp_path / "report.json", encoding="utf-8") as file:
        assert json.load(file) == lay_out(found, 1e300)


def test_json_of_an_empty_batch(tmp_path):
    write_json(lay_out(radius(np.zeros((0, 2)), np.zeros((0, 2)))), tmp_path / "report.json")
    with open(tmp_path / "report.json", encoding="utf-8") as file:
        batch = dict.fromkeys(("spread", "half_mass", "variance", "exact", "proven"), INF)
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
    text = printed(lay_out(radii(hundred, 2 * hundred, 3 * hundred, 4 * hundred)))
    assert cells(text, "spread, pi / Delta") == ["1", "1", "50", "100"]
    assert cells(text, "half-mass") == ["2", "2", "100", "200"]
    assert cells(text, "variance") == ["3", "3", "150", "300"]
    assert cells(text, "exact") == ["4", "4", "200", "400"]
    assert cells(text, "spread / exact") == ["0.25"] * 4
    assert cells(text, "half-mass / exact") == ["0.5"] * 4
    assert cells(text, "variance / exact") == ["0.75"] * 4
    assert "spread 1, half-mass 2, variance 3, exact 4; best proven bound 4." in text
    assert "Flagged" not in text
    assert "ertified" not in text


def test_flagged_samples_and_those_without_zeros_have_no_share():
    text = printed(lay_out(RADII))
    assert cells(text, "half-mass") == ["1.5", "1.5", "3.5", "inf"]
    assert cells(text, "exact") == ["4", "4", "4", "inf"]
    assert cells(text, "spread / exact") == ["0.5"] * 4
    assert "Flagged, too hard for the fast tier: 1 of 3 samples" in text
    assert "variance 1.75, exact not known (1 flagged); best proven bound 1.75." in text


def test_a_certified_radius_stands_in_for_that_of_a_flagged_sample():
    text = printed(lay_out(RADII, None, CERTIFIED))
    assert cells(text, "certified") == ["1.8", "1.8", "4", "inf"]
    assert cells(text, "spread / exact") == ["0.5", "0.5", "0.5", "0.55556"]
    assert "a separate checker verified all 3 certificates (none 1, taylor 2); all" in text
    assert (
        "all bounds, and exact of 2 samples, agree with the enclosures, exact to within 0.0e"
        in text
    )
    assert "exact not known (1 flagged), certified 1.8; best proven bound 1.8." in text


def test_a_disagreement_is_loud_and_names_all_that_is_needed():
    certified = [CERTIFIED[0], enclosure(4.25, 4.5), CERTIFIED[2]]
    text = printed(lay_out(RADII, None, certified))
    assert "WRONG, an error of softproof: sample 1 has spread 2.0, half-mass 3.5" in text
    assert "exact 4.0 +- 9.5e-07, but the certified radius is from 4.25 to 4.5." in text
    assert "WRONG in 1 of 3 samples" in text
    assert "agree" not in text
    assert "verified all" not in text


def test_a_rejected_certificate_is_loud():
    curved = [CERTIFIED[0], enclosure(1.0, 2.0, rejection="a reason"), CERTIFIED[2]]
    text = printed(lay_out(RADII, None, CERTIFIED, curved))
    assert "WRONG, an error of softproof: sample 1 with curvatures has a certificate that" in text
    assert "the separate checker rejects: a reason, claimed from 1.0 to 2.0. Please" in text
    assert "WRONG in 1 of 3 samples (none 1, taylor 1)." in text
    assert "Certified: a separate checker verified all 3 certificates" in text
    assert "Certified with curvatures" not in text
    assert "Not decided" not in text
    assert "certified not known" in printed(lay_out(RADII, None, curved))


def test_an_interruption_and_what_is_not_decided_are_told():
    text = printed(lay_out(RADII, None, [None, CERTIFIED[1]], []))
    assert "Interrupted (certified): 2 of 3 samples done." in text
    assert "Interrupted (curved): 0 of 3 samples done." in text
    assert "Not decided by the certified tier: 1 sample." in text
    assert cells(text, "certified, curved") == ["-"] * 4


def test_curved_radii_have_a_row():
    text = printed(lay_out(RADII, 2.0, CERTIFIED, [enclosure(1.5, 1.6)] * 3))
    assert cells(text, "certified, curved") == ["1.5"] * 4
    assert "Beyond the certified curved radius of 3 of 3 samples: 0, 1, 2\n" in text
    assert "Certified with curvatures: a separate checker verified all 3 certificates (" in text


def test_the_unit_is_stated():
    assert "in units of the step length t" in printed(lay_out(RADII))


def test_a_step_names_the_first_samples_it_exceeds():
    ones = np.ones(12)
    text = printed(lay_out(radii(ones, 4 * ones, 4 * ones, 8 * ones), step=2.0))
    assert (
        "Step 2: r = step / radius = 0.25 by the best proven bound, 0.5 by variance, "
        "0.5 by half-mass, 2 by spread."
    ) in text
    assert "Beyond the spread bound of 12 of 12 samples: 0 (r = 2), 1 (r = 2)" in text
    assert "9 (r = 2), ...\n" in text
    assert text.count("Beyond") == 1
    assert "Within" not in text


def test_a_step_beyond_the_radius_itself_says_so():
    text = printed(lay_out(RADII, step=4.5))
    assert "Beyond the radius itself, where the series diverges, of 1 of 3 samples: 1\n" in text
    assert "Beyond the best proven bound of 2 of 3 samples: 0 (r = 2.5714), 1 (r = 1.125)" in text


def test_a_step_within_all_bounds_takes_one_line():
    text = printed(lay_out(RADII, step=1.0))
    assert "Within every bound of every sample.\n" in text
    assert "Beyond" not in text


def test_a_batch_of_one_is_one_sample():
    one = radii([1.0], [1.5], [1.75], [NAN])
    text = printed(lay_out(one, 3.0, [enclosure(1.9, 1.9)], [None]))
    assert "Batch of 1 sample: spread 1" in text
    assert "a separate checker verified the certificate (taylor 1)" in text
    assert "Beyond the spread bound of 1 of 1 sample: 0 (r = 3)" in text
    assert "Flagged, too hard for the fast tier: 1 of 1 sample, for" in text
    assert "Not decided by the certified tier with curvatures: 1 sample." in text
    assert "1 samples" not in text


def test_an_empty_batch_prints():
    empty = np.zeros((0, 2))
    text = printed(lay_out(radius(empty, empty), 1.0, [], []))
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
    found = radius(load_array(DIGITS, "logits"), load_array(DIGITS, "slopes"))
    gain = found.half_mass / found.spread
    assert gain.min() >= 1.0
    assert np.median(gain) > 2.0
