"""Every formula of the catalogue has a threshold, whose enclosure holds the exact value."""

import flint
import numpy as np
import pytest
from softproof.derivations.arithmetic.balls import balls
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32
from softproof.derivations.running_error import Model, threshold
from softproof.derivations.signature import Integer, Label, Labels, Mask

from tests.implemented import IMPLEMENTED

FORMULAS = {
    f"{name}, {form}": formula
    for name, definition in IMPLEMENTED.items()
    for form, formula in {"as published": definition.formula, **definition.forms}.items()
}
MODELS = {
    "float32": Model.of(BINARY32),
    "float16 from float32": Model.of(BINARY16, arithmetic="float32"),
    "bfloat16": Model.of(BFLOAT16),
}

# What a function makes of errors: ten iterations of numbers that are divided by 0.1.
AMPLIFIED = {"sinkhorn": 4}


def argument(kind, sizes, rng, fmt):
    if isinstance(kind, Label):
        return 1
    if isinstance(kind, Labels):
        return kind.lower + np.arange(sizes[kind.axis]) % 2
    if isinstance(kind, Integer):
        return min(kind.lower + 3, kind.upper)
    shape = tuple(sizes[axis] for axis in kind.axes)
    if isinstance(kind, Mask):
        return np.arange(np.prod(shape)).reshape(shape) % 3 > 0
    low, high = max(kind.lower, -4.0), min(kind.upper, 4.0)
    drawn = np.clip(rng.standard_normal(shape), low, high)
    return np.asarray(drawn).astype(fmt.dtype).astype(np.float64)


def arguments_of(name, rng, fmt):
    signature = IMPLEMENTED[name.split(",")[0]].signature
    sizes = {axis: 5 + k for k, axis in enumerate(signature.axes)}
    sizes = IMPLEMENTED[name.split(",")[0]].fitting(sizes, {})
    return [argument(kind, sizes, rng, fmt) for kind in signature.arguments.values()]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_of_the_catalogue_encloses_the_exact_value(name):
    rng = np.random.default_rng(4)
    xp = balls()
    for model in MODELS.values():
        arguments = arguments_of(name, rng, model.result)
        found = threshold(FORMULAS[name], arguments, model)
        lifted = [
            xp.array(a) if isinstance(a, np.ndarray) and a.dtype == float else a for a in arguments
        ]
        with flint.ctx.workprec(200):
            exact = FORMULAS[name](*lifted, xp=xp)
            for index, ball in np.ndenumerate(np.asarray(exact, dtype=object)):
                off = abs(ball - flint.arb(float(found.value[index])))
                assert off <= flint.arb(float(found.radius[index]))
        scale = np.max(np.abs(found.value))
        assert np.all(found.radius <= 2.0**-36 * scale)
        if model.u < 2.0**-20:  # in bfloat16 itself the naive forms may have no bound
            most = 2.0**-8 if model.result != BINARY32 else 2.0**-12
            assert np.all(found.error <= most * AMPLIFIED.get(name.split(",")[0], 1) * scale)
