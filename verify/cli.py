"""The command line: ``softproof verify | derive | radius | plot | subjects``.

Exit status: 0 all passed, 1 failures found, 2 usage, 3 an error of softproof itself.
"""

from __future__ import annotations

import enum
import os
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..derivations import REGISTRY, Definition, lookup
from ..derivations.formats import FORMATS, Format
from .inputs import Batch
from .properties import SUITES

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prove softmax code right: verify kernels, derive gradients, bound steps, plot errors.",
)
plot_app = typer.Typer(no_args_is_help=True, help="Draw a figure into a PNG, SVG or PDF file.")
app.add_typer(plot_app, name="plot")

Dtype = enum.Enum("Dtype", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
SuiteName = enum.Enum("SuiteName", {name: name for name in SUITES}, type=str)  # type: ignore[misc]


class Budget(enum.StrEnum):
    """How many rows each input family gets."""

    quick = "quick"
    standard = "standard"


def main() -> None:
    """Entry point of the ``softproof`` command; an error of our own exits with status 3."""
    try:
        app()
    except Exception:  # 1 would say that a subject failed
        traceback.print_exc()
        sys.exit(3)


def _fail(message: str) -> NoReturn:
    """A usage error: one clear message, exit status 2."""
    Console(stderr=True).print(f"softproof: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(2)


def _console() -> Console:
    # A table folded at 80 columns is not legible where output goes to a file or a log.
    if sys.stdout.isatty():
        return Console()
    columns = os.environ.get("COLUMNS", "")
    return Console(width=int(columns) if columns.isdecimal() and int(columns) else 150)


def _definition(name: str) -> Definition:
    try:
        return lookup(name)
    except KeyError as error:
        _fail(error.args[0])


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"softproof {version('softproof')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def verify(
    definitions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DEFINITION]...", help="Which functions; all when none is named."),
    ] = None,
    subject: Annotated[
        list[str] | None,
        typer.Option(help="A built-in subject (glob), or your own as module:attribute."),
    ] = None,
    suite: Annotated[
        list[SuiteName] | None, typer.Option(help="Which suites; default all.")
    ] = None,
    dtype: Annotated[
        list[Dtype] | None, typer.Option(help="Which formats; default float32 and float64.")
    ] = None,
    budget: Annotated[Budget, typer.Option(help="How many inputs.")] = Budget.quick,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the inputs.")] = 0,
    contract: Annotated[
        list[str] | None,
        typer.Option(help="What the subjects declare, e.g. all_masked=zero (see the README)."),
    ] = None,
    logits: Annotated[
        Path | None,
        typer.Option(help="Verify on these rows (.npy, .npz) in place of the families."),
    ] = None,
    row: Annotated[
        str | None,
        typer.Option(help="Verify on this one row: numbers, in hex or decimal, with commas."),
    ] = None,
    label: Annotated[int | None, typer.Option(min=0, help="The label of --row; default 0.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
) -> None:
    """Verify implementations against the exact values of their definitions."""
    # Imported here: the suites load the kernels and the oracles, which `--help` does not need.
    from .report import as_dict, print_failures, print_summary, print_table
    from .run import Report, plan, run
    from .subjects import SubjectError, select

    chosen = [_definition(name) for name in definitions or REGISTRY]
    given = None
    dtypes = [d.value for d in dtype] if dtype else None
    if row is not None and logits is not None:
        _fail("--row and --logits exclude each other; give one of them")
    if label is not None and row is None:
        _fail("--label is the label of --row, which is not given")
    try:
        selected = [s for pattern in subject or ["*"] for s in select(pattern, chosen)]
        subjects = list({(s.id, s.definition): s for s in selected}.values())
        if contract:
            subjects = [s.declaring(contract) for s in subjects]
        if row is not None:
            given = _given_row(row, label or 0)
        elif logits is not None:
            given, stored = _given_file(logits)
            dtypes = dtypes or [stored]
    except (SubjectError, ValueError, TypeError, OSError) as error:
        _fail(str(error))
    dtypes = dtypes or ["float32", "float64"]
    # On given rows the overflow suite would repeat the accuracy suite: they differ in inputs alone.
    default = [name for name in SUITES if given is None or name != "overflow"]
    suites = [s.value for s in suite] if suite else default
    try:
        items = plan(subjects, suites, dtypes, budget=budget.value, seed=seed, given=given)
    except ValueError as error:
        _fail(str(error))
    if not items:
        _fail(f"nothing to do: no chosen subject takes {', '.join(dtypes)} in {', '.join(suites)}")

    report = Report(seed=seed, budget=budget.value)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task("verify", total=len(items))
        for item in run(items, report):
            what = f"{item.subject.definition} {item.dtype} {item.suite} {item.family}"
            progress.update(task, advance=1, description=what)
    if not report.interrupted and not any(r.checks for r in report.results.values()):
        _fail(f"nothing to check: {', '.join(suites)} has no case for what was given")
    console = _console()
    print_table(report, console)
    print_failures(report, console)
    print_summary(report, console)
    if json is not None:
        _write(json, as_dict(report))
    raise typer.Exit(0 if report.passed and not report.interrupted else 1)


def _write(path: Path, report: dict[str, Any]) -> None:
    from .strict_json import write_json

    try:
        write_json(report, path)
    except OSError as error:
        _fail(str(error))


def _given_row(text: str, label: int) -> Any:
    values = []
    for token in text.split(","):
        try:
            value = float.fromhex(token) if "0x" in token.lower() else float(token)
        except (ValueError, OverflowError):
            raise ValueError(f"--row holds {token!r}, which is no binary64 number") from None
        if np.isinf(value) and "inf" not in token.lower():
            raise ValueError(f"--row holds {token!r}, which overflows; write inf to mean it")
        values.append(value)
    row = np.array(values)
    if label >= len(row):
        raise ValueError(
            f"--label is {label}, but --row has {len(row)} classes, 0 ... {len(row) - 1}"
        )
    return lambda definition, fmt: (_batch(definition, fmt, row[None, :], np.array([label])),)


def _given_file(path: Path) -> tuple[Any, str]:
    from .radius_report import load_array

    array = load_array(path, "logits")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"logits in {path} have shape {array.shape}; store rows x classes")
    labels = _stored_labels(path, array)
    return lambda definition, fmt: (_batch(definition, fmt, array, labels),), array.dtype.name


