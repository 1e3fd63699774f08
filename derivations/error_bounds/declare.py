"""Decorators that declare an error bound with the definition that it belongs to.

``@error_bound("softmax", form="shifted")`` above a function ``softmax(z, model)``, whose docstring
is the proof and which returns a ``Bound``, declares it (``softmax.py`` beside this file has it).
From then on ``lookup("softmax").error_bound`` is this function.  A bound takes logits (classes,) or
(classes, rows), the label where the definition has one, the ``Model``, and the parameters of the
definition as keywords.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..catalogue import lookup
from ..definition import AS_PUBLISHED
from .model import Bound, SharedError

Function = TypeVar("Function", bound=Callable[..., Any])
BoundOf = TypeVar("BoundOf", bound=Callable[..., Bound])
SharedErrorOf = TypeVar("SharedErrorOf", bound=Callable[..., SharedError])


def error_bound(name: str, *, form: str) -> Callable[[BoundOf], BoundOf]:
    """Declare the error bound of a definition, and the form that it is proven for.

    Parameters
    ----------
    name
        The definition.
    form
        One of its forms, or AS_PUBLISHED.

    Raises
    ------
    KeyError
        There is no such definition.
    ValueError
        It has no such form, or it has a bound already.
    """
    definition = lookup(name)
    if form not in (AS_PUBLISHED, *definition.forms):
        known = ", ".join((AS_PUBLISHED, *definition.forms))
        raise ValueError(f"{name} has no form {form!r}; use one of: {known}")

    def declare(function: BoundOf) -> BoundOf:
        _declare(name, "error_bound", function)
        definition.proven_form = form
        return function

    return declare


def gradient_bound(name: str) -> Callable[[BoundOf], BoundOf]:
    """Declare the error bound of the gradient of a definition; raises as ``error_bound`` does."""
    return lambda function: _declare(name, "gradient_bound", function)


def shared_error(name: str) -> Callable[[SharedErrorOf], SharedErrorOf]:
    """Declare what the errors of the outputs have in common; raises as ``error_bound`` does."""
    return lambda function: _declare(name, "shared_error", function)


def right_class_bound(name: str) -> Callable[[Function], Function]:
    """Declare the bound of the gradient at the label; raises as ``error_bound`` does."""
    return lambda function: _declare(name, "right_class_bound", function)


def product_bound(name: str) -> Callable[[Function], Function]:
    """Declare the bound of vector-Jacobian products; raises as ``error_bound`` does."""
    return lambda function: _declare(name, "product_bound", function)


def _declare(name: str, field: str, function: Any) -> Any:
    definition = lookup(name)
    if getattr(definition, field) is not None:
        raise ValueError(f"{name} has a {field} already: {getattr(definition, field).__qualname__}")
    setattr(definition, field, function)
    return function
