"""What a definition may use means the same in symbols, balls, big floats and formats."""

import functools
import itertools
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
import sympy
from softproof.derivations.arithmetic.arithmetic import Arithmetic
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY16, BINARY32, BINARY64, FORMATS
from softproof.derivations.arithmetic.systems import balls, big_floats, ieee, symbols

MP = mpmath.MPContext()
MP.dps = 60
NUMERIC = (balls(), big_floats(120), *(ieee(f) for f in FORMATS.values()))
EVERY = (symbols(), *NUMERIC)
SYSTEMS = pytest.mark.parametrize("xp", EVERY, ids=lambda xp: xp.name)
NUMBERS = pytest.mark.parametrize("xp", NUMERIC, ids=lambda xp: xp.name)
ROUNDOFF = {f.name: float(f.unit_roundoff) for f in FORMATS.values()}


@pytest.fixture(autouse=True)
def precise_balls():
    with flint.ctx.workprec(120), np.errstate(all="ignore"):
        yield


def floats(x):
    """Numbers of any system as binary64, in their shape."""
    if isinstance(x, np.ndarray) and x.dtype != object:
        return x.astype(np.float64)
    convert = np.vectorize(lambda v: float(sympy.N(v, 25) if isinstance(v, sympy.Expr) else v))
    return convert(x) if np.size(x) else np.zeros(np.shape(x))


# --- elementary functions ---

# Each with its definition by other functions, or by mpmath's own at 60 digits.
FUNCTIONS = {
    "exp": MP.exp,
    "log": MP.log,
    "log1p": lambda x: MP.log(1 + x),
    "expm1": lambda x: MP.exp(x) - 1,
    "sqrt": MP.sqrt,
    "rsqrt": lambda x: 1 / MP.sqrt(x),
    "tanh": lambda x: (MP.exp(x) - MP.exp(-x)) / (MP.exp(x) + MP.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + MP.exp(-x)),
    "softplus": lambda x: MP.log(1 + MP.exp(x)),
    "erf": lambda x: 2 / MP.sqrt(MP.pi) * MP.quad(lambda t: MP.exp(-t * t), [0, x]),
    "sin": MP.sin,
    "cos": MP.cos,
    "atan": MP.atan,
    "acos": MP.acos,
    "abs": abs,
    "normal_cdf": MP.ncdf,
    "normal_pdf": MP.npdf,
    "positive_part": lambda x: x if x > 0 else MP.mpf(0),
    "step": lambda x: MP.mpf(x > 0),
}
POSITIVE = ("log", "sqrt", "rsqrt")
POINTS = (-0.9375, -0.25, 0.0078125, 0.5, 0.75)


@functools.cache
def expected(name):
    points = [abs(p) for p in POINTS] if name in POSITIVE else POINTS
    return points, [FUNCTIONS[name](MP.mpf(p)) for p in points]


@SYSTEMS
@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_are_what_they_are_called(name, xp):
    points, values = expected(name)
    result = getattr(xp, name)(xp.vector(points))
    if xp.name == "balls":
        assert all(
            abs(v - r.mid()) < 2.0**-100 for v, r in zip(map(ball, values), result, strict=True)
        )
        assert all(r.rad() < 2.0**-100 for r in result)
        return
    tolerance = 8 * ROUNDOFF.get(xp.name, 2.0**-53)
    np.testing.assert_allclose(floats(result), [float(v) for v in values], rtol=tolerance)


def ball(x):
    """An mpmath number as a ball, with its rounding error below 2^-190."""
    return flint.arb(MP.nstr(x, 60))


@SYSTEMS
@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_keep_every_shape(name, xp):
    points, _ = expected(name)
    function, row = getattr(xp, name), xp.vector(points[:4])
    flat = floats(function(row))
    np.testing.assert_array_equal(floats(function(row.reshape(2, 1, 2))).reshape(-1), flat)
    assert not isinstance(function(row[0]), np.ndarray)
    assert floats(function(row[0])) == flat[0]
    assert function(row[:0]).shape == (0,)
    assert function(row).dtype == xp.dtype


