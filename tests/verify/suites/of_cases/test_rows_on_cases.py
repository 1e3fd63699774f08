"""Definitions of a row are asked by the suites on cases, too: an ignored label is found there."""

import ml_dtypes
import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.cases.text import parse, to_text
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.registration import REGISTERED
from softproof.verify.subjects.subject import Subject

from tests.implemented import OF_A_ROW

TEXTBOOK = [s for s in REGISTERED if ".textbook:" in s.id]


def found(function, name, suite, dtype="float32", **contract):
    """The results of a suite on cases, merged; the parameters that a function takes are asked."""
    subject = Subject("mine:f", name, Contract(**contract), tuple(FORMATS))
    items = [item for item in plan([subject], [suite], [dtype]) if item.on_cases]
    results = [execute(item, lambda asked: InProcess(asked, function)) for item in items]
    total = results[0]
    for result in results[1:]:
        total = total.merge(result)
    return total


# --- which are asked ---


def test_cases_are_planned_beside_rows_for_every_definition_of_a_row():
    for definition in OF_A_ROW:
        subject = Subject("mine:f", definition.name)
        items = plan([subject], ["accuracy", "gradient", "liveness", "poison"], ["float32"])
        on_cases = {(item.suite, item.family) for item in items if item.on_cases}
        names = {*definition.signature.arguments, *definition.parameters}
        assert {family for suite, family in on_cases if suite == "liveness"} == names
        assert {suite for suite, _ in on_cases} >= {"liveness", "poison"}
        assert not any(suite == "accuracy" for suite, _ in on_cases)  # rows are asked for that
        assert any(item.suite == "accuracy" and not item.on_cases for item in items)
        vectors = definition.signature.rank == 1
        has_products = vectors or definition.elementwise
        assert any(suite == "gradient" for suite, _ in on_cases) == has_products


@pytest.mark.parametrize("subject", TEXTBOOK, ids=lambda s: f"{s.definition}-{s.id}")
def test_right_implementations_pass(subject):
    for item in plan([subject], ["liveness", "poison"], ["float32"]):
        assert execute(item).failures == ()


# --- liveness ---


def cross_entropy(z, label):
    d = z - z.max(axis=-1, keepdims=True)
    return np.log(np.exp(d).sum(axis=-1)) - d[np.arange(len(label)), label]


def loss_of_class_0(z, label):
    return cross_entropy(z, np.zeros_like(label))


def test_an_ignored_label_is_found():
    assert found(cross_entropy, "cross_entropy", "liveness").failures == ()
    failures = found(loss_of_class_0, "cross_entropy", "liveness").failures
    (failure,) = (f for f in failures if f.message == "label has no effect")
    assert failure.case.startswith("cross_entropy\nlogits[K=5] ")
    assert "--suite accuracy" in failure.reproduce
    assert failure.case in failure.reproduce


