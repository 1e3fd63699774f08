"""Each reported bug, planted: found by its record, and by a suite that does not know it.

A right implementation beside it passes both.
"""

import subprocess
import sys

import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.inputs import families as rows
from softproof.verify.register.case_probe import CaseProbe
from softproof.verify.register.record import load
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import ROWS, plan
from softproof.verify.runs.regression_record import (
    FAIL,
    NOT_ASKED,
    PASS,
    VARIES,
    check,
    origin,
)
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.registration import ANY_FORMAT
from softproof.verify.subjects.subject import Subject, SubjectFault
from softproof.verify.suites import SUITES
from softproof.verify.suites.of_cases import CASE_SUITES

from tests.verify.register.bugs_of_attention import right
from tests.verify.register.bugs_of_norms import squares_that_overflow as overflowing
from tests.verify.register.bugs_of_norms import variance_by_squares_one_by_one
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


# --- as a table and as a suite ---


def test_what_a_subject_does_not_take_is_not_asked_of_it():
    def without_a_cap(q, k, v, mask, scale=None):
        return right(q, k, v, mask, scale)

    subject = InProcess(Subject("mine:f", "attention", Contract(summation="any")), without_a_cap)
    assert check(CASES["attention_softcap_ignored"], subject).verdict == NOT_ASKED
    assert check(CASES["attention_gradient_of_one_key"], subject).verdict == NOT_ASKED
    assert check(CASES["attention_of_no_keys"], subject).verdict == PASS


def test_a_subject_that_raises_fails():
    def norm(x, gain, eps=1e-6):
        raise RuntimeError("not today")

    outcome = check(CASES["rms_norm_eps_scaled"], InProcess(Subject("mine:f", "rms_norm"), norm))
    assert outcome.verdict == FAIL
    assert "not today" in outcome.findings[0].violation.message


def test_a_finding_has_a_script_that_shows_its_number():
    call = "x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(eps)) * gain"
    subject = Subject("theirs:rms_norm", "rms_norm", dtypes=("float32",), snippet=call)
    found = check(CASES["norms_beyond_the_root_of_the_range"], InProcess(subject, overflowing))
    (finding,) = found.findings
    assert "softproof" not in finding.script
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", finding.script], capture_output=True, text=True
    )
    assert "observed 0x0.0p+0\nexpected 0x1.0000000000000p+0" in result.stdout, result.stderr


def test_other_bits_in_a_batch_are_told_and_break_only_a_promise():
    planted = next(p for p in PLANTED if p.case == "rms_norm_batch_invariance")
    case, own = CASES[planted.case], Subject("mine:f", "rms_norm", Contract(summation="any"))
    assert check(case, InProcess(own, planted.broken)).verdict == VARIES
    assert check(case, live(planted, planted.broken)).verdict == FAIL


def test_verify_asks_the_records_as_a_suite():
    subject = Subject("mine:f", "layer_norm", dtypes=("float32",))
    items = plan([subject], ["regressions"], ["float32"])
    assert [item.family for item in items] == [
        *CASE_SUITES["regressions"].families(lookup("layer_norm"))
    ]
    (item,) = (i for i in items if i.family == "regression: layer_norm_of_equal_numbers")
    found = execute(item, lambda asked: InProcess(asked, variance_by_squares_one_by_one))
    (failure,) = found.failures
    assert failure.case.startswith("layer_norm\nx[K=256] 0x1.348p+10")
    assert failure.reproduce.endswith("--suite regressions --budget quick --seed 0")


def test_libraries_without_a_column_have_one_by_the_name_of_what_they_require():
    assert origin(Subject("theirs:f", "rms_norm", requires=("openvino",))) == "openvino"
    assert origin(Subject("theirs:f", "rms_norm")) is None
