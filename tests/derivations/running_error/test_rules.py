"""Each rule at corner points of its ranges, against mpmath: nothing lies beyond a bound."""

import mpmath
import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32
from softproof.derivations.running_error import Model, RunningErrorArithmetic, RunningNumber

MP = mpmath.MPContext()
MP.prec = 300
M = MP.mpf
MODELS = {
    "float32": Model.of(BINARY32, accumulator="input"),
    "bfloat16": Model.of(BFLOAT16, accumulator="input"),
}


def parabolic(x):
    return MP.exp(-x * x / 2) / MP.sqrt(2 * MP.pi)


# name: (function, units of u an implementation errs by, exponents of arguments, positive only)
FUNCTIONS = {
    "exp": (MP.exp, 8, (-30, 9), False),
    "expm1": (MP.expm1, 8, (-140, 9), False),
    "log": (MP.log, 8, (-30, 60), True),
    "log1p": (MP.log1p, 8, (-30, 60), False),
    "sqrt": (MP.sqrt, 1, (-30, 60), True),
    "rsqrt": (lambda x: 1 / MP.sqrt(x), 4, (-30, 60), True),
    "tanh": (MP.tanh, 8, (-140, 9), False),
    "sigmoid": (lambda x: 1 / (1 + MP.exp(-x)), 18, (-30, 9), False),
    "softplus": (lambda x: MP.log1p(MP.exp(x)), 17, (-30, 9), False),
    "erf": (MP.erf, 8, (-30, 4), False),
    "normal_cdf": (lambda x: MP.erfc(-x / MP.sqrt(2)) / 2, 16, (-30, 4), False),
    "normal_pdf": (parabolic, 16, (-30, 4), False),
    "sin": (MP.sin, 8, (-30, 9), False),
    "cos": (MP.cos, 8, (-30, 9), False),
    "atan": (MP.atan, 8, (-30, 30), False),
    "acos": (MP.acos, 8, (-30, 0), False),
    "abs": (abs, 0, (-30, 30), False),
}
# The least argument, and the largest, that the function is real for.
DOMAIN = {"log": (0, None), "rsqrt": (0, None), "sqrt": (0, None), "log1p": (-1, None)}
DOMAIN["acos"] = (-1, 1)


def drawn(rng, exponents, positive=False):
    """A number v with w = d and r, each often 0, often far larger than v."""
    plain = [1.0, 2.0, 0.5, 100.0, 1e-3] if positive else [0.0, 1.0, 2.0, 0.5, 100.0, 700.0]
    v = 2.0 ** rng.uniform(*exponents) if rng.random() < 0.7 else rng.choice(plain)
    if not positive and rng.random() < 0.5:
        v = -v
    w = 0.0 if rng.random() < 0.4 else abs(v) * 2.0 ** rng.uniform(-53, 3)
    r = 0.0 if rng.random() < 0.2 else abs(v) * 2.0 ** rng.uniform(-53, 8)
    return float(v), float(w), float(r)


def number(model, v, w, r):
    return RunningNumber(model, [v], [w], [w], [r])


def corners(rng, v, w, r):
    """References and what is computed, at the ends and inside of the ranges."""
    for a in (-1.0, 1.0, rng.uniform(-1, 1)):
        for b in (-1.0, 1.0, rng.uniform(-1, 1)):
            yield M(v) + M(a) * M(w), M(v) + M(a) * M(w) + M(b) * M(r)


def inside(name, x):
    low, high = DOMAIN.get(name, (None, None))
    return (low is None or x >= low) and (high is None or x <= high)


def real(function, x):
    """The function, infinite at a pole."""
    try:
        return function(x)
    except (ZeroDivisionError, ValueError):
        return MP.inf


