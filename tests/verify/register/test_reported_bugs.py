"""Each reported bug, planted: found by its record, and by a suite that does not know it.

A right implementation beside it passes both.
"""

import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.inputs import families as rows
from softproof.verify.register.case_probe import CaseProbe
from softproof.verify.register.record import load
from softproof.verify.runs.plan import ROWS
from softproof.verify.runs.regression_record import FAIL, PASS, VARIES, check
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.registration import ANY_FORMAT
from softproof.verify.subjects.subject import Subject, SubjectFault
from softproof.verify.suites import SUITES
from softproof.verify.suites.of_cases import CASE_SUITES

from tests.verify.register.planted import NOT_SEEN, ONLY_RECORDED, PLANTED

CASES = {case.id: case for case in load()}
each_planted = pytest.mark.parametrize("planted", PLANTED, ids=lambda p: p.case)


def live(planted, function):
    subject = Subject("mine:f", planted.definition, planted.contract, ANY_FORMAT)
    return InProcess(subject, function)


def batches(planted):
    """What the quick budget draws of the family."""
    definition, fmt = lookup(planted.definition), FORMATS[planted.dtype]
    if planted.suite in CASE_SUITES and planted.family in CASE_SUITES[planted.suite].families(
        definition
    ):
        suite = CASE_SUITES[planted.suite]
        return suite.draw(definition, planted.family, fmt, ROWS["quick"], 0)
    return rows.draw(planted.family, fmt, ROWS["quick"], 0, definition.labelled)


def finds(planted, function, batch):
    """Whether the suite finds anything in a batch."""
    definition, fmt = lookup(planted.definition), FORMATS[planted.dtype]
    of_cases = hasattr(batch, "cases")
    suite = (CASE_SUITES if of_cases else SUITES)[planted.suite]
    try:
        found = suite.check(live(planted, function), definition, fmt, batch)
    except SubjectFault:
        return True
    return bool(found.violations)


def test_every_case_of_other_functions_has_its_bug():
    of_cases = {case.id for case in load() if any(isinstance(p, CaseProbe) for p in case.probes)}
    planted = {p.case for p in PLANTED}
    assert of_cases - planted == {*NOT_SEEN} == {p.case for p in ONLY_RECORDED}


@pytest.mark.parametrize("planted", PLANTED + ONLY_RECORDED, ids=lambda p: p.case)
def test_the_record_finds_the_bug_and_no_more(planted):
    assert check(CASES[planted.case], live(planted, planted.broken)).verdict in (FAIL, VARIES)
    assert check(CASES[planted.case], live(planted, planted.right)).verdict == PASS


@each_planted
def test_a_suite_finds_the_bug_within_the_quick_budget(planted):
    """As far as the bug is found, the right implementation passes."""
    for batch in batches(planted):
        assert not finds(planted, planted.right, batch)
        if finds(planted, planted.broken, batch):
            return
    pytest.fail(f"{planted.suite} finds nothing in {planted.family}")


@pytest.mark.parametrize("planted", ONLY_RECORDED, ids=lambda p: p.case)
def test_what_only_the_record_finds(planted):
    """So that what is said of it is true: a suite that comes to find it changes the table."""
    assert not any(finds(planted, planted.broken, batch) for batch in batches(planted))