@pytest.mark.parametrize("precision", [8, 24, 53])
@pytest.mark.parametrize("name", ["sigmoid", "softplus", "tanh", "erf", "atan"])
def test_emulated_functions_are_rounded_once(name, precision):
    xp = big_floats(precision)
    points, values = expected(name)
    for at, value in zip(points, values, strict=True):
        error = abs(MP.mpf(getattr(xp, name)(xp.number(at))) - value)
        assert error <= MP.ldexp(abs(value), -precision) * (1 + MP.mpf(2) ** -15)


@NUMBERS
def test_functions_of_far_arguments_neither_overflow_nor_cancel(xp):
    far = xp.vector([-np.inf, -60000.0, 60000.0, np.inf])
    assert floats(xp.sigmoid(far)).tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(
        floats(xp.softplus(far)), [0, 0, 60000, np.inf], rtol=2 * ROUNDOFF.get(xp.name, 0)
    )
    assert floats(xp.tanh(far)).tolist() == [-1, -1, 1, 1]
    assert floats(xp.erf(far)).tolist() == [-1, -1, 1, 1]
    assert np.isnan(floats(xp.sin(far[[0, 3]]))).all()


@pytest.mark.parametrize("xp", [balls(), big_floats(80)], ids=lambda xp: xp.name)
def test_sigmoid_keeps_its_digits_far_out(xp):
    """e^-1e9 is no number of any format; its logarithm is."""
    assert floats(xp.log(xp.sigmoid(xp.number(-(10.0**9))))) == -(10.0**9)
    assert floats(xp.log(xp.softplus(xp.number(-(10.0**9))))) == -(10.0**9)


@NUMBERS
@pytest.mark.parametrize("name", ["log", "log1p", "sqrt", "rsqrt", "acos"])
def test_outside_of_its_domain_a_function_is_nan(name, xp):
    assert np.isnan(floats(getattr(xp, name)(xp.vector([-2, -np.inf])))).all()


@NUMBERS
@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"positive_part", "step"}))
def test_nan_stays_nan(name, xp):
    assert np.isnan(floats(getattr(xp, name)(xp.vector([np.nan])))).all()


@SYSTEMS
def test_powers(xp):
    x, y = xp.vector([4, 2, 0.5, -2, 0, 0]), xp.vector([0.5, -1, 3, 3, 0.5, 2])
    assert floats(xp.pow(x, y)).tolist() == [2, 0.5, 0.125, -8, 0, 0]
    assert floats(xp.pow(xp.number(4), xp.number(-0.5))) == 0.5
    assert floats(xp.pow(xp.vector([1, 4, 9]), xp.number(0.5))).tolist() == [1, 2, 3]
    assert floats(xp.pow(xp.vector([0]), xp.vector([0]))).tolist() == [1]


@NUMBERS
def test_powers_at_the_ends_of_their_domain(xp):
    assert floats(xp.pow(xp.number(0), xp.number(-0.5))) == np.inf
    assert floats(xp.rsqrt(xp.number(0))) == np.inf
    assert np.isnan(floats(xp.pow(xp.number(-2), xp.number(0.5))))


def test_pi_is_rounded_once_or_enclosed():
    digits = MP.mpf("3.14159265358979323846264338327950288419716939937510582097494")
    assert symbols().pi == sympy.pi
    assert float(balls().pi) == np.pi
    assert balls().pi.contains(ball(digits).mid())
    for fmt in FORMATS.values():
        nearest = fmt.round(Fraction(str(digits)))
        assert ieee(fmt).pi == nearest
        assert float(big_floats(fmt.precision).pi) == float(nearest)


@SYSTEMS
def test_exact_values_are_taken_for_numbers(xp):
    assert floats(xp.exp(0)) == 1
    assert floats(xp.sqrt(0.25)) == 0.5
    assert floats(xp.maximum(0.5, xp.vector([0, 1]))).tolist() == [0.5, 1]
    assert floats(xp.minimum(xp.number(2), 1)) == 1
    assert floats(xp.pow(xp.vector([4, 9]), 0.5)).tolist() == [2, 3]
    assert not symbols().maximum(0.5, sympy.Symbol("x")).atoms(sympy.Float)


# --- arrays ---

TABLE = [[1, 2.5, -3], [0.25, 5, 6]]


