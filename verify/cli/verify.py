"""The commands that verify, and those about what was verified."""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import MofNCompleteColumn

from ...derivations import REGISTRY
from ...derivations.arithmetic.formats import FORMATS
from ..subjects.subject import LIBRARIES, Subject
from ..suites import BUDGETS, FORMER_NAMES, SUITES, present_name
from .command_line import (
    Dtype,
    definition,
    demand_folders,
    fail,
    make_console,
    progress_bar,
    write_files,
    write_json,
)

verify_app = typer.Typer()

SuiteName = enum.Enum("SuiteName", {name: name for name in (*SUITES, *FORMER_NAMES)}, type=str)  # type: ignore[misc]
Library = enum.Enum("Library", {name: name for name in LIBRARIES}, type=str)  # type: ignore[misc]
Budget = enum.Enum("Budget", {name: name for name in BUDGETS}, type=str)  # type: ignore[misc]
QUICK = Budget("quick")


HELP = f"""Verify implementations against the exact values of their definitions.

Definitions: {", ".join(REGISTRY)}.

Suites: {"; ".join(f"{name}: {suite.summary}" for name, suite in SUITES.items())}.

Exit status: 0 where nothing failed, 1 where something did or the run was interrupted, 2 for a \
usage error, 3 for a defect of softproof.
"""


