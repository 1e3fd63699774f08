"""The published schema of JSON reports: it takes what is written and refuses what is not."""

import copy
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import softproof.verify
from jsonschema import Draft202012Validator
from softproof.verify.reports import stored
from softproof.verify.reports.html import html
from softproof.verify.reports.strict_json import write_json
from softproof.verify.subjects.contract import CHOICES, OBSERVED
from softproof.verify.suites.grades import GRADES

SAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "sample_report.py"))["sample"]()
PATH = Path(softproof.verify.__file__).parent / "data" / "report.schema.json"
SCHEMA = json.loads(PATH.read_text(encoding="utf-8"))


def complaints(report):
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(report)]


def objects(schema, path="$"):
    """All subschemas of a schema that describe a JSON value, with their place."""
    if isinstance(schema, dict):
        if "type" in schema or "$ref" in schema or "enum" in schema or "const" in schema:
            yield path, schema
        for name, part in schema.items():
            yield from objects(part, f"{path}.{name}")
    elif isinstance(schema, list):
        for i, part in enumerate(schema):
            yield from objects(part, f"{path}[{i}]")


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_a_written_report_is_valid_infinities_included(tmp_path):
    write_json(SAMPLE, tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert "1e999" in text
    assert complaints(json.loads(text)) == []
    assert stored.load(tmp_path / "report.json") == json.loads(text)


def test_the_report_of_a_run_is_valid(tmp_path):
    path = tmp_path / "report.json"
    softproof_command = Path(sys.executable).with_name("softproof")
    subject = "softproof.verify.textbook:softmax_naive"
    arguments = ["verify", "softmax", "--subject", subject, "--row=200,1", "--json", path]
    ran = subprocess.run([softproof_command, *arguments], capture_output=True, text=True)
    assert ran.returncode == 1, ran.stderr
    report = json.loads(path.read_text(encoding="utf-8"))
    assert "fail" in {result["status"] for result in report["results"]}
    assert complaints(report) == []


def keywords(schema):
    """The keywords of a schema, of all its parts; names of fields are none."""
    for name, part in schema.items():
        yield name
        if name in ("properties", "$defs"):
            parts = part.values()
        else:
            parts = part if isinstance(part, list) else [part]
        for inner in parts:
            if isinstance(inner, dict):
                yield from keywords(inner)


def test_our_own_check_has_every_keyword_of_the_schema():
    applied = {"$ref", "type", "const", "enum", "pattern", "minimum", "maximum", "anyOf", "allOf"}
    applied |= {"if", "then", "else", "required", "properties", "additionalProperties", "items"}
    applied |= {"prefixItems", "minItems", "maxItems", "uniqueItems"}
    said = {"$schema", "$id", "$defs", "title", "description"}
    assert set(keywords(SCHEMA)) <= applied | said
    assert complaints(SAMPLE) == list(stored.complaints(SAMPLE, SCHEMA)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 20_000, "that is no report of `verify --json`: too deep"),
        ('{"schema": 1, "results": ' + "[" * 20_000, "too deep"),
        ("1" * 5000, "Exceeds the limit"),
        ("\N{FIRE}", "Expecting value"),
        ('{"schema": 1}', "that is no report of `verify --json`"),
        ('{"schema": 1, "results": []}', r"no whole report of .*: versions is missing"),
    ],
)
def test_a_file_that_is_no_report_is_refused_by_name(text, message, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        stored.load(path)


def test_an_unknown_status_is_named_with_those_that_there_are(tmp_path):
    report = copy.deepcopy(SAMPLE)
    report["results"][PASSED]["status"] = "wonderful"
    write_json(report, tmp_path / "report.json")
    message = rf"results\[{PASSED}\]\.status is 'wonderful'; it must be one of pass, fail, exp"
    with pytest.raises(ValueError, match=message):
        stored.load(tmp_path / "report.json")


def test_nothing_unknown_is_allowed_anywhere():
    for path, schema in objects(SCHEMA):
        if schema.get("type") == "object":
            assert "additionalProperties" in schema, path


def test_every_field_is_required_and_described():
    for path, schema in objects(SCHEMA):
        if "properties" in schema:
            assert set(schema["required"]) == set(schema["properties"]), path
            for name, field in schema["properties"].items():
                text = field.get("description", "") or field.get("$ref", "")
                assert text.endswith(".") or text == f"#/$defs/{name}", f"{path}.{name}"


def test_the_choices_of_a_contract_are_those_of_the_code():
    properties = SCHEMA["$defs"]["contract"]["properties"]
    named = {name: tuple(field["enum"]) for name, field in properties.items() if "enum" in field}
    # (What is not declared is null.)
    assert named == {n: (*c, None) if n in OBSERVED else c for n, c in CHOICES.items()}


def test_the_grades_are_those_of_the_code():
    assert SCHEMA["$defs"]["result"]["properties"]["grade"]["enum"] == [*GRADES, None]


def first(status):
    return next(i for i, r in enumerate(SAMPLE["results"]) if r["status"] == status)


FAILED, PASSED = first("fail"), first("pass")
MUTATIONS = [
    (("schema",), 1),
    (("seed",), "7"),
    (("seed",), -1),
    (("budget",), "huge"),
    (("passed",), "no"),
    (("unit",), None),
    (("versions", "softproof"), 1.0),
    (("skipped", "m:f"), None),
    (("subjects", 0, "arrays"), "tensorflow"),
    (("subjects", 0, "dtypes"), "float32"),
    (("subjects", 0, "contract", "nan"), "everywhere"),
    (("subjects", 0, "contract", "ulps", "float32"), "2.5"),
    (("results", PASSED, "status"), "passed"),
    (("results", PASSED, "status"), "fail"),  # without a failure
    (("results", PASSED, "violations"), 1),
    (("results", PASSED, "worst"), "1e999"),
    (("results", PASSED, "worst"), None),
    (("results", PASSED, "checks"), 1.5),
    (("results", PASSED, "grade"), "good"),
    (("results", PASSED, "excess"), {"family": "normal"}),
    (("results", PASSED, "warning"), 1),
    (("results", PASSED, "errors", 0), [0.5]),
    (("results", PASSED, "errors", 0), [0.5, 3, 4]),
    (("results", PASSED, "errors", 0, 1), 0),
    (("results", FAILED, "status"), "pass"),
    (("results", FAILED, "status"), "expected"),  # without a reason
    (("results", FAILED, "failures"), []),
    (("results", FAILED, "failures", 0, "kind"), "odd"),
    (("results", FAILED, "failures", 0, "logits", 0), "1.5"),
    (("results", FAILED, "failures", 0, "logits", 0), 1.5),
    (("results", FAILED, "failures", 0, "observed"), 1.5),
    (("results", FAILED, "failures", 0, "index"), -1),
    (("results", FAILED, "failures", 0, "threshold"), "4"),
]


@pytest.mark.parametrize(("place", "value"), MUTATIONS, ids=lambda v: str(v).replace(" ", ""))
def test_a_wrong_value_is_refused(place, value):
    report = copy.deepcopy(SAMPLE)
    entry = report
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    assert complaints(report)
    assert list(stored.complaints(report, SCHEMA))


@pytest.mark.parametrize(
    "place",
    [
        (),
        ("subjects", 0),
        ("subjects", 0, "contract"),
        ("results", FAILED),
        ("results", FAILED, "failures", 0),
    ],
    ids=str,
)
def test_a_missing_and_an_unknown_field_are_refused(place):
    def entry(report):
        for key in place:
            report = report[key]
        return report

    for name in entry(SAMPLE):
        report = copy.deepcopy(SAMPLE)
        del entry(report)[name]
        assert complaints(report), name
        assert list(stored.complaints(report, SCHEMA)), name
    report = copy.deepcopy(SAMPLE)
    entry(report)["surprise"] = 0
    assert complaints(report)
    assert list(stored.complaints(report, SCHEMA))


def test_a_report_that_version_0_1_0_wrote_is_read():
    data = stored.load(Path(__file__).with_name("report_of_schema_1.json"))
    assert complaints(data) == []
    assert {result["suite"] for result in data["results"]} == {"accuracy", "agreement", "collapse"}
    assert sum(result["violations"] for result in data["results"]) > 0
    assert "softmax_naive" in html(data)
