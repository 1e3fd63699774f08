"""Vector-Jacobian products are the derivatives: by differences, by SymPy, by closed forms."""

import itertools
from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy
from softproof.derivations import Output, lookup
from softproof.derivations.arithmetic.derivative_rules import Slopes
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32, FORMATS
from softproof.derivations.arithmetic.graph import Variable
from softproof.derivations.arithmetic.reverse_mode import vector_jacobian_product
from softproof.derivations.arithmetic.systems import balls, big_floats, ieee, symbols
from softproof.derivations.arithmetic.tape import Tape
from softproof.derivations.running_error.arithmetic import RunningErrorArithmetic
from softproof.derivations.running_error.model import Model

from tests.implemented import OF_A_ROW

BALLS, FINE = balls(), big_floats(600)
STEP = 2.0**-150  # differences are off by about its square times a third derivative


@pytest.fixture(autouse=True)
def precise_balls():
    with flint.ctx.workprec(250):
        yield


def exact_ball(x):
    """A big float as the ball of its one value."""
    sign, mantissa, exponent, _ = x._mpf_
    return (-1 if sign else 1) * flint.arb(flint.fmpz(int(mantissa))) * flint.arb((1, exponent))


def cotangent_like(value, xp):
    """1, -2, 3, ... in the shape of a value."""
    g = [(-1) ** k * (k + 1) for k in range(int(np.prod(np.shape(value))))]
    return xp.array(np.array(g).reshape(np.shape(value)))


def differences(formula, arguments, name):
    """Central differences of sum_i g_i f_i in each entry of an argument, in 600 bits."""

    def at(changed):
        given = {n: FINE.array(changed if n == name else a) for n, a in arguments.items()}
        value = formula(*given.values(), FINE)
        return FINE.sum(np.reshape(value * cotangent_like(value, FINE), -1))

    x = FINE.array(arguments[name])
    if not np.shape(x):
        return [(at(x + STEP) - at(x - STEP)) / (2 * STEP)]
    moves = [FINE.scatter(x.shape, index, FINE.number(STEP)) for index in np.ndindex(x.shape)]
    return [(at(x + move) - at(x - move)) / (2 * STEP) for move in moves]


def encloses(formula, arguments):
    """Whether the products in balls are the differences, to 150 bits."""
    given = {name: BALLS.array(a) for name, a in arguments.items()}
    g = cotangent_like(formula(*given.values(), BALLS), BALLS)
    _, products = vector_jacobian_product(formula, given, g, BALLS, wrt=[*arguments])
    for name, product in products.items():
        if np.shape(product) != np.shape(given[name]):
            return False
        for ball, difference in zip(
            np.reshape(product, -1), differences(formula, arguments, name), strict=True
        ):
            if not abs(ball - exact_ball(difference)) < 2.0**-150 * (1 + abs(ball)):
                return False
    return True


# --- every operation, against differences ---

SLOPES = [name for name in vars(Slopes) if not name.startswith("_")]
ELEMENTARY = {name: (lambda x, xp, name=name: getattr(xp, name)(x)) for name in SLOPES}
X, Y = (0.75, 0.125, 0.5, 0.3125), (0.25, -0.5, 1.5, 0.375)
MATRIX, OTHER = ((0.5, -1.0, 2.0), (0.25, 1.5, -0.75)), ((1.0, 2.0), (-0.5, 0.25), (0.125, -3.0))
COLUMN, SQUARE = ((0.5,), (-1.5,)), ((2.0, -1.0), (0.5, 3.0))
MASK = np.array([True, False, True, False])


def replaced(x, y, xp):
    return xp.put(xp.put(x, 1, y[0] * x[2]), MASK, y[2:] ** 2) * y


