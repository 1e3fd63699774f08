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

    Returns
    -------
    callable
        A decorator for the function that computes the bound from the arguments of the definition, a
        Model, and the parameters of the definition.

    Raises
    ------
    KeyError
        If there is no such definition.
    ValueError
        If it has no such form, or has a bound already.
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
    """Declare the error bound of the gradient of a definition.

    Parameters
    ----------
    name
        The definition.

    Returns
    -------
    callable
        A decorator, as that of `error_bound`.

    Raises
    ------
    KeyError, ValueError
        As `error_bound`, when it decorates.
    """
    return lambda function: _declare(name, "gradient_bound", function)


def shared_error(name: str) -> Callable[[SharedErrorOf], SharedErrorOf]:
    """Declare what the errors of the outputs of a definition have in common.

    Parameters
    ----------
    name
        The definition.

    Returns
    -------
    callable
        A decorator for the function that computes a SharedError from logits and a Model.

    Raises
    ------
    KeyError, ValueError
        As `error_bound`, when it decorates.
    """
    return lambda function: _declare(name, "shared_error", function)


def right_class_bound(name: str) -> Callable[[Function], Function]:
    """Declare the bound of the gradient at the label, computed as a sum of other probabilities.

    Parameters
    ----------
    name
        The definition.

    Returns
    -------
    callable
        A decorator, as that of `error_bound`.

    Raises
    ------
    KeyError, ValueError
        As `error_bound`, when it decorates.
    """
    return lambda function: _declare(name, "right_class_bound", function)


def product_bound(name: str) -> Callable[[Function], Function]:
    """Declare the bound of the vector-Jacobian products of a definition.

    Parameters
    ----------
    name
        The definition.

    Returns
    -------
    callable
        A decorator for the function that computes exact products with their errors.

    Raises
    ------
    KeyError, ValueError
        As `error_bound`, when it decorates.
    """
    return lambda function: _declare(name, "product_bound", function)


def _declare(name: str, field: str, function: Any) -> Any:
    definition = lookup(name)
    if getattr(definition, field) is not None:
        raise ValueError(f"{name} has a {field} already: {getattr(definition, field).__qualname__}")
    setattr(definition, field, function)
    return function