def mean_absolute_error(z, label, tau=0.5):
    """The comp-sum loss of tau = 2, whatever tau is."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    e[np.arange(len(label)), label], right = 0, e[np.arange(len(label)), label]
    return e.sum(axis=-1) / (e.sum(axis=-1) + right)


def comp_sum(z, label, tau=0.5):
    loss = cross_entropy(z.astype(np.float64), label)
    found = loss if tau == 1 else np.expm1((1 - tau) * loss) / (1 - tau)
    return found.astype(z.dtype)


def test_an_ignored_parameter_is_found():
    assert found(comp_sum, "comp_sum", "liveness").failures == ()
    failures = found(mean_absolute_error, "comp_sum", "liveness").failures
    assert "tau has no effect" in [failure.message for failure in failures]


def test_a_value_that_is_only_inaccurate_is_left_to_the_suites_of_rows():
    def in_bfloat16(z):
        narrow = z.astype(ml_dtypes.bfloat16).astype(np.float32)
        return narrow - np.log(np.exp(narrow).sum(axis=-1, keepdims=True))

    result = found(in_bfloat16, "log_softmax", "liveness")
    assert result.failures == ()
    assert result.worst > 1000


# --- poison ---


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def less_the_maximum_of_the_batch(z):
    e = np.exp(z - z.max())
    return e / e.sum(axis=-1, keepdims=True)


def into_a_buffer(z, out=None):
    return softmax(z) if out is None else np.add(softmax(z), 0 * out, out=out)


def times_what_others_are(x):
    return np.tanh(x / 2) / 2 + x.dtype.type(0.5) + 0 * x.sum()


@pytest.mark.parametrize(
    ("function", "name", "told"),
    [
        (less_the_maximum_of_the_batch, "softmax", "in another case of the batch"),
        (into_a_buffer, "softmax", "NaN in the buffer out= changes the result"),
        (times_what_others_are, "sigmoid", "in another case of the batch"),
    ],
)
def test_what_depends_on_other_rows_or_on_old_memory_is_found(function, name, told):
    assert found(softmax, "softmax", "poison").failures == ()
    (failure,) = found(function, name, "poison").failures
    assert told in failure.message


# --- vector-Jacobian products ---


def with_products(products):
    def function(z):
        return softmax(z)

    function.vjp = products
    return function


def right_products(z, g):
    p = softmax(z.astype(np.float64))
    return (p * (g - (p * g).sum(axis=-1, keepdims=True))).astype(z.dtype)


def of_stored_probabilities(z, g):
    p = softmax(z.astype(np.float32)).astype(z.dtype).astype(np.float32)
    wide = g.astype(np.float32)
    return (p * (wide - (p * wide).sum(axis=-1, keepdims=True))).astype(z.dtype)


def without_the_mean(z, g):
    return softmax(z) * g


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_are_judged_and_stored_probabilities_admitted(dtype):
    for products in (right_products, of_stored_probabilities):
        result = found(with_products(products), "softmax", "gradient", dtype, arithmetic="float32")
        assert result.failures == ()
        assert result.checks > 50
    failures = found(with_products(without_the_mean), "softmax", "gradient", dtype).failures
    assert {failure.message for failure in failures} == {"gradient beyond its error bound"}
    assert all("cotangent[K=" in failure.case for failure in failures)


def test_who_has_no_products_is_not_asked_for_them():
    assert found(softmax, "softmax", "gradient").status == "empty"


# --- a case of the user's ---

CASES = [
    ("softmax\nlogits[K=2] 0x0p+0 0x1p+1", "accuracy"),
    ("comp_sum tau=0x1.8p+0\nlogits[K=2] 0x0p+0 0x1p+1\nlabel 1", "accuracy"),
    ("log_softmax\nlogits[K=1] 0x1p+0\ncotangent[K=1] 0x1p+0", "gradient"),
    ("normal_cdf beta=0x1p+1\nx 0x1p-1", "poison"),
]


@pytest.mark.parametrize(("text", "suite"), CASES)
def test_a_case_of_a_row_prints_and_reads_back_and_is_planned_alone(text, suite):
    definition, case = parse(text, FORMATS["float32"])
    assert definition.of_a_row
    assert to_text(definition, case) == text
    subject = Subject("mine:f", definition.name)
    items = plan([subject], [suite, "overflow"], ["float32"], case=lambda fmt: case)
    assert [(item.suite, item.case) for item in items] == [(suite, case)]


def test_a_case_with_a_parameter_is_judged():
    text = "comp_sum tau=0x1.8p+0\nlogits[K=2] 0x0p+0 0x1p+1\nlabel 0"
    _, case = parse(text, FORMATS["float32"])
    for function, right in ((comp_sum, True), (mean_absolute_error, False)):
        subject = Subject("mine:f", "comp_sum")
        (item,) = plan([subject], ["accuracy"], ["float32"], case=lambda fmt: case)
        result = execute(item, lambda asked, f=function: InProcess(asked, f))
        assert (result.checks, result.passed) == (1, right)
        assert all(failure.case == text for failure in result.failures)
