"""What is found in a batch of results, and their comparison with the truth."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition
from ...derivations.arithmetic.formats import Format
from ...derivations.error_bounds.model import Model
from ..inputs.families import Batch
from ..oracle import overflow
from ..oracle.metrics import histogram, signed_error, ulp_error
from ..oracle.truth import Truth
from ..subjects.contract import Contract, last_of, wider_contracts
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import Outcome, ProcessDied, SubjectFault
from .grades import grade, have_a_common_part, weakest
from .reference_form import LEAST, evaluate
from .thresholds import bounds_in_ulp, has_truth, label_of, model_of, reference, thresholds

MOST_ROWS_ALONE = 100  # of a batch whose results differ, to see whether one does so alone


@dataclass(frozen=True)
class Violation:
    """One result that breaks a property: what is needed to see it, and to see it again.

    ``message`` names the kind (a shrunk case has the same), ``detail`` the instance.  ``error`` and
    ``threshold`` are in ulp where a value is ``observed``.
    """

    row: int
    message: str
    detail: str = ""
    index: int | None = None  # of the output
    observed: float | None = None
    expected: float | None = None
    error: float = float("inf")
    threshold: float | None = None
    source: str = ""
    kind: str = "value"  # or the kind of the SubjectFault that it was
    in_gradient: bool = False
    only_in_batch: bool = False  # no row alone was seen to fail
    admitted_by: tuple[str, ...] = ()  # settings of a contract that would admit it

    @property
    def severity(self) -> float:
        """Error over threshold: the worst case is the one with the largest."""
        if not self.threshold or not math.isfinite(self.error):
            return math.inf
        return self.error / self.threshold


@dataclass(frozen=True)
class Observation:
    """Something that was seen of a subject, which its contract allows.

    * ``result``: which one, in words.
    * ``gap``: from which on it is 0, or a probability 1, though the exact one does not round to
      that; None where there is no such gap.
    * ``cause``: what that gap is derived from.
    * ``lost``: (relative error, the first gap that was tried at which it is exceeded).
    * ``share``: of the samples of which that is so; None where it is about gaps.
    * ``batch``: a row that shows it, with the number ``observed`` in place of ``expected``.
    """

    result: str
    classes: int
    leader: str = ""  # which class it is: "first", "last", "in the middle", "as given"
    gap: float | None = None
    cause: str = ""
    lost: tuple[tuple[float, float], ...] = ()
    share: float | None = None
    batch: Batch | None = None
    observed: float | None = None
    expected: float | None = None


@dataclass(frozen=True)
class Excess:
    """Errors beside those of the reference form on the same rows, in ulp."""

    family: str
    error: float
    reference: float

    @property
    def ratio(self) -> float:
        """How many times those of the reference form; that is taken to be off by LEAST."""
        return self.error / max(self.reference, LEAST)

    @staticmethod
    def largest(*found: Excess | None) -> Excess | None:
        """The one with the largest ratio, whatever the order; None where there is none.

        >>> Excess.largest(Excess("ties", 8.0, 1.0), None, Excess("masks", 8.0, 1.0)).family
        'ties'
        """
        return max(
            (excess for excess in found if excess is not None),
            key=lambda excess: (excess.ratio, excess.error, excess.reference, excess.family),
            default=None,
        )


@dataclass(frozen=True)
class Undecided:
    """A row at which the oracle decides nothing: a finding about the definition, of no subject.

    Its value may be singular there, as that of layer normalisation is where all numbers are equal.
    """

    row: int
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What a suite found in a batch."""

    checks: int
    """How many results were judged."""
    worst: float
    """The largest error, in ulp."""
    violations: list[Violation]
    errors: Mapping[int, int] = field(default_factory=dict)
    """The errors as `metrics.histogram` counts them."""
    observations: tuple[Observation, ...] = ()
    grade: str | None = None
    """The sharpest class of `grades` that all graded results fit; None where none was graded."""
    excess: Excess | None = None
    undecided: tuple[Undecided, ...] = ()
    observed: Mapping[str, str] = field(default_factory=dict)
    """What the subject did there where its contract declares nothing, by axis of the contract."""

    @staticmethod
    def merge(verdicts: Iterable[Verdict]) -> Verdict:
        """Combine verdicts on parts of one batch into one on the whole batch.

        Parameters
        ----------
        verdicts
            Verdicts whose rows and outputs are numbered as in the batch.

        Returns
        -------
        Verdict
            Counts are added, lists joined in the given order; of the errors it has the worst, of
            the grades the weakest, and of the excesses the largest; of what was observed on an axis
            the choice that ``CHOICES`` names last. Of no verdict: an empty one.

        Examples
        --------
        >>> halves = [Verdict(2, 0.5, []), Verdict(3, 1.5, [], grade="float64 inside")]
        >>> merged = Verdict.merge(halves)
        >>> merged.checks, merged.worst, merged.grade
        (5, 1.5, 'float64 inside')
        """
        parts = list(verdicts)
        return Verdict(
            sum(part.checks for part in parts),
            max((part.worst for part in parts), default=0.0),
            [violation for part in parts for violation in part.violations],
            sum((Counter(part.errors) for part in parts), Counter()),
            tuple(seen for part in parts for seen in part.observations),
            weakest(part.grade for part in parts),
            Excess.largest(*(part.excess for part in parts)),
            tuple(row for part in parts for row in part.undecided),
            last_of(part.observed for part in parts),
        )


