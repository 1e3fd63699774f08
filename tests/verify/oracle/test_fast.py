"""The fast oracle: enclosures in binary64 hold exact values, and what they decide is the truth."""

import itertools
from fractions import Fraction

import flint
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
)
from softproof.derivations.arithmetic.systems import balls
from softproof.verify.cases import truth as of_cases
from softproof.verify.cases.case import Case
from softproof.verify.cases.draw import draw, families
from softproof.verify.cases.products import products
from softproof.verify.oracle import enclosure_arithmetic
from softproof.verify.oracle.enclosure_arithmetic import EnclosureArithmetic
from softproof.verify.oracle.enclosures import Enclosure, NotEnclosed, enclosed, total
from softproof.verify.oracle.fast import demand_same, fast_truth, is_checked, rounded
from softproof.verify.oracle.metrics import ulp_error
from softproof.verify.oracle.rounding import OracleError
from softproof.verify.oracle.truth import truth
from softproof.verify.suites.of_cases import gradient

XP = EnclosureArithmetic()
RNG = np.random.default_rng(5)


def holds(x: Enclosure, exact) -> bool:
    """Whether enclosures hold exact balls, which are far narrower."""
    with flint.ctx.workprec(300):
        return all(
            abs(ball - flint.arb(float(v))) <= flint.arb(float(d))
            for v, d, ball in zip(
                x.value.reshape(-1), x.radius.reshape(-1), np.ravel(exact), strict=True
            )
        )


FUNCTIONS = {
    "exp": (-740, 700),
    "expm1": (-40, 40),
    "log": (2.0**-60, 4.0),
    "log1p": (-0.99, 50),
    "sqrt": (0.0, 1e6),
    "rsqrt": (1e-6, 1e6),
    "sigmoid": (-700, 700),
    "softplus": (-700, 700),
    "tanh": (-20, 20),
}


@pytest.mark.parametrize("radius", [0.0, 2.0**-40])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_encloses_the_exact_values_of_all_that_its_argument_may_be(name, radius):
    low, high = FUNCTIONS[name]
    x = np.concatenate([RNG.uniform(low, high, 200), np.linspace(low, high, 9)])
    x = x[x - radius * np.abs(x) > (low if name in ("sqrt", "log", "rsqrt") else -np.inf)]
    found = getattr(XP, name)(Enclosure(x, radius * np.abs(x)))
    assert np.isfinite(found.radius).all()
    with flint.ctx.workprec(300):
        for end in (-1, 0, 1):
            points = balls().array(x) + balls().array(end * radius * np.abs(x))
            assert holds(found, getattr(balls(), name)(points))


@pytest.mark.parametrize("operation", ["+", "-", "*", "/"])
def test_an_operation_encloses_the_exact_values_of_all_that_its_operands_may_be(operation):
    a, b = RNG.standard_normal((2, 200)) * 2.0 ** RNG.integers(-30, 30, (2, 200))
    d, e = 2.0**-45 * np.abs(a), 2.0**-50 * np.abs(b)
    apply = lambda x, y: eval(f"x {operation} y")  # noqa: E731
    found = apply(Enclosure(a, d), Enclosure(b, e))
    assert (found.radius < 2.0**-40 * (np.abs(a) + np.abs(b) + np.abs(found.value))).all()
    with flint.ctx.workprec(300):
        for s, t in itertools.product((-1, 0, 1), repeat=2):
            ends = [balls().array(v) + balls().array(k * r) for v, k, r in ((a, s, d), (b, t, e))]
            assert holds(found, apply(*ends))


@pytest.mark.parametrize("radius", [0.0, 2.0**-40])
def test_logsumexp_encloses_the_exact_values_of_all_that_its_scores_may_be(radius):
    rng = np.random.default_rng(6)
    z = rng.uniform(-30, 30, (20, 5))
    found = XP.logsumexp(Enclosure(z, radius * np.abs(z)))
    assert (found.radius < 2.0**-35).all()
    with flint.ctx.workprec(300):
        for signs in (-1, 0, 1, rng.choice([-1, 1], z.shape)):
            points = balls().array(z) + balls().array(signs * radius * np.abs(z))
            assert holds(found, balls().logsumexp(points))


