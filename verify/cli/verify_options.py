"""The options of ``softproof verify``, in groups: what, on which inputs, where it runs, output."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ...derivations import REGISTRY, Definition
from ..subjects.standards import STANDARDS
from ..subjects.subject import LIBRARIES
from ..suites import BUDGETS, FORMER_NAMES, SUITES
from .command_line import ArrayDtype

SuiteName = enum.Enum("SuiteName", {name: name for name in (*SUITES, *FORMER_NAMES)}, type=str)  # type: ignore[misc]
Library = enum.Enum("Library", {name: name for name in LIBRARIES}, type=str)  # type: ignore[misc]
StandardName = enum.Enum("StandardName", {name: name for name in STANDARDS}, type=str)  # type: ignore[misc]
Budget = enum.Enum("Budget", {name: name for name in BUDGETS}, type=str)  # type: ignore[misc]
QUICK = Budget("quick")

# The panels that `--help` shows the options in.
WHAT = "What is verified"
HOW_MUCH = "On which inputs, and how many"
WHERE = "Where it runs"
OUTPUT = "Output"

HELP = f"""Verify implementations against the exact values of their definitions.

Definitions: {", ".join(REGISTRY)}.

Suites: {"; ".join(f"{name}: {suite.summary}" for name, suite in SUITES.items())}.

Exit status: 0 where nothing failed, 1 where something did or the run was interrupted, 2 for a \
usage error, 3 for a defect of softproof.
"""

DefinitionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DEFINITION]...", help="Which functions; all when none is named."),
]
SubjectOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A known subject (glob), your own as module:attribute, or a program's command; "
        "of several definitions your own is asked of the one in its name.",
        rich_help_panel=WHAT,
    ),
]
SubjectsOption = Annotated[
    Path | None,
    typer.Option(
        help="A TOML file with subjects, contracts and expected failures.", rich_help_panel=WHAT
    ),
]
SuiteOption = Annotated[
    list[SuiteName] | None,
    typer.Option(help="Which suites; default all.", rich_help_panel=WHAT),
]
DtypeOption = Annotated[
    list[ArrayDtype] | None,
    typer.Option(help="Which formats; default float32 and float64.", rich_help_panel=WHAT),
]
ContractOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What the subjects declare, e.g. all_masked=zero (see the README); of what is not "
        "declared it is observed what they do.",
        rich_help_panel=WHAT,
    ),
]
StandardOption = Annotated[
    StandardName | None,
    typer.Option(
        help="Hold values to this published table of errors in place of a proven bound; the suites "
        "are accuracy and overflow, the definitions those that it says something of, in float32.",
        rich_help_panel=WHAT,
    ),
]
ArraysOption = Annotated[
    Library | None,
    typer.Option(help="Whose arrays your own subject takes; default numpy.", rich_help_panel=WHERE),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(help="Where its arrays live, as that library names it.", rich_help_panel=WHERE),
]
BudgetOption = Annotated[Budget, typer.Option(help="How many inputs.", rich_help_panel=HOW_MUCH)]
SeedOption = Annotated[
    int, typer.Option(min=0, help="Seed of the inputs.", rich_help_panel=HOW_MUCH)
]
LogitsOption = Annotated[
    Path | None,
    typer.Option(
        help="Verify on these rows (.npy, .npz) in place of the families.",
        rich_help_panel=HOW_MUCH,
    ),
]
RowOption = Annotated[
    str | None,
    typer.Option(
        help="Verify on this one row: numbers with commas, in hex, or in decimal, which is "
        "rounded to the format.",
        rich_help_panel=HOW_MUCH,
    ),
]
LabelOption = Annotated[
    int | None,
    typer.Option(min=0, help="The label of --row; default 0.", rich_help_panel=HOW_MUCH),
]
CaseOption = Annotated[
    Path | None,
    typer.Option(
        help="Verify on this one case: a file with an argument a line, as reports print it.",
        rich_help_panel=HOW_MUCH,
    ),
]
DefinitionsOption = Annotated[
    Path | None,
    typer.Option(
        "--definitions",
        help="A Python file with definitions of your own, or a module that has some.",
        rich_help_panel=WHAT,
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        help="Keep results in this SQLite file as they come; go on with it later.",
        rich_help_panel=OUTPUT,
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Warnings about suspicious errors fail, too (status 1).",
        rich_help_panel=OUTPUT,
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option(help="Write the report to this file.", rich_help_panel=OUTPUT)
]
JunitOption = Annotated[
    Path | None, typer.Option(help="The same as JUnit XML.", rich_help_panel=OUTPUT)
]
HtmlOption = Annotated[
    Path | None, typer.Option(help="The same as an HTML page.", rich_help_panel=OUTPUT)
]


@dataclass(frozen=True)
class Selection:
    """What is verified: which definitions, of which subjects, by which suites, in which formats."""

    definitions: Sequence[Definition]
    patterns: Sequence[str]  # ids and globs of subjects; empty for all
    conformance_file: Path | None
    suites: Sequence[str]  # empty for all
    dtypes: Sequence[str]  # empty for those that the subjects and inputs suggest
    settings: list[str]  # of contracts
    arrays: str | None
    device: str | None


@dataclass(frozen=True)
class Inputs:
    """The inputs of a run: families by budget and seed, or rows of the user in place of them."""

    budget: str
    seed: int
    logits: Path | None
    row: str | None
    label: int | None
    case: Path | None = None
