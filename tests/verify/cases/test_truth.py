"""The truth at a case is the exact value, rounded once; what is undecided is told, not guessed."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from softproof.derivations import REGISTRY, define, lookup
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32, BINARY64, FORMATS
from softproof.derivations.signature import Matrix, Vector
from softproof.verify.cases import truth as oracle
from softproof.verify.cases.case import Case
from softproof.verify.cases.truth import output_shapes, truth, truth_once
from softproof.verify.oracle.rounding import OracleError

mp = mpmath.MPContext()
mp.prec = 400


@pytest.fixture(autouse=True)
def registry_as_it_was():
    before = set(REGISTRY)
    yield
    for name in REGISTRY.keys() - before:
        del REGISTRY[name]


def mpf(values):
    return [mp.mpf(float(v)) for v in np.ravel(values)]


def rms_norm(x, gain, eps):
    x, gain = mpf(x), mpf(gain)
    root = mp.sqrt(mp.fsum(v * v for v in x) / len(x) + mp.mpf(eps))
    return [v * g / root for v, g in zip(x, gain, strict=True)]


def attention(q, k, v, mask):
    scores = [mp.fdot(mpf(row), mpf(q)) / mp.sqrt(len(q)) for row in k]
    weights = [mp.exp(s) if kept else mp.zero for s, kept in zip(scores, mask, strict=True)]
    return [mp.fdot(weights, mpf(column)) / mp.fsum(weights) for column in v.T]


def agree(found, exact):
    """Whether a truth is the rounding of exact numbers, with their distance from it."""
    for rounded, q, offset, value in zip(
        found.rounded.astype(np.float64), found.ulp_exponent, found.offset, exact, strict=True
    ):
        ulp = mp.ldexp(1, int(q))
        assert abs(offset) <= 0.5
        assert abs((mp.mpf(rounded) + mp.mpf(offset) * ulp - value) / ulp) < 2.0**-28


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("parameters", [{}, {"eps": 0.0625}])
def test_the_truth_is_the_exact_value(fmt, parameters):
    rng = np.random.default_rng(1)
    case = Case(
        {"x": rng.normal(size=5).astype(fmt.dtype), "gain": rng.normal(size=5).astype(fmt.dtype)},
        parameters,
    )
    found = truth(lookup("rms_norm"), case, fmt, cross_check=True)
    assert found.rounded.dtype == fmt.dtype
    agree(found, rms_norm(case.values["x"], case.values["gain"], parameters.get("eps", 1e-6)))


def test_the_truth_of_attention_leaves_out_what_the_mask_drops():
    rng = np.random.default_rng(2)
    values = {
        "q": rng.normal(size=4).astype(np.float32),
        "k": rng.normal(size=(6, 4)).astype(np.float32),
        "v": rng.normal(size=(6, 3)).astype(np.float32),
        "mask": np.array([True, False, True, True, False, True]),
    }
    found = truth(lookup("attention"), Case(values), BINARY32, cross_check=True)
    agree(found, attention(**values))
    others = {**values, "v": np.where(values["mask"][:, None], values["v"], np.float32(7))}
    assert np.array_equal(truth(lookup("attention"), Case(others), BINARY32).offset, found.offset)


def test_several_outputs_stand_one_after_the_other():
    @define(
        family="tests",
        source="this test",
        arguments={"w": Matrix("n", "d")},
        output={"product": ("n", "d"), "total": ()},
    )
    def halves(w, xp):
        """Half of each number, and the sum."""
        return w / 2, xp.sum(w)

    case = Case({"w": np.float32([[1, 2], [3, 5]])})
    assert output_shapes(halves, case) == {"product": (2, 2), "total": ()}
    assert truth(halves, case, BINARY32).rounded.tolist() == [0.5, 1, 1.5, 2.5, 11]


def test_ties_are_rounded_to_even():
    @define(family="tests", source="this test", arguments={"x": Vector("K")}, output=())
    def total(x, xp):
        """The sum."""
        return xp.sum(x)

    def rounded(*x):
        case = Case({"x": np.array(x, dtype=BFLOAT16.dtype)})
        (value,) = truth(total, case, BFLOAT16).rounded.astype(np.float64)
        exact = sum(map(Fraction, x))
        assert value == float(BFLOAT16.round(exact))
        return value

    assert rounded(1.0, 2.0**-8) == 1.0
    assert rounded(1.0, 3 * 2.0**-8) == 1 + 2.0**-6


def test_where_the_function_is_singular_nothing_is_decided(monkeypatch):
    monkeypatch.setattr(oracle, "MAX_PRECISION", 1 << 9)  # no more bits would help
    x = np.float64([2, 2, 2])
    values = {"x": x, "gain": x, "bias": x}
    case = Case(values, {"eps": 0.0})
    for _ in range(2):  # kept like a truth
        with pytest.raises(OracleError, match=r"layer_norm has no value there: .* divides by 0"):
            truth_once(lookup("layer_norm"), case, BINARY64)
    assert truth_once(lookup("layer_norm"), Case(values), BINARY64).rounded.tolist() == [2, 2, 2]


def test_a_form_that_is_another_function_is_found_by_the_second_oracle():
    @define(family="tests", source="this test", arguments={"x": Vector("K")}, output=("K",))
    def centred(x, xp):
        """Deviations from the mean, by a detour that loses 900 bits."""
        large = xp.number(2) ** 900
        return (x - xp.mean(x) + large) - large

    @centred.form("wrong")
    def _(x, xp):
        return x - xp.mean(x) + xp.number(1)

    case = Case({"x": np.float32([1, 2, 4])})
    with pytest.raises(OracleError, match="balls give"):
        truth(centred, case, BINARY32, cross_check=True)


def test_a_formula_of_another_shape_than_declared_is_told():
    @define(family="tests", source="this test", arguments={"x": Vector("K")}, output=("K",))
    def short(x, xp):
        """One number too few."""
        return x[1:]

    with pytest.raises(
        OracleError, match=r"gives value of shape \(2,\); its signature says \(3,\)"
    ):
        truth(short, Case({"x": np.float32([1, 2, 4])}), BINARY32)
