"""The commands of the mathematics: derivations, the papers' claims, radii, consistency bounds."""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import MofNCompleteColumn

from .command_line import (
    definition,
    demand_folders,
    fail,
    make_console,
    progress_bar,
    usage_errors,
    write_json,
)

if TYPE_CHECKING:  # the kernels are loaded only where a command needs them
    from numpy.typing import NDArray

    from ...kernels.step_radius.radius import Radius
    from ..studies.certified_radii import Checked

theory_app = typer.Typer()


@theory_app.command()
def derive(
    name: Annotated[str, typer.Argument(help="A definition, e.g. softmax.")],
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX instead of text.")] = False,
    definitions: Annotated[
        Path | None,
        typer.Option(help="A Python file with definitions of your own, or a module that has some."),
    ] = None,
) -> None:
    """Print a definition, its derivatives, its proven facts and its radius formulas.

    Of a function of several arguments, the derivatives by reverse mode at small sizes.
    """
    from ...derivations.page import derive as derivation

    if definitions is not None:
        from ..cases.user_definitions import load_definitions

        with usage_errors(ValueError, OSError):
            load_definitions(definitions)
    definition(name)
    typer.echo(derivation(name, style="latex" if latex else "text"))


@theory_app.command()
def catalogue(
    name: Annotated[
        str | None, typer.Argument(help="One entry, of which all is told; default: all, in a list.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Those of this family alone (patterns too).")
    ] = None,
    breaks: Annotated[
        str | None,
        typer.Option(
            metavar="DTYPE",
            help="Tell what breaks first in the published form of each definition in this format.",
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write the entries to this file, with how facts and claims are settled."),
    ] = None,
) -> None:
    """List the papers whose functions and statements are here, or tell all of one of these.

    Of a definition: its paper and source, its facts and how each is settled, its implementations,
    and what breaks first in each of its forms in float32 and bfloat16, at the smallest case found.

    Exit status: 0 done, 1 interrupted, 2 usage.
    """
    from ...derivations.arithmetic.formats import FORMATS
    from ..catalogue.breaks import what_breaks
    from ..catalogue.entries import as_dict, entries
    from ..catalogue.printed import print_breaks, print_entry, print_list

    demand_folders(json)
    known = entries()
    chosen = [e for e in known if family is None or fnmatch.fnmatchcase(e.family, family)]
    if not chosen:
        families = ", ".join(sorted({entry.family for entry in known}))
        fail(f"no family matches {family!r}; the families are {families}")
    if name is not None:
        chosen = [entry for entry in chosen if entry.name == name]
        if not chosen:
            near = difflib.get_close_matches(name, [entry.name for entry in known], n=3)
            fail(f"no entry is called {name!r}" + (f"; nearest: {', '.join(near)}" if near else ""))
    if breaks is not None and breaks not in FORMATS:
        fail(f"--breaks is {breaks!r}; give one of {', '.join(FORMATS)}")
    console = make_console()
    written, found = [], []
    functions = [name for entry in chosen for name in entry.definitions if entry.name == name]
    with progress_bar(MofNCompleteColumn()) as progress, contextlib.suppress(KeyboardInterrupt):
        total = (len(functions) if breaks else 0) + (len(chosen) if json else 0)
        task = progress.add_task("catalogue", total=total or None)
        for function in functions if breaks else ():
            progress.update(task, description=function)
            found.append(what_breaks(function, breaks or ""))
            progress.advance(task)
        for entry in chosen if json else ():
            progress.update(task, description=entry.name)
            written.append(as_dict(entry))
            progress.advance(task)
    if breaks:
        print_breaks(found, console)
    elif name is not None:
        print_entry(chosen[0], console)
    else:
        print_list(chosen, console)
    interrupted = len(found) < (len(functions) if breaks else 0)
    interrupted |= len(written) < (len(chosen) if json else 0)
    write_json({"entries": written, "interrupted": interrupted}, json)
    if interrupted:
        raise typer.Exit(1)


@theory_app.command()
def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Which, in detail (patterns too); default all."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write all of them, with their evidence, to this file.")
    ] = None,
) -> None:
    """Settle what the papers claim: proven, certified, confirmed, refuted, and by which means.

    Without names a table of all claims; with names, each of them in detail. Timings run only
    by name. Every checker also judges a false variant of a true claim, and a true one of a false.

    Exit status: 0 done, 1 interrupted or a checker does not tell a claim from
    its opposite, 2 usage, 3 an error of softproof itself.
    """
    from ..claims import chosen, settle
    from ..claims.report import as_dict, print_details, print_table
    from ..runs.versions import installed_versions

    demand_folders(json)
    try:
        selected = chosen(names or [])
    except ValueError as error:
        fail(str(error))
    settled = []
    with progress_bar(MofNCompleteColumn()) as progress, contextlib.suppress(KeyboardInterrupt):
        task = progress.add_task("claims", total=len(selected))
        for claim in selected:
            progress.update(task, description=claim.name)
            settled.append(settle(claim, named=claim.name in (names or [])))
            progress.advance(task)
    interrupted = len(settled) < len(selected)
    (print_details if names else print_table)(settled, make_console())
    write_json(as_dict(settled, interrupted, installed_versions()), json)
    if interrupted or any(entry.discriminates is False for entry in settled):
        raise typer.Exit(1)