def _stored_labels(path: Path, logits: NDArray[Any]) -> NDArray[np.int64]:
    """The entry ``labels`` of an archive; otherwise the classes in turn."""
    rows, classes = logits.shape
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            if "labels" in archive:
                labels = archive["labels"]
                if labels.shape != (rows,) or labels.dtype.kind not in "iu":
                    raise ValueError(
                        f"labels in {path} are {labels.dtype} of shape {labels.shape}; "
                        f"store {rows} integers"
                    )
                if rows and not (labels.min() >= 0 and labels.max() < classes):
                    raise ValueError(f"labels in {path} must be in 0 ... {classes - 1}")
                return np.asarray(labels, dtype=np.int64)
    return np.asarray(np.arange(rows) % classes, dtype=np.int64)


def _batch(
    definition: Definition, fmt: Format, logits: NDArray[Any], labels: NDArray[Any]
) -> Batch:
    with np.errstate(over="ignore"):
        cast = logits.astype(fmt.dtype)
    if not np.array_equal(cast.astype(np.float64), logits.astype(np.float64), equal_nan=True):
        raise ValueError(
            f"the given logits are not representable in {fmt.name} (first such: "
            f"{_first_change(logits, cast)}); convert them first, or choose another --dtype"
        )
    return Batch("given", cast, labels if definition.labelled else None)


def _first_change(before: NDArray[Any], after: NDArray[Any]) -> str:
    changed = np.flatnonzero(before.astype(np.float64) != after.astype(np.float64))[0]
    value, near = float(before.flat[changed]), float(after.flat[changed])
    return f"{value.hex()}, nearest {near.hex()}"


@app.command()
def subjects() -> None:
    """List the built-in subjects with their contracts."""
    from .subjects import BUILT_IN

    for subject in BUILT_IN:
        typer.echo(f"{subject.definition:24} {subject.id:54} {subject.contract}")


@app.command()
def derive(
    name: Annotated[str, typer.Argument(help="A definition, e.g. softmax.")],
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX instead of text.")] = False,
) -> None:
    """Print a definition, its derivatives, its proven facts and its radius formulas."""
    from ..derivations.derive import derive as derivation

    _definition(name)
    typer.echo(derivation(name, style="latex" if latex else "text"))


@app.command()
def radius(
    logits: Annotated[Path, typer.Argument(help="Logits, samples x classes (.npy or .npz).")],
    slopes: Annotated[Path, typer.Argument(help="Their slopes along the step (.npy or .npz).")],
    step: Annotated[float | None, typer.Option(help="Length of the intended step.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all samples to this file.")] = None,
) -> None:
    """Bound how far a step may go before the Taylor series of the loss diverges."""
    from ..kernels import radius as radii
    from .radius_report import load_array, print_report, report

    try:
        z, a = load_array(logits, "logits"), load_array(slopes, "slopes")
        found = report(radii(z, a), step)
    except (ValueError, TypeError, OSError) as error:
        _fail(str(error))
    if logits == slopes and np.array_equal(z, a):
        _fail(f"{logits} gives one array for both logits and slopes; store them by these names")
    print_report(found, _console())
    if json is not None:
        _write(json, found)


@plot_app.command()
def precision(
    name: Annotated[str, typer.Argument(help="A definition, e.g. softmax.")],
    output: Annotated[Path, typer.Option(help="The file to write: .png, .svg or .pdf.")],
) -> None:
    """Draw error against precision for the forms of a definition, with the proven bound."""
    from .plots import demand_ending, save
    from .plots import precision as draw

    _definition(name)
    try:
        demand_ending(output)  # before the work, not after it
    except ValueError as error:
        _fail(str(error))
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task(f"precision of {name}", total=None)
        figure = draw(
            name, progress=lambda done, total: progress.update(task, completed=done, total=total)
        )
    try:
        save(figure, output)
    except (ValueError, OSError) as error:
        _fail(str(error))
    typer.echo(f"wrote {output}")
