"""The table of what breaks first in each published form is of all definitions, and is right."""

import math
import re
from pathlib import Path

import pytest
from softproof.derivations import REGISTRY
from softproof.verify.catalogue.breaks import COLLAPSE, OVERFLOW, what_breaks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "notebooks" / "pages" / "what_breaks_first.md").read_text(encoding="utf-8")
ROWS = {
    name: (cause, float(ulp))
    for name, cause, ulp in re.findall(r"^(\w+) +([a-z]+) +([\d.e+]+|inf) ", PAGE, re.MULTILINE)
}


def test_it_has_every_definition():
    message = "print it again: softproof catalogue --breaks float32"
    assert ROWS.keys() == REGISTRY.keys(), message


def test_it_counts_its_causes():
    (told,) = re.findall(r"^as published, float32, (\d+) definitions: (.*)$", PAGE, re.MULTILINE)
    assert int(told[0]) == len(ROWS)
    for count, cause in re.findall(r"(\d+) (\w+)", told[1]):
        assert int(count) == sum(row[0] == cause for row in ROWS.values())
    assert [cause for cause, ulp in ROWS.values() if math.isinf(ulp)] == [OVERFLOW] * sum(
        cause == OVERFLOW for cause, _ in ROWS.values()
    )


@pytest.mark.parametrize("name", ["softplus", "expm1"])
def test_what_it_says_of_some_is_found_again(name):
    found = what_breaks(name, "float32")
    cause, ulp = ROWS[name]
    assert cause in (OVERFLOW, COLLAPSE)  # what rounding does depends on the processor
    assert found.cause == cause
    assert found.ulp == pytest.approx(ulp, rel=0.1)


@pytest.mark.long
@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_found_again(name):
    cause, ulp = ROWS[name]
    found = what_breaks(name, "float32")
    assert (found.cause, f"{found.ulp:.3g}") == (cause, f"{ulp:.3g}")
