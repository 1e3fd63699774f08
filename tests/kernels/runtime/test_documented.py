"""`help` of a public kernel tells all: each argument, the result, errors, edges and an example."""

import inspect
import re
from pathlib import Path

import pytest
from softproof import kernels
from softproof.kernels.runtime.documented import SHARED, documented

SECTIONS = ("Parameters", "Returns", "Raises", "Notes", "Examples")
FUNCTIONS = {
    name: getattr(kernels, name)
    for name in kernels.__all__
    if inspect.isfunction(getattr(kernels, name))
}


def missing(function):
    """What the docstring does not say: sections, arguments, and shared text that was not found."""
    text = inspect.getdoc(function) or ""
    sections = [s for s in SECTIONS if not re.search(rf"^{s}\n-+$", text, re.MULTILINE)]
    body = text.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    named = {n for line in re.findall(r"^(\S.*)$", body, re.M) for n in re.findall(r"\w+", line)}
    arguments = [a for a in inspect.signature(function).parameters if a not in named]
    return sections + arguments + re.findall(r"^ *\{\w+\}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_is_documented_whole(name):
    assert missing(FUNCTIONS[name]) == []


def test_what_is_missing_is_found():
    def f(x, axis):
        """Nothing.

        Parameters
        ----------
        x : float
            A number.
        """

    assert missing(f) == ["Returns", "Raises", "Notes", "Examples", "axis"]


def test_shared_text_that_does_not_exist_is_an_error():
    def f():
        """Nothing.

        {no_such_entry}
        """

    with pytest.raises(KeyError, match="no_such_entry"):
        documented(f)


def test_no_shared_text_is_without_a_reader():
    modules = Path(kernels.__file__).parent.rglob("*.py")
    used = {n for m in modules for n in re.findall(r"^ *\{(\w+)\}$", m.read_text(), re.MULTILINE)}
    assert set(SHARED) <= used
