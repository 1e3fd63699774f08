"""The commands about what is and was verified: subjects, regressions, stores and reports."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn

from .command_line import fail, make_console, progress_bar, write_json, write_reports

verified_app = typer.Typer()


@verified_app.command()
def subjects() -> None:
    """List the built-in subjects with their contracts."""
    from ..subjects.built_in import BUILT_IN

    for subject in BUILT_IN:
        skipped = f"   (skipped: {word})" if (word := subject.missing()) else ""
        typer.echo(f"{subject.definition:24} {subject.id:54} {subject.contract}{skipped}")


@verified_app.command()
def regressions(
    scripts: Annotated[
        bool, typer.Option("--scripts", help="Print each failure, with a script that shows it.")
    ] = False,
) -> None:
    """Show how NumPy, SciPy, the frameworks and our kernels fare on bugs of the past."""
    from ..register.record import load
    from ..runs.regression_record import print_failures, print_table, table
    from ..runs.versions import installed_versions
    from ..subjects.built_in import BUILT_IN
    from ..subjects.isolation.worker_pool import Workers

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


@verified_app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="What `verify --store` or `verify --json` wrote.")],
    after: Annotated[Path, typer.Argument(help="A later one, of either kind.")],
    json: Annotated[Path | None, typer.Option(help="Write the comparison to this file.")] = None,
) -> None:
    """Compare two runs, stores or reports: what got better, what got worse."""
    from ..reports.stored_run import opened
    from ..runs.compare import as_dict, print_comparison
    from ..runs.compare import compare as hold_against
    from ..runs.store import StoreError

    try:
        comparison = hold_against(*opened(before, after))
    except StoreError as error:
        fail(str(error))
    print_comparison(comparison, make_console())
    write_json(as_dict(comparison), json)
    raise typer.Exit(1 if comparison.worse else 0)


@verified_app.command()
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
    write_reports(data, junit=junit, html=html)


@verified_app.command()
def schema() -> None:
    """Print the JSON Schema of the report that `verify --json` writes."""
    typer.echo(files("softproof.verify").joinpath("data/report.schema.json").read_text("utf-8"))
