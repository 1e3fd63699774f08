"""The report on the terminal: every failure where they are few, the telling ones where not."""

import io

import pytest
from rich.console import Console
from softproof.verify.reports.terminal import MAX_FAILURES, print_failures, print_table
from softproof.verify.runs.results import Failure, Report, Result
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES as ALL_SUITES

SUITES = ("accuracy", "overflow", "invariance")


def failure(family="wide", message="value beyond its error bound", snippet=None):
    return Failure(
        family=family, kind="value", message=message, detail="", logits=("0x1p+7",), label=None,
        index=0, observed="nan", expected="0x1p+0", error=float("inf"), threshold=8.5,
        source="a proven bound", reproduce="softproof verify", snippet=snippet,
    )  # fmt: skip


def report_of(subjects, suites=SUITES, **told):
    report = Report(0, "quick", subjects)
    for subject in subjects:
        for suite in suites:
            report.add(
                Result(
                    subject.definition, subject.id, suite, "float32", checks=9, violations=2,
                    failures=(failure(**told),),
                )
            )  # fmt: skip
    return report


def printed(report, what=print_failures, width=150):
    console = Console(file=io.StringIO(), width=width)
    what(report, console)
    return console.file.getvalue()


def told(report):
    return [tuple(line.split()[2:5]) for line in printed(report).splitlines() if "FAIL" in line]


def subjects(count, **declared):
    return [Subject(f"mine:softmax_{i}", "softmax", **declared) for i in range(count)]


def test_few_failures_are_all_told():
    assert len(told(report_of(subjects(4)))) == 12 == MAX_FAILURES
    assert "writes all" not in printed(report_of(subjects(4)))


def test_of_many_failures_one_of_each_subject_is_told_frameworks_first():
    mine, theirs = subjects(5), [Subject("numpy:softmax", "softmax", requires=("numpy",))]
    found = told(report_of(mine + theirs))
    assert [name for name, _, _ in found] == [s.id for s in theirs + mine]
    assert "These are 6 cases of 18 failed suites; --html FILE writes all." in printed(
        report_of(mine + theirs)
    )


def test_no_more_than_a_dozen_are_told():
    assert len(told(report_of(subjects(30)))) == MAX_FAILURES


def test_of_one_subject_suites_are_told_as_far_as_they_go():
    many = report_of(subjects(1), suites=[f"suite {i}" for i in range(20)])
    assert len(told(many)) == MAX_FAILURES


def test_what_keeps_a_subject_from_being_judged_is_told_once():
    refused = report_of(subjects(2), family="preflight", message="preflight: it raised")
    assert len(told(refused)) == 2


def test_a_short_script_is_shown_and_a_long_one_left_to_the_page():
    assert "        print(1)" in printed(report_of(subjects(1), snippet="print(1)"))
    assert "print(1)" not in printed(report_of(subjects(1), snippet="print(1)\n" * 30))


def test_the_table_tells_each_status():
    report = report_of(subjects(1), suites=["accuracy"])
    report.expected = (Expected(),)
    report.add(Result("softmax", "mine:softmax_0", "overflow", "float32", checks=3))
    assert "fixed" in printed(report, print_table)
    report = Report(0, "quick", subjects(1), expected=(Expected(),))
    report.add(Result("softmax", "mine:softmax_0", "overflow", "float32", 3, 1, failures=()))
    assert "expected 1" in printed(report, print_table)


class Expected:
    reason = "known"

    def covers(self, definition, subject, suite, dtype):
        return suite == "overflow"


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_table_is_whole_in_a_terminal_of_usual_width(width):
    suites = [name for name, suite in ALL_SUITES.items() if suite.budget == "quick"]
    subject = Subject("softproof.verify.textbook:cross_entropy_shifted", "cross_entropy")
    report = report_of([subject], suites)
    for dtype in ("float64", "float16", "bfloat16"):
        for suite in suites:
            report.add(Result("cross_entropy", subject.id, suite, dtype, checks=9))
    table = printed(report, print_table, width)
    _, failed, passed, *_ = table.split("textbook")
    assert failed.count("FAIL") == passed.count("pass") == len(suites)
    assert failed.split().count("2") == len(suites)
    assert max(map(len, table.splitlines())) <= width


@pytest.mark.parametrize("width", [80, 120])
def test_many_suites_of_few_subjects_are_the_rows_where_they_are_too_many_columns(width):
    suites = [name for name, suite in ALL_SUITES.items() if suite.budget == "quick"]
    report = report_of(subjects(2), suites)
    lines = printed(report, print_table, width).splitlines()
    for suite in suites:
        (line,) = (line for line in lines if line.split()[:1] == [suite])
        assert line.split()[1:] == ["FAIL", "2", "FAIL", "2"]
    assert max(map(len, lines)) <= width


def test_a_suite_that_had_nothing_to_check_is_no_column_of_many():
    suites = [name for name, suite in ALL_SUITES.items() if suite.budget == "quick"]
    report = report_of(subjects(1), suites[1:])
    report.add(Result("softmax", "mine:softmax_0", suites[0], "float32", checks=0))
    assert suites[0] not in printed(report, print_table)
    assert suites[1] in printed(report, print_table)
