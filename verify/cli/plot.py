"""``softproof plot KIND --output FILE``: a command for each kind of ``plots``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import MofNCompleteColumn

from ...derivations.arithmetic.formats import ARRAY_FORMATS, FORMATS
from ..cases.user_definitions import errors_of_definitions
from ..subjects.subject import SubjectError
from .command_line import demand_folders, fail, progress_bar
from .definition_options import (
    CaseOption,
    DefinitionsOption,
    ParameterOption,
    definition_among,
    parameters_of,
)

if TYPE_CHECKING:  # Matplotlib is slow to import, and `--help` does not need it
    from ..plots.plot import Plot, Progress

plot_app = typer.Typer(no_args_is_help=True, help="Draw a figure into a PNG, SVG or PDF file.")

Name = Annotated[str, typer.Argument(help="A definition.")]
Chosen = Annotated[
    list[str] | None, typer.Option(help="A subject, as of `softproof verify`; may be repeated.")
]
Logits = Annotated[
    Path | None, typer.Argument(help="Logits z, samples x classes (.npy or .npz); digits if none.")
]
Slopes = Annotated[
    Path | None, typer.Argument(help="Slopes a along the step; if none, of the file of logits.")
]
Output = Annotated[Path, typer.Option(help="The file to write: .png, .svg or .pdf.")]
Data = Annotated[Path | None, typer.Option(help="Write the numbers to this file, as CSV.")]


def _draw(output: Path, data: Path | None, make: Callable[[Progress], Plot]) -> None:
    """What all kinds have in common: check the paths, show progress, write the files."""
    from ..plots.plot import demand_ending
    from ..reports.whole_files import write_each

    try:
        demand_ending(output)  # before the work, not after it
    except ValueError as error:
        fail(str(error))
    demand_folders(output, data)
    try:
        with progress_bar(MofNCompleteColumn()) as bar, errors_of_definitions():
            task = bar.add_task("plot", total=None)
            plot = make(lambda done, total: bar.update(task, completed=done, total=total))
        write_each((output, plot.save), (data, plot.write_csv))
    except (ValueError, OSError, SubjectError) as error:
        fail(str(error))
    for path in (output, data):
        if path is not None:
            typer.echo(f"wrote {path}")


@plot_app.command()
def precision(
    output: Output,
    name: Name = "softmax",
    subject: Chosen = None,
    parameter: ParameterOption = None,
    case: CaseOption = None,
    definitions: DefinitionsOption = None,
    data: Data = None,
) -> None:
    """Error against precision: the forms of a definition, the formats, the proven bound.

    At drawn points, or at a case. Of a function of several arguments the error is relative to the
    largest entry of the result.
    """
    from ..plots.precision import plot

    parameters = parameters_of(definition_among(name, definitions), parameter)
    _draw(
        output,
        data,
        lambda progress: plot(
            name, subject or (), case=case, parameters=parameters, progress=progress
        ),
    )


@plot_app.command()
def ghosts(
    output: Output,
    logits: Logits = None,
    slopes: Slopes = None,
    row: Annotated[int, typer.Option(min=0, help="Which sample.")] = 29,
    data: Data = None,
) -> None:
    """Portrait of the partition function along a step: its complex zeros, and where none are."""
    from ..plots.complex_zeros import plot

    _draw(output, data, lambda progress: plot(logits, slopes, row=row, progress=progress))


@plot_app.command()
def taylor(
    output: Output,
    logits: Logits = None,
    slopes: Slopes = None,
    row: Annotated[int, typer.Option(min=0, help="Which sample.")] = 29,
    label: Annotated[
        int | None, typer.Option(min=0, help="The right class; default that of the file, or 0.")
    ] = None,
    order: Annotated[int, typer.Option(min=2, help="The highest order.")] = 64,
    data: Data = None,
) -> None:
    """Taylor sums of a loss along a step, inside the disc of convergence and outside it."""
    from ..plots.taylor import plot

    _draw(
        output,
        data,
        lambda progress: plot(logits, slopes, row=row, label=label, order=order, progress=progress),
    )


@plot_app.command()
def ladder(output: Output, logits: Logits = None, slopes: Slopes = None, data: Data = None) -> None:
    """How far the bounds of the radius are below the exact one, over the samples of a file."""
    from ..plots.radius_bounds import plot

    _draw(output, data, lambda progress: plot(logits, slopes, progress=progress))


@plot_app.command()
def radius(
    output: Output,
    log: Annotated[
        Path | None,
        typer.Argument(
            help="Records of a radius clip (.csv, .json, .npz); a run of our own if none."
        ),
    ] = None,
    data: Data = None,
) -> None:
    """The radius through a training run: norm of the update, radius of the batch, their ratio."""
    from ..plots.training_radius import plot

    _draw(output, data, lambda progress: plot(log, progress=progress))


@plot_app.command()
def ordinals(
    output: Output,
    name: Name = "softmax",
    subject: Chosen = None,
    dtype: Annotated[
        str, typer.Option(help=f"Which format: {', '.join(ARRAY_FORMATS)}.")
    ] = "float16",
    inputs: Annotated[
        int | None, typer.Option(min=1, help="How many; default all of 16 bits, else 8192.")
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            metavar="ARGUMENT[INDEX]",
            help="Which number of a function of several arguments, e.g. x or x[1]; default the "
            "first.",
        ),
    ] = None,
    parameter: ParameterOption = None,
    case: CaseOption = None,
    definitions: DefinitionsOption = None,
    data: Data = None,
) -> None:
    """Error in bits over all inputs, in the order of their bit patterns.

    A function of one row is called at [x, 0]; of several arguments, at a case of which one number
    is x: the one that --vary names.
    """
    from ..plots.ordinals import plot

    parameters = parameters_of(definition_among(name, definitions), parameter)
    _draw(
        output,
        data,
        lambda progress: plot(
            name,
            subject or (),
            dtype=dtype,
            inputs=inputs,
            vary=vary,
            case=case,
            parameters=parameters,
            progress=progress,
        ),
    )


@plot_app.command()
def speed(
    output: Output,
    operation: Annotated[
        str, typer.Argument(help="softmax, log_softmax, logsumexp or cross_entropy.")
    ] = "softmax",
    dtype: Annotated[str, typer.Option(help=f"Which format: {', '.join(FORMATS)}.")] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="How many threads.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 5,
    peer: Annotated[
        list[str] | None, typer.Option(help="A peer, e.g. PyTorch; default all installed.")
    ] = None,
    data: Data = None,
) -> None:
    """Time per element against size: our kernels, their peers, and what memory allows."""
    from ..bench.speed import plot

    _draw(
        output,
        data,
        lambda progress: plot(
            operation,
            dtype=dtype,
            threads=threads,
            rounds=rounds,
            peers=peer or (),
            progress=progress,
        ),
    )


@plot_app.command()
def collapse(
    output: Output,
    subject: Chosen = None,
    dtype: Annotated[str, typer.Option(help=f"Which format: {', '.join(FORMATS)}.")] = "float32",
    classes: Annotated[int, typer.Option(min=2, help="How many classes.")] = 2,
    gaps: Annotated[int, typer.Option(min=2, help="How many gaps.")] = 200,
    data: Data = None,
) -> None:
    """Softmax collapse: loss and gradient of the leading class against its gap, and errors."""
    from ..plots.collapse import plot

    _draw(
        output,
        data,
        lambda progress: plot(
            subject or (), dtype=dtype, classes=classes, count=gaps, progress=progress
        ),
    )


@plot_app.command()
def consistency(
    output: Output,
    tau: Annotated[
        list[float] | None, typer.Option(min=0.0, help="Which losses; default 0, 0.5, 1, 1.5, 2.")
    ] = None,
    classes: Annotated[int, typer.Option(min=2, help="How many classes.")] = 3,
    samples: Annotated[int, typer.Option(min=1, help="Distributions for each tau.")] = 300,
    data: Data = None,
) -> None:
    """H-consistency: T_tau and Gamma_tau of the comp-sum losses, with sampled regrets."""
    from ..plots.h_consistency import plot

    _draw(
        output,
        data,
        lambda progress: plot(tau or (), classes=classes, samples=samples, progress=progress),
    )
