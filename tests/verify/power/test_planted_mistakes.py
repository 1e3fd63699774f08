"""The tester is tested: each mistake is found and named.

Who makes none is left in peace: test_false_alarms.py.
"""

import dataclasses
import importlib
import inspect
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.cli.main import app
from softproof.verify.inputs.user_rows import given_row
from softproof.verify.oracle.metrics import hexadecimal
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.contract import CONVENTIONAL
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject, SubjectError, SubjectRaised, TimedOut
from typer.testing import CliRunner

TESTS = Path(__file__).parents[2]
BROKEN = "softproof.verify.power.broken"
# The suites that look at numbers; layouts and regressions have mistakes and tests of their own.
DRAWN = ("accuracy", "overflow", "special-values", "invariance", "gradient")
DEFINITIONS = ("log_softmax", "logsumexp", "cross_entropy", "softmax", "sigmoid", "softplus")


@pytest.fixture(autouse=True)
def _tests_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)


def worst(subject, suite, dtype, *, given=None, until=None):
    """The failures of a suite, which are no more than it has checks.

    With ``until``, no more than up to the first item that fails with that message: each item
    shrinks its worst row, for seconds where rows are long.
    """
    failures = []
    for item in plan([subject], [suite], [dtype], given=given):
        result = execute(item)
        assert result.violations <= result.checks
        failures += result.failures
        if until is not None and any(f.message.startswith(until) for f in result.failures):
            break
    return failures


# --- every mistake is found, and named by the property that should find it ---

VALUE = "value beyond its error bound"
GRADIENT = "gradient beyond its error bound"
AGAIN = "two calls on the same input gave different results"
FACT = "declared fact broken: "
SPECIAL = "special value: "
OTHERS = ": a special row changes the results of other rows"
REFUSED = "preflight: "


@dataclass(frozen=True)
class Named:
    """What must find a mistake: the suite, the message and the kind of its failures, the format."""

    suite: str
    message: str
    dtype: str = "float32"
    kind: str = "value"


def found(suite, message, names, **more):
    return dict.fromkeys(names.split(), Named(suite, message, **more))


