"""Input families: numbers of the format, the same on every machine, each with its hazard."""

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    FORMATS,
)
from softproof.verify.inputs.families import (
    FAMILIES,
    PAIRS,
    PAIRS_BLOCK,
    STANDARD,
    draw,
    largest,
    log_smallest,
    ordinals,
)

each_family = pytest.mark.parametrize("family", FAMILIES)
each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
ROWS = 8
MASKED = ("masks", "mask_positions", "tails")


def rows_of(family, fmt, rows=ROWS, seed=0):
    """The logits of a family as float64, batch by batch."""
    return [b.logits.astype(np.float64) for b in draw(family, fmt, rows, seed, labelled=False)]


def same(one, other):
    """Whether two drawings agree to the last bit."""
    return len(one) == len(other) and all(
        a.logits.dtype == b.logits.dtype
        and a.logits.tobytes() == b.logits.tobytes()
        and np.array_equal(a.labels, b.labels)
        for a, b in zip(one, other, strict=True)
    )


# --- every family ---


@each_family
@each_format
def test_batches_are_rows_of_the_format_without_nan_or_plus_infinity(family, fmt):
    for batch in draw(family, fmt, ROWS, 0, labelled=True):
        values = batch.logits.astype(np.float64)
        assert batch.family == family
        assert batch.logits.dtype == fmt.dtype
        assert batch.logits.ndim == 2
        assert batch.logits.size > 0
        assert (values < np.inf).all()  # nor NaN
        assert np.isfinite(values).any(axis=1).all()
        assert family in MASKED or np.isfinite(values).all()


@each_family
@each_format
def test_labels_are_classes(family, fmt):
    leading = 0
    for batch in draw(family, fmt, ROWS, 0, labelled=True):
        rows, classes = batch.logits.shape
        assert batch.labels.shape == (rows,)
        assert batch.labels.dtype == np.int64
        assert ((batch.labels >= 0) & (batch.labels < classes)).all()
        leading += np.sum(batch.labels == np.argmax(batch.logits.astype(np.float64), axis=1))
    assert leading
    assert all(b.labels is None for b in draw(family, fmt, ROWS, 0, labelled=False))


@each_family
@each_format
def test_a_family_is_a_pure_function_of_its_seed(family, fmt):
    first = [*draw(family, fmt, ROWS, 3, labelled=True)]
    assert same(first, [*draw(family, fmt, ROWS, 3, labelled=True)])
    other = [*draw(family, fmt, ROWS, 4, labelled=True)]
    if family == "far_reals":
        assert not same(first[1:], other[1:])
    else:
        assert not same(first, other)


def test_families_and_formats_draw_different_numbers():
    normal, wide = rows_of("normal", BINARY32)[0], rows_of("wide", BINARY32)[0]
    assert not np.isin(normal / 3, wide / 10).any()
    assert not np.allclose(normal, rows_of("normal", BINARY64)[0])


@each_family
def test_a_family_can_be_drawn_by_halves(family):
    # Another drawing in between, from the same process, disturbs nothing.
    first, second = (draw(family, BINARY32, ROWS, 0, labelled=True) for _ in range(2))
    assert all(same([a], [b]) for a, b in zip(first, second, strict=True))


@each_family
@each_format
def test_the_caller_keeps_its_own_error_state(family, fmt):
    # A family may ignore that a mask overflows; the code that is judged on it may not.
    with np.errstate(all="warn"):
        before = np.geterr()
        for _ in draw(family, fmt, ROWS, 0, labelled=True):
            assert np.geterr() == before


def test_a_row_of_a_batch_keeps_its_label():
    (batch, *_) = draw("normal", BINARY32, ROWS, 0, labelled=True)
    row = batch.row(5)
    assert row.family == "normal"
    np.testing.assert_array_equal(row.logits, batch.logits[5][None, :])
    assert row.labels == [batch.labels[5]]
    assert next(draw("normal", BINARY32, ROWS, 0, labelled=False)).row(0).labels is None


# --- ordinals ---


