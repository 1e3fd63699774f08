"""The planted mistakes of the package: each a function with its definition and its contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ...derivations.arithmetic.formats import FORMATS
from ..subjects.contract import Contract
from ..subjects.subject import Subject
from . import (
    broken,
    broken_batches,
    broken_collapse,
    broken_layouts,
    broken_parameters,
    broken_regressions,
)

DEFINITIONS = ("log_softmax", "logsumexp", "cross_entropy", "softmax", "sigmoid", "softplus")
# What each module breaks, and right implementations that stand in it for comparison.
CONTRACTS = {
    broken: Contract(),
    broken_batches: Contract(),
    broken_collapse: Contract(collapse_free="yes"),
    broken_layouts: Contract(),
    broken_parameters: Contract(),
    broken_regressions: Contract(bitwise_batch="yes"),
}
RIGHT = {
    broken_batches: {"softmax_right", "softmax_scratch_of_each_thread"},
    broken_collapse: {"cross_entropy_right"},
    broken_layouts: {"softmax"},
    broken_parameters: {"softmax", "cross_entropy"},
    broken_regressions: {function.__name__ for function in broken_regressions.CAREFUL},
}


@dataclass(frozen=True)
class Mistake:
    """An implementation that is wrong: its function, and the subject that it is verified as."""

    name: str
    subject: Subject
    function: Callable[..., Any]


def planted(definitions: tuple[str, ...] = DEFINITIONS) -> list[Mistake]:
    """All planted mistakes of the definitions that are named.

    Parameters
    ----------
    definitions
        The names of the definitions.

    Returns
    -------
    list of Mistake
        Each with the subject that makes it.

    Examples
    --------
    >>> len(planted()) > 150, planted(("sigmoid",))[0].name
    (True, 'broken:sigmoid_overflowing')
    """
    found = []
    for module, contract in CONTRACTS.items():
        for name, function in _functions(module):
            definition = next((d for d in DEFINITIONS if name.startswith(f"{d}_")), "softmax")
            if definition in definitions:
                short = module.__name__.rpartition(".")[2]
                subject_id = f"{module.__name__}:{name}"
                subject = Subject(subject_id, definition, contract, tuple(FORMATS))
                found.append(Mistake(f"{short}:{name}", subject, function))
    return found


def _functions(module: ModuleType) -> list[tuple[str, Callable[..., Any]]]:
    """The functions of a module that make a mistake."""
    right = RIGHT.get(module, set())
    return [
        (name, value)
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and name not in right
    ]