NAMED = {
    # Wrong wherever logits are ordinary.
    **found(
        "accuracy",
        VALUE,
        """
        softmax_first_class_as_reference softmax_wrong_shift_in_second_pass
        softmax_running_maximum_without_rescaling softmax_tail_without_max softmax_tail_skipped
        softmax_cubic_exp softmax_float16_inside softmax_clamped_logits softmax_flushed softmax_hot
        softmax_stale_out
        log_softmax_log_of_softmax log_softmax_log_of_p_plus_epsilon log_softmax_log_for_log1p
        log_softmax_base_2 logsumexp_log_for_log1p logsumexp_of_the_mean
        logsumexp_max_of_magnitudes
        cross_entropy_of_the_argmax cross_entropy_label_off_by_one cross_entropy_clipped
        cross_entropy_smoothed cross_entropy_mean_of_the_batch
        sigmoid_by_tanh sigmoid_hard softplus_relu
        """,
    ),
    **found("accuracy", VALUE, "softmax_sticky_sum softmax_fast_math_sum", dtype="bfloat16"),
    **found("accuracy", VALUE, "softplus_with_threshold", dtype="float64"),
    **found(
        "accuracy",
        "raised AssertionError: needs two classes",
        "softmax_raises_on_one_class",
        kind="raised",
    ),
    **found("accuracy", "result has shape (", "softmax_squeezed", kind="form"),
    **found(
        "accuracy",
        AGAIN,
        "softmax_alternating softmax_out_of_the_previous_call",
        kind="not deterministic",
    ),
    # Exponentials, sums or differences leave the range.
    **found(
        "overflow",
        VALUE,
        """
        softmax_without_max softmax_max_of_the_batch softmax_max_of_the_wrong_axis
        softmax_max_with_padding softmax_max_of_magnitudes softmax_merges_masked_tiles
        softmax_contracted_scale softmax_clamped_at_the_mask_value softmax_nan_at_masks
        softmax_mask_leaks
        log_softmax_maximum_added_first logsumexp_without_max
        cross_entropy_smoothing_on_masked_classes cross_entropy_onehot_times_log
        sigmoid_overflowing softplus_overflowing
        """,
    ),
    # What a contract governs.
    **found(
        "special-values", f"{SPECIAL}NaN in a row", "softmax_ignores_nan softmax_nan_at_its_place"
    ),
    **found("special-values", f"{SPECIAL}NaN in a row", "softmax_raises_on_nan", kind="raised"),
    **found("special-values", f"{SPECIAL}+inf in a row", "softmax_infinity_is_large"),
    **found(
        "special-values",
        f"{SPECIAL}all masked",
        "softmax_masked_row_is_zero softmax_masked_row_is_uniform logsumexp_nan_when_masked",
    ),
    **found(
        "special-values",
        f"{SPECIAL}all masked{OTHERS}",
        "softmax_poisoned_by_a_masked_row cross_entropy_gradient_poisoned_by_a_masked_row",
    ),
    **found("special-values", "empty axis: [0. 0.]", "logsumexp_of_nothing_is_zero"),
    **found("special-values", f"{SPECIAL}argument -inf", "sigmoid_infinity_clamped"),
    **found("special-values", f"{SPECIAL}argument NaN", "softplus_swallows_nan"),
    # A declared fact is broken.
    **found("invariance", f"{FACT}outputs sum to 1", "softmax_sums_to_0_999"),
    **found("invariance", f"{FACT}f(z + c) = f(z)", "softmax_mean_added cross_entropy_masked_mean"),
    **found(
        "invariance",
        f"{FACT}f(z + c) = f(z) + c",
        "logsumexp_maximum_not_added_back logsumexp_remembers_differences",
    ),
    **found("invariance", f"{FACT}f(Pz) = P f(z)", "softmax_remembers_a_sorted_row"),
    **found("invariance", f"{FACT}f(Pz) = f(z)", "cross_entropy_last_class_weighted"),
    **found("invariance", f"{FACT}z_i >= z_j implies f_i >= f_j", "softmax_of_minus_x"),
    **found("invariance", f"{FACT}0 <= f <= 1", "softmax_over_the_others"),
    **found("invariance", f"{FACT}f <= 0", "log_softmax_positive"),
    **found("invariance", f"{FACT}0 <= f", "cross_entropy_negative softplus_below_zero"),
    **found("invariance", f"{FACT}f is convex", "logsumexp_softmin cross_entropy_saturated"),
    **found("invariance", f"{FACT}f' >= 0", "sigmoid_mirrored softplus_mirrored"),
    **found("invariance", f"{FACT}f(x) + f(-x) = 1", "sigmoid_above_one"),
    **found("invariance", f"{FACT}f(x) - f(-x) = x", "softplus_saturated"),
    **found(
        "invariance",
        f"{FACT}gradient components sum to 1",
        "logsumexp_with_twice_its_gradient",
    ),
    # One class too large by a little: no fact names the class, the bound does.
    **found("accuracy", VALUE, "softmax_last_class_favoured"),
    # The loss is right.
    **found(
        "gradient",
        GRADIENT,
        """
        cross_entropy_gradient_without_label cross_entropy_gradient_divided_by_p
        cross_entropy_gradient_label_off_by_one cross_entropy_gradient_of_the_mean
        cross_entropy_gradient_of_the_opposite_sign cross_entropy_gradient_nan_at_masks
        cross_entropy_gradient_through_float16
        """,
    ),
    # Nothing can be judged.
    **found(
        "accuracy", f"{REFUSED}result has dtype float128", "softmax_returns_float64", kind="form"
    ),
    **found("accuracy", f"{REFUSED}result has shape (2, 3, 1)", "softmax_keepdims", kind="form"),
    **found(
        "accuracy", f"{REFUSED}result has shape ()", "cross_entropy_returns_one_number", kind="form"
    ),
    **found("accuracy", f"{REFUSED}returned a tuple of 3", "softmax_triple", kind="form"),
    **found("accuracy", f"{REFUSED}returned a list", "softmax_ragged", kind="form"),
    **found("accuracy", f"{REFUSED}raised TypeError", "softmax_raises", kind="raised"),
    **found("accuracy", f"{REFUSED}raised SystemExit", "softmax_exits", kind="raised"),
    **found(
        "accuracy",
        f"{REFUSED}the input was changed in place",
        "softmax_in_place cross_entropy_changes_labels",
        kind="input changed",
    ),
    **found(
        "accuracy",
        f"{REFUSED}{AGAIN}",
        "softmax_random cross_entropy_gradient_random",
        kind="not deterministic",
    ),
}
# What these give depends on other rows, or on other calls: no row alone shows it for certain.
NOT_ALONE = {
    "softmax_max_of_the_batch",
    "softmax_max_of_the_wrong_axis",
    "softmax_stale_out",
    "softmax_out_of_the_previous_call",
    "softmax_alternating",
    "softmax_remembers_a_sorted_row",
    "logsumexp_remembers_differences",
    "cross_entropy_mean_of_the_batch",
    "cross_entropy_gradient_of_the_mean",
}


