"""What a kind of plot returns: a figure, the numbers that it shows, and the command."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from ..reports.whole_files import write_whole

ENDINGS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 300

Cell = str | int | float | None
Progress = Callable[[int, int], None]  # called with how much is done, and of how much


def ignore(done: int, total: int) -> None:
    """A progress function that does nothing.

    Parameters
    ----------
    done
        How much is done.
    total
        How much there is to do.
    """


@dataclass(frozen=True)
class Plot:
    """A figure and the numbers in it: ``rows`` is a table with a cell for each of ``columns``.

    ``command`` is the command line that draws it.
    """

    figure: Figure
    command: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]

    def save(self, path: str | Path) -> None:
        """Write the figure, as `save` does."""
        save(self.figure, path)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH // 2)
        return buffer.getvalue()

    def write_csv(self, path: str | Path) -> None:
        """Write the table: a line ``# command``, the header, the rows.

        Numbers are written so that reading gives them back; None is an empty cell.  OSError where
        the file cannot be written, and then nothing is.
        """
        text = io.StringIO()
        text.write(f"# {self.command}\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        write_whole(path, text.getvalue())


def demand_ending(path: str | Path) -> None:
    """Refuse a path that does not end in .png, .svg or .pdf.

    Parameters
    ----------
    path
        The path of a figure.

    Raises
    ------
    ValueError
        If it has another ending.
    """
    ending = Path(path).suffix
    if ending not in ENDINGS:
        raise ValueError(f"path {str(path)!r} ends in {ending!r}; use one of {', '.join(ENDINGS)}")


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format that the ending of the path names: .png, .svg or .pdf.

    Parameters
    ----------
    figure
        The figure.
    path
        The file, which is written whole or not at all.

    Raises
    ------
    ValueError
        For any other ending.
    OSError
        If the file cannot be written.
    """
    demand_ending(path)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:], dpi=DOTS_PER_INCH)
    write_whole(path, buffer.getvalue())
