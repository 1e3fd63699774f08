r"""A program in any language as a subject: the protocol it speaks, and the host that speaks it.

A command is started once and then asked, call after call, over its standard input and output,
until its input ends.  ``data/softmax.c`` is a complete program; this is the protocol, version 1.

**Greeting.**  At its start the program prints one line that says how it writes numbers::

    softproof 1 hex         or      softproof 1 raw

**Call.**  Then it reads a header of six words, separated by single spaces, and the numbers::

    call DEFINITION DTYPE ROWS CLASSES LABELS

    DEFINITION  softmax, log_softmax, logsumexp, cross_entropy, ... (see `softproof subjects`)
    DTYPE       float16, bfloat16, float32 or float64: the format of the logits and of the reply
    ROWS        how many rows of logits: 0 or more
    CLASSES     how many logits each row has: 0 or more
    LABELS      how many labels follow the logits: ROWS where the definition takes a label, else 0

* hex: each row of logits is a line of C99 hexadecimal floating-point numbers (``0x1.8p+1``),
  ``inf``, ``-inf`` or ``nan``, separated by single spaces; an empty line where CLASSES is 0.  Where
  LABELS is not 0, one line of LABELS decimal integers (0 ... CLASSES - 1) follows.
* raw: right after the header's line break, ROWS x CLASSES numbers of DTYPE, row by row, little
  endian, without padding (2, 2, 4 or 8 bytes each; bfloat16 is the upper half of a binary32), then
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

import contextlib
import io
import math
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..subject import (
    Crashed,
    NoSuchSubject,
    NotApplicable,
    OutOfMemory,
    ProcessDied,
    Subject,
    SubjectError,
    SubjectRaised,
    TimedOut,
    WrongResult,
)
from .descendants import end_marked, marked_environment
from .in_process import (
    FIRST_CALL,
    MEMORY_LIMIT,
    POLL,
    LiveSubject,
    death_limit_reached,
    how_it_ended,
)

Array = NDArray[Any]

GREETINGS = {f"softproof 1 {encoding}": encoding for encoding in ("hex", "raw")}
GREETING = "its greeting"
GRACE = 0.5  # seconds from the end of a program's input, or of its output, to its death
STDERR_TAIL = 4096  # bytes
MOST_TEXT = 4096  # bytes of a line that holds no numbers
MOST_DIGITS = 64  # bytes of a number in hex, its blank included
CHUNK = 1 << 20  # bytes read or written at a time

HEX = re.compile(rb"([+-]?)0x([0-9a-f]+)\.?([0-9a-f]*)p([+-]?[0-9]{1,5})", re.IGNORECASE)
SPECIAL = re.compile(rb"[+-]?(?:nan(?:\(\w*\))?|(inf(?:inity)?))", re.IGNORECASE)
SIZE = re.compile(r"[0-9]{1,15}")


def is_command(name: str) -> bool:
    """Whether a subject's name is a command line: it has a slash or a blank, as no module has.

    >>> is_command("./softmax"), is_command("julia softmax.jl"), is_command("mine:softmax")
    (True, True, False)
    """
    return re.search(r"[/\s]", name) is not None


def as_subject(command_line: str, definition: str) -> Subject:
    """The subject that a command line names; SubjectError where its quotes do not match.

    >>> as_subject("./softmax --fast", "softmax").command
    ('./softmax', '--fast')
    """
    try:
        command = tuple(shlex.split(command_line))
    except ValueError as error:
        raise SubjectError(f"{command_line}: {str(error).lower()}") from None
    if not command:
        raise SubjectError(f"the command {command_line!r} is empty")
    return Subject(command_line, definition, dtypes=tuple(ARRAY_FORMATS), command=command)


class Program(LiveSubject):
    """A program, started at the first call, and again after a death; close it at the end."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._talk: Conversation | None = None
        self._encoding = ""
        self._called = False
        self._deaths: Counter[type[ProcessDied]] = Counter()

    @property
    def given_up(self) -> ProcessDied | None:
        """Why the program is not started any more, after too many deaths; else None."""
        return death_limit_reached(self._deaths)

    def load(self) -> None:
        """Start the program; SubjectError where there is none, or it does not greet."""
        command = self.subject.command[0]
        if shutil.which(command) is None:
            raise NoSuchSubject(f"{self.subject.id}: no program {command} that can be executed")
        try:
            self._started()
        except WrongResult as fault:
            self.close()
            raise NoSuchSubject(
                f"{self.subject.id}: {fault}; the protocol is described in the docstring of "
                f"{__name__}"
            ) from None
        except BaseException:
            self.close()
            raise

    def _call(
        self,
        logits: Array,
        labels: Array | None,
        axis: int | None,
        layout: str,
        options: Mapping[str, Any],
    ) -> list[Array]:
        if options:
            raise NotApplicable(f"a program takes no {', '.join(options)}")
        if logits.ndim != 2 or axis not in (None, -1, 1) or layout != "contiguous":
            raise NotApplicable("a program takes rows of classes, contiguous in memory")
        if (death := self.given_up) is not None:
            raise death
        try:
            return self._ask(logits, labels)
        except (SubjectRaised, NotApplicable):
            raise  # a reply in good order: the program can be asked again
        except ProcessDied as end:
            self._deaths[type(end)] += 1
            self.close()
            raise
        except BaseException:
            self.close()
            raise

    def _call_with_arguments(
        self, arguments: Sequence[Array], keywords: Mapping[str, Any]
    ) -> list[Array]:
        raise NotApplicable("a program takes logits and labels only")

    def _ask(self, logits: Array, labels: Array | None) -> list[Array]:
        talk = self._started()
        limit = self.subject.time_limit
        # A first call may compile.
        talk.expect("its reply", limit if self._called else max(limit, FIRST_CALL))
        self._called = True
        talk.silent()
        talk.say(encoded(self.subject.definition, logits, labels, self._encoding))
        return self._reply(talk, logits)

    def _started(self) -> Conversation:
        """The conversation, with its greeting heard."""
        if self._talk is None:
            self._talk = Conversation(self.subject.command)
            self._talk.expect(GREETING, max(self.subject.time_limit, FIRST_CALL))
            line = self._talk.line()
            if line not in GREETINGS:
                greetings = " or ".join(map(repr, GREETINGS))
                raise WrongResult(f"its first line is {_quoted(line)}, not {greetings}")
            self._encoding = GREETINGS[line]
        return self._talk

    def _reply(self, talk: Conversation, logits: Array) -> list[Array]:
        line = talk.line()
        word, _, text = line.partition(" ")
        if word in ("error", "unsupported"):
            talk.finish()
            raise SubjectRaised(f"replied {line}") if word == "error" else NotApplicable(text)
        if word != "value":
            raise WrongResult(
                f"replied {_quoted(line)}; reply 'value DTYPE SIZE...', 'error TEXT' or "
                "'unsupported TEXT'"
            )
        arrays = [self._array(talk, line, logits)]
        after, line = "value", self._text(talk)
        if line.startswith("gradient "):
            arrays.append(self._array(talk, line, logits))
            after, line = "gradient", self._text(talk)
        if line != "end":
            wanted = "'end'" if after == "gradient" else "'end' or 'gradient DTYPE ROWS CLASSES'"
            raise WrongResult(
                f"wrote {_quoted(line)} after the {arrays[-1].size} numbers of its {after}, "
                f"not {wanted}"
            )
        talk.finish()
        return arrays

    def _array(self, talk: Conversation, header: str, logits: Array) -> Array:
        """The numbers that a header announces, whatever their shape and dtype: the host judges."""
        what, *words = header.split()
        if not words or words[0] not in ARRAY_FORMATS:
            raise WrongResult(
                f"announced its {what} by {_quoted(header)}; name a DTYPE of "
                f"{', '.join(ARRAY_FORMATS)}"
            )
        fmt = ARRAY_FORMATS[words[0]]
        if len(words) > 4 or not all(SIZE.fullmatch(word) for word in words[1:]):
            raise WrongResult(f"announced its {what} by {_quoted(header)}; give its shape")
        shape = tuple(int(word) for word in words[1:])
        count = math.prod(shape)
        most = max(logits.size, *logits.shape)
        if count > most or any(size > most for size in shape):
            raise WrongResult(f"{what} has shape {shape}, too large for logits of {logits.shape}")
        talk.awaited = f"the {count} numbers of its {what}"
        if self._encoding == "raw":
            data = talk.take(count * fmt.dtype.itemsize)
            return np.frombuffer(data, dtype=fmt.dtype).reshape(shape)
        return _from_hex(talk, what, count, fmt).reshape(shape)

    def _text(self, talk: Conversation) -> str:
        """The line after numbers; in hex, line breaks among numbers mean nothing."""
        talk.awaited = "'end'"
        line = talk.line()
        while self._encoding == "hex" and not line:
            line = talk.line()
        return line

    def close(self) -> None:
        """End the program, and all that it started."""
        if self._talk is not None:
            self._talk.close()
            self._talk = None


