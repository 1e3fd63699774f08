"""The collapse suite: broken promises are found, gaps are found to the bit, right ones pass."""

import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.derivations.error_bounds.collapse import absorption_gap, rounding_gap
from softproof.kernels import softmax
from softproof.verify import suites as properties
from softproof.verify.inputs.families import Batch, draw
from softproof.verify.reports import hints
from softproof.verify.reports.html import html
from softproof.verify.reports.plain import as_dict
from softproof.verify.reports.terminal import print_collapses, print_table
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report, decode, encode
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import collapse

TESTS = Path(__file__).parents[2]
PROMISE = Contract(collapse_free="yes")
# The first float32 from 24 ln 2 = 16.635532333... on.
FIRST_FLOAT32 = float(np.nextafter(np.float32(24 * math.log(2) - 1e-6), np.float32(20)))
SCHEMA = Path(properties.__file__).parent.parent / "data" / "report.schema.json"


@pytest.fixture(autouse=True)
def _broken_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)


def broken(name, contract=PROMISE):
    names = ("log_softmax", "logsumexp", "cross_entropy", "softmax", "softplus")
    definition = next(d for d in names if name.startswith(d + "_"))
    return Subject(
        f"softproof.verify.power.broken_collapse:{name}", definition, contract, tuple(FORMATS)
    )


def run(subject, dtype, rows=8, given=None):
    (item,) = plan([subject], ["collapse"], [dtype], given=given)
    return execute(dataclasses.replace(item, rows=rows))


def given_rows(logits, labels=None):
    return lambda definition, fmt: (
        Batch("given", logits, labels if definition.labelled else None),
    )


def test_the_gap_of_float32_is_the_first_number_from_24_ln_2_on():
    before = float(np.nextafter(np.float32(FIRST_FLOAT32), np.float32(0)))
    assert before < 24 * math.log(2) <= FIRST_FLOAT32


def gaps_found(result, name):
    """{(classes, place of the leader): gap} of one result."""
    found = (c for c in result.collapses if c.result == name and c.gap is not None)
    return {(c.classes, c.leader): c.gap for c in found}


# --- promises ---

FOUND = [
    ("cross_entropy_log_of_sum", "0 or 1 where the exact result is not"),
    ("cross_entropy_p_minus_1", "0 or 1 where the exact result is not"),
    ("cross_entropy_other_classes_stick", "0 or 1 where the exact result is not"),
    ("cross_entropy_other_classes_in_half_precision", "value beyond its error bound"),
    ("cross_entropy_coarse_gradient", "gradient beyond its error bound"),
    ("cross_entropy_clipped", "value beyond its error bound"),
    ("softmax_small_ones_dropped", "0 or 1 where the exact result is not"),
    ("softmax_leader_first", "0 or 1 where the exact result is not"),
    ("logsumexp_log_of_sum", "0 or 1 where the exact result is not"),
    ("log_softmax_log_of_sum", "0 or 1 where the exact result is not"),
    ("softplus_log_of_sum", "0 or 1 where the exact result is not"),
]


@pytest.mark.parametrize(("name", "message"), FOUND)
def test_a_broken_promise_is_found(name, message):
    result = run(broken(name), "float32")
    assert result.status == "fail"
    (failure,) = result.failures
    assert failure.message.startswith(message)
    assert "--contract collapse_free=yes --row=" in failure.reproduce
    assert len(failure.logits) <= (2 if name != "softmax_leader_first" else 64)  # it is shrunk
    # Without the promise it is told, and no failure.
    told = run(broken(name, Contract()), "float32")
    assert told.status == "pass"
    lost = [c for c in told.collapses if c.gap is not None]
    assert bool(lost) == message.startswith("0 or 1")


def test_the_shrunk_row_shows_it_again():
    (failure,) = run(broken("cross_entropy_p_minus_1"), "float32").failures
    row = np.float32([[float.fromhex(v) for v in failure.logits]])
    again = run(
        broken("cross_entropy_p_minus_1"),
        "float32",
        given=given_rows(row, np.array([failure.label])),
    )
    assert again.failures[0].logits == failure.logits
    assert (failure.observed, failure.index) == ("0x0p+0", failure.label)


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_right_one_may_promise(dtype):
    assert run(broken("cross_entropy_right"), dtype).status == "pass"


OURS = [s for s in BUILT_IN if s.contract.collapse_free == "yes"]


def test_our_kernels_promise_it_and_no_other_does():
    ours = ("softproof.kernels:", "softproof.verify.subjects.comp_sum_members:")
    kernels = {s.id.partition(":")[2] for s in BUILT_IN if s.id.startswith(ours)}
    assert {s.id.partition(":")[2] for s in OURS} == kernels - {"naive"}


