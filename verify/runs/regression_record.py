"""How subjects fare on the regression cases: the table, and the scripts that show each failure."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..cases.case import CaseBatch
from ..inputs.families import Batch
from ..oracle.metrics import hexadecimal
from ..oracle.rounding import OracleError
from ..register.case_probe import CaseProbe
from ..register.record import Case, load
from ..register.row_probe import RowProbe
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, Subject, SubjectFault, short_id
from ..suites import SUITES
from ..suites.observe import observe
from ..suites.of_cases import regressions as of_cases
from ..suites.regressions import Answer, ask, is_promised
from ..suites.verdicts import Verdict, Violation, no_result
from .snippet import snippet
from .snippet_of_case import script_of

# The columns of the table: an origin, and patterns of short ids.  A subject of another library is
# in a column by the name of what it requires.  The naive forms are left out: what they break is
# known.
ORIGINS: dict[str, tuple[str, ...]] = {
    "softproof": ("kernels:[!n]*",),
    "NumPy forms": ("textbook:*_shifted", "functions_of_arrays:*"),
    "SciPy": ("scipy.special:*",),
    "scikit-learn": ("sklearn*:*",),
    "PyTorch": ("torch*:*",),
    "JAX": ("jax*:*", "optax*:*"),
    "ONNX Runtime": ("onnx*:*",),
    "CuPy": ("cupy*:*",),
}

# From the worst verdict to that of a subject that cannot be asked.
FAIL, VARIES, PASS, NOT_ASKED = "FAIL", "varies", "pass", "-"
VERDICTS = (FAIL, VARIES, PASS, NOT_ASKED)


@dataclass(frozen=True)
class Finding:
    """A probe that a subject fails; ``script`` shows it without softproof."""

    subject: Subject
    dtype: str
    batch: Batch | CaseBatch
    violation: Violation
    script: str | None


@dataclass(frozen=True)
class Outcome:
    """How one subject, or several, fared on a case.

    FAIL; VARIES where bits depend on the batch, which no one promised to be otherwise; PASS;
    NOT_ASKED where no probe could be asked.  ``worst`` names the subjects of that verdict, among
    so many that were ``asked``.
    """

    case: str
    verdict: str
    worst: tuple[str, ...]
    asked: int
    findings: tuple[Finding, ...] = ()


def check(case: Case, live: LiveSubject) -> Outcome:
    """Ask a subject all probes of a case, in all its formats.

    Parameters
    ----------
    case
        The regression case.
    live
        The subject.

    Returns
    -------
    Outcome
        The worst verdict, and what was found.
    """
    verdict, findings = NOT_ASKED, []
    contract, own = live.subject.contract, live.subject.definition
    for dtype in live.subject.dtypes:
        _settle(live, ARRAY_FORMATS[dtype])
        for probe in case.probes:
            if probe.definition != own or dtype not in probe.dtypes:
                continue
            for judged, finding in _found(case, probe, live, dtype):
                found = PASS if judged.checks else NOT_ASKED
                if judged.violations:
                    found = FAIL if is_promised(probe, contract) else VARIES
                if found == FAIL:
                    findings.append(finding(judged.violations[0]))
                verdict = min(verdict, found, key=VERDICTS.index)
    asked_at_all = int(verdict != NOT_ASKED)
    return Outcome(case.id, verdict, (short_id(live.subject.id),), asked_at_all, tuple(findings))


Found = Iterator[tuple[Verdict, Callable[[Violation], Finding]]]
"""Verdicts on a probe, and what makes a finding of a violation in each."""


def _settle(live: LiveSubject, fmt: Format) -> None:
    """Observe of a subject what it does not declare, and the verdicts on rows depend on."""
    observes = SUITES["regressions"].observes if live.definition.of_a_row else ()
    live.settle(observe(live, fmt, observes))


def _found(case: Case, probe: RowProbe | CaseProbe, live: LiveSubject, dtype: str) -> Found:
    if isinstance(probe, RowProbe):
        return _of_rows(case, probe, live, dtype)
    return _of_a_case(case, probe, live, dtype)


def _of_rows(case: Case, probe: RowProbe, live: LiveSubject, dtype: str) -> Found:
    for answer in ask(case, probe, live, ARRAY_FORMATS[dtype]):
        yield answer.verdict, functools.partial(_row_finding, live.subject, dtype, answer)


def _row_finding(subject: Subject, dtype: str, answer: Answer, violation: Violation) -> Finding:
    call, script = answer.call, None
    # A layout through strides, and a process that died, are not told in a few lines.
    if violation.observed is not None and call.layout == "contiguous":
        script = snippet(
            subject,
            call.logits,
            call.labels,
            call.options,
            place=answer.place,
            in_gradient=answer.in_gradient,
            expected=violation.expected,
            axis=call.axis,
        )
    return Finding(subject, dtype, answer.batch, violation, script)


def _of_a_case(case: Case, probe: CaseProbe, live: LiveSubject, dtype: str) -> Found:
    definition, fmt = live.definition, ARRAY_FORMATS[dtype]
    family = of_cases.family(case, probe)
    for batch in of_cases.draw(definition, family, fmt, 0, 0):
        try:
            verdict = of_cases.ask(probe, live, definition, fmt, batch)
        except (NotApplicable, OracleError):
            continue
        except SubjectFault as fault:
            verdict = no_result(fault, family)
        yield verdict, functools.partial(_case_finding, live, dtype, probe, batch)


def _case_finding(
    live: LiveSubject, dtype: str, probe: CaseProbe, batch: CaseBatch, violation: Violation
) -> Finding:
    script, suite = None, SHOWN_BY.get(probe.property)
    if suite is not None and len(batch.cases) == 1:  # a script shows one call of one case
        script = script_of(live.subject, suite, live.definition, batch.cases[0], violation)
    return Finding(live.subject, dtype, batch, violation, script)


SHOWN_BY = {"value": "accuracy", "gradient": "gradient"}  # suites whose violations scripts show


def merge(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the worst verdict of several subjects on one case.

    Parameters
    ----------
    outcomes
        Those of the subjects, one or more.

    Returns
    -------
    Outcome
        The verdict, with the names of the subjects that have it.
    """
    verdict = min((o.verdict for o in outcomes), key=VERDICTS.index)
    return Outcome(
        case=outcomes[0].case,
        verdict=verdict,
        worst=tuple(name for o in outcomes if o.verdict == verdict for name in o.worst),
        asked=sum(o.asked for o in outcomes),
        findings=tuple(f for o in outcomes for f in o.findings),
    )