OPERATIONS = {
    "sums": (lambda x, y, xp: x + y + 1 - (2 - x) - y * 3, (X, Y)),
    "broadcast sums": (lambda a, b, xp: (a + b) * (a - 1), (MATRIX, COLUMN)),
    "quotients": (lambda x, y, xp: x / y + 1 / x + y / 2, (X, Y)),
    "a number and an array": (lambda x, y, xp: x * y - y / x + -x, (1.5, Y)),
    "powers": (lambda x, xp: x**0 + x**1 + x**2 + x**3 + x**-1 + x**-2, (X,)),
    "pow": (lambda x, y, xp: xp.pow(x, y), (X, Y)),
    "pow of a constant": (lambda x, xp: xp.pow(xp.number(2), x) + xp.pow(x, 1.5), (X,)),
    "maximum": (lambda x, y, xp: xp.maximum(x, y) * xp.maximum(0.5, x + 1), (X, Y)),
    "minimum": (lambda x, y, xp: xp.minimum(x, y) * xp.minimum(x, xp.number(0.25)), (X, Y)),
    "where": (lambda x, y, xp: xp.where(MASK, x * x, y * x), (X, Y)),
    "by_sign": (lambda y, xp: xp.by_sign(y, lambda v: v * v, lambda v: 1 / (1 - v)), (Y,)),
    "by_sign of one": (lambda y, xp: xp.by_sign(y[1], xp.exp, lambda v: v**3), (Y,)),
    "sum": (lambda a, xp: xp.sum(a * a) + xp.sum([a[0, 0], a[0, 1] ** 2]), (MATRIX,)),
    "sum of columns": (lambda a, xp: xp.sum(a * a, 0), (MATRIX,)),
    "sum of rows": (lambda a, xp: xp.sum(a * a, axis=-1), (MATRIX,)),
    "mean": (lambda a, xp: xp.mean(a * a) * xp.mean(a, 1), (MATRIX,)),
    "cumsum": (lambda a, xp: xp.cumsum(a * a), (MATRIX,)),
    "dot of vectors": (lambda x, y, xp: xp.dot(x, y * y), (X, Y)),
    "matrix and vector": (lambda a, x, xp: xp.dot(a, x * x), (MATRIX, X[:3])),
    "vector and matrix": (lambda x, a, xp: xp.dot(x * x, a), (X[:2], MATRIX)),
    "matrices": (lambda a, b, xp: xp.dot(a * a, b), (MATRIX, OTHER)),
    "transposed": (lambda a, xp: xp.dot(a.T, a), (MATRIX,)),
    "outer": (lambda x, y, xp: xp.outer(x * y, y), (X, Y)),
    "softmax": (lambda x, xp: xp.softmax(x * x), (X,)),
    "softmax of rows": (lambda a, xp: xp.softmax(a), (MATRIX,)),
    "logsumexp": (lambda x, xp: xp.logsumexp(x * x) * x, (X,)),
    "logsumexp of rows": (lambda a, xp: xp.logsumexp(a) * xp.logsumexp(a.T)[:2], (MATRIX,)),
    "shifted": (
        lambda x, xp: xp.shifted(x) - xp.log(xp.sum(xp.exp(xp.shifted(x)))),
        (X,),
    ),
    "max": (lambda x, xp: xp.max(x * x) * x, (X,)),
    "max of columns": (lambda a, xp: xp.max(a, 0) * xp.max(a, 1)[0] * xp.max(a), (MATRIX,)),
    "min": (lambda a, xp: xp.min(a) * xp.min(a, axis=1), (MATRIX,)),
    "descending": (lambda x, xp: xp.cumsum(xp.descending(x) ** 2), (X,)),
    "indices": (lambda x, y, xp: x[1] * y[MASK] * x[:2] - y[np.array([1, 1])] * x[3], (X, Y)),
    "iteration": (lambda x, xp: [a * a for a in x][2] * len(x), (X,)),
    "put": (replaced, (X, Y)),
    "stack": (lambda x, y, xp: xp.stack([x, y * x, xp.vector(X)]), (X, Y)),
    "vector": (lambda x, xp: xp.vector([x[0] * x[1], 2, x[2]]) * xp.counts(3), (X,)),
    "concatenate": (lambda x, y, xp: xp.concatenate([x * y, y, xp.vector(X)]), (X, Y)),
    "broadcast": (lambda x, xp: xp.broadcast(x, (2, 4)) * xp.expand_dims(x, 0), (X,)),
    "scatter": (lambda x, xp: xp.scatter((3,), np.array([0, 2, 0, 1]), x * x), (X,)),
    "solve": (lambda a, x, xp: xp.solve(a, x * x), (SQUARE, X[:2])),
    "solve for columns": (lambda a, b, xp: xp.solve(a * a, b), (SQUARE, MATRIX)),
    "singular values": (lambda a, xp: xp.singular_values(a) ** 2, (OTHER,)),
    "singular values of a wide matrix": (lambda a, xp: xp.singular_values(a), (MATRIX,)),
    "root": (
        lambda x, y, xp: xp.root(lambda t: t**3 + xp.sum(x) * t - xp.sum(y), xp.number(0), 4) * x,
        (X, Y),
    ),
    "scaled cylinder": (lambda x, xp: xp.scaled_cylinder(Fraction(-1, 2), x), (X,)),
    "an argument without effect": (lambda x, y, xp: x * x, (X, Y)),
    "a constant": (lambda x, xp: xp.exp(xp.vector(X)), (X,)),
}


