"""A clean process that workers are forked from: ``python -m ...zygote FD LIFELINE [MODULE]...``.

It imports what workers need, and never a subject; so a worker starts in milliseconds, and what one
subject does to NumPy, or to a framework, is gone with its process.  Whoever has the other end of
its socket asks for a worker with three descriptors (connection, lifeline, stderr), or by the number
of a worker for its exit status.  Answers and questions are lines of text.

It computes nothing: threads that a library starts at its first computation are not there after a
fork, and who then waits for them waits for ever.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import sys
from multiprocessing.connection import Connection
from typing import NoReturn

from .worker import end_with_the_parent, serve

FORK = "fork"
STATUS = "status"  # of a process, whose number follows
RUNNING = "running"
LONGEST = 64  # bytes of a message


def main() -> None:
    """Fork workers until the other end of the socket is closed."""
    socket_number, lifeline, *modules = sys.argv[1:]
    end_with_the_parent(int(lifeline))
    for module in modules:
        with contextlib.suppress(ImportError):  # who needs it will say that it is not there
            importlib.import_module(module)
    asked = socket.socket(fileno=int(socket_number))
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, LONGEST, 3)
        if not message:
            os._exit(0)
        word, _, number = message.decode().partition(" ")
        if word == FORK:
            pid = os.fork()
            if not pid:
                asked.close()
                _become_a_worker(*descriptors)
            with contextlib.suppress(OSError):  # as the child does: whoever comes first
                os.setpgid(pid, pid)
            for descriptor in descriptors:
                os.close(descriptor)
            asked.sendall(str(pid).encode())
        else:
            ended, status = os.waitpid(int(number), os.WNOHANG)
            answer = str(os.waitstatus_to_exitcode(status)) if ended else RUNNING
            asked.sendall(answer.encode())


def _become_a_worker(connection: int, lifeline: int, stderr: int) -> NoReturn:
    """Serve in a process that was forked."""
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        os.dup2(stderr, 2)
        os.close(stderr)
        serve(Connection(connection), lifeline)
    finally:  # not back into the loop of what it was forked from
        os._exit(1)


if __name__ == "__main__":
    main()
