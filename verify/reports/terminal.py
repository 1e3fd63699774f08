"""The report of a run on the terminal: a table, the failures, a summary."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..oracle.metrics import UNIT, bits
from ..runs.results import Collapse, Failure, Report, Result
from ..subjects.subject import short_id
from ..suites import SUITES
from ..suites.grades import weakest
from .text import case_lines, counted, hex_and_decimal, row_of_numbers
from .wording import collapse_in_short, collapse_told, observed_told, skipped, worst_first

# What of a case is shown on the terminal; JSON and HTML have all.
MAX_FAILURES = 12
MAX_SHOWN = 8  # logits
MOST_LINES = 10  # of a script
MANY_SUITES = 6  # columns of a table
FEW_SUBJECTS = 3  # columns of a table by suite


def print_report(report: Report, console: Console) -> None:
    """Print all of a report: findings first, then what their words mean, and the verdict.

    Parameters
    ----------
    report
        The report.
    console
        Where to print.
    """
    print_table(report, console)
    print_failures(report, console)
    print_warnings(report, console)
    print_collapses(report, console)
    print_observed(report, console)
    print_explanations(report, console)
    print_summary(report, console)


def print_table(report: Report, console: Console) -> None:
    """Print one row for each subject and dtype, by definition, with one column for each suite.

    Parameters
    ----------
    report
        The report.
    console
        Where to print.
    """
    suites = [s for s in SUITES if any(key[3] == s for key in report.results)]
    # Of many suites, those that had nothing to check in any subject are left out.
    checked = [s for s in suites if any(r.checks for k, r in report.results.items() if k[3] == s)]
    if checked and len(suites) > MANY_SUITES:
        suites = checked
    heading = "definition, subject"
    lengths = (max(len(key[0]), 2 + len(short_id(key[1]))) for key in report.results)
    names = max([len(heading), *lengths])
    # Where it is narrow columns of suites fold first, to "pass"; then gaps shrink, and names fold;
    # then the format stands below the name.
    others = ["float32", *("pass" for _ in suites), "worst"]
    least = 2 + sum(map(len, others)) + len(others)
    is_narrow = least + len(others) + names > console.width
    is_tight = least + len("definition,") > console.width
    rows = list(dict.fromkeys(key[:3] for key in report.results))
    if len(rows) <= FEW_SUBJECTS and names + _width(report, suites, rows) > console.width:
        _print_by_suite(report, suites, rows, console)
        return
    if is_tight:
        least -= len("float32") + 1
    if is_narrow:
        names = max(len("definition,"), min(names, console.width - least))
    table = _table(_title(report), 0 if is_narrow else 1)
    table.add_column(heading, overflow="fold", width=names)
    if not is_tight:
        table.add_column("dtype", no_wrap=True)
    for suite in suites:
        table.add_column(suite.replace("-", "-\n"), justify="center", overflow="fold")
    table.add_column("worst ulp", justify="right")
    if not is_narrow:
        table.add_column("grade", no_wrap=True)
    previous = None
    for definition, subject, dtype in rows:
        found = [report.results.get((definition, subject, dtype, suite)) for suite in suites]
        if previous != definition:
            table.add_section()
            table.add_row(f"[bold]{definition}[/]")
        judged = [r for r in found if r is not None]
        worst = _worst(judged)
        grade = SHORT_GRADES.get(weakest(r.grade for r in judged) or "", "-")
        name = f"  {escape(short_id(subject))}"
        table.add_row(
            *([f"{name}\n  {dtype}"] if is_tight else [name, dtype]),
            *(_cell(result) for result in found),
            *([f"{worst}\n{grade}"] if is_narrow else [worst, grade]),
        )
        previous = definition
    console.print(table)


def _width(report: Report, suites: list[str], rows: list[tuple[str, str, str]]) -> int:
    """How wide the columns after the names are, with the gaps between them."""
    width = sum(2 + len(heading) for heading in ("float32", "worst ulp", "grade"))
    for suite in suites:
        cells = (Text.from_markup(_cell(report.results.get((*row, suite)))) for row in rows)
        parts = (len(part) for part in suite.replace("-", "- ").split())
        width += 2 + max([*parts, *(cell.cell_len for cell in cells)])
    return width


def _title(report: Report) -> str:
    return f"softproof verify, budget {report.budget}, seed {report.seed}"


def _print_by_suite(
    report: Report, suites: list[str], rows: list[tuple[str, str, str]], console: Console
) -> None:
    """Print one row for each suite, where all suites are too many columns and subjects are few."""
    console.print(f"[italic]{_title(report)}[/]", highlight=False)
    table = _table("")
    table.add_column("suite")
    for definition, subject, dtype in rows:
        told = f"{definition}\n{escape(short_id(subject))}\n{dtype}"
        table.add_column(told, justify="center", overflow="fold")
    found = {suite: [report.results.get((*row, suite)) for row in rows] for suite in suites}
    for suite, results in found.items():
        table.add_row(suite, *map(_cell, results))
    of_each = [[r for r in judged if r is not None] for judged in zip(*found.values(), strict=True)]
    table.add_section()
    table.add_row("worst ulp", *map(_worst, of_each))
    grades = (weakest(r.grade for r in judged) or "" for judged in of_each)
    table.add_row("grade", *(SHORT_GRADES.get(grade, "-") for grade in grades))
    console.print(table)


# Of all graded suites together, in few letters.
SHORT_GRADES = {
    "correctly rounded": "round",
    "float64 inside": "f64",
    "float32 inside, blocked": "f32",
    "float32, one by one": "loop",
    "input format": "input",
    "beyond all classes": "none",
}


def _worst(results: list[Result]) -> str:
    """The largest error of a subject; "-" where no number of it was judged."""
    judged = [r.worst for r in results if r.status not in ("refused", "empty")]
    return _ulps(max(judged)) if judged else "-"


def _table(title: str, gap: int = 1) -> Table:
    """Without vertical lines, which would take a third of a terminal's width."""
    padding = (0, gap)
    return Table(
        title=title, box=SIMPLE_HEAD, padding=padding, collapse_padding=True, pad_edge=False
    )


