"""Mistakes planted in any definition: each is wrong and seen by a suite; right ones are right."""

import numpy as np
import pytest
from softproof.derivations import REGISTRY, Parameter, Vector, define, lookup
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32, BINARY64, FORMATS
from softproof.verify.cases.case import CaseBatch
from softproof.verify.cases.draw import draw, families
from softproof.verify.power.computed import Call, implementation, right
from softproof.verify.power.of_formulas import mistakes_of, right_implementations
from softproof.verify.power.seen import first_seen
from softproof.verify.subjects.contract import Contract
from softproof.verify.suites.of_cases import accuracy

from tests.implemented import IMPLEMENTED

SIX = {  # each in one format, for time
    "rms_norm": "bfloat16",
    "layer_norm": "float32",
    "attention": "bfloat16",
    "kl_divergence": "bfloat16",
    "linear_cross_entropy": "float32",
    "sparsemax": "float32",
}
# No suite of cases puts NaN into an argument: what comes of it is left to implementations.
OF_NAN = "NaN written as 0"


def planted(name, fmt=BINARY32):
    return {mistake.name: mistake for mistake in mistakes_of(lookup(name), fmt)}


@pytest.mark.parametrize(("name", "dtype"), SIX.items())
def test_the_suites_see_each_mistake(name, dtype):
    """So each differs from the definition: the suites hold it against balls."""
    fmt = FORMATS[dtype]
    mistakes = [m for m in mistakes_of(lookup(name), fmt) if m.name != OF_NAN]
    assert [m.name for m in mistakes if first_seen(m, fmt) is None] == []


@pytest.mark.parametrize(("name", "dtype"), SIX.items())
def test_right_implementations_are_within_their_bounds(name, dtype):
    definition, fmt = lookup(name), FORMATS[dtype]
    for one in right_implementations(definition, fmt):
        for family in families(definition)[::3]:
            *_, batch = draw(definition, family, fmt, 8, 1)
            found = one.function(*batch.stacked(definition.signature), **batch.parameters)
            row = found.reshape(len(batch.cases), -1)
            contract = Contract(summation="any")
            verdict = accuracy.judge(definition, contract, fmt, batch, row, fast=True)
            assert not verdict.violations, (one.name, family)


def test_what_is_planted_goes_by_the_signature_and_the_formula():
    of_norm, of_attention = planted("rms_norm"), planted("attention", BFLOAT16)
    assert {"eps outside of the root", "eps taken for 0", "eps not passed on"} <= of_norm.keys()
    assert {"mask ignored", "softcap not passed on", "scale taken for 1"} <= of_attention.keys()
    assert "bfloat16 throughout" in of_attention
    assert "bfloat16 throughout" not in of_norm  # float32 is what kernels compute in
    assert "bfloat16 inside" in of_norm
    # A log-sum-exp is the same from either end, and so is a norm without a maximum.
    assert "logits reversed along K" not in planted("logsumexp")
    assert not any(name.startswith("overflowing") for name in of_norm)
    assert "cases taken for K" not in planted("swiglu")  # number by number


def test_every_definition_has_mistakes_with_a_word_on_what_is_wrong():
    for definition in IMPLEMENTED.values():
        found = mistakes_of(definition, BINARY32)
        assert len({m.name for m in found}) == len(found) >= 8, definition.name
        assert all(m.function.__doc__.endswith(".") for m in found)


def test_a_definition_of_a_user_has_them_too():
    @define(
        family="examples",
        source="none",
        arguments={"x": Vector("K"), "w": Vector("K", shared=True)},
        parameters={"margin": Parameter(0.5, 0.0, 2.0, values=(1.0,))},
    )
    def weighted_distance(x, w, xp, margin=0.5):
        """The root of a weighted sum of squares and a margin."""
        return xp.sqrt(xp.sum(w * w * x * x) + xp.number(margin))

    try:
        names = planted("weighted_distance").keys()
    finally:
        del REGISTRY["weighted_distance"]
    assert {"w ignored", "margin not passed on", "margin outside of the root"} <= names
    assert "x reversed along K" in names


X = np.float32([[1, 2, 3, 4, 5, 6, 7, 8, 10], [3, 1, 4, 1, 5, 9, 2, 6, 5]])
GAIN = np.float32([1, 2, 1, 2, 1, 2, 1, 2, 1])


