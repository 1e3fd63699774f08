"""What a definition declares of its kin is true: evaluated in balls, both sides meet."""

from fractions import Fraction

import flint
import numpy as np
import pytest
from softproof.derivations import REGISTRY, Output, lookup
from softproof.derivations.arithmetic.systems import balls

from tests.implemented import OF_A_ROW

XP = balls()
Z = [0.5, -1.25, 3.0, -20.0]
RELATIONS = [(d, r) for d in REGISTRY.values() for r in d.relations]


@pytest.fixture(autouse=True)
def precise():
    with flint.ctx.workprec(200):
        yield


def arguments(definition, label):
    """Logits, and the label where the definition takes it."""
    return (XP.vector(Z), label)[: 1 + definition.labelled]


def meet(one, other):
    one, other = np.atleast_1d(one), np.atleast_1d(other)
    assert one.shape == other.shape
    assert all(a.overlaps(b) and a.rad() < 1e-40 for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("label", range(len(Z)))
@pytest.mark.parametrize(
    ("definition", "relation"), RELATIONS, ids=[f"{d.name}: {r.text}" for d, r in RELATIONS]
)
def test_a_relation_holds(definition, relation, label):
    other = lookup(relation.other)
    values = other(*arguments(other, label), XP)
    own = definition.gradient if relation.of_gradient else definition
    known = relation.formula(values, *arguments(definition, label), XP)
    meet(own(*arguments(definition, label), XP), known)


def test_a_wrong_relation_would_not_hold():
    with pytest.raises(AssertionError):
        meet(lookup("softmax")(XP.vector(Z), XP), lookup("log_softmax")(XP.vector(Z), XP))


@pytest.mark.parametrize("label", range(len(Z)))
@pytest.mark.parametrize("definition", OF_A_ROW, ids=lambda d: d.name)
def test_every_form_of_a_gradient_is_the_gradient(definition, label):
    for form in definition.gradient_forms.values():
        meet(
            definition.gradient(*arguments(definition, label), XP),
            form(*arguments(definition, label), XP),
        )


@pytest.mark.parametrize("label", range(len(Z)))
def test_losses_of_a_label_are_cross_entropies(label):
    losses = [d for d in REGISTRY.values() if d.loss is not None]
    assert [d.name for d in losses] == ["logsumexp", "log_softmax", "cross_entropy"]
    for definition in losses:
        values = definition(*arguments(definition, label), XP)
        known = definition.loss(values, XP.vector(Z), label, XP)
        meet(lookup("cross_entropy")(XP.vector(Z), label, XP), known)


@pytest.mark.parametrize("x", Z)
def test_a_case_of_two_classes_is_the_other_definition_at_x_and_0(x):
    cases = [d for d in REGISTRY.values() if d.two_class_case_of is not None]
    assert [d.name for d in cases] == ["sigmoid", "softplus"]
    for definition in cases:
        other = lookup(definition.two_class_case_of)
        pair = other(XP.vector([x, 0.0]), XP)
        meet(definition(XP.number(x), XP), pair[0] if other.output is Output.VECTOR else pair)


def test_singularities_and_kinks_are_found_through_the_definition():
    assert str(lookup("sigmoid").singularities().distance_to_real_axis) == "pi"
    assert lookup("normal_cdf").singularities().entire
    assert lookup("softmax").singularities is None
    assert [n for n, d in REGISTRY.items() if d.kink_radius is not None] == [
        "stablemax",
        "stablemax_cross_entropy",
    ]
    assert lookup("stablemax").kink_radius([2.0, -1.0], [1.0, 4.0]) == 0.25


def test_a_product_with_the_jacobian_is_the_declared_one():
    p = [Fraction(1, n) for n in (2, 4, 8, 8)]
    z = XP.log(XP.vector(p))
    weights = [Fraction(1), Fraction(-2), Fraction(1, 2), Fraction(4)]
    products = [d for d in REGISTRY.values() if d.product_bound is not None]
    assert [d.name for d in products] == ["softmax", "log_softmax"]
    for definition in products:
        known = [right for right, _ in definition.product_bound(p, weights, Fraction(0), 0)]
        meet(XP.vector(weights) @ definition.gradient(z, XP), XP.vector(known))
