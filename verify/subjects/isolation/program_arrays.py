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
MOST_AXES = 3


# --- written ---


def to_hex(value: float) -> str:
    """A number in C99's notation; as ``metrics.hexadecimal``, three times faster.

    >>> to_hex(3.0), to_hex(math.inf)
    ('0x1.8p+1', 'inf')
    """
    mantissa, p, exponent = value.hex().partition("p")
    return mantissa.rstrip("0").rstrip(".") + p + exponent if p else mantissa


def written(array: Array, encoding: str) -> bytes:
    """The entries of an array: raw, or as a line of numbers in hex, of integers in decimal.

    >>> written(np.float32([1, 3]), "hex"), written(np.array([True, False]), "hex")
    (b'0x1p+0 0x1.8p+1\\n', b'1 0\\n')
    """
    if encoding == "raw":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    flat = array.reshape(-1)
    if array.dtype.kind in "biu":
        words = [str(int(entry)) for entry in flat.tolist()]
    else:
        words = [to_hex(value) for value in flat.astype(np.float64).tolist()]
    return f"{' '.join(words)}\n".encode()


# --- read ---


def first_line(talk: Conversation, wanted: str) -> str:
    """The first line of a reply that begins with the word that is wanted.

    SubjectRaised where the program replies an error, NotApplicable where it does not do this, and
    WrongResult for anything else.
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
    """The line after numbers; in hex, line breaks among numbers mean nothing."""
    talk.awaited = "'end'"
    line = talk.line()
    while encoding == "hex" and not line:
        line = talk.line()
    return line


def shape_of(what: str, header: str, words: Sequence[str]) -> tuple[Format, tuple[int, ...]]:
    """The format and the shape that a header announces by the words after its name.

    WrongResult where they are none.
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
    """The numbers of an array of a shape; WrongResult where they are too few, or none."""
    count = math.prod(shape)
    talk.awaited = f"the {count} numbers of its {what}"
    if encoding == "raw":
        data = talk.take(count * fmt.dtype.itemsize)
        return np.frombuffer(data, dtype=fmt.dtype).reshape(shape)
    values: list[float] = []
    while len(values) < count:
        for token in talk.words(count - len(values)):
            if token in (b"end", b"gradient", b"result"):
                raise WrongResult(f"{what} ended after {len(values)} numbers of {count}")
            values.append(parsed(token, fmt))
    return np.array(values).astype(fmt.dtype).reshape(shape)


def parsed(token: bytes, fmt: Format) -> float:
    """A number in hex, exactly; WrongResult unless it is one of the format.

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
    if bits > fmt.precision or exponent < fmt.tiny_exponent or exponent + bits - 1 > fmt.emax:
        raise WrongResult(f"wrote {token.decode()}, not a {fmt.name} number")
    value = math.ldexp(significand, exponent)
    return -value if sign == b"-" else value
