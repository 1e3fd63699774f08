"""What a report says in words, from its plain data: a stored report reads like a fresh one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..inputs.families import plainness
from ..subjects.subject import short_id
from .text import counted, counted_classes, hex_and_decimal, number

# A symbol and a word as well as a colour: print and colour-blind readers have no colour.
SYMBOLS = {
    "pass": "✓",
    "fail": "✗",
    "refused": "⊘",
    "expected": "◇",
    "fixed": "△",
    "empty": "–",
}
MEANINGS = {
    "pass": "no check was violated",
    "fail": "checks were violated",
    "refused": "the subject cannot be called as it must be, so nothing was checked",
    "expected": "violated, as the declaration of expected failures says",
    "fixed": "declared as an expected failure, but nothing is violated",
    "empty": "the suite has no case for this subject",
}
FINDINGS = ("fail", "refused", "expected", "fixed")


def worst_first(failures: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort failures, the most telling first.

    Ordinary rows come before those with infinities or NaN, and these before no row at all; then it
    counts how far they are beyond their threshold, and the shorter rows come first.

    Parameters
    ----------
    failures
        Cases as plain data.

    Returns
    -------
    list of dict
        The same cases.
    """
    return sorted(failures, key=lambda f: (-_plainness(f), -_severity(f), len(f["logits"])))


def _plainness(failure: dict[str, Any]) -> int:
    return plainness(np.array([float.fromhex(value) for value in failure["logits"]]))


def _severity(failure: dict[str, Any]) -> float:
    error, threshold = failure["error"], failure["threshold"]
    return error / threshold if threshold and error is not None else math.inf


