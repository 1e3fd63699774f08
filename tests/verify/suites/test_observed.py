"""What is not declared is observed and told; only none of the ways, or two at once, fails."""

import json

import numpy as np
import pytest
import scipy.special
from rich.console import Console
from softproof.verify.power import broken
from softproof.verify.reports.html import html
from softproof.verify.reports.junit import junit
from softproof.verify.reports.plain import as_dict
from softproof.verify.reports.terminal import print_observed
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report, Result, decode, encode
from softproof.verify.runs.run import run
from softproof.verify.subjects.contract import CHOICES, CONVENTIONAL, OBSERVED, Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.testing import assert_conforms

# --- right forms, as people write them ---


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x):
    d = x - x.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def cross_entropy(x, labels):
    return -log_softmax(x)[np.arange(len(x)), labels]


def scipy_softmax(x):
    return scipy.special.softmax(x, axis=-1)


def scipy_log_softmax(x):
    return scipy.special.log_softmax(x, axis=-1)


def scipy_logsumexp(x):
    return scipy.special.logsumexp(x, axis=-1)


def torch_softmax(x):
    import torch

    return torch.softmax(torch.from_numpy(x), -1).numpy()


def torch_log_softmax(x):
    import torch

    return torch.log_softmax(torch.from_numpy(x), -1).numpy()


def torch_logsumexp(x):
    import torch

    return torch.logsumexp(torch.from_numpy(x), -1).numpy()


def torch_cross_entropy(x, labels):
    import torch

    arguments = torch.from_numpy(x), torch.from_numpy(labels)
    return torch.nn.functional.cross_entropy(*arguments, reduction="none").numpy()


RIGHT = {
    softmax: "softmax",
    scipy_softmax: "softmax",
    torch_softmax: "softmax",
    log_softmax: "log_softmax",
    scipy_log_softmax: "log_softmax",
    torch_log_softmax: "log_softmax",
    scipy_logsumexp: "logsumexp",
    torch_logsumexp: "logsumexp",
    cross_entropy: "cross_entropy",
    torch_cross_entropy: "cross_entropy",
}


def verified(fn, definition="softmax", suites=("special-values",), dtypes=("float32",), **more):
    """The report on a function."""
    subject = Subject(f"{fn.__module__}:{fn.__name__}", definition, **more)
    report = Report(0, "quick", [subject])
    for _ in run(plan([subject], suites, dtypes), report, lambda s: InProcess(s, fn)):
        pass
    return report


def observed(report, dtype="float32"):
    (found,) = report.observed.values()
    return found[dtype]


@pytest.mark.parametrize("fn", RIGHT, ids=lambda fn: fn.__name__)
def test_right_forms_pass_without_a_contract(fn):
    if fn.__name__.startswith("torch"):
        pytest.importorskip("torch")
    report = verified(fn, RIGHT[fn], dtypes=("float32", "float64"))
    assert report.passed, [f for r in report.results.values() for f in r.failures]


def test_a_softmax_as_people_write_it_passes_every_suite_of_numbers():
    assert_conforms(softmax, "softmax", suites=["overflow", "special-values", "layouts"])


def test_what_is_observed_is_told_in_one_line():
    report = verified(softmax, dtypes=("float32", "float64"))
    console = Console(record=True, width=200)
    print_observed(report, console)
    assert console.export_text() == (
        "observed: all_masked=nan pos_inf=nan_all nan=row flush_to_zero=no empty=error\n"
    )


def test_what_is_declared_is_not_observed():
    report = verified(softmax, contract=Contract(empty="error", nan="row", pos_inf="nan_all"))
    assert observed(report) == {"all_masked": "nan", "flush_to_zero": "no"}
    assert report.passed


# --- every way that may be gone is recognised ---


def raises_on_nothing(x):
    if not x.shape[-1]:
        raise ValueError("no classes")
    return broken._softmax(x)


def bits_by_the_batch(x):
    p = broken._softmax(x)
    return np.nextafter(p, p.dtype.type(0)) if len(x) > 2 else p


WAYS = {
    "all_masked=nan": broken._softmax,
    "all_masked=zero": broken.softmax_masked_row_is_zero,
    "all_masked=uniform": broken.softmax_masked_row_is_uniform,
    "pos_inf=nan_all": broken._softmax,
    "pos_inf=nan_at": broken.softmax_without_max,
    "pos_inf=mass": broken.softmax_infinity_is_large,
    "nan=row": broken._softmax,
    "nan=at": broken.softmax_nan_at_its_place,
    "flush_to_zero=no": broken._softmax,
    "flush_to_zero=yes": broken.softmax_flushed,
    "empty=empty": broken._softmax,
    "empty=error": raises_on_nothing,
    "bitwise_batch=no": bits_by_the_batch,
    "bitwise_batch=yes": broken._softmax,
}