SPREADS = (0.0, 1.0, 60.0, 1e6)


def moved(z, radius, signs):
    """Scores moved to ends of their intervals, in balls."""
    return balls().array(z) + balls().array(signs * radius)


@pytest.mark.parametrize("radius", [0.0, 2.0**-40, 3.0])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (3, 5)])
def test_softmax_and_its_slopes_enclose_those_of_all_that_the_scores_may_be(shape, spread, radius):
    rng = np.random.default_rng([7, *shape])
    z, g = rng.uniform(-spread, spread, shape), rng.standard_normal(shape)
    p = XP.softmax(Enclosure(z, radius))
    slopes = p * XP.centred(p, g)
    assert radius > 1 or np.isfinite(p.radius).all()
    for signs in (-1, 0, 1, rng.choice([-1, 1], shape), rng.choice([-1, 1], shape)):
        with flint.ctx.workprec(3000):  # which tells 1 - e^-700 from 1
            exact = balls().softmax(moved(z, radius, signs))
            inner = balls().sum(exact * balls().array(g), -1)
            pulled = exact * (balls().array(g) - balls().expand_dims(inner, -1))
            for found, true in ((p, exact), (slopes, pulled)):
                known = np.isfinite(found.radius)
                assert holds(Enclosure(found.value[known], found.radius[known]), true[known])


def test_softmax_is_nearly_exact_where_one_score_is_far_above_the_others():
    """Also where the scores are known to 3 alone: their differences decide."""
    p = XP.softmax(Enclosure([50.0, 0.0, -900.0], [2.0**-40, 2.0**-40, 0.0]))
    assert p.radius[0] < 1e-21  # e^-50
    assert (p.radius <= 2.0**-38 * p.value + 2.0**-1000).all()
    one_hot = XP.softmax(Enclosure([1e9, 0.0], 3.0))
    assert one_hot.value.tolist() == [1, 0]
    assert (one_hot.radius < 2.0**-1000).all()
    assert XP.softmax(Enclosure([0.5], 100.0)).is_exact
    assert not np.isfinite(XP.softmax(Enclosure([0.5], np.inf)).radius).any()


def test_slopes_of_softmax_do_not_cancel_where_one_probability_is_nearly_1():
    z, g = Enclosure([90.0, 0.0, 1.0], 2.0**-40), [1.0, 2.0, 4.0]
    p = XP.softmax(z)
    slopes = p * XP.centred(p, g)
    assert (slopes.radius < 2.0**-36 * np.abs(slopes.value)).all()
    plain = p * (enclosed(np.array(g)) - XP.sum(p * np.array(g)))
    assert plain.radius[0] > np.abs(plain.value[0])  # what it is for
    alone = XP.softmax(Enclosure([3.0], 0.5))
    assert (alone * XP.centred(alone, [7.0])).is_exact
    long = XP.softmax(RNG.standard_normal(300))
    g = RNG.standard_normal(300)
    difference = XP.centred(long, g) - (enclosed(g) - XP.sum(long * g))
    assert (np.abs(difference.value) <= difference.radius).all()


def test_few_derivatives_of_attention_are_left_to_balls():
    """Of all families, those with one key kept, and with scores that are far apart, among them."""
    definition = lookup("attention")
    product, left, asked = products(definition), 0, 0
    for family in gradient.families(definition):
        for batch in itertools.islice(gradient.draw(definition, family, BINARY32, 8, 0), 4):
            asked += 1
            left += of_cases.enclosed_truth(product, batch.cases[1], BINARY32) is None
    assert left < asked / 10


def test_what_is_exact_in_binary64_is_known_exactly():
    a = Enclosure([1.5, -3.0, 0.0], 0.0)
    third = enclosed(Fraction(1, 3))
    for exact in (
        a - 0.25,
        a * 0.5,
        a / 4,
        third * 0,
        XP.exp(0.0),
        XP.log(1.0),
        XP.sum(a),
        XP.sqrt(9.0),
    ):
        assert exact.is_exact
    assert XP.sum(a).value == -1.5
    assert (enclosed(2.0**-1000) * 2.0**-74).radius > 0
    assert 0 < (third * 1).radius <= third.radius * (1 + 2.0**-39)
    for inexact in (a / 3, third * third, XP.exp(1.0), XP.log(2.0)):
        assert not inexact.is_exact


