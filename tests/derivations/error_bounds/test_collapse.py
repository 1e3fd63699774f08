"""The derived gaps of softmax collapse: every theorem of the module, against exact arithmetic."""

import math
import random
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS, floor_log2
from softproof.derivations.error_bounds.collapse import (
    absorption_gap,
    causes,
    explain,
    gap_range,
    overflow_gap,
    rounding_gap,
    underflow_gap,
)
from softproof.derivations.error_bounds.model import Model

MP = mpmath.MPContext()
MP.prec = 200


def rounded(value, precision):
    """To nearest, ties to even, with so many significand bits and any exponent."""
    if value == 0:
        return value
    unit = Fraction(2) ** (floor_log2(value) - precision + 1)
    return round(value / unit) * unit


def exponential(gap, precision):
    """e^-gap, correctly rounded."""
    man, exponent = (int(v) for v in MP.exp(-MP.mpf(float(gap))).man_exp)
    return rounded(Fraction(man) * Fraction(2) ** exponent, precision)


def added(numbers, precision):
    """One by one, from the left."""
    total = Fraction(0)
    for number in numbers:
        total = rounded(total + number, precision)
    return total


def first_gap(is_lost, precision):
    """The smallest number of a precision in (1/2, 200) at which something is lost."""
    low, high = Fraction(1, 2), Fraction(200)
    assert not is_lost(low)
    assert is_lost(high)
    while rounded((low + high) / 2, precision) not in (low, high):
        middle = rounded((low + high) / 2, precision)
        low, high = (low, middle) if is_lost(middle) else (middle, high)
    return float(high)


# --- the cause of a gap ---


@pytest.mark.parametrize("others", [2, 49, 999])
def test_a_sum_of_other_classes_that_is_flushed_is_named_as_the_cause(others):
    def first(limit):  # the first float32 gap at which exact math makes the sum smaller
        gap = np.float32(float(MP.log(others) - MP.log(MP.mpf(limit))))
        while others * MP.exp(-MP.mpf(float(gap))) >= limit:
            gap = np.nextafter(gap, np.float32(np.inf))
        return float(gap)

    fmt = FORMATS["float32"]
    assert explain(first(MP.mpf(2) ** -126), fmt, others) == (
        "the sum of all other classes below the normal range of float32 is taken for 0: "
        f"126 ln 2 + ln {others}"
    )
    assert explain(first(MP.mpf(2) ** -150), fmt, others) == (
        f"the sum of all other classes underflows in float32: 150 ln 2 + ln {others}"
    )


# --- (1) absorption ---


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_one_absorbs_what_is_at_most_u_and_nothing_else(name):
    fmt = FORMATS[name]
    one = int(np.ones(1, fmt.dtype).view(np.uint16)[0])
    for t in np.arange(one, dtype=np.uint16).view(fmt.dtype).astype(np.float64):  # all below 1
        total = rounded(1 + Fraction(float(t)), fmt.precision)
        assert (total == 1) == (t <= float(fmt.unit_roundoff))
        assert fmt.dtype.type(1) + fmt.dtype.type(t) == float(total)  # the machine says so, too


@pytest.mark.parametrize("name", FORMATS)
def test_a_single_loser_is_absorbed_from_p_ln_2_on(name):
    p = FORMATS[name].precision
    found = first_gap(lambda g: rounded(1 + exponential(g, p), p) == 1, p)
    spacing = 2.0 ** (math.frexp(found)[1] - p)
    derived = p * MP.ln(2)
    assert 0 <= found - derived < spacing  # the first number of the format there
    assert absorption_gap(p) == pytest.approx(float(derived), rel=1e-15)
    assert found - (p - 1) * MP.ln(2) > spacing  # the gap of a sum that truncates is refuted


@pytest.mark.parametrize("p", [5, 11, 24])
def test_what_is_not_1_has_a_logarithm_and_a_quotient_that_are_not(p):
    u = Fraction(1, 2**p)
    assert rounded(1 / (1 + 2 * u), p) <= 1 - u
    assert math.log1p(2.0 ** (1 - p)) > 0


