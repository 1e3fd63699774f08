"""JUnit XML as continuous integration systems read it."""

import math
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest
from softproof.verify.reports.junit import junit

HELPERS = runpy.run_path(str(Path(__file__).parents[2] / "sample_report.py"))
sample, HOSTILE = HELPERS["sample"], HELPERS["HOSTILE"]
OUTCOMES = {"fail": "failure", "refused": "error", "expected": "skipped", "empty": "skipped"}

# What the readers (Jenkins, GitLab, GitHub actions) have in common: attributes and children.
REQUIRED = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped"},
    "testcase": {"classname", "name"},
    "property": {"name", "value"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def parsed(report):
    return ElementTree.fromstring(junit(report).encode())


def cases(root):
    """The test cases by (classname, name)."""
    found = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(found) == sum(1 for _ in root.iter("testcase"))
    return found


def key(result):
    return f"{result['definition']}.{result['subject']}", f"{result['dtype']} {result['suite']}"


def test_elements_attributes_and_order_are_those_that_readers_know():
    for element in parsed(sample()).iter():
        assert set(element.keys()) == REQUIRED.get(element.tag, set()), element.tag
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set()), element.tag
        if element.tag == "testsuite":
            assert [child.tag for child in element].index("properties") == 0
        if element.tag == "testcase":  # Jenkins keeps only the first
            assert sum(child.tag != "system-out" for child in element) <= 1


def test_there_is_one_case_for_each_result_and_each_skipped_subject():
    report = sample()
    expected = {key(result) for result in report["results"]}
    expected |= {(subject, "subject") for subject in report["skipped"]}
    assert set(cases(parsed(report))) == expected


def test_each_status_has_its_outcome():
    report = sample()
    found = cases(parsed(report))
    seen = set()
    for result in report["results"]:
        tags = {child.tag for child in found[key(result)]} - {"system-out"}
        assert tags == ({OUTCOMES[result["status"]]} if result["status"] in OUTCOMES else set())
        seen.add(result["status"])
    assert seen == {"pass", "fail", "expected", "fixed", "refused", "empty"}


def test_counts_are_those_of_the_cases():
    report = sample()
    root = parsed(report)
    statuses = [result["status"] for result in report["results"]]
    assert root.get("tests") == str(len(statuses) + len(report["skipped"]))
    assert root.get("failures") == str(statuses.count("fail"))
    assert root.get("errors") == str(statuses.count("refused"))
    skipped = statuses.count("expected") + statuses.count("empty") + len(report["skipped"])
    assert root.get("skipped") == str(skipped)
    for name in ("tests", "failures", "errors", "skipped"):
        assert sum(int(suite.get(name)) for suite in root) == int(root.get(name))


def test_a_failure_says_all_and_first_what_is_wrong():
    report = sample()
    found = cases(parsed(report))
    for result in report["results"]:
        if result["status"] != "fail":
            continue
        (failure,) = found[key(result)].iter("failure")
        assert failure.text.startswith(failure.get("message"))  # GitLab shows the text alone
        for case in result["failures"]:
            for text in (case["reproduce"], case["observed"], case["expected"], *case["logits"]):
                assert text is None or text in failure.text


def test_the_worst_case_comes_first():
    report = sample()
    (result,) = (r for r in report["results"] if len(r["failures"]) == 2 and r["worst"] == 5.4e7)
    result["failures"].sort(key=lambda failure: failure["error"])
    (failure,) = cases(parsed(report))[key(result)].iter("failure")
    assert failure.text.index("2^26 ulp") < failure.text.index("7.25 ulp")


def test_skipped_subjects_and_expected_failures_tell_their_reason():
    report = sample()
    messages = [skipped.get("message") for skipped in parsed(report).iter("skipped")]
    assert "onnxruntime is not installed" in messages
    assert "expected: sums in float32: upstream says that this is meant" in messages


def test_an_expected_failure_that_passes_says_what_to_do():
    report = sample()
    (result,) = (r for r in report["results"] if r["status"] == "fixed")
    assert "delete that entry" in cases(parsed(report))[key(result)].findtext("system-out")


def test_a_suite_tells_versions_seed_budget_and_contract():
    (suite,) = (s for s in parsed(sample()) if s.get("name") == "softmax jax.nn:softmax")
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert properties["version.softproof"] == "0.1.0"
    assert properties["version.jax"] == "2.9.0"
    assert (properties["seed"], properties["budget"]) == ("7", "standard")
    assert properties["contract.all_masked"] == "nan"


def test_an_interrupted_run_is_no_success():
    report = sample()
    report["results"] = [r for r in report["results"] if r["status"] == "pass"]
    assert parsed(report).get("errors") == "0"
    report["interrupted"] = True
    root = parsed(report)
    assert root.get("errors") == "1"
    assert [e.get("message") for e in root.iter("error")] == ["interrupted"]


@pytest.mark.parametrize("text", [HOSTILE, "\x00\x08\x0b\x1f\ufffe\uffff\udc80", "]]>", "a\nb\tc"])
def test_any_text_is_legal_and_stays_text(text):
    report = sample()
    result = next(r for r in report["results"] if r["status"] == "fail")
    for name in ("message", "detail", "reproduce", "source", "snippet", "family"):
        result["failures"][0][name] = text
    result["subject"] = text
    report["versions"]["softproof"] = report["skipped"]["m:f"] = text
    root = parsed(report)  # (a parser refuses what is not legal)
    assert "script" not in {element.tag for element in root.iter()}
    kept = "".join(c if c in "\n\t" or " " <= c < "\ud800" else "\ufffd" for c in text)
    (failure,) = cases(root)[f"{result['definition']}.{kept}", key(result)[1]].iter("failure")
    assert failure.get("message") == kept


def test_an_error_that_is_not_a_number_is_told():
    report = sample()
    result = next(r for r in report["results"] if r["status"] == "fail")
    for error, word in ((None, "nan ulp"), (math.nan, "nan ulp"), (math.inf, "inf ulp")):
        result["failures"][0]["error"] = error
        assert word in next(cases(parsed(report))[key(result)].iter("failure")).text
