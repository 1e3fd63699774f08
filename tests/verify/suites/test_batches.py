"""Mistakes that only lengths, row numbers or threads show are found at the quick budget."""

import dataclasses
import functools

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.verify.inputs.families import Batch, draw
from softproof.verify.power import broken_batches
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES, values

FAMILIES = ("lengths", "every_length", "drawn_lengths", "tails", "tall", "large")


def live(function, definition="softmax", **more):
    subject = Subject("m:f", definition, Contract(), tuple(FORMATS), **more)
    return InProcess(subject, function)


def found(function, dtype="float32", seed=0, families=FAMILIES, definition="softmax"):
    """The failures at the quick budget, by the family that found them."""
    here = live(function, definition)
    items = plan([here.subject], ["accuracy", "overflow"], [dtype], seed=seed)
    chosen = [item for item in items if item.family in families]
    results = {item.family: execute(item, lambda subject: here) for item in chosen}
    return {family: r.failures[0] for family, r in results.items() if r.failures}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("softmax_second_rows_of_odd_lengths", "drawn_lengths"),
        ("softmax_row_index_of_16_bits", "tall"),
        ("softmax_signed_row_index_of_16_bits", "tall"),
        ("softmax_scratch_of_all_threads", "large"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_mistake_of_a_batch_is_found_and_told(name, family, dtype):
    failures = found(getattr(broken_batches, name), dtype, families=(family,))
    assert list(failures) == [family]
    assert "only in its batch" in failures[family].detail or name.startswith("softmax_second")


@pytest.mark.parametrize("name", ["softmax_right", "softmax_scratch_of_each_thread"])
def test_their_right_twins_are_left_alone(name):
    assert found(getattr(broken_batches, name)) == {}


def tail_dropped(x, longer_than, residue):
    """A right softmax, whose sum lacks the last class of rows of some lengths."""
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=-1, keepdims=True, initial=-np.inf))
    n = x.shape[-1]
    summed = e[:, :-1] if n > longer_than and n % 64 == residue else e
    with np.errstate(all="ignore"):
        return (e / summed.sum(axis=-1, keepdims=True)).astype(x.dtype)


def tail_not_in_the_maximum(x, longer_than, residue):
    """The same of the maximum."""
    n = x.shape[-1]
    seen = x[:, :-1] if n > longer_than and n % 64 == residue else x
    with np.errstate(all="ignore"):
        e = np.exp(x - seen.max(axis=-1, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("tail", [tail_dropped, tail_not_in_the_maximum])
@pytest.mark.parametrize(("longer_than", "residue"), [(130, 7), (1000, 0), (4095, 63), (4096, 33)])
def test_a_tail_that_is_wrong_from_any_length_on_with_any_remainder_is_found(
    tail, longer_than, residue
):
    function = functools.partial(tail, longer_than=longer_than, residue=residue)
    assert "tails" in found(function, seed=residue, families=("tails",))


def test_a_slow_subject_is_asked_for_as_many_rows_as_its_time_allows():
    asked = []

    def slow(x):
        asked.append(len(x))
        return broken_batches.softmax_right(x)

    here = live(slow, time_limit=1e-6)
    *_, batch = draw("tall", BINARY32, 8, 0, labelled=False)
    verdict = values.check_value(here, here.definition, BINARY32, batch)
    assert max(asked) < 300
    assert verdict.checks
    assert not verdict.violations


def test_a_result_of_a_repeated_row_is_judged_only_where_it_has_other_bits():
    def one_wrong_row(x):
        p = broken_batches.softmax_right(x)
        p[-1, 0] += 2**-10
        return p

    def one_ulp(x):
        p = broken_batches.softmax_right(x)
        p[9] = np.nextafter(p[9], 1)
        return p

    batch = Batch("tall", np.resize(np.float32([[0, 1], [2, 0], [3, 0]]), (100, 2)), None, 3)
    wrong = live(one_wrong_row)
    (violation,) = values.check_value(wrong, wrong.definition, BINARY32, batch).violations
    assert violation.row == 99
    other = live(one_ulp)  # within the bound, though not the same
    assert values.check_value(other, other.definition, BINARY32, batch).violations == []


def test_a_keyword_threads_is_used():
    asked = []

    def threaded(x, *, threads=1):
        asked.append(threads)
        return broken_batches.softmax_right(x) * np.float32(threads)

    assert set(found(threaded, families=("large",))) == {"large"}
    assert 2 in asked


def test_a_batch_that_raises_is_not_asked_row_by_row_for_long():
    calls = []

    def refuses_many(x):
        calls.append(len(x))
        if len(x) > 2**16:
            raise ValueError("too many rows")
        return broken_batches.softmax_right(x)

    failures = found(refuses_many, families=("tall",))
    assert failures["tall"].message.startswith("raised ValueError: too many rows")
    assert len(calls) < 1000


@pytest.mark.parametrize("suite", ["accuracy", "overflow", "gradient"])
def test_the_families_stand_in_the_suites(suite):
    expected = {"accuracy": {"drawn_lengths", "tall", "large"}}.get(suite, {"tails"})
    assert expected <= {*SUITES[suite].families}


def test_a_gradient_that_is_wrong_in_a_tail_is_found():
    def loss_and_gradient(x, labels):
        wide = x.astype(np.float64)
        d = wide - wide.max(axis=-1, keepdims=True)
        total = np.exp(d).sum(axis=-1, keepdims=True)
        rows = np.arange(len(x))
        p = np.exp(d) / total
        p[rows, labels] -= 1
        if x.shape[-1] > 4096 and x.shape[-1] % 64 == 5:
            p[:, -1] = 0.5
        return (np.log(total[:, 0]) - d[rows, labels]).astype(x.dtype), p.astype(x.dtype)

    here = live(loss_and_gradient, "cross_entropy")
    (item,) = (i for i in plan([here.subject], ["gradient"], ["float32"]) if i.family == "tails")
    result = execute(dataclasses.replace(item, seed=3), lambda subject: here)
    assert result.violations == 1