def no_result(fault: SubjectFault, family: str = "", row: int = 0) -> Verdict:
    """The verdict on a call that gave nothing to judge.

    Parameters
    ----------
    fault
        What came of the call.
    family
        What the violation is to be named by.
    row
        The row that shows it.

    Returns
    -------
    Verdict
        One violation; an empty verdict on a call that was not made.
    """
    if isinstance(fault, ProcessDied) and not fault.called:
        return Verdict(0, 0.0, [])
    message = f"{family}: {fault}" if family else str(fault)
    return Verdict(1, 0.0, [Violation(row, message, kind=fault.kind)])


def deterministic(subject: LiveSubject, batch: Batch) -> Outcome | Verdict:
    """Call a subject twice with the same batch.

    Parameters
    ----------
    subject
        The subject.
    batch
        The rows.

    Returns
    -------
    Outcome or Verdict
        What both calls return; where they differ, the verdict that says so.

    Raises
    ------
    SubjectFault
        If the subject fails.
    """

    def twice(part: Batch) -> tuple[Outcome, bool]:
        outcome, again = (subject(part.logits, part.labels) for _ in range(2))
        return outcome, outcome.equals(again)

    outcome, same = twice(batch)
    if same:
        return outcome
    # A row that shows it alone, if there is one.
    first = range(min(len(batch.logits), MOST_ROWS_ALONE))
    rows = (i for i in first if not twice(batch.row(i))[1])
    message = "two calls on the same input gave different results"
    return Verdict(1, 0.0, [Violation(next(rows, 0), message, kind="not deterministic")])


