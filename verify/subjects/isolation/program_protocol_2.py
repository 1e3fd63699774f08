r"""Version 2 of the protocol of programs: functions of named arguments, and their derivatives.

A command is started once and then asked, call after call, over its standard input and output,
until its input ends.  ``data/rms_norm.c`` is a complete program.

**Greeting.**  At its start the program prints one line that says how it writes numbers::

    softproof 2 hex         or      softproof 2 raw

**Call.**  Then it reads a header, the parameters that have not their defaults, and all arguments in
the order of the definition (``softproof derive NAME`` prints arguments, parameters and defaults)::

    call DEFINITION DTYPE CASES
    parameter NAME NUMBER               none, one or several of these
    argument NAME TYPE SIZE...          one of these for each argument, with
    NUMBERS                             its entries
    end

    DEFINITION  rms_norm, attention, softmax, ... or a definition of the user's own
    DTYPE       float16, bfloat16, float32, float64, float8_e4m3fn or float8_e5m2: the format of
                real numbers and of the reply
    CASES       how many points the function is asked at
    NUMBER      a binary64 number in hex
    TYPE        DTYPE for real numbers, int64 for labels and whole numbers, bool for masks
    SIZE...     the shape; the first size is CASES, and the others are those of the axes of the
                definition.  An argument that all cases share has no such first size

A function of single numbers, as sigmoid, is asked at CASES of them.

NUMBERS are

* hex: one line, the entries in C order, separated by single spaces: C99 hexadecimal floating-point
  numbers (``0x1.8p+1``), ``inf``, ``-inf`` or ``nan``; decimal integers; 1 and 0 for a mask.  An
  empty line where there are none.
* raw: right after the header's line break, the entries in C order, little endian, without padding:
  1, 2, 4 or 8 bytes of a DTYPE (bfloat16 is the upper half of a binary32), 8 of an int64, 1 of a
  bool.  The next line of text follows immediately.  (In C, read headers with ``fgets``: a line
  break in a format of ``scanf`` would swallow bytes of the numbers that look like blanks.)

**Reply.**  The program reads the whole call, and answers with one of::

    result NAME DTYPE SIZE...           one of these for each output of the definition, in any
    NUMBERS                             order, with its numbers; a single output is called value.
    end                                 The first size is CASES.  Further results, as lse of
                                        attention, may be among them

    error TEXT              it failed, as a function does that raises an exception: a finding
    unsupported TEXT        it does not do this DEFINITION, DTYPE, parameter or derivative: nothing
                            is concluded

NUMBERS are encoded as in the call: hex numbers between any blanks and line breaks; or raw bytes,
which the next line of text follows immediately.  DTYPE is the format in which the program computed
the result.  Hex numbers must be exactly representable in it: print ``float`` and ``double`` with
C's ``%a``.  Decimal numbers are refused, since ``0.1`` may be meant in base 10 or 16.  A result of
indices, as of ``top_k_gate``, has int64 in place of DTYPE, and in hex decimal integers.

**Derivatives.**  A call may begin with ``vjp`` in place of ``call``.  Then an argument more follows
for each output, the cotangent that it is weighted with: ``cotangent``, or ``cotangent_NAME`` where
the definition has several outputs.  Wanted is a result for each argument of real numbers, under its
name and in its shape: the vector-Jacobian product, sum_i g_i dy_i/dx for the cotangent g of the
output y.  In an argument that all cases share it is summed over them.  A program without
derivatives replies ``unsupported vjp``.

The program must flush its output after the greeting and after each reply.  It may write to standard
error whatever it likes; the last line is shown where it dies.  When its input ends, it exits.

**Example** (``>`` is read by the program, ``<`` written by it)::

    < softproof 2 hex
    > call rms_norm float32 2
    > parameter eps 0x0p+0
    > argument x float32 2 2
    > 0x1p+0 0x1p+0 0x1p+1 -0x1p+1
    > argument gain float32 2
    > 0x1p+0 0x1.8p+1
    > end
    < result value float32 2 2
    < 0x1p+0
    < 0x1.8p+1
    < 0x1p+0
    < -0x1.8p+1
    < end
    > vjp rms_norm float32 1
    > parameter eps 0x0p+0
    > argument x float32 1 2
    > 0x1p+0 0x1p+0
    > argument gain float32 2
    > 0x1p+0 0x1.8p+1
    > argument cotangent float32 1 2
    > 0x1p+0 0x0p+0
    > end
    < result x float32 1 2
    < 0x1p-1
    < -0x1p-1
    < result gain float32 2
    < 0x1p+0
    < 0x0p+0
    < end
    > call attention float32 0
    > end
    < unsupported attention
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ..subject import WrongResult
from .program_arrays import (
    first_line,
    integers,
    line_after_numbers,
    numbers,
    shape_of,
    to_hex,
    written,
)
from .program_process import Conversation, quoted

Array = NDArray[Any]
RESULT = "result NAME DTYPE SIZE..."


def call(
    header: str, arguments: Mapping[str, Array], parameters: Mapping[str, float], encoding: str
) -> list[bytes]:
    r"""Write a call as it is sent, from its header.

    Parameters
    ----------
    header
        The first line.
    arguments
        The arrays by name.
    parameters
        The numbers by name.
    encoding
        "raw" or "hex".

    Returns
    -------
    list of bytes
        The parts of the message.

    Examples
    --------
    >>> import numpy as np
    >>> b"".join(call("call f float32 1", {"x": np.float32([2])}, {"eps": 0.5}, "hex"))
    b'call f float32 1\nparameter eps 0x1p-1\nargument x float32 1\n0x1p+1\nend\n'
    """
    lines = [header, *(f"parameter {name} {to_hex(v)}" for name, v in parameters.items())]
    parts = ["".join(line + "\n" for line in lines).encode()]
    for name, array in arguments.items():
        sizes = "".join(f" {size}" for size in array.shape)
        parts += [f"argument {name} {array.dtype}{sizes}\n".encode(), written(array, encoding)]
    return [*parts, b"end\n"]


def reply(
    talk: Conversation,
    names: Sequence[str],
    most: int,
    encoding: str,
    indices: Sequence[str] = (),
    further: Sequence[str] = (),
) -> list[Array]:
    """Read the results of a reply, in the order of their names.

    Their shapes and dtypes are judged by the host.

    Parameters
    ----------
    talk
        The program.
    names
        What the results are called.
    most
        How many numbers a result may have.
    encoding
        "raw" or "hex".
    indices
        Which of the results are indices, int64.
    further
        What results are called that may be there, and then come last.

    Returns
    -------
    list of numpy.ndarray
        The results.

    Raises
    ------
    WrongResult
        If the reply is none of the protocol.
    SubjectRaised, NotApplicable
        As ``program_arrays.first_line`` raises them.
    """
    line = first_line(talk, RESULT)
    found: dict[str, Array] = {}
    while line != "end":
        word, _, rest = line.partition(" ")
        if word != "result":
            last = list(found)[-1]
            raise WrongResult(
                f"wrote {quoted(line)} after the {found[last].size} numbers of its result {last}, "
                f"not 'end' or {RESULT!r}"
            )
        name, *words = rest.split() or [""]
        if name not in (*names, *further):
            raise WrongResult(
                f"announced {quoted(line)}; give results by name, of {', '.join(names)}"
            )
        if name in found:
            raise WrongResult(f"gave its result {name} twice")
        what = f"result {name}"
        is_choice = name in indices
        if is_choice and words[:1] != ["int64"]:
            raise WrongResult(f"announced its {what} by {quoted(line)}; its indices are int64")
        fmt, shape = shape_of(what, line, ["float64", *words[1:]] if is_choice else words)
        if math.prod(shape) > most or any(size > most for size in shape):
            raise WrongResult(f"{what} has shape {shape}, too large for what it was given")
        if is_choice:
            found[name] = integers(talk, what, shape, encoding)
        else:
            found[name] = numbers(talk, what, fmt, shape, encoding)
        line = line_after_numbers(talk, encoding)
    if missing := [name for name in names if name not in found]:
        raise WrongResult(f"gave no result {', '.join(missing)}")
    talk.finish()
    return [found[name] for name in (*names, *further) if name in found]
