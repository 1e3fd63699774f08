"""Every declared fact is proven, and the prover refuses what is false."""

import contextlib
import threading
import time

import numpy as np
import pytest
import sympy
from softproof.derivations import (
    REGISTRY,
    Definition,
    Output,
    Parameter,
    define,
    lookup,
    prove,
)
from softproof.derivations.proofs.examine import POINTS
from softproof.derivations.proofs.facts import (
    Convex,
    GradientSumsTo,
    Identity,
    Increasing,
    OrderPreserving,
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    ShiftEquivariant,
    ShiftInvariant,
    SumsTo,
)
from softproof.derivations.proofs.facts_of_arguments import OF_ARGUMENTS
from softproof.derivations.proofs.prove import (
    CONSTANT,
    NO_PROOF,
    REFUTED,
    SIZES,
    SIZES_OF_AXES,
    never_negative,
    vanishes,
)
from softproof.derivations.proofs.time_limit import OutOfTime, time_limit
from softproof.derivations.signature import Real

from tests.implemented import OF_A_ROW

x, y = sympy.symbols("x y", positive=True)


def declare(formula, *facts, like, gradient=None, **changes):
    """A definition outside the registry, of the same kind as a registered one."""
    model = REGISTRY[like]
    kind = {
        "signature": model.signature,
        "breakpoint_at_zero": model.breakpoint_at_zero,
        "parameters": model.parameters,
    }
    return Definition(
        name="for this test",
        family="tests",
        source="tests",
        formula=formula,
        facts=facts,
        gradient=gradient,
        **{**kind, **changes},
    )


def proven(definition, sizes=(2, 3)):
    """Whether everything that the definition declares is proven, at every size."""
    return all(proof.proven for proof in prove(definition, sizes))


# --- every definition ---


CERTIFIED = ("focal_loss",)  # at points: of real powers no proof is found


@pytest.mark.parametrize("definition", OF_A_ROW, ids=lambda d: d.name)
def test_every_fact_and_the_gradient_are_proven(definition):
    proofs = prove(definition)
    apart = [fact.text for fact in definition.facts if isinstance(fact, OF_ARGUMENTS)]
    statements = [fact.text for fact in definition.facts if fact.text not in apart]
    statements.append("closed-form gradient = derivative")
    sizes = (1,) if definition.elementwise else SIZES
    expected = [(k, s) for k in sizes for s in statements]
    expected += [(k, s) for s in apart for k in SIZES_OF_AXES]
    assert [(p.size, p.statement) for p in proofs] == expected
    unproven = [p for p in proofs if not p.proven]
    assert unproven == [] or (
        definition.name in CERTIFIED and all(p.points == POINTS for p in unproven)
    )


@pytest.mark.parametrize("definition", OF_A_ROW, ids=lambda d: d.name)
def test_every_definition_declares_a_gradient_facts_and_a_source(definition):
    assert definition.gradient is not None
    assert definition.facts
    assert definition.source
    assert definition.summary


# --- the prover refuses false facts of true functions ---


def formula(name):
    return REGISTRY[name].formula


FALSE = {
    "softmax sums to 2": ("softmax", SumsTo(2)),
    "log-softmax sums to 0": ("log_softmax", SumsTo(0)),
    "logsumexp is shift invariant": ("logsumexp", ShiftInvariant()),
    "softmax is shift equivariant": ("softmax", ShiftEquivariant()),
    "cross-entropy is shift equivariant": ("cross_entropy", ShiftEquivariant()),
    "sigmoid is below 1/2 (integer limits: 0)": ("sigmoid", Range(upper=0)),
    "softmax is at least 1": ("softmax", Range(lower=1)),
    "stablemax is at most 0": ("stablemax", Range(upper=0)),
    "log-softmax is at least -1": ("log_softmax", Range(lower=-1)),
    "cross-entropy is at least 1": ("cross_entropy", Range(lower=1)),
    "cross-entropy is at most 1": ("cross_entropy", Range(upper=1)),
    "softplus is at most 5": ("softplus", Range(upper=5)),
    "stablemax cross-entropy is convex": ("stablemax_cross_entropy", Convex()),
    "sigmoid is convex": ("sigmoid", Convex()),
    "logsumexp's gradient sums to 0": ("logsumexp", GradientSumsTo(0)),
    "cross-entropy's gradient sums to 1": ("cross_entropy", GradientSumsTo(1)),
    "stablemax cross-entropy's gradient sums to 0": ("stablemax_cross_entropy", GradientSumsTo(0)),
    "sigmoid is odd": ("sigmoid", Identity("f(x) + f(-x) = 0", lambda f, v: f(v) + f(-v))),
    "softplus is even": ("softplus", Identity("f(x) = f(-x)", lambda f, v: f(v) - f(-v))),
}


