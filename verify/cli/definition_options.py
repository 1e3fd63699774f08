"""Options of commands that ask one definition: a user's own, values of its parameters, a case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ...derivations import Definition
from .command_line import definition, fail, usage_errors

DefinitionsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A Python file with definitions of your own, or a module that has some.",
    ),
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="A parameter of the definition, e.g. eps=1e-5; others have their defaults.",
    ),
]
CaseOption = Annotated[
    Path | None,
    typer.Option(help="A file with a case, an argument a line, as `verify` prints it."),
]


def definition_among(name: str, own: Path | None) -> Definition:
    """The definition of that name, of the catalogue or of a user's file; else a usage error.

    Parameters
    ----------
    name
        As the user wrote it.
    own
        The user's file of definitions, which is loaded; None for none.

    Returns
    -------
    Definition
        That of this name.
    """
    if own is not None:
        from ..cases.user_definitions import load_definitions

        with usage_errors(ValueError, OSError):
            load_definitions(own)
    return definition(name)


def parameters_of(asked: Definition, settings: Sequence[str] | None) -> dict[str, float]:
    """The values of parameters that are given as NAME=VALUE, but for those that are the defaults.

    A usage error for what is no parameter, no number, or outside of the range.

    Parameters
    ----------
    asked
        The definition.
    settings
        What the user wrote, each as NAME=VALUE.

    Returns
    -------
    dict
        Value by name.
    """
    found: dict[str, float] = {}
    for setting in settings or ():
        name, _, text = setting.partition("=")
        if name not in asked.parameters:
            known = ", ".join(asked.parameters) or "none"
            fail(f"{asked.name} has no parameter {name!r}; its parameters are {known}")
        declared = asked.parameters[name]
        try:
            value = float(text)
        except ValueError:
            fail(f"--parameter {setting}: {text!r} is no number; write it as {name}=0.5")
        if not declared.lower <= value <= declared.upper:
            fail(f"--parameter {setting} is outside of [{declared.lower}, {declared.upper}]")
        with usage_errors(ValueError):
            value = declared.exact(value)
        if value != declared.default:
            found[name] = value
    return found
