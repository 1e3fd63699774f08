"""How a subject is asked for vector-Jacobian products, by autograd of PyTorch or by ``jax.vjp``.

A function that has an attribute ``vjp``, as by ``rms_norm.vjp = rms_norm_vjp``, is not
differentiated: ``f.vjp(*arguments, *cotangents, **parameters)`` gives one array for each argument
of real numbers, in order.  The one of an argument that is shared by a batch is summed over it: for
x of shape (cases, K) and a shared gain of shape (K,) it returns arrays of these shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .subject import NotApplicable


def differentiated(
    function: Callable[..., Any], library: str, places: Sequence[int], count: int, choices: int = 0
) -> Callable[..., tuple[Any, ...]]:
    """A function that gives vector-Jacobian products of a function of arrays of a library.

    Parameters
    ----------
    function
        What takes arrays of the library, and returns one, or a tuple.
    library
        torch or jax.
    places
        Which of its arguments are differentiated in.
    count
        The number of its results that are differentiated: so many cotangents follow the arguments.
    choices
        The number of its results before those, which are indices.

    Returns
    -------
    callable
        Of arguments, cotangents and keywords; it gives a tuple with an array for each place.

    Raises
    ------
    NotApplicable
        The library has no derivatives; or, by the call, PyTorch recorded nothing of the function.
    """
    if library not in _BY:
        raise NotApplicable("it has no vjp")
    by = _BY[library]

    def numbers(*given: Any, **keywords: Any) -> tuple[Any, ...]:
        found = function(*given, **keywords)
        results: tuple[Any, ...] = found if isinstance(found, tuple) else (found,)
        return results[choices : choices + count]

    def products(*given: Any, **keywords: Any) -> tuple[Any, ...]:
        return by(numbers, list(given[:-count]), given[-count:], places, keywords)

    return products


def _by_autograd(
    function: Callable[..., tuple[Any, ...]],
    arguments: list[Any],
    cotangents: Sequence[Any],
    places: Sequence[int],
    keywords: dict[str, Any],
) -> tuple[Any, ...]:
    import torch

    for place in places:
        arguments[place] = arguments[place].detach().requires_grad_()
    with torch.enable_grad():
        results = function(*arguments, **keywords)
    pairs = [(y, g) for y, g in zip(results, cotangents, strict=True) if y.requires_grad]
    if not pairs:
        raise NotApplicable("autograd recorded nothing of it")
    numbers = [arguments[place] for place in places]
    recorded, weights = zip(*pairs, strict=True)
    found = torch.autograd.grad(recorded, numbers, weights, allow_unused=True)
    return tuple(
        torch.zeros_like(x) if d is None else d for x, d in zip(numbers, found, strict=True)
    )


def _by_jax(
    function: Callable[..., tuple[Any, ...]],
    arguments: list[Any],
    cotangents: Sequence[Any],
    places: Sequence[int],
    keywords: dict[str, Any],
) -> tuple[Any, ...]:
    import jax

    def of_numbers(*numbers: Any) -> Any:
        given = list(arguments)
        for place, number in zip(places, numbers, strict=True):
            given[place] = number
        return function(*given, **keywords)

    _, pullback = jax.vjp(of_numbers, *(arguments[place] for place in places))
    found: tuple[Any, ...] = pullback(tuple(cotangents))
    return found


_BY = {"torch": _by_autograd, "jax": _by_jax}
