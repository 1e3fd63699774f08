"""The process in which subjects run: ``python -m softproof.verify.subjects.isolation.worker FD``.

It answers requests of ``in_process.Worker`` over an inherited pipe until that is closed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from ..call import call, call_with_arguments, have_no_terminal, load
from ..subject import NotApplicable, SubjectError, SubjectFault, SubjectRaised
from .numba_cache import distrust_caches


def answer(request: dict[str, Any]) -> tuple[str, Any]:
    """Load or call what a request names.

    Parameters
    ----------
    request
        The id of the subject; to call it, along with the arguments of ``call`` or of
        ``call_with_arguments``. The id is taken out of it.

    Returns
    -------
    tuple of str and object
        "done" and the list of result arrays; or the name of the exception that ends the call, and
        its message.
    """
    try:
        loaded = load(request.pop("id"))
        if "arguments" in request:
            return "done", call_with_arguments(loaded, **request)
        return "done", call(loaded, **request) if request else []
    except (SubjectFault, SubjectError, NotApplicable) as outcome:
        return type(outcome).__name__, str(outcome)
    except BaseException as error:  # no Ctrl-C of the user's: this process has its own session
        return "SubjectRaised", str(SubjectRaised.of(error))


def end_with_the_parent(lifeline: int) -> None:
    """Have the kernel end this process when the other end of a pipe is closed.

    A thread that waits for it would wait on while a hanging call holds the interpreter.

    Parameters
    ----------
    lifeline
        The descriptor of this end.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # which ends the process


def serve(connection: Connection, lifeline: int) -> NoReturn:
    """Answer requests until the other end of the connection is closed, and end this process.

    Parameters
    ----------
    connection
        Where requests come from; the first message is the path on which modules are found.
    lifeline
        The descriptor of a pipe: when its other end is closed, this process ends.

    Returns
    -------
    NoReturn
        Nothing: the process ends here.
    """
    end_with_the_parent(lifeline)
    sys.path[:] = connection.recv()
    have_no_terminal()
    distrust_caches()
    ours = os.getpid()
    while True:
        try:
            request = connection.recv()
        except EOFError:
            # Not sys.exit: a library's threads, or its exit handlers, may hang.
            os._exit(0)
        reply = answer(request)
        if os.getpid() != ours:  # a child that the function forked and that returned from it
            os._exit(1)
        connection.send(reply)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
