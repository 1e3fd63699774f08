"""The suites: what is checked of a subject, on which inputs, one entry each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...derivations.definition import Definition
from ...derivations.formats import Format
from ..inputs import Batch
from ..subjects import Subject
from . import invariance, special_values, values
from .judge import Verdict, Violation

__all__ = ["SUITES", "Suite", "Verdict", "Violation"]


@dataclass(frozen=True)
class Suite:
    """A named property with the input families it is checked on.

    ``families`` are for logits, ``real_families`` for functions of one real; a suite without
    families makes its own inputs in ``check_own``.
    """

    name: str
    summary: str
    check: Callable[[Subject, Definition, Format, Batch], Verdict]
    families: tuple[str, ...] = ()
    real_families: tuple[str, ...] = ()
    check_own: Callable[[Subject, Definition, Format], list[tuple[Batch, Verdict]]] | None = None


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "accuracy",
            "every value within its error bound of the exact one",
            values.check_value,
            (
                "normal",
                "lengths",
                "wide",
                "bit_patterns",
                "dominant",
                "ties",
                "ordered",
                "spike",
                "subnormal_results",
            ),
            ("reals",),
        ),
        Suite(
            "overflow",
            "the same where exponentials, sums or differences leave the range of the format",
            values.check_value,
            ("beyond_exp", "offset", "masks", "extremes", "all_patterns"),
            ("far_reals",),
        ),
        Suite(
            "special-values",
            "masks, infinities, NaN, empty axes and length 1 by contract",
            special_values.check_rows,
            check_own=special_values.check,
        ),
        Suite(
            "invariance",
            "every declared fact of the definition",
            invariance.check,
            ("normal", "wide", "bit_patterns", "ties"),
            ("reals",),
        ),
        Suite(
            "gradient",
            "every returned gradient within its error bound of the exact one",
            values.check_gradient,
            ("normal", "wide", "dominant", "ties", "spike", "beyond_exp", "masks"),
        ),
    )
}
