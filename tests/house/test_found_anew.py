"""What the page on findings in other libraries calls exact is so, and its errors are counted well.

The page's numbers come from scripts with mpmath; here they are asked of softproof's oracle.  What a
library returns depends on its version and on the processor: no test asks for it.
"""

import ast
import math
import re
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import format_of
from softproof.verify.cases.case import Case
from softproof.verify.cases.truth import truth_once
from softproof.verify.oracle.truth import truth

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "notebooks" / "pages" / "found_anew.md").read_text(encoding="utf-8")
# Library, function with its prime, format, arguments; result, exact number, error in ulp.
ROW = re.compile(
    r"^\| ([\w ]+) \| (\w+'?) \| (\w+) \| `(.*)` \| (\S+) \| (\S+) \| (\S*) ?\|$", re.MULTILINE
)
TABLE = [match.groups() for match in ROW.finditer(PAGE)]
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
DIGITS = 2.0**-13  # errors are printed to five decimal digits, the last one rounded


def exact_number(name, fmt, at):
    """Entry 0 as the oracle rounds it, what it is off by, and its ulp's exponent; None for NaN."""
    given = eval(at, {"nan": math.nan, "inf": math.inf})  # numbers of our own page
    definition = lookup(name.removesuffix("'"))
    if isinstance(given, dict):
        values = {
            argument: np.array(value, np.bool_ if argument == "mask" else fmt.dtype)
            for argument, value in given.items()
        }
        found = truth_once(definition, Case(values), fmt)
    elif any(map(math.isnan, given)):
        return None
    else:
        row = np.array(given[:1] if definition.elementwise else given, fmt.dtype)
        found = truth(definition, row, fmt, gradient=name.endswith("'"))
    parts = (found.rounded, found.offset, found.ulp_exponent)
    rounded, offset, exponent = (part.reshape(-1)[0] for part in parts)
    return float(rounded), float(offset), int(exponent)


def wrong(name, dtype, at, result, exact, ulp):
    """What of a line of the table is not so, in words; "" where all is."""
    fmt = format_of(dtype)
    found = exact_number(name, fmt, at)
    if found is None:
        return "" if exact == "nan" and result != "nan" and not ulp else "the exact value is NaN"
    rounded, offset, exponent = found
    if math.isinf(rounded):
        return "" if float(exact) == rounded != float(result) else f"exact is {rounded}"
    unit = math.ldexp(1, exponent)
    if abs(float(exact) - rounded) > unit:
        return f"exact is {rounded!r}"
    if not math.isfinite(float(result)):
        return "" if ulp in ("", "inf") else "an error that is not finite"
    # The result is printed so that its format holds one number of these digits.
    number = float(np.array(float(result)).astype(fmt.dtype))
    error = abs((number - rounded) / unit - offset)
    close = ulp and abs(error - float(ulp)) <= DIGITS * error
    return "" if close else f"the error is {error:.5} ulp"


def test_the_table_is_read_whole():
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert len(TABLE) == len(lines) - 2 >= 40
    assert len({library for library, *_ in TABLE}) == 6


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{line[0]} {line[1]} {line[3]}")
def test_exact_numbers_and_errors_are_those_of_the_oracle(line):
    assert wrong(*line[1:]) == ""


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (("gelu", "float32", "[-4.0]", "-0.000126719475", "-0.000126684967", "2372.4"), "error"),
        (("gelu", "float32", "[-4.0]", "-0.000126719475", "-0.000126645", "2371.3"), "exact"),
        (("gelu", "float32", "[-4.0]", "-0.000126719475", "-0.000126684967", ""), "error"),
        (("gelu", "float32", "[inf]", "inf", "inf", ""), "exact"),
        (("exp", "float32", "[nan]", "nan", "nan", ""), "NaN"),
        (("exp'", "float32", "[1.0]", "2.71828175", "1.0", "0"), "exact"),
    ],
)
def test_a_wrong_line_is_told(line, what):
    assert what in wrong(*line)


def test_each_line_is_printed_by_a_script():
    assert sum(script.count("\nreport(") for script in SCRIPTS) == len(TABLE)


def test_the_scripts_need_no_softproof():
    for script in SCRIPTS:
        tree = ast.parse(script)
        assert "softproof" not in script
        imported = {
            name.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for name in node.names
        }
        assert imported
