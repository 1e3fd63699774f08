"""Thresholds of vector-Jacobian products: they enclose, hold for kernels, and find mistakes."""

import flint
import numpy as np
import pytest
from softproof.derivations.arithmetic.balls import balls
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32
from softproof.derivations.arithmetic.reverse_mode import vector_jacobian_product
from softproof.derivations.catalogue import lookup
from softproof.derivations.running_error import Model, gradient_threshold
from softproof.derivations.running_error.adversary import SIGNS, Adversary
from softproof.derivations.running_error.model import rounded_to
from softproof.derivations.running_error.thresholds import admissible

F4 = np.float32
PLAIN = Model.of(BINARY32, accumulator="input")
MODELS = {
    "float32": PLAIN,
    "bfloat16": Model.of(BFLOAT16, accumulator="input"),
    "float32, pairwise": Model.of(BINARY32, accumulator="input", summation="pairwise"),
    "stored in bfloat16": Model.of(BFLOAT16, arithmetic="float32", stored_forward=True),
}
K = 12
# name: (the arguments that are numbers with their shapes, other arguments, the shape of the output)
CASES = {
    "softmax": ({"logits": (K,)}, {}, (K,)),
    "cross_entropy": ({"logits": (K,)}, {"label": 3}, ()),
    "rms_norm": ({"x": (K,), "gain": (K,)}, {}, (K,)),
    "layer_norm": ({"x": (K,), "gain": (K,), "bias": (K,)}, {}, (K,)),
    "attention": (
        {"q": (8,), "k": (K, 8), "v": (K, 3)},
        {"mask": np.arange(K) != 5},
        (3,),
    ),
    "kl_divergence": ({"student": (K,), "teacher": (K,)}, {}, ()),
    "sparsemax": ({"z": (K,)}, {}, (K,)),
}


def form(name):
    """A form that implementations compute; softmax as one operation."""
    if name == "softmax":
        return lambda logits, xp: xp.softmax(logits)
    if name == "cross_entropy":
        return lookup(name).forms["shifted"]
    return lookup(name).formula


def drawn(name, model, seed=0):
    numbers, others, output = CASES[name]
    rng = np.random.default_rng(seed)
    fmt = model.operations
    arguments = {n: rounded_to(fmt, rng.standard_normal(shape)) for n, shape in numbers.items()}
    return {**arguments, **others}, rounded_to(fmt, rng.standard_normal(output)), list(numbers)


def exact_products(name, arguments, cotangent, wrt):
    """The products in binary64, from balls."""
    xp = balls()
    lifted = {n: xp.array(a) if n in wrt else a for n, a in arguments.items()}
    with flint.ctx.workprec(200):
        _, found = vector_jacobian_product(form(name), lifted, xp.array(cotangent), xp, wrt=wrt)
        middle = np.vectorize(lambda b: float(b.mid()), otypes=[float])
        return {n: middle(np.asarray(found[n], dtype=object)) for n in wrt}


@pytest.mark.parametrize("name", CASES)
def test_a_product_is_enclosed(name):
    for seed in range(3):
        arguments, cotangent, wrt = drawn(name, PLAIN, seed)
        found = gradient_threshold(form(name), arguments, cotangent, PLAIN, wrt=wrt)
        exact = exact_products(name, arguments, cotangent, wrt)
        for n in wrt:
            assert found[n].value.shape == np.shape(arguments[n])
            rounding = 2.0**-53 * np.abs(exact[n])
            assert np.all(np.abs(exact[n] - found[n].value) <= found[n].radius + rounding)
            assert np.all(found[n].radius <= 2.0**-38 * np.max(np.abs(exact[n])))