def compare(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    computed: NDArray[Any],
    *,
    gradient: bool = False,
) -> Verdict:
    """Compare a batch of results with the truth, output by output.

    Parameters
    ----------
    definition
        The definition.
    contract
        What the subject promises.
    fmt
        The format of the results.
    batch
        The rows; those without an exact value are left out.
    computed
        The results of the subject.
    gradient
        Whether they are gradients.

    Returns
    -------
    Verdict
        Violations where an error is beyond its threshold; also the errors, and of a batch that is
        cross-checked the grade, and the excess over the reference form.

    Raises
    ------
    OracleError
        If the oracles disagree, or do not decide.
    """
    rows = [
        i
        for i in range(len(batch.logits))
        if has_truth(definition, batch.logits[i])
        # Where the right class is masked, the loss is infinite and has no gradient.
        and not (gradient and batch.labels is not None and _is_masked(batch, i))
    ]
    if not rows:
        return Verdict(0, 0.0, [])
    truths = [reference(definition, fmt, batch, i, gradient=gradient) for i in rows]
    judged = batch.rows(np.array(rows))
    exact = np.stack([truth.wide for truth in truths])
    results = overflow.read(computed[rows], exact, fmt, contract.overflow)
    way = overflow.observed(computed[rows], exact, fmt, contract.overflow)
    limits, source = thresholds(definition, contract, fmt, judged, truths, gradient=gradient)
    errors = ulp_error(results, _stacked(truths))
    # Nothing excuses NaN, nor an infinity for a finite result, not even an infinite limit.
    bad = ~((errors <= limits) & np.isfinite(errors))
    failed = np.flatnonzero(bad.reshape(len(rows), -1).any(axis=1))
    admitted = (
        _admitting(definition, contract, fmt, judged, truths, errors, failed, gradient=gradient)
        if failed.size
        else {}
    )
    violations = []
    for n in failed:
        error, limit = errors[n].reshape(-1), limits[n].reshape(-1)
        places = np.flatnonzero(bad[n])
        with np.errstate(all="ignore"):
            k = int(places[np.argmax((error / limit)[places])])
        violations.append(
            Violation(
                row=rows[n],
                message=f"{'gradient' if gradient else 'value'} beyond its error bound",
                detail=_told(admitted.get(int(n), ())),
                index=k,
                observed=float(np.asarray(computed[rows[n]]).reshape(-1)[k]),
                expected=overflow.stored(float(exact[n].reshape(-1)[k]), fmt, contract.overflow),
                error=float(error[k]),
                threshold=float(limit[k]),
                source=source,
                in_gradient=gradient,
                admitted_by=admitted.get(int(n), ()),
            )
        )
    verdict = Verdict(
        errors.size,
        float(np.max(errors, initial=0.0)),
        violations,
        histogram(errors),
        observed={"overflow": way} if way else {},
    )
    if not batch.cross_checked:
        return verdict
    return replace(
        verdict,
        grade=_grade(definition, contract, fmt, judged, truths, results, errors, gradient),
        excess=_excess(definition, contract, fmt, judged, truths, errors, gradient=gradient),
    )


def _stacked(truths: Sequence[Truth]) -> Truth:
    """The truths of the rows of a batch as one."""
    return Truth(
        np.stack([exact.rounded for exact in truths]),
        np.stack([exact.ulp_exponent for exact in truths]),
        np.stack([exact.offset for exact in truths]),
        np.stack([np.broadcast_to(exact.doubt, exact.rounded.shape) for exact in truths]),
    )


def _is_masked(batch: Batch, i: int) -> bool:
    """Whether the right class of a row is masked."""
    return batch.labels is not None and bool(batch.logits[i, batch.labels[i]] == -np.inf)


