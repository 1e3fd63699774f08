"""The suite of gradients: right pullbacks pass, and each planted mistake in one is caught."""

from dataclasses import replace

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32
from softproof.verify.cases.text import parse
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Item
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.implementations import functions_of_arrays as values
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject

ANY = Contract(accumulator="input", arithmetic="input", summation="any")


def judge(name, function, family, *, arrays="numpy", dtype="float32", case=None, contract=ANY):
    """The result of one family of cases."""
    subject = Subject("mine:f", name, contract, arrays=arrays)
    item = Item(subject, "gradient", dtype, family, 8, 0, case=case)
    return execute(item, lambda asked: InProcess(asked, function))


def with_vjp(name, vjp):
    """The right function of that name, with a pullback of its own."""

    def function(*arguments, **parameters):
        return getattr(values, name)(*arguments, **parameters)

    function.vjp = vjp
    return function


# --- closed forms in NumPy ---


def mean(x):
    return np.sum(x, axis=-1, keepdims=True) / x.dtype.type(x.shape[-1])


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def rms_norm(x, gain, cotangent, eps=1e-6):
    r = x.dtype.type(1) / np.sqrt(mean(x * x) + x.dtype.type(eps))
    normal, h = x * r, cotangent * gain
    return r * (h - normal * mean(h * normal)), np.sum(cotangent * normal, axis=0)


def attention(q, k, v, mask, cotangent, scale=None, softcap=0.0):
    number = q.dtype.type
    factor = number(1) / np.sqrt(number(q.shape[-1])) if scale is None else number(scale)
    scores = np.sum(k * q[:, None, :], axis=-1) * factor
    if softcap:
        bent = np.tanh(scores / number(softcap))
        scores, slope = number(softcap) * bent, number(1) - bent * bent
    else:
        slope = np.ones_like(scores)
    p = softmax(np.where(mask, scores, -np.inf).astype(q.dtype))
    dp = np.sum(v * cotangent[:, None, :], axis=-1)
    ds = p * (dp - np.sum(p * dp, axis=-1, keepdims=True)) * slope * factor
    return (
        np.sum(ds[:, :, None] * k, axis=1),
        ds[:, :, None] * q[:, None, :],
        p[:, :, None] * cotangent[:, None, :],
    )


def kl_divergence(student, teacher, cotangent, temperature=1.0):
    t = student.dtype.type(temperature)
    q, p = softmax(student / t), softmax(teacher / t)
    ratio = values._log_softmax(teacher / t) - values._log_softmax(student / t)
    g = cotangent[:, None] * t
    return g * (q - p), g * p * (ratio - np.sum(p * ratio, axis=-1, keepdims=True))


def linear_cross_entropy(hidden, weight, label, cotangent, softcap=0.0):
    z = np.sum(hidden[:, None, :] * weight, axis=-1)
    slope = np.ones_like(z)
    if softcap:
        bent = np.tanh(z / z.dtype.type(softcap))
        z, slope = z.dtype.type(softcap) * bent, z.dtype.type(1) - bent * bent
    dz = softmax(z)
    dz[np.arange(len(z)), label] -= z.dtype.type(1)
    dz = dz * slope * cotangent[:, None]
    return (
        np.sum(dz[:, :, None] * weight, axis=1),
        np.sum(dz[:, :, None] * hidden[:, None, :], axis=0),
    )


RIGHT = [rms_norm, attention, kl_divergence, linear_cross_entropy]
FAMILIES = {
    "rms_norm": ("x: normal", "x: wide", "x: subnormal", "gain: constant", "eps=0"),
    "attention": ("q: subnormal", "mask: one kept", "softcap=2"),
    "kl_divergence": ("student: normal", "teacher: zero", "temperature=4"),
    "linear_cross_entropy": ("hidden: normal", "softcap=30"),
}


@pytest.mark.parametrize("vjp", RIGHT, ids=lambda f: f.__name__)
def test_right_pullbacks_pass(vjp):
    for family in FAMILIES[vjp.__name__]:
        found = judge(vjp.__name__, with_vjp(vjp.__name__, vjp), family)
        assert found.failures == (), family
        assert found.checks > 0, family


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_right_pullbacks_pass_in_other_formats(dtype):
    found = judge("rms_norm", with_vjp("rms_norm", rms_norm), "x: normal", dtype=dtype)
    assert found.failures == ()
    assert found.checks > 0


