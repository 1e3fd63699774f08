"""Long rows, every place of a hazard, both sides of a boundary: what only depth finds."""

import time

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY16, BINARY32, BINARY64, FORMATS
from softproof.derivations.definition import Definition
from softproof.derivations.proofs.facts import PermutationInvariant
from softproof.derivations.signature import Signature, Vector
from softproof.verify.inputs.families import STANDARD, draw
from softproof.verify.oracle import truth as oracle
from softproof.verify.oracle.truth import truth
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import special_values, values

from tests.implemented import OF_A_ROW

each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
OF_LOGITS = [d.name for d in OF_A_ROW if not d.elementwise]


def same(one, other):
    return (
        np.array_equal(one.rounded, other.rounded)
        and np.array_equal(one.ulp_exponent, other.ulp_exponent)
        and np.allclose(one.offset, other.offset, rtol=0, atol=2.0**-29)
    )


# --- the truth of a row by its distinct numbers ---


@pytest.mark.parametrize("name", OF_LOGITS)
@each_format
def test_equal_numbers_may_be_counted_instead_of_summed(name, fmt, monkeypatch):
    definition = lookup(name)
    rng = np.random.default_rng(0)
    rows = [rng.choice(3 * rng.standard_normal(4), n) for n in (2, 5, 20, 90)]
    rows += [np.zeros(7), np.array([2.0, -np.inf, -np.inf, 0.5, 2.0])]
    gradients = (False, True) if definition.labelled and definition.gradient else (False,)
    for row in (r.astype(fmt.dtype) for r in rows):
        for label in (0, len(row) - 1) if definition.labelled else (None,):
            for gradient in gradients:
                if gradient and row[label] == -np.inf:
                    continue
                counted = truth(
                    definition, row, fmt, label=label, gradient=gradient, cross_check=True
                )
                with monkeypatch.context() as patched:
                    patched.setattr(oracle, "_sums_only", lambda *a: False)
                    summed = truth(definition, row, fmt, label=label, gradient=gradient)
                assert same(counted, summed)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_every_definition_in_the_catalogue_can_be_counted(name):
    definition = lookup(name)
    assert oracle._sums_only(definition.formula, definition.labelled, definition.facts)


def test_a_formula_that_looks_at_the_length_of_the_row_is_not_counted():
    def mean(z, xp):
        """The mean."""
        return xp.sum(z) / len(z)

    definition = Definition(
        name="mean",
        family="",
        source="",
        signature=Signature({"logits": Vector("K")}),
        formula=mean,
        facts=(PermutationInvariant(),),
    )
    assert not oracle._sums_only(mean, False, definition.facts)
    assert truth(definition, np.array([1.0, 1.0, 1.0, 5.0]), BINARY64).rounded == 2.0


def test_what_declares_no_symmetry_is_not_counted():
    def plain(z, xp):
        """The sum."""
        return xp.sum(z)

    assert not oracle._sums_only(plain, False, ())
    assert oracle._sums_only(plain, False, (PermutationInvariant(),))


def test_the_truth_of_a_million_classes_takes_no_longer_than_a_second():
    numbers = np.random.default_rng(0).standard_normal(16)
    row = np.random.default_rng(1).choice(numbers, 2**20 + 1).astype(np.float32)
    begin = time.process_time()
    t = truth(lookup("softmax"), row, BINARY32, cross_check=True)
    assert time.process_time() - begin < 1
    wide = row.astype(np.float64)
    e = np.exp(wide - wide.max())
    np.testing.assert_allclose(t.rounded, e / e.sum(), rtol=1e-7)


# --- what the families find ---


def softmax(x):
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(x.dtype)


def index_of_16_bits(x):
    """The classes beyond 65 536 are not in the sum."""
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=1, keepdims=True))
    return (e / e[:, : 2**16].sum(axis=1, keepdims=True)).astype(x.dtype)


def index_of_12_bits(x):
    return np.concatenate([softmax(x)[:, :4096], np.zeros_like(x[:, 4096:])], axis=1)


def one_length_wrong(length):
    def wrong(x):
        return softmax(x) * x.dtype.type(0.75 if x.shape[1] == length else 1)

    return wrong


