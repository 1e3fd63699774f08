"""Every suite catches broken implementations, and stays silent on right ones."""

import dataclasses
import functools
import importlib
import inspect
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations import definitions_of_a_row, lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.derivations.definition import REGISTRY, define
from softproof.derivations.proofs import facts
from softproof.derivations.signature import Label, Real, Vector
from softproof.verify.inputs.families import Batch, draw
from softproof.verify.oracle.metrics import ulp_error
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report, Result
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.call import load
from softproof.verify.subjects.contract import CHOICES, CONVENTIONAL, USUAL, Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject, SubjectError, SubjectRaised
from softproof.verify.suites import SUITES, invariance, thresholds
from softproof.verify.suites.of_cases import facts as facts_of_cases

TESTS = Path(__file__).parents[2]
BROKEN = "softproof.verify.power.broken"
DEFINITIONS = ("log_softmax", "logsumexp", "cross_entropy", "softmax", "sigmoid", "softplus")

OURS = [s for s in BUILT_IN if "softproof.kernels" in s.id and not s.id.endswith(":naive")]


@pytest.fixture(autouse=True)
def _broken_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)


def broken(name, contract=CONVENTIONAL):
    definition = next(d for d in DEFINITIONS if name.startswith(d + "_"))
    return Subject(f"{BROKEN}:{name}", definition, contract, tuple(FORMATS))


def builtin(pattern, **contract):
    (subject,) = (s for s in BUILT_IN if s.id.endswith(pattern) and not s.id.startswith("cupy"))
    return dataclasses.replace(subject, contract=Contract(**contract)) if contract else subject


def results_of(subject, suite, dtype, *, seed=0, rows=8, given=None):
    """The results of the items of one suite, one by one."""
    chosen = None if given is None else lambda definition, fmt: given
    items = plan([subject], [suite], [dtype], seed=seed, given=chosen)
    assert items, f"{suite} has nothing for {subject.definition}"
    return (execute(dataclasses.replace(item, rows=rows)) for item in items)


def run(subject, suite, dtype, **more):
    """The result of one suite."""
    return functools.reduce(Result.merge, results_of(subject, suite, dtype, **more))


def passes(subject, suite, dtype, **more):
    """Whether a suite finds nothing; what comes after the first failure is not run."""
    return all(result.passed for result in results_of(subject, suite, dtype, **more))


def failed_suites(subject, dtype):
    labelled = lookup(subject.definition).labelled
    suites = [suite for suite in FOUND_BY_ONE_SUITE if suite != "gradient" or labelled]
    return {suite for suite in suites if not passes(subject, suite, dtype)}


def given_row(values, dtype, label=None):
    labels = None if label is None else np.array([label])
    return (Batch("given", np.array([values]).astype(FORMATS[dtype].dtype), labels),)


# --- what each suite catches ---

UNSHIFTED = dataclasses.replace(CONVENTIONAL, pos_inf="nan_at")

