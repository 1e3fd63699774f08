"""Facts of functions of named arguments: proven, certified, refuted, or seen to say nothing."""

from dataclasses import dataclass

import numpy as np
import pytest
import sympy
from softproof.derivations import REGISTRY, Definition, Signature, lookup, prove
from softproof.derivations.page import derive
from softproof.derivations.proofs.charts import Symbolic
from softproof.derivations.proofs.decided import Undecided, decided_symbols
from softproof.derivations.proofs.examine import POINTS, examine
from softproof.derivations.proofs.facts import (
    Claim,
    Convex,
    GradientSumsTo,
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    ShiftEquivariant,
    ShiftInvariant,
    SumsTo,
)
from softproof.derivations.proofs.facts_of_arguments import (
    At,
    Between,
    GradientOrthogonalTo,
    Homogeneous,
    Limit,
    ReducesTo,
    ZeroWhereEqual,
)
from softproof.derivations.proofs.prove import IDLE, NO_PROOF, REFUTED, never_negative, vanishes
from softproof.derivations.signature import Label, Mask, Matrix, Parameter, Vector

from tests.implemented import OF_NAMED_ARGUMENTS

x, y, c, t = sympy.symbols("x y c t", real=True)
CERTIFIED = {
    ("kl_divergence", "0 <= f"),
    ("attention", "as softcap grows, f tends to f at softcap = 0"),
    ("linear_cross_entropy", "as softcap grows, f tends to f at softcap = 0"),
    ("js_divergence", "0 <= f <= 1"),
    ("grpo_loss", "0 <= f, where advantage = 0"),
    *((name, "f(s advantage) = s f(advantage) for s > 0") for name in ("ppo_loss", "gspo_loss")),
    # So many iterations, and the zero of a function, are no expressions.
    *(
        (name, fact.text)
        for name in ("sinkhorn", "entmax")
        for fact in REGISTRY[name].facts
        if not isinstance(fact, At)
    ),
    *(  # cosines and sines of numbers are no rational functions
        (name, fact)
        for name in ("rope", "rope_interleaved")
        for fact in ("f(s x) = s f(x) for s > 0", "f is convex in x")
    ),
}
LOGITS = {"z": Vector("K")}


def declare(formula, arguments, *facts, output=(), parameters=None, charts=None):
    """A definition outside of the registry."""
    return Definition(
        name="for this test",
        family="tests",
        source="tests",
        signature=Signature(arguments, {"value": output}),
        formula=formula,
        facts=facts,
        parameters=parameters or {},
        charts=charts,
    )


def outcome(definition, size=2):
    """The one proof of the one fact of a definition, at a size."""
    (proof,) = prove(definition, (size,))
    return proof


# --- the six ---


@pytest.mark.parametrize("definition", OF_NAMED_ARGUMENTS, ids=lambda d: d.name)
def test_every_fact_is_proven_or_said_to_be_certified(definition):
    assert len(definition.facts) >= (2 if definition.signature.axes else 1)
    for proof in prove(definition):
        if (definition.name, proof.statement) in CERTIFIED:
            assert (proof.proven, proof.reason, proof.points) == (False, NO_PROOF, POINTS)
        else:
            assert proof.proven, proof


# --- false facts of true functions are refuted, kind by kind ---

FALSE = {
    "shift": ("rms_norm", ShiftInvariant("x")),
    "shift of all keys with a softcap": ("attention", ShiftInvariant("q")),
    "shift equivariance": ("kl_divergence", ShiftEquivariant("student")),
    "degree 0 with an eps": ("rms_norm", Homogeneous("x", 0)),
    "degree 2 in the gain": ("rms_norm", Homogeneous("gain", 2)),
    "permuting coordinates of attention": ("attention", PermutationInvariant("e")),
    "permuting outputs": ("sparsemax", PermutationInvariant("K")),
    "sum": ("layer_norm", At(SumsTo(0), gain=1, bias=1)),
    "range": ("sparsemax", Range(upper=0)),
    "zero": ("rms_norm", ZeroWhereEqual("x", "gain")),
    "convexity in the teacher": ("kl_divergence", Convex("teacher")),
    "sum of the gradient": ("kl_divergence", GradientSumsTo(1, "student")),
    "orthogonality with an eps": ("rms_norm", At(GradientOrthogonalTo("x"), eps=1)),
    "another definition": (
        "layer_norm",
        ReducesTo("rms_norm", lambda xp, x, gain, bias: {"x": x, "gain": gain}, "x, gain"),
    ),
    "limit": ("attention", Limit("scale", reached_at=1)),
}