@verify_app.command(help=HELP)
def verify(
    definitions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DEFINITION]...", help="Which functions; all when none is named."),
    ] = None,
    subject: Annotated[
        list[str] | None,
        typer.Option(
            help="A known subject (glob), your own as module:attribute, or a program's command; "
            "of several definitions your own is asked of the one in its name."
        ),
    ] = None,
    arrays: Annotated[
        Library | None, typer.Option(help="Whose arrays your own subject takes; default numpy.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where its arrays live, as that library names it.")
    ] = None,
    subjects: Annotated[
        Path | None,
        typer.Option(help="A TOML file with subjects, contracts and expected failures."),
    ] = None,
    suite: Annotated[
        list[SuiteName] | None, typer.Option(help="Which suites; default all.")
    ] = None,
    dtype: Annotated[
        list[Dtype] | None, typer.Option(help="Which formats; default float32 and float64.")
    ] = None,
    budget: Annotated[Budget, typer.Option(help="How many inputs.")] = QUICK,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the inputs.")] = 0,
    contract: Annotated[
        list[str] | None,
        typer.Option(
            help="What the subjects declare, e.g. all_masked=zero (see the README); of what is not "
            "declared it is observed what they do."
        ),
    ] = None,
    logits: Annotated[
        Path | None,
        typer.Option(help="Verify on these rows (.npy, .npz) in place of the families."),
    ] = None,
    row: Annotated[
        str | None,
        typer.Option(
            help="Verify on this one row: numbers with commas, in hex, or in decimal, which is "
            "rounded to the format."
        ),
    ] = None,
    label: Annotated[int | None, typer.Option(min=0, help="The label of --row; default 0.")] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Keep results in this SQLite file as they come; go on with it later."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Warnings about suspicious errors fail, too (status 1)."),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="The same as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(help="The same as an HTML page.")] = None,
) -> None:
    """As HELP says."""
    # Imported here: the suites load the kernels and the oracles, which `--help` does not need.
    from ..inputs.user_rows import Given, GivenRow, given_file, given_row
    from ..reports.plain import as_dict
    from ..reports.terminal import (
        print_collapses,
        print_explanations,
        print_failures,
        print_observed,
        print_summary,
        print_table,
        print_warnings,
    )
    from ..runs.conformance_file import Declarations, load
    from ..runs.plan import plan
    from ..runs.processes import processes_for, run_in_processes
    from ..runs.results import Report
    from ..runs.run import run
    from ..runs.store import Store, StoreError
    from ..subjects.built_in import BUILT_IN, select
    from ..subjects.isolation.worker_pool import Workers
    from ..subjects.subject import SubjectError

    chosen = [definition(name) for name in definitions or REGISTRY]
    given: Given | None = None
    dtypes = [d.value for d in dtype] if dtype else None
    if row is not None and logits is not None:
        fail("--row and --logits exclude each other; give one of them")
    if label is not None and row is None:
        fail("--label is the label of --row, which is not given")
    try:
        declared = load(subjects) if subjects else Declarations()
        if subjects:  # modules beside the file can be named in it
            sys.path.insert(0, str(subjects.parent.absolute()))
        demand_folders(json, junit, html)
        known = declared.among(BUILT_IN)
        # The subjects of a file are what its user wants to know of.
        patterns = subject or [s.id for s in declared.subjects] or ["*"]
        found = [s for pattern in patterns for s in select(pattern, chosen, known)]
        found = list({(s.id, s.definition): declared.contracted(s) for s in found}.values())
        if arrays or device:
            found = [_with_arrays(s, arrays, device, known) for s in found]
        skipped = {s.id: word for s in found if (word := s.missing())}
        if not subject:
            skipped |= {s.id: f"{s.slow}; name it to run it" for s in found if s.slow}
        tested = [s for s in found if s.id not in skipped]
        if contract:
            tested = [s.declaring(contract) for s in tested]
        if row is not None:
            given = given_row(row, label or 0)
        elif logits is not None:
            given, stored = given_file(logits)
            dtypes = dtypes or [stored]
    except (SubjectError, ValueError, TypeError, OSError) as error:
        fail(str(error))
    # A file tells which formats its subjects are to be judged in.
    told = {d for s in tested if s.declared_in for d in s.dtypes}
    dtypes = dtypes or [d for d in FORMATS if d in {"float32", "float64", *told}]
    # On given rows the overflow suite would repeat the accuracy suite: they differ in inputs alone.
    default = [name for name in SUITES if given is None or name != "overflow"]
    suites = list(dict.fromkeys(present_name(s.value) for s in suite)) if suite else default
    for former in FORMER_NAMES.keys() & {s.value for s in suite or ()}:
        typer.echo(f"The suite {former} is called {present_name(former)} now.", err=True)
    try:
        items = plan(
            tested,
            suites,
            dtypes,
            budget=budget.value,
            seed=seed,
            given=given,
            given_in=str(logits or ""),
        )
    except ValueError as error:
        fail(str(error))
    if not items:
        if skipped and not tested:
            why = "; ".join(dict.fromkeys(skipped.values()))
        elif not any(d in s.dtypes for s in tested for d in dtypes):
            why = f"no chosen subject takes {', '.join(dtypes)}"
        else:
            why = "; ".join(map(_when, suites))
        fail(f"nothing to do: {why}")
    report = Report(seed, budget.value, tested, skipped, declared.expected)
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(Workers())
        try:
            own = [s for s in tested if s not in BUILT_IN]
            missing = workers.load(own)
            if missing and len(missing) == len(tested):  # a slip in the names, and nothing to judge
                fail("; ".join(map(str, missing)))
            kept = stack.enter_context(Store(store, items, report)) if store else None
        except (SubjectError, StoreError) as error:
            fail(str(error))
        if kept and kept.count:
            typer.echo(f"{kept.count} of {len(items)} results known from {store}", err=True)
        progress = stack.enter_context(progress_bar(MofNCompleteColumn()))
        what = "verify (the first run compiles the kernels)"
        task = progress.add_task(what, total=len(items))
        if (count := processes_for(items)) > 1:
            done = run_in_processes(items, report, kept, processes=count)
        else:
            done = run(items, report, workers.connect, kept)
        try:
            for item in done:
                what = f"{item.subject.definition} {item.dtype} {item.suite} {item.family}"
                progress.update(task, advance=1, description=what)
        except StoreError as error:  # a full disk: what is known is still worth telling
            report.interrupted = True
            typer.echo(f"softproof: {error}", err=True)
    if not report.interrupted and not any(r.checks or r.undecided for r in report.results.values()):
        fail(f"nothing to check: {', '.join(suites)} has no case for what was given")
    console = make_console()
    if isinstance(given, GivenRow):
        for rounding in filter(None, (given.rounding(FORMATS[name]) for name in dtypes)):
            console.print(rounding, markup=False, highlight=False, soft_wrap=True)
    print_table(report, console)
    print_failures(report, console)
    print_warnings(report, console)
    print_collapses(report, console)
    print_observed(report, console)
    print_explanations(report, console)
    print_summary(report, console)
    warnings = declared.unmatched([*BUILT_IN, *found]) + declared.fixed(report.results.values())
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    laid_out = as_dict(report)
    _write_reports(laid_out, json, junit, html)
    raise typer.Exit(0 if report.passed and not (strict and report.warned) else 1)


