"""Results that are returned on request are judged where a subject returns them.

The log-sum-exp of attention, with and without a sink: each planted mistake is caught, and who does
not return it is judged by the rest.
"""

import functools
import itertools

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.verify.cases.draw import draw
from softproof.verify.cases.text import parse
from softproof.verify.runs.execute import execute
from softproof.verify.runs.results import Item
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.implementations import functions_of_arrays as forms
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject, SubjectFault
from softproof.verify.suites.of_cases import CASE_SUITES, accuracy

NAMES = ("attention", "sink_attention")


def live(name, function):
    return InProcess(Subject("mine:f", name, Contract(summation="any")), function)


def judge(name, function, family="q: normal", suite="accuracy", case=None):
    subject = live(name, function)
    item = Item(subject.subject, suite, "float32", family, 8, 0, case=case)
    return execute(item, lambda asked: subject)


def batch_of(name):
    return next(itertools.islice(draw(lookup(name), "q: normal", BINARY32, 8, 0), 4, None))


def always_both(name):
    return functools.partial(getattr(forms, name), return_lse=True)


def with_lse(name, change):
    """Attention that returns a changed log-sum-exp behind the right result."""

    def changed(q, k, v, mask, *sink, scale=None, softcap=0.0):
        found, lse = getattr(forms, name)(q, k, v, mask, *sink, scale, softcap, return_lse=True)
        return found, change(lse, q)

    return changed


def of_base_2(lse, q):
    return lse / q.dtype.type(np.log(2))


def of_unscaled_query(lse, q):
    return lse + q.dtype.type(0.5) * np.log(q.dtype.type(q.shape[-1]))


def sum_of_exponentials(lse, q):
    return np.exp(lse)


@pytest.mark.parametrize("name", NAMES)
def test_a_right_implementation_passes_with_it_and_without(name):
    for function in (getattr(forms, name), always_both(name)):
        for family in ("q: normal", "k: beyond exp", "softcap=2", "mask: one kept"):
            found = judge(name, function, family)
            assert found.failures == ()
            assert found.checks > 0


@pytest.mark.parametrize("name", NAMES)
def test_it_is_asked_for_by_name_and_counts_as_checked(name):
    def without(*arguments):
        return getattr(forms, name)(*arguments)

    plain = accuracy.check(live(name, without), lookup(name), BINARY32, batch_of(name)).checks
    for function in (getattr(forms, name), always_both(name)):
        found = accuracy.check(live(name, function), lookup(name), BINARY32, batch_of(name))
        assert found.checks == plain + len(batch_of(name).cases)


@pytest.mark.parametrize("change", [of_base_2, of_unscaled_query, sum_of_exponentials])
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_one_is_caught_and_can_be_seen_again(name, change):
    found = judge(name, with_lse(name, change))
    (failure,) = found.failures
    assert failure.detail.startswith("At lse.")
    _, case = parse(failure.case, BINARY32)
    again = judge(name, with_lse(name, change), "given", case=case)
    assert again.failures[0].detail.startswith("At lse.")


def test_a_sink_belongs_to_it():
    def without_the_sink(q, k, v, mask, sink, scale=None, softcap=0.0):
        found = forms.sink_attention(q, k, v, mask, sink, scale, softcap)
        return found, forms.attention(q, k, v, mask, scale, softcap, return_lse=True)[1]

    assert judge("sink_attention", without_the_sink).failures[0].detail.startswith("At lse.")


def test_what_is_wrong_beside_it_is_still_caught():
    def halved(q, k, v, mask, scale=None, softcap=0.0):
        found, lse = forms.attention(q, k, v, mask, scale, softcap, return_lse=True)
        return found / 2, lse

    assert judge("attention", halved).failures[0].detail.startswith("At value[")


@pytest.mark.parametrize("suite", ["invariance", "liveness", "poison", "layouts"])
def test_other_suites_look_at_the_results_before_it(suite):
    family = CASE_SUITES[suite].families(lookup("attention"))[0]
    found = judge("attention", always_both("attention"), family, suite)
    assert found.failures == ()
    assert found.checks > 0


def test_gradients_are_those_of_the_results_before_it():
    torch = pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)

    def attention(q, k, v, mask, scale=None):
        scores = (k @ q[:, :, None])[:, :, 0] * (q.shape[-1] ** -0.5 if scale is None else scale)
        scores = scores.masked_fill(~mask, -torch.inf)
        weights = torch.softmax(scores, -1)
        return (weights[:, None, :] @ v)[:, 0, :], torch.logsumexp(scores, -1)

    own = Subject("mine:f", "attention", Contract(summation="any"), arrays="torch")
    item = Item(own, "gradient", "float32", "q: normal", 8, 0)
    found = execute(item, lambda asked: InProcess(asked, attention))
    assert found.failures == ()
    assert found.checks > 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_that_of_pytorch_passes_though_it_has_32_bits_at_least(dtype):
    """Of numbers of 16 bits it is rounded before it is judged."""
    pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    name = "softproof.verify.subjects.torch_functions_of_arrays:attention"
    (subject,) = (s for s in BUILT_IN if s.id == name)
    fmt = FORMATS[dtype]
    (batch,) = itertools.islice(draw(lookup("attention"), "q: normal", fmt, 8, 0), 6, 7)
    found, numbers = accuracy.call_with_further(InProcess(subject), lookup("attention"), fmt, batch)
    assert list(found.signature.outputs) == ["value", "lse"]
    assert numbers.dtype == fmt.dtype
    assert accuracy.check(InProcess(subject), lookup("attention"), fmt, batch).violations == []


def test_other_numbers_of_results_are_no_form():
    def three(q, k, v, mask, scale=None, softcap=0.0):
        return (*forms.attention(q, k, v, mask, scale, softcap, return_lse=True), q)

    with pytest.raises(SubjectFault, match="returned 3 arrays, expected value and perhaps lse"):
        accuracy.check(
            live("attention", three), lookup("attention"), BINARY32, batch_of("attention")
        )


def test_its_shape_is_looked_at():
    wrong = with_lse("attention", lambda lse, q: lse[:, None])
    with pytest.raises(SubjectFault, match=r"lse has shape \(3, 1\), expected \(3,\)"):
        accuracy.check(
            live("attention", wrong), lookup("attention"), BINARY32, batch_of("attention")
        )