@pytest.mark.parametrize(("name", "fact"), FALSE.values(), ids=FALSE)
def test_a_false_fact_is_refuted_at_a_point(name, fact):
    found = examine(lookup(name), fact)
    assert found.points == 0
    assert found.counterexample.startswith("at ")


def test_what_leaves_the_hull_is_refuted_and_a_hull_of_other_columns_is_senseless():
    kinds = {"v": Matrix("n", "e")}
    twice = declare(lambda v, xp: 2 * xp.mean(v, 0), kinds, Between("v", "n"), output=("e",))
    assert outcome(twice).reason.startswith(f"{REFUTED} at v = [[")
    mean = declare(lambda v, xp: xp.mean(v, 0), kinds, Between("v", "n"), output=("e",))
    assert outcome(mean).proven
    with pytest.raises(ValueError, match="k has 3 columns, and there are 5 results"):
        examine(lookup("attention"), Between("k", "n"))


def test_a_counterexample_is_one():
    """The arguments that are told, with the offset, give the deviation that is told."""
    formula = lambda z, xp: xp.sum(z * z)  # noqa: E731
    proof = outcome(declare(formula, LOGITS, ShiftInvariant("z")))
    assert proof.reason.startswith(f"{REFUTED} at z = [")
    at, deviation = proof.reason.split(": ")
    z = np.array(eval(at.split("z = ")[1].split(", c = ")[0]))
    offset = float(at.split("c = ")[1])
    told = float(deviation.split(" is not 0")[0])
    assert np.isclose(np.sum((z + offset) ** 2) - np.sum(z**2), told)


# --- what says nothing ---


@dataclass(frozen=True)
class SaysNothing:
    """f = f, of any function."""

    text: str = "f = f"

    def claims(self, case):
        for f in case.value():
            yield Claim(f - f)


def test_a_statement_that_any_function_fulfils_is_not_proven():
    proof = outcome(declare(lambda z, xp: xp.sum(z), LOGITS, SaysNothing()))
    assert (proof.proven, proof.points) == (False, 0)
    assert proof.reason == f"{IDLE}: any function has it"


def test_a_statement_without_a_claim_is_not_proven():
    @dataclass(frozen=True)
    class Empty(SaysNothing):
        def claims(self, case):
            yield from ()

    assert not outcome(declare(lambda z, xp: xp.sum(z), LOGITS, Empty())).proven
    alone = declare(lambda z, xp: xp.sum(z), LOGITS, PermutationInvariant("K"))
    assert [p.proven for p in prove(alone, (1, 2))] == [False, True]  # nothing to exchange


def test_a_statement_about_what_a_function_does_not_depend_on_is_not_proven():
    def first(z, w, xp):
        return xp.sum(z)

    both = {"z": Vector("K"), "w": Vector("K")}
    assert outcome(declare(first, both, ShiftInvariant("w"))).reason == (
        f"{IDLE}: the function does not depend on it"
    )
    assert outcome(declare(first, both, Homogeneous("z", 1))).proven


@pytest.mark.parametrize("value", [0, 1])
def test_with_the_arguments_fixed_that_a_statement_is_about_it_says_nothing(value):
    fact = At(ShiftInvariant("x"), gain=0)
    assert examine(lookup("rms_norm"), fact).idle


# --- labels, masks and parameters take all values in a proof ---


def test_a_fact_that_fails_at_one_label_or_one_mask_alone_is_not_proven():
    def of_label(z, label, xp):
        return xp.sum(z) if label == 0 else xp.sum(z * z)

    def of_mask(z, mask, xp):
        return xp.sum(z) if mask.all() else xp.sum(z * z)

    for formula, kind in ((of_label, Label("K")), (of_mask, Mask("K"))):
        definition = declare(formula, {**LOGITS, "which": kind}, Homogeneous("z", 1))
        assert not outcome(definition).proven


