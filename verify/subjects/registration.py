"""One line above a wrapper makes it a built-in subject, and a peer in ``softproof bench``.

    @subject("softplus", contract=IN_FORMAT)
    def softplus_naive(x):
        return np.log(1 + np.exp(x))

in any module of ``implementations/``, or of a folder in it: those modules are found by themselves.
Listing them must not import a framework, which takes seconds and may change how the processor
computes: a wrapper imports its framework inside the function.  ``load_framework``, a function
without arguments that such a module may have, imports all that its wrappers need; ``call.load``
calls it, so that a framework that is missing or broken is said before the first call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, TypeVar

from .contract import CONVENTIONAL, Contract
from .subject import Subject

Function = TypeVar("Function", bound=Callable[..., Any])

ANY_FORMAT = ("float16", "bfloat16", "float32", "float64")

REGISTERED: list[Subject] = []
"""The subjects of the modules of ``implementations/`` that have been imported."""


def subject(
    definition: str,
    snippet: str = "",
    *,
    contract: Contract = CONVENTIONAL,
    dtypes: tuple[str, ...] = ANY_FORMAT,
    arrays: str = "numpy",
    requires: tuple[str, ...] = (),
    time_limit: float = 30.0,
    slow: str = "",
    also_on: str = "",
) -> Callable[[Function], Function]:
    """Decorate a function as a built-in subject, and return it unchanged.

    Parameters
    ----------
    definition
        What the function implements: the name of a definition of the catalogue.
    snippet
        The call without softproof, an expression over ``x`` and ``labels``.
    contract
        What it does where definitions leave a choice; what implementations have in common stands
        beside ``CONVENTIONAL``.
    dtypes, arrays, requires, time_limit, slow
        What ``Subject`` has by these names.
    also_on
        A device, for a second subject that has its arrays there; "" for none.

    Returns
    -------
    decorator
        What registers a function and returns it unchanged. It raises ValueError where a subject of
        that name is registered for the definition.
    """

    def register(function: Function) -> Function:
        own = Subject(
            f"{public_module(function.__module__)}:{function.__name__}",
            definition,
            contract,
            dtypes,
            arrays=arrays,
            requires=requires,
            time_limit=time_limit,
            slow=slow,
            snippet=snippet,
        )
        if any((s.id, s.definition) == (own.id, own.definition) for s in REGISTERED):
            raise ValueError(f"{own.id} is registered already; give the function another name")
        REGISTERED.append(own)
        if also_on:
            REGISTERED.append(on_device(own, also_on))
        return function

    return register


def on_device(subject: Subject, device: str) -> Subject:
    """Return a subject with its arrays on a device, which sums in an order of its own.

    Parameters
    ----------
    subject
        The subject, whose arrays are elsewhere.
    device
        The device, as the array library names it.

    Returns
    -------
    Subject
        One with the device at the end of its id, which declares no more than any has in common.

    Examples
    --------
    >>> on_device(Subject("torch:sigmoid", "sigmoid", arrays="torch"), "cuda").id
    'torch:sigmoid@cuda'
    """
    contract = replace(CONVENTIONAL, arithmetic=subject.contract.arithmetic)
    return replace(subject, id=f"{subject.id}@{device}", device=device, contract=contract)


# --- ids and modules ---

_FOLDERS = tuple(f"{__package__}.{name}" for name in ("implementations", "implementations.engines"))
_PLACES = {"textbook": "softproof.verify"}  # ids are public names and stay where they once were


def public_module(module: str) -> str:
    """Return what the ids of subjects call a module of ``implementations/``.

    Parameters
    ----------
    module
        The full name of a module.

    Returns
    -------
    str
        Its public name, without the folder; other names are unchanged.

    Examples
    --------
    >>> public_module("softproof.verify.subjects.implementations.torch_forms")
    'softproof.verify.subjects.torch_forms'
    >>> public_module("mine.softmax")
    'mine.softmax'
    """
    folder, _, name = module.rpartition(".")
    return f"{_PLACES.get(name, __package__)}.{name}" if folder in _FOLDERS else module


def module_of(public: str) -> str:
    """Return where the module is that an id names, the reverse of ``public_module``.

    Parameters
    ----------
    public
        The name of a module in an id.

    Returns
    -------
    str
        The full name of the module.

    Examples
    --------
    >>> module_of("softproof.verify.textbook")
    'softproof.verify.subjects.implementations.textbook'
    >>> module_of("mine.softmax")
    'mine.softmax'
    """
    modules = (f"{folder}.{public.rpartition('.')[2]}" for folder in _FOLDERS)
    return next((m for m in modules if public_module(m) == public and find_spec(m)), public)