@pytest.mark.parametrize(("name", "fact"), FALSE.values(), ids=FALSE)
def test_a_false_fact_is_not_proven(name, fact):
    assert not proven(declare(formula(name), fact, like=name))


# --- ... and true facts of other functions ---


def negated(name):
    return lambda *arguments, **parameters: -formula(name)(*arguments, **parameters)


def singling_out_class_0(z, xp):
    weights = xp.exp(z)
    weights[0] = 2 * weights[0]
    return weights / xp.sum(weights)


def singling_out_label_0(z, label, xp):
    return (1 + (label == 0)) * formula("cross_entropy")(z, label, xp)


def reversed_stablemax(z, xp):
    return formula("stablemax")(-z, xp)


OTHER_FUNCTIONS = {
    "order of -softmax": declare(negated("softmax"), OrderPreserving(), like="softmax"),
    "order of softmax(-z)": declare(
        lambda z, xp: formula("softmax")(-z, xp), OrderPreserving(), like="softmax"
    ),
    "order of stablemax(-z)": declare(reversed_stablemax, OrderPreserving(), like="stablemax"),
    "convexity of -logsumexp": declare(negated("logsumexp"), Convex(), like="logsumexp"),
    "convexity of -softplus": declare(negated("softplus"), Convex(), like="softplus"),
    "increase of -sigmoid": declare(negated("sigmoid"), Increasing(), like="sigmoid"),
    "increase of x^2": declare(lambda v, xp: v * v, Increasing(), like="sigmoid"),
    "permutation of outputs": declare(
        singling_out_class_0, PermutationEquivariant(), like="softmax"
    ),
    "permutation of logits": declare(
        lambda z, xp: xp.log(xp.sum(xp.exp(z))) + z[0], PermutationInvariant(), like="logsumexp"
    ),
    "permutation of labels": declare(
        singling_out_label_0, PermutationInvariant(), like="cross_entropy", parameters={}
    ),
    "range outside a parameter's interval": declare(
        formula("cross_entropy"),
        Range(lower=0),
        like="cross_entropy",
        parameters={"label_smoothing": Parameter(default=0.0, lower=0.0, upper=2.0)},
    ),
}


@pytest.mark.parametrize("definition", OTHER_FUNCTIONS.values(), ids=OTHER_FUNCTIONS)
def test_a_fact_of_another_function_is_not_proven(definition):
    assert not proven(definition)


def test_what_singles_out_a_class_still_sums_to_one():
    assert proven(declare(singling_out_class_0, SumsTo(1), like="softmax"))


# --- ... and wrong gradients ---

WRONG_GRADIENTS = {
    "softmax without its diagonal": (
        "softmax",
        lambda z, xp: -np.outer(formula("softmax")(z, xp), formula("softmax")(z, xp)),
    ),
    "logsumexp doubled": ("logsumexp", lambda z, xp: 2 * formula("softmax")(z, xp)),
    "log-softmax of softmax": (
        "log_softmax",
        lambda z, xp: REGISTRY["softmax"].gradient(z, xp),
    ),
    "cross-entropy of class 0": (
        "cross_entropy",
        lambda z, label, xp, label_smoothing: REGISTRY["cross_entropy"].gradient(
            z, 0, xp, label_smoothing
        ),
    ),
    "cross-entropy unsmoothed": (
        "cross_entropy",
        lambda z, label, xp, label_smoothing: REGISTRY["cross_entropy"].gradient(z, label, xp),
    ),
    "sigmoid is its own": ("sigmoid", lambda v, xp: formula("sigmoid")(v, xp)),
    "stablemax cross-entropy negated": (
        "stablemax_cross_entropy",
        lambda z, label, xp: -REGISTRY["stablemax_cross_entropy"].gradient(z, label, xp),
    ),
}


