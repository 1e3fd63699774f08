"""What a kernel computes and how far it may be off, declared above the function itself.

`kernel_of` is that one line. From it `softproof.kernels.error_bound` knows the bound, and
`softproof verify` and `softproof bench` know that there is an implementation of the definition to
test and to time.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Kernel(NamedTuple):
    """What is declared of a kernel that computes a definition."""

    name: str
    """Of the function, in `softproof.kernels`."""
    definition: str
    """The name of the mathematical function in `softproof.derivations`."""
    ulps: Mapping[str, float]
    """The largest error by format, for every format that the kernel takes."""
    unit: str
    """What the ulps are ulps of."""
    proof: str
    """The full name of the module, or function, whose docstring has the proof."""
    is_proven: bool
    """Whether the bound is proven for every input, or was measured by a search and rounded up."""

    @property
    def promised(self) -> Mapping[str, float]:
        """The bounds in ulps of the exact result; none where they are in another unit."""
        return self.ulps if self.unit == EXACT_RESULT else {}


EXACT_RESULT = "the exact result"

KERNELS: dict[str, Kernel] = {}
"""All kernels that are declared, by name, in the order in which their modules are imported."""


def kernel_of(
    definition: str,
    ulps: Mapping[str, float],
    *,
    unit: str = EXACT_RESULT,
    proof: str = "",
    is_proven: bool = True,
) -> Callable[[_Function], _Function]:
    """Declare that a function computes a definition within an error bound.

    Parameters
    ----------
    definition
        The name of the definition in the catalogue.
    ulps
        The largest error by the name of a format; its keys are the formats that the kernel takes.
    unit
        What the ulps are ulps of.
    proof
        The function of the same module whose docstring has the proof; that of the module if empty.
    is_proven
        Whether it is proven for every input, or was measured.

    Returns
    -------
    callable
        A decorator that returns the function as it is.

    Raises
    ------
    ValueError
        From the decorator, if a kernel of that name is declared already.

    Examples
    --------
    >>> from softproof import kernels  # which imports all that declare themselves
    >>> KERNELS["softmax"].definition, KERNELS["softmax"].ulps["float32"]
    ('softmax', 3.99)
    """

    def declare(function: _Function) -> _Function:
        name, module = function.__name__, function.__module__
        if name in KERNELS:
            raise ValueError(f"a kernel {name!r} is declared already; choose another name")
        place = f"{module}.{proof}" if proof else module
        KERNELS[name] = Kernel(name, definition, ulps, unit, place, is_proven)
        return function

    return declare