@SYSTEMS
def test_an_array_has_the_shape_and_the_values_that_it_is_given(xp):
    for values in (TABLE, np.float32(TABLE), [[Fraction(v) for v in row] for row in TABLE]):
        a = xp.array(values)
        assert a.shape == (2, 3)
        assert a.dtype == xp.dtype
        assert floats(a).tolist() == TABLE
        assert floats(xp.array(a)).tolist() == TABLE
    assert not isinstance(xp.array(0.5), np.ndarray)
    assert xp.array(np.zeros((2, 0))).shape == (2, 0)


@NUMBERS
def test_numbers_of_other_formats_are_exact_values(xp):
    for fmt in FORMATS.values():
        assert floats(xp.number(fmt.dtype.type(0.75))) == 0.75
    assert floats(xp.vector(np.arange(3))).tolist() == [0, 1, 2]


def test_an_array_keeps_numbers_of_the_system():
    x = sympy.Symbol("x")
    assert symbols().array([[x, 1]])[0, 0] is x
    half = flint.arb(0.5, 0.25)
    assert balls().array([half])[0].lower() == half.lower() < half.upper()
    kept = ieee(BINARY32).array(np.float32([[0.1]]))
    assert kept[0, 0] == np.float32(0.1)


@SYSTEMS
def test_entries_are_changed_in_a_copy(xp):
    a = xp.array(TABLE)
    changed = xp.put(a, (0, slice(1, None)), xp.number(7))
    assert floats(changed).tolist() == [[1, 7, 7], [0.25, 5, 6]]
    assert floats(a).tolist() == TABLE
    assert floats(xp.put(a[0], 2, xp.number(9))).tolist() == [1, 2.5, 9]
    assert floats(a[0][np.array([True, False, True])]).tolist() == [1, -3]