def test_a_wrong_gradient_that_cannot_be_proven_wrong_is_refuted_at_a_point():
    definition = REGISTRY["focal_loss"]

    def without_the_slope_of_the_power(logits, label, xp, gamma=2.0):
        p = xp.softmax(logits)
        return xp.put(p, label, p[label] - 1) * xp.pow(1 - p[label], xp.number(gamma))

    wrong = declare(definition.formula, like="focal_loss", gradient=without_the_slope_of_the_power)
    (found,) = (p for p in prove(wrong, (2,)) if "gradient" in p.statement)
    assert found.reason.startswith(REFUTED)
    right = declare(definition.formula, like="focal_loss", gradient=definition.gradient)
    (found,) = (p for p in prove(right, (2,)) if "gradient" in p.statement)
    assert (found.proven, found.points) == (False, POINTS)


@pytest.mark.parametrize(("name", "gradient"), WRONG_GRADIENTS.values(), ids=WRONG_GRADIENTS)
def test_a_wrong_gradient_is_not_proven(name, gradient):
    assert not proven(declare(formula(name), like=name, gradient=gradient), sizes=(2,))


def test_a_jacobian_must_not_be_transposed():
    def transposed(z, xp):
        return REGISTRY["log_softmax"].gradient(z, xp).T

    assert not proven(declare(formula("log_softmax"), like="log_softmax", gradient=transposed))


# --- known defects of the prover: each of these must be mended in prove.py, then unmarked ---


def test_stablemax_is_not_shift_invariant():
    assert not proven(declare(formula("stablemax"), ShiftInvariant(), like="stablemax"))


def test_the_gradient_of_softmax_is_not_that_of_stablemax():
    gradient = REGISTRY["softmax"].gradient
    assert not proven(declare(formula("stablemax"), like="stablemax", gradient=gradient))


def test_minus_the_modulus_is_not_convex():
    def minus_modulus(v, xp):
        return xp.by_sign(v, lambda w: -w, lambda w: w)

    definition = declare(minus_modulus, Convex(), like="sigmoid", breakpoint_at_zero=True)
    assert not proven(definition)


# --- forms that the catalogue does not have yet ---


def elu(v, xp):
    return xp.by_sign(v, lambda w: w, xp.expm1)


def elu_slope(v, xp):
    return xp.by_sign(v, lambda w: xp.number(1) + 0 * w, xp.exp)


def test_a_piece_made_from_exponentials():
    facts = (Increasing(), Range(lower=-1))
    kind = {"like": "sigmoid", "breakpoint_at_zero": True}
    assert proven(declare(elu, *facts, gradient=elu_slope, **kind))
    assert not proven(declare(elu, Range(lower=0), **kind))
    assert not proven(declare(elu, gradient=elu, **kind))


def test_a_product_of_the_argument_and_its_exponential():
    def silu(v, xp):
        return v / (1 + xp.exp(-v))

    identity = Identity("f(x) - f(-x) = x", lambda f, v: f(v) - f(-v) - v)
    assert proven(declare(silu, identity, like="sigmoid"))
    assert not proven(declare(silu, Increasing(), like="sigmoid"))


def layer_norm(z, xp):
    d = z - xp.sum(z) / len(z)
    return d / xp.sqrt(xp.sum(d * d) / len(z))


def layer_norm_slope(z, xp):
    k = len(z)
    d = z - xp.sum(z) / k
    y = layer_norm(z, xp)
    return (np.diag(1 + 0 * z) - xp.number(1) / k - np.outer(y, y) / k) / xp.sqrt(xp.sum(d * d) / k)


def test_a_square_root():
    facts = (ShiftInvariant(), PermutationEquivariant(), SumsTo(0))
    right = declare(layer_norm, *facts, gradient=layer_norm_slope, like="softmax")
    assert proven(right, sizes=(3,))
    assert not proven(declare(layer_norm, SumsTo(1), like="softmax"), sizes=(3,))
    wrong = declare(layer_norm, gradient=lambda z, xp: np.diag(layer_norm(z, xp)), like="softmax")
    assert not proven(wrong, sizes=(3,))


def rms_norm(z, xp):
    return z / xp.sqrt(xp.sum(z * z) / len(z))