@pytest.mark.parametrize("name", SLOPES)
def test_the_slope_of_an_elementary_function_is_its_derivative(name):
    assert encloses(ELEMENTARY[name], {"x": X})
    assert encloses(ELEMENTARY[name], {"x": X[0]})


@pytest.mark.parametrize("name", ["expm1", "tanh", "sigmoid", "softplus", "erf", "atan", "abs"])
def test_slopes_of_negative_numbers(name):
    assert encloses(ELEMENTARY[name], {"x": Y})


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_its_derivative(name):
    formula, arguments = OPERATIONS[name]
    assert encloses(formula, dict(zip("ab", arguments, strict=False)))


@pytest.mark.parametrize("name", SLOPES)
def test_a_wrong_slope_is_found(name, monkeypatch):
    """By one part in a thousand."""
    right = getattr(Slopes, name)
    wrong = staticmethod(lambda xp, x, y: right(xp, x, y) * 1.001)
    monkeypatch.setattr(Slopes, name, wrong)
    assert not encloses(ELEMENTARY[name], {"x": X})


def without_the_inner_product(tape, z):
    p = tape.below.softmax(z.value)
    return tape.record(p, (z, lambda g: p * g))


def of_the_first_alone(tape, values, axis=None):
    x = tape.below
    slopes = x.scatter(values.shape, 0, x.number(1))
    return tape.record(x.max(values.value, axis), (values, lambda g: g * slopes))


def not_transposed(tape, a, b):
    x, y = a.value, b.value
    return tape.record(
        tape.below.dot(x, y), (a, lambda g: tape.below.outer(g, y)), (b, lambda g: g[0] * y)
    )


@pytest.mark.parametrize(
    ("operation", "case", "wrong"),
    [
        ("softmax", "softmax", without_the_inner_product),
        ("max", "max", of_the_first_alone),
        ("dot", "matrix and vector", not_transposed),
        (
            "cumsum",
            "cumsum",
            lambda tape, a: tape.record(tape.below.cumsum(a.value), (a, tape.below.cumsum)),
        ),
        ("shifted", "shifted", lambda tape, z: z - tape.constant(z.value)),
        ("_folded", "broadcast sums", lambda tape, g, shape: tape.below.broadcast(g[0, 0], shape)),
    ],
)
def test_a_wrong_rule_is_found(operation, case, wrong, monkeypatch):
    if operation == "max":  # the largest entry is no longer the first
        assert np.argmax(np.square(X[::-1])) != 0
    formula, arguments = OPERATIONS[case]
    monkeypatch.setattr(Tape, operation, wrong)
    given = [a[::-1] for a in arguments] if operation == "max" else arguments
    assert not encloses(formula, dict(zip("ab", given, strict=False)))


# --- against SymPy ---


def symbolic(name, shape):
    flat = sympy.symbols(f"{name}_1:{int(np.prod(shape)) + 1}", real=True)
    return symbols().vector(flat).reshape(shape)


SHAPES = {
    "rms_norm": [{"x": (2,), "gain": (2,)}, {"x": (3,), "gain": (3,)}],
    "layer_norm": [{"x": (2,), "gain": (2,), "bias": (2,)}],
    "kl_divergence": [{"student": (2,), "teacher": (2,)}, {"student": (3,), "teacher": (3,)}],
    "attention": [{"q": (2,), "k": (2, 2), "v": (2, 2)}],
    "linear_cross_entropy": [{"hidden": (2,), "weight": (3, 2)}],
}
OTHER_ARGUMENTS = {
    "attention": {"mask": np.array([True, True])},
    "linear_cross_entropy": {"label": 1},
}
PARAMETERS = {"attention": {"softcap": 2.0}, "linear_cross_entropy": {"softcap": 0.5}}