def encoded(definition: str, logits: Array, labels: Array | None, encoding: str) -> list[bytes]:
    r"""A call on the wire.

    >>> encoded("cross_entropy", np.float32([[1, 3]]), np.array([1]), "hex")
    [b'call cross_entropy float32 1 2 1\n', b'0x1p+0 0x1.8p+1\n1\n']
    """
    rows, classes = logits.shape
    count = 0 if labels is None else len(labels)
    header = f"call {definition} {logits.dtype.name} {rows} {classes} {count}\n".encode()
    if encoding == "raw":
        numbers = [] if labels is None else [labels.astype("<i8").tobytes()]
        return [header, logits.tobytes(), *numbers]
    text = [" ".join(map(_to_hex, row)) for row in logits.astype(np.float64).tolist()]
    if labels is not None and count:
        text.append(" ".join(str(int(label)) for label in labels))
    return [header, "".join(line + "\n" for line in text).encode()]


def _to_hex(value: float) -> str:
    """As ``metrics.hexadecimal``, three times faster."""
    mantissa, p, exponent = value.hex().partition("p")
    return mantissa.rstrip("0").rstrip(".") + p + exponent if p else mantissa


def _from_hex(talk: Conversation, what: str, count: int, fmt: Format) -> Array:
    values: list[float] = []
    while len(values) < count:
        for token in talk.words(count - len(values)):
            if token in (b"end", b"gradient"):
                raise WrongResult(f"{what} ended after {len(values)} numbers of {count}")
            values.append(parsed(token, fmt))
    return np.array(values).astype(fmt.dtype)


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
        raise WrongResult(f"wrote {_quoted(token.decode(errors='replace'))}, not a number in hex")
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


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


