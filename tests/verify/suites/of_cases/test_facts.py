"""Declared facts of functions of named arguments find a mistake each, and right ones none."""

from fractions import Fraction
from pathlib import Path

import flint
import numpy as np
import pytest
from softproof.derivations import REGISTRY, define, lookup
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.derivations.proofs import facts, facts_of_arguments
from softproof.derivations.proofs.facts import Convex, Range, ShiftEquivariant, ShiftInvariant
from softproof.derivations.proofs.facts_of_arguments import At, GradientOrthogonalTo
from softproof.derivations.signature import Vector
from softproof.verify.runs.execute import execute
from softproof.verify.runs.results import Item
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.implementations import functions_of_arrays as right
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.registration import REGISTERED
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites.of_cases import CASE_SUITES
from softproof.verify.suites.of_cases import facts as module
from softproof.verify.suites.of_cases.facts import BITS, _enclosed

RIGHT = {s.definition: s for s in REGISTERED if ".subjects.functions_of_arrays:" in s.id}
FLOAT = np.float32


def judge(name, function, family, dtype="float32"):
    """The result of the suite on a function, in one family of cases."""
    subject = Subject("mine:f", name, Contract(summation="any"))
    item = Item(subject, "invariance", dtype, family, 8, 0)
    return execute(item, lambda asked: InProcess(asked, function))


def broken(name, fact, function):
    """All that the check of a fact finds of a function at plain cases."""
    definition = lookup(name)
    live = InProcess(Subject("mine:f", name, Contract(summation="any")), function)
    family = module.families(definition)[0]
    for batch in module.draw(definition, family, BINARY32, 8, 0):
        context = module.Context(live, definition, BINARY32, batch.cases[0])
        yield from module.CHECKS[type(fact)](fact, context)


# --- right ones ---


@pytest.mark.parametrize("name", RIGHT)
def test_right_implementations_keep_every_fact(name):
    for family in module.families(lookup(name))[:2]:
        found = judge(name, getattr(right, name), family)
        assert (found.failures, found.undecided) == ((), 0), family
        assert found.checks >= len(lookup(name).facts)


def test_every_kind_of_fact_that_is_declared_has_a_check():
    def kinds(fact):
        yield type(fact)
        if isinstance(fact, At):
            yield from kinds(fact.fact)

    declared = {k for d in REGISTRY.values() if not d.of_a_row for f in d.facts for k in kinds(f)}
    assert declared <= set(module.CHECKS)
    own = {c for c in vars(facts_of_arguments).values() if isinstance(c, type)}
    assert {c for c in own if c.__module__ == facts_of_arguments.__name__} <= set(module.CHECKS)


# --- mistakes, one for each kind ---


def layer_norm_uncentred(x, gain, bias, eps=1e-5):
    return right.rms_norm(x, gain, eps) + bias


def layer_norm_with_n_less_1(x, gain, bias, eps=1e-5):
    n = FLOAT(x.shape[-1])
    mean = np.sum(x, axis=-1, keepdims=True) / (n + FLOAT(0.01))
    c = x - mean
    return c / np.sqrt(np.sum(c * c, axis=-1, keepdims=True) / n + FLOAT(eps)) * gain + bias


def layer_norm_bias_halved(x, gain, bias, eps=1e-5):
    return right.layer_norm(x, gain, bias / FLOAT(2), eps)


def rms_norm_with_a_least_eps(x, gain, eps=1e-6):
    return right.rms_norm(x, gain, max(eps, 1e-3))


def rms_norm_with_gain_plus_1(x, gain, eps=1e-6):
    return right.rms_norm(x, gain + FLOAT(1), eps)


def rms_norm_without_the_first(x, gain, eps=1e-6):
    square = np.sum((x * x)[:, 1:], axis=-1, keepdims=True) / FLOAT(x.shape[-1])
    return x / np.sqrt(square + FLOAT(eps)) * gain


def attention_with_a_favoured_key(q, k, v, mask, scale=None, softcap=0.0):
    k = k.copy()
    k[:, 0] *= FLOAT(1.5)
    return right.attention(q, k, v, mask, scale, softcap)