def test_layer_norm_of_pytorch_reads_a_mean_and_a_root_in_16_bits_that_were_stored():
    pytest.importorskip("torch")
    from softproof.verify.subjects.implementations.torch_functions_of_arrays import layer_norm

    lanes = Contract(summation="any")
    for saved, passes in (("unrounded", False), ("rounded", True)):
        contract = replace(lanes, saved=saved)
        asked = {"arrays": "torch", "dtype": "bfloat16", "contract": contract}
        found = judge("layer_norm", layer_norm, "x: normal", **asked)
        assert (not found.failures) == passes, saved
        assert found.checks > 0


# --- planted mistakes ---


def without_the_mean_term(x, gain, cotangent, eps=1e-6):
    r = 1 / np.sqrt(mean(x * x) + x.dtype.type(eps))
    return (r * cotangent * gain).astype(x.dtype), rms_norm(x, gain, cotangent, eps)[1]


def mean_forgets_to_divide(x, gain, cotangent, eps=1e-6):
    r = x.dtype.type(1) / np.sqrt(mean(x * x) + x.dtype.type(eps))
    normal, h = x * r, cotangent * gain
    inner = np.sum(h * normal, axis=-1, keepdims=True)
    return r * (h - normal * inner), np.sum(cotangent * normal, axis=0)


def gain_of_the_first_case(x, gain, cotangent, eps=1e-6):
    return rms_norm(x, gain, cotangent, eps)[0], rms_norm(x[:1], gain, cotangent[:1], eps)[1]


def eps_forgotten(x, gain, cotangent, eps=1e-6):
    return rms_norm(x, gain, cotangent, 0)


def unscaled_scores(q, k, v, mask, cotangent, scale=None, softcap=0.0):
    return attention(q, k, v, mask, cotangent, 1.0 if scale is None else scale, softcap)


def scale_forgotten_at_the_end(q, k, v, mask, cotangent, scale=None, softcap=0.0):
    dq, dk, dv = attention(q, k, v, mask, cotangent, scale, softcap)
    return dq * np.sqrt(q.dtype.type(q.shape[-1])), dk, dv


def slope_of_the_cap_forgotten(q, k, v, mask, cotangent, scale=None, softcap=0.0):
    return attention(q, k, v, mask, cotangent, scale)


def temperature_forgotten(student, teacher, cotangent, temperature=1.0):
    return kl_divergence(student, teacher, cotangent)


def teacher_taken_for_constant(student, teacher, cotangent, temperature=1.0):
    return kl_divergence(student, teacher, cotangent, temperature)[0], np.zeros_like(teacher)


def cotangent_forgotten(hidden, weight, label, cotangent, softcap=0.0):
    return linear_cross_entropy(hidden, weight, label, np.ones_like(cotangent), softcap)


def nan_for_a_single_class(hidden, weight, label, cotangent, softcap=0.0):
    dh, dw = linear_cross_entropy(hidden, weight, label, cotangent, softcap)
    return (dh * np.float32(np.nan) if len(weight) == 1 else dh), dw


MISTAKES = [
    ("rms_norm", without_the_mean_term, "x: normal", "At x["),
    ("rms_norm", mean_forgets_to_divide, "x: normal", "At x["),
    ("rms_norm", gain_of_the_first_case, "x: normal", "At gain["),
    ("rms_norm", eps_forgotten, "eps=0.0625", "At x["),
    ("attention", unscaled_scores, "q: normal", "At "),
    ("attention", scale_forgotten_at_the_end, "q: normal", "At q["),
    ("attention", slope_of_the_cap_forgotten, "softcap=2", "At "),
    ("kl_divergence", temperature_forgotten, "temperature=4", "At "),
    ("kl_divergence", teacher_taken_for_constant, "student: normal", "At teacher["),
    ("linear_cross_entropy", cotangent_forgotten, "hidden: normal", "At "),
    ("linear_cross_entropy", nan_for_a_single_class, "hidden: normal", "At hidden["),
]