class Conversation:
    """A running program: what is written to it and read from it, without ever blocking.

    Whoever waits for a reply goes on writing the call, and takes what comes on standard error: a
    program may fill one pipe before it empties another.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        """Start the program; Crashed where that fails."""
        self.awaited = ""
        self._limit = self._deadline = self._next_look = 0.0
        self._to_write: list[memoryview] = []
        self._received = bytearray()
        self._stderr = bytearray()
        environment, self._mark = marked_environment()
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
        except (OSError, ValueError) as error:
            raise Crashed(f"cannot be started: {error}") from None
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._in, self._out, self._err = (
            stream.fileno()
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)
        for descriptor in (self._out, self._err):
            self._selector.register(descriptor, selectors.EVENT_READ)

    def expect(self, awaited: str, limit: float) -> None:
        """Start the clock: what is waited for, and for how many seconds at most."""
        self.awaited = awaited
        self._limit = limit
        self._deadline = time.monotonic() + limit
        self._next_look = time.monotonic() + POLL

    def say(self, parts: list[bytes]) -> None:
        """Have parts written to the program, while its answer is read."""
        self._to_write = [memoryview(part) for part in parts if part]
        self._selector.register(self._in, selectors.EVENT_WRITE)

    def silent(self) -> None:
        """WrongResult where something came that nobody asked for."""
        try:
            self._read()
        except BlockingIOError:
            pass
        except Crashed as death:
            raise Crashed(f"{death} (after its last reply)") from None
        self._demand_silence()

    def _demand_silence(self) -> None:
        if self._received:
            text = self._received[:MOST_TEXT].decode(errors="replace").strip()
            raise WrongResult(f"wrote {_quoted(text)}, which no call asked for")

    def finish(self) -> None:
        """After a reply, see that the whole call was read, and that nothing else came."""
        self.awaited = "it to read the whole call"
        while self._to_write and not self._received:
            self._pump()
        self._demand_silence()

    def line(self) -> str:
        """The next line, as text without its end."""
        self._await_line(MOST_TEXT)
        line = self._take(self._received.index(b"\n") + 1)
        return line.decode(errors="replace").strip()

    def words(self, most: int) -> list[bytes]:
        """The words of what has come of whole lines, at least of one; ``most`` words at most."""
        self._await_line(MOST_TEXT + MOST_DIGITS * most)
        lines = bytes(self._take(self._received.rindex(b"\n") + 1))
        words = lines.split(None, most)
        if len(words) > most:
            self._received[:0] = words.pop()
        return words

    def _await_line(self, most: int) -> None:
        """WrongResult where there is no line break in ``most`` bytes."""
        searched = 0
        while self._received.find(b"\n", searched) < 0:
            searched = len(self._received)
            if searched > most:
                start = self._received[:MOST_TEXT].decode(errors="replace")
                raise WrongResult(f"wrote {_quoted(start)}, a line without end")
            self._pump()

    def take(self, count: int) -> bytearray:
        """The next ``count`` bytes."""
        while len(self._received) < count:
            self._pump()
        return self._take(count)

    def _take(self, count: int) -> bytearray:
        taken = self._received[:count]
        del self._received[:count]
        return taken

    def _pump(self) -> None:
        """Write and read what can be written and read now; look at clock, memory and death."""
        ready = self._selector.select(POLL)
        for key, _ in ready:
            if key.fd == self._out:
                self._read()
            elif key.fd == self._err:
                self._read_stderr()
            else:
                self._write()
        now = time.monotonic()
        if not ready and self._process.poll() is not None:
            raise self._died()  # what it started may hold its output open
        if now > self._deadline:
            raise TimedOut(f"waited {self._limit:g} s for {self._status()}")
        if now > self._next_look:
            self._next_look = now + POLL
            if self._resident() > MEMORY_LIMIT:
                raise OutOfMemory(f"took more than {MEMORY_LIMIT >> 30} GiB of memory")

    def _status(self) -> str:
        unread = sum(map(len, self._to_write))
        if unread:
            return f"{self.awaited}; {unread} bytes of the call are not read"
        if self._received:
            return f"{self.awaited}; {len(self._received)} bytes came"
        return f"{self.awaited}; nothing came (does it flush its output?)"

    def _read(self) -> None:
        data = os.read(self._out, CHUNK)
        if not data:
            raise self._died()
        self._received += data

    def _read_stderr(self) -> bool:
        """Whether there may be more; only the end is kept."""
        try:
            data = os.read(self._err, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._err)
            return False
        self._stderr += data
        del self._stderr[:-STDERR_TAIL]
        return True

    def _write(self) -> None:
        try:
            written = os.write(self._in, self._to_write[0][:CHUNK])
        except BlockingIOError:
            return
        except BrokenPipeError:  # a reply may have come before; if not, its output will end
            self._to_write.clear()
        else:
            self._to_write[0] = self._to_write[0][written:]
            if not self._to_write[0]:
                del self._to_write[0]
        if not self._to_write:
            self._selector.unregister(self._in)

    def _resident(self) -> int:
        """Bytes of memory of the program, and of what it started."""
        total = 0
        with contextlib.suppress(psutil.Error):
            program = psutil.Process(self._process.pid)
            for process in (program, *program.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    def _died(self) -> Crashed:
        """How it ended, and the last line that it wrote to standard error."""
        try:
            status = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return Crashed("closed its output before the end of its reply")
        while self._read_stderr():
            pass
        how = how_it_ended(status, io.BytesIO(self._stderr))
        return Crashed(f"before its greeting: {how}" if self.awaited == GREETING else how)

    def close(self) -> None:
        """End the input; kill, after a moment, what does not end by itself."""
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream
            stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        end_marked(self._mark)
