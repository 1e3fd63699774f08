"""The one style of all figures: sizes for print, colours that all eyes tell apart, captions."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from ...derivations import Definition

COLUMN_WIDTH = 3.5  # inches: one column of a two-column page
PAGE_WIDTH = 7.2  # both columns
TEXT, SMALL = 7.5, 6.5  # points

# Okabe and Ito 2008, Color Universal Design.
VERMILION, BLUE, GREEN, PURPLE = "#D55E00", "#0072B2", "#009E73", "#CC79A7"
ORANGE, SKY = "#E69F00", "#56B4E9"
# With dashes and markers, so that print in grey tells them apart.
LINES: tuple[dict[str, Any], ...] = (
    {"color": VERMILION, "linestyle": "-"},
    {"color": BLUE, "linestyle": "--"},
    {"color": GREEN, "linestyle": "-."},
    {"color": PURPLE, "linestyle": ":"},
    {"color": ORANGE, "linestyle": (0, (6, 1, 1, 1, 1, 1))},
    {"color": SKY, "linestyle": (0, (8, 2))},
)
MARKERS: tuple[dict[str, Any], ...] = (
    {"color": VERMILION, "marker": "o"},
    {"color": BLUE, "marker": "s"},
    {"color": GREEN, "marker": "^"},
    {"color": PURPLE, "marker": "v"},
    {"color": ORANGE, "marker": "D"},
    {"color": SKY, "marker": "P"},
)
BOUND: dict[str, Any] = {"color": "black", "linestyle": "-", "linewidth": 1.4}
GUIDE: dict[str, Any] = {"color": "0.5", "linestyle": ":", "linewidth": 1.0}
GRID: dict[str, Any] = {"color": "0.9", "linewidth": 0.5, "zorder": 0}

_MARGIN = 0.02  # of the width, left of the caption and right of it


def new_figure(height: float, width: float = COLUMN_WIDTH) -> Figure:
    """A figure that finds room for all its text.

    Parameters
    ----------
    height
        The height in inches.
    width
        The width in inches.

    Returns
    -------
    Figure
        Without axes.
    """
    return Figure(figsize=(width, height), layout="constrained")


def finish(axes: Axes, x: str = "", y: str = "", title: str = "", grid: str = "y") -> None:
    """Label axes, and draw a faint grid.

    Parameters
    ----------
    axes
        The axes.
    x
        What the abscissa shows, with the unit.
    y
        What the ordinate shows, with the unit.
    title
        What stands above.
    grid
        Which lines are drawn, "x", "y" or "both"; empty for none.
    """
    if x:
        axes.set_xlabel(x, fontsize=TEXT)
    if y:
        axes.set_ylabel(y, fontsize=TEXT)
    if title:
        axes.set_title(title, fontsize=TEXT)
    axes.tick_params(labelsize=SMALL)
    if grid:
        axes.grid(axis=grid, **GRID)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def legend(figure: Figure, handles: Iterable[Artist], columns: int = 2) -> None:
    """Draw one legend for all axes, above them.

    Parameters
    ----------
    figure
        The figure.
    handles
        What is named in it.
    columns
        How many stand side by side.
    """
    figure.legend(
        handles=list(handles),
        loc="outside upper center",
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
    )


def command(kind: str, *arguments: object, **options: object) -> str:
    """The command line that draws a kind of plot.

    Parameters
    ----------
    kind
        What ``softproof plot`` calls it.
    *arguments
        Its positional arguments.
    **options
        Its options by name; a list gives one more than once, None and () leave it out.

    Returns
    -------
    str
        The command, with FILE for the path of the figure.

    Examples
    --------
    >>> command("ladder", logits="my logits.npz", label=None)
    "softproof plot ladder --logits 'my logits.npz' --output FILE"
    >>> command("precision", "softmax", subject=["numpy:exp", "scipy.special:softmax"])
    'softproof plot precision softmax --subject numpy:exp --subject scipy.special:softmax --output FILE'
    """  # noqa: E501 (one line is what is printed)
    words = ["softproof", "plot", kind, *map(str, arguments)]
    for name, value in options.items():
        several = value if isinstance(value, (list, tuple)) else [value]
        for one in several:
            if one is not None:
                words += ["--" + name.replace("_", "-"), str(one)]
    return shlex.join([*words, "--output", "FILE"])


def definition_options(
    definition: Definition, parameters: Mapping[str, float] | None, case: Path | None
) -> dict[str, object]:
    """The options of a command that say which definition it asks, and where.

    Parameters
    ----------
    definition
        The definition, of the catalogue or of a user's file.
    parameters
        Values of its parameters.
    case
        The file with a case.

    Returns
    -------
    dict
        As ``command`` takes them; empty where there is nothing to say.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> definition_options(lookup("rms_norm"), {"eps": 0.5}, None)
    {'parameter': ['eps=0.5']}
    """
    found: dict[str, object] = {
        "parameter": [f"{name}={value!r}" for name, value in (parameters or {}).items()],
        "case": case,
        "definitions": definition.declared_in,
    }
    return {name: value for name, value in found.items() if value}


def caption(figure: Figure, text: str, command: str) -> None:
    """Write the text below the axes, as wide as the figure, and the command that draws it.

    A non-breaking space keeps two words on one line.

    Parameters
    ----------
    figure
        The figure.
    text
        What the figure shows.
    command
        What draws it.
    """
    width = figure.bbox.width * (1 - 2 * _MARGIN)
    lines = [line for each in (text, command) for line in _wrapped(each, width, figure.dpi)]
    figure.supxlabel("\n".join(lines), x=_MARGIN, ha="left", fontsize=SMALL, linespacing=1.2)


def _wrapped(text: str, width: float, dpi: float) -> list[str]:
    """The text in lines no wider than so many pixels, measured with letters as they are drawn."""
    renderer: Any = RendererAgg(1, 1, dpi)  # type: ignore[no-untyped-call]
    font = FontProperties(size=SMALL)
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and renderer.get_text_width_height_descent(longer, font, False)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