# Only the idea of this suite finds the mistake: all others pass.  (But for layouts, which asks the
# same elsewhere in memory, and regressions, which asks for what is known.)
FOUND_BY_ONE_SUITE = {
    "accuracy": [
        ("softmax_flushed", "float32"),
        ("softmax_flushed", "float64"),
    ],
    "overflow": [
        ("softmax_without_max", "float64"),
        ("softmax_contracted_scale", "float32"),
        ("softmax_clamped_at_the_mask_value", "float32"),
        ("softmax_clamped_at_the_mask_value", "float64"),
    ],
    "special-values": [
        ("softmax_ignores_nan", "float64"),
        ("softmax_nan_at_its_place", "float32"),
        ("softmax_infinity_is_large", "float64"),
        ("softmax_poisoned_by_a_masked_row", "float32"),
        ("softmax_masked_row_is_zero", "float32"),
        ("softmax_masked_row_is_uniform", "float64"),
        ("softmax_raises_on_nan", "float32"),
        ("logsumexp_nan_when_masked", "float64"),
        ("logsumexp_of_nothing_is_zero", "float32"),
        ("cross_entropy_gradient_poisoned_by_a_masked_row", "float32"),
        ("sigmoid_infinity_clamped", "float64"),
        ("softplus_swallows_nan", "float32"),
    ],
    "invariance": [
        ("softmax_remembers_a_sorted_row", "float32"),
        ("softmax_remembers_a_sorted_row", "float64"),
        ("logsumexp_remembers_differences", "float64"),
        ("logsumexp_with_twice_its_gradient", "float32"),
    ],
    "gradient": [
        ("cross_entropy_gradient_label_off_by_one", "float32"),
        ("cross_entropy_gradient_of_the_mean", "float64"),
        ("cross_entropy_gradient_of_the_opposite_sign", "float32"),
        ("cross_entropy_gradient_nan_at_masks", "float64"),
    ],
}
# Other suites find it as well, and one of them names it: see NAMED in
# tests/verify/power/test_planted_mistakes.py, which demands that each mistake is found by the
# suite that should find it.
FOUND = {
    "accuracy": [
        "softmax_max_of_the_batch",
        "softmax_max_of_the_wrong_axis",
        "softmax_mean_added",
        "softmax_sums_to_0_999",
        "softmax_over_the_others",
        "softmax_of_minus_x",
        "log_softmax_maximum_added_first",
        "cross_entropy_masked_mean",
        "softplus_overflowing",
    ],
    "overflow": [
        "softmax_first_class_as_reference",
        "cross_entropy_clipped",
    ],
    "special-values": [
        "softmax_max_of_the_batch",
        "softmax_nan_at_masks",
        "softmax_mask_leaks",
        "softmax_first_class_as_reference",
        "logsumexp_log_for_log1p",
        "cross_entropy_mean_of_the_batch",
        "sigmoid_overflowing",
    ],
    "gradient": [
        "cross_entropy_label_off_by_one",
    ],
}
# What a fact finds, in float64: (fact, subject).
FOUND_BY_FACT = [
    (facts.SumsTo, "softmax_sums_to_0_999"),
    (facts.SumsTo, "softmax_running_maximum_without_rescaling"),
    (facts.GradientSumsTo, "cross_entropy_gradient_without_label"),
    (facts.GradientSumsTo, "logsumexp_with_twice_its_gradient"),
    (facts.ShiftInvariant, "softmax_mean_added"),
    (facts.ShiftInvariant, "log_softmax_maximum_added_first"),
    (facts.ShiftInvariant, "cross_entropy_masked_mean"),
    (facts.ShiftEquivariant, "logsumexp_maximum_not_added_back"),
    (facts.PermutationEquivariant, "softmax_last_class_favoured"),
    (facts.PermutationEquivariant, "softmax_tail_skipped"),
    (facts.PermutationInvariant, "cross_entropy_last_class_weighted"),
    (facts.OrderPreserving, "softmax_of_minus_x"),
    (facts.Increasing, "sigmoid_mirrored"),
    (facts.Increasing, "softplus_mirrored"),
    (facts.Range, "softmax_over_the_others"),
    (facts.Range, "log_softmax_positive"),
    (facts.Range, "cross_entropy_negative"),
    (facts.Range, "sigmoid_above_one"),
    (facts.Range, "softplus_below_zero"),
    (facts.Convex, "logsumexp_softmin"),
    (facts.Convex, "cross_entropy_saturated"),
    (facts.Convex, "softplus_saturated"),
    (facts.Identity, "sigmoid_above_one"),
    (facts.Identity, "softplus_with_threshold"),
]
REFUSED = [
    ("softmax_returns_float64", "result has dtype float128, expected float32"),
    ("softmax_keepdims", "result has shape (2, 3, 1), expected (2, 3)"),
    ("softmax_in_place", "the input was changed in place"),
    ("softmax_random", "two calls on the same input gave different results"),
    ("softmax_triple", "returned a tuple of 3; return an array, or (value, gradient)"),
    ("softmax_ragged", "returned a list, not an array"),
    ("softmax_raises", "raised TypeError: unsupported operand"),
    ("softmax_exits", "raised SystemExit: 0"),
    ("cross_entropy_changes_labels", "the input was changed in place"),
    ("cross_entropy_gradient_random", "two calls on the same input gave different results"),
    ("cross_entropy_returns_one_number", "result has shape (), expected (2,)"),
]