@pytest.mark.parametrize(
    ("name", "shapes"), [(name, shapes) for name, several in SHAPES.items() for shapes in several]
)
def test_products_are_those_of_sympy(name, shapes):
    """At symbols, with a symbolic cotangent; the difference is 0 at exact rational points."""
    xp, definition = symbols(), lookup(name)
    arguments = {n: symbolic(n, shape) for n, shape in shapes.items()}
    arguments |= OTHER_ARGUMENTS.get(name, {})
    parameters = PARAMETERS.get(name, {})
    value = definition(*arguments.values(), xp, **parameters)
    g = symbolic("g", np.shape(value))[()] if np.shape(value) else sympy.Symbol("g_1")
    found, products = vector_jacobian_product(
        definition, arguments, g, xp, wrt=[*shapes], **parameters
    )
    total = xp.sum(np.reshape(value * g, -1))
    assert np.all(np.reshape(found == value, -1))
    for n in shapes:
        for product, symbol in zip(products[n].reshape(-1), arguments[n].reshape(-1), strict=True):
            rest = product - sympy.diff(total, symbol)
            at = {
                s: sympy.Rational(3 * k + 2, 2 * k + 7)
                for k, s in enumerate(sorted(rest.free_symbols, key=str))
            }
            assert abs(sympy.N(rest.subs(at), 60, maxn=300)) < 1e-50


def test_the_rules_are_proven_of_rms_norm():
    xp = symbols()
    x, gain, g = (symbolic(n, (2,)) for n in ("x", "gain", "g"))
    value, products = vector_jacobian_product(
        lookup("rms_norm"), {"x": x, "gain": gain}, g, xp, wrt=["x", "gain"]
    )
    for n, argument in (("x", x), ("gain", gain)):
        for product, symbol in zip(products[n], argument, strict=True):
            assert sympy.simplify(product - sympy.diff(xp.sum(value * g), symbol)) == 0


# --- against the closed forms that definitions of a row declare ---


@pytest.mark.parametrize("definition", OF_A_ROW, ids=lambda d: d.name)
def test_products_are_those_of_the_declared_gradient(definition):
    row = BALLS.vector([0.5, -1.25, 2.0, -0.375])
    arguments = {"x": row}
    if definition.labelled:
        arguments["label"] = 1
    jacobian = definition.gradient(*arguments.values(), BALLS)
    value = definition(*arguments.values(), BALLS)
    g = cotangent_like(value, BALLS)
    found, products = vector_jacobian_product(definition, arguments, g, BALLS, wrt=["x"])
    if definition.elementwise:
        expected = g * jacobian
    else:
        expected = BALLS.dot(g, jacobian) if definition.output is Output.VECTOR else g * jacobian
    assert all(
        a.overlaps(b) for a, b in zip(np.reshape(found, -1), np.reshape(value, -1), strict=True)
    )
    for product, exact in zip(products["x"], expected, strict=True):
        assert abs(product - exact) < 2.0**-200


# --- kinks and ties ---


def gradient(formula, x, xp):
    value = formula(x, xp)
    g = xp.broadcast(xp.number(1), np.shape(value))
    return vector_jacobian_product(formula, {"x": x}, g, xp, wrt=["x"])[1]["x"]


@pytest.mark.parametrize(
    ("formula", "at", "slopes"),
    [
        (lambda x, xp: xp.positive_part(x), [0.0], [[0], [1]]),
        (lambda x, xp: xp.abs(x), [0.0], [[-1], [1]]),
        (lambda x, xp: xp.maximum(x, 2 * x), [0.0], [[1], [2]]),
        (lambda x, xp: xp.by_sign(x, lambda v: 3 * v, lambda v: -v), [0.0], [[-1], [3]]),
        (lambda x, xp: xp.max(x), [1.0, 1.0, 0.0], [[1, 0, 0], [0, 1, 0]]),
        (lambda x, xp: xp.min(x), [1.0, 1.0, 3.0], [[1, 0, 0], [0, 1, 0]]),
        (lambda x, xp: xp.descending(x)[0], [1.0, 1.0, 0.0], [[1, 0, 0], [0, 1, 0]]),
        (lambda x, xp: lookup("sparsemax")(x, xp)[0], [1.0, 0.0], [[0, 0], [0.5, -0.5]]),
    ],
)
def test_at_a_kink_balls_enclose_the_slopes_on_all_sides(formula, at, slopes):
    for ball in (BALLS.vector(at), np.array([flint.arb(v, 2.0**-60) for v in at], dtype=object)):
        found = gradient(formula, ball, BALLS)
        for side in slopes:
            assert all(b.contains(flint.arb(v)) for b, v in zip(found, side, strict=True))
    with np.errstate(all="ignore"):
        middle = gradient(formula, ieee(BINARY32).vector(at), ieee(BINARY32))
    low, high = np.min(slopes, 0), np.max(slopes, 0)
    assert np.all((low <= middle) & (middle <= high))


