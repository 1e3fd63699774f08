"""Numbers, counts, rows and cases as text, as all reports write them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

# What XML 1.0 (section 2.2) does not allow, not even escaped; HTML and UTF-8 refuse part of it.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MOST_OF_A_LINE = 120  # characters of a case on the terminal


def legal(text: str) -> str:
    r"""A text with U+FFFD for the control characters and surrogates that XML and HTML cannot hold.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        The text with each such character replaced.

    Examples
    --------
    >>> legal("red \x1b[31m")
    'red �[31m'
    """
    return _ILLEGAL.sub("\ufffd", text)


def number(value: float | None, digits: int = 3) -> str:
    """Write a number for people: a few digits, a power of two where it is large.

    Parameters
    ----------
    value
        The number.
    digits
        How many significant digits.

    Returns
    -------
    str
        "inf" for an infinity, and "nan" for NaN or None.

    Examples
    --------
    >>> number(0.5), number(1234.5), number(2.0**40), number(math.inf), number(None)
    ('0.5', '1230', '2^40', 'inf', 'nan')
    """
    if value is None or not math.isfinite(value):
        return "nan" if value is None or math.isnan(value) else "inf"
    if value >= 1e5:
        return f"2^{math.log2(value):.0f}"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:g}"  # (1230, where the format above alone gives 1.23e+03)


def counted(count: int, noun: str) -> str:
    """Write a count with its noun.

    Parameters
    ----------
    count
        The count.
    noun
        The noun in the singular.

    Returns
    -------
    str
        Both, with an s where the count is not 1.

    Examples
    --------
    >>> counted(1, "check"), counted(12345, "check")
    ('1 check', '12,345 checks')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short_count(count: int) -> str:
    """Write a count in few letters.

    Parameters
    ----------
    count
        The count.

    Returns
    -------
    str
        Two or three digits, and k, M or G for thousands, millions and billions.

    Examples
    --------
    >>> short_count(412), short_count(1234), short_count(65536)
    ('412', '1.2k', '66k')
    """
    for size, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.{0 if count >= 10 * size else 1}f}{suffix}"
    return str(count)


def hex_and_decimal(text: str) -> str:
    """Write a number that a report gives in hex, with its decimal value.

    Parameters
    ----------
    text
        The number in hex.

    Returns
    -------
    str
        Both; the text alone for an infinity or NaN.

    Examples
    --------
    >>> hex_and_decimal("0x1.8p+1"), hex_and_decimal("-inf")
    ('0x1.8p+1 (3)', '-inf')
    """
    value = float.fromhex(text)
    return f"{text} ({value:.9g})" if math.isfinite(value) else text


def row_of_numbers(values: Sequence[str], most: int) -> tuple[str, str]:
    """Write a row that a report gives in hex, in hex and in decimal.

    Parameters
    ----------
    values
        The numbers in hex.
    most
        How many are written; of a longer row the first ones.

    Returns
    -------
    tuple of str
        The row in hex, and in decimal.

    Examples
    --------
    >>> row_of_numbers(["0x1p+0", "0x1.99999ap-4", "inf"], 2)
    ('[0x1p+0, 0x1.99999ap-4, ... (3 in all)]', '[1, 0.100000001, ... (3 in all)]')
    """
    more = f", ... ({len(values)} in all)" if len(values) > most else ""
    decimal = [f"{float.fromhex(value):.9g}" for value in values[:most]]
    return f"[{', '.join(values[:most])}{more}]", f"[{', '.join(decimal)}{more}]"


def case_lines(case: str) -> list[str]:
    """The lines of a case of a function of several arguments, long ones cut.

    Parameters
    ----------
    case
        The case as text, as ``cases.text`` writes it.

    Returns
    -------
    list of str
        Its lines, of MOST_OF_A_LINE characters at most, and an ellipsis.

    Examples
    --------
    >>> case_lines("rms_norm\\nx[K=2] 0x1p+0 0x1p-1")
    ['rms_norm', 'x[K=2] 0x1p+0 0x1p-1']
    """
    lines = case.splitlines()
    return [
        line if len(line) <= MOST_OF_A_LINE else f"{line[:MOST_OF_A_LINE]} ..." for line in lines
    ]


def counted_classes(count: int) -> str:
    """Write a number of classes with its noun.

    Parameters
    ----------
    count
        The number.

    Returns
    -------
    str
        "one number" for 1, as functions of one real have none.

    Examples
    --------
    >>> counted_classes(1), counted_classes(1000)
    ('one number', '1,000 classes')
    """
    return "one number" if count == 1 else f"{count:,} classes"