@pytest.mark.parametrize("count", [1, 2, 3, 64, 1000])
def test_sums_and_products_hold_the_exact_ones_however_much_cancels(count):
    a = RNG.standard_normal(count) * 2.0 ** RNG.integers(-30, 30, count)
    b = RNG.standard_normal(count) * 2.0 ** RNG.integers(-30, 30, count)
    a[-1] = -float(sum(a[:-1]))
    exact = sum((Fraction(x) for x in a), Fraction(0))
    found = total(Enclosure(a, 0.0), 0)
    assert abs(Fraction(float(found.value)) - exact) <= Fraction(float(found.radius))
    assert found.radius <= 2.0**-53 * abs(found.value) * 1.01 + 2.0**-90 * np.abs(a).sum()
    exact = sum((Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True)), Fraction(0))
    for left, right in ((a, b), (a[None], b), (a, b[:, None]), (a[None], b[:, None])):
        found = XP.dot(left, right)
        assert abs(Fraction(float(found.value.item())) - exact) <= Fraction(found.radius.item())
        assert found.radius.item() <= 2.0**-50 * np.abs(a).max() * np.abs(b).max() * count


def test_errors_of_factors_are_in_those_of_their_product():
    a, b, off = RNG.standard_normal(30), RNG.standard_normal(30), 2.0**-20
    found = XP.dot(Enclosure(a, off), Enclosure(b, off))
    worst = (np.abs(a) + np.abs(b)).sum() * off
    assert np.dot(np.abs(a) + off, np.abs(b) + off) - np.dot(np.abs(a), np.abs(b)) <= found.radius
    assert worst <= found.radius <= 1.01 * worst


def test_what_is_not_known_is_not_told():
    wide = Enclosure([0.0, 1.0], [1.0, 0.0])
    for unknown in ((1 / wide)[0], XP.log(wide)[0], XP.sqrt(wide)[0], XP.exp(2.5 * wide)[0]):
        assert np.isinf(unknown.radius)
    for unknown in (enclosed(np.nan), enclosed(1e308) * 1e308, XP.dot([1e200], [1e200])):
        assert np.isinf(unknown.radius)
    for question in (
        lambda: wide > 0.5,
        lambda: XP.ranks([1.0, 1.0]),
        lambda: XP.erf(1.0),
        lambda: XP.by_sign(wide - 0.5, abs, abs),
    ):
        with pytest.raises(NotEnclosed):
            question()
    assert wide[1] > 0.5
    assert not wide[1] > 1


@pytest.mark.parametrize("fmt", [BINARY32, BINARY16, BFLOAT16], ids=lambda fmt: fmt.name)
def test_a_number_is_decided_where_all_of_its_interval_rounds_alike_and_has_one_ulp(fmt):
    u = 2.0**-fmt.precision
    for middle, undecided in (
        (1.5, False),
        (1 + u, True),
        (1 - u / 2, True),
        (1.0, fmt == BINARY32),
    ):
        found = rounded(Enclosure(middle, 2.0**-52), fmt)
        assert (found is None) == undecided, middle
    assert rounded(Enclosure(0.0, 0.0), fmt).rounded == 0
    assert rounded(Enclosure(0.0, 2.0**-100), BINARY32) is None
    assert rounded(Enclosure(1e39, 0.0), fmt) is None
    assert fast_truth(lambda xp: xp.exp(1.0), BINARY64) is None


