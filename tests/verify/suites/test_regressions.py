"""The regression cases: true numbers, each bug caught, right implementations not accused."""

import dataclasses
import functools
import io
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from rich.console import Console
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.verify.oracle.metrics import hexadecimal
from softproof.verify.oracle.truth import truth
from softproof.verify.power import broken_regressions
from softproof.verify.register.record import load
from softproof.verify.register.row_probe import RowProbe
from softproof.verify.runs import regression_record as regressions
from softproof.verify.runs.regression_record import (
    FAIL,
    NOT_ASKED,
    ORIGINS,
    PASS,
    VARIES,
    check,
    origin,
)
from softproof.verify.runs.snippet import snippet
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.contract import CONVENTIONAL
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.registration import ANY_FORMAT
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import thresholds
from softproof.verify.suites.regressions import check_own

from tests.verify.register.planted import PLANTED

CASES = {case.id: case for case in load()}
# The bugs of rows: those of other functions stand in tests/verify/register.
OF_ROWS = [case for case in load() if all(isinstance(p, RowProbe) for p in case.probes)]


def live(function, *, dtypes=ANY_FORMAT, name=None):
    """A function of ``broken_regressions``, named by its definition, as a subject."""
    known = ("log_softmax", "logsumexp", "cross_entropy", "softmax")
    definition = next(d for d in known if function.__name__.startswith(d))
    subject = Subject(
        name or f"softproof.verify.power.broken:{function.__name__}",
        definition,
        CONVENTIONAL,
        dtypes,
    )
    return InProcess(subject, function)


# --- the records ---


def test_the_bugs_of_rows():
    assert [case.id for case in OF_ROWS] == [
        "all_masked_row",
        "grad_at_neg_inf",
        "masked_huge_logit_grad",
        "wide_low_precision_sum",
        "dominant_logprob",
        "lse_small_result",
        "shift_invariance_large",
        "scaled_contraction",
        "plus_inf",
        "zero_label_neg_inf_logit",
        "tile_all_neg_inf",
        "finite_sentinel_leak",
        "log_of_softmax",
        "half_path_divergence",
        "batch_invariance",
        "missing_max_in_vector_lane",
        "signed_weights_lse",
        "reduction_none_grad",
        "index_overflow",
        "label_out_of_range",
        "padded_channels",
    ]


def test_numbers_are_rounded_once_into_the_format():
    (case,) = (c for c in load() if c.id == "finite_sentinel_leak")
    lowest = case.probes[2]
    assert lowest.logits.array(BINARY32).tolist() == [float(np.float32(-3e38)), -np.inf, -np.inf]
    assert list(lowest.expected) == ["bfloat16", "float32"]


def test_long_rows_are_what_their_rule_says():
    probe = CASES["tile_all_neg_inf"].probes[0]
    row = probe.logits.array(BINARY32)
    assert len(probe.logits) == len(row) == 100_000
    assert np.flatnonzero(np.isfinite(row)).tolist() == [50_000]
    assert row[50_000] == 10


# --- the truths, computed again without softproof ---

MP = mpmath.MPContext()
MP.prec = 1500


