"""``softproof plot KIND --output FILE``: a command for each kind of ``plots``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import MofNCompleteColumn

from .command_line import definition, demand_folders, fail, progress_bar
from .subjects.subject import SubjectError

if TYPE_CHECKING:  # Matplotlib is slow to import, and `--help` does not need it
    from .plots.plot import Plot, Progress

plot_app = typer.Typer(no_args_is_help=True, help="Draw a figure into a PNG, SVG or PDF file.")

Output = Annotated[Path, typer.Option(help="The file to write: .png, .svg or .pdf.")]
Data = Annotated[Path | None, typer.Option(help="Write the numbers to this file, as CSV.")]


def _draw(kind: str, output: Path, data: Path | None, make: Callable[[Progress], Plot]) -> None:
    """What all kinds have in common: check the paths, show progress, write the files."""
    from .plots.plot import demand_ending

    try:
        demand_ending(output)  # before the work, not after it
    except ValueError as error:
        fail(str(error))
    demand_folders(output, data)
    try:
        with progress_bar(MofNCompleteColumn()) as bar:
            task = bar.add_task(kind, total=None)
            plot = make(lambda done, total: bar.update(task, completed=done, total=total))
        plot.save(output)
        if data is not None:
            plot.write_csv(data)
    except (ValueError, TypeError, OSError, SubjectError) as error:
        fail(str(error))
    for path in (output, data):
        if path is not None:
            typer.echo(f"wrote {path}")


@plot_app.command()
def precision(
    output: Output,
    name: Annotated[str, typer.Argument(help="A definition.")] = "softmax",
    data: Data = None,
) -> None:
    """Error against precision: the forms of a definition, the formats, the proven bound."""
    from .plots.precision import plot

    definition(name)
    _draw("precision", output, data, lambda progress: plot(name, progress=progress))