def rms_norm_slope(z, xp):
    root = xp.sqrt(xp.sum(z * z) / len(z))
    y = z / root
    return (np.diag(1 + 0 * z) - np.outer(y, y) / len(z)) / root


def test_a_square_root_whose_numerator_cancels_to_zero():
    """The remainder of 0 by a root's polynomial is 0; SymPy has none."""
    right = declare(rms_norm, PermutationEquivariant(), gradient=rms_norm_slope, like="softmax")
    assert proven(right)
    assert not proven(declare(rms_norm, ShiftInvariant(), like="softmax"), sizes=(2,))
    wrong = declare(rms_norm, gradient=lambda z, xp: 2 * rms_norm_slope(z, xp), like="softmax")
    assert not proven(wrong, sizes=(2,))


# --- what says nothing ---


def test_of_a_function_that_is_constant_at_a_size_nothing_is_proven_there():
    """Layer normalisation of two numbers is +-1, so anything invariant of it holds of two."""
    facts = (ShiftInvariant(), PermutationEquivariant())
    of_two = prove(declare(layer_norm, *facts, like="softmax"), sizes=(2,))
    assert [(p.proven, p.reason) for p in of_two] == [(False, CONSTANT)] * 2
    assert proven(declare(layer_norm, *facts, like="softmax"), sizes=(3,))


def test_what_the_formula_drops_at_small_sizes_is_not_proven_of_them():
    def after_the_third(z, xp):  # 0 for K = 2, 3, and exponential in the last of four
        return xp.sum([xp.number(0), *xp.exp(z[3:])])

    outcomes = prove(declare(after_the_third, ShiftInvariant(), like="logsumexp"))
    assert [(p.size, p.reason.split(" at ")[0]) for p in outcomes] == [
        (2, CONSTANT), (3, CONSTANT), (4, REFUTED)
    ]  # fmt: skip


def test_a_fact_of_a_row_that_is_not_proven_is_certified_at_points_or_refuted():
    def loss(logits, label, xp):  # a power that the prover does not know
        d = xp.shifted(logits)
        log_p = d[label] - xp.log(xp.sum(xp.exp(d)))
        return xp.pow(-xp.expm1(log_p), xp.number(0.25)) * -log_p

    facts = (ShiftInvariant(), Range(upper=1))
    true, false = prove(declare(loss, *facts, like="mean_absolute_error"), sizes=(2,))
    assert (true.proven, true.reason, true.points > 0) == (False, NO_PROOF, True)
    assert (false.proven, false.points) == (False, 0)
    assert false.reason.startswith(f"{REFUTED} at logits = ")


def test_a_function_of_one_real_may_be_constant():
    half = declare(lambda v, xp: xp.number(1) / 2 + 0 * v, Range(lower=0, upper=1), like="sigmoid")
    assert proven(half)


# --- time limits ---


def test_a_proof_that_takes_too_long_is_given_up_and_the_others_are_not():
    def endless(f, v):
        while True:
            f(v)

    definition = declare(
        formula("sigmoid"), Identity("endless", endless), Range(lower=0, upper=1), like="sigmoid"
    )
    late, soon = prove(definition, seconds=5)  # the second takes a tenth of a second
    assert (late.proven, late.reason) == (False, "not decided within 5 s")
    assert soon.proven


def test_a_time_limit_ends_with_its_block():
    with time_limit(0.05):
        pass
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass


def test_a_time_limit_is_not_mistaken_for_an_error_of_the_code_within():
    def swallowing():
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    with pytest.raises(OutOfTime), time_limit(0.05):
        swallowing()


def test_a_time_limit_holds_in_any_thread():
    ended = []

    def work():
        with contextlib.suppress(OutOfTime), time_limit(0.05):
            while True:
                pass
        ended.append(True)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert ended == [True]


def test_a_gradient_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="return 3 x 3 derivatives"):
        prove(declare(layer_norm, gradient=layer_norm, like="softmax"), sizes=(3,))


# --- the two decisions ---