def recomputed(probe, row, fmt):
    """The true numbers of a probe by the textbook formulas, in 1500 bits, rounded once.

    Classes that are alike in all respects are taken together, for speed; that is all.
    """
    size, options = len(row), probe.options
    kept = options.get("where", [True] * size)
    weights = floats(options.get("b"), fmt) or [1.0] * size
    g = floats(options.get("cotangent"), fmt) or [1.0]
    g = g if len(g) == size else g * size
    right = [k == probe.label for k in range(size)]
    classes = [*zip(row.astype(np.float64).tolist(), kept, weights, g, right, strict=True)]
    alike = Counter(classes)
    outputs = size if probe.property == "gradient" else 1

    def z(k):
        return MP.mpf(k[0]) * MP.mpf(options.get("scale", 1)) if k[1] else -MP.inf

    m = max(z(k) for k in alike)
    if m == -MP.inf:  # the empty sum, and its gradient by decree
        return [rounded(-MP.inf if probe.property == "value" else MP.mpf(0), fmt)] * outputs
    if "ignore_index" in options and probe.label == options["ignore_index"]:
        return [rounded(MP.mpf(0), fmt)] * outputs
    total = sum(n * MP.mpf(k[2]) * MP.exp(z(k) - m) for k, n in alike.items())
    lse = m + MP.log(total)

    def p(k):
        return MP.exp(z(k) - m) / total

    mean = sum(n * MP.mpf(k[3]) * p(k) for k, n in alike.items())
    whole = sum(n * MP.mpf(k[3]) for k, n in alike.items())
    formula = {
        ("softmax", "value"): p,
        ("log_softmax", "value"): lambda k: z(k) - lse,
        ("logsumexp", "value"): lambda k: lse,
        ("cross_entropy", "value"): lambda k: lse - z(k),
        ("softmax", "gradient"): lambda k: p(k) * (MP.mpf(k[3]) - mean),
        ("log_softmax", "gradient"): lambda k: MP.mpf(k[3]) - p(k) * whole,
        ("logsumexp", "gradient"): lambda k: MP.mpf(k[3]) * p(k),
        ("cross_entropy", "gradient"): lambda k: MP.mpf(k[3]) * (p(k) - k[4]),
    }[probe.definition, probe.property]
    if probe.property == "value" and probe.definition == "logsumexp":
        classes = classes[:1]
    elif probe.property == "value" and probe.definition == "cross_entropy":
        classes = [classes[probe.label]]
    results = {k: rounded(formula(k), fmt) for k in set(classes)}
    return [results[k] for k in classes]


def floats(row, fmt):
    return row and row.array(fmt).astype(np.float64).reshape(-1).tolist()


def rounded(value, fmt):
    if MP.isinf(value):
        return float(value)
    if abs(value) < MP.ldexp(1, fmt.tiny_exponent - 8):  # its exponent may be -10^12
        return 0.0
    man, exponent = (int(v) for v in value.man_exp)
    signed = -abs(man) if value < 0 else abs(man)
    return float(fmt.round(Fraction(signed) * Fraction(2) ** exponent))


@pytest.mark.parametrize("case", OF_ROWS, ids=lambda case: case.id)
def test_recorded_numbers_are_true(case):
    for probe in case.probes:
        for dtype, expected in probe.expected.items():
            fmt = FORMATS[dtype]
            true = recomputed(probe, probe.logits.array(fmt), fmt)
            assert expected.array(fmt).astype(np.float64).reshape(-1).tolist() == true, (
                probe,
                dtype,
            )


@pytest.mark.parametrize("case", OF_ROWS, ids=lambda case: case.id)
def test_the_oracle_gives_the_recorded_numbers(case):
    for probe in case.probes:
        for dtype in probe.expected if probe.ulps is None else ():
            fmt = FORMATS[dtype]
            row = probe.logits.array(fmt)
            gradient = probe.property == "gradient"
            definition = lookup(probe.definition)
            assert thresholds.has_truth(definition, row)
            exact = truth(definition, row, fmt, label=probe.label, gradient=gradient)
            recorded = probe.expected[dtype].array(fmt).reshape(-1)
            np.testing.assert_array_equal(exact.rounded.reshape(-1), recorded)


# --- malformed records ---

GOOD = """
[[case]]
id = "one"
upstream = ["numpy/numpy#1"]
why = "Because."
[[case.probe]]
definition = "softmax"
property = "value"
arguments.logits = [0.0, 0.0]
expected.float32 = [0.5, 0.5]
"""

