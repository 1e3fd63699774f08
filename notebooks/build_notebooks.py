"""Execute the lessons, each in a clean kernel, and write them as .ipynb with their outputs.

    python notebooks/build_notebooks.py [--fast] [--output FOLDER] [LESSON.py ...]

The lessons are the files of this folder whose names begin with a digit: Python scripts in
jupytext's percent format. With `--fast` they see the environment variable SOFTPROOF_FAST, and take
fewer samples. A cell that raises, a failed assertion among them, ends the work with its traceback.

Needs jupytext, nbclient and ipykernel: `pip install '.[notebooks]'`.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

HERE = Path(__file__).parent
LESSONS = tuple(sorted(HERE.glob("[0-9]_*.py")))
OUTPUT = HERE.parent / "build" / "notebooks"

CELL_SECONDS = 1800
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def read(lesson: Path) -> NotebookNode:
    """The lesson as a notebook without outputs."""
    notebook = jupytext.read(lesson, fmt="py:percent")
    notebook.metadata["kernelspec"] = dict(KERNEL)
    return notebook


def executed(lesson: Path, *, fast: bool) -> NotebookNode:
    """The lesson with the outputs of all its cells, run where its neighbours can be imported.

    nbclient.exceptions.CellExecutionError, with the traceback, when a cell raises.
    """
    notebook = read(lesson)
    environment = {name: value for name, value in os.environ.items() if name != "SOFTPROOF_FAST"}
    if fast:
        environment["SOFTPROOF_FAST"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        environment["IPYTHONDIR"] = folder  # without what runs at the start of the user's own
        sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}  # files: no port is opened
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name=KERNEL["name"],
            resources={"metadata": {"path": str(lesson.parent)}},
            record_timing=False,
            config=Config({"KernelManager": sockets}),
        )
        client.execute(env=environment)
    return notebook


def main(words: Sequence[str] | None = None) -> None:
    """Build the lessons that are named, or all; `words` as on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lessons", nargs="*", type=Path, default=LESSONS, metavar="LESSON.py")
    parser.add_argument("--fast", action="store_true", help="fewer samples")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER")
    arguments = parser.parse_args(words)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for lesson in arguments.lessons:
        started = time.perf_counter()
        print(f"{lesson.stem} ...", end=" ", flush=True)
        notebook = executed(lesson.resolve(), fast=arguments.fast)
        nbformat.write(notebook, arguments.output / f"{lesson.stem}.ipynb")
        print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
