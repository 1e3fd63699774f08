"""The command that measures what the suites see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn

from .command_line import (
    FLOAT32,
    Dtype,
    definition,
    demand_folders,
    fail,
    make_console,
    progress_bar,
    write_json,
)
from .verify_options import QUICK, Budget, SuiteName

power_app = typer.Typer()


@power_app.command()
def power(
    definitions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DEFINITION]...",
            help="Mistakes of which functions; default all.",
        ),
    ] = None,
    suite: Annotated[
        list[SuiteName] | None, typer.Option(help="Which suites; default all of the budget.")
    ] = None,
    dtype: Annotated[list[Dtype] | None, typer.Option(help="Which formats; default float32.")] = (
        None
    ),
    budget: Annotated[
        list[Budget] | None, typer.Option(help="Which budgets; default quick.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0 on.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write what was measured to this file.")] = None,
) -> None:
    """Measure the suites: the share of planted mistakes that they see, and the smallest size.

    Ctrl-C ends it with what is known so far, and exit status 1.
    """
    from ..power.measure import Power, Setting, measure
    from ..power.mistakes import DEFINITIONS
    from ..power.report import print_power
    from ..suites import BUDGETS, SUITES

    demand_folders(json)
    chosen = [definition(name).name for name in definitions or DEFINITIONS]
    if unknown := [name for name in chosen if name not in DEFINITIONS]:
        fail(f"no mistakes of {unknown[0]} are planted; there are some of {', '.join(DEFINITIONS)}")
    console, measured = make_console(), []
    for level in budget or [QUICK]:
        reach = BUDGETS.index(level.value)
        suites = tuple(
            name
            for name, known in SUITES.items()
            if BUDGETS.index(known.budget) <= reach
            and (not suite or name in {s.value for s in suite})
        )
        if not suites:
            fail(f"no chosen suite is part of the budget {level.value}")
        for fmt in dtype or [FLOAT32]:
            found = Power(Setting(suites, fmt.value, level.value, tuple(range(seeds))))
            with progress_bar(MofNCompleteColumn()) as progress:
                task = progress.add_task("power", total=None)
                for done, count, what in measure(found, chosen):
                    progress.update(task, completed=done, total=count, description=what)
            print_power(found, console)
            measured.append(found)
            if found.interrupted:
                break
        if measured[-1].interrupted:
            break
    write_json({"power": [found.as_dict() for found in measured]}, json)
    raise typer.Exit(1 if measured[-1].interrupted else 0)