MALFORMED = [
    ('id = "one"', "", "lacks id"),
    ('why = "Because."', 'wy = "Because."', "lacks why"),
    ('["numpy/numpy#1"]', '["numpy 1"]', "owner/repository#number"),
    ('"softmax"', '"sofmax"', "no definition is called 'sofmax'"),
    ('"value"', '"vale"', "property 'vale' is none of value"),
    ("arguments.logits = [0.0, 0.0]", "arguments.logits = []", "no numbers"),
    ("[0.0, 0.0]", '["zero", 0.0]', "'zero' is no number"),
    ("[0.0, 0.0]", "{ fill = 0.0, count = 2 }", "lacks shape"),
    ("[0.0, 0.0]", "{ fill = 0.0, shape = 2 }", "shape is 2"),
    ("[0.0, 0.0]", "{ count = 2 }", "has none of fill, runs, from, normal"),
    ("[0.0, 0.0]", "{fill = 0.0, shape = [2], at = {2 = 1.0}}", "index 2"),
    ("[0.0, 0.0]", "{runs = [[0.0, 2]], shape = [3]}", "have not the shape (3,)"),
    ("[0.0, 0.0]", "[[0.0], [0.0]]", "they are one row"),
    ("[0.0, 0.0]", "[[0.0, 1.0], [0.0]]", "rows of several lengths"),
    ("arguments.logits", "arguments.z", "give logits"),
    ("[0.5, 0.5]", "[0.5]", "1 numbers for 2 results"),
    ("[0.5, 0.5]", "[0.1, 0.5]", "0x1.999999999999ap-4 is no number of float32"),
    ("expected.float32", "expected.float33", "must be some of float16"),
    ("expected.float32 = [0.5, 0.5]", "", "expected numbers"),
    ("expected.float32 = [0.5, 0.5]", 'expected = "contract"', "dtypes"),
    ("arguments.", "ulps = 2\narguments.", "ulps and their reason"),
    ("arguments.", "arguments.label = 0\narguments.", "softmax takes none"),
    ("arguments.", "argument.label = 0\narguments.", "unknown argument"),
    ("arguments.", "options = { scale = 2.0 }\narguments.", "state ulps"),
    ("arguments.", "options = { scal = 2.0 }\narguments.", "unknown option scal"),
    ("arguments.", "options = { where = [true] }\narguments.", "where must be 2"),
    ("arguments.", "batches = [2]\narguments.", "batches belong to a bitwise probe"),
    ("arguments.", "lengths = [3]\narguments.", "lengths are 1 to 2"),
]


@pytest.mark.parametrize(("old", "new", "message"), MALFORMED, ids=[m for _, _, m in MALFORMED])
def test_malformed_records_are_named(old, new, message, tmp_path):
    file = tmp_path / "cases.toml"
    file.write_text(GOOD)
    assert len(load(file)) == 1
    broken = tmp_path / "broken.toml"
    broken.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(message)):
        load(broken)


def test_ids_are_unique(tmp_path):
    file = tmp_path / "cases.toml"
    file.write_text(GOOD + GOOD)
    with pytest.raises(ValueError, match="two cases are called 'one'"):
        load(file)


# --- each bug is caught, and only a bug ---


def verdict(function, case, **changes):
    return check(CASES[case], live(function, **changes)).verdict


def case_of(function):
    return next(i for i in CASES if function.__name__.endswith(i))


@pytest.mark.parametrize("function", broken_regressions.BROKEN, ids=lambda f: f.__name__)
def test_the_bug_of_a_case_is_caught_by_it(function):
    informative = case_of(function) == "batch_invariance"
    assert verdict(function, case_of(function)) == (VARIES if informative else FAIL)


def test_every_case_has_its_bug():
    planted = {case_of(function) for function in broken_regressions.BROKEN}
    assert planted | {p.case for p in PLANTED} >= {case.id for case in OF_ROWS}


@functools.cache
def fared(function):
    return [check(case, live(function)) for case in load()]


@pytest.mark.parametrize("function", broken_regressions.CAREFUL, ids=lambda f: f.__name__)
def test_a_careful_implementation_passes_every_case(function):
    found = fared(function)
    assert [f for outcome in found for f in outcome.findings] == []
    assert {outcome.verdict for outcome in found} <= {PASS, NOT_ASKED}


