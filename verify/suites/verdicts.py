"""The threshold of a result, where it comes from, and whether the result keeps it."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import BINARY64, FORMATS, Format
from ...derivations.arithmetic.systems import ieee
from ...derivations.error_bounds import bounds
from ..inputs.families import Batch
from ..oracle.metrics import histogram, ulp_error
from ..oracle.truth import Truth, truth
from ..subjects.contract import Contract
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import Died, Outcome, SubjectFault

NON_INFERIORITY = 4.0
MOST_KEPT = 1024  # classes of a row whose truth is kept for other subjects


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
class Undecided:
    """A row at which the oracle decides nothing: a finding about the definition, of no subject.

    Its value may be singular there, as that of layer normalisation is where all numbers are equal.
    """

    row: int
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What a property found in a batch."""

    checks: int
    worst: float  # ulp error
    violations: list[Violation]
    errors: Mapping[int, int] = field(default_factory=dict)  # metrics.histogram
    observations: tuple[Observation, ...] = ()
    undecided: tuple[Undecided, ...] = ()


@functools.lru_cache(maxsize=20_000)
def _truth(
    name: str, fmt: str, data: bytes, label: int | None, gradient: bool, cross_check: bool
) -> Truth:
    row = np.frombuffer(data, dtype=FORMATS[fmt].dtype)
    return truth(
        lookup(name),
        row,
        FORMATS[fmt],
        label=label,
        gradient=gradient,
        cross_check=cross_check,
    )


def has_truth(definition: Definition, row: NDArray[Any]) -> bool:
    """Whether the definition has an exact value at a row; elsewhere the contract governs."""
    values = row.astype(np.float64)
    if definition.elementwise:
        if np.isfinite(values).all():
            return True
        # At an infinity the formula tells the limit, or is NaN, as x / (1 + e^-x) at -inf.
        xp = ieee(BINARY64)
        with np.errstate(all="ignore"):
            limits = [definition.formula(v, xp) for v in values[~np.isfinite(values)]]
        return not np.isnan(limits).any()
    return bool((values < np.inf).all() and np.isfinite(values).any())


def reference(
    definition: Definition,
    fmt: Format,
    batch: Batch,
    i: int,
    *,
    gradient: bool = False,
    both_oracles: bool = True,
) -> Truth:
    """The truth at row i, kept for the other subjects; the first row is asked of both oracles."""
    label = None if batch.labels is None else int(batch.labels[i])
    data = batch.logits[i].tobytes()
    # (A long row of few numbers costs the oracle little, but the cache a gigabyte.)
    ask = _truth if batch.logits.shape[1] <= MOST_KEPT else _truth.__wrapped__
    return ask(definition.name, fmt.name, data, label, gradient, both_oracles and i == 0)


def threshold(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: Batch,
    i: int,
    exact: Truth,
    *,
    gradient: bool = False,
) -> tuple[NDArray[np.float64], str]:
    """The largest admissible error of each output at row i, in ulp, and where it comes from.

    (a) what the subject promises, or the proven a-priori bound of the definition; (b) where no
    bound is proven, NON_INFERIORITY times the error that the definition's own formulas make in the
    same format at the same row (the best of them), and at least as many ulps.
    """
    promised = contract.ulps.get(fmt.name)
    if promised is not None and not gradient:
        source = "promised by the subject's contract"
        return np.full(exact.rounded.shape, promised), source
    label = None if batch.labels is None else int(batch.labels[i])
    model = bounds.Model.of(fmt, contract.accumulator, contract.flush_to_zero == "yes")
    with np.errstate(all="ignore"):
        absolute = bounds.bound(
            definition.name, batch.logits[i], model, label=label, gradient=gradient
        )
    if absolute is not None:
        source = (
            f"proven bound of {'the gradient of ' if gradient else ''}{definition.name} in "
            f"{fmt.name}, accumulator {contract.accumulator} (derivations/error_bounds/bounds.py)"
        )
        with np.errstate(all="ignore"):
            limit = absolute / np.ldexp(1.0, exact.ulp_exponent)
        # Where the exact result is infinite, or far beyond the range, only infinity is right.
        infinite = np.isinf(exact.rounded.astype(np.float64))
        far = infinite & (exact.ulp_exponent != fmt.emax - fmt.precision + 1)
        return np.where(far, 0.0, limit), source
    honest = _honest_error(definition, fmt, batch.logits[i], label, exact, gradient)
    source = f"{NON_INFERIORITY:g} times the error of the definition's own formula in {fmt.name}"
    return np.full(exact.rounded.shape, NON_INFERIORITY * max(1.0, honest)), source