@pytest.mark.parametrize("subject", OURS, ids=lambda s: s.id.partition(":")[2])
@pytest.mark.parametrize("dtype", FORMATS)
def test_our_kernels_keep_their_promise(subject, dtype):
    if dtype in subject.dtypes:
        result = run(subject, dtype)
        assert (result.status, result.failures, result.collapses) == ("pass", (), ())


def test_a_kernel_that_collapses_may_not_promise_it():
    naive = next(s for s in BUILT_IN if s.id == "softproof.kernels:naive")
    result = run(dataclasses.replace(naive, contract=PROMISE), "float32")
    assert result.status == "fail"


@pytest.mark.long
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", ["log_softmax", "logsumexp", "cross_entropy_with_gradient"])
def test_our_kernels_keep_their_promise_with_up_to_200_000_classes(name, dtype):
    subject = next(s for s in OURS if s.id == f"softproof.kernels:{name}")
    assert run(subject, dtype, rows=64).status == "pass"


# --- the search ---


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_search_finds_a_gap_to_the_last_bit(dtype, monkeypatch):
    from softproof.verify.power import broken_collapse

    fmt = FORMATS[dtype]
    for cut in (2.0, 3.14159, 5.0 + 2.0**-20, 7.0):
        first = fmt.dtype.type(cut)
        first = first if float(first) >= cut else np.nextafter(first, fmt.dtype.type(np.inf))
        monkeypatch.setitem(broken_collapse.CUT, "gap", cut)
        found = gaps_found(run(broken("cross_entropy_cut", Contract()), dtype), "loss")
        assert set(found.values()) == {float(first)}
        assert {(2, "first"), (2, "last"), (1000, "first"), (1000, "last")} <= set(found)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_observed_gap_is_the_derived_one(dtype):
    p = FORMATS[dtype].precision
    loss = gaps_found(run(broken("cross_entropy_log_of_sum", Contract()), dtype), "loss")
    tolerance = 2.0 ** (math.frexp(absorption_gap(p, 999))[1] - p) + 1e-12
    for (classes, _), gap in loss.items():  # all other classes are added up before
        assert gap == pytest.approx(absorption_gap(p, classes - 1), abs=tolerance)
    right = "gradient of the right class"
    gradient = gaps_found(run(broken("cross_entropy_p_minus_1", Contract()), dtype), right)
    # The probability is rounded before; in float64 its divisor is, too, and that earlier.
    derived = absorption_gap if dtype == "float64" else rounding_gap
    for (classes, _), gap in gradient.items():
        assert gap == pytest.approx(derived(p, classes - 1), abs=tolerance)
    assert len(loss) >= 5
    if dtype == "float32":
        sticking = run(broken("cross_entropy_other_classes_stick", Contract()), dtype)
        found = gaps_found(sticking, "loss")
        assert set(found.values()) == {FIRST_FLOAT32}  # whatever the number of other classes
        causes = {c.cause for c in sticking.collapses if c.gap is not None}
        assert causes == {"1 absorbs the other classes one by one in a float32 sum: 24 ln 2"}


def test_at_the_gap_found_it_is_lost_and_at_the_one_before_it_is_not():
    subject = broken("log_softmax_log_of_sum", Contract())
    live = InProcess(subject)
    for (classes, leader), gap in gaps_found(
        run(subject, "float32"), "log p of the leader"
    ).items():
        x = np.full((2, classes), -np.float32(gap))
        x[1] = np.nextafter(x[1], np.float32(0))
        place = 0 if leader == "first" else classes - 1
        x[:, place] = 0
        value = live(x).value[:, place]
        assert value[0] == 0 != value[1]


def test_a_naive_sigmoid_is_lost_where_its_exponential_overflows():
    subject = next(s for s in BUILT_IN if s.id == "softproof.verify.textbook:sigmoid_naive")
    (seen,) = run(subject, "float32").collapses
    assert seen.cause == "e^gap overflows in float32"
    with np.errstate(over="ignore"):
        assert np.isinf(np.exp(np.float32(seen.gap)))


def test_numbers_below_the_normal_range_do_not_count_where_they_may_be_flushed():
    tiny = np.float32([[0, -100]])
    fmt, definition = FORMATS["float32"], lookup("softmax")
    subject = broken("softmax_small_ones_dropped", Contract(flush_to_zero="yes"))
    verdict = collapse.check(InProcess(subject), definition, fmt, Batch("given", tiny, None))
    assert verdict.observations == ()
    subject = dataclasses.replace(subject, contract=Contract())
    (seen,) = collapse.check(
        InProcess(subject), definition, fmt, Batch("given", tiny, None)
    ).observations
    assert (seen.result, seen.gap, seen.observed) == ("p of another class", 100.0, 0.0)


# --- inputs ---