@pytest.mark.parametrize("which", MODELS)
@pytest.mark.parametrize("name", CASES)
def test_the_adversary_stays_within_and_comes_within_a_factor_ten(name, which):
    model = MODELS[which]
    rng = np.random.default_rng(3)
    closest = 0.0
    for seed in range(2):
        arguments, cotangent, wrt = drawn(name, model, seed)
        found = gradient_threshold(form(name), arguments, cotangent, model, wrt=wrt)
        exact = exact_products(name, arguments, cotangent, wrt)
        for signs in (*SIGNS, "drawn"):
            xp = Adversary(model, signs, rng)
            lifted = {n: xp.array(a) if n in wrt else a for n, a in arguments.items()}
            _, products = vector_jacobian_product(
                form(name), lifted, xp.array(cotangent), xp, wrt=wrt
            )
            for n in wrt:
                bound = admissible(found[n])
                error = np.abs(products[n].value - exact[n])
                assert np.all(error <= bound * (1 + 4 * 2.0**-53 / model.u) + 2.0**-1000)
                known = np.isfinite(bound) & (bound > 0)
                closest = max(closest, float(np.max(error[known] / bound[known], initial=0.0)))
    # (Its backward pass reads a support, no numbers; and the adversary does not store the results.)
    reads_nothing = (name, which) == ("sparsemax", "stored in bfloat16")
    assert closest > (0.001 if reads_nothing else 0.1)


# --- closed forms, as kernels have them, in float32 ---


def softmax_kernel(z):
    e = np.exp(z - z.max())
    return e / e.sum(dtype=F4)


def cross_entropy_backward(arguments, g):
    gradient = softmax_kernel(arguments["logits"])
    gradient[arguments["label"]] -= F4(1)
    return {"logits": gradient * g}


def rms_norm_backward(arguments, g):
    x, gain = arguments["x"], arguments["gain"]
    r = F4(1) / np.sqrt((x * x).mean(dtype=F4) + F4(1e-6))
    normal = x * r
    inner = (g * gain * normal).mean(dtype=F4)
    return {"x": r * (g * gain - normal * inner), "gain": g * normal}


def layer_norm_backward(arguments, g):
    x, gain = arguments["x"], arguments["gain"]
    c = x - x.mean(dtype=F4)
    r = F4(1) / np.sqrt((c * c).mean(dtype=F4) + F4(1e-5))
    normal, h = c * r, g * gain
    inner, mean = (h * normal).mean(dtype=F4), h.mean(dtype=F4)
    return {"x": r * (h - mean - normal * inner), "gain": g * normal, "bias": g}


def attention_backward(arguments, g):
    q, k, v = (arguments[n] for n in "qkv")
    keep = arguments["mask"]
    scale = F4(1 / np.sqrt(len(q)))
    p = softmax_kernel((k @ q)[keep] * scale)
    weights = np.zeros(len(k), F4)
    weights[keep] = p
    dp = (v @ g)[keep]
    ds = np.zeros(len(k), F4)
    ds[keep] = p * (dp - (p * dp).sum(dtype=F4)) * scale
    return {"q": k.T @ ds, "k": np.outer(ds, q), "v": np.outer(weights, g)}


KERNELS = {
    "cross_entropy": cross_entropy_backward,
    "rms_norm": rms_norm_backward,
    "layer_norm": layer_norm_backward,
    "attention": attention_backward,
}


def ratios(name, backward, seed):
    """The errors of a kernel in float32 over the thresholds, for each argument."""
    arguments, cotangent, wrt = drawn(name, PLAIN, seed)
    found = gradient_threshold(form(name), arguments, cotangent, PLAIN, wrt=wrt)
    numbers = {n: np.asarray(a, F4) if n in wrt else a for n, a in arguments.items()}
    results = backward(numbers, np.asarray(cotangent, F4))
    worst = {}
    for n in wrt:
        error = np.abs(results[n].astype(float) - found[n].value)
        worst[n] = float(np.max(error / (admissible(found[n]) + 2.0**-1000)))
    return worst


@pytest.mark.parametrize("name", KERNELS)
def test_a_closed_form_in_float32_is_within_the_threshold(name):
    for seed in range(5):
        assert max(ratios(name, KERNELS[name], seed).values()) <= 1


def without_label(arguments, g):
    return {"logits": softmax_kernel(arguments["logits"]) * g}


