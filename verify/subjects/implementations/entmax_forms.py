"""Projections of the package entmax, which computes in PyTorch; the batch axis stands first."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from ..contract import IN_LANES
from ..registration import subject

Tensor = Any

of_entmax = functools.partial(
    subject,
    contract=replace(IN_LANES, arithmetic="input"),
    arrays="torch",
    requires=("torch", "entmax"),
)


def load_framework() -> None:
    """Import what the wrappers call."""
    import entmax  # noqa: F401


@of_entmax("sparsemax", "entmax.sparsemax(z, dim=-1)")
def sparsemax(z: Tensor) -> Tensor:
    """Call ``entmax.sparsemax`` over the last axis."""
    import entmax

    return entmax.sparsemax(z, dim=-1)