def broken(name):
    definition = next(d for d in DEFINITIONS if name.startswith(f"{d}_"))
    return Subject(f"{BROKEN}:{name}", definition, CONVENTIONAL, tuple(FORMATS))


def logits_of(failure, dtype):
    return np.array([float.fromhex(v) for v in failure.logits]).astype(FORMATS[dtype].dtype)[None]


@pytest.mark.parametrize("name", NAMED)
def test_the_property_that_should_find_a_mistake_names_it(name):
    named = NAMED[name]
    failures = worst(broken(name), named.suite, named.dtype, until=named.message)
    matching = [f for f in failures if f.message.startswith(named.message)]
    assert matching, [f.message for f in failures]
    assert {f.kind for f in matching} == {named.kind}
    assert all(f.reproduce for f in failures)

    # The case is one that fails: with the numbers in the report, and when asked for again.
    function = getattr(importlib.import_module(BROKEN), name)
    for failure in matching:
        if name in NOT_ALONE or failure.message.startswith(REFUSED) or not failure.logits:
            continue
        x = logits_of(failure, named.dtype)
        labels = () if failure.label is None else (np.array([failure.label]),)
        if failure.observed is not None:
            observed = result(function, x, labels, failure, named)
            assert hexadecimal(float(observed)) == failure.observed
        if "--row" in failure.reproduce:
            given = given_row(",".join(failure.logits), failure.label or 0)
            again = worst(broken(name), named.suite, named.dtype, given=given)
            assert named.kind in {f.kind for f in again}


def result(function, x, labels, failure, named):
    """The number that a failure shows, by a call of the function."""
    with np.errstate(all="ignore"):
        returned = function(x, *labels)
    value = returned if named.suite != "gradient" else returned[1]
    value = value[0] if isinstance(value, tuple) else value
    return np.atleast_1d(value[0])[failure.index or 0]


