"""The suite of parameters: each mistake is found, right implementations and our kernels pass."""

import inspect

import numpy as np
import pytest
from softproof import kernels
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.verify.power import broken_parameters
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import parameters

RIGHT = ("softmax", "cross_entropy")
BROKEN = [
    name
    for name, value in vars(broken_parameters).items()
    if inspect.isfunction(value) and name not in RIGHT and not name.startswith("_")
]
each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)


def definition_of(name):
    return next(d for d in ("log_softmax", "logsumexp", "softmax", "cross_entropy") if d in name)


def violations(function, definition, fmt=BINARY32):
    """What the suite says, and how many checks it made."""
    here = InProcess(Subject("m:f", definition, Contract(), tuple(FORMATS)), function)
    cases = parameters.check(here, lookup(definition), fmt)
    return [v for _, verdict in cases for v in verdict.violations], sum(
        verdict.checks for _, verdict in cases
    )


@pytest.mark.parametrize("name", BROKEN)
def test_each_mistake_of_a_parameter_is_found(name):
    told, _ = violations(getattr(broken_parameters, name), definition_of(name))
    assert told
    assert all(v.message.startswith("parameter ") for v in told)
    assert all("called with" in v.detail for v in told)


@each_format
@pytest.mark.parametrize("name", RIGHT)
def test_right_implementations_pass(name, fmt):
    told, checks = violations(getattr(broken_parameters, name), name, fmt)
    assert told == []
    assert checks > 50


def softmax_with_products(x, *, scale=1.0, cotangent=None):
    value = kernels.softmax(x, scale=scale)
    return value if cotangent is None else (value, kernels.softmax_vjp(value, cotangent))


def log_softmax_with_products(x, *, scale=1.0, cotangent=None):
    value = kernels.log_softmax(x, scale=scale)
    return value if cotangent is None else (value, kernels.log_softmax_vjp(value, cotangent))


def cross_entropy_of_both_passes(x, labels, *, cotangent=None):
    loss = kernels.cross_entropy(x, labels)
    return loss, kernels.cross_entropy_gradient(x, labels, cotangent)


@each_format
@pytest.mark.parametrize(
    ("function", "definition"),
    [
        (kernels.logsumexp, "logsumexp"),
        (kernels.cross_entropy_with_gradient, "cross_entropy"),
        (softmax_with_products, "softmax"),
        (log_softmax_with_products, "log_softmax"),
        (cross_entropy_of_both_passes, "cross_entropy"),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_our_kernels_pass_with_their_vector_jacobian_products(function, definition, fmt):
    told, checks = violations(function, definition, fmt)
    assert told == []
    assert checks > 10


@pytest.mark.parametrize("definition", ["softmax", "log_softmax"])
def test_a_product_that_forgets_a_term_is_found(definition):
    def forgets(x, *, cotangent=None):
        value = getattr(kernels, definition)(x)
        p = kernels.softmax(x)
        if cotangent is None:
            return value
        return value, p * cotangent if definition == "softmax" else cotangent - p

    told, _ = violations(forgets, definition)
    assert {v.message for v in told} == {
        "parameter cotangent: vector-Jacobian product beyond its error bound"
    }


def test_our_jacobian_vector_products_are_the_transposed_of_the_products_that_are_verified():
    # <u, J v> = <J^T u, v>, to the roundings of two sums of products.
    rng = np.random.default_rng(0)
    for name in ("softmax", "log_softmax"):
        forward, backward = (getattr(kernels, f"{name}_{kind}") for kind in ("jvp", "vjp"))
        for row in parameters.ROWS:
            x = np.array(row)
            u, v = rng.standard_normal((2, len(row)))
            y = getattr(kernels, name)(x)
            left, right = u * forward(y, v), backward(y, u) * v
            size = np.abs(left).sum() + np.abs(right).sum()
            assert abs(left.sum() - right.sum()) <= 64 * np.finfo(float).eps * size


def test_the_case_of_the_report_about_ignored_samples_is_told_with_its_number():
    function = broken_parameters.cross_entropy_smoothing_of_ignored_samples
    told, _ = violations(function, "cross_entropy")
    first = next(v for v in told if "label_smoothing" in v.detail)
    assert "the loss of an ignored sample is not 0" in first.message
    assert first.expected == 0


def test_extreme_logits_with_an_extreme_scale_are_asked():
    told, _ = violations(broken_parameters.softmax_scaled_after_centring, "softmax")
    (violation,) = told
    assert violation.detail == "called with scale=0x1.0000000000000p-126"


def test_a_subject_that_refuses_an_extreme_scale_is_within_its_rights_but_no_ordinary_one():
    def refuses(x, *, scale=1.0):
        if not 0.5 <= scale <= 16:
            raise ValueError("scale")
        return broken_parameters.softmax(x, scale=scale)

    told, _ = violations(refuses, "softmax")
    assert told
    assert {v.detail for v in told} == {"called with scale=0.25"}


def test_a_subject_without_parameters_is_not_asked():
    assert violations(lambda x: kernels.softmax(x), "softmax") == ([], 0)


def test_a_temperature_divides():
    def by_temperature(x, *, temperature=1.0):
        return broken_parameters.softmax(x, scale=1 / temperature)

    def by_scale(x, *, temperature=1.0):
        return broken_parameters.softmax(x, scale=temperature)

    assert violations(by_temperature, "softmax")[0] == []
    assert violations(by_scale, "softmax")[0]


def test_the_suite_is_part_of_a_run():
    name = "softmax_scaled_after_centring"
    subject = Subject(f"softproof.verify.power.broken_parameters:{name}", "softmax")
    (item,) = plan([subject], ["parameters"], ["float32"])
    (failure,) = execute(item).failures
    assert failure.message == "parameter scale: value beyond its error bound"
    assert failure.reproduce.endswith("--dtype float32 --suite parameters")