def attention_with_clipped_keys(q, k, v, mask, scale=None, softcap=0.0):
    return right.attention(q, np.clip(k, -5, 5), v, mask, scale, softcap)


def attention_not_normalised(q, k, v, mask, scale=None, softcap=0.0):
    return right.attention(q, k, v, mask, scale, softcap) * FLOAT(1.01)


def attention_capped_too_low(q, k, v, mask, scale=None, softcap=0.0):
    return right.attention(q, k, v, mask, scale, min(softcap, 2.0))


def kl_with_a_floor(student, teacher, temperature=1.0):
    return right.kl_divergence(student, teacher, temperature) + FLOAT(1e-3)


def kl_negated(student, teacher, temperature=1.0):
    return -right.kl_divergence(student, teacher, temperature)


def kl_of_absolute_terms(student, teacher, temperature=1.0):
    return right.kl_divergence(student, teacher, temperature) - FLOAT(0.5)


def kl_by_the_last_class(student, teacher, temperature=1.0):
    found = right.kl_divergence(student, teacher, temperature)
    return found * (FLOAT(1) + np.abs(student[:, -1]))


def loss_scaled(hidden, weight, label, softcap=0.0):
    return right.linear_cross_entropy(hidden, weight, label, softcap) * FLOAT(1.001)


def sparsemax_scaled(z):
    return right.sparsemax(z) * FLOAT(0.99)


def sparsemax_without_its_positive_part(z):
    d = z - np.max(z, axis=-1, keepdims=True)
    return d - np.sum(d, axis=-1, keepdims=True) / FLOAT(z.shape[-1]) + FLOAT(1 / z.shape[-1])


def rms_norm_with_vjp(factor):
    """The norm with a gradient of its own, right for the factor 1."""

    def rms_norm(x, gain, eps=1e-6):
        return right.rms_norm(x, gain, eps)

    def vjp(x, gain, g, eps=1e-6):
        n = FLOAT(x.shape[-1])
        root = np.sqrt(np.sum(x * x, axis=-1, keepdims=True) / n + FLOAT(eps))
        a = g * gain
        inner = np.sum(a * x, axis=-1, keepdims=True) / n * FLOAT(factor)
        return (a - x * inner / (root * root)) / root, np.sum(g * x / root, axis=0)

    rms_norm.vjp = vjp
    return rms_norm


def kl_with_vjp(factor):
    """The divergence with a gradient of its own, right for the factor 1."""

    def kl_divergence(student, teacher, temperature=1.0):
        return right.kl_divergence(student, teacher, temperature)

    def vjp(student, teacher, g, temperature=1.0):
        t = FLOAT(temperature)
        log_q, log_p = (right._log_softmax(z / t) for z in (student, teacher))
        q, p = np.exp(log_q), np.exp(log_p)
        kl = np.sum(p * (log_p - log_q), axis=-1, keepdims=True)
        scaled = g[:, None] * t
        return scaled * (FLOAT(factor) * q - p), scaled * p * (log_p - log_q - kl)

    kl_divergence.vjp = vjp
    return kl_divergence


MISTAKES = {
    facts.ShiftInvariant: ("layer_norm", layer_norm_uncentred),
    facts.SumsTo: ("layer_norm", layer_norm_with_n_less_1),
    facts.PermutationEquivariant: ("rms_norm", rms_norm_without_the_first),
    facts.PermutationInvariant: ("attention", attention_with_a_favoured_key),
    facts.Range: ("sparsemax", sparsemax_without_its_positive_part),
    facts.Convex: ("kl_divergence", kl_negated),
    facts_of_arguments.Homogeneous: ("rms_norm", rms_norm_with_gain_plus_1),
    facts_of_arguments.Between: ("attention", attention_not_normalised),
    facts_of_arguments.ZeroWhereEqual: ("kl_divergence", kl_with_a_floor),
    facts_of_arguments.ReducesTo: ("linear_cross_entropy", loss_scaled),
    facts_of_arguments.Limit: ("attention", attention_capped_too_low),
    facts.GradientSumsTo: ("kl_divergence", kl_with_vjp(1.01)),
    facts_of_arguments.GradientOrthogonalTo: ("rms_norm", rms_norm_with_vjp(1.01)),
}
FURTHER = [
    (facts_of_arguments.Homogeneous, "rms_norm", rms_norm_with_a_least_eps),
    (facts.ShiftInvariant, "attention", attention_with_clipped_keys),
    (facts.ShiftInvariant, "kl_divergence", kl_by_the_last_class),
    (facts.Range, "kl_divergence", kl_of_absolute_terms),
    (facts_of_arguments.ReducesTo, "layer_norm", layer_norm_with_n_less_1),
]