def test_a_fact_that_fails_where_a_parameter_is_0_is_not_proven():
    def scaled(z, xp, s=1.0):
        return xp.sum(z) * xp.number(s) if s else xp.sum(z * z)

    parameters = {"s": Parameter(1.0, 0.0, 2.0)}
    definition = declare(scaled, LOGITS, Homogeneous("z", 1), parameters=parameters)
    assert outcome(definition).reason == NO_PROOF
    above = {"s": Parameter(1.0, 0.5, 2.0)}
    assert outcome(declare(scaled, LOGITS, Homogeneous("z", 1), parameters=above)).proven


# --- piecewise functions ---


def relu(z, xp):
    return xp.positive_part(z)


def signs_of_two(size):
    """Each orthant."""
    p = sympy.symbols(f"p_1:{size + 1}", positive=True)
    for signs in np.ndindex(*(2,) * size):
        yield {"z": np.array([(-1) ** s * v for s, v in zip(signs, p, strict=True)], dtype=object)}


def test_on_charts_a_piecewise_function_is_proven_and_without_them_certified():
    facts = Range(lower=0)
    charted = declare(relu, LOGITS, facts, output=("K",), charts=signs_of_two)
    assert outcome(charted).proven
    plain = outcome(declare(relu, LOGITS, facts, output=("K",)))
    assert (plain.proven, plain.points) == (False, POINTS)


def test_a_comparison_that_a_chart_does_not_decide_proves_nothing():
    def whole_line(size):
        yield {"z": np.array(sympy.symbols(f"z_1:{size + 1}", real=True), dtype=object)}

    fact = Homogeneous("z", 1)
    proof = outcome(declare(relu, LOGITS, fact, output=("K",), charts=whole_line))
    assert (proof.proven, proof.reason) == (False, NO_PROOF)
    xp = decided_symbols(never_negative)
    with pytest.raises(Undecided, match="not decided on this chart"):
        xp.positive_part(x)
    with pytest.raises(Undecided, match="a jump between them"):
        xp.by_sign(x, lambda v: v, lambda v: -v)
    with pytest.raises(Undecided, match="at a kink"):
        xp.step(x - x)


