"""The suites: what is checked of a subject, on which inputs, one entry each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition, Output
from ..inputs.families import PAIRS, Batch
from ..subjects.isolation.in_process import LiveSubject
from . import (
    agreement,
    collapse,
    exhaustive,
    invariance,
    layouts,
    parameters,
    regressions,
    special_values,
    values,
)
from .verdicts import Observation, Verdict, Violation

__all__ = [
    "BUDGETS",
    "FORMER_NAMES",
    "SUITES",
    "Observation",
    "Suite",
    "Verdict",
    "Violation",
    "present_name",
]


@dataclass(frozen=True)
class Suite:
    """A named group of checks with the input families it is asked on.

    Attributes
    ----------
    name
        What ``--suite`` calls it.
    summary
        What it checks, in a few words.
    check
        ``check(subject, definition, fmt, batch)`` calls the subject with the rows of a batch and
        returns a Verdict. It raises what the subject raises, NotApplicable where the subject cannot
        be asked, and OracleError where the truth is not decided. None for a suite without rows.
    families
        The families of inputs for functions of logits.
    real_families
        Those for functions of one real.
    check_own
        ``check_own(subject, definition, fmt)`` makes inputs of its own and returns them as batches
        with their verdicts; for a suite that no family fits.
    budget
        The smallest budget of a run that it is part of.
    applies
        ``applies(definition, fmt)`` says whether there is something to check.
    observes
        The axes of a contract on which its verdicts depend: what is not declared of them is
        observed.
    """

    name: str
    summary: str
    check: Callable[[LiveSubject, Definition, Format, Batch], Verdict] | None
    families: tuple[str, ...] = ()
    real_families: tuple[str, ...] = ()
    check_own: Callable[[LiveSubject, Definition, Format], list[tuple[Batch, Verdict]]] | None = (
        None
    )
    budget: str = "quick"
    applies: Callable[[Definition, Format], bool] = lambda definition, fmt: True
    observes: tuple[str, ...] = ("flush_to_zero",)


SPECIAL_VALUES = ("all_masked", "pos_inf", "nan", "flush_to_zero")

BUDGETS = ("quick", "standard", "exhaustive")


def _may_come_with_a_gradient(definition: Definition, fmt: Format) -> bool:
    """Whether subjects return gradients: of one number for each row, as a loss; not of vectors."""
    return definition.output is Output.REAL and not definition.elementwise


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
                "every_length",
                "drawn_lengths",
                "tall",
                "large",
                "positions",
                "wide",
                "bit_patterns",
                "dominant",
                "ties",
                "ordered",
                "spike",
                "subnormal_results",
            ),
            ("reals", "tall"),
        ),
        Suite(
            "overflow",
            "the same where exponentials, sums or differences leave the range of the format",
            values.check_value,
            (
                "beyond_exp",
                "offset",
                "masks",
                "mask_positions",
                "tails",
                "extremes",
                "all_patterns",
            ),
            ("far_reals",),
        ),
        Suite(
            "special-values",
            "masks, infinities, NaN, empty axes and length 1 by contract",
            special_values.check_rows,
            check_own=special_values.check,
            observes=(*SPECIAL_VALUES, "empty"),
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
            "every gradient within its error bound of the exact one: returned with a value; of "
            "arrays by autograd, jax.vjp, or f.vjp(*arguments, cotangent)",
            values.check_gradient,
            ("normal", "wide", "dominant", "ties", "spike", "beyond_exp", "masks", "tails"),
            applies=_may_come_with_a_gradient,
        ),
        Suite(
            "collapse",
            "no result 0 unless the exact one rounds to 0, where that is promised; else from where",
            collapse.check,
            ("gaps",),
            ("gaps_below_zero",),
        ),
        Suite(
            "agreement",
            "agreement with our kernels, and of functions that tell one another",
            agreement.check,
            ("normal", "wide", "dominant", "ties"),
            applies=agreement.applies,
        ),
        Suite(
            "layouts",
            "strided, misaligned, far and read-only memory, other axes, no rows, no axes",
            layouts.check_rows,
            check_own=layouts.check,
            observes=("flush_to_zero", "layouts"),
        ),
        Suite(
            "parameters",
            "scale, smoothing, weights, ignored samples, reductions, where they are taken",
            None,
            check_own=parameters.check,
            applies=parameters.applies,
        ),
        Suite(
            "liveness",
            "each argument and parameter acts as defined",
            None,
        ),
        Suite(
            "poison",
            "what a result does not depend on changes no bit: masked entries, other rows or cases",
            None,
        ),
        Suite(
            "regressions",
            "every bug on record",
            None,
            check_own=regressions.check_own,
            observes=(*SPECIAL_VALUES, "bitwise_batch"),
        ),
        Suite(
            "every-value",
            "16-bit formats: every number in every place",
            exhaustive.check,
            ("every_value",),
            ("every_real",),
            budget="standard",
            applies=exhaustive.can_judge,
            observes=SPECIAL_VALUES,
        ),
        Suite(
            "pairs",
            "16-bit formats: every pair of logits",
            exhaustive.check,
            PAIRS,
            budget="exhaustive",
            applies=exhaustive.can_judge,
            observes=SPECIAL_VALUES,
        ),
    )
}

FORMER_NAMES = {"consistency": "agreement"}
"""What suites were called before, with their names of today: commands, files and old results."""


def present_name(suite: str) -> str:
    """The present name of a suite that may be called by a former one.

    Parameters
    ----------
    suite
        A name.

    Returns
    -------
    str
        The name in SUITES, or the given one if it is no former name.

    Examples
    --------
    >>> present_name("consistency"), present_name("accuracy")
    ('agreement', 'accuracy')
    """
    return FORMER_NAMES.get(suite, suite)