@each_format
def test_ordinals_lie_in_their_range_and_take_both_signs(fmt):
    x = ordinals(np.random.default_rng(0), fmt, 0.5, 8.0, (1000,))
    values = x.astype(np.float64)
    assert x.dtype == fmt.dtype
    assert ((np.abs(values) >= 0.5) & (np.abs(values) <= 8)).all()
    assert 300 < np.sum(values > 0) < 700
    counts = [np.sum((np.abs(values) >= low) & (np.abs(values) < 2 * low)) for low in (0.5, 1, 2)]
    assert min(counts) > 150  # as many numbers in each binade


@each_format
def test_ordinals_reach_both_ends(fmt):
    tiny = 2.0**fmt.tiny_exponent
    x = ordinals(np.random.default_rng(0), fmt, 0.0, tiny, (100,)).astype(np.float64)
    assert set(np.abs(x)) == {0.0, tiny}


@pytest.mark.parametrize("family", ["bit_patterns", "all_patterns"])
@each_format
def test_bit_patterns_spread_over_the_exponents(family, fmt):
    values = np.abs(np.concatenate([b.ravel() for b in rows_of(family, fmt, rows=400)]))
    exponents = np.floor(np.log2(values[values > 0]))
    top = 6 if family == "bit_patterns" else fmt.emax
    assert values.max() <= (64 if family == "bit_patterns" else largest(fmt))
    edges = np.linspace(fmt.emin, top, 9)
    counts, _ = np.histogram(exponents, edges)
    assert counts.min() > 0.5 * counts.mean()


# --- named hazards ---


@each_format
def test_the_limits_of_a_format(fmt):
    assert largest(fmt) == float(
        fmt.from_significand(2**fmt.precision - 1, fmt.emax + 1 - fmt.precision)
    )
    assert np.exp(log_smallest(fmt)) == pytest.approx(2.0**fmt.emin, rel=1e-10)


def test_lengths_are_all_those_around_vector_widths():
    classes = [b.shape[1] for b in rows_of("lengths", BINARY32)]
    assert classes[:19] == [*range(1, 20)]
    assert {n + d for n in (32, 64, 128, 256) for d in (-1, 0, 1)} <= {*classes}
    assert max(classes) == 5003


def test_every_length_is_one_up_to_130_or_around_a_power_of_two():
    around = {power: {2**power + d for d in (-1, 0, 1)} for power in range(8, 21)}
    quick = [b.shape[1] for b in rows_of("every_length", BINARY32)]
    assert quick[:130] == [*range(1, 131)]
    assert {*quick[130:]} == set.union(*(around[power] for power in range(8, 13)))
    standard = [b.shape[1] for b in rows_of("every_length", BINARY32, rows=STANDARD)]
    assert {*standard} == {*range(1, 131)}.union(*around.values())


def test_long_rows_have_few_numbers_so_that_their_truth_costs_little():
    for logits in rows_of("every_length", BINARY64, rows=STANDARD):
        assert len(np.unique(logits)) <= 16


@pytest.mark.parametrize("seed", range(3))
def test_drawn_lengths_have_each_remainder_by_32_and_other_lengths_for_each_seed(seed):
    lengths = [b.shape[1] for b in rows_of("drawn_lengths", BINARY32, seed=seed)]
    assert sorted(n % 32 for n in lengths) == [*range(32)]
    assert min(lengths) > 130
    assert max(lengths) < 4128
    assert lengths != [b.shape[1] for b in rows_of("drawn_lengths", BINARY32, seed=seed + 1)]
    # Each octave, and the odd lengths in it.
    octaves = [{n % 2 for n in lengths if 2**k <= n < 2 ** (k + 1)} for k in range(8, 12)]
    assert octaves == [{0, 1}] * 4


@each_format
def test_the_last_logit_of_drawn_lengths_leads_by_a_little_in_two_rows_and_by_much_in_one(fmt):
    for logits in rows_of("drawn_lengths", fmt):
        assert (np.argmax(logits, axis=1) == logits.shape[1] - 1).all()
        gaps = logits[:, -1] - np.sort(logits, axis=1)[:, -2]
        assert (gaps[:2] < 10).all()
        assert gaps[2] > 30


