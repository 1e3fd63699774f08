"""The steps of ``softproof verify``: select subjects, configure the run, execute it, print it.

What is wrong with the user's input ends a step with a usage error that says what to do.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn

from ...derivations import REGISTRY, Definition, lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..cases.case import Case
from ..cases.text import parse
from ..cases.user_definitions import DefinitionError, errors_of_definitions, load_definitions
from ..inputs.user_rows import Given, GivenRow, given_file, given_row
from ..reports import terminal
from ..runs import run as runs
from ..runs.conformance_file import Declarations, load
from ..runs.plan import plan
from ..runs.processes import processes_for, run_in_processes
from ..runs.results import Item, Report
from ..runs.store import Store, StoreError
from ..subjects import built_in
from ..subjects.isolation.worker_pool import Workers
from ..subjects.standards import STANDARDS
from ..subjects.subject import Subject, SubjectError
from ..suites import SUITES
from .command_line import definition, fail, progress_bar, usage_errors
from .verify_options import Inputs, Selection

HELD_TO_A_STANDARD = ("accuracy", "overflow")  # the suites whose thresholds a standard replaces


@dataclass(frozen=True)
class Selected:
    """The subjects that a selection names, and those of them that are tested."""

    declared: Declarations  # of the conformance file
    found: Sequence[Subject]
    tested: Sequence[Subject]
    skipped: dict[str, str]  # id: why it is not tested


@dataclass(frozen=True)
class Configured:
    """A run that is ready to be executed, and the report that it fills."""

    items: list[Item]
    suites: Sequence[str]
    dtypes: Sequence[str]
    given: Given | None  # the user's rows
    report: Report


def choose(names: Sequence[str], own: Path | None) -> list[Definition]:
    """The definitions that are verified, those of the user's file among them.

    Without names all that are known, or those of the file where there is one.

    Parameters
    ----------
    names
        Those that the user wrote.
    own
        The user's file of definitions; None for none.

    Returns
    -------
    list of Definition
        At least one; a usage error where a name is unknown or the file cannot be loaded.
    """
    with usage_errors(ValueError, OSError):
        loaded = load_definitions(own) if own else []
    if not names and loaded:
        return loaded
    return [definition(name) for name in names or REGISTRY]


def held_to(name: str, selection: Selection, *, named: bool) -> Selection:
    """Restrict a selection to what a published table of errors says something of.

    Parameters
    ----------
    name
        The table.
    selection
        What the user chose.
    named
        Whether the user named the definitions; where not, those of the table are taken.

    Returns
    -------
    Selection
        With the table in the contract of each subject, and the suites that it is held in; a usage
        error where the table says nothing of something that the user named.
    """
    standard = STANDARDS[name]
    silent = [d.name for d in selection.definitions if d.name not in standard.definitions]
    if named and silent:
        fail(f"{name} says nothing of {silent[0]}; it does of {', '.join(standard.definitions)}")
    definitions = [d for d in selection.definitions if d.name in standard.definitions]
    if others := [suite for suite in selection.suites if suite not in HELD_TO_A_STANDARD]:
        held = " or ".join(HELD_TO_A_STANDARD)
        fail(f"a standard is about errors: --suite {held}, not {others[0]}")
    formats = [standard.formats(d.name) for d in definitions]
    common = [name for name in formats[0] if all(name in of_one for of_one in formats)]
    for dtype in selection.dtypes:
        if not all(dtype in of_one for of_one in formats):
            fail(f"{name} says nothing of {dtype} there; it does of {', '.join(common) or 'none'}")
    return replace(
        selection,
        definitions=definitions,
        suites=selection.suites or HELD_TO_A_STANDARD,
        dtypes=selection.dtypes or [name for name in common if name == "float32"] or common,
        settings=[*selection.settings, f"standard={name}"],
    )


def select(selection: Selection) -> Selected:
    """Find the subjects, as they are declared, and decide which of them are tested.

    Parameters
    ----------
    selection
        What the user chose.

    Returns
    -------
    Selected
        The subjects; a usage error where a pattern or the conformance file is wrong.
    """
    file = selection.conformance_file
    with usage_errors(SubjectError, ValueError, TypeError, OSError):
        declared = load(file) if file else Declarations()
        if file:  # modules in the same folder can be named in it
            sys.path.insert(0, str(file.parent.absolute()))
        known = declared.among(built_in.BUILT_IN)
        # The subjects of a file are what its user wants to know of.
        patterns = selection.patterns or [s.id for s in declared.subjects] or ["*"]
        matched = [
            declared.contracted(s)
            for pattern in patterns
            for s in built_in.select(pattern, selection.definitions, known)
        ]
        found = list({(s.id, s.definition): s for s in matched}.values())
        if selection.arrays or selection.device:
            found = [_with_arrays(s, selection, known) for s in found]
        skipped = {s.id: word for s in found if (word := s.missing())}
        if not selection.patterns:
            skipped |= {s.id: f"{s.slow}; name it to run it" for s in found if s.slow}
        tested = [s for s in found if s.id not in skipped]
        if selection.settings:
            tested = [s.declaring(selection.settings) for s in tested]
        return Selected(declared, found, tested, skipped)


def _with_arrays(subject: Subject, selection: Selection, known: Sequence[Subject]) -> Subject:
    """A user's subject that takes other arrays than NumPy's."""
    if subject in known or subject.command:
        raise ValueError(
            f"--arrays and --device are for functions of your own; {subject.id} declares its own"
        )
    library = selection.arrays or subject.arrays
    needed = {"torch": ("torch",), "jax": ("jax",)}.get(library, ())
    return replace(subject, arrays=library, device=selection.device or "", requires=needed)


def configure(selection: Selection, inputs: Inputs, selected: Selected) -> Configured:
    """Read the user's rows, choose suites and formats where none are named, and plan the items.

    Parameters
    ----------
    selection, inputs
        What the user chose.
    selected
        The subjects of it.

    Returns
    -------
    Configured
        A run with at least one item; a usage error where there is nothing to do.
    """
    with usage_errors(ValueError, TypeError, OSError):
        given, stored_dtype = _given(inputs)
        case = _case(inputs, selected.tested)
    # A file tells which formats its subjects are to be judged in.
    judged_in = {d for s in selected.tested if s.declared_in for d in s.dtypes}
    dtypes = (
        selection.dtypes
        or ([stored_dtype] if stored_dtype else [])
        or [d for d in ARRAY_FORMATS if d in {"float32", "float64", *judged_in}]
    )
    # On given rows the overflow suite would repeat the accuracy suite: they differ in inputs alone.
    default = [name for name in SUITES if given is None or name != "overflow"]
    suites = selection.suites or default
    _demand_rows(given, selected.tested)
    with usage_errors(ValueError):
        items = plan(
            selected.tested,
            suites,
            dtypes,
            budget=inputs.budget,
            seed=inputs.seed,
            given=given,
            given_in=str(inputs.logits or ""),
            case=case,
        )
    if not items:
        fail(f"nothing to do: {_why_nothing(selected, suites, dtypes)}")
    report = Report(
        inputs.seed, inputs.budget, selected.tested, selected.skipped, selected.declared.expected
    )
    return Configured(items, suites, dtypes, given, report)


def _given(inputs: Inputs) -> tuple[Given | None, str | None]:
    """The user's rows, if there are any, and the format that a file stores them in."""
    if inputs.row is not None:
        return given_row(inputs.row, inputs.label or 0), None
    if inputs.logits is not None:
        return given_file(inputs.logits)
    return None, None


