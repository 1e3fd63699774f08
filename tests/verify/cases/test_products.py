"""Vector-Jacobian products as a definition: truth by differences, sums over cases, text, kinks."""

import flint
import mpmath
import numpy as np
import pytest
from softproof.derivations import REGISTRY, define, lookup
from softproof.derivations.arithmetic.formats import BINARY32, BINARY64, FORMATS
from softproof.derivations.signature import Matrix, Vector
from softproof.verify.cases.case import Case
from softproof.verify.cases.products import asked_at, joined, products
from softproof.verify.cases.text import parse, to_text
from softproof.verify.cases.truth import truth
from softproof.verify.oracle.rounding import GUARD_BITS, round_ball
from softproof.verify.suites.of_cases import gradient

mp = mpmath.MPContext()
mp.prec = 400
STEP = mp.ldexp(1, -130)


@pytest.fixture(autouse=True)
def registry_as_it_was():
    before = set(REGISTRY)
    yield
    for name in REGISTRY.keys() - before:
        del REGISTRY[name]


def rms_norm(x, gain):
    root = mp.sqrt(mp.fsum(v * v for v in x) / len(x) + mp.mpf(1e-6))
    return [v * g / root for v, g in zip(x, gain, strict=True)]


def linear_cross_entropy(hidden, weight):
    """Of the label 1, of two hidden units."""
    z = [mp.fdot(weight[i : i + 2], hidden) for i in range(0, len(weight), 2)]
    return [mp.log(mp.fsum(map(mp.exp, z))) - z[1]]


def by_differences(function, values, cotangent):
    """sum_i g_i dy_i / dx for each number of each argument, by central differences in 400 bits."""
    found = []
    numbers = [[mp.mpf(float(v)) for v in np.ravel(value)] for value in values]
    for of_argument in numbers:
        for j, number in enumerate(of_argument):
            ends = []
            for step in (STEP, -STEP):
                of_argument[j] = number + step
                ends.append(function(*numbers))
            of_argument[j] = number
            slopes = [(a - b) / (2 * STEP) for a, b in zip(*ends, strict=True)]
            found.append(mp.fdot(slopes, [mp.mpf(float(g)) for g in np.ravel(cotangent)]))
    return found


def agree(found, exact):
    """Whether a truth is the rounding of exact numbers, with their distance from it."""
    for rounded, q, offset, value in zip(
        found.rounded.astype(np.float64), found.ulp_exponent, found.offset, exact, strict=True
    ):
        ulp = mp.ldexp(1, int(q))
        assert abs((mp.mpf(rounded) + mp.mpf(offset) * ulp - value) / ulp) < 2.0**-28


def cases_of_rms_norm(count):
    rng = np.random.default_rng(2)
    gain = rng.normal(size=4).astype(np.float32)
    draws = (rng.normal(size=(2, 4)).astype(np.float32) for _ in range(count))
    return [Case({"x": x, "gain": gain, "cotangent": g}) for x, g in draws]


def test_the_truth_is_the_derivative_of_the_function():
    (case,) = cases_of_rms_norm(1)
    found = truth(products(lookup("rms_norm")), case, BINARY32, cross_check=True)
    values = [case.values["x"], case.values["gain"]]
    agree(found, by_differences(rms_norm, values, case.values["cotangent"]))
    rng = np.random.default_rng(3)
    case = Case(
        {
            "hidden": rng.normal(size=2),
            "weight": rng.normal(size=(3, 2)),
            "label": np.array(1),
            "cotangent": np.array(-2.5),
        }
    )
    found = truth(products(lookup("linear_cross_entropy")), case, BINARY64, cross_check=True)
    values = [case.values["hidden"], case.values["weight"]]
    agree(found, by_differences(linear_cross_entropy, values, case.values["cotangent"]))


def test_products_in_shared_arguments_are_sums_over_the_cases():
    cases = cases_of_rms_norm(3)
    summed = products(lookup("rms_norm"), ["gain"], 3)
    found = truth(summed, joined(lookup("rms_norm"), cases), BINARY32, cross_check=True)
    each = [
        by_differences(rms_norm, [c.values["x"], c.values["gain"]], c.values["cotangent"])[4:]
        for c in cases
    ]
    agree(found, [mp.fsum(terms) for terms in zip(*each, strict=True)])