@pytest.mark.parametrize(
    ("name", "vjp", "family", "place"), MISTAKES, ids=[f[1].__name__ for f in MISTAKES]
)
def test_a_mistake_is_caught_and_can_be_seen_again(name, vjp, family, place):
    function = with_vjp(name, vjp)
    found = judge(name, function, family)
    (failure,) = found.failures
    assert failure.kind == "value"
    assert failure.message == "gradient beyond its error bound"
    assert failure.source.endswith("through reverse mode")
    assert failure.detail.startswith(place)
    assert "--suite gradient" in failure.reproduce
    definition, case = parse(failure.case, BINARY32)
    assert definition is lookup(name)
    assert "cotangent" in case.values
    if "--case" in failure.reproduce:
        again = judge(name, function, "given", case=case)
        assert again.violations > 0
        assert again.failures[0].case == failure.case
    else:
        assert "only in its batch" in failure.detail


def test_a_gradient_that_is_not_summed_over_the_batch_fails_in_a_batch_alone():
    found = judge("rms_norm", with_vjp("rms_norm", gain_of_the_first_case), "x: normal")
    (failure,) = found.failures
    assert "The case alone does not fail: only in its batch." in failure.detail
    assert "--budget quick --seed 0" in failure.reproduce


def test_a_shrunk_case_is_small():
    function = with_vjp("attention", scale_forgotten_at_the_end)
    (failure,) = judge("attention", function, "q: normal").failures
    _, case = parse(failure.case, BINARY32)
    assert case.values["q"].size <= 3
    assert case.values["v"].size <= 2


def test_a_promise_of_ulps_for_values_is_none_for_gradients():
    strict = replace(ANY, ulps={"float32": 0.5})
    found = judge("rms_norm", with_vjp("rms_norm", rms_norm), "x: normal", contract=strict)
    assert found.failures == ()


# --- the form of a call ---


@pytest.mark.parametrize(
    ("vjp", "kind", "message"),
    [
        (
            lambda x, gain, cotangent: rms_norm(x, gain, cotangent)[0],
            "form",
            "returned 1 arrays, expected the gradient in x, the gradient in gain",
        ),
        (
            lambda x, gain, cotangent: (rms_norm(x, gain, cotangent)[0], x),
            "form",
            "the gradient in gain has shape (1, 1), expected (1,)",
        ),
        (lambda x, gain, cotangent: 1 / 0, "raised", "raised ZeroDivisionError"),
    ],
)
def test_a_pullback_that_gives_nothing_to_judge_is_a_finding(vjp, kind, message):
    (failure,) = judge("rms_norm", with_vjp("rms_norm", vjp), "x: normal").failures
    assert failure.kind == kind
    assert message in failure.message


def test_a_function_without_a_pullback_is_not_judged():
    found = judge("rms_norm", values.rms_norm, "x: normal")
    assert found.status == "empty"
    assert found.undecided == 0


def test_a_case_is_one_of_the_suites_that_take_it():
    subject = Subject("mine:f", "sparsemax")
    suites = ("accuracy", "gradient", "liveness", "poison")
    without = "sparsemax\nz[K=1] 0x1p+0"
    for text, wanted in (
        (without, ["accuracy", "poison"]),
        (f"{without}\ncotangent[K=1] 0x1p+0", ["gradient"]),
    ):
        items = plan(
            [subject], suites, ["float32"], case=lambda fmt, text=text: parse(text, fmt)[1]
        )
        assert [item.suite for item in items] == wanted


# --- kinks ---


def sparsemax_vjp(z, cotangent):
    """As frameworks have it: at a kink the slope of one side."""
    support = values.sparsemax(z) > 0
    count = np.sum(support, axis=-1, keepdims=True)
    inner = np.sum(np.where(support, cotangent, 0), axis=-1, keepdims=True) / count
    return np.where(support, cotangent - inner, 0).astype(z.dtype)


