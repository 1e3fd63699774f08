"""A running program: what is written to it and read from it, within limits of time and memory."""

from __future__ import annotations

import contextlib
import io
import os
import selectors
import signal
import subprocess
import time

import psutil

from ..subject import Crashed, OutOfMemory, TimedOut, WrongResult
from .descendants import end_marked, marked_environment
from .in_process import MEMORY_LIMIT, POLL, how_it_ended

GREETING = "its greeting"
GRACE = 0.5  # seconds from the end of a program's input, or of its output, to its death
STDERR_TAIL = 4096  # bytes
MOST_TEXT = 4096  # bytes of a line that holds no numbers
MOST_DIGITS = 64  # bytes of a number in hex, its blank included
CHUNK = 1 << 20  # bytes read or written at a time
SHOWN = 60  # characters of what a program wrote that a message shows


def quoted(text: str) -> str:
    """Write what a program wrote as a message shows it.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    str
        The text in quotes; of a long one the beginning.

    Examples
    --------
    >>> quoted(70 * "x") == repr(57 * "x" + "...")
    True
    """
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 3] + "...")


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
            raise WrongResult(f"wrote {quoted(text)}, which no call asked for")

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
                raise WrongResult(f"wrote {quoted(start)}, a line without end")
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
