"""What ``softproof gate`` does with tasks of benchmarks and with references of one's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from .command_line import demand_folders, usage_errors, write_json

BENCHMARKS = "Tasks of benchmarks, and any reference"

KernelbenchOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PROBLEM.py",
        help="A task in the format of KernelBench, in place of DEFINITION: the argument is then "
        "CANDIDATE.py, with ModelNew.",
        rich_help_panel=BENCHMARKS,
    ),
]
ReferenceOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.py:NAME",
        help="Any class or function, in a file with get_inputs(): the argument is then "
        "CANDIDATE.py or CANDIDATE.py:NAME. The verdict rests on an estimate, not on a proof.",
        rich_help_panel=BENCHMARKS,
    ),
]
FlashinferOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DEFINITION.json",
        help="A definition of FlashInfer-Bench, which has the format, too: the argument is then "
        "SOLUTION.json.",
        rich_help_panel=BENCHMARKS,
    ),
]
SkillOption = Annotated[
    bool,
    typer.Option(
        "--skill",
        help="Print SKILL.md, which teaches a coding assistant these commands.",
        is_eager=True,
        callback=lambda wanted: print_skill() if wanted else None,
    ),
]
McpOption = Annotated[
    bool,
    typer.Option(
        "--mcp",
        help="Serve the gate to assistants by the Model Context Protocol, on standard input and "
        "output. (pip install 'softproof[mcp]')",
    ),
]


def serve() -> None:
    """Serve until standard input is closed.

    Raises
    ------
    typer.Exit
        With the status 2, where the package ``mcp`` is missing.
    """
    from ..gate.mcp_server import server

    with usage_errors(ImportError):
        serving = server()
    serving.run()


def print_skill() -> None:
    """Print SKILL.md, and end the command.

    Raises
    ------
    typer.Exit
        Always, with the status 0.
    """
    text = files("softproof.verify").joinpath("data/SKILL.md").read_text("utf-8")
    typer.echo(text, nl=False)
    raise typer.Exit


def judge_task(
    candidate: str,
    *,
    kernelbench: Path | None,
    reference: str | None,
    flashinfer: Path | None,
    json: Path | None,
    dtype: str,
    **given: Any,
) -> int:
    """Judge the candidate of a task, print the judgement, and return the exit status.

    Parameters
    ----------
    candidate
        Its file, perhaps with a name.
    kernelbench, reference, flashinfer
        The task: one of them.
    json
        Where the judgement is written; None for nowhere.
    dtype
        The name of the format, of tasks that do not say it.
    **given
        What the functions of ``tasks.judging`` take besides.

    Returns
    -------
    int
        0, 1 or 3.
    """
    from ..gate.told import told
    from ..tasks import judging
    from ..tasks.flashinfer import flashinfer as judge_solution

    demand_folders(json)
    with usage_errors(ValueError, TypeError, OSError):
        if flashinfer is not None:
            found = judge_solution(flashinfer, candidate, **given)
        elif kernelbench is not None:
            found = judging.kernelbench(kernelbench, candidate, dtype=dtype, **given)
        else:
            assert reference is not None
            found = judging.by_reference(reference, candidate, dtype=dtype, **given)
    typer.echo("\n".join(told(found)))
    write_json(found.as_dict(), json)
    return found.status
