"""Workers that are forked from a clean process: each starts in milliseconds, and as clean."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

from .descendants import end_marked, marked_environment
from .in_process import Started
from .zygote import FORK, LONGEST, RUNNING, STATUS

ZYGOTE = "softproof.verify.subjects.isolation.zygote"
MODULES = ("numpy", "ml_dtypes", "psutil")  # what a worker imports at its first call, in any case
BETWEEN_LOOKS = 0.002  # seconds between questions whether a process has ended
LOST = -signal.SIGKILL  # the status of a worker whose end nobody saw


class Zygote:
    """A context manager with a clean process; ``start`` forks a worker from it.

    One worker lives at a time: when it is closed, all that was forked or started since is ended.
    A process that a subject has ended, as it can that of any of the same user, is started anew.

    Parameters
    ----------
    modules
        What it imports besides NumPy, such as ``torch``; what is missing is left out.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._modules = tuple(dict.fromkeys((*MODULES, *modules)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, connection: int, lifeline: int, stderr: IO[bytes]) -> Started:
        """Fork a worker from the clean process.

        Parameters
        ----------
        connection, lifeline
            Descriptors that it inherits: where requests come from, and what tells that we are gone.
        stderr
            The file for what it writes to stderr.

        Returns
        -------
        Started
            The worker.
        """
        try:
            pid = self._forked(connection, lifeline, stderr)
        except OSError:  # it was ended, with or after its last worker
            self.close()
            pid = self._forked(connection, lifeline, stderr)
        assert self._process is not None
        end = functools.partial(end_marked, self._mark, spared=self._process.pid)
        return Started(_Forked(pid, self._socket), end)

    def _forked(self, connection: int, lifeline: int, stderr: IO[bytes]) -> int:
        """The number of a new worker; OSError where the clean process is gone."""
        if self._process is None:
            self.launch()
        descriptors = [connection, lifeline, stderr.fileno()]
        socket.send_fds(self._socket, [FORK.encode()], descriptors)
        return int(_answer(self._socket))

    def launch(self) -> None:
        """Start the clean process; it need not be waited for."""
        self._socket, theirs = socket.socketpair()
        for_them, self._lifeline = os.pipe()
        descriptors = (theirs.fileno(), for_them)
        environment, self._mark = marked_environment()
        self._process = subprocess.Popen(
            # -P: what lies in the working directory is not imported in place of a library.
            [sys.executable, "-P", "-m", ZYGOTE, *map(str, descriptors), *self._modules],
            env={"OMP_WAIT_POLICY": "PASSIVE", **environment},
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        os.close(for_them)

    def close(self) -> None:
        """End the clean process, and all that was forked from it."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        end_marked(self._mark)
        self._socket.close()
        os.close(self._lifeline)
        self._process = None

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _answer(asked: socket.socket) -> str:
    """What the clean process answers; OSError where it is gone."""
    answer = asked.recv(LONGEST)
    if not answer:
        raise ConnectionError("the process that workers are forked from has ended")
    return answer.decode()


class _Forked:
    """A forked worker: what it was forked from is its parent, and sees how it ends."""

    def __init__(self, pid: int, asked: socket.socket) -> None:
        self.pid = pid
        self._asked = asked
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self._status is None:
            answer = str(LOST)
            with contextlib.suppress(OSError):
                self._asked.sendall(f"{STATUS} {self.pid}".encode())
                answer = _answer(self._asked)
            if answer != RUNNING:
                self._status = int(answer)
        return self._status

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        while (status := self.poll()) is None:
            time.sleep(BETWEEN_LOOKS)
        return status