@pytest.mark.parametrize("fmt", [BINARY32, BFLOAT16], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize(
    "name",
    ["rms_norm", "layer_norm", "attention", "kl_divergence", "linear_cross_entropy", "sparsemax"],
)
def test_the_fast_oracle_and_balls_agree_on_values_and_gradients(name, fmt):
    definition, decided, asked = lookup(name), 0, 0
    for family in families(definition)[::3]:
        plain = list(itertools.islice(draw(definition, family, fmt, 8, 3), 4, 6))
        pairs = [(definition, batch.cases[0]) for batch in plain]
        if family in gradient.families(definition):
            drawn = itertools.islice(gradient.draw(definition, family, fmt, 8, 3), 4, 5)
            pairs += [(products(definition), batch.cases[0]) for batch in drawn]
        for about, case in pairs:
            found = of_cases.enclosed_truth(about, case, fmt)
            asked, decided = asked + 1, decided + (found is not None)
            if found is not None:
                demand_same(found, of_cases.truth(about, case, fmt), name)
    assert decided > asked / 3


def test_of_rows_of_attention_and_softmax_less_than_a_hundredth_is_left_to_balls():
    left = 0
    for _ in range(64):
        q, k, v = (RNG.standard_normal(s).astype(np.float32) for s in (64, (1024, 64), (1024, 64)))
        case = Case({"q": q, "k": k, "v": v, "mask": np.ones(1024, dtype=bool)})
        left += of_cases.enclosed_truth(lookup("attention"), case, BINARY32) is None
    assert left == 0
    for logits in RNG.standard_normal((64, 4096)).astype(np.float32) * 3:
        left += fast_truth(lambda xp, z=logits: xp.softmax(xp.array(z)), BINARY32) is None
    assert left == 0


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cross_entropy", "stablemax"])
def test_the_truth_of_a_row_is_the_same_by_the_fast_oracle(name):
    definition = lookup(name)
    row = np.float32(RNG.standard_normal(200) * 4)
    label = 3 if definition.labelled else None
    exact = truth(definition, row, BINARY32, label=label)
    demand_same(truth(definition, row, BINARY32, label=label, fast=True), exact, name)


def a_wrong_exponential(x, low):
    significand, exponent = enclosure_arithmetic.exp_pair.py_func(x, low)
    return significand * (1 + 2.0**-21 * x), exponent


def test_a_hundredth_of_the_answers_is_checked_which_finds_a_wrong_exponential(monkeypatch):
    definition, z = lookup("attention"), RNG.standard_normal((300, 4)).astype(np.float32)
    k, v = RNG.standard_normal((2, 5, 4)).astype(np.float32)
    cases = [Case({"q": row, "k": k, "v": v, "mask": np.ones(5, dtype=bool)}) for row in z]
    checked = [c for c in cases if is_checked((definition.name, BINARY32.name, c.key))]
    assert 0 < len(checked) < 12
    asked = []
    by_balls = of_cases._by_balls
    monkeypatch.setattr(of_cases, "_by_balls", lambda *a: asked.append(a[1]) or by_balls(*a))
    for case in cases:
        of_cases.truth(definition, case, BINARY32, fast=True)
    assert asked == checked
    monkeypatch.setattr(enclosure_arithmetic, "_exp_pair", a_wrong_exponential)
    decided = next(c for c in checked if of_cases.enclosed_truth(definition, c, BINARY32))
    with pytest.raises(OracleError, match="by the fast oracle"):
        of_cases.truth(definition, decided, BINARY32, fast=True)


def test_a_truth_is_asked_again_by_who_asks_for_more(monkeypatch):
    monkeypatch.setattr(of_cases, "_truths", {})
    asked = []
    once = of_cases.truth
    monkeypatch.setattr(of_cases, "truth", lambda *a, **k: asked.append(k) or once(*a, **k))
    case = Case({"x": np.float32([1, 2, 4]), "gain": np.float32([1, 1, 1])})
    for settings in ({"fast": True}, {"fast": True}, {}, {"fast": True}, {"cross_check": True}, {}):
        of_cases.truth_once(lookup("rms_norm"), case, BINARY32, **settings)
    assert [(k["fast"], k["cross_check"]) for k in asked] == [
        (True, False),
        (False, False),
        (False, True),
    ]


def test_an_error_is_counted_without_what_is_in_doubt():
    found = rounded(Enclosure([1.25 + 2.0**-25], [2.0**-40]), BINARY32)
    assert found.doubt == 2.0**-17
    assert ulp_error(np.float32([1.25]), found) <= 0.25
    assert ulp_error(np.float32([1.25 + 2.0**-23]), found)[0] == pytest.approx(0.75, abs=2.0**-16)