# --- (2), (3) any order ---


def random_tree(numbers, precision, generator):
    """(sum in a random binary tree, sums of others that the leader met), the leader being 1."""
    nodes = [(number, number == 1) for number in numbers]
    generator.shuffle(nodes)
    met = []
    while len(nodes) > 1:
        (a, with_a), (b, with_b) = (nodes.pop(generator.randrange(len(nodes))) for _ in "ab")
        if with_a or with_b:
            met.append(b if with_a else a)
        nodes.append((rounded(a + b, precision), with_a or with_b))
    return nodes[0][0], met


def test_a_sum_is_1_where_each_sum_of_other_classes_that_the_leader_meets_is_at_most_u():
    generator, seen = random.Random(0), {True: 0, False: 0}
    for _ in range(1500):
        p = generator.randrange(4, 12)
        others = generator.randrange(1, 40)
        gap = p * math.log(2) + math.log(others) * generator.uniform(-0.2, 1.2)
        t = exponential(gap, p)
        total, met = random_tree([Fraction(1)] + [t] * others, p, generator)
        collapsed = total == 1
        assert collapsed == (max(met) <= Fraction(1, 2**p))
        low, high = gap_range(p, others)
        assert gap >= low or not collapsed
        assert gap <= high or collapsed
        seen[collapsed] += 1
    assert min(seen.values()) > 300


def one_by_one(place):
    return lambda t, others, p: added([*[t] * place, Fraction(1), *[t] * (others - place)], p)


def in_blocks(size):
    def total(t, others, p):
        numbers = [Fraction(1)] + [t] * others
        blocks = [added(numbers[i : i + size], p) for i in range(0, len(numbers), size)]
        return added(blocks, p)

    return total


def in_halves(t, others, p):
    def total(numbers):
        if len(numbers) == 1:
            return numbers[0]
        half = len(numbers) // 2
        return rounded(total(numbers[:half]) + total(numbers[half:]), p)

    return total([Fraction(1)] + [t] * others)


@pytest.mark.parametrize(
    ("order", "block"),
    [
        (one_by_one(0), 1),
        (one_by_one(1), 1),
        (one_by_one(9), 9),
        (one_by_one(63), 63),
        (in_blocks(8), 8),
        (in_blocks(16), 16),
        (in_halves, 32),
    ],
)
def test_orders_collapse_from_the_gap_of_their_largest_block_on(order, block):
    p, others = 24, 63
    found = first_gap(lambda g: order(exponential(g, p), others, p) == 1, p)
    error = 2.0**-p * (1 + block) + 2.0 ** (math.frexp(found)[1] - p)
    assert found == pytest.approx(absorption_gap(p, block), abs=error)
    assert f"ln {block}" in explain(found, FORMATS["float32"], others) or block == 1
    assert ("one by one" in explain(found, FORMATS["float32"], others)) == (block == 1)


# --- (4) other classes stick to each other ---


@pytest.mark.parametrize("p", [3, 5, 8])
def test_other_classes_that_are_added_one_by_one_stick(p):
    for significand in range(2 ** (p - 1), 2**p):
        t, total = Fraction(significand), Fraction(0)
        for _ in range(2 ** (p + 2)):
            total = rounded(total + t, p)
        ulp = Fraction(2) ** (floor_log2(total) - p + 1)
        assert rounded(total + t, p) == total
        assert 2**p * t <= total <= 2 ** (p + 1) * t + ulp


def test_a_late_leader_does_not_put_off_a_collapse_for_ever():
    p, others = 5, 2000
    found = first_gap(lambda g: one_by_one(others)(exponential(g, p), others, p) == 1, p)
    assert found < (2 * p + 1) * math.log(2) + 0.5 < absorption_gap(p, others)


