"""The catalogue on a terminal: a line for each entry, all of one, and what breaks first in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...derivations import REGISTRY
from ...derivations.definition import AS_PUBLISHED
from ...derivations.page import settled
from ...derivations.page.arguments import arguments_told
from ..subjects.built_in import BUILT_IN
from . import published
from .breaks import BREAKS, Break, what_breaks
from .entries import EXACT, Entry
from .papers import DEFINITION

JUDGED_IN = ("float32", "bfloat16")


def print_list(entries: Sequence[Entry], console: Console) -> None:
    """Print a line for each entry, and how many there are of each kind and status.

    Parameters
    ----------
    entries
        The entries.
    console
        Where to print.
    """
    lines = [("papers", "name", "kind", "family", "status")]
    for entry in entries:
        numbers = " ".join(map(str, entry.ids)) or "-"
        status = entry.status + (f": {entry.reason}" if entry.reason else "")
        lines.append((numbers, entry.name, entry.kind, entry.family, status))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for *first, last in lines:
        told = "  ".join(word.ljust(width) for word, width in zip(first, widths, strict=True))
        console.print(Text(f"{told}  {last}"), soft_wrap=True)
    counted = Counter((entry.kind, entry.status) for entry in entries)
    told = ", ".join(f"{n} {status} ({kind}s)" for (kind, status), n in sorted(counted.items()))
    listed = {number for entry in entries for number in entry.ids}
    summary = f"{len(entries)} entries of {len(listed)} papers: {told}"
    console.print(summary, highlight=False, soft_wrap=True)


def print_entry(entry: Entry, console: Console) -> None:
    """Print all of an entry: where it is from, its facts and how each is settled, what breaks.

    Parameters
    ----------
    entry
        The entry.
    console
        Where to print.
    """
    for heading, said in _about(entry):
        console.print(Text(f"{heading:<11}{said}"), soft_wrap=True)


def _about(entry: Entry) -> Iterable[tuple[str, str]]:
    yield "name", f"{entry.name} ({entry.kind}, {entry.family})"
    if entry.ids:
        yield "paper", f"{' '.join(map(str, entry.ids))}: {entry.paper}"
    if entry.source:
        yield "source", entry.source
    if entry.status != EXACT:
        yield "status", f"{entry.status}: {entry.reason}"
    if entry.kind != DEFINITION:
        for name in entry.definitions:
            yield "definition", f"softproof catalogue {name}"
        for name in entry.claims:
            yield "claim", f"softproof claims {name}"
        return
    for name in entry.definitions:
        definition = REGISTRY[name]
        yield "what", definition.summary
        for argument, kind in arguments_told(definition):
            yield "argument", f"{argument}: {kind}"
        for text, outcome in settled(definition):
            yield "fact", f"{text}: {outcome}"
        for subject in BUILT_IN:
            if subject.definition == name:
                yield "subject", subject.id
        for dtype in JUDGED_IN:
            for form in (None, *definition.forms):
                yield from _told(what_breaks(name, dtype, form))
        yield "verify", f"softproof verify {name} --subject {published.__name__}:{name}"
        yield "plot", f"softproof plot precision {name} --output {name}.pdf"


def _told(found: Break) -> Iterable[tuple[str, str]]:
    """What a form does in a format, and the smallest case that shows it."""
    if not found.cases:
        yield found.dtype, f"{found.form}: no case has a truth"
        return
    told = f"{found.form}: {found.cause}, {found.ulp:.3g} ulp in {found.cases} cases"
    if found.undecided:
        told += f" ({found.undecided} more have no truth)"
    yield found.dtype, told
    if found.ulp > BREAKS:
        at = " | ".join(found.at.split("\n"))
        yield "", f"{found.computed:.9g} for {found.exact:.9g} at {at}"


def print_breaks(found: Sequence[Break], console: Console) -> None:
    """Print what breaks first in the published form of each definition, the worst first.

    Parameters
    ----------
    found
        Of one format.
    console
        Where to print.
    """
    table = Table(box=None, pad_edge=False)
    for column in ("definition", "cause", "ulp", "at"):
        table.add_column(column, no_wrap=column != "at", overflow="fold")
    for each in sorted(found, key=lambda b: -b.ulp):
        at = " | ".join(each.at.split("\n")[1:])
        table.add_row(*map(Text, (each.definition, each.cause, f"{each.ulp:.3g}", at)))
    console.print(table)
    causes = Counter(each.cause or "no truth" for each in found)
    told = ", ".join(f"{n} {cause}" for cause, n in causes.most_common())
    console.print(f"{AS_PUBLISHED}, {found[0].dtype}, {len(found)} definitions: {told}")