@each_format
def test_tails_have_each_remainder_by_64_above_4096_and_a_lead_that_no_exponential_holds(fmt):
    batches = rows_of("tails", fmt)
    assert sorted(b.shape[1] % 64 for b in batches) == [*range(64)]
    assert {b.shape[1] for b in batches} != {b.shape[1] for b in rows_of("tails", fmt, seed=1)}
    for logits in batches:
        assert 4096 < logits.shape[1] <= 4096 + 256
        (row,) = logits
        assert np.argmax(row) == row.size - 1
        with np.errstate(over="ignore"):
            assert np.isinf(np.exp((row[-1] - row[0]).astype(fmt.dtype)))
            assert row[-1] < log_smallest(fmt)  # the exponential of 0 would be all there is
        assert np.isfinite(row[:-41]).all()
    assert any(np.isneginf(b).any() for b in batches)


@pytest.mark.parametrize("rows", [ROWS, STANDARD])
def test_tall_batches_have_as_many_rows_as_powers_of_two_and_one_more(rows):
    counts = [len(b) for b in rows_of("tall", BINARY32, rows=rows)]
    assert 2**16 + 1 in counts
    if rows == STANDARD:
        assert {2**k + d for k in range(7, 18) for d in (-1, 1)} == {*counts}


@pytest.mark.parametrize("family", ["tall", "large"])
def test_rows_that_repeat_do_so_with_their_labels_and_differ_from_those_a_power_of_two_away(family):
    for batch in draw(family, BINARY32, ROWS, 0, labelled=True):
        p = batch.period
        assert 0 < p < len(batch.logits)
        for whole in (batch.logits, batch.labels):
            np.testing.assert_array_equal(whole[p:], whole[:-p])
        assert len({row.tobytes() for row in batch.logits[:p]}) == p
        assert all(2**k % p for k in range(20))


@pytest.mark.parametrize("rows", [ROWS, STANDARD])
@each_format
def test_a_spike_stands_at_every_place_of_rows_around_vectors(rows, fmt):
    widths = (8, 16) if rows == ROWS else (4, 8, 16, 32, 64)
    batches = {b.shape[1]: b for b in rows_of("positions", fmt, rows=rows)}
    for classes in (width + d for width in widths for d in (-1, 0, 1)):
        assert [*np.argmax(batches[classes], axis=1)] == [*range(classes)]
    for logits in batches.values():
        runner_up, lead = np.sort(logits, axis=1)[:, -2:].T
        assert (lead == 40).all()
        assert (runner_up < 10).all()


