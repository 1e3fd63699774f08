"""The suite of agreement is silent on our kernels and finds what disagrees with them."""

from pathlib import Path

import pytest
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.kernels import comp_sum_with_gradient, online
from softproof.verify.cli.main import app
from softproof.verify.inputs.families import draw
from softproof.verify.runs.conformance_file import parse
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES, agreement
from softproof.verify.testing import Conformance
from typer.testing import CliRunner

KERNELS = [
    s
    for s in BUILT_IN
    if s.id.startswith(("softproof.kernels:", "softproof.verify.subjects.comp_sum"))
    and lookup(s.definition).relations
    and not s.id.endswith(":naive")
]


def run(subject, dtype):
    return [execute(item) for item in plan([subject], ["agreement"], [dtype])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("subject", KERNELS, ids=lambda s: s.id.partition(":")[2])
def test_our_kernels_agree_with_one_another(subject, dtype):
    results = run(subject, dtype)
    assert sum(r.checks for r in results) > 50
    assert all(r.passed for r in results)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("log_softmax_log_of_softmax", "inconsistent with softproof.kernels:log_softmax"),
        ("logsumexp_log_for_log1p", "inconsistent with x_k - log_softmax_k"),
        ("logsumexp_with_twice_its_gradient", "inconsistent with softmax, its gradient"),
        ("cross_entropy_gradient_without_label", "inconsistent with a gradient that sums to 0"),
        ("cross_entropy_label_off_by_one", "inconsistent with"),
        ("softmax_cubic_exp", "inconsistent with"),
    ],
)
def test_what_disagrees_is_found_and_told(name, message, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    definition = next(d for d in ("log_softmax", "logsumexp", "cross_entropy", "softmax")
                      if name.startswith(d + "_"))  # fmt: skip
    results = run(Subject(f"softproof.verify.power.broken:{name}", definition), "float32")
    told = [f for r in results for f in r.failures]
    assert told
    assert any(f.message.startswith(message) for f in told)
    assert all("times the sum of both admissible errors" in f.detail for f in told)
    assert all("--suite agreement" in f.reproduce for f in told)


def violations(function, definition, family="normal"):
    live = InProcess(Subject("here", definition), function)
    fmt, chosen = FORMATS["float64"], lookup(definition)
    return [
        v.message
        for batch in draw(family, fmt, 8, 0, chosen.labelled)
        for v in agreement.check(live, chosen, fmt, batch).violations
    ]


def test_a_softmax_that_is_off_by_more_than_both_bounds_disagrees_with_every_other():
    def off(x):
        return online(x) * (1 + 1e-13)

    found = set(violations(off, "softmax"))
    assert "inconsistent with softproof.kernels:two_pass" in found
    assert "inconsistent with exp(log_softmax)" in found
    assert violations(online, "softmax") == []


def test_a_comp_sum_loss_of_another_tau_disagrees_with_the_cross_entropy():
    def another(x, labels):
        return comp_sum_with_gradient(x, labels, 0.5 + 1e-12)

    assert "inconsistent with its function of the cross-entropy" in violations(another, "comp_sum")


def test_the_former_name_of_the_suite_is_taken_with_a_word(tmp_path):
    arguments = "verify softmax --subject softproof.kernels:softmax --dtype float32 --row=1,2"
    outcome = CliRunner().invoke(app, [*arguments.split(), "--suite", "consistency"])
    assert outcome.exit_code == 0
    assert "The suite consistency is called agreement now." in outcome.stderr
    assert Conformance("softmax", suites="consistency").chosen_suites == ("agreement",)
    text = '[[expected_failure]]\nsubject = "m:f"\nsuite = "consistency"\nreason = "why"'
    (expected,) = parse(text, tmp_path / "conformance.toml").expected
    assert expected.covers("softmax", "m:f", "agreement", "float32")


def test_functions_without_relatives_are_left_out():
    sigmoid = [s for s in BUILT_IN if s.definition == "sigmoid"]
    assert plan(sigmoid, ["agreement"], ["float32"]) == []
    assert SUITES["agreement"].budget == "quick"
    assert {d.name for d in REGISTRY.values() if d.relations} <= {s.definition for s in BUILT_IN}
