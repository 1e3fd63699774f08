"""Families of cases: the same for the same seed, in the domains, at every size, each hazard met."""

from dataclasses import replace

import numpy as np
import pytest
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.arithmetic.formats import ARRAY_FORMATS, BINARY16, BINARY32, BINARY64
from softproof.derivations.definition import define
from softproof.derivations.signature import (
    Integer,
    Label,
    Labels,
    Mask,
    Matrix,
    Parameter,
    Real,
    Vector,
)
from softproof.verify.cases.draw import SIZES, draw, draw_batch, families, pairs
from softproof.verify.cases.hazards import hazards, mask_hazards, squares_fit
from softproof.verify.inputs.families import STANDARD

each_format = pytest.mark.parametrize("fmt", ARRAY_FORMATS.values(), ids=lambda fmt: fmt.name)


@pytest.fixture
def every_kind():
    """A definition with arguments of every kind."""

    @define(
        family="tests",
        source="this test",
        arguments={
            "x": Vector("K"),
            "w": Matrix("n", "K", shared=True),
            "share": Vector("K", lower=0.0, upper=1.0),
            "width": Real(lower=0.0),
            "label": Label("K"),
            "labels": Labels("n", "K"),
            "mask": Mask("n"),
            "top": Integer(1, "K"),
        },
        parameters={"t": Parameter(1.0, 0.0, 8.0, values=(0.5, 4.0))},
    )
    def of_every_kind(x, w, share, width, label, labels, mask, top, xp, t=1.0):
        """Anything."""

    yield of_every_kind
    del REGISTRY["of_every_kind"]


def test_each_argument_takes_each_hazard_of_its_kind_and_each_parameter_its_values(every_kind):
    names = families(every_kind)
    for argument, kinds in {
        "x": hazards(Vector("K")),
        "w": hazards(Matrix("n", "K")),
        "share": ["uniform", "ends", "near the ends"],
        "width": ["lognormal", "end", "near the end", "wide", "huge"],
        "mask": mask_hazards(),
    }.items():
        assert [n for n in names if n.startswith(f"{argument}: ")] == [
            f"{argument}: {hazard}" for hazard in kinds
        ]
    assert names[-2:] == ("t=0.5", "t=4")


@pytest.mark.parametrize("family", ["x: wide", "mask: one kept", "t=4", "x with mask"])
def test_cases_follow_from_the_seed(every_kind, family):
    def keys(seed):
        batches = draw(every_kind, family, BINARY32, 8, seed)
        return [case.key for batch in batches for case in batch.cases]

    assert keys(1) == keys(1)
    assert keys(1) != keys(2)


def test_a_family_has_every_size_of_every_axis_and_labels_everywhere(every_kind):
    batches = list(draw(every_kind, "x: normal", BINARY32, 8, 0))
    sizes = [batch.cases[0].sizes(every_kind.signature) for batch in batches]
    assert {s["K"] for s in sizes} == {s["n"] for s in sizes} == set(SIZES)
    for batch, s in zip(batches, sizes, strict=True):
        first, last, between = (int(case.values["label"]) for case in batch.cases)
        assert (first, last) == (0, s["K"] - 1)
        assert 0 <= between < s["K"]
        for case in batch.cases:
            assert case.values["w"] is batch.cases[0].values["w"]  # it is shared
            assert case.values["mask"].any()
            assert 1 <= case.values["top"] <= s["K"]
            assert case.values["labels"].max() < s["K"]
    more = draw(every_kind, "x: normal", BINARY32, STANDARD, 0)
    assert max(batch.cases[0].values["x"].size for batch in more) == 1000


def test_a_parameter_family_sets_that_parameter(every_kind):
    for batch in draw(every_kind, "t=0.5", BINARY32, 8, 0):
        assert batch.parameters == {"t": 0.5}
    with pytest.raises(ValueError, match="no family 't=7' of cases"):
        list(draw(every_kind, "t=7", BINARY32, 8, 0))


@each_format
@pytest.mark.parametrize(
    "kind",
    [
        Vector("K"),
        Vector("K", lower=-1.0, upper=1.0),
        Vector("K", lower=0.1, upper=0.2),  # no format has these ends
        Vector("K", lower=0.0),
        Vector("K", lower=0.1),
        Vector("K", upper=-0.1),
    ],
    ids=lambda kind: f"{kind.lower},{kind.upper}",
)
def test_numbers_are_finite_numbers_of_the_format_in_their_domain(fmt, kind):
    rng = np.random.default_rng(0)
    for name, drawn in hazards(kind).items():
        numbers = drawn(rng, fmt, (64,))
        assert numbers.dtype == fmt.dtype, name
        wide = numbers.astype(np.float64)
        assert np.isfinite(wide).all(), name
        assert (kind.lower <= wide).all(), name
        assert (wide <= kind.upper).all(), name


@each_format
def test_squares_of_huge_and_wide_numbers_can_be_summed(fmt):
    rng = np.random.default_rng(0)
    kinds = hazards(Vector("K"))
    top = 2.0 ** (fmt.emax + 0.999)
    for name in ("huge", "wide"):
        numbers = kinds[name](rng, fmt, (64,)).astype(np.float64)
        assert np.sum(numbers / np.sqrt(top) * numbers / np.sqrt(top)) < 1
    assert 2.0 ** squares_fit(BINARY32, (64,)) > 2.0**50
    assert squares_fit(BINARY16, (64,)) > 0
    assert squares_fit(BINARY64, ()) > 500