def root(x, eps=1e-6):
    return np.sqrt(np.mean(np.float64(x) ** 2, axis=-1, keepdims=True) + eps)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zeros", 0 * X),
        ("off by 0.1 %", 0.999 * X / root(X) * GAIN),
        ("gain ignored", X / root(X)),
        ("gain reversed along K", X / root(X) * GAIN),  # a palindrome
        ("result of the previous case", (X / root(X) * GAIN)[::-1]),
        ("last case not computed", X / root(X) * GAIN * [[1], [0]]),
        ("K in whole tiles of 8", np.pad((X / root(X[:, :8]) * GAIN)[:, :8], ((0, 0), (0, 1)))),
        ("K in whole tiles of 128", X / root(X) * GAIN),
        ("eps taken for 0", X / root(X, 0) * GAIN),
    ],
)
def test_a_mistake_is_the_one_that_its_name_says(name, expected):
    np.testing.assert_allclose(planted("rms_norm")[name].function(X, GAIN), expected, rtol=1e-6)


def test_a_parameter_is_ignored_or_moved_out_of_the_root():
    functions = planted("rms_norm")
    ignored = functions["eps not passed on"].function(X, GAIN, eps=0.0625)
    np.testing.assert_allclose(ignored, X / root(X) * GAIN, rtol=1e-6)
    moved = functions["eps outside of the root"].function(X, GAIN, eps=0.0625)
    np.testing.assert_allclose(moved, X / (root(X, 0) + 0.0625) * GAIN, rtol=1e-6)


def test_no_maximum_is_subtracted_where_the_mistake_is_so():
    found = planted("softmax")["overflowing: as published"].function(np.float32([[100, 0]]))
    assert np.isnan(found[0, 0])
    found = planted("attention")["overflowing: as published"].function(
        np.float32([[100]]),
        np.float32([[[1], [0]]]),
        np.float32([[[1], [0]]]),
        np.ones((1, 2), bool),
    )
    assert np.isnan(found).all()


def test_nan_becomes_0_where_the_mistake_is_so():
    x = np.float32([[1, np.nan]])
    assert np.isnan(right(Call(lookup("softmax"), {"logits": x}, {}))[0]).all()
    assert (planted("softmax")["NaN written as 0"].function(x) == 0).all()


def test_sums_in_a_narrow_format_stick():
    ones = np.ones((1, 1000), BFLOAT16.dtype)
    sticky = planted("logsumexp", BFLOAT16)["bfloat16 throughout"].function(0 * ones)
    assert float(sticky[0]) < np.log(300)  # 256 + 1 = 256


def test_results_have_the_dtype_and_the_shapes_that_are_asked_for():
    for dtype in FORMATS:
        x = X.astype(FORMATS[dtype].dtype)
        for one in (*mistakes_of(lookup("top_k_gate"), FORMATS[dtype]),):
            indices, weights = one.function(x, k=3)
            assert indices.shape == weights.shape == (2, 3), one.name
            assert (indices.dtype, weights.dtype) == (np.int64, x.dtype)
    assert planted("rms_norm")["zeros"].function(X[:0], GAIN).shape == (0, 9)


def test_an_implementation_takes_what_the_definition_takes():
    function = implementation(lookup("rms_norm"), right, "f", "")
    assert function(X, gain=GAIN, eps=1e-6).dtype == np.float32
    with pytest.raises(TypeError, match="missing a required argument: 'gain'"):
        function(X)
    with pytest.raises(TypeError, match="epsilon"):
        function(X, GAIN, epsilon=1.0)


def test_a_right_implementation_is_seen_by_no_suite():
    binary64, *_ = right_implementations(lookup("sparsemax"), BINARY64)
    assert first_seen(binary64, BINARY32) is None


def test_a_batch_is_one_call():
    definition = lookup("rms_norm")
    batch = next(iter(draw(definition, "x: normal", BINARY32, 8, 0)))
    assert isinstance(batch, CaseBatch)
    function = right_implementations(definition, BINARY32)[0].function
    assert function(*batch.stacked(definition.signature)).shape[0] == len(batch.cases)
