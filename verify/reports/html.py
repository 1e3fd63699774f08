"""The report of a run as one HTML page that needs nothing else, not even a network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from .strict_json import json_text
from .svg import distance, distribution, row_of_logits, window
from .text import counted, legal, number, short_count
from .wording import (
    FINDINGS,
    MEANINGS,
    SYMBOLS,
    collapse_in_short,
    collapse_told,
    observed_told,
    quantities,
    reason,
    skipped,
    summary,
    verdict,
    worst_first,
)

MOST_LOGITS = 12  # of a case in its table; the data in the page and the command have all
LONG = 2000  # letters of a command that is folded

Result = dict[str, Any]
Subjects = dict[tuple[str, str], dict[str, Any]]  # by definition and id
Column = tuple[str, str]  # suite, dtype


def html(report: dict[str, Any]) -> str:
    """A report as one HTML page.

    The page is complete without its script, which adds filters, sorting and a dialog for each cell;
    it holds the report itself as JSON, too. A content security policy forbids every request, and
    every script but its own: the text of a report comes from the code under test.

    Parameters
    ----------
    report
        The report as plain data.

    Returns
    -------
    str
        The page.

    Examples
    --------
    >>> page = html({
    ...     "versions": {"softproof": "1.0"}, "seed": 0, "budget": "quick", "interrupted": False,
    ...     "unit": "ulp", "subjects": [], "results": [], "skipped": {"m:f": "m is not installed"},
    ... })
    >>> "<h1>Nothing was checked</h1>" in page, "m is not installed" in page
    (True, True)
    """
    data = files("softproof.verify").joinpath("data")
    style = data.joinpath("report.css").read_text(encoding="utf-8")
    script = data.joinpath("report.js").read_text(encoding="utf-8")
    results = report["results"]
    findings = [r for r in results if r["status"] in FINDINGS]
    others = [r for r in results if r["status"] not in FINDINGS]
    subjects = {(s["definition"], s["id"]): s for s in report["subjects"]}
    parts = {
        "style": style,
        "script": script,
        "style_hash": _sha256(style),
        "script_hash": _sha256(script),
        "verdict": escape(verdict(report)),
        "about": _about(report),
        "filters": _filters(results),
        "matrix": _matrix(results),
        "unit": escape(report["unit"]),
        "legend": _legend(results),
        "findings_heading": "Findings" if findings else "No findings",
        "findings": "\n".join(_findings(findings, subjects)),
        "others_heading": counted(len(others), "result") + " without findings",
        "others": "\n".join(_article(r, subjects, _cases(r)) for r in others),
        # No `<` is left that could end the script element.
        "report": json_text(report).replace("<", "\\u003c"),
    }
    template = data.joinpath("report.html").read_text(encoding="utf-8")
    # One pass: what looks like a placeholder in the text of a report stays as it is.
    return legal(re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template))


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _about(report: dict[str, Any]) -> str:
    counts = dict.fromkeys(SYMBOLS, 0)
    for result in report["results"]:
        counts[result["status"]] += 1
    tally = ", ".join(f"{n:,} {status}" for status, n in counts.items() if n)
    checks = sum(r["checks"] for r in report["results"])
    rows = [
        ("results", f"{tally or 'none'}; {counted(checks, 'check')}"),
        ("run", f"budget {report['budget']}, seed {report['seed']}"),
        ("versions", ", ".join(f"{name} {v}" for name, v in report["versions"].items())),
    ]
    rows[1:1] = [("skipped", told) for told in skipped(report["skipped"])]
    if report["interrupted"]:
        rows.insert(0, ("interrupted", "The run did not end: this is what was known by then."))
    return _definitions(rows)


def _definitions(rows: Iterable[tuple[str, str]]) -> str:
    entries = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{''.join(entries)}</dl>"


def _filters(results: list[Result]) -> str:
    fields = ("definition", "suite", "dtype", "status")
    return "".join(
        f'<label>{field}<select name="{field}"><option value="">all</option>'
        + "".join(f"<option>{escape(value)}</option>" for value in _distinct(results, field))
        + "</select></label>"
        for field in fields
    )


def _distinct(results: list[Result], field: str) -> list[str]:
    return list(dict.fromkeys(r[field] for r in results))


def _legend(results: list[Result]) -> str:
    seen = set(_distinct(results, "status"))
    return "".join(
        f'<li><span class="cell {status}">{SYMBOLS[status]} {status}</span> {MEANINGS[status]}</li>'
        for status in SYMBOLS
        if status in seen
    )


def _matrix(results: list[Result]) -> str:
    """Subjects by suites and formats; columns that no subject has are left out."""
    suites = _distinct(results, "suite")
    columns = [
        (suite, dtype)
        for suite in suites
        for dtype in dict.fromkeys(r["dtype"] for r in results if r["suite"] == suite)
    ]
    groups = "".join(
        f'<th scope="colgroup" colspan="{sum(c[0] == suite for c in columns)}" '
        f'data-suite="{escape(suite)}" class="first">{escape(suite)}</th>'
        for suite in suites
    )
    formats = "".join(
        f'<th scope="col" data-suite="{escape(suite)}" data-dtype="{escape(dtype)}"'
        f'{_first(columns, i)}><abbr title="{escape(dtype)}">{_short(dtype)}</abbr></th>'
        for i, (suite, dtype) in enumerate(columns)
    )
    bodies = "".join(
        _body(definition, [r for r in results if r["definition"] == definition], columns)
        for definition in _distinct(results, "definition")
    )
    wide = " wide" if len(columns) > 20 else ""  # printed smaller
    return f"""<table class="matrix{wide}">
