"""``softproof bench OPERATION``: ratios of times, interleaved."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn

from .command_line import (
    FLOAT32,
    Dtype,
    demand_folders,
    fail,
    make_console,
    progress_bar,
    write_files,
    write_json,
)

bench_app = typer.Typer(no_args_is_help=True, help="Time against peers: ratios, interleaved.")


@bench_app.command("radius")
def bench_radius(
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
) -> None:
    """Time the bounds of the radius, and the nearest zero against other ways to find it."""
    from ..bench.radius import bench, print_bench

    demand_folders(json)
    with progress_bar() as progress:
        task = progress.add_task("bench", total=None)
        found = bench(lambda what: progress.update(task, description=what))
    print_bench(found, make_console())
    write_json(found, json)


def _bench_kernels(
    operation: str,
    shape: list[str] | None,
    dtype: str,
    threads: list[str] | None,
    distributions: bool,
    roofline: bool,
    rounds: int,
    json: Path | None,
    plot: Path | None,
) -> None:
    """What the commands of `bench` that time kernels have in common: all but the name."""
    from ..bench import adversarial_inputs, operations, row_length
    from ..bench.allocator import ChildError, plan_with_pages_kept, run_with_pages_kept
    from ..bench.machine import about
    from ..bench.plot import draw_bad_days, draw_cases, draw_row_lengths
    from ..bench.problems import BAD_DAY_SHAPES, SHAPES, demand_memory, parse_shape
    from ..plots.plot import demand_ending, save
    from ..reports.strict_json import write_json as write_strictly

    if distributions and roofline:
        fail("--distributions and --roofline are two measurements; give one of them")
    if roofline and operation != row_length.OPERATION:
        fail("--roofline compares the algorithms of softmax: softproof bench softmax --roofline")
    if roofline and shape:
        fail("--roofline measures one row of its own lengths; leave out --shape")
    demand_folders(json, plot)
    try:
        if plot:
            demand_ending(plot)
        default = row_length.SHAPES if roofline else BAD_DAY_SHAPES if distributions else SHAPES
        shapes = [parse_shape(text) for text in shape] if shape else list(default)
        demand_memory(shapes, dtype)
        # A row of the lengths of --roofline is rarely worth a second thread.
        counts = _counts(threads) if threads or not roofline else [1]
    except ValueError as error:
        fail(str(error))
    found: list[dict[str, Any]] = []
    laid_out: dict[str, Any] = {"operation": operation, "dtype": dtype, "rounds": rounds}
    laid_out |= {"interrupted": False, "failed": None}
    with progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("bench")

        def tell(what: str) -> None:
            progress.update(task, description=what)

        show: Callable[[list[dict[str, Any]], Console], None]
        draw: Callable[[list[dict[str, Any]], dict[str, Any]], Any]
        if roofline:
            key, show, draw = "row_lengths", row_length.print_row_lengths, draw_row_lengths
            total = len(shapes) * len(counts)
            runs = [row_length.run(dtype, shapes, counts, rounds, tell=tell)]
        elif distributions:
            key, show, draw = "bad_days", adversarial_inputs.print_bad_days, draw_bad_days
            total = adversarial_inputs.plan(operation, dtype, shapes, counts)
            runs = [adversarial_inputs.run(operation, dtype, shapes, counts, rounds, tell=tell)]
        else:
            key, show, draw = "cases", operations.print_cases, draw_cases
            total = operations.plan(operation, shapes, counts)
            total += plan_with_pages_kept(operation, shapes, counts)
            runs = [
                operations.run(operation, dtype, shapes, counts, rounds, tell=tell),
                run_with_pages_kept(operation, dtype, shapes, counts, rounds, tell=tell),
            ]
        progress.update(task, total=total)
        try:
            for entry in itertools.chain.from_iterable(runs):
                found.append(entry)
                progress.advance(task)
        except KeyboardInterrupt:
            laid_out["interrupted"] = True
        except ChildError as error:
            laid_out["failed"] = str(error)
    console = make_console()
    measured = about()
    if found:
        show(found, console)
    console.print(_machine_told(measured), markup=False, soft_wrap=True, highlight=False)
    if laid_out["failed"]:
        console.print(f"warning: {laid_out['failed']}", markup=False, soft_wrap=True)
    figures = {**measured, **laid_out, key: found}
    write_files(
        (json, lambda path: write_strictly(figures, path)),
        (plot if found else None, lambda path: save(draw(found, measured), path)),
    )
    if laid_out["interrupted"]:
        console.print("interrupted: what was measured until then is above")
        raise typer.Exit(1)


def _counts(threads: list[str] | None) -> list[int]:
    """Numbers of threads from the texts of --threads; 1 and, where there are two, 2 for none."""
    if not threads:
        return [1, 2][: os.cpu_count() or 1]
    parts = ",".join(threads).split(",")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--threads must be numbers of at least 1, got {','.join(threads)!r}")
    return list(dict.fromkeys(int(part) for part in parts))


def _machine_told(about: dict[str, Any]) -> str:
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    where = f"{machine['processor']}, {machine['processors']} processors"
    return f"{where}, {about['date']}; {versions}."


def _add_bench_command(operation: str) -> None:
    def command(
        shape: Annotated[
            list[str] | None,
            typer.Option(metavar="ROWSxCLASSES", help="Which arrays, e.g. 4096x32768 or 1x2^26."),
        ] = None,
        dtype: Annotated[Dtype, typer.Option(help="Which format.")] = FLOAT32,
        threads: Annotated[
            list[str] | None,
            typer.Option(help="How many threads, e.g. 1,2; default 1 and, if there are two, 2."),
        ] = None,
        distributions: Annotated[
            bool,
            typer.Option("--distributions", help="On hostile rows: against normal ones, PyTorch."),
        ] = False,
        roofline: Annotated[
            bool,
            typer.Option("--roofline", help="By row length: softmax's algorithms, memory's limit."),
        ] = False,
        rounds: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 7,
        json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
        plot: Annotated[
            Path | None, typer.Option(help="Draw them into this file: .png, .svg or .pdf.")
        ] = None,
    ) -> None:
        _bench_kernels(
            operation, shape, dtype.value, threads, distributions, roofline, rounds, json, plot
        )

    command.__doc__ = (
        f"Time {operation} beside PyTorch, ONNX Runtime, LiteRT, JAX and SciPy.\n\n"
        "Candidates take turns on the same arrays in one process; what counts are ratios. "
        "Ctrl-C ends with what is known. Exit status: 0 done, 1 interrupted, 2 usage, "
        "3 an error of softproof itself."
    )
    bench_app.command(operation)(command)


for _operation in ("softmax", "log_softmax", "logsumexp", "cross_entropy"):
    _add_bench_command(_operation)