@pytest.mark.parametrize(
    "expression",
    [
        x - x,
        (x**2 - y**2) / (x - y) - x - y,
        sympy.log(x * y) - sympy.log(x) - sympy.log(y),
        2 * sympy.log(x + y) - sympy.log(x**2 + 2 * x * y + y**2),
        sympy.sqrt(x + y) ** 3 / sympy.sqrt(x + y) - x - y,
        sympy.sqrt(4 * x**3 + 4 * x**2 * y) - 2 * x * sympy.sqrt(x + y),
    ],
)
def test_zero_is_proven_to_vanish(expression):
    assert vanishes(expression)


@pytest.mark.parametrize("expression", [x, x - y, sympy.log(x + y) - sympy.log(x), sympy.log(2)])
def test_what_is_not_zero_is_not(expression):
    assert not vanishes(expression)


@pytest.mark.parametrize(
    "expression", [sympy.Integer(0), x * y, x / (1 + y), sympy.log(x + 1), sympy.log(1 + x / y)]
)
def test_what_is_never_negative_is_proven(expression):
    assert never_negative(expression)


@pytest.mark.parametrize("expression", [-x, x - y, -sympy.log(1 + x), sympy.log(x), x - x**2])
def test_what_can_be_negative_is_not_proven(expression):
    assert not never_negative(expression)


def test_nonnegative_coefficients_say_nothing_of_symbols_that_may_be_negative():
    assert not never_negative(sympy.Symbol("r", real=True))


def test_false_means_not_proven_rather_than_disproven():
    assert not never_negative((x - y) ** 2)  # true, but its coefficients do not show it


# --- the registry ---


@pytest.fixture
def registry(monkeypatch):
    """A copy of the registry, to write to."""
    copy = dict(REGISTRY)
    monkeypatch.setattr("softproof.derivations.definition.REGISTRY", copy)
    return copy


REGISTRATION = {"family": "tests", "source": "tests", "arguments": {"v": Real()}}


def test_a_definition_is_registered_under_its_name(registry):
    @define(**REGISTRATION)
    def cube(v, xp):
        """The cube v^3."""
        return v**3

    assert registry["cube"] is cube
    assert cube.summary == "The cube v^3."
    assert cube.output is Output.REAL
    assert cube(sympy.Integer(2), None) == 8
    assert "cube" not in REGISTRY


def test_a_name_is_given_once(registry):
    with pytest.raises(ValueError, match="'softmax' exists already; choose another name"):

        @define(**REGISTRATION)
        def softmax(v, xp):
            """Not the first."""


def test_a_definition_needs_a_docstring(registry):
    with pytest.raises(ValueError, match="'silent' has no docstring"):

        @define(**REGISTRATION)
        def silent(v, xp):
            return v


def test_a_near_miss_is_told_the_nearest_names():
    with pytest.raises(KeyError, match=r"'softmaxx'; did you mean softmax\b"):
        lookup("softmaxx")


def test_a_far_miss_is_told_every_name():
    with pytest.raises(KeyError, match=r"did you mean .*cross_entropy, .*softplus"):
        lookup("quux")


# --- what review found the prover to accept ---


def test_a_jump_at_zero_is_seen():
    def dropping(v, xp):
        return xp.by_sign(v, lambda w: w - 1, lambda w: w)

    assert not proven(declare(dropping, Increasing(), like="sigmoid", breakpoint_at_zero=True))


def test_a_pole_at_zero_is_seen():
    def reciprocal(v, xp):
        return -1 / v

    assert not proven(declare(reciprocal, Increasing(), like="sigmoid", breakpoint_at_zero=True))


def test_a_fact_without_a_claim_is_not_proven():
    assert not proven(declare(lambda v, xp: -v, OrderPreserving(), like="sigmoid"))


def test_a_parameter_without_an_end_proves_nothing():
    def falling(v, xp, s=0.0):
        return (1 - s) * xp.exp(v)

    endless = {"s": Parameter(0.0, 0.0, float("inf"))}
    assert not proven(declare(falling, Range(lower=0), like="sigmoid", parameters=endless))


def test_every_output_counts():
    def second_sticks(z, xp):
        return np.array([xp.sum(z), z[0]], dtype=object)

    assert not proven(declare(second_sticks, PermutationInvariant(), like="softmax"), sizes=(2,))


def test_logarithms_of_what_may_be_negative_prove_nothing():
    assert not never_negative(2 * sympy.log(-x - 1))


def test_decimal_fractions_prove_nothing():
    assert not never_negative(0.1 * x)
