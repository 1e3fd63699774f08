"""What holds of every bound: never NaN, d <= w, larger for larger errors and coarser formats."""

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    TFLOAT32,
    Format,
)
from softproof.derivations.running_error import (
    Model,
    RunningErrorArithmetic,
    RunningNumber,
    Threshold,
    UndecidedComparison,
    Verdict,
    threshold,
    verdict,
)
from softproof.derivations.running_error.numbers import finish

OPTIONS = {
    "from_logsumexp": True,
    "exponent_argument": 2.0,
    "online_block": 4,
    "absolute": 2.0,
    "division": 2.5,
    "operands": TFLOAT32,
    "stored_scores": True,
    "stored_softmax": True,
    "stored_forward": True,
    "faithful_sums": True,
    "faithful_result": True,
}
MODELS = {
    "float32": Model.of(BINARY32),
    "float16": Model.of(BINARY16),
    "bfloat16": Model.of(BFLOAT16, accumulator="input"),
    "float64": Model.of(BINARY64),
    "float32, flushing": Model.of(BINARY32, flushes=True),
    "float32, all options": Model.of(BINARY32, **OPTIONS),
    "float16 from float32": Model.of(BINARY16, arithmetic="float32", **OPTIONS),
}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 5e-324, 1e-310, 1e308, -1e308, np.inf, -np.inf, np.nan, 1e-45]
SPECIAL += [3e38, 746.0, -746.0, 2.0**-126]
ERRORS = [0.0, 1e-300, 1e-8, 1.0, 1e300, np.inf]
FUNCTIONS = [
    *("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "sigmoid", "softplus", "abs"),
    *("erf", "normal_cdf", "normal_pdf", "sin", "cos", "atan", "acos", "step", "positive_part"),
    *("sum", "mean", "max", "min", "cumsum", "descending", "shifted", "softmax"),
]


def rules(xp, b):
    """All operations as functions of one vector."""
    return {
        **{name: getattr(xp, name) for name in FUNCTIONS},
        "add": lambda x: x + b,
        "subtract": lambda x: b - x,
        "multiply": lambda x: x * b,
        "divide": lambda x: x / b,
        "divide by": lambda x: b / x,
        "dot": lambda x: xp.dot(x, b),
        "square": lambda x: x**2,
        "pow": lambda x: xp.pow(x, b),
        "maximum": lambda x: xp.maximum(x, b),
        "by_sign": lambda x: xp.by_sign(x, lambda t: t * 2, lambda t: -t),
    }


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_no_bound_is_nan_and_larger_errors_have_larger_bounds(model):
    xp = RunningErrorArithmetic(model)
    rng = np.random.default_rng(8)
    for trial in range(24):
        n = 300 if trial == 0 else 5
        v = rng.choice(SPECIAL, n) if trial % 2 else rng.standard_normal(n) * 10.0 ** (trial % 5)
        x = xp.array(v)
        w = np.maximum(x.radius, rng.choice(ERRORS, n) if trial % 3 == 0 else np.zeros(n))
        r = np.maximum(x.error, rng.choice(ERRORS, n))
        x, y = (RunningNumber(model, x.value, w, w, k * r) for k in (1, 2))
        b = xp.array(rng.choice([0.0, 1.0, -3.0, 1e-40, 1e30], n))
        for name, rule in rules(xp, b).items():
            found, more = rule(x), rule(y)  # the constructor raises on NaN
            assert np.all(found.radius <= found.reference_radius), name
            if name != "step":
                assert np.all(more.error >= found.error * (1 - 1e-9)), name
            assert not np.isnan(threshold(lambda xp, f=found: f, [], model).error).any()


def test_a_number_with_nan_is_refused_and_a_rule_that_finds_nan_knows_nothing():
    model = MODELS["float32"]
    with pytest.raises(ValueError, match="NaN"):
        RunningNumber(model, [1.0], [np.nan], [0.0], [0.0])
    found = finish(model, np.array([np.nan, 1.0]), np.zeros(2), np.zeros(2), np.array([0, np.nan]))
    assert np.isinf(found.radius[0])
    assert np.isinf(found.error).all()


def test_coarser_formats_have_larger_bounds():
    z = 3 * np.random.default_rng(2).standard_normal(32)
    z = z.astype(BFLOAT16.dtype).astype(float)
    last = np.zeros(32)
    for bits in (40, 24, 11, 8):
        fmt = Format(f"p{bits}", bits, 1023, BINARY64.dtype)
        error = threshold(lambda z, xp: xp.softmax(z), [z], Model(fmt, fmt, fmt)).error
        assert np.all(error > last)
        last = error


def test_nan_fails_and_an_unknown_bound_is_no_verdict():
    model = MODELS["float32"]
    found = Threshold(
        np.array([1.0, 1.0, 1.0, 1e39, 1.0, 1e39, 1.0]),
        np.zeros(7),
        np.array([0.1, 0.1, 0.1, np.inf, np.inf, np.inf, 0.1]),
    )
    results = [1.0, 2.0, np.nan, np.inf, 1.0, -np.inf, np.inf]
    P, F, N = Verdict.PASSED, Verdict.FAILED, Verdict.NONE
    assert verdict(results, found, model).tolist() == [P, F, F, P, N, N, F]


def test_the_threshold_is_the_largest_over_the_forms_with_the_narrowest_enclosure():
    model = MODELS["float32"]
    x = np.array([3.0, 1000.0])

    def stable(x, xp):
        return xp.softplus(x)

    def unstable(x, xp):
        return xp.log(1 + xp.exp(xp.minimum(x, 80)) * xp.exp(xp.positive_part(x - 80)))

    one, other = threshold(stable, [x], model), threshold(unstable, [x], model)
    both = threshold([stable, unstable], [x], model)
    assert np.array_equal(both.error, np.maximum(one.error, other.error))
    assert np.array_equal(both.radius, np.minimum(one.radius, other.radius))
    assert np.isinf(other.error[1])  # e^1000 overflows in float32
    with pytest.raises(ValueError, match="no formula"):
        threshold([], [x], model)


def test_arguments_may_be_named_and_labels_and_masks_are_no_numbers():
    model = MODELS["float32"]

    def loss(z, keep, label, xp, weight=1.0):
        return xp.log(xp.sum(xp.exp(z[keep]))) - z[label] * weight

    arguments = {"z": np.array([1.0, 2.0, 3.0]), "keep": np.array([True, False, True]), "label": 2}
    found = threshold(loss, arguments, model, weight=2.0)
    assert abs(float(found.value) - (np.log(np.exp(1) + np.exp(3)) - 6)) < 1e-14
    # In the order of the formula, whatever it calls them.
    difference = threshold(lambda a, b, xp: a - b, {"x": [3.0], "y": [1.0]}, model)
    assert difference.value.tolist() == [2.0]


def test_a_comparison_that_rounding_may_reverse_is_refused():
    xp = RunningErrorArithmetic(MODELS["float32"])
    x = xp.array([1.0, 2.0])
    assert (x > 1.5).tolist() == [False, True]
    assert (x >= 1.0).all()
    assert (x < 3).all()
    with pytest.raises(UndecidedComparison, match=r"xp\.where"):
        _ = xp.exp(xp.log(x)) > 1.0


def test_the_order_of_sums_must_be_known():
    with pytest.raises(ValueError, match="summation is 'sorted'"):
        Model.of(BINARY32, summation="sorted")


def test_powers_that_are_whole_are_products_and_others_are_refused():
    xp = RunningErrorArithmetic(MODELS["float32"])
    x = xp.array([3.0, -2.0])
    for n in (-2, -1, 0, 1, 2, 3):
        y = x**n
        assert np.all(np.abs(y.value - np.array([3.0, -2.0]) ** float(n)) <= y.radius)
    assert not (x**1).error.any()
    with pytest.raises(TypeError, match=r"xp\.pow"):
        _ = x**0.5


def test_exact_masks_take_no_part_and_have_no_error():
    model = MODELS["float32"]
    z = np.array([0.0, -np.inf, 1.0])
    p = threshold(lambda z, xp: xp.softmax(z), [z], model)
    assert p.value[1] == p.error[1] == 0
    assert np.isfinite(p.error).all()

    def log_softmax(z, xp):
        d = xp.shifted(z)
        return d - xp.log(xp.sum(xp.exp(d)))

    log_p = threshold(log_softmax, [z], model)
    assert log_p.value[1] == -np.inf
    assert np.isfinite(log_p.error[[0, 2]]).all()


def test_the_sign_of_what_rounding_may_change_is_not_guessed():
    model = MODELS["float32"]
    xp = RunningErrorArithmetic(model)
    zero = np.zeros(4)
    x = RunningNumber(model, [1.0, 1e-9, -1.0, 0.0], zero, zero, [0.0, 1e-8, 0.0, 0.0])
    step = xp.step(x)
    assert step.value.tolist() == [1.0, 1.0, 0.0, 0.5]
    assert step.error.tolist() == [0.0, 1.0, 0.0, 0.5]
    y = xp.by_sign(x, lambda t: t, lambda t: -2 * t)
    assert abs(2e-8 - y.value[1]) <= y.error[1]
    first, last = xp.ranks(RunningNumber(model, [1.0, 2.0, 1.0], zero[:3], zero[:3], [0, 0, 0]))
    assert first.tolist() == last.tolist() == [1, 0, 2]
    first, last = xp.ranks(RunningNumber(model, [1.0, 2.0, 1.0], zero[:3], zero[:3], [1e-8] * 3))
    assert (first.tolist(), last.tolist()) == ([1, 0, 1], [2, 0, 2])


def test_arrays_of_any_shape_have_axes():
    xp = RunningErrorArithmetic(MODELS["float32"])
    z = np.random.default_rng(1).standard_normal((3, 4, 5)).astype("f4").astype(float)
    x = xp.array(z)
    for name in ("sum", "mean", "max", "min"):
        for axis in (0, 1, -1):
            found = getattr(xp, name)(x, axis=axis)
            truth = getattr(np, name)(z, axis=axis)
            assert np.all(np.abs(found.value - truth) <= found.radius + 1e-15)
            parts = [
                getattr(xp, name)(row)
                for row in np.moveaxis(z, axis, -1).reshape(-1, z.shape[axis])
            ]
            assert np.allclose(found.error.reshape(-1), [p.error for p in parts], rtol=1e-12)
    for name in ("softmax", "shifted", "cumsum", "descending"):
        found = getattr(xp, name)(x)
        for index in np.ndindex(3, 4):
            row = getattr(xp, name)(x[index])
            assert np.allclose(found[index].value, row.value, rtol=1e-12)
            assert np.allclose(found[index].error, row.error, rtol=1e-12)


def test_arrays_are_taken_apart_and_put_together():
    xp = RunningErrorArithmetic(MODELS["float32"])
    x = xp.exp(xp.array([[0.0, 1.0], [2.0, 3.0]]))
    assert np.array_equal(xp.stack([x[0], x[1]]).error, x.error)
    assert np.array_equal(xp.concatenate([x, x]).error[2:], x.error)
    assert np.array_equal(xp.array([[x[0, 0], x[0, 1]]]).error[0], x.error[0])
    changed = xp.put(x, (0, 1), 5.0)
    assert (changed.value[0, 1], changed.error[0, 1]) == (5.0, 0.0)
    assert x.value[0, 1] == np.exp(1)
    assert xp.zeros((2, 3)).shape == (2, 3)
    assert xp.broadcast(x[0], (3, 2)).shape == (3, 2)
    assert xp.expand_dims(x, 0).shape == (1, 2, 2)
    scattered = xp.scatter((3,), np.array([0, 2, 0]), xp.array([1.0, 2.0, 4.0]))
    assert scattered.value.tolist() == [5.0, 0.0, 2.0]
    assert (x.T.shape, x.ndim, len(x)) == ((2, 2), 2, 2)
    assert abs(float(xp.pi.value) - np.pi) <= float(xp.pi.radius)