<thead>
<tr><th scope="col" rowspan="2" data-sort="name">subject</th>{groups}
<th scope="col" rowspan="2" data-sort="worst" class="first">worst ulp</th>
<th scope="col" rowspan="2" data-sort="violations">violations</th></tr>
<tr>{formats}</tr>
</thead>
{bodies}</table>"""


def _first(columns: list[Column], i: int) -> str:
    return ' class="first"' if i == 0 or columns[i - 1][0] != columns[i][0] else ""


def _short(dtype: str) -> str:
    return escape(dtype.replace("float", "f"))


def _body(definition: str, results: list[Result], columns: list[Column]) -> str:
    rows = "".join(
        _row(subject, [r for r in results if r["subject"] == subject], columns)
        for subject in _distinct(results, "subject")
    )
    name = escape(definition)
    heading = f'<th scope="rowgroup" colspan="{len(columns) + 3}">{name}</th>'
    return f'<tbody data-definition="{name}"><tr class="group">{heading}</tr>\n{rows}</tbody>\n'


def _row(subject: str, results: list[Result], columns: list[Column]) -> str:
    found = {(r["suite"], r["dtype"]): r for r in results}
    cells = "".join(
        f'<td data-suite="{escape(suite)}" data-dtype="{escape(dtype)}"{_first(columns, i)}>'
        + (_cell(found[suite, dtype]) if (suite, dtype) in found else "")
        + "</td>"
        for i, (suite, dtype) in enumerate(columns)
    )
    worst = max(r["worst"] for r in results)
    violations = sum(r["violations"] for r in results)
    return (
        f'<tr data-name="{escape(subject)}" data-worst="{worst}" data-violations="{violations}">'
        f'<th scope="row">{_subject(subject)}{_refusals(results)}</th>{cells}'
        f'<td class="total first" data-word="worst ulp">{number(worst) if worst else ""}</td>'
        f'<td class="total" data-word="violations">{violations or ""}</td></tr>\n'
    )


def _refusals(results: list[Result]) -> str:
    """Why cells of a row are refused, once for each reason."""
    reasons = dict.fromkeys(reason(r) for r in results if r["status"] == "refused")
    return "".join(f'<span class="reason">refused: {escape(why)}</span>' for why in reasons)


def _subject(subject: str) -> str:
    module, colon, name = subject.rpartition(":")
    prefix = f'<span class="module">{escape(module + colon)}</span><wbr>' if module else ""
    return prefix + escape(name)


def _cell(result: Result) -> str:
    status = result["status"]
    count = result["violations"] if status in ("fail", "expected") else None
    brief = number(result["worst"], 2) if status in ("pass", "fixed") and result["worst"] else ""
    brief = collapse_in_short(result.get("collapses", ())) or brief
    if status == "refused" and result["failures"]:
        brief = result["failures"][0]["kind"]
    brief += " ⚠" if result.get("warning") else ""
    text = f"{SYMBOLS[status]} {brief if count is None else short_count(count)}".rstrip()
    name = f"{result['subject']}, {result['suite']}, {result['dtype']}: {status}. {summary(result)}"
    where = f'data-word="{_short(result["dtype"])} {escape(result["suite"])}"'
    return (
        f'<a class="cell {status}" href="#{_anchor(result)}" data-status="{status}" {where} '
        f'aria-label="{escape(name)}" title="{escape(summary(result))}">{text}</a>'
    )


def _anchor(result: Result) -> str:
    names = (result[k] for k in ("definition", "subject", "suite", "dtype"))
    return "/".join(quote(name, safe=":", errors="backslashreplace") for name in names)


def _findings(findings: list[Result], subjects: Subjects) -> Iterator[str]:
    """The articles; what keeps a subject from being judged is told once, not for each suite."""
    told: dict[tuple[str, str, str], Result] = {}
    for result in findings:
        cases = _cases(result)
        if result["status"] == "refused" and result["failures"]:
            key = (result["definition"], result["subject"], result["failures"][0]["message"])
            first = told.setdefault(key, result)
            if first is not result:
                place = f"{escape(first['dtype'])} {escape(first['suite'])}"
                link = f'<a href="#{_anchor(first)}">{place}</a>'
                cases = f"<p>{escape(key[2])}: the case is the same as in {link}.</p>"
        yield _article(result, subjects, cases)


def _article(result: Result, subjects: Subjects, cases: str) -> str:
    """All that is known of a cell: what was found, how errors are distributed, and the cases."""
    status, drawing = result["status"], ""
    if result["errors"]:
        worst = next(iter(worst_first(result["failures"])), None)
        limit = worst["threshold"] if worst and worst["observed"] is not None else None
        drawing = f"<figure>{distribution(result['errors'], limit)}</figure>"
    declared = subjects.get((result["definition"], result["subject"]))
    return f"""<article id="{_anchor(result)}">