@pytest.mark.parametrize(
    ("suite", "name", "dtype"),
    [(s, *case) for s, cases in FOUND_BY_ONE_SUITE.items() for case in cases],
)
def test_one_suite_alone_finds_the_mistake(suite, name, dtype):
    contract = UNSHIFTED if name == "softmax_without_max" else CONVENTIONAL
    assert failed_suites(broken(name, contract), dtype) == {suite}


@pytest.mark.parametrize(
    ("suite", "name"), [(s, name) for s, names in FOUND.items() for name in names]
)
def test_a_suite_finds_what_another_is_named_for(suite, name):
    result = run(broken(name), suite, "float32", rows=4)
    assert 0 < result.violations <= result.checks
    assert all(failure.message and failure.reproduce for failure in result.failures)


# --- facts ---


def test_every_fact_has_a_check():
    kinds = {
        c for c in vars(facts).values() if dataclasses.is_dataclass(c) and hasattr(c, "claims")
    }
    assert len(kinds) > 10
    assert kinds == set(invariance.CHECKS)
    declared = {type(f) for d in definitions_of_a_row() for f in d.facts}
    assert declared <= {*invariance.CHECKS, *facts_of_cases.CHECKS}


def test_every_check_of_a_fact_has_a_mistake_to_find():
    assert {fact for fact, _ in FOUND_BY_FACT} == set(invariance.CHECKS)


def broken_facts(kind, subject, dtype):
    """All that a check finds in a few ordinary rows."""
    definition, fmt = lookup(subject.definition), FORMATS[dtype]
    family = "reals" if definition.elementwise else "normal"
    check = invariance.CHECKS[kind]
    for batch in draw(family, fmt, 4, 0, definition.labelled):
        for i in range(len(batch.logits)):
            label = None if batch.labels is None else int(batch.labels[i])
            context = invariance.Context(
                InProcess(subject), definition, fmt, batch.logits[i], label
            )
            if batch.logits.shape[1] <= 64:
                for fact in (f for f in definition.facts if type(f) is kind):
                    yield from check(fact, context)


@pytest.mark.parametrize(("kind", "name"), FOUND_BY_FACT)
def test_the_check_of_a_fact_finds_the_mistake(kind, name):
    found = list(broken_facts(kind, broken(name), "float64"))
    assert found
    assert all(b.excess > b.allowed for b in found)


@pytest.mark.parametrize("kind", invariance.CHECKS)
def test_the_check_of_a_fact_is_silent_on_our_kernels(kind):
    for name in ("online", "log_softmax", "logsumexp", "cross_entropy_with_gradient"):
        for subject in (s for s in BUILT_IN if s.id.endswith(f":{name}") and s in OURS):
            assert list(broken_facts(kind, subject, "float64")) == []


def test_the_message_of_a_broken_fact_is_the_fact():
    (failure,) = run(broken("softmax_mean_added"), "invariance", "float64").failures[:1]
    assert failure.message == "declared fact broken: f(z + c) = f(z)"
    assert "admissible" in failure.detail


# --- preflight ---


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_preflight_refuses_with_one_clear_message(name, message):
    for item in plan([broken(name)], SUITES, ["float32"]):
        result = execute(item)
        (failure,) = result.failures
        assert (result.checks, result.violations) == (1, 1)  # no cascade
        assert failure.message.startswith(f"preflight: {message}")


