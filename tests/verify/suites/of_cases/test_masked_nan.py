"""NaN where a mask drops it may spread unless the contract says that it is ignored; numbers not."""

import numpy as np
import pytest
from rich.console import Console
from softproof.verify.reports.terminal import print_observed
from softproof.verify.runs.execute import execute
from softproof.verify.runs.results import Item, Report
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.implementations.functions_of_arrays import attention
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject


def weighted(q, k, v, mask, masked_score):
    """Attention where what is masked has a score of its own, and its weight times its value."""
    with np.errstate(all="ignore"):
        scores = np.sum(k * q[:, None, :], axis=-1) / np.sqrt(q.dtype.type(q.shape[-1]))
        scores = masked_score(scores, mask, q.dtype.type)
        e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
        weights = e / np.sum(e, axis=-1, keepdims=True)
        return np.sum(weights[:, :, None] * v, axis=1)


def replaced_scores(q, k, v, mask):
    """Scores of -inf, weights of 0: of NaN in values NaN."""
    return weighted(q, k, v, mask, lambda scores, mask, t: np.where(mask, scores, t(-np.inf)))


def added_scores(q, k, v, mask):
    """-inf is added to scores: scores that overflow become NaN, as in libraries."""
    return weighted(q, k, v, mask, lambda s, mask, t: s + np.where(mask, t(0), t(-np.inf)))


def small_weights(q, k, v, mask):
    """Weights of about e^-80, not seen but beside the largest numbers; NaN is removed."""
    v = np.where(np.isfinite(v), v, v.dtype.type(0))
    k = np.where(np.isfinite(k), k, k.dtype.type(0))
    return weighted(q, k, v, mask, lambda scores, mask, t: np.where(mask, scores, t(-80)))


def weights_times_infinity(q, k, v, mask):
    """The same without removing anything: an infinity comes through as one."""
    return weighted(q, k, v, mask, lambda scores, mask, t: np.where(mask, scores, t(-80)))


def nan_of_a_huge_number(q, k, v, mask):
    """A check of the range of all values, masked or not."""
    value = attention(q, k, v, mask)
    too_large = np.any(np.abs(v) > 2.0**60, axis=(1, 2))
    return np.where(too_large[:, None], value.dtype.type(np.nan), value)


def nan_of_other_cases(q, k, v, mask):
    """NaN that goes from one case of a batch to the others."""
    return attention(q, k, v, mask) + 0 * q.sum()


def poisoned(function, **contract):
    """The result of the suite in float32."""
    subject = Subject("mine:f", "attention", Contract(summation="any", **contract))
    item = Item(subject, "poison", "float32", "q: normal", 4, 0)
    return execute(item, lambda asked: InProcess(asked, function))


SPREADING = pytest.mark.parametrize("function", [replaced_scores, added_scores])


@SPREADING
def test_an_attention_that_spreads_nan_passes_undeclared_and_is_observed(function):
    found = poisoned(function)
    assert found.failures == ()
    assert found.checks > 0
    assert found.observed == {"masked_nan": "spreads"}


@SPREADING
def test_it_passes_where_it_declares_so_and_nothing_is_observed(function):
    found = poisoned(function, masked_nan="spreads")
    assert found.failures == ()
    assert found.observed == {}


@SPREADING
def test_it_fails_where_it_declares_that_nan_is_ignored(function):
    (failure,) = poisoned(function, masked_nan="ignored").failures
    assert failure.observed == "nan"
    assert "that mask drops changes the result" in failure.message
    assert failure.source.endswith("the subject declares masked_nan=ignored")
    assert "--contract masked_nan=ignored" in failure.reproduce


@pytest.mark.parametrize("contract", [{}, {"masked_nan": "ignored"}, {"masked_nan": "spreads"}])
def test_one_that_ignores_nan_keeps_every_contract(contract):
    found = poisoned(attention, **contract)
    assert found.failures == ()
    assert found.observed == ({} if contract else {"masked_nan": "ignored"})


MESSAGES = {
    small_weights: "the largest number in entries of v that mask drops changes the result",
    weights_times_infinity: "inf in entries of v that mask drops changes the result",
    nan_of_a_huge_number: "a huge number in entries of v that mask drops changes the result",
    nan_of_other_cases: "NaN in another case of the batch changes the result",
}


@pytest.mark.parametrize("function", MESSAGES)
@pytest.mark.parametrize("contract", [{}, {"masked_nan": "spreads"}])
def test_nothing_else_may_come_of_what_is_masked_whatever_is_declared(function, contract):
    (failure,) = poisoned(function, **contract).failures
    assert failure.message == MESSAGES[function]


def test_what_is_observed_is_told_in_one_line():
    found = poisoned(replaced_scores)
    report = Report(0, "quick", results={("attention", "mine:f", "poison", "float32"): found})
    console = Console(record=True, width=100)
    print_observed(report, console)
    assert console.export_text() == "observed: masked_nan=spreads\n"


def test_of_a_function_without_a_mask_nothing_is_observed():
    subject = Subject("mine:f", "sparsemax", Contract(summation="any"))
    item = Item(subject, "poison", "float32", "z: normal", 4, 0)

    def largest_only(z):
        return (z == z.max(axis=-1, keepdims=True)).astype(z.dtype)

    found = execute(item, lambda asked: InProcess(asked, largest_only))
    assert found.checks > 0
    assert found.observed == {}
