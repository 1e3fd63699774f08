"""``softproof bench NAME``: ratios of times, interleaved; a command for each definition."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn

from ...derivations import REGISTRY
from ..bench.problems import OPERATIONS
from .command_line import (
    FLOAT32,
    Dtype,
    definition,
    demand_folders,
    fail,
    make_console,
    progress_bar,
    usage_errors,
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


@dataclass
class _Measurement:
    """What is measured, and how it is shown.

    * ``key``: the name of the entries in what is written as JSON.
    * ``total``: how many entries there will be.
    * ``runs``: iterators over entries, which measure as they go.
    """

    key: str
    total: int
    runs: list[Iterator[dict[str, Any]]]
    show: Callable[[list[dict[str, Any]], Console], None]
    draw: Callable[[list[dict[str, Any]], dict[str, Any]], Any]


Tell = Callable[[str], None]


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
    """What the commands have in common that time an operation in the memory of the caller."""
    from ..bench import adversarial_inputs, operations, row_length
    from ..bench.allocator import plan_with_pages_kept, run_with_pages_kept
    from ..bench.plot import draw_bad_days, draw_cases, draw_row_lengths
    from ..bench.problems import BAD_DAY_SHAPES, SHAPES

    if distributions and roofline:
        fail("--distributions and --roofline are two measurements; give one of them")
    if roofline and operation != row_length.OPERATION:
        fail("--roofline compares the algorithms of softmax: softproof bench softmax --roofline")
    if roofline and shape:
        fail("--roofline measures one row of its own lengths; leave out --shape")
    default = row_length.SHAPES if roofline else BAD_DAY_SHAPES if distributions else SHAPES
    # A row of the lengths of --roofline is rarely worth a second thread.
    threads = threads or (["1"] if roofline else None)
    shapes, counts = _asked(shape, default, dtype, threads, json, plot)

    def measurement(tell: Tell) -> _Measurement:
        if roofline:
            return _Measurement(
                "row_lengths",
                len(shapes) * len(counts),
                [row_length.run(dtype, shapes, counts, rounds, tell=tell)],
                row_length.print_row_lengths,
                draw_row_lengths,
            )
        if distributions:
            return _Measurement(
                "bad_days",
                adversarial_inputs.plan(operation, dtype, shapes, counts),
                [adversarial_inputs.run(operation, dtype, shapes, counts, rounds, tell=tell)],
                adversarial_inputs.print_bad_days,
                draw_bad_days,
            )
        return _Measurement(
            "cases",
            operations.plan(operation, shapes, counts)
            + plan_with_pages_kept(operation, shapes, counts),
            [
                operations.run(operation, dtype, shapes, counts, rounds, tell=tell),
                run_with_pages_kept(operation, dtype, shapes, counts, rounds, tell=tell),
            ],
            operations.print_cases,
            draw_cases,
        )

    _measure(operation, dtype, rounds, measurement, json, plot)


def _bench_subjects(
    name: str,
    shape: list[str] | None,
    dtype: str,
    threads: list[str] | None,
    rounds: int,
    json: Path | None,
    plot: Path | None,
) -> None:
    """What the commands have in common that time the built-in subjects of a definition."""
    from ..bench import posed, registered
    from ..bench.plot import draw_cases
    from ..subjects.built_in import BUILT_IN

    of_name = definition(name)
    _demand_files(json, plot)
    with usage_errors(ValueError):
        texts = shape or ()
        shapes = [posed.parse_shape(of_name, text) for text in texts]
        shapes = shapes or list(posed.default_shapes(of_name))
        posed.demand_memory(of_name, shapes, dtype)
        # Most of them have one thread: a second is measured where it is asked for.
        counts = _counts(threads or ["1"])
    kinds, skipped = registered.kinds(of_name, dtype, BUILT_IN)
    if not kinds:
        reasons = "; ".join(f"{subject}: {why}" for subject, why in skipped.items()) or "none"
        fail(
            f"a benchmark compares at least two implementations, and of {name} in {dtype} no two "
            f"can be run here ({reasons}); write one in verify/subjects/implementations/ and "
            "register it by @subject"
        )

    def measurement(tell: Tell) -> _Measurement:
        return _Measurement(
            "cases",
            len(kinds) * len(shapes) * len(counts),
            [registered.run(of_name, kinds, skipped, dtype, shapes, counts, rounds, tell=tell)],
            registered.print_subjects,
            draw_cases,
        )

    _measure(name, dtype, rounds, measurement, json, plot)


def _asked(
    shape: list[str] | None,
    default: Sequence[tuple[int, int]],
    dtype: str,
    threads: list[str] | None,
    json: Path | None,
    plot: Path | None,
) -> tuple[list[tuple[int, int]], list[int]]:
    """The shapes and the numbers of threads; a usage error for what cannot be measured or kept."""
    from ..bench.problems import demand_memory, parse_shape

    _demand_files(json, plot)
    with usage_errors(ValueError):
        shapes = [parse_shape(text) for text in shape] if shape else list(default)
        demand_memory(shapes, dtype)
        return shapes, _counts(threads)


def _demand_files(json: Path | None, plot: Path | None) -> None:
    """A usage error for what cannot be written."""
    from ..plots.plot import demand_ending

    demand_folders(json, plot)
    if plot:
        with usage_errors(ValueError):
            demand_ending(plot)


def _measure(
    name: str,
    dtype: str,
    rounds: int,
    measurement: Callable[[Tell], _Measurement],
    json: Path | None,
    plot: Path | None,
) -> None:
    """Measure, print, and write what was asked for; exit status 1 where Ctrl-C ended it."""
    from ..bench.allocator import ChildError
    from ..bench.machine import about
    from ..plots.plot import save
    from ..reports.strict_json import write_json as write_strictly

    found: list[dict[str, Any]] = []
    laid_out: dict[str, Any] = {"operation": name, "dtype": dtype, "rounds": rounds}
    laid_out |= {"interrupted": False, "failed": None}
    with progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("bench")
        planned = measurement(lambda what: progress.update(task, description=what))
        progress.update(task, total=planned.total)
        try:
            for entry in itertools.chain.from_iterable(planned.runs):
                found.append(entry)
                progress.advance(task)
        except KeyboardInterrupt:
            laid_out["interrupted"] = True
        except ChildError as error:
            laid_out["failed"] = str(error)
    console = make_console()
    measured = about()
    if found:
        planned.show(found, console)
    console.print(_machine_told(measured), markup=False, soft_wrap=True, highlight=False)
    if laid_out["failed"]:
        console.print(f"warning: {laid_out['failed']}", markup=False, soft_wrap=True)
    figures = {**measured, **laid_out, planned.key: found}
    write_files(
        (json, lambda path: write_strictly(figures, path)),
        (plot if found else None, lambda path: save(planned.draw(found, measured), path)),
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


Shapes = Annotated[
    list[str] | None,
    typer.Option(metavar="ROWSxCLASSES", help="Which arrays, e.g. 4096x32768 or 1x2^26."),
]
Format = Annotated[Dtype, typer.Option(help="Which format.")]
Rounds = Annotated[int, typer.Option(min=1, help="How often each is timed.")]
Json = Annotated[Path | None, typer.Option(help="Write the figures to this file.")]
Figure = Annotated[Path | None, typer.Option(help="Draw them into this file: .png, .svg or .pdf.")]

HOW = (
    "Candidates take turns on the same arrays in one process; what counts are ratios. "
    "Ctrl-C ends with what is known. Exit status: 0 done, 1 interrupted, 2 usage, "
    "3 an error of softproof itself."
)


def _add_kernel_command(operation: str) -> None:
    def command(
        shape: Shapes = None,
        dtype: Format = FLOAT32,
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
        subjects: Annotated[
            bool,
            typer.Option("--subjects", help="All built-in subjects, each as it is called."),
        ] = False,
        rounds: Rounds = 7,
        json: Json = None,
        plot: Figure = None,
    ) -> None:
        if subjects and (distributions or roofline):
            fail("--subjects is a measurement of its own; leave out --distributions, --roofline")
        if subjects:
            _bench_subjects(operation, shape, dtype.value, threads, rounds, json, plot)
            return
        _bench_kernels(
            operation, shape, dtype.value, threads, distributions, roofline, rounds, json, plot
        )

    what = f"Time {operation} beside PyTorch, ONNX Runtime, LiteRT, JAX and SciPy."
    bench_app.command(operation, help=f"{what}\n\n{HOW}")(command)


def _add_subject_command(name: str) -> None:
    of_arrays = not REGISTRY[name].of_a_row

    def command(
        shape: Annotated[
            list[str] | None,
            typer.Option(metavar="SIZES", help="Which arrays, e.g. 64x1024; may be repeated."),
        ] = None,
        dtype: Format = FLOAT32,
        threads: Annotated[
            list[str] | None, typer.Option(help="How many threads, e.g. 1,2; default 1.")
        ] = None,
        rounds: Rounds = 7,
        json: Json = None,
        plot: Figure = None,
    ) -> None:
        _bench_subjects(name, shape, dtype.value, threads, rounds, json, plot)

    what = f"Time the built-in subjects of {name} beside each other."
    if of_arrays:
        axes = "x".join(("CASES", *REGISTRY[name].signature.axes))
        what += f" --shape takes {axes}: the number of cases, and the size of each axis."
    bench_app.command(name, help=f"{what}\n\n{HOW}")(command)


for _name in OPERATIONS:
    _add_kernel_command(_name)
for _name in REGISTRY:
    if _name not in OPERATIONS:
        _add_subject_command(_name)