def of_kind(kind, name):
    """The facts of a definition that are of a kind, with what they are restricted to."""
    return [
        fact
        for fact in lookup(name).facts
        if isinstance(fact, kind) or (isinstance(fact, At) and isinstance(fact.fact, kind))
    ]


@pytest.mark.parametrize(
    ("kind", "name", "function"),
    [(kind, *mistake) for kind, mistake in MISTAKES.items()] + FURTHER,
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_the_check_of_a_fact_finds_the_mistake(kind, name, function):
    found = [b for fact in of_kind(kind, name) for b in broken(name, fact, function)]
    assert found
    assert all(b.excess > b.allowed for b in found)


def test_every_check_has_a_mistake_to_find():
    assert set(MISTAKES) | {At, ShiftEquivariant} == set(module.CHECKS)


def test_what_is_added_to_an_argument_has_to_be_added_to_the_value():
    fact = ShiftEquivariant("bias")
    assert not list(broken("layer_norm", fact, right.layer_norm))
    assert list(broken("layer_norm", fact, layer_norm_bias_halved))


@pytest.mark.parametrize(
    ("name", "function"),
    [("rms_norm", rms_norm_with_vjp(1.0)), ("kl_divergence", kl_with_vjp(1.0))],
)
def test_right_gradients_keep_their_facts_and_are_asked_for(name, function):
    family = module.families(lookup(name))[0]
    without = judge(name, getattr(right, name), family)
    found = judge(name, function, family)
    assert found.failures == ()
    assert found.checks > without.checks  # what has no gradient is not counted as checked


# --- what a run says ---


def test_a_broken_fact_is_told_with_a_small_case():
    found = judge("sparsemax", sparsemax_scaled, "z: normal")
    (failure,) = found.failures
    assert failure.message == "declared fact broken: outputs sum to 1"
    assert "the sum of the admissible errors" in failure.detail
    assert failure.case.startswith("sparsemax\nz[K=1]")
    assert "--suite invariance" in failure.reproduce


def test_a_definition_without_facts_and_one_whose_facts_make_no_sense():
    kinds = {"x": Vector("K")}

    @define(family="tests", source="this test", arguments=kinds, output=("K",))
    def doubled(x, xp):
        """Twice x."""
        return 2 * x

    @define(
        family="tests",
        source="this test",
        arguments=kinds,
        output=("K",),
        facts=(ShiftInvariant("nope"), Range(lower=0), GradientOrthogonalTo("x"), Convex("x")),
    )
    def tripled(x, xp):
        """Three times x."""
        return 3 * x

    try:
        assert module.families(doubled) == ()
        found = judge("tripled", lambda x: FLOAT(3) * x, "x: normal")
        assert found.undecided > 0
        assert "the fact 'f(nope + c) = f(nope)' cannot be stated" in found.undecided_rows[0].reason
        assert found.failures[0].message == "declared fact broken: 0 <= f"
    finally:
        del REGISTRY["doubled"], REGISTRY["tripled"]


def test_the_suite_of_a_users_case_is_this_one():
    assert CASE_SUITES["invariance"].takes_cases
    assert Path(module.__file__).name == "facts.py"


def test_a_ball_around_what_no_fraction_can_hold_is_enclosed_by_what_one_can():
    with flint.ctx.workprec(BITS):
        tiny = (-(flint.arb(10) ** 18)).exp()
        middle, radius = _enclosed(tiny)
        third, off = _enclosed(flint.arb(1) / 3)
        assert _enclosed(1 / tiny) is None
    assert middle == 0
    assert 0 < radius < Fraction(1, 1 << 1100)
    assert abs(third - Fraction(1, 3)) <= off < Fraction(1, 1 << 2000)
