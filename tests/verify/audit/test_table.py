"""The table of checks of public projects is what the commands in it print."""

import re
from pathlib import Path

import pytest
from softproof.derivations import lookup
from softproof.verify.audit.check import FILES, load, names
from softproof.verify.audit.grade import Audit, Described, grade

PAGE = Path(__file__).parents[3] / "notebooks" / "pages" / "audit.md"
ROW = re.compile(r"^(\|.*) \| `softproof audit (\w+)` \|$", re.M)
ROWS = {name: cells.strip("| ").split(" | ") for cells, name in ROW.findall(PAGE.read_text())}
FAST = ("ggml_soft_max", "liger_swiglu")


def listed(graded):
    return ", ".join(one.name for one in graded) or "-"


def row_of(name):
    """The cells of a row, of a grade that is made anew."""
    check = load(FILES / f"{name}.toml")
    judge = Described(check, 0)
    audit = Audit(check.title, check.definition, check.dtype, 0, judge.noise)
    for _ in grade(audit, lookup(check.definition), check.format, judge):
        pass
    assert audit.false_alarms == []
    survive = audit.surviving
    assert all(one.seen for one in survive)  # each has an input that shows it
    rejected = f"{len(audit.mistakes) - len(survive)} of {len(audit.mistakes)}"
    told = "; ".join(comparison.told for comparison in check.comparisons)
    near = [one for one in survive if one.judged.excess > audit.least_excess]
    none = [one for one in survive if one.judged.excess <= audit.least_excess]
    return [check.title, told, rejected, listed(near), listed(none)]


def test_each_check_has_a_row():
    assert sorted(ROWS) == names()


@pytest.mark.parametrize("name", FAST)
def test_the_row_is_what_the_command_finds(name):
    assert ROWS[name] == row_of(name)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(names()) - set(FAST)))
def test_the_other_rows_are_what_the_commands_find(name):
    assert ROWS[name] == row_of(name)