def _cell(result: Result | None) -> str:
    if result is None or result.checks == 0:
        return "-"
    if result.status == "pass" and (short := collapse_in_short(map(asdict, result.collapses))):
        return f"[yellow]{short}[/]"
    return {
        "pass": "[green]pass[/]",
        "fixed": "[green]fixed[/]",
        "expected": f"[yellow]expected[/] {result.violations}",
        "refused": "[bold red]refused[/]",
        "fail": f"[bold red]FAIL[/] {result.violations}",
    }[result.status]


def _ulps(value: float) -> str:
    if math.isinf(value):
        return "inf"
    return f"{value:.3g}" if value < 1e5 else f"2^{bits(value):.0f}"


Seen = tuple[Result, list[Collapse]]


def print_collapses(report: Report, console: Console) -> None:
    """Print from which gaps on results are lost, of subjects that do not promise that none is.

    Parameters
    ----------
    report
        The report.
    console
        Where to print.
    """
    seen: dict[tuple[str, str, str, str], Seen] = {}
    for result in report.results.values():
        for collapse in result.collapses:
            key = (result.definition, result.subject, result.dtype, collapse.result)
            seen.setdefault(key, (result, []))[1].append(collapse)
    if not seen:
        return
    if any(c.share is not None for _, told in seen.values() for c in told):
        _print_shares(seen, console)
    elif len(seen) <= MAX_FAILURES:
        _print_each(seen, console)
    else:
        _print_gaps(seen, console)


def _print_shares(seen: dict[tuple[str, str, str, str], Seen], console: Console) -> None:
    console.print("\n[bold]Softmax collapse[/], of the given samples:")
    for result, told in seen.values():
        for collapse in told:
            name = f"{result.definition} {short_id(result.subject)} {result.dtype}"
            console.print(f"  {escape(name)}: {escape(collapse_told(asdict(collapse)))}")


def _print_each(seen: dict[tuple[str, str, str, str], Seen], console: Console) -> None:
    """Lines for the fewest and the most classes, and a command for each result."""
    console.print("\n[bold]Softmax collapse[/], from which gap on a result is lost:\n")
    for result, told in seen.values():
        name = f"{result.definition} {short_id(result.subject)} {result.dtype}"
        console.print(f"[bold]{escape(name)}[/]")
        sizes = {min(c.classes for c in told), max(c.classes for c in told)}
        chosen = [c for c in told if c.classes in sizes]
        # (Of two classes it rarely makes a difference which one leads.)
        of_two = {c.gap for c in chosen if c.classes == 2 and c.leader == "first"}
        told_twice = [c for c in chosen if c.classes == 2 and c.leader != "first"]
        told_twice = [c for c in told_twice if c.gap in of_two]
        for collapse in (c for c in chosen if c not in told_twice):
            console.print(f"    {escape(collapse_told(asdict(collapse)))}", soft_wrap=True)
        console.print(f"    reproduce {escape(_shortest(told).reproduce)}", soft_wrap=True)
    console.print()


def _shortest(told: Iterable[Collapse]) -> Collapse:
    """The one with the shortest row to show."""
    return min(told, key=lambda c: len(c.logits) or math.inf)


