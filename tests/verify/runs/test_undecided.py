"""A row at which a definition is singular is counted and told; it ends no run and fails nobody."""

import io

import numpy as np
import pytest
from rich.console import Console
from softproof.derivations import REGISTRY, Argument, Output, define
from softproof.derivations.proofs.facts import PermutationEquivariant
from softproof.verify.reports.plain import as_dict
from softproof.verify.reports.terminal import print_summary
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report
from softproof.verify.runs.run import run
from softproof.verify.studies.precision import precision_errors
from softproof.verify.subjects.subject import Subject

NAME = "layer_norm_of_a_test"


@pytest.fixture(autouse=True)
def definition():
    """Layer normalisation without an epsilon: 0 / 0 where all numbers are equal."""

    def formula(z, xp):
        """Layer normalisation."""
        d = z - xp.sum(z) / len(z)
        return d / xp.sqrt(xp.sum(d * d) / len(z))

    formula.__name__ = NAME
    yield define(
        family="tests",
        source="tests",
        arguments=(Argument.LOGITS,),
        output=Output.VECTOR,
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


@pytest.mark.parametrize("precision", [2, 3, 24])
def test_singular_rows_are_left_out_of_the_precision_plot(precision):
    """Rounded to few bits all 16 numbers around 100 are equal."""
    (error,) = precision_errors(NAME, [precision]).errors["published"]
    assert error > 0 or np.isnan(error)