def origin(subject: Subject) -> str | None:
    """Return the column of the table that a subject belongs to.

    Parameters
    ----------
    subject
        The subject.

    Returns
    -------
    str or None
        A key of ORIGINS, or the distribution that the subject requires; None for one that is left
        out of the table.
    """
    for name, patterns in ORIGINS.items():
        if any(fnmatch.fnmatchcase(short_id(subject.id), pattern) for pattern in patterns):
            return name
    return next(iter(subject.requires), None)


def table(
    subjects: Iterable[LiveSubject], progress: Callable[[str], None] | None = None
) -> dict[str, dict[str, Outcome]]:
    """Ask subjects all regression cases.

    Parameters
    ----------
    subjects
        The subjects; those that are in no column are left out.
    progress
        Is told each subject's id.

    Returns
    -------
    dict
        By case and by origin, how the subjects fare.
    """
    rows: dict[str, dict[str, list[Outcome]]] = {case.id: {} for case in load()}
    for live in subjects:
        column = origin(live.subject)
        if column is None:
            continue
        if progress is not None:
            progress(live.subject.id)
        for case in load():
            rows[case.id].setdefault(column, []).append(check(case, live))
    return {
        case: {name: merge(found) for name, found in columns.items()}
        for case, columns in rows.items()
    }


def print_table(rows: dict[str, dict[str, Outcome]], console: Console) -> None:
    """Print the table: cases down, origins across.

    Subjects are named where some of an origin fail and others do not.

    Parameters
    ----------
    rows
        What `table` returned.
    console
        Where it is printed.
    """
    columns = [*dict.fromkeys([*ORIGINS, *(name for row in rows.values() for name in row)])]
    columns = [name for name in columns if any(name in row for row in rows.values())]
    printed = Table()
    printed.add_column("case", no_wrap=True)
    for name in columns:
        printed.add_column(name)
    for case, row in rows.items():
        printed.add_row(case, *(_cell(row.get(name)) for name in columns))
    console.print(printed)
    console.print(
        f"{FAIL}, {VARIES}: all subjects of the origin that can be asked, or those named.  "
        f"{VARIES}: other bits in a batch than alone.  {NOT_ASKED}: no such keyword, format or "
        "definition.",
        highlight=False,
    )


def _cell(outcome: Outcome | None) -> str:
    if outcome is None or outcome.verdict == NOT_ASKED:
        return NOT_ASKED
    if outcome.verdict == PASS:
        return "[green]pass[/]"
    names = [name.rpartition(":")[2] for name in outcome.worst]
    told = escape(" ".join(names)) if len(names) < outcome.asked else ""
    style = "bold red" if outcome.verdict == FAIL else "yellow"
    return f"[{style}]{outcome.verdict}[/] {told}".rstrip()


def print_failures(rows: dict[str, dict[str, Outcome]], console: Console) -> None:
    """Print every failure with the script that shows it without softproof.

    Parameters
    ----------
    rows
        What `table` returned.
    console
        Where they are printed.
    """
    threads = {case.id: case for case in load()}
    for case, row in rows.items():
        findings = [f for outcome in row.values() for f in outcome.findings]
        if not findings:
            continue
        console.print(f"\n[bold]{case}[/]  {escape(', '.join(threads[case].upstream))}")
        console.print(escape(threads[case].why), soft_wrap=True)
        for found in findings:
            name = f"{found.subject.definition} {found.subject.id} {found.dtype}"
            told = f"  [bold red]FAIL[/] {escape(name)}: {escape(_told(found))}"
            console.print(told, soft_wrap=True)
            for line in (found.script or "").splitlines():
                console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)


def _told(found: Finding) -> str:
    violation = found.violation
    told = violation.message.rpartition(": ")[2]
    if violation.observed is not None:
        told += f", observed {hexadecimal(violation.observed)}"
    if violation.expected is not None:
        told += f", expected {hexadecimal(violation.expected)}"
    return told