def check_function(name, model, seed, count):
    """How many corners of so many drawn arguments were compared; none lies beyond a bound."""
    function, units, exponents, positive = FUNCTIONS[name]
    xp = RunningErrorArithmetic(model)
    rng = np.random.default_rng(seed)
    cases = [drawn(rng, exponents, positive) for _ in range(count)]
    if name in ("exp", "sigmoid"):
        cases.append((-746.0, 0.0, 709.0))  # the value underflows, the error is large
    checked = 0
    for case in cases:
        y = getattr(xp, name)(number(model, *case))
        assert not any(np.isnan(part).any() for part in y.parts())
        for reference, computed in corners(rng, *case):
            if not inside(name, reference):
                assert np.isinf(y.reference_radius[0]), (case, "leaves the domain")
                continue
            exact = real(function, reference)
            if np.isfinite(y.reference_radius[0]):
                assert abs(exact - M(y.value[0])) <= M(y.reference_radius[0]), case
            if np.isfinite(y.error[0]):
                assert inside(name, computed), (case, "leaves the domain")
                for sign in (-1, 1):
                    found = real(function, computed) * (1 + sign * units * M(model.u))
                    assert abs(found - exact) <= M(y.error[0]), case
                    checked += 1
    return checked


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_corner_lies_beyond_the_bounds_of_a_function(name, model):
    assert check_function(name, model, seed=7, count=25) > 50


@pytest.mark.long
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_corner_of_many_lies_beyond_the_bounds_of_a_function(name, model):
    for seed in range(100, 120):
        assert check_function(name, model, seed, count=200) > 500


OPERATIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_corner_lies_beyond_the_bounds_of_an_operation(name, model):
    operation = OPERATIONS[name]
    rng = np.random.default_rng(8)
    checked = 0
    for _ in range(40):
        first, second = drawn(rng, (-30, 30)), drawn(rng, (-30, 30))
        y = operation(number(model, *first), number(model, *second))
        assert not any(np.isnan(part).any() for part in y.parts())
        for a, a_computed in corners(rng, *first):
            for b, b_computed in list(corners(rng, *second))[::2]:
                if name == "div" and (b == 0 or b_computed == 0):
                    assert np.isinf(y.error[0])
                    continue
                exact = operation(a, b)
                if np.isfinite(y.reference_radius[0]):
                    assert abs(exact - M(y.value[0])) <= M(y.reference_radius[0])
                if np.isfinite(y.error[0]):
                    for sign in (-1, 1):
                        found = operation(a_computed, b_computed) * (1 + sign * M(model.u))
                        assert abs(found - exact) <= M(y.error[0])
                        checked += 1
    assert checked > 500


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_no_corner_lies_beyond_the_bounds_of_a_power(model):
    xp = RunningErrorArithmetic(model)
    rng = np.random.default_rng(9)
    checked = 0
    for _ in range(60):
        base = drawn(rng, (-20, 6), positive=True)
        power = tuple(0.1 * part for part in drawn(rng, (-6, 4)))
        if power[0] == 0:
            continue  # below
        y = xp.pow(number(model, *base), number(model, *power))
        for a, a_computed in corners(rng, *base):
            for b, b_computed in corners(rng, *power):
                if not a > 0:
                    assert np.isinf(y.error[0])
                    continue
                exact = a**b
                if np.isfinite(y.reference_radius[0]):
                    assert abs(exact - M(y.value[0])) <= M(y.reference_radius[0])
                if np.isfinite(y.error[0]):
                    assert a_computed > 0
                    for sign in (-1, 1):
                        found = a_computed**b_computed * (1 + sign * 8 * M(model.u))
                        assert abs(found - exact) <= M(y.error[0])
                        checked += 1
    assert checked > 500


def test_powers_of_zero_and_of_negative_numbers_are_those_of_whole_exponents():
    xp = RunningErrorArithmetic(MODELS["float32"])
    y = xp.pow(xp.array([0.0, 0.0, 5.0]), xp.array([2.5, 0.0, 0.0]))
    assert y.value.tolist() == [0.0, 1.0, 1.0]
    assert not y.error.any()
    y = xp.pow(xp.array([-2.0, -2.0, -2.0]), xp.array([3.0, -2.0, 0.5]))
    assert y.value[:2].tolist() == [-8.0, 0.25]
    assert np.isfinite(y.error[:2]).all()
    assert np.isinf(y.error[2])