def maximum_without(places):
    """The maximum is taken over all classes but some: 40 overflows float16 alone, so it clips."""

    def wrong(x):
        wide = x.astype(np.float64)
        kept = np.ones(x.shape[1], dtype=bool)
        kept[[p for p in places(x.shape[1]) if 0 < p < x.shape[1]]] = False
        e = np.exp(np.minimum(wide - wide[:, kept].max(axis=1, keepdims=True), 20))
        return (e / e.sum(axis=1, keepdims=True)).astype(x.dtype)

    return wrong


def masks_lost_at(place):
    """A masked class is a class where it starts a vector."""

    def wrong(x):
        x = x.copy()
        if x.shape[1] > place:
            x[:, place] = np.maximum(x[:, place], x.dtype.type(-30))
        return softmax(x)

    return wrong


def failing(function, family, rows, fmt=BINARY32):
    """The lengths of the rows that a function fails."""
    live, definition = InProcess(Subject("tests:f", "softmax"), function), lookup("softmax")
    found = set()
    for batch in draw(family, fmt, rows, 0, labelled=False):
        if values.check_value(live, definition, fmt, batch).violations:
            found.add(batch.logits.shape[1])
    return found


@pytest.mark.parametrize("family", ["every_length", "positions", "mask_positions"])
@each_format
def test_a_right_function_passes(family, fmt):
    assert not failing(softmax, family, 8, fmt)


def test_it_passes_rows_of_a_million_classes():
    assert not failing(softmax, "every_length", STANDARD)


def test_an_index_that_wraps_is_found_beyond_its_range():
    assert failing(index_of_12_bits, "every_length", 8) == {4097}
    lengths = failing(index_of_16_bits, "every_length", STANDARD)
    assert min(lengths) == 2**17 - 1  # one class of 65 537 is within the bound of so long a sum
    assert max(lengths) == 2**20 + 1


@pytest.mark.parametrize("length", [1, 2, 97, 130, 255, 1025, 4096])
def test_one_wrong_length_is_found_in_the_quick_budget(length):
    assert failing(one_length_wrong(length), "every_length", 8) == {length}


@pytest.mark.parametrize(
    "places",
    [
        lambda n: [n - 1],  # the last of the tail
        lambda n: range(n - n % 8, n),  # the tail
        lambda n: [8],  # the first of the second vector
        lambda n: [1024],  # the first of the second tile
        lambda n: [255],  # the last of the first tile
    ],
)
def test_a_place_that_the_maximum_leaves_out_is_found_in_the_quick_budget(places):
    assert failing(maximum_without(places), "positions", 8)


def test_a_place_between_tile_boundaries_is_found_in_the_standard_budget():
    wrong = maximum_without(lambda n: [1040])
    assert not failing(wrong, "positions", 8)
    assert failing(wrong, "positions", STANDARD) == {4095, 4096, 4097}


@pytest.mark.parametrize("place", [0, 7, 8, 15, 16, 256, 1024])
def test_a_mask_that_is_lost_at_one_place_is_found(place):
    assert failing(masks_lost_at(place), "mask_positions", 8)


# --- special values at boundaries ---


def special(function):
    live, definition = InProcess(Subject("tests:f", "softmax"), function), lookup("softmax")
    cases = special_values.check(live, definition, BINARY32)
    return {batch.family for batch, verdict in cases if verdict.violations}


def honest(x):
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("place", "length"), [(8, 19), (16, 19), (32, 67), (64, 67), (256, 1027), (4096, 4097)]
)
@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "+inf")])
def test_a_special_value_that_one_place_swallows_is_found(place, length, value, name):
    def swallows(x):
        x = x.copy()
        if x.shape[1] == length:
            at = x[:, place]
            same = np.isnan(at) if np.isnan(value) else at == value
            x[:, place] = np.where(same, 0, at)
        return honest(x)

    assert not special(honest)
    assert special(swallows) == {f"{name} at {place} of {length}"}


def test_promises_of_long_rows_need_no_oracle(monkeypatch):
    monkeypatch.setattr(
        special_values,
        "truth",
        lambda definition, row, *a, **k: (
            pytest.fail("asked") if len(row) > 100 else truth(definition, row, *a, **k)
        ),
    )
    special(honest)


def test_the_longest_rows_have_a_mass_that_a_sum_in_float16_cannot_hold():
    longest = max(
        (b.logits for b in draw("every_length", BINARY16, STANDARD, 0, labelled=False)),
        key=lambda x: x.shape[1],
    )
    wide = longest.astype(np.float64)
    assert np.exp(wide - wide.max()).sum() > 65504
