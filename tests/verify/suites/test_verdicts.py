"""Verdicts on parts of a batch, merged into one on the whole: nothing that a part found is lost."""

from dataclasses import fields

import pytest
from softproof.verify.suites.grades import BEYOND, CORRECTLY_ROUNDED
from softproof.verify.suites.verdicts import Excess, Observation, Undecided, Verdict, Violation

NOTHING = Verdict(0, 0.0, [])
EVERYTHING = Verdict(
    checks=3,
    worst=2.5,
    violations=[Violation(1, "value beyond its error bound")],
    errors={4: 2, 7: 1},
    observations=(Observation("value", 2),),
    grade=BEYOND,
    excess=Excess("ties", 8.0, 1.0),
    undecided=(Undecided(2, "singular"),),
)


@pytest.mark.parametrize("field", [field.name for field in fields(Verdict)])
def test_what_one_part_found_is_in_the_whole(field):
    for parts in ([EVERYTHING, NOTHING], [NOTHING, EVERYTHING], [EVERYTHING]):
        assert getattr(Verdict.merge(parts), field) == getattr(EVERYTHING, field)


def test_counts_add_up_and_lists_keep_their_order():
    other = Verdict(
        2, 1.0, [Violation(5, "another")], {7: 2}, undecided=(Undecided(9, "singular"),)
    )
    merged = Verdict.merge([EVERYTHING, other])
    assert (merged.checks, merged.worst) == (5, 2.5)
    assert [violation.row for violation in merged.violations] == [1, 5]
    assert merged.errors == {4: 2, 7: 3}
    assert [seen.row for seen in merged.undecided] == [2, 9]


def test_the_weakest_grade_and_the_largest_excess_count():
    rounded = Verdict(1, 0.5, [], grade=CORRECTLY_ROUNDED, excess=Excess("masks", 1.0, 1.0))
    for parts in ([EVERYTHING, rounded], [rounded, EVERYTHING]):
        merged = Verdict.merge(parts)
        assert (merged.grade, merged.excess) == (BEYOND, Excess("ties", 8.0, 1.0))
    assert Verdict.merge([rounded, NOTHING]).grade == CORRECTLY_ROUNDED


def test_no_verdict_is_an_empty_one():
    assert Verdict.merge([]) == NOTHING