def test_equal_entries_share_the_slope_of_their_maximum():
    xp = ieee(BINARY32)
    shares = gradient(lambda x, xp: xp.max(x), xp.vector([2, 1, 2, 2]), xp)
    assert (shares.sum(), shares[1]) == (1, 0)
    assert np.all(shares[[0, 2, 3]] > 0)


@pytest.mark.parametrize(
    "xp", [symbols(), BALLS, FINE, *map(ieee, FORMATS.values())], ids=lambda xp: xp.name
)
def test_powers_of_zero(xp):
    """The slope of x^1 is 1 and that of x^0 is 0, also where x is 0."""
    with np.errstate(all="ignore"):
        zero = xp.vector([0])
        for formula, slope in (
            (lambda x, xp: x**0, 0),
            (lambda x, xp: x**1, 1),
            (lambda x, xp: x**2, 0),
            (lambda x, xp: xp.pow(x, xp.number(0)), 0),
            (lambda x, xp: xp.pow(x, xp.number(1)), 1),
            (lambda x, xp: xp.pow(x, xp.number(2)), 0),
        ):
            assert gradient(formula, zero, xp)[0] == slope
        assert float(gradient(lambda x, xp: x**-1, xp.vector([2]), xp)[0]) == -0.25


# --- other arithmetics ---


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_products_in_a_format(fmt):
    xp, definition = ieee(fmt), lookup("attention")
    given = {"q": X[:3], "k": MATRIX, "v": COLUMN}
    mask = {"mask": np.array([True, True])}
    wrt = [*given]
    exactly = {n: BALLS.array(a) for n, a in given.items()} | mask
    rounded = {n: xp.array(a) for n, a in given.items()} | mask
    _, truth = vector_jacobian_product(definition, exactly, BALLS.vector([1]), BALLS, wrt=wrt)
    _, found = vector_jacobian_product(definition, rounded, xp.vector([1]), xp, wrt=wrt)
    for n in wrt:
        assert found[n].dtype == fmt.dtype
        expected = np.vectorize(float)(truth[n])
        np.testing.assert_allclose(
            found[n].astype(float), expected, rtol=0, atol=40 * float(fmt.unit_roundoff)
        )


ROWS = {
    "rms_norm": {"x": X, "gain": Y},
    "layer_norm": {"x": X, "gain": Y, "bias": X},
    "attention": {"q": X[:3], "k": MATRIX + MATRIX[::-1], "v": OTHER + OTHER[:1], "mask": MASK},
    "kl_divergence": {"student": X, "teacher": Y},
    "linear_cross_entropy": {"hidden": X[:3], "weight": MATRIX, "label": 1},
    "sparsemax": {"z": Y},
}


def products_of(name, formula, xp):
    """Of the arguments above, with the cotangent 1, -2, ..., as binary64."""
    numbers = lookup(name).signature.numbers
    given = {n: xp.array(a) if n in numbers else a for n, a in ROWS[name].items()}
    g = cotangent_like(formula(*given.values(), xp), xp)
    return vector_jacobian_product(formula, given, g, xp, wrt=numbers)[1]


@pytest.mark.parametrize("name", ROWS)
def test_running_errors_bound_the_products_of_every_form(name):
    """Balls are enclosed; what a format computes is within the error of the exact value."""
    definition, running = lookup(name), RunningErrorArithmetic(Model.of(BINARY32))
    for formula in (definition.formula, *definition.forms.values()):
        bounds = products_of(name, formula, running)
        exact = products_of(name, definition.formula, BALLS)
        computed = products_of(name, formula, ieee(BINARY32))
        for n, bound in bounds.items():
            truth = np.vectorize(float)(exact[n])
            assert np.all(np.abs(truth - bound.value) <= bound.radius + 2.0**-52 * np.abs(truth))
            assert np.all(np.abs(computed[n] - truth) <= bound.error + bound.radius)
            assert np.all(bound.error <= 2.0**-24 * 1000 * (1 + np.abs(truth)))


def test_a_gradient_without_its_scale_is_beyond_the_running_error():
    formula = lookup("attention").formula

    def unscaled(q, k, v, mask, xp):
        return formula(q * xp.sqrt(xp.number(3)), k, v, mask, xp)

    bound = products_of("attention", formula, RunningErrorArithmetic(Model.of(BINARY32)))["q"]
    wrong = products_of("attention", unscaled, ieee(BINARY32))["q"]
    assert np.all(np.abs(wrong - bound.value) > bound.error + bound.radius)


