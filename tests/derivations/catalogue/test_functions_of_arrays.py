"""Definitions of several arguments, or of one real, are what their sources say, in every form.

The truth is a transcript of each source in plain loops over mpmath numbers.
"""

import flint
import numpy as np
import pytest
import sympy
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.derivations.arithmetic.systems import balls, big_floats, ieee, symbols
from softproof.derivations.running_error import Model, threshold
from softproof.derivations.running_error.thresholds import admissible

from tests.derivations.catalogue.truths import CASES, MATRIX, MP, TRUTHS, VALUES, X, sparsemax
from tests.implemented import IMPLEMENTED

FORMULAS = [
    pytest.param(name, form, id=f"{name}: {form}")
    for name, definition in IMPLEMENTED.items()
    if definition.elementwise or not definition.of_a_row
    for form in ("as published", *definition.forms)
]


def expected(name, arguments, parameters, truths=TRUTHS):
    def exact(a):
        return [exact(v) for v in a] if isinstance(a, tuple) else a if a is True else MP.mpf(a)

    kinds = lookup(name).signature.arguments
    numbers = lookup(name).signature.numbers
    given = [exact(a) if k in numbers else a for k, a in zip(kinds, arguments, strict=True)]
    return truths[name](*given, **parameters)


def evaluate(formula, name, arguments, parameters, xp):
    signature = lookup(name).signature
    given = [
        xp.array(a) if k in signature.numbers else np.array(a) if isinstance(a, tuple) else a
        for k, a in zip(signature.arguments, arguments, strict=True)
    ]
    found = formula(*given, xp, **parameters)
    results = found if isinstance(found, tuple) else (found,)
    return [v for r in results for v in np.asarray(r, dtype=object).reshape(-1)]


def agrees(formula, name, truths=TRUTHS, cases=CASES, in_symbols=True):
    """Whether a formula gives the truth at all cases of a definition, in every arithmetic.

    In symbols where asked: nested sums of many entries take minutes there.
    """
    for arguments, parameters in cases[name]:
        truth = expected(name, arguments, parameters, truths)
        with flint.ctx.workprec(120):
            for value, exact in zip(
                evaluate(formula, name, arguments, parameters, balls()), truth, strict=True
            ):
                distance = abs(value - flint.arb(MP.nstr(exact, 50)))
                if not distance < 2.0**-90:
                    return False
        reference = [float(v) for v in truth]
        close = []
        try:
            if in_symbols:
                symbolic = evaluate(formula, name, arguments, parameters, symbols())
        except ValueError as refused:
            if "is no expression" not in str(refused):  # as the zero of a function is none
                raise
        else:
            symbolic = [float(sympy.N(v, 30)) for v in symbolic] if in_symbols else reference
            close.append(np.allclose(symbolic, reference, 1e-15, 1e-30))
        exactly = evaluate(formula, name, arguments, parameters, big_floats(100))
        close.append(np.allclose([float(v) for v in exactly], reference, 1e-15, 1e-25))
        for fmt in FORMATS.values():
            u = float(fmt.unit_roundoff)
            computed = evaluate(formula, name, arguments, parameters, ieee(fmt))
            close.append(np.allclose([float(v) for v in computed], reference, 30 * u, 30 * u))
        if not all(close):
            return False
    return True


@pytest.mark.parametrize(("name", "form"), FORMULAS)
def test_every_form_is_the_function_of_its_source(name, form):
    definition = lookup(name)
    assert agrees(definition.forms.get(form, definition.formula), name)


def test_every_definition_of_several_arguments_has_another_form_and_a_truth():
    named = {name for name, definition in IMPLEMENTED.items() if not definition.of_a_row}
    of_one_real = {name for name, definition in IMPLEMENTED.items() if definition.elementwise}
    assert named | of_one_real == TRUTHS.keys() == CASES.keys()
    alone = {"normal_cdf", "smoothed_rsqrt"}  # an argument, and a special function
    assert all(lookup(name).forms for name in (named | of_one_real) - alone)


