"""A parameter that is added under a root, added to the root instead: of any formula that has one.

The parameter is made an object that only knows to be added, and the sum one that only knows to have
its root taken: a formula that does anything else with it raises TypeError, and has no such mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ...derivations.arithmetic.formats import BINARY64
from .computed import Blocked, Call, Outputs, blocked, computed, steady_forms


class _Moved(float):
    """The value of a parameter that is to be moved out of a root."""


@dataclass(frozen=True)
class _Addend:
    """A number that can be added to others, and nothing else."""

    value: float
    __array_ufunc__ = None  # NumPy's operators leave it to the one below

    def __radd__(self, base: Any) -> _Sum:
        return _Sum(base, self.value)


@dataclass(frozen=True)
class _Sum:
    """A sum of which the root can be taken, and nothing else."""

    base: Any
    addend: float
    __array_ufunc__ = None


def is_under_a_root(call: Call, name: str) -> bool:
    """Whether the formula adds a parameter under a root, and does nothing else with it.

    Parameters
    ----------
    call
        Some arguments, one case at least.
    name
        The parameter.

    Returns
    -------
    bool
        Whether ``with_parameter_outside`` can be asked for.

    >>> from softproof.derivations import lookup
    >>> call = Call(lookup("info_nce"), {"query": np.ones((1, 1)), "keys": np.ones((1, 2, 1)),
    ...                                  "label": np.array([0])}, {})
    >>> is_under_a_root(call, "temperature")
    False
    """
    if name in call.definition.signature.counts:
        return False
    roots: list[Any] = []
    try:
        _moved(call, name, roots)
    except (TypeError, AttributeError):  # it is no number that can be computed with
        return False
    return bool(roots)


def with_parameter_outside(call: Call, name: str) -> Outputs:
    """The results of a call in binary64 with a parameter added to a root, not under it.

    Parameters
    ----------
    call
        The arguments and the parameters.
    name
        A parameter that ``is_under_a_root``.

    Returns
    -------
    list of array
        The outputs.

    >>> from softproof.derivations import lookup
    >>> x, gain = np.float32([[3, 4]]), np.ones(2, np.float32)
    >>> call = Call(lookup("rms_norm"), {"x": x, "gain": gain}, {"eps": 1.0})
    >>> with_parameter_outside(call, "eps")[0].round(4)  # x / (sqrt 12.5 + 1)
    array([[0.6614, 0.8819]])
    """
    return _moved(call, name, [])


def _moved(call: Call, name: str, roots: list[Any]) -> Outputs:
    """The results; each root that the parameter is moved out of is noted."""
    value = call.definition.settings(call.parameters)[name]
    form = next(iter(steady_forms(call.definition).values()))
    if value is not None:
        call = replace(call, parameters={**call.parameters, name: _Moved(value)})
    return computed(call, form, _arithmetic(roots))


def _arithmetic(roots: list[Any]) -> Blocked:
    below = blocked(BINARY64)

    def number(value: Any) -> Any:
        return _Addend(float(value)) if isinstance(value, _Moved) else below.number(value)

    def sqrt(x: Any) -> Any:
        if not isinstance(x, _Sum):
            return below.sqrt(x)
        roots.append(x)
        return np.sqrt(x.base) + x.addend

    own = {field.name: getattr(below, field.name) for field in fields(below)}
    return Blocked(**{**own, "number": number, "sqrt": sqrt, "rsqrt": lambda x: 1 / sqrt(x)})