def test_every_row_is_in_a_chart_of_sparsemax():
    """The symbols that the proof in its docstring gives are positive, and give the row back."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(33)[:3] / 8 - 2 for _ in range(20)]
    for row in rows:
        descending = np.sort(row)[::-1]
        taus = (np.cumsum(descending) - 1) / np.arange(1, 4)
        tau, m = taus.max(), int((descending > taus.max()).sum())
        p, q = descending[:m] - tau, tau - descending[m:]
        values = {"tau": tau}
        values |= {f"d_{i + 1}": d for i, d in enumerate([*(p[:-1] - p[1:]), p[-1]])}
        steps = np.diff([0, *q])
        values |= {f"e_{m + 1 + i}": e for i, e in enumerate(steps)}
        assert all(v > 0 for n, v in values.items() if n != "tau")
        found = []
        for chart in lookup("sparsemax").charts(3):
            z = sympy.Matrix(list(chart["z"]))
            if {s.name for s in z.free_symbols} | {"d_1"} == set(values):  # of m = 1, d_1 / d_1
                at = z.subs({s: values[s.name] for s in z.free_symbols})
                found.append(np.allclose(np.array(at, dtype=float).reshape(-1), row))
        assert sum(found) == 1


# --- exponentials are known by their exponents ---


@pytest.mark.parametrize(
    "expression",
    [
        sympy.exp(x + y) - sympy.exp(x) * sympy.exp(y, evaluate=False),
        sympy.exp(-x) * (1 + sympy.exp(x)) - 1 - sympy.exp(-x),
        sympy.log(sympy.exp(x + c) + sympy.exp(y + c)) - c - sympy.log(sympy.exp(x) + sympy.exp(y)),
        sympy.exp(x / 2) ** 2 - sympy.exp(x),
        sympy.exp(t * (1 - 2 / (sympy.exp(x + y) + 1))) * sympy.exp(-t)
        - sympy.exp(-2 * t / (sympy.exp(x) * sympy.exp(y) + 1)),
    ],
)
def test_what_is_0_by_the_laws_of_exponents_vanishes(expression):
    assert vanishes(expression)


@pytest.mark.parametrize(
    "expression",
    [sympy.exp(x + y) - sympy.exp(x) - sympy.exp(y), sympy.exp(x) - x - 1, sympy.exp(2 * x) - 2],
)
def test_what_is_not_0_with_exponentials_does_not(expression):
    assert not vanishes(expression)
    assert not never_negative(-sympy.exp(x))


def test_signs_with_exponentials_and_even_powers_of_reals():
    assert never_negative(sympy.log(sympy.exp(x) + sympy.exp(y)) - x)
    assert not never_negative(sympy.log(sympy.exp(x) + sympy.exp(y)) - c)
    assert never_negative(x**2 * y**4 + 1)
    assert not never_negative(x**2 * y + 1)
    assert vanishes(sympy.sqrt((x - y) ** 2 / 4) - sympy.Abs(x - y) / 2)


# --- a user's definition ---


@pytest.fixture
def energy():
    """A registered definition with true, false and senseless facts."""

    def formula(x, w, xp):
        """The energy w x^2."""
        return xp.sum(w * x * x)

    facts = (
        Homogeneous("x", 2),
        Homogeneous("x", 1),
        PermutationInvariant("K"),
        PermutationEquivariant("n"),
        ShiftInvariant("nope"),
        At(Range(lower=0), z=1),
        ReducesTo("bogus", lambda xp, x, w: {}, "?"),
        Limit("t", reached_at=0),
    )
    kinds = {"x": Vector("K"), "w": Vector("K", lower=0.0)}
    definition = declare(formula, kinds, *facts)
    definition.name = "energy"
    REGISTRY["energy"] = definition
    yield definition
    del REGISTRY["energy"]


def test_the_page_tells_what_became_of_each_fact_and_a_senseless_one_is_no_crash(energy):
    page = derive("energy")
    (block,) = (b for b in page.split("\n\n") if b.startswith("Facts"))
    lines = " ".join(block.split())
    assert "f(s x) = s^2 f(x) for s > 0 proven for axes of 2, 3" in lines
    assert "f(s x) = s f(x) for s > 0 REFUTED at x = [" in lines
    assert "there is no 'nope'; the arguments and parameters are x, w" in lines
    assert "there is no axis 'n'; the axes are K" in lines
    assert "there is no 'z'" in lines
    assert "there is no definition 'bogus'" in lines
    assert "there is no 't'" in lines


def test_the_page_of_kl_divergence_says_what_is_certified_and_what_is_proven():
    page = " ".join(derive("kl_divergence").split())
    assert f"0 <= f certified at {POINTS} points (no proof was found)" in page
    assert "f is convex in student proven for axes of 2, 3" in page


def test_facts_of_rows_speak_of_their_only_argument():
    assert ShiftInvariant().text == "f(z + c) = f(z)"
    assert ShiftInvariant("k", along="n").text == "f(k + c) = f(k), c the same for all n"
    assert next(Symbolic.charts(lookup("softmax"), 2)).symbolic


def test_a_definition_of_a_row_may_declare_facts_of_arguments_too():
    def length(logits, xp):
        return xp.sqrt(xp.sum(logits * logits) + xp.number(1))

    kinds = {"logits": Vector("K")}
    facts = (PermutationInvariant(), Homogeneous("logits", 1))
    row, named = prove(declare(length, kinds, *facts), (2,))
    assert row.proven
    assert named.reason.startswith(REFUTED)


def test_a_fact_along_an_axis_of_a_matrix_adds_a_vector():
    def differences(a, xp):
        return a[0] - a[1]

    kinds = {"a": Matrix("n", "d")}
    fact = ShiftInvariant("a", along="n")
    assert outcome(declare(differences, kinds, fact, output=("d",))).proven
    other = ShiftInvariant("a", along="d")
    assert outcome(declare(differences, kinds, other, output=("d",))).reason.startswith(REFUTED)