def _grade(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    truths: Sequence[Truth],
    results: NDArray[Any],
    errors: NDArray[np.float64],
    gradient: bool,
) -> str | None:
    """The grade of the results of a batch; None where no class has a proven bound."""
    if (definition.gradient_bound if gradient else definition.error_bound) is None:
        return None
    flat = errors.reshape(len(errors), -1)

    def fits(model: Model, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        some, exact = batch.rows(rows), [truths[n] for n in rows]
        limits = bounds_in_ulp(definition, model, fmt, some, exact, gradient=gradient)
        assert limits is not None
        within = (flat[rows] <= limits.reshape(len(rows), -1)) & np.isfinite(flat[rows])
        found = np.asarray(within.all(axis=1))
        if gradient or not found.any():
            return found
        signed = signed_error(results[rows], _stacked(exact))
        with np.errstate(over="ignore"):  # of a result far beyond the range
            ulp = np.ldexp(1.0, np.stack([truth.ulp_exponent for truth in exact]))
        return found & have_a_common_part(definition, model, some.logits.T, signed.T, ulp.T)

    return grade(flat, fmt, contract.flush_to_zero == "yes", fits)


def _admitting(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    truths: Sequence[Truth],
    errors: NDArray[np.float64],
    failed: NDArray[np.intp],
    *,
    gradient: bool,
) -> dict[int, tuple[str, ...]]:
    """For rows that failed, the settings of a contract that would have admitted them."""
    if (fmt.name in contract.ulps or contract.standard != "none") and not gradient:
        return {}
    found: dict[int, tuple[str, ...]] = {}
    left = failed[np.isfinite(errors[failed]).reshape(len(failed), -1).all(axis=1)]
    asked = (contract.accumulator, contract.summation, contract.arithmetic)
    for settings, model in _wider_models(fmt, contract.flush_to_zero, *asked):
        if not left.size:
            break
        exact = [truths[n] for n in left]
        limits = bounds_in_ulp(definition, model, fmt, batch.rows(left), exact, gradient=gradient)
        if limits is None:
            return {}
        admitted = (errors[left] <= limits).reshape(len(left), -1).all(axis=1)
        found |= dict.fromkeys(map(int, left[admitted]), settings)
        left = left[~admitted]
    return found


@functools.cache  # asked for at every failure, and of each a hundred times when it is shrunk
def _wider_models(
    fmt: Format, flush_to_zero: str | None, accumulator: str, summation: str, arithmetic: str
) -> tuple[tuple[tuple[str, ...], Model], ...]:
    """Settings that make a contract admit more, the fewest changes first, each with its model.

    Of settings with the same model, the first.
    """
    contract = Contract(
        flush_to_zero=flush_to_zero,
        accumulator=accumulator,
        summation=summation,
        arithmetic=arithmetic,
    )
    found: dict[Model, tuple[str, ...]] = {model_of(contract, fmt): ()}
    for settings in wider_contracts(contract):
        found.setdefault(model_of(contract.with_settings(settings), fmt), tuple(settings))
    return tuple((settings, model) for model, settings in found.items() if settings)


def _told(settings: Sequence[str]) -> str:
    """What a finding says of the settings that would admit it."""
    if not settings:
        return ""
    declared = " ".join(f"--contract {setting}" for setting in settings)
    return f"It is within the bound of {', '.join(settings)}: if it is made so, {declared}"


def _excess(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    truths: Sequence[Truth],
    errors: NDArray[np.float64],
    *,
    gradient: bool,
) -> Excess | None:
    """The largest error of a batch beside that of the reference form on the same rows.

    None where the reference form gives nothing finite, as where its intermediate results overflow.
    Results below the normal range are left out where they may be flushed.
    """
    worst = least = 0.0
    compared = False
    for i, exact in enumerate(truths):
        counts = np.ones(errors[i].shape, dtype=bool)
        if contract.flush_to_zero == "yes":
            counts = np.abs(exact.wide) >= 2.0**fmt.emin
        theirs = _reference_error(definition, contract, fmt, batch, i, exact, gradient)
        if math.isfinite(theirs) and counts.any():
            compared = True
            worst = max(worst, float(np.max(errors[i][counts])))
            least = max(least, theirs)
    return Excess(batch.family, worst, least) if compared else None


def _reference_error(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    i: int,
    exact: Truth,
    gradient: bool,
) -> float:
    """The largest error of the reference form at row i, kept for the other subjects."""
    row, label = batch.logits[i], label_of(batch, i)
    what = (definition.name, fmt.name, row.tobytes(), label, gradient)
    key = (*what, contract.arithmetic, contract.accumulator, contract.summation)
    if key not in _reference_errors:
        if len(_reference_errors) >= MOST_REFERENCES:
            _reference_errors.clear()
        found = evaluate(definition, contract, fmt, row, label, gradient=gradient)
        _reference_errors[key] = max(
            float(np.max(ulp_error(form, exact), initial=0.0)) for form in found
        )
    return _reference_errors[key]


MOST_REFERENCES = 20_000
_reference_errors: dict[tuple[Any, ...], float] = {}
