"""Definitions and solutions of FlashInfer-Bench, read from their JSON as a task.

A definition has axes, inputs, outputs and a reference ``run`` in PyTorch; a solution has source
files and an entry point, and writes into buffers that it is given last, unless it says otherwise.
Both are written into a folder in the format of other tasks.  Inputs are drawn as normal numbers:
what needs indices, as paged attention does, is refused.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..gate.judgement import Judgement
from ..gate.judging import SECONDS
from .hosted import Task
from .judging import judged_task

VARIABLE = 24  # entries along an axis whose size a definition leaves open
SCALAR = 0.5  # what an input that is a single number is
FORMATS = ("float16", "bfloat16", "float32", "float64")
LANGUAGES = ("python", "triton")

PROBLEM = """\
{reference}


{axes}

def get_inputs():
    return [{inputs}]
"""

CANDIDATE = """\
import importlib.util
import sys
from pathlib import Path

import torch

folder = Path(__file__).parent / "sources"
sys.path.insert(0, str(folder))
spec = importlib.util.spec_from_file_location("solution", folder / {path!r})
solution = importlib.util.module_from_spec(spec)
spec.loader.exec_module(solution)


def run(*arguments):
    function = solution.{name}
    if not {into_buffers}:
        return function(*arguments)
    sizes = dict({constants})
    for axes, argument in zip({inputs}, arguments):
        sizes.update(zip(axes, getattr(argument, "shape", ())))
    buffers = [
        torch.empty([sizes[a] for a in axes], dtype=getattr(torch, dtype), device=device)
        for axes, dtype in {outputs}
        for device in [next(a.device for a in arguments if hasattr(a, "device"))]
    ]
    function(*arguments, *buffers)
    return tuple(buffers) if len(buffers) > 1 else buffers[0]
"""


def flashinfer(
    definition: Path | str,
    solution: Path | str,
    *,
    device: str = "",
    seconds: float = SECONDS,
    seed: int | None = None,
) -> Judgement:
    """Judge a solution of FlashInfer-Bench.

    Parameters
    ----------
    definition, solution
        Their JSON files. The format is that of the definition's tensors.
    device, seconds, seed
        As ``kernelbench`` has them.

    Returns
    -------
    Judgement
        The verdict; as a definition of softproof, where the reference is one.

    Raises
    ------
    ValueError
        If a file is none of the format, or needs what cannot be drawn or run: several formats,
        integers, sources that have to be compiled.
    OSError
        If a file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="softproof-flashinfer-") as folder:
        task = _written(Path(definition), Path(solution), Path(folder), device)
        command = f"softproof gate --flashinfer {definition} {solution}"
        found = judged_task(task, command, seconds=seconds, seed=seed)
    name = _read(Path(solution)).get("name", "")
    estimated = found.definition == f"{task.problem.name}:{task.model}"
    return replace(
        found,
        subject=str(name) or str(solution),
        definition=Path(definition).name if estimated else found.definition,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no JSON object")
    return found


def _written(definition: Path, solution: Path, folder: Path, device: str) -> Task:
    """The task, written into a folder; ValueError where it cannot be."""
    asked, given = _read(definition), _read(solution)
    try:
        dtype = _format(asked)
        (folder / "problem.py").write_text(_problem(asked, dtype), encoding="utf-8")
        (folder / "candidate.py").write_text(_candidate(asked, given, folder), encoding="utf-8")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{definition}, {solution}: {type(error).__name__}: {error}") from None
    return Task(folder / "problem.py", "run", folder / "candidate.py", "run", dtype, device)


def _format(asked: Mapping[str, Any]) -> str:
    """The one format of all tensors."""
    tensors = [t for group in ("inputs", "outputs") for t in asked[group].values()]
    dtypes = {tensor["dtype"] for tensor in tensors if tensor["shape"] is not None}
    if len(dtypes) != 1 or not dtypes <= {*FORMATS}:
        told = ", ".join(sorted(dtypes))
        raise ValueError(f"its tensors are of {told}; only those of one of {FORMATS} can be drawn")
    (dtype,) = dtypes
    return str(dtype)


def _problem(asked: Mapping[str, Any], dtype: str) -> str:
    """The text of the task."""
    axes = {
        name: int(axis.get("value") or VARIABLE + 2 * i)
        for i, (name, axis) in enumerate(asked["axes"].items())
    }
    inputs = []
    for tensor in asked["inputs"].values():
        shape = tensor["shape"]
        if shape is None:
            inputs.append("1" if "int" in tensor["dtype"] else str(SCALAR))
        else:
            sizes = "".join(f"size_of_{axis}, " for axis in shape)
            inputs.append(f"torch.randn(({sizes}))")
    return PROBLEM.format(
        reference=f"import torch\n{asked['reference']}",
        axes="\n".join(f"size_of_{name} = {size}" for name, size in axes.items()),
        inputs=", ".join(inputs),
    )


def _candidate(asked: Mapping[str, Any], given: Mapping[str, Any], folder: Path) -> str:
    """The text of the candidate, with its sources beside it."""
    spec = given["spec"]
    if spec["language"] not in LANGUAGES:
        raise ValueError(f"its language is {spec['language']}; {' and '.join(LANGUAGES)} are run")
    for source in given["sources"]:
        place = PurePosixPath(source["path"])
        if place.is_absolute() or ".." in place.parts:
            raise ValueError(f"its source {source['path']!r} is outside its folder")
        path = folder / "sources" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source["content"], encoding="utf-8")
    path_of_entry, _, name = spec["entry_point"].partition("::")
    if not name.isidentifier():
        raise ValueError(f"its entry point is {spec['entry_point']!r}; give main.py::run")
    outputs = [(tensor["shape"] or [], tensor["dtype"]) for tensor in asked["outputs"].values()]
    return CANDIDATE.format(
        path=path_of_entry,
        name=name,
        into_buffers=bool(spec.get("destination_passing_style", True)),
        constants={n: a["value"] for n, a in asked["axes"].items() if a.get("value")},
        inputs=[tensor["shape"] or [] for tensor in asked["inputs"].values()],
        outputs=outputs,
    )
