"""Reports as strictly valid JSON, infinities included."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .whole_files import write_whole


def write_json(report: dict[str, Any], path: str | Path) -> None:
    """Write a report as strictly valid JSON: infinity as the number 1e999, NaN as null.

    JSON has no infinity, and Python's `Infinity` is refused by other parsers. 1e999 is a number by
    the grammar (RFC 8259, section 6), and parsers that read numbers as binary64 round it to
    infinity: Python, JavaScript and jq among them.

    Parameters
    ----------
    report
        The report as plain data.
    path
        The file, which is written whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written; the error names it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "report.json"
    ...     write_json({"batch": {"spread": math.inf, "exact": math.nan}}, path)
    ...     print(path.read_text(encoding="utf-8"))
    {
     "batch": {
      "spread": 1e999,
      "exact": null
     }
    }
    <BLANKLINE>
    """
    write_whole(path, json_text(report, indent=1) + "\n")


def json_text(report: dict[str, Any], indent: int | None = None) -> str:
    """A report as strictly valid JSON, as ``write_json`` writes it.

    Parameters
    ----------
    report
        The report as plain data.
    indent
        How many spaces a level is indented by; None for one line.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> json_text({"error": math.inf, "message": "1e999"})
    '{"error": 1e999, "message": "1e999"}'
    """
    text = json.dumps(_finite(report), indent=indent, allow_nan=False)
    return text.replace(json.dumps(_INFINITY), "1e999")


_INFINITY = "\0infinity"  # no text of a report is this


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return _INFINITY if isinstance(value, float) and value == math.inf else value