def test_no_corner_lies_beyond_the_bounds_of_maxima_and_sums():
    model = MODELS["float32"]
    xp = RunningErrorArithmetic(model)
    rng = np.random.default_rng(10)
    for _ in range(200):
        n = int(rng.integers(2, 8))
        v = rng.standard_normal(n) * 10.0 ** rng.uniform(-3, 3)
        e = np.abs(rng.standard_normal(n)) * 10.0 ** rng.uniform(-20, 1)
        x = RunningNumber(model, v, e, e, e)
        for sign in (-1, 1):
            ends = [M(a) + sign * M(b) for a, b in zip(v, e, strict=True)]
            for y, exact in (
                (xp.max(x), max(ends)),
                (xp.min(x), min(ends)),
                (xp.sum(x), MP.fsum(ends)),
                (xp.dot(x, x), MP.fsum(a * a for a in ends)),
                (xp.descending(x), max(ends)),
                (xp.maximum(x[0], x[1]), max(ends[:2])),
            ):
                value, radius = float(y.value.flat[0]), float(y.radius.flat[0])
                assert abs(exact - M(value)) <= M(radius)
    assert xp.dot(xp.array([1e-200]), xp.array([1e-200])).radius > 0


def softmax_corners(seed, rows):
    """The largest distances of drawn corners over the bounds, of the value and of errors."""
    rng = np.random.default_rng(seed)
    closest = {"radius": 0.0, "error": 0.0}

    def probabilities(scores):
        e = [MP.exp(a - max(scores)) for a in scores]
        return [a / MP.fsum(e) for a in e]

    for trial in range(rows):
        fmt = (BFLOAT16, BINARY32)[trial % 2]
        log_sum_exp = trial % 3 == 2
        scaled = 2.0 if trial % 3 == 1 else 0.0
        model = Model.of(
            fmt,
            accumulator="input",
            from_logsumexp=log_sum_exp,
            exponent_argument=scaled,
        )
        u, n = M(model.u), int(rng.choice([1, 2, 3, 5]))
        v = rng.uniform(-1, 1, n) * 10.0 ** rng.uniform(-1, 2)
        w = np.abs(rng.standard_normal(n)) * 10.0 ** rng.uniform(-18, 0.5) * (trial % 5 > 0)
        r = np.abs(rng.standard_normal(n)) * 10.0 ** rng.uniform(-9, 1.0)
        y = RunningErrorArithmetic(model).softmax(RunningNumber(model, v, w, w, r))
        for _ in range(4):
            k = int(rng.integers(n))
            one = np.where(np.arange(n) == k, 1, -1)
            s, t = (
                one * rng.choice([-1, 1]) if rng.random() < 0.6 else rng.choice([-1, 1], n)
                for _ in range(2)
            )
            reference = [M(a) + int(i) * M(b) for a, b, i in zip(v, w, s, strict=True)]
            computed = [a + int(i) * M(b) for a, b, i in zip(reference, r, t, strict=True)]
            exact = probabilities(reference)

            def e(x, sign, u=u, scaled=scaled):
                moved = x * (1 - sign * u) * (1 - sign * M(scaled) * u)
                return MP.exp(moved) * (1 + sign * 8 * u)

            top, side = max(computed), int(t[k])
            terms = [e(a - top, int(i)) for a, i in zip(computed, t, strict=True)]
            total = MP.fsum(terms) * (1 - side * u) ** (n - 1)
            results = [[a / total * (1 + side * u) for a in terms]]
            if log_sum_exp:
                level = top + MP.log(total) * (1 - side * 8 * u)
                level -= side * abs(level) * u
                results.append([e(a - level, int(i)) for a, i in zip(computed, t, strict=True)])
            for i in range(n):
                q = abs(exact[i] - M(y.value[i])) / M(y.reference_radius[i])
                closest["radius"] = max(closest["radius"], float(q))
                for result in results:
                    if np.isfinite(y.error[i]):
                        q = abs(result[i] - exact[i]) / M(y.error[i])
                        closest["error"] = max(closest["error"], float(q))
    return closest