def test_every_way_has_one_that_goes_it():
    # In test_layouts, of_cases/test_masked_nan, test_eight_bits.
    elsewhere = ("layouts", "masked_nan", "overflow")
    axes = [axis for axis in CHOICES if axis in OBSERVED and axis not in elsewhere]
    assert list(WAYS) == [f"{axis}={way}" for axis in axes for way in CHOICES[axis]]


def suites_of(axis):
    if axis == "flush_to_zero":
        return ("accuracy",)
    return ("regressions",) if axis == "bitwise_batch" else ("special-values",)


@pytest.mark.parametrize("setting", WAYS)
def test_a_way_that_is_not_declared_is_observed_and_passes(setting):
    axis, _, way = setting.partition("=")
    report = verified(WAYS[setting], suites=suites_of(axis))
    assert observed(report)[axis] == way
    assert report.passed


@pytest.mark.parametrize("setting", WAYS)
def test_what_is_declared_is_held(setting):
    axis, _, way = setting.partition("=")
    for declared in (w for w in CHOICES[axis] if w != way):
        report = verified(
            WAYS[setting], suites=suites_of(axis), contract=Contract(**{axis: declared})
        )
        # What may be done or not is kept by who does not; NaN everywhere is also at its place.
        kept = setting in ("flush_to_zero=no", "nan=row", "bitwise_batch=yes")
        kept |= setting == "bitwise_batch=no" and declared == "no"
        assert report.passed == kept, declared


# --- two ways at once ---


def from_length(classes, one, other):
    def fn(x):
        return one(x) if x.shape[-1] < classes else other(x)

    return fn


TWO_WAYS = {
    "+inf takes the mass in long rows": (
        from_length(1000, broken._softmax, broken.softmax_infinity_is_large),
        "pos_inf=mass here",
    ),
    "+inf is NaN at its place in short rows": (
        from_length(20, broken.softmax_without_max, broken.softmax_infinity_is_large),
        "pos_inf",
    ),
    "NaN stays at its place in long rows": (
        from_length(60, broken._softmax, broken.softmax_nan_at_its_place),
        "nan=",
    ),
}


@pytest.mark.parametrize("name", TWO_WAYS)
def test_two_ways_at_once_fail(name):
    fn, told = TWO_WAYS[name]
    (result,) = verified(fn).results.values()
    assert result.status == "fail"
    assert "two ways at once" in result.failures[0].message
    assert told in result.failures[0].message
    assert result.failures[0].source.startswith("observed: ")


def masked_to_seven(x):
    return np.where(np.isneginf(x).all(axis=-1, keepdims=True), x.dtype.type(7), broken._softmax(x))


@pytest.mark.parametrize("fn", [masked_to_seven, broken.softmax_ignores_nan])
def test_none_of_the_ways_fails(fn):
    (result,) = verified(fn).results.values()
    assert result.status == "fail"
    assert "none of the ways" in result.failures[0].message


def test_the_limit_of_log_sum_exp_is_no_choice():
    (result,) = verified(broken.logsumexp_nan_when_masked, "logsumexp").results.values()
    assert result.status == "fail"
    assert result.failures[0].source == "the limit"
    assert set(result.observed) == {"flush_to_zero", "empty"}


# --- it is kept with the results ---


def test_reports_and_stores_carry_what_was_observed():
    report = verified(softmax)
    (result,) = report.results.values()
    assert decode(encode(result)) == result
    data = as_dict(report)
    (subject,) = data["subjects"]
    assert subject["contract"]["empty"] is None
    assert subject["observed"] == {"float32": result.observed}
    assert "Observed: all_masked=nan pos_inf=nan_all" in html(data)
    assert 'name="observed.float32.empty" value="error"' in junit(data)


def test_older_files_are_read():
    data = as_dict(verified(broken._softmax, contract=CONVENTIONAL))
    for subject in data["subjects"]:
        del subject["observed"]
    assert "Observed" not in html(data)
    assert "observed" not in junit(data)
    text = json.loads(encode(Result("softmax", "mine:f", "accuracy", "float32")))
    del text["Result"]["observed"]
    assert decode(json.dumps(text)).observed == {}


# --- what is special is shown small, and with the command that shows it again ---


@pytest.mark.parametrize(
    ("fn", "row"),
    [
        (broken.softmax_ignores_nan, ["nan", "0x0p+0"]),
        (broken.softmax_infinity_is_large, ["inf"]),
        (broken.softmax_masked_row_is_zero, ["-inf"]),
    ],
)
def test_findings_of_special_values_are_shrunk_to_a_row(fn, row):
    (result,) = verified(fn, contract=CONVENTIONAL).results.values()
    (failure,) = result.failures
    assert sorted(failure.logits) == sorted(row)
    assert f"--row={','.join(failure.logits)}" in failure.reproduce
