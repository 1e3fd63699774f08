"""The command that grades a check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import MofNCompleteColumn

from ...derivations.arithmetic.formats import FORMATS
from .command_line import (
    FLOAT32,
    Dtype,
    demand_folders,
    fail,
    make_console,
    progress_bar,
    usage_errors,
    write_json,
)
from .definition_options import DefinitionsOption, definition_among

if TYPE_CHECKING:
    from ..audit.check import Check
    from ..audit.grade import Judge

audit_app = typer.Typer()


@audit_app.command()
def audit(
    check: Annotated[
        str,
        typer.Argument(
            metavar="CHECK",
            help="A TOML file that describes a check, module:function of one, or the name of one "
            "that comes with the package.",
        ),
    ],
    definition: Annotated[
        str | None, typer.Option(help="What a function tests; a file says it itself.")
    ] = None,
    dtype: Annotated[
        Dtype | None, typer.Option(help="The format that a function tests; default float32.")
    ] = None,
    definitions: DefinitionsOption = None,
    seed: Annotated[int, typer.Option(min=0, help="What the inputs of a file depend on.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the grade to this file.")] = None,
) -> None:
    """Grade a check: which planted mistakes pass it, and what would reject them.

    A check that is a function is called with an implementation, and returns whether it accepts it.
    Exit status: 0 all mistakes are rejected and no right implementation is, 1 else, 2 usage.
    """
    from ..audit.grade import Audit, Described, called, grade
    from ..audit.report import print_audit

    demand_folders(json)
    if ":" in check and not Path(check).exists():
        if definition is None:
            fail(f"--definition is missing: which function does {check} test?")
        asked = definition_among(definition, definitions)
        fmt = FORMATS[(dtype or FLOAT32).value]
        file: Check | None = None
        judge: Judge = called(_function(check), asked)
        found = Audit(check, asked.name, fmt.name, seed)
    else:
        for option, given in (("--definition", definition), ("--dtype", dtype)):
            if given is not None:
                fail(f"{option} is for a check that is a function; the file of {check} says it")
        file = _described(check, definitions)
        asked, fmt = definition_among(file.definition, None), file.format
        judge = Described(file, seed)
        found = Audit(file.title, asked.name, fmt.name, seed, judge.noise)
    with progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("audit", total=None)
        for done, count, what in grade(found, asked, fmt, judge):
            progress.update(task, completed=done, total=count, description=what)
    print_audit(found, file, make_console())
    write_json({"audit": found.as_dict()}, json)
    raise typer.Exit(0 if found.passed else 1)


def _function(check: str) -> Any:
    """The function that a user named; a usage error where there is none."""
    from ..subjects.call import load
    from ..subjects.subject import SubjectError

    with usage_errors(SubjectError):
        return load(check).function


def _described(check: str, definitions: Path | None) -> Check:
    """The check of a file, or of the package; a usage error where there is none."""
    from ..audit.check import FILES, load, names
    from ..cases.user_definitions import load_definitions

    path = Path(check)
    if check in names() and not path.exists():
        path = FILES / f"{check}.toml"
    elif not path.is_file():
        fail(
            f"{check} is no file, nor a function as module:check; with the package come "
            f"{', '.join(names())}"
        )
    with usage_errors(ValueError, OSError):
        if definitions is not None:
            load_definitions(definitions)
        return load(path)