def test_softmax_at_corners_lies_within_its_bounds_and_comes_close():
    closest = softmax_corners(seed=17, rows=300)
    assert 0.9 < closest["radius"] <= 1
    assert 0.9 < closest["error"] <= 1


@pytest.mark.long
def test_softmax_at_many_corners_lies_within_its_bounds():
    for seed in range(100, 120):
        assert max(softmax_corners(seed, rows=2000).values()) <= 1


def test_the_logarithm_of_a_sum_of_exponentials_is_within_its_bounds_and_has_one_for_large_errors():
    """Corners of exponents whose errors are so large that the sum alone may be anything."""
    rng = np.random.default_rng(21)
    closest, finite = 0.0, 0
    for trial in range(300):
        model = MODELS["float32" if trial % 2 else "bfloat16"]
        xp = RunningErrorArithmetic(model)
        u, n = M(model.u), int(rng.choice([1, 2, 4, 7]))
        v = rng.uniform(-1, 1, n) * 10.0 ** rng.uniform(-1, 1)
        w = np.abs(rng.standard_normal(n)) * 10.0 ** rng.uniform(-9, 0.7) * (trial % 5 > 0)
        r = np.abs(rng.standard_normal(n)) * 10.0 ** rng.uniform(-9, 0.9)
        y = xp.log(xp.sum(xp.exp(RunningNumber(model, v, w, w, r))))
        finite += bool(np.isfinite(y.error))
        for _ in range(4):
            s, t = rng.choice([-1, 1]), rng.choice([-1, 1])
            reference = [M(a) + int(s) * M(b) for a, b in zip(v, w, strict=True)]
            computed = [a + int(t) * M(b) for a, b in zip(reference, r, strict=True)]
            exact = MP.log(MP.fsum([MP.exp(a) for a in reference]))
            assert abs(exact - M(float(y.value))) <= M(float(y.reference_radius))
            terms = [MP.exp(a) * (1 + int(t) * 8 * u) for a in computed]
            total = MP.log(MP.fsum(terms) * (1 + int(t) * u) ** (n - 1))
            found = total * (1 + int(np.sign(float(total))) * int(t) * 8 * u)
            if np.isfinite(y.error):
                q = abs(found - exact) / M(float(y.error))
                closest = max(closest, float(q))
    assert 0.9 < closest <= 1
    assert finite == 300


def logsumexp_corners(seed, trials):
    """The largest quotients of an error and its bound, of rows of near and of far scores."""
    rng = np.random.default_rng(seed)
    closest = {"radius": 0.0, "error": 0.0}
    for trial in range(trials):
        scaled = 2.0 if trial % 3 == 1 else 0.0
        fmt = (BFLOAT16, BINARY32)[trial % 2]
        model = Model.of(fmt, accumulator="input", exponent_argument=scaled)
        u, n = M(model.u), int(rng.choice([1, 2, 4, 7]))
        v = rng.uniform(-1, 1, n) * 10.0 ** rng.uniform(-1, 2, n if trial % 2 else 1)
        w = np.abs(rng.standard_normal(n)) * 10.0 ** rng.uniform(-18, 0.5) * (trial % 5 > 0)
        r = np.abs(rng.standard_normal(n)) * 10.0 ** rng.uniform(-9, 1.0)
        y = RunningErrorArithmetic(model).logsumexp(RunningNumber(model, v, w, w, r))
        assert np.isfinite(y.error)
        for _ in range(4):
            s, t = (rng.choice([-1, 1], n if rng.random() < 0.5 else 1) for _ in range(2))
            s, t = np.broadcast_to(s, n), np.broadcast_to(t, n)
            reference = [M(a) + int(i) * M(b) for a, b, i in zip(v, w, s, strict=True)]
            computed = [a + int(i) * M(b) for a, b, i in zip(reference, r, t, strict=True)]
            exact = MP.log(MP.fsum([MP.exp(a) for a in reference]))
            top, side = max(computed), int(t[0])
            terms = [
                MP.exp((a - top) * (1 - side * u) * (1 - side * M(scaled) * u)) * (1 + side * 8 * u)
                for a in computed
            ]
            total = MP.log(MP.fsum(terms) * (1 + side * u) ** (n - 1))
            found = top + total * (1 + int(MP.sign(total)) * side * 8 * u)
            found += side * abs(found) * u
            pairs = [(exact - M(float(y.value)), y.reference_radius), (found - exact, y.error)]
            for name, (off, bound) in zip(closest, pairs, strict=True):
                if bound > 0:
                    closest[name] = max(closest[name], float(abs(off) / M(float(bound))))
    return closest