def _case(inputs: Inputs, tested: Sequence[Subject]) -> Callable[[Format], Case] | None:
    """The user's case, to be read in each format; ValueError where it is none of what is tested."""
    if inputs.case is None:
        return None
    try:
        text = inputs.case.read_text(encoding="utf-8")
        definition, _ = parse(text, ARRAY_FORMATS["float64"])
    except ValueError as error:
        raise ValueError(f"{inputs.case}: {error}") from None
    if others := {s.definition for s in tested} - {definition.name}:
        raise ValueError(
            f"{inputs.case} is a case of {definition.name}, not of {min(others)}; name "
            f"{definition.name} alone"
        )
    return lambda fmt: parse(text, fmt)[1]


def _demand_rows(given: Given | None, tested: Sequence[Subject]) -> None:
    """A usage error where rows are given for functions that take none."""
    named = [s.definition for s in tested if not lookup(s.definition).of_a_row]
    if given is not None and named and len(named) == len(tested):
        arguments = ", ".join(lookup(named[0]).signature.arguments)
        fail(f"{named[0]} takes {arguments}, not rows of logits; give --case")


def _why_nothing(selected: Selected, suites: Sequence[str], dtypes: Sequence[str]) -> str:
    """Why a plan has no items."""
    if selected.skipped and not selected.tested:
        return "; ".join(dict.fromkeys(selected.skipped.values()))
    if not any(d in s.dtypes for s in selected.tested for d in dtypes):
        return f"no chosen subject takes {', '.join(dtypes)}"
    chosen = [SUITES[name] for name in suites]
    return "; ".join(f"{s.name} checks {s.summary} (from --budget {s.budget})" for s in chosen)