def test_preflight_names_the_line_that_raised():
    (item, *_) = plan([broken("softmax_raises")], ["accuracy"], ["float32"])
    line = inspect.getsourcelines(importlib.import_module(BROKEN).softmax_raises)[1] + 2
    assert execute(item).failures[0].message.endswith(f"broken.py:{line})")


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("no_such_module:softmax", "ModuleNotFoundError: No module named 'no_such_module'"),
        (f"{BROKEN}:not_callable", "not_callable is a float, not callable"),
        (BROKEN, "AttributeError"),
        (f"{BROKEN}:softmax_missing", f"module '{BROKEN}' has no attribute 'softmax_missing'"),
    ],
)
def test_a_subject_that_cannot_be_loaded_says_why(subject, message):
    with pytest.raises(SubjectError, match=message):
        load(subject)


def test_a_wrong_form_is_found_at_the_first_call_that_shows_it():
    result = run(broken("softmax_squeezed"), "accuracy", "float32")
    assert not result.passed
    for failure in result.failures:
        assert failure.message.startswith("result has shape (")
        assert "for logits of (" in failure.message


def test_a_subject_that_reuses_its_buffer_is_judged_by_each_result():
    subject = Subject(f"{__name__}:softmax_into_one_buffer", "softmax")
    assert failed_suites(subject, "float32") == set()


_buffer = {}


def softmax_into_one_buffer(x):
    out = _buffer.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
    out[...] = importlib.import_module("right").careful_softmax(x)
    return out


# --- right implementations: see also tests/verify/power/test_false_alarms.py ---


@pytest.mark.parametrize("dtype", FORMATS)
def test_correct_rounding_raises_no_alarm(dtype):
    subject = Subject("right:exact_softmax", "softmax", dtypes=tuple(FORMATS))
    rows = itertools.chain.from_iterable(
        itertools.islice(draw(family, FORMATS[dtype], 1, 0, labelled=False), 2)
        for family in SUITES["accuracy"].families
    )
    # mpmath takes its time for each number: single rows, and none of thousands of classes.
    rows = (batch.rows(np.arange(1)) for batch in rows if batch.logits.shape[1] <= 200)
    result = run(subject, "accuracy", dtype, given=tuple(rows))
    assert result.passed
    assert result.checks > 50
    assert result.worst < 0.76  # (mpmath rounds twice below the normal range)


def test_a_sum_that_keeps_the_leader_fails_where_the_others_are_below_half_an_ulp():
    for row, dtype in (([17.0, 0.0], "float32"), ([37.42994775023705, 0.0], "float64")):
        given = given_row(row, dtype)
        result = run(broken("log_softmax_log_for_log1p"), "accuracy", dtype, given=given)
        (failure,) = result.failures
        assert (float.fromhex(failure.observed), failure.index) == (0.0, 0)
        assert failure.error > 1e6
        assert passes(builtin("kernels:log_softmax"), "accuracy", dtype, given=given)
    assert "overflow" in failed_suites(builtin("kernels:naive"), "float64")


# --- thresholds ---


@pytest.fixture
def unbounded():
    """A definition without a proven bound, under a name of its own."""

    @define(family="test", source="none", arguments={"x": Real()})
    def swish_of_a_test(x, xp):
        """x / (1 + e^-x)."""
        return x / (1 + xp.exp(-x))

    yield swish_of_a_test
    del REGISTRY["swish_of_a_test"]


def swish(x):
    return x / (1 + np.exp(-x))


def swish_hard(x):
    return x * np.clip(x / 6 + x.dtype.type(0.5), 0, 1)


def swish_by_tanh(x):
    return x * (1 + np.tanh(x / 2)) / 2


