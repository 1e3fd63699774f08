"""The suite of consistency is silent on our kernels and finds what disagrees with them."""

from pathlib import Path

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.kernels import comp_sum_with_gradient, online
from softproof.verify.inputs.families import draw
from softproof.verify.runs.run import execute, plan
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES
from softproof.verify.suites import agreement as consistency

KERNELS = [
    s
    for s in BUILT_IN
    if s.id.startswith(("softproof.kernels:", "softproof.verify.subjects.comp_sum"))
    and s.definition in consistency.IDENTITIES
    and not s.id.endswith(":naive")
]


def run(subject, dtype):
    return [execute(item) for item in plan([subject], ["consistency"], [dtype])]


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
    assert all("--suite consistency" in f.reproduce for f in told)


def violations(function, definition, family="normal"):
    live = InProcess(Subject("here", definition), function)
    fmt, chosen = FORMATS["float64"], lookup(definition)
    return [
        v.message
        for batch in draw(family, fmt, 8, 0, chosen.labelled)
        for v in consistency.check(live, chosen, fmt, batch).violations
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


def test_functions_without_relatives_are_left_out():
    sigmoid = [s for s in BUILT_IN if s.definition == "sigmoid"]
    assert plan(sigmoid, ["consistency"], ["float32"]) == []
    assert SUITES["consistency"].budget == "quick"
    assert np.all([d in [s.definition for s in BUILT_IN] for d in consistency.IDENTITIES])