<h3><span class="cell {status}">{SYMBOLS[status]} {status}</span>
<span>{escape(result["definition"])}</span> <code>{escape(result["subject"])}</code>
<span>{escape(result["dtype"])} {escape(result["suite"])}</span></h3>
<div class="sides">{drawing}<div><p>{escape(summary(result))}</p>
{_declaration(declared) if declared else ""}</div></div>
{_collapses(result)}{cases}</article>"""


def _collapses(result: Result) -> str:
    """What was seen to collapse, each with its command."""
    told = "".join(
        f"<li>{escape(collapse_told(c))}<br><code>{escape(c['reproduce'])}</code></li>"
        for c in result.get("collapses", ())  # (older reports have none)
    )
    return f"<ul>{told}</ul>" if told else ""


def _cases(result: Result) -> str:
    """The worst case, and the worst of the other input families behind it."""
    failures = worst_first(result["failures"])
    cases = [_case(failure, "Case" if i else "Worst case") for i, failure in enumerate(failures)]
    if len(cases) < 2:
        return "".join(cases)
    more = counted(len(cases) - 1, "more case")
    rest = "".join(cases[1:])
    return f"{cases[0]}<details><summary>{more}, from other inputs</summary>{rest}</details>"


def _declaration(subject: dict[str, Any]) -> str:
    contract = [
        f"{name}={json.dumps(value) if isinstance(value, dict) else value}"
        for name, value in subject["contract"].items()
        if value not in ({}, None)
    ]
    observed = "; ".join(observed_told(subject.get("observed", {})))  # older reports have none
    observed = f" Observed: {observed}." if observed else ""
    place = f" on {subject['device']}" if subject["device"] else ""
    versions = "".join(f", {name} {version}" for name, version in subject["versions"].items())
    text = f"Contract: {', '.join(contract)}.{observed}"
    text += f" Takes {subject['arrays']} arrays{place}{versions}."
    return f'<p class="declaration">{escape(text)}</p>'


def _case(failure: dict[str, Any], title: str) -> str:
    """One failure: what is wrong, the numbers, the logits, and how to see it again."""
    facts = [("inputs", failure["family"])] if failure["family"] else []
    facts += [("label", str(failure["label"]))] if failure["label"] is not None else []
    detail = f"<p>{escape(failure['detail'])}</p>" if failure["detail"] else ""
    kind = "" if failure["kind"] == "value" else f" ({failure['kind']})"
    drawings = row_of_logits(failure) if failure["logits"] else ""
    if failure["threshold"]:
        drawings = distance(failure) + drawings
    commands = _copied("Case", failure["case"]) if failure["case"] else ""
    commands += _copied("Reproduce", failure["reproduce"])
    if failure["snippet"]:
        commands += _copied("Without softproof", failure["snippet"].rstrip())
    return f"""<section class="case">
<h4><span>{title}{escape(kind)}:</span> {escape(failure["message"])}</h4>{detail}
<div class="sides"><figure>{drawings}</figure>
<div>{_definitions([*facts, *quantities(failure)])}{_logits(failure)}</div></div>
{commands}</section>"""


def _logits(failure: dict[str, Any]) -> str:
    if not failure["logits"]:
        return ""
    start, shown = window(failure, MOST_LOGITS)
    rows = "".join(
        f"<tr{_marked(failure, i)}><td>{i}</td><td>{text}</td>"
        f"<td>{float.fromhex(text):.9g}</td></tr>"
        for i, text in enumerate(shown, start)
    )
    total = len(failure["logits"])
    more = f"<p>{len(shown)} of {total:,} logits.</p>" if len(shown) < total else ""
    heading = "<tr><th>class</th><th>logit, hex</th><th>decimal</th></tr>"
    return f'{more}<div class="logits"><table>{heading}{rows}</table></div>'


def _marked(failure: dict[str, Any], i: int) -> str:
    return ' class="wrong"' if i == failure["index"] else ""


def _copied(title: str, text: str) -> str:
    shown = f"<pre>{escape(text)}</pre>"
    if len(text) > LONG:
        shown = f"<details><summary>{len(text):,} letters</summary>{shown}</details>"
    return (
        f'<div class="command"><p>{title}</p><button type="button" class="copy">Copy</button>'
        f"{shown}</div>"
    )