def test_hazards_are_what_they_are_called():
    rng = np.random.default_rng(0)
    drawn = {name: draw(rng, BINARY32, (64,)) for name, draw in hazards(Vector("K")).items()}
    assert len({*drawn["constant"].tolist()}) == 1
    assert not drawn["zero"].any()
    assert np.signbit(drawn["zero"]).any()
    assert len({*drawn["ties"].tolist()}) == 2
    steps = np.sign(np.diff(drawn["ordered"]))
    assert abs(steps.sum()) > 60
    assert np.abs(drawn["spike"]).max() > 4 * np.sort(np.abs(drawn["spike"]))[-2]
    assert drawn["offset"].min() > 200
    assert (np.abs(drawn["subnormal"]) < 2.0**-126).all()
    assert 0 < np.abs(drawn["tiny"]).max() < 2.0**-60
    masks = {name: draw(rng, (64,)) for name, draw in mask_hazards().items()}
    assert masks["all kept"].all()
    assert masks["one kept"].sum() == 1
    assert not masks["first dropped"][0]
    assert masks["first dropped"][-1]
    assert masks["last dropped"][0]


def test_attention_gets_cases_that_fit_its_signature():
    attention = lookup("attention")
    rng = np.random.default_rng(0)
    batch = draw_batch(attention, "k: spike", BINARY32, {"d": 2, "n": 5, "e": 3}, rng)
    shapes = [array.shape for array in batch.stacked(attention.signature)]
    assert shapes == [(3, 2), (3, 5, 2), (3, 5, 3), (3, 5)]


def has_a_path(case):
    labels = case.values["labels"]
    return len(case.values["logits"]) >= len(labels) + np.sum(labels[1:] == labels[:-1])


def test_drawn_labels_are_no_blanks_and_have_a_path():
    ctc = lookup("ctc_loss")
    for family in families(ctc):
        cases = [case for batch in draw(ctc, family, BINARY32, 8, 0) for case in batch.cases]
        assert all(has_a_path(case) for case in cases)
        assert {int(case.values["labels"].min()) for case in cases} >= {1, 2}
        assert any((np.diff(case.values["labels"]) == 0).any() for case in cases)
    anywhere = replace(ctc, drawn_sizes=None)
    rng = np.random.default_rng(0)
    batch = draw_batch(anywhere, "logits: normal", BINARY32, {"T": 2, "K": 2, "L": 5}, rng)
    assert not any(has_a_path(case) for case in batch.cases)


def test_in_one_batch_of_each_family_all_axes_have_one_size():
    """A kernel that transposes square weights alone is found there, and nowhere else."""
    definition = lookup("linear_cross_entropy")
    for family in families(definition):
        batches = draw(definition, family, BINARY32, 0, 0)
        sizes = [batch.cases[0].sizes(definition.signature) for batch in batches]
        assert any(s["K"] == s["d"] > 1 for s in sizes), family


# --- pairs of hazards ---


def test_each_argument_with_hazards_meets_each_other_and_each_parameter(every_kind):
    names = ("x", "w", "share", "width", "mask")
    expected = {f"{a} with {b}" for i, a in enumerate(names) for b in names[i + 1 :]}
    assert set(pairs(every_kind)) == expected | {f"{name} with t" for name in names}
    assert pairs(lookup("sparsemax")) == ()


def magnitude(numbers):
    return np.max(np.abs(numbers.astype(np.float64)))


def test_in_a_pair_each_of_the_strongest_hazards_meets_each_other(every_kind):
    batches = list(draw(every_kind, "x with w", BINARY32, 8, 0))
    assert len(batches) == 9
    assert {batch.family for batch in batches} == {"x with w"}
    sizes = [tuple(magnitude(b.cases[0].values[n]) for n in ("x", "w")) for b in batches]
    assert any(x > 2.0**40 and w < 2.0**-40 for x, w in sizes)
    assert any(x < 2.0**-40 and w > 2.0**40 for x, w in sizes)
    assert any(x > 2.0**40 and w > 2.0**40 for x, w in sizes)
    kept = [b.cases[0].values["mask"] for b in draw(every_kind, "x with mask", BINARY32, 8, 0)]
    assert any(mask.size > 2 and mask.sum() == 1 for mask in kept)
    assert any(not mask[0] for mask in kept)
    values = [batch.parameters for batch in draw(every_kind, "x with t", BINARY32, 8, 0)]
    assert values == 3 * [{"t": 0.5}, {"t": 4.0}]


def test_pairs_take_few_batches_of_a_quick_run_and_all_their_sizes_of_a_longer_one(every_kind):
    few, many = (list(draw(every_kind, "x with w", BINARY32, rows, 0)) for rows in (8, STANDARD))
    assert len(many) == 6 * len(few)  # in the last all axes have one size
    assert {b.cases[0].values["x"].size for b in few} == {2, 3, 5, 8, 17}
