"""The command line: ``softproof verify | compare | derive | claims | radius | plot | ...``.

Exit status: 0 all passed, 1 failures found, 2 usage, 3 an error of softproof itself.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.resources import files
from json import loads as load_json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
)

from ..derivations import REGISTRY
from ..derivations.formats import FORMATS
from .cli_plot import plot_app
from .command_line import console as _console
from .command_line import definition as _definition
from .command_line import demand_folders as _demand_folders
from .command_line import fail as _fail
from .command_line import progress_bar as _progress
from .properties import BUDGETS, SUITES
from .subjects.subject import LIBRARIES, Subject

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prove softmax code right: verify kernels, derive gradients, bound steps, plot errors.",
)
app.add_typer(plot_app, name="plot")
bench_app = typer.Typer(no_args_is_help=True, help="Time against peers: ratios, interleaved.")
app.add_typer(bench_app, name="bench")

Dtype = enum.Enum("Dtype", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
SuiteName = enum.Enum("SuiteName", {name: name for name in SUITES}, type=str)  # type: ignore[misc]


Library = enum.Enum("Library", {name: name for name in LIBRARIES}, type=str)  # type: ignore[misc]


Budget = enum.Enum("Budget", {name: name for name in BUDGETS}, type=str)  # type: ignore[misc]
QUICK = Budget("quick")
FLOAT32 = Dtype("float32")


def main() -> None:
    """Entry point of the ``softproof`` command; an error of our own exits with status 3."""
    try:
        app()
    except Exception:  # 1 would say that a subject failed
        traceback.print_exc()
        sys.exit(3)


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
        typer.Option(
            help="A known subject (glob), your own as module:attribute, or a program's command."
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
    store: Annotated[
        Path | None,
        typer.Option(help="Keep results in this SQLite file as they come; go on with it later."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="The same as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(help="The same as an HTML page.")] = None,
) -> None:
    """Verify implementations against the exact values of their definitions."""
    # Imported here: the suites load the kernels and the oracles, which `--help` does not need.
    from .declared import Declarations, load
    from .given import given_file, given_row
    from .processes import processes_for, run_in_processes
    from .reports.plain import as_dict
    from .reports.terminal import print_collapses, print_failures, print_summary, print_table
    from .run import Report, plan, run
    from .store import Store, StoreError
    from .subjects.built_in import BUILT_IN, select
    from .subjects.subject import SubjectError
    from .subjects.workers import Workers

    chosen = [_definition(name) for name in definitions or REGISTRY]
    given = None
    dtypes = [d.value for d in dtype] if dtype else None
    if row is not None and logits is not None:
        _fail("--row and --logits exclude each other; give one of them")
    if label is not None and row is None:
        _fail("--label is the label of --row, which is not given")
    try:
        declared = load(subjects) if subjects else Declarations()
        if subjects:  # modules beside the file can be named in it
            sys.path.insert(0, str(subjects.parent.absolute()))
        _demand_folders(json, junit, html)
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
        _fail(str(error))
    # A file tells which formats its subjects are to be judged in.
    told = {d for s in tested if s.declared_in for d in s.dtypes}
    dtypes = dtypes or [d for d in FORMATS if d in {"float32", "float64", *told}]
    # On given rows the overflow suite would repeat the accuracy suite: they differ in inputs alone.
    default = [name for name in SUITES if given is None or name != "overflow"]
    suites = [s.value for s in suite] if suite else default
    try:
        items = plan(tested, suites, dtypes, budget=budget.value, seed=seed, given=given)
    except ValueError as error:
        _fail(str(error))
    if not items:
        if skipped and not tested:
            why = "; ".join(dict.fromkeys(skipped.values()))
        elif not any(d in s.dtypes for s in tested for d in dtypes):
            why = f"no chosen subject takes {', '.join(dtypes)}"
        else:
            why = "; ".join(map(_when, suites))
        _fail(f"nothing to do: {why}")
    report = Report(seed, budget.value, tested, skipped, declared.expected)
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(Workers())
        try:
            workers.load(s for s in tested if s not in BUILT_IN)
            kept = stack.enter_context(Store(store, items, report)) if store else None
        except (SubjectError, StoreError) as error:
            _fail(str(error))
        if kept and kept.count:
            typer.echo(f"{kept.count} of {len(items)} results known from {store}", err=True)
        progress = stack.enter_context(_progress(MofNCompleteColumn()))
        task = progress.add_task("verify", total=len(items))
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
    if not report.interrupted and not any(r.checks for r in report.results.values()):
        _fail(f"nothing to check: {', '.join(suites)} has no case for what was given")
    console = _console()
    print_table(report, console)
    print_collapses(report, console)
    print_failures(report, console)
    print_summary(report, console)
    warnings = declared.unmatched([*BUILT_IN, *found]) + declared.fixed(report.results.values())
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    _write(as_dict(report), json, junit, html)
    raise typer.Exit(0 if report.passed else 1)


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


def _write(
    report: dict[str, Any], json: Path | None, junit: Path | None = None, html: Path | None = None
) -> None:
    from .reports.html import html as page
    from .reports.junit import junit as xml
    from .strict_json import write_json

    try:
        if json is not None:
            write_json(report, json)
        if junit is not None:
            junit.write_text(xml(report), encoding="utf-8")
        if html is not None:
            html.write_text(page(report), encoding="utf-8")
    except OSError as error:
        _fail(str(error))


@app.command()
def subjects() -> None:
    """List the built-in subjects with their contracts."""
    from .subjects.built_in import BUILT_IN

    for subject in BUILT_IN:
        skipped = f"   (skipped: {word})" if (word := subject.missing()) else ""
        typer.echo(f"{subject.definition:24} {subject.id:54} {subject.contract}{skipped}")


@app.command()
def regressions(
    scripts: Annotated[
        bool, typer.Option("--scripts", help="Print each failure, with a script that shows it.")
    ] = False,
) -> None:
    """Show how NumPy, SciPy, the frameworks and our kernels fare on bugs of the past."""
    from .cases import load
    from .regressions import print_failures, print_table, table
    from .run import Report
    from .subjects.built_in import BUILT_IN
    from .subjects.workers import Workers

    asked = {probe.definition for case in load() for probe in case.probes}
    here = [s for s in BUILT_IN if s.definition in asked and s.missing() is None]
    with Workers() as workers, _progress(MofNCompleteColumn()) as progress:
        task = progress.add_task("regressions", total=len(here))
        rows = table(
            (workers.connect(s) for s in here),
            lambda name: progress.update(task, advance=1, description=name),
        )
    console = _console()
    print_table(rows, console)
    versions = Report(0, "quick", here).versions
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    console.print(told, highlight=False)
    if scripts:
        print_failures(rows, console)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="A store that `verify --store` wrote.")],
    after: Annotated[Path, typer.Argument(help="A later one.")],
    json: Annotated[Path | None, typer.Option(help="Write the comparison to this file.")] = None,
) -> None:
    """Compare two stores: what got better, what got worse."""
    from .compare import as_dict, print_comparison
    from .compare import compare as hold_against
    from .store import StoreError

    try:
        comparison = hold_against(before, after)
    except StoreError as error:
        _fail(str(error))
    print_comparison(comparison, _console())
    _write(as_dict(comparison), json)
    raise typer.Exit(1 if comparison.worse else 0)


@app.command()
def report(
    stored: Annotated[Path, typer.Argument(help="A report that `verify --json` wrote.")],
    junit: Annotated[Path | None, typer.Option(help="Write it as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write it as an HTML page.")] = None,
) -> None:
    """Make other forms of a stored report."""
    from .reports.plain import SCHEMA

    if junit is None and html is None:
        _fail("nothing to write: give --junit or --html")
    try:
        data = load_json(stored.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not {"schema", "results"} <= data.keys():
            raise ValueError("that is no report of `verify --json`")
        if data["schema"] != SCHEMA:
            raise ValueError(f"it has schema {data['schema']}, and this softproof reads {SCHEMA}")
    except (OSError, ValueError) as error:
        _fail(f"{stored}: {error}")
    _write(data, None, junit, html)


@app.command()
def consistency(
    tau: Annotated[
        list[float] | None, typer.Option(min=0, help="Which tau; default 0, 1/4 ... 3.")
    ] = None,
    classes: Annotated[
        list[int] | None, typer.Option(min=2, help="Which numbers of classes; default 2 ... 10.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Random instances for each.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the instances.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
) -> None:
    """Prove the H-consistency bounds of comp-sum losses on instances, and where they are tight."""
    from .consistency import CLASSES, TAUS, attainment, every_check
    from .consistency_report import as_dict, print_attainment, print_checks

    _demand_folders(json)
    taus, sizes = sorted(set(tau or TAUS)), sorted(set(classes or CLASSES))
    checks = []
    with _progress() as progress:
        task = progress.add_task("consistency", total=None)
        for check in every_check(taus, sizes, trials=trials, seed=seed):
            checks.append(check)
            progress.update(task, advance=1, description=check.statement)
        found = [attainment(t, n) for t in taus for n in sizes]
    console = _console()
    print_attainment(found, console)
    print_checks(checks, console)
    _write(as_dict(found, checks), json)
    raise typer.Exit(0 if all(c.proven for c in checks) else 1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the report that `verify --json` writes."""
    typer.echo(files("softproof.verify").joinpath("data/report.schema.json").read_text("utf-8"))


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
def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Which, in detail (patterns too); default all."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write all of them, with their evidence, to this file.")
    ] = None,
) -> None:
    """Settle what the papers claim: proven, confirmed, refuted, and by which means.

    Without names a table of all claims; with names, each of them in detail. Timings run only
    by name. Every checker also judges a false variant of a true claim, and a true one of a false.

    Exit status: 0 done, 1 interrupted or a checker does not tell a claim from
    its opposite, 2 usage, 3 an error of softproof itself.
    """
    from .claims import chosen, settle
    from .claims.report import as_dict, print_details, print_table
    from .run import Report

    _demand_folders(json)
    try:
        selected = chosen(names or [])
    except ValueError as error:
        _fail(str(error))
    settled = []
    with _progress(MofNCompleteColumn()) as progress, contextlib.suppress(KeyboardInterrupt):
        task = progress.add_task("claims", total=len(selected))
        for claim in selected:
            progress.update(task, description=claim.name)
            settled.append(settle(claim, named=claim.name in (names or [])))
            progress.advance(task)
    interrupted = len(settled) < len(selected)
    (print_details if names else print_table)(settled, _console())
    _write(as_dict(settled, interrupted, Report(0, "quick", []).versions), json)
    if interrupted or any(entry.told_apart is False for entry in settled):
        raise typer.Exit(1)