def test_logsumexp_at_corners_lies_within_its_bounds_and_comes_close():
    closest = logsumexp_corners(seed=3, trials=300)
    assert 0.9 < closest["radius"] <= 1
    assert 0.9 < closest["error"] <= 1


def test_a_score_far_below_the_largest_may_be_off_by_much_in_logsumexp():
    model = MODELS["float32"]
    xp = RunningErrorArithmetic(model)
    zero = np.zeros(3)
    far = RunningNumber(model, [0.0, -1e6, -np.inf], zero, zero, [0.0, 1e3, 0.0])
    alone = xp.logsumexp(xp.array([0.0, -1e6, -np.inf]))
    assert xp.logsumexp(far).error == pytest.approx(float(alone.error), rel=1e-6)
    near = RunningNumber(model, [0.0, -1.0, -np.inf], zero, zero, [0.0, 1e-3, 0.0])
    assert xp.logsumexp(near).error > 1e-3 * 0.2689


def test_nothing_is_known_of_logsumexp_where_all_scores_are_masked_or_one_is_infinite():
    xp = RunningErrorArithmetic(MODELS["float32"])
    rows = xp.array([[-np.inf, -np.inf], [0.0, np.inf], [0.0, -np.inf]])
    assert np.isinf(xp.logsumexp(rows).error).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="zero-size"):
        xp.logsumexp(xp.zeros((0,)))


@pytest.mark.parametrize("y", [0.5, 2.0, 3.0])
def test_a_power_of_what_may_be_zero_has_a_bound_where_it_is_not_negative_or_the_power_whole(y):
    rng, model = np.random.default_rng(9), MODELS["float32"]
    xp = RunningErrorArithmetic(model)
    closest, found = 0.0, 0
    for trial in range(200):
        v, w = rng.uniform(-1, 1) * 2.0**-20, abs(rng.standard_normal()) * 2.0**-21
        r = abs(rng.standard_normal()) * 2.0**-19
        signed = trial % 2 == 0
        x = number(model, v, w, r)
        power = xp.pow(x if signed else xp.positive_part(x), xp.number(y))
        if signed and y == 0.5:
            continue
        found += 1
        for reference, computed in corners(rng, v, w, r):
            a, b = (x if signed else max(x, M(0)) for x in (reference, computed))
            exact, moved = (x ** int(y) if y > 1 else MP.sqrt(x) for x in (a, b))
            moved *= 1 + M(8 * model.u)
            assert abs(exact - M(power.value[0])) <= M(power.reference_radius[0])
            if power.error[0] > 0:
                closest = max(closest, float(abs(moved - exact) / M(power.error[0])))
            else:
                assert moved == exact
    assert found >= 100
    assert 0.4 < closest <= 1


def test_a_power_of_what_may_be_negative_has_no_bound_unless_the_power_is_whole():
    xp = RunningErrorArithmetic(MODELS["float32"])
    x = number(xp.model, 0.0, 0.0, 1.0)
    assert np.isinf(xp.pow(x, xp.number(0.5)).error)
    assert np.isfinite(xp.pow(x, xp.number(3)).error)
    assert np.isinf(xp.pow(xp.positive_part(x), xp.number(-1)).error)