def _when(suite: str) -> str:
    """When a suite has something to do."""
    chosen = SUITES[suite]
    return f"{suite} checks {chosen.summary} (from --budget {chosen.budget})"


def _with_arrays(
    subject: Subject, arrays: Library | None, device: str | None, known: Sequence[Subject]
) -> Subject:
    """A user's subject that takes other arrays than NumPy's."""
    if subject in known or subject.command:
        raise ValueError(
            f"--arrays and --device are for functions of your own; {subject.id} declares its own"
        )
    library = arrays.value if arrays else subject.arrays
    needed = {"torch": ("torch",), "jax": ("jax",)}.get(library, ())
    return replace(subject, arrays=library, device=device or "", requires=needed)


def _write_reports(
    report: dict[str, Any], json: Path | None, junit: Path | None, html: Path | None
) -> None:
    """The files that were named, each whole or not at all; one that fails keeps no other back."""
    from ..reports.html import html as page
    from ..reports.junit import junit as xml
    from ..reports.strict_json import write_json
    from ..reports.whole_files import write_whole

    write_files(
        (json, lambda path: write_json(report, path)),
        (junit, lambda path: write_whole(path, xml(report))),
        (html, lambda path: write_whole(path, page(report))),
    )


@verify_app.command()
def subjects() -> None:
    """List the built-in subjects with their contracts."""
    from ..subjects.built_in import BUILT_IN

    for subject in BUILT_IN:
        skipped = f"   (skipped: {word})" if (word := subject.missing()) else ""
        typer.echo(f"{subject.definition:24} {subject.id:54} {subject.contract}{skipped}")


@verify_app.command()
def regressions(
    scripts: Annotated[
        bool, typer.Option("--scripts", help="Print each failure, with a script that shows it.")
    ] = False,
) -> None:
    """Show how NumPy, SciPy, the frameworks and our kernels fare on bugs of the past."""
    from ..runs.regression_record import print_failures, print_table, table
    from ..runs.versions import installed_versions
    from ..subjects.built_in import BUILT_IN
    from ..subjects.isolation.worker_pool import Workers
    from ..suites.regression_cases import load

    asked = {probe.definition for case in load() for probe in case.probes}
    here = [s for s in BUILT_IN if s.definition in asked and s.missing() is None]
    with Workers() as workers, progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("regressions", total=len(here))
        rows = table(
            (workers.connect(s) for s in here),
            lambda name: progress.update(task, advance=1, description=name),
        )
    console = make_console()
    print_table(rows, console)
    versions = installed_versions(here)
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    console.print(told, highlight=False)
    if scripts:
        print_failures(rows, console)


@verify_app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="A store that `verify --store` wrote.")],
    after: Annotated[Path, typer.Argument(help="A later one.")],
    json: Annotated[Path | None, typer.Option(help="Write the comparison to this file.")] = None,
) -> None:
    """Compare two stores: what got better, what got worse."""
    from ..runs.compare import as_dict, print_comparison
    from ..runs.compare import compare as hold_against
    from ..runs.store import StoreError

    try:
        comparison = hold_against(before, after)
    except StoreError as error:
        fail(str(error))
    print_comparison(comparison, make_console())
    write_json(as_dict(comparison), json)
    raise typer.Exit(1 if comparison.worse else 0)


@verify_app.command()
def report(
    stored: Annotated[Path, typer.Argument(help="A report that `verify --json` wrote.")],
    junit: Annotated[Path | None, typer.Option(help="Write it as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write it as an HTML page.")] = None,
) -> None:
    """Make other forms of a stored report."""
    from ..reports.stored import load

    if junit is None and html is None:
        fail("nothing to write: give --junit or --html")
    try:
        data = load(stored)
    except (OSError, ValueError) as error:
        fail(str(error))
    _write_reports(data, None, junit, html)


@verify_app.command()
def schema() -> None:
    """Print the JSON Schema of the report that `verify --json` writes."""
    typer.echo(files("softproof.verify").joinpath("data/report.schema.json").read_text("utf-8"))
