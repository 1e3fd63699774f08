"""The report of a run as JUnit XML, as continuous integration systems read it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from .text import legal, row_of_numbers
from .wording import quantities, summary, worst_first


def junit(report: dict[str, Any]) -> str:
    """A report as JUnit XML.

    A test suite is a definition with a subject, a test case a suite of checks in a format. There is
    no standard; this is what the readers have in common: one ``failure`` for each case (Jenkins
    keeps only one) whose text begins with its message (GitLab shows the text alone), ``error`` for
    a subject that could not be judged, ``skipped`` for expected failures, suites without a case and
    subjects that cannot run here. An interrupted run has a test case that says so, because
    otherwise what is missing would look like success. Times are not measured, hence not written.
    Characters that XML cannot hold become U+FFFD.

    Parameters
    ----------
    report
        The report as plain data.

    Returns
    -------
    str
        The XML document.

    Examples
    --------
    >>> report = {
    ...     "versions": {"softproof": "1.0"}, "seed": 0, "budget": "quick", "interrupted": False,
    ...     "unit": "ulp", "subjects": [], "results": [], "skipped": {"m:f": "m is not installed"},
    ... }
    >>> print(junit(report))
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="softproof" tests="1" failures="0" errors="0" skipped="1">
      <testsuite name="m:f" tests="1" failures="0" errors="0" skipped="1">
        <properties>
          <property name="budget" value="quick" />
          <property name="seed" value="0" />
          <property name="unit" value="ulp" />
          <property name="version.softproof" value="1.0" />
        </properties>
        <testcase classname="m:f" name="subject">
          <skipped message="m is not installed" />
        </testcase>
      </testsuite>
    </testsuites>
    <BLANKLINE>
    """
    root = Element("testsuites", name="softproof")
    suites: dict[tuple[str, str], Element] = {}
    for result in report["results"]:
        key = (result["definition"], result["subject"])
        if key not in suites:
            suites[key] = _suite(root, " ".join(key), report, *key)
        case = _case(suites[key], ".".join(key), f"{result['dtype']} {result['suite']}")
        _outcome(case, result)
    for subject, reason in report["skipped"].items():
        case = _case(_suite(root, subject, report), subject, "subject")
        SubElement(case, "skipped", message=legal(reason))
    if report["interrupted"]:
        case = _case(_suite(root, "run", report), "softproof", "run to the end")
        error = SubElement(case, "error", message="interrupted", type="interrupted")
        error.text = "interrupted: the results are what was known by then"
    for element in (root, *root):
        for name, tag in (
            ("tests", "testcase"),
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ):
            element.set(name, str(sum(1 for _ in element.iter(tag))))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(
    root: Element, name: str, report: dict[str, Any], definition: str = "", subject: str = ""
) -> Element:
    suite = SubElement(root, "testsuite", name=legal(name))
    about = {"budget": report["budget"], "seed": report["seed"], "unit": report["unit"]}
    about |= {f"version.{name}": version for name, version in report["versions"].items()}
    for known in report["subjects"]:
        if (known["definition"], known["id"]) == (definition, subject):
            contract = {n: value for n, value in known["contract"].items() if value is not None}
            about |= {f"contract.{name}": value for name, value in contract.items()}
            for dtype, ways in known.get("observed", {}).items():
                about |= {f"observed.{dtype}.{name}": way for name, way in ways.items()}
            about |= {f"version.{name}": version for name, version in known["versions"].items()}
    properties = SubElement(suite, "properties")
    for name, value in about.items():
        SubElement(properties, "property", name=legal(name), value=legal(str(value)))
    return suite


def _case(suite: Element, classname: str, name: str) -> Element:
    return SubElement(suite, "testcase", classname=legal(classname), name=legal(name))


def _outcome(case: Element, result: dict[str, Any]) -> None:
    status = result["status"]
    failures = worst_first(result["failures"])
    if status in ("fail", "refused"):
        worst = failures[0]
        tag = "failure" if status == "fail" else "error"
        found = SubElement(case, tag, message=legal(worst["message"]), type=legal(worst["kind"]))
        found.text = legal("\n\n".join([*map(_text, failures), summary(result)]))
    elif status == "expected":
        SubElement(case, "skipped", message=legal(f"expected: {result['expected']}"))
        output = "\n\n".join([summary(result), *map(_text, failures)])
        SubElement(case, "system-out").text = legal(output)
    elif status == "empty":
        SubElement(case, "skipped", message=legal(summary(result)))
    else:
        SubElement(case, "system-out").text = legal(summary(result))


def _text(failure: dict[str, Any]) -> str:
    """A case with nothing left out."""
    lines = [failure["message"]]
    lines += [failure["detail"]] if failure["detail"] else []
    rows = [("inputs", failure["family"])] if failure["family"] else []
    if failure["logits"]:
        row = row_of_numbers(failure["logits"], len(failure["logits"]))
        rows += zip(("logits", ""), (numbers[1:-1] for numbers in row), strict=True)
    if failure["label"] is not None:
        rows.append(("label", str(failure["label"])))
    rows += [*quantities(failure), ("reproduce", failure["reproduce"])]
    lines += [f"{name:9} {value}" for name, value in rows]
    if failure["case"]:
        lines += ["case:", failure["case"]]
    if failure["snippet"]:
        lines += ["without softproof:", failure["snippet"].rstrip()]
    return "\n".join(lines)
