"""The a-priori bounds of comp-sum losses: straightforward code keeps them, wrong code does not."""

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32, BINARY64
from softproof.derivations.arithmetic.systems import ieee
from softproof.derivations.error_bounds.bounds import bound
from softproof.derivations.error_bounds.model import Model
from softproof.verify.inputs.families import draw
from softproof.verify.oracle.truth import truth

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow is part of the test

NAMES = ("comp_sum", "sum_exponential", "generalized_cross_entropy", "mean_absolute_error")
FAMILIES = ("normal", "wide", "dominant", "ties", "bit_patterns")
each_name = pytest.mark.parametrize("name", NAMES)
each_format = pytest.mark.parametrize("fmt", [BINARY32, BINARY64], ids=lambda fmt: fmt.name)


def cases(fmt):
    for family in FAMILIES:
        for batch in draw(family, fmt, 2, 0, labelled=True):
            if batch.logits.shape[1] <= 20:
                yield from zip(batch.logits[::3], batch.labels[::3].tolist(), strict=True)


def worst(name, fmt, *, gradient, tamper=lambda v: v):
    """Error over bound of the definition's own form in the format, the worst of all rows."""
    definition, model, found = lookup(name), Model.of(fmt, "input"), 0.0
    form = definition.gradient if gradient else definition.forms[definition.proven_form]
    for row, label in cases(fmt):
        exact = truth(definition, row, fmt, label=label, gradient=gradient)
        computed = tamper(np.asarray(form(row - row.max(), label, ieee(fmt)), dtype=fmt.dtype))
        limit = bound(name, row, model, label=label, gradient=gradient)
        usable = np.isfinite(computed) & np.isfinite(exact.rounded) & np.isfinite(limit)
        off = np.abs(
            computed.astype(np.float64)
            - exact.rounded.astype(np.float64)
            - exact.offset * np.ldexp(1.0, exact.ulp_exponent)
        )
        # (The truth itself is rounded to binary64 here: an ulp of that is not held against it.)
        off -= np.abs(exact.rounded.astype(np.float64)) * 2.0**-53
        ratio = np.where(usable, off / np.maximum(limit, 2.0**-1074), 0.0)
        found = max(found, float(np.max(ratio)))
    return found


@each_name
@each_format
@pytest.mark.parametrize("gradient", [False, True])
def test_straightforward_code_keeps_the_bound(name, fmt, gradient):
    assert 0 < worst(name, fmt, gradient=gradient) <= 1


@each_name
@pytest.mark.parametrize("gradient", [False, True])
def test_an_error_of_some_hundred_ulps_does_not(name, gradient):
    def wrong(v):
        return v * np.float32(1 + 2.0**-15)

    assert worst(name, BINARY32, gradient=gradient, tamper=wrong) > 1


def test_the_loss_of_a_certain_class_may_not_collapse():
    row = np.float32([30.0, 0.0])
    for name in NAMES:
        limit = bound(name, row, Model.of(BINARY32), label=0)
        exact = truth(lookup(name), row, BINARY32, label=0)
        assert limit < 0.001 * exact.rounded
