"""The command ``softproof gate``: one candidate, or a batch of them, one verdict each."""

from __future__ import annotations

import contextlib
import math
import secrets
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from .command_line import ArrayDtype, definition, demand_folders, fail, usage_errors, write_json
from .gate_tasks import (
    FlashinferOption,
    KernelbenchOption,
    McpOption,
    ReferenceOption,
    SkillOption,
    judge_task,
    serve,
)
from .verify_options import ArraysOption, ContractOption, DeviceOption

gate_app = typer.Typer()

OUR_OWN_DEFECT = 4  # elsewhere 3, which says here that a candidate is refused
MOST_SEED = 2**64 - 1
FLOAT32 = ArrayDtype("float32")


@gate_app.command()
def gate(
    name: Annotated[
        str | None, typer.Argument(metavar="[DEFINITION]", help="What the candidate implements.")
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="The candidate: module:attribute, or the command line of a program."),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="Judge many: a file with a JSON object a line, of the entries definition, "
            "subject, and perhaps dtype, arrays, device. Judgements are printed as they come, a "
            "JSON object a line, with the number of the candidate from 0.",
        ),
    ] = None,
    dtype: Annotated[ArrayDtype, typer.Option(help="The format.")] = FLOAT32,
    arrays: ArraysOption = None,
    device: DeviceOption = None,
    contract: ContractOption = None,
    seconds: Annotated[
        float, typer.Option(help="How long each is asked, from its first answer on.")
    ] = 5.0,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST_SEED, help="What inputs are drawn from; default 64 bits, drawn anew."
        ),
    ] = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going", help="Ask on after a proof of wrongness, and list what else fails."
        ),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the judgement to this file.")] = None,
    kernelbench: KernelbenchOption = None,
    reference: ReferenceOption = None,
    flashinfer: FlashinferOption = None,
    skill: SkillOption = False,
    mcp: McpOption = False,
) -> None:
    """Judge a kernel that someone, or something, has just written, in seconds.

    The verdict is one of: right within its class; less precise than declared; wrong; refused.
    The candidate runs in a process of its own, forked from a clean one. That is isolation against
    accidents and known tricks, and no sandbox.

    Exit status: 0 right, 1 wrong or less precise than declared, 2 a usage error, 3 refused, 4 a
    defect of softproof; of a batch 1 where one is wrong, else 3 where one is refused.
    """
    if mcp:
        serve()
        return
    if not 0 < seconds < math.inf:
        fail(f"--seconds is {seconds:g}; give a number above 0")
    seed = secrets.randbits(64) if seed is None else seed
    with _defects():
        if batch is not None:
            if name or subject or contract or arrays or device or json or keep_going:
                fail("--batch goes with --seconds and --seed alone: its lines say the rest")
            status = _judge_batch(batch, seconds, seed)
        elif tasks := [task for task in (kernelbench, reference, flashinfer) if task]:
            if name is None or subject or contract or arrays or keep_going or len(tasks) > 1:
                fail("a task has one CANDIDATE.py, and goes with --dtype, --device, --seconds")
            status = judge_task(
                name,
                kernelbench=kernelbench,
                reference=reference,
                flashinfer=flashinfer,
                json=json,
                dtype=dtype.value,
                device=device or "",
                seconds=seconds,
                seed=seed,
            )
        elif name is None or subject is None:
            fail("name a DEFINITION and a --subject, or a --batch")
        else:
            demand_folders(json)
            settings = dict(s.partition("=")[::2] for s in contract or [])
            status = _judge_one(
                definition(name).name,
                subject,
                seconds,
                seed,
                json,
                dtype=dtype.value,
                arrays=arrays.value if arrays else "numpy",
                device=device or "",
                contract=settings or None,
                keep_going=keep_going,
            )
    raise typer.Exit(status)


@contextlib.contextmanager
def _defects() -> Iterator[None]:
    """End the command with a status of its own where softproof itself fails."""
    try:
        yield
    except typer.Exit:
        raise
    except Exception:
        traceback.print_exc()
        raise typer.Exit(OUR_OWN_DEFECT) from None


def _judge_one(
    name: str,
    subject: str,
    seconds: float,
    seed: int,
    json: Path | None,
    *,
    dtype: str,
    arrays: str,
    device: str,
    contract: dict[str, str] | None,
    keep_going: bool,
) -> int:
    """Judge a candidate, print the judgement, and return the exit status."""
    from ..gate import judge
    from ..gate.told import told

    with usage_errors(ValueError, TypeError):
        found = judge(
            subject,
            name,
            dtype=dtype,
            arrays=arrays,
            device=device,
            contract=contract,
            seconds=seconds,
            seed=seed,
            keep_going=keep_going,
        )
    typer.echo("\n".join(told(found)))
    write_json(found.as_dict(), json)
    return found.status


def _judge_batch(path: Path, seconds: float, seed: int) -> int:
    """Judge all candidates of a file, print judgements as they come, and return the status."""
    from ..gate.batch import judge_all, read
    from ..reports.strict_json import json_text

    with usage_errors(ValueError, OSError):
        candidates = read(path)
    statuses = set()
    for i, found in judge_all(candidates, seconds=seconds, seed=seed):
        typer.echo(json_text({"candidate": i, **found.as_dict()}))
        statuses.add(found.status)
    return next((status for status in (1, 3) if status in statuses), 0)