@pytest.mark.parametrize(
    ("second", "slope"),
    [(0.0, 0.25), (2.0**-30, 0.5), (-(2.0**-30), 0.0)],
    ids=["at the kink: the middle", "within the support", "without"],
)
def test_the_middle_of_the_hull_is_the_truth_at_a_kink_and_not_beside_it(second, slope):
    values = {"z": np.float32([1, second]), "cotangent": np.float32([1, 0])}
    found = truth(products(lookup("sparsemax")), Case(values), BINARY32, cross_check=True)
    assert found.rounded.tolist() == [slope, -slope]


def test_a_ball_around_almost_nothing_asks_for_more_bits():
    """Its middle is 2^-(10^17), which no shift can write down, its radius just above the least."""
    tiny = BINARY32.tiny_exponent - GUARD_BITS
    ball = flint.arb((1, -(10**17)), (3, tiny - 2))
    assert round_ball(ball, BINARY32, accept_ties=False) is None
    narrower = flint.arb((1, -(10**17)), (3, tiny - 4))
    assert round_ball(narrower, BINARY32, accept_ties=False) == (0, BINARY32.tiny_exponent, 0.0)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", ["rms_norm", "attention", "linear_cross_entropy", "sparsemax"])
def test_a_case_with_cotangents_is_read_back_to_the_bit(name, fmt):
    definition = lookup(name)
    for batch in gradient.draw(definition, gradient.families(definition)[0], fmt, 8, 0):
        case = batch.cases[0]
        if max(value.size for value in case.values.values()) > 100:
            continue
        text = to_text(definition, case)
        found, read = parse(text, fmt)
        assert found is definition
        assert asked_at(found, read) is products(definition)
        assert read.key == case.key


def test_cotangents_are_drawn_in_three_ways_and_again_the_same():
    definition = lookup("attention")
    first, second = (
        [[c.values["cotangent"] for c in b.cases] for b in batches]
        for batches in (gradient.draw(definition, "q: normal", BINARY32, 8, 0) for _ in range(2))
    )
    for one, other in zip(first, second, strict=True):
        for g, again in zip(one, other, strict=True):
            assert g.dtype == np.float32
            assert np.array_equal(g, again)
    for i, drawn in enumerate(first):
        for g in drawn:
            if i % 3 == 0:
                assert np.all(np.abs(g) == 1)
            elif i % 3 == 1:
                assert sorted(g.tolist())[-2:] in ([0.0, 1.0], [1.0])
            else:
                assert np.all(g != 0)


def test_each_output_has_a_cotangent_of_its_own():
    @define(
        family="tests",
        source="this test",
        arguments={"w": Matrix("n", "d"), "x": Vector("d")},
        output={"product": ("n",), "total": ()},
    )
    def product_and_total(w, x, xp):
        """W x, and the sum of x."""
        return xp.dot(w, x), xp.sum(x)

    asked = products(product_and_total)
    assert list(asked.signature.arguments) == ["w", "x", "cotangent_product", "cotangent_total"]
    text = (
        "product_and_total\nw[n=1, d=2] 0x1p+1 0x1p+2\nx[d=2] 0x1p+0 0x1p+3\n"
        "cotangent_product[n=1] 0x1p-1\ncotangent_total 0x1p+0"
    )
    _, case = parse(text, BINARY32)
    found = truth(asked, case, BINARY32, cross_check=True).rounded
    assert found.tolist() == [0.5, 4.0, 2.0, 3.0]  # g x^T, and W^T g + total's


def test_an_argument_that_is_called_as_a_cotangent_is_refused():
    @define(family="tests", source="this test", arguments={"cotangent": Vector("K")})
    def total(cotangent, xp):
        """The sum."""
        return xp.sum(cotangent)

    with pytest.raises(ValueError, match="the argument 'cotangent' has the name of a cotangent"):
        products(total)
