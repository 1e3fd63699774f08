"""Arrays and replies on the wire, as both versions of the protocol of programs have them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..subject import NotApplicable, SubjectRaised, WrongResult
from .program_process import Conversation, quoted

Array = NDArray[Any]

HEX = re.compile(rb"([+-]?)0x([0-9a-f]+)\.?([0-9a-f]*)p([+-]?[0-9]{1,5})", re.IGNORECASE)
SPECIAL = re.compile(rb"[+-]?(?:nan(?:\(\w*\))?|(inf(?:inity)?))", re.IGNORECASE)
SIZE = re.compile(r"[0-9]{1,15}")
WHOLE = re.compile(rb"-?[0-9]{1,18}")
MOST_AXES = 3


# --- written ---


def to_hex(value: float) -> str:
    """Write a number in C99's notation, as ``metrics.hexadecimal`` does, three times faster.

    Parameters
    ----------
    value
        Any number.

    Returns
    -------
    str
        The shortest such text.

    Examples
    --------
    >>> to_hex(3.0), to_hex(math.inf)
    ('0x1.8p+1', 'inf')
    """
    mantissa, p, exponent = value.hex().partition("p")
    return mantissa.rstrip("0").rstrip(".") + p + exponent if p else mantissa


def in_hex(array: Array) -> list[str]:
    """Write real numbers as ``to_hex`` does, each distinct one once: long rows repeat few numbers.

    Parameters
    ----------
    array
        Numbers of a floating-point format.

    Returns
    -------
    list of str
        A text for each entry, in C order.

    Examples
    --------
    >>> in_hex(np.float32([1, -0.0, 0, 1]))
    ['0x1p+0', '-0x0p+0', '0x0p+0', '0x1p+0']
    """
    wide = np.ascontiguousarray(array, dtype=np.float64).reshape(-1)
    bits = wide.view(np.int64)  # which tell 0 from -0
    distinct, first = np.unique(bits, return_index=True)
    texts = dict(zip(distinct.tolist(), map(to_hex, wide[first].tolist()), strict=True))
    return [texts[b] for b in bits.tolist()]


def written(array: Array, encoding: str) -> bytes:
    """Write the entries of an array as a program reads them.

    Parameters
    ----------
    array
        The array.
    encoding
        "raw", or "hex": a line of numbers in hex, of integers in decimal.

    Returns
    -------
    bytes
        The entries in C order, raw ones little-endian.

    Examples
    --------
    >>> written(np.float32([1, 3]), "hex"), written(np.array([True, False]), "hex")
    (b'0x1p+0 0x1.8p+1\\n', b'1 0\\n')
    """
    if encoding == "raw":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    flat = array.reshape(-1)
    if array.dtype.kind in "biu":
        words = [str(int(entry)) for entry in flat.tolist()]
    else:
        words = in_hex(flat)
    return f"{' '.join(words)}\n".encode()


# --- read ---


def first_line(talk: Conversation, wanted: str) -> str:
    """Read the first line of a reply, which begins with the word that is wanted.

    SubjectRaised where the program replies an error, NotApplicable where it does not do this, and
    WrongResult for anything else.

    Parameters
    ----------
    talk
        The program.
    wanted
        The line that is wanted, as a message shows it; its first word counts.

    Returns
    -------
    str
        The line.

    Raises
    ------
    SubjectRaised
        If the program replies an error.
    NotApplicable
        If it does not do this.
    WrongResult
        If it replies anything else.
    """
    line = talk.line()
    word, _, text = line.partition(" ")
    if word in ("error", "unsupported"):
        talk.finish()
        raise SubjectRaised(f"replied {line}") if word == "error" else NotApplicable(text)
    if word != wanted.partition(" ")[0]:
        raise WrongResult(
            f"replied {quoted(line)}; reply {wanted!r}, 'error TEXT' or 'unsupported TEXT'"
        )
    return line


def line_after_numbers(talk: Conversation, encoding: str) -> str:
    """Read the line after numbers; in hex, line breaks among numbers mean nothing.

    Parameters
    ----------
    talk
        The program.
    encoding
        "raw" or "hex".

    Returns
    -------
    str
        The line.
    """
    talk.awaited = "'end'"
    line = talk.line()
    while encoding == "hex" and not line:
        line = talk.line()
    return line


def shape_of(what: str, header: str, words: Sequence[str]) -> tuple[Format, tuple[int, ...]]:
    """Read the format and the shape that a header announces by the words after its name.

    WrongResult where they are none.

    Parameters
    ----------
    what
        What is announced, for messages.
    header
        The whole line, for messages.
    words
        The words: a dtype and sizes.

    Returns
    -------
    tuple
        The format, and the shape.

    Raises
    ------
    WrongResult
        If they are none.
    """
    if not words or words[0] not in ARRAY_FORMATS:
        raise WrongResult(
            f"announced its {what} by {quoted(header)}; name a DTYPE of {', '.join(ARRAY_FORMATS)}"
        )
    if len(words) > 1 + MOST_AXES or not all(SIZE.fullmatch(word) for word in words[1:]):
        raise WrongResult(f"announced its {what} by {quoted(header)}; give its shape")
    return ARRAY_FORMATS[words[0]], tuple(int(word) for word in words[1:])


def numbers(
    talk: Conversation, what: str, fmt: Format, shape: tuple[int, ...], encoding: str
) -> Array:
    """Read the numbers of an array.

    Parameters
    ----------
    talk
        The program.
    what
        What they are, for messages.
    fmt
        Their format.
    shape
        The shape of the array.
    encoding
        "raw" or "hex".

    Returns
    -------
    numpy.ndarray
        The array.

    Raises
    ------
    WrongResult
        If they are too few, or no numbers of the format.
    """
    count = math.prod(shape)
    talk.awaited = f"the {count} numbers of its {what}"
    if encoding == "raw":
        data = talk.take(count * fmt.dtype.itemsize)
        return np.frombuffer(data, dtype=fmt.dtype).reshape(shape)
    values: list[float] = []
    known: dict[bytes, float] = {}  # a long array repeats few numbers
    while len(values) < count:
        tokens = talk.words(count - len(values))
        for token in dict.fromkeys(tokens):
            if token in (b"end", b"gradient", b"result"):
                before = len(values) + tokens.index(token)
                raise WrongResult(f"{what} ended after {before} numbers of {count}")
            if token not in known:
                known[token] = parsed(token, fmt)
        values += [known[token] for token in tokens]
    return np.array(values).astype(fmt.dtype).reshape(shape)


def integers(talk: Conversation, what: str, shape: tuple[int, ...], encoding: str) -> Array:
    """Read an array of whole numbers.

    Parameters
    ----------
    talk
        The program.
    what
        What they are, for messages.
    shape
        The shape of the array.
    encoding
        "raw", where they are int64, or "hex", where they are decimal all the same.

    Returns
    -------
    numpy.ndarray
        The array, of int64.

    Raises
    ------
    WrongResult
        If they are too few, or no whole numbers.
    """
    count = math.prod(shape)
    talk.awaited = f"the {count} numbers of its {what}"
    if encoding == "raw":
        return np.frombuffer(talk.take(count * 8), dtype="<i8").astype(np.int64).reshape(shape)
    values: list[int] = []
    while len(values) < count:
        for token in talk.words(count - len(values)):
            if not WHOLE.fullmatch(token):
                shown = quoted(token.decode(errors="replace"))
                raise WrongResult(f"wrote {shown} in its {what}, not a whole number")
            values.append(int(token))
    return np.array(values, dtype=np.int64).reshape(shape)


def parsed(token: bytes, fmt: Format) -> float:
    """Read a number in hex, exactly.

    Parameters
    ----------
    token
        The text of the number.
    fmt
        The format.

    Returns
    -------
    float
        The number.

    Raises
    ------
    WrongResult
        If it is no number of the format.

    Examples
    --------
    >>> parsed(b"0x1.8p+1", ARRAY_FORMATS["float32"])
    3.0
    >>> parsed(b"0x1.999999999999ap-4", ARRAY_FORMATS["float32"])
    Traceback (most recent call last):
    ...
    softproof.verify.subjects.subject.WrongResult: wrote 0x1.999999999999ap-4, not a float32 number
    """
    match = HEX.fullmatch(token)
    if match is None:
        if special := SPECIAL.fullmatch(token):
            value = math.inf if special[1] else math.nan
            if special[1] and not fmt.has_infinities:
                raise WrongResult(f"wrote {token.decode()}, which {fmt.name} has not")
            return -value if token.startswith(b"-") else value
        raise WrongResult(f"wrote {quoted(token.decode(errors='replace'))}, not a number in hex")
    sign, whole, fraction, power = match.groups()
    significand = int(whole + fraction, 16)
    exponent = int(power) - 4 * len(fraction)
    if significand == 0:
        return -0.0 if sign == b"-" else 0.0
    trailing = (significand & -significand).bit_length() - 1
    significand >>= trailing
    exponent += trailing
    bits = significand.bit_length()
    fits = bits <= fmt.precision and exponent >= fmt.tiny_exponent
    if not fits or exponent + bits - 1 > fmt.emax:
        raise WrongResult(f"wrote {token.decode()}, not a {fmt.name} number")
    value = math.ldexp(significand, exponent)
    if value > fmt.largest:
        raise WrongResult(f"wrote {token.decode()}, not a {fmt.name} number")
    return -value if sign == b"-" else value
