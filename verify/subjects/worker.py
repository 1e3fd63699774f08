"""The process in which subjects run: ``python -m softproof.verify.subjects.worker FD``.

It answers requests of ``hosts.Worker`` over an inherited pipe until that is closed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from .call import call, load
from .subject import NotApplicable, SubjectError, SubjectFault, SubjectRaised


def answer(request: dict[str, Any]) -> tuple[str, Any]:
    """The reply to a request to load or to call: how it ended, and its arrays or its message."""
    try:
        function = load(request.pop("id"))
        return "done", call(function, **request) if request else []
    except (SubjectFault, SubjectError, NotApplicable) as outcome:
        return type(outcome).__name__, str(outcome)
    except KeyboardInterrupt as error:  # not the user's: this process has a session of its own
        return "SubjectRaised", str(SubjectRaised.of(error))


def main() -> None:
    """Serve until the other end of the pipe is closed."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1  # a hanging call must not outlive a parent that was killed
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    connection = Connection(int(sys.argv[1]))
    sys.path[:] = connection.recv()
    while True:
        try:
            request = connection.recv()
        except EOFError:
            # Not sys.exit: a library's threads, or its exit handlers, may hang.
            os._exit(0)
        connection.send(answer(request))


if __name__ == "__main__":
    main()