def eps_outside_of_the_root(x, gain, xp, eps=1e-6):
    return x / (xp.sqrt(xp.mean(x * x)) + xp.number(eps)) * gain


def variance_over_one_less(x, gain, bias, xp, eps=1e-5):
    c = x - xp.mean(x)
    variance = xp.sum(c * c) / xp.number(len(x) - 1)
    return c / xp.sqrt(variance + xp.number(eps)) * gain + bias


def unscaled_scores(q, k, v, mask, xp, scale=None, softcap=0.0):
    return lookup("attention").formula(q, k, v, mask, xp, 1.0, softcap)


def mask_after_softmax(q, k, v, mask, xp, scale=None, softcap=0.0):
    everything = np.ones_like(mask)
    full = lookup("attention").formula(q, k, v, everything, xp, scale, softcap)
    return full if mask.all() else full / xp.number(int(mask.sum()))


def without_the_square_of_the_temperature(student, teacher, xp, temperature=1.0):
    t = xp.number(temperature)
    return lookup("kl_divergence").formula(student / t, teacher / t, xp)


def reversed_divergence(student, teacher, xp, temperature=1.0):
    return lookup("kl_divergence").formula(teacher, student, xp, temperature)


def ignored_softcap(hidden, weight, label, xp, softcap=0.0):
    return lookup("linear_cross_entropy").formula(hidden, weight, label, xp)


def bias_after_the_softcap(hidden, weight, bias, label, xp, softcap=0.0):
    z, cap = xp.dot(weight, hidden), xp.number(softcap)
    z = cap * xp.tanh(z / cap) if softcap else z
    return xp.logsumexp(z + bias) - (z + bias)[label]


def sink_with_a_value(q, k, v, mask, sink, xp, scale=None, softcap=0.0):
    return lookup("attention").formula(q, k, v, mask, xp, scale, softcap)


def gate_on_the_other(a, b, xp):
    return lookup("swiglu").formula(b, a, xp)


def noise_not_divided(logits, noise, xp, temperature=1.0):
    return xp.softmax(logits / xp.number(temperature) + noise)


def multiplied_by_the_temperature(query, keys, label, xp, temperature=1.0):
    return lookup("info_nce").formula(query * xp.number(temperature), keys, label, xp)


def softmax_over_all(logits, xp, k=2):
    chosen = xp.largest(logits, k)
    return chosen, xp.softmax(logits)[chosen]


def weights_by_index(logits, xp, k=2):
    chosen = xp.largest(logits, k)
    return chosen, xp.softmax(logits[np.sort(chosen)])


def pairs_of_neighbours(x, position, xp, base=10000.0):
    return lookup("rope_interleaved").formula(x, position, xp, base)


def turned_the_other_way(x, position, xp, base=10000.0):
    return lookup("rope").formula(x, -position, xp, base)


def gelu_by_the_sigmoid(x, xp):
    return x * xp.sigmoid(xp.number(1.702) * x)


def gelu_without_the_root_of_two(x, xp):
    return x * (1 + xp.erf(x)) / 2


def gelu_tanh_without_the_cube(x, xp):
    return x * (1 + xp.tanh(xp.sqrt(2 / xp.pi) * x)) / 2


def silu_of_another_slope(x, xp):
    return x * xp.sigmoid(xp.number(1.25) * x)


def tanh_of_half(x, xp):
    return 2 * xp.sigmoid(x) - 1


def one_forgotten(x, xp):
    return xp.exp(x)


def one_subtracted(x, xp):
    return xp.expm1(x)


def distribution_of_the_same_argument(x, xp):
    return 2 * xp.normal_cdf(x) - 1


def logarithm_of_the_modulus(x, xp):
    return xp.log1p(xp.abs(x))


