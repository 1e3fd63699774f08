"""What is proven of a definition is declared with it, once, for a form that it has."""

import pytest
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.definition import AS_PUBLISHED
from softproof.derivations.error_bounds import activations, comp_sum, softmax
from softproof.derivations.error_bounds.declare import error_bound, gradient_bound, shared_error


def test_a_bound_is_found_through_its_definition():
    assert lookup("softmax").error_bound is softmax.softmax
    assert lookup("softmax").shared_error is softmax.shared_softmax
    assert lookup("logsumexp").gradient_bound is softmax.logsumexp_gradient
    assert lookup("comp_sum").gradient_bound is comp_sum.comp_sum_gradient
    assert lookup("sigmoid").error_bound is activations.sigmoid
    assert lookup("sigmoid").gradient_bound is None


PROVEN = [definition for definition in REGISTRY.values() if definition.error_bound is not None]


@pytest.mark.parametrize("definition", PROVEN, ids=lambda d: d.name)
def test_every_bound_says_for_which_form_it_is_proven_in_the_module_of_its_family(definition):
    assert definition.proven_form in (AS_PUBLISHED, *definition.forms)
    family, module = definition.formula.__module__.split(".")[-2:]
    assert definition.error_bound.__module__.split(".")[-1] in (family, module)


def test_a_bound_of_nothing_is_refused():
    with pytest.raises(KeyError, match="no definition is called 'sofmax'; did you mean softmax"):
        error_bound("sofmax", form="shifted")
    with pytest.raises(ValueError, match="softmax has no form 'log1p'; use one of: as published"):
        error_bound("softmax", form="log1p")


@pytest.mark.parametrize(
    "declare", [error_bound("logsumexp", form="log1p"), gradient_bound("logsumexp")]
)
def test_a_second_bound_is_refused(declare):
    with pytest.raises(ValueError, match="already: logsumexp"):
        declare(lambda z, model: None)
    assert lookup("logsumexp").error_bound is softmax.logsumexp


def test_a_second_shared_error_is_refused():
    with pytest.raises(ValueError, match="softmax has a shared_error already: shared_softmax"):
        shared_error("softmax")(lambda z, model: None)
