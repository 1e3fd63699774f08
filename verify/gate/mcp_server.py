"""The gate as a server of the Model Context Protocol, for assistants that call tools.

Each tool runs a command of softproof in a process of its own and in the caller's folder, as a
person would: what a candidate does to that process, or a module that was edited since the last
call, is no matter of the server.  Judgements are numbered from 1 and kept while the server lives.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .judgement import IMPRECISE, REFUSED, RIGHT, WRONG

Result = TypeVar("Result")

MOST_SECONDS = 600.0  # of a command
MOST_OUTPUT = 20_000  # characters of a command that are handed on
SOFTPROOF = (sys.executable, "-c", "from softproof.verify.cli.main import main; main()")
INSTRUCTIONS = (
    "softproof judges numerical kernels against exact values. Call `gate` after each change of a "
    "kernel, before you report that it is right; `explain` says how to read a verdict and what to "
    "do; `reproduce` runs the failing case again."
)
TO_DO = {
    RIGHT: "Nothing that was asked is beyond the bound of its class. Report that, with what was "
    "not asked, and run the gate once more without a seed before you rely on it.",
    IMPRECISE: "A sum, a product or an intermediate result has too few bits: the judgement says "
    "which coarser class fits. Widen it, or declare that it is meant.",
    WRONG: "The result is within the bound of no class. Mend the kernel: the case, what was "
    "observed and expected, and the likely cause say what is wrong. Do not loosen a threshold, nor "
    "special-case the input: the next ones are drawn anew.",
    REFUSED: "Nothing could be judged: it raised, returned another shape or dtype, changed its "
    "input, ended, did not return, or gave two results for one input. Mend that first.",
}


@dataclass
class Judged:
    """A judgement that the server has given.

    Attributes
    ----------
    folder
        Where the candidate is.
    told
        The judgement in words, as the command prints it.
    data
        The judgement as ``data/gate.schema.json`` describes it.
    """

    folder: Path
    told: str
    data: dict[str, Any]


@dataclass
class Tools:
    """What the server's tools do, apart from the protocol; ValueError says what was not right.

    Attributes
    ----------
    judged
        The judgements so far.
    """

    judged: list[Judged] = field(default_factory=list)

    def gate(self, folder: str, arguments: list[str]) -> dict[str, Any]:
        """Judge a candidate by the command, and keep the judgement under the next number.

        Parameters
        ----------
        folder
            The working directory of the command.
        arguments
            Those of ``softproof gate``.

        Returns
        -------
        dict
            ``judgement``, its number; ``verdict``; ``told``, the judgement in words; ``data``.

        Raises
        ------
        ValueError
            If there is no such folder, or the command refuses its arguments.
        """
        where = Path(folder).expanduser()
        if not where.is_dir():
            raise ValueError(f"folder is {folder!r}, and no folder; give the candidate's")
        with tempfile.TemporaryDirectory(prefix="softproof-gate-") as own:
            report = Path(own, "judgement.json")
            command = [*SOFTPROOF, "gate", *arguments, "--json", str(report)]
            status, output, errors = _run(command, where)
            if not report.is_file():
                words = errors.strip() or output.strip() or f"it ended with status {status}"
                raise ValueError(f"softproof gate {shlex.join(arguments)}: {words}")
            data = json.loads(report.read_text(encoding="utf-8"))
        self.judged.append(Judged(where, output, data))
        number = len(self.judged)
        return {"judgement": number, "verdict": data["verdict"], "told": output, "data": data}

    def explain(self, judgement: int) -> str:
        """Say what a verdict means, what it rests on, and what to do.

        Parameters
        ----------
        judgement
            Its number.

        Returns
        -------
        str
            Some lines.

        Raises
        ------
        ValueError
            If there is none of that number.
        """
        data = self._of(judgement).data
        lines = [f"{data['verdict']}: {TO_DO[data['verdict']]}"]
        if data["estimate"]:
            lines.append(f"This is an estimate, not a proof: {data['estimate']}.")
        lines += [f"{heading}: {words}" for heading, words in data["causes"]]
        if (failure := data["failure"]) is not None:
            lines.append(f"found: {failure['message']}, by {data['suite']}, {failure['family']}")
            lines += [f"threshold from: {failure['source']}"] if failure["source"] else []
        lines += [f"class: {data['contract']}"] if data["contract"] else []
        if data["not_reached"]:
            lines.append(f"not asked: {', '.join(data['not_reached'])}")
        return "\n".join(lines)

    def reproduce(self, judgement: int) -> str:
        """Run the failing case of a judgement again: its command, and its script if it has one.

        Parameters
        ----------
        judgement
            Its number.

        Returns
        -------
        str
            The command, what it printed and its exit status; then the same of the script, which
            runs without softproof.

        Raises
        ------
        ValueError
            If there is none of that number, or nothing failed.
        """
        judged = self._of(judgement)
        failure = judged.data["failure"]
        if failure is None:
            raise ValueError(f"judgement {judgement} is {judged.data['verdict']}: nothing failed")
        told = []
        if failure["reproduce"]:
            command = [*SOFTPROOF, *shlex.split(failure["reproduce"])[1:]]
            told.append(_told(failure["reproduce"], _run(command, judged.folder)))
        if failure["snippet"]:
            command = [sys.executable, "-c", failure["snippet"]]
            told.append(_told(failure["snippet"].rstrip(), _run(command, judged.folder)))
        return "\n\n".join(told)

    def _of(self, number: int) -> Judged:
        if not 1 <= number <= len(self.judged):
            raise ValueError(f"judgement is {number}; {len(self.judged)} were given so far, from 1")
        return self.judged[number - 1]


def _run(command: list[str], folder: Path) -> tuple[int, str, str]:
    """Run a command; its status, and what it printed."""
    environment = os.environ | {"COLUMNS": "120", "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,  # the server's own is the protocol
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MOST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return -1, "", f"it did not end within {MOST_SECONDS:g} s"
    return done.returncode, done.stdout[-MOST_OUTPUT:], done.stderr[-MOST_OUTPUT:]


def _told(what: str, done: tuple[int, str, str]) -> str:
    status, output, errors = done
    printed = "\n".join(part.rstrip() for part in (output, errors) if part.strip())
    return f"{what}\n{printed}\nexit status {status}"


def server() -> Any:
    """Make the server, an ``MCPServer`` of the package ``mcp``.

    Returns
    -------
    mcp.server.MCPServer
        With the tools gate, explain and reproduce; its ``run()`` serves on standard input and
        output until these are closed.

    Raises
    ------
    ImportError
        If the package is missing: ``pip install 'softproof[mcp]'`` brings it.
    """
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError as error:
        raise ImportError(f"{error}; pip install 'softproof[mcp]' brings it") from None

    made = MCPServer("softproof", instructions=INSTRUCTIONS, log_level="WARNING")
    tools = Tools()

    async def called(tool: Callable[..., Result], *given: Any) -> Result:
        """What a tool gives, in a thread, so that the server answers meanwhile."""
        try:
            return await asyncio.to_thread(tool, *given)
        except ValueError as error:  # the caller's mistake, in words
            raise ToolError(str(error)) from None

    async def gate(
        candidate: str,
        definition: str = "",
        kernelbench: str = "",
        reference: str = "",
        folder: str = ".",
        dtype: str = "float32",
        arrays: str = "",
        seconds: float = 5.0,
        seed: str = "",
    ) -> dict[str, Any]:
        """Judge a numerical kernel in seconds: right, less precise than declared, wrong or refused.

        Give the candidate and one of definition, kernelbench and reference.

        candidate: module:function, found from the folder; with kernelbench or reference a Python
        file, perhaps file.py:Name.
        definition: what it implements, such as softmax, rms_norm or attention.
        kernelbench: a problem of KernelBench, a Python file with Model.
        reference: file.py:Name of any reference, in a file with get_inputs(); the verdict is then
        an estimate.
        folder: where these are.
        dtype: float16, bfloat16, float32 or float64.
        arrays: numpy (the default), torch, jax or cupy: what it takes, where a definition is named.
        seconds: how long it is asked.
        seed: what inputs are drawn from; leave it out but to see one failure again.
        """
        given = {"kernelbench": kernelbench, "reference": reference}
        tasks = [f"--{name}={value}" for name, value in given.items() if value]
        if len(tasks) + bool(definition) != 1:
            raise ToolError("give one of definition, kernelbench and reference")
        named = [candidate, *tasks] if tasks else [definition, f"--subject={candidate}"]
        options = [f"--dtype={dtype}", f"--seconds={seconds}"]
        options += [f"--arrays={arrays}"] if arrays else []
        options += [f"--seed={seed}"] if seed else []
        return await called(tools.gate, folder, [*named, *options])

    async def explain(judgement: int) -> str:
        """Say what a verdict means, what it rests on, and what to do.

        judgement: the number that `gate` returned.
        """
        return await called(tools.explain, judgement)

    async def reproduce(judgement: int) -> str:
        """Run the failing case of a judgement again, with softproof and by a script without it.

        judgement: the number that `gate` returned.
        """
        return await called(tools.reproduce, judgement)

    for tool in (gate, explain, reproduce):
        made.tool()(tool)
    return made
