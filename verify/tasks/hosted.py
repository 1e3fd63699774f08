"""Where a task's reference and its candidate run: each in a process of its own.

The reference's process draws inputs and gives exact results; the candidate's is forked from a clean
one and sees the inputs alone.  For each a module is written into a folder that is there as long as
the judgement lasts; it names the files, and ``isolation/task.py`` does the rest.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import ARRAY_FORMATS
from ..gate.judging import FIRST_CALL, LATER_CALL, modules_of
from ..subjects import subject as faults
from ..subjects.isolation.binding import Binding
from ..subjects.isolation.forked import Zygote
from ..subjects.isolation.in_process import Process
from ..subjects.isolation.task_source import imports_of
from ..subjects.subject import NotApplicable, SubjectError, SubjectFault

Array = NDArray[Any]

OF_REFERENCE = "reference_of_a_task"  # modules
OF_CANDIDATE = "candidate_of_a_task"
MOST_NUMBERS = 1 << 31  # of a result
MODULE = """\
from softproof.verify.subjects.isolation.task import Hosted

hosted = Hosted(**{given!r})
{functions}
"""


@dataclass(frozen=True)
class Task:
    """A reference, and a candidate that is to do the same.

    Attributes
    ----------
    problem
        The file of the reference: ``get_inputs()``, and perhaps ``get_init_inputs()``, are there.
    model
        What the reference is called there: a class whose objects are called, or a function.
    candidate, name
        The file of the candidate, and what it is called there.
    dtype
        The name of the format.
    device
        Where arrays are; "" for the library's default.
    """

    problem: Path
    model: str
    candidate: Path
    name: str
    dtype: str = "float32"
    device: str = ""
    source: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the problem; OSError or ValueError where it is none."""
        object.__setattr__(self, "source", self.problem.read_text(encoding="utf-8"))
        try:
            imports_of(self.source)
        except SyntaxError as error:
            raise ValueError(f"{self.problem}: {error}") from None
        self.candidate.read_bytes()

    @property
    def library(self) -> str:
        """The library of its arrays: torch where its file imports it."""
        return "torch" if "torch" in imports_of(self.source) else "numpy"

    @property
    def numbers(self) -> np.dtype[Any]:
        """The dtype of real numbers."""
        return np.dtype(ARRAY_FORMATS[self.dtype].dtype)

    def in_format(self, arrays: Sequence[Array]) -> list[Array]:
        """Arrays, those of real numbers rounded to the format."""
        with np.errstate(all="ignore"):
            return [a if a.dtype.kind in "biu" else a.astype(self.numbers) for a in arrays]


class Hosts:
    """A context manager with the processes of a task.

    ``zygote``: what the candidate's process is forked from.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.zygote = Zygote(modules_of(task.library))
        self._reference = Process(first_call=FIRST_CALL)
        self._candidate = Process(self.zygote.start, FIRST_CALL)

    def __enter__(self) -> Hosts:
        self._folder = tempfile.TemporaryDirectory(prefix="softproof-task-")
        sys.path.insert(0, self._folder.name)
        self._write(OF_REFERENCE, ("inputs", "takes_init_inputs", "plain", "exact", "reference"))
        self._write(OF_CANDIDATE, ("candidate",), **self._of_candidate)
        self.zygote.launch()
        return self

    def __exit__(self, *_: object) -> None:
        self._candidate.close()
        self._reference.close()
        self.zygote.close()
        sys.path.remove(self._folder.name)
        self._folder.cleanup()

    def bound(self, binding: Binding, *, of_reference: bool = False) -> str:
        """The id of the candidate as a function of a definition's arguments; or the reference's."""
        task = self.task
        given = self._of_candidate
        if of_reference:
            given = {"candidate": str(task.problem.resolve()), "name": task.model}
        module = f"definition_of_a_task{'_by_its_reference' if of_reference else ''}"
        self._write(module, ("of_definition",), **given, binding=asdict(binding))
        return f"{module}:of_definition"

    def inputs(self, seed: int, sizes: Sequence[int]) -> list[Array]:
        """The inputs of the task at some sizes; ValueError where there are none."""
        return self._of_task("inputs", np.array([seed]), _whole(sizes))

    def takes_init_inputs(self, sizes: Sequence[int]) -> bool:
        """Whether its models are made from anything."""
        (answer,) = self._of_task("takes_init_inputs", _whole(sizes))
        return bool(answer)

    def plain(self, sizes: Sequence[int]) -> Mapping[str, Any] | None:
        """What of a call is no array, the fields of a ``Plain``; None where JSON cannot hold it."""
        (found,) = self._of_task("plain", _whole(sizes))
        told: Mapping[str, Any] | None = json.loads(found.tobytes()) if found.size else None
        return told

    def exact(self, sizes: Sequence[int], arrays: Sequence[Array]) -> list[Array]:
        """The results of the reference in binary64; ValueError where there are none."""
        return self._of_task("exact", _whole(sizes), *arrays)

    def reference(self, sizes: Sequence[int], arrays: Sequence[Array]) -> list[Array]:
        """The results of the reference in the format of the arrays; ValueError without any."""
        return self._of_task("reference", _whole(sizes), *arrays)

    def candidate(self, sizes: Sequence[int], arrays: Sequence[Array]) -> list[Array]:
        """The results of the candidate; SubjectFault where there are none."""
        return self._ask(self._candidate, OF_CANDIDATE, "candidate", _whole(sizes), *arrays)

    @property
    def _of_candidate(self) -> dict[str, Any]:
        task = self.task
        return {"candidate": str(task.candidate.resolve()), "name": task.name}

    def _write(self, module: str, functions: Sequence[str], **given: Any) -> None:
        task = self.task
        given |= {
            "problem": str(task.problem.resolve()),
            "model": task.model,
            "dtype": task.dtype,
            "library": task.library,
            "device": task.device,
        }
        lines = "\n".join(f"{name} = hosted.{name}" for name in functions)
        text = MODULE.format(given=given, functions=lines)
        Path(self._folder.name, f"{module}.py").write_text(text, encoding="utf-8")

    def _of_task(self, function: str, *arrays: Array) -> list[Array]:
        try:
            return self._ask(self._reference, OF_REFERENCE, function, *arrays)
        except (SubjectError, SubjectFault, NotApplicable) as error:
            raise ValueError(f"{self.task.problem}: {error}") from None

    def _ask(self, process: Process, module: str, function: str, *arrays: Array) -> list[Array]:
        request: Mapping[str, Any] = {
            "id": f"{module}:{function}",
            "arguments": list(arrays),
            "library": self.task.library,
            "device": self.task.device,
            "may_flush": True,
            "parameters": {},
            "defaults": {},
            "most": MOST_NUMBERS,
        }
        kind, what = process.ask(dict(request), LATER_CALL)
        if kind != "done":
            error: Exception = getattr(faults, kind)(what)
            raise error
        found: list[Array] = what
        return found


def _whole(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.array(sizes, dtype=np.int64)