@SYSTEMS
def test_arrays_are_put_together(xp):
    a = xp.array(TABLE)
    stacked = xp.stack([xp.number(1), xp.number(2)])
    assert (floats(stacked).tolist(), stacked.dtype) == ([1, 2], xp.dtype)
    assert xp.stack([a, a, a]).shape == (3, 2, 3)
    assert floats(xp.concatenate([a[0], a[1]])).tolist() == TABLE[0] + TABLE[1]
    assert floats(xp.counts(4)).tolist() == [1, 2, 3, 4]
    assert floats(xp.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
    assert floats(xp.zeros(())) == 0
    assert floats(xp.broadcast(xp.number(3), (2, 2))).tolist() == [[3, 3], [3, 3]]
    assert xp.expand_dims(a, 1).shape == (2, 1, 3)
    assert floats(xp.where(np.array([True, False]), a[0, :2], xp.number(8))).tolist() == [1, 8]


@SYSTEMS
def test_scatter_is_the_adjoint_of_an_index(xp):
    """<scatter(index, g), a> = <g, a[index]>, also where an index comes twice."""
    a = xp.array(TABLE)
    mask = np.array([[True, False, True], [False, True, False]])
    for index in (1, (0, 2), (slice(None), 1), slice(0, 1), mask, np.array([1, 1, 0])):
        taken = a[index]
        g = xp.counts(np.size(taken)).reshape(np.shape(taken))[()]
        spread = xp.scatter(a.shape, index, g)
        assert floats(xp.sum(spread * a)) == floats(xp.sum(xp.array([taken * g]) * 1))


# --- sums and products ---


@SYSTEMS
def test_sums_along_axes(xp):
    a = xp.array(TABLE)
    assert floats(xp.sum(a)) == np.sum(TABLE)
    assert floats(xp.sum(a, 0)).tolist() == np.sum(TABLE, 0).tolist()
    assert floats(xp.sum(a, 1)).tolist() == np.sum(TABLE, 1).tolist()
    assert floats(xp.sum(a, -1)).tolist() == np.sum(TABLE, -1).tolist()
    assert floats(xp.mean(a, 0)).tolist() == np.mean(TABLE, 0).tolist()
    assert floats(xp.mean(a[0, :2])) == 1.75
    assert floats(xp.cumsum(a)).tolist() == np.cumsum(TABLE, -1).tolist()
    assert floats(xp.max(a)) == 6
    assert floats(xp.min(a)) == -3
    assert floats(xp.max(a, 0)).tolist() == [1, 5, 6]
    assert floats(xp.min(a, axis=1)).tolist() == [-3, 0.25]


@SYSTEMS
def test_of_nothing(xp):
    nothing = xp.array(np.zeros((0, 2)))
    assert floats(xp.sum(nothing, 0)).tolist() == [0, 0]
    assert floats(xp.sum(nothing)) == 0
    assert floats(xp.sum([])) == 0
    assert xp.cumsum(nothing.T).shape == (2, 0)
    with pytest.raises(ValueError, match="of no values"):
        xp.max(nothing[:, 0])


@pytest.mark.parametrize(("fmt", "stuck"), [(BINARY16, 2048), (BFLOAT16, 256)])
def test_sums_of_every_kind_are_one_by_one_in_the_format(fmt, stuck):
    """Adding 1 to 2^p gives 2^p: only a recursive sum in the format itself sticks there."""
    xp = ieee(fmt)
    ones = xp.broadcast(xp.number(1), (2 * stuck, 2))
    assert floats(xp.sum(ones, 0)).tolist() == [stuck, stuck]
    assert floats(xp.cumsum(ones.T))[0, -1] == stuck
    assert floats(xp.dot(ones[:, 0], ones)).tolist() == [stuck, stuck]
    assert floats(xp.mean(ones, 0)).tolist() == [0.5, 0.5]


@SYSTEMS
def test_products_of_vectors_and_matrices(xp):
    left, right = np.array(TABLE), np.array([[2.0, -1], [0.5, 4], [1, 0.25]])
    a, b = xp.array(left), xp.array(right)
    assert floats(xp.dot(a, b)).tolist() == (left @ right).tolist()
    assert floats(xp.dot(a, b[:, 1])).tolist() == (left @ right[:, 1]).tolist()
    assert floats(xp.dot(a[0], b)).tolist() == (left[0] @ right).tolist()
    assert floats(xp.dot(a[0], b[:, 0])) == left[0] @ right[:, 0]
    assert not isinstance(xp.dot(a[0], b[:, 0]), np.ndarray)
    assert floats(xp.outer(a[0], b[:2, 0])).tolist() == np.outer(left[0], right[:2, 0]).tolist()
    with pytest.raises(ValueError, match="inner lengths"):
        xp.dot(a, a)


# --- piecewise functions ---


@SYSTEMS
def test_larger_and_smaller(xp):
    a, b = xp.array(TABLE), xp.vector([1, 2, 3])
    assert floats(xp.maximum(a, b)).tolist() == np.maximum(TABLE, [1, 2, 3]).tolist()
    assert floats(xp.minimum(a, xp.number(0))).tolist() == [[0, 0, -3], [0, 0, 0]]
    assert floats(xp.maximum(xp.number(1), xp.number(2))) == 2
    assert floats(xp.by_sign(a, lambda v: v * 0, lambda v: -v)).tolist() == [[0, 0, 3], [0, 0, 0]]


@pytest.mark.parametrize("xp", [x for x in EVERY if x.name != "balls"], ids=lambda xp: xp.name)
def test_the_step_at_zero_is_the_middle(xp):
    assert floats(xp.step(xp.vector([-1, 0, 3]))).tolist() == [0, 0.5, 1]


def test_the_step_of_a_ball_with_zero_in_it_is_any_slope_of_the_positive_part():
    for around in (flint.arb(0), flint.arb(1, 2), flint.arb(0, 1)):
        slope = balls().step(around)
        assert slope.contains(0)
        assert slope.contains(1)
    assert balls().step(flint.arb(3, 2)) == 1
    assert balls().step(flint.arb(-3, 2)) == 0
    assert balls().step(flint.arb.nan()).is_nan()


def test_balls_take_all_pieces_that_they_touch():
    """By points of the balls: their values lie in the value of the ball."""
    xp, wide = balls(), flint.arb(0.25, 0.5)
    other = flint.arb(0.125, 0.25)
    for x, y in itertools.product((-0.25, 0, 0.25, 0.75), (-0.125, 0.375)):
        assert xp.maximum(wide, other).contains(max(x, y))
        assert xp.minimum(wide, other).contains(min(x, y))
        assert xp.positive_part(wide).contains(max(x, 0))
        assert xp.abs(wide).contains(abs(x))
        assert xp.by_sign(wide, lambda v: v + 3, lambda v: v * v).contains(
            x + 3 if x >= 0 else x * x
        )


# --- order ---


@SYSTEMS
def test_descending_order(xp):
    z = xp.vector([1, -2, 5, 1, 0.5])
    assert floats(xp.descending(z)).tolist() == [5, 1, 1, 0.5, -2]
    first, last = xp.ranks(z[[0, 1, 2, 4]])
    assert first.tolist() == last.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("xp", [x for x in EVERY if x.name != "balls"], ids=lambda xp: xp.name)
def test_equal_numbers_keep_their_order(xp):
    assert xp.ranks(xp.vector([1, 2, 1, 2]))[0].tolist() == [2, 0, 3, 1]


def test_the_order_of_symbols_is_exact_whatever_they_are():
    xp, z = symbols(), sympy.symbols("z_1:4", real=True)
    ordered = xp.descending(xp.vector(z))
    for values in itertools.product((1, 2, 3), repeat=3):
        at = dict(zip(z, values, strict=True))
        assert [v.subs(at) for v in ordered] == sorted(values, reverse=True)
    with pytest.raises(ValueError, match="not decided"):
        xp.ranks(xp.vector(z))
    d = sympy.Symbol("d", positive=True)
    assert xp.ranks(xp.vector([z[0], z[0] + d]))[0].tolist() == [1, 0]


def test_the_order_of_balls_holds_for_all_numbers_in_them():
    """Every choice of corners, sorted, lies in the sorted balls; every place within the ranks."""
    middles, radius = (0.5, 1.0, 0.25, -1.0, 0.75), 0.25
    xp, z = balls(), np.array([flint.arb(m, radius) for m in middles], dtype=object)
    ordered, (first, last) = xp.descending(z), xp.ranks(z)
    tops = xp.cumsum(ordered)
    places = set()
    for signs in itertools.product((-1, 0, 1), repeat=len(middles)):
        corner = [m + s * radius for m, s in zip(middles, signs, strict=True)]
        in_order = sorted(corner, reverse=True)
        assert all(b.contains(v) for b, v in zip(ordered, in_order, strict=True))
        assert all(b.contains(v) for b, v in zip(tops, np.cumsum(in_order), strict=True))
        if len(set(corner)) == len(corner):
            at = [in_order.index(v) for v in corner]
            assert all(f <= i <= n for f, i, n in zip(first, at, last, strict=True))
            places |= set(enumerate(at))
    assert places < {(i, k) for i in range(5) for k in range(first[i], last[i] + 1)}
    assert (first[3], last[3]) == (4, 4)
    assert max(b.rad() for b in ordered) < 0.25 + 2.0**-20


# --- equations ---


@NUMBERS
def test_zeros_of_functions(xp):
    low, high = xp.number(0), xp.number(2)
    for sign in (1, -1):
        zero = xp.root(lambda t, sign=sign: sign * (t * t - 2), low, high)
        assert floats(zero) == pytest.approx(2**0.5, rel=4 * ROUNDOFF.get(xp.name, 2.0**-53))
    assert floats(xp.root(lambda t: t - 1, low, high)) == 1
    assert floats(xp.root(lambda t: t, low, high)) == pytest.approx(0, abs=2.0**-60)
    assert floats(xp.root(lambda t: t - 2, low, high)) == pytest.approx(2, rel=2.0**-7)


def test_zeros_over_balls_are_enclosed_tightly():
    xp = balls()
    zero = xp.root(lambda t: t * t - 2, xp.number(1), xp.number(2))
    assert zero.contains(ball(MP.sqrt(2)).mid())
    assert zero.rad() < 2.0**-110
    wide = flint.arb(2, 2.0**-20)  # the zeros of t^2 - c for all c in the ball
    zero = xp.root(lambda t: t * t - wide, xp.number(1), flint.arb(2, 0.25))
    for c in (2 - 2.0**-20, 2.0, 2 + 2.0**-20):
        assert zero.contains(flint.arb(MP.nstr(MP.sqrt(c), 50)))
    assert zero.rad() < 2.0**-21


def test_a_root_of_balls_is_close_also_where_a_halving_of_the_bracket_meets_it():
    """There the sign is not decided, long before the bracket is short."""
    xp = balls()
    third = xp.number(Fraction(1, 3))
    with flint.ctx.workprec(200):
        zero = xp.root(lambda t: (t - 1) * third, xp.number(0), xp.number(2))
        assert zero.contains(1)
        assert float(zero.rad()) < 2.0**-150


def test_a_zero_that_balls_do_not_separate_is_somewhere_in_the_bracket():
    xp = balls()
    zero = xp.root(lambda t: t - flint.arb(0, 10), xp.number(-1), xp.number(1))
    assert zero.contains(flint.arb(-1))
    assert zero.contains(flint.arb(1))


def test_a_zero_is_no_expression():
    with pytest.raises(ValueError, match="evaluate it in balls"):
        symbols().root(lambda t: t, 0, 1)


SQUARE = [[0, 2, 1], [1, -1, 0.5], [4, 1, -2]]  # the first pivot is 0


@SYSTEMS
def test_linear_equations(xp):
    """A x = b for a known x, whose products are exact in every format."""
    x = np.array([[1, -2], [3, 0.5], [-0.25, 4]])
    a, b = xp.array(SQUARE), xp.array(np.array(SQUARE) @ x)
    tolerance = 64 * ROUNDOFF.get(xp.name, 2.0**-53)
    np.testing.assert_allclose(floats(xp.solve(a, b)), x, rtol=tolerance)
    np.testing.assert_allclose(floats(xp.solve(a, b[:, 0])), x[:, 0], rtol=tolerance)
    assert floats(a).tolist() == SQUARE
    assert xp.solve(a, b).dtype == xp.dtype


@NUMBERS
def test_a_singular_matrix_has_no_solution(xp):
    found = xp.solve(xp.array([[1, 2], [2, 4]]), xp.vector([1, 1]))
    assert np.isnan(floats(found)).all()


RECTANGLE = [[3, 0, 0.5], [0, -2, 1], [1, 1, 0], [0.25, 2, -1]]


@NUMBERS
def test_singular_values_are_those_of_another_library(xp):
    u, exact, _ = MP.svd_r(MP.matrix(RECTANGLE))
    assert u.rows == 4
    tolerance = 64 * ROUNDOFF.get(xp.name, 2.0**-53)
    for a in (xp.array(RECTANGLE), xp.array(RECTANGLE).T):
        values = xp.singular_values(a)
        np.testing.assert_allclose(floats(values), [float(v) for v in exact], rtol=tolerance)
    if xp.name == "balls":
        assert all(v.rad() < 2.0**-90 for v in values)
        assert all(abs(ball(e) - v) < 2.0**-90 for e, v in zip(exact, values, strict=True))


@NUMBERS
def test_right_singular_vectors_are_orthonormal_and_stay_orthogonal(xp):
    a = xp.array(RECTANGLE)
    values, v = xp.singular(a)
    tolerance = 256 * ROUNDOFF.get(xp.name, 2.0**-53)
    np.testing.assert_allclose(floats(xp.dot(v.T, v)), np.eye(3), atol=tolerance)
    image = xp.dot(a, v)
    squares = np.diag(floats(values) ** 2)
    np.testing.assert_allclose(floats(xp.dot(image.T, image)), squares, atol=16 * tolerance)


def test_equal_singular_values_are_enclosed_but_not_their_vectors():
    values, v = balls().singular(balls().array([[1, 1, 0], [1, 0, 1], [0, 1, 1]]))
    assert all(b.contains(n) and b.rad() < 2.0**-50 for b, n in zip(values, [2, 1, 1], strict=True))
    assert np.isnan(floats(v)).all()
    with pytest.raises(ValueError, match="evaluate them in balls"):
        symbols().singular_values(symbols().array(TABLE))


# --- softmax ---

Z = [0.5, -1.25, 2.0, -0.375]


@SYSTEMS
def test_softmax_of_rows(xp):
    weights = [MP.exp(v) for v in Z]
    exact = [float(w / sum(weights)) for w in weights]
    tolerance = 8 * ROUNDOFF.get(xp.name, 2.0**-53)
    np.testing.assert_allclose(floats(xp.softmax(xp.vector(Z))), exact, rtol=tolerance)
    rows = xp.softmax(xp.array([Z, [v + 1 for v in Z]]))
    np.testing.assert_allclose(floats(rows), [exact, exact], rtol=tolerance)


@SYSTEMS
def test_logsumexp_of_rows(xp):
    exact = float(MP.log(sum(MP.exp(v) for v in Z)))
    tolerance = 8 * ROUNDOFF.get(xp.name, 2.0**-53)
    np.testing.assert_allclose(floats(xp.logsumexp(xp.vector(Z))), exact, rtol=tolerance)
    rows = xp.logsumexp(xp.array([Z, [v + 1 for v in Z]]))
    np.testing.assert_allclose(floats(rows), [exact, exact + 1], rtol=tolerance)


@NUMBERS
def test_logsumexp_of_large_and_masked_scores(xp):
    assert float(xp.logsumexp(xp.vector([-np.inf, 32768, -32768]))) == 32768
    assert np.isnan(float(xp.logsumexp(xp.vector([1, np.inf]))))
    assert np.isnan(float(xp.logsumexp(xp.vector([-np.inf, -np.inf]))))


@NUMBERS
def test_softmax_of_large_and_masked_scores(xp):
    p = floats(xp.softmax(xp.vector([60000, -np.inf, 60000, -60000])))
    assert p.tolist() == [0.5, 0, 0.5, 0]
    assert np.isnan(floats(xp.softmax(xp.vector([1, np.inf])))).all()
    assert np.isnan(floats(xp.softmax(xp.vector([-np.inf, -np.inf])))).all()


def test_a_shift_leaves_the_radii_of_balls_as_they_are():
    z = np.array([flint.arb(3, 0.25), flint.arb(1, 0.5)], dtype=object)
    assert [float(v.rad()) for v in balls().shifted(z)] == pytest.approx([0.25, 0.5])
    assert floats(ieee(BINARY64).shifted(np.array([[1.0, 4], [2, 0]]))).tolist() == [
        [-3, 0],
        [0, -2],
    ]


def test_logsumexp_of_balls_encloses_that_of_all_numbers_in_them_whichever_is_the_largest():
    """Three that overlap and one far below, in two rows; no wider than the scores are."""
    middles, radii = (1.0, 1.5, 1.25, -40.0), (0.5, 0.25, 1.0, 2.0)
    z = [flint.arb(m, r) for m, r in zip(middles, radii, strict=True)]
    rows = balls().logsumexp(np.array([z, z[::-1]], dtype=object))
    for signs in itertools.product((-1, 0, 1), repeat=4):
        moved = [MP.mpf(m) + s * r for m, s, r in zip(middles, signs, radii, strict=True)]
        exact = MP.log(sum(MP.exp(v) for v in moved))
        for ball in rows:
            assert float(ball.lower()) < exact + MP.mpf(2) ** -50
            assert float(ball.upper()) > exact - MP.mpf(2) ** -50
    widest = max(radii)
    assert all(float(ball.rad()) < 2 * widest for ball in rows)


def test_softmax_of_balls_encloses_that_of_all_numbers_in_them():
    z = np.array([flint.arb(m, 0.125) for m in Z], dtype=object)
    p = balls().softmax(z)
    for signs in itertools.product((-1, 1), repeat=len(Z)):
        weights = [MP.exp(MP.mpf(m) + MP.mpf(s) / 8) for m, s in zip(Z, signs, strict=True)]
        for probability, weight in zip(p, weights, strict=True):
            assert probability.contains(ball(weight / sum(weights)))


def test_an_arithmetic_is_a_value():
    assert isinstance(balls(), Arithmetic)
    assert balls() is balls()
    assert big_floats(24) is not big_floats(25)
    assert ieee(BINARY32).dtype == np.float32


@pytest.mark.parametrize(
    "xp", [symbols(), balls(), big_floats(24), ieee(BINARY32)], ids=lambda xp: xp.name
)
def test_what_may_be_rounded_once_more_is_itself(xp):
    x = xp.array([0.1, -3.0])
    assert xp.rounded(x) is x