def test_at_least_forty_mistakes_are_named_and_none_lies_idle():
    module = importlib.import_module(BROKEN)
    written = {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert len(NAMED) >= 40
    assert set(NAMED) == written
    assert all(inspect.getdoc(getattr(module, name)) for name in written)


@pytest.mark.parametrize("suite", DRAWN)
def test_every_suite_names_at_least_five_mistakes(suite):
    assert sum(named.suite == suite for named in NAMED.values()) >= 5


# The kinds of mistakes that people make, each with those that make it.
KINDS = {
    "no maximum": f"{BROKEN}:softmax_without_max",
    "maximum of the wrong axis": f"{BROKEN}:softmax_max_of_the_wrong_axis",
    "accumulator in the format of the input": f"{BROKEN}:softmax_sticky_sum",
    "tail lanes skipped": f"{BROKEN}:softmax_tail_skipped",
    "FMA-contracted scale": f"{BROKEN}:softmax_contracted_scale",
    "log of softmax": f"{BROKEN}:log_softmax_log_of_softmax",
    "fast-math": f"{BROKEN}:softmax_fast_math_sum",
    "finite mask sentinel": f"{BROKEN}:softmax_clamped_at_the_mask_value",
    "32-bit index": f"{BROKEN}_layouts:offsets_of_32_bits",
    "stale out=": f"{BROKEN}:softmax_stale_out",
    "label off by one": f"{BROKEN}:cross_entropy_label_off_by_one",
    "smoothing on masked classes": f"{BROKEN}:cross_entropy_smoothing_on_masked_classes",
    "gradient without the label": f"{BROKEN}:cross_entropy_gradient_without_label",
    "wrong shift in the second pass": f"{BROKEN}:softmax_wrong_shift_in_second_pass",
    "low-degree polynomial": f"{BROKEN}:softmax_cubic_exp",
    "flushed subnormals": f"{BROKEN}:softmax_flushed",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mistake_has_an_implementation_that_makes_it(kind):
    module, _, name = KINDS[kind].partition(":")
    assert inspect.getdoc(getattr(importlib.import_module(module), name))
    assert module != BROKEN or name in NAMED


def test_an_index_of_32_bits_is_found_far_away():
    subject = Subject(f"{BROKEN}_layouts:offsets_of_32_bits", "softmax")
    (failure,) = worst(subject, "layouts", "float32")
    assert failure.message == f"layout far: {VALUE}"


@pytest.mark.parametrize(
    "name",
    ["softmax_contracted_scale", "cross_entropy_label_off_by_one", "softmax_raises_on_one_class"],
)
def test_the_printed_command_fails_too(name, monkeypatch):
    monkeypatch.chdir(TESTS)
    named = NAMED[name]
    failure = worst(broken(name), named.suite, named.dtype)[0]
    program, *arguments = shlex.split(failure.reproduce)
    assert program == "softproof"
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1, again.output
    assert failure.message.partition(" (")[0] in again.output


# --- whom a fault is put down to ---

IN_FORMAT = dataclasses.replace(
    CONVENTIONAL, accumulator="input", arithmetic="input", empty="error"
)


def shifted(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)


class Faulty(InProcess):
    """A right softmax, but for a fault where ``fault`` has one for the logits."""

    def __init__(self, fault):
        super().__init__(Subject("m:shifted", "softmax", IN_FORMAT), shifted)
        self._fault = fault

    def _call(self, logits, *rest):
        if (fault := self._fault(logits)) is not None:
            raise fault
        return super()._call(logits, *rest)


def first_failure(fault, family="normal"):
    live = Faulty(fault)
    items = plan([live.subject], ["accuracy"], ["float32"])
    (item,) = (item for item in items if item.family == family)
    return execute(item, lambda subject: live).failures[0]


def test_a_hang_that_no_row_alone_shows_is_put_down_to_the_batch():
    failure = first_failure(lambda x: TimedOut("no result within 1 s") if len(x) > 4 else None)
    assert (failure.kind, "--row" in failure.reproduce) == ("hung", False)
    assert "only in its batch" in failure.detail


def test_a_row_that_was_not_asked_for_any_more_is_not_blamed():
    calls = []

    def fault(x):
        calls.append(x)
        if len(calls) < 3:  # the preflight
            return None
        return TimedOut("not called any more", called=len(calls) == 3)

    failure = first_failure(fault)
    assert (failure.kind, "--row" in failure.reproduce) == ("hung", False)


def test_a_subject_that_cannot_be_loaded_again_is_a_finding():
    failure = first_failure(lambda x: SubjectError("no such module") if len(x) > 4 else None)
    assert (failure.kind, failure.message) == ("raised", "no such module")


def test_shrinking_keeps_to_the_exception():
    def fault(x):
        if x.shape[1] == 1:
            return SubjectRaised("raised AssertionError: one class (a.py:1)")
        large = (abs(x) > 4).any()
        return SubjectRaised("raised IndexError: too large (a.py:2)") if large else None

    failure = first_failure(fault)
    assert failure.message.startswith("raised IndexError")
    assert len(failure.logits) == 2


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "words"), [(Unspeakable(), "Unspeakable"), (ValueError("\udcff"), r"\udcff")]
)
def test_an_exception_whose_message_cannot_be_written_is_a_finding(error, words):
    def raises(x):
        raise error

    with pytest.raises(SubjectRaised) as fault:
        InProcess(Subject("m:raises", "softmax"), raises)(np.zeros((1, 2), np.float32))
    assert words in str(fault.value)
    assert str(fault.value).encode()


def test_no_error_bound_excuses_an_infinity_in_a_special_row():
    # Of the largest number, less a logarithm, the admissible error overflows.
    def overflowing(x):
        d = x - x.max(axis=-1, keepdims=True)
        return np.where(d < -1e308, -np.inf, d - np.log(np.exp(d).sum(axis=-1, keepdims=True)))

    live = InProcess(Subject("m:overflowing", "log_softmax"), overflowing)
    given = given_row("-inf,0,-0x1.fffffffffffffp+1023", 0)
    items = plan([live.subject], ["special-values"], ["float64"], given=given)
    (failure,) = (f for item in items for f in execute(item, lambda subject: live).failures)
    assert (failure.index, failure.observed) == (2, "-inf")