@theory_app.command()
def radius(
    logits: Annotated[
        Path | None, typer.Argument(help="Logits z, samples x classes (.npy or .npz).")
    ] = None,
    slopes: Annotated[
        Path | None, typer.Argument(help="Slopes a along the step, per unit of t (.npy or .npz).")
    ] = None,
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
    name: Annotated[
        str | None,
        typer.Option("--definition", help="Any definition, in place of LOGITS and SLOPES."),
    ] = None,
    case: Annotated[
        Path | None, typer.Option(help="Its arguments: a line each, as reports print a case.")
    ] = None,
    direction: Annotated[Path | None, typer.Option(help="How they move, in the same form.")] = None,
    definitions: Annotated[
        Path | None,
        typer.Option(help="A Python file with definitions of your own, or a module that has some."),
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

    With --definition, --case and --direction it is the Taylor series of any
    definition f in t, of f(x + d t): a lower bound of its radius, which is
    proven by balls, and an estimate.

    Exit status: 0 done, 1 certificates and radii disagree (an error of
    softproof) or certification was interrupted, 2 usage, 3 an error of
    softproof itself.
    """
    from ..inputs.array_files import load_array, load_samples
    from ..reports.step_radii import print_report
    from ..studies.certified_radii import certify_samples
    from ..studies.radius_report import demand_step, lay_out

    demand_folders(json)
    if name is not None:
        if logits or slopes or step or certify or curvatures or case is None or direction is None:
            fail(
                "--definition goes with --case and --direction, and with neither LOGITS nor --step"
            )
        _radius_of(name, case, direction, definitions, json)
        return
    if logits is None or slopes is None or case or direction or definitions:
        fail("give LOGITS and SLOPES, or --definition with --case and --direction")
    tiers = []
    with usage_errors(ValueError, TypeError, OSError):
        demand_step(step)
        z, a = load_samples(logits, slopes)
        b = load_array(curvatures, "curvatures") if curvatures else None
        radii = _compute_radii(z, a)
        if certify or curvatures:
            tiers.append(("certify", certify_samples(z, a)))
        if b is not None:
            tiers.append(("certify with curvatures", certify_samples(z, a, b)))
    certified = _certify(tiers, total=len(radii.spread))
    laid_out = lay_out(radii, step, *certified)
    print_report(laid_out, make_console())
    write_json(laid_out, json)
    summaries = [laid_out[key] for key in ("certified", "curved") if key in laid_out]
    if any(tier["disagreeing"] or tier["interrupted"] for tier in summaries):
        raise typer.Exit(1)


def _radius_of(
    name: str, case: Path, direction: Path, definitions: Path | None, json: Path | None
) -> None:
    """Print the radius of any definition along a direction, and write it."""
    from ..cases.user_definitions import load_definitions
    from ..studies.definition_radius import definition_radius, told

    with usage_errors(ValueError, OSError):
        if definitions is not None:
            load_definitions(definitions)
        found = definition_radius(definition(name), case, direction)
    typer.echo("\n".join(told(found)))
    write_json(found, json)


def _compute_radii(z: NDArray[Any], a: NDArray[Any]) -> Radius:
    """The radii of the fast tier; a bar shows that the first run compiles."""
    from ...kernels import radius as radii

    with progress_bar() as progress:
        progress.add_task("radii (the first run compiles the kernels)", total=None)
        return radii(z, a)


def _certify(
    tiers: Sequence[tuple[str, Iterator[Checked | None]]], total: int
) -> list[list[Checked | None]]:
    """What each tier certifies; where Ctrl-C interrupts, what is done by then."""
    done: list[list[Checked | None]] = [[] for _ in tiers]
    with progress_bar(MofNCompleteColumn()) as progress, contextlib.suppress(KeyboardInterrupt):
        for (what, samples), results in zip(tiers, done, strict=True):
            task = progress.add_task(what, total=total)
            for sample in samples:
                results.append(sample)
                progress.advance(task)
    return done


@theory_app.command()
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
    from ..reports.h_consistency import as_dict, print_attainment, print_checks
    from ..studies.h_consistency import CLASSES, TAUS, attainment, every_check

    demand_folders(json)
    taus, sizes = sorted(set(tau or TAUS)), sorted(set(classes or CLASSES))
    checks = []
    with progress_bar() as progress:
        task = progress.add_task("consistency", total=None)
        for check in every_check(taus, sizes, trials=trials, seed=seed):
            checks.append(check)
            progress.update(task, advance=1, description=check.statement)
        found = [attainment(t, n) for t in taus for n in sizes]
    console = make_console()
    print_attainment(found, console)
    print_checks(checks, console)
    write_json(as_dict(found, checks), json)
    raise typer.Exit(0 if all(c.proven for c in checks) else 1)