def _honest_error(
    definition: Definition,
    fmt: Format,
    row: NDArray[Any],
    label: int | None,
    exact: Truth,
    gradient: bool,
) -> float:
    """The largest error over the outputs, of the best of the definition's forms."""
    forms = [definition.formula, *definition.forms.values()]
    if gradient:
        forms = [definition.gradient] if definition.gradient else []
    arguments = [row] if label is None else [row, label]
    with np.errstate(all="ignore"):
        errors = [
            float(np.max(ulp_error(np.asarray(form(*arguments, ieee(fmt))), exact), initial=0.0))
            for form in forms
        ]
    return min(errors)


def no_result(fault: SubjectFault, family: str = "", row: int = 0) -> Verdict:
    """The verdict on a call that gave nothing to judge; none on a call that was not made."""
    if isinstance(fault, Died) and not fault.called:
        return Verdict(0, 0.0, [])
    message = f"{family}: {fault}" if family else str(fault)
    return Verdict(1, 0.0, [Violation(row, message, kind=fault.kind)])


def deterministic(subject: LiveSubject, batch: Batch) -> Outcome | Verdict:
    """What two calls return alike; where they differ, the verdict that says so."""

    def twice(part: Batch) -> tuple[Outcome, bool]:
        outcome, again = (subject(part.logits, part.labels) for _ in range(2))
        return outcome, outcome.equals(again)

    outcome, same = twice(batch)
    if same:
        return outcome
    # A row that shows it alone, if there is one.
    rows = (i for i in range(len(batch.logits)) if not twice(batch.row(i))[1])
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
    """Hold a batch of results against the truth, output by output."""
    checks, worst, violations = 0, 0.0, []
    errors: Counter[int] = Counter()
    what = "gradient" if gradient else "value"
    for i in range(len(batch.logits)):
        if not has_truth(definition, batch.logits[i]):
            continue
        if gradient and batch.labels is not None and batch.logits[i, batch.labels[i]] == -np.inf:
            continue  # the right class is masked: an infinite loss has no gradient
        exact = reference(definition, fmt, batch, i, gradient=gradient)
        limit, source = threshold(definition, contract, fmt, batch, i, exact, gradient=gradient)
        error = ulp_error(computed[i], exact)
        checks += error.size
        worst = max(worst, float(np.max(error, initial=0.0)))
        errors.update(histogram(error))
        # Nothing excuses NaN, nor an infinity for a finite result, not even an infinite limit.
        bad = np.flatnonzero(~((error <= limit) & np.isfinite(error)))
        if bad.size:
            with np.errstate(all="ignore"):
                k = int(bad[np.argmax((error / limit).reshape(-1)[bad])])
            violations.append(
                Violation(
                    row=i,
                    message=f"{what} beyond its error bound",
                    index=k,
                    observed=float(np.asarray(computed[i]).reshape(-1)[k]),
                    expected=float(exact.rounded.reshape(-1)[k]),
                    error=float(error.reshape(-1)[k]),
                    threshold=float(limit.reshape(-1)[k]),
                    source=source,
                    in_gradient=gradient,
                )
            )
    return Verdict(checks, worst, violations, errors)