def unlicensed_shift(z, xp):
    """It depends on what is subtracted: only the sum of the largest entries would do."""
    return lookup("sparsemax").formula(z, xp) + 0 * z + xp.max(xp.shifted(z))


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("rms_norm", eps_outside_of_the_root),
        ("layer_norm", variance_over_one_less),
        ("attention", unscaled_scores),
        ("attention", mask_after_softmax),
        ("kl_divergence", without_the_square_of_the_temperature),
        ("kl_divergence", reversed_divergence),
        ("linear_cross_entropy", ignored_softcap),
        ("linear_cross_entropy_with_bias", bias_after_the_softcap),
        ("sparsemax", unlicensed_shift),
        ("sink_attention", sink_with_a_value),
        ("swiglu", gate_on_the_other),
        ("gumbel_softmax", noise_not_divided),
        ("info_nce", multiplied_by_the_temperature),
        ("top_k_gate", softmax_over_all),
        ("top_k_gate", weights_by_index),
        ("rope", pairs_of_neighbours),
        ("rope", turned_the_other_way),
        ("gelu", gelu_by_the_sigmoid),
        ("gelu", gelu_without_the_root_of_two),
        ("gelu_tanh", gelu_tanh_without_the_cube),
        ("silu", silu_of_another_slope),
        ("tanh", tanh_of_half),
        ("expm1", one_forgotten),
        ("exp", one_subtracted),
        ("erf", distribution_of_the_same_argument),
        ("log1p", logarithm_of_the_modulus),
    ],
)
def test_another_function_does_not_agree(name, broken):
    assert not agrees(broken, name)


@pytest.mark.parametrize("xp", [balls(), big_floats(100), ieee(FORMATS["float32"])])
def test_attention_that_may_look_at_nothing_is_refused(xp):
    nothing = np.zeros(3, dtype=bool)
    with pytest.raises(ValueError, match="of no values"):
        lookup("attention")(xp.vector(X), xp.array(MATRIX), xp.array(VALUES), nothing, xp)


def test_sparsemax_of_balls_needs_no_order():
    """Overlapping balls are in no order, and yet the result is close around what it encloses."""
    middles = (0.25, 0.25, 0.125, -1.0)
    wide = np.array([flint.arb(m, 2.0**-20) for m in middles], dtype=object)
    enclosure = lookup("sparsemax")(wide, balls())
    for shifts in ((0, 0, 0, 0), (1, -1, 1, 1), (-1, 1, -1, -1)):
        z = [MP.mpf(m) + s * MP.mpf(2) ** -20 for m, s in zip(middles, shifts, strict=True)]
        for ball, exact in zip(enclosure, sparsemax(z), strict=True):
            assert ball.contains(flint.arb(MP.nstr(exact, 45)))
    assert max(float(ball.rad()) for ball in enclosure) < 2.0**-17


@pytest.mark.parametrize("offset", [16, 256, 4096])
def test_the_bound_of_layer_norm_tells_scale_and_bias_from_a_one_pass_variance(offset):
    """x s - mean s conforms far from 0; mean x^2 - mean^2, which cancels, does not."""
    definition = lookup("layer_norm")
    x = (np.random.default_rng(0).standard_normal(8) + offset).astype(np.float32)
    one, eps = np.float32(1), np.float32(1e-5)
    arguments = {"x": x.astype(float), "gain": np.ones(8), "bias": np.zeros(8)}
    forms = [definition.formula, *definition.forms.values()]
    known = threshold(forms, arguments, Model.of(BINARY32), eps=1e-5)
    mean = x.mean()

    def conforms(variance):
        scale = one / np.sqrt(variance + eps)
        error = np.abs((x * scale + -mean * scale).astype(float) - known.value)
        return (error <= admissible(known)).all()

    assert conforms(np.mean((x - mean) ** 2))
    assert not conforms(np.maximum(np.mean(x * x) - mean * mean, 0))