@app.command()
def radius(
    logits: Annotated[Path, typer.Argument(help="Logits z, samples x classes (.npy or .npz).")],
    slopes: Annotated[
        Path, typer.Argument(help="Slopes a along the step, per unit of t (.npy or .npz).")
    ],
    step: Annotated[
        float | None, typer.Option(help="Length of the intended step, in the unit of t.")
    ] = None,
    certify: Annotated[
        bool,
        typer.Option("--certify", help="Enclose every radius with proof, check, and compare."),
    ] = False,
    curvatures: Annotated[
        Path | None,
        typer.Option(
            help="b of logits z + a t + b t^2 (.npy or .npz): certify the radius of those, too."
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(
            help="Write all samples to this file; infinity as 1e999, what is not known as null."
        ),
    ] = None,
) -> None:
    """Bound how far a step may go before the Taylor series of the loss diverges.

    Along the step the logits of a sample are z + a t. Radii and --step have
    the unit of t: the norm of the update if the slopes are along a direction
    of length 1, whole updates if they are along the update itself.

    Arrays are float32 or float64. Of an .npz file the entries logits, slopes
    and curvatures are read, or its only one: one file may be given for each.

    Exit status: 0 done, 1 certificates and radii disagree (an error of
    softproof) or certification was interrupted, 2 usage, 3 an error of
    softproof itself.
    """
    from ..kernels import radius as radii
    from .radius_report import (
        certify_samples,
        demand_step,
        load_array,
        load_samples,
        print_report,
        report,
    )

    _demand_folders(json)
    work = []
    try:
        demand_step(step)
        z, a = load_samples(logits, slopes)
        b = load_array(curvatures, "curvatures") if curvatures else None
        with _progress() as progress:
            progress.add_task("radii (the first run compiles the kernels)", total=None)
            found = radii(z, a)
        if certify or curvatures:
            work.append(("certify", certify_samples(z, a)))
        if b is not None:
            work.append(("certify with curvatures", certify_samples(z, a, b)))
    except (ValueError, TypeError, OSError) as error:
        _fail(str(error))
    done: list[list[Any]] = [[] for _ in work]
    with _progress(MofNCompleteColumn()) as progress, contextlib.suppress(KeyboardInterrupt):
        for (what, samples), results in zip(work, done, strict=True):
            task = progress.add_task(what, total=len(found.spread))
            for sample in samples:
                results.append(sample)
                progress.advance(task)
    laid_out = report(found, step, *done)
    print_report(laid_out, _console())
    _write(laid_out, json)
    tiers = [laid_out[key] for key in ("certified", "curved") if key in laid_out]
    if any(tier["disagreeing"] or tier["interrupted"] for tier in tiers):
        raise typer.Exit(1)


@bench_app.command("radius")
def bench_radius(
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
) -> None:
    """Time the bounds of the radius, and the nearest zero against other ways to find it."""
    from .bench.radius import bench, print_bench

    _demand_folders(json)
    with _progress() as progress:
        task = progress.add_task("bench", total=None)
        found = bench(lambda what: progress.update(task, description=what))
    print_bench(found, _console())
    _write(found, json)


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
    from .bench import bad_days, kernels, row_length
    from .bench.allocator import ChildError, plan_with_pages_kept, run_with_pages_kept
    from .bench.machine import about
    from .bench.plot import draw_bad_days, draw_cases, draw_row_lengths
    from .bench.problems import BAD_DAY_SHAPES, SHAPES, demand_memory, parse_shape
    from .plots.plot import demand_ending, save

    if distributions and roofline:
        _fail("--distributions and --roofline are two measurements; give one of them")
    if roofline and operation != "softmax":
        _fail("--roofline compares the algorithms of softmax: softproof bench softmax --roofline")
    if roofline and shape:
        _fail("--roofline measures one row of its own lengths; leave out --shape")
    _demand_folders(json, plot)
    try:
        if plot:
            demand_ending(plot)
        default = row_length.SHAPES if roofline else BAD_DAY_SHAPES if distributions else SHAPES
        shapes = [parse_shape(text) for text in shape] if shape else list(default)
        demand_memory(shapes, dtype)
        # A row of the lengths of --roofline is rarely worth a second thread.
        counts = _counts(threads) if threads or not roofline else [1]
    except ValueError as error:
        _fail(str(error))
    found: list[dict[str, Any]] = []
    laid_out: dict[str, Any] = {"operation": operation, "dtype": dtype, "rounds": rounds}
    laid_out |= {"interrupted": False, "failed": None}
    with _progress(MofNCompleteColumn()) as progress:
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
            key, show, draw = "bad_days", bad_days.print_bad_days, draw_bad_days
            total = bad_days.plan(operation, dtype, shapes, counts)
            runs = [bad_days.run(operation, dtype, shapes, counts, rounds, tell=tell)]
        else:
            key, show, draw = "cases", kernels.print_cases, draw_cases
            total = kernels.plan(operation, shapes, counts)
            total += plan_with_pages_kept(operation, shapes, counts)
            runs = [
                kernels.run(operation, dtype, shapes, counts, rounds, tell=tell),
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
    console = _console()
    measured = about()
    if found:
        show(found, console)
    console.print(_machine_told(measured), markup=False, soft_wrap=True, highlight=False)
    if laid_out["failed"]:
        console.print(f"warning: {laid_out['failed']}", markup=False, soft_wrap=True)
    _write({**measured, **laid_out, key: found}, json)
    if plot and found:
        try:
            save(draw(found, measured), plot)
        except OSError as error:
            _fail(str(error))
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