def test_a_spike_stands_on_both_sides_of_each_tile_boundary():
    places = {b.shape[1]: {*np.argmax(b, axis=1).tolist()} for b in rows_of("positions", BINARY32)}
    for tile in (256, 1024, 4096):
        assert places[tile + 1] == {0, tile - 1, tile}
    places = {
        b.shape[1]: {*np.argmax(b, axis=1).tolist()}
        for b in rows_of("positions", BINARY32, rows=STANDARD)
    }
    for tile in (256, 1024, 4096):
        for classes in (tile - 1, tile, tile + 1):
            for boundary in range(0, tile + 1, tile // 4):
                near = {*range(boundary - 17, boundary + 17)} & {*range(classes)}
                assert near <= places[classes]
            assert classes - 1 in places[classes]


@each_format
def test_every_place_is_masked_in_each_way(fmt):
    low = -largest(fmt)
    seen = {}
    for logits in rows_of("mask_positions", fmt, rows=STANDARD):
        for row in logits:
            assert (np.abs(row[(row > low)]) < 10).all()
            masked = np.flatnonzero(row <= low)
            assert masked.size in (1, 2, 3, 4)  # cut off by the end of the row
            assert np.ptp(masked) == masked.size - 1
            wide = len(masked) > 1 or (row[-1] == -np.inf and masked[0] == len(row) - 1)
            seen.setdefault(int(masked[0]), set()).add((float(row[masked[0]]), wide))
    for place in range(3, 60):
        assert {(low, False), (-np.inf, False), (-np.inf, True)} <= seen[place]


# --- 16-bit formats: all there is ---

each_narrow_format = pytest.mark.parametrize("fmt", [BINARY16, BFLOAT16], ids=lambda fmt: fmt.name)


@each_narrow_format
def test_every_value_stands_in_each_place_next_to_each_partner(fmt):
    batches = [b.logits.view(np.uint16) for b in draw("every_value", fmt, ROWS, 0, labelled=False)]
    partners = np.array([0, 1, -1, largest(fmt), -largest(fmt), 2.0**fmt.tiny_exponent])
    expected = {int(bits) for bits in partners.astype(fmt.dtype).view(np.uint16)}
    seen = {}
    for bits in batches:
        places = [k for k, column in enumerate(bits.T) if (column == np.arange(2**16)).all()]
        (place,) = places
        others = np.unique(np.delete(bits, place, axis=1))
        assert others.size == 1
        seen.setdefault((bits.shape[1], place), set()).add(int(others[0]))
    assert seen == dict.fromkeys([(2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (17, 16)], expected)


@each_narrow_format
def test_every_real_is_every_number_but_nan(fmt):
    (batch,) = draw("every_real", fmt, ROWS, 0, labelled=False)
    numbers = {*batch.logits.view(np.uint16).ravel().tolist()}
    assert not np.isnan(batch.logits.astype(np.float64)).any()
    assert len(numbers) == 2**16 - 2 * (2 ** (fmt.precision - 1) - 1)


@each_narrow_format
def test_the_families_of_pairs_hold_each_pair_once(fmt):
    assert len(PAIRS) == len({*PAIRS}) == 2**16 // PAIRS_BLOCK
    firsts = []
    for family in PAIRS[:: len(PAIRS) - 1]:
        for batch in draw(family, fmt, ROWS, 0, labelled=False):
            first, second = batch.logits.view(np.uint16).T
            np.testing.assert_array_equal(second, np.arange(2**16))
            firsts += np.unique(first).tolist()
    assert firsts == [*range(PAIRS_BLOCK), *range(2**16 - PAIRS_BLOCK, 2**16)]
    labels = [b.labels for b in draw(PAIRS[7], fmt, ROWS, 0, labelled=True)]
    assert [{*some.tolist()} for some in labels] == [{0}, {1}] * PAIRS_BLOCK


@pytest.mark.parametrize("family", ["every_value", "every_real", PAIRS[0]])
def test_wider_formats_are_not_exhausted(family):
    for fmt in (BINARY32, BINARY64):
        assert [*draw(family, fmt, ROWS, 0, labelled=True)] == []


def test_wide_rows_spread_over_hundreds():
    spreads = [np.ptp(b, axis=1).max() for b in rows_of("wide", BINARY32)]
    assert spreads[0] > 20
    assert spreads[-1] > 200


@each_format
def test_dominant_rows_lead_by_gaps_from_0_to_beyond_underflow(fmt):
    for logits in rows_of("dominant", fmt):
        runner_up, lead = np.sort(logits, axis=1)[:, -2:].T
        gaps = lead - runner_up
        assert gaps.min() < 1
        assert gaps.max() > -1.1 * log_smallest(fmt)
    leaders = np.argmax(rows_of("dominant", fmt)[1], axis=1)
    assert {*leaders} == {0, 1, 2}


@each_format
def test_ties_are_one_or_two_levels(fmt):
    *pairs, many = rows_of("ties", fmt)
    for equal, grouped in zip(pairs[::2], pairs[1::2], strict=True):
        assert all(len({*row}) == 1 for row in equal)
        assert all(len({*row}) <= 2 for row in grouped)
        assert any(len({*row}) == 2 for row in grouped)
    assert many.shape[1] > 2**BINARY16.precision  # more ones than a sum in the format can count
    assert not many.any()


@each_format
def test_ordered_rows_ascend_and_descend(fmt):
    climb, fall, creep = rows_of("ordered", fmt)
    assert (np.diff(climb, axis=1) >= 0).all()
    assert (np.diff(fall, axis=1) <= 0).all()
    np.testing.assert_array_equal(creep[0, :50], 1 + 2.0 ** (1 - fmt.precision) * np.arange(50))


@each_format
def test_one_spike_stands_at_each_place(fmt):
    for logits in rows_of("spike", fmt, rows=33):
        runner_up, lead = np.sort(logits, axis=1)[:, -2:].T
        assert (lead[:-1] - runner_up[:-1] > 30).all()
        assert {*np.argmax(logits, axis=1)} == {*range(logits.shape[1])}


@each_format
def test_subnormal_results_are_just_that(fmt):
    for logits in rows_of("subnormal_results", fmt, rows=64):
        shares = np.sort(logits - logits.max(axis=1, keepdims=True), axis=1)[:, 0] / np.log(2)
        assert ((shares < fmt.emin) & (shares > fmt.tiny_exponent)).any()
        assert (shares < fmt.tiny_exponent).any()


@each_format
def test_offsets_are_huge_and_common(fmt):
    batches = rows_of("offset", fmt)
    assert len(batches) == 4
    for logits in batches[2:]:  # where neighbours are 1/2 apart and more
        assert (np.abs(logits).min(axis=1) > 2.0 ** (fmt.precision - 3)).all()
        assert (np.abs(logits[:, :1] - logits) < 40).all()
    signs = {float(np.sign(row[0])) for logits in batches for row in logits}
    assert signs == {-1.0, 1.0}


@each_format
def test_beyond_exp_rows_overflow_or_underflow_as_a_whole(fmt):
    far = rows_of("beyond_exp", fmt)[1:]
    limit = fmt.emax * np.log(2)
    for logits in far:
        assert (np.abs(logits) > limit).all()
    assert {bool(row[0] > 0) for logits in far for row in logits} == {True, False}
    assert all((np.abs(logits) <= largest(fmt)).all() for logits in far)


@each_format
def test_extremes_hold_the_largest_numbers_of_both_signs(fmt):
    values = {float(v) for logits in rows_of("extremes", fmt) for v in logits.ravel()}
    assert {largest(fmt), -largest(fmt)} <= values
    assert len(values) == 7


@each_format
def test_masks_are_as_people_write_them(fmt):
    batches = rows_of("masks", fmt)
    values = [-1e4, -1e9, -1e30, -largest(fmt), -np.inf]
    if fmt is BINARY16:
        values = [-1e4, -65504, -np.inf]
    assert len(batches) == len(values)
    for logits, value in zip(batches, values, strict=True):
        masked = logits == float(np.float64(value).astype(fmt.dtype))
        assert masked[0, :16].all()  # left padding
        assert masked.any(axis=1).all()
        assert (~masked).any(axis=1).all()
        assert (np.abs(logits[~masked]) < 30).all()


@each_format
def test_reals_and_far_reals_cross_the_ends_of_the_exponential(fmt):
    patterns, steps = rows_of("reals", fmt)
    assert np.abs(patterns).max() <= 64
    assert np.abs(patterns).min() < 0.5
    assert (steps.min(), steps.max()) == (-40, 40)
    edges, everything = rows_of("far_reals", fmt)
    assert edges.max() == -edges.min() > -fmt.tiny_exponent * np.log(2)
    assert np.abs(everything).max() > 2.0 ** (fmt.emax - 4 if fmt is BINARY16 else fmt.emax / 2)


def test_bfloat16_and_float32_of_one_range_still_round_the_same_mask_differently():
    assert rows_of("masks", BFLOAT16)[1].min() == float(np.float32(-1e9).astype(BFLOAT16.dtype))
    assert rows_of("masks", BINARY32)[1].min() == -1e9