def test_every_case_is_asked_of_the_careful_implementations():
    outcomes = [o for function in broken_regressions.CAREFUL for o in fared(function)]
    assert {o.case for o in outcomes if o.verdict == PASS} >= {case.id for case in OF_ROWS}


OURS = [s for s in BUILT_IN if origin(s) == "softproof"]


@pytest.mark.parametrize("subject", OURS, ids=lambda s: s.id)
def test_our_kernels_pass_every_case(subject):
    for case in load():
        outcome = check(case, InProcess(subject))
        assert outcome.verdict in (PASS, NOT_ASKED), outcome.findings


def test_a_keyword_that_a_subject_lacks_is_not_asked_for():
    def softmax(x):
        return broken_regressions.softmax(x)

    assert verdict(softmax, "masked_huge_logit_grad") == NOT_ASKED
    assert verdict(softmax, "scaled_contraction") == PASS  # its probes without scale


def test_a_finding_tells_what_else_the_call_had():
    outcome = check(
        CASES["scaled_contraction"], live(broken_regressions.softmax_scaled_contraction)
    )
    assert outcome.findings[0].violation.detail == "called with scale=0.3333333432674408"
    outcome = check(CASES["grad_at_neg_inf"], live(broken_regressions.logsumexp_grad_at_neg_inf))
    assert outcome.findings[0].violation.detail == "called with cotangent=1.0"


def test_a_subject_that_raises_fails():
    def softmax(x):
        raise RuntimeError("not today")

    outcome = check(CASES["finite_sentinel_leak"], live(softmax))
    assert outcome.verdict == FAIL
    assert "not today" in outcome.findings[0].violation.message
    assert outcome.findings[0].violation.kind == "raised"


def test_what_a_contract_declares_is_right():
    def softmax(x):  # the whole mass at +inf
        at = np.isposinf(x)
        p = broken_regressions.softmax(np.where(at, 0, x))
        share = at / np.maximum(at.sum(axis=-1, keepdims=True), 1)
        return np.where(at.any(axis=-1, keepdims=True), share, p).astype(x.dtype)

    subject = live(softmax)
    assert check(CASES["plus_inf"], subject).verdict == FAIL
    declared = subject.subject.declaring(["pos_inf=mass"])
    assert check(CASES["plus_inf"], InProcess(declared, softmax)).verdict == PASS


# --- as a suite ---


def test_as_a_suite_the_cases_find_a_bug_and_no_more():
    wrong = live(broken_regressions.log_softmax_dominant_logprob)
    found = check_own(wrong, wrong.definition, BINARY32)
    families = {batch.family for batch, verdict in found if verdict.violations}
    assert families == {"regression: dominant_logprob"}
    right = live(broken_regressions.log_softmax)
    assert not any(v.violations for _, v in check_own(right, right.definition, BINARY32))


def test_as_a_suite_other_bits_in_a_batch_are_no_violation():
    subject = live(broken_regressions.softmax_batch_invariance)
    found = check_own(subject, subject.definition, BINARY32)
    assert not any(verdict.violations for _, verdict in found)
    assert any("batch_invariance" in batch.family for batch, _ in found)


# --- the table ---


def test_the_table_has_a_row_for_each_case_and_names_the_worst():
    planted = {  # in place of SciPy's own, whose bits are SciPy's business
        "scipy.special:log_softmax": broken_regressions.log_softmax_dominant_logprob,
        "scipy.special:softmax": broken_regressions.softmax,
    }
    rows = regressions.table(InProcess(s, planted[s.id]) for s in BUILT_IN if s.id in planted)
    assert list(rows) == list(CASES)
    cell = rows["dominant_logprob"]["SciPy"]
    assert (cell.verdict, cell.worst) == (FAIL, ("scipy.special:log_softmax",))
    assert rows["lse_small_result"]["SciPy"].verdict == NOT_ASKED
    assert rows["dominant_logprob"]["SciPy"].asked == 1
    assert rows["finite_sentinel_leak"]["SciPy"].verdict == PASS

    out = io.StringIO()
    console = Console(file=out, width=100)
    regressions.print_table(rows, console)
    regressions.print_failures(rows, console)
    text = out.getvalue()
    assert re.search(r"dominant_logprob +│ FAIL +│", text)
    assert "scipy/scipy#19521" in text
    assert "observed 0x0p+0, expected -0x1.639e3p-25" in text