def _print_gaps(seen: dict[tuple[str, str, str, str], Seen], console: Console) -> None:
    """A table: of the fewest classes, and of the most by the place of the leader."""
    most = max(c.classes for _, told in seen.values() for c in told)
    table = _table("Softmax collapse: gaps from which on a result is lost")
    for heading in ("definition, subject", "dtype", "result"):
        table.add_column(heading, no_wrap=True)
    for heading in ("1 or 2 classes", f"{most}, leader first", "last", "1 % wrong"):
        table.add_column(heading, justify="right")
    previous = None
    for (definition, subject, dtype, name), (_, told) in seen.items():
        if previous != definition:
            table.add_section()
            table.add_row(f"[bold]{definition}[/]")
        few = [c for c in told if c.classes <= 2]
        many = {c.leader: c for c in told if c.classes == most}
        wrong = [gap for c in told for level, gap in c.lost if level == 1e-2]
        table.add_row(
            f"  {escape(short_id(subject))}",
            dtype,
            name,
            _smallest(c.gap for c in few),
            *(_smallest([many[p].gap] if p in many else []) for p in ("first", "last")),
            _smallest(wrong),
        )
        previous = definition
    console.print(table)
    shown = _shortest(c for _, told in seen.values() for c in told)
    console.print("--html and --json tell all, with commands such as", markup=False)
    console.print(f"    {shown.reproduce}\n", markup=False, soft_wrap=True)


def _smallest(gaps: Iterable[float | None]) -> str:
    found = [gap for gap in gaps if gap is not None]
    return f"{min(found):.5g}" if found else ""


def print_failures(report: Report, console: Console) -> None:
    """Print for each failed suite its worst case, with the command that reproduces it.

    Of very many failed suites one for each subject is printed, frameworks before textbook forms,
    and a word on the rest.

    Parameters
    ----------
    report
        The report.
    console
        Where to print.
    """
    failed = [r for r in report.results.values() if r.status in ("fail", "refused")]
    if not failed:
        return
    told = _told(report, failed)
    console.print("\n[bold]Failures[/], the most telling case of each:\n")
    for result, worst in told:
        families = ", ".join(dict.fromkeys(f.family for f in result.failures if f.family))
        console.print(
            f"[bold red]FAIL[/] {result.definition} [bold]{escape(result.subject)}[/] "
            f"{result.dtype} {result.suite}: {result.violations} violations in "
            f"{result.checks} checks ({escape(families)})"
        )
        for line in _lines(worst):
            console.print(f"    {escape(line)}", soft_wrap=True)
        console.print()
    if len(failed) > MAX_FAILURES:
        console.print(
            f"These are {len(told)} cases of {len(failed)} failed suites; --html FILE writes all.\n"
        )


def _told(report: Report, failed: list[Result]) -> list[tuple[Result, Failure]]:
    """What is told of failed results: a case of each, or of each subject where they are many."""
    shown: dict[tuple[str, ...], tuple[Result, Failure]] = {}
    one_subject = len({(r.definition, r.subject) for r in failed}) == 1
    for result in failed:
        worst = Failure(**worst_first(asdict(f) for f in result.failures)[0])
        key: tuple[str, ...] = (result.definition, result.subject)
        if worst.family == "preflight":
            key = (*key, worst.message)  # it is the same in every suite and format
        elif len(failed) <= MAX_FAILURES or one_subject:
            key = (*key, result.dtype, result.suite)
        shown.setdefault(key, (result, worst))
    if len(failed) <= MAX_FAILURES or one_subject:
        return list(shown.values())[:MAX_FAILURES]
    frameworks = {(s.definition, s.id) for s in report.subjects if s.requires}
    first = sorted(shown, key=lambda key: key[:2] not in frameworks)[:MAX_FAILURES]
    return [shown[key] for key in first]


def _lines(failure: Failure) -> list[str]:
    lines = [failure.message]
    if failure.logits:
        shown, decimal = row_of_numbers(failure.logits, MAX_SHOWN)
        label = "" if failure.label is None else f"   label {failure.label}"
        lines += [f"logits    {shown}{label}", f"          {decimal}"]
    if failure.case is not None:
        lines += case_lines(failure.case)
    if failure.detail:
        lines.append(failure.detail)
    if failure.observed is not None and failure.expected is not None:
        place = "" if failure.index is None else f" at {failure.index}"
        lines.append(f"observed  {hex_and_decimal(failure.observed)}{place}")
        lines.append(f"expected  {hex_and_decimal(failure.expected)}")
    if failure.observed is not None and failure.threshold is not None:
        lines.append(
            f"error     {failure.error:.4g} ulp ({bits(failure.error):.1f} bits), "
            f"threshold {failure.threshold:.4g} ulp"
        )
    if failure.source:  # of the threshold or, for special values, of the expectation
        lines.append(f"from      {failure.source}")
    lines.append(f"reproduce {failure.reproduce}")
    if failure.snippet and failure.snippet.count("\n") < MOST_LINES:
        lines.append("or, without softproof,")
        lines += [f"    {line}" for line in failure.snippet.splitlines()]
    return lines


