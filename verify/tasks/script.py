"""A script that shows a failure beside a reference without softproof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..oracle.metrics import hexadecimal
from ..subjects.isolation.task import SEED
from .hosted import Task
from .smallest import MOST_TOLD

Array = NDArray[Any]

LOAD = """\
def load(path):
    spec = importlib.util.spec_from_file_location("task", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""


@dataclass(frozen=True)
class Plain:
    """What of a call of a task is no array.

    Attributes
    ----------
    made_from
        What its models are made from; None where they are functions.
    inputs
        The inputs in their order, None in the places of arrays.
    """

    made_from: Sequence[Any] | None
    inputs: Sequence[Any]


def script(
    task: Task, inputs: Sequence[Array], plain: Plain, place: tuple[int, int], expected: float
) -> str | None:
    """Write the script.

    Parameters
    ----------
    task
        The task.
    inputs
        The arrays at which the candidate fails.
    plain
        What else it is given.
    place
        Of the result that is shown: the number of the output, and its place in it.
    expected
        The exact result, of the reference in binary64.

    Returns
    -------
    str or None
        None where an input has too many numbers to be written down.
    """
    torch = task.library == "torch"
    if any(np.count_nonzero(x) > MOST_TOLD for x in inputs):
        return None
    others = [] if torch or task.dtype != "bfloat16" else ["import ml_dtypes"]
    lines = ["import importlib.util", "", *others, f"import {'torch' if torch else 'numpy as np'}"]
    lines += ["", LOAD]
    for i, x in enumerate(inputs):
        lines.append(f"x{i} = {_zeros(x, torch=torch)}")
        for at in np.argwhere(x):
            lines.append(f"x{i}[{', '.join(map(str, at)) or '()'}] = {_number(x[tuple(at)])}")
        lines += [f"x{i} = x{i}.to({task.device!r})"] if task.device else []
    lines.append(f"{'torch.manual_seed' if torch else 'np.random.seed'}({SEED})")
    made = f"load({str(task.candidate)!r}).{task.name}"
    if plain.made_from is None:
        lines.append(f"f = {made}")
    else:
        lines.append(f"f = {made}({', '.join(map(repr, plain.made_from))})")
        lines += [f"f = f.to({task.device!r}, torch.{task.dtype})"] if torch and task.device else []
        lines += [f"f = f.to(torch.{task.dtype})"] if torch and not task.device else []
    arrays = iter(range(len(inputs)))
    given = (f"x{next(arrays)}" if x is None else repr(x) for x in plain.inputs)
    lines += [
        f"found = f({', '.join(given)})",
        f"found = found[{place[0]}] if isinstance(found, (tuple, list)) else found",
        f'print(float(found.reshape(-1)[{place[1]}]), "expected", {_number(expected)})',
    ]
    return "\n".join(lines) + "\n"


def _zeros(x: Array, *, torch: bool) -> str:
    """Zeros of an array's shape."""
    library = "torch" if torch else "ml_dtypes" if x.dtype.name == "bfloat16" else "np"
    return f"{'torch' if torch else 'np'}.zeros({x.shape}, dtype={library}.{x.dtype.name})"


def _number(x: Any) -> str:
    if isinstance(x, np.generic) and x.dtype.kind in "biu":
        return str(x)
    return f'float.fromhex("{hexadecimal(float(x))}")'