def test_a_cell_is_the_worst_of_its_subjects():
    outcomes = [
        regressions.Outcome("one", PASS, ("a",), 1),
        regressions.Outcome("one", VARIES, ("b",), 1),
        regressions.Outcome("one", FAIL, ("c",), 1),
        regressions.Outcome("one", FAIL, ("d",), 1),
        regressions.Outcome("one", NOT_ASKED, ("e",), 0),
    ]
    assert regressions.merge(outcomes) == regressions.Outcome("one", FAIL, ("c", "d"), 4)
    assert regressions.merge(outcomes[:2]).verdict == VARIES
    assert regressions.merge(outcomes[::4]).verdict == PASS


def test_a_cell_names_subjects_only_where_others_fare_better():
    all_of_them = regressions.Outcome("lse_small_result", FAIL, ("m:f", "m:g"), 2)
    one_of_them = regressions.Outcome("dominant_logprob", FAIL, ("m:f",), 2)
    out = io.StringIO()
    rows = {outcome.case: {"JAX": outcome} for outcome in (all_of_them, one_of_them)}
    regressions.print_table(rows, Console(file=out, width=100))
    assert re.search(r"lse_small_result │ FAIL +│", out.getvalue())
    assert re.search(r"dominant_logprob │ FAIL f +│", out.getvalue())


def test_naive_forms_are_left_out_of_the_table():
    left_out = {s.id for s in BUILT_IN if origin(s) is None and s.definition == "softmax"}
    assert left_out == {"softproof.kernels:naive", "softproof.verify.textbook:softmax_naive"}


# --- scripts without softproof ---


def observed(script):
    """What a script prints, in an interpreter of its own."""
    assert "softproof" not in script
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    (number,) = re.findall(r"^observed (\S+)$", result.stdout, re.MULTILINE)
    return hexadecimal(float.fromhex(number))


def numpy_subject(expression, definition="softmax"):
    return Subject("test:f", definition, snippet=expression)


def test_a_script_keeps_every_bit_of_its_numbers():
    row = np.array([np.float32(0.1), -np.inf, np.nan, -0.0, np.float32(1e-45)], dtype=np.float32)
    for k, value in enumerate(row):
        script = snippet(numpy_subject("x"), row, place=(0, k))
        assert observed(script) == hexadecimal(float(value))


def test_a_script_takes_bfloat16_labels_and_a_batch():
    bfloat16 = FORMATS["bfloat16"].dtype
    batch = np.array([[1.5, 2.5], [0.1, 7.0]]).astype(bfloat16)
    subject = numpy_subject("x[np.arange(2), labels]", "cross_entropy")
    script = snippet(subject, batch, np.array([1, 0]), place=(1,), expected=0.1)
    assert observed(script) == hexadecimal(float(batch[1, 0]))


def test_a_script_writes_equal_numbers_once():
    row = np.full(100_000, -np.inf, dtype=np.float32)
    row[50_000] = 10
    script = snippet(numpy_subject("x"), row, place=(0, 50_000))
    assert "[-inf] * 50000 + [10.0] + [-inf] * 49999" in script
    assert observed(script) == "0x1.4p+3"


def test_a_script_passes_options_on():
    subject = numpy_subject("scipy.special.logsumexp(x, axis=-1)", "logsumexp")
    options = {"b": np.array([[1.0, 3.0]])}
    script = snippet(subject, np.zeros(2), options=options)
    assert float.fromhex(observed(script)) == pytest.approx(np.log(4))