def print_warnings(report: Report, console: Console) -> None:
    """Print a line for each result that passes, but is suspicious; of very many the worst.

    Parameters
    ----------
    report
        The report.
    console
        Where to print.
    """
    warned = sorted(report.warned, key=lambda r: -r.excess.ratio if r.excess else 0.0)
    for result in warned[:MAX_FAILURES]:
        console.print(
            f"warning: {result.definition} {result.subject} {result.dtype} {result.suite}: "
            f"{result.warning}; the bound admits them, but right ones stay within twice",
            markup=False,
            soft_wrap=True,
        )
    if len(warned) > MAX_FAILURES:
        console.print(
            f"These are {MAX_FAILURES} of {len(warned)} warnings; --html FILE writes all."
        )


def print_observed(report: Report, console: Console) -> None:
    """Print what subjects do where they declare nothing, in a line each.

    Parameters
    ----------
    report
        The report.
    console
        Where to print.
    """
    for (definition, subject), observed in report.observed.items():
        whose = "" if len(report.observed) == 1 else f" of {definition} {short_id(subject)}"
        for line in observed_told(observed):
            console.print(f"observed{whose}: {line}", markup=False, highlight=False, soft_wrap=True)


def print_explanations(report: Report, console: Console) -> None:
    """Print what the words and numbers before mean, of those that were used.

    Parameters
    ----------
    report
        The report.
    console
        Where to print.
    """
    results = report.results.values()
    told = []
    if any(r.status in ("fail", "refused") for r in results):
        told.append(UNIT)
    if any(r.collapses for r in results):
        told.append(LOST)
    if report.observed:
        told.append(UNDECLARED)
    if told:
        console.print()
    for text in told:
        console.print(text, markup=False, highlight=False)


LOST = (
    "Softmax collapse: the gap, of the leader's logit to all others, from which on a result is 0, "
    "or a probability 1, although the exact one is not; derived in "
    "derivations/error_bounds/collapse.py."
)
UNDECLARED = (
    "Observed: what a subject does where its definition leaves a choice and nothing is declared. "
    "To hold it to that, declare it, as --contract empty=error."
)


def print_summary(report: Report, console: Console) -> None:
    """Print the verdict on the run in a line.

    Parameters
    ----------
    report
        The report.
    console
        Where to print.
    """
    failed = sum(r.status in ("fail", "refused") for r in report.results.values())
    checks = sum(result.checks for result in report.results.values())
    expected = sum(r.status == "expected" for r in report.results.values())
    passed = "all passed" if checks else "nothing was judged"
    verdict = f"{failed} of {len(report.results)} suites failed" if failed else passed
    if report.warned:
        verdict += f" with {counted(len(report.warned), 'warning')}"
    if report.interrupted and not failed:
        verdict = "nothing failed so far"
    elif expected:
        verdict += f", {expected} as expected" if failed else f" but {expected}, as expected"
    console.print(f"{checks} checks: {verdict}.  ({_versions(report)})")
    for told in skipped(report.skipped):
        console.print(f"Skipped, {told}.", markup=False)
    _print_undecided(report, console)
    if report.interrupted:
        console.print("[bold]Interrupted[/]: this is what was known by then.")


def _print_undecided(report: Report, console: Console) -> None:
    """How many rows of each definition were not judged, and the shortest of them."""
    for definition in dict.fromkeys(r.definition for r in report.results.values() if r.undecided):
        results = [r for r in report.results.values() if r.definition == definition]
        count = sum(result.undecided for result in results)
        rows = [row for result in results for row in result.undecided_rows]
        shown = min(rows, key=lambda row: len(row.case or row.logits) or math.inf)
        at = f", as {', '.join(map(hex_and_decimal, shown.logits))}" if shown.logits else ""
        if shown.case:
            at = f", as {'; '.join(shown.case.splitlines())}"
        told = (
            f"Undecided: {counted(count, 'row')}{at}: {shown.reason}. That is a finding about the "
        )
        told += f"definition {definition}, not about a subject: such rows were not judged."
        if not all(row.case is None for row in rows):
            told = f"Undecided: {counted(count, 'case')} of {definition}{at}: {shown.reason}. Such "
            told += "cases were not judged."
        console.print(
            told,
            markup=False,
            soft_wrap=True,
        )


def _versions(report: Report) -> str:
    return ", ".join(f"{name} {version}" for name, version in report.versions.items())
