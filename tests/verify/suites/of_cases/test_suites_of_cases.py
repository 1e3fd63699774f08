"""Suites on cases: right implementations pass, and each planted mistake is caught where it acts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from softproof.derivations import REGISTRY, define, lookup
from softproof.derivations.arithmetic.formats import BINARY32, BINARY64
from softproof.derivations.signature import Matrix, Vector
from softproof.verify.cases import truth
from softproof.verify.cases.draw import draw, families, pairs
from softproof.verify.cases.text import parse
from softproof.verify.runs.execute import execute
from softproof.verify.runs.results import Item
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.implementations import functions_of_arrays as right
from softproof.verify.subjects.implementations import losses_of_arrays as losses
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.registration import REGISTERED
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites.of_cases import CASE_SUITES, accuracy

from tests.implemented import OF_NAMED_ARGUMENTS

RIGHT = [
    s
    for s in REGISTERED
    if s.id.partition(":")[0].endswith((".functions_of_arrays", ".losses_of_arrays"))
]


def judge(subject, suite, family, function=None, dtype="float32", case=None):
    """The result of one family of cases of one suite."""
    item = Item(subject, suite, dtype, family, 8, 0, case=case)
    return execute(item, lambda asked: InProcess(asked, function))


def of_user(name, **contract):
    return Subject("mine:f", name, Contract(**contract))


# --- right ones ---

# Balls take long for ten iterations, as at the default.
PLAIN = {"sinkhorn": ("iterations=1", "iterations=2")}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("subject", RIGHT, ids=lambda s: s.definition)
def test_right_implementations_pass(subject, dtype):
    definition = lookup(subject.definition)
    first, *_, last = PLAIN.get(definition.name, families(definition))
    asked = [("accuracy", first), ("accuracy", last), ("poison", first)]
    asked += [("accuracy", pair) for pair in pairs(definition)[:1]]
    if dtype == "float32":
        asked += [("liveness", f) for f in CASE_SUITES["liveness"].families(definition)]
    for suite, family in asked:
        found = judge(subject, suite, family, dtype=dtype)
        assert found.failures == (), (suite, family)
        assert found.checks > 0, (suite, family)


def test_every_definition_of_several_arguments_has_a_right_implementation():
    assert {s.definition for s in RIGHT} == {d.name for d in OF_NAMED_ARGUMENTS}


# --- planted mistakes ---


def norm(x, gain, eps, root):
    mean = np.sum(x * x, axis=-1, keepdims=True) / x.dtype.type(x.shape[-1])
    return x / root(mean, x.dtype.type(eps)) * gain


def eps_outside_the_root(x, gain, eps=1e-6):
    return norm(x, gain, eps, lambda mean, eps: np.sqrt(mean) + eps)


def eps_forgotten(x, gain):
    return norm(x, gain, 0, lambda mean, eps: np.sqrt(mean))


def gain_forgotten(x, gain, eps=1e-6):
    return norm(x, np.ones_like(gain), eps, lambda mean, eps: np.sqrt(mean + eps))


def mean_of_the_first_row(x, gain, eps=1e-6):
    mean = np.sum(x * x) / x.dtype.type(x.size)
    return x / np.sqrt(mean + x.dtype.type(eps)) * gain


def without_the_square_of_the_temperature(student, teacher, temperature=1.0):
    t = student.dtype.type(temperature)
    return right.kl_divergence(student / t, teacher / t)


def the_other_divergence(student, teacher, temperature=1.0):
    return right.kl_divergence(teacher, student, temperature)


def unscaled_scores(q, k, v, mask, scale=None, softcap=0.0):
    return right.attention(q, k, v, mask, 1.0 if scale is None else scale, softcap)


def mask_ignored(q, k, v, mask, scale=None, softcap=0.0):
    return right.attention(q, k, v, np.ones_like(mask), scale, softcap)


def softcap_ignored(q, k, v, mask, scale=None, softcap=0.0):
    return right.attention(q, k, v, mask, scale)


def masked_by_a_small_weight(q, k, v, mask):
    """A weight about e^-80, too small to be seen beside ordinary values, but not 0."""
    scores = np.sum(k * q[:, None, :], axis=-1) / np.sqrt(q.dtype.type(q.shape[-1]))
    scores = np.where(mask, scores, q.dtype.type(-80))
    e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return np.sum((e / np.sum(e, axis=-1, keepdims=True))[:, :, None] * v, axis=1)


def divided_by_n_less_1(x, gain, bias, eps=1e-5):
    n = x.shape[-1]
    c = x - np.sum(x, axis=-1, keepdims=True) / x.dtype.type(n)
    variance = np.sum(c * c, axis=-1, keepdims=True) / x.dtype.type(max(n - 1, 1))
    return c / np.sqrt(variance + x.dtype.type(eps)) * gain + bias


def label_of_the_case_before(hidden, weight, label, softcap=0.0):
    return right.linear_cross_entropy(hidden, weight, np.roll(label, 1), softcap)


def half_of_one_divergence(student, teacher):
    return right.kl_divergence(student, teacher) / student.dtype.type(4)


def logarithm_of_a_sigmoid(chosen, rejected, reference_chosen, reference_rejected, beta=0.1):
    """The sigmoid rounds to 1, and is 0 far away."""
    gain = (chosen - reference_chosen) - (rejected - reference_rejected)
    with np.errstate(all="ignore"):
        return -np.log(1 / (1 + np.exp(-chosen.dtype.type(beta) * gain)))


def always_clipped(logp, old_logp, advantage, clip=0.2):
    """The pessimistic minimum is forgotten."""
    c = logp.dtype.type(clip)
    return -advantage * np.clip(np.exp(logp - old_logp), 1 - c, 1 + c)


def penalty_of_the_other_divergence(logp, old_logp, advantage, reference_logp, clip=0.2, beta=0.04):
    turned = logp + logp - reference_logp
    return losses.grpo_loss(logp, old_logp, advantage, turned, clip, beta)


def mean_over_all_tokens(logp, old_logp, advantage, mask, clip=0.2):
    logp, old_logp = np.where(mask, logp, 0), np.where(mask, old_logp, 0)
    return losses.gspo_loss(logp, old_logp, advantage, np.ones_like(mask), clip)


def columns_first(cost, epsilon=0.1, iterations=10.0):
    return np.swapaxes(losses.sinkhorn(np.swapaxes(cost, 1, 2), epsilon, iterations), 1, 2)


def iterations_ignored(cost, epsilon=0.1, iterations=10.0):
    return losses.sinkhorn(cost, epsilon, 10)


def root_forgotten(z, alpha=1.5):
    """(s - tau)_+ in place of its power, divided by the sum."""
    p = losses.entmax(z, alpha) ** z.dtype.type(alpha - 1)
    return p / np.sum(p, axis=-1, keepdims=True)


def alpha_ignored(z, alpha=1.5):
    return losses.entmax(z)


def turned_the_other_way(x, position, base=10000.0):
    return right.rope(x, -position, base)


def position_of_the_case_before(x, position, base=10000.0):
    return right.rope(x, np.roll(position, 1), base)


def base_ignored(x, position, base=10000.0):
    return right.rope(x, position)


def bias_behind_the_softcap(hidden, weight, bias, label, softcap=0.0):
    z = np.sum(hidden[:, None, :] * weight, axis=-1)
    cap = z.dtype.type(softcap)
    z = (cap * np.tanh(z / cap) if softcap else z) + bias
    d = z - np.max(z, axis=-1, keepdims=True)
    return np.log(np.sum(np.exp(d), axis=-1)) - d[np.arange(len(d)), label]


def bias_left_out(hidden, weight, bias, label, softcap=0.0):
    return right.linear_cross_entropy(hidden, weight, label, softcap)


def logarithm_of_the_rounded_sum(x):
    return np.log(1 + x)


def blank_at_the_end(logits, labels):
    return losses.ctc_loss(np.roll(logits, 1, axis=-1), labels)


MISTAKES = [
    ("rope", right.rope_interleaved, "accuracy", "x: normal"),
    ("rope", turned_the_other_way, "accuracy", "x: normal"),
    ("rope", position_of_the_case_before, "accuracy", "x: normal"),
    ("rope", base_ignored, "liveness", "base"),
    ("log1p", logarithm_of_the_rounded_sum, "accuracy", "x: lognormal"),
    ("rms_norm", eps_outside_the_root, "accuracy", "eps=0.0625"),
    ("rms_norm", eps_outside_the_root, "liveness", "eps"),
    ("rms_norm", eps_forgotten, "liveness", "eps"),
    ("rms_norm", gain_forgotten, "liveness", "gain"),
    ("rms_norm", mean_of_the_first_row, "poison", "x: normal"),
    ("kl_divergence", without_the_square_of_the_temperature, "accuracy", "temperature=4"),
    ("kl_divergence", without_the_square_of_the_temperature, "liveness", "temperature"),
    ("kl_divergence", the_other_divergence, "accuracy", "student: normal"),
    ("attention", unscaled_scores, "accuracy", "q: normal"),
    ("attention", mask_ignored, "accuracy", "mask: first dropped"),
    ("attention", mask_ignored, "liveness", "mask"),
    ("attention", softcap_ignored, "liveness", "softcap"),
    ("attention", masked_by_a_small_weight, "poison", "q: normal"),
    ("layer_norm", divided_by_n_less_1, "accuracy", "x: normal"),
    ("linear_cross_entropy", label_of_the_case_before, "accuracy", "hidden: normal"),
    ("linear_cross_entropy_with_bias", bias_behind_the_softcap, "accuracy", "softcap=2"),
    ("linear_cross_entropy_with_bias", bias_left_out, "liveness", "bias"),
    ("js_divergence", half_of_one_divergence, "accuracy", "student: normal"),
    ("dpo", logarithm_of_a_sigmoid, "accuracy", "beta=8"),
    ("ppo_loss", always_clipped, "accuracy", "logp: normal"),
    ("grpo_loss", penalty_of_the_other_divergence, "accuracy", "logp: normal"),
    ("gspo_loss", mean_over_all_tokens, "accuracy", "mask: one kept"),
    ("sinkhorn", columns_first, "accuracy", "iterations=1"),
    ("sinkhorn", iterations_ignored, "liveness", "iterations"),
    ("ctc_loss", blank_at_the_end, "accuracy", "logits: normal"),
    ("entmax", root_forgotten, "accuracy", "z: normal"),
    ("entmax", alpha_ignored, "accuracy", "alpha=2"),
]


@pytest.mark.parametrize(
    ("name", "function", "suite", "family"),
    MISTAKES,
    ids=[f"{function.__name__} by {suite}" for _, function, suite, _ in MISTAKES],
)
def test_a_mistake_is_caught_and_can_be_seen_again(name, function, suite, family):
    subject = of_user(name, summation="any")
    found = judge(subject, suite, family, function)
    assert found.violations > 0
    (failure,) = found.failures
    assert failure.case.startswith(name)
    assert failure.logits == ()
    _, case = parse(failure.case, BINARY32)
    alone = "--case /dev/stdin <<'END'" in failure.reproduce
    judged_by = suite if CASE_SUITES[suite].takes_cases else "accuracy"
    assert f"--suite {judged_by}" in failure.reproduce
    if alone:
        assert failure.reproduce.endswith(f"<<'END'\n{failure.case}\nEND")
        again = judge(subject, judged_by, "given", function, case=case)
        assert again.violations > 0
        assert again.failures[0].case == failure.case  # what the user gives stays as it is


def prunes_weights(hidden, weight, label, softcap=0.0):
    """Weights below 1e-9 are seen only where huge numbers multiply them."""
    weight = np.where(np.abs(weight) < 1e-9, weight.dtype.type(0), weight)
    return right.linear_cross_entropy(hidden, weight, label, softcap)


def test_only_a_pair_of_hazards_finds_what_two_of_them_do_together():
    definition = lookup("linear_cross_entropy")
    subject = InProcess(of_user(definition.name, summation="any"), prunes_weights)

    def violations(family, batches):
        drawn = draw(definition, family, BINARY32, 8, 0)
        judged = (
            accuracy.check(subject, definition, BINARY32, batch)
            for batch in itertools.islice(drawn, batches)
        )
        return sum(len(verdict.violations) for verdict in judged)

    assert {f: violations(f, 4) for f in families(definition)} == dict.fromkeys(
        families(definition), 0
    )
    assert violations("hidden with weight", None) > 0
    found = judge(subject.subject, "accuracy", "hidden with weight", prunes_weights)
    _, case = parse(found.failures[0].case, BINARY32)
    assert np.abs(case.values["weight"]).min() < 1e-9


def test_what_has_no_effect_is_said_so():
    found = judge(of_user("rms_norm"), "liveness", "gain", gain_forgotten)
    assert found.failures[0].message == "gain has no effect"
    found = judge(of_user("rms_norm"), "liveness", "eps", eps_outside_the_root)
    assert found.failures[0].message == "value beyond its error bound, where eps acts"


def test_a_shrunk_case_is_small_and_fails_still():
    found = judge(of_user("attention", summation="any"), "accuracy", "k: ordered", unscaled_scores)
    _, case = parse(found.failures[0].case, BINARY32)
    assert case.sizes(lookup("attention").signature) == {"d": 2, "n": 2, "e": 1}
    assert judge(
        of_user("attention", summation="any"), "accuracy", "given", unscaled_scores, case=case
    ).failures


def test_poison_says_where_it_is():
    found = judge(of_user("attention"), "poison", "q: normal", masked_by_a_small_weight)
    assert "in entries of v that mask drops changes the result" in found.failures[0].message
    found = judge(of_user("rms_norm"), "poison", "x: normal", mean_of_the_first_row)
    assert found.failures[0].message == "NaN in another case of the batch changes the result"


def test_how_much_poison_is_asked_does_not_depend_on_what_was_asked_before(monkeypatch):
    (subject,) = (s for s in RIGHT if s.definition == "attention")
    asked = {}
    for before in ((), ("accuracy",)):
        monkeypatch.setattr(truth, "_truths", {})
        for suite in (*before, "poison"):
            asked[before, suite] = judge(subject, suite, "q: normal").checks
    assert asked[("accuracy",), "poison"] == asked[(), "poison"]


def test_a_buffer_for_the_result_may_hold_anything():
    def adds(x, gain, eps=1e-6, out=None):
        result = right.rms_norm(x, gain, eps)
        if out is None:
            return result
        out += result
        return out

    def writes(x, gain, eps=1e-6, out=None):
        result = right.rms_norm(x, gain, eps)
        if out is not None:
            out[...] = result
            return out
        return result

    found = judge(of_user("rms_norm"), "poison", "x: normal", adds)
    assert found.failures[0].message == "NaN in the buffer out= changes the result"
    passed = judge(of_user("rms_norm"), "poison", "x: normal", writes)
    assert passed.failures == ()
    without = judge(of_user("rms_norm"), "poison", "x: normal", right.rms_norm)
    assert passed.checks > without.checks


# --- what a call may come to ---


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (lambda x, gain: x[:, 0], "form", "preflight: value has shape (2,), expected (2, 3)"),
        (lambda x, gain: x.astype(np.float64), "form", "preflight: value has dtype float64"),
        (lambda x, gain: (x, x), "form", "preflight: returned 2 arrays, expected value"),
        (lambda x, gain: 1 / 0, "raised", "preflight: raised ZeroDivisionError"),
        (lambda x, gain: x.sort() or x, "input changed", "preflight: the input was changed"),
        (lambda x, gain: x * np.float32(next(COUNT)), "not deterministic", "preflight: two calls"),
    ],
)
def test_a_call_that_gives_nothing_to_judge_is_refused(function, kind, message):
    found = judge(of_user("rms_norm"), "accuracy", "x: normal", function)
    assert found.status == "refused"
    assert found.failures[0].kind == kind
    assert found.failures[0].message.startswith(message)


COUNT = iter(range(1, 100))


def test_nan_never_passes_and_an_exception_at_some_case_is_a_finding():
    def nan_at_long_rows(x, gain, eps=1e-6):
        result = right.rms_norm(x, gain, eps)
        return result * np.float32(np.nan) if x.shape[-1] > 16 else result

    def fails_at_long_rows(x, gain, eps=1e-6):
        assert x.shape[-1] <= 16, "too long"
        return right.rms_norm(x, gain, eps)

    found = judge(of_user("rms_norm"), "accuracy", "x: normal", nan_at_long_rows)
    assert found.failures[0].observed == "nan"
    found = judge(of_user("rms_norm"), "accuracy", "x: normal", fails_at_long_rows)
    assert found.failures[0].kind == "raised"
    _, case = parse(found.failures[0].case, BINARY32)
    assert case.values["x"].size == 17


def test_where_the_exact_result_is_0_and_an_ulp_2_to_the_minus_1074_results_are_judged():
    _, case = parse(
        "kl_divergence\nstudent[K=2] 0x0p+0 0x1p+0\nteacher[K=2] 0x0p+0 0x1p+0", BINARY64
    )

    def off_by(error):
        def kl(student, teacher):
            return right.kl_divergence(student, teacher) + error

        return judge(of_user("kl_divergence"), "accuracy", "given", kl, "float64", case)

    for error, violations in ((0.0, 0), (2.0**-53, 0), (2.0**-40, 1), (np.nan, 1), (np.inf, 1)):
        found = off_by(error)
        assert (found.checks, found.undecided, found.violations) == (1, 0, violations), error


def test_a_parameter_that_a_subject_does_not_take_is_not_asked_of_it():
    found = judge(of_user("rms_norm"), "accuracy", "eps=0.0625", lambda x, gain: x)
    assert found.checks == 0
    assert found.status == "empty"


def test_a_contract_says_how_much_is_admissible():
    def one_by_one(x, gain, eps=1e-6):
        total = np.zeros_like(x[:, :1])
        for k in range(x.shape[1]):
            total += x[:, k : k + 1] * x[:, k : k + 1]
        return x / np.sqrt(total / x.dtype.type(x.shape[1]) + x.dtype.type(eps)) * gain

    declared = of_user("rms_norm", arithmetic="input", accumulator="input", summation="any")
    assert judge(declared, "accuracy", "x: normal", one_by_one, "float16").failures == ()
    strict = replace(declared, contract=Contract(ulps={"float16": 0.75}))
    found = judge(strict, "accuracy", "x: normal", one_by_one, "float16")
    assert found.failures[0].source == "promised by the subject's contract"


def test_a_function_with_several_outputs_is_judged_in_all():
    @define(
        family="tests",
        source="this test",
        arguments={"w": Matrix("n", "d"), "x": Vector("d")},
        output={"product": ("n",), "total": ()},
    )
    def product_and_total(w, x, xp):
        """W x, and the sum of x."""
        return xp.dot(w, x), xp.sum(x)

    def honest(w, x):
        return np.sum(w * x[:, None, :], axis=-1), np.sum(x, axis=-1)

    def total_of_squares(w, x):
        return honest(w, x)[0], np.sum(x * x, axis=-1)

    try:
        subject = of_user("product_and_total", summation="any")
        assert judge(subject, "accuracy", "x: normal", honest).failures == ()
        (failure,) = judge(subject, "accuracy", "x: normal", total_of_squares).failures
        assert "At total." in failure.detail
    finally:
        del REGISTRY["product_and_total"]