def test_at_a_kink_what_lies_between_both_sides_is_admissible():
    """At (1, 0) the second class is at the edge of the support: slopes 0, or (g - mean g)."""
    _, case = parse("sparsemax\nz[K=2] 0x1p+0 0x0p+0\ncotangent[K=2] 0x1p+0 0x0p+0", BINARY32)

    def constant(slope):
        slopes = np.float32([[slope, -slope]])
        return with_vjp("sparsemax", lambda z, cotangent: slopes + 0 * z)

    for slope, wanted in ((0.0, "pass"), (0.5, "pass"), (0.25, "pass"), (1.25, "fail")):
        found = judge("sparsemax", constant(slope), "given", case=case)
        assert found.undecided == 0
        assert found.status == wanted, slope


def test_a_right_pullback_passes_where_there_are_ties():
    function = with_vjp("sparsemax", sparsemax_vjp)
    found = judge("sparsemax", function, "z: ties")
    assert found.failures == ()
    assert found.checks > 0


# --- frameworks ---


def test_autograd_is_asked_of_functions_of_pytorch():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def rms_norm(x, gain, eps=1e-6):
        return x * torch.rsqrt(torch.mean(x * x, dim=-1, keepdim=True) + eps) * gain

    def gain_detached(x, gain, eps=1e-6):
        return rms_norm(x, gain.detach(), eps)

    def root_detached(x, gain, eps=1e-6):
        return x * torch.rsqrt(torch.mean(x * x, dim=-1, keepdim=True) + eps).detach() * gain

    def by_numpy(x, gain, eps=1e-6):
        return torch.from_numpy(values.rms_norm(x.numpy(force=True), gain.numpy(force=True), eps))

    for family in FAMILIES["rms_norm"]:
        found = judge("rms_norm", rms_norm, family, arrays="torch")
        assert found.failures == (), family
        assert found.checks > 0
    (failure,) = judge("rms_norm", gain_detached, "x: normal", arrays="torch").failures
    assert failure.detail.startswith("At gain[")
    assert failure.observed == "0x0p+0"
    assert judge("rms_norm", root_detached, "x: normal", arrays="torch").status == "fail"
    assert judge("rms_norm", by_numpy, "x: normal", arrays="torch").status == "empty"


def test_autograd_through_a_mask_and_a_label():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def attention(q, k, v, mask, scale=None, softcap=0.0):
        scores = torch.einsum("bnd,bd->bn", k, q) * (scale or q.shape[-1] ** -0.5)
        scores = softcap * torch.tanh(scores / softcap) if softcap else scores
        p = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
        return torch.einsum("bn,bne->be", p, v)

    def loss(hidden, weight, label, softcap=0.0):
        z = hidden @ weight.T
        z = softcap * torch.tanh(z / softcap) if softcap else z
        return torch.nn.functional.cross_entropy(z, label, reduction="none")

    for function, name in ((attention, "attention"), (loss, "linear_cross_entropy")):
        for family in FAMILIES[name]:
            found = judge(name, function, family, arrays="torch")
            assert found.failures == (), (name, family)
            assert found.checks > 0


def test_vjp_is_asked_of_functions_of_jax():
    jax = pytest.importorskip("jax", reason="jax is not installed")

    def kl_divergence(student, teacher, temperature=1.0):
        log_q, log_p = (jax.nn.log_softmax(x / temperature) for x in (student, teacher))
        return temperature**2 * jax.numpy.sum(jax.numpy.exp(log_p) * (log_p - log_q), axis=-1)

    def teacher_stopped(student, teacher, temperature=1.0):
        return kl_divergence(student, jax.lax.stop_gradient(teacher), temperature)

    flushing = replace(ANY, flush_to_zero="yes")
    settings = {"arrays": "jax", "contract": flushing}
    text = "student[K=2] 0x0p+0 0x1p+0\nteacher[K=2] 0x1p+1 0x1p+0\ncotangent -0x1p+0"
    for parameter in ("", " temperature=0x1p+2"):
        _, case = parse(f"kl_divergence{parameter}\n{text}", BINARY32)
        found = judge("kl_divergence", kl_divergence, "given", case=case, **settings)
        assert found.failures == ()
        assert found.checks == 4
        found = judge("kl_divergence", teacher_stopped, "given", case=case, **settings)
        (failure,) = found.failures
        assert failure.detail.startswith("At teacher[")
