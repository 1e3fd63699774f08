"""The pytest plugin: a marker and a fixture that make one test per format and suite.

It is loaded by one line of a ``conftest.py``, and not by an entry point, which would make pytest
rewrite the assertions of top-level packages called ``kernels``, ``verify`` and ``derivations``
(the first folders of our files) in the tests of whoever has softproof installed::

    pytest_plugins = ["softproof.verify.pytest_plugin"]

It imports nothing but pytest until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import Conformance

MARKER = (
    "conforms(definition, dtype='float32', contract=None, suites=None, budget='quick', seed=0, "
    "arrays='numpy', device=''): one test per dtype and suite of softproof, through the fixture "
    "`conformance`; the arguments are those of softproof.verify.testing.assert_conforms."
)
USE = (
    '@pytest.mark.conforms("softmax")\ndef test_softmax(conformance):\n    conformance(my_softmax)'
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of conformance tests.

    Parameters
    ----------
    config
        The configuration of pytest.
    """
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make of a marked test function one test for each format and suite.

    Parameters
    ----------
    metafunc
        The test function.
    """
    name = metafunc.definition.nodeid
    marker = metafunc.definition.get_closest_marker("conforms")
    if "conformance" not in metafunc.fixturenames:
        if any(mark.name == "conforms" for mark in metafunc.definition.own_markers):
            pytest.fail(f"{name} is marked but checks nothing; write\n{USE}", pytrace=False)
        return
    if marker is None:
        pytest.fail(f"{name} does not say what to conform to; write\n{USE}", pytrace=False)
    from .testing import Conformance

    try:
        asked = Conformance(*marker.args, **marker.kwargs)
    except (TypeError, ValueError) as error:
        pytest.fail(f"{name}: conforms: {error}", pytrace=False)
    parts = asked.parts()
    # A suite that nobody named may have nothing to check of the function, which then is no fault.
    parameters = [(part, asked.suites is None) for part in parts.values()]
    metafunc.parametrize("conformance", parameters, ids=list(parts), indirect=True)


@pytest.fixture
def conformance(request: pytest.FixtureRequest) -> Check:
    """A function that fails the test unless a function conforms to what the marker names.

    @pytest.mark.conforms("softmax", dtype=["float32", "bfloat16"])
    def test_softmax(conformance):
        conformance(my_softmax)

    Parameters
    ----------
    request
        What pytest knows of the test: its parameter is what to check.

    Returns
    -------
    Check
        A function of one argument, the function under test.
    """
    return Check(*request.param)


class Check:
    """One property in one format, to be called with the function."""

    def __init__(self, asked: Conformance, may_be_empty: bool) -> None:
        self._asked = asked
        self._may_be_empty = may_be_empty
        self.was_called = False

    def __repr__(self) -> str:
        """A text that is the same in every run, as tracebacks show it."""
        return f"<conforms to {self._asked.definition}>"

    def __call__(self, fn: Callable[..., Any] | str) -> None:
        """AssertionError where the function does not conform; skips what does not apply to it."""
        __tracebackhide__ = True
        from .testing import NothingToCheck

        self.was_called = True
        try:
            self._asked.check(fn)
        except NothingToCheck as error:
            if not self._may_be_empty:
                raise
            pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Fail a test that forgot to call its fixture: it has checked nothing, and must not pass.

    Parameters
    ----------
    pyfuncitem
        The test.

    Returns
    -------
    object
        What the test returned.
    """
    result = yield
    check = pyfuncitem.funcargs.get("conformance")
    if isinstance(check, Check) and not check.was_called:
        pytest.fail(f"nothing was checked: call the fixture with a function\n{USE}", pytrace=False)
    return result
