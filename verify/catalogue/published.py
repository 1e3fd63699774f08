"""The published form of each definition as a function of arrays, to be judged as any other.

``softproof verify mish --subject softproof.verify.catalogue.published:mish`` asks all suites of it:
what becomes of the formula when each of its operations is rounded to the format of its input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...derivations import REGISTRY
from ..power.computed import blocked, computed, implementation


def __getattr__(name: str) -> Callable[..., Any]:
    """The published form of the definition of a name, in the format of its input.

    Parameters
    ----------
    name
        A definition.

    Returns
    -------
    function
        It takes the definition's arguments, batches of cases, in their order, and its parameters
        by name. Sums are NumPy's, by pairs of blocks, in the same format.

    Raises
    ------
    AttributeError
        There is no such definition.

    Examples
    --------
    >>> import numpy as np
    >>> from softproof.verify.catalogue import published
    >>> published.mish(np.float32([1.0, 256.0]))
    array([  0.8650984, 256.       ], dtype=float32)
    """
    if name not in REGISTRY:
        raise AttributeError(f"there is no definition {name!r}; `softproof catalogue` lists them")
    definition = REGISTRY[name]
    return implementation(
        definition,
        lambda call: computed(call, definition.formula, blocked(call.format)),
        name,
        f"The published form of {name}.",
    )