def execute(run: Configured, store: Path | None) -> None:
    """Execute all items into the report, keeping results in the store if there is one.

    Parameters
    ----------
    run
        What is to be done; its report is filled.
    store
        The file of the store; None for none.
    """
    items, report = run.items, run.report
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(Workers())
        with usage_errors(SubjectError, StoreError):
            _load_own(workers, report.subjects)
            kept = stack.enter_context(Store(store, items, report)) if store else None
        if kept and kept.count:
            typer.echo(f"{kept.count} of {len(items)} results known from {store}", err=True)
        if (count := processes_for(items)) > 1:
            done = run_in_processes(items, report, kept, processes=count)
        else:
            done = runs.run(items, report, workers.connect, kept)
        try:
            with usage_errors(DefinitionError), errors_of_definitions():
                _show_progress(done, len(items))
        except StoreError as error:  # a full disk: what is known is still worth printing
            report.interrupted = True
            typer.echo(f"softproof: {error}", err=True)
    if not report.interrupted and not any(r.checks or r.undecided for r in report.results.values()):
        fail(f"nothing to check: {', '.join(run.suites)} has no case for what was given")


def _load_own(workers: Workers, tested: Sequence[Subject]) -> None:
    """Load the user's subjects; a usage error where none of all that are tested can be loaded."""
    missing = workers.load([s for s in tested if s not in built_in.BUILT_IN])
    if missing and len(missing) == len(tested):  # a slip in the names, and nothing to judge
        fail("; ".join(map(str, missing)))


def _show_progress(done: Iterator[Item], total: int) -> None:
    """Show on a bar which items are done, as they come."""
    with progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("verify (the first run compiles the kernels)", total=total)
        for item in done:
            what = f"{item.subject.definition} {item.dtype} {item.suite} {item.family}"
            progress.update(task, advance=1, description=what)


def print_findings(run: Configured, selected: Selected, console: Console) -> None:
    """Print the report: findings first, then what their words mean, the verdict, and warnings.

    Parameters
    ----------
    run
        What was done.
    selected
        The subjects, with what their file declares.
    console
        Where it is printed.
    """
    report, declared = run.report, selected.declared
    if isinstance(run.given, GivenRow):
        for rounding in filter(
            None, (run.given.rounding(ARRAY_FORMATS[name]) for name in run.dtypes)
        ):
            console.print(rounding, markup=False, highlight=False, soft_wrap=True)
    terminal.print_report(report, console)
    warnings = declared.unmatched([*built_in.BUILT_IN, *selected.found])
    warnings += declared.fixed(report.results.values())
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