@pytest.mark.parametrize("dtype", FORMATS)
def test_gaps_grow_from_none_to_beyond_underflow(dtype):
    fmt = FORMATS[dtype]
    batches = list(draw("gaps", fmt, 8, 0, labelled=True))
    assert [b.logits.shape[1] for b in batches] == [2, 2, 50, 50, 1000, 1000]
    for batch in batches:
        z = batch.logits.astype(np.float64)
        (label,) = set(batch.labels)
        assert (z[:, label] == 0).all()
        gaps = -np.delete(z, label, axis=1)
        assert (gaps == gaps[:, :1]).all()
        assert (np.diff(gaps[:, 0]) > 0).all()
        assert gaps[0, 0] == 0
        assert np.exp(-gaps[-1, 0]) * z.shape[1] <= 2.0**fmt.tiny_exponent * 1.01
    longest = max(b.logits.shape[1] for b in draw("gaps", fmt, 64, 0, labelled=False))
    assert longest == 200_000


# --- files of logits ---


def test_the_share_of_samples_by_the_sum_and_by_the_results():
    z = np.float32([[17, 0, -200], [0, 16, -200], [30, 0, 0], [0, 0, 0], [-np.inf, 0, -np.inf]])
    labels = np.array([0, 1, 0, 0, 1])
    assert collapse.collapsed(z).tolist() == [True, False, True, False, True]
    subject = broken("cross_entropy_log_of_sum", Contract())
    shares = {
        c.result: c.share for c in run(subject, "float32", given=given_rows(z, labels)).collapses
    }
    # Of one class alone the sum is 1 and the loss 0, as they should be.
    assert shares == {"sum == 1 in float32": 0.6, "loss": 0.4}
    ours = next(s for s in OURS if s.id.endswith(":cross_entropy_with_gradient"))
    result = run(ours, "float32", given=given_rows(z, labels))
    assert result.status == "pass"
    assert {c.result: c.share for c in result.collapses} == {
        "sum == 1 in float32": 0.6,
        "any result": 0.0,
    }


@pytest.mark.parametrize(
    ("dtype", "gap"), [("float16", 7.625), ("float32", 16.64), ("float64", 37)]
)
def test_the_metric_of_the_paper_depends_on_the_format(dtype, gap):
    z = np.array([[gap, 0], [gap * 0.98, 0], [np.nan, 0], [np.inf, 0]], dtype=dtype)
    assert collapse.collapsed(z).tolist() == [True, False, False, False]


# --- reports ---


@pytest.fixture(scope="module")
def report():
    names = ("softproof.kernels:log_softmax", "softproof.verify.textbook:sigmoid_naive")
    subjects = [broken("log_softmax_log_of_sum", Contract())]
    subjects += [s for s in BUILT_IN if s.id in names]
    found = Report(0, "quick", subjects)
    for item in plan(subjects, ["collapse"], ["float32"]):
        found.add(execute(item))
    return found


def test_what_is_seen_is_stored_and_written_as_the_schema_says(report):
    for result in report.results.values():
        assert decode(encode(result)) == result
    data = as_dict(report)
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(json.loads(json.dumps(data)))
    collapses = [c for r in data["results"] for c in r["collapses"]]
    assert {c["gap"] for c in collapses if c["classes"] == 2} == {FIRST_FLOAT32}
    page = html(data)
    assert "0 at 16.6" in page
    assert all(c["reproduce"].replace("'", "&#x27;") in page for c in collapses)


def test_the_terminal_tells_the_gaps(report):
    console = Console(width=200, record=True, file=io.StringIO())
    print_table(report, console)
    print_collapses(report, console)
    text = console.export_text()
    assert "0 at 16.6" in text
    assert (
        "0, not -5.96e-08, from a gap of 16.63553 on (1 absorbs the other classes one by one"
        in text
    )
    assert "--suite collapse --row=0x0p+0,-0x1.0a2b24p+4" in text
    assert report.passed


def test_the_hint_says_how_to_take_the_promise_back():
    subject = broken("log_softmax_log_of_sum")
    (failure,) = run(subject, "float32").failures
    row = np.float32([[float.fromhex(v) for v in failure.logits]])
    told = hints.hints(
        subject, InProcess, "collapse", FORMATS["float32"], failure, Batch("given", row, None)
    )
    assert ("if meant", 'declare contract={"collapse_free": "no"}') in told


def test_probabilities_of_the_kernels_do_not_collapse_where_the_paper_says_so():
    x = np.zeros((1, 50_000), np.float32)
    x[0, 1:] = -17  # the loss is 2e-3; one by one, the sum is 1
    assert collapse.collapsed(x).tolist() == [False]  # numpy.sum adds in blocks
    assert 1 - softmax(x)[0, 0] == pytest.approx(2.066e-3, rel=1e-3)