def test_a_script_scales_before_the_call():
    subject = numpy_subject("x.sum(-1)", "logsumexp")
    script = snippet(subject, np.float64([1.0, 2.0]), options={"scale": 0.5})
    assert observed(script) == "0x1.8p+0"


def test_a_script_may_have_statements_and_a_gradient():
    subject = numpy_subject("p = x / x.sum()\nloss = p[:, 0]\nloss, 2 * p", "cross_entropy")
    row = np.float64([1.0, 3.0])
    assert observed(snippet(subject, row, 0)) == "0x1p-2"
    assert observed(snippet(subject, row, 0, place=(0, 1), in_gradient=True)) == "0x1.8p+0"
    assert snippet(numpy_subject("x"), row, place=(0, 1), in_gradient=True) is None


def test_a_script_turns_to_the_other_axis():
    subject = numpy_subject("x.max(-1)", "logsumexp")
    script = snippet(subject, np.array([[1.0, 2.0], [3.0, 0.0]]), place=(1,), axis=0)
    assert observed(script) == "0x1p+1"


def test_there_is_no_script_where_the_subject_does_not_tell_its_call():
    assert snippet(numpy_subject(""), np.zeros(2)) is None


def test_there_is_no_script_of_too_many_numbers():
    assert snippet(numpy_subject("x"), np.random.default_rng(0).normal(size=2000)) is None


def found_scripts(cases, subjects):
    """Every failure of subjects on cases, with its script."""
    with Workers() as workers:
        for subject in subjects:
            for case in cases:
                yield from check(case, workers.connect(subject)).findings


def demand_same_numbers(findings):
    """One interpreter for each array library runs all scripts, and must see the same numbers."""
    by_library = {}
    for finding in findings:
        assert finding.script is not None, finding
        by_library.setdefault(finding.subject.arrays, []).append(finding)
    for found in by_library.values():
        runner = "".join(f"exec({f.script!r}, {{}})\n" for f in found)
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-"], input=runner, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        numbers = re.findall(r"^observed (\S+)$", result.stdout, re.MULTILINE)
        for finding, number in zip(found, numbers, strict=True):
            assert "softproof" not in finding.script
            shown = hexadecimal(float.fromhex(number))
            assert shown == hexadecimal(finding.violation.observed), finding.script


def test_a_script_shows_what_a_planted_form_gives():
    shifted = next(s for s in BUILT_IN if s.id.endswith("textbook:log_softmax_shifted"))
    findings = list(found_scripts([CASES["dominant_logprob"]], [shifted]))
    assert len(findings) >= 2
    demand_same_numbers(findings)


# The forms that people write in NumPy are nobody's to be told of.
FRAMEWORKS = [name for name in ORIGINS if name not in ("softproof", "NumPy forms")]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_scripts_show_what_was_reported_of_a_framework(name, record_property):
    """Of one definition, one format and one case, for time; the long test has them all."""
    definition = "cross_entropy" if name == "scikit-learn" else "log_softmax"
    subjects = [s for s in BUILT_IN if origin(s) == name and s.definition == definition]
    assert subjects, f"no built-in subject is of {name}"
    here = [
        dataclasses.replace(s, dtypes=("float32",))
        for s in subjects
        if s.missing() is None and "compiled" not in s.id
    ]
    if not here:
        pytest.skip(f"{name}: {subjects[0].missing()}")
    findings = list(found_scripts([CASES["dominant_logprob"]], here))
    if not findings:
        record_property("news", f"{name}: dominant_logprob is mended ({subjects[0].id})")
    demand_same_numbers(findings)


@pytest.mark.long
def test_every_failure_of_a_framework_has_a_script_that_shows_it():
    subjects = [s for s in BUILT_IN if origin(s) in FRAMEWORKS and s.missing() is None]
    demand_same_numbers(found_scripts(load(), subjects))
