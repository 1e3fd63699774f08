"""Published tables of errors: their numbers, what follows from them, and subjects held to them."""

import json

import mpmath
import numpy as np
import pytest
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.arithmetic.formats import BINARY16, BINARY32
from softproof.verify.cases.case import Case
from softproof.verify.cli.main import app
from softproof.verify.oracle.metrics import ulp_error
from softproof.verify.oracle.truth import truth
from softproof.verify.reports.stored import schema
from softproof.verify.subjects.standards import STANDARDS
from softproof.verify.suites.standards import limits
from typer.testing import CliRunner

U = 2.0**-24


def admitted(standard, name, values, fmt=BINARY32):
    definition = lookup(name)
    row = np.asarray(values, fmt.dtype)
    (argument,) = definition.signature.arguments
    exact = truth(definition, row, fmt)
    return limits(standard, definition, fmt, Case({argument: row}), exact)[0]


@pytest.mark.parametrize("standard", STANDARDS.values(), ids=STANDARDS)
def test_a_standard_names_its_source_and_known_definitions(standard):
    assert all((standard.title, standard.source, standard.checked))
    assert set(standard.definitions) <= set(REGISTRY)
    assert all(standard.formats(name) for name in standard.definitions)
    for (fmt, name), _ in standard.composed.items():
        assert (fmt, name) not in standard.entries  # the table's own word goes first


def test_reports_may_name_each_standard():
    enum = schema()["$defs"]["contract"]["properties"]["standard"]["enum"]
    assert enum == ["none", *STANDARDS]


def test_the_numbers_of_the_tables():
    """As they stand in the sources, by hand."""
    assert admitted("vulkan", "exp", [-80.0, 1.0]).tolist() == [163.0, 5.0]
    assert admitted("webgpu", "exp", [-8.0], BINARY16).tolist() == [17.0]
    assert admitted("webnn", "softmax", [0.0, 1.0, 2.0]).tolist() == [12.5] * 3
    assert admitted("webnn", "logsumexp", [0.0, 1.0, 2.0]).tolist() == 24.5
    assert admitted("opencl-embedded", "exp", [1.0]).tolist() == [4.0]
    at_one = float(admitted("onnx", "exp", [0.0])[0])
    assert at_one == pytest.approx(0.5 + (1e-3 + 1e-7) * 2.0**23)


def test_results_below_the_normal_range_may_be_flushed_only_where_the_table_says_so():
    x = -88.0  # e^x is 0.51 times the smallest normal number
    lost = float(mpmath.exp(x) / mpmath.mpf(2) ** -149)
    assert float(admitted("jax", "exp", [x])[0]) >= lost * (1 - 1e-6)
    assert float(admitted("webnn", "exp", [x])[0]) == 32.5


def by_primitives(row, ulp, per_x, division, sign):
    """A softmax whose primitives err by all that is admitted, in binary64: ``sign`` for each."""
    x = row - row.max()
    x = x * (1 + U * np.where(sign > 0, 1, -1))
    e = np.exp(x) * (1 + 2 * U * (ulp + per_x * np.abs(x)) * sign)
    total = e[0]
    for term in e[1:]:
        total = (total + term) * (1 - U * sign[0])
    return e / total * (1 + division * U * sign)


PRIMITIVES = {"tosa": (3, 2, 3), "vulkan": (3, 2, 5), "opencl": (3, 0, 5)}


@pytest.mark.parametrize("standard", PRIMITIVES)
def test_softmax_of_conforming_primitives_is_admitted_and_a_third_of_it_is_reached(standard):
    random, most = np.random.default_rng(5), 0.0
    for scale in (1.0, 20.0, 70.0):
        row = np.sort(scale * random.random(6)).astype(np.float32)
        limit = admitted(standard, "softmax", row)
        exact = truth(lookup("softmax"), row, BINARY32)
        with mpmath.workprec(120):
            powers = [mpmath.exp(mpmath.mpf(float(z))) for z in row]
            true = [p / mpmath.fsum(powers) for p in powers]
        for sign in (np.r_[[1.0] * 5, -1.0], np.r_[[-1.0] * 5, 1.0]):
            found = by_primitives(row.astype(np.float64), *PRIMITIVES[standard], sign)
            off = [
                abs(float(f - t)) / 2.0 ** int(q)
                for f, t, q in zip(found, true, exact.ulp_exponent, strict=True)
            ]
            assert (off <= limit).all()
            most = max(most, float(np.max(off / limit)))
    assert most > 1 / 3


def test_an_exponential_twice_as_bad_is_beyond_what_follows():
    row = np.float32([0, -3, -70])
    exact, limit = truth(lookup("softmax"), row, BINARY32), admitted("vulkan", "softmax", row)
    sign = np.array([-1.0, 1.0, 1.0])
    broken = by_primitives(row.astype(np.float64), 9, 6, 5, sign).astype(np.float32)
    assert (ulp_error(broken, exact) > limit).any()


def verify(*arguments):
    return CliRunner(env={"COLUMNS": "150"}).invoke(app, ["verify", *arguments])


SPREAD = "--row=0x1.0c9b1cp+5,-0x1.3f352ap+5"
TEXTBOOK = """
import numpy as np

def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
"""


@pytest.mark.parametrize(("standard", "status"), [("webnn", 1), ("vulkan", 0)])
def test_the_textbook_is_held_to_a_standard(standard, status, tmp_path, monkeypatch):
    (tmp_path / "textbook_of_standards.py").write_text(TEXTBOOK)
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "report.json"
    what = ("softmax", "--subject", "textbook_of_standards:softmax", "--suite", "accuracy", SPREAD)
    found = verify(*what, "--standard", standard, "--json", str(report))
    assert found.exit_code == status, found.output
    assert json.loads(report.read_text())["subjects"][0]["contract"]["standard"] == standard
    assert ("threshold 9.5 ulp" in found.output) == (standard == "webnn")
    assert ("--contract standard=webnn" in found.output) == (standard == "webnn")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("mish", "--standard", "tosa"), "tosa says nothing of mish"),
        (("softmax", "--standard", "tosa", "--suite", "gradient"), "a standard is about errors"),
        (
            ("softmax", "--standard", "webnn", "--dtype", "bfloat16"),
            "webnn says nothing of bfloat16",
        ),
    ],
)
def test_what_a_standard_says_nothing_of_is_a_usage_error(arguments, told):
    found = verify(*arguments)
    assert found.exit_code == 2
    assert told in found.output
