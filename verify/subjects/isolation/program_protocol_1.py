r"""Version 1 of the protocol of programs: functions of a row of logits, with or without a label.

A command is started once and then asked, call after call, over its standard input and output,
until its input ends.  ``data/softmax.c`` is a complete program.

**Greeting.**  At its start the program prints one line that says how it writes numbers::

    softproof 1 hex         or      softproof 1 raw

**Call.**  Then it reads a header of six words, separated by single spaces, and the numbers::

    call DEFINITION DTYPE ROWS CLASSES LABELS

    DEFINITION  softmax, log_softmax, logsumexp, cross_entropy, ... (see `softproof subjects`)
    DTYPE       float16, bfloat16, float32 or float64, where they are asked for float8_e4m3fn or
                float8_e5m2: the format of the logits and of the reply
    ROWS        how many rows of logits: 0 or more
    CLASSES     how many logits each row has: 0 or more
    LABELS      how many labels follow the logits: ROWS where the definition takes a label, else 0

* hex: each row of logits is a line of C99 hexadecimal floating-point numbers (``0x1.8p+1``),
  ``inf``, ``-inf`` or ``nan``, separated by single spaces; an empty line where CLASSES is 0.  Where
  LABELS is not 0, one line of LABELS decimal integers (0 ... CLASSES - 1) follows.
* raw: right after the header's line break, ROWS x CLASSES numbers of DTYPE, row by row, little
  endian, without padding (1, 2, 4 or 8 bytes each; bfloat16 is the upper half of a binary32), then
  LABELS signed 64-bit integers, little endian.  (In C, read the header with ``fgets``: a line break
  in a format of ``scanf`` would swallow bytes of the numbers that look like blanks.)

**Reply.**  The program reads the whole call, and answers with one of::

    value DTYPE SIZE...     the numbers of the result; SIZE... is its shape: ROWS CLASSES for
    NUMBERS                 softmax and whatever else has a number for each class, or maps each
    end                     number by itself, as sigmoid; ROWS for logsumexp and the losses

    value DTYPE SIZE...     the same with the gradient of each row's result with respect to its
    NUMBERS                 logits; its shape is ROWS CLASSES
    gradient DTYPE ROWS CLASSES
    NUMBERS
    end

    error TEXT              it failed, as a function does that raises an exception: a finding
    unsupported TEXT        it does not do this DEFINITION or DTYPE: nothing is concluded

NUMBERS are encoded as in the call: hex numbers between any blanks and line breaks; or raw bytes,
which the next line of text follows immediately.  DTYPE is the format in which the program computed
the result.  Hex numbers must be exactly representable in it: print ``float`` and ``double`` with
C's ``%a``.  Decimal numbers are refused, since ``0.1`` may be meant in base 10 or 16.

The program must flush its output after the greeting and after each reply.  It may write to standard
error whatever it likes; the last line is shown where it dies.  When its input ends, it exits.

**Example** (``>`` is read by the program, ``<`` written by it)::

    < softproof 1 hex
    > call softmax float32 2 2 0
    > 0x1p+0 0x1p+0
    > -inf 0x0p+0
    < value float32 2 2
    < 0x1p-1
    < 0x1p-1
    < 0x0p+0
    < 0x1p+0
    < end
    > call cross_entropy float32 1 1 1
    > 0x1p+0
    > 0
    < value float32 1
    < 0x0p+0
    < gradient float32 1 1
    < -0x0p+0
    < end
    > call sigmoid float32 1 1 0
    > 0x1p+0
    < unsupported sigmoid in float32
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..subject import WrongResult
from .program_arrays import first_line, in_hex, line_after_numbers, numbers, shape_of, written
from .program_process import Conversation, quoted

Array = NDArray[Any]


def call(definition: str, logits: Array, labels: Array | None, encoding: str) -> list[bytes]:
    r"""Write a call as it is sent.

    Parameters
    ----------
    definition
        The name of the definition.
    logits
        (rows, classes) numbers.
    labels
        (rows,) integers, or None where there are none.
    encoding
        "raw" or "hex".

    Returns
    -------
    list of bytes
        The parts of the message.

    Examples
    --------
    >>> call("cross_entropy", np.float32([[1, 3]]), np.array([1]), "hex")
    [b'call cross_entropy float32 1 2 1\n', b'0x1p+0 0x1.8p+1\n1\n']
    """
    rows, classes = logits.shape
    count = 0 if labels is None else len(labels)
    header = f"call {definition} {logits.dtype} {rows} {classes} {count}\n".encode()
    labelled = np.zeros(0, np.int64) if labels is None else np.asarray(labels, np.int64)
    if encoding == "raw":
        return [header, written(logits, "raw"), written(labelled, "raw")]
    words = in_hex(logits)
    text = [" ".join(words[i * classes : (i + 1) * classes]) for i in range(rows)]
    if labels is not None:
        text.append(" ".join(str(int(label)) for label in labels))
    return [header, "".join(line + "\n" for line in text).encode()]


def reply(talk: Conversation, logits: Array, encoding: str) -> list[Array]:
    """Read the value of a reply, and its gradient if it has one.

    Parameters
    ----------
    talk
        The program.
    logits
        What it was called with, which tells the shapes.
    encoding
        "raw" or "hex".

    Returns
    -------
    list of numpy.ndarray
        The value, and the gradient.

    Raises
    ------
    WrongResult
        If the reply is none of the protocol.
    SubjectRaised, NotApplicable
        As ``program_arrays.first_line`` raises them.
    """
    line = first_line(talk, "value DTYPE SIZE...")
    arrays = [_array(talk, line, logits, encoding)]
    after, line = "value", line_after_numbers(talk, encoding)
    if line.startswith("gradient "):
        arrays.append(_array(talk, line, logits, encoding))
        after, line = "gradient", line_after_numbers(talk, encoding)
    if line != "end":
        wanted = "'end'" if after == "gradient" else "'end' or 'gradient DTYPE ROWS CLASSES'"
        raise WrongResult(
            f"wrote {quoted(line)} after the {arrays[-1].size} numbers of its {after}, not {wanted}"
        )
    talk.finish()
    return arrays


def _array(talk: Conversation, header: str, logits: Array, encoding: str) -> Array:
    """The numbers that a header announces, whatever their shape and dtype: the host judges."""
    what, *words = header.split()
    fmt, shape = shape_of(what, header, words)
    most = max(logits.size, *logits.shape)
    if math.prod(shape) > most or any(size > most for size in shape):
        raise WrongResult(f"{what} has shape {shape}, too large for logits of {logits.shape}")
    return numbers(talk, what, fmt, shape, encoding)