def observed_told(observed: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Say what was observed of a subject, in a line; one for each format where they differ.

    Parameters
    ----------
    observed
        Choices by axis, by format.

    Returns
    -------
    list of str
        The lines.

    Examples
    --------
    >>> ways = {"all_masked": "nan", "empty": "error"}
    >>> observed_told({"float32": ways, "float64": ways})
    ['all_masked=nan empty=error']
    >>> observed_told({"float32": ways, "float64": ways | {"empty": "empty"}})
    ['float32: all_masked=nan empty=error', 'float64: all_masked=nan empty=empty']
    """
    lines = {d: " ".join(f"{axis}={way}" for axis, way in o.items()) for d, o in observed.items()}
    if len(set(lines.values())) == 1:
        return [*set(lines.values())]
    return [f"{dtype}: {line}" for dtype, line in lines.items()]


def summary(result: dict[str, Any]) -> str:
    """Say what was found of one subject in one suite and format, in a sentence or two.

    Parameters
    ----------
    result
        The result as plain data.

    Returns
    -------
    str
        The sentences.
    """
    status = result["status"]
    if status == "empty":
        told = "The suite has no case for this subject in this format."
        return f"{told}{undecided(result)}"
    if status == "refused":
        return f"Nothing was checked: {reason(result)}."
    checks = counted(result["checks"], "check")
    worst = f"Worst error {number(result['worst'])} ulp ({number(result['worst_bits'])} bits)."
    if math.isinf(result["worst"]):
        worst = "Worst error infinite: NaN, or an infinity on one side only."
    if result.get("grade"):  # (older reports have none)
        worst += f" Grade: {result['grade']}."
    if result.get("warning"):
        worst += f" Warning: {result['warning']}."
    worst += undecided(result)
    if status in ("pass", "fixed"):
        known = f" {_declared(result)}: delete that entry." if status == "fixed" else ""
        return f"{checks}, no violation.{known} {worst}"
    known = f" {_declared(result)}." if status == "expected" else ""
    return f"{counted(result['violations'], 'violation')} in {checks}.{known} {worst}"


def undecided(result: Mapping[str, Any]) -> str:
    """Say how many rows were not judged, and why the first was not.

    Parameters
    ----------
    result
        The result as plain data.

    Returns
    -------
    str
        A sentence, after a space; empty where all were judged.
    """
    found = result.get("undecided", {"count": 0})  # (older reports have none)
    if not found["count"]:
        return ""
    why = f", as: {found['rows'][0]['reason']}" if found["rows"] else ""
    return (
        f" {counted(found['count'], 'undecided row')}, a finding about the definition "
        f"{result['definition']} and not about a subject{why}."
    )


def reason(result: Mapping[str, Any]) -> str:
    """Say why a subject was refused, as its first failure does.

    Parameters
    ----------
    result
        The result as plain data.

    Returns
    -------
    str
        Part of a sentence.
    """
    failures = result["failures"]
    why = failures[0]["message"].rstrip(".") if failures else ""
    return why or "the subject cannot be called as it must be"


def collapse_in_short(collapses: Iterable[Mapping[str, Any]]) -> str:
    """Write the smallest gap at which a result is lost, or the largest share of samples.

    Parameters
    ----------
    collapses
        Collapses as plain data.

    Returns
    -------
    str
        A few letters; empty where nothing is lost.

    Examples
    --------
    >>> lost = {"gap": 16.6355, "share": None, "observed": "0x0p+0"}
    >>> collapse_in_short([lost, lost | {"gap": 20.5}])
    '0 at 16.6'
    >>> collapse_in_short([lost | {"gap": None, "share": 0.25}]), collapse_in_short([])
    ('25 % SC', '')
    """
    told = [c for c in collapses if c["observed"] is not None]
    gaps = [c["gap"] for c in told if c["gap"] is not None]
    shares = [c["share"] for c in told if c["share"] is not None]
    if gaps:
        return f"0 at {min(gaps):.3g}"
    return f"{100 * max(shares):.3g} % SC" if shares else ""


def collapse_told(collapse: Mapping[str, Any]) -> str:
    """Say in a sentence what one collapse is.

    Parameters
    ----------
    collapse
        The collapse as plain data.

    Returns
    -------
    str
        The sentence.

    Examples
    --------
    >>> print(collapse_told({
    ...     "result": "loss", "classes": 2, "leader": "first", "gap": 16.63553, "share": None,
    ...     "cause": "1 absorbs the other classes one by one in a float32 sum: 24 ln 2",
    ...     "lost": [(0.01, 12.879)], "observed": "0x0p+0", "expected": "0x1p-24",
    ... }))
    loss of 2 classes, leader first: 0, not 5.96e-08, from a gap of 16.63553 on (1 absorbs the
    other classes one by one in a float32 sum: 24 ln 2); relative error above 0.01 from 12.88
    """
    leader = f", leader {collapse['leader']}" if collapse["leader"] else ""
    what = f"{collapse['result']} of {counted_classes(collapse['classes'])}{leader}: "
    if collapse["share"] is not None:
        return f"{what}{100 * collapse['share']:.4g} % of the samples"
    told = []
    if collapse["gap"] is not None:
        values = (collapse["observed"], collapse["expected"])
        observed, expected = (f"{float.fromhex(value):.3g}" for value in values)
        on = "at" if collapse["leader"] == "as given" else "from"
        told.append(f"{observed}, not {expected}, {on} a gap of {collapse['gap']:.7g}")
        told[0] += "" if on == "at" else " on"
        told[0] += f" ({collapse['cause']})" if collapse["cause"] else ""
    if collapse["lost"]:
        levels, gaps = zip(*collapse["lost"], strict=True)
        above, start = (", ".join(f"{v:.4g}" for v in values) for values in (levels, gaps))
        told.append(f"relative error above {above} from {start}")
    return what + "; ".join(told)


def _declared(result: dict[str, Any]) -> str:
    return f"Declared as an expected failure ({result['expected']})"


def quantities(failure: dict[str, Any]) -> list[tuple[str, str]]:
    """The observed and expected value, the error, the threshold and its source, if there are any.

    Parameters
    ----------
    failure
        The case as plain data.

    Returns
    -------
    list of tuple
        Pairs (name, value) of texts.
    """
    rows = []
    if failure["observed"] is not None:
        place = "" if failure["index"] is None else f" at index {failure['index']}"
        rows.append(("observed", hex_and_decimal(failure["observed"]) + place))
    if failure["expected"] is not None:
        rows.append(("expected", hex_and_decimal(failure["expected"])))
    if failure["threshold"] is not None:
        if failure["observed"] is not None:
            rows.append(("error", f"{number(failure['error'])} ulp"))
            rows.append(("threshold", f"{number(failure['threshold'])} ulp"))
        else:
            rows.append(("error", f"{number(failure['error'])} times what is admissible"))
    if failure["source"]:  # of the threshold or, for special values, of the expectation
        rows.append(("from", failure["source"]))
    return rows


def verdict(report: dict[str, Any]) -> str:
    """Say in one sentence what came of the whole run.

    Parameters
    ----------
    report
        The report as plain data.

    Returns
    -------
    str
        The sentence, without a full stop.
    """
    results = [r for r in report["results"] if r["status"] != "empty"]
    failed = sum(r["status"] in ("fail", "refused") for r in results)
    if not results:
        return "Nothing was checked"
    if failed:
        return f"{failed:,} of {counted(len(results), 'result')} failed"
    if report["interrupted"]:
        return f"Interrupted: {counted(len(results), 'result')} known, none failed"
    return f"All {counted(len(results), 'result')} passed"


def skipped(words: Mapping[str, str]) -> list[str]:
    """Say why subjects were skipped: each reason once, with its subjects.

    Parameters
    ----------
    words
        Reasons by the id of the subject.

    Returns
    -------
    list of str
        A line for each reason.

    Examples
    --------
    >>> skipped({"m:f": "m is not installed", "m:g": "m is not installed"})
    ['m is not installed: m:f, m:g']
    """
    return [
        f"{reason}: {', '.join(short_id(s) for s, why in words.items() if why == reason)}"
        for reason in dict.fromkeys(words.values())
    ]