def test_without_a_declared_bound_a_subject_may_err_as_the_class_does(unbounded):
    def subject(name):
        return Subject(f"{__name__}:{name}", unbounded.name, Contract(accumulator="input"))

    assert passes(subject("swish"), "accuracy", "float32")
    for name in ("swish_hard", "swish_by_tanh"):
        result = run(subject(name), "accuracy", "float32")
        assert not result.passed
        assert result.failures[0].source.startswith("running error of swish_of_a_test, or 4 times")
        assert 1 < result.failures[0].threshold < 100


@pytest.fixture
def own_loss():
    """A loss of the user's, declared as any function of named arguments."""

    @define(family="test", source="none", arguments={"logits": Vector("K"), "label": Label("K")})
    def margin_of_a_test(logits, label, xp):
        """Square of (1 - z_label)."""
        return (1 - logits[label]) * (1 - logits[label])

    yield margin_of_a_test
    del REGISTRY["margin_of_a_test"]


def margin(logits, label):
    return (1 - logits[np.arange(len(label)), label]) ** 2


def margin_of_the_first(logits, label):
    return (1 - logits[:, 0]) ** 2


def test_a_loss_of_the_users_is_asked_by_the_suites_of_rows(own_loss):
    given = given_row([0.5, 2.0, -4.0], "float32", label=1)
    right, wrong = (
        Subject(f"{__name__}:{f.__name__}", own_loss.name) for f in (margin, margin_of_the_first)
    )
    for suite in ("accuracy", "special-values", "gradient"):
        assert run(right, suite, "float32", given=given).passed
    (failure,) = run(wrong, "accuracy", "float32", given=given).failures
    assert (failure.logits, failure.label) == (("0x1p-1", "0x1p+1", "-0x1p+2"), 1)
    assert (failure.observed, failure.expected) == ("0x1p-2", "0x1p+0")
    assert 0.5 < failure.threshold < 10


def test_where_no_running_error_is_known_a_subject_may_err_as_the_formula_does(unbounded):
    def overflows(x):
        return np.where(x < -100, x.dtype.type(1), swish(x))

    def result_of(function):
        subject = Subject("mine:f", unbounded.name)
        (item,) = plan(
            [subject], ["accuracy"], ["float32"], given=lambda *_: given_row([-1000.0], "float32")
        )
        return execute(item, lambda asked: InProcess(asked, function))

    assert result_of(swish).passed
    (failure,) = result_of(overflows).failures
    assert failure.threshold == thresholds.NON_INFERIORITY


def test_a_promise_is_held_against_the_subject():
    promising = Contract(ulps={"float32": 0.6})
    assert passes(builtin("textbook:softmax_shifted"), "accuracy", "float32")
    result = run(
        dataclasses.replace(builtin("textbook:softmax_shifted"), contract=promising),
        "accuracy",
        "float32",
    )
    assert not result.passed
    assert result.failures[0].threshold == 0.6
    assert "promised" in result.failures[0].source


# --- contracts ---

KERNEL = "softproof.kernels:softmax"
SHIFTED = "softproof.verify.textbook:softmax_shifted"
CONTRACTS = [
    ("all_masked=nan", KERNEL, f"{BROKEN}:softmax_masked_row_is_zero"),
    ("all_masked=zero", f"{BROKEN}:softmax_masked_row_is_zero", KERNEL),
    ("all_masked=uniform", f"{BROKEN}:softmax_masked_row_is_uniform", KERNEL),
    ("pos_inf=nan_all", KERNEL, f"{BROKEN}:softmax_infinity_is_large"),
    ("pos_inf=nan_at", f"{BROKEN}:softmax_without_max", KERNEL),
    ("pos_inf=mass", f"{BROKEN}:softmax_infinity_is_large", KERNEL),
    ("nan=row", KERNEL, f"{BROKEN}:softmax_nan_at_its_place"),
    ("nan=at", f"{BROKEN}:softmax_nan_at_its_place", f"{BROKEN}:softmax_ignores_nan"),
    ("empty=empty", KERNEL, SHIFTED),
    ("empty=error", SHIFTED, KERNEL),
]


