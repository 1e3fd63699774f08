"""What the commands of ``softproof`` have in common: how they fail, print and show progress."""

from __future__ import annotations

import contextlib
import enum
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, FORMATS

Dtype = enum.Enum("Dtype", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
ArrayDtype = enum.Enum(  # type: ignore[misc]
    "ArrayDtype", {name: name for name in ARRAY_FORMATS}, type=str
)
FLOAT32 = Dtype("float32")


def fail(message: str) -> NoReturn:
    """End the command with a usage error: one clear message, exit status 2.

    Parameters
    ----------
    message
        What is wrong and what to do, without the name of the program.

    Returns
    -------
    NoReturn
        Nothing: the command ends here.

    Raises
    ------
    typer.Exit
        Always.
    """
    Console(stderr=True, emoji=False).print(f"softproof: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(2)


@contextlib.contextmanager
def usage_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn exceptions of these kinds, which the user's input causes, into usage errors.

    Parameters
    ----------
    *kinds
        Classes of exceptions whose message is meant for the user.

    Yields
    ------
    None
        The context in which they are caught.
    """
    try:
        yield
    except kinds as error:
        fail(str(error))


def make_console() -> Console:
    """Where tables are printed: as wide as the terminal."""
    # A table folded at 80 columns is not legible where output goes to a file or a log.
    if sys.stdout.isatty():
        return Console(emoji=False)
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) else 180
    return Console(width=width, emoji=False)


def definition(name: str) -> Definition:
    """Look up a definition; a usage error, with near names, where there is none.

    Parameters
    ----------
    name
        As the user wrote it.

    Returns
    -------
    Definition
        That of this name.
    """
    try:
        return lookup(name)
    except KeyError as error:
        fail(f"{error.args[0]} One of your own is loaded with --definitions FILE.")


def progress_bar(*columns: ProgressColumn) -> Progress:
    """A progress bar on the terminal's stderr, gone when it ends; lines where that is a file.

    Meanwhile it is said what the kernels compile.

    Parameters
    ----------
    *columns
        What is shown between the bar and the time.

    Returns
    -------
    Progress
        A context manager, to which tasks are added.
    """
    return _Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


SILENCE = 4.5
"""Seconds after which a line says how far the work is, where no bar shows it."""


class _Bar(Progress):
    def start(self) -> None:
        from .compiling import compiling_told

        super().start()
        self._ended = threading.Event()
        self._spoke = time.monotonic()
        self._told = contextlib.ExitStack()
        self._told.enter_context(compiling_told(self._say))
        if self.disable:
            threading.Thread(target=self._say_how_far, args=(self._ended,), daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        self._told.close()
        super().stop()

    def _say(self, text: str) -> None:
        from .compiling import say

        self._spoke = time.monotonic()
        say(text)

    def _say_how_far(self, ended: threading.Event) -> None:
        while not ended.wait(max(0.1, self._spoke + SILENCE - time.monotonic())):
            if time.monotonic() < self._spoke + SILENCE:
                continue  # something else was said
            for task in self.tasks[-1:]:
                done = f", {task.completed:.0f} of {task.total:.0f}" if task.total else ""
                self._say(f"{task.description}{done}, {task.elapsed or 0:.0f} s")
            self._spoke = time.monotonic()


def demand_folders(*paths: Path | None) -> None:
    """A usage error before the work, not after it, where a report cannot be written.

    Parameters
    ----------
    *paths
        The files that are to be written; None for one that was not named.
    """
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            fail(f"No such file or directory: {path.absolute().parent}")


def write_json(report: dict[str, Any], path: Path | None) -> None:
    """Write a report, if a file was named; a usage error where that cannot be written.

    Parameters
    ----------
    report
        What strict JSON can hold.
    path
        The file; None where none was named.
    """
    from ..reports.strict_json import write_json

    write_files((path, lambda path: write_json(report, path)))


def write_reports(
    report: dict[str, Any],
    *,
    json: Path | None = None,
    junit: Path | None = None,
    html: Path | None = None,
) -> None:
    """Write the forms of a report that were named; one that fails keeps no other back.

    Parameters
    ----------
    report
        The report of a run, as ``reports.stored`` writes it.
    json, junit, html
        The file of each form; None where none was named.
    """
    from ..reports.html import html as page
    from ..reports.junit import junit as xml
    from ..reports.strict_json import write_json
    from ..reports.whole_files import write_whole

    write_files(
        (json, lambda path: write_json(report, path)),
        (junit, lambda path: write_whole(path, xml(report))),
        (html, lambda path: write_whole(path, page(report))),
    )


def write_files(*files: tuple[Path | None, Callable[[Path], None]]) -> None:
    """Write each file by its function, if one was named.

    Where some cannot be written, the others are, and a usage error names those.

    Parameters
    ----------
    *files
        Each path, None where none was named, with what writes to it.
    """
    from ..reports.whole_files import write_each

    try:
        write_each(*files)
    except OSError as error:
        fail(str(error))
