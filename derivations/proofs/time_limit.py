"""A limit on the time that a computation in Python may take."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator

AGAIN = 1.0  # seconds: an exception may be swallowed by code that is called back from C


class OutOfTime(BaseException):
    """The time is over.  No Exception, which SymPy would catch to go on in another way."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the calling thread, and within this block only, once the time is over.

    It is raised between two operations of Python code, so a single long call of compiled code is
    waited for.

    Parameters
    ----------
    seconds
        How long the block may take.

    Yields
    ------
    None
        Control to the block.

    Raises
    ------
    OutOfTime
        In the block, once the time is over.

    Examples
    --------
    >>> with contextlib.suppress(OutOfTime), time_limit(0.01):
    ...     while True:
    ...         pass
    """
    thread = ctypes.c_ulong(threading.get_ident())
    ended, lock = threading.Event(), threading.Lock()

    def watch() -> None:
        wait = seconds
        while not ended.wait(wait):
            with lock:
                if not ended.is_set():
                    exception = ctypes.py_object(OutOfTime)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, exception)
            wait = AGAIN

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with lock:
            ended.set()
        watcher.join()
