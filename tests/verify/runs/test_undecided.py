"""A row at which a definition is singular is counted and told; it ends no run and fails nobody."""

import io

import numpy as np
import pytest
from rich.console import Console
from softproof.derivations import REGISTRY, Real, Vector, define
from softproof.derivations.proofs.facts import PermutationEquivariant
from softproof.verify.inputs.families import Batch
from softproof.verify.reports.html import html
from softproof.verify.reports.junit import junit
from softproof.verify.reports.plain import as_dict
from softproof.verify.reports.terminal import print_summary
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report
from softproof.verify.runs.run import run
from softproof.verify.studies.precision import precision_errors
from softproof.verify.subjects.subject import Subject

NAME = "layer_norm_of_a_test"
HUMP = "hump_of_a_test"


@pytest.fixture(autouse=True)
def definition():
    """Layer normalisation without an epsilon: 0 / 0 where all numbers are equal."""

    def formula(logits, xp):
        """Layer normalisation."""
        d = logits - xp.sum(logits) / len(logits)
        return d / xp.sqrt(xp.sum(d * d) / len(logits))

    formula.__name__ = NAME
    yield define(
        family="tests",
        source="tests",
        arguments={"logits": Vector("K")},
        output=("K",),
        facts=(PermutationEquivariant(),),
    )(formula)
    del REGISTRY[NAME]


def normalised(x):
    d = x.astype(np.float64)
    d = d - d.mean(-1, keepdims=True)
    with np.errstate(all="ignore"):
        return (d / np.sqrt((d * d).mean(-1, keepdims=True))).astype(x.dtype)


def twice_as_large(x):
    return 2 * normalised(x)


def report_on(function, suites):
    subject = Subject(f"{__name__}:{function.__name__}", NAME)
    report = Report(0, "quick", [subject])
    for _ in run(plan([subject], suites, ["float32"]), report):
        pass
    return report


def test_singular_rows_are_counted_and_the_others_judged():
    report = report_on(normalised, ["accuracy"])
    (result,) = report.results.values()
    assert result.undecided > 0
    assert result.checks > 1000
    assert report.passed
    assert all(len(set(row.logits)) <= 1 for row in result.undecided_rows)


def test_a_singular_row_hides_no_wrong_one():
    report = report_on(twice_as_large, ["accuracy"])
    (result,) = report.results.values()
    assert result.undecided > 0
    assert result.status == "fail"


def test_special_rows_of_one_number_are_undecided_and_the_others_judged():
    report = report_on(normalised, ["special-values"])
    (result,) = report.results.values()
    assert result.undecided >= 1
    assert result.checks > 5


def test_what_is_undecided_is_told_and_written():
    report = report_on(normalised, ["special-values"])
    text = io.StringIO()
    print_summary(report, Console(file=text, width=200))
    assert "Undecided: " in text.getvalue()
    assert f"a finding about the definition {NAME}, not about a subject" in text.getvalue()
    (entry,) = as_dict(report)["results"]
    assert entry["undecided"]["count"] == next(iter(report.results.values())).undecided
    assert entry["undecided"]["rows"]
    count = entry["undecided"]["count"]
    told = f"{count} undecided row{'s' if count > 1 else ''}"
    for text in (html(as_dict(report)), junit(as_dict(report))):
        assert told in text
        assert f"a finding about the definition {NAME}" in text
    clean = report_on(normalised, ["invariance"])
    assert "undecided row" not in junit(as_dict(clean))


# --- a function of one real, in the suites that try every number ---


@pytest.fixture
def hump():
    """e^(-1/x^2), whose formula divides by 0 at 0."""

    def formula(x, xp):
        """A smooth function that is not analytic at 0."""
        return xp.exp(-1 / (x * x))

    formula.__name__ = HUMP
    yield define(family="tests", source="tests", arguments={"x": Real()})(formula)
    del REGISTRY[HUMP]


def hump_right(x):
    with np.errstate(all="ignore"):
        return np.exp(-1 / x.astype(np.float64) ** 2).astype(x.dtype)


def hump_wrong_beside_zero(x):
    """Wrong at 0.75 alone, which stands in one row with the number 0."""
    return np.where(x == 0.75, x, hump_right(x)).astype(x.dtype)


@pytest.mark.parametrize("suite", ["every-value", "accuracy"])
def test_a_singular_number_hides_no_wrong_one_in_its_row(suite, hump):
    rows = np.array([[0.5, 1, 0, 0.25, 0.75], [1, 2, 3, 4, 5]], np.float16)
    given = (Batch("given", rows, None),)

    def result_of(function):
        subject = Subject(f"{__name__}:{function.__name__}", HUMP, dtypes=("float16",))
        items = plan(
            [subject],
            [suite],
            ["float16"],
            budget="standard",
            given=lambda definition, fmt: given,
        )
        (result,) = map(execute, items)
        assert result.undecided == 1
        assert result.undecided_rows[0].reason.startswith(f"{HUMP} at ['0x0.0p+0']")
        return result

    right = result_of(hump_right)
    assert (right.status, right.checks) == ("pass", 9)
    wrong = result_of(hump_wrong_beside_zero)
    assert wrong.status == "fail"
    assert wrong.violations == 1
    assert float.fromhex(wrong.failures[0].observed) == 0.75


@pytest.mark.parametrize("precision", [2, 3, 24])
def test_singular_rows_are_left_out_of_the_precision_plot(precision):
    """Rounded to few bits all 16 numbers around 100 are equal."""
    (error,) = precision_errors(NAME, [precision]).errors["published"]
    assert error > 0 or np.isnan(error)
