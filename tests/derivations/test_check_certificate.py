"""The checker accepts every certificate that proves its claim, and no forged one."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from softproof.derivations.check_certificate import CertificateError, check
from softproof.derivations.step_radius.certify import Certified, certify, search, taylor

PROBLEMS = {
    "taylor": ([0.5, 0.0, -0.3, 0.1], [1.0, -0.5, 0.25, -1.0], [0.0] * 4),
    "taylor with curvatures": (
        [0.0, 0.7, -0.3] * 3,
        [1.0, -1.0, 0.5] * 3,
        [0.01 * k for k in range(9)],
    ),
    "winding": ([0.0, -40.0, -45.0], [0.0, 1.0, 1.5], [0.0] * 3),
    "winding with curvatures": ([0.0, 90.0], [1.0, -1.0], [0.5, 0.0]),
    "double zero": ([0.0] * 4, [0.0, 1.0, 1.0, 2.0], [0.0] * 4),
}
CLAIMS = {name: certify(*problem) for name, problem in PROBLEMS.items()}
BY_TAYLOR = [name for name in PROBLEMS if name.startswith("taylor")]


def verify(name, claim, **changed):
    z, a, b = PROBLEMS[name]
    check(changed.get("logits", z), changed.get("slopes", a), claim, changed.get("curvatures", b))


def forged(claim, **changed):
    """The claim with entries of its certificate replaced."""
    return claim._replace(certificate=claim.certificate | changed)


def number(text):
    """A number of a certificate."""
    mantissa, exponent = text.split("p")
    return int(mantissa, 16) * Fraction(2) ** int(exponent)


def times(text, factor):
    """A number of a certificate multiplied by an integer or a dyadic fraction."""
    n, d = (number(text) * factor).as_integer_ratio()
    return f"{n:#x}p{1 - d.bit_length()}"


def with_disc(claim, **changed):
    """The claim with its first disc changed: x, y, r and zeros are functions of these four."""
    first, *others = claim.certificate["discs"]
    values = dict(zip(("x", "y", "r", "zeros"), first, strict=True))
    new = {name: changed[name](**values) if name in changed else values[name] for name in values}
    return forged(claim, discs=[list(new.values()), *others])


TINY = Fraction(1, 2**30)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_checker_accepts_what_certify_says(name):
    assert CLAIMS[name].method == name.split()[0].replace("double", "winding")
    verify(name, CLAIMS[name])


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_claim_survives_json(name):
    again = Certified(**json.loads(json.dumps(CLAIMS[name]._asdict())))
    assert again == CLAIMS[name]
    verify(name, again)


def test_the_checker_accepts_random_claims():
    rng = np.random.default_rng(6)
    for classes in (2, 5, 30):
        for tied in (False, True):
            z, a = rng.choice([0.1, 2.0, 20.0]) * rng.normal(size=classes), rng.normal(size=classes)
            a = np.round(a) if tied else a
            b = rng.choice([0.0, 0.01, 1.0]) * rng.normal(size=classes)
            check(z, a, certify(z, a, b), b)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda c: c._replace(lower=math.nextafter(c.upper, 9e9)), "lower is above"),
        (lambda c: c._replace(lower=math.nan), "lower is not positive"),
        (lambda c: c._replace(lower=-3.0), "lower is not positive"),
        (lambda c: c._replace(lower=-3.0, upper=math.inf), "lower is not positive"),
        (lambda c: c._replace(lower=0.0), "lower is not positive"),
        (lambda c: c._replace(upper=math.inf), "zeros up to upper are not known"),
        (lambda c: c._replace(upper=math.nan), "upper is below"),
        (lambda c: c._replace(upper=8.0 * c.upper), "zeros up to upper are not known"),
        (lambda c: c._replace(lower=1.5 * c.lower, upper=1.5 * c.upper), "lower is above"),
        (lambda c: c._replace(upper=math.nextafter(c.lower, 0.0)), "upper is below"),
        (lambda c: c._replace(multiplicity=c.multiplicity + 1), "multiplicity"),
        (lambda c: c._replace(method="none"), "F has zeros"),
        (lambda c: c._replace(method="guess"), "no method"),
        (lambda c: c._replace(certificate={}), "not a certificate"),
        (lambda c: with_disc(c, r=lambda r, **_: times(r, TINY)), "not proven to hold"),
        (lambda c: with_disc(c, y=lambda y, **_: times(y, 1 + TINY)), "not proven to hold"),
        (lambda c: with_disc(c, x=lambda y, **_: times(y, TINY)), "not proven to hold"),
        (lambda c: with_disc(c, zeros=lambda zeros, **_: zeros + 1), "not proven to hold"),
        (lambda c: with_disc(c, zeros=lambda **_: 0), "zeros of a disc are out of range"),
        (lambda c: with_disc(c, zeros=lambda **_: 60), "more zeros than|not proven to hold"),
        (lambda c: with_disc(c, zeros=lambda **_: 999), "zeros of a disc are out of range"),
        (lambda c: with_disc(c, zeros=lambda **_: 10**7), "zeros of a disc are out of range"),
        (lambda c: with_disc(c, r=lambda y, **_: y), "not proven|outside"),
        (lambda c: forged(c, discs=c.certificate["discs"][1:]), "zeros inside the circle"),
        (lambda c: forged(c, discs=c.certificate["discs"] * 2), "meets another"),
        (lambda c: forged(c, scale=c.certificate["scale"] + 1), "tail|not proven|in discs"),
        (lambda c: forged(c, radius=times(c.certificate["radius"], 4)), "tail|in discs"),
        (
            lambda c: forged(c, radius=times(c.certificate["radius"], Fraction(1, 4))),
            "tail|lower|multiplicity",
        ),
    ],
)
def test_the_checker_rejects_forged_claims(name, forge, reason):
    with pytest.raises(CertificateError, match=reason):
        verify(name, forge(CLAIMS[name]))


def test_the_checker_rejects_bounds_with_more_zeros_than_stated():
    # Zeros at i pi / 2, 3 i pi / 2, 5 i pi / 2, ...
    claim = certify([0.0, 0.0], [1.0, -1.0])
    with pytest.raises(CertificateError, match="zeros up to upper are not known"):
        check([0.0, 0.0], [1.0, -1.0], claim._replace(upper=10.0))


def test_the_checker_rejects_an_end_among_the_zeros_inside_the_circle():
    # Several discs inside the circle: `upper` reaches the second, and cuts through it.
    # (Equally spaced slopes, weights exp(-j^2 / 10): zeros of nearly equal moduli.)
    j = np.arange(24) - 11.5
    z, a = -0.1 * j**2, j
    claim = certify(z, a)
    moduli = sorted(abs(centre) for centre, _, _ in claim.zeros)
    assert claim.multiplicity == 2 < len(moduli)
    with pytest.raises(CertificateError, match="multiplicity is not that of discs"):
        check(z, a, claim._replace(upper=moduli[2] * (1 + 2.0**-40)))
    with pytest.raises(CertificateError, match="multiplicity is not that of discs"):
        check(z, a, claim._replace(multiplicity=1))


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_checker_accepts_wide_bounds_without_a_number_of_zeros(name):
    claim = CLAIMS[name]._replace(multiplicity=0)
    verify(name, claim)
    verify(name, claim._replace(lower=claim.lower / 2, upper=claim.upper * 9))
    verify(name, claim._replace(upper=math.inf))


@pytest.mark.parametrize("name", BY_TAYLOR)
@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (Fraction(1, 2**40), "too small"),
        (Fraction(1, 2), "too small"),
        (1 - Fraction(1, 2**6), "too small"),
        (1 + Fraction(1, 2**6), "larger than"),
        (2, "larger than"),
        (2**40, "larger than"),
    ],
)
def test_the_checker_rejects_a_deflated_or_inflated_tail(name, factor, reason):
    claim = CLAIMS[name]
    with pytest.raises(CertificateError, match=reason):
        verify(name, forged(claim, tail=times(claim.certificate["tail"], factor)))


@pytest.mark.parametrize("name", BY_TAYLOR)
@pytest.mark.parametrize("more", [-2, -1, 1, 2])
def test_the_checker_rejects_another_order(name, more):
    claim = CLAIMS[name]
    with pytest.raises(CertificateError, match="tail"):
        verify(name, forged(claim, order=claim.certificate["order"] + more))


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("argument", ["logits", "slopes", "curvatures"])
def test_the_checker_rejects_the_claim_of_other_numbers(name, argument):
    row = dict(zip(("logits", "slopes", "curvatures"), PROBLEMS[name], strict=True))[argument]
    other = [row[0] + 1e-6, *row[1:]]
    with pytest.raises(CertificateError):
        verify(name, CLAIMS[name], **{argument: other})


def test_the_checker_catches_a_certifier_whose_tail_is_too_small(monkeypatch):
    truncate = taylor.TaylorSeries.truncate

    def careless(series, radius, max_order):
        order, tail = truncate(series, radius, max_order)
        return order - 4, tail

    monkeypatch.setattr(taylor.TaylorSeries, "truncate", careless)
    z, a, b = PROBLEMS["taylor"]
    with pytest.raises(CertificateError, match="too small"):
        check(z, a, certify(z, a, b), b)


def test_the_checker_catches_a_certifier_that_overlooks_a_zero(monkeypatch):
    # Zeros of equal modulus, one of which the search for zeros and the count both leave out.
    count_zeros = search.count_zeros

    def careless(terms, radius, max_arcs):
        counted = count_zeros(terms, radius, max_arcs)
        return counted and counted._replace(zeros=min(counted.zeros, 1))

    find = search.Search._find
    monkeypatch.setattr(search, "count_zeros", careless)
    monkeypatch.setattr(search.Search, "_find", lambda s, starts, n: find(s, starts[:1], n))
    z, a = [0.0, -40.0, -40.0], [0.0, 1.0, -1.0]
    with pytest.raises(CertificateError, match="zeros inside the circle, 1 in discs"):
        check(z, a, certify(z, a))
