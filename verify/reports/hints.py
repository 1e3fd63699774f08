"""What a finding says about its cause, and what to do: only what the case itself tells.

Some hints are read off the case.  Others are experiments: the same row is judged again with one
thing changed, and where it then passes, that thing is likely the cause.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import Format
from ...derivations.proofs.facts import ShiftEquivariant
from ..inputs.families import Batch
from ..runs.execute import Connect
from ..runs.results import Failure
from ..subjects.contract import CHOICES, USUAL, WIDENING, wider_contracts
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, Subject, SubjectFault
from ..suites import SUITES
from ..suites.observe import observe
from ..suites.special_values import TWO_WAYS

TAILS = {width + 1 for width in (4, 8, 16, 32, 64, 128, 256, 512, 1024)}


@dataclass(frozen=True)
class Finding:
    """A failed case, for the tables of hints."""

    definition: Definition
    failure: Failure
    batch: Batch

    @property
    def observed(self) -> float:
        """The observed number; NaN where there is none."""
        return float.fromhex(self.failure.observed or "nan")

    @property
    def expected(self) -> float:
        """The expected number; NaN where there is none."""
        return float.fromhex(self.failure.expected or "nan")

    @property
    def of_logarithm(self) -> bool:
        """Whether the result holds a logarithm of a sum of exponentials."""
        return self.definition.loss is not None


# The first of these that holds is told.
BY_CASE: tuple[tuple[Callable[[Finding], bool], str], ...] = (
    (
        lambda f: f.failure.kind == "input changed",
        "work on a copy: `x = x - m` makes one, `x -= m` changes the caller's array",
    ),
    (
        lambda f: "not deterministic" in f.failure.kind,
        "the result depends on more than the input: dropout, a buffer that is not fully written, "
        "state kept between calls, or threads that add in any order",
    ),
    (
        lambda f: f.failure.kind == "form" and " has dtype " in f.failure.message,
        "round the result to the dtype of the logits; wider ones are for sums inside",
    ),
    (
        lambda f: f.failure.kind == "form" and " has shape " in f.failure.message,
        "give one number for each logit, or for a loss and logsumexp one for each row; squeeze "
        "nothing, and keep axes of length 1 and 0",
    ),
    (
        lambda f: (
            "changes the results of other rows" in f.failure.message
            or "only in its batch" in f.failure.detail
        ),
        "rows depend on each other: take every maximum and sum along the axis of the classes, "
        "and keep no state between rows",
    ),
    (
        lambda f: f.of_logarithm and np.isinf(f.observed) and np.isfinite(f.expected),
        "a probability underflows, or a sum overflows, before its logarithm is taken: compute "
        "m + log(sum(exp(x - m))) with the row maximum m, and never log(softmax(x))",
    ),
    (
        lambda f: f.of_logarithm and f.observed == 0 != f.expected,
        "1 absorbs the small terms before the logarithm: use log1p of the sum over the classes "
        "other than the largest",
    ),
    (
        lambda f: f.failure.message.endswith((" acts", " has no effect")),
        "it is ignored, or used otherwise than in the definition: see its formula by "
        "`softproof derive`",
    ),
    (
        lambda f: (
            f.definition.right_class_bound is not None
            and "gradient beyond" in f.failure.message
            and f.failure.index == f.failure.label
        ),
        "this is the right class, where the gradient is p - 1: subtract the 1 there and only "
        "there, and where p is near 1 take minus the sum of the others",
    ),
)

# What it is likely to be where another setting of the contract lets the case pass: of several
# settings together, the first.
BY_SETTING = {
    "accumulator": "the sum loses digits: keep it in a wider format",
    "summation": "the sum loses digits: add blocks of terms, and the sums of blocks pairwise",
    "arithmetic": "what is between the operations loses digits: keep it in a wider format",
    "flush_to_zero": "results below the normal range become 0: turn flushing off",
}

SHIFT = (
    "the same logits minus their maximum pass: subtract the maximum of each row before "
    "exponentiating"
)
SHIFT_BACK = SHIFT + ", and add it to the result"
TAIL = (
    "no shorter row was found to fail, and {} is one more than a vector holds: look at how the "
    "end of a row is summed"
)


def hints(
    subject: Subject, connect: Connect, suite: str, fmt: Format, failure: Failure, batch: Batch
) -> list[tuple[str, str]]:
    """What to fix ("likely") or to declare ("if meant") so that a case does not fail.

    The experiments call the subject, a few times.

    Parameters
    ----------
    subject
        The subject that failed.
    connect
        Makes a subject one that can be called.
    suite
        The name of the suite.
    fmt
        The format.
    failure
        The case.
    batch
        The row of the case.

    Returns
    -------
    list of tuple
        Pairs (heading, sentence); none where the case does not show a cause.
    """
    finding = Finding(lookup(subject.definition), failure, batch)
    if failure.observed is not None:

        def passes(tried: Subject, row: Batch) -> bool:
            return _passes(connect(tried), suite, finding.definition, fmt, row)

        if not passes(subject, batch):  # an experiment needs a failure to take away
            told = _by_contract(subject, finding, passes) or _by_shift(subject, finding, passes)
            if told:
                return told
    causes = [cause for holds, cause in BY_CASE if holds(finding)]
    classes = batch.logits.shape[1]
    if failure.observed is not None and not failure.detail and classes in TAILS:
        causes.append(TAIL.format(classes))
    return [("likely", cause) for cause in causes[:1]]


def hints_of_case(
    definition: Definition, failure: Failure, admitted_by: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """What to fix, or to declare, so that a case does not fail, as far as it tells that by itself.

    Parameters
    ----------
    definition
        What was to be computed.
    failure
        The case; also a row, or a call that failed.
    admitted_by
        The settings of a contract that would admit it.

    Returns
    -------
    list of tuple
        Pairs (heading, sentence), as ``hints`` gives them.
    """
    if admitted_by:
        meant = dict(setting.split("=") for setting in admitted_by)
        likely = [("likely", words) for name, words in BY_SETTING.items() if name in meant]
        return [*likely[:1], ("if meant", f"declare contract={json.dumps(meant)}")]
    finding = Finding(definition, failure, Batch(failure.family, np.empty((1, 0)), None))
    return [("likely", cause) for holds, cause in BY_CASE if holds(finding)][:1]


Passes = Callable[[Subject, Batch], bool]


def _by_contract(subject: Subject, finding: Finding, passes: Passes) -> list[tuple[str, str]]:
    """The settings of the contract that let the case pass, the fewest; none lets two ways pass."""
    if TWO_WAYS in finding.failure.message:
        return []
    without_effect = {*WIDENING, *USUAL, "overflow"}
    others = [[f"{n}={c}"] for n in CHOICES if n not in without_effect for c in CHOICES[n]]
    for settings in (*others, *wider_contracts(subject.contract)):
        tried = subject.declaring(settings)
        if tried != subject and passes(tried, finding.batch):
            meant = dict(setting.split("=") for setting in settings)
            likely = [("likely", words) for name, words in BY_SETTING.items() if name in meant]
            return [*likely[:1], ("if meant", f"declare contract={json.dumps(meant)}")]
    return []


def _by_shift(subject: Subject, finding: Finding, passes: Passes) -> list[tuple[str, str]]:
    """Whether the case passes where the maximum is 0."""
    row = finding.batch.logits
    if not finding.definition.partition_function or not np.isfinite(row.max()):
        return []
    with np.errstate(all="ignore"):
        shifted = replace(finding.batch, logits=row - row.max())
    if not passes(subject, shifted):
        return []
    shifts = any(isinstance(fact, ShiftEquivariant) for fact in finding.definition.facts)
    return [("likely", SHIFT_BACK if shifts else SHIFT)]


def _passes(
    subject: LiveSubject, suite: str, definition: Definition, fmt: Format, batch: Batch
) -> bool:
    """Whether something is checked, and nothing violated."""
    check = SUITES[suite].check
    if check is None:  # a suite of recorded cases takes no other rows
        return False
    try:
        subject.settle(observe(subject, fmt, SUITES[suite].observes))
        verdict = check(subject, definition, fmt, batch)
    except (SubjectFault, NotApplicable):
        return False
    return verdict.checks > 0 and not verdict.violations