def scaled(arguments, g):
    return {n: d * F4(1.0001) for n, d in rms_norm_backward(arguments, g).items()}


def without_means(arguments, g):
    return rms_norm_backward(arguments, g) | {"bias": g}


def in_bfloat16(arguments, g):
    found = attention_backward(arguments, g)
    return {n: d.astype(BFLOAT16.dtype).astype(F4) for n, d in found.items()}


@pytest.mark.parametrize(
    ("name", "argument", "mistake"),
    [
        ("cross_entropy", "logits", without_label),
        ("rms_norm", "x", scaled),
        ("layer_norm", "x", without_means),
        ("attention", "q", in_bfloat16),
    ],
)
def test_a_mistake_in_a_gradient_is_beyond_the_threshold(name, argument, mistake):
    assert ratios(name, mistake, 0)[argument] > 2


def test_operands_in_bfloat16_widen_the_thresholds_of_gradients():
    """P and dS are rounded to the format of the inputs before they are multiplied."""
    model = Model.of(BFLOAT16, arithmetic="float32")
    rounded = Model.of(BFLOAT16, arithmetic="float32", operands=BFLOAT16)
    arguments, _, wrt = drawn("attention", MODELS["bfloat16"])
    cotangent = rounded_to(BFLOAT16, np.ones(3))
    plain, wide = (
        gradient_threshold(form("attention"), arguments, cotangent, m, wrt=wrt)
        for m in (model, rounded)
    )
    bf16 = lambda x: x.astype(BFLOAT16.dtype).astype(F4)  # noqa: E731
    q, k, v, g = (np.asarray(a, F4) for a in (*(arguments[n] for n in "qkv"), cotangent))
    keep = arguments["mask"]
    scale = F4(1 / np.sqrt(len(q)))
    p = softmax_kernel((k @ q)[keep] * scale)
    dp = (v @ g)[keep]
    ds = bf16(p * (dp - (p * dp).sum(dtype=F4)) * scale)
    dq = bf16(k[keep].T @ ds).astype(float)
    assert np.all(np.abs(dq - wide["q"].value) <= admissible(wide["q"]))
    assert np.any(np.abs(dq - plain["q"].value) > admissible(plain["q"]))


@pytest.mark.parametrize("n", range(-2, 4))
def test_the_derivatives_of_whole_powers_are_right(n):
    x = np.array([3.0, -2.0])
    found = gradient_threshold(lambda x, xp: xp.sum(x**n), {"x": x}, 1.0, PLAIN, wrt=["x"])["x"]
    exact = n * x ** float(n - 1) if n else np.zeros(2)
    assert np.all(np.abs(found.value - exact) <= found.radius + 2.0**-53 * np.abs(exact))
    assert np.isfinite(found.error).all()


def test_at_a_kink_that_rounding_may_cross_both_sides_are_admissible():
    x = np.array([1.0, float(F4(0.1)), -1.0])
    kink = lambda x, xp: xp.sum(xp.positive_part(x - 0.1))  # noqa: E731
    found = gradient_threshold(kink, {"x": x}, 1.0, PLAIN, wrt=["x"])["x"]
    reach = admissible(found)
    assert found.value[[0, 2]].tolist() == [1.0, 0.0]
    assert np.all(reach[[0, 2]] < 1e-6)
    assert abs(found.value[1] - 0) <= reach[1]
    assert abs(found.value[1] - 1) <= reach[1]


def test_in_a_sort_that_rounding_may_change_each_order_is_admissible():
    largest = lambda z, xp: xp.descending(xp.exp(z))[0]  # noqa: E731
    found = gradient_threshold(largest, {"z": [1.0, 1.0, 0.0]}, 1.0, PLAIN, wrt=["z"])["z"]
    reach = admissible(found)
    for result in ([np.e, 0.0, 0.0], [0.0, np.e, 0.0]):
        assert np.all(np.abs(found.value - result) <= reach * (1 + 1e-6))
    assert found.value[2] == 0
    assert reach[2] < 1e-6