# --- what else makes a zero ---


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("others", [1, 30])
def test_a_probability_rounds_to_1_from_its_own_gap_on(name, others):
    p = FORMATS[name].precision

    def is_lost(gap):
        t = others * exponential(gap, 300)
        return rounded(1 / (1 + t), p) == 1

    found = first_gap(is_lost, p)
    spacing = 2.0 ** (math.frexp(found)[1] - p)
    assert -1e-15 <= found - rounding_gap(p, others) < spacing


@pytest.mark.parametrize("name", FORMATS)
def test_an_exponential_underflows_at_half_the_smallest_subnormal(name):
    fmt = FORMATS[name]
    gap = underflow_gap(fmt)
    exact = [Fraction(float(MP.exp(-MP.mpf(gap * f)) * 2**60)) / 2**60 for f in (1.001, 0.999)]
    if name != "float64":  # (float() itself underflows there)
        assert [float(fmt.round(v)) for v in exact] == [0.0, 2.0**fmt.tiny_exponent]
    half = MP.mpf(2) ** (fmt.tiny_exponent - 1)
    assert float(MP.exp(-MP.mpf(gap)) / half) == pytest.approx(1, rel=1e-12)
    assert underflow_gap(fmt, flushes=True) < gap


@pytest.mark.parametrize("name", FORMATS)
def test_an_exponential_overflows_half_an_ulp_beyond_the_last_number(name):
    fmt, gap = FORMATS[name], MP.mpf(overflow_gap(FORMATS[name]))
    edge = MP.mpf(2) ** (fmt.emax + 1) * (1 - MP.mpf(2) ** -(fmt.precision + 1))
    assert float(MP.exp(gap) / edge) == pytest.approx(1, rel=1e-12)
    below, beyond = (Fraction(int(MP.floor(edge * f))) for f in (0.999, 1.001))
    assert np.isfinite(fmt.round(below))
    assert np.isinf(fmt.round(beyond))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("others", [1, 999])
def test_every_cause_explains_its_own_gap(name, others):
    fmt = FORMATS[name]
    told = causes(fmt, others)
    for cause in told:
        # The first number of the format from the gap on, as a search finds it.
        number = fmt.dtype.type(cause.gap)
        if float(number) < cause.gap:
            number = np.nextafter(number, fmt.dtype.type(np.inf))
        alike = [c.text for c in told if abs(c.gap - float(number)) <= 2 * abs(np.spacing(number))]
        assert explain(float(number), fmt, others) in alike
    assert len({cause.text for cause in told}) == len(told)


def test_what_no_cause_explains_is_said_to_be_so():
    assert "no sum" in explain(5.0, FORMATS["float16"], 999)
    assert "no single rounding" in explain(60.0, FORMATS["float32"], 1)
    assert "single rounding" not in explain(19.0, FORMATS["float32"], 999)


# --- the bound of the right class ---


@pytest.mark.parametrize("others", [1, 3, 400])
@pytest.mark.parametrize("gap", [0.5, 5.0, 16.0, 40.0, 80.0])
def test_the_right_class_keeps_its_bound_as_a_sum_and_not_as_p_minus_1(others, gap):
    z = np.float32([0] + [-gap] * others)
    t = others * MP.exp(-MP.mpf(gap))
    exact = float(-t / (1 + t))
    limit = lookup("cross_entropy").right_class_bound(z, 0, Model.of(FORMATS["float32"]))
    e = np.exp(z)
    total = np.sum(e[1:], dtype=np.float32)
    assert abs(float(-total / (1 + total)) - exact) <= limit
    assert abs(float(-np.sum(e[1:] / np.sum(e))) - exact) <= limit
    assert limit < (2e-5 + 1e-7 * others) * abs(exact)
    p = e[0] / np.sum(e)
    if gap >= 16:
        assert abs(float(p - 1) - exact) > limit


def test_masked_classes_take_no_part_in_the_bound():
    model = Model.of(FORMATS["float32"])
    bound = lookup("cross_entropy").right_class_bound
    plain = bound(np.float32([0, -9]), 0, model)
    assert bound(np.float32([0, -np.inf, -9]), 0, model) == plain
    assert bound(np.float32([0, -np.inf]), 0, model) == 0