def test_a_tape_over_a_tape_gives_second_derivatives():
    """Hessian times vector of log-sum-exp: (diag p - p p^T) v."""

    def logsumexp(z, xp):
        return xp.log(xp.sum(xp.exp(xp.shifted(z)))) + xp.dot(z, xp.counts(3)) ** 2

    z, v = BALLS.vector(X[:3]), BALLS.vector([1, -2, 0.5])

    def slope(z, xp):
        g = vector_jacobian_product(logsumexp, {"z": z}, BALLS.number(1), xp, wrt=["z"])[1]["z"]
        return xp.dot(g, v)

    _, found = vector_jacobian_product(slope, {"z": z}, BALLS.number(1), BALLS, wrt=["z"])
    p, n = BALLS.softmax(z), BALLS.counts(3)
    expected = p * (v - BALLS.dot(p, v)) + 2 * n * BALLS.dot(n, v)
    for a, b in zip(found["z"], expected, strict=True):
        assert abs(a - b) < 2.0**-200


def test_every_operation_has_second_derivatives():
    """A tape is an arithmetic: its own rules are written in what it offers.

    The slope in the first argument, summed, has slopes in every argument: as differences tell.
    """
    for name, (formula, arguments) in OPERATIONS.items():
        if "singular" in name:  # the derivatives of singular vectors are not there
            continue
        given = {n: BALLS.array(a) for n, a in zip("ab", arguments, strict=False)}

        g = cotangent_like(formula(*given.values(), BALLS), BALLS)

        def slopes(*at, formula=formula, names=tuple(given), g=g):
            *values, xp = at
            inner = dict(zip(names, values, strict=True))
            _, products = vector_jacobian_product(formula, inner, g, xp, wrt=["a"])
            return xp.sum(products["a"] * 2) if np.shape(products["a"]) else products["a"]

        _, found = vector_jacobian_product(slopes, given, BALLS.number(1), BALLS, wrt=[*given])
        t = flint.arb((1, -80))
        for n in given:
            ends = [slopes(*({**given, n: given[n] + s}).values(), BALLS) for s in (t, -t)]
            total = BALLS.sum(found[n]) if np.shape(found[n]) else found[n]
            assert abs(total - (ends[0] - ends[1]) / (2 * t)) < 2.0**-100 * (1 + abs(total)), name


def test_several_results_have_several_cotangents():
    def both(x, xp):
        return xp.sum(x * x), x / 2

    x = BALLS.vector([1, 2])
    values, products = vector_jacobian_product(
        both, {"x": x}, (BALLS.number(1), BALLS.vector([4, 6])), BALLS, wrt=["x"]
    )
    assert [float(values[0]), *map(float, values[1])] == [5, 0.5, 1]
    assert [float(v) for v in products["x"]] == [4, 7]


def test_numbers_of_every_system_leave_operators_to_variables():
    for xp in (symbols(), BALLS, FINE, *map(ieee, FORMATS.values())):
        tape = Tape(xp)
        for left, right in itertools.product((xp.number(3), xp.vector([3]), 3), repeat=2):
            for variable in (Variable(tape, left), Variable(tape, right)):
                for result in (variable * right, left * variable, left - variable, left / variable):
                    assert isinstance(result, Variable)
                    assert not isinstance(result.value, Variable)


# --- mistakes of the caller ---


def test_mistakes_are_told():
    x = BALLS.vector([1, 2])
    with pytest.raises(ValueError, match="wrt names 'y'; the arguments are x"):
        vector_jacobian_product(lambda x, xp: x, {"x": x}, x, BALLS, wrt=["y"])
    with pytest.raises(ValueError, match=r"shape \(\); give it the shape of the result, \(2,\)"):
        vector_jacobian_product(lambda x, xp: x, {"x": x}, BALLS.number(1), BALLS, wrt=["x"])
    with pytest.raises(AttributeError, match="no function 'gamma'"):
        vector_jacobian_product(lambda x, xp: xp.gamma(x), {"x": x}, x, BALLS, wrt=["x"])
    with pytest.raises(TypeError):
        vector_jacobian_product(lambda x, xp: x**0.5, {"x": x}, x, BALLS, wrt=["x"])


def test_what_does_not_vary_has_zeros():
    xp = ieee(BFLOAT16)
    x = xp.vector([1, 2])
    value, products = vector_jacobian_product(
        lambda x, xp: xp.counts(2), {"x": x}, x, xp, wrt=["x"]
    )
    assert value.tolist() == [1, 2]
    assert products["x"].tolist() == [0, 0]
