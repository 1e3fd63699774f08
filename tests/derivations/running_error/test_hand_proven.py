"""The automatic threshold is never above the bound that is proven by hand, where there is one."""

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32, BINARY64
from softproof.derivations.catalogue import lookup
from softproof.derivations.error_bounds import bounds
from softproof.derivations.error_bounds.model import Model as HandModel
from softproof.derivations.running_error import Model, threshold
from softproof.derivations.running_error.thresholds import admissible

DEFINITIONS = ("softmax", "log_softmax", "logsumexp", "cross_entropy", "sigmoid")
ROWS = ("normal", "constant", "wide", "offset", "spike")
CONTRACTS = (
    (BINARY32, {"accumulator": "input"}),
    (BINARY32, {"accumulator": "float64", "summation": "blocked"}),
    (BINARY16, {"arithmetic": "float32", "summation": "pairwise"}),
    (BFLOAT16, {"arithmetic": "float32"}),
    (BFLOAT16, {}),
    (BINARY64, {}),
)


def row(kind, classes, rng):
    z = rng.standard_normal(classes)
    if kind == "constant":
        return np.full(classes, rng.uniform(1, 2))
    if kind == "wide":
        return np.exp(2 * z) * rng.choice([-1, 1], classes)
    if kind == "spike":
        return np.where(np.arange(classes) == 0, 20 * z, z)
    return z + (20 if kind == "offset" else 0)


def formula(name):
    """The form that the bound is proven for; softmax and sigmoid as one operation."""
    if name == "softmax":
        return lambda z, xp: xp.softmax(z)
    if name == "sigmoid":
        return lambda x, xp: xp.sigmoid(x)
    definition = lookup(name)
    return definition.forms[definition.proven_form]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: f"{c[0].name}-{c[1]}")
@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_automatic_bound_is_never_above_the_hand_proven_one(name, contract):
    fmt, options = contract
    model, hand = Model.of(fmt, **options), HandModel.of(fmt, **options)
    rng = np.random.default_rng(3)
    ratios = []
    for classes in (2, 16, 300):
        for kind in ROWS:
            z = row(kind, classes, rng).astype(fmt.dtype).astype(np.float64)
            label = {"label": 1} if name == "cross_entropy" else {}
            arguments = [z, 1] if label else [z]
            found = threshold(formula(name), arguments, model)
            by_hand = np.atleast_1d(bounds.bound(name, z, hand, **label))
            ratio = np.atleast_1d(found.error) / by_hand
            value, radius = np.atleast_1d(np.abs(found.value)), np.atleast_1d(found.radius)
            normal = value > 2.0 ** (fmt.emin + 2)
            ratios.extend(ratio[normal])
            assert np.all((radius <= 2.0**-40 * value)[normal])
    assert max(ratios) <= 1
    assert np.median(ratios) > 0.1  # nor is it nothing
    assert admissible(found).shape == found.error.shape