@pytest.mark.parametrize(("setting", "keeps", "breaks"), CONTRACTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_contract_is_kept_or_broken(setting, keeps, breaks, dtype):
    for subject_id, kept in ((keeps, True), (breaks, False)):
        subject = Subject(subject_id, "softmax").declaring([setting])
        result = run(subject, "special-values", dtype)
        assert result.passed == kept
        if not kept:
            assert setting in result.failures[0].source


def test_every_choice_of_special_values_is_tested():
    tested = {setting for setting, _, _ in CONTRACTS}
    thresholds = {"accumulator", "summation", "arithmetic"}
    elsewhere = thresholds | {"flush_to_zero", "bitwise_batch", "collapse_free", "layouts"}
    elsewhere |= {"masked_nan", *USUAL}  # of functions of several arguments
    elsewhere |= {"overflow"}  # test_eight_bits
    assert tested == {
        f"{name}={value}"
        for name, values in CHOICES.items()
        for value in values
        if name not in elsewhere
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_flushing_to_zero_may_be_declared(dtype):
    flushing = broken("softmax_flushed")
    assert not passes(flushing, "accuracy", dtype)
    assert passes(flushing.declaring(["flush_to_zero=yes"]), "accuracy", dtype)


STICKY = ["accumulator=input", "summation=any", "arithmetic=input"]


def test_a_narrow_accumulator_may_be_declared():
    sticky = broken("softmax_sticky_sum")
    for dtype in ("float16", "bfloat16"):
        assert passes(sticky.declaring(STICKY), "accuracy", dtype)
        wider = [*STICKY, "accumulator=float32"]
        assert not passes(sticky.declaring(wider), "accuracy", dtype)


# 1 absorbs every e^-17 in float32: 4095 of them are lost where it adds one by one.
ABSORBED = [0.0] + [-17.0] * 4095


def test_a_wide_accumulator_is_held_to_more():
    given = given_row(ABSORBED, "float32")
    sticky = broken("softmax_sticky_sum").declaring(["summation=any"])
    assert passes(sticky.declaring(["accumulator=float32"]), "accuracy", "float32", given=given)
    result = run(sticky.declaring(["accumulator=float64"]), "accuracy", "float32", given=given)
    assert not result.passed
    assert "accumulator float64" in result.failures[0].source


def test_a_plain_loop_is_told_to_declare_its_order_of_summation():
    given = given_row(ABSORBED, "float32")
    loop = broken("softmax_sticky_sum")
    result = run(loop, "accuracy", "float32", given=given)
    assert not result.passed
    assert "--contract summation=any" in result.failures[0].detail
    assert "summation blocked" in result.failures[0].source
    assert passes(loop.declaring(["summation=any"]), "accuracy", "float32", given=given)


def test_no_setting_is_named_for_what_none_admits():
    result = run(broken("softmax_cubic_exp"), "accuracy", "float32")
    assert not result.passed
    assert "--contract" not in result.failures[0].detail


# --- given rows ---


@pytest.mark.parametrize(
    "row", [[math.nan, 1.0], [math.inf, 1.0], [-math.inf, -math.inf], [math.inf, math.nan, 0.0]]
)
def test_rows_without_an_exact_value_are_left_to_the_contract(row):
    for subject in (builtin("kernels:online"), builtin("kernels:cross_entropy_with_gradient")):
        label = 1 if lookup(subject.definition).labelled else None
        given = given_row(row, "float32", label)
        for suite in ("accuracy", "overflow", "invariance"):
            assert run(subject, suite, "float32", given=given).checks == 0
        result = run(subject, "special-values", "float32", given=given)
        assert (result.passed, result.checks) == (True, 1)


def test_a_given_row_of_special_values_is_held_against_the_contract():
    given = given_row([math.nan, 1.0, 2.0], "float32")
    result = run(broken("softmax_ignores_nan"), "special-values", "float32", given=given)
    assert not result.passed
    assert "--row=nan,0x1p+0,0x1p+1" in result.failures[0].reproduce


def test_every_given_row_is_looked_at():
    logits = np.float32([[1, 2], [3, 4], [np.nan, 0], [1, np.inf]])
    given = (Batch("given", logits, None),)
    result = run(broken("softmax_ignores_nan"), "special-values", "float32", given=given)
    assert (result.checks, result.violations) == (2, 1)


# --- shrinking ---


@pytest.mark.parametrize("name", ["softmax_nan_at_masks", "softmax_mask_leaks"])
def test_shrinking_ends_before_every_class_is_masked(name):
    failures = run(broken(name), "overflow", "float32").failures
    assert failures
    for failure in failures:
        assert failure.logits.count("-inf") >= 1
        assert len(failure.logits) <= 3
        assert any(v != "-inf" for v in failure.logits)


def test_a_subject_that_fails_now_and_then_is_still_reported(monkeypatch):
    monkeypatch.setattr(importlib.import_module(BROKEN), "_calls", itertools.count())
    result = run(broken("softmax_alternating"), "accuracy", "float32")
    assert {f.kind for f in result.failures} == {"not deterministic"}


def test_an_exception_of_a_subject_is_a_finding_not_a_crash():
    with pytest.raises(SubjectRaised, match=r"raised TypeError: unsupported operand \(.*broken"):
        InProcess(broken("softmax_raises"))(np.zeros((1, 2)), None)


# --- what review found ---


def test_a_mistake_that_only_the_batch_shows_says_so():
    (failure, *_) = run(broken("softmax_max_of_the_batch"), "accuracy", "float32").failures
    assert "only in its batch" in failure.detail
    assert "--row" not in failure.reproduce
    assert "--seed 0" in failure.reproduce


def test_a_finite_result_for_what_just_overflows_is_measured_from_the_end_of_the_range():
    z = np.float16([65504, 65504, -15.99])  # exact -65520.7: rounds to -inf
    exact = thresholds.reference(
        lookup("log_softmax"), FORMATS["float16"], Batch("", z[None, :], None), 0
    )
    near, wrong = np.float16([-0.6934, -0.6934, -65504]), np.float16([-0.6934, -0.6934, -6e4])
    assert ulp_error(near, exact)[2] == 1
    assert ulp_error(wrong, exact)[2] > 100


def test_a_function_whose_formula_has_no_value_at_infinity_is_judged_elsewhere(monkeypatch):
    growing_wave = dataclasses.replace(
        lookup("sigmoid"),
        name="growing_wave",
        formula=lambda x, xp: xp.exp(x) * xp.sin(x),
        facts=(),
        forms={},
    )
    monkeypatch.setitem(REGISTRY, "growing_wave", growing_wave)
    assert not thresholds.has_truth(growing_wave, np.array([np.inf]))
    assert thresholds.has_truth(growing_wave, np.array([-np.inf]))


# --- what the second review found ---


def right():
    return importlib.import_module("right")


def logsumexp_finite_at_infinities(x):
    value = right().careful_logsumexp(x)
    return np.where(np.isinf(value), x.dtype.type(3), value)


def log_softmax_finite_under_a_mask(x):
    value = right().careful_log_softmax(x)
    return np.where(np.isneginf(value), x.dtype.type(-5), value)


TWO_ULPS = Contract(ulps={"float64": 2})


@pytest.mark.parametrize(
    ("name", "definition", "contract", "dtype"),
    [
        ("logsumexp_finite_at_infinities", "logsumexp", Contract(), "float32"),
        ("logsumexp_finite_at_infinities", "logsumexp", Contract(), "float16"),
        ("log_softmax_finite_under_a_mask", "log_softmax", Contract(pos_inf="mass"), "float32"),
        (
            "log_softmax_finite_under_a_mask",
            "log_softmax",
            Contract(ulps={"float64": 2}),
            "float64",
        ),
    ],
)
def test_where_an_infinity_is_promised_no_number_will_do(name, definition, contract, dtype):
    subject = Subject(f"{__name__}:{name}", definition, contract, tuple(FORMATS))
    result = run(subject, "special-values", dtype)
    assert any(np.isinf(float.fromhex(f.expected)) for f in result.failures)


def softmax_of_nan(x):
    return np.full_like(x, np.nan)


def test_a_fact_about_no_numbers_is_no_check():
    subject = Subject(f"{__name__}:softmax_of_nan", "softmax")
    assert run(subject, "invariance", "float32").status == "empty"


def test_an_expected_failure_excuses_numbers_and_no_exception():
    class Excuse:
        reason = "issue 12"

        def covers(self, definition, subject, suite, dtype):
            return True

    def status(name):
        report = Report(0, "quick", expected=[Excuse()])
        report.add(run(broken(name), "accuracy", "float32"))
        return report.results.popitem()[1].status

    assert status("softmax_tail_skipped") == "expected"
    assert status("softmax_raises") == "refused"
    assert status("softmax_squeezed") == "fail"


def logsumexp_with_a_uniform_gradient(x):
    return right().careful_logsumexp(x), np.full_like(x, 1 / max(1, x.shape[1]))


def logsumexp_with_softmax(x):
    return right().careful_logsumexp(x), right().careful_softmax(x)


def test_the_gradient_of_log_sum_exp_is_judged_where_it_is_returned():
    def gradient(name):
        return run(Subject(f"{__name__}:{name}", "logsumexp"), "gradient", "float32", rows=2)

    assert gradient("logsumexp_with_softmax").status == "pass"
    assert gradient("logsumexp_with_a_uniform_gradient").status == "fail"


def softmax_and_more(x):
    return right().careful_softmax(x), x


def test_a_second_array_where_there_is_no_gradient_is_refused():
    result = run(Subject(f"{__name__}:softmax_and_more", "softmax"), "accuracy", "float32")
    assert result.failures[0].message == "preflight: returned a tuple of 2; softmax is one array"


def test_a_promise_below_what_the_oracle_tells_is_refused():
    with pytest.raises(ValueError, match=r"ulps\['float32'\]=0; promise at least"):
        Contract(ulps={"float32": 0})


# --- functions of one real at infinities ---


def ria_without_a_limit_on_the_left(x):
    """Right at every number; NaN at -inf, as x Phi(x) + phi(x) computed as it is written."""
    value = importlib.import_module("softproof.kernels").ria(x.astype(np.float64))
    return np.where(x == -np.inf, np.nan, value).astype(x.dtype)


def ria_with_its_limit_on_the_left(x):
    value = ria_without_a_limit_on_the_left(x)
    return np.where(x == -np.inf, 0, value).astype(x.dtype)


def ria_one_off_on_the_left(x):
    value = ria_without_a_limit_on_the_left(x)
    return np.where(x == -np.inf, 1, value).astype(x.dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "observed"),
    [
        ("ria_without_a_limit_on_the_left", np.nan),
        ("ria_one_off_on_the_left", 1.0),
        ("ria_with_its_limit_on_the_left", None),
    ],
)
def test_a_function_of_one_real_is_held_to_its_limit_at_minus_infinity(name, observed, dtype):
    """The formula of ria is -inf * 0 there, which once excused every result."""
    result = run(
        Subject(f"{__name__}:{name}", "ria", Contract(), tuple(FORMATS)), "special-values", dtype
    )
    failures = [(f.message, float.fromhex(f.observed), f.expected) for f in result.failures]
    if observed is None:
        assert failures == []
        return
    ((message, value, expected),) = failures
    assert "argument -inf" in message
    assert np.array_equal(value, observed, equal_nan=True)
    assert float.fromhex(expected) == 0
